/* SPDX-License-Identifier: Apache-2.0
 * bitcast_convert. Logically the operand is its elements' bits, packed without gaps, first element
 * and least significant bits first. In our buffers a type below 8 bits takes a byte an element, so
 * that only such types need conversion: their bits are packed from, and unpacked to, bytes. */
#include <string.h>

#include "base/number.h"
#include "engine/elementwise/elementwise.h"

/* Here pred has the width of a byte of 0 or 1, not that of a bit. */
static uint32_t width_of(jm_dtype dtype) {
  return dtype == JM_DT_pred ? 8 : jm_dtype_facts[dtype].bits;
}

/* A byte of our buffer for the low bits of a value of a type below 8 bits. */
static uint8_t extend(jm_dtype dtype, uint32_t bits) {
  if (dtype == JM_DT_s2) return (uint8_t)jm_s2_wrap((int32_t)bits);
  if (dtype == JM_DT_s4) return (uint8_t)jm_s4_wrap((int32_t)bits);
  return (uint8_t)bits;
}

static void copy_bits(jm_dtype from, jm_dtype to, const uint8_t *in, uint8_t *out, size_t n_in) {
  uint32_t in_bits = width_of(from), out_bits = width_of(to);
  /* Types of 8 bits and more are streams of bytes, which is what little-endian machines hold. */
  size_t n = in_bits < 8 ? n_in : n_in * (in_bits / 8);
  uint32_t take = in_bits < 8 ? in_bits : 8, give = out_bits < 8 ? out_bits : 8;
  uint32_t held = 0, n_held = 0;
  for (size_t i = 0; i < n; i++) {
    held |= (in[i] & ((1u << take) - 1)) << n_held;
    for (n_held += take; n_held >= give; n_held -= give, held >>= give)
      *out++ = extend(to, held & ((1u << give) - 1));
  }
}

jm_error *jm_elementwise_bitcast_convert(const jm_call *call) {
  const jm_type *in = call->in[0].type, *out = call->out[0].type;
  size_t n_in = (size_t)in->count, n_out = (size_t)out->count;
  uint32_t in_bits = width_of(in->dtype), out_bits = width_of(out->dtype);
  if (in->dtype != out->dtype &&
      (jm_dtype_is_complex(in->dtype) || jm_dtype_is_complex(out->dtype)))
    return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED, "bits of a complex type");
  if (n_in * in_bits != n_out * out_bits)
    return jm_op_error(call->module, call->op, JM_INVALID_ARGUMENT,
                       "the operand and the result differ in the number of bits");
  if (in_bits >= 8 && out_bits >= 8)
    memmove(call->out[0].data, call->in[0].data, jm_type_bytes(out));
  else
    copy_bits(in->dtype, out->dtype, call->in[0].data, call->out[0].data, n_in);
  uint8_t *bytes = call->out[0].data; /* any bits but none are true; others would spread */
  for (size_t i = 0; out->dtype == JM_DT_pred && i < n_out; i++) bytes[i] = bytes[i] != 0;
  return NULL;
}
