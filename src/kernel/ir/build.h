/* SPDX-License-Identifier: Apache-2.0
 * Builds kernels. The builder folds constants, simplifies integer arithmetic (x + 0, x * 1, (x + a)
 * + b, compares of constants, ...), shares equal pure instructions, and places each pure
 * instruction in the outermost open block where its operands are visible: loop-invariant code is
 * built before the loop, once, without a pass. Loads of parameters that the kernel never writes are
 * shared and moved the same way (their index must be in bounds wherever it can be computed, which
 * emit.h ensures; they stay in the loop if the parameter has no elements).
 *
 * Errors are sticky: after a failed allocation or a rule broken every function returns 0 and
 * jm_kbuilder_finish reports the first error. Calls can therefore be nested without checks. */
#ifndef JM_KERNEL_IR_BUILD_H
#define JM_KERNEL_IR_BUILD_H

#include "kernel/ir/kernel.h"

typedef struct jm_kbuilder jm_kbuilder;

jm_error *jm_kbuilder_create(const char *name, jm_kbuilder **out) JM_MUST_USE;
void jm_kbuilder_destroy(jm_kbuilder *b); /* NULL is allowed; destroys an unfinished kernel */
/* Closes the top block, drops pure instructions that nothing uses, verifies, inserts barriers, and
 * hands the kernel over. */
jm_error *jm_kbuilder_finish(jm_kbuilder *b, jm_kernel **out) JM_MUST_USE;

/* May functions of f32 be computed through f64? False for machines without f64, or with a slow one;
 * true at the start. Values that are f64 in the program stay f64. */
void jm_kbuilder_allow_f64(jm_kbuilder *b, bool allowed);
bool jm_kbuilder_allows_f64(const jm_kbuilder *b);
/* Has the machine the instruction fscale? False at the start. */
void jm_kbuilder_allow_scale(jm_kbuilder *b, bool allowed);
bool jm_kbuilder_scales(const jm_kbuilder *b);

/* Makes the builder fail with this error (takes it over); the first one stays. */
void jm_kbuilder_fail(jm_kbuilder *b, jm_error *error);
bool jm_kbuilder_failed(const jm_kbuilder *b);

/* A parameter; alias classes as in jm_kparam (0: overlaps nothing). Parameters of
 * an alias class are declared before the first load or store. */
uint32_t jm_kbuild_param(jm_kbuilder *b, jm_kspace space, jm_ktype element, int64_t elements,
                         bool written, uint32_t alias);

/* -- constants */
jm_kval jm_kbuild_const(jm_kbuilder *b, jm_ktype type, uint64_t bits);
jm_kval jm_kbuild_int(jm_kbuilder *b, jm_ktype type, int64_t value);
jm_kval jm_kbuild_float(jm_kbuilder *b, jm_ktype type, double value); /* rounded to type */
static inline jm_kval jm_kbuild_index(jm_kbuilder *b, int64_t value) {
  return jm_kbuild_int(b, JM_KT_i64, value);
}
/* Is v a constant, and of which bits? */
bool jm_kbuild_is_const(const jm_kbuilder *b, jm_kval v, uint64_t *bits);
jm_ktype jm_kbuild_type(const jm_kbuilder *b, jm_kval v);
/* May v be used in the block that is open now? */
bool jm_kbuild_is_visible(const jm_kbuilder *b, jm_kval v);

/* -- instructions without blocks: the result's type follows from insts.def, or is given. Being pure
 * they may be executed speculatively: an operand (of a division, say) is guarded by a select, never
 * by an `if` around the instruction. */
jm_kval jm_kbuild1(jm_kbuilder *b, jm_kopcode code, jm_kval x);
jm_kval jm_kbuild2(jm_kbuilder *b, jm_kopcode code, jm_kval x, jm_kval y);
jm_kval jm_kbuild3(jm_kbuilder *b, jm_kopcode code, jm_kval x, jm_kval y, jm_kval z);
jm_kval jm_kbuild_cast(jm_kbuilder *b, jm_kopcode code, jm_ktype type, jm_kval x);
/* The same by the instruction's name: jm_k_fadd(b, x, y), jm_k_select(b, condition, x, y),
 * jm_k_sext(b, type, x), ... */
#define JM_K_BUILD_1(name)                                       \
  static inline jm_kval jm_k_##name(jm_kbuilder *b, jm_kval x) { \
    return jm_kbuild1(b, JM_K_##name, x);                        \
  }
#define JM_K_BUILD_2(name)                                                  \
  static inline jm_kval jm_k_##name(jm_kbuilder *b, jm_kval x, jm_kval y) { \
    return jm_kbuild2(b, JM_K_##name, x, y);                                \
  }
#define JM_K_BUILD_3(name)                                                             \
  static inline jm_kval jm_k_##name(jm_kbuilder *b, jm_kval x, jm_kval y, jm_kval z) { \
    return jm_kbuild3(b, JM_K_##name, x, y, z);                                        \
  }
#define JM_K_BUILD_SAME(name, operands) JM_K_BUILD_##operands(name)
#define JM_K_BUILD_BOOL(name, operands) JM_K_BUILD_##operands(name)
#define JM_K_BUILD_SELECT(name, operands) JM_K_BUILD_##operands(name)
#define JM_K_BUILD_CAST(name, operands)                                         \
  static inline jm_kval jm_k_##name(jm_kbuilder *b, jm_ktype type, jm_kval x) { \
    return jm_kbuild_cast(b, JM_K_##name, type, x);                             \
  }
#define JM_K_BUILD_TYPE(name, operands) /* these have functions of their own, below and above */
#define JM_K_BUILD_NONE(name, operands)
#define JM_K_BUILD_MANY(name, operands)
#define INST(name, operands, result, ...) JM_K_BUILD_##result(name, operands)
#include "kernel/ir/insts.def"

jm_kval jm_kbuild_call(jm_kbuilder *b, jm_kcall call, const jm_kval *args);
jm_kval jm_kbuild_load(jm_kbuilder *b, uint32_t param, jm_kval index);
void jm_kbuild_store(jm_kbuilder *b, uint32_t param, jm_kval index, jm_kval value);
/* The square at the start of scratch memory, in lines that lie `pitch` elements apart. */
void jm_kbuild_transpose(jm_kbuilder *b, uint32_t param, int64_t pitch, jm_kval rows,
                         jm_kval columns);

/* -- loops. begin opens the body and gives the index and the carries as the body sees them; end
 * closes it with the next carries and gives the loop's results. */
typedef struct jm_kloop {
  jm_kval index;
  jm_kval carries[16]; /* in the body; after end: the results */
  uint32_t n_carries;  /* at most 16 */
  jm_kinst inst;
} jm_kloop;

void jm_kbuild_loop_begin(jm_kbuilder *b, jm_kbinding binding, uint32_t width, jm_kval lower,
                          jm_kval upper, const jm_kval *initial, uint32_t n, jm_kloop *loop);
void jm_kbuild_loop_end(jm_kbuilder *b, jm_kloop *loop, const jm_kval *next);
/* The same for a vector or threads loop with carries: combine(context, b, lower, upper, out) builds
 * one combination of n pairs. */
typedef void jm_kcombine(void *context, jm_kbuilder *b, const jm_kval *lower, const jm_kval *upper,
                         jm_kval *out);
void jm_kbuild_loop_end_combine(jm_kbuilder *b, jm_kloop *loop, const jm_kval *next,
                                jm_kcombine *combine, void *context);
/* The chunk loop over [0, chunks). */
void jm_kbuild_chunk_begin(jm_kbuilder *b, int64_t chunks, int64_t grain, jm_kloop *loop);

/* -- while: begin opens the condition; `body` closes it with an i1 and opens the body; end as
 * above. Any number of carries: arrays of n, kept by the caller. */
jm_kinst jm_kbuild_while_begin(jm_kbuilder *b, const jm_kval *initial, uint32_t n,
                               jm_kval *carries);
void jm_kbuild_while_body(jm_kbuilder *b, jm_kinst inst, jm_kval condition, jm_kval *carries);
void jm_kbuild_while_end(jm_kbuilder *b, jm_kinst inst, const jm_kval *next, jm_kval *results);

/* -- if: begin opens then; `else` closes it with what it yields and opens else. */
jm_kinst jm_kbuild_if_begin(jm_kbuilder *b, jm_kval condition);
void jm_kbuild_if_else(jm_kbuilder *b, jm_kinst inst, const jm_kval *yields, uint32_t n);
void jm_kbuild_if_end(jm_kbuilder *b, jm_kinst inst, const jm_kval *yields, jm_kval *results);

#endif
