/* SPDX-License-Identifier: Apache-2.0
 * Vectors of f32 and f64 on x86-64. Includes the file TEMPLATE once for each element type and
 * instruction set, with these defined:
 *   NAME(x): of the pair; T: the element; V: a vector of LANES of them; TARGET: the functions'
 *   attribute; REGISTERS: how many vectors they hold;
 *   LOAD(p), STORE(p, x), SPLAT(x), MULTIPLY_ADD(x, y, z): x y + z with one rounding;
 *   LOAD_FIRST(p, n): 0 < n <= LANES elements, then zeros; STORE_FIRST(p, n, x): so many;
 *   SUM(x): of the lanes.
 * The template defines one `static const TYPE NAME(TABLE)`; FIND_TABLE defines how to find it. On
 * other machines nothing is included, and nothing found. */
#include "base/dtype.h"
#include "engine/host/library/cpu.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

/* Ones in the first n lanes. */
static inline __attribute__((target("avx2"))) __m256i first_f32(size_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline __attribute__((target("avx2"))) __m256i first_f64(size_t n) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)n), _mm256_setr_epi64x(0, 1, 2, 3));
}

static inline __attribute__((target("avx2"))) float sum_f32_256(__m256 x) {
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

static inline __attribute__((target("avx2"))) double sum_f64_256(__m256d x) {
  __m128d two = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd(x, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

#define TARGET __attribute__((target("avx512f")))
#define REGISTERS 32

#define NAME(x) f32_512_##x
#define T float
#define V __m512
#define LANES 16
#define LOAD(p) _mm512_loadu_ps(p)
#define LOAD_FIRST(p, n) _mm512_maskz_loadu_ps((__mmask16)((1u << (n)) - 1), p)
#define STORE(p, x) _mm512_storeu_ps(p, x)
#define STORE_FIRST(p, n, x) _mm512_mask_storeu_ps(p, (__mmask16)((1u << (n)) - 1), x)
#define SPLAT(x) _mm512_set1_ps(x)
#define SUM(x) _mm512_reduce_add_ps(x)
#define MULTIPLY_ADD(x, y, z) _mm512_fmadd_ps(x, y, z)
#include TEMPLATE
#include "engine/host/library/float_vectors_end.h"

#define NAME(x) f64_512_##x
#define T double
#define V __m512d
#define LANES 8
#define LOAD(p) _mm512_loadu_pd(p)
#define LOAD_FIRST(p, n) _mm512_maskz_loadu_pd((__mmask8)((1u << (n)) - 1), p)
#define STORE(p, x) _mm512_storeu_pd(p, x)
#define STORE_FIRST(p, n, x) _mm512_mask_storeu_pd(p, (__mmask8)((1u << (n)) - 1), x)
#define SPLAT(x) _mm512_set1_pd(x)
#define SUM(x) _mm512_reduce_add_pd(x)
#define MULTIPLY_ADD(x, y, z) _mm512_fmadd_pd(x, y, z)
#include TEMPLATE
#include "engine/host/library/float_vectors_end.h"

#undef TARGET
#undef REGISTERS
#define TARGET __attribute__((target("avx2,fma")))
#define REGISTERS 16

#define NAME(x) f32_256_##x
#define T float
#define V __m256
#define LANES 8
#define LOAD(p) _mm256_loadu_ps(p)
#define LOAD_FIRST(p, n) _mm256_maskload_ps(p, first_f32(n))
#define STORE(p, x) _mm256_storeu_ps(p, x)
#define STORE_FIRST(p, n, x) _mm256_maskstore_ps(p, first_f32(n), x)
#define SPLAT(x) _mm256_set1_ps(x)
#define SUM(x) sum_f32_256(x)
#define MULTIPLY_ADD(x, y, z) _mm256_fmadd_ps(x, y, z)
#include TEMPLATE
#include "engine/host/library/float_vectors_end.h"

#define NAME(x) f64_256_##x
#define T double
#define V __m256d
#define LANES 4
#define LOAD(p) _mm256_loadu_pd(p)
#define LOAD_FIRST(p, n) _mm256_maskload_pd(p, first_f64(n))
#define STORE(p, x) _mm256_storeu_pd(p, x)
#define STORE_FIRST(p, n, x) _mm256_maskstore_pd(p, first_f64(n), x)
#define SPLAT(x) _mm256_set1_pd(x)
#define SUM(x) sum_f64_256(x)
#define MULTIPLY_ADD(x, y, z) _mm256_fmadd_pd(x, y, z)
#include TEMPLATE
#include "engine/host/library/float_vectors_end.h"

#undef TARGET
#undef REGISTERS

/* Defines find_TABLE(dtype, most): of the longest vectors that the machine has, up to those of a
 * level; NULL: there are none for the type. */
#define FIND_TABLE(TYPE, TABLE)                                        \
  static const TYPE *find_##TABLE(jm_dtype dtype, jm_cpu_level most) { \
    static const TYPE *const tables[][2] = {                           \
        [JM_CPU_AVX2] = {&f32_256_##TABLE, &f64_256_##TABLE},          \
        [JM_CPU_AVX512] = {&f32_512_##TABLE, &f64_512_##TABLE},        \
    };                                                                 \
    const jm_cpu_level level = jm_cpu_find_level();                    \
    if (dtype != JM_DT_f32 && dtype != JM_DT_f64) return NULL;         \
    return tables[level < most ? level : most][dtype == JM_DT_f64];    \
  }
#else
#define FIND_TABLE(TYPE, TABLE)                                        \
  static const TYPE *find_##TABLE(jm_dtype dtype, jm_cpu_level most) { \
    (void)dtype, (void)most;                                           \
    return NULL;                                                       \
  }
#endif
