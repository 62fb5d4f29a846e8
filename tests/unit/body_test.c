/* SPDX-License-Identifier: Apache-2.0
 * What bodies of regions are recognised as, from the text of programs, and that the engines' views
 * of one program agree. Comparators are tested by the sorts that they lead to (sort_test.c). */
#include "ir/body.h"

#include <math.h>
#include <stdlib.h>

#include "base/convert.h"
#include "base/number.h"
#include "ir/parse.h"
#include "kernel/emit/reduction.h"
#include "unit/check.h"

/* A program whose first op with a region is `reduce`, with this body. Its operands: n tensors. */
static jm_module *reduce_of(const char *types[2], int n, const char *body) {
  char text[2048];
  int at = snprintf(text, sizeof text, "module \"m\" {\n  (");
  for (int i = 0; i < 2 * n; i++)
    at += snprintf(text + at, sizeof text - (size_t)at, "%s%%o%d: %s[%s]", i ? ", " : "", i,
                   types[i % n], i < n ? "4" : "");
  at += snprintf(text + at, sizeof text - (size_t)at, "):\n  ");
  for (int i = 0; i < n; i++)
    at +=
        snprintf(text + at, sizeof text - (size_t)at, "%s%%r%d: %s[]", i ? ", " : "", i, types[i]);
  at += snprintf(text + at, sizeof text - (size_t)at, " = reduce ");
  for (int i = 0; i < 2 * n; i++)
    at += snprintf(text + at, sizeof text - (size_t)at, "%s%%o%d", i ? ", " : "", i);
  snprintf(text + at, sizeof text - (size_t)at, " dims=[0] {\n%s  }\n  return %%r0\n}\n", body);
  jm_module *m = NULL;
  CHECK_OK(jm_module_parse(text, strlen(text), &m));
  return m;
}

static const jm_op *first_reduce(const jm_module *m) {
  for (jm_op_id id = 0; m && id < m->n_ops; id++)
    if (jm_module_op(m, id)->code == JM_OP_reduce) return jm_module_op(m, id);
  return NULL;
}

/* -- binary ops and monoids */

static void test_binary(void) {
  static const struct {
    const char *type, *op, *operands;
    bool binary;
    jm_opcode code;
    bool monoid;
  } cases[] = {
      {"f32", "add", "%a, %b", true, JM_OP_add, true},
      {"f32", "add", "%b, %a", true, JM_OP_add, true},
      {"f32", "add", "%a, %a", false, JM_N_OPS, false},
      {"f32", "subtract", "%a, %b", true, JM_OP_subtract, false},
      {"f32", "subtract", "%b, %a", false, JM_N_OPS, false}, /* not the op's own order */
      {"f32", "maximum", "%a, %b", true, JM_OP_maximum, true},
      {"s32", "xor", "%b, %a", true, JM_OP_xor, true},
      {"pred", "add", "%a, %b", true, JM_OP_add, true},
      {"f32", "atan2", "%a, %b", true, JM_OP_atan2, false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char body[256];
    const char *type = cases[i].type;
    snprintf(body, sizeof body,
             "    (%%a: %s[], %%b: %s[]):\n    %%c: %s[] = %s %s\n    return %%c\n", type, type,
             type, cases[i].op, cases[i].operands);
    jm_module *m = reduce_of((const char *[]){type, NULL}, 1, body);
    const jm_op *op = first_reduce(m);
    if (!op) continue;
    jm_opcode code = JM_N_OPS;
    jm_monoid monoid;
    CHECK(jm_body_binary(m, op->first_region, &code) == cases[i].binary);
    CHECK(code == cases[i].code);
    CHECK(jm_body_monoid(m, op->first_region, &monoid) == cases[i].monoid);
    jm_reduction r; /* the kernels' view */
    jm_reduction_init(m, op, &r);
    CHECK(r.grouped == cases[i].monoid);
    jm_module_destroy(m);
  }
}

static void test_other_bodies(void) {
  static const struct {
    const char *body;
    bool assigns, compares;
  } cases[] = {
      {"    (%a: f32[], %b: f32[]):\n    return %b\n", true, false},
      {"    (%a: f32[], %b: f32[]):\n    return %a\n", false, false},
      {"    (%a: f32[], %b: f32[]):\n    %c: pred[] = compare %a, %b direction=GE\n"
       "    return %c\n",
       false, true},
      {"    (%a: f32[], %b: f32[]):\n    %c: pred[] = compare %b, %a direction=GE\n"
       "    return %c\n",
       false, false},
      {"    (%a: f32[], %b: f32[]):\n    %c: pred[] = compare %a, %b direction=GE order=TOTAL\n"
       "    return %c\n",
       false, false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    jm_module *m = reduce_of((const char *[]){"f32", NULL}, 1, cases[i].body);
    const jm_op *op = first_reduce(m);
    if (!op) continue;
    jm_opcode code;
    CHECK(!jm_body_binary(m, op->first_region, &code));
    CHECK(jm_body_assigns(m, op->first_region, 1) == cases[i].assigns);
    CHECK(!!jm_body_compare(m, op->first_region) == cases[i].compares);
    CHECK(!jm_body_log_add_exp(m, op->first_region));
    jm_module_destroy(m);
  }
}

/* x op identity = x for every number x of every type, to the bit. */
static void test_identities(void) {
  static const jm_opcode codes[] = {JM_OP_add, JM_OP_multiply, JM_OP_maximum, JM_OP_minimum,
                                    JM_OP_and, JM_OP_or,       JM_OP_xor};
  for (size_t c = 0; c < sizeof codes / sizeof *codes; c++)
    for (jm_dtype d = 0; d < JM_N_DTYPES; d++) {
      jm_monoid monoid;
      bool logical = codes[c] == JM_OP_and || codes[c] == JM_OP_or || codes[c] == JM_OP_xor;
      if (d == JM_DT_token || (logical && !jm_dtype_is_integer(d) && d != JM_DT_pred)) continue;
      CHECK(jm_monoid_find(codes[c], d, &monoid));
      CHECK(monoid.dtype == d);
      bool sums = codes[c] == JM_OP_add || codes[c] == JM_OP_multiply;
      CHECK(monoid.accumulator == (sums && jm_number_is_narrow(d) ? JM_DT_f32 : d));
      if (jm_dtype_is_complex(d) || d == JM_DT_f8e8m0fnu) continue;
      uint64_t bits = 0;
      jm_monoid_identity(&monoid, d, &bits);
      CHECK(jm_monoid_is_identity(&monoid, &bits));
      double e = 0;
      int64_t k = 0;
      CHECK_OK(jm_convert_run(d, JM_DT_f64, &bits, &e, 1));
      CHECK_OK(jm_convert_run(d, JM_DT_s64, &bits, &k, 1));
      for (int step = 0; step < 256; step++) {
        uint64_t x = (uint64_t)step * 0x0101010101010101u;
        double v = 0, w = 0;
        if (jm_dtype_is_float(d)) {
          CHECK_OK(jm_convert_run(d, JM_DT_f64, &x, &v, 1));
          if (isnan(v)) continue;
          w = codes[c] == JM_OP_add        ? v + e
              : codes[c] == JM_OP_multiply ? v * e
              : codes[c] == JM_OP_maximum  ? (v >= e ? v : e)
                                           : (v <= e ? v : e);
          CHECK(w == v && signbit(w) == signbit(v));
        } else { /* in two's complement of all the type's bits */
          int64_t n = 0, result;
          CHECK_OK(jm_convert_run(d, JM_DT_s64, &x, &n, 1));
          bool below = jm_dtype_classof(d) == JM_CLASS_SINT ? n < k : (uint64_t)n < (uint64_t)k;
          switch (monoid.code) {
            case JM_OP_add:
              result = n + k;
              break;
            case JM_OP_multiply:
              result = n * k;
              break;
            case JM_OP_maximum:
              result = below ? k : n;
              break;
            case JM_OP_minimum:
              result = below ? n : k;
              break;
            case JM_OP_and:
              result = n & k;
              break;
            case JM_OP_or:
              result = n | k;
              break;
            default:
              result = n ^ k;
              break;
          }
          CHECK(result == n);
        }
      }
    }
}

static void test_monoid_facts(void) {
  jm_monoid m;
  CHECK(jm_monoid_find(JM_OP_add, JM_DT_f32, &m) && m.rounds && m.grouped && !m.idempotent);
  CHECK(jm_monoid_find(JM_OP_maximum, JM_DT_f32, &m) && !m.rounds && m.grouped && m.idempotent);
  CHECK(jm_monoid_find(JM_OP_add, JM_DT_pred, &m) && m.code == JM_OP_or && m.idempotent);
  CHECK(jm_monoid_find(JM_OP_multiply, JM_DT_pred, &m) && m.code == JM_OP_and && m.idempotent);
  CHECK(jm_monoid_find(JM_OP_xor, JM_DT_pred, &m) && m.code == JM_OP_xor && !m.idempotent);
  CHECK(jm_monoid_find(JM_OP_add, JM_DT_c64, &m) && m.grouped && m.accumulator == JM_DT_c64);
  /* (inf + 0i) (1 + 0i) has a NaN where a product grouped otherwise has none. */
  CHECK(jm_monoid_find(JM_OP_multiply, JM_DT_c64, &m) && !m.grouped);
  CHECK(jm_monoid_find(JM_OP_maximum, JM_DT_c128, &m) && !m.grouped && !m.idempotent);
  CHECK(!jm_monoid_find(JM_OP_and, JM_DT_f32, &m));
  CHECK(!jm_monoid_find(JM_OP_subtract, JM_DT_f32, &m));
  /* A float sum may start from either zero. */
  CHECK(jm_monoid_find(JM_OP_add, JM_DT_bf16, &m));
  CHECK(jm_monoid_is_identity(&m, &(uint16_t){0x8000}) &&
        jm_monoid_is_identity(&m, &(uint16_t){0}));
  CHECK(!jm_monoid_is_identity(&m, &(uint16_t){1}));
}

/* -- argmax */

typedef struct argmax_case {
  const char *value, *index; /* types */
  const char *better;        /* defines %p from %x and %y */
  const char *tie;           /* defines %t from %eq and %lt */
  const char *picks;         /* defines %q from %p and %t */
  bool found, largest;
} argmax_case;

static void test_argmax(void) {
#define GT "    %g: pred[] = compare %x, %y direction=GT\n"
#define LT "    %g: pred[] = compare %x, %y direction=LT\n"
#define NAN_X "    %n: pred[] = compare %x, %x direction=NE\n"
#define OR_GN GT NAN_X "    %p: pred[] = or %g, %n\n"
#define TIE "    %t: pred[] = and %eq, %lt\n"
#define PICKS "    %q: pred[] = or %p, %t\n"
  static const argmax_case cases[] = {
      {"f32", "s32", OR_GN, TIE, PICKS, true, true},
      {"f32", "s32", LT NAN_X "    %p: pred[] = or %g, %n\n", TIE, PICKS, true, false},
      /* operands of or and and in the other order */
      {"f32", "s64", GT NAN_X "    %p: pred[] = or %n, %g\n", TIE, PICKS, true, true},
      {"f32", "s32", OR_GN, "    %t: pred[] = and %lt, %eq\n", PICKS, true, true},
      {"f32", "s32", OR_GN, TIE, "    %q: pred[] = or %t, %p\n", true, true},
      /* integers have no NaN; asking for it is harmless */
      {"s32", "s32", "    %p: pred[] = compare %x, %y direction=GT\n", TIE, PICKS, true, true},
      {"u8", "u32", OR_GN, TIE, PICKS, true, true},
      /* without the question for NaN a float's argmax is not associative */
      {"f32", "s32", "    %p: pred[] = compare %x, %y direction=GT\n", TIE, PICKS, false, false},
      {"f32", "s32", "    %p: pred[] = compare %x, %y direction=GE\n", TIE, PICKS, false, false},
      {"s32", "s32", "    %p: pred[] = compare %y, %x direction=GT\n", TIE, PICKS, false, false},
      {"f32", "f32", OR_GN, TIE, PICKS, false, false}, /* indices are integers */
      {"f32", "s32", OR_GN, "    %t: pred[] = or %eq, %lt\n", PICKS, false, false},
      {"f32", "s32", OR_GN, TIE, "    %q: pred[] = and %p, %t\n", false, false},
  };
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    const argmax_case *a = &cases[c];
    char body[1024];
    snprintf(body, sizeof body,
             "    (%%x: %s[], %%i: %s[], %%y: %s[], %%j: %s[]):\n%s"
             "    %%eq: pred[] = compare %%x, %%y direction=EQ\n"
             "    %%lt: pred[] = compare %%i, %%j direction=LT\n%s%s"
             "    %%v: %s[] = select %%p, %%x, %%y\n"
             "    %%k: %s[] = select %%q, %%i, %%j\n    return %%v, %%k\n",
             a->value, a->index, a->value, a->index, a->better, a->tie, a->picks, a->value,
             a->index);
    jm_module *m = reduce_of((const char *[]){a->value, a->index}, 2, body);
    const jm_op *op = first_reduce(m);
    if (!op) continue;
    bool largest = false;
    bool found = jm_body_argmax(m, op->first_region, &largest);
    CHECK(found == a->found && (!found || largest == a->largest));
    jm_reduction r;
    jm_reduction_init(m, op, &r);
    CHECK(r.argument == a->found && r.grouped == a->found);
    jm_module_destroy(m);
  }
}

/* -- NaNs by their bits */

static void test_nan(void) {
  for (jm_dtype d = 0; d < JM_N_DTYPES; d++) {
    if (!jm_number_is_narrow(d) || jm_dtype_bytes(d) != 1) continue;
    for (unsigned i = 0; i < 1u << jm_dtype_facts[d].bits; i++) {
      double x = 0;
      uint8_t code = (uint8_t)i;
      CHECK_OK(jm_convert_run(d, JM_DT_f64, &code, &x, 1));
      CHECK(jm_number_is_nan(d, i) == (x != x));
    }
  }
  CHECK(jm_number_is_nan(JM_DT_f32, 0x7f800001) && !jm_number_is_nan(JM_DT_f32, 0xff800000));
  CHECK(jm_number_is_nan(JM_DT_f64, UINT64_C(0xfff0000000000001)));
  CHECK(!jm_number_is_nan(JM_DT_f64, UINT64_C(0x7ff0000000000000)));
  CHECK(jm_number_is_nan(JM_DT_bf16, 0x7fc0) && !jm_number_is_nan(JM_DT_f16, 0x7c00));
  CHECK(!jm_number_is_nan(JM_DT_s32, UINT32_MAX));
}

/* The type of products: see jm_dtype_of_product. */
static void test_products(void) {
  jm_dtype d;
  CHECK(jm_dtype_of_product(JM_DT_bf16, JM_DT_bf16, JM_DT_bf16, &d) && d == JM_DT_f32);
  CHECK(jm_dtype_of_product(JM_DT_bf16, JM_DT_f64, JM_DT_f32, &d) && d == JM_DT_f64);
  CHECK(jm_dtype_of_product(JM_DT_f32, JM_DT_c64, JM_DT_c64, &d) && d == JM_DT_c64);
  CHECK(jm_dtype_of_product(JM_DT_s8, JM_DT_u4, JM_DT_s32, &d) && d == JM_DT_s32);
  CHECK(!jm_dtype_of_product(JM_DT_c64, JM_DT_c64, JM_DT_f32, &d));
  CHECK(!jm_dtype_of_product(JM_DT_f32, JM_DT_f32, JM_DT_s32, &d));
}

TEST_MAIN(test_binary, test_other_bodies, test_identities, test_monoid_facts, test_argmax, test_nan,
          test_products)
