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
  uint32_t trips[MAX_FACTORS];   /* how many of the factors, one after another, are one trip */
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

/* -- passes. With `done` the product of the factors before it and m that of those after it, the
 * pass of radix r has input x[(p + k m) s + q] and output y[(p r + k) s + q] for p < m, k < r and
 * q < s = done lanes: each butterfly's output k is multiplied by w^(p k), w the plan's root number
 * `done`. What a call does of it is `count` times `length` such butterflies. */

typedef struct NAME(pass) {
  const NAME(plan) * plan;
  uint32_t radix;
  size_t count, length;
  size_t root, root_step;            /* the first time's p done, and what each adds to it */
  size_t in, in_step, out, out_step; /* from one k, and one time, to the next */
  REAL *restrict re, *restrict im;
  REAL *restrict out_re, *restrict out_im;
} NAME(pass);

#define PASS(x) NAME(x##_base)
#define BYTES 16
#define TARGET
#include "engine/host/library/fft_passes.h"

#if defined(__x86_64__)
#define PASS(x) NAME(x##_avx2)
#define BYTES 32
#define TARGET __attribute__((target("avx2")))
#include "engine/host/library/fft_passes.h"

#define PASS(x) NAME(x##_avx512)
#define BYTES 64
#define TARGET __attribute__((target("avx512f")))
#include "engine/host/library/fft_passes.h"
#endif

/* Any other radix, an odd prime r. Inputs j and r - j become their sum a and difference b (in
 * place: the pass after this one overwrites them); then X[k] = A - i B and X[r-k] = A + i B with
 * A = x[0] + sum of a cos, B = sum of b sin. */
JM_CLONES static void NAME(pass_any)(const NAME(pass) * x) {
  const size_t s = x->length, r = x->radix, turn = x->plan->n / r, in = x->in, out = x->out;
  const REAL *cosine = x->plan->cosine, *sine = x->plan->sine; /* of minus the angle */
  for (size_t p = 0; p < x->count; p++) {
    const size_t root = x->root + p * x->root_step;
    REAL *restrict r0 = x->re + p * x->in_step, *restrict i0 = x->im + p * x->in_step;
    REAL *restrict or0 = x->out_re + p * x->out_step, *restrict oi0 = x->out_im + p * x->out_step;
    memcpy(or0, r0, s * sizeof(REAL));
    memcpy(oi0, i0, s * sizeof(REAL));
    for (size_t j = 1; j <= r / 2; j++) {
      REAL *restrict ar = r0 + j * in, *restrict br = r0 + (r - j) * in;
      REAL *restrict ai = i0 + j * in, *restrict bi = i0 + (r - j) * in;
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
      REAL *restrict tr = or0 + k * out, *restrict ti = oi0 + k * out;
      REAL *restrict ur = or0 + (r - k) * out, *restrict ui = oi0 + (r - k) * out;
      memcpy(tr, r0, s * sizeof(REAL));
      memcpy(ti, i0, s * sizeof(REAL));
      memset(ur, 0, s * sizeof(REAL));
      memset(ui, 0, s * sizeof(REAL));
      for (size_t j = 1; j <= r / 2; j++) {
        const REAL *restrict ar = r0 + j * in, *restrict br = r0 + (r - j) * in;
        const REAL *restrict ai = i0 + j * in, *restrict bi = i0 + (r - j) * in;
        const REAL c = cosine[j * k % r * turn], t = -sine[j * k % r * turn];
        JM_LOOP
        for (size_t q = 0; q < s; q++) {
          tr[q] += ar[q] * c;
          ti[q] += ai[q] * c;
          ur[q] += bi[q] * t;
          ui[q] -= br[q] * t;
        }
      }
      const REAL c = cosine[root * k], t = sine[root * k];
      const REAL d = cosine[root * (r - k)], u = sine[root * (r - k)];
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

static void NAME(run_pass)(const NAME(pass) * x) {
  typedef void pass_fn(const NAME(pass) *);
  static pass_fn *const *const tables[] = {
      [JM_CPU_BASE] = NAME(table_base),
#if defined(__x86_64__)
      [JM_CPU_AVX2] = NAME(table_avx2),
      [JM_CPU_AVX512] = NAME(table_avx512),
#endif
  };
  enum { N = sizeof NAME(table_base) / sizeof *NAME(table_base) };
  pass_fn *named = x->radix < N ? tables[jm_cpu_find_level()][x->radix] : NULL;
  (named ? named : NAME(pass_any))(x);
}

/* -- trips: a few passes that are as one pass of the product of their radices. Elements that depend
 * on each other (those of one p, and of a few q) go through all passes while they are in the
 * first cache: the caches behind it see them once a trip. */

typedef struct NAME(trip) {
  const NAME(plan) * plan;
  uint32_t n_factors;
  const uint32_t *factors;
  size_t radix, m, s, done; /* as of a pass */
  REAL *re, *im, *out_re, *out_im;
} NAME(trip);

/* The transforms of [q, q + length) of one p: passes over lines of the trip's radix, from the array
 * to `memory` and back. */
static void NAME(run_part)(const NAME(trip) * t, size_t p, size_t q, size_t length, REAL *memory) {
  const size_t room = (size_t)MAX_TRIP * MAX_LANES * sizeof(float) / sizeof(REAL);
  size_t rest = t->radix, done = 1;
  REAL *re = t->re + p * t->s + q, *im = t->im + p * t->s + q;
  for (uint32_t i = 0; i < t->n_factors; i++) {
    size_t radix = t->factors[i], unit = i ? length : t->m * t->s;
    rest /= radix;
    NAME(pass)
    x = {.plan = t->plan,
         .radix = (uint32_t)radix,
         .count = rest,
         .length = done * length,
         .root = p * t->done * done,
         .root_step = t->m * t->done * done,
         .in = rest * done * unit,
         .in_step = done * unit,
         .out = done * length,
         .out_step = radix * done * length,
         .re = re,
         .im = im,
         .out_re = memory + (2 * (i % 2)) * room,
         .out_im = memory + (2 * (i % 2) + 1) * room};
    if (rest == 1) {
      x.out_re = t->out_re + p * t->radix * t->s + q;
      x.out_im = t->out_im + p * t->radix * t->s + q;
      x.out = done * t->s;
      if (length < t->s) {
        x.count = done, x.length = length, x.root_step = 0;
        x.in_step = unit, x.out_step = t->s;
      }
    }
    NAME(run_pass)(&x);
    done *= radix;
    re = x.out_re;
    im = x.out_im;
  }
}

static void NAME(run_trip)(const NAME(trip) * t) {
  if (t->n_factors == 1) {
    NAME(pass)
    x = {.plan = t->plan,
         .radix = t->factors[0],
         .count = t->m,
         .length = t->s,
         .root_step = t->done,
         .in = t->m * t->s,
         .in_step = t->s,
         .out = t->s,
         .out_step = t->radix * t->s,
         .re = t->re,
         .im = t->im,
         .out_re = t->out_re,
         .out_im = t->out_im};
    NAME(run_pass)(&x);
    return;
  }
  const size_t most = MAX_LANES * sizeof(float) / sizeof(REAL);
  _Alignas(64) REAL memory[4 * MAX_TRIP * MAX_LANES * sizeof(float) / sizeof(REAL)];
  for (size_t p = 0; p < t->m; p++)
    for (size_t q = 0; q < t->s; q += most)
      NAME(run_part)(t, p, q, t->s - q < most ? t->s - q : most, memory);
}

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
  /* A trip has as few elements side by side as there are lanes: with less than a vector of them,
   * its passes are quicker one by one. The bits are the same. */
  const bool by_trip = lanes * sizeof(REAL) >= MAX_LANES * sizeof(float);
  const uint32_t *factors = p->factors, *end = p->factors + p->n_factors;
  size_t rest = p->n, done = 1;
  for (uint32_t i = 0, n; factors < end; i++, factors += n) {
    n = by_trip ? p->trips[i] : 1;
    NAME(trip) t = {.plan = p, .n_factors = n, .factors = factors, .done = done};
    t.radix = product_of(factors, n);
    t.m = rest /= t.radix;
    t.s = done * lanes;
    t.re = *re, t.im = *im, t.out_re = spare_re, t.out_im = spare_im;
    NAME(run_trip)(&t);
    done *= t.radix;
    spare_re = *re;
    spare_im = *im;
    *re = t.out_re;
    *im = t.out_im;
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

/* exp(-2 pi i k / n) for k < count. Computed for half of the smallest part of the circle that ends
 * at an axis: the other half mirrors it, and what is behind the axis is the same, turned. */
static void NAME(roots)(size_t n, size_t count, REAL *cosine, REAL *sine) {
  size_t part = n % 4 == 0 ? n / 4 : n % 2 == 0 ? n / 2 : n;
  REAL c = n % 4 == 0 ? 0 : n % 2 == 0 ? -1 : 1, s = n % 4 == 0 ? -1 : 0; /* root number part */
  for (size_t k = 0; k < count; k++)
    if (k <= part / 2) {
      double x, y;
      unit_root(k, n, &x, &y);
      cosine[k] = (REAL)x;
      sine[k] = (REAL)-y;
    } else {
      size_t j = k < part ? part - k : k - part;
      REAL x = cosine[j], y = k < part ? -sine[j] : sine[j];
      cosine[k] = c * x - s * y;
      sine[k] = s * x + c * y;
    }
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
  group(p->factors, p->n_factors, p->trips);
  NAME(roots)(n, n, p->cosine, p->sine);
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

#undef REAL
#undef NAME
