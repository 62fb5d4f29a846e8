/* SPDX-License-Identifier: Apache-2.0
 * The compiler's driver: reads, verifies and optimises a program; then lowers, compiles and plans
 * it for an engine. */
#include "compile/program.h"

#include <string.h>

#include "base/callback.h"
#include "base/hash.h"
#include "base/settings.h"
#include "compile/debug.h"
#include "compile/record.h"
#include "engine/host/library/library.h"
#include "engine/ref/ref.h"
#include "engine/user_kernel.h"
#include "ffi/ffi.h"
#include "ir/collective.h"
#include "ir/cost.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "pass/pass.h"
#include "plan/plan.h"
#include "stablehlo/read.h"

struct jm_prepared {
  jm_prepared *next; /* for another engine */
  jm_engine *engine;
  void *compiled;
  jm_plan *plan;
};

struct jm_program {
  jm_module *module;
  const jm_backend *backend; /* that the module was lowered for; NULL: none yet */
  jm_prepared *prepared;
  jm_program_facts facts; /* arrays in the module's arena */
  int64_t *callbacks;     /* that are held; in the module's arena */
  uint32_t n_callbacks, callbacks_capacity;
};

/* stored: the entry's type, whose dimensions are in the order of the memory. */
static jm_error *shape_of(jm_module *m, const jm_type *stored, jm_i64s layout, jm_shape *out) {
  *out = (jm_shape){stored->dtype, stored->rank, stored->dims,
                    layout.data,   stored,       jm_type_bytes(stored)};
  if (!layout.n) return NULL;
  bool row_major = true;
  int64_t *dims = jm_arena_alloc(&m->arena, layout.n, sizeof *dims);
  if (!dims) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < layout.n; i++) {
    const int64_t d = layout.data[layout.n - 1 - i];
    dims[d] = stored->dims[i];
    row_major = row_major && d == i;
  }
  out->dims = dims;
  if (row_major) out->minor_to_major = NULL;
  return NULL;
}

/* The time of waking another thread: shorter programs run inline. */
static bool is_cheap(const jm_cost *cost) {
  return !cost->has_loop && !cost->has_callback && cost->flops < 1e5 && cost->bytes < 256e3;
}

/* To be asked after the passes: where a program is partitioned, its collectives come from there. */
static bool has_collectives(const jm_module *m) {
  if (m->n_replicas * m->n_partitions == 1) return false;
  for (jm_op_id op = 0; op < m->n_ops; op++)
    if (jm_op_is_collective(jm_module_op(m, op))) return true;
  return false;
}

static jm_error *facts_fill(jm_program *program) {
  jm_module *m = program->module;
  const jm_region *entry = jm_module_region(m, m->entry);
  jm_parameter *parameters = jm_arena_alloc(&m->arena, entry->n_args, sizeof *parameters);
  jm_output *outputs = jm_arena_alloc(&m->arena, entry->n_results, sizeof *outputs);
  if (!parameters || !outputs) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < entry->n_args; i++) {
    const jm_argument_fact *fact = &m->arguments[i];
    parameters[i] = (jm_parameter){.alias = fact->alias,
                                   .donor = fact->donor,
                                   .memory_kind = fact->memory_kind,
                                   .parts = fact->parts,
                                   .sums = fact->sums};
    JM_TRY(
        shape_of(m, jm_module_typeof(m, entry->first_arg + i), fact->layout, &parameters[i].shape));
  }
  for (uint32_t i = 0; i < entry->n_results; i++) {
    const jm_result_fact *fact = &m->results[i];
    outputs[i] =
        (jm_output){.memory_kind = fact->memory_kind, .parts = fact->parts, .sums = fact->sums};
    JM_TRY(shape_of(m, jm_module_typeof(m, entry->results[i]), fact->layout, &outputs[i].shape));
  }
  const jm_cost cost = jm_cost_estimate(m);
  program->facts.name = m->name;
  program->facts.n_parameters = entry->n_args;
  program->facts.n_outputs = entry->n_results;
  program->facts.parameters = parameters;
  program->facts.outputs = outputs;
  program->facts.n_replicas = m->n_replicas;
  program->facts.n_partitions = m->n_partitions;
  program->facts.has_collectives = has_collectives(m);
  program->facts.flops = cost.flops;
  program->facts.bytes_accessed = cost.bytes;
  program->facts.cheap = is_cheap(&cost);
  return NULL;
}

/* Only regions that the entry reaches: no others were verified. */
static jm_error *check_ops(const jm_module *m, jm_region_id id) {
  const jm_region *region = jm_module_region(m, id);
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(m, region->ops[i]);
    if (!jm_pass_partition_takes(m, op)) JM_TRY(jm_library_check(m, op));
    for (uint32_t k = 0; k < op->n_regions; k++) JM_TRY(check_ops(m, op->first_region + k));
  }
  return NULL;
}

static void callbacks_release(jm_program *program) {
  for (uint32_t i = 0; i < program->n_callbacks; i++) jm_callback_release(program->callbacks[i]);
}

/* Holds the callbacks of the program, which must live as long as it does. */
static jm_error *callbacks_hold(jm_program *program) {
  jm_module *m = program->module;
  int64_t id;
  for (jm_op_id op = 0; op < m->n_ops; op++) {
    if (!jm_op_callback_find(jm_module_op(m, op), &id)) continue;
    int64_t *grown = jm_arena_grow(&m->arena, program->callbacks, program->n_callbacks + 1,
                                   &program->callbacks_capacity, sizeof *grown);
    if (!grown) return jm_error_out_of_memory();
    program->callbacks = grown;
    JM_TRY(jm_callback_hold(id));
    program->callbacks[program->n_callbacks++] = id;
  }
  return NULL;
}

/* -- what processes compare before they run a program together

   Callbacks and partitioners are named by numbers that each process chooses for itself, so that the
   bytes of programs that have them differ. Their agreement is the hash of the optimised module,
   where partitioners have been replaced, without the numbers of callbacks. */

static bool names_its_own(const jm_module *m) {
  int64_t id;
  for (jm_op_id op = 0; op < m->n_ops; op++)
    if (jm_op_callback_find(jm_module_op(m, op), &id) ||
        jm_pass_partition_takes(m, jm_module_op(m, op)))
      return true;
  return false;
}

/* Returns the attributes of a call to a callback with the number 0 instead of its own. */
static jm_error *attrs_without_id(jm_module *m, const jm_op *op, void **out) {
  jm_custom_call_attrs attrs = *(const jm_custom_call_attrs *)op->attrs;
  jm_dict_entry *entries =
      jm_arena_copy(&m->arena, attrs.config.entries, attrs.config.n, sizeof *entries);
  if (!entries) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < attrs.config.n; i++)
    if (!strcmp(entries[i].key.bytes, "id")) entries[i].i64 = 0;
  attrs.config.entries = entries;
  *out = jm_arena_copy(&m->arena, &attrs, 1, sizeof attrs);
  return *out ? NULL : jm_error_out_of_memory();
}

static jm_error *agreement_of(jm_module *m, uint64_t *out) {
  jm_text text;
  int64_t id;
  void **own = jm_arena_alloc(&m->arena, m->n_ops, sizeof *own);
  jm_error *error = own ? NULL : jm_error_out_of_memory();
  for (jm_op_id op = 0; !error && op < m->n_ops; op++) {
    if (!jm_op_callback_find(jm_module_op(m, op), &id)) continue;
    own[op] = m->ops[op].attrs;
    error = attrs_without_id(m, &m->ops[op], &m->ops[op].attrs);
    if (error) m->ops[op].attrs = own[op];
  }
  jm_text_init(&text);
  if (!error) {
    jm_module_print(m, &text);
    error = jm_text_error(&text);
  }
  if (!error) *out = jm_hash_bytes(jm_text_bytes(&text), text.size);
  jm_text_deinit(&text);
  for (jm_op_id op = 0; own && op < m->n_ops; op++)
    if (own[op]) m->ops[op].attrs = own[op];
  return error;
}

static jm_error *compile(const void *bytes, size_t n_bytes, jm_program *program) {
  const jm_pass_options options = {.evaluate = jm_ref_fold,
                                   .join = jm_stablehlo_join,
                                   .verify = jm_setting_has_word(JM_SETTING_DEBUG, "verify")};
  JM_TRY(jm_stablehlo_read(bytes, n_bytes, &program->module));
  JM_TRY(jm_module_verify(program->module));
  JM_TRY(check_ops(program->module,
                   program->module->entry)); /* before any pass runs an op to fold it */
  const bool whole = program->module->whole, own = names_its_own(program->module);
  JM_TRY(jm_pass_optimize(program->module, &options));
  if (whole) JM_TRY(check_ops(program->module, program->module->entry)); /* of partitioners, too */
  JM_TRY(callbacks_hold(program));
  program->facts.fingerprint = jm_hash_bytes(bytes, n_bytes);
  program->facts.agreement = program->facts.fingerprint;
  if (own && program->module->n_replicas * program->module->n_partitions > 1)
    JM_TRY(agreement_of(program->module, &program->facts.agreement));
  JM_TRY(jm_debug_show(program->module, bytes, n_bytes, program->facts.fingerprint));
  return facts_fill(program);
}

/* -- for an engine */

static void prepared_destroy(jm_prepared *prepared) {
  jm_plan_destroy(prepared->plan);
  prepared->engine->backend->compiled_destroy(prepared->engine, prepared->compiled);
  jm_free(prepared);
}

static bool takes_pattern(void *engine, const jm_module *m, const jm_op *fusion) {
  return ((jm_engine *)engine)->backend->takes_pattern(engine, m, fusion);
}

static jm_error *check_kernel(jm_engine *engine, const jm_module *m, const jm_op *call) {
  return engine->backend->check_kernel ? engine->backend->check_kernel(engine, m, call)
                                       : jm_user_kernel_refuse(m, call, engine->fact.device_kind);
}

static bool runs_kernel(void *engine, const jm_module *m, const jm_op *call) {
  jm_error *error = jm_op_is_user_kernel(call) ? check_kernel(engine, m, call) : NULL;
  jm_error_destroy(error);
  return !error;
}

/* Users' kernels that are still there: without a reference, or to be run. */
static jm_error *check_kernels(const jm_module *m, jm_engine *engine) {
  for (jm_op_id id = 0; id < m->n_ops; id++)
    if (jm_op_is_user_kernel(jm_module_op(m, id)))
      JM_TRY(check_kernel(engine, m, jm_module_op(m, id)));
  return NULL;
}

/* In place, and so for engines of one kind alone. */
static jm_error *lower(jm_program *program, jm_engine *engine, const jm_engine_code *code) {
  const jm_backend *backend = engine->backend;
  if (program->backend == backend) return NULL;
  if (program->backend)
    return jm_error_invalid("'%s' was compiled for another kind of engine than %s",
                            program->facts.name, engine->fact.name);
  const jm_pass_options options = {.evaluate = jm_ref_fold,
                                   .expands = backend->expands,
                                   .target = backend->find_target(engine, code),
                                   .takes_pattern = backend->takes_pattern ? takes_pattern : NULL,
                                   .runs_kernel = runs_kernel,
                                   .engine = engine,
                                   .verify = jm_setting_has_word(JM_SETTING_DEBUG, "verify")};
  const bool expanded = program->module->n_expansions != 0;
  JM_TRY(jm_pass_lower(program->module, &options));
  if (expanded) JM_TRY(check_ops(program->module, program->module->entry)); /* for the first time */
  JM_TRY(check_kernels(program->module, engine));
  program->backend = backend;
  return NULL;
}

static jm_error *prepare_with(jm_program *program, jm_prepared *prepared, jm_engine_code *code) {
  jm_engine *engine = prepared->engine;
  JM_TRY(lower(program, engine, code));
  JM_TRY(engine->backend->compile(engine, program->module, code, &prepared->compiled));
  JM_TRY(jm_plan_build(program->module, engine, prepared->compiled, &prepared->plan));
  JM_TRY(jm_debug_explain(prepared->plan));
  return jm_record_add(prepared->plan);
}

static jm_error *prepare(jm_program *program, jm_prepared *prepared, const jm_saved *saved) {
  jm_engine *engine = prepared->engine;
  const jm_backend *backend = engine->backend;
  jm_engine_code *code = NULL;
  if (saved && saved->n_bytes && backend->code_open)
    JM_TRY(backend->code_open(engine, saved->bytes, saved->n_bytes, &code));
  jm_error *error = prepare_with(program, prepared, code);
  if (code) backend->code_close(code);
  return error;
}

jm_error *jm_program_prepare(jm_program *program, jm_engine *engine, const jm_saved *saved,
                             const jm_prepared **out) {
  for (*out = program->prepared; *out; *out = (*out)->next)
    if ((*out)->engine == engine) return NULL;
  jm_prepared *prepared = jm_alloc(1, sizeof *prepared);
  if (!prepared) return jm_error_out_of_memory();
  prepared->engine = engine;
  jm_error *error = prepare(program, prepared, saved);
  if (error) {
    prepared_destroy(prepared);
    return error;
  }
  prepared->next = program->prepared;
  program->prepared = prepared;
  program->facts.temporary_bytes = prepared->plan->arena_bytes;
  *out = prepared;
  return NULL;
}

jm_error *jm_program_save(const jm_program *program, jm_text *out) {
  for (const jm_prepared *p = program->prepared; p; p = p->next)
    if (p->engine->backend->code_save)
      return p->engine->backend->code_save(p->engine, p->compiled, out);
  return NULL;
}

jm_error *jm_prepared_explain(const jm_prepared *prepared, jm_explanation *out) {
  return jm_explanation_build(prepared->plan, out);
}

jm_error *jm_prepared_run(const jm_prepared *prepared, const jm_engine_run *run) {
  return prepared->engine->run(prepared->engine, prepared->compiled, prepared->plan, run);
}

/* -- the whole program */

jm_error *jm_program_compile(const void *bytes, size_t n_bytes, jm_program **out) {
  jm_program *program = jm_alloc(1, sizeof *program);
  if (!program) return jm_error_out_of_memory();
  jm_error *error = compile(bytes, n_bytes, program);
  if (error) {
    jm_program_destroy(program);
    return error;
  }
  *out = program;
  return NULL;
}

void jm_program_destroy(jm_program *program) {
  if (!program) return;
  callbacks_release(program);
  while (program->prepared) {
    jm_prepared *next = program->prepared->next;
    prepared_destroy(program->prepared);
    program->prepared = next;
  }
  if (program->module) jm_ffi_forget(program->module);
  jm_module_destroy(program->module);
  jm_free(program);
}

const jm_program_facts *jm_program_describe(const jm_program *program) { return &program->facts; }

jm_error *jm_program_print(const jm_program *program, char **text, size_t *size) {
  jm_text printed;
  jm_text_init(&printed);
  jm_module_print(program->module, &printed);
  if (printed.failed) {
    jm_text_deinit(&printed);
    return jm_error_out_of_memory();
  }
  *text = printed.bytes; /* the caller's, to be freed with jm_free */
  *size = printed.size;
  return NULL;
}
