/* SPDX-License-Identifier: Apache-2.0
 * Special functions in simpler ops, for engines that lack them, and kernels of the user's that the
 * engine can't run (custom calls with an expansion, which is the kernel's reference): each such op
 * is replaced by a copy of the expansion's ops. Afterwards the module has no expansions, whether
 * the engine wanted them or not.
 *
 *   %y: f32[8] = digamma %x       // the program's own decomposition is (%a): ... return %r
 * becomes
 *   ... %r' ...                   // with %x for %a; users of %y use %r'
 *
 * An expansion may have ops with an expansion earlier in the list: the walk is repeated until no
 * such op is left. */
#include "pass/rewrite.h"

enum { MOST_OPS = 1 << 22 }; /* of a module: nested expansions may grow exponentially */

static bool is_wanted(const jm_pass_options *options, const jm_module *m, const jm_op *op) {
  if (op->code != JM_OP_custom_call) return options->expands;
  return !options->runs_kernel || !options->runs_kernel(options->engine, m, op);
}

static jm_error *visit(jm_rewrite *rw, jm_region_id region, jm_op_id id) {
  jm_module *m = rw->m;
  const jm_op op = *jm_module_op(m, id); /* building moves the ops */
  const jm_expansion *expansion = jm_module_expansion_find(m, &op);
  if (!expansion || !is_wanted(rw->options, m, &op)) return NULL;
  if (m->n_ops > MOST_OPS)
    return jm_op_error(m, &op, JM_RESOURCE_EXHAUSTED, "the program expands to too many ops");
  const jm_region_id from = expansion->region;
  jm_value *map = jm_alloc(m->n_values, sizeof *map);
  if (!map) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < op.n_operands; i++)
    map[jm_module_region(m, from)->first_arg + i] = op.operands[i];
  jm_error *error = jm_build_clone(m, from, region, map);
  for (uint32_t i = 0; !error && i < op.n_results; i++)
    jm_rewrite_replace(rw, op.first_result + i, map[jm_module_region(m, from)->results[i]]);
  rw->drop = true;
  jm_free(map);
  return error;
}

jm_error *jm_pass_expand(jm_module *m, const jm_pass_options *options, bool *changed) {
  bool again = m->n_expansions != 0;
  while (again) {
    again = false;
    JM_TRY(jm_rewrite_run(m, options, visit, NULL, &again));
    *changed |= again;
  }
  m->n_expansions = 0;
  return NULL;
}
