/* SPDX-License-Identifier: Apache-2.0
 * The rules, one for each name in ops.def's column. A rule names factors and gives them to
 * dimensions; what it leaves out must be whole. Dimensions of size 1 need no factor. */
#include "ir/factors.h"

#include <string.h>

#include "ir/body.h"

/* The arena is the caller's; `failed` is memory that ran out, asked once at the end. */
typedef struct rule {
  const jm_module *m;
  const jm_op *op;
  jm_arena *arena;
  jm_factors *f;
  bool failed;
} rule;
typedef void rule_fn(rule *r);

#define OP(name, operands, results, regions, types, traits, verify, ref, factors, attrs, summary) \
  static rule_fn jm_factors_##factors;
#include "ir/ops.def"

static rule_fn *const rules[JM_N_OPS] = {
#define OP(name, operands, results, regions, types, traits, verify, ref, factors, attrs, summary) \
  jm_factors_##factors,
#include "ir/ops.def"
};

static const jm_type *type_of(const rule *r, uint32_t tensor) {
  return jm_factors_type(r->m, r->op, r->f, tensor);
}
static uint32_t first_result(const rule *r) { return r->f->n_inputs; }

static int32_t add(rule *r, int64_t size, bool reduced) {
  jm_factors *f = r->f;
  jm_factor *list = jm_arena_grow(r->arena, f->list, f->n + 1, &f->capacity, sizeof *list);
  if (!list) {
    r->failed = true;
    return JM_NO_FACTOR;
  }
  f->list = list;
  f->list[f->n] = (jm_factor){size, reduced};
  return (int32_t)f->n++;
}

/* A factor of two dimensions of one size. */
static void pair(rule *r, uint32_t a, int64_t a_dim, uint32_t b, int64_t b_dim) {
  const int32_t factor = add(r, type_of(r, a)->dims[a_dim], false);
  r->f->of[a][a_dim] = r->f->of[b][b_dim] = factor;
}

/* Dimension d of all tensors of this rank is one factor, if they have one size there. */
static void share(rule *r, uint32_t rank, uint32_t d) {
  int64_t size = -1;
  for (uint32_t t = 0; t < r->f->n_tensors; t++) {
    if (type_of(r, t)->rank != rank) continue;
    if (size >= 0 && type_of(r, t)->dims[d] != size) return;
    size = type_of(r, t)->dims[d];
  }
  const int32_t factor = add(r, size, false);
  for (uint32_t t = 0; t < r->f->n_tensors; t++)
    if (type_of(r, t)->rank == rank) r->f->of[t][d] = factor;
}

/* Every dimension but those in the list. */
static void share_but(rule *r, jm_i64s without) {
  const uint32_t rank = type_of(r, first_result(r))->rank;
  for (uint32_t d = 0; d < rank; d++)
    if (!jm_i64s_contains(without, d)) share(r, rank, d);
}

static void jm_factors_none(rule *r) { (void)r; }

/* Scalars count for all elements. */
static void jm_factors_pointwise(rule *r) {
  r->f->passes = true;
  share_but(r, (jm_i64s){0});
}

static void jm_factors_sharding(rule *r) {
  r->f->passes = true;
  share_but(r, (jm_i64s){0});
}

/* Each operand is a result of its own. */
static void jm_factors_barrier(rule *r) {
  r->f->passes = true;
  for (uint32_t i = 0; i < r->op->n_results; i++)
    for (uint32_t d = 0; d < type_of(r, i)->rank; d++) pair(r, i, d, first_result(r) + i, d);
}

/* -- data movement */

static void jm_factors_bitcast(rule *r) {
  const jm_type *from = type_of(r, 0), *to = type_of(r, 1);
  const uint32_t rank = from->rank < to->rank ? from->rank : to->rank;
  r->f->passes = true;
  for (uint32_t d = 0; d < rank; d++)
    if (from->dims[d] == to->dims[d]) pair(r, 0, d, 1, d);
}

static void jm_factors_broadcast(rule *r) {
  const jm_i64s dims = ((const jm_broadcast_in_dim_attrs *)r->op->attrs)->dims;
  const jm_type *from = type_of(r, 0), *to = type_of(r, 1);
  r->f->passes = true;
  for (uint32_t d = 0; d < to->rank; d++) r->f->of[1][d] = add(r, to->dims[d], false);
  for (uint32_t i = 0; i < dims.n; i++)
    if (from->dims[i] == to->dims[dims.data[i]]) r->f->of[0][i] = r->f->of[1][dims.data[i]];
}

static void jm_factors_constant(rule *r) {
  if (((const jm_constant_attrs *)r->op->attrs)->value.splat) share_but(r, (jm_i64s){0});
}

static void jm_factors_iota(rule *r) { share_but(r, (jm_i64s){0}); }

static void jm_factors_concatenate(rule *r) {
  const int64_t dim = ((const jm_concatenate_attrs *)r->op->attrs)->dim;
  r->f->passes = true;
  share_but(r, (jm_i64s){&dim, 1});
}

/* Parts of a reversed dimension trade places. */
static void jm_factors_reverse(rule *r) {
  r->f->passes = true;
  share_but(r, (jm_i64s){0});
}

static void jm_factors_transpose(rule *r) {
  const jm_i64s permutation = ((const jm_transpose_attrs *)r->op->attrs)->permutation;
  r->f->passes = true;
  for (uint32_t d = 0; d < permutation.n; d++) pair(r, 0, permutation.data[d], 1, d);
}

/* Dimensions that keep their size, and which the op therefore leaves alone. A slice with a stride
 * of all elements has stride 1, a pad that keeps the size may shift. */
static void jm_factors_slice(rule *r) {
  const uint32_t rank = type_of(r, 0)->rank;
  r->f->passes = true;
  for (uint32_t d = 0; d < rank; d++) share(r, rank, d);
}

static void jm_factors_dynamic_slice(
    rule *r) { /* the starts of whole dimensions are clamped to 0 */
  const uint32_t rank = type_of(r, 0)->rank;
  r->f->passes = true;
  if (!rank) return;
  for (uint32_t d = 0; d < rank; d++)
    if (type_of(r, 0)->dims[d] == type_of(r, first_result(r))->dims[d])
      pair(r, 0, d, first_result(r), d);
}

static void jm_factors_dynamic_update_slice(rule *r) {
  const uint32_t rank = type_of(r, 0)->rank;
  r->f->passes = true;
  for (uint32_t d = 0; rank && d < rank; d++) share(r, rank, d);
}

static void jm_factors_pad(rule *r) {
  const jm_pad_attrs *a = r->op->attrs;
  const uint32_t rank = type_of(r, 0)->rank;
  r->f->passes = true;
  for (uint32_t d = 0; d < rank; d++)
    if (!a->low.data[d] && !a->high.data[d] && (!a->interior.data[d] || type_of(r, 0)->dims[d] < 2))
      pair(r, 0, d, 2, d);
}

static int64_t greatest_divisor(int64_t a, int64_t b) {
  while (b) {
    const int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

/* The next dimension that isn't of size 1. */
static uint32_t skip_ones(const jm_type *type, uint32_t d) {
  while (d < type->rank && type->dims[d] == 1) d++;
  return d;
}

/* Dimensions are taken in groups of equal products, as in [8, 6, 5] and [4, 2, 30]; the first of
 * each group on either side, which its others are within, have a common factor. */
static void jm_factors_reshape(rule *r) {
  const jm_type *from = type_of(r, 0), *to = type_of(r, 1);
  r->f->passes = true;
  if (!from->count) return;
  uint32_t i = skip_ones(from, 0), k = skip_ones(to, 0);
  while (i < from->rank && k < to->rank) {
    const int32_t factor = add(r, greatest_divisor(from->dims[i], to->dims[k]), false);
    int64_t a = from->dims[i], b = to->dims[k];
    r->f->of[0][i++] = r->f->of[1][k++] = factor;
    while (a != b) {
      if (a < b)
        a *= from->dims[i++];
      else
        b *= to->dims[k++];
    }
    i = skip_ones(from, i);
    k = skip_ones(to, k);
  }
}

/* -- indexed */

/* The dimension of the list of slices' own dimensions that operand dimension d is; `skipped` are
 * those that slices don't have. */
static uint32_t rank_among(uint32_t d, jm_i64s skipped, jm_i64s also_skipped) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < d; i++)
    n += !jm_i64s_contains(skipped, i) && !jm_i64s_contains(also_skipped, i);
  return n;
}

/* The dimension of slices or updates that the n-th dimension outside of the list is. */
static uint32_t nth_outside(jm_i64s list, uint32_t n) {
  uint32_t d = 0;
  for (;; d++) {
    if (jm_i64s_contains(list, d)) continue;
    if (!n--) return d;
  }
}

/* What gather and scatter have in common, in the terms of gather. */
typedef struct indexed {
  uint32_t operand, indices, slices; /* tensors */
  jm_i64s offset_dims, collapsed, batching, indices_batching;
  int64_t index_vector_dim;
} indexed;

static int32_t factor_between(rule *r, uint32_t a, uint32_t a_dim, uint32_t b, uint32_t b_dim) {
  if (type_of(r, a)->dims[a_dim] != type_of(r, b)->dims[b_dim]) return JM_NO_FACTOR;
  pair(r, a, a_dim, b, b_dim);
  return r->f->of[a][a_dim];
}

/* Window dimensions that are taken whole. */
static void share_windows(rule *r, const indexed *x) {
  const jm_type *operand = type_of(r, x->operand);
  for (uint32_t d = 0; d < operand->rank; d++) {
    if (jm_i64s_contains(x->collapsed, d) || jm_i64s_contains(x->batching, d)) continue;
    const uint32_t n = rank_among(d, x->collapsed, x->batching);
    if (n < x->offset_dims.n)
      factor_between(r, x->operand, d, x->slices, (uint32_t)x->offset_dims.data[n]);
  }
}

/* Dimensions of the indices, with the operand's where they are batched together. */
static void share_indices(rule *r, const indexed *x, bool reduced) {
  const jm_type *indices = type_of(r, x->indices);
  uint32_t n = 0;
  for (uint32_t d = 0; d < indices->rank; d++) {
    if (d == x->index_vector_dim) continue;
    const uint32_t slice = nth_outside(x->offset_dims, n++);
    bool batched = false;
    for (uint32_t i = 0; i < x->indices_batching.n; i++)
      if (x->indices_batching.data[i] == d) {
        const int32_t factor = factor_between(r, x->indices, d, x->slices, slice);
        r->f->of[x->operand][x->batching.data[i]] = factor;
        batched = true;
      }
    if (batched) continue;
    const int32_t factor = factor_between(r, x->indices, d, x->slices, slice);
    if (factor != JM_NO_FACTOR) r->f->list[factor].reduced = reduced;
  }
}

static void jm_factors_gather(rule *r) {
  const jm_gather_attrs *a = r->op->attrs;
  const indexed x = {.operand = 0,
                     .indices = 1,
                     .slices = 2,
                     .offset_dims = a->offset_dims,
                     .collapsed = a->collapsed_slice_dims,
                     .batching = a->operand_batching_dims,
                     .indices_batching = a->start_indices_batching_dims,
                     .index_vector_dim = a->index_vector_dim};
  share_windows(r, &x);
  share_indices(r, &x, false);
}

static jm_value behind_annotations(const jm_module *m, jm_value v) {
  const jm_op *op = jm_module_definition(m, v);
  while (op && (op->code == JM_OP_sharding_constraint || op->code == JM_OP_sharding_group)) {
    v = op->operands[0];
    op = jm_module_definition(m, v);
  }
  return v;
}

/* Whether the region is a sum or the like and an operand is its identity everywhere, so that each
 * device may start from it. */
static bool starts_from_identity(rule *r, jm_region_id region, jm_value operand) {
  jm_monoid monoid;
  const void *element = jm_module_element(r->m, behind_annotations(r->m, operand));
  if (!element || !jm_body_monoid(r->m, region, &monoid) || !monoid.grouped) return false;
  if (!jm_monoid_is_identity(&monoid, element)) return false;
  r->f->combine = monoid.code;
  return true;
}

/* Updates divided along the indices are a part of a sum, if there is nothing to add them to. */
static void jm_factors_scatter(rule *r) {
  const jm_scatter_attrs *a = r->op->attrs;
  if (r->op->n_results != 1 || r->op->n_captures) return;
  const indexed x = {.operand = 0,
                     .indices = 1,
                     .slices = 2,
                     .offset_dims = a->update_window_dims,
                     .collapsed = a->inserted_window_dims,
                     .batching = a->input_batching_dims,
                     .indices_batching = a->scatter_indices_batching_dims,
                     .index_vector_dim = a->index_vector_dim};
  share_windows(r, &x);
  if (starts_from_identity(r, r->op->first_region, r->op->operands[0])) {
    share_indices(r, &x, true);
  } else {
    for (uint32_t i = 0; i < x.batching.n; i++) {
      const uint32_t d = (uint32_t)x.indices_batching.data[i];
      const uint32_t before = d - (x.index_vector_dim < d);
      const int32_t factor =
          factor_between(r, x.indices, d, x.slices, nth_outside(x.offset_dims, before));
      r->f->of[x.operand][x.batching.data[i]] = factor;
    }
  }
  for (uint32_t d = 0; d < type_of(r, 0)->rank; d++) r->f->of[3][d] = r->f->of[0][d];
}

/* -- reductions, windows, sorting */

static void jm_factors_reduce(rule *r) {
  const jm_i64s dims = ((const jm_reduce_attrs *)r->op->attrs)->dims;
  const uint32_t n = r->op->n_results, rank = type_of(r, 0)->rank;
  const bool combines = n == 1 && !r->op->n_captures &&
                        starts_from_identity(r, r->op->first_region, r->op->operands[1]);
  uint32_t kept = 0;
  for (uint32_t d = 0; d < rank; d++) {
    const bool folded = jm_i64s_contains(dims, d);
    if (folded && !combines) continue;
    const int32_t factor = add(r, type_of(r, 0)->dims[d], folded);
    for (uint32_t i = 0; i < n; i++) {
      r->f->of[i][d] = factor;
      if (!folded) r->f->of[first_result(r) + i][kept] = factor;
    }
    kept += !folded;
  }
}

/* Dimensions along which no window sees more than its own element. */
static bool is_pointwise_window(const jm_op *op, uint32_t d) {
  const bool pools = op->code == JM_OP_reduce_window;
  const jm_reduce_window_attrs *a = op->attrs;
  const jm_select_and_scatter_attrs *b = op->attrs;
  const jm_i64s padding = pools ? a->padding : b->padding;
  return (pools ? a->window : b->window).data[d] == 1 &&
         (pools ? a->strides : b->strides).data[d] == 1 && !padding.data[2 * d] &&
         !padding.data[2 * d + 1] && (!pools || a->base_dilations.data[d] == 1);
}

static void jm_factors_window(rule *r) {
  const uint32_t rank = type_of(r, 0)->rank;
  for (uint32_t d = 0; rank && d < rank; d++)
    if (is_pointwise_window(r->op, d)) share(r, rank, d);
}

static void jm_factors_sort(rule *r) {
  const int64_t dim = ((const jm_sort_attrs *)r->op->attrs)->dim;
  share_but(r, (jm_i64s){&dim, 1});
}

/* All dimensions but the last n. */
static void share_leading(rule *r, uint32_t n) {
  const uint32_t rank = type_of(r, 0)->rank;
  for (uint32_t d = 0; d + n < rank; d++) share(r, rank, d);
}

static void jm_factors_top_k(rule *r) { share_leading(r, 1); }
static void jm_factors_matrices(rule *r) { share_leading(r, 2); }
static void jm_factors_fft(rule *r) {
  share_leading(r, ((const jm_fft_attrs *)r->op->attrs)->length.n);
}

/* -- products */

static void share_contracted(rule *r, int64_t lhs, int64_t rhs) {
  pair(r, 0, lhs, 1, rhs);
  const int32_t factor = r->f->of[0][lhs];
  if (factor != JM_NO_FACTOR) r->f->list[factor].reduced = true;
  r->f->combine = JM_OP_add;
}

static void jm_factors_dot_general(rule *r) {
  const jm_dot_general_attrs *a = r->op->attrs;
  const jm_i64s batch[] = {a->lhs_batch, a->rhs_batch};
  const jm_i64s contract[] = {a->lhs_contract, a->rhs_contract};
  uint32_t at = 0;
  for (; at < batch[0].n; at++) {
    pair(r, 0, batch[0].data[at], 1, batch[1].data[at]);
    r->f->of[2][at] = r->f->of[0][batch[0].data[at]];
  }
  for (uint32_t side = 0; side < 2; side++)
    for (uint32_t d = 0; d < type_of(r, side)->rank; d++)
      if (!jm_i64s_contains(batch[side], d) && !jm_i64s_contains(contract[side], d))
        pair(r, side, d, 2, at++);
  for (uint32_t i = 0; i < contract[0].n; i++)
    share_contracted(r, contract[0].data[i], contract[1].data[i]);
}

static void jm_factors_convolution(rule *r) {
  const jm_convolution_attrs *a = r->op->attrs;
  if (a->batch_groups == 1) pair(r, 0, a->input_batch, 2, a->output_batch);
  if (a->batch_groups != 1 || a->feature_groups != 1) return;
  pair(r, 1, a->kernel_output_feature, 2, a->output_feature);
  share_contracted(r, a->input_feature, a->kernel_input_feature);
}

/* -- custom calls */

/* Those that work on each matrix, or vector, of a batch by itself. */
static const struct {
  const char *target;
  uint32_t rank; /* of one of operand 0 */
} batched_calls[] = {
    {"mps.eigh", 2},  {"mps.eig", 2},
    {"mps.schur", 2}, {"mps.hessenberg", 2},
    {"mps.svd", 2},   {"mps.lu", 2},
    {"mps.geqp3", 2}, {"mps.tridiagonal", 2},
    {"mps.ormqr", 2}, {"mps.tridiagonal_solve", 1},
    {"Qr", 2},        {"ProductOfElementaryHouseholderReflectors", 2},
};

static void share_batch(rule *r, uint32_t d) {
  const int64_t size = type_of(r, 0)->dims[d];
  for (uint32_t t = 0; t < r->f->n_tensors; t++)
    if (type_of(r, t)->rank <= d || type_of(r, t)->dims[d] != size) return;
  const int32_t factor = add(r, size, false);
  for (uint32_t t = 0; t < r->f->n_tensors; t++) r->f->of[t][d] = factor;
}

bool jm_factors_listed(const jm_module *m, const jm_op *op, jm_i64s list) {
  if (!list.n) return true;
  const int64_t n = list.data[0];
  if (n < 0 || n > (list.n - 1) / 2) return false;
  for (int64_t k = 0; k < n; k++)
    if (list.data[1 + 2 * k] < 1 || list.data[2 + 2 * k] >> 1) return false;
  uint32_t at = 1 + 2 * (uint32_t)n;
  for (uint32_t t = 0; t < op->n_operands + op->n_results; t++) {
    const jm_type *type = t < op->n_operands ? jm_op_operand_type(m, op, t)
                                             : jm_op_result_type(m, op, t - op->n_operands);
    for (uint32_t d = 0; d < type->rank; d++, at++)
      if (at >= list.n || list.data[at] < JM_NO_FACTOR || list.data[at] >= n) return false;
  }
  return at == list.n;
}

static void read_listed(rule *r, jm_i64s list) {
  const int64_t n = list.data[0];
  r->f->passes = true;
  for (int64_t k = 0; k < n; k++) {
    const bool reduced = list.data[2 + 2 * k] != 0;
    if (reduced) r->f->passes = false;
    (void)add(r, list.data[1 + 2 * k], reduced);
  }
  r->f->combine = JM_OP_add;
  const int64_t *at = list.data + 1 + 2 * n;
  for (uint32_t t = 0; t < r->f->n_tensors; t++)
    for (uint32_t d = 0; d < type_of(r, t)->rank; d++) r->f->of[t][d] = (int32_t)*at++;
}

static void jm_factors_custom_call(rule *r) {
  const jm_custom_call_attrs *a = r->op->attrs;
  if (a->factors.n) {
    read_listed(r, a->factors);
    return;
  }
  if (!r->f->n_inputs || !a->target.size || a->has_side_effect) return;
  for (size_t i = 0; i < sizeof batched_calls / sizeof *batched_calls; i++) {
    if (strcmp(a->target.bytes, batched_calls[i].target) != 0) continue;
    for (uint32_t d = 0; d + batched_calls[i].rank < type_of(r, 0)->rank; d++) share_batch(r, d);
  }
}

/* -- the table */

static bool allocate(rule *r) {
  jm_factors *f = r->f;
  f->of = jm_arena_alloc(r->arena, f->n_tensors, sizeof *f->of);
  if (!f->of) return false;
  for (uint32_t t = 0; t < f->n_tensors; t++) {
    const uint32_t rank = type_of(r, t)->rank;
    f->of[t] = jm_arena_alloc(r->arena, rank, sizeof *f->of[t]);
    if (!f->of[t]) return false;
    for (uint32_t d = 0; d < rank; d++) f->of[t][d] = JM_NO_FACTOR;
  }
  return true;
}

jm_error *jm_factors_find(const jm_module *m, const jm_op *op, jm_arena *arena, jm_factors **out) {
  *out = NULL;
  if (rules[op->code] == jm_factors_none) return NULL;
  jm_factors *f = jm_arena_alloc(arena, 1, sizeof *f);
  if (!f) return jm_error_out_of_memory();
  f->n_inputs = op->n_operands - op->n_captures;
  f->n_tensors = f->n_inputs + op->n_results;
  rule r = {.m = m, .op = op, .arena = arena, .f = f};
  if (!allocate(&r)) return jm_error_out_of_memory();
  rules[op->code](&r);
  if (r.failed) return jm_error_out_of_memory();
  if (f->n) *out = f;
  return NULL;
}
