/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library.h"

static const jm_library_row rows[] = {
    {JM_OP_gather, jm_library_gather_supports, jm_library_gather},
    {JM_OP_reduce_window, jm_library_window_supports, jm_library_window},
    {JM_OP_scatter, jm_library_scatter_supports, jm_library_scatter},
    {JM_OP_constant, NULL, NULL}, /* ends the table */
};

jm_ref_fn *jm_library_find(const jm_module *module, const jm_op *op) {
  for (const jm_library_row *row = rows; row->run; row++)
    if (row->code == op->code && row->supports(module, op)) return row->run;
  return NULL;
}
