/* SPDX-License-Identifier: Apache-2.0
 * The container's sections and tables. */
#include "bytecode/reader.h"

enum { NEWEST_VERSION = 6 };

typedef enum section_id {
  SECTION_STRING,
  SECTION_DIALECT,
  SECTION_ATTR_TYPE,
  SECTION_ATTR_TYPE_OFFSET,
  SECTION_IR,
  SECTION_RESOURCE,
  SECTION_RESOURCE_OFFSET,
  SECTION_DIALECT_VERSIONS, /* only inside the dialect section */
  SECTION_PROPERTIES,
  N_SECTIONS,
} section_id;

typedef struct sections {
  jm_cursor at[N_SECTIONS];
  bool present[N_SECTIONS];
} sections;

static jm_error *read_header(jm_bytecode *b, jm_cursor *c) {
  static const uint8_t magic[4] = {'M', 'L', 0xEF, 'R'};
  const uint8_t *start = jm_cursor_bytes(c, sizeof magic);
  if (c->error || memcmp(start, magic, sizeof magic)) {
    jm_error_destroy(c->error);
    c->error = NULL;
    return jm_error_invalid("the program is not MLIR bytecode: its first bytes are not 'ML\\xEFR'");
  }
  uint64_t version = jm_cursor_varint(c);
  if (!c->error && version > NEWEST_VERSION)
    return jm_error_unimplemented("MLIR bytecode version %llu; the newest known is %d",
                                  (unsigned long long)version, NEWEST_VERSION);
  b->version = (uint32_t)version;
  const uint8_t *producer = c->at;
  const uint8_t *end = memchr(producer, 0, jm_cursor_left(c));
  if (!end) {
    jm_cursor_fail(c, "the producer's name has no end");
  } else {
    b->producer = (jm_wire_string){(const char *)producer, (uint32_t)(end - producer)};
    c->at = end + 1;
  }
  return NULL;
}

static jm_error *read_sections(const jm_bytecode *b, jm_cursor *c, sections *s) {
  while (c->at != c->end) {
    jm_cursor content;
    uint8_t id = jm_cursor_section(c, &content);
    if (c->error) break;
    if (id >= N_SECTIONS || id == SECTION_DIALECT_VERSIONS) {
      jm_cursor_fail_number(c, "unknown section", id);
    } else if (s->present[id]) {
      jm_cursor_fail_number(c, "repeated section", id);
    } else {
      s->at[id] = content;
      s->present[id] = true;
    }
  }
  JM_TRY(jm_cursor_finish(c, "the file"));
  static const struct {
    section_id id;
    uint32_t since;
    const char *name;
  } required[] = {
      {SECTION_STRING, 0, "string"},
      {SECTION_DIALECT, 0, "dialect"},
      {SECTION_ATTR_TYPE, 0, "attribute"},
      {SECTION_ATTR_TYPE_OFFSET, 0, "attribute offset"},
      {SECTION_IR, 0, "IR"},
      {SECTION_PROPERTIES, 5, "properties"},
  };
  for (size_t i = 0; i < sizeof required / sizeof *required; i++)
    if (!s->present[required[i].id] && b->version >= required[i].since)
      return jm_error_invalid("malformed MLIR bytecode: there is no %s section", required[i].name);
  return NULL;
}

static jm_error *read_strings(jm_bytecode *b, jm_cursor c) {
  uint32_t n = jm_cursor_count(&c, jm_cursor_varint(&c));
  jm_wire_string *strings = jm_arena_alloc(&b->arena, n, sizeof *strings);
  if (!strings) {
    jm_error_destroy(c.error);
    return jm_error_out_of_memory();
  }
  /* The lengths come in reverse order and include the NUL. */
  for (uint32_t i = n; i-- > 0;) {
    uint64_t size = jm_cursor_varint(&c);
    if (c.error || !size || size > UINT32_MAX) {
      jm_cursor_fail_number(&c, "bad string length", size);
      break;
    }
    strings[i].size = (uint32_t)size;
  }
  for (uint32_t i = 0; i < n && !c.error; i++) {
    const uint8_t *bytes = jm_cursor_bytes(&c, strings[i].size);
    if (c.error) break;
    if (bytes[strings[i].size - 1]) jm_cursor_fail_number(&c, "unterminated string", i);
    strings[i].bytes = (const char *)bytes;
    strings[i].size--;
  }
  b->strings = strings;
  b->n_strings = n;
  return jm_cursor_finish(&c, "the string section");
}

static jm_error *read_properties(jm_bytecode *b, jm_cursor c, jm_wire_properties *out) {
  uint32_t n = jm_cursor_count(&c, jm_cursor_varint(&c));
  uint32_t *offsets = jm_arena_alloc(&b->arena, n, sizeof *offsets);
  uint32_t *sizes = jm_arena_alloc(&b->arena, n, sizeof *sizes);
  if (!offsets || !sizes) {
    jm_error_destroy(c.error);
    return jm_error_out_of_memory();
  }
  for (uint32_t i = 0; i < n && !c.error; i++) {
    sizes[i] = jm_cursor_count(&c, jm_cursor_varint(&c));
    offsets[i] = (uint32_t)(c.at - b->file);
    jm_cursor_bytes(&c, sizes[i]);
  }
  *out = (jm_wire_properties){n, offsets, sizes};
  return jm_cursor_finish(&c, "the properties section");
}

typedef struct dialects {
  const jm_wire_string **names;
  uint32_t n;
} dialects;

static jm_wire_dialect find_dialect(const jm_wire_string *name) {
  static const char *const known[] = {"builtin", "vhlo", "sdy", "stablehlo"};
  for (int i = 0; i < JM_WIRE_FOREIGN; i++)
    if (name->size == strlen(known[i]) && !memcmp(name->bytes, known[i], name->size))
      return (jm_wire_dialect)i;
  return JM_WIRE_FOREIGN;
}

static const jm_wire_string *read_string(const jm_bytecode *b, jm_cursor *c, uint64_t index) {
  static const jm_wire_string empty = {"", 0};
  uint32_t i = jm_cursor_index(c, index, b->n_strings, "there is no string");
  return c->error ? &empty : &b->strings[i];
}

static uint32_t find_row(const jm_wire_row *rows, uint32_t n_rows, const jm_wire_name *name) {
  for (uint32_t i = 0; i < n_rows; i++) {
    const char *op = rows[i].op;
    if (strncmp(op, name->dialect.bytes, name->dialect.size)) continue;
    op += name->dialect.size;
    if (*op == '.' && strlen(op + 1) == name->op.size &&
        !memcmp(op + 1, name->op.bytes, name->op.size))
      return i;
  }
  return JM_WIRE_NONE;
}

static jm_error *read_op_names(jm_bytecode *b, jm_cursor *c, const dialects *known,
                               uint32_t n_rows) {
  jm_wire_name *names = NULL;
  uint32_t capacity = 0, n = 0;
  while (c->at != c->end) {
    uint32_t d = jm_cursor_index(c, jm_cursor_varint(c), known->n, "there is no dialect");
    uint32_t more = jm_cursor_count(c, jm_cursor_varint(c));
    for (uint32_t i = 0; i < more && !c->error; i++) {
      bool registered = true;
      uint64_t index =
          b->version >= 5 ? jm_cursor_varint_flag(c, &registered) : jm_cursor_varint(c);
      names = jm_arena_grow(&b->arena, names, n + 1, &capacity, sizeof *names);
      if (!names) return jm_error_out_of_memory();
      names[n].dialect = *known->names[d];
      names[n].op = *read_string(b, c, index);
      /* An unregistered op's property is one dictionary, not what the row says. */
      names[n].row = registered ? find_row(b->rows, n_rows, &names[n]) : JM_WIRE_NONE;
      n++;
    }
  }
  b->names = names;
  b->n_names = n;
  return NULL;
}

static jm_error *read_dialects(jm_bytecode *b, jm_cursor c, dialects *out, uint32_t n_rows) {
  uint32_t n = jm_cursor_count(&c, jm_cursor_varint(&c));
  const jm_wire_string **names = jm_arena_alloc(&b->arena, n, sizeof *names);
  if (!names) {
    jm_error_destroy(c.error);
    return jm_error_out_of_memory();
  }
  for (uint32_t i = 0; i < n && !c.error; i++) {
    bool versioned = false;
    uint64_t index = b->version >= 1 ? jm_cursor_varint_flag(&c, &versioned) : jm_cursor_varint(&c);
    names[i] = read_string(b, &c, index);
    jm_cursor version; /* its form depends on the dialect; nothing that we read depends on it */
    if (versioned && !c.error && jm_cursor_section(&c, &version) != SECTION_DIALECT_VERSIONS)
      jm_cursor_fail(&c, "expected a dialect's version");
  }
  *out = (dialects){names, n};
  if (b->version >= 4) (void)jm_cursor_varint(&c); /* total of op names, a hint */
  jm_error *error = c.error ? NULL : read_op_names(b, &c, out, n_rows);
  if (error) {
    jm_error_destroy(c.error);
    return error;
  }
  return jm_cursor_finish(&c, "the dialect section");
}

static void read_entries(jm_bytecode *b, jm_cursor *c, const dialects *known, jm_cursor *data,
                         jm_wire_entry *entries, uint32_t n) {
  for (uint32_t i = 0; i < n && !c->error;) {
    uint32_t d = jm_cursor_index(c, jm_cursor_varint(c), known->n, "there is no dialect");
    uint64_t group = jm_cursor_varint(c);
    if (group > n - i)
      jm_cursor_fail_number(c, "too many attributes or types in a group of", group);
    if (c->error) return;
    jm_wire_dialect dialect = find_dialect(known->names[d]);
    for (uint64_t k = 0; k < group && !c->error; k++, i++) {
      bool coded;
      uint64_t size = jm_cursor_varint_flag(c, &coded);
      if (size > jm_cursor_left(data)) {
        jm_cursor_fail_number(c, "attribute or type past its section, of size", size);
        return;
      }
      entries[i] =
          (jm_wire_entry){(uint32_t)(data->at - b->file), (uint32_t)size, (uint8_t)dialect, coded};
      data->at += size;
    }
  }
}

static jm_error *read_offsets(jm_bytecode *b, jm_cursor c, jm_cursor data, const dialects *known) {
  b->n_attrs = jm_cursor_count(&c, jm_cursor_varint(&c));
  b->n_types = jm_cursor_count(&c, jm_cursor_varint(&c));
  uint32_t n = b->n_attrs + b->n_types;
  if (n < b->n_attrs) jm_cursor_fail_number(&c, "too many attributes:", b->n_attrs);
  n = jm_cursor_count(&c, n);
  if (!c.error) {
    b->entries = jm_arena_alloc(&b->arena, n, sizeof *b->entries);
    b->attrs = jm_arena_alloc(&b->arena, b->n_attrs, sizeof *b->attrs);
    b->types = jm_arena_alloc(&b->arena, b->n_types, sizeof *b->types);
    b->lists = jm_arena_alloc(&b->arena, 1, sizeof *b->lists);
    if (!b->entries || !b->attrs || !b->types || !b->lists) return jm_error_out_of_memory();
    read_entries(b, &c, known, &data, b->entries, b->n_attrs);
    read_entries(b, &c, known, &data, b->entries + b->n_attrs, b->n_types);
  }
  return jm_cursor_finish(&c, "the attribute offset section");
}

static jm_error *read_tables(jm_bytecode *b, jm_cursor c, uint32_t n_rows) {
  jm_error *error = read_header(b, &c);
  if (error) {
    jm_error_destroy(c.error);
    return error;
  }
  sections s = {0};
  JM_TRY(read_sections(b, &c, &s));
  JM_TRY(read_strings(b, s.at[SECTION_STRING]));
  dialects known;
  JM_TRY(read_dialects(b, s.at[SECTION_DIALECT], &known, n_rows));
  JM_TRY(read_offsets(b, s.at[SECTION_ATTR_TYPE_OFFSET], s.at[SECTION_ATTR_TYPE], &known));
  jm_wire_properties properties = {0};
  if (s.present[SECTION_PROPERTIES])
    JM_TRY(read_properties(b, s.at[SECTION_PROPERTIES], &properties));
  return jm_bytecode_read_ir(b, s.at[SECTION_IR], &properties);
}

jm_error *jm_bytecode_read(const void *bytes, size_t size, const jm_wire_row *rows, uint32_t n_rows,
                           jm_bytecode **out) {
  *out = NULL;
  if (size >= UINT32_MAX)
    return jm_error_unimplemented("a program of %zu bytes; the limit is 4 GiB", size);
  jm_bytecode *b = jm_alloc(1, sizeof *b);
  if (!b) return jm_error_out_of_memory();
  jm_arena_init(&b->arena);
  b->rows = rows;
  b->file = bytes;
  jm_error *error = read_tables(b, (jm_cursor){b->file, b->file + size, b->file, NULL}, n_rows);
  if (error) {
    jm_bytecode_destroy(b);
    return error;
  }
  *out = b;
  return NULL;
}

void jm_bytecode_destroy(jm_bytecode *bytecode) {
  if (!bytecode) return;
  jm_arena_deinit(&bytecode->arena);
  jm_free(bytecode);
}
