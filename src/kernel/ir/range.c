/* SPDX-License-Identifier: Apache-2.0
 * Ranges of integer values: intervals of the possible values, read as signed. They remove clamps
 * and bounds tests of indices that are in range. */
#include "kernel/ir/builder.h"

jm_krange jm_krange_full(jm_ktype type) {
  if (type == JM_KT_i1) return (jm_krange){0, 1};
  if (jm_ktype_is_float(type) || type == JM_KT_i64) return (jm_krange){INT64_MIN, INT64_MAX};
  int64_t half = INT64_C(1) << (jm_ktype_bits[type] - 1);
  return (jm_krange){-half, half - 1};
}

bool jm_krange_add(jm_krange a, jm_krange b, jm_krange *out) {
  return !__builtin_add_overflow(a.lo, b.lo, &out->lo) &&
         !__builtin_add_overflow(a.hi, b.hi, &out->hi);
}

bool jm_krange_scale(jm_krange a, int64_t c, jm_krange *out) {
  int64_t x, y;
  if (__builtin_mul_overflow(a.lo, c, &x) || __builtin_mul_overflow(a.hi, c, &y)) return false;
  *out = c < 0 ? (jm_krange){y, x} : (jm_krange){x, y};
  return true;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static bool multiply(jm_krange a, jm_krange b, jm_krange *out) {
  jm_krange x, y;
  if (!jm_krange_scale(a, b.lo, &x) || !jm_krange_scale(a, b.hi, &y)) return false;
  *out = (jm_krange){least(x.lo, y.lo), most(x.hi, y.hi)};
  return true;
}

/* The least 2^n - 1 that is at least v. */
static int64_t ones(int64_t v) {
  return v == 0 ? 0 : (int64_t)(UINT64_MAX >> __builtin_clzll((uint64_t)v));
}

/* Both operands are known not to be negative. */
static jm_krange find_natural(jm_kopcode code, jm_ktype type, jm_krange a, jm_krange b) {
  switch (code) {
    case JM_K_udiv:
    case JM_K_sdiv:
      return (jm_krange){b.hi ? a.lo / b.hi : 0, a.hi / most(b.lo, 1)};
    case JM_K_urem:
    case JM_K_srem:
      return (jm_krange){0, least(a.hi, most(b.hi - 1, 0))};
    case JM_K_and:
      return (jm_krange){0, least(a.hi, b.hi)};
    case JM_K_or:
      return (jm_krange){most(a.lo, b.lo), ones(a.hi | b.hi)};
    case JM_K_xor:
      return (jm_krange){0, ones(a.hi | b.hi)};
    case JM_K_umin:
      return (jm_krange){least(a.lo, b.lo), least(a.hi, b.hi)};
    case JM_K_umax:
      return (jm_krange){most(a.lo, b.lo), most(a.hi, b.hi)};
    default:
      return jm_krange_full(type);
  }
}

static jm_krange find_cast(jm_kopcode code, jm_ktype from, jm_ktype type, jm_krange r) {
  const jm_krange full = jm_krange_full(type);
  if (code == JM_K_itrunc) {
    if (type == JM_KT_i1) return full;
    return r.lo >= full.lo && r.hi <= full.hi ? r : full;
  }
  if (code == JM_K_sext) return from == JM_KT_i1 ? (jm_krange){-r.hi, -r.lo} : r;
  if (code == JM_K_zext) {
    if (r.lo >= 0) return r;
    return (jm_krange){0, (int64_t)((UINT64_C(1) << jm_ktype_bits[from]) - 1)};
  }
  return full;
}

jm_krange jm_krange_find(const jm_kernel *k, const jm_krange *ranges, jm_kopcode code,
                         jm_ktype type, const jm_kval *x) {
  const jm_krange full = jm_krange_full(type);
  const jm_kop_fact *fact = &jm_kop_facts[code];
  if (jm_ktype_is_float(type) || fact->operands < 1 || fact->result == JM_KRESULT_BOOL ||
      code == JM_K_call)
    return full;
  if (code == JM_K_select) {
    jm_krange p = ranges[x[1]], q = ranges[x[2]];
    return (jm_krange){least(p.lo, q.lo), most(p.hi, q.hi)};
  }
  if (fact->result == JM_KRESULT_CAST)
    return find_cast(code, k->values[x[0]].type, type, ranges[x[0]]);
  if (code == JM_K_ctpop || code == JM_K_ctlz) return (jm_krange){0, jm_ktype_bits[type]};
  if (type == JM_KT_i1) return full;
  const jm_krange p = ranges[x[0]], q = ranges[x[1]];
  jm_krange r;
  bool known = false;
  switch (code) {
    case JM_K_iadd:
      known = jm_krange_add(p, q, &r);
      break;
    case JM_K_isub:
      known =
          !__builtin_sub_overflow(p.lo, q.hi, &r.lo) && !__builtin_sub_overflow(p.hi, q.lo, &r.hi);
      break;
    case JM_K_imul:
      known = multiply(p, q, &r);
      break;
    case JM_K_smin:
      return (jm_krange){least(p.lo, q.lo), least(p.hi, q.hi)};
    case JM_K_smax:
      return (jm_krange){most(p.lo, q.lo), most(p.hi, q.hi)};
    case JM_K_and: /* with a mask that is not negative, whatever the other is */
      if (p.lo >= 0 && q.lo < 0) return (jm_krange){0, p.hi};
      if (q.lo >= 0 && p.lo < 0) return (jm_krange){0, q.hi};
      break;
    case JM_K_ashr:
      if (q.lo == q.hi && q.lo >= 0 && q.lo < jm_ktype_bits[type])
        return (jm_krange){p.lo >> q.lo, p.hi >> q.lo};
      break;
    case JM_K_lshr:
      if (q.lo == q.hi && q.lo >= 0 && q.lo < jm_ktype_bits[type] && p.lo >= 0)
        return (jm_krange){p.lo >> q.lo, p.hi >> q.lo};
      break;
    default:
      break;
  }
  if (known && r.lo >= full.lo && r.hi <= full.hi) return r;
  return p.lo >= 0 && q.lo >= 0 ? find_natural(code, type, p, q) : full;
}

/* Ranges of the block and of those inside it; arguments without a known range get the full one. */
static void find_in_block(const jm_kernel *k, jm_kblock block, jm_krange *ranges) {
  const jm_kblock_fact *at = &k->blocks[block];
  for (uint32_t i = 0; i < at->n_insts; i++) {
    const jm_kinst_fact *f = &k->insts[at->insts[i]];
    if (f->code == JM_K_const) {
      jm_ktype type = k->values[f->first_result].type;
      int64_t value = jm_kvalue_signed(type, f->imm);
      if (!jm_ktype_is_float(type)) ranges[f->first_result] = (jm_krange){value, value};
    } else if (jm_kop_facts[f->code].flags & JM_KFLAG_PURE) {
      jm_ktype type = k->values[f->first_result].type;
      ranges[f->first_result] = jm_krange_find(k, ranges, f->code, type, f->operands);
    }
    if (f->code == JM_K_loop) {
      jm_krange lower = ranges[f->operands[0]], upper = ranges[f->operands[1]];
      jm_krange index = {lower.lo, upper.hi - (upper.hi != INT64_MIN)};
      if (f->binding == JM_BIND_CHUNK) index = (jm_krange){0, k->chunks - 1};
      if (index.lo <= index.hi) ranges[k->blocks[f->first_block].first_arg] = index;
    }
    for (uint32_t j = 0; j < f->n_blocks; j++) find_in_block(k, f->first_block + j, ranges);
  }
}

void jm_krange_find_all(const jm_kernel *k, jm_krange *ranges) {
  for (uint32_t v = 0; v < k->n_values; v++) ranges[v] = jm_krange_full(k->values[v].type);
  find_in_block(k, 0, ranges);
}
