/* SPDX-License-Identifier: Apache-2.0
 * The wire of a job: over MLX's distributed groups. */
#include "base/settings.h"
#include "engine/mlx/distributed.h"
#include "runtime/wire.h"

static jm_error *open_mlx(void *context, const atomic_bool *cancelled, jm_transport **out) {
  jm_processes *p = context;
  const char *addresses[JM_MAX_DEVICES];
  for (uint32_t i = 0; i < p->n; i++) addresses[i] = p->list[i].address;
  JM_TRY(jm_processes_meet(p, "its first exchange with the others", cancelled));
  jm_error *error = jm_mlx_transport_open(p->self, p->n, addresses, out);
  jm_processes_release_port(p); /* the transport's sockets are connected, or of no use */
  return error;
}

jm_error *jm_wire_create(jm_processes *processes, jm_wire **out) {
  return jm_wire_create_over(processes->self, processes->n, open_mlx, processes, out);
}

jm_error *jm_wire_check(void) { return jm_mlx_transport_check(); }
