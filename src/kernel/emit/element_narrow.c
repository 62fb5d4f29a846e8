/* SPDX-License-Identifier: Apache-2.0
 * Floats narrower than f32. In registers one is the f32 with its value; a NaN keeps its payload in
 * the upper bits, so that what is only moved comes back with its bits. Rounding is integer
 * arithmetic on the bits of an f32, without branches and without arithmetic on subnormals of f32.
 * base/number.h says what each format is. */
#include "base/number.h"
#include "kernel/emit/element.h"

typedef struct format {
  int exponent, mantissa, bias;
  jm_float_kind kind;
} format;

static const format formats[JM_N_DTYPES] = {
#define NARROW(name, exponent, mantissa, bias, kind) \
  [JM_DT_##name] = {exponent, mantissa, bias, JM_FLOAT_##kind},
#include "base/number.def"
    [JM_DT_f16] = {5, 10, 15, JM_FLOAT_IEEE},
};

#define SCOPE                                   \
  const jm_ktype it = JM_KT_i32, t = JM_KT_f32; \
  (void)t, (void)it

#define INFINITE 0x7f800000

/* The bits of the format's number 2^exponent. */
static int64_t power_bits(int exponent) { return (int64_t)(127 + exponent) << 23; }

/* -- bf16: the upper half of an f32 */

static jm_kval round_bf16(jm_kbuilder *b, jm_kval x) {
  SCOPE;
  jm_kval bits = BITS(x), odd = AND(LSHR(bits, I(16)), I(1));
  jm_kval rounded = IADD(bits, IADD(odd, I(0x7fff)));
  jm_kval quiet = OR(bits, I(0x400000)); /* rounding could carry a NaN into an infinity */
  return FROM_BITS(AND(SELECT(FUNO(x, x), quiet, rounded), I(0xffff0000)));
}

/* -- formats of a table row, f16 among them */

/* |x| rounded to the format's digits, x's sign kept apart, range not yet looked at. Below the
 * normal numbers the sum with 2^k rounds to a multiple of the smallest number. */
static jm_kval round_magnitude(jm_kbuilder *b, const format *f, jm_kval magnitude) {
  SCOPE;
  int drop = 23 - f->mantissa;
  jm_kval odd = AND(LSHR(magnitude, I(drop)), I(1));
  jm_kval normal = IADD(magnitude, IADD(odd, I((1 << (drop - 1)) - 1)));
  normal = AND(normal, I(-(INT64_C(1) << drop)));
  jm_kval unit = FROM_BITS(I(power_bits(24 - f->bias - f->mantissa)));
  jm_kval tiny = BITS(FSUB(FADD(FROM_BITS(magnitude), unit), unit));
  return SELECT(ULT(magnitude, I(power_bits(1 - f->bias))), tiny, normal);
}

/* The largest number, and what is beyond it and NaN become. */
static int64_t largest(const format *f) {
  uint32_t all = (1u << (f->exponent + f->mantissa)) - 1, top = all >> f->mantissa << f->mantissa;
  uint32_t code = f->kind == JM_FLOAT_IEEE ? top - 1 : f->kind == JM_FLOAT_FN ? all - 1 : all;
  return ((int64_t)code << (23 - f->mantissa)) + power_bits(-f->bias);
}

static jm_kval round_format(jm_kbuilder *b, const format *f, jm_kval x) {
  SCOPE;
  jm_kval bits = BITS(x), magnitude = AND(bits, I(INT32_MAX)), sign = XOR(bits, magnitude);
  jm_kval nan = ULT(I(INFINITE), magnitude), rounded = round_magnitude(b, f, magnitude);
  jm_kval high = ULT(I(largest(f)), rounded);
  jm_kval quiet = I(INFINITE | 1 << 22);
  switch (f->kind) {
    case JM_FLOAT_IEEE: /* f16 keeps what payload it can; the others have but one NaN */
      rounded = SELECT(high, I(INFINITE), rounded);
      if (f->mantissa == 10) quiet = AND(OR(magnitude, I(1 << 22)), I(-(INT64_C(1) << 13)));
      break;
    case JM_FLOAT_FN:
      rounded = SELECT(high, quiet, rounded);
      break;
    case JM_FLOAT_FNUZ: /* no -0; its place is the NaN, which has no sign */
      rounded = SELECT(high, quiet, rounded);
      sign = SELECT(OR(nan, OR(high, IEQ(rounded, I(0)))), I(0), sign);
      break;
    case JM_FLOAT_FINITE: /* NaN gives -0 */
      rounded = SELECT(high, I(largest(f)), rounded);
      quiet = I(0);
      sign = SELECT(nan, I(1u << 31), sign);
      break;
  }
  return FROM_BITS(OR(sign, SELECT(nan, quiet, rounded)));
}

/* Between the exponents of an infinity of the format, rebiased, and of f32, in its place. */
static int64_t lift(const format *f) {
  return (int64_t)(128 + f->bias - (1 << f->exponent) + 1) << 23;
}

static jm_kval pack_format(jm_kbuilder *b, const format *f, jm_kval x) {
  SCOPE;
  int drop = 23 - f->mantissa, width = f->exponent + f->mantissa;
  jm_kval bits = BITS(x), magnitude = AND(bits, I(INT32_MAX));
  jm_kval sign = SHL(LSHR(bits, I(31)), I(width));
  jm_kval special = ULE(I(INFINITE), magnitude), base = I(power_bits(-f->bias));
  if (f->kind == JM_FLOAT_IEEE) base = SELECT(special, I(power_bits(-f->bias) + lift(f)), base);
  jm_kval normal = LSHR(ISUB(magnitude, base), I(drop));
  /* A subnormal is a small multiple of the smallest number: the sum with 2^k has it as its last
   * bits. */
  int64_t unit = power_bits(24 - f->bias - f->mantissa);
  jm_kval tiny = ISUB(BITS(FADD(FROM_BITS(magnitude), FROM_BITS(I(unit)))), I(unit));
  jm_kval code = SELECT(ULT(magnitude, I(power_bits(1 - f->bias))), tiny, normal);
  switch (f->kind) {
    case JM_FLOAT_FN:
      return OR(sign, SELECT(special, I((1 << width) - 1), code));
    case JM_FLOAT_FNUZ:
      return SELECT(special, I(1 << width), OR(sign, code));
    default:
      return OR(sign, code);
  }
}

static jm_kval unpack_format(jm_kbuilder *b, const format *f, jm_kval code) {
  SCOPE;
  int drop = 23 - f->mantissa, width = f->exponent + f->mantissa;
  int64_t all = (1 << width) - 1, top = all >> f->mantissa << f->mantissa;
  jm_kval magnitude = AND(code, I(all)), sign = SHL(AND(LSHR(code, I(width)), I(1)), I(31));
  jm_kval smallest = FROM_BITS(I(power_bits(1 - f->bias - f->mantissa)));
  jm_kval tiny = BITS(FMUL(CAST(sitofp, f32, magnitude), smallest));
  jm_kval bits = IADD(SHL(magnitude, I(drop)), I(power_bits(-f->bias)));
  if (f->kind == JM_FLOAT_IEEE) /* infinity and NaN: up to the exponent that says so in f32 */
    bits = IADD(bits, SELECT(ULE(I(top), magnitude), I(lift(f)), I(0)));
  bits = SELECT(ULT(magnitude, I(1 << f->mantissa)), tiny, bits);
  jm_kval nan = I(INFINITE | 1 << 22);
  if (f->kind == JM_FLOAT_FN) bits = SELECT(IEQ(magnitude, I(all)), nan, bits);
  if (f->kind == JM_FLOAT_FNUZ)
    bits = SELECT(IEQ(AND(code, I(2 * all + 1)), I(1 << width)), nan, bits);
  return FROM_BITS(OR(bits, sign));
}

/* -- f8e8m0fnu: powers of two alone; what is not positive and finite is NaN; halves go up */

static jm_kval pack_e8m0(jm_kbuilder *b, jm_kval x) {
  SCOPE;
  jm_kval bits = BITS(x), code = LSHR(IADD(bits, I(1 << 22)), I(23));
  code = SELECT(ULT(bits, I(0x600000)), I(0), code); /* subnormals have no leading one */
  jm_kval positive = AND(SLT(I(0), bits), ULT(bits, I(INFINITE)));
  return SELECT(AND(positive, ULT(code, I(255))), code, I(255));
}

static jm_kval unpack_e8m0(jm_kbuilder *b, jm_kval code) {
  SCOPE;
  code = AND(code, I(255));
  jm_kval bits = SELECT(IEQ(code, I(0)), I(0x400000), SHL(code, I(23)));
  return FROM_BITS(SELECT(IEQ(code, I(255)), I(INFINITE | 1 << 22), bits));
}

/* -- all of them */

static bool is_narrow(jm_dtype dtype) {
  return jm_dtype_is_float(dtype) && dtype != JM_DT_f32 && dtype != JM_DT_f64;
}

jm_kval jm_element_round(jm_kbuilder *b, jm_dtype dtype, jm_kval x) {
  if (!is_narrow(dtype)) return x;
  if (dtype == JM_DT_bf16) return round_bf16(b, x);
  if (dtype == JM_DT_f8e8m0fnu) return unpack_e8m0(b, pack_e8m0(b, x));
  return round_format(b, &formats[dtype], x);
}

/* To f32 towards zero, with the last bit set if anything was lost: what is rounded from there to
 * fewer than 22 digits is rounded as if from f64. */
jm_kval jm_element_round_f64(jm_kbuilder *b, jm_dtype dtype, jm_kval x) {
  jm_kval nearest = CAST(fptrunc, f32, x);
  if (dtype == JM_DT_f64) return x;
  if (dtype == JM_DT_f32 || dtype == JM_DT_bf16) return jm_element_round(b, dtype, nearest);
  jm_kval back = CAST(fpext, f64, nearest);
  jm_kval beyond = CAST(sext, i32, FOLT(FABS(x), FABS(back))); /* -1 if so */
  jm_kval lost = CAST(zext, i32, FUNE(back, x));
  jm_kval odd = FROM_BITS(OR(IADD(BITS(nearest), beyond), lost));
  return jm_element_round(b, dtype, SELECT(FUNO(x, x), nearest, odd));
}

jm_kval jm_element_pack_narrow(jm_kbuilder *b, jm_dtype dtype, jm_kval x) {
  SCOPE;
  if (dtype == JM_DT_bf16) return CAST(itrunc, i16, LSHR(BITS(x), I(16)));
  jm_kval code = dtype == JM_DT_f8e8m0fnu ? pack_e8m0(b, x) : pack_format(b, &formats[dtype], x);
  return dtype == JM_DT_f16 ? CAST(itrunc, i16, code) : CAST(itrunc, i8, code);
}

jm_kval jm_element_unpack_narrow(jm_kbuilder *b, jm_dtype dtype, jm_kval bits) {
  SCOPE;
  jm_kval code = CAST(zext, i32, bits);
  if (dtype == JM_DT_bf16) return FROM_BITS(SHL(code, I(16)));
  return dtype == JM_DT_f8e8m0fnu ? unpack_e8m0(b, code) : unpack_format(b, &formats[dtype], code);
}

/* -- reduce_precision: to a format of IEEE's shape, without its subnormals, in place */

static jm_kval reduce_bits(jm_kbuilder *b, jm_kval bits, int digits, int own_bias, int exponent,
                           int mantissa) {
  const jm_ktype it = jm_kbuild_type(b, bits);
  const uint64_t top = UINT64_C(1) << (jm_ktype_bits[it] - 1); /* the sign */
  const int64_t infinity = (int64_t)(2 * own_bias + 1) << digits;
  jm_kval sign = AND(bits, I(top)), x = XOR(bits, sign);
  jm_kval nan = ULT(I(infinity), x);
  if (mantissa < digits) {
    int64_t last = INT64_C(1) << (digits - mantissa);
    jm_kval odd = SELECT(INE(AND(x, I(last)), I(0)), I(last >> 1), I((last >> 1) - 1));
    x = AND(IADD(x, odd), I(-last));
  }
  int bias = exponent < 20 ? (1 << (exponent - 1)) - 1 : own_bias;
  if (bias < own_bias) {
    x = SELECT(ULT(x, I((int64_t)(own_bias + bias + 1) << digits)), x, I(infinity));
    x = SELECT(ULT(x, I((int64_t)(own_bias - bias + 1) << digits)), I(0), x);
  }
  return SELECT(nan, bits, OR(sign, x));
}

/* The attributes' limits are those of the reference engine. */
jm_kval jm_element_reduce_precision(jm_kbuilder *b, jm_dtype dtype, jm_kval x, int64_t exponent,
                                    int64_t mantissa) {
  int e = exponent > 16 ? 16 : (int)exponent, m = mantissa > 64 ? 64 : (int)mantissa;
  switch (dtype) {
    case JM_DT_f64:
      return FROM_BITS(reduce_bits(b, BITS(x), 52, 1023, e, m));
    case JM_DT_f32:
      return FROM_BITS(reduce_bits(b, BITS(x), 23, 127, e, m));
    case JM_DT_bf16:
    case JM_DT_f16: {
      bool half = dtype == JM_DT_f16;
      jm_kval bits = jm_element_pack(b, dtype, x);
      return jm_element_unpack(b, dtype,
                               reduce_bits(b, bits, half ? 10 : 7, half ? 15 : 127, e, m));
    }
    default: { /* by way of f32, whose own subnormals stay */
      int own = dtype == JM_DT_f8e8m0fnu ? 8 : formats[dtype].exponent;
      jm_kval bits = reduce_bits(b, BITS(x), 23, 127, e < own ? e : 8, m);
      return jm_element_round(b, dtype, FROM_BITS(bits));
    }
  }
}
