/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/schedule/launch.h"

#include <string.h>

#include "kernel/emit/emit_rules.h"

jm_error *jm_launch_begin(jm_scheduler *s, jm_launch_builder *l) {
  *l = (jm_launch_builder){.s = s, .registers = 1, .element_bytes = 4, .threads = 1};
  JM_TRY(jm_kbuilder_create(s->schedule->name, &l->b));
  /* a GPU has no f64, or a slow one */
  jm_kbuilder_allow_f64(l->b, s->target->has_f64 && s->target->lanes == JM_BIND_VECTOR);
  jm_kbuilder_allow_scale(l->b, s->target->scales);
  jm_error *error = jm_emit_create(s->m, l->b, &l->e);
  if (error) jm_kbuilder_destroy(l->b);
  memset(s->pulled, JM_PULL_NONE, s->m->n_values);
  return error;
}

/* Limits that a target's API or hardware sets: grouping and schedules keep below them. */
static jm_error *check(const jm_launch_builder *l, const jm_kernel *kernel) {
  const jm_target *t = l->s->target;
  const size_t bytes = jm_kernel_scratch_bytes(kernel);
  if (l->n_arguments > t->max_buffers)
    return jm_error_internal("a kernel for %s has %u buffers, at most %u may be", t->name,
                             l->n_arguments, t->max_buffers);
  if (t->lanes == JM_BIND_THREADS && bytes > t->scratch_bytes)
    return jm_error_internal("a kernel for %s has %zu bytes of scratch memory, at most %zu may be",
                             t->name, bytes, t->scratch_bytes);
  if (kernel->chunks > t->max_groups)
    return jm_error_internal("a kernel for %s has %lld chunks", t->name, (long long)kernel->chunks);
  return NULL;
}

jm_error *jm_launch_end(jm_launch_builder *l) {
  jm_schedule *schedule = l->s->schedule;
  jm_kernel *kernel = NULL;
  jm_emit_destroy(l->e);
  jm_error *error = jm_kbuilder_finish(l->b, &kernel);
  jm_kbuilder_destroy(l->b);
  if (error) return error;
  jm_launch *grown = jm_arena_grow(&schedule->arena, schedule->launches, schedule->n_launches + 1,
                                   &l->s->launches_capacity, sizeof *grown);
  error = grown ? check(l, kernel) : jm_error_out_of_memory();
  if (error) {
    jm_kernel_destroy(kernel);
    return error;
  }
  grown[schedule->n_launches++] = (jm_launch){kernel, l->arguments};
  schedule->launches = grown;
  return NULL;
}

/* -- parameters */

static void bind(jm_launch_builder *l, jm_launch_memory memory, uint32_t index) {
  jm_launch_argument *grown = jm_arena_grow(&l->s->schedule->arena, l->arguments,
                                            l->n_arguments + 1, &l->capacity, sizeof *grown);
  if (!grown) {
    jm_kbuilder_fail(l->b, jm_error_out_of_memory());
    return;
  }
  l->arguments = grown;
  l->arguments[l->n_arguments++] = (jm_launch_argument){memory, index};
}

uint32_t jm_launch_operand(jm_launch_builder *l, uint32_t i) {
  const jm_scheduler *s = l->s;
  const uint32_t alias = s->alias[i] == JM_NONE ? 0 : s->alias[i] + 1;
  bind(l, JM_LAUNCH_OPERAND, i);
  const jm_type *type = jm_op_operand_type(s->whole, s->fusion, i);
  return jm_emit_param(l->e, type, JM_SPACE_GLOBAL, false, alias);
}

uint32_t jm_launch_result(jm_launch_builder *l, uint32_t i) {
  const jm_scheduler *s = l->s;
  uint32_t alias = 0;
  for (uint32_t k = 0; k < s->region->n_args; k++)
    if (s->alias[k] == i) alias = i + 1;
  bind(l, JM_LAUNCH_RESULT, i);
  const jm_type *type = jm_op_result_type(s->whole, s->fusion, i);
  return jm_emit_param(l->e, type, JM_SPACE_GLOBAL, true, alias);
}

uint32_t jm_launch_temporary(jm_launch_builder *l, uint32_t i, jm_dtype dtype, int64_t elements,
                             bool written) {
  bind(l, JM_LAUNCH_TEMPORARY, i);
  return jm_kbuild_param(l->b, JM_SPACE_GLOBAL, jm_emit_storage(dtype),
                         elements * jm_emit_words(dtype), written, 0);
}

uint32_t jm_launch_rows(jm_launch_builder *l, int64_t n) {
  bind(l, JM_LAUNCH_ROWS, 0);
  return jm_kbuild_param(l->b, JM_SPACE_GLOBAL, JM_KT_i32, n, false, 0);
}

size_t jm_launch_scratch_bytes(jm_dtype dtype, int64_t elements) {
  const size_t bytes =
      (size_t)elements * jm_emit_words(dtype) * jm_ktype_bytes[jm_emit_storage(dtype)];
  return jm_alloc_lines(bytes);
}

uint32_t jm_launch_scratch(jm_launch_builder *l, jm_dtype dtype, int64_t elements) {
  l->scratch_bytes += jm_launch_scratch_bytes(dtype, elements);
  return jm_kbuild_param(l->b, JM_SPACE_SCRATCH, jm_emit_storage(dtype),
                         elements * jm_emit_words(dtype), true, 0);
}

jm_error *jm_scheduler_temporary(jm_scheduler *s, jm_dtype dtype, int64_t elements, uint32_t *out) {
  jm_schedule *schedule = s->schedule;
  size_t bytes;
  if (!jm_size_mul((size_t)elements, jm_dtype_bytes(dtype), &bytes))
    return jm_error_internal("a temporary of %lld elements", (long long)elements);
  size_t *grown =
      jm_arena_grow(&schedule->arena, schedule->temporary_bytes, schedule->n_temporaries + 1,
                    &s->temporaries_capacity, sizeof *grown);
  if (!grown) return jm_error_out_of_memory();
  grown[schedule->n_temporaries] = bytes;
  schedule->temporary_bytes = grown;
  *out = schedule->n_temporaries++;
  return NULL;
}

/* -- pulling */

typedef struct weight {
  double work, bytes; /* operations, and times the bytes they work on */
} weight;

/* The element type on which most of the work is done decides the width of lanes. A reduction over
 * the schedule's points counts as one step per point. */
static void weigh(jm_launch_builder *l, const jm_op *op, weight *sum) {
  const jm_module *m = l->s->m;
  jm_space space;
  double flops = jm_cluster_find_anchor(l->s->target, m, op, &space)
                     ? jm_emit_price_region(m, op)
                     : jm_emit_estimate(m, op).flops;
  l->flops += flops;
  for (uint32_t i = 0; i < op->n_results; i++) {
    jm_dtype dtype = jm_op_result_type(m, op, i)->dtype;
    double bytes = (double)jm_dtype_bytes(jm_dtype_real(dtype));
    if (jm_dtype_is_float(dtype) && bytes < 4) bytes = 4;
    if (jm_op_result_type(m, op, i)->count == 1) continue;
    sum->work += flops + 0.25;
    sum->bytes += (flops + 0.25) * bytes;
  }
}

/* Several independent registers hide latency, as long as registers suffice. */
static void shape_lanes(jm_launch_builder *l, const weight *sum) {
  const double *flops = l->s->target->vector.unroll_flops;
  const double bytes = sum->work > 0 ? sum->bytes / sum->work : 4;
  l->registers = l->flops > flops[1] ? 1 : l->flops > flops[0] ? 2 : 4;
  l->element_bytes = bytes <= 1.5 ? 1 : bytes <= 3 ? 2 : bytes <= 6 ? 4 : 8;
}

void jm_launch_stop(jm_launch_builder *l, jm_value v) { l->s->pulled[v] = JM_PULL_LEAF; }

static void want(jm_scheduler *s, jm_value v) {
  if (s->pulled[v] == JM_PULL_NONE) s->pulled[v] = JM_PULL_WANTED;
}

void jm_launch_pull(jm_launch_builder *l, const jm_value *values, uint32_t n) {
  jm_scheduler *s = l->s;
  weight sum = {0, 0};
  for (uint32_t i = 0; i < n; i++) want(s, values[i]);
  for (uint32_t i = s->region->n_ops; i--;) {
    const jm_op *op = jm_module_op(s->m, s->region->ops[i]);
    bool wanted = false;
    for (uint32_t k = 0; k < op->n_results; k++)
      wanted |= s->pulled[op->first_result + k] == JM_PULL_WANTED;
    if (!wanted) continue;
    weigh(l, op, &sum);
    for (uint32_t k = 0; k < op->n_operands; k++) want(s, op->operands[k]);
  }
  shape_lanes(l, &sum);
  for (uint32_t i = 0; i < s->region->n_args; i++) {
    jm_value v = s->region->first_arg + i;
    if (s->pulled[v] == JM_PULL_WANTED) jm_emit_leaf_param(l->e, v, jm_launch_operand(l, i));
  }
}

/* -- lanes */

void jm_launch_threads(jm_launch_builder *l, int64_t iterations, int64_t per_lane) {
  const jm_target *t = l->s->target;
  if (t->lanes != JM_BIND_THREADS) return;
  l->threads = t->least_threads;
  while (l->threads < t->threads && l->threads * per_lane < iterations) l->threads *= 2;
}

/* The widest power of two up to this width that divides n; the full width if there are many
 * vectors, for the remainder is small then. */
static uint32_t exact_width(const jm_launch_builder *l, uint32_t width, int64_t n) {
  const jm_target *t = l->s->target;
  uint32_t exact = width;
  while (exact > t->vector.least_lanes && n % exact && n < t->vector.exact_vectors * width)
    exact /= 2;
  return n % exact ? width : exact;
}

uint32_t jm_launch_width(const jm_launch_builder *l, int64_t iterations) {
  if (l->s->target->lanes == JM_BIND_THREADS) return l->threads;
  uint32_t width = l->s->target->vector_bytes * l->registers / l->element_bytes;
  while (width > 1 && width > iterations) width /= 2;
  if (!width) width = 1;
  return l->exact ? exact_width(l, width, iterations) : width;
}

void jm_launch_loop(jm_launch_builder *l, uint32_t width, jm_kval lower, jm_kval upper,
                    const jm_kval *initial, uint32_t n, jm_kloop *loop) {
  const jm_kbinding lanes = l->s->target->lanes;
  if (width > 1 && lanes == JM_BIND_THREADS) width = l->threads;
  jm_kbuild_loop_begin(l->b, width > 1 ? lanes : JM_BIND_SERIAL, width, lower, upper, initial, n,
                       loop);
}

void jm_launch_lanes(jm_launch_builder *l, jm_kval lower, jm_kval upper, int64_t most,
                     const jm_kval *initial, uint32_t n, jm_kloop *loop) {
  jm_launch_loop(l, jm_launch_width(l, most), lower, upper, initial, n, loop);
}

/* -- chunks */

double jm_launch_estimate_ns(const jm_launch_builder *l, double points) {
  const jm_target *t = l->s->target;
  return points * (t->cost.point_ns + t->cost.flop_ns * l->flops);
}

/* Chunk iterations of this many points that are worth waking a worker for. */
static int64_t grain(const jm_launch_builder *l, double points) {
  const double ns = jm_launch_estimate_ns(l, points), worth = l->s->target->chunk.worker_ns;
  return ns > 0 && ns < worth ? (int64_t)(worth / ns) + 1 : 1;
}

jm_kval jm_launch_chunk(jm_launch_builder *l, int64_t chunks, double points,
                        jm_launch_chunks *out) {
  const int64_t most = l->s->target->max_groups, several = chunks / most + (chunks % most != 0);
  *out = (jm_launch_chunks){.open = chunks > 1, .nested = several > 1};
  if (!out->open) return jm_kbuild_index(l->b, 0);
  const int64_t iterations = chunks / several + (chunks % several != 0);
  jm_kbuild_chunk_begin(l->b, iterations, grain(l, points * (double)several), &out->loop);
  if (!out->nested) return out->loop.index;
  jm_kval lower, upper;
  jm_launch_block(l, out->loop.index, several, chunks, &lower, &upper);
  jm_kbuild_loop_begin(l->b, JM_BIND_SERIAL, 1, lower, upper, NULL, 0, &out->inner);
  return out->inner.index;
}

void jm_launch_chunk_end(jm_launch_builder *l, jm_launch_chunks *chunks) {
  if (chunks->nested) jm_kbuild_loop_end(l->b, &chunks->inner, NULL);
  if (chunks->open) jm_kbuild_loop_end(l->b, &chunks->loop, NULL);
}

void jm_launch_block(jm_launch_builder *l, jm_kval i, int64_t size, int64_t count, jm_kval *lower,
                     jm_kval *upper) {
  *lower = jm_launch_scale(l, i, size);
  *upper = jm_launch_add(l, *lower, jm_kbuild_index(l->b, size));
  if (count % size) *upper = jm_k_smin(l->b, *upper, jm_kbuild_index(l->b, count));
}
