/* SPDX-License-Identifier: Apache-2.0
 * Programs for every schedule and for the library, over shapes that straddle the edges of vectors,
 * tiles, blocks and chunks, and the element types they take. shape_cases.def is the table of
 * programs; this is the shapes, the types, and how a program is written. */
#ifndef JM_TESTS_SHAPE_CASES_H
#define JM_TESTS_SHAPE_CASES_H

#include <stdlib.h>

#include "ir/parse.h"
#include "ir/verify.h"
#include "unit/check.h"

typedef struct shape {
  int a, b;
} shape;

/* Types that are not `usual` take the first shapes alone. */
enum { FEW = 4 };
static const jm_dtype usual[] = {JM_DT_f32, JM_DT_f64, JM_DT_bf16, JM_DT_s8, JM_DT_c64};

/* Vectors have 8 to 256 lanes; little is 4096 points, a chunk 16384. */
static const shape lines[] = {{33, 1},    {1, 1},     {0, 1},    {4097, 1}, {2, 1},     {3, 1},
                              {15, 1},    {16, 1},    {17, 1},   {31, 1},   {32, 1},    {63, 1},
                              {64, 1},    {65, 1},    {127, 1},  {128, 1},  {129, 1},   {255, 1},
                              {256, 1},   {257, 1},   {4095, 1}, {4096, 1}, {16383, 1}, {16384, 1},
                              {16385, 1}, {49153, 1}, {81921, 1}};
static const shape planes[] = {{17, 33}, {1, 1},   {0, 7},   {129, 65}, {7, 0},    {1, 257},
                               {257, 1}, {3, 15},  {15, 16}, {16, 17},  {32, 8},   {33, 9},
                               {65, 63}, {8, 128}, {9, 127}, {3, 4099}, {4099, 3}, {300, 257}};
/* Accumulators are 4096 columns, blocks of rows at least 64 rows. */
static const shape columns[] = {{17, 33},    {1, 1},     {0, 7},    {2111, 65}, {7, 0},
                                {257, 1},    {8, 128},   {9, 127},  {63, 64},   {64, 63},
                                {65, 65},    {127, 129}, {129, 15}, {9, 4095},  {10, 4097},
                                {300, 8193}, {1500, 100}};
/* Tiles are 64 or 32 wide; less than 4096 points are a map. */
static const shape tiles[] = {{65, 64},  {1, 1},   {0, 3},    {129, 33}, {63, 65},  {64, 64},
                              {64, 63},  {65, 63}, {127, 33}, {128, 32}, {32, 128}, {31, 133},
                              {33, 127}, {8, 513}, {513, 9},  {7, 600},  {200, 300}};
/* Blocks of a long row are 32768 points. */
static const shape longs[] = {{65537, 1}, {1, 1},     {0, 1},     {100, 1},
                              {2, 1},     {63, 1},    {65, 1},    {4095, 1},
                              {4097, 1},  {32767, 1}, {32769, 1}, {65536, 1},
                              {98303, 1}, {98304, 1}, {98305, 1}, {200001, 1}};
static const shape shorts[] = {{33, 1},  {1, 1},   {0, 1},   {129, 1}, {2, 1},  {3, 1},  {4, 1},
                               {5, 1},   {15, 1},  {16, 1},  {17, 1},  {63, 1}, {64, 1}, {65, 1},
                               {127, 1}, {128, 1}, {255, 1}, {256, 1}, {257, 1}};

typedef enum types { T_ALL, T_ORDERED, T_RANKED, T_SUMS, T_REALS, T_COMPLEX } types;
enum { CLOSE, EXACT };

typedef struct shape_row {
  const char *name, *schedule;
  int least_a, least_b;
  int64_t least; /* a * b */
  types types;
  int exact;
  const shape *shapes;
  int n_shapes;
  const char *text;
} shape_row;

#define CASE(name, schedule, a, b, ab, types, exact, shapes, text) \
  {name, schedule, a, b, ab, types, exact, shapes, sizeof shapes / sizeof *shapes, text},
static const shape_row shape_rows[] = {
#include "unit/shape_cases.def"
};
enum { N_SHAPE_ROWS = sizeof shape_rows / sizeof *shape_rows };

static bool takes(const shape_row *r, jm_dtype dtype) {
  jm_dtype_class kind = jm_dtype_classof(dtype);
  bool complex = kind == JM_CLASS_COMPLEX, narrow = jm_dtype_facts[dtype].bits < 8;
  if (kind == JM_CLASS_FLOAT) narrow = jm_dtype_facts[dtype].bits < 16;
  switch (r->types) {
    case T_ALL:
      return true;
    case T_ORDERED:
      return !complex;
    case T_RANKED:
      return !complex && kind != JM_CLASS_PRED;
    case T_SUMS:
      return !narrow && kind != JM_CLASS_PRED;
    case T_REALS:
      return kind == JM_CLASS_FLOAT && !narrow;
    case T_COMPLEX:
      return complex;
  }
  return false;
}

static bool is_usual(jm_dtype dtype) {
  for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
    if (usual[i] == dtype) return true;
  return false;
}

static void write_body(jm_text *text, const char *op, const char *type) {
  jm_text_printf(text,
                 "{\n (%%90: %s[], %%91: %s[]):\n %%92: %s[] = %s %%90, %%91\n return %%92\n }\n",
                 type, type, type, op);
}

static void write_program(jm_text *text, const char *from, jm_dtype dtype, const shape *s) {
  const char *type = jm_dtype_name(dtype);
  jm_text_printf(text, "module \"m\" {\n ");
  for (const char *c = from; *c; c++) {
    if (*c != '$') {
      jm_text_append(text, c, 1);
    } else if (!strncmp(c, "$add", 4) || !strncmp(c, "$max", 4)) {
      write_body(text, c[1] == 'a' ? "add" : "maximum", type);
      c += 3;
    } else if (*++c == 't') {
      jm_text_printf(text, "%s", type);
    } else {
      char *end = (char *)c + 1;
      long more = c[1] == '+' ? strtol(c + 2, &end, 10) : 0;
      jm_text_printf(text, "%ld", (*c == 'a' ? s->a : s->b) + more);
      c = end - 1;
    }
  }
  jm_text_printf(text, "\n}\n");
}

static jm_module *read_program(const shape_row *r, jm_dtype dtype, const shape *s) {
  jm_text text;
  jm_module *m = NULL;
  int before = check_failures;
  jm_text_init(&text);
  write_program(&text, r->text, dtype, s);
  CHECK_OK(jm_module_parse(jm_text_bytes(&text), text.size, &m));
  if (m) CHECK_OK(jm_module_verify(m));
  if (check_failures > before) {
    fprintf(stderr, "in %s", jm_text_bytes(&text));
    jm_module_destroy(m);
    m = NULL;
  }
  jm_text_deinit(&text);
  return m;
}

/* Calls visit for every program of the table; number: of the program. JM_TEST_SHAPES names one
 * row. */
static void each_program(void (*visit)(const shape_row *row, jm_dtype dtype, const shape *s,
                                       uint64_t number)) {
  const char *only = getenv("JM_TEST_SHAPES");
  uint64_t number = 0;
  for (int r = 0; r < N_SHAPE_ROWS; r++)
    for (jm_dtype dtype = 0; dtype < JM_DT_token; dtype++) {
      const shape_row *row = &shape_rows[r];
      if (!takes(row, dtype) || (only && strcmp(only, row->name))) continue;
      for (int i = 0; i < row->n_shapes && (i < FEW || is_usual(dtype)); i++)
        visit(row, dtype, &row->shapes[i], number++);
    }
}

#endif
