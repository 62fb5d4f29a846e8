/* SPDX-License-Identifier: Apache-2.0
 * ThreeFry 2x32 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3"), 20 rounds, as
 * JAX's generator has it: one element of both results from one of both counters. */
#include "kernel/emit/emit_rules.h"

static jm_kval rotate(jm_kbuilder *b, jm_kval x, int64_t left) {
  const jm_ktype it = JM_KT_i32;
  return jm_k_or(b, jm_k_shl(b, x, jm_k_int(b, it, left)),
                 jm_k_lshr(b, x, jm_k_int(b, it, 32 - left)));
}

/* A scalar counts for all elements. */
static jm_kval word(jm_emit *e, const jm_op *op, uint32_t i, const jm_kval *index) {
  bool is_scalar = !jm_op_operand_type(jm_emit_module(e), op, i)->rank;
  return jm_emit_operand(e, op, i, is_scalar ? NULL : index).part[0];
}

void jm_emit_threefry2x32(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  static const uint8_t rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  jm_kbuilder *const b = jm_emit_builder(e);
  const jm_ktype it = JM_KT_i32;
  jm_kval k[3] = {word(e, op, 0, index), word(e, op, 1, index), 0};
  k[2] = jm_k_xor(b, jm_k_xor(b, k[0], k[1]), jm_k_int(b, it, 0x1bd11bda));
  jm_kval x = jm_k_iadd(b, word(e, op, 2, index), k[0]),
          y = jm_k_iadd(b, word(e, op, 3, index), k[1]);
  for (uint32_t group = 0; group < 5; group++) {
    for (uint32_t i = 0; i < 4; i++) {
      x = jm_k_iadd(b, x, y);
      y = jm_k_xor(b, rotate(b, y, rotations[group % 2][i]), x);
    }
    x = jm_k_iadd(b, x, k[(group + 1) % 3]);
    y = jm_k_iadd(b, y, jm_k_iadd(b, k[(group + 2) % 3], jm_k_int(b, it, group + 1)));
  }
  out[0] = jm_element_of(x);
  out[1] = jm_element_of(y);
}
