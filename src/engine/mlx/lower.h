/* SPDX-License-Identifier: Apache-2.0
 * Lowers ops to MLX's primitives, one by one, while an execution runs: a lowering function takes
 * the operands' arrays and builds the results' (lazy: MLX computes them later, on other threads).
 * StableHLO's meaning is composed here, in C, never in the bridge.
 *
 * A lowering is written as an expression: jm_mlx_add(l, a, jm_mlx_negative(l, b)). Every call
 * registers its array with the scope, which releases all of them when the op is done; after a first
 * error every call returns NULL and does nothing, and the error is the op's. */
#ifndef JM_ENGINE_MLX_LOWER_H
#define JM_ENGINE_MLX_LOWER_H

#include "engine/mlx/bridge.h"
#include "ir/body.h"
#include "ir/tensor.h"

/* An operand: on the device, on the host, or both. */
typedef struct jm_lower_operand {
  const jm_type *type;
  jm_mlx_array *array; /* of any shape; NULL: only on the host */
  const void *host;    /* NULL: only on the device; dense data */
} jm_lower_operand;

/* Scalars that lowerings ask for again and again, each uploaded once a program: a hash table that
 * forgets. Loop counters are among them. */
enum { JM_LOWER_SCALARS = 2048, JM_LOWER_PROBES = 8 };
typedef struct jm_lower_scalar_slot {
  jm_dtype dtype;
  uint64_t bits;
  jm_mlx_array *array; /* NULL: free */
} jm_lower_scalar_slot;
typedef struct jm_lower_scalars {
  jm_lower_scalar_slot *slots; /* JM_LOWER_SCALARS; NULL: none was asked for yet */
} jm_lower_scalars;
void jm_lower_scalars_release(const jm_mlx_api *api, jm_lower_scalars *scalars);

typedef struct jm_lowering {
  const jm_mlx_api *api;
  const jm_module *module;
  const jm_op *op;
  jm_lower_operand *in; /* op->n_operands */
  jm_mlx_array **out;   /* op->n_results: set by the lowering, owned by the scope until taken;
                           the result's elements in order, whatever the shape */
  jm_lower_scalars *scalars;
  struct jm_mlx_kernels *kernels;           /* of the program's groups, NULL: there are none */
  struct jm_mlx_user_kernels *user_kernels; /* NULL: there are none */
  const struct jm_mlx_link *link;           /* to the other processes, NULL: there is none */
  jm_mlx_array *exchanged; /* what the last collective over the link gave, retained; NULL: none */
  jm_error *error;         /* the first one; sticky */
  jm_mlx_array **scope;    /* arrays to release when the op is done */
  uint32_t n_scope, scope_capacity;
  uint32_t n_calls; /* of primitives, since somebody counted them */
  jm_text *calls;   /* their names, for JAX_MPS_DEBUG=launches; NULL: nobody asks */
  jm_arena scratch; /* memory until the op is done */
} jm_lowering;

/* Operand i on the device; uploads it if it is only on the host. */
jm_mlx_array *jm_lower_array(jm_lowering *l, uint32_t i);
/* The same for who does not look at its shape: the operand's elements in order. A reshape costs
 * the host as much as a launch, and most of them would be for nobody. */
jm_mlx_array *jm_lower_elements(jm_lowering *l, uint32_t i);
/* Operand i's data on the host, NULL if it is only on the device. */
static inline const void *jm_lower_host(const jm_lowering *l, uint32_t i) { return l->in[i].host; }
static inline const jm_type *jm_lower_type(const jm_lowering *l, uint32_t i) {
  return l->in[i].type;
}
static inline const jm_type *jm_lower_result(const jm_lowering *l, uint32_t i) {
  return jm_op_result_type(l->module, l->op, i);
}

/* Those in this shape. */
jm_mlx_array *jm_lower_shaped(jm_lowering *l, uint32_t i, const int64_t *dims, uint32_t rank);

/* A scalar constant from its bytes. */
jm_mlx_array *jm_lower_scalar(jm_lowering *l, jm_dtype dtype, const void *bytes);
/* A scalar constant of this element type (converted from the double or the integer). */
jm_mlx_array *jm_lower_f64(jm_lowering *l, jm_dtype dtype, double value);
jm_mlx_array *jm_lower_i64(jm_lowering *l, jm_dtype dtype, int64_t value);

/* A copy of dense host data on the device; the caller owns it. UNIMPLEMENTED for what MLX can't
 * hold. */
jm_error *jm_lower_import(const jm_mlx_api *api, const jm_type *type, const void *data,
                          jm_mlx_array **out) JM_MUST_USE;

/* Registers an array that the lowering owns; returns it. */
jm_mlx_array *jm_lower_keep(jm_lowering *l, jm_mlx_array *a);

/* The types that MLX can hold: not f64, complex128, f8 or types below 8 bits, and no dimension of
 * 2^31 or more. Empty arrays are excluded, too: MLX throws on some of them (a maximum over no
 * elements), and there is nothing to compute. */
bool jm_lower_type_supported(const jm_type *type);

typedef void jm_lower_fn(jm_lowering *l);

/* The lowering of an op, NULL if MLX can't do it: then the host's library runs it.
 * Looks at element types, attributes and regions, never at values. */
jm_lower_fn *jm_lower_find(const jm_module *module, const jm_op *op);

/* Does MLX do this pattern in one call, as exactly as op by op, and would our own kernels not do as
 * well? See jm_backend.takes_pattern. */
bool jm_lower_takes_pattern(const jm_module *module, const jm_op *fusion,
                            const jm_mlx_device_fact *device, bool has_kernels);

/* One call per primitive, expanded from prims.def. */
#define PRIM1(name, function) jm_mlx_array *jm_mlx_##name(jm_lowering *l, jm_mlx_array *a);
#define PRIM2(name, function) \
  jm_mlx_array *jm_mlx_##name(jm_lowering *l, jm_mlx_array *a, jm_mlx_array *b);
#define PRIM_AXES(name, function) \
  jm_mlx_array *jm_mlx_##name(jm_lowering *l, jm_mlx_array *a, const int32_t *axes, int n);
#define PRIM_AXIS(name, function) \
  jm_mlx_array *jm_mlx_##name(jm_lowering *l, jm_mlx_array *a, int axis);
#define PRIM(name, parameters, arguments) \
  jm_mlx_array *jm_mlx_##name(jm_lowering *l, JM_UNPAREN parameters);
#include "engine/mlx/prims.def"

#endif
