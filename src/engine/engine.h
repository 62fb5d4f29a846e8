/* SPDX-License-Identifier: Apache-2.0
 * What a device engine offers to the runtime: arrays of its own that programs run on. The host
 * needs none of this: there, a buffer is memory and a program is run by program.h. One thread owns
 * a device engine; run, import, export and wait are called on it alone. */
#ifndef JM_ENGINE_ENGINE_H
#define JM_ENGINE_ENGINE_H

#include "engine/context.h"
#include "ir/module.h"

typedef struct jm_engine jm_engine;
typedef struct jm_engine_array jm_engine_array; /* counted; memory of the device */

/* A program's argument or result: on the device, or in host memory (dense, row-major). */
typedef struct jm_engine_value {
  jm_engine_array *array; /* NULL: on the host */
  void *host;             /* NULL: on the device */
} jm_engine_value;

typedef struct jm_engine_run {
  jm_engine_value *inputs;  /* array: the engine takes over the reference and drops it at its last
                               use, so that donated memory is reused; host: read only */
  jm_engine_value *outputs; /* written by the engine: array (the caller's reference), or host memory
                               taken by jm_data_take, the caller's to give back */
  const jm_context *context;
} jm_engine_run;

typedef struct jm_engine_fact {
  const char *name;        /* "mlx" */
  const char *device_kind; /* "Apple M4 Max" */
  const char *version;     /* "MLX 0.32.4 (metal)" */
  int64_t memory_bytes;
} jm_engine_fact;

typedef struct jm_engine_memory {
  int64_t in_use, peak, kept;
} jm_engine_memory;

struct jm_engine {
  jm_engine_fact fact;
  /* What a program needs beside its module, made once; compile-time errors (UNIMPLEMENTED) come
   * from here. The module outlives it. */
  jm_error *(*prepare)(jm_engine *engine, const jm_module *module, void **prepared);
  void (*prepared_destroy)(jm_engine *engine, void *prepared);
  /* Runs to completion: the outputs are there when it returns. */
  jm_error *(*run)(jm_engine *engine, void *prepared, const jm_engine_run *run);
  /* Can a value of this type live on the device? Any thread. */
  bool (*holds)(const jm_type *type);
  jm_error *(*array_import)(jm_engine *engine, const jm_type *type, const void *data,
                            jm_engine_array **out);
  jm_error *(*array_export)(jm_engine *engine, jm_engine_array *array, void *data, size_t n_bytes);
  /* Any thread. */
  jm_engine_array *(*array_retain)(jm_engine *engine, jm_engine_array *array);
  void (*array_release)(jm_engine *engine, jm_engine_array *array);
  /* A GPU's memory may be counted as in use until soon after the work that used it. */
  void (*memory_read)(jm_engine *engine, jm_engine_memory *out);
  void (*destroy)(jm_engine *engine);
};

#endif
