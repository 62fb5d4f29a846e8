/* SPDX-License-Identifier: Apache-2.0 */
#include "base/counters.h"

#include <stdatomic.h>

static _Atomic uint64_t counters[JM_N_COUNTERS];

static const char *const names[JM_N_COUNTERS] = {
#define COUNTER(name, doc) #name,
#include "base/counters.def"
};

void jm_counter_add(jm_counter counter, uint64_t n) {
  atomic_fetch_add_explicit(&counters[counter], n, memory_order_relaxed);
}

uint64_t jm_counter_read(jm_counter counter) {
  return atomic_load_explicit(&counters[counter], memory_order_relaxed);
}

const char *jm_counter_name(jm_counter counter) { return names[counter]; }
