/* SPDX-License-Identifier: Apache-2.0
 * The passes: rewrites of a verified module into a better one that means the same, NaN, signed
 * zero and rounding included. A pass knows ops by ops.def and nothing of engines; constants are
 * evaluated by a function that the caller provides. pipeline.c decides the order. */
#ifndef JM_PASS_PASS_H
#define JM_PASS_PASS_H

#include "ir/tensor.h"
#include "kernel/ir/target.h"

typedef struct jm_pass_options {
  /* Runs one op (no control, no regions) on tensors; shapes are those of the tensors, which may be
   * scalars where the op's own types are larger and it is elementwise. UNIMPLEMENTED leaves the op
   * as it is. NULL: nothing is folded. */
  jm_error *(*evaluate)(const jm_module *m, const jm_op *op, const jm_tensor *in,
                        const jm_tensor *out);
  /* Makes a program that a partitioner gives (partition_call.c) a part of the module: ops of its
   * entry are appended to the region, at the location, with these values as arguments. NULL: such
   * calls are UNIMPLEMENTED. */
  jm_error *(*join)(const void *bytes, size_t size, jm_module *m, jm_region_id region, uint32_t loc,
                    const jm_value *arguments, uint32_t n_arguments, jm_value *results,
                    uint32_t n_results);
  bool expands;            /* special functions become simpler ops */
  const jm_target *target; /* the machine that lowering passes prepare for; NULL: no lowering */
  /* Does the engine do this in one call? Asked of each `fusion` with a kind (patterns.c lists them)
   * before it is made, and so without its region. NULL: jm_pass_lower makes no
   * patterns, and the pass by itself makes all. */
  bool (*takes_pattern)(void *engine, const jm_module *m, const jm_op *fusion);
  /* Can the engine run this kernel of the user's? Those that it can't become what the program says
   * that they compute, if it says so. NULL: it runs none. */
  bool (*runs_kernel)(void *engine, const jm_module *m, const jm_op *call);
  void *engine; /* what the functions above are called with */
  bool verify;  /* the module after each pass */
} jm_pass_options;

/* *changed becomes true if the module was; it is never set to false. After an error the module may
 * only be destroyed. */
typedef jm_error *jm_pass_fn(jm_module *m, const jm_pass_options *options, bool *changed);

jm_pass_fn jm_pass_dce;       /* ops whose results nobody uses */
jm_pass_fn jm_pass_cse;       /* ops that compute the same */
jm_pass_fn jm_pass_partition; /* a program on whole arrays becomes that of one partition */
jm_pass_fn jm_pass_entry;     /* arguments and results in the layouts that the caller has */
jm_pass_fn jm_pass_fold;      /* ops on constants */
jm_pass_fn jm_pass_simplify;  /* ops that do nothing, pairs of ops that are one */
jm_pass_fn jm_pass_products;  /* products that sum nothing become multiplications */
jm_pass_fn jm_pass_absorb;    /* transposes of operands, by products */
jm_pass_fn jm_pass_captures;  /* unused, equal and constant captures of regions */
jm_pass_fn jm_pass_carries;   /* unused and unchanged carries of loops */
jm_pass_fn jm_pass_hoist;     /* what a loop computes alike in each round */
jm_pass_fn jm_pass_combine;   /* every all_reduce with those that it is independent of */
jm_pass_fn jm_pass_compact;   /* what no region lists any more; values numbered in order */

/* Whether jm_pass_partition makes something else of this custom call. */
bool jm_pass_partition_takes(const jm_module *m, const jm_op *op);

/* Lowering, for the engine and the target in the options: */
jm_pass_fn jm_pass_expand;    /* special functions and users' kernels in simpler ops */
jm_pass_fn jm_pass_patterns;  /* what a library does in one call becomes one op */
jm_pass_fn jm_pass_phases;    /* convolutions with a dilated input become several without */
jm_pass_fn jm_pass_reversal;  /* reversed kernels, read by convolutions where they are */
jm_pass_fn jm_pass_layout;    /* convolutions' results in the library's order, then transposed */
jm_pass_fn jm_pass_order;     /* products' results in the order that saves copies */
jm_pass_fn jm_pass_precision; /* exact products from those of a library that rounds to TF32 */
jm_pass_fn jm_pass_loops;     /* loops of little work per iteration become fusions */
jm_pass_fn jm_pass_stack;     /* products of rows of a loop become products of all rows */
jm_pass_fn jm_pass_slices;    /* products of a batch, and what is between them, slice by slice */
jm_pass_fn jm_pass_split;     /* reductions over separated dimensions become several */
jm_pass_fn jm_pass_group;     /* other ops become `fusion` ops, each of which is compiled as one */
jm_pass_fn jm_pass_updates;   /* groups that compute a scatter's updates become one with it */

/* The machine-independent passes, in their order. */
jm_error *jm_pass_optimize(jm_module *m, const jm_pass_options *options) JM_MUST_USE;

/* The lowering passes that the options ask for, in their order; after
 * jm_pass_optimize, which runs again after special functions were expanded. */
jm_error *jm_pass_lower(jm_module *m, const jm_pass_options *options) JM_MUST_USE;

/* Passes by their names, separated by commas; NOT_FOUND lists the names, INVALID_ARGUMENT: one
 * needs a target. */
jm_error *jm_pass_run(jm_module *m, const char *names, const jm_pass_options *options) JM_MUST_USE;

#endif
