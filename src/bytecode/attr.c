/* SPDX-License-Identifier: Apache-2.0
 * Decoding of single attributes and types. The tables give each code of each dialect its kind and
 * the encodings of its fields; one interpreter reads them all. */
#include "bytecode/reader.h"

/* Letters of a field list:
 *   a   attribute                          A   attributes, counted
 *   N   attributes, counted; the count goes to ints
 *   o   optional attribute, index << 1 | present
 *   h   optional attribute, a varint "present" and then the index
 *   P   pairs of attributes, counted
 *   t   type                               T   types, counted; the count goes to ints
 *   s   string                             b   blob
 *   v   varint                             V   varints, counted
 *   z   signed varint                      Z   signed varints, counted
 *   C   signed varints, counted; the count goes to ints
 *   y   byte                               O   optional varint, value << 1 | present; -1 if absent
 *   i   integer of the type                f   float of the type
 *   d   bits of an f64                     D   bits of f64s, counted
 *   *   whatever is left, as bytes */
typedef struct coding {
  uint8_t kind;
  const char *fields; /* NULL: no such code */
  const char *name;   /* for a type without fields that isn't a scalar of ours */
  int dtype;          /* of a scalar, + 1 */
} coding;

#define COUNT(table) (sizeof(table) / sizeof *(table))

#define ATTR(kind, fields) {JM_WIRE_##kind, fields, NULL, 0}
static const coding builtin_attrs[] = {
    [0] = ATTR(ARRAY, "A"),     [1] = ATTR(DICTIONARY, "P"), [2] = ATTR(STRING, "s"),
    [3] = ATTR(STRING, "st"),   [4] = ATTR(SYMBOL, "a"),     [5] = ATTR(SYMBOL, "aA"),
    [6] = ATTR(TYPE, "t"),      [7] = ATTR(UNIT, ""),        [8] = ATTR(INTEGER, "ti"),
    [9] = ATTR(FLOAT, "tf"),    [10] = ATTR(LOCATION, "aa"), [11] = ATTR(LOCATION, "avv"),
    [12] = ATTR(LOCATION, "A"), [13] = ATTR(LOCATION, "Aa"), [14] = ATTR(LOCATION, "aa"),
    [15] = ATTR(LOCATION, ""),  [16] = ATTR(RECORD, "tv"),   [17] = ATTR(RECORD, "tvb"),
    [18] = ATTR(TENSOR, "tb"),  [22] = ATTR(LOCATION, "aV"),
};

static const coding vhlo_attrs[] = {
    [1] = ATTR(ARRAY, "A"),     [2] = ATTR(BOOL, "v"),       [3] = ATTR(ENUM, "v"),
    [4] = ATTR(ENUM, "v"),      [5] = ATTR(ENUM, "v"),       [6] = ATTR(DICTIONARY, "P"),
    [7] = ATTR(ENUM, "v"),      [8] = ATTR(FLOAT, "tf"),     [9] = ATTR(INTEGER, "ti"),
    [10] = ATTR(RECORD, "CzC"), [11] = ATTR(ENUM, "v"),      [12] = ATTR(ENUM, "v"),
    [13] = ATTR(ENUM, "v"),     [14] = ATTR(STRING, "s"),    [15] = ATTR(TENSOR, "tb"),
    [16] = ATTR(ENUM, "v"),     [17] = ATTR(TYPE, "t"),      [18] = ATTR(RECORD, "Z"),
    [19] = ATTR(ENUM, "v"),     [20] = ATTR(RECORD, "ddza"), [21] = ATTR(RECORD, "zz"),
    [22] = ATTR(RECORD, "ah"),  [23] = ATTR(RECORD, "aa"),   [24] = ATTR(RECORD, "az"),
    [25] = ATTR(RECORD, "ao"),
};

static const coding sdy_attrs[] = {
    [0] = ATTR(RECORD, "A"),     [1] = ATTR(RECORD, "sz"),        [2] = ATTR(RECORD, "AZ"),
    [3] = ATTR(RECORD, "zz"),    [4] = ATTR(RECORD, "so"),        [5] = ATTR(RECORD, "AyO"),
    [6] = ATTR(RECORD, "aNN"),   [7] = ATTR(RECORD, "A"),         [8] = ATTR(RECORD, "Z"),
    [9] = ATTR(RECORD, "A"),     [10] = ATTR(RECORD, "CNNCCCCy"), [11] = ATTR(RECORD, "A"),
    [12] = ATTR(RECORD, "A"),    [13] = ATTR(RECORD, "Azz"),      [14] = ATTR(RECORD, "A"),
    [15] = ATTR(RECORD, "aNNN"), [16] = ATTR(RECORD, "A"),        [17] = ATTR(RECORD, "aNNNz"),
};

#define TYPE(kind, fields, name) {JM_WIRE_T_##kind, fields, name, 0}
#define SCALAR(dtype) {JM_WIRE_T_SCALAR, "", NULL, JM_DT_##dtype + 1}
static const coding builtin_types[] = {
    [0] = TYPE(OTHER, "v", "integer"),
    [1] = TYPE(INDEX, "", "index"),
    [2] = TYPE(FUNCTION, "TT", NULL),
    [3] = SCALAR(bf16),
    [4] = SCALAR(f16),
    [5] = SCALAR(f32),
    [6] = SCALAR(f64),
    [7] = TYPE(OTHER, "", "f80"),
    [8] = TYPE(OTHER, "", "f128"),
    [9] = TYPE(COMPLEX, "t", NULL),
    [12] = TYPE(NONE, "", "none"),
    [13] = TYPE(TENSOR, "Zt", NULL),
    [14] = TYPE(TENSOR, "aZt", NULL),
    [15] = TYPE(TUPLE, "T", NULL),
};

static const coding vhlo_types[] = {
    [1] = TYPE(COMPLEX, "t", NULL),          [8] = TYPE(FUNCTION, "TT", NULL),
    [9] = TYPE(INDEX, "", "index"),          [20] = TYPE(TENSOR, "Zt", NULL),
    [21] = TYPE(TENSOR, "aZt", NULL),        [23] = TYPE(TUPLE, "T", NULL),
    [24] = TYPE(QUANTIZED, "vttdzzz", NULL), [25] = TYPE(UNRANKED, "t", NULL),
    [26] = TYPE(OTHER, "", "witness"),       [30] = TYPE(QUANTIZED, "vttvzzDZ", NULL),
    [33] = TYPE(NONE, "", "none"),           [34] = TYPE(OTHER, "", "tf32"),
    [41] = TYPE(BUFFER, "Zt", NULL),         [42] = TYPE(FUTURE, "T", NULL),
};

static const coding stablehlo_types[] = {[0] = SCALAR(token)};

static const struct {
  const coding *codings;
  size_t n;
} attr_codings[JM_WIRE_N_DIALECTS] =
    {
        [JM_WIRE_BUILTIN] = {builtin_attrs, COUNT(builtin_attrs)},
        [JM_WIRE_VHLO] = {vhlo_attrs, COUNT(vhlo_attrs)},
        [JM_WIRE_SDY] = {sdy_attrs, COUNT(sdy_attrs)},
},
  type_codings[JM_WIRE_N_DIALECTS] = {
      [JM_WIRE_BUILTIN] = {builtin_types, COUNT(builtin_types)},
      [JM_WIRE_VHLO] = {vhlo_types, COUNT(vhlo_types)},
      [JM_WIRE_STABLEHLO] = {stablehlo_types, COUNT(stablehlo_types)},
};

/* One entry while its fields are read. */
typedef struct fields {
  jm_bytecode *b;
  jm_cursor c;
  jm_wire_lists *lists;
  uint32_t type;     /* first one of an attribute */
  bool of_type;      /* the entry is a type: refs are types */
  uint32_t encoding; /* attribute of a type */
  const uint8_t *bytes;
  uint32_t n_bytes;
} fields;

static void fail_memory(fields *f) {
  jm_error_destroy(f->c.error);
  f->c.error = jm_error_out_of_memory();
  f->c.at = f->c.end;
}

static void add_int(fields *f, int64_t v) {
  jm_wire_lists *l = f->lists;
  int64_t *grown = jm_arena_grow(&f->b->arena, l->ints, l->n_ints + 1, &l->ints_capacity, sizeof v);
  if (!grown) {
    fail_memory(f);
    return;
  }
  l->ints = grown;
  l->ints[l->n_ints++] = v;
}

static void add_ref(fields *f, uint32_t v) {
  jm_wire_lists *l = f->lists;
  uint32_t *grown =
      jm_arena_grow(&f->b->arena, l->refs, l->n_refs + 1, &l->refs_capacity, sizeof v);
  if (!grown) {
    fail_memory(f);
    return;
  }
  l->refs = grown;
  l->refs[l->n_refs++] = v;
}

static void add_attr(fields *f, uint64_t index) {
  uint32_t i = jm_cursor_index(&f->c, index, f->b->n_attrs, "there is no attribute");
  if (f->of_type)
    f->encoding = i;
  else
    add_ref(f, i);
}

static void add_type(fields *f, uint64_t index) {
  uint32_t i = jm_cursor_index(&f->c, index, f->b->n_types, "there is no type");
  if (f->of_type)
    add_ref(f, i);
  else
    f->type = i;
}

/* An integer of `bits` bits: one byte up to 8, else zigzag. */
static uint64_t read_bits(fields *f, unsigned bits) {
  if (bits <= 8) return jm_cursor_byte(&f->c);
  return (uint64_t)jm_cursor_svarint(&f->c);
}

/* The integer or float of the attribute's type, which comes before it. */
static void add_number(fields *f, bool is_float) {
  if (f->c.error) return;
  const jm_wire_type *type;
  jm_error *error = jm_bytecode_read_type(f->b, f->type, &type);
  if (error) {
    f->c.error = error;
    f->c.at = f->c.end;
    return;
  }
  f->lists->n_refs = f->lists->n_ints = 0; /* decoding the type used them */
  bool sign = false;
  unsigned bits = 64;
  if (type->kind == JM_WIRE_T_INDEX && !is_float) {
    sign = true;
  } else if (type->kind == JM_WIRE_T_SCALAR && jm_dtype_is_float(type->dtype) == is_float &&
             !jm_dtype_is_complex(type->dtype) && type->dtype != JM_DT_token) {
    bits = jm_dtype_facts[type->dtype].bits;
    sign = jm_dtype_classof(type->dtype) == JM_CLASS_SINT;
  } else {
    jm_cursor_fail(&f->c, is_float ? "a float attribute's type is not a float"
                                   : "an integer attribute's type is not an integer");
    return;
  }
  uint64_t v = read_bits(f, bits) << (64 - bits);
  add_int(f, sign ? (int64_t)v >> (64 - bits) : (int64_t)(v >> (64 - bits)));
}

static uint32_t read_count(fields *f) { return jm_cursor_count(&f->c, jm_cursor_varint(&f->c)); }

static void read_string(fields *f) {
  uint32_t i =
      jm_cursor_index(&f->c, jm_cursor_varint(&f->c), f->b->n_strings, "there is no string");
  if (f->c.error) return;
  f->bytes = (const uint8_t *)f->b->strings[i].bytes;
  f->n_bytes = f->b->strings[i].size;
}

static void read_blob(fields *f) {
  f->n_bytes = read_count(f);
  f->bytes = jm_cursor_bytes(&f->c, f->n_bytes);
}

static void read_counted(fields *f, char letter) {
  jm_cursor *c = &f->c;
  uint32_t n = read_count(f);
  if (letter == 'N' || letter == 'T' || letter == 'C') add_int(f, n);
  for (uint32_t i = 0; i < n && !c->error; i++) switch (letter) {
      case 'P':
        add_attr(f, jm_cursor_varint(c)); /* fall through */
      case 'A':
      case 'N':
        add_attr(f, jm_cursor_varint(c));
        break;
      case 'T':
        add_type(f, jm_cursor_varint(c));
        break;
      case 'V':
        add_int(f, (int64_t)jm_cursor_varint(c));
        break;
      case 'D':
      case 'Z':
      case 'C':
        add_int(f, jm_cursor_svarint(c));
        break;
    }
}

static void read_field(fields *f, char letter) {
  jm_cursor *c = &f->c;
  bool present;
  uint64_t v;
  switch (letter) {
    case 'a':
      add_attr(f, jm_cursor_varint(c));
      break;
    case 'o':
      v = jm_cursor_varint_flag(c, &present);
      if (present)
        add_attr(f, v);
      else
        add_ref(f, JM_WIRE_NONE);
      break;
    case 'h':
      if (jm_cursor_varint(c))
        add_attr(f, jm_cursor_varint(c));
      else
        add_ref(f, JM_WIRE_NONE);
      break;
    case 't':
      add_type(f, jm_cursor_varint(c));
      break;
    case 's':
      read_string(f);
      break;
    case 'b':
      read_blob(f);
      break;
    case 'v':
      add_int(f, (int64_t)jm_cursor_varint(c));
      break;
    case 'd':
    case 'z':
      add_int(f, jm_cursor_svarint(c));
      break;
    case 'y':
      add_int(f, jm_cursor_byte(c));
      break;
    case 'O':
      v = jm_cursor_varint_flag(c, &present);
      add_int(f, present ? (int64_t)v : -1);
      break;
    case 'i':
      add_number(f, false);
      break;
    case 'f':
      add_number(f, true);
      break;
    case '*':
      f->n_bytes = (uint32_t)jm_cursor_left(c);
      f->bytes = jm_cursor_bytes(c, f->n_bytes);
      break;
    default:
      read_counted(f, letter);
  }
}

/* Reads the entry's code and fields. *row is left NULL if the entry is opaque. */
static jm_error *read_fields(fields *f, const jm_wire_entry *e, uint32_t *code, coding *row) {
  *row = (coding){0};
  f->lists = f->b->lists;
  f->lists->n_refs = f->lists->n_ints = 0;
  f->type = f->encoding = JM_WIRE_NONE;
  f->c = jm_bytecode_cursor(f->b, e->offset, e->size);
  f->bytes = f->c.at;
  f->n_bytes = e->size;
  if (!e->coded || e->dialect == JM_WIRE_FOREIGN) return NULL;
  uint64_t c = jm_cursor_varint(&f->c);
  *code = c > UINT32_MAX ? UINT32_MAX : (uint32_t)c;
  int dialect = e->dialect;
  jm_dtype dtype;
  if (f->of_type && dialect == JM_WIRE_VHLO && jm_dtype_from_vhlo(c, &dtype)) {
    *row = (coding){JM_WIRE_T_SCALAR, "", NULL, (int)dtype + 1};
  } else {
    size_t n = f->of_type ? type_codings[dialect].n : attr_codings[dialect].n;
    if (c < n)
      *row = (f->of_type ? type_codings[dialect].codings : attr_codings[dialect].codings)[c];
  }
  if (!row->fields) { /* a code newer than this table is an error only if the entry is used */
    jm_error_destroy(f->c.error);
    return NULL;
  }
  f->bytes = NULL;
  f->n_bytes = 0;
  for (const char *letter = row->fields; *letter && !f->c.error; letter++) read_field(f, *letter);
  return jm_cursor_finish(&f->c, f->of_type ? "a type" : "an attribute");
}

jm_error *jm_bytecode_read_attr(jm_bytecode *b, uint32_t index, const jm_wire_attr **out) {
  if (index >= b->n_attrs) return jm_error_internal("there is no attribute %u", index);
  if ((*out = b->attrs[index])) return NULL;
  const jm_wire_entry *e = &b->entries[index];
  jm_wire_attr *attr = jm_arena_alloc(&b->arena, 1, sizeof *attr);
  if (!attr) return jm_error_out_of_memory();
  fields f = {.b = b};
  coding row;
  JM_TRY(read_fields(&f, e, &attr->code, &row));
  attr->kind = row.fields ? (jm_wire_attr_kind)row.kind : JM_WIRE_OPAQUE;
  attr->dialect = (jm_wire_dialect)e->dialect;
  attr->type = f.type;
  attr->bytes = (const char *)f.bytes;
  attr->n_bytes = f.n_bytes;
  if (attr->kind != JM_WIRE_OPAQUE) {
    attr->n_attrs = f.lists->n_refs;
    attr->n_ints = f.lists->n_ints;
    attr->attrs = jm_arena_copy(&b->arena, f.lists->refs, attr->n_attrs, sizeof *attr->attrs);
    attr->ints = jm_arena_copy(&b->arena, f.lists->ints, attr->n_ints, sizeof *attr->ints);
    if (!attr->attrs || !attr->ints) return jm_error_out_of_memory();
  }
  *out = b->attrs[index] = attr;
  return NULL;
}

/* The builtin integer types have their width and sign in one number. */
static void resolve_integer(jm_wire_type *type, uint64_t v) {
  static const jm_dtype signed_types[] = {JM_DT_pred, JM_DT_s2,  JM_DT_s4, JM_DT_s8,
                                          JM_DT_s16,  JM_DT_s32, JM_DT_s64};
  static const jm_dtype unsigned_types[] = {JM_N_DTYPES, JM_DT_u2,  JM_DT_u4, JM_DT_u8,
                                            JM_DT_u16,   JM_DT_u32, JM_DT_u64};
  uint64_t width = v >> 2;
  for (int i = 0; i < 7; i++)
    if (width == 1u << i) {
      jm_dtype d = (v & 3) == 2 ? unsigned_types[i] : signed_types[i];
      if (d == JM_N_DTYPES || (v & 3) == 3) return;
      type->kind = JM_WIRE_T_SCALAR;
      type->dtype = d;
    }
}

jm_error *jm_bytecode_read_type(jm_bytecode *b, uint32_t index, const jm_wire_type **out) {
  if (index >= b->n_types) return jm_error_internal("there is no type %u", index);
  if ((*out = b->types[index])) return NULL;
  const jm_wire_entry *e = &b->entries[b->n_attrs + index];
  jm_wire_type *type = jm_arena_alloc(&b->arena, 1, sizeof *type);
  if (!type) return jm_error_out_of_memory();
  fields f = {.b = b, .of_type = true};
  coding row;
  uint32_t code = 0;
  JM_TRY(read_fields(&f, e, &code, &row));
  type->kind = row.fields ? (jm_wire_type_kind)row.kind : JM_WIRE_T_OPAQUE;
  type->dtype = row.dtype ? (jm_dtype)(row.dtype - 1) : JM_DT_token;
  type->name = row.name;
  type->encoding = f.encoding;
  type->bytes = (const char *)f.bytes;
  type->n_bytes = f.n_bytes;
  if (type->kind != JM_WIRE_T_OPAQUE) {
    type->n_types = f.lists->n_refs;
    type->n_ints = f.lists->n_ints;
    type->types = jm_arena_copy(&b->arena, f.lists->refs, type->n_types, sizeof *type->types);
    type->ints = jm_arena_copy(&b->arena, f.lists->ints, type->n_ints, sizeof *type->ints);
    if (!type->types || !type->ints) return jm_error_out_of_memory();
  }
  if (type->kind == JM_WIRE_T_OTHER && type->n_ints) resolve_integer(type, (uint64_t)type->ints[0]);
  *out = b->types[index] = type;
  return NULL;
}

static bool equals(const jm_wire_attr *attr, const char *name) {
  return attr->kind == JM_WIRE_STRING && attr->n_bytes == strlen(name) &&
         !memcmp(attr->bytes, name, attr->n_bytes);
}

jm_error *jm_bytecode_find_entry(jm_bytecode *b, uint32_t dictionary, const char *name,
                                 uint32_t *out) {
  enum { MAX_ENTRIES = 1024 };
  *out = JM_WIRE_NONE;
  if (dictionary == JM_WIRE_NONE) return NULL;
  const jm_wire_attr *dict, *key;
  JM_TRY(jm_bytecode_read_attr(b, dictionary, &dict));
  if (dict->kind != JM_WIRE_DICTIONARY)
    return jm_error_invalid("malformed MLIR bytecode: attribute %u is not a dictionary",
                            dictionary);
  /* It is searched for each op and argument that names it, so its size must not multiply. */
  if (dict->n_attrs > 2 * MAX_ENTRIES)
    return jm_error_unimplemented("an attribute dictionary of %u entries", dict->n_attrs / 2);
  for (uint32_t i = 0; i < dict->n_attrs; i += 2) {
    JM_TRY(jm_bytecode_read_attr(b, dict->attrs[i], &key));
    if (equals(key, name)) {
      *out = dict->attrs[i + 1];
      return NULL;
    }
  }
  return NULL;
}

jm_error *jm_bytecode_find_attr(jm_bytecode *b, const jm_wire_op *op, const char *name,
                                uint32_t *out) {
  uint32_t row = b->names[op->name].row;
  if (row != JM_WIRE_NONE && op->properties) {
    size_t size = strlen(name);
    const char *at = b->rows[row].attributes;
    for (uint32_t i = 0; i < op->n_properties; i++) {
      size_t n = strcspn(at, ",");
      size_t plain = at[n - 1] == '?' ? n - 1 : n;
      if (plain == size && !memcmp(at, name, size)) {
        *out = op->properties[i];
        return NULL;
      }
      at += n + 1;
    }
  }
  return jm_bytecode_find_entry(b, op->dictionary, name, out);
}
