/* SPDX-License-Identifier: Apache-2.0
 * A region prepared for repeated runs on scalars. If its ops are elementwise on scalars, a run
 * works on many lanes at once: the same scalar program for each lane. Whole regions on tensors are
 * jm_library_evaluate's. */
#ifndef JM_LIBRARY_REGION_H
#define JM_LIBRARY_REGION_H

#include "engine/call.h"

typedef struct jm_library_region jm_library_region;

/* captures: the trailing arguments' tensors (scalars or of any shape), the same for every lane.
 * max_lanes is a wish; jm_library_region_lanes tells what one run takes (1 if the region is not
 * elementwise). */
jm_error *jm_library_region_create(const jm_module *module, jm_region_id region,
                                   const jm_tensor *captures, uint32_t n_captures, size_t max_lanes,
                                   jm_library_region **out) JM_MUST_USE;
void jm_library_region_destroy(jm_library_region *region); /* NULL is allowed */
size_t jm_library_region_lanes(const jm_library_region *region);
/* args[i]: n elements of argument i (captures excluded); results[i]: n elements. Results may be the
 * memory of arguments. */
jm_error *jm_library_region_run(jm_library_region *region, const void *const *args,
                                void *const *results, size_t n) JM_MUST_USE;

#endif
