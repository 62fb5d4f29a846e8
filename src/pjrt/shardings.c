/* SPDX-License-Identifier: Apache-2.0
 * Shardings of arguments and results, as serialized OpSharding messages. */
#include "pjrt/executable.h"

enum { REPLICATED, OTHER = 3, UNREDUCED = 6 };                                /* OpSharding.Type */
enum { TYPE = 1, DIMENSIONS = 3, DEVICES = 4, REPLICATE_LAST = 6, LAST = 8 }; /* its fields */

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

/* Which part of a sum a device has. */
static int64_t find_summand(const jm_sharding_sums *sums, int64_t device) {
  for (uint32_t i = 0; i < sums->groups.n; i++)
    if (sums->groups.data[i] == device) return i % sums->group_size;
  return 0;
}

/* Where a device's part is in the row-major numbering of parts. */
static int64_t find_tile(const jm_sharding *s, uint32_t n_devices, int64_t device) {
  int64_t tile = 0;
  for (uint32_t p = 0; s && p < n_devices; p++) {
    if (jm_sharding_partition(s, p) != device) continue;
    for (uint32_t d = 0; d < s->rank; d++)
      tile = tile * s->dims[d].n_parts + jm_sharding_part(s, d, p);
  }
  return tile;
}

/* Devices by the parts that they have, row-major, and by their parts of sums; those with the same
 * part one after another. */
static void print(const jm_sharding *s, const jm_sharding_sums *sums, uint32_t rank,
                  uint32_t n_devices, jm_text *text) {
  int64_t tiles[JM_RANK_MAX + 2], devices[JM_MAX_DEVICES], kinds[2], n_tiles = 1;
  uint32_t n = 0, n_dims = rank, n_kinds = 0;
  for (uint32_t d = 0; d < rank; d++) n_tiles *= tiles[d] = s ? s->dims[d].n_parts : 1;
  const int64_t n_sums = sums->groups.n ? sums->group_size : 1;
  for (int64_t place = 0; place < n_tiles * n_sums; place++)
    for (uint32_t device = 0; device < n_devices; device++)
      if (find_tile(s, n_devices, device) * n_sums + find_summand(sums, device) == place)
        devices[n++] = device;
  if (n_sums > 1) {
    kinds[n_kinds++] = UNREDUCED;
    tiles[n_dims++] = n_sums;
  }
  if (n_tiles * n_sums < n_devices) {
    kinds[n_kinds++] = REPLICATED;
    tiles[n_dims++] = n_devices / (n_tiles * n_sums);
  }
  put_flag(text, TYPE, OTHER);
  put_list(text, DIMENSIONS, tiles, n_dims);
  put_list(text, DEVICES, devices, n);
  if (n_sums > 1)
    put_list(text, LAST, kinds, n_kinds);
  else if (n_kinds)
    put_flag(text, REPLICATE_LAST, 1);
}

static jm_error *add(jm_arena *arena, const jm_sharding *sharding, const jm_sharding_sums *sums,
                     uint32_t rank, uint32_t n_devices, jm_kind_list *list, uint32_t i) {
  jm_text text;
  jm_text_init(&text);
  if (!sharding && sums->groups.n && sums->group_size == n_devices)
    put_flag(&text, TYPE, UNREDUCED);
  else if (sharding || sums->groups.n)
    print(sharding, sums, rank, n_devices, &text);
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
