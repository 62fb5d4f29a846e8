/* SPDX-License-Identifier: Apache-2.0
 * Dead code elimination: walking each region backwards, an op is kept if it has a side effect or a
 * used result. A loop that may never end is treated as any other op: without used results it is
 * removed. */
#include "pass/rewrite.h"

static void sweep(jm_module *m, jm_region_id id, uint8_t *used, bool *changed) {
  jm_region *region = jm_module_region(m, id);
  for (uint32_t i = 0; i < region->n_results; i++) used[region->results[i]] = 1;
  uint32_t kept = region->n_ops; /* ops[kept..] are those that stay */
  for (uint32_t i = region->n_ops; i--;) {
    const jm_op *op = jm_module_op(m, region->ops[i]);
    bool live = false;
    for (uint32_t k = 0; k < op->n_results && !live; k++) live = used[op->first_result + k];
    if (!live && !jm_rewrite_has_effect(m, op)) continue;
    for (uint32_t k = 0; k < op->n_operands; k++) used[op->operands[k]] = 1;
    region->ops[--kept] = region->ops[i];
  }
  if (!kept) return;
  *changed = true;
  region->n_ops -= kept;
  for (uint32_t i = 0; i < region->n_ops; i++) region->ops[i] = region->ops[kept + i];
}

jm_error *jm_pass_dce(jm_module *m, const jm_pass_options *options, bool *changed) {
  (void)options;
  uint8_t *used = jm_alloc(m->n_values, 1);
  jm_region_id *regions = NULL;
  uint32_t n = 0;
  jm_error *error = used ? jm_rewrite_regions(m, &regions, &n) : jm_error_out_of_memory();
  /* Visiting children first would find no more: an op removed from a region frees no value outside
   * of it. */
  for (uint32_t i = 0; !error && i < n; i++) sweep(m, regions[i], used, changed);
  jm_free(regions);
  jm_free(used);
  return error;
}
