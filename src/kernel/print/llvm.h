/* SPDX-License-Identifier: Apache-2.0
 * What the files llvm*.c share: the state of printing one kernel as LLVM IR. Not an interface:
 * whoever compiles kernels uses jm_llvm_module of kernel.h. */
#ifndef JM_KERNEL_PRINT_LLVM_H
#define JM_KERNEL_PRINT_LLVM_H

#include "kernel/ir/kernel.h"

/* How the lanes of a value in a vector loop differ. */
typedef enum jm_lane_kind {
  JM_LANE_UNIFORM, /* not at all: kept as a scalar */
  JM_LANE_AFFINE,  /* lane i is lane 0 plus i * stride, modulo the type: kept as lane 0's scalar */
  JM_LANE_VARYING, /* a vector */
} jm_lane_kind;

typedef struct jm_lane {
  jm_lane_kind kind;
  uint64_t stride;
} jm_lane;

/* Finds how the values of a block (and of its loops) differ, given its arguments' entries in lanes.
 * INTERNAL if the block has something that vector loops may not have. */
jm_error *jm_lane_find(const jm_kernel *k, jm_kblock block, jm_lane *lanes) JM_MUST_USE;

/* Finds which i64 values always fit an i32: arithmetic on vectors of them takes half the registers,
 * and divisions by constants stay in vectors. narrow has an entry per value. */
jm_error *jm_lane_narrow(const jm_kernel *k, bool *narrow) JM_MUST_USE;

/* A value as it is written: a name or a constant. */
typedef struct jm_llvm_name {
  char text[80];
} jm_llvm_name;

struct jm_llvm_module {
  jm_target target;
  jm_text declarations, functions, metadata, all;
  uint32_t next_metadata;
};

typedef struct jm_llvm_printer {
  jm_llvm_module *module;
  const jm_kernel *k;
  jm_text *out;
  uint32_t width;     /* lanes of what is printed now; 1: scalars */
  uint32_t next;      /* number of the next name or label */
  uint32_t label;     /* of the block that is printed now */
  uint32_t *scalars;  /* per value, the number of its name; 0: none */
  uint32_t *vectors;  /* the same as a vector of width lanes */
  jm_kval *made;      /* values that were made vectors of, in order */
  uint32_t n_made;    /* and are known in the block printed now */
  jm_kinst *partners; /* of a store: the one that was put off to be written with it */
  bool *put_off;      /* per instruction */
  jm_lane *lanes;
  bool *narrow;     /* per value: as a vector it has lanes of i32, not i64 */
  uint32_t *groups; /* per parameter: what may overlap has one number, 0: what is only read */
  uint32_t n_groups, first_metadata;
  bool in_vector; /* inside a vector loop, its scalar rest too */
  jm_arena arena;
} jm_llvm_printer;

/* An i64 as base + what is returned; base is JM_KNONE for a constant. */
int64_t jm_llvm_find_offset(const jm_kernel *k, jm_kval v, jm_kval *base);

jm_llvm_name jm_llvm_type(jm_ktype type, uint32_t width);

/* A constant's own text, or its name. */
jm_llvm_name jm_llvm_scalar(const jm_llvm_printer *p, jm_kval v);
/* The value as a vector of its own type; prints what makes it one. */
jm_llvm_name jm_llvm_vector(jm_llvm_printer *p, jm_kval v);
/* The same, with lanes of i32 if it is narrow. */
jm_llvm_name jm_llvm_narrow_vector(jm_llvm_printer *p, jm_kval v);
/* Gives a new name to a value, and says it. */
uint32_t jm_llvm_define(jm_llvm_printer *p, jm_kval v, bool vector);
/* Forgets the vectors made since there were n_made: control leaves the block that has them. */
void jm_llvm_forget(jm_llvm_printer *p, uint32_t n_made);

static inline bool jm_llvm_is_vector(const jm_llvm_printer *p, jm_kval v) {
  return p->width > 1 && p->lanes[v].kind == JM_LANE_VARYING;
}

/* Instructions without blocks, on scalars or vectors. llvm_inst.c */
void jm_llvm_print_inst(jm_llvm_printer *p, jm_kinst inst);
/* A declaration of an intrinsic, once. */
void jm_llvm_declare(jm_llvm_printer *p, const char *format, ...) JM_PRINTF(2, 3);
/* Loads and stores. llvm_memory.c */
void jm_llvm_print_load(jm_llvm_printer *p, const jm_kinst_fact *f);
void jm_llvm_print_store(jm_llvm_printer *p, jm_kinst inst);
/* Finds stores of a block that are written together with a later one (jm_llvm_printer.partners). */
void jm_llvm_pair_stores(jm_llvm_printer *p, jm_kblock block);

#endif
