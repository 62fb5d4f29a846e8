/* SPDX-License-Identifier: Apache-2.0
 * Elementwise ops on single elements of tensors, as kernel instructions, by class of element type.
 * One table per class lists the ops, their functions and their costs. Knows nothing of tensors,
 * indices or modules; that is emit.c. Private to emission. */
#ifndef JM_KERNEL_EMIT_ELEMENT_H
#define JM_KERNEL_EMIT_ELEMENT_H

#include "kernel/emit/emit.h"

/* -- besides the instructions' own functions (jm_k_fadd and the like, build.h) */

static inline jm_kval jm_k_float(jm_kbuilder *b, jm_ktype type, double value) {
  return jm_kbuild_float(b, type, value);
}
static inline jm_kval jm_k_int(jm_kbuilder *b, jm_ktype type, int64_t value) {
  return jm_kbuild_int(b, type, value);
}
/* The integer with a float's bits, of its width, and back. */
static inline jm_kval jm_k_bits(jm_kbuilder *b, jm_kval x) {
  return jm_k_bitcast(b, jm_kbuild_type(b, x) == JM_KT_f64 ? JM_KT_i64 : JM_KT_i32, x);
}
static inline jm_kval jm_k_from_bits(jm_kbuilder *b, jm_kval x) {
  return jm_k_bitcast(b, jm_kbuild_type(b, x) == JM_KT_i64 ? JM_KT_f64 : JM_KT_f32, x);
}
/* c[0] + c[1] x + ... by Horner's rule with fma; n >= 1. */
static inline jm_kval jm_k_polynomial(jm_kbuilder *b, jm_kval x, const double *c, size_t n) {
  const jm_ktype t = jm_kbuild_type(b, x);
  jm_kval sum = jm_k_float(b, t, c[n - 1]);
  for (size_t i = n - 1; i--;) sum = jm_k_fma(b, sum, x, jm_k_float(b, t, c[i]));
  return sum;
}
#define JM_POLYNOMIAL(b, x, c) jm_k_polynomial(b, x, c, sizeof(c) / sizeof *(c))

static inline jm_element jm_element_of(jm_kval part) { return (jm_element){{part, JM_KNONE}}; }
static inline jm_element jm_element_pair(jm_kval re, jm_kval im) { return (jm_element){{re, im}}; }

/* -- types */

/* The type of one part of an element in registers. */
jm_ktype jm_element_type(jm_dtype dtype);
/* Between an element in registers and the integer with the bits that our buffers hold (pred: i8 of
 * 0 or 1; types below 8 bits: i8). Not for complex types. */
jm_kval jm_element_pack(jm_kbuilder *b, jm_dtype dtype, jm_kval x);
jm_kval jm_element_unpack(jm_kbuilder *b, jm_dtype dtype, jm_kval bits);

/* element_narrow.c: any f32 to the nearest value of a narrower float, as f32; other float types:
 * x itself. */
jm_kval jm_element_round(jm_kbuilder *b, jm_dtype dtype, jm_kval x);
/* The same from f64, in one rounding (bf16: by way of f32, as base/number.h says). */
jm_kval jm_element_round_f64(jm_kbuilder *b, jm_dtype dtype, jm_kval x);
/* Parts of pack and unpack. */
jm_kval jm_element_pack_narrow(jm_kbuilder *b, jm_dtype dtype, jm_kval x);
jm_kval jm_element_unpack_narrow(jm_kbuilder *b, jm_dtype dtype, jm_kval bits);
jm_kval jm_element_reduce_precision(jm_kbuilder *b, jm_dtype dtype, jm_kval x, int64_t exponent,
                                    int64_t mantissa);

/* Normalises the upper bits of an integer below 8 bits to the form of our buffers. */
jm_kval jm_element_wrap(jm_kbuilder *b, jm_dtype dtype, jm_kval x);

/* -- ops: one table per class. unary or binary builds the result; flops is its cost in simple
 * operations. */
typedef struct jm_integer {
  jm_kbuilder *b;
  jm_dtype dtype;
  jm_ktype type; /* in registers */
  int bits;      /* of dtype, not of type */
  bool is_signed;
} jm_integer;

typedef jm_kval jm_integer_unary(const jm_integer *n, jm_kval x);
typedef jm_kval jm_integer_binary(const jm_integer *n, jm_kval x, jm_kval y);
typedef jm_kval jm_float_unary(jm_kbuilder *b, jm_kval x);
typedef jm_kval jm_float_binary(jm_kbuilder *b, jm_kval x, jm_kval y);
typedef jm_element jm_complex_unary(jm_kbuilder *b, jm_element x);
typedef jm_element jm_complex_binary(jm_kbuilder *b, jm_element x, jm_element y);

typedef struct jm_integer_row {
  jm_integer_unary *unary;
  jm_integer_binary *binary;
  float flops;
} jm_integer_row;
typedef struct jm_float_row {
  jm_float_unary *unary;
  jm_float_binary *binary;
  float flops, flops_f64;
  bool exact; /* a value of f16 or bf16 gives one: no rounding is needed */
} jm_float_row;
typedef struct jm_complex_row {
  jm_complex_unary *unary;
  jm_complex_binary *binary;
  float flops;
  bool narrow; /* for c64 alone: f64 must hold twice the digits and the squares of the parts */
} jm_complex_row;

extern const jm_integer_row jm_element_pred[JM_N_OPS], jm_element_integer[JM_N_OPS];
extern const jm_float_row jm_element_float[JM_N_OPS];
extern const jm_complex_row jm_element_complex[JM_N_OPS];

/* Has the op a function, of some type? */
bool jm_element_has(jm_opcode code);
/* The op on elements of one type; x: as many as it has operands. NULL flops is allowed. */
bool jm_element_supports(jm_opcode code, jm_dtype dtype, double *flops);
jm_element jm_element_run(jm_kbuilder *b, jm_opcode code, jm_dtype dtype, const jm_element *x);

/* element_complex.c, element_complex_functions.c: parts as f64, and results in the type of x's
 * parts */
jm_kval jm_complex_widen(jm_kbuilder *b, jm_kval part);
jm_element jm_complex_narrow(jm_kbuilder *b, jm_element x, jm_kval re, jm_kval im);
jm_complex_binary jm_complex_divide;
jm_complex_unary jm_complex_log, jm_complex_log1p, jm_complex_expm1, jm_complex_sqrt,
    jm_complex_rsqrt, jm_complex_sin, jm_complex_cos, jm_complex_tan, jm_complex_tanh,
    jm_complex_logistic, jm_complex_exp;

/* element_convert.c */
jm_element jm_element_convert(jm_kbuilder *b, jm_dtype from, jm_dtype to, jm_element x);
jm_kval jm_element_compare(jm_kbuilder *b, jm_dtype dtype, jm_direction direction, bool total,
                           jm_element x, jm_element y);

/* -- functions of f32 and f64 (math_*.c); error bounds are at their definitions */
jm_float_unary jm_math_exp, jm_math_expm1, jm_math_log, jm_math_log1p, jm_math_logistic,
    jm_math_tanh, jm_math_sinh, jm_math_cosh, jm_math_asinh, jm_math_acosh, jm_math_atanh,
    jm_math_sin, jm_math_cos, jm_math_tan, jm_math_asin, jm_math_acos, jm_math_cbrt, jm_math_erf,
    jm_math_erfc, jm_math_erf_inv;
jm_float_binary jm_math_atan2, jm_math_pow, jm_math_hypot;
/* fn of an f64, or of an f32 as the rounded one of f64; of an f32 itself if there is no f64. */
jm_kval jm_math_through_f64(jm_kbuilder *b, jm_float_unary *fn, jm_kval x);
/* exp where the result is a normal number. */
jm_float_unary jm_math_exp_normal;
/* Is x an f32, and f64 not to be used (jm_kbuilder_allow_f64)? */
static inline bool jm_math_is_single(const jm_kbuilder *b, jm_kval x) {
  return jm_kbuild_type(b, x) == JM_KT_f32 && !jm_kbuilder_allows_f64(b);
}
/* Of f32 without f64 (math_single.c). pow: of a base that is not negative. */
jm_float_unary jm_single_sin, jm_single_cos, jm_single_tan, jm_single_cbrt;
jm_float_binary jm_single_pow;
void jm_single_sin_cos(jm_kbuilder *b, jm_kval x, jm_kval *sine, jm_kval *cosine);
/* Of an f32 or f64, as f64: correct to f32's last place, or f64's. As f32 if there is no f64. */
void jm_math_sin_cos(jm_kbuilder *b, jm_kval x, jm_kval *sine, jm_kval *cosine);
/* Each of n factors (f64, at most 1) times e^x. */
void jm_math_exp_times(jm_kbuilder *b, jm_kval x, jm_kval *factors, int n);
/* e^(x + y), y being the rounding error of x. */
jm_float_binary jm_math_exp_sum;

#endif
