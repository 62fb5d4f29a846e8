/* SPDX-License-Identifier: Apache-2.0
 * Ops of complex values: sums, products and order in the type's own precision, the plain formulas
 * of the reference engine. The functions of complex values are not here: the reference engine runs
 * them. */
#include "kernel/element.h"

static jm_element negate(jm_kbuilder *b, jm_element x, jm_element y) {
  (void)y;
  return jm_element_pair(FNEG(x.part[0]), FNEG(x.part[1]));
}

static jm_element add(jm_kbuilder *b, jm_element x, jm_element y) {
  return jm_element_pair(FADD(x.part[0], y.part[0]), FADD(x.part[1], y.part[1]));
}

static jm_element subtract(jm_kbuilder *b, jm_element x, jm_element y) {
  return jm_element_pair(FSUB(x.part[0], y.part[0]), FSUB(x.part[1], y.part[1]));
}

static jm_element multiply(jm_kbuilder *b, jm_element x, jm_element y) {
  jm_kval re = FSUB(FMUL(x.part[0], y.part[0]), FMUL(x.part[1], y.part[1]));
  return jm_element_pair(re, FADD(FMUL(x.part[0], y.part[1]), FMUL(x.part[1], y.part[0])));
}

/* Lexicographic; what is unordered or equal gives the right operand. */
static jm_element pick(jm_kbuilder *b, jm_element x, jm_element y, bool larger) {
  const jm_element low = larger ? y : x, high = larger ? x : y;
  jm_kval by_imag = AND(FOEQ(x.part[0], y.part[0]), FOLT(low.part[1], high.part[1]));
  jm_kval wins = OR(FOLT(low.part[0], high.part[0]), by_imag);
  return jm_element_pair(SELECT(wins, x.part[0], y.part[0]), SELECT(wins, x.part[1], y.part[1]));
}

static jm_element maximum(jm_kbuilder *b, jm_element x, jm_element y) {
  return pick(b, x, y, true);
}

static jm_element minimum(jm_kbuilder *b, jm_element x, jm_element y) {
  return pick(b, x, y, false);
}

static jm_element real(jm_kbuilder *b, jm_element x, jm_element y) {
  (void)b, (void)y;
  return jm_element_of(x.part[0]);
}

static jm_element imag(jm_kbuilder *b, jm_element x, jm_element y) {
  (void)b, (void)y;
  return jm_element_of(x.part[1]);
}

const jm_complex_row jm_element_complex[JM_N_OPS] = {
    [JM_OP_negate] = {negate, 2},     [JM_OP_add] = {add, 2},
    [JM_OP_subtract] = {subtract, 2}, [JM_OP_multiply] = {multiply, 6},
    [JM_OP_real] = {real, 0},         [JM_OP_imag] = {imag, 0},
    [JM_OP_maximum] = {maximum, 6},   [JM_OP_minimum] = {minimum, 6},
};
