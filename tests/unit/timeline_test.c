/* SPDX-License-Identifier: Apache-2.0
 * The timeline: sessions, lanes of spans that overlap, and both forms of a report. */
#include "profile/timeline.h"

#include <pthread.h>
#include <string.h>

#include "profile/report.h"
#include "unit/check.h"

static void test_without_session(void) {
  CHECK(jm_timeline_begin() == 0);
  jm_timeline_end(JM_SPAN_kernel, 0, 0, 0, jm_timeline_begin()); /* nothing to do */
  jm_timeline_add(JM_SPAN_kernel, 0, 0, 0, jm_timeline_now());   /* closed meanwhile */
  jm_timeline_session *session;
  jm_span *spans;
  size_t n;
  uint64_t n_lost;
  CHECK_OK(jm_timeline_open(&session));
  CHECK_OK(jm_timeline_read(session, &spans, &n, &n_lost));
  CHECK(n == 0 && n_lost == 0);
  jm_free(spans);
  jm_timeline_destroy(session);
}

/* Two sessions see what was recorded while each was open. */
static void test_sessions(void) {
  jm_timeline_session *outer, *inner;
  CHECK_OK(jm_timeline_open(&outer));
  jm_timeline_add(JM_SPAN_kernel, 0, 0, 0, jm_timeline_begin());
  CHECK_OK(jm_timeline_open(&inner));
  jm_timeline_add(JM_SPAN_library, 1, 0, 0, jm_timeline_begin());
  jm_timeline_close(inner);
  jm_timeline_close(inner);
  jm_timeline_add(JM_SPAN_copy, 0, 0, 0, jm_timeline_begin());
  jm_span *spans;
  size_t n;
  uint64_t n_lost;
  CHECK_OK(jm_timeline_read(inner, &spans, &n, &n_lost));
  CHECK(n == 1 && spans[0].kind == JM_SPAN_library && spans[0].device == 1);
  CHECK(spans[0].end >= spans[0].start);
  jm_free(spans);
  CHECK_OK(jm_timeline_read(outer, &spans, &n, &n_lost));
  CHECK(n == 3 && n_lost == 0);
  jm_free(spans);
  jm_timeline_destroy(inner);
  CHECK(jm_timeline_begin() != 0);
  jm_timeline_destroy(outer);
  CHECK(jm_timeline_begin() == 0);
}

/* What a session can't hold is counted. */
static void test_bound(void) {
  enum { SPANS = (1 << 20) + 5 };
  jm_timeline_session *session;
  CHECK_OK(jm_timeline_open(&session));
  for (int i = 0; i < SPANS; i++) jm_timeline_add(JM_SPAN_kernel, 0, 0, 0, 1);
  jm_span *spans;
  size_t n;
  uint64_t n_lost;
  CHECK_OK(jm_timeline_read(session, &spans, &n, &n_lost));
  CHECK(n + n_lost == SPANS && n_lost == 5);
  jm_free(spans);
  jm_report report;
  CHECK_OK(jm_report_build(session, &report));
  report.n = 0; /* the warning alone */
  jm_text text;
  jm_text_init(&text);
  jm_report_write_xspace(&report, &text);
  CHECK(strstr(jm_text_bytes(&text), "5 spans of the devices did not fit"));
  jm_text_deinit(&text);
  jm_report_deinit(&report);
  jm_timeline_destroy(session);
}

static void await_tick(void) {
  const int64_t before = jm_timeline_now();
  while (jm_timeline_now() == before) {
  }
}

/* Spans end now, so that those that began at 1, 2 and 3 ns nest by the order of their ends: each
 * that is added later ends later. */
static void test_lanes(void) {
  jm_timeline_session *session;
  CHECK_OK(jm_timeline_open(&session));
  jm_timeline_add(JM_SPAN_kernel, 1, 0, 0, 2); /* within the next */
  await_tick();
  jm_timeline_add(JM_SPAN_kernel, 1, 0, 0, 1);
  await_tick();
  jm_timeline_add(JM_SPAN_kernel, 1, 0, 0, 3); /* ends after both */
  jm_timeline_add(JM_SPAN_run, 1, 0, 7, 1);
  jm_timeline_add(JM_SPAN_kernel, 0, 0, 0, 1);
  jm_report report;
  CHECK_OK(jm_report_build(session, &report));
  CHECK(report.n == 5);
  CHECK(report.spans[0].device == 0);
  CHECK(report.spans[1].kind == JM_SPAN_run && report.spans[1].lane == 0);
  CHECK(report.spans[2].start == 1 && report.spans[2].lane == 0);
  CHECK(report.spans[3].start == 2 && report.spans[3].lane == 0);
  CHECK(report.spans[4].start == 3 && report.spans[4].lane == 1);
  CHECK(jm_report_lane_end(&report, 2) == 4);
  jm_text name;
  jm_text_init(&name);
  jm_span_print_line(&report.spans[4], &name);
  CHECK(!strcmp(jm_text_bytes(&name), "Kernels 2"));
  jm_text_deinit(&name);
  jm_report_deinit(&report);
  jm_timeline_destroy(session);
}

static void test_chrome(void) {
  const jm_span_label label = {.name = "group \"row\"",
                               .program = "jit_f",
                               .op = "add",
                               .scope = "jit(f)/add",
                               .source = "a.py:1:2",
                               .flops = 12,
                               .bytes = 34};
  const uint32_t number = jm_timeline_add_label(&label);
  CHECK(number && !strcmp(jm_timeline_label(number)->scope, "jit(f)/add"));
  jm_timeline_session *session;
  CHECK_OK(jm_timeline_open(&session));
  jm_timeline_add(JM_SPAN_kernel, 0, number, 0, jm_timeline_begin());
  jm_timeline_add(JM_SPAN_copy_in, 0, 0, 4096, jm_timeline_begin());
  jm_report report;
  CHECK_OK(jm_report_build(session, &report));
  jm_text text;
  jm_text_init(&text);
  jm_report_write_chrome(&report, &text);
  CHECK(strstr(jm_text_bytes(&text), "\"name\": \"group \\\"row\\\"\""));
  CHECK(strstr(jm_text_bytes(&text), "\"source\": \"a.py:1:2\", \"flops\": 12, \"bytes\": 34"));
  CHECK(strstr(jm_text_bytes(&text), "\"name\": \"host to device\""));
  CHECK(strstr(jm_text_bytes(&text), "\"bytes\": 4096"));
  jm_text_deinit(&text);
  jm_report_deinit(&report);
  jm_timeline_destroy(session);
}

enum { THREADS = 4, ROUNDS = 2000 };

static void *record(void *argument) {
  const uint32_t device = *(const uint32_t *)argument;
  const jm_span_label label = {"step", "program", "", "", "", 0, 0};
  for (int i = 0; i < ROUNDS; i++)
    jm_timeline_end(JM_SPAN_kernel, device, i ? 0 : jm_timeline_add_label(&label), 0,
                    jm_timeline_begin());
  return NULL;
}

/* Threads record while sessions come and go; one session is open all the time. */
static void test_threads(void) {
  jm_timeline_session *whole;
  CHECK_OK(jm_timeline_open(&whole));
  pthread_t threads[THREADS];
  uint32_t devices[THREADS];
  for (uint32_t i = 0; i < THREADS; i++) {
    devices[i] = i;
    CHECK(!pthread_create(&threads[i], NULL, record, &devices[i]));
  }
  for (int i = 0; i < 100; i++) {
    jm_timeline_session *brief;
    jm_report report;
    CHECK_OK(jm_timeline_open(&brief));
    CHECK_OK(jm_report_build(brief, &report));
    jm_report_deinit(&report);
    jm_timeline_destroy(brief);
  }
  for (uint32_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  jm_report report;
  CHECK_OK(jm_report_build(whole, &report));
  CHECK(report.n == THREADS * ROUNDS && !report.n_lost);
  for (size_t i = 1; i < report.n; i++)
    CHECK(report.spans[i - 1].device < report.spans[i].device ||
          report.spans[i - 1].start <= report.spans[i].start);
  jm_report_deinit(&report);
  jm_timeline_destroy(whole);
}

TEST_MAIN(test_threads, test_without_session, test_sessions, test_bound, test_lanes, test_chrome)
