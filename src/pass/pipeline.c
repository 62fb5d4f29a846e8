/* SPDX-License-Identifier: Apache-2.0
 * The order of the passes, on one screen. */
#include <string.h>

#include "base/text.h"
#include "ir/verify.h"
#include "pass/pass.h"

typedef enum stage {
  START,  /* once */
  ROUND,  /* repeated while something changes */
  END,    /* once */
  EXPAND, /* once, for an engine; if it changed something, all of the above again */
  LOWER,  /* once, for an engine */
} stage;

typedef struct pass {
  stage stage;
  const char *name;
  jm_pass_fn *run;
  bool (*wanted)(const jm_pass_options *options); /* NULL: always */
} pass;

static bool takes_patterns(const jm_pass_options *options) { return options->takes_pattern; }
static bool has_kernels(const jm_pass_options *options) {
  return options->target && options->target->has_kernels;
}
static bool has_loops(const jm_pass_options *options) {
  return has_kernels(options) && (options->target->has_loops || options->target->loop.resident);
}
static bool rounds_to_tf32(const jm_pass_options *options) {
  return options->target && options->target->rounds_to_tf32;
}
static bool multiplies_dilation(const jm_pass_options *options) {
  return options->target && options->target->multiplies_dilation;
}

static bool stacks_rows(const jm_pass_options *options) {
  return options->target && options->target->stack.bytes;
}

static bool walks_slices(const jm_pass_options *options) {
  return has_kernels(options) && options->target->slices.least;
}

static bool reads_reversed(const jm_pass_options *options) {
  return options->target && options->target->reads_reversed;
}

static bool computes_rows(const jm_pass_options *options) {
  return has_kernels(options) && options->target->scatter.least_row;
}

static bool orders_products(const jm_pass_options *options) {
  return has_kernels(options) && options->target->product.gain > 0;
}

static bool orders_convolutions(const jm_pass_options *options) {
  return has_kernels(options) && options->target->orders_convolutions;
}

/* dce first: most of a program that JAX differentiated is never used. Then rounds: each pass leaves
 * work for another (a folded branch frees captures, a carry that never changes makes its users
 * invariant), but few programs have work for a third round. */
static const pass pipeline[] = {
    {START, "dce", jm_pass_dce, NULL},
    {START, "partition", jm_pass_partition, NULL},
    {START, "entry", jm_pass_entry, NULL}, /* of the parts */
    {ROUND, "captures", jm_pass_captures, NULL},
    {ROUND, "fold", jm_pass_fold, NULL},
    {ROUND, "simplify", jm_pass_simplify, NULL},
    {ROUND, "products", jm_pass_products, NULL},
    {ROUND, "cse", jm_pass_cse, NULL},
    {ROUND, "carries", jm_pass_carries, NULL},
    {ROUND, "hoist", jm_pass_hoist, NULL},
    {ROUND, "absorb", jm_pass_absorb, NULL},
    {ROUND, "dce", jm_pass_dce, NULL},
    {END, "combine", jm_pass_combine, NULL},
    {END, "compact", jm_pass_compact, NULL},
    {EXPAND, "expand", jm_pass_expand, NULL},
    {LOWER, "patterns", jm_pass_patterns, takes_patterns},
    {LOWER, "dce", jm_pass_dce, takes_patterns},             /* the numbers of patterns */
    {LOWER, "precision", jm_pass_precision, rounds_to_tf32}, /* its products are dilated, too */
    {LOWER, "phases", jm_pass_phases, multiplies_dilation},
    {LOWER, "reversal", jm_pass_reversal, reads_reversed},
    {LOWER, "dce", jm_pass_dce, reads_reversed},            /* the reversed kernels */
    {LOWER, "layout", jm_pass_layout, orders_convolutions}, /* of phases, too */
    {LOWER, "order", jm_pass_order, orders_products},
    {LOWER, "simplify", jm_pass_simplify, orders_products}, /* its transposes, with others */
    {LOWER, "dce", jm_pass_dce, orders_products},
    {LOWER, "loops", jm_pass_loops, has_loops},       /* before group, which leaves loops alone */
    {LOWER, "stack", jm_pass_stack, stacks_rows},     /* of other loops */
    {LOWER, "carries", jm_pass_carries, stacks_rows}, /* sums that are made behind a loop */
    {LOWER, "dce", jm_pass_dce, stacks_rows},         /* products of rows */
    {LOWER, "slices", jm_pass_slices, walks_slices},
    {LOWER, "dce", jm_pass_dce, walks_slices}, /* what slices compute for themselves */
    {LOWER, "split", jm_pass_split, has_kernels},
    {LOWER, "group", jm_pass_group, has_kernels},
    {LOWER, "updates", jm_pass_updates, computes_rows},
    {LOWER, "dce", jm_pass_dce, computes_rows}, /* the groups of updates */
    {LOWER, "compact", jm_pass_compact, NULL},
};
enum { N_PIPELINE = sizeof pipeline / sizeof *pipeline, MOST_ROUNDS = 4 };

static jm_error *run(jm_module *m, const pass *pass, const jm_pass_options *options,
                     bool *changed) {
  JM_TRY(jm_error_note(pass->run(m, options, changed), "in pass %s", pass->name));
  if (!options->verify) return NULL;
  return jm_error_note(jm_module_verify(m), "after pass %s", pass->name);
}

static jm_error *run_stage(jm_module *m, stage stage, const jm_pass_options *options,
                           bool *changed) {
  for (uint32_t i = 0; i < N_PIPELINE; i++)
    if (pipeline[i].stage == stage && (!pipeline[i].wanted || pipeline[i].wanted(options)))
      JM_TRY(run(m, &pipeline[i], options, changed));
  return NULL;
}

jm_error *jm_pass_optimize(jm_module *m, const jm_pass_options *options) {
  bool changed = true;
  JM_TRY(run_stage(m, START, options, &changed));
  for (uint32_t round = 0; round < MOST_ROUNDS && changed; round++) {
    changed = false;
    JM_TRY(run_stage(m, ROUND, options, &changed));
  }
  return run_stage(m, END, options, &changed);
}

jm_error *jm_pass_lower(jm_module *m, const jm_pass_options *options) {
  bool changed = false;
  JM_TRY(run_stage(m, EXPAND, options, &changed));
  if (changed) JM_TRY(jm_pass_optimize(m, options));
  return run_stage(m, LOWER, options, &changed);
}

/* The first row of this name. */
static const pass *find(const char *name, size_t size) {
  for (uint32_t i = 0; i < N_PIPELINE; i++)
    if (strlen(pipeline[i].name) == size && !memcmp(pipeline[i].name, name, size))
      return &pipeline[i];
  return NULL;
}

static jm_error *not_found(const char *name, size_t size) {
  jm_text names;
  jm_text_init(&names);
  for (uint32_t i = 0; i < N_PIPELINE; i++)
    if (find(pipeline[i].name, strlen(pipeline[i].name)) == &pipeline[i])
      jm_text_printf(&names, " %s", pipeline[i].name);
  jm_error *error = jm_error_create(JM_NOT_FOUND, "no pass is named %.*s; there are:%s", (int)size,
                                    name, jm_text_bytes(&names));
  jm_text_deinit(&names);
  return error;
}

static jm_error *run_named(jm_module *m, const char *name, size_t size,
                           const jm_pass_options *options) {
  const pass *pass = find(name, size);
  bool changed = false;
  if (!pass) return not_found(name, size);
  if (pass->stage == LOWER && !options->target)
    return jm_error_invalid("the pass %s lowers for a target, and none was given", pass->name);
  return run(m, pass, options, &changed);
}

jm_error *jm_pass_run(jm_module *m, const char *names, const jm_pass_options *options) {
  while (*names) {
    const size_t size = strcspn(names, ",");
    JM_TRY(run_named(m, names, size, options));
    names += size + (names[size] == ',');
  }
  return NULL;
}
