/* SPDX-License-Identifier: Apache-2.0
 * Shardings as the text of the attribute mhlo.sharding, which JAX sends where it does not use sdy:
 *
 *   {replicated}  {maximal device=0}  {manual}
 *   {devices=[4,1,2]0,1,2,3,4,5,6,7 last_tile_dim_replicate}    V1 lists the devices
 *   {devices=[4,1,2]<=[2,4]T(1,0) last_tile_dim_replicate}      V2 numbers, reshapes, transposes
 *
 * Tiles are numbered row-major; what follows the array's own dimensions is of devices with equal
 * parts. */
#include <stdlib.h>
#include <string.h>

#include "stablehlo/reader.h"

enum { MOST_DIMS = JM_RANK_MAX + 4 };

typedef struct scanner {
  const char *at; /* NUL-terminated */
} scanner;

static bool accept(scanner *s, const char *text) {
  while (*s->at == ' ') s->at++;
  const size_t size = strlen(text);
  if (strncmp(s->at, text, size) != 0) return false;
  s->at += size;
  return true;
}

static jm_error *malformed(const scanner *s) {
  return jm_error_invalid("a malformed mhlo.sharding at '%.40s'", s->at);
}

/* Numbers with commas between, of which there are at most `most`. */
static jm_error *scan_list(scanner *s, int64_t *out, uint32_t most, uint32_t *n) {
  *n = 0;
  do {
    if (*s->at < '0' || *s->at > '9' || *n == most) return malformed(s);
    char *end;
    out[(*n)++] = strtoll(s->at, &end, 10);
    s->at = end;
  } while (accept(s, ","));
  return NULL;
}

/* <=[2,4]T(1,0): device ids are counted in the shape [2,4], whose dimensions are then permuted. */
static jm_error *scan_iota(scanner *s, int64_t *ids, uint32_t n_devices) {
  int64_t sizes[MOST_DIMS], order[MOST_DIMS];
  uint32_t n, n_order = 0;
  JM_TRY(scan_list(s, sizes, MOST_DIMS, &n));
  if (!accept(s, "]")) return malformed(s);
  if (accept(s, "T(")) {
    JM_TRY(scan_list(s, order, MOST_DIMS, &n_order));
    if (n_order != n || !accept(s, ")")) return malformed(s);
  }
  return jm_sharding_number_devices((jm_i64s){sizes, n}, (jm_i64s){order, n_order}, n_devices, ids);
}

static jm_error *scan_devices(jm_vhlo *v, scanner *s, uint32_t rank, const jm_sharding **out) {
  const uint32_t n_devices = v->m->n_partitions;
  int64_t tiles[MOST_DIMS], *ids;
  uint32_t n, n_ids = n_devices;
  if (!accept(s, "[")) return malformed(s);
  JM_TRY(scan_list(s, tiles, MOST_DIMS, &n));
  if (!accept(s, "]") || n < rank) return malformed(s);
  JM_TRY(jm_vhlo_charge(v, n_devices / JM_VHLO_PER_ITEMS));
  JM_TRY(jm_vhlo_make_list(v, n_devices, &ids));
  if (accept(s, "<=["))
    JM_TRY(scan_iota(s, ids, n_devices));
  else
    JM_TRY(scan_list(s, ids, n_devices, &n_ids));
  if (n_ids != n_devices) return malformed(s);
  return jm_sharding_from_tiles(&v->m->arena, (jm_i64s){tiles, n}, (jm_i64s){ids, n_devices}, rank,
                                n_devices, out);
}

jm_error *jm_vhlo_text_sharding(jm_vhlo *v, const char *text, uint32_t rank, bool *manual,
                                const jm_sharding **out) {
  scanner s = {text};
  *out = NULL;
  *manual = strstr(text, "manual") != NULL;
  if (!accept(&s, "{")) return malformed(&s);
  if (accept(&s, "replicated") || accept(&s, "manual")) return NULL;
  if (accept(&s, "maximal")) return jm_error_unimplemented("a sharding onto one device of several");
  return accept(&s, "devices=") ? scan_devices(v, &s, rank, out) : malformed(&s);
}

/* -- custom calls, which are what JAX sends for constraints and bodies written per device */

static jm_error *find_sharding(jm_vhlo *v, const jm_wire_op *op, const jm_type *type, bool *manual,
                               const jm_sharding **out) {
  const jm_wire_attr *attr;
  const char *text;
  JM_TRY(jm_vhlo_find(v, op, "mhlo.sharding", &attr));
  if (!attr || attr->kind != JM_WIRE_STRING) return jm_error_invalid("it has no mhlo.sharding");
  JM_TRY(jm_vhlo_make_string(v, attr->bytes, attr->n_bytes, &text));
  return jm_vhlo_text_sharding(v, text, type->rank, manual, out);
}

/* unspecified_dims=[0,2] in the call's configuration: dimensions that are left to propagation. */
static jm_error *find_open(jm_vhlo *v, const jm_wire_op *op, uint32_t rank, jm_i64s *out) {
  static const char key[] = "unspecified_dims=[";
  const jm_wire_attr *attr;
  const char *text;
  int64_t *list;
  JM_TRY(jm_vhlo_find(v, op, "backend_config", &attr));
  if (!attr || attr->kind != JM_WIRE_STRING || !attr->n_bytes) return NULL;
  JM_TRY(jm_vhlo_make_string(v, attr->bytes, attr->n_bytes, &text));
  const char *at = strstr(text, key);
  if (!at) return NULL;
  scanner s = {at + sizeof key - 1};
  JM_TRY(jm_vhlo_make_list(v, rank, &list));
  *out = (jm_i64s){list, 0};
  return scan_list(&s, list, rank, &out->n);
}

/* In a body written per device nothing is divided further. */
jm_error *jm_vhlo_read_sharding_call(jm_vhlo *v, const jm_wire_op *op) {
  jm_sharding_constraint_attrs attrs = {.open = {0}};
  const jm_sharding *sharding;
  bool manual;
  jm_value value = JM_NONE;
  JM_TRY(jm_vhlo_arity(op, 1, 1, 0));
  JM_TRY(jm_vhlo_operand(v, op, 0, &value));
  const jm_type *type = jm_vhlo_typeof(v, value);
  JM_TRY(find_sharding(v, op, type, &manual, &sharding));
  if (manual || v->manual_depth) return jm_vhlo_read_identity(v, op);
  JM_TRY(find_open(v, op, type->rank, &attrs.open));
  JM_TRY(jm_sharding_encode(&v->m->arena, sharding, &attrs.parts, &attrs.ids));
  JM_TRY(jm_vhlo_emit(v, op, JM_OP_sharding_constraint, &value, 1, &attrs, type, &value));
  jm_vhlo_define(v, op, 0, value);
  return NULL;
}

/* Its own sharding says that it is manual; by which parts is what its operand was annotated with.
 */
jm_error *jm_vhlo_read_full_to_shard(jm_vhlo *v, const jm_wire_op *op) {
  jm_value value = JM_NONE;
  const jm_type *part = NULL;
  const jm_sharding *sharding = NULL;
  JM_TRY(jm_vhlo_arity(op, 1, 1, 0));
  JM_TRY(jm_vhlo_operand(v, op, 0, &value));
  JM_TRY(jm_vhlo_result_type(v, op, 0, &part));
  const jm_op *constraint = jm_module_definition(v->m, value);
  if (constraint && constraint->code == JM_OP_sharding_constraint) {
    const jm_sharding_constraint_attrs *a = constraint->attrs;
    JM_TRY(jm_sharding_decode(&v->m->arena, a->parts, a->ids, jm_vhlo_typeof(v, value)->rank,
                              v->m->n_partitions, &sharding));
  }
  JM_TRY(jm_vhlo_enter_shard(v, op, sharding, &value));
  if (jm_vhlo_typeof(v, value) != part)
    return jm_error_invalid("the result is not a part of the operand");
  jm_vhlo_define(v, op, 0, value);
  return NULL;
}

jm_error *jm_vhlo_read_shard_to_full(jm_vhlo *v, const jm_wire_op *op) {
  jm_value value = JM_NONE;
  const jm_type *whole = NULL, *part;
  const jm_sharding *sharding;
  bool manual;
  JM_TRY(jm_vhlo_arity(op, 1, 1, 0));
  JM_TRY(jm_vhlo_operand(v, op, 0, &value));
  JM_TRY(jm_vhlo_result_type(v, op, 0, &whole));
  JM_TRY(find_sharding(v, op, whole, &manual, &sharding));
  JM_TRY(jm_build_part_type(v->m, sharding, whole, &part));
  if (part != jm_vhlo_typeof(v, value))
    return jm_error_invalid("the operand is not a part of the result");
  JM_TRY(jm_vhlo_leave_shard(v, op, sharding, whole, &value));
  jm_vhlo_define(v, op, 0, value);
  return NULL;
}
