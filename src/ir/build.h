/* SPDX-License-Identifier: Apache-2.0
 * Building a module: types, regions, ops. Nothing here checks an op's rules (verify.h does).
 * Pointers to ops, values and regions move when the module grows: hold indices, not pointers. */
#ifndef JM_IR_BUILD_H
#define JM_IR_BUILD_H

#include "ir/module.h"

/* A region without parent; its arguments are added by jm_build_arg right after, before any other
 * value of the module is made (they are consecutive). */
jm_error *jm_build_region(jm_module *m, jm_region_id *out) JM_MUST_USE;
jm_error *jm_build_arg(jm_module *m, jm_region_id region, const jm_type *type,
                       jm_value *out) JM_MUST_USE;

/* The type of one partition's part of an array; sharding may be NULL. INVALID_ARGUMENT if a
 * dimension is not a multiple of the number of its parts. */
jm_error *jm_build_part_type(jm_module *m, const jm_sharding *sharding, const jm_type *whole,
                             const jm_type **out) JM_MUST_USE;

typedef struct jm_op_spec {
  jm_opcode code;
  const jm_value *operands; /* captures last */
  uint32_t n_operands, n_captures;
  const jm_type *const *result_types;
  uint32_t n_results;
  const void *attrs;  /* jm_<op>_attrs to copy (bytes pointed to are not copied: they must live in
                         the module's arena); NULL: all zero */
  uint32_t n_regions; /* reserves consecutive, empty regions whose parent is the op */
  uint32_t loc;       /* JM_NONE: unknown */
} jm_op_spec;

/* What builds an op like the given one from other operands, with results of other types; the caller
 * may change attrs and loc, which are the op's. Regions are reserved, empty. */
jm_op_spec jm_op_spec_like(const jm_op *op, const jm_value *operands,
                           const jm_type *const *result_types);

/* Appends an op to a region. first_result of the op is module->ops[*out].first_result. */
jm_error *jm_build_op(jm_module *m, jm_region_id region, const jm_op_spec *spec,
                      jm_op_id *out) JM_MUST_USE;

/* Sets what a region returns (copied). */
jm_error *jm_build_results(jm_module *m, jm_region_id region, const jm_value *values,
                           uint32_t n) JM_MUST_USE;

/* Appends further captures to an op that was built: the caller keeps operands and trailing
 * arguments of its regions consistent. Used by readers that learn of captures while reading. */
jm_error *jm_build_captures(jm_module *m, jm_op_id op, const jm_value *values,
                            uint32_t n) JM_MUST_USE;

/* Shorthands for ops of one result, without regions. */
jm_error *jm_build_one(jm_module *m, jm_region_id region, jm_opcode code, const jm_value *operands,
                       uint32_t n, const void *attrs, const jm_type *type, uint32_t loc,
                       jm_value *out) JM_MUST_USE;
jm_error *jm_build_unary(jm_module *m, jm_region_id region, jm_opcode code, jm_value operand,
                         const jm_type *type, uint32_t loc, jm_value *out) JM_MUST_USE;
jm_error *jm_build_binary(jm_module *m, jm_region_id region, jm_opcode code, jm_value lhs,
                          jm_value rhs, const jm_type *type, uint32_t loc,
                          jm_value *out) JM_MUST_USE;
/* A constant with every element equal to the one at value (in our buffer format). */
jm_error *jm_build_splat(jm_module *m, jm_region_id region, const jm_type *type, const void *value,
                         uint32_t loc, jm_value *out) JM_MUST_USE;
jm_error *jm_build_broadcast(jm_module *m, jm_region_id region, jm_value operand,
                             const int64_t *dims, uint32_t n_dims, const jm_type *type,
                             uint32_t loc, jm_value *out) JM_MUST_USE;

/* An empty region's op list, copied from another region of the same module, is not offered: clone
 * with jm_build_clone, which maps values. Clones the ops of `from` to the end of region `to`,
 * with map[v] the new value of each value v of `from` (the caller sets it for from's arguments;
 * map has n_values entries as of the call and is filled in). */
jm_error *jm_build_clone(jm_module *m, jm_region_id from, jm_region_id to,
                         jm_value *map) JM_MUST_USE;

/* Clones all of a region, which refers to nothing outside itself, to an empty one. */
jm_error *jm_build_clone_region(jm_module *m, jm_region_id from, jm_region_id to) JM_MUST_USE;

#endif
