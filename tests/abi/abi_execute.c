/* SPDX-License-Identifier: Apache-2.0
 * Programs: compile options, what is known of an executable, its serialised form, executions. */
#include <stdlib.h>
#include <time.h>

#include "abi/abi.h"
#include "abi/program_fake.h"

static PJRT_Program program_of(const void *code, size_t n_code) {
  return (PJRT_Program){.struct_size = sizeof(PJRT_Program),
                        .code = (char *)code,
                        .code_size = n_code,
                        .format = "mlir",
                        .format_size = 4};
}

static PJRT_Error *compile_with(const void *code, size_t n_code, const char *options,
                                size_t n_options, PJRT_LoadedExecutable **out) {
  PJRT_Program program = program_of(code, n_code);
  PJRT_Client_Compile_Args *args = ARGS(Client_Compile, client, &program, options, n_options);
  PJRT_Error *error = abi_Client_Compile(args);
  *out = error ? NULL : args->executable;
  return error;
}

static PJRT_LoadedExecutable *compile(const void *code, size_t n_code) {
  PJRT_LoadedExecutable *executable;
  if (!OK(compile_with(code, n_code, NULL, 0, &executable))) exit(1);
  return executable;
}

static void destroy_loaded(PJRT_LoadedExecutable *executable) {
  OK(abi_LoadedExecutable_Destroy(ARGS(LoadedExecutable_Destroy, executable)));
}

static PJRT_Executable *get_executable(PJRT_LoadedExecutable *loaded) {
  PJRT_LoadedExecutable_GetExecutable_Args *args = ARGS(LoadedExecutable_GetExecutable, loaded);
  OK(abi_LoadedExecutable_GetExecutable(args));
  return args->executable;
}

static void destroy_executable(PJRT_Executable *executable) {
  OK(abi_Executable_Destroy(ARGS(Executable_Destroy, executable)));
}

void test_options(const void *code, size_t n_code) {
  static const struct {
    const char *bytes;
    size_t size;
    int code;
    const char *text;
  } cases[] = {
#define CASE(bytes, code, text) {bytes, sizeof bytes - 1, code, text}
      CASE("\x10\x01", 12, "tuple"),
      CASE("\x1a\x02\x28\x02", 3, "2 partitions, the client has 1 device"),
      CASE("\x1a\x02\x20\x00", 3, "0 replicas"),
      CASE("\x1a\x0b\x4a\x09\x08\x01\x10\x01\x1a\x03\x0a\x01\x05", 3, "device 5"),
      CASE("\x3a\x05\x0a\x03"
           "foo",
           3, "No such compile option: 'foo'"),
      CASE("\x3a\x23\x0a\x1a"
           "xla_embed_ir_in_executable\x12\x05\x0a\x03"
           "bad",
           3, "'bad' is not a valid bool value"),
      CASE("\x1a\x7f\x28", 3, "malformed"),
      CASE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 3, "malformed"),
      CASE("\x28", 3, "malformed"),
      CASE("\x1a\x01\x28", 3, "malformed"),
      CASE("\x07", 3, "malformed"),
  };
  PJRT_LoadedExecutable *executable;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    FAILS(compile_with(code, n_code, cases[i].bytes, cases[i].size, &executable), cases[i].code,
          cases[i].text);
  static const char good[] =
      "\x1a\x0f\x20\x01\x28\x01\x4a\x09\x08\x01\x10\x01\x1a\x03\x0a\x01\x00"
      "\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x48\x01";
  if (OK(compile_with(code, n_code, good, sizeof good - 1, &executable)))
    destroy_loaded(executable);
  for (size_t i = 0; i < sizeof good - 1; i++) { /* any byte wrong: an error or not, no crash */
    char bytes[sizeof good];
    memcpy(bytes, good, sizeof good);
    bytes[i] = (char)(bytes[i] ^ (i % 2 ? 0x7f : 0x05));
    PJRT_Error *error = compile_with(code, n_code, bytes, sizeof good - 1, &executable);
    if (!error) destroy_loaded(executable);
    abi_Error_Destroy(ARGS(Error_Destroy, .error = error));
  }
  FAILS(compile_with("nonsense", 8, NULL, 0, &executable), 3, "");
  PJRT_Program program = program_of(code, n_code);
  program.format = "hlo_with_config";
  program.format_size = strlen(program.format);
  FAILS(abi_Client_Compile(ARGS(Client_Compile, client, &program)), 12, "hlo_with_config");
  FAILS(abi_Client_Compile(ARGS(Client_Compile, client)), 3, "no program");
}

/* One execution; outputs has space for its buffers. */
static PJRT_Error *execute(PJRT_LoadedExecutable *executable, PJRT_Buffer *const *arguments,
                           size_t n_arguments, PJRT_Buffer **outputs, PJRT_Event **done,
                           const int64_t *kept, size_t n_kept) {
  PJRT_ExecuteOptions options = {.struct_size = 80, /* what an old caller knows */
                                 .num_hlo_output_callbacks = 0xA5A5,
                                 .non_donatable_input_indices = kept,
                                 .num_non_donatable_input_indices = n_kept};
  PJRT_Event *events[1];
  PJRT_LoadedExecutable_Execute_Args *args =
      ARGS(LoadedExecutable_Execute, executable, &options, &arguments, 1, n_arguments, &outputs,
           done ? events : NULL);
  PJRT_Error *error = abi_LoadedExecutable_Execute(args);
  if (!error && done) *done = events[0];
  return error;
}

static void test_execution(PJRT_LoadedExecutable *executable) {
  PJRT_Buffer *in = put_floats(1), *out;
  PJRT_Event *done = NULL;
  if (!OK(execute(executable, &in, 1, &out, &done, NULL, 0))) exit(1);
  await(done);
  await(ready_event(out));
  CHECK(holds_floats(out, 2) && holds_floats(in, 1) && !is_deleted(in));
  destroy_buffer(out);
  OK(execute(executable, &in, 1, &out, NULL, NULL, 0));
  CHECK(holds_floats(out, 2));
  destroy_buffer(out);

  FAILS(execute(executable, &in, 0, &out, NULL, NULL, 0), 3, "takes 1 arguments, 0 were given");
  const int64_t dims[] = {3, 2};
  float data[6] = {0};
  PJRT_Buffer *wrong = put(data, PJRT_Buffer_Type_F32, dims, 2, NULL,
                           PJRT_HostBufferSemantics_kImmutableOnlyDuringCall, NULL);
  FAILS(execute(executable, &wrong, 1, &out, NULL, NULL, 0), 3,
        "is f32[3,2], the program takes f32[2,3]");
  destroy_buffer(wrong);
  PJRT_Buffer *missing = NULL;
  FAILS(execute(executable, &missing, 1, &out, NULL, NULL, 0), 3, "missing");
  OK(abi_Buffer_Delete(ARGS(Buffer_Delete, in)));
  FAILS(execute(executable, &in, 1, &out, NULL, NULL, 0), 3, "deleted or donated");
  destroy_buffer(in);

  PJRT_ExecuteOptions options = {.struct_size = sizeof options, .num_send_ops = 1};
  FAILS(abi_LoadedExecutable_Execute(
            ARGS(LoadedExecutable_Execute, executable, &options, .num_devices = 1)),
        12, "send");
  FAILS(abi_LoadedExecutable_Execute(ARGS(LoadedExecutable_Execute, executable, .num_devices = 2)),
        3, "2 were given");
  FAILS(abi_LoadedExecutable_Execute(
            ARGS(LoadedExecutable_Execute, executable, .num_devices = 1, .num_args = 1)),
        3, "without lists");
}

static void test_loaded(PJRT_LoadedExecutable *executable) {
  PJRT_LoadedExecutable_AddressableDevices_Args *devices =
      ARGS(LoadedExecutable_AddressableDevices, executable);
  OK(abi_LoadedExecutable_AddressableDevices(devices));
  CHECK(devices->num_addressable_devices == 1 && devices->addressable_devices[0] == device);
  PJRT_LoadedExecutable_AddressableDeviceLogicalIds_Args *ids =
      ARGS(LoadedExecutable_AddressableDeviceLogicalIds, executable);
  OK(abi_LoadedExecutable_AddressableDeviceLogicalIds(ids));
  CHECK(ids->num_addressable_device_logical_ids == 1);
  CHECK(ids->addressable_device_logical_ids[0].partition == 0);
  PJRT_LoadedExecutable_GetDeviceAssignment_Args *assignment =
      ARGS(LoadedExecutable_GetDeviceAssignment, executable);
  OK(abi_LoadedExecutable_GetDeviceAssignment(assignment));
  CHECK(assignment->serialized_bytes_size == 9);
  CHECK(!memcmp(assignment->serialized_bytes, "\x08\x01\x10\x01\x1a\x03\x0a\x01\x00", 9));
  assignment->serialized_device_assignment_deleter(assignment->serialized_device_assignment);
  PJRT_LoadedExecutable_Fingerprint_Args *print = ARGS(LoadedExecutable_Fingerprint, executable);
  OK(abi_LoadedExecutable_Fingerprint(print));
  CHECK(print->executable_fingerprint_size == 16);
}

static void test_facts(PJRT_Executable *executable) {
  PJRT_Executable_Name_Args *name = ARGS(Executable_Name, executable);
  OK(abi_Executable_Name(name));
  PJRT_Executable_NumReplicas_Args *replicas = ARGS(Executable_NumReplicas, executable);
  OK(abi_Executable_NumReplicas(replicas));
  PJRT_Executable_NumPartitions_Args *partitions = ARGS(Executable_NumPartitions, executable);
  OK(abi_Executable_NumPartitions(partitions));
  CHECK(replicas->num_replicas == 1 && partitions->num_partitions == 1);
  PJRT_Executable_NumOutputs_Args *outputs = ARGS(Executable_NumOutputs, executable);
  OK(abi_Executable_NumOutputs(outputs));
  CHECK(outputs->num_outputs == 1);
  PJRT_Executable_SizeOfGeneratedCodeInBytes_Args *size =
      ARGS(Executable_SizeOfGeneratedCodeInBytes, executable);
  OK(abi_Executable_SizeOfGeneratedCodeInBytes(size));
  PJRT_Executable_GetCostAnalysis_Args *costs = ARGS(Executable_GetCostAnalysis, executable);
  OK(abi_Executable_GetCostAnalysis(costs));
  for (size_t i = 0; i < costs->num_properties; i++)
    CHECK(costs->properties[i].type == PJRT_NamedValue_kFloat);
  PJRT_Executable_OutputMemoryKinds_Args *kinds = ARGS(Executable_OutputMemoryKinds, executable);
  OK(abi_Executable_OutputMemoryKinds(kinds));
  CHECK(kinds->num_outputs == 1 && !strcmp(kinds->memory_kinds[0], "device"));
  PJRT_Executable_ParameterMemoryKinds_Args *parameters =
      ARGS(Executable_ParameterMemoryKinds, executable);
  OK(abi_Executable_ParameterMemoryKinds(parameters));
  CHECK(parameters->num_parameters == 1 && parameters->memory_kind_sizes[0] == 6);
  PJRT_Executable_OutputElementTypes_Args *types = ARGS(Executable_OutputElementTypes, executable);
  OK(abi_Executable_OutputElementTypes(types));
  CHECK(types->num_output_types == 1 && types->output_types[0] == PJRT_Buffer_Type_F32);
  PJRT_Executable_OutputDimensions_Args *dims = ARGS(Executable_OutputDimensions, executable);
  OK(abi_Executable_OutputDimensions(dims));
  CHECK(dims->num_outputs == 1 && dims->dim_sizes[0] == 2 && dims->dims[1] == 3);
  PJRT_Executable_Fingerprint_Args *print = ARGS(Executable_Fingerprint, executable);
  OK(abi_Executable_Fingerprint(print));
  CHECK(print->executable_fingerprint_size == 16);
  PJRT_Executable_GetCompiledMemoryStats_Args *memory =
      ARGS(Executable_GetCompiledMemoryStats, executable);
  OK(abi_Executable_GetCompiledMemoryStats(memory));
  CHECK(memory->argument_size_in_bytes == 24 && memory->output_size_in_bytes == 24);
}

static void test_text(PJRT_Executable *executable, const void *code, size_t n_code) {
  PJRT_Program program = {.struct_size = sizeof program};
  PJRT_Executable_OptimizedProgram_Args *args =
      ARGS(Executable_OptimizedProgram, executable, &program);
  OK(abi_Executable_OptimizedProgram(args));
  CHECK(program.code_size == n_code && program.format_size == 4);
  program.code = malloc(n_code);
  OK(abi_Executable_OptimizedProgram(args));
  CHECK(!memcmp(program.code, code, n_code));
  program.code_size--;
  FAILS(abi_Executable_OptimizedProgram(args), 3, "space");
  free(program.code);
  FAILS(abi_Executable_OptimizedProgram(ARGS(Executable_OptimizedProgram, executable)), 3, "NULL");
}

/* No bit may change unseen. */
static void test_damage(const char *sound, size_t n_bytes) {
  char *damaged = malloc(n_bytes);
  memcpy(damaged, sound, n_bytes);
  PJRT_Executable_DeserializeAndLoad_Args *args =
      ARGS(Executable_DeserializeAndLoad, client, damaged, n_bytes);
  for (size_t bit = 0; bit < 8 * n_bytes; bit++) {
    damaged[bit / 8] ^= (char)(1 << bit % 8);
    FAILS(abi_Executable_DeserializeAndLoad(args), 3, "serialized executable");
    damaged[bit / 8] = sound[bit / 8];
  }
  free(damaged);
}

static void test_serialisation(PJRT_Executable *executable) {
  PJRT_Executable_Serialize_Args *bytes = ARGS(Executable_Serialize, executable);
  OK(abi_Executable_Serialize(bytes));
  PJRT_Executable_DeserializeAndLoad_Args *again = ARGS(
      Executable_DeserializeAndLoad, client, bytes->serialized_bytes, bytes->serialized_bytes_size);
  OK(abi_Executable_DeserializeAndLoad(again));
  test_execution(again->loaded_executable);
  destroy_loaded(again->loaded_executable);
  for (size_t cut = 0; cut < bytes->serialized_bytes_size; cut++) {
    again->serialized_executable_size = cut;
    FAILS(abi_Executable_DeserializeAndLoad(again), 3, "serialized executable");
  }
  test_damage(bytes->serialized_bytes, bytes->serialized_bytes_size);
  bytes->serialized_executable_deleter(bytes->serialized_executable);
  PJRT_Executable_GetCompileOptions_Args *options = ARGS(Executable_GetCompileOptions, executable);
  OK(abi_Executable_GetCompileOptions(options));
  CHECK(options->serialized_bytes_size == 0);
  options->serialized_compile_options_deleter(options->serialized_compile_options);
}

void test_programs(const void *code, size_t n_code) {
  PJRT_LoadedExecutable *loaded = compile(code, n_code);
  PJRT_Executable *executable = get_executable(loaded);
  test_loaded(loaded);
  test_execution(loaded);
  test_facts(executable);
  test_text(executable, code, n_code);
  test_serialisation(executable);
  PJRT_LoadedExecutable_IsDeleted_Args *deleted = ARGS(LoadedExecutable_IsDeleted, loaded);
  OK(abi_LoadedExecutable_IsDeleted(deleted));
  CHECK(!deleted->is_deleted);
  OK(abi_LoadedExecutable_Delete(ARGS(LoadedExecutable_Delete, loaded)));
  OK(abi_LoadedExecutable_IsDeleted(deleted));
  CHECK(deleted->is_deleted);
  FAILS(execute(loaded, NULL, 0, NULL, NULL, NULL, 0), 3, "without lists");
  PJRT_Buffer *in = put_floats(1), *out;
  FAILS(execute(loaded, &in, 1, &out, NULL, NULL, 0), 3, "has been deleted");
  destroy_buffer(in);
  destroy_loaded(loaded);
  PJRT_Client_Load_Args *load = ARGS(Client_Load, client, executable);
  OK(abi_Client_Load(load)); /* the executable outlives what it was loaded from */
  test_execution(load->loaded_executable);
  destroy_executable(executable);
  destroy_loaded(load->loaded_executable);
  destroy_executable(NULL);
  destroy_loaded(NULL);

  PJRT_Client_TopologyDescription_Args *topology = ARGS(Client_TopologyDescription, client);
  OK(abi_Client_TopologyDescription(topology));
  PJRT_Program program = program_of(code, n_code);
  PJRT_Compile_Args *ahead = ARGS(Compile, topology->topology, &program);
  OK(abi_Compile(ahead));
  test_facts(ahead->executable);
  destroy_executable(ahead->executable);
  PJRT_ExecuteContext_Create_Args *context = ARGS(ExecuteContext_Create, NULL);
  OK(abi_ExecuteContext_Create(context));
  OK(abi_ExecuteContext_Destroy(ARGS(ExecuteContext_Destroy, context->context)));
}
