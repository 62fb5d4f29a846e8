/* SPDX-License-Identifier: Apache-2.0
 * Reads CompileOptionsProto: decodes protocol buffers with a bounded cursor, and keeps the few
 * fields that we support. Unknown fields are skipped, as the format requires. */
#include <string.h>

#include "pjrt/pjrt.h"

typedef struct cursor {
  const uint8_t *at, *end;
  bool bad; /* sticky: the bytes are malformed */
} cursor;

typedef struct field {
  uint32_t number;
  uint32_t type;
  uint64_t value; /* of a varint or a fixed-size field */
  cursor bytes;   /* of a length-delimited field */
} field;

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static uint64_t read_varint(cursor *c) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (c->at == c->end) break;
    uint8_t byte = *c->at++;
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) return value;
  }
  c->bad = true;
  return 0;
}

static cursor read_span(cursor *c, uint64_t size) {
  if (size > (uint64_t)(c->end - c->at)) {
    c->bad = true;
    return (cursor){c->end, c->end, true};
  }
  cursor span = {c->at, c->at + size, false};
  c->at += size;
  return span;
}

/* The next field; false at the end and on bad bytes. */
static bool next_field(cursor *c, field *out) {
  if (c->bad || c->at == c->end) return false;
  uint64_t tag = read_varint(c);
  *out = (field){.number = (uint32_t)(tag >> 3), .type = tag & 7};
  if (tag >> 3 == 0 || tag >> 32) c->bad = true;
  if (c->bad) return false;
  switch (out->type) {
    case VARINT:
      out->value = read_varint(c);
      break;
    case FIXED64:
      out->bytes = read_span(c, 8);
      break;
    case FIXED32:
      out->bytes = read_span(c, 4);
      break;
    case BYTES:
      out->bytes = read_span(c, read_varint(c));
      break;
    default:
      c->bad = true; /* groups are not used by these messages */
  }
  return !c->bad;
}

static jm_error *error_malformed(const char *what) {
  return jm_error_invalid("the compile options are malformed: %s", what);
}

/* Options of XLA's own passes have no meaning here and are accepted; the type of a known one is
 * checked, so that a mistake is an error as on other platforms. */
static const char *const bool_options[] = {
    "xla_embed_ir_in_executable",
    "xla_cpu_enable_fast_math",
    "xla_cpu_enable_fast_min_max",
    "xla_dump_hlo_as_text",
};

static bool is_bool_option(const char *name, size_t size) {
  for (size_t i = 0; i < sizeof bool_options / sizeof *bool_options; i++)
    if (strlen(bool_options[i]) == size && !memcmp(bool_options[i], name, size)) return true;
  return false;
}

static bool is_bool_text(cursor text) {
  static const char *const values[] = {"true", "false", "True", "False", "1", "0"};
  size_t size = (size_t)(text.end - text.at);
  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    if (strlen(values[i]) == size && !memcmp(values[i], text.at, size)) return true;
  return false;
}

/* map<string, OptionOverride>: one entry. */
static jm_error *read_override(cursor c) {
  cursor key = {0}, text = {0};
  bool has_text = false;
  for (field entry; next_field(&c, &entry);) {
    if (entry.number == 1 && entry.type == BYTES) key = entry.bytes;
    if (entry.number != 2 || entry.type != BYTES) continue;
    cursor value = entry.bytes;
    for (field part; next_field(&value, &part);)
      if (part.number == 1 && part.type == BYTES) {
        text = part.bytes;
        has_text = true;
      }
    if (value.bad) return error_malformed("env_option_overrides");
  }
  if (c.bad) return error_malformed("env_option_overrides");
  const char *name = (const char *)key.at;
  size_t size = name ? (size_t)(key.end - key.at) : 0;
  int shown = size > 200 ? 200 : (int)size;
  if (size < 4 || memcmp(name, "xla_", 4))
    return jm_error_invalid("No such compile option: '%.*s'", shown, name ? name : "");
  size_t text_size = has_text ? (size_t)(text.end - text.at) : 0;
  if (has_text && is_bool_option(name, size) && !is_bool_text(text))
    return jm_error_invalid("While setting option %.*s, '%.*s' is not a valid bool value.", shown,
                            name, text_size > 200 ? 200 : (int)text_size, (const char *)text.at);
  return NULL;
}

/* The replicas of one computation: packed or single ids. */
static jm_error *read_device_ids(cursor c, jm_compile_options *out) {
  for (field f; next_field(&c, &f);) {
    if (f.number != 1) continue;
    cursor packed = f.bytes;
    do {
      uint64_t id = f.type == BYTES ? read_varint(&packed) : f.value;
      if (packed.bad) return error_malformed("device_assignment");
      if (out->n_device_ids == JM_MAX_DEVICES)
        return jm_error_invalid("the device assignment has more than %d devices", JM_MAX_DEVICES);
      out->device_ids[out->n_device_ids++] = (int64_t)id;
    } while (f.type == BYTES && packed.at < packed.end);
  }
  return c.bad ? error_malformed("device_assignment") : NULL;
}

static jm_error *read_assignment(cursor c, jm_compile_options *out) {
  for (field f; next_field(&c, &f);)
    if (f.number == 3 && f.type == BYTES) JM_TRY(read_device_ids(f.bytes, out));
  return c.bad ? error_malformed("device_assignment") : NULL;
}

static jm_error *read_build_options(cursor c, jm_compile_options *out) {
  for (field f; next_field(&c, &f);) {
    if (f.number == 2 && f.type == BYTES)
      return jm_error_unimplemented("compile options: result_layout");
    if (f.number == 4 && f.type == VARINT) out->n_replicas = (int64_t)f.value;
    if (f.number == 5 && f.type == VARINT) out->n_partitions = (int64_t)f.value;
    if (f.number == 9 && f.type == BYTES) JM_TRY(read_assignment(f.bytes, out));
  }
  return c.bad ? error_malformed("executable_build_options") : NULL;
}

jm_error *jm_compile_options_read(const void *bytes, size_t size, jm_compile_options *out) {
  *out = (jm_compile_options){.n_replicas = 1, .n_partitions = 1};
  cursor c = {bytes, bytes ? (const uint8_t *)bytes + size : NULL, false};
  for (field f; next_field(&c, &f);) {
    if (f.number == 1 && f.type == BYTES)
      return jm_error_unimplemented("compile options: argument_layouts");
    if (f.number == 2 && f.type == VARINT) out->tupled_arguments = f.value;
    if (f.number == 3 && f.type == BYTES) JM_TRY(read_build_options(f.bytes, out));
    if (f.number == 4 && f.type == VARINT) out->portable = f.value;
    if (f.number == 7 && f.type == BYTES) JM_TRY(read_override(f.bytes));
  }
  return c.bad ? error_malformed("CompileOptionsProto") : NULL;
}
