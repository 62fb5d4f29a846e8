/* SPDX-License-Identifier: Apache-2.0
 * Groups and schedules against the reference engine: every group that grouping forms of a program
 * is scheduled, run by the interpreter (in two parts) and, where there is an LLVM, as compiled
 * code, in the memory of operands too where the schedule allows that. */
#include <math.h>
#include <stdlib.h>

#include "engine/host/jit.h"
#include "engine/ref/ref.h"
#include "ir/parse.h"
#include "ir/verify.h"
#include "kernel/schedule/schedule.h"
#include "pass/pass.h"
#include "unit/check.h"

static const jm_target target = JM_TARGET_HOST("test", 16, true, 64 << 10);

enum { BUFFERS = 64 };

static double uniform(void) { return rand() / (RAND_MAX + 1.0) * 4 - 2; }

static void fill(const jm_tensor *t) {
  jm_dtype dtype = t->type->dtype, real = jm_dtype_real(dtype);
  size_t n = (size_t)t->type->count * (jm_dtype_is_complex(dtype) ? 2 : 1);
  for (size_t i = 0; i < n; i++) {
    double value = jm_dtype_is_float(real) ? uniform() : floor(uniform() * 3);
    if (jm_dtype_classof(real) == JM_CLASS_UINT) value = fabs(value);
    if (real == JM_DT_pred) value = value > 0;
    CHECK_OK(
        jm_convert_run(JM_DT_f64, real, &value, (char *)t->data + i * jm_dtype_bytes(real), 1));
  }
}

static double tolerance(jm_dtype dtype) {
  switch (dtype) {
    case JM_DT_f64:
      return 1e-12;
    case JM_DT_f32:
      return 2e-5;
    case JM_DT_f16:
      return 4e-3;
    case JM_DT_bf16:
      return 3e-2;
    default:
      return 0.3;
  }
}

/* Sums were added in another order: what is near 0 may have lost digits. */
static bool is_close(jm_dtype dtype, const void *x, const void *y) {
  double a, b;
  if (!memcmp(x, y, jm_dtype_bytes(dtype))) return true;
  if (!jm_dtype_is_float(dtype)) return false;
  CHECK_OK(jm_convert_run(dtype, JM_DT_f64, x, &a, 1));
  CHECK_OK(jm_convert_run(dtype, JM_DT_f64, y, &b, 1));
  if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
  return a == b || fabs(a - b) <= tolerance(dtype) * (fabs(a) + fabs(b) + 10);
}

static void compare(const char *what, const jm_module *m, const jm_op *op, uint32_t r,
                    const void *want, const void *have) {
  const jm_type *type = jm_op_result_type(m, op, r);
  jm_dtype real = jm_dtype_real(type->dtype);
  size_t bytes = jm_dtype_bytes(real), n = jm_type_bytes(type) / bytes, wrong = 0;
  for (size_t i = 0; i < n; i++) {
    bool close = is_close(real, (const char *)want + i * bytes, (const char *)have + i * bytes);
    if (!close && !wrong++) {
      jm_text text;
      jm_text_init(&text);
      jm_op_describe(m, op, &text);
      fprintf(stderr, "%s: result %u differs first at %zu: %s\n", what, r, i, jm_text_bytes(&text));
      jm_text_deinit(&text);
    }
  }
  CHECK(!wrong);
}

typedef struct group {
  const jm_module *m;
  const jm_op *op;
  jm_schedule *schedule;
  jm_tensor in[BUFFERS], want[BUFFERS];
} group;

static void run_launch(const jm_launch *launch, jm_kernel_fn *fn, void *const *buffers,
                       void *scratch) {
  int64_t chunks = launch->kernel->chunks, half = chunks / 2;
  if (fn) {
    fn(buffers, scratch, half, chunks, NULL);
    if (half) fn(buffers, scratch, 0, half, NULL);
  } else {
    CHECK_OK(jm_kernel_interpret(launch->kernel, buffers, scratch, half, chunks, NULL));
    if (half) CHECK_OK(jm_kernel_interpret(launch->kernel, buffers, scratch, 0, half, NULL));
  }
}

/* in_place: results lie in the operands' memory that they may. */
static void run(const char *what, const group *g, jm_jit_code **codes, bool in_place) {
  const jm_schedule *s = g->schedule;
  void *in[BUFFERS], *out[BUFFERS], *temporaries[BUFFERS];
  for (uint32_t i = 0; i < g->op->n_operands; i++) {
    in[i] = jm_alloc_data(jm_type_bytes(g->in[i].type));
    memcpy(in[i], g->in[i].data, jm_type_bytes(g->in[i].type));
  }
  for (uint32_t i = 0; i < g->op->n_results; i++) {
    size_t bytes = jm_type_bytes(g->want[i].type);
    out[i] = jm_alloc_data(bytes);
    memset(out[i], 0xa5, bytes);
    for (uint32_t k = 0; in_place && k < g->op->n_operands; k++)
      if (s->reuse[k] == i) {
        jm_free(out[i]);
        out[i] = in[k];
      }
  }
  for (uint32_t i = 0; i < s->n_temporaries; i++) {
    temporaries[i] = jm_alloc_data(s->temporary_bytes[i]);
    memset(temporaries[i], 0x5a, s->temporary_bytes[i]);
  }
  for (uint32_t i = 0; i < s->n_launches; i++) {
    void *buffers[BUFFERS],
        *scratch = jm_alloc_data(jm_kernel_scratch_bytes(s->launches[i].kernel));
    uint32_t n = 0;
    for (uint32_t p = 0; p < s->launches[i].kernel->n_params; p++) {
      if (s->launches[i].kernel->params[p].space != JM_SPACE_GLOBAL) continue;
      const jm_launch_argument *a = &s->launches[i].arguments[n];
      buffers[n++] = a->memory == JM_LAUNCH_OPERAND  ? in[a->index]
                     : a->memory == JM_LAUNCH_RESULT ? out[a->index]
                                                     : temporaries[a->index];
    }
    run_launch(&s->launches[i], codes ? jm_jit_code_function(codes[i]) : NULL, buffers, scratch);
    jm_free(scratch);
  }
  for (uint32_t i = 0; i < g->op->n_results; i++)
    compare(what, g->m, g->op, i, g->want[i].data, out[i]);
  for (uint32_t i = 0; i < g->op->n_results; i++) {
    bool shared = false;
    for (uint32_t k = 0; k < g->op->n_operands; k++) shared |= out[i] == in[k];
    if (!shared) jm_free(out[i]);
  }
  for (uint32_t i = 0; i < g->op->n_operands; i++) jm_free(in[i]);
  for (uint32_t i = 0; i < s->n_temporaries; i++) jm_free(temporaries[i]);
}

static void run_compiled(const group *g) {
  const char *why;
  const jm_kernel *kernels[BUFFERS];
  jm_jit_code *codes[BUFFERS];
  if (!jm_jit_find_target(&why)) return;
  for (uint32_t i = 0; i < g->schedule->n_launches; i++)
    kernels[i] = g->schedule->launches[i].kernel;
  jm_error *error = jm_jit_compile(kernels, g->schedule->n_launches, codes);
  if (error) {
    CHECK_OK(error);
    return;
  }
  run("compiled", g, codes, false);
  run("compiled in place", g, codes, true);
  for (uint32_t i = 0; i < g->schedule->n_launches; i++) jm_jit_code_release(codes[i]);
}

/* Runs one fusion op; it must have been scheduled as named. */
static void check_group(const jm_module *m, const jm_op *op, const char *schedule) {
  group g = {.m = m, .op = op};
  for (uint32_t i = 0; i < op->n_operands; i++) {
    const jm_type *type = jm_op_operand_type(m, op, i);
    g.in[i] = (jm_tensor){type, jm_alloc_data(jm_type_bytes(type))};
    fill(&g.in[i]);
  }
  for (uint32_t i = 0; i < op->n_results; i++) {
    const jm_type *type = jm_op_result_type(m, op, i);
    g.want[i] = (jm_tensor){type, jm_alloc_data(jm_type_bytes(type))};
  }
  CHECK_OK(jm_ref_evaluate(m, op->first_region, g.in, g.want, NULL));
  jm_error *error = jm_schedule_build(m, op, &target, &g.schedule);
  if (error) {
    CHECK_OK(error);
  } else {
    if (schedule && strcmp(schedule, g.schedule->name))
      fprintf(stderr, "scheduled as %s, not %s\n", g.schedule->name, schedule);
    CHECK(!schedule || !strcmp(schedule, g.schedule->name));
    run("interpreted", &g, NULL, false);
    run("interpreted in place", &g, NULL, true);
    run_compiled(&g);
    jm_schedule_destroy(g.schedule);
  }
  for (uint32_t i = 0; i < op->n_operands; i++) jm_free(g.in[i].data);
  for (uint32_t i = 0; i < op->n_results; i++) jm_free(g.want[i].data);
}

/* Groups a program and checks its groups; `schedules` names what each is scheduled as, in order. */
static void check_program(const char *text, const char *const *schedules, uint32_t n) {
  jm_module *m = NULL;
  int failures = check_failures;
  CHECK_OK(jm_module_parse(text, strlen(text), &m));
  if (m) {
    CHECK_OK(jm_module_verify(m));
    CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.target = &target}));
    CHECK_OK(jm_module_verify(m));
    uint32_t k = 0;
    const jm_region *entry = jm_module_region(m, m->entry);
    for (uint32_t i = 0; i < entry->n_ops; i++) {
      const jm_op *op = jm_module_op(m, entry->ops[i]);
      if (op->code != JM_OP_fusion) continue;
      check_group(m, op, k < n ? schedules[k] : NULL);
      k++;
    }
    CHECK(k == n || !n);
  }
  if (check_failures > failures) fprintf(stderr, "in %s\n", text);
  jm_module_destroy(m);
}

#define CHECK_ONE(schedule, ...)              \
  do {                                        \
    char text[4096];                          \
    const char *const names[1] = {schedule};  \
    snprintf(text, sizeof text, __VA_ARGS__); \
    check_program(text, names, 1);            \
  } while (0)

static const char *const reals[] = {"f32", "f64", "bf16", "f16"};
static const char *const all[] = {"s8",  "s16", "s32", "s64",  "u8",       "u16",
                                  "u32", "u64", "s4",  "u4",   "f16",      "bf16",
                                  "f32", "f64", "c64", "c128", "f8e4m3fn", "f8e5m2"};
enum { N_REALS = sizeof reals / sizeof *reals, N_ALL = sizeof all / sizeof *all };
/* Around the widths of vectors, blocks and tiles. */
static const int sizes[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 100, 129};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

static void test_map(void) {
  for (int i = 0; i < N_ALL; i++)
    CHECK_ONE("map",
              "module \"m\" {\n (%%0: %s[3,37], %%1: %s[3,37]):\n"
              " %%2: %s[3,37] = add %%0, %%1\n %%3: %s[3,37] = multiply %%2, %%0\n return %%3\n}",
              all[i], all[i], all[i], all[i]);
  for (int i = 0; i < N_SIZES; i++)
    CHECK_ONE("map",
              "module \"m\" {\n (%%0: f32[%d], %%1: f32[5,%d]):\n"
              " %%2: f32[5,%d] = broadcast_in_dim %%0 dims=[1]\n"
              " %%3: f32[5,%d] = subtract %%2, %%1\n %%4: f32[5,%d] = exponential %%3\n"
              " return %%3, %%4\n}",
              sizes[i], sizes[i], sizes[i], sizes[i], sizes[i]);
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: f32[100003], %%1: f32[]):\n"
            " %%2: f32[100003] = broadcast_in_dim %%1\n"
            " %%3: f32[100003] = multiply %%2, %%0\n return %%3\n}");
}

/* Chunks of the first kernel of a program's one group. */
static int64_t count_chunks(const char *text) {
  jm_module *m = NULL;
  jm_schedule *schedule = NULL;
  int64_t chunks = 0;
  CHECK_OK(jm_module_parse(text, strlen(text), &m));
  if (!m) return 0;
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.target = &target}));
  const jm_region *entry = jm_module_region(m, m->entry);
  for (uint32_t i = 0; i < entry->n_ops && !schedule; i++) {
    const jm_op *op = jm_module_op(m, entry->ops[i]);
    if (op->code == JM_OP_fusion) CHECK_OK(jm_schedule_build(m, op, &target, &schedule));
  }
  if (schedule) chunks = schedule->launches[0].kernel->chunks;
  jm_schedule_destroy(schedule);
  jm_module_destroy(m);
  return chunks;
}

/* Threads share a few points if each costs much; a few cheap ones are one thread's. */
static void test_costly(void) {
  static const char *const shapes[] = {"3333", "33,101", "2,1700"};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    const char *n = shapes[i];
    char text[1024];
    snprintf(text, sizeof text,
             "module \"m\" {\n (%%0: f32[%s]):\n %%1: f32[%s] = add %%0, %%0\n return %%1\n}", n,
             n);
    CHECK(count_chunks(text) == 1);
    snprintf(text, sizeof text,
             "module \"m\" {\n (%%0: f32[%s]):\n %%1: f32[%s] = tanh %%0\n"
             " %%2: f32[%s] = sine %%1\n %%3: f32[%s] = tanh %%2\n %%4: f32[%s] = cosine %%3\n"
             " %%5: f32[%s] = tanh %%4\n return %%5\n}",
             n, n, n, n, n, n);
    CHECK(count_chunks(text) > 1);
    check_program(text, NULL, 0);
  }
}

static void test_movement(void) {
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: f32[7,5,3]):\n"
            " %%1: f32[3,5,7] = transpose %%0 permutation=[2,1,0]\n"
            " %%2: f32[3,5,7] = negate %%1\n return %%2\n}");
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: f32[6,20], %%1: f32[6,5]):\n"
            " %%2: f32[6,25] = concatenate %%0, %%1 dim=1\n"
            " %%3: f32[6,25] = reverse %%2 dims=[0]\n %%4: f32[] = constant value=7\n"
            " %%5: f32[9,29] = pad %%3, %%4 low=[1,2] high=[2,2] interior=[0,0]\n"
            " %%6: f32[4,14] = slice %%5 start=[1,1] limit=[9,29] stride=[2,2]\n"
            " %%7: f32[4,14] = negate %%6\n return %%7\n}");
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: f32[4,6,10]):\n"
            " %%1: f32[4,60] = reshape %%0\n %%2: f32[4,60] = negate %%1\n"
            " %%3: f32[60,4] = transpose %%2 permutation=[1,0]\n"
            " %%4: f32[6,10,4] = reshape %%3\n %%5: f32[6,10,4] = multiply %%4, %%4\n"
            " %%6: f32[2,3,10,4] = reshape %%5\n return %%6\n}");
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: f32[50,12], %%1: s32[9,1]):\n"
            " %%2: f32[9,12] = gather %%0, %%1 offset_dims=[1] collapsed_slice_dims=[0] "
            "start_index_map=[0] index_vector_dim=1 slice_sizes=[1,12]\n"
            " %%3: f32[9,12] = negate %%2\n return %%3\n}");
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: f32[30000,3], %%1: f32[3]):\n"
            " %%2: f32[30000,3] = broadcast_in_dim %%1 dims=[1]\n"
            " %%3: f32[30000,3] = multiply %%0, %%2\n return %%3\n}");
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: s32[5,7]):\n %%1: s32[5,7] = iota dim=0\n"
            " %%2: s32[5,7] = iota dim=1\n %%3: s32[5,7] = add %%1, %%2\n"
            " %%4: s32[5,7] = add %%3, %%0\n return %%4\n}");
}

static void test_transpose(void) {
  for (int i = 0; i < N_ALL; i++)
    CHECK_ONE("transpose",
              "module \"m\" {\n (%%0: %s[67,130], %%1: %s[130,67]):\n"
              " %%2: %s[130,67] = transpose %%0 permutation=[1,0]\n"
              " %%3: %s[130,67] = add %%2, %%1\n return %%3\n}",
              all[i], all[i], all[i], all[i]);
  CHECK_ONE("transpose",
            "module \"m\" {\n (%%0: f32[3,9,5,70], %%1: f32[3,70,9,5]):\n"
            " %%2: f32[3,9,5,70] = negate %%0\n"
            " %%3: f32[3,70,9,5] = transpose %%2 permutation=[0,3,1,2]\n"
            " %%4: f32[3,70,9,5] = add %%3, %%1\n return %%3, %%4\n}");
  CHECK_ONE("transpose",
            "module \"m\" {\n (%%0: f32[8,9,10,11]):\n"
            " %%1: f32[10,11,8,9] = transpose %%0 permutation=[2,3,0,1]\n"
            " %%2: f32[11,10,9,8] = transpose %%0 permutation=[3,2,1,0]\n"
            " %%3: f32[10,11,8,9] = reshape %%2\n %%4: f32[10,11,8,9] = add %%1, %%3\n"
            " return %%4\n}");
}

static void test_tiny(void) {
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: s32[], %%1: f32[], %%2: f32[5]):\n"
            " %%3: s32[] = constant value=1\n %%4: s32[] = add %%0, %%3\n"
            " %%5: f32[] = convert %%0\n %%6: f32[] = add %%5, %%1\n"
            " %%7: f32[5] = broadcast_in_dim %%6\n %%8: f32[5] = multiply %%7, %%2\n"
            " return %%4, %%6, %%8\n}");
}

#define BODY(type, op)                                                  \
  " {\n (%%90: " type "[], %%91: " type "[]):\n %%92: " type "[] = " op \
  " %%90, %%91\n"                                                       \
  " return %%92\n }\n"

static void test_row(void) {
  for (int i = 0; i < N_SIZES + 2; i++)
    for (int t = 0; t < N_REALS; t++) {
      const char *d = reals[t];
      int n = i >= N_SIZES ? 9 + 6 * (i - N_SIZES) : sizes[i] > 8 ? sizes[i] : sizes[i] + 8;
      int m = i < N_SIZES ? 17 : 301; /* many short rows: in lanes */
      CHECK_ONE("row",
                "module \"m\" {\n (%%0: %s[%d,%d]):\n %%1: %s[] = constant value=-inf\n"
                " %%2: %s[%d] = reduce %%0, %%1 dims=[1]" BODY("%s", "maximum")
                " %%3: %s[%d,%d] = broadcast_in_dim %%2 dims=[0]\n"
                " %%4: %s[%d,%d] = subtract %%0, %%3\n %%5: %s[%d,%d] = exponential %%4\n"
                " %%6: %s[] = constant value=0\n"
                " %%7: %s[%d] = reduce %%5, %%6 dims=[1]" BODY("%s", "add")
                " %%8: %s[%d,%d] = broadcast_in_dim %%7 dims=[0]\n"
                " %%9: %s[%d,%d] = divide %%5, %%8\n return %%9, %%7\n}",
                d, m, n, d, d, m, d, d, d, d, m, n, d, m, n, d, m, n, d, d, m, d, d, d, d, m, n, d,
                m, n);
    }
}

/* Elements that lie a few apart, in lanes of several registers. */
static void test_steps(void) {
  for (int step = 2; step <= 18; step++)
    for (int t = 0; t < N_ALL; t++)
      CHECK_ONE("map",
                "module \"m\" {\n (%%0: %s[%d]):\n"
                " %%1: %s[300] = slice %%0 start=[1] limit=[%d] stride=[%d]\n"
                " %%2: %s[300] = slice %%0 start=[0] limit=[%d] stride=[%d]\n"
                " %%3: %s[300] = add %%1, %%2\n return %%3\n}",
                all[t], 300 * step, all[t], 299 * step + 2, step, all[t], 299 * step + 1, step,
                all[t]);
}

static void test_row_types(void) {
  for (int i = 0; i < N_ALL; i++)
    CHECK_ONE("row",
              "module \"m\" {\n (%%0: %s[20,4,9], %%1: %s[]):\n"
              " %%2: %s[20] = reduce %%0, %%1 dims=[1,2]" BODY(
                  "%s", "add") " %%3: %s[20,1] = reshape %%2\n return %%3\n}",
              all[i], all[i], all[i], all[i], all[i], all[i], all[i]);
}

static void test_columns(void) {
  for (int i = 0; i < N_SIZES; i++)
    for (int t = 0; t < N_REALS; t++) {
      const char *d = reals[t];
      CHECK_ONE(sizes[i] == 1 ? "row" : "reduce",
                "module \"m\" {\n (%%0: %s[40,%d], %%1: %s[]):\n"
                " %%2: %s[40,%d] = multiply %%0, %%0\n"
                " %%3: %s[%d] = reduce %%2, %%1 dims=[0]" BODY(
                    "%s", "add") " %%4: %s[%d] = negate %%3\n return %%4\n}",
                d, sizes[i], d, d, sizes[i], d, sizes[i], d, d, d, d, sizes[i]);
    }
  for (int i = 0; i < N_ALL; i++)
    CHECK_ONE("reduce",
              "module \"m\" {\n (%%0: %s[3,11,19], %%1: %s[]):\n"
              " %%2: %s[3,19] = reduce %%0, %%1 dims=[1]" BODY("%s", "add") " return %%2\n}",
              all[i], all[i], all[i], all[i], all[i], all[i]);
  /* Rows in blocks, two results of one pass, a third made of both. */
  CHECK_ONE("reduce",
            "module \"m\" {\n (%%0: f32[50,9,13,24], %%1: f32[]):\n"
            " %%2: f32[24] = reduce %%0, %%1 dims=[0,1,2]" BODY("f32", "add")
            " %%3: f32[50,9,13,24] = multiply %%0, %%0\n"
            " %%4: f32[24] = reduce %%3, %%1 dims=[0,1,2]" BODY("f32", "add")
            " %%5: f32[24] = negate %%2\n %%6: f32[24] = maximum %%4, %%5\n"
            " return %%2, %%6\n}");
  /* Lines that are read in order, a row at a time; longer ones; rows in blocks. */
  static const int lines[][2] = {{33, 256}, {600, 300}, {9, 2049}};
  for (int i = 0; i < 3; i++)
    CHECK_ONE("reduce",
              "module \"m\" {\n (%%0: f32[%d,%d], %%1: f32[]):\n"
              " %%2: f32[%d] = reduce %%0, %%1 dims=[0]" BODY("f32", "maximum") " return %%2\n}",
              lines[i][0], lines[i][1], lines[i][1]);
}

static void test_all(void) {
  static const char *const shapes[][3] = {
      {"[70001]", "[]", "0"}, {"[37,1031]", "[37]", "1"}, {"[300,37]", "[37]", "0"}};
  for (int i = 0; i < N_REALS * 6; i++) { /* zeros of both signs, NaN among them */
    const char *d = reals[i % N_REALS], *const *shape = shapes[i / N_REALS % 3];
    CHECK_ONE(shape[2][0] == '1' ? "row" : "reduce",
              "module \"m\" {\n (%%0: %s%s, %%1: %s[]):\n"
              " %%2: %s%s = reduce %%0, %%1 dims=[%s]" BODY("%s", "%simum") " return %%2\n}",
              d, shape[0], d, d, shape[1], shape[2], d, d, d, i / N_REALS < 3 ? "max" : "min");
  }
  for (int i = 0; i < N_ALL; i++)
    CHECK_ONE("reduce",
              "module \"m\" {\n (%%0: %s[70001], %%1: %s[]):\n"
              " %%2: %s[] = reduce %%0, %%1 dims=[0]" BODY("%s", "add") " return %%2\n}",
              all[i], all[i], all[i], all[i], all[i], all[i]);
  CHECK_ONE("reduce",
            "module \"m\" {\n (%%0: f32[4,3,40000], %%1: f32[]):\n"
            " %%2: f32[4] = reduce %%0, %%1 dims=[1,2]" BODY(
                "f32", "maximum") " %%3: f32[4] = negate %%2\n return %%3\n}");
}

/* Loops that are cut where what they read changes. */
static void test_cuts(void) {
  for (int i = 0; i < N_SIZES; i++)
    CHECK_ONE("map",
              "module \"m\" {\n (%%0: f32[40,%d], %%1: f32[40,150], %%8: f32[43,%d]):\n"
              " %%2: f32[40,%d] = negate %%0\n %%3: f32[40,%d] = concatenate %%1, %%2, %%0 dim=1\n"
              " %%4: f32[] = constant value=7\n"
              " %%5: f32[43,%d] = pad %%3, %%4 low=[1,2] high=[2,3] interior=[0,0]\n"
              " %%6: f32[43,%d] = slice %%5 start=[0,3] limit=[43,%d] stride=[1,1]\n"
              " %%7: f32[86,%d] = concatenate %%6, %%8 dim=0\n return %%7\n}",
              sizes[i], 151 + 2 * sizes[i], sizes[i], 150 + 2 * sizes[i], 155 + 2 * sizes[i],
              151 + 2 * sizes[i], 154 + 2 * sizes[i], 151 + 2 * sizes[i]);
  CHECK_ONE("map",
            "module \"m\" {\n (%%0: f32[9000], %%1: f32[20001]):\n"
            " %%2: f32[29001] = concatenate %%0, %%1 dim=0\n"
            " %%3: f32[29001] = add %%2, %%2\n return %%3\n}");
}

/* JAX's argmax: ties go to the lower index, NaN wins. */
static void test_argument(void) {
  const char *const shapes[][2] = {{"[20,37]", "[20]"}, {"[3,70000]", "[3]"}};
  for (int i = 0; i < 2; i++)
    CHECK_ONE(i ? "reduce" : "row",
              "module \"m\" {\n (%%0: s8%s):\n %%1: s32%s = iota dim=1\n"
              " %%20: f32%s = convert %%0\n"
              " %%2: f32[] = constant value=-inf\n %%3: s32[] = constant value=0\n"
              " %%4: f32%s, %%5: s32%s = reduce %%20, %%1, %%2, %%3 dims=[1] {\n"
              " (%%6: f32[], %%7: s32[], %%8: f32[], %%9: s32[]):\n"
              " %%10: pred[] = compare %%6, %%8 direction=GT order=FLOAT\n"
              " %%11: pred[] = compare %%6, %%6 direction=NE order=FLOAT\n"
              " %%12: pred[] = or %%10, %%11\n"
              " %%13: pred[] = compare %%6, %%8 direction=EQ order=FLOAT\n"
              " %%14: pred[] = compare %%7, %%9 direction=LT order=SIGNED\n"
              " %%15: pred[] = and %%13, %%14\n %%16: pred[] = or %%12, %%15\n"
              " %%17: f32[] = select %%12, %%6, %%8\n %%18: s32[] = select %%16, %%7, %%9\n"
              " return %%17, %%18\n }\n return %%5\n}",
              shapes[i][0], shapes[i][0], shapes[i][0], shapes[i][1], shapes[i][1]);
}

/* Dimensions that others stand between: one reduction after the other. */
static void test_split(void) {
  const char *const shapes[][3] = {{"[5,7,6,9]", "0,2,3", "[7]"},
                                   {"[5,7,6,9]", "0,2", "[7,9]"},
                                   {"[3,1,4,5,1,6,2]", "0,3,6", "[1,4,1,6]"}};
  for (int i = 0; i < 3; i++)
    for (int k = 0; k < 2; k++) {
      char text[1024];
      snprintf(text, sizeof text,
               "module \"m\" {\n (%%0: f32%s):\n %%1: f32[] = constant value=%s\n"
               " %%2: f32%s = reduce %%0, %%1 dims=[%s] {\n (%%3: f32[], %%4: f32[]):\n"
               " %%5: f32[] = %s %%3, %%4\n return %%5\n }\n return %%2\n}",
               shapes[i][0], k ? "1.5" : "0", shapes[i][2], shapes[i][1], k ? "maximum" : "add");
      check_program(text, NULL, 0);
    }
}

/* A body nobody knows runs in order. */
static void test_unknown(void) {
  const char *const cases[][4] = {{"[20,37]", "[20]", "1", "row"},
                                  {"[37,20]", "[20]", "0", "reduce"},
                                  {"[300000]", "[]", "0", "map"}};
  for (int i = 0; i < 3; i++)
    CHECK_ONE(cases[i][3],
              "module \"m\" {\n (%%0: f32%s, %%1: f32[]):\n"
              " %%2: f32%s = reduce %%0, %%1 dims=[%s] {\n (%%3: f32[], %%4: f32[]):\n"
              " %%5: f32[] = constant value=0.5\n %%6: f32[] = multiply %%3, %%5\n"
              " %%7: f32[] = add %%6, %%4\n return %%7\n }\n return %%2\n}",
              cases[i][0], cases[i][1], cases[i][2]);
}

/* -- programs by chance: groups as a whole against the ungrouped program, and each by itself */

enum { PROGRAM_VALUES = 40 };

typedef struct shape {
  int rank, dims[4];
} shape;

typedef struct program {
  jm_text text;
  shape shapes[PROGRAM_VALUES];
  int n;
} program;

static int chance(int n) { return rand() % n; }

static void print_shape(jm_text *text, const shape *s) {
  jm_text_printf(text, "f32[");
  for (int d = 0; d < s->rank; d++) jm_text_printf(text, "%s%d", d ? "," : "", s->dims[d]);
  jm_text_printf(text, "]");
}

static int count(const shape *s) {
  int n = 1;
  for (int d = 0; d < s->rank; d++) n *= s->dims[d];
  return n;
}

static bool same_shape(const shape *a, const shape *b) {
  return a->rank == b->rank && !memcmp(a->dims, b->dims, sizeof(int) * (size_t)a->rank);
}

/* " %n: f32[...] = ": the value that comes next */
static void begin_value(program *p, const shape *s) {
  p->shapes[p->n] = *s;
  jm_text_printf(&p->text, " %%%d: ", p->n++);
  print_shape(&p->text, s);
  jm_text_printf(&p->text, " = ");
}

static void add_unary(program *p, int x) {
  static const char *const names[] = {"negate", "tanh", "abs", "logistic"};
  begin_value(p, &p->shapes[x]);
  jm_text_printf(&p->text, "%s %%%d\n", names[chance(4)], x);
}

static void add_binary(program *p, int x) {
  static const char *const names[] = {"add", "subtract", "multiply", "maximum"};
  int y = x;
  for (int i = 0; i < p->n; i++)
    if (same_shape(&p->shapes[i], &p->shapes[x]) && chance(2)) y = i;
  begin_value(p, &p->shapes[x]);
  jm_text_printf(&p->text, "%s %%%d, %%%d\n", names[chance(4)], x, y);
}

static void add_broadcast(program *p, int x) {
  shape from = p->shapes[x], to = from;
  int at = chance(from.rank + 1);
  if (from.rank == 3 || count(&from) > 2000) return;
  to.rank++;
  for (int d = to.rank - 1; d > at; d--) to.dims[d] = from.dims[d - 1];
  to.dims[at] = 1 + chance(20);
  begin_value(p, &to);
  jm_text_printf(&p->text, "broadcast_in_dim %%%d dims=[", x);
  for (int d = 0; d < from.rank; d++) jm_text_printf(&p->text, "%s%d", d ? "," : "", d + (d >= at));
  jm_text_printf(&p->text, "]\n");
}

/* The mean, nearly: values stay small. */
static void add_reduce(program *p, int x) {
  shape from = p->shapes[x], to = {0};
  if (!from.rank) return;
  int cut = 1 + chance((1 << from.rank) - 1);
  for (int d = 0; d < from.rank; d++)
    if (!(cut >> d & 1)) to.dims[to.rank++] = from.dims[d];
  bool sum = chance(2);
  begin_value(p, &to);
  jm_text_printf(&p->text, "reduce %%%d, %%zero dims=[", x);
  for (int d = 0, n = 0; d < from.rank; d++)
    if (cut >> d & 1) jm_text_printf(&p->text, "%s%d", n++ ? "," : "", d);
  jm_text_printf(&p->text,
                 "] {\n (%%a%d: f32[], %%b%d: f32[]):\n %%c%d: f32[] = %s %%a%d, %%b%d\n"
                 " return %%c%d\n }\n",
                 p->n, p->n, p->n, sum ? "add" : "maximum", p->n, p->n, p->n);
}

static void add_transpose(program *p, int x) {
  shape from = p->shapes[x], to = from;
  if (from.rank < 2) return;
  int turn = 1 + chance(from.rank - 1);
  for (int d = 0; d < from.rank; d++) to.dims[d] = from.dims[(d + turn) % from.rank];
  begin_value(p, &to);
  jm_text_printf(&p->text, "transpose %%%d permutation=[", x);
  for (int d = 0; d < from.rank; d++)
    jm_text_printf(&p->text, "%s%d", d ? "," : "", (d + turn) % from.rank);
  jm_text_printf(&p->text, "]\n");
}

static void add_reshape(program *p, int x) {
  shape from = p->shapes[x], to = {1, {count(&from)}};
  for (int i = 2; i < 12; i++)
    if (to.dims[0] % i == 0 && chance(2)) {
      to = (shape){2, {to.dims[0] / i, i}};
      break;
    }
  begin_value(p, &to);
  jm_text_printf(&p->text, "reshape %%%d\n", x);
}

static void add_window(program *p, int x) {
  shape from = p->shapes[x], to = from;
  if (!from.rank) return;
  int d = chance(from.rank), kind = chance(3), low = 0, high = 0;
  if (kind == 0) to.dims[d] += (low = chance(4)) + (high = chance(4));
  if (kind == 1) to.dims[d] -= (low = chance(from.dims[d])) + (high = 0);
  begin_value(p, &to);
  const char *const names[] = {"low", "high", "interior"};
  if (kind == 2) {
    jm_text_printf(&p->text, "reverse %%%d dims=[%d]\n", x, d);
  } else if (kind == 0) {
    jm_text_printf(&p->text, "pad %%%d, %%zero", x);
    for (int i = 0; i < 3; i++) {
      jm_text_printf(&p->text, " %s=[", names[i]);
      for (int k = 0; k < from.rank; k++)
        jm_text_printf(&p->text, "%s%d", k ? "," : "", k != d || i == 2 ? 0 : i ? high : low);
      jm_text_printf(&p->text, "]");
    }
    jm_text_printf(&p->text, "\n");
  } else {
    jm_text_printf(&p->text, "slice %%%d start=[", x);
    for (int k = 0; k < from.rank; k++)
      jm_text_printf(&p->text, "%s%d", k ? "," : "", k == d ? low : 0);
    jm_text_printf(&p->text, "] limit=[");
    for (int k = 0; k < from.rank; k++)
      jm_text_printf(&p->text, "%s%d", k ? "," : "", from.dims[k]);
    jm_text_printf(&p->text, "] stride=[");
    for (int k = 0; k < from.rank; k++) jm_text_printf(&p->text, "%s1", k ? "," : "");
    jm_text_printf(&p->text, "]\n");
  }
}

static void add_concatenate(program *p, int x) {
  shape to = p->shapes[x];
  if (!to.rank || count(&to) > 4000) return;
  int d = chance(to.rank);
  to.dims[d] *= 2;
  begin_value(p, &to);
  jm_text_printf(&p->text, "concatenate %%%d, %%%d dim=%d\n", x, x, d);
}

static void write_program(program *p) {
  static void (*const adds[])(program *p, int x) = {add_unary,     add_binary, add_binary,
                                                    add_broadcast, add_reduce, add_transpose,
                                                    add_reshape,   add_window, add_concatenate};
  jm_text_printf(&p->text, "module \"by chance\" {\n (");
  for (; p->n < 3; p->n++) {
    shape *s = &p->shapes[p->n];
    s->rank = 1 + chance(3);
    for (int d = 0; d < s->rank; d++) s->dims[d] = 1 + chance(chance(2) ? 4 : 30);
    jm_text_printf(&p->text, "%s%%%d: ", p->n ? ", " : "", p->n);
    print_shape(&p->text, s);
  }
  jm_text_printf(&p->text, "):\n %%zero: f32[] = constant value=0\n");
  int wanted = 4 + chance(PROGRAM_VALUES - 4);
  for (int tries = 0; p->n < wanted && tries < 200; tries++)
    adds[chance(9)](p, chance(3) ? p->n - 1 - chance(p->n < 4 ? p->n : 4) : chance(p->n));
  jm_text_printf(&p->text, " return %%%d", p->n - 1);
  for (int i = 3; i < p->n - 1; i++)
    if (!chance(6)) jm_text_printf(&p->text, ", %%%d", i);
  jm_text_printf(&p->text, "\n}");
}

/* Values of the program's results, as the reference engine has them. */
static void evaluate(const jm_module *m, const jm_tensor *in, jm_tensor *out) {
  const jm_region *entry = jm_module_region(m, m->entry);
  for (uint32_t i = 0; i < entry->n_results; i++) {
    const jm_type *type = jm_module_typeof(m, entry->results[i]);
    out[i] = (jm_tensor){type, jm_alloc_data(jm_type_bytes(type))};
  }
  CHECK_OK(jm_ref_evaluate(m, m->entry, in, out, NULL));
}

static void check_whole(const char *text) {
  jm_module *m = NULL;
  jm_tensor in[BUFFERS], want[BUFFERS], have[BUFFERS];
  CHECK_OK(jm_module_parse(text, strlen(text), &m));
  if (!m) return;
  CHECK_OK(jm_module_verify(m));
  uint32_t n_in = jm_module_region(m, m->entry)->n_args;
  uint32_t n = jm_module_region(m, m->entry)->n_results;
  for (uint32_t i = 0; i < n_in; i++) {
    const jm_type *type = jm_module_typeof(m, jm_module_region(m, m->entry)->first_arg + i);
    in[i] = (jm_tensor){type, jm_alloc_data(jm_type_bytes(type))};
    fill(&in[i]);
  }
  evaluate(m, in, want);
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.target = &target}));
  CHECK_OK(jm_module_verify(m));
  evaluate(m, in, have);
  for (uint32_t i = 0; i < n; i++) {
    bool close = true;
    for (int64_t k = 0; k < want[i].type->count; k++)
      close &= is_close(JM_DT_f32, (float *)want[i].data + k, (float *)have[i].data + k);
    CHECK(close);
    jm_free(want[i].data);
    jm_free(have[i].data);
  }
  for (uint32_t i = 0; i < n_in; i++) jm_free(in[i].data);
  jm_module_destroy(m);
}

static void test_random(void) {
  enum { PROGRAMS = 300 };
  for (unsigned i = 0; i < PROGRAMS && check_failures < 5; i++) {
    program p = {.n = 0};
    srand(i);
    jm_text_init(&p.text);
    write_program(&p);
    CHECK_OK(jm_text_error(&p.text));
    int failures = check_failures;
    check_whole(jm_text_bytes(&p.text));
    if (check_failures > failures) fprintf(stderr, "in %s\n", jm_text_bytes(&p.text));
    check_program(jm_text_bytes(&p.text), NULL, 0);
    jm_text_deinit(&p.text);
  }
}

/* Grouping and scheduling fail with RESOURCE_EXHAUSTED wherever memory ends, and leak nothing. */
static void test_memory(void) {
  char text[2048];
  snprintf(text, sizeof text, "module \"m\" {\n (%%0: f32[40,50], %%1: f32[70000], %%6: f32[80,90]):\n"
      " %%2: f32[] = constant value=0\n"
      " %%3: f32[40] = reduce %%0, %%2 dims=[1]" BODY("f32", "add")
      " %%4: f32[40,50] = broadcast_in_dim %%3 dims=[0]\n %%5: f32[40,50] = subtract %%0, %%4\n"
      " %%7: f32[] = reduce %%1, %%2 dims=[0]" BODY("f32", "add")
      " %%8: f32[90,80] = transpose %%6 permutation=[1,0]\n %%9: f32[90,80] = exponential %%8\n"
      " %%10: f32[90] = reduce %%6, %%2 dims=[0]" BODY("f32", "add")
      " return %%5, %%7, %%9, %%10\n}");
  bool done = false;
  for (int64_t n = 0; n < 20000 && !done; n += 1 + n / 16) {
    jm_module *m = NULL;
    CHECK_OK(jm_module_parse(text, strlen(text), &m));
    if (!m) return;
    jm_alloc_fail_after(n);
    jm_error *error = jm_pass_lower(m, &(jm_pass_options){.target = &target});
    const jm_region *entry = jm_module_region(m, m->entry);
    for (uint32_t i = 0; !error && i < entry->n_ops; i++) {
      const jm_op *op = jm_module_op(m, entry->ops[i]);
      jm_schedule *schedule = NULL;
      if (op->code == JM_OP_fusion) error = jm_schedule_build(m, op, &target, &schedule);
      jm_schedule_destroy(schedule);
    }
    jm_alloc_fail_after(-1);
    done = !error;
    CHECK(!error || jm_error_code(error) == JM_RESOURCE_EXHAUSTED);
    jm_error_destroy(error);
    jm_module_destroy(m);
  }
  CHECK(done);
}

TEST_MAIN(test_map, test_costly, test_movement, test_transpose, test_tiny, test_row, test_row_types,
          test_columns, test_cuts, test_argument, test_split, test_unknown, test_random,
          test_memory, test_steps, test_all)
