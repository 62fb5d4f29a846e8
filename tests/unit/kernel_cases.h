/* SPDX-License-Identifier: Apache-2.0
 * Kernels to try printers with: every instruction with every type it takes, every way to step
 * through memory, loops of every kind, and random ones. Parameter 0 is one i64, the number of
 * elements, which is no constant of the kernel; others have CASE_ELEMENTS elements. */
#ifndef JM_TESTS_KERNEL_CASES_H
#define JM_TESTS_KERNEL_CASES_H

#include <stdlib.h>

#include "kernel/ir/build.h"
#include "unit/check.h"

enum { CASE_ELEMENTS = 512, CASE_MOST = 4096 };

static jm_kernel *cases[CASE_MOST];
static uint32_t n_cases;

static uint64_t case_seed = 88172645463325252u;
static uint32_t random_number(uint32_t below) {
  case_seed ^= case_seed << 13;
  case_seed ^= case_seed >> 7;
  case_seed ^= case_seed << 17;
  return (uint32_t)((case_seed >> 16) % below);
}

static void add_case(jm_kbuilder *b) {
  jm_kernel *k = NULL;
  if (n_cases < CASE_MOST) CHECK_OK(jm_kbuilder_finish(b, &k));
  jm_kbuilder_destroy(b);
  if (k) cases[n_cases++] = k;
}

static void destroy_cases(void) {
  while (n_cases) jm_kernel_destroy(cases[--n_cases]);
}

static jm_kbuilder *begin_case(const char *name) {
  jm_kbuilder *b = NULL;
  CHECK_OK(jm_kbuilder_create(name, &b));
  jm_kbuild_param(b, JM_SPACE_GLOBAL, JM_KT_i64, 1, false, 0);
  return b;
}

static uint32_t case_param(jm_kbuilder *b, jm_ktype type, bool written, uint32_t alias) {
  jm_ktype element = type == JM_KT_i1 ? JM_KT_i8 : type;
  return jm_kbuild_param(b, JM_SPACE_GLOBAL, element, CASE_ELEMENTS, written, alias);
}

static jm_kval case_count(jm_kbuilder *b) { return jm_kbuild_load(b, 0, jm_kbuild_index(b, 0)); }

/* An i1 is stored as an i8 of 0 or 1. */
static jm_kval case_load(jm_kbuilder *b, uint32_t param, jm_ktype type, jm_kval index) {
  jm_kval v = jm_kbuild_load(b, param, index);
  if (type != JM_KT_i1) return v;
  jm_kval bit = jm_kbuild2(b, JM_K_and, v, jm_kbuild_int(b, JM_KT_i8, 1));
  return jm_kbuild2(b, JM_K_ine, bit, jm_kbuild_int(b, JM_KT_i8, 0));
}

static void case_store(jm_kbuilder *b, uint32_t param, jm_kval index, jm_kval value) {
  if (jm_kbuild_type(b, value) == JM_KT_i1) value = jm_kbuild_cast(b, JM_K_zext, JM_KT_i8, value);
  jm_kbuild_store(b, param, index, value);
}

/* A NaN's sign and payload depend on the order of operands, which nobody promises. */
static jm_kval without_nan(jm_kbuilder *b, jm_kval v) {
  jm_ktype type = jm_kbuild_type(b, v);
  return jm_kbuild3(b, JM_K_select, jm_kbuild2(b, JM_K_funo, v, v), jm_kbuild_float(b, type, 2.5),
                    v);
}

static uint32_t bits_of(jm_ktype type) { return jm_ktype_bits[type]; }

/* Makes operands such that the result is defined. */
static void guard_operands(jm_kbuilder *b, jm_kopcode code, jm_ktype to, jm_kval *x) {
  jm_ktype type = jm_kbuild_type(b, x[0]);
  switch (code) {
    case JM_K_shl:
    case JM_K_lshr:
    case JM_K_ashr:
      x[1] = jm_kbuild2(b, JM_K_and, x[1], jm_kbuild_int(b, type, (int64_t)bits_of(type) - 1));
      break;
    case JM_K_sdiv:
    case JM_K_udiv:
    case JM_K_srem:
    case JM_K_urem:
      if (type == JM_KT_i1) {
        x[1] = jm_kbuild_int(b, type, 1);
        if (code == JM_K_sdiv || code == JM_K_srem) x[0] = jm_kbuild_int(b, type, 0);
        break;
      }
      x[1] = jm_kbuild2(b, JM_K_and, x[1], jm_kbuild_int(b, type, 63));
      x[1] = jm_kbuild2(b, JM_K_or, x[1], jm_kbuild_int(b, type, 1));
      break;
    case JM_K_fptosi:
    case JM_K_fptoui: {
      double limit = to == JM_KT_i1 ? 0.9 : to == JM_KT_i8 ? 100 : to == JM_KT_i16 ? 30000 : 1e9;
      jm_kval size = jm_kbuild1(b, JM_K_fabs, x[0]);
      jm_kval fits = jm_kbuild2(b, JM_K_folt, size, jm_kbuild_float(b, type, limit));
      jm_kval from = code == JM_K_fptoui ? size : x[0];
      x[0] = jm_kbuild3(b, JM_K_select, fits, from, jm_kbuild_float(b, type, 0.5));
      break;
    }
    case JM_K_fscale: {
      jm_kval size = jm_kbuild1(b, JM_K_fabs, x[1]);
      jm_kval fits = jm_kbuild2(b, JM_K_folt, size, jm_kbuild_float(b, type, 4000));
      x[1] = jm_kbuild1(b, JM_K_frint, x[1]);
      x[1] = jm_kbuild3(b, JM_K_select, fits, x[1], jm_kbuild_float(b, type, -3));
      break;
    }
    case JM_K_bitcast:
      if (jm_ktype_is_float(type)) x[0] = without_nan(b, x[0]);
      break;
    case JM_K_fcopysign:
      x[1] = without_nan(b, x[1]);
      break;
    default:
      break;
  }
}

static bool is_cast_allowed(jm_kopcode code, jm_ktype from, jm_ktype to) {
  bool f = jm_ktype_is_float(from), t = jm_ktype_is_float(to);
  uint32_t a = jm_ktype_bits[from], z = jm_ktype_bits[to];
  switch (code) {
    case JM_K_zext:
    case JM_K_sext:
      return !f && !t && a < z;
    case JM_K_itrunc:
      return !f && !t && a > z;
    case JM_K_sitofp:
    case JM_K_uitofp:
      return !f && t;
    case JM_K_fptosi:
    case JM_K_fptoui:
      return f && !t;
    case JM_K_fpext:
      return f && t && a < z;
    case JM_K_fptrunc:
      return f && t && a > z;
    case JM_K_bitcast:
      return f != t && a == z;
    default:
      return false;
  }
}

/* z[i] = code(x[i], ...), in a vector or a serial loop */
static void add_inst_case(jm_kopcode code, jm_ktype from, jm_ktype to, jm_kcall call,
                          jm_kbinding binding, uint32_t width) {
  char name[64];
  snprintf(name, sizeof name, "%s %s %s %d %u", jm_kop_facts[code].name, jm_ktype_names[from],
           jm_ktype_names[to], (int)call, (unsigned)width);
  jm_kbuilder *b = begin_case(name);
  uint32_t n = code == JM_K_call ? jm_kcall_arguments[call] : (uint32_t)jm_kop_facts[code].operands;
  jm_ktype types[3] = {from, from, from};
  if (code == JM_K_select) types[0] = JM_KT_i1;
  uint32_t params[3];
  for (uint32_t i = 0; i < n; i++) params[i] = case_param(b, types[i], false, 0);
  uint32_t out = case_param(b, to, true, 0);
  jm_kloop loop;
  jm_kbuild_loop_begin(b, binding, width, jm_kbuild_index(b, 0), case_count(b), NULL, 0, &loop);
  jm_kval x[3] = {0};
  for (uint32_t i = 0; i < n; i++) x[i] = case_load(b, params[i], types[i], loop.index);
  guard_operands(b, code, to, x);
  jm_kval r;
  if (code == JM_K_call)
    r = jm_kbuild_call(b, call, x);
  else if (jm_kop_facts[code].result == JM_KRESULT_CAST)
    r = jm_kbuild_cast(b, code, to, x[0]);
  else
    r = n == 1   ? jm_kbuild1(b, code, x[0])
        : n == 2 ? jm_kbuild2(b, code, x[0], x[1])
                 : jm_kbuild3(b, code, x[0], x[1], x[2]);
  case_store(b, out, loop.index, r);
  jm_kbuild_loop_end(b, &loop, NULL);
  add_case(b);
}

static inline void add_inst_cases(jm_kbinding binding, uint32_t width) {
  for (int c = 0; c < JM_N_KOPS; c++) {
    const jm_kop_fact *op = &jm_kop_facts[c];
    if (op->operands < 1 || !(op->flags & JM_KFLAG_PURE)) continue;
    for (jm_ktype from = 0; from < JM_N_KTYPES; from++) {
      bool is_float = jm_ktype_is_float(from);
      if ((op->flags & JM_KFLAG_INT && is_float) || (op->flags & JM_KFLAG_FLT && !is_float))
        continue;
      if (op->result != JM_KRESULT_CAST) {
        jm_ktype to = op->result == JM_KRESULT_BOOL ? JM_KT_i1 : from;
        add_inst_case((jm_kopcode)c, from, to, 0, binding, width);
        continue;
      }
      for (jm_ktype to = 0; to < JM_N_KTYPES; to++)
        if (is_cast_allowed((jm_kopcode)c, from, to))
          add_inst_case((jm_kopcode)c, from, to, 0, binding, width);
    }
  }
  for (int call = 0; call < JM_N_KCALLS; call++)
    for (jm_ktype t = JM_KT_f32; t <= JM_KT_f64; t++)
      add_inst_case(JM_K_call, t, t, (jm_kcall)call, binding, width);
}

/* -- memory: z[to * i + b] = x[from * i + a] */
static void add_step_case(jm_ktype type, int64_t from, int64_t to, uint32_t width) {
  char name[64];
  snprintf(name, sizeof name, "step %s %d %d %u", jm_ktype_names[type], (int)from, (int)to,
           (unsigned)width);
  jm_kbuilder *b = begin_case(name);
  uint32_t x = case_param(b, type, false, 0), z = case_param(b, type, true, 0);
  jm_kloop loop;
  jm_kbuild_loop_begin(b, JM_BIND_VECTOR, width, jm_kbuild_index(b, 0), case_count(b), NULL, 0,
                       &loop);
  int64_t steps[2] = {from, to};
  jm_kval at[2];
  for (int i = 0; i < 2; i++) {
    jm_kval scaled = jm_kbuild2(b, JM_K_imul, loop.index, jm_kbuild_index(b, steps[i]));
    int64_t start = steps[i] < 0 ? CASE_ELEMENTS - 1 : 1;
    at[i] = jm_kbuild2(b, JM_K_iadd, scaled, jm_kbuild_index(b, start));
  }
  case_store(b, z, at[1], jm_kbuild_load(b, x, at[0]));
  jm_kbuild_loop_end(b, &loop, NULL);
  add_case(b);
}

/* z[(5 i) & 511] = x[y[i] & 511]: uneven */
static void add_gather_case(jm_ktype type, uint32_t width) {
  jm_kbuilder *b = begin_case("gather and scatter");
  uint32_t x = case_param(b, type, false, 0), y = case_param(b, JM_KT_i64, false, 0);
  uint32_t z = case_param(b, type, true, 0);
  jm_kval mask = jm_kbuild_index(b, CASE_ELEMENTS - 1);
  jm_kloop loop;
  jm_kbuild_loop_begin(b, JM_BIND_VECTOR, width, jm_kbuild_index(b, 0), case_count(b), NULL, 0,
                       &loop);
  jm_kval from = jm_kbuild2(b, JM_K_and, jm_kbuild_load(b, y, loop.index), mask);
  jm_kval five = jm_kbuild2(b, JM_K_imul, loop.index, jm_kbuild_index(b, 5));
  case_store(b, z, jm_kbuild2(b, JM_K_and, five, mask), jm_kbuild_load(b, x, from));
  jm_kbuild_loop_end(b, &loop, NULL);
  add_case(b);
}

/* Complex products, in place: pairs of loads and stores of step 2, one pair in reverse order. */
static void add_complex_case(jm_ktype type, uint32_t width, bool reversed) {
  jm_kbuilder *b = begin_case("complex");
  uint32_t x = case_param(b, type, true, 1), y = case_param(b, type, false, 1);
  jm_kloop loop;
  jm_kbuild_loop_begin(b, JM_BIND_VECTOR, width, jm_kbuild_index(b, 0), case_count(b), NULL, 0,
                       &loop);
  jm_kval re = jm_kbuild2(b, JM_K_imul, loop.index, jm_kbuild_index(b, 2));
  jm_kval im = jm_kbuild2(b, JM_K_iadd, re, jm_kbuild_index(b, 1));
  jm_kval p = jm_kbuild_load(b, x, re), q = jm_kbuild_load(b, x, im);
  jm_kval r = jm_kbuild_load(b, y, re), s = jm_kbuild_load(b, y, im);
  jm_kval real =
      jm_kbuild2(b, JM_K_fsub, jm_kbuild2(b, JM_K_fmul, p, r), jm_kbuild2(b, JM_K_fmul, q, s));
  jm_kval imaginary =
      jm_kbuild2(b, JM_K_fadd, jm_kbuild2(b, JM_K_fmul, p, s), jm_kbuild2(b, JM_K_fmul, q, r));
  case_store(b, x, reversed ? im : re, reversed ? imaginary : real);
  case_store(b, x, reversed ? re : im, reversed ? real : imaginary);
  jm_kbuild_loop_end(b, &loop, NULL);
  add_case(b);
}

/* -- loops that carry: the sum, and the largest element with its index, of rows in a chunk loop */
static void combine_sum_and_best(void *context, jm_kbuilder *b, const jm_kval *lower,
                                 const jm_kval *upper, jm_kval *out) {
  (void)context;
  out[0] = jm_kbuild2(b, JM_K_fadd, lower[0], upper[0]);
  jm_kval better = jm_kbuild2(b, JM_K_folt, lower[1], upper[1]);
  jm_kval equal = jm_kbuild2(b, JM_K_foeq, lower[1], upper[1]);
  jm_kval before = jm_kbuild2(b, JM_K_slt, upper[2], lower[2]);
  better = jm_kbuild2(b, JM_K_or, better, jm_kbuild2(b, JM_K_and, equal, before));
  out[1] = jm_kbuild3(b, JM_K_select, better, upper[1], lower[1]);
  out[2] = jm_kbuild3(b, JM_K_select, better, upper[2], lower[2]);
  out[3] = jm_kbuild2(b, JM_K_or, lower[3], upper[3]);
}

static void add_reduce_case(jm_ktype type, uint32_t width) {
  enum { ROWS = 5 };
  jm_kbuilder *b = begin_case("reduce");
  uint32_t x = case_param(b, type, false, 0), sum = case_param(b, type, true, 0);
  uint32_t best = case_param(b, type, true, 0), where = case_param(b, JM_KT_i64, true, 0);
  uint32_t any = case_param(b, JM_KT_i1, true, 0);
  jm_kloop rows, loop;
  jm_kval n = case_count(b);
  jm_kbuild_chunk_begin(b, ROWS, 2, &rows);
  jm_kval zero = jm_kbuild_float(b, type, 0),
          start[4] = {jm_kbuild_float(b, type, -0.0), jm_kbuild_float(b, type, -__builtin_inf()),
                      jm_kbuild_index(b, INT64_MAX), jm_kbuild_int(b, JM_KT_i1, 0)};
  jm_kbuild_loop_begin(b, JM_BIND_VECTOR, width, jm_kbuild_index(b, 0), n, start, 4, &loop);
  jm_kval at = jm_kbuild2(b, JM_K_iadd, loop.index, rows.index);
  jm_kval v = jm_kbuild_load(b, x, at);
  v = jm_kbuild3(b, JM_K_select, jm_kbuild2(b, JM_K_funo, v, v), zero, v);
  jm_kval one[4] = {v, v, loop.index, jm_kbuild2(b, JM_K_folt, v, zero)}, next[4];
  combine_sum_and_best(NULL, b, loop.carries, one, next);
  jm_kbuild_loop_end_combine(b, &loop, next, combine_sum_and_best, NULL);
  case_store(b, sum, rows.index, loop.carries[0]);
  case_store(b, best, rows.index, loop.carries[1]);
  case_store(b, where, rows.index, loop.carries[2]);
  case_store(b, any, rows.index, loop.carries[3]);
  jm_kbuild_loop_end(b, &rows, NULL);
  add_case(b);
}

/* Columns: a serial loop inside a vector loop, with carries that are uniform, even and varying. */
static void add_column_case(jm_ktype type, uint32_t width) {
  jm_kbuilder *b = begin_case("column");
  uint32_t x = case_param(b, type, false, 0), z = case_param(b, type, true, 0);
  jm_kloop loop, rows;
  jm_kval n = case_count(b);
  jm_kbuild_loop_begin(b, JM_BIND_VECTOR, width, jm_kbuild_index(b, 0), n, NULL, 0, &loop);
  jm_kval start[4] = {jm_kbuild_float(b, type, 0.5), jm_kbuild_index(b, 0), loop.index,
                      jm_kbuild_float(b, type, 1)};
  jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 0, jm_kbuild_index(b, 0), jm_kbuild_index(b, 7), start, 4,
                       &rows);
  jm_kval even = jm_kbuild_load(b, x, rows.carries[2]);
  jm_kval same = jm_kbuild_load(b, x, rows.carries[1]);
  jm_kval next[4] = {
      jm_kbuild2(b, JM_K_fadd, rows.carries[0], jm_kbuild2(b, JM_K_fmul, even, same)),
      jm_kbuild2(b, JM_K_iadd, rows.carries[1], jm_kbuild_index(b, 3)),
      jm_kbuild2(b, JM_K_iadd, rows.carries[2], jm_kbuild_index(b, 2)),
      jm_kbuild2(b, JM_K_fsub, same, rows.carries[3]),
  };
  jm_kbuild_loop_end(b, &rows, next);
  jm_kval r = jm_kbuild2(b, JM_K_fadd, rows.carries[0], rows.carries[3]);
  jm_kval number = jm_kbuild2(b, JM_K_iadd, rows.carries[1], rows.carries[2]);
  r = jm_kbuild2(b, JM_K_fadd, r, jm_kbuild_cast(b, JM_K_sitofp, type, number));
  case_store(b, z, loop.index, r);
  jm_kbuild_loop_end(b, &loop, NULL);
  add_case(b);
}

/* [rows, columns] through a tile of 32 lines; the count (as a bound) hides the sizes. */
static void add_tile_case(jm_ktype type, int64_t rows, int64_t columns) {
  enum { LINES = 32, PITCH = 40 };
  char name[64];
  snprintf(name, sizeof name, "tile %s %d %d", jm_ktype_names[type], (int)rows, (int)columns);
  jm_kbuilder *b = begin_case(name);
  const uint32_t x = case_param(b, type, false, 0), z = case_param(b, type, true, 0);
  const uint32_t tile = jm_kbuild_param(b, JM_SPACE_SCRATCH, type, LINES * PITCH, true, 0);
  const jm_kval zero = jm_kbuild_index(b, 0), pitch = jm_kbuild_index(b, PITCH);
  const jm_kval one = jm_k_smin(b, case_count(b), jm_kbuild_index(b, 1));
  const jm_kval n[2] = {jm_k_imul(b, one, jm_kbuild_index(b, rows)),
                        jm_k_imul(b, one, jm_kbuild_index(b, columns))};
  for (uint32_t back = 0; back < 2; back++) {
    jm_kloop line, loop;
    jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 1, zero, n[back], NULL, 0, &line);
    jm_kbuild_loop_begin(b, JM_BIND_VECTOR, 16, zero, n[!back], NULL, 0, &loop);
    jm_kval at = jm_k_iadd(b, jm_k_imul(b, line.index, pitch), loop.index);
    jm_kval global = jm_k_iadd(b, jm_k_imul(b, line.index, n[!back]), loop.index);
    if (back)
      jm_kbuild_store(b, z, global, jm_kbuild_load(b, tile, at));
    else
      jm_kbuild_store(b, tile, at, jm_kbuild_load(b, x, global));
    jm_kbuild_loop_end(b, &loop, NULL);
    jm_kbuild_loop_end(b, &line, NULL);
    if (!back) jm_kbuild_transpose(b, tile, PITCH, n[0], n[1]);
  }
  add_case(b);
}

static inline void add_tile_cases(void) {
  for (jm_ktype type = JM_KT_i8; type < JM_N_KTYPES; type++) {
    add_tile_case(type, 13, 32);
    add_tile_case(type, 25, 20);
    add_tile_case(type, 3, 5);
    add_tile_case(type, 17, 17);
  }
}

/* Rows through scratch memory, with constant bounds: what they leave for the rest is known. */
static void add_scratch_case(uint32_t width, int64_t columns) {
  jm_kbuilder *b = begin_case("scratch");
  uint32_t x = case_param(b, JM_KT_f32, false, 0), z = case_param(b, JM_KT_f32, true, 0);
  uint32_t s = jm_kbuild_param(b, JM_SPACE_SCRATCH, JM_KT_f32, columns + 1, true, 0);
  uint32_t t = jm_kbuild_param(b, JM_SPACE_SCRATCH, JM_KT_f32, columns + 1, true, 0);
  jm_kloop rows, loop;
  jm_kbuild_chunk_begin(b, 3, 1, &rows);
  jm_kval from = jm_kbuild2(b, JM_K_imul, rows.index, jm_kbuild_index(b, columns));
  for (int pass = 0; pass < 3; pass++) {
    jm_kbuild_loop_begin(b, JM_BIND_VECTOR, width, jm_kbuild_index(b, 0),
                         jm_kbuild_index(b, columns), NULL, 0, &loop);
    jm_kval at = jm_kbuild2(b, JM_K_iadd, from, loop.index);
    jm_kval v = jm_kbuild_load(b, pass == 0 ? x : pass == 1 ? s : t, pass == 0 ? at : loop.index);
    v = jm_kbuild2(b, JM_K_fmul, v, jm_kbuild_float(b, JM_KT_f32, 1.25));
    case_store(b, pass == 0 ? s : pass == 1 ? t : z, pass == 2 ? at : loop.index, v);
    jm_kbuild_loop_end(b, &loop, NULL);
  }
  jm_kbuild_loop_end(b, &rows, NULL);
  add_case(b);
}

/* A carried loop whose bounds are constants: none, too few, or a multiple of the width. */
static void combine_sum(void *context, jm_kbuilder *b, const jm_kval *lower, const jm_kval *upper,
                        jm_kval *out) {
  (void)context;
  out[0] = jm_kbuild2(b, JM_K_fadd, lower[0], upper[0]);
}

static void add_known_sum_case(uint32_t width, int64_t n) {
  jm_kbuilder *b = begin_case("known sum");
  uint32_t x = case_param(b, JM_KT_f64, false, 0), z = case_param(b, JM_KT_f64, true, 0);
  jm_kloop loop;
  jm_kval start = jm_kbuild_float(b, JM_KT_f64, 0);
  jm_kbuild_loop_begin(b, JM_BIND_VECTOR, width, jm_kbuild_index(b, 3), jm_kbuild_index(b, 3 + n),
                       &start, 1, &loop);
  jm_kval v = without_nan(b, jm_kbuild_load(b, x, loop.index));
  jm_kval next = jm_kbuild2(b, JM_K_fadd, loop.carries[0], v);
  jm_kbuild_loop_end_combine(b, &loop, &next, combine_sum, NULL);
  case_store(b, z, jm_kbuild_index(b, 0), loop.carries[0]);
  add_case(b);
}

/* Bounds that are a value apart from constants: how many iterations there are is known. */
static void add_offset_case(uint32_t width, int64_t columns) {
  jm_kbuilder *b = begin_case("offset");
  uint32_t x = case_param(b, JM_KT_f64, false, 0), z = case_param(b, JM_KT_f64, true, 0);
  uint32_t sum = case_param(b, JM_KT_f64, true, 0);
  jm_kloop rows, loop;
  jm_kbuild_chunk_begin(b, 4, 1, &rows);
  jm_kval from = jm_kbuild2(b, JM_K_imul, rows.index, jm_kbuild_index(b, columns + 2));
  jm_kval to = jm_kbuild2(b, JM_K_iadd, from, jm_kbuild_index(b, columns));
  jm_kval start = jm_kbuild_float(b, JM_KT_f64, 0);
  jm_kbuild_loop_begin(b, JM_BIND_VECTOR, width, from, to, &start, 1, &loop);
  jm_kval v = without_nan(b, jm_kbuild_load(b, x, loop.index));
  case_store(b, z, loop.index, v);
  jm_kval next = jm_kbuild2(b, JM_K_fadd, loop.carries[0], v);
  jm_kbuild_loop_end_combine(b, &loop, &next, combine_sum, NULL);
  case_store(b, sum, rows.index, loop.carries[0]);
  jm_kbuild_loop_end(b, &rows, NULL);
  add_case(b);
}

/* A flat range in chunks of 96, the last one shorter: sometimes a multiple of the width. */
static void add_chunked_case(uint32_t width, int64_t total) {
  jm_kbuilder *b = begin_case("chunked");
  uint32_t x = case_param(b, JM_KT_i16, false, 0), z = case_param(b, JM_KT_i16, true, 0);
  jm_kloop chunks, loop;
  jm_kbuild_chunk_begin(b, (total + 95) / 96, 1, &chunks);
  jm_kval from = jm_kbuild2(b, JM_K_imul, chunks.index, jm_kbuild_index(b, 96));
  jm_kval to = jm_kbuild2(b, JM_K_iadd, from, jm_kbuild_index(b, 96));
  to = jm_kbuild2(b, JM_K_smin, to, jm_kbuild_index(b, total));
  jm_kbuild_loop_begin(b, JM_BIND_VECTOR, width, from, to, NULL, 0, &loop);
  case_store(b, z, loop.index, jm_kbuild_load(b, x, loop.index));
  jm_kbuild_loop_end(b, &loop, NULL);
  jm_kbuild_loop_end(b, &chunks, NULL);
  add_case(b);
}

/* -- while, if, serial loops with carries: Collatz steps of each element */
static void add_while_case(void) {
  jm_kbuilder *b = begin_case("while");
  uint32_t x = case_param(b, JM_KT_i32, false, 0), z = case_param(b, JM_KT_i32, true, 0);
  jm_kloop loop;
  jm_kval n = case_count(b), total = jm_kbuild_int(b, JM_KT_i32, 0);
  jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 0, jm_kbuild_index(b, 0), n, &total, 1, &loop);
  jm_kval v = jm_kbuild_load(b, x, loop.index), one = jm_kbuild_int(b, JM_KT_i32, 1);
  v = jm_kbuild2(b, JM_K_iadd, jm_kbuild2(b, JM_K_and, v, jm_kbuild_int(b, JM_KT_i32, 63)), one);
  jm_kval initial[2] = {v, jm_kbuild_int(b, JM_KT_i32, 0)}, carries[2], results[2];
  jm_kinst loop_inst = jm_kbuild_while_begin(b, initial, 2, carries);
  jm_kbuild_while_body(b, loop_inst, jm_kbuild2(b, JM_K_ine, carries[0], one), carries);
  jm_kval odd = jm_kbuild2(b, JM_K_ieq, jm_kbuild2(b, JM_K_and, carries[0], one), one);
  jm_kinst choice = jm_kbuild_if_begin(b, odd);
  jm_kval three = jm_kbuild2(b, JM_K_imul, carries[0], jm_kbuild_int(b, JM_KT_i32, 3));
  jm_kval up = jm_kbuild2(b, JM_K_iadd, three, one), next[2];
  jm_kbuild_if_else(b, choice, &up, 1);
  jm_kval down = jm_kbuild2(b, JM_K_lshr, carries[0], one);
  jm_kbuild_if_end(b, choice, &down, next);
  next[1] = jm_kbuild2(b, JM_K_iadd, carries[1], one);
  jm_kbuild_while_end(b, loop_inst, next, results);
  case_store(b, z, loop.index, results[1]);
  jm_kval sum = jm_kbuild2(b, JM_K_iadd, loop.carries[0], results[1]);
  jm_kbuild_loop_end(b, &loop, &sum);
  case_store(b, z, jm_kbuild_index(b, CASE_ELEMENTS - 1), loop.carries[0]);
  add_case(b);
}

/* -- random kernels: a body of random instructions over random loads */
enum { POOL = 48 };
typedef struct random_body {
  jm_kval values[JM_N_KTYPES][POOL];
  uint32_t n[JM_N_KTYPES];
} random_body;

static void keep_value(jm_kbuilder *b, random_body *r, jm_kval v) {
  jm_ktype t = jm_kbuild_type(b, v);
  if (r->n[t] < POOL) r->values[t][r->n[t]++] = v;
}

static jm_kval pick_value(const random_body *r, jm_ktype t) {
  return r->values[t][random_number(r->n[t])];
}

static void add_random_inst(jm_kbuilder *b, random_body *r) {
  jm_kopcode code = (jm_kopcode)random_number(JM_N_KOPS);
  const jm_kop_fact *op = &jm_kop_facts[code];
  if (op->operands < 1 || !(op->flags & JM_KFLAG_PURE)) return;
  jm_ktype from = (jm_ktype)random_number(JM_N_KTYPES), to = (jm_ktype)random_number(JM_N_KTYPES);
  bool is_float = jm_ktype_is_float(from);
  if ((op->flags & JM_KFLAG_INT && is_float) || (op->flags & JM_KFLAG_FLT && !is_float)) return;
  jm_kval x[3];
  for (int i = 0; i < op->operands; i++) x[i] = pick_value(r, from);
  if (code == JM_K_select) x[0] = pick_value(r, JM_KT_i1);
  if (op->result == JM_KRESULT_CAST) {
    if (!is_cast_allowed(code, from, to)) return;
    guard_operands(b, code, to, x);
    keep_value(b, r, jm_kbuild_cast(b, code, to, x[0]));
    return;
  }
  guard_operands(b, code, to, x);
  keep_value(b, r,
             op->operands == 1   ? jm_kbuild1(b, code, x[0])
             : op->operands == 2 ? jm_kbuild2(b, code, x[0], x[1])
                                 : jm_kbuild3(b, code, x[0], x[1], x[2]));
}

static inline void add_random_case(void) {
  char name[64];
  snprintf(name, sizeof name, "random %llu", (unsigned long long)case_seed);
  jm_kbuilder *b = begin_case(name);
  uint32_t in[JM_N_KTYPES], out[JM_N_KTYPES];
  for (jm_ktype t = 0; t < JM_N_KTYPES; t++) in[t] = case_param(b, t, false, 0);
  for (jm_ktype t = 0; t < JM_N_KTYPES; t++) out[t] = case_param(b, t, true, 0);
  random_body r = {{{0}}, {0}};
  jm_kloop loop, inner;
  jm_kval n = case_count(b), mask = jm_kbuild_index(b, CASE_ELEMENTS - 1);
  bool known = random_number(2); /* then much is known of i64 values, too */
  if (known) n = jm_kbuild_index(b, random_number(99));
  jm_kbuild_loop_begin(b, JM_BIND_VECTOR, 1u << (1 + random_number(5)), jm_kbuild_index(b, 0), n,
                       NULL, 0, &loop);
  for (jm_ktype t = 0; t < JM_N_KTYPES; t++) {
    for (int i = 0; i < 2; i++) {
      int64_t scale = (int64_t)random_number(4), start = (int64_t)random_number(9);
      jm_kval at = jm_kbuild2(b, JM_K_imul, loop.index, jm_kbuild_index(b, scale));
      at = jm_kbuild2(b, JM_K_iadd, at, jm_kbuild_index(b, start));
      if (!random_number(3)) at = jm_kbuild2(b, JM_K_and, at, mask);
      keep_value(b, &r, case_load(b, in[t], t, at));
    }
    keep_value(b, &r,
               jm_ktype_is_float(t) ? jm_kbuild_float(b, t, (double)random_number(100) / 8 - 6)
                                    : jm_kbuild_int(b, t, (int64_t)random_number(2)));
  }
  keep_value(b, &r, loop.index);
  for (int i = 0; known && i < 6; i++) { /* indices as they are made of shapes */
    static const jm_kopcode codes[] = {JM_K_udiv, JM_K_urem, JM_K_imul, JM_K_iadd,
                                       JM_K_isub, JM_K_sdiv, JM_K_smin, JM_K_umax};
    jm_kval c = jm_kbuild_index(b, 1 + (int64_t)random_number(i % 2 ? 40 : 1 << 24));
    jm_kopcode code = codes[random_number(sizeof codes / sizeof *codes)];
    keep_value(b, &r, jm_kbuild2(b, code, i ? pick_value(&r, JM_KT_i64) : loop.index, c));
  }
  uint32_t insts = 5 + random_number(40);
  for (uint32_t i = 0; i < insts; i++) add_random_inst(b, &r);
  if (random_number(2)) { /* a loop inside, with a carry of each type */
    jm_kval start[JM_N_KTYPES], next[JM_N_KTYPES];
    for (jm_ktype t = 0; t < JM_N_KTYPES; t++) start[t] = pick_value(&r, t);
    jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 0, jm_kbuild_index(b, 0), jm_kbuild_index(b, 3), start,
                         JM_N_KTYPES, &inner);
    random_body body = r;
    for (jm_ktype t = 0; t < JM_N_KTYPES; t++) {
      if (body.n[t] == POOL) body.n[t]--;
      keep_value(b, &body, inner.carries[t]);
    }
    keep_value(b, &body, inner.index);
    for (uint32_t i = 0; i < insts / 2; i++) add_random_inst(b, &body);
    for (jm_ktype t = 0; t < JM_N_KTYPES; t++) next[t] = pick_value(&body, t);
    jm_kbuild_loop_end(b, &inner, next);
    for (jm_ktype t = 0; t < JM_N_KTYPES; t++) {
      if (r.n[t] == POOL) r.n[t]--;
      keep_value(b, &r, inner.carries[t]);
    }
  }
  for (jm_ktype t = 0; t < JM_N_KTYPES; t++)
    case_store(b, out[t], loop.index, r.values[t][r.n[t] - 1]);
  jm_kbuild_loop_end(b, &loop, NULL);
  add_case(b);
}

static inline void add_memory_cases(void) {
  static const int64_t steps[] = {0, 1, -1, 2, -2, 3, 4};
  static const jm_ktype types[] = {JM_KT_i8, JM_KT_i16, JM_KT_f32, JM_KT_f64};
  for (size_t t = 0; t < sizeof types / sizeof *types; t++)
    for (uint32_t width = 2; width <= 32; width *= 4) {
      for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        add_step_case(types[t], steps[i], 1, width);
        if (i) add_step_case(types[t], 1, steps[i], width);
      }
      add_gather_case(types[t], width);
    }
}

static inline void add_loop_cases(void) {
  add_tile_cases();
  for (jm_ktype t = JM_KT_f32; t <= JM_KT_f64; t++)
    for (uint32_t width = 2; width <= 32; width *= 2) {
      add_reduce_case(t, width);
      add_column_case(t, width);
      add_complex_case(t, width, false);
      add_complex_case(t, width, true);
    }
  for (uint32_t width = 4; width <= 32; width *= 2) {
    static const int64_t sizes[] = {1, 15, 16, 32, 35};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) add_scratch_case(width, sizes[i]);
    for (int64_t n = 0; n <= 64; n += 16) add_known_sum_case(width, n);
    add_known_sum_case(width, 37);
    for (int64_t n = 384; n < 400; n += 5) add_chunked_case(width, n);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) add_offset_case(width, sizes[i]);
  }
  add_while_case();
}

#endif
