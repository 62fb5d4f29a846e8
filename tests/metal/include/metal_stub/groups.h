// SPDX-License-Identifier: Apache-2.0
// What threads of a group do together: barriers, and functions of a simdgroup of 32. The runner
// stops each thread until the others have come.
#pragma once

namespace metal {
enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2, mem_texture = 4 };
METAL_STUB constexpr mem_flags operator|(mem_flags a, mem_flags b) {
  return (mem_flags)((int)a | (int)b);
}
METAL_STUB void threadgroup_barrier(mem_flags) { metal_stub_barrier(0); }
METAL_STUB void simdgroup_barrier(mem_flags) { metal_stub_barrier(1); }
}  // namespace metal

namespace metal_stub {
// What all lanes brought; lanes that do not exist have a mask bit of 0.
template <typename T>
struct simdgroup {
  T all[32];
  uint lanes, own;
  METAL_STUB simdgroup(T mine) {
    uint packed[2] = {0, 0};
    packed[0] = metal_stub_exchange(&mine, all, sizeof(T));
    lanes = packed[0];
    uchar index[32];
    uchar lane = 0;
    own = metal_stub_exchange(&lane, index, 0);
  }
  METAL_STUB T at(uint lane) const { return lane < 32 && lanes >> lane & 1 ? all[lane] : all[own]; }
};
}  // namespace metal_stub

// In terms of an unqualified T: floats, integers, their vectors.
#define METAL_STUB_FOLD(name, start, step) \
  template <typename T>                    \
  METAL_STUB T name(T data) {              \
    metal_stub::simdgroup<T> s(data);      \
    T r = start;                           \
    for (uint i = 0; i < 32; i++)          \
      if (s.lanes >> i & 1) r = step;      \
    return r;                              \
  }
#define METAL_STUB_PREFIX(name, start, step, last) \
  template <typename T>                            \
  METAL_STUB T name(T data) {                      \
    metal_stub::simdgroup<T> s(data);              \
    T r = start;                                   \
    for (uint i = 0; i < s.own + last; i++)        \
      if (s.lanes >> i & 1) r = step;              \
    return r;                                      \
  }
#define METAL_STUB_SHUFFLE(name, lane)  \
  template <typename T>                 \
  METAL_STUB T name(T data, ushort n) { \
    metal_stub::simdgroup<T> s(data);   \
    return s.at(lane);                  \
  }
#define METAL_STUB_SIMD(prefix)                                                                  \
  METAL_STUB_FOLD(prefix##simd_sum, T(0), r + s.all[i])                                          \
  METAL_STUB_FOLD(prefix##simd_product, T(1), r *s.all[i])                                       \
  METAL_STUB_FOLD(prefix##simd_max, data, r < s.all[i] ? s.all[i] : r)                           \
  METAL_STUB_FOLD(prefix##simd_min, data, s.all[i] < r ? s.all[i] : r)                           \
  METAL_STUB_FOLD(prefix##simd_xor, T(0), r ^ s.all[i])                                          \
  METAL_STUB_PREFIX(prefix##simd_prefix_inclusive_sum, T(0), r + s.all[i], 1)                    \
  METAL_STUB_PREFIX(prefix##simd_prefix_exclusive_sum, T(0), r + s.all[i], 0)                    \
  METAL_STUB_PREFIX(prefix##simd_prefix_inclusive_product, T(1), r *s.all[i], 1)                 \
  METAL_STUB_PREFIX(prefix##simd_prefix_exclusive_product, T(1), r *s.all[i], 0)                 \
  METAL_STUB_SHUFFLE(prefix##simd_broadcast, n)                                                  \
  METAL_STUB_SHUFFLE(prefix##simd_shuffle, n)                                                    \
  METAL_STUB_SHUFFLE(prefix##simd_shuffle_xor, s.own ^ n)                                        \
  METAL_STUB_SHUFFLE(prefix##simd_shuffle_up, s.own < n ? s.own : s.own - n)                     \
  METAL_STUB_SHUFFLE(prefix##simd_shuffle_down, s.own + n)                                       \
  METAL_STUB_SHUFFLE(prefix##simd_shuffle_rotate_up, (s.own - n) % 32)                           \
  METAL_STUB_SHUFFLE(prefix##simd_shuffle_rotate_down, (s.own + n) % 32)                         \
  template <typename T>                                                                          \
  METAL_STUB T prefix##simd_shuffle_and_fill_up(T data, T fill, ushort n, ushort width = 32) {   \
    metal_stub::simdgroup<T> s(data), f(fill);                                                   \
    return s.own % width < n ? f.at(s.own + width - n) : s.at(s.own - n);                        \
  }                                                                                              \
  template <typename T>                                                                          \
  METAL_STUB T prefix##simd_shuffle_and_fill_down(T data, T fill, ushort n, ushort width = 32) { \
    metal_stub::simdgroup<T> s(data), f(fill);                                                   \
    return s.own % width + n >= width ? f.at(s.own + n - width) : s.at(s.own + n);               \
  }

METAL_STUB_SIMD(__metal_)
METAL_STUB float __metal_simd_xor(float x) {
  return as_type<float>(__metal_simd_xor(as_type<uint>(x)));
}
METAL_STUB ushort __metal_get_simdgroup_size(ushort) { return 32; }
namespace metal {
METAL_STUB_SIMD()
METAL_STUB bool simd_all(bool x) { return simd_min((int)x) != 0; }
METAL_STUB bool simd_any(bool x) { return simd_max((int)x) != 0; }
template <typename T>
METAL_STUB T simd_or(T x) {
  metal_stub::simdgroup<T> s(x);
  for (uint i = 0; i < 32; i++)
    if (s.lanes >> i & 1) x |= s.all[i];
  return x;
}
template <typename T>
METAL_STUB T simd_and(T x) {
  metal_stub::simdgroup<T> s(x);
  for (uint i = 0; i < 32; i++)
    if (s.lanes >> i & 1) x &= s.all[i];
  return x;
}
}  // namespace metal
