/* SPDX-License-Identifier: Apache-2.0
 * Shared by the lowerings of dot_general and convolution: the element type that MLX computes in,
 * and the condition under which a product of integers is exact in f32. */
#ifndef JM_ENGINE_MLX_PRODUCT_H
#define JM_ENGINE_MLX_PRODUCT_H

#include "engine/mlx/lower.h"

/* A float or complex type, or the result's integer type or pred; false: unsupported. */
bool jm_lower_product_dtype(const jm_module *module, const jm_op *op, jm_dtype *out);
/* So many products of elements of these types add up to at most 2^24 in magnitude. */
int64_t jm_lower_exact_terms(jm_dtype lhs, jm_dtype rhs);
/* An exact product in f32 as integers or pred. */
jm_mlx_array *jm_lower_product_integer(jm_lowering *l, jm_mlx_array *a, jm_dtype to);

#endif
