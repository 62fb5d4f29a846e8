/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library/lapack_call.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/convert.h"
#include "base/parallel.h"
#include "engine/host/library/lapack_loops.h"
#include "engine/host/library/pack.h"

enum {
  MOST_ORDER = 23000, /* routines count in 32 bits: workspaces of larger ones don't fit into that */
  GRAIN_WORK = 1 << 15,
  LANES_FASTER = 4,     /* so many times as one by one */
  LARGE_WORK = 1 << 27, /* from here on a matrix alone may have the library's own threads */
  ONE_PLANE = 1 << 14,  /* bytes that are copied before threads have been asked for */
  IN_WORK = 12,
  N_TARGETS = 10
};

/* -- targets */

static const jm_lapack_target *target_at(size_t i) {
  enum {
    EIGEN = sizeof jm_lapack_eigen_targets / sizeof *jm_lapack_eigen_targets,
    FACTOR = EIGEN + sizeof jm_lapack_factor_targets / sizeof *jm_lapack_factor_targets,
  };
  return i < EIGEN    ? &jm_lapack_eigen_targets[i]
         : i < FACTOR ? &jm_lapack_factor_targets[i - EIGEN]
                      : &jm_lapack_tridiagonal_targets[i - FACTOR];
}

static jm_blas_routine *routines[N_TARGETS][4][JM_LAPACK_ROUTINES];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_routines(void) {
  for (size_t i = 0; i < N_TARGETS; i++)
    for (size_t d = 0; d < 4; d++)
      for (size_t r = 0; r < JM_LAPACK_ROUTINES; r++) {
        const char *name = target_at(i)->names[d][r];
        if (name) routines[i][d][r] = jm_blas_find(name);
      }
}

static size_t find_target(const jm_op *op) {
  jm_str name = ((const jm_custom_call_attrs *)op->attrs)->target;
  size_t i = 0;
  while (i < N_TARGETS && strcmp(target_at(i)->name, name.bytes)) i++;
  return i;
}

/* -- configuration */

static const jm_dict_entry *find_entry(const jm_dict *config, const char *key) {
  for (uint32_t i = 0; i < config->n; i++)
    if (!strcmp(config->entries[i].key.bytes, key)) return &config->entries[i];
  return NULL;
}

int64_t jm_lapack_config(const jm_lapack_problem *p, const char *key) {
  return find_entry(p->config, key)->i64;
}

static jm_error *check_config(const jm_module *m, const jm_op *op, const jm_lapack_target *target) {
  const jm_dict *config = &((const jm_custom_call_attrs *)op->attrs)->config;
  uint32_t n = 0;
  for (; n < 4 && target->keys[n]; n++) {
    const jm_dict_entry *entry = find_entry(config, target->keys[n]);
    if (!entry || (entry->kind != JM_DICT_I64 && entry->kind != JM_DICT_BOOL))
      return jm_op_error(m, op, JM_INVALID_ARGUMENT, "no number \"%s\" in its configuration",
                         target->keys[n]);
  }
  return config->n == n ? NULL
                        : jm_op_error(m, op, JM_INVALID_ARGUMENT, "an unknown configuration");
}

/* -- signatures */

typedef struct tensor_facts {
  jm_dtype dtype; /* as computed */
  bool matrix;
  size_t rows, cols, bytes; /* of one of the batch */
} tensor_facts;

typedef struct signature {
  jm_lapack_problem problem;
  uint32_t batch_rank;
  size_t batch; /* its size */
  tensor_facts in[JM_LAPACK_TENSORS], out[JM_LAPACK_TENSORS];
} signature;

static jm_dtype computed_as(jm_dtype dtype) {
  return jm_dtype_is_float(dtype) && dtype != JM_DT_f64 ? JM_DT_f32 : dtype;
}

static jm_dtype wanted_dtype(const jm_lapack_problem *p, jm_dtype first, char letter) {
  switch (letter) {
    case 'T':
      return first;
    case 'R':
      return jm_dtype_is_complex(first) ? p->real : first;
    case 'C':
      return p->real == JM_DT_f32 ? JM_DT_c64 : JM_DT_c128;
    default:
      return JM_DT_s32;
  }
}

/* Whether a dimension agrees with its letter, whose first occurrence defines it. */
static bool bind(jm_lapack_problem *p, char letter, int64_t size) {
  int *sizes = p->sizes, m = sizes['m' - 'a'], n = sizes['n' - 'a'];
  if (size > INT_MAX) return false;
  if (letter == 'k') sizes['k' - 'a'] = m < n ? m : n;
  if (letter == 'p') sizes['p' - 'a'] = n > 0 ? n - 1 : 0;
  if (sizes[letter - 'a'] < 0) sizes[letter - 'a'] = (int)size;
  return sizes[letter - 'a'] == size;
}

/* One operand or result: *at is behind its letter, and moves behind its dimensions. */
static bool read_tensor(signature *s, const jm_type *type, const jm_type *first, char letter,
                        const char **at, tensor_facts *out) {
  uint32_t rank = (uint32_t)strspn(*at, "abcdefghijklmnopqrstuvwxyz");
  if (type->rank != s->batch_rank + rank) return false;
  if (type->dtype != wanted_dtype(&s->problem, first->dtype, letter)) return false;
  for (uint32_t d = 0; d < s->batch_rank; d++)
    if (type->dims[d] != first->dims[d]) return false;
  const int64_t *dims = type->dims + s->batch_rank;
  for (uint32_t d = 0; d < rank; d++)
    if (!bind(&s->problem, (*at)[d], dims[d])) return false;
  *at += rank;
  out->dtype = letter == 'I' ? JM_DT_s32 : computed_as(type->dtype);
  out->matrix = rank == 2;
  out->rows = rank == 2 ? (size_t)dims[0] : 1;
  out->cols = rank ? (size_t)dims[rank - 1] : 1;
  out->bytes = out->rows * out->cols * jm_dtype_bytes(out->dtype);
  return true;
}

static bool read_signature(const jm_type *const *in, uint32_t n_in, const jm_type *const *out,
                           uint32_t n_out, const char *text, signature *s) {
  if (!n_in || n_in > JM_LAPACK_TENSORS || n_out > JM_LAPACK_TENSORS) return false;
  jm_dtype computed = computed_as(in[0]->dtype);
  uint32_t first_rank = (uint32_t)strspn(text + 1, "abcdefghijklmnopqrstuvwxyz"), i = 0;
  if (in[0]->rank < first_rank) return false;
  s->batch_rank = in[0]->rank - first_rank;
  s->batch = 1;
  for (uint32_t d = 0; d < s->batch_rank; d++) s->batch *= (size_t)in[0]->dims[d];
  jm_lapack_problem *p = &s->problem;
  *p = (jm_lapack_problem){.dtype = computed, .real = jm_dtype_real(computed), .n_results = n_out};
  p->element = jm_dtype_bytes(p->dtype);
  p->real_element = jm_dtype_bytes(p->real);
  for (int letter = 0; letter < 26; letter++) p->sizes[letter] = -1;
  for (; *text != '>'; i++) {
    char letter = *text++;
    if (i == n_in || !read_tensor(s, in[i], in[0], letter, &text, &s->in[i])) return false;
  }
  if (i != n_in) return false;
  text++;
  for (i = 0; *text; i++) {
    if (*text == '[' && i == n_out) break;
    if (*text == '[') text++;
    char letter = *text++;
    if (i == n_out || !read_tensor(s, out[i], in[0], letter, &text, &s->out[i])) return false;
    if (*text == ']') text++;
  }
  return i == n_out;
}

static bool is_computed(jm_dtype dtype) {
  return dtype == JM_DT_f32 || dtype == JM_DT_f64 || dtype == JM_DT_c64 || dtype == JM_DT_c128;
}

/* The signature of an op with these types, and the rest of the problem. */
static jm_error *prepare(const jm_module *m, const jm_op *op, const jm_type *const *in,
                         const jm_type *const *out, signature *s) {
  size_t index = find_target(op);
  if (index == N_TARGETS) return jm_op_error(m, op, JM_UNIMPLEMENTED, "unknown target");
  const jm_lapack_target *target = target_at(index);
  if (!read_signature(in, op->n_operands, out, op->n_results, target->signature, s))
    return jm_op_error(m, op, JM_INVALID_ARGUMENT,
                       "operands or results that this target doesn't have");
  pthread_once(&once, find_routines);
  size_t d = jm_lapack_index(&s->problem);
  s->problem.config = &((const jm_custom_call_attrs *)op->attrs)->config;
  s->problem.names = target->names[d];
  s->problem.routines = routines[index][d];
  return NULL;
}

jm_error *jm_lapack_call_check(const jm_module *m, const jm_op *op) {
  const jm_type *in[JM_LAPACK_TENSORS], *out[JM_LAPACK_TENSORS];
  for (uint32_t i = 0; i < op->n_operands && i < JM_LAPACK_TENSORS; i++)
    in[i] = jm_op_operand_type(m, op, i);
  for (uint32_t i = 0; i < op->n_results && i < JM_LAPACK_TENSORS; i++)
    out[i] = jm_op_result_type(m, op, i);
  if (op->n_operands && !is_computed(computed_as(in[0]->dtype)))
    return jm_op_error(m, op, JM_UNIMPLEMENTED, "matrices of this element type");
  signature s;
  JM_TRY(prepare(m, op, in, out, &s));
  const jm_lapack_target *target = target_at(find_target(op));
  JM_TRY(check_config(m, op, target));
  if (target->is_valid && !target->is_valid(&s.problem))
    return jm_op_error(m, op, JM_INVALID_ARGUMENT, "sizes that don't fit its configuration");
  for (int r = 0; r < JM_LAPACK_ROUTINES; r++)
    if (s.problem.names[r] && !s.problem.routines[r])
      return jm_op_error(m, op, JM_UNIMPLEMENTED, "no library with the LAPACK routine %s (%s)",
                         s.problem.names[r], jm_blas_describe());
  if (s.in[0].rows > MOST_ORDER && s.in[0].cols > MOST_ORDER)
    return jm_op_error(m, op, JM_UNIMPLEMENTED, "matrices larger than %d x %d", MOST_ORDER,
                       MOST_ORDER);
  return NULL;
}

/* -- one matrix */

jm_error *jm_lapack_work(jm_lapack_item *item, uint32_t slot, size_t bytes, void **out) {
  if (!bytes) bytes = 1;
  if (item->work_bytes[slot] < bytes) {
    jm_free(item->works[slot]);
    item->work_bytes[slot] = 0;
    item->works[slot] = jm_alloc_data(bytes);
    if (!item->works[slot]) return jm_error_out_of_memory();
    item->work_bytes[slot] = bytes;
  }
  *out = item->works[slot];
  return NULL;
}

int jm_lapack_wanted(const jm_lapack_problem *p, const void *first) {
  double n = p->real == JM_DT_f32 ? *(const float *)first : *(const double *)first;
  return n < 1 ? 1 : n < INT_MAX ? (int)n : INT_MAX;
}

jm_error *jm_lapack_refused(const jm_lapack_problem *p, int routine, int info) {
  return jm_error_internal("%s refused its argument %d", p->names[routine], -info);
}

bool jm_lapack_is_finite(const jm_lapack_problem *p, const void *data, size_t n) {
  return jm_loops_are_finite(p->dtype, data, n);
}

/* -- the batch */

typedef struct batch {
  const jm_call *call;
  signature s;
  jm_lapack_fn *run;
  jm_lapack_lanes_fn *lanes;                            /* NULL: one by one */
  char *in[JM_LAPACK_TENSORS], *out[JM_LAPACK_TENSORS]; /* of the computed types */
  void *copies[2 * JM_LAPACK_TENSORS];
  jm_error *_Atomic error;
} batch;

static void fill_nan(const tensor_facts *t, void *data) {
  jm_dtype real = jm_dtype_real(t->dtype);
  size_t n = t->bytes / jm_dtype_bytes(real);
  for (size_t i = 0; i < n; i++)
    if (real == JM_DT_f32)
      ((float *)data)[i] = NAN;
    else if (real == JM_DT_f64)
      ((double *)data)[i] = NAN;
}

/* Rows one after another become columns `ld` apart, or these those. */
static void transpose(const tensor_facts *t, ptrdiff_t ld, bool to_columns, const void *from,
                      void *to) {
  size_t element = jm_dtype_bytes(t->dtype);
  const int64_t dims[2] = {(int64_t)t->rows, (int64_t)t->cols};
  const ptrdiff_t by_row[2] = {(ptrdiff_t)t->cols, 1}, by_column[2] = {1, ld};
  const jm_pack_plane plane = {.element = element,
                               .rows = to_columns ? t->cols : t->rows,
                               .columns = to_columns ? t->rows : t->cols,
                               .from_row = 1,
                               .from_column = to_columns ? by_row[0] : ld,
                               .to_row = to_columns ? ld : by_row[0],
                               .to_column = 1};
  if (t->bytes <= ONE_PLANE)
    jm_pack_run_plane(&plane, from, to);
  else
    jm_pack_run(element, 2, dims, to_columns ? by_row : by_column, from,
                to_columns ? by_column : by_row, to);
}

/* Copies the operands of matrix `index`, each into its slot. */
static jm_error *load(const batch *b, size_t index, jm_lapack_item *item) {
  for (uint32_t i = 0; i < b->call->op->n_operands; i++) {
    const tensor_facts *t = &b->s.in[i];
    const char *from = b->in[i] + index * t->bytes;
    JM_TRY(jm_lapack_work(item, IN_WORK + i, t->bytes, &item->in[i]));
    if (t->matrix)
      transpose(t, (ptrdiff_t)t->rows, true, from, item->in[i]);
    else
      memcpy(item->in[i], from, t->bytes);
  }
  for (uint32_t i = 0; i < b->call->op->n_results; i++) {
    const tensor_facts *t = &b->s.out[i];
    item->out[i] = t->matrix ? NULL : b->out[i] + index * t->bytes;
    item->ld[i] = jm_lapack_ld((int)t->rows);
  }
  item->failed = false;
  return NULL;
}

static void store(const batch *b, size_t index, const jm_lapack_item *item) {
  for (uint32_t i = 0; i < b->call->op->n_results; i++) {
    const tensor_facts *t = &b->s.out[i];
    char *to = b->out[i] + index * t->bytes;
    if (item->failed)
      fill_nan(t, to);
    else if (t->matrix && t->bytes)
      transpose(t, item->ld[i], false, item->out[i], to);
  }
}

static jm_error *find_cancelled(const batch *b) {
  return jm_context_is_cancelled(b->call->context) ? jm_error_create(JM_CANCELLED, "cancelled")
                                                   : NULL;
}

static void fail(batch *b, jm_error *error) {
  if (error) jm_error_destroy(atomic_exchange(&b->error, error));
}

static void run_matrices(void *context, size_t begin, size_t end) {
  batch *b = context;
  jm_lapack_item item = {.problem = &b->s.problem};
  jm_error *error = NULL;
  for (size_t i = begin; i < end && !error; i++) {
    error = find_cancelled(b);
    if (!error) error = load(b, i, &item);
    if (!error) error = b->run(&item);
    if (!error) store(b, i, &item);
  }
  for (uint32_t i = 0; i < JM_LAPACK_WORKS; i++) jm_free(item.works[i]);
  fail(b, error);
}

/* Groups of matrices. */
static void run_lanes(void *context, size_t begin, size_t end) {
  batch *b = context;
  const char *in[JM_LAPACK_TENSORS];
  char *out[JM_LAPACK_TENSORS];
  jm_error *error = NULL;
  for (size_t i = begin; i < end && !(error = find_cancelled(b)); i++) {
    size_t first = i * JM_LOOPS_LANES, left = b->s.batch - first;
    for (uint32_t o = 0; o < b->call->op->n_operands; o++)
      in[o] = b->in[o] + first * b->s.in[o].bytes;
    for (uint32_t r = 0; r < b->call->op->n_results; r++)
      out[r] = b->out[r] + first * b->s.out[r].bytes;
    b->lanes(&b->s.problem, left < JM_LOOPS_LANES ? left : JM_LOOPS_LANES, in, out);
  }
  fail(b, error);
}

/* A tensor's elements in the computed type: its own memory, or a copy. */
static jm_error *take(const jm_tensor *t, jm_dtype dtype, bool read, void **copy, char **out) {
  *out = t->data;
  if (t->type->dtype == dtype) return NULL;
  size_t count = (size_t)t->type->count;
  *out = *copy = jm_alloc_data(count * jm_dtype_bytes(dtype) + 1);
  if (!*copy) return jm_error_out_of_memory();
  return read ? jm_convert_run(t->type->dtype, dtype, t->data, *out, count) : NULL;
}

static jm_error *run_batch(batch *b) {
  const jm_call *call = b->call;
  const jm_op *op = call->op;
  for (uint32_t i = 0; i < op->n_operands; i++)
    JM_TRY(take(&call->in[i], b->s.in[i].dtype, true, &b->copies[i], &b->in[i]));
  for (uint32_t i = 0; i < op->n_results; i++)
    JM_TRY(take(&call->out[i], b->s.out[i].dtype, false, &b->copies[JM_LAPACK_TENSORS + i],
                &b->out[i]));
  const tensor_facts *a = &b->s.in[0];
  size_t work = a->rows * a->cols * (a->rows < a->cols ? a->rows : a->cols);
  size_t grain = GRAIN_WORK / (work + 1) + 1;
  bool single = b->s.batch > 1 || work < LARGE_WORK;
  if (single) jm_blas_enter_single();
  if (b->lanes)
    jm_parallel_for((b->s.batch + JM_LOOPS_LANES - 1) / JM_LOOPS_LANES,
                    LANES_FASTER * grain / JM_LOOPS_LANES + 1, run_lanes, b);
  else
    jm_parallel_for(b->s.batch, grain, run_matrices, b);
  if (single) jm_blas_leave_single();
  JM_TRY(atomic_load(&b->error));
  for (uint32_t i = 0; i < op->n_results; i++)
    if (b->copies[JM_LAPACK_TENSORS + i])
      JM_TRY(jm_convert_run(b->s.out[i].dtype, call->out[i].type->dtype, b->out[i],
                            call->out[i].data, (size_t)call->out[i].type->count));
  return NULL;
}

jm_error *jm_lapack_call_run(const jm_call *call) {
  const jm_op *op = call->op;
  const jm_type *in[JM_LAPACK_TENSORS], *out[JM_LAPACK_TENSORS];
  for (uint32_t i = 0; i < op->n_operands; i++) in[i] = call->in[i].type;
  for (uint32_t i = 0; i < op->n_results; i++) out[i] = call->out[i].type;
  batch b = {.call = call};
  JM_TRY(prepare(call->module, op, in, out, &b.s));
  const jm_lapack_target *target = target_at(find_target(op));
  b.run = target->run;
  if (target->find_lanes && b.s.batch >= JM_LOOPS_LEAST) b.lanes = target->find_lanes(&b.s.problem);
  jm_error *error = run_batch(&b);
  for (int i = 0; i < 2 * JM_LAPACK_TENSORS; i++) jm_free(b.copies[i]);
  return error;
}
