/* SPDX-License-Identifier: Apache-2.0
 * rng_bit_generator: counters of ThreeFry and Philox laid out as XLA lays them out, so that bits
 * and state equal XLA's. rng: Philox under a key of its own for each call. */
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/parallel.h"
#include "engine/elementwise/elementwise.h"
#include "engine/elementwise/random.h"

/* -- rng_bit_generator */

/* Narrow elements are the low bits of a 32-bit word each. */
static void store_word(void *out, size_t bytes, size_t i, uint32_t word) {
  switch (bytes) {
    case 1:
      ((uint8_t *)out)[i] = (uint8_t)word;
      break;
    case 2:
      ((uint16_t *)out)[i] = (uint16_t)word;
      break;
    default:
      ((uint32_t *)out)[i] = word;
      break;
  }
}

/* A run: counters that each give 64 or 128 bits. Their elements' places depend on the counter
 * alone, so any number of threads gives the same bits. */
typedef struct run {
  const jm_call *call;
  uint64_t key, low, high; /* the first counter */
  size_t n_counters;
  size_t n, half, inner; /* threefry's words: the split dimension, half of it, what is inside it */
} run;

enum { GRAIN = 1 << 14 }; /* counters */

/* Narrow results: a counter gives two words, neighbours along one dimension. */
static void threefry_words(void *context, size_t begin, size_t end) {
  const run *r = context;
  void *out = r->call->out[1].data;
  size_t bytes = jm_dtype_bytes(r->call->out[1].type->dtype);
  if (jm_context_is_cancelled(r->call->context)) return;
  size_t i = begin % r->inner, h = begin / r->inner % r->half, o = begin / r->inner / r->half;
  for (size_t c = begin; c < end; c++) {
    uint32_t words[2];
    jm_threefry(r->key, r->low + c, words);
    size_t at = (o * r->n + 2 * h) * r->inner + i;
    store_word(out, bytes, at, words[0]);
    if (2 * h + 1 < r->n) store_word(out, bytes, at + r->inner, words[1]);
    if (++i < r->inner) continue;
    i = 0;
    if (++h < r->half) continue;
    h = 0;
    o++;
  }
}

static void threefry_doubles(void *context, size_t begin, size_t end) {
  const run *r = context;
  uint64_t *out = r->call->out[1].data;
  if (jm_context_is_cancelled(r->call->context)) return;
  for (size_t i = begin; i < end; i++) {
    uint32_t words[2];
    jm_threefry(r->key, r->low + i, words);
    out[i] = words[0] | (uint64_t)words[1] << 32;
  }
}

/* Four words in a row, or two elements of 64 bits. */
static void philox_words(void *context, size_t begin, size_t end) {
  const run *r = context;
  void *out = r->call->out[1].data;
  size_t bytes = jm_dtype_bytes(r->call->out[1].type->dtype);
  size_t n = (size_t)r->call->out[1].type->count, per_counter = bytes == 8 ? 2 : 4;
  if (jm_context_is_cancelled(r->call->context)) return;
  for (size_t c = begin; c < end; c++) {
    uint32_t words[4];
    uint64_t sum = r->low + c;
    jm_philox(r->key, sum, r->high + (sum < r->low), words);
    size_t first = c * per_counter, left = n - first < per_counter ? n - first : per_counter;
    for (size_t j = 0; j < left; j++)
      if (bytes == 8)
        ((uint64_t *)out)[first + j] = words[2 * j] | (uint64_t)words[2 * j + 1] << 32;
      else
        store_word(out, bytes, first + j, words[j]);
  }
}

/* The words of a counter are neighbours along the first even dimension, or else along the first of
 * the largest ones, whose last neighbour is then dropped. */
static void split_shape(run *r, const jm_type *type) {
  uint32_t split = 0;
  bool even = false;
  size_t outer = 1;
  for (uint32_t d = 0; d < type->rank && !even; d++) {
    even = type->dims[d] % 2 == 0;
    if (even || type->dims[d] > type->dims[split]) split = d;
  }
  r->n = r->inner = 1;
  for (uint32_t d = 0; d < type->rank; d++)
    *(d < split ? &outer : d == split ? &r->n : &r->inner) *= (size_t)type->dims[d];
  r->half = (r->n + 1) / 2;
  r->n_counters = outer * r->half * r->inner;
}

/* States: threefry u64[2] (key, counter); Philox u64[2] (key, low; the high half of the counter is
 * the key too) or u64[3] (key, low, high). The default is Philox, as on XLA's CPU. */
jm_error *jm_library_rng_bit_generator(const jm_call *call) {
  jm_rng_algorithm algorithm = ((const jm_rng_bit_generator_attrs *)call->op->attrs)->algorithm;
  const jm_type *type = call->in[0].type;
  bool is_threefry = algorithm == JM_RNG_THREE_FRY;
  if (type->dtype != JM_DT_u64 || (type->count != 2 && (type->count != 3 || is_threefry)))
    return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED,
                       "a state that is neither u64[2] nor, for Philox, u64[3]");
  if (!jm_dtype_is_integer(call->out[1].type->dtype) ||
      jm_dtype_facts[call->out[1].type->dtype].bits < 8)
    return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED,
                       "random bits other than integers of 8 to 64 bits");
  uint64_t state[3];
  memcpy(state, call->in[0].data, jm_type_bytes(type));
  const jm_type *result = call->out[1].type;
  bool is_wide = jm_dtype_bytes(result->dtype) == 8;
  run r = {.call = call, .key = state[0], .low = state[1], .n_counters = (size_t)result->count};
  r.high = type->count == 3 ? state[2] : state[0];
  if (!is_threefry)
    r.n_counters = (r.n_counters + (is_wide ? 1 : 3)) / (is_wide ? 2 : 4);
  else if (!is_wide)
    split_shape(&r, result);
  jm_parallel_for(r.n_counters, GRAIN,
                  !is_threefry ? philox_words
                  : is_wide    ? threefry_doubles
                               : threefry_words,
                  &r);
  state[1] += r.n_counters;
  state[2] = r.high + (state[1] < r.low);
  if (jm_context_is_cancelled(call->context))
    return jm_error_create(JM_CANCELLED, "rng_bit_generator was cancelled");
  memcpy(call->out[0].data, state, jm_type_bytes(type));
  return NULL;
}

/* -- rng: unpredictable values; each call has a Philox key of its own */

typedef struct stream {
  uint64_t key, counter, high;
  uint32_t words[4];
  unsigned left;
} stream;

static void stream_init(stream *s) {
  static atomic_uint_fast64_t calls;
  struct timespec now = {0};
  clock_gettime(CLOCK_REALTIME, &now);
  s->key = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
  s->high = atomic_fetch_add(&calls, 1) << 24 ^ (uint64_t)getpid();
  s->counter = 0;
  s->left = 0;
}

static uint64_t stream_next(stream *s) {
  if (!s->left) {
    jm_philox(s->key, s->counter++, s->high, s->words);
    s->left = 2;
  }
  s->left--;
  return s->words[2 * s->left] | (uint64_t)s->words[2 * s->left + 1] << 32;
}

/* In [0, 1), a multiple of 2^-53. */
static double stream_unit(stream *s) { return (double)(stream_next(s) >> 11) * 0x1p-53; }

static double stream_normal(stream *s) {
  double radius = sqrt(-2 * log(1 - stream_unit(s)));
  return radius * cos(6.283185307179586 * stream_unit(s));
}

/* A number below range; 0 stands for 2^64. The first 2^64 mod range draws are rejected, so that the
 * rest covers each remainder equally often. */
static uint64_t stream_below(stream *s, uint64_t range) {
  if (range == 0) return stream_next(s);
  uint64_t rejected = (0 - range) % range;
  for (;;) {
    uint64_t x = stream_next(s);
    if (x >= rejected) return x % range;
  }
}

static int64_t read_integer(const void *data, jm_dtype dtype) {
  bool is_signed = jm_dtype_classof(dtype) == JM_CLASS_SINT;
  switch (jm_dtype_bytes(dtype)) {
    case 1:
      return is_signed ? *(const int8_t *)data : *(const uint8_t *)data;
    case 2:
      return is_signed ? *(const int16_t *)data : *(const uint16_t *)data;
    case 4:
      return is_signed ? *(const int32_t *)data : (int64_t)*(const uint32_t *)data;
    default:
      return *(const int64_t *)data;
  }
}

static jm_error *rng_integers(const jm_call *call, stream *s) {
  jm_dtype dtype = call->out[0].type->dtype;
  int64_t a = read_integer(call->in[0].data, dtype), b = read_integer(call->in[1].data, dtype);
  bool is_signed = jm_dtype_classof(dtype) == JM_CLASS_SINT;
  bool empty = is_signed ? a >= b : (uint64_t)a >= (uint64_t)b;
  uint64_t range = empty ? 1 : (uint64_t)b - (uint64_t)a;
  size_t n = (size_t)call->out[0].type->count, bytes = jm_dtype_bytes(dtype);
  for (size_t i = 0; i < n; i++) {
    if (i % GRAIN == 0 && jm_context_is_cancelled(call->context))
      return jm_error_create(JM_CANCELLED, "rng was cancelled");
    uint64_t x = (uint64_t)a + stream_below(s, range);
    if (bytes == 8)
      ((uint64_t *)call->out[0].data)[i] = x;
    else
      store_word(call->out[0].data, bytes, i, (uint32_t)x);
  }
  return NULL;
}

/* Draws in double and rounds to the result's type; a draw that rounds up to b becomes a. */
static jm_error *rng_floats(const jm_call *call, stream *s, bool normal) {
  jm_dtype dtype = call->out[0].type->dtype;
  size_t n = (size_t)call->out[0].type->count, bytes = jm_dtype_bytes(dtype);
  double a, b, draws[512];
  double back[512];
  JM_TRY(jm_convert_run(dtype, JM_DT_f64, call->in[0].data, &a, 1));
  JM_TRY(jm_convert_run(dtype, JM_DT_f64, call->in[1].data, &b, 1));
  enum { N = sizeof draws / sizeof *draws };
  for (size_t base = 0; base < n; base += N) {
    size_t count = n - base < N ? n - base : N;
    unsigned char *out = (unsigned char *)call->out[0].data + base * bytes;
    if (jm_context_is_cancelled(call->context))
      return jm_error_create(JM_CANCELLED, "rng was cancelled");
    for (size_t i = 0; i < count; i++)
      draws[i] = normal ? a + b * stream_normal(s) : a + (b - a) * stream_unit(s);
    JM_TRY(jm_convert_run(JM_DT_f64, dtype, draws, out, count));
    if (normal) continue;
    JM_TRY(jm_convert_run(dtype, JM_DT_f64, out, back, count));
    for (size_t i = 0; i < count; i++)
      if (a < b && back[i] >= b) memcpy(out + i * bytes, call->in[0].data, bytes);
  }
  return NULL;
}

jm_error *jm_library_rng(const jm_call *call) {
  const jm_rng_attrs *attrs = call->op->attrs;
  jm_dtype dtype = call->out[0].type->dtype;
  bool normal = attrs->distribution == JM_DISTRIBUTION_NORMAL;
  stream s;
  stream_init(&s);
  if (jm_dtype_is_float(dtype)) return rng_floats(call, &s, normal);
  if (!normal && (jm_dtype_is_integer(dtype) || dtype == JM_DT_pred)) return rng_integers(call, &s);
  return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED, "this distribution of this type");
}
