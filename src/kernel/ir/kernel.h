/* SPDX-License-Identifier: Apache-2.0
 * The kernel IR: what a fused group of ops becomes before it is printed for a machine. A kernel is
 * scalar SSA with structured control over a few typed memory parameters. The emission of ops
 * (emit.h) spells out every rule of an op's meaning in instructions; printers and the interpreter
 * only know the instructions of insts.def.
 *
 * Parallelism is how a loop is bound, not how its body is written: the body of a vector loop is
 * written for one lane, and a printer widens it. So one body serves the interpreter, vectors of any
 * width, and GPU lanes.
 *  - serial: one iteration after the other.
 *  - vector(w): iterations [lower, lower + w * floor((upper - lower) / w)) run in blocks of w
 * lanes, the remainder one by one after them. Iterations must be independent except for carries.
 * With carries every lane starts from the initial values; after the blocks the w lanes are combined
 *    by halves (lane i with lane i + w/2, then w/4, ...; `combine` has the lower lane's values
 *    first), and the remainder continues from the combined values, in order. The result therefore
 * depends on w and the data alone, on every machine. The initial value must be neutral for
 * `combine`, since w lanes start from it. If there are fewer than w iterations, all run one by one.
 *    Inside a vector loop: serial loops whose bounds do not depend on the lane; no while, no if
 *    (build selects), no other vector loop.
 *  - chunk: the kernel's outermost loop, at most one and at top level, without carries: its range
 *    is [0, kernel->chunks), and a launch runs any part of it on any thread. Iterations must be
 *    independent.
 *  - threads(w): the w lanes of a group run the loop together: iteration lower + i runs in lane
 *    i % w, and the iterations of one lane run in order. Iterations must be independent except for
 *    carries. With carries every lane starts from the initial values (which must be neutral for
 *    `combine`, as above), there is no remainder that runs one by one, and lanes are combined by
 *    halves as above, all w of them even if there are fewer than w iterations; every lane sees the
 *    result. The loop's stores are visible to all lanes after it.
 *    Inside a threads loop control belongs to a lane: serial loops whose bounds may depend on the
 *    lane, while and if are allowed; chunk, vector and threads loops are not. A threads loop itself
 *    stands where control is uniform, which is everywhere outside of threads loops.
 *
 * Groups. A kernel with threads loops runs each chunk iteration as one group of w lanes: all its
 * threads loops have one width, and it has no vector loops. Outside of threads loops all lanes
 * compute the same values, a load is made by every lane, and a store happens once (lane 0 makes
 * it). SCRATCH is memory that the lanes of a group share. A group may run several chunk iterations
 * one after the other, in its one SCRATCH; nothing synchronizes two groups.
 * `barrier` makes a group's accesses of SCRATCH, of GLOBAL, or of both that come before it visible
 * to all its lanes behind it. It stands outside of threads loops. Code that builds kernels never
 * writes one: jm_kbuilder_finish inserts barriers where two lanes may access one element and one of
 * them writes (barriers.c). The memory through which a printer combines the carries of lanes is not
 * part of the kernel, and neither are the barriers that it needs: a combination synchronizes
 * nothing else.
 *
 * This file: the data structure. build.h makes kernels, verify.c checks them, print.c writes them
 * as text, interpret.c runs them, llvm.c prints LLVM IR. */
#ifndef JM_KERNEL_IR_KERNEL_H
#define JM_KERNEL_IR_KERNEL_H

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/text.h"

typedef enum jm_ktype {
  JM_KT_i1,
  JM_KT_i8,
  JM_KT_i16,
  JM_KT_i32,
  JM_KT_i64,
  JM_KT_f32,
  JM_KT_f64,
  JM_N_KTYPES
} jm_ktype;

typedef enum jm_kopcode {
#define INST(name, ...) JM_K_##name,
#include "kernel/ir/insts.def"
  JM_N_KOPS
} jm_kopcode;

typedef enum jm_kcall {
#define CALL(name, ...) JM_KCALL_##name,
#include "kernel/ir/calls.def"
  JM_N_KCALLS
} jm_kcall;

typedef enum jm_kbinding {
  JM_BIND_SERIAL,
  JM_BIND_VECTOR,
  JM_BIND_CHUNK,
  JM_BIND_THREADS,
  JM_N_BINDINGS
} jm_kbinding;

enum { JM_MOST_THREADS = 1024 }; /* the width of a threads loop, at most */

/* The memory that a barrier synchronizes: its imm. */
enum { JM_SCOPE_SCRATCH = 1, JM_SCOPE_GLOBAL = 2 };

typedef enum jm_kspace {
  JM_SPACE_GLOBAL,  /* a buffer that the launch is given */
  JM_SPACE_SCRATCH, /* memory of one worker or group, undefined at the start of each chunk iteration
                     */
} jm_kspace;

typedef uint32_t jm_kval;   /* an SSA value */
typedef uint32_t jm_kblock; /* a straight list of instructions with arguments and yielded values */
typedef uint32_t jm_kinst;
#define JM_KNONE UINT32_MAX

/* Memory: an array of elements. i1 does not occur; a pred is an i8 of 0 or 1. Two GLOBAL parameters
 * may be the same memory only if the schedule says so in `alias`: parameters with one nonzero alias
 * class may overlap, exactly (same start) or not at all. */
typedef struct jm_kparam {
  jm_kspace space;
  jm_ktype element;
  int64_t elements; /* size; the interpreter checks every access against it */
  bool written;
  uint32_t alias;
} jm_kparam;

typedef struct jm_kvalue {
  jm_ktype type;
  jm_kinst inst;   /* that defines it, JM_KNONE: an argument of block */
  jm_kblock block; /* that it lives in */
} jm_kvalue;

typedef struct jm_kinst_fact {
  jm_kopcode code;
  uint32_t n_operands, n_results, n_blocks;
  jm_kval *operands;
  jm_kval first_result;  /* results are consecutive */
  jm_kblock first_block; /* blocks are consecutive */
  uint64_t imm;          /* const: bits; load, store: parameter; call: jm_kcall; barrier: scopes */
  jm_kbinding binding;   /* of a loop */
  uint32_t width;        /* of a vector or threads loop, a power of two; 0: of another */
} jm_kinst_fact;

typedef struct jm_kblock_fact {
  jm_kval first_arg; /* consecutive */
  uint32_t n_args;
  jm_kinst *insts;
  uint32_t n_insts, capacity;
  jm_kval *yields;
  uint32_t n_yields;
  jm_kinst parent; /* the structured instruction, JM_KNONE: the top */
  uint32_t depth;  /* 0: the top */
} jm_kblock_fact;

typedef struct jm_kernel {
  jm_arena arena;   /* owns all of the below */
  const char *name; /* for people; not part of what is compiled */
  jm_kparam *params;
  uint32_t n_params, params_capacity;
  jm_kvalue *values;
  uint32_t n_values, values_capacity;
  jm_kinst_fact *insts;
  uint32_t n_insts, insts_capacity;
  jm_kblock_fact *blocks; /* block 0 is the top */
  uint32_t n_blocks, blocks_capacity;
  int64_t chunks; /* iterations of the chunk loop; 1 if there is none */
  int64_t grain;  /* chunk iterations that are worth a thread, at least 1; depends on sizes only */
} jm_kernel;

typedef struct jm_kop_fact {
  const char *name;
  int operands;
  int result; /* JM_KRESULT_* */
  uint32_t flags;
} jm_kop_fact;
enum {
  JM_KRESULT_NONE,
  JM_KRESULT_SAME,
  JM_KRESULT_BOOL,
  JM_KRESULT_CAST,
  JM_KRESULT_TYPE,
  JM_KRESULT_SELECT,
  JM_KRESULT_MANY
};
enum { JM_KFLAG_PURE = 1, JM_KFLAG_INT = 2, JM_KFLAG_FLT = 4 };
extern const jm_kop_fact jm_kop_facts[JM_N_KOPS];
extern const char *const jm_ktype_names[JM_N_KTYPES];
extern const uint32_t jm_ktype_bytes[JM_N_KTYPES]; /* in memory */
extern const uint32_t jm_ktype_bits[JM_N_KTYPES];
/* The C functions of calls.def: of f32, of f64; to be cast to their own types. */
extern void (*const jm_kcall_functions[JM_N_KCALLS][2])(void);
extern const uint32_t jm_kcall_arguments[JM_N_KCALLS];
/* The symbol by which compiled code refers to the table above, the only one that it lacks: whoever
 * loads the code gives it a copy. */
#define JM_KCALL_TABLE "jm_kcall_functions"

extern const char *const jm_kbinding_names[JM_N_BINDINGS];

/* The bytes that a parameter takes of scratch memory, in whole cache lines; the next one follows.
 */
static inline size_t jm_kparam_bytes(const jm_kparam *param) {
  return jm_alloc_lines((size_t)param->elements * jm_ktype_bytes[param->element]);
}

static inline bool jm_ktype_is_float(jm_ktype t) { return t == JM_KT_f32 || t == JM_KT_f64; }
/* Do lanes run the loop, so that what it carries needs a combination? */
static inline bool jm_kbinding_has_lanes(jm_kbinding binding) {
  return binding == JM_BIND_VECTOR || binding == JM_BIND_THREADS;
}
/* May an access to one be an access to the other? */
static inline bool jm_kparam_overlaps(const jm_kparam *x, const jm_kparam *y) {
  return x == y || (x->alias && x->alias == y->alias);
}

jm_error *jm_kernel_create(const char *name, jm_kernel **out) JM_MUST_USE;
void jm_kernel_destroy(jm_kernel *kernel); /* NULL is allowed */

/* INTERNAL naming the first thing that breaks a rule of kernel.h or insts.def. */
jm_error *jm_kernel_verify(const jm_kernel *kernel) JM_MUST_USE;

/* The text form. Two kernels with equal text (the name apart) are the same code: the key of the
 * cache of compiled code. */
void jm_kernel_print(const jm_kernel *kernel, jm_text *text);
/* Reads the text form and verifies it. Not for untrusted text. */
jm_error *jm_kernel_parse(const char *text, size_t size, jm_kernel **out) JM_MUST_USE;

/* The calling convention of compiled kernels, and of the interpreter. buffers: one address per
 * GLOBAL parameter, in order; scratch: jm_kernel_scratch_bytes bytes aligned to 64, this worker's;
 * runs chunk iterations [begin, end). cancelled: polled by `while` and by serial loops outside of
 * vector loops when they have run long; NULL: never. Results are undefined once the kernel has seen
 * it set. */
typedef void jm_kernel_fn(void *const *buffers, void *scratch, int64_t begin, int64_t end,
                          const atomic_bool *cancelled);

/* How many lanes a group has: the width of the kernel's threads loops, 0 if there is none (then one
 * lane runs it). */
uint32_t jm_kernel_threads(const jm_kernel *kernel);

/* Inserts the barriers that the kernel lacks, and no other; nothing if it has no threads loop.
 * jm_kbuilder_finish does so. */
jm_error *jm_kernel_insert_barriers(jm_kernel *kernel) JM_MUST_USE;

/* Bytes of all SCRATCH parameters, each aligned to 64, in order. */
size_t jm_kernel_scratch_bytes(const jm_kernel *kernel);

/* Runs a verified kernel, scalar by scalar. INTERNAL if an access is out of bounds (then a schedule
 * is wrong), or races with that of another lane or chunk iteration (races.h; in kernels with
 * threads loops), RESOURCE_EXHAUSTED. */
jm_error *jm_kernel_interpret(const jm_kernel *kernel, void *const *buffers, void *scratch,
                              int64_t begin, int64_t end, const atomic_bool *cancelled) JM_MUST_USE;

/* Appends the kernel to text as the LLVM function `void @name(ptr, ptr, i64, i64, ptr)`, a
 * jm_kernel_fn; declarations of the intrinsics that it uses are gathered for the end of the text.
 * Never prints half, bfloat, i128, or a symbol outside LLVM's intrinsics that are lowered inline on
 * the target; C functions are called through JM_KCALL_TABLE. */
typedef struct jm_target jm_target; /* target.h */
typedef struct jm_llvm_module jm_llvm_module;
jm_error *jm_llvm_module_create(const jm_target *target, jm_llvm_module **out) JM_MUST_USE;
void jm_llvm_module_destroy(jm_llvm_module *module);
/* What is added from now on becomes less code with equal results, that compiles sooner and runs
 * longer: no vector of several registers, and none of those copies of a loop's body that would
 * serve the last iterations or write past the caches. */
void jm_llvm_module_shorten(jm_llvm_module *module);
jm_error *jm_llvm_module_add(jm_llvm_module *module, const jm_kernel *kernel,
                             const char *symbol) JM_MUST_USE;
/* The whole module's text, NUL terminated; lives as long as the module. */
jm_error *jm_llvm_module_finish(jm_llvm_module *module, const char **text) JM_MUST_USE;

#endif
