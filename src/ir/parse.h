/* SPDX-License-Identifier: Apache-2.0
 * Reads the text form of a module (docs/IR.md). Untrusted input: errors carry line and column. */
#ifndef JM_IR_PARSE_H
#define JM_IR_PARSE_H

#include "ir/module.h"

jm_error *jm_module_parse(const char *text, size_t size, jm_module **out) JM_MUST_USE;

#endif
