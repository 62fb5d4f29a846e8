/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library/order_vector.h"

#include <stdbool.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

enum { ROWS = 16 }; /* vectors of a block: with 16 registers, half of them wait in the cache */

/* Lane numbers of 4 bytes with a bit flipped. */
static const uint32_t flipped[16][16] __attribute__((aligned(64))) = {
#define X(i, m) ((i) ^ (m))
#define ROW(m)                                                                  \
  {X(0, m), X(1, m), X(2, m),  X(3, m),  X(4, m),  X(5, m),  X(6, m),  X(7, m), \
   X(8, m), X(9, m), X(10, m), X(11, m), X(12, m), X(13, m), X(14, m), X(15, m)}
    ROW(0), ROW(1), ROW(2),  ROW(3),  ROW(4),  ROW(5),  ROW(6),  ROW(7),
    ROW(8), ROW(9), ROW(10), ROW(11), ROW(12), ROW(13), ROW(14), ROW(15),
#undef ROW
#undef X
};

/* Of a mask of 8 lanes: the numbers of the lanes that it has, a byte each, in order. */
static const uint64_t packed[256] = {
#define LANE(m, i) \
  ((m) >> (i) & 1 ? (uint64_t)(i) << 8 * __builtin_popcount((m) & ((1u << (i)) - 1)) : 0)
#define MASK(m)                                                                              \
  LANE(m, 0) | LANE(m, 1) | LANE(m, 2) | LANE(m, 3) | LANE(m, 4) | LANE(m, 5) | LANE(m, 6) | \
      LANE(m, 7)
#define MASK_4(m) MASK(m), MASK(m + 1), MASK(m + 2), MASK(m + 3)
#define MASK_16(m) MASK_4(m), MASK_4(m + 4), MASK_4(m + 8), MASK_4(m + 12)
#define MASK_64(m) MASK_16(m), MASK_16(m + 16), MASK_16(m + 32), MASK_16(m + 48)
    MASK_64(0u),
    MASK_64(64u),
    MASK_64(128u),
    MASK_64(192u),
#undef MASK_64
#undef MASK_16
#undef MASK_4
#undef MASK
#undef LANE
};

#define LOAD_512(p) _mm512_loadu_si512(p)
#define STORE_512(p, x) _mm512_storeu_si512(p, x)
#define LANE_XOR_512(x, m) _mm512_permutexvar_epi32(LOAD_512(flipped[m]), x)
/* The numbers of lanes with a bit. */
#define HAS(bit) ((bit) == 1 ? 0xaaaa : (bit) == 2 ? 0xcccc : (bit) == 4 ? 0xf0f0 : 0xff00)
#define FIRST(n, lanes) ((n) <= 0 ? 0 : (n) >= (lanes) ? (1u << (lanes)) - 1 : (1u << (n)) - 1)

#define NAME(x) u32_512_##x
#define T uint32_t
#define V __m512i
#define LANES 16
#define TARGET __attribute__((target("avx512f,popcnt")))
#define LOAD(p) LOAD_512(p)
#define LOAD_FIRST(p, n) _mm512_mask_loadu_epi32(_mm512_set1_epi32(-1), (__mmask16)FIRST(n, 16), p)
#define STORE(p, x) STORE_512(p, x)
#define SPLAT(x) _mm512_set1_epi32((int)(x))
#define LEAST(x, y) _mm512_min_epu32(x, y)
#define MOST(x, y) _mm512_max_epu32(x, y)
#define LANE_XOR(x, m) LANE_XOR_512(x, m)
#define LANES_WITH(x, y, bit) _mm512_mask_mov_epi32(x, HAS(bit), y)
#define AFTER(x, y) _mm512_cmpgt_epu32_mask(x, y)
#define PACK(p, x, mask) STORE_512(p, _mm512_maskz_compress_epi32((__mmask16)(mask), x))
#include "engine/host/library/order_vector_sort.h"

#define NAME(x) u64_512_##x
#define T uint64_t
#define V __m512i
#define LANES 8
#define TARGET __attribute__((target("avx512f,popcnt")))
#define LOAD(p) LOAD_512(p)
#define LOAD_FIRST(p, n) _mm512_mask_loadu_epi64(_mm512_set1_epi64(-1), (__mmask8)FIRST(n, 8), p)
#define STORE(p, x) STORE_512(p, x)
#define SPLAT(x) _mm512_set1_epi64((long long)(x))
#define LEAST(x, y) _mm512_min_epu64(x, y)
#define MOST(x, y) _mm512_max_epu64(x, y)
#define LANE_XOR(x, m) LANE_XOR_512(x, 2 * (m))
#define LANES_WITH(x, y, bit) _mm512_mask_mov_epi64(x, HAS(bit) & 0xff, y)
#define AFTER(x, y) _mm512_cmpgt_epu64_mask(x, y)
#define PACK(p, x, mask) STORE_512(p, _mm512_maskz_compress_epi64((__mmask8)(mask), x))
#include "engine/host/library/order_vector_sort.h"

#define TARGET_256 __attribute__((target("avx2,popcnt")))
#define INLINE_256 static inline __attribute__((always_inline)) TARGET_256
#define LOAD_256(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define STORE_256(p, x) _mm256_storeu_si256((__m256i *)(void *)(p), x)
#define LANE_XOR_256(x, m) _mm256_permutevar8x32_epi32(x, LOAD_256(flipped[m]))

/* The lanes of 4 bytes whose number is less than n, else ones. */
INLINE_256 __m256i first_256(const void *p, int n) {
  const __m256i is_in = _mm256_cmpgt_epi32(_mm256_set1_epi32(n), LOAD_256(flipped[0]));
  const __m256i x = _mm256_maskload_epi32(p, is_in);
  return _mm256_or_si256(x, _mm256_xor_si256(is_in, _mm256_set1_epi32(-1)));
}

/* The lanes of 4 bytes of y whose number has the bit, the others of x. */
INLINE_256 __m256i lanes_with_256(__m256i x, __m256i y, int bit) {
  return bit == 1   ? _mm256_blend_epi32(x, y, 0xaa)
         : bit == 2 ? _mm256_blend_epi32(x, y, 0xcc)
                    : _mm256_blend_epi32(x, y, 0xf0);
}

INLINE_256 __m256i pack_256(__m256i x, unsigned mask) {
  const __m128i lanes = _mm_cvtsi64_si128((long long)packed[mask & 0xff]);
  return _mm256_permutevar8x32_epi32(x, _mm256_cvtepu8_epi32(lanes));
}

/* A mask of 4 lanes of 8 bytes as one of 8 of 4. */
#define DOUBLED(mask) \
  (((mask) & 1) * 3 | ((mask) >> 1 & 1) * 12 | ((mask) >> 2 & 1) * 48 | ((mask) >> 3 & 1) * 192)

INLINE_256 unsigned after_u32_256(__m256i x, __m256i y) {
  const __m256i at_most = _mm256_cmpeq_epi32(_mm256_max_epu32(x, y), y);
  return ~(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(at_most));
}

#define NAME(x) u32_256_##x
#define T uint32_t
#define V __m256i
#define LANES 8
#define TARGET TARGET_256
#define LOAD(p) LOAD_256(p)
#define LOAD_FIRST(p, n) first_256(p, n)
#define STORE(p, x) STORE_256(p, x)
#define SPLAT(x) _mm256_set1_epi32((int)(x))
#define LEAST(x, y) _mm256_min_epu32(x, y)
#define MOST(x, y) _mm256_max_epu32(x, y)
#define LANE_XOR(x, m) LANE_XOR_256(x, m)
#define LANES_WITH(x, y, bit) lanes_with_256(x, y, bit)
#define AFTER(x, y) after_u32_256(x, y)
#define PACK(p, x, mask) STORE_256(p, pack_256(x, mask))
#include "engine/host/library/order_vector_sort.h"

/* There are only signed comparisons of 8 bytes: in registers the sign is flipped. */
#define SIGN_256 _mm256_set1_epi64x(INT64_MIN)

#define NAME(x) u64_256_##x
#define T uint64_t
#define V __m256i
#define LANES 4
#define TARGET TARGET_256
#define LOAD(p) _mm256_xor_si256(LOAD_256(p), SIGN_256)
#define LOAD_FIRST(p, n) _mm256_xor_si256(first_256(p, 2 * (n)), SIGN_256)
#define STORE(p, x) STORE_256(p, _mm256_xor_si256(x, SIGN_256))
#define SPLAT(x) _mm256_xor_si256(_mm256_set1_epi64x((long long)(x)), SIGN_256)
#define LEAST(x, y) _mm256_blendv_epi8(x, y, _mm256_cmpgt_epi64(x, y))
#define MOST(x, y) _mm256_blendv_epi8(y, x, _mm256_cmpgt_epi64(x, y))
#define LANE_XOR(x, m) LANE_XOR_256(x, 2 * (m))
#define LANES_WITH(x, y, bit) lanes_with_256(x, y, 2 * (bit))
#define AFTER(x, y) ((unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(x, y))))
#define PACK(p, x, mask) STORE(p, pack_256(x, DOUBLED(mask)))
#include "engine/host/library/order_vector_sort.h"

__attribute__((target("avx512f"))) static uint64_t within_512(const uint32_t *keys,
                                                              uint32_t bound) {
  const __m512i most = _mm512_set1_epi32((int)bound);
  uint64_t set = 0;
  for (int i = 0; i < JM_ORDER_SET; i += 16)
    set |= (uint64_t)_mm512_cmple_epu32_mask(LOAD_512(keys + i), most) << i;
  return set;
}

#define FIND_LEAST(bits, V, target_of)                                             \
  target_of static void least_##bits(const uint32_t *keys, size_t n, size_t lanes, \
                                     uint32_t *out) {                              \
    for (size_t lane = 0; lane < lanes; lane += bits / 32) {                       \
      V least = LOAD_##bits(keys + lane);                                          \
      for (size_t i = lanes; i + lanes <= n; i += lanes)                           \
        least = _mm##bits##_min_epu32(least, LOAD_##bits(keys + i + lane));        \
      STORE_##bits(out + lane, least);                                             \
    }                                                                              \
  }
FIND_LEAST(512, __m512i, __attribute__((target("avx512f"))))
FIND_LEAST(256, __m256i, TARGET_256)

TARGET_256 static uint64_t within_256(const uint32_t *keys, uint32_t bound) {
  const __m256i most = _mm256_set1_epi32((int)bound);
  uint64_t set = 0;
  for (int i = 0; i < JM_ORDER_SET; i += 8)
    set |= (uint64_t)(~after_u32_256(LOAD_256(keys + i), most) & 0xff) << i;
  return set;
}

const jm_order_vector *jm_order_vector_find(jm_cpu_level level) {
  static const jm_order_vector v512 = {u32_512_sort, u64_512_sort, SIZE_MAX,
                                       4096,         within_512,   least_512},
                               v256 = {u32_256_sort, u64_256_sort, 2048,
                                       256,          within_256,   least_256};
  return level == JM_CPU_AVX512 ? &v512 : level == JM_CPU_AVX2 ? &v256 : NULL;
}
#else
const jm_order_vector *jm_order_vector_find(jm_cpu_level level) {
  (void)level;
  return NULL;
}
#endif
