/* SPDX-License-Identifier: Apache-2.0
 * MLX's distributed groups as a transport: which back end, by which environment it is set up, and
 * that the group is ours. It needs libjm_engine_mlx_<version>, and no device of MLX. */
#ifndef JM_ENGINE_MLX_DISTRIBUTED_H
#define JM_ENGINE_MLX_DISTRIBUTED_H

#include "engine/transport.h"

/* FAILED_PRECONDITION, with what to install, if there is no MLX engine; INVALID_ARGUMENT or
 * UNIMPLEMENTED for a setting COLLECTIVES that names no back end that serves. */
jm_error *jm_mlx_transport_check(void) JM_MUST_USE;

/* Joins the group of all n processes, which do the same meanwhile; addresses[i] is where process i
 * listens, "host:port". */
jm_error *jm_mlx_transport_open(uint32_t self, uint32_t n, const char *const *addresses,
                                jm_transport **out) JM_MUST_USE;

#endif
