/* SPDX-License-Identifier: Apache-2.0
 * Shared by the files of the pass `patterns`: a search that starts at the last op of a pattern and
 * walks up to its operands, collecting the ops between. A matcher changes nothing; patterns.c
 * rewrites what it finds. */
#ifndef JM_PASS_PATTERNS_H
#define JM_PASS_PATTERNS_H

#include "pass/rewrite.h"

enum { JM_PATTERN_OPS = 32, JM_PATTERN_OPERANDS = 4, JM_PATTERN_CONFIG = 12 };

/* The state of a search for a pattern, and its result. */
typedef struct jm_pattern {
  jm_module *m;
  const uint32_t *uses;         /* per value */
  jm_op_id ops[JM_PATTERN_OPS]; /* all but the last; none is used outside of the pattern */
  uint32_t n_ops;
  /* The result, if the pattern is there: */
  jm_value operands[JM_PATTERN_OPERANDS];
  uint32_t n_operands;
  jm_dict_entry config[JM_PATTERN_CONFIG];
  uint32_t n_config;
} jm_pattern;

/* Does the pattern end with this op? Fills in operands and config; INTERNAL errors and lack of
 * memory alone are errors. */
typedef jm_error *jm_pattern_fn(jm_pattern *p, const jm_op *last, bool *found);

jm_pattern_fn jm_pattern_find_attention, jm_pattern_find_layer_norm, jm_pattern_find_rms_norm;

/* The op of this code that defines a value, if it has exactly this many uses; it then becomes a
 * part of the pattern. NULL: another op, or used elsewhere. */
const jm_op *jm_pattern_inner(jm_pattern *p, jm_value v, jm_opcode code, uint32_t uses);

/* The number that a float value repeats in every element; false: the value is no such splat. */
bool jm_pattern_is_number(const jm_pattern *p, jm_value v, double *out);
bool jm_pattern_is(const jm_pattern *p, jm_value v, double wanted);

/* The reduction by this op along the last dimension alone, from this start on, used once; NULL:
 * another value. */
const jm_op *jm_pattern_reduces_last(jm_pattern *p, jm_value v, jm_opcode code, double start);

/* The vector that the value repeats along all dimensions but its last; JM_NONE: another value. */
jm_value jm_pattern_repeated_vector(const jm_pattern *p, jm_value v);

/* exp(x - max(x)) / sum(exp(x - max(x))) along the last dimension: x, JM_NONE if it isn't one.
 * *moved: x is a transpose, and the maximum is that of its operand, transposed. */
jm_value jm_pattern_softmax(jm_pattern *p, const jm_op *divide, bool *moved);

/* Entries of the config; the keys are static memory. */
void jm_pattern_set_bool(jm_pattern *p, const char *key, bool value); /* false: no entry */
void jm_pattern_set_i64(jm_pattern *p, const char *key, int64_t value);
void jm_pattern_set_f64(jm_pattern *p, const char *key, double value);
jm_error *jm_pattern_set_i64s(jm_pattern *p, const char *key, const int64_t *values,
                              uint32_t n) JM_MUST_USE;

#endif
