/* SPDX-License-Identifier: Apache-2.0
 * The text of every kernel is looked up in the process's table, then on disk; missing ones are
 * compiled in parallel. */
#include "engine/mlx/device_code.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/counters.h"
#include "base/file_cache.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "base/settings.h"
#include "engine/mlx/nvrtc.h"

enum { N_BUCKETS = 1024 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static jm_device_code *buckets[N_BUCKETS]; /* under the lock, with refs */

static void code_free(jm_device_code *code) {
  if (!code) return;
  jm_free(code->text);
  jm_free(code->code);
  jm_free(code);
}

/* Under the lock: another reference, NULL if there is none. */
static jm_device_code *table_find(uint64_t hash, const char *text) {
  jm_device_code *code = buckets[hash % N_BUCKETS];
  while (code && (code->hash != hash || strcmp(code->text, text))) code = code->next;
  if (code) code->refs++;
  return code;
}

void jm_device_code_release(jm_device_code *code) {
  if (!code) return;
  pthread_mutex_lock(&lock);
  const bool last = !--code->refs;
  if (last) {
    jm_device_code **link = &buckets[code->hash % N_BUCKETS];
    while (*link != code) link = &(*link)->next;
    *link = code->next;
  }
  pthread_mutex_unlock(&lock);
  if (last) code_free(code);
}

/* -- compiling */

typedef struct compilation {
  const jm_mlx_device_fact *device;
  const jm_kernel *const *kernels;
  jm_device_code **codes;
  jm_error **errors;
} compilation;

static bool is_cuda(const jm_mlx_device_fact *device) { return !strcmp(device->backend, "cuda"); }

/* The cubin of code->text: from disk, or compiled and kept there. */
static jm_error *cubin_make(const jm_mlx_device_fact *device, jm_device_code *code) {
  const char *folder = jm_setting_find(JM_SETTING_KERNEL_CACHE);
  if (folder && !strcmp(folder, "0")) folder = NULL;
  jm_text source;
  jm_text_init(&source);
  jm_text_printf(&source, "#define JM_KERNEL %s\n// NVRTC %d, %s\n%s", code->name,
                 jm_nvrtc_version(), device->architecture, code->text);
  jm_error *error = jm_text_error(&source);
  const char *key = jm_text_bytes(&source);
  if (!error && !(folder && jm_file_cache_find(folder, key, &code->code, &code->code_bytes))) {
    jm_counter_add(JM_COUNTER_kernels_compiled, 1);
    error = jm_nvrtc_compile(key, device->architecture, &code->code, &code->code_bytes);
    if (!error && folder) jm_file_cache_keep(folder, key, code->code, code->code_bytes);
  }
  jm_text_deinit(&source);
  return error;
}

/* MLX declares the buffers of a Metal text, raw_in0 and so on, by the arrays' types: bfloat, bool.
 * A kernel sees words. */
static void words_print(const jm_kernel *kernel, const jm_c_dialect *dialect, jm_text *text) {
  uint32_t n[2] = {0};
  for (uint32_t i = 0; i < kernel->n_params; i++) {
    const jm_kparam *param = &kernel->params[i];
    if (param->space != JM_SPACE_GLOBAL) continue;
    const char *name = param->written ? "out" : "in";
    const uint32_t k = n[param->written]++;
    jm_text_printf(text, "auto %s%u = jm_words<%s>(raw_%s%u);\n", name, k,
                   dialect->types[param->element], name, k);
  }
}

jm_error *jm_device_code_print(const jm_c_dialect *dialect, const jm_kernel *kernel,
                               jm_text *text) {
  if (dialect != &jm_c_cuda) {
    words_print(kernel, dialect, text);
    return jm_c_print_body(kernel, dialect, text);
  }
  /* What is written has no __restrict__: a compiler may then keep it over a barrier. */
  const char *const kinds[] = {"const %s *__restrict__ in%u", "%s *out%u"};
  jm_text_printf(text, "extern \"C\" __global__ void JM_KERNEL(");
  bool first = true;
  for (uint32_t written = 0; written < 2; written++)
    for (uint32_t i = 0, n = 0; i < kernel->n_params; i++) {
      const jm_kparam *param = &kernel->params[i];
      if (param->space != JM_SPACE_GLOBAL || param->written != written) continue;
      jm_text_printf(text, first ? "\n    " : ",\n    ");
      jm_text_printf(text, kinds[written], jm_c_cuda.types[param->element], n++);
      first = false;
    }
  jm_text_printf(text, ") {\n");
  JM_TRY(jm_c_print_body(kernel, &jm_c_cuda, text));
  jm_text_printf(text, "}\n");
  return NULL;
}

/* The code of a text, which is taken over. */
static jm_error *code_find(const jm_mlx_device_fact *device, jm_text *text, jm_device_code **out) {
  const uint64_t hash = jm_hash_bytes(jm_text_bytes(text), text->size);
  pthread_mutex_lock(&lock);
  *out = table_find(hash, jm_text_bytes(text));
  pthread_mutex_unlock(&lock);
  if (*out) {
    jm_text_deinit(text);
    return NULL;
  }
  jm_device_code *code = jm_alloc(1, sizeof *code);
  if (!code) {
    jm_text_deinit(text);
    return jm_error_out_of_memory();
  }
  *code = (jm_device_code){.hash = hash, .refs = 1, .text = text->bytes};
  snprintf(code->name, sizeof code->name, "jm_%016" PRIx64, hash);
  jm_error *error = is_cuda(device) ? cubin_make(device, code) : NULL;
  if (error) {
    code_free(code);
    return error;
  }
  pthread_mutex_lock(&lock);
  *out = table_find(hash, code->text); /* another thread may have made it meanwhile */
  if (!*out) {
    code->next = buckets[hash % N_BUCKETS];
    buckets[hash % N_BUCKETS] = *out = code;
    code = NULL;
  }
  pthread_mutex_unlock(&lock);
  code_free(code);
  return NULL;
}

jm_error *jm_device_code_compile(const jm_mlx_device_fact *device, jm_text *text,
                                 jm_device_code **out) {
  jm_error *error = jm_text_error(text);
  if (!error) return code_find(device, text, out);
  jm_text_deinit(text);
  return error;
}

static jm_error *code_make(const compilation *c, const jm_kernel *kernel, jm_device_code **out) {
  const jm_c_dialect *dialect = is_cuda(c->device) ? &jm_c_cuda : &jm_c_metal;
  jm_text text;
  jm_text_init(&text);
  if (dialect == &jm_c_cuda) jm_text_printf(&text, "%s", dialect->prelude);
  jm_error *error = jm_device_code_print(dialect, kernel, &text);
  if (!error) return jm_device_code_compile(c->device, &text, out);
  jm_text_deinit(&text);
  return error;
}

static void make_range(void *context, size_t begin, size_t end) {
  const compilation *c = context;
  for (size_t i = begin; i < end; i++) c->errors[i] = code_make(c, c->kernels[i], &c->codes[i]);
}

jm_error *jm_device_code_create(const jm_mlx_device_fact *device, const jm_kernel *const *kernels,
                                uint32_t n, jm_device_code **codes) {
  jm_error **errors = jm_alloc(n, sizeof *errors), *first = NULL;
  if (!errors) return jm_error_out_of_memory();
  memset(codes, 0, n * sizeof *codes);
  compilation c = {device, kernels, codes, errors};
  jm_parallel_for(n, 1, make_range, &c);
  for (uint32_t i = 0; i < n; i++) {
    if (first)
      jm_error_destroy(errors[i]);
    else
      first = errors[i];
  }
  jm_free(errors);
  for (uint32_t i = 0; first && i < n; i++) jm_device_code_release(codes[i]);
  return first;
}
