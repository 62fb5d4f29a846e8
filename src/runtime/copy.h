/* SPDX-License-Identifier: Apache-2.0
 * Copies between arrays of one shape and different strides: conversion of host layouts to ours
 * (dense, row-major) and back. Elements are moved, never changed. */
#ifndef JM_RUNTIME_COPY_H
#define JM_RUNTIME_COPY_H

#include "base/alloc.h"
#include "base/dtype.h"

/* Byte strides of the dense row-major layout. */
void jm_strides_dense(size_t element, uint32_t rank, const int64_t *dims, int64_t *out);

/* Byte strides of dense data whose dimensions are, from that of adjacent elements on, those of
 * minor_to_major, a permutation. NULL: row-major. */
void jm_strides_ordered(size_t element, uint32_t rank, const int64_t *dims,
                        const int64_t *minor_to_major, int64_t *out);

/* true if the strides describe dense row-major data (those of dimensions of size 1 don't count) */
bool jm_strides_are_dense(size_t element, uint32_t rank, const int64_t *dims,
                          const int64_t *strides);

/* Copies every element; rank <= JM_RANK_MAX. Strides are in bytes and may be zero (source only) or
 * negative; the pointers are at index 0 of every dimension. */
void jm_copy_strided(void *target, const int64_t *target_strides, const void *source,
                     const int64_t *source_strides, size_t element, uint32_t rank,
                     const int64_t *dims);

#endif
