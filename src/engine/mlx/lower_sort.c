/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mlx/lower_rules.h"

const jm_lower_rule jm_lower_sort_rules[] = {
    {JM_N_OPS, NULL, NULL},
};
