/* SPDX-License-Identifier: Apache-2.0
 * Shared by the files llvm*.c: the state of printing one kernel as LLVM IR. The interface is
 * jm_llvm_module in kernel.h. */
#ifndef JM_KERNEL_PRINT_LLVM_H
#define JM_KERNEL_PRINT_LLVM_H

#include "kernel/ir/target.h"
#include "kernel/print/lanes.h"

/* The text of a value: a name or a constant. */
typedef struct jm_llvm_name {
  char text[80];
} jm_llvm_name;

struct jm_llvm_module {
  jm_target target;
  jm_text declarations, functions, metadata, all;
  uint32_t next_metadata;
  bool brief; /* see jm_llvm_module_shorten */
};

typedef struct jm_llvm_printer {
  jm_llvm_module *module;
  const jm_kernel *k;
  jm_text *out;
  uint32_t width;     /* lanes of what is printed now; 1: scalars */
  uint32_t next;      /* number of the next name or label */
  uint32_t label;     /* of the block that is printed now */
  uint32_t *scalars;  /* per value, the number of its name; 0: none */
  uint32_t *vectors;  /* the same as a vector of width lanes */
  jm_kval *made;      /* values that were made vectors of, in order */
  uint32_t n_made;    /* and are known in the block printed now */
  jm_kinst *partners; /* of a store: the one that was put off to be written with it */
  bool *put_off;      /* per instruction: a store that is printed with a later one */
  jm_lane *lanes;
  bool *narrow;     /* per value: as a vector it has lanes of i32, not i64 */
  uint32_t *groups; /* per parameter: what may overlap has one number, 0: what is only read */
  uint32_t n_groups, first_metadata;
  bool *streamed;         /* per parameter: a result that may be written past the caches */
  bool streams;           /* in what is printed now, it is */
  jm_kval index;          /* of the vector loop printed now; JM_KNONE: none, */
  bool index_is_multiple; /* and whether it is a multiple of the width */
  bool in_vector;         /* inside a vectorized loop, its scalar remainder too */
  /* of the threads loop printed now */
  jm_llvm_name lower; /* its first index */
  jm_llvm_name lane;  /* of the first of the iterations printed now */
  jm_arena arena;
} jm_llvm_printer;

/* An i64 as base + what is returned; base is JM_KNONE for a constant. */
int64_t jm_llvm_find_offset(const jm_kernel *k, jm_kval v, jm_kval *base);

jm_llvm_name jm_llvm_type(jm_ktype type, uint32_t width);

/* A constant's own text, or its name. */
jm_llvm_name jm_llvm_scalar(const jm_llvm_printer *p, jm_kval v);
/* The value as a vector of its own type; prints what makes it one. */
jm_llvm_name jm_llvm_vector(jm_llvm_printer *p, jm_kval v);
/* The same, with lanes of i32 if it is narrow. */
jm_llvm_name jm_llvm_narrow_vector(jm_llvm_printer *p, jm_kval v);
/* Gives a new name to a value, and returns it. */
uint32_t jm_llvm_define(jm_llvm_printer *p, jm_kval v, bool vector);
/* Forgets the vectors made since there were n_made: control leaves the block that has them. */
void jm_llvm_forget(jm_llvm_printer *p, uint32_t n_made);

static inline bool jm_llvm_is_vector(const jm_llvm_printer *p, jm_kval v) {
  return p->width > 1 && p->lanes[v].kind == JM_LANE_VARYING;
}

/* A loop to be printed at the current width. */
typedef enum jm_llvm_polling { JM_POLL_NEVER, JM_POLL_SOMETIMES, JM_POLL_ALWAYS } jm_llvm_polling;
typedef struct jm_llvm_loop {
  const jm_kinst_fact *loop;
  jm_llvm_name start, stop;
  uint32_t step;
  bool certain; /* at least one iteration */
  jm_llvm_polling polling;
  const jm_llvm_name *initial; /* of the carries */
  uint32_t *results;           /* their numbers where control is after it */
  bool in_memory;              /* carries are lanes' in memory instead (llvm_threads.c) */
} jm_llvm_loop;

jm_error *jm_llvm_print_loop(jm_llvm_printer *p, const jm_llvm_loop *r) JM_MUST_USE;
jm_error *jm_llvm_print_block(jm_llvm_printer *p, jm_kblock block) JM_MUST_USE;
/* How many iterations a loop has, if that is known. */
bool jm_llvm_find_count(const jm_kernel *k, const jm_kinst_fact *f, int64_t *count);
/* How often a loop that is not vectorized polls the flag. */
jm_llvm_polling jm_llvm_find_polling(const jm_kernel *k, const jm_kinst_fact *f);
/* Combines lanes of a loop's carries, vectors of so many, until each is a scalar. */
jm_error *jm_llvm_print_combination(jm_llvm_printer *p, const jm_kinst_fact *f, uint32_t width,
                                    jm_llvm_name *values) JM_MUST_USE;
/* Makes scalars the loop's results. */
void jm_llvm_name_results(jm_llvm_printer *p, const jm_kinst_fact *f, const jm_llvm_name *values);
jm_llvm_name jm_llvm_number(uint32_t id); /* the name %v<id> */

/* Threads loops, one thread running all lanes. llvm_threads.c */
jm_error *jm_llvm_print_threads(jm_llvm_printer *p, const jm_kinst_fact *f) JM_MUST_USE;
/* Bytes of %lanes, the memory for the carries of all lanes. */
size_t jm_llvm_lane_bytes(const jm_kernel *k, jm_kblock block);
/* Around the body of a loop whose carries are in memory: load, and store, the carries of the lanes
 * from this index on. */
void jm_llvm_load_lanes(jm_llvm_printer *p, const jm_llvm_loop *r, jm_llvm_name index);
void jm_llvm_store_lanes(jm_llvm_printer *p, const jm_llvm_loop *r);

/* Is an i64 a multiple of w (a power of two), as its instructions show, if `index` is one
 * (JM_KNONE: nothing is known)? llvm_stream.c */
bool jm_llvm_is_multiple(const jm_kernel *k, jm_kval v, int64_t w, jm_kval index);
/* Fills p->streamed; whether there is anything to stream. */
bool jm_llvm_find_streams(jm_llvm_printer *p);
/* Prints an i1: what is streamed is aligned, and no operand's memory. */
jm_llvm_name jm_llvm_print_stream_check(jm_llvm_printer *p);
/* The alignment in bytes of a wide store that is streamed, 0 if it is not. */
uint32_t jm_llvm_find_stream_alignment(const jm_llvm_printer *p, const jm_kinst_fact *store);

/* Instructions without blocks, on scalars or vectors. llvm_inst.c */
void jm_llvm_print_inst(jm_llvm_printer *p, jm_kinst inst);
/* A declaration of an intrinsic, once. */
void jm_llvm_declare(jm_llvm_printer *p, const char *format, ...) JM_PRINTF(2, 3);
/* Loads and stores. llvm_memory.c */
void jm_llvm_print_load(jm_llvm_printer *p, const jm_kinst_fact *f);
void jm_llvm_print_store(jm_llvm_printer *p, jm_kinst inst);
/* A tile of scratch memory through registers. llvm_transpose.c */
void jm_llvm_print_transpose(jm_llvm_printer *p, const jm_kinst_fact *f);
/* Finds stores of a block that are written together with a later one (jm_llvm_printer.partners). */
void jm_llvm_pair_stores(jm_llvm_printer *p, jm_kblock block);

#endif
