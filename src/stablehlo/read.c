/* SPDX-License-Identifier: Apache-2.0
 * The program: module, functions, arguments and results. */
#include "stablehlo/read.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "stablehlo/reader.h"

const jm_vhlo_row jm_vhlo_rows[] = {
#define VHLO(spelling, since, until, rule, op, attributes, fields) \
  {spelling, since, until, jm_vhlo_read_##rule, JM_OP_##op, attributes, fields},
#include "stablehlo/vhlo.def"
};

/* The columns of each row that the container's reader needs. */
static const jm_wire_row wire_rows[] = {
#define VHLO(spelling, since, until, rule, op, attributes, fields) {spelling, attributes},
#include "stablehlo/vhlo.def"
};
enum { N_ROWS = sizeof wire_rows / sizeof *wire_rows };

/* -- functions by name */

/* The slot that holds the function, or the empty one where it belongs. */
static uint32_t *find_slot(const jm_vhlo *v, const char *name, uint32_t size) {
  uint32_t i = (uint32_t)jm_hash_bytes(name, size) & (v->table_size - 1);
  for (; v->table[i]; i = (i + 1) & (v->table_size - 1)) {
    const jm_wire_string *other = &v->functions[v->table[i] - 1].name;
    if (other->size == size && !memcmp(other->bytes, name, size)) break;
  }
  return &v->table[i];
}

static jm_error *add_function(jm_vhlo *v, const jm_wire_op *op) {
  const jm_wire_attr *name;
  JM_TRY(jm_vhlo_find(v, op, "sym_name", &name));
  if (!name || name->kind != JM_WIRE_STRING)
    return jm_error_invalid("malformed program: a function has no name (byte %u)", op->offset);
  uint32_t *slot = find_slot(v, name->bytes, name->n_bytes);
  if (*slot)
    return jm_error_invalid("malformed program: two functions are called @%s (byte %u)",
                            name->bytes, op->offset);
  v->functions[v->n_functions] = (jm_vhlo_function){{name->bytes, name->n_bytes}, op, false};
  *slot = ++v->n_functions;
  return NULL;
}

static jm_error *read_functions(jm_vhlo *v) {
  uint32_t n = v->body->n_ops;
  v->table_size = 16;
  while (v->table_size < 2 * (uint64_t)n) v->table_size *= 2;
  v->table = jm_arena_alloc(&v->scratch, v->table_size, sizeof *v->table);
  v->functions = jm_arena_alloc(&v->scratch, n, sizeof *v->functions);
  if (!v->table || !v->functions) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) {
    const jm_wire_op *op = &v->body->ops[i];
    const jm_vhlo_row *row = jm_vhlo_find_row(v, op);
    if (row && !strcmp(row->spelling, "vhlo.func_v1")) {
      JM_TRY(add_function(v, op));
    } else if (!row || strcmp(row->spelling, "sdy.mesh")) {
      const jm_wire_name *name = &v->b->names[op->name];
      return jm_error_unimplemented("%s.%s at the top of a module (byte %u)", name->dialect.bytes,
                                    name->op.bytes, op->offset);
    }
  }
  return NULL;
}

jm_error *jm_vhlo_inline_function(jm_vhlo *v, const char *name, uint32_t size,
                                  const jm_value *arguments, uint32_t n_arguments,
                                  uint32_t n_results, jm_value **out) {
  uint32_t index = *find_slot(v, name, size);
  if (!index) return jm_error_invalid("there is no function @%s", name);
  jm_vhlo_function *f = &v->functions[index - 1];
  if (f->active) return jm_error_invalid("recursive call of @%s", name);
  if (f->op->n_regions != 1) return jm_error_invalid("the function @%s has no body", name);
  const jm_wire_block *block = NULL;
  JM_TRY(jm_vhlo_block(&f->op->regions[0], &block));
  f->active = true;
  jm_error *error = jm_vhlo_inline_block(v, block, arguments, n_arguments, n_results, out);
  f->active = false;
  return error;
}

/* -- attributes of arguments and results */

static jm_error *find_text(jm_vhlo *v, uint32_t dictionary, const char *key, const char **out) {
  uint32_t index;
  JM_TRY(jm_bytecode_find_entry(v->b, dictionary, key, &index));
  if (index == JM_WIRE_NONE) return NULL;
  const jm_wire_attr *attr;
  JM_TRY(jm_bytecode_read_attr(v->b, index, &attr));
  if (attr->kind == JM_WIRE_STRING) return jm_vhlo_make_string(v, attr->bytes, attr->n_bytes, out);
  jm_text text;
  jm_text_init(&text);
  jm_bytecode_print_attr(v->b, index, &text);
  jm_error *error = jm_text_error(&text);
  if (!error) error = jm_vhlo_make_string(v, jm_text_bytes(&text), (uint32_t)text.size, out);
  jm_text_deinit(&text);
  return error;
}

/* The entry of the per-argument list at i: an attribute, or none. */
static jm_error *find_item(jm_vhlo *v, const jm_wire_attr *list, uint32_t i, uint32_t *out) {
  *out = JM_WIRE_NONE;
  if (!list) return NULL;
  if (list->kind != JM_WIRE_ARRAY) return jm_error_invalid("argument attributes are not a list");
  if (i < list->n_attrs) *out = list->attrs[i];
  (void)v;
  return NULL;
}

/* A layout as XLA writes it, the dimension of adjacent elements first: "{1,0}" is row-major, which
 * gives an empty list. The verifier compares it with the array's rank. */
static jm_error *read_layout(jm_vhlo *v, const char *text, jm_i64s *out) {
  int64_t dims[JM_RANK_MAX];
  uint32_t n = 0;
  bool row_major = true;
  const char *at = text;
  for (char before = '{'; *at == before && n < JM_RANK_MAX; before = ',') {
    char *end;
    if (at[1] < '0' || at[1] > '9') break;
    dims[n] = strtol(at + 1, &end, 10);
    row_major = row_major && (n == 0 || dims[n] == dims[n - 1] - 1);
    n++;
    at = end;
  }
  if (strcmp(at, n ? "}" : "{}"))
    return jm_error_unimplemented("the layout %s of an argument or result", text);
  if (!n || (row_major && dims[n - 1] == 0)) return NULL;
  int64_t *list = jm_arena_copy(&v->m->arena, dims, n, sizeof *dims);
  if (!list) return jm_error_out_of_memory();
  *out = (jm_i64s){list, n};
  v->m->logical = true;
  return NULL;
}

static jm_error *read_common(jm_vhlo *v, uint32_t dictionary, const char **memory_kind,
                             const char **sharding, jm_i64s *layout, bool *any_layout) {
  JM_TRY(find_text(v, dictionary, "mhlo.memory_kind", memory_kind));
  JM_TRY(find_text(v, dictionary, "mhlo.sharding", sharding));
  JM_TRY(find_text(v, dictionary, "sdy.sharding", sharding));
  const char *mode = NULL;
  *any_layout = false;
  JM_TRY(find_text(v, dictionary, "mhlo.layout_mode", &mode));
  if (!mode || !strcmp(mode, "default")) return NULL;
  *any_layout = !strcmp(mode, "auto");
  if (*any_layout) return NULL;
  return read_layout(v, mode, layout);
}

/* The requested sharding of an argument or a result of a program over several partitions. */
static jm_error *read_parts(jm_vhlo *v, uint32_t dictionary, const jm_type *type,
                            const jm_sharding **out) {
  uint32_t index;
  if (v->m->n_partitions == 1 || dictionary == JM_WIRE_NONE) return NULL;
  JM_TRY(jm_bytecode_find_entry(v->b, dictionary, "sdy.sharding", &index));
  if (index != JM_WIRE_NONE) return jm_vhlo_sharding(v, index, type, NULL, out);
  const char *text = NULL;
  bool manual;
  JM_TRY(find_text(v, dictionary, "mhlo.sharding", &text));
  return text ? jm_vhlo_text_sharding(v, text, type->rank, &manual, out) : NULL;
}

static jm_error *read_argument(jm_vhlo *v, uint32_t dictionary, uint32_t n_results,
                               jm_argument_fact *out) {
  *out = (jm_argument_fact){.alias = -1};
  if (dictionary == JM_WIRE_NONE) return NULL;
  bool any_layout; /* the caller's other programs, too, make row-major arrays */
  JM_TRY(read_common(v, dictionary, &out->memory_kind, &out->sharding, &out->layout, &any_layout));
  uint32_t index;
  const jm_wire_attr *attr;
  JM_TRY(jm_bytecode_find_entry(v->b, dictionary, "tf.aliasing_output", &index));
  if (index != JM_WIRE_NONE) {
    JM_TRY(jm_bytecode_read_attr(v->b, index, &attr));
    if (attr->kind != JM_WIRE_INTEGER || attr->ints[0] < 0 || attr->ints[0] >= n_results)
      return jm_error_invalid("tf.aliasing_output is not the number of a result");
    out->alias = (int32_t)attr->ints[0];
  }
  JM_TRY(jm_bytecode_find_entry(v->b, dictionary, "jax.buffer_donor", &index));
  if (index != JM_WIRE_NONE) {
    JM_TRY(jm_bytecode_read_attr(v->b, index, &attr));
    out->donor = attr->kind == JM_WIRE_UNIT || (attr->kind == JM_WIRE_BOOL && attr->ints[0]);
  }
  return NULL;
}

static jm_error *read_facts(jm_vhlo *v, const jm_wire_op *op, const jm_wire_block *block,
                            uint32_t n_results) {
  const uint32_t n_args = block->n_arguments;
  jm_module *m = v->m;
  m->arguments = jm_arena_alloc(&m->arena, n_args, sizeof *m->arguments);
  m->results = jm_arena_alloc(&m->arena, n_results, sizeof *m->results);
  if (!m->arguments || !m->results) return jm_error_out_of_memory();
  const jm_wire_attr *list;
  uint32_t item;
  JM_TRY(jm_vhlo_find(v, op, "arg_attrs", &list));
  for (uint32_t i = 0; i < n_args; i++) {
    JM_TRY(find_item(v, list, i, &item));
    JM_TRY(jm_error_note(read_argument(v, item, n_results, &m->arguments[i]), "of argument %u", i));
    const jm_type *type;
    JM_TRY(
        jm_error_note(jm_vhlo_type(v, block->arguments[i], &type), "the type of argument %u", i));
    JM_TRY(jm_error_note(read_parts(v, item, type, &m->arguments[i].parts), "of argument %u", i));
  }
  JM_TRY(jm_vhlo_find(v, op, "res_attrs", &list));
  for (uint32_t i = 0; i < n_results; i++) {
    JM_TRY(find_item(v, list, i, &item));
    jm_result_fact *fact = &m->results[i];
    if (item == JM_WIRE_NONE) continue;
    JM_TRY(jm_error_note(
        read_common(v, item, &fact->memory_kind, &fact->sharding, &fact->layout, &fact->any_layout),
        "of result %u", i));
    m->logical = m->logical || fact->any_layout;
  }
  return NULL;
}

/* -- the entry */

static jm_error *count_results(jm_vhlo *v, const jm_wire_op *op, uint32_t *out) {
  const jm_wire_attr *attr;
  const jm_wire_type *type;
  JM_TRY(jm_vhlo_find(v, op, "function_type", &attr));
  if (!attr || attr->kind != JM_WIRE_TYPE)
    return jm_error_invalid("a function has no function_type (byte %u)", op->offset);
  JM_TRY(jm_bytecode_read_type(v->b, attr->type, &type));
  if (type->kind != JM_WIRE_T_FUNCTION)
    return jm_error_invalid("a function has no function_type (byte %u)", op->offset);
  *out = (uint32_t)type->ints[1];
  return NULL;
}

/* The parts of sums that an argument or a result is met in. */
static jm_error *read_unreduced(jm_vhlo *v, uint32_t dictionary, jm_sharding_sums *out) {
  uint32_t index;
  *out = (jm_sharding_sums){.group_size = 1};
  if (v->m->n_partitions == 1 || dictionary == JM_WIRE_NONE) return NULL;
  JM_TRY(jm_bytecode_find_entry(v->b, dictionary, "sdy.sharding", &index));
  return index == JM_WIRE_NONE ? NULL : jm_vhlo_unreduced_read(v, index, NULL, out);
}

/* Parts of sums are each device's own: they are completed and divided as in a body written per
 * device. */
static jm_error *complete_argument(jm_vhlo *v, const jm_wire_op *op, uint32_t i, jm_value *value) {
  const jm_wire_attr *list;
  const jm_sharding *parts = v->m->arguments[i].parts;
  const jm_type *whole = jm_vhlo_typeof(v, *value);
  jm_sharding_sums *sums = &v->m->arguments[i].sums;
  uint32_t item;
  JM_TRY(jm_vhlo_find(v, op, "arg_attrs", &list));
  JM_TRY(find_item(v, list, i, &item));
  JM_TRY(read_unreduced(v, item, sums));
  if (!sums->groups.n) return NULL;
  JM_TRY(jm_vhlo_enter_shard(v, op, parts, value));
  JM_TRY(jm_vhlo_unreduced_complete(v, op, sums, value));
  return jm_vhlo_leave_shard(v, op, parts, whole, value);
}

static jm_error *divide_result(jm_vhlo *v, const jm_wire_op *op, uint32_t item,
                               jm_result_fact *fact, jm_value *value) {
  const jm_type *whole = jm_vhlo_typeof(v, *value);
  JM_TRY(read_unreduced(v, item, &fact->sums));
  if (!fact->sums.groups.n) return NULL;
  JM_TRY(jm_vhlo_enter_shard(v, op, fact->parts, value));
  JM_TRY(jm_vhlo_unreduced_divide(v, op, &fact->sums, value));
  return jm_vhlo_leave_shard(v, op, fact->parts, whole, value);
}

static jm_error *build_arguments(jm_vhlo *v, const jm_wire_op *op, const jm_wire_block *block,
                                 jm_value *args) {
  jm_module *m = v->m;
  const jm_type *type = NULL, *part;
  for (uint32_t i = 0; i < block->n_arguments; i++) {
    JM_TRY(jm_vhlo_type(v, block->arguments[i], &type));
    JM_TRY(jm_error_note(jm_build_part_type(v->m, m->arguments[i].parts, type, &part),
                         "of argument %u", i));
    JM_TRY(jm_build_arg(m, m->entry, type, &args[i]));
  }
  for (uint32_t i = 0; i < block->n_arguments; i++)
    JM_TRY(jm_error_note(complete_argument(v, op, i, &args[i]), "of argument %u", i));
  return NULL;
}

/* How the program's caller wants the results; those that it says nothing of are free. */
static jm_error *read_result_parts(jm_vhlo *v, const jm_wire_op *op, jm_value *results,
                                   uint32_t n) {
  const jm_wire_attr *list;
  JM_TRY(jm_vhlo_find(v, op, "res_attrs", &list));
  for (uint32_t i = 0; i < n; i++) {
    jm_result_fact *fact = &v->m->results[i];
    const jm_type *whole = jm_vhlo_typeof(v, results[i]), *part;
    uint32_t item;
    JM_TRY(find_item(v, list, i, &item));
    JM_TRY(jm_error_note(read_parts(v, item, whole, &fact->parts), "of result %u", i));
    JM_TRY(jm_error_note(jm_build_part_type(v->m, fact->parts, whole, &part), "of result %u", i));
    fact->divided = fact->sharding != NULL;
    JM_TRY(jm_error_note(divide_result(v, op, item, fact, &results[i]), "of result %u", i));
  }
  return NULL;
}

static jm_error *read_main(jm_vhlo *v) {
  jm_module *m = v->m;
  uint32_t index = *find_slot(v, "main", 4), n_results = 0;
  if (!index) return jm_error_invalid("malformed program: there is no function @main");
  const jm_wire_op *op = v->functions[index - 1].op;
  const jm_wire_block *block = NULL;
  if (op->n_regions != 1)
    return jm_error_invalid("malformed program: @main has no body (byte %u)", op->offset);
  JM_TRY(jm_vhlo_block(&op->regions[0], &block));
  JM_TRY(count_results(v, op, &n_results));
  jm_value *args = jm_arena_alloc(&v->scratch, block->n_arguments, sizeof *args), *results = NULL;
  if (!args) return jm_error_out_of_memory();
  JM_TRY(jm_build_region(m, &v->region));
  m->entry = v->region;
  JM_TRY(read_facts(v, op, block, n_results));
  JM_TRY(build_arguments(v, op, block, args));
  JM_TRY(jm_vhlo_inline_function(v, "main", 4, args, block->n_arguments, n_results, &results));
  for (uint32_t i = 0; i < n_results; i++)
    if (results[i] & JM_VHLO_TUPLE) return jm_error_unimplemented("the program returns a tuple");
  if (m->n_partitions > 1) JM_TRY(read_result_parts(v, op, results, n_results));
  return jm_build_results(m, m->entry, results, n_results);
}

static jm_error *read_count(jm_vhlo *v, const jm_wire_op *op, const char *name, uint32_t *out) {
  const jm_wire_attr *attr;
  JM_TRY(jm_vhlo_find(v, op, name, &attr));
  if (!attr) return NULL; /* 1 */
  if (attr->kind != JM_WIRE_INTEGER || attr->ints[0] < 1 || attr->ints[0] > 1 << 20)
    return jm_error_invalid("%s is not a number of devices", name);
  *out = (uint32_t)attr->ints[0];
  return NULL;
}

static jm_error *open_module(jm_vhlo *v) {
  const jm_wire_block *top = v->b->top;
  const jm_vhlo_row *row = top->n_ops == 1 ? jm_vhlo_find_row(v, &top->ops[0]) : NULL;
  if (!row || strcmp(row->spelling, "builtin.module") || top->ops[0].n_regions != 1)
    return jm_error_invalid("malformed program: it is not one builtin.module");
  return jm_vhlo_block(&top->ops[0].regions[0], &v->body);
}

static jm_error *read_module(jm_vhlo *v) {
  JM_TRY(open_module(v));
  const jm_wire_op *op = &v->b->top->ops[0];
  JM_TRY(read_count(v, op, "mhlo.num_partitions", &v->m->n_partitions));
  JM_TRY(read_count(v, op, "mhlo.num_replicas", &v->m->n_replicas));
  v->m->whole = v->m->n_partitions > 1;
  const jm_wire_attr *name;
  JM_TRY(jm_vhlo_find(v, op, "sym_name", &name));
  if (name && name->kind == JM_WIRE_STRING)
    JM_TRY(jm_vhlo_make_string(v, name->bytes, name->n_bytes, &v->m->name));
  JM_TRY(read_functions(v));
  return read_main(v);
}

/* -- locations: rendered once, so that the module does not keep the bytes */

typedef struct locations {
  uint32_t n;
  uint32_t *ends; /* of each one's text */
  jm_text text;
} locations;

static jm_error *locate(void *context, uint32_t loc, jm_text *text) {
  const locations *l = context;
  if (loc >= l->n) return NULL;
  uint32_t start = loc ? l->ends[loc - 1] : 0;
  if (l->ends[loc] > start) jm_text_append(text, l->text.bytes + start, l->ends[loc] - start);
  return NULL;
}

static void locate_free(void *context) {
  locations *l = context;
  jm_text_deinit(&l->text);
  jm_free(l->ends);
  jm_free(l);
}

static jm_error *render_locations(jm_vhlo *v) {
  locations *l = jm_alloc(1, sizeof *l);
  if (!l) return jm_error_out_of_memory();
  v->m->locate = locate;
  v->m->locate_free = locate_free;
  v->m->locate_context = l;
  jm_text_init(&l->text);
  enum { MAX_TEXT = 1 << 28 };
  l->n = v->n_locations;
  l->ends = jm_alloc(l->n, sizeof *l->ends);
  if (!l->ends) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < l->n; i++) {
    /* Names can be shared by many locations; a small input must not make a huge text. */
    if (l->text.size < MAX_TEXT) jm_bytecode_print_location(v->b, v->location_attrs[i], &l->text);
    l->ends[i] = (uint32_t)l->text.size;
  }
  return jm_text_error(&l->text);
}

/* -- entry */

static jm_error *check_producer(const jm_bytecode *b) {
  static const char prefix[] = "StableHLO_v";
  if (b->producer.size >= strlen(prefix) && !memcmp(b->producer.bytes, prefix, strlen(prefix)))
    return NULL;
  return jm_error_invalid(
      "the program is not a StableHLO portable artifact: its producer is '%.64s'",
      b->producer.bytes);
}

/* The budget and the tables of values, types and attributes. */
static jm_error *allocate(jm_vhlo *v, size_t size) {
  enum { FLOOR = 4096, FACTOR = 64, MOST = 1000000, PER_BYTES = 16 };
  const jm_bytecode *b = v->b;
  uint64_t inlined = (uint64_t)FACTOR * b->n_ops;
  v->budget = FLOOR + b->n_ops + (inlined < MOST ? inlined : MOST) + size / PER_BYTES;
  jm_arena *arena = &v->scratch;
  v->values = jm_arena_alloc(arena, b->n_values, sizeof *v->values);
  v->marks = jm_arena_alloc(arena, b->n_values, sizeof *v->marks);
  v->types = jm_arena_alloc(arena, b->n_types, sizeof *v->types);
  v->lists = jm_arena_alloc(arena, b->n_attrs, sizeof *v->lists);
  v->data = jm_arena_alloc(arena, b->n_attrs, sizeof *v->data);
  v->locations = jm_arena_alloc(arena, b->n_attrs, sizeof *v->locations);
  v->captures = jm_arena_alloc(arena, b->n_ops, sizeof *v->captures);
  if (!v->values || !v->marks || !v->types || !v->lists || !v->data || !v->locations ||
      !v->captures)
    return jm_error_out_of_memory();
  memset(v->values, 0xFF, b->n_values * sizeof *v->values); /* JM_NONE */
  return NULL;
}

static jm_error *convert(jm_vhlo *v, size_t size) {
  JM_TRY(check_producer(v->b));
  JM_TRY(allocate(v, size));
  JM_TRY(jm_module_create(&v->m));
  JM_TRY(read_module(v));
  return render_locations(v);
}

jm_error *jm_stablehlo_read(const void *bytes, size_t size, jm_module **out) {
  *out = NULL;
  jm_vhlo v = {.b = NULL};
  JM_TRY(jm_bytecode_read(bytes, size, wire_rows, N_ROWS, &v.b));
  jm_arena_init(&v.scratch);
  jm_error *error = convert(&v, size);
  if (error)
    jm_module_destroy(v.m);
  else
    *out = v.m;
  jm_arena_deinit(&v.scratch);
  jm_bytecode_destroy(v.b);
  return error;
}

/* -- a program that becomes part of another */

static jm_error *check_arguments(jm_vhlo *v, const jm_value *arguments, uint32_t n) {
  const uint32_t index = *find_slot(v, "main", 4);
  const jm_wire_block *block = NULL;
  if (!index || v->functions[index - 1].op->n_regions != 1)
    return jm_error_invalid("malformed program: there is no function @main");
  JM_TRY(jm_vhlo_block(&v->functions[index - 1].op->regions[0], &block));
  for (uint32_t i = 0; i < n && i < block->n_arguments; i++) {
    const jm_type *type = NULL;
    JM_TRY(jm_vhlo_type(v, block->arguments[i], &type));
    if (type != jm_vhlo_typeof(v, arguments[i]))
      return jm_error_invalid("argument %u of the program has another type", i);
  }
  return NULL;
}

static jm_error *join(jm_vhlo *v, size_t size, const jm_value *arguments, uint32_t n_arguments,
                      jm_value *results, uint32_t n_results) {
  jm_value *returned = NULL;
  JM_TRY(check_producer(v->b));
  JM_TRY(allocate(v, size));
  JM_TRY(open_module(v));
  JM_TRY(read_functions(v));
  JM_TRY(check_arguments(v, arguments, n_arguments));
  JM_TRY(jm_vhlo_inline_function(v, "main", 4, arguments, n_arguments, n_results, &returned));
  for (uint32_t i = 0; i < n_results; i++) {
    if (returned[i] & JM_VHLO_TUPLE) return jm_error_unimplemented("the program returns a tuple");
    results[i] = returned[i];
  }
  return NULL;
}

jm_error *jm_stablehlo_join(const void *bytes, size_t size, jm_module *m, jm_region_id region,
                            uint32_t loc, const jm_value *arguments, uint32_t n_arguments,
                            jm_value *results, uint32_t n_results) {
  jm_vhlo v = {.m = m, .region = region, .manual_depth = 1, .joins = true, .joins_at = loc};
  JM_TRY(jm_bytecode_read(bytes, size, wire_rows, N_ROWS, &v.b));
  jm_arena_init(&v.scratch);
  jm_error *error = join(&v, size, arguments, n_arguments, results, n_results);
  jm_arena_deinit(&v.scratch);
  jm_bytecode_destroy(v.b);
  return error;
}
