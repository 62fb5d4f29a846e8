/* SPDX-License-Identifier: Apache-2.0
 * Scatter of contiguous windows whose body takes the update or joins it by one op. A destination
 * sees its updates in the order of their positions: each thread owns a range of the operand and
 * walks all positions, so the number of threads changes nothing. */
#include <pthread.h>
#include <string.h>

#include "base/parallel.h"
#include "engine/host/library/cpu.h"
#include "engine/host/library/functions.h"
#include "engine/host/library/places.h"
#include "ir/body.h"

enum {
  LEAST_PART = 1 << 15, /* elements of updates that are worth a thread */
  MOST_PARTS = 64,
  NARROW = 8, /* elements of windows for which a part's search costs as much as the work */
  MOST_NARROW_PARTS = 4,
  SELECT = 512, /* indices that are selected from at a time */
};

typedef struct scatter scatter;
/* Updates of single elements: from[i * step] joins to[at[i]], for the n i of the list, in order. */
typedef void scalars_fn(const uint32_t *at, const uint32_t *list, size_t n, void *to,
                        const void *from, ptrdiff_t step);

struct scatter {
  const jm_call *call;
  jm_places places;
  size_t bytes;
  jm_elementwise_kernel *kernel; /* NULL: assignment */
  scalars_fn *scalars;           /* NULL: window by window */
  int64_t count;                 /* of the operand */
  size_t parts;
};

/* Selects the indices that are less than n, in order, without an unpredictable branch. */
typedef size_t select_fn(const uint32_t *at, size_t count, uint32_t n, uint32_t *list);

static size_t select_any(const uint32_t *at, size_t count, uint32_t n, uint32_t *list) {
  size_t selected = 0;
  for (size_t i = 0; i < count; i++) {
    list[selected] = (uint32_t)i;
    selected += at[i] < n;
  }
  return selected;
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

/* list has room for a vector more. */
__attribute__((target("avx512f,popcnt"))) static size_t select_512(const uint32_t *at, size_t count,
                                                                   uint32_t n, uint32_t *list) {
  size_t selected = 0;
  __m512i bound = _mm512_set1_epi32((int)n), step = _mm512_set1_epi32(16);
  __m512i index = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  for (size_t i = 0; i < count; i += 16, index = _mm512_add_epi32(index, step)) {
    __mmask16 there = count - i < 16 ? (__mmask16)((1u << (count - i)) - 1) : (__mmask16)0xffff;
    __m512i x = _mm512_maskz_loadu_epi32(there, at + i);
    __mmask16 less = _mm512_mask_cmplt_epu32_mask(there, x, bound);
    _mm512_storeu_si512(list + selected, _mm512_maskz_compress_epi32(less, index));
    selected += (size_t)__builtin_popcount(less);
  }
  return selected;
}

/* Of each set of lanes of 8, as bits: the numbers of its lanes, a byte each. */
static uint64_t lanes_of[256];

static void fill_lanes(void) {
  for (unsigned set = 0; set < 256; set++)
    for (unsigned lane = 0, n = 0; lane < 8; lane++)
      if (set >> lane & 1) lanes_of[set] |= (uint64_t)lane << (8 * n++);
}

__attribute__((target("avx2,popcnt"))) static size_t select_256(const uint32_t *at, size_t count,
                                                                uint32_t n, uint32_t *list) {
  size_t selected = 0, i = 0;
  __m256i largest = _mm256_set1_epi32((int)(n - 1));
  for (; n && i + 8 <= count; i += 8) {
    __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(at + i));
    __m256i less = _mm256_cmpeq_epi32(_mm256_min_epu32(x, largest), x);
    unsigned set = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(less));
    __m256i lanes = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)lanes_of[set]));
    lanes = _mm256_add_epi32(lanes, _mm256_set1_epi32((int)i));
    _mm256_storeu_si256((__m256i *)(void *)(list + selected), lanes);
    selected += (size_t)__builtin_popcount(set);
  }
  for (; i < count; i++) {
    list[selected] = (uint32_t)i;
    selected += at[i] < n;
  }
  return selected;
}

static select_fn *find_select(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  const jm_cpu_level level = jm_cpu_find_level();
  if (level == JM_CPU_AVX512) return select_512;
  if (level != JM_CPU_AVX2) return select_any;
  pthread_once(&once, fill_lanes);
  return select_256;
}
#else
static select_fn *find_select(void) { return select_any; }
#endif

#define DEFINE(name, T, JOIN)                                                              \
  static void scalars_##name(const uint32_t *at, const uint32_t *list, size_t n, void *to, \
                             const void *from, ptrdiff_t step) {                           \
    T *y = to;                                                                             \
    const T *x = from;                                                                     \
    for (size_t i = 0; i < n; i++) JOIN(y[at[list[i]]], x[(ptrdiff_t)list[i] * step]);     \
  }
#define ADD(y, x) ((y) += (x))
#define TAKE(y, x) ((y) = (x))
typedef struct sixteen {
  uint64_t low, high;
} sixteen;
DEFINE(add_f32, float, ADD)
DEFINE(add_f64, double, ADD)
DEFINE(add_u8, uint8_t, ADD)
DEFINE(add_u16, uint16_t, ADD)
DEFINE(add_u32, uint32_t, ADD)
DEFINE(add_u64, uint64_t, ADD)
DEFINE(take_1, uint8_t, TAKE)
DEFINE(take_2, uint16_t, TAKE)
DEFINE(take_4, uint32_t, TAKE)
DEFINE(take_8, uint64_t, TAKE)
DEFINE(take_16, sixteen, TAKE)

static scalars_fn *const adds[JM_N_DTYPES] = {
    [JM_DT_f32] = scalars_add_f32, [JM_DT_f64] = scalars_add_f64, [JM_DT_s8] = scalars_add_u8,
    [JM_DT_u8] = scalars_add_u8,   [JM_DT_s16] = scalars_add_u16, [JM_DT_u16] = scalars_add_u16,
    [JM_DT_s32] = scalars_add_u32, [JM_DT_u32] = scalars_add_u32, [JM_DT_s64] = scalars_add_u64,
    [JM_DT_u64] = scalars_add_u64,
};
static scalars_fn *const takes[] = {scalars_take_1, scalars_take_2, scalars_take_4, scalars_take_8,
                                    scalars_take_16};

bool jm_library_scatter_windows_supports(const jm_module *module, const jm_op *op) {
  jm_monoid monoid;
  if (op->n_results != 1 || op->n_captures) return false;
  if (jm_body_assigns(module, op->first_region, 1)) return true;
  return jm_body_monoid(module, op->first_region, &monoid) &&
         jm_elementwise_find(monoid.code, monoid.dtype);
}

static void windows(const scatter *s, const jm_place_run *run, char *to, const char *from,
                    int64_t begin, int64_t end) {
  int64_t element = (int64_t)s->bytes, window = s->places.window;
  for (int64_t i = 0; i < run->n; i++) {
    int64_t at = run->operand[i], low = at < begin ? begin : at;
    int64_t high = at + window < end ? at + window : end;
    if (at < 0 || low >= high) continue;
    char *y = to + low * element;
    const char *x = from + (run->batched + i * run->batched_step + low - at) * element;
    if (s->kernel)
      s->kernel((const void *[]){y, x}, y, (size_t)(high - low));
    else
      memcpy(y, x, (size_t)((high - low) * element));
  }
}

/* A part's range of the operand. */
static int64_t part_begin(const scatter *s, size_t i) {
  int64_t part = (s->count + (int64_t)s->parts - 1) / (int64_t)s->parts;
  part = (part + 15) / 16 * 16;
  int64_t begin = (int64_t)i * part;
  return begin < s->count ? begin : s->count;
}

static bool is_cancelled(const scatter *s) { return jm_context_is_cancelled(s->call->context); }

/* Part i of the operand: all positions, in order. */
static void run_parts(void *context, size_t first, size_t last) {
  const scatter *s = context;
  jm_place_run run;
  for (size_t i = first; i < last; i++) {
    int64_t begin = part_begin(s, i), end = part_begin(s, i + 1);
    for (int64_t at = 0; at < s->places.n && begin < end; at += run.n) {
      if (is_cancelled(s)) return;
      jm_places_read(&s->places, at, s->places.n, &run);
      windows(s, &run, s->call->out[0].data, s->call->in[2].data, begin, end);
    }
  }
}

/* The same for single elements of a vector: an index is the offset itself. */
static void run_scalar_parts(void *context, size_t first, size_t last) {
  const scatter *s = context;
  const int32_t *indices = s->call->in[1].data;
  select_fn *select = find_select();
  ptrdiff_t step = s->places.x.n_batch ? (ptrdiff_t)s->places.x.batch[0].batched : 0;
  for (size_t i = first; i < last; i++) {
    int64_t begin = part_begin(s, i), end = part_begin(s, i + 1);
    char *to = (char *)s->call->out[0].data + begin * (int64_t)s->bytes;
    const char *from = s->call->in[2].data;
    for (int64_t at = 0; at < s->places.n; at += SELECT) {
      uint32_t local[SELECT], list[SELECT + 16];
      int64_t n = s->places.n - at < SELECT ? s->places.n - at : SELECT;
      if (is_cancelled(s)) return;
      for (int64_t k = 0; k < n; k++) local[k] = (uint32_t)indices[at + k] - (uint32_t)begin;
      size_t selected = select(local, (size_t)n, (uint32_t)(end - begin), list);
      s->scalars(local, list, selected, to, from + at * step * (int64_t)s->bytes, step);
    }
  }
}

/* Whether the positions are one row of 32-bit indices into a vector. A negative one is more than
 * any length, taken as unsigned. */
static bool is_vector(const scatter *s) {
  const jm_indexing *x = &s->places.x;
  return s->places.window == 1 && x->n_starts == 1 && x->dtype == JM_DT_s32 && x->n_batch <= 1 &&
         x->starts[0].stride == 1 && x->starts[0].last + 1 == s->count && s->count <= INT32_MAX &&
         (!x->n_batch || (x->batch[0].index == 1 && !x->batch[0].operand));
}

static jm_error *run(scatter *s, jm_arena *arena) {
  const jm_call *call = s->call;
  jm_dtype dtype = call->out[0].type->dtype;
  const jm_indexing_spec spec = jm_indexing_of_scatter(call);
  JM_TRY(jm_places_init(&s->places, arena, &spec, call->in[1].data));
  if (!s->places.is_contiguous) return jm_library_scatter(call);
  jm_monoid monoid;
  if (!jm_body_monoid(call->module, call->op->first_region, &monoid)) {
    s->scalars = takes[__builtin_ctzll(s->bytes)];
  } else {
    s->kernel = jm_elementwise_find(monoid.code, dtype);
    if (monoid.code == JM_OP_add) s->scalars = adds[dtype];
  }
  if (call->out[0].data != call->in[0].data)
    jm_copy_bytes(call->out[0].data, call->in[0].data, jm_type_bytes(call->out[0].type));
  s->count = call->out[0].type->count;
  if (!is_vector(s)) s->scalars = NULL;
  int64_t updates = call->in[2].type->count;
  size_t most = s->places.window < NARROW ? MOST_NARROW_PARTS : MOST_PARTS;
  s->parts = jm_parallel_threads();
  if (s->parts > most) s->parts = most;
  if ((int64_t)s->parts > updates / LEAST_PART) s->parts = (size_t)(updates / LEAST_PART) + 1;
  jm_parallel_for(s->parts, 1, s->scalars ? run_scalar_parts : run_parts, s);
  if (is_cancelled(s)) return jm_error_create(JM_CANCELLED, "the execution was cancelled");
  return NULL;
}

jm_error *jm_library_scatter_windows(const jm_call *call) {
  if (!call->out[0].type->count || !call->in[2].type->count) return jm_library_scatter(call);
  scatter s = {.call = call, .bytes = jm_dtype_bytes(call->out[0].type->dtype)};
  jm_arena arena;
  jm_arena_init(&arena);
  jm_error *error = run(&s, &arena);
  jm_arena_deinit(&arena);
  return error;
}
