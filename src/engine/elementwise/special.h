/* SPDX-License-Identifier: Apache-2.0
 * Private to this folder: kernels of the special functions, which JAX would spell out in
 * dozens to hundreds of ops or in loops. special_vector.c has those that a loop over elements can
 * vectorise, special_scalar.c those that take as many terms as an element needs, special.c runs
 * them. All compute in double. */
#ifndef JM_ELEMENTWISE_SPECIAL_H
#define JM_ELEMENTWISE_SPECIAL_H

#include "engine/elementwise/elementwise.h"

#define JM_SPECIAL_VECTOR(ROW) \
  ROW(bessel_i0e)              \
  ROW(bessel_i1e)              \
  ROW(digamma)                 \
  ROW(erf_inv)                 \
  ROW(lgamma)
#define JM_SPECIAL_SCALAR(ROW)     \
  ROW(igamma)                      \
  ROW(igamma_grad_a)               \
  ROW(igammac)                     \
  ROW(polygamma)                   \
  ROW(regularized_incomplete_beta) \
  ROW(zeta)

#define KERNELS(op)                            \
  jm_elementwise_kernel jm_special_##op##_f32; \
  jm_elementwise_kernel jm_special_##op##_f64;
JM_SPECIAL_VECTOR(KERNELS)
JM_SPECIAL_SCALAR(KERNELS)
#undef KERNELS

double jm_special_lgamma(double x);
double jm_special_digamma(double x);

#endif
