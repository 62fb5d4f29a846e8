/* SPDX-License-Identifier: Apache-2.0
 * The MLX engine's lowerings against the reference engine, on MLX's CPU device: each case is a
 * program in text form, run by both on the same pseudo-random operands. The counters prove which
 * engine ran its ops. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/counters.h"
#include "base/data.h"
#include "base/number.h"
#include "engine/mlx/engine.h"
#include "engine/ref/ref.h"
#include "ir/parse.h"
#include "ir/verify.h"
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
  static const double edges[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1, -1, 0.5, -0.5, 1.5,
                                 2.5, -2.5, 1e-3, 300.7, -300.7, 65504, 3e9, -3e9, 1e19, 0.49999997};
  enum { N = sizeof edges / sizeof *edges };
  return kind == EDGES && draw(3) ? edges[draw(N)] : plain_number(kind);
}

static int64_t integer_number(fill kind, jm_dtype dtype) {
  uint32_t bits = jm_dtype_facts[dtype].bits;
  bool is_signed = jm_dtype_classof(dtype) == JM_CLASS_SINT;
  int64_t least = is_signed ? INT64_MIN >> (64 - bits) : 0;
  int64_t most = is_signed ? ~least : (int64_t)(UINT64_MAX >> (64 - bits));
  const int64_t edges[] = {0, 1, -1, 2, 7, least, most, least + 1, most - 1, bits, bits - 1,
                           bits + 1, 3, -2};
  if (kind == EDGES && draw(3)) return edges[draw(sizeof edges / sizeof *edges)];
  return kind == EDGES ? (int64_t)draw(200) - 100 : (int64_t)draw(is_signed ? 13 : 7) - 6 * is_signed;
}

static void *operand(const jm_type *type, fill kind) {
  char *data = jm_data_take(jm_type_bytes(type));
  jm_dtype dtype = type->dtype, part = jm_dtype_real(dtype);
  bool is_complex = jm_dtype_is_complex(dtype);
  size_t n = (size_t)type->count * (is_complex ? 2 : 1), bytes = jm_dtype_bytes(part);
  for (size_t i = 0; i < n; i++) {
    if (jm_dtype_is_float(part)) {
      double value = float_number(kind);
      CHECK_OK(jm_ref_convert_run(JM_DT_f64, part, &value, data + i * bytes, 1));
    } else if (dtype == JM_DT_pred) {
      data[i] = (char)draw(2);
    } else {
      int64_t value = integer_number(kind, dtype);
      CHECK_OK(jm_ref_convert_run(JM_DT_s64, dtype, &value, data + i * bytes, 1));
    }
  }
  return data;
}

/* -- comparison of results */

static double number_at(jm_dtype dtype, const void *data, size_t i) {
  double value = 0;
  CHECK_OK(jm_ref_convert_run(dtype, JM_DT_f64, (const char *)data + i * jm_dtype_bytes(dtype),
                              &value, 1));
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
  bool host;        /* MLX can't, and the host does it */
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
  void *prepared = NULL;
  int64_t on_host = jm_counter_read(JM_COUNTER_host_ops);
  int64_t on_device = jm_counter_read(JM_COUNTER_device_ops);
  CHECK_OK(engine->prepare(engine, m, &prepared));
  jm_error *error = engine->run(engine, prepared, &(jm_engine_run){given, made, NULL});
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
  engine->prepared_destroy(engine, prepared);
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
#define EACH(word, list)                                                           \
  for (char word##_text[256], *word##_rest = strcpy(word##_text, list), *word = NULL; \
       (word = strtok_r(word##_rest, " ", &word##_rest));)

#define INTEGERS "s8 s16 s32 s64 u8 u16 u32 u64"
#define FLOATS "f32 f16 bf16"

/* -- elementwise */

static void elementwise_exact(void) {
  EACH(op, "add subtract multiply divide remainder maximum minimum and or xor shift_left "
           "shift_right_arithmetic shift_right_logical power")
    EACH(type, INTEGERS)
      run(EXACT, "(%%a: %s[200], %%b: %s[200]): %%c: %s[200] = %s %%a, %%b return %%c", type, type,
          type, op);
  EACH(op, "abs negate sign not popcnt count_leading_zeros")
    EACH(type, INTEGERS)
      run(EXACT, "(%%a: %s[200]): %%c: %s[200] = %s %%a return %%c", type, type, op);
  EACH(op, "add multiply maximum minimum and or xor")
    run(EXACT, "(%%a: pred[200], %%b: pred[200]): %%c: pred[200] = %s %%a, %%b return %%c", op);
  run(EXACT, "(%%a: pred[200]): %%c: pred[200] = not %%a return %%c");
  EACH(op, "abs negate sign ceil floor round_nearest_even round_nearest_afz")
    EACH(type, FLOATS)
      run(EXACT, "(%%a: %s[300]): %%c: %s[300] = %s %%a return %%c", type, type, op);
  EACH(op, "add subtract multiply divide")
    EACH(type, FLOATS)
      run(NEAR(EDGES, 1e-7), "(%%a: %s[300], %%b: %s[300]): %%c: %s[300] = %s %%a, %%b return %%c",
          type, type, type, op);
  EACH(op, "maximum minimum")
    EACH(type, FLOATS)
      run(NEAR(EDGES, 1e-30), "(%%a: %s[300], %%b: %s[300]): %%c: %s[300] = %s %%a, %%b return %%c",
          type, type, type, op);
  EACH(type, FLOATS) {
    run(EXACT, "(%%a: %s[300]): %%c: pred[300] = is_finite %%a return %%c", type);
    run(EXACT, "(%%p: pred[300], %%a: %s[300], %%b: %s[300]): %%c: %s[300] = select %%p, %%a, %%b "
        "return %%c", type, type, type);
    run(NEAR(EDGES, 1e-30), "(%%l: %s[], %%a: %s[300], %%h: %s[]): %%c: %s[300] = clamp %%l, %%a, %%h "
        "return %%c", type, type, type, type);
  }
}

static void elementwise_functions(void) {
  EACH(type, FLOATS) {
    EACH(op, "exponential exponential_minus_one sine cosine tan tanh logistic erf cbrt asinh sqrt "
             "rsqrt log log_plus_one sinh cosh")
      run(NEAR(PLAIN, 4e-6), "(%%a: %s[300]): %%c: %s[300] = %s %%a return %%c", type, type, op);
    EACH(op, "exponential_minus_one tanh erf asin acos atanh log_plus_one sinh cbrt asinh")
      run(NEAR(FINE, 4e-6), "(%%a: %s[300]): %%c: %s[300] = %s %%a return %%c", type, type, op);
    EACH(op, "exponential tanh logistic erf cbrt sqrt rsqrt log log_plus_one")
      run(NEAR(EDGES, 1e-4), "(%%a: %s[300]): %%c: %s[300] = %s %%a return %%c", type, type, op);
    EACH(op, "acosh log rsqrt sqrt")
      run(NEAR(POSITIVE, 4e-6), "(%%a: %s[300]): %%c: %s[300] = %s %%a return %%c", type, type, op);
    EACH(op, "atan2 power remainder")
      run(NEAR(PLAIN, 4e-6), "(%%a: %s[300], %%b: %s[300]): %%c: %s[300] = %s %%a, %%b return %%c",
          type, type, type, op);
  }
  EACH(op, "atan2 remainder power")
    run(NEAR(EDGES, 4e-6), "(%%a: f32[400], %%b: f32[400]): %%c: f32[400] = %s %%a, %%b return %%c", op);
  EACH(op, "add subtract multiply divide")
    run(SUM(PLAIN), "(%%a: c64[100], %%b: c64[100]): %%c: c64[100] = %s %%a, %%b return %%c", op);
  EACH(op, "negate exponential sine cosine tanh sign sqrt log")
    run(SUM(POSITIVE), "(%%a: c64[100]): %%c: c64[100] = %s %%a return %%c", op);
  run(EXACT, "(%%a: f32[100], %%b: f32[100]): %%c: c64[100] = complex %%a, %%b return %%c");
  run(EXACT, "(%%a: c64[100]): %%c: f32[100] = real %%a %%d: f32[100] = imag %%a return %%c, %%d");
  run(EXACT, "(%%a: f32[100]): %%c: f32[100] = imag %%a %%d: f32[100] = real %%a return %%d");
  run(NEAR(PLAIN, 1e-6), "(%%a: c64[100]): %%c: f32[100] = abs %%a return %%c");
  EACH(type, "f32 bf16")
    run(EXACT, "(%%a: %s[300]): %%c: %s[300] = reduce_precision %%a exponent_bits=8 mantissa_bits=7 "
        "return %%c", type, type);
}

static void comparisons(void) {
  EACH(direction, "EQ NE GE GT LE LT") {
    EACH(type, FLOATS)
      EACH(order, "FLOAT TOTAL")
        run(EXACT, "(%%a: %s[300], %%b: %s[300]): %%c: pred[300] = compare %%a, %%b direction=%s "
            "order=%s return %%c", type, type, direction, order);
    EACH(type, "s8 s64")
      run(EXACT, "(%%a: %s[300], %%b: %s[300]): %%c: pred[300] = compare %%a, %%b direction=%s "
          "order=SIGNED return %%c", type, type, direction);
    EACH(type, "u8 u64 pred")
      run(EXACT, "(%%a: %s[300], %%b: %s[300]): %%c: pred[300] = compare %%a, %%b direction=%s "
          "order=UNSIGNED return %%c", type, type, direction);
  }
  EACH(direction, "EQ NE")
    run(EXACT, "(%%a: c64[300], %%b: c64[300]): %%c: pred[300] = compare %%a, %%b direction=%s "
        "order=FLOAT return %%c", direction);
}

static void conversions(void) {
  EACH(from, "pred " INTEGERS " " FLOATS)
    EACH(to, "pred " INTEGERS " " FLOATS " c64")
      if (strcmp(from, to))
        run(NEAR(EDGES, 1e-7), "(%%a: %s[300]): %%c: %s[300] = convert %%a return %%c", from, to);
  EACH(to, "pred s32 u8 f32")
    run(NEAR(EDGES, 1e-7), "(%%a: c64[300]): %%c: %s[300] = convert %%a return %%c", to);
  run(EXACT, "(%%a: f32[4,6]): %%c: s32[4,6] = bitcast_convert %%a return %%c");
  run(EXACT, "(%%a: f32[4,6]): %%c: u8[4,6,4] = bitcast_convert %%a return %%c");
  run(EXACT, "(%%a: u16[4,6,2]): %%c: f32[4,6] = bitcast_convert %%a return %%c");
  run(EXACT, "(%%a: f32[]): %%c: u8[4] = bitcast_convert %%a return %%c");
}

/* -- data movement */

static void movement(void) {
  EACH(type, "f32 s8 pred c64 s64 bf16") {
    run(EXACT, "(%%a: %s[4,6]): %%c: %s[3,8] = reshape %%a return %%c", type, type);
    run(EXACT, "(%%a: %s[4,6,2]): %%c: %s[2,4,6] = transpose %%a permutation=[2,0,1] return %%c", type,
        type);
    run(EXACT, "(%%a: %s[6,1]): %%c: %s[3,4,6,2] = broadcast_in_dim %%a dims=[2,1] return %%c", type,
        type);
    run(EXACT, "(%%a: %s[4,6], %%b: %s[4,1]): %%c: %s[4,13] = concatenate %%a, %%b, %%a dim=1 "
        "return %%c", type, type, type);
    run(EXACT, "(%%a: %s[7,9]): %%c: %s[2,4] = slice %%a start=[1,2] limit=[6,9] stride=[3,2] "
        "return %%c", type, type);
    run(EXACT, "(%%a: %s[7,9,2]): %%c: %s[7,9,2] = reverse %%a dims=[0,2] return %%c", type, type);
    run(EXACT, "(%%a: %s[4,6], %%b: %s[]): %%c: %s[11,2] = pad %%a, %%b low=[2,-1] high=[-1,-3] "
        "interior=[2,0] return %%c", type, type, type);
    run(EXACT, "(%%a: %s[4,6], %%b: %s[]): %%c: %s[5,13] = pad %%a, %%b low=[0,-1] high=[1,3] "
        "interior=[0,1] return %%c", type, type, type);
    run(HOST(EXACT), "(%%a: %s[2], %%b: %s[]): %%c: %s[2] = pad %%a, %%b low=[-3] high=[3] "
        "interior=[0] return %%c", type, type, type);
  }
  EACH(type, "f32 bf16 s32 u8 c64 f16")
    run(EXACT, "(): %%c: %s[3,200,2] = iota dim=1 return %%c", type);
  run(EXACT, "(): %%c: f32[30,20] = constant value=2.5 return %%c");
  run(EXACT, "(%%a: f32[4,6]): %%c: f32[4,6] = optimization_barrier %%a return %%c");
  run(HOST(EXACT), "(%%a: f32[0,6], %%b: f32[3,6]): %%c: f32[3,6] = concatenate %%a, %%b dim=0 "
      "return %%c");
  run(HOST(EXACT), "(%%a: f64[6]): %%c: f64[6] = add %%a, %%a return %%c");
}

static void dynamic_slices(void) {
  EACH(type, "f32 s8 c64")
    EACH(index, "s32 s8 u8 s64 u64 u32") {
      run(EXACT, "(%%a: %s[9,7], %%i: %s[], %%j: %s[]): %%c: %s[4,7] = dynamic_slice %%a, %%i, %%j "
          "sizes=[4,7] return %%c", type, index, index, type);
      run(EXACT, "(%%a: %s[9,7], %%u: %s[2,3], %%i: %s[], %%j: %s[]): %%c: %s[9,7] = "
          "dynamic_update_slice %%a, %%u, %%i, %%j return %%c", type, type, index, index, type);
    }
  run(EXACT, "(%%a: f32[9,7], %%i: s32[]): %%j: s32[] = constant value=5 %%k: s32[] = constant value=-3 "
      "%%c: f32[4,2] = dynamic_slice %%a, %%j, %%k sizes=[4,2] return %%c");
}

static void gathers(void) {
  EACH(type, "f32 s64 c64 pred bf16")
    EACH(index, "s32 u8 s64") {
      run(EXACT, "(%%a: %s[9,7], %%i: %s[5,1]): %%c: %s[5,7] = gather %%a, %%i offset_dims=[1] "
          "collapsed_slice_dims=[0] start_index_map=[0] index_vector_dim=1 slice_sizes=[1,7] "
          "return %%c", type, index, type);
      run(EXACT, "(%%a: %s[9,7], %%i: %s[2,5]): %%c: %s[3,5,2] = gather %%a, %%i offset_dims=[0,2] "
          "start_index_map=[1,0] index_vector_dim=0 slice_sizes=[3,2] return %%c", type, index, type);
      run(EXACT, "(%%a: %s[9,7], %%i: %s[5]): %%c: %s[9,5] = gather %%a, %%i offset_dims=[0] "
          "collapsed_slice_dims=[1] start_index_map=[1] index_vector_dim=1 slice_sizes=[9,1] "
          "return %%c", type, index, type);
      run(EXACT, "(%%a: %s[4,9,3], %%i: %s[4,5,1]): %%c: %s[4,5,3] = gather %%a, %%i offset_dims=[2] "
          "collapsed_slice_dims=[1] operand_batching_dims=[0] start_indices_batching_dims=[0] "
          "start_index_map=[1] index_vector_dim=2 slice_sizes=[1,1,3] return %%c", type, index, type);
    }
}

static void scatters(void) {
  EACH(type, "f32 s32 bf16 u8")
    EACH(index, "s32 u8 s64")
      EACH(op, "add multiply maximum minimum") {
        run(SUM(PLAIN), "(%%a: %s[9,7], %%i: %s[5,1], %%u: %s[5,7]): %%c: %s[9,7] = scatter %%a, %%i, %%u "
            "update_window_dims=[1] inserted_window_dims=[0] scatter_dims_to_operand_dims=[0] "
            "index_vector_dim=1 { (%%x: %s[], %%y: %s[]): %%z: %s[] = %s %%x, %%y return %%z } "
            "return %%c", type, index, type, type, type, type, type, op);
        run(SUM(EDGES), "(%%a: %s[9,7], %%i: %s[5,2], %%u: %s[5,2,3]): %%c: %s[9,7] = scatter %%a, %%i, "
            "%%u update_window_dims=[1,2] scatter_dims_to_operand_dims=[0,1] index_vector_dim=1 { "
            "(%%x: %s[], %%y: %s[]): %%z: %s[] = %s %%x, %%y return %%z } return %%c", type, index,
            type, type, type, type, type, op);
      }
  EACH(type, "f32 s32 pred f16")
    run(EXACT, "(%%a: %s[9], %%u: %s[3]): %%i: s32[3,1] = constant value=[7,2,11] "
        "%%c: %s[9] = scatter %%a, %%i, %%u inserted_window_dims=[0] scatter_dims_to_operand_dims=[0] "
        "index_vector_dim=1 { (%%x: %s[], %%y: %s[]): return %%y } return %%c", type, type, type, type,
        type);
  run(SUM(PLAIN), "(%%a: f32[4,9], %%i: s32[4,5,1], %%u: f32[4,5]): %%c: f32[4,9] = scatter %%a, %%i, %%u "
      "inserted_window_dims=[1] input_batching_dims=[0] scatter_indices_batching_dims=[0] "
      "scatter_dims_to_operand_dims=[1] index_vector_dim=2 { (%%x: f32[], %%y: f32[]): "
      "%%z: f32[] = add %%x, %%y return %%z } return %%c");
  run(HOST(EXACT), "(%%a: s64[9], %%i: s32[3,1], %%u: s64[3]): %%c: s64[9] = scatter %%a, %%i, %%u "
      "inserted_window_dims=[0] scatter_dims_to_operand_dims=[0] index_vector_dim=1 { "
      "(%%x: s64[], %%y: s64[]): %%z: s64[] = add %%x, %%y return %%z } return %%c");
}

/* -- reductions and windows */

static const char *start_of(const char *op, const char *type) {
  bool is_float = strchr("fb", type[0]);
  if (!strcmp(op, "add") || !strcmp(op, "or")) return !strcmp(type, "pred") ? "false" : "0";
  if (!strcmp(op, "and")) return "true";
  if (!strcmp(op, "multiply")) return !strcmp(type, "pred") ? "true" : "1";
  if (is_float) return !strcmp(op, "maximum") ? "-inf" : "inf";
  if (!strcmp(type, "s32")) return !strcmp(op, "maximum") ? "-2147483648" : "2147483647";
  if (!strcmp(type, "u8")) return !strcmp(op, "maximum") ? "0" : "255";
  return !strcmp(op, "maximum") ? "-128" : "127";
}

static void reductions(void) {
  EACH(op, "add multiply maximum minimum") {
    EACH(type, "f32 f16 bf16 s32 s8 u8") {
      how h = strchr("fb", type[0]) && (!strcmp(op, "add") || !strcmp(op, "multiply"))
                  ? SUM(PLAIN) : NEAR(EDGES, 1e-30);
      run(h, "(%%a: %s[5,6,7]): %%i: %s[] = constant value=%s %%c: %s[5,7] = reduce %%a, %%i dims=[1] { "
          "(%%x: %s[], %%y: %s[]): %%z: %s[] = %s %%x, %%y return %%z } return %%c", type, type,
          start_of(op, type), type, type, type, type, op);
      run(h, "(%%a: %s[5,6,7]): %%i: %s[] = constant value=3 %%c: %s[6] = reduce %%a, %%i dims=[0,2] { "
          "(%%x: %s[], %%y: %s[]): %%z: %s[] = %s %%x, %%y return %%z } return %%c", type, type, type,
          type, type, type, op);
      run(h, "(%%a: %s[5,6,7], %%i: %s[]): %%c: %s[] = reduce %%a, %%i dims=[0,1,2] { "
          "(%%x: %s[], %%y: %s[]): %%z: %s[] = %s %%x, %%y return %%z } return %%c", type, type, type,
          type, type, type, op);
    }
    run(HOST(EXACT), "(%%a: f32[0,7], %%i: f32[]): %%c: f32[7] = reduce %%a, %%i dims=[0] { "
        "(%%x: f32[], %%y: f32[]): %%z: f32[] = %s %%x, %%y return %%z } return %%c", op);
  }
  EACH(op, "add multiply and or maximum minimum")
    run(EXACT, "(%%a: pred[40,2], %%i: pred[]): %%c: pred[40] = reduce %%a, %%i dims=[1] { "
        "(%%x: pred[], %%y: pred[]): %%z: pred[] = %s %%x, %%y return %%z } return %%c", op);
  EACH(op, "add multiply")
    run(SUM(POSITIVE), "(%%a: c64[40,5], %%i: c64[]): %%c: c64[40] = reduce %%a, %%i dims=[1] { "
        "(%%x: c64[], %%y: c64[]): %%z: c64[] = %s %%x, %%y return %%z } return %%c", op);
  run(SUM(POSITIVE), "(%%a: bf16[3,5000]): %%i: bf16[] = constant value=0 "
      "%%c: bf16[3] = reduce %%a, %%i dims=[1] { "
      "(%%x: bf16[], %%y: bf16[]): %%z: bf16[] = add %%x, %%y return %%z } return %%c");
  run(HOST(SUM(PLAIN)), "(%%a: f32[40,5], %%i: f32[]): %%c: f32[40] = reduce %%a, %%i dims=[1] { "
      "(%%x: f32[], %%y: f32[]): %%w: f32[] = add %%x, %%y %%z: f32[] = negate %%w return %%z } return %%c");
}

static void argmax(void) {
  static const struct {
    const char *type, *direction, *init;
  } rows[] = {{"f32", "GT", "-inf"}, {"f32", "LT", "inf"}, {"bf16", "GT", "-inf"}, {"f16", "LT", "inf"},
              {"s32", "GT", "-2147483648"}, {"u8", "LT", "255"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int kind = PLAIN; kind <= EDGES; kind++)
      for (int dim = 0; dim < 2; dim++)
        run((how){(fill)kind, 0, 0, false},
            "(%%a: %s[30,40]): %%i: s32[30,40] = iota dim=%d %%v: %s[] = constant value=%s "
            "%%0: s32[] = constant value=0 %%c: %s[%d], %%d: s32[%d] = reduce %%a, %%i, %%v, %%0 dims=[%d] { "
            "(%%x: %s[], %%j: s32[], %%y: %s[], %%k: s32[]): "
            "%%p: pred[] = compare %%x, %%y direction=%s order=FLOAT "
            "%%q: pred[] = compare %%x, %%x direction=NE order=FLOAT %%r: pred[] = or %%p, %%q "
            "%%s: pred[] = compare %%x, %%y direction=EQ order=FLOAT "
            "%%t: pred[] = compare %%j, %%k direction=LT order=SIGNED %%u: pred[] = and %%s, %%t "
            "%%w: pred[] = or %%r, %%u %%z: %s[] = select %%r, %%x, %%y %%n: s32[] = select %%w, %%j, %%k "
            "return %%z, %%n } return %%d",
            rows[i].type, dim, rows[i].type, rows[i].init, rows[i].type, dim ? 30 : 40, dim ? 30 : 40,
            dim, rows[i].type, rows[i].type, rows[i].direction, rows[i].type);
}

static void windows(void) {
  static const struct {
    const char *window, *strides, *base, *dilation, *padding, *result;
  } rows[] = {
      {"1,9,1", "1,1,1", "1,1,1", "1,1,1", "0,0,8,0,0,0", "3,9,7"},   /* cumulative */
      {"1,9,1", "1,1,1", "1,1,1", "1,1,1", "0,0,0,8,0,0", "3,9,7"},   /* from the end */
      {"1,1,7", "1,1,1", "1,1,1", "1,1,1", "0,0,0,0,6,0", "3,9,7"},
      {"1,2,2", "1,2,2", "1,1,1", "1,1,1", "0,0,0,0,0,0", "3,4,3"},   /* pooling */
      {"1,3,3", "1,2,2", "1,1,1", "1,1,1", "0,0,1,1,0,1", "3,5,3"},
      {"1,3,3", "1,3,3", "1,1,1", "1,1,1", "0,0,0,0,1,1", "3,3,3"},
      {"1,9,7", "1,1,1", "1,1,1", "1,1,1", "0,0,0,0,0,0", "3,1,1"},   /* all of it */
      {"2,5,1", "1,1,2", "1,1,1", "1,2,1", "0,0,0,0,0,0", "2,1,4"},   /* dilated */
      {"1,6,7", "1,1,1", "1,1,1", "1,1,1", "1,0,2,3,5,6", "4,9,12"},
      {"1,2,2", "1,1,2", "1,2,3", "1,1,1", "0,0,1,0,0,1", "3,17,10"}, /* holes */
      {"1,2,2", "1,1,1", "1,1,1", "1,1,1", "0,0,-2,0,1,-3", "3,6,4"}, /* cropped */
      {"1,1,1", "1,2,3", "1,1,1", "1,1,1", "0,0,0,0,0,0", "3,5,3"},
  };
  EACH(op, "add multiply maximum minimum")
    EACH(type, "f32 bf16 s32 s8")
      for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int known = 0; known < 2; known++) {
          how h = strchr("fb", type[0]) && (!strcmp(op, "add") || !strcmp(op, "multiply"))
                      ? SUM(POSITIVE) : NEAR(PLAIN, 1e-30);
          run(h, "(%%a: %s[3,9,7]): %%i: %s[] = constant value=%s %%c: %s[%s] = reduce_window %%a, %%i "
              "window=[%s] strides=[%s] base_dilations=[%s] window_dilations=[%s] padding=[%s] { "
              "(%%x: %s[], %%y: %s[]): %%z: %s[] = %s %%x, %%y return %%z } return %%c", type, type,
              known ? start_of(op, type) : "2", type, rows[i].result, rows[i].window,
              rows[i].strides, rows[i].base, rows[i].dilation, rows[i].padding, type, type, type, op);
        }
  EACH(op, "or and maximum add")
    EACH(window, "[1,9] [3,1]")
      run(EXACT, "(%%a: pred[9,9], %%i: pred[]): %%c: pred[9,9] = reduce_window %%a, %%i "
          "window=%s strides=[1,1] base_dilations=[1,1] window_dilations=[1,1] padding=%s { "
          "(%%x: pred[], %%y: pred[]): %%z: pred[] = %s %%x, %%y return %%z } return %%c", window,
          window[1] == '1' ? "[0,0,8,0]" : "[1,1,0,0]", op);
  EACH(op, "maximum minimum add")
    run(NEAR(EDGES, 1e-5), "(%%a: f32[20,30], %%i: f32[]): %%c: f32[20,30] = reduce_window %%a, %%i "
        "window=[1,30] strides=[1,1] base_dilations=[1,1] window_dilations=[1,1] padding=[0,0,29,0] { "
        "(%%x: f32[], %%y: f32[]): %%z: f32[] = %s %%x, %%y return %%z } return %%c", op);
  EACH(padding, "[0,0,0,8] [0,0,8,0]")
    EACH(type, FLOATS)
      run(SUM(PLAIN), "(%%a: %s[5,9]): %%i: %s[] = constant value=-inf %%c: %s[5,9] = reduce_window %%a, %%i "
          "window=[1,9] strides=[1,1] base_dilations=[1,1] window_dilations=[1,1] padding=%s { "
          "(%%3: %s[], %%4: %s[]): %%5: %s[] = maximum %%3, %%4 %%6: %s[] = subtract %%3, %%4 "
          "%%7: pred[] = compare %%6, %%6 direction=NE order=FLOAT %%8: %s[] = add %%3, %%4 "
          "%%9: %s[] = abs %%6 %%10: %s[] = negate %%9 %%11: %s[] = exponential %%10 "
          "%%12: %s[] = log_plus_one %%11 %%13: %s[] = add %%5, %%12 "
          "%%14: %s[] = select %%7, %%8, %%13 return %%14 } return %%c", type, type, type, padding,
          type, type, type, type, type, type, type, type, type, type, type);
}

static void pooling_gradients(void) {
  static const struct {
    const char *window, *strides, *padding, *source;
  } rows[] = {
      {"1,2,2,1", "1,2,2,1", "0,0,0,0,0,0,0,0", "2,4,4,3"},
      {"1,3,3,1", "1,2,2,1", "0,0,0,1,0,1,0,0", "2,4,4,3"},
      {"1,3,3,1", "1,1,1,1", "0,0,1,1,1,1,0,0", "2,8,8,3"},
      {"1,1,5,1", "1,3,2,1", "0,0,0,0,4,4,0,0", "2,3,6,3"},
      {"2,2,1,1", "1,1,1,1", "1,1,1,1,0,0,0,0", "3,9,8,3"},
  };
  EACH(direction, "GE LE GT")
    EACH(type, "f32 bf16 s32")
      for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int kind = PLAIN; kind <= (strcmp(type, "f32") ? PLAIN : EDGES); kind++)
          run((how){(fill)kind, 1e-5, 1, false},
              "(%%a: %s[2,8,8,3], %%s: %s[%s]): %%i: %s[] = constant value=%d "
              "%%c: %s[2,8,8,3] = select_and_scatter %%a, %%s, %%i window=[%s] strides=[%s] padding=[%s] { "
              "(%%x: %s[], %%y: %s[]): %%p: pred[] = compare %%x, %%y direction=%s order=FLOAT "
              "return %%p }, { (%%x: %s[], %%y: %s[]): %%z: %s[] = add %%x, %%y return %%z } return %%c",
              type, type, rows[i].source, type, (int)i % 2, type, rows[i].window, rows[i].strides,
              rows[i].padding, type, type, direction, type, type, type);
}

/* -- sorts */

static void sorts(void) {
  static const char canonical[] =
      "%%0: %s[] = constant value=0 %%n: %s[] = constant value=%s "
      "%%p: pred[] = compare %%x, %%0 direction=EQ order=FLOAT %%x1: %s[] = select %%p, %%0, %%x "
      "%%q: pred[] = compare %%x, %%x direction=NE order=FLOAT %%x2: %s[] = select %%q, %%n, %%x1 "
      "%%r: pred[] = compare %%y, %%0 direction=EQ order=FLOAT %%y1: %s[] = select %%r, %%0, %%y "
      "%%s: pred[] = compare %%y, %%y direction=NE order=FLOAT %%y2: %s[] = select %%s, %%n, %%y1 ";
  EACH(direction, "LT GT")
    for (int dim = 0; dim < 2; dim++) {
      EACH(type, FLOATS) {
        char keys[2048];
        const char *nan = !strcmp(type, "f32") ? "0x7fc00000" : !strcmp(type, "f16") ? "0x7e00" : "0x7fc0";
        snprintf(keys, sizeof keys, canonical, type, type, nan, type, type, type, type);
        run(EXACT, "(%%a: %s[20,30]): %%c: %s[20,30] = sort %%a dim=%d stable=true { "
            "(%%x: %s[], %%y: %s[]): %s %%z: pred[] = compare %%x2, %%y2 direction=%s order=TOTAL "
            "return %%z } return %%c", type, type, dim, type, type, keys, direction);
        run(EXACT, "(%%a: %s[20,30]): %%i: s32[20,30] = iota dim=%d %%c: %s[20,30], %%d: s32[20,30] = "
            "sort %%a, %%i dim=%d stable=true { (%%x: %s[], %%y: %s[], %%j: s32[], %%k: s32[]): "
            "%s %%z: pred[] = compare %%x2, %%y2 direction=%s order=TOTAL return %%z } return %%c, %%d",
            type, dim, type, dim, type, type, keys, direction);
        run(EXACT, "(%%a: %s[20,30]): %%c: %s[20,30] = sort %%a dim=%d stable=true { "
            "(%%x: %s[], %%y: %s[]): %%z: pred[] = compare %%x, %%y direction=%s order=TOTAL "
            "return %%z } return %%c", type, type, dim, type, type, direction);
        run(EXACT, "(%%a: s32[20,30], %%b: %s[20,30], %%e: u8[20,30]): "
            "%%c: s32[20,30], %%d: %s[20,30], %%f: u8[20,30] = sort %%a, %%b, %%e dim=%d stable=true { "
            "(%%j: s32[], %%k: s32[], %%x: %s[], %%y: %s[], %%g: u8[], %%h: u8[]): %s "
            "%%l: pred[] = compare %%j, %%k direction=%s order=SIGNED "
            "%%m: pred[] = compare %%j, %%k direction=EQ order=SIGNED "
            "%%z: pred[] = compare %%x2, %%y2 direction=LT order=TOTAL "
            "%%o: pred[] = and %%m, %%z %%w: pred[] = or %%l, %%o return %%w } return %%c, %%d, %%f",
            type, type, dim, type, type, keys, direction);
      }
      EACH(type, INTEGERS " pred") {
        run(EXACT, "(%%a: %s[20,30]): %%c: %s[20,30] = sort %%a dim=%d stable=true { "
            "(%%x: %s[], %%y: %s[]): %%z: pred[] = compare %%x, %%y direction=%s order=%s "
            "return %%z } return %%c", type, type, dim, type, type, direction,
            type[0] == 's' ? "SIGNED" : "UNSIGNED");
        run(EXACT, "(%%b: c64[20,30], %%a: %s[20,30]): %%d: c64[20,30], %%c: %s[20,30] = sort %%b, %%a "
            "dim=%d stable=true { (%%v: c64[], %%w: c64[], %%x: %s[], %%y: %s[]): "
            "%%z: pred[] = compare %%x, %%y direction=%s order=%s return %%z } return %%d, %%c", type,
            type, dim, type, type, direction, type[0] == 's' ? "SIGNED" : "UNSIGNED");
      }
    }
  run(HOST(NEAR(PLAIN, 1e-30)), "(%%a: f32[20,30]): %%c: f32[20,30] = sort %%a dim=1 { "
      "(%%x: f32[], %%y: f32[]): %%z: pred[] = compare %%x, %%y direction=LT order=FLOAT return %%z } "
      "return %%c");
  EACH(smallest, "true false")
    EACH(type, FLOATS " " INTEGERS) {
      run(EXACT, "(%%a: %s[20,30]): %%c: %s[20,7], %%d: s32[20,7] = top_k %%a k=7 %s return %%c, %%d",
          type, type, strcmp(smallest, "true") ? "" : "smallest=true");
      run(EXACT, "(%%a: %s[30]): %%c: %s[30], %%d: s32[30] = top_k %%a k=30 return %%c, %%d", type, type);
    }
}

/* -- products */

static void dots(void) {
  static const struct {
    const char *lhs, *rhs, *attrs, *result;
  } rows[] = {
      {"5,7", "7,6", "lhs_contract=[1] rhs_contract=[0]", "5,6"},
      {"7,5", "6,7", "lhs_contract=[0] rhs_contract=[1]", "5,6"},
      {"7", "7", "lhs_contract=[0] rhs_contract=[0]", ""},
      {"5,7", "7", "lhs_contract=[1] rhs_contract=[0]", "5"},
      {"7", "7,6", "lhs_contract=[0] rhs_contract=[0]", "6"},
      {"5", "6", "", "5,6"},
      {"3,5,7", "3,7,6", "lhs_batch=[0] rhs_batch=[0] lhs_contract=[2] rhs_contract=[1]", "3,5,6"},
      {"5,3,7,2", "6,2,7,3",
       "lhs_batch=[3,1] rhs_batch=[1,3] lhs_contract=[2] rhs_contract=[2]", "2,3,5,6"},
      {"5,7,2,3", "7,4,3,2,6", "lhs_contract=[1,3] rhs_contract=[0,2]", "5,2,4,2,6"},
      {"3,7", "3,7", "lhs_batch=[0] rhs_batch=[0] lhs_contract=[1] rhs_contract=[1]", "3"},
  };
  static const char *const types[][3] = {
      {"f32", "f32", "f32"},   {"f16", "f16", "f16"},  {"bf16", "bf16", "bf16"}, {"c64", "c64", "c64"},
      {"bf16", "bf16", "f32"}, {"f16", "f16", "f32"},  {"f32", "f32", "bf16"},   {"s8", "s8", "s32"},
      {"u8", "u8", "s32"},     {"pred", "pred", "pred"}, {"s32", "s32", "s32"},  {"s8", "s8", "s8"},
      {"u64", "u64", "u64"},   {"s16", "s16", "s16"},  {"s8", "s8", "f32"},      {"u16", "u16", "u32"},
      {"pred", "pred", "s32"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
      bool edges = strchr("sup", types[t][2][0]);
      run(edges ? EXACT : SUM(PLAIN), "(%%a: %s[%s], %%b: %s[%s]): %%c: %s[%s] = dot_general %%a, %%b %s "
          "lhs_precision=DEFAULT rhs_precision=HIGHEST return %%c", types[t][0], rows[i].lhs,
          types[t][1], rows[i].rhs, types[t][2], rows[i].result, rows[i].attrs);
    }
  EACH(type, "s8 u8 pred") /* sums past 2^24 */
    run(EXACT, "(%%a: %s[3,5000], %%b: %s[4,5000]): %%c: s32[3,4] = dot_general %%a, %%b "
        "lhs_contract=[1] rhs_contract=[1] lhs_precision=DEFAULT rhs_precision=DEFAULT return %%c", type,
        type);
  run(HOST(EXACT), "(%%a: s32[50,200], %%b: s32[500,200]): %%c: s32[50,500] = dot_general %%a, %%b "
      "lhs_contract=[1] rhs_contract=[1] lhs_precision=DEFAULT rhs_precision=DEFAULT return %%c");
  EACH(type, FLOATS)
    run(SUM(POSITIVE), "(%%a: %s[3,3000], %%b: %s[4,3000]): %%c: %s[3,4] = dot_general %%a, %%b "
        "lhs_contract=[1] rhs_contract=[1] lhs_precision=DEFAULT rhs_precision=DEFAULT return %%c", type,
        type, type);
}

/* Sizes of a convolution with everything; the text follows from them. */
typedef struct shape {
  int n;                                       /* spatial dimensions */
  int batch, in, out;                          /* of the input, its features, the result's */
  int size[3], window[3], stride[3], low[3], high[3], input_dilation[3], window_dilation[3], flip[3];
  int feature_groups, batch_groups;
  int layout; /* 0: N C spatial, O I spatial; 1: N spatial C, spatial I O; 2: odd ones */
} shape;

static int spread_size(int size, int dilation) { return (size - 1) * dilation + 1; }

/* sizes in the order of a layout: first and second are the places of the two other dimensions */
static void print_sizes(char *text, int n, const int *spatial, int first, int first_size, int second,
                        int second_size) {
  int next = 0;
  *text = 0;
  for (int d = 0; d < n + 2; d++) {
    int size = d == first ? first_size : d == second ? second_size : spatial[next++];
    sprintf(text + strlen(text), "%s%d", d ? "," : "", size);
  }
}

static void print_places(char *text, int n, int first, int second) {
  *text = 0;
  for (int d = 0, any = 0; d < n + 2; d++)
    if (d != first && d != second) sprintf(text + strlen(text), "%s%d", any++ ? "," : "", d);
}

static void print_list(char *text, int n, const int *a, const int *b) {
  *text = 0;
  for (int i = 0; i < n; i++) {
    sprintf(text + strlen(text), "%s%d", i ? "," : "", a[i]);
    if (b) sprintf(text + strlen(text), ",%d", b[i]);
  }
}

static void convolve(how h, const shape *s, const char *lhs, const char *rhs, const char *to) {
  const int places[3][6] = {{0, 1, 0, 1, 0, 1}, /* N, C, O, I, N, O */
                            {0, s->n + 1, s->n + 1, s->n, 0, s->n + 1},
                            {s->n + 1, 0, 1, s->n + 1, s->n, s->n + 1}};
  const int *at = places[s->layout];
  char input[64], kernel[64], result[64], in_at[32], kernel_at[32], out_at[32];
  char strides[32], padding[64], lhs_dilation[32], rhs_dilation[32], reversal[32];
  int out[3];
  for (int i = 0; i < s->n; i++)
    out[i] = (spread_size(s->size[i], s->input_dilation[i]) + s->low[i] + s->high[i] -
              spread_size(s->window[i], s->window_dilation[i])) / s->stride[i] + 1;
  print_sizes(input, s->n, s->size, at[0], s->batch, at[1], s->in);
  print_sizes(kernel, s->n, s->window, at[2], s->out, at[3], s->in / s->feature_groups);
  print_sizes(result, s->n, out, at[4], s->batch / s->batch_groups, at[5], s->out);
  print_places(in_at, s->n, at[0], at[1]);
  print_places(kernel_at, s->n, at[2], at[3]);
  print_places(out_at, s->n, at[4], at[5]);
  print_list(strides, s->n, s->stride, NULL);
  print_list(padding, s->n, s->low, s->high);
  print_list(lhs_dilation, s->n, s->input_dilation, NULL);
  print_list(rhs_dilation, s->n, s->window_dilation, NULL);
  print_list(reversal, s->n, s->flip, NULL);
  run(h, "(%%a: %s[%s], %%b: %s[%s]): %%c: %s[%s] = convolution %%a, %%b strides=[%s] padding=[%s] "
      "lhs_dilation=[%s] rhs_dilation=[%s] reversal=[%s] input_batch=%d input_feature=%d "
      "input_spatial=[%s] kernel_input_feature=%d kernel_output_feature=%d kernel_spatial=[%s] "
      "output_batch=%d output_feature=%d output_spatial=[%s] feature_groups=%d batch_groups=%d "
      "lhs_precision=DEFAULT rhs_precision=DEFAULT return %%c", lhs, input, rhs, kernel, to, result,
      strides, padding, lhs_dilation, rhs_dilation, reversal, at[0], at[1], in_at, at[3], at[2],
      kernel_at, at[4], at[5], out_at, s->feature_groups, s->batch_groups);
}

static void convolutions(void) {
  int done = 0;
  while (done < 250) {
    shape s = {.n = (int)draw(4), .layout = (int)draw(3), .feature_groups = 1, .batch_groups = 1};
    if (!s.n && s.layout == 2) continue; /* its places are taken */
    if (!draw(3)) s.feature_groups = 2;
    else if (!draw(3)) s.batch_groups = 2;
    s.batch = s.batch_groups * (1 + (int)draw(2));
    s.in = s.feature_groups * (1 + (int)draw(3));
    s.out = s.feature_groups * s.batch_groups * (1 + (int)draw(3));
    bool good = true;
    for (int i = 0; i < s.n; i++) {
      s.size[i] = 3 + (int)draw(5);
      s.window[i] = 1 + (int)draw(3);
      s.stride[i] = 1 + (int)draw(2);
      s.low[i] = (int)draw(5) - 2;
      s.high[i] = (int)draw(5) - 2;
      s.input_dilation[i] = 1 + (int)draw(3) % 2;
      s.window_dilation[i] = 1 + (int)draw(3) % 2;
      s.flip[i] = (int)draw(2);
      int padded = spread_size(s.size[i], s.input_dilation[i]) + s.low[i] + s.high[i];
      good &= padded >= spread_size(s.window[i], s.window_dilation[i]);
    }
    if (!good) continue;
    done++;
    convolve(SUM(PLAIN), &s, "f32", "f32", "f32");
    if (done % 5) continue;
    convolve(SUM(PLAIN), &s, "bf16", "bf16", "bf16");
    convolve(SUM(PLAIN), &s, "f16", "f16", "f32");
    convolve(EXACT, &s, "s8", "s8", "s32");
  }
  /* JAX's gradients of a strided 3x3 convolution: of the kernel, of the input. */
  shape kernel = {.n = 2, .batch = 3, .in = 2, .out = 4, .size = {8, 8}, .window = {4, 4},
                  .stride = {1, 1}, .low = {0, 0}, .high = {1, 1}, .input_dilation = {1, 1},
                  .window_dilation = {2, 2}, .feature_groups = 1, .batch_groups = 1};
  convolve(SUM(PLAIN), &kernel, "f32", "f32", "f32");
  shape input = {.n = 2, .batch = 2, .in = 4, .out = 3, .size = {4, 4}, .window = {3, 3},
                 .stride = {1, 1}, .low = {2, 2}, .high = {1, 1}, .input_dilation = {2, 2},
                 .window_dilation = {1, 1}, .feature_groups = 1, .batch_groups = 1, .flip = {1, 1}};
  convolve(SUM(PLAIN), &input, "f32", "f32", "f32");
  shape wide = {.n = 2, .batch = 1, .in = 64, .out = 8, .size = {12, 12}, .window = {3, 3},
                .stride = {1, 1}, .low = {1, 1}, .high = {1, 1}, .input_dilation = {1, 1},
                .window_dilation = {1, 1}, .feature_groups = 1, .batch_groups = 1, .layout = 1};
  EACH(type, FLOATS) convolve(SUM(POSITIVE), &wide, type, type, type);
  convolve(HOST(EXACT), &wide, "s32", "s32", "s32");
}

static void transforms(void) {
  EACH(kind, "FFT IFFT") {
    run(SUM(PLAIN), "(%%a: c64[3,4,15]): %%c: c64[3,4,15] = fft %%a kind=%s length=[15] return %%c", kind);
    run(SUM(PLAIN), "(%%a: c64[3,4,8]): %%c: c64[3,4,8] = fft %%a kind=%s length=[4,8] return %%c", kind);
    run(SUM(PLAIN), "(%%a: c64[3,4,7]): %%c: c64[3,4,7] = fft %%a kind=%s length=[3,4,7] return %%c", kind);
  }
  EACH(n, "1 2 8 15") {
    int half = atoi(n) / 2 + 1;
    run(SUM(PLAIN), "(%%a: f32[3,%s]): %%c: c64[3,%d] = fft %%a kind=RFFT length=[%s] return %%c", n, half,
        n);
    run(SUM(PLAIN), "(%%a: c64[3,%d]): %%c: f32[3,%s] = fft %%a kind=IRFFT length=[%s] return %%c", half,
        n, n);
    run(SUM(PLAIN), "(%%a: f32[6,%s]): %%c: c64[6,%d] = fft %%a kind=RFFT length=[6,%s] return %%c", n,
        half, n);
    run(SUM(PLAIN), "(%%a: c64[6,%d]): %%c: f32[6,%s] = fft %%a kind=IRFFT length=[6,%s] return %%c", half,
        n, n);
  }
}

static void open_engine(void) {
  jm_error *error = jm_mlx_engine_create(false, &engine);
  if (error) fprintf(stderr, "%s\n", jm_error_message(error));
  CHECK(!error);
  if (error) exit(1);
}

static void close_engine(void) { engine->destroy(engine); }

TEST_MAIN(open_engine, elementwise_exact, elementwise_functions, comparisons, conversions, movement,
          dynamic_slices, gathers, scatters, reductions, argmax, windows, pooling_gradients, sorts,
          dots, convolutions, transforms, close_engine)
