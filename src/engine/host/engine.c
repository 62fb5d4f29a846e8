/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/engine.h"

#include <pthread.h>
#include <unistd.h>

#include "engine/host/host.h"
#include "engine/host/library/blas.h"
#include "engine/host/machine.h"
#include "ir/print.h"

/* -- the backend */

/* Code that was saved needs no LLVM. */
static const jm_target *find_target(jm_engine *engine, const jm_engine_code *code) {
  (void)engine;
  const char *why;
  return code ? jm_machine_find_target(&why) : jm_jit_find_target(&why);
}

static const char *describe_compiler(jm_engine *engine) {
  (void)engine;
  const char *why;
  return jm_jit_find_target(&why) ? jm_jit_version() : why;
}

static jm_error *compile(jm_engine *engine, const jm_module *module, jm_engine_code *code,
                         void **out) {
  jm_host_program *program;
  JM_TRY(jm_host_compile(module, find_target(engine, code), (jm_saved_code *)code, &program));
  *out = program;
  return NULL;
}

static jm_error *code_save(jm_engine *engine, const void *compiled, jm_text *out) {
  (void)engine;
  return jm_host_save(compiled, out);
}

static jm_error *code_open(jm_engine *engine, const void *bytes, size_t n_bytes,
                           jm_engine_code **out) {
  (void)engine;
  jm_saved_code *saved;
  JM_TRY(jm_saved_code_open(bytes, n_bytes, &saved));
  *out = (jm_engine_code *)saved;
  return NULL;
}

static void code_close(jm_engine_code *code) { jm_saved_code_close((jm_saved_code *)code); }

static void compiled_destroy(jm_engine *engine, void *compiled) {
  (void)engine;
  jm_host_program_destroy(compiled);
}

static const jm_step_code *bind(void *compiled, jm_op_id op) {
  return &((const jm_host_program *)compiled)->codes[op].base;
}

/* "$0 is %5, $1 is temporary 0": the bindings of a kernel's parameters. */
static void print_launch_arguments(const jm_module *m, const jm_op *op, const jm_launch *launch,
                                   jm_text *text) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < launch->kernel->n_params; i++) {
    if (launch->kernel->params[i].space != JM_SPACE_GLOBAL) continue;
    const jm_launch_argument *argument = &launch->arguments[n];
    jm_text_printf(text, "%s$%u is ", n++ ? ", " : "", i);
    if (argument->memory == JM_LAUNCH_TEMPORARY)
      jm_text_printf(text, "temporary %u", argument->index);
    else if (argument->memory == JM_LAUNCH_RESULT)
      jm_text_printf(text, "%%%u", op->first_result + argument->index);
    else if (argument->memory == JM_LAUNCH_ROWS)
      jm_text_printf(text, "a list of rows");
    else
      jm_values_print(m, &op->operands[argument->index], 1, text);
  }
}

/* The kernel's text without its name, which is its first line. */
static void print_kernel(const jm_kernel *kernel, uint32_t depth, jm_text *text) {
  jm_text kernel_text;
  jm_text_init(&kernel_text);
  jm_kernel_print(kernel, &kernel_text);
  if (kernel_text.failed) text->failed = true;
  const char *line = strchr(jm_text_bytes(&kernel_text), '\n');
  while (line && *++line) {
    const char *end = strchr(line, '\n');
    jm_text_printf(text, "%*s", 2 * (int)depth, "");
    jm_text_append(text, line, end ? (size_t)(end - line + 1) : strlen(line));
    line = end;
  }
  jm_text_deinit(&kernel_text);
}

static void print_code(jm_engine *engine, const jm_step_code *code, const jm_module *m,
                       const jm_op *op, uint32_t depth, jm_text *text) {
  (void)engine;
  const jm_schedule *schedule = ((const jm_host_code *)code)->group->schedule;
  for (uint32_t i = 0; i < schedule->n_launches; i++) {
    jm_text_printf(text, "%*skernel %u of %u, %s: ", 2 * (int)depth, "", i + 1,
                   schedule->n_launches, schedule->name);
    print_launch_arguments(m, op, &schedule->launches[i], text);
    if (m->locate && op->loc != JM_NONE) jm_text_printf(text, "  # ");
    jm_location_print(m, op, text);
    jm_text_printf(text, "\n");
    print_kernel(schedule->launches[i].kernel, depth + 1, text);
  }
}

static const jm_backend backend = {
    .assigns_memory = true,
    .find_target = find_target,
    .describe_compiler = describe_compiler,
    .compile = compile,
    .compiled_destroy = compiled_destroy,
    .code_save = code_save,
    .code_open = code_open,
    .code_close = code_close,
    .bind = bind,
    .print_code = print_code,
};

/* -- the engine. It works on the runtime's memory and has no arrays */

static jm_error *run(jm_engine *engine, void *compiled, const jm_plan *plan,
                     const jm_engine_run *run) {
  (void)engine, (void)compiled;
  return jm_host_run(plan, run);
}

static bool holds(const jm_type *type) {
  (void)type;
  return true;
}

static void memory_read(jm_engine *engine, jm_engine_memory *out) {
  (void)engine;
  *out = (jm_engine_memory){0};
}

static void destroy(jm_engine *engine) { (void)engine; }

static jm_engine host = {
    .fact = {.name = "host",
             .device_kind = "host (CPU)",
             .version = "host engine",
             .is_host_memory = true,
             .any_thread = true},
    .backend = &backend,
    .run = run,
    .holds = holds,
    .memory_read = memory_read,
    .destroy = destroy,
};

/* The physical memory. */
static void memory_measure(void) {
  long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  host.fact.memory_bytes = pages > 0 && page > 0 ? (int64_t)pages * page : 0;
}

jm_engine *jm_host_engine(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, memory_measure);
  return &host;
}

void jm_host_engine_start(void) {
  jm_jit_guard_forks();
  jm_blas_start();
}
