/* SPDX-License-Identifier: Apache-2.0
 * Finds LLVM and drives it. Each module is parsed in a context of its own, so threads share
 * nothing. An engine holds its module's code, and lives as long as that is callable. */
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

static void load(void) {
  const char *path = jm_setting_find(JM_SETTING_LLVM);
  if (!path)
    refuse("no LLVM:", "llvmlite is not installed, and JAX_MPS_LLVM names no library");
  else if (!strcmp(path, "none"))
    refuse("no LLVM:", "JAX_MPS_LLVM=none");
  else
    loaded = load_library(path);
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

struct jm_llvm_code {
  opaque *context, *engine;
};

static jm_error *compile(jm_llvm_code *code, const char *text, bool quickly) {
  opaque *module, *machine;
  JM_TRY(parse(code->context, text, &module));
  jm_error *error = create_machine(triple, cpu, features, true, quickly, &machine);
  if (error) {
    DisposeModule(module);
    return error;
  }
  const char *words = NULL; /* the engine takes over module and machine, even if it fails */
  code->engine = CreateMCJITCompiler(module, machine, true, &words);
  if (!code->engine) return refused("can't compile", words);
  FinalizeObject(code->engine);
  return NULL;
}

jm_error *jm_llvm_code_create(const char *text, bool quickly, jm_llvm_code **out) {
  jm_llvm_code *code = jm_alloc(1, sizeof *code);
  if (!code) return jm_error_out_of_memory();
  code->context = ContextCreate();
  jm_error *error = compile(code, text, quickly);
  if (error)
    jm_llvm_code_destroy(code);
  else
    *out = code;
  return error;
}

void jm_llvm_code_destroy(jm_llvm_code *code) {
  if (!code) return;
  if (code->engine) DisposeExecutionEngine(code->engine);
  ContextDispose(code->context);
  jm_free(code);
}

void *jm_llvm_code_find(jm_llvm_code *code, const char *symbol) {
  return (void *)(uintptr_t)GetFunctionAddress(code->engine, symbol);
}

static pthread_once_t all_once = PTHREAD_ONCE_INIT;
static void load_all(void) {
  InitializeAllTargetInfos();
  InitializeAllTargets();
  InitializeAllTargetMCs();
  InitializeAllAsmPrinters();
}

static jm_error *emit(opaque *module, const jm_llvm_machine *m, jm_text *out) {
  opaque *machine;
  JM_TRY(create_machine(m->triple, m->cpu, m->features, false, m->quickly, &machine));
  const char *words = NULL;
  opaque *buffer = TargetMachineEmitToMemory(machine, module, !m->assembly, &words);
  DisposeTargetMachine(machine);
  if (!buffer) return refused("can't emit", words);
  jm_text_append(out, GetBufferStart(buffer), GetBufferSize(buffer));
  DisposeMemoryBuffer(buffer);
  return jm_text_error(out);
}

jm_error *jm_llvm_object_emit(const char *text, const jm_llvm_machine *machine, jm_text *out) {
  pthread_once(&all_once, load_all);
  opaque *context = ContextCreate(), *module;
  jm_error *error = parse(context, text, &module);
  if (!error) {
    error = emit(module, machine, out);
    DisposeModule(module);
  }
  ContextDispose(context);
  return error;
}
