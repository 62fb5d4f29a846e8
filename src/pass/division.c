/* SPDX-License-Identifier: Apache-2.0
 * By which axes an op divides its factors. Its operands and results have shardings already, which
 * may not agree; each of them proposes a division, which the others complete, and the one that
 * costs least is taken: bytes sent to bring operands there, to complete sums and to bring results
 * to their own sharding, and the work that is left for each device. */
#include <string.h>

#include "pass/partition.h"

enum { OPERATIONS_PER_BYTE = 16 }; /* as many take as long as sending a byte does */
enum { MOST_PROPOSALS = 8 };       /* of an op with many operands */

static jm_value value_of(const jm_op *op, const jm_factors *f, uint32_t tensor) {
  return tensor < f->n_inputs ? op->operands[tensor] : op->first_result + tensor - f->n_inputs;
}

jm_error *jm_division_sharding(const jm_placement *p, const jm_op *op, const jm_factors *f,
                               const jm_division *division, uint32_t tensor,
                               const jm_sharding **out) {
  const uint32_t rank = jm_factors_type(p->m, op, f, tensor)->rank;
  *out = NULL;
  for (uint32_t d = 0; d < rank; d++) {
    const int32_t k = f->of[tensor][d];
    if (k == JM_NO_FACTOR || !division->axes[k].n) continue;
    JM_TRY(jm_sharding_replace(&p->m->arena, *out, rank, p->m->n_partitions, d, division->axes[k],
                               out));
  }
  return NULL;
}

jm_error *jm_division_partial(jm_placement *p, const jm_factors *f, const jm_division *division,
                              jm_partial *out) {
  jm_sharding_axis *list = jm_arena_alloc(&p->scratch, JM_SHARDING_AXES, sizeof *list);
  if (!list) return jm_error_out_of_memory();
  *out = (jm_partial){{list, 0}, f->combine};
  for (uint32_t k = 0; k < f->n; k++)
    for (uint32_t i = 0; f->list[k].reduced && i < division->axes[k].n; i++)
      list[out->axes.n++] = division->axes[k].list[i];
  return NULL;
}

/* Takes over the axes of a tensor's sharding as far as they go with those that are there. */
static void complete(const jm_placement *p, const jm_op *op, const jm_factors *f, uint32_t tensor,
                     jm_division *division) {
  const jm_sharding *sharding = jm_placement_of(p, value_of(op, f, tensor));
  for (uint32_t d = 0; sharding && d < sharding->rank; d++) {
    const int32_t k = f->of[tensor][d];
    if (k == JM_NO_FACTOR) continue;
    const jm_axes axes = jm_axes_dividing(jm_axes_of(sharding, d), f->list[k].size);
    bool fits = axes.n > division->axes[k].n && jm_axes_agree(axes, division->axes[k]);
    for (uint32_t other = 0; fits && other < f->n; other++)
      fits = other == (uint32_t)k || !jm_axes_overlap(axes, division->axes[other]);
    if (fits) division->axes[k] = axes;
  }
}

static double work_of(const jm_factors *f, const jm_division *division) {
  double work = 1;
  for (uint32_t k = 0; k < f->n; k++)
    work *= (double)f->list[k].size / (double)jm_axes_count(division->axes[k]);
  return work;
}

static jm_error *cost_of_result(jm_placement *p, const jm_op *op, const jm_factors *f,
                                const jm_division *division, const jm_partial *partial, uint32_t t,
                                double *cost) {
  const jm_type *type = jm_factors_type(p->m, op, f, t);
  const jm_sharding *made, *wanted = jm_placement_of(p, value_of(op, f, t));
  double combining = 0;
  JM_TRY(jm_division_sharding(p, op, f, division, t, &made));
  if (partial->axes.n)
    JM_TRY(jm_combine_plan(&p->scratch, type, partial, made, wanted, p->m->n_partitions, &made,
                           &combining));
  *cost += combining + jm_reshard_cost(type, made, wanted);
  return NULL;
}

static jm_error *cost_of(jm_placement *p, const jm_op *op, const jm_factors *f,
                         const jm_division *division, double *cost) {
  jm_partial partial;
  const jm_sharding *sharding;
  JM_TRY(jm_division_partial(p, f, division, &partial));
  *cost = work_of(f, division) / OPERATIONS_PER_BYTE;
  for (uint32_t t = 0; t < f->n_inputs; t++) {
    JM_TRY(jm_division_sharding(p, op, f, division, t, &sharding));
    *cost += jm_reshard_cost(jm_factors_type(p->m, op, f, t), jm_placement_of(p, op->operands[t]),
                             sharding);
  }
  for (uint32_t t = f->n_inputs; t < f->n_tensors; t++)
    JM_TRY(cost_of_result(p, op, f, division, &partial, t, cost));
  return NULL;
}

static bool is_divided(const jm_placement *p, const jm_op *op, const jm_factors *f, uint32_t t) {
  return jm_placement_of(p, value_of(op, f, t)) != NULL;
}

static jm_error *try_proposal(jm_placement *p, const jm_op *op, const jm_factors *f, uint32_t first,
                              jm_division *trial, jm_division *best, double *least) {
  double cost;
  memset(trial->axes, 0, f->n * sizeof *trial->axes);
  if (first < f->n_tensors) complete(p, op, f, first, trial);
  for (uint32_t t = 0; first < f->n_tensors && t < f->n_tensors; t++) complete(p, op, f, t, trial);
  JM_TRY(cost_of(p, op, f, trial, &cost));
  if (cost >= *least) return NULL;
  *least = cost;
  memcpy(best->axes, trial->axes, f->n * sizeof *best->axes);
  return NULL;
}

jm_error *jm_division_choose(jm_placement *p, const jm_op *op, const jm_factors *f,
                             jm_division *out, bool *divided, double *cost) {
  jm_division trial = {jm_arena_alloc(&p->scratch, f->n, sizeof *trial.axes)};
  out->axes = jm_arena_alloc(&p->scratch, f->n, sizeof *out->axes);
  if (!trial.axes || !out->axes) return jm_error_out_of_memory();
  *cost = 1e300;
  uint32_t n = 0;
  for (uint32_t t = f->n_tensors; t-- > 0 && n < MOST_PROPOSALS;) {
    if (!is_divided(p, op, f, t)) continue;
    JM_TRY(try_proposal(p, op, f, t, &trial, out, cost));
    n++;
  }
  JM_TRY(try_proposal(p, op, f, f->n_tensors, &trial, out, cost));
  *divided = false;
  for (uint32_t k = 0; k < f->n; k++) *divided |= out->axes[k].n > 0;
  return NULL;
}
