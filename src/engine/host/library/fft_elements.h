/* SPDX-License-Identifier: Apache-2.0
 * Private to fft.c: lines first .. first + lanes are read into [k][lane], real and imaginary parts
 * apart, and written back. Included once per pair of ELEMENT (the tensor's float or double) and
 * REAL (that of the arithmetic, whose functions are NAME(x)); its own functions are LINES(x). An
 * inverse transform is the forward one of the conjugate, conjugated and scaled. */

/* Rows of n complex elements each, `step` apart: from the array, and to it. */
JM_CLONES static void LINES(split)(const ELEMENT *restrict from, size_t rows, size_t step, size_t n,
                                   REAL sign, REAL *restrict re, REAL *restrict im) {
  for (size_t k = 0; k < rows; k++, from += 2 * step, re += n, im += n) {
    for (size_t i = 0; i < n; i++) {
      re[i] = (REAL)from[2 * i];
      im[i] = sign * (REAL)from[2 * i + 1];
    }
  }
}

JM_CLONES static void LINES(join)(const REAL *restrict re, const REAL *restrict im, size_t rows,
                                  size_t step, size_t n, REAL scale, REAL sign,
                                  ELEMENT *restrict to) {
  for (size_t k = 0; k < rows; k++, to += 2 * step, re += n, im += n) {
    for (size_t i = 0; i < n; i++) {
      to[2 * i] = (ELEMENT)(scale * re[i]);
      to[2 * i + 1] = (ELEMENT)(sign * im[i]);
    }
  }
}

/* n pairs of each line: complex elements, or two reals. */
static void LINES(load_pairs)(const dimension *d, size_t first, size_t lanes, size_t n, REAL sign,
                              REAL *re, REAL *im) {
  const ELEMENT *in = d->in;
  ELEMENT transposed[2 * STEP * MAX_LANES];
  if (side_by_side(d, first, lanes)) {
    size_t start = line_start(d, first, d->n_in);
    LINES(split)(in + 2 * start, n, d->inner, lanes, sign, re, im);
    return;
  }
  for (size_t k0 = 0; k0 < n; k0 += STEP) {
    size_t count = n - k0 < STEP ? n - k0 : STEP;
    if (d->inner == 1 && sizeof(ELEMENT) == 4) {
      size_t line = d->form == FORM_FROM_REAL ? d->n_in : 2 * d->n_in;
      jm_transpose_8(transposed, (ptrdiff_t)(lanes * 8), in + first * line + 2 * k0,
                     (ptrdiff_t)(line * 4), count, lanes);
    } else {
      bool reals = d->form == FORM_FROM_REAL;
      for (size_t l = 0; l < lanes; l++) {
        const ELEMENT *x = in + line_start(d, first + l, d->n_in) * (reals ? 1 : 2);
        for (size_t k = 0; k < count; k++)
          for (size_t part = 0; part < 2; part++)
            transposed[2 * (k * lanes + l) + part] =
                reals ? x[(2 * (k0 + k) + part) * d->inner] : x[2 * (k0 + k) * d->inner + part];
      }
    }
    LINES(split)(transposed, 1, 0, count * lanes, sign, re + k0 * lanes, im + k0 * lanes);
  }
}

static void LINES(store_pairs)(const dimension *d, size_t first, size_t lanes, size_t n, REAL scale,
                               REAL sign, const REAL *re, const REAL *im) {
  ELEMENT *out = d->out;
  ELEMENT transposed[2 * STEP * MAX_LANES];
  if (side_by_side(d, first, lanes)) {
    size_t start = line_start(d, first, d->n_out);
    LINES(join)(re, im, n, d->inner, lanes, scale, sign, out + 2 * start);
    return;
  }
  for (size_t k0 = 0; k0 < n; k0 += STEP) {
    size_t count = n - k0 < STEP ? n - k0 : STEP;
    LINES(join)(re + k0 * lanes, im + k0 * lanes, 1, 0, count * lanes, scale, sign, transposed);
    if (d->inner == 1 && sizeof(ELEMENT) == 4) {
      size_t line = d->form == FORM_TO_REAL ? d->n_out : 2 * d->n_out;
      jm_transpose_8(out + first * line + 2 * k0, (ptrdiff_t)(line * 4), transposed,
                     (ptrdiff_t)(lanes * 8), lanes, count);
      continue;
    }
    bool reals = d->form == FORM_TO_REAL;
    for (size_t l = 0; l < lanes; l++) {
      ELEMENT *x = out + line_start(d, first + l, d->n_out) * (reals ? 1 : 2);
      for (size_t k = 0; k < count; k++)
        for (size_t part = 0; part < 2; part++)
          x[reals ? (2 * (k0 + k) + part) * d->inner : 2 * (k0 + k) * d->inner + part] =
              transposed[2 * (k * lanes + l) + part];
    }
  }
}

static void LINES(load)(const dimension *d, size_t first, size_t lanes, void *to_re, void *to_im) {
  REAL *re = to_re, *im = to_im;
  const ELEMENT *in = d->in;
  if (d->form != FORM_FROM_REAL || d->halved) {
    size_t n = d->form == FORM_FROM_REAL ? d->n / 2 : d->n_in;
    LINES(load_pairs)(d, first, lanes, n, d->inverse && !d->halved ? -1 : 1, re, im);
  } else {
    for (size_t l = 0; l < lanes; l++)
      for (size_t k = 0; k < d->n_in; k++) {
        re[k * lanes + l] = (REAL)in[line_start(d, first + l, d->n_in) + k * d->inner];
        im[k * lanes + l] = 0;
      }
  }
  if (d->form == FORM_TO_REAL && d->halved)
    NAME(join_halves)(d, lanes, re, im);
  else if (d->form == FORM_TO_REAL)
    NAME(fill_mirror)(d->n, lanes, re, im);
}

static void LINES(store)(const dimension *d, size_t first, size_t lanes, void *from_re,
                         void *from_im) {
  REAL *re = from_re, *im = from_im;
  ELEMENT *out = d->out;
  const REAL scale = d->inverse ? 1 / (REAL)d->n : 1, sign = d->inverse ? -scale : scale;
  if (d->form == FORM_FROM_REAL && d->halved) NAME(split_halves)(d, lanes, re, im);
  if (d->form != FORM_TO_REAL || d->halved) {
    size_t n = d->form == FORM_TO_REAL ? d->n / 2 : d->n_out;
    LINES(store_pairs)(d, first, lanes, n, scale, sign, re, im);
    return;
  }
  for (size_t l = 0; l < lanes; l++)
    for (size_t k = 0; k < d->n_out; k++)
      out[line_start(d, first + l, d->n_out) + k * d->inner] = (ELEMENT)(scale * re[k * lanes + l]);
}

#undef ELEMENT
#undef REAL
#undef NAME
#undef LINES
