/* SPDX-License-Identifier: Apache-2.0
 * The engine interface: everything that the compiler, the planner and the runtime need of code that
 * runs programs. Every device has an engine; the host's CPU is one (engine/host), MLX another
 * (engine/mlx). Not here: queues, buffers and events, which belong to the runtime.
 *
 * An engine with fact.is_host_memory works on the host's memory: arguments and results are host
 * pointers that the runtime provides, and the array functions are never called. Any other engine
 * has arrays of its own. If fact.any_thread is false, all functions but those marked "any thread"
 * are called on one thread, that which created the engine. */
#ifndef JM_ENGINE_ENGINE_H
#define JM_ENGINE_ENGINE_H

#include "engine/context.h"
#include "ir/module.h"

struct jm_plan;
struct jm_target;
typedef struct jm_engine jm_engine;
typedef struct jm_engine_array jm_engine_array; /* counted; memory of the device */
typedef struct jm_engine_fence jm_engine_fence; /* the end of submitted work */
typedef struct jm_engine_code jm_engine_code;   /* machine code that was saved, opened */

/* -- for the compiler and the planner */

/* The code that runs one op: the first member of a struct of the engine's own, with the facts that
 * the planner needs. */
typedef struct jm_step_code {
  const char *name;   /* of a compiled group's schedule: "row"; NULL: the op's name says it all */
  const char *place;  /* for people, who runs it: "MLX"; NULL: all ops are run in one place */
  uint32_t n_kernels; /* launches of compiled kernels */
  bool allocates; /* each result is memory of its own and of its full size, or that of an operand
                     that nobody else holds: never a view, never on the host */
  /* The sizes of the temporary memory that it needs while it runs. */
  const size_t *temporary_bytes;
  uint32_t n_temporaries;
  /* Per operand: the result that may reuse the operand's memory, JM_NONE: none. NULL: by the rules
   * of the op. */
  const uint32_t *overwrites;
} jm_step_code;

/* How an engine wants programs to be compiled. */
typedef struct jm_backend {
  /* The planner assigns memory to every value in advance; otherwise the engine places values while
   * it runs. */
  bool assigns_memory;
  /* Special functions (digamma, igamma, the cipher of random numbers, ...) are expanded into
   * simpler ops. */
  bool expands;
  /* The machine that ops are grouped into kernels for; NULL: none are. code: as in compile. */
  const struct jm_target *(*find_target)(jm_engine *engine, const jm_engine_code *code);
  /* What makes the code, for people: "LLVM 22.1.0", or why there is nothing that does. */
  const char *(*describe_compiler)(jm_engine *engine);
  /* Does the engine do this in one call? Asked of a `fusion` with a kind before it is made
   * (pass/patterns.c lists the kinds), and so without its region. NULL: no pattern is taken. */
  bool (*takes_pattern)(jm_engine *engine, const jm_module *module, const jm_op *fusion);
  /* NULL if the device can run this kernel of the user's (engine/user_kernel.h), else UNIMPLEMENTED
   * naming both. The pointer is NULL: the device runs none. */
  jm_error *(*check_kernel)(jm_engine *engine, const jm_module *module, const jm_op *kernel);
  /* Makes the code of all ops of a lowered module, which outlives it. Compile-time errors
   * (UNIMPLEMENTED) come from here. code: what was saved of the same program, NULL: nothing. */
  jm_error *(*compile)(jm_engine *engine, const jm_module *module, jm_engine_code *code,
                       void **compiled);
  void (*compiled_destroy)(jm_engine *engine, void *compiled); /* any thread; NULL is allowed */
  /* Machine code as bytes for another process: code_save appends it, or nothing; code_open reads
   * it, *out NULL if it does not fit this machine or this build (INVALID_ARGUMENT if it is
   * damaged), and the bytes must stay until code_close. All NULL: the engine saves none. */
  jm_error *(*code_save)(jm_engine *engine, const void *compiled, jm_text *out);
  jm_error *(*code_open)(jm_engine *engine, const void *bytes, size_t n_bytes,
                         jm_engine_code **out);
  void (*code_close)(jm_engine_code *code);
  /* The code of an op that is not control; it lives as long as `compiled`. */
  const jm_step_code *(*bind)(void *compiled, jm_op_id op);
  /* Prints the kernels of an op that has some as indented lines for people; NULL: there is nothing
   * to print. */
  void (*print_code)(jm_engine *engine, const jm_step_code *code, const jm_module *module,
                     const jm_op *op, uint32_t depth, jm_text *text);
} jm_backend;

/* -- for the runtime */

/* A program's argument or result: on the device, or in host memory (dense, row-major). */
typedef struct jm_engine_value {
  jm_engine_array *array; /* NULL: on the host */
  void *host;             /* NULL: on the device */
} jm_engine_value;

typedef struct jm_engine_run {
  /* array: the engine takes over the reference and drops it at its last use, so that donated memory
   * is reused. host: read only, unless it is the memory of an output (below). */
  jm_engine_value *inputs;
  /* With fact.is_host_memory: host is the memory to write, aligned to JM_DATA_ALIGNMENT. It may be
   * the memory of a parameter that is donated to this output, which may then be overwritten at any
   * time during the run; otherwise outputs overlap nothing. Else written by the engine: array (the
   * caller's reference), or host memory taken by jm_data_take, the caller's to give back. */
  jm_engine_value *outputs;
  const jm_context *context;
  /* NULL: the outputs must be ready when the run returns. Else written: the fence of the submitted
   * work, NULL if it is done. Arrays of the outputs may be passed to further runs at once, and to
   * nothing else before the fence is done. */
  jm_engine_fence **fence;
} jm_engine_run;

typedef struct jm_engine_fact {
  const char *name;        /* "mlx" */
  const char *device_kind; /* "Apple M4 Max" */
  const char *version;     /* "MLX 0.32.4 (metal)" */
  /* The device's own collectives between processes: "nccl"; NULL: the host exchanges its values.
   * They need devices of different identities, "" for one that serves any number of processes. */
  const char *collectives, *identity;
  int64_t memory_bytes;
  /* How long to poll fences before blocking in fence_wait: a thread that blocks is woken up tens of
   * microseconds after the device's end. 0: the work runs on the host's cores, which polling would
   * take from it. */
  int64_t poll_ns;
  bool is_host_memory;
  bool any_thread;
} jm_engine_fact;

typedef struct jm_engine_memory {
  int64_t in_use, peak, kept;
} jm_engine_memory;

struct jm_engine {
  jm_engine_fact fact;
  const jm_backend *backend;
  /* Runs a plan, with the code that it was bound to. On an error the outputs' contents are
   * undefined. */
  jm_error *(*run)(jm_engine *engine, void *compiled, const struct jm_plan *plan,
                   const jm_engine_run *run);
  /* NULL: every run is complete when it returns. */
  bool (*fence_is_done)(jm_engine *engine, jm_engine_fence *fence);
  /* Waits, returns the work's error, and frees the fence. */
  jm_error *(*fence_wait)(jm_engine *engine, jm_engine_fence *fence);
  /* Can a value of this type live on the device? Any thread. */
  bool (*holds)(const jm_type *type);
  jm_error *(*array_import)(jm_engine *engine, const jm_type *type, const void *data,
                            jm_engine_array **out);
  jm_error *(*array_export)(jm_engine *engine, jm_engine_array *array, void *data, size_t n_bytes);
  /* Any thread. */
  jm_engine_array *(*array_retain)(jm_engine *engine, jm_engine_array *array);
  void (*array_release)(jm_engine *engine, jm_engine_array *array);
  /* Joins all n processes for fact.collectives; each does so, once, and waits for the others
   * without a limit. address: "host:port" where process 0 can listen. */
  jm_error *(*join)(jm_engine *engine, uint32_t self, uint32_t n, const char *address);
  /* The engine's own memory, beside what the runtime took on the host. A GPU's may be counted as in
   * use until soon after the work that used it. */
  void (*memory_read)(jm_engine *engine, jm_engine_memory *out);
  void (*destroy)(jm_engine *engine);
};

#endif
