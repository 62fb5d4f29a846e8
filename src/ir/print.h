/* SPDX-License-Identifier: Apache-2.0
 * The text form of a module. parse.h reads it back; the form is specified in docs/IR.md. */
#ifndef JM_IR_PRINT_H
#define JM_IR_PRINT_H

#include "ir/module.h"

void jm_module_print(const jm_module *module, jm_text *text);

#endif
