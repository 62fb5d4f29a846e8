/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sha256.h"

#include <stdatomic.h>
#include <string.h>
#if defined(__x86_64__) && defined(__GNUC__)
#define JM_SHA_X86 1
#include <cpuid.h>
#include <immintrin.h>
#else
#define JM_SHA_X86 0
#endif

enum { BLOCK = 64 };

/* FIPS 180-4, section 4.2.2: of the cube roots of the first 64 primes. */
static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, unsigned n) { return x >> n | x << (32 - n); }

static uint32_t read_word(const unsigned char *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The message schedule of a block (section 6.2.2, step 1). */
static void expand(const unsigned char *block, uint32_t w[64]) {
  for (int t = 0; t < 16; t++) w[t] = read_word(block + 4 * t);
  for (int t = 16; t < 64; t++) {
    uint32_t a = w[t - 15], b = w[t - 2];
    w[t] = (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10) + w[t - 7] +
           (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + w[t - 16];
  }
}

/* Round t + i. The eight words change roles instead of places. */
static void run_round(uint32_t s[8], int i, uint32_t message) {
  uint32_t a = s[(8 - i) & 7], b = s[(9 - i) & 7], c = s[(10 - i) & 7], *d = &s[(11 - i) & 7];
  uint32_t e = s[(12 - i) & 7], f = s[(13 - i) & 7], g = s[(14 - i) & 7], *h = &s[(15 - i) & 7];
  uint32_t first =
      *h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + message;
  uint32_t second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
  *d += first;
  *h = first + second;
}

static void add_block(uint32_t state[8], const unsigned char *block) {
  uint32_t w[64], s[8];
  expand(block, w);
  memcpy(s, state, sizeof s);
  for (int t = 0; t < 64; t += 8)
    for (int i = 0; i < 8; i++) run_round(s, i, constants[t + i] + w[t + i]);
  for (int i = 0; i < 8; i++) state[i] += s[i];
}

#if JM_SHA_X86
/* The processor's own instructions, five times as fast: four rounds at a time, on words (a, b, e,
 * f) and (c, d, g, h), highest first. */
__attribute__((target("sha,sse4.1"))) static void add_block_x86(uint32_t state[8],
                                                                const unsigned char *block) {
  const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i w[4], *words = (__m128i *)state;
  const __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128(words), 0xb1);
  const __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(words + 1), 0x1b);
  const __m128i abef_before = _mm_alignr_epi8(cdab, efgh, 8);
  const __m128i cdgh_before = _mm_blend_epi16(efgh, cdab, 0xf0);
  __m128i abef = abef_before, cdgh = cdgh_before;
  for (int i = 0; i < 4; i++)
    w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)block + i), order);
  for (int t = 0; t < 16; t++) {
    const __m128i new = w[t & 3], k = _mm_loadu_si128((const __m128i *)constants + t);
    const __m128i message = _mm_add_epi32(new, k);
    cdgh = _mm_sha256rnds2_epu32(cdgh, abef, message);
    abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(message, 0x0e));
    const __m128i last = w[(t + 3) & 3], seventh = _mm_alignr_epi8(last, w[(t + 2) & 3], 4);
    const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(new, w[(t + 1) & 3]), seventh);
    w[t & 3] = _mm_sha256msg2_epu32(sum, last); /* of round t + 4 */
  }
  const __m128i feba = _mm_shuffle_epi32(_mm_add_epi32(abef, abef_before), 0x1b);
  const __m128i dchg = _mm_shuffle_epi32(_mm_add_epi32(cdgh, cdgh_before), 0xb1);
  _mm_storeu_si128(words, _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128(words + 1, _mm_alignr_epi8(dchg, feba, 8));
}

static bool ask_x86(void) {
  unsigned a, b, c, d, one = 0;
  enum { SSSE3_SSE41 = 1 << 9 | 1 << 19, SHA = 1 << 29 };
  if (!__get_cpuid(1, &a, &b, &one, &d) || (one & SSSE3_SSE41) != SSSE3_SSE41) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & SHA;
}
#endif

typedef void block_fn(uint32_t state[8], const unsigned char *block);

/* Asking the processor takes as long as a hundred blocks in a virtual machine. */
static block_fn *_Atomic found;

void jm_sha256_force_portable(bool portable) { atomic_store(&found, portable ? add_block : NULL); }

static block_fn *find_block_fn(void) {
  block_fn *fn = atomic_load_explicit(&found, memory_order_relaxed);
  if (fn) return fn;
  fn = add_block;
#if JM_SHA_X86
  if (ask_x86()) fn = add_block_x86;
#endif
  atomic_store_explicit(&found, fn, memory_order_relaxed);
  return fn;
}

void jm_sha256_init(jm_sha256 *sha) {
  *sha = (jm_sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                               0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void jm_sha256_add(jm_sha256 *sha, const void *bytes, size_t n) {
  const unsigned char *p = bytes;
  block_fn *add = find_block_fn();
  size_t pending = sha->n_bytes % BLOCK;
  sha->n_bytes += n;
  if (pending) {
    size_t take = n < BLOCK - pending ? n : BLOCK - pending;
    if (take) memcpy(sha->pending + pending, p, take);
    p += take;
    n -= take;
    if (pending + take < BLOCK) return;
    add(sha->state, sha->pending);
  }
  for (; n >= BLOCK; p += BLOCK, n -= BLOCK) add(sha->state, p);
  if (n) memcpy(sha->pending, p, n);
}

void jm_sha256_finish(jm_sha256 *sha, unsigned char digest[JM_SHA256_BYTES]) {
  static const unsigned char padding[BLOCK] = {0x80};
  const uint64_t bits = sha->n_bytes * 8;
  unsigned char length[8];
  for (int i = 0; i < 8; i++) length[i] = (unsigned char)(bits >> (56 - 8 * i));
  jm_sha256_add(sha, padding, (BLOCK + 56 - 1 - sha->n_bytes % BLOCK) % BLOCK + 1);
  jm_sha256_add(sha, length, sizeof length);
  for (int i = 0; i < JM_SHA256_BYTES; i++)
    digest[i] = (unsigned char)(sha->state[i / 4] >> (24 - 8 * (i % 4)));
}

void jm_sha256_digest(const void *bytes, size_t n, unsigned char digest[JM_SHA256_BYTES]) {
  jm_sha256 sha;
  jm_sha256_init(&sha);
  jm_sha256_add(&sha, bytes, n);
  jm_sha256_finish(&sha, digest);
}
