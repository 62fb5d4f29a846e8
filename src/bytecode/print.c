/* SPDX-License-Identifier: Apache-2.0
 * Attributes, types and locations as text, for errors and for what a module records as text. */
#include "bytecode/bytecode.h"

#include <inttypes.h>
#include <string.h>

/* Entries may form cycles, and may share subtrees so that a small input is a huge tree: both are
 * bounded here. */
enum { MAX_DEPTH = 16, MAX_TEXT = 1 << 14, MAX_NAME = 512 };

static void print_attr(jm_bytecode *b, uint32_t index, jm_text *text, int depth, size_t limit);

static void print_type(jm_bytecode *b, uint32_t index, jm_text *text, int depth, size_t limit) {
  const jm_wire_type *type = NULL;
  jm_error *error = depth > MAX_DEPTH || text->size > limit || index >= b->n_types
                        ? NULL
                        : jm_bytecode_read_type(b, index, &type);
  jm_error_destroy(error);
  if (!type || error) {
    jm_text_printf(text, "?");
    return;
  }
  static const char *const names[] = {
      [JM_WIRE_T_COMPLEX] = "complex",     [JM_WIRE_T_FUNCTION] = "function",
      [JM_WIRE_T_TENSOR] = "tensor",       [JM_WIRE_T_TUPLE] = "tuple",
      [JM_WIRE_T_QUANTIZED] = "quantized", [JM_WIRE_T_UNRANKED] = "unranked tensor",
      [JM_WIRE_T_BUFFER] = "buffer",       [JM_WIRE_T_FUTURE] = "future",
  };
  if (type->kind == JM_WIRE_T_SCALAR) {
    jm_text_printf(text, "%s", jm_dtype_name(type->dtype));
  } else if (type->kind == JM_WIRE_T_OPAQUE) {
    jm_text_printf(text, "opaque type ");
    jm_text_quote(text, type->bytes, type->n_bytes < 64 ? type->n_bytes : 64);
  } else if (type->name) {
    jm_text_printf(text, "%s", type->name);
    if (type->n_ints) jm_text_printf(text, "%" PRId64, type->ints[0] >> 2);
  } else {
    jm_text_printf(text, "%s<", names[type->kind]);
    bool shaped = type->kind == JM_WIRE_T_TENSOR || type->kind == JM_WIRE_T_BUFFER;
    for (uint32_t i = 0; shaped && i < type->n_ints && text->size <= limit; i++)
      if (type->ints[i] == JM_WIRE_DYNAMIC)
        jm_text_printf(text, "?x");
      else
        jm_text_printf(text, "%" PRId64 "x", type->ints[i]);
    for (uint32_t i = 0; i < type->n_types && text->size <= limit; i++) {
      if (i) jm_text_printf(text, ", ");
      print_type(b, type->types[i], text, depth + 1, limit);
    }
    jm_text_printf(text, ">");
  }
}

void jm_bytecode_print_type(jm_bytecode *b, uint32_t index, jm_text *text) {
  print_type(b, index, text, 0, text->size + MAX_TEXT);
}

static void print_list(jm_bytecode *b, const jm_wire_attr *attr, jm_text *text, int depth,
                       size_t limit) {
  bool pairs = attr->kind == JM_WIRE_DICTIONARY;
  for (uint32_t i = 0; i < attr->n_attrs && text->size <= limit; i++) {
    if (i) jm_text_printf(text, pairs && i % 2 ? " = " : ", ");
    if (attr->attrs[i] == JM_WIRE_NONE)
      jm_text_printf(text, "none");
    else
      print_attr(b, attr->attrs[i], text, depth + 1, limit);
  }
}

static void print_record(jm_bytecode *b, const jm_wire_attr *attr, jm_text *text, int depth,
                         size_t limit) {
  static const char *const dialects[] = {"builtin", "vhlo", "sdy", "stablehlo", "foreign"};
  jm_text_printf(text, "%s#%u<", dialects[attr->dialect], attr->code);
  const char *comma = "";
  if (attr->bytes) {
    jm_text_quote(text, attr->bytes, attr->n_bytes < 256 ? attr->n_bytes : 256);
    comma = ", ";
  }
  for (uint32_t i = 0; i < attr->n_ints && text->size <= limit; i++, comma = ", ")
    jm_text_printf(text, "%s%" PRId64, comma, attr->ints[i]);
  if (attr->n_attrs) jm_text_printf(text, "%s", comma);
  print_list(b, attr, text, depth, limit);
  jm_text_printf(text, ">");
}

static void print_attr(jm_bytecode *b, uint32_t index, jm_text *text, int depth, size_t limit) {
  const jm_wire_attr *attr = NULL;
  jm_error *error = depth > MAX_DEPTH || text->size > limit || index >= b->n_attrs
                        ? NULL
                        : jm_bytecode_read_attr(b, index, &attr);
  jm_error_destroy(error);
  if (!attr || error) {
    jm_text_printf(text, "?");
    return;
  }
  switch (attr->kind) {
    case JM_WIRE_UNIT:
      jm_text_printf(text, "unit");
      break;
    case JM_WIRE_BOOL:
      jm_text_printf(text, attr->ints[0] ? "true" : "false");
      break;
    case JM_WIRE_INTEGER:
      jm_text_printf(text, "%" PRId64, attr->ints[0]);
      break;
    case JM_WIRE_FLOAT:
      jm_text_printf(text, "bits 0x%" PRIx64, (uint64_t)attr->ints[0]);
      break;
    case JM_WIRE_STRING:
      jm_text_quote(text, attr->bytes, attr->n_bytes);
      break;
    case JM_WIRE_SYMBOL:
      jm_text_printf(text, "@");
      print_list(b, attr, text, depth, limit);
      break;
    case JM_WIRE_ARRAY:
    case JM_WIRE_DICTIONARY:
      jm_text_printf(text, attr->kind == JM_WIRE_ARRAY ? "[" : "{");
      print_list(b, attr, text, depth, limit);
      jm_text_printf(text, attr->kind == JM_WIRE_ARRAY ? "]" : "}");
      break;
    case JM_WIRE_TYPE:
      print_type(b, attr->type, text, depth + 1, limit);
      break;
    case JM_WIRE_TENSOR:
      jm_text_printf(text, "%u bytes of ", attr->n_bytes);
      print_type(b, attr->type, text, depth + 1, limit);
      break;
    case JM_WIRE_LOCATION:
      jm_bytecode_print_location(b, index, text);
      break;
    default:
      print_record(b, attr, text, depth, limit);
  }
}

void jm_bytecode_print_attr(jm_bytecode *b, uint32_t index, jm_text *text) {
  print_attr(b, index, text, 0, text->size + MAX_TEXT);
}

enum {
  LOC_CALL_SITE = 10,
  LOC_FILE = 11,
  LOC_FUSED = 12,
  LOC_FUSED_METADATA = 13,
  LOC_NAME = 14,
  LOC_RANGE = 22
};

static const jm_wire_attr *find_attr(jm_bytecode *b, uint32_t index) {
  const jm_wire_attr *attr = NULL;
  if (index >= b->n_attrs) return NULL;
  jm_error *error = jm_bytecode_read_attr(b, index, &attr);
  if (!error) return attr;
  jm_error_destroy(error);
  return NULL;
}

static void print_file(jm_bytecode *b, const jm_wire_attr *at, jm_text *text) {
  const jm_wire_attr *file = find_attr(b, at->attrs[0]);
  if (!file || file->kind != JM_WIRE_STRING) return;
  jm_text_append(text, file->bytes, file->n_bytes < MAX_NAME ? file->n_bytes : MAX_NAME);
  for (uint32_t i = 0; i < at->n_ints && i < 2; i++) jm_text_printf(text, ":%" PRId64, at->ints[i]);
}

void jm_bytecode_print_location(jm_bytecode *b, uint32_t index, jm_text *text) {
  enum { MAX_STEPS = 64 };
  bool named = false;
  /* From the outside in: the outermost name is the traced one; of a call, the callee's location is
   * in the source code. */
  for (int step = 0; step < MAX_STEPS; step++) {
    const jm_wire_attr *at = find_attr(b, index);
    if (!at || at->kind != JM_WIRE_LOCATION) return;
    switch (at->code) {
      case LOC_NAME: {
        const jm_wire_attr *name = find_attr(b, at->attrs[0]);
        if (!named && name && name->kind == JM_WIRE_STRING && name->n_bytes) {
          jm_text_append(text, name->bytes, name->n_bytes < MAX_NAME ? name->n_bytes : MAX_NAME);
          named = true;
        }
        index = at->attrs[1];
        break;
      }
      case LOC_CALL_SITE:
        index = at->attrs[0];
        break;
      case LOC_FUSED:
      case LOC_FUSED_METADATA:
        if (!at->n_attrs) return;
        index = at->attrs[0];
        break;
      case LOC_FILE:
      case LOC_RANGE:
        if (named) jm_text_printf(text, " at ");
        print_file(b, at, text);
        return;
      default:
        return;
    }
  }
}
