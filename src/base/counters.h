/* SPDX-License-Identifier: Apache-2.0
 * Counters of the process, expanded from counters.def: facts for tests and for people, never read
 * by the code that they describe. */
#ifndef JM_BASE_COUNTERS_H
#define JM_BASE_COUNTERS_H

#include <stdint.h>

typedef enum jm_counter {
#define COUNTER(name, doc) JM_COUNTER_##name,
#include "base/counters.def"
  JM_N_COUNTERS
} jm_counter;

void jm_counter_add(jm_counter counter, uint64_t n);
uint64_t jm_counter_read(jm_counter counter);
const char *jm_counter_name(jm_counter counter);

#endif
