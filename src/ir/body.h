/* SPDX-License-Identifier: Apache-2.0
 * Recognises what the body of a region computes: the only such place for the regions of reduce,
 * reduce_window, scatter, select_and_scatter and sort, with the algebra of the recognised body. An
 * engine asks here whether it may reassociate a reduction, in which type to accumulate and from
 * which value to start, so that all engines agree on a program's results. Running a body is left to
 * the engines. */
#ifndef JM_IR_BODY_H
#define JM_IR_BODY_H

#include "ir/tensor.h"

/* -- regions of two arguments (accumulator, element) */

/* The region is `return op(a, b)` of one elementwise op without attributes on values of one type,
 * its operands in this order, or in either order if the op commutes. Captures: none. */
bool jm_body_binary(const jm_module *m, jm_region_id region, jm_opcode *code);

/* The region returns the last n of its first 2 * n arguments: elements replace accumulators. */
bool jm_body_assigns(const jm_module *m, jm_region_id region, uint32_t n);

/* The region is `return compare(a, b)` in an order that is not total: its attributes, else NULL. */
const jm_compare_attrs *jm_body_compare(const jm_module *m, jm_region_id region);

/* The region is log(exp(a) + exp(b)) as JAX spells logaddexp. */
bool jm_body_log_add_exp(const jm_module *m, jm_region_id region);

/* -- monoids */

/* An op that is commutative and has an identity, on elements of one type. Sums of floats count as
 * monoids, too: every engine chooses their order and grouping. */
typedef struct jm_monoid {
  jm_opcode code; /* add, multiply, maximum, minimum, and, or, xor; of pred the last three alone */
  jm_dtype dtype;
  jm_dtype accumulator; /* f32 for sums and products of narrower floats, which are rounded once */
  bool rounds;          /* sums and products of floats: the last bits depend on the order */
  bool grouped;         /* may be reassociated */
  bool idempotent;      /* x op x = x: the init may take part any number of times */
} jm_monoid;

/* The monoid that the region is of; false: another body. */
bool jm_body_monoid(const jm_module *m, jm_region_id region, jm_monoid *out);
/* The monoid of an op on elements of a type; false: the op is none. */
bool jm_monoid_find(jm_opcode code, jm_dtype dtype, jm_monoid *out);

/* Writes the identity as one element of the type `as` (the monoid's own or its accumulator's): x op
 * identity = x for every x, so that it is -0 for sums of floats. f8e8m0fnu has no zero: its sums
 * have an identity in the accumulator's type alone. */
void jm_monoid_identity(const jm_monoid *monoid, jm_dtype as, void *bytes);
/* Whether an element of the monoid's own type is an identity, perhaps except for the sign of a
 * zero. */
bool jm_monoid_is_identity(const jm_monoid *monoid, const void *bytes);

/* -- argmax and argmin */

/* JAX's argmax and argmin, (x, i, y, j) -> (x, i) or (y, j): x wins if it is better or NaN, and of
 * equal values the lower index. Associative, and of NaNs the first is kept; not commutative. The
 * values are real or pred, the indices integers. */
bool jm_body_argmax(const jm_module *m, jm_region_id region, bool *largest);

/* -- comparators of sort */

/* A total order of the elements of a real type: that of compare with order TOTAL (integers: their
 * own), after the substitutions below. */
typedef struct jm_key_order {
  jm_dtype dtype; /* pred, integer or float */
  bool zero;      /* -0 is replaced by +0 */
  bool nan;       /* every NaN is replaced by nan_bits */
  bool descending;
  uint64_t nan_bits;
} jm_key_order;

typedef struct jm_sort_key {
  uint32_t operand;
  int part;     /* 0: the element or its real part, 1: imaginary part */
  bool partial; /* compared in order FLOAT, which is this order only while there is no NaN */
  jm_key_order order;
} jm_sort_key;

/* The keys of a sort whose comparator compares keys in total orders, one after another, most
 * significant first; false: another comparator, or more than max_keys (2 per operand are enough).
 * in: the op's operands, for the values of captured scalars; NULL: only constants are known. */
bool jm_body_comparator(const jm_module *m, const jm_op *op, const jm_tensor *in, jm_sort_key *keys,
                        uint32_t max_keys, uint32_t *n_keys);

#endif
