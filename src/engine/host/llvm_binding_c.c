/* SPDX-License-Identifier: Apache-2.0
 * Binds LLVM's C interface in a system's libLLVM (llvm-c/Core.h, IRReader.h, Analysis.h,
 * TargetMachine.h, LLJIT.h, Error.h); the functions here are the same since LLVM 16. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "engine/host/llvm_binding.h"

/* FUNCTION(result, name, arguments), names without LLVM. LLVMBool is an int, an LLVMErrorRef a
 * pointer, an LLVMOrcJITTargetAddress 64 bits. */
#define FUNCTIONS                                                                               \
  FUNCTION(void, GetVersion, (unsigned *, unsigned *, unsigned *))                              \
  FUNCTION(void, DisposeMessage, (char *))                                                      \
  FUNCTION(char *, GetDefaultTargetTriple, (void))                                              \
  FUNCTION(char *, GetHostCPUName, (void))                                                      \
  FUNCTION(char *, GetHostCPUFeatures, (void))                                                  \
  FUNCTION(void *, ContextCreate, (void))                                                       \
  FUNCTION(void, ContextDispose, (void *))                                                      \
  FUNCTION(void *, CreateMemoryBufferWithMemoryRangeCopy, (const char *, size_t, const char *)) \
  FUNCTION(int, ParseIRInContext, (void *, void *, void **, char **))                           \
  FUNCTION(int, VerifyModule, (void *, int, char **))                                           \
  FUNCTION(void, DisposeModule, (void *))                                                       \
  FUNCTION(int, GetTargetFromTriple, (const char *, void **, char **))                          \
  FUNCTION(void *, CreateTargetMachine,                                                         \
           (void *, const char *, const char *, const char *, int, int, int))                   \
  FUNCTION(void, DisposeTargetMachine, (void *))                                                \
  FUNCTION(int, TargetMachineEmitToMemoryBuffer, (void *, void *, int, char **, void **))       \
  FUNCTION(const char *, GetBufferStart, (void *))                                              \
  FUNCTION(size_t, GetBufferSize, (void *))                                                     \
  FUNCTION(void, DisposeMemoryBuffer, (void *))                                                 \
  FUNCTION(char *, GetErrorMessage, (void *))                                                   \
  FUNCTION(char *, CreateMessage, (const char *))                                               \
  FUNCTION(void, DisposeErrorMessage, (char *))                                                 \
  FUNCTION(void *, OrcCreateLLJIT, (void **, void *))                                           \
  FUNCTION(void *, OrcLLJITGetMainJITDylib, (void *))                                           \
  FUNCTION(void *, OrcLLJITAddObjectFile, (void *, void *, void *))                             \
  FUNCTION(void *, OrcLLJITLookup, (void *, uint64_t *, const char *))                          \
  FUNCTION(void *, OrcDisposeLLJIT, (void *))

#define FUNCTION(result, name, arguments) static result(*name) arguments;
FUNCTIONS
#undef FUNCTION

static const struct {
  const char *name;
  void *address; /* of the pointer above */
} functions[] = {
#define FUNCTION(result, name, arguments) {"LLVM" #name, (void *)&name},
    FUNCTIONS
#undef FUNCTION
};

static void *opened;

static bool bind(void *library) {
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *address = dlsym(library, functions[i].name);
    if (!address) return false;
    memcpy(functions[i].address, &address, sizeof address);
  }
  opened = library;
  return true;
}

static void find_version(unsigned version[3]) { GetVersion(&version[0], &version[1], &version[2]); }

/* LLVMInitializeX86Target and its like, which only headers join to "native". A library may have
 * been built without a target. */
static bool start_target(const char *target) {
  static const char *const parts[] = {"TargetInfo", "Target", "TargetMC", "AsmPrinter"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    char symbol[64];
    snprintf(symbol, sizeof symbol, "LLVMInitialize%s%s", target, parts[i]);
    void *address = dlsym(opened, symbol);
    if (!address) return false;
    void (*function)(void);
    memcpy(&function, &address, sizeof address);
    function();
  }
  return true;
}

static bool start(jm_llvm_host *host) {
  host->triple = GetDefaultTargetTriple();
  host->cpu = GetHostCPUName();
  host->features = GetHostCPUFeatures();
#if defined(__aarch64__)
  return start_target("AArch64");
#else
  return start_target("X86");
#endif
}

static void start_all_targets(void) {
  static const char *const targets[] = {"X86", "AArch64"}; /* one that lacks is refused by name */
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) start_target(targets[i]);
}

/* To const char *, as all of LLVM's own words are kept. */
static void *give(void *object, char *message, const char **words) {
  *words = message;
  return object;
}
static void dispose_words(const char *words) { DisposeMessage((char *)(uintptr_t)words); }

static void *create_context(void) { return ContextCreate(); }
static void dispose_context(void *context) { ContextDispose(context); }

static void *parse(void *context, const char *text, const char **words) {
  void *buffer = CreateMemoryBufferWithMemoryRangeCopy(text, strlen(text), "kernel");
  void *module = NULL;
  char *message = NULL;
  if (ParseIRInContext(context, buffer, &module, &message)) module = NULL; /* takes the buffer */
  return give(module, message, words);
}

static bool verify(void *module, const char **words) {
  enum { RETURN_STATUS = 2 };
  char *message = NULL;
  bool wrong = VerifyModule(module, RETURN_STATUS, &message);
  *words = message;
  return wrong;
}
static void dispose_module(void *module) { DisposeModule(module); }

static void *create_machine(const jm_llvm_target_machine *wanted, const char **words) {
  enum { RELOC_PIC = 2, CODE_MODEL_SMALL = 3 };
  void *target = NULL;
  char *message = NULL;
  if (GetTargetFromTriple(wanted->triple, &target, &message)) return give(NULL, message, words);
  return CreateTargetMachine(target, wanted->triple, wanted->cpu, wanted->features, wanted->level,
                             RELOC_PIC, CODE_MODEL_SMALL);
}
static void dispose_machine(void *machine) { DisposeTargetMachine(machine); }

static void *emit(void *machine, void *module, bool object, const char **words) {
  char *message = NULL;
  void *buffer = NULL;
  if (TargetMachineEmitToMemoryBuffer(machine, module, object, &message, &buffer)) buffer = NULL;
  return give(buffer, message, words);
}
static const void *find_bytes(void *buffer, size_t *size) {
  *size = GetBufferSize(buffer);
  return GetBufferStart(buffer);
}
static void dispose_buffer(void *buffer) { DisposeMemoryBuffer(buffer); }

/* Consumes an LLVMErrorRef: returns whether there is one, and its message. */
static bool failed(void *error, const char **words) {
  if (!error) return false;
  char *message = GetErrorMessage(error);
  *words = CreateMessage(message); /* so that there is one way to dispose of words */
  DisposeErrorMessage(message);
  return true;
}

static void *create_engine(void *context, void *machine, const char **words) {
  (void)context;
  void *engine = NULL;
  DisposeTargetMachine(machine); /* objects are all it gets */
  return failed(OrcCreateLLJIT(&engine, NULL), words) ? NULL : engine;
}

static bool load(void *engine, const void *object, size_t size, const char **words) {
  void *buffer = CreateMemoryBufferWithMemoryRangeCopy(object, size, "object");
  return !failed(OrcLLJITAddObjectFile(engine, OrcLLJITGetMainJITDylib(engine), buffer), words);
}

static void *find_function(void *engine, const char *symbol) {
  uint64_t address = 0;
  const char *words = NULL;
  if (!failed(OrcLLJITLookup(engine, &address, symbol), &words)) return (void *)(uintptr_t)address;
  dispose_words(words);
  return NULL;
}

static void dispose_engine(void *engine) {
  const char *words = NULL;
  if (failed(OrcDisposeLLJIT(engine), &words)) dispose_words(words);
}

/* 19 is the first that reads our text (splat). 20: its reader and code were tried as llvmlite's. */
static const unsigned known_majors[] = {19, 20, 22, 0};

const jm_llvm_binding jm_llvm_binding_c = {
    bind,
    find_version,
    known_majors,
    start,
    start_all_targets,
    dispose_words,
    create_context,
    dispose_context,
    parse,
    verify,
    dispose_module,
    create_machine,
    dispose_machine,
    emit,
    find_bytes,
    dispose_buffer,
    create_engine,
    load,
    find_function,
    dispose_engine,
};
