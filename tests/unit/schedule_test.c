/* SPDX-License-Identifier: Apache-2.0
 * Programs whose schedules are known; schedule_check.h says how their groups are run. */
#include "unit/schedule_check.h"

#define CHECK_ONE(schedule, ...)              \
  do {                                        \
    char text[4096];                          \
    const char *const names[1] = {schedule};  \
    snprintf(text, sizeof text, __VA_ARGS__); \
    check_program(text, names, 1);            \
  } while (0)

static const char *const reals[] = {"f32", "f64", "bf16", "f16"};
static const char *const all[] = {"s8",  "s16", "s32", "s64",  "u8",       "u16",
                                  "u32", "u64", "s4",  "u4",   "f16",      "bf16",
                                  "f32", "f64", "c64", "c128", "f8e4m3fn", "f8e5m2"};
enum { N_REALS = sizeof reals / sizeof *reals, N_ALL = sizeof all / sizeof *all };
/* Around the widths of vectors, blocks and tiles. */
static const int sizes[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 100, 129};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

static void test_map(void) {
  for (int i = 0; i < N_ALL; i++)
    CHECK_ONE("map",
              "module \"m\" {\n (%%0: %s[3,37], %%1: %s[3,37]):\n"
              " %%2: %s[3,37] = add %%0, %%1\n %%3: %s[3,37] = multiply %%2, %%0\n return %%3\n}",
              all[i], all[i], all[i], all[i]);
  for (int i = 0; i < N_SIZES; i++)
    CHECK_ONE("map",
              "module \"m\" {\n (%%0: f32[%d], %%1: f32[5,%d]):\n"
              " %%2: f32[5,%d] = broadcast_in_dim %%0 dims=[1]\n"
              " %%3: f32[5,%d] = subtract %%2, %%1\n %%4: f32[5,%d] = exponential %%3\n"
              " return %%3, %%4\n}",
              sizes[i], sizes[i], sizes[i], sizes[i], sizes[i]);
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: f32[100003], %%1: f32[]):\n"
            " %%2: f32[100003] = broadcast_in_dim %%1\n"
            " %%3: f32[100003] = multiply %%2, %%0\n return %%3\n}");
}

/* Chunks of the first kernel of a program's one group. */
static int64_t count_chunks(const char *text) {
  jm_module *m = NULL;
  jm_schedule *schedule = NULL;
  int64_t chunks = 0;
  CHECK_OK(jm_module_parse(text, strlen(text), &m));
  if (!m) return 0;
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.target = &targets[HOST]}));
  const jm_region *entry = jm_module_region(m, m->entry);
  for (uint32_t i = 0; i < entry->n_ops && !schedule; i++) {
    const jm_op *op = jm_module_op(m, entry->ops[i]);
    if (op->code == JM_OP_fusion) CHECK_OK(jm_schedule_build(m, op, &targets[HOST], &schedule));
  }
  if (schedule) chunks = schedule->launches[0].kernel->chunks;
  jm_schedule_destroy(schedule);
  jm_module_destroy(m);
  return chunks;
}

/* Threads share a few points if each costs much; a few cheap ones are one thread's. */
static void test_costly(void) {
  static const char *const shapes[] = {"3333", "33,101", "2,1700"};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    const char *n = shapes[i];
    char text[1024];
    snprintf(text, sizeof text,
             "module \"m\" {\n (%%0: f32[%s]):\n %%1: f32[%s] = add %%0, %%0\n return %%1\n}", n,
             n);
    CHECK(count_chunks(text) == 1);
    snprintf(text, sizeof text,
             "module \"m\" {\n (%%0: f32[%s]):\n %%1: f32[%s] = tanh %%0\n"
             " %%2: f32[%s] = sine %%1\n %%3: f32[%s] = tanh %%2\n %%4: f32[%s] = cosine %%3\n"
             " %%5: f32[%s] = tanh %%4\n return %%5\n}",
             n, n, n, n, n, n);
    CHECK(count_chunks(text) > 1);
    check_program(text, NULL, 0);
  }
}

static void test_movement(void) {
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: f32[7,5,3]):\n"
            " %%1: f32[3,5,7] = transpose %%0 permutation=[2,1,0]\n"
            " %%2: f32[3,5,7] = negate %%1\n return %%2\n}");
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: f32[6,20], %%1: f32[6,5]):\n"
            " %%2: f32[6,25] = concatenate %%0, %%1 dim=1\n"
            " %%3: f32[6,25] = reverse %%2 dims=[0]\n %%4: f32[] = constant value=7\n"
            " %%5: f32[9,29] = pad %%3, %%4 low=[1,2] high=[2,2] interior=[0,0]\n"
            " %%6: f32[4,14] = slice %%5 start=[1,1] limit=[9,29] stride=[2,2]\n"
            " %%7: f32[4,14] = negate %%6\n return %%7\n}");
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: f32[4,6,10]):\n"
            " %%1: f32[4,60] = reshape %%0\n %%2: f32[4,60] = negate %%1\n"
            " %%3: f32[60,4] = transpose %%2 permutation=[1,0]\n"
            " %%4: f32[6,10,4] = reshape %%3\n %%5: f32[6,10,4] = multiply %%4, %%4\n"
            " %%6: f32[2,3,10,4] = reshape %%5\n return %%6\n}");
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: f32[50,12], %%1: s32[9,1]):\n"
            " %%2: f32[9,12] = gather %%0, %%1 offset_dims=[1] collapsed_slice_dims=[0] "
            "start_index_map=[0] index_vector_dim=1 slice_sizes=[1,12]\n"
            " %%3: f32[9,12] = negate %%2\n return %%3\n}");
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: f32[30000,3], %%1: f32[3]):\n"
            " %%2: f32[30000,3] = broadcast_in_dim %%1 dims=[1]\n"
            " %%3: f32[30000,3] = multiply %%0, %%2\n return %%3\n}");
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: s32[5,7]):\n %%1: s32[5,7] = iota dim=0\n"
            " %%2: s32[5,7] = iota dim=1\n %%3: s32[5,7] = add %%1, %%2\n"
            " %%4: s32[5,7] = add %%3, %%0\n return %%4\n}");
}

static void test_transpose(void) {
  for (int i = 0; i < N_ALL; i++)
    CHECK_ONE("transpose",
              "module \"m\" {\n (%%0: %s[67,130], %%1: %s[130,67]):\n"
              " %%2: %s[130,67] = transpose %%0 permutation=[1,0]\n"
              " %%3: %s[130,67] = add %%2, %%1\n return %%3\n}",
              all[i], all[i], all[i], all[i]);
  CHECK_ONE("transpose",
            "module \"m\" {\n (%%0: f32[3,9,5,70], %%1: f32[3,70,9,5]):\n"
            " %%2: f32[3,9,5,70] = negate %%0\n"
            " %%3: f32[3,70,9,5] = transpose %%2 permutation=[0,3,1,2]\n"
            " %%4: f32[3,70,9,5] = add %%3, %%1\n return %%3, %%4\n}");
  CHECK_ONE("transpose",
            "module \"m\" {\n (%%0: f32[8,9,10,11]):\n"
            " %%1: f32[10,11,8,9] = transpose %%0 permutation=[2,3,0,1]\n"
            " %%2: f32[11,10,9,8] = transpose %%0 permutation=[3,2,1,0]\n"
            " %%3: f32[10,11,8,9] = reshape %%2\n %%4: f32[10,11,8,9] = add %%1, %%3\n"
            " return %%4\n}");
}

static void test_tiny(void) {
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: s32[], %%1: f32[], %%2: f32[5]):\n"
            " %%3: s32[] = constant value=1\n %%4: s32[] = add %%0, %%3\n"
            " %%5: f32[] = convert %%0\n %%6: f32[] = add %%5, %%1\n"
            " %%7: f32[5] = broadcast_in_dim %%6\n %%8: f32[5] = multiply %%7, %%2\n"
            " return %%4, %%6, %%8\n}");
}

#define BODY(type, op)                                                  \
  " {\n (%%90: " type "[], %%91: " type "[]):\n %%92: " type "[] = " op \
  " %%90, %%91\n"                                                       \
  " return %%92\n }\n"

static void test_row(void) {
  for (int i = 0; i < N_SIZES + 2; i++)
    for (int t = 0; t < N_REALS; t++) {
      const char *d = reals[t];
      int n = i >= N_SIZES ? 9 + 6 * (i - N_SIZES) : sizes[i] > 8 ? sizes[i] : sizes[i] + 8;
      int m = i < N_SIZES ? 17 : 301; /* many short rows: in lanes */
      CHECK_ONE("row",
                "module \"m\" {\n (%%0: %s[%d,%d]):\n %%1: %s[] = constant value=-inf\n"
                " %%2: %s[%d] = reduce %%0, %%1 dims=[1]" BODY("%s", "maximum")
                " %%3: %s[%d,%d] = broadcast_in_dim %%2 dims=[0]\n"
                " %%4: %s[%d,%d] = subtract %%0, %%3\n %%5: %s[%d,%d] = exponential %%4\n"
                " %%6: %s[] = constant value=0\n"
                " %%7: %s[%d] = reduce %%5, %%6 dims=[1]" BODY("%s", "add")
                " %%8: %s[%d,%d] = broadcast_in_dim %%7 dims=[0]\n"
                " %%9: %s[%d,%d] = divide %%5, %%8\n return %%9, %%7\n}",
                d, m, n, d, d, m, d, d, d, d, m, n, d, m, n, d, m, n, d, d, m, d, d, d, d, m, n, d,
                m, n);
    }
}

/* Passes read a value in their own row, and a result needs it from another row or place, too. */
static void test_strays(void) {
  static const char *const movements[] = {"reverse %2 dims=[0]", "reverse %2 dims=[1]",
                                          "concatenate %9, %8 dim=0"};
  static const char *const shapes[][3] = {
      {"6,100", "2,100", "4,100"}, {"300,9", "2,9", "298,9"}, {"6,64", "2,64", "4,64"}};
  for (int i = 0; i < 9; i++)
    for (int expensive = 0; expensive < 2; expensive++) {
      const char *const *n = shapes[i % 3];
      char text[2048];
      snprintf(text, sizeof text,
               "module \"m\" {\n (%%0: f32[%s]):\n %%1: f32[] = constant value=-inf\n"
               " %%2: f32[%s] = %s %%0\n"
               " %%3: f32[%.*s] = reduce %%2, %%1 dims=[1]" BODY("f32", "maximum")
               " %%4: f32[%s] = broadcast_in_dim %%3 dims=[0]\n"
               " %%5: f32[%s] = subtract %%2, %%4\n"
               " %%8: f32[%s] = slice %%2 start=[0,0] limit=[%s] stride=[1,1]\n"
               " %%9: f32[%s] = slice %%2 start=[2,0] limit=[%s] stride=[1,1]\n"
               " %%6: f32[%s] = %s\n %%7: f32[%s] = add %%5, %%6\n return %%7\n}",
               n[0], n[0], expensive ? "exponential" : "negate", (int)strcspn(n[0], ","), n[0],
               n[0], n[0], n[1], n[1], n[2], n[0], n[0], movements[i / 3], n[0]);
      check_program(text, NULL, 0);
    }
}

/* Elements that lie a few apart, in lanes of several registers. */
static void test_steps(void) {
  for (int step = 2; step <= 18; step++)
    for (int t = 0; t < N_ALL; t++)
      CHECK_ONE("map",
                "module \"m\" {\n (%%0: %s[%d]):\n"
                " %%1: %s[300] = slice %%0 start=[1] limit=[%d] stride=[%d]\n"
                " %%2: %s[300] = slice %%0 start=[0] limit=[%d] stride=[%d]\n"
                " %%3: %s[300] = add %%1, %%2\n return %%3\n}",
                all[t], 300 * step, all[t], 299 * step + 2, step, all[t], 299 * step + 1, step,
                all[t]);
}

static void test_row_types(void) {
  for (int i = 0; i < N_ALL; i++)
    CHECK_ONE("row",
              "module \"m\" {\n (%%0: %s[20,4,9], %%1: %s[]):\n"
              " %%2: %s[20] = reduce %%0, %%1 dims=[1,2]" BODY(
                  "%s", "add") " %%3: %s[20,1] = reshape %%2\n return %%3\n}",
              all[i], all[i], all[i], all[i], all[i], all[i], all[i]);
}

static void test_columns(void) {
  for (int i = 0; i < N_SIZES; i++)
    for (int t = 0; t < N_REALS; t++) {
      const char *d = reals[t];
      CHECK_ONE(sizes[i] == 1 ? "row" : "reduce",
                "module \"m\" {\n (%%0: %s[40,%d], %%1: %s[]):\n"
                " %%2: %s[40,%d] = multiply %%0, %%0\n"
                " %%3: %s[%d] = reduce %%2, %%1 dims=[0]" BODY(
                    "%s", "add") " %%4: %s[%d] = negate %%3\n return %%4\n}",
                d, sizes[i], d, d, sizes[i], d, sizes[i], d, d, d, d, sizes[i]);
    }
  for (int i = 0; i < N_ALL; i++)
    CHECK_ONE("reduce",
              "module \"m\" {\n (%%0: %s[3,11,19], %%1: %s[]):\n"
              " %%2: %s[3,19] = reduce %%0, %%1 dims=[1]" BODY("%s", "add") " return %%2\n}",
              all[i], all[i], all[i], all[i], all[i], all[i]);
  /* Rows in blocks, two results of one pass, a third made of both. */
  CHECK_ONE("reduce",
            "module \"m\" {\n (%%0: f32[50,9,13,24], %%1: f32[]):\n"
            " %%2: f32[24] = reduce %%0, %%1 dims=[0,1,2]" BODY("f32", "add")
            " %%3: f32[50,9,13,24] = multiply %%0, %%0\n"
            " %%4: f32[24] = reduce %%3, %%1 dims=[0,1,2]" BODY("f32", "add")
            " %%5: f32[24] = negate %%2\n %%6: f32[24] = maximum %%4, %%5\n"
            " return %%2, %%6\n}");
  /* Lines that are read in order, a row at a time; longer ones; rows in blocks. */
  static const int lines[][2] = {{33, 256}, {600, 300}, {9, 2049}};
  for (int i = 0; i < 3; i++)
    CHECK_ONE("reduce",
              "module \"m\" {\n (%%0: f32[%d,%d], %%1: f32[]):\n"
              " %%2: f32[%d] = reduce %%0, %%1 dims=[0]" BODY("f32", "maximum") " return %%2\n}",
              lines[i][0], lines[i][1], lines[i][1]);
}

static void test_all(void) {
  static const char *const shapes[][3] = {
      {"[70001]", "[]", "0"}, {"[37,1031]", "[37]", "1"}, {"[300,37]", "[37]", "0"}};
  for (int i = 0; i < N_REALS * 6; i++) { /* zeros of both signs, NaN among them */
    const char *d = reals[i % N_REALS], *const *shape = shapes[i / N_REALS % 3];
    CHECK_ONE(shape[2][0] == '1' ? "row" : "reduce",
              "module \"m\" {\n (%%0: %s%s, %%1: %s[]):\n"
              " %%2: %s%s = reduce %%0, %%1 dims=[%s]" BODY("%s", "%simum") " return %%2\n}",
              d, shape[0], d, d, shape[1], shape[2], d, d, d, i / N_REALS < 3 ? "max" : "min");
  }
  for (int i = 0; i < N_ALL; i++)
    CHECK_ONE("reduce",
              "module \"m\" {\n (%%0: %s[70001], %%1: %s[]):\n"
              " %%2: %s[] = reduce %%0, %%1 dims=[0]" BODY("%s", "add") " return %%2\n}",
              all[i], all[i], all[i], all[i], all[i], all[i]);
  CHECK_ONE("reduce",
            "module \"m\" {\n (%%0: f32[4,3,40000], %%1: f32[]):\n"
            " %%2: f32[4] = reduce %%0, %%1 dims=[1,2]" BODY(
                "f32", "maximum") " %%3: f32[4] = negate %%2\n return %%3\n}");
}

/* Loops that are cut where what they read changes. */
static void test_cuts(void) {
  for (int i = 0; i < N_SIZES; i++)
    CHECK_ONE("map",
              "module \"m\" {\n (%%0: f32[40,%d], %%1: f32[40,150], %%8: f32[43,%d]):\n"
              " %%2: f32[40,%d] = negate %%0\n %%3: f32[40,%d] = concatenate %%1, %%2, %%0 dim=1\n"
              " %%4: f32[] = constant value=7\n"
              " %%5: f32[43,%d] = pad %%3, %%4 low=[1,2] high=[2,3] interior=[0,0]\n"
              " %%6: f32[43,%d] = slice %%5 start=[0,3] limit=[43,%d] stride=[1,1]\n"
              " %%7: f32[86,%d] = concatenate %%6, %%8 dim=0\n return %%7\n}",
              sizes[i], 151 + 2 * sizes[i], sizes[i], 150 + 2 * sizes[i], 155 + 2 * sizes[i],
              151 + 2 * sizes[i], 154 + 2 * sizes[i], 151 + 2 * sizes[i]);
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: f32[9000], %%1: f32[20001]):\n"
            " %%2: f32[29001] = concatenate %%0, %%1 dim=0\n"
            " %%3: f32[29001] = add %%2, %%2\n return %%3\n}");
}

/* JAX's argmax: ties go to the lower index, NaN wins. */
static void test_argument(void) {
  const char *const shapes[][2] = {{"[20,37]", "[20]"}, {"[3,70000]", "[3]"}};
  for (int i = 0; i < 2; i++)
    CHECK_ONE(i ? "reduce" : "row",
              "module \"m\" {\n (%%0: s8%s):\n %%1: s32%s = iota dim=1\n"
              " %%20: f32%s = convert %%0\n"
              " %%2: f32[] = constant value=-inf\n %%3: s32[] = constant value=0\n"
              " %%4: f32%s, %%5: s32%s = reduce %%20, %%1, %%2, %%3 dims=[1] {\n"
              " (%%6: f32[], %%7: s32[], %%8: f32[], %%9: s32[]):\n"
              " %%10: pred[] = compare %%6, %%8 direction=GT order=FLOAT\n"
              " %%11: pred[] = compare %%6, %%6 direction=NE order=FLOAT\n"
              " %%12: pred[] = or %%10, %%11\n"
              " %%13: pred[] = compare %%6, %%8 direction=EQ order=FLOAT\n"
              " %%14: pred[] = compare %%7, %%9 direction=LT order=SIGNED\n"
              " %%15: pred[] = and %%13, %%14\n %%16: pred[] = or %%12, %%15\n"
              " %%17: f32[] = select %%12, %%6, %%8\n %%18: s32[] = select %%16, %%7, %%9\n"
              " return %%17, %%18\n }\n return %%5\n}",
              shapes[i][0], shapes[i][0], shapes[i][0], shapes[i][1], shapes[i][1]);
}

/* Dimensions that others stand between: one reduction after the other. */
static void test_split(void) {
  const char *const shapes[][3] = {{"[5,7,6,9]", "0,2,3", "[7]"},
                                   {"[5,7,6,9]", "0,2", "[7,9]"},
                                   {"[3,1,4,5,1,6,2]", "0,3,6", "[1,4,1,6]"}};
  for (int i = 0; i < 3; i++)
    for (int k = 0; k < 2; k++) {
      char text[1024];
      snprintf(text, sizeof text,
               "module \"m\" {\n (%%0: f32%s):\n %%1: f32[] = constant value=%s\n"
               " %%2: f32%s = reduce %%0, %%1 dims=[%s] {\n (%%3: f32[], %%4: f32[]):\n"
               " %%5: f32[] = %s %%3, %%4\n return %%5\n }\n return %%2\n}",
               shapes[i][0], k ? "1.5" : "0", shapes[i][2], shapes[i][1], k ? "maximum" : "add");
      check_program(text, NULL, 0);
    }
}

/* A body nobody knows runs in order. */
static void test_unknown(void) {
  const char *const cases[][4] = {{"[20,37]", "[20]", "1", "row"},
                                  {"[37,20]", "[20]", "0", "reduce"},
                                  {"[300000]", "[]", "0", "map"}};
  for (int i = 0; i < 3; i++)
    CHECK_ONE(cases[i][3],
              "module \"m\" {\n (%%0: f32%s, %%1: f32[]):\n"
              " %%2: f32%s = reduce %%0, %%1 dims=[%s] {\n (%%3: f32[], %%4: f32[]):\n"
              " %%5: f32[] = constant value=0.5\n %%6: f32[] = multiply %%3, %%5\n"
              " %%7: f32[] = add %%6, %%4\n return %%7\n }\n return %%2\n}",
              cases[i][0], cases[i][1], cases[i][2]);
}

TEST_MAIN(find_targets, test_map, test_costly, test_movement, test_transpose, test_tiny, test_row,
          test_strays, test_row_types, test_columns, test_cuts, test_argument, test_split,
          test_unknown, test_steps, test_all)
