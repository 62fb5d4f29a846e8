/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library/tasks.h"

#include <string.h>

#include "base/parallel.h"

typedef struct tasks {
  jm_task_fn *fn;
  void *context;
  jm_error **errors;
} tasks;

static void run_tasks(void *context, size_t begin, size_t end) {
  const tasks *t = context;
  for (size_t i = begin; i < end; i++) t->errors[i] = t->fn(t->context, i);
}

jm_error *jm_tasks_run(size_t n, jm_task_fn *fn, void *context) {
  if (n == 1) return fn(context, 0);
  tasks t = {fn, context, jm_alloc(n, sizeof *t.errors)};
  if (!t.errors) return jm_error_out_of_memory();
  jm_parallel_for(n, 1, run_tasks, &t);
  jm_error *first = NULL;
  for (size_t i = 0; i < n; i++) {
    if (!first)
      first = t.errors[i];
    else
      jm_error_destroy(t.errors[i]);
  }
  jm_free(t.errors);
  return first;
}

enum { TASK_ELEMENTS = 32 * 1024 };

typedef struct batch {
  const jm_call *call;
  jm_call_fn *fn;
  int64_t size; /* of dimension 0 */
  size_t n;     /* tasks */
} batch;

/* The part [begin, end) of dimension 0 of each tensor that is not a scalar. */
static jm_error *slice_tensors(jm_arena *arena, const jm_tensor *from, uint32_t n, jm_tensor *to,
                               int64_t begin, int64_t end) {
  for (uint32_t i = 0; i < n; i++) {
    to[i] = from[i];
    if (!from[i].type->rank) continue;
    jm_type *type = jm_arena_copy(arena, from[i].type, 1, sizeof *type);
    int64_t *dims = jm_arena_copy(arena, from[i].type->dims, from[i].type->rank, sizeof *dims);
    if (!type || !dims) return jm_error_out_of_memory();
    int64_t inside = from[i].type->count / dims[0];
    dims[0] = end - begin;
    type->dims = dims;
    type->count = inside * dims[0];
    to[i] = (jm_tensor){
        type, (char *)from[i].data + (size_t)(begin * inside) * jm_dtype_bytes(type->dtype)};
  }
  return NULL;
}

static jm_error *run_slice(void *context, size_t task) {
  const batch *b = context;
  const jm_op *op = b->call->op;
  int64_t n = (int64_t)b->n, each = b->size / n, rest = b->size % n, i = (int64_t)task;
  int64_t begin = i * each + (i < rest ? i : rest), end = begin + each + (i < rest);
  uint32_t n_in = op->n_operands - op->n_captures;
  jm_arena arena;
  jm_arena_init(&arena);
  jm_tensor *in = jm_arena_copy(&arena, b->call->in, op->n_operands, sizeof *in);
  jm_tensor *out = jm_arena_copy(&arena, b->call->out, op->n_results, sizeof *out);
  jm_error *error = in && out ? NULL : jm_error_out_of_memory();
  if (!error) error = slice_tensors(&arena, b->call->in, n_in, in, begin, end);
  if (!error) error = slice_tensors(&arena, b->call->out, op->n_results, out, begin, end);
  if (!error) error = b->fn(&(jm_call){b->call->module, op, in, out, b->call->context});
  jm_arena_deinit(&arena);
  return error;
}

jm_error *jm_tasks_run_batch(const jm_call *call, jm_call_fn *fn) {
  const jm_type *in = call->in[0].type, *out = call->out[0].type;
  int64_t elements = in->count > out->count ? in->count : out->count;
  int64_t size = in->rank ? in->dims[0] : 1, n = elements / TASK_ELEMENTS;
  if (n > size) n = size;
  if (n < 2) return fn(call);
  batch b = {call, fn, size, (size_t)n};
  return jm_tasks_run(b.n, run_slice, &b);
}
