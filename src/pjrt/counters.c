/* SPDX-License-Identifier: Apache-2.0
 * Our own extension of the C API: counters by name, so that tests in Python can assert which engine
 * ran what, though the library exports GetPjrtApi alone. */
#include "base/counters.h"

#include "pjrt/extensions.h"

static size_t read_counters(const char **names, uint64_t *values, size_t capacity) {
  for (size_t i = 0; i < JM_N_COUNTERS && i < capacity; i++) {
    names[i] = jm_counter_name((jm_counter)i);
    values[i] = jm_counter_read((jm_counter)i);
  }
  return JM_N_COUNTERS;
}

jm_counters_extension_type jm_counters_extension = {
    {sizeof(jm_counters_extension_type), JM_EXTENSION_COUNTERS, &jm_callbacks_extension.base},
    read_counters,
};
