/* SPDX-License-Identifier: Apache-2.0
 * Kernels as Metal's shading language, which has no f64. Compile with the math mode "safe": then
 * division and precise::sqrt are rounded correctly, and NaN, infinities and -0 are kept; subnormal
 * numbers may count as zero. */
#include "kernel/print/c.h"

/* A SIMD group has 32 lanes on every Apple GPU. Numbers of 64 bits are shuffled as two of 32. */
static const char prelude[] =
    "#include <metal_stdlib>\n"
    "using namespace metal;\n"
    "#pragma METAL fp contract(off)\n"
    /* a buffer of MLX's, of bfloat or bool, as the words that a kernel sees */
    "template <typename T, typename U> device T *jm_words(device U *x) { return (device T *)x; }\n"
    "template <typename T, typename U> const device T *jm_words(const device U *x) {\n"
    "  return (const device T *)x;\n"
    "}\n"
    "template <typename T, typename U> const constant T *jm_words(const constant U *x) {\n"
    "  return (const constant T *)x;\n"
    "}\n"
    "#define jm_unordered(x, y) ((x) != (x) || (y) != (y))\n"
    "#define jm_as_f32(x) as_type<float>(uint(x))\n"
    "#define jm_as_i32(x) as_type<uint>(x)\n"
    "#define jm_popcount32(x) popcount(uint(x))\n"
    "#define jm_popcount64(x) popcount(ulong(x))\n"
    "#define jm_clz32(x) clz(uint(x))\n"
    "#define jm_clz64(x) clz(ulong(x))\n"
    "inline float jm_shuffle_down(float x, int lanes, uint) {\n"
    "  return simd_shuffle_down(x, ushort(lanes));\n"
    "}\n"
    "inline uint jm_shuffle_down(uint x, int lanes, uint) {\n"
    "  return simd_shuffle_down(x, ushort(lanes));\n"
    "}\n"
    "inline ushort jm_shuffle_down(ushort x, int lanes, uint) {\n"
    "  return simd_shuffle_down(x, ushort(lanes));\n"
    "}\n"
    "inline uchar jm_shuffle_down(uchar x, int lanes, uint) {\n"
    "  return simd_shuffle_down(x, ushort(lanes));\n"
    "}\n"
    "inline bool jm_shuffle_down(bool x, int lanes, uint) {\n"
    "  return simd_shuffle_down(uint(x), ushort(lanes)) != 0;\n"
    "}\n"
    "inline ulong jm_shuffle_down(ulong x, int lanes, uint) {\n"
    "  uint low = simd_shuffle_down(uint(x), ushort(lanes));\n"
    "  uint high = simd_shuffle_down(uint(x >> 32), ushort(lanes));\n"
    "  return ulong(high) << 32 | ulong(low);\n"
    "}\n"
    "inline float jm_first_lane(float x, uint) { return simd_shuffle(x, ushort(0)); }\n"
    "inline uint jm_first_lane(uint x, uint) { return simd_shuffle(x, ushort(0)); }\n"
    "inline ushort jm_first_lane(ushort x, uint) { return simd_shuffle(x, ushort(0)); }\n"
    "inline uchar jm_first_lane(uchar x, uint) { return simd_shuffle(x, ushort(0)); }\n"
    "inline bool jm_first_lane(bool x, uint) { return simd_shuffle(uint(x), ushort(0)) != 0; }\n"
    "inline ulong jm_first_lane(ulong x, uint) {\n"
    "  uint low = simd_shuffle(uint(x), ushort(0)), high = simd_shuffle(uint(x >> 32), "
    "ushort(0));\n"
    "  return ulong(high) << 32 | ulong(low);\n"
    "}\n";

static const jm_c_override overrides[] = {
    {JM_K_fma, "fma(%a, %b, %c)", ""},
    {JM_K_fabs, "precise::fabs(%a)", ""},
    {JM_K_fsqrt, "precise::sqrt(%a)", ""},
    {JM_K_ffloor, "precise::floor(%a)", ""},
    {JM_K_fceil, "precise::ceil(%a)", ""},
    {JM_K_ftrunc, "precise::trunc(%a)", ""},
    {JM_K_fscale, "precise::ldexp(%a, int(%b))", ""},
    {JM_K_frint, "precise::rint(%a)", ""},
    {JM_K_fcopysign, "precise::copysign(%a, %b)", ""},
};

const jm_c_dialect jm_c_metal = {
    .name = "Metal",
    .prelude = prelude,
    .types = {"bool", "uchar", "ushort", "uint", "ulong", "float", ""},
    .signed_types = {"", "char", "short", "int", "long", "", ""},
    .long_suffix = "ul",
    .overrides = overrides,
    .n_overrides = sizeof overrides / sizeof *overrides,
    /* fmod is exact; the others are not used for f32, and their errors not bounded here */
    .calls = {[JM_KCALL_fmod] = {"precise::fmod(%a, %b)", ""},
              [JM_KCALL_pow] = {"", ""},
              [JM_KCALL_sin] = {"", ""},
              [JM_KCALL_cos] = {"", ""},
              [JM_KCALL_tan] = {"", ""},
              [JM_KCALL_scale] = {"", ""},
              [JM_KCALL_fma] = {"fma(%a, %b, %c)", ""}},
    .max_buffers = 31,
    .max_threads = 1024,
    .max_shared = 32 << 10,
    .function = "kernel void %s(",
    .parameter = "device %s%s *%s%s [[buffer(%u)]]",
    .restricted = "",
    .more_parameters =
        ",\n"
        "    uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],\n"
        "    uint3 threadgroups_per_grid [[threadgroups_per_grid]],\n"
        "    uint3 thread_position_in_threadgroup "
        "[[thread_position_in_threadgroup]]",
    .group = "threadgroup_position_in_grid.x",
    .groups = "threadgroups_per_grid.x",
    .lane = "thread_position_in_threadgroup.x",
    .barriers = {"", "threadgroup_barrier(mem_flags::mem_threadgroup);",
                 "threadgroup_barrier(mem_flags::mem_device);",
                 "threadgroup_barrier(mem_flags::mem_threadgroup | mem_flags::mem_device);"},
    .shared = "threadgroup",
    .shared_pointer = "threadgroup ",
};
