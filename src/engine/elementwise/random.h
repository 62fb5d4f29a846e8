/* SPDX-License-Identifier: Apache-2.0
 * One block of the counter-based generators ThreeFry 2x32 (20 rounds) and Philox 4x32 (10 rounds)
 * of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011). The ops decide where
 * blocks are stored. */
#ifndef JM_ELEMENTWISE_RANDOM_H
#define JM_ELEMENTWISE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

static inline uint32_t jm_random_rotate(uint32_t x, int by) { return x << by | x >> (32 - by); }

/* The low word of key and counter is the first. */
static inline void jm_threefry(uint64_t key, uint64_t counter, uint32_t out[2]) {
  static const uint8_t rotations[2][4] = {{13, 15, 26, 6}, {17, 29, 16, 24}};
  uint32_t k[3] = {(uint32_t)key, (uint32_t)(key >> 32)};
  k[2] = 0x1bd11bda ^ k[0] ^ k[1];
  uint32_t x = (uint32_t)counter + k[0], y = (uint32_t)(counter >> 32) + k[1];
  for (uint32_t group = 0; group < 5; group++) {
    for (int i = 0; i < 4; i++) {
      x += y;
      y = x ^ jm_random_rotate(y, rotations[group % 2][i]);
    }
    x += k[(group + 1) % 3];
    y += k[(group + 2) % 3] + group + 1;
  }
  out[0] = x;
  out[1] = y;
}

static inline void jm_philox(uint64_t key, uint64_t low, uint64_t high, uint32_t out[4]) {
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  uint32_t a = (uint32_t)low, b = (uint32_t)(low >> 32);
  uint32_t c = (uint32_t)high, d = (uint32_t)(high >> 32);
  for (int round = 0; round < 10; round++) {
    uint64_t ma = (uint64_t)a * 0xd2511f53, mc = (uint64_t)c * 0xcd9e8d57;
    a = (uint32_t)(mc >> 32) ^ b ^ k0;
    b = (uint32_t)mc;
    c = (uint32_t)(ma >> 32) ^ d ^ k1;
    d = (uint32_t)ma;
    k0 += 0x9e3779b9;
    k1 += 0xbb67ae85;
  }
  out[0] = a, out[1] = b, out[2] = c, out[3] = d;
}

#endif
