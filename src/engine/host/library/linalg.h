/* SPDX-License-Identifier: Apache-2.0
 * Ops on batches of dense row-major matrices, the last two dimensions: what custom calls and
 * jm_library_check share with linalg.c. The arithmetic of one matrix is lapack.h. */
#ifndef JM_LIBRARY_LINALG_H
#define JM_LIBRARY_LINALG_H

#include "engine/call.h"

/* UNIMPLEMENTED for element types that matrices can't be factored in. */
jm_error *jm_linalg_check(const jm_module *module, const jm_op *op) JM_MUST_USE;

/* Custom call "Qr": a [..., m, n] -> the factored a (R above, reflectors below the diagonal) and
 * their scales [..., min(m, n)], as LAPACK's geqrf has them. */
jm_error *jm_qr_run(const jm_call *call) JM_MUST_USE;
jm_error *jm_qr_check(const jm_module *module, const jm_op *op) JM_MUST_USE;

/* Custom call "ProductOfElementaryHouseholderReflectors": that a [..., m, n] and scales [..., k] ->
 * the first n columns of the orthogonal factor, as LAPACK's orgqr and ungqr have them. */
jm_error *jm_householder_run(const jm_call *call) JM_MUST_USE;
jm_error *jm_householder_check(const jm_module *module, const jm_op *op) JM_MUST_USE;

#endif
