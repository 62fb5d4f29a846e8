/* SPDX-License-Identifier: Apache-2.0
 * Shardings of arguments and results, as serialized OpSharding messages. */
#include "pjrt/executable.h"

enum { REPLICATED, OTHER = 3 };                                     /* OpSharding.Type */
enum { TYPE = 1, DIMENSIONS = 3, DEVICES = 4, REPLICATE_LAST = 6 }; /* its fields */

static void put_varint(jm_text *text, uint64_t value) {
  char bytes[10];
  size_t n = 0;
  for (; value >= 128; value >>= 7) bytes[n++] = (char)(value | 128);
  bytes[n++] = (char)value;
  jm_text_append(text, bytes, n);
}

static void put_flag(jm_text *text, uint64_t field, uint64_t value) {
  put_varint(text, field << 3);
  put_varint(text, value);
}

/* A packed list: its length in bytes comes first. */
static void put_list(jm_text *text, uint64_t field, const int64_t *values, uint32_t n) {
  jm_text packed;
  jm_text_init(&packed);
  for (uint32_t i = 0; i < n; i++) put_varint(&packed, (uint64_t)values[i]);
  put_varint(text, field << 3 | 2);
  put_varint(text, packed.size);
  jm_text_append(text, jm_text_bytes(&packed), packed.size);
  jm_text_deinit(&packed);
}

/* Devices by the parts that they have, row-major; those with the same part one after another. */
static void print(const jm_sharding *s, jm_text *text) {
  int64_t tiles[JM_RANK_MAX + 1], devices[JM_MAX_DEVICES], n_tiles = 1;
  uint32_t n = 0;
  for (uint32_t d = 0; d < s->rank; d++) n_tiles *= tiles[d] = s->dims[d].n_parts;
  for (int64_t tile = 0; tile < n_tiles; tile++)
    for (uint32_t p = 0; p < s->n_devices; p++) {
      int64_t at = 0;
      for (uint32_t d = 0; d < s->rank; d++) at = at * tiles[d] + jm_sharding_part(s, d, p);
      if (at == tile) devices[n++] = jm_sharding_partition(s, p);
    }
  const bool repeats = n_tiles < s->n_devices;
  tiles[s->rank] = s->n_devices / n_tiles;
  put_flag(text, TYPE, OTHER);
  put_list(text, DIMENSIONS, tiles, s->rank + repeats);
  put_list(text, DEVICES, devices, n);
  if (repeats) put_flag(text, REPLICATE_LAST, 1);
}

static jm_error *add(jm_arena *arena, const jm_sharding *sharding, jm_kind_list *list, uint32_t i) {
  jm_text text;
  jm_text_init(&text);
  if (sharding)
    print(sharding, &text);
  else
    put_flag(&text, TYPE, REPLICATED);
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
  for (uint32_t i = 0; i < facts->n_parameters; i++)
    JM_TRY(add(&wrapped->arena, facts->parameters[i].parts, &wrapped->parameter_shardings, i));
  for (uint32_t i = 0; i < facts->n_outputs; i++)
    JM_TRY(add(&wrapped->arena, facts->outputs[i].parts, &wrapped->output_shardings, i));
  return NULL;
}
