/* SPDX-License-Identifier: Apache-2.0
 * The kernels that emit_cuda.c wrote. */
typedef struct entry {
  const void *kernel;
  const char *name;
} entry;
extern const entry entries[];
