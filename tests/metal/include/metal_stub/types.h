// SPDX-License-Identifier: Apache-2.0
// Address spaces, scalars, vectors, bfloat, as_type. Not a header of C++ but of C++ for OpenCL.
#pragma once

#define __METAL__ 1
#define __METAL_VERSION__ 320
#define METAL_FUNC inline
#define METAL_STUB inline __attribute__((always_inline))
#define device __global
#define constant __constant
#define threadgroup __local
#define thread __private

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long int64_t;
typedef uchar uint8_t;
typedef ushort uint16_t;
typedef uint uint32_t;
typedef ulong uint64_t;
typedef __SIZE_TYPE__ size_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;

// What the runner (runner.c) has for a kernel: C functions.
extern "C" {
float acosf(float), acoshf(float), asinf(float), asinhf(float), atanf(float), atanhf(float);
float ceilf(float), cosf(float), coshf(float), expf(float), exp2f(float), floorf(float);
float logf(float), log10f(float), log2f(float), nearbyintf(float), roundf(float), sinf(float);
float sinhf(float), sqrtf(float), tanf(float), tanhf(float), truncf(float), atan2f(float, float);
float fmodf(float, float), powf(float, float), nextafterf(float, float), ldexpf(float, int);
float fmaf(float, float, float), metal_stub_frexp(float, int *);
void metal_stub_barrier(int simdgroup);
uint metal_stub_exchange(const void *mine, void *all, uint bytes);
void *metal_stub_memory(uint id, ulong bytes);
}

struct bfloat;
namespace metal_stub {
template <typename T, int n>
using vector = T __attribute__((ext_vector_type(n)));
template <typename T, int n>
struct few;  // for elements that clang has no vectors of
template <typename T>
struct few<T, 2> {
  T x, y;
};
template <typename T>
struct few<T, 3> {
  T x, y, z;
};
template <typename T>
struct few<T, 4> {
  T x, y, z, w;
};
template <typename T, int n>
struct choose {
  typedef vector<T, n> type;
};
template <int n>
struct choose<bfloat, n> {
  typedef few<bfloat, n> type;
};
template <int n>
struct choose<bool, n> {
  typedef few<bool, n> type;
};
}  // namespace metal_stub
template <typename T, int n>
using vec = typename metal_stub::choose<T, n>::type;
#define METAL_STUB_VECTORS(T)                         \
  typedef T T##2 __attribute__((ext_vector_type(2))); \
  typedef T T##3 __attribute__((ext_vector_type(3))); \
  typedef T T##4 __attribute__((ext_vector_type(4)));
METAL_STUB_VECTORS(char)
METAL_STUB_VECTORS(uchar)
METAL_STUB_VECTORS(short)
METAL_STUB_VECTORS(ushort)
METAL_STUB_VECTORS(int)
METAL_STUB_VECTORS(uint)
METAL_STUB_VECTORS(long)
METAL_STUB_VECTORS(ulong)
METAL_STUB_VECTORS(half)
METAL_STUB_VECTORS(float)

struct bool4 {
  bool x, y, z, w;
  bool &operator[](int i) { return (&x)[i]; }
};

// Vectors are made of numbers, or of shorter vectors and numbers: float4(a, b).
namespace metal_stub {
template <typename T, int n>
struct maker {
  static METAL_STUB vector<T, n> make(T a) { return (vector<T, n>)(a); }
  static METAL_STUB vector<T, n> make(T a, T b) { return vector<T, n>{a, b}; }
  static METAL_STUB vector<T, n> make(T a, T b, T c) { return vector<T, n>{a, b, c}; }
  static METAL_STUB vector<T, n> make(T a, T b, T c, T d) { return vector<T, n>{a, b, c, d}; }
  static METAL_STUB vector<T, n> make(vector<T, 2> a, T b) { return vector<T, n>{a.x, a.y, b}; }
  static METAL_STUB vector<T, n> make(vector<T, 3> a, T b) {
    return vector<T, n>{a.x, a.y, a.z, b};
  }
  static METAL_STUB vector<T, n> make(vector<T, 2> a, vector<T, 2> b) {
    return vector<T, n>{a.x, a.y, b.x, b.y};
  }
  template <typename U>
  static METAL_STUB vector<T, n> make(vector<U, n> a) {
    return __builtin_convertvector(a, vector<T, n>);
  }
};
}  // namespace metal_stub
#define char2(...) (metal_stub::maker<char, 2>::make(__VA_ARGS__))
#define char3(...) (metal_stub::maker<char, 3>::make(__VA_ARGS__))
#define char4(...) (metal_stub::maker<char, 4>::make(__VA_ARGS__))
#define uchar2(...) (metal_stub::maker<uchar, 2>::make(__VA_ARGS__))
#define uchar3(...) (metal_stub::maker<uchar, 3>::make(__VA_ARGS__))
#define uchar4(...) (metal_stub::maker<uchar, 4>::make(__VA_ARGS__))
#define short2(...) (metal_stub::maker<short, 2>::make(__VA_ARGS__))
#define short3(...) (metal_stub::maker<short, 3>::make(__VA_ARGS__))
#define short4(...) (metal_stub::maker<short, 4>::make(__VA_ARGS__))
#define ushort2(...) (metal_stub::maker<ushort, 2>::make(__VA_ARGS__))
#define ushort3(...) (metal_stub::maker<ushort, 3>::make(__VA_ARGS__))
#define ushort4(...) (metal_stub::maker<ushort, 4>::make(__VA_ARGS__))
#define int2(...) (metal_stub::maker<int, 2>::make(__VA_ARGS__))
#define int3(...) (metal_stub::maker<int, 3>::make(__VA_ARGS__))
#define int4(...) (metal_stub::maker<int, 4>::make(__VA_ARGS__))
#define uint2(...) (metal_stub::maker<uint, 2>::make(__VA_ARGS__))
#define uint3(...) (metal_stub::maker<uint, 3>::make(__VA_ARGS__))
#define uint4(...) (metal_stub::maker<uint, 4>::make(__VA_ARGS__))
#define long2(...) (metal_stub::maker<long, 2>::make(__VA_ARGS__))
#define long3(...) (metal_stub::maker<long, 3>::make(__VA_ARGS__))
#define long4(...) (metal_stub::maker<long, 4>::make(__VA_ARGS__))
#define ulong2(...) (metal_stub::maker<ulong, 2>::make(__VA_ARGS__))
#define ulong3(...) (metal_stub::maker<ulong, 3>::make(__VA_ARGS__))
#define ulong4(...) (metal_stub::maker<ulong, 4>::make(__VA_ARGS__))
#define half2(...) (metal_stub::maker<half, 2>::make(__VA_ARGS__))
#define half3(...) (metal_stub::maker<half, 3>::make(__VA_ARGS__))
#define half4(...) (metal_stub::maker<half, 4>::make(__VA_ARGS__))
#define float2(...) (metal_stub::maker<float, 2>::make(__VA_ARGS__))
#define float3(...) (metal_stub::maker<float, 3>::make(__VA_ARGS__))
#define float4(...) (metal_stub::maker<float, 4>::make(__VA_ARGS__))

// The bits of one type as another of its size.
template <typename To, typename From>
METAL_STUB constexpr To as_type(From from) {
  static_assert(sizeof(To) == sizeof(From), "as_type of another size");
  return __builtin_bit_cast(To, from);
}

// bfloat converts to float by itself, from anything only if asked. An operation with a bfloat or an
// integer rounds to bfloat.
struct bfloat {
  ushort metal_stub_bits;

  bfloat() = default;
  // From constant memory; as templates, so that bfloat stays trivially copyable.
  template <typename = void>
  constexpr bfloat(const constant bfloat &x) : metal_stub_bits(x.metal_stub_bits) {}
  template <typename = void>
  constexpr bfloat(const constant bfloat &x) constant : metal_stub_bits(x.metal_stub_bits) {}
  template <typename T>
  explicit constexpr bfloat(T x) : metal_stub_bits(round((float)x)) {}
  template <typename T>
  explicit constexpr bfloat(T x) constant : metal_stub_bits(round((float)x)) {}

  constexpr operator float() const { return expand(metal_stub_bits); }
  constexpr operator float() const constant { return expand(metal_stub_bits); }

  static constexpr float expand(ushort bits) { return __builtin_bit_cast(float, (uint)bits << 16); }
  static constexpr ushort round(float x) {
    uint bits = __builtin_bit_cast(uint, x);
    if ((bits & 0x7fffffff) > 0x7f800000) return (ushort)(bits >> 16 | 0x40);
    return (ushort)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
};

namespace metal_stub {
template <typename T>
struct is_whole {
  static constexpr constant int value = 0;
};
#define METAL_STUB_WHOLE(T)                  \
  template <>                                \
  struct is_whole<T> {                       \
    static constexpr constant int value = 1; \
  };
METAL_STUB_WHOLE(bool)
METAL_STUB_WHOLE(char)
METAL_STUB_WHOLE(signed char)
METAL_STUB_WHOLE(uchar)
METAL_STUB_WHOLE(short)
METAL_STUB_WHOLE(ushort)
METAL_STUB_WHOLE(int)
METAL_STUB_WHOLE(uint)
METAL_STUB_WHOLE(long)
METAL_STUB_WHOLE(ulong)
template <int yes, typename T>
struct only {};
template <typename T>
struct only<1, T> {
  typedef T type;
};
template <typename T>
using if_whole = typename only<is_whole<T>::value, bfloat>::type;
}  // namespace metal_stub

#define METAL_STUB_BFLOAT(op)                                               \
  METAL_STUB constexpr bfloat operator op(bfloat a, bfloat b) {             \
    return bfloat((float)a op(float) b);                                    \
  }                                                                         \
  template <typename T>                                                     \
  METAL_STUB constexpr metal_stub::if_whole<T> operator op(bfloat a, T b) { \
    return bfloat((float)a op(float) b);                                    \
  }                                                                         \
  template <typename T>                                                     \
  METAL_STUB constexpr metal_stub::if_whole<T> operator op(T a, bfloat b) { \
    return bfloat((float)a op(float) b);                                    \
  }                                                                         \
  template <typename T>                                                     \
  METAL_STUB bfloat &operator op##=(bfloat & a, T b) {                      \
    return a = bfloat((float)a op(float) b);                                \
  }
METAL_STUB_BFLOAT(+)
METAL_STUB_BFLOAT(-)
METAL_STUB_BFLOAT(*)
METAL_STUB_BFLOAT(/)
METAL_STUB constexpr bfloat operator-(bfloat a) { return bfloat(-(float)a); }
