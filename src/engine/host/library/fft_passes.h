/* SPDX-License-Identifier: Apache-2.0
 * The passes of fft_lines.h of small radices in vector instructions. Included once for each pair of
 * REAL (whose names are NAME(x)) and machine: BYTES of a vector and the TARGET that has them; the
 * functions are PASS(pass<radix>). Products are never contracted into sums (CMakeLists.txt), so
 * that all machines, and all places in a vector, give the same bits. */

typedef REAL PASS(full) __attribute__((vector_size(BYTES), aligned(sizeof(REAL)), may_alias));
typedef REAL PASS(part) __attribute__((vector_size(16), aligned(sizeof(REAL)), may_alias));
typedef REAL PASS(one);

#define TWIDDLE(k) const REAL c##k = cosine[root * k], s##k = sine[root * k]
#define INPUT(T, k) \
  T r##k = *(const T *)(re + q + k * x->in), i##k = *(const T *)(im + q + k * x->in)
#define STORE(T, k, r, i)                  \
  do {                                     \
    *(T *)(out_re + q + k * x->out) = (r); \
    *(T *)(out_im + q + k * x->out) = (i); \
  } while (0)
#define STORE_TURNED(T, k, r, i)                                                      \
  do {                                                                                \
    T store_re = (r), store_im = (i);                                                 \
    STORE(T, k, store_re *c##k - store_im * s##k, store_re * s##k + store_im * c##k); \
  } while (0)
/* The butterflies of q, as many as T holds, while there are as many. */
#define EACH(T, BUTTERFLY) \
  for (; q + sizeof(T) / sizeof(REAL) <= x->length; q += sizeof(T) / sizeof(REAL)) BUTTERFLY(T)
#define DEFINE(name, TWIDDLES, BUTTERFLY)                                                      \
  static TARGET void PASS(name)(const NAME(pass) * x) {                                        \
    const REAL *cosine = x->plan->cosine, *sine = x->plan->sine;                               \
    for (size_t p = 0; p < x->count; p++) {                                                    \
      const size_t root = x->root + p * x->root_step;                                          \
      TWIDDLES;                                                                                \
      const REAL *restrict re = x->re + p * x->in_step, *restrict im = x->im + p * x->in_step; \
      REAL *restrict out_re = x->out_re + p * x->out_step;                                     \
      REAL *restrict out_im = x->out_im + p * x->out_step;                                     \
      size_t q = 0;                                                                            \
      EACH(PASS(full), BUTTERFLY)                                                              \
      EACH(PASS(part), BUTTERFLY)                                                              \
      EACH(PASS(one), BUTTERFLY)                                                               \
    }                                                                                          \
  }

#define BUTTERFLY(T)                      \
  {                                       \
    INPUT(T, 0);                          \
    INPUT(T, 1);                          \
    STORE(T, 0, r0 + r1, i0 + i1);        \
    STORE_TURNED(T, 1, r0 - r1, i0 - i1); \
  }
DEFINE(pass2, TWIDDLE(1), BUTTERFLY)
#undef BUTTERFLY

#define BUTTERFLY(T)                                               \
  {                                                                \
    const REAL h = (REAL)0.86602540378443864676; /* sin(pi / 3) */ \
    INPUT(T, 0);                                                   \
    INPUT(T, 1);                                                   \
    INPUT(T, 2);                                                   \
    T tr = r1 + r2, ti = i1 + i2;                                  \
    T ar = r0 - (REAL)0.5 * tr, ai = i0 - (REAL)0.5 * ti;          \
    T br = h * (i1 - i2), bi = h * (r2 - r1);                      \
    STORE(T, 0, r0 + tr, i0 + ti);                                 \
    STORE_TURNED(T, 1, ar + br, ai + bi);                          \
    STORE_TURNED(T, 2, ar - br, ai - bi);                          \
  }
DEFINE(pass3, TWIDDLE(1); TWIDDLE(2), BUTTERFLY)
#undef BUTTERFLY

#define BUTTERFLY(T)                                          \
  {                                                           \
    INPUT(T, 0);                                              \
    INPUT(T, 1);                                              \
    INPUT(T, 2);                                              \
    INPUT(T, 3);                                              \
    T ar = r0 + r2, ai = i0 + i2, br = r0 - r2, bi = i0 - i2; \
    T cr = r1 + r3, ci = i1 + i3, dr = i1 - i3, di = r3 - r1; \
    STORE(T, 0, ar + cr, ai + ci);                            \
    STORE_TURNED(T, 1, br + dr, bi + di);                     \
    STORE_TURNED(T, 2, ar - cr, ai - ci);                     \
    STORE_TURNED(T, 3, br - dr, bi - di);                     \
  }
DEFINE(pass4, TWIDDLE(1); TWIDDLE(2); TWIDDLE(3), BUTTERFLY)
#undef BUTTERFLY

#define BUTTERFLY(T)                                                              \
  {                                                                               \
    const REAL ca = (REAL)0.30901699437494742410,                                 \
               cb = (REAL) - 0.80901699437494742410; /* cos of 72, 144 degrees */ \
    const REAL sa = (REAL)0.95105651629515357212,                                 \
               sb = (REAL)0.58778525229247312917; /* sin of 72, 144 */            \
    INPUT(T, 0);                                                                  \
    INPUT(T, 1);                                                                  \
    INPUT(T, 2);                                                                  \
    INPUT(T, 3);                                                                  \
    INPUT(T, 4);                                                                  \
    T ar = r1 + r4, ai = i1 + i4, br = r2 + r3, bi = i2 + i3;                     \
    T dr = r1 - r4, di = i1 - i4, er = r2 - r3, ei = i2 - i3;                     \
    T fr = r0 + ca * ar + cb * br, fi = i0 + ca * ai + cb * bi;                   \
    T gr = r0 + cb * ar + ca * br, gi = i0 + cb * ai + ca * bi;                   \
    T hr = sa * di + sb * ei, hi = -(sa * dr + sb * er);                          \
    T kr = sb * di - sa * ei, ki = -(sb * dr - sa * er);                          \
    STORE(T, 0, r0 + ar + br, i0 + ai + bi);                                      \
    STORE_TURNED(T, 1, fr + hr, fi + hi);                                         \
    STORE_TURNED(T, 2, gr + kr, gi + ki);                                         \
    STORE_TURNED(T, 3, gr - kr, gi - ki);                                         \
    STORE_TURNED(T, 4, fr - hr, fi - hi);                                         \
  }
DEFINE(pass5, TWIDDLE(1); TWIDDLE(2); TWIDDLE(3); TWIDDLE(4), BUTTERFLY)
#undef BUTTERFLY

/* A transform of four values, in place: outputs 0 to 3 are a, b, c, d. */
#define FOUR(T, a, b, c, d)                                                   \
  do {                                                                        \
    T er = a##r + c##r, ei = a##i + c##i, fr = a##r - c##r, fi = a##i - c##i; \
    T gr = b##r + d##r, gi = b##i + d##i, hr = b##i - d##i, hi = d##r - b##r; \
    a##r = er + gr, a##i = ei + gi, b##r = fr + hr, b##i = fi + hi;           \
    c##r = er - gr, c##i = ei - gi, d##r = fr - hr, d##i = fi - hi;           \
  } while (0)
#define BUTTERFLY(T)                                                                       \
  {                                                                                        \
    const REAL h = (REAL)0.70710678118654752440; /* sin(pi / 4) */                         \
    INPUT(T, 0);                                                                           \
    INPUT(T, 1);                                                                           \
    INPUT(T, 2);                                                                           \
    INPUT(T, 3);                                                                           \
    INPUT(T, 4);                                                                           \
    INPUT(T, 5);                                                                           \
    INPUT(T, 6);                                                                           \
    INPUT(T, 7);                                                                           \
    T t0r = r0 + r4, t0i = i0 + i4, t4r = r0 - r4, t4i = i0 - i4;                          \
    T t1r = r1 + r5, t1i = i1 + i5, ur = r1 - r5, ui = i1 - i5;                            \
    T t2r = r2 + r6, t2i = i2 + i6, t6r = i2 - i6, t6i = r6 - r2;                          \
    T t3r = r3 + r7, t3i = i3 + i7, vr = r3 - r7, vi = i3 - i7;                            \
    T t5r = h * (ur + ui), t5i = h * (ui - ur), t7r = h * (vi - vr), t7i = -h * (vr + vi); \
    FOUR(T, t0, t1, t2, t3);                                                               \
    FOUR(T, t4, t5, t6, t7);                                                               \
    STORE(T, 0, t0r, t0i);                                                                 \
    STORE_TURNED(T, 1, t4r, t4i);                                                          \
    STORE_TURNED(T, 2, t1r, t1i);                                                          \
    STORE_TURNED(T, 3, t5r, t5i);                                                          \
    STORE_TURNED(T, 4, t2r, t2i);                                                          \
    STORE_TURNED(T, 5, t6r, t6i);                                                          \
    STORE_TURNED(T, 6, t3r, t3i);                                                          \
    STORE_TURNED(T, 7, t7r, t7i);                                                          \
  }
DEFINE(pass8, TWIDDLE(1); TWIDDLE(2); TWIDDLE(3); TWIDDLE(4); TWIDDLE(5); TWIDDLE(6);
       TWIDDLE(7), BUTTERFLY)
#undef BUTTERFLY
#undef FOUR

static void (*const PASS(table)[])(const NAME(pass) *) = {
    [2] = PASS(pass2), [3] = PASS(pass3), [4] = PASS(pass4), [5] = PASS(pass5), [8] = PASS(pass8)};

#undef TWIDDLE
#undef INPUT
#undef STORE
#undef STORE_TURNED
#undef EACH
#undef DEFINE
#undef PASS
#undef BYTES
#undef TARGET
