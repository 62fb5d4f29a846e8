/* SPDX-License-Identifier: Apache-2.0
 * A session as a serialized tensorflow.profiler.XSpace (xplane.proto). Names of statistics are
 * those of XLA, so that its tools know what they mean. They stand at events, for jaxlib's reader
 * shows no others, and refer to a text that is kept once, as the name of a statistic. */
#include <string.h>

#include "profile/report.h"

/* -- protocol buffers */

enum { VARINT = 0, FIXED64 = 1, BYTES = 2 };

static void put_varint(jm_text *out, uint64_t value) {
  char bytes[10];
  size_t n = 0;
  for (; value >= 0x80; value >>= 7) bytes[n++] = (char)(value | 0x80);
  bytes[n++] = (char)value;
  jm_text_append(out, bytes, n);
}

static void put_number(jm_text *out, uint32_t field, uint64_t value) {
  put_varint(out, field << 3 | VARINT);
  put_varint(out, value);
}

static void put_double(jm_text *out, uint32_t field, double value) {
  uint64_t bits;
  char bytes[8];
  memcpy(&bits, &value, sizeof bits);
  for (int i = 0; i < 8; i++) bytes[i] = (char)(bits >> 8 * i);
  put_varint(out, field << 3 | FIXED64);
  jm_text_append(out, bytes, sizeof bytes);
}

static void put_bytes(jm_text *out, uint32_t field, const char *bytes, size_t n) {
  put_varint(out, field << 3 | BYTES);
  put_varint(out, n);
  if (n) jm_text_append(out, bytes, n);
}

static void put_string(jm_text *out, uint32_t field, const char *text) {
  put_bytes(out, field, text, strlen(text));
}

/* Appends a message as a field and empties it. */
static void put_message(jm_text *out, uint32_t field, jm_text *message) {
  put_bytes(out, field, jm_text_bytes(message), message->size);
  if (message->failed) out->failed = true;
  jm_text_deinit(message);
  jm_text_init(message);
}

/* -- fields of xplane.proto */

enum { SPACE_PLANES = 1, SPACE_WARNINGS = 3 };
enum { PLANE_ID = 1, PLANE_NAME, PLANE_LINES, PLANE_EVENTS, PLANE_STATS };
enum { LINE_ID = 1, LINE_NAME, LINE_TIMESTAMP_NS, LINE_EVENTS };
enum { EVENT_METADATA = 1, EVENT_OFFSET_PS, EVENT_DURATION_PS, EVENT_STATS };
enum { STAT_METADATA = 1, STAT_DOUBLE = 2, STAT_UINT64 = 3, STAT_REF = 7 };
enum { METADATA_ID = 1, METADATA_NAME };
enum { MAP_KEY = 1, MAP_VALUE };

/* XLA's name for the flow from the call of the C API to what it started. */
enum { LIBRARY_CALL = 14 };

/* Ids of statistics; the first are those of a label's texts. */
enum { PROGRAM = 1, OP, SCOPE, SOURCE, FLOPS, ACCESSED, FLOW_TYPE, FLOW, MOVED, N_STATS };
enum { N_TEXTS = SOURCE };
static const char *const stat_names[N_STATS] = {
    [PROGRAM] = "hlo_module", [OP] = "long_name", [SCOPE] = "tf_op",
    [SOURCE] = "source",      [FLOPS] = "flops",  [ACCESSED] = "bytes_accessed",
    [FLOW_TYPE] = "_ct",      [FLOW] = "_c",      [MOVED] = "bytes_transferred",
};

static const char *label_text(const jm_span_label *label, uint32_t i) {
  const char *const texts[N_TEXTS] = {label->program, label->op, label->scope, label->source};
  return texts[i];
}

/* Behind the names of statistics come the texts of all labels. */
static uint64_t text_id(uint32_t label, uint32_t i) {
  return N_STATS + (uint64_t)N_TEXTS * label + i;
}

static void put_count(jm_text *event, uint32_t id, uint32_t field, uint64_t value) {
  jm_text stat;
  jm_text_init(&stat);
  put_number(&stat, STAT_METADATA, id);
  put_number(&stat, field, value);
  put_message(event, EVENT_STATS, &stat);
}

static void put_estimate(jm_text *event, uint32_t id, double value) {
  if (value <= 0) return;
  jm_text stat;
  jm_text_init(&stat);
  put_number(&stat, STAT_METADATA, id);
  put_double(&stat, STAT_DOUBLE, value);
  put_message(event, EVENT_STATS, &stat);
}

static void put_label(jm_text *event, uint32_t number) {
  const jm_span_label *label = jm_timeline_label(number);
  for (uint32_t i = 0; i < N_TEXTS; i++)
    if (*label_text(label, i)) put_count(event, PROGRAM + i, STAT_REF, text_id(number, i));
  put_estimate(event, FLOPS, label->flops);
  put_estimate(event, ACCESSED, label->bytes);
}

/* -- a plane: what one device did */

/* Kinds have the first ids of events' metadata, labels the others. */
static uint64_t metadata_id(const jm_span *span) {
  return span->label ? (uint64_t)JM_N_SPANS + span->label : span->kind + UINT64_C(1);
}

static void put_event(jm_text *line, const jm_span *span, int64_t origin) {
  jm_text event;
  jm_text_init(&event);
  put_number(&event, EVENT_METADATA, metadata_id(span));
  put_number(&event, EVENT_OFFSET_PS, (uint64_t)(span->start - origin) * 1000);
  put_number(&event, EVENT_DURATION_PS, (uint64_t)(span->end - span->start) * 1000);
  const jm_span_value value = jm_span_facts[span->kind].value;
  if (value == JM_VALUE_BYTES) put_count(&event, MOVED, STAT_UINT64, span->value);
  if (value == JM_VALUE_FLOW && span->value) {
    put_count(&event, FLOW_TYPE, STAT_UINT64, LIBRARY_CALL);
    put_count(&event, FLOW, STAT_UINT64, span->value);
  }
  if (span->label) put_label(&event, span->label);
  put_message(line, LINE_EVENTS, &event);
}

static void put_line(jm_text *plane, const jm_report *report, size_t first, size_t end,
                     uint64_t id) {
  const int64_t origin = report->spans[first].start;
  jm_text line, name;
  jm_text_init(&line);
  jm_text_init(&name);
  jm_span_print_line(&report->spans[first], &name);
  put_number(&line, LINE_ID, id);
  put_message(&line, LINE_NAME, &name);
  put_number(&line, LINE_TIMESTAMP_NS, (uint64_t)origin);
  for (size_t i = first; i < end; i++) put_event(&line, &report->spans[i], origin);
  put_message(plane, PLANE_LINES, &line);
}

/* An entry of a plane's map from ids to names, of events or of statistics. */
static void put_name(jm_text *plane, uint32_t field, uint64_t id, const char *name) {
  jm_text entry, metadata;
  jm_text_init(&entry);
  jm_text_init(&metadata);
  put_number(&metadata, METADATA_ID, id);
  put_string(&metadata, METADATA_NAME, name);
  put_number(&entry, MAP_KEY, id);
  put_message(&entry, MAP_VALUE, &metadata);
  put_message(plane, field, &entry);
}

static void put_names(jm_text *plane, const jm_span *span) {
  put_name(plane, PLANE_EVENTS, metadata_id(span), jm_span_name(span));
  if (!span->label) return;
  const jm_span_label *label = jm_timeline_label(span->label);
  for (uint32_t i = 0; i < N_TEXTS; i++)
    if (*label_text(label, i))
      put_name(plane, PLANE_STATS, text_id(span->label, i), label_text(label, i));
}

/* What spans from first to end refer to, each once; false without memory. */
static bool put_used_names(jm_text *plane, const jm_report *report, size_t first, size_t end) {
  uint64_t largest = 0;
  for (size_t i = first; i < end; i++) {
    const uint64_t id = metadata_id(&report->spans[i]);
    if (id > largest) largest = id;
  }
  bool *seen = jm_alloc((size_t)largest + 1, sizeof *seen);
  if (!seen) return false;
  for (size_t i = first; i < end; i++) {
    bool *known = &seen[metadata_id(&report->spans[i])];
    if (!*known) put_names(plane, &report->spans[i]);
    *known = true;
  }
  jm_free(seen);
  return true;
}

/* Returns the end of the device's spans. XLA's tools show a device of a plugin as CUSTOM. */
static size_t put_plane(jm_text *space, const jm_report *report, size_t first) {
  const uint32_t device = report->spans[first].device;
  jm_text plane, name;
  jm_text_init(&plane);
  jm_text_init(&name);
  jm_text_printf(&name, "/device:CUSTOM:mps:%u", device);
  put_number(&plane, PLANE_ID, device);
  put_message(&plane, PLANE_NAME, &name);
  size_t end = first;
  for (uint64_t id = 1; end < report->n && report->spans[end].device == device; id++) {
    const size_t begin = end;
    end = jm_report_lane_end(report, begin);
    put_line(&plane, report, begin, end, id);
  }
  if (!put_used_names(&plane, report, first, end)) plane.failed = true;
  for (uint32_t i = 1; i < N_STATS; i++) put_name(&plane, PLANE_STATS, i, stat_names[i]);
  put_message(space, SPACE_PLANES, &plane);
  return end;
}

void jm_report_write_xspace(const jm_report *report, jm_text *out) {
  for (size_t first = 0; first < report->n;) first = put_plane(out, report, first);
  if (!report->n_lost) return;
  jm_text warning;
  jm_text_init(&warning);
  jm_text_printf(&warning, "%llu spans of the devices did not fit into the timeline",
                 (unsigned long long)report->n_lost);
  put_message(out, SPACE_WARNINGS, &warning);
}
