/* SPDX-License-Identifier: Apache-2.0
 * Reductions inside of loop kernels, in lanes: of everything to one element, and of rows. */
#include "kernel/emit/reduction.h"
#include "kernel/schedule/schedule_loop.h"

typedef struct fold {
  jm_looper *l;
  jm_reduction r;
  const int64_t *sizes; /* of the n axes that are folded away */
  uint32_t n, width;
  const jm_axes *axes;       /* their positions are all there is to an index; NULL: */
  jm_kval row[JM_LOOP_RANK]; /* it starts with these, and the axes are dimensions */
  uint32_t n_row;
} fold;

static void combine(void *context, jm_kbuilder *b, const jm_kval *lower, const jm_kval *upper,
                    jm_kval *out) {
  (void)b;
  const fold *f = context;
  jm_element x[JM_REDUCTION_RESULTS], y[JM_REDUCTION_RESULTS];
  jm_reduction_unpack(&f->r, lower, x);
  jm_reduction_unpack(&f->r, upper, y);
  jm_reduction_step(&f->r, f->l->e, x, y, x);
  jm_reduction_pack(&f->r, x, out);
}

static jm_element pull_operand(const fold *f, uint32_t k, const jm_kval *x) {
  const jm_looper *l = f->l;
  jm_kval index[JM_LOOP_RANK];
  if (f->axes) {
    jm_axes_index(l->b, f->sizes, x, f->n, jm_op_operand_type(l->m, f->r.op, k), index);
  } else {
    for (uint32_t d = 0; d < f->n_row; d++) index[d] = f->row[d];
    for (uint32_t d = 0; d < f->n; d++) index[f->n_row + d] = x[d];
  }
  return jm_emit_value(l->e, f->r.op->operands[k], index);
}

/* acc becomes acc and all points on the axes from depth on. */
static void fold_axes(fold *f, uint32_t depth, jm_kval *x, jm_element *acc) {
  jm_looper *l = f->l;
  if (depth == f->n) {
    jm_element element[JM_REDUCTION_RESULTS];
    for (uint32_t k = 0; k < f->r.n; k++) element[k] = pull_operand(f, k, x);
    jm_reduction_lift(&f->r, l->e, element);
    jm_reduction_step(&f->r, l->e, acc, element, acc);
    return;
  }
  const bool lanes = depth + 1 == f->n && f->width > 1;
  jm_kval parts[16];
  jm_element inner[JM_REDUCTION_RESULTS];
  jm_kloop loop;
  if (lanes) jm_reduction_start(&f->r, l->e, inner); /* what w lanes may start from */
  uint32_t n = jm_reduction_pack(&f->r, lanes ? inner : acc, parts);
  jm_kval lower = jm_kbuild_index(l->b, 0), upper = jm_kbuild_index(l->b, f->sizes[depth]);
  jm_kbuild_loop_begin(l->b, lanes ? JM_BIND_VECTOR : JM_BIND_SERIAL, lanes ? f->width : 0, lower,
                       upper, parts, n, &loop);
  x[depth] = loop.index;
  jm_reduction_unpack(&f->r, loop.carries, inner);
  fold_axes(f, depth + 1, x, inner);
  jm_reduction_pack(&f->r, inner, parts);
  if (!lanes) {
    jm_kbuild_loop_end(l->b, &loop, parts);
    jm_reduction_unpack(&f->r, loop.carries, acc);
    return;
  }
  jm_kbuild_loop_end_combine(l->b, &loop, parts, combine, f);
  jm_reduction_unpack(&f->r, loop.carries, inner);
  jm_reduction_step(&f->r, l->e, acc, inner, acc);
}

static void fold_all(fold *f, jm_element *out) {
  jm_element acc[JM_REDUCTION_RESULTS];
  jm_kval x[2 * JM_CLUSTER_RANK];
  jm_dtype widest = JM_DT_s8;
  for (uint32_t k = 0; k < f->r.n; k++)
    if (jm_dtype_bytes(f->r.dtypes[k]) > jm_dtype_bytes(widest)) widest = f->r.dtypes[k];
  f->width = f->n ? jm_looper_width(f->l, widest, f->sizes[f->n - 1]) : 1;
  jm_reduction_start(&f->r, f->l->e, acc);
  fold_axes(f, 0, x, acc);
  jm_reduction_finish(&f->r, f->l->e, acc, out);
}

bool jm_looper_reduce(jm_looper *l, const jm_op *op, jm_element *out) {
  if (op->code != JM_OP_reduce || jm_op_result_type(l->m, op, 0)->count != 1) return false;
  const jm_type *type = jm_op_operand_type(l->m, op, 0);
  fold f = {.l = l};
  jm_axes axes;
  if (type->count < 2 || op->n_results > JM_REDUCTION_RESULTS) return false;
  jm_reduction_init(l->m, op, &f.r);
  if (!f.r.grouped) return false;
  jm_axes_init(&axes, type->count);
  for (uint32_t k = 0; k < f.r.n; k++)
    if (!jm_axes_add_value(&axes, jm_op_operand_type(l->m, op, k), l->breaks[op->operands[k]]))
      return false;
  jm_axes_finish(&axes);
  f.axes = &axes;
  f.sizes = axes.sizes;
  f.n = axes.n;
  fold_all(&f, out);
  return true;
}

static void store_rows(fold *f, const jm_type *type, jm_place *const *to) {
  jm_kbuilder *b = f->l->b;
  jm_kloop loop;
  if (f->n_row < type->rank) {
    jm_kval lower = jm_kbuild_index(b, 0), upper = jm_kbuild_index(b, type->dims[f->n_row]);
    jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 0, lower, upper, NULL, 0, &loop);
    f->row[f->n_row++] = loop.index;
    store_rows(f, type, to);
    f->n_row--;
    jm_kbuild_loop_end(b, &loop, NULL);
    return;
  }
  jm_element out[JM_REDUCTION_RESULTS];
  fold_all(f, out);
  jm_kval point = jm_emit_linear(f->l->e, type, f->row);
  for (uint32_t k = 0; k < f->r.n; k++) {
    jm_kval at = to[k]->offset == JM_KNONE ? point : jm_k_iadd(b, to[k]->offset, point);
    jm_emit_store(f->l->e, jm_op_result_type(f->l->m, f->r.op, k)->dtype, to[k]->param, at, out[k]);
  }
}

void jm_looper_reduce_rows(jm_looper *l, const jm_op *op, jm_place *const *to) {
  const jm_type *type = jm_op_result_type(l->m, op, 0), *from = jm_op_operand_type(l->m, op, 0);
  fold f = {.l = l, .sizes = from->dims + type->rank, .n = from->rank - type->rank};
  jm_reduction_init(l->m, op, &f.r);
  store_rows(&f, type, to);
}
