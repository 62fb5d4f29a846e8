/* SPDX-License-Identifier: Apache-2.0
 * Reductions inside of loop kernels, in lanes: full ones, to one element, and those of rows. */
#include "kernel/schedule/fold.h"
#include "kernel/schedule/schedule_loop.h"

typedef struct reduced {
  jm_looper *l;
  jm_reduction r;
  jm_axes axes;
  bool whole;                /* the positions on the axes are the whole index; else */
  jm_kval row[JM_LOOP_RANK]; /* it starts with these, and the axes are dimensions */
  uint32_t n_row;
} reduced;

static void pull_operands(void *context, jm_launch_builder *launch, const jm_kval *x, jm_kval place,
                          jm_element (*elements)[JM_REDUCTION_RESULTS]) {
  const reduced *f = context;
  const jm_looper *l = f->l;
  (void)launch, (void)place;
  for (uint32_t k = 0; k < f->r.n; k++) {
    jm_kval index[JM_LOOP_RANK];
    if (f->whole) {
      jm_axes_index(l->b, f->axes.sizes, x, f->axes.n, jm_op_operand_type(l->m, f->r.op, k), index);
    } else {
      for (uint32_t d = 0; d < f->n_row; d++) index[d] = f->row[d];
      for (uint32_t d = 0; d < f->axes.n; d++) index[f->n_row + d] = x[d];
    }
    elements[0][k] = jm_emit_value(l->e, f->r.op->operands[k], index);
  }
}

static void reduce(reduced *f, jm_element *out) {
  jm_looper *l = f->l;
  jm_element acc[JM_REDUCTION_RESULTS], *const results[] = {acc};
  const jm_reduction *const listed[] = {&f->r};
  jm_dtype widest = JM_DT_s8;
  for (uint32_t k = 0; k < f->r.n; k++)
    if (jm_dtype_bytes(f->r.dtypes[k]) > jm_dtype_bytes(widest)) widest = f->r.dtypes[k];
  jm_looper_shape(l, widest);
  const int64_t steps = jm_fold_steps(l->s->target, &f->axes, false);
  const jm_fold_range range = {
      .lower = jm_kbuild_index(l->b, 0), .upper = jm_kbuild_index(l->b, steps), .most = steps};
  jm_launch_fold(&l->launch, &f->axes, range, listed, 1, pull_operands, f, results);
  jm_reduction_finish(&f->r, l->e, acc, out);
}

bool jm_looper_reduce(jm_looper *l, const jm_op *op, jm_element *out) {
  if (op->code != JM_OP_reduce || jm_op_result_type(l->m, op, 0)->count != 1) return false;
  const jm_type *type = jm_op_operand_type(l->m, op, 0);
  reduced f = {.l = l, .whole = true};
  if (type->count < 2 || op->n_results > JM_REDUCTION_RESULTS) return false;
  jm_reduction_init(l->m, op, &f.r);
  if (!f.r.grouped) return false;
  jm_axes_init(&f.axes, type->count);
  for (uint32_t k = 0; k < f.r.n; k++)
    if (!jm_axes_add_value(&f.axes, jm_op_operand_type(l->m, op, k), l->s->breaks[op->operands[k]]))
      return false;
  jm_axes_finish(&f.axes);
  reduce(&f, out);
  return true;
}

static void store_rows(reduced *f, const jm_type *type, jm_place *const *to) {
  jm_kbuilder *b = f->l->b;
  jm_kloop loop;
  if (f->n_row < type->rank) {
    jm_kval lower = jm_kbuild_index(b, 0), upper = jm_kbuild_index(b, type->dims[f->n_row]);
    jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 1, lower, upper, NULL, 0, &loop);
    f->row[f->n_row++] = loop.index;
    store_rows(f, type, to);
    f->n_row--;
    jm_kbuild_loop_end(b, &loop, NULL);
    return;
  }
  jm_element out[JM_REDUCTION_RESULTS];
  reduce(f, out);
  jm_kval point = jm_emit_linear(f->l->e, type, f->row);
  for (uint32_t k = 0; k < f->r.n; k++) {
    jm_kval at = to[k]->offset == JM_KNONE ? point : jm_k_iadd(b, to[k]->offset, point);
    if (to[k]->whole) at = jm_looper_linear(f->l->e, to[k], f->row);
    jm_emit_store(f->l->e, jm_op_result_type(f->l->m, f->r.op, k)->dtype, to[k]->param, at, out[k]);
  }
}

void jm_looper_reduce_rows(jm_looper *l, const jm_op *op, jm_place *const *to) {
  const jm_type *type = jm_op_result_type(l->m, op, 0), *from = jm_op_operand_type(l->m, op, 0);
  reduced f = {.l = l};
  f.axes = (jm_axes){.count = from->count / type->count, .n = from->rank - type->rank};
  for (uint32_t d = 0; d < f.axes.n; d++) f.axes.sizes[d] = from->dims[type->rank + d];
  jm_reduction_init(l->m, op, &f.r);
  store_rows(&f, type, to);
}
