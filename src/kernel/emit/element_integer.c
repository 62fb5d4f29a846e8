/* SPDX-License-Identifier: Apache-2.0
 * Ops of integers and pred. Arithmetic wraps by itself; types below 8 bits are computed in i8 and
 * wrapped by jm_element_run. What an instruction leaves undefined (shifts past the width, division
 * by zero and with overflow) is guarded by giving it another operand and selecting the result. */
#include "kernel/emit/element.h"

#define SCOPE                  \
  jm_kbuilder *const b = n->b; \
  const jm_ktype it = n->type; \
  (void)b, (void)it, (void)y

/* ADD(iadd) and the like: one instruction */
#define BINARY(name, code)                                         \
  static jm_kval name(const jm_integer *n, jm_kval x, jm_kval y) { \
    return jm_kbuild2(n->b, JM_K_##code, x, y);                    \
  }
BINARY(add, iadd)
BINARY(subtract, isub)
BINARY(multiply, imul)
BINARY(bitwise_and, and)
BINARY(bitwise_or, or)
BINARY(bitwise_xor, xor)

/* The bits of a value without what extends a small signed one. */
static jm_kval plain(const jm_integer *n, jm_kval x) {
  jm_kbuilder *const b = n->b;
  const jm_ktype it = n->type;
  return n->bits < 8 ? AND(x, I((1 << n->bits) - 1)) : x;
}

static jm_kval absolute(const jm_integer *n, jm_kval x, jm_kval y) {
  SCOPE;
  return n->is_signed ? SMAX(x, ISUB(I(0), x)) : x;
}

static jm_kval negate(const jm_integer *n, jm_kval x, jm_kval y) {
  SCOPE;
  return ISUB(I(0), x);
}

static jm_kval complement(const jm_integer *n, jm_kval x, jm_kval y) {
  SCOPE;
  return XOR(x, I(-1));
}

static jm_kval sign(const jm_integer *n, jm_kval x, jm_kval y) {
  SCOPE;
  return n->is_signed ? SMIN(SMAX(x, I(-1)), I(1)) : UMIN(x, I(1));
}

static jm_kval popcnt(const jm_integer *n, jm_kval x, jm_kval y) {
  SCOPE;
  return jm_kbuild1(b, JM_K_ctpop, plain(n, x));
}

static jm_kval leading_zeros(const jm_integer *n, jm_kval x, jm_kval y) {
  SCOPE;
  jm_kval zeros = jm_kbuild1(b, JM_K_ctlz, plain(n, x));
  return n->bits < 8 ? ISUB(zeros, I(8 - n->bits)) : zeros;
}

static jm_kval maximum(const jm_integer *n, jm_kval x, jm_kval y) {
  return jm_kbuild2(n->b, n->is_signed ? JM_K_smax : JM_K_umax, x, y);
}

static jm_kval minimum(const jm_integer *n, jm_kval x, jm_kval y) {
  return jm_kbuild2(n->b, n->is_signed ? JM_K_smin : JM_K_umin, x, y);
}

/* x / 0 = -1 (all ones), x / -1 = -x. */
static jm_kval divide(const jm_integer *n, jm_kval x, jm_kval y) {
  SCOPE;
  jm_kval zero = IEQ(y, I(0));
  if (!n->is_signed) return SELECT(zero, I(-1), jm_kbuild2(b, JM_K_udiv, x, SELECT(zero, I(1), y)));
  jm_kval minus = IEQ(y, I(-1));
  jm_kval quotient = jm_kbuild2(b, JM_K_sdiv, x, SELECT(OR(zero, minus), I(1), y));
  return SELECT(zero, I(-1), SELECT(minus, ISUB(I(0), x), quotient));
}

/* x % 0 = x, x % -1 = 0. */
static jm_kval rest(const jm_integer *n, jm_kval x, jm_kval y) {
  SCOPE;
  jm_kval zero = IEQ(y, I(0));
  if (!n->is_signed) return SELECT(zero, x, jm_kbuild2(b, JM_K_urem, x, SELECT(zero, I(1), y)));
  jm_kval unsafe = OR(zero, IEQ(y, I(-1)));
  return SELECT(zero, x, jm_kbuild2(b, JM_K_srem, x, SELECT(unsafe, I(1), y)));
}

/* A count as an instruction may have it; counts are read as unsigned. */
static jm_kval count(const jm_integer *n, jm_kval y) {
  jm_kbuilder *const b = n->b;
  const jm_ktype it = n->type;
  return AND(y, I((int)jm_ktype_bits[it] - 1));
}

static jm_kval shift_left(const jm_integer *n, jm_kval x, jm_kval y) {
  SCOPE;
  return SELECT(ULT(y, I(n->bits)), SHL(x, count(n, y)), I(0));
}

static jm_kval shift_right_logical(const jm_integer *n, jm_kval x, jm_kval y) {
  SCOPE;
  return SELECT(ULT(y, I(n->bits)), LSHR(plain(n, x), count(n, y)), I(0));
}

static jm_kval shift_right_arithmetic(const jm_integer *n, jm_kval x, jm_kval y) {
  SCOPE;
  if (n->bits < 8) x = ASHR(SHL(x, I(8 - n->bits)), I(8 - n->bits));
  return ASHR(x, UMIN(y, I(n->bits - 1)));
}

/* Squares: a loop over the exponent's bits, or, for a constant, only those it has. An exponent
 * below 0 gives 0 unless the base is 1 or -1. */
static jm_kval power(const jm_integer *n, jm_kval x, jm_kval y) {
  SCOPE;
  uint64_t known;
  int bits = n->is_signed ? n->bits - 1 : n->bits;
  jm_kval result = I(1);
  if (jm_kbuild_is_const(b, y, &known) && !(known >> (n->bits - 1))) {
    for (jm_kval base = x; known; known >>= 1) {
      if (known & 1) result = IMUL(result, base);
      if (known > 1) base = IMUL(base, base);
    }
    return result;
  }
  jm_kloop loop;
  jm_kval initial[3] = {result, x, y}, next[3];
  jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 1, jm_kbuild_index(b, 0), jm_kbuild_index(b, bits),
                       initial, 3, &loop);
  jm_kval base = loop.carries[1], exponent = loop.carries[2];
  jm_kval odd = INE(AND(exponent, I(1)), I(0));
  next[0] = SELECT(odd, IMUL(loop.carries[0], base), loop.carries[0]);
  next[1] = IMUL(base, base);
  next[2] = LSHR(exponent, I(1));
  jm_kbuild_loop_end(b, &loop, next);
  result = loop.carries[0];
  if (!n->is_signed) return result;
  jm_kval minus = SELECT(INE(AND(y, I(1)), I(0)), I(-1), I(1));
  jm_kval inverse = SELECT(IEQ(x, I(1)), I(1), SELECT(IEQ(x, I(-1)), minus, I(0)));
  return SELECT(SLT(y, I(0)), inverse, result);
}

const jm_integer_row jm_element_integer[JM_N_OPS] = {
    [JM_OP_abs] = {absolute, 2},
    [JM_OP_count_leading_zeros] = {leading_zeros, 2},
    [JM_OP_negate] = {negate, 1},
    [JM_OP_not] = {complement, 1},
    [JM_OP_popcnt] = {popcnt, 2},
    [JM_OP_sign] = {sign, 2},
    [JM_OP_add] = {add, 1},
    [JM_OP_and] = {bitwise_and, 1},
    [JM_OP_divide] = {divide, 25},
    [JM_OP_maximum] = {maximum, 1},
    [JM_OP_minimum] = {minimum, 1},
    [JM_OP_multiply] = {multiply, 1},
    [JM_OP_or] = {bitwise_or, 1},
    [JM_OP_power] = {power, 150},
    [JM_OP_remainder] = {rest, 25},
    [JM_OP_shift_left] = {shift_left, 2},
    [JM_OP_shift_right_arithmetic] = {shift_right_arithmetic, 2},
    [JM_OP_shift_right_logical] = {shift_right_logical, 2},
    [JM_OP_subtract] = {subtract, 1},
    [JM_OP_xor] = {bitwise_xor, 1},
};

const jm_integer_row jm_element_pred[JM_N_OPS] = {
    [JM_OP_not] = {complement, 1},     [JM_OP_and] = {bitwise_and, 1},
    [JM_OP_or] = {bitwise_or, 1},      [JM_OP_xor] = {bitwise_xor, 1},
    [JM_OP_add] = {bitwise_or, 1},     [JM_OP_multiply] = {bitwise_and, 1},
    [JM_OP_maximum] = {bitwise_or, 1}, [JM_OP_minimum] = {bitwise_and, 1},
};
