/* SPDX-License-Identifier: Apache-2.0
 * The caller's key-value store, by its two callbacks. */
#include <string.h>

#include "pjrt/pjrt.h"

typedef struct caller_store {
  jm_store base;
  PJRT_KeyValueGetCallback get;
  PJRT_KeyValuePutCallback put;
  void *get_argument, *put_argument;
} caller_store;

/* The caller's errors are ours: it makes them with this function. */
static PJRT_Error *make_error(PJRT_Error_Code code, const char *message, size_t size) {
  return jm_error_out(jm_error_read(code, message, size));
}

static PJRT_CallbackError error_maker = make_error;

static jm_error *put(jm_store *store, const char *key, const char *value, size_t size) {
  const caller_store *s = (caller_store *)store;
  PJRT_KeyValuePutCallback_Args args = {.struct_size = sizeof args,
                                        .key = key,
                                        .key_size = strlen(key),
                                        .value = value,
                                        .value_size = size,
                                        .callback_error = &error_maker,
                                        .user_arg = s->put_argument};
  return jm_error_in(s->put(&args));
}

static jm_error *get(jm_store *store, const char *key, int milliseconds, char **out) {
  const caller_store *s = (caller_store *)store;
  PJRT_KeyValueGetCallback_Args args = {.struct_size = sizeof args,
                                        .key = key,
                                        .key_size = strlen(key),
                                        .timeout_in_ms = milliseconds,
                                        .callback_error = &error_maker,
                                        .user_arg = s->get_argument};
  JM_TRY(jm_error_in(s->get(&args)));
  char *copy = args.value && args.value_size < SIZE_MAX ? jm_alloc(args.value_size + 1, 1) : NULL;
  if (copy) memcpy(copy, args.value, args.value_size);
  if (args.value && args.value_deleter_callback) args.value_deleter_callback(args.value);
  if (!copy) return jm_error_out_of_memory();
  *out = copy;
  return NULL;
}

static void destroy(jm_store *store) { jm_free(store); }

jm_error *jm_store_create(const PJRT_Client_Create_Args *args, jm_store **out) {
  if (!args->kv_get_callback || !args->kv_put_callback)
    return jm_error_create(JM_FAILED_PRECONDITION,
                           "PJRT_Client_Create: a process of several needs a key-value store");
  caller_store *store = jm_alloc(1, sizeof *store);
  if (!store) return jm_error_out_of_memory();
  *store = (caller_store){.base = {put, get, destroy},
                          .get = args->kv_get_callback,
                          .put = args->kv_put_callback,
                          .get_argument = args->kv_get_user_arg,
                          .put_argument = args->kv_put_user_arg};
  *out = &store->base;
  return NULL;
}
