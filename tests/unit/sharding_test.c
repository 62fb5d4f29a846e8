/* SPDX-License-Identifier: Apache-2.0
 * Shardings: their canonical form, their lists, and what moving between them sends. How programs
 * are partitioned is seen in tests/golden/pass/partition.ir and tests/jax/test_partition.py. */
#include "ir/sharding.h"

#include "ir/collective.h"
#include "ir/parse.h"
#include "ir/xla_proto.h"
#include "pass/reshard.h"
#include "unit/check.h"

enum { DEVICES = 8 };
#define LIST(...) ((jm_i64s){(const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / 8})
#define NONE ((jm_i64s){NULL, 0})

static jm_arena arena;

static const jm_sharding *make(jm_i64s parts, jm_i64s ids, uint32_t rank) {
  const jm_sharding *named = NULL, *out = NULL;
  CHECK_OK(jm_sharding_decode(&arena, parts, ids, rank, DEVICES, &named));
  CHECK_OK(jm_sharding_canonicalize(&arena, named, &out));
  return out;
}

static void test_canonical(void) {
  /* An axis of 8 is three of 2; a mesh of [4, 2] has the same. */
  const jm_sharding *a = make(LIST(1, 1, 8), NONE, 1), *b = make(LIST(2, 2, 4, 1, 2), NONE, 1);
  CHECK(a && b && a->dims[0].n_axes == 3 && b->dims[0].n_axes == 3);
  CHECK(jm_sharding_equal(a, b) && jm_axes_agree(jm_axes_of(a, 0), jm_axes_of(b, 0)));
  CHECK(!jm_sharding_equal(a, make(LIST(2, 1, 2, 2, 4), NONE, 1)));
  /* A mesh [2, 4] whose devices are numbered along its first axis is axes all the same. */
  const jm_i64s transposed = LIST(0, 2, 4, 6, 1, 3, 5, 7);
  const jm_sharding *c = make(LIST(1, 4, 2), transposed, 1);
  CHECK(c && jm_sharding_is_canonical(c) && c->dims[0].axes[0].stride == 1);
  /* Another order is none that axes could express. */
  const jm_sharding *d = make(LIST(1, 1, 8), LIST(3, 1, 7, 5, 0, 2, 6, 4), 1);
  CHECK(d && !jm_sharding_is_canonical(d) && jm_sharding_partition(d, 2) == 7);
  CHECK(!make(LIST(0, 0), NONE, 2) && !make(NONE, NONE, 2));
}

static void test_lists(void) {
  jm_i64s parts, ids;
  const jm_i64s listed = LIST(2, 4, 2, 1, 2, 0, 1, 2, 2);
  const jm_sharding *sharding = make(listed, NONE, 3);
  CHECK_OK(jm_sharding_encode(&arena, sharding, &parts, &ids));
  CHECK(parts.n == listed.n && !memcmp(parts.data, listed.data, parts.n * sizeof *parts.data));
  CHECK(!ids.n);
  const struct {
    jm_i64s parts, ids;
    const char *message;
  } refused[] = {
      {{(const int64_t[]){1, 1, 2}, 3}, {NULL, 0}, "fewer dimensions"},
      {{(const int64_t[]){1, 1}, 2}, {NULL, 0}, "fewer dimensions or axes"},
      {{(const int64_t[]){0, 0, 0}, 3}, {NULL, 0}, "more dimensions"},
      {{(const int64_t[]){1, 8, 2, 0}, 4}, {NULL, 0}, "8 devices don't have"},
      {{(const int64_t[]){1, 1, 1, 0}, 4}, {NULL, 0}, "8 devices don't have"},
      {{(const int64_t[]){1, 1, 4, 1, 2, 2}, 6}, {NULL, 0}, "names an axis twice"},
      {{(const int64_t[]){1, 1, 8, 0}, 4}, {(const int64_t[]){0, 1}, 2}, "not those of"},
  };
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    const jm_sharding *out;
    CHECK_FAILS(jm_sharding_decode(&arena, refused[i].parts, refused[i].ids, 2, DEVICES, &out),
                JM_INVALID_ARGUMENT, refused[i].message);
  }
}

/* Of f32[64,32], 8192 bytes. */
static void test_costs(void) {
  static const int64_t dims[] = {64, 32};
  const jm_type type = {.dtype = JM_DT_f32, .rank = 2, .count = 64 * 32, .dims = dims};
  const jm_sharding *rows = make(LIST(1, 1, 8, 0), NONE, 2),
                    *columns = make(LIST(0, 1, 1, 8), NONE, 2);
  const jm_sharding *half = make(LIST(1, 4, 2, 0), NONE, 2);
  CHECK(jm_reshard_cost(&type, rows, rows) == 0 && jm_reshard_cost(&type, NULL, columns) == 0);
  CHECK(jm_reshard_cost(&type, rows, NULL) == 7 * 1024);
  CHECK(jm_reshard_cost(&type, rows, columns) == 7 * 1024.0 / 8); /* all_to_all */
  CHECK(jm_reshard_cost(&type, rows, half) == 3 * 1024);          /* of groups of 4 */
  const jm_partial sum = {jm_axes_of(rows, 0), JM_OP_add};
  const jm_sharding *complete;
  double cost;
  CHECK_OK(jm_combine_plan(&arena, &type, &sum, NULL, NULL, DEVICES, &complete, &cost));
  CHECK(!complete && cost == 2 * 7 * 1024); /* all_reduce */
  CHECK_OK(jm_combine_plan(&arena, &type, &sum, NULL, columns, DEVICES, &complete, &cost));
  CHECK(jm_sharding_equal(complete, columns) && cost == 7 * 1024); /* reduce_scatter */
}

static void test_bytes(void) {
  static const char text[] =
      "module \"m\" partitions=8 {\n  (%x: f32[64]):\n"
      "  %a: f32[512] = all_gather %x\n"
      "  %b: f32[128] = all_gather %x replica_groups=[0,1,2,3,4,5,6,7] group_size=2\n"
      "  %c: f32[64] = collective_permute %x source_target_pairs=[0,1]\n"
      "  %d: f32[64] = collective_permute %x source_target_pairs=[0,0]\n"
      "  %e: f32[64] = negate %x\n  return %a\n}\n";
  static const uint64_t bytes[] = {7 * 256, 256, 256, 0, 0};
  jm_module *m = NULL;
  CHECK_OK(jm_module_parse(text, strlen(text), &m));
  for (jm_op_id i = 0; m && i < m->n_ops; i++)
    CHECK(jm_collective_bytes(m, jm_module_op(m, i)) == bytes[i]);
  jm_module_destroy(m);
}

/* -- as XLA's messages */

static const jm_sharding *read_message(const char *bytes, size_t size, uint32_t rank) {
  static const int64_t dims[2];
  const jm_type type = {.dtype = JM_DT_f32, .rank = rank, .dims = dims};
  const jm_type *types[] = {&type};
  const jm_sharding *named = NULL, *out = NULL;
  CHECK_OK(jm_xla_shardings_read(&arena, bytes, size, types, 1, DEVICES, &named));
  CHECK_OK(jm_sharding_canonicalize(&arena, named, &out));
  return out;
}
#define READ(rank, bytes) read_message(bytes, sizeof bytes - 1, rank)

static void test_messages(void) {
  /* What jaxlib writes for a mesh of [4, 2] with axes x and y: P(x, y), P(y, x), P(y). */
  CHECK(jm_sharding_equal(READ(2, "\x08\x03\x1a\x02\x04\x02\x4a\x01\x08\x52\x01\x00"),
                          make(LIST(1, 2, 4, 1, 1, 2), NONE, 2)));
  CHECK(jm_sharding_equal(READ(2, "\x08\x03\x1a\x02\x02\x04\x4a\x02\x04\x02\x52\x02\x01\x00"),
                          make(LIST(1, 1, 2, 1, 2, 4), NONE, 2)));
  CHECK(jm_sharding_equal(
      READ(2, "\x08\x03\x1a\x03\x02\x01\x04\x30\x01\x4a\x02\x04\x02\x52\x02\x01\x00"),
      make(LIST(1, 1, 2, 0), NONE, 2)));
  CHECK(!READ(2, "") && !READ(2, "\x08\x00"));
  const jm_sharding *written[] = {make(LIST(1, 1, 8), NONE, 1), make(LIST(1, 4, 2), NONE, 1),
                                  make(LIST(1, 1, 2), NONE, 1), NULL};
  const int64_t dim = 16;
  const jm_type type = {.dtype = JM_DT_f32, .rank = 1, .dims = &dim};
  const jm_type *types[] = {&type, &type, &type, &type};
  for (uint32_t n = 1; n <= 4; n++) {
    const jm_sharding *read[4];
    jm_text text;
    jm_text_init(&text);
    jm_xla_shardings_write(written, types, n, DEVICES, &text);
    CHECK_OK(jm_xla_shardings_read(&arena, text.bytes, text.size, types, n, DEVICES, read));
    for (uint32_t i = 0; i < n; i++) CHECK(jm_sharding_equal(read[i], written[i]));
    for (size_t size = 0; n > 1 && size < text.size; size++) /* cut off, or of fewer arrays */
      CHECK_FAILS(jm_xla_shardings_read(&arena, text.bytes, size, types, n, DEVICES, read),
                  JM_INVALID_ARGUMENT, "");
    jm_text_deinit(&text);
  }
}

static void test_refused_messages(void) {
  const jm_type type = {.dtype = JM_DT_f32, .rank = 1, .dims = (const int64_t[]){16}};
  const jm_type *types[] = {&type};
  const struct {
    const char *bytes, *message;
    size_t size;
    jm_code code;
  } refused[] = {
      {"\x08\x01", "type 1", 2, JM_UNIMPLEMENTED}, /* on one device */
      {"\x08\x04", "type 4", 2, JM_UNIMPLEMENTED}, /* manual */
      {"\x08\x03\x1a\x01\x08\x42\x01\x06", "unreduced", 8, JM_UNIMPLEMENTED},
      {"\x08\x03\x1a\x01\x08", "not those of the program", 5, JM_INVALID_ARGUMENT},
      {"\x08\x03\x1a\x01\x04\x4a\x01\x08", "not those of the program", 8, JM_INVALID_ARGUMENT},
      {"\x08\x03\x1a\x01\x08\x4a\x01\x08\x52\x01\x01", "no permutation", 11, JM_INVALID_ARGUMENT},
      {"\x08\x03\x1a\x01\x08\x22\x02\x00\x00", "not those of the program", 9, JM_INVALID_ARGUMENT},
      {"\x08\x03\x1a\x02\x08\x01\x4a\x01\x08", "of 2 dimensions for 1", 9, JM_INVALID_ARGUMENT},
      {"\x08\x03\x1a\x7f\x08", "malformed", 5, JM_INVALID_ARGUMENT},
      {"\x08", "malformed", 1, JM_INVALID_ARGUMENT},
      {"\x0f", "malformed", 1, JM_INVALID_ARGUMENT},
  };
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    const jm_sharding *out;
    CHECK_FAILS(
        jm_xla_shardings_read(&arena, refused[i].bytes, refused[i].size, types, 1, DEVICES, &out),
        refused[i].code, refused[i].message);
  }
}

static void test_shape_message(void) {
  static const int64_t dims[] = {8, 300};
  const jm_type type = {.dtype = JM_DT_bf16, .rank = 2, .dims = dims};
  const jm_type *types[] = {&type};
  static const char want[] = "\x10\x10\x1a\x03\x08\xac\x02\x32\x02\x00\x00";
  jm_text text;
  jm_text_init(&text);
  jm_xla_shapes_write(types, 1, &text);
  CHECK(text.size == sizeof want - 1 && !memcmp(text.bytes, want, text.size));
  jm_text_deinit(&text);
}

static void start(void) { jm_arena_init(&arena); }
static void end(void) { jm_arena_deinit(&arena); }

TEST_MAIN(start, test_canonical, test_lists, test_costs, test_bytes, test_messages,
          test_refused_messages, test_shape_message, end)
