/* SPDX-License-Identifier: Apache-2.0
 * The kernel IR: what the builder simplifies, shares and moves; what verification refuses; the text
 * form; what the interpreter computes, lanes and carried values included. */
#include <math.h>
#include <stdatomic.h>

#include "kernel/ir/build.h"
#include "unit/check.h"

static jm_kbuilder *start(void) {
  jm_kbuilder *b = NULL;
  CHECK_OK(jm_kbuilder_create("test", &b));
  return b;
}

static jm_kernel *finish(jm_kbuilder *b) {
  jm_kernel *k = NULL;
  CHECK_OK(jm_kbuilder_finish(b, &k));
  jm_kbuilder_destroy(b);
  return k;
}

/* The text read back prints as the same text. */
static void check_reread(const char *text, size_t size) {
  jm_kernel *k = NULL;
  CHECK_OK(jm_kernel_parse(text, size, &k));
  if (!k) return;
  jm_text again;
  jm_text_init(&again);
  jm_kernel_print(k, &again);
  CHECK(strcmp(jm_text_bytes(&again), text) == 0);
  jm_text_deinit(&again);
  jm_kernel_destroy(k);
}

/* Finishes and compares the text behind the name. */
static void check_text(jm_kbuilder *b, const char *expected) {
  jm_kernel *k = finish(b);
  if (!k) return;
  jm_text text;
  jm_text_init(&text);
  jm_kernel_print(k, &text);
  CHECK_OK(jm_text_error(&text));
  check_reread(jm_text_bytes(&text), text.size);
  const char *code = strchr(jm_text_bytes(&text), '\n');
  CHECK(code && strcmp(code + 1, expected) == 0);
  if (code && strcmp(code + 1, expected) != 0) fprintf(stderr, "%s", code + 1);
  jm_text_deinit(&text);
  jm_kernel_destroy(k);
}

static void check_int(jm_kbuilder *b, jm_kval v, int64_t expected) {
  uint64_t bits = 0;
  CHECK(jm_kbuild_is_const(b, v, &bits));
  CHECK((int64_t)bits == expected);
}

static jm_kval index_of(jm_kbuilder *b, jm_kopcode code, jm_kval x, int64_t y) {
  return jm_kbuild2(b, code, x, jm_kbuild_index(b, y));
}

/* A serial loop over [0, n); its index. */
static jm_kval open_loop(jm_kbuilder *b, int64_t n, jm_kloop *loop) {
  jm_kval lower = jm_kbuild_index(b, 0), upper = jm_kbuild_index(b, n);
  jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 0, lower, upper, NULL, 0, loop);
  return loop->index;
}

static void test_folding(void) {
  jm_kbuilder *b = start();
  check_int(b, index_of(b, JM_K_iadd, jm_kbuild_index(b, 40), 2), 42);
  check_int(b, index_of(b, JM_K_sdiv, jm_kbuild_index(b, -7), 2), -3);
  check_int(b, index_of(b, JM_K_slt, jm_kbuild_index(b, -7), 2), 1);
  check_int(b, index_of(b, JM_K_ult, jm_kbuild_index(b, -7), 2), 0);
  jm_kval byte = jm_kbuild_int(b, JM_KT_i8, -1);
  check_int(b, byte, 255);
  check_int(b, jm_kbuild_cast(b, JM_K_sext, JM_KT_i32, byte), 0xFFFFFFFF);
  check_int(b, jm_kbuild_cast(b, JM_K_zext, JM_KT_i32, byte), 255);
  check_int(b, jm_kbuild1(b, JM_K_ctlz, jm_kbuild_int(b, JM_KT_i8, 1)), 7);
  jm_kval half = jm_kbuild_float(b, JM_KT_f32, 0.5);
  uint64_t bits = 0;
  CHECK(jm_kbuild_is_const(b, jm_kbuild1(b, JM_K_fsqrt, jm_kbuild2(b, JM_K_fmul, half, half)),
                           &bits));
  CHECK(bits == 0x3f000000);
  check_int(b, jm_kbuild_cast(b, JM_K_fptosi, JM_KT_i32, jm_kbuild_float(b, JM_KT_f64, -2.9)),
            0xFFFFFFFE);
  /* 2^24 + 1 is not an f32, and is rounded once */
  check_int(
      b,
      jm_kbuild_cast(b, JM_K_fptosi, JM_KT_i64,
                     jm_kbuild_cast(b, JM_K_sitofp, JM_KT_f32, jm_kbuild_index(b, (1 << 24) + 1))),
      1 << 24);
  /* undefined: stays an instruction */
  CHECK(!jm_kbuild_is_const(b, index_of(b, JM_K_sdiv, jm_kbuild_index(b, 1), 0), &bits));
  jm_kernel_destroy(finish(b));
}

/* Sums of indices keep their constant outermost; other sums are as they were written, because their
 * parts have uses of their own. */
static void test_constants_of_sums(void) {
  static const jm_ktype types[] = {JM_KT_i64, JM_KT_i32, JM_KT_i8};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    jm_kbuilder *b = start();
    const uint32_t memory = jm_kbuild_param(b, JM_SPACE_GLOBAL, types[i], 2, false, 0);
    jm_kval x = jm_kbuild_load(b, memory, jm_kbuild_index(b, 0));
    jm_kval y = jm_kbuild_load(b, memory, jm_kbuild_index(b, 1));
    jm_kval three = jm_kbuild_int(b, types[i], 3), part = jm_k_iadd(b, x, three);
    const bool moves = types[i] == JM_KT_i64;
    CHECK((jm_k_iadd(b, part, y) == jm_k_iadd(b, jm_k_iadd(b, x, y), three)) == moves);
    CHECK((jm_k_isub(b, part, y) == jm_k_iadd(b, jm_k_isub(b, x, y), three)) == moves);
    CHECK(jm_k_iadd(b, part, three) == jm_k_iadd(b, x, jm_kbuild_int(b, types[i], 6)));
    jm_kernel_destroy(finish(b));
  }
}

static void test_ranges(void) {
  jm_kbuilder *b = start();
  jm_kloop loop;
  jm_kval i = open_loop(b, 10, &loop);
  jm_kval clamped = jm_kbuild2(b, JM_K_smax, i, jm_kbuild_index(b, 0));
  CHECK(clamped == i);
  CHECK(index_of(b, JM_K_smin, i, 9) == i);
  CHECK(index_of(b, JM_K_smin, i, 8) != i);
  check_int(b, index_of(b, JM_K_slt, i, 10), 1);
  check_int(b, index_of(b, JM_K_sle, i, 9), 1);
  uint64_t bits;
  CHECK(!jm_kbuild_is_const(b, index_of(b, JM_K_slt, i, 9), &bits));
  check_int(b, index_of(b, JM_K_slt, i, 0), 0);
  check_int(b, index_of(b, JM_K_ult, i, 10), 1);
  check_int(b, index_of(b, JM_K_ieq, i, 10), 0);
  check_int(b, index_of(b, JM_K_ine, i, -1), 1);
  jm_kval shifted = index_of(b, JM_K_iadd, i, -3); /* [-3, 6] */
  check_int(b, index_of(b, JM_K_slt, shifted, 7), 1);
  CHECK(!jm_kbuild_is_const(b, index_of(b, JM_K_slt, shifted, 0), &bits));
  /* as unsigned -3 is large */
  CHECK(!jm_kbuild_is_const(b, index_of(b, JM_K_ult, shifted, 10), &bits));
  CHECK(index_of(b, JM_K_and, i, 15) == i);
  CHECK(index_of(b, JM_K_and, i, 7) != i);
  jm_kbuild_loop_end(b, &loop, NULL);
  jm_kernel_destroy(finish(b));
}

/* An index split into parts and put together is the index. */
static void test_delinearise(void) {
  jm_kbuilder *b = start();
  jm_kloop outer, middle, inner;
  jm_kval i = open_loop(b, 5, &outer), j = open_loop(b, 6, &middle), k = open_loop(b, 7, &inner);
  jm_kval ij = jm_kbuild2(b, JM_K_iadd, index_of(b, JM_K_imul, i, 6), j);
  jm_kval linear = jm_kbuild2(b, JM_K_iadd, index_of(b, JM_K_imul, ij, 7), k);
  CHECK(index_of(b, JM_K_urem, linear, 7) == k);
  CHECK(index_of(b, JM_K_udiv, linear, 7) == ij);
  CHECK(index_of(b, JM_K_udiv, linear, 42) == i);
  CHECK(index_of(b, JM_K_urem, index_of(b, JM_K_udiv, linear, 7), 6) == j);
  CHECK(index_of(b, JM_K_sdiv, index_of(b, JM_K_sdiv, linear, 7), 6) == i);
  check_int(b, index_of(b, JM_K_udiv, linear, 210), 0);
  CHECK(index_of(b, JM_K_urem, linear, 210) == linear);
  /* [5, 6, 7] as [5, 42]: one part is a sum */
  CHECK(index_of(b, JM_K_urem, linear, 42) ==
        jm_kbuild2(b, JM_K_iadd, index_of(b, JM_K_imul, j, 7), k));
  /* [5, 6, 7] as [5, 2, 21]: a common factor is taken out */
  CHECK(index_of(b, JM_K_urem, index_of(b, JM_K_udiv, linear, 21), 2) ==
        index_of(b, JM_K_udiv, j, 3));
  /* j - 1 may be negative: no rule applies to the whole */
  jm_kval before =
      jm_kbuild2(b, JM_K_iadd, index_of(b, JM_K_imul, i, 6), index_of(b, JM_K_iadd, j, -1));
  CHECK(index_of(b, JM_K_sdiv, before, 6) != i);
  jm_kbuild_loop_end(b, &inner, NULL);
  jm_kbuild_loop_end(b, &middle, NULL);
  jm_kbuild_loop_end(b, &outer, NULL);

  /* the other way round */
  jm_kloop flat;
  jm_kval l = open_loop(b, 210, &flat);
  jm_kval c = index_of(b, JM_K_urem, l, 7), r = index_of(b, JM_K_udiv, l, 7);
  jm_kval q = index_of(b, JM_K_urem, r, 6), p = index_of(b, JM_K_udiv, r, 6);
  CHECK(jm_kbuild2(
            b, JM_K_iadd,
            index_of(b, JM_K_imul, jm_kbuild2(b, JM_K_iadd, index_of(b, JM_K_imul, p, 6), q), 7),
            c) == l);
  CHECK(jm_kbuild2(
            b, JM_K_iadd,
            jm_kbuild2(b, JM_K_iadd, index_of(b, JM_K_imul, p, 42), index_of(b, JM_K_imul, q, 7)),
            c) == l);
  /* the transposed sum is not */
  CHECK(jm_kbuild2(b, JM_K_iadd, index_of(b, JM_K_imul, c, 30), r) != l);
  jm_kbuild_loop_end(b, &flat, NULL);
  jm_kernel_destroy(finish(b));
}

static void test_motion(void) {
  jm_kbuilder *b = start();
  uint32_t in = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_f32, 12, false, 0);
  uint32_t out = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_f32, 12, true, 0);
  jm_kloop rows, columns;
  jm_kval i = open_loop(b, 3, &rows), j = open_loop(b, 4, &columns);
  jm_kval x = jm_kbuild_load(b, in, i);
  CHECK(jm_kbuild_load(b, in, i) == x);
  jm_kval y = jm_kbuild1(b, JM_K_fsqrt, x);
  jm_kbuild2(b, JM_K_fadd, x, y); /* never used */
  jm_kval at = jm_kbuild2(b, JM_K_iadd, j, index_of(b, JM_K_imul, i, 4));
  jm_kval old = jm_kbuild_load(b, out, at); /* written: stays where it is */
  CHECK(jm_kbuild_load(b, out, at) != old);
  jm_kbuild_store(b, out, at, jm_kbuild2(b, JM_K_fmul, y, old));
  jm_kbuild_loop_end(b, &columns, NULL);
  CHECK(!jm_kbuild_is_visible(b, old) && jm_kbuild_is_visible(b, y));
  jm_kbuild_loop_end(b, &rows, NULL);
  check_text(b,
             "chunks 1 grain 1\n"
             "param $0: global f32 x 12\n"
             "param $1: global f32 x 12 written\n"
             "{\n"
             "  %0: i64 = const 0\n"
             "  %1: i64 = const 3\n"
             "  %2: i64 = const 4\n"
             "  loop serial %0, %1 { (%3: i64)\n"
             "    %4: f32 = load $0[%3]\n"
             "    %5: f32 = fsqrt %4\n"
             "    %6: i64 = imul %3, %2\n"
             "    loop serial %0, %2 { (%7: i64)\n"
             "      %8: i64 = iadd %6, %7\n"
             "      %9: f32 = load $1[%8]\n"
             "      %10: f32 = fmul %5, %9\n"
             "      store $1[%8], %10\n"
             "    }\n"
             "  }\n"
             "}\n");
}

/* What may be the memory that is written is not constant. */
static void test_alias(void) {
  jm_kbuilder *b = start();
  uint32_t in = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_f32, 2, false, 1);
  uint32_t out = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_f32, 2, true, 1);
  uint32_t empty = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_f32, 0, false, 0);
  jm_kval zero = jm_kbuild_index(b, 0);
  jm_kval x = jm_kbuild_load(b, in, zero);
  jm_kbuild_store(b, out, zero, jm_kbuild1(b, JM_K_fneg, x));
  CHECK(jm_kbuild_load(b, in, zero) != x);
  jm_kloop loop;
  open_loop(b, 2, &loop);
  jm_kval y = jm_kbuild_load(b, empty, zero);
  jm_kbuild_loop_end(b, &loop, NULL);
  CHECK(!jm_kbuild_is_visible(b, y));
  jm_kernel_destroy(finish(b));
}

static void test_loops_that_are_none(void) {
  jm_kbuilder *b = start();
  uint32_t out = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_i64, 8, true, 0);
  jm_kval one = jm_kbuild_index(b, 1), two = jm_kbuild_index(b, 2);
  jm_kloop loop;
  jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 0, one, two, &one, 1, &loop);
  CHECK(loop.index == one && loop.carries[0] == one);
  jm_kbuild_loop_end(b, &loop, &two);
  CHECK(loop.carries[0] == two);
  jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 0, two, two, &one, 1, &loop);
  jm_kbuild_store(b, out, loop.index, loop.index);
  jm_kval next = jm_kbuild2(b, JM_K_iadd, loop.carries[0], loop.index);
  jm_kbuild_loop_end(b, &loop, &next);
  CHECK(loop.carries[0] == one);
  jm_kbuild_store(b, out, one, loop.carries[0]);
  check_text(b,
             "chunks 1 grain 1\n"
             "param $0: global i64 x 8 written\n"
             "{\n"
             "  %0: i64 = const 1\n"
             "  store $0[%0], %0\n"
             "}\n");
}

static void test_refusals(void) {
  jm_kbuilder *b = start();
  jm_kernel *k = NULL;
  jm_kbuild2(b, JM_K_iadd, jm_kbuild_index(b, 1), jm_kbuild_int(b, JM_KT_i32, 1));
  CHECK(jm_kbuilder_failed(b));
  CHECK_FAILS(jm_kbuilder_finish(b, &k), JM_INTERNAL, "iadd: operands of several types");
  jm_kbuilder_destroy(b);

  b = start();
  jm_kloop loop;
  jm_kval i = open_loop(b, 4, &loop);
  jm_kbuild_loop_end(b, &loop, NULL);
  index_of(b, JM_K_iadd, i, 1);
  CHECK_FAILS(jm_kbuilder_finish(b, &k), JM_INTERNAL, "not visible");
  jm_kbuilder_destroy(b);

  b = start();
  open_loop(b, 4, &loop);
  CHECK_FAILS(jm_kbuilder_finish(b, &k), JM_INTERNAL, "still open");
  jm_kbuilder_destroy(b);

  b = start();
  uint32_t in = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_i64, 8, false, 0);
  jm_kbuild_store(b, in, jm_kbuild_index(b, 0), jm_kbuild_index(b, 0));
  CHECK_FAILS(jm_kbuilder_finish(b, &k), JM_INTERNAL, "not written");
  jm_kbuilder_destroy(b);

  /* a while in a vector loop: only verification sees it */
  b = start();
  uint32_t out = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_i64, 8, true, 0);
  jm_kbuild_loop_begin(b, JM_BIND_VECTOR, 4, jm_kbuild_index(b, 0), jm_kbuild_index(b, 8), NULL, 0,
                       &loop);
  jm_kval carry;
  jm_kinst w = jm_kbuild_while_begin(b, &loop.index, 1, &carry);
  jm_kbuild_while_body(b, w, index_of(b, JM_K_slt, carry, 10), &carry);
  jm_kval next = index_of(b, JM_K_iadd, carry, 1);
  jm_kbuild_while_end(b, w, &next, &carry);
  jm_kbuild_store(b, out, loop.index, carry);
  jm_kbuild_loop_end(b, &loop, NULL);
  CHECK_FAILS(jm_kbuilder_finish(b, &k), JM_INTERNAL, "inside of a vector loop");
  jm_kbuilder_destroy(b);

  /* a store outside of the chunk loop would run once per launch of a part */
  b = start();
  out = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_i64, 8, true, 0);
  jm_kbuild_chunk_begin(b, 8, 2, &loop);
  jm_kbuild_store(b, out, loop.index, loop.index);
  jm_kbuild_loop_end(b, &loop, NULL);
  jm_kbuild_store(b, out, jm_kbuild_index(b, 0), jm_kbuild_index(b, 0));
  CHECK_FAILS(jm_kbuilder_finish(b, &k), JM_INTERNAL, "outside of the chunk loop");
  jm_kbuilder_destroy(b);
}

static void subtract(void *context, jm_kbuilder *b, const jm_kval *lower, const jm_kval *upper,
                     jm_kval *out) {
  (void)context;
  out[0] = jm_kbuild2(b, JM_K_fsub, lower[0], upper[0]);
}

/* A subtraction shows in which order lanes are combined: neither associative nor commutative. */
static void run_lanes(int64_t n, uint32_t width, float expected) {
  jm_kbuilder *b = start();
  uint32_t in = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_f32, n, false, 0);
  uint32_t out = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_f32, 1, true, 0);
  jm_kloop loop;
  jm_kval zero = jm_kbuild_float(b, JM_KT_f32, 0);
  jm_kbuild_loop_begin(b, JM_BIND_VECTOR, width, jm_kbuild_index(b, 0), jm_kbuild_index(b, n),
                       &zero, 1, &loop);
  jm_kval next = jm_kbuild2(b, JM_K_fadd, loop.carries[0], jm_kbuild_load(b, in, loop.index));
  jm_kbuild_loop_end_combine(b, &loop, &next, subtract, NULL);
  jm_kbuild_store(b, out, jm_kbuild_index(b, 0), loop.carries[0]);
  jm_kernel *k = finish(b);
  if (!k) return;
  float data[32], result = -1;
  for (int i = 0; i < 32; i++) data[i] = (float)(1 << (i % 20));
  CHECK_OK(jm_kernel_interpret(k, (void *[]){data, &result}, NULL, 0, 1, NULL));
  CHECK(result == expected);
  jm_kernel_destroy(k);
}

static void test_lanes(void) {
  run_lanes(3, 4, 1 + 2 + 4);                           /* one by one */
  run_lanes(4, 4, (1 - 4) - (2 - 8));                   /* by halves */
  run_lanes(10, 4, (17 - 68) - (34 - 136) + 256 + 512); /* two blocks and the rest */
  run_lanes(8, 8, ((1 - 16) - (4 - 64)) - ((2 - 32) - (8 - 128)));
}

/* Fibonacci: carried values that exchange places. */
static void test_while(void) {
  jm_kbuilder *b = start();
  uint32_t out = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_i64, 2, true, 0);
  jm_kval initial[3] = {jm_kbuild_index(b, 0), jm_kbuild_index(b, 0), jm_kbuild_index(b, 1)}, c[3];
  jm_kinst w = jm_kbuild_while_begin(b, initial, 3, c);
  jm_kbuild_while_body(b, w, index_of(b, JM_K_slt, c[0], 50), c);
  jm_kval next[3] = {index_of(b, JM_K_iadd, c[0], 1), c[2], jm_kbuild2(b, JM_K_iadd, c[1], c[2])};
  jm_kbuild_while_end(b, w, next, c);
  jm_kinst branch = jm_kbuild_if_begin(b, index_of(b, JM_K_slt, c[1], 100));
  jm_kbuild_if_else(b, branch, &initial[0], 1);
  jm_kbuild_if_end(b, branch, &c[1], &c[0]);
  jm_kbuild_store(b, out, jm_kbuild_index(b, 0), c[0]);
  jm_kbuild_store(b, out, jm_kbuild_index(b, 1), c[2]);
  jm_kernel *k = finish(b);
  if (!k) return;
  int64_t result[2] = {0, 0};
  CHECK_OK(jm_kernel_interpret(k, (void *[]){result}, NULL, 0, 1, NULL));
  CHECK(result[0] == INT64_C(12586269025) && result[1] == INT64_C(20365011074));
  jm_kernel_destroy(k);
}

static void test_chunks_and_scratch(void) {
  jm_kbuilder *b = start();
  uint32_t odd = jm_kbuild_param(b, JM_SPACE_SCRATCH, JM_KT_i8, 3, true, 0);
  uint32_t scratch = jm_kbuild_param(b, JM_SPACE_SCRATCH, JM_KT_f64, 2, true, 0);
  uint32_t out = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_f64, 10, true, 0);
  jm_kloop loop;
  jm_kbuild_chunk_begin(b, 10, 1, &loop);
  jm_kval one = jm_kbuild_index(b, 1);
  jm_kval x = jm_kbuild_cast(b, JM_K_sitofp, JM_KT_f64, loop.index);
  jm_kbuild_store(b, scratch, one, x);
  jm_kbuild_store(b, odd, one, jm_kbuild_cast(b, JM_K_itrunc, JM_KT_i8, loop.index));
  jm_kval square = jm_kbuild2(b, JM_K_fmul, jm_kbuild_load(b, scratch, one), x);
  jm_kval back = jm_kbuild_cast(b, JM_K_sitofp, JM_KT_f64, jm_kbuild_load(b, odd, one));
  jm_kval args[2] = {square, back};
  jm_kbuild_store(b, out, loop.index,
                  jm_kbuild2(b, JM_K_fadd, square, jm_kbuild_call(b, JM_KCALL_fmod, args)));
  jm_kbuild_loop_end(b, &loop, NULL);
  jm_kernel *k = finish(b);
  if (!k) return;
  CHECK(k->chunks == 10 && jm_kernel_scratch_bytes(k) == 128);
  double result[10];
  for (int i = 0; i < 10; i++) result[i] = -1;
  uint8_t memory[128];
  CHECK_OK(jm_kernel_interpret(k, (void *[]){result}, memory, 3, 6, NULL));
  CHECK(result[2] == -1 && result[3] == 9 && result[5] == 25 && result[6] == -1);
  jm_kernel_destroy(k);
}

static void test_bounds_and_cancel(void) {
  jm_kbuilder *b = start();
  uint32_t in = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_i32, 4, false, 0);
  uint32_t out = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_i32, 4, true, 0);
  jm_kbuild_store(b, out, jm_kbuild_index(b, 0), jm_kbuild_load(b, in, jm_kbuild_index(b, 4)));
  jm_kernel *k = finish(b);
  int32_t memory[4] = {0};
  if (k)
    CHECK_FAILS(jm_kernel_interpret(k, (void *[]){memory, memory}, NULL, 0, 1, NULL), JM_INTERNAL,
                "load of parameter 0 at 4");
  jm_kernel_destroy(k);

  b = start();
  out = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_i64, 1, true, 0);
  jm_kval zero = jm_kbuild_index(b, 0), carry;
  jm_kinst w = jm_kbuild_while_begin(b, &zero, 1, &carry);
  jm_kbuild_while_body(b, w, jm_kbuild_const(b, JM_KT_i1, 1), &carry);
  jm_kbuild_store(b, out, zero, carry);
  jm_kval next = index_of(b, JM_K_iadd, carry, 1);
  jm_kbuild_while_end(b, w, &next, &carry);
  k = finish(b);
  int64_t count = 0;
  atomic_bool cancelled = true;
  if (k) CHECK_OK(jm_kernel_interpret(k, (void *[]){&count}, NULL, 0, 1, &cancelled));
  CHECK(count > 0);
  jm_kernel_destroy(k);
}

/* Random expressions of two loop indices: the kernel, simplified as it was built, gives what the
 * instructions say one by one. */
typedef struct node {
  jm_kopcode code;
  int x, y;
  int64_t constant;
} node;
#define NODES 40
enum { ROWS = 5, COLUMNS = 7 };

static uint64_t random_state = 88172645463325252u;
static uint32_t next_random(uint32_t n) {
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  random_state ^= random_state << 17;
  return (uint32_t)(random_state >> 11) % n;
}

static void choose_nodes(node *nodes) {
  static const jm_kopcode codes[] = {JM_K_iadd, JM_K_iadd, JM_K_iadd, JM_K_imul, JM_K_imul,
                                     JM_K_udiv, JM_K_urem, JM_K_sdiv, JM_K_srem, JM_K_isub,
                                     JM_K_smin, JM_K_smax, JM_K_umin, JM_K_and,  JM_K_or,
                                     JM_K_xor,  JM_K_slt,  JM_K_ule,  JM_K_ieq,  JM_K_ine};
  static const int64_t factors[] = {1, 2, 3, 5, 6, 7, 14, 35, 4, 12};
  for (int i = 2; i < NODES; i++) {
    jm_kopcode code = codes[next_random(sizeof codes / sizeof *codes)];
    bool division =
        code == JM_K_udiv || code == JM_K_urem || code == JM_K_sdiv || code == JM_K_srem;
    bool constant = division || code == JM_K_imul || next_random(4) == 0;
    nodes[i] = (node){code, (int)next_random((uint32_t)i), (int)next_random((uint32_t)i), 0};
    if (constant) {
      nodes[i].y = -1;
      nodes[i].constant = factors[next_random(sizeof factors / sizeof *factors)];
      if (!division && next_random(3) == 0) nodes[i].constant = -(int64_t)next_random(8);
    }
  }
}

static int64_t evaluate_node(const node *n, const int64_t *values) {
  const int64_t x = values[n->x], y = n->y < 0 ? n->constant : values[n->y];
  const uint64_t a = (uint64_t)x, b = (uint64_t)y;
  switch (n->code) {
    case JM_K_iadd:
      return (int64_t)(a + b);
    case JM_K_isub:
      return (int64_t)(a - b);
    case JM_K_imul:
      return (int64_t)(a * b);
    case JM_K_udiv:
      return (int64_t)(a / b);
    case JM_K_urem:
      return (int64_t)(a % b);
    case JM_K_sdiv:
      return x / y;
    case JM_K_srem:
      return x % y;
    case JM_K_smin:
      return x < y ? x : y;
    case JM_K_smax:
      return x > y ? x : y;
    case JM_K_umin:
      return a < b ? x : y;
    case JM_K_and:
      return x & y;
    case JM_K_or:
      return x | y;
    case JM_K_xor:
      return x ^ y;
    case JM_K_slt:
      return x < y;
    case JM_K_ule:
      return a <= b;
    case JM_K_ieq:
      return x == y;
    default:
      return x != y;
  }
}

static jm_kernel *build_nodes(const node *nodes) {
  jm_kbuilder *b = start();
  uint32_t out = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_i64, ROWS * COLUMNS * NODES, true, 0);
  jm_kloop rows, columns;
  jm_kval v[NODES];
  v[0] = open_loop(b, ROWS, &rows);
  v[1] = open_loop(b, COLUMNS, &columns);
  jm_kval at = index_of(b, JM_K_imul, v[0], COLUMNS * NODES);
  at = jm_kbuild2(b, JM_K_iadd, at, index_of(b, JM_K_imul, v[1], NODES));
  for (int i = 0; i < NODES; i++) {
    if (i > 1) {
      jm_kval y = nodes[i].y < 0 ? jm_kbuild_index(b, nodes[i].constant) : v[nodes[i].y];
      v[i] = jm_kbuild2(b, nodes[i].code, v[nodes[i].x], y);
      if (jm_kbuild_type(b, v[i]) == JM_KT_i1) v[i] = jm_kbuild_cast(b, JM_K_zext, JM_KT_i64, v[i]);
    }
    jm_kbuild_store(b, out, index_of(b, JM_K_iadd, at, i), v[i]);
  }
  jm_kbuild_loop_end(b, &columns, NULL);
  jm_kbuild_loop_end(b, &rows, NULL);
  return finish(b);
}

static void test_random_expressions(void) {
  static int64_t result[ROWS * COLUMNS * NODES];
  for (int round = 0; round < 400; round++) {
    node nodes[NODES];
    choose_nodes(nodes);
    jm_kernel *k = build_nodes(nodes);
    if (!k) return;
    CHECK_OK(jm_kernel_interpret(k, (void *[]){result}, NULL, 0, 1, NULL));
    jm_kernel_destroy(k);
    int wrong = -1;
    for (int at = 0; at < ROWS * COLUMNS; at++) {
      int64_t values[NODES] = {at / COLUMNS, at % COLUMNS};
      for (int i = 2; i < NODES; i++) values[i] = evaluate_node(&nodes[i], values);
      for (int i = 0; i < NODES && wrong < 0; i++)
        if (values[i] != result[at * NODES + i]) wrong = i;
    }
    CHECK(wrong < 0);
    if (wrong >= 0)
      fprintf(stderr, "round %d, node %d: %s\n", round, wrong,
              jm_kop_facts[nodes[wrong].code].name);
  }
}

#define HEAD "kernel \"k\"\nchunks 1 grain 1\nparam $0: global f32 x 9 written alias 1\n{\n"

static void test_text(void) {
  static const char whole[] =
      "kernel \"whole\"\n"
      "chunks 3 grain 2\n"
      "param $0: global f64 x 9 written alias 1\n"
      "param $1: scratch i8 x 40\n"
      "{\n"
      "  %0: i64 = const 0\n"
      "  %1: i64 = const -3\n"
      "  %2: f64 = const 0x3ff0000000000000\n"
      "  %3: i1 = const 1\n"
      "  loop chunk %0, %1 { (%4: i64)\n"
      "    loop vector(4) %0, %4, %2 { (%5: i64, %6: f64)\n"
      "      %7: f64 = call pow %6, %2\n"
      "      yield %7\n"
      "    } { (%8: f64, %9: f64)\n"
      "      %10: f64 = fma %8, %9, %8\n"
      "      yield %10\n"
      "    } -> %11: f64\n"
      "    if %3 {\n"
      "      %12: i8 = load $1[%4]\n"
      "      %13: f64 = uitofp %12\n"
      "      yield %13, %11\n"
      "    } {\n"
      "      yield %11, %2\n"
      "    } -> %14: f64, %15: f64\n"
      "    while %14, %0 { (%16: f64, %17: i64)\n"
      "      %18: i1 = folt %16, %15\n"
      "      yield %18\n"
      "    } { (%19: f64, %20: i64)\n"
      "      store $0[%20], %19\n"
      "      yield %15, %4\n"
      "    } -> %21: f64, %22: i64\n"
      "    store $0[%22], %21\n"
      "  }\n"
      "}\n";
  check_reread(whole, sizeof whole - 1);
  static const struct {
    const char *text, *error;
  } wrong[] = {
      {"", "line 1: kernel is missing"},
      {HEAD "  %1: i64 = const 0\n}\n", "line 5: values are numbered in order"},
      {HEAD "  %0: i64 = konst 0\n}\n", "line 5: no such instruction"},
      {HEAD "  %0: i64 = iadd %0, %7\n}\n", "line 5: no such value yet"},
      {HEAD "  %0: i64 = const 0\n  store $1[%0], %0\n}\n", "no such parameter"},
      {HEAD "  %0: i64 = const 0\n  store $0[%0], %0\n}\n", "not of the parameter's type"},
      {HEAD "  %0: i64 = const\n", "a number is missing"},
      {HEAD "} x", "line 5: something follows"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    jm_kernel *k = NULL;
    jm_error *error = jm_kernel_parse(wrong[i].text, strlen(wrong[i].text), &k);
    CHECK(error && strstr(jm_error_message(error), wrong[i].error));
    if (!error || !strstr(jm_error_message(error), wrong[i].error))
      fprintf(stderr, "%s: %s\n", wrong[i].text, jm_error_message(error));
    jm_error_destroy(error);
    jm_kernel_destroy(k);
  }
}

/* Every allocation of building may fail. */
static void test_without_memory(void) {
  int64_t n = 0;
  for (bool done = false; !done && n < 200; n++) {
    jm_alloc_fail_after(n);
    jm_kbuilder *b = NULL;
    jm_kernel *k = NULL;
    jm_error *error = jm_kbuilder_create("test", &b);
    if (!error) {
      uint32_t out = jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_i64, 600, true, 0);
      jm_kloop loop;
      jm_kval sum = open_loop(b, 2, &loop);
      for (int64_t i = 0; i < 300; i++) {
        sum = index_of(b, JM_K_xor, index_of(b, JM_K_imul, sum, 3), i);
        jm_kbuild_store(b, out, index_of(b, JM_K_iadd, loop.index, i), sum);
      }
      jm_kbuild_loop_end(b, &loop, NULL);
      error = jm_kbuilder_finish(b, &k);
    }
    jm_alloc_fail_after(-1);
    CHECK(error ? jm_error_code(error) == JM_RESOURCE_EXHAUSTED : k != NULL);
    done = !error;
    jm_error_destroy(error);
    jm_kernel_destroy(k);
    jm_kbuilder_destroy(b);
  }
  CHECK(n > 3 && n < 200);
}

TEST_MAIN(test_folding, test_constants_of_sums, test_ranges, test_delinearise, test_motion,
          test_alias, test_loops_that_are_none, test_refusals, test_lanes, test_while,
          test_chunks_and_scratch, test_bounds_and_cancel, test_random_expressions, test_text,
          test_without_memory)
