/* SPDX-License-Identifier: Apache-2.0
 * Recursive descent over the text form; regions are the only recursion, and bounded. White space
 * means nothing, `//` opens a comment. A name is visible in its own region alone: using a value of
 * another region is an error with line and column. */
#include "ir/parse.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "ir/build.h"
#include "ir/lex.h"
#include "ir/verify.h"

typedef struct name {
  const char *bytes;
  uint32_t size;
  jm_region_id region;
  jm_value value; /* JM_NONE: an empty slot */
} name;

typedef struct parser {
  jm_lexer lexer;
  jm_module *m;
  name *names; /* open addressing */
  uint32_t n_names, names_capacity;
  const char **locations;
  uint32_t n_locations, locations_capacity;
} parser;

/* -- names */

static name *name_slot(name *names, uint32_t capacity, const char *bytes, uint32_t size,
                       jm_region_id region) {
  uint32_t i = (uint32_t)jm_hash_mix(jm_hash_bytes(bytes, size), region) & (capacity - 1);
  while (names[i].value != JM_NONE && !(names[i].region == region && names[i].size == size &&
                                        !memcmp(names[i].bytes, bytes, size)))
    i = (i + 1) & (capacity - 1);
  return &names[i];
}

static jm_error *names_grow(parser *p) {
  uint32_t capacity = p->names_capacity ? p->names_capacity * 2 : 256;
  name *grown = jm_alloc(capacity, sizeof *grown);
  if (!grown) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < capacity; i++) grown[i].value = JM_NONE;
  for (uint32_t i = 0; i < p->names_capacity; i++) {
    const name *old = &p->names[i];
    if (old->value != JM_NONE)
      *name_slot(grown, capacity, old->bytes, old->size, old->region) = *old;
  }
  jm_free(p->names);
  p->names = grown;
  p->names_capacity = capacity;
  return NULL;
}

static jm_error *name_define(parser *p, const jm_token *token, jm_region_id region,
                             jm_value value) {
  if (p->n_names * 2 >= p->names_capacity) JM_TRY(names_grow(p));
  name *slot = name_slot(p->names, p->names_capacity, token->bytes, token->size, region);
  if (slot->value != JM_NONE)
    return jm_lex_error(&p->lexer, token, "%%%.*s is defined twice", (int)token->size,
                        token->bytes);
  *slot = (name){token->bytes, token->size, region, value};
  p->n_names++;
  return NULL;
}

/* The value that the next token names. */
static jm_error *parse_use(parser *p, jm_region_id region, jm_value *out) {
  jm_token token;
  JM_TRY(jm_lex_value(&p->lexer, &token));
  name *slot = p->names_capacity
                   ? name_slot(p->names, p->names_capacity, token.bytes, token.size, region)
                   : NULL;
  if (!slot || slot->value == JM_NONE)
    return jm_lex_error(&p->lexer, &token, "%%%.*s is not defined in this region", (int)token.size,
                        token.bytes);
  *out = slot->value;
  return NULL;
}

/* -- pieces */

/* f32[2,3] */
static jm_error *parse_type(parser *p, const jm_type **out) {
  jm_lexer *lexer = &p->lexer;
  jm_token token, at;
  JM_TRY(jm_lex_word(lexer, &token));
  jm_dtype dtype;
  if (!jm_dtype_from_name(token.bytes, token.size, &dtype))
    return jm_lex_error(lexer, &token, "no element type is named %.*s", (int)token.size,
                        token.bytes);
  JM_TRY(jm_lex_expect(lexer, "["));
  int64_t dims[JM_RANK_MAX];
  uint32_t rank = 0;
  if (!jm_lex_accept(lexer, "]")) do {
      at = jm_lex_here(lexer);
      if (rank == JM_RANK_MAX) return jm_lex_error(lexer, &at, "more than %d dimensions", rank);
      JM_TRY(jm_lex_integer(lexer, &dims[rank++]));
    } while (jm_lex_accept(lexer, ","));
  if (rank) JM_TRY(jm_lex_expect(lexer, "]"));
  return jm_lex_locate(lexer, &token, jm_module_type(p->m, dtype, rank, dims, out));
}

static jm_error *parse_string(parser *p, jm_str *out) {
  return jm_lex_string(&p->lexer, &p->m->arena, out);
}

/* A string that C keeps without its length. */
static jm_error *parse_c_string(parser *p, const char **out) {
  const jm_token at = jm_lex_here(&p->lexer);
  jm_str string;
  JM_TRY(parse_string(p, &string));
  if (memchr(string.bytes, 0, string.size))
    return jm_lex_error(&p->lexer, &at, "a zero byte in this string");
  *out = string.bytes;
  return NULL;
}

static jm_error *parse_i64s(parser *p, jm_i64s *out) {
  jm_lexer *lexer = &p->lexer;
  JM_TRY(jm_lex_expect(lexer, "["));
  int64_t *data = NULL;
  uint32_t n = 0, capacity = 0;
  if (!jm_lex_accept(lexer, "]")) {
    do {
      data = jm_arena_grow(&p->m->arena, data, n + 1, &capacity, sizeof *data);
      if (!data) return jm_error_out_of_memory();
      JM_TRY(jm_lex_integer(lexer, &data[n++]));
    } while (jm_lex_accept(lexer, ","));
    JM_TRY(jm_lex_expect(lexer, "]"));
  }
  *out = (jm_i64s){data, n};
  return NULL;
}

static jm_error *parse_element(parser *p, jm_dtype dtype, char *out) {
  jm_lexer *lexer = &p->lexer;
  if (!jm_dtype_is_complex(dtype)) return jm_lex_element(lexer, dtype, out);
  jm_dtype part = jm_dtype_real(dtype);
  JM_TRY(jm_lex_expect(lexer, "("));
  JM_TRY(jm_lex_element(lexer, part, out));
  JM_TRY(jm_lex_expect(lexer, ","));
  JM_TRY(jm_lex_element(lexer, part, out + jm_dtype_bytes(part)));
  return jm_lex_expect(lexer, ")");
}

/* One element for all, a list of all, or their bytes. */
static jm_error *parse_data(parser *p, const jm_type *type, jm_data *out) {
  jm_lexer *lexer = &p->lexer;
  const jm_token at = jm_lex_here(lexer);
  size_t size = jm_dtype_bytes(type->dtype);
  if (jm_lex_accept_word(lexer, "bytes"))
    return jm_lex_bytes(lexer, &p->m->arena, jm_type_bytes(type), &out->bytes);
  out->splat = !jm_lex_accept(lexer, "[");
  /* An element of a list takes at least a character: memory is bounded by the text. */
  if (!out->splat && (uint64_t)type->count > lexer->size - lexer->at)
    return jm_lex_error(lexer, &at, "fewer elements than the type has");
  size_t count = out->splat ? 1 : (size_t)type->count;
  char *bytes = jm_arena_alloc(&p->m->arena, count, size);
  if (!bytes) return jm_error_out_of_memory();
  out->bytes = bytes;
  for (size_t i = 0; i < count; i++) {
    if (i) JM_TRY(jm_lex_expect(lexer, ","));
    JM_TRY(parse_element(p, type->dtype, bytes + i * size));
  }
  return out->splat ? NULL : jm_lex_expect(lexer, "]");
}

/* s32(1) or f32[1,2]: one element, or a list of them */
static jm_error *parse_typed(parser *p, jm_dict_entry *entry) {
  enum { MOST = 4096 };
  jm_lexer *lexer = &p->lexer;
  jm_token token;
  JM_TRY(jm_lex_word(lexer, &token));
  if (!jm_dtype_from_name(token.bytes, token.size, &entry->dtype))
    return jm_lex_error(lexer, &token, "expected a value");
  entry->kind = JM_DICT_DATA;
  bool list = jm_lex_accept(lexer, "[");
  if (!list) JM_TRY(jm_lex_expect(lexer, "("));
  const char *end = list ? "]" : ")";
  size_t size = jm_dtype_bytes(entry->dtype), n = 0;
  char *bytes = jm_arena_alloc(&p->m->arena, MOST, size ? size : 1);
  if (!bytes) return jm_error_out_of_memory();
  while (!jm_lex_accept(lexer, end)) {
    if (n) JM_TRY(jm_lex_expect(lexer, ","));
    if (n == MOST) return jm_lex_error(lexer, &token, "more than %d elements", MOST);
    JM_TRY(parse_element(p, entry->dtype, bytes + n++ * size));
  }
  if (!list && n != 1) return jm_lex_error(lexer, &token, "expected one element");
  entry->i64 = list ? (int64_t)n : -1;
  entry->str = (jm_str){bytes, (uint32_t)(n * size)};
  return NULL;
}

static jm_error *parse_dict_entry(parser *p, jm_dict_entry *entry) {
  jm_lexer *lexer = &p->lexer;
  JM_TRY(parse_string(p, &entry->key));
  JM_TRY(jm_lex_expect(lexer, ":"));
  char next = jm_lex_peek(lexer);
  if (next == '"') {
    entry->kind = JM_DICT_STR;
    return parse_string(p, &entry->str);
  }
  if (next == '[') {
    entry->kind = JM_DICT_I64S;
    return parse_i64s(p, &entry->i64s);
  }
  if (jm_lex_accept_word(lexer, "f64")) {
    entry->kind = JM_DICT_F64;
    JM_TRY(jm_lex_expect(lexer, "("));
    JM_TRY(jm_lex_element(lexer, JM_DT_f64, &entry->f64));
    return jm_lex_expect(lexer, ")");
  }
  if (jm_lex_accept_word(lexer, "true")) {
    entry->kind = JM_DICT_BOOL;
    entry->i64 = 1;
    return NULL;
  }
  if (jm_lex_accept_word(lexer, "false")) {
    entry->kind = JM_DICT_BOOL;
    return NULL;
  }
  if (isalpha((unsigned char)next)) return parse_typed(p, entry);
  entry->kind = JM_DICT_I64;
  return jm_lex_integer(lexer, &entry->i64);
}

static jm_error *parse_dict(parser *p, jm_dict *out) {
  jm_lexer *lexer = &p->lexer;
  JM_TRY(jm_lex_expect(lexer, "{"));
  jm_dict_entry *entries = NULL;
  uint32_t n = 0, capacity = 0;
  if (!jm_lex_accept(lexer, "}")) {
    do {
      entries = jm_arena_grow(&p->m->arena, entries, n + 1, &capacity, sizeof *entries);
      if (!entries) return jm_error_out_of_memory();
      JM_TRY(parse_dict_entry(p, &entries[n++]));
    } while (jm_lex_accept(lexer, ","));
    JM_TRY(jm_lex_expect(lexer, "}"));
  }
  *out = (jm_dict){entries, n};
  return NULL;
}

static jm_error *parse_spelling(parser *p, jm_attr_kind kind, unsigned *out) {
  jm_token token;
  JM_TRY(jm_lex_word(&p->lexer, &token));
  const char *const *spellings = jm_attr_spellings(kind);
  for (unsigned i = 0; spellings[i]; i++)
    if (strlen(spellings[i]) == token.size && !memcmp(spellings[i], token.bytes, token.size)) {
      *out = i;
      return NULL;
    }
  return jm_lex_error(&p->lexer, &token, "%.*s is no value of this attribute", (int)token.size,
                      token.bytes);
}

static jm_error *parse_field(parser *p, const jm_attr_field *field, const jm_type *type, void *at) {
  switch (field->kind) {
    case JM_ATTR_I64:
      return jm_lex_integer(&p->lexer, at);
    case JM_ATTR_BOOL: {
      uint8_t yes = 0;
      JM_TRY(jm_lex_element(&p->lexer, JM_DT_pred, &yes));
      *(bool *)at = yes & 1;
      return NULL;
    }
    case JM_ATTR_I64S:
      return parse_i64s(p, at);
    case JM_ATTR_STR:
      return parse_string(p, at);
    case JM_ATTR_DATA:
      return parse_data(p, type, at);
    case JM_ATTR_DICT:
      return parse_dict(p, at);
    default:
      return parse_spelling(p, field->kind, at);
  }
}

/* name=value ..., until something else follows */
static jm_error *parse_attrs(parser *p, const jm_op_fact *fact, const jm_type *type, void *attrs) {
  jm_token token;
  while (jm_lex_key(&p->lexer, &token)) {
    const jm_attr_field *field = fact->attrs();
    while (field->name &&
           !(strlen(field->name) == token.size && !memcmp(field->name, token.bytes, token.size)))
      field++;
    if (!field->name || (field->kind == JM_ATTR_DATA && !type))
      return jm_lex_error(&p->lexer, &token, "%s has no attribute %.*s", fact->name,
                          (int)token.size, token.bytes);
    JM_TRY(parse_field(p, field, type, (char *)attrs + field->offset));
  }
  return NULL;
}

/* -- locations: kept as text */

static jm_error *locate(void *context, uint32_t loc, jm_text *text) {
  const char *const *locations = context;
  jm_text_append(text, locations[loc], strlen(locations[loc]));
  return NULL;
}

static jm_error *parse_location(parser *p, uint32_t *out) {
  *out = JM_NONE;
  if (!jm_lex_accept_word(&p->lexer, "loc")) return NULL;
  jm_module *m = p->m;
  p->locations = jm_arena_grow(&m->arena, p->locations, p->n_locations + 1, &p->locations_capacity,
                               sizeof *p->locations);
  if (!p->locations) return jm_error_out_of_memory();
  JM_TRY(jm_lex_expect(&p->lexer, "("));
  JM_TRY(parse_c_string(p, &p->locations[p->n_locations]));
  *out = p->n_locations++;
  m->locate = locate;
  m->locate_context = p->locations;
  return jm_lex_expect(&p->lexer, ")");
}

/* -- ops and regions */

static jm_error *parse_region(parser *p, jm_region_id region, unsigned depth);

/* Lists that grow while one op is read, and are discarded after it. */
typedef struct op_lists {
  jm_token *names;
  const jm_type **types;
  jm_value *operands;
  uint32_t n_results, n_operands, n_captures;
  uint32_t names_capacity, types_capacity, operands_capacity;
} op_lists;

static jm_error *parse_results(parser *p, jm_arena *scratch, op_lists *lists) {
  jm_lexer *lexer = &p->lexer;
  if (jm_lex_peek(lexer) != '%') return NULL;
  do {
    uint32_t n = lists->n_results;
    lists->names =
        jm_arena_grow(scratch, lists->names, n + 1, &lists->names_capacity, sizeof *lists->names);
    lists->types =
        jm_arena_grow(scratch, lists->types, n + 1, &lists->types_capacity, sizeof *lists->types);
    if (!lists->names || !lists->types) return jm_error_out_of_memory();
    JM_TRY(jm_lex_value(lexer, &lists->names[n]));
    JM_TRY(jm_lex_expect(lexer, ":"));
    JM_TRY(parse_type(p, &lists->types[n]));
    lists->n_results++;
  } while (jm_lex_accept(lexer, ","));
  return jm_lex_expect(lexer, "=");
}

static jm_error *parse_operand(parser *p, jm_arena *scratch, jm_region_id region, op_lists *lists) {
  lists->operands = jm_arena_grow(scratch, lists->operands, lists->n_operands + 1,
                                  &lists->operands_capacity, sizeof *lists->operands);
  if (!lists->operands) return jm_error_out_of_memory();
  return parse_use(p, region, &lists->operands[lists->n_operands++]);
}

static jm_error *parse_operands(parser *p, jm_arena *scratch, jm_region_id region,
                                op_lists *lists) {
  jm_lexer *lexer = &p->lexer;
  /* Without operands, a % opens the next line's results: those are followed by a colon. */
  if (jm_lex_peek(lexer) == '%' && !jm_lex_defines(lexer)) do
      JM_TRY(parse_operand(p, scratch, region, lists));
    while (jm_lex_accept(lexer, ","));
  if (jm_lex_accept(lexer, "|")) do {
      JM_TRY(parse_operand(p, scratch, region, lists));
      lists->n_captures++;
    } while (jm_lex_accept(lexer, ","));
  return NULL;
}

static jm_error *parse_region_count(parser *p, const jm_op_fact *fact, uint32_t *out) {
  *out = (uint32_t)fact->regions;
  if (fact->regions != JM_ANY) return NULL;
  const jm_token at = jm_lex_here(&p->lexer);
  int64_t n;
  JM_TRY(jm_lex_expect(&p->lexer, "<"));
  JM_TRY(jm_lex_integer(&p->lexer, &n));
  JM_TRY(jm_lex_expect(&p->lexer, ">"));
  if (n < 0 || (uint64_t)n > (p->lexer.size - p->lexer.at) / 2) /* {} each */
    return jm_lex_error(&p->lexer, &at, "this many regions don't follow");
  *out = (uint32_t)n;
  return NULL;
}

static jm_error *parse_op_with(parser *p, jm_arena *scratch, jm_region_id region, unsigned depth) {
  op_lists lists = {0};
  JM_TRY(parse_results(p, scratch, &lists));
  jm_token token;
  JM_TRY(jm_lex_word(&p->lexer, &token));
  jm_op_spec spec = {.loc = JM_NONE};
  if (!jm_op_from_name(token.bytes, token.size, &spec.code))
    return jm_lex_error(&p->lexer, &token, "no op is named %.*s", (int)token.size, token.bytes);
  const jm_op_fact *fact = &jm_op_facts[spec.code];
  JM_TRY(parse_region_count(p, fact, &spec.n_regions));
  JM_TRY(parse_operands(p, scratch, region, &lists));
  void *attrs = jm_arena_alloc(scratch, 1, fact->attrs_size);
  if (!attrs) return jm_error_out_of_memory();
  JM_TRY(parse_attrs(p, fact, lists.n_results ? lists.types[0] : NULL, attrs));
  spec.attrs = attrs;
  spec.operands = lists.operands;
  spec.n_operands = lists.n_operands;
  spec.n_captures = lists.n_captures;
  spec.result_types = lists.types;
  spec.n_results = lists.n_results;
  jm_op_id id;
  JM_TRY(jm_build_op(p->m, region, &spec, &id));
  for (uint32_t i = 0; i < lists.n_results; i++)
    JM_TRY(name_define(p, &lists.names[i], region, p->m->ops[id].first_result + i));
  for (uint32_t i = 0; i < spec.n_regions; i++) {
    if (i) JM_TRY(jm_lex_expect(&p->lexer, ","));
    JM_TRY(parse_region(p, p->m->ops[id].first_region + i, depth + 1));
  }
  uint32_t loc;
  JM_TRY(parse_location(p, &loc));
  p->m->ops[id].loc = loc;
  return NULL;
}

static jm_error *parse_op(parser *p, jm_region_id region, unsigned depth) {
  jm_arena scratch;
  jm_arena_init(&scratch);
  jm_error *error = parse_op_with(p, &scratch, region, depth);
  jm_arena_deinit(&scratch);
  return error;
}

static jm_error *parse_argument_facts(parser *p, jm_argument_fact *fact) {
  jm_lexer *lexer = &p->lexer;
  *fact = (jm_argument_fact){.alias = -1};
  if (jm_lex_accept_word(lexer, "alias")) {
    const jm_token at = jm_lex_here(lexer);
    int64_t alias;
    JM_TRY(jm_lex_expect(lexer, "="));
    JM_TRY(jm_lex_integer(lexer, &alias));
    if (alias < 0 || alias > INT32_MAX) return jm_lex_error(lexer, &at, "no such result");
    fact->alias = (int32_t)alias;
  }
  fact->donor = jm_lex_accept_word(lexer, "donor");
  return NULL;
}

/* As in parts=[1,4,2,0] ids=[...]: the lists of jm_sharding_encode. */
static jm_error *parse_parts(parser *p, uint32_t rank, const jm_sharding **out) {
  const jm_token at = jm_lex_here(&p->lexer);
  jm_i64s parts, ids = {0};
  if (!jm_lex_accept_word(&p->lexer, "parts")) return NULL;
  JM_TRY(jm_lex_expect(&p->lexer, "="));
  JM_TRY(parse_i64s(p, &parts));
  if (jm_lex_accept_word(&p->lexer, "ids")) {
    JM_TRY(jm_lex_expect(&p->lexer, "="));
    JM_TRY(parse_i64s(p, &ids));
  }
  jm_error *error = jm_sharding_decode(&p->m->arena, parts, ids, rank, p->m->n_partitions, out);
  if (!error) return NULL;
  jm_error *located = jm_lex_error(&p->lexer, &at, "%s", jm_error_message(error));
  jm_error_destroy(error);
  return located;
}

static jm_error *parse_layout(parser *p, jm_i64s *out) {
  if (!jm_lex_accept_word(&p->lexer, "layout")) return NULL;
  JM_TRY(jm_lex_expect(&p->lexer, "="));
  return parse_i64s(p, out);
}

static jm_error *parse_placement(parser *p, const char **memory_kind, const char **sharding) {
  if (jm_lex_accept_word(&p->lexer, "memory_kind")) {
    JM_TRY(jm_lex_expect(&p->lexer, "="));
    JM_TRY(parse_c_string(p, memory_kind));
  }
  if (jm_lex_accept_word(&p->lexer, "sharding")) {
    JM_TRY(jm_lex_expect(&p->lexer, "="));
    JM_TRY(parse_c_string(p, sharding));
  }
  return NULL;
}

static jm_error *parse_region_args(parser *p, jm_region_id region) {
  jm_module *m = p->m;
  jm_lexer *lexer = &p->lexer;
  uint32_t n = 0, capacity = 0;
  JM_TRY(jm_lex_expect(lexer, "("));
  if (jm_lex_accept(lexer, ")")) return NULL;
  do {
    jm_token token;
    const jm_type *type;
    jm_value value;
    JM_TRY(jm_lex_value(lexer, &token));
    JM_TRY(jm_lex_expect(lexer, ":"));
    JM_TRY(parse_type(p, &type));
    JM_TRY(jm_build_arg(m, region, type, &value));
    JM_TRY(name_define(p, &token, region, value));
    if (region != m->entry) continue;
    m->arguments = jm_arena_grow(&m->arena, m->arguments, n + 1, &capacity, sizeof *m->arguments);
    if (!m->arguments) return jm_error_out_of_memory();
    jm_argument_fact *fact = &m->arguments[n++];
    JM_TRY(parse_argument_facts(p, fact));
    JM_TRY(parse_placement(p, &fact->memory_kind, &fact->sharding));
    JM_TRY(parse_parts(p, type->rank, &fact->parts));
    JM_TRY(parse_layout(p, &fact->layout));
  } while (jm_lex_accept(lexer, ","));
  return jm_lex_expect(lexer, ")");
}

static jm_error *parse_return(parser *p, jm_region_id region) {
  jm_module *m = p->m;
  jm_value *values = NULL;
  uint32_t n = 0, capacity = 0, facts_capacity = 0;
  if (jm_lex_peek(&p->lexer) == '%') do {
      values = jm_arena_grow(&m->arena, values, n + 1, &capacity, sizeof *values);
      if (!values) return jm_error_out_of_memory();
      JM_TRY(parse_use(p, region, &values[n++]));
      if (region != m->entry) continue;
      m->results = jm_arena_grow(&m->arena, m->results, n, &facts_capacity, sizeof *m->results);
      if (!m->results) return jm_error_out_of_memory();
      jm_result_fact *fact = &m->results[n - 1];
      JM_TRY(parse_placement(p, &fact->memory_kind, &fact->sharding));
      JM_TRY(parse_parts(p, jm_module_typeof(m, values[n - 1])->rank, &fact->parts));
      JM_TRY(parse_layout(p, &fact->layout));
      fact->any_layout = jm_lex_accept_word(&p->lexer, "any_layout");
      fact->divided = fact->sharding || fact->parts;
    } while (jm_lex_accept(&p->lexer, ","));
  return jm_build_results(m, region, values, n);
}

static jm_error *parse_region(parser *p, jm_region_id region, unsigned depth) {
  const jm_token at = jm_lex_here(&p->lexer);
  if (depth > JM_DEPTH_MAX)
    return jm_lex_error(&p->lexer, &at, "regions nested more than %d deep", JM_DEPTH_MAX);
  JM_TRY(jm_lex_expect(&p->lexer, "{"));
  JM_TRY(parse_region_args(p, region));
  JM_TRY(jm_lex_expect(&p->lexer, ":"));
  while (!jm_lex_accept_word(&p->lexer, "return")) JM_TRY(parse_op(p, region, depth));
  JM_TRY(parse_return(p, region));
  return jm_lex_expect(&p->lexer, "}");
}

static jm_error *parse_count(parser *p, const char *word, uint32_t *out) {
  if (!jm_lex_accept_word(&p->lexer, word)) return NULL;
  JM_TRY(jm_lex_expect(&p->lexer, "="));
  const jm_token at = jm_lex_here(&p->lexer);
  int64_t n;
  JM_TRY(jm_lex_integer(&p->lexer, &n));
  if (n < 1 || n > INT32_MAX) return jm_lex_error(&p->lexer, &at, "not a number of %s", word);
  *out = (uint32_t)n;
  return NULL;
}

static jm_error *parse_module(parser *p) {
  jm_lexer *lexer = &p->lexer;
  const jm_token at = jm_lex_here(lexer);
  if (!jm_lex_accept_word(lexer, "module")) return jm_lex_error(lexer, &at, "no module");
  JM_TRY(parse_c_string(p, &p->m->name));
  JM_TRY(parse_count(p, "replicas", &p->m->n_replicas));
  JM_TRY(parse_count(p, "partitions", &p->m->n_partitions));
  p->m->whole = jm_lex_accept_word(lexer, "whole");
  p->m->logical = jm_lex_accept_word(lexer, "logical");
  JM_TRY(jm_build_region(p->m, &p->m->entry));
  JM_TRY(parse_region(p, p->m->entry, 1));
  const jm_token end = jm_lex_here(lexer);
  return lexer->at < lexer->size ? jm_lex_error(lexer, &end, "text after the module") : NULL;
}

jm_error *jm_module_parse(const char *text, size_t size, jm_module **out) {
  parser p = {.lexer = {text, size, 0}};
  JM_TRY(jm_module_create(&p.m));
  jm_error *error = parse_module(&p);
  jm_free(p.names);
  if (error)
    jm_module_destroy(p.m);
  else
    *out = p.m;
  return error;
}
