/* SPDX-License-Identifier: Apache-2.0
 * JAX_MPS_DEBUG=trace=FILE: a session as long as the process, written as JSON when it exits. */
#ifndef JM_PROFILE_TRACE_FILE_H
#define JM_PROFILE_TRACE_FILE_H

#include "base/error.h"

/* Opens the session at the first call if the setting asks for it; FAILED_PRECONDITION if the file
 * can't be written. A child of fork records nothing into its parent's file. */
jm_error *jm_trace_file_start(void) JM_MUST_USE;

#endif
