/* SPDX-License-Identifier: Apache-2.0
 * The MLX engine, which implements engine/engine.h: finds and loads libjm_engine_mlx_<version>,
 * opens the device, runs programs through execute.h. */
#ifndef JM_ENGINE_MLX_ENGINE_H
#define JM_ENGINE_MLX_ENGINE_H

#include "engine/engine.h"

/* Opens MLX's GPU, or its CPU device. To be called on the thread that will own the engine. The
 * libraries are those of the settings MLX_LIBRARY and MLX_ENGINE. Errors: NOT_FOUND (no library),
 * FAILED_PRECONDITION (another version of MLX, no such device), each with what to do about it. */
jm_error *jm_mlx_engine_create(bool gpu, jm_engine **out) JM_MUST_USE;

#endif
