/* SPDX-License-Identifier: Apache-2.0
 * The extension for partitioners of custom calls: jaxlib's callbacks become those of
 * base/partitioner.h. Callbacks are kept for good, since a program that is being compiled may be
 * about to call them. */
#include <string.h>

#include "base/partitioner.h"
#include "pjrt/extensions.h"
#include "pjrt/partitioner_abi.h"
#include "pjrt/pjrt.h"

typedef JAX_CustomCallPartitioner_string string;

/* The callee reads it only. */
static string string_of(jm_span span) { return (string){span.bytes, span.size}; }

static jm_error *copy(jm_arena *arena, string from, jm_span *out) {
  *out = (jm_span){jm_arena_copy(arena, from.data, from.size, 1), from.size};
  return out->bytes ? NULL : jm_error_out_of_memory();
}

static JAX_CustomCallPartitioner_aval aval_of(const jm_partition_array *array) {
  return (JAX_CustomCallPartitioner_aval){.shape = string_of(array->shape),
                                          .has_sharding = true,
                                          .sharding = string_of(array->sharding)};
}

static jm_error *list_operands(jm_arena *arena, const jm_partition_request *request,
                               JAX_CustomCallPartitioner_aval **out) {
  *out = jm_arena_alloc(arena, request->n_operands, sizeof **out);
  if (!*out) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < request->n_operands; i++) (*out)[i] = aval_of(&request->operands[i]);
  return NULL;
}

/* Its codes are those of PJRT, which are those of jm_error. */
static jm_error *error_of(const JAX_CustomCallPartitioner_version_and_error *header) {
  if (!header->has_error) return NULL;
  return jm_error_create((jm_code)header->code, "%.*s", (int)header->error_msg.size,
                         header->error_msg.data);
}

static void clean_up(const JAX_CustomCallPartitioner_version_and_error *header) {
  if (header->cleanup_fn) header->cleanup_fn(header->data);
}

static jm_error *read_answer(const JAX_CustomCallPartitioner_Partition_Args *args, jm_arena *arena,
                             jm_partition_answer *out) {
  jm_span *shardings = jm_arena_alloc(arena, args->num_args, sizeof *shardings);
  if (!shardings) return jm_error_out_of_memory();
  for (size_t i = 0; i < args->num_args; i++)
    JM_TRY(copy(arena, args->args_sharding[i], &shardings[i]));
  out->operand_sharding = shardings;
  JM_TRY(copy(arena, args->result_sharding, &out->result_sharding));
  return copy(arena, args->mlir_module, &out->program);
}

static jm_error *partition(void *context, const jm_partition_request *request, jm_arena *arena,
                           jm_partition_answer *out) {
  JAX_CustomCallPartitioner_Callbacks *callbacks = context;
  JAX_CustomCallPartitioner_Partition_Args args = {
      .header = {.api_version = JAX_CUSTOM_CALL_PARTITIONER_VERSION},
      .num_args = request->n_operands,
      .op_result = aval_of(&request->result),
      .backend_config = string_of(request->config)};
  JM_TRY(list_operands(arena, request, &args.op_args));
  callbacks->partition(callbacks, &args);
  jm_error *error = error_of(&args.header);
  if (!error) error = read_answer(&args, arena, out);
  clean_up(&args.header);
  return error;
}

static jm_error *infer(void *context, const jm_partition_request *request, jm_arena *arena,
                       jm_span *out) {
  JAX_CustomCallPartitioner_Callbacks *callbacks = context;
  JAX_CustomCallPartitioner_InferShardingFromOperands_Args args = {
      .header = {.api_version = JAX_CUSTOM_CALL_PARTITIONER_VERSION},
      .num_args = request->n_operands,
      .result_shape = string_of(request->result.shape),
      .backend_config = string_of(request->config)};
  *out = (jm_span){NULL, 0};
  JM_TRY(list_operands(arena, request, &args.op_args));
  callbacks->infer_sharding(callbacks, &args);
  jm_error *error = error_of(&args.header);
  if (!error && args.has_result_sharding) error = copy(arena, args.result_sharding, out);
  clean_up(&args.header);
  return error;
}

static jm_error *follow_users(void *context, const jm_partition_request *request, jm_arena *arena,
                              jm_span *out) {
  JAX_CustomCallPartitioner_Callbacks *callbacks = context;
  JAX_CustomCallPartitioner_PropagateUserSharding_Args args = {
      .header = {.api_version = JAX_CUSTOM_CALL_PARTITIONER_VERSION},
      .backend_config = string_of(request->config),
      .result_shape = string_of(request->result.shape),
      .result_sharding = string_of(request->result.sharding)};
  callbacks->propagate_user_sharding(callbacks, &args);
  jm_error *error = error_of(&args.header);
  if (!error) error = copy(arena, args.result_sharding, out);
  clean_up(&args.header);
  return error;
}

static jm_error *register_partitioner(const PJRT_Register_Custom_Partitioner_Args *args) {
  if (!JM_HAS(args, callbacks) || !args->callbacks)
    return jm_error_invalid("a partitioner without callbacks");
  if (args->callbacks->version != JAX_CUSTOM_CALL_PARTITIONER_VERSION)
    return jm_error_unimplemented("version %lld of a partitioner's callbacks",
                                  (long long)args->callbacks->version);
  const jm_partitioner partitioner = {args->callbacks, partition, infer, follow_users};
  return jm_partitioner_register(args->name, args->name_size, &partitioner);
}

static PJRT_Error *call_register_partitioner(PJRT_Register_Custom_Partitioner_Args *args) {
  return jm_error_out(register_partitioner(args));
}

/* Such calls work on whole arrays, which is slower and gives the same. */
static PJRT_Error *call_register_batched(PJRT_Register_Batch_Partitionable_Args *args) {
  (void)args;
  return NULL;
}

PJRT_Custom_Partitioner_Extension jm_partitioners_extension = {
    {sizeof(PJRT_Custom_Partitioner_Extension), PJRT_Extension_Type_Custom_Partitioner,
     &jm_explain_extension.base},
    call_register_partitioner,
    call_register_batched,
};
