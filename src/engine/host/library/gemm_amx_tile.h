/* SPDX-License-Identifier: Apache-2.0
 * The kernels of gemm_amx.c. A block is up to two by two tiles of sums (0 to 3), 16 rows of 16
 * lanes each; a step of depth is two tiles of a (4 and 5), 16 rows of 64 bytes, and two of b (6 and
 * 7), 16 groups of 16 columns. Blocks of fewer rows have a configuration of their own.
 * Needs the intrinsics of AMX (a test has its own), and TARGET, which functions with them need. */

enum {
  TILE_SIDE = 16,  /* rows, lanes, groups */
  TILE_BYTES = 64, /* of a row */
  N_TILES = 8,
  STEPS = 64, /* of a block's depth */
};

typedef struct tile_config {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} tile_config;

TARGET static void configure(size_t rows) {
  const uint8_t high = (uint8_t)(rows < TILE_SIDE ? rows : TILE_SIDE), low = (uint8_t)(rows - high);
  tile_config config = {1, .rows = {high, high, low, low, high, low, TILE_SIDE, TILE_SIDE}};
  for (size_t i = 0; i < N_TILES; i++) config.row_bytes[i] = config.rows[i] ? TILE_BYTES : 0;
  __asm__ volatile("" : : "r"(&config) : "memory"); /* gcc 12: the intrinsic reads 8 bytes of it */
  _tile_loadconfig(&config);
}

/* R rows and N columns of tiles; STEP elements of depth are a step. */
#define BLOCK(NAME, DOT, STEP, R, N)                                      \
  TARGET static void NAME##_##R##_##N(const jm_narrow_block *x) {         \
    const char *a = x->a, *b = x->b;                                      \
    const ptrdiff_t a_row = x->a_row, b_row = x->b_row, c_row = x->c_row; \
    const ptrdiff_t a_low = (R) > 1 ? TILE_SIDE * a_row : 0;              \
    char *c = x->c, *c_low = (R) > 1 ? c + TILE_SIDE * c_row : c;         \
    if (x->add) {                                                         \
      _tile_loadd(0, c, c_row);                                           \
      if ((N) > 1) _tile_loadd(1, c + TILE_BYTES, c_row);                 \
      if ((R) > 1) _tile_loadd(2, c_low, c_row);                          \
      if ((R) > 1 && (N) > 1) _tile_loadd(3, c_low + TILE_BYTES, c_row);  \
    } else {                                                              \
      _tile_zero(0);                                                      \
      if ((N) > 1) _tile_zero(1);                                         \
      if ((R) > 1) _tile_zero(2);                                         \
      if ((R) > 1 && (N) > 1) _tile_zero(3);                              \
    }                                                                     \
    for (size_t l = 0; l < x->depth; l += (STEP), a += TILE_BYTES) {      \
      _tile_loadd(6, b, b_row);                                           \
      _tile_loadd(4, a, a_row);                                           \
      DOT(0, 4, 6);                                                       \
      if ((N) > 1) _tile_loadd(7, b + TILE_BYTES, b_row);                 \
      if ((N) > 1) DOT(1, 4, 7);                                          \
      if ((R) > 1) _tile_loadd(5, a + a_low, a_row);                      \
      if ((R) > 1) DOT(2, 5, 6);                                          \
      if ((R) > 1 && (N) > 1) DOT(3, 5, 7);                               \
      b += TILE_SIDE * b_row;                                             \
    }                                                                     \
    _tile_stored(0, c, c_row);                                            \
    if ((N) > 1) _tile_stored(1, c + TILE_BYTES, c_row);                  \
    if ((R) > 1) _tile_stored(2, c_low, c_row);                           \
    if ((R) > 1 && (N) > 1) _tile_stored(3, c_low + TILE_BYTES, c_row);   \
  }
#define BLOCKS(NAME, DOT, STEP)                                                              \
  BLOCK(NAME, DOT, STEP, 1, 1)                                                               \
  BLOCK(NAME, DOT, STEP, 1, 2)                                                               \
  BLOCK(NAME, DOT, STEP, 2, 1)                                                               \
  BLOCK(NAME, DOT, STEP, 2, 2)                                                               \
  static void NAME(jm_narrow_block *x) {                                                     \
    static void (*const blocks[2][2])(const jm_narrow_block *) = {{NAME##_1_1, NAME##_1_2},  \
                                                                  {NAME##_2_1, NAME##_2_2}}; \
    if (x->state != x->rows) configure(x->rows);                                             \
    x->state = x->rows;                                                                      \
    blocks[x->rows > TILE_SIDE][x->width > TILE_SIDE](x);                                    \
  }

BLOCKS(multiply_bf16, _tile_dpbf16ps, TILE_BYTES / 2)
BLOCKS(multiply_s8, _tile_dpbssd, TILE_BYTES)

TARGET static void release(void) { _tile_release(); }

/* The sizes are the best for several shapes of 72 that were tried on a Xeon of 16 cores
 * (tests/speed/gemm_speed.c), within about a tenth of each shape's own best. Copied rows of a and
 * four times the depth were worth a tenth to a quarter of the time. */
static void adapt(const jm_narrow_kernel *vector, jm_narrow_kernel *out) {
  *out = *vector;
  out->name = vector->element == 2 ? "tdpbf16ps" : "tdpbssd";
  out->unit = TILE_BYTES / vector->element;
  out->rows = 2 * TILE_SIDE;
  out->panel = 2 * TILE_SIDE;
  out->depth = STEPS * out->unit;
  out->most_rows = 128;
  out->most_columns = 256;
  out->few_rows = 0;
  out->least_task = 1 << 21;
  out->multiply = vector->element == 2 ? multiply_bf16 : multiply_s8;
  out->release = release;
  out->copies_a = true;
  out->convert = NULL;
  out->find_start = NULL;
}
