/* SPDX-License-Identifier: Apache-2.0
 * Conversion of element types, as the op convert means it: between integers by their bits, from
 * floats to integers towards zero and saturating, to narrow floats with a single rounding, from
 * complex numbers to the real part. */
#ifndef JM_BASE_CONVERT_H
#define JM_BASE_CONVERT_H

#include "base/dtype.h"
#include "base/error.h"

/* n dense elements; out may be in if an element of out is no larger. UNIMPLEMENTED: tokens. */
jm_error *jm_convert_run(jm_dtype from, jm_dtype to, const void *in, void *out,
                         size_t n) JM_MUST_USE;

#endif
