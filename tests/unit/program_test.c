/* SPDX-License-Identifier: Apache-2.0
 * Whole programs: compiled and run as the runtime does it, and the same without memory: whichever
 * allocation fails, the answer is RESOURCE_EXHAUSTED, nothing leaks, and the next try works. */
#include "compile/program.h"
#include "engine/host/engine.h"

#include <dirent.h>
#include <stdlib.h>

#include "unit/check.h"

static const char folder[] = "tests/golden/artifacts";

static void *file_read(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  void *bytes = malloc(*size);
  if (bytes && fread(bytes, 1, *size, file) != *size) *size = 0;
  fclose(file);
  return bytes;
}

/* Memory of the caller's: not the allocator's under test. */
typedef struct memory {
  jm_engine_value *inputs, *outputs;
} memory;

static void *data_of(const jm_shape *shape) {
  size_t bytes = (shape->bytes + JM_DATA_ALIGNMENT) & ~(size_t)(JM_DATA_ALIGNMENT - 1);
  void *data = aligned_alloc(JM_DATA_ALIGNMENT, bytes);
  if (data) memset(data, 0, bytes);
  return data;
}

static memory memory_create(const jm_program_facts *facts) {
  memory m = {calloc(facts->n_parameters + 1, sizeof *m.inputs),
              calloc(facts->n_outputs + 1, sizeof *m.outputs)};
  for (uint32_t i = 0; i < facts->n_parameters; i++)
    m.inputs[i].host = data_of(&facts->parameters[i].shape);
  for (uint32_t i = 0; i < facts->n_outputs; i++)
    m.outputs[i].host = data_of(&facts->outputs[i].shape);
  return m;
}

static void memory_destroy(const jm_program_facts *facts, memory m) {
  for (uint32_t i = 0; i < facts->n_parameters; i++) free(m.inputs[i].host);
  for (uint32_t i = 0; i < facts->n_outputs; i++) free(m.outputs[i].host);
  free(m.inputs);
  free(m.outputs);
}

/* The n-th allocation fails, for every n until none does. */
static void sweep_compile(const void *bytes, size_t size) {
  bool done = false;
  for (int64_t n = 0; !done && n < 100000; n++) {
    jm_program *program = NULL;
    const jm_prepared *prepared = NULL;
    jm_alloc_fail_after(n);
    jm_error *error = jm_program_compile(bytes, size, &program);
    if (!error) error = jm_program_prepare(program, jm_host_engine(), NULL, &prepared);
    jm_alloc_fail_after(-1);
    done = !error;
    CHECK(done ? prepared != NULL : jm_error_code(error) == JM_RESOURCE_EXHAUSTED);
    jm_error_destroy(error);
    jm_program_destroy(program);
  }
  CHECK(done);
}

static void sweep_run(const jm_program *program, const jm_prepared *prepared) {
  memory m = memory_create(jm_program_describe(program));
  const jm_engine_run run = {.inputs = m.inputs, .outputs = m.outputs};
  bool done = false;
  for (int64_t n = 0; !done && n < 100000; n++) {
    jm_alloc_fail_after(n);
    jm_error *error = jm_prepared_run(prepared, &run);
    jm_alloc_fail_after(-1);
    done = !error;
    CHECK(done || jm_error_code(error) == JM_RESOURCE_EXHAUSTED);
    jm_error_destroy(error);
  }
  CHECK(done);
  memory_destroy(jm_program_describe(program), m);
}

static void sweep(const char *name) {
  char path[512];
  size_t size = 0;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  void *bytes = file_read(path, &size);
  CHECK(bytes && size);
  jm_program *program = NULL;
  jm_error *error = jm_program_compile(bytes, size, &program);
  if (error) { /* programs for several devices read, and are refused later or here */
    CHECK(jm_error_code(error) == JM_UNIMPLEMENTED);
    jm_error_destroy(error);
  } else {
    sweep_compile(bytes, size);
    const jm_prepared *prepared = NULL, *again = NULL;
    CHECK_OK(jm_program_prepare(program, jm_host_engine(), NULL, &prepared));
    CHECK_OK(jm_program_prepare(program, jm_host_engine(), NULL, &again));
    CHECK(prepared == again);
    if (jm_program_describe(program)->n_partitions == 1) sweep_run(program, prepared);
    jm_program_destroy(program);
  }
  free(bytes);
}

/* The samples of one jaxlib and version: the others differ in spellings alone. */
static void test_without_memory(void) {
  DIR *files = opendir(folder);
  CHECK(files != NULL);
  int n = 0;
  for (struct dirent *file; files && (file = readdir(files));)
    if (!strncmp(file->d_name, "0.12.0.1-9.9.9-", 15) && strstr(file->d_name, ".mlirbc")) {
      sweep(file->d_name);
      n++;
    }
  if (files) closedir(files);
  CHECK(n >= 10);
}

static void test_bad_bytes(void) {
  jm_program *program = NULL;
  CHECK_FAILS(jm_program_compile("ML", 2, &program), JM_INVALID_ARGUMENT, "byte");
  CHECK_FAILS(jm_program_compile("", 0, &program), JM_INVALID_ARGUMENT, "byte");
  CHECK(program == NULL);
}

TEST_MAIN(test_bad_bytes, test_without_memory)
