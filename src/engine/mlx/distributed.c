/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mlx/distributed.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/settings.h"
#include "base/text.h"
#include "engine/group.h"
#include "engine/mlx/library.h"
#include "profile/timeline.h"

typedef struct mlx_transport {
  jm_transport base;
  const jm_mlx_api *api;
  jm_mlx_group *group;
} mlx_transport;

/* What MLX calls its back ends, and whether we set them up: it is MLX's own environment variables
 * that do it for the others, and what starts the processes sets those. NCCL moves no memory of the
 * host: beside it the ring does. */
typedef struct backend {
  const char *setting, *name;
  bool has_host_file;
} backend;

static const backend backends[] = {
    {"auto", "ring", true}, {"ring", "ring", true}, {"jaccl", "jaccl", false},
    {"nccl", "ring", true}, {"mpi", "mpi", false},
};

static jm_error *find_backend(const backend **out) {
  const char *name = jm_setting_find(JM_SETTING_COLLECTIVES);
  if (!name) name = "auto";
  for (size_t i = 0; i < sizeof backends / sizeof *backends; i++)
    if (!strcmp(backends[i].setting, name)) {
      *out = &backends[i];
      return NULL;
    }
  return jm_error_invalid(
      "JAX_MPS_COLLECTIVES is '%.100s', it may be auto, ring, jaccl, nccl or mpi", name);
}

jm_error *jm_mlx_transport_check(void) {
  const backend *known;
  const jm_mlx_api *api;
  JM_TRY(find_backend(&known));
  return jm_error_note(jm_mlx_api_open(&api),
                       "programs over several processes exchange their data through MLX: pip "
                       "install 'jax-mps-c[distributed]'");
}

/* The ring's host file: a JSON list with a list of addresses for each rank. */
static jm_error *write_host_file(const char *const *addresses, uint32_t n, char *path) {
  jm_text text;
  jm_text_init(&text);
  for (uint32_t i = 0; i < n; i++) jm_text_printf(&text, "%s[\"%s\"]", i ? "," : "[", addresses[i]);
  jm_text_printf(&text, "]\n");
  jm_error *error = jm_text_error(&text);
  const int file = error ? -1 : mkstemp(path);
  if (!error && (file < 0 || write(file, text.bytes, text.size) != (ssize_t)text.size))
    error = jm_error_create(JM_UNAVAILABLE, "can't write %s, which MLX's ring reads", path);
  if (file >= 0) close(file);
  jm_text_deinit(&text);
  return error;
}

static jm_error *gather(jm_transport *transport, const void *bytes, size_t n, void *out) {
  const mlx_transport *t = (mlx_transport *)transport;
  jm_error *error = t->api->group_gather(t->group, bytes, n, out);
  return jm_error_note(error, "another process has ended, or can't be reached");
}

static void destroy(jm_transport *transport) {
  mlx_transport *t = (mlx_transport *)transport;
  t->api->group_close(t->group);
  jm_free(t);
}

jm_error *jm_mlx_transport_open(uint32_t self, uint32_t n, const char *const *addresses,
                                jm_transport **out) {
  const backend *known;
  const jm_mlx_api *api;
  JM_TRY(find_backend(&known));
  JM_TRY(jm_mlx_api_open(&api));
  mlx_transport *t = jm_alloc(1, sizeof *t);
  if (!t) return jm_error_out_of_memory();
  char path[] = "/tmp/jax_mps_hosts_XXXXXX";
  jm_error *error = known->has_host_file ? write_host_file(addresses, n, path) : NULL;
  if (!error)
    error = api->group_open(known->name, self, n, known->has_host_file ? path : NULL, &t->group);
  if (known->has_host_file) unlink(path);
  if (error) {
    jm_free(t);
    return jm_error_note(error, "process %u of %u, at %s", self, n, addresses[self]);
  }
  t->base = (jm_transport){self, n, gather, destroy};
  t->api = api;
  *out = &t->base;
  return NULL;
}

/* -- the link of a device */

typedef struct link_row {
  const char *backend;                /* of MLX's devices */
  const char *collectives, *settings; /* words */
  bool is_shared, scatters;
} link_row;

/* Metal has none: MLX's ring and JACCL work on the CPU, where our transport does, too. */
static const link_row links[] = {
    {"cuda", "nccl", "auto nccl", false, true},
    {"cpu", "ring", "auto", true, false},
};

const char *jm_mlx_link_find(const jm_mlx_device_fact *device) {
  const char *setting = jm_setting_find(JM_SETTING_COLLECTIVES);
  for (size_t i = 0; i < sizeof links / sizeof *links && device->n_gpus <= 1; i++)
    if (!strcmp(links[i].backend, device->backend) &&
        strstr(links[i].settings, setting ? setting : "auto"))
      return links[i].collectives;
  return NULL;
}

bool jm_mlx_link_shares_group(const char *collectives) {
  for (size_t i = 0; i < sizeof links / sizeof *links; i++)
    if (!strcmp(links[i].collectives, collectives)) return links[i].is_shared;
  return false;
}

jm_error *jm_mlx_link_open(const jm_mlx_api *api, const char *backend, uint32_t self, uint32_t n,
                           const char *address, jm_mlx_link *out) {
  for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
    if (strcmp(links[i].collectives, backend) != 0) continue;
    *out = (jm_mlx_link){NULL, self, n, links[i].is_shared, links[i].scatters};
    return api->group_join(backend, self, n, links[i].is_shared ? NULL : address, &out->group);
  }
  return jm_error_internal("no collectives are called '%.100s'", backend);
}

jm_error *jm_mlx_link_meet(const jm_mlx_link *link, const jm_context *context, uint32_t op,
                           const char *name, uint32_t number, uint32_t *least) {
  *least = number;
  if (!link) return NULL;
  const jm_meeting meeting = {op, name, number, jm_context_flag(context)};
  const int64_t start = jm_timeline_begin();
  jm_error *error = context->group->meet(context->group, &meeting, least);
  jm_timeline_end(JM_SPAN_wait_peers, context->device, 0, 0, start);
  return error;
}

jm_error *jm_mlx_link_compare(const jm_mlx_link *link, const jm_context *context, const char *name,
                              uint32_t number, bool *same) {
  uint32_t least, flipped;
  JM_TRY(jm_mlx_link_meet(link, context, JM_NONE, name, number, &least));
  JM_TRY(jm_mlx_link_meet(link, context, JM_NONE, name, ~number, &flipped));
  *same = least == ~flipped; /* the least is the most, too */
  return NULL;
}
