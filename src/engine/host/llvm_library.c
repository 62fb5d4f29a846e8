/* SPDX-License-Identifier: Apache-2.0
 * Finds LLVM and drives it. Each module becomes an object file in a context of its own, so threads
 * share nothing but the moment of loading. */
#include "engine/host/llvm_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/settings.h"

typedef struct opaque opaque; /* LLVM's objects */

/* FUNCTION(result, name, arguments): signatures as in llvmlite's binding/ folder, 0.46 to 0.50. */
#define FUNCTIONS                                                                                \
  FUNCTION(unsigned, GetVersionInfo, (void))                                                     \
  FUNCTION(void, InitializeNativeTarget, (void))                                                 \
  FUNCTION(void, InitializeNativeAsmPrinter, (void))                                             \
  FUNCTION(void, InitializeAllTargetInfos, (void))                                               \
  FUNCTION(void, InitializeAllTargets, (void))                                                   \
  FUNCTION(void, InitializeAllTargetMCs, (void))                                                 \
  FUNCTION(void, InitializeAllAsmPrinters, (void))                                               \
  FUNCTION(void, DisposeString, (const char *))                                                  \
  FUNCTION(void, GetProcessTriple, (const char **))                                              \
  FUNCTION(void, GetHostCPUName, (const char **))                                                \
  FUNCTION(int, GetHostCPUFeatures, (const char **))                                             \
  FUNCTION(int, TryAllocateExecutableMemory, (void))                                             \
  FUNCTION(opaque *, ContextCreate, (void))                                                      \
  FUNCTION(void, ContextDispose, (opaque *))                                                     \
  FUNCTION(opaque *, ParseAssembly, (opaque *, const char *, const char **))                     \
  FUNCTION(bool, VerifyModule, (opaque *, const char **))                                        \
  FUNCTION(void, DisposeModule, (opaque *))                                                      \
  FUNCTION(opaque *, GetTargetFromTriple, (const char *, const char **))                         \
  FUNCTION(opaque *, CreateTargetMachine,                                                        \
           (opaque *, const char *, const char *, const char *, int, const char *, const char *, \
            int, int, const char *))                                                             \
  FUNCTION(void, DisposeTargetMachine, (opaque *))                                               \
  FUNCTION(opaque *, TargetMachineEmitToMemory, (opaque *, opaque *, int, const char **))        \
  FUNCTION(const void *, GetBufferStart, (opaque *))                                             \
  FUNCTION(size_t, GetBufferSize, (opaque *))                                                    \
  FUNCTION(void, DisposeMemoryBuffer, (opaque *))                                                \
  FUNCTION(opaque *, CreateMCJITCompiler, (opaque *, opaque *, bool, const char **))             \
  FUNCTION(opaque *, CreateObjectFile, (const void *, size_t))                                   \
  FUNCTION(void, DisposeObjectFile, (opaque *))                                                  \
  FUNCTION(void, MCJITAddObjectFile, (opaque *, opaque *))                                       \
  FUNCTION(void, FinalizeObject, (opaque *))                                                     \
  FUNCTION(uint64_t, GetFunctionAddress, (opaque *, const char *))                               \
  FUNCTION(void, DisposeExecutionEngine, (opaque *))

#define FUNCTION(result, name, arguments) static result(*name) arguments;
FUNCTIONS
#undef FUNCTION

static const struct {
  const char *name;
  void *address; /* of the pointer above */
} functions[] = {
#define FUNCTION(result, name, arguments) {"LLVMPY_" #name, (void *)&name},
    FUNCTIONS
#undef FUNCTION
};

/* The releases that the tests were run with: llvmlite 0.46 and 0.47, 0.48 to 0.50. */
static const unsigned known_majors[] = {20, 22};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool loaded;
static char reason[640], version[64];
static const char *triple, *cpu, *features;

static bool refuse(const char *path, const char *what) {
  snprintf(reason, sizeof reason, "%s %s", path, what);
  return false;
}

static bool load_library(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* never closed: its code may be running */
  if (!library) return refuse("LLVM does not load:", dlerror());
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *address = dlsym(library, functions[i].name);
    if (!address) return refuse(path, "is not llvmlite's library: it lacks functions");
    memcpy(functions[i].address, &address, sizeof address);
  }
  unsigned number = GetVersionInfo(), major = number >> 16;
  snprintf(version, sizeof version, "LLVM %u.%u.%u", major, number >> 8 & 255, number & 255);
  bool known = false;
  for (size_t i = 0; i < sizeof known_majors / sizeof *known_majors; i++)
    known |= known_majors[i] == major;
  if (!known) {
    snprintf(reason, sizeof reason, "%s has %s, which this release was not tested with", path,
             version);
    return false;
  }
  if (TryAllocateExecutableMemory()) return refuse(path, "may not make memory executable here");
  InitializeNativeTarget();
  InitializeNativeAsmPrinter();
  GetProcessTriple(&triple);
  GetHostCPUName(&cpu);
  if (!GetHostCPUFeatures(&features)) features = "";
  return true;
}

/* Of all engines, and of the one that is filled. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void before_fork(void) { pthread_mutex_lock(&lock); }
static void after_fork(void) { pthread_mutex_unlock(&lock); }

static void load(void) {
  const char *path = jm_setting_find(JM_SETTING_LLVM);
  if (!path)
    refuse("no LLVM:", "llvmlite is not installed, and JAX_MPS_LLVM names no library");
  else if (!strcmp(path, "none"))
    refuse("no LLVM:", "JAX_MPS_LLVM=none");
  else
    loaded = load_library(path);
  if (loaded) pthread_atfork(before_fork, after_fork, after_fork);
}

bool jm_llvm_library_load(const char **why) {
  pthread_once(&once, load);
  *why = reason;
  return loaded;
}

const char *jm_llvm_library_version(void) { return version; }

bool jm_llvm_host_has(const char *feature) {
  size_t size = strlen(feature);
  for (const char *f = features; f; f = strchr(f, ',')) {
    f += *f == ',';
    if (*f == '+' && !strncmp(f + 1, feature, size) && (f[1 + size] == ',' || !f[1 + size]))
      return true;
  }
  return false;
}

const char *jm_llvm_host_name(void) { return cpu; }

/* An error with LLVM's own words, which are given back. */
static jm_error *refused(const char *what, const char *words) {
  jm_error *error = jm_error_internal("LLVM %s: %s", what, words ? words : "without a reason");
  if (words) DisposeString(words);
  return error;
}

static jm_error *parse(opaque *context, const char *text, opaque **module) {
  const char *words = NULL;
  *module = ParseAssembly(context, text, &words);
  if (!*module) return refused("can't read a kernel", words);
  if (!jm_setting_has_word(JM_SETTING_DEBUG, "verify")) return NULL;
  if (!VerifyModule(*module, &words)) {
    if (words) DisposeString(words);
    return NULL;
  }
  DisposeModule(*module);
  return refused("finds a kernel wrong", words);
}

static jm_error *create_machine(const char *machine_triple, const char *machine_cpu,
                                const char *machine_features, bool jit, bool quickly,
                                opaque **out) {
  const char *words = NULL;
  opaque *target = GetTargetFromTriple(machine_triple, &words);
  if (!target) return refused("has no target", words);
  /* Only x86's quickest way is sound: arm64's (GlobalISel) ends the process at some vectors. */
  int level = !quickly ? 2 : strncmp(machine_triple, "x86_64", 6) ? 1 : 0;
  /* All of a module's memory comes from one block, within which relative addresses always reach. */
  *out = CreateTargetMachine(target, machine_triple, machine_cpu, machine_features, level, "pic",
                             "small", 0, jit, "");
  return *out ? NULL : refused("has no target machine", NULL);
}

typedef struct emission {
  bool jit, quickly, assembly;
} emission;

/* A module as an object file. */
static jm_error *emit(const char *text, const char *machine_triple, const char *machine_cpu,
                      const char *machine_features, const emission *how, opaque **buffer) {
  opaque *context = ContextCreate(), *module, *machine;
  const char *words = NULL;
  jm_error *error = parse(context, text, &module);
  if (!error) {
    error = create_machine(machine_triple, machine_cpu, machine_features, how->jit, how->quickly,
                           &machine);
    if (!error) {
      *buffer = TargetMachineEmitToMemory(machine, module, !how->assembly, &words);
      if (!*buffer) error = refused("can't compile", words);
      DisposeTargetMachine(machine);
    }
    DisposeModule(module);
  }
  ContextDispose(context);
  return error;
}

/* -- code that can be called
 *
 * An engine brings tables of its target, most of a megabyte. So many modules' objects are loaded
 * into one engine, which goes when the last of their code does. Symbols are unique. */
enum { MOST_LOADED = 64 };

typedef struct yard {
  opaque *context, *engine;
  size_t loaded, held;
} yard;

struct jm_llvm_code {
  yard *yard;
};

static yard *open_yard; /* that more is loaded into; under the lock */

static void destroy_yard(yard *y) {
  if (y->engine) DisposeExecutionEngine(y->engine);
  ContextDispose(y->context);
  jm_free(y);
}

static jm_error *fill_yard(yard *y) {
  opaque *module, *machine;
  JM_TRY(parse(y->context, "", &module));
  jm_error *error = create_machine(triple, cpu, features, true, true, &machine);
  if (error) {
    DisposeModule(module);
    return error;
  }
  const char *words = NULL; /* the engine takes over module and machine, even if it fails */
  y->engine = CreateMCJITCompiler(module, machine, true, &words);
  return y->engine ? NULL : refused("has no engine", words);
}

static jm_error *find_yard(yard **out) {
  if (open_yard && open_yard->loaded < MOST_LOADED) {
    *out = open_yard;
    return NULL;
  }
  yard *y = jm_alloc(1, sizeof *y);
  if (!y) return jm_error_out_of_memory();
  y->context = ContextCreate();
  jm_error *error = fill_yard(y);
  if (error)
    destroy_yard(y);
  else
    *out = open_yard = y;
  return error;
}

static jm_error *load_object(opaque *buffer, jm_llvm_code *code) {
  JM_TRY(find_yard(&code->yard));
  opaque *object = CreateObjectFile(GetBufferStart(buffer), GetBufferSize(buffer));
  if (!object) return refused("can't read its own object", NULL);
  MCJITAddObjectFile(code->yard->engine, object); /* takes what is inside */
  DisposeObjectFile(object);
  FinalizeObject(code->yard->engine);
  code->yard->loaded++;
  code->yard->held++;
  return NULL;
}

jm_error *jm_llvm_code_create(const char *text, bool quickly, jm_llvm_code **out) {
  jm_llvm_code *code = jm_alloc(1, sizeof *code);
  if (!code) return jm_error_out_of_memory();
  opaque *buffer = NULL;
  jm_error *error =
      emit(text, triple, cpu, features, &(emission){.jit = true, .quickly = quickly}, &buffer);
  if (!error) {
    pthread_mutex_lock(&lock);
    error = load_object(buffer, code);
    pthread_mutex_unlock(&lock);
    DisposeMemoryBuffer(buffer);
  }
  if (error)
    jm_free(code);
  else
    *out = code;
  return error;
}

void jm_llvm_code_destroy(jm_llvm_code *code) {
  if (!code) return;
  pthread_mutex_lock(&lock);
  if (!--code->yard->held) {
    if (open_yard == code->yard) open_yard = NULL;
    destroy_yard(code->yard);
  }
  pthread_mutex_unlock(&lock);
  jm_free(code);
}

void *jm_llvm_code_find(jm_llvm_code *code, const char *symbol) {
  pthread_mutex_lock(&lock);
  uint64_t address = GetFunctionAddress(code->yard->engine, symbol);
  pthread_mutex_unlock(&lock);
  return (void *)(uintptr_t)address;
}

static pthread_once_t all_once = PTHREAD_ONCE_INIT;
static void load_all(void) {
  InitializeAllTargetInfos();
  InitializeAllTargets();
  InitializeAllTargetMCs();
  InitializeAllAsmPrinters();
}

jm_error *jm_llvm_object_emit(const char *text, const jm_llvm_machine *m, jm_text *out) {
  pthread_once(&all_once, load_all);
  opaque *buffer = NULL;
  JM_TRY(emit(text, m->triple, m->cpu, m->features,
              &(emission){.quickly = m->quickly, .assembly = m->assembly}, &buffer));
  jm_text_append(out, GetBufferStart(buffer), GetBufferSize(buffer));
  DisposeMemoryBuffer(buffer);
  return jm_text_error(out);
}
