/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/report.h"

#include <stdlib.h>

enum {
  MOST_LANES = 32, /* of a line; what overlaps more than that shares the last one */
  MOST_DEPTH = 32, /* of nested spans; a deeper one gets another lane */
};

static int compare_numbers(int64_t a, int64_t b) { return (a > b) - (a < b); }

static int compare_lines(const jm_span *a, const jm_span *b) {
  const int devices = compare_numbers(a->device, b->device);
  if (devices) return devices;
  return compare_numbers(jm_span_facts[a->kind].line, jm_span_facts[b->kind].line);
}

/* What begins at once: the outer one first. */
static int compare_times(const jm_span *a, const jm_span *b) {
  const int starts = compare_numbers(a->start, b->start);
  return starts ? starts : compare_numbers(b->end, a->end);
}

static int compare_in_line(const void *left, const void *right) {
  const int lines = compare_lines(left, right);
  return lines ? lines : compare_times(left, right);
}

static int compare_in_lane(const void *left, const void *right) {
  const jm_span *a = left, *b = right;
  const int lines = compare_lines(a, b);
  if (lines) return lines;
  const int lanes = compare_numbers(a->lane, b->lane);
  return lanes ? lanes : compare_times(a, b);
}

/* The spans of a lane that have not ended where the next one begins, outermost first. */
typedef struct lane {
  int64_t ends[MOST_DEPTH];
  uint32_t depth;
} lane;

static bool enters(lane *l, const jm_span *span) {
  while (l->depth && l->ends[l->depth - 1] <= span->start) l->depth--;
  if (l->depth == MOST_DEPTH) return false;
  if (l->depth && l->ends[l->depth - 1] < span->end) return false;
  l->ends[l->depth++] = span->end;
  return true;
}

/* Gives each span of a line, which begin in this order, the first lane in which it nests. */
static void assign_lanes(jm_span *spans, size_t n) {
  lane lanes[MOST_LANES];
  uint16_t n_lanes = 0;
  for (size_t i = 0; i < n; i++) {
    uint16_t at = 0;
    while (at < n_lanes && !enters(&lanes[at], &spans[i])) at++;
    if (at == n_lanes && n_lanes < MOST_LANES) {
      lanes[n_lanes].depth = 0;
      n_lanes += enters(&lanes[at], &spans[i]);
    }
    spans[i].lane = at < MOST_LANES ? at : MOST_LANES - 1;
  }
}

jm_error *jm_report_build(jm_timeline_session *session, jm_report *out) {
  jm_report report = {0};
  JM_TRY(jm_timeline_read(session, &report.spans, &report.n, &report.n_lost));
  qsort(report.spans, report.n, sizeof *report.spans, compare_in_line);
  for (size_t first = 0, end; first < report.n; first = end) {
    end = first + 1;
    while (end < report.n && !compare_lines(&report.spans[first], &report.spans[end])) end++;
    assign_lanes(report.spans + first, end - first);
  }
  qsort(report.spans, report.n, sizeof *report.spans, compare_in_lane);
  *out = report;
  return NULL;
}

void jm_report_deinit(jm_report *report) {
  jm_free(report->spans);
  *report = (jm_report){0};
}

size_t jm_report_lane_end(const jm_report *report, size_t first) {
  const jm_span *span = &report->spans[first];
  size_t end = first + 1;
  while (end < report->n && !compare_lines(span, &report->spans[end]) &&
         report->spans[end].lane == span->lane)
    end++;
  return end;
}

void jm_span_print_line(const jm_span *span, jm_text *text) {
  jm_text_printf(text, "%s", jm_line_names[jm_span_facts[span->kind].line]);
  if (span->lane) jm_text_printf(text, " %u", span->lane + 1u);
}

const char *jm_span_name(const jm_span *span) {
  return span->label ? jm_timeline_label(span->label)->name : jm_span_facts[span->kind].name;
}
