/* SPDX-License-Identifier: Apache-2.0
 * What the timeline (profile/timeline.h) says of a plan's steps. */
#ifndef JM_PLAN_LABEL_H
#define JM_PLAN_LABEL_H

#include "plan/plan.h"
#include "profile/timeline.h"

/* The kind of a step's span on the host: a device engine has other words for its ops. */
jm_span_kind jm_step_span_kind(const jm_step *step);

/* The number of the step's label, made at the first call, by any thread; 0 without memory. */
uint32_t jm_step_label(const jm_plan *plan, jm_step *step);

#endif
