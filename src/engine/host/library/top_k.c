/* SPDX-License-Identifier: Apache-2.0
 * top_k: the first k of a row in the total order. If k is small, candidates are kept: those within
 * a bound or, for keys of 64 bits, a heap; otherwise the whole row is sorted. Items are (key,
 * index), so ties go to the lower index. */
#include <string.h>

#include "base/loop.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/call.h"
#include "engine/host/library/order.h"

enum {
  CHUNK = 1024,
  CANDIDATES = 192, /* room for them beside 4 k */
  GROUP = 32,       /* keys that are looked at together */
  LANES = 128,      /* of which the least keys are found together, at most */
  GRAIN = 1 << 15,  /* elements that are worth a thread */
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
  const jm_call *call;
  atomic_bool failed; /* no memory */
} selection;

/* Room for `room` items, twice; a thread has its own. */
typedef struct scratch {
  void *a, *b;
} scratch;

/* Appends the items of keys up to the bound, until fewer than GROUP places are left; returns how
 * many keys were read. Groups without any, soon most of them, are passed over. */
JM_CLONES static size_t append(const uint32_t *keys, size_t n, uint64_t index, uint32_t bound,
                               uint64_t *items, size_t *n_items, size_t room) {
  size_t i = 0, m = *n_items;
  for (size_t count; i < n && m + GROUP <= room; i += count) {
    count = n - i < GROUP ? n - i : GROUP;
    if (count == GROUP) {
      uint32_t any = 0;
      for (size_t j = 0; j < GROUP; j++) any |= keys[i + j] <= bound;
      if (!any) continue;
    }
    for (size_t j = i; j < i + count; j++) {
      items[m] = (uint64_t)keys[j] << 32 | (index + j);
      m += keys[j] <= bound;
    }
  }
  *n_items = m;
  return i;
}

/* A bound that at least k of the keys are within: the k-th of the least keys of lanes, of which
 * there are four for each of the k, so that few more keys are. UINT32_MAX: there are too few. */
JM_CLONES static uint32_t find_bound(const uint32_t *keys, size_t n, size_t k) {
  uint32_t least[LANES];
  const size_t lanes = (4 * k + 15) / 16 * 16;
  if (lanes > LANES || n < 2 * lanes) return UINT32_MAX;
  memcpy(least, keys, lanes * sizeof *keys);
  for (size_t i = lanes; i + lanes <= n; i += lanes)
    for (size_t j = 0; j < lanes; j++) least[j] = keys[i + j] < least[j] ? keys[i + j] : least[j];
  for (;;) {
    uint32_t first = UINT32_MAX, equal = 0;
    for (size_t j = 0; j < lanes; j++) first = least[j] < first ? least[j] : first;
    for (size_t j = 0; j < lanes; j++) equal += least[j] == first;
    if (equal >= k || first == UINT32_MAX) return first;
    k -= equal;
    for (size_t j = 0; j < lanes; j++) least[j] = least[j] == first ? UINT32_MAX : least[j];
  }
}

/* The indices of the k first items, in order: candidates are gathered, and when there is no more
 * room, sorted; the k first stay and the last of them becomes the bound. They are always in the
 * order of their indices where keys are equal, and the sort keeps that. */
static void select_narrow(const selection *s, scratch room, const unsigned char *in,
                          int32_t *indices) {
  uint32_t keys[CHUNK], bound = UINT32_MAX;
  uint64_t *items = room.a, *spare = room.b;
  size_t n_items = 0;
  for (size_t base = 0; base < s->n; base += CHUNK) {
    size_t n = s->n - base < CHUNK ? s->n - base : CHUNK, done = 0;
    jm_order_keys32(&s->order, in + base * s->bytes, 1, n, keys);
    if (!base) bound = find_bound(keys, n, s->k);
    for (;;) {
      done += append(keys + done, n - done, base + done, bound, items, &n_items, s->room);
      if (done == n) break;
      uint64_t *sorted = jm_order_sort_indexed(items, spare, n_items, n_items);
      if (sorted != items) spare = items;
      items = sorted;
      n_items = s->k;
      uint32_t last = (uint32_t)(items[s->k - 1] >> 32);
      bound = last - 1;
      if (!last) { /* nothing comes before it any more */
        base = s->n;
        break;
      }
    }
  }
  items = jm_order_sort_indexed(items, spare, n_items, n_items);
  for (size_t i = 0; i < s->k; i++) indices[i] = (int32_t)(items[i] & UINT32_MAX);
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
