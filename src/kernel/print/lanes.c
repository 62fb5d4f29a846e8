/* SPDX-License-Identifier: Apache-2.0
 * Finds which values of a vector loop's body differ between lanes, and how. Values that are equal
 * in all lanes, and indices with a constant stride, stay scalars, so that addresses need no
 * vectors. */
#include "kernel/print/lanes.h"

static jm_lane uniform(void) { return (jm_lane){JM_LANE_UNIFORM, 0}; }
static jm_lane varying(void) { return (jm_lane){JM_LANE_VARYING, 0}; }

static jm_lane affine(const jm_kernel *k, jm_kval v, uint64_t stride) {
  uint32_t bits = jm_ktype_bits[k->values[v].type];
  if (bits < 64) stride &= ((uint64_t)1 << bits) - 1;
  return stride ? (jm_lane){JM_LANE_AFFINE, stride} : uniform();
}

static const jm_kinst_fact *constant(const jm_kernel *k, jm_kval v) {
  jm_kinst inst = k->values[v].inst;
  return inst != JM_KNONE && k->insts[inst].code == JM_K_const ? &k->insts[inst] : NULL;
}

/* Wrapping integer arithmetic keeps even steps even. */
static jm_lane of_pure(const jm_kernel *k, const jm_kinst_fact *f, const jm_lane *lanes) {
  jm_lane x[3] = {{0}};
  bool all_uniform = true, none_varying = true;
  for (uint32_t i = 0; i < f->n_operands; i++) {
    jm_lane lane = lanes[f->operands[i]];
    if (i < 3) x[i] = lane;
    all_uniform &= lane.kind == JM_LANE_UNIFORM;
    none_varying &= lane.kind != JM_LANE_VARYING;
  }
  if (all_uniform) return uniform();
  if (!none_varying) return varying();
  jm_kval v = f->first_result;
  const jm_kinst_fact *c;
  switch (f->code) {
    case JM_K_iadd:
      return affine(k, v, x[0].stride + x[1].stride);
    case JM_K_isub:
      return affine(k, v, x[0].stride - x[1].stride);
    case JM_K_imul:
      if ((c = constant(k, f->operands[1]))) return affine(k, v, x[0].stride * c->imm);
      if ((c = constant(k, f->operands[0]))) return affine(k, v, x[1].stride * c->imm);
      return varying();
    case JM_K_shl:
      if ((c = constant(k, f->operands[1])) && c->imm < 64)
        return affine(k, v, x[0].stride << c->imm);
      return varying();
    case JM_K_itrunc:
      return affine(k, v, x[0].stride);
    case JM_K_select:
      return x[0].kind == JM_LANE_UNIFORM && x[1].stride == x[2].stride ? affine(k, v, x[1].stride)
                                                                        : varying();
    default:
      return varying();
  }
}

static bool find_in_loop(const jm_kernel *k, const jm_kinst_fact *f, jm_lane *lanes) {
  if (f->code != JM_K_loop || f->binding != JM_BIND_SERIAL) return false;
  for (uint32_t i = 0; i < 2; i++)
    if (lanes[f->operands[i]].kind != JM_LANE_UNIFORM) return false;
  const jm_kblock_fact *body = &k->blocks[f->first_block];
  lanes[body->first_arg] = uniform();
  for (uint32_t i = 0; i < f->n_results; i++)
    lanes[body->first_arg + 1 + i] = lanes[f->operands[2 + i]];
  for (bool changed = true; changed;) { /* each round makes one more carry vary */
    changed = false;
    if (!jm_lane_find(k, f->first_block, lanes)) return false;
    for (uint32_t i = 0; i < f->n_results; i++) {
      jm_lane *carry = &lanes[body->first_arg + 1 + i], next = lanes[body->yields[i]];
      if (carry->kind == JM_LANE_VARYING) continue;
      if (carry->kind != next.kind || carry->stride != next.stride) {
        *carry = varying();
        changed = true;
      }
    }
  }
  for (uint32_t i = 0; i < f->n_results; i++)
    lanes[f->first_result + i] = lanes[body->first_arg + 1 + i];
  return true;
}

bool jm_lane_find(const jm_kernel *k, jm_kblock block, jm_lane *lanes) {
  const jm_kblock_fact *b = &k->blocks[block];
  for (uint32_t i = 0; i < b->n_insts; i++) {
    const jm_kinst_fact *f = &k->insts[b->insts[i]];
    if (f->n_blocks && !find_in_loop(k, f, lanes)) return false;
    if (f->n_blocks) continue;
    if (f->code == JM_K_load)
      lanes[f->first_result] =
          lanes[f->operands[0]].kind == JM_LANE_UNIFORM ? uniform() : varying();
    else if (f->n_results)
      lanes[f->first_result] = of_pure(k, f, lanes);
  }
  return true;
}

/* Sign extension keeps order, signed or not, and bits. */
bool jm_lane_is_narrowable(jm_kopcode code) {
  switch (code) {
    case JM_K_iadd:
    case JM_K_isub:
    case JM_K_imul:
    case JM_K_sdiv:
    case JM_K_srem:
    case JM_K_udiv: /* a negative operand has no range here, so that the result would not fit */
    case JM_K_urem:
    case JM_K_and:
    case JM_K_or:
    case JM_K_xor:
    case JM_K_smin:
    case JM_K_smax:
    case JM_K_umin:
    case JM_K_umax:
    case JM_K_ieq:
    case JM_K_ine:
    case JM_K_slt:
    case JM_K_sle:
    case JM_K_ult:
    case JM_K_ule:
    case JM_K_select:
      return true;
    default:
      return false;
  }
}

void jm_lane_narrow(const jm_kernel *k, const jm_krange *ranges, bool *narrow) {
  for (uint32_t v = 0; v < k->n_values; v++)
    narrow[v] =
        k->values[v].type == JM_KT_i64 && ranges[v].lo >= INT32_MIN && ranges[v].hi <= INT32_MAX;
}
