/* SPDX-License-Identifier: Apache-2.0
 * Shardings of arguments and results, as serialized OpSharding messages. */
#include "ir/xla_proto.h"
#include "pjrt/executable.h"

static jm_error *add(jm_arena *arena, const jm_sharding *sharding, const jm_sharding_sums *sums,
                     uint32_t rank, uint32_t n_devices, jm_kind_list *list, uint32_t i) {
  jm_text text;
  jm_text_init(&text);
  jm_xla_sharding_write(sharding, sums, rank, n_devices, &text);
  jm_error *error = jm_text_error(&text);
  list->sizes[i] = text.size;
  list->names[i] = error ? NULL : jm_arena_copy(arena, jm_text_bytes(&text), text.size, 1);
  jm_text_deinit(&text);
  return error || list->names[i] ? error : jm_error_out_of_memory();
}

static jm_error *allocate(jm_arena *arena, uint32_t n, jm_kind_list *list) {
  list->names = jm_arena_alloc(arena, n, sizeof *list->names);
  list->sizes = jm_arena_alloc(arena, n, sizeof *list->sizes);
  return list->names && list->sizes ? NULL : jm_error_out_of_memory();
}

jm_error *jm_shardings_build(PJRT_Executable *wrapped) {
  const jm_program_facts *facts = wrapped->executable->facts;
  if (facts->n_partitions == 1) return NULL;
  if (facts->n_partitions > JM_MAX_DEVICES)
    return jm_error_unimplemented("a program of %u partitions", facts->n_partitions);
  JM_TRY(allocate(&wrapped->arena, facts->n_parameters, &wrapped->parameter_shardings));
  JM_TRY(allocate(&wrapped->arena, facts->n_outputs, &wrapped->output_shardings));
  const uint32_t n = facts->n_partitions;
  for (uint32_t i = 0; i < facts->n_parameters; i++) {
    const jm_parameter *p = &facts->parameters[i];
    JM_TRY(add(&wrapped->arena, p->parts, &p->sums, p->shape.rank, n, &wrapped->parameter_shardings,
               i));
  }
  for (uint32_t i = 0; i < facts->n_outputs; i++) {
    const jm_output *o = &facts->outputs[i];
    JM_TRY(
        add(&wrapped->arena, o->parts, &o->sums, o->shape.rank, n, &wrapped->output_shardings, i));
  }
  return NULL;
}
