/* SPDX-License-Identifier: Apache-2.0
 * The wire of a job: through shared memory where all its processes are on one host, else over MLX's
 * distributed groups. */
#include <string.h>

#include "base/settings.h"
#include "engine/mlx/distributed.h"
#include "runtime/shared_memory.h"
#include "runtime/wire.h"

/* Whether this process would rather share memory than have MLX's group. */
static bool prefers_memory(const jm_processes *p) {
  const char *setting = jm_setting_find(JM_SETTING_COLLECTIVES);
  if (setting && strcmp(setting, "auto") != 0 && strcmp(setting, "nccl") != 0) return false;
  for (uint32_t i = 0; i < p->n; i++)
    if (jm_mlx_link_shares_group(p->list[i].collectives)) return false;
  return true;
}

/* *out: NULL if the processes are not all on one host. Why they are not is nobody's error. */
static jm_error *open_memory(jm_processes *p, const atomic_bool *cancelled, jm_transport **out) {
  char name[JM_SHARED_NAME] = "none";
  jm_transport *mine = NULL;
  bool all = false;
  jm_error *reason = p->self ? NULL : jm_shared_memory_create(p->n, name);
  const bool is_owner = !p->self && !reason;
  jm_error_destroy(reason);
  jm_error *error = jm_processes_hear_first(p, "shared memory", cancelled, name, sizeof name);
  if (!error && prefers_memory(p)) {
    reason = jm_shared_memory_open(name, p->self, p->n, cancelled, &mine);
    jm_error_destroy(reason);
  }
  if (!error) error = jm_processes_agree(p, "its memory", mine != NULL, cancelled, &all);
  if (is_owner) jm_shared_memory_remove(name);
  if (mine && !all) {
    mine->destroy(mine);
    mine = NULL;
  }
  *out = mine;
  return error;
}

static jm_error *open_mlx(const jm_processes *p, jm_transport **out) {
  const char *addresses[JM_MAX_DEVICES];
  JM_TRY(jm_mlx_transport_check());
  for (uint32_t i = 0; i < p->n; i++) addresses[i] = p->list[i].address;
  return jm_mlx_transport_open(p->self, p->n, addresses, out);
}

static jm_error *open_transport(void *context, const atomic_bool *cancelled, jm_transport **out) {
  jm_processes *p = context;
  JM_TRY(jm_processes_meet(p, "its first exchange with the others", cancelled));
  JM_TRY(open_memory(p, cancelled, out));
  jm_error *error = *out ? NULL : open_mlx(p, out);
  jm_processes_release_port(p); /* the transport's sockets are connected, or of no use */
  return error;
}

jm_error *jm_wire_create(jm_processes *processes, jm_wire **out) {
  return jm_wire_create_over(processes->self, processes->n, open_transport, processes, out);
}

/* Do all have an address of this process's host? Then memory serves, most likely. */
static bool has_one_host(const jm_processes *p) {
  const char *own = jm_processes_self(p)->address, *colon = strrchr(own, ':');
  const size_t n = colon ? (size_t)(colon - own) + 1 : strlen(own);
  for (uint32_t i = 0; i < p->n; i++)
    if (strncmp(p->list[i].address, own, n) != 0) return false;
  return true;
}

jm_error *jm_wire_check(const jm_processes *processes) {
  return prefers_memory(processes) && has_one_host(processes) ? NULL : jm_mlx_transport_check();
}
