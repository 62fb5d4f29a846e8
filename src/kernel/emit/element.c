/* SPDX-License-Identifier: Apache-2.0
 * Elementwise ops on elements: finds the row in its class's table and applies what all rows of a
 * class share (wrapping of small integers, rounding of narrow floats). */
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
  if (jm_dtype_classof(dtype) == JM_CLASS_UINT)
    return jm_k_and(b, x, jm_k_int(b, it, (1 << bits) - 1));
  return jm_k_ashr(b, jm_k_shl(b, x, jm_k_int(b, it, 8 - bits)), jm_k_int(b, it, 8 - bits));
}

jm_kval jm_element_pack(jm_kbuilder *b, jm_dtype dtype, jm_kval x) {
  if (dtype == JM_DT_pred) return jm_k_zext(b, JM_KT_i8, x);
  if (!jm_dtype_is_float(dtype)) return x;
  return dtype == JM_DT_f32 || dtype == JM_DT_f64 ? jm_k_bits(b, x)
                                                  : jm_element_pack_narrow(b, dtype, x);
}

jm_kval jm_element_unpack(jm_kbuilder *b, jm_dtype dtype, jm_kval bits) {
  if (dtype == JM_DT_pred) {
    const jm_ktype it = JM_KT_i8;
    return jm_k_ine(b, bits, jm_k_int(b, it, 0));
  }
  if (!jm_dtype_is_float(dtype)) return jm_element_wrap(b, dtype, bits);
  return dtype == JM_DT_f32 || dtype == JM_DT_f64 ? jm_k_from_bits(b, bits)
                                                  : jm_element_unpack_narrow(b, dtype, bits);
}

static bool has_float(jm_opcode code) {
  return jm_element_float[code].unary || jm_element_float[code].binary;
}
static bool has_integer(const jm_integer_row *row) { return row->unary || row->binary; }
static bool has_complex(jm_opcode code) {
  return jm_element_complex[code].unary || jm_element_complex[code].binary;
}

bool jm_element_has(jm_opcode code) {
  return has_float(code) || has_integer(&jm_element_integer[code]) ||
         has_integer(&jm_element_pred[code]) || has_complex(code);
}

bool jm_element_supports(jm_opcode code, jm_dtype dtype, double *flops) {
  double cost = 0, narrow = dtype == JM_DT_bf16 ? 6 : dtype == JM_DT_f16 ? 10 : 25;
  bool found = false;
  switch (jm_dtype_classof(dtype)) {
    case JM_CLASS_PRED:
      found = has_integer(&jm_element_pred[code]);
      cost = jm_element_pred[code].flops;
      break;
    case JM_CLASS_SINT:
    case JM_CLASS_UINT:
      found = has_integer(&jm_element_integer[code]);
      cost = jm_element_integer[code].flops + (is_small_integer(dtype) ? 2 : 0);
      break;
    case JM_CLASS_FLOAT: {
      const jm_float_row *row = &jm_element_float[code];
      found =
          has_float(code) && (code != JM_OP_complex || dtype == JM_DT_f32 || dtype == JM_DT_f64);
      cost = dtype == JM_DT_f64 ? row->flops_f64 : row->flops;
      if (dtype != JM_DT_f32 && dtype != JM_DT_f64 && !row->exact) cost += narrow;
      break;
    }
    case JM_CLASS_COMPLEX:
      found = has_complex(code) && (dtype == JM_DT_c64 || !jm_element_complex[code].narrow);
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
  jm_kval result =
      row->unary ? row->unary(b, x[0].part[0]) : row->binary(b, x[0].part[0], x[1].part[0]);
  bool is_half = dtype == JM_DT_f16 || dtype == JM_DT_bf16;
  if (code == JM_OP_is_finite || (row->exact && is_half)) return result;
  return jm_element_round(b, dtype, result);
}

jm_element jm_element_run(jm_kbuilder *b, jm_opcode code, jm_dtype dtype, const jm_element *x) {
  const jm_complex_row *of_complex = &jm_element_complex[code];
  switch (jm_dtype_classof(dtype)) {
    case JM_CLASS_FLOAT:
      if (code == JM_OP_complex) return jm_element_pair(x[0].part[0], x[1].part[0]);
      return jm_element_of(run_float(b, code, dtype, x));
    case JM_CLASS_COMPLEX:
      return of_complex->unary ? of_complex->unary(b, x[0]) : of_complex->binary(b, x[0], x[1]);
    default:
      break;
  }
  const jm_integer n = {b, dtype, jm_element_type(dtype), jm_dtype_facts[dtype].bits,
                        jm_dtype_classof(dtype) == JM_CLASS_SINT};
  const jm_integer_row *row = &(dtype == JM_DT_pred ? jm_element_pred : jm_element_integer)[code];
  jm_kval result =
      row->unary ? row->unary(&n, x[0].part[0]) : row->binary(&n, x[0].part[0], x[1].part[0]);
  return jm_element_of(jm_element_wrap(b, dtype, result));
}
