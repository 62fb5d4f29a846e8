// SPDX-License-Identifier: Apache-2.0
// Traits of types, their limits, and array.
#pragma once

namespace metal {
using ::vec;

template <typename T, T v>
struct integral_constant {
  static constexpr constant T value = v;
};
template <bool v>
using bool_constant = integral_constant<bool, v>;
typedef bool_constant<true> true_type;
typedef bool_constant<false> false_type;
template <typename... T>
struct _disjunction : false_type {};
template <typename T, typename... More>
struct _disjunction<T, More...> : bool_constant<T::value || _disjunction<More...>::value> {};

template <bool yes, typename T = void>
struct enable_if {};
template <typename T>
struct enable_if<true, T> {
  typedef T type;
};
template <bool yes, typename T = void>
using enable_if_t = typename enable_if<yes, T>::type;
template <bool yes, typename T, typename U>
struct conditional {
  typedef U type;
};
template <typename T, typename U>
struct conditional<true, T, U> {
  typedef T type;
};
template <bool yes, typename T, typename U>
using conditional_t = typename conditional<yes, T, U>::type;
template <typename T, typename U>
struct is_same : false_type {};
template <typename T>
struct is_same<T, T> : true_type {};
template <typename T, typename U>
constexpr constant bool is_same_v = is_same<T, U>::value;

template <typename T>
struct is_integral : bool_constant<metal_stub::is_whole<T>::value != 0> {};
template <typename T>
constexpr constant bool is_integral_v = is_integral<T>::value;
template <typename T>
struct is_floating_point
    : bool_constant<is_same_v<T, float> || is_same_v<T, half> || is_same_v<T, bfloat>> {};
template <typename T>
constexpr constant bool is_floating_point_v = is_floating_point<T>::value;
template <typename T>
constexpr constant bool is_arithmetic_v = is_integral_v<T> || is_floating_point_v<T>;
template <typename T, bool = is_arithmetic_v<T>>
struct is_signed : false_type {};
template <typename T>
struct is_signed<T, true> : bool_constant<(T(-1) < T(0))> {};
template <>
struct is_signed<bool, true> : false_type {};
template <typename T>
constexpr constant bool is_signed_v = is_signed<T>::value;
template <typename T>
constexpr constant bool is_unsigned_v = is_integral_v<T> && !is_signed_v<T>;
template <typename From, typename To>
constexpr constant bool is_convertible_v = __is_convertible_to(From, To);
template <typename From, typename To>
struct is_convertible : bool_constant<__is_convertible_to(From, To)> {};

// Of integers two's complement makes all of it; of floats see below.
template <typename T>
struct numeric_limits {
  static constexpr T min() { return is_signed_v<T> ? T(T(1) << (sizeof(T) * 8 - 1)) : T(0); }
  static constexpr T max() { return T(~min()); }
  static constexpr T lowest() { return min(); }
};
#define METAL_STUB_LIMITS(T, bits, largest, smallest, nan)                                  \
  template <>                                                                               \
  struct numeric_limits<T> {                                                                \
    static constexpr T max() { return __builtin_bit_cast(T, (bits)largest); }               \
    static constexpr T lowest() { return __builtin_bit_cast(T, (bits)(largest | sign())); } \
    static constexpr T min() { return __builtin_bit_cast(T, (bits)smallest); }              \
    static constexpr T infinity() { return __builtin_bit_cast(T, (bits)(largest + 1)); }    \
    static constexpr T quiet_NaN() { return __builtin_bit_cast(T, (bits)nan); }             \
    static constexpr bits sign() { return (bits)((bits)1 << (sizeof(T) * 8 - 1)); }         \
  };
METAL_STUB_LIMITS(float, uint, 0x7f7fffff, 0x00800000, 0x7fc00000)
METAL_STUB_LIMITS(half, ushort, 0x7bff, 0x0400, 0x7e00)

template <>
struct numeric_limits<bfloat> {
  static constexpr bfloat max() { return bfloat(bfloat::expand(0x7f7f)); }
  static constexpr bfloat lowest() { return bfloat(bfloat::expand(0xff7f)); }
  static constexpr bfloat min() { return bfloat(bfloat::expand(0x0080)); }
  static constexpr bfloat infinity() { return bfloat(bfloat::expand(0x7f80)); }
  static constexpr bfloat quiet_NaN() { return bfloat(bfloat::expand(0x7fc0)); }
};

template <typename T, size_t n>
struct array {
  T metal_stub_elements[n];
  T &operator[](size_t i) { return metal_stub_elements[i]; }
  const T &operator[](size_t i) const { return metal_stub_elements[i]; }
};

struct os_log {
  constexpr os_log(const constant char *, const constant char *) constant {}
  template <typename... T>
  void log_debug(const constant char *, T...) const constant {}
};
}  // namespace metal
