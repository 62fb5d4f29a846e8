/* SPDX-License-Identifier: Apache-2.0
 * threefry2x32 and rng_bit_generator, with counters laid out as XLA lays them out. */
#include <string.h>

#include "engine/elementwise/random.h"
#include "engine/ref/functions.h"

/* Scalars count for all elements. */
static uint32_t word(const jm_tensor *t, int64_t i) {
  return ((const uint32_t *)t->data)[t->type->count == 1 ? 0 : i];
}

jm_error *jm_ref_threefry2x32(const jm_call *call) {
  for (int64_t i = 0; i < call->out[0].type->count; i++) {
    uint32_t words[2];
    jm_threefry(word(&call->in[0], i) | (uint64_t)word(&call->in[1], i) << 32,
                word(&call->in[2], i) | (uint64_t)word(&call->in[3], i) << 32, words);
    for (int k = 0; k < 2; k++) ((uint32_t *)call->out[k].data)[i] = words[k];
  }
  return NULL;
}

/* Narrow elements are the low bits of a word each, wide ones are two words. Little-endian. */
static void store(const jm_tensor *out, int64_t i, const uint32_t *words) {
  size_t bytes = jm_dtype_bytes(out->type->dtype);
  memcpy((char *)out->data + i * (int64_t)bytes, words, bytes);
}

/* A counter's words are the four neighbours, or two wide ones, of the dense result. */
static uint64_t run_philox(const jm_tensor *out, const uint64_t *state) {
  int64_t width = jm_dtype_bytes(out->type->dtype) == 8 ? 2 : 1, n = out->type->count, i = 0;
  uint64_t counters = 0;
  for (; i < n; counters++) {
    uint32_t words[4];
    uint64_t low = state[1] + counters;
    jm_philox(state[0], low, state[2] + (low < state[1]), words);
    for (int64_t k = 0; k < 4 && i < n; k += width) store(out, i++, words + k);
  }
  return counters;
}

/* Two words of a counter are neighbours along the first even dimension, or else along the first of
 * the largest ones, whose last neighbour is then dropped. Wide elements take both words. */
static uint64_t run_threefry(const jm_tensor *out, const uint64_t *state) {
  const jm_type *type = out->type;
  uint32_t split = 0, words[2];
  int64_t at[JM_RANK_MAX] = {0}, dims[JM_RANK_MAX] = {0};
  uint64_t counters = 0;
  bool even = false, wide = jm_dtype_bytes(type->dtype) == 8;
  for (uint32_t d = 0; d < type->rank && !even; d++) {
    even = type->dims[d] % 2 == 0;
    if (even || type->dims[d] > type->dims[split]) split = d;
  }
  for (uint32_t d = 0; d < type->rank; d++)
    dims[d] = d == split && !wide ? (type->dims[d] + 1) / 2 : type->dims[d];
  do {
    int64_t to[JM_RANK_MAX];
    jm_threefry(state[0], state[1] + counters++, words);
    memcpy(to, at, sizeof to);
    if (!wide && type->rank) to[split] *= 2;
    memcpy(jm_ref_at(out, to), words, jm_dtype_bytes(type->dtype));
    if (wide || !type->rank || ++to[split] == type->dims[split]) continue;
    memcpy(jm_ref_at(out, to), words + 1, jm_dtype_bytes(type->dtype));
  } while (jm_ref_next(dims, type->rank, at));
  return counters;
}

/* States: threefry u64[2] (key, counter); Philox u64[2] (key, low; the high half of the counter is
 * the key too) or u64[3] (key, low, high). The default is Philox, as on XLA's CPU. */
jm_error *jm_ref_rng_bit_generator(const jm_call *call) {
  jm_rng_algorithm algorithm = ((const jm_rng_bit_generator_attrs *)call->op->attrs)->algorithm;
  const jm_type *type = call->in[0].type;
  const jm_tensor *out = &call->out[1];
  bool is_threefry = algorithm == JM_RNG_THREE_FRY;
  if (type->dtype != JM_DT_u64 || (type->count != 2 && (type->count != 3 || is_threefry)) ||
      !jm_dtype_is_integer(out->type->dtype) || jm_dtype_facts[out->type->dtype].bits < 8)
    return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED, "such a state or such bits");
  uint64_t state[3], counters = 0;
  memcpy(state, call->in[0].data, jm_type_bytes(type));
  if (type->count == 2) state[2] = state[0];
  if (out->type->count) counters = is_threefry ? run_threefry(out, state) : run_philox(out, state);
  uint64_t before = state[1];
  state[1] += counters;
  state[2] += state[1] < before;
  memcpy(call->out[0].data, state, jm_type_bytes(type));
  return NULL;
}
