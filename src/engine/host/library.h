/* SPDX-License-Identifier: Apache-2.0
 * The host library: ops whose fast form is no longer the obvious one. A row says which op it is,
 * when it serves, and how it runs, under the rules of ref.h; where there is no row the reference
 * engine runs. It knows nothing of plans. Results never depend on the number of threads. */
#ifndef JM_ENGINE_HOST_LIBRARY_H
#define JM_ENGINE_HOST_LIBRARY_H

#include "engine/ref/ref.h"

typedef struct jm_library_row {
  jm_opcode code;
  bool (*supports)(const jm_module *module, const jm_op *op);
  jm_ref_fn *run;
} jm_library_row;

/* The routine for an op that was verified and accepted by jm_ref_check; NULL: the reference's. */
jm_ref_fn *jm_library_find(const jm_module *module, const jm_op *op);

/* -- rows */

bool jm_library_gather_supports(const jm_module *module, const jm_op *op);
bool jm_library_scatter_supports(const jm_module *module, const jm_op *op);
bool jm_library_window_supports(const jm_module *module, const jm_op *op);
jm_ref_fn jm_library_gather, jm_library_scatter, jm_library_window;

#endif
