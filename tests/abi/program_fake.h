/* SPDX-License-Identifier: Apache-2.0
 * The "program" of program_fake.c: instead of StableHLO, the bytes of this struct. It stands in for
 * the compiler in tests of the runtime, and can be slow or fail when asked. */
#ifndef JM_TESTS_PROGRAM_FAKE_H
#define JM_TESTS_PROGRAM_FAKE_H

#include <stdint.h>

#define FAKE_MAGIC "FAKE"

/* Takes n_parameters arrays f32[2,3] and gives n_outputs of them: output o is parameter
 * (o mod n_parameters) + 1; without parameters it is 1. */
typedef struct fake_program {
  char magic[4];
  int32_t n_parameters, n_outputs;
  int32_t cheap;
  int32_t delay_ms;
  int32_t fails;
  int32_t alias; /* the output that parameter 0 is donated to, -1: none */
  int32_t donor; /* is parameter 0 a donor */
  int32_t n_partitions;
  int32_t column_major; /* are the outputs */
  char memory_kind[16]; /* of output 0, empty: default */
} fake_program;

#endif
