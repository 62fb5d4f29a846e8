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

/* For people; no program reads it back. Values are named by their index in the module, so that
 * separately printed pieces of one module match, and constants are printed at their uses. */

/* The op's location in the program's source; nothing if it is unknown. */
void jm_location_print(const jm_module *module, const jm_op *op, jm_text *text);
/* "%4, 0.5, %7" */
void jm_values_print(const jm_module *module, const jm_value *values, uint32_t n, jm_text *text);
/* One line, without regions and without its end. */
void jm_op_print(const jm_module *module, const jm_op *op, jm_text *text);
/* A line for each op, with its source line; depth: of the indentation, in levels. */
void jm_region_print(const jm_module *module, jm_region_id region, uint32_t depth, jm_text *text);

#endif
