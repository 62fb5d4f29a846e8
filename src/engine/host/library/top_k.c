/* SPDX-License-Identifier: Apache-2.0
 * top_k: the first k of a row in the total order. If k is small, candidates are kept: those within
 * a bound or, for keys of 64 bits, a heap; otherwise the whole row is sorted. Items are (key,
 * index), so ties go to the lower index. */
#include <string.h>

#include "base/loop.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/call.h"
#include "engine/host/library/order_vector.h"

enum {
  CHUNK = 2048,
  CANDIDATES = 192,     /* room for them beside 4 k */
  GROUP = JM_ORDER_SET, /* keys that are looked at together */
  LANES = 128,          /* of which the least keys are found together, at most */
  GRAIN = 1 << 15,      /* elements that are worth a thread */
};

/* Of equal keys the one with the larger index comes after. */
static bool comes_after(const jm_order_record *a, const jm_order_record *b) {
  return a->key > b->key || (a->key == b->key && a->index > b->index);
}

/* items[0 .. k) is a heap with its last item first. */
static void sift_down(jm_order_record *items, size_t k, size_t at) {
  jm_order_record x = items[at];
  for (size_t child; (child = 2 * at + 1) < k; at = child) {
    if (child + 1 < k && comes_after(&items[child + 1], &items[child])) child++;
    if (!comes_after(&items[child], &x)) break;
    items[at] = items[child];
  }
  items[at] = x;
}

/* Takes the next item in: below k it fills up, then only better ones count. */
static void offer(jm_order_record *items, size_t k, size_t n, jm_order_record x) {
  if (n < k) {
    items[n] = x;
    if (n + 1 == k)
      for (size_t i = k / 2; i-- > 0;) sift_down(items, k, i);
  } else if (comes_after(&items[0], &x)) {
    items[0] = x;
    sift_down(items, k, 0);
  }
}

typedef struct selection {
  jm_key_order order;
  size_t n, k, bytes;
  bool wide;
  size_t room; /* for items */
  size_t heap; /* how many make a heap: room, or never */
  uint64_t (*find_within)(const uint32_t *keys, uint32_t bound);
  void (*find_least)(const uint32_t *keys, size_t n, size_t lanes, uint32_t *least);
  const jm_call *call;
  atomic_bool failed; /* no memory */
} selection;

/* Room for `room` items, twice; a thread has its own. */
typedef struct scratch {
  void *a, *b;
} scratch;

JM_CLONES static uint64_t find_within(const uint32_t *keys, uint32_t bound) {
  uint32_t any = 0;
  for (size_t i = 0; i < GROUP; i++) any |= keys[i] <= bound;
  uint64_t set = 0;
  for (size_t i = 0; any && i < GROUP; i++) set |= (uint64_t)(keys[i] <= bound) << i;
  return set;
}

JM_CLONES static void find_least(const uint32_t *keys, size_t n, size_t lanes, uint32_t *least) {
  memcpy(least, keys, lanes * sizeof *keys);
  for (size_t i = lanes; i + lanes <= n; i += lanes)
    for (size_t j = 0; j < lanes; j++) least[j] = keys[i + j] < least[j] ? keys[i + j] : least[j];
}

/* The best items so far and some that were before: always in the order of their indices where keys
 * are equal, and the sort keeps that. */
typedef struct candidates {
  uint64_t *items, *spare;
  size_t n;
  uint32_t bound; /* keys of more don't count */
} candidates;

/* Appends the items of keys up to the bound, until fewer than GROUP places are left; returns how
 * many keys were read. A group's keys are there even behind n. */
static size_t append(const selection *s, candidates *c, const uint32_t *keys, size_t n,
                     uint64_t index) {
  size_t i = 0, m = c->n;
  for (; i < n && m + GROUP <= s->room; i += GROUP) {
    uint64_t set = s->find_within(keys + i, c->bound);
    if (n - i < GROUP) set &= ((uint64_t)1 << (n - i)) - 1;
    for (; set; set &= set - 1) {
      const size_t j = i + (size_t)__builtin_ctzll(set);
      c->items[m++] = (uint64_t)keys[j] << 32 | (index + j);
    }
  }
  c->n = m;
  return i < n ? i : n;
}

static void sort_candidates(candidates *c) {
  uint64_t *sorted = jm_order_sort_indexed(c->items, c->spare, c->n, c->n);
  if (sorted != c->items) c->spare = c->items;
  c->items = sorted;
}

/* The k first stay. What comes next has to be less than the last of them; false: nothing is. */
static bool drop(candidates *c, size_t k) {
  sort_candidates(c);
  c->n = k;
  const uint32_t last = (uint32_t)(c->items[k - 1] >> 32);
  c->bound = last - 1;
  return last;
}

/* A bound that at least k of the keys are within: the k-th of the least keys of lanes, of which
 * there are four for each of the k, so that few more keys are. UINT32_MAX: there are too few. */
static uint32_t find_bound(const selection *s, const uint32_t *keys, size_t n) {
  uint32_t least[LANES + JM_ORDER_SLACK], spare[LANES + JM_ORDER_SLACK];
  const size_t lanes = (4 * s->k + 15) / 16 * 16;
  if (lanes > LANES || n < 2 * lanes) return UINT32_MAX;
  s->find_least(keys, n, lanes, least);
  return jm_order_sort32(least, spare, lanes, lanes)[s->k - 1];
}

/* The indices of the k first items, in order: candidates are gathered and, once they are twice as
 * many as wanted or there is no room, the k first of them set a new bound. */
static void select_narrow(const selection *s, scratch room, const unsigned char *in,
                          int32_t *indices) {
  uint32_t keys[CHUNK + GROUP];
  candidates c = {.items = room.a, .spare = room.b, .bound = UINT32_MAX};
  bool is_open = true; /* something may come before the last that is wanted */
  for (size_t base = 0; base < s->n && is_open; base += CHUNK) {
    const size_t n = s->n - base < CHUNK ? s->n - base : CHUNK;
    jm_order_keys32(&s->order, in + base * s->bytes, 1, n, keys);
    if (!base) c.bound = find_bound(s, keys, n);
    size_t done = append(s, &c, keys, n, base);
    while (is_open && (done < n || (base + n < s->n && c.n >= 2 * s->k))) {
      is_open = drop(&c, s->k);
      if (is_open) done += append(s, &c, keys + done, n - done, base + done);
    }
  }
  sort_candidates(&c);
  for (size_t i = 0; i < s->k; i++) indices[i] = (int32_t)(c.items[i] & UINT32_MAX);
}

static void select_wide(const selection *s, scratch room, const unsigned char *in,
                        int32_t *indices) {
  uint64_t keys[CHUNK];
  jm_order_record *items = room.a, *spare = room.b;
  for (size_t base = 0; base < s->n; base += CHUNK) {
    size_t n = s->n - base < CHUNK ? s->n - base : CHUNK;
    jm_order_keys64(&s->order, in + base * s->bytes, 1, n, keys);
    for (size_t i = 0; i < n; i++)
      offer(items, s->heap, base + i, (jm_order_record){keys[i], base + i});
  }
  if (s->room < s->n) { /* the sort is stable: first by index, then by key */
    for (size_t i = 0; i < s->room; i++) items[i] = (jm_order_record){items[i].index, items[i].key};
    jm_order_record *sorted = jm_order_sort_records(items, spare, s->room, s->room);
    if (sorted != items) spare = items;
    items = sorted;
    for (size_t i = 0; i < s->room; i++) items[i] = (jm_order_record){items[i].index, items[i].key};
  }
  items = jm_order_sort_records(items, spare, s->room, s->room);
  for (size_t i = 0; i < s->k; i++) indices[i] = (int32_t)items[i].index;
}

static void run_rows(void *context, size_t begin, size_t end) {
  selection *s = context;
  size_t bytes =
      (s->room + JM_ORDER_SLACK) * (s->wide ? sizeof(jm_order_record) : sizeof(uint64_t));
  scratch room = {jm_scratch_take(bytes), jm_scratch_take(bytes)};
  if (!room.a || !room.b) atomic_store(&s->failed, true);
  for (size_t row = begin; row < end; row++) {
    if (atomic_load(&s->failed) || jm_context_is_cancelled(s->call->context)) break;
    const unsigned char *in = (const unsigned char *)s->call->in[0].data + row * s->n * s->bytes;
    unsigned char *out = (unsigned char *)s->call->out[0].data + row * s->k * s->bytes;
    int32_t *indices = (int32_t *)s->call->out[1].data + row * s->k;
    (s->wide ? select_wide : select_narrow)(s, room, in, indices);
    for (size_t i = 0; i < s->k; i++)
      memcpy(out + i * s->bytes, in + (size_t)indices[i] * s->bytes, s->bytes);
  }
  jm_scratch_give(room.a);
  jm_scratch_give(room.b);
}

jm_error *jm_library_top_k(const jm_call *call) {
  const jm_top_k_attrs *attrs = call->op->attrs;
  const jm_type *type = call->in[0].type;
  selection s = {.order = {.dtype = type->dtype, .descending = !attrs->smallest}, .call = call};
  if (call->out[0].type->count == 0) return NULL;
  s.n = (size_t)type->dims[type->rank - 1];
  s.k = (size_t)attrs->k;
  s.bytes = jm_dtype_bytes(type->dtype);
  s.wide = s.bytes == 8;
  const jm_order_vector *vector = jm_order_vector_find(jm_cpu_find_level());
  s.find_within = vector ? vector->find_within : find_within;
  s.find_least = vector ? vector->find_least : find_least;
  if (s.n > INT32_MAX)
    return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED, "top_k of more than 2^31-1");
  bool few = s.k <= s.n / 8;
  s.room = !few ? s.n : s.k;
  s.heap = few ? s.k : SIZE_MAX;
  if (!s.wide) s.room = (few ? 4 * s.k + CANDIDATES : s.n) + GROUP;
  jm_parallel_for((size_t)type->count / s.n, GRAIN / s.n, run_rows, &s);
  if (atomic_load(&s.failed)) return jm_error_out_of_memory();
  return jm_context_is_cancelled(call->context)
             ? jm_error_create(JM_CANCELLED, "top_k was cancelled")
             : NULL;
}
