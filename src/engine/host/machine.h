/* SPDX-License-Identifier: Apache-2.0
 * The processor at hand, asked without LLVM: what schedules must know of it, and whether machine
 * code of another process can run here. */
#ifndef JM_ENGINE_HOST_MACHINE_H
#define JM_ENGINE_HOST_MACHINE_H

#include "base/sha256.h"
#include "kernel/ir/target.h"

/* Decided once per process, thread safe. NULL: no kernel runs on this processor, and *why is a line
 * that says what it lacks (static memory). */
const jm_target *jm_machine_find_target(const char **why);

/* For tests: kernels that are compiled from now on stream as if the last cache had so many bytes.
 */
void jm_machine_force_stream_bytes(size_t bytes);

/* The digest of all that machine code depends on besides the kernel: this build of the plugin, with
 * its way to call kernels, the architecture, the processor's features, the size of a page. */
const unsigned char *jm_machine_identity(void); /* JM_SHA256_BYTES */

/* A digest of the plugin's sources as text, made by the build (scripts/build_id.cmake). */
extern const char jm_build_id[];

#endif
