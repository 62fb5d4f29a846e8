/* SPDX-License-Identifier: Apache-2.0
 * jm-run: executes a module, a StableHLO portable artifact or IR text, on given or made-up inputs
 * and prints its results. With --compare it also runs the optimised module and requires the same
 * bits, which is how passes are tested. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/number.h"
#include "compile/program.h"
#include "engine/host/engine.h"
#include "engine/host/library/library.h"
#include "engine/ref/ref.h"
#include "ir/element.h"
#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "pass/pass.h"
#include "stablehlo/read.h"

static const char usage[] =
    "usage: jm-run [options] file [input...]\n"
    "The file may be - for standard input. An input is a file of an argument's dense bytes; "
    "arguments without one get random numbers.\n"
    "  --seed=N     of the random numbers, default 0\n"
    "  --show=N     elements printed of each result, default 8\n"
    "  --repeat=N   runs, each timed on standard error, default 1\n"
    "  --passes     optimise first\n"
    "  --pass=a,b   what --passes and --compare run instead of the pipeline\n"
    "  --compare    run as it is and optimised; results must be equal in every bit\n"
    "  --tolerance=X  relative, of --compare's floats of 32 and 64 bits: for products whose layout "
    "changed\n"
    "  --program    compile and run as the plugin does (StableHLO only)\n";

enum { MAX_INPUTS = 64 };

typedef struct arguments {
  const char *file, *inputs[MAX_INPUTS], *pass;
  unsigned n_inputs;
  long seed, show, repeat;
  double tolerance;
  bool passes, compare, program, help;
} arguments;

static bool number_option(const char *arg, const char *name, long *out) {
  size_t size = strlen(name);
  if (strncmp(arg, name, size) != 0) return false;
  char *end;
  *out = strtol(arg + size, &end, 10);
  return end != arg + size && !*end;
}

static bool real_option(const char *arg, const char *name, double *out) {
  size_t size = strlen(name);
  if (strncmp(arg, name, size) != 0) return false;
  char *end;
  *out = strtod(arg + size, &end);
  return end != arg + size && !*end;
}

static bool flag_option(const char *arg, const char *name, bool *out) {
  if (strcmp(arg, name) != 0) return false;
  return *out = true;
}

static bool text_option(const char *arg, const char *name, const char **out) {
  size_t size = strlen(name);
  if (strncmp(arg, name, size) != 0) return false;
  *out = arg + size;
  return true;
}

static jm_error *read_arguments(int argc, char **argv, arguments *out) {
  for (int i = 1; i < argc; i++) {
    const char *arg = argv[i];
    if (number_option(arg, "--seed=", &out->seed) || number_option(arg, "--show=", &out->show) ||
        number_option(arg, "--repeat=", &out->repeat) ||
        real_option(arg, "--tolerance=", &out->tolerance) ||
        text_option(arg, "--pass=", &out->pass) || flag_option(arg, "--passes", &out->passes) ||
        flag_option(arg, "--compare", &out->compare) ||
        flag_option(arg, "--program", &out->program) || flag_option(arg, "--help", &out->help))
      continue;
    if (arg[0] == '-' && arg[1]) return jm_error_invalid("%s: no such option\n%s", arg, usage);
    if (out->file && out->n_inputs == MAX_INPUTS)
      return jm_error_invalid("more than %d inputs", MAX_INPUTS);
    if (!out->file)
      out->file = arg;
    else
      out->inputs[out->n_inputs++] = arg;
  }
  return out->file || out->help ? NULL : jm_error_invalid("no file\n%s", usage);
}

static jm_error *read_file(const char *name, jm_text *out) {
  bool standard = !strcmp(name, "-");
  FILE *stream = standard ? stdin : fopen(name, "rb");
  if (!stream) return jm_error_create(JM_NOT_FOUND, "%s can't be opened", name);
  char block[65536];
  size_t n;
  while ((n = fread(block, 1, sizeof block, stream)) > 0) jm_text_append(out, block, n);
  bool failed = ferror(stream);
  if (!standard) fclose(stream);
  if (failed) return jm_error_create(JM_NOT_FOUND, "%s can't be read", name);
  return jm_text_error(out);
}

static double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* -- inputs */

static uint64_t next_random(uint64_t *state) { /* splitmix64 (Steele, Lea, Flood) */
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* Floats in [-1, 1), integers below 4: small, so that they may be indices and exponents. */
static void fill_random(jm_dtype dtype, size_t count, char *out, uint64_t *state) {
  jm_dtype part = jm_dtype_real(dtype);
  size_t size = jm_dtype_bytes(part), parts = jm_dtype_is_complex(dtype) ? 2 : 1;
  for (size_t i = 0; i < count * parts; i++, out += size) {
    uint64_t bits = next_random(state);
    double value = (double)(bits >> 11) * 0x1p-52 - 1;
    const float single = (float)value;
    memset(out, 0, size);
    if (part == JM_DT_f64)
      memcpy(out, &value, sizeof value);
    else if (part == JM_DT_f32)
      memcpy(out, &single, sizeof single);
    else if (!jm_number_narrow_f64(part, &value, out, 1))
      *out = (char)(jm_dtype_facts[part].bits == 1 || jm_dtype_facts[part].bits == 2 ? bits & 1
                                                                                     : bits & 3);
  }
}

static jm_error *fill_input(const arguments *args, uint32_t i, jm_dtype dtype, size_t bytes,
                            char *out, uint64_t *state) {
  if (i >= args->n_inputs) {
    if (bytes) fill_random(dtype, bytes / jm_dtype_bytes(dtype), out, state);
    return NULL;
  }
  jm_text text;
  jm_text_init(&text);
  jm_error *error = read_file(args->inputs[i], &text);
  if (!error && text.size != bytes)
    error = jm_error_invalid("%s has %zu bytes instead of argument %u's %zu", args->inputs[i],
                             text.size, i, bytes);
  if (!error && bytes) memcpy(out, text.bytes, bytes);
  jm_text_deinit(&text);
  return error;
}

/* -- results */

static void print_result(uint32_t index, jm_dtype dtype, size_t count, const char *data,
                         long shown) {
  jm_text text;
  jm_text_init(&text);
  for (size_t i = 0; i < count && i < (size_t)shown; i++) {
    jm_text_append(&text, " ", 1);
    jm_element_print(dtype, data + i * jm_dtype_bytes(dtype), &text);
  }
  printf("result %u: %zu x %s:%s%s\n", index, count, jm_dtype_name(dtype), jm_text_bytes(&text),
         count > (size_t)shown ? " ..." : "");
  jm_text_deinit(&text);
}

/* -- a module on the oracle */

static jm_error *optimize(jm_module *m, const char *names) {
  const jm_pass_options options = {
      .evaluate = jm_ref_fold, .target = &jm_target_host, .verify = true};
  return names ? jm_pass_run(m, names, &options) : jm_pass_optimize(m, &options);
}

static jm_error *read_module(const arguments *args, const jm_text *bytes, bool passes,
                             jm_module **out) {
  bool bytecode = bytes->size >= 4 && !memcmp(bytes->bytes, "ML\xefR", 4);
  JM_TRY(bytecode ? jm_stablehlo_read(bytes->bytes, bytes->size, out)
                  : jm_module_parse(jm_text_bytes(bytes), bytes->size, out));
  JM_TRY(jm_module_verify(*out));
  if ((*out)->n_replicas > 1 || (*out)->n_partitions > 1)
    return jm_error_unimplemented("running a program over several participants");
  JM_TRY(optimize(*out, "entry")); /* both runs of --compare get arrays as they lie in memory */
  if (passes) JM_TRY(optimize(*out, args->pass));
  for (uint32_t r = 0; r < (*out)->n_regions; r++) {
    const jm_region *region = jm_module_region(*out, r);
    for (uint32_t i = 0; i < region->n_ops; i++)
      JM_TRY(jm_library_check(*out, jm_module_op(*out, region->ops[i])));
  }
  return NULL;
}

typedef struct values {
  jm_tensor *tensors;
  uint32_t n;
} values;

static jm_error *values_create(const jm_module *m, const jm_value *list, jm_value first, uint32_t n,
                               values *out) {
  out->tensors = jm_alloc(n, sizeof *out->tensors);
  if (!out->tensors) return jm_error_out_of_memory();
  out->n = n;
  for (uint32_t i = 0; i < n; i++) {
    const jm_type *type = jm_module_typeof(m, list ? list[i] : first + i);
    out->tensors[i] = (jm_tensor){type, jm_alloc_data(jm_type_bytes(type))};
    if (!out->tensors[i].data) return jm_error_out_of_memory();
  }
  return NULL;
}

static void values_destroy(values *v) {
  for (uint32_t i = 0; i < v->n; i++) jm_free(v->tensors[i].data);
  jm_free(v->tensors);
}

static jm_error *run_module(const arguments *args, const jm_module *m, values *in, values *out) {
  const jm_region *entry = jm_module_region(m, m->entry);
  uint64_t state = (uint64_t)args->seed;
  JM_TRY(values_create(m, NULL, entry->first_arg, entry->n_args, in));
  JM_TRY(values_create(m, entry->results, 0, entry->n_results, out));
  for (uint32_t i = 0; i < in->n; i++)
    JM_TRY(fill_input(args, i, in->tensors[i].type->dtype, jm_type_bytes(in->tensors[i].type),
                      in->tensors[i].data, &state));
  for (long i = 0; i < args->repeat; i++) {
    double start = milliseconds();
    JM_TRY(jm_ref_evaluate(m, m->entry, in->tensors, out->tensors, NULL));
    fprintf(stderr, "run %ld: %.3f ms\n", i, milliseconds() - start);
  }
  return NULL;
}

static jm_error *run_once(const arguments *args, const jm_text *bytes, bool passes,
                          jm_module **module, values *out) {
  values in = {0};
  JM_TRY(read_module(args, bytes, passes, module));
  jm_error *error = run_module(args, *module, &in, out);
  values_destroy(&in);
  return error;
}

static double real_of(jm_dtype dtype, const char *bytes) {
  float f;
  double d;
  memcpy(&f, bytes, sizeof f);
  if (dtype == JM_DT_f32) return (double)f;
  memcpy(&d, bytes, sizeof d);
  return d;
}

static bool is_close(jm_dtype dtype, const char *x, const char *y, double tolerance) {
  if (!memcmp(x, y, jm_dtype_bytes(dtype))) return true;
  const jm_dtype part = jm_dtype_real(dtype);
  if (part != dtype) {
    const size_t size = jm_dtype_bytes(part);
    return is_close(part, x, y, tolerance) && is_close(part, x + size, y + size, tolerance);
  }
  if (dtype != JM_DT_f32 && dtype != JM_DT_f64) return false;
  const double a = real_of(dtype, x), b = real_of(dtype, y);
  return fabs(a - b) <= tolerance * fmax(fabs(a), fabs(b));
}

static jm_error *compare(const values *a, const values *b, double tolerance) {
  for (uint32_t i = 0; i < a->n; i++) {
    const jm_type *type = a->tensors[i].type;
    const char *x = a->tensors[i].data, *y = b->tensors[i].data;
    size_t size = jm_dtype_bytes(type->dtype);
    for (int64_t k = 0; k < type->count; k++)
      if (!is_close(type->dtype, x + (size_t)k * size, y + (size_t)k * size, tolerance)) {
        jm_text text;
        jm_text_init(&text);
        jm_element_print(type->dtype, x + (size_t)k * size, &text);
        jm_text_append(&text, " and ", 5);
        jm_element_print(type->dtype, y + (size_t)k * size, &text);
        jm_error *error = jm_error_internal("result %u differs at element %lld: %s optimised", i,
                                            (long long)k, jm_text_bytes(&text));
        jm_text_deinit(&text);
        return error;
      }
  }
  return NULL;
}

static jm_error *run_on_ref(const arguments *args, const jm_text *bytes) {
  jm_module *module = NULL, *other = NULL;
  values out = {0}, other_out = {0};
  jm_error *error = run_once(args, bytes, args->passes, &module, &out);
  if (!error && args->compare) error = run_once(args, bytes, true, &other, &other_out);
  if (!error && args->compare) error = compare(&out, &other_out, args->tolerance);
  for (uint32_t i = 0; !error && i < out.n; i++)
    print_result(i, out.tensors[i].type->dtype, (size_t)out.tensors[i].type->count,
                 out.tensors[i].data, args->show);
  values_destroy(&other_out);
  values_destroy(&out);
  jm_module_destroy(other);
  jm_module_destroy(module);
  return error;
}

/* -- a program as the plugin runs it */

static jm_error *allocate(const jm_program_facts *facts, jm_engine_value *in,
                          jm_engine_value *out) {
  for (uint32_t i = 0; i < facts->n_parameters; i++)
    if (!(in[i].host = jm_alloc_data(facts->parameters[i].shape.bytes)))
      return jm_error_out_of_memory();
  for (uint32_t i = 0; i < facts->n_outputs; i++)
    if (!(out[i].host = jm_alloc_data(facts->outputs[i].shape.bytes)))
      return jm_error_out_of_memory();
  return NULL;
}

static jm_error *run_with(const arguments *args, const jm_program_facts *facts,
                          const jm_prepared *prepared, jm_engine_value *in, jm_engine_value *out) {
  uint64_t state = (uint64_t)args->seed;
  JM_TRY(allocate(facts, in, out));
  for (uint32_t i = 0; i < facts->n_parameters; i++) {
    const jm_shape *shape = &facts->parameters[i].shape;
    JM_TRY(fill_input(args, i, shape->dtype, shape->bytes, in[i].host, &state));
  }
  const jm_engine_run run = {.inputs = in, .outputs = out};
  for (long i = 0; i < args->repeat; i++) {
    double start = milliseconds();
    JM_TRY(jm_prepared_run(prepared, &run));
    fprintf(stderr, "run %ld: %.3f ms\n", i, milliseconds() - start);
  }
  for (uint32_t i = 0; i < facts->n_outputs; i++) {
    const jm_shape *shape = &facts->outputs[i].shape;
    size_t size = jm_dtype_bytes(shape->dtype);
    print_result(i, shape->dtype, size ? shape->bytes / size : 0, out[i].host, args->show);
  }
  return NULL;
}

static jm_error *run_program(const arguments *args, const jm_text *bytes) {
  jm_program *program = NULL;
  double start = milliseconds();
  const jm_prepared *prepared;
  JM_TRY(jm_program_compile(bytes->bytes, bytes->size, &program));
  jm_error *failed = jm_program_prepare(program, jm_host_engine(), NULL, &prepared);
  if (failed) {
    jm_program_destroy(program);
    return failed;
  }
  fprintf(stderr, "compile: %.3f ms\n", milliseconds() - start);
  const jm_program_facts *facts = jm_program_describe(program);
  jm_engine_value *in = jm_alloc(facts->n_parameters, sizeof *in);
  jm_engine_value *out = jm_alloc(facts->n_outputs, sizeof *out);
  jm_error *error = in && out ? run_with(args, facts, prepared, in, out) : jm_error_out_of_memory();
  for (uint32_t i = 0; in && i < facts->n_parameters; i++) jm_free(in[i].host);
  for (uint32_t i = 0; out && i < facts->n_outputs; i++) jm_free(out[i].host);
  jm_free(in);
  jm_free(out);
  jm_program_destroy(program);
  return error;
}

int main(int argc, char **argv) {
  arguments args = {.show = 8, .repeat = 1};
  jm_text bytes;
  jm_text_init(&bytes);
  jm_error *error = read_arguments(argc, argv, &args);
  if (!error && args.help) fputs(usage, stdout);
  if (!error && !args.help) {
    error = read_file(args.file, &bytes);
    if (!error) error = args.program ? run_program(&args, &bytes) : run_on_ref(&args, &bytes);
  }
  if (error)
    fprintf(stderr, "jm-run: %s: %s\n", jm_code_name(jm_error_code(error)),
            jm_error_message(error));
  jm_text_deinit(&bytes);
  int status = error ? 1 : 0;
  jm_error_destroy(error);
  return status;
}
