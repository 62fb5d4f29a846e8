/* SPDX-License-Identifier: Apache-2.0
 * Threads loops: what verification refuses, in which order lanes run and are combined, which
 * barriers are inserted, and the text form. */
#include "unit/kernel_memory.h"
#include "unit/threads_cases.h"

static const uint32_t widths[] = {1, 2, 32, 128, 256};
enum { N_WIDTHS = sizeof widths / sizeof *widths };

static char *print_kernel(const jm_kernel *k) {
  jm_text text;
  jm_text_init(&text);
  jm_kernel_print(k, &text);
  CHECK_OK(jm_text_error(&text));
  char *copy = jm_alloc(text.size + 1, 1);
  memcpy(copy, jm_text_bytes(&text), text.size);
  jm_text_deinit(&text);
  return copy;
}

/* -- refusals */

#define HEAD                           \
  "kernel \"k\"\nchunks 1 grain 1\n"   \
  "param $0: global f32 x 9 written\n" \
  "{\n"                                \
  "  %0: i64 = const 0\n"              \
  "  %1: i64 = const 9\n"              \
  "  %2: i1 = const 1\n"

static void test_refusals(void) {
  static const struct {
    const char *text, *error;
  } wrong[] = {
      {HEAD "  loop threads(3) %0, %1 { (%3: i64)\n  }\n}\n", "not a power of two"},
      {HEAD "  loop threads %0, %1 { (%3: i64)\n  }\n}\n", "not a power of two"},
      {HEAD "  loop threads(2048) %0, %1 { (%3: i64)\n  }\n}\n", "too many threads"},
      {HEAD "  loop lanes(2) %0, %1 { (%3: i64)\n  }\n}\n", "a loop's binding is missing"},
      {HEAD "  loop threads(4) %0, %1 { (%3: i64)\n"
            "    loop threads(4) %0, %1 { (%4: i64)\n    }\n  }\n}\n",
       "inside of a threads loop"},
      {HEAD "  loop threads(4) %0, %1 { (%3: i64)\n"
            "    loop vector(4) %0, %1 { (%4: i64)\n    }\n  }\n}\n",
       "inside of a threads loop"},
      {HEAD "  loop threads(4) %0, %1 { (%3: i64)\n    if %2 {\n"
            "      loop threads(4) %0, %1 { (%4: i64)\n      }\n    } {\n    }\n  }\n}\n",
       "inside of a threads loop"},
      {HEAD "  loop threads(4) %0, %1 { (%3: i64)\n"
            "    loop serial %0, %3 { (%4: i64)\n"
            "      loop threads(4) %0, %1 { (%5: i64)\n      }\n    }\n  }\n}\n",
       "inside of a threads loop"},
      {HEAD "  loop threads(4) %0, %1 { (%3: i64)\n"
            "    loop chunk %0, %1 { (%4: i64)\n    }\n  }\n}\n",
       "not a chunk loop's place"},
      {HEAD "  loop vector(4) %0, %1 { (%3: i64)\n"
            "    loop threads(4) %0, %1 { (%4: i64)\n    }\n  }\n}\n",
       "inside of a vector loop"},
      {HEAD "  loop threads(4) %0, %1 { (%3: i64)\n  }\n"
            "  loop threads(8) %0, %1 { (%4: i64)\n  }\n}\n",
       "threads loops of several widths"},
      {HEAD "  loop threads(4) %0, %1 { (%3: i64)\n  }\n"
            "  loop vector(4) %0, %1 { (%4: i64)\n  }\n}\n",
       "vector and threads loops in one kernel"},
      {HEAD "  loop threads(4) %0, %1, %1 { (%3: i64, %4: i64)\n    yield %4\n  } -> %5: i64\n}\n",
       "a wrong number of blocks"},
      {HEAD "  loop threads(4) %0, %1, %1 { (%3: i64, %4: i64)\n    yield %4\n  } {"
            " (%5: i64, %6: i64)\n    store $0[%5], %6\n    yield %5\n  } -> %7: i64\n}\n",
       "the combination is not pure"},
      {HEAD "  loop threads(4) %0, %1, %1 { (%3: i64, %4: i64)\n    yield %4\n  } {"
            " (%5: i64, %6: i64)\n    %7: f32 = load $0[%5]\n    yield %5\n  } -> %8: i64\n}\n",
       "the combination is not pure"},
      {HEAD "  loop threads(4) %0, %1 { (%3: i64)\n    barrier scratch\n  }\n}\n",
       "inside of a loop that lanes run"},
      {HEAD "  loop threads(4) %0, %1 { (%3: i64)\n    if %2 {\n      barrier global\n    } {\n"
            "    }\n  }\n}\n",
       "inside of a loop that lanes run"},
      {HEAD "  loop vector(4) %0, %1 { (%3: i64)\n    barrier scratch\n  }\n}\n",
       "inside of a loop that lanes run"},
      {HEAD "  barrier\n}\n", "no scope that a barrier has"},
      {HEAD "  %3: i64 = barrier scratch\n}\n", "a wrong number of results"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    jm_kernel *k = NULL;
    jm_error *error = jm_kernel_parse(wrong[i].text, strlen(wrong[i].text), &k);
    bool refused = error && strstr(jm_error_message(error), wrong[i].error);
    CHECK(refused);
    if (!refused)
      fprintf(stderr, "%s: %s\n", wrong[i].text, error ? jm_error_message(error) : "accepted");
    jm_error_destroy(error);
    jm_kernel_destroy(k);
  }
  jm_kbuilder *b = begin_case("no power of two");
  jm_kloop loop;
  jm_kernel *k = NULL;
  open_threads(b, 0, case_count(b), &loop);
  CHECK_FAILS(jm_kbuilder_finish(b, &k), JM_INTERNAL, "not a power of two");
  jm_kbuilder_destroy(b);
}

/* -- order */

/* Each lane writes down the order of its iterations; subtraction shows the order of lanes. */
static void combine_difference(void *context, jm_kbuilder *b, const jm_kval *lower,
                               const jm_kval *upper, jm_kval *out) {
  (void)context;
  out[0] = jm_kbuild2(b, JM_K_fsub, lower[0], upper[0]);
}

static void check_order(int64_t lower, int64_t n, uint32_t width, float expected) {
  jm_kbuilder *b = NULL;
  CHECK_OK(jm_kbuilder_create("order", &b));
  uint32_t out = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_f32, 1, true, 0);
  jm_kval zero = jm_kbuild_float(b, JM_KT_f32, 0), two = jm_kbuild_float(b, JM_KT_f32, 2);
  jm_kloop loop;
  jm_kbuild_loop_begin(b, JM_BIND_THREADS, width, jm_kbuild_index(b, lower),
                       jm_kbuild_index(b, lower + n), &zero, 1, &loop);
  jm_kval at = jm_kbuild_cast(b, JM_K_sitofp, JM_KT_f32, loop.index);
  jm_kval next = jm_kbuild2(b, JM_K_fadd, jm_kbuild2(b, JM_K_fmul, loop.carries[0], two), at);
  jm_kbuild_loop_end_combine(b, &loop, &next, combine_difference, NULL);
  jm_kbuild_store(b, out, jm_kbuild_index(b, 0), loop.carries[0]);
  jm_kernel *k = NULL;
  CHECK_OK(jm_kbuilder_finish(b, &k));
  jm_kbuilder_destroy(b);
  float result = -1;
  CHECK_OK(jm_kernel_interpret(k, (void *[]){&result}, NULL, 0, 1, NULL));
  CHECK(result == expected);
  jm_kernel_destroy(k);
}

static void test_order(void) {
  check_order(10, 3, 1, (10 * 2 + 11) * 2 + 12);
  check_order(10, 4, 4, (10 - 12) - (11 - 13));
  check_order(10, 3, 4, (10 - 12) - (11 - 0)); /* fewer iterations than lanes */
  check_order(10, 5, 4, (10 * 2 + 14 - 12) - (11 - 13));
  check_order(10, 7, 2, ((10 * 2 + 12) * 2 + 14) * 2 + 16 - ((11 * 2 + 13) * 2 + 15));
  check_order(0, 0, 8, 0);
}

/* -- barriers */

static uint32_t count_barriers(const jm_kernel *k) {
  char *text = print_kernel(k);
  uint32_t n = 0;
  for (const char *at = text; (at = strstr(at, "  barrier ")); at++) n++;
  jm_free(text);
  return n;
}

static void add_threads_cases(uint32_t width) {
  add_thread_map(width);
  add_thread_reduce(JM_KT_f32, width);
  add_thread_reduce(JM_KT_f64, width);
  add_thread_row(width);
  add_thread_softmax(width);
  add_thread_transpose(width);
  add_thread_serial(width);
  add_thread_scan(width);
  add_thread_uniform(width);
  add_thread_global(width);
  add_thread_control(width);
}

static void test_barrier_counts(void) {
  static const uint32_t expected[] = {0, 0, 0, 2, 0, 2, 4, 2, 4, 2, 2};
  for (uint32_t w = 0; w < N_WIDTHS; w++) {
    add_threads_cases(widths[w]);
    CHECK(n_cases == sizeof expected / sizeof *expected);
    for (uint32_t i = 0; i < n_cases; i++) {
      CHECK(jm_kernel_threads(cases[i]) == widths[w]);
      uint32_t n = count_barriers(cases[i]), want = widths[w] > 1 ? expected[i] : 0;
      CHECK(n == want);
      if (n == want) continue;
      char *text = print_kernel(cases[i]);
      fprintf(stderr, "%u barriers, should be %u:\n%s", n, want, text);
      jm_free(text);
    }
    destroy_cases();
  }
}

/* -- text */

static void test_text(void) {
  for (uint32_t w = 0; w < N_WIDTHS; w++) {
    add_threads_cases(widths[w]);
    for (uint32_t i = 0; i < n_cases; i++) {
      char *text = print_kernel(cases[i]);
      jm_kernel *k = NULL;
      CHECK_OK(jm_kernel_parse(text, strlen(text), &k));
      if (k) CHECK_OK(jm_kernel_insert_barriers(k)); /* none is missing */
      char *again = k ? print_kernel(k) : NULL;
      CHECK(again && strcmp(text, again) == 0);
      jm_free(text);
      jm_free(again);
      jm_kernel_destroy(k);
    }
    destroy_cases();
  }
}

TEST_MAIN(test_refusals, test_order, test_barrier_counts, test_text)
