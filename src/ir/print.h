/* SPDX-License-Identifier: Apache-2.0
 * The text form of a module. parse.h reads it back; the form is specified in docs/IR.md. Values are
 * numbered in the order in which they appear, so that equal modules have equal texts. */
#ifndef JM_IR_PRINT_H
#define JM_IR_PRINT_H

#include "ir/module.h"

/* The module must have been verified (ir/verify.h). Without source locations. */
void jm_module_print(const jm_module *module, jm_text *text);
/* With source locations, which are long. */
void jm_module_print_located(const jm_module *module, jm_text *text);

#endif
