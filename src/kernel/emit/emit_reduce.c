/* SPDX-License-Identifier: Apache-2.0
 * Ops of which each element takes a loop over an operand: reduce, reduce_window and small products,
 * in the operand's order, one element of the result at a time. Better schedules (rows, columns,
 * trees) use only jm_emit_fold. */
#include "ir/body.h"
#include "kernel/emit/emit_rules.h"

enum { UNROLLED = 8 }; /* steps in all up to which loops are written out */

/* -- a step of a fold */

/* Sums and products whose accumulators are wider than the op's type. */
static bool is_wide(const jm_module *m, const jm_op *op, jm_monoid *monoid) {
  return op->n_results == 1 && jm_body_monoid(m, op->first_region, monoid) &&
         monoid->accumulator != monoid->dtype;
}

void jm_emit_fold(jm_emit *e, const jm_op *op, const jm_element *accumulators,
                  const jm_element *elements, jm_element *results) {
  const jm_module *m = jm_emit_module(e);
  jm_element args[2 * JM_EMIT_CARRIES];
  for (uint32_t i = 0; i < op->n_results; i++) {
    args[i] = accumulators[i];
    args[op->n_results + i] = elements[i];
  }
  jm_monoid monoid;
  if (is_wide(m, op, &monoid))
    results[0] = jm_element_run(jm_emit_builder(e), monoid.code, monoid.accumulator, args);
  else
    jm_emit_region(e, op, op->first_region, args, results);
}

jm_element jm_emit_folded(jm_emit *e, const jm_op *op, uint32_t i, jm_element accumulator) {
  const jm_module *m = jm_emit_module(e);
  jm_monoid monoid;
  if (!is_wide(m, op, &monoid)) return accumulator;
  jm_dtype dtype = jm_op_result_type(m, op, i)->dtype;
  return jm_element_of(jm_element_round(jm_emit_builder(e), dtype, accumulator.part[0]));
}

/* -- nests of serial loops that carry elements */

typedef struct nest nest;
struct nest {
  jm_emit *e;
  const jm_op *op;
  uint32_t n_loops, n; /* loops, and elements carried */
  int64_t sizes[JM_EMIT_RANK];
  jm_kval counters[JM_EMIT_RANK];
  bool unrolled;
  void (*step)(nest *s, const jm_element *carried, jm_element *next);
  void *context;
};

static uint32_t flatten(const jm_element *elements, uint32_t n, jm_kval *parts) {
  uint32_t k = 0;
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t p = 0; p < 2; p++)
      if (elements[i].part[p] != JM_KNONE) parts[k++] = elements[i].part[p];
  return k;
}

/* like: which elements have two parts */
static void unflatten(const jm_kval *parts, uint32_t n, const jm_element *like, jm_element *out) {
  for (uint32_t i = 0, k = 0; i < n; i++) {
    bool two = like[i].part[1] != JM_KNONE;
    out[i].part[0] = parts[k++];
    out[i].part[1] = two ? parts[k++] : JM_KNONE;
  }
}

static void run_loops(nest *s, uint32_t level, const jm_element *carried, jm_element *out) {
  jm_kbuilder *b = jm_emit_builder(s->e);
  jm_element now[JM_EMIT_CARRIES], next[JM_EMIT_CARRIES];
  if (level == s->n_loops) {
    s->step(s, carried, out);
    return;
  }
  if (s->sizes[level] == 1 || s->unrolled) {
    for (uint32_t i = 0; i < s->n; i++) now[i] = carried[i];
    for (int64_t i = 0; i < s->sizes[level]; i++) {
      s->counters[level] = jm_kbuild_index(b, i);
      run_loops(s, level + 1, now, next);
      for (uint32_t k = 0; k < s->n; k++) now[k] = next[k];
    }
    for (uint32_t i = 0; i < s->n; i++) out[i] = now[i];
    return;
  }
  jm_kval parts[2 * JM_EMIT_CARRIES];
  jm_kloop loop;
  uint32_t n_parts = flatten(carried, s->n, parts);
  jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 1, jm_kbuild_index(b, 0),
                       jm_kbuild_index(b, s->sizes[level]), parts, n_parts, &loop);
  s->counters[level] = loop.index;
  unflatten(loop.carries, s->n, carried, now);
  run_loops(s, level + 1, now, next);
  flatten(next, s->n, parts);
  jm_kbuild_loop_end(b, &loop, parts);
  unflatten(loop.carries, s->n, carried, out);
}

static void run_nest(nest *s, const jm_element *carried, jm_element *out) {
  double steps = 1;
  for (uint32_t i = 0; i < s->n_loops; i++) steps *= (double)s->sizes[i];
  s->unrolled = steps <= UNROLLED;
  run_loops(s, 0, carried, out);
}

/* -- reduce */

static void reduce_step(nest *s, const jm_element *carried, jm_element *next) {
  const jm_reduce_attrs *attrs = s->op->attrs;
  const jm_type *from = jm_op_operand_type(jm_emit_module(s->e), s->op, 0);
  const jm_kval *index = s->context;
  jm_kval at[JM_EMIT_RANK];
  jm_element x[JM_EMIT_CARRIES];
  uint32_t kept = 0, reduced = 0;
  for (uint32_t d = 0; d < from->rank; d++)
    at[d] = jm_i64s_contains(attrs->dims, d) ? s->counters[reduced++] : index[kept++];
  for (uint32_t i = 0; i < s->n; i++) x[i] = jm_emit_operand(s->e, s->op, i, at);
  jm_emit_fold(s->e, s->op, carried, x, next);
}

static void finish_fold(nest *s, const jm_type *from, jm_element *out) {
  jm_element initial[JM_EMIT_CARRIES];
  for (uint32_t i = 0; i < s->n; i++) initial[i] = jm_emit_operand(s->e, s->op, s->n + i, NULL);
  if (from->count)
    run_nest(s, initial, out);
  else
    for (uint32_t i = 0; i < s->n; i++) out[i] = initial[i];
  for (uint32_t i = 0; i < s->n; i++) out[i] = jm_emit_folded(s->e, s->op, i, out[i]);
}

void jm_emit_reduce(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  const jm_reduce_attrs *attrs = op->attrs;
  const jm_type *from = jm_op_operand_type(jm_emit_module(e), op, 0);
  nest s = {.e = e, .op = op, .n = op->n_results, .step = reduce_step, .context = (void *)index};
  for (uint32_t d = 0; d < from->rank; d++)
    if (jm_i64s_contains(attrs->dims, d)) s.sizes[s.n_loops++] = from->dims[d];
  finish_fold(&s, from, out);
}

/* -- reduce_window: padding and holes take no part */

static int64_t or_one(jm_i64s list, uint32_t d) { return list.n ? list.data[d] : 1; }

static void window_step(nest *s, const jm_element *carried, jm_element *next) {
  const jm_reduce_window_attrs *a = s->op->attrs;
  const jm_type *from = jm_op_operand_type(jm_emit_module(s->e), s->op, 0);
  const jm_kval *index = s->context;
  jm_kbuilder *b = jm_emit_builder(s->e);
  const jm_ktype it = JM_KT_i64;
  jm_kval at[JM_EMIT_RANK], inside = jm_kbuild_int(b, JM_KT_i1, 1);
  jm_element x[JM_EMIT_CARRIES];
  for (uint32_t d = 0; d < from->rank; d++) {
    int64_t base = from->dims[d] > 1 ? or_one(a->base_dilations, d) : 1;
    at[d] =
        jm_k_iadd(b, jm_k_imul(b, index[d], jm_k_int(b, it, or_one(a->strides, d))),
                  jm_k_imul(b, s->counters[d], jm_k_int(b, it, or_one(a->window_dilations, d))));
    at[d] = jm_k_isub(b, at[d], jm_k_int(b, it, a->padding.data[2 * d]));
    inside = jm_k_and(b, inside, jm_emit_place(b, &at[d], from->dims[d], base));
  }
  for (uint32_t i = 0; i < s->n; i++) x[i] = jm_emit_operand(s->e, s->op, i, at);
  jm_emit_fold(s->e, s->op, carried, x, next);
  for (uint32_t i = 0; i < s->n; i++) next[i] = jm_emit_select(s->e, inside, next[i], carried[i]);
}

void jm_emit_reduce_window(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  const jm_reduce_window_attrs *attrs = op->attrs;
  const jm_type *from = jm_op_operand_type(jm_emit_module(e), op, 0);
  nest s = {.e = e, .op = op, .n = op->n_results, .step = window_step, .context = (void *)index};
  for (uint32_t d = 0; d < from->rank; d++) s.sizes[s.n_loops++] = attrs->window.data[d];
  finish_fold(&s, from, out);
}

/* -- which folds can be emitted, and their cost */

bool jm_emit_check_region(const jm_module *m, const jm_op *op) {
  for (uint32_t r = 0; r < op->n_regions; r++) {
    const jm_region *region = jm_op_region(m, op, r);
    for (uint32_t i = 0; i < region->n_ops; i++)
      if (!jm_emit_supports(m, jm_module_op(m, region->ops[i]))) return false;
  }
  return true;
}

bool jm_emit_check_reduce(const jm_module *m, const jm_op *op) {
  uint32_t parts = 0;
  for (uint32_t i = 0; i < op->n_results; i++)
    parts += jm_emit_words(jm_op_result_type(m, op, i)->dtype);
  return op->n_results && parts <= JM_EMIT_CARRIES && jm_emit_check_region(m, op);
}

double jm_emit_price_region(const jm_module *m, const jm_op *op) {
  double flops = 0;
  const jm_region *region = jm_op_region(m, op, 0);
  for (uint32_t i = 0; i < region->n_ops; i++)
    flops += jm_emit_estimate(m, jm_module_op(m, region->ops[i])).flops;
  return flops;
}

double jm_emit_price_reduce(const jm_module *m, const jm_op *op) {
  double in = (double)jm_op_operand_type(m, op, 0)->count;
  double out = (double)jm_op_result_type(m, op, 0)->count;
  return in && out ? in / out * (1 + jm_emit_price_region(m, op)) : 1;
}

double jm_emit_price_reduce_window(const jm_module *m, const jm_op *op) {
  const jm_reduce_window_attrs *attrs = op->attrs;
  double steps = 1;
  for (uint32_t d = 0; d < attrs->window.n; d++) steps *= (double)attrs->window.data[d];
  return steps * (4 + jm_emit_price_region(m, op));
}

/* -- dot_general */

static bool find_product(const jm_module *m, const jm_op *op, jm_dtype *out) {
  return jm_dtype_of_product(jm_op_operand_type(m, op, 0)->dtype,
                             jm_op_operand_type(m, op, 1)->dtype,
                             jm_op_result_type(m, op, 0)->dtype, out);
}

/* Sums of floats use several independent accumulators, which hides latency. */
enum { SUMS = 4, FEWEST = 2 * SUMS };

typedef struct product {
  jm_dtype dtype;
  uint32_t sums; /* counter i of the last dimension stands for position first + sums * i and on */
  int64_t first;
  jm_kval lhs[JM_EMIT_RANK], rhs[JM_EMIT_RANK];
} product;

/* carried plus the product at one position of the last dimension. */
static jm_element add_product(nest *s, jm_kval position, jm_element carried) {
  const jm_dot_general_attrs *attrs = s->op->attrs;
  const jm_module *m = jm_emit_module(s->e);
  product *p = s->context;
  jm_kbuilder *b = jm_emit_builder(s->e);
  for (uint32_t i = 0; i < s->n_loops; i++) {
    jm_kval at = i + 1 == s->n_loops ? position : s->counters[i];
    p->lhs[attrs->lhs_contract.data[i]] = at;
    p->rhs[attrs->rhs_contract.data[i]] = at;
  }
  jm_element x[2] = {jm_emit_operand(s->e, s->op, 0, p->lhs),
                     jm_emit_operand(s->e, s->op, 1, p->rhs)};
  for (uint32_t i = 0; i < 2; i++)
    x[i] = jm_element_convert(b, jm_op_operand_type(m, s->op, i)->dtype, p->dtype, x[i]);
  if (jm_dtype_is_float(p->dtype))
    return jm_element_of(jm_k_fma(b, x[0].part[0], x[1].part[0], carried.part[0]));
  jm_element terms[2] = {carried, jm_element_run(b, JM_OP_multiply, p->dtype, x)};
  return jm_element_run(b, JM_OP_add, p->dtype, terms);
}

static void product_step(nest *s, const jm_element *carried, jm_element *next) {
  const product *p = s->context;
  jm_kbuilder *b = jm_emit_builder(s->e);
  const jm_ktype it = JM_KT_i64;
  jm_kval position = s->n_loops ? s->counters[s->n_loops - 1] : jm_k_int(b, it, 0);
  position =
      jm_k_iadd(b, jm_k_imul(b, position, jm_k_int(b, it, p->sums)), jm_k_int(b, it, p->first));
  for (uint32_t i = 0; i < p->sums; i++)
    next[i] = add_product(s, jm_k_iadd(b, position, jm_k_int(b, it, i)), carried[i]);
}

/* Where a sum begins. One product alone stays as it is, even if it is -0, as in XLA. */
static jm_element first_sum(const nest *s, jm_dtype dtype) {
  const jm_element zero = jm_emit_zero(s->e, dtype);
  int64_t terms = 1;
  for (uint32_t i = 0; i < s->n_loops; i++) terms *= s->sizes[i];
  if (terms != 1 || !(jm_dtype_is_float(dtype) || jm_dtype_is_complex(dtype))) return zero;
  return jm_element_run(jm_emit_builder(s->e), JM_OP_negate, dtype, &zero);
}

static jm_element sum_products(nest *s, product *p) {
  jm_kbuilder *b = jm_emit_builder(s->e);
  jm_element zero = first_sum(s, p->dtype), sums[SUMS];
  int64_t *last = s->n_loops ? &s->sizes[s->n_loops - 1] : NULL, whole = last ? *last : 1;
  for (uint32_t i = 0; i < SUMS; i++) sums[i] = zero;
  p->sums = 1;
  p->first = 0;
  if (last && whole >= FEWEST && jm_dtype_is_float(p->dtype)) {
    *last = whole / SUMS;
    s->n = p->sums = SUMS;
    run_nest(s, sums, sums);
    jm_kval low = jm_k_fadd(b, sums[0].part[0], sums[1].part[0]);
    sums[0] = jm_element_of(jm_k_fadd(b, low, jm_k_fadd(b, sums[2].part[0], sums[3].part[0])));
    p->first = whole / SUMS * SUMS;
    *last = whole - p->first;
    s->n = p->sums = 1;
    if (!*last) return sums[0];
  }
  run_nest(s, sums, sums);
  return sums[0];
}

/* The result's dimensions: batch, the rest of lhs, the rest of rhs. */
void jm_emit_dot_general(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  const jm_dot_general_attrs *attrs = op->attrs;
  const jm_module *m = jm_emit_module(e);
  const jm_type *lhs = jm_op_operand_type(m, op, 0), *rhs = jm_op_operand_type(m, op, 1);
  product p;
  nest s = {.e = e, .op = op, .n = 1, .step = product_step, .context = &p};
  uint32_t k = attrs->lhs_batch.n;
  find_product(m, op, &p.dtype);
  for (uint32_t i = 0; i < k; i++) {
    p.lhs[attrs->lhs_batch.data[i]] = index[i];
    p.rhs[attrs->rhs_batch.data[i]] = index[i];
  }
  for (uint32_t d = 0; d < lhs->rank; d++)
    if (!jm_i64s_contains(attrs->lhs_batch, d) && !jm_i64s_contains(attrs->lhs_contract, d))
      p.lhs[d] = index[k++];
  for (uint32_t d = 0; d < rhs->rank; d++)
    if (!jm_i64s_contains(attrs->rhs_batch, d) && !jm_i64s_contains(attrs->rhs_contract, d))
      p.rhs[d] = index[k++];
  jm_element sum = jm_emit_zero(e, p.dtype);
  bool empty = false;
  for (uint32_t i = 0; i < attrs->lhs_contract.n; i++) {
    s.sizes[s.n_loops++] = lhs->dims[attrs->lhs_contract.data[i]];
    empty |= !s.sizes[i];
  }
  if (!empty) sum = sum_products(&s, &p);
  out[0] = jm_element_convert(jm_emit_builder(e), p.dtype, jm_op_result_type(m, op, 0)->dtype, sum);
}

bool jm_emit_check_dot_general(const jm_module *m, const jm_op *op) {
  jm_dtype dtype;
  return find_product(m, op, &dtype);
}

double jm_emit_price_dot_general(const jm_module *m, const jm_op *op) {
  const jm_dot_general_attrs *attrs = op->attrs;
  const jm_type *lhs = jm_op_operand_type(m, op, 0);
  double steps = 1;
  for (uint32_t i = 0; i < attrs->lhs_contract.n; i++)
    steps *= (double)lhs->dims[attrs->lhs_contract.data[i]];
  return 2 * steps;
}
