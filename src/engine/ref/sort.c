/* SPDX-License-Identifier: Apache-2.0
 * sort and top_k: a stable merge sort of positions along a line, whose order is the comparator's or
 * the total order. */
#include <string.h>

#include "engine/ref/body.h"
#include "engine/ref/functions.h"

typedef struct line {
  const jm_call *call;
  jm_ref_body *before;      /* NULL: the total order, by `compare` */
  const jm_call *compare;   /* of two elements, in its operands */
  uint32_t n_operands, dim; /* that are sorted together, and along what */
  int64_t at[JM_RANK_MAX];  /* the line's index; [dim] is free */
  const void **args;
} line;

static const void *element(line *l, uint32_t operand, int64_t i) {
  l->at[l->dim] = i;
  return jm_ref_at(&l->call->in[operand], l->at);
}

static jm_error *comes_before(line *l, int64_t i, int64_t j, bool *out) {
  uint8_t before = 0;
  for (uint32_t k = 0; k < l->n_operands; k++) {
    l->args[2 * k] = element(l, k, i);
    l->args[2 * k + 1] = element(l, k, j);
  }
  if (l->before) {
    JM_TRY(jm_ref_body_run(l->before, l->args, (void *[]){&before}));
  } else {
    const jm_type scalar = {.dtype = l->call->in[0].type->dtype, .count = 1};
    const jm_type pred = {.dtype = JM_DT_pred, .count = 1};
    const jm_tensor in[2] = {{&scalar, (void *)l->args[0]}, {&scalar, (void *)l->args[1]}};
    const jm_tensor to = {&pred, &before};
    jm_call call = *l->compare;
    call.in = in;
    call.out = &to;
    JM_TRY(jm_elementwise_compare(&call));
  }
  *out = before;
  return NULL;
}

/* Sorts order[0 .. n): halves first, then the right one's positions where they come before. */
static jm_error *merge_sort(line *l, int64_t *order, int64_t *spare, int64_t n) {
  int64_t half = n / 2, i = 0, j = half;
  if (n < 2) return NULL;
  JM_TRY(merge_sort(l, order, spare, half));
  JM_TRY(merge_sort(l, order + half, spare, n - half));
  for (int64_t k = 0; k < n; k++) {
    bool right = i == half;
    if (i < half && j < n) JM_TRY(comes_before(l, order[j], order[i], &right));
    spare[k] = right ? order[j++] : order[i++];
  }
  memcpy(order, spare, (size_t)n * sizeof *order);
  return NULL;
}

/* The order of every line along dim in turn, handed to `store`. */
static jm_error *sort_lines(line *l, void (*store)(line *l, const int64_t *order)) {
  const jm_type *type = l->call->in[0].type;
  int64_t n = type->dims[l->dim], dims[JM_RANK_MAX], index[JM_RANK_MAX] = {0};
  int64_t *order = jm_alloc((size_t)n, 2 * sizeof *order);
  l->args = jm_alloc(l->n_operands, 2 * sizeof *l->args);
  jm_error *error = order && l->args ? NULL : jm_error_out_of_memory();
  memcpy(dims, type->dims, type->rank * sizeof *dims);
  dims[l->dim] = 1;
  if (!error) do {
      memcpy(l->at, index, sizeof index);
      for (int64_t i = 0; i < n; i++) order[i] = i;
      error = merge_sort(l, order, order + n, n);
      if (!error) store(l, order);
    } while (!error && jm_ref_next(dims, type->rank, index));
  jm_free(order);
  jm_free(l->args);
  return error;
}

static void store_sorted(line *l, const int64_t *order) {
  int64_t n = l->call->in[0].type->dims[l->dim];
  for (uint32_t k = 0; k < l->n_operands; k++)
    for (int64_t i = 0; i < n; i++) {
      const void *from = element(l, k, order[i]);
      l->at[l->dim] = i;
      memcpy(jm_ref_at(&l->call->out[k], l->at), from, jm_dtype_bytes(l->call->out[k].type->dtype));
    }
}

jm_error *jm_ref_sort(const jm_call *call) {
  const jm_op *op = call->op;
  if (!op->n_results || !call->in[0].type->count) return NULL;
  if (!call->in[0].type->rank) return jm_ref_identity(call);
  jm_ref_body before;
  line l = {.call = call,
            .before = &before,
            .n_operands = op->n_operands - op->n_captures,
            .dim = (uint32_t)((const jm_sort_attrs *)op->attrs)->dim};
  jm_error *error = jm_ref_body_init(&before, call, 0);
  if (!error) error = sort_lines(&l, store_sorted);
  jm_ref_body_deinit(&before);
  return error;
}

static void store_first(line *l, const int64_t *order) {
  const jm_tensor *out = l->call->out;
  for (int64_t i = 0; i < out[0].type->dims[l->dim]; i++) {
    const int32_t position = (int32_t)order[i];
    const void *from = element(l, 0, order[i]);
    l->at[l->dim] = i;
    memcpy(jm_ref_at(&out[0], l->at), from, jm_dtype_bytes(out[0].type->dtype));
    memcpy(jm_ref_at(&out[1], l->at), &position, sizeof position);
  }
}

jm_error *jm_ref_top_k(const jm_call *call) {
  const bool smallest = ((const jm_top_k_attrs *)call->op->attrs)->smallest;
  jm_compare_attrs attrs = {.direction = smallest ? JM_COMPARE_LT : JM_COMPARE_GT,
                            .order = JM_ORDER_TOTAL};
  const jm_op op = {.code = JM_OP_compare, .n_operands = 2, .n_results = 1, .attrs = &attrs};
  const jm_call compare = {.module = call->module, .op = &op};
  line l = {.call = call, .compare = &compare, .n_operands = 1, .dim = call->in[0].type->rank - 1};
  return call->out[0].type->count ? sort_lines(&l, store_first) : NULL;
}
