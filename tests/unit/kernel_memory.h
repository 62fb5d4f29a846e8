/* SPDX-License-Identifier: Apache-2.0
 * Memory to run kernels on: random elements, no more aligned than they must be, between bytes that
 * must stay as they are. */
#ifndef JM_TESTS_KERNEL_MEMORY_H
#define JM_TESTS_KERNEL_MEMORY_H

#include <math.h>

#include "base/number.h"
#include "unit/kernel_cases.h"

enum { MAX_PARAMS = 80, CANARY = 64 };

typedef struct memory {
  char *blocks[MAX_PARAMS];
  void *buffers[MAX_PARAMS]; /* GLOBAL ones */
} memory;

static bool aligns_memory; /* as the plugin's own is; else to no more than the elements */

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
    size_t size = param_bytes(p) + 2 * CANARY;
    m->blocks[n] = jm_alloc_data(size);
    m->buffers[n] = m->blocks[n] + (aligns_memory ? CANARY : jm_ktype_bytes[p->element]);
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

/* Narrow floats are integers to a kernel: those of a case of elementwise ops are known by its name,
 * which is the dtype's. */
static bool is_nan_element(const char *name, jm_ktype t, const char *data) {
  jm_dtype dtype = t == JM_KT_f32 ? JM_DT_f32 : JM_DT_f64;
  if (t != JM_KT_f32 && t != JM_KT_f64 &&
      (!jm_dtype_from_name(name, strlen(name), &dtype) ||
       jm_dtype_bytes(dtype) != jm_ktype_bytes[t]))
    return false;
  uint64_t bits = 0;
  memcpy(&bits, data, jm_ktype_bytes[t]);
  switch (dtype) {
    case JM_DT_f8e4m3fn:
      return isnan(jm_f8e4m3fn_to_f32((uint8_t)bits));
    case JM_DT_bf16:
      return isnan(jm_bf16_to_f32((uint16_t)bits));
    case JM_DT_f16:
      return isnan(jm_f16_to_f32((uint16_t)bits));
    case JM_DT_f32:
      return isnan(jm_f32_from_bits((uint32_t)bits));
    case JM_DT_f64:
      return isnan(jm_f64_from_bits(bits));
    default:
      return false;
  }
}

/* The same bits, or two NaNs: nobody promises the sign and the payload of one that is computed. */
static bool is_same(const char *name, jm_ktype t, const char *x, const char *y) {
  if (!memcmp(x, y, jm_ktype_bytes[t])) return true;
  return is_nan_element(name, t, x) && is_nan_element(name, t, y);
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
      if (is_same(k->name, p->element, x + (size_t)e * size, y + (size_t)e * size)) continue;
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
