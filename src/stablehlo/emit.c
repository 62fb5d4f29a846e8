/* SPDX-License-Identifier: Apache-2.0
 * Ops, blocks and regions of the wire as those of the IR: operands, captures, results. */
#include <stdlib.h>
#include <string.h>

#include "stablehlo/reader.h"

/* Deeper programs could overflow the stack of a thread. */
enum { MAX_DEPTH = 1200 };

/* -- operands and results */

/* Constants of one element are repeated in the regions that use them, which is cheaper than a
 * capture on every engine. */
static bool is_repeated(const jm_vhlo *v, jm_value value) {
  const jm_op *op = jm_module_definition(v->m, value);
  if (!op || op->code != JM_OP_constant) return false;
  return ((const jm_constant_attrs *)op->attrs)->value.splat ||
         jm_vhlo_typeof(v, value)->count == 1;
}

jm_error *jm_vhlo_value(jm_vhlo *v, uint32_t wire, jm_value *out) {
  jm_value value = *out = v->values[wire];
  if (value == JM_NONE) return jm_error_invalid("it uses a value that is not defined here");
  if (value & JM_VHLO_TUPLE || v->m->values[value].region == v->region) return NULL;
  if (!is_repeated(v, value)) return jm_error_invalid("it uses a value of another region");
  const jm_op *constant = jm_module_definition(v->m, value);
  const jm_constant_attrs attrs = *(const jm_constant_attrs *)constant->attrs;
  const jm_type *type = jm_vhlo_typeof(v, value);
  const jm_op_spec spec = {.code = JM_OP_constant,
                           .result_types = &type,
                           .n_results = 1,
                           .attrs = &attrs,
                           .loc = constant->loc};
  jm_op_id id = JM_NONE;
  JM_TRY(jm_build_op(v->m, v->region, &spec, &id));
  *out = v->values[wire] = v->m->ops[id].first_result;
  return NULL;
}

jm_error *jm_vhlo_operand(jm_vhlo *v, const jm_wire_op *op, uint32_t i, jm_value *out) {
  JM_TRY(jm_vhlo_value(v, op->operands[i], out));
  return *out & JM_VHLO_TUPLE ? jm_error_unimplemented("operand %u is a tuple", i) : NULL;
}

jm_error *jm_vhlo_operands(jm_vhlo *v, const jm_wire_op *op, jm_value **out) {
  *out = jm_arena_alloc(&v->scratch, op->n_operands, sizeof **out);
  if (!*out) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < op->n_operands; i++) JM_TRY(jm_vhlo_operand(v, op, i, &(*out)[i]));
  return NULL;
}

jm_error *jm_vhlo_arity(const jm_wire_op *op, uint32_t operands, uint32_t results,
                        uint32_t regions) {
  if (op->n_operands != operands)
    return jm_error_invalid("it has %u operands instead of %u", op->n_operands, operands);
  if (op->n_results != results)
    return jm_error_invalid("it has %u results instead of %u", op->n_results, results);
  if (op->n_regions != regions)
    return jm_error_invalid("it has %u regions instead of %u", op->n_regions, regions);
  return NULL;
}

void jm_vhlo_define(jm_vhlo *v, const jm_wire_op *op, uint32_t i, jm_value value) {
  v->values[op->first_result + i] = value;
}

uint32_t jm_vhlo_location(jm_vhlo *v, const jm_wire_op *op) {
  enum { UNKNOWN = 15 };
  if (v->joins) return v->joins_at;
  uint32_t *number = &v->locations[op->location];
  if (*number) return *number - 1;
  const jm_wire_attr *attr = NULL;
  jm_error *error = jm_bytecode_read_attr(v->b, op->location, &attr);
  jm_error_destroy(error); /* nothing else depends on it */
  if (error || attr->kind != JM_WIRE_LOCATION || attr->code == UNKNOWN) return JM_NONE;
  uint32_t *attrs = jm_arena_grow(&v->scratch, v->location_attrs, v->n_locations + 1,
                                  &v->locations_capacity, sizeof *attrs);
  if (!attrs) return JM_NONE; /* an op without location is still right */
  v->location_attrs = attrs;
  attrs[v->n_locations] = op->location;
  *number = ++v->n_locations;
  return *number - 1;
}

/* -- captures */

static jm_error *find_captures(jm_vhlo *v, const jm_wire_op *op, const jm_vhlo_captures **out);

typedef struct list {
  uint32_t *values;
  uint32_t n, capacity;
} list;

static jm_error *capture(jm_vhlo *v, list *l, const uint32_t *values, uint32_t n, uint32_t before,
                         uint32_t mark) {
  for (uint32_t i = 0; i < n; i++) {
    /* Values inside the op were numbered after the op's results. */
    if (values[i] >= before || v->marks[values[i]] == mark) continue;
    v->marks[values[i]] = mark;
    l->values = jm_arena_grow(&v->scratch, l->values, l->n + 1, &l->capacity, sizeof *values);
    if (!l->values) return jm_error_out_of_memory();
    l->values[l->n++] = values[i];
  }
  return NULL;
}

static int compare_values(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

/* The captures of inner ops are found first, so that one mark at a time is in use. */
static jm_error *find_inner_captures(jm_vhlo *v, const jm_wire_op *op) {
  for (uint32_t r = 0; r < op->n_regions; r++)
    for (uint32_t b = 0; b < op->regions[r].n_blocks; b++) {
      const jm_wire_block *block = &op->regions[r].blocks[b];
      const jm_vhlo_captures *inner;
      for (uint32_t i = 0; i < block->n_ops; i++)
        if (block->ops[i].n_regions) JM_TRY(find_captures(v, &block->ops[i], &inner));
    }
  return NULL;
}

static jm_error *find_captures(jm_vhlo *v, const jm_wire_op *op, const jm_vhlo_captures **out) {
  jm_vhlo_captures *c = &v->captures[op->id];
  *out = c;
  if (c->known) return NULL;
  JM_TRY(find_inner_captures(v, op));
  uint32_t mark = ++v->mark;
  list l = {0};
  for (uint32_t r = 0; r < op->n_regions; r++)
    for (uint32_t b = 0; b < op->regions[r].n_blocks; b++) {
      const jm_wire_block *block = &op->regions[r].blocks[b];
      for (uint32_t i = 0; i < block->n_ops; i++) {
        const jm_wire_op *in = &block->ops[i];
        const jm_vhlo_captures *inner = &v->captures[in->id];
        JM_TRY(capture(v, &l, in->operands, in->n_operands, op->first_result, mark));
        JM_TRY(capture(v, &l, inner->values, inner->n, op->first_result, mark));
      }
    }
  if (l.n > 1) qsort(l.values, l.n, sizeof *l.values, compare_values);
  *c = (jm_vhlo_captures){l.n, l.values, true};
  return NULL;
}

/* -- blocks */

static void describe(jm_vhlo *v, const jm_wire_op *op, jm_text *text) {
  enum { SHOWN = 8 };
  const jm_wire_name *name = &v->b->names[op->name];
  jm_text_printf(text, "%s.%s(", name->dialect.bytes, name->op.bytes);
  for (uint32_t i = 0; i < op->n_operands && i < SHOWN; i++) {
    jm_value value = v->values[op->operands[i]];
    if (i) jm_text_printf(text, ", ");
    if (value == JM_NONE || value & JM_VHLO_TUPLE)
      jm_text_printf(text, "?");
    else
      jm_type_print(jm_vhlo_typeof(v, value), text);
  }
  jm_text_printf(text, op->n_operands > SHOWN ? ", ...) -> " : ") -> ");
  for (uint32_t i = 0; i < op->n_results && i < SHOWN; i++) {
    if (i) jm_text_printf(text, ", ");
    jm_bytecode_print_type(v->b, op->types[i], text);
  }
  if (op->n_results > SHOWN) jm_text_printf(text, ", ...");
  jm_text_printf(text, " (byte %u)", op->offset);
  size_t before = text->size;
  jm_text_printf(text, " at ");
  size_t after = text->size;
  jm_bytecode_print_location(v->b, op->location, text);
  if (text->size == after && text->bytes) text->bytes[text->size = before] = 0;
}

/* Names the op in the error, unless an op inside it was named. */
static jm_error *locate_error(jm_vhlo *v, const jm_wire_op *op, jm_error *error) {
  if (!error || v->located) return error;
  v->located = true;
  jm_text text;
  jm_text_init(&text);
  describe(v, op, &text);
  error = jm_error_note(error, "in %s", jm_text_bytes(&text));
  jm_text_deinit(&text);
  return error;
}

static jm_error *read_op(jm_vhlo *v, const jm_wire_op *op) {
  const jm_vhlo_row *row = jm_vhlo_find_row(v, op);
  if (!row)
    return jm_error_unimplemented("the op is not known (the program is %.64s)",
                                  v->b->producer.bytes);
  JM_TRY(jm_vhlo_charge(v, 1 + ((uint64_t)op->n_operands + op->n_results) / JM_VHLO_PER_ITEMS));
  return row->rule(v, op);
}

jm_error *jm_vhlo_block(const jm_wire_region *region, const jm_wire_block **out) {
  if (region->n_blocks != 1)
    return jm_error_invalid("a region has %u blocks instead of 1", region->n_blocks);
  *out = region->blocks;
  return NULL;
}

/* Reads the block's ops; *out is its terminator. */
static jm_error *read_block(jm_vhlo *v, const jm_wire_block *block, const jm_wire_op **out) {
  if (!block->n_ops) return jm_error_invalid("a block is empty");
  JM_TRY(jm_vhlo_charge(v, block->n_arguments / JM_VHLO_PER_ITEMS));
  if (v->depth == MAX_DEPTH)
    return jm_error_unimplemented("regions and calls nested deeper than %d", MAX_DEPTH);
  v->depth++;
  for (uint32_t i = 0; i + 1 < block->n_ops; i++)
    JM_TRY(locate_error(v, &block->ops[i], read_op(v, &block->ops[i])));
  v->depth--;
  *out = &block->ops[block->n_ops - 1];
  const jm_vhlo_row *row = jm_vhlo_find_row(v, *out);
  if (!row || row->rule != jm_vhlo_read_terminator)
    return locate_error(v, *out, jm_error_invalid("a block does not end with return"));
  return NULL;
}

jm_error *jm_vhlo_read_terminator(jm_vhlo *v, const jm_wire_op *op) {
  (void)v, (void)op;
  return jm_error_invalid("it is not the last op of its block");
}

jm_error *jm_vhlo_inline_block(jm_vhlo *v, const jm_wire_block *block, const jm_value *arguments,
                               uint32_t n_arguments, uint32_t n_results, jm_value **out) {
  if (block->n_arguments != n_arguments)
    return jm_error_invalid("%u values for %u arguments", n_arguments, block->n_arguments);
  for (uint32_t i = 0; i < n_arguments; i++) v->values[block->first_argument + i] = arguments[i];
  const jm_wire_op *end = NULL;
  JM_TRY(read_block(v, block, &end));
  if (end->n_operands != n_results)
    return jm_error_invalid("%u values are returned instead of %u", end->n_operands, n_results);
  *out = jm_arena_alloc(&v->scratch, n_results, sizeof **out);
  if (!*out) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n_results; i++) JM_TRY(jm_vhlo_value(v, end->operands[i], &(*out)[i]));
  return NULL;
}

/* -- ops with regions */

/* Fills an IR region: arguments of the block, then the captures that are operands. */
static jm_error *fill_region(jm_vhlo *v, const jm_wire_block *block,
                             const jm_vhlo_captures *captures) {
  jm_value *outside = jm_arena_alloc(&v->scratch, captures->n, sizeof *outside);
  if (!outside) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < block->n_arguments; i++) {
    const jm_type *type = NULL;
    JM_TRY(jm_error_note(jm_vhlo_type(v, block->arguments[i], &type), "an argument of a region"));
    JM_TRY(jm_build_arg(v->m, v->region, type, &v->values[block->first_argument + i]));
  }
  for (uint32_t i = 0; i < captures->n; i++) {
    outside[i] = v->values[captures->values[i]];
    if (!is_repeated(v, outside[i]))
      JM_TRY(jm_build_arg(v->m, v->region, jm_vhlo_typeof(v, outside[i]),
                          &v->values[captures->values[i]]));
  }
  const jm_wire_op *end = NULL;
  JM_TRY(read_block(v, block, &end));
  jm_value *results = NULL;
  JM_TRY(jm_vhlo_operands(v, end, &results));
  JM_TRY(jm_build_results(v->m, v->region, results, end->n_operands));
  for (uint32_t i = 0; i < captures->n; i++) v->values[captures->values[i]] = outside[i];
  return NULL;
}

/* operands, then the captured values that become operands: *n counts all, *n_captures those. */
static jm_error *add_captures(jm_vhlo *v, const jm_vhlo_captures *captures,
                              const jm_value **operands, uint32_t *n, uint32_t *n_captures) {
  jm_value *all = jm_arena_alloc(&v->scratch, (size_t)*n + captures->n, sizeof *all);
  if (!all) return jm_error_out_of_memory();
  if (*n) memcpy(all, *operands, *n * sizeof *all);
  uint32_t count = *n;
  for (uint32_t i = 0; i < captures->n; i++) {
    jm_value value = v->values[captures->values[i]];
    if (value == JM_NONE) return jm_error_invalid("a region uses a value that is not defined");
    if (value & JM_VHLO_TUPLE) return jm_error_unimplemented("a region uses a tuple from outside");
    if (!is_repeated(v, value)) all[count++] = value;
  }
  *n_captures = count - *n;
  *n = count;
  *operands = all;
  return NULL;
}

jm_error *jm_vhlo_build(jm_vhlo *v, const jm_wire_op *op, jm_opcode code, const jm_value *operands,
                        uint32_t n, const void *attrs, bool reversed) {
  static const jm_vhlo_captures none = {0};
  const jm_vhlo_captures *captures = &none;
  jm_op_spec spec = {.code = code,
                     .attrs = attrs,
                     .n_regions = op->n_regions,
                     .n_results = op->n_results,
                     .loc = jm_vhlo_location(v, op)};
  if (op->n_regions) {
    JM_TRY(find_captures(v, op, &captures));
    JM_TRY(jm_vhlo_charge(
        v, op->n_regions + (uint64_t)captures->n * (op->n_regions + 1) / JM_VHLO_PER_ITEMS));
    JM_TRY(add_captures(v, captures, &operands, &n, &spec.n_captures));
  }
  const jm_type **types = jm_arena_alloc(&v->scratch, op->n_results, sizeof *types);
  if (!types) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < op->n_results; i++) JM_TRY(jm_vhlo_result_type(v, op, i, &types[i]));
  spec.operands = operands;
  spec.n_operands = n;
  spec.result_types = types;
  jm_op_id id = JM_NONE;
  JM_TRY(jm_build_op(v->m, v->region, &spec, &id));
  jm_region_id outer = v->region, first = v->m->ops[id].first_region;
  for (uint32_t i = 0; i < op->n_results; i++)
    jm_vhlo_define(v, op, i, v->m->ops[id].first_result + i);
  for (uint32_t i = 0; i < op->n_regions; i++) {
    const jm_wire_block *block = NULL;
    JM_TRY(jm_vhlo_block(&op->regions[reversed ? op->n_regions - 1 - i : i], &block));
    v->region = first + i;
    JM_TRY(fill_region(v, block, captures));
  }
  v->region = outer;
  return NULL;
}

jm_error *jm_vhlo_emit(jm_vhlo *v, const jm_wire_op *op, jm_opcode code, const jm_value *operands,
                       uint32_t n, const void *attrs, const jm_type *type, jm_value *out) {
  return jm_build_one(v->m, v->region, code, operands, n, attrs, type, jm_vhlo_location(v, op),
                      out);
}

jm_error *jm_vhlo_sum(jm_vhlo *v, const jm_wire_op *op, jm_value operand, jm_i64s dims,
                      jm_value *out) {
  static const char zero[16];
  jm_module *m = v->m;
  const jm_type *from = jm_vhlo_typeof(v, operand), *scalar = NULL, *to = NULL;
  uint32_t loc = jm_vhlo_location(v, op), rank = 0;
  int64_t *rest = NULL;
  JM_TRY(jm_vhlo_make_list(v, from->rank, &rest));
  for (uint32_t d = 0, k = 0; d < from->rank; d++)
    if (k < dims.n && dims.data[k] == d)
      k++;
    else
      rest[rank++] = from->dims[d];
  JM_TRY(jm_module_type(m, from->dtype, 0, NULL, &scalar));
  JM_TRY(jm_module_type(m, from->dtype, rank, rest, &to));
  jm_value operands[2] = {operand, JM_NONE}, args[2], sum = JM_NONE;
  JM_TRY(jm_build_splat(m, v->region, scalar, zero, loc, &operands[1]));
  const jm_reduce_attrs attrs = {.dims = dims};
  const jm_op_spec spec = {.code = JM_OP_reduce,
                           .operands = operands,
                           .n_operands = 2,
                           .result_types = &to,
                           .n_results = 1,
                           .attrs = &attrs,
                           .n_regions = 1,
                           .loc = loc};
  jm_op_id id = JM_NONE;
  JM_TRY(jm_build_op(m, v->region, &spec, &id));
  *out = m->ops[id].first_result;
  jm_region_id body = m->ops[id].first_region;
  JM_TRY(jm_build_arg(m, body, scalar, &args[0]));
  JM_TRY(jm_build_arg(m, body, scalar, &args[1]));
  JM_TRY(jm_build_binary(m, body, JM_OP_add, args[0], args[1], scalar, loc, &sum));
  return jm_build_results(m, body, &sum, 1);
}
