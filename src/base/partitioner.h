/* SPDX-License-Identifier: Apache-2.0
 * Partitioners of custom calls: functions of the process that say, while a program is compiled,
 * what one device runs of a call and which shardings of operands and results that takes. They are
 * registered by the name of the call's target. Shapes and shardings are serialized messages of XLA
 * (ir/xla_proto.h), programs are StableHLO bytecode. Not here: who registers them (pjrt/) and what
 * becomes of their answers (pass/partition_call.c). */
#ifndef JM_BASE_PARTITIONER_H
#define JM_BASE_PARTITIONER_H

#include "base/alloc.h"
#include "base/error.h"

typedef struct jm_span {
  const char *bytes;
  size_t size;
} jm_span;

typedef struct jm_partition_array {
  jm_span shape, sharding;
} jm_partition_array;

/* A call on whole arrays. Several results are one tuple. */
typedef struct jm_partition_request {
  jm_span config; /* the call's own, opaque */
  uint32_t n_operands;
  const jm_partition_array *operands;
  jm_partition_array result;
} jm_partition_request;

typedef struct jm_partition_answer {
  jm_span program;                 /* of one device, on parts */
  const jm_span *operand_sharding; /* by operand */
  jm_span result_sharding;
} jm_partition_answer;

typedef struct jm_partitioner {
  void *context;
  /* The answer lives in the arena. An error has the partitioner's own text. */
  jm_error *(*partition)(void *context, const jm_partition_request *request, jm_arena *arena,
                         jm_partition_answer *out);
  /* The result's sharding, from those of the operands; empty: it has no opinion. */
  jm_error *(*infer)(void *context, const jm_partition_request *request, jm_arena *arena,
                     jm_span *out);
  /* The result's sharding, from the one that its users want it to have. */
  jm_error *(*follow_users)(void *context, const jm_partition_request *request, jm_arena *arena,
                            jm_span *out);
} jm_partitioner;

/* The last one of a name counts. What it points to must live as long as the process. */
jm_error *jm_partitioner_register(const char *name, size_t size,
                                  const jm_partitioner *partitioner) JM_MUST_USE;
/* False: nobody registered the name. */
bool jm_partitioner_find(const char *name, size_t size, jm_partitioner *out);

#endif
