/* SPDX-License-Identifier: Apache-2.0
 * Elementwise ops on elements: finds the class's row and does what all rows of a class share
 * (wrapping of small integers, rounding of narrow floats). */
#include "kernel/emit/element.h"

jm_ktype jm_element_type(jm_dtype dtype) {
  switch (jm_dtype_classof(dtype)) {
    case JM_CLASS_PRED:
      return JM_KT_i1;
    case JM_CLASS_SINT:
    case JM_CLASS_UINT:
      switch (jm_dtype_bytes(dtype)) {
        case 1:
          return JM_KT_i8;
        case 2:
          return JM_KT_i16;
        case 4:
          return JM_KT_i32;
        default:
          return JM_KT_i64;
      }
    default:
      return jm_dtype_real(dtype) == JM_DT_f64 ? JM_KT_f64 : JM_KT_f32;
  }
}

static bool is_small_integer(jm_dtype dtype) {
  return jm_dtype_is_integer(dtype) && jm_dtype_facts[dtype].bits < 8;
}

jm_kval jm_element_wrap(jm_kbuilder *b, jm_dtype dtype, jm_kval x) {
  if (!is_small_integer(dtype)) return x;
  const jm_ktype it = JM_KT_i8;
  const int bits = jm_dtype_facts[dtype].bits;
  if (jm_dtype_classof(dtype) == JM_CLASS_UINT) return AND(x, I((1 << bits) - 1));
  return ASHR(SHL(x, I(8 - bits)), I(8 - bits));
}

jm_kval jm_element_pack(jm_kbuilder *b, jm_dtype dtype, jm_kval x) {
  if (dtype == JM_DT_pred) return CAST(zext, i8, x);
  if (!jm_dtype_is_float(dtype)) return x;
  return dtype == JM_DT_f32 || dtype == JM_DT_f64 ? BITS(x) : jm_element_pack_narrow(b, dtype, x);
}

jm_kval jm_element_unpack(jm_kbuilder *b, jm_dtype dtype, jm_kval bits) {
  if (dtype == JM_DT_pred) {
    const jm_ktype it = JM_KT_i8;
    return INE(bits, I(0));
  }
  if (!jm_dtype_is_float(dtype)) return jm_element_wrap(b, dtype, bits);
  return dtype == JM_DT_f32 || dtype == JM_DT_f64 ? FROM_BITS(bits)
                                                  : jm_element_unpack_narrow(b, dtype, bits);
}

bool jm_element_supports(jm_opcode code, jm_dtype dtype, double *flops) {
  double cost = 0, narrow = dtype == JM_DT_bf16 ? 6 : dtype == JM_DT_f16 ? 10 : 25;
  bool found = false;
  switch (jm_dtype_classof(dtype)) {
    case JM_CLASS_PRED:
      found = jm_element_pred[code].fn;
      cost = jm_element_pred[code].flops;
      break;
    case JM_CLASS_SINT:
    case JM_CLASS_UINT:
      found = jm_element_integer[code].fn;
      cost = jm_element_integer[code].flops + (is_small_integer(dtype) ? 2 : 0);
      break;
    case JM_CLASS_FLOAT: {
      const jm_float_row *row = &jm_element_float[code];
      found = row->fn && (code != JM_OP_complex || dtype == JM_DT_f32 || dtype == JM_DT_f64);
      cost = dtype == JM_DT_f64 ? row->flops_f64 : row->flops;
      if (dtype != JM_DT_f32 && dtype != JM_DT_f64 && !row->exact) cost += narrow;
      break;
    }
    case JM_CLASS_COMPLEX:
      found =
          jm_element_complex[code].fn && (dtype == JM_DT_c64 || !jm_element_complex[code].narrow);
      cost = jm_element_complex[code].flops;
      break;
    case JM_CLASS_TOKEN:
      break;
  }
  if (flops) *flops = cost;
  return found;
}

static jm_kval run_float(jm_kbuilder *b, jm_opcode code, jm_dtype dtype, const jm_element *x) {
  const jm_float_row *row = &jm_element_float[code];
  bool two = jm_op_facts[code].operands == 2;
  jm_kval result = row->fn(b, x[0].part[0], two ? x[1].part[0] : JM_KNONE);
  bool is_half = dtype == JM_DT_f16 || dtype == JM_DT_bf16;
  if (code == JM_OP_is_finite || (row->exact && is_half)) return result;
  return jm_element_round(b, dtype, result);
}

jm_element jm_element_run(jm_kbuilder *b, jm_opcode code, jm_dtype dtype, const jm_element *x) {
  bool two = jm_op_facts[code].operands == 2;
  switch (jm_dtype_classof(dtype)) {
    case JM_CLASS_FLOAT:
      if (code == JM_OP_complex) return jm_element_pair(x[0].part[0], x[1].part[0]);
      return jm_element_of(run_float(b, code, dtype, x));
    case JM_CLASS_COMPLEX:
      return jm_element_complex[code].fn(b, x[0], two ? x[1] : x[0]);
    default:
      break;
  }
  const jm_integer n = {b, dtype, jm_element_type(dtype), jm_dtype_facts[dtype].bits,
                        jm_dtype_classof(dtype) == JM_CLASS_SINT};
  const jm_integer_row *row = &(dtype == JM_DT_pred ? jm_element_pred : jm_element_integer)[code];
  jm_kval result = row->fn(&n, x[0].part[0], two ? x[1].part[0] : JM_KNONE);
  return jm_element_of(jm_element_wrap(b, dtype, result));
}
