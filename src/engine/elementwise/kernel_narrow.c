/* SPDX-License-Identifier: Apache-2.0
 * Kernels of the floats narrower than f32: blocks are widened to f32, run through f32's kernel, and
 * rounded. For +, -, *, / and sqrt that is the correctly rounded result, because f32 has more than
 * twice the digits of any of them. */
#include "base/number.h"
#include "engine/elementwise/kernel.h"
#include "engine/elementwise/kernel_float.h"

static void run(jm_dtype dtype, jm_opcode code, uint32_t n_in, bool predicate,
                const void *const *in, void *out, size_t n) {
  jm_elementwise_kernel *kernel = jm_elementwise_kernels_f32[code];
  size_t bytes = jm_dtype_bytes(dtype);
  float wide[2][JM_ELEMENTWISE_BLOCK], result[JM_ELEMENTWISE_BLOCK];
  const void *wide_in[2] = {wide[0], wide[1]};
  for (size_t done = 0; done < n; done += JM_ELEMENTWISE_BLOCK) {
    size_t count = n - done < JM_ELEMENTWISE_BLOCK ? n - done : JM_ELEMENTWISE_BLOCK;
    for (uint32_t i = 0; i < n_in; i++)
      jm_number_widen(dtype, (const char *)in[i] + done * bytes, wide[i], count);
    kernel(wide_in, predicate ? (char *)out + done : (void *)result, count);
    if (!predicate) jm_number_narrow(dtype, result, (char *)out + done * bytes, count);
  }
}

#define KERNEL(d, op, n_in, predicate)                               \
  static void op##_##d(const void *const *in, void *out, size_t n) { \
    run(JM_DT_##d, JM_OP_##op, n_in, predicate, in, out, n);         \
  }
#define UNARY(d, op, expression) KERNEL(d, op, 1, false)
#define PREDICATE(d, op, expression) KERNEL(d, op, 1, true)
#define BINARY(d, op, expression) KERNEL(d, op, 2, false)
#define ROW(d, op, expression) [JM_OP_##op] = op##_##d,

#define FLOAT(d)                                                        \
  JM_FLOAT_OPS(UNARY, PREDICATE, BINARY, d)                             \
  jm_elementwise_kernel *const jm_elementwise_kernels_##d[JM_N_OPS] = { \
      JM_FLOAT_OPS(ROW, ROW, ROW, d)};

#define NARROW(name, exponent, mantissa, bias, kind) FLOAT(name)
#include "base/number.def"
FLOAT(f8e8m0fnu)
FLOAT(f16)
FLOAT(bf16)
