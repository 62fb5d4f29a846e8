/* SPDX-License-Identifier: Apache-2.0
 * The bridge to MLX, on MLX's CPU device, or on its GPU with JAX_MPS_DEVICE=gpu: each primitive of
 * prims.def is called and its values are checked; exceptions come back as errors and the process
 * lives on; arrays go in and out. */
#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/number.h"
#include "base/settings.h"
#include "engine/mlx/bridge.h"
#include "engine/mlx/nvrtc.h"
#include "unit/check.h"

static const jm_mlx_api *api;
static jm_mlx_device_fact device;
static bool gpu;

/* -- which primitives were called */

enum primitive {
#define PRIM1(name, function) P_##name,
#define PRIM2(name, function) P_##name,
#define PRIM_AXES(name, function) P_##name,
#define PRIM_AXIS(name, function) P_##name,
#define PRIM(name, parameters, arguments) P_##name,
#include "engine/mlx/prims.def"
  N_PRIMITIVES
};
static const char *const names[] = {
#define PRIM1(name, function) #name,
#define PRIM2(name, function) #name,
#define PRIM_AXES(name, function) #name,
#define PRIM_AXIS(name, function) #name,
#define PRIM(name, parameters, arguments) #name,
#include "engine/mlx/prims.def"
};
static bool called[N_PRIMITIVES];
#define CALL(name, ...) (called[P_##name] = true, api->name(__VA_ARGS__))

/* -- arrays of a test: released at its end */

enum { MAX_RANK = 8, MAX_KEPT = 256 };
static jm_mlx_array *kept[MAX_KEPT];
static int n_kept;

static jm_mlx_array *keep(jm_mlx_array *a) {
  CHECK(n_kept < MAX_KEPT);
  return kept[n_kept++] = a;
}

static void release_all(void) {
  while (n_kept) api->array_release(kept[--n_kept]);
}

static void element_put(jm_dtype dtype, void *bytes, size_t i, double value) {
  switch (dtype) {
    case JM_DT_pred:
      ((uint8_t *)bytes)[i] = value != 0;
      break;
    case JM_DT_s8:
      ((int8_t *)bytes)[i] = (int8_t)value;
      break;
    case JM_DT_u8:
      ((uint8_t *)bytes)[i] = (uint8_t)value;
      break;
    case JM_DT_s32:
      ((int32_t *)bytes)[i] = (int32_t)value;
      break;
    case JM_DT_u32:
      ((uint32_t *)bytes)[i] = (uint32_t)value;
      break;
    case JM_DT_s64:
      ((int64_t *)bytes)[i] = (int64_t)value;
      break;
    case JM_DT_f32:
      ((float *)bytes)[i] = (float)value;
      break;
    case JM_DT_f64:
      ((double *)bytes)[i] = value;
      break;
    case JM_DT_c64:
      ((float *)bytes)[2 * i] = (float)value, ((float *)bytes)[2 * i + 1] = 3;
      break;
    default:
      CHECK(!"an element type that this test can write");
  }
}

static double element_get(jm_dtype dtype, const void *bytes, size_t i) {
  switch (dtype) {
    case JM_DT_pred:
    case JM_DT_u8:
      return ((const uint8_t *)bytes)[i];
    case JM_DT_s8:
      return ((const int8_t *)bytes)[i];
    case JM_DT_s32:
      return ((const int32_t *)bytes)[i];
    case JM_DT_u32:
      return ((const uint32_t *)bytes)[i];
    case JM_DT_s64:
      return (double)((const int64_t *)bytes)[i];
    case JM_DT_f32:
      return (double)((const float *)bytes)[i];
    case JM_DT_f64:
      return ((const double *)bytes)[i];
    case JM_DT_c64:
      return (double)((const float *)bytes)[2 * i];
    default:
      CHECK(!"an element type that this test can read");
      return NAN;
  }
}

#define DIMS(...) ((const int32_t[]){__VA_ARGS__}), (int)(sizeof((int32_t[]){__VA_ARGS__}) / 4)
#define I32(...) ((const int32_t[]){__VA_ARGS__})
#define VALUES(...) ((const double[]){__VA_ARGS__})

static jm_mlx_array *array(jm_dtype dtype, const int32_t *shape, int rank, const double *values) {
  char bytes[1024];
  size_t count = 1;
  for (int i = 0; i < rank; i++) count *= (size_t)shape[i];
  for (size_t i = 0; i < count; i++) element_put(dtype, bytes, i, values[i]);
  jm_mlx_array *a = NULL;
  CHECK_OK(api->array_import(dtype, shape, rank, bytes, &a));
  return keep(a);
}

static jm_mlx_array *scalar(jm_dtype dtype, double value) { return array(dtype, NULL, 0, &value); }

/* 0, 1, 2, ... */
static jm_mlx_array *counting(jm_dtype dtype, const int32_t *shape, int rank) {
  double values[64];
  for (int i = 0; i < 64; i++) values[i] = i;
  return array(dtype, shape, rank, values);
}

static bool near(double a, double b) {
  return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= 2e-5 * fmax(1, fabs(b));
}

/* The array has this type, shape and these values; then it is forgotten. */
static void expect(const char *what, jm_error *error, jm_mlx_array *a, jm_dtype dtype,
                   const int32_t *shape, int rank, const double *values) {
  char bytes[1024];
  int32_t dims[64];
  int n_dims = -1;
  jm_dtype type = JM_N_DTYPES;
  bool good = true;
  size_t count = 1;
  CHECK_OK(error);
  if (error) return;
  CHECK_OK(api->array_describe(a, &type, dims, &n_dims));
  for (int i = 0; i < n_dims; i++) count *= (size_t)dims[i];
  good = type == dtype && n_dims == rank;
  for (int i = 0; good && i < rank; i++) good = dims[i] == shape[i];
  if (good) {
    CHECK_OK(api->array_export(a, bytes, count * jm_dtype_bytes(dtype)));
    for (size_t i = 0; i < count; i++) {
      double got = element_get(dtype, bytes, i);
      if (!near(got, values[i])) {
        fprintf(stderr, "%s: element %zu is %g, not %g\n", what, i, got, values[i]);
        good = false;
      }
    }
  } else {
    fprintf(stderr, "%s: type %s, rank %d\n", what, jm_dtype_name(type), n_dims);
  }
  CHECK(good);
  api->array_release(a);
}

/* EXPECT(name, (arguments), type, DIMS(shape), VALUES(...)) for rows PRIM */
#define UNPAREN(...) __VA_ARGS__
#define EXPECT(name, arguments, ...)                                           \
  do {                                                                         \
    jm_mlx_array *expected_array = NULL;                                       \
    jm_error *expected_error = CALL(name, &expected_array, UNPAREN arguments); \
    expect(#name, expected_error, expected_array, __VA_ARGS__);                \
  } while (0)

/* -- rows of one shape */

static const struct unary_case {
  const char *name;
  jm_dtype from;
  double in;
  jm_dtype to;
  double out;
} unary_cases[] = {
    {"abs", JM_DT_f32, -2.5, JM_DT_f32, 2.5},
    {"acos", JM_DT_f32, 0.5, JM_DT_f32, 1.0471975512},
    {"acosh", JM_DT_f32, 2, JM_DT_f32, 1.3169578969},
    {"asin", JM_DT_f32, 0.5, JM_DT_f32, 0.5235987756},
    {"asinh", JM_DT_f32, 1, JM_DT_f32, 0.8813735870},
    {"atanh", JM_DT_f32, 0.5, JM_DT_f32, 0.5493061443},
    {"bitwise_not", JM_DT_s32, 5, JM_DT_s32, -6},
    {"ceil", JM_DT_f32, 1.2, JM_DT_f32, 2},
    {"conjugate", JM_DT_c64, 2, JM_DT_c64, 2},
    {"cos", JM_DT_f32, 1, JM_DT_f32, 0.5403023059},
    {"cosh", JM_DT_f32, 1, JM_DT_f32, 1.5430806348},
    {"erf", JM_DT_f32, 0.5, JM_DT_f32, 0.5204998778},
    {"erfinv", JM_DT_f32, 0.5, JM_DT_f32, 0.4769362762},
    {"exp", JM_DT_f32, 1, JM_DT_f32, 2.7182818285},
    {"expm1", JM_DT_f32, 1, JM_DT_f32, 1.7182818285},
    {"floor", JM_DT_f32, -1.2, JM_DT_f32, -2},
    {"imag", JM_DT_c64, 2, JM_DT_f32, 3},
    {"isfinite", JM_DT_f32, INFINITY, JM_DT_pred, 0},
    {"isinf", JM_DT_f32, -INFINITY, JM_DT_pred, 1},
    {"isnan", JM_DT_f32, NAN, JM_DT_pred, 1},
    {"log", JM_DT_f32, 2, JM_DT_f32, 0.6931471806},
    {"log1p", JM_DT_f32, 1, JM_DT_f32, 0.6931471806},
    {"logical_not", JM_DT_pred, 1, JM_DT_pred, 0},
    {"negative", JM_DT_s32, 7, JM_DT_s32, -7},
    {"real", JM_DT_c64, 2, JM_DT_f32, 2},
    {"round", JM_DT_f32, 2.5, JM_DT_f32, 2},
    {"rsqrt", JM_DT_f32, 4, JM_DT_f32, 0.5},
    {"sigmoid", JM_DT_f32, 1, JM_DT_f32, 0.7310585786},
    {"sign", JM_DT_f32, -3, JM_DT_f32, -1},
    {"sin", JM_DT_f32, 1, JM_DT_f32, 0.8414709848},
    {"sinh", JM_DT_f32, 1, JM_DT_f32, 1.1752011936},
    {"sqrt", JM_DT_f32, 9, JM_DT_f32, 3},
    {"square", JM_DT_f32, 3, JM_DT_f32, 9},
    {"tan", JM_DT_f32, 1, JM_DT_f32, 1.5574077247},
    {"tanh", JM_DT_f32, 1, JM_DT_f32, 0.7615941560},
};

typedef jm_error *unary_fn(jm_mlx_array *a, jm_mlx_array **out);

static void check_unary(const char *name, unary_fn *function) {
  for (size_t i = 0; i < sizeof unary_cases / sizeof *unary_cases; i++) {
    const struct unary_case *c = &unary_cases[i];
    if (strcmp(c->name, name)) continue;
    jm_mlx_array *a = array(c->from, DIMS(3), VALUES(c->in, c->in, c->in)), *out = NULL;
    jm_error *error = function(a, &out);
    expect(name, error, out, c->to, DIMS(3), VALUES(c->out, c->out, c->out));
    return;
  }
  fprintf(stderr, "no case for %s\n", name);
  CHECK(!"a case for every primitive");
}

static const struct binary_case {
  const char *name;
  jm_dtype from;
  double a, b;
  jm_dtype to;
  double out;
} binary_cases[] = {
    {"add", JM_DT_s32, 2, 3, JM_DT_s32, 5},
    {"atan2", JM_DT_f32, 1, -1, JM_DT_f32, 2.3561944902},
    {"bitwise_and", JM_DT_s32, 12, 10, JM_DT_s32, 8},
    {"bitwise_or", JM_DT_s32, 12, 10, JM_DT_s32, 14},
    {"bitwise_xor", JM_DT_s32, 12, 10, JM_DT_s32, 6},
    {"divide", JM_DT_f32, 7, 2, JM_DT_f32, 3.5},
    {"equal", JM_DT_f32, 2, 2, JM_DT_pred, 1},
    {"floor_divide", JM_DT_s32, -7, 2, JM_DT_s32, -4},
    {"greater", JM_DT_s32, 2, 3, JM_DT_pred, 0},
    {"greater_equal", JM_DT_s32, 3, 3, JM_DT_pred, 1},
    {"left_shift", JM_DT_u32, 3, 4, JM_DT_u32, 48},
    {"less", JM_DT_s32, 2, 3, JM_DT_pred, 1},
    {"less_equal", JM_DT_f32, 4, 3, JM_DT_pred, 0},
    {"logical_and", JM_DT_pred, 1, 0, JM_DT_pred, 0},
    {"logical_or", JM_DT_pred, 1, 0, JM_DT_pred, 1},
    {"maximum", JM_DT_f32, 2, NAN, JM_DT_f32, NAN},
    {"minimum", JM_DT_s32, 2, -3, JM_DT_s32, -3},
    {"multiply", JM_DT_s32, 6, 7, JM_DT_s32, 42},
    {"not_equal", JM_DT_f32, NAN, NAN, JM_DT_pred, 1},
    {"power", JM_DT_f32, 2, 10, JM_DT_f32, 1024},
    {"remainder", JM_DT_s32, 7, 3, JM_DT_s32, 1},
    {"right_shift", JM_DT_u32, 48, 4, JM_DT_u32, 3},
    {"subtract", JM_DT_u8, 2, 3, JM_DT_u8, 255},
};

typedef jm_error *binary_fn(jm_mlx_array *a, jm_mlx_array *b, jm_mlx_array **out);

static void check_binary(const char *name, binary_fn *function) {
  if (function == api->matmul) {
    jm_mlx_array *a = counting(JM_DT_f32, DIMS(2, 3)), *b = counting(JM_DT_f32, DIMS(3, 2));
    jm_mlx_array *out = NULL;
    jm_error *error = function(a, b, &out);
    expect(name, error, out, JM_DT_f32, DIMS(2, 2), VALUES(10, 13, 28, 40));
    return;
  }
  for (size_t i = 0; i < sizeof binary_cases / sizeof *binary_cases; i++) {
    const struct binary_case *c = &binary_cases[i];
    if (strcmp(c->name, name)) continue;
    jm_mlx_array *out = NULL, *a = array(c->from, DIMS(2), VALUES(c->a, c->a));
    jm_error *error = function(a, scalar(c->from, c->b), &out);
    expect(name, error, out, c->to, DIMS(2), VALUES(c->out, c->out));
    return;
  }
  fprintf(stderr, "no case for %s\n", name);
  CHECK(!"a case for every primitive");
}

typedef jm_error *axes_fn(jm_mlx_array *a, const int32_t *axes, int n, jm_mlx_array **out);

static void check_axes(const char *name, axes_fn *function) {
  static const struct axes_case {
    const char *name;
    jm_dtype from, to;
    double out[2];
  } cases[] = {
      {"all", JM_DT_pred, JM_DT_pred, {0, 1}}, {"any", JM_DT_pred, JM_DT_pred, {1, 1}},
      {"max", JM_DT_f32, JM_DT_f32, {4, 5}},   {"min", JM_DT_f32, JM_DT_f32, {0, 1}},
      {"prod", JM_DT_f32, JM_DT_f32, {0, 15}}, {"sum", JM_DT_f32, JM_DT_f32, {6, 9}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    if (strcmp(cases[i].name, name)) continue;
    jm_mlx_array *a = counting(cases[i].from, DIMS(1, 3, 2)), *out = NULL;
    jm_error *error = function(a, DIMS(0, 1), &out);
    expect(name, error, out, cases[i].to, DIMS(2), cases[i].out);
    return;
  }
  CHECK(!"a case for every primitive");
}

typedef jm_error *axis_fn(jm_mlx_array *a, int axis, jm_mlx_array **out);

static void check_axis(const char *name, axis_fn *function) {
  jm_mlx_array *a = array(JM_DT_f32, DIMS(2, 3), VALUES(3, 1, 2, 4, 6, 5)), *out = NULL;
  jm_error *error = function(a, 1, &out);
  if (function == api->argmax)
    expect(name, error, out, JM_DT_u32, DIMS(2), VALUES(0, 1));
  else if (function == api->argmin)
    expect(name, error, out, JM_DT_u32, DIMS(2), VALUES(1, 0));
  else if (function == api->argsort)
    expect(name, error, out, JM_DT_u32, DIMS(2, 3), VALUES(1, 2, 0, 0, 2, 1));
  else if (function == api->sort)
    expect(name, error, out, JM_DT_f32, DIMS(2, 3), VALUES(1, 2, 3, 4, 5, 6));
  else if (function == api->softmax)
    expect(
        name, error, out, JM_DT_f32, DIMS(2, 3),
        VALUES(0.6652409558, 0.0900305732, 0.2447284711, 0.0900305732, 0.6652409558, 0.2447284711));
  else
    CHECK(!"a case for every primitive");
}

static void regular_primitives(void) {
#define CHECK_ROW(name, check) \
  do {                         \
    called[P_##name] = true;   \
    check(#name, api->name);   \
    release_all();             \
  } while (0);
#define PRIM1(name, function) CHECK_ROW(name, check_unary)
#define PRIM2(name, function) CHECK_ROW(name, check_binary)
#define PRIM_AXES(name, function) CHECK_ROW(name, check_axes)
#define PRIM_AXIS(name, function) CHECK_ROW(name, check_axis)
#define PRIM(name, parameters, arguments)
#include "engine/mlx/prims.def"
}

/* -- the other rows */

static void types(void) {
  jm_mlx_array *a = array(JM_DT_f32, DIMS(2), VALUES(1, -2.5));
  EXPECT(astype, (a, JM_DT_s32), JM_DT_s32, DIMS(2), VALUES(1, -2));
  EXPECT(astype, (a, JM_DT_pred), JM_DT_pred, DIMS(2), VALUES(1, 1));
  EXPECT(view, (a, JM_DT_u32), JM_DT_u32, DIMS(2), VALUES(0x3f800000, 0xc0200000));
  jm_mlx_array *out = NULL;
  CHECK_FAILS(api->astype(&out, a, JM_DT_c128), JM_INTERNAL, "element type");
  release_all();
}

static void movement(void) {
  jm_mlx_array *a = counting(JM_DT_s32, DIMS(2, 3));
  EXPECT(reshape, (a, DIMS(3, 2)), JM_DT_s32, DIMS(3, 2), VALUES(0, 1, 2, 3, 4, 5));
  EXPECT(broadcast_to, (a, DIMS(2, 2, 3)), JM_DT_s32, DIMS(2, 2, 3),
         VALUES(0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5));
  EXPECT(transpose, (a, DIMS(1, 0)), JM_DT_s32, DIMS(3, 2), VALUES(0, 3, 1, 4, 2, 5));
  EXPECT(contiguous, (a), JM_DT_s32, DIMS(2, 3), VALUES(0, 1, 2, 3, 4, 5));
  EXPECT(as_strided, (a, I32(2, 2), (const int64_t[]){1, 2}, 2, 1), JM_DT_s32, DIMS(2, 2),
         VALUES(1, 3, 2, 4));
  EXPECT(slice, (a, I32(0, 0), I32(2, 3), I32(1, 2), 2), JM_DT_s32, DIMS(2, 2), VALUES(0, 2, 3, 5));
  EXPECT(slice, (a, I32(1, 2), I32(-3, -4), I32(-1, -1), 2), JM_DT_s32, DIMS(2, 3),
         VALUES(5, 4, 3, 2, 1, 0));
  jm_mlx_array *update = array(JM_DT_s32, DIMS(1, 2), VALUES(8, 9));
  EXPECT(slice_update, (a, update, I32(1, 0), I32(2, 3), I32(1, 2), 2), JM_DT_s32, DIMS(2, 3),
         VALUES(0, 1, 2, 8, 4, 9));
  jm_mlx_array *starts = array(JM_DT_s32, DIMS(2), VALUES(1, 1));
  EXPECT(slice_dynamic, (a, starts, I32(1, 2), 2), JM_DT_s32, DIMS(1, 2), VALUES(4, 5));
  EXPECT(slice_update_dynamic, (a, update, starts, 2), JM_DT_s32, DIMS(2, 3),
         VALUES(0, 1, 2, 3, 8, 9));
  jm_mlx_array *both[] = {a, update};
  jm_mlx_array *joined = NULL;
  CHECK_FAILS(api->concatenate(&joined, both, 2, 0), JM_INTERNAL, "concatenate");
  both[1] = a;
  EXPECT(concatenate, (both, 2, 0), JM_DT_s32, DIMS(4, 3),
         VALUES(0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5));
  EXPECT(pad, (update, I32(1, 0), I32(0, 1), 2, scalar(JM_DT_s32, 7)), JM_DT_s32, DIMS(2, 3),
         VALUES(7, 7, 7, 8, 9, 7));
  release_all();
}

static void making_and_choosing(void) {
  EXPECT(full, (DIMS(2, 2), scalar(JM_DT_f32, 1.5)), JM_DT_f32, DIMS(2, 2),
         VALUES(1.5, 1.5, 1.5, 1.5));
  EXPECT(arange, (4, JM_DT_u8), JM_DT_u8, DIMS(4), VALUES(0, 1, 2, 3));
  jm_mlx_array *a = counting(JM_DT_f32, DIMS(3, 2));
  jm_mlx_array *condition = array(JM_DT_pred, DIMS(3, 1), VALUES(1, 0, 1));
  EXPECT(where, (condition, a, scalar(JM_DT_f32, -1)), JM_DT_f32, DIMS(3, 2),
         VALUES(0, 1, -1, -1, 4, 5));
  jm_mlx_array *rows = array(JM_DT_s32, DIMS(2), VALUES(2, 0));
  EXPECT(take_rows, (a, rows), JM_DT_f32, DIMS(2, 2), VALUES(4, 5, 0, 1));
  jm_mlx_array *along = array(JM_DT_s32, DIMS(3, 1), VALUES(1, 0, 1));
  EXPECT(take_along_axis, (a, along, 1), JM_DT_f32, DIMS(3, 1), VALUES(1, 2, 5));
  jm_mlx_array *updates = array(JM_DT_f32, DIMS(2, 2), VALUES(3, 4, 10, -10));
  static const double scattered[][6] = {{10, -10, 2, 3, 3, 4},
                                        {10, -9, 2, 3, 7, 9},
                                        {0, -10, 2, 3, 12, 20},
                                        {10, 1, 2, 3, 4, 5},
                                        {0, -10, 2, 3, 3, 4}};
  for (jm_mlx_fold fold = JM_MLX_REPLACE; fold <= JM_MLX_MINIMUM; fold++)
    EXPECT(scatter_rows, (a, rows, updates, fold), JM_DT_f32, DIMS(3, 2), scattered[fold]);
  jm_mlx_array *out = NULL;
  CHECK_FAILS(api->scatter_rows(&out, a, rows, updates, JM_MLX_LOG_ADD_EXP), JM_INTERNAL,
              "no such scatter");
  release_all();
}

static void scans(void) {
  jm_mlx_array *a = array(JM_DT_f32, DIMS(3), VALUES(2, -1, 3));
  static const double forward[][3] = {
      {2, 1, 4}, {2, -2, -6}, {2, 2, 3}, {2, -1, -1}, {2, 2.0485873516, 3.3265604}};
  static const double backward[][3] = {
      {4, 2, 3}, {-6, -3, 3}, {3, 3, 3}, {-1, -1, 3}, {3.3265604, 3.0181499279, 3}};
  for (int i = 0; i < 5; i++) {
    const jm_mlx_fold fold = (jm_mlx_fold)(JM_MLX_SUM + i);
    EXPECT(scan, (a, 0, false, fold), JM_DT_f32, DIMS(3), forward[i]);
    EXPECT(scan, (a, 0, true, fold), JM_DT_f32, DIMS(3), backward[i]);
  }
  jm_mlx_array *bytes = array(JM_DT_u8, DIMS(3), VALUES(200, 100, 1));
  EXPECT(scan, (bytes, 0, false, JM_MLX_SUM), JM_DT_u8, DIMS(3), VALUES(200, 44, 45));
  release_all();
}

static void products_and_transforms(void) {
  jm_mlx_array *image = counting(JM_DT_f32, DIMS(1, 4, 1));
  jm_mlx_array *kernel = array(JM_DT_f32, DIMS(1, 2, 1), VALUES(1, 10));
  EXPECT(convolution, (image, kernel, I32(1), I32(0), I32(1), I32(1), I32(1), 1, 1, false),
         JM_DT_f32, DIMS(1, 4, 1), VALUES(10, 21, 32, 3));
  EXPECT(convolution, (image, kernel, I32(2), I32(0), I32(0), I32(1), I32(1), 1, 1, true),
         JM_DT_f32, DIMS(1, 2, 1), VALUES(1, 23));
  jm_mlx_array *signal = array(JM_DT_f32, DIMS(4), VALUES(1, 2, 3, 4));
  EXPECT(fft, (signal, JM_FFT_FFT, I32(4), I32(0), 1), JM_DT_c64, DIMS(4), VALUES(10, -2, -2, -2));
  EXPECT(fft, (signal, JM_FFT_IFFT, I32(4), I32(0), 1), JM_DT_c64, DIMS(4),
         VALUES(2.5, -0.5, -0.5, -0.5));
  EXPECT(fft, (signal, JM_FFT_RFFT, I32(4), I32(0), 1), JM_DT_c64, DIMS(3), VALUES(10, -2, -2));
  jm_mlx_array *spectrum = NULL;
  CHECK_OK(api->fft(&spectrum, signal, JM_FFT_RFFT, I32(4), I32(0), 1));
  keep(spectrum);
  EXPECT(fft, (spectrum, JM_FFT_IRFFT, I32(4), I32(0), 1), JM_DT_f32, DIMS(4), VALUES(1, 2, 3, 4));
  jm_mlx_array *q = array(JM_DT_f32, DIMS(1, 1, 1, 2), VALUES(1, 0));
  jm_mlx_array *k = array(JM_DT_f32, DIMS(1, 1, 2, 2), VALUES(1, 0, 0, 1));
  jm_mlx_array *v = array(JM_DT_f32, DIMS(1, 1, 2, 2), VALUES(1, 2, 3, 4));
  jm_mlx_array *mask = array(JM_DT_f32, DIMS(1, 1, 1, 2), VALUES(-INFINITY, 0));
  jm_mlx_array *x = array(JM_DT_f32, DIMS(1, 2), VALUES(3, 5));
  jm_mlx_array *twice = array(JM_DT_f32, DIMS(2), VALUES(2, 3)),
               *square = array(JM_DT_f32, DIMS(2, 2), VALUES(1, 2, 3, 4));
  EXPECT(layer_norm, (x, NULL, NULL, 0), JM_DT_f32, DIMS(1, 2), VALUES(-1, 1));
  EXPECT(layer_norm, (x, twice, twice, 3), JM_DT_f32, DIMS(1, 2), VALUES(1, 4.5));
  EXPECT(rms_norm, (x, NULL, 8), JM_DT_f32, DIMS(1, 2), VALUES(0.6, 1));
  EXPECT(rms_norm, (x, twice, 8), JM_DT_f32, DIMS(1, 2), VALUES(1.2, 3));
  EXPECT(addmm, (twice, x, square), JM_DT_f32, DIMS(1, 2), VALUES(20, 29));
  EXPECT(attention, (q, k, v, 1, NULL), JM_DT_f32, DIMS(1, 1, 1, 2),
         VALUES(1.5378828427, 2.5378828427));
  EXPECT(attention, (q, k, v, 1, mask), JM_DT_f32, DIMS(1, 1, 1, 2), VALUES(3, 4));
  release_all();
}

/* A group of one process; tests/jax/test_processes.py has larger ones. */
static void collectives(void) {
  jm_mlx_group *group = NULL, *other = NULL;
  CHECK_OK(api->group_join("ring", 0, 1, NULL, &group));
  jm_mlx_array *a = counting(JM_DT_f32, DIMS(2, 2));
  EXPECT(all_sum, (group, a), JM_DT_f32, DIMS(2, 2), VALUES(0, 1, 2, 3));
  EXPECT(all_gather, (group, a), JM_DT_f32, DIMS(2, 2), VALUES(0, 1, 2, 3));
  EXPECT(sum_scatter, (group, a), JM_DT_f32, DIMS(2, 2), VALUES(0, 1, 2, 3));
  jm_mlx_array *on = NULL, *after = NULL;
  jm_mlx_census census = {0};
  CHECK_OK(api->negative(a, &on));
  CHECK_OK(api->depends(&after, a, on));
  CHECK_OK(api->graph_census(&after, 1, &census));
  CHECK(census.primitives == 1); /* the negation */
  EXPECT(depends, (keep(on), keep(after)), JM_DT_f32, DIMS(2, 2), VALUES(0, -1, -2, -3));
  release_all();
  CHECK_FAILS(api->group_join("ring", 1, 1, NULL, &other), JM_FAILED_PRECONDITION, "rank 0 of 1");
  api->group_close(group);
}

static void every_primitive_was_called(void) {
  for (int i = 0; i < N_PRIMITIVES; i++) {
    if (!called[i]) fprintf(stderr, "never called: %s\n", names[i]);
    CHECK(called[i]);
  }
}

/* -- arrays */

static void import_and_export(void) {
  static const jm_dtype dtypes[] = {JM_DT_pred, JM_DT_s8,  JM_DT_u8,  JM_DT_s32, JM_DT_u32,
                                    JM_DT_s64,  JM_DT_f32, JM_DT_f64, JM_DT_c64};
  for (int round = 0; round < 2; round++) { /* on CUDA they lie in blocks, which serve again */
    for (int i = 0; i < 100; i++) array(JM_DT_s32, DIMS(2), VALUES(i, round));
    for (int i = 0; i < 100; i++)
      expect("one of many", NULL, api->array_retain(kept[i]), JM_DT_s32, DIMS(2), VALUES(i, round));
    release_all();
  }
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
    if (gpu && dtypes[i] == JM_DT_f64) continue; /* no GPU of MLX's has it */
    jm_mlx_array *a = array(dtypes[i], DIMS(2, 2), VALUES(1, 0, 1, 1)), *out = NULL;
    jm_error *error = api->transpose(&out, a, DIMS(1, 0));
    expect("a transposed view", error, out, dtypes[i], DIMS(2, 2), VALUES(1, 1, 0, 1));
  }
  jm_mlx_array *out = NULL;
  int32_t two[] = {2};
  CHECK_FAILS(api->array_import(JM_DT_c128, two, 1, "", &out), JM_UNIMPLEMENTED, "element type");
  CHECK_FAILS(api->array_import(JM_DT_s4, two, 1, "", &out), JM_UNIMPLEMENTED, "element type");
  jm_mlx_array *a = counting(JM_DT_f32, DIMS(2, 3));
  CHECK_FAILS(api->array_export(a, NULL, 4), JM_INTERNAL, "24 bytes");
  release_all();
}

static void views_and_empty_arrays(void) {
  jm_mlx_array *a = counting(JM_DT_s32, DIMS(3, 4)), *wide = NULL, *view = NULL, *out = NULL;
  CHECK_OK(api->slice(&view, a, I32(2, 3), I32(-4, 0), I32(-1, -2), 2));
  keep(view);
  jm_error *error = api->transpose(&out, view, DIMS(1, 0));
  expect("a reversed, strided view", error, out, JM_DT_s32, DIMS(2, 3), VALUES(11, 7, 3, 9, 5, 1));
  CHECK_OK(api->broadcast_to(&wide, scalar(JM_DT_s32, 5), DIMS(2, 2)));
  expect("a broadcast", NULL, wide, JM_DT_s32, DIMS(2, 2), VALUES(5, 5, 5, 5));
  jm_mlx_array *empty = array(JM_DT_f32, DIMS(0, 3), NULL);
  error = api->add(empty, scalar(JM_DT_f32, 1), &out);
  expect("an empty array", error, out, JM_DT_f32, DIMS(0, 3), NULL);
  error = api->sum(empty, DIMS(0), &out);
  expect("a sum of nothing", error, out, JM_DT_f32, DIMS(3), VALUES(0, 0, 0));
  release_all();
}

static void lazy_arrays(void) {
  jm_mlx_array *a = counting(JM_DT_f32, DIMS(4)), *b = NULL;
  CHECK_OK(api->add(a, a, &b));
  keep(b);
  CHECK_OK(api->arrays_start(&b, 1));
  CHECK_OK(api->arrays_wait(&b, 1));
  const void *data = NULL;
  CHECK_OK(api->array_data(b, &data));
  CHECK(device.unified ? data && ((const float *)data)[3] == 6 : !data);
  CHECK(api->array_retain(b) == b);
  api->array_release(b);
  expect("after a release", NULL, api->array_retain(b), JM_DT_f32, DIMS(4), VALUES(0, 2, 4, 6));
  CHECK_OK(api->arrays_wait(NULL, 0));
  api->array_release(NULL);
  release_all();
}

/* Not on CUDA: there a thread of MLX's gives memory back some time after a wait. */
static void donation(void) {
  if (gpu && !strcmp(device.backend, "cuda")) return;
  int32_t shape[] = {1 << 20};
  float *ones = calloc(1 << 20, sizeof *ones);
  jm_mlx_array *a = NULL;
  jm_mlx_memory before, after;
  CHECK_OK(api->array_import(JM_DT_f32, shape, 1, ones, &a));
  api->memory_clear_cache();
  api->memory_read(&before);
  for (int i = 0; i < 4; i++) { /* the only reference is dropped before the graph runs */
    jm_mlx_array *next = NULL;
    CHECK_OK(api->negative(a, &next));
    api->array_release(a);
    a = next;
    CHECK_OK(api->arrays_wait(&a, 1));
  }
  api->memory_read(&after);
  CHECK(after.active <= before.active + 4096 && after.peak >= 4 << 20);
  CHECK(after.cached - before.cached < 4 << 20);
  api->array_release(a);
  free(ones);
}

/* -- errors */

static void errors_leave_the_process_alive(void) {
  jm_mlx_array *a = counting(JM_DT_f32, DIMS(2, 3)), *b = counting(JM_DT_f32, DIMS(2, 2));
  jm_mlx_array *text = counting(JM_DT_s32, DIMS(2, 2)), *out = NULL;
  CHECK_FAILS(api->add(a, b, &out), JM_INTERNAL, "in add");
  CHECK_FAILS(api->matmul(a, a, &out), JM_INTERNAL, "matmul");
  CHECK_FAILS(api->matmul(text, text, &out), JM_INTERNAL, "matmul");
  CHECK_FAILS(api->bitwise_and(b, b, &out), JM_INTERNAL, "bitwise");
  CHECK_FAILS(api->reshape(&out, a, DIMS(5)), JM_INTERNAL, "reshape");
  CHECK_FAILS(api->argmax(a, 7, &out), JM_INTERNAL, "axis");
  jm_error *error = api->matmul(b, b, &out);
  expect("after errors", error, out, JM_DT_f32, DIMS(2, 2), VALUES(2, 3, 6, 11));
  release_all();
}

/* MLX looks at the indices' type on its worker thread, long after the call. */
static void errors_of_worker_threads_arrive(void) {
  if (gpu) return; /* there it looks while it builds kernels */
  jm_mlx_array *a = counting(JM_DT_f32, DIMS(4)), *wrong = NULL, *right = NULL;
  for (int start = 0; start < 2; start++) {
    CHECK_OK(api->take_along_axis(&wrong, a, a, 0));
    CHECK_OK(api->negative(a, &right));
    jm_mlx_array *both[] = {right, wrong};
    if (start) {
      jm_error *error = api->arrays_start(both, 2); /* may be quick enough to see it */
      if (!error) error = api->arrays_wait(both, 2);
      CHECK_FAILS(error, JM_INTERNAL, "indices type");
    } else {
      CHECK_FAILS(api->arrays_wait(both, 2), JM_INTERNAL, "indices type");
    }
    api->array_release(wrong);
    api->array_release(right);
    jm_error *error = api->add(a, a, &right);
    expect("the next program", error, right, JM_DT_f32, DIMS(4), VALUES(0, 2, 4, 6));
  }
  CHECK_OK(api->take_along_axis(&wrong, a, a, 0));
  float out[4];
  CHECK_FAILS(api->array_export(wrong, out, sizeof out), JM_INTERNAL, "indices type");
  api->array_release(wrong);
  release_all();
}

/* out0 = 2 in0 + in1, out1 = the number of launches so far; four elements. */
typedef struct launches {
  int n, released;
  bool fail;
} launches;

static jm_error *launch_run(void *context, void *const *buffers) {
  launches *l = context;
  const float *a = buffers[0], *b = buffers[1];
  float *out = buffers[2];
  if (l->fail) return jm_error_create(JM_INTERNAL, "launch %d was told to fail", l->n);
  l->n++;
  for (int i = 0; i < 4; i++) out[i] = 2 * a[i] + b[i];
  *(int32_t *)buffers[3] = l->n;
  return NULL;
}
static void launches_release(void *context) { ((launches *)context)->released++; }

static void kernels_are_lazy_and_fail_like_primitives(void) {
  if (gpu) return; /* there a kernel is code: the next test */
  launches state = {0};
  const jm_mlx_buffer outputs[] = {{JM_DT_f32, I32(2, 2), 2}, {JM_DT_s32, NULL, 0}};
  const jm_mlx_kernel_spec spec = {.name = "double_and_add",
                                   .n_in = 2,
                                   .n_out = 2,
                                   .outputs = outputs,
                                   .grid = {32, 1, 1},
                                   .group = {32, 1, 1},
                                   .run = launch_run,
                                   .context_release = launches_release,
                                   .context = &state};
  jm_mlx_kernel *kernel = NULL;
  jm_mlx_array *out[2] = {NULL}, *transposed = NULL, *sum = NULL;
  CHECK_OK(api->kernel_create(&spec, &kernel));
  jm_mlx_array *a = counting(JM_DT_f32, DIMS(2, 2));
  CHECK_OK(api->transpose(&transposed, a, DIMS(1, 0))); /* not dense: 0 2 1 3 */
  jm_mlx_array *in[] = {keep(transposed), a};
  CHECK_OK(api->kernel_launch(kernel, in, out));
  CHECK(state.n == 0 && state.released == 0);
  expect("a kernel", NULL, out[0], JM_DT_f32, DIMS(2, 2), VALUES(0, 5, 4, 9));
  expect("its other result", NULL, out[1], JM_DT_s32, NULL, 0, VALUES(1));
  CHECK(state.n == 1);
  state.fail = true;
  CHECK_OK(api->kernel_launch(kernel, in, out));
  CHECK_OK(api->negative(out[0], &sum));
  CHECK_FAILS(api->arrays_wait(&sum, 1), JM_INTERNAL, "was told to fail");
  api->array_release(out[0]);
  api->array_release(out[1]);
  api->array_release(sum);
  state.fail = false;
  CHECK_OK(api->kernel_launch(kernel, in, out));
  api->kernel_release(kernel); /* the launch keeps what it needs */
  expect("the next launch", NULL, out[0], JM_DT_f32, DIMS(2, 2), VALUES(0, 5, 4, 9));
  api->array_release(out[1]);
  CHECK(state.n == 2);
  release_all();
  CHECK(state.released == 1);
}

/* On CUDA: compiled by NVRTC, launched by MLX, an operand that is not dense among them; then a
 * chain, whose cost a launch on the host is printed for people. */
static void kernels_of_a_gpu(void) {
  static const char source[] =
      "extern \"C\" __global__ void jm_add(const float *a, const float *b, float *out) {\n"
      "  if (threadIdx.x < 4) out[threadIdx.x] = 2 * a[threadIdx.x] + b[threadIdx.x];\n}\n";
  enum { CHAIN = 2000 };
  if (strcmp(device.backend, "cuda")) return;
  char *code = NULL;
  size_t size = 0;
  CHECK_OK(jm_nvrtc_compile(source, device.architecture, &code, &size));
  const jm_mlx_buffer outputs[] = {{JM_DT_f32, I32(2, 2), 2}};
  const jm_mlx_kernel_spec spec = {.name = "jm_add",
                                   .code = code,
                                   .code_bytes = size,
                                   .n_in = 2,
                                   .n_out = 1,
                                   .outputs = outputs,
                                   .grid = {32, 1, 1},
                                   .group = {32, 1, 1}};
  jm_mlx_kernel *kernel = NULL;
  CHECK_OK(api->kernel_create(&spec, &kernel));
  jm_mlx_array *a = counting(JM_DT_f32, DIMS(2, 2)), *transposed = NULL, *out = NULL;
  CHECK_OK(api->transpose(&transposed, a, DIMS(1, 0)));
  CHECK_OK(api->kernel_launch(kernel, (jm_mlx_array *[]){keep(transposed), a}, &out));
  expect("a kernel", NULL, out, JM_DT_f32, DIMS(2, 2), VALUES(0, 5, 4, 9));
  for (int round = 0; round < 2; round++) {
    struct timespec begin, end;
    jm_mlx_array *last = api->array_retain(a);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int i = 0; i < CHAIN; i++) {
      CHECK_OK(api->kernel_launch(kernel, (jm_mlx_array *[]){a, last}, &out));
      api->array_release(last);
      last = out;
    }
    CHECK_OK(api->arrays_wait(&last, 1));
    clock_gettime(CLOCK_MONOTONIC, &end);
    double us =
        (double)(end.tv_sec - begin.tv_sec) * 1e6 + (double)(end.tv_nsec - begin.tv_nsec) / 1e3;
    printf("%.2f us a launch in a chain of %d (a cubin of %zu bytes)\n", us / CHAIN, CHAIN, size);
    const double values[] = {0, 2. * CHAIN + 1, 4. * CHAIN + 2, 6. * CHAIN + 3};
    expect("a chain", NULL, last, JM_DT_f32, DIMS(2, 2), values);
  }
  api->kernel_release(kernel);
  jm_free(code);
  release_all();
}

static void too_large_allocations_are_refused(void) {
  jm_mlx_array *wide = NULL, *out = NULL, *one = scalar(JM_DT_f32, 1);
  CHECK_OK(api->broadcast_to(&wide, one, DIMS(1 << 30, 1 << 20)));
  keep(wide);
  CHECK_FAILS(api->exp(wide, &out), JM_RESOURCE_EXHAUSTED, "bytes");
  CHECK_FAILS(api->full(&out, DIMS(1 << 30, 1 << 20), one), JM_RESOURCE_EXHAUSTED, "bytes");
  int32_t huge[] = {1 << 30, 1 << 30, 1 << 30};
  CHECK_FAILS(api->array_import(JM_DT_f32, huge, 2, "", &out), JM_RESOURCE_EXHAUSTED, "bytes");
  CHECK_FAILS(api->array_import(JM_DT_f32, huge, 3, "", &out), JM_INVALID_ARGUMENT, "overflows");
  jm_error *error = api->add(one, one, &out);
  expect("after a refusal", error, out, JM_DT_f32, NULL, 0, VALUES(2));
  release_all();
}

static void the_device(void) {
  CHECK(device.is_gpu == gpu && !strcmp(device.backend, "cpu") == !gpu);
  CHECK(!strcmp(device.kind, "MLX CPU") == !gpu && device.memory_bytes > 1 << 28);
  CHECK(!strncmp(api->mlx_version, "0.", 2));
  api->memory_set_cache_limit(0);
  api->memory_set_cache_limit(32 << 20);
  api->memory_clear_cache();
  jm_mlx_memory memory;
  api->memory_read(&memory);
  CHECK(memory.cached == 0);
  jm_mlx_device_fact other;
  jm_error *error = api->device_open(!gpu, &other);
  if (error) CHECK(jm_error_code(error) == JM_FAILED_PRECONDITION);
  jm_error_destroy(error);
  api->device_close(); /* and again: a client may come after another */
  CHECK_OK(api->device_open(gpu, &device));
  jm_mlx_array *out = NULL;
  error = api->exp(scalar(JM_DT_f32, 0), &out);
  expect("after opening again", error, out, JM_DT_f32, NULL, 0, VALUES(1));
  release_all();
}

static void other_interfaces_are_refused(jm_mlx_api_find_fn *find) {
  jm_mlx_host host = {JM_MLX_ABI + 1, jm_error_create, jm_error_message, jm_error_destroy};
  const jm_mlx_api *none = NULL;
  CHECK_FAILS(find(&host, &none), JM_FAILED_PRECONDITION, "interface");
  CHECK(!none);
}

static void open_library(void) {
  const char *mlx = jm_setting_find(JM_SETTING_MLX_LIBRARY);
  const char *path = jm_setting_find(JM_SETTING_MLX_ENGINE);
  if (mlx) CHECK(dlopen(mlx, RTLD_NOW | RTLD_LOCAL));
  void *library = dlopen(path ? path : "libjm_engine_mlx.so", RTLD_NOW | RTLD_LOCAL);
  if (!library) fprintf(stderr, "%s\n", dlerror());
  CHECK(library);
  if (!library) exit(1);
  jm_mlx_api_find_fn *find;
  *(void **)&find = dlsym(library, "jm_mlx_api_find");
  static const jm_mlx_host host = {JM_MLX_ABI, jm_error_create, jm_error_message, jm_error_destroy};
  other_interfaces_are_refused(find);
  CHECK_OK(find(&host, &api));
  gpu = jm_setting_has_word(JM_SETTING_DEVICE, "gpu");
  CHECK_OK(api->device_open(gpu, &device));
}

TEST_MAIN(open_library, regular_primitives, types, movement, making_and_choosing, scans,
          products_and_transforms, collectives, every_primitive_was_called, import_and_export,
          views_and_empty_arrays, lazy_arrays, donation, errors_leave_the_process_alive,
          errors_of_worker_threads_arrive, kernels_are_lazy_and_fail_like_primitives,
          kernels_of_a_gpu, too_large_allocations_are_refused, the_device)
