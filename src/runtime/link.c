/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/link.h"

#include <string.h>

#include "base/settings.h"

/* Does a process before this one have the same device? */
static bool shares_device(const jm_processes *p, uint32_t process) {
  const char *identity = p->list[process].identity;
  for (uint32_t i = 0; *identity && i < process; i++)
    if (!strcmp(p->list[i].identity, identity)) return true;
  return false;
}

bool jm_link_serves(const jm_client *client, const jm_placement *placement) {
  const jm_processes *p = &client->processes;
  const char *name = p->list[0].collectives;
  if (!*name || placement->n_participants != p->n) return false;
  for (uint32_t i = 0; i < p->n; i++)
    if (placement->process[i] != i || strcmp(p->list[i].collectives, name) != 0 ||
        shares_device(p, i))
      return false;
  return true;
}

jm_error *jm_link_check(const jm_client *client, const jm_placement *placement) {
  const char *setting = jm_setting_find(JM_SETTING_COLLECTIVES);
  if (!setting || strcmp(setting, "nccl") != 0 || jm_link_serves(client, placement)) return NULL;
  return jm_error_unimplemented(
      "JAX_MPS_COLLECTIVES is nccl, which serves programs with one device of each process, and "
      "processes each of which sees one NVIDIA GPU of its own (CUDA_VISIBLE_DEVICES)");
}

static jm_error *join(jm_client *client) {
  char address[sizeof client->processes.list[0].address];
  const jm_processes *p = &client->processes;
  jm_engine *engine = client->engines[0];
  JM_TRY(jm_processes_find_address(p, "its device's first exchange", &client->stopping, address,
                                   sizeof address));
  return engine->join(engine, p->self, p->n, address);
}

jm_error *jm_link_join(jm_client *client, const jm_context *context) {
  uint32_t least;
  const jm_meeting meeting = {
      .op = JM_NONE, .name = "joining", .cancelled = jm_context_flag(context)};
  if (client->is_joined) return jm_error_clone(client->join_error);
  JM_TRY(context->group->meet(context->group, &meeting, &least));
  client->join_error = join(client);
  client->is_joined = true;
  return jm_error_clone(client->join_error);
}
