/* SPDX-License-Identifier: Apache-2.0
 * Emission against the oracle: every op of every element type that jm_emit_supports says
 * yes to, as a kernel run by the interpreter and, where there is an LLVM, compiled. */
#include "unit/elementwise_cases.h"

/* -- elementwise */

/* What may differ from the oracle by so many units of the last place; others: none. */
typedef struct tolerance {
  jm_opcode code;
  double ulps;
} tolerance;
static const tolerance tolerances[] = {
    {JM_OP_abs, 2},         {JM_OP_sign, 3},
    {JM_OP_acos, 3},        {JM_OP_acosh, 4},
    {JM_OP_asin, 3},        {JM_OP_asinh, 4},
    {JM_OP_atanh, 4},       {JM_OP_cbrt, 4},
    {JM_OP_cosh, 3},        {JM_OP_cosine, 2},
    {JM_OP_erf, 4},         {JM_OP_erfc, 4},
    {JM_OP_exponential, 2}, {JM_OP_exponential_minus_one, 3},
    {JM_OP_log, 2},         {JM_OP_log_plus_one, 2},
    {JM_OP_logistic, 3},    {JM_OP_sine, 2},
    {JM_OP_sinh, 4},        {JM_OP_tan, 3},
    {JM_OP_tanh, 3},        {JM_OP_atan2, 3},
    {JM_OP_power, 2},       {JM_OP_erf_inv, 4},
};

static double tolerance_of(jm_opcode code, jm_dtype dtype) {
  if (!jm_dtype_is_float(dtype) && !jm_dtype_is_complex(dtype)) return 0;
  if (jm_dtype_is_float(dtype) && (code == JM_OP_abs || code == JM_OP_sign)) return 0;
  for (size_t i = 0; i < sizeof tolerances / sizeof *tolerances; i++)
    if (tolerances[i].code == code) return tolerances[i].ulps;
  return 0;
}

static int n_elementwise;

static void compare_elementwise(emit_case *c, jm_dtype dtype, const jm_opcode *codes,
                                const char *how) {
  char what[96];
  for (uint32_t i = 0; i < c->entry->n_results; i++) {
    snprintf(what, sizeof what, "%s of %s, %s", jm_op_facts[codes[i]].name, jm_dtype_name(dtype),
             how);
    emit_compare(c, i, tolerance_of(codes[i], dtype), what);
  }
}

static void quiet(emit_case *c, uint32_t i) {
  const jm_type *type = emit_in_type(c, i);
  size_t bytes = jm_dtype_bytes(type->dtype);
  for (int64_t k = 0; k < type->count; k++) {
    void *x = (char *)c->in[i] + (size_t)k * bytes;
    if (emit_is_nan(type->dtype, x)) emit_number(type->dtype, NAN, x);
  }
}

static void elementwise(jm_dtype dtype, int operands) {
  jm_text text;
  jm_opcode codes[JM_N_OPS];
  emit_case c = {0};
  jm_text_init(&text);
  if (write_elementwise(dtype, operands, &text, codes) && emit_begin(&c, jm_text_bytes(&text))) {
    n_elementwise += (int)keep_supported(&c, codes);
    if (c.entry->n_results) {
      emit_fill_all(&c);
      for (int i = 0; i < operands; i++) quiet(&c, (uint32_t)i); /* C's pow(NaN, 0) looks */
      emit_want(&c);
      if (emit_have(&c, false, 1)) compare_elementwise(&c, dtype, codes, "interpreted");
      if (emit_have(&c, true, 8)) compare_elementwise(&c, dtype, codes, "compiled");
    }
  }
  emit_end(&c);
  jm_text_deinit(&text);
}

static void test_elementwise(void) {
  for (jm_dtype dtype = 0; dtype < JM_N_DTYPES; dtype++)
    for (int operands = 1; operands <= 2 && dtype != JM_DT_token; operands++)
      elementwise(dtype, operands);
  CHECK(n_elementwise > 700);
}

/* -- without f64 */

/* Is a complex number as near as units of the last place of its larger part say, or are both not
 * finite? Infinities and NaNs are compared where both of its parts have values. */
static bool is_near(const float *want, const float *have, double ulps) {
  double size = fmax(fabs((double)want[0]), fabs((double)want[1]));
  if (!isfinite(want[0]) || !isfinite(want[1]) || size > 0x1p126)
    return !isfinite(have[0]) || !isfinite(have[1]) || size > 0x1p126;
  double unit = ldexp(1, ilogb(fmax(size, 0x1p-126)) - 23);
  return fabs((double)have[0] - want[0]) <= ulps * unit &&
         fabs((double)have[1] - want[1]) <= ulps * unit;
}

static void compare_single(emit_case *c, jm_dtype dtype, const jm_opcode *codes) {
  enum { ULPS = 8 };
  for (uint32_t i = 0; i < c->entry->n_results; i++) {
    const jm_type *type = emit_out_type(c, i);
    const char *name = jm_op_facts[codes[i]].name;
    if (!jm_dtype_is_complex(type->dtype)) {
      emit_compare(c, i, tolerance_of(codes[i], dtype), name);
      continue;
    }
    int wrong = 0;
    for (int64_t k = 0; k < type->count; k++) {
      const float *want = (float *)c->want[i] + 2 * k, *have = (float *)c->have[i] + 2 * k;
      if (is_near(want, have, ULPS) || wrong++) continue;
      const float *x = (float *)c->in[0] + 2 * k;
      fprintf(stderr, "%s without f64 of %g %+gi: %g %+gi, not %g %+gi\n", name, x[0], x[1],
              have[0], have[1], want[0], want[1]);
    }
    if (wrong) fprintf(stderr, "%s: %d\n", name, wrong);
    CHECK(!wrong);
  }
}

static void test_without_f64(void) {
  static const jm_dtype dtypes[] = {JM_DT_f32, JM_DT_bf16, JM_DT_f16, JM_DT_c64};
  emit_without_f64 = true;
  for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
    for (int operands = 1; operands <= 2; operands++) {
      jm_text text;
      jm_opcode codes[JM_N_OPS];
      emit_case c = {0};
      jm_text_init(&text);
      if (write_elementwise(dtypes[d], operands, &text, codes) &&
          emit_begin(&c, jm_text_bytes(&text)) && keep_supported(&c, codes)) {
        emit_fill_all(&c);
        for (int i = 0; i < operands; i++) quiet(&c, (uint32_t)i);
        emit_want(&c);
        if (emit_have(&c, false, 1)) compare_single(&c, dtypes[d], codes);
        jm_kernel *kernel = emit_kernel(&c, 1);
        bool has_f64 = false;
        for (uint32_t v = 0; kernel && v < kernel->n_values; v++)
          has_f64 |= kernel->values[v].type == JM_KT_f64;
        CHECK(!has_f64);
        jm_kernel_destroy(kernel);
      }
      emit_end(&c);
      jm_text_deinit(&text);
    }
  emit_without_f64 = false;
}

/* -- conversion and comparison: all pairs of types, all directions */

static void run(const char *text, double ulps, uint32_t width, const char *what) {
  emit_case c = {0};
  if (emit_begin(&c, text)) {
    const jm_region *entry = c.entry;
    bool supported = true;
    for (uint32_t i = 0; i < entry->n_ops; i++)
      supported &= jm_emit_supports(c.m, jm_module_op(c.m, entry->ops[i]));
    CHECK(supported);
    if (!supported) fprintf(stderr, "%s: not supported\n", what);
    emit_fill_all(&c);
    emit_want(&c);
    if (supported && emit_have(&c, false, 1))
      for (uint32_t i = 0; i < entry->n_results; i++) emit_compare(&c, i, ulps, what);
    if (supported && emit_have(&c, true, width))
      for (uint32_t i = 0; i < entry->n_results; i++) emit_compare(&c, i, ulps, what);
  }
  emit_end(&c);
}

static void test_convert(void) {
  for (jm_dtype from = 0; from < JM_DT_token; from++) {
    jm_text text;
    jm_text_init(&text);
    const char *d = jm_dtype_name(from);
    jm_text_printf(&text, "module \"t\" replicas=1 partitions=1 { (%%x: %s[500]):\n", d);
    for (jm_dtype to = 0; to < JM_DT_token; to++)
      jm_text_printf(&text, "%%r%d: %s[500] = convert %%x\n", (int)to, jm_dtype_name(to));
    for (jm_dtype to = 0; to < JM_DT_token; to++)
      jm_text_printf(&text, "%s%%r%d", to ? ", " : "return ", (int)to);
    jm_text_printf(&text, "}");
    run(jm_text_bytes(&text), 0, 8, d);
    jm_text_deinit(&text);
  }
}

static void test_compare(void) {
  static const char *const directions[] = {"EQ", "NE", "GE", "GT", "LE", "LT"};
  for (jm_dtype dtype = 0; dtype < JM_DT_token; dtype++) {
    const char *d = jm_dtype_name(dtype);
    uint32_t n = 0;
    jm_text text;
    jm_text_init(&text);
    jm_text_printf(&text,
                   "module \"t\" replicas=1 partitions=1 { (%%x: %s[%d], %%y: %s[%d], "
                   "%%p: pred[%d], %%lo: %s[], %%hi: %s[], %%s: pred[]):\n",
                   d, (int)PAIRS, d, (int)PAIRS, (int)PAIRS, d, d);
    for (uint32_t k = 0; k < 6; k++)
      for (int total = 0; total < 2; total++)
        if ((!total || jm_dtype_is_float(dtype)) && (k < 2 || !jm_dtype_is_complex(dtype)))
          jm_text_printf(&text, "%%r%u: pred[%d] = compare %%x, %%y direction=%s order=%s\n", n++,
                         (int)PAIRS, directions[k], total ? "TOTAL" : "NOTYPE");
    jm_text_printf(&text, "%%r%u: %s[%d] = select %%p, %%x, %%y\n", n++, d, (int)PAIRS);
    jm_text_printf(&text, "%%r%u: %s[%d] = select %%s, %%x, %%y\n", n++, d, (int)PAIRS);
    jm_text_printf(&text, "%%r%u: %s[%d] = clamp %%lo, %%x, %%hi\n", n++, d, (int)PAIRS);
    jm_text_printf(&text, "%%r%u: %s[%d] = clamp %%x, %%y, %%x\n", n++, d, (int)PAIRS);
    for (uint32_t i = 0; i < n; i++) jm_text_printf(&text, "%s%%r%u", i ? ", " : "return ", i);
    jm_text_printf(&text, "}");
    run(jm_text_bytes(&text), 0, 8, d);
    jm_text_deinit(&text);
  }
}

static void test_reduce_precision(void) {
  static const int widths[][2] = {{5, 10}, {8, 7}, {4, 3},   {2, 1},
                                  {8, 0},  {1, 3}, {11, 52}, {8, 23}};
  for (jm_dtype dtype = 0; dtype < JM_DT_token; dtype++) {
    if (!jm_dtype_is_float(dtype)) continue;
    jm_text text;
    jm_text_init(&text);
    const char *d = jm_dtype_name(dtype);
    jm_text_printf(&text, "module \"t\" replicas=1 partitions=1 { (%%x: %s[900]):\n", d);
    for (int i = 0; i < 8; i++)
      jm_text_printf(&text,
                     "%%r%d: %s[900] = reduce_precision %%x exponent_bits=%d mantissa_bits=%d\n", i,
                     d, widths[i][0], widths[i][1]);
    for (int i = 0; i < 8; i++) jm_text_printf(&text, "%s%%r%d", i ? ", " : "return ", i);
    jm_text_printf(&text, "}");
    run(jm_text_bytes(&text), 0, 8, d);
    jm_text_deinit(&text);
  }
}

/* -- modules; -1 ulps: everything is moved bit by bit */

typedef struct text_case {
  double ulps;
  const char *text;
} text_case;

#define MODULE(body) "module \"t\" replicas=1 partitions=1 {" body "}"

static const text_case cases[] = {
#include "unit/emit_cases.def"
};

static void test_modules(void) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    run(cases[i].text, cases[i].ulps, i % 2 ? 4 : 2, /* few elements */
        cases[i].text + strlen("module \"t\" replicas=1 partitions=1"));
}

/* -- the n-th allocation fails: an error, never a crash */

static jm_error *build(const emit_case *c, jm_kernel **kernel) {
  jm_kbuilder *b = NULL;
  jm_emit *e = NULL;
  JM_TRY(jm_kbuilder_create("emit", &b));
  jm_error *error = jm_emit_create(c->m, b, &e);
  if (!error) {
    jm_kloop loop;
    jm_kval index[64];
    const jm_type *type = emit_out_type(c, 0);
    for (uint32_t i = 0; i < c->entry->n_args; i++)
      jm_emit_leaf_param(e, c->entry->first_arg + i,
                         jm_emit_param(e, emit_in_type(c, i), JM_SPACE_GLOBAL, false, 0));
    uint32_t to = jm_emit_param(e, type, JM_SPACE_GLOBAL, true, 0);
    jm_kbuild_loop_begin(b, JM_BIND_SERIAL, 0, jm_kbuild_index(b, 0),
                         jm_kbuild_index(b, type->count), NULL, 0, &loop);
    jm_emit_split(e, type, loop.index, index);
    jm_emit_store(e, type->dtype, to, loop.index, jm_emit_value(e, c->entry->results[0], index));
    jm_kbuild_loop_end(b, &loop, NULL);
    error = jm_kbuilder_finish(b, kernel);
  }
  jm_emit_destroy(e);
  jm_kbuilder_destroy(b);
  return error;
}

static void test_allocation_failure(void) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i += 3) {
    emit_case c = {0};
    if (!emit_begin(&c, cases[i].text)) continue;
    bool done = false;
    for (int64_t n = 0; !done && n < 10000; n++) {
      jm_kernel *kernel = NULL;
      jm_alloc_fail_after(n);
      jm_error *error = build(&c, &kernel);
      jm_alloc_fail_after(-1);
      done = !error;
      CHECK(!error || jm_error_code(error) == JM_RESOURCE_EXHAUSTED);
      jm_error_destroy(error);
      jm_kernel_destroy(kernel);
    }
    CHECK(done);
    emit_end(&c);
  }
}

/* A value that no rule reaches, and an op that can't be pulled, are errors. */
static void test_refusals(void) {
  emit_case c = {0};
  jm_kernel *kernel = NULL;
  if (emit_begin(&c, MODULE("(%0: f32[4]): %1: f32[4] = sort %0 dim=0 { (%2: f32[], %3: f32[]): "
                            "%4: pred[] = compare %2, %3 direction=LT order=FLOAT return %4 } "
                            "return %1"))) {
    CHECK(!jm_emit_supports(c.m, jm_module_op(c.m, c.entry->ops[0])));
    CHECK_FAILS(build(&c, &kernel), JM_INTERNAL, "sort");
  }
  emit_end(&c);
}

TEST_MAIN(test_elementwise, test_without_f64, test_convert, test_compare, test_reduce_precision,
          test_modules, test_allocation_failure, test_refusals)
