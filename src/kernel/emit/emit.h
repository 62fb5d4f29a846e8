/* SPDX-License-Identifier: Apache-2.0
 * Tensor ops as kernel instructions, pulled element by element. To pull a value is to compute its
 * element at an index where it is used: jm_emit_value(v, index) builds the instructions for element
 * `index` of v through the rule of v's op, which pulls its operands at the indices of its index
 * map. An index map is just index arithmetic in the builder, which simplifies and shares it; a pair
 * (value, index) is built once where it is visible. The meaning of every op on single elements is
 * defined here (element.c, math_*.c), none of it in a printer.
 *
 * The caller (a schedule) decides where pulling stops: a leaf is a value whose elements come from a
 * buffer, from scratch memory, or from registers. */
#ifndef JM_KERNEL_EMIT_EMIT_H
#define JM_KERNEL_EMIT_EMIT_H

#include "ir/module.h"
#include "kernel/ir/build.h"

/* An element in registers. pred: i1; integers below 8 bits: i8 in the form of our buffers; other
 * integers: their width; f32, f64 as they are; every narrower float: f32 that holds one of its
 * values exactly (rounded after every op); complex: real and imaginary part. */
typedef struct jm_element {
  jm_kval part[2]; /* part[1]: of complex types only, else JM_KNONE */
} jm_element;

typedef struct jm_emit jm_emit;

/* Builds the element of the leaf at an index (rank values of i64). */
typedef jm_element jm_emit_leaf_fn(void *context, jm_emit *e, const jm_kval *index);

jm_error *jm_emit_create(const jm_module *module, jm_kbuilder *b, jm_emit **out) JM_MUST_USE;
void jm_emit_destroy(jm_emit *e); /* NULL is allowed */
jm_kbuilder *jm_emit_builder(jm_emit *e);

/* Makes v a leaf (replacing an earlier one, and forgetting elements built from it). The context
 * must outlive the emit. */
void jm_emit_leaf(jm_emit *e, jm_value v, jm_emit_leaf_fn *fn, void *context);
/* The common leaf: v lies dense and row-major in a parameter. */
void jm_emit_leaf_param(jm_emit *e, jm_value v, uint32_t param);
/* v's element at any index is this one (the result of a reduction, in registers). */
void jm_emit_leaf_element(jm_emit *e, jm_value v, jm_element element);

/* The element of v at index; index has the rank of v's type. */
jm_element jm_emit_value(jm_emit *e, jm_value v, const jm_kval *index);

/* Evaluates a region of scalars (a reduction's body) on elements: args without captures, captures
 * pulled from the op's operands; results: n_results elements. */
void jm_emit_region(jm_emit *e, const jm_op *op, jm_region_id region, const jm_element *args,
                    jm_element *results);
/* One step of reduce or reduce_window: accumulators and elements (n_results of each) to
 * accumulators, by the op's body. Sums and products of narrow floats are kept in f32 and rounded
 * once, when all is folded: by jm_emit_folded, which gives result i its value. */
void jm_emit_fold(jm_emit *e, const jm_op *op, const jm_element *accumulators,
                  const jm_element *elements, jm_element *results);
jm_element jm_emit_folded(jm_emit *e, const jm_op *op, uint32_t i, jm_element accumulator);

/* -- memory: how types lie in parameters */
jm_ktype jm_emit_storage(jm_dtype dtype); /* of one stored word; complex: of one part */
uint32_t jm_emit_words(jm_dtype dtype);   /* 2 for complex, else 1 */
/* Adds a parameter for a tensor of this type. */
uint32_t jm_emit_param(jm_emit *e, const jm_type *type, jm_kspace space, bool written,
                       uint32_t alias);
jm_element jm_emit_load(jm_emit *e, jm_dtype dtype, uint32_t param, jm_kval linear);
void jm_emit_store(jm_emit *e, jm_dtype dtype, uint32_t param, jm_kval linear, jm_element element);
/* Row-major position of an index in a shape, and back. */
jm_kval jm_emit_linear(jm_emit *e, const jm_type *type, const jm_kval *index);
void jm_emit_split(jm_emit *e, const jm_type *type, jm_kval linear, jm_kval *index);
/* A scalar of this type with this value: of the bytes of our buffers. */
jm_element jm_emit_constant(jm_emit *e, jm_dtype dtype, const void *bytes);

/* -- what can be emitted, and at what cost. Constant ops only if they are splats. */
bool jm_emit_supports(const jm_module *module, const jm_op *op);
/* Does the op, or one in its regions, have a value of f64? Otherwise a builder can avoid f64
 * altogether (jm_kbuilder_allow_f64). */
bool jm_emit_needs_f64(const jm_module *module, const jm_op *op);
typedef struct jm_emit_cost {
  double flops; /* of one element of the result, exp and the like as what they expand to */
  bool loops;   /* reduce, reduce_window, dot: an element takes a loop over the operand */
} jm_emit_cost;
jm_emit_cost jm_emit_estimate(const jm_module *module, const jm_op *op);

#endif
