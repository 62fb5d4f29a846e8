/* SPDX-License-Identifier: Apache-2.0
 * The timeline: what the devices of the process did and when, recorded while at least one session
 * is open. Whoever does something worth seeing takes the time before and adds a span after it:
 *
 *   const int64_t start = jm_timeline_begin();
 *   ...
 *   jm_timeline_end(JM_SPAN_kernel, device, label, 0, start);
 *
 * Without a session that is one relaxed load. Any thread may record. This is neither a log nor a
 * counter (base/counters.h), and it knows no file format: report.h orders the spans of a session,
 * xspace.c and chrome.c write them. */
#ifndef JM_PROFILE_TIMELINE_H
#define JM_PROFILE_TIMELINE_H

#include <stdatomic.h>

#include "base/alloc.h"

typedef enum jm_span_line {
#define LINE(id, name) JM_LINE_##id,
#include "profile/spans.def"
  JM_N_LINES
} jm_span_line;

typedef enum jm_span_kind {
#define SPAN(id, line, name, value) JM_SPAN_##id,
#include "profile/spans.def"
  JM_N_SPANS
} jm_span_kind;

typedef enum jm_span_value { JM_VALUE_NONE, JM_VALUE_FLOW, JM_VALUE_BYTES } jm_span_value;

typedef struct jm_span_fact {
  jm_span_line line;
  const char *name;
  jm_span_value value;
} jm_span_fact;

extern const jm_span_fact jm_span_facts[JM_N_SPANS];
extern const char *const jm_line_names[JM_N_LINES];

/* What is the same for every span of a step or a program. Strings are never NULL; "" and 0: not
 * known. */
typedef struct jm_span_label {
  const char *name;    /* "group row" */
  const char *program; /* "jit_f" */
  const char *op;      /* "dot_general(f32[2,3], f32[3,4]) -> f32[2,4]" */
  const char *scope;   /* the name that JAX gave the op: "jit(f)/dot_general" */
  const char *source;  /* "model.py:12:3" */
  double flops, bytes; /* estimates: floating-point operations, bytes read and written */
} jm_span_label;

/* Keeps a copy of a label for the life of the process and returns its number; 0 without memory. */
uint32_t jm_timeline_add_label(const jm_span_label *label);

extern atomic_int jm_timeline_n_open;

/* Nanoseconds since 1970: the clock of JAX's profiler. */
int64_t jm_timeline_now(void);

/* The time; 0 if no session is open. */
static inline int64_t jm_timeline_begin(void) {
  return atomic_load_explicit(&jm_timeline_n_open, memory_order_relaxed) ? jm_timeline_now() : 0;
}

/* A span from start to now. label: 0 for the kind's own name. */
void jm_timeline_add(jm_span_kind kind, uint32_t device, uint32_t label, uint64_t value,
                     int64_t start);

/* The same; nothing if start is 0. */
static inline void jm_timeline_end(jm_span_kind kind, uint32_t device, uint32_t label,
                                   uint64_t value, int64_t start) {
  if (start) jm_timeline_add(kind, device, label, value, start);
}

/* -- sessions */

typedef struct jm_span {
  int64_t start, end; /* nanoseconds since 1970 */
  uint64_t value;
  uint32_t label;
  uint8_t kind, device; /* jm_span_kind; index within the client */
  uint16_t lane;        /* report.h */
} jm_span;

/* What was recorded between two times. Any number of sessions may be open at once. */
typedef struct jm_timeline_session jm_timeline_session;
jm_error *jm_timeline_open(jm_timeline_session **out) JM_MUST_USE;
void jm_timeline_close(jm_timeline_session *session);   /* harmless a second time */
void jm_timeline_destroy(jm_timeline_session *session); /* NULL is allowed */

/* A copy of the session's spans so far, to be freed with jm_free, in the order of their ends, and
 * how many did not fit into memory's bound. */
jm_error *jm_timeline_read(jm_timeline_session *session, jm_span **spans, size_t *n,
                           uint64_t *n_lost) JM_MUST_USE;

/* The label with this number, which is not 0; it lives as long as the process. */
const jm_span_label *jm_timeline_label(uint32_t number);

#endif
