// SPDX-License-Identifier: Apache-2.0
// Functions of integers: one of each type, so that a call with several types is ambiguous, as it is
// in Metal.
#pragma once

namespace metal_stub {
template <typename T>
METAL_STUB T count_ones(T x) {
  T n = 0;
  for (; x; x &= (T)(x - 1)) n++;
  return n;
}
template <typename T>
METAL_STUB T leading_zeros(T x) {
  T n = 0;
  for (T bit = (T)((T)1 << (sizeof(T) * 8 - 1)); bit && !(x & bit); bit >>= 1) n++;
  return n;
}
template <typename T>
METAL_STUB T reversed(T x) {
  T r = 0;
  for (uint i = 0; i < sizeof(T) * 8; i++) r |= (T)((x >> i & 1) << (sizeof(T) * 8 - 1 - i));
  return r;
}
}  // namespace metal_stub

// T, and its unsigned twin U
#define METAL_STUB_INTEGER(T, U)                                                             \
  METAL_STUB T min(T x, T y) { return y < x ? y : x; }                                       \
  METAL_STUB T max(T x, T y) { return x < y ? y : x; }                                       \
  METAL_STUB T min3(T x, T y, T z) { return min(min(x, y), z); }                             \
  METAL_STUB T max3(T x, T y, T z) { return max(max(x, y), z); }                             \
  METAL_STUB T clamp(T x, T lo, T hi) { return min(max(x, lo), hi); }                        \
  METAL_STUB T abs(T x) { return x < 0 ? (T)((U)0 - (U)x) : x; }                             \
  METAL_STUB U absdiff(T x, T y) { return x < y ? (U)((U)y - (U)x) : (U)((U)x - (U)y); }     \
  METAL_STUB T popcount(T x) { return (T)metal_stub::count_ones((U)x); }                     \
  METAL_STUB T clz(T x) { return (T)metal_stub::leading_zeros((U)x); }                       \
  METAL_STUB T ctz(T x) { return (T)metal_stub::leading_zeros(metal_stub::reversed((U)x)); } \
  METAL_STUB T reverse_bits(T x) { return (T)metal_stub::reversed((U)x); }                   \
  METAL_STUB T rotate(T x, T n) {                                                            \
    const uint bits = sizeof(T) * 8, left = (uint)n & (bits - 1);                            \
    return left ? (T)((U)((U)x << left) | (U)((U)x >> (bits - left))) : x;                   \
  }                                                                                          \
  METAL_STUB T extract_bits(T x, uint offset, uint bits) {                                   \
    const uint width = sizeof(T) * 8;                                                        \
    return bits ? (T)((T)((U)x << (width - bits - offset)) >> (width - bits)) : (T)0;        \
  }

namespace metal {
METAL_STUB_INTEGER(char, uchar)
METAL_STUB_INTEGER(uchar, uchar)
METAL_STUB_INTEGER(short, ushort)
METAL_STUB_INTEGER(ushort, ushort)
METAL_STUB_INTEGER(int, uint)
METAL_STUB_INTEGER(uint, uint)
METAL_STUB_INTEGER(long, ulong)
METAL_STUB_INTEGER(ulong, ulong)
METAL_STUB uint mulhi(uint x, uint y) { return (uint)((ulong)x * y >> 32); }
METAL_STUB int mulhi(int x, int y) { return (int)((long)x * y >> 32); }
METAL_STUB ulong mulhi(ulong x, ulong y) {
  const ulong a = x >> 32, b = x & 0xffffffff, c = y >> 32, d = y & 0xffffffff;
  const ulong low = b * d, left = a * d + (low >> 32), right = b * c + (left & 0xffffffff);
  return a * c + (left >> 32) + (right >> 32);
}
METAL_STUB long mulhi(long x, long y) {
  const ulong high = mulhi((ulong)x, (ulong)y);
  return (long)(high - (x < 0 ? (ulong)y : 0) - (y < 0 ? (ulong)x : 0));
}
}  // namespace metal
