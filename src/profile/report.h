/* SPDX-License-Identifier: Apache-2.0
 * What a session recorded, in the order in which it is drawn, and its two forms: an XSpace, which
 * is what JAX's profiler collects, and the JSON of Chrome's trace viewer, which Perfetto reads. */
#ifndef JM_PROFILE_REPORT_H
#define JM_PROFILE_REPORT_H

#include "base/text.h"
#include "profile/timeline.h"

/* Sorted by device, line, lane, start. The spans of a lane nest: none begins in another and ends
 * after it. A line has one lane, or more where the device did several things of it at once. */
typedef struct jm_report {
  jm_span *spans;
  size_t n;
  uint64_t n_lost;
} jm_report;

jm_error *jm_report_build(jm_timeline_session *session, jm_report *out) JM_MUST_USE;
void jm_report_deinit(jm_report *report);

/* The end of the spans from first on that share its device, line and lane. */
size_t jm_report_lane_end(const jm_report *report, size_t first);

/* "Kernels", and of the second lane "Kernels 2". */
void jm_span_print_line(const jm_span *span, jm_text *text);

/* Its label's name, or its kind's. */
const char *jm_span_name(const jm_span *span);

/* A serialized tensorflow.profiler.XSpace with a plane for each device. */
void jm_report_write_xspace(const jm_report *report, jm_text *out);

/* The JSON object format of Chrome's trace events. */
void jm_report_write_chrome(const jm_report *report, jm_text *out);

#endif
