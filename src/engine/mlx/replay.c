/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mlx/replay.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/settings.h"
#include "engine/mlx/device_code.h"
#include "engine/user_kernel.h"
#include "ir/collective.h"

enum {
  RECORDED_RUN = 3,   /* by then it is known which arguments move */
  LEAST_STEPS = 4,    /* of a plan, and */
  LEAST_LAUNCHES = 8, /* of a recording: below, the copies cost what a launch saves */
  SHARE = 64,         /* of the device's memory that a recording may take, */
  SHARE_OF_ALL = 16,  /* and all of them together */
  COPIES = 100,       /* of one launch: kernels have at most 4 KB of parameters */
  COPY_THREADS = 256,
  COPY_GROUPS = 264, /* for one array: two a multiprocessor of a large GPU */
  COPY_BYTES = 16,   /* by a thread at a time */
};

static _Atomic int64_t bytes_of_all;

/* Launches that copy arrays, COPIES each. */
typedef struct copier {
  jm_mlx_kernel **kernels;
  uint32_t n_kernels, n_copies;
} copier;

struct jm_mlx_replay {
  const jm_mlx_api *api;
  const jm_mlx_device_fact *device;
  const jm_module *module;
  uint32_t n_in, n_out;
  bool needs_link; /* the program has collectives */
  jm_way_history history;
  uint64_t *addresses; /* per argument: where it lay in the last run; 0: on the host, or lazy */
  bool *moves;         /* per argument: it lay elsewhere in the run before, or it moved after a
                          recording was made that read it in place */
  bool *moved;         /* per argument: the latter, which is for good */
  bool *written;       /* per argument: the host had it when the recording was made */
  jm_mlx_recording *recording; /* NULL: none */
  jm_mlx_value *arguments;     /* per argument: a copy, which the recording reads; none: in place */
  jm_mlx_value *results;       /* what it writes, or what is constant on the host */
  copier in, out;
  jm_mlx_exchanges exchanges; /* that it makes */
  int64_t bytes;              /* that it keeps */
};

/* -- copies */

static void copier_deinit(const jm_mlx_api *api, copier *c) {
  for (uint32_t i = 0; i < c->n_kernels; i++)
    if (c->kernels[i]) api->kernel_release(c->kernels[i]);
  jm_free(c->kernels);
  *c = (copier){0};
}

static const char copy_function[] =
    "__device__ void jm_copy(const char *from, char *to, size_t n) {\n"
    "  const size_t first = blockIdx.x * (size_t)blockDim.x + threadIdx.x;\n"
    "  const size_t step = (size_t)gridDim.x * blockDim.x;\n"
    "  size_t words = ((size_t)from | (size_t)to) % 16 ? 0 : n / 16;\n"
    "  for (size_t i = first; i < words; i += step) ((uint4 *)to)[i] = ((const uint4 *)from)[i];\n"
    "  for (size_t i = words * 16 + first; i < n; i += step) to[i] = from[i];\n"
    "}\n";

/* in_place: destinations are inputs, too, behind the sources, and the one output means nothing. */
static void copy_print(bool in_place, const jm_type *const *types, uint32_t n, jm_text *text) {
  const uint32_t n_in = in_place ? 2 * n : n, n_out = in_place ? 1 : n;
  jm_text_printf(text, "%sextern \"C\" __global__ void JM_KERNEL(", copy_function);
  for (uint32_t i = 0; i < n_in; i++) jm_text_printf(text, "const char *in%u, ", i);
  for (uint32_t i = 0; i < n_out; i++)
    jm_text_printf(text, "char *out%u%s", i,
                   i + 1 < n_out ? ", " : ") {\n  switch (blockIdx.y) {\n");
  for (uint32_t i = 0; i < n; i++) {
    jm_text_printf(text, "    case %u: jm_copy(in%u, ", i, i);
    if (in_place)
      jm_text_printf(text, "(char *)in%u", n + i);
    else
      jm_text_printf(text, "out%u", i);
    jm_text_printf(text, ", %zu); break;\n", jm_type_bytes(types[i]));
  }
  jm_text_printf(text, "  }\n}\n");
}

static uint32_t groups_of(const jm_type *const *types, uint32_t n) {
  size_t most = 1;
  for (uint32_t i = 0; i < n; i++)
    if (jm_type_bytes(types[i]) > most) most = jm_type_bytes(types[i]);
  const size_t groups = (most + COPY_THREADS * COPY_BYTES - 1) / (COPY_THREADS * COPY_BYTES);
  return groups < COPY_GROUPS ? (uint32_t)groups : COPY_GROUPS;
}

/* The dimensions of n arrays, as MLX counts them, and their types. */
typedef struct shapes {
  int32_t dims[COPIES][JM_RANK_MAX];
  jm_mlx_buffer buffers[COPIES];
} shapes;

static jm_error *shapes_read(const jm_mlx_api *api, jm_mlx_array *const *like, uint32_t n,
                             shapes *out) {
  for (uint32_t i = 0; i < n; i++) {
    jm_mlx_buffer *buffer = &out->buffers[i];
    JM_TRY(api->array_describe(like[i], &buffer->dtype, out->dims[i], &buffer->rank));
    buffer->shape = out->dims[i];
  }
  return NULL;
}

/* like: arrays of the outputs' shapes; not read with in_place. */
static jm_error *copy_kernel_create(const jm_mlx_replay *r, bool in_place,
                                    const jm_type *const *types, jm_mlx_array *const *like,
                                    uint32_t n, jm_mlx_kernel **out) {
  static const int32_t one[] = {1};
  static const jm_mlx_buffer token = {JM_DT_u32, one, 1};
  jm_text text;
  jm_text_init(&text);
  copy_print(in_place, types, n, &text);
  jm_device_code *code;
  JM_TRY(jm_device_code_compile(r->device, &text, &code));
  shapes *s = jm_alloc(1, sizeof *s);
  jm_error *error = s ? NULL : jm_error_out_of_memory();
  if (!error && !in_place) error = shapes_read(r->api, like, n, s);
  if (!error) {
    const jm_mlx_kernel_spec spec = {
        .name = code->name,
        .code = code->code,
        .code_bytes = code->code_bytes,
        .n_in = in_place ? 2 * n : n,
        .n_out = in_place ? 1 : n,
        .outputs = in_place ? &token : s->buffers,
        .grid = {groups_of(types, n) * COPY_THREADS, n, 1},
        .group = {COPY_THREADS, 1, 1},
    };
    error = r->api->kernel_create(&spec, out); /* which copies the code */
  }
  jm_free(s);
  jm_device_code_release(code);
  return error;
}

static jm_error *copier_init(const jm_mlx_replay *r, bool in_place, const jm_type *const *types,
                             jm_mlx_array *const *like, uint32_t n, copier *out) {
  *out = (copier){.n_copies = n};
  out->kernels = jm_alloc(n / COPIES + 1, sizeof *out->kernels);
  if (!out->kernels) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i += COPIES) {
    const uint32_t few = n - i < COPIES ? n - i : COPIES;
    JM_TRY(copy_kernel_create(r, in_place, types + i, like ? like + i : NULL, few,
                              &out->kernels[out->n_kernels++]));
  }
  return NULL;
}

static uint32_t copies_of(const copier *c, uint32_t kernel) {
  const uint32_t left = c->n_copies - kernel * COPIES;
  return left < COPIES ? left : COPIES;
}

/* Copies `from` to fresh arrays. */
static jm_error *copy_fresh(const jm_mlx_replay *r, const copier *c, jm_mlx_array *const *from,
                            jm_mlx_array **to) {
  for (uint32_t k = 0; k < c->n_kernels; k++)
    JM_TRY(r->api->kernel_run(c->kernels[k], from + k * COPIES, to + k * COPIES));
  return NULL;
}

/* Copies `from` over `to`. */
static jm_error *copy_over(const jm_mlx_replay *r, const copier *c, jm_mlx_array *const *from,
                           jm_mlx_array *const *to) {
  jm_mlx_array *in[2 * COPIES], *nothing;
  for (uint32_t k = 0; k < c->n_kernels; k++) {
    const uint32_t first = k * COPIES, n = copies_of(c, k);
    memcpy(in, from + first, n * sizeof *in);
    memcpy(in + n, to + first, n * sizeof *in);
    JM_TRY(r->api->kernel_run(c->kernels[k], in, &nothing));
    r->api->array_release(nothing);
  }
  return NULL;
}

/* -- making and dropping */

static void recording_drop(jm_mlx_replay *r) {
  const jm_mlx_api *api = r->api;
  if (r->recording) api->recording_release(r->recording);
  r->recording = NULL;
  for (uint32_t i = 0; i < r->n_in; i++) jm_mlx_value_drop(api, &r->arguments[i]);
  for (uint32_t i = 0; i < r->n_out; i++) jm_mlx_value_drop(api, &r->results[i]);
  copier_deinit(api, &r->in);
  copier_deinit(api, &r->out);
  bytes_of_all -= r->bytes;
  r->bytes = 0;
}

void jm_mlx_replay_destroy(jm_mlx_replay *r) {
  if (!r) return;
  if (r->arguments && r->results) recording_drop(r);
  jm_free(r->addresses);
  jm_free(r->moves);
  jm_free(r->moved);
  jm_free(r->written);
  jm_free(r->arguments);
  jm_free(r->results);
  jm_free(r);
}

/* Does something happen on the host in a run, which its launches do not show? */
static bool has_effects(const jm_module *m) {
  for (jm_op_id i = 0; i < m->n_ops; i++) {
    const jm_op *op = jm_module_op(m, i);
    const bool has = jm_op_facts[op->code].traits & JM_TRAIT_EFFECT;
    if (has && !jm_op_is_user_kernel(op) && !jm_op_is_collective(op)) return true;
  }
  return false;
}

static bool has_collectives(const jm_module *m) {
  for (jm_op_id i = 0; i < m->n_ops; i++)
    if (jm_op_is_collective(jm_module_op(m, i))) return true;
  return false;
}

jm_error *jm_mlx_replay_create(const jm_mlx_api *api, const jm_mlx_device_fact *device,
                               const jm_module *module, jm_mlx_replay **out) {
  const char *setting = jm_setting_find(JM_SETTING_GRAPHS);
  const int run = setting ? atoi(setting) : RECORDED_RUN;
  *out = NULL;
  if (run <= 0 || strcmp(device->backend, "cuda") || !device->is_gpu || has_effects(module) ||
      jm_setting_has_word(JM_SETTING_DEBUG, "launches") ||
      jm_setting_has_word(JM_SETTING_DEBUG, "compare"))
    return NULL;
  const jm_region *entry = jm_module_region(module, module->entry);
  jm_mlx_replay *r = jm_alloc(1, sizeof *r);
  if (!r) return jm_error_out_of_memory();
  *r = (jm_mlx_replay){.api = api,
                       .device = device,
                       .module = module,
                       .n_in = entry->n_args,
                       .n_out = entry->n_results,
                       .needs_link = has_collectives(module),
                       .history.recorded_run = (uint32_t)run};
  r->addresses = jm_alloc(r->n_in + 1u, sizeof *r->addresses);
  r->moves = jm_alloc(r->n_in + 1u, sizeof *r->moves);
  r->moved = jm_alloc(r->n_in + 1u, sizeof *r->moved);
  r->written = jm_alloc(r->n_in + 1u, sizeof *r->written);
  r->arguments = jm_alloc(r->n_in + 1u, sizeof *r->arguments);
  r->results = jm_alloc(r->n_out + 1u, sizeof *r->results);
  if (!r->addresses || !r->moves || !r->moved || !r->written || !r->arguments || !r->results) {
    jm_mlx_replay_destroy(r);
    return jm_error_out_of_memory();
  }
  *out = r;
  return NULL;
}

/* -- a run's arguments */

static const jm_type *argument_type(const jm_mlx_replay *r, uint32_t i) {
  return jm_module_typeof(r->module, jm_module_region(r->module, r->module->entry)->first_arg + i);
}

/* Lists of arrays of one run: borrowed, but for those made of host values. */
typedef struct lists {
  jm_mlx_array **sources;  /* arguments that are copied, */
  jm_mlx_array **targets;  /* and where to */
  jm_mlx_array **in_place; /* arguments that are read where they lie */
  jm_mlx_array **made;     /* to release */
  const jm_type **types;   /* of the sources */
  uint32_t n_sources, n_in_place, n_made;
} lists;

static jm_error *lists_init(const jm_mlx_replay *r, lists *l) {
  const uint32_t n = r->n_in + r->n_out + 1u;
  *l = (lists){.sources = jm_alloc(n, sizeof *l->sources),
               .targets = jm_alloc(n, sizeof *l->targets),
               .in_place = jm_alloc(n, sizeof *l->in_place),
               .made = jm_alloc(n, sizeof *l->made),
               .types = jm_alloc(n, sizeof *l->types)};
  if (l->sources && l->targets && l->in_place && l->made && l->types) return NULL;
  return jm_error_out_of_memory();
}

static void lists_deinit(const jm_mlx_replay *r, lists *l) {
  for (uint32_t i = 0; i < l->n_made; i++) r->api->array_release(l->made[i]);
  jm_free(l->sources);
  jm_free(l->targets);
  jm_free(l->in_place);
  jm_free(l->made);
  jm_free(l->types);
}

static jm_error *source_add(const jm_mlx_replay *r, const jm_engine_run *run, uint32_t i,
                            lists *l) {
  jm_mlx_array *array = (jm_mlx_array *)run->inputs[i].array;
  if (!array) {
    JM_TRY(jm_lower_import(r->api, argument_type(r, i), run->inputs[i].host, &array));
    l->made[l->n_made++] = array;
  }
  l->types[l->n_sources] = argument_type(r, i);
  l->targets[l->n_sources] = r->arguments[i].array;
  l->sources[l->n_sources++] = array;
  return NULL;
}

/* Notes where the arguments lie. False: one that the recording reads in place lies elsewhere, or
 * one that the host wrote is on the device now. */
static bool addresses_note(jm_mlx_replay *r, const jm_engine_run *run) {
  bool same = true;
  for (uint32_t i = 0; i < r->n_in; i++) {
    jm_mlx_array *array = (jm_mlx_array *)run->inputs[i].array;
    const uint64_t address = array ? r->api->array_address(array) : 0;
    const bool moves = !address || (r->history.n_walks && address != r->addresses[i]);
    r->addresses[i] = address;
    if (!r->recording) {
      r->moves[i] = moves || r->moved[i];
    } else if (moves && !r->moves[i]) {
      r->moves[i] = r->moved[i] = true;
      same = false;
    } else if (array && r->written[i]) {
      same = false;
    }
  }
  return same;
}

/* -- recording */

/* Tests ask for it at the first run: then small programs are recorded, too. */
static bool records_all(const jm_mlx_replay *r) { return r->history.recorded_run == 1; }

/* One recording as it is made. */
typedef struct attempt {
  jm_mlx_replay *r;
  const jm_mlx_link *link;
  jm_mlx_program *program;
  const jm_plan *plan;
  const jm_engine_run *run;
  lists l;
} attempt;

static void bytes_add(jm_mlx_replay *r, size_t bytes) {
  r->bytes += (int64_t)bytes;
  bytes_of_all += (int64_t)bytes;
}

/* A value of the host that each launch writes. */
static jm_error *written_make(jm_mlx_replay *r, uint32_t i, const void *host) {
  r->arguments[i].type = argument_type(r, i);
  JM_TRY(jm_lower_import(r->api, r->arguments[i].type, host, &r->arguments[i].array));
  bytes_add(r, jm_type_bytes(r->arguments[i].type));
  return NULL;
}

/* Gives the arguments that move memory of the recording. */
static jm_error *arguments_make(jm_mlx_replay *r, const jm_engine_run *run, lists *l) {
  for (uint32_t i = 0; i < r->n_in; i++) {
    r->written[i] = r->moves[i] && !run->inputs[i].array;
    if (r->written[i])
      JM_TRY(written_make(r, i, run->inputs[i].host));
    else if (r->moves[i])
      JM_TRY(source_add(r, run, i, l));
    else
      l->in_place[l->n_in_place++] = (jm_mlx_array *)run->inputs[i].array;
  }
  copier first;
  jm_error *error = copier_init(r, false, l->types, l->sources, l->n_sources, &first);
  if (!error) error = copy_fresh(r, &first, l->sources, l->targets);
  copier_deinit(r->api, &first);
  for (uint32_t i = 0, k = 0; i < r->n_in; i++) {
    if (!r->moves[i] || r->written[i]) continue;
    r->arguments[i] = (jm_mlx_value){argument_type(r, i), l->targets[k++], NULL};
    if (r->arguments[i].array) bytes_add(r, jm_type_bytes(r->arguments[i].type));
  }
  JM_TRY(error);
  return copier_init(r, true, l->types, NULL, l->n_sources, &r->in);
}

static jm_error *trace(const attempt *a) {
  jm_mlx_replay *r = a->r;
  jm_mlx_value *inputs = jm_alloc(r->n_in + 1u, sizeof *inputs);
  if (!inputs) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < r->n_in; i++)
    inputs[i] = r->moves[i] ? r->arguments[i]
                            : (jm_mlx_value){argument_type(r, i),
                                             (jm_mlx_array *)a->run->inputs[i].array, NULL};
  jm_error *error = jm_mlx_program_trace(r->api, a->link, a->program, a->plan, a->run->context,
                                         inputs, r->results, &r->exchanges);
  jm_free(inputs);
  return error;
}

/* The results on the device. */
static uint32_t arrays_of(const jm_mlx_value *values, uint32_t n, jm_mlx_array **arrays,
                          const jm_type **types) {
  uint32_t n_arrays = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (!values[i].array) continue;
    if (types) types[n_arrays] = values[i].type;
    arrays[n_arrays++] = values[i].array;
  }
  return n_arrays;
}

/* All that can fail without waiting for other processes. */
static jm_error *prepare(attempt *a) {
  JM_TRY(lists_init(a->r, &a->l));
  JM_TRY(arguments_make(a->r, a->run, &a->l));
  JM_TRY(trace(a));
  const uint32_t n = arrays_of(a->r->results, a->r->n_out, a->l.targets, NULL);
  return n ? NULL : jm_error_create(JM_FAILED_PRECONDITION, "no result on the device");
}

/* Runs the program once, to know what memory it takes and to leave it to the recording. */
static jm_error *rehearse(attempt *a) {
  jm_mlx_replay *r = a->r;
  const jm_context *context = a->run->context;
  size_t bytes = 0;
  const uint32_t n = arrays_of(r->results, r->n_out, a->l.targets, NULL);
  jm_error *error =
      r->api->arrays_rehearse(a->l.targets, n, context ? context->limit_seconds : 0, &bytes);
  for (uint32_t i = 0; i < r->n_out; i++) jm_mlx_value_drop(r->api, &r->results[i]);
  bytes_add(r, bytes);
  const int64_t memory = r->device->memory_bytes;
  if (!error && (r->bytes > memory / SHARE || bytes_of_all > memory / SHARE_OF_ALL))
    error = jm_error_create(JM_FAILED_PRECONDITION, "a recording would keep %lld bytes",
                            (long long)r->bytes);
  return error;
}

static jm_error *record(attempt *a) {
  jm_mlx_replay *r = a->r;
  lists *l = &a->l;
  JM_TRY(trace(a));
  const uint32_t n = arrays_of(r->results, r->n_out, l->targets, l->types);
  uint32_t n_launches = 0;
  JM_TRY(
      r->api->arrays_record(l->targets, n, l->in_place, l->n_in_place, &r->recording, &n_launches));
  if (n_launches < LEAST_LAUNCHES && !records_all(r))
    return jm_error_create(JM_FAILED_PRECONDITION, "%u launches", n_launches);
  return copier_init(r, false, l->types, l->targets, n, &r->out);
}

/* Makes the recording part by part, each of which may wait for the other processes in exchanges:
 * before it all tell whether they have come so far, with the same exchanges ahead. (A loop may turn
 * more often in one process than in another.) *failed: why this process can't. */
static jm_error *parts_make(attempt *a, jm_error **failed, bool *by_all) {
  static jm_error *(*const parts[])(attempt *) = {prepare, rehearse, record};
  *by_all = true;
  for (size_t i = 0; i < sizeof parts / sizeof *parts && *by_all; i++) {
    *failed = parts[i](a);
    if (*failed && jm_error_code(*failed) == JM_DEADLINE_EXCEEDED) { /* the device hangs */
      jm_error *error = *failed;
      *failed = NULL;
      return error;
    }
    const uint32_t number = *failed ? 0 : (uint32_t)a->r->exchanges.hash | 1;
    JM_TRY(jm_mlx_link_compare(a->link, a->run->context, "recording", number, by_all));
    *by_all &= !*failed;
  }
  return NULL;
}

/* Why it can't be recorded is nobody's error: the plan is walked, as before. */
static jm_error *recording_try(attempt *a) {
  bool by_all = false;
  jm_error *failed = NULL, *error = parts_make(a, &failed, &by_all);
  lists_deinit(a->r, &a->l);
  by_all &= !error;
  jm_way_recorded(&a->r->history, by_all);
  if (by_all)
    jm_counter_add(JM_COUNTER_device_recordings, 1);
  else
    recording_drop(a->r);
  if (!error && !by_all && jm_setting_has_word(JM_SETTING_DEBUG, "explain"))
    fprintf(stderr, "explain: not recorded as a CUDA graph: %s\n",
            failed ? jm_error_message(failed) : "other processes can't, or differ");
  jm_error_destroy(failed);
  return error;
}

/* -- replaying */

/* fresh: arrays that become the run's, also on an error. */
static jm_error *outputs_make(const jm_mlx_replay *r, const jm_engine_run *run,
                              jm_mlx_array *const *fresh) {
  for (uint32_t i = 0, k = 0; i < r->n_out; i++)
    if (r->results[i].array) run->outputs[i].array = (jm_engine_array *)fresh[k++];
  for (uint32_t i = 0; i < r->n_out; i++)
    if (!r->results[i].array) JM_TRY(jm_mlx_host_output(&r->results[i], &run->outputs[i]));
  return NULL;
}

/* Brings a run's arguments to where the recording reads them. */
static jm_error *arguments_copy(const jm_mlx_replay *r, const jm_engine_run *run, lists *l) {
  for (uint32_t i = 0; i < r->n_in; i++) {
    if (!r->moves[i])
      l->in_place[l->n_in_place++] = (jm_mlx_array *)run->inputs[i].array;
    else if (r->written[i])
      JM_TRY(r->api->array_write(r->arguments[i].array, run->inputs[i].host,
                                 jm_type_bytes(argument_type(r, i))));
    else
      JM_TRY(source_add(r, run, i, l));
  }
  return copy_over(r, &r->in, l->sources, l->targets);
}

static jm_error *launch(const jm_mlx_replay *r, const jm_engine_run *run, lists *l) {
  JM_TRY(arguments_copy(r, run, l));
  JM_TRY(r->api->recording_launch(r->recording, l->in_place, l->n_in_place));
  const uint32_t n = arrays_of(r->results, r->n_out, l->sources, NULL);
  memset(l->targets, 0, n * sizeof *l->targets);
  jm_error *error = copy_fresh(r, &r->out, l->sources, l->targets);
  if (error) {
    for (uint32_t i = 0; i < n; i++) r->api->array_release(l->targets[i]);
    return error;
  }
  JM_TRY(outputs_make(r, run, l->targets));
  for (uint32_t i = 0; i < r->n_in; i++) { /* MLX keeps them until the launch is done */
    if (run->inputs[i].array) r->api->array_release((jm_mlx_array *)run->inputs[i].array);
    run->inputs[i].array = NULL;
  }
  return run->fence ? r->api->arrays_submit(l->targets, n, (jm_mlx_fence **)run->fence)
                    : r->api->arrays_wait(l->targets, n);
}

static uint32_t n_steps(const jm_plan *plan) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < plan->n_blocks; i++) n += plan->blocks[i].n_steps;
  return n;
}

jm_way jm_mlx_replay_choose(jm_mlx_replay *r, const jm_mlx_link *link, const jm_plan *plan,
                            const jm_engine_run *run) {
  r->history.is_refused |= (n_steps(plan) < LEAST_STEPS && !records_all(r)) ||
                           (r->needs_link && !link) || !r->api->recording_supported();
  if (!r->history.is_refused && !addresses_note(r, run) && r->recording) recording_drop(r);
  return jm_way_choose(&r->history, r->recording != NULL);
}

jm_error *jm_mlx_replay_run(jm_mlx_program *program, const jm_mlx_link *link, const jm_plan *plan,
                            const jm_engine_run *run, jm_way way, bool *is_done) {
  jm_mlx_replay *r = program->replay;
  *is_done = false;
  if (jm_way_take(&r->history, way) && r->recording) recording_drop(r);
  if (way == JM_WAY_RECORD) {
    attempt a = {r, link, program, plan, run, {0}};
    JM_TRY(recording_try(&a));
  }
  if (way < JM_WAY_RECORD || !r->recording) return NULL;
  lists l;
  jm_error *error = lists_init(r, &l);
  if (!error) error = launch(r, run, &l);
  lists_deinit(r, &l);
  jm_counter_add(JM_COUNTER_device_replays, 1);
  jm_mlx_exchanges_count(&r->exchanges);
  *is_done = !error;
  return error;
}
