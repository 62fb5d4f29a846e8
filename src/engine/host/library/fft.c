/* SPDX-License-Identifier: Apache-2.0
 * Discrete Fourier transforms of any length, one dimension after another. c64 is computed in single
 * precision where the length has small factors, else, and c128, in double. Lines go through a plan
 * (fft_lines.h) several at a time: complex elements are transposed from [line][k] to
 * [k][line] as 8-byte units, and their parts are separated. */
#include <math.h>
#include <string.h>

#include "base/loop.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/call.h"
#include "engine/host/library/cpu.h"
#include "engine/host/library/transpose.h"

enum {
  MAX_FACTORS = 64,
  MAX_RADIX = 61, /* above, Bluestein is faster */
  MAX_TRIP = 64,  /* MAX_LANES lines of it fit the first cache twice */
  MAX_LANES = 16, /* of single precision; of double half as many */
  FEW_LANES = 4,
  MOST_BYTES = 1 << 22, /* of an array: with more, lanes cost more than they save */
  GRAIN = 1 << 13,      /* elements that are worth a thread */
  STEP = 64,            /* elements of lines that are transposed at a time */
};

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

/* Factors of 8 and 4 (of all radices they need the fewest sums), and other small primes; false if a
 * larger prime is left. */
static bool factorise(size_t n, uint32_t *factors, uint32_t *n_factors) {
  *n_factors = 0;
  unsigned twos = (unsigned)__builtin_ctzll(n);
  n >>= twos;
  while (twos) {
    unsigned bits = twos == 1 ? 1 : twos == 2 || twos == 4 ? 2 : 3;
    factors[(*n_factors)++] = 1u << bits;
    twos -= bits;
  }
  for (uint32_t p = 3; p <= MAX_RADIX; p += 2)
    while (n % p == 0) factors[(*n_factors)++] = p, n /= p;
  return n == 1;
}

static size_t product_of(const uint32_t *factors, uint32_t n) {
  size_t product = 1;
  for (uint32_t i = 0; i < n; i++) product *= factors[i];
  return product;
}

/* Groups factors into trips (fft_lines.h) of a product of at most `most`, or of one factor: each,
 * the largest first, joins the first that has room for it. trips: the numbers of factors. */
static uint32_t group_within(size_t most, uint32_t *factors, uint32_t n, uint32_t *trips) {
  uint32_t grouped[MAX_FACTORS], n_trips = 0, done = 0;
  for (uint32_t f = MAX_RADIX; f > 1; f--)
    for (uint32_t i = 0; i < n; i++) {
      if (factors[i] != f) continue;
      uint32_t trip = 0, at = 0;
      while (trip < n_trips && product_of(grouped + at, trips[trip]) * f > most)
        at += trips[trip++];
      if (trip == n_trips) trips[n_trips++] = 0;
      at += trips[trip]++;
      memmove(grouped + at + 1, grouped + at, (done++ - at) * sizeof *grouped);
      grouped[at] = f;
    }
  memcpy(factors, grouped, n * sizeof *factors);
  return n_trips;
}

/* As few trips as can be, none of them longer than that needs. */
static void group(uint32_t *factors, uint32_t n, uint32_t *trips) {
  size_t most = MAX_TRIP;
  uint32_t n_trips = group_within(most, factors, n, trips);
  while (most > 1 && group_within(most / 2, factors, n, trips) == n_trips) most /= 2;
  group_within(most, factors, n, trips);
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

/* -- dimensions */

typedef enum form { FORM_COMPLEX, FORM_TO_REAL, FORM_FROM_REAL } form;
typedef struct precision precision;

/* One dimension of a tensor, transformed from `in` to `out` (they may be the same memory if both
 * are complex). A line's elements lie `inner` apart. */
typedef struct dimension {
  const jm_call *call;
  form form;
  bool inverse, is_double; /* is_double: f64 and c128, else f32 and c64 */
  size_t n;                /* the transform's length */
  size_t n_in, n_out;      /* elements of a line: n, or n / 2 + 1 where n reals are stored so */
  size_t outer, inner;
  const void *in;
  void *out;
  const precision *precision; /* of the arithmetic */
  void *plan;
  bool halved; /* reals of an even length: a plan of n / 2, and the roots of n up to n / 4 */
  void *cosine, *sine;
  size_t lanes;       /* lines that are transformed together */
  atomic_bool failed; /* no memory */
} dimension;

/* The first element of a line, if lines have n elements. */
static size_t line_start(const dimension *d, size_t line, size_t n) {
  return line / d->inner * n * d->inner + line % d->inner;
}

/* Are the lines adjacent, element by element? */
static bool side_by_side(const dimension *d, size_t first, size_t lanes) {
  return d->inner > 1 && first % d->inner + lanes <= d->inner;
}

#define REAL float
#define NAME(x) x##_single
#include "engine/host/library/fft_lines.h"

#define REAL double
#define NAME(x) x##_double
#include "engine/host/library/fft_lines.h"

#define ELEMENT float
#define REAL float
#define NAME(x) x##_single
#define LINES(x) x##_single
#include "engine/host/library/fft_elements.h"

#define ELEMENT float
#define REAL double
#define NAME(x) x##_double
#define LINES(x) x##_mixed
#include "engine/host/library/fft_elements.h"

#define ELEMENT double
#define REAL double
#define NAME(x) x##_double
#define LINES(x) x##_double
#include "engine/host/library/fft_elements.h"

/* A precision of the arithmetic over a type of elements. */
typedef void lines_fn(const dimension *d, size_t first, size_t lanes, void *re, void *im);
struct precision {
  size_t bytes;
  lines_fn *load, *store;
  jm_error *(*create)(size_t n, void **plan);
  void (*destroy)(void *plan);
  size_t (*room)(const void *plan);
  void (*roots)(size_t n, size_t count, void *cosine, void *sine);
  void (*transform)(const void *plan, size_t lanes, void **re, void **im, void *spare_re,
                    void *spare_im);
};

#define ERASE(name, REAL)                                                                   \
  static jm_error *erased_create_##name(size_t n, void **plan) {                            \
    plan_##name *made = NULL;                                                               \
    jm_error *error = plan_create_##name(n, &made);                                         \
    *plan = made;                                                                           \
    return error;                                                                           \
  }                                                                                         \
  static void erased_destroy_##name(void *plan) { plan_destroy_##name(plan); }              \
  static size_t erased_room_##name(const void *plan) { return plan_room_##name(plan); }     \
  static void erased_roots_##name(size_t n, size_t count, void *cosine, void *sine) {       \
    roots_##name(n, count, cosine, sine);                                                   \
  }                                                                                         \
  static void erased_transform_##name(const void *plan, size_t lanes, void **re, void **im, \
                                      void *spare_re, void *spare_im) {                     \
    REAL *r = *re, *i = *im;                                                                \
    transform_##name(plan, lanes, &r, &i, spare_re, spare_im);                              \
    *re = r, *im = i;                                                                       \
  }
ERASE(single, float)
ERASE(double, double)
#define ROW(size, lines, name) \
  {size,                       \
   load_##lines,               \
   store_##lines,              \
   erased_create_##name,       \
   erased_destroy_##name,      \
   erased_room_##name,         \
   erased_roots_##name,        \
   erased_transform_##name}
static const precision single_precision = ROW(sizeof(float), single, single);
static const precision mixed_precision = ROW(sizeof(double), mixed, double);
static const precision double_precision = ROW(sizeof(double), double, double);

/* Lines [begin, end), `lanes` at a time. */
static void run_lines(void *context, size_t begin, size_t end) {
  dimension *d = context;
  const precision *p = d->precision;
  size_t room = (p->room(d->plan) + 1) * d->lanes * p->bytes; /* X has one element more than Z */
  char *memory = jm_scratch_take(4 * room);                   /* run_dimension saw to it */
  if (!memory) atomic_store(&d->failed, true);
  for (size_t first = begin; first < end; first += d->lanes) {
    if (atomic_load(&d->failed) || jm_context_is_cancelled(d->call->context)) break;
    void *re = memory, *im = memory + room;
    size_t lanes = end - first < d->lanes ? end - first : d->lanes;
    p->load(d, first, lanes, re, im);
    p->transform(d->plan, lanes, &re, &im, memory + 2 * room, memory + 3 * room);
    p->store(d, first, lanes, re, im);
  }
  jm_scratch_give(memory);
}

static jm_error *dimension_plan(dimension *d) {
  d->halved = d->form != FORM_COMPLEX && d->n % 2 == 0;
  size_t n = d->halved ? d->n / 2 : d->n;
  uint32_t factors[MAX_FACTORS], n_factors;
  d->precision = d->is_double                        ? &double_precision
                 : factorise(n, factors, &n_factors) ? &single_precision
                                                     : &mixed_precision;
  if (!d->halved) return d->precision->create(n, &d->plan);
  d->cosine = jm_alloc(d->n / 4 + 1, d->precision->bytes);
  d->sine = jm_alloc(d->n / 4 + 1, d->precision->bytes);
  if (!d->cosine || !d->sine) return jm_error_out_of_memory();
  d->precision->roots(d->n, d->n / 4 + 1, d->cosine, d->sine);
  return d->precision->create(n, &d->plan);
}

/* As many as fill a vector, for the first passes have no other parallelism; fewer where lines are
 * few, or so long that little of them is in a cache. A line's bits don't depend on it. */
static size_t find_lanes(const dimension *d, size_t n_lines) {
  const size_t element = d->precision->bytes, threads = jm_parallel_threads();
  size_t lanes = MAX_LANES * sizeof(float) / element;
  if (d->inner > 1) return lanes;
  while (lanes > 1 && (lanes * d->n * element > MOST_BYTES || lanes > n_lines ||
                       (lanes > FEW_LANES && n_lines < lanes * threads)))
    lanes /= 2;
  return lanes;
}

/* Transforms along dimension `dim` of a tensor whose other dimensions are those of `type`. */
static jm_error *run_dimension(const jm_call *call, form form, bool inverse, const jm_type *type,
                               uint32_t dim, size_t n, const void *in, void *out) {
  dimension d = {.call = call, .form = form, .inverse = inverse, .n = n, .in = in, .out = out};
  d.is_double = jm_dtype_real(call->in[0].type->dtype) == JM_DT_f64;
  d.n_in = form == FORM_TO_REAL ? n / 2 + 1 : n;
  d.n_out = form == FORM_FROM_REAL ? n / 2 + 1 : n;
  d.outer = d.inner = 1;
  for (uint32_t i = 0; i < type->rank; i++)
    if (i != dim) *(i < dim ? &d.outer : &d.inner) *= (size_t)type->dims[i];
  size_t n_lines = d.outer * d.inner, bytes;
  jm_error *error = dimension_plan(&d);
  size_t element = d.precision->bytes;
  d.lanes = find_lanes(&d, n_lines);
  if (!error && !jm_size_mul(d.precision->room(d.plan) + 1, 4 * d.lanes * element, &bytes))
    error = jm_error_out_of_memory();
  if (!error) jm_parallel_for(n_lines, (GRAIN / n / d.lanes + 1) * d.lanes, run_lines, &d);
  d.precision->destroy(d.plan);
  jm_free(d.cosine);
  jm_free(d.sine);
  if (!error && atomic_load(&d.failed)) error = jm_error_out_of_memory();
  if (!error && jm_context_is_cancelled(call->context))
    error = jm_error_create(JM_CANCELLED, "fft was cancelled");
  return error;
}

/* Real transforms treat the last dimension as real: from real first, to real last. */
jm_error *jm_library_fft(const jm_call *call) {
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
    target = copy = jm_scratch_take(jm_type_bytes(in));
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
  jm_scratch_give(copy);
  return error;
}
