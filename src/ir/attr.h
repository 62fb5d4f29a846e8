/* SPDX-License-Identifier: Apache-2.0
 * Attributes of ops: the value types, one struct per op (jm_gather_attrs, ...) and a table of
 * their fields, all expanded from ops.def, so that printer, reader, comparison and cloning are one
 * loop each. */
#ifndef JM_IR_ATTR_H
#define JM_IR_ATTR_H

#include "base/alloc.h"
#include "base/dtype.h"

typedef struct jm_i64s {
  const int64_t *data;
  uint32_t n;
} jm_i64s;

static inline bool jm_i64s_contains(jm_i64s list, int64_t value) {
  for (uint32_t i = 0; i < list.n; i++)
    if (list.data[i] == value) return true;
  return false;
}

typedef struct jm_str {
  const char *bytes; /* NUL-terminated; NULL when empty is allowed */
  uint32_t size;
} jm_str;

/* The elements of a constant in our buffer format: all of them, or one if splat. */
typedef struct jm_data {
  const void *bytes;
  bool splat;
} jm_data;

typedef struct jm_dict_entry jm_dict_entry;
typedef struct jm_dict {
  const jm_dict_entry *entries;
  uint32_t n;
} jm_dict;

/* The numbers are VHLO's; the spellings of the text form are what follows the prefix. */
typedef enum jm_direction {
  JM_COMPARE_EQ,
  JM_COMPARE_NE,
  JM_COMPARE_GE,
  JM_COMPARE_GT,
  JM_COMPARE_LE,
  JM_COMPARE_LT,
} jm_direction;

typedef enum jm_order {
  JM_ORDER_NOTYPE,
  JM_ORDER_FLOAT,
  JM_ORDER_TOTAL,
  JM_ORDER_SIGNED,
  JM_ORDER_UNSIGNED,
} jm_order;

typedef enum jm_precision {
  JM_PRECISION_DEFAULT,
  JM_PRECISION_HIGH,
  JM_PRECISION_HIGHEST,
} jm_precision;

typedef enum jm_fft_kind {
  JM_FFT_FFT,
  JM_FFT_IFFT,
  JM_FFT_RFFT,
  JM_FFT_IRFFT,
} jm_fft_kind;

typedef enum jm_rng_algorithm {
  JM_RNG_DEFAULT,
  JM_RNG_THREE_FRY,
  JM_RNG_PHILOX,
} jm_rng_algorithm;

typedef enum jm_rng_distribution {
  JM_DISTRIBUTION_INVALID,
  JM_DISTRIBUTION_UNIFORM,
  JM_DISTRIBUTION_NORMAL,
} jm_rng_distribution;

typedef enum jm_transpose {
  JM_TRANSPOSE_INVALID,
  JM_TRANSPOSE_NO_TRANSPOSE,
  JM_TRANSPOSE_TRANSPOSE,
  JM_TRANSPOSE_ADJOINT,
} jm_transpose;

typedef enum jm_attr_kind {
#define ATTR_KIND(kind, type) JM_ATTR_##kind,
#include "ir/attr.def"
  JM_N_ATTR_KINDS
} jm_attr_kind;

/* An entry of a custom call's dictionary. DATA is of an element type that no other kind has: one
 * element, or a list of them. */
typedef enum jm_dict_kind {
  JM_DICT_I64,
  JM_DICT_F64,
  JM_DICT_BOOL,
  JM_DICT_STR,
  JM_DICT_I64S,
  JM_DICT_DATA,
} jm_dict_kind;
struct jm_dict_entry {
  jm_str key;
  jm_dict_kind kind;
  jm_dtype dtype; /* of DATA */
  int64_t i64;    /* also BOOL; of DATA: how many elements, -1 for one that is not a list */
  double f64;
  jm_str str; /* of DATA: its bytes */
  jm_i64s i64s;
};

typedef int64_t jm_attr_I64;
typedef bool jm_attr_BOOL;
typedef jm_i64s jm_attr_I64S;
typedef jm_str jm_attr_STR;
typedef jm_data jm_attr_DATA;
typedef jm_dict jm_attr_DICT;
typedef jm_direction jm_attr_DIRECTION;
typedef jm_order jm_attr_ORDER;
typedef jm_precision jm_attr_PRECISION;
typedef jm_fft_kind jm_attr_FFT;
typedef jm_rng_algorithm jm_attr_RNG;
typedef jm_rng_distribution jm_attr_DISTRIBUTION;
typedef jm_transpose jm_attr_TRANSPOSE;

/* struct jm_<op>_attrs, one per op; an op without attributes has the one padding byte. */
#define ATTR(kind, name) jm_attr_##kind name;
#define OP(name, operands, results, regions, types, traits, verify, ref, factors, attrs, summary) \
  typedef struct jm_##name##_attrs {                                                              \
    attrs char end;                                                                               \
  } jm_##name##_attrs;
#include "ir/ops.def"
#undef ATTR

/* A field of an op's attribute struct. */
typedef struct jm_attr_field {
  const char *name;
  jm_attr_kind kind;
  uint32_t offset;
} jm_attr_field;

/* The spellings of an enumerated kind's values, ended by NULL; NULL for other kinds. */
const char *const *jm_attr_spellings(jm_attr_kind kind);

#endif
