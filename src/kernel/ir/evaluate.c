/* SPDX-License-Identifier: Apache-2.0
 * The meaning of every pure instruction, on bits: used by the builder to fold constants, and by the
 * interpreter. */
#include <math.h>
#include <string.h>

#include "base/number.h"
#include "kernel/ir/builder.h"

static bool evaluate_division(jm_kopcode code, jm_ktype type, uint64_t a, uint64_t b,
                              uint64_t *out) {
  const uint32_t bits = jm_ktype_bits[type];
  const int64_t sa = jm_kvalue_signed(type, a), sb = jm_kvalue_signed(type, b);
  const int64_t lowest = bits == 64 ? INT64_MIN : -(INT64_C(1) << (bits - 1));
  const bool is_signed = code == JM_K_sdiv || code == JM_K_srem;
  if (b == 0 || (is_signed && sa == lowest && sb == -1)) return false;
  if (is_signed)
    *out = (uint64_t)(code == JM_K_sdiv ? sa / sb : sa % sb);
  else
    *out = code == JM_K_udiv ? a / b : a % b;
  return true;
}

static bool evaluate_shift(jm_kopcode code, jm_ktype type, uint64_t a, uint64_t b, uint64_t *out) {
  if (b >= jm_ktype_bits[type]) return false;
  if (code == JM_K_ashr)
    *out = (uint64_t)(jm_kvalue_signed(type, a) >> b);
  else
    *out = code == JM_K_shl ? a << b : a >> b;
  return true;
}

static bool evaluate_integer(jm_kopcode code, jm_ktype type, const uint64_t *x, uint64_t *out) {
  const uint32_t bits = jm_ktype_bits[type];
  const uint64_t a = x[0], b = jm_kop_facts[code].operands > 1 ? x[1] : 0;
  const int64_t sa = jm_kvalue_signed(type, a), sb = jm_kvalue_signed(type, b);
  bool defined = true;
  switch (code) {
    case JM_K_iadd:
      *out = a + b;
      break;
    case JM_K_isub:
      *out = a - b;
      break;
    case JM_K_imul:
      *out = a * b;
      break;
    case JM_K_sdiv:
    case JM_K_srem:
    case JM_K_udiv:
    case JM_K_urem:
      defined = evaluate_division(code, type, a, b, out);
      break;
    case JM_K_and:
      *out = a & b;
      break;
    case JM_K_or:
      *out = a | b;
      break;
    case JM_K_xor:
      *out = a ^ b;
      break;
    case JM_K_shl:
    case JM_K_lshr:
    case JM_K_ashr:
      defined = evaluate_shift(code, type, a, b, out);
      break;
    case JM_K_smin:
      *out = sa < sb ? a : b;
      break;
    case JM_K_smax:
      *out = sa > sb ? a : b;
      break;
    case JM_K_umin:
      *out = a < b ? a : b;
      break;
    case JM_K_umax:
      *out = a > b ? a : b;
      break;
    case JM_K_ctpop:
      *out = (uint64_t)__builtin_popcountll(a);
      break;
    case JM_K_ctlz:
      *out = a ? (uint64_t)__builtin_clzll(a) - (64 - bits) : bits;
      break;
    case JM_K_ieq:
      *out = a == b;
      break;
    case JM_K_ine:
      *out = a != b;
      break;
    case JM_K_slt:
      *out = sa < sb;
      break;
    case JM_K_sle:
      *out = sa <= sb;
      break;
    case JM_K_ult:
      *out = a < b;
      break;
    case JM_K_ule:
      *out = a <= b;
      break;
    default:
      return false;
  }
  if (defined) *out = jm_kvalue_mask(type, *out);
  return defined;
}

/* One body for both widths: R is the C type, F(name) its function of math.h. */
#define EVALUATE_FLOAT(name, R, F)                                                           \
  static bool name(jm_kopcode code, uint64_t imm, const uint64_t *x, uint64_t *out) {        \
    R v[3] = {0, 0, 0}, r = 0;                                                               \
    uint32_t n =                                                                             \
        code == JM_K_call ? jm_kcall_arguments[imm] : (uint32_t)jm_kop_facts[code].operands; \
    for (uint32_t i = 0; i < n && i < 3; i++) memcpy(&v[i], &x[i], sizeof(R));               \
    switch (code) {                                                                          \
      case JM_K_fadd:                                                                        \
        r = v[0] + v[1];                                                                     \
        break;                                                                               \
      case JM_K_fsub:                                                                        \
        r = v[0] - v[1];                                                                     \
        break;                                                                               \
      case JM_K_fmul:                                                                        \
        r = v[0] * v[1];                                                                     \
        break;                                                                               \
      case JM_K_fdiv:                                                                        \
        r = v[0] / v[1];                                                                     \
        break;                                                                               \
      case JM_K_fma:                                                                         \
        r = F(fma)(v[0], v[1], v[2]);                                                        \
        break;                                                                               \
      case JM_K_fneg:                                                                        \
        r = -v[0];                                                                           \
        break;                                                                               \
      case JM_K_fabs:                                                                        \
        r = F(fabs)(v[0]);                                                                   \
        break;                                                                               \
      case JM_K_fsqrt:                                                                       \
        r = F(sqrt)(v[0]);                                                                   \
        break;                                                                               \
      case JM_K_ffloor:                                                                      \
        r = F(floor)(v[0]);                                                                  \
        break;                                                                               \
      case JM_K_fceil:                                                                       \
        r = F(ceil)(v[0]);                                                                   \
        break;                                                                               \
      case JM_K_ftrunc:                                                                      \
        r = F(trunc)(v[0]);                                                                  \
        break;                                                                               \
      case JM_K_frint:                                                                       \
        r = F(nearbyint)(v[0]);                                                              \
        break;                                                                               \
      case JM_K_fcopysign:                                                                   \
        r = F(copysign)(v[0], v[1]);                                                         \
        break;                                                                               \
      case JM_K_foeq:                                                                        \
        *out = v[0] == v[1];                                                                 \
        return true;                                                                         \
      case JM_K_fune:                                                                        \
        *out = v[0] != v[1];                                                                 \
        return true;                                                                         \
      case JM_K_folt:                                                                        \
        *out = v[0] < v[1];                                                                  \
        return true;                                                                         \
      case JM_K_fole:                                                                        \
        *out = v[0] <= v[1];                                                                 \
        return true;                                                                         \
      case JM_K_funo:                                                                        \
        *out = v[0] != v[0] || v[1] != v[1];                                                 \
        return true;                                                                         \
      case JM_K_call: {                                                                      \
        void (*f)(void) = jm_kcall_functions[imm][sizeof(R) == 8];                           \
        if (n == 1)                                                                          \
          r = ((R(*)(R))f)(v[0]);                                                            \
        else if (n == 2)                                                                     \
          r = ((R(*)(R, R))f)(v[0], v[1]);                                                   \
        else                                                                                 \
          r = ((R(*)(R, R, R))f)(v[0], v[1], v[2]);                                          \
        break;                                                                               \
      }                                                                                      \
      default:                                                                               \
        return false;                                                                        \
    }                                                                                        \
    *out = 0;                                                                                \
    memcpy(out, &r, sizeof r);                                                               \
    return true;                                                                             \
  }
#define F32(name) name##f
#define F64(name) name
EVALUATE_FLOAT(evaluate_f32, float, F32)
EVALUATE_FLOAT(evaluate_f64, double, F64)

static double read_float(jm_ktype type, uint64_t bits) {
  return type == JM_KT_f32 ? (double)jm_f32_from_bits((uint32_t)bits) : jm_f64_from_bits(bits);
}

static uint64_t float_bits(jm_ktype type, double wide) {
  return type == JM_KT_f32 ? jm_f32_bits((float)wide) : jm_f64_bits(wide);
}

static bool evaluate_cast(jm_kopcode code, jm_ktype from, jm_ktype to, uint64_t x, uint64_t *out) {
  const uint32_t bits = jm_ktype_bits[to];
  switch (code) {
    case JM_K_zext:
    case JM_K_bitcast:
      *out = x;
      return true;
    case JM_K_itrunc:
      *out = jm_kvalue_mask(to, x);
      return true;
    case JM_K_sext:
      *out = jm_kvalue_mask(to, from == JM_KT_i1 ? 0 - x : (uint64_t)jm_kvalue_signed(from, x));
      return true;
    case JM_K_sitofp: {
      int64_t s = from == JM_KT_i1 ? -(int64_t)x : jm_kvalue_signed(from, x);
      /* not through double: that would round twice */
      *out = to == JM_KT_f32 ? float_bits(to, (double)(float)s) : float_bits(to, (double)s);
      return true;
    }
    case JM_K_uitofp:
      *out = to == JM_KT_f32 ? float_bits(to, (double)(float)x) : float_bits(to, (double)x);
      return true;
    case JM_K_fptosi: {
      double v = trunc(read_float(from, x)), limit = ldexp(1, (int)bits - 1);
      if (!(v >= -limit && v < limit)) return false;
      *out = jm_kvalue_mask(to, (uint64_t)(int64_t)v);
      return true;
    }
    case JM_K_fptoui: {
      double v = trunc(read_float(from, x));
      if (!(v >= 0 && v < ldexp(1, (int)bits))) return false;
      *out = (uint64_t)v;
      return true;
    }
    case JM_K_fpext:
    case JM_K_fptrunc:
      *out = float_bits(to, read_float(from, x));
      return true;
    default:
      return false;
  }
}

bool jm_kernel_evaluate(jm_kopcode code, jm_ktype from, jm_ktype to, uint64_t imm,
                        const uint64_t *x, uint64_t *out) {
  if (code == JM_K_const) {
    *out = imm;
    return true;
  }
  if (code == JM_K_select) {
    *out = x[0] ? x[1] : x[2];
    return true;
  }
  if (code == JM_K_fscale) {
    code = JM_K_call;
    imm = JM_KCALL_scale;
  }
  if (jm_kop_facts[code].result == JM_KRESULT_CAST) return evaluate_cast(code, from, to, x[0], out);
  if (!jm_ktype_is_float(from)) return evaluate_integer(code, from, x, out);
  return from == JM_KT_f32 ? evaluate_f32(code, imm, x, out) : evaluate_f64(code, imm, x, out);
}
