/* SPDX-License-Identifier: Apache-2.0
 * Shared by the files c*.c: the state of printing one kernel as text of a dialect of C. The
 * interface is c.h. */
#ifndef JM_KERNEL_PRINT_C_PRINTER_H
#define JM_KERNEL_PRINT_C_PRINTER_H

#include "kernel/ir/builder.h"
#include "kernel/print/c.h"

typedef struct jm_c_printer {
  const jm_kernel *k;
  const jm_c_dialect *d;
  jm_text *out;
  uint32_t indent;
  uint32_t next;       /* number of the next name */
  uint32_t *names;     /* per value, the number of its variable; 0: none */
  jm_krange *ranges;   /* per value */
  bool *narrow;        /* per value: an i64 whose variable is a signed one of 32 bits */
  bool has_parameters; /* of a function: p0, p1, ...; else memory is called in0 and out0 */
  uint32_t threads;    /* lanes of a group */
  bool in_threads;
  jm_arena arena;
} jm_c_printer;

/* An operand, or anything else that is written into a line. */
typedef struct jm_c_name {
  char text[64];
} jm_c_name;

/* A line of the text: indentation, what the format says, a newline. */
void jm_c_line(jm_c_printer *p, const char *format, ...) JM_PRINTF(2, 3);
/* A line that opens a block, and the end of one. */
void jm_c_open(jm_c_printer *p, const char *format, ...) JM_PRINTF(2, 3);
void jm_c_close(jm_c_printer *p);

jm_error *jm_c_print_block(jm_c_printer *p, jm_kblock block) JM_MUST_USE;

/* -- values. c_inst.c */

/* The type of a value's variable. */
const char *jm_c_type(const jm_c_printer *p, jm_kval v);
/* A constant, or its variable, of jm_c_type. */
jm_c_name jm_c_value(const jm_c_printer *p, jm_kval v);
/* An i64 as a signed number. */
jm_c_name jm_c_signed(const jm_c_printer *p, jm_kval v);
/* The variable that a value gets. */
jm_c_name jm_c_define(jm_c_printer *p, jm_kval v);
jm_error *jm_c_print_inst(jm_c_printer *p, const jm_kinst_fact *f) JM_MUST_USE;

/* -- lists of values that move on together. c.c */

/* Gives each of n arguments a variable with the value of one from outside. */
void jm_c_declare(jm_c_printer *p, jm_kval first, const jm_kval *initial, uint32_t n);
/* variables of `first`... = what the block yields, all read before the first one is written */
void jm_c_assign(jm_c_printer *p, jm_kval first, const jm_kval *yields, uint32_t n);
/* Values and arguments that live in the variables of others. */
void jm_c_alias(jm_c_printer *p, jm_kval first, jm_kval of, uint32_t n);

/* A loop's head over [lower, upper), from lower + offset on in steps, and its index. */
void jm_c_open_loop(jm_c_printer *p, const jm_kinst_fact *f, const char *offset, uint32_t step);

/* -- loops that lanes run. c_lanes.c */
jm_error *jm_c_print_vector(jm_c_printer *p, const jm_kinst_fact *f) JM_MUST_USE;
jm_error *jm_c_print_threads(jm_c_printer *p, const jm_kinst_fact *f) JM_MUST_USE;
/* Declares the memory through which carries are combined. */
void jm_c_print_exchange(jm_c_printer *p);
size_t jm_c_exchange_bytes(const jm_kernel *k);

#endif
