/* SPDX-License-Identifier: Apache-2.0 */
#include "ir/xla_proto.h"

#include <string.h>

/* OpSharding.Type */
enum { REPLICATED, MAXIMAL, TUPLE, OTHER, MANUAL, UNKNOWN, UNREDUCED };
/* fields of OpSharding */
enum {
  TYPE = 1,
  TILES = 3,
  DEVICES = 4,
  ELEMENTS = 5,
  REPLICATE_LAST = 6,
  LAST = 8,
  IOTA_SIZES = 9,
  IOTA_ORDER = 10,
  N_FIELDS
};

/* -- writing */

static void put_varint(jm_text *text, uint64_t value) {
  char bytes[10];
  size_t n = 0;
  for (; value >= 128; value >>= 7) bytes[n++] = (char)(value | 128);
  bytes[n++] = (char)value;
  jm_text_append(text, bytes, n);
}

static void put_number(jm_text *text, uint64_t field, uint64_t value) {
  put_varint(text, field << 3);
  put_varint(text, value);
}

/* A message or a packed list: its length in bytes comes first. */
static void put_bytes(jm_text *text, uint64_t field, const jm_text *bytes) {
  put_varint(text, field << 3 | 2);
  put_varint(text, bytes->size);
  jm_text_append(text, jm_text_bytes(bytes), bytes->size);
}

static void put_list(jm_text *text, uint64_t field, const int64_t *values, uint32_t n) {
  jm_text packed;
  jm_text_init(&packed);
  for (uint32_t i = 0; i < n; i++) put_varint(&packed, (uint64_t)values[i]);
  put_bytes(text, field, &packed);
  jm_text_deinit(&packed);
}

/* Which part of a sum a device has. */
static int64_t find_summand(const jm_sharding_sums *sums, int64_t device) {
  for (uint32_t i = 0; sums && i < sums->groups.n; i++)
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
static void put_devices(const jm_sharding *s, const jm_sharding_sums *sums, int64_t n_places,
                        int64_t n_sums, uint32_t n_devices, jm_text *text) {
  jm_text packed;
  jm_text_init(&packed);
  for (int64_t place = 0; place < n_places; place++)
    for (uint32_t device = 0; device < n_devices; device++)
      if (find_tile(s, n_devices, device) * n_sums + find_summand(sums, device) == place)
        put_varint(&packed, device);
  put_bytes(text, DEVICES, &packed);
  jm_text_deinit(&packed);
}

static void put_tiles(const jm_sharding *s, const jm_sharding_sums *sums, uint32_t rank,
                      uint32_t n_devices, jm_text *text) {
  int64_t tiles[JM_RANK_MAX + 2], kinds[2], n_tiles = 1;
  uint32_t n_dims = rank, n_kinds = 0;
  for (uint32_t d = 0; d < rank; d++) n_tiles *= tiles[d] = s ? s->dims[d].n_parts : 1;
  const int64_t n_sums = sums && sums->groups.n ? sums->group_size : 1;
  if (n_sums > 1) {
    kinds[n_kinds++] = UNREDUCED;
    tiles[n_dims++] = n_sums;
  }
  if (n_tiles * n_sums < n_devices) {
    kinds[n_kinds++] = REPLICATED;
    tiles[n_dims++] = n_devices / (n_tiles * n_sums);
  }
  put_number(text, TYPE, OTHER);
  put_list(text, TILES, tiles, n_dims);
  put_devices(s, sums, n_tiles * n_sums, n_sums, n_devices, text);
  if (n_sums > 1)
    put_list(text, LAST, kinds, n_kinds);
  else if (n_kinds)
    put_number(text, REPLICATE_LAST, 1);
}

void jm_xla_sharding_write(const jm_sharding *sharding, const jm_sharding_sums *sums, uint32_t rank,
                           uint32_t n_devices, jm_text *text) {
  const bool is_sum = sums && sums->groups.n;
  if (!sharding && is_sum && sums->group_size == n_devices)
    put_number(text, TYPE, UNREDUCED);
  else if (sharding || is_sum)
    put_tiles(sharding, sums, rank, n_devices, text);
  else
    put_number(text, TYPE, REPLICATED);
}

void jm_xla_sharding_write_manual(jm_text *text) { put_number(text, TYPE, MANUAL); }

void jm_xla_shardings_write(const jm_sharding *const *shardings, const jm_type *const *types,
                            uint32_t n, uint32_t n_devices, jm_text *text) {
  if (n == 1) {
    jm_xla_sharding_write(shardings[0], NULL, types[0]->rank, n_devices, text);
    return;
  }
  put_number(text, TYPE, TUPLE);
  for (uint32_t i = 0; i < n; i++) {
    jm_text element;
    jm_text_init(&element);
    jm_xla_sharding_write(shardings[i], NULL, types[i]->rank, n_devices, &element);
    put_bytes(text, ELEMENTS, &element);
    jm_text_deinit(&element);
  }
}

const uint8_t jm_xla_types[JM_N_DTYPES] = {
    [JM_DT_pred] = 1,
    [JM_DT_s2] = 26,
    [JM_DT_s4] = 21,
    [JM_DT_s8] = 2,
    [JM_DT_s16] = 3,
    [JM_DT_s32] = 4,
    [JM_DT_s64] = 5,
    [JM_DT_u2] = 27,
    [JM_DT_u4] = 22,
    [JM_DT_u8] = 6,
    [JM_DT_u16] = 7,
    [JM_DT_u32] = 8,
    [JM_DT_u64] = 9,
    [JM_DT_f4e2m1fn] = 32,
    [JM_DT_f8e3m4] = 29,
    [JM_DT_f8e4m3] = 28,
    [JM_DT_f8e4m3fn] = 20,
    [JM_DT_f8e4m3fnuz] = 25,
    [JM_DT_f8e4m3b11fnuz] = 23,
    [JM_DT_f8e5m2] = 19,
    [JM_DT_f8e5m2fnuz] = 24,
    [JM_DT_f8e8m0fnu] = 33,
    [JM_DT_f16] = 10,
    [JM_DT_bf16] = 16,
    [JM_DT_f32] = 11,
    [JM_DT_f64] = 12,
    [JM_DT_c64] = 15,
    [JM_DT_c128] = 18,
    [JM_DT_token] = 17,
};
enum { TUPLE_TYPE = 13 };
enum { ELEMENT_TYPE = 2, DIMENSIONS = 3, TUPLE_SHAPES = 4, IS_DYNAMIC = 6 }; /* of ShapeProto */

static void put_shape(const jm_type *type, jm_text *text) {
  static const int64_t no[JM_RANK_MAX];
  put_number(text, ELEMENT_TYPE, jm_xla_types[type->dtype]);
  put_list(text, DIMENSIONS, type->dims, type->rank);
  put_list(text, IS_DYNAMIC, no, type->rank);
}

void jm_xla_shapes_write(const jm_type *const *types, uint32_t n, jm_text *text) {
  if (n == 1) {
    put_shape(types[0], text);
    return;
  }
  put_number(text, ELEMENT_TYPE, TUPLE_TYPE);
  for (uint32_t i = 0; i < n; i++) {
    jm_text element;
    jm_text_init(&element);
    put_shape(types[i], &element);
    put_bytes(text, TUPLE_SHAPES, &element);
    jm_text_deinit(&element);
  }
}

/* -- reading */

typedef struct cursor {
  const uint8_t *at, *end;
  bool failed;
} cursor;

static uint64_t take_varint(cursor *c) {
  uint64_t value = 0;
  for (uint32_t shift = 0; shift < 64 && c->at < c->end; shift += 7) {
    const uint8_t byte = *c->at++;
    value |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) return value;
  }
  c->failed = true;
  return 0;
}

static cursor take_bytes(cursor *c, uint64_t size) {
  if (size > (uint64_t)(c->end - c->at)) {
    c->failed = true;
    return (cursor){c->end, c->end, true};
  }
  c->at += size;
  return (cursor){c->at - size, c->at, false};
}

typedef struct message {
  jm_i64s lists[N_FIELDS]; /* numbers by field, as far as they are of interest */
  int64_t *numbers[N_FIELDS];
  uint32_t capacities[N_FIELDS];
  cursor *elements;
  uint32_t n_elements, elements_capacity;
} message;

static jm_error *malformed(void) { return jm_error_invalid("a malformed OpSharding"); }

static jm_error *add_number(jm_arena *arena, message *out, uint64_t field, uint64_t value) {
  jm_i64s *list = &out->lists[field];
  int64_t *grown = jm_arena_grow(arena, out->numbers[field], list->n + 1, &out->capacities[field],
                                 sizeof *grown);
  if (!grown) return jm_error_out_of_memory();
  out->numbers[field] = grown;
  grown[list->n] = (int64_t)value;
  *list = (jm_i64s){grown, list->n + 1};
  return NULL;
}

static jm_error *add_element(jm_arena *arena, message *out, cursor element) {
  cursor *grown = jm_arena_grow(arena, out->elements, out->n_elements + 1, &out->elements_capacity,
                                sizeof *grown);
  if (!grown) return jm_error_out_of_memory();
  out->elements = grown;
  grown[out->n_elements++] = element;
  return NULL;
}

/* A field of bytes: an element of a tuple, or a packed list. What else is there says nothing of how
 * the array is divided. */
static jm_error *read_bytes(jm_arena *arena, cursor bytes, uint64_t field, message *out) {
  const bool is_list = field == TILES || field == DEVICES || field == LAST || field == IOTA_SIZES ||
                       field == IOTA_ORDER;
  if (field == ELEMENTS) return add_element(arena, out, bytes);
  while (is_list && bytes.at < bytes.end && !bytes.failed)
    JM_TRY(add_number(arena, out, field, take_varint(&bytes)));
  return bytes.failed ? malformed() : NULL;
}

static jm_error *read_message(jm_arena *arena, cursor c, message *out) {
  enum { NUMBER, EIGHT_BYTES, BYTES, FOUR_BYTES = 5 }; /* wire types */
  while (c.at < c.end && !c.failed) {
    const uint64_t key = take_varint(&c), field = key >> 3;
    switch (key & 7) {
      case NUMBER: {
        const uint64_t value = take_varint(&c);
        if (field < N_FIELDS) JM_TRY(add_number(arena, out, field, value));
        break;
      }
      case BYTES: {
        const uint64_t size = take_varint(&c);
        JM_TRY(read_bytes(arena, take_bytes(&c, size), field, out));
        break;
      }
      case EIGHT_BYTES:
        take_bytes(&c, 8);
        break;
      case FOUR_BYTES:
        take_bytes(&c, 4);
        break;
      default:
        return malformed();
    }
  }
  return c.failed ? malformed() : NULL;
}

static int64_t number_of(const message *m, uint32_t field) {
  return m->lists[field].n ? m->lists[field].data[m->lists[field].n - 1] : 0;
}

/* Dimensions of tiles beyond those of the array are of devices with equal parts. */
static jm_error *read_tiles(jm_arena *arena, const message *m, uint32_t rank, uint32_t n_devices,
                            const jm_sharding **out) {
  const jm_i64s tiles = m->lists[TILES], *listed = &m->lists[DEVICES];
  const uint32_t n_kinds = m->lists[LAST].n;
  for (uint32_t i = 0; i < n_kinds; i++)
    if (m->lists[LAST].data[i] != REPLICATED)
      return jm_error_unimplemented("a sharding with manual or unreduced devices");
  const uint32_t n_extra = n_kinds ? n_kinds : number_of(m, REPLICATE_LAST) != 0;
  if (tiles.n != rank + n_extra)
    return jm_error_invalid("a sharding of %u dimensions for %u", tiles.n - n_extra, rank);
  int64_t *ids = jm_arena_alloc(arena, n_devices, sizeof *ids);
  if (!ids) return jm_error_out_of_memory();
  if (!listed->n)
    JM_TRY(jm_sharding_number_devices(m->lists[IOTA_SIZES], m->lists[IOTA_ORDER], n_devices, ids));
  return jm_sharding_from_tiles(arena, tiles, listed->n ? *listed : (jm_i64s){ids, n_devices}, rank,
                                n_devices, out);
}

static jm_error *read_sharding(jm_arena *arena, const message *m, uint32_t rank, uint32_t n_devices,
                               const jm_sharding **out) {
  const int64_t type = number_of(m, TYPE);
  *out = NULL;
  switch (type) {
    case REPLICATED:
      return NULL;
    case OTHER:
      return read_tiles(arena, m, rank, n_devices, out);
    default:
      return jm_error_unimplemented("an OpSharding of type %lld", (long long)type);
  }
}

jm_error *jm_xla_shardings_read(jm_arena *arena, const char *bytes, size_t size,
                                const jm_type *const *types, uint32_t n, uint32_t n_devices,
                                const jm_sharding **out) {
  const cursor whole = {(const uint8_t *)bytes, (const uint8_t *)bytes + size, false};
  message m = {.n_elements = 0};
  JM_TRY(read_message(arena, whole, &m));
  if (number_of(&m, TYPE) != TUPLE) {
    if (n != 1) return jm_error_invalid("one sharding for %u arrays", n);
    return read_sharding(arena, &m, types[0]->rank, n_devices, out);
  }
  if (m.n_elements != n) return jm_error_invalid("%u shardings for %u arrays", m.n_elements, n);
  for (uint32_t i = 0; i < n; i++) {
    message element = {.n_elements = 0};
    JM_TRY(read_message(arena, m.elements[i], &element));
    JM_TRY(read_sharding(arena, &element, types[i]->rank, n_devices, &out[i]));
  }
  return NULL;
}
