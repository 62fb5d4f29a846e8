// SPDX-License-Identifier: Apache-2.0
// Atomics. Threads of the runner take turns and never in the middle of one of these, so that plain
// accesses are atomic. Metal has relaxed order alone, and of float no bits, no min, no max.
#pragma once

namespace metal {
enum memory_order { memory_order_relaxed };

template <typename T>
struct atomic {
  T metal_stub_value;
};
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
typedef atomic<ulong> atomic_ulong;
typedef atomic<float> atomic_float;
typedef atomic<bool> atomic_bool;

#define METAL_STUB_UPDATE(name, allowed, next)                                                    \
  template <typename T>                                                                           \
  METAL_STUB enable_if_t<allowed, T> atomic_##name##_explicit(METAL_STUB_SPACE atomic<T> *a, T x, \
                                                              memory_order) {                     \
    const T old = a->metal_stub_value;                                                            \
    a->metal_stub_value = next;                                                                   \
    return old;                                                                                   \
  }
#define METAL_STUB_ATOMICS                                                                  \
  template <typename T>                                                                     \
  METAL_STUB T atomic_load_explicit(const METAL_STUB_SPACE atomic<T> *a, memory_order) {    \
    return a->metal_stub_value;                                                             \
  }                                                                                         \
  template <typename T>                                                                     \
  METAL_STUB void atomic_store_explicit(METAL_STUB_SPACE atomic<T> *a, T x, memory_order) { \
    a->metal_stub_value = x;                                                                \
  }                                                                                         \
  METAL_STUB_UPDATE(exchange, true, x)                                                      \
  METAL_STUB_UPDATE(fetch_add, true, old + x)                                               \
  METAL_STUB_UPDATE(fetch_sub, true, old - x)                                               \
  METAL_STUB_UPDATE(fetch_and, is_integral_v<T>, old &x)                                    \
  METAL_STUB_UPDATE(fetch_or, is_integral_v<T>, old | x)                                    \
  METAL_STUB_UPDATE(fetch_xor, is_integral_v<T>, old ^ x)                                   \
  METAL_STUB_UPDATE(fetch_min, is_integral_v<T>, x < old ? x : old)                         \
  METAL_STUB_UPDATE(fetch_max, is_integral_v<T>, old < x ? x : old)                         \
  template <typename T>                                                                     \
  METAL_STUB bool atomic_compare_exchange_weak_explicit(                                    \
      METAL_STUB_SPACE atomic<T> *a, thread T *expected, T x, memory_order, memory_order) { \
    const bool same = a->metal_stub_value == *expected;                                     \
    *expected = a->metal_stub_value;                                                        \
    if (same) a->metal_stub_value = x;                                                      \
    return same;                                                                            \
  }
#define METAL_STUB_SPACE device
METAL_STUB_ATOMICS
#undef METAL_STUB_SPACE
#define METAL_STUB_SPACE threadgroup
METAL_STUB_ATOMICS
#undef METAL_STUB_SPACE
}  // namespace metal
