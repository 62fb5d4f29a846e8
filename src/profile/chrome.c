/* SPDX-License-Identifier: Apache-2.0
 * A session as JSON of Chrome's trace viewer: a process for each device, a thread for each line,
 * a complete event for each span. Times are microseconds. */
#include <stdio.h>
#include <string.h>

#include "profile/report.h"

static void print_quoted(jm_text *out, const char *text) {
  jm_text_quote_json(out, text, strlen(text));
}

static void print_string(jm_text *out, const char *key, const char *value) {
  if (!*value) return;
  jm_text_printf(out, ", \"%s\": ", key);
  print_quoted(out, value);
}

/* {"ph": "M"}: what a process or a thread is called, and its place in the picture. */
static void print_names(jm_text *out, uint32_t device, uint32_t thread, const char *what,
                        const char *name) {
  jm_text_printf(out,
                 "{\"ph\": \"M\", \"pid\": %u, \"tid\": %u, \"name\": \"%s_name\", \"args\": "
                 "{\"name\": ",
                 device, thread, what);
  print_quoted(out, name);
  jm_text_printf(out,
                 "}},\n{\"ph\": \"M\", \"pid\": %u, \"tid\": %u, \"name\": \"%s_sort_index\", "
                 "\"args\": {\"sort_index\": %u}},\n",
                 device, thread, what, thread);
}

static void print_arguments(jm_text *out, const jm_span *span) {
  jm_text_printf(out, "\"args\": {\"line\": ");
  print_quoted(out, jm_line_names[jm_span_facts[span->kind].line]);
  if (span->label) {
    const jm_span_label *label = jm_timeline_label(span->label);
    print_string(out, "program", label->program);
    print_string(out, "op", label->op);
    print_string(out, "scope", label->scope);
    print_string(out, "source", label->source);
    if (label->flops > 0) jm_text_printf(out, ", \"flops\": %.0f", label->flops);
    if (label->bytes > 0) jm_text_printf(out, ", \"bytes\": %.0f", label->bytes);
  }
  if (jm_span_facts[span->kind].value == JM_VALUE_BYTES)
    jm_text_printf(out, ", \"bytes\": %llu", (unsigned long long)span->value);
  jm_text_printf(out, "}");
}

static void print_span(jm_text *out, const jm_span *span, uint32_t thread, int64_t origin) {
  const int64_t start = span->start - origin, length = span->end - span->start;
  jm_text_printf(out,
                 "{\"ph\": \"X\", \"pid\": %u, \"tid\": %u, \"ts\": %lld.%03lld, \"dur\": "
                 "%lld.%03lld, \"name\": ",
                 span->device, thread, (long long)(start / 1000), (long long)(start % 1000),
                 (long long)(length / 1000), (long long)(length % 1000));
  print_quoted(out, jm_span_name(span));
  jm_text_printf(out, ", ");
  print_arguments(out, span);
  jm_text_printf(out, "},\n");
}

void jm_report_write_chrome(const jm_report *report, jm_text *out) {
  int64_t origin = INT64_MAX;
  for (size_t i = 0; i < report->n; i++)
    if (report->spans[i].start < origin) origin = report->spans[i].start;
  jm_text_printf(out, "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n");
  uint32_t thread = 0;
  for (size_t first = 0, end; first < report->n; first = end) {
    const jm_span *span = &report->spans[first];
    if (!first || span->device != span[-1].device) {
      char name[32];
      snprintf(name, sizeof name, "mps:%u", span->device);
      print_names(out, span->device, 0, "process", name);
      thread = 0;
    }
    thread++;
    end = jm_report_lane_end(report, first);
    jm_text name;
    jm_text_init(&name);
    jm_span_print_line(span, &name);
    print_names(out, span->device, thread, "thread", jm_text_bytes(&name));
    jm_text_deinit(&name);
    for (size_t i = first; i < end; i++) print_span(out, &report->spans[i], thread, origin);
  }
  /* The list's last comma needs an element after it. */
  jm_text_printf(
      out, "{\"ph\": \"M\", \"pid\": 0, \"name\": \"lost\", \"args\": {\"spans\": %llu}}\n]}\n",
      (unsigned long long)report->n_lost);
}
