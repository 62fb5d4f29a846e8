/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/label.h"

#include <string.h>

#include "ir/cost.h"
#include "ir/print.h"
#include "plan/explain.h"

jm_span_kind jm_step_span_kind(const jm_step *step) {
  switch (step->kind) {
    case JM_STEP_COPY:
    case JM_STEP_CONSTANT:
      return JM_SPAN_copy;
    case JM_STEP_WHILE:
    case JM_STEP_CASE:
    case JM_STEP_SLICED:
    case JM_STEP_WINDOW:
      return JM_SPAN_control;
    case JM_STEP_OP:
      break;
  }
  return step->code && step->code->n_kernels ? JM_SPAN_kernel : JM_SPAN_library;
}

static double count_bytes(const jm_plan *plan, const jm_step *step) {
  double bytes = 0;
  const jm_operand *operands = jm_step_reads(plan, step);
  for (uint32_t i = 0; i < step->n_reads + step->n_writes; i++)
    if (operands[i].type) bytes += (double)jm_type_bytes(operands[i].type);
  return bytes;
}

/* Splits a location, "jit(f)/add at file.py:3:1", in place. Either part may be missing; a source
 * has a colon. */
static void split_location(char *location, const char **scope, const char **source) {
  char *at = NULL;
  for (char *found = location; (found = strstr(found, " at ")); found++) at = found;
  const bool is_source = !at && strchr(location, ':');
  *scope = is_source ? "" : location;
  *source = at ? at + 4 : is_source ? location : "";
  if (at) *at = 0;
}

uint32_t jm_step_label(const jm_plan *plan, jm_step *step) {
  uint32_t number = atomic_load_explicit(&step->label, memory_order_relaxed);
  if (number) return number;
  const jm_module *m = plan->module;
  jm_span_label label = {
      .program = m->name, .op = "", .scope = "", .source = "", .bytes = count_bytes(plan, step)};
  jm_text title, op, location;
  jm_text_init(&title);
  jm_text_init(&op);
  jm_text_init(&location);
  jm_step_print_title(plan, step, &title);
  if (step->op != JM_NONE) {
    const jm_op *what = jm_module_op(m, step->op);
    jm_op_print(m, what, &op);
    jm_location_print(m, what, &location);
    label.flops = jm_op_count_flops(m, what);
  }
  label.name = jm_text_bytes(&title);
  label.op = jm_text_bytes(&op);
  if (location.bytes) split_location(location.bytes, &label.scope, &label.source);
  if (!title.failed && !op.failed && !location.failed) number = jm_timeline_add_label(&label);
  jm_text_deinit(&title);
  jm_text_deinit(&op);
  jm_text_deinit(&location);
  /* Another thread may have made the same label meanwhile: either will do. */
  atomic_store_explicit(&step->label, number, memory_order_relaxed);
  return number;
}
