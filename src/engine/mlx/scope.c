/* SPDX-License-Identifier: Apache-2.0
 * The functions with which lowerings are written: primitives with a sticky error, and the arrays'
 * scope. */
#include <string.h>

#include "base/convert.h"
#include "base/hash.h"
#include "engine/mlx/lower.h"

jm_mlx_array *jm_lower_keep(jm_lowering *l, jm_mlx_array *a) {
  if (!a) return NULL;
  if (l->n_scope == l->scope_capacity) {
    uint32_t capacity = l->scope_capacity ? l->scope_capacity * 2 : 32;
    jm_mlx_array **scope = jm_realloc(l->scope, capacity, sizeof *scope);
    if (!scope) {
      l->api->array_release(a);
      if (!l->error) l->error = jm_error_out_of_memory();
      return NULL;
    }
    l->scope = scope;
    l->scope_capacity = capacity;
  }
  return l->scope[l->n_scope++] = a;
}

#define CALL(call)             \
  jm_mlx_array *result = NULL; \
  if (l->error) return NULL;   \
  l->n_calls++;                \
  l->error = l->api->call;     \
  return l->error ? NULL : jm_lower_keep(l, result);

#define PRIM1(name, function) \
  jm_mlx_array *jm_mlx_##name(jm_lowering *l, jm_mlx_array *a) { CALL(name(a, &result)) }
#define PRIM2(name, function)                                                     \
  jm_mlx_array *jm_mlx_##name(jm_lowering *l, jm_mlx_array *a, jm_mlx_array *b) { \
    CALL(name(a, b, &result))                                                     \
  }
#define PRIM_AXES(name, function)                                                            \
  jm_mlx_array *jm_mlx_##name(jm_lowering *l, jm_mlx_array *a, const int32_t *axes, int n) { \
    CALL(name(a, axes, n, &result))                                                          \
  }
#define PRIM_AXIS(name, function)                                          \
  jm_mlx_array *jm_mlx_##name(jm_lowering *l, jm_mlx_array *a, int axis) { \
    CALL(name(a, axis, &result))                                           \
  }
#define PRIM(name, parameters, arguments)                              \
  jm_mlx_array *jm_mlx_##name(jm_lowering *l, JM_UNPAREN parameters) { \
    CALL(name(&result, JM_UNPAREN arguments))                          \
  }
#include "engine/mlx/prims.def"

static bool dtype_supported(jm_dtype dtype) {
  const jm_dtype_fact *fact = &jm_dtype_facts[dtype];
  switch (fact->kind) {
    case JM_CLASS_PRED:
      return true;
    case JM_CLASS_SINT:
    case JM_CLASS_UINT:
      return fact->bits >= 8;
    case JM_CLASS_FLOAT:
      return fact->bits == 16 || fact->bits == 32;
    case JM_CLASS_COMPLEX:
      return fact->bits == 64;
    case JM_CLASS_TOKEN:
      break;
  }
  return false;
}

bool jm_lower_type_supported(const jm_type *type) {
  if (!dtype_supported(type->dtype) || !type->count || type->rank > JM_RANK_MAX) return false;
  for (uint32_t i = 0; i < type->rank; i++)
    if (type->dims[i] > INT32_MAX) return false;
  return true;
}

jm_error *jm_lower_import(const jm_mlx_api *api, const jm_type *type, const void *data,
                          jm_mlx_array **out) {
  int32_t shape[JM_RANK_MAX];
  if (!jm_lower_type_supported(type))
    return jm_error_unimplemented("MLX has no arrays of %s with %u dimensions and %lld elements",
                                  jm_dtype_name(type->dtype), type->rank, (long long)type->count);
  for (uint32_t i = 0; i < type->rank; i++) shape[i] = (int32_t)type->dims[i];
  return api->array_import(type->dtype, shape, (int)type->rank, data, out);
}

static jm_mlx_array *import(jm_lowering *l, const jm_type *type, const void *data) {
  jm_mlx_array *result = NULL;
  if (!l->error) l->error = jm_lower_import(l->api, type, data, &result);
  return l->error ? NULL : result;
}

jm_mlx_array *jm_lower_array(jm_lowering *l, uint32_t i) {
  jm_lower_operand *operand = &l->in[i];
  /* The operand's value keeps the uploaded array; the scope does not. */
  if (!operand->array) operand->array = import(l, operand->type, operand->host);
  return operand->array;
}

void jm_lower_scalars_release(const jm_mlx_api *api, jm_lower_scalars *scalars) {
  for (int i = 0; i < JM_LOWER_SCALARS; i++) api->array_release(scalars->slots[i].array);
  *scalars = (jm_lower_scalars){0};
}

/* MLX holds elements of at most 8 bytes. */
jm_mlx_array *jm_lower_scalar(jm_lowering *l, jm_dtype dtype, const void *bytes) {
  const jm_type type = {.dtype = dtype, .count = 1};
  uint64_t bits = 0;
  if (l->error) return NULL;
  memcpy(&bits, bytes, jm_dtype_bytes(dtype));
  uint32_t at = (uint32_t)(jm_hash_mix(dtype, bits) >> 32) % JM_LOWER_SCALARS;
  if (!l->scalars->slots[at].array || l->scalars->slots[at].bits != bits ||
      l->scalars->slots[at].dtype != dtype) {
    jm_mlx_array *array = import(l, &type, bytes);
    if (!array) return NULL;
    l->api->array_release(l->scalars->slots[at].array);
    l->scalars->slots[at].dtype = dtype;
    l->scalars->slots[at].bits = bits;
    l->scalars->slots[at].array = array;
  }
  return jm_lower_keep(l, l->api->array_retain(l->scalars->slots[at].array));
}

static jm_mlx_array *scalar(jm_lowering *l, jm_dtype from, jm_dtype to, const void *value) {
  char bytes[16];
  if (!l->error) l->error = jm_convert_run(from, to, value, bytes, 1);
  return l->error ? NULL : jm_lower_scalar(l, to, bytes);
}

jm_mlx_array *jm_lower_f64(jm_lowering *l, jm_dtype dtype, double value) {
  return scalar(l, JM_DT_f64, dtype, &value);
}

jm_mlx_array *jm_lower_i64(jm_lowering *l, jm_dtype dtype, int64_t value) {
  return scalar(l, JM_DT_s64, dtype, &value);
}
