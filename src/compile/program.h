/* SPDX-License-Identifier: Apache-2.0
 * A compiled program: the module that was read, verified and optimised, and the plan that runs it.
 * Immutable after compilation, so that any number of threads may run it at once. This layer knows
 * nothing of devices, queues or buffers: the runtime brings memory and decides when to run. */
#ifndef JM_COMPILE_PROGRAM_H
#define JM_COMPILE_PROGRAM_H

#include "base/alloc.h"
#include "base/dtype.h"
#include "engine/context.h"

typedef struct jm_program jm_program;

/* One input or output of a program: row-major, dense. */
typedef struct jm_shape {
  jm_dtype dtype;
  uint32_t rank;
  const int64_t *dims; /* rank sizes, owned by the program */
  size_t bytes;        /* of the dense data: product of dims times jm_dtype_bytes(dtype) */
} jm_shape;

typedef struct jm_parameter {
  jm_shape shape;
  int32_t alias; /* the output that the argument is donated to (tf.aliasing_output), -1: none */
  bool donor;    /* jax.buffer_donor: may be donated to any output */
  const char *memory_kind; /* mhlo.memory_kind, NULL: default */
} jm_parameter;

typedef struct jm_output {
  jm_shape shape;
  const char *memory_kind;
} jm_output;

typedef struct jm_program_facts {
  const char *name; /* of the module, "" if it has none */
  uint32_t n_parameters, n_outputs;
  const jm_parameter *parameters;
  const jm_output *outputs;
  uint32_t n_replicas, n_partitions;
  uint64_t fingerprint;         /* of the program's bytes and of this compiler's version */
  double flops, bytes_accessed; /* estimates for cost analysis */
  size_t temporary_bytes;       /* arena of one execution on the host; 0 before it is planned */
  bool cheap;                   /* true: the whole run takes microseconds, so run it inline */
} jm_program_facts;

/* Reads, verifies and optimises a StableHLO portable artifact (MLIR bytecode with the vhlo
 * dialect). Errors: INVALID_ARGUMENT with a byte offset for malformed bytes, UNIMPLEMENTED naming
 * op, dtypes, shape and source line for what isn't supported, RESOURCE_EXHAUSTED. The bytes aren't
 * kept. decompose: for a device engine, which computes special functions from simpler ones. */
jm_error *jm_program_compile(const void *bytes, size_t n_bytes, bool decompose,
                             jm_program **out) JM_MUST_USE;

/* Makes what the host needs to run the program: ops grouped into kernels and compiled, if there is
 * LLVM, and the plan. Does nothing the second time; not thread safe. A device engine takes
 * jm_program_module of a program that was not planned. */
jm_error *jm_program_plan(jm_program *program) JM_MUST_USE;
void jm_program_destroy(jm_program *program); /* NULL is allowed */

const jm_program_facts *jm_program_describe(const jm_program *program);

/* The optimised module, for other engines; lives as long as the program. */
struct jm_module;
const struct jm_module *jm_program_module(const jm_program *program);

/* The optimised module as IR text, to be freed with jm_free. */
jm_error *jm_program_print(const jm_program *program, char **text, size_t *size) JM_MUST_USE;

/* What a plan does, for people and for programs that draw it: plan/explain.h. */
typedef struct jm_explanation {
  char *text, *json; /* NUL-terminated */
} jm_explanation;
void jm_explanation_deinit(jm_explanation *explanation);

/* Of a planned program. */
jm_error *jm_program_explain(const jm_program *program, jm_explanation *out) JM_MUST_USE;

/* From now on, and until it is turned off, what any thread plans is kept as an explanation; taking
 * one hands out the oldest, false if there is none. */
void jm_program_record(bool on);
bool jm_program_take_record(jm_explanation *out);

/* One execution. inputs[i] points to parameters[i].shape.bytes readable bytes; outputs[i] to
 * outputs[i].shape.bytes writable ones, aligned to JM_DATA_ALIGNMENT. outputs[o] may equal
 * inputs[i] only if parameter i is donated to output o: then the input may be overwritten at any
 * time during the run. Otherwise outputs overlap nothing and inputs are not written. */
typedef struct jm_run {
  const void *const *inputs;
  void *const *outputs;
  const jm_context *context;
} jm_run;

/* Runs a planned program to completion on the calling thread (library calls may use more). On an
 * error the outputs' contents are undefined. */
jm_error *jm_program_run(const jm_program *program, const jm_run *run) JM_MUST_USE;

#endif
