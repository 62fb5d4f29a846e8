/* SPDX-License-Identifier: Apache-2.0 */
#include "compile/record.h"

#include <pthread.h>

#include "plan/explain.h"

typedef struct entry {
  struct entry *next;
  jm_explanation explanation;
} entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool is_on;
static entry *oldest, *newest;

void jm_explanation_deinit(jm_explanation *explanation) {
  jm_free(explanation->text);
  jm_free(explanation->json);
}

jm_error *jm_explanation_build(const jm_plan *plan, jm_explanation *out) {
  jm_text text, json;
  jm_text_init(&text);
  jm_text_init(&json);
  jm_plan_explain(plan, &text);
  jm_plan_export(plan, &json);
  if (text.failed || json.failed) {
    jm_text_deinit(&text);
    jm_text_deinit(&json);
    return jm_error_out_of_memory();
  }
  *out = (jm_explanation){text.bytes, json.bytes};
  return NULL;
}

void jm_program_record(bool on) { atomic_store(&is_on, on); }

jm_error *jm_record_add(const jm_plan *plan) {
  if (!atomic_load_explicit(&is_on, memory_order_relaxed)) return NULL;
  entry *added = jm_alloc(1, sizeof *added);
  if (!added) return jm_error_out_of_memory();
  jm_error *error = jm_explanation_build(plan, &added->explanation);
  if (error) {
    jm_free(added);
    return error;
  }
  pthread_mutex_lock(&lock);
  if (newest)
    newest->next = added;
  else
    oldest = added;
  newest = added;
  pthread_mutex_unlock(&lock);
  return NULL;
}

bool jm_program_take_record(jm_explanation *out) {
  pthread_mutex_lock(&lock);
  entry *taken = oldest;
  if (taken) oldest = taken->next;
  if (!oldest) newest = NULL;
  pthread_mutex_unlock(&lock);
  if (taken) *out = taken->explanation;
  jm_free(taken);
  return taken;
}
