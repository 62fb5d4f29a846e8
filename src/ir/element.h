/* SPDX-License-Identifier: Apache-2.0
 * One element of a constant as text, for the printer and the reader of the text form.
 * Exact: an element is printed as a decimal number if that reads back to the same bytes, and as its
 * bits in hexadecimal otherwise (NaNs, bytes that no program should hold). */
#ifndef JM_IR_ELEMENT_H
#define JM_IR_ELEMENT_H

#include "base/dtype.h"
#include "base/text.h"

/* 1, -3, true, 1.5e-7, inf, 0x7fc00000, (1,0.5) */
void jm_element_print(jm_dtype dtype, const void *element, jm_text *text);

/* Reads a number without the parentheses of complex ones (dtype is not complex): false if the
 * text is no element of this type. */
bool jm_element_read(jm_dtype dtype, const char *bytes, size_t size, void *out);

#endif
