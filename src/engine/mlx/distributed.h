/* SPDX-License-Identifier: Apache-2.0
 * MLX's distributed groups: which back end, by which environment it is set up, and that the group
 * is ours. As a transport of bytes, which needs libjm_engine_mlx_<version> and no device of MLX;
 * and as the link of a device, over which its arrays are exchanged without the host. */
#ifndef JM_ENGINE_MLX_DISTRIBUTED_H
#define JM_ENGINE_MLX_DISTRIBUTED_H

#include "engine/context.h"
#include "engine/mlx/bridge.h"
#include "engine/transport.h"

/* FAILED_PRECONDITION, with what to install, if there is no MLX engine; INVALID_ARGUMENT or
 * UNIMPLEMENTED for a setting COLLECTIVES that names no back end that serves. */
jm_error *jm_mlx_transport_check(void) JM_MUST_USE;

/* Joins the group of all n processes, which do the same meanwhile; addresses[i] is where process i
 * listens, "host:port". */
jm_error *jm_mlx_transport_open(uint32_t self, uint32_t n, const char *const *addresses,
                                jm_transport **out) JM_MUST_USE;

/* The device's own collectives (lower_collective.c), on the engine's thread. */
typedef struct jm_mlx_link {
  jm_mlx_group *group; /* NULL: not joined */
  uint32_t self, size; /* participants are processes */
  bool is_shared;      /* the transport uses the group, too: one at a time */
  bool scatters;       /* the group has sum_scatter */
} jm_mlx_link;

/* The back end that the setting COLLECTIVES allows for a device: "nccl" for an NVIDIA GPU that is
 * the only one that the process sees (MLX's NCCL takes another one for itself where there are
 * several), "ring" for MLX's CPU device; NULL: none. */
const char *jm_mlx_link_find(const jm_mlx_device_fact *device);
/* Whether these collectives, "" for none, are those of the group that a transport opened. */
bool jm_mlx_link_shares_group(const char *collectives);
jm_error *jm_mlx_link_open(const jm_mlx_api *api, const char *backend, uint32_t self, uint32_t n,
                           const char *address, jm_mlx_link *out) JM_MUST_USE;

/* Has all processes of a run meet; *least: the least of the numbers that they bring. Without a link
 * the process is on its own: its number. op: that they meet at, JM_NONE: at none. */
jm_error *jm_mlx_link_meet(const jm_mlx_link *link, const jm_context *context, uint32_t op,
                           const char *name, uint32_t number, uint32_t *least) JM_MUST_USE;
/* Do all of them bring the same number? All get the same answer. */
jm_error *jm_mlx_link_compare(const jm_mlx_link *link, const jm_context *context, const char *name,
                              uint32_t number, bool *same) JM_MUST_USE;

#endif
