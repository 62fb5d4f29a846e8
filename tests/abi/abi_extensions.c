/* SPDX-License-Identifier: Apache-2.0
 * The extensions: layouts, shardings, explanations, partitioners, the profiler. */
#include "pjrt/extensions.h"

#include <stdlib.h>

#include "abi/abi.h"
#include "pjrt/partitioner_abi.h"
#include "pjrt/profiler_abi.h"

static PJRT_Extension_Base *find_extension(int type) {
  PJRT_Extension_Base *extension = api->extension_start;
  while (extension && extension->type != type) extension = extension->next;
  CHECK(extension);
  return extension;
}

static bool is_text(const PJRT_Layouts_Extension *layouts, PJRT_Layouts_MemoryLayout *layout,
                    const char *text) {
  PJRT_Layouts_MemoryLayout_Serialize_Args args = {sizeof args, NULL, layout};
  OK(layouts->MemoryLayout_Serialize(&args));
  bool same = args.serialized_bytes_size == strlen(text) &&
              !memcmp(args.serialized_bytes, text, strlen(text));
  args.serialized_layout_deleter(args.serialized_layout);
  PJRT_Layouts_MemoryLayout_Destroy_Args end = {sizeof end, NULL, layout};
  OK(layouts->MemoryLayout_Destroy(&end));
  return same;
}

static void test_defaults(const PJRT_Layouts_Extension *layouts) {
  static const char *const texts[] = {"{}", "{0}", "{1,0}", "{2,1,0}"};
  const int64_t dims[3] = {1, 2, 3};
  PJRT_Client_TopologyDescription_Args *topology = ARGS(Client_TopologyDescription, client);
  OK(abi_Client_TopologyDescription(topology));
  for (size_t rank = 0; rank < 4; rank++) {
    PJRT_Layouts_Client_GetDefaultLayout_Args args = {sizeof args,          NULL, client,
                                                      PJRT_Buffer_Type_F32, dims, rank};
    OK(layouts->Client_GetDefaultLayout(&args));
    CHECK(is_text(layouts, args.layout, texts[rank]));
    PJRT_Layouts_Topology_GetDefaultLayout_Args of = {
        sizeof of, NULL, topology->topology, PJRT_Buffer_Type_F32, dims, rank};
    OK(layouts->Topology_GetDefaultLayout(&of));
    CHECK(of.layout == args.layout);
  }
  PJRT_Layouts_Client_GetDefaultLayout_Args bad = {
      .struct_size = sizeof bad, .client = client, .num_dims = 65};
  FAILS(layouts->Client_GetDefaultLayout(&bad), 3, "rank 65");
  bad.struct_size = 24;
  FAILS(layouts->Client_GetDefaultLayout(&bad), 3, "struct_size");
  PJRT_Buffer *buffer = put_floats(0);
  PJRT_Layouts_Buffer_MemoryLayout_Args of = {sizeof of, NULL, buffer};
  OK(layouts->Buffer_MemoryLayout(&of));
  CHECK(is_text(layouts, of.layout, "{1,0}"));
  of.buffer = NULL;
  FAILS(layouts->Buffer_MemoryLayout(&of), 3, "NULL");
  destroy_buffer(buffer);
}

/* The fake compiler has no plans: what is asked of both is that they say so or answer in full. */
static void test_explanations(const void *code, size_t n_code) {
  const jm_explain_extension_type *explain =
      (const jm_explain_extension_type *)find_extension(JM_EXTENSION_EXPLAIN);
  if (!explain) return;
  static const char *const devices[] = {NULL, "metal", "cuda"}; /* that need not be there */
  jm_explanation answer;
  for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
    bool known = !explain->explain(code, n_code, devices[i], &answer);
    CHECK(answer.text && (known ? answer.json != NULL : strstr(answer.text, "fake") != NULL));
    explain->release(&answer);
  }
  CHECK(explain->explain("nonsense", 8, NULL, &answer) && answer.text && *answer.text &&
        !answer.json);
  explain->release(&answer);
  CHECK(explain->explain(code, n_code, "abacus", &answer) && strstr(answer.text, "abacus"));
  explain->release(&answer);
  explain->record(0);
  CHECK(!explain->take(&answer));
}

static bool has_bytes(const uint8_t *bytes, size_t size, const char *text) {
  const size_t length = strlen(text);
  for (size_t i = 0; i + length <= size; i++)
    if (!memcmp(bytes + i, text, length)) return true;
  return false;
}

/* Both ways to collect: into the profiler's own memory, and into the caller's. */
static void test_collection(const PLUGIN_Profiler_Api *profiler, PLUGIN_Profiler *one) {
  PLUGIN_Profiler_CollectData_Args data = {sizeof data, one, NULL, 0};
  CHECK(!profiler->collect_data(&data));
  if (!data.buffer || !data.buffer_size_in_bytes) {
    CHECK(!"nothing was collected");
    return;
  }
  CHECK(has_bytes(data.buffer, data.buffer_size_in_bytes, "/device:CUSTOM:mps:0"));
  CHECK(has_bytes(data.buffer, data.buffer_size_in_bytes, "host to device"));
  const uint8_t *own = data.buffer;
  data.buffer = malloc(data.buffer_size_in_bytes);
  CHECK(!profiler->collect_data(&data));
  CHECK(!memcmp(own, data.buffer, data.buffer_size_in_bytes));
  free(data.buffer);
}

static void test_profiler(void) {
  const PJRT_Profiler_Extension *extension =
      (const PJRT_Profiler_Extension *)find_extension(PJRT_Extension_Type_Profiler);
  if (!extension) return;
  const PLUGIN_Profiler_Api *profiler = extension->profiler_api;
  PLUGIN_Profiler_Create_Args create = {sizeof create, "", 0, NULL};
  CHECK(!profiler->create(&create) && create.profiler);
  PLUGIN_Profiler_Args args = {sizeof args, create.profiler};
  PLUGIN_Profiler_CollectData_Args none = {sizeof none, create.profiler, NULL, 0};
  CHECK(!profiler->collect_data(&none) && !none.buffer_size_in_bytes);
  CHECK(!profiler->stop(&args)); /* not started: nothing to stop */
  CHECK(!profiler->start(&args));
  PLUGIN_Profiler_Error *error = profiler->start(&args);
  PLUGIN_Profiler_Error_Message_Args message = {.struct_size = sizeof message, .error = error};
  profiler->error_message(&message);
  CHECK(error && strstr(message.message, "started already"));
  PLUGIN_Profiler_Error_GetCode_Args code = {.struct_size = sizeof code, .error = error};
  CHECK(!profiler->error_get_code(&code) && code.code == 9);
  PLUGIN_Profiler_Error_Destroy_Args end = {.struct_size = sizeof end, .error = error};
  profiler->error_destroy(&end);
  destroy_buffer(put_floats(0));
  CHECK(!profiler->stop(&args));
  test_collection(profiler, create.profiler);
  CHECK(!profiler->destroy(&args));
}

/* What programs do with one is seen in tests/jax/test_partitioners.py. */
static void test_partitioners(void) {
  const PJRT_Custom_Partitioner_Extension *extension =
      (const PJRT_Custom_Partitioner_Extension *)find_extension(
          PJRT_Extension_Type_Custom_Partitioner);
  static JAX_CustomCallPartitioner_Callbacks callbacks, of_a_newer_version = {.version = 1};
  if (!extension) return;
  PJRT_Register_Custom_Partitioner_Args args = {sizeof args, "a.call", 6, NULL};
  FAILS(extension->register_custom_partitioner(&args), 3, "without callbacks");
  args.callbacks = &of_a_newer_version;
  FAILS(extension->register_custom_partitioner(&args), 12, "version 1 of a partitioner");
  args.callbacks = &callbacks;
  OK(extension->register_custom_partitioner(&args));
  OK(extension->register_custom_partitioner(&args));
  args.name_size = 0;
  FAILS(extension->register_custom_partitioner(&args), 3, "without a name");
}

void test_extensions(const void *code, size_t n_code) {
  PJRT_Layouts_Extension *layouts =
      (PJRT_Layouts_Extension *)find_extension(PJRT_Extension_Type_Layouts);
  PJRT_Shardings_Extension *shardings =
      (PJRT_Shardings_Extension *)find_extension(PJRT_Extension_Type_Shardings);
  if (!layouts || !shardings) return;
  test_defaults(layouts);
  test_explanations(code, n_code);
  test_profiler();
  test_partitioners();
  PJRT_Program program = {.struct_size = sizeof program,
                          .code = (char *)code,
                          .code_size = n_code,
                          .format = "mlir",
                          .format_size = 4};
  PJRT_Client_Compile_Args *compile = ARGS(Client_Compile, client, &program);
  if (!OK(abi_Client_Compile(compile))) return;
  PJRT_LoadedExecutable_GetExecutable_Args *get =
      ARGS(LoadedExecutable_GetExecutable, compile->executable);
  OK(abi_LoadedExecutable_GetExecutable(get));
  PJRT_Layouts_Executable_GetLayouts_Args of = {sizeof of, NULL, get->executable};
  OK(layouts->Executable_GetOutputLayouts(&of));
  CHECK(of.num_layouts == 1 && is_text(layouts, of.layouts[0], "{1,0}"));
  OK(layouts->Executable_GetParameterLayouts(&of));
  CHECK(of.num_layouts == 1 && is_text(layouts, of.layouts[0], "{1,0}"));
  PJRT_Shardings_Executable_GetShardings_Args none = {sizeof none, NULL, get->executable};
  OK(shardings->Executable_ParameterShardings(&none));
  OK(shardings->Executable_OutputShardings(&none));
  CHECK(none.num_shardings == 0 && !none.shardings);
  OK(abi_Executable_Destroy(ARGS(Executable_Destroy, get->executable)));
  OK(abi_LoadedExecutable_Destroy(ARGS(LoadedExecutable_Destroy, compile->executable)));
}
