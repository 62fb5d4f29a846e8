/* SPDX-License-Identifier: Apache-2.0
 * Handlers by name. */
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "ffi/ffi.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static jm_ffi_target **targets; /* each lives for ever: programs hold it */
static size_t n_targets, capacity;
static jm_ffi_resolver *resolver;

/* Asks a handler for the version that it was compiled for, as XLA does. */
static jm_error *read_version(XLA_FFI_Handler *handler, const char *name, int *minor) {
  XLA_FFI_Metadata metadata = {.struct_size = offsetof(XLA_FFI_Metadata, state_type_id),
                               .api_version = {.struct_size = sizeof metadata.api_version}};
  XLA_FFI_Metadata_Extension extension = {{sizeof extension, XLA_FFI_Extension_Metadata, NULL},
                                          &metadata};
  XLA_FFI_CallFrame frame = {.struct_size = XLA_FFI_CALL_FRAME_SIZE,
                             .extension_start = &extension.base,
                             .api = jm_ffi_api(JM_FFI_NEWEST),
                             .stage = XLA_FFI_ExecutionStage_EXECUTE};
  JM_TRY(jm_error_note(jm_ffi_error_take(handler(&frame)), "the FFI target '%.200s'", name));
  const XLA_FFI_Api_Version *version = &metadata.api_version;
  *minor = version->minor_version;
  if (version->major_version == 0 && jm_ffi_api(*minor)) return NULL;
  return jm_error_unimplemented(
      "the FFI target '%.200s' was compiled for version %d.%d of XLA's FFI; 0.1 to 0.%d are known",
      name, version->major_version, version->minor_version, JM_FFI_NEWEST);
}

static jm_ffi_target *find_locked(const char *name) {
  for (size_t i = 0; i < n_targets; i++)
    if (!strcmp(targets[i]->name, name)) return targets[i];
  return NULL;
}

static jm_ffi_target *target_create(const char *name, const jm_ffi_bundle *bundle, int minor) {
  size_t size = strlen(name) + 1;
  jm_ffi_target *target = jm_alloc(1, sizeof *target + size);
  if (!target) return NULL;
  target->name = (char *)(target + 1);
  memcpy(target->name, name, size);
  target->bundle = *bundle;
  target->api = jm_ffi_api(minor);
  return target;
}

static jm_error *add_locked(jm_ffi_target *target) {
  if (n_targets == capacity) {
    size_t wanted = capacity ? 2 * capacity : 64;
    jm_ffi_target **grown = jm_alloc(wanted, sizeof(jm_ffi_target *));
    if (!grown) return jm_error_out_of_memory();
    if (n_targets) memcpy(grown, targets, n_targets * sizeof(jm_ffi_target *));
    jm_free(targets);
    targets = grown;
    capacity = wanted;
  }
  targets[n_targets++] = target;
  return NULL;
}

jm_error *jm_ffi_register(const char *name, const jm_ffi_bundle *bundle) {
  int minor = 0, least = 0;
  if (!bundle->stages[XLA_FFI_ExecutionStage_EXECUTE])
    return jm_error_invalid("the FFI target '%.200s' has no handler for the stage execute", name);
  for (int i = 0; i < XLA_FFI_STAGES; i++) {
    if (!bundle->stages[i]) continue;
    JM_TRY(read_version(bundle->stages[i], name, &minor));
    if (least && minor != least)
      return jm_error_invalid("the handlers of the FFI target '%.200s' are of different versions",
                              name);
    least = minor;
  }
  jm_ffi_target *target = target_create(name, bundle, minor);
  if (!target) return jm_error_out_of_memory();
  pthread_mutex_lock(&lock);
  const jm_ffi_target *found = find_locked(name);
  jm_error *error = found ? NULL : add_locked(target);
  pthread_mutex_unlock(&lock);
  if (found && memcmp(&found->bundle, bundle, sizeof *bundle))
    error = jm_error_create(JM_ALREADY_EXISTS,
                            "the FFI target '%.200s' is registered with another handler", name);
  if (found || error) jm_free(target);
  return error;
}

void jm_ffi_resolve_with(jm_ffi_resolver *function) {
  pthread_mutex_lock(&lock);
  resolver = function;
  pthread_mutex_unlock(&lock);
}

const jm_ffi_target *jm_ffi_find(const char *name) {
  pthread_mutex_lock(&lock);
  const jm_ffi_target *found = find_locked(name);
  jm_ffi_resolver *ask = resolver;
  pthread_mutex_unlock(&lock);
  if (found || !ask) return found;
  ask(name); /* without the lock: it registers */
  pthread_mutex_lock(&lock);
  found = find_locked(name);
  pthread_mutex_unlock(&lock);
  return found;
}
