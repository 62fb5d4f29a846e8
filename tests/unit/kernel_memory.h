/* SPDX-License-Identifier: Apache-2.0
 * Memory to run kernels on: random elements, no more aligned than they must be, between bytes that
 * must stay as they are. */
#ifndef JM_TESTS_KERNEL_MEMORY_H
#define JM_TESTS_KERNEL_MEMORY_H

#include "unit/kernel_cases.h"

enum { MAX_PARAMS = 80, CANARY = 64 };

typedef struct memory {
  char *blocks[MAX_PARAMS];
  void *buffers[MAX_PARAMS]; /* GLOBAL ones, aligned to no more than their elements */
} memory;

static size_t param_bytes(const jm_kparam *p) {
  return (size_t)p->elements * jm_ktype_bytes[p->element];
}

static void fill_param(const jm_kparam *p, char *data) {
  for (int64_t i = 0; i < p->elements; i++) {
    uint64_t bits = (uint64_t)random_number(UINT32_MAX) << 32 | random_number(UINT32_MAX);
    bool plain = random_number(8); /* mostly numbers of a size, sometimes any bits */
    double number = ((double)random_number(200001) - 100000) / 1000;
    if (p->element == JM_KT_f32 && plain) {
      float single = (float)number;
      memcpy(data + i * 4, &single, 4);
    } else if (p->element == JM_KT_f64 && plain) {
      memcpy(data + i * 8, &number, 8);
    } else {
      memcpy(data + i * jm_ktype_bytes[p->element], &bits, jm_ktype_bytes[p->element]);
    }
  }
}

static inline void create_memory(const jm_kernel *k, memory *m, const memory *like) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < k->n_params; i++) {
    const jm_kparam *p = &k->params[i];
    if (p->space != JM_SPACE_GLOBAL) continue;
    size_t size = param_bytes(p) + CANARY + 8;
    m->blocks[n] = jm_alloc_data(size);
    m->buffers[n] = m->blocks[n] + jm_ktype_bytes[p->element];
    if (like) {
      memcpy(m->blocks[n], like->blocks[n], size);
    } else {
      memset(m->blocks[n], 0x5a, size);
      fill_param(p, m->buffers[n]);
    }
    n++;
  }
}

static inline void destroy_memory(const jm_kernel *k, memory *m) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < k->n_params; i++)
    if (k->params[i].space == JM_SPACE_GLOBAL) jm_free(m->blocks[n++]);
}

static bool is_same(jm_ktype t, const char *x, const char *y) {
  if (t == JM_KT_f32) {
    float a, b;
    memcpy(&a, x, 4);
    memcpy(&b, y, 4);
    if (a != a && b != b) return true;
  } else if (t == JM_KT_f64) {
    double a, b;
    memcpy(&a, x, 8);
    memcpy(&b, y, 8);
    if (a != a && b != b) return true;
  }
  return !memcmp(x, y, jm_ktype_bytes[t]);
}

static inline bool compare_memory(const jm_kernel *k, const memory *want, const memory *have,
                                  int64_t n) {
  uint32_t at = 0;
  for (uint32_t i = 0; i < k->n_params; i++) {
    const jm_kparam *p = &k->params[i];
    if (p->space != JM_SPACE_GLOBAL) continue;
    const char *x = want->buffers[at], *y = have->buffers[at];
    size_t size = jm_ktype_bytes[p->element];
    for (int64_t e = 0; e < p->elements; e++) {
      if (is_same(p->element, x + (size_t)e * size, y + (size_t)e * size)) continue;
      uint64_t a = 0, b = 0;
      memcpy(&a, x + (size_t)e * size, size);
      memcpy(&b, y + (size_t)e * size, size);
      fprintf(stderr, "%s, n %d: param %u [%d] is %llx, not %llx\n", k->name, (int)n, i, (int)e,
              (unsigned long long)b, (unsigned long long)a);
      return false;
    }
    if (memcmp(want->blocks[at], have->blocks[at], size) ||
        memcmp(x + param_bytes(p), y + param_bytes(p), CANARY)) {
      fprintf(stderr, "%s, n %d: wrote outside of param %u\n", k->name, (int)n, i);
      return false;
    }
    at++;
  }
  return true;
}

#endif
