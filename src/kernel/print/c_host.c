/* SPDX-License-Identifier: Apache-2.0
 * Kernels as C11: a jm_kernel_fn, which the machine's compiler makes and which must agree with the
 * interpreter bit for bit. Cancellation is not looked at. */
#include "kernel/print/c.h"

static const char prelude[] =
    "#include <math.h>\n"
    "#include <stdbool.h>\n"
    "#include <stdint.h>\n"
    "#include <string.h>\n"
    "#define jm_unordered(x, y) ((x) != (x) || (y) != (y))\n"
    "static inline float jm_as_f32(uint32_t x) {\n"
    "  float y;\n"
    "  memcpy(&y, &x, sizeof y);\n"
    "  return y;\n"
    "}\n"
    "static inline uint32_t jm_as_i32(float x) {\n"
    "  uint32_t y;\n"
    "  memcpy(&y, &x, sizeof y);\n"
    "  return y;\n"
    "}\n"
    "static inline double jm_as_f64(uint64_t x) {\n"
    "  double y;\n"
    "  memcpy(&y, &x, sizeof y);\n"
    "  return y;\n"
    "}\n"
    "static inline uint64_t jm_as_i64(double x) {\n"
    "  uint64_t y;\n"
    "  memcpy(&y, &x, sizeof y);\n"
    "  return y;\n"
    "}\n"
    "static inline uint32_t jm_popcount32(uint32_t x) {\n"
    "  return (uint32_t)__builtin_popcount(x);\n"
    "}\n"
    "static inline uint64_t jm_popcount64(uint64_t x) {\n"
    "  return (uint64_t)__builtin_popcountll(x);\n"
    "}\n"
    "static inline uint32_t jm_clz32(uint32_t x) {\n"
    "  return x ? (uint32_t)__builtin_clz(x) : 32;\n"
    "}\n"
    "static inline uint64_t jm_clz64(uint64_t x) {\n"
    "  return x ? (uint64_t)__builtin_clzll(x) : 64;\n"
    "}\n";

const jm_c_dialect jm_c_host = {
    .name = "C",
    .prelude = prelude,
    .types = {"bool", "uint8_t", "uint16_t", "uint32_t", "uint64_t", "float", "double"},
    .signed_types = {"", "int8_t", "int16_t", "int32_t", "int64_t", "", ""},
    .long_suffix = "ull",
    .has_f64 = true,
    .function =
        "void %s(void *const *buffers, void *scratch, int64_t begin, int64_t end, "
        "const void *cancelled) {\n",
    .restricted = "restrict ",
};
