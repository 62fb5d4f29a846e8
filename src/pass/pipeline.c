/* SPDX-License-Identifier: Apache-2.0
 * The order of the passes, on one screen. */
#include <string.h>

#include "ir/verify.h"
#include "pass/pass.h"

typedef struct pass {
  const char *name;
  jm_pass_fn *run;
} pass;

static const pass passes[] = {
    {"dce", jm_pass_dce},           {"captures", jm_pass_captures}, {"fold", jm_pass_fold},
    {"simplify", jm_pass_simplify}, {"cse", jm_pass_cse},           {"carries", jm_pass_carries},
    {"hoist", jm_pass_hoist},       {"absorb", jm_pass_absorb},     {"compact", jm_pass_compact},
};

/* dce first: most of a program that JAX differentiated is never used. The rest, in rounds: each
 * pass leaves work for another (a folded branch frees captures, a carry that never changes makes
 * its users invariant), but few programs have work for a third round. */
static const pass rounds[] = {
    {"captures", jm_pass_captures}, {"fold", jm_pass_fold},       {"simplify", jm_pass_simplify},
    {"cse", jm_pass_cse},           {"carries", jm_pass_carries}, {"hoist", jm_pass_hoist},
    {"absorb", jm_pass_absorb},     {"dce", jm_pass_dce},
};
enum { N_ROUNDS = 4 };

static jm_error *run(jm_module *m, const pass *pass, const jm_pass_options *options,
                     bool *changed) {
  JM_TRY(jm_error_note(pass->run(m, options, changed), "in pass %s", pass->name));
  if (!options->verify) return NULL;
  return jm_error_note(jm_module_verify(m), "after pass %s", pass->name);
}

jm_error *jm_pass_pipeline(jm_module *m, const jm_pass_options *options) {
  bool changed = true;
  JM_TRY(run(m, &passes[0], options, &changed));
  for (int round = 0; round < N_ROUNDS && changed; round++) {
    changed = false;
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++)
      JM_TRY(run(m, &rounds[i], options, &changed));
  }
  return run(m, &(const pass){"compact", jm_pass_compact}, options, &changed);
}

jm_error *jm_pass_run(jm_module *m, const char *name, size_t size, const jm_pass_options *options) {
  char names[256] = "";
  for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
    bool changed = false;
    if (strlen(passes[i].name) == size && !memcmp(passes[i].name, name, size))
      return run(m, &passes[i], options, &changed);
    strcat(strcat(names, " "), passes[i].name); /* a table of ours: it fits */
  }
  return jm_error_create(JM_NOT_FOUND, "no pass is named %.*s; there are:%s", (int)size, name,
                         names);
}
