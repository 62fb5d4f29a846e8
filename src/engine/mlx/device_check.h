/* SPDX-License-Identifier: Apache-2.0
 * Can kernels of ours be trusted on a device that nobody verified? At its first use a small program
 * with a group for each schedule is run there and compared with the interpreter, in about two
 * seconds; the verdict is kept beside the compiled kernels. Not here: tests of what groups mean,
 * which need no device. */
#ifndef JM_ENGINE_MLX_DEVICE_CHECK_H
#define JM_ENGINE_MLX_DEVICE_CHECK_H

#include "engine/mlx/kernels.h"

/* False: they gave something else than the interpreter, or couldn't be made; a warning says what.
 * True for devices that were verified, without a run. */
bool jm_mlx_device_check(const jm_mlx_api *api, const jm_mlx_device_fact *device,
                         const jm_target *target);

#endif
