/* SPDX-License-Identifier: Apache-2.0
 * The elementwise ops for every element type, as loops over dense arrays: scalar functions that the
 * library and the oracle share, so that they are written once. No threads, no state, no shapes;
 * compiled kernels have their own (kernel/emit). */
#ifndef JM_ELEMENTWISE_ELEMENTWISE_H
#define JM_ELEMENTWISE_ELEMENTWISE_H

#include "base/convert.h"
#include "engine/call.h"

/* n dense elements; out may equal any in[i]. */
typedef void jm_elementwise_kernel(const void *const *in, void *out, size_t n);

/* The kernel of an op of one or two operands without attributes, for operands of this element type;
 * NULL: unsupported. */
jm_elementwise_kernel *jm_elementwise_find(jm_opcode code, jm_dtype dtype);

/* Ops of ops.def by the function that it names: all elements, on the calling thread. */
jm_call_fn jm_elementwise_run, jm_elementwise_convert, jm_elementwise_compare,
    jm_elementwise_select, jm_elementwise_clamp, jm_elementwise_reduce_precision,
    jm_elementwise_bitcast_convert, jm_elementwise_special;

/* Elements [begin, end) of a special function's result, and how many are worth a thread. */
void jm_elementwise_special_range(const jm_call *call, size_t begin, size_t end);
size_t jm_elementwise_special_grain(jm_opcode code);

#endif
