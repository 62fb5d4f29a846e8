/* SPDX-License-Identifier: Apache-2.0
 * Kernels of f32 and f64. Functions are those of vector_math.h and of the C library. */
#include "engine/elementwise/kernel_float.h"

#include <math.h>

#include "base/number.h"
#include "engine/elementwise/kernel.h"
#include "engine/elementwise/vector_math.h"

#define M_f32(fn) fn##f
#define M_f64(fn) fn
#define V_f32(fn) jm_##fn##f
#define V_f64(fn) fn
#define BITWISE_f32(x, operator, y) jm_f32_from_bits(jm_f32_bits(x) operator jm_f32_bits(y))
#define BITWISE_f64(x, operator, y) jm_f64_from_bits(jm_f64_bits(x) operator jm_f64_bits(y))

static inline double logistic(double x) { return 1 / (1 + exp(-x)); }

#define R_f32 float
#define R_f64 double
#define SAME(v) (v)
#define UNARY(d, op, expression) JM_CLONES JM_UNARY(op##_##d, R_##d, R_##d, SAME, expression)
#define PREDICATE(d, op, expression) JM_CLONES JM_UNARY(op##_##d, R_##d, uint8_t, SAME, expression)
#define BINARY(d, op, expression) JM_CLONES JM_BINARY(op##_##d, R_##d, R_##d, SAME, expression)
#define ROW(d, op, expression) [JM_OP_##op] = op##_##d,

/* complex: the output is wider than the inputs, so it is never one of them. */
#define FLOAT(d)                                                        \
  JM_FLOAT_OPS(UNARY, PREDICATE, BINARY, d)                             \
  static void complex_##d(const void *const *in, void *out, size_t n) { \
    const R_##d *re = in[0], *im = in[1];                               \
    R_##d *r = out;                                                     \
    for (size_t i = 0; i < n; i++) {                                    \
      r[2 * i] = re[i];                                                 \
      r[2 * i + 1] = im[i];                                             \
    }                                                                   \
  }                                                                     \
  jm_elementwise_kernel *const jm_elementwise_kernels_##d[JM_N_OPS] = { \
      JM_FLOAT_OPS(ROW, ROW, ROW, d)[JM_OP_complex] = complex_##d,      \
  };

FLOAT(f32)
FLOAT(f64)
