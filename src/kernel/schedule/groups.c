/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/schedule/groups.h"

/* A fusion with a kind is one call of the engine, not a kernel. */
static bool is_group(const jm_op *op) {
  return op->code == JM_OP_fusion && !((const jm_fusion_attrs *)op->attrs)->kind.size;
}

static uint32_t fusions_count(const jm_module *m) {
  uint32_t n = 0;
  for (jm_op_id id = 0; id < m->n_ops; id++) n += is_group(jm_module_op(m, id));
  return n;
}

static jm_error *schedule_all(const jm_module *m, const jm_target *target, jm_groups *groups) {
  for (jm_op_id id = 0; id < m->n_ops; id++) {
    const jm_op *op = jm_module_op(m, id);
    if (!is_group(op)) continue;
    jm_group_code *group = &groups->groups[groups->n_groups];
    group->op = id;
    JM_TRY(jm_schedule_build(m, op, target, &group->schedule));
    groups->n_groups++;
    groups->n_launches += group->schedule->n_launches;
    group->codes = jm_alloc(group->schedule->n_launches, sizeof *group->codes);
    if (!group->codes) return jm_error_out_of_memory();
  }
  return NULL;
}

static void release_none(void *code) { (void)code; }

jm_error *jm_groups_schedule(const jm_module *module, const jm_target *target, jm_groups **out) {
  jm_groups *groups = jm_alloc(1, sizeof *groups);
  if (!groups) return jm_error_out_of_memory();
  groups->groups = jm_alloc(fusions_count(module), sizeof *groups->groups);
  jm_error *error = groups->groups ? NULL : jm_error_out_of_memory();
  if (!error) error = schedule_all(module, target, groups);
  if (error) {
    jm_groups_destroy(groups, release_none);
    return error;
  }
  *out = groups;
  return NULL;
}

void jm_groups_destroy(jm_groups *groups, void (*release)(void *code)) {
  if (!groups) return;
  for (uint32_t i = 0; i < groups->n_groups; i++) {
    jm_group_code *group = &groups->groups[i];
    for (uint32_t l = 0; group->codes && l < group->schedule->n_launches; l++)
      if (group->codes[l]) release(group->codes[l]);
    jm_free(group->codes);
    jm_schedule_destroy(group->schedule);
  }
  jm_free(groups->groups);
  jm_free(groups);
}

const jm_group_code *jm_groups_find(const jm_groups *groups, jm_op_id op) {
  uint32_t low = 0, high = groups ? groups->n_groups : 0;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (groups->groups[middle].op < op)
      low = middle + 1;
    else
      high = middle;
  }
  return groups && low < groups->n_groups && groups->groups[low].op == op ? &groups->groups[low]
                                                                          : NULL;
}

jm_error *jm_groups_compile(jm_groups *groups, jm_groups_compile_fn *compile, void *context) {
  uint32_t n = groups->n_launches, k = 0;
  const jm_kernel **kernels = jm_alloc(n, sizeof *kernels);
  void **codes = jm_alloc(n, sizeof *codes);
  jm_error *error = kernels && codes ? NULL : jm_error_out_of_memory();
  for (uint32_t i = 0; !error && i < groups->n_groups; i++)
    for (uint32_t l = 0; l < groups->groups[i].schedule->n_launches; l++)
      kernels[k++] = groups->groups[i].schedule->launches[l].kernel;
  if (!error) error = compile(context, kernels, n, codes);
  k = 0;
  for (uint32_t i = 0; !error && i < groups->n_groups; i++)
    for (uint32_t l = 0; l < groups->groups[i].schedule->n_launches; l++)
      groups->groups[i].codes[l] = codes[k++];
  jm_free(codes);
  jm_free(kernels);
  return error;
}
