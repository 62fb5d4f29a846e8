/* SPDX-License-Identifier: Apache-2.0
 * The inside of fft.c for one precision: included once with REAL (float or double) and NAME
 * defined. A plan transforms `lanes` lines of length n side by side, real and imaginary parts
 * apart, as Stockham's self-sorting passes over the factors of n: the innermost loop runs over
 * lanes and finished factors, contiguously. Lengths with a large prime factor go through
 * Bluestein's convolution of a length that has none. */

typedef struct NAME(plan) {
  size_t n;
  uint32_t n_factors;
  uint32_t factors[MAX_FACTORS]; /* empty for Bluestein */
  REAL *cosine, *sine;           /* exp(-2 pi i k / n), k < n; for Bluestein exp(-pi i k^2 / n) */
  /* Bluestein: a plan of a length m >= 2 n - 1 with small factors, and the transformed filter */
  struct NAME(plan) * inner;
  REAL *filter_re, *filter_im;
} NAME(plan);

static void NAME(plan_destroy)(NAME(plan) * p) {
  if (!p) return;
  NAME(plan_destroy)(p->inner);
  jm_scratch_give(p->cosine);
  jm_scratch_give(p->sine);
  jm_free(p->filter_re);
  jm_free(p->filter_im);
  jm_free(p);
}

/* -- passes. Input x[(p + k m) s + q], output y[(p r + k) s + q], for p < m, k < r, q < s: each
 * butterfly's output k is multiplied by w^(p k), w the root of the remaining length r m. */

typedef struct NAME(pass) {
  const NAME(plan) * plan;
  size_t m, s, step; /* step: w is the plan's root number step */
  uint32_t radix;
  REAL *restrict re, *restrict im;
  REAL *restrict out_re, *restrict out_im;
} NAME(pass);

#define TWIDDLE(k) \
  const REAL c##k = x->plan->cosine[p * k * x->step], s##k = x->plan->sine[p * k * x->step]
#define INPUT(k) \
  const REAL *restrict r##k = x->re + (p + k * m) * s, *restrict i##k = x->im + (p + k * m) * s
#define OUTPUT(k)                                      \
  REAL *restrict or ##k = x->out_re + (p * R + k) * s; \
  REAL *restrict oi##k = x->out_im + (p * R + k) * s
#define STORE(k, re, im)                           \
  do {                                             \
    REAL store_re = (re), store_im = (im);         \
    or ##k[q] = store_re * c##k - store_im * s##k; \
    oi##k[q] = store_re * s##k + store_im * c##k;  \
  } while (0)

JM_CLONES static void NAME(pass2)(const NAME(pass) * x) {
  enum { R = 2 };
  const size_t m = x->m, s = x->s;
  for (size_t p = 0; p < m; p++) {
    TWIDDLE(1);
    INPUT(0);
    INPUT(1);
    OUTPUT(0);
    OUTPUT(1);
    JM_LOOP
    for (size_t q = 0; q < s; q++) {
      or0[q] = r0[q] + r1[q];
      oi0[q] = i0[q] + i1[q];
      STORE(1, r0[q] - r1[q], i0[q] - i1[q]);
    }
  }
}

JM_CLONES static void NAME(pass3)(const NAME(pass) * x) {
  enum { R = 3 };
  const size_t m = x->m, s = x->s;
  const REAL h = (REAL)0.86602540378443864676; /* sin(pi / 3) */
  for (size_t p = 0; p < m; p++) {
    TWIDDLE(1);
    TWIDDLE(2);
    INPUT(0);
    INPUT(1);
    INPUT(2);
    OUTPUT(0);
    OUTPUT(1);
    OUTPUT(2);
    JM_LOOP
    for (size_t q = 0; q < s; q++) {
      REAL tr = r1[q] + r2[q], ti = i1[q] + i2[q];
      REAL ar = r0[q] - (REAL)0.5 * tr, ai = i0[q] - (REAL)0.5 * ti;
      REAL br = h * (i1[q] - i2[q]), bi = h * (r2[q] - r1[q]);
      or0[q] = r0[q] + tr;
      oi0[q] = i0[q] + ti;
      STORE(1, ar + br, ai + bi);
      STORE(2, ar - br, ai - bi);
    }
  }
}

JM_CLONES static void NAME(pass4)(const NAME(pass) * x) {
  enum { R = 4 };
  const size_t m = x->m, s = x->s;
  for (size_t p = 0; p < m; p++) {
    TWIDDLE(1);
    TWIDDLE(2);
    TWIDDLE(3);
    INPUT(0);
    INPUT(1);
    INPUT(2);
    INPUT(3);
    OUTPUT(0);
    OUTPUT(1);
    OUTPUT(2);
    OUTPUT(3);
    JM_LOOP
    for (size_t q = 0; q < s; q++) {
      REAL ar = r0[q] + r2[q], ai = i0[q] + i2[q], br = r0[q] - r2[q], bi = i0[q] - i2[q];
      REAL cr = r1[q] + r3[q], ci = i1[q] + i3[q], dr = i1[q] - i3[q], di = r3[q] - r1[q];
      or0[q] = ar + cr;
      oi0[q] = ai + ci;
      STORE(1, br + dr, bi + di);
      STORE(2, ar - cr, ai - ci);
      STORE(3, br - dr, bi - di);
    }
  }
}

JM_CLONES static void NAME(pass5)(const NAME(pass) * x) {
  enum { R = 5 };
  const size_t m = x->m, s = x->s;
  const REAL ca = (REAL)0.30901699437494742410,
             cb = (REAL)-0.80901699437494742410; /* cos of 72, 144 */
  const REAL sa = (REAL)0.95105651629515357212,
             sb = (REAL)0.58778525229247312917; /* sin of 72, 144 */
  for (size_t p = 0; p < m; p++) {
    TWIDDLE(1);
    TWIDDLE(2);
    TWIDDLE(3);
    TWIDDLE(4);
    INPUT(0);
    INPUT(1);
    INPUT(2);
    INPUT(3);
    INPUT(4);
    OUTPUT(0);
    OUTPUT(1);
    OUTPUT(2);
    OUTPUT(3);
    OUTPUT(4);
    JM_LOOP
    for (size_t q = 0; q < s; q++) {
      REAL ar = r1[q] + r4[q], ai = i1[q] + i4[q], br = r2[q] + r3[q], bi = i2[q] + i3[q];
      REAL dr = r1[q] - r4[q], di = i1[q] - i4[q], er = r2[q] - r3[q], ei = i2[q] - i3[q];
      REAL fr = r0[q] + ca * ar + cb * br, fi = i0[q] + ca * ai + cb * bi;
      REAL gr = r0[q] + cb * ar + ca * br, gi = i0[q] + cb * ai + ca * bi;
      REAL hr = sa * di + sb * ei, hi = -(sa * dr + sb * er);
      REAL kr = sb * di - sa * ei, ki = -(sb * dr - sa * er);
      or0[q] = r0[q] + ar + br;
      oi0[q] = i0[q] + ai + bi;
      STORE(1, fr + hr, fi + hi);
      STORE(2, gr + kr, gi + ki);
      STORE(3, gr - kr, gi - ki);
      STORE(4, fr - hr, fi - hi);
    }
  }
}

/* A transform of four values, in place: outputs 0 to 3 are a, b, c, d. */
#define FOUR(a, b, c, d)                                                         \
  do {                                                                           \
    REAL er = a##r + c##r, ei = a##i + c##i, fr = a##r - c##r, fi = a##i - c##i; \
    REAL gr = b##r + d##r, gi = b##i + d##i, hr = b##i - d##i, hi = d##r - b##r; \
    a##r = er + gr, a##i = ei + gi, b##r = fr + hr, b##i = fi + hi;              \
    c##r = er - gr, c##i = ei - gi, d##r = fr - hr, d##i = fi - hi;              \
  } while (0)

JM_CLONES static void NAME(pass8)(const NAME(pass) * x) {
  enum { R = 8 };
  const size_t m = x->m, s = x->s;
  const REAL h = (REAL)0.70710678118654752440; /* sin(pi / 4) */
  for (size_t p = 0; p < m; p++) {
    TWIDDLE(1);
    TWIDDLE(2);
    TWIDDLE(3);
    TWIDDLE(4);
    TWIDDLE(5);
    TWIDDLE(6);
    TWIDDLE(7);
    INPUT(0);
    INPUT(1);
    INPUT(2);
    INPUT(3);
    INPUT(4);
    INPUT(5);
    INPUT(6);
    INPUT(7);
    OUTPUT(0);
    OUTPUT(1);
    OUTPUT(2);
    OUTPUT(3);
    OUTPUT(4);
    OUTPUT(5);
    OUTPUT(6);
    OUTPUT(7);
    JM_LOOP
    for (size_t q = 0; q < s; q++) {
      REAL t0r = r0[q] + r4[q], t0i = i0[q] + i4[q], t4r = r0[q] - r4[q], t4i = i0[q] - i4[q];
      REAL t1r = r1[q] + r5[q], t1i = i1[q] + i5[q], ur = r1[q] - r5[q], ui = i1[q] - i5[q];
      REAL t2r = r2[q] + r6[q], t2i = i2[q] + i6[q], t6r = i2[q] - i6[q], t6i = r6[q] - r2[q];
      REAL t3r = r3[q] + r7[q], t3i = i3[q] + i7[q], vr = r3[q] - r7[q], vi = i3[q] - i7[q];
      REAL t5r = h * (ur + ui), t5i = h * (ui - ur), t7r = h * (vi - vr), t7i = -h * (vr + vi);
      FOUR(t0, t1, t2, t3);
      FOUR(t4, t5, t6, t7);
      or0[q] = t0r;
      oi0[q] = t0i;
      STORE(1, t4r, t4i);
      STORE(2, t1r, t1i);
      STORE(3, t5r, t5i);
      STORE(4, t2r, t2i);
      STORE(5, t6r, t6i);
      STORE(6, t3r, t3i);
      STORE(7, t7r, t7i);
    }
  }
}
#undef FOUR

/* Any other radix, an odd prime r. Inputs j and r - j become their sum a and difference b (in
 * place: the pass after this one overwrites them); then X[k] = A - i B and X[r-k] = A + i B with
 * A = x[0] + sum of a cos, B = sum of b sin. */
JM_CLONES static void NAME(pass_any)(const NAME(pass) * x) {
  const size_t m = x->m, s = x->s, r = x->radix, turn = x->plan->n / r;
  const REAL *cosine = x->plan->cosine, *sine = x->plan->sine; /* of minus the angle */
  for (size_t p = 0; p < m; p++) {
    REAL *restrict r0 = x->re + p * s, *restrict i0 = x->im + p * s;
    REAL *restrict or0 = x->out_re + p * r * s, *restrict oi0 = x->out_im + p * r * s;
    memcpy(or0, r0, s * sizeof(REAL));
    memcpy(oi0, i0, s * sizeof(REAL));
    for (size_t j = 1; j <= r / 2; j++) {
      REAL *restrict ar = r0 + j * m * s, *restrict br = r0 + (r - j) * m * s;
      REAL *restrict ai = i0 + j * m * s, *restrict bi = i0 + (r - j) * m * s;
      JM_LOOP
      for (size_t q = 0; q < s; q++) {
        REAL xr = ar[q], xi = ai[q], yr = br[q], yi = bi[q];
        or0[q] += ar[q] = xr + yr;
        oi0[q] += ai[q] = xi + yi;
        br[q] = xr - yr;
        bi[q] = xi - yi;
      }
    }
    for (size_t k = 1; k <= r / 2; k++) {
      REAL *restrict tr = or0 + k * s, *restrict ti = oi0 + k * s;
      REAL *restrict ur = or0 + (r - k) * s, *restrict ui = oi0 + (r - k) * s;
      memcpy(tr, r0, s * sizeof(REAL));
      memcpy(ti, i0, s * sizeof(REAL));
      memset(ur, 0, s * sizeof(REAL));
      memset(ui, 0, s * sizeof(REAL));
      for (size_t j = 1; j <= r / 2; j++) {
        const REAL *restrict ar = r0 + j * m * s, *restrict br = r0 + (r - j) * m * s;
        const REAL *restrict ai = i0 + j * m * s, *restrict bi = i0 + (r - j) * m * s;
        const REAL c = cosine[j * k % r * turn], t = -sine[j * k % r * turn];
        JM_LOOP
        for (size_t q = 0; q < s; q++) {
          tr[q] += ar[q] * c;
          ti[q] += ai[q] * c;
          ur[q] += bi[q] * t;
          ui[q] -= br[q] * t;
        }
      }
      const REAL c = cosine[p * k * x->step], t = sine[p * k * x->step];
      const REAL d = cosine[p * (r - k) * x->step], u = sine[p * (r - k) * x->step];
      JM_LOOP
      for (size_t q = 0; q < s; q++) {
        REAL er = tr[q] + ur[q], ei = ti[q] + ui[q], fr = tr[q] - ur[q], fi = ti[q] - ui[q];
        tr[q] = er * c - ei * t;
        ti[q] = er * t + ei * c;
        ur[q] = fr * d - fi * u;
        ui[q] = fr * u + fi * d;
      }
    }
  }
}

static void (*const NAME(passes)[])(const NAME(pass) *) = {
    [2] = NAME(pass2), [3] = NAME(pass3), [4] = NAME(pass4), [5] = NAME(pass5), [8] = NAME(pass8)};

static void NAME(transform)(const NAME(plan) * p, size_t lanes, REAL **re, REAL **im,
                            REAL *spare_re, REAL *spare_im);

/* The chirp of Bluestein: each line times exp(-pi i k^2 / n). */
JM_CLONES static void NAME(chirp)(const NAME(plan) * p, size_t lanes, const REAL *re,
                                  const REAL *im, REAL *out_re, REAL *out_im) {
  for (size_t k = 0; k < p->n; k++) {
    const REAL c = p->cosine[k], s = p->sine[k];
    for (size_t q = k * lanes; q < (k + 1) * lanes; q++) {
      REAL a = re[q], b = im[q];
      out_re[q] = a * c - b * s;
      out_im[q] = a * s + b * c;
    }
  }
}

/* Room for one of the arrays of a transform, in REALs per lane: Bluestein's spare arrays hold
 * two lines of the inner length. */
static size_t NAME(plan_room)(const NAME(plan) * p) { return p->inner ? 2 * p->inner->n : p->n; }

JM_CLONES static void NAME(bluestein)(const NAME(plan) * p, size_t lanes, REAL *re, REAL *im,
                                      REAL *spare_re, REAL *spare_im) {
  size_t m = p->inner->n;
  REAL *ar = spare_re, *ai = spare_im, *br = spare_re + m * lanes, *bi = spare_im + m * lanes;
  NAME(chirp)(p, lanes, re, im, ar, ai);
  memset(ar + p->n * lanes, 0, (m - p->n) * lanes * sizeof(REAL));
  memset(ai + p->n * lanes, 0, (m - p->n) * lanes * sizeof(REAL));
  NAME(transform)(p->inner, lanes, &ar, &ai, br, bi);
  /* The inverse transform is the forward one of the conjugate, conjugated. */
  for (size_t k = 0; k < m; k++) {
    const REAL c = p->filter_re[k], s = p->filter_im[k];
    for (size_t q = k * lanes; q < (k + 1) * lanes; q++) {
      REAL a = ar[q], b = ai[q];
      ar[q] = a * c - b * s;
      ai[q] = -(a * s + b * c);
    }
  }
  br = ar == spare_re ? spare_re + m * lanes : spare_re;
  bi = ai == spare_im ? spare_im + m * lanes : spare_im;
  NAME(transform)(p->inner, lanes, &ar, &ai, br, bi);
  for (size_t q = 0; q < p->n * lanes; q++) ai[q] = -ai[q];
  NAME(chirp)(p, lanes, ar, ai, re, im);
}

/* Forward, unscaled. The result is where re and im point on return. Each array has plan_room. */
static void NAME(transform)(const NAME(plan) * p, size_t lanes, REAL **re, REAL **im,
                            REAL *spare_re, REAL *spare_im) {
  if (p->inner) {
    NAME(bluestein)(p, lanes, *re, *im, spare_re, spare_im);
    return;
  }
  size_t rest = p->n, done = 1;
  for (uint32_t i = 0; i < p->n_factors; i++) {
    uint32_t radix = p->factors[i];
    rest /= radix;
    NAME(pass)
    x = {.plan = p,
         .m = rest,
         .s = done * lanes,
         .step = done,
         .radix = radix,
         .re = *re,
         .im = *im,
         .out_re = spare_re,
         .out_im = spare_im};
    bool named = radix < sizeof NAME(passes) / sizeof *NAME(passes) && NAME(passes)[radix];
    (named ? NAME(passes)[radix] : NAME(pass_any))(&x);
    done *= radix;
    spare_re = *re;
    spare_im = *im;
    *re = x.out_re;
    *im = x.out_im;
  }
}

/* -- plans */

static jm_error *NAME(plan_create)(size_t n, NAME(plan) * *out);

/* The chirp of Bluestein's transform, and the transform of its inverse. */
static jm_error *NAME(plan_filter)(NAME(plan) * p) {
  size_t n = p->n, square = 0; /* k^2 mod 2 n */
  for (size_t k = 0; k < n; k++) {
    double c, s;
    unit_root(square, 2 * n, &c, &s);
    p->cosine[k] = (REAL)c;
    p->sine[k] = (REAL)-s;
    square = (square + 2 * k + 1) % (2 * n);
  }
  size_t m = good_length(2 * n - 1);
  JM_TRY(NAME(plan_create)(m, &p->inner));
  p->filter_re = jm_alloc(m, sizeof(REAL));
  p->filter_im = jm_alloc(m, sizeof(REAL));
  REAL *spare = jm_alloc(2 * m, sizeof(REAL));
  if (!p->filter_re || !p->filter_im || !spare) {
    jm_free(spare);
    return jm_error_out_of_memory();
  }
  for (size_t k = 0; k < n; k++) {
    size_t mirror = k ? m - k : 0;
    p->filter_re[k] = p->filter_re[mirror] = p->cosine[k] / (REAL)m;
    p->filter_im[k] = p->filter_im[mirror] = -p->sine[k] / (REAL)m;
  }
  REAL *re = p->filter_re, *im = p->filter_im;
  NAME(transform)(p->inner, 1, &re, &im, spare, spare + m);
  if (re != p->filter_re) {
    memcpy(p->filter_re, re, m * sizeof(REAL));
    memcpy(p->filter_im, im, m * sizeof(REAL));
  }
  jm_free(spare);
  return NULL;
}

static jm_error *NAME(plan_tables)(NAME(plan) * p) {
  size_t n = p->n;
  if (n > SIZE_MAX / 64) return jm_error_invalid("an FFT of length %zu", n);
  p->cosine = jm_scratch_take(n * sizeof(REAL));
  p->sine = jm_scratch_take(n * sizeof(REAL));
  if (!p->cosine || !p->sine) return jm_error_out_of_memory();
  if (!factorise(n, p->factors, &p->n_factors)) {
    p->n_factors = 0;
    return NAME(plan_filter)(p);
  }
  /* exp(-2 pi i k / n) for all k: computed for an eighth or a quarter of the circle if n allows. */
  REAL *cosine = p->cosine, *sine = p->sine;
  size_t quarter = n % 4 ? n : n / 4, eighth = n % 8 ? quarter : n / 8 + 1;
  for (size_t k = 0; k < eighth; k++) {
    double c, s;
    unit_root(k, n, &c, &s);
    cosine[k] = (REAL)c;
    sine[k] = (REAL)-s;
  }
  for (size_t k = eighth; k < quarter; k++) {
    cosine[k] = -sine[quarter - k];
    sine[k] = -cosine[quarter - k];
  }
  for (size_t k = quarter; k < n; k++) {
    cosine[k] = sine[k - quarter];
    sine[k] = -cosine[k - quarter];
  }
  return NULL;
}

static jm_error *NAME(plan_create)(size_t n, NAME(plan) * *out) {
  NAME(plan) *p = jm_alloc(1, sizeof *p);
  *out = NULL;
  if (!p) return jm_error_out_of_memory();
  p->n = n;
  jm_error *error = NAME(plan_tables)(p);
  if (error)
    NAME(plan_destroy)(p);
  else
    *out = p;
  return error;
}

/* -- real lines */

/* The second half of a line whose transform is real: the first half, mirrored and conjugated.
 * Elements that must be real are treated as real. */
JM_CLONES static void NAME(fill_mirror)(size_t n, size_t lanes, REAL *re, REAL *im) {
  for (size_t l = 0; l < lanes; l++) {
    im[l] = 0;
    if (n % 2 == 0) im[n / 2 * lanes + l] = 0;
    for (size_t k = n / 2 + 1; k < n; k++) {
      re[k * lanes + l] = re[(n - k) * lanes + l];
      im[k * lanes + l] = -im[(n - k) * lanes + l];
    }
  }
}

/* Reals of an even length n are n / 2 complex values z[k] = x[2k] + i x[2k+1]. With E and O the
 * transforms of the even and odd elements, Z = E + i O and X[k] = E[k] + w^k O[k], w the root of n.
 * Both of these work in place, on k and n / 2 - k at once. */

/* Z, transformed, becomes X. */
JM_CLONES static void NAME(split_halves)(const dimension *d, size_t lanes, REAL *re, REAL *im) {
  size_t h = d->n / 2;
  const REAL *cosine = d->cosine, *sine = d->sine;
  for (size_t l = 0; l < lanes; l++) {
    REAL r = re[l], i = im[l];
    re[l] = r + i;
    re[h * lanes + l] = r - i;
    im[l] = im[h * lanes + l] = 0;
  }
  for (size_t k = 1; k <= h - k; k++) {
    const REAL c = cosine[k], s = sine[k];
    JM_LOOP
    for (size_t l = 0; l < lanes; l++) {
      size_t a = k * lanes + l, b = (h - k) * lanes + l;
      REAL er = (REAL)0.5 * (re[a] + re[b]), ei = (REAL)0.5 * (im[a] - im[b]);
      REAL or = (REAL)0.5 * (im[a] + im[b]), oi = (REAL)0.5 * (re[b] - re[a]);
      REAL tr = or * c - oi * s, ti = or * s + oi * c;
      re[a] = er + tr;
      im[a] = ei + ti;
      re[b] = er - tr;
      im[b] = ti - ei;
    }
  }
}

/* X becomes twice the conjugate of Z, for the inverse transform. */
JM_CLONES static void NAME(join_halves)(const dimension *d, size_t lanes, REAL *re, REAL *im) {
  size_t h = d->n / 2;
  const REAL *cosine = d->cosine, *sine = d->sine;
  for (size_t l = 0; l < lanes; l++) {
    REAL first = re[l], last = re[h * lanes + l];
    re[l] = first + last;
    im[l] = last - first;
  }
  for (size_t k = 1; k <= h - k; k++) {
    const REAL c = cosine[k], s = sine[k];
    JM_LOOP
    for (size_t l = 0; l < lanes; l++) {
      size_t a = k * lanes + l, b = (h - k) * lanes + l;
      REAL er = re[a] + re[b], ei = im[a] - im[b], tr = re[a] - re[b], ti = im[a] + im[b];
      REAL or = tr * c + ti * s, oi = ti * c - tr * s;
      re[a] = er - oi;
      im[a] = -(ei + or);
      re[b] = er + oi;
      im[b] = ei - or ;
    }
  }
}

#undef TWIDDLE
#undef INPUT
#undef OUTPUT
#undef STORE
#undef REAL
#undef NAME
