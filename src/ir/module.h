/* SPDX-License-Identifier: Apache-2.0
 * The IR: SSA over ranked, statically shaped tensors. A value is a 32-bit index; a module is a few
 * arrays in an arena. A region is one block; it sees only its own arguments and values: a value
 * captured from outside is an explicit trailing operand of its op and a trailing argument of each
 * of the op's regions. So a region can be moved, cloned, compiled and run by itself.
 *
 * This file: the data structure and its accessors. Building is build.h, the rules are verify.h, the
 * text form is print.h and parse.h. */
#ifndef JM_IR_MODULE_H
#define JM_IR_MODULE_H

#include "base/alloc.h"
#include "base/dtype.h"
#include "base/text.h"
#include "ir/attr.h"
#include "ir/sharding.h"

typedef uint32_t jm_value;
typedef uint32_t jm_op_id;
typedef uint32_t jm_region_id;
#define JM_NONE UINT32_MAX

/* A tensor type, interned per module: equal types are one pointer. Row-major and dense. */
typedef struct jm_type {
  jm_dtype dtype;
  uint32_t rank;
  int64_t count;       /* number of elements */
  const int64_t *dims; /* rank sizes, each >= 0 */
} jm_type;

/* Bytes of a tensor of this type in our buffers; cannot overflow, which jm_module_type checked. */
static inline size_t jm_type_bytes(const jm_type *type) {
  return (size_t)type->count * jm_dtype_bytes(type->dtype);
}

typedef enum jm_opcode {
#define OP(name, operands, results, regions, types, traits, verify, ref, factors, attrs, summary) \
  JM_OP_##name,
#include "ir/ops.def"
  JM_N_OPS
} jm_opcode;

enum { JM_ANY = -1 };
enum { JM_TRAIT_ELEMENTWISE = 1, JM_TRAIT_COMMUTATIVE = 2, JM_TRAIT_EFFECT = 4 };

/* A row of ops.def. */
typedef struct jm_op_fact {
  const char *name;
  int operands, results, regions; /* JM_ANY: any number */
  uint32_t types;                 /* bit 1 << jm_dtype_class for each allowed class */
  uint32_t traits;
  const jm_attr_field *(*attrs)(void); /* fields of jm_<op>_attrs, ended by a NULL name */
  size_t attrs_size;
  const char *summary;
} jm_op_fact;
extern const jm_op_fact jm_op_facts[JM_N_OPS];
bool jm_op_from_name(const char *name, size_t size, jm_opcode *out);

typedef struct jm_op {
  jm_opcode code;
  uint32_t n_operands; /* with captures */
  uint32_t n_captures; /* trailing operands handed to every region as trailing arguments */
  uint32_t n_results, n_regions;
  jm_value *operands;
  jm_value first_result;     /* results are consecutive values */
  jm_region_id first_region; /* regions are consecutive */
  void *attrs;               /* jm_<op>_attrs, never NULL */
  uint32_t loc;              /* for jm_module.locate; JM_NONE: unknown */
} jm_op;

typedef struct jm_value_fact {
  const jm_type *type;
  jm_op_id op;         /* that defines it, JM_NONE: an argument of region */
  jm_region_id region; /* that it lives in */
} jm_value_fact;

typedef struct jm_region {
  jm_value first_arg; /* arguments are consecutive values */
  uint32_t n_args;
  jm_op_id *ops; /* in order of execution */
  uint32_t n_ops, ops_capacity;
  jm_value *results; /* what the region returns */
  uint32_t n_results;
  jm_op_id parent; /* JM_NONE for the entry */
} jm_region;

/* The caller's requirements for an argument or a result of the program. */
typedef struct jm_argument_fact {
  int32_t alias; /* output that the argument is donated to, -1: none */
  bool donor;
  const char *memory_kind;  /* NULL: default */
  const char *sharding;     /* as text, NULL: none */
  const jm_sharding *parts; /* what each partition is given; NULL: the whole. Before the pass
                               partition the argument's type is the whole's all the same. */
  jm_sharding_sums sums;    /* for the caller alone: the program completes them. Not in the text */
  jm_i64s layout; /* how the caller's array lies in memory: its dimensions, the one of adjacent
                     elements first; empty: row-major. The pass entry makes the argument's type
                     that of the memory: the same dimensions, the one of adjacent elements last */
} jm_argument_fact;

typedef struct jm_result_fact {
  const char *memory_kind, *sharding;
  const jm_sharding *parts; /* what each partition returns; NULL: the whole */
  bool divided;             /* the caller wants these parts; else the pass partition chooses */
  jm_sharding_sums sums;    /* for the caller alone: the program divides them. Not in the text */
  jm_i64s layout;           /* as an argument's */
  bool any_layout;          /* the caller takes every layout: the pass entry chooses */
} jm_result_fact;

/* What an op means in simpler ones, as the program spelled it out: for engines that lack the op, or
 * that can't run the user's kernel. The region's arguments are the op's operands, its results the
 * op's. An expansion has ops that are themselves expanded only by earlier expansions of the list.
 * Not a part of the text form. */
typedef struct jm_expansion {
  jm_opcode code;
  jm_region_id region; /* without a parent */
  const void *attrs;   /* of a custom call: the expansion is that of calls with equal ones */
} jm_expansion;

typedef struct jm_module {
  jm_arena arena;
  const char *name;
  jm_op *ops;
  uint32_t n_ops, ops_capacity;
  jm_value_fact *values;
  uint32_t n_values, values_capacity;
  jm_region *regions;
  uint32_t n_regions, regions_capacity;
  jm_region_id entry;
  jm_argument_fact *arguments; /* one per argument of the entry */
  jm_result_fact *results;     /* one per result of the entry */
  uint32_t n_replicas, n_partitions;
  bool whole;   /* types are those of whole arrays: the pass partition is still to come */
  bool logical; /* types are those of the caller's arrays, whatever their layouts: the pass entry is
                   still to come */
  jm_expansion *expansions;
  uint32_t n_expansions, expansions_capacity;
  /* Renders op.loc as text ("jit(f)/add at file.py:3:1"); NULL: no locations. The context is freed
   * with the module. */
  jm_error *(*locate)(void *context, uint32_t loc, jm_text *text);
  void (*locate_free)(void *context);
  void *locate_context;
  const jm_type **types; /* open-addressing hash table of the interned types */
  uint32_t n_types, types_capacity;
} jm_module;

jm_error *jm_module_create(jm_module **out) JM_MUST_USE;
void jm_module_destroy(jm_module *module); /* NULL is allowed */

/* The interned type. INVALID_ARGUMENT if a size is negative or the bytes overflow. */
jm_error *jm_module_type(jm_module *module, jm_dtype dtype, uint32_t rank, const int64_t *dims,
                         const jm_type **out) JM_MUST_USE;

static inline jm_op *jm_module_op(const jm_module *m, jm_op_id op) { return &m->ops[op]; }
static inline jm_region *jm_module_region(const jm_module *m, jm_region_id r) {
  return &m->regions[r];
}
static inline const jm_type *jm_module_typeof(const jm_module *m, jm_value v) {
  return m->values[v].type;
}
static inline const jm_type *jm_op_operand_type(const jm_module *m, const jm_op *op, uint32_t i) {
  return m->values[op->operands[i]].type;
}
static inline const jm_type *jm_op_result_type(const jm_module *m, const jm_op *op, uint32_t i) {
  return m->values[op->first_result + i].type;
}
static inline jm_region *jm_op_region(const jm_module *m, const jm_op *op, uint32_t i) {
  return &m->regions[op->first_region + i];
}
/* Whether the executor of a plan walks the op's regions. */
static inline bool jm_op_runs_regions(const jm_op *op) {
  return op->code == JM_OP_while || op->code == JM_OP_case || op->code == JM_OP_sliced;
}
/* The op that defines a value, NULL for an argument. */
static inline jm_op *jm_module_definition(const jm_module *m, jm_value v) {
  jm_op_id op = m->values[v].op;
  return op == JM_NONE ? NULL : &m->ops[op];
}

/* The op that defines a value, followed outwards through the regions that captured it; NULL: an
 * argument.
 */
const jm_op *jm_module_source(const jm_module *m, jm_value v);

/* The bytes of the one element that a value repeats, if the program shows that it is a splat; else
 * NULL. */
const void *jm_module_element(const jm_module *m, jm_value v);

/* Attributes of two ops of this code; type: of their first result, NULL if they have none. */
bool jm_attrs_equal(jm_opcode code, const void *a, const void *b, const jm_type *type);

/* The expansion of this op with its types; NULL: there is none. */
const jm_expansion *jm_module_expansion_find(const jm_module *m, const jm_op *op);

/* How often the value is an operand of one of the region's ops, or a result of it. */
uint32_t jm_region_count_uses(const jm_module *m, const jm_region *region, jm_value v);

/* "add(f32[2,3], f32[2,3]) -> f32[2,3] at <location>": the description of an op in error texts. */
void jm_op_describe(const jm_module *module, const jm_op *op, jm_text *text);
/* "f32[2,3]" */
void jm_type_print(const jm_type *type, jm_text *text);

/* Is this the custom call of a callback into the process, and of which? */
bool jm_op_callback_find(const jm_op *op, int64_t *id);
/* The id of a callback in a call's configuration. */
bool jm_call_id_find(const jm_custom_call_attrs *attrs, int64_t *id);

/* An error about an op: the text, then the op as jm_op_describe has it. */
jm_error *jm_op_error(const jm_module *module, const jm_op *op, jm_code code, const char *format,
                      ...) JM_PRINTF(4, 5) JM_MUST_USE JM_NONNULL;

#endif
