/* SPDX-License-Identifier: Apache-2.0
 * Custom calls that are met while a program is partitioned: those whose partitioner says what one
 * device runs (base/partitioner.h), callbacks that want what each device has, and those that ask
 * for the sharding of a value.
 *
 *   %y: f32[8,4] = custom_call %x target="CustomSPMDPartitioning" backend_config="7"
 *
 * where the partitioner of that name wants %x in parts=[1,1,2,0], and gives the program
 * { return sine %arg } for it, becomes
 *
 *   %x1: f32[4,4] = ...                 %x as it wants it
 *   %y: f32[4,4] = sine %x1             and then as the other ops want it */
#include <string.h>

#include "base/callback.h"
#include "base/partitioner.h"
#include "ir/xla_proto.h"
#include "pass/partition.h"
#include "pass/pass.h"

/* -- what becomes of a call */

static bool find_partitioner(const jm_op *op, jm_partitioner *out) {
  if (op->code != JM_OP_custom_call) return false;
  const jm_custom_call_attrs *a = op->attrs;
  return jm_partitioner_find(a->target.bytes, a->target.size, out);
}

bool jm_call_is_partitioned(const jm_op *op) {
  jm_partitioner partitioner;
  return find_partitioner(op, &partitioner);
}

bool jm_call_inspects(const jm_op *op, int64_t *id) {
  if (op->code != JM_OP_custom_call || op->n_operands != 1) return false;
  const jm_custom_call_attrs *a = op->attrs;
  return !strcmp(a->target.bytes, "mps.inspect_sharding") && jm_call_id_find(a, id);
}

bool jm_call_takes_parts(const jm_op *op) {
  int64_t id;
  if (!jm_op_callback_find(op, &id)) return false;
  const jm_dict *config = &((const jm_custom_call_attrs *)op->attrs)->config;
  for (uint32_t i = 0; i < config->n; i++)
    if (!strcmp(config->entries[i].key.bytes, "partitioned")) return config->entries[i].i64 != 0;
  return false;
}

bool jm_pass_partition_takes(const jm_module *m, const jm_op *op) {
  int64_t id;
  return m->whole &&
         (jm_call_is_partitioned(op) || jm_call_inspects(op, &id) || jm_call_takes_parts(op));
}

/* -- asking */

static jm_error *finish(jm_arena *arena, jm_text *text, jm_span *out) {
  jm_error *error = jm_text_error(text);
  *out = (jm_span){NULL, text->size};
  if (!error && !(out->bytes = jm_arena_copy(arena, jm_text_bytes(text), text->size, 1)))
    error = jm_error_out_of_memory();
  jm_text_deinit(text);
  return error;
}

/* n values that are one array, or one tuple. */
static jm_error *describe(jm_placement *p, const jm_value *values, uint32_t n,
                          jm_partition_array *out) {
  const jm_type **types = jm_arena_alloc(&p->scratch, n, sizeof *types);
  const jm_sharding **shardings = jm_arena_alloc(&p->scratch, n, sizeof *shardings);
  if (!types || !shardings) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) {
    types[i] = jm_module_typeof(p->m, values[i]);
    shardings[i] = jm_placement_of(p, values[i]);
  }
  jm_text text;
  jm_text_init(&text);
  jm_xla_shapes_write(types, n, &text);
  JM_TRY(finish(&p->scratch, &text, &out->shape));
  jm_text_init(&text);
  jm_xla_shardings_write(shardings, types, n, p->m->n_partitions, &text);
  return finish(&p->scratch, &text, &out->sharding);
}

static jm_error *build_request(jm_placement *p, const jm_op *op, const jm_value *results,
                               jm_partition_request *out) {
  const jm_custom_call_attrs *a = op->attrs;
  jm_partition_array *operands = jm_arena_alloc(&p->scratch, op->n_operands, sizeof *operands);
  if (!operands) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < op->n_operands; i++)
    JM_TRY(describe(p, &op->operands[i], 1, &operands[i]));
  *out = (jm_partition_request){.config = {a->backend_config.bytes, a->backend_config.size},
                                .n_operands = op->n_operands,
                                .operands = operands};
  return describe(p, results, op->n_results, &out->result);
}

static jm_error *read_shardings(jm_placement *p, jm_span bytes, const jm_value *values, uint32_t n,
                                const jm_sharding **out) {
  const jm_type **types = jm_arena_alloc(&p->scratch, n, sizeof *types);
  if (!types) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) types[i] = jm_module_typeof(p->m, values[i]);
  JM_TRY(jm_xla_shardings_read(&p->m->arena, bytes.bytes, bytes.size, types, n, p->m->n_partitions,
                               out));
  for (uint32_t i = 0; i < n; i++) JM_TRY(jm_sharding_canonicalize(&p->m->arena, out[i], &out[i]));
  return NULL;
}

static jm_error *list_results(jm_placement *p, const jm_op *op, jm_value **out) {
  *out = jm_arena_alloc(&p->scratch, op->n_results, sizeof **out);
  for (uint32_t i = 0; *out && i < op->n_results; i++) (*out)[i] = op->first_result + i;
  return *out ? NULL : jm_error_out_of_memory();
}

/* Parts of what each device has for itself would be cut by axes that the body may have taken. */
static jm_error *check_manual(const jm_op *op, const jm_call_parts *parts) {
  bool divides = false;
  for (uint32_t i = 0; i < op->n_operands; i++) divides |= parts->operands[i] != NULL;
  for (uint32_t i = 0; i < op->n_results; i++) divides |= parts->results[i] != NULL;
  if (!divides) return NULL;
  return jm_error_unimplemented(
      "a partitioner that divides arrays of a body written per device (shard_map)");
}

jm_error *jm_call_partition(jm_placement *p, const jm_op *op, bool manual, jm_call_parts *out) {
  jm_partitioner partitioner;
  jm_partition_request request;
  jm_partition_answer answer;
  jm_value *results;
  if (!find_partitioner(op, &partitioner)) return jm_error_internal("a call without partitioner");
  JM_TRY(list_results(p, op, &results));
  JM_TRY(build_request(p, op, results, &request));
  JM_TRY(partitioner.partition(partitioner.context, &request, &p->scratch, &answer));
  out->program = answer.program;
  out->operands = jm_arena_alloc(&p->scratch, op->n_operands, sizeof *out->operands);
  out->results = jm_arena_alloc(&p->scratch, op->n_results, sizeof *out->results);
  if (!out->operands || !out->results) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < op->n_operands; i++)
    JM_TRY(read_shardings(p, answer.operand_sharding[i], &op->operands[i], 1, &out->operands[i]));
  JM_TRY(read_shardings(p, answer.result_sharding, results, op->n_results, out->results));
  return manual ? check_manual(op, out) : NULL;
}

jm_error *jm_call_propagate(jm_placement *p, const jm_op *op, bool from_users,
                            const jm_sharding ***out) {
  jm_partitioner partitioner;
  jm_partition_request request;
  jm_span answer;
  jm_value *results;
  *out = NULL;
  if (!find_partitioner(op, &partitioner)) return NULL;
  JM_TRY(list_results(p, op, &results));
  JM_TRY(build_request(p, op, results, &request));
  JM_TRY((from_users ? partitioner.follow_users : partitioner.infer)(partitioner.context, &request,
                                                                     &p->scratch, &answer));
  if (!answer.size) return NULL;
  *out = jm_arena_alloc(&p->scratch, op->n_results, sizeof **out);
  if (!*out) return jm_error_out_of_memory();
  return read_shardings(p, answer, results, op->n_results, *out);
}

/* -- callbacks that each device calls with its parts, beside each of which are its sizes:

   custom_call %x target="mps.callback" config={id=7, partitioned=true}

   becomes, where %x: f32[8,4] has parts=[1,1,2,0],

   %0: s64[2] = constant value=[4,4]
   custom_call %x, %0 target="mps.callback" config={id=7}                                       */

static jm_error *build_sizes(const jm_site *site, jm_value part, jm_value *out) {
  jm_module *m = site->m;
  const jm_type *of = jm_module_typeof(m, part), *type;
  const int64_t n = of->rank;
  JM_TRY(jm_module_type(m, JM_DT_s64, 1, &n, &type));
  void *sizes = jm_arena_copy(&m->arena, of->dims, of->rank, sizeof *of->dims);
  if (!sizes) return jm_error_out_of_memory();
  const jm_constant_attrs attrs = {.value = {sizes, false}};
  const jm_op_spec spec = {.code = JM_OP_constant,
                           .result_types = &type,
                           .n_results = 1,
                           .attrs = &attrs,
                           .loc = site->loc};
  jm_op_id id;
  JM_TRY(jm_build_op(m, site->region, &spec, &id));
  *out = m->ops[id].first_result;
  return NULL;
}

/* The id alone. */
static jm_error *shorten_config(jm_module *m, int64_t id, jm_dict *out) {
  const jm_dict_entry entry = {.key = {"id", 2}, .kind = JM_DICT_I64, .i64 = id};
  const jm_dict_entry *entries = jm_arena_copy(&m->arena, &entry, 1, sizeof entry);
  *out = (jm_dict){entries, 1};
  return entries ? NULL : jm_error_out_of_memory();
}

jm_error *jm_call_build_on_parts(jm_placement *p, const jm_site *site, const jm_op *op,
                                 const jm_value *parts, jm_op_id *out) {
  jm_module *m = p->m;
  jm_custom_call_attrs attrs = *(const jm_custom_call_attrs *)op->attrs;
  jm_value *operands = jm_arena_alloc(&p->scratch, 2 * (size_t)op->n_operands, sizeof *operands);
  const jm_type **types = jm_arena_alloc(&p->scratch, op->n_results, sizeof *types);
  uint32_t n = 0;
  int64_t id;
  if (!operands || !types) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < op->n_operands; i++) {
    operands[n++] = parts[i];
    if (jm_module_typeof(m, parts[i])->dtype == JM_DT_token) continue;
    JM_TRY(build_sizes(site, parts[i], &operands[n++]));
  }
  for (uint32_t i = 0; i < op->n_results; i++) {
    types[i] = jm_op_result_type(m, op, i);
    if (types[i]->dtype != JM_DT_token)
      return jm_error_unimplemented("results of a callback that each device calls with its parts");
  }
  if (jm_op_callback_find(op, &id)) JM_TRY(shorten_config(m, id, &attrs.config));
  attrs.layouts = attrs.aliases = (jm_i64s){NULL, 0};
  const jm_op_spec spec = {.code = JM_OP_custom_call,
                           .operands = operands,
                           .n_operands = n,
                           .result_types = types,
                           .n_results = op->n_results,
                           .attrs = &attrs,
                           .loc = op->loc};
  return jm_build_op(m, site->region, &spec, out);
}

/* -- inspection */

jm_error *jm_call_inspect(jm_placement *p, const jm_op *op, int64_t id) {
  const jm_value v = op->operands[0];
  jm_text text;
  jm_span sharding;
  jm_text_init(&text);
  if (p->manual[v])
    jm_xla_sharding_write_manual(&text);
  else
    jm_xla_sharding_write(jm_placement_of(p, v), NULL, jm_module_typeof(p->m, v)->rank,
                          p->m->n_partitions, &text);
  JM_TRY(finish(&p->scratch, &text, &sharding));
  const jm_callback_array in = {(void *)(uintptr_t)sharding.bytes, (int64_t)sharding.size};
  return jm_callback_call(id, 1, &in, 0, NULL);
}
