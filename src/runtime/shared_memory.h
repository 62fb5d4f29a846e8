/* SPDX-License-Identifier: Apache-2.0
 * A transport between processes of one host: a file that all of them map. Process 0 makes it and
 * tells the others its name; who can map it is on that host. Not how they agree whether all could:
 * wire_open.c. */
#ifndef JM_RUNTIME_SHARED_MEMORY_H
#define JM_RUNTIME_SHARED_MEMORY_H

#include <stdatomic.h>

#include "engine/transport.h"

enum { JM_SHARED_NAME = 256 };

/* Makes the file for n processes; name, of JM_SHARED_NAME bytes, is its path and a random number
 * that it holds, by which it is known from another host's file of that path. UNAVAILABLE: there is
 * no folder with room for it. */
jm_error *jm_shared_memory_create(uint32_t n, char *name) JM_MUST_USE;

/* Maps it as process `self`, which can do so once. UNAVAILABLE: it is not there, or another file.
 * A gather fails with UNAVAILABLE when another process has ended, and with CANCELLED once the flag
 * is set, which may be NULL and must live as long as the transport. */
jm_error *jm_shared_memory_open(const char *name, uint32_t self, uint32_t n,
                                const atomic_bool *cancelled, jm_transport **out) JM_MUST_USE;

/* Removes the file's name; processes that have it mapped keep it. */
void jm_shared_memory_remove(const char *name);

#endif
