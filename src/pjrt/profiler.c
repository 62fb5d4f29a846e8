/* SPDX-License-Identifier: Apache-2.0
 * The profiler extension: a session of the timeline for each profiler that XLA creates. */
#include <string.h>

#include "base/text.h"
#include "pjrt/extensions.h"
#include "pjrt/partitioner_abi.h"
#include "pjrt/profiler_abi.h"
#include "profile/report.h"

struct PLUGIN_Profiler {
  jm_timeline_session *session; /* NULL: not started */
  jm_text space;                /* serialized at the first call of collect_data */
  bool is_collected;
};

/* PLUGIN_Profiler_Error is a jm_error, like PJRT_Error. */
static PLUGIN_Profiler_Error *error_out(jm_error *error) { return (PLUGIN_Profiler_Error *)error; }
static jm_error *error_in(const PLUGIN_Profiler_Error *error) { return (jm_error *)error; }

static void destroy_error(PLUGIN_Profiler_Error_Destroy_Args *args) {
  jm_error_destroy(error_in(args->error));
}

static void read_message(PLUGIN_Profiler_Error_Message_Args *args) {
  args->message = jm_error_message(error_in(args->error));
  args->message_size = strlen(args->message);
}

static PLUGIN_Profiler_Error *read_code(PLUGIN_Profiler_Error_GetCode_Args *args) {
  args->code = (int)jm_error_code(error_in(args->error));
  return NULL;
}

static jm_error *create(PLUGIN_Profiler_Create_Args *args) {
  PLUGIN_Profiler *profiler = jm_alloc(1, sizeof *profiler);
  if (!profiler) return jm_error_out_of_memory();
  jm_text_init(&profiler->space);
  args->profiler = profiler;
  return NULL;
}

static jm_error *destroy(PLUGIN_Profiler_Args *args) {
  if (!args->profiler) return NULL;
  jm_timeline_destroy(args->profiler->session);
  jm_text_deinit(&args->profiler->space);
  jm_free(args->profiler);
  return NULL;
}

static jm_error *start(PLUGIN_Profiler_Args *args) {
  if (args->profiler->session)
    return jm_error_create(JM_FAILED_PRECONDITION, "the profiler was started already");
  return jm_timeline_open(&args->profiler->session);
}

static jm_error *stop(PLUGIN_Profiler_Args *args) {
  if (args->profiler->session) jm_timeline_close(args->profiler->session);
  return NULL;
}

static jm_error *serialize(PLUGIN_Profiler *profiler) {
  jm_report report;
  JM_TRY(jm_report_build(profiler->session, &report));
  jm_report_write_xspace(&report, &profiler->space);
  jm_report_deinit(&report);
  return jm_text_error(&profiler->space);
}

/* Two protocols are in use. XLA's header says that a first call with no buffer asks for the size
 * and a second one brings the buffer; jaxlib calls once and reads where args->buffer points to
 * then. */
static jm_error *collect(PLUGIN_Profiler_CollectData_Args *args) {
  PLUGIN_Profiler *profiler = args->profiler;
  if (!profiler->is_collected && profiler->session) {
    JM_TRY(serialize(profiler));
    profiler->is_collected = true;
  }
  args->buffer_size_in_bytes = profiler->space.size;
  if (!profiler->space.size) return NULL;
  if (args->buffer)
    memcpy(args->buffer, profiler->space.bytes, profiler->space.size);
  else
    args->buffer = (uint8_t *)profiler->space.bytes;
  return NULL;
}

#define CALL(function, type) \
  static PLUGIN_Profiler_Error *call_##function(type *args) { return error_out(function(args)); }
CALL(create, PLUGIN_Profiler_Create_Args)
CALL(destroy, PLUGIN_Profiler_Args)
CALL(start, PLUGIN_Profiler_Args)
CALL(stop, PLUGIN_Profiler_Args)
CALL(collect, PLUGIN_Profiler_CollectData_Args)

static const PLUGIN_Profiler_Api profiler_api = {
    .struct_size = sizeof profiler_api,
    .error_destroy = destroy_error,
    .error_message = read_message,
    .error_get_code = read_code,
    .create = call_create,
    .destroy = call_destroy,
    .start = call_start,
    .stop = call_stop,
    .collect_data = call_collect,
};

PJRT_Profiler_Extension jm_profiler_extension = {
    {sizeof(PJRT_Profiler_Extension), PJRT_Extension_Type_Profiler,
     &jm_partitioners_extension.base},
    &profiler_api,
    0,
};

/* jaxlib's number is -1 where it has none. */
uint64_t jm_profiler_find_flow(const PJRT_Extension_Base *extensions) {
  for (; extensions; extensions = extensions->next) {
    if (extensions->type != PJRT_Extension_Type_Profiler ||
        extensions->struct_size < sizeof(PJRT_Profiler_Extension))
      continue;
    const int64_t id = ((const PJRT_Profiler_Extension *)extensions)->traceme_context_id;
    return id > 0 ? (uint64_t)id : 0;
  }
  return 0;
}
