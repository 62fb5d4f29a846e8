/* SPDX-License-Identifier: Apache-2.0
 * Declarations that the files of the StableHLO reader share: its state, access to an op's operands
 * and attributes, and emission of IR. Private to stablehlo/. */
#ifndef JM_STABLEHLO_READER_H
#define JM_STABLEHLO_READER_H

#include "bytecode/bytecode.h"
#include "ir/build.h"
#include "stablehlo/read.h"

enum { JM_OP_none = JM_N_OPS };

typedef struct jm_vhlo jm_vhlo;
/* Makes IR of one op and defines its results. Its errors don't name the op: the caller adds that.
 */
typedef jm_error *jm_vhlo_rule(jm_vhlo *v, const jm_wire_op *op);

/* A row of vhlo.def. */
typedef struct jm_vhlo_row {
  const char *spelling, *since, *until;
  jm_vhlo_rule *rule;
  int op; /* jm_opcode or JM_OP_none */
  const char *attributes, *fields;
} jm_vhlo_row;
extern const jm_vhlo_row jm_vhlo_rows[];

#define VHLO(spelling, since, until, rule, op, attributes, fields) jm_vhlo_rule jm_vhlo_read_##rule;
#include "stablehlo/vhlo.def"

typedef struct jm_vhlo_function {
  jm_wire_string name;
  const jm_wire_op *op;
  bool active; /* being inlined: a call of it would be a recursion */
} jm_vhlo_function;

typedef struct jm_vhlo_tuple {
  uint32_t n;
  const jm_value *elements; /* values or tuples */
} jm_vhlo_tuple;
#define JM_VHLO_TUPLE 0x80000000u /* in a jm_value: the rest is the index of a tuple */

/* Wire values that the regions of an op use from outside, in ascending order. */
typedef struct jm_vhlo_captures {
  uint32_t n;
  const uint32_t *values;
  bool known;
} jm_vhlo_captures;

struct jm_vhlo {
  jm_bytecode *b;
  jm_module *m;
  jm_region_id region;      /* that ops are appended to */
  jm_value *values;         /* by wire value: what it is in the current region, or JM_NONE */
  const jm_type **types;    /* by wire type */
  jm_i64s *lists;           /* by attribute: decoded integer lists */
  jm_data *data;            /* by attribute: decoded constants */
  uint32_t *locations;      /* by attribute: its number + 1 */
  uint32_t *location_attrs; /* by number */
  uint32_t n_locations, locations_capacity;
  jm_vhlo_captures *captures; /* by wire op */
  uint32_t *marks, mark;      /* by wire value: seen while collecting captures */
  jm_vhlo_function *functions;
  uint32_t n_functions, functions_capacity;
  uint32_t *table, table_size; /* open-addressing hash table: function + 1 */
  const jm_wire_block *body;   /* of the module */
  jm_vhlo_tuple *tuples;
  uint32_t n_tuples, tuples_capacity;
  uint32_t manual_depth; /* of bodies written per device */
  bool joins;            /* a module that another program made: each op has that op's location */
  uint32_t joins_at;
  uint64_t budget; /* of jm_vhlo_charge */
  uint32_t depth;  /* of regions and inlined calls */
  bool located;    /* the error on its way up names its op */
  jm_arena scratch;
};

static inline const jm_vhlo_row *jm_vhlo_find_row(const jm_vhlo *v, const jm_wire_op *op) {
  uint32_t row = v->b->names[op->name].row;
  return row == JM_WIRE_NONE ? NULL : &jm_vhlo_rows[row];
}
static inline bool jm_vhlo_one_device(const jm_vhlo *v) {
  return v->m->n_partitions == 1 && v->m->n_replicas == 1;
}

/* Bounds the work for a program by its size, whatever it shares or repeats: an op costs 1, and so
 * do about as many bytes of data as an op takes. */
enum { JM_VHLO_PER_ITEMS = 8, JM_VHLO_PER_BYTES = 64 };
static inline jm_error *jm_vhlo_charge(jm_vhlo *v, uint64_t cost) {
  if (cost > v->budget)
    return jm_error_create(JM_RESOURCE_EXHAUSTED,
                           "the program expands to too many ops: calls in calls, or very wide ops");
  v->budget -= cost;
  return NULL;
}

/* -- attr.c: types, attributes */

jm_error *jm_vhlo_type(jm_vhlo *v, uint32_t type, const jm_type **out) JM_MUST_USE;
jm_error *jm_vhlo_result_type(jm_vhlo *v, const jm_wire_op *op, uint32_t i,
                              const jm_type **out) JM_MUST_USE;
/* The attribute of this name, NULL if the op has none. */
jm_error *jm_vhlo_find(jm_vhlo *v, const jm_wire_op *op, const char *name,
                       const jm_wire_attr **out) JM_MUST_USE;
/* Each fails if the attribute is absent or of another kind. */
jm_error *jm_vhlo_i64(jm_vhlo *v, const jm_wire_op *op, const char *name, int64_t *out) JM_MUST_USE;
jm_error *jm_vhlo_i64s(jm_vhlo *v, const jm_wire_op *op, const char *name,
                       jm_i64s *out) JM_MUST_USE;
jm_error *jm_vhlo_string(jm_vhlo *v, const jm_wire_op *op, const char *name,
                         jm_str *out) JM_MUST_USE;
/* A tensor or array of integers, by attribute index. */
jm_error *jm_vhlo_list(jm_vhlo *v, uint32_t attr, jm_i64s *out) JM_MUST_USE;
/* A constant's type and elements, by attribute index. */
jm_error *jm_vhlo_data(jm_vhlo *v, uint32_t attr, const jm_type **type, jm_data *out) JM_MUST_USE;
/* The integers of an operand that is a constant. */
jm_error *jm_vhlo_constant_operand(jm_vhlo *v, const jm_wire_op *op, uint32_t i,
                                   jm_i64s *out) JM_MUST_USE;
/* A list in the module's arena. */
jm_error *jm_vhlo_make_list(jm_vhlo *v, uint32_t n, int64_t **out) JM_MUST_USE;
/* A copy of the bytes in the module's arena. */
jm_error *jm_vhlo_make_string(jm_vhlo *v, const char *bytes, uint32_t size,
                              const char **out) JM_MUST_USE;

/* -- groups.c: meshes and their axes */

enum { JM_VHLO_MAX_AXES = 64 };

typedef struct jm_vhlo_axis {
  const char *name; /* of the whole axis */
  uint32_t name_size;
  int64_t size, stride; /* stride in the row-major numbering of the mesh's positions */
} jm_vhlo_axis;

typedef struct jm_vhlo_mesh {
  jm_vhlo_axis axes[JM_VHLO_MAX_AXES];
  uint32_t n;
  int64_t n_devices;
  jm_i64s ids; /* device at each position; empty: the position itself */
} jm_vhlo_mesh;

/* A mesh, or the name of one, by attribute index. */
jm_error *jm_vhlo_mesh_read(jm_vhlo *v, uint32_t index, jm_vhlo_mesh *out) JM_MUST_USE;
/* The axis that an axis reference names: an axis of the mesh, or a factor of one. */
jm_error *jm_vhlo_mesh_axis(jm_vhlo *v, const jm_vhlo_mesh *in, uint32_t index,
                            jm_vhlo_axis *out) JM_MUST_USE;

/* The groups of devices that differ along n axes, by references to them, alone. */
jm_error *jm_vhlo_mesh_groups(jm_vhlo *v, const jm_vhlo_mesh *in, const uint32_t *refs, uint32_t n,
                              jm_i64s *groups, int64_t *group_size) JM_MUST_USE;

/* -- shardings.c: programs over several partitions */

/* The sharding by attribute index. Of manual axes alone if a list of their names is given. NULL: no
 * dimension is divided. */
jm_error *jm_vhlo_sharding(jm_vhlo *v, uint32_t index, const jm_type *type,
                           const jm_wire_attr *manual, const jm_sharding **out) JM_MUST_USE;
/* Whether the axis is among those of a list of names. */
jm_error *jm_vhlo_axis_listed(jm_vhlo *v, const jm_wire_attr *names, const jm_vhlo_axis *axis,
                              bool *out) JM_MUST_USE;
/* The value where a body written per device begins, and where it ends. The type of `whole` is that
 * of the program on whole arrays. */
jm_error *jm_vhlo_enter_shard(jm_vhlo *v, const jm_wire_op *op, const jm_sharding *sharding,
                              jm_value *value) JM_MUST_USE;
jm_error *jm_vhlo_leave_shard(jm_vhlo *v, const jm_wire_op *op, const jm_sharding *sharding,
                              const jm_type *whole, jm_value *value) JM_MUST_USE;

/* -- sharding_rule.c: the factors that the program gives with a custom call (attribute `factors`)
 */

jm_error *jm_vhlo_sharding_rule(jm_vhlo *v, const jm_wire_op *op, const jm_value *operands,
                                jm_i64s *out) JM_MUST_USE;

/* -- unreduced.c: parts of sums. Along the unreduced axes of a sharding each device has a part of a
 * sum. Inside of the program sums are complete; parts are met at its edges, and at those of bodies
 * written per device. */

/* The sums that the sharding by attribute index speaks of; manual as in jm_vhlo_sharding. */
jm_error *jm_vhlo_unreduced_read(jm_vhlo *v, uint32_t index, const jm_wire_attr *manual,
                                 jm_sharding_sums *out) JM_MUST_USE;
/* In a body written per device: a device's part becomes the sum, and a sum a device's part. op: for
 * its location. */
jm_error *jm_vhlo_unreduced_complete(jm_vhlo *v, const jm_wire_op *op, const jm_sharding_sums *sum,
                                     jm_value *value) JM_MUST_USE;
jm_error *jm_vhlo_unreduced_divide(jm_vhlo *v, const jm_wire_op *op, const jm_sharding_sums *sum,
                                   jm_value *value) JM_MUST_USE;

/* -- mhlo_sharding.c */

/* The sharding of an array of this rank by the text of mhlo.sharding; *manual: it speaks of axes
 * that a body written per device has for itself. */
jm_error *jm_vhlo_text_sharding(jm_vhlo *v, const char *text, uint32_t rank, bool *manual,
                                const jm_sharding **out) JM_MUST_USE;
/* Rules of the custom calls @Sharding, @SPMDFullToShardShape and @SPMDShardToFullShape in programs
 * over several partitions. */
jm_vhlo_rule jm_vhlo_read_sharding_call, jm_vhlo_read_full_to_shard, jm_vhlo_read_shard_to_full;

/* -- async_call.c: the first half of a collective, as a custom call */

jm_vhlo_rule jm_vhlo_read_async_start;

/* -- collective.c */

/* Result 0 is zeros. */
jm_error *jm_vhlo_define_zero(jm_vhlo *v, const jm_wire_op *op) JM_MUST_USE;

/* -- groups.c: replica_groups (an attribute's index) as ids or as axes of a mesh */

jm_error *jm_vhlo_groups(jm_vhlo *v, uint32_t index, jm_i64s *groups,
                         int64_t *group_size) JM_MUST_USE;

/* -- fields.c: the attributes of the IR op as the row's fields say */

/* attrs: jm_<op>_attrs, zeroed */
jm_error *jm_vhlo_fields(jm_vhlo *v, const jm_wire_op *op, jm_opcode code, void *attrs) JM_MUST_USE;
typedef union jm_vhlo_attrs {
#define OP(name, operands, results, regions, types, traits, verify, ref, factors, attrs, summary) \
  jm_##name##_attrs of_##name;
#include "ir/ops.def"
} jm_vhlo_attrs;

/* -- read.c: operands, emitting */

/* The value or tuple that stands for a wire value in the current region. */
jm_error *jm_vhlo_value(jm_vhlo *v, uint32_t wire, jm_value *out) JM_MUST_USE;
jm_error *jm_vhlo_operand(jm_vhlo *v, const jm_wire_op *op, uint32_t i, jm_value *out) JM_MUST_USE;
/* All of them, in the scratch arena. */
jm_error *jm_vhlo_operands(jm_vhlo *v, const jm_wire_op *op, jm_value **out) JM_MUST_USE;
/* Fails unless the op has so many operands, results and regions. */
jm_error *jm_vhlo_arity(const jm_wire_op *op, uint32_t operands, uint32_t results,
                        uint32_t regions) JM_MUST_USE;
void jm_vhlo_define(jm_vhlo *v, const jm_wire_op *op, uint32_t i, jm_value value);
uint32_t jm_vhlo_location(jm_vhlo *v, const jm_wire_op *op); /* for jm_op.loc */

/* An IR op with the wire op's result types, results and regions. reversed: the regions in reverse
 * order. */
jm_error *jm_vhlo_build(jm_vhlo *v, const jm_wire_op *op, jm_opcode code, const jm_value *operands,
                        uint32_t n, const void *attrs, bool reversed) JM_MUST_USE;
/* An IR op with one result of this type, no regions. */
jm_error *jm_vhlo_emit(jm_vhlo *v, const jm_wire_op *op, jm_opcode code, const jm_value *operands,
                       uint32_t n, const void *attrs, const jm_type *type,
                       jm_value *out) JM_MUST_USE;
/* Reads the block's ops into the current region with these values as its arguments; out: what it
 * returns, n_results values in the scratch arena. */
jm_error *jm_vhlo_inline_block(jm_vhlo *v, const jm_wire_block *block, const jm_value *arguments,
                               uint32_t n_arguments, uint32_t n_results,
                               jm_value **out) JM_MUST_USE;
/* The same for the function of this name. */
jm_error *jm_vhlo_inline_function(jm_vhlo *v, const char *name, uint32_t size,
                                  const jm_value *arguments, uint32_t n_arguments,
                                  uint32_t n_results, jm_value **out) JM_MUST_USE;
/* A dictionary of numbers, strings and lists. */
jm_error *jm_vhlo_read_config(jm_vhlo *v, const jm_wire_attr *dictionary, jm_dict *out) JM_MUST_USE;
/* A custom_call with these attributes and the wire op's layouts and aliases, which it adds. */
jm_error *jm_vhlo_build_typed_call(jm_vhlo *v, const jm_wire_op *op, jm_value *operands,
                                   jm_custom_call_attrs *attrs) JM_MUST_USE;
/* The name of the function that a custom call names as its computation. */
jm_error *jm_vhlo_called_function(jm_vhlo *v, const jm_wire_op *op,
                                  const jm_wire_attr **out) JM_MUST_USE;
/* A custom call of a target `mhlo.<op>` as older jaxlibs write ops that are composites today; done:
 * the IR has that op. */
jm_error *jm_vhlo_read_mhlo_call(jm_vhlo *v, const jm_wire_op *op, const char *target,
                                 bool *done) JM_MUST_USE;
/* The one block of a region. */
jm_error *jm_vhlo_block(const jm_wire_region *region, const jm_wire_block **out) JM_MUST_USE;

/* The sum over dimensions (ascending). */
jm_error *jm_vhlo_sum(jm_vhlo *v, const jm_wire_op *op, jm_value operand, jm_i64s dims,
                      jm_value *out) JM_MUST_USE;

static inline const jm_type *jm_vhlo_typeof(const jm_vhlo *v, jm_value value) {
  return jm_module_typeof(v->m, value);
}

#endif
