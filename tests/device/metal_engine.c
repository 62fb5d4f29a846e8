/* SPDX-License-Identifier: Apache-2.0
 * An engine library for tests: MLX's CPU device ($JM_REAL_ENGINE) that says that it is an Apple
 * GPU. Its kernels are Metal source, which a command ($JM_METAL_COMPILER SOURCE LIBRARY) compiles
 * with the stub of Metal's library (tests/metal); they run on the CPU, as lazily as on a GPU. So
 * the engine does all that it does on a Mac, but MLX's own kernels are those of the CPU.
 *   JM_METAL_FOLDER  where sources and libraries are written
 *   JM_METAL_BREAK   "a=>b": in each source the first a becomes b */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "real_engine.h"

typedef int stub_run(void *entry, void *const *buffers, const uint32_t *grid, const uint32_t *group,
                     int flags, char *message, size_t size);

/* What the core holds as a jm_mlx_kernel: the source is compiled at the first launch, when the
 * types of inputs are known, as MLX does it. */
struct jm_mlx_kernel {
  char *name, *code, *header;
  char *in[64], *out[64];
  uint32_t n_in, n_out;
  jm_mlx_buffer outputs[64];
  uint32_t grid[3], group[3];
  jm_mlx_kernel *launched; /* the real engine's; NULL before the first launch */
};

typedef struct launch {
  stub_run *run;
  void *entry;
  uint32_t grid[3], group[3];
} launch;

static char *copy(const char *text, size_t size) {
  char *made = malloc(size + 1);
  memcpy(made, text, size);
  made[size] = 0;
  return made;
}

static char *name_of(const char *const *names, const char *prefix, uint32_t i) {
  char made[32];
  snprintf(made, sizeof made, "%s%u", prefix, (unsigned)i);
  return names ? copy(names[i], strlen(names[i])) : copy(made, strlen(made));
}

static jm_error *kernel_create(const jm_mlx_kernel_spec *spec, jm_mlx_kernel **out) {
  jm_mlx_kernel *k = calloc(1, sizeof *k);
  const char *header = spec->header ? spec->header : "";
  k->name = copy(spec->name, strlen(spec->name));
  k->code = copy(spec->code, spec->code_bytes);
  k->header = copy(header, strlen(header));
  k->n_in = spec->n_in, k->n_out = spec->n_out;
  for (uint32_t i = 0; i < spec->n_in; i++) k->in[i] = name_of(spec->in, "in", i);
  for (uint32_t i = 0; i < spec->n_out; i++) {
    const jm_mlx_buffer *from = &spec->outputs[i];
    int32_t *shape = malloc(((size_t)from->rank + 1) * sizeof *shape);
    if (from->rank) memcpy(shape, from->shape, (size_t)from->rank * sizeof *shape);
    k->out[i] = name_of(spec->out, "out", i);
    k->outputs[i] = (jm_mlx_buffer){from->dtype, shape, from->rank};
  }
  memcpy(k->grid, spec->grid, sizeof k->grid);
  memcpy(k->group, spec->group, sizeof k->group);
  *out = k;
  return NULL;
}

static void kernel_release(jm_mlx_kernel *k) {
  if (k->launched) real->kernel_release(k->launched);
  for (uint32_t i = 0; i < k->n_in; i++) free(k->in[i]);
  for (uint32_t i = 0; i < k->n_out; i++) free(k->out[i]), free((void *)k->outputs[i].shape);
  free(k->name), free(k->code), free(k->header);
  free(k);
}

/* -- the source, as MLX writes it around a body */

static const char *type_name(jm_dtype dtype) {
  switch (dtype) {
    case JM_DT_pred:
      return "bool";
    case JM_DT_u8:
      return "uint8_t";
    case JM_DT_u16:
      return "uint16_t";
    case JM_DT_u32:
      return "uint32_t";
    case JM_DT_u64:
      return "uint64_t";
    case JM_DT_s8:
      return "int8_t";
    case JM_DT_s16:
      return "int16_t";
    case JM_DT_s32:
      return "int32_t";
    case JM_DT_s64:
      return "int64_t";
    case JM_DT_f16:
      return "half";
    case JM_DT_bf16:
      return "bfloat";
    case JM_DT_f32:
      return "float";
    case JM_DT_c64:
      return "float2";
    default:
      return "no_type_of_metal";
  }
}

/* Few elements lie in constant memory. */
static jm_error *write_inputs(const jm_mlx_kernel *k, jm_mlx_array *const *in, FILE *file) {
  for (uint32_t i = 0; i < k->n_in; i++) {
    jm_dtype dtype;
    int32_t shape[64];
    int rank;
    jm_error *error = real->array_describe(in[i], &dtype, shape, &rank);
    if (error) return error;
    int64_t count = 1;
    for (int d = 0; d < rank; d++) count *= shape[d];
    fprintf(file, "  const %s %s *%s [[buffer(%u)]],\n", count < 8 ? "constant" : "device",
            type_name(dtype), k->in[i], (unsigned)i);
  }
  return NULL;
}

static jm_error *write_source(const jm_mlx_kernel *k, jm_mlx_array *const *in, FILE *file) {
  static const char *const positions[] = {
      "thread_position_in_grid", "thread_position_in_threadgroup", "threadgroup_position_in_grid",
      "threads_per_grid",        "threads_per_threadgroup",        "threadgroups_per_grid"};
  static const char *const numbers[] = {"thread_index_in_threadgroup", "thread_index_in_simdgroup",
                                        "simdgroup_index_in_threadgroup",
                                        "simdgroups_per_threadgroup", "threads_per_simdgroup"};
  fprintf(file, "#include <metal_stdlib>\nusing namespace metal;\n%s\n[[kernel]] void %s(\n",
          k->header, k->name);
  jm_error *error = write_inputs(k, in, file);
  if (error) return error;
  for (uint32_t i = 0; i < k->n_out; i++)
    fprintf(file, "  device %s *%s [[buffer(%u)]]%s\n", type_name(k->outputs[i].dtype), k->out[i],
            (unsigned)(k->n_in + i), i + 1 < k->n_out ? "," : "");
  for (size_t i = 0; i < sizeof positions / sizeof *positions; i++)
    if (strstr(k->code, positions[i]))
      fprintf(file, "  , uint3 %s [[%s]]\n", positions[i], positions[i]);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    if (strstr(k->code, numbers[i])) fprintf(file, "  , uint %s [[%s]]\n", numbers[i], numbers[i]);
  const char *broken = getenv("JM_METAL_BREAK"), *arrow = broken ? strstr(broken, "=>") : NULL;
  char *from = arrow ? copy(broken, (size_t)(arrow - broken)) : NULL;
  const char *at = from ? strstr(k->code, from) : NULL;
  if (at)
    fprintf(file, ") {\n%.*s%s%s\n}\n", (int)(at - k->code), k->code, arrow + 2, at + strlen(from));
  else
    fprintf(file, ") {\n%s\n}\n", k->code);
  free(from);
  return NULL;
}

/* -- running */

static jm_error *run(void *context, void *const *buffers) {
  const launch *l = context;
  char message[256];
  if (!l->run(l->entry, buffers, l->grid, l->group, 0, message, sizeof message)) return NULL;
  return host->error_create(JM_INTERNAL, "%s", message);
}

static jm_error *compile(const jm_mlx_kernel *k, jm_mlx_array *const *in, launch *out) {
  const char *folder = getenv("JM_METAL_FOLDER"), *compiler = getenv("JM_METAL_COMPILER");
  char source[512], library[512], command[2048], symbol[256];
  if (!folder || !compiler) return host->error_create(JM_NOT_FOUND, "no compiler of Metal");
  snprintf(source, sizeof source, "%s/%s.metal", folder, k->name);
  snprintf(library, sizeof library, "%s/%s.so", folder, k->name);
  FILE *file = fopen(source, "w");
  if (!file) return host->error_create(JM_NOT_FOUND, "%s can't be written", source);
  jm_error *error = write_source(k, in, file);
  fclose(file);
  if (error) return error;
  snprintf(command, sizeof command, "%s '%s' '%s' >&2", compiler, source, library);
  if (system(command)) return host->error_create(JM_INTERNAL, "Metal refuses kernel %s", k->name);
  void *loaded = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!loaded) return host->error_create(JM_INTERNAL, "%s", dlerror());
  snprintf(symbol, sizeof symbol, "metal_stub_entry_%s", k->name);
  *(void **)&out->run = dlsym(loaded, "metal_stub_run");
  out->entry = dlsym(loaded, symbol);
  return out->run && out->entry ? NULL : host->error_create(JM_INTERNAL, "no %s", symbol);
}

static jm_error *kernel_launch(jm_mlx_kernel *k, jm_mlx_array *const *in, jm_mlx_array **out) {
  if (!k->launched) {
    launch *l = calloc(1, sizeof *l);
    memcpy(l->grid, k->grid, sizeof l->grid);
    memcpy(l->group, k->group, sizeof l->group);
    jm_error *error = compile(k, in, l);
    if (error) {
      free(l);
      return error;
    }
    const jm_mlx_kernel_spec spec = {.name = k->name,
                                     .n_in = k->n_in,
                                     .n_out = k->n_out,
                                     .outputs = k->outputs,
                                     .run = run,
                                     .context_release = free,
                                     .context = l};
    error = real->kernel_create(&spec, &k->launched);
    if (error) return error;
  }
  return real->kernel_launch(k->launched, in, out);
}

static jm_error *device_open(bool gpu, jm_mlx_device_fact *out) {
  if (!gpu) return host->error_create(JM_FAILED_PRECONDITION, "this engine is for a GPU");
  jm_error *error = real->device_open(false, out);
  if (error) return error;
  snprintf(out->kind, sizeof out->kind, "Apple stub");
  snprintf(out->backend, sizeof out->backend, "metal");
  snprintf(out->architecture, sizeof out->architecture, "applegpu_stub");
  out->is_gpu = true;
  return NULL;
}

__attribute__((visibility("default"))) jm_error *jm_mlx_api_find(const jm_mlx_host *given,
                                                                 const jm_mlx_api **out) {
  static jm_mlx_api changed;
  jm_error *error = real_engine_open(given, &changed);
  if (error) return error;
  changed.device_open = device_open;
  changed.kernel_create = kernel_create;
  changed.kernel_release = kernel_release;
  changed.kernel_launch = kernel_launch;
  *out = &changed;
  return NULL;
}
