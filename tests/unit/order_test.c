/* SPDX-License-Identifier: Apache-2.0
 * The sorts of keys and of records: against qsort, of all sizes about those of
 * blocks and pieces, with many equal items, and nothing written behind the slack. */
#include "engine/host/library/order.h"

#include <stdlib.h>
#include <string.h>

#include "engine/host/library/order_vector.h"
#include "unit/check.h"

enum { MOST = 70000, GUARD = 0x5a };

static uint64_t state = 88172645463325252u;

static uint64_t next(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state * 2685821657736338717u;
}

/* Item i of n in one of several patterns. */
enum { N_PATTERNS = 9 };
static uint64_t pattern(int which, size_t i, size_t n) {
  const uint64_t r = next();
  switch (which) {
    case 0:
      return r;
    case 1:
      return r % 3;
    case 2:
      return i;
    case 3:
      return n - i;
    case 4:
      return UINT64_MAX - r % 2;
    case 5:
      return 0;
    case 6:
      return r & 1 ? 0 : r;
    case 7:
      return i % 2 ? i : (n - i) << 32;
    default:
      return r >> (r & 63); /* of all magnitudes */
  }
}

static int compare32(const void *a, const void *b) {
  const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}
static int compare64(const void *a, const void *b) {
  const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static size_t size_at(size_t i) {
  return i <= 530 ? i : i < 600 ? 530 + next() % 5000 : next() % MOST;
}
enum { N_SIZES = 612 };

/* A place for n items and the slack, and whether what follows was left alone. */
static void *room(size_t n, size_t bytes) {
  char *p = malloc((n + JM_ORDER_SLACK) * bytes + 64);
  CHECK(p);
  memset(p, GUARD, (n + JM_ORDER_SLACK) * bytes + 64);
  return p;
}
static bool is_whole(const void *p, size_t n, size_t bytes) {
  const unsigned char *end = (const unsigned char *)p + (n + JM_ORDER_SLACK) * bytes;
  for (int i = 0; i < 64; i++)
    if (end[i] != GUARD) return false;
  return true;
}

/* Sorts what SORT (an expression of a, b and n that tells where the result is) sorts. */
#define CHECK_SORTS(T, compare, SORT)                                        \
  for (size_t i = 0; i < N_SIZES; i++) {                                     \
    const size_t n = size_at(i);                                             \
    const int which = (int)(next() % N_PATTERNS);                            \
    T *a = room(n, sizeof *a), *b = room(n, sizeof *b);                      \
    T *want = room(n, sizeof *want);                                         \
    for (size_t j = 0; j < n; j++) want[j] = a[j] = (T)pattern(which, j, n); \
    qsort(want, n, sizeof *want, compare);                                   \
    const T *got = SORT;                                                     \
    CHECK(got && !memcmp(got, want, n * sizeof *want));                      \
    CHECK(is_whole(a, n, sizeof *a) && is_whole(b, n, sizeof *b));           \
    free(a), free(b), free(want);                                            \
  }

/* What makes every median of a few samples a bad one. */
static void check_unlucky_medians(void) {
  for (jm_cpu_level level = JM_CPU_BASE; level <= jm_cpu_find_level(); level++) {
    const jm_order_vector *vector = jm_order_vector_find(level);
    if (!vector) continue;
    uint32_t *a = room(MOST, sizeof *a), *b = room(MOST, sizeof *b);
    for (size_t i = 0; i < MOST; i++) a[i] = i % 97 ? (uint32_t)i : UINT32_MAX - (uint32_t)i;
    for (size_t n = MOST, step; (step = n / 32) > 1; n -= 32) /* the samples are the largest left */
      for (size_t i = 0; i < 32; i++)
        a[i * step + step / 2] = UINT32_MAX - (uint32_t)(MOST - n + i);
    uint32_t *want = room(MOST, sizeof *want);
    memcpy(want, a, MOST * sizeof *a);
    qsort(want, MOST, sizeof *want, compare32);
    vector->sort32(a, b, MOST);
    CHECK(!memcmp(a, want, MOST * sizeof *a));
    free(a), free(b), free(want);
  }
}

static void check_sets(const jm_order_vector *vector) {
  enum { N = 2 * JM_ORDER_SET + 5 };
  uint32_t keys[N], least[JM_ORDER_SET];
  for (int round = 0; round < 200; round++) {
    for (size_t i = 0; i < N; i++) keys[i] = (uint32_t)pattern(round % N_PATTERNS, i, N);
    const uint32_t bound = keys[round % N];
    const uint64_t set = vector->find_within(keys, bound);
    for (size_t i = 0; i < JM_ORDER_SET; i++) CHECK((set >> i & 1) == (keys[i] <= bound));
    const size_t lanes = 16 * (1 + (size_t)round % 3);
    vector->find_least(keys, N, lanes, least);
    for (size_t i = 0; i < lanes; i++) {
      uint32_t want = keys[i];
      for (size_t j = i; j < N / lanes * lanes; j += lanes) want = keys[j] < want ? keys[j] : want;
      CHECK(least[i] == want);
    }
  }
}

static void check_vectors(void) {
  for (jm_cpu_level level = JM_CPU_BASE; level <= jm_cpu_find_level(); level++) {
    const jm_order_vector *vector = jm_order_vector_find(level);
    if (!vector) continue;
    CHECK_SORTS(uint32_t, compare32, (vector->sort32(a, b, n), a))
    CHECK_SORTS(uint64_t, compare64, (vector->sort64(a, b, n), a))
    check_sets(vector);
  }
}

static void check_whole(void) {
  CHECK_SORTS(uint32_t, compare32, jm_order_sort32(a, b, n, n))
  CHECK_SORTS(uint32_t, compare32, jm_order_sort32(a, b, n, 1000))
  CHECK_SORTS(uint64_t, compare64, jm_order_sort64(a, b, n, n))
  CHECK_SORTS(uint64_t, compare64, jm_order_sort64(a, b, n, 1000))
}

/* Keys with the numbers of the items in ascending or descending order, which stays. */
static void check_indexed(size_t piece, bool descends) {
  for (size_t i = 0; i < N_SIZES; i++) {
    const size_t n = size_at(i);
    const int which = (int)(next() % N_PATTERNS);
    uint64_t *a = room(n, sizeof *a), *b = room(n, sizeof *b), *want = room(n, sizeof *want);
    for (size_t j = 0; j < n; j++)
      want[j] = a[j] = pattern(which, j, n) << 32 | (descends ? n - j : j);
    for (size_t j = 0; j < n && descends; j++) want[j] ^= UINT32_MAX; /* the last comes first */
    qsort(want, n, sizeof *want, compare64);
    for (size_t j = 0; j < n && descends; j++) want[j] ^= UINT32_MAX;
    const size_t most = piece ? piece : n;
    const uint64_t *got = (descends ? jm_order_sort_high : jm_order_sort_indexed)(a, b, n, most);
    CHECK(got && !memcmp(got, want, n * sizeof *want));
    CHECK(is_whole(a, n, sizeof *a) && is_whole(b, n, sizeof *b));
    free(a), free(b), free(want);
  }
}

static int compare_records(const void *a, const void *b) {
  const jm_order_record *x = a, *y = b;
  return x->key != y->key ? (x->key > y->key) - (x->key < y->key)
                          : (x->index > y->index) - (x->index < y->index);
}

static void check_records(size_t piece) {
  for (size_t i = 0; i < N_SIZES; i++) {
    const size_t n = size_at(i);
    const int which = (int)(next() % N_PATTERNS);
    jm_order_record *a = room(n, sizeof *a), *b = room(n, sizeof *b), *want = room(n, sizeof *want);
    for (size_t j = 0; j < n; j++) want[j] = a[j] = (jm_order_record){pattern(which, j, n), j};
    qsort(want, n, sizeof *want, compare_records);
    const jm_order_record *got = jm_order_sort_records(a, b, n, piece ? piece : n);
    CHECK(got && !memcmp(got, want, n * sizeof *want));
    free(a), free(b), free(want);
  }
}

static void test_vectors(void) {
  check_vectors();
  check_unlucky_medians();
}

static void test_pieces(void) {
  check_whole();
  for (size_t piece = 0; piece <= 1000; piece += 1000) {
    check_indexed(piece, false);
    check_indexed(piece, true);
    check_records(piece);
  }
}

TEST_MAIN(test_vectors, test_pieces)
