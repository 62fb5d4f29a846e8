/* SPDX-License-Identifier: Apache-2.0
 * Conversion and comparison of elements. */
#include "kernel/emit/element.h"

/* -- integers */

static jm_kval integer_to_integer(jm_kbuilder *b, jm_dtype from, jm_dtype to, jm_kval x) {
  jm_ktype have = jm_element_type(from), want = jm_element_type(to);
  bool is_signed = jm_dtype_classof(from) == JM_CLASS_SINT;
  if (jm_ktype_bits[want] < jm_ktype_bits[have])
    x = jm_k_itrunc(b, want, x);
  else if (jm_ktype_bits[want] > jm_ktype_bits[have])
    x = jm_kbuild_cast(b, is_signed ? JM_K_sext : JM_K_zext, want, x);
  return jm_element_wrap(b, to, x);
}

/* Narrow floats through f32, as base/convert.c: rounded twice if there are many digits. */
static jm_kval integer_to_float(jm_kbuilder *b, jm_dtype from, jm_dtype to, jm_kval x) {
  jm_kopcode code = jm_dtype_classof(from) == JM_CLASS_SINT ? JM_K_sitofp : JM_K_uitofp;
  return jm_element_round(b, to, jm_kbuild_cast(b, code, jm_element_type(to), x));
}

/* -- floats to integers: NaN gives 0, a value out of range the nearest one */

typedef struct range {
  double min,
      max; /* values of the integer type; max is a float of the type in hand only if exact */
  int64_t min_bits, max_bits;
} range;

static range range_of(jm_dtype to) {
  int bits = jm_dtype_facts[to].bits;
  bool is_signed = jm_dtype_classof(to) == JM_CLASS_SINT;
  int64_t max =
      is_signed ? (int64_t)(UINT64_MAX >> (65 - bits)) : (int64_t)(UINT64_MAX >> (64 - bits));
  double bound =
      is_signed ? (double)(UINT64_C(1) << (bits - 1)) : 2.0 * (double)(UINT64_C(1) << (bits - 1));
  return (range){is_signed ? -bound : 0, bound - 1, is_signed ? -max - 1 : 0, max};
}

static jm_kval float_to_integer(jm_kbuilder *b, jm_dtype to, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x), it = jm_element_type(to);
  const range r = range_of(to);
  int bits = jm_dtype_facts[to].bits;
  bool is_signed = jm_dtype_classof(to) == JM_CLASS_SINT;
  if (bits < (t == JM_KT_f32 ? 24 : 53)) { /* both bounds are floats */
    x = jm_k_select(b, jm_k_folt(b, x, jm_k_float(b, t, r.min)), jm_k_float(b, t, r.min), x);
    x = jm_k_select(b, jm_k_folt(b, jm_k_float(b, t, r.max), x), jm_k_float(b, t, r.max), x);
    x = jm_k_select(b, jm_k_funo(b, x, x), jm_k_float(b, t, 0), x);
    bool wide = bits == 32 && !is_signed;
    jm_kval integer = wide ? jm_k_fptosi(b, JM_KT_i64, x) : jm_k_fptosi(b, JM_KT_i32, x);
    return it == jm_kbuild_type(b, integer) ? integer : jm_k_itrunc(b, it, integer);
  }
  const double bound = is_signed ? -r.min : 2.0 * (double)(UINT64_C(1) << (bits - 1));
  jm_kval inside = jm_k_and(b, jm_k_fole(b, jm_k_float(b, t, r.min), x),
                            jm_k_folt(b, x, jm_k_float(b, t, bound)));
  jm_kval safe = jm_k_select(b, inside, x, jm_k_float(b, t, 0)); /* 0 for NaN too */
  jm_kval integer = jm_kbuild_cast(b, is_signed ? JM_K_fptosi : JM_K_fptoui, it, safe);
  integer = jm_k_select(b, jm_k_fole(b, jm_k_float(b, t, bound), x), jm_k_int(b, it, r.max_bits),
                        integer);
  return is_signed ? jm_k_select(b, jm_k_folt(b, x, jm_k_float(b, t, r.min)),
                                 jm_k_int(b, it, r.min_bits), integer)
                   : integer;
}

/* -- floats */

static jm_kval float_to_float(jm_kbuilder *b, jm_dtype from, jm_dtype to, jm_kval x) {
  if (from == JM_DT_f64) return jm_element_round_f64(b, to, x);
  if (to == JM_DT_f64) return jm_k_fpext(b, JM_KT_f64, x);
  /* every value of f16 and bf16 is one of f32 */
  return jm_element_round(b, to, x);
}

/* pred, integers and real floats */
static jm_kval convert_real(jm_kbuilder *b, jm_dtype from, jm_dtype to, jm_kval x) {
  if (from == to) return x;
  jm_ktype have = jm_element_type(from), want = jm_element_type(to);
  bool from_float = jm_dtype_is_float(from), to_float = jm_dtype_is_float(to);
  if (to == JM_DT_pred)
    return from_float ? jm_k_fune(b, x, jm_kbuild_float(b, have, 0))
                      : jm_k_ine(b, x, jm_kbuild_int(b, have, 0));
  if (from == JM_DT_pred && to_float)
    return jm_k_select(b, x, jm_element_round(b, to, jm_kbuild_float(b, want, 1)),
                       jm_element_round(b, to, jm_kbuild_float(b, want, 0)));
  if (from == JM_DT_pred) /* of s2 and s4 1 is no other value */
    return jm_k_zext(b, want, x);
  if (from_float) return to_float ? float_to_float(b, from, to, x) : float_to_integer(b, to, x);
  return to_float ? integer_to_float(b, from, to, x) : integer_to_integer(b, from, to, x);
}

jm_element jm_element_convert(jm_kbuilder *b, jm_dtype from, jm_dtype to, jm_element x) {
  jm_dtype real_from = jm_dtype_real(from), real_to = jm_dtype_real(to);
  jm_kval re = convert_real(b, real_from, real_to, x.part[0]);
  if (!jm_dtype_is_complex(to)) return jm_element_of(re);
  return jm_element_pair(re, jm_dtype_is_complex(from)
                                 ? convert_real(b, real_from, real_to, x.part[1])
                                 : jm_kbuild_float(b, jm_element_type(to), 0));
}

/* -- comparison */

/* The bits as an integer in the total order: negative ones count downwards. */
static jm_kval total_order(jm_kbuilder *b, jm_kval x) {
  jm_kval bits = jm_k_bits(b, x);
  const jm_ktype it = jm_kbuild_type(b, bits);
  const int width = (int)jm_ktype_bits[it];
  return jm_k_xor(b, bits,
                  jm_k_lshr(b, jm_k_ashr(b, bits, jm_k_int(b, it, width - 1)), jm_k_int(b, it, 1)));
}

static jm_kval compare_integers(jm_kbuilder *b, bool is_signed, jm_direction direction, jm_kval x,
                                jm_kval y) {
  const jm_kopcode less = is_signed ? JM_K_slt : JM_K_ult,
                   at_most = is_signed ? JM_K_sle : JM_K_ule;
  switch (direction) {
    case JM_COMPARE_EQ:
      return jm_k_ieq(b, x, y);
    case JM_COMPARE_NE:
      return jm_k_ine(b, x, y);
    case JM_COMPARE_GE:
      return jm_kbuild2(b, at_most, y, x);
    case JM_COMPARE_GT:
      return jm_kbuild2(b, less, y, x);
    case JM_COMPARE_LE:
      return jm_kbuild2(b, at_most, x, y);
    default:
      return jm_kbuild2(b, less, x, y);
  }
}

static jm_kval compare_floats(jm_kbuilder *b, jm_direction direction, jm_kval x, jm_kval y) {
  switch (direction) {
    case JM_COMPARE_EQ:
      return jm_k_foeq(b, x, y);
    case JM_COMPARE_NE:
      return jm_k_fune(b, x, y);
    case JM_COMPARE_GE:
      return jm_k_fole(b, y, x);
    case JM_COMPARE_GT:
      return jm_k_folt(b, y, x);
    case JM_COMPARE_LE:
      return jm_k_fole(b, x, y);
    default:
      return jm_k_folt(b, x, y);
  }
}

jm_kval jm_element_compare(jm_kbuilder *b, jm_dtype dtype, jm_direction direction, bool total,
                           jm_element x, jm_element y) {
  jm_kval re, im;
  switch (jm_dtype_classof(dtype)) {
    case JM_CLASS_COMPLEX: /* equal or not; there is no order */
      re = compare_floats(b, direction, x.part[0], y.part[0]);
      im = compare_floats(b, direction, x.part[1], y.part[1]);
      return direction == JM_COMPARE_EQ ? jm_k_and(b, re, im) : jm_k_or(b, re, im);
    case JM_CLASS_FLOAT:
      if (!total) return compare_floats(b, direction, x.part[0], y.part[0]);
      return compare_integers(b, true, direction, total_order(b, x.part[0]),
                              total_order(b, y.part[0]));
    default:
      return compare_integers(b, jm_dtype_classof(dtype) == JM_CLASS_SINT, direction, x.part[0],
                              y.part[0]);
  }
}
