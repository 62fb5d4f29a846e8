/* SPDX-License-Identifier: Apache-2.0
 * Finds and loads MLX and libjm_engine_mlx_<version>. */
#ifndef JM_ENGINE_MLX_LIBRARY_H
#define JM_ENGINE_MLX_LIBRARY_H

#include "engine/mlx/bridge.h"

/* The library's functions; it stays loaded. NOT_FOUND with what to install. Any thread. */
jm_error *jm_mlx_api_open(const jm_mlx_api **out) JM_MUST_USE;

#endif
