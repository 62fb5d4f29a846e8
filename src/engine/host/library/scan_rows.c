/* SPDX-License-Identifier: Apache-2.0
 * Squares of the rows are transposed in registers: a line is then an element of each row, and the
 * next line's accumulators. So each row's elements are taken in order, and the bits are those of
 * one row after the other. The processor does not foresee lines of several rows in turns: what the
 * next squares read is asked for in the order of memory, and ordinary stores, which read the lines
 * that they overwrite, take three times as long as those past the caches. */
#include "engine/host/library/scan_rows.h"

#include <stdint.h>
#include <string.h>

#include "base/loop.h"
#include "engine/host/library/cpu.h"
#include "engine/host/library/square.h"

#define SQUARE(T) (64 / sizeof(T))

/* The i-th of n in the scan's order. */
#define AHEAD(i, n) (i)
#define BACK(i, n) ((n) - 1 - (i))

/* A square of rows of n elements; all: the accumulators. */
#define SCAN_SQUARE(name, T, bytes, OP, ORDER, target, STORE)                        \
  target static inline __attribute__((always_inline)) void name##_square(            \
      T *to, const T *x, const T *next, size_t n, T *all) {                          \
    typedef T lanes __attribute__((vector_size(64)));                                \
    line_##bytes a[SQUARE(T)];                                                       \
    lanes acc;                                                                       \
    memcpy(&acc, all, sizeof acc);                                                   \
    _Pragma("GCC unroll 16") for (size_t i = 0; i < SQUARE(T); i++)                  \
        memcpy(&a[i], x + i * n, sizeof a[i]);                                       \
    for (size_t i = 0; i < SQUARE(T); i++) __builtin_prefetch(next + i * SQUARE(T)); \
    ROUNDS_##bytes _Pragma("GCC unroll 16") for (size_t i = 0; i < SQUARE(T); i++) { \
      acc = acc OP(lanes) a[ORDER(i, SQUARE(T))];                                    \
      a[ORDER(i, SQUARE(T))] = (line_##bytes)acc;                                    \
    }                                                                                \
    ROUNDS_##bytes _Pragma("GCC unroll 16") for (size_t i = 0; i < SQUARE(T); i++)   \
        STORE(to + i * n, a[i]);                                                     \
    memcpy(all, &acc, sizeof acc);                                                   \
  }

/* The elements behind the last square, which a scan ends with, or begins. */
#define SCAN_REST(T, OP, ORDER)                              \
  for (size_t i = 0; whole < n && i < SQUARE(T); i++)        \
    for (size_t k = 0; k < n - whole; k++) {                 \
      const size_t at = i * n + whole + ORDER(k, n - whole); \
      to[at] = all[i] = all[i] OP x[at];                     \
    }

#define SCAN_ROWS(name, T, OP, ORDER, target, END)                                          \
  target static void name(void *to_data, const void *x_data, const void *init, size_t rows, \
                          size_t n) {                                                       \
    const size_t whole = n / SQUARE(T) * SQUARE(T);                                         \
    const bool ahead = ORDER(0, 2) == 0;                                                    \
    const T *x = x_data;                                                                    \
    T *to = to_data, first, all[SQUARE(T)];                                                 \
    size_t r = 0;                                                                           \
    memcpy(&first, init, sizeof first);                                                     \
    for (; whole && r + SQUARE(T) <= rows;                                                  \
         r += SQUARE(T), x += SQUARE(T) * n, to += SQUARE(T) * n) {                         \
      const T *next = x + (r + 2 * SQUARE(T) <= rows ? SQUARE(T) * n : 0);                  \
      for (size_t i = 0; i < SQUARE(T); i++) all[i] = first;                                \
      if (!ahead) SCAN_REST(T, OP, ORDER)                                                   \
      for (size_t i = 0; i < whole; i += SQUARE(T)) {                                       \
        const size_t at = ORDER(i / SQUARE(T), whole / SQUARE(T)) * SQUARE(T);              \
        name##_square(to + at, x + at, next + i * SQUARE(T), n, all);                       \
      }                                                                                     \
      if (ahead) SCAN_REST(T, OP, ORDER)                                                    \
    }                                                                                       \
    for (; r < rows; r++, x += n, to += n) {                                                \
      T acc = first;                                                                        \
      for (size_t k = 0; k < n; k++) to[ORDER(k, n)] = acc = acc OP x[ORDER(k, n)];         \
    }                                                                                       \
    END;                                                                                    \
  }

#define STORE(to, line) memcpy(to, &(line), sizeof(line))

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define AVX512 __attribute__((target("avx512f")))
#define STREAM(to, line) _mm512_stream_si512((void *)(to), (__m512i)(line))
#define DEFINE_STREAMING(name, T, bytes, OP, ORDER)               \
  SCAN_SQUARE(stream_##name, T, bytes, OP, ORDER, AVX512, STREAM) \
  SCAN_ROWS(stream_##name, T, OP, ORDER, AVX512, _mm_sfence())
#define STREAMING(name) stream_##name
#else
#define DEFINE_STREAMING(name, T, bytes, OP, ORDER)
#define STREAMING(name) name
#endif

#define DEFINE_ORDER(name, T, bytes, OP, ORDER)     \
  SCAN_SQUARE(name, T, bytes, OP, ORDER, , STORE)   \
  SCAN_ROWS(name, T, OP, ORDER, JM_CLONES, (void)0) \
  DEFINE_STREAMING(name, T, bytes, OP, ORDER)
#define DEFINE(name, T, bytes, OP)        \
  DEFINE_ORDER(name, T, bytes, OP, AHEAD) \
  DEFINE_ORDER(back_##name, T, bytes, OP, BACK)
DEFINE(add_f32, float, 4, +)
DEFINE(add_f64, double, 8, +)
DEFINE(add_32, uint32_t, 4, +)
DEFINE(add_64, uint64_t, 8, +)
DEFINE(multiply_f32, float, 4, *)
DEFINE(multiply_f64, double, 8, *)
DEFINE(multiply_32, uint32_t, 4, *)
DEFINE(multiply_64, uint64_t, 8, *)

typedef struct scan {
  jm_opcode code;
  jm_dtype dtype;
  jm_scan_rows *run[2], *stream[2]; /* ahead, back */
} scan;

#define SCAN(code, dtype, name)                                                                   \
  {                                                                                               \
    JM_OP_##code, JM_DT_##dtype, {name, back_##name}, { STREAMING(name), STREAMING(back_##name) } \
  }

jm_scan_rows *jm_scan_rows_find(jm_opcode code, jm_dtype dtype, bool reverse, bool streams) {
  static const scan scans[] = {
      SCAN(add, f32, add_f32),
      SCAN(add, f64, add_f64),
      SCAN(add, s32, add_32),
      SCAN(add, u32, add_32),
      SCAN(add, s64, add_64),
      SCAN(add, u64, add_64),
      SCAN(multiply, f32, multiply_f32),
      SCAN(multiply, f64, multiply_f64),
      SCAN(multiply, s32, multiply_32),
      SCAN(multiply, u32, multiply_32),
      SCAN(multiply, s64, multiply_64),
      SCAN(multiply, u64, multiply_64),
  };
  for (size_t i = 0; i < sizeof scans / sizeof *scans; i++)
    if (scans[i].code == code && scans[i].dtype == dtype)
      return streams && jm_cpu_find_level() == JM_CPU_AVX512 ? scans[i].stream[reverse]
                                                             : scans[i].run[reverse];
  return NULL;
}
