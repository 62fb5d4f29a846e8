/* SPDX-License-Identifier: Apache-2.0
 * sort: recognised comparators (those that compare keys in total orders, one after another) by
 * radix sort of integer keys; all others by a merge sort that runs the region. Both are stable. */
#include <string.h>

#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/call.h"
#include "engine/host/library/order.h"
#include "engine/host/library/region.h"
#include "ir/body.h"

static jm_error *cancelled_error(void) {
  return jm_error_create(JM_CANCELLED, "sort was cancelled");
}

/* -- rows */

/* The sorted dimension: n elements that lie `stride` elements apart; row r starts at element
 * (r / stride) * n * stride + r % stride. */
typedef struct rows {
  size_t n, stride, count;
} rows;

static size_t row_start(const rows *r, size_t row) {
  return row / r->stride * r->n * r->stride + row % r->stride;
}

#define PERMUTE(name, type, index_type, INDEX)                                                    \
  static void name(const type *in, type *out, const index_type *order, size_t n, size_t stride) { \
    for (size_t i = 0; i < n; i++) out[i * stride] = in[INDEX(order[i]) * stride];                \
  }
typedef struct pair64 {
  uint64_t a, b;
} pair64;
#define LOW_HALF(x) ((size_t)((x) & UINT32_MAX))
#define RECORD_INDEX(x) ((size_t)(x).index)
#define PERMUTES(bytes, type)                              \
  PERMUTE(permute_packed##bytes, type, uint64_t, LOW_HALF) \
  PERMUTE(permute_record##bytes, type, jm_order_record, RECORD_INDEX)
PERMUTES(1, uint8_t)
PERMUTES(2, uint16_t)
PERMUTES(4, uint32_t)
PERMUTES(8, uint64_t)
PERMUTES(16, pair64)

/* Of operands whose elements are their own numbers, as argsort's, nothing need be gathered. */
#define NUMBER(name, type, index_type, INDEX)                                     \
  static void name(type *out, const index_type *order, size_t n, size_t stride) { \
    for (size_t i = 0; i < n; i++) out[i * stride] = (type)INDEX(order[i]);       \
  }
#define NUMBERS(bytes, type)                             \
  NUMBER(number_packed##bytes, type, uint64_t, LOW_HALF) \
  NUMBER(number_record##bytes, type, jm_order_record, RECORD_INDEX)
NUMBERS(4, uint32_t)
NUMBERS(8, uint64_t)

static bool is_numbered(size_t bytes, const void *in, size_t stride, size_t begin, size_t end) {
  uint64_t other = 0;
  if (bytes == 4)
    for (size_t i = begin; i < end; i++) other |= ((const uint32_t *)in)[i * stride] ^ (uint32_t)i;
  else
    for (size_t i = begin; i < end; i++) other |= ((const uint64_t *)in)[i * stride] ^ i;
  return !other;
}

/* The order of a row: items whose index is the low half of a u64, or records. */
typedef struct permutation {
  const uint64_t *packed;
  const jm_order_record *records; /* if packed is NULL */
} permutation;

/* n elements of the row that starts at `start` of both arrays. */
static void permute(jm_dtype dtype, const void *in, void *out, permutation p, size_t n,
                    size_t stride, size_t start) {
#define CASE(bytes, type)                                                                         \
  case bytes:                                                                                     \
    if (p.packed)                                                                                 \
      permute_packed##bytes((const type *)in + start, (type *)out + start, p.packed, n, stride);  \
    else                                                                                          \
      permute_record##bytes((const type *)in + start, (type *)out + start, p.records, n, stride); \
    break;
  switch (jm_dtype_bytes(dtype)) {
    CASE(1, uint8_t)
    CASE(2, uint16_t)
    CASE(4, uint32_t)
    CASE(8, uint64_t)
    CASE(16, pair64)
    default:
      break;
  }
#undef CASE
}

static void write_numbers(size_t bytes, void *out, permutation p, size_t n, size_t stride) {
  if (bytes == 4 && p.packed)
    number_packed4(out, p.packed, n, stride);
  else if (bytes == 4)
    number_record4(out, p.records, n, stride);
  else if (p.packed)
    number_packed8(out, p.packed, n, stride);
  else
    number_record8(out, p.records, n, stride);
}

/* -- sorting by keys */

typedef struct key_sort {
  const jm_call *call;
  const jm_sort_key *keys;
  uint32_t n_keys, n_inputs;
  rows rows;
  size_t piece;       /* of a row, that is worth a thread; n: rows are */
  bool wide;          /* some key has 64 bits, or an index may need more than 32 */
  size_t row_bytes;   /* of n records if wide, else of n u64, and slack */
  atomic_bool failed; /* no memory */
} key_sort;

enum {
  GRAIN = 1 << 15, /* elements that are worth a thread */
  FEW_ROWS = 16,   /* of which long ones are cut into pieces, */
  MOST_PIECES = 64 /* each of which has counts of its own */
};

/* A row that is being sorted. Its steps are functions of ranges of its elements. */
typedef struct row {
  const key_sort *s;
  size_t start;
  void *items, *spare; /* room for n items each */
  void *keys;          /* of the key looked at, in `spare` */
  const jm_sort_key *key;
  uint32_t except; /* the operand that is written from its keys */
  bool first;      /* no key was looked at before: the order is the elements' own */
  atomic_bool lossy;
  atomic_uint_fast64_t numbered; /* of the first 64 operands, those whose elements are numbers */
} row;

static void for_pieces(row *r, jm_parallel_fn *fn) {
  jm_parallel_for(r->s->rows.n, r->s->piece, fn, r);
}

static bool is_wide_key(const jm_sort_key *k) { return jm_dtype_bytes(k->order.dtype) == 8; }

static bool is_complex_key(const row *r) {
  return jm_dtype_is_complex(r->s->call->in[r->key->operand].type->dtype);
}

static void find_keys(void *context, size_t begin, size_t end) {
  row *r = context;
  const jm_sort_key *k = r->key;
  const size_t parts = is_complex_key(r) ? 2 : 1, stride = r->s->rows.stride * parts;
  const size_t at = (r->start * parts + (size_t)k->part) + begin * stride;
  const unsigned char *data = r->s->call->in[k->operand].data;
  data += at * jm_dtype_bytes(k->order.dtype);
  const bool exact =
      is_wide_key(k)
          ? jm_order_keys64(&k->order, data, stride, end - begin, (uint64_t *)r->keys + begin)
          : jm_order_keys32(&k->order, data, stride, end - begin, (uint32_t *)r->keys + begin);
  if (!exact) atomic_store_explicit(&r->lossy, true, memory_order_relaxed);
}

/* The keys of key number j; whether the key's operand can be had back from them. */
static bool take_keys(row *r, uint32_t j) {
  r->key = &r->s->keys[j];
  r->first = j == r->s->n_keys - 1;
  r->keys = r->spare;
  atomic_store_explicit(&r->lossy, false, memory_order_relaxed);
  for_pieces(r, find_keys);
  return !atomic_load_explicit(&r->lossy, memory_order_relaxed) && r->s->n_keys == 1 &&
         !is_complex_key(r);
}

static void *output_at(const key_sort *s, uint32_t i, size_t start) {
  return (unsigned char *)s->call->out[i].data +
         start * jm_dtype_bytes(s->call->out[i].type->dtype);
}

/* The key's operand, from its sorted keys. */
static void write_values(void *context, size_t begin, size_t end) {
  const row *r = context;
  const size_t stride = r->s->rows.stride;
  void *out = output_at(r->s, r->key->operand, r->start + begin * stride);
  if (is_wide_key(r->key))
    jm_order_values64(&r->key->order, (uint64_t *)r->keys + begin, end - begin, out, stride);
  else
    jm_order_values32(&r->key->order, (uint32_t *)r->keys + begin, end - begin, out, stride);
}

static bool is_numbered_from(const row *r, uint32_t i, size_t begin, size_t end) {
  const jm_tensor *in = &r->s->call->in[i];
  const size_t bytes = jm_dtype_bytes(in->type->dtype);
  return (bytes == 4 || bytes == 8) &&
         is_numbered(bytes, (const unsigned char *)in->data + r->start * bytes, r->s->rows.stride,
                     begin, end);
}

static void check_numbered(void *context, size_t begin, size_t end) {
  row *r = context;
  const uint64_t asked = atomic_load_explicit(&r->numbered, memory_order_relaxed);
  for (uint64_t set = asked; set; set &= set - 1)
    if (!is_numbered_from(r, (uint32_t)__builtin_ctzll(set), begin, end))
      atomic_fetch_and_explicit(&r->numbered, ~(set & -set), memory_order_relaxed);
}

/* Two elements tell most of the others. */
static void find_numbered(row *r) {
  const key_sort *s = r->s;
  uint64_t asked = 0;
  for (uint32_t i = 0; i < s->n_inputs && i < 64; i++)
    if (i != r->except && is_numbered_from(r, i, 0, 2)) asked |= (uint64_t)1 << i;
  atomic_store_explicit(&r->numbered, asked, memory_order_relaxed);
  if (asked) for_pieces(r, check_numbered);
}

/* Each output: the key's operand from its sorted keys if they tell the elements (a sequential write
 * instead of scattered reads), others by the order. */
static void write_outputs(void *context, size_t begin, size_t end) {
  const row *r = context;
  const key_sort *s = r->s;
  const permutation p = s->wide
                            ? (permutation){.records = (const jm_order_record *)r->items + begin}
                            : (permutation){.packed = (const uint64_t *)r->items + begin};
  const uint64_t numbered = atomic_load_explicit(&r->numbered, memory_order_relaxed);
  const size_t n = end - begin, stride = s->rows.stride;
  for (uint32_t i = 0; i < s->n_inputs; i++) {
    if (i == r->except) continue;
    const jm_tensor *in = &s->call->in[i];
    if (i < 64 && numbered >> i & 1)
      write_numbers(jm_dtype_bytes(in->type->dtype), output_at(s, i, r->start + begin * stride), p,
                    n, stride);
    else
      permute(in->type->dtype, in->data, output_at(s, i, begin * stride), p, n, stride, r->start);
  }
}

/* What is sorted lies in one of the two rooms; false: there was no memory. */
static bool take_sorted(row *r, void *sorted) {
  if (sorted == r->spare) r->spare = r->items;
  r->items = sorted;
  return sorted;
}

/* -- keys of at most 32 bits: keys alone if they determine the elements, else key and index in a
 * u64 */

static void pack_items(void *context, size_t begin, size_t end) {
  const row *r = context;
  const uint32_t *keys = r->keys;
  uint64_t *items = r->items;
  if (r->first)
    for (size_t i = begin; i < end; i++) items[i] = (uint64_t)keys[i] << 32 | i;
  else
    for (size_t i = begin; i < end; i++)
      items[i] = (uint64_t)keys[LOW_HALF(items[i])] << 32 | LOW_HALF(items[i]);
}

static void unpack_keys(void *context, size_t begin, size_t end) {
  const row *r = context;
  const uint64_t *items = r->items;
  uint32_t *keys = r->keys;
  for (size_t i = begin; i < end; i++) keys[i] = (uint32_t)(items[i] >> 32);
  write_values(context, begin, end);
}

static bool sort_row_packed(row *r) {
  const key_sort *s = r->s;
  const size_t n = s->rows.n;
  bool whole = false;
  for (uint32_t j = s->n_keys; j-- > 0;) {
    whole = take_keys(r, j);
    if (whole && s->n_inputs == 1) {
      r->keys = jm_order_sort32(r->keys, r->items, n, s->piece);
      if (r->keys) for_pieces(r, write_values);
      return r->keys;
    }
    for_pieces(r, pack_items);
    uint64_t *sorted =
        (r->first ? jm_order_sort_indexed : jm_order_sort_high)(r->items, r->spare, n, s->piece);
    if (!take_sorted(r, sorted)) return false;
  }
  r->keys = r->spare;
  r->except = whole ? r->key->operand : UINT32_MAX;
  if (whole) for_pieces(r, unpack_keys);
  find_numbered(r);
  for_pieces(r, write_outputs);
  return true;
}

/* -- keys of any width, least significant first: each pass is stable */

static void fill_records(void *context, size_t begin, size_t end) {
  const row *r = context;
  jm_order_record *items = r->items;
  for (size_t i = begin; i < end; i++) {
    if (r->first) items[i].index = i;
    const uint64_t at = items[i].index;
    items[i].key =
        is_wide_key(r->key) ? ((const uint64_t *)r->keys)[at] : ((const uint32_t *)r->keys)[at];
  }
}

static bool sort_row_records(row *r) {
  const key_sort *s = r->s;
  const size_t n = s->rows.n;
  for (uint32_t j = s->n_keys; j-- > 0;) {
    if (take_keys(r, j) && s->n_inputs == 1 && is_wide_key(r->key)) {
      r->keys = jm_order_sort64(r->keys, r->items, n, s->piece);
      if (r->keys) for_pieces(r, write_values);
      return r->keys;
    }
    for_pieces(r, fill_records);
    if (!take_sorted(r, jm_order_sort_records(r->items, r->spare, n, s->piece))) return false;
  }
  r->except = UINT32_MAX;
  find_numbered(r);
  for_pieces(r, write_outputs);
  return true;
}

static void sort_rows(void *context, size_t begin, size_t end) {
  key_sort *s = context;
  void *items = jm_scratch_take(s->row_bytes), *spare = jm_scratch_take(s->row_bytes);
  bool has_memory = items && spare;
  for (size_t i = begin; i < end && has_memory && !atomic_load(&s->failed) &&
                         !jm_context_is_cancelled(s->call->context);
       i++) {
    row r = {.s = s, .start = row_start(&s->rows, i), .items = items, .spare = spare};
    has_memory = (s->wide ? sort_row_records : sort_row_packed)(&r);
  }
  if (!has_memory) atomic_store(&s->failed, true);
  jm_scratch_give(items);
  jm_scratch_give(spare);
}

/* Do the keys determine all operands? */
static bool keys_hold(const key_sort *s) {
  for (uint32_t i = 0; i < s->n_keys; i++) {
    const jm_sort_key *k = &s->keys[i];
    const jm_type *type = s->call->in[k->operand].type;
    size_t parts = jm_dtype_is_complex(type->dtype) ? 2 : 1;
    const unsigned char *data = s->call->in[k->operand].data;
    data += (size_t)k->part * jm_dtype_bytes(k->order.dtype);
    if (k->partial && jm_order_any_nan(k->order.dtype, data, parts, (size_t)type->count))
      return false;
  }
  return true;
}

static jm_error *sort_by_keys(key_sort *s) {
  size_t n = s->rows.n;
  s->wide = n > UINT32_MAX;
  for (uint32_t i = 0; i < s->n_keys; i++) s->wide |= is_wide_key(&s->keys[i]);
  if (!jm_size_mul(n + JM_ORDER_SLACK, s->wide ? sizeof(jm_order_record) : sizeof(uint64_t),
                   &s->row_bytes))
    return jm_error_out_of_memory();
  const bool is_cut = s->rows.count < FEW_ROWS && n >= 2 * GRAIN && jm_parallel_threads() > 1;
  s->piece = is_cut ? (n + MOST_PIECES - 1) / MOST_PIECES : n;
  if (is_cut && s->piece < GRAIN) s->piece = GRAIN;
  jm_parallel_for(s->rows.count, is_cut ? s->rows.count : GRAIN / n, sort_rows, s);
  if (atomic_load(&s->failed)) return jm_error_out_of_memory();
  return jm_context_is_cancelled(s->call->context) ? cancelled_error() : NULL;
}

/* -- sorting by any region: merges of ever longer runs, many of them side by side, so that one run
 * of the region compares the heads of many pairs of runs. An inconsistent comparator still gives a
 * permutation, since a merge takes each head exactly once. */

enum { MAX_LANES = 1024 };

typedef struct merge {
  size_t left, left_end, right, right_end, out; /* positions in the arrays of element numbers */
} merge;

typedef struct region_sort {
  const jm_call *call;
  jm_library_region *region;
  uint32_t n_inputs;
  rows rows;
  size_t lanes;
  merge *merges;        /* lanes */
  size_t *from, *to;    /* element numbers of a block of rows */
  unsigned char **args; /* 2 * n_inputs, lanes elements each; NULL: the region doesn't look */
  const void **arg_views;
  uint8_t *takes_right; /* lanes */
} region_sort;

static void gather_heads(const region_sort *s, size_t n) {
  for (uint32_t a = 0; a < 2 * s->n_inputs; a++) {
    if (!s->args[a]) continue;
    const jm_tensor *in = &s->call->in[a / 2];
    size_t bytes = jm_dtype_bytes(in->type->dtype);
    for (size_t i = 0; i < n; i++) {
      const merge *m = &s->merges[i];
      size_t element = s->from[a % 2 ? m->left : m->right];
      memcpy(s->args[a] + i * bytes, (const unsigned char *)in->data + element * bytes, bytes);
    }
  }
}

/* Merges of runs of `width` in rows * n element numbers from `from` to `to`. */
static jm_error *merge_level(region_sort *s, size_t n_rows, size_t width) {
  size_t n = s->rows.n, row = 0, at = 0, active = 0;
  while (row < n_rows || active) {
    while (active < s->lanes && row < n_rows) {
      size_t base = row * n, middle = at + (n - at < width ? n - at : width);
      size_t end = middle + (n - middle < width ? n - middle : width);
      if (middle == end)
        memcpy(s->to + base + at, s->from + base + at, (middle - at) * sizeof *s->to);
      else
        s->merges[active++] =
            (merge){base + at, base + middle, base + middle, base + end, base + at};
      at = end;
      if (at == n) at = 0, row++;
    }
    if (!active) break;
    gather_heads(s, active);
    JM_TRY(jm_library_region_run(s->region, s->arg_views, (void *const[]){s->takes_right}, active));
    for (size_t i = 0; i < active;) {
      merge *m = &s->merges[i];
      s->to[m->out++] = s->takes_right[i] ? s->from[m->right++] : s->from[m->left++];
      bool left_done = m->left == m->left_end, right_done = m->right == m->right_end;
      if (!left_done && !right_done) {
        i++;
        continue;
      }
      size_t first = left_done ? m->right : m->left;
      size_t last = left_done ? m->right_end : m->left_end;
      memcpy(s->to + m->out, s->from + first, (last - first) * sizeof *s->to);
      *m = s->merges[--active];
      s->takes_right[i] = s->takes_right[active];
    }
    if (jm_context_is_cancelled(s->call->context)) return cancelled_error();
  }
  size_t *swap = s->from;
  s->from = s->to;
  s->to = swap;
  return NULL;
}

static void write_rows(const region_sort *s, size_t first_row, size_t n_rows) {
  for (uint32_t i = 0; i < s->n_inputs; i++) {
    size_t bytes = jm_dtype_bytes(s->call->in[i].type->dtype);
    const unsigned char *in = s->call->in[i].data;
    unsigned char *out = s->call->out[i].data;
    for (size_t r = 0; r < n_rows; r++) {
      size_t start = row_start(&s->rows, first_row + r);
      for (size_t j = 0; j < s->rows.n; j++)
        memcpy(out + (start + j * s->rows.stride) * bytes, in + s->from[r * s->rows.n + j] * bytes,
               bytes);
    }
  }
}

static jm_error *sort_blocks(region_sort *s, size_t block) {
  size_t n = s->rows.n;
  for (size_t first = 0; first < s->rows.count; first += block) {
    size_t n_rows = s->rows.count - first < block ? s->rows.count - first : block;
    for (size_t r = 0; r < n_rows; r++) {
      size_t start = row_start(&s->rows, first + r);
      for (size_t j = 0; j < n; j++) s->from[r * n + j] = start + j * s->rows.stride;
    }
    for (size_t width = 1; width < n; width *= 2) JM_TRY(merge_level(s, n_rows, width));
    write_rows(s, first, n_rows);
  }
  return NULL;
}

/* Does an op of the region read this value? */
static bool is_used(const jm_module *module, const jm_region *region, jm_value value) {
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = &module->ops[region->ops[i]];
    for (uint32_t j = 0; j < op->n_operands; j++)
      if (op->operands[j] == value) return true;
  }
  for (uint32_t i = 0; i < region->n_results; i++)
    if (region->results[i] == value) return true;
  return false;
}

static jm_error *allocate(region_sort *s, size_t block) {
  const jm_module *module = s->call->module;
  const jm_region *region = jm_op_region(module, s->call->op, 0);
  s->lanes = jm_library_region_lanes(s->region);
  if (s->lanes > MAX_LANES) s->lanes = MAX_LANES;
  s->merges = jm_alloc(s->lanes, sizeof *s->merges);
  s->takes_right = jm_alloc(s->lanes, 1);
  s->from = jm_alloc(block * s->rows.n, sizeof *s->from);
  s->to = jm_alloc(block * s->rows.n, sizeof *s->to);
  s->args = jm_alloc(2 * (size_t)s->n_inputs, sizeof *s->args);
  s->arg_views = jm_alloc(2 * (size_t)s->n_inputs, sizeof *s->arg_views);
  if (!s->merges || !s->takes_right || !s->from || !s->to || !s->args || !s->arg_views)
    return jm_error_out_of_memory();
  for (uint32_t a = 0; a < 2 * s->n_inputs; a++) {
    bool used = is_used(module, region, region->first_arg + a);
    size_t bytes = jm_dtype_bytes(s->call->in[a / 2].type->dtype);
    unsigned char *buffer = jm_alloc(s->lanes, bytes);
    if (!buffer) return jm_error_out_of_memory();
    s->arg_views[a] = buffer;
    if (used) s->args[a] = buffer;
  }
  return NULL;
}

static jm_error *sort_by_region(const jm_call *call, uint32_t n_inputs, rows r) {
  region_sort s = {.call = call, .n_inputs = n_inputs, .rows = r};
  size_t block = 8 * MAX_LANES / r.n;
  if (block < 1) block = 1;
  if (block > r.count) block = r.count;
  JM_TRY(jm_library_region_create(call->module, call->op->first_region, call->in + n_inputs,
                                  call->op->n_captures, MAX_LANES, &s.region));
  jm_error *error = allocate(&s, block);
  if (!error) error = sort_blocks(&s, block);
  for (uint32_t a = 0; s.arg_views && a < 2 * n_inputs; a++) jm_free((void *)s.arg_views[a]);
  jm_free(s.arg_views);
  jm_free(s.args);
  jm_free(s.to);
  jm_free(s.from);
  jm_free(s.takes_right);
  jm_free(s.merges);
  jm_library_region_destroy(s.region);
  return error;
}

jm_error *jm_library_sort(const jm_call *call) {
  const jm_sort_attrs *attrs = call->op->attrs;
  uint32_t n_inputs = call->op->n_operands - call->op->n_captures;
  if (n_inputs == 0 || call->in[0].type->count == 0) return NULL;
  const jm_type *type = call->in[0].type;
  rows r = {.n = type->rank ? (size_t)type->dims[attrs->dim] : 1, .stride = 1};
  for (uint32_t d = (uint32_t)attrs->dim + 1; d < type->rank; d++)
    r.stride *= (size_t)type->dims[d];
  r.count = (size_t)type->count / r.n;
  if (r.n == 1) {
    for (uint32_t i = 0; i < n_inputs; i++)
      memcpy(call->out[i].data, call->in[i].data, jm_type_bytes(call->in[i].type));
    return NULL;
  }
  uint32_t max_keys = 2 * n_inputs;
  jm_sort_key *keys = jm_alloc(max_keys, sizeof *keys);
  if (!keys) return jm_error_out_of_memory();
  key_sort s = {.call = call, .keys = keys, .n_inputs = n_inputs, .rows = r};
  bool by_keys = jm_body_comparator(call->module, call->op, call->in, keys, max_keys, &s.n_keys) &&
                 keys_hold(&s);
  jm_error *error = by_keys ? sort_by_keys(&s) : sort_by_region(call, n_inputs, r);
  jm_free(keys);
  return error;
}
