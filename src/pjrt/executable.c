/* SPDX-License-Identifier: Apache-2.0
 * Executables: compiling, the facts of a compiled program, and its serialised form. */
#include <stdio.h>
#include <string.h>

#include "base/seal.h"
#include "pjrt/executable.h"

static jm_error *compile(const PJRT_Program *program, const char *options, size_t n_options,
                         jm_executable **out) {
  if (!program || !program->code) return jm_error_invalid("compilation of no program");
  if (program->format_size != 4 || !program->format || memcmp(program->format, "mlir", 4))
    return jm_error_unimplemented("a program in format '%.*s'; only mlir is known",
                                  program->format_size > 100 ? 100 : (int)program->format_size,
                                  program->format ? program->format : "");
  jm_compile_options parsed;
  JM_TRY(jm_compile_options_read(options, n_options, &parsed));
  return jm_executable_compile(program->code, program->code_size, options, n_options, &parsed, out);
}

/* Loads and wraps. */
static jm_error *load(jm_executable *executable, const jm_compile_options *options,
                      const jm_saved *saved, jm_client *client, PJRT_LoadedExecutable **out) {
  jm_loaded_executable *loaded;
  JM_TRY(jm_executable_load(executable, options, saved, client, &loaded));
  return jm_loaded_executable_wrap(loaded, out);
}

jm_error *jm_slot_Client_Compile(PJRT_Client_Compile_Args *args) {
  jm_executable *executable;
  JM_TRY(compile(args->program, args->compile_options, args->compile_options_size, &executable));
  jm_error *error = load(executable, NULL, NULL, jm_client_in(args->client), &args->executable);
  jm_executable_release(executable);
  return error;
}

jm_error *jm_slot_Compile(PJRT_Compile_Args *args) {
  jm_executable *executable;
  JM_TRY(compile(args->program, args->compile_options, args->compile_options_size, &executable));
  return jm_executable_wrap(executable, &args->executable);
}

jm_error *jm_slot_Client_Load(PJRT_Client_Load_Args *args) {
  if (!args->executable) return jm_error_invalid("PJRT_Client_Load: the executable is NULL");
  jm_compile_options options;
  bool given = args->compile_options && args->compile_options_size;
  if (given)
    JM_TRY(jm_compile_options_read(args->compile_options, args->compile_options_size, &options));
  return load(args->executable->executable, given ? &options : NULL, NULL,
              jm_client_in(args->client), &args->loaded_executable);
}

jm_error *jm_slot_Executable_Destroy(PJRT_Executable_Destroy_Args *args) {
  PJRT_Executable *wrapped = args->executable;
  if (!wrapped) return NULL;
  jm_executable_release(wrapped->executable);
  jm_arena_deinit(&wrapped->arena);
  jm_free(wrapped);
  return NULL;
}

static void build_costs(PJRT_Executable *wrapped, const jm_program_facts *facts) {
  const struct {
    const char *name;
    double value;
  } costs[JM_N_COSTS] = {{"flops", facts->flops}, {"bytes accessed", facts->bytes_accessed}};
  for (int i = 0; i < JM_N_COSTS; i++)
    wrapped->costs[i] = (PJRT_NamedValue){.struct_size = sizeof(PJRT_NamedValue),
                                          .name = costs[i].name,
                                          .name_size = strlen(costs[i].name),
                                          .type = PJRT_NamedValue_kFloat, /* no other is read */
                                          .float_value = (float)costs[i].value,
                                          .value_size = 1};
}

static bool build_kinds(jm_arena *arena, uint32_t n, jm_kind_list *out) {
  out->names = jm_arena_alloc(arena, n, sizeof *out->names);
  out->sizes = jm_arena_alloc(arena, n, sizeof *out->sizes);
  return out->names && out->sizes;
}

static void set_kind(const jm_kind_list *list, uint32_t i, const char *kind) {
  list->names[i] = kind ? kind : jm_memory_kind_names[JM_MEMORY_DEVICE];
  list->sizes[i] = strlen(list->names[i]);
}

static jm_error *build_shapes(PJRT_Executable *wrapped, const jm_program_facts *facts) {
  jm_arena *arena = &wrapped->arena;
  uint32_t n = facts->n_outputs;
  size_t n_dims = 0;
  for (uint32_t i = 0; i < n; i++) n_dims += facts->outputs[i].shape.rank;
  wrapped->types = jm_arena_alloc(arena, n, sizeof *wrapped->types);
  wrapped->ranks = jm_arena_alloc(arena, n, sizeof *wrapped->ranks);
  wrapped->dims = jm_arena_alloc(arena, n_dims, sizeof *wrapped->dims);
  if (!wrapped->types || !wrapped->ranks || !wrapped->dims) return jm_error_out_of_memory();
  if (!build_kinds(arena, n, &wrapped->output_kinds) ||
      !build_kinds(arena, facts->n_parameters, &wrapped->parameter_kinds))
    return jm_error_out_of_memory();
  n_dims = 0;
  for (uint32_t i = 0; i < n; i++) {
    const jm_shape *shape = &facts->outputs[i].shape;
    wrapped->types[i] = (PJRT_Buffer_Type)jm_dtype_facts[shape->dtype].pjrt;
    wrapped->ranks[i] = shape->rank;
    for (uint32_t d = 0; d < shape->rank; d++) wrapped->dims[n_dims++] = shape->dims[d];
    set_kind(&wrapped->output_kinds, i, facts->outputs[i].memory_kind);
  }
  for (uint32_t i = 0; i < facts->n_parameters; i++)
    set_kind(&wrapped->parameter_kinds, i, facts->parameters[i].memory_kind);
  return NULL;
}

jm_error *jm_executable_wrap(jm_executable *executable, PJRT_Executable **out) {
  PJRT_Executable *wrapped = jm_alloc(1, sizeof *wrapped);
  if (!wrapped) {
    jm_executable_release(executable);
    return jm_error_out_of_memory();
  }
  wrapped->executable = executable;
  jm_arena_init(&wrapped->arena);
  jm_error *error = build_shapes(wrapped, executable->facts);
  if (!error) error = jm_layouts_build(wrapped);
  if (!error) error = jm_shardings_build(wrapped);
  if (error) {
    jm_arena_deinit(&wrapped->arena);
    jm_free(wrapped);
    jm_executable_release(executable);
    return error;
  }
  build_costs(wrapped, executable->facts);
  snprintf(wrapped->fingerprint, sizeof wrapped->fingerprint, "%016llx",
           (unsigned long long)executable->facts->fingerprint);
  *out = wrapped;
  return NULL;
}

jm_error *jm_slot_Executable_Name(PJRT_Executable_Name_Args *args) {
  args->executable_name = args->executable->executable->facts->name;
  args->executable_name_size = strlen(args->executable_name);
  return NULL;
}

jm_error *jm_slot_Executable_NumReplicas(PJRT_Executable_NumReplicas_Args *args) {
  args->num_replicas = (size_t)args->executable->executable->options.n_replicas;
  return NULL;
}

jm_error *jm_slot_Executable_NumPartitions(PJRT_Executable_NumPartitions_Args *args) {
  args->num_partitions = (size_t)args->executable->executable->options.n_partitions;
  return NULL;
}

jm_error *jm_slot_Executable_NumOutputs(PJRT_Executable_NumOutputs_Args *args) {
  args->num_outputs = args->executable->executable->facts->n_outputs;
  return NULL;
}

/* -1 means unknown in PJRT. */
jm_error *jm_slot_Executable_SizeOfGeneratedCodeInBytes(
    PJRT_Executable_SizeOfGeneratedCodeInBytes_Args *args) {
  args->size_in_bytes = -1;
  return NULL;
}

jm_error *jm_slot_Executable_GetCostAnalysis(PJRT_Executable_GetCostAnalysis_Args *args) {
  args->properties = args->executable->costs;
  args->num_properties = JM_N_COSTS;
  return NULL;
}

jm_error *jm_slot_Executable_OutputMemoryKinds(PJRT_Executable_OutputMemoryKinds_Args *args) {
  args->num_outputs = args->executable->executable->facts->n_outputs;
  args->memory_kinds = args->executable->output_kinds.names;
  args->memory_kind_sizes = args->executable->output_kinds.sizes;
  return NULL;
}

jm_error *jm_slot_Executable_ParameterMemoryKinds(PJRT_Executable_ParameterMemoryKinds_Args *args) {
  args->num_parameters = args->executable->executable->facts->n_parameters;
  args->memory_kinds = args->executable->parameter_kinds.names;
  args->memory_kind_sizes = args->executable->parameter_kinds.sizes;
  return NULL;
}

jm_error *jm_slot_Executable_OutputElementTypes(PJRT_Executable_OutputElementTypes_Args *args) {
  args->output_types = args->executable->types;
  args->num_output_types = args->executable->executable->facts->n_outputs;
  return NULL;
}

jm_error *jm_slot_Executable_OutputDimensions(PJRT_Executable_OutputDimensions_Args *args) {
  args->num_outputs = args->executable->executable->facts->n_outputs;
  args->dims = args->executable->dims;
  args->dim_sizes = args->executable->ranks;
  return NULL;
}

jm_error *jm_slot_Executable_Fingerprint(PJRT_Executable_Fingerprint_Args *args) {
  args->executable_fingerprint = args->executable->fingerprint;
  args->executable_fingerprint_size = strlen(args->executable->fingerprint);
  return NULL;
}

jm_error *jm_slot_Executable_GetCompiledMemoryStats(
    PJRT_Executable_GetCompiledMemoryStats_Args *args) {
  const jm_program_facts *facts = args->executable->executable->facts;
  int64_t in = 0, out = 0, alias = 0, temporary = (int64_t)facts->temporary_bytes;
  for (uint32_t i = 0; i < facts->n_parameters; i++) {
    in += (int64_t)facts->parameters[i].shape.bytes;
    if (facts->parameters[i].alias >= 0) alias += (int64_t)facts->parameters[i].shape.bytes;
  }
  for (uint32_t i = 0; i < facts->n_outputs; i++) out += (int64_t)facts->outputs[i].shape.bytes;
  args->generated_code_size_in_bytes = 0;
  args->argument_size_in_bytes = in;
  args->output_size_in_bytes = out;
  args->alias_size_in_bytes = alias;
  args->temp_size_in_bytes = temporary;
  args->host_generated_code_size_in_bytes = 0;
  args->host_argument_size_in_bytes = 0;
  args->host_output_size_in_bytes = 0;
  args->host_alias_size_in_bytes = 0;
  args->host_temp_size_in_bytes = 0;
  JM_SET(args, peak_memory_in_bytes, in + out + temporary - alias);
  JM_SET(args, total_size_in_bytes, in + out + temporary - alias);
  JM_SET(args, total_allocation_bytes, in + out + temporary - alias);
  JM_SET(args, indefinite_allocations, 0);
  JM_SET(args, peak_unpadded_heap_bytes, in + out + temporary - alias);
  return NULL;
}

/* The program as received, which JAX parses and prints. */
jm_error *jm_slot_Executable_OptimizedProgram(PJRT_Executable_OptimizedProgram_Args *args) {
  const jm_executable *executable = args->executable->executable;
  PJRT_Program *program = args->program;
  if (!program) return jm_error_invalid("PJRT_Executable_OptimizedProgram: the program is NULL");
  program->format = "mlir";
  program->format_size = 4;
  if (!program->code) {
    program->code_size = executable->n_code;
    return NULL;
  }
  if (program->code_size < executable->n_code)
    return jm_error_invalid("the program has %zu bytes, the space has %zu", executable->n_code,
                            program->code_size);
  memcpy(program->code, executable->code, executable->n_code);
  program->code_size = executable->n_code;
  return NULL;
}

/* Options live as long as the executable, so there is nothing to delete. */
static void keep_options(PJRT_SerializedCompileOptions *options) { (void)options; }

jm_error *jm_slot_Executable_GetCompileOptions(PJRT_Executable_GetCompileOptions_Args *args) {
  args->serialized_bytes = args->executable->executable->option_bytes;
  args->serialized_bytes_size = args->executable->executable->n_options;
  args->serialized_compile_options = NULL;
  args->serialized_compile_options_deleter = keep_options;
  return NULL;
}

/* The serialised form, in a seal: two sizes of 8 bytes (little-endian), program, options, machine
 * code. Any machine can load it: what the program was compiled from is there, and the code is left
 * aside where it does not fit. */
enum { HEADER = 16 };

struct PJRT_SerializedExecutable {
  jm_text text;
};

static void append_size(jm_text *text, uint64_t value) {
  char bytes[8];
  for (int i = 0; i < 8; i++) bytes[i] = (char)(value >> (8 * i));
  jm_text_append(text, bytes, sizeof bytes);
}

static uint64_t read_size(const char *from) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++) value |= (uint64_t)(unsigned char)from[i] << (8 * i);
  return value;
}

static void delete_serialized(PJRT_SerializedExecutable *serialized) {
  jm_text_deinit(&serialized->text);
  jm_free(serialized);
}

static jm_error *serialize(jm_executable *executable, jm_text *text) {
  static const char unsealed[JM_SEAL_BYTES];
  jm_text_append(text, unsealed, sizeof unsealed);
  append_size(text, executable->n_code);
  append_size(text, executable->n_options);
  jm_text_append(text, executable->code, executable->n_code);
  jm_text_append(text, executable->option_bytes, executable->n_options);
  JM_TRY(jm_executable_save(executable, text));
  JM_TRY(jm_text_error(text));
  jm_seal_write(text->bytes, text->size - JM_SEAL_BYTES);
  return NULL;
}

jm_error *jm_slot_Executable_Serialize(PJRT_Executable_Serialize_Args *args) {
  PJRT_SerializedExecutable *serialized = jm_alloc(1, sizeof *serialized);
  if (!serialized) return jm_error_out_of_memory();
  jm_text_init(&serialized->text);
  jm_error *error = serialize(args->executable->executable, &serialized->text);
  if (error) {
    delete_serialized(serialized);
    return error;
  }
  args->serialized_bytes = serialized->text.bytes;
  args->serialized_bytes_size = serialized->text.size;
  args->serialized_executable = serialized;
  args->serialized_executable_deleter = delete_serialized;
  return NULL;
}

/* A part of serialized bytes. */
typedef struct span {
  const char *bytes;
  size_t n;
} span;

typedef struct parts {
  span program, options, machine_code;
} parts;

static jm_error *read_parts(const char *sealed, size_t n_sealed, parts *out) {
  const char *bytes;
  size_t n_bytes;
  JM_TRY(jm_seal_read("serialized executable", sealed, n_sealed, &bytes, &n_bytes));
  const size_t n = n_bytes < HEADER ? 0 : n_bytes - HEADER;
  const uint64_t n_program = n ? read_size(bytes) : 0, n_options = n ? read_size(bytes + 8) : 0;
  if (n_bytes < HEADER || n_program > n || n_options > n - n_program)
    return jm_error_invalid("the serialized executable has %llu + %llu bytes in %zu",
                            (unsigned long long)n_program, (unsigned long long)n_options, n_bytes);
  const char *at = bytes + HEADER;
  *out = (parts){{at, n_program},
                 {at + n_program, n_options},
                 {at + n_program + n_options, n - n_program - n_options}};
  return NULL;
}

jm_error *jm_slot_Executable_DeserializeAndLoad(PJRT_Executable_DeserializeAndLoad_Args *args) {
  parts p;
  JM_TRY(read_parts(args->serialized_executable, args->serialized_executable_size, &p));
  if (JM_HAS(args, overridden_serialized_compile_options_size) &&
      args->overridden_serialized_compile_options &&
      args->overridden_serialized_compile_options_size)
    p.options = (span){args->overridden_serialized_compile_options,
                       args->overridden_serialized_compile_options_size};
  jm_compile_options parsed;
  JM_TRY(jm_compile_options_read(p.options.bytes, p.options.n, &parsed));
  jm_executable *executable;
  JM_TRY(jm_executable_compile(p.program.bytes, p.program.n, p.options.bytes, p.options.n, &parsed,
                               &executable));
  const jm_saved saved = {p.machine_code.bytes, p.machine_code.n};
  jm_error *error =
      load(executable, NULL, &saved, jm_client_in(args->client), &args->loaded_executable);
  jm_executable_release(executable);
  return error;
}
