/* SPDX-License-Identifier: Apache-2.0
 * What carries bytes between the processes of a job: one operation, from which everything else is
 * composed. It is opened, used and closed on one thread. It knows no programs and no order of
 * operations: all processes call it in the same order and with the same sizes (runtime/wire.h sees
 * to that). */
#ifndef JM_ENGINE_TRANSPORT_H
#define JM_ENGINE_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct jm_transport jm_transport;
struct jm_transport {
  uint32_t rank, size; /* this process, and how many there are */
  /* Blocks until every process has called it; out gets the n bytes of each, in the order of ranks.
   * After an error the transport is of no further use. */
  jm_error *(*gather)(jm_transport *transport, const void *bytes, size_t n, void *out);
  void (*destroy)(jm_transport *transport);
};

#endif
