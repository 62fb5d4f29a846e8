/* SPDX-License-Identifier: Apache-2.0
 * For tests of the MLX engine's lowerings: a program in text form, run by MLX's CPU device and by
 * the oracle on the same pseudo-random operands. The counters prove which engine ran its
 * ops. */
#ifndef JM_TESTS_MLX_CASE_H
#define JM_TESTS_MLX_CASE_H

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/convert.h"
#include "base/counters.h"
#include "base/data.h"
#include "base/number.h"
#include "engine/mlx/engine.h"
#include "engine/ref/ref.h"
#include "ir/parse.h"
#include "ir/verify.h"
#include "plan/plan.h"
#include "unit/check.h"

enum { MAX_VALUES = 8, TEXT = 8192 };

static jm_engine *engine;
static uint32_t seed = 1;

static uint32_t draw(uint32_t n) {
  seed = seed * 1664525u + 1013904223u;
  return (seed >> 8) % n;
}

/* -- operands */

typedef enum fill {
  PLAIN,    /* small numbers, many of them equal */
  EDGES,    /* zeros, infinities, NaNs, extremes among them */
  POSITIVE, /* 0.1 to 4 */
  FINE,     /* -1 to 1, of all binades */
} fill;

static double plain_number(fill kind) {
  double fraction = (double)draw(1 << 24) / (1 << 24);
  if (kind == POSITIVE) return 0.1 + 3.9 * fraction;
  if (kind == FINE) return ldexp(2 * fraction - 1, -(int)draw(24));
  return ((int)draw(33) - 16) / 4.0;
}

static double float_number(fill kind) {
  static const double edges[] = {0.0,    -0.0,  INFINITY, -INFINITY, NAN,  1,         -1,
                                 0.5,    -0.5,  1.5,      2.5,       -2.5, 1e-3,      300.7,
                                 -300.7, 65504, 3e9,      -3e9,      1e19, 0.49999997};
  enum { N = sizeof edges / sizeof *edges };
  return kind == EDGES && draw(3) ? edges[draw(N)] : plain_number(kind);
}

static int64_t integer_number(fill kind, jm_dtype dtype) {
  uint32_t bits = jm_dtype_facts[dtype].bits;
  bool is_signed = jm_dtype_classof(dtype) == JM_CLASS_SINT;
  int64_t least = is_signed ? INT64_MIN >> (64 - bits) : 0;
  int64_t most = is_signed ? ~least : (int64_t)(UINT64_MAX >> (64 - bits));
  const int64_t edges[] = {0,         1,        -1,   2,        7,        least, most,
                           least + 1, most - 1, bits, bits - 1, bits + 1, 3,     -2};
  if (kind == EDGES && draw(3)) return edges[draw(sizeof edges / sizeof *edges)];
  return kind == EDGES ? (int64_t)draw(200) - 100
                       : (int64_t)draw(is_signed ? 13 : 7) - 6 * is_signed;
}

static void *operand(const jm_type *type, fill kind) {
  char *data = jm_data_take(jm_type_bytes(type));
  jm_dtype dtype = type->dtype, part = jm_dtype_real(dtype);
  bool is_complex = jm_dtype_is_complex(dtype);
  size_t n = (size_t)type->count * (is_complex ? 2 : 1), bytes = jm_dtype_bytes(part);
  for (size_t i = 0; i < n; i++) {
    if (jm_dtype_is_float(part)) {
      double value = float_number(kind);
      CHECK_OK(jm_convert_run(JM_DT_f64, part, &value, data + i * bytes, 1));
    } else if (dtype == JM_DT_pred) {
      data[i] = (char)draw(2);
    } else {
      int64_t value = integer_number(kind, dtype);
      CHECK_OK(jm_convert_run(JM_DT_s64, dtype, &value, data + i * bytes, 1));
    }
  }
  return data;
}

/* -- comparison of results */

static double number_at(jm_dtype dtype, const void *data, size_t i) {
  double value = 0;
  CHECK_OK(
      jm_convert_run(dtype, JM_DT_f64, (const char *)data + i * jm_dtype_bytes(dtype), &value, 1));
  return value;
}

/* tolerance 0: the same bits (of NaN: NaN), so that signs of zeros count; else relative to the
 * number, or to `scale` times the largest. */
static bool near(double a, double b, double tolerance, double scale) {
  if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
  if (tolerance == 0) return a == b && !signbit(a) == !signbit(b);
  return a == b || fabs(a - b) <= tolerance * fmax(fabs(b), scale) ||
         (fabs(a) < 1.2e-38 && fabs(b) < 1.2e-38);
}

static bool same(const char *what, const jm_type *type, const void *got, const void *want,
                 double tolerance, double scale) {
  jm_dtype part = jm_dtype_real(type->dtype);
  size_t n = (size_t)type->count * (jm_dtype_is_complex(type->dtype) ? 2 : 1);
  if (!jm_dtype_is_float(part)) {
    size_t bytes = jm_dtype_bytes(part);
    for (size_t i = 0; i < n; i++)
      if (memcmp((const char *)got + i * bytes, (const char *)want + i * bytes, bytes)) {
        fprintf(stderr, "%s: element %zu is %.17g, not %.17g\n", what, i, number_at(part, got, i),
                number_at(part, want, i));
        return false;
      }
    return true;
  }
  double most = 0;
  for (size_t i = 0; scale > 0 && i < n; i++) {
    double value = fabs(number_at(part, want, i));
    if (isfinite(value) && value > most) most = value;
  }
  for (size_t i = 0; i < n; i++) {
    double a = number_at(part, got, i), b = number_at(part, want, i);
    if (!near(a, b, tolerance, scale * most)) {
      fprintf(stderr, "%s: element %zu is %.9g, not %.9g\n", what, i, a, b);
      return false;
    }
  }
  return true;
}

/* -- a case */

typedef struct how {
  fill kind;
  double tolerance; /* of f32; 16-bit floats have theirs; 0: exact */
  double scale;
  bool host; /* MLX can't, and the host does it */
} how;

static double tolerance_of(const how *h, jm_dtype dtype) {
  jm_dtype part = jm_dtype_real(dtype);
  if (h->tolerance == 0) return 0;
  double unit = part == JM_DT_f16 ? 2e-3 : part == JM_DT_bf16 ? 1.6e-2 : 0;
  return unit > h->tolerance ? unit : h->tolerance;
}

static void run_both(const char *what, const jm_module *m, how h, void **data, uint32_t n_in) {
  const jm_region *entry = jm_module_region(m, m->entry);
  jm_tensor in[MAX_VALUES], out[MAX_VALUES];
  jm_engine_value given[MAX_VALUES] = {0}, made[MAX_VALUES] = {0};
  for (uint32_t i = 0; i < n_in; i++) {
    in[i] = (jm_tensor){jm_module_typeof(m, entry->first_arg + i), data[i]};
    if (engine->holds(in[i].type))
      CHECK_OK(engine->array_import(engine, in[i].type, data[i], &given[i].array));
    else
      given[i].host = data[i];
  }
  for (uint32_t i = 0; i < entry->n_results; i++) {
    out[i].type = jm_module_typeof(m, entry->results[i]);
    out[i].data = jm_data_take(jm_type_bytes(out[i].type));
  }
  CHECK_OK(jm_ref_evaluate(m, m->entry, in, out, NULL));
  void *compiled = NULL;
  jm_plan *plan = NULL;
  int64_t on_host = jm_counter_read(JM_COUNTER_host_ops);
  int64_t on_device = jm_counter_read(JM_COUNTER_device_ops);
  CHECK_OK(engine->backend->compile(engine, m, NULL, &compiled));
  CHECK_OK(jm_plan_build(m, engine, compiled, &plan));
  jm_error *error = engine->run(engine, compiled, plan, &(jm_engine_run){given, made, NULL, NULL});
  if (error) fprintf(stderr, "%s: %s\n", what, jm_error_message(error));
  CHECK(!error);
  on_host = jm_counter_read(JM_COUNTER_host_ops) - on_host;
  on_device = jm_counter_read(JM_COUNTER_device_ops) - on_device;
  bool placed = h.host ? on_host > 0 : on_host == 0 && on_device > 0;
  if (!error && !placed) fprintf(stderr, "%s: on the wrong engine\n", what);
  CHECK(error || placed);
  for (uint32_t i = 0; !error && i < entry->n_results; i++) {
    size_t bytes = jm_type_bytes(out[i].type);
    void *got = made[i].host ? made[i].host : jm_data_take(bytes);
    if (made[i].array) CHECK_OK(engine->array_export(engine, made[i].array, got, bytes));
    CHECK(same(what, out[i].type, got, out[i].data, tolerance_of(&h, out[i].type->dtype), h.scale));
    jm_data_give(got, bytes);
    if (made[i].array) engine->array_release(engine, made[i].array);
  }
  jm_error_destroy(error);
  jm_plan_destroy(plan);
  engine->backend->compiled_destroy(engine, compiled);
  for (uint32_t i = 0; i < entry->n_results; i++)
    jm_data_give(out[i].data, jm_type_bytes(out[i].type));
}

/* The program is `(arguments): ops`. */
static void run_case(how h, const char *text) {
  char whole[TEXT];
  jm_module *m = NULL;
  void *data[MAX_VALUES];
  int n = snprintf(whole, sizeof whole, "module \"case\" { %s }", text);
  CHECK(n > 0 && (size_t)n < sizeof whole);
  jm_error *error = jm_module_parse(whole, (size_t)n, &m);
  if (!error) error = jm_module_verify(m);
  if (error) fprintf(stderr, "%s: %s\n", text, jm_error_message(error));
  CHECK(!error);
  jm_error_destroy(error);
  if (error) return;
  const jm_region *entry = jm_module_region(m, m->entry);
  for (uint32_t i = 0; i < entry->n_args; i++)
    data[i] = operand(jm_module_typeof(m, entry->first_arg + i), h.kind);
  run_both(text, m, h, data, entry->n_args);
  for (uint32_t i = 0; i < entry->n_args; i++)
    jm_data_give(data[i], jm_type_bytes(jm_module_typeof(m, entry->first_arg + i)));
  jm_module_destroy(m);
}

static void run(how h, const char *format, ...) JM_PRINTF(2, 3);
static void run(how h, const char *format, ...) {
  char text[TEXT];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  run_case(h, text);
}

#define EXACT ((how){EDGES, 0, 0, false})
#define NEAR(kind, tolerance) ((how){kind, tolerance, 0, false})
#define SUM(kind) ((how){kind, 1e-5, 1, false})
#define HOST(how_) ((how){(how_).kind, (how_).tolerance, (how_).scale, true})

/* For each word of a list, separated by spaces. */
#define EACH(word, list)                                                              \
  for (char word##_text[256], *word##_rest = strcpy(word##_text, list), *word = NULL; \
       (word = strtok_r(word##_rest, " ", &word##_rest));)

#define INTEGERS "s8 s16 s32 s64 u8 u16 u32 u64"
#define FLOATS "f32 f16 bf16"

static inline void open_engine(void) {
  const char *device = getenv("JAX_MPS_DEVICE"); /* gpu: that, else MLX's CPU device */
  jm_error *error = jm_mlx_engine_create(device && !strcmp(device, "gpu"), &engine);
  if (error) fprintf(stderr, "%s\n", jm_error_message(error));
  CHECK(!error);
  if (error) exit(1);
}

static inline void close_engine(void) { engine->destroy(engine); }

#endif
