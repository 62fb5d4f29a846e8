/* SPDX-License-Identifier: Apache-2.0
 * Finds LLVM and drives it. Each module becomes an object file in a context of its own, so threads
 * share nothing. */
#include "engine/host/llvm_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/settings.h"
#include "engine/host/llvm_binding.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool loaded;
static char reason[640], version[64];
static const jm_llvm_binding *llvm;
static jm_llvm_host host;

static bool refuse(const char *path, const char *what) {
  snprintf(reason, sizeof reason, "no LLVM: %s%s", path, what);
  return false;
}

static const jm_llvm_binding *const bindings[] = {&jm_llvm_binding_llvmlite, &jm_llvm_binding_c};

/* Objects are ELF on every system: elf.c reads no other format. On Apple's systems x18 is not ours.
 */
static void make_elf(jm_llvm_host *machine) {
#if defined(__APPLE__) && defined(__aarch64__)
  static char features[4096];
  snprintf(features, sizeof features, "%s%s+reserve-x18", machine->features,
           *machine->features ? "," : "");
  *machine = (jm_llvm_host){"aarch64-none-elf", machine->cpu, features};
#elif defined(__APPLE__)
  machine->triple = "x86_64-none-elf";
#else
  (void)machine;
#endif
}

/* Why a library does not serve stays in `reason`. */
static bool load_library(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* never closed: its code may be running */
  if (!library) return refuse("", dlerror());
  llvm = NULL;
  for (size_t i = 0; i < sizeof bindings / sizeof *bindings && !llvm; i++)
    if (bindings[i]->bind(library)) llvm = bindings[i];
  if (!llvm) return refuse(path, " is neither llvmlite's library nor libLLVM: it lacks functions");
  unsigned number[3];
  llvm->find_version(number);
  snprintf(version, sizeof version, "LLVM %u.%u.%u", number[0], number[1], number[2]);
  bool known = false;
  for (const unsigned *major = llvm->known_majors; *major; major++) known |= *major == number[0];
  if (!known) {
    char what[128];
    snprintf(what, sizeof what, " has %s, which this release was not tested with", version);
    return refuse(path, what);
  }
  if (!llvm->start(&host)) return refuse(path, " can't make code for this machine");
  make_elf(&host);
  return true;
}

/* Without llvmlite: a system's own, newest first; Homebrew's on macOS. */
static const char *const system_libraries[] = {
#ifdef __APPLE__
    "/opt/homebrew/opt/llvm/lib/libLLVM.dylib",
    "/usr/local/opt/llvm/lib/libLLVM.dylib",
#else
    "libLLVM.so.22.1",
    "libLLVM.so.20.1",
    "libLLVM.so.19.1",
#endif
};

static bool load_system_library(void) {
  for (size_t i = 0; i < sizeof system_libraries / sizeof *system_libraries; i++)
    if (load_library(system_libraries[i])) return true;
  return refuse("",
                "neither llvmlite nor a system's libLLVM is found, and JAX_MPS_LLVM names none");
}

static void load(void) {
  const char *path = jm_setting_find(JM_SETTING_LLVM);
  if (!path)
    loaded = load_system_library();
  else if (!strcmp(path, "none"))
    refuse("", "JAX_MPS_LLVM=none");
  else
    loaded = load_library(path);
}

bool jm_llvm_library_load(const char **why) {
  pthread_once(&once, load);
  *why = reason;
  return loaded;
}

const char *jm_llvm_library_version(void) { return version; }

/* An error with LLVM's own words, which are given back. */
static jm_error *refused(const char *what, const char *words) {
  jm_error *error = jm_error_internal("LLVM %s: %s", what, words ? words : "without a reason");
  if (words) llvm->dispose_words(words);
  return error;
}

static jm_error *parse(void *context, const char *text, void **module) {
  const char *words = NULL;
  *module = llvm->parse(context, text, &words);
  if (!*module) return refused("can't read a kernel", words);
  if (!jm_setting_has_word(JM_SETTING_DEBUG, "verify")) return NULL;
  if (!llvm->verify(*module, &words)) {
    if (words) llvm->dispose_words(words);
    return NULL;
  }
  llvm->dispose_module(*module);
  return refused("finds a kernel wrong", words);
}

static jm_error *create_machine(const jm_llvm_machine *m, bool jit, void **out) {
  const char *words = NULL;
  /* The quickest code generator is safe on x86 alone: that of arm64 (GlobalISel) aborts the process
   * on some vectors. */
  int level = !m->quickly ? 2 : strncmp(m->triple, "x86_64", 6) ? 1 : 0;
  *out = llvm->create_machine(&(jm_llvm_target_machine){m->triple, m->cpu, m->features, level, jit},
                              &words);
  return *out ? NULL : refused("has no target machine", words);
}

/* A module as an object file, or as assembly. */
static jm_error *emit(const char *text, void *machine, bool object, void **buffer) {
  void *context = llvm->create_context(), *module;
  const char *words = NULL;
  jm_error *error = parse(context, text, &module);
  if (!error) {
    *buffer = llvm->emit(machine, module, object, &words);
    if (!*buffer) error = refused("can't compile", words);
    llvm->dispose_module(module);
  }
  llvm->dispose_context(context);
  return error;
}

/* Machines for code of this process that no thread uses, by `quickly`. A new one takes as long as
 * half of the quick compilation of a small kernel: it reads the list of the processor's features,
 * and so does each function that is its first. */
enum { MOST_IDLE = 64 };
static struct {
  pthread_mutex_t lock;
  void *idle[2][MOST_IDLE];
  uint32_t n[2];
} machines = {.lock = PTHREAD_MUTEX_INITIALIZER};

static jm_error *take_machine(bool quickly, void **out) {
  pthread_mutex_lock(&machines.lock);
  *out = machines.n[quickly] ? machines.idle[quickly][--machines.n[quickly]] : NULL;
  pthread_mutex_unlock(&machines.lock);
  const jm_llvm_machine m = {host.triple, host.cpu, host.features, .quickly = quickly};
  return *out ? NULL : create_machine(&m, true, out);
}

static void give_machine(bool quickly, void *machine) {
  pthread_mutex_lock(&machines.lock);
  const bool kept = machines.n[quickly] < MOST_IDLE;
  if (kept) machines.idle[quickly][machines.n[quickly]++] = machine;
  pthread_mutex_unlock(&machines.lock);
  if (!kept) llvm->dispose_machine(machine);
}

jm_error *jm_llvm_compile(const char *text, bool quickly, jm_llvm_object *out) {
  void *machine;
  *out = (jm_llvm_object){0};
  JM_TRY(take_machine(quickly, &machine));
  jm_error *error = emit(text, machine, true, &out->buffer);
  give_machine(quickly, machine);
  if (!error) out->bytes = llvm->find_bytes(out->buffer, &out->n_bytes);
  return error;
}

void jm_llvm_object_release(jm_llvm_object *object) {
  if (object->buffer) llvm->dispose_buffer(object->buffer);
  *object = (jm_llvm_object){0};
}

static pthread_once_t all_once = PTHREAD_ONCE_INIT;
static void start_all_targets(void) { llvm->start_all_targets(); }

jm_error *jm_llvm_object_emit(const char *text, const jm_llvm_machine *m, jm_text *out) {
  pthread_once(&all_once, start_all_targets);
  void *buffer = NULL, *machine;
  size_t size;
  JM_TRY(create_machine(m, false, &machine));
  jm_error *error = emit(text, machine, !m->assembly, &buffer);
  llvm->dispose_machine(machine);
  if (error) return error;
  const void *bytes = llvm->find_bytes(buffer, &size);
  jm_text_append(out, bytes, size);
  llvm->dispose_buffer(buffer);
  return jm_text_error(out);
}
