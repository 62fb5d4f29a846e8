/* SPDX-License-Identifier: Apache-2.0
 * For tests of emission: a module's entry as one map kernel over each result (by the interpreter
 * and, where there is an LLVM, compiled as well), against the oracle. */
#ifndef JM_TESTS_EMIT_CASE_H
#define JM_TESTS_EMIT_CASE_H

#include <math.h>
#include <stdlib.h>

#include "base/convert.h"
#include "base/number.h"
#include "engine/host/jit.h"
#include "engine/ref/ref.h"
#include "ir/parse.h"
#include "ir/verify.h"
#include "kernel/emit/emit.h"
#include "unit/check.h"
#include "unit/kernel_run.h"

enum { EMIT_TENSORS = 80 };

typedef struct emit_case {
  jm_module *m;
  const jm_region *entry;
  void *in[EMIT_TENSORS], *want[EMIT_TENSORS], *have[EMIT_TENSORS];
} emit_case;

static inline const jm_type *emit_in_type(const emit_case *c, uint32_t i) {
  return jm_module_typeof(c->m, c->entry->first_arg + i);
}
static inline const jm_type *emit_out_type(const emit_case *c, uint32_t i) {
  return jm_module_typeof(c->m, c->entry->results[i]);
}

/* false: the text is no module */
static inline bool emit_begin(emit_case *c, const char *text) {
  memset(c, 0, sizeof *c);
  int before = check_failures;
  CHECK_OK(jm_module_parse(text, strlen(text), &c->m));
  if (check_failures == before) CHECK_OK(jm_module_verify(c->m));
  if (check_failures != before) {
    fprintf(stderr, "%s\n", text);
    return false;
  }
  c->entry = jm_module_region(c->m, c->m->entry);
  CHECK(c->entry->n_args <= EMIT_TENSORS && c->entry->n_results <= EMIT_TENSORS);
  for (uint32_t i = 0; i < c->entry->n_args; i++) {
    c->in[i] = jm_alloc_data(jm_type_bytes(emit_in_type(c, i)) + 1);
  }
  return true;
}

static inline void emit_end(emit_case *c) {
  for (uint32_t i = 0; c->entry && i < c->entry->n_args; i++) jm_free(c->in[i]);
  for (uint32_t i = 0; c->entry && i < c->entry->n_results; i++) {
    jm_free(c->want[i]);
    jm_free(c->have[i]);
  }
  jm_module_destroy(c->m);
}

/* The oracle's results; afterwards those stay as they are. */
static inline void emit_want(emit_case *c) {
  jm_tensor args[EMIT_TENSORS], results[EMIT_TENSORS];
  for (uint32_t i = 0; i < c->entry->n_args; i++)
    args[i] = (jm_tensor){emit_in_type(c, i), c->in[i]};
  for (uint32_t i = 0; i < c->entry->n_results; i++) {
    size_t bytes = jm_type_bytes(emit_out_type(c, i)) + 1;
    c->want[i] = jm_alloc_data(bytes);
    c->have[i] = jm_alloc_data(bytes);
    memset(c->have[i], 0xa5, bytes);
    results[i] = (jm_tensor){emit_out_type(c, i), c->want[i]};
  }
  CHECK_OK(jm_ref_evaluate(c->m, c->m->entry, args, results, NULL));
}

static bool emit_without_f64; /* kernels are built for machines that have none */

/* One loop over the elements of each result. */
static inline jm_kernel *emit_kernel(const emit_case *c, uint32_t width) {
  jm_kbuilder *b = NULL;
  jm_emit *e = NULL;
  jm_kernel *kernel = NULL;
  uint32_t to[EMIT_TENSORS];
  CHECK_OK(jm_kbuilder_create("emit", &b));
  jm_kbuilder_allow_f64(b, !emit_without_f64);
  CHECK_OK(jm_emit_create(c->m, b, &e));
  for (uint32_t i = 0; i < c->entry->n_args; i++)
    jm_emit_leaf_param(e, c->entry->first_arg + i,
                       jm_emit_param(e, emit_in_type(c, i), JM_SPACE_GLOBAL, false, 0));
  for (uint32_t i = 0; i < c->entry->n_results; i++)
    to[i] = jm_emit_param(e, emit_out_type(c, i), JM_SPACE_GLOBAL, true, 0);
  for (uint32_t i = 0; i < c->entry->n_results; i++) {
    const jm_type *type = emit_out_type(c, i);
    jm_kloop loop;
    jm_kval index[64];
    jm_kbuild_loop_begin(b, width > 1 ? JM_BIND_VECTOR : JM_BIND_SERIAL, width > 1 ? width : 0,
                         jm_kbuild_index(b, 0), jm_kbuild_index(b, type->count), NULL, 0, &loop);
    jm_emit_split(e, type, loop.index, index);
    jm_emit_store(e, type->dtype, to[i], loop.index, jm_emit_value(e, c->entry->results[i], index));
    jm_kbuild_loop_end(b, &loop, NULL);
  }
  CHECK_OK(jm_kbuilder_finish(b, &kernel));
  jm_emit_destroy(e);
  jm_kbuilder_destroy(b);
  return kernel;
}

/* Runs a kernel; compiled: false if there is no LLVM. */
static inline bool emit_have(emit_case *c, bool compiled, uint32_t width) {
  const char *why;
  if (compiled && !jm_jit_find_target(&why)) return false;
  jm_kernel *kernel = emit_kernel(c, width);
  if (!kernel) return false;
  void *buffers[2 * EMIT_TENSORS];
  uint32_t n = 0;
  for (uint32_t i = 0; i < c->entry->n_args; i++) buffers[n++] = c->in[i];
  for (uint32_t i = 0; i < c->entry->n_results; i++) buffers[n++] = c->have[i];
  kernel_run(kernel, compiled, buffers);
  return true;
}

/* -- elements */

/* Values that matter, then others; by the bits that our buffers hold. */
static inline uint64_t emit_random(void) {
  static uint64_t state = 88172645463325252u;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state * 0x2545f4914f6cdd1dull;
}

static inline void emit_number(jm_dtype dtype, double value, void *out) {
  CHECK_OK(jm_convert_run(JM_DT_f64, dtype, &value, out, 1));
}

enum { EMIT_SPECIAL = 27 };

static inline void emit_special(jm_dtype dtype, uint32_t i, void *out) {
  static const double floats[] = {0.0,  -0.0,     1.0,       -1.0, INFINITY, -INFINITY, NAN,
                                  0.5,  -0.5,     1.5,       2.5,  -2.5,     3.0,       7.0,
                                  -4.0, 0.123456, 1234.5678, 1e-3, -1e-3,    100.0,     -80.0};
  static const int64_t integers[] = {0, 1, -1, 2, -2, 3, 7, 8, -8, 31, 32, 33, 64, 127, -128, 5};
  const uint32_t n_floats = sizeof floats / sizeof *floats;
  const uint32_t n_integers = sizeof integers / sizeof *integers;
  size_t bytes = jm_dtype_bytes(dtype);
  int bits = jm_dtype_facts[dtype].bits;
  uint64_t word = emit_random();
  switch (jm_dtype_classof(dtype)) {
    case JM_CLASS_FLOAT:
      if (i < n_floats) {
        emit_number(dtype, floats[i], out);
        return;
      }
      if (i == n_floats) word = 1;                             /* the smallest */
      if (i == n_floats + 1) word = UINT64_C(3) << (bits - 2); /* a large one */
      if (i == n_floats + 2) {                                 /* a number of a size */
        emit_number(dtype, (double)(int64_t)emit_random() * 0x1p-60, out);
        return;
      }
      if (bits < 8) word &= (1u << bits) - 1;
      memcpy(out, &word, bytes);
      return;
    case JM_CLASS_COMPLEX:
      emit_special(jm_dtype_real(dtype), i % 7 ? i : (uint32_t)(word % EMIT_SPECIAL), out);
      emit_special(jm_dtype_real(dtype), (uint32_t)(emit_random() % EMIT_SPECIAL),
                   (char *)out + bytes / 2);
      return;
    default: {
      int64_t value = i < n_integers ? integers[i] : (int64_t)word;
      if (i == n_integers) value = INT64_MIN >> (64 - bits);
      if (i == n_integers + 1) value = INT64_MAX >> (64 - bits);
      if (dtype == JM_DT_pred) value &= 1;
      CHECK_OK(jm_convert_run(JM_DT_s64, dtype, &value, out, 1));
    }
  }
}

/* Every special value meets every other: operand i runs through them at its own pace. */
static inline void emit_fill(const jm_type *type, uint32_t i, void *data) {
  size_t bytes = jm_dtype_bytes(type->dtype);
  for (int64_t k = 0; k < type->count; k++) {
    int64_t which = i == 0 ? k : i == 1 ? k / EMIT_SPECIAL : (int64_t)(emit_random() >> 40);
    emit_special(type->dtype, (uint32_t)(which % EMIT_SPECIAL), (char *)data + (size_t)k * bytes);
  }
}

static inline void emit_fill_all(emit_case *c) {
  for (uint32_t i = 0; i < c->entry->n_args; i++) emit_fill(emit_in_type(c, i), i, c->in[i]);
}

/* A float's place in the order of its format's numbers: neighbours differ by 1. */
static inline int64_t emit_order(jm_dtype dtype, const void *x) {
  uint64_t word = 0;
  memcpy(&word, x, jm_dtype_bytes(dtype));
  int bits = jm_dtype_facts[dtype].bits;
  uint64_t sign = UINT64_C(1) << (bits - 1);
  int64_t magnitude = (int64_t)(word & (sign - 1));
  return word & sign ? -magnitude : magnitude;
}

static inline bool emit_is_nan(jm_dtype dtype, const void *x) {
  double wide;
  if (!jm_dtype_is_float(dtype)) return false;
  CHECK_OK(jm_convert_run(dtype, JM_DT_f64, x, &wide, 1));
  return isnan(wide);
}

/* ulps 0: equal bits, but for the payload of NaN; -1: those too. */
static inline bool emit_agrees(jm_dtype dtype, const void *want, const void *have, double ulps) {
  if (jm_dtype_is_complex(dtype) && ulps >= 0) {
    jm_dtype real = jm_dtype_real(dtype);
    size_t bytes = jm_dtype_bytes(real);
    return emit_agrees(real, want, have, ulps) &&
           emit_agrees(real, (const char *)want + bytes, (const char *)have + bytes, ulps);
  }
  if (!memcmp(want, have, jm_dtype_bytes(dtype))) return true;
  if (ulps < 0 || !jm_dtype_is_float(dtype)) return false;
  bool nan = emit_is_nan(dtype, want);
  if (nan || emit_is_nan(dtype, have)) return nan && emit_is_nan(dtype, have);
  int64_t difference;
  return ulps > 0 &&
         !__builtin_sub_overflow(emit_order(dtype, want), emit_order(dtype, have), &difference) &&
         fabs((double)difference) <= ulps;
}

static inline void emit_print(jm_dtype dtype, const void *x) {
  size_t bytes = jm_dtype_bytes(dtype);
  double wide = 0;
  if (!jm_dtype_is_complex(dtype)) CHECK_OK(jm_convert_run(dtype, JM_DT_f64, x, &wide, 1));
  fprintf(stderr, " %s:%g(", jm_dtype_name(dtype), wide);
  for (size_t i = bytes; i--;) fprintf(stderr, "%02x", ((const unsigned char *)x)[i]);
  fprintf(stderr, ")");
}

/* Compares result i; where operands have its shape they are printed with what differs. */
static inline void emit_compare(const emit_case *c, uint32_t i, double ulps, const char *what) {
  const jm_type *type = emit_out_type(c, i);
  size_t bytes = jm_dtype_bytes(type->dtype);
  int wrong = 0;
  for (int64_t k = 0; k < type->count; k++) {
    const char *want = (char *)c->want[i] + (size_t)k * bytes;
    const char *have = (char *)c->have[i] + (size_t)k * bytes;
    if (emit_agrees(type->dtype, want, have, ulps) || wrong++ > 2) continue;
    fprintf(stderr, "%s [%lld]: have", what, (long long)k);
    emit_print(type->dtype, have);
    fprintf(stderr, " want");
    emit_print(type->dtype, want);
    for (uint32_t j = 0; j < c->entry->n_args; j++)
      if (emit_in_type(c, j)->count == type->count) {
        fprintf(stderr, j ? "," : " of");
        emit_print(emit_in_type(c, j)->dtype,
                   (char *)c->in[j] + (size_t)k * jm_dtype_bytes(emit_in_type(c, j)->dtype));
      }
    fprintf(stderr, "\n");
  }
  if (wrong) fprintf(stderr, "%s: %d of %lld differ\n", what, wrong, (long long)type->count);
  CHECK(!wrong);
}

#endif
