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

/* The order of a row: items whose index is the low half of a u64, or records. */
typedef struct permutation {
  const uint64_t *packed;
  const jm_order_record *records; /* if packed is NULL */
} permutation;

static void permute(jm_dtype dtype, const void *in, void *out, permutation p, const rows *r,
                    size_t start) {
#define CASE(bytes, type)                                                                   \
  case bytes:                                                                               \
    if (p.packed)                                                                           \
      permute_packed##bytes((const type *)in + start, (type *)out + start, p.packed, r->n,  \
                            r->stride);                                                     \
    else                                                                                    \
      permute_record##bytes((const type *)in + start, (type *)out + start, p.records, r->n, \
                            r->stride);                                                     \
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

/* -- sorting by keys */

typedef struct key_sort {
  const jm_call *call;
  const jm_sort_key *keys;
  uint32_t n_keys, n_inputs;
  rows rows;
  bool wide;          /* some key has 64 bits, or an index may need more than 32 */
  size_t row_bytes;   /* of n records if wide, else of n u64 */
  atomic_bool failed; /* no memory */
} key_sort;

/* Room for a row, twice; a thread has its own. */
typedef struct scratch {
  void *a, *b;
} scratch;

enum { GRAIN = 1 << 15 }; /* elements that are worth a thread */

static const void *key_data(const key_sort *s, const jm_sort_key *k, size_t start, size_t *stride) {
  const jm_tensor *in = &s->call->in[k->operand];
  size_t bytes = jm_dtype_bytes(k->order.dtype);
  size_t parts = jm_dtype_is_complex(in->type->dtype) ? 2 : 1;
  *stride = s->rows.stride * parts;
  return (const unsigned char *)in->data + (start * parts + (size_t)k->part) * bytes;
}

/* Writes each output of a row: the key's operand from its sorted keys if they tell the elements
 * (a sequential write instead of scattered reads), others by the order. */
static void write_outputs(const key_sort *s, permutation p, size_t start, uint32_t except) {
  for (uint32_t i = 0; i < s->n_inputs; i++)
    if (i != except)
      permute(s->call->in[i].type->dtype, s->call->in[i].data, s->call->out[i].data, p, &s->rows,
              start);
}

static void *output_at(const key_sort *s, uint32_t i, size_t start) {
  return (unsigned char *)s->call->out[i].data +
         start * jm_dtype_bytes(s->call->out[i].type->dtype);
}

static bool is_wide_key(const jm_sort_key *k) { return jm_dtype_bytes(k->order.dtype) == 8; }

/* Keys of at most 32 bits: keys alone if they determine the elements, else key and index in a u64.
 */
static void sort_row_packed(const key_sort *s, scratch room, size_t start) {
  size_t n = s->rows.n, stride;
  const jm_sort_key *k = &s->keys[s->n_keys - 1];
  const void *data = key_data(s, k, start, &stride);
  uint32_t *keys = room.b;
  uint64_t *items = room.a;
  bool exact = jm_order_keys32(&k->order, data, stride, n, keys);
  bool whole = s->n_keys == 1 && exact && !jm_dtype_is_complex(s->call->in[k->operand].type->dtype);
  if (whole && s->n_inputs == 1) {
    keys = jm_order_sort32(keys, room.a, n);
    jm_order_values32(&k->order, keys, n, output_at(s, 0, start), stride);
    return;
  }
  for (size_t i = 0; i < n; i++) items[i] = (uint64_t)keys[i] << 32 | i;
  items = jm_order_sort64(items, room.b, n, 32);
  uint64_t *spare = items == room.a ? room.b : room.a;
  for (uint32_t j = s->n_keys - 1; j-- > 0;) {
    k = &s->keys[j];
    data = key_data(s, k, start, &stride);
    keys = (uint32_t *)spare;
    jm_order_keys32(&k->order, data, stride, n, keys);
    for (size_t i = 0; i < n; i++)
      items[i] = (uint64_t)keys[items[i] & UINT32_MAX] << 32 | (items[i] & UINT32_MAX);
    uint64_t *sorted = jm_order_sort64(items, spare, n, 32);
    if (sorted != items) spare = items;
    items = sorted;
  }
  uint32_t except = UINT32_MAX;
  if (whole) {
    except = k->operand;
    keys = (uint32_t *)spare;
    for (size_t i = 0; i < n; i++) keys[i] = (uint32_t)(items[i] >> 32);
    jm_order_values32(&k->order, keys, n, output_at(s, except, start), stride);
  }
  write_outputs(s, (permutation){.packed = items}, start, except);
}

/* Keys of any width, least significant first: each pass is stable. */
static void sort_row_records(const key_sort *s, scratch room, size_t start) {
  size_t n = s->rows.n, stride;
  jm_order_record *items = room.a, *spare = room.b;
  for (uint32_t j = s->n_keys; j-- > 0;) {
    const jm_sort_key *k = &s->keys[j];
    const void *data = key_data(s, k, start, &stride);
    bool first = j == s->n_keys - 1, exact;
    uint64_t *keys64 = (uint64_t *)spare;
    uint32_t *keys32 = (uint32_t *)spare;
    if (is_wide_key(k))
      exact = jm_order_keys64(&k->order, data, stride, n, keys64);
    else
      exact = jm_order_keys32(&k->order, data, stride, n, keys32);
    if (exact && s->n_keys == 1 && s->n_inputs == 1 && is_wide_key(k) &&
        !jm_dtype_is_complex(s->call->in[0].type->dtype)) {
      keys64 = jm_order_sort64(keys64, (uint64_t *)items, n, 0);
      jm_order_values64(&k->order, keys64, n, output_at(s, 0, start), stride);
      return;
    }
    for (size_t i = 0; i < n; i++) {
      if (first) items[i].index = i;
      items[i].key = is_wide_key(k) ? keys64[items[i].index] : keys32[items[i].index];
    }
    jm_order_record *sorted = jm_order_sort_records(items, spare, n);
    if (sorted != items) spare = items;
    items = sorted;
  }
  write_outputs(s, (permutation){.records = items}, start, UINT32_MAX);
}

static void sort_rows(void *context, size_t begin, size_t end) {
  key_sort *s = context;
  scratch room = {jm_scratch_take(s->row_bytes), jm_scratch_take(s->row_bytes)};
  if (!room.a || !room.b) atomic_store(&s->failed, true);
  for (size_t row = begin;
       row < end && !atomic_load(&s->failed) && !jm_context_is_cancelled(s->call->context); row++)
    (s->wide ? sort_row_records : sort_row_packed)(s, room, row_start(&s->rows, row));
  jm_scratch_give(room.a);
  jm_scratch_give(room.b);
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
  if (!jm_size_mul(n, s->wide ? sizeof(jm_order_record) : sizeof(uint64_t), &s->row_bytes))
    return jm_error_out_of_memory();
  jm_parallel_for(s->rows.count, GRAIN / n, sort_rows, s);
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
