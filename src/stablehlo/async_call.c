/* SPDX-License-Identifier: Apache-2.0
 * Collectives in two halves as jax writes them since 0.11: custom calls `all-gather-start` and
 * `all-gather-done`, and so on. A start names its attributes in JSON, and its reduction as a called
 * function; its result has the type of the array to come. The work is done where it starts, so that
 * the other half is the value itself.
 *
 *   custom_call @"all-gather-start"(%x) {mhlo.frontend_attributes = {async_collective_config =
 *     "{"all_gather_dimension": 1, "replica_groups": [[0, 1], [2, 3]], "channel_id": 1}"}} */
#include <stdlib.h>
#include <string.h>

#include "stablehlo/reader.h"

/* -- the configuration: an object of numbers, booleans, and lists of lists of numbers */

typedef struct scanner {
  jm_vhlo *v;
  const char *at; /* NUL-terminated */
} scanner;

static jm_error *malformed(const scanner *s) {
  return jm_error_invalid("a malformed async_collective_config at '%.40s'", s->at);
}

static bool accept(scanner *s, const char *text) {
  while (*s->at == ' ') s->at++;
  const size_t size = strlen(text);
  if (strncmp(s->at, text, size) != 0) return false;
  s->at += size;
  return true;
}

static jm_error *scan_number(scanner *s, int64_t *out) {
  char *end;
  const bool is_true = accept(s, "true");
  if (is_true || accept(s, "false")) {
    *out = is_true;
    return NULL;
  }
  if (*s->at != '-' && (*s->at < '0' || *s->at > '9')) return malformed(s);
  *out = strtoll(s->at, &end, 10);
  if (end == s->at) return malformed(s);
  s->at = end;
  return NULL;
}

/* Lists of one length, one after another. */
typedef struct matrix {
  int64_t *numbers;
  uint32_t n, capacity;
  int64_t width;
} matrix;

static jm_error *scan_row(scanner *s, matrix *out) {
  const uint32_t start = out->n;
  do {
    int64_t number;
    JM_TRY(scan_number(s, &number));
    JM_TRY(jm_vhlo_charge(s->v, 1));
    int64_t *grown =
        jm_arena_grow(&s->v->m->arena, out->numbers, out->n + 1, &out->capacity, sizeof *grown);
    if (!grown) return jm_error_out_of_memory();
    out->numbers = grown;
    grown[out->n++] = number;
  } while (accept(s, ","));
  if (start && out->width != out->n - start) return malformed(s);
  out->width = out->n - start;
  return accept(s, "]") ? NULL : malformed(s);
}

static jm_error *scan_matrix(scanner *s, matrix *out) {
  *out = (matrix){.width = 1};
  if (!accept(s, "[")) return malformed(s);
  if (accept(s, "]")) return NULL;
  do {
    if (!accept(s, "[")) return malformed(s);
    JM_TRY(scan_row(s, out));
  } while (accept(s, ","));
  return accept(s, "]") ? NULL : malformed(s);
}

typedef struct config {
  int64_t dim, concat_dim, split_count, channel, use_global_device_ids, tiled;
  matrix groups, pairs;
} config;

static jm_error *scan_entry(scanner *s, config *out) {
  const struct {
    const char *key;
    int64_t *number;
    matrix *rows;
  } keys[] = {
      {"\"all_gather_dimension\"", &out->dim, NULL},
      {"\"scatter_dimension\"", &out->dim, NULL},
      {"\"split_dimension\"", &out->dim, NULL},
      {"\"concat_dimension\"", &out->concat_dim, NULL},
      {"\"split_count\"", &out->split_count, NULL},
      {"\"channel_id\"", &out->channel, NULL},
      {"\"use_global_device_ids\"", &out->use_global_device_ids, NULL},
      {"\"tiled\"", &out->tiled, NULL},
      {"\"replica_groups\"", NULL, &out->groups},
      {"\"permutation\"", NULL, &out->pairs},
  };
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    if (!accept(s, keys[i].key)) continue;
    if (!accept(s, ":")) return malformed(s);
    return keys[i].rows ? scan_matrix(s, keys[i].rows) : scan_number(s, keys[i].number);
  }
  return jm_error_unimplemented("async_collective_config at '%.40s'", s->at);
}

static jm_error *read_config(jm_vhlo *v, const jm_wire_op *op, config *out) {
  const jm_wire_attr *attr;
  uint32_t dictionary, index = JM_WIRE_NONE;
  scanner s = {v, NULL};
  *out = (config){.tiled = true, .groups.width = 1};
  JM_TRY(jm_bytecode_find_attr(v->b, op, "mhlo.frontend_attributes", &dictionary));
  if (dictionary != JM_WIRE_NONE)
    JM_TRY(jm_bytecode_find_entry(v->b, dictionary, "async_collective_config", &index));
  if (index == JM_WIRE_NONE) return jm_error_invalid("it has no async_collective_config");
  JM_TRY(jm_bytecode_read_attr(v->b, index, &attr));
  if (attr->kind != JM_WIRE_STRING)
    return jm_error_invalid("the async_collective_config is not a string");
  JM_TRY(jm_vhlo_make_string(v, attr->bytes, attr->n_bytes, &s.at));
  if (!accept(&s, "{")) return malformed(&s);
  do JM_TRY(scan_entry(&s, out));
  while (accept(&s, ","));
  if (!accept(&s, "}") || *s.at) return malformed(&s);
  return out->tiled ? NULL : jm_error_unimplemented("a reduce-scatter that is not tiled");
}

/* -- ops */

static jm_opcode opcode_of(const char *target) {
  static const struct {
    const char *target;
    jm_opcode code;
  } known[] = {
      {"all-gather-start", JM_OP_all_gather},
      {"all-reduce-start", JM_OP_all_reduce},
      {"all-to-all-start", JM_OP_all_to_all},
      {"collective-permute-start", JM_OP_collective_permute},
      {"reduce-scatter-start", JM_OP_reduce_scatter},
  };
  uint32_t i = 0;
  while (strcmp(known[i].target, target) != 0) i++;
  return known[i].code;
}

#define COMMON                                                                       \
  .replica_groups = {c->groups.numbers, c->groups.n}, .group_size = c->groups.width, \
  .channel = c->channel
#define GLOBAL .use_global_device_ids = c->use_global_device_ids != 0
static void fill_attrs(jm_opcode code, const config *c, jm_vhlo_attrs *out) {
  switch (code) {
    case JM_OP_all_gather:
      out->of_all_gather = (jm_all_gather_attrs){.dim = c->dim, COMMON, GLOBAL};
      break;
    case JM_OP_all_reduce:
      out->of_all_reduce = (jm_all_reduce_attrs){COMMON, GLOBAL};
      break;
    case JM_OP_reduce_scatter:
      out->of_reduce_scatter = (jm_reduce_scatter_attrs){.dim = c->dim, COMMON, GLOBAL};
      break;
    case JM_OP_all_to_all:
      out->of_all_to_all = (jm_all_to_all_attrs){
          .split_dim = c->dim, .concat_dim = c->concat_dim, .split_count = c->split_count, COMMON};
      break;
    default:
      out->of_collective_permute = (jm_collective_permute_attrs){
          .source_target_pairs = {c->pairs.numbers, c->pairs.n}, .channel = c->channel};
  }
}
#undef COMMON
#undef GLOBAL

/* The region of a reduction: the called function. */
static jm_error *build_reduction(jm_vhlo *v, const jm_wire_op *op, jm_op_id id, jm_dtype dtype) {
  const jm_wire_attr *name;
  const jm_type *scalar;
  const jm_region_id outer = v->region;
  jm_value args[2], *results = NULL;
  JM_TRY(jm_vhlo_called_function(v, op, &name));
  JM_TRY(jm_module_type(v->m, dtype, 0, NULL, &scalar));
  v->region = v->m->ops[id].first_region;
  for (uint32_t i = 0; i < 2; i++) JM_TRY(jm_build_arg(v->m, v->region, scalar, &args[i]));
  JM_TRY(jm_vhlo_inline_function(v, name->bytes, name->n_bytes, args, 2, 1, &results));
  if (results[0] & JM_VHLO_TUPLE) return jm_error_invalid("the reduction returns a tuple");
  JM_TRY(jm_build_results(v->m, v->region, results, 1));
  v->region = outer;
  return NULL;
}

/* On one device a permutation may send nothing to it. */
static jm_error *read_on_one(jm_vhlo *v, const jm_wire_op *op, jm_opcode code, const config *c) {
  bool receives = code != JM_OP_collective_permute;
  for (uint32_t i = 0; i + 1 < c->pairs.n; i += 2)
    receives |= !c->pairs.numbers[i] && !c->pairs.numbers[i + 1];
  return receives ? jm_vhlo_read_identity(v, op) : jm_vhlo_define_zero(v, op);
}

jm_error *jm_vhlo_read_async_start(jm_vhlo *v, const jm_wire_op *op) {
  jm_str target = {0};
  jm_value operand = JM_NONE;
  const jm_type *type;
  jm_vhlo_attrs attrs;
  config c;
  JM_TRY(jm_vhlo_arity(op, 1, 1, 0));
  JM_TRY(jm_vhlo_string(v, op, "call_target_name", &target));
  JM_TRY(read_config(v, op, &c));
  const jm_opcode code = opcode_of(target.bytes);
  if (jm_vhlo_one_device(v)) return read_on_one(v, op, code, &c);
  memset(&attrs, 0, sizeof attrs);
  fill_attrs(code, &c, &attrs);
  JM_TRY(jm_vhlo_operand(v, op, 0, &operand));
  JM_TRY(jm_vhlo_result_type(v, op, 0, &type));
  const bool reduces = code == JM_OP_all_reduce || code == JM_OP_reduce_scatter;
  const jm_op_spec spec = {.code = code,
                           .operands = &operand,
                           .n_operands = 1,
                           .result_types = &type,
                           .n_results = 1,
                           .attrs = &attrs,
                           .n_regions = reduces,
                           .loc = jm_vhlo_location(v, op)};
  jm_op_id id = JM_NONE;
  JM_TRY(jm_build_op(v->m, v->region, &spec, &id));
  if (reduces) JM_TRY(build_reduction(v, op, id, type->dtype));
  jm_vhlo_define(v, op, 0, v->m->ops[id].first_result);
  return NULL;
}
