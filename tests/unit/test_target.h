/* SPDX-License-Identifier: Apache-2.0
 * Targets for tests: those of target.h, with less scratch memory where its limits are to be met. */
#ifndef JM_TESTS_TEST_TARGET_H
#define JM_TESTS_TEST_TARGET_H

#include "kernel/ir/target.h"
#include "unit/check.h"

static inline jm_target test_target(const char *name) {
  jm_target target = jm_target_host;
  CHECK_OK(jm_target_find(name, strlen(name), &target));
  return target;
}

static inline jm_target test_target_with(const char *name, size_t scratch_bytes) {
  jm_target target = test_target(name);
  target.scratch_bytes = target.kept_bytes = scratch_bytes;
  return target;
}

#endif
