/* SPDX-License-Identifier: Apache-2.0
 * Shared by the files of the loop schedule: the places of values, and the loops that write them.
 * Private to schedule_loop*.c. */
#ifndef JM_KERNEL_SCHEDULE_SCHEDULE_LOOP_H
#define JM_KERNEL_SCHEDULE_SCHEDULE_LOOP_H

#include "kernel/emit/element.h"
#include "kernel/schedule/launch.h"
#include "kernel/schedule/loop.h"

typedef enum jm_place_kind { JM_PLACE_VALUE, JM_PLACE_REGISTERS, JM_PLACE_MEMORY } jm_place_kind;

/* The place of a value: where its elements come from. */
typedef struct jm_place {
  jm_place_kind kind;
  const jm_type *type;
  jm_value value;                         /* VALUE: the same elements */
  jm_element elements[JM_LOOP_REGISTERS]; /* REGISTERS */
  uint32_t param;                         /* MEMORY */
  jm_kval offset;                         /* in elements, JM_KNONE: 0 */
  uint32_t transposed; /* MEMORY: the dimension that lies outermost, plus 1; 0: row-major */
  /* MEMORY of all rows, of which this is one (rows.h): */
  const jm_type *whole; /* NULL: of one row, or the same for all */
  uint32_t row_dim;
  jm_kval row;
} jm_place;

typedef struct jm_looper {
  jm_launch_builder launch;
  jm_scheduler *s; /* this and the next three: the launch's, at hand */
  const jm_module *m;
  jm_kbuilder *b;
  jm_emit *e;
  jm_place **places; /* per value of the module; NULL: pulled */
  jm_place **wanted; /* per value: where its op should write it */
  bool *stored;      /* from the plan */
  int64_t n_rows;    /* each is run by a chunk */
  jm_kval row;       /* of this chunk */
} jm_looper;

/* NULL, and the builder failed, without memory. */
void *jm_looper_take(jm_looper *l, size_t count, size_t size);

/* -- places (schedule_loop_store.c) */
void jm_looper_place(jm_looper *l, jm_value v, const jm_place *place);
/* v has the elements of `same`, which is visible in another region. */
void jm_looper_forward(jm_looper *l, jm_value v, jm_value same);
/* Memory for `halves` values of the type, each starting at a cache line; *half: elements from one
 * to the next. */
jm_place jm_looper_memory(jm_looper *l, const jm_type *type, uint32_t halves, int64_t *half);

/* Where an element lies. */
jm_kval jm_looper_linear(jm_emit *e, const jm_place *place, const jm_kval *index);

/* -- loops */
/* All elements of a value of at most JM_LOOP_REGISTERS elements. */
void jm_looper_elements(jm_looper *l, jm_value v, jm_element *out);
/* Writes n values to their places; those whose elements correspond share a loop. */
void jm_looper_store(jm_looper *l, const jm_value *values, jm_place *const *to, uint32_t n);
/* Writes update into the slice of the place that starts there. */
void jm_looper_store_slice(jm_looper *l, const jm_place *to, jm_value update, const jm_kval *start);
/* Writes v to the transposed place, of the same elements. */
void jm_looper_store_transposed(jm_looper *l, const jm_place *to, jm_value v);
/* The start of a slice: an integer clamped to [0, last]. */
jm_kval jm_looper_start(jm_looper *l, jm_value v, int64_t last);
/* The lanes of the following loops are those for elements of this type. */
void jm_looper_shape(jm_looper *l, jm_dtype dtype);

/* -- reductions (schedule_loop_reduce.c) */
/* The scalar results of a full reduction, in lanes if it may be reassociated; false: not this kind
 * of op. */
bool jm_looper_reduce(jm_looper *l, const jm_op *op, jm_element *out);
/* Results of a reduction of rows (jm_loop_reduces_rows), each row in lanes, to their places. */
void jm_looper_reduce_rows(jm_looper *l, const jm_op *op, jm_place *const *to);

#endif
