/* SPDX-License-Identifier: Apache-2.0
 * Runs the kernels that emit_kernels.c wrote for this machine, and compares: run_kernels PLAN. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emulated/table.h"
#include "kernel/ir/kernel.h"

enum { MAX_BUFFERS = 20 };

static void get(FILE *plan, void *bytes, size_t size) {
  if (fread(bytes, 1, size, plan) != size) {
    fprintf(stderr, "the plan ends early\n");
    exit(2);
  }
}

static int64_t get_number(FILE *plan) {
  int64_t number;
  get(plan, &number, sizeof number);
  return number;
}

/* Of a float of `size` bytes. */
static int is_nan(size_t size, const char *x) {
  float single = 0;
  double number = 0;
  if (size == sizeof single) memcpy(&single, x, size);
  if (size == sizeof number) memcpy(&number, x, size);
  return single != single || number != number;
}

static int is_same(int64_t type, const char *x, const char *y, int64_t size) {
  const int is_float = type == JM_KT_f32 || type == JM_KT_f64;
  const size_t step = type == JM_KT_f32 ? sizeof(float) : is_float ? sizeof(double) : 1;
  for (int64_t i = 0; i < size; i += (int64_t)step)
    if (memcmp(x + i, y + i, step) && !(is_float && is_nan(step, x + i) && is_nan(step, y + i)))
      return 0;
  return 1;
}

int main(int argc, char **argv) {
  FILE *plan = argc == 2 ? fopen(argv[1], "rb") : NULL;
  if (!plan) return 2;
  int n = 0, failures = 0;
  for (const struct entry *e = entries; e->run; e++, n++) {
    int64_t chunks = get_number(plan), scratch_bytes = get_number(plan), types[MAX_BUFFERS];
    int64_t n_buffers = get_number(plan), sizes[MAX_BUFFERS];
    void *buffers[MAX_BUFFERS], *wanted[MAX_BUFFERS], *scratch = NULL;
    if (posix_memalign(&scratch, 64, (size_t)scratch_bytes)) return 2;
    for (int64_t i = 0; i < n_buffers; i++) {
      types[i] = get_number(plan);
      sizes[i] = get_number(plan);
      get(plan, buffers[i] = malloc((size_t)sizes[i]), (size_t)sizes[i]);
      get(plan, wanted[i] = malloc((size_t)sizes[i]), (size_t)sizes[i]);
    }
    e->run(buffers, scratch, 0, chunks, NULL);
    for (int64_t i = 0; i < n_buffers; i++) {
      if (!is_same(types[i], buffers[i], wanted[i], sizes[i])) {
        printf("%s: buffer %d is wrong\n", e->name, (int)i);
        failures++;
      }
      free(buffers[i]);
      free(wanted[i]);
    }
    free(scratch);
  }
  fclose(plan);
  printf("%d kernels, %d failed\n", n, failures);
  return failures || !n;
}
