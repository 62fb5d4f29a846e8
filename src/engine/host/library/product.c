/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library/product.h"

#include <stdatomic.h>

#include "base/convert.h"
#include "base/parallel.h"
#include "base/scratch.h"

enum { GRAIN = 1 << 15 }; /* elements */

typedef struct conversion {
  jm_dtype from, to;
  const char *in;
  char *out;
  jm_error *_Atomic error;
} conversion;

static void convert_part(void *context, size_t begin, size_t end) {
  conversion *c = context;
  jm_error *error = jm_convert_run(c->from, c->to, c->in + begin * jm_dtype_bytes(c->from),
                                   c->out + begin * jm_dtype_bytes(c->to), end - begin);
  if (error) jm_error_destroy(atomic_exchange(&c->error, error));
}

static jm_error *convert_all(jm_dtype from, jm_dtype to, const void *in, void *out, size_t n) {
  conversion c = {.from = from, .to = to, .in = in, .out = out};
  jm_parallel_for(n, GRAIN, convert_part, &c);
  return atomic_load(&c.error);
}

static jm_error *convert(const jm_tensor *tensor, jm_dtype dtype, const void **data, void **owned) {
  *data = tensor->data;
  if (tensor->type->dtype == dtype) return NULL;
  size_t count = (size_t)tensor->type->count;
  *data = *owned = jm_scratch_take(count * jm_dtype_bytes(dtype));
  if (!*owned) return jm_error_out_of_memory();
  return convert_all(tensor->type->dtype, dtype, tensor->data, *owned, count);
}

/* The largest magnitude of a small integer; 0: it is none. */
static double largest_of(jm_dtype dtype) {
  return dtype == JM_DT_s8 ? 128 : dtype == JM_DT_u8 ? 255 : 0;
}

/* A float in which all partial sums are exact, so that BLAS multiplies small integers. */
static void find_exact_float(const jm_call *call, int64_t terms, jm_dtype *dtype) {
  const double most =
      (double)terms * largest_of(call->in[0].type->dtype) * largest_of(call->in[1].type->dtype);
  if (*dtype != JM_DT_s32 || most == 0 || most >= 0x1p31) return;
  *dtype = most <= 0x1p24 ? JM_DT_f32 : JM_DT_f64;
}

jm_error *jm_product_init(const jm_call *call, int64_t terms, jm_product *out) {
  *out = (jm_product){0};
  const jm_type *result = call->out[0].type;
  if (!jm_dtype_of_product(call->in[0].type->dtype, call->in[1].type->dtype, result->dtype,
                           &out->dtype))
    return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED, "products of these types");
  find_exact_float(call, terms, &out->dtype);
  jm_error *error = convert(&call->in[0], out->dtype, &out->lhs, &out->owned[0]);
  if (!error) error = convert(&call->in[1], out->dtype, &out->rhs, &out->owned[1]);
  out->out = call->out[0].data;
  if (!error && result->dtype != out->dtype) {
    out->owned[2] = jm_scratch_take((size_t)result->count * jm_dtype_bytes(out->dtype));
    out->out = out->owned[2];
    if (!out->out) error = jm_error_out_of_memory();
  }
  if (error) jm_product_deinit(out);
  return error;
}

jm_error *jm_product_store(const jm_call *call, const jm_product *product) {
  if (product->out == call->out[0].data) return NULL;
  return convert_all(product->dtype, call->out[0].type->dtype, product->out, call->out[0].data,
                     (size_t)call->out[0].type->count);
}

void jm_product_deinit(jm_product *product) {
  for (int i = 0; i < 3; i++) jm_scratch_give(product->owned[i]);
  *product = (jm_product){0};
}

jm_error *jm_product_check(const jm_module *module, const jm_op *op) {
  jm_dtype dtype;
  if (jm_dtype_of_product(jm_op_operand_type(module, op, 0)->dtype,
                          jm_op_operand_type(module, op, 1)->dtype,
                          jm_op_result_type(module, op, 0)->dtype, &dtype))
    return NULL;
  return jm_op_error(module, op, JM_UNIMPLEMENTED, "products of these types");
}
