/* SPDX-License-Identifier: Apache-2.0
 * Element types of tensors: enum and facts, expanded from dtype.def. The arithmetic of the narrow
 * formats is in number.h. */
#ifndef JM_BASE_DTYPE_H
#define JM_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum jm_dtype {
#define DTYPE(name, class, bits, bytes, pjrt, vhlo) JM_DT_##name,
#include "base/dtype.def"
  JM_N_DTYPES
} jm_dtype;

typedef enum jm_dtype_class {
  JM_CLASS_PRED,
  JM_CLASS_SINT,
  JM_CLASS_UINT,
  JM_CLASS_FLOAT,
  JM_CLASS_COMPLEX,
  JM_CLASS_TOKEN,
} jm_dtype_class;

typedef struct jm_dtype_fact {
  const char *name;
  jm_dtype_class kind;
  uint8_t bits;  /* width of a value */
  uint8_t bytes; /* of an element in our buffers */
  uint8_t pjrt;  /* PJRT_Buffer_Type */
  int8_t vhlo;   /* type code in VHLO's bytecode, -1 if none */
} jm_dtype_fact;

extern const jm_dtype_fact jm_dtype_facts[JM_N_DTYPES];

static inline const char *jm_dtype_name(jm_dtype d) { return jm_dtype_facts[d].name; }
static inline size_t jm_dtype_bytes(jm_dtype d) { return jm_dtype_facts[d].bytes; }
static inline jm_dtype_class jm_dtype_classof(jm_dtype d) { return jm_dtype_facts[d].kind; }
static inline bool jm_dtype_is_float(jm_dtype d) { return jm_dtype_classof(d) == JM_CLASS_FLOAT; }
static inline bool jm_dtype_is_complex(jm_dtype d) {
  return jm_dtype_classof(d) == JM_CLASS_COMPLEX;
}
/* signed or unsigned, without pred */
static inline bool jm_dtype_is_integer(jm_dtype d) {
  return jm_dtype_classof(d) == JM_CLASS_SINT || jm_dtype_classof(d) == JM_CLASS_UINT;
}

/* No tensor has more dimensions: readers and the verifier enforce it. */
enum { JM_RANK_MAX = 64 };

/* Each returns false if there is none. */
bool jm_dtype_from_name(const char *name, size_t size, jm_dtype *out);
bool jm_dtype_from_pjrt(int pjrt, jm_dtype *out);
bool jm_dtype_from_vhlo(uint64_t code, jm_dtype *out);

/* The type that products of lhs and rhs are summed in: the result's integer type or pred, else the
 * widest of f32, f64, c64 and c128 that is involved, so that narrow floats are rounded once, at the
 * end. No precision or algorithm attribute asks for more than that. False: the
 * operands can't become the result (floats an integer, complex numbers a real one). */
bool jm_dtype_of_product(jm_dtype lhs, jm_dtype rhs, jm_dtype result, jm_dtype *out);

/* The real type of a complex one (c64 → f32); others are returned as they are. */
static inline jm_dtype jm_dtype_real(jm_dtype d) {
  return d == JM_DT_c64 ? JM_DT_f32 : d == JM_DT_c128 ? JM_DT_f64 : d;
}

#endif
