/* SPDX-License-Identifier: Apache-2.0
 * The kernels of an object that emit_kernels.c wrote. */
#include <stdint.h>

typedef void kernel_fn(void *const *, void *, int64_t, int64_t, const void *);
struct entry {
  kernel_fn *run;
  const char *name;
};
extern const struct entry entries[];
