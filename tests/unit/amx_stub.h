/* SPDX-License-Identifier: Apache-2.0
 * The intrinsics of AMX in plain C, so that what uses them can be tested on any machine. Where the
 * processor would fault, a check fails: without a configuration, with one that is none, where tiles
 * don't match. Reads and writes are those of rows, which sanitizers see. */
#ifndef JM_TESTS_AMX_STUB_H
#define JM_TESTS_AMX_STUB_H

#include <math.h>
#include <stdint.h>

#include "unit/check.h"

enum { AMX_TILES = 8, AMX_ROWS = 16, AMX_BYTES = 64 };

typedef struct amx_tile {
  size_t rows, bytes;
  uint8_t data[AMX_ROWS][AMX_BYTES];
} amx_tile;

static _Thread_local amx_tile amx_tiles[AMX_TILES];

static inline void amx_load_config(const void *from) {
  struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
  } config;
  memcpy(&config, from, sizeof config);
  CHECK(config.palette == 1 && !config.start_row);
  for (int i = 0; i < 14; i++) CHECK(!config.reserved[i]);
  memset(amx_tiles, 0, sizeof amx_tiles);
  for (int i = 0; i < 16; i++) {
    CHECK(config.rows[i] <= (i < AMX_TILES ? AMX_ROWS : 0));
    CHECK(config.bytes[i] <= AMX_BYTES && !config.bytes[i] == !config.rows[i]);
    if (i < AMX_TILES) amx_tiles[i].rows = config.rows[i], amx_tiles[i].bytes = config.bytes[i];
  }
}

static inline void amx_release(void) { memset(amx_tiles, 0, sizeof amx_tiles); }

static inline amx_tile *amx_find(int i) {
  CHECK(amx_tiles[i].rows);
  return &amx_tiles[i];
}

static inline void amx_zero(int i) { memset(amx_find(i)->data, 0, sizeof amx_tiles->data); }

static inline void amx_load(int i, const void *from, ptrdiff_t stride) {
  amx_zero(i);
  for (size_t r = 0; r < amx_tiles[i].rows; r++)
    memcpy(amx_tiles[i].data[r], (const char *)from + (ptrdiff_t)r * stride, amx_tiles[i].bytes);
}

static inline void amx_store(int i, void *to, ptrdiff_t stride) {
  const amx_tile *tile = amx_find(i);
  for (size_t r = 0; r < tile->rows; r++)
    memcpy((char *)to + (ptrdiff_t)r * stride, tile->data[r], tile->bytes);
}

static inline void amx_check(const amx_tile *c, const amx_tile *a, const amx_tile *b) {
  CHECK(c != a && c != b && a != b);
  CHECK(c->rows == a->rows && c->bytes == b->bytes && a->bytes == 4 * b->rows);
}

static inline void amx_dot_s8(int sums, int left, int right) {
  amx_tile *c = amx_find(sums), *a = amx_find(left), *b = amx_find(right);
  amx_check(c, a, b);
  for (size_t i = 0; i < c->rows; i++)
    for (size_t j = 0; j < c->bytes; j += 4) {
      int32_t sum;
      memcpy(&sum, &c->data[i][j], sizeof sum);
      for (size_t l = 0; l < a->bytes; l++)
        sum = (int32_t)((uint32_t)sum +
                        (uint32_t)((int8_t)a->data[i][l] * (int8_t)b->data[l / 4][j + l % 4]));
      memcpy(&c->data[i][j], &sum, sizeof sum);
    }
}

static inline float amx_flush(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }

static inline float amx_bf16(const uint8_t *from) { /* subnormal ones are 0 */
  uint32_t bits = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 24;
  float x;
  memcpy(&x, &bits, sizeof x);
  return amx_flush(x);
}

/* Of a tile, the first of the pairs and the second are sums of their own, of fused additions. */
static inline void amx_dot_bf16(int sums, int left, int right) {
  amx_tile *c = amx_find(sums), *a = amx_find(left), *b = amx_find(right);
  amx_check(c, a, b);
  for (size_t i = 0; i < c->rows; i++)
    for (size_t j = 0; j < c->bytes; j += 4) {
      float sum, halves[2] = {0};
      for (size_t l = 0; l < a->bytes; l += 2) {
        float x = amx_bf16(&a->data[i][l]), y = amx_bf16(&b->data[l / 4][j + l % 4]);
        float *half = &halves[l / 2 % 2];
        *half = amx_flush(fmaf(x, y, *half));
      }
      memcpy(&sum, &c->data[i][j], sizeof sum);
      sum = amx_flush(amx_flush(sum) + amx_flush(halves[0] + halves[1]));
      memcpy(&c->data[i][j], &sum, sizeof sum);
    }
}

#define _tile_loadconfig amx_load_config
#define _tile_release amx_release
#define _tile_zero amx_zero
#define _tile_loadd amx_load
#define _tile_stored amx_store
#define _tile_dpbf16ps amx_dot_bf16
#define _tile_dpbssd amx_dot_s8

#endif
