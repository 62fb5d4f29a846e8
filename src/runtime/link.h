/* SPDX-License-Identifier: Apache-2.0
 * The device engines' own collectives between the processes of a job (NCCL): whether they serve a
 * program, and that all processes have joined them. Not the wire, over which processes agree on the
 * launch before, and which carries the values of the host. */
#ifndef JM_RUNTIME_LINK_H
#define JM_RUNTIME_LINK_H

#include "runtime/client.h"
#include "runtime/peers.h"

/* Do they serve the participants? The answer is the same in all processes: each has an engine with
 * these collectives, a device of its own, and one participant, of its own number. */
bool jm_link_serves(const jm_client *client, const jm_placement *placement);

/* UNIMPLEMENTED if the setting COLLECTIVES asks for them and they don't serve. */
jm_error *jm_link_check(const jm_client *client, const jm_placement *placement) JM_MUST_USE;

/* Joins the others at the first call, which all processes make in the same launch, where they meet
 * before: joining has no time limit. On the engine's thread. A failure is for good. */
jm_error *jm_link_join(jm_client *client, const jm_context *context) JM_MUST_USE;

#endif
