/* SPDX-License-Identifier: Apache-2.0
 * The group of one launch whose participants are threads of this process: they meet in memory and
 * read each other's operands in place. Counted, one reference for each participant. */
#ifndef JM_RUNTIME_RENDEZVOUS_H
#define JM_RUNTIME_RENDEZVOUS_H

#include "engine/group.h"

typedef struct jm_rendezvous jm_rendezvous;

/* With n references. Participants that wait longer than the setting COLLECTIVE_TIMEOUT fail. */
jm_error *jm_rendezvous_create(uint32_t n_participants, jm_rendezvous **out) JM_MUST_USE;
void jm_rendezvous_release(jm_rendezvous *rendezvous); /* NULL is allowed */
jm_group *jm_rendezvous_group(jm_rendezvous *rendezvous);

/* The participant will not take part in further collectives: members that wait for it fail with a
 * copy of the error. Without effect after the first failure. */
void jm_rendezvous_fail(jm_rendezvous *rendezvous, uint32_t participant, const jm_error *error);

#endif
