/* SPDX-License-Identifier: Apache-2.0
 * The reference engine: plain C, one obvious function per op over dense row-major tensors. It is
 * the oracle of every other engine, the evaluator of constant folding, what runs rare ops, and the
 * path without LLVM. It keeps no state and does no scheduling: memory comes from the caller.
 *
 * Rules for a jm_ref_<function>:
 *  - shapes and element types are those of call->in / call->out, never the module's: callers may
 *    run a scalar op of a region on many lanes at once (all tensors then have that many elements);
 *  - attributes come from call->op->attrs, regions from call->op;
 *  - out[0].data may equal in[i].data of an operand with the same number of bytes, if the op is
 *    elementwise; otherwise outputs overlap no input;
 *  - everything was verified (ir/verify.h) and accepted by jm_ref_check before. */
#ifndef JM_ENGINE_REF_REF_H
#define JM_ENGINE_REF_REF_H

#include "base/convert.h"
#include "engine/context.h"
#include "ir/module.h"
#include "ir/tensor.h"

typedef struct jm_ref_call {
  const jm_module *module;
  const jm_op *op;
  const jm_tensor *in;  /* op->n_operands, captures last */
  const jm_tensor *out; /* op->n_results */
  const jm_context *context;
} jm_ref_call;

typedef jm_error *jm_ref_fn(const jm_ref_call *call);

/* One per op, from ops.def's ref column; NULL for CONTROL. */
extern jm_ref_fn *const jm_ref_fns[JM_N_OPS];

/* NULL if the engine can run this op with these types and attributes; else UNIMPLEMENTED naming op,
 * types, and location. Called at compile time, so that nothing unsupported is met while running. */
jm_error *jm_ref_check(const jm_module *module, const jm_op *op) JM_MUST_USE;

/* -- kernels: elementwise functions over n dense elements (kernel.c). out may equal any in[i]. */
typedef void jm_ref_kernel(const void *const *in, void *out, size_t n);

/* The kernel of an op of ops.def whose ref column is `elementwise`, for operands of this element
 * type; NULL: unsupported. */
jm_ref_kernel *jm_ref_kernel_find(jm_opcode code, jm_dtype dtype);

/* -- regions (region.c) */

/* A region prepared for repeated runs on scalars. If its ops are elementwise on scalars, a run
 * works on many lanes at once: the same scalar program for each lane. */
typedef struct jm_ref_region jm_ref_region;

/* captures: the trailing arguments' tensors (scalars or of any shape), the same for every lane.
 * max_lanes is a wish; jm_ref_region_lanes tells what one run takes (1 if the region is not
 * elementwise). */
jm_error *jm_ref_region_create(const jm_module *module, jm_region_id region,
                               const jm_tensor *captures, uint32_t n_captures, size_t max_lanes,
                               jm_ref_region **out) JM_MUST_USE;
void jm_ref_region_destroy(jm_ref_region *region); /* NULL is allowed */
size_t jm_ref_region_lanes(const jm_ref_region *region);
/* args[i]: n elements of argument i (captures excluded); results[i]: n elements. Results may be the
 * memory of arguments. */
jm_error *jm_ref_region_run(jm_ref_region *region, const void *const *args, void *const *results,
                            size_t n) JM_MUST_USE;

/* -- whole regions (evaluate.c) */

/* Runs a region on tensors: args for all its arguments, results' data provided by the caller.
 * Control ops included. The slow, obvious way: one allocation per value. */
jm_error *jm_ref_evaluate(const jm_module *module, jm_region_id region, const jm_tensor *args,
                          const jm_tensor *results, const jm_context *context) JM_MUST_USE;

#endif
