/* SPDX-License-Identifier: Apache-2.0
 * Threads loops: what verification refuses, in which order lanes run and are combined, which
 * barriers are inserted, that each is needed, the text form, and compiled kernels against the
 * interpreter, bit for bit (a NaN is a NaN; needs an LLVM: JAX_MPS_LLVM). */
#include "engine/host/effort.h"
#include "engine/host/jit.h"
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

static void test_barrier_counts(void) {
  static const uint32_t expected[] = {0, 0, 0, 2, 0, 2, 4, 2, 4, 2, 2};
  for (uint32_t w = 0; w < N_WIDTHS; w++) {
    add_threads_cases(widths[w]);
    CHECK(n_cases == sizeof expected / sizeof *expected);
    for (uint32_t i = 0; i < n_cases; i++) {
      CHECK(jm_kernel_threads(cases[i]) == widths[w]);
      uint32_t n = count_barriers(cases[i]), want = widths[w] > 1 ? expected[i] : 0;
      char *text = print_kernel(cases[i]);
      bool of_global = strstr(cases[i]->name, "global") != NULL;
      bool right = n == want && !strstr(text, of_global ? "barrier scratch" : "barrier global");
      CHECK(right);
      if (!right) fprintf(stderr, "%u barriers, should be %u:\n%s", n, want, text);
      jm_free(text);
    }
    destroy_cases();
  }
}

/* Where barriers go. A kernel is written as letters, of which most are followed by the number of a
 * SCRATCH memory: w, a threads loop that stores each element; r, one that loads them mirrored; u,
 * a uniform store of element 1; l, a uniform load of it; ( ), a serial loop of 4 iterations; [ ],
 * one of n; ? : ;, an if. The kernel that is built is written down in the same way, with | for a
 * barrier, and equal to the letters: so it has these barriers and no others. */
enum { LETTER_MEMORIES = 3 };
typedef struct lettered {
  jm_kbuilder *b;
  jm_kval n, value;
  jm_kloop loops[8];
  jm_kinst ifs[8];
  uint32_t n_loops, n_ifs;
} lettered;

static void build_access(lettered *l, char letter, uint32_t memory) {
  jm_kbuilder *b = l->b;
  jm_kval one = jm_kbuild_index(b, 1);
  uint32_t sink = letter == 'r' || letter == 'l' ? thread_global(b, JM_KT_i8, true, 0) : 0;
  if (letter == 'u') jm_kbuild_store(b, memory, one, l->value);
  if (letter == 'l') jm_kbuild_store(b, sink, one, jm_kbuild_load(b, memory, one));
  if (letter != 'w' && letter != 'r') return;
  jm_kloop loop;
  jm_kval i = open_threads(b, 4, l->n, &loop);
  if (letter == 'w')
    jm_kbuild_store(b, memory, i, l->value);
  else
    jm_kbuild_store(b, sink, i, jm_kbuild_load(b, memory, mirrored(b, l->n, i)));
  jm_kbuild_loop_end(b, &loop, NULL);
}

static void build_letter(lettered *l, const char *at) {
  jm_kbuilder *b = l->b;
  jm_kval zero = jm_kbuild_index(b, 0), end = *at == '(' ? jm_kbuild_index(b, 4) : l->n;
  switch (*at) {
    case '(':
    case '[':
      jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 0, zero, end, NULL, 0, &l->loops[l->n_loops++]);
      break;
    case ')':
    case ']':
      jm_kbuild_loop_end(b, &l->loops[--l->n_loops], NULL);
      break;
    case '?':
      l->ifs[l->n_ifs++] = jm_kbuild_if_begin(b, jm_kbuild2(b, JM_K_slt, zero, l->n));
      break;
    case ':':
      jm_kbuild_if_else(b, l->ifs[l->n_ifs - 1], NULL, 0);
      break;
    case ';':
      jm_kbuild_if_end(b, l->ifs[--l->n_ifs], NULL, NULL);
      break;
    default:
      build_access(l, *at, 1 + (uint32_t)(at[1] - '0'));
  }
}

static void write_letters(const jm_kernel *k, jm_kblock at, jm_text *text);

static void write_letter(const jm_kernel *k, const jm_kinst_fact *f, bool in_threads,
                         jm_text *text) {
  const bool memory = f->code == JM_K_load || f->code == JM_K_store;
  if (f->code == JM_K_barrier) jm_text_printf(text, "|");
  if (memory && k->params[f->imm].space == JM_SPACE_SCRATCH)
    jm_text_printf(text, "%c%d",
                   f->code == JM_K_load ? (in_threads ? 'r' : 'l') : (in_threads ? 'w' : 'u'),
                   (int)f->imm - 1);
  if (f->code == JM_K_loop && f->binding == JM_BIND_THREADS) {
    const jm_kblock_fact *body = &k->blocks[f->first_block];
    for (uint32_t i = 0; i < body->n_insts; i++)
      write_letter(k, &k->insts[body->insts[i]], true, text);
  } else if (f->code == JM_K_loop) {
    bool known = k->insts[k->values[f->operands[1]].inst].code == JM_K_const;
    jm_text_printf(text, known ? "(" : "[");
    write_letters(k, f->first_block, text);
    jm_text_printf(text, known ? ")" : "]");
  } else if (f->code == JM_K_if) {
    jm_text_printf(text, "?");
    write_letters(k, f->first_block, text);
    jm_text_printf(text, ":");
    write_letters(k, f->first_block + 1, text);
    jm_text_printf(text, ";");
  }
}

static void write_letters(const jm_kernel *k, jm_kblock at, jm_text *text) {
  for (uint32_t i = 0; i < k->blocks[at].n_insts; i++)
    write_letter(k, &k->insts[k->blocks[at].insts[i]], false, text);
}

static void check_places(const char *letters) {
  lettered l = {.b = begin_case(letters)};
  for (int i = 0; i < LETTER_MEMORIES; i++) thread_scratch(l.b, JM_KT_i8);
  l.n = case_count(l.b);
  l.value = jm_kbuild_cast(l.b, JM_K_itrunc, JM_KT_i8, l.n);
  for (const char *at = letters; *at; at++)
    if (*at != '|' && (*at < '0' || *at > '9')) build_letter(&l, at);
  add_case(l.b);
  if (!n_cases) return;
  jm_text text;
  jm_text_init(&text);
  write_letters(cases[0], 0, &text);
  bool same = strcmp(jm_text_bytes(&text), letters) == 0;
  CHECK(same);
  if (!same) fprintf(stderr, "%s, should be %s\n", jm_text_bytes(&text), letters);
  jm_text_deinit(&text);
  destroy_cases();
}

static void test_places(void) {
  static const char *const kernels[] = {
      "w0w1",
      "w0|r0",
      "r0|w0",
      "w0w1|r0r1",
      "w0r1|r0w1",
      "w0|l0",
      "w2l0|u0",
      "w2u0u0|l0l0", /* lane 0 stores twice */
      "u0|w0",
      "r0l0|u0",
      "l0r0",
      "w0|(r0r0)",  /* before a loop that only reads, not in it */
      "w0(|r0|w0)", /* what the back edge needs serves what comes before, too */
      "(|w1|r1)",
      "(|w0|(r0))",      /* before an inner loop */
      "w0(|w1|r1)r0",    /* a loop that surely has an iteration separates what is around it */
      "w0[|w1|r1]|r0",   /* one that may have none does not */
      "w0|?r0:w1;|r1r0", /* before an if */
      "w0?w1|r1:w1|r1;r0",
      "w0?w1|r1:w2;|r0",
      "?w0:w1;|r1r0",
  };
  for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) check_places(kernels[i]);
}

/* -- races */

static jm_error *interpret(const jm_kernel *k, const memory *m, int64_t n) {
  void *scratch = jm_alloc_data(jm_kernel_scratch_bytes(k) + 64);
  memcpy(m->buffers[0], &n, sizeof n);
  jm_error *error = jm_kernel_interpret(k, m->buffers, scratch, 0, k->chunks, NULL);
  jm_free(scratch);
  return error;
}

/* Makes parameters of one alias class one memory. */
static void overlap(const jm_kernel *k, memory *m) {
  void *first[MAX_PARAMS] = {0};
  uint32_t n = 0;
  for (uint32_t i = 0; i < k->n_params; i++) {
    const jm_kparam *p = &k->params[i];
    if (p->space != JM_SPACE_GLOBAL) continue;
    if (p->alias && first[p->alias]) m->buffers[n] = first[p->alias];
    first[p->alias] = m->buffers[n++];
  }
}

/* Blanks the n-th barrier out. */
static bool delete_barrier(char *text, uint32_t n) {
  char *at = strstr(text, "  barrier ");
  for (; n && at; n--) at = strstr(at + 1, "  barrier ");
  if (at) memset(at, ' ', strcspn(at, "\n"));
  return at != NULL;
}

static void check_deletions(const jm_kernel *k, const memory *m, int64_t n) {
  for (uint32_t i = 0;; i++) {
    char *text = print_kernel(k);
    jm_kernel *without = NULL;
    bool deleted = delete_barrier(text, i);
    if (deleted) CHECK_OK(jm_kernel_parse(text, strlen(text), &without));
    jm_free(text);
    if (!deleted) break;
    if (!without) continue;
    jm_error *error = interpret(without, m, n);
    bool caught = error && jm_error_code(error) == JM_INTERNAL &&
                  strstr(jm_error_message(error), "a race on parameter");
    CHECK(caught);
    if (!caught) fprintf(stderr, "%s: barrier %u may go\n", k->name, i);
    jm_error_destroy(error);
    CHECK_OK(jm_kernel_insert_barriers(without)); /* puts it back */
    CHECK(count_barriers(without) == count_barriers(k));
    jm_kernel_destroy(without);
  }
}

/* With its barriers no kernel races; without any one of them each does. */
static void test_races(void) {
  for (uint32_t w = 0; w < N_WIDTHS; w++) {
    add_threads_cases(widths[w]);
    for (uint32_t i = 0; i < n_cases; i++) {
      const int64_t sizes[] = {0, 1, widths[w] - 1, widths[w], widths[w] + 1, 3 * widths[w] + 2};
      memory m;
      create_memory(cases[i], &m, NULL);
      for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++)
        CHECK_OK(interpret(cases[i], &m, sizes[j]));
      overlap(cases[i], &m);
      for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++)
        CHECK_OK(interpret(cases[i], &m, sizes[j]));
      check_deletions(cases[i], &m, 3 * widths[w] + 2);
      destroy_memory(cases[i], &m);
    }
    destroy_cases();
  }
}

/* Barriers are enough for whatever order of loops and uniform code. */
static void test_random(void) {
  uint32_t barriers = 0;
  for (int round = 0; round < 400; round++) {
    const uint32_t width = 1u << random_number(6);
    add_random_threads(width);
    if (!n_cases) return;
    const int64_t sizes[] = {2, width + 1, 3 * width + 2};
    memory m;
    create_memory(cases[0], &m, NULL);
    for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++)
      CHECK_OK(interpret(cases[0], &m, sizes[j]));
    barriers += count_barriers(cases[0]);
    destroy_memory(cases[0], &m);
    destroy_cases();
  }
  CHECK(barriers > 1000);
}

/* Races that no barrier can heal: the message says where, and who. */
static void test_race_messages(void) {
  static const struct {
    const char *chunks, *body, *error;
  } cases_of_races[] = {
      {"1", "  loop threads(4) %0, %1 { (%3: i64)\n    store $0[%0], %2\n  }\n",
       "a race on parameter 0 at 0: lane 1 stores what lane 0 stored, and no barrier"},
      {"1",
       "  loop threads(4) %0, %1 { (%3: i64)\n    store $0[%3], %2\n"
       "    %4: i64 = smin %3, %1\n    %5: f32 = load $0[%0]\n  }\n",
       "a race on parameter 0 at 0: lane 1 loads what lane 0 stored"},
      {"1",
       "  loop threads(4) %0, %1 { (%3: i64)\n    store $0[%3], %2\n  }\n"
       "  %4: f32 = load $0[%0]\n  %5: f32 = load $0[%1]\n",
       "a race on parameter 0 at 0: lane 1 loads what lane 0 stored"},
      {"1",
       "  %3: f32 = load $0[%1]\n  store $0[%1], %3\n  loop threads(4) %0, %0 { (%4: i64)\n  }\n",
       "a race on parameter 0 at 8: lane 0 stores what lane 1 loaded"},
      {"1",
       "  store $0[%1], %2\n  barrier scratch\n  %3: f32 = load $0[%1]\n"
       "  loop threads(4) %0, %0 { (%4: i64)\n  }\n",
       "a race on parameter 0 at 8: lane 1 loads what lane 0 stored"},
      {"3",
       "  %3: i64 = const 3\n  loop chunk %0, %3 { (%4: i64)\n"
       "    loop threads(4) %0, %1 { (%5: i64)\n      store $0[%5], %2\n    }\n"
       "    barrier scratch global\n  }\n",
       "a race on parameter 0 at 0: chunk 1 stores what chunk 0 stored"},
      {"3",
       "  %3: i64 = const 3\n  %4: f32 = load $0[%0]\n  loop chunk %0, %3 { (%5: i64)\n"
       "    loop threads(4) %0, %1 { (%6: i64)\n      store $0[%5], %2\n    }\n  }\n",
       "a race on parameter 0 at 0: chunk 0 stores what chunk -1 loaded"},
      {"3",
       "  %3: i64 = const 3\n  loop chunk %0, %3 { (%4: i64)\n"
       "    store $0[%4], %2\n    %5: f32 = load $0[%0]\n    barrier global\n"
       "    loop threads(4) %0, %0 { (%6: i64)\n    }\n  }\n",
       "lane 1 loads what lane 0 stored"},
      {"3",
       "  %3: i64 = const 3\n  loop chunk %0, %3 { (%4: i64)\n"
       "    store $0[%4], %2\n    barrier global\n    %5: f32 = load $0[%0]\n"
       "    loop threads(4) %0, %0 { (%6: i64)\n    }\n  }\n",
       "a race on parameter 0 at 0: chunk 1 loads what chunk 0 stored"},
      {"1",
       "  loop threads(4) %0, %1 { (%3: i64)\n    %4: i16 = const 0\n    store $1[%3], %4\n"
       "  }\n  %5: f32 = load $0[%0]\n",
       "a race on parameter 0 at 0: lane 1 loads what lane 0 stored"},
  };
  for (size_t i = 0; i < sizeof cases_of_races / sizeof *cases_of_races; i++) {
    char text[1024];
    snprintf(text, sizeof text,
             "kernel \"k\"\nchunks %s grain 1\nparam $0: global f32 x 9 written alias 1\n"
             "param $1: global i16 x 18 written alias 1\n{\n"
             "  %%0: i64 = const 0\n  %%1: i64 = const 8\n  %%2: f32 = const 0x3f800000\n%s}\n",
             cases_of_races[i].chunks, cases_of_races[i].body);
    jm_kernel *k = NULL;
    CHECK_OK(jm_kernel_parse(text, strlen(text), &k));
    if (!k) continue;
    float data[9] = {0};
    CHECK_FAILS(jm_kernel_interpret(k, (void *[]){data, data}, NULL, 0, k->chunks, NULL),
                JM_INTERNAL, cases_of_races[i].error);
    jm_kernel_destroy(k);
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

/* -- no memory */

/* Every allocation of inserting barriers and of finding races may fail. */
static void test_without_memory(void) {
  add_thread_scan(8);
  if (!n_cases) return;
  char *text = print_kernel(cases[0]);
  while (delete_barrier(text, 0)) {
  }
  memory m;
  create_memory(cases[0], &m, NULL);
  void *scratch = jm_alloc_data(jm_kernel_scratch_bytes(cases[0]) + 64);
  int64_t n = 20, failed = 0;
  memcpy(m.buffers[0], &n, sizeof n);
  for (bool done = false; !done && failed < 200;) {
    jm_kernel *k = NULL;
    CHECK_OK(jm_kernel_parse(text, strlen(text), &k));
    if (!k) break;
    jm_alloc_fail_after(failed);
    jm_error *error = jm_kernel_insert_barriers(k);
    if (!error) error = jm_kernel_interpret(k, m.buffers, scratch, 0, k->chunks, NULL);
    jm_alloc_fail_after(-1);
    done = !error;
    if (error) CHECK(jm_error_code(error) == JM_RESOURCE_EXHAUSTED);
    if (error) failed++;
    if (done) CHECK(count_barriers(k) == count_barriers(cases[0]));
    jm_error_destroy(error);
    jm_kernel_destroy(k);
  }
  CHECK(failed > 5 && failed < 200);
  jm_free(scratch);
  jm_free(text);
  destroy_memory(cases[0], &m);
  destroy_cases();
}

/* -- compiled */

static bool has_llvm;

static void find_llvm(void) {
  const char *why;
  has_llvm = jm_jit_find_target(&why);
  const char *wish = getenv("JAX_MPS_LLVM");
  if (wish && strcmp(wish, "none")) CHECK(has_llvm);
}

/* In parts, as launches are. */
static bool agrees(const jm_kernel *k, jm_kernel_fn *fn, int64_t n, bool overlapping) {
  memory want, have;
  create_memory(k, &want, NULL);
  create_memory(k, &have, &want);
  if (overlapping) overlap(k, &want), overlap(k, &have);
  CHECK_OK(interpret(k, &want, n));
  memcpy(have.buffers[0], &n, sizeof n);
  void *scratch = jm_alloc_data(jm_kernel_scratch_bytes(k) + 64);
  int64_t half = k->chunks / 2;
  if (half) fn(have.buffers, scratch, 0, half, NULL);
  fn(have.buffers, scratch, half, k->chunks, NULL);
  bool same = compare_memory(k, &want, &have, n);
  jm_free(scratch);
  destroy_memory(k, &want);
  destroy_memory(k, &have);
  return same;
}

static void run_compiled(void) {
  jm_jit_code **codes = jm_alloc(n_cases, sizeof *codes);
  for (int quick = 0; quick < 2 && has_llvm; quick++) {
    jm_effort_force(quick ? JM_EFFORT_QUICK : JM_EFFORT_GOOD);
    CHECK_OK(jm_jit_compile((const jm_kernel *const *)cases, n_cases, NULL, codes));
    for (uint32_t i = 0; i < n_cases && codes[i]; i++) {
      const int64_t w = jm_kernel_threads(cases[i]);
      const int64_t sizes[] = {0, 1, w - 1, w, w + 1, 3 * w + 2};
      bool same = true;
      for (size_t j = 0; j < 2 * sizeof sizes / sizeof *sizes && same; j++)
        same = agrees(cases[i], jm_jit_code_function(codes[i]), sizes[j / 2], j % 2);
      CHECK(same);
    }
    for (uint32_t i = 0; i < n_cases; i++) jm_jit_code_release(codes[i]);
  }
  jm_free(codes);
  destroy_cases();
}

static void test_compiled(void) {
  for (uint32_t w = 0; w < N_WIDTHS; w++) {
    add_threads_cases(widths[w]);
    run_compiled();
  }
}

static void test_random_compiled(void) {
  const char *wish = getenv("JM_RANDOM_KERNELS"); /* more, for a long run */
  for (long n = wish ? atol(wish) : 40; n > 0;) {
    for (int i = 0; i < 20 && n > 0; i++, n--) add_random_threads(1u << random_number(8));
    run_compiled();
  }
}

TEST_MAIN(find_llvm, test_compiled, test_random_compiled, test_refusals, test_order,
          test_barrier_counts, test_places, test_races, test_random, test_race_messages, test_text,
          test_without_memory)
