/* SPDX-License-Identifier: Apache-2.0
 * Kernels as text of languages like C: one printer, and for each dialect a table of the
 * differences. It does not know which compiler takes the text.
 *
 * A chunk iteration is one group; a launch has any number of groups, of jm_c_threads threads each,
 * which take the iterations in turns. Buffers are arrays of the parameters' elements: an i8 to i64
 * is an integer of its width, signed or not, so that f16, bf16 and the like are 16-bit words; an i8
 * that is a pred may be a bool. */
#ifndef JM_KERNEL_PRINT_C_H
#define JM_KERNEL_PRINT_C_H

#include "kernel/ir/kernel.h"

/* Replaces the C column of an instruction (insts.def); "": the dialect has no such thing. */
typedef struct jm_c_override {
  jm_kopcode code;
  const char *f32, *f64;
} jm_c_override;

typedef struct jm_c_dialect {
  const char *name;
  const char *prelude;                   /* the start of every source: jm_* of insts.def */
  const char *types[JM_N_KTYPES];        /* integers: unsigned */
  const char *signed_types[JM_N_KTYPES]; /* of integers */
  const char *long_suffix;               /* of an unsigned constant of 64 bits */
  const jm_c_override *overrides;        /* n_overrides of them */
  uint32_t n_overrides;
  const char *calls[JM_N_KCALLS][2]; /* of f32, of f64: replace calls.def's; "": not there */
  bool has_f64;
  uint32_t max_buffers, max_threads;
  size_t max_shared; /* bytes of memory that the lanes of a group share */

  /* Functions. `function` has a %s for the symbol, `parameter` for "const " or "", type,
   * "restrict" or "", and name, then %u for its number; NULL: a jm_kernel_fn. */
  const char *function, *parameter, *restricted, *more_parameters;
  const char *group, *groups; /* this group's number, how many there are */
  /* Lanes. All NULL: one thread runs all lanes of a group. */
  const char *lane;
  const char *barriers[4];    /* by the scopes of the instruction */
  const char *shared;         /* in front of a variable that a group's lanes share */
  const char *shared_pointer; /* in front of a pointer to such memory */
} jm_c_dialect;

extern const jm_c_dialect jm_c_host; /* C11, for tests: compile with -fno-strict-aliasing and
                                        -ffp-contract=off */
extern const jm_c_dialect jm_c_cuda; /* CUDA C++, also for NVRTC */
extern const jm_c_dialect jm_c_metal;

/* Appends the kernel as a function with a buffer for each GLOBAL parameter, in order, without the
 * prelude. UNIMPLEMENTED names what the dialect lacks. */
jm_error *jm_c_print_function(const jm_kernel *kernel, const jm_c_dialect *dialect,
                              const char *symbol, jm_text *text) JM_MUST_USE;
/* The body alone, as mlx::core::fast::metal_kernel and cuda_kernel take it: parameters that the
 * kernel only reads are in0, in1, ..., those that it writes are out0, out1, ..., each in order. The
 * prelude is their header. */
jm_error *jm_c_print_body(const jm_kernel *kernel, const jm_c_dialect *dialect,
                          jm_text *text) JM_MUST_USE;

/* How many threads a group is launched with. */
uint32_t jm_c_threads(const jm_kernel *kernel);
/* Bytes of memory that the text declares for the lanes of a group: SCRATCH, and the exchange memory
 * for combining carries. */
size_t jm_c_shared_bytes(const jm_kernel *kernel);

#endif
