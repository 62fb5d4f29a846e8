/* SPDX-License-Identifier: Apache-2.0
 * Times products of narrow operands by each kernel that this machine has:
 *   gemm_speed [[tune] bf16|s8 M N K [lhs transposed] [rhs transposed]]
 * The kernels take turns; of each the median and the least time are printed. tune: also the best of
 * other sizes of blocks and tasks for the tiles of AMX, and their rows of the left operand copied.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/host/library/gemm_amx.h"
#include "engine/host/library/gemm_bf16.h"
#include "engine/host/library/gemm_s8.h"

enum { TURNS = 31, MOST_KERNELS = 128, SHOWN = 12 };
static const double turn_seconds = 2e-3;

typedef struct product {
  bool s8;
  size_t m, n, k;
  bool a_transposed, b_transposed;
} product;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *x, const void *y) {
  return (*(const double *)x > *(const double *)y) - (*(const double *)x < *(const double *)y);
}

static void multiply(const jm_narrow_kernel *kernel, const jm_gemm *g, jm_dtype result) {
  jm_error *error = jm_gemm_narrow_run(kernel, g, result);
  if (!error) return;
  fprintf(stderr, "%s\n", jm_error_message(error));
  exit(1);
}

static double time_turn(const jm_narrow_kernel *kernel, const jm_gemm *g, jm_dtype result) {
  double begin = now(), end = begin;
  size_t n = 0;
  for (; end - begin < turn_seconds; n++, end = now()) multiply(kernel, g, result);
  return (end - begin) / (double)n;
}

/* With names of their own. */
static size_t add_variants(size_t n, const jm_narrow_kernel *tiles, jm_narrow_kernel *out) {
  static char names[MOST_KERNELS][64];
  for (size_t depth = tiles->depth / 8; depth <= tiles->depth; depth *= 2)
    for (size_t rows = 64; rows <= 256; rows *= 2)
      for (size_t columns = 128; columns <= 512; columns *= 2)
        for (int copies = 0; copies <= 1 && n < MOST_KERNELS; copies++, n++) {
          snprintf(names[n], sizeof names[n], "%s depth %zu task %zu x %zu%s", tiles->name, depth,
                   rows, columns, copies ? " copied" : "");
          out[n] = *tiles;
          out[n].name = names[n], out[n].depth = depth;
          out[n].most_rows = rows, out[n].most_columns = columns;
          out[n].copies_a = copies;
        }
  return n;
}

static size_t find_kernels(bool s8, bool tune, jm_narrow_kernel *out) {
  const jm_narrow_kernel *vector = s8 ? jm_gemm_s8_find() : jm_gemm_bf16_find();
  if (!vector) return 0;
  out[0] = *vector;
  if (!jm_gemm_amx_find(vector, &out[1])) return 1;
  return tune ? add_variants(2, &out[1], out) : 2;
}

typedef struct timing {
  const char *name;
  double times[TURNS];
} timing;

static int compare_medians(const void *x, const void *y) {
  return compare(&((const timing *)x)->times[TURNS / 2], &((const timing *)y)->times[TURNS / 2]);
}

/* Every other byte is the upper one of a bf16 of some 0.5 to 2. */
static void fill(unsigned char *data, size_t bytes) {
  unsigned state = 1;
  for (size_t i = 0; i < bytes; i++) {
    state = state * 1664525u + 1013904223u;
    data[i] = (unsigned char)(i % 2 ? (state >> 24 & 0x80) + 0x3f : state >> 24);
  }
}

static void measure(const product *p, bool tune) {
  static jm_narrow_kernel kernels[MOST_KERNELS];
  size_t n_kernels = find_kernels(p->s8, tune, kernels), element = p->s8 ? 1 : 2;
  jm_dtype dtype = p->s8 ? JM_DT_s8 : JM_DT_bf16, result = p->s8 ? JM_DT_s32 : JM_DT_bf16;
  unsigned char *a = malloc(p->m * p->k * element), *b = malloc(p->k * p->n * element);
  void *c = malloc(p->m * p->n * 4);
  fill(a, p->m * p->k * element);
  fill(b, p->k * p->n * element);
  jm_gemm g = {dtype, p->m, p->n, p->k,  a,    (ptrdiff_t)p->k, 1, b, (ptrdiff_t)p->n,
               1,     c,    p->n, false, false};
  if (p->a_transposed) g.a_row = 1, g.a_col = (ptrdiff_t)p->m;
  if (p->b_transposed) g.b_row = 1, g.b_col = (ptrdiff_t)p->k;
  static timing timings[MOST_KERNELS];
  for (size_t t = 0; t < TURNS; t++)
    for (size_t i = 0; i < n_kernels; i++) timings[i].times[t] = time_turn(&kernels[i], &g, result);
  for (size_t i = 0; i < n_kernels; i++) {
    timings[i].name = kernels[i].name;
    qsort(timings[i].times, TURNS, sizeof(double), compare);
  }
  if (n_kernels > 2) qsort(timings + 2, n_kernels - 2, sizeof *timings, compare_medians);
  for (size_t i = 0; i < n_kernels && i < SHOWN; i++) {
    double median = timings[i].times[TURNS / 2];
    printf("%s %5zu x %5zu x %5zu %c%c %9.1f us (least %9.1f) %8.1f GFLOP/s %s\n",
           p->s8 ? "s8  " : "bf16", p->m, p->n, p->k, p->a_transposed ? 'T' : 'N',
           p->b_transposed ? 'T' : 'N', 1e6 * median, 1e6 * timings[i].times[0],
           2e-9 * (double)p->m * (double)p->n * (double)p->k / median, timings[i].name);
  }
  free(a), free(b), free(c);
}

int main(int argc, char **argv) {
  static const product products[] = {
      {0, 1024, 1024, 1024, 0, 0}, {0, 1024, 1024, 1024, 1, 0}, {0, 1024, 1024, 1024, 0, 1},
      {0, 1024, 1024, 1024, 1, 1}, {0, 4096, 4096, 1024, 0, 0}, {0, 512, 512, 512, 0, 0},
      {0, 256, 256, 256, 0, 0},    {0, 128, 1024, 1024, 0, 0},  {0, 64, 512, 512, 0, 0},
      {0, 32, 1024, 1024, 0, 0},   {0, 16, 1024, 1024, 0, 0},   {0, 1, 1024, 1024, 0, 1},
      {0, 1000, 1000, 1001, 0, 0}, {1, 1024, 1024, 1024, 0, 0}, {1, 1024, 1024, 1024, 1, 0},
      {1, 1024, 1024, 1024, 0, 1}, {1, 512, 512, 512, 0, 0},    {1, 64, 512, 512, 0, 0},
      {1, 16, 1024, 1024, 0, 0},   {1, 1, 1024, 1024, 0, 0},    {1, 1000, 1000, 1001, 0, 0},
  };
  bool tune = argc > 1 && !strcmp(argv[1], "tune");
  if (tune) argc--, argv++;
  if (argc >= 5) {
    const product p = {!strcmp(argv[1], "s8"),      strtoul(argv[2], NULL, 10),
                       strtoul(argv[3], NULL, 10),  strtoul(argv[4], NULL, 10),
                       argc > 5 && *argv[5] == '1', argc > 6 && *argv[6] == '1'};
    measure(&p, tune);
    return 0;
  }
  for (size_t i = 0; i < sizeof products / sizeof *products; i++) measure(&products[i], false);
  return 0;
}
