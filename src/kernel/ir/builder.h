/* SPDX-License-Identifier: Apache-2.0
 * Shared by the parts of the builder: its state, evaluation of single instructions on bits
 * (evaluate.c, also used by the interpreter), ranges and simplification of integers (range.c,
 * simplify.c). Code that builds kernels uses build.h. */
#ifndef JM_KERNEL_IR_BUILDER_H
#define JM_KERNEL_IR_BUILDER_H

#include "kernel/ir/build.h"

/* The possible values of an integer, read as signed (i1: 0 or 1). */
typedef struct jm_krange {
  int64_t lo, hi;
} jm_krange;

struct jm_kbuilder {
  jm_kernel *kernel;
  jm_error *error;
  jm_arena arena; /* of the arrays below */
  jm_kblock *open;
  uint32_t n_open, open_capacity; /* open[d] is the open block of depth d */
  jm_krange *ranges;              /* per value */
  uint32_t ranges_capacity;
  jm_kinst *table; /* of pure instructions, by hash; JM_KNONE: free */
  uint32_t table_size, table_count;
  uint32_t nesting; /* of simplifications; bounds their recursion */
  bool without_f64; /* jm_kbuilder_allow_f64 */
  bool scales;      /* jm_kbuilder_allow_scale */
};

/* The instruction that defines v, NULL: an argument. */
static inline const jm_kinst_fact *jm_kbuilder_inst(const jm_kbuilder *b, jm_kval v) {
  jm_kinst inst = b->kernel->values[v].inst;
  return inst == JM_KNONE ? NULL : &b->kernel->insts[inst];
}
/* Is v the result of such an instruction? Then its operands. */
static inline const jm_kval *jm_kbuilder_match(const jm_kbuilder *b, jm_kval v, jm_kopcode code) {
  const jm_kinst_fact *inst = jm_kbuilder_inst(b, v);
  return inst && inst->code == code ? inst->operands : NULL;
}
static inline uint32_t jm_kbuilder_depth(const jm_kbuilder *b, jm_kval v) {
  return b->kernel->blocks[b->kernel->values[v].block].depth;
}

/* Sign extends the bits of an integer type; i1 stays 0 or 1. */
static inline int64_t jm_kvalue_signed(jm_ktype type, uint64_t bits) {
  uint32_t width = jm_ktype_bits[type];
  if (width == 1 || width == 64) return (int64_t)bits;
  return (int64_t)(bits << (64 - width)) >> (64 - width);
}
static inline uint64_t jm_kvalue_mask(jm_ktype type, uint64_t bits) {
  uint32_t width = jm_ktype_bits[type];
  return width == 64 ? bits : bits & ((UINT64_C(1) << width) - 1);
}

/* One pure instruction on the bits of its operands (zero extended, as in const). `from` is the type
 * of the operands (of select: of the last two), `to` of the result. false: undefined. */
bool jm_kernel_evaluate(jm_kopcode code, jm_ktype from, jm_ktype to, uint64_t imm,
                        const uint64_t *x, uint64_t *out);

/* May this cast go from one type to the other? */
bool jm_kernel_cast_allowed(jm_kopcode code, jm_ktype from, jm_ktype to);

jm_krange jm_krange_full(jm_ktype type);
/* Of a pure instruction's integer result, from its operands. */
jm_krange jm_krange_find(const jm_kernel *k, const jm_krange *ranges, jm_kopcode code,
                         jm_ktype type, const jm_kval *x);
/* Of every value of a finished kernel; ranges has an entry for each. */
void jm_krange_find_all(const jm_kernel *k, jm_krange *ranges);
/* Sums and products; false: may overflow. */
bool jm_krange_add(jm_krange a, jm_krange b, jm_krange *out);
bool jm_krange_scale(jm_krange a, int64_t c, jm_krange *out);

/* A value equal to the instruction's result, built of simpler ones; JM_KNONE: there is none.
 * May exchange the operands of commutative instructions. */
jm_kval jm_ksimplify(jm_kbuilder *b, jm_kopcode code, jm_ktype type, jm_kval *x);

#endif
