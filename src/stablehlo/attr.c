/* SPDX-License-Identifier: Apache-2.0
 * Types, attributes and constants of the wire as those of the IR. */
#include <inttypes.h>
#include <string.h>

#include "stablehlo/reader.h"

/* -- types */

static jm_error *unsupported_type(jm_vhlo *v, uint32_t type, const char *what) {
  jm_text text;
  jm_text_init(&text);
  jm_bytecode_print_type(v->b, type, &text);
  jm_error *error = jm_error_unimplemented("%s: %s", what, jm_text_bytes(&text));
  jm_text_deinit(&text);
  return error;
}

static jm_error *element_type(jm_vhlo *v, uint32_t tensor, uint32_t element, jm_dtype *out) {
  const jm_wire_type *type, *part;
  JM_TRY(jm_bytecode_read_type(v->b, element, &type));
  if (type->kind == JM_WIRE_T_SCALAR && type->dtype != JM_DT_token) {
    *out = type->dtype;
    return NULL;
  }
  if (type->kind == JM_WIRE_T_QUANTIZED)
    return unsupported_type(v, tensor, "quantized types are not supported");
  if (type->kind == JM_WIRE_T_COMPLEX) {
    JM_TRY(jm_bytecode_read_type(v->b, type->types[0], &part));
    if (part->kind == JM_WIRE_T_SCALAR && (part->dtype == JM_DT_f32 || part->dtype == JM_DT_f64)) {
      *out = part->dtype == JM_DT_f32 ? JM_DT_c64 : JM_DT_c128;
      return NULL;
    }
  }
  return unsupported_type(v, tensor, "the element type is not supported");
}

/* The ops inside a vhlo.async_start_v1 run where it stands, so its future is the value itself. */
static jm_error *future_type(jm_vhlo *v, uint32_t index, const jm_wire_type *future,
                             const jm_type **out) {
  const jm_wire_type *type;
  if (future->n_types != 1)
    return unsupported_type(v, index, "futures of several values are not supported");
  JM_TRY(jm_bytecode_read_type(v->b, future->types[0], &type));
  if (type->kind != JM_WIRE_T_TENSOR)
    return unsupported_type(v, index, "a future of another type than a tensor is not supported");
  return jm_vhlo_type(v, future->types[0], out);
}

static jm_error *make_type(jm_vhlo *v, uint32_t index, const jm_type **out) {
  const jm_wire_type *type;
  JM_TRY(jm_bytecode_read_type(v->b, index, &type));
  switch (type->kind) {
    case JM_WIRE_T_SCALAR:
      if (type->dtype == JM_DT_token) return jm_module_type(v->m, JM_DT_token, 0, NULL, out);
      return unsupported_type(v, index, "expected a tensor type");
    case JM_WIRE_T_TENSOR:
      break;
    case JM_WIRE_T_UNRANKED:
      return unsupported_type(v, index, "unranked types are not supported");
    case JM_WIRE_T_TUPLE:
      return unsupported_type(v, index, "tuples are not supported across calls and regions");
    case JM_WIRE_T_BUFFER:
      return unsupported_type(v, index, "buffer types are not supported");
    case JM_WIRE_T_FUTURE:
      return future_type(v, index, type, out);
    case JM_WIRE_T_QUANTIZED:
      return unsupported_type(v, index, "quantized types are not supported");
    default:
      return unsupported_type(v, index, "the type is not supported");
  }
  if (type->n_ints > JM_RANK_MAX)
    return jm_error_unimplemented("a tensor of rank %u; the limit is %d", type->n_ints,
                                  JM_RANK_MAX);
  for (uint32_t i = 0; i < type->n_ints; i++)
    if (type->ints[i] == JM_WIRE_DYNAMIC)
      return unsupported_type(v, index, "dynamic dimensions are not supported");
  if (type->encoding != JM_WIRE_NONE)
    return unsupported_type(v, index, "tensor encodings are not supported");
  jm_dtype dtype = JM_DT_pred;
  JM_TRY(element_type(v, index, type->types[0], &dtype));
  return jm_module_type(v->m, dtype, type->n_ints, type->ints, out);
}

jm_error *jm_vhlo_type(jm_vhlo *v, uint32_t index, const jm_type **out) {
  if (!v->types[index]) JM_TRY(make_type(v, index, &v->types[index]));
  *out = v->types[index];
  return NULL;
}

jm_error *jm_vhlo_result_type(jm_vhlo *v, const jm_wire_op *op, uint32_t i, const jm_type **out) {
  return jm_vhlo_type(v, op->types[i], out);
}

/* -- attributes */

jm_error *jm_vhlo_find(jm_vhlo *v, const jm_wire_op *op, const char *name,
                       const jm_wire_attr **out) {
  uint32_t index;
  *out = NULL;
  JM_TRY(jm_bytecode_find_attr(v->b, op, name, &index));
  return index == JM_WIRE_NONE ? NULL : jm_bytecode_read_attr(v->b, index, out);
}

static jm_error *wrong_attr(const char *name, const char *expected) {
  return jm_error_invalid("attribute %s is not %s", name, expected);
}

jm_error *jm_vhlo_i64(jm_vhlo *v, const jm_wire_op *op, const char *name, int64_t *out) {
  const jm_wire_attr *attr;
  JM_TRY(jm_vhlo_find(v, op, name, &attr));
  if (!attr || (attr->kind != JM_WIRE_INTEGER && attr->kind != JM_WIRE_BOOL))
    return wrong_attr(name, "an integer");
  *out = attr->ints[0];
  return NULL;
}

jm_error *jm_vhlo_make_string(jm_vhlo *v, const char *bytes, uint32_t size, const char **out) {
  JM_TRY(jm_vhlo_charge(v, size / JM_VHLO_PER_BYTES));
  *out = jm_arena_string(&v->m->arena, bytes, size);
  return *out ? NULL : jm_error_out_of_memory();
}

jm_error *jm_vhlo_string(jm_vhlo *v, const jm_wire_op *op, const char *name, jm_str *out) {
  const jm_wire_attr *attr;
  JM_TRY(jm_vhlo_find(v, op, name, &attr));
  if (attr && attr->kind == JM_WIRE_SYMBOL)
    JM_TRY(jm_bytecode_read_attr(v->b, attr->attrs[0], &attr));
  if (!attr || attr->kind != JM_WIRE_STRING) return wrong_attr(name, "a string");
  out->size = attr->n_bytes;
  return jm_vhlo_make_string(v, attr->bytes, attr->n_bytes, &out->bytes);
}

jm_error *jm_vhlo_i64s(jm_vhlo *v, const jm_wire_op *op, const char *name, jm_i64s *out) {
  uint32_t index;
  JM_TRY(jm_bytecode_find_attr(v->b, op, name, &index));
  if (index == JM_WIRE_NONE) return wrong_attr(name, "a list of integers");
  return jm_error_note(jm_vhlo_list(v, index, out), "in attribute %s", name);
}

jm_error *jm_vhlo_make_list(jm_vhlo *v, uint32_t n, int64_t **out) {
  JM_TRY(jm_vhlo_charge(v, n / JM_VHLO_PER_ITEMS));
  *out = jm_arena_alloc(&v->m->arena, n, sizeof **out);
  return *out ? NULL : jm_error_out_of_memory();
}

static int64_t load_integer(const void *bytes, jm_dtype dtype, size_t i) {
  switch (dtype) {
    case JM_DT_pred:
    case JM_DT_u2:
    case JM_DT_u4:
    case JM_DT_u8:
      return ((const uint8_t *)bytes)[i];
    case JM_DT_s2:
    case JM_DT_s4:
    case JM_DT_s8:
      return ((const int8_t *)bytes)[i];
    case JM_DT_s16:
      return ((const int16_t *)bytes)[i];
    case JM_DT_u16:
      return ((const uint16_t *)bytes)[i];
    case JM_DT_s32:
      return ((const int32_t *)bytes)[i];
    case JM_DT_u32:
      return ((const uint32_t *)bytes)[i];
    default:
      return ((const int64_t *)bytes)[i];
  }
}

static jm_error *list_of_array(jm_vhlo *v, const jm_wire_attr *array, jm_i64s *out) {
  int64_t *list;
  JM_TRY(jm_vhlo_make_list(v, array->n_attrs, &list));
  for (uint32_t i = 0; i < array->n_attrs; i++) {
    const jm_wire_attr *item;
    JM_TRY(jm_bytecode_read_attr(v->b, array->attrs[i], &item));
    if (item->kind != JM_WIRE_INTEGER && item->kind != JM_WIRE_BOOL)
      return jm_error_invalid("expected a list of integers");
    list[i] = item->ints[0];
  }
  *out = (jm_i64s){list, array->n_attrs};
  return NULL;
}

jm_error *jm_vhlo_list(jm_vhlo *v, uint32_t index, jm_i64s *out) {
  enum { MAX_LIST = 1 << 20 }; /* a splat is short on the wire, whatever its length */
  *out = v->lists[index];
  if (out->data) return NULL;
  const jm_wire_attr *attr;
  JM_TRY(jm_bytecode_read_attr(v->b, index, &attr));
  if (attr->kind == JM_WIRE_ARRAY) {
    JM_TRY(list_of_array(v, attr, out));
  } else if (attr->kind == JM_WIRE_TENSOR) {
    const jm_type *type;
    jm_data data;
    JM_TRY(jm_vhlo_data(v, index, &type, &data));
    if (!jm_dtype_is_integer(type->dtype) && type->dtype != JM_DT_pred)
      return jm_error_invalid("expected integers, not %s", jm_dtype_name(type->dtype));
    if (type->count > MAX_LIST)
      return jm_error_unimplemented("a list of %" PRId64 " integers", type->count);
    int64_t *list;
    JM_TRY(jm_vhlo_make_list(v, (uint32_t)type->count, &list));
    for (int64_t i = 0; i < type->count; i++)
      list[i] = load_integer(data.bytes, type->dtype, data.splat ? 0 : (size_t)i);
    *out = (jm_i64s){list, (uint32_t)type->count};
  } else {
    return jm_error_invalid("expected a list of integers");
  }
  v->lists[index] = *out;
  return NULL;
}

jm_error *jm_vhlo_constant_operand(jm_vhlo *v, const jm_wire_op *op, uint32_t i, jm_i64s *out) {
  enum { MAX_LIST = 256 };
  jm_value value = JM_NONE;
  if (i >= op->n_operands) return jm_error_invalid("it has %u operands", op->n_operands);
  JM_TRY(jm_vhlo_operand(v, op, i, &value));
  const jm_op *constant = jm_module_definition(v->m, value);
  const jm_type *type = jm_vhlo_typeof(v, value);
  if (!constant || constant->code != JM_OP_constant)
    return jm_error_unimplemented("operand %u is computed at run time", i);
  if ((!jm_dtype_is_integer(type->dtype) && type->dtype != JM_DT_pred) || type->count > MAX_LIST)
    return jm_error_invalid("operand %u is not a list of integers", i);
  const jm_data *data = &((const jm_constant_attrs *)constant->attrs)->value;
  int64_t *list = NULL;
  JM_TRY(jm_vhlo_make_list(v, (uint32_t)type->count, &list));
  for (int64_t k = 0; k < type->count; k++)
    list[k] = load_integer(data->bytes, type->dtype, data->splat ? 0 : (size_t)k);
  *out = (jm_i64s){list, (uint32_t)type->count};
  return NULL;
}

/* -- constants */

/* One byte per element: sign extension, and no bits beyond the width. */
static void copy_narrow(uint8_t *to, const uint8_t *from, size_t n, jm_dtype dtype) {
  unsigned unused = 8u - jm_dtype_facts[dtype].bits;
  if (jm_dtype_classof(dtype) == JM_CLASS_SINT)
    for (size_t i = 0; i < n; i++)
      to[i] = (uint8_t)((int8_t)(uint8_t)(from[i] << unused) >> unused);
  else
    for (size_t i = 0; i < n; i++) to[i] = (uint8_t)((uint8_t)(from[i] << unused) >> unused);
}

static jm_error *allocate_data(jm_vhlo *v, size_t n, uint8_t **out) {
  size_t size;
  if (!jm_size_add(n, JM_DATA_ALIGNMENT, &size)) return jm_error_out_of_memory();
  uint8_t *block = jm_arena_alloc(&v->m->arena, size, 1);
  if (!block) return jm_error_out_of_memory();
  *out = block + (0 - (uintptr_t)block) % JM_DATA_ALIGNMENT;
  return NULL;
}

/* pred: packed bits, the lowest first; or a byte per element, as old versions wrote; or one byte
 * for a splat, 0xFF for true. */
static jm_error *read_preds(jm_vhlo *v, const jm_wire_attr *attr, size_t n, jm_data *out) {
  const uint8_t *from = (const uint8_t *)attr->bytes;
  size_t size = attr->n_bytes;
  uint8_t *to = NULL;
  bool packed = size == n / 8 + (n % 8 != 0) && size != n;
  out->splat = size == 1 && n != 1 && (from[0] == 0xFF || from[0] == 0 || !packed);
  if (!out->splat && !packed && size != n)
    return jm_error_invalid("a constant of %zu preds has %zu bytes", n, size);
  JM_TRY(allocate_data(v, out->splat ? 1 : n, &to));
  out->bytes = to;
  if (out->splat)
    to[0] = from[0] != 0;
  else
    for (size_t i = 0; i < n; i++) to[i] = packed ? from[i / 8] >> i % 8 & 1 : from[i] != 0;
  return NULL;
}

static jm_error *read_elements(jm_vhlo *v, const jm_wire_attr *attr, const jm_type *type,
                               jm_data *out) {
  if (type->dtype == JM_DT_pred) return read_preds(v, attr, (size_t)type->count, out);
  size_t each = jm_dtype_bytes(type->dtype);
  out->splat = attr->n_bytes == each && type->count != 1;
  if (!out->splat && attr->n_bytes != jm_type_bytes(type))
    return jm_error_invalid("a constant of %zu bytes has %u", jm_type_bytes(type), attr->n_bytes);
  uint8_t *to = NULL;
  JM_TRY(allocate_data(v, attr->n_bytes, &to));
  if (jm_dtype_facts[type->dtype].bits < 8)
    copy_narrow(to, (const uint8_t *)attr->bytes, attr->n_bytes, type->dtype);
  else if (attr->n_bytes)
    memcpy(to, attr->bytes, attr->n_bytes);
  out->bytes = to;
  return NULL;
}

jm_error *jm_vhlo_data(jm_vhlo *v, uint32_t index, const jm_type **type, jm_data *out) {
  const jm_wire_attr *attr;
  JM_TRY(jm_bytecode_read_attr(v->b, index, &attr));
  if (attr->kind != JM_WIRE_TENSOR)
    return jm_error_invalid("a constant's value is not a dense tensor");
  JM_TRY(jm_vhlo_type(v, attr->type, type));
  if (!v->data[index].bytes) JM_TRY(read_elements(v, attr, *type, &v->data[index]));
  *out = v->data[index];
  return NULL;
}
