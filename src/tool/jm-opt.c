/* SPDX-License-Identifier: Apache-2.0
 * jm-opt: reads a module (a StableHLO portable artifact or the IR's text form), verifies it, runs
 * passes, prints it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/ref/ref.h"
#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "pass/pass.h"
#include "stablehlo/read.h"

static const char usage[] =
    "usage: jm-opt [options] [file]\n"
    "Reads a module from the file or standard input: StableHLO bytecode or IR text.\n"
    "  --pass=a,b     run these passes instead of the pipeline\n"
    "  --no-passes    run none\n"
    "  --lower        then run the lowering passes: the groups that are compiled as one\n"
    "  --verify-each  verify after every pass\n"
    "  --no-verify    do not verify what was read\n"
    "  --locations    print source locations\n"
    "  --quiet        print nothing but errors\n"
    "  --time         report what each stage took on standard error\n";

typedef struct arguments {
  const char *file, *passes;
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

static jm_error *read_arguments(int argc, char **argv, arguments *out) {
  for (int i = 1; i < argc; i++) {
    const char *arg = argv[i];
    bool known = false;
    for (size_t f = 0; f < sizeof flags / sizeof *flags; f++)
      if (!strcmp(arg, flags[f].name)) *(bool *)((char *)out + flags[f].offset) = known = true;
    if (!strncmp(arg, "--pass=", 7)) {
      out->passes = arg + 7;
    } else if (!known && (arg[0] != '-' || !arg[1]) && !out->file) {
      out->file = arg;
    } else if (!known) {
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

static jm_error *evaluate(const jm_module *m, const jm_op *op, const jm_tensor *in,
                          const jm_tensor *out) {
  const jm_ref_call call = {m, op, in, out, NULL};
  JM_TRY(jm_ref_check(m, op));
  return jm_ref_fns[op->code](&call);
}

static jm_error *run_passes(jm_module *m, const arguments *args) {
  const jm_pass_options options = {
      .evaluate = evaluate, .target = &jm_target_host, .verify = args->verify_each};
  if (!args->no_passes && !args->passes) JM_TRY(jm_pass_optimize(m, &options));
  if (args->passes) JM_TRY(jm_pass_run(m, args->passes, &options));
  if (!args->lower) return NULL;
  JM_TRY(jm_pass_lower(m, &options));
  return args->no_verify ? NULL : jm_error_note(jm_module_verify(m), "after lowering");
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
  JM_TRY(run_passes(*module, args));
  double optimised = milliseconds();
  if (args->time)
    fprintf(stderr, "read %.2f ms, verify %.2f ms, passes %.2f ms; %u ops, then %u\n", read - start,
            verified - read, optimised - verified, before, (*module)->n_ops);
  if (args->quiet) return NULL;
  jm_text printed;
  jm_text_init(&printed);
  (args->locations ? jm_module_print_located : jm_module_print)(*module, &printed);
  jm_error *error = jm_text_error(&printed);
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
