/* SPDX-License-Identifier: Apache-2.0
 * top_k: the first k of a row in the total order, by a heap of the k best so far where k is small
 * and by a whole sort where it is not. Items are (key, index), so ties go to the lower index. */
#include <string.h>

#include "base/data.h"
#include "base/parallel.h"
#include "engine/ref/order.h"
#include "engine/ref/ref.h"

enum {
  CHUNK = 1024,
  GRAIN = 1 << 15, /* elements that are worth a thread's while */
};

/* items[0 .. k) is a heap with its largest item first. */
#define HEAP(suffix, item, AFTER)                                                 \
  static void sift_down##suffix(item *items, size_t k, size_t at) {               \
    item x = items[at];                                                           \
    for (size_t child; (child = 2 * at + 1) < k; at = child) {                    \
      if (child + 1 < k && AFTER(items[child + 1], items[child])) child++;        \
      if (!AFTER(items[child], x)) break;                                         \
      items[at] = items[child];                                                   \
    }                                                                             \
    items[at] = x;                                                                \
  }                                                                               \
  /* Takes the next item in: below k it fills up, then only better ones count. */ \
  static inline void offer##suffix(item *items, size_t k, size_t n, item x) {     \
    if (n < k) {                                                                  \
      items[n] = x;                                                               \
      if (n + 1 == k)                                                             \
        for (size_t i = k / 2; i-- > 0;) sift_down##suffix(items, k, i);          \
    } else if (AFTER(items[0], x)) {                                              \
      items[0] = x;                                                               \
      sift_down##suffix(items, k, 0);                                             \
    }                                                                             \
  }
#define AFTER64(a, b) ((a) > (b))
/* Items come in order of their index, so that of equal keys the later is never better; among those
 * in the heap the one with the larger index must leave first. */
#define AFTER_RECORD(a, b) ((a).key > (b).key || ((a).key == (b).key && (a).index > (b).index))
HEAP(64, uint64_t, AFTER64)
HEAP(_record, jm_ref_record, AFTER_RECORD)

typedef struct selection {
  jm_ref_order order;
  size_t n, k, bytes;
  bool wide;
  size_t room; /* how many items are kept */
  size_t heap; /* how many make a heap: room, or never */
  const jm_ref_call *call;
  atomic_bool failed; /* no memory */
} selection;

/* Room for `room` items, twice; a thread has its own. */
typedef struct scratch {
  void *a, *b;
} scratch;

/* The indices of the k first items, in order. */
static void select_narrow(const selection *s, scratch room, const unsigned char *in,
                          int32_t *indices) {
  uint32_t keys[CHUNK];
  uint64_t *items = room.a;
  for (size_t base = 0; base < s->n; base += CHUNK) {
    size_t n = s->n - base < CHUNK ? s->n - base : CHUNK;
    jm_ref_order_keys32(&s->order, in + base * s->bytes, 1, n, keys);
    for (size_t i = 0; i < n; i++)
      offer64(items, s->heap, base + i, (uint64_t)keys[i] << 32 | (base + i));
  }
  /* A heap is in no order of index: compare whole items. A full row came in order. */
  items = jm_ref_order_sort64(items, room.b, s->room, s->room == s->n ? 32 : 0);
  for (size_t i = 0; i < s->k; i++) indices[i] = (int32_t)(items[i] & UINT32_MAX);
}

static void select_wide(const selection *s, scratch room, const unsigned char *in,
                        int32_t *indices) {
  uint64_t keys[CHUNK];
  jm_ref_record *items = room.a, *spare = room.b;
  for (size_t base = 0; base < s->n; base += CHUNK) {
    size_t n = s->n - base < CHUNK ? s->n - base : CHUNK;
    jm_ref_order_keys64(&s->order, in + base * s->bytes, 1, n, keys);
    for (size_t i = 0; i < n; i++)
      offer_record(items, s->heap, base + i, (jm_ref_record){keys[i], base + i});
  }
  if (s->room < s->n) { /* the sort is stable: first by index, then by key */
    for (size_t i = 0; i < s->room; i++) items[i] = (jm_ref_record){items[i].index, items[i].key};
    jm_ref_record *sorted = jm_ref_order_sort_records(items, spare, s->room);
    if (sorted != items) spare = items;
    items = sorted;
    for (size_t i = 0; i < s->room; i++) items[i] = (jm_ref_record){items[i].index, items[i].key};
  }
  items = jm_ref_order_sort_records(items, spare, s->room);
  for (size_t i = 0; i < s->k; i++) indices[i] = (int32_t)items[i].index;
}

static bool is_cancelled(const jm_ref_call *call) {
  return call->cancelled && atomic_load_explicit(call->cancelled, memory_order_relaxed);
}

static void run_rows(void *context, size_t begin, size_t end) {
  selection *s = context;
  size_t bytes = s->room * (s->wide ? sizeof(jm_ref_record) : sizeof(uint64_t));
  scratch room = {jm_data_take(bytes), jm_data_take(bytes)};
  if (!room.a || !room.b) atomic_store(&s->failed, true);
  for (size_t row = begin; row < end; row++) {
    if (atomic_load(&s->failed) || is_cancelled(s->call)) break;
    const unsigned char *in = (const unsigned char *)s->call->in[0].data + row * s->n * s->bytes;
    unsigned char *out = (unsigned char *)s->call->out[0].data + row * s->k * s->bytes;
    int32_t *indices = (int32_t *)s->call->out[1].data + row * s->k;
    (s->wide ? select_wide : select_narrow)(s, room, in, indices);
    for (size_t i = 0; i < s->k; i++)
      memcpy(out + i * s->bytes, in + (size_t)indices[i] * s->bytes, s->bytes);
  }
  jm_data_give(room.a, bytes);
  jm_data_give(room.b, bytes);
}

jm_error *jm_ref_top_k(const jm_ref_call *call) {
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
  s.room = s.k > s.n / 8 ? s.n : s.k;
  s.heap = s.room < s.n ? s.room : SIZE_MAX;
  jm_parallel_for((size_t)type->count / s.n, GRAIN / s.n, run_rows, &s);
  if (atomic_load(&s.failed)) return jm_error_out_of_memory();
  return is_cancelled(call) ? jm_error_create(JM_CANCELLED, "top_k was cancelled") : NULL;
}
