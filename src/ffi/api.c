/* SPDX-License-Identifier: Apache-2.0
 * The functions that a handler may call: errors, types, states, futures. One table for each version
 * of the interface, because the arguments of those for states differ. */
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "ffi/ffi.h"

struct XLA_FFI_Error {
  jm_error *error;
};

/* Stands for every error that there was no memory to wrap. */
static XLA_FFI_Error no_memory;

static XLA_FFI_Error *wrap(jm_error *error) {
  if (!error) return NULL;
  XLA_FFI_Error *wrapped = jm_alloc(1, sizeof *wrapped);
  if (!wrapped) {
    jm_error_destroy(error);
    return &no_memory;
  }
  wrapped->error = error;
  return wrapped;
}

jm_error *jm_ffi_error_take(XLA_FFI_Error *error) {
  if (!error) return NULL;
  if (error == &no_memory) return jm_error_out_of_memory();
  jm_error *inner = error->error;
  jm_free(error);
  return inner;
}

static XLA_FFI_Error *error_create(void *arguments) {
  const XLA_FFI_Error_Create_Args *args = arguments;
  int code = args->code > 0 && args->code <= 16 ? args->code : JM_UNKNOWN;
  return wrap(jm_error_create((jm_code)code, "%s", args->message ? args->message : ""));
}

static void error_details(void *arguments) {
  XLA_FFI_Error_GetDetails_Args *args = arguments;
  const jm_error *error = args->error == &no_memory ? jm_error_out_of_memory()
                          : args->error             ? args->error->error
                                                    : NULL;
  args->message = error ? jm_error_message(error) : "";
  if (args->struct_size >= offsetof(XLA_FFI_Error_GetDetails_Args, code) + sizeof args->code)
    args->code = error ? (int)jm_error_code(error) : JM_OK;
}

static void error_destroy(void *arguments) {
  jm_error_destroy(jm_ffi_error_take(((XLA_FFI_Error_Destroy_Args *)arguments)->error));
}

static XLA_FFI_Error *refuse(const char *what) {
  return wrap(jm_error_unimplemented("%s on the platform mps", what));
}

static XLA_FFI_Error *handler_register(void *arguments) {
  (void)arguments;
  return refuse("registering a handler from C (use jax.ffi.register_ffi_target)");
}

static XLA_FFI_Error *stream_get(void *arguments) {
  ((XLA_FFI_Context_Args *)arguments)->stream = NULL;
  return refuse("a stream");
}

static XLA_FFI_Error *context_get(void *arguments) {
  (void)arguments;
  return wrap(jm_error_create(JM_NOT_FOUND, "this execution has no user data"));
}

static XLA_FFI_Error *memory_allocate(void *arguments) {
  ((XLA_FFI_DeviceMemory_Args *)arguments)->data = NULL;
  return refuse("device memory");
}

static XLA_FFI_Error *memory_free(void *arguments) {
  (void)arguments;
  return refuse("device memory");
}

/* -- tasks: run at once, on the handler's thread */

static XLA_FFI_Error *pool_schedule(void *arguments) {
  XLA_FFI_ThreadPool_Schedule_Args *args = arguments;
  args->task(args->data);
  return NULL;
}

static XLA_FFI_Error *pool_threads(void *arguments) {
  *((XLA_FFI_Context_Args *)arguments)->num_threads = 1;
  return NULL;
}

static XLA_FFI_Error *run_id(void *arguments) {
  XLA_FFI_Context_Args *args = arguments;
  args->run_id = args->ctx->run_id;
  return NULL;
}

/* Handlers run on host memory, and the host is one. */
static XLA_FFI_Error *device_ordinal(void *arguments) {
  ((XLA_FFI_Context_Args *)arguments)->device_ordinal = 0;
  return NULL;
}

static XLA_FFI_Error *find_extension(void *arguments) {
  ((XLA_FFI_FindExtension_Args *)arguments)->extension = NULL;
  return NULL;
}

/* JAX has no way to give any. */
static XLA_FFI_Error *custom_options(void *arguments) {
  static const XLA_FFI_Attrs none = {.struct_size = sizeof none};
  ((XLA_FFI_Context_Args *)arguments)->options = &none;
  return NULL;
}

/* -- types */

typedef struct type {
  char *name;
  int64_t id;
  void (*deleter)(void *object);
} type;

static pthread_mutex_t types_lock = PTHREAD_MUTEX_INITIALIZER;
static type *types; /* ids are places in it + 1 */
static size_t n_types, types_capacity;

static type *type_add(const char *name) {
  if (n_types == types_capacity) {
    size_t wanted = types_capacity ? 2 * types_capacity : 8;
    type *grown = jm_alloc(wanted, sizeof *grown);
    if (!grown) return NULL;
    if (n_types) memcpy(grown, types, n_types * sizeof *grown);
    jm_free(types);
    types = grown;
    types_capacity = wanted;
  }
  size_t size = strlen(name) + 1;
  char *copy = jm_alloc(1, size);
  if (!copy) return NULL;
  memcpy(copy, name, size);
  types[n_types] = (type){copy, (int64_t)n_types + 1, NULL};
  return &types[n_types++];
}

jm_error *jm_ffi_register_type(const char *name, XLA_FFI_TypeId *id, const XLA_FFI_TypeInfo *info) {
  pthread_mutex_lock(&types_lock);
  type *found = NULL;
  for (size_t i = 0; i < n_types && !found; i++)
    if (!strcmp(types[i].name, name)) found = &types[i];
  if (!found) found = type_add(name);
  if (found && info && info->deleter) found->deleter = info->deleter;
  int64_t given = found ? found->id : 0;
  pthread_mutex_unlock(&types_lock);
  if (!found) return jm_error_out_of_memory();
  if (id->type_id && id->type_id != given)
    return jm_error_create(JM_INVALID_ARGUMENT, "the FFI type '%s' has another id already", name);
  id->type_id = given;
  return NULL;
}

static jm_error *register_span(XLA_FFI_ByteSpan name, XLA_FFI_TypeId *id,
                               const XLA_FFI_TypeInfo *info) {
  char text[256];
  if (name.len >= sizeof text) return jm_error_invalid("the name of an FFI type is too long");
  memcpy(text, name.ptr, name.len);
  text[name.len] = 0;
  return jm_ffi_register_type(text, id, info);
}

static XLA_FFI_Error *type_register_1(void *arguments) {
  XLA_FFI_Type_Register_Args *args = arguments;
  return wrap(register_span(args->name, args->type_id, NULL));
}

static XLA_FFI_Error *type_register_2(void *arguments) {
  XLA_FFI_Type_Register_Args *args = arguments;
  return wrap(register_span(args->name, args->type_id, args->type_info));
}

static void (*type_deleter(int64_t id))(void *) {
  pthread_mutex_lock(&types_lock);
  void (*deleter)(void *) = id > 0 && (size_t)id <= n_types ? types[id - 1].deleter : NULL;
  pthread_mutex_unlock(&types_lock);
  return deleter;
}

/* -- states */

void jm_ffi_state_clear(jm_ffi_state *state) {
  if (state->data && state->deleter) state->deleter(state->data);
  *state = (jm_ffi_state){0};
}

static jm_error *state_set(XLA_FFI_ExecutionContext *context, XLA_FFI_ExecutionStage stage,
                           const XLA_FFI_TypeId *id, void *data, void (*deleter)(void *)) {
  jm_ffi_state *state = (unsigned)stage < XLA_FFI_STAGES ? context->states[stage] : NULL;
  if (!state) return jm_error_invalid("no FFI state can be set in stage %d", (int)stage);
  if (state->data)
    return jm_error_create(JM_FAILED_PRECONDITION, "the FFI state is set for the second time");
  *state = (jm_ffi_state){data, id->type_id, deleter ? deleter : type_deleter(id->type_id)};
  return NULL;
}

static jm_error *state_get(XLA_FFI_ExecutionContext *context, XLA_FFI_ExecutionStage stage,
                           const XLA_FFI_TypeId *id, void **out) {
  jm_ffi_state *state = (unsigned)stage < XLA_FFI_STAGES ? context->states[stage] : NULL;
  *out = NULL;
  if (!state || !state->data) return jm_error_create(JM_NOT_FOUND, "the FFI state was not set");
  if (state->type_id != id->type_id)
    return jm_error_invalid("the FFI state is of another type than the one that is asked for");
  *out = state->data;
  return NULL;
}

static XLA_FFI_Error *state_set_1(void *arguments) {
  XLA_FFI_State_Args_1 *args = arguments;
  return wrap(state_set(args->ctx, XLA_FFI_ExecutionStage_INSTANTIATE, args->type_id, args->state,
                        args->deleter));
}

static XLA_FFI_Error *state_set_2(void *arguments) {
  XLA_FFI_State_Args_1 *args = arguments;
  return wrap(
      state_set(args->ctx, XLA_FFI_ExecutionStage_INSTANTIATE, args->type_id, args->state, NULL));
}

static XLA_FFI_Error *state_set_3(void *arguments) {
  XLA_FFI_State_Args_3 *args = arguments;
  return wrap(state_set(args->ctx, args->stage, args->type_id, args->state, NULL));
}

static XLA_FFI_Error *state_get_1(void *arguments) {
  XLA_FFI_State_Args_1 *args = arguments;
  return wrap(
      state_get(args->ctx, XLA_FFI_ExecutionStage_INSTANTIATE, args->type_id, &args->state));
}

static XLA_FFI_Error *state_get_3(void *arguments) {
  XLA_FFI_State_Args_3 *args = arguments;
  return wrap(state_get(args->ctx, args->stage, args->type_id, &args->state));
}

/* -- asynchronous results */

struct XLA_FFI_Future {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool done;
  jm_error *error;
};

static XLA_FFI_Error *future_create(void *arguments) {
  XLA_FFI_Future_Args *args = arguments;
  XLA_FFI_Future *future = jm_alloc(1, sizeof *future);
  args->future = future;
  if (!future) return wrap(jm_error_out_of_memory());
  pthread_mutex_init(&future->lock, NULL);
  pthread_cond_init(&future->changed, NULL);
  return NULL;
}

static void future_set(XLA_FFI_Future *future, jm_error *error) {
  pthread_mutex_lock(&future->lock);
  future->done = true;
  future->error = error;
  pthread_cond_broadcast(&future->changed);
  pthread_mutex_unlock(&future->lock);
}

static XLA_FFI_Error *future_set_available(void *arguments) {
  future_set(((XLA_FFI_Future_Args *)arguments)->future, NULL);
  return NULL;
}

static XLA_FFI_Error *future_set_error(void *arguments) {
  XLA_FFI_Future_Args *args = arguments;
  future_set(args->future, jm_ffi_error_take(args->error));
  return NULL;
}

jm_error *jm_ffi_future_take(XLA_FFI_Future *future) {
  pthread_mutex_lock(&future->lock);
  while (!future->done) pthread_cond_wait(&future->changed, &future->lock);
  jm_error *error = future->error;
  pthread_mutex_unlock(&future->lock);
  pthread_cond_destroy(&future->changed);
  pthread_mutex_destroy(&future->lock);
  jm_free(future);
  return error;
}

/* -- the tables */

#define API(minor, register_type, set, get)       \
  {sizeof(XLA_FFI_Api),                           \
   NULL,                                          \
   {sizeof(XLA_FFI_Api_Version), NULL, 0, minor}, \
   NULL,                                          \
   error_create,                                  \
   error_details,                                 \
   error_destroy,                                 \
   handler_register,                              \
   stream_get,                                    \
   register_type,                                 \
   context_get,                                   \
   set,                                           \
   get,                                           \
   memory_allocate,                               \
   memory_free,                                   \
   pool_schedule,                                 \
   pool_threads,                                  \
   future_create,                                 \
   future_set_available,                          \
   future_set_error,                              \
   run_id,                                        \
   device_ordinal,                                \
   find_extension,                                \
   custom_options}

const XLA_FFI_Api *jm_ffi_api(int minor) {
  static const XLA_FFI_Api apis[] = {
      API(1, type_register_1, state_set_1, state_get_1),
      API(2, type_register_2, state_set_2, state_get_1),
      API(3, type_register_2, state_set_3, state_get_3),
      API(4, type_register_2, state_set_3, state_get_3),
      API(JM_FFI_NEWEST, type_register_2, state_set_3, state_get_3),
  };
  _Static_assert(sizeof apis / sizeof *apis == JM_FFI_NEWEST, "a table for each version");
  return minor >= 1 && minor <= JM_FFI_NEWEST ? &apis[minor - 1] : NULL;
}
