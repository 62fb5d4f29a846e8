/* SPDX-License-Identifier: Apache-2.0
 * The settings of the project, JAX_MPS_* in the environment, expanded from settings.def: the only
 * place that reads the environment. A setting is text; its reader decides which values are valid.
 * Not a store for state: a value does not change once it has been read. */
#ifndef JM_BASE_SETTINGS_H
#define JM_BASE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef enum jm_setting {
#define SETTING(name, option, reader, doc) JM_SETTING_##name,
#include "base/settings.def"
  JM_N_SETTINGS
} jm_setting;

typedef struct jm_setting_fact {
  const char *variable; /* "JAX_MPS_DEVICE" */
  const char *option;   /* of PJRT_Client_Create, "" if there is none */
  const char *doc;
} jm_setting_fact;

extern const jm_setting_fact jm_setting_facts[JM_N_SETTINGS];

/* The value, NULL if it is not set or empty. The environment is copied at the first call in the
 * process, because getenv races with a program that calls setenv. Lives as long as the process. */
const char *jm_setting_find(jm_setting setting);

/* The value as a number, or the default if it isn't set. INVALID_ARGUMENT if it is no number from
 * least to most. */
jm_error *jm_setting_read_number(jm_setting setting, int64_t least, int64_t most, int64_t preset,
                                 int64_t *out) JM_MUST_USE;

/* true if the comma-separated value has this word */
bool jm_setting_has_word(jm_setting setting, const char *word);

/* What stands behind "word=" in the comma-separated value, not NUL-terminated; NULL if the word is
 * not there or nothing follows it. */
const char *jm_setting_find_argument(jm_setting setting, const char *word, size_t *size);

/* Sets a value from elsewhere (options of the client). The user's environment wins over it. */
jm_error *jm_setting_override(jm_setting setting, const char *value, size_t size) JM_MUST_USE;

/* The setting with this option name; false if there is none. */
bool jm_setting_from_option(const char *name, size_t size, jm_setting *out);

#endif
