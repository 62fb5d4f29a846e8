/* SPDX-License-Identifier: Apache-2.0
 * The container: MLIR bytecode, versions 0 to 6, from bytes to generic operations, attributes and
 * types. It knows the encodings of the builtin, vhlo and sdy dialects and no meaning of any op; the
 * caller brings the table of op names. Attributes and types are decoded when asked for, one at a
 * time: a decoded entry refers to others by index, so no input can make decoding recurse or loop.
 * Everything lives in one arena whose size is proportional to the input, which must outlive it. */
#ifndef JM_BYTECODE_BYTECODE_H
#define JM_BYTECODE_BYTECODE_H

#include "base/alloc.h"
#include "base/dtype.h"
#include "base/text.h"

#define JM_WIRE_NONE UINT32_MAX /* no attribute, no type, no row */

/* The caller's description of an op: its full name and its attributes in the order of the op's
 * properties, which are sorted by name: "axis,name?" ('?': may be absent). */
typedef struct jm_wire_row {
  const char *op;
  const char *attributes;
} jm_wire_row;

typedef struct jm_wire_string {
  const char *bytes; /* NUL-terminated, but may hold more NULs */
  uint32_t size;
} jm_wire_string;

typedef enum jm_wire_dialect {
  JM_WIRE_BUILTIN,
  JM_WIRE_VHLO,
  JM_WIRE_SDY,
  JM_WIRE_STABLEHLO, /* what ops of sdy have that VHLO does not replace: the type of tokens */
  JM_WIRE_FOREIGN,
  JM_WIRE_N_DIALECTS,
} jm_wire_dialect;

typedef enum jm_wire_attr_kind {
  JM_WIRE_OPAQUE, /* text or of a foreign dialect: bytes is its encoding */
  JM_WIRE_UNIT,
  JM_WIRE_BOOL,       /* ints[0] */
  JM_WIRE_INTEGER,    /* type, ints[0] sign- or zero-extended */
  JM_WIRE_FLOAT,      /* type, ints[0] is the bit pattern */
  JM_WIRE_ENUM,       /* code says which, ints[0] */
  JM_WIRE_STRING,     /* bytes */
  JM_WIRE_SYMBOL,     /* attrs[0] is the name */
  JM_WIRE_ARRAY,      /* attrs */
  JM_WIRE_DICTIONARY, /* attrs: key, value, key, value */
  JM_WIRE_TYPE,       /* type */
  JM_WIRE_TENSOR,     /* type, bytes: little-endian data, one element of it for a splat */
  JM_WIRE_LOCATION,   /* code says which */
  JM_WIRE_RECORD,     /* anything else of dialect and code: fields in order in attrs, ints, bytes */
} jm_wire_attr_kind;

/* Codes that the reader of the ops asks for. */
enum {
  JM_WIRE_VHLO_COMPARE_DIRECTION = 3,
  JM_WIRE_VHLO_COMPARE_TYPE = 4,
  JM_WIRE_VHLO_API_VERSION = 5,
  JM_WIRE_VHLO_FFT_TYPE = 7,
  JM_WIRE_VHLO_OUTPUT_ALIAS = 10, /* n, output indices, operand, n, operand indices */
  JM_WIRE_VHLO_PRECISION = 11,
  JM_WIRE_VHLO_RNG_ALGORITHM = 12,
  JM_WIRE_VHLO_RNG_DISTRIBUTION = 13,
  JM_WIRE_VHLO_TRANSPOSE = 16,
  JM_WIRE_VHLO_ACCURACY_MODE = 19,
  JM_WIRE_VHLO_ACCURACY = 20,     /* atol bits, rtol bits, ulps; attrs: mode */
  JM_WIRE_VHLO_SUB_AXIS = 21,     /* pre size, size */
  JM_WIRE_VHLO_AXIS_REF = 22,     /* attrs: name, sub axis or none */
  JM_WIRE_VHLO_MESH_AXES = 23,    /* attrs: mesh, axes */
  JM_WIRE_VHLO_MESH_AXIS = 24,    /* attrs: name; size */
  JM_WIRE_VHLO_MESH = 25,         /* attrs: axes, device ids or none */
  JM_WIRE_SDY_MESH_AXIS = 1,      /* bytes: name; size */
  JM_WIRE_SDY_MESH = 2,           /* attrs: axes; device ids */
  JM_WIRE_SDY_SUB_AXIS = 3,       /* pre size, size */
  JM_WIRE_SDY_AXIS_REF = 4,       /* bytes: name; attrs: sub axis or none */
  JM_WIRE_SDY_DIM = 5,            /* attrs: axes; ints: closed, priority or -1 */
  JM_WIRE_SDY_SHARDING = 6,       /* attrs: mesh, dims, replicated; ints: their counts */
  JM_WIRE_SDY_DIM_FACTORS = 8,    /* the factors of a dimension, from major to minor */
  JM_WIRE_SDY_TENSOR_FACTORS = 9, /* attrs: by dimension */
  /* attrs: operands, results; ints: n, sizes of factors, the counts of both, then four lists with
   * their lengths: reduced, to be whole, permuted, not propagated; and whether users gave it */
  JM_WIRE_SDY_RULE = 10,
  /* of shardings: the same, and attrs: unreduced; the second also ints: which sum it is a part of,
     0 for one */
  JM_WIRE_SDY_UNREDUCED_1 = 15,
  JM_WIRE_SDY_UNREDUCED_2 = 17,
};

typedef struct jm_wire_attr {
  jm_wire_attr_kind kind;
  jm_wire_dialect dialect;
  uint32_t code;
  uint32_t type; /* JM_WIRE_NONE if it has none */
  uint32_t n_attrs, n_ints, n_bytes;
  const uint32_t *attrs; /* indices; JM_WIRE_NONE for an absent optional one */
  const int64_t *ints;
  const char *bytes;
} jm_wire_attr;

typedef enum jm_wire_type_kind {
  JM_WIRE_T_OPAQUE, /* text, foreign or not representable: bytes is its encoding */
  JM_WIRE_T_SCALAR, /* dtype; token is one */
  JM_WIRE_T_INDEX,
  JM_WIRE_T_NONE,
  JM_WIRE_T_OTHER,    /* f80, tf32, i7, witness: name says which */
  JM_WIRE_T_COMPLEX,  /* types[0] */
  JM_WIRE_T_FUNCTION, /* types; ints: count of inputs, count of results */
  JM_WIRE_T_TENSOR,   /* ints: dims, types[0]: element, encoding */
  JM_WIRE_T_TUPLE,    /* types; ints: their count */
  JM_WIRE_T_QUANTIZED,
  JM_WIRE_T_UNRANKED, /* types[0] */
  JM_WIRE_T_BUFFER,   /* as a tensor */
  JM_WIRE_T_FUTURE,   /* as a tuple */
} jm_wire_type_kind;

#define JM_WIRE_DYNAMIC INT64_MIN /* a dimension of unknown size */

typedef struct jm_wire_type {
  jm_wire_type_kind kind;
  jm_dtype dtype;
  const char *name;  /* of kind OTHER */
  uint32_t encoding; /* attribute, or JM_WIRE_NONE */
  uint32_t n_types, n_ints, n_bytes;
  const uint32_t *types; /* indices */
  const int64_t *ints;
  const char *bytes;
} jm_wire_type;

typedef struct jm_wire_block jm_wire_block;
typedef struct jm_wire_region {
  uint32_t n_blocks;
  const jm_wire_block *blocks;
} jm_wire_region;

typedef struct jm_wire_op {
  uint32_t id;         /* number in order of appearance, below n_ops */
  uint32_t name;       /* index into names */
  uint32_t offset;     /* in the input, for errors */
  uint32_t location;   /* attribute */
  uint32_t dictionary; /* attribute: those that are not properties; or JM_WIRE_NONE */
  uint32_t n_operands, n_results, n_regions, n_properties;
  uint32_t first_result;      /* value number; results are consecutive */
  const uint32_t *operands;   /* value numbers */
  const uint32_t *types;      /* of the results */
  const uint32_t *properties; /* attributes in the row's order */
  const jm_wire_region *regions;
} jm_wire_op;

struct jm_wire_block {
  uint32_t n_arguments, n_ops;
  uint32_t first_argument;   /* value number; arguments are consecutive */
  const uint32_t *arguments; /* types */
  const jm_wire_op *ops;
};

typedef struct jm_wire_name {
  jm_wire_string dialect, op;
  uint32_t row; /* of the caller's table, or JM_WIRE_NONE */
} jm_wire_name;

typedef struct jm_bytecode {
  uint32_t version;
  jm_wire_string producer;
  uint32_t n_strings, n_names, n_attrs, n_types, n_values;
  uint32_t n_ops; /* at all depths */
  const jm_wire_string *strings;
  const jm_wire_name *names;
  const jm_wire_block *top; /* holds the module's op */

  /* Private from here. */
  jm_arena arena;
  const jm_wire_row *rows;
  struct jm_wire_entry *entries; /* attributes, then types */
  const jm_wire_attr **attrs;    /* what was decoded so far */
  const jm_wire_type **types;
  struct jm_wire_lists *lists;
  const uint8_t *file;
} jm_bytecode;

/* Reads the container. Malformed bytes are INVALID_ARGUMENT with the byte's offset. */
jm_error *jm_bytecode_read(const void *bytes, size_t size, const jm_wire_row *rows, uint32_t n_rows,
                           jm_bytecode **out) JM_MUST_USE;
void jm_bytecode_destroy(jm_bytecode *bytecode); /* NULL is allowed */

/* Decode one entry (once); index must be below n_attrs or n_types. */
jm_error *jm_bytecode_read_attr(jm_bytecode *bytecode, uint32_t index,
                                const jm_wire_attr **out) JM_MUST_USE;
jm_error *jm_bytecode_read_type(jm_bytecode *bytecode, uint32_t index,
                                const jm_wire_type **out) JM_MUST_USE;

/* The index of the op's attribute of this name, among the properties or in the dictionary;
 * JM_WIRE_NONE if it has none. */
jm_error *jm_bytecode_find_attr(jm_bytecode *bytecode, const jm_wire_op *op, const char *name,
                                uint32_t *out) JM_MUST_USE;
/* The same in a dictionary attribute. */
jm_error *jm_bytecode_find_entry(jm_bytecode *bytecode, uint32_t dictionary, const char *name,
                                 uint32_t *out) JM_MUST_USE;

/* Texts for errors and records. They never fail: an entry that can't be decoded prints as "?". */
void jm_bytecode_print_attr(jm_bytecode *bytecode, uint32_t index, jm_text *text);
void jm_bytecode_print_type(jm_bytecode *bytecode, uint32_t index, jm_text *text);
/* "jit(f)/add at file.py:12:3"; nothing for an unknown location. */
void jm_bytecode_print_location(jm_bytecode *bytecode, uint32_t index, jm_text *text);

#endif
