/* SPDX-License-Identifier: Apache-2.0
 * One call of a handler: its frame, its stages, and its state between calls. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/blocking.h"
#include "ffi/ffi.h"
#include "ir/xla_proto.h"

static const jm_custom_call_attrs *attrs_of(const jm_op *op) { return op->attrs; }

jm_error *jm_ffi_check(const jm_module *m, const jm_op *op) {
  if (attrs_of(op)->api_version != 4)
    return jm_op_error(m, op, JM_UNIMPLEMENTED, "a custom call of the untyped interface");
  for (uint32_t i = 0; i < op->n_operands + op->n_results; i++) {
    const jm_type *type = i < op->n_operands ? jm_op_operand_type(m, op, i)
                                             : jm_op_result_type(m, op, i - op->n_operands);
    if (!jm_xla_types[type->dtype])
      return jm_op_error(m, op, JM_UNIMPLEMENTED, "a handler can't be given %s",
                         jm_dtype_name(type->dtype));
  }
  return NULL;
}

/* -- the frame */

typedef struct frame {
  jm_arena arena;
  XLA_FFI_CallFrame call;
} frame;

/* The program's dimensions, from ours in memory order (slowest first) and the layout (fastest
 * first). */
static jm_error *fill_dims(jm_arena *arena, const jm_type *type, const int64_t *layout,
                           const int64_t **out) {
  int64_t *dims = jm_arena_alloc(arena, type->rank + 1u, sizeof *dims);
  if (!dims) return jm_error_out_of_memory();
  for (uint32_t d = 0; d < type->rank; d++)
    dims[layout ? layout[type->rank - 1 - d] : d] = type->dims[d];
  *out = dims;
  return NULL;
}

static jm_error *fill_buffers(frame *f, const jm_tensor *tensors, uint32_t n,
                              const int64_t **layout, XLA_FFI_Buffers *out) {
  XLA_FFI_Buffer *buffers = jm_arena_alloc(&f->arena, n + 1u, sizeof *buffers);
  XLA_FFI_Buffer **list = jm_arena_alloc(&f->arena, n + 1u, sizeof(XLA_FFI_Buffer *));
  int *types = jm_arena_alloc(&f->arena, n + 1u, sizeof *types);
  if (!buffers || !list || !types) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) {
    const jm_type *type = tensors[i].type;
    buffers[i] = (XLA_FFI_Buffer){.struct_size = sizeof *buffers,
                                  .dtype = jm_xla_types[type->dtype],
                                  .data = tensors[i].data,
                                  .rank = type->rank};
    JM_TRY(fill_dims(&f->arena, type, *layout, &buffers[i].dims));
    if (*layout) *layout += type->rank;
    list[i] = &buffers[i];
    types[i] = XLA_FFI_ArgType_BUFFER;
  }
  *out = (XLA_FFI_Buffers){sizeof *out, NULL, n, types, list};
  return NULL;
}

/* An attribute as its handler sees it. */
static void *make_attr(jm_arena *arena, const jm_dict_entry *entry, int *type) {
  XLA_FFI_Scalar *scalar = jm_arena_alloc(arena, 1, sizeof *scalar);
  XLA_FFI_Array *array = jm_arena_alloc(arena, 1, sizeof *array);
  XLA_FFI_ByteSpan *span = jm_arena_alloc(arena, 1, sizeof *span);
  if (!scalar || !array || !span) return NULL;
  *type = XLA_FFI_AttrType_SCALAR;
  switch (entry->kind) {
    case JM_DICT_I64:
      *scalar = (XLA_FFI_Scalar){jm_xla_types[JM_DT_s64], &entry->i64};
      return scalar;
    case JM_DICT_BOOL: /* the least significant byte, wherever it is */
      *scalar = (XLA_FFI_Scalar){jm_xla_types[JM_DT_pred], entry->i64 ? "\1" : "\0"};
      return scalar;
    case JM_DICT_F64:
      *scalar = (XLA_FFI_Scalar){jm_xla_types[JM_DT_f64], &entry->f64};
      return scalar;
    case JM_DICT_STR:
      *type = XLA_FFI_AttrType_STRING;
      *span = (XLA_FFI_ByteSpan){entry->str.bytes, entry->str.size};
      return span;
    case JM_DICT_I64S:
      *type = XLA_FFI_AttrType_ARRAY;
      *array = (XLA_FFI_Array){jm_xla_types[JM_DT_s64], entry->i64s.n, entry->i64s.data};
      return array;
    case JM_DICT_DATA:
      if (entry->i64 < 0) {
        *scalar = (XLA_FFI_Scalar){jm_xla_types[entry->dtype], entry->str.bytes};
        return scalar;
      }
      *type = XLA_FFI_AttrType_ARRAY;
      *array = (XLA_FFI_Array){jm_xla_types[entry->dtype], (size_t)entry->i64, entry->str.bytes};
      return array;
  }
  return NULL;
}

static int compare_keys(const void *a, const void *b) {
  const jm_dict_entry *x = *(const jm_dict_entry *const *)a, *y = *(const jm_dict_entry *const *)b;
  return strcmp(x->key.bytes, y->key.bytes);
}

/* Handlers expect the attributes in the order of their names. */
static jm_error *fill_attrs(frame *f, const jm_dict *config, XLA_FFI_Attrs *out) {
  const size_t n = config->n;
  const jm_dict_entry **sorted = jm_arena_alloc(&f->arena, n + 1, sizeof(jm_dict_entry *));
  XLA_FFI_ByteSpan *spans = jm_arena_alloc(&f->arena, n + 1, sizeof *spans);
  XLA_FFI_ByteSpan **names = jm_arena_alloc(&f->arena, n + 1, sizeof(XLA_FFI_ByteSpan *));
  void **attrs = jm_arena_alloc(&f->arena, n + 1, sizeof(void *));
  int *types = jm_arena_alloc(&f->arena, n + 1, sizeof *types);
  if (!sorted || !spans || !names || !attrs || !types) return jm_error_out_of_memory();
  for (size_t i = 0; i < n; i++) sorted[i] = &config->entries[i];
  qsort(sorted, n, sizeof *sorted, compare_keys);
  for (size_t i = 0; i < n; i++) {
    spans[i] = (XLA_FFI_ByteSpan){sorted[i]->key.bytes, sorted[i]->key.size};
    names[i] = &spans[i];
    attrs[i] = make_attr(&f->arena, sorted[i], &types[i]);
    if (!attrs[i]) return jm_error_out_of_memory();
  }
  *out = (XLA_FFI_Attrs){sizeof *out, NULL, (int64_t)n, types, names, attrs};
  return NULL;
}

/* A result that shares its operand's memory begins as its copy, and the handler sees one address.
 */
static void share_memory(const jm_op *op, const jm_tensor *in, const jm_tensor *out, frame *f) {
  const jm_i64s *aliases = &attrs_of(op)->aliases;
  for (uint32_t i = 0; i < aliases->n && i < op->n_results; i++) {
    int64_t from = aliases->data[i];
    if (from < 0 || from >= op->n_operands) continue;
    size_t bytes = jm_type_bytes(out[i].type);
    if (bytes && in[from].data != out[i].data) memcpy(out[i].data, in[from].data, bytes);
    f->call.args.buffers[from]->data = out[i].data;
  }
}

static jm_error *frame_fill(frame *f, const jm_op *op, const jm_tensor *in, const jm_tensor *out) {
  const jm_custom_call_attrs *attrs = op->attrs;
  const int64_t *layout = attrs->layouts.n ? attrs->layouts.data : NULL;
  JM_TRY(fill_buffers(f, in, op->n_operands, &layout, &f->call.args));
  JM_TRY(fill_buffers(f, out, op->n_results, &layout, &f->call.rets));
  share_memory(op, in, out, f);
  return fill_attrs(f, &attrs->config, &f->call.attrs);
}

/* -- the state of a handler for an op */

typedef struct kept {
  struct kept *next;
  const jm_module *module;
  const jm_op *op;
  pthread_mutex_t lock; /* the first calls of an op may be two */
  bool instantiated;
  jm_ffi_state state;
} kept;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static kept *all_kept;

static kept *keep(const jm_module *m, const jm_op *op) {
  pthread_mutex_lock(&lock);
  kept *k = all_kept;
  while (k && (k->module != m || k->op != op)) k = k->next;
  if (!k && (k = jm_alloc(1, sizeof *k))) {
    k->next = all_kept;
    k->module = m;
    k->op = op;
    pthread_mutex_init(&k->lock, NULL);
    all_kept = k;
  }
  pthread_mutex_unlock(&lock);
  return k;
}

void jm_ffi_forget(const jm_module *module) {
  kept *gone = NULL;
  pthread_mutex_lock(&lock);
  for (kept **at = &all_kept; *at;) {
    kept *k = *at;
    if (k->module != module) {
      at = &k->next;
      continue;
    }
    *at = k->next;
    k->next = gone;
    gone = k;
  }
  pthread_mutex_unlock(&lock);
  while (gone) {
    kept *next = gone->next;
    jm_ffi_state_clear(&gone->state);
    pthread_mutex_destroy(&gone->lock);
    jm_free(gone);
    gone = next;
  }
}

/* -- the call */

static jm_error *call_stage(const jm_ffi_target *target, frame *f, XLA_FFI_ExecutionStage stage) {
  if (!target->bundle.stages[stage]) return NULL;
  f->call.stage = f->call.ctx->stage = stage;
  f->call.future = NULL;
  jm_error *error = jm_ffi_error_take(target->bundle.stages[stage](&f->call));
  if (!f->call.future) return error;
  jm_error *later = jm_ffi_future_take(f->call.future);
  if (!error) return later;
  jm_error_destroy(later);
  return error;
}

/* Once for an op, with its attributes alone. */
static jm_error *instantiate(const jm_ffi_target *target, frame *f, kept *k) {
  if (!target->bundle.stages[XLA_FFI_ExecutionStage_INSTANTIATE]) return NULL;
  pthread_mutex_lock(&k->lock);
  jm_error *error = NULL;
  if (!k->instantiated) {
    const XLA_FFI_Buffers args = f->call.args, rets = f->call.rets;
    f->call.args.size = f->call.rets.size = 0;
    error = call_stage(target, f, XLA_FFI_ExecutionStage_INSTANTIATE);
    f->call.args = args;
    f->call.rets = rets;
    k->instantiated = !error;
  }
  pthread_mutex_unlock(&k->lock);
  return error;
}

typedef struct job {
  const jm_ffi_target *target;
  frame *frame;
  kept *kept;
  jm_error *error;
} job;

static void call_stages(void *argument) {
  job *j = argument;
  j->error = instantiate(j->target, j->frame, j->kept);
  for (int stage = XLA_FFI_ExecutionStage_PREPARE; stage < XLA_FFI_STAGES && !j->error; stage++)
    j->error = call_stage(j->target, j->frame, (XLA_FFI_ExecutionStage)stage);
}

jm_error *jm_ffi_run(const jm_module *m, const jm_op *op, const jm_tensor *in,
                     const jm_tensor *out) {
  static atomic_int_fast64_t runs;
  const char *name = attrs_of(op)->target.bytes;
  const jm_ffi_target *target = jm_ffi_find(name);
  if (!target) return jm_op_error(m, op, JM_NOT_FOUND, "no handler is registered");
  kept *k = keep(m, op);
  if (!k) return jm_error_out_of_memory();
  jm_ffi_state prepared = {0}, initialized = {0};
  XLA_FFI_ExecutionContext context = {
      .states = {&k->state, &prepared, &initialized},
      .run_id = atomic_fetch_add(&runs, 1),
  };
  frame f = {.call = {.struct_size = XLA_FFI_CALL_FRAME_SIZE, .api = target->api, .ctx = &context}};
  jm_arena_init(&f.arena);
  jm_error *error = frame_fill(&f, op, in, out);
  if (!error) {
    job j = {target, &f, k, NULL};
    jm_blocking_run(call_stages, &j); /* it may block, or call Python */
    error = j.error;
  }
  jm_ffi_state_clear(&prepared);
  jm_ffi_state_clear(&initialized);
  jm_arena_deinit(&f.arena);
  return jm_error_note(error, "in the FFI call of '%.200s'", name);
}
