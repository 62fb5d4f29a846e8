/* SPDX-License-Identifier: Apache-2.0
 * The functions with which lowerings are written: primitives with a sticky error, and the arrays'
 * scope. */
#include <string.h>

#include "base/convert.h"
#include "base/hash.h"
#include "engine/mlx/kernels.h"
#include "engine/mlx/lower_rules.h"

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

#define CALL(name, arguments)                           \
  jm_mlx_array *result = NULL;                          \
  if (l->error) return NULL;                            \
  l->n_calls++;                                         \
  if (l->calls) jm_text_printf(l->calls, " %s", #name); \
  l->error = l->api->name arguments;                    \
  return l->error ? NULL : jm_lower_keep(l, result);

#define PRIM1(name, function) \
  jm_mlx_array *jm_mlx_##name(jm_lowering *l, jm_mlx_array *a) { CALL(name, (a, &result)) }
#define PRIM2(name, function)                                                     \
  jm_mlx_array *jm_mlx_##name(jm_lowering *l, jm_mlx_array *a, jm_mlx_array *b) { \
    CALL(name, (a, b, &result))                                                   \
  }
#define PRIM_AXES(name, function)                                                            \
  jm_mlx_array *jm_mlx_##name(jm_lowering *l, jm_mlx_array *a, const int32_t *axes, int n) { \
    CALL(name, (a, axes, n, &result))                                                        \
  }
#define PRIM_AXIS(name, function)                                          \
  jm_mlx_array *jm_mlx_##name(jm_lowering *l, jm_mlx_array *a, int axis) { \
    CALL(name, (a, axis, &result))                                         \
  }
#define PRIM(name, parameters, arguments)                              \
  jm_mlx_array *jm_mlx_##name(jm_lowering *l, JM_UNPAREN parameters) { \
    CALL(name, (&result, JM_UNPAREN arguments))                        \
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

jm_mlx_array *jm_lower_elements(jm_lowering *l, uint32_t i) {
  jm_lower_operand *operand = &l->in[i];
  if (operand->array) return operand->array;
  /* The uploaded array goes to the operand's value, which keeps it: not to the scope. */
  if (operand->type->count == 1 && jm_dtype_bytes(operand->type->dtype) <= sizeof(uint64_t)) {
    jm_mlx_array *scalar = jm_lower_scalar(l, operand->type->dtype, operand->host);
    operand->array = scalar ? l->api->array_retain(scalar) : NULL;
  } else {
    operand->array = import(l, operand->type, operand->host);
  }
  return operand->array;
}

jm_mlx_array *jm_lower_shaped(jm_lowering *l, uint32_t i, const int64_t *dims, uint32_t rank) {
  jm_mlx_array *a = jm_lower_elements(l, i);
  if (!a || l->error || l->api->array_has_shape(a, dims, rank)) return a;
  jm_mlx_kernels_shape(l->kernels, l->op->operands[i], dims, rank);
  return jm_mlx_reshape(l, a, jm_lower_ints(l, dims, rank), (int)rank);
}

jm_mlx_array *jm_lower_array(jm_lowering *l, uint32_t i) {
  const jm_type *type = jm_lower_type(l, i);
  return jm_lower_shaped(l, i, type->dims, type->rank);
}

void jm_lower_scalars_release(const jm_mlx_api *api, jm_lower_scalars *scalars) {
  for (int i = 0; scalars->slots && i < JM_LOWER_SCALARS; i++)
    api->array_release(scalars->slots[i].array);
  jm_free(scalars->slots);
  *scalars = (jm_lower_scalars){0};
}

/* The scalar's slot, a free one, or the one that it takes over. */
static jm_lower_scalar_slot *scalar_slot(jm_lower_scalars *scalars, jm_dtype dtype, uint64_t bits) {
  const uint32_t first = (uint32_t)(jm_hash_mix(dtype, bits) >> 32);
  for (uint32_t i = 0; i < JM_LOWER_PROBES; i++) {
    jm_lower_scalar_slot *slot = &scalars->slots[(first + i) % JM_LOWER_SCALARS];
    if (!slot->array || (slot->bits == bits && slot->dtype == dtype)) return slot;
  }
  return &scalars->slots[first % JM_LOWER_SCALARS];
}

/* MLX holds elements of at most 8 bytes. */
jm_mlx_array *jm_lower_scalar(jm_lowering *l, jm_dtype dtype, const void *bytes) {
  const jm_type type = {.dtype = dtype, .count = 1};
  uint64_t bits = 0;
  if (l->error) return NULL;
  memcpy(&bits, bytes, jm_dtype_bytes(dtype));
  if (!l->scalars->slots) l->scalars->slots = jm_alloc(JM_LOWER_SCALARS, sizeof *l->scalars->slots);
  if (!l->scalars->slots) {
    jm_lower_fail(l, jm_error_out_of_memory());
    return NULL;
  }
  jm_lower_scalar_slot *slot = scalar_slot(l->scalars, dtype, bits);
  if (!slot->array || slot->bits != bits || slot->dtype != dtype) {
    jm_mlx_array *array = import(l, &type, bytes);
    if (!array) return NULL;
    l->api->array_release(slot->array);
    *slot = (jm_lower_scalar_slot){dtype, bits, array};
  }
  return jm_lower_keep(l, l->api->array_retain(slot->array));
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
