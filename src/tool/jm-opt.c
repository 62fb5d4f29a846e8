/* SPDX-License-Identifier: Apache-2.0
 * jm-opt: reads a module (a StableHLO portable artifact or the IR's text form), verifies it, runs
 * passes, and prints it, or its groups as kernels for a target, in any language that has a printer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/host/engine.h"
#include "engine/ref/ref.h"
#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "kernel/print/c.h"
#include "kernel/schedule/groups.h"
#include "pass/pass.h"
#include "plan/explain.h"
#include "stablehlo/read.h"

static const char usage[] =
    "usage: jm-opt [options] [file]\n"
    "Reads a module from the file or standard input: StableHLO bytecode or IR text.\n"
    "  --pass=a,b     run these passes instead of the pipeline\n"
    "  --no-passes    run none\n"
    "  --lower        then run the lowering passes: the groups that are compiled as one\n"
    "  --target=NAME  the machine that is lowered for: host (the default; fixed, not the one at\n"
    "                 hand), x86-64-v2, x86-64-v3, x86-64-v4, arm64, metal, cuda\n"
    "  --emit=WHAT    lower, and print kernels, llvm, c, cuda, metal or plan instead of the "
    "module\n"
    "  --verify-each  verify after every pass\n"
    "  --no-verify    do not verify what was read\n"
    "  --locations    print source locations\n"
    "  --quiet        print nothing but errors\n"
    "  --time         report what each stage took on standard error\n";

typedef struct arguments {
  const char *file, *passes, *target, *emit;
  bool no_passes, lower, verify_each, no_verify, locations, quiet, time, help;
} arguments;

static const struct {
  const char *name;
  size_t offset;
} flags[] = {
    {"--no-passes", offsetof(arguments, no_passes)},
    {"--lower", offsetof(arguments, lower)},
    {"--verify-each", offsetof(arguments, verify_each)},
    {"--no-verify", offsetof(arguments, no_verify)},
    {"--locations", offsetof(arguments, locations)},
    {"--quiet", offsetof(arguments, quiet)},
    {"--time", offsetof(arguments, time)},
    {"--help", offsetof(arguments, help)},
};

static const struct {
  const char *name;
  size_t offset;
} options[] = {
    {"--pass=", offsetof(arguments, passes)},
    {"--target=", offsetof(arguments, target)},
    {"--emit=", offsetof(arguments, emit)},
};

static jm_error *read_arguments(int argc, char **argv, arguments *out) {
  for (int i = 1; i < argc; i++) {
    const char *arg = argv[i];
    bool known = false;
    for (size_t f = 0; f < sizeof flags / sizeof *flags; f++)
      if (!strcmp(arg, flags[f].name)) *(bool *)((char *)out + flags[f].offset) = known = true;
    for (size_t o = 0; o < sizeof options / sizeof *options; o++) {
      const size_t size = strlen(options[o].name);
      if (strncmp(arg, options[o].name, size)) continue;
      *(const char **)((char *)out + options[o].offset) = arg + size;
      known = true;
    }
    if (known) continue;
    if ((arg[0] != '-' || !arg[1]) && !out->file) {
      out->file = arg;
    } else {
      return jm_error_invalid("%s: no such option\n%s", arg, usage);
    }
  }
  return NULL;
}

static jm_error *read_stream(FILE *stream, const char *name, jm_text *out) {
  char block[65536];
  size_t n;
  while ((n = fread(block, 1, sizeof block, stream)) > 0) jm_text_append(out, block, n);
  if (ferror(stream)) return jm_error_create(JM_NOT_FOUND, "%s can't be read", name);
  return jm_text_error(out);
}

static jm_error *read_file(const char *name, jm_text *out) {
  if (!name || !strcmp(name, "-")) return read_stream(stdin, "standard input", out);
  FILE *stream = fopen(name, "rb");
  if (!stream) return jm_error_create(JM_NOT_FOUND, "%s can't be opened", name);
  jm_error *error = read_stream(stream, name, out);
  fclose(stream);
  return error;
}

static jm_error *read_module(const jm_text *bytes, jm_module **out) {
  bool bytecode = bytes->size >= 4 && !memcmp(bytes->bytes, "ML\xefR", 4);
  return bytecode ? jm_stablehlo_read(bytes->bytes, bytes->size, out)
                  : jm_module_parse(jm_text_bytes(bytes), bytes->size, out);
}

static jm_error *run_passes(jm_module *m, const arguments *args, const jm_target *target) {
  const jm_pass_options options = {.evaluate = jm_ref_fold,
                                   .expands = args->emit != NULL,
                                   .target = target,
                                   .verify = args->verify_each};
  if (!args->no_passes && !args->passes) JM_TRY(jm_pass_optimize(m, &options));
  if (args->passes) JM_TRY(jm_pass_run(m, args->passes, &options));
  if (!args->lower && !args->emit) return NULL;
  JM_TRY(jm_pass_lower(m, &options));
  return args->no_verify ? NULL : jm_error_note(jm_module_verify(m), "after lowering");
}

/* -- what groups become */

typedef struct emission {
  const jm_module *m;
  const jm_target *target;
  const jm_groups *groups;
  const jm_c_dialect *dialect; /* of languages like C */
} emission;

static jm_error *emit_kernels(const emission *e, jm_text *text) {
  static const char *const memories[] = {"operand", "result", "temporary", "list"};
  for (uint32_t i = 0; i < e->groups->n_groups; i++) {
    const jm_schedule *s = e->groups->groups[i].schedule;
    jm_text_printf(text, "// group %u: ", i);
    jm_op_describe(e->m, jm_module_op(e->m, e->groups->groups[i].op), text);
    for (uint32_t t = 0; t < s->n_temporaries; t++)
      jm_text_printf(text, "\n// temporary %u: %zu bytes", t, s->temporary_bytes[t]);
    jm_text_printf(text, "\n");
    for (uint32_t l = 0; l < s->n_launches; l++) {
      const jm_kernel *kernel = s->launches[l].kernel;
      jm_text_printf(text, "// launch of");
      for (uint32_t p = 0, n = 0; p < kernel->n_params; p++) {
        if (kernel->params[p].space != JM_SPACE_GLOBAL) continue;
        const jm_launch_argument *a = &s->launches[l].arguments[n];
        jm_text_printf(text, "%s %s %u", n++ ? "," : "", memories[a->memory], a->index);
      }
      jm_text_printf(text, "\n");
      jm_kernel_print(kernel, text);
    }
  }
  return NULL;
}

/* Calls visit for each kernel, with a symbol for it. */
static jm_error *each_kernel(const emission *e, void *to,
                             jm_error *(*visit)(const emission *e, void *to,
                                                const jm_kernel *kernel, const char *symbol)) {
  uint32_t n = 0;
  char symbol[32];
  for (uint32_t i = 0; i < e->groups->n_groups; i++)
    for (uint32_t l = 0; l < e->groups->groups[i].schedule->n_launches; l++) {
      snprintf(symbol, sizeof symbol, "k%u", n++);
      JM_TRY(visit(e, to, e->groups->groups[i].schedule->launches[l].kernel, symbol));
    }
  return NULL;
}

static jm_error *add_llvm(const emission *e, void *to, const jm_kernel *kernel,
                          const char *symbol) {
  (void)e;
  return jm_llvm_module_add(to, kernel, symbol);
}

static jm_error *emit_llvm(const emission *e, jm_text *text) {
  jm_llvm_module *module;
  const char *printed;
  JM_TRY(jm_llvm_module_create(e->target, &module));
  jm_error *error = each_kernel(e, module, add_llvm);
  if (!error) error = jm_llvm_module_finish(module, &printed);
  if (!error) jm_text_printf(text, "%s", printed);
  jm_llvm_module_destroy(module);
  return error;
}

static jm_error *add_function(const emission *e, void *to, const jm_kernel *kernel,
                              const char *symbol) {
  return jm_c_print_function(kernel, e->dialect, symbol, to);
}

/* Without the prelude, which is the same for all programs. */
static jm_error *emit_functions(const emission *e, jm_text *text) {
  return each_kernel(e, text, add_function);
}

/* Of the machine at hand, whose engine it is. */
static jm_error *emit_plan(const emission *e, jm_text *text) {
  jm_engine *engine = jm_host_engine();
  void *compiled = NULL;
  jm_plan *plan = NULL;
  if (e->target->lanes != JM_BIND_VECTOR)
    return jm_error_invalid("the plan for %s is its engine's, which jm-opt does not start",
                            e->target->name);
  jm_error *error = engine->backend->compile(engine, e->m, NULL, &compiled);
  if (!error) error = jm_plan_build(e->m, engine, compiled, &plan);
  if (!error) jm_plan_explain(plan, text);
  jm_plan_destroy(plan);
  if (compiled) engine->backend->compiled_destroy(engine, compiled);
  return error;
}

static const struct {
  const char *name;
  jm_error *(*emit)(const emission *e, jm_text *text);
  const jm_c_dialect *dialect;
} emissions[] = {
    {"kernels", emit_kernels, NULL},        {"llvm", emit_llvm, NULL},
    {"c", emit_functions, &jm_c_host},      {"cuda", emit_functions, &jm_c_cuda},
    {"metal", emit_functions, &jm_c_metal}, {"plan", emit_plan, NULL},
};

static void release_none(void *code) { (void)code; }

static jm_error *print_emission(const jm_module *m, const char *what, const jm_target *target,
                                jm_text *text) {
  for (size_t i = 0; i < sizeof emissions / sizeof *emissions; i++) {
    if (strcmp(emissions[i].name, what)) continue;
    jm_groups *groups = NULL;
    JM_TRY(jm_groups_schedule(m, target, &groups));
    const emission e = {m, target, groups, emissions[i].dialect};
    jm_error *error = emissions[i].emit(&e, text);
    jm_groups_destroy(groups, release_none);
    return error;
  }
  return jm_error_invalid("--emit=%s: there are kernels, llvm, c, cuda, metal and plan", what);
}

static double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static jm_error *run(const arguments *args, jm_text *text, jm_module **module) {
  JM_TRY(read_file(args->file, text));
  double start = milliseconds();
  JM_TRY(read_module(text, module));
  double read = milliseconds();
  if (!args->no_verify) JM_TRY(jm_module_verify(*module));
  double verified = milliseconds();
  uint32_t before = (*module)->n_ops;
  jm_target target = jm_target_host;
  if (args->target) JM_TRY(jm_target_find(args->target, strlen(args->target), &target));
  JM_TRY(run_passes(*module, args, &target));
  double optimised = milliseconds();
  if (args->time)
    fprintf(stderr, "read %.2f ms, verify %.2f ms, passes %.2f ms; %u ops, then %u\n", read - start,
            verified - read, optimised - verified, before, (*module)->n_ops);
  if (args->quiet) return NULL;
  jm_text printed;
  jm_text_init(&printed);
  jm_error *error = NULL;
  if (args->emit)
    error = print_emission(*module, args->emit, &target, &printed);
  else
    (args->locations ? jm_module_print_located : jm_module_print)(*module, &printed);
  if (!error) error = jm_text_error(&printed);
  if (!error && fwrite(jm_text_bytes(&printed), 1, printed.size, stdout) != printed.size)
    error = jm_error_create(JM_UNAVAILABLE, "standard output can't be written");
  jm_text_deinit(&printed);
  return error;
}

int main(int argc, char **argv) {
  arguments args = {0};
  jm_text text;
  jm_text_init(&text);
  jm_module *module = NULL;
  jm_error *error = read_arguments(argc, argv, &args);
  if (!error && args.help) fputs(usage, stdout);
  if (!error && !args.help) error = run(&args, &text, &module);
  if (error)
    fprintf(stderr, "jm-opt: %s: %s\n", jm_code_name(jm_error_code(error)),
            jm_error_message(error));
  jm_module_destroy(module);
  jm_text_deinit(&text);
  int status = error ? 1 : 0;
  jm_error_destroy(error);
  return status;
}
