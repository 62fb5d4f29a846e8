/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <limits.h>

#include "base/alloc.h"
#include "base/data.h"
#include "base/dtype.h"
#include "base/scratch.h"
#include "base/sha256.h"
#include "base/text.h"
#include "unit/check.h"

static void test_error(void) {
  jm_error *error = jm_error_invalid("bad %d", 7);
  CHECK(jm_error_code(error) == JM_INVALID_ARGUMENT);
  error = jm_error_note(error, "while reading %s", "x");
  CHECK(!strcmp(jm_error_message(error), "bad 7; while reading x"));
  jm_error *copy = jm_error_clone(error);
  jm_error_destroy(error);
  CHECK(!strcmp(jm_error_message(copy), "bad 7; while reading x"));
  jm_error_destroy(copy);
  CHECK(jm_error_code(NULL) == JM_OK && !*jm_error_message(NULL));
}

static void test_error_without_memory(void) {
  jm_alloc_fail_after(0);
  jm_error *error = jm_error_invalid("bad");
  jm_alloc_fail_after(-1);
  CHECK(jm_error_code(error) == JM_RESOURCE_EXHAUSTED);
  jm_error_destroy(error);
}

static void test_arena(void) {
  jm_arena arena;
  jm_arena_init(&arena);
  uint32_t capacity = 0;
  int *numbers = NULL;
  for (int i = 0; i < 1000; i++) {
    numbers = jm_arena_grow(&arena, numbers, (uint32_t)i + 1, &capacity, sizeof *numbers);
    CHECK(numbers != NULL);
    numbers[i] = i;
  }
  for (int i = 0; i < 1000; i++) CHECK(numbers[i] == i);
  CHECK(jm_arena_alloc(&arena, SIZE_MAX / 2, 4) == NULL);
  char *big = jm_arena_alloc(&arena, 1, 3 << 20);
  CHECK(big && !big[0] && !big[(3 << 20) - 1]);
  jm_arena_deinit(&arena);
}

static void test_dtype(void) {
  jm_dtype d;
  CHECK(jm_dtype_from_name("bf16", 4, &d) && d == JM_DT_bf16);
  CHECK(!jm_dtype_from_name("f33", 3, &d));
  CHECK(jm_dtype_from_pjrt(11, &d) && d == JM_DT_f32);
  CHECK(jm_dtype_from_vhlo(0, &d) && d == JM_DT_pred);
  CHECK(!jm_dtype_from_vhlo(255, &d));
}

static void test_text(void) {
  jm_text text;
  jm_text_init(&text);
  jm_text_printf(&text, "%s=%d ", "a", 1);
  jm_text_quote(&text, "x\"\n", 3);
  CHECK(!strcmp(jm_text_bytes(&text), "a=1 \"x\\22\\0A\""));
  CHECK_OK(jm_text_error(&text));
  jm_text_deinit(&text);
}

/* Our own conversions are those of the C library, which does the others. */
static void test_formats(void) {
#define SAME(...)                               \
  do {                                          \
    char want[256];                             \
    jm_text text;                               \
    snprintf(want, sizeof want, __VA_ARGS__);   \
    jm_text_init(&text);                        \
    jm_text_printf(&text, __VA_ARGS__);         \
    CHECK(!strcmp(jm_text_bytes(&text), want)); \
    CHECK(text.size == strlen(want));           \
    jm_text_deinit(&text);                      \
  } while (0)
  SAME("plain");
  SAME("%s%%%u: %s", ", ", 17u, "f32");
  SAME("%d %d %d %d", 0, -1, INT_MAX, INT_MIN);
  SAME("%u %lu %llu %zu", UINT_MAX, ULONG_MAX, ULLONG_MAX, SIZE_MAX);
  SAME("%ld %lld", LONG_MIN, LLONG_MIN);
  SAME("%x %" PRIx64 " %" PRId64 " %" PRIu64, 0xdeadu, UINT64_MAX, INT64_MIN, UINT64_MAX);
  SAME("%u and %08x and %s", 1u, 2u, "three"); /* one for the C library after one of ours */
  SAME("%s %c %.3s %*s| %5d %g", "a", 'b', "cdef", 4, "", -3, 0.5);
  SAME("%.17g %a %p", 1.0 / 3, 1.5, (void *)0);
#undef SAME
}

static void test_data(void) {
  const size_t bytes = (3u << 20) + 5;
  void *first = jm_data_take(bytes);
  CHECK(first && (uintptr_t)first % JM_DATA_ALIGNMENT == 0);
  jm_data_give(first, bytes);
  CHECK(jm_data_kept() >= bytes);
  CHECK(jm_data_take(bytes - 3) == first); /* of the same class */
  CHECK(jm_data_kept() == 0);
  jm_data_give(first, bytes - 3);
  jm_data_give(jm_data_take(100), 100);
  for (int i = 0; i < 100; i++) { /* more than are kept */
    void *blocks[70];
    for (int k = 0; k < 70; k++) blocks[k] = jm_data_take(1u << 20);
    for (int k = 0; k < 70; k++) jm_data_give(blocks[k], 1u << 20);
  }
  jm_data_trim();
  CHECK(jm_data_kept() == 0);
}

/* A large new block takes the place of smaller ones, the oldest first. */
static void test_data_superseded(void) {
  const size_t unit = 1u << 20, sizes[] = {3 * unit, 5 * unit, 12 * unit, 6 * unit};
  void *blocks[4];
  for (int i = 0; i < 4; i++) blocks[i] = jm_data_take(sizes[i]);
  for (int i = 0; i < 4; i++) jm_data_give(blocks[i], sizes[i]);
  CHECK(jm_data_kept() == 26 * unit);
  void *small = jm_data_take(2 * unit);
  CHECK(jm_data_kept() == 26 * unit);
  void *large = jm_data_take(10 * unit);
  CHECK(jm_data_kept() == 18 * unit);
  jm_data_give(small, 2 * unit);
  jm_data_give(large, 10 * unit);
  jm_data_trim();
}

static void test_scratch(void) {
  const size_t bytes = 8u << 20;
  jm_scratch_trim();
  void *large = jm_scratch_take(bytes), *medium = jm_scratch_take(bytes / 2);
  CHECK(large && (uintptr_t)large % JM_DATA_ALIGNMENT == 0);
  jm_scratch_give(large);
  jm_scratch_give(medium);
  size_t kept = jm_scratch_kept();
  CHECK(kept >= bytes + bytes / 2);
  CHECK(jm_scratch_take(bytes / 4) == medium); /* the smallest that does */
  CHECK(jm_scratch_take(bytes / 4) == large);
  void *larger = jm_scratch_take(2 * bytes);
  jm_scratch_give(medium);
  void *small = jm_scratch_take(bytes / 100); /* too small to be kept, or to take medium */
  CHECK(small && small != medium);
  jm_scratch_give(small);
  CHECK(jm_scratch_kept() < bytes);
  jm_scratch_give(large);
  jm_scratch_give(larger);
  jm_scratch_give(NULL);
  /* Blocks of growing sizes supersede each other instead of piling up. */
  jm_scratch_trim();
  for (size_t n = bytes; n < 4 * bytes; n += bytes / 4) jm_scratch_give(jm_scratch_take(n));
  CHECK(jm_scratch_kept() < 5 * bytes);
  for (int i = 0; i < 2; i++) { /* more than are kept */
    void *blocks[70];
    for (int k = 0; k < 70; k++) CHECK((blocks[k] = jm_scratch_take(1u << 20)) != NULL);
    for (int k = 0; k < 70; k++) jm_scratch_give(blocks[k]);
  }
  jm_scratch_trim();
  CHECK(jm_scratch_kept() == 0);
  CHECK(!jm_scratch_take(SIZE_MAX - 8));
}

/* The examples of FIPS 180-4, and a text in pieces of many sizes. */
static void check_sha256(void) {
  static const struct {
    const char *text;
    unsigned char start[4], end[4];
  } cases[] = {
      {"", {0xe3, 0xb0, 0xc4, 0x42}, {0x78, 0x52, 0xb8, 0x55}},
      {"abc", {0xba, 0x78, 0x16, 0xbf}, {0xf2, 0x00, 0x15, 0xad}},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       {0x24, 0x8d, 0x6a, 0x61},
       {0x19, 0xdb, 0x06, 0xc1}},
  };
  unsigned char digest[JM_SHA256_BYTES], whole[JM_SHA256_BYTES];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    jm_sha256_digest(cases[i].text, strlen(cases[i].text), digest);
    CHECK(!memcmp(digest, cases[i].start, 4) && !memcmp(digest + 28, cases[i].end, 4));
  }
  char text[300];
  for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(7 * i);
  jm_sha256_digest(text, sizeof text, whole);
  for (size_t step = 1; step < 130; step++) {
    jm_sha256 sha;
    jm_sha256_init(&sha);
    for (size_t at = 0; at < sizeof text; at += step)
      jm_sha256_add(&sha, text + at, sizeof text - at < step ? sizeof text - at : step);
    jm_sha256_finish(&sha, digest);
    CHECK(!memcmp(digest, whole, sizeof whole));
  }
}

static void test_sha256(void) {
  for (int portable = 0; portable < 2; portable++) {
    jm_sha256_force_portable(portable);
    check_sha256();
  }
  jm_sha256_force_portable(false);
}

TEST_MAIN(test_sha256, test_error, test_error_without_memory, test_arena, test_dtype, test_text,
          test_formats, test_data, test_data_superseded, test_scratch)
