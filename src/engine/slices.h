/* SPDX-License-Identifier: Apache-2.0
 * Copies of slices (ir/slices.h), where their elements don't lie together in the whole. */
#ifndef JM_ENGINE_SLICES_H
#define JM_ENGINE_SLICES_H

#include "ir/slices.h"
#include "ir/tensor.h"

/* start: of the slice in the whole. */
void jm_slice_take(const jm_type *whole, const void *start, const jm_tensor *part);
void jm_slice_put(const jm_type *whole, void *start, const jm_tensor *part);

#endif
