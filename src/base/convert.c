/* SPDX-License-Identifier: Apache-2.0
 * Conversion of element types. Direct loops convert between the types that C computes in; any other
 * type is widened to one of those first and narrowed afterwards, a block at a time. */
#include "base/convert.h"

#include <string.h>

#include "base/loop.h"
#include "base/number.h"

typedef void convert_fn(const void *in, void *out, size_t n);

enum { BLOCK = 256 }; /* intermediate elements: they stay in the first-level cache */

/* -- direct loops */

#define LOOP(name, In, Out, expression)                   \
  static void name(const void *in, void *out, size_t n) { \
    const In *a = in;                                     \
    Out *r = out;                                         \
    JM_LOOP for (size_t i = 0; i < n; i++) {              \
      const In x = a[i];                                  \
      r[i] = (Out)(expression);                           \
    }                                                     \
  }

/* From pred (any byte but 0 is true) and integers: T is applied first. */
#define TRUTH(x) ((x) != 0)
#define ITSELF(x) (x)
#define FROM_INTEGER(d, In, T)             \
  LOOP(d##_to_pred, In, uint8_t, (x) != 0) \
  LOOP(d##_to_s8, In, int8_t, T(x))        \
  LOOP(d##_to_s16, In, int16_t, T(x))      \
  LOOP(d##_to_s32, In, int32_t, T(x))      \
  LOOP(d##_to_s64, In, int64_t, T(x))      \
  LOOP(d##_to_u8, In, uint8_t, T(x))       \
  LOOP(d##_to_u16, In, uint16_t, T(x))     \
  LOOP(d##_to_u32, In, uint32_t, T(x))     \
  LOOP(d##_to_u64, In, uint64_t, T(x))     \
  LOOP(d##_to_f32, In, float, T(x))        \
  LOOP(d##_to_f64, In, double, T(x))

/* A float beyond the range of Out gives the nearest value of Out, NaN gives 0. The upper bound is
 * the power of two above the largest value: unlike that value it is always a float. */
#define SATURATE(Out, In, min, max, bound) \
  (x >= (In)bound ? max : x >= (In)min ? (Out)x : x != x ? 0 : min)
#define FROM_FLOAT(d, In)                                                            \
  LOOP(d##_to_pred, In, uint8_t, (x) != 0)                                           \
  LOOP(d##_to_s8, In, int8_t, SATURATE(int8_t, In, INT8_MIN, INT8_MAX, 0x1p7))       \
  LOOP(d##_to_s16, In, int16_t, SATURATE(int16_t, In, INT16_MIN, INT16_MAX, 0x1p15)) \
  LOOP(d##_to_s32, In, int32_t, SATURATE(int32_t, In, INT32_MIN, INT32_MAX, 0x1p31)) \
  LOOP(d##_to_s64, In, int64_t, SATURATE(int64_t, In, INT64_MIN, INT64_MAX, 0x1p63)) \
  LOOP(d##_to_u8, In, uint8_t, SATURATE(uint8_t, In, 0, UINT8_MAX, 0x1p8))           \
  LOOP(d##_to_u16, In, uint16_t, SATURATE(uint16_t, In, 0, UINT16_MAX, 0x1p16))      \
  LOOP(d##_to_u32, In, uint32_t, SATURATE(uint32_t, In, 0, UINT32_MAX, 0x1p32))      \
  LOOP(d##_to_u64, In, uint64_t, SATURATE(uint64_t, In, 0, UINT64_MAX, 0x1p64))      \
  LOOP(d##_to_f32, In, float, x)                                                     \
  LOOP(d##_to_f64, In, double, x)

FROM_INTEGER(pred, uint8_t, TRUTH)
FROM_INTEGER(s8, int8_t, ITSELF)
FROM_INTEGER(s16, int16_t, ITSELF)
FROM_INTEGER(s32, int32_t, ITSELF)
FROM_INTEGER(s64, int64_t, ITSELF)
FROM_INTEGER(u8, uint8_t, ITSELF)
FROM_INTEGER(u16, uint16_t, ITSELF)
FROM_INTEGER(u32, uint32_t, ITSELF)
FROM_INTEGER(u64, uint64_t, ITSELF)
FROM_FLOAT(f32, float)
FROM_FLOAT(f64, double)

#define ROW(d)                                                                        \
  [JM_DT_##d] = {                                                                     \
      [JM_DT_pred] = d##_to_pred, [JM_DT_s8] = d##_to_s8,   [JM_DT_s16] = d##_to_s16, \
      [JM_DT_s32] = d##_to_s32,   [JM_DT_s64] = d##_to_s64, [JM_DT_u8] = d##_to_u8,   \
      [JM_DT_u16] = d##_to_u16,   [JM_DT_u32] = d##_to_u32, [JM_DT_u64] = d##_to_u64, \
      [JM_DT_f32] = d##_to_f32,   [JM_DT_f64] = d##_to_f64,                           \
  },
static convert_fn *const direct[JM_N_DTYPES][JM_N_DTYPES] = {ROW(pred) ROW(s8) ROW(s16) ROW(
    s32) ROW(s64) ROW(u8) ROW(u16) ROW(u32) ROW(u64) ROW(f32) ROW(f64)};

/* -- the other types */

LOOP(widen_s2, uint8_t, int8_t, jm_s2_wrap(x))
LOOP(widen_s4, uint8_t, int8_t, jm_s4_wrap(x))
LOOP(widen_u2, uint8_t, uint8_t, jm_u2_wrap(x))
LOOP(widen_u4, uint8_t, uint8_t, jm_u4_wrap(x))
LOOP(clamp_s2, int8_t, int8_t, x > 1 ? 1 : x < -2 ? -2 : x)
LOOP(clamp_s4, int8_t, int8_t, x > 7 ? 7 : x < -8 ? -8 : x)
LOOP(clamp_u2, uint8_t, uint8_t, x > 3 ? 3 : x)
LOOP(clamp_u4, uint8_t, uint8_t, x > 15 ? 15 : x)

/* A complex value's real part, and a real value as a complex one. */
#define COMPLEX(d, R)                                           \
  static void widen_##d(const void *in, void *out, size_t n) {  \
    const R *a = in;                                            \
    R *r = out;                                                 \
    for (size_t i = 0; i < n; i++) r[i] = a[2 * i];             \
  }                                                             \
  static void narrow_##d(const void *in, void *out, size_t n) { \
    const R *a = in;                                            \
    R *r = out;                                                 \
    for (size_t i = 0; i < n; i++) {                            \
      r[2 * i] = a[i];                                          \
      r[2 * i + 1] = 0;                                         \
    }                                                           \
  }
COMPLEX(c64, float)
COMPLEX(c128, double)

#define NARROW(name, exponent, mantissa, bias, kind) FLOAT(name)
#define FLOAT(d)                                                  \
  static void widen_##d(const void *in, void *out, size_t n) {    \
    jm_number_widen(JM_DT_##d, in, out, n);                       \
  }                                                               \
  static void narrow_##d(const void *in, void *out, size_t n) {   \
    jm_number_narrow(JM_DT_##d, in, out, n);                      \
  }                                                               \
  static void narrow64_##d(const void *in, void *out, size_t n) { \
    jm_number_narrow_f64(JM_DT_##d, in, out, n);                  \
  }
#include "base/number.def"
FLOAT(f8e8m0fnu)
FLOAT(f16)
FLOAT(bf16)
#undef FLOAT

/* How a type is converted: by way of `through`, one of the types of the direct loops. */
typedef struct route {
  jm_dtype through;
  convert_fn *widen;    /* to through */
  convert_fn *narrow;   /* from through */
  convert_fn *narrow64; /* from f64; NULL: by way of through */
  convert_fn *clamp;    /* from through, which was reached from a float; NULL: narrow */
} route;

static const route routes[JM_N_DTYPES] = {
    [JM_DT_s2] = {JM_DT_s8, widen_s2, widen_s2, NULL, clamp_s2},
    [JM_DT_s4] = {JM_DT_s8, widen_s4, widen_s4, NULL, clamp_s4},
    [JM_DT_u2] = {JM_DT_u8, widen_u2, widen_u2, NULL, clamp_u2},
    [JM_DT_u4] = {JM_DT_u8, widen_u4, widen_u4, NULL, clamp_u4},
    [JM_DT_c64] = {JM_DT_f32, widen_c64, narrow_c64, NULL, NULL},
    [JM_DT_c128] = {JM_DT_f64, widen_c128, narrow_c128, NULL, NULL},
#define NARROW(name, exponent, mantissa, bias, kind) FLOAT(name)
#define FLOAT(d) [JM_DT_##d] = {JM_DT_f32, widen_##d, narrow_##d, narrow64_##d, NULL},
#include "base/number.def"
    FLOAT(f8e8m0fnu) FLOAT(f16) FLOAT(bf16)};

/* The kernels that convert one type to another, in order. */
static int find_path(jm_dtype from, jm_dtype to, convert_fn *path[3]) {
  int n = 0;
  const route *in = &routes[from], *out = &routes[to];
  bool from_float = jm_dtype_is_float(from) || jm_dtype_is_complex(from);
  if (in->widen) {
    path[n++] = in->widen;
    from = in->through;
  }
  if (from == JM_DT_f64 && out->narrow64) {
    path[n++] = out->narrow64;
    return n;
  }
  jm_dtype through = out->narrow ? out->through : to;
  if (from != through) path[n++] = direct[from][through];
  if (out->narrow) path[n++] = from_float && out->clamp ? out->clamp : out->narrow;
  for (int i = 0; i < n; i++)
    if (!path[i]) return 0;
  return n;
}

static void run_blocks(convert_fn *const *path, int n_steps, size_t in_bytes, size_t out_bytes,
                       const void *in, void *out, size_t n) {
  uint64_t between[2][BLOCK];
  for (size_t done = 0; done < n; done += BLOCK) {
    size_t count = n - done < BLOCK ? n - done : BLOCK;
    const void *source = (const char *)in + done * in_bytes;
    for (int i = 0; i < n_steps; i++) {
      void *target = i == n_steps - 1 ? (char *)out + done * out_bytes : (void *)between[i];
      path[i](source, target, count);
      source = target;
    }
  }
}

jm_error *jm_convert_run(jm_dtype from, jm_dtype to, const void *in, void *out, size_t n) {
  if (from == to) {
    if (in != out) memmove(out, in, n * jm_dtype_bytes(from));
    return NULL;
  }
  if (jm_dtype_is_complex(from) && jm_dtype_is_complex(to))
    return jm_convert_run(jm_dtype_real(from), jm_dtype_real(to), in, out, 2 * n);
  convert_fn *path[3];
  int n_steps = find_path(from, to, path);
  if (!n_steps)
    return jm_error_unimplemented("conversion of %s to %s", jm_dtype_name(from), jm_dtype_name(to));
  if (n_steps == 1)
    path[0](in, out, n);
  else
    run_blocks(path, n_steps, jm_dtype_bytes(from), jm_dtype_bytes(to), in, out, n);
  return NULL;
}
