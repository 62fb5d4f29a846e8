/* SPDX-License-Identifier: Apache-2.0
 * Scatter of contiguous windows whose body takes the update or joins it by one op. A destination
 * sees its updates in the order of their positions: each thread owns a range of the operand and
 * walks all positions, so the number of threads changes nothing. It has rows of updates that are
 * not in memory computed when their turn comes. Sums of many elements that go to fewer destinations
 * are made in tables instead, each of a range of positions. */
#include <stdatomic.h>
#include <string.h>

#include "base/loop.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/host/library/copy.h"
#include "engine/host/library/cpu.h"
#include "engine/host/library/functions.h"
#include "engine/host/library/places.h"
#include "engine/host/library/scatter.h"
#include "ir/body.h"

enum {
  LEAST_PART = 1 << 15, /* elements of updates that are worth a thread */
  MOST_PARTS = 64,
  NARROW = 8, /* elements of windows for which a part's search costs as much as the work */
  MOST_NARROW_PARTS = 4,
  SET = 64,     /* indices that are selected from at a time: the bits of a word */
  BLOCK = 4096, /* indices between two looks at whether the execution is cancelled */
  LINE = 16,    /* elements that are added at a time, without a loop */
  STREAMS = 4,  /* ranges that a task walks together: chains of sums to one destination overlap */
  MOST_TABLES = 16 * STREAMS,
  LEAST_TABLE = 1 << 12, /* updates that are worth a table, */
  SPARSE = 4,            /* and times its elements; */
  LONE_SPARSE = 2,       /* or of one that a task fills alone, */
  LEAST_LONE = 4,        /* of so many tables and more */
  MERGE_GRAIN = 1 << 13, /* elements of the destination */
};

typedef struct scatter scatter;
/* Updates of single elements: from[i * step] joins to[at[i]], for the i of a set, in order. */
typedef void scalars_fn(const uint32_t *at, uint64_t set, void *to, const void *from,
                        ptrdiff_t step);

/* For i < n, from[i * step] of each of STREAMS ranges, apart elements from the next, joins
 * to[at[i]] of its table of count elements; indices beyond that are left out. */
typedef void streams_fn(const uint32_t *at, size_t n, size_t apart, uint32_t count, void *to,
                        const void *from, ptrdiff_t step);

/* The part of a window that lies in a part of the operand: n elements. */
typedef struct piece {
  int64_t to, from, n;
} piece;

/* Each piece of updates joins the operand's, in order. */
typedef void pieces_fn(const piece *pieces, size_t n, void *to, const void *from);

typedef struct adder {
  scalars_fn *scalars;
  streams_fn *streams;
  pieces_fn *pieces;
} adder;

struct scatter {
  const jm_call *call;
  const jm_scatter_updates *updates; /* NULL: they are in memory */
  jm_places places;
  size_t bytes;
  jm_elementwise_kernel *kernel; /* NULL: assignment */
  scalars_fn *scalars;           /* NULL: window by window */
  streams_fn *streams;           /* NULL: no sums, */
  pieces_fn *pieces;             /* or of another type */
  int64_t count;                 /* of the operand */
  bool is_rows;                  /* a window is a row of it, by its number */
  size_t parts;
  size_t n_tables, n_each; /* of updates */
  bool is_lone;            /* a table at a time */
  char *tables;
  char identity[8]; /* of a sum */
  atomic_bool out_of_memory;
};

/* Of SET indices, those from begin on that are less than n further, as bits. n > 0. */
typedef uint64_t select_fn(const uint32_t *at, uint32_t begin, uint32_t n);

static uint64_t select_few(const uint32_t *at, size_t count, uint32_t begin, uint32_t n) {
  uint64_t set = 0;
  for (size_t i = 0; i < count; i++) set |= (uint64_t)(at[i] - begin < n) << i;
  return set;
}

static uint64_t select_any(const uint32_t *at, uint32_t begin, uint32_t n) {
  return select_few(at, SET, begin, n);
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

__attribute__((target("avx512f"))) static uint64_t select_512(const uint32_t *at, uint32_t begin,
                                                              uint32_t n) {
  __m512i first = _mm512_set1_epi32((int)begin), bound = _mm512_set1_epi32((int)n);
  uint64_t set = 0;
  for (int i = 0; i < SET; i += 16) {
    __m512i x = _mm512_sub_epi32(_mm512_loadu_si512(at + i), first);
    set |= (uint64_t)_mm512_cmplt_epu32_mask(x, bound) << i;
  }
  return set;
}

__attribute__((target("avx2"))) static uint64_t select_256(const uint32_t *at, uint32_t begin,
                                                           uint32_t n) {
  __m256i first = _mm256_set1_epi32((int)begin), largest = _mm256_set1_epi32((int)(n - 1));
  uint64_t set = 0;
  for (int i = 0; i < SET; i += 8) {
    __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(at + i));
    x = _mm256_sub_epi32(x, first);
    __m256i less = _mm256_cmpeq_epi32(_mm256_min_epu32(x, largest), x);
    set |= (uint64_t)(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(less)) << i;
  }
  return set;
}

static select_fn *find_select(void) {
  const jm_cpu_level level = jm_cpu_find_level();
  return level == JM_CPU_AVX512 ? select_512 : level == JM_CPU_AVX2 ? select_256 : select_any;
}
#else
static select_fn *find_select(void) { return select_any; }
#endif

/* Of the next SET indices, or of what is left of them. */
static uint64_t select_set(select_fn *select, const uint32_t *at, int64_t left, uint32_t begin,
                           uint32_t n) {
  return left < SET ? select_few(at, (size_t)left, begin, n) : select(at, begin, n);
}

#define DEFINE(name, T, JOIN)                                                              \
  static void scalars_##name(const uint32_t *at, uint64_t set, void *to, const void *from, \
                             ptrdiff_t step) {                                             \
    T *y = to;                                                                             \
    const T *x = from;                                                                     \
    for (int i = 0; !~set && i < SET; i++) JOIN(y[at[i]], x[i * step]);                    \
    for (set = ~set ? set : 0; set; set &= set - 1) {                                      \
      int i = __builtin_ctzll(set);                                                        \
      JOIN(y[at[i]], x[i * step]);                                                         \
    }                                                                                      \
  }
#define DEFINE_ADD(name, T)                                                                        \
  DEFINE(add_##name, T, ADD)                                                                       \
  JM_CLONES static void pieces_##name(const piece *pieces, size_t n, void *to, const void *from) { \
    for (size_t i = 0; i < n; i++) {                                                               \
      T *y = (T *)to + pieces[i].to;                                                               \
      const T *x = (const T *)from + pieces[i].from;                                               \
      int64_t j = 0, size = pieces[i].n;                                                           \
      for (; j + LINE <= size; j += LINE)                                                          \
        JM_LOOP for (int64_t l = j; l < j + LINE; l++) y[l] += x[l];                               \
      for (; j < size; j++) y[j] += x[j];                                                          \
    }                                                                                              \
  }                                                                                                \
  static void streams_##name(const uint32_t *at, size_t n, size_t apart, uint32_t count, void *to, \
                             const void *from, ptrdiff_t step) {                                   \
    const T *x = from;                                                                             \
    for (size_t i = 0; i < n; i++)                                                                 \
      for (size_t s = 0; s < STREAMS; s++) {                                                       \
        uint32_t k = at[s * apart + i];                                                            \
        T *y = (T *)to + s * count;                                                                \
        if (k < count) y[k] += x[(ptrdiff_t)(s * apart + i) * step];                               \
      }                                                                                            \
  }
#define ADD(y, x) ((y) += (x))
#define TAKE(y, x) ((y) = (x))
typedef struct sixteen {
  uint64_t low, high;
} sixteen;
DEFINE_ADD(f32, float)
DEFINE_ADD(f64, double)
DEFINE_ADD(u8, uint8_t)
DEFINE_ADD(u16, uint16_t)
DEFINE_ADD(u32, uint32_t)
DEFINE_ADD(u64, uint64_t)
DEFINE(take_1, uint8_t, TAKE)
DEFINE(take_2, uint16_t, TAKE)
DEFINE(take_4, uint32_t, TAKE)
DEFINE(take_8, uint64_t, TAKE)
DEFINE(take_16, sixteen, TAKE)

#define ADDER(name) {scalars_add_##name, streams_##name, pieces_##name}
static const adder adders[JM_N_DTYPES] = {
    [JM_DT_f32] = ADDER(f32), [JM_DT_f64] = ADDER(f64), [JM_DT_s8] = ADDER(u8),
    [JM_DT_u8] = ADDER(u8),   [JM_DT_s16] = ADDER(u16), [JM_DT_u16] = ADDER(u16),
    [JM_DT_s32] = ADDER(u32), [JM_DT_u32] = ADDER(u32), [JM_DT_s64] = ADDER(u64),
    [JM_DT_u64] = ADDER(u64),
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

static ptrdiff_t update_step(const scatter *s) {
  return s->places.x.n_batch ? (ptrdiff_t)s->places.x.batch[0].batched : 0;
}

/* What of a run's windows lies in [begin, end) of the operand, in order. Most windows lie there as
 * a whole or not at all, at random: which they are is no branch. */
static size_t find_pieces(const scatter *s, const jm_place_run *run, int64_t begin, int64_t end,
                          piece *pieces) {
  const int64_t window = s->places.window, first = begin < window ? 0 : begin - window + 1;
  const uint64_t starts = (uint64_t)(end - first); /* of windows that reach into the range */
  uint16_t chosen[JM_PLACES_CHUNK];
  size_t n = 0;
  for (int64_t i = 0; i < run->n; i++) {
    chosen[n] = (uint16_t)i;
    n += (uint64_t)(run->operand[i] - first) < starts;
  }
  for (size_t i = 0; i < n; i++) {
    int64_t at = run->operand[chosen[i]], low = at < begin ? begin : at;
    int64_t high = at + window < end ? at + window : end;
    pieces[i] = (piece){low, run->batched + chosen[i] * run->batched_step + low - at, high - low};
  }
  return n;
}

/* The same where windows are rows, of those that start in the range, for positions [at, at + n). */
static size_t find_rows(const scatter *s, select_fn *select, int64_t at, int64_t n, int64_t begin,
                        int64_t end, piece *pieces) {
  const int64_t window = s->places.window;
  const uint32_t first = (uint32_t)(begin / window), count = (uint32_t)((end - begin) / window);
  const uint32_t *indices = (const uint32_t *)s->call->in[1].data + at;
  const ptrdiff_t step = update_step(s);
  size_t found = 0;
  for (int64_t i = 0; i < n; i += SET) {
    uint64_t set = select_set(select, indices + i, n - i, first, count);
    for (; set; set &= set - 1) {
      const int64_t j = i + __builtin_ctzll(set);
      pieces[found++] = (piece){(int64_t)indices[j] * window, (at + j) * step, window};
    }
  }
  return found;
}

static void join_pieces(const scatter *s, const piece *pieces, size_t n) {
  const int64_t element = (int64_t)s->bytes;
  char *to = s->call->out[0].data;
  const char *from = s->call->in[2].data;
  if (s->pieces) {
    s->pieces(pieces, n, to, from);
    return;
  }
  for (size_t i = 0; i < n; i++) {
    char *y = to + pieces[i].to * element;
    const char *x = from + pieces[i].from * element;
    if (s->kernel)
      s->kernel((const void *[]){y, x}, y, (size_t)pieces[i].n);
    else
      memcpy(y, x, (size_t)(pieces[i].n * element));
  }
}

/* The positions from `at` on, of n, whose rows are in the part: theirs are computed and joined. */
static bool join_updates(const scatter *s, select_fn *select, int64_t at, int64_t n, int64_t begin,
                         int64_t end) {
  const jm_scatter_updates *u = s->updates;
  const int64_t window = s->places.window;
  const uint32_t first = (uint32_t)(begin / window), count = (uint32_t)((end - begin) / window);
  const uint32_t *indices = s->call->in[1].data;
  int32_t rows[JM_PLACES_CHUNK];
  size_t found = 0;
  for (int64_t i = at; i < at + n; i += SET) {
    uint64_t set = select_set(select, indices + i, at + n - i, first, count);
    for (; set; set &= set - 1) rows[found++] = (int32_t)(i + __builtin_ctzll(set));
  }
  return !found || u->join(u->context, rows, found);
}

/* The operand's elements of a range, where the result is not in its memory. */
static void init_range(const scatter *s, int64_t begin, int64_t end) {
  const size_t at = (size_t)begin * s->bytes, bytes = (size_t)(end - begin) * s->bytes;
  char *to = (char *)s->call->out[0].data + at;
  if (s->updates && s->updates->fill)
    jm_copy_fill(to, s->updates->fill, s->bytes, end - begin);
  else if (s->call->out[0].data != s->call->in[0].data)
    memcpy(to, (const char *)s->call->in[0].data + at, bytes);
}

/* A part's range of the operand: whole rows if windows are that, else whole lines. */
static int64_t part_begin(const scatter *s, size_t i) {
  const int64_t whole = s->is_rows && s->places.window > 1 ? s->places.window : 16;
  int64_t part = (s->count + (int64_t)s->parts - 1) / (int64_t)s->parts;
  part = (part + whole - 1) / whole * whole;
  int64_t begin = (int64_t)i * part;
  return begin < s->count ? begin : s->count;
}

static bool is_cancelled(const scatter *s) { return jm_context_is_cancelled(s->call->context); }

static jm_error *cancelled(void) {
  return jm_error_create(JM_CANCELLED, "the execution was cancelled");
}

/* The windows of all positions, in order, in [begin, end) of the operand; false: no memory. */
static bool run_part(const scatter *s, select_fn *select, int64_t begin, int64_t end) {
  piece pieces[JM_PLACES_CHUNK];
  jm_place_run run;
  for (int64_t at = 0, left; (left = s->places.n - at) > 0 && !is_cancelled(s); at += run.n) {
    run.n = left < JM_PLACES_CHUNK ? left : JM_PLACES_CHUNK;
    if (s->updates) {
      if (!join_updates(s, select, at, run.n, begin, end)) return false;
    } else if (s->is_rows) {
      join_pieces(s, pieces, find_rows(s, select, at, run.n, begin, end, pieces));
    } else {
      jm_places_read(&s->places, at, s->places.n, &run);
      join_pieces(s, pieces, find_pieces(s, &run, begin, end, pieces));
    }
  }
  return true;
}

static void run_parts(void *context, size_t first, size_t last) {
  scatter *s = context;
  select_fn *select = find_select();
  for (size_t i = first; i < last; i++) {
    int64_t begin = part_begin(s, i), end = part_begin(s, i + 1);
    if (begin == end) continue;
    init_range(s, begin, end);
    if (!run_part(s, select, begin, end))
      atomic_store_explicit(&s->out_of_memory, true, memory_order_relaxed);
  }
}

/* Single elements of a vector, where an index is the offset itself: of positions [at, last) those
 * that go to size elements from begin on. */
static void run_scalars(const scatter *s, select_fn *select, int64_t at, int64_t last,
                        int64_t begin, int64_t size, void *to) {
  const uint32_t *indices = s->call->in[1].data;
  const uint32_t first = (uint32_t)begin, count = (uint32_t)size;
  ptrdiff_t step = update_step(s);
  for (int64_t done = 0; at < last; at += SET, done += SET) {
    if (done % BLOCK == 0 && is_cancelled(s)) return;
    uint64_t set = select_set(select, indices + at, last - at, first, count);
    s->scalars(indices + at, set, to,
               (const char *)s->call->in[2].data + at * step * (int64_t)s->bytes, step);
  }
}

static void run_scalar_parts(void *context, size_t first, size_t last) {
  const scatter *s = context;
  select_fn *select = find_select();
  for (size_t i = first; i < last; i++) {
    int64_t begin = part_begin(s, i), end = part_begin(s, i + 1);
    if (begin == end) continue;
    init_range(s, begin, end);
    run_scalars(s, select, 0, s->places.n, begin, end - begin, s->call->out[0].data);
  }
}

/* -- tables */

/* How many tables of sums there are, by the sizes alone: they are filled with the identity and
 * added up, too. Fewer than two tasks have are none; where that is so with STREAMS for each task,
 * a task may fill one table at a time. */
static size_t count_tables(scatter *s) {
  const int64_t most =
      s->places.n / LEAST_TABLE < MOST_TABLES ? s->places.n / LEAST_TABLE : MOST_TABLES;
  int64_t n = s->places.n / (SPARSE * s->count);
  n = n < most ? n : most;
  if (n >= 2 * STREAMS) return (size_t)n / STREAMS * STREAMS;
  s->is_lone = true;
  n = s->places.n / (LONE_SPARSE * s->count);
  n = n < most ? n : most;
  return (size_t)n / LEAST_LONE * LEAST_LONE;
}

static void fill_tables(void *context, size_t first, size_t last) {
  const scatter *s = context;
  const size_t count = (size_t)s->count, n = s->n_each, table = count * s->bytes;
  const ptrdiff_t step = update_step(s);
  const uint32_t *indices = s->call->in[1].data;
  const char *updates = s->call->in[2].data;
  for (size_t task = first; task < last && !is_cancelled(s); task++) {
    size_t i = task * STREAMS, at = i * n;
    jm_copy_fill(s->tables + i * table, s->identity, s->bytes, (int64_t)(STREAMS * count));
    s->streams(indices + at, n, n, (uint32_t)count, s->tables + i * table,
               updates + (ptrdiff_t)at * step * (ptrdiff_t)s->bytes, step);
  }
}

static void fill_lone_tables(void *context, size_t first, size_t last) {
  const scatter *s = context;
  select_fn *select = find_select();
  for (size_t i = first; i < last; i++) {
    char *table = s->tables + i * (size_t)s->count * s->bytes;
    jm_copy_fill(table, s->identity, s->bytes, s->count);
    run_scalars(s, select, (int64_t)(i * s->n_each), (int64_t)((i + 1) * s->n_each), 0, s->count,
                table);
  }
}

/* A destination's sums are added to it in the order of the tables. */
static void add_tables(void *context, size_t first, size_t last) {
  const scatter *s = context;
  char *to = (char *)s->call->out[0].data + first * s->bytes;
  for (size_t i = 0; i < s->n_tables; i++) {
    const char *table = s->tables + (i * (size_t)s->count + first) * s->bytes;
    s->kernel((const void *[]){to, table}, to, last - first);
  }
}

/* What positions are left over comes last. */
static jm_error *run_tables(scatter *s) {
  s->tables = jm_scratch_take(s->n_tables * (size_t)s->count * s->bytes);
  if (!s->tables) return jm_error_out_of_memory();
  s->n_each = (size_t)s->places.n / s->n_tables;
  if (s->is_lone)
    jm_parallel_for(s->n_tables, 1, fill_lone_tables, s);
  else
    jm_parallel_for(s->n_tables / STREAMS, 1, fill_tables, s);
  jm_parallel_for((size_t)s->count, MERGE_GRAIN, add_tables, s);
  jm_scratch_give(s->tables);
  run_scalars(s, find_select(), (int64_t)(s->n_tables * s->n_each), s->places.n, 0, s->count,
              s->call->out[0].data);
  return NULL;
}

/* Whether the positions are one row of 32-bit indices of the operand's rows, each as long as a
 * window: its elements, if it is a vector. A negative index is more than any length, taken as
 * unsigned. */
static bool are_rows(const scatter *s) {
  const jm_indexing *x = &s->places.x;
  return x->n_starts == 1 && x->dtype == JM_DT_s32 && x->n_batch <= 1 &&
         x->starts[0].stride == s->places.window &&
         (x->starts[0].last + 1) * s->places.window == s->count && x->starts[0].last < INT32_MAX &&
         (!x->n_batch || (x->batch[0].index == 1 && !x->batch[0].operand));
}

static jm_error *end(const scatter *s) {
  if (atomic_load_explicit(&s->out_of_memory, memory_order_relaxed))
    return jm_error_out_of_memory();
  return is_cancelled(s) ? cancelled() : NULL;
}

static jm_error *run(scatter *s, jm_arena *arena) {
  const jm_call *call = s->call;
  jm_dtype dtype = call->out[0].type->dtype;
  const jm_indexing_spec spec = jm_indexing_of_scatter(call);
  JM_TRY(jm_places_init(&s->places, arena, &spec, call->in[1].data));
  if (!s->places.is_contiguous && !s->updates) return jm_library_scatter(call);
  jm_monoid monoid;
  if (!jm_body_monoid(call->module, call->op->first_region, &monoid)) {
    s->scalars = takes[__builtin_ctzll(s->bytes)];
  } else {
    s->kernel = jm_elementwise_find(monoid.code, dtype);
    if (monoid.code == JM_OP_add && adders[dtype].scalars) {
      s->scalars = adders[dtype].scalars;
      s->streams = adders[dtype].streams;
      s->pieces = adders[dtype].pieces;
      jm_monoid_identity(&monoid, dtype, s->identity);
    }
  }
  s->count = call->out[0].type->count;
  s->is_rows = are_rows(s);
  if (!s->is_rows || s->places.window != 1) s->scalars = NULL;
  if (s->updates && (!s->is_rows || !s->places.is_contiguous))
    return jm_error_internal("computed updates that are no rows");
  if (s->scalars && s->streams && (s->n_tables = count_tables(s))) {
    init_range(s, 0, s->count);
    JM_TRY(run_tables(s));
    return end(s);
  }
  int64_t updates = call->in[2].type->count;
  size_t most = s->places.window < NARROW ? MOST_NARROW_PARTS : MOST_PARTS;
  s->parts = jm_parallel_threads();
  if (s->parts > most) s->parts = most;
  if ((int64_t)s->parts > updates / LEAST_PART) s->parts = (size_t)(updates / LEAST_PART) + 1;
  jm_parallel_for(s->parts, 1, s->scalars ? run_scalar_parts : run_parts, s);
  return end(s);
}

jm_error *jm_library_scatter_updates(const jm_call *call, const jm_scatter_updates *updates) {
  scatter s = {.call = call, .updates = updates, .bytes = jm_dtype_bytes(call->out[0].type->dtype)};
  jm_arena arena;
  jm_arena_init(&arena);
  jm_error *error = run(&s, &arena);
  jm_arena_deinit(&arena);
  return error;
}

jm_error *jm_library_scatter_windows(const jm_call *call) {
  if (!call->out[0].type->count || !call->in[2].type->count) return jm_library_scatter(call);
  return jm_library_scatter_updates(call, NULL);
}
