/* SPDX-License-Identifier: Apache-2.0
 * Prototypes of the jm_library_<function> that ops.def names, and of the routines of library.def. A
 * function that several rows share is declared several times, which C allows. */
#ifndef JM_LIBRARY_FUNCTIONS_H
#define JM_LIBRARY_FUNCTIONS_H

#include "engine/elementwise/elementwise.h"
#include "engine/host/library/library.h"

/* Elementwise ops run on one thread, as they stand: groups of them are compiled kernels. */
#define jm_library_elementwise jm_elementwise_run
#define jm_library_convert jm_elementwise_convert
#define jm_library_compare jm_elementwise_compare
#define jm_library_select jm_elementwise_select
#define jm_library_clamp jm_elementwise_clamp
#define jm_library_reduce_precision jm_elementwise_reduce_precision
#define jm_library_bitcast_convert jm_elementwise_bitcast_convert

#define OP(name, operands, results, regions, types, traits, verify, ref, factors, attrs, summary) \
  jm_error *jm_library_##ref(const jm_call *call);
#include "ir/ops.def"

#define ROUTINE(op, supports, run)                               \
  bool supports(const jm_module *module, const jm_op *verified); \
  jm_call_fn run;
#include "engine/host/library/library.def"

/* The general routine of each op; NULL for while and case. */
extern jm_call_fn *const jm_library_fns[JM_N_OPS];

/* A region op by op, by the library's routines. */
jm_error *jm_library_evaluate(const jm_module *module, jm_region_id region, const jm_tensor *args,
                              const jm_tensor *results, const jm_context *context) JM_MUST_USE;

#endif
