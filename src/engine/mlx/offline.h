/* SPDX-License-Identifier: Apache-2.0
 * The MLX engine of a device that is not at hand: programs are compiled and planned for it as they
 * would be there, with the source of every kernel, and never run. It needs no MLX. */
#ifndef JM_ENGINE_MLX_OFFLINE_H
#define JM_ENGINE_MLX_OFFLINE_H

#include "engine/engine.h"

/* backend: "metal" or "cuda"; INVALID_ARGUMENT: another. Freed by its own destroy, after whatever
 * was compiled for it. */
jm_error *jm_mlx_offline_create(const char *backend, jm_engine **out) JM_MUST_USE;

#endif
