/* SPDX-License-Identifier: Apache-2.0
 * Discrete Fourier transforms of any length, one dimension after another. All arithmetic is in
 * double, also for c64, which keeps single precision's error at its rounding.
 *
 * A plan transforms `lanes` lines of length n side by side, real and imaginary parts apart, as
 * Stockham's self-sorting passes over the factors of n: the innermost loop runs over lanes and
 * finished factors, contiguously. Lengths with a large prime factor go through Bluestein's
 * convolution of a length that has none. */
#include <math.h>
#include <string.h>

#include "base/data.h"
#include "base/parallel.h"
#include "engine/ref/ref.h"

/* -- plans */

enum {
  MAX_FACTORS = 64,
  MAX_RADIX = 61, /* above, Bluestein is faster */
  MAX_LANES = 8,
  CACHED = 1 << 14, /* doubles of an array that still do well in cache */
  GRAIN = 1 << 13,  /* elements that are worth a thread's while */
};

typedef struct plan {
  size_t n;
  uint32_t n_factors;
  uint32_t factors[MAX_FACTORS]; /* empty for Bluestein */
  double *cosine, *sine;         /* exp(-2 pi i k / n), k < n; for Bluestein exp(-pi i k^2 / n) */
  /* Bluestein: a plan of a good length m >= 2 n - 1, and the transformed filter */
  struct plan *inner;
  double *filter_re, *filter_im;
} plan;

/* cos and sin of 2 pi k / n, from an angle of at most pi/4, so that symmetric values are equal. */
static void unit_root(size_t k, size_t n, double *cosine, double *sine) {
  size_t octant = 8 * k / n, rest = 8 * k % n; /* the angle is (octant + rest / n) pi / 4 */
  size_t quadrant = ((octant + 1) / 2) % 4;    /* the nearest axis */
  double angle = octant % 2 ? (double)rest - (double)n : (double)rest;
  angle *= 0.78539816339744830962 / (double)n;
  double c = cos(angle), s = sin(angle);
  *cosine = quadrant == 0 ? c : quadrant == 1 ? -s : quadrant == 2 ? -c : s;
  *sine = quadrant == 0 ? s : quadrant == 1 ? c : quadrant == 2 ? -s : -c;
}

/* exp(-2 pi i k / n) for all k: computed for an eighth or a quarter of the circle if n allows. */
static void roots(size_t n, double *cosine, double *sine) {
  size_t quarter = n % 4 ? n : n / 4, eighth = n % 8 ? quarter : n / 8 + 1;
  for (size_t k = 0; k < eighth; k++) {
    unit_root(k, n, &cosine[k], &sine[k]);
    sine[k] = -sine[k];
  }
  for (size_t k = eighth; k < quarter; k++) {
    cosine[k] = -sine[quarter - k];
    sine[k] = -cosine[quarter - k];
  }
  for (size_t k = quarter; k < n; k++) {
    cosine[k] = sine[k - quarter];
    sine[k] = -cosine[k - quarter];
  }
}

/* Factors of 4 first, then 2, 3, 5 and other small primes; false if a larger prime is left. */
static bool factorise(size_t n, uint32_t *factors, uint32_t *n_factors) {
  *n_factors = 0;
  while (n % 4 == 0) factors[(*n_factors)++] = 4, n /= 4;
  for (uint32_t p = 2; p <= MAX_RADIX; p++)
    while (n % p == 0) factors[(*n_factors)++] = p, n /= p;
  return n == 1;
}

static size_t good_length(size_t at_least) {
  size_t best = 1;
  while (best < at_least) best *= 2;
  for (size_t five = 1; five < best; five *= 5)
    for (size_t three = five; three < best; three *= 3) {
      size_t m = three;
      while (m < at_least) m *= 2;
      if (m < best) best = m;
    }
  return best;
}

static void plan_destroy(plan *p) {
  if (!p) return;
  plan_destroy(p->inner);
  jm_data_give(p->cosine, p->n * sizeof(double));
  jm_data_give(p->sine, p->n * sizeof(double));
  jm_free(p->filter_re);
  jm_free(p->filter_im);
  jm_free(p);
}

static void transform(const plan *p, size_t lanes, double **re, double **im, double *spare_re,
                      double *spare_im);

static jm_error *plan_tables(plan *p);

static jm_error *plan_create(size_t n, plan **out) {
  plan *p = jm_alloc(1, sizeof *p);
  *out = NULL;
  if (!p) return jm_error_out_of_memory();
  p->n = n;
  jm_error *error = plan_tables(p);
  if (error)
    plan_destroy(p);
  else
    *out = p;
  return error;
}

static jm_error *plan_tables(plan *p) {
  size_t n = p->n;
  if (n > SIZE_MAX / 64) return jm_error_invalid("an FFT of length %zu", n);
  p->cosine = jm_data_take(n * sizeof(double));
  p->sine = jm_data_take(n * sizeof(double));
  if (!p->cosine || !p->sine) return jm_error_out_of_memory();
  if (factorise(n, p->factors, &p->n_factors)) {
    roots(n, p->cosine, p->sine);
    return NULL;
  }
  p->n_factors = 0;
  size_t square = 0; /* k^2 mod 2 n */
  for (size_t k = 0; k < n; k++) {
    unit_root(square, 2 * n, &p->cosine[k], &p->sine[k]);
    p->sine[k] = -p->sine[k];
    square = (square + 2 * k + 1) % (2 * n);
  }
  size_t m = good_length(2 * n - 1);
  JM_TRY(plan_create(m, &p->inner));
  p->filter_re = jm_alloc(m, sizeof(double));
  p->filter_im = jm_alloc(m, sizeof(double));
  double *spare = jm_alloc(2 * m, sizeof(double));
  if (!p->filter_re || !p->filter_im || !spare) {
    jm_free(spare);
    return jm_error_out_of_memory();
  }
  for (size_t k = 0; k < n; k++) {
    size_t mirror = k ? m - k : 0;
    p->filter_re[k] = p->filter_re[mirror] = p->cosine[k] / (double)m;
    p->filter_im[k] = p->filter_im[mirror] = -p->sine[k] / (double)m;
  }
  double *re = p->filter_re, *im = p->filter_im;
  transform(p->inner, 1, &re, &im, spare, spare + m);
  if (re != p->filter_re) {
    memcpy(p->filter_re, re, m * sizeof(double));
    memcpy(p->filter_im, im, m * sizeof(double));
  }
  jm_free(spare);
  return NULL;
}

/* -- passes. Input x[(p + k m) s + q], output y[(p r + k) s + q], for p < m, k < r, q < s: each
 * butterfly's output k is multiplied by w^(p k), w the root of the remaining length r m. */

typedef struct pass {
  const plan *plan;
  size_t m, s, step; /* step: w is the plan's root number step */
  uint32_t radix;
  double *restrict re, *restrict im;
  double *restrict out_re, *restrict out_im;
} pass;

#define TWIDDLE(k) \
  const double c##k = x->plan->cosine[p * k * x->step], s##k = x->plan->sine[p * k * x->step]
#define INPUT(k) \
  const double *restrict r##k = x->re + (p + k * m) * s, *restrict i##k = x->im + (p + k * m) * s
#define OUTPUT(k)                                        \
  double *restrict or ##k = x->out_re + (p * R + k) * s; \
  double *restrict oi##k = x->out_im + (p * R + k) * s
#define STORE(k, re, im)                           \
  do {                                             \
    double store_re = (re), store_im = (im);       \
    or ##k[q] = store_re * c##k - store_im * s##k; \
    oi##k[q] = store_re * s##k + store_im * c##k;  \
  } while (0)

static void pass2(const pass *x) {
  enum { R = 2 };
  const size_t m = x->m, s = x->s;
  for (size_t p = 0; p < m; p++) {
    TWIDDLE(1);
    INPUT(0);
    INPUT(1);
    OUTPUT(0);
    OUTPUT(1);
    for (size_t q = 0; q < s; q++) {
      or0[q] = r0[q] + r1[q];
      oi0[q] = i0[q] + i1[q];
      STORE(1, r0[q] - r1[q], i0[q] - i1[q]);
    }
  }
}

static void pass3(const pass *x) {
  enum { R = 3 };
  const size_t m = x->m, s = x->s;
  const double h = 0.86602540378443864676; /* sin(pi / 3) */
  for (size_t p = 0; p < m; p++) {
    TWIDDLE(1);
    TWIDDLE(2);
    INPUT(0);
    INPUT(1);
    INPUT(2);
    OUTPUT(0);
    OUTPUT(1);
    OUTPUT(2);
    for (size_t q = 0; q < s; q++) {
      double tr = r1[q] + r2[q], ti = i1[q] + i2[q];
      double ar = r0[q] - 0.5 * tr, ai = i0[q] - 0.5 * ti;
      double br = h * (i1[q] - i2[q]), bi = h * (r2[q] - r1[q]);
      or0[q] = r0[q] + tr;
      oi0[q] = i0[q] + ti;
      STORE(1, ar + br, ai + bi);
      STORE(2, ar - br, ai - bi);
    }
  }
}

static void pass4(const pass *x) {
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
    for (size_t q = 0; q < s; q++) {
      double ar = r0[q] + r2[q], ai = i0[q] + i2[q], br = r0[q] - r2[q], bi = i0[q] - i2[q];
      double cr = r1[q] + r3[q], ci = i1[q] + i3[q], dr = i1[q] - i3[q], di = r3[q] - r1[q];
      or0[q] = ar + cr;
      oi0[q] = ai + ci;
      STORE(1, br + dr, bi + di);
      STORE(2, ar - cr, ai - ci);
      STORE(3, br - dr, bi - di);
    }
  }
}

static void pass5(const pass *x) {
  enum { R = 5 };
  const size_t m = x->m, s = x->s;
  const double ca = 0.30901699437494742410, cb = -0.80901699437494742410; /* cos of 72, 144 */
  const double sa = 0.95105651629515357212, sb = 0.58778525229247312917;  /* sin of 72, 144 */
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
    for (size_t q = 0; q < s; q++) {
      double ar = r1[q] + r4[q], ai = i1[q] + i4[q], br = r2[q] + r3[q], bi = i2[q] + i3[q];
      double dr = r1[q] - r4[q], di = i1[q] - i4[q], er = r2[q] - r3[q], ei = i2[q] - i3[q];
      double fr = r0[q] + ca * ar + cb * br, fi = i0[q] + ca * ai + cb * bi;
      double gr = r0[q] + cb * ar + ca * br, gi = i0[q] + cb * ai + ca * bi;
      double hr = sa * di + sb * ei, hi = -(sa * dr + sb * er);
      double kr = sb * di - sa * ei, ki = -(sb * dr - sa * er);
      or0[q] = r0[q] + ar + br;
      oi0[q] = i0[q] + ai + bi;
      STORE(1, fr + hr, fi + hi);
      STORE(2, gr + kr, gi + ki);
      STORE(3, gr - kr, gi - ki);
      STORE(4, fr - hr, fi - hi);
    }
  }
}

/* Any other radix, an odd prime r. Inputs j and r - j become their sum a and difference b (in
 * place: the pass after this one overwrites them); then X[k] = A - i B and X[r-k] = A + i B with
 * A = x[0] + sum of a cos, B = sum of b sin. */
static void pass_any(const pass *x) {
  const size_t m = x->m, s = x->s, r = x->radix, turn = x->plan->n / r;
  const double *cosine = x->plan->cosine, *sine = x->plan->sine; /* of minus the angle */
  for (size_t p = 0; p < m; p++) {
    double *restrict r0 = x->re + p * s, *restrict i0 = x->im + p * s;
    double *restrict or0 = x->out_re + p * r * s, *restrict oi0 = x->out_im + p * r * s;
    memcpy(or0, r0, s * sizeof(double));
    memcpy(oi0, i0, s * sizeof(double));
    for (size_t j = 1; j <= r / 2; j++) {
      double *restrict ar = r0 + j * m * s, *restrict br = r0 + (r - j) * m * s;
      double *restrict ai = i0 + j * m * s, *restrict bi = i0 + (r - j) * m * s;
      for (size_t q = 0; q < s; q++) {
        double xr = ar[q], xi = ai[q], yr = br[q], yi = bi[q];
        or0[q] += ar[q] = xr + yr;
        oi0[q] += ai[q] = xi + yi;
        br[q] = xr - yr;
        bi[q] = xi - yi;
      }
    }
    for (size_t k = 1; k <= r / 2; k++) {
      double *restrict tr = or0 + k * s, *restrict ti = oi0 + k * s;
      double *restrict ur = or0 + (r - k) * s, *restrict ui = oi0 + (r - k) * s;
      memcpy(tr, r0, s * sizeof(double));
      memcpy(ti, i0, s * sizeof(double));
      memset(ur, 0, s * sizeof(double));
      memset(ui, 0, s * sizeof(double));
      for (size_t j = 1; j <= r / 2; j++) {
        const double *restrict ar = r0 + j * m * s, *restrict br = r0 + (r - j) * m * s;
        const double *restrict ai = i0 + j * m * s, *restrict bi = i0 + (r - j) * m * s;
        const double c = cosine[j * k % r * turn], t = -sine[j * k % r * turn];
        for (size_t q = 0; q < s; q++) {
          tr[q] += ar[q] * c;
          ti[q] += ai[q] * c;
          ur[q] += bi[q] * t;
          ui[q] -= br[q] * t;
        }
      }
      const double c = cosine[p * k * x->step], t = sine[p * k * x->step];
      const double d = cosine[p * (r - k) * x->step], u = sine[p * (r - k) * x->step];
      for (size_t q = 0; q < s; q++) {
        double er = tr[q] + ur[q], ei = ti[q] + ui[q], fr = tr[q] - ur[q], fi = ti[q] - ui[q];
        tr[q] = er * c - ei * t;
        ti[q] = er * t + ei * c;
        ur[q] = fr * d - fi * u;
        ui[q] = fr * u + fi * d;
      }
    }
  }
}

static void (*const passes[])(const pass *) = {[2] = pass2, [3] = pass3, [4] = pass4, [5] = pass5};

/* The chirp of Bluestein: each line times exp(-pi i k^2 / n). */
static void chirp(const plan *p, size_t lanes, const double *re, const double *im, double *out_re,
                  double *out_im) {
  for (size_t k = 0; k < p->n; k++) {
    const double c = p->cosine[k], s = p->sine[k];
    for (size_t q = k * lanes; q < (k + 1) * lanes; q++) {
      double a = re[q], b = im[q];
      out_re[q] = a * c - b * s;
      out_im[q] = a * s + b * c;
    }
  }
}

/* Room for one of the arrays of a transform, in doubles per lane: Bluestein's spare arrays hold
 * two lines of the inner length. */
static size_t plan_room(const plan *p) { return p->inner ? 2 * p->inner->n : p->n; }

static void bluestein(const plan *p, size_t lanes, double *re, double *im, double *spare_re,
                      double *spare_im) {
  size_t m = p->inner->n;
  double *ar = spare_re, *ai = spare_im, *br = spare_re + m * lanes, *bi = spare_im + m * lanes;
  chirp(p, lanes, re, im, ar, ai);
  memset(ar + p->n * lanes, 0, (m - p->n) * lanes * sizeof(double));
  memset(ai + p->n * lanes, 0, (m - p->n) * lanes * sizeof(double));
  transform(p->inner, lanes, &ar, &ai, br, bi);
  /* The inverse transform is the forward one of the conjugate, conjugated. */
  for (size_t k = 0; k < m; k++) {
    const double c = p->filter_re[k], s = p->filter_im[k];
    for (size_t q = k * lanes; q < (k + 1) * lanes; q++) {
      double a = ar[q], b = ai[q];
      ar[q] = a * c - b * s;
      ai[q] = -(a * s + b * c);
    }
  }
  br = ar == spare_re ? spare_re + m * lanes : spare_re;
  bi = ai == spare_im ? spare_im + m * lanes : spare_im;
  transform(p->inner, lanes, &ar, &ai, br, bi);
  for (size_t q = 0; q < p->n * lanes; q++) ai[q] = -ai[q];
  chirp(p, lanes, ar, ai, re, im);
}

/* Forward, unscaled. The result is where re and im point on return. Each array has plan_room. */
static void transform(const plan *p, size_t lanes, double **re, double **im, double *spare_re,
                      double *spare_im) {
  if (p->inner) {
    bluestein(p, lanes, *re, *im, spare_re, spare_im);
    return;
  }
  size_t rest = p->n, done = 1;
  for (uint32_t i = 0; i < p->n_factors; i++) {
    uint32_t radix = p->factors[i];
    rest /= radix;
    pass x = {.plan = p,
              .m = rest,
              .s = done * lanes,
              .step = done,
              .radix = radix,
              .re = *re,
              .im = *im,
              .out_re = spare_re,
              .out_im = spare_im};
    (radix <= 5 ? passes[radix] : pass_any)(&x);
    done *= radix;
    spare_re = *re;
    spare_im = *im;
    *re = x.out_re;
    *im = x.out_im;
  }
}

/* -- dimensions */

typedef enum form { FORM_COMPLEX, FORM_TO_REAL, FORM_FROM_REAL } form;

/* One dimension of a tensor, transformed from `in` to `out` (they may be the same memory if both
 * are complex). A line's elements lie `inner` apart. */
typedef struct dimension {
  const jm_ref_call *call;
  form form;
  bool inverse, is_double; /* is_double: f64 and c128, else f32 and c64 */
  size_t n;                /* the transform's length */
  size_t n_in, n_out;      /* elements of a line: n, or n / 2 + 1 where n reals are stored so */
  size_t outer, inner;
  const void *in;
  void *out;
  plan *plan;
  bool halved; /* reals of an even length: a plan of n / 2, and the roots of n up to n / 4 */
  double *cosine, *sine;
  size_t lanes;       /* that go through the plan at a time */
  atomic_bool failed; /* no memory */
} dimension;

/* Lines first .. first + lanes, to and from [n][lanes] doubles. An inverse transform is the forward
 * one of the conjugate, conjugated and scaled. */
#define LINES(suffix, type)                                                                     \
  static void load##suffix(const dimension *d, size_t first, size_t lanes, double *re,          \
                           double *im) {                                                        \
    const type *in = d->in;                                                                     \
    const double sign = d->inverse && !d->halved ? -1 : 1;                                      \
    size_t base[MAX_LANES];                                                                     \
    for (size_t l = 0; l < lanes; l++)                                                          \
      base[l] = (first + l) / d->inner * d->n_in * d->inner + (first + l) % d->inner;           \
    if (d->form == FORM_FROM_REAL && d->halved) {                                               \
      for (size_t k = 0; k < d->n / 2; k++)                                                     \
        for (size_t l = 0; l < lanes; l++) {                                                    \
          re[k * lanes + l] = in[base[l] + 2 * k * d->inner];                                   \
          im[k * lanes + l] = in[base[l] + (2 * k + 1) * d->inner];                             \
        }                                                                                       \
      return;                                                                                   \
    }                                                                                           \
    if (d->form == FORM_FROM_REAL) {                                                            \
      for (size_t k = 0; k < d->n_in; k++)                                                      \
        for (size_t l = 0; l < lanes; l++) {                                                    \
          re[k * lanes + l] = in[base[l] + k * d->inner];                                       \
          im[k * lanes + l] = 0;                                                                \
        }                                                                                       \
      return;                                                                                   \
    }                                                                                           \
    for (size_t k = 0; k < d->n_in; k++)                                                        \
      for (size_t l = 0; l < lanes; l++) {                                                      \
        re[k * lanes + l] = in[2 * (base[l] + k * d->inner)];                                   \
        im[k * lanes + l] = sign * in[2 * (base[l] + k * d->inner) + 1];                        \
      }                                                                                         \
    if (d->form == FORM_TO_REAL && d->halved)                                                   \
      join_halves(d, lanes, re, im);                                                            \
    else if (d->form == FORM_TO_REAL)                                                           \
      fill_mirror(d->n, lanes, re, im);                                                         \
  }                                                                                             \
  static void store##suffix(const dimension *d, size_t first, size_t lanes, const double *re,   \
                            const double *im) {                                                 \
    type *out = d->out;                                                                         \
    const double scale = d->inverse ? 1 / (double)d->n : 1, sign = d->inverse ? -scale : scale; \
    size_t base[MAX_LANES];                                                                     \
    for (size_t l = 0; l < lanes; l++)                                                          \
      base[l] = (first + l) / d->inner * d->n_out * d->inner + (first + l) % d->inner;          \
    if (d->form == FORM_TO_REAL && d->halved) {                                                 \
      for (size_t k = 0; k < d->n / 2; k++)                                                     \
        for (size_t l = 0; l < lanes; l++) {                                                    \
          out[base[l] + 2 * k * d->inner] = (type)(scale * re[k * lanes + l]);                  \
          out[base[l] + (2 * k + 1) * d->inner] = (type)(sign * im[k * lanes + l]);             \
        }                                                                                       \
      return;                                                                                   \
    }                                                                                           \
    if (d->form == FORM_TO_REAL) {                                                              \
      for (size_t k = 0; k < d->n_out; k++)                                                     \
        for (size_t l = 0; l < lanes; l++)                                                      \
          out[base[l] + k * d->inner] = (type)(scale * re[k * lanes + l]);                      \
      return;                                                                                   \
    }                                                                                           \
    for (size_t k = 0; k < d->n_out; k++)                                                       \
      for (size_t l = 0; l < lanes; l++) {                                                      \
        out[2 * (base[l] + k * d->inner)] = (type)(scale * re[k * lanes + l]);                  \
        out[2 * (base[l] + k * d->inner) + 1] = (type)(sign * im[k * lanes + l]);               \
      }                                                                                         \
  }

/* The second half of a line whose transform is real: the first half, mirrored and conjugated. What
 * must be real is taken for real. */
static void fill_mirror(size_t n, size_t lanes, double *re, double *im) {
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
static void split_halves(const dimension *d, size_t lanes, double *re, double *im) {
  size_t h = d->n / 2;
  for (size_t l = 0; l < lanes; l++) {
    double r = re[l], i = im[l];
    re[l] = r + i;
    re[h * lanes + l] = r - i;
    im[l] = im[h * lanes + l] = 0;
  }
  for (size_t k = 1; k <= h - k; k++)
    for (size_t l = 0; l < lanes; l++) {
      size_t a = k * lanes + l, b = (h - k) * lanes + l;
      double er = 0.5 * (re[a] + re[b]), ei = 0.5 * (im[a] - im[b]);
      double or = 0.5 * (im[a] + im[b]), oi = 0.5 * (re[b] - re[a]);
      double tr = or * d->cosine[k] - oi * d->sine[k], ti = or * d->sine[k] + oi * d->cosine[k];
      re[a] = er + tr;
      im[a] = ei + ti;
      re[b] = er - tr;
      im[b] = ti - ei;
    }
}

/* X becomes twice the conjugate of Z, for the inverse transform. */
static void join_halves(const dimension *d, size_t lanes, double *re, double *im) {
  size_t h = d->n / 2;
  for (size_t l = 0; l < lanes; l++) {
    double first = re[l], last = re[h * lanes + l];
    re[l] = first + last;
    im[l] = last - first;
  }
  for (size_t k = 1; k <= h - k; k++)
    for (size_t l = 0; l < lanes; l++) {
      size_t a = k * lanes + l, b = (h - k) * lanes + l;
      double er = re[a] + re[b], ei = im[a] - im[b], tr = re[a] - re[b], ti = im[a] + im[b];
      double or = tr * d->cosine[k] + ti * d->sine[k], oi = ti * d->cosine[k] - tr * d->sine[k];
      re[a] = er - oi;
      im[a] = -(ei + or);
      re[b] = er + oi;
      im[b] = ei - or ;
    }
}

LINES(32, float)
LINES(64, double)

static bool is_cancelled(const jm_ref_call *call) {
  return call->cancelled && atomic_load_explicit(call->cancelled, memory_order_relaxed);
}

/* Lines [begin, end), `lanes` at a time. */
static void run_lines(void *context, size_t begin, size_t end) {
  dimension *d = context;
  size_t room = (plan_room(d->plan) + 1) * d->lanes; /* halved, X has one element more than Z */
  size_t bytes = 4 * room * sizeof(double);          /* run_dimension saw to it */
  double *memory = jm_data_take(bytes);
  if (!memory) atomic_store(&d->failed, true);
  for (size_t first = begin; first < end; first += d->lanes) {
    if (atomic_load(&d->failed) || is_cancelled(d->call)) break;
    double *re = memory, *im = memory + room;
    size_t lanes = end - first < d->lanes ? end - first : d->lanes;
    (d->is_double ? load64 : load32)(d, first, lanes, re, im);
    transform(d->plan, lanes, &re, &im, memory + 2 * room, memory + 3 * room);
    if (d->halved && d->form == FORM_FROM_REAL) split_halves(d, lanes, re, im);
    (d->is_double ? store64 : store32)(d, first, lanes, re, im);
  }
  jm_data_give(memory, bytes);
}

static jm_error *dimension_plan(dimension *d) {
  d->halved = d->form != FORM_COMPLEX && d->n % 2 == 0;
  if (!d->halved) return plan_create(d->n, &d->plan);
  d->cosine = jm_alloc(d->n / 4 + 1, sizeof(double));
  d->sine = jm_alloc(d->n / 4 + 1, sizeof(double));
  if (!d->cosine || !d->sine) return jm_error_out_of_memory();
  for (size_t k = 0; k <= d->n / 4; k++) {
    unit_root(k, d->n, &d->cosine[k], &d->sine[k]);
    d->sine[k] = -d->sine[k];
  }
  return plan_create(d->n / 2, &d->plan);
}

/* Transforms along dimension `dim` of a tensor whose other dimensions are those of `type`. */
static jm_error *run_dimension(const jm_ref_call *call, form form, bool inverse,
                               const jm_type *type, uint32_t dim, size_t n, const void *in,
                               void *out) {
  dimension d = {.call = call, .form = form, .inverse = inverse, .n = n, .in = in, .out = out};
  d.is_double = jm_dtype_real(call->in[0].type->dtype) == JM_DT_f64;
  d.n_in = form == FORM_TO_REAL ? n / 2 + 1 : n;
  d.n_out = form == FORM_FROM_REAL ? n / 2 + 1 : n;
  d.outer = d.inner = 1;
  for (uint32_t i = 0; i < type->rank; i++)
    if (i != dim) *(i < dim ? &d.outer : &d.inner) *= (size_t)type->dims[i];
  size_t n_lines = d.outer * d.inner, bytes;
  jm_error *error = dimension_plan(&d);
  d.lanes = MAX_LANES;
  while (d.inner == 1 && d.lanes > 1 && d.lanes * n > CACHED) d.lanes /= 2;
  if (!error && !jm_size_mul(plan_room(d.plan) + 1, 4 * d.lanes * sizeof(double), &bytes))
    error = jm_error_out_of_memory();
  if (!error) jm_parallel_for(n_lines, (GRAIN / n / d.lanes + 1) * d.lanes, run_lines, &d);
  plan_destroy(d.plan);
  jm_free(d.cosine);
  jm_free(d.sine);
  if (!error && atomic_load(&d.failed)) error = jm_error_out_of_memory();
  if (!error && is_cancelled(call)) error = jm_error_create(JM_CANCELLED, "fft was cancelled");
  return error;
}

/* Real transforms treat the last dimension as real: from real first, to real last. */
jm_error *jm_ref_fft(const jm_ref_call *call) {
  const jm_fft_attrs *attrs = call->op->attrs;
  const jm_type *in = call->in[0].type, *out = call->out[0].type;
  bool to_real = attrs->kind == JM_FFT_IRFFT, from_real = attrs->kind == JM_FFT_RFFT;
  bool inverse = to_real || attrs->kind == JM_FFT_IFFT;
  jm_dtype real = jm_dtype_real(in->dtype);
  uint32_t first = in->rank - attrs->length.n, last = in->rank - 1;
  const int64_t *length = attrs->length.data;
  if (real != JM_DT_f32 && real != JM_DT_f64)
    return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED, "this element type");
  if (out->count == 0) return NULL;
  const void *source = call->in[0].data;
  void *target = call->out[0].data, *copy = NULL;
  if (attrs->length.n == 0) {
    memcpy(target, source, jm_type_bytes(out));
    return NULL;
  }
  if (to_real && first < last) {
    target = copy = jm_data_take(jm_type_bytes(in));
    if (!copy) return jm_error_out_of_memory();
  }
  jm_error *error = NULL;
  const jm_type *shape = to_real ? in : out; /* of everything but the real dimension's steps */
  if (!to_real) {
    error = run_dimension(call, from_real ? FORM_FROM_REAL : FORM_COMPLEX, inverse, shape, last,
                          (size_t)length[last - first], source, target);
    source = target;
  }
  for (uint32_t d = first; !error && d < last; d++) {
    error = run_dimension(call, FORM_COMPLEX, inverse, shape, d, (size_t)length[d - first], source,
                          target);
    source = target;
  }
  if (!error && to_real)
    error = run_dimension(call, FORM_TO_REAL, true, shape, last, (size_t)length[last - first],
                          source, call->out[0].data);
  jm_data_give(copy, jm_type_bytes(in));
  return error;
}
