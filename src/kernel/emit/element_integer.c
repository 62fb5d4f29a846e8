/* SPDX-License-Identifier: Apache-2.0
 * Ops of integers and pred. Instructions wrap; types below 8 bits are computed in i8 and wrapped by
 * jm_element_run. Undefined cases of an instruction (shifts past the width, division by zero and
 * with overflow) are guarded by substituting an operand and selecting the result. */
#include "kernel/emit/element.h"

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

/* The bits of a value, without the sign extension of a small signed one. */
static jm_kval plain(const jm_integer *n, jm_kval x) {
  jm_kbuilder *const b = n->b;
  const jm_ktype it = n->type;
  return n->bits < 8 ? jm_k_and(b, x, jm_k_int(b, it, (1 << n->bits) - 1)) : x;
}

static jm_kval absolute(const jm_integer *n, jm_kval x) {
  jm_kbuilder *const b = n->b;
  const jm_ktype it = n->type;
  return n->is_signed ? jm_k_smax(b, x, jm_k_isub(b, jm_k_int(b, it, 0), x)) : x;
}

static jm_kval negate(const jm_integer *n, jm_kval x) {
  jm_kbuilder *const b = n->b;
  const jm_ktype it = n->type;
  return jm_k_isub(b, jm_k_int(b, it, 0), x);
}

static jm_kval complement(const jm_integer *n, jm_kval x) {
  jm_kbuilder *const b = n->b;
  const jm_ktype it = n->type;
  return jm_k_xor(b, x, jm_k_int(b, it, -1));
}

static jm_kval sign(const jm_integer *n, jm_kval x) {
  jm_kbuilder *const b = n->b;
  const jm_ktype it = n->type;
  return n->is_signed ? jm_k_smin(b, jm_k_smax(b, x, jm_k_int(b, it, -1)), jm_k_int(b, it, 1))
                      : jm_k_umin(b, x, jm_k_int(b, it, 1));
}

static jm_kval popcnt(const jm_integer *n, jm_kval x) {
  jm_kbuilder *const b = n->b;
  return jm_k_ctpop(b, plain(n, x));
}

static jm_kval leading_zeros(const jm_integer *n, jm_kval x) {
  jm_kbuilder *const b = n->b;
  const jm_ktype it = n->type;
  jm_kval zeros = jm_k_ctlz(b, plain(n, x));
  return n->bits < 8 ? jm_k_isub(b, zeros, jm_k_int(b, it, 8 - n->bits)) : zeros;
}

static jm_kval maximum(const jm_integer *n, jm_kval x, jm_kval y) {
  return jm_kbuild2(n->b, n->is_signed ? JM_K_smax : JM_K_umax, x, y);
}

static jm_kval minimum(const jm_integer *n, jm_kval x, jm_kval y) {
  return jm_kbuild2(n->b, n->is_signed ? JM_K_smin : JM_K_umin, x, y);
}

/* x / 0 = -1 (all ones), x / -1 = -x. */
static jm_kval divide(const jm_integer *n, jm_kval x, jm_kval y) {
  jm_kbuilder *const b = n->b;
  const jm_ktype it = n->type;
  jm_kval zero = jm_k_ieq(b, y, jm_k_int(b, it, 0));
  if (!n->is_signed)
    return jm_k_select(b, zero, jm_k_int(b, it, -1),
                       jm_k_udiv(b, x, jm_k_select(b, zero, jm_k_int(b, it, 1), y)));
  jm_kval minus = jm_k_ieq(b, y, jm_k_int(b, it, -1));
  jm_kval quotient =
      jm_k_sdiv(b, x, jm_k_select(b, jm_k_or(b, zero, minus), jm_k_int(b, it, 1), y));
  return jm_k_select(b, zero, jm_k_int(b, it, -1),
                     jm_k_select(b, minus, jm_k_isub(b, jm_k_int(b, it, 0), x), quotient));
}

/* x % 0 = x, x % -1 = 0. */
static jm_kval rest(const jm_integer *n, jm_kval x, jm_kval y) {
  jm_kbuilder *const b = n->b;
  const jm_ktype it = n->type;
  jm_kval zero = jm_k_ieq(b, y, jm_k_int(b, it, 0));
  if (!n->is_signed)
    return jm_k_select(b, zero, x, jm_k_urem(b, x, jm_k_select(b, zero, jm_k_int(b, it, 1), y)));
  jm_kval unsafe = jm_k_or(b, zero, jm_k_ieq(b, y, jm_k_int(b, it, -1)));
  return jm_k_select(b, zero, x, jm_k_srem(b, x, jm_k_select(b, unsafe, jm_k_int(b, it, 1), y)));
}

/* A count as an instruction may have it; counts are read as unsigned. */
static jm_kval count(const jm_integer *n, jm_kval y) {
  jm_kbuilder *const b = n->b;
  const jm_ktype it = n->type;
  return jm_k_and(b, y, jm_k_int(b, it, (int)jm_ktype_bits[it] - 1));
}

static jm_kval shift_left(const jm_integer *n, jm_kval x, jm_kval y) {
  jm_kbuilder *const b = n->b;
  const jm_ktype it = n->type;
  return jm_k_select(b, jm_k_ult(b, y, jm_k_int(b, it, n->bits)), jm_k_shl(b, x, count(n, y)),
                     jm_k_int(b, it, 0));
}

static jm_kval shift_right_logical(const jm_integer *n, jm_kval x, jm_kval y) {
  jm_kbuilder *const b = n->b;
  const jm_ktype it = n->type;
  return jm_k_select(b, jm_k_ult(b, y, jm_k_int(b, it, n->bits)),
                     jm_k_lshr(b, plain(n, x), count(n, y)), jm_k_int(b, it, 0));
}

static jm_kval shift_right_arithmetic(const jm_integer *n, jm_kval x, jm_kval y) {
  jm_kbuilder *const b = n->b;
  const jm_ktype it = n->type;
  if (n->bits < 8)
    x = jm_k_ashr(b, jm_k_shl(b, x, jm_k_int(b, it, 8 - n->bits)), jm_k_int(b, it, 8 - n->bits));
  return jm_k_ashr(b, x, jm_k_umin(b, y, jm_k_int(b, it, n->bits - 1)));
}

/* Squares: a loop over the exponent's bits, or, for a constant, only those it has. An exponent
 * below 0 gives 0 unless the base is 1 or -1. */
static jm_kval power(const jm_integer *n, jm_kval x, jm_kval y) {
  jm_kbuilder *const b = n->b;
  const jm_ktype it = n->type;
  uint64_t known;
  int bits = n->is_signed ? n->bits - 1 : n->bits;
  jm_kval result = jm_k_int(b, it, 1);
  if (jm_kbuild_is_const(b, y, &known) && !(known >> (n->bits - 1))) {
    for (jm_kval base = x; known; known >>= 1) {
      if (known & 1) result = jm_k_imul(b, result, base);
      if (known > 1) base = jm_k_imul(b, base, base);
    }
    return result;
  }
  jm_kloop loop;
  jm_kval initial[3] = {result, x, y}, next[3];
  jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 1, jm_kbuild_index(b, 0), jm_kbuild_index(b, bits),
                       initial, 3, &loop);
  jm_kval base = loop.carries[1], exponent = loop.carries[2];
  jm_kval odd = jm_k_ine(b, jm_k_and(b, exponent, jm_k_int(b, it, 1)), jm_k_int(b, it, 0));
  next[0] = jm_k_select(b, odd, jm_k_imul(b, loop.carries[0], base), loop.carries[0]);
  next[1] = jm_k_imul(b, base, base);
  next[2] = jm_k_lshr(b, exponent, jm_k_int(b, it, 1));
  jm_kbuild_loop_end(b, &loop, next);
  result = loop.carries[0];
  if (!n->is_signed) return result;
  jm_kval minus =
      jm_k_select(b, jm_k_ine(b, jm_k_and(b, y, jm_k_int(b, it, 1)), jm_k_int(b, it, 0)),
                  jm_k_int(b, it, -1), jm_k_int(b, it, 1));
  jm_kval inverse =
      jm_k_select(b, jm_k_ieq(b, x, jm_k_int(b, it, 1)), jm_k_int(b, it, 1),
                  jm_k_select(b, jm_k_ieq(b, x, jm_k_int(b, it, -1)), minus, jm_k_int(b, it, 0)));
  return jm_k_select(b, jm_k_slt(b, y, jm_k_int(b, it, 0)), inverse, result);
}

const jm_integer_row jm_element_integer[JM_N_OPS] = {
    [JM_OP_abs] = {.unary = absolute, .flops = 2},
    [JM_OP_count_leading_zeros] = {.unary = leading_zeros, .flops = 2},
    [JM_OP_negate] = {.unary = negate, .flops = 1},
    [JM_OP_not] = {.unary = complement, .flops = 1},
    [JM_OP_popcnt] = {.unary = popcnt, .flops = 2},
    [JM_OP_sign] = {.unary = sign, .flops = 2},
    [JM_OP_add] = {.binary = add, .flops = 1},
    [JM_OP_and] = {.binary = bitwise_and, .flops = 1},
    [JM_OP_divide] = {.binary = divide, .flops = 25},
    [JM_OP_maximum] = {.binary = maximum, .flops = 1},
    [JM_OP_minimum] = {.binary = minimum, .flops = 1},
    [JM_OP_multiply] = {.binary = multiply, .flops = 1},
    [JM_OP_or] = {.binary = bitwise_or, .flops = 1},
    [JM_OP_power] = {.binary = power, .flops = 150},
    [JM_OP_remainder] = {.binary = rest, .flops = 25},
    [JM_OP_shift_left] = {.binary = shift_left, .flops = 2},
    [JM_OP_shift_right_arithmetic] = {.binary = shift_right_arithmetic, .flops = 2},
    [JM_OP_shift_right_logical] = {.binary = shift_right_logical, .flops = 2},
    [JM_OP_subtract] = {.binary = subtract, .flops = 1},
    [JM_OP_xor] = {.binary = bitwise_xor, .flops = 1},
};

const jm_integer_row jm_element_pred[JM_N_OPS] = {
    [JM_OP_not] = {.unary = complement, .flops = 1},
    [JM_OP_and] = {.binary = bitwise_and, .flops = 1},
    [JM_OP_or] = {.binary = bitwise_or, .flops = 1},
    [JM_OP_xor] = {.binary = bitwise_xor, .flops = 1},
    [JM_OP_add] = {.binary = bitwise_or, .flops = 1},
    [JM_OP_multiply] = {.binary = bitwise_and, .flops = 1},
    [JM_OP_maximum] = {.binary = bitwise_or, .flops = 1},
    [JM_OP_minimum] = {.binary = bitwise_and, .flops = 1},
};
