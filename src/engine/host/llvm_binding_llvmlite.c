/* SPDX-License-Identifier: Apache-2.0
 * Binds the library inside the llvmlite wheel: the functions that llvmlite's own Python code calls.
 */
#include <dlfcn.h>
#include <string.h>

#include "engine/host/llvm_binding.h"

/* FUNCTION(result, name, arguments): signatures as in llvmlite's binding/ folder, 0.46 to 0.50. */
#define FUNCTIONS                                                                              \
  FUNCTION(unsigned, GetVersionInfo, (void))                                                   \
  FUNCTION(void, InitializeNativeTarget, (void))                                               \
  FUNCTION(void, InitializeNativeAsmPrinter, (void))                                           \
  FUNCTION(void, InitializeAllTargetInfos, (void))                                             \
  FUNCTION(void, InitializeAllTargets, (void))                                                 \
  FUNCTION(void, InitializeAllTargetMCs, (void))                                               \
  FUNCTION(void, InitializeAllAsmPrinters, (void))                                             \
  FUNCTION(void, DisposeString, (const char *))                                                \
  FUNCTION(void, GetProcessTriple, (const char **))                                            \
  FUNCTION(void, GetHostCPUName, (const char **))                                              \
  FUNCTION(int, GetHostCPUFeatures, (const char **))                                           \
  FUNCTION(int, TryAllocateExecutableMemory, (void))                                           \
  FUNCTION(void *, ContextCreate, (void))                                                      \
  FUNCTION(void, ContextDispose, (void *))                                                     \
  FUNCTION(void *, ParseAssembly, (void *, const char *, const char **))                       \
  FUNCTION(bool, VerifyModule, (void *, const char **))                                        \
  FUNCTION(void, DisposeModule, (void *))                                                      \
  FUNCTION(void *, GetTargetFromTriple, (const char *, const char **))                         \
  FUNCTION(void *, CreateTargetMachine,                                                        \
           (void *, const char *, const char *, const char *, int, const char *, const char *, \
            int, int, const char *))                                                           \
  FUNCTION(void, DisposeTargetMachine, (void *))                                               \
  FUNCTION(void *, TargetMachineEmitToMemory, (void *, void *, int, const char **))            \
  FUNCTION(const void *, GetBufferStart, (void *))                                             \
  FUNCTION(size_t, GetBufferSize, (void *))                                                    \
  FUNCTION(void, DisposeMemoryBuffer, (void *))

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

static bool bind(void *library) {
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *address = dlsym(library, functions[i].name);
    if (!address) return false;
    memcpy(functions[i].address, &address, sizeof address);
  }
  return true;
}

static void find_version(unsigned version[3]) {
  unsigned number = GetVersionInfo();
  version[0] = number >> 16;
  version[1] = number >> 8 & 255;
  version[2] = number & 255;
}

static bool start(jm_llvm_host *host) {
  if (TryAllocateExecutableMemory()) return false;
  InitializeNativeTarget();
  InitializeNativeAsmPrinter();
  GetProcessTriple(&host->triple);
  GetHostCPUName(&host->cpu);
  if (!GetHostCPUFeatures(&host->features)) host->features = "";
  return true;
}

static void start_all_targets(void) {
  InitializeAllTargetInfos();
  InitializeAllTargets();
  InitializeAllTargetMCs();
  InitializeAllAsmPrinters();
}

static void dispose_words(const char *words) { DisposeString(words); }
static void *create_context(void) { return ContextCreate(); }
static void dispose_context(void *context) { ContextDispose(context); }
static void *parse(void *context, const char *text, const char **words) {
  return ParseAssembly(context, text, words);
}
static bool verify(void *module, const char **words) { return VerifyModule(module, words); }
static void dispose_module(void *module) { DisposeModule(module); }

static void *create_machine(const jm_llvm_target_machine *wanted, const char **words) {
  void *target = GetTargetFromTriple(wanted->triple, words);
  if (!target) return NULL;
  /* A module's code and constants lie in one block, within which relative addresses reach. */
  return CreateTargetMachine(target, wanted->triple, wanted->cpu, wanted->features, wanted->level,
                             "pic", "small", 0, wanted->jit, "");
}
static void dispose_machine(void *machine) { DisposeTargetMachine(machine); }

static void *emit(void *machine, void *module, bool object, const char **words) {
  return TargetMachineEmitToMemory(machine, module, object, words);
}
static const void *find_bytes(void *buffer, size_t *size) {
  *size = GetBufferSize(buffer);
  return GetBufferStart(buffer);
}
static void dispose_buffer(void *buffer) { DisposeMemoryBuffer(buffer); }

/* llvmlite 0.46 and 0.47, 0.48 to 0.50. */
static const unsigned known_majors[] = {20, 22, 0};

const jm_llvm_binding jm_llvm_binding_llvmlite = {
    bind,           find_version,   known_majors,    start, start_all_targets,
    dispose_words,  create_context, dispose_context, parse, verify,
    dispose_module, create_machine, dispose_machine, emit,  find_bytes,
    dispose_buffer,
};
