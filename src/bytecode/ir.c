/* SPDX-License-Identifier: Apache-2.0
 * The IR section: nested operations, blocks and regions, and the numbering of values. */
#include "bytecode/reader.h"

enum { SECTION_IR = 4, MAX_DEPTH = 1200 };
/* The least bytes that an op takes: name, mask, location. */
enum { OP_BYTES = 3 };
#define UNDEFINED UINT32_MAX

typedef struct scope {
  uint32_t base; /* operands count from here in the stack of values */
} scope;

typedef struct reader {
  jm_bytecode *b;
  const jm_wire_properties *properties;
  /* Each count claims bytes of the section for items that are not read yet. No byte is claimed
   * twice, so that the sum of all counts is bounded; otherwise nested blocks could each claim all
   * remaining bytes. */
  uint64_t budget;
  uint64_t values_budget;
  uint32_t *stack; /* of visible values: number, or UNDEFINED */
  uint32_t top, stack_capacity;
  uint32_t depth;
} reader;

/* The part of the stack that the values of a region take. */
typedef struct slots {
  uint32_t next, end;
} slots;

static void claim(reader *r, jm_cursor *c, uint64_t count, uint32_t bytes_each) {
  if (c->error) return;
  if (count > r->budget / bytes_each) {
    jm_cursor_fail_number(c, "there are too few bytes for a count of", count);
    return;
  }
  r->budget -= count * bytes_each;
}

/* An array of indices into a table of n entries, each shifted right by `shift`. */
static const uint32_t *read_list(reader *r, jm_cursor *c, uint32_t *n, uint32_t table,
                                 const char *what) {
  uint64_t count = jm_cursor_varint(c);
  claim(r, c, count, 1);
  *n = jm_cursor_count(c, count);
  if (!*n) return NULL;
  uint32_t *list = jm_arena_alloc(&r->b->arena, *n, sizeof *list);
  if (!list) {
    jm_error_destroy(c->error);
    c->error = jm_error_out_of_memory();
    c->at = c->end;
    return NULL;
  }
  for (uint32_t i = 0; i < *n && !c->error; i++)
    list[i] = jm_cursor_index(c, jm_cursor_varint(c), table, what);
  return list;
}

/* Makes n values in the region's slots. Returns the first one's number. */
static uint32_t define(reader *r, jm_cursor *c, slots *s, uint32_t n) {
  uint32_t first = r->b->n_values;
  if (n > s->end - s->next) {
    jm_cursor_fail_number(c, "more values than the region declares:", n);
    return first;
  }
  for (uint32_t i = 0; i < n; i++) r->stack[s->next++] = first + i;
  r->b->n_values += n;
  return first;
}

/* The order in which MLIR should keep a value's uses; we skip it. */
static void skip_use_lists(jm_cursor *c, uint32_t n_values) {
  uint64_t n = n_values > 1 ? jm_cursor_varint(c) : 1;
  for (uint64_t i = 0; i < n && !c->error; i++) {
    if (n_values > 1) (void)jm_cursor_varint(c);
    uint64_t indices = jm_cursor_varint(c) >> 1;
    for (uint64_t k = 0; k < indices && !c->error; k++) (void)jm_cursor_varint(c);
  }
}

static jm_error *read_block(reader *r, jm_cursor *c, scope sc, slots *s, jm_wire_block *block);

static jm_error *fail_memory(jm_cursor *c) {
  jm_error_destroy(c->error);
  c->error = NULL;
  return jm_error_out_of_memory();
}

static jm_error *push_slots(reader *r, jm_cursor *c, uint64_t n, slots *s) {
  /* Each value has a type index of at least one byte somewhere in the section. */
  if (n > r->values_budget) {
    jm_cursor_fail_number(c, "there are too few bytes for a count of values of", n);
    n = 0;
  }
  r->values_budget -= n;
  uint32_t top = r->top + (uint32_t)n;
  uint32_t *stack =
      jm_arena_grow(&r->b->arena, r->stack, top, &r->stack_capacity, sizeof *r->stack);
  if (!stack) return fail_memory(c);
  r->stack = stack;
  for (uint32_t i = r->top; i < top; i++) stack[i] = UNDEFINED;
  *s = (slots){r->top, top};
  r->top = top;
  return NULL;
}

static jm_error *read_region(reader *r, jm_cursor *c, scope sc, jm_wire_region *region) {
  uint64_t n = jm_cursor_varint(c);
  claim(r, c, n, 1);
  region->n_blocks = jm_cursor_count(c, n);
  if (!region->n_blocks) return NULL;
  jm_wire_block *blocks = jm_arena_alloc(&r->b->arena, region->n_blocks, sizeof *blocks);
  if (!blocks) return fail_memory(c);
  region->blocks = blocks;
  uint64_t n_values = jm_cursor_varint(c);
  uint32_t top = r->top;
  slots s;
  JM_TRY(push_slots(r, c, n_values, &s));
  for (uint32_t i = 0; i < region->n_blocks && !c->error; i++)
    JM_TRY(read_block(r, c, sc, &s, &blocks[i]));
  r->top = top;
  return NULL;
}

static jm_error *read_regions(reader *r, jm_cursor *c, scope sc, jm_wire_op *op) {
  bool isolated;
  uint64_t n = jm_cursor_varint_flag(c, &isolated);
  claim(r, c, n, 1);
  op->n_regions = jm_cursor_count(c, n);
  if (!op->n_regions) return NULL;
  if (++r->depth > MAX_DEPTH) {
    jm_cursor_fail_number(c, "regions are nested deeper than", MAX_DEPTH);
    return NULL;
  }
  jm_wire_region *regions = jm_arena_alloc(&r->b->arena, op->n_regions, sizeof *regions);
  if (!regions) return fail_memory(c);
  op->regions = regions;
  jm_cursor lazy, *content = c;
  if (isolated && r->b->version >= 2) {
    if (jm_cursor_section(c, &lazy) != SECTION_IR) jm_cursor_fail(c, "expected a region's section");
    if (c->error) return NULL;
    content = &lazy;
  }
  if (isolated) sc.base = r->top; /* sees no values from outside */
  for (uint32_t i = 0; i < op->n_regions && !content->error; i++) {
    jm_error *error = read_region(r, content, sc, &regions[i]);
    if (error) {
      jm_error_destroy(content->error);
      content->error = NULL;
      return error;
    }
  }
  r->depth--;
  return content == c ? NULL : jm_cursor_finish(content, "a region's section");
}

/* Decodes the properties of an op of the caller's table: one attribute index per name. */
static jm_error *read_op_properties(reader *r, jm_cursor *c, const jm_wire_row *row,
                                    jm_wire_op *op) {
  uint32_t p = jm_cursor_index(c, jm_cursor_varint(c), r->properties->n, "there is no property");
  if (c->error || !row) return NULL; /* an unknown op's properties have no known form */
  uint32_t n = *row->attributes ? 1 : 0;
  for (const char *at = row->attributes; *at; at++) n += *at == ',';
  uint32_t *list = jm_arena_alloc(&r->b->arena, n, sizeof *list);
  if (!list) return fail_memory(c);
  jm_cursor slice = jm_bytecode_cursor(r->b, r->properties->offsets[p], r->properties->sizes[p]);
  const char *name = row->attributes;
  for (uint32_t i = 0; i < n; i++) {
    size_t size = strcspn(name, ",");
    bool present = true;
    uint64_t index =
        name[size - 1] == '?' ? jm_cursor_varint_flag(&slice, &present) : jm_cursor_varint(&slice);
    list[i] = present ? jm_cursor_index(&slice, index, r->b->n_attrs, "there is no attribute")
                      : JM_WIRE_NONE;
    name += size + 1;
  }
  op->properties = list;
  op->n_properties = n;
  return jm_error_note(jm_cursor_finish(&slice, "the properties of an op"), "of a %s", row->op);
}

static jm_error *read_op(reader *r, jm_cursor *c, scope sc, slots *s, jm_wire_op *op) {
  enum {
    DICTIONARY = 1,
    RESULTS = 2,
    OPERANDS = 4,
    SUCCESSORS = 8,
    REGIONS = 16,
    USES = 32,
    PROPERTIES = 64
  };
  jm_bytecode *b = r->b;
  op->id = b->n_ops++;
  op->offset = (uint32_t)(c->at - b->file);
  op->name = jm_cursor_index(c, jm_cursor_varint(c), b->n_names, "there is no op name");
  uint8_t mask = jm_cursor_byte(c);
  op->location = jm_cursor_index(c, jm_cursor_varint(c), b->n_attrs, "there is no attribute");
  op->dictionary = JM_WIRE_NONE;
  if (mask & ~(2 * PROPERTIES - 1)) jm_cursor_fail_number(c, "unknown op encoding", mask);
  if (mask & DICTIONARY)
    op->dictionary = jm_cursor_index(c, jm_cursor_varint(c), b->n_attrs, "there is no attribute");
  if (mask & PROPERTIES && !c->error) {
    uint32_t row = b->names[op->name].row;
    JM_TRY(read_op_properties(r, c, row == JM_WIRE_NONE ? NULL : &b->rows[row], op));
  }
  if (mask & RESULTS) op->types = read_list(r, c, &op->n_results, b->n_types, "there is no type");
  if (mask & OPERANDS) {
    uint32_t n, *operands = (uint32_t *)read_list(r, c, &n, r->top - sc.base, "there is no value");
    for (uint32_t i = 0; i < n && !c->error; i++) {
      operands[i] = r->stack[sc.base + operands[i]];
      if (operands[i] == UNDEFINED) jm_cursor_fail(c, "a value is used before it is defined");
    }
    op->operands = operands;
    op->n_operands = n;
  }
  if (mask & SUCCESSORS) jm_cursor_fail(c, "branches between blocks");
  if (mask & USES) skip_use_lists(c, op->n_results);
  uint64_t regions_follow = mask & REGIONS;
  if (c->error) return NULL;
  op->first_result = define(r, c, s, op->n_results);
  if (regions_follow && !c->error) JM_TRY(read_regions(r, c, sc, op));
  return NULL;
}

static jm_error *read_arguments(reader *r, jm_cursor *c, slots *s, jm_wire_block *block) {
  uint64_t n = jm_cursor_varint(c);
  claim(r, c, n, 1);
  block->n_arguments = jm_cursor_count(c, n);
  uint32_t *types = jm_arena_alloc(&r->b->arena, block->n_arguments, sizeof *types);
  if (!types) return fail_memory(c);
  for (uint32_t i = 0; i < block->n_arguments && !c->error; i++) {
    bool located = true;
    uint64_t type = r->b->version >= 4 ? jm_cursor_varint_flag(c, &located) : jm_cursor_varint(c);
    types[i] = jm_cursor_index(c, type, r->b->n_types, "there is no type");
    if (located) (void)jm_cursor_varint(c);
  }
  block->arguments = types;
  if (r->b->version >= 3 && jm_cursor_byte(c)) skip_use_lists(c, block->n_arguments);
  if (!c->error) block->first_argument = define(r, c, s, block->n_arguments);
  return NULL;
}

static jm_error *read_block(reader *r, jm_cursor *c, scope sc, slots *s, jm_wire_block *block) {
  bool arguments;
  uint64_t n = jm_cursor_varint_flag(c, &arguments);
  claim(r, c, n, OP_BYTES);
  block->n_ops = jm_cursor_count(c, n);
  if (arguments && !c->error) JM_TRY(read_arguments(r, c, s, block));
  if (c->error) return NULL;
  jm_wire_op *ops = jm_arena_alloc(&r->b->arena, block->n_ops, sizeof *ops);
  if (!ops) return fail_memory(c);
  block->ops = ops;
  for (uint32_t i = 0; i < block->n_ops && !c->error; i++) JM_TRY(read_op(r, c, sc, s, &ops[i]));
  return NULL;
}

jm_error *jm_bytecode_read_ir(jm_bytecode *bytecode, jm_cursor section,
                              const jm_wire_properties *properties) {
  reader r = {.b = bytecode,
              .properties = properties,
              .budget = jm_cursor_left(&section),
              .values_budget = jm_cursor_left(&section)};
  jm_wire_block *top = jm_arena_alloc(&bytecode->arena, 1, sizeof *top);
  if (!top) return jm_error_out_of_memory();
  bytecode->top = top;
  slots none = {0, 0};
  jm_error *error = read_block(&r, &section, (scope){0}, &none, top);
  if (error) {
    jm_error_destroy(section.error);
    return error;
  }
  return jm_cursor_finish(&section, "the IR section");
}
