/* SPDX-License-Identifier: Apache-2.0
 * dot_general as matrix products, one per index of the batch dimensions. Dimensions that play one
 * role and lie in memory as one are taken as one, so that most layouts need no copy: the product
 * takes any row and column stride. Only an operand whose rows or columns aren't evenly spaced is
 * packed first. */
#include <string.h>

#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/host/library/blas.h"
#include "engine/host/library/gemm_bf16.h"
#include "engine/host/library/gemm_s8.h"
#include "engine/host/library/pack.h"
#include "engine/host/library/product.h"

enum {
  MAX_RANK = JM_PACK_RANK,
  BATCH_GRAIN = 1 << 16, /* multiplications that are worth a task */
};

/* Dimensions of an operand that play one role, in the order that they are walked. */
typedef struct role {
  uint32_t n;
  int64_t dims[MAX_RANK];
  ptrdiff_t strides[MAX_RANK];
  size_t count;
  ptrdiff_t stride; /* between neighbours, if even */
} role;

typedef struct operand {
  role batch, rest, contract;
  const void *data;
  void *packed;
} operand;

static void add_dim(role *r, const jm_type *type, const ptrdiff_t *strides, int64_t dim) {
  r->dims[r->n] = type->dims[dim];
  r->strides[r->n++] = strides[dim];
  r->count *= (size_t)type->dims[dim];
}

static void init_operand(const jm_type *type, const jm_i64s *batch, const jm_i64s *contract,
                         const void *data, operand *out) {
  *out = (operand){.data = data};
  out->batch.count = out->rest.count = out->contract.count = 1;
  ptrdiff_t strides[MAX_RANK], stride = 1;
  for (uint32_t d = type->rank; d-- > 0; stride *= (ptrdiff_t)type->dims[d]) strides[d] = stride;
  uint32_t used = 0; /* bit per dimension */
  for (uint32_t i = 0; i < batch->n; i++) {
    add_dim(&out->batch, type, strides, batch->data[i]);
    used |= 1u << batch->data[i];
  }
  for (uint32_t i = 0; i < contract->n; i++) {
    add_dim(&out->contract, type, strides, contract->data[i]);
    used |= 1u << contract->data[i];
  }
  for (uint32_t d = 0; d < type->rank; d++)
    if (!(used >> d & 1)) add_dim(&out->rest, type, strides, d);
}

static void swap_dims(role *r, uint32_t i, uint32_t j) {
  int64_t dim = r->dims[i];
  ptrdiff_t stride = r->strides[i];
  r->dims[i] = r->dims[j], r->strides[i] = r->strides[j];
  r->dims[j] = dim, r->strides[j] = stride;
}

/* The order of contracted dimensions is free if it is one for both: the order of `leader`'s
 * memory. */
static void sort_contracted(role *leader, role *follower) {
  for (uint32_t i = 1; i < leader->n; i++)
    for (uint32_t j = i; j && leader->strides[j - 1] < leader->strides[j]; j--) {
      swap_dims(leader, j - 1, j);
      swap_dims(follower, j - 1, j);
    }
}

static bool is_even(role *r) { return jm_pack_find_stride(r->n, r->dims, r->strides, &r->stride); }

/* Elements that would have to be copied. */
static size_t cost(operand *x) {
  return is_even(&x->rest) && is_even(&x->contract)
             ? 0
             : x->batch.count * x->rest.count * x->contract.count;
}

/* A dense copy [batch][rest][contract] takes the operand's place. */
static jm_error *pack(operand *x, size_t element) {
  role *roles[3] = {&x->batch, &x->rest, &x->contract};
  int64_t dims[MAX_RANK];
  ptrdiff_t from[MAX_RANK], to[MAX_RANK], stride = 1;
  uint32_t n = 0;
  size_t count = 1;
  for (int r = 0; r < 3; r++) {
    count *= roles[r]->count;
    for (uint32_t i = 0; i < roles[r]->n; i++, n++) {
      dims[n] = roles[r]->dims[i];
      from[n] = roles[r]->strides[i];
    }
  }
  x->packed = jm_scratch_take(count * element);
  if (!x->packed) return jm_error_out_of_memory();
  for (uint32_t d = n; d-- > 0; stride *= (ptrdiff_t)dims[d]) to[d] = stride;
  jm_pack_run(element, n, dims, from, x->data, to, x->packed);
  x->data = x->packed;
  n = 0;
  for (int r = 0; r < 3; r++)
    for (uint32_t i = 0; i < roles[r]->n; i++) roles[r]->strides[i] = to[n++];
  return is_even(&x->rest) && is_even(&x->contract) ? NULL : jm_error_internal("dot_general: pack");
}

/* Products by instructions of this machine for narrow operands, which widen as they add. */
typedef jm_error *narrow_fn(const jm_gemm *gemm, jm_dtype result);

static narrow_fn *find_narrow(jm_dtype lhs, jm_dtype rhs, jm_dtype result) {
  if (jm_gemm_bf16_supports(lhs, rhs, result)) return jm_gemm_bf16_run;
  if (jm_gemm_s8_supports(lhs, rhs, result)) return jm_gemm_s8_run;
  return NULL;
}

typedef struct products {
  jm_gemm gemm; /* of the first batch index */
  narrow_fn *narrow;
  jm_dtype result;
  const role *lhs_batch, *rhs_batch;
  jm_error *_Atomic error;
} products;

static ptrdiff_t batch_offset(const role *r, size_t index) {
  ptrdiff_t offset = 0;
  for (uint32_t d = r->n; d-- > 0; index /= (size_t)r->dims[d])
    offset += (ptrdiff_t)(index % (size_t)r->dims[d]) * r->strides[d];
  return offset;
}

static void run_products(void *context, size_t begin, size_t end) {
  products *p = context;
  ptrdiff_t element = (ptrdiff_t)jm_dtype_bytes(p->gemm.dtype);
  size_t out_bytes = p->gemm.m * p->gemm.n * jm_dtype_bytes(p->result);
  for (size_t i = begin; i < end; i++) {
    jm_gemm g = p->gemm;
    g.a = (const char *)g.a + batch_offset(p->lhs_batch, i) * element;
    g.b = (const char *)g.b + batch_offset(p->rhs_batch, i) * element;
    g.c = (char *)g.c + i * out_bytes;
    jm_error *error = p->narrow ? p->narrow(&g, p->result) : jm_gemm_run(&g);
    if (error) jm_error_destroy(atomic_exchange(&p->error, error));
  }
}

static jm_error *run(const jm_product *product, narrow_fn *narrow, operand *lhs, operand *rhs,
                     jm_dtype result) {
  const jm_dtype dtype = product->dtype;
  size_t element = jm_dtype_bytes(dtype);
  sort_contracted(&lhs->contract, &rhs->contract);
  size_t by_lhs = cost(lhs) + cost(rhs);
  if (by_lhs) {
    sort_contracted(&rhs->contract, &lhs->contract);
    if (cost(lhs) + cost(rhs) > by_lhs) sort_contracted(&lhs->contract, &rhs->contract);
  }
  if (cost(lhs)) JM_TRY(pack(lhs, element));
  if (cost(rhs)) JM_TRY(pack(rhs, element));
  products p = {.gemm = {.dtype = dtype,
                         .m = lhs->rest.count,
                         .n = rhs->rest.count,
                         .k = lhs->contract.count,
                         .a = lhs->data,
                         .a_row = lhs->rest.stride,
                         .a_col = lhs->contract.stride,
                         .b = rhs->data,
                         .b_row = rhs->contract.stride,
                         .b_col = rhs->rest.stride,
                         .c = product->out,
                         .ldc = rhs->rest.count},
                .narrow = narrow,
                .result = result,
                .lhs_batch = &lhs->batch,
                .rhs_batch = &rhs->batch};
  size_t work = p.gemm.m * p.gemm.n * p.gemm.k;
  jm_parallel_for(lhs->batch.count, BATCH_GRAIN / (work + 1) + 1, run_products, &p);
  return atomic_load(&p.error);
}

jm_error *jm_library_dot_general(const jm_call *call) {
  const jm_dot_general_attrs *attrs = call->op->attrs;
  if (!call->out[0].type->count) return NULL;
  if (call->in[0].type->rank > MAX_RANK || call->in[1].type->rank > MAX_RANK)
    return jm_op_error(call->module, call->op, JM_UNIMPLEMENTED, "more than %d dimensions",
                       (int)MAX_RANK);
  const jm_tensor *in = call->in, *out = call->out;
  jm_dtype result = out->type->dtype;
  jm_product product = {in->type->dtype, in[0].data, in[1].data, out->data, {0}};
  narrow_fn *narrow = find_narrow(in[0].type->dtype, in[1].type->dtype, result);
  if (!narrow) {
    int64_t terms = 1;
    for (uint32_t i = 0; i < attrs->lhs_contract.n; i++)
      terms *= in->type->dims[attrs->lhs_contract.data[i]];
    JM_TRY(jm_product_init(call, terms, &product));
    result = product.dtype;
  }
  operand lhs, rhs;
  init_operand(call->in[0].type, &attrs->lhs_batch, &attrs->lhs_contract, product.lhs, &lhs);
  init_operand(call->in[1].type, &attrs->rhs_batch, &attrs->rhs_contract, product.rhs, &rhs);
  jm_error *error = run(&product, narrow, &lhs, &rhs, result);
  if (!error) error = jm_product_store(call, &product);
  jm_scratch_give(lhs.packed);
  jm_scratch_give(rhs.packed);
  jm_product_deinit(&product);
  return error;
}
