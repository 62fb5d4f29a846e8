/* SPDX-License-Identifier: Apache-2.0 */
#include "pjrt/extensions.h"

#include <pthread.h>
#include <string.h>

#include "pjrt/executable.h"

/* Layouts are found by their text, XLA's: "{1,0}" for a row-major matrix. Nothing is ever freed, so
 * that ownership of the returned objects does not matter: those of row-major arrays are one per
 * rank, and the others that a process meets are few. */
struct PJRT_Layouts_MemoryLayout {
  PJRT_Layouts_MemoryLayout *next; /* of those that are not row-major */
  size_t size;
  char text[JM_LAYOUT_TEXT];
};

static PJRT_Layouts_MemoryLayout layouts[JM_RANK_MAX + 1];
static PJRT_Layouts_MemoryLayout *others;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of others */

static void build_layouts(void) {
  for (uint32_t rank = 0; rank <= JM_RANK_MAX; rank++)
    layouts[rank].size = strlen(jm_layout_print(rank, NULL, layouts[rank].text));
}

static jm_error *find_other(const char *text, PJRT_Layouts_MemoryLayout **out) {
  pthread_mutex_lock(&lock);
  PJRT_Layouts_MemoryLayout *layout = others;
  while (layout && strcmp(layout->text, text)) layout = layout->next;
  if (!layout && (layout = jm_alloc(1, sizeof *layout))) {
    layout->size = strlen(strcpy(layout->text, text));
    layout->next = others;
    others = layout;
  }
  pthread_mutex_unlock(&lock);
  *out = layout;
  return layout ? NULL : jm_error_out_of_memory();
}

/* NULL: row-major */
static jm_error *find_layout(size_t rank, const int64_t *minor_to_major,
                             PJRT_Layouts_MemoryLayout **out) {
  char text[JM_LAYOUT_TEXT];
  pthread_once(&once, build_layouts);
  if (rank > JM_RANK_MAX)
    return jm_error_invalid("rank %zu is beyond the limit of %d", rank, JM_RANK_MAX);
  if (minor_to_major) return find_other(jm_layout_print((uint32_t)rank, minor_to_major, text), out);
  *out = &layouts[rank];
  return NULL;
}

/* Checks that the object of a query is given, and that the block has space for the result. */
static jm_error *check(const void *object, bool known) {
  if (!known) return jm_error_invalid("the argument block's struct_size is too small");
  return object ? NULL : jm_error_invalid("the argument block's object is NULL");
}

static jm_error *destroy_layout(PJRT_Layouts_MemoryLayout_Destroy_Args *args) {
  (void)args;
  return NULL;
}

static void keep_text(PJRT_Layouts_SerializedLayout *layout) { (void)layout; }

static jm_error *serialize_layout(PJRT_Layouts_MemoryLayout_Serialize_Args *args) {
  JM_TRY(check(args->layout, JM_HAS(args, serialized_layout_deleter)));
  args->serialized_bytes = args->layout->text;
  args->serialized_bytes_size = args->layout->size;
  args->serialized_layout = NULL;
  args->serialized_layout_deleter = keep_text;
  return NULL;
}

static jm_error *client_default(PJRT_Layouts_Client_GetDefaultLayout_Args *args) {
  JM_TRY(check(args->client, JM_HAS(args, layout)));
  return find_layout(args->num_dims, NULL, &args->layout);
}

static jm_error *topology_default(PJRT_Layouts_Topology_GetDefaultLayout_Args *args) {
  JM_TRY(check(args->topology, JM_HAS(args, layout)));
  return find_layout(args->num_dims, NULL, &args->layout);
}

static jm_error *of_buffer(PJRT_Layouts_Buffer_MemoryLayout_Args *args) {
  JM_TRY(check(args->buffer, JM_HAS(args, layout)));
  const jm_buffer *buffer = jm_buffer_in(args->buffer);
  return find_layout(buffer->rank, buffer->minor_to_major, &args->layout);
}

/* The tables belong to the executable object, which fills them when it is created. */
static jm_error *of_outputs(PJRT_Layouts_Executable_GetLayouts_Args *args) {
  JM_TRY(check(args->executable, JM_HAS(args, layouts)));
  args->num_layouts = args->executable->executable->facts->n_outputs;
  args->layouts = args->executable->output_layouts;
  return NULL;
}

static jm_error *of_parameters(PJRT_Layouts_Executable_GetLayouts_Args *args) {
  JM_TRY(check(args->executable, JM_HAS(args, layouts)));
  args->num_layouts = args->executable->executable->facts->n_parameters;
  args->layouts = args->executable->parameter_layouts;
  return NULL;
}

jm_error *jm_layouts_build(PJRT_Executable *wrapped) {
  const jm_program_facts *facts = wrapped->executable->facts;
  uint32_t n_in = facts->n_parameters, n_out = facts->n_outputs;
  PJRT_Layouts_MemoryLayout **list =
      jm_arena_alloc(&wrapped->arena, (size_t)n_in + n_out, sizeof(*list));
  if (!list) return jm_error_out_of_memory();
  wrapped->parameter_layouts = list;
  wrapped->output_layouts = list + n_in;
  for (uint32_t i = 0; i < n_in + n_out; i++) {
    const jm_shape *shape =
        i < n_in ? &facts->parameters[i].shape : &facts->outputs[i - n_in].shape;
    JM_TRY(find_layout(shape->rank, shape->minor_to_major, &list[i]));
  }
  return NULL;
}

/* No shardings are a NULL list: on one partition there are none, and jaxlib refuses an empty list.
 */
static jm_error *sharding_list(PJRT_Shardings_Executable_GetShardings_Args *args,
                               const jm_kind_list *list, uint32_t n) {
  args->num_shardings = list->names ? n : 0;
  args->shardings = n ? list->names : NULL;
  args->sharding_sizes = list->sizes;
  return NULL;
}

static jm_error *parameter_shardings(PJRT_Shardings_Executable_GetShardings_Args *args) {
  JM_TRY(check(args->executable, JM_HAS(args, sharding_sizes)));
  return sharding_list(args, &args->executable->parameter_shardings,
                       args->executable->executable->facts->n_parameters);
}

static jm_error *output_shardings(PJRT_Shardings_Executable_GetShardings_Args *args) {
  JM_TRY(check(args->executable, JM_HAS(args, sharding_sizes)));
  return sharding_list(args, &args->executable->output_shardings,
                       args->executable->executable->facts->n_outputs);
}

#define CALL(function, name)                                     \
  static PJRT_Error *call_##function(PJRT_##name##_Args *args) { \
    return jm_error_out(function(args));                         \
  }
CALL(destroy_layout, Layouts_MemoryLayout_Destroy)
CALL(serialize_layout, Layouts_MemoryLayout_Serialize)
CALL(client_default, Layouts_Client_GetDefaultLayout)
CALL(topology_default, Layouts_Topology_GetDefaultLayout)
CALL(of_buffer, Layouts_Buffer_MemoryLayout)
CALL(of_outputs, Layouts_Executable_GetLayouts)
CALL(of_parameters, Layouts_Executable_GetLayouts)
CALL(parameter_shardings, Shardings_Executable_GetShardings)
CALL(output_shardings, Shardings_Executable_GetShardings)

static PJRT_Shardings_Extension shardings_extension = {
    {sizeof(PJRT_Shardings_Extension), PJRT_Extension_Type_Shardings, NULL},
    call_parameter_shardings,
    call_output_shardings,
};

PJRT_Layouts_Extension jm_layouts_extension = {
    {sizeof(PJRT_Layouts_Extension), PJRT_Extension_Type_Layouts, &shardings_extension.base},
    call_destroy_layout,
    call_serialize_layout,
    call_client_default,
    call_of_buffer,
    call_topology_default,
    call_of_outputs,
    call_of_parameters,
};
