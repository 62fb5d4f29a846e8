/* SPDX-License-Identifier: Apache-2.0
 * Files of test kernels that run elsewhere: what is in their memory before, and what must be in it
 * afterwards, as the interpreter has it. */
#ifndef JM_TESTS_CASE_FILES_H
#define JM_TESTS_CASE_FILES_H

#include "unit/program_cases.h"

/* The process ends where a file can't be written: there is nothing to run without it. */
static inline FILE *open_file(const char *folder, const char *name) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "wb");
  if (!file) perror(path);
  if (!file) exit(1);
  return file;
}

static inline void put(FILE *file, const void *bytes, size_t size) {
  if (fwrite(bytes, 1, size, file) != size) exit(1);
}

static inline void put_number(FILE *file, int64_t number) { put(file, &number, sizeof number); }

typedef struct case_run {
  memory before, after;
} case_run;

/* Of a counted kernel parameter 0 is n, the others are programs' kernels. */
static inline void interpret_case(const jm_kernel *k, int64_t n, bool counted, case_run *run) {
  create_memory(k, &run->before, NULL);
  if (counted)
    memcpy(run->before.buffers[0], &n, sizeof n);
  else
    tame_memory(k, &run->before);
  create_memory(k, &run->after, &run->before);
  void *scratch = jm_alloc_data(jm_kernel_scratch_bytes(k) + 64);
  memset(scratch, 0x5a, jm_kernel_scratch_bytes(k));
  CHECK_OK(jm_kernel_interpret(k, run->after.buffers, scratch, 0, k->chunks, NULL));
  jm_free(scratch);
}

static inline void destroy_run(const jm_kernel *k, case_run *run) {
  destroy_memory(k, &run->before);
  destroy_memory(k, &run->after);
}

/* How many buffers; of each its type (a jm_ktype), its bytes, what is in it and what must be. */
static inline void put_buffers(FILE *plan, const jm_kernel *k, const case_run *run) {
  int64_t n_buffers = 0;
  for (uint32_t i = 0; i < k->n_params; i++) n_buffers += k->params[i].space == JM_SPACE_GLOBAL;
  put_number(plan, n_buffers);
  uint32_t at = 0;
  for (uint32_t i = 0; i < k->n_params; i++) {
    const jm_kparam *p = &k->params[i];
    if (p->space != JM_SPACE_GLOBAL) continue;
    put_number(plan, p->element);
    put_number(plan, (int64_t)param_bytes(p));
    put(plan, run->before.buffers[at], param_bytes(p));
    put(plan, run->after.buffers[at++], param_bytes(p));
  }
}

#endif
