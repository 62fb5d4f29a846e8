/* SPDX-License-Identifier: Apache-2.0 */
#include "base/blocking.h"

#include <stddef.h>

static _Thread_local jm_blocker *current;

void jm_blocker_set(jm_blocker *blocker) { current = blocker; }

void jm_blocking_run(jm_blocking_fn *function, void *argument) {
  if (current)
    current->run(current, function, argument);
  else
    function(argument);
}
