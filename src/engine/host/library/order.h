/* SPDX-License-Identifier: Apache-2.0
 * Total orders of real elements as unsigned integers ("keys"), and stable radix sorts of keys and
 * of records that carry an index. Shared by sort and top_k. Comparators, rows and payloads are not
 * known here. */
#ifndef JM_LIBRARY_ORDER_H
#define JM_LIBRARY_ORDER_H

#include "base/alloc.h"
#include "ir/body.h"

/* Whether one of n floats that lie stride elements apart is a NaN; never of integers. */
bool jm_order_any_nan(jm_dtype dtype, const void *in, size_t stride, size_t n);

/* Keys of n elements that lie stride elements apart: types of up to 4 bytes. Returns whether each
 * element can be had back from its key (nothing was substituted). */
bool jm_order_keys32(const jm_key_order *order, const void *in, size_t stride, size_t n,
                     uint32_t *out);
/* The same for types of 8 bytes. */
bool jm_order_keys64(const jm_key_order *order, const void *in, size_t stride, size_t n,
                     uint64_t *out);
/* The elements that the keys came from. */
void jm_order_values32(const jm_key_order *order, const uint32_t *keys, size_t n, void *out,
                       size_t stride);
void jm_order_values64(const jm_key_order *order, const uint64_t *keys, size_t n, void *out,
                       size_t stride);

typedef struct jm_order_record {
  uint64_t key, index;
} jm_order_record;

/* Items behind those that are sorted which are overwritten, in both arrays. */
enum { JM_ORDER_SLACK = 16 };

/* Stable ascending sorts of n items; `spare` has room for n, and both for JM_ORDER_SLACK more. They
 * return which of the two holds the result. Pieces of so many items are counted and moved by
 * several threads, if they are fewer than n; then the result is NULL without memory. */
uint32_t *jm_order_sort32(uint32_t *items, uint32_t *spare, size_t n, size_t piece);
uint64_t *jm_order_sort64(uint64_t *items, uint64_t *spare, size_t n, size_t piece);
/* By the high halves alone: those below carry an index. */
uint64_t *jm_order_sort_high(uint64_t *items, uint64_t *spare, size_t n, size_t piece);
/* The same if the indices of equal high halves ascend. */
uint64_t *jm_order_sort_indexed(uint64_t *items, uint64_t *spare, size_t n, size_t piece);
jm_order_record *jm_order_sort_records(jm_order_record *items, jm_order_record *spare, size_t n,
                                       size_t piece);

#endif
