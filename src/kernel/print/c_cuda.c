/* SPDX-License-Identifier: Apache-2.0
 * Kernels as CUDA C++. Sums and products are intrinsics that no flag contracts into fma, divisions
 * and square roots those that are rounded correctly. Functions of f64 that calls.def lists are the
 * device library's: fmod is exact, sin, cos, tan and pow are within 2 units of the last place, as
 * its documentation says. */
#include "kernel/print/c.h"

static const char prelude[] =
    "#define jm_unordered(x, y) ((x) != (x) || (y) != (y))\n"
    "#define jm_as_f32(x) __uint_as_float(x)\n"
    "#define jm_as_i32(x) __float_as_uint(x)\n"
    "#define jm_as_f64(x) __longlong_as_double((long long)(x))\n"
    "#define jm_as_i64(x) ((unsigned long long)__double_as_longlong(x))\n"
    "#define jm_popcount32(x) ((unsigned int)__popc(x))\n"
    "#define jm_popcount64(x) ((unsigned long long)__popcll(x))\n"
    "#define jm_clz32(x) ((unsigned int)__clz((int)(x)))\n"
    "#define jm_clz64(x) ((unsigned long long)__clzll((long long)(x)))\n"
    "#define jm_shuffle_down(x, lanes, mask) __shfl_down_sync(mask, x, lanes)\n"
    "#define jm_first_lane(x, mask) __shfl_sync(mask, x, 0)\n";

static const jm_c_override overrides[] = {
    {JM_K_fadd, "__fadd_rn(%a, %b)", "__dadd_rn(%a, %b)"},
    {JM_K_fsub, "__fsub_rn(%a, %b)", "__dsub_rn(%a, %b)"},
    {JM_K_fmul, "__fmul_rn(%a, %b)", "__dmul_rn(%a, %b)"},
    {JM_K_fdiv, "__fdiv_rn(%a, %b)", "__ddiv_rn(%a, %b)"},
    {JM_K_fma, "__fmaf_rn(%a, %b, %c)", "__fma_rn(%a, %b, %c)"},
    {JM_K_fsqrt, "__fsqrt_rn(%a)", "__dsqrt_rn(%a)"},
};

const jm_c_dialect jm_c_cuda = {
    .name = "CUDA",
    .prelude = prelude,
    .types = {"bool", "unsigned char", "unsigned short", "unsigned int", "unsigned long long",
              "float", "double"},
    .signed_types = {"", "signed char", "short", "int", "long long", "", ""},
    .long_suffix = "ull",
    .overrides = overrides,
    .n_overrides = sizeof overrides / sizeof *overrides,
    .has_f64 = true,
    .max_buffers = 400, /* 4 KiB of parameters */
    .max_threads = 1024,
    .max_shared = 48 << 10, /* the most that a kernel may declare without opting in to more */
    .function = "extern \"C\" __global__ void %s(",
    .parameter = "%s%s *%s%s",
    .restricted = "__restrict__ ",
    .more_parameters = "",
    .group = "blockIdx.x",
    .groups = "gridDim.x",
    .lane = "threadIdx.x",
    .barriers = {"", "__syncthreads();", "__syncthreads();", "__syncthreads();"},
    .shared = "__shared__",
    .shared_pointer = "",
};
