/* SPDX-License-Identifier: Apache-2.0
 * The inverse of the error function: x times a function of w = -log((1 - x) (1 + x)) near 0, of
 * sqrt(w) near 1 and -1. The polynomials are those of engine/elementwise, made by
 * scripts/special_polynomials.py. */
#include "kernel/emit/element.h"

static const double center_f32[] = {
    0x1.a755e7c99ae86p+0,   0x1.8040ca365d4abp-1,   -0x1.e2b1952e871b9p-5,  -0x1.725873c11e5edp-6,
    0x1.23c5dd3ca7972p-6,   -0x1.0f54b4cb76cc2p-8,  -0x1.4d73dc031bc96p-10, 0x1.45c388f2911c0p-10,
    -0x1.142c963cb7a30p-12, -0x1.1b49249326e92p-13, 0x1.8215af1f68301p-14,  0x1.a7ce1e86e577cp-20,
    -0x1.6ddbddafd7760p-17};
static const double center_f64[] = {
    0x1.a755e7c99ae86p+0,   0x1.8040caa12786bp-1,   -0x1.e2b19456a07dep-5,  -0x1.7259eca3a141fp-6,
    0x1.23c5aee6b6ed2p-6,   -0x1.0f249df1bb639p-8,  -0x1.4d5dd2d0660b0p-10, 0x1.4316b4d75322bp-10,
    -0x1.153ca28c1a44cp-12, -0x1.ea446faa53915p-14, 0x1.879c793a90afcp-14,  -0x1.f83f0cb11fcd4p-17,
    -0x1.79bba2ad89922p-17, 0x1.de7d7378497fbp-18,  -0x1.6f1195e98efe1p-21, -0x1.1c5c0331bf7ecp-20,
    0x1.219afa7cafd04p-21,  -0x1.5df5816a743d4p-27, -0x1.a7d0a7435fc08p-24, 0x1.50562a1255795p-25,
    0x1.495443ba8969ap-28,  -0x1.263713f720005p-27, 0x1.a75c19e5e82b6p-30,  0x1.a6b974c51a6f0p-31,
    -0x1.293907e988d13p-32};
static const double middle_f32[] = {
    0x1.8abcc380d5a48p+1,  0x1.8204fa5a59219p-1,   0x1.8bfcac464dadap-9,  -0x1.9ede8041d78a4p-10,
    0x1.9d4880cb7cf72p-11, -0x1.a3bc2e72c30c7p-12, 0x1.6430d7605893fp-13, -0x1.94b7d026c4c8dp-15,
    0x1.0d99d07e13770p-19, 0x1.9b08311be810ap-18,  -0x1.34b2fb2a4ee82p-19};
static const double middle_f64[] = {
    0x1.8abcc380d5a48p+1,   0x1.8204fa4162bffp-1,   0x1.8bfc9e26da6e0p-9,   -0x1.9eda88e4f2509p-10,
    0x1.9d4ce3863b087p-11,  -0x1.a418d38d78871p-12, 0x1.63d0370fa4c6bp-13,  -0x1.8d8d2c990c866p-15,
    0x1.42e8e2a16deb9p-19,  0x1.5816a1b416477p-18,  -0x1.65a99e8f8b629p-19, 0x1.1aa4689f7720ap-21,
    0x1.8ef95c14a2ac8p-24,  -0x1.96b02bed2c552p-24, 0x1.c5882c111f3a6p-26,  -0x1.95c96666ea5fcp-32,
    -0x1.522c2c004e34cp-29, 0x1.0fe3d18357c1fp-30,  -0x1.034978cde5ad0p-33, -0x1.1c9f3aa5fca5cp-34,
    0x1.ac779dcd8e589p-36};
static const double end_f64[] = {
    0x1.3e79eb73b06f4p+2,  0x1.22f42cba319dcp+0,   -0x1.1a24434a33273p-12, -0x1.0ca5c8d783892p-12,
    0x1.b29f5dfa787edp-14, -0x1.f59052ad933d0p-16, 0x1.fdda8d1063d7ep-18,  -0x1.e7793d7929bf9p-20,
    0x1.d2952cb725dc4p-22, -0x1.0195fedf65781p-23, 0x1.938f098e29c6fp-25,  -0x1.b5cb8a291e7ddp-26,
    0x1.02ec16ac91644p-26, -0x1.1890ced5b5b4fp-27, 0x1.fe491323c6d59p-29,  -0x1.90844ae793855p-30,
    0x1.1ab121a7526c1p-31, -0x1.f6579828f15ecp-35, -0x1.74ae24b36f2d9p-34, 0x1.32b74222def20p-35};

/* The polynomials' variable, -1 to 1 over the range that one is for. */
static jm_kval scaled(jm_kbuilder *b, jm_kval x, double middle, double half) {
  const jm_ktype t = jm_kbuild_type(b, x);
  return jm_k_fmul(b, jm_k_fsub(b, x, jm_k_float(b, t, middle)), jm_k_float(b, t, 1 / half));
}

/* The rounding of (1 - x) (1 + x) matters little: near 0 the function is flat in w, and near 1 the
 * product is as exact as x. */
jm_kval jm_math_erf_inv(jm_kbuilder *b, jm_kval x) {
  const jm_ktype t = jm_kbuild_type(b, x);
  const bool wide = t == JM_KT_f64;
  jm_kval one = jm_k_float(b, t, 1);
  jm_kval w = jm_k_fneg(b,
                        jm_math_log(b, jm_k_fmul(b, jm_k_fsub(b, one, x), jm_k_fadd(b, one, x)))),
          s = jm_k_fsqrt(b, w);
  jm_kval near = scaled(b, w, 3.125, 3.125), far = scaled(b, s, 3.25, 0.75), p, q;
  if (wide) {
    p = JM_POLYNOMIAL(b, near, center_f64);
    q = JM_POLYNOMIAL(b, far, middle_f64);
    jm_kval last = JM_POLYNOMIAL(b, scaled(b, s, 5.125, 1.125), end_f64);
    q = jm_k_select(b, jm_k_folt(b, w, jm_k_float(b, t, 16)), q, last);
  } else {
    p = JM_POLYNOMIAL(b, near, center_f32);
    q = JM_POLYNOMIAL(b, far, middle_f32);
  }
  jm_kval result = jm_k_fmul(b, x, jm_k_select(b, jm_k_folt(b, w, jm_k_float(b, t, 6.25)), p, q));
  return jm_k_select(b, jm_k_foeq(b, jm_k_fabs(b, x), one),
                     jm_k_fcopysign(b, jm_k_float(b, t, __builtin_inf()), x), result);
}
