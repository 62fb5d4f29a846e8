/* SPDX-License-Identifier: Apache-2.0
 * Custom calls. Those without a meaning on one device are dropped, an approximate top-k is computed
 * exactly, versions of our own targets are read (docs/EXPORT.md), and the rest become custom_call
 * of the IR. */
#include <inttypes.h>
#include <string.h>

#include "stablehlo/reader.h"

/* -- the dictionary of a call's configuration */

/* A number: 64-bit ones have kinds of their own, others are DATA of one element. */
static jm_error *read_number(jm_vhlo *v, const jm_wire_attr *attr, jm_dict_entry *out) {
  const jm_wire_type *type;
  JM_TRY(jm_bytecode_read_type(v->b, attr->type, &type));
  if (type->kind != JM_WIRE_T_SCALAR) { /* of type index */
    out->kind = JM_DICT_I64;
    out->i64 = attr->ints[0];
    return NULL;
  }
  if (type->dtype == JM_DT_s64) {
    out->kind = JM_DICT_I64;
    out->i64 = attr->ints[0];
    return NULL;
  }
  if (type->dtype == JM_DT_f64) {
    out->kind = JM_DICT_F64;
    memcpy(&out->f64, attr->ints, sizeof out->f64);
    return NULL;
  }
  out->kind = JM_DICT_DATA; /* little-endian: the low bytes are the first */
  out->dtype = type->dtype;
  out->i64 = -1;
  out->str.size = (uint32_t)jm_dtype_bytes(type->dtype);
  if (out->str.size > sizeof attr->ints[0])
    return jm_error_unimplemented("an attribute of type %s", jm_dtype_name(type->dtype));
  return jm_vhlo_make_string(v, (const char *)attr->ints, out->str.size, &out->str.bytes);
}

/* A list: integers of 64 bits have a kind of their own. */
static jm_error *read_list(jm_vhlo *v, uint32_t index, jm_dict_entry *out) {
  const jm_wire_attr *attr;
  JM_TRY(jm_bytecode_read_attr(v->b, index, &attr));
  const jm_type *type = NULL;
  jm_data data;
  if (attr->kind == JM_WIRE_TENSOR) JM_TRY(jm_vhlo_data(v, index, &type, &data));
  if (!type || type->dtype == JM_DT_s64) {
    out->kind = JM_DICT_I64S;
    return jm_vhlo_list(v, index, &out->i64s);
  }
  size_t size = jm_dtype_bytes(type->dtype), total = jm_type_bytes(type);
  if (total > UINT32_MAX / 2) return jm_error_unimplemented("an attribute of %zu bytes", total);
  JM_TRY(jm_vhlo_charge(v, total / JM_VHLO_PER_BYTES));
  char *bytes = jm_arena_alloc(&v->m->arena, total + 1, 1);
  if (!bytes) return jm_error_out_of_memory();
  for (size_t i = 0; i < total; i += size)
    memcpy(bytes + i, (const char *)data.bytes + (data.splat ? 0 : i), size);
  out->kind = JM_DICT_DATA;
  out->dtype = type->dtype;
  out->i64 = type->count;
  out->str = (jm_str){bytes, (uint32_t)total};
  return NULL;
}

static jm_error *read_entry(jm_vhlo *v, uint32_t index, jm_dict_entry *out) {
  const jm_wire_attr *attr;
  JM_TRY(jm_bytecode_read_attr(v->b, index, &attr));
  switch (attr->kind) {
    case JM_WIRE_INTEGER:
    case JM_WIRE_FLOAT:
      return read_number(v, attr, out);
    case JM_WIRE_BOOL:
    case JM_WIRE_UNIT:
      out->kind = JM_DICT_BOOL;
      out->i64 = attr->kind == JM_WIRE_UNIT || attr->ints[0];
      return NULL;
    case JM_WIRE_STRING:
      out->kind = JM_DICT_STR;
      out->str.size = attr->n_bytes;
      return jm_vhlo_make_string(v, attr->bytes, attr->n_bytes, &out->str.bytes);
    case JM_WIRE_ARRAY:
    case JM_WIRE_TENSOR:
      return read_list(v, index, out);
    default: {
      jm_text text;
      jm_text_init(&text);
      jm_bytecode_print_attr(v->b, index, &text);
      jm_error *error =
          jm_error_unimplemented("the configuration value %.200s", jm_text_bytes(&text));
      jm_text_deinit(&text);
      return error;
    }
  }
}

jm_error *jm_vhlo_read_config(jm_vhlo *v, const jm_wire_attr *dictionary, jm_dict *out) {
  uint32_t n = dictionary->n_attrs / 2;
  JM_TRY(jm_vhlo_charge(v, n));
  jm_dict_entry *entries = jm_arena_alloc(&v->m->arena, n, sizeof *entries);
  if (!entries) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) {
    const jm_wire_attr *key;
    JM_TRY(jm_bytecode_read_attr(v->b, dictionary->attrs[2 * i], &key));
    if (key->kind != JM_WIRE_STRING) return jm_error_invalid("a configuration's key is no string");
    entries[i].key.size = key->n_bytes;
    JM_TRY(jm_vhlo_make_string(v, key->bytes, key->n_bytes, &entries[i].key.bytes));
    JM_TRY(jm_error_note(read_entry(v, dictionary->attrs[2 * i + 1], &entries[i]),
                         "of configuration %.200s", key->bytes));
  }
  *out = (jm_dict){entries, n};
  return NULL;
}

/* A string is the opaque configuration; a dictionary comes as the property since StableHLO 1.3 and
 * as a discardable attribute from JAX. */
static jm_error *read_configs(jm_vhlo *v, const jm_wire_op *op, jm_custom_call_attrs *attrs) {
  const jm_wire_attr *attr;
  JM_TRY(jm_vhlo_find(v, op, "backend_config", &attr));
  if (attr && attr->kind == JM_WIRE_STRING) {
    attrs->backend_config.size = attr->n_bytes;
    JM_TRY(jm_vhlo_make_string(v, attr->bytes, attr->n_bytes, &attrs->backend_config.bytes));
  } else if (attr && attr->kind == JM_WIRE_DICTIONARY) {
    JM_TRY(jm_vhlo_read_config(v, attr, &attrs->config));
  } else if (attr) {
    return jm_error_unimplemented("a backend_config that is neither a string nor a dictionary");
  }
  JM_TRY(jm_vhlo_find(v, op, "mhlo.backend_config", &attr));
  if (!attr) return NULL;
  if (attr->kind != JM_WIRE_DICTIONARY)
    return jm_error_unimplemented("an mhlo.backend_config that is not a dictionary");
  attrs->api_version = 4; /* JAX writes 1, so that the attribute is let through */
  return jm_vhlo_read_config(v, attr, &attrs->config);
}

/* -- attributes that must have their default */

static jm_error *check_empty(jm_vhlo *v, const jm_wire_op *op, const char *name) {
  const jm_wire_attr *attr;
  JM_TRY(jm_vhlo_find(v, op, name, &attr));
  if (!attr || (attr->kind == JM_WIRE_ARRAY && !attr->n_attrs)) return NULL;
  return jm_error_unimplemented("%s", name);
}

/* -- our own targets, by version */

static const jm_dict_entry *find_entry(const jm_dict *config, const char *key) {
  for (uint32_t i = 0; i < config->n; i++)
    if (!strcmp(config->entries[i].key.bytes, key)) return &config->entries[i];
  return NULL;
}

/* The target's name without its version, which is `v` and digits, as in mps.eigh.v1. A target of
 * ours without a version (mps.callback) must not occur in files. */
static jm_error *read_version(jm_vhlo *v, jm_str *target) {
  static const char newest[] = ".v1";
  enum { SUFFIX = sizeof newest - 1 };
  if (target->size <= SUFFIX || memcmp(target->bytes, "mps.", 4)) return NULL;
  const char *end = strrchr(target->bytes, '.');
  if (end[1] != 'v' || end == target->bytes + 3) return NULL;
  if (strcmp(end, newest))
    return jm_error_unimplemented(
        "this version of a jax-mps-c call: the program comes from a newer release");
  target->size -= SUFFIX;
  return jm_vhlo_make_string(v, target->bytes, target->size, &target->bytes);
}

/* An exported program may not know how many eigenvalues or singular values there are: -1. */
static jm_error *read_range_end(jm_vhlo *v, const jm_type *matrix, jm_dict *config) {
  const jm_dict_entry *high = find_entry(config, "high");
  if (!high || high->kind != JM_DICT_I64 || high->i64 != -1 || matrix->rank < 2) return NULL;
  jm_dict_entry *entries = jm_arena_alloc(&v->m->arena, config->n, sizeof *entries);
  if (!entries) return jm_error_out_of_memory();
  memcpy(entries, config->entries, config->n * sizeof *entries);
  int64_t rows = matrix->dims[matrix->rank - 2], cols = matrix->dims[matrix->rank - 1];
  entries[high - config->entries].i64 = rows < cols ? rows : cols;
  config->entries = entries;
  return NULL;
}

static jm_error *build_call(jm_vhlo *v, const jm_wire_op *op, jm_str target) {
  jm_custom_call_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  const jm_wire_attr *version;
  int64_t effect = 0;
  JM_TRY(read_version(v, &target));
  attrs.target = target;
  JM_TRY(jm_vhlo_find(v, op, "api_version", &version));
  if (version && version->kind == JM_WIRE_ENUM) attrs.api_version = version->ints[0];
  JM_TRY(read_configs(v, op, &attrs));
  JM_TRY(jm_vhlo_i64(v, op, "has_side_effect", &effect));
  attrs.has_side_effect = effect != 0;
  JM_TRY(check_empty(v, op, "called_computations"));
  JM_TRY(check_empty(v, op, "result_tilings"));
  jm_value *operands = NULL;
  JM_TRY(jm_vhlo_operands(v, op, &operands));
  if (v->m->n_partitions > 1) JM_TRY(jm_vhlo_sharding_rule(v, op, operands, &attrs.factors));
  if (op->n_operands && (!strcmp(target.bytes, "mps.eigh") || !strcmp(target.bytes, "mps.svd")))
    JM_TRY(read_range_end(v, jm_vhlo_typeof(v, operands[0]), &attrs.config));
  return jm_vhlo_build_typed_call(v, op, operands, &attrs);
}

/* -- called functions */

jm_error *jm_vhlo_called_function(jm_vhlo *v, const jm_wire_op *op, const jm_wire_attr **out) {
  const jm_wire_attr *called;
  JM_TRY(jm_vhlo_find(v, op, "called_computations", &called));
  if (!called || called->kind != JM_WIRE_ARRAY || called->n_attrs != 1)
    return jm_error_invalid("it does not name one function");
  JM_TRY(jm_bytecode_read_attr(v->b, called->attrs[0], out));
  if ((*out)->kind == JM_WIRE_SYMBOL) JM_TRY(jm_bytecode_read_attr(v->b, (*out)->attrs[0], out));
  return (*out)->kind == JM_WIRE_STRING ? NULL : jm_error_invalid("it does not name one function");
}

/* -- approximate top-k */

/* A sort of values and indices by the called comparator: the exact result that the op approximates.
 */
static jm_error *build_sort(jm_vhlo *v, const jm_wire_op *op, const jm_value *operands,
                            const jm_sort_attrs *attrs, jm_value *out) {
  const jm_wire_attr *name;
  JM_TRY(jm_vhlo_called_function(v, op, &name));
  const jm_type *types[2] = {jm_vhlo_typeof(v, operands[0]), jm_vhlo_typeof(v, operands[1])};
  const jm_op_spec spec = {.code = JM_OP_sort,
                           .operands = operands,
                           .n_operands = 2,
                           .result_types = types,
                           .n_results = 2,
                           .attrs = attrs,
                           .n_regions = 1,
                           .loc = jm_vhlo_location(v, op)};
  jm_op_id id = JM_NONE;
  JM_TRY(jm_build_op(v->m, v->region, &spec, &id));
  *out = v->m->ops[id].first_result;
  jm_region_id outer = v->region;
  v->region = v->m->ops[id].first_region;
  jm_value args[4], *results = NULL;
  for (uint32_t i = 0; i < 4; i++) {
    const jm_type *scalar = NULL;
    JM_TRY(jm_module_type(v->m, types[i / 2]->dtype, 0, NULL, &scalar));
    JM_TRY(jm_build_arg(v->m, v->region, scalar, &args[i]));
  }
  JM_TRY(jm_vhlo_inline_function(v, name->bytes, name->n_bytes, args, 4, 1, &results));
  if (results[0] & JM_VHLO_TUPLE) return jm_error_invalid("the comparator returns a tuple");
  JM_TRY(jm_build_results(v->m, v->region, results, 1));
  v->region = outer;
  return NULL;
}

static jm_error *slice_first(jm_vhlo *v, const jm_wire_op *op, uint32_t i, jm_value sorted) {
  const jm_type *type = NULL, *from = jm_vhlo_typeof(v, sorted);
  JM_TRY(jm_vhlo_result_type(v, op, i, &type));
  if (type->rank != from->rank) return jm_error_invalid("result %u has another rank", i);
  int64_t *start = NULL, *stride = NULL;
  JM_TRY(jm_vhlo_make_list(v, type->rank, &start));
  JM_TRY(jm_vhlo_make_list(v, type->rank, &stride));
  for (uint32_t k = 0; k < type->rank; k++) stride[k] = 1;
  jm_slice_attrs attrs = {.start = {start, type->rank},
                          .limit = {type->dims, type->rank},
                          .stride = {stride, type->rank}};
  jm_value value = JM_NONE;
  JM_TRY(jm_vhlo_emit(v, op, JM_OP_slice, &sorted, 1, &attrs, type, &value));
  jm_vhlo_define(v, op, i, value);
  return NULL;
}

/* operands: values, indices, initial value and index; the first are kept in sorted order */
static jm_error *read_approx_top_k(jm_vhlo *v, const jm_wire_op *op) {
  jm_custom_call_attrs attrs;
  memset(&attrs, 0, sizeof attrs);
  jm_value *operands = NULL, sorted = JM_NONE;
  if (op->n_operands != 4 || op->n_results != 2)
    return jm_error_unimplemented("ApproxTopK of %u operands", op->n_operands);
  JM_TRY(read_configs(v, op, &attrs));
  const jm_dict_entry *dim = find_entry(&attrs.config, "reduction_dim");
  JM_TRY(jm_vhlo_operands(v, op, &operands));
  if (!dim || dim->kind != JM_DICT_I64 || dim->i64 < 0 ||
      dim->i64 >= jm_vhlo_typeof(v, operands[0])->rank)
    return jm_error_invalid("ApproxTopK without a reduction_dim");
  jm_sort_attrs sort = {.dim = dim->i64, .stable = true};
  JM_TRY(build_sort(v, op, operands, &sort, &sorted));
  JM_TRY(slice_first(v, op, 0, sorted));
  return slice_first(v, op, 1, sorted + 1);
}

/* -- the rule */

/* It keeps its operands alive (dce_sink), or asks for an order of what computes them, which has no
 * effect on values (control_dep). */
static jm_error *read_sink(jm_vhlo *v, const jm_wire_op *op) {
  (void)v;
  return op->n_results ? jm_error_invalid("it has results") : NULL;
}

/* Targets with a rule of their own; a call of another is a custom_call of the IR. */
static const struct {
  const char *target;
  jm_vhlo_rule *on_one, *on_several; /* devices */
} known[] = {
    {"Sharding", jm_vhlo_read_identity, jm_vhlo_read_sharding_call},
    {"SPMDFullToShardShape", jm_vhlo_read_identity, jm_vhlo_read_full_to_shard},
    {"SPMDShardToFullShape", jm_vhlo_read_identity, jm_vhlo_read_shard_to_full},
    {"LayoutConstraint", jm_vhlo_read_identity, jm_vhlo_read_identity},
    {"annotate_device_placement", jm_vhlo_read_identity, jm_vhlo_read_identity},
    {"dce_sink", read_sink, read_sink},
    {"control_dep", read_sink, read_sink},
    {"ApproxTopK", read_approx_top_k, read_approx_top_k},
    {"all-gather-start", jm_vhlo_read_async_start, jm_vhlo_read_async_start},
    {"all-reduce-start", jm_vhlo_read_async_start, jm_vhlo_read_async_start},
    {"all-to-all-start", jm_vhlo_read_async_start, jm_vhlo_read_async_start},
    {"collective-permute-start", jm_vhlo_read_async_start, jm_vhlo_read_async_start},
    {"reduce-scatter-start", jm_vhlo_read_async_start, jm_vhlo_read_async_start},
    {"all-gather-done", jm_vhlo_read_identity, jm_vhlo_read_identity},
    {"all-reduce-done", jm_vhlo_read_identity, jm_vhlo_read_identity},
    {"all-to-all-done", jm_vhlo_read_identity, jm_vhlo_read_identity},
    {"collective-permute-done", jm_vhlo_read_identity, jm_vhlo_read_identity},
    {"reduce-scatter-done", jm_vhlo_read_identity, jm_vhlo_read_identity},
};

jm_error *jm_vhlo_read_custom_call(jm_vhlo *v, const jm_wire_op *op) {
  jm_str target = {0};
  JM_TRY(jm_vhlo_string(v, op, "call_target_name", &target));
  if (op->n_regions) return jm_error_invalid("it has regions");
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (!strcmp(known[i].target, target.bytes))
      return (v->m->n_partitions == 1 ? known[i].on_one : known[i].on_several)(v, op);
  bool done = false;
  JM_TRY(jm_vhlo_read_mhlo_call(v, op, target.bytes, &done));
  if (done) return NULL;
  return jm_error_note(build_call(v, op, target), "in the custom call of '%.200s'", target.bytes);
}
