/* SPDX-License-Identifier: Apache-2.0
 * The walk of most passes: over every region that the entry reaches, parents first, and over its
 * ops in order. A visitor gets one op, whose operands are up to date, and may change it in place,
 * replace its results by values defined before it, or build ops, which are then inserted before it.
 * A region refers to nothing outside itself, so that each is rewritten on its own. */
#ifndef JM_PASS_REWRITE_H
#define JM_PASS_REWRITE_H

#include "ir/build.h"
#include "pass/pass.h"

typedef struct jm_rewrite jm_rewrite;
typedef jm_error *jm_rewrite_fn(jm_rewrite *rw, jm_region_id region, jm_op_id op);

struct jm_rewrite {
  jm_module *m;
  const jm_pass_options *options;
  void *context; /* the pass's own */
  jm_value *map; /* the replacement of each value that existed when the walk began */
  uint32_t n_map;
  bool drop; /* set by the visitor: the op is not kept */
  bool changed;
};

jm_error *jm_rewrite_run(jm_module *m, const jm_pass_options *options, jm_rewrite_fn *visit,
                         void *context, bool *changed) JM_MUST_USE;
/* The same; the visitor's context is a uint32_t of each value that the module has at the start: how
 * often ops use it or regions return it. */
jm_error *jm_rewrite_run_counted(jm_module *m, const jm_pass_options *options, jm_rewrite_fn *visit,
                                 bool *changed) JM_MUST_USE;

static inline jm_value jm_rewrite_value(const jm_rewrite *rw, jm_value v) {
  return v < rw->n_map ? rw->map[v] : v;
}
/* Replaces later uses of `value` by `with`. */
static inline void jm_rewrite_replace(jm_rewrite *rw, jm_value value, jm_value with) {
  rw->map[value] = with;
  rw->changed = true;
}

/* The regions that the entry reaches, parents before children; freed with jm_free. */
jm_error *jm_rewrite_regions(const jm_module *m, jm_region_id **out, uint32_t *n) JM_MUST_USE;

/* Whether an op must not be removed, merged or moved, by itself or through its regions. */
bool jm_rewrite_has_effect(const jm_module *m, const jm_op *op);
/* Whether an op has a token among its results. */
bool jm_rewrite_has_token(const jm_module *m, const jm_op *op);

/* The constant that defines a value, NULL if it is none. */
const jm_constant_attrs *jm_rewrite_constant(const jm_module *m, jm_value v);

/* The attributes of the product of exchanged operands. */
void jm_rewrite_exchange(jm_dot_general_attrs *attrs);

/* -- changing the values of a region and of an op: for passes without the walk above */

/* Gives a region new arguments: argument i is the old one number from[i], or a fresh one if that is
 * JM_NONE; old arguments that are named by no i must not be used. */
jm_error *jm_rewrite_args(jm_module *m, jm_region_id region, const uint32_t *from,
                          const jm_type *const *types, uint32_t n) JM_MUST_USE;
/* Gives an op new results: result i is the old one number from[i], which is recorded in map (by
 * value, with the old n_values entries). The caller replaces the uses. */
jm_error *jm_rewrite_results(jm_module *m, jm_op_id op, const uint32_t *from, uint32_t n,
                             jm_value *map) JM_MUST_USE;
/* Replaces uses within one region: map has n entries, values beyond it stay. */
void jm_rewrite_uses(jm_module *m, jm_region_id region, const jm_value *map, uint32_t n);

#endif
