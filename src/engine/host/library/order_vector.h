/* SPDX-License-Identifier: Apache-2.0
 * Sorts of unsigned integers in vector registers: a quicksort whose parts, once they fit in the
 * registers, are sorted by a network. Equal items are one and the same, so nothing is stable here.
 */
#ifndef JM_LIBRARY_ORDER_VECTOR_H
#define JM_LIBRARY_ORDER_VECTOR_H

#include "engine/host/library/cpu.h"
#include "engine/host/library/order.h"

typedef struct jm_order_vector {
  /* Sort items[0 .. n) with room for as many in spare; JM_ORDER_SLACK more of both are lost. */
  void (*sort32)(uint32_t *items, uint32_t *spare, size_t n);
  void (*sort64)(uint64_t *items, uint64_t *spare, size_t n);
  size_t most64, most_indexed; /* beyond which a radix sort of 8 or of 4 digits is faster */
} jm_order_vector;

/* For machines of a level; NULL: they have no such vectors. */
const jm_order_vector *jm_order_vector_find(jm_cpu_level level);

#endif
