/* SPDX-License-Identifier: Apache-2.0
 * Simplification of single instructions while they are built. Sums of indices keep their constant
 * outermost and their deepest operand second, so that loop-invariant terms are added outside of the
 * loop. Other integers are data: a partial sum with a constant is mostly used on its own, too, as
 * in the rounds of a random generator, and moving the constant would add it once for each sum.
 * Index arithmetic is treated as sums of terms: dividing such a sum by a constant cancels the
 * factors with which it was built, and summing the parts of an index restores the index. Everything
 * here is exact: for integers modulo 2^n, for floats but for the payload of NaN.
 */
#include <math.h>
#include <string.h>

#include "kernel/ir/builder.h"

#define MAX_TERMS 12

/* sum of coefficient * value, and a constant */
typedef struct terms {
  int64_t constant;
  uint32_t n;
  int64_t coefficient[MAX_TERMS];
  jm_kval value[MAX_TERMS];
} terms;

static bool is_int(const jm_kbuilder *b, jm_kval v, int64_t *value) {
  uint64_t bits;
  jm_ktype type = jm_kbuild_type(b, v);
  if (jm_ktype_is_float(type) || !jm_kbuild_is_const(b, v, &bits)) return false;
  *value = jm_kvalue_signed(type, bits);
  return true;
}

static bool add_term(terms *t, jm_kval v, int64_t coefficient) {
  for (uint32_t i = 0; i < t->n; i++)
    if (t->value[i] == v)
      return !__builtin_add_overflow(t->coefficient[i], coefficient, &t->coefficient[i]);
  if (t->n == MAX_TERMS) return false;
  t->value[t->n] = v;
  t->coefficient[t->n++] = coefficient;
  return true;
}

/* Adds coefficient * v to the terms; false: too many, or numbers too large. */
static bool take_apart(const jm_kbuilder *b, jm_kval v, int64_t coefficient, int depth, terms *t) {
  int64_t c;
  const jm_kval *x;
  if (is_int(b, v, &c))
    return !__builtin_mul_overflow(c, coefficient, &c) &&
           !__builtin_add_overflow(t->constant, c, &t->constant);
  if (depth < 16) {
    if ((x = jm_kbuilder_match(b, v, JM_K_iadd)))
      return take_apart(b, x[0], coefficient, depth + 1, t) &&
             take_apart(b, x[1], coefficient, depth + 1, t);
    if ((x = jm_kbuilder_match(b, v, JM_K_isub)))
      return coefficient != INT64_MIN && take_apart(b, x[0], coefficient, depth + 1, t) &&
             take_apart(b, x[1], -coefficient, depth + 1, t);
    if ((x = jm_kbuilder_match(b, v, JM_K_imul)) && is_int(b, x[1], &c))
      return !__builtin_mul_overflow(c, coefficient, &c) && take_apart(b, x[0], c, depth + 1, t);
  }
  return add_term(t, v, coefficient);
}

/* The range of a sum of integers; false: it may leave 64 bits. */
static bool terms_range(const jm_kbuilder *b, const terms *t, jm_krange *out) {
  jm_krange r = {t->constant, t->constant}, scaled;
  for (uint32_t i = 0; i < t->n; i++)
    if (!jm_krange_scale(b->ranges[t->value[i]], t->coefficient[i], &scaled) ||
        !jm_krange_add(r, scaled, &r))
      return false;
  *out = r;
  return true;
}

static jm_kval put_together(jm_kbuilder *b, const terms *t) {
  jm_kval sum = JM_KNONE;
  for (uint32_t i = 0; i < t->n; i++) {
    if (!t->coefficient[i]) continue;
    jm_kval term = jm_kbuild2(b, JM_K_imul, t->value[i], jm_kbuild_index(b, t->coefficient[i]));
    sum = sum == JM_KNONE ? term : jm_kbuild2(b, JM_K_iadd, sum, term);
  }
  jm_kval constant = jm_kbuild_index(b, t->constant);
  return sum == JM_KNONE ? constant : jm_kbuild2(b, JM_K_iadd, sum, constant);
}

static int64_t gcd(int64_t a, int64_t b) {
  uint64_t x = a < 0 ? 0 - (uint64_t)a : (uint64_t)a, y = (uint64_t)b;
  while (y) {
    uint64_t rest = x % y;
    x = y;
    y = rest;
  }
  return (int64_t)x;
}

/* t = g * quotient + rest, where the rest has the terms whose coefficient g does not divide. */
static void split_terms(const terms *t, int64_t g, terms *quotient, terms *rest) {
  int64_t part = t->constant % g;
  if (part < 0) part += g;
  *quotient = (terms){.constant = (t->constant - part) / g};
  *rest = (terms){.constant = part};
  for (uint32_t i = 0; i < t->n; i++) {
    bool whole = t->coefficient[i] % g == 0;
    terms *to = whole ? quotient : rest;
    to->value[to->n] = t->value[i];
    to->coefficient[to->n++] = whole ? t->coefficient[i] / g : t->coefficient[i];
  }
}

/* udiv or urem of a sum that is known not to be negative. */
static jm_kval divide_sum(jm_kbuilder *b, jm_kopcode code, jm_kval v, int64_t d) {
  terms t = {.constant = 0}, quotient, rest;
  jm_krange r;
  if (!take_apart(b, v, 1, 0, &t) || t.constant == INT64_MIN || !terms_range(b, &t, &r) || r.lo < 0)
    return JM_KNONE;
  const bool single = t.n == 1 && t.coefficient[0] == 1 && t.constant == 0;
  if (single) return JM_KNONE;
  jm_kval divisor = jm_kbuild_index(b, d);
  split_terms(&t, d, &quotient, &rest);
  if ((quotient.n || quotient.constant) && terms_range(b, &rest, &r) && r.lo >= 0) {
    /* (d q + r) / d = q + r / d, (d q + r) % d = r % d */
    jm_kval part = jm_kbuild2(b, code, put_together(b, &rest), divisor);
    return code == JM_K_urem ? part : jm_kbuild2(b, JM_K_iadd, put_together(b, &quotient), part);
  }
  int64_t best = 1;
  for (uint32_t i = 0; i < t.n; i++) {
    int64_t g = gcd(t.coefficient[i], d);
    if (g <= best || g >= d) continue;
    split_terms(&t, g, &quotient, &rest);
    if (terms_range(b, &rest, &r) && r.lo >= 0 && r.hi < g) best = g;
  }
  if (best == 1) return JM_KNONE;
  /* (g q + r) / (g e) = q / e, (g q + r) % (g e) = g (q % e) + r, where 0 <= r < g */
  split_terms(&t, best, &quotient, &rest);
  jm_kval part = jm_kbuild2(b, code, put_together(b, &quotient), jm_kbuild_index(b, d / best));
  if (code == JM_K_udiv) return part;
  part = jm_kbuild2(b, JM_K_imul, part, jm_kbuild_index(b, best));
  return jm_kbuild2(b, JM_K_iadd, part, put_together(b, &rest));
}

static jm_kval simplify_division(jm_kbuilder *b, jm_kopcode code, jm_ktype type, jm_kval *x) {
  int64_t d, c;
  jm_krange p = b->ranges[x[0]], q = b->ranges[x[1]];
  bool quotient = code == JM_K_sdiv || code == JM_K_udiv;
  if (!is_int(b, x[1], &d) || d == 0) d = 0;
  if (d == 1) return quotient ? x[0] : jm_kbuild_int(b, type, 0);
  if (p.lo < 0 || q.lo < 0) return JM_KNONE;
  if (p.hi < q.lo) return quotient ? jm_kbuild_int(b, type, 0) : x[0];
  if (code == JM_K_sdiv) return jm_kbuild2(b, JM_K_udiv, x[0], x[1]);
  if (code == JM_K_srem) return jm_kbuild2(b, JM_K_urem, x[0], x[1]);
  if (d == 0 || type != JM_KT_i64) return JM_KNONE;
  const jm_kval *inner = jm_kbuilder_match(b, x[0], JM_K_udiv);
  if (inner && quotient && is_int(b, inner[1], &c) && b->ranges[inner[0]].lo >= 0 && c > 0 &&
      !__builtin_mul_overflow(c, d, &c))
    return jm_kbuild2(b, JM_K_udiv, inner[0], jm_kbuild_index(b, c));
  inner = jm_kbuilder_match(b, x[0], JM_K_urem);
  if (inner && !quotient && is_int(b, inner[1], &c) && c % d == 0 && b->ranges[inner[0]].lo >= 0)
    return jm_kbuild2(b, JM_K_urem, inner[0], x[1]);
  return divide_sum(b, code, x[0], d);
}

/* (t / n) * (k n) + (t % n) * k = t * k, wherever the two terms stand in the sum. */
static jm_kval undo_division(jm_kbuilder *b, jm_kval x, jm_kval y) {
  terms t = {.constant = 0};
  if (!take_apart(b, x, 1, 0, &t) || !take_apart(b, y, 1, 0, &t)) return JM_KNONE;
  for (uint32_t i = 0; i < t.n; i++) {
    const jm_kval *rem = jm_kbuilder_match(b, t.value[i], JM_K_urem);
    int64_t n, wanted;
    if (!rem || !is_int(b, rem[1], &n) || !t.coefficient[i] ||
        __builtin_mul_overflow(t.coefficient[i], n, &wanted))
      continue;
    for (uint32_t j = 0; j < t.n; j++) {
      if (j == i || t.coefficient[j] != wanted) continue;
      if (jm_kbuild2(b, JM_K_udiv, rem[0], rem[1]) != t.value[j]) continue;
      t.value[i] = rem[0];
      t.coefficient[j] = 0;
      return put_together(b, &t);
    }
  }
  return JM_KNONE;
}

/* Is there a remainder among the terms? A cheap test before a sum is split into terms. */
static bool has_remainder(const jm_kbuilder *b, jm_kval v, int depth) {
  const jm_kval *x;
  if (jm_kbuilder_match(b, v, JM_K_urem)) return true;
  if ((x = jm_kbuilder_match(b, v, JM_K_imul))) return has_remainder(b, x[0], depth);
  if (depth < 6 && (x = jm_kbuilder_match(b, v, JM_K_iadd)))
    return has_remainder(b, x[0], depth + 1) || has_remainder(b, x[1], depth + 1);
  return false;
}

static void swap(jm_kval *x) {
  jm_kval y = x[0];
  x[0] = x[1];
  x[1] = y;
}

/* c * value, of i64 */
static int64_t coefficient_of(const jm_kbuilder *b, jm_kval v, jm_kval *value) {
  int64_t c;
  const jm_kval *x = jm_kbuilder_match(b, v, JM_K_imul);
  *value = v;
  if (!x || !is_int(b, x[1], &c)) return 1;
  *value = x[0];
  return c;
}

static jm_kval simplify_iadd(jm_kbuilder *b, jm_kopcode code, jm_ktype type, jm_kval *x) {
  int64_t c;
  const jm_kval *y;
  if (is_int(b, x[0], &c)) swap(x);
  if (is_int(b, x[1], &c)) {
    if (c == 0) return x[0];
    if ((y = jm_kbuilder_match(b, x[0], code)) && is_int(b, y[1], &c))
      return jm_kbuild2(b, code, y[0], jm_kbuild2(b, code, y[1], x[1]));
    return JM_KNONE;
  }
  for (int i = 0; i < 2; i++) {
    y = jm_kbuilder_match(b, x[i], code);
    if (type == JM_KT_i64 && y && is_int(b, y[1], &c))
      return jm_kbuild2(b, code, jm_kbuild2(b, code, y[0], x[1 - i]), y[1]);
    if ((y = jm_kbuilder_match(b, x[i], JM_K_isub)) && y[1] == x[1 - i]) return y[0];
  }
  if (type != JM_KT_i64) {
    if (x[0] > x[1]) swap(x);
    return JM_KNONE;
  }
  jm_kval p, q;
  int64_t cp = coefficient_of(b, x[0], &p), cq = coefficient_of(b, x[1], &q);
  if (p == q)
    return jm_kbuild2(b, JM_K_imul, p, jm_kbuild_index(b, (int64_t)((uint64_t)cp + (uint64_t)cq)));
  if (has_remainder(b, x[0], 0) || has_remainder(b, x[1], 0)) {
    jm_kval whole = undo_division(b, x[0], x[1]);
    if (whole != JM_KNONE) return whole;
  }
  uint32_t d0 = jm_kbuilder_depth(b, x[0]), d1 = jm_kbuilder_depth(b, x[1]);
  if (d0 > d1 || (d0 == d1 && x[0] > x[1])) {
    swap(x);
    d1 = d0 > d1 ? d0 : d1;
    d0 = jm_kbuilder_depth(b, x[0]);
  }
  /* outer + (outer' + inner) */
  if (d0 < d1 && (y = jm_kbuilder_match(b, x[1], code)) && jm_kbuilder_depth(b, y[0]) < d1)
    return jm_kbuild2(b, code, jm_kbuild2(b, code, x[0], y[0]), y[1]);
  return JM_KNONE;
}

static jm_kval simplify_isub(jm_kbuilder *b, jm_kopcode code, jm_ktype type, jm_kval *x) {
  int64_t c;
  const jm_kval *y;
  if (x[0] == x[1]) return jm_kbuild_int(b, type, 0);
  if (is_int(b, x[1], &c))
    return jm_kbuild2(b, JM_K_iadd, x[0], jm_kbuild_int(b, type, (int64_t)(0 - (uint64_t)c)));
  if ((y = jm_kbuilder_match(b, x[0], JM_K_iadd))) {
    if (y[0] == x[1]) return y[1];
    if (y[1] == x[1]) return y[0];
    if (type == JM_KT_i64 && is_int(b, y[1], &c))
      return jm_kbuild2(b, JM_K_iadd, jm_kbuild2(b, code, y[0], x[1]), y[1]);
  }
  if ((y = jm_kbuilder_match(b, x[1], JM_K_iadd))) {
    if (type == JM_KT_i64 && is_int(b, y[1], &c))
      return jm_kbuild2(b, JM_K_iadd, jm_kbuild2(b, code, x[0], y[0]),
                        jm_kbuild_int(b, type, (int64_t)(0 - (uint64_t)c)));
    if (y[0] == x[0]) return jm_kbuild2(b, code, jm_kbuild_int(b, type, 0), y[1]);
    if (y[1] == x[0]) return jm_kbuild2(b, code, jm_kbuild_int(b, type, 0), y[0]);
  }
  return JM_KNONE;
}

static jm_kval simplify_imul(jm_kbuilder *b, jm_kopcode code, jm_ktype type, jm_kval *x) {
  int64_t c, inner;
  const jm_kval *y;
  if (is_int(b, x[0], &c)) swap(x);
  if (!is_int(b, x[1], &c)) {
    if (x[0] > x[1]) swap(x);
    return JM_KNONE;
  }
  if (c == 0) return x[1];
  if (c == 1) return x[0];
  if ((y = jm_kbuilder_match(b, x[0], code)) && is_int(b, y[1], &inner))
    return jm_kbuild2(b, code, y[0], jm_kbuild2(b, code, y[1], x[1]));
  if (type == JM_KT_i64 && (y = jm_kbuilder_match(b, x[0], JM_K_iadd)) && is_int(b, y[1], &inner))
    return jm_kbuild2(b, JM_K_iadd, jm_kbuild2(b, code, y[0], x[1]),
                      jm_kbuild2(b, code, y[1], x[1]));
  return JM_KNONE;
}

static jm_kval simplify_bits(jm_kbuilder *b, jm_kopcode code, jm_ktype type, jm_kval *x) {
  int64_t c, inner;
  const jm_kval *y;
  if (is_int(b, x[0], &c)) swap(x);
  if (x[0] == x[1]) return code == JM_K_xor ? jm_kbuild_int(b, type, 0) : x[0];
  if (!is_int(b, x[1], &c)) {
    if (x[0] > x[1]) swap(x);
    return JM_KNONE;
  }
  bool full = c == (type == JM_KT_i1 ? 1 : -1);
  if (c == 0) return code == JM_K_and ? x[1] : x[0];
  if (full && code == JM_K_and) return x[0];
  if (full && code == JM_K_or) return x[1];
  if ((y = jm_kbuilder_match(b, x[0], code)) && is_int(b, y[1], &inner))
    return jm_kbuild2(b, code, y[0], jm_kbuild2(b, code, y[1], x[1]));
  /* a mask of low ones that keeps all there is */
  jm_krange r = b->ranges[x[0]];
  bool low_ones = c > 0 && ((uint64_t)c & ((uint64_t)c + 1)) == 0; /* c may be the largest */
  if (code == JM_K_and && low_ones && r.lo >= 0 && r.hi <= c) return x[0];
  return JM_KNONE;
}

static jm_kval simplify_shift(jm_kbuilder *b, jm_kopcode code, jm_ktype type, jm_kval *x) {
  (void)code, (void)type;
  int64_t c;
  return is_int(b, x[1], &c) && c == 0 ? x[0] : JM_KNONE;
}

static jm_kval simplify_bound(jm_kbuilder *b, jm_kopcode code, jm_ktype type, jm_kval *x) {
  int64_t c;
  jm_krange p = b->ranges[x[0]], q = b->ranges[x[1]];
  const bool is_signed = code == JM_K_smin || code == JM_K_smax;
  const bool least = code == JM_K_smin || code == JM_K_umin;
  if (x[0] == x[1]) return x[0];
  if (type != JM_KT_i1 && (is_signed || (p.lo >= 0 && q.lo >= 0))) {
    if (p.hi <= q.lo) return x[least ? 0 : 1];
    if (q.hi <= p.lo) return x[least ? 1 : 0];
  }
  if (is_int(b, x[0], &c) || (!is_int(b, x[1], &c) && x[0] > x[1])) swap(x);
  const jm_kval *y = jm_kbuilder_match(b, x[0], code);
  if (y && is_int(b, x[1], &c) && is_int(b, y[1], &c))
    return jm_kbuild2(b, code, y[0], jm_kbuild2(b, code, y[1], x[1]));
  return JM_KNONE;
}

static jm_kval truth(jm_kbuilder *b, bool value) { return jm_kbuild_int(b, JM_KT_i1, value); }

static jm_kval simplify_equal(jm_kbuilder *b, jm_kopcode code, jm_ktype type, jm_kval *x) {
  (void)type;
  int64_t c, inner;
  const bool equal = code == JM_K_ieq;
  if (x[0] == x[1]) return truth(b, equal);
  jm_krange p = b->ranges[x[0]], q = b->ranges[x[1]];
  if (p.hi < q.lo || q.hi < p.lo) return truth(b, !equal);
  if (is_int(b, x[0], &c) || (!is_int(b, x[1], &c) && x[0] > x[1])) swap(x);
  if (!is_int(b, x[1], &c)) return JM_KNONE;
  jm_ktype from = jm_kbuild_type(b, x[0]);
  if (from == JM_KT_i1)
    return (c == 1) == equal ? x[0] : jm_kbuild2(b, JM_K_xor, x[0], truth(b, true));
  const jm_kval *y = jm_kbuilder_match(b, x[0], JM_K_zext);
  if (y && jm_kbuild_type(b, y[0]) == JM_KT_i1 && (c == 0 || c == 1))
    return jm_kbuild2(b, code, y[0], jm_kbuild_int(b, JM_KT_i1, c));
  y = jm_kbuilder_match(b, x[0], JM_K_iadd);
  if (y && is_int(b, y[1], &inner))
    return jm_kbuild2(b, code, y[0], jm_kbuild2(b, JM_K_isub, x[1], y[1]));
  return JM_KNONE;
}

static jm_kval simplify_order(jm_kbuilder *b, jm_kopcode code, jm_ktype type, jm_kval *x) {
  (void)type;
  const bool or_equal = code == JM_K_sle || code == JM_K_ule;
  if (x[0] == x[1]) return truth(b, or_equal);
  /* i1 is signed in slt, and not in its range */
  if (jm_kbuild_type(b, x[0]) == JM_KT_i1) return JM_KNONE;
  jm_krange p = b->ranges[x[0]], q = b->ranges[x[1]];
  const bool is_signed = code == JM_K_slt || code == JM_K_sle;
  if (!is_signed) {
    if (p.lo < 0 || q.lo < 0) return JM_KNONE;
    return jm_kbuild2(b, or_equal ? JM_K_sle : JM_K_slt, x[0], x[1]);
  }
  if (p.hi < q.lo || (or_equal && p.hi == q.lo)) return truth(b, true);
  if (p.lo > q.hi || (!or_equal && p.lo == q.hi)) return truth(b, false);
  return JM_KNONE;
}

static jm_kval simplify_select(jm_kbuilder *b, jm_kopcode code, jm_ktype type, jm_kval *x) {
  int64_t c, p, q;
  if (x[1] == x[2]) return x[1];
  if (is_int(b, x[0], &c)) return x[c ? 1 : 2];
  const jm_kval *y = jm_kbuilder_match(b, x[0], JM_K_xor);
  if (y && is_int(b, y[1], &c) && c == 1) return jm_kbuild3(b, code, y[0], x[2], x[1]);
  if (type == JM_KT_i1) {
    if (is_int(b, x[1], &p) && is_int(b, x[2], &q))
      return p ? x[0] : jm_kbuild2(b, JM_K_xor, x[0], truth(b, true));
    if (is_int(b, x[1], &p) && p) return jm_kbuild2(b, JM_K_or, x[0], x[2]);
    if (is_int(b, x[2], &q) && !q) return jm_kbuild2(b, JM_K_and, x[0], x[1]);
  }
  return JM_KNONE;
}

static jm_kval simplify_cast(jm_kbuilder *b, jm_kopcode code, jm_ktype type, jm_kval *x) {
  const jm_kval *y;
  jm_kopcode undone = code == JM_K_fptrunc ? JM_K_fpext : JM_K_bitcast;
  if (code == JM_K_fptrunc || code == JM_K_bitcast) {
    y = jm_kbuilder_match(b, x[0], undone);
    return y && jm_kbuild_type(b, y[0]) == type ? y[0] : JM_KNONE;
  }
  if (code == JM_K_itrunc) {
    if (!(y = jm_kbuilder_match(b, x[0], JM_K_zext)) &&
        !(y = jm_kbuilder_match(b, x[0], JM_K_sext)))
      return JM_KNONE;
    jm_kopcode extension = jm_kbuilder_inst(b, x[0])->code;
    jm_ktype from = jm_kbuild_type(b, y[0]);
    if (from == type) return y[0];
    return jm_kbuild_cast(b, jm_ktype_bits[from] < jm_ktype_bits[type] ? extension : code, type,
                          y[0]);
  }
  if (code == JM_K_zext || code == JM_K_sext)
    if ((y = jm_kbuilder_match(b, x[0], code))) return jm_kbuild_cast(b, code, type, y[0]);
  return JM_KNONE;
}

static bool is_float(const jm_kbuilder *b, jm_kval v, double value) {
  uint64_t bits;
  if (!jm_kbuild_is_const(b, v, &bits)) return false;
  float narrow;
  double wide;
  memcpy(&narrow, &bits, sizeof narrow);
  memcpy(&wide, &bits, sizeof wide);
  if (jm_kbuild_type(b, v) == JM_KT_f32) wide = narrow;
  return wide == value && !signbit(wide) == !signbit(value);
}

static jm_kval simplify_float(jm_kbuilder *b, jm_kopcode code, jm_ktype type, jm_kval *x) {
  (void)type;
  const jm_kval *y;
  if ((code == JM_K_fmul || code == JM_K_fdiv) && is_float(b, x[1], 1)) return x[0];
  if (code == JM_K_fmul && is_float(b, x[0], 1)) return x[1];
  if (code == JM_K_fadd && is_float(b, x[1], -0.0)) return x[0];
  if (code == JM_K_fadd && is_float(b, x[0], -0.0)) return x[1];
  if (code == JM_K_fsub && is_float(b, x[1], 0)) return x[0];
  if (code == JM_K_fneg && (y = jm_kbuilder_match(b, x[0], code))) return y[0];
  if (code == JM_K_fabs && jm_kbuilder_match(b, x[0], code)) return x[0];
  if (code == JM_K_fabs && (y = jm_kbuilder_match(b, x[0], JM_K_fneg)))
    return jm_kbuild1(b, code, y[0]);
  return JM_KNONE;
}

typedef jm_kval rule(jm_kbuilder *b, jm_kopcode code, jm_ktype type, jm_kval *x);
static rule *const rules[JM_N_KOPS] = {
    [JM_K_iadd] = simplify_iadd,     [JM_K_isub] = simplify_isub,
    [JM_K_imul] = simplify_imul,     [JM_K_sdiv] = simplify_division,
    [JM_K_udiv] = simplify_division, [JM_K_srem] = simplify_division,
    [JM_K_urem] = simplify_division, [JM_K_and] = simplify_bits,
    [JM_K_or] = simplify_bits,       [JM_K_xor] = simplify_bits,
    [JM_K_shl] = simplify_shift,     [JM_K_lshr] = simplify_shift,
    [JM_K_ashr] = simplify_shift,    [JM_K_smin] = simplify_bound,
    [JM_K_smax] = simplify_bound,    [JM_K_umin] = simplify_bound,
    [JM_K_umax] = simplify_bound,    [JM_K_ieq] = simplify_equal,
    [JM_K_ine] = simplify_equal,     [JM_K_slt] = simplify_order,
    [JM_K_sle] = simplify_order,     [JM_K_ult] = simplify_order,
    [JM_K_ule] = simplify_order,     [JM_K_select] = simplify_select,
    [JM_K_zext] = simplify_cast,     [JM_K_sext] = simplify_cast,
    [JM_K_itrunc] = simplify_cast,   [JM_K_bitcast] = simplify_cast,
    [JM_K_fptrunc] = simplify_cast,  [JM_K_fadd] = simplify_float,
    [JM_K_fsub] = simplify_float,    [JM_K_fmul] = simplify_float,
    [JM_K_fdiv] = simplify_float,    [JM_K_fneg] = simplify_float,
    [JM_K_fabs] = simplify_float,
};

jm_kval jm_ksimplify(jm_kbuilder *b, jm_kopcode code, jm_ktype type, jm_kval *x) {
  return rules[code] ? rules[code](b, code, type, x) : JM_KNONE;
}
