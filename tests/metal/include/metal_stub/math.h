// SPDX-License-Identifier: Apache-2.0
// Functions of floats. Each stands in metal, metal::precise and metal::fast, for float, half and
// their vectors, and is the host's C function: what differs on a GPU within its error bound, this
// cannot show.
#pragma once

#define __METAL_MAYBE_FAST_MATH__ false
#define __METAL_FAST_MATH__ true
#define __METAL_PRECISE_MATH__ false

constexpr constant float MAXFLOAT = __builtin_bit_cast(float, 0x7f7fffff);
constexpr constant float INFINITY = __builtin_bit_cast(float, 0x7f800000);
constexpr constant float NAN = __builtin_bit_cast(float, 0x7fc00000);
#define M_E_F 2.71828182845904523536f
#define M_LOG2E_F 1.44269504088896340736f
#define M_LN2_F 0.69314718055994530942f
#define M_LN10_F 2.30258509299404568402f
#define M_PI_F 3.14159265358979323846f
#define M_PI_2_F 1.57079632679489661923f
#define M_SQRT2_F 1.41421356237309504880f

namespace metal_stub {
METAL_STUB float absolute(float x) { return as_type<float>(as_type<uint>(x) & 0x7fffffff); }
METAL_STUB float to_sign(float x, float y) {
  return as_type<float>((as_type<uint>(x) & 0x7fffffff) | (as_type<uint>(y) & 0x80000000));
}
METAL_STUB float least(float x, float y) { return x != x ? y : y < x ? y : x; }
METAL_STUB float most(float x, float y) { return x != x ? y : x < y ? y : x; }
METAL_STUB float fraction(float x) { return least(x - floorf(x), 0x1.fffffep-1f); }
METAL_STUB float middle(float x, float y, float z) {
  return most(least(x, y), least(most(x, y), z));
}
}  // namespace metal_stub

#define METAL_STUB_EACH1(M)                                 \
  M(acos, acosf(x))                                         \
  M(acosh, acoshf(x))                                       \
  M(asin, asinf(x))                                         \
  M(asinh, asinhf(x))                                       \
  M(atan, atanf(x))                                         \
  M(atanh, atanhf(x))                                       \
  M(ceil, ceilf(x))                                         \
  M(cos, cosf(x))                                           \
  M(cosh, coshf(x))                                         \
  M(cospi, cosf(x *M_PI_F))                                 \
  M(exp, expf(x))                                           \
  M(exp10, powf(10, x))                                     \
  M(exp2, exp2f(x))                                         \
  M(fabs, metal_stub::absolute(x))                          \
  M(floor, floorf(x))                                       \
  M(fract, metal_stub::fraction(x))                         \
  M(log, logf(x))                                           \
  M(log10, log10f(x))                                       \
  M(log2, log2f(x))                                         \
  M(rint, nearbyintf(x))                                    \
  M(round, roundf(x))                                       \
  M(rsqrt, 1 / sqrtf(x))                                    \
  M(saturate, metal_stub::least(metal_stub::most(x, 0), 1)) \
  M(sin, sinf(x))                                           \
  M(sinh, sinhf(x))                                         \
  M(sinpi, sinf(x *M_PI_F))                                 \
  M(sqrt, sqrtf(x))                                         \
  M(tan, tanf(x))                                           \
  M(tanh, tanhf(x))                                         \
  M(tanpi, tanf(x *M_PI_F))                                 \
  M(trunc, truncf(x))

#define METAL_STUB_EACH2(M)                             \
  M(atan2, atan2f(x, y))                                \
  M(copysign, metal_stub::to_sign(x, y))                \
  M(divide, x / y)                                      \
  M(fdim, x > y ? x - y : x != x || y != y ? x + y : 0) \
  M(fmax, metal_stub::most(x, y))                       \
  M(fmin, metal_stub::least(x, y))                      \
  M(fmod, fmodf(x, y))                                  \
  M(nextafter, nextafterf(x, y))                        \
  M(pow, powf(x, y))                                    \
  M(powr, powf(x, y))

#define METAL_STUB_EACH3(M)                               \
  M(fma, fmaf(x, y, z))                                   \
  M(fmax3, metal_stub::most(metal_stub::most(x, y), z))   \
  M(fmin3, metal_stub::least(metal_stub::least(x, y), z)) \
  M(fmedian3, metal_stub::middle(x, y, z))                \
  M(mix, x + (y - x) * z)

// What the compiler's own headers call; a kernel should not, but MLX's do.
#define METAL_STUB_INNER1(name, result) \
  METAL_STUB float __metal_##name(float x, bool = false) { return result; }
#define METAL_STUB_INNER2(name, result) \
  METAL_STUB float __metal_##name(float x, float y, bool = false) { return result; }
#define METAL_STUB_INNER3(name, result) \
  METAL_STUB float __metal_##name(float x, float y, float z, bool = false) { return result; }
METAL_STUB_EACH1(METAL_STUB_INNER1)
METAL_STUB_EACH2(METAL_STUB_INNER2)
METAL_STUB_EACH3(METAL_STUB_INNER3)
METAL_STUB float __metal_ldexp(float x, int k, bool = false) { return ldexpf(x, k); }
METAL_STUB float __metal_frexp(float x, thread int *k) { return metal_stub_frexp(x, k); }
METAL_STUB float __metal_frexp(float x, thread int &k) { return metal_stub_frexp(x, &k); }

#define METAL_STUB_OUTER1(name, result)                                   \
  METAL_STUB float name(float x) { return __metal_##name(x); }            \
  METAL_STUB half name(half x) { return (half)__metal_##name((float)x); } \
  template <typename T, int n>                                            \
  METAL_STUB metal_stub::vector<T, n> name(metal_stub::vector<T, n> x) {  \
    for (int i = 0; i < n; i++) x[i] = (T)__metal_##name((float)x[i]);    \
    return x;                                                             \
  }
#define METAL_STUB_OUTER2(name, result)                                                     \
  METAL_STUB float name(float x, float y) { return __metal_##name(x, y); }                  \
  METAL_STUB half name(half x, half y) { return (half)__metal_##name((float)x, (float)y); } \
  template <typename T, int n>                                                              \
  METAL_STUB metal_stub::vector<T, n> name(metal_stub::vector<T, n> x,                      \
                                           metal_stub::vector<T, n> y) {                    \
    for (int i = 0; i < n; i++) x[i] = (T)__metal_##name((float)x[i], (float)y[i]);         \
    return x;                                                                               \
  }
#define METAL_STUB_OUTER3(name, result)                                                            \
  METAL_STUB float name(float x, float y, float z) { return __metal_##name(x, y, z); }             \
  METAL_STUB half name(half x, half y, half z) {                                                   \
    return (half)__metal_##name((float)x, (float)y, (float)z);                                     \
  }                                                                                                \
  template <typename T, int n>                                                                     \
  METAL_STUB metal_stub::vector<T, n> name(metal_stub::vector<T, n> x, metal_stub::vector<T, n> y, \
                                           metal_stub::vector<T, n> z) {                           \
    for (int i = 0; i < n; i++) x[i] = (T)__metal_##name((float)x[i], (float)y[i], (float)z[i]);   \
    return x;                                                                                      \
  }
#define METAL_STUB_OUTER                                                                        \
  METAL_STUB_EACH1(METAL_STUB_OUTER1)                                                           \
  METAL_STUB_EACH2(METAL_STUB_OUTER2)                                                           \
  METAL_STUB_EACH3(METAL_STUB_OUTER3)                                                           \
  METAL_STUB float ldexp(float x, int k) { return ldexpf(x, k); }                               \
  METAL_STUB half ldexp(half x, int k) { return (half)ldexpf((float)x, k); }                    \
  METAL_STUB float frexp(float x, thread int &k) { return metal_stub_frexp(x, &k); }            \
  METAL_STUB half frexp(half x, thread int &k) { return (half)metal_stub_frexp((float)x, &k); } \
  METAL_STUB float sincos(float x, thread float &c) {                                           \
    c = cosf(x);                                                                                \
    return sinf(x);                                                                             \
  }                                                                                             \
  METAL_STUB float modf(float x, thread float &whole) {                                         \
    whole = truncf(x);                                                                          \
    return metal_stub::to_sign(x - whole, x);                                                   \
  }

namespace metal {
METAL_STUB_OUTER
namespace precise {
METAL_STUB_OUTER
}
namespace fast {
METAL_STUB_OUTER
}

METAL_STUB float abs(float x) { return metal_stub::absolute(x); }
METAL_STUB half abs(half x) { return (half)metal_stub::absolute((float)x); }
METAL_STUB float max(float x, float y) { return metal_stub::most(x, y); }
METAL_STUB half max(half x, half y) { return (half)metal_stub::most((float)x, (float)y); }
METAL_STUB float min(float x, float y) { return metal_stub::least(x, y); }
METAL_STUB half min(half x, half y) { return (half)metal_stub::least((float)x, (float)y); }
METAL_STUB float clamp(float x, float lo, float hi) { return fmin(fmax(x, lo), hi); }
METAL_STUB half clamp(half x, half lo, half hi) { return fmin(fmax(x, lo), hi); }

// For bfloat they come by its conversion to float.
METAL_STUB bool isnan(float x) { return x != x; }
METAL_STUB bool isnan(half x) { return x != x; }
METAL_STUB bool isinf(float x) { return metal_stub::absolute(x) == INFINITY; }
METAL_STUB bool isinf(half x) { return isinf((float)x); }
METAL_STUB bool isfinite(float x) { return metal_stub::absolute(x) < INFINITY; }
METAL_STUB bool isfinite(half x) { return isfinite((float)x); }
METAL_STUB bool isnormal(float x) { return isfinite(x) && metal_stub::absolute(x) >= 0x1p-126f; }
METAL_STUB bool isunordered(float x, float y) { return x != x || y != y; }
METAL_STUB bool isordered(float x, float y) { return x == x && y == y; }
METAL_STUB bool signbit(float x) { return as_type<uint>(x) >> 31; }
METAL_STUB bool signbit(half x) { return as_type<ushort>(x) >> 15; }

// The second one where the condition holds. Of scalars all must be of one type.
#define METAL_STUB_SELECT(T) \
  METAL_STUB T select(T no, T yes, bool condition) { return condition ? yes : no; }
METAL_STUB_SELECT(bool)
METAL_STUB_SELECT(char)
METAL_STUB_SELECT(uchar)
METAL_STUB_SELECT(short)
METAL_STUB_SELECT(ushort)
METAL_STUB_SELECT(int)
METAL_STUB_SELECT(uint)
METAL_STUB_SELECT(long)
METAL_STUB_SELECT(ulong)
METAL_STUB_SELECT(half)
METAL_STUB_SELECT(float)
}  // namespace metal
