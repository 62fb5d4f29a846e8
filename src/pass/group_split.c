/* SPDX-License-Identifier: Apache-2.0
 * Reductions over dimensions that are not adjacent (over N, H and W of NCHW) become several, each
 * of which a schedule supports: over the last run of adjacent dimensions, then over the remaining
 * ones. Only where this adds no rounding and applying the init twice changes nothing. */
#include <string.h>

#include "kernel/emit/reduction.h"
#include "pass/group.h"

/* May partial results be reduced again, from the same init? */
static bool is_repeatable(const jm_module *m, const jm_op *op) {
  static const uint8_t zeros[16];
  jm_reduction r;
  jm_dtype dtype = jm_op_operand_type(m, op, 0)->dtype;
  jm_reduction_init(m, op, &r);
  if (r.idempotent) return true;
  if (!r.grouped || r.monoid.code == JM_OP_multiply || r.dtypes[0] != dtype) return false;
  const jm_constant_attrs *init = jm_rewrite_constant(m, op->operands[1]);
  return init && !memcmp(init->value.bytes, zeros, jm_dtype_bytes(dtype));
}

/* A copy of the reduction over other dimensions, of another operand. */
static jm_error *build_reduce(jm_module *m, jm_region_id region, jm_op_id id, jm_i64s dims,
                              const jm_type *type, jm_value *out) {
  const jm_op op = *jm_module_op(m, id);
  const jm_reduce_attrs attrs = {.dims = dims};
  const jm_op_spec spec = {.code = JM_OP_reduce,
                           .operands = op.operands,
                           .n_operands = op.n_operands,
                           .result_types = &type,
                           .n_results = 1,
                           .attrs = &attrs,
                           .n_regions = 1,
                           .loc = op.loc};
  jm_op_id copy;
  JM_TRY(jm_build_op(m, region, &spec, &copy));
  *out = jm_module_op(m, copy)->first_result;
  jm_region_id from = op.first_region, to = jm_module_op(m, copy)->first_region;
  jm_value *map = jm_alloc(m->n_values, sizeof *map);
  if (!map) return jm_error_out_of_memory();
  jm_error *error = NULL;
  for (uint32_t i = 0; i < 2 && !error; i++) {
    jm_value arg = jm_module_region(m, from)->first_arg + i;
    error = jm_build_arg(m, to, jm_module_typeof(m, arg), &map[arg]);
  }
  if (!error) error = jm_build_clone(m, from, to, map);
  if (!error) {
    jm_value result = map[jm_module_region(m, from)->results[0]];
    error = jm_build_results(m, to, &result, 1);
  }
  jm_free(map);
  return error;
}

/* Splits off the last run of dimensions; the op reduces the remaining ones. */
static jm_error *split(jm_module *m, jm_region_id region, jm_op_id id) {
  const jm_reduce_attrs *a = jm_module_op(m, id)->attrs;
  const jm_type *from = jm_op_operand_type(m, jm_module_op(m, id), 0), *type;
  int64_t kept[JM_CLUSTER_RANK];
  int64_t *first = jm_arena_alloc(&m->arena, a->dims.n + 1, sizeof *first);
  int64_t *rest = jm_arena_alloc(&m->arena, a->dims.n + 1, sizeof *rest);
  jm_reduce_attrs *attrs = jm_arena_copy(&m->arena, a, 1, sizeof *attrs);
  if (!first || !rest || !attrs) return jm_error_out_of_memory();
  uint32_t n_first = 0, n_rest = 0, n_kept = 0, stage = 0, begin = from->rank;
  for (uint32_t d = from->rank; d--;) { /* 0: after the run, 1: in it, 2: before it */
    bool reduced = jm_i64s_contains(a->dims, d);
    if (from->dims[d] != 1 && reduced != (stage == 1) && stage < 2) stage++;
    if (stage == 1 && reduced) begin = d;
  }
  for (uint32_t d = 0, last = 0; d < from->rank; d++) {
    bool reduced = jm_i64s_contains(a->dims, d);
    if (d == begin) last = 1;
    if (last && !reduced && from->dims[d] != 1) last = 2;
    if (reduced && last == 1) {
      first[n_first++] = d;
      continue;
    }
    if (reduced) rest[n_rest++] = n_kept;
    kept[n_kept++] = from->dims[d];
  }
  JM_TRY(jm_module_type(m, from->dtype, n_kept, kept, &type));
  jm_value partial;
  JM_TRY(build_reduce(m, region, id, (jm_i64s){first, n_first}, type, &partial));
  attrs->dims = (jm_i64s){rest, n_rest};
  jm_op *op = jm_module_op(m, id);
  op->attrs = attrs;
  op->operands[0] = partial;
  return NULL;
}

static jm_error *visit(jm_rewrite *rw, jm_region_id region, jm_op_id id) {
  jm_module *m = rw->m;
  const jm_op *op = jm_module_op(m, id);
  if (op->code != JM_OP_reduce || op->n_results != 1 || op->n_captures) return NULL;
  if (jm_op_operand_type(m, op, 0)->rank > JM_CLUSTER_RANK || !is_repeatable(m, op)) return NULL;
  while (jm_group_is_loop(m, jm_module_op(m, id), rw->options->target))
    JM_TRY(split(m, region, id));
  return NULL;
}

jm_error *jm_pass_split(jm_module *m, const jm_pass_options *options, bool *changed) {
  const uint32_t n_ops = m->n_ops;
  JM_TRY(jm_rewrite_run(m, options, visit, NULL, changed));
  *changed |= m->n_ops != n_ops;
  return NULL;
}
