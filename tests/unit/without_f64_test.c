/* SPDX-License-Identifier: Apache-2.0
 * Kernels for GPUs have no instruction on f64, whatever the op computes on the host: every
 * elementwise op that can be emitted, of f32, bf16, c64, s32 and pred, is in a kernel for Metal and
 * for CUDA. */
#include <string.h>

#include "ir/parse.h"
#include "ir/verify.h"
#include "kernel/emit/emit.h"
#include "kernel/schedule/schedule.h"
#include "pass/pass.h"
#include "unit/check.h"

static const char *const types[] = {"f32", "bf16", "c64", "s32", "pred"};
enum { N_TYPES = sizeof types / sizeof *types };
static uint32_t n_checked;

/* The op of operands of a type and a result of another; NULL: there is no such op. */
static jm_module *module_of(jm_opcode code, const char *type, const char *to) {
  char text[512], operands[64] = "";
  const int n = jm_op_facts[code].operands;
  for (int i = 0; i < n; i++) strcat(operands, i ? ", %x" : "%x");
  snprintf(text, sizeof text,
           "module \"m\" {\n  (%%x: %s[64]):\n  %%y: %s[64] = %s %s%s\n  return %%y\n}\n", type, to,
           jm_op_facts[code].name, operands,
           code == JM_OP_compare ? " direction=LT order=NOTYPE" : "");
  jm_module *m = NULL;
  jm_error *error = jm_module_parse(text, strlen(text), &m);
  if (!error) error = jm_module_verify(m);
  if (!error) return m;
  jm_error_destroy(error);
  jm_module_destroy(m);
  return NULL;
}

static bool has_f64(const jm_schedule *schedule) {
  for (uint32_t i = 0; i < schedule->n_launches; i++) {
    const jm_kernel *k = schedule->launches[i].kernel;
    for (uint32_t v = 0; v < k->n_values; v++)
      if (k->values[v].type == JM_KT_f64) return true;
  }
  return false;
}

static void check(jm_module *m, jm_opcode code, const char *type, const jm_target *target) {
  const jm_op *op = NULL;
  for (jm_op_id id = 0; id < m->n_ops; id++)
    if (jm_module_op(m, id)->code == code) op = jm_module_op(m, id);
  if (!op || !jm_emit_supports(m, op)) return;
  CHECK(!jm_emit_needs_f64(m, op));
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.target = target}));
  for (jm_op_id id = 0; id < m->n_ops; id++) {
    if (jm_module_op(m, id)->code != JM_OP_fusion) continue;
    jm_schedule *schedule = NULL;
    CHECK_OK(jm_schedule_build(m, jm_module_op(m, id), target, &schedule));
    if (!schedule) continue;
    const bool found = has_f64(schedule);
    if (found)
      fprintf(stderr, "%s of %s: f64 for %s\n", jm_op_facts[code].name, type, target->name);
    CHECK(!found);
    n_checked++;
    jm_schedule_destroy(schedule);
  }
}

static void every_op(void) {
  for (jm_opcode code = 0; code < JM_N_OPS; code++) {
    if (!(jm_op_facts[code].traits & JM_TRAIT_ELEMENTWISE) || jm_op_facts[code].operands < 1)
      continue;
    for (uint32_t from = 0; from < N_TYPES; from++)
      for (uint32_t to = 0; to < N_TYPES; to++) {
        for (int metal = 0; metal < 2; metal++) {
          jm_module *m = module_of(code, types[from], types[to]);
          if (!m) continue;
          check(m, code, types[from], metal ? &jm_target_metal : &jm_target_cuda);
          jm_module_destroy(m);
        }
      }
  }
  CHECK(n_checked > 300);
}

TEST_MAIN(every_op)
