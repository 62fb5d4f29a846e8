/* SPDX-License-Identifier: Apache-2.0
 * A convolution reads a reversed kernel where it is, if the library does that without a copy:
 *
 *   %w: f32[3,3,8,8] = reverse %k dims=[0,1]
 *   %y: f32[2,9,9,8] = convolution %x, %w  kernel_spatial=[0,1] reversal=[0,0]
 * becomes
 *   %y: f32[2,9,9,8] = convolution %x, %k  kernel_spatial=[0,1] reversal=[1,1]
 *
 * So the input's gradient needs no copy of the weights. Nor does the group that updates them hold
 * one: it would read the old weights in another order than it writes the new ones, which then could
 * not take the old ones' memory. A library may add the same products in another order. */
#include "pass/rewrite.h"

/* The entry of `spatial` that is a dimension; n: none. */
static uint32_t find_entry(jm_i64s spatial, int64_t dim) {
  uint32_t i = 0;
  while (i < spatial.n && spatial.data[i] != dim) i++;
  return i;
}

/* Whether only windows are reversed, not features. */
static bool is_spatial(const jm_convolution_attrs *a, jm_i64s dims) {
  for (uint32_t i = 0; i < dims.n; i++)
    if (find_entry(a->kernel_spatial, dims.data[i]) == a->kernel_spatial.n) return false;
  return true;
}

static jm_error *visit(jm_rewrite *rw, jm_region_id region, jm_op_id id) {
  (void)region;
  jm_op *op = jm_module_op(rw->m, id);
  if (op->code != JM_OP_convolution) return NULL;
  const jm_op *made = jm_module_definition(rw->m, op->operands[1]);
  jm_convolution_attrs attrs = *(const jm_convolution_attrs *)op->attrs;
  if (!made || made->code != JM_OP_reverse) return NULL;
  const jm_i64s dims = ((const jm_reverse_attrs *)made->attrs)->dims;
  if (!is_spatial(&attrs, dims)) return NULL;
  int64_t *reversal =
      jm_arena_copy(&rw->m->arena, attrs.reversal.data, attrs.reversal.n, sizeof *reversal);
  if (!reversal) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < dims.n; i++)
    reversal[find_entry(attrs.kernel_spatial, dims.data[i])] ^= 1;
  attrs.reversal.data = reversal;
  op->attrs = jm_arena_copy(&rw->m->arena, &attrs, 1, sizeof attrs);
  op->operands[1] = made->operands[0];
  rw->changed = true;
  return op->attrs ? NULL : jm_error_out_of_memory();
}

jm_error *jm_pass_reversal(jm_module *m, const jm_pass_options *options, bool *changed) {
  return jm_rewrite_run(m, options, visit, NULL, changed);
}
