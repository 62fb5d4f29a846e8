/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/schedule/cuts.h"

#include <string.h>

typedef struct search {
  jm_scheduler *s;
  jm_cuts *cuts;
  jm_cuts_resolve *resolve;
  const void *context;
} search;

void jm_cuts_init(jm_cuts *cuts, int64_t size) { *cuts = (jm_cuts){{0, size}, 2}; }

/* Keeps the list ascending; drops cuts outside of the axis, and those that no longer fit. */
static void add(jm_cuts *cuts, int64_t at) {
  uint32_t i = 0;
  while (i < cuts->n && cuts->at[i] < at) i++;
  if (!i || i == cuts->n || cuts->at[i] == at || cuts->n == JM_CUTS + 2) return;
  memmove(cuts->at + i + 1, cuts->at + i, (cuts->n - i) * sizeof *cuts->at);
  cuts->at[i] = at;
  cuts->n++;
}

static void walk(search *q, jm_value v, int64_t d, int64_t offset);

static void walk_pad(search *q, const jm_op *op, int64_t d, int64_t offset) {
  const jm_pad_attrs *a = op->attrs;
  int64_t low = a->low.data[d], size = jm_op_operand_type(q->s->m, op, 0)->dims[d];
  if (a->interior.data[d] && size > 1) return;
  add(q->cuts, low - offset);
  add(q->cuts, low + size - offset);
  walk(q, op->operands[0], d, offset - low);
}

static void walk_concatenate(search *q, const jm_op *op, int64_t d, int64_t offset) {
  const jm_concatenate_attrs *a = op->attrs;
  int64_t start = 0;
  for (uint32_t k = 0; k < op->n_operands; k++) {
    bool along = a->dim == d;
    if (along) add(q->cuts, start - offset);
    walk(q, op->operands[k], d, along ? offset - start : offset);
    start += jm_op_operand_type(q->s->m, op, k)->dims[d];
  }
}

static void walk_broadcast(search *q, const jm_op *op, int64_t d, int64_t offset) {
  const jm_broadcast_in_dim_attrs *a = op->attrs;
  for (uint32_t i = 0; i < a->dims.n; i++)
    if (a->dims.data[i] == d && jm_op_operand_type(q->s->m, op, 0)->dims[i] != 1)
      walk(q, op->operands[0], i, offset);
}

/* Adds the cuts of v, which is read at position + offset along its dimension d. */
static void walk(search *q, jm_value v, int64_t d, int64_t offset) {
  if (q->resolve) v = q->resolve(q->context, v);
  const jm_op *op = v == JM_NONE ? NULL : jm_module_definition(q->s->m, v);
  if (!op || q->s->seen[v]) return;
  q->s->seen[v] = true;
  if (jm_op_facts[op->code].traits & JM_TRAIT_ELEMENTWISE) {
    for (uint32_t k = 0; k < op->n_operands; k++)
      if (jm_op_operand_type(q->s->m, op, k)->rank) walk(q, op->operands[k], d, offset);
    return;
  }
  switch (op->code) {
    case JM_OP_pad:
      walk_pad(q, op, d, offset);
      break;
    case JM_OP_concatenate:
      walk_concatenate(q, op, d, offset);
      break;
    case JM_OP_broadcast_in_dim:
      walk_broadcast(q, op, d, offset);
      break;
    case JM_OP_transpose:
      walk(q, op->operands[0], ((const jm_transpose_attrs *)op->attrs)->permutation.data[d],
           offset);
      break;
    case JM_OP_slice: {
      const jm_slice_attrs *a = op->attrs;
      if (a->stride.data[d] == 1) walk(q, op->operands[0], d, offset + a->start.data[d]);
      break;
    }
    default:
      break;
  }
}

void jm_cuts_find(jm_scheduler *s, const jm_axes *axes, uint32_t axis, jm_value root,
                  jm_cuts_resolve *resolve, const void *context, jm_cuts *cuts) {
  const jm_type *type = jm_module_typeof(s->m, root);
  /* The root's dimension d - 1 that is the axis: the dimensions after it are the axes after it. */
  int64_t inside = 1, product = 1;
  for (uint32_t a = axis + 1; a < axes->n; a++) inside *= axes->sizes[a];
  uint32_t d = type->rank;
  while (d && product < inside) product *= type->dims[--d];
  while (d && type->dims[d - 1] == 1) d--;
  if (!d || product != inside || type->dims[d - 1] != axes->sizes[axis]) return;
  memset(s->seen, 0, s->m->n_values * sizeof *s->seen);
  search q = {s, cuts, resolve, context};
  walk(&q, root, d - 1, 0);
}
