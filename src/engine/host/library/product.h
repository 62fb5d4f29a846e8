/* SPDX-License-Identifier: Apache-2.0
 * Shared by dot_general and convolution: the element type in which a product is computed, and
 * operands and results brought to and from it. */
#ifndef JM_LIBRARY_PRODUCT_H
#define JM_LIBRARY_PRODUCT_H

#include "engine/call.h"

/* Operands and result in that type: the call's own tensors where they have it already. */
typedef struct jm_product {
  jm_dtype dtype;
  const void *lhs, *rhs;
  void *out;
  void *owned[3]; /* what jm_product_deinit frees */
} jm_product;

/* terms: how many products each result is the sum of, which the caller adds up in whatever order
 * but without any other operation; then small integers may be taken as floats, which is exact. 0:
 * it promises nothing. */
jm_error *jm_product_init(const jm_call *call, int64_t terms, jm_product *out) JM_MUST_USE;
/* Rounds the result into the call's tensor. */
jm_error *jm_product_store(const jm_call *call, const jm_product *product) JM_MUST_USE;
void jm_product_deinit(jm_product *product);

/* For jm_library_check: UNIMPLEMENTED if there is no such type. */
jm_error *jm_product_check(const jm_module *module, const jm_op *op) JM_MUST_USE;

#endif
