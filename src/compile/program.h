/* SPDX-License-Identifier: Apache-2.0
 * A compiled program: the module that was read, verified and optimised, and for each engine that it
 * was prepared for the code and the plan that run it there. This layer knows nothing of devices,
 * queues or buffers: the runtime provides values and decides when to run. */
#ifndef JM_COMPILE_PROGRAM_H
#define JM_COMPILE_PROGRAM_H

#include "base/alloc.h"
#include "base/dtype.h"
#include "engine/engine.h"

typedef struct jm_program jm_program;

/* One input or output of a program: dense. */
typedef struct jm_shape {
  jm_dtype dtype;
  uint32_t rank;
  const int64_t *dims;           /* rank sizes, owned by the program */
  const int64_t *minor_to_major; /* its dimensions, that of adjacent elements first; NULL:
                                    row-major */
  const jm_type *stored;         /* the row-major array that its memory is: what engines see */
  size_t bytes; /* of the dense data: product of dims times jm_dtype_bytes(dtype) */
} jm_shape;

typedef struct jm_parameter {
  jm_shape shape;
  int32_t alias; /* the output that the argument is donated to (tf.aliasing_output), -1: none */
  bool donor;    /* jax.buffer_donor: may be donated to any output */
  const char *memory_kind;  /* mhlo.memory_kind, NULL: default */
  const jm_sharding *parts; /* of the program's array that each partition gets; NULL: the whole */
  jm_sharding_sums sums;
} jm_parameter;

typedef struct jm_output {
  jm_shape shape;
  const char *memory_kind;
  const jm_sharding *parts;
  jm_sharding_sums sums;
} jm_output;

typedef struct jm_program_facts {
  const char *name; /* of the module, "" if it has none */
  uint32_t n_parameters, n_outputs;
  const jm_parameter *parameters;
  const jm_output *outputs;
  uint32_t n_replicas, n_partitions;
  bool has_collectives;         /* between its participants */
  uint64_t fingerprint;         /* of the program's bytes and of this compiler's version */
  uint64_t agreement;           /* the same in all processes that compile the same program */
  double flops, bytes_accessed; /* estimates for cost analysis */
  size_t temporary_bytes;       /* arena of one execution; 0 before it is prepared, and for
                                   engines that place values while they run */
  bool cheap;                   /* true: the whole run takes microseconds, so run it inline */
} jm_program_facts;

/* Reads, verifies and optimises a StableHLO portable artifact (MLIR bytecode with the vhlo
 * dialect). Errors: INVALID_ARGUMENT with a byte offset for malformed bytes, UNIMPLEMENTED naming
 * op, dtypes, shape and source line for what isn't supported, RESOURCE_EXHAUSTED. The bytes aren't
 * kept. */
jm_error *jm_program_compile(const void *bytes, size_t n_bytes, jm_program **out) JM_MUST_USE;

/* Machine code that jm_program_save wrote, in whatever process. */
typedef struct jm_saved {
  const void *bytes;
  size_t n_bytes; /* 0: none */
} jm_saved;

/* Makes what an engine needs to run the program: the module is lowered for it (once, so that all
 * engines of a program are of one kind: INVALID_ARGUMENT), its code compiled, or taken from
 * what was saved of the same program (NULL: nothing), its plan made. A second time for the same
 * engine it is only found. Not thread safe. The engine must outlive the program; *out lives as long
 * as the program, and any number of threads may run it at once. INVALID_ARGUMENT if what was saved
 * is damaged; what another machine or build saved is not used. */
typedef struct jm_prepared jm_prepared;
jm_error *jm_program_prepare(jm_program *program, jm_engine *engine, const jm_saved *saved,
                             const jm_prepared **out) JM_MUST_USE;
/* Appends the machine code that the program was prepared with; nothing if it has none. */
jm_error *jm_program_save(const jm_program *program, jm_text *out) JM_MUST_USE;
void jm_program_destroy(jm_program *program); /* NULL is allowed */

const jm_program_facts *jm_program_describe(const jm_program *program);

/* The optimised module as IR text, to be freed with jm_free. */
jm_error *jm_program_print(const jm_program *program, char **text, size_t *size) JM_MUST_USE;

/* Explanations of plans, for people and for programs that draw them: plan/explain.h. */
typedef struct jm_explanation {
  char *text, *json; /* NUL-terminated */
} jm_explanation;
void jm_explanation_deinit(jm_explanation *explanation);

jm_error *jm_prepared_explain(const jm_prepared *prepared, jm_explanation *out) JM_MUST_USE;

/* While it is on, the plans of all threads are kept as explanations; `take` returns the oldest one,
 * false if there is none. */
void jm_program_record(bool on);
bool jm_program_take_record(jm_explanation *out);

/* One execution, by the rules of the engine (jm_engine_run), to completion; on the calling thread,
 * though library calls may use more. */
jm_error *jm_prepared_run(const jm_prepared *prepared, const jm_engine_run *run) JM_MUST_USE;

#endif
