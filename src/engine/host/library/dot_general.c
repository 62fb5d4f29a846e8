/* SPDX-License-Identifier: Apache-2.0
 * dot_general as matrix products, one per index of the batch dimensions. Dimensions that play one
 * role and lie in memory as one are taken as one, so that most layouts need no copy: the product
 * takes any row and column stride. Where rows or columns are groups of evenly spaced ones, there is
 * a product for each group, if groups are large; else the operand is packed first. */
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
  LEAST_GROUP = 32,      /* rows or columns that are worth a product of their own, */
  LEAST_PART = 1 << 12,  /* and elements of the operand */
  MOST_GAP = 4,          /* from element to element of a row that is not copied */
  MANY_PRODUCTS = 64,    /* keep all threads busy without being cut */
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
  bool has_rows; /* of the result; else columns */
  const void *data;
  void *packed;
} operand;

static void add_dim(role *r, const jm_type *type, const ptrdiff_t *strides, int64_t dim) {
  r->dims[r->n] = type->dims[dim];
  r->strides[r->n++] = strides[dim];
  r->count *= (size_t)type->dims[dim];
}

static void init_operand(const jm_type *type, const jm_i64s *batch, const jm_i64s *contract,
                         const void *data, bool has_rows, operand *out) {
  *out = (operand){.data = data, .has_rows = has_rows};
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

/* Neighbouring dimensions that are evenly spaced as one become one; there is at least one then. */
static void merge(role *r) {
  uint32_t n = 0;
  for (uint32_t d = 0; d < r->n; d++) {
    if (r->dims[d] == 1) continue;
    if (n && r->strides[n - 1] == r->strides[d] * (ptrdiff_t)r->dims[d]) {
      r->dims[n - 1] *= r->dims[d];
      r->strides[n - 1] = r->strides[d];
    } else {
      r->dims[n] = r->dims[d], r->strides[n++] = r->strides[d];
    }
  }
  if (!n) r->dims[0] = 1, r->strides[n++] = 1;
  r->n = n;
}

/* The dimension of rest that one product takes: the last, whose results are consecutive; or of rows
 * the largest. */
static uint32_t find_group(const operand *x) {
  uint32_t group = x->rest.n - 1;
  for (uint32_t d = 0; x->has_rows && d < x->rest.n; d++)
    if (x->rest.dims[d] > x->rest.dims[group]) group = d;
  return group;
}

/* Whether products take the groups where they are: large ones, of consecutive rows or columns, or
 * of rows with small gaps, as images have whose channels come last. */
static bool is_grouped(const operand *x) {
  const uint32_t at = find_group(x);
  const size_t group = (size_t)x->rest.dims[at];
  const bool is_dense =
      x->rest.strides[at] == 1 || (x->contract.stride >= 1 && x->contract.stride <= MOST_GAP);
  return x->rest.n == 1 ||
         (is_dense && group >= LEAST_GROUP && group * x->contract.count >= LEAST_PART);
}

/* Elements that would have to be copied. */
static size_t cost(operand *x) {
  return is_even(&x->contract) && is_grouped(x)
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
  merge(&x->rest);
  return is_even(&x->contract) ? NULL : jm_error_internal("dot_general: pack");
}

/* Products by instructions of this machine for narrow operands, which widen as they add. */
typedef jm_error *narrow_fn(const jm_gemm *gemm, jm_dtype result);

static narrow_fn *find_narrow(jm_dtype lhs, jm_dtype rhs, jm_dtype result) {
  if (jm_gemm_bf16_supports(lhs, rhs, result)) return jm_gemm_bf16_run;
  if (jm_gemm_s8_supports(lhs, rhs, result)) return jm_gemm_s8_run;
  return NULL;
}

/* A dimension along which products are repeated, and the strides of operands and result. */
typedef struct loop {
  size_t count;
  ptrdiff_t a, b, c;
} loop;

typedef struct products {
  jm_gemm gemm; /* the first */
  narrow_fn *narrow;
  jm_dtype result;
  uint32_t n_loops;
  loop loops[2 * MAX_RANK];
  jm_error *_Atomic error;
} products;

static void run_products(void *context, size_t begin, size_t end) {
  products *p = context;
  const ptrdiff_t element = (ptrdiff_t)jm_dtype_bytes(p->gemm.dtype);
  for (size_t i = begin; i < end; i++) {
    ptrdiff_t a = 0, b = 0, c = 0;
    size_t rest = i;
    for (uint32_t l = p->n_loops; l-- > 0; rest /= p->loops[l].count) {
      const ptrdiff_t at = (ptrdiff_t)(rest % p->loops[l].count);
      a += at * p->loops[l].a, b += at * p->loops[l].b, c += at * p->loops[l].c;
    }
    jm_gemm g = p->gemm;
    g.a = (const char *)g.a + a * element;
    g.b = (const char *)g.b + b * element;
    g.c = (char *)g.c + c * (ptrdiff_t)jm_dtype_bytes(p->result);
    jm_error *error = p->narrow ? p->narrow(&g, p->result) : jm_gemm_run(&g);
    if (error) jm_error_destroy(atomic_exchange(&p->error, error));
  }
}

/* Loops over the groups of an operand's rest; results of its neighbours are `step` apart. Returns
 * how far those of neighbours within a group are. */
static ptrdiff_t add_groups(products *p, const operand *x, ptrdiff_t step) {
  const uint32_t group = find_group(x);
  ptrdiff_t inside = step;
  for (uint32_t d = x->rest.n; d-- > 0; step *= (ptrdiff_t)x->rest.dims[d]) {
    const ptrdiff_t stride = x->rest.strides[d];
    if (d == group)
      inside = step;
    else
      p->loops[p->n_loops++] =
          (loop){(size_t)x->rest.dims[d], x->has_rows ? stride : 0, x->has_rows ? 0 : stride, step};
  }
  return inside;
}

static jm_error *run(const jm_product *product, narrow_fn *narrow, operand *lhs, operand *rhs,
                     jm_dtype result) {
  const jm_dtype dtype = product->dtype;
  size_t element = jm_dtype_bytes(dtype);
  sort_contracted(&lhs->contract, &rhs->contract);
  merge(&lhs->rest);
  merge(&rhs->rest);
  size_t by_lhs = cost(lhs) + cost(rhs);
  if (by_lhs) {
    sort_contracted(&rhs->contract, &lhs->contract);
    if (cost(lhs) + cost(rhs) > by_lhs) sort_contracted(&lhs->contract, &rhs->contract);
  }
  if (cost(lhs)) JM_TRY(pack(lhs, element));
  if (cost(rhs)) JM_TRY(pack(rhs, element));
  const uint32_t rows = find_group(lhs), columns = find_group(rhs);
  products p = {.gemm = {.dtype = dtype,
                         .m = (size_t)lhs->rest.dims[rows],
                         .n = (size_t)rhs->rest.dims[columns],
                         .k = lhs->contract.count,
                         .a = lhs->data,
                         .a_row = lhs->rest.strides[rows],
                         .a_col = lhs->contract.stride,
                         .b = rhs->data,
                         .b_row = rhs->contract.stride,
                         .b_col = rhs->rest.strides[columns],
                         .c = product->out},
                .narrow = narrow,
                .result = result};
  ptrdiff_t step = (ptrdiff_t)(lhs->batch.count * lhs->rest.count * rhs->rest.count);
  for (uint32_t d = 0; d < lhs->batch.n; d++) {
    step /= (ptrdiff_t)lhs->batch.dims[d];
    p.loops[p.n_loops++] =
        (loop){(size_t)lhs->batch.dims[d], lhs->batch.strides[d], rhs->batch.strides[d], step};
  }
  p.gemm.ldc = (size_t)add_groups(&p, lhs, (ptrdiff_t)rhs->rest.count);
  add_groups(&p, rhs, 1);
  size_t n = 1, work = p.gemm.m * p.gemm.n * p.gemm.k;
  for (uint32_t l = 0; l < p.n_loops; l++) n *= p.loops[l].count;
  p.gemm.one_thread = n >= MANY_PRODUCTS;
  jm_parallel_for(n, BATCH_GRAIN / (work + 1) + 1, run_products, &p);
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
  init_operand(call->in[0].type, &attrs->lhs_batch, &attrs->lhs_contract, product.lhs, true, &lhs);
  init_operand(call->in[1].type, &attrs->rhs_batch, &attrs->rhs_contract, product.rhs, false, &rhs);
  jm_error *error = run(&product, narrow, &lhs, &rhs, result);
  if (!error) error = jm_product_store(call, &product);
  jm_scratch_give(lhs.packed);
  jm_scratch_give(rhs.packed);
  jm_product_deinit(&product);
  return error;
}
