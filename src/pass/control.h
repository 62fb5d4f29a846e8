/* SPDX-License-Identifier: Apache-2.0
 * Control values: loop counters, bounds, conditions, slice starts, and small integers that are
 * computed from these alone. An engine whose arrays live on a device keeps them on the host, so
 * that a counted loop never waits for the device; therefore they do not become part of a device's
 * kernels. */
#ifndef JM_PASS_CONTROL_H
#define JM_PASS_CONTROL_H

#include "ir/module.h"

enum { JM_CONTROL_BYTES = 64 }; /* larger values are worth a launch */

/* control[v], n_values of them: is v a control value? Small integers and predicates that depend on
 * nothing else. Arguments of the entry count, for callers hand such values over on the host;
 * without all_arguments only those that decide where the program goes on: conditions and branches
 * depend on them. Values of regions that the entry does not reach are false. */
jm_error *jm_control_find(const jm_module *m, bool all_arguments, bool *control) JM_MUST_USE;

/* May the op's results be control values, if its operands are? It has no side effect, and no part
 * of it can run on a device alone. */
bool jm_control_allows(const jm_module *m, const jm_op *op);

#endif
