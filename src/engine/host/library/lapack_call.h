/* SPDX-License-Identifier: Apache-2.0
 * Custom calls mps.<name> that are a LAPACK routine applied to every matrix of a batch: a table of
 * targets with signatures, and the driver that checks them, splits the batch over threads, and
 * turns row-major matrices into column-major ones and back. One matrix's arithmetic is in
 * lapack_eigen.c, lapack_factor.c and lapack_tridiagonal.c. */
#ifndef JM_LIBRARY_LAPACK_CALL_H
#define JM_LIBRARY_LAPACK_CALL_H

#include "engine/call.h"
#include "engine/host/library/blas.h"

/* For custom_call.c's table: the target is the op's. */
jm_error *jm_lapack_call_check(const jm_module *module, const jm_op *op) JM_MUST_USE;
jm_error *jm_lapack_call_run(const jm_call *call) JM_MUST_USE;

enum { JM_LAPACK_TENSORS = 4, JM_LAPACK_WORKS = 16, JM_LAPACK_ROUTINES = 2 };

/* The facts that all matrices of a call share. */
typedef struct jm_lapack_problem {
  jm_dtype dtype, real; /* as computed: of f32, f64, c64, c128 */
  size_t element, real_element;
  const jm_dict *config;
  uint32_t n_results;
  int sizes[26];            /* of the signature's letters */
  const char *const *names; /* of the routines in Fortran */
  jm_blas_routine *const *routines;
} jm_lapack_problem;

/* The state for one matrix at a time, with memory that is reused for the next one. */
typedef struct jm_lapack_item {
  const jm_lapack_problem *problem;
  /* Matrices are column-major; operands are copies that may be overwritten. Results of rank 0 and 1
   * point to where they belong. A result that is a matrix is NULL: the routine makes it point to
   * memory of in[] or jm_lapack_work, and sets its leading dimension if that isn't the rows. */
  void *in[JM_LAPACK_TENSORS], *out[JM_LAPACK_TENSORS];
  int ld[JM_LAPACK_TENSORS];
  bool failed;       /* set by the routine: there is no answer, results become NaN */
  int work_sizes[3]; /* the routine's own: what workspace queries said, 0 at first */
  void *works[JM_LAPACK_WORKS];
  size_t work_bytes[JM_LAPACK_WORKS];
} jm_lapack_item;

typedef jm_error *jm_lapack_fn(jm_lapack_item *item);

/* Does the next `count` matrices of a batch, whose tensors are at in and out as the batch has them:
 * row-major, in the computed types. */
typedef void jm_lapack_lanes_fn(const jm_lapack_problem *problem, size_t count,
                                const char *const *in, char *const *out);

/* A target. The signature has a capital letter per operand or result for its element type (T the
 * matrices', R the real one of it, C the complex one, I s32), small ones for its dimensions behind
 * the batch's; '>' stands before the results, brackets around those that may be left out, all that
 * follow with them. k is the lesser of m and n, p is n - 1; others are what the first mention is.
 */
typedef struct jm_lapack_target {
  const char *name, *signature;
  jm_lapack_fn *run;
  const char *names[4][JM_LAPACK_ROUTINES]; /* f32 f64 c64 c128 */
  const char *keys[4];                      /* integers and booleans that config must have */
  /* Checks beyond the signature; NULL: none. */
  bool (*is_valid)(const jm_lapack_problem *problem);
  /* How JM_LOOPS_LANES matrices are done at a time, if such ones can be; NULL: none can. */
  jm_lapack_lanes_fn *(*find_lanes)(const jm_lapack_problem *problem);
} jm_lapack_target;

extern const jm_lapack_target jm_lapack_eigen_targets[5], jm_lapack_factor_targets[4],
    jm_lapack_tridiagonal_targets[1];

static inline int jm_lapack_size(const jm_lapack_problem *p, char letter) {
  return p->sizes[letter - 'a'];
}

/* A leading dimension of that many rows. */
static inline int jm_lapack_ld(int rows) { return rows > 1 ? rows : 1; }

static inline size_t jm_lapack_index(const jm_lapack_problem *p) {
  return (size_t)(p->dtype == JM_DT_f32   ? 0
                  : p->dtype == JM_DT_f64 ? 1
                  : p->dtype == JM_DT_c64 ? 2
                                          : 3);
}

/* An entry of config, which is there. */
int64_t jm_lapack_config(const jm_lapack_problem *problem, const char *key);

/* At least that many bytes, the routine's own; kept for the item's next matrix under that slot. */
jm_error *jm_lapack_work(jm_lapack_item *item, uint32_t slot, size_t bytes, void **out) JM_MUST_USE;

/* The size that a workspace query stored in the first element. */
int jm_lapack_wanted(const jm_lapack_problem *problem, const void *first);

/* INTERNAL if a routine didn't like an argument: that is a mistake of ours. */
jm_error *jm_lapack_refused(const jm_lapack_problem *problem, int routine, int info) JM_MUST_USE;

/* Whether all n numbers of the matrices' type are finite. Some routines never end otherwise. */
bool jm_lapack_is_finite(const jm_lapack_problem *problem, const void *data, size_t n);

#endif
