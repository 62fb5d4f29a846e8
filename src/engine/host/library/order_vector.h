/* SPDX-License-Identifier: Apache-2.0
 * Sorts of unsigned integers in vector registers: a quicksort whose parts, once they fit in the
 * registers, are sorted by a network. Equal items are one and the same, so nothing is stable here.
 */
#ifndef JM_LIBRARY_ORDER_VECTOR_H
#define JM_LIBRARY_ORDER_VECTOR_H

#include "engine/host/library/cpu.h"
#include "engine/host/library/order.h"

enum { JM_ORDER_SET = 64 };

typedef struct jm_order_vector {
  /* Sort items[0 .. n) with room for as many in spare; JM_ORDER_SLACK more of both are lost. */
  void (*sort32)(uint32_t *items, uint32_t *spare, size_t n);
  void (*sort64)(uint64_t *items, uint64_t *spare, size_t n);
  size_t most64, most_indexed; /* beyond which a radix sort of 8 or of 4 digits is faster */
  /* Of JM_ORDER_SET keys, those of at most the bound, as bits. */
  uint64_t (*find_within)(const uint32_t *keys, uint32_t bound);
  /* The least keys i, i + lanes, i + 2 lanes, ... of each lane i; lanes are a multiple of 16, and a
   * remainder of the n keys is left out. */
  void (*find_least)(const uint32_t *keys, size_t n, size_t lanes, uint32_t *least);
} jm_order_vector;

/* For machines of a level; NULL: they have no such vectors. */
const jm_order_vector *jm_order_vector_find(jm_cpu_level level);

#endif
