/* SPDX-License-Identifier: Apache-2.0
 * Runs an exported program from C, without Python:
 *
 *   cc -std=c11 -Isrc examples/c/run.c -o run -ldl
 *   ./run build/libpjrt_plugin_mps.so program.mlirbc f32[2,3] s32[4]
 *
 * program.mlirbc: jax.export.export(f)(...).mlir_module_serialized. Each argument after it is one
 * input of the program, filled with 0, 1, 2, … Results of f32 and s32 are printed. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pjrt/pjrt_abi.h"

enum { MAX_ARRAYS = 64, MAX_RANK = 8 };

static const PJRT_Api *api;

/* A block of arguments, and the call with it: the results are fields of the block. */
#define BLOCK(name, variable) PJRT_##name##_Args variable = {.struct_size = sizeof variable}
#define CALL(name, block) check(api->PJRT_##name(block), "PJRT_" #name)

static void fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void check(PJRT_Error *error, const char *what) {
  if (!error) return;
  BLOCK(Error_Message, text);
  text.error = error;
  api->PJRT_Error_Message(&text);
  fail(what, text.message); /* ours end with a NUL */
}

static void await(PJRT_Event *event) {
  BLOCK(Event_Await, wait);
  wait.event = event;
  CALL(Event_Await, &wait);
  BLOCK(Event_Destroy, end);
  end.event = event;
  CALL(Event_Destroy, &end);
}

static char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) fail(path, "cannot be read");
  *size = (size_t)ftell(file);
  rewind(file);
  char *bytes = malloc(*size + 1);
  if (!bytes || fread(bytes, 1, *size, file) != *size) fail(path, "cannot be read");
  fclose(file);
  return bytes;
}

/* "f32[2,3]" as an array on the device. */
static PJRT_Buffer *put(PJRT_Client *client, const char *text) {
  int64_t dims[MAX_RANK], n = 1;
  size_t rank = 0;
  bool real = !strncmp(text, "f32[", 4);
  if (!real && strncmp(text, "s32[", 4)) fail(text, "an input is f32[...] or s32[...]");
  for (char *at = (char *)text + 4; *at && *at != ']' && rank < MAX_RANK; at += *at == ',')
    n *= dims[rank++] = strtoll(at, &at, 10);
  float *floats = malloc((size_t)n * 4 + 4);
  int32_t *ints = (int32_t *)floats;
  if (!floats) fail(text, "too large");
  for (int64_t i = 0; i < n; i++)
    if (real)
      floats[i] = (float)i;
    else
      ints[i] = (int32_t)i;
  BLOCK(Client_BufferFromHostBuffer, from);
  from.client = client;
  from.data = floats;
  from.type = real ? PJRT_Buffer_Type_F32 : PJRT_Buffer_Type_S32;
  from.dims = dims;
  from.num_dims = rank;
  CALL(Client_BufferFromHostBuffer, &from); /* copies: semantics 0 */
  await(from.done_with_host_buffer);
  free(floats);
  return from.buffer;
}

static void print(PJRT_Buffer *buffer) {
  BLOCK(Buffer_ElementType, type);
  type.buffer = buffer;
  CALL(Buffer_ElementType, &type);
  BLOCK(Buffer_ToHostBuffer, to);
  to.src = buffer;
  CALL(Buffer_ToHostBuffer, &to); /* without dst: the size */
  to.dst = malloc(to.dst_size + 1);
  if (!to.dst) fail("a result", "too large");
  CALL(Buffer_ToHostBuffer, &to);
  await(to.event);
  bool real = type.type == PJRT_Buffer_Type_F32, known = real || type.type == PJRT_Buffer_Type_S32;
  for (size_t i = 0; known && i < to.dst_size / 4; i++)
    if (real)
      printf(i ? " %g" : "%g", (double)((float *)to.dst)[i]);
    else
      printf(i ? " %d" : "%d", ((int32_t *)to.dst)[i]);
  if (!known) printf("%zu bytes of element type %d", to.dst_size, (int)type.type);
  printf("\n");
  free(to.dst);
}

int main(int n, char **arguments) {
  if (n < 3 || n - 3 > MAX_ARRAYS) fail("usage", "run PLUGIN PROGRAM [f32[2,3] ...]");
  void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) fail(arguments[1], dlerror());
  const PJRT_Api *(*get_api)(void) = NULL;
  *(void **)&get_api = dlsym(library, "GetPjrtApi");
  if (!get_api) fail(arguments[1], "has no GetPjrtApi");
  api = get_api();
  BLOCK(Client_Create, create);
  CALL(Client_Create, &create);

  PJRT_Program program = {.struct_size = sizeof program, .format = "mlir", .format_size = 4};
  program.code = read_file(arguments[2], &program.code_size);
  BLOCK(Client_Compile, compile);
  compile.client = create.client;
  compile.program = &program;
  CALL(Client_Compile, &compile);
  BLOCK(LoadedExecutable_GetExecutable, get);
  get.loaded_executable = compile.executable;
  CALL(LoadedExecutable_GetExecutable, &get);
  BLOCK(Executable_NumOutputs, count);
  count.executable = get.executable;
  CALL(Executable_NumOutputs, &count);
  if (count.num_outputs > MAX_ARRAYS) fail(arguments[2], "has too many results");

  PJRT_Buffer *in[MAX_ARRAYS], *out[MAX_ARRAYS], *const *inputs = in, **outputs = out;
  for (int i = 3; i < n; i++) in[i - 3] = put(create.client, arguments[i]);
  PJRT_ExecuteOptions options = {.struct_size = sizeof options};
  BLOCK(LoadedExecutable_Execute, run);
  run.executable = compile.executable;
  run.options = &options;
  run.argument_lists = &inputs;
  run.num_devices = 1;
  run.num_args = (size_t)n - 3;
  run.output_lists = &outputs;
  CALL(LoadedExecutable_Execute, &run);
  for (size_t i = 0; i < count.num_outputs; i++) print(out[i]);
  return 0; /* the process ends: what is still held goes with it */
}
