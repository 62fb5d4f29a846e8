/* SPDX-License-Identifier: Apache-2.0
 * Data movement against the definition, element by element, on random shapes of every element size;
 * then the edges that random cases miss. */
#include <math.h>

#include "engine/host/library/copy.h"
#include "unit/ref_case.h"

enum { RANK = 5, ROUNDS = 150 };
static const jm_dtype dtypes[] = {JM_DT_pred, JM_DT_s4,  JM_DT_bf16,
                                  JM_DT_f32,  JM_DT_s64, JM_DT_c128};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

static uint32_t random_shape(int64_t *dims, int64_t low, int64_t high) {
  uint32_t rank = (uint32_t)case_random(0, RANK - 1);
  for (uint32_t d = 0; d < rank; d++) dims[d] = case_random(low, high);
  if (rank && !case_random(0, 3)) dims[rank - 1] = case_random(20, 90);
  return rank;
}

static jm_dtype random_dtype(void) { return dtypes[case_random(0, N_DTYPES - 1)]; }

static void test_transpose(void) {
  for (int round = 0; round < ROUNDS; round++) {
    ref_case c;
    case_begin(&c);
    int64_t dims[RANK], permutation[RANK], out[RANK], at[RANK], from[RANK];
    uint32_t rank = random_shape(dims, 0, 9);
    for (uint32_t d = 0; d < rank; d++) permutation[d] = d;
    for (uint32_t d = rank; d-- > 1;) {
      int64_t other = case_random(0, d), swap = permutation[d];
      permutation[d] = permutation[other];
      permutation[other] = swap;
    }
    for (uint32_t d = 0; d < rank; d++) out[d] = dims[permutation[d]];
    jm_dtype dtype = random_dtype();
    case_in(&c, dtype, rank, dims, NULL);
    case_out(&c, dtype, rank, out);
    case_op(&c, JM_OP_transpose, &(jm_transpose_attrs){.permutation = {permutation, rank}}, 0);
    CHECK_OK(case_run(&c));
    bool ok = true;
    for (int64_t i = 0; i < c.out[0].type->count; i++) {
      case_unravel(c.out[0].type, i, at);
      for (uint32_t d = 0; d < rank; d++) from[permutation[d]] = at[d];
      ok &= case_same(&c.out[0], i, &c.in[0], case_ravel(c.in[0].type, from));
    }
    CHECK(ok);
    case_end(&c);
  }
}

static void test_broadcast(void) {
  for (int round = 0; round < ROUNDS; round++) {
    ref_case c;
    case_begin(&c);
    int64_t out[RANK], dims[RANK], map[RANK], at[RANK], from[RANK];
    uint32_t rank = random_shape(out, 0, 9), n = 0;
    for (uint32_t d = 0; d < rank; d++)
      if (case_random(0, 1)) {
        map[n] = d;
        dims[n++] = case_random(0, 2) ? out[d] : 1;
      }
    if (n > 1 && case_random(0, 1)) { /* the map need not be sorted */
      int64_t swap = map[0], size = dims[0];
      map[0] = map[n - 1], dims[0] = dims[n - 1];
      map[n - 1] = swap, dims[n - 1] = size;
    }
    jm_dtype dtype = random_dtype();
    case_in(&c, dtype, n, dims, NULL);
    case_out(&c, dtype, rank, out);
    case_op(&c, JM_OP_broadcast_in_dim, &(jm_broadcast_in_dim_attrs){.dims = {map, n}}, 0);
    CHECK_OK(case_run(&c));
    bool ok = true;
    for (int64_t i = 0; i < c.out[0].type->count; i++) {
      case_unravel(c.out[0].type, i, at);
      for (uint32_t d = 0; d < n; d++) from[d] = dims[d] == 1 ? 0 : at[map[d]];
      ok &= case_same(&c.out[0], i, &c.in[0], case_ravel(c.in[0].type, from));
    }
    CHECK(ok);
    case_end(&c);
  }
}

static void test_slice_and_reverse(void) {
  for (int round = 0; round < ROUNDS; round++) {
    ref_case c;
    case_begin(&c);
    int64_t dims[RANK], start[RANK], limit[RANK], stride[RANK], out[RANK], at[RANK];
    uint32_t rank = random_shape(dims, 0, 9);
    for (uint32_t d = 0; d < rank; d++) {
      start[d] = case_random(0, dims[d]);
      limit[d] = case_random(start[d], dims[d]);
      stride[d] = case_random(0, 9) ? case_random(1, 3) : INT64_MAX;
      out[d] = limit[d] == start[d] ? 0 : (limit[d] - start[d] - 1) / stride[d] + 1;
    }
    jm_dtype dtype = random_dtype();
    case_in(&c, dtype, rank, dims, NULL);
    case_out(&c, dtype, rank, out);
    case_op(
        &c, JM_OP_slice,
        &(jm_slice_attrs){.start = {start, rank}, .limit = {limit, rank}, .stride = {stride, rank}},
        0);
    CHECK_OK(case_run(&c));
    bool ok = true;
    for (int64_t i = 0; i < c.out[0].type->count; i++) {
      case_unravel(c.out[0].type, i, at);
      for (uint32_t d = 0; d < rank; d++) at[d] = start[d] + (at[d] ? at[d] * stride[d] : 0);
      ok &= case_same(&c.out[0], i, &c.in[0], case_ravel(c.in[0].type, at));
    }
    CHECK(ok);
    case_end(&c);

    case_begin(&c);
    uint32_t n = 0;
    for (uint32_t d = 0; d < rank; d++)
      if (case_random(0, 1)) start[n++] = d;
    case_in(&c, dtype, rank, dims, NULL);
    case_out(&c, dtype, rank, dims);
    case_op(&c, JM_OP_reverse, &(jm_reverse_attrs){.dims = {start, n}}, 0);
    CHECK_OK(case_run(&c));
    for (int64_t i = 0; i < c.out[0].type->count; i++) {
      case_unravel(c.out[0].type, i, at);
      for (uint32_t d = 0; d < n; d++) at[start[d]] = dims[start[d]] - 1 - at[start[d]];
      ok &= case_same(&c.out[0], i, &c.in[0], case_ravel(c.in[0].type, at));
    }
    CHECK(ok);
    case_end(&c);
  }
}

static void test_pad(void) {
  for (int round = 0; round < 2 * ROUNDS; round++) {
    ref_case c;
    case_begin(&c);
    int64_t dims[RANK], low[RANK], high[RANK], interior[RANK], out[RANK], at[RANK];
    uint32_t rank = random_shape(dims, 0, 7);
    for (uint32_t d = 0; d < rank; d++) {
      interior[d] = case_random(0, 2);
      int64_t full = dims[d] + (dims[d] > 1 ? (dims[d] - 1) * interior[d] : 0);
      low[d] = case_random(-full - 2, 3);
      high[d] = case_random(-full - 2, 3);
      if (full + low[d] + high[d] < 0) high[d] = -full - low[d];
      out[d] = full + low[d] + high[d];
    }
    jm_dtype dtype = random_dtype();
    case_in(&c, dtype, rank, dims, NULL);
    case_in(&c, dtype, 0, NULL, NULL);
    case_out(&c, dtype, rank, out);
    case_op(&c, JM_OP_pad,
            &(jm_pad_attrs){.low = {low, rank}, .high = {high, rank}, .interior = {interior, rank}},
            0);
    CHECK_OK(case_run(&c));
    bool ok = true;
    for (int64_t i = 0; i < c.out[0].type->count; i++) {
      bool inside = true;
      case_unravel(c.out[0].type, i, at);
      for (uint32_t d = 0; d < rank; d++) {
        at[d] -= low[d];
        inside &=
            at[d] >= 0 && at[d] % (interior[d] + 1) == 0 && at[d] / (interior[d] + 1) < dims[d];
        at[d] /= interior[d] + 1;
      }
      ok &= inside ? case_same(&c.out[0], i, &c.in[0], case_ravel(c.in[0].type, at))
                   : case_same(&c.out[0], i, &c.in[1], 0);
    }
    CHECK(ok);
    case_end(&c);
  }
}

static void test_concatenate(void) {
  for (int round = 0; round < ROUNDS; round++) {
    ref_case c;
    case_begin(&c);
    int64_t dims[RANK], at[RANK];
    uint32_t rank = random_shape(dims, 0, 9);
    if (!rank) dims[rank++] = 3;
    int64_t dim = case_random(0, rank - 1), n = case_random(1, 4), total = 0;
    jm_dtype dtype = random_dtype();
    for (int64_t i = 0; i < n; i++, total += dims[dim]) {
      dims[dim] = case_random(0, 5);
      case_in(&c, dtype, rank, dims, NULL);
    }
    dims[dim] = total;
    case_out(&c, dtype, rank, dims);
    case_op(&c, JM_OP_concatenate, &(jm_concatenate_attrs){.dim = dim}, 0);
    CHECK_OK(case_run(&c));
    bool ok = true;
    for (int64_t i = 0; i < c.out[0].type->count; i++) {
      uint32_t k = 0;
      case_unravel(c.out[0].type, i, at);
      for (; at[dim] >= c.in[k].type->dims[dim]; k++) at[dim] -= c.in[k].type->dims[dim];
      ok &= case_same(&c.out[0], i, &c.in[k], case_ravel(c.in[k].type, at));
    }
    CHECK(ok);
    case_end(&c);
  }
}

/* Starts of several integer types, in range, negative and too large. */
static int64_t random_start(ref_case *c, int64_t last) {
  static const int64_t s64[] = {INT64_MIN, INT64_MAX, -1};
  int64_t value = case_random(0, last), wild = case_random(0, 5);
  if (wild < 3) {
    case_in(c, JM_DT_s64, 0, NULL, &s64[wild]);
    value = s64[wild];
  } else if (wild == 3) {
    case_in(c, JM_DT_u64, 0, NULL, &(uint64_t){UINT64_MAX - 3});
    value = INT64_MAX;
  } else if (wild == 4) {
    case_in(c, JM_DT_u8, 0, NULL, &(uint8_t){(uint8_t)value});
  } else {
    value = -value;
    case_in(c, JM_DT_s8, 0, NULL, &(int8_t){(int8_t)value});
  }
  return value < 0 ? 0 : value > last ? last : value;
}

static void test_dynamic(void) {
  for (int round = 0; round < 2 * ROUNDS; round++) {
    ref_case c;
    case_begin(&c);
    int64_t dims[RANK], sizes[RANK], start[RANK], at[RANK];
    uint32_t rank = random_shape(dims, 0, 6);
    bool update = round % 2;
    jm_dtype dtype = random_dtype();
    for (uint32_t d = 0; d < rank; d++) sizes[d] = case_random(0, dims[d]);
    case_in(&c, dtype, rank, dims, NULL);
    if (update) case_in(&c, dtype, rank, sizes, NULL);
    for (uint32_t d = 0; d < rank; d++) start[d] = random_start(&c, dims[d] - sizes[d]);
    case_out(&c, dtype, rank, update ? dims : sizes);
    if (update)
      case_op(&c, JM_OP_dynamic_update_slice, NULL, 0);
    else
      case_op(&c, JM_OP_dynamic_slice, &(jm_dynamic_slice_attrs){.sizes = {sizes, rank}}, 0);
    CHECK_OK(case_run(&c));
    bool ok = true;
    for (int64_t i = 0; i < c.out[0].type->count; i++) {
      bool inside = true;
      case_unravel(c.out[0].type, i, at);
      for (uint32_t d = 0; d < rank; d++) {
        at[d] += update ? -start[d] : start[d];
        inside &= at[d] >= 0 && at[d] < sizes[d];
      }
      if (!update)
        ok &= case_same(&c.out[0], i, &c.in[0], case_ravel(c.in[0].type, at));
      else if (inside)
        ok &= case_same(&c.out[0], i, &c.in[1], case_ravel(c.in[1].type, at));
      else
        ok &= case_same(&c.out[0], i, &c.in[0], i);
    }
    CHECK(ok);
    case_end(&c);
  }
}

/* Large enough for several tasks: transposed, reversed, filled and copied. */
static void test_large(void) {
  static const int64_t dims[] = {3, 500, 301};
  for (int64_t i = 0; i < 6; i++) {
    static const int64_t permutations[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                              {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    const int64_t *p = permutations[i];
    ref_case c;
    case_begin(&c);
    int64_t out[] = {dims[p[0]], dims[p[1]], dims[p[2]]}, at[3], from[3];
    jm_dtype dtype = i % 2 ? JM_DT_f32 : JM_DT_f64;
    case_in(&c, dtype, 3, dims, NULL);
    case_out(&c, dtype, 3, out);
    case_op(&c, JM_OP_transpose, &(jm_transpose_attrs){.permutation = {p, 3}}, 0);
    CHECK_OK(case_run(&c));
    bool ok = true;
    for (int64_t k = 0; k < c.out[0].type->count; k++) {
      case_unravel(c.out[0].type, k, at);
      for (uint32_t d = 0; d < 3; d++) from[p[d]] = at[d];
      ok &= case_same(&c.out[0], k, &c.in[0], case_ravel(c.in[0].type, from));
    }
    CHECK(ok);
    case_end(&c);
  }
  ref_case c;
  case_begin(&c);
  const int64_t n = 1000003;
  uint8_t *x = case_in(&c, JM_DT_u8, 1, &n, NULL), *y = case_out(&c, JM_DT_u8, 1, &n);
  case_op(&c, JM_OP_reverse, &(jm_reverse_attrs){.dims = {(int64_t[]){0}, 1}}, 0);
  CHECK_OK(case_run(&c));
  bool ok = true;
  for (int64_t i = 0; i < n; i++) ok &= y[i] == x[n - 1 - i];
  CHECK(ok);
  case_end(&c);
  case_begin(&c);
  x = case_in(&c, JM_DT_u8, 1, &n, NULL);
  y = case_out(&c, JM_DT_u8, 1, &n);
  case_op(&c, JM_OP_reshape, NULL, 0);
  CHECK_OK(case_run(&c));
  CHECK(!memcmp(x, y, (size_t)n));
  case_end(&c);
  case_begin(&c);
  y = case_out(&c, JM_DT_u8, 1, &n);
  case_op(&c, JM_OP_constant, &(jm_constant_attrs){.value = {&(uint8_t){77}, true}}, 0);
  CHECK_OK(case_run(&c));
  for (int64_t i = 0; i < n; i++) ok &= y[i] == 77;
  CHECK(ok);
  case_end(&c);
}

static void test_iota_and_constant(void) {
  ref_case c;
  case_begin(&c);
  float *f32 = case_out(&c, JM_DT_f32, 3, (int64_t[]){2, 3, 2});
  case_op(&c, JM_OP_iota, &(jm_iota_attrs){.dim = 1}, 0);
  CHECK_OK(case_run(&c));
  for (int i = 0; i < 12; i++) CHECK(f32[i] == (float)(i / 2 % 3));
  case_end(&c);

  case_begin(&c);
  uint8_t *u8 = case_out(&c, JM_DT_u8, 1, (int64_t[]){300});
  case_op(&c, JM_OP_iota, &(jm_iota_attrs){.dim = 0}, 0);
  CHECK_OK(case_run(&c));
  CHECK(u8[255] == 255 && u8[256] == 0 && u8[299] == 43); /* wraps, as XLA does */
  case_end(&c);

  case_begin(&c);
  double *c128 = case_out(&c, JM_DT_c128, 2, (int64_t[]){2, 3});
  case_op(&c, JM_OP_iota, &(jm_iota_attrs){.dim = 1}, 0);
  CHECK_OK(case_run(&c));
  CHECK(c128[10] == 2 && c128[11] == 0);
  case_end(&c);

  case_begin(&c);
  case_out(&c, JM_DT_bf16, 2, (int64_t[]){0, 3});
  case_op(&c, JM_OP_iota, &(jm_iota_attrs){.dim = 0}, 0);
  CHECK_OK(case_run(&c));
  case_end(&c);

  case_begin(&c);
  uint16_t *u16 = case_out(&c, JM_DT_u16, 2, (int64_t[]){7, 3});
  case_op(&c, JM_OP_constant, &(jm_constant_attrs){.value = {&(uint16_t){513}, true}}, 0);
  CHECK_OK(case_run(&c));
  for (int i = 0; i < 21; i++) CHECK(u16[i] == 513);
  case_end(&c);

  /* of bytes that are all alike and of others, more and fewer */
  static const uint32_t values[] = {0, UINT32_MAX, 0x2a2a2a2a, 0x2a2a2a2b, 0x2b2a2a2a};
  static const int64_t sizes[] = {1, 1023, 1024, 1025, 100003};
  for (size_t v = 0; v < sizeof values / sizeof *values; v++)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      bool ok = true;
      case_begin(&c);
      uint32_t *u32 = case_out(&c, JM_DT_u32, 1, &sizes[s]);
      case_op(&c, JM_OP_constant, &(jm_constant_attrs){.value = {&values[v], true}}, 0);
      CHECK_OK(case_run(&c));
      for (int64_t i = 0; i < sizes[s]; i++) ok &= u32[i] == values[v];
      CHECK(ok);
      case_end(&c);
    }
}

/* -- gather and scatter, by the words of the specification */

typedef struct numbers {
  int64_t window_dims[RANK], collapsed[RANK], operand_batch[RANK], indices_batch[RANK], map[RANK],
      sizes[RANK];
  uint32_t n_window, n_collapsed, n_batch, n_map;
  int64_t vector_dim;
  int64_t indices[RANK + 1], batched[2 * RANK];
  uint32_t indices_rank, batched_rank;
} numbers;

static bool has(const int64_t *list, uint32_t n, int64_t value) {
  for (uint32_t i = 0; i < n; i++)
    if (list[i] == value) return true;
  return false;
}

/* For an operand: which dimensions are batching, collapsed or windows; and shapes to match. */
static void random_numbers(numbers *n, uint32_t rank, const int64_t *dims) {
  memset(n, 0, sizeof *n);
  int64_t batch[RANK];
  uint32_t n_batch_dims = 0, n_extra = (uint32_t)case_random(0, 2);
  for (uint32_t i = 0; i < n_extra; i++) batch[n_batch_dims++] = case_random(0, 4);
  for (uint32_t d = 0; d < rank; d++) {
    int64_t kind = case_random(0, 3);
    n->sizes[d] = 1;
    if (kind == 0) {
      n->operand_batch[n->n_batch] = d;
      batch[n_batch_dims] = dims[d];
      n->indices_batch[n->n_batch++] = n_batch_dims++; /* shifted past the vector dimension below */
    } else {
      if (kind == 1 && dims[d])
        n->collapsed[n->n_collapsed++] = d;
      else
        n->sizes[d] = case_random(0, 4) ? case_random(dims[d] > 0, dims[d]) : dims[d];
      if (kind == 1 || case_random(0, 1)) n->map[n->n_map++] = d;
    }
  }
  if (n->n_map > 1 && case_random(0, 1)) {
    int64_t swap = n->map[0];
    n->map[0] = n->map[n->n_map - 1];
    n->map[n->n_map - 1] = swap;
  }
  n->vector_dim = case_random(0, n_batch_dims);
  bool implicit = n->n_map == 1 && case_random(0, 1);
  if (implicit) n->vector_dim = n_batch_dims;
  for (uint32_t d = 0, b = 0; d < n_batch_dims + !implicit; d++)
    n->indices[n->indices_rank++] = d == n->vector_dim ? n->n_map : batch[b++];
  for (uint32_t i = 0; i < n->n_batch; i++)
    if (n->indices_batch[i] >= n->vector_dim) n->indices_batch[i]++;
  uint32_t n_free = rank - n->n_collapsed - n->n_batch, b = 0, w = 0;
  n->batched_rank = n_batch_dims + n_free;
  for (uint32_t d = 0, operand = 0; d < n->batched_rank; d++) {
    bool window = w < n_free && (b == n_batch_dims || case_random(0, 1));
    if (!window) {
      n->batched[d] = batch[b++];
      continue;
    }
    while (has(n->collapsed, n->n_collapsed, operand) || has(n->operand_batch, n->n_batch, operand))
      operand++;
    n->batched[d] = n->sizes[operand++];
    n->window_dims[n->n_window++] = d;
    w++;
  }
}

/* Where element `at` of the batched tensor is in the operand; false: its window does not fit. */
static bool place(const numbers *n, const jm_type *operand, const jm_tensor *indices,
                  const int64_t *at, bool clamp, int64_t *to) {
  int64_t batch[RANK], index[RANK + 1];
  uint32_t b = 0, w = 0;
  bool fits = true;
  for (uint32_t d = 0; d < n->batched_rank; d++)
    if (!has(n->window_dims, n->n_window, d)) batch[b++] = at[d];
  memset(to, 0, RANK * sizeof *to);
  for (uint32_t d = 0, k = 0; d < n->indices_rank; d++)
    if (d != n->vector_dim) index[d] = batch[k++];
  for (uint32_t i = 0; i < n->n_map; i++) {
    if (n->vector_dim < (int64_t)n->indices_rank) index[n->vector_dim] = i;
    int64_t start = ((const int32_t *)indices->data)[case_ravel(indices->type, index)];
    int64_t last = operand->dims[n->map[i]] - n->sizes[n->map[i]];
    fits &= start >= 0 && start <= last;
    if (clamp) start = start < 0 ? 0 : start > last ? last : start;
    to[n->map[i]] = start;
  }
  for (uint32_t i = 0; i < n->n_batch; i++) to[n->operand_batch[i]] = index[n->indices_batch[i]];
  for (uint32_t d = 0; d < operand->rank; d++)
    if (!has(n->collapsed, n->n_collapsed, d) && !has(n->operand_batch, n->n_batch, d))
      to[d] += at[n->window_dims[w++]];
  return fits;
}

static void random_indices(ref_case *c, const numbers *n) {
  case_in(c, JM_DT_s32, n->indices_rank, n->indices, NULL);
  jm_tensor *t = &c->in[c->n_in - 1];
  for (int64_t i = 0; i < t->type->count; i++)
    ((int32_t *)t->data)[i] = (int32_t)case_random(0, 9) ? (int32_t)case_random(-2, 6) : INT32_MIN;
}

static void test_gather(void) {
  for (int round = 0; round < 4 * ROUNDS; round++) {
    ref_case c;
    numbers n;
    case_begin(&c);
    int64_t dims[RANK], at[2 * RANK], from[RANK];
    uint32_t rank = (uint32_t)case_random(0, 3);
    for (uint32_t d = 0; d < rank; d++) dims[d] = case_random(case_random(0, 9) ? 1 : 0, 6);
    random_numbers(&n, rank, dims);
    jm_dtype dtype = random_dtype();
    case_in(&c, dtype, rank, dims, NULL);
    random_indices(&c, &n);
    case_out(&c, dtype, n.batched_rank, n.batched);
    case_op(&c, JM_OP_gather,
            &(jm_gather_attrs){.offset_dims = {n.window_dims, n.n_window},
                               .collapsed_slice_dims = {n.collapsed, n.n_collapsed},
                               .operand_batching_dims = {n.operand_batch, n.n_batch},
                               .start_indices_batching_dims = {n.indices_batch, n.n_batch},
                               .start_index_map = {n.map, n.n_map},
                               .index_vector_dim = n.vector_dim,
                               .slice_sizes = {n.sizes, rank}},
            0);
    CHECK_OK(case_run(&c));
    bool ok = true;
    for (int64_t i = 0; i < c.out[0].type->count; i++) {
      case_unravel(c.out[0].type, i, at);
      place(&n, c.in[0].type, &c.in[1], at, true, from);
      ok &= case_same(&c.out[0], i, &c.in[0], case_ravel(c.in[0].type, from));
    }
    CHECK(ok);
    case_end(&c);
  }
}

/* Integer add, subtract (not commutative, so the order shows) and assignment. */
static void test_scatter(void) {
  for (int round = 0; round < 6 * ROUNDS; round++) {
    ref_case c;
    numbers n;
    case_begin(&c);
    int64_t dims[RANK], at[2 * RANK], to[RANK];
    uint32_t rank = (uint32_t)case_random(0, 3);
    for (uint32_t d = 0; d < rank; d++) dims[d] = case_random(case_random(0, 9) ? 1 : 0, 6);
    if (rank && !case_random(0, 4)) dims[rank - 1] = 40;
    random_numbers(&n, rank, dims);
    case_in(&c, JM_DT_s16, rank, dims, NULL);
    random_indices(&c, &n);
    case_in(&c, JM_DT_s16, n.batched_rank, n.batched, NULL);
    case_out(&c, JM_DT_s16, rank, dims);
    case_op(&c, JM_OP_scatter,
            &(jm_scatter_attrs){.update_window_dims = {n.window_dims, n.n_window},
                                .inserted_window_dims = {n.collapsed, n.n_collapsed},
                                .input_batching_dims = {n.operand_batch, n.n_batch},
                                .scatter_indices_batching_dims = {n.indices_batch, n.n_batch},
                                .scatter_dims_to_operand_dims = {n.map, n.n_map},
                                .index_vector_dim = n.vector_dim},
            1);
    if (round % 3 == 2) {
      jm_value args[2];
      const jm_type *s16 = case_type(&c, JM_DT_s16, 0, NULL);
      for (int i = 0; i < 2; i++) CHECK_OK(jm_build_arg(c.m, case_region(&c, 0), s16, &args[i]));
      CHECK_OK(jm_build_results(c.m, case_region(&c, 0), &args[1], 1));
    } else {
      case_binary(&c, 0, round % 3 ? JM_OP_add : JM_OP_subtract, JM_DT_s16);
    }
    CHECK_OK(case_run(&c));
    int16_t *wanted = jm_alloc_data(jm_type_bytes(c.out[0].type)), *updates = c.in[2].data;
    memcpy(wanted, c.in[0].data, jm_type_bytes(c.out[0].type));
    int64_t n_updates = c.out[0].type->count ? c.in[2].type->count : 0, n_windows = 1;
    for (uint32_t d = 0; d < n.batched_rank; d++)
      if (!has(n.window_dims, n.n_window, d)) n_windows *= n.batched[d];
    for (int64_t w = 0; w < n_windows; w++) /* one window after the other */
      for (int64_t i = 0; i < n_updates; i++) {
        case_unravel(c.in[2].type, i, at);
        int64_t window = 0;
        for (uint32_t d = 0; d < n.batched_rank; d++)
          if (!has(n.window_dims, n.n_window, d)) window = window * n.batched[d] + at[d];
        if (window != w || !place(&n, c.in[0].type, &c.in[1], at, false, to)) continue;
        int16_t *old = &wanted[case_ravel(c.in[0].type, to)];
        *old = (int16_t)(round % 3 == 2 ? updates[i]
                         : round % 3    ? *old + updates[i]
                                        : *old - updates[i]);
      }
    CHECK(!memcmp(wanted, c.out[0].data, jm_type_bytes(c.out[0].type)));
    jm_free(wanted);
    case_end(&c);
  }
}

/* Any alignment, lines of a cache and what is left beside them; nothing else is written. */
static void test_past_caches(void) {
  enum { BYTES = 400 };
  char from[BYTES], to[BYTES], want[BYTES];
  for (int i = 0; i < BYTES; i++) from[i] = (char)case_random(-128, 127);
  for (int round = 0; round < 2000; round++) {
    const size_t size = (size_t)case_random(0, 300), in = (size_t)case_random(0, BYTES - 300);
    const size_t out = (size_t)case_random(0, BYTES - 300);
    memset(to, round, BYTES);
    memset(want, round, BYTES);
    memcpy(want + out, from + in, size);
    jm_copy_past_caches(to + out, from + in, size);
    CHECK(!memcmp(to, want, BYTES));
  }
}

TEST_MAIN(test_transpose, test_broadcast, test_slice_and_reverse, test_pad, test_concatenate,
          test_dynamic, test_large, test_iota_and_constant, test_gather, test_scatter,
          test_past_caches)
