/* SPDX-License-Identifier: Apache-2.0
 * StableHLO portable artifacts (VHLO in MLIR bytecode) → IR: versions upgraded, calls inlined,
 * composites and tuples resolved, shardings of one device dropped. The result is not verified:
 * jm_module_verify does that. */
#ifndef JM_STABLEHLO_READ_H
#define JM_STABLEHLO_READ_H

#include "ir/module.h"

/* The bytes are not kept. INVALID_ARGUMENT with a byte offset for malformed bytes; UNIMPLEMENTED
 * naming op, types and source location; RESOURCE_EXHAUSTED if calls inline to too many ops. */
jm_error *jm_stablehlo_read(const void *bytes, size_t size, jm_module **out) JM_MUST_USE;

/* Appends the ops of such a program's @main to a region of a module, whose devices it is written
 * for; each gets the location `loc`. The arguments are values of the region, and so are the
 * results. */
jm_error *jm_stablehlo_join(const void *bytes, size_t size, jm_module *m, jm_region_id region,
                            uint32_t loc, const jm_value *arguments, uint32_t n_arguments,
                            jm_value *results, uint32_t n_results) JM_MUST_USE;

#endif
