/* SPDX-License-Identifier: Apache-2.0
 * The declarations are NVRTC's documented C interface (CUDA 12 and 13). */
#include "engine/mlx/nvrtc.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#include "base/alloc.h"

typedef void *program; /* nvrtcProgram */
typedef int result;    /* nvrtcResult, 0: success */

static struct {
  result (*version)(int *major, int *minor);
  const char *(*error_string)(result code);
  result (*create)(program *out, const char *source, const char *name, int n_headers,
                   const char *const *headers, const char *const *include_names);
  result (*destroy)(program *p);
  result (*compile)(program p, int n_options, const char *const *options);
  result (*log_size)(program p, size_t *size);
  result (*log)(program p, char *log);
  result (*cubin_size)(program p, size_t *size);
  result (*cubin)(program p, char *cubin);
} nvrtc;

static const struct {
  const char *name;
  void *function; /* a member of nvrtc */
} functions[] = {
    {"nvrtcVersion", &nvrtc.version},        {"nvrtcGetErrorString", &nvrtc.error_string},
    {"nvrtcCreateProgram", &nvrtc.create},   {"nvrtcDestroyProgram", &nvrtc.destroy},
    {"nvrtcCompileProgram", &nvrtc.compile}, {"nvrtcGetProgramLogSize", &nvrtc.log_size},
    {"nvrtcGetProgramLog", &nvrtc.log},      {"nvrtcGetCUBINSize", &nvrtc.cubin_size},
    {"nvrtcGetCUBIN", &nvrtc.cubin},
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool loaded;
static int version_number;
static char reason[256];

static bool bind(void *library, const char *name) {
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *address = dlsym(library, functions[i].name);
    if (!address) {
      snprintf(reason, sizeof reason, "%s lacks %s", name, functions[i].name);
      return false;
    }
    *(void **)functions[i].function = address;
  }
  int major = 0, minor = 0;
  if (nvrtc.version(&major, &minor)) return false;
  version_number = major * 1000 + minor * 10;
  snprintf(reason, sizeof reason, "NVRTC %d.%d", major, minor);
  return true;
}

/* MLX has loaded the one that it is linked with; by its name that one is found again. */
static void load(void) {
  static const char *const names[] = {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"};
  snprintf(reason, sizeof reason, "no libnvrtc is found");
  for (size_t i = 0; i < sizeof names / sizeof *names && !loaded; i++) {
    void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL); /* never closed */
    loaded = library && bind(library, names[i]);
  }
}

bool jm_nvrtc_load(const char **why) {
  pthread_once(&once, load);
  *why = reason;
  return loaded;
}

int jm_nvrtc_version(void) {
  const char *why;
  return jm_nvrtc_load(&why) ? version_number : 0;
}

static jm_error *refused(program p, result status) {
  size_t size = 0;
  char *log = nvrtc.log_size(p, &size) || !size ? NULL : jm_alloc(size + 1, 1);
  if (log && nvrtc.log(p, log)) log[0] = 0;
  jm_error *error = jm_error_create(JM_INTERNAL, "NVRTC refused a kernel: %s\n%.2000s",
                                    nvrtc.error_string(status), log ? log : "");
  jm_free(log);
  return error;
}

static jm_error *compile(program p, const char *architecture, char **code, size_t *size) {
  char arch[64];
  snprintf(arch, sizeof arch, "--gpu-architecture=%s", architecture);
  const char *const options[] = {arch, "--fmad=false", "--std=c++17"};
  result status = nvrtc.compile(p, sizeof options / sizeof *options, options);
  if (status) return refused(p, status);
  status = nvrtc.cubin_size(p, size);
  if (status || !*size) return refused(p, status);
  *code = jm_alloc(*size, 1);
  if (!*code) return jm_error_out_of_memory();
  status = nvrtc.cubin(p, *code);
  if (!status) return NULL;
  jm_free(*code);
  return refused(p, status);
}

jm_error *jm_nvrtc_compile(const char *source, const char *architecture, char **code,
                           size_t *size) {
  const char *why;
  if (!jm_nvrtc_load(&why))
    return jm_error_create(JM_FAILED_PRECONDITION, "no CUDA kernel can be compiled: %s", why);
  program p;
  result status = nvrtc.create(&p, source, "kernel.cu", 0, NULL, NULL);
  if (status) return jm_error_create(JM_INTERNAL, "NVRTC: %s", nvrtc.error_string(status));
  jm_error *error = compile(p, architecture, code, size);
  nvrtc.destroy(&p);
  return error;
}
