/* SPDX-License-Identifier: Apache-2.0 */
#include "base/settings.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

const jm_setting_fact jm_setting_facts[JM_N_SETTINGS] = {
#define SETTING(name, option, reader, doc) {"JAX_MPS_" #name, option, doc},
#include "base/settings.def"
};

/* A returned value may be in use for ever, so that a replaced one is kept: overrides form a list
 * whose newest entry is in force. */
typedef struct override {
  struct override *older;
  char value[];
} override;

static char *environment[JM_N_SETTINGS];
static _Atomic(override *) overrides[JM_N_SETTINGS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void copy_environment(void) {
  for (int s = 0; s < JM_N_SETTINGS; s++) {
    const char *value = getenv(jm_setting_facts[s].variable);
    if (!value || !*value) continue;
    size_t size = strlen(value) + 1;
    environment[s] = jm_alloc(size, 1);
    if (environment[s]) memcpy(environment[s], value, size);
  }
}

const char *jm_setting_find(jm_setting setting) {
  pthread_once(&once, copy_environment);
  if (environment[setting]) return environment[setting];
  override *newest = atomic_load(&overrides[setting]);
  return newest && *newest->value ? newest->value : NULL;
}

jm_error *jm_setting_read_number(jm_setting setting, int64_t least, int64_t most, int64_t preset,
                                 int64_t *out) {
  *out = preset;
  const char *value = jm_setting_find(setting);
  if (!value) return NULL;
  char *end;
  long long number = strtoll(value, &end, 10);
  if (end == value || *end || number < least || number > most)
    return jm_error_invalid("%s is '%.100s', it must be a number from %lld to %lld",
                            jm_setting_facts[setting].variable, value, (long long)least,
                            (long long)most);
  *out = number;
  return NULL;
}

bool jm_setting_has_word(jm_setting setting, const char *word) {
  size_t size = strlen(word);
  for (const char *at = jm_setting_find(setting); at;) {
    const char *comma = strchr(at, ',');
    size_t length = comma ? (size_t)(comma - at) : strlen(at);
    if (length == size && !memcmp(at, word, size)) return true;
    at = comma ? comma + 1 : NULL;
  }
  return false;
}

const char *jm_setting_find_argument(jm_setting setting, const char *word, size_t *size) {
  const size_t length = strlen(word);
  for (const char *at = jm_setting_find(setting); at;) {
    const char *comma = strchr(at, ',');
    const size_t left = comma ? (size_t)(comma - at) : strlen(at);
    if (left > length + 1 && !memcmp(at, word, length) && at[length] == '=') {
      *size = left - length - 1;
      return at + length + 1;
    }
    at = comma ? comma + 1 : NULL;
  }
  return NULL;
}

jm_error *jm_setting_override(jm_setting setting, const char *value, size_t size) {
  override *newest = atomic_load(&overrides[setting]);
  if (newest && strlen(newest->value) == size && !memcmp(newest->value, value, size)) return NULL;
  override *fresh = size < 1 << 20 ? jm_alloc(1, sizeof *fresh + size + 1) : NULL;
  if (!fresh) return jm_error_out_of_memory();
  if (size) memcpy(fresh->value, value, size);
  fresh->older = newest;
  while (!atomic_compare_exchange_weak(&overrides[setting], &fresh->older, fresh)) {
  }
  return NULL;
}

bool jm_setting_from_option(const char *name, size_t size, jm_setting *out) {
  for (int s = 0; s < JM_N_SETTINGS; s++) {
    const char *option = jm_setting_facts[s].option;
    if (*option && strlen(option) == size && !memcmp(option, name, size)) {
      *out = (jm_setting)s;
      return true;
    }
  }
  return false;
}
