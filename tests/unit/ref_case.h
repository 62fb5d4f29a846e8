/* SPDX-License-Identifier: Apache-2.0
 * For tests of the library and the oracle: tensors, one op around them, and the op's bodies. A
 * module is made per case and freed with it; nothing is verified here. */
#ifndef JM_TESTS_REF_CASE_H
#define JM_TESTS_REF_CASE_H

#include <stdlib.h>

#include "engine/host/library/library.h"
#include "engine/ref/ref.h"
#include "ir/build.h"
#include "unit/check.h"
#include "unit/oracle.h"

enum { CASE_TENSORS = 8 };

typedef struct ref_case {
  jm_module *m;
  jm_region_id entry;
  jm_op_id op;
  jm_tensor in[CASE_TENSORS], out[CASE_TENSORS];
  uint32_t n_in, n_out, n_captures;
  bool no_oracle; /* the library alone is asked */
  double ulps;    /* that the library may differ from the oracle; 0: not by a bit */
} ref_case;

static inline void case_begin(ref_case *c) {
  memset(c, 0, sizeof *c);
  CHECK_OK(jm_module_create(&c->m));
  CHECK_OK(jm_build_region(c->m, &c->entry));
}

static inline void case_end(ref_case *c) {
  for (uint32_t i = 0; i < c->n_in; i++) jm_free(c->in[i].data);
  for (uint32_t i = 0; i < c->n_out; i++) jm_free(c->out[i].data);
  jm_module_destroy(c->m);
}

static inline const jm_type *case_type(ref_case *c, jm_dtype dtype, uint32_t rank,
                                       const int64_t *dims) {
  const jm_type *type = NULL;
  CHECK_OK(jm_module_type(c->m, dtype, rank, dims, &type));
  return type;
}

/* An operand with a copy of data, or with pseudo-random bytes if data is NULL. */
static inline void *case_in(ref_case *c, jm_dtype dtype, uint32_t rank, const int64_t *dims,
                            const void *data) {
  jm_tensor *t = &c->in[c->n_in++];
  t->type = case_type(c, dtype, rank, dims);
  size_t bytes = jm_type_bytes(t->type);
  t->data = jm_alloc_data(bytes);
  if (data)
    memcpy(t->data, data, bytes);
  else
    for (size_t i = 0; i < bytes; i++) ((uint8_t *)t->data)[i] = (uint8_t)(rand() >> 7);
  return t->data;
}

static inline void *case_out(ref_case *c, jm_dtype dtype, uint32_t rank, const int64_t *dims) {
  jm_tensor *t = &c->out[c->n_out++];
  t->type = case_type(c, dtype, rank, dims);
  t->data = jm_alloc_data(jm_type_bytes(t->type));
  memset(t->data, 0xA5, jm_type_bytes(t->type));
  return t->data;
}

/* Builds the op over the operands and results so far; its regions are still empty. */
static inline void case_op(ref_case *c, jm_opcode code, const void *attrs, uint32_t n_regions) {
  jm_value operands[CASE_TENSORS];
  const jm_type *types[CASE_TENSORS];
  for (uint32_t i = 0; i < c->n_in; i++)
    CHECK_OK(jm_build_arg(c->m, c->entry, c->in[i].type, &operands[i]));
  for (uint32_t i = 0; i < c->n_out; i++) types[i] = c->out[i].type;
  jm_op_spec spec = {.code = code,
                     .operands = operands,
                     .n_operands = c->n_in,
                     .n_captures = c->n_captures,
                     .result_types = types,
                     .n_results = c->n_out,
                     .attrs = attrs,
                     .n_regions = n_regions,
                     .loc = JM_NONE};
  CHECK_OK(jm_build_op(c->m, c->entry, &spec, &c->op));
}

static inline jm_region_id case_region(const ref_case *c, uint32_t i) {
  return jm_module_op(c->m, c->op)->first_region + i;
}

/* The region becomes `return code(arg0, arg1)` on scalars. */
static inline void case_binary(ref_case *c, uint32_t region, jm_opcode code, jm_dtype dtype) {
  jm_value args[2], result;
  const jm_type *type = case_type(c, dtype, 0, NULL);
  jm_region_id r = case_region(c, region);
  for (int i = 0; i < 2; i++) CHECK_OK(jm_build_arg(c->m, r, type, &args[i]));
  CHECK_OK(jm_build_binary(c->m, r, code, args[0], args[1], type, JM_NONE, &result));
  CHECK_OK(jm_build_results(c->m, r, &result, 1));
}

static inline jm_value case_compare(ref_case *c, jm_region_id region, jm_direction direction,
                                    jm_value lhs, jm_value rhs) {
  jm_op_id id;
  const jm_type *type = case_type(c, JM_DT_pred, 0, NULL);
  jm_compare_attrs attrs = {.direction = direction};
  jm_op_spec spec = {.code = JM_OP_compare,
                     .operands = (jm_value[]){lhs, rhs},
                     .n_operands = 2,
                     .result_types = &type,
                     .n_results = 1,
                     .attrs = &attrs,
                     .loc = JM_NONE};
  CHECK_OK(jm_build_op(c->m, region, &spec, &id));
  return jm_module_op(c->m, id)->first_result;
}

static inline jm_value case_select(ref_case *c, jm_region_id region, jm_value pred, jm_value yes,
                                   jm_value no) {
  jm_op_id id;
  const jm_type *type = jm_module_typeof(c->m, yes);
  jm_op_spec spec = {.code = JM_OP_select,
                     .operands = (jm_value[]){pred, yes, no},
                     .n_operands = 3,
                     .result_types = &type,
                     .n_results = 1,
                     .loc = JM_NONE};
  CHECK_OK(jm_build_op(c->m, region, &spec, &id));
  return jm_module_op(c->m, id)->first_result;
}

/* By the library, whose results are then judged by the oracle. */
static inline jm_error *case_run(const ref_case *c) {
  const jm_op *op = jm_module_op(c->m, c->op);
  const jm_call call = {c->m, op, c->in, c->out, NULL};
  jm_error *error = jm_library_find(c->m, op)(&call);
  if (!error && !c->no_oracle) check_oracle(&call, c->ulps);
  return error;
}

/* Coordinates of the i-th element, and back. */
static inline void case_unravel(const jm_type *type, int64_t i, int64_t *at) {
  for (uint32_t d = type->rank; d--; i /= type->dims[d]) at[d] = i % type->dims[d];
}
static inline int64_t case_ravel(const jm_type *type, const int64_t *at) {
  int64_t i = 0;
  for (uint32_t d = 0; d < type->rank; d++) i = i * type->dims[d] + at[d];
  return i;
}

static inline bool case_same(const jm_tensor *a, int64_t i, const jm_tensor *b, int64_t j) {
  size_t bytes = jm_dtype_bytes(a->type->dtype);
  return !memcmp((char *)a->data + (size_t)i * bytes, (char *)b->data + (size_t)j * bytes, bytes);
}

static inline int64_t case_random(int64_t low, int64_t high) { /* inclusive */
  return low + rand() % (high - low + 1);
}

#endif
