/* SPDX-License-Identifier: Apache-2.0
 * Kernels with threads loops, of any width, whose lanes meet in memory in every way that barriers
 * are for. Parameter 0 is one i64: how many elements a row has, at most THREAD_ROW - 2. */
#ifndef JM_TESTS_THREADS_CASES_H
#define JM_TESTS_THREADS_CASES_H

#include "unit/kernel_cases.h"

enum { THREAD_ROW = 1024, THREAD_ROWS = 3 };

static uint32_t thread_global(jm_kbuilder *b, jm_ktype type, bool written, uint32_t alias) {
  return jm_kbuild_param(b, JM_SPACE_GLOBAL, type, THREAD_ROW * THREAD_ROWS, written, alias);
}

static uint32_t thread_scratch(jm_kbuilder *b, jm_ktype type) {
  return jm_kbuild_param(b, JM_SPACE_SCRATCH, type, THREAD_ROW, true, 0);
}

/* A threads loop over [0, n) without carries; its index. */
static jm_kval open_threads(jm_kbuilder *b, uint32_t width, jm_kval n, jm_kloop *loop) {
  jm_kbuild_loop_begin(b, JM_BIND_THREADS, width, jm_kbuild_index(b, 0), n, NULL, 0, loop);
  return loop->index;
}

static jm_kval sub1(jm_kbuilder *b, jm_kval n) {
  return jm_kbuild2(b, JM_K_isub, n, jm_kbuild_index(b, 1));
}

/* The element that another lane has: n - 1 - i. */
static jm_kval mirrored(jm_kbuilder *b, jm_kval n, jm_kval i) {
  return jm_kbuild2(b, JM_K_isub, sub1(b, n), i);
}

static jm_kval in_row(jm_kbuilder *b, jm_kval row, jm_kval i) {
  return jm_kbuild2(b, JM_K_iadd, jm_kbuild2(b, JM_K_imul, row, jm_kbuild_index(b, THREAD_ROW)), i);
}

static jm_kval scaled(jm_kbuilder *b, jm_kval v, double factor) {
  return jm_kbuild2(b, JM_K_fmul, v, jm_kbuild_float(b, jm_kbuild_type(b, v), factor));
}

static jm_kval float_load(jm_kbuilder *b, uint32_t param, jm_kval at) {
  return without_nan(b, jm_kbuild_load(b, param, at));
}

/* z = 1.25 x, and y = -x behind it: nothing meets. */
static void add_thread_map(uint32_t width) {
  jm_kbuilder *b = begin_case("threads: map");
  uint32_t x = thread_global(b, JM_KT_f32, false, 0), z = thread_global(b, JM_KT_f32, true, 0);
  uint32_t y = thread_global(b, JM_KT_f32, true, 0);
  jm_kval n = case_count(b);
  jm_kloop rows, loop;
  jm_kbuild_chunk_begin(b, THREAD_ROWS, 1, &rows);
  for (int pass = 0; pass < 2; pass++) {
    jm_kval at = in_row(b, rows.index, open_threads(b, width, n, &loop));
    jm_kval v = jm_kbuild_load(b, x, at);
    jm_kbuild_store(b, pass ? y : z, at, pass ? jm_kbuild1(b, JM_K_fneg, v) : scaled(b, v, 1.25));
    jm_kbuild_loop_end(b, &loop, NULL);
  }
  jm_kbuild_loop_end(b, &rows, NULL);
  add_case(b);
}

/* Four carries, of rows in chunks. Only what is uniform stores. */
static void add_thread_reduce(jm_ktype type, uint32_t width) {
  jm_kbuilder *b = begin_case("threads: reduce");
  uint32_t x = thread_global(b, type, false, 0), sum = thread_global(b, type, true, 0);
  uint32_t best = thread_global(b, type, true, 0), where = thread_global(b, JM_KT_i64, true, 0);
  uint32_t any = thread_global(b, JM_KT_i8, true, 0);
  jm_kloop rows, loop;
  jm_kval n = case_count(b);
  jm_kbuild_chunk_begin(b, THREAD_ROWS, 2, &rows);
  jm_kval start[4] = {jm_kbuild_float(b, type, -0.0), jm_kbuild_float(b, type, -__builtin_inf()),
                      jm_kbuild_index(b, INT64_MAX), jm_kbuild_int(b, JM_KT_i1, 0)};
  jm_kbuild_loop_begin(b, JM_BIND_THREADS, width, jm_kbuild_index(b, 0), n, start, 4, &loop);
  jm_kval v = float_load(b, x, in_row(b, rows.index, loop.index));
  jm_kval one[4] = {v, v, loop.index, jm_kbuild2(b, JM_K_folt, v, jm_kbuild_float(b, type, 0))};
  jm_kval next[4];
  combine_sum_and_best(NULL, b, loop.carries, one, next);
  jm_kbuild_loop_end_combine(b, &loop, next, combine_sum_and_best, NULL);
  case_store(b, sum, rows.index, loop.carries[0]);
  case_store(b, best, rows.index, loop.carries[1]);
  case_store(b, where, rows.index, loop.carries[2]);
  case_store(b, any, rows.index, loop.carries[3]);
  jm_kbuild_loop_end(b, &rows, NULL);
  add_case(b);
}

/* A sum of a row that is also kept in scratch, from which it comes back mirrored. */
static void add_thread_row(uint32_t width) {
  jm_kbuilder *b = begin_case("threads: row");
  uint32_t x = thread_global(b, JM_KT_f32, false, 0), z = thread_global(b, JM_KT_f32, true, 0);
  uint32_t s = thread_scratch(b, JM_KT_f32);
  jm_kloop rows, loop;
  jm_kval n = case_count(b), zero = jm_kbuild_float(b, JM_KT_f32, 0);
  jm_kbuild_chunk_begin(b, THREAD_ROWS, 1, &rows);
  jm_kbuild_loop_begin(b, JM_BIND_THREADS, width, jm_kbuild_index(b, 0), n, &zero, 1, &loop);
  jm_kval v = float_load(b, x, in_row(b, rows.index, loop.index));
  jm_kbuild_store(b, s, loop.index, v);
  jm_kval next = jm_kbuild2(b, JM_K_fadd, loop.carries[0], v);
  jm_kbuild_loop_end_combine(b, &loop, &next, combine_sum, NULL);
  jm_kval sum = loop.carries[0], i = open_threads(b, width, n, &loop);
  v = jm_kbuild2(b, JM_K_fadd, jm_kbuild_load(b, s, mirrored(b, n, i)), sum);
  jm_kbuild_store(b, z, in_row(b, rows.index, i), v);
  jm_kbuild_loop_end(b, &loop, NULL);
  jm_kbuild_loop_end(b, &rows, NULL);
  add_case(b);
}

static void combine_most(void *context, jm_kbuilder *b, const jm_kval *lower, const jm_kval *upper,
                         jm_kval *out) {
  (void)context;
  jm_kval less = jm_kbuild2(b, JM_K_folt, lower[0], upper[0]);
  out[0] = jm_kbuild3(b, JM_K_select, less, upper[0], lower[0]);
}

/* Like softmax: the largest, then f(x - largest) into scratch and its sum, then their quotient, in
 * place. Every lane reads only what it wrote itself: no barrier. */
static void add_thread_softmax(uint32_t width) {
  jm_kbuilder *b = begin_case("threads: softmax");
  uint32_t x = thread_global(b, JM_KT_f32, false, 1), z = thread_global(b, JM_KT_f32, true, 1);
  uint32_t s = thread_scratch(b, JM_KT_f32);
  jm_kloop rows, loop;
  jm_kval n = case_count(b), from = jm_kbuild_index(b, 0), next;
  jm_kval least = jm_kbuild_float(b, JM_KT_f32, -__builtin_inf());
  jm_kval zero = jm_kbuild_float(b, JM_KT_f32, 0), one = jm_kbuild_float(b, JM_KT_f32, 1);
  jm_kbuild_chunk_begin(b, THREAD_ROWS, 1, &rows);
  jm_kbuild_loop_begin(b, JM_BIND_THREADS, width, from, n, &least, 1, &loop);
  jm_kval v = float_load(b, x, in_row(b, rows.index, loop.index));
  combine_most(NULL, b, loop.carries, &v, &next);
  jm_kbuild_loop_end_combine(b, &loop, &next, combine_most, NULL);
  jm_kval most = loop.carries[0];
  jm_kbuild_loop_begin(b, JM_BIND_THREADS, width, from, n, &zero, 1, &loop);
  v = float_load(b, x, in_row(b, rows.index, loop.index));
  v = jm_kbuild2(b, JM_K_fsub, v, most);
  v = jm_kbuild2(b, JM_K_fdiv, one, jm_kbuild2(b, JM_K_fsub, one, v));
  jm_kbuild_store(b, s, loop.index, v);
  next = jm_kbuild2(b, JM_K_fadd, loop.carries[0], v);
  jm_kbuild_loop_end_combine(b, &loop, &next, combine_sum, NULL);
  jm_kval sum = loop.carries[0], i = open_threads(b, width, n, &loop);
  v = jm_kbuild2(b, JM_K_fdiv, jm_kbuild_load(b, s, i), sum);
  jm_kbuild_store(b, z, in_row(b, rows.index, i), v);
  jm_kbuild_loop_end(b, &loop, NULL);
  jm_kbuild_loop_end(b, &rows, NULL);
  add_case(b);
}

/* Tiles of 16 x 16 transposed through scratch. */
static void add_thread_transpose(uint32_t width) {
  enum { TILE = 16 };
  jm_kbuilder *b = begin_case("threads: transpose");
  uint32_t x = thread_global(b, JM_KT_i16, false, 0), z = thread_global(b, JM_KT_i16, true, 0);
  uint32_t s = thread_scratch(b, JM_KT_i16);
  jm_kloop tiles, loop;
  jm_kval side = jm_kbuild_index(b, TILE), points = jm_kbuild_index(b, TILE * TILE);
  jm_kbuild_chunk_begin(b, THREAD_ROWS, 1, &tiles);
  jm_kval i = open_threads(b, width, points, &loop);
  jm_kbuild_store(b, s, i, jm_kbuild_load(b, x, in_row(b, tiles.index, i)));
  jm_kbuild_loop_end(b, &loop, NULL);
  i = open_threads(b, width, points, &loop);
  jm_kval row = jm_kbuild2(b, JM_K_udiv, i, side), column = jm_kbuild2(b, JM_K_urem, i, side);
  jm_kval at = jm_kbuild2(b, JM_K_iadd, jm_kbuild2(b, JM_K_imul, column, side), row);
  jm_kbuild_store(b, z, in_row(b, tiles.index, i), jm_kbuild_load(b, s, at));
  jm_kbuild_loop_end(b, &loop, NULL);
  jm_kbuild_loop_end(b, &tiles, NULL);
  add_case(b);
}

/* One scratch, written and read mirrored twice in each iteration of a serial loop. */
static void add_thread_serial(uint32_t width) {
  jm_kbuilder *b = begin_case("threads: serial");
  uint32_t x = thread_global(b, JM_KT_i32, false, 0), y = thread_global(b, JM_KT_i32, true, 0);
  uint32_t s = thread_scratch(b, JM_KT_i32);
  jm_kval n = case_count(b);
  jm_kloop outer, loop;
  jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 0, jm_kbuild_index(b, 0), jm_kbuild_index(b, THREAD_ROWS),
                       NULL, 0, &outer);
  for (int pass = 0; pass < 2; pass++) {
    jm_kval i = open_threads(b, width, n, &loop), at = in_row(b, outer.index, i);
    jm_kbuild_store(b, s, i, jm_kbuild_load(b, pass ? y : x, at));
    jm_kbuild_loop_end(b, &loop, NULL);
    i = open_threads(b, width, n, &loop), at = in_row(b, outer.index, i);
    jm_kval v = jm_kbuild_load(b, s, mirrored(b, n, i));
    v = jm_kbuild2(b, JM_K_imul, v, jm_kbuild_int(b, JM_KT_i32, 3 + pass));
    jm_kbuild_store(b, y, at, v);
    jm_kbuild_loop_end(b, &loop, NULL);
  }
  jm_kbuild_loop_end(b, &outer, NULL);
  add_case(b);
}

/* Inclusive sums: s[i] += s[i - d] for d = 1, 2, 4, ..., in a while. */
static void add_thread_scan(uint32_t width) {
  jm_kbuilder *b = begin_case("threads: scan");
  uint32_t x = thread_global(b, JM_KT_i32, false, 0), z = thread_global(b, JM_KT_i32, true, 0);
  uint32_t s = thread_scratch(b, JM_KT_i32), t = thread_scratch(b, JM_KT_i32);
  jm_kval n = case_count(b), zero = jm_kbuild_index(b, 0), one = jm_kbuild_index(b, 1), d, result;
  jm_kloop rows, loop;
  jm_kbuild_chunk_begin(b, THREAD_ROWS, 1, &rows);
  jm_kval i = open_threads(b, width, n, &loop);
  jm_kbuild_store(b, s, i, jm_kbuild_load(b, x, in_row(b, rows.index, i)));
  jm_kbuild_loop_end(b, &loop, NULL);
  jm_kinst steps = jm_kbuild_while_begin(b, &one, 1, &d);
  jm_kbuild_while_body(b, steps, jm_kbuild2(b, JM_K_slt, d, n), &d);
  i = open_threads(b, width, n, &loop);
  jm_kval before = jm_kbuild2(b, JM_K_smax, jm_kbuild2(b, JM_K_isub, i, d), zero);
  jm_kval v = jm_kbuild3(b, JM_K_select, jm_kbuild2(b, JM_K_slt, i, d),
                         jm_kbuild_int(b, JM_KT_i32, 0), jm_kbuild_load(b, s, before));
  jm_kbuild_store(b, t, i, jm_kbuild2(b, JM_K_iadd, jm_kbuild_load(b, s, i), v));
  jm_kbuild_loop_end(b, &loop, NULL);
  i = open_threads(b, width, n, &loop);
  jm_kbuild_store(b, s, i, jm_kbuild_load(b, t, i));
  jm_kbuild_loop_end(b, &loop, NULL);
  jm_kval next = jm_kbuild2(b, JM_K_imul, d, jm_kbuild_index(b, 2));
  jm_kbuild_while_end(b, steps, &next, &result);
  i = open_threads(b, width, n, &loop);
  jm_kbuild_store(b, z, in_row(b, rows.index, i), jm_kbuild_load(b, s, i));
  jm_kbuild_loop_end(b, &loop, NULL);
  jm_kbuild_loop_end(b, &rows, NULL);
  add_case(b);
}

/* Uniform code reads what lanes stored, and stores what lanes read. */
static void add_thread_uniform(uint32_t width) {
  jm_kbuilder *b = begin_case("threads: uniform");
  uint32_t x = thread_global(b, JM_KT_i32, false, 0), z = thread_global(b, JM_KT_i32, true, 0);
  uint32_t s = thread_scratch(b, JM_KT_i32);
  jm_kval n = case_count(b), zero = jm_kbuild_index(b, 0);
  jm_kval start = jm_kbuild_int(b, JM_KT_i32, 7);
  jm_kloop rows, loop;
  jm_kbuild_chunk_begin(b, THREAD_ROWS, 1, &rows);
  jm_kval i = open_threads(b, width, n, &loop);
  jm_kbuild_store(b, s, i, jm_kbuild_load(b, x, in_row(b, rows.index, i)));
  jm_kbuild_loop_end(b, &loop, NULL);
  jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 0, zero, n, &start, 1, &loop);
  jm_kval sum = jm_kbuild2(b, JM_K_xor, loop.carries[0], jm_kbuild_load(b, s, loop.index));
  sum = jm_kbuild2(b, JM_K_imul, sum, jm_kbuild_int(b, JM_KT_i32, 5));
  jm_kbuild_loop_end(b, &loop, &sum);
  jm_kbuild_store(b, s, zero, loop.carries[0]);
  i = open_threads(b, width, n, &loop);
  jm_kval v = jm_kbuild2(b, JM_K_iadd, jm_kbuild_load(b, s, zero), jm_kbuild_load(b, x, i));
  jm_kbuild_store(b, z, in_row(b, rows.index, i), v);
  jm_kbuild_loop_end(b, &loop, NULL);
  jm_kbuild_loop_end(b, &rows, NULL);
  add_case(b);
}

/* Lanes meet in GLOBAL memory: x is mirrored into z, which may be x itself, and z into y. */
static void add_thread_global(uint32_t width) {
  jm_kbuilder *b = begin_case("threads: global");
  uint32_t x = thread_global(b, JM_KT_f64, false, 3), z = thread_global(b, JM_KT_f64, true, 3);
  uint32_t y = thread_global(b, JM_KT_f64, true, 0), s = thread_scratch(b, JM_KT_f64);
  jm_kval n = case_count(b);
  jm_kloop rows, loop;
  jm_kbuild_chunk_begin(b, THREAD_ROWS, 1, &rows);
  jm_kval i = open_threads(b, width, n, &loop);
  jm_kbuild_store(b, s, i, jm_kbuild_load(b, x, in_row(b, rows.index, mirrored(b, n, i))));
  jm_kbuild_loop_end(b, &loop, NULL);
  i = open_threads(b, width, n, &loop);
  jm_kbuild_store(b, z, in_row(b, rows.index, i), jm_kbuild_load(b, s, i));
  jm_kbuild_loop_end(b, &loop, NULL);
  i = open_threads(b, width, n, &loop);
  jm_kval v = jm_kbuild_load(b, z, in_row(b, rows.index, mirrored(b, n, i)));
  jm_kbuild_store(b, y, in_row(b, rows.index, i), scaled(b, v, 0.75));
  jm_kbuild_loop_end(b, &loop, NULL);
  jm_kbuild_loop_end(b, &rows, NULL);
  add_case(b);
}

static void combine_counts(void *context, jm_kbuilder *b, const jm_kval *lower,
                           const jm_kval *upper, jm_kval *out) {
  (void)context;
  out[0] = jm_kbuild2(b, JM_K_iadd, lower[0], upper[0]);
  out[1] = jm_kbuild2(b, JM_K_xor, lower[1], upper[1]);
}

static void combine_xor(void *context, jm_kbuilder *b, const jm_kval *lower, const jm_kval *upper,
                        jm_kval *out) {
  (void)context;
  out[0] = jm_kbuild2(b, JM_K_xor, lower[0], upper[0]);
}

/* A lane's own control: serial loops up to its index, a while, an if; and a threads loop on one
 * side of an if that all lanes take. */
static void add_thread_control(uint32_t width) {
  jm_kbuilder *b = begin_case("threads: control");
  uint32_t x = thread_global(b, JM_KT_i32, false, 0), z = thread_global(b, JM_KT_i32, true, 0);
  uint32_t s = thread_scratch(b, JM_KT_i32);
  jm_kval n = case_count(b), one = jm_kbuild_int(b, JM_KT_i32, 1);
  jm_kval zero = jm_kbuild_int(b, JM_KT_i32, 0), start[2] = {zero, zero}, c[2];
  jm_kloop rows, loop, inner;
  jm_kbuild_chunk_begin(b, THREAD_ROWS, 1, &rows);
  jm_kbuild_loop_begin(b, JM_BIND_THREADS, width, jm_kbuild_index(b, 0), n, start, 2, &loop);
  jm_kval few = jm_kbuild2(b, JM_K_urem, loop.index, jm_kbuild_index(b, 9)), next;
  jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 0, jm_kbuild_index(b, 0), few, start, 1, &inner);
  next = jm_kbuild_load(b, x, in_row(b, rows.index, inner.index));
  next = jm_kbuild2(b, JM_K_iadd, next,
                    jm_kbuild2(b, JM_K_imul, inner.carries[0], jm_kbuild_int(b, JM_KT_i32, 3)));
  jm_kbuild_loop_end(b, &inner, &next);
  jm_kval v = jm_kbuild2(b, JM_K_and, inner.carries[0], jm_kbuild_int(b, JM_KT_i32, 63));
  start[0] = jm_kbuild2(b, JM_K_iadd, v, one);
  jm_kinst collatz = jm_kbuild_while_begin(b, start, 2, c);
  jm_kbuild_while_body(b, collatz, jm_kbuild2(b, JM_K_ine, c[0], one), c);
  jm_kval odd = jm_kbuild2(b, JM_K_ieq, jm_kbuild2(b, JM_K_and, c[0], one), one), both[2];
  jm_kinst choice = jm_kbuild_if_begin(b, odd);
  jm_kval three = jm_kbuild2(b, JM_K_imul, c[0], jm_kbuild_int(b, JM_KT_i32, 3));
  jm_kval up = jm_kbuild2(b, JM_K_iadd, three, one);
  jm_kbuild_if_else(b, choice, &up, 1);
  jm_kval down = jm_kbuild2(b, JM_K_lshr, c[0], one);
  jm_kbuild_if_end(b, choice, &down, both);
  both[1] = jm_kbuild2(b, JM_K_iadd, c[1], one);
  jm_kbuild_while_end(b, collatz, both, c);
  choice = jm_kbuild_if_begin(b, jm_kbuild2(b, JM_K_slt, one, c[1])); /* some lanes store */
  jm_kbuild_store(b, s, loop.index, c[1]);
  jm_kbuild_if_else(b, choice, NULL, 0);
  jm_kbuild_store(b, s, loop.index, zero);
  jm_kbuild_if_end(b, choice, NULL, NULL);
  both[0] = jm_kbuild2(b, JM_K_iadd, loop.carries[0], c[1]);
  both[1] = jm_kbuild2(b, JM_K_xor, loop.carries[1], v);
  jm_kbuild_loop_end_combine(b, &loop, both, combine_counts, NULL);
  jm_kval total = loop.carries[0], bits = loop.carries[1];
  choice = jm_kbuild_if_begin(b, jm_kbuild2(b, JM_K_slt, zero, bits));
  jm_kval i = open_threads(b, width, n, &loop);
  v = jm_kbuild2(b, JM_K_iadd, jm_kbuild_load(b, s, mirrored(b, n, i)), total);
  jm_kbuild_store(b, z, in_row(b, rows.index, i), v);
  jm_kbuild_loop_end(b, &loop, NULL);
  jm_kbuild_if_else(b, choice, NULL, 0);
  jm_kbuild_if_end(b, choice, NULL, NULL);
  jm_kbuild_loop_end(b, &rows, NULL);
  add_case(b);
}

static inline void add_threads_cases(uint32_t width) {
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

/* -- random kernels: no threads loop races with itself, all else is left to barriers */
enum { RANDOM_MEMORIES = 5 };
typedef struct random_threads {
  jm_kbuilder *b;
  uint32_t width, memories[RANDOM_MEMORIES]; /* the last two are GLOBAL */
  jm_kval n, row;
  jm_kval uniform, index; /* the last uniform value and serial loop, if they are visible */
  uint32_t budget;        /* of statements */
} random_threads;

static jm_kval random_place(random_threads *r, uint32_t memory, jm_kval at) {
  return memory < RANDOM_MEMORIES - 2 ? at : in_row(r->b, r->row, at);
}

static jm_kval random_load(random_threads *r, uint32_t memory, jm_kval at) {
  return jm_kbuild_load(r->b, r->memories[memory], random_place(r, memory, at));
}

static jm_kval random_uniform(random_threads *r) {
  return jm_kbuild_is_visible(r->b, r->uniform) ? r->uniform : jm_kbuild_int(r->b, JM_KT_i32, 3);
}

/* 0, mostly, so that loops often reach their memories in the same way. */
static jm_kval random_shift(random_threads *r) {
  if (!random_number(4) && jm_kbuild_is_visible(r->b, r->index)) return r->index;
  return jm_kbuild_index(r->b, random_number(3) ? 0 : 1);
}

/* memory[i + shift] = a function of what it was, and of two elements of other memories. */
static void add_random_loop(random_threads *r) {
  jm_kbuilder *b = r->b;
  const uint32_t to = random_number(RANDOM_MEMORIES);
  const bool carries = !random_number(3);
  jm_kval shift = random_shift(r), start = jm_kbuild_int(b, JM_KT_i32, 0);
  jm_kval n = jm_kbuild2(b, JM_K_isub, r->n, random_shift(r)), lower = random_shift(r);
  jm_kval uniform = random_uniform(r), next;
  jm_kloop loop;
  jm_kbuild_loop_begin(b, JM_BIND_THREADS, r->width, lower, n, &start, carries, &loop);
  jm_kval own = jm_kbuild2(b, JM_K_iadd, loop.index, shift);
  jm_kval v = jm_kbuild2(b, JM_K_xor, random_load(r, to, own), uniform);
  for (int i = 0; i < 2; i++) {
    uint32_t from = random_number(RANDOM_MEMORIES);
    jm_kval at = random_number(2)   ? own
                 : random_number(2) ? mirrored(b, r->n, loop.index)
                                    : jm_kbuild_index(b, random_number(4));
    if (from == to) at = own;
    v = jm_kbuild2(b, JM_K_imul, v, jm_kbuild_int(b, JM_KT_i32, 5));
    v = jm_kbuild2(b, JM_K_iadd, v, random_load(r, from, at));
  }
  if (random_number(4)) jm_kbuild_store(b, r->memories[to], random_place(r, to, own), v);
  if (carries) next = jm_kbuild2(b, JM_K_iadd, loop.carries[0], v);
  if (carries && random_number(2)) { /* what a lane adds after its own control */
    jm_kinst choice = jm_kbuild_if_begin(b, jm_kbuild2(b, JM_K_slt, v, loop.carries[0]));
    jm_kbuild_if_else(b, choice, &next, 1);
    jm_kbuild_if_end(b, choice, &v, &next);
  }
  jm_kbuild_loop_end_combine(b, &loop, &next, combine_xor, NULL);
  if (carries) r->uniform = loop.carries[0];
}

static void add_random_statements(random_threads *r, uint32_t depth);

static void add_random_nest(random_threads *r, uint32_t depth) {
  jm_kbuilder *b = r->b;
  jm_kval zero = jm_kbuild_index(b, 0), carry, result;
  uint32_t kind = random_number(3);
  if (kind == 0) {
    jm_kloop loop;
    jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 0, zero, jm_kbuild_index(b, random_number(5)), NULL, 0,
                         &loop);
    r->index = loop.index;
    add_random_statements(r, depth + 1);
    jm_kbuild_loop_end(b, &loop, NULL);
  } else if (kind == 1) {
    jm_kinst loop = jm_kbuild_while_begin(b, &zero, 1, &carry);
    jm_kval v = random_load(r, random_number(RANDOM_MEMORIES), jm_kbuild_index(b, 2));
    v = jm_kbuild2(b, JM_K_and, v, jm_kbuild_int(b, JM_KT_i32, 3));
    v = jm_kbuild_cast(b, JM_K_sext, JM_KT_i64, v);
    jm_kbuild_while_body(b, loop, jm_kbuild2(b, JM_K_slt, carry, v), &carry);
    add_random_statements(r, depth + 1);
    carry = jm_kbuild2(b, JM_K_iadd, carry, jm_kbuild_index(b, 1));
    jm_kbuild_while_end(b, loop, &carry, &result);
  } else {
    jm_kval odd = jm_kbuild2(b, JM_K_and, random_uniform(r), jm_kbuild_int(b, JM_KT_i32, 1));
    jm_kinst choice =
        jm_kbuild_if_begin(b, jm_kbuild2(b, JM_K_ine, odd, jm_kbuild_int(b, JM_KT_i32, 0)));
    add_random_statements(r, depth + 1);
    jm_kbuild_if_else(b, choice, NULL, 0);
    add_random_statements(r, depth + 1);
    jm_kbuild_if_end(b, choice, NULL, NULL);
  }
}

static void add_random_statements(random_threads *r, uint32_t depth) {
  for (uint32_t n = 1 + random_number(4); n && r->budget; n--) {
    r->budget--;
    const uint32_t memory = random_number(RANDOM_MEMORIES), kind = random_number(9);
    jm_kval at = jm_kbuild_index(r->b, random_number(5));
    if (kind % 8 == 0 && depth < 4)
      add_random_nest(r, depth);
    else if (kind == 1)
      r->uniform = random_load(r, memory, at);
    else if (kind == 2)
      jm_kbuild_store(r->b, r->memories[memory], random_place(r, memory, at), random_uniform(r));
    else
      add_random_loop(r);
  }
}

static inline void add_random_threads(uint32_t width) {
  char name[64];
  snprintf(name, sizeof name, "random threads %llu", (unsigned long long)case_seed);
  random_threads r = {.b = begin_case(name), .width = width, .budget = 14};
  r.n = case_count(r.b);
  for (uint32_t i = 0; i < RANDOM_MEMORIES; i++)
    r.memories[i] = i < RANDOM_MEMORIES - 2 ? thread_scratch(r.b, JM_KT_i32)
                                            : thread_global(r.b, JM_KT_i32, true, 0);
  jm_kloop rows, loop;
  jm_kbuild_chunk_begin(r.b, THREAD_ROWS, 1, &rows);
  r.row = rows.index;
  r.uniform = r.index = UINT32_MAX; /* none */
  jm_kval i = open_threads(r.b, width, jm_kbuild_index(r.b, THREAD_ROW), &loop);
  for (uint32_t m = 0; m < RANDOM_MEMORIES - 2; m++) /* SCRATCH starts as garbage */
    jm_kbuild_store(r.b, r.memories[m], i, random_load(&r, RANDOM_MEMORIES - 1, i));
  jm_kbuild_loop_end(r.b, &loop, NULL);
  while (r.budget) add_random_statements(&r, 0);
  for (uint32_t m = 0; m < RANDOM_MEMORIES - 2; m++) { /* SCRATCH is seen */
    i = open_threads(r.b, width, jm_kbuild_index(r.b, THREAD_ROW), &loop);
    jm_kval v = random_load(&r, RANDOM_MEMORIES - 1, i);
    v = jm_kbuild2(r.b, JM_K_xor, random_load(&r, m, i), v);
    jm_kbuild_store(r.b, r.memories[RANDOM_MEMORIES - 1], in_row(r.b, r.row, i), v);
    jm_kbuild_loop_end(r.b, &loop, NULL);
  }
  jm_kbuild_loop_end(r.b, &rows, NULL);
  add_case(r.b);
}

#endif
