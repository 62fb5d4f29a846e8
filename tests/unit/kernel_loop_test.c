/* SPDX-License-Identifier: Apache-2.0
 * Loops as one kernel, interpreted, against the oracle: each program is wrapped into a
 * fusion, scheduled and run. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "engine/ref/ref.h"
#include "ir/parse.h"
#include "ir/verify.h"
#include "kernel/schedule/schedule.h"
#include "unit/check.h"
#include "unit/test_target.h"

static jm_target target;

/* The program with its whole body inside of a fusion. NULL if it is none of ours. */
static jm_module *wrap(const char *program) {
  jm_module *plain = NULL, *wrapped = NULL;
  CHECK_OK(jm_module_parse(program, strlen(program), &plain));
  if (!plain) return NULL;
  CHECK_OK(jm_module_verify(plain));
  jm_region *entry = jm_module_region(plain, plain->entry);
  jm_text text;
  jm_text_init(&text);
  jm_text_printf(&text, "module \"wrapped\" {\n  (");
  for (uint32_t i = 0; i < entry->n_args; i++) {
    jm_text_printf(&text, "%s%%%u: ", i ? ", " : "", 900000 + i);
    jm_type_print(jm_module_typeof(plain, entry->first_arg + i), &text);
  }
  jm_text_printf(&text, "):\n  ");
  for (uint32_t i = 0; i < entry->n_results; i++) {
    jm_text_printf(&text, "%s%%%u: ", i ? ", " : "", 910000 + i);
    jm_type_print(jm_module_typeof(plain, entry->results[i]), &text);
  }
  jm_text_printf(&text, " = fusion ");
  for (uint32_t i = 0; i < entry->n_args; i++)
    jm_text_printf(&text, "%s%%%u", i ? ", " : "", 900000 + i);
  jm_text_printf(&text, " %s  return ", strchr(program, '{'));
  for (uint32_t i = 0; i < entry->n_results; i++)
    jm_text_printf(&text, "%s%%%u", i ? ", " : "", 910000 + i);
  jm_text_printf(&text, "\n}\n");
  CHECK_OK(jm_module_parse(jm_text_bytes(&text), text.size, &wrapped));
  if (wrapped) CHECK_OK(jm_module_verify(wrapped));
  jm_text_deinit(&text);
  jm_module_destroy(plain);
  return wrapped;
}

static void *take(const jm_type *type) {
  size_t bytes = jm_type_bytes(type);
  uint8_t *data = jm_alloc_data(bytes ? bytes : 1);
  if (data) memset(data, 0xA5, bytes);
  return data;
}

static void fill(const jm_type *type, void *data, unsigned seed) {
  for (int64_t i = 0; i < type->count; i++) {
    seed = seed * 1103515245u + 12345u;
    unsigned r = seed >> 16 & 0x7FFF;
    switch (type->dtype) {
      case JM_DT_f32:
        ((float *)data)[i] = (float)r / 16384 - 1;
        break;
      case JM_DT_f64:
        ((double *)data)[i] = (double)r / 16384 - 1;
        break;
      case JM_DT_s32:
      case JM_DT_u32:
        ((uint32_t *)data)[i] = r % 7;
        break;
      case JM_DT_c64:
        ((float *)data)[2 * i] = (float)r / 16384 - 1;
        ((float *)data)[2 * i + 1] = (float)(r % 77) / 77;
        break;
      case JM_DT_bf16:
        ((uint16_t *)data)[i] = (uint16_t)(0x3f80 + r % 64);
        break;
      default:
        memset((char *)data + (size_t)i * jm_dtype_bytes(type->dtype), (int)(r & 1), 1);
    }
  }
}

static bool agree(const jm_type *type, const void *x, const void *y) {
  int64_t n = type->dtype == JM_DT_c64 ? 2 * type->count : type->count;
  for (int64_t i = 0; i < n; i++) {
    double a, b;
    if (type->dtype == JM_DT_f32 || type->dtype == JM_DT_c64) {
      a = ((const float *)x)[i], b = ((const float *)y)[i];
    } else if (type->dtype == JM_DT_f64) {
      a = ((const double *)x)[i], b = ((const double *)y)[i];
    } else {
      return memcmp(x, y, jm_type_bytes(type)) == 0;
    }
    if (!(fabs(a - b) <= 2e-5 * (1 + fabs(b))) && !(isnan(a) && isnan(b)) && a != b) {
      fprintf(stderr, "element %ld: %.9g, should be %.9g\n", (long)i, a, b);
      return false;
    }
  }
  return true;
}

static jm_error *run_schedule(const jm_schedule *s, void *const *in, void *const *out) {
  void *temporaries[64], *buffers[128];
  jm_error *error = NULL;
  for (uint32_t i = 0; i < s->n_temporaries; i++) {
    temporaries[i] = jm_alloc_data(s->temporary_bytes[i]);
    memset(temporaries[i], 0x5A, s->temporary_bytes[i]);
  }
  for (uint32_t i = 0; i < s->n_launches && !error; i++) {
    const jm_kernel *k = s->launches[i].kernel;
    uint32_t n = 0;
    for (uint32_t p = 0; p < k->n_params; p++) {
      if (k->params[p].space != JM_SPACE_GLOBAL) continue;
      jm_launch_argument a = s->launches[i].arguments[n];
      buffers[n++] = a.memory == JM_LAUNCH_OPERAND  ? in[a.index]
                     : a.memory == JM_LAUNCH_RESULT ? out[a.index]
                                                    : temporaries[a.index];
    }
    void *scratch = jm_alloc_data(jm_kernel_scratch_bytes(k) + 1);
    error = jm_kernel_interpret(k, buffers, scratch, 0, k->chunks, NULL);
    jm_free(scratch);
  }
  for (uint32_t i = 0; i < s->n_temporaries; i++) jm_free(temporaries[i]);
  return error;
}

static void compare(const jm_module *m, const jm_schedule *s) {
  const jm_region *entry = jm_module_region(m, m->entry);
  jm_tensor args[16], expected[16];
  void *in[16], *out[16];
  for (uint32_t i = 0; i < entry->n_args; i++) {
    args[i].type = jm_module_typeof(m, entry->first_arg + i);
    args[i].data = in[i] = take(args[i].type);
    fill(args[i].type, in[i], 17 + i);
  }
  for (uint32_t i = 0; i < entry->n_results; i++) {
    expected[i].type = jm_module_typeof(m, entry->results[i]);
    expected[i].data = take(expected[i].type);
    out[i] = take(expected[i].type);
  }
  CHECK_OK(jm_ref_evaluate(m, m->entry, args, expected, NULL));
  CHECK_OK(run_schedule(s, in, out));
  for (uint32_t i = 0; i < entry->n_results; i++) {
    bool same = agree(expected[i].type, out[i], expected[i].data);
    CHECK(same);
    if (!same) fprintf(stderr, "result %u\n", i);
    jm_free(expected[i].data);
    jm_free(out[i]);
  }
  for (uint32_t i = 0; i < entry->n_args; i++) jm_free(in[i]);
}

/* The kernel's text is all there is to it. */
static void check_text(const jm_kernel *kernel) {
  jm_text text, again;
  jm_kernel *read = NULL;
  jm_text_init(&text);
  jm_text_init(&again);
  jm_kernel_print(kernel, &text);
  CHECK_OK(jm_kernel_parse(jm_text_bytes(&text), text.size, &read));
  if (read) jm_kernel_print(read, &again);
  CHECK(strcmp(jm_text_bytes(&text), jm_text_bytes(&again)) == 0);
  jm_kernel_destroy(read);
  jm_text_deinit(&text);
  jm_text_deinit(&again);
}

static void check_program(const char *program) {
  int before = check_failures;
  jm_module *m = wrap(program);
  if (!m) return;
  const jm_region *entry = jm_module_region(m, m->entry);
  const jm_op *fusion = jm_module_op(m, entry->ops[0]);
  jm_schedule *schedule = NULL;
  CHECK_OK(jm_schedule_build(m, fusion, &target, &schedule));
  if (schedule) {
    CHECK(!strcmp(schedule->name, "loop"));
    compare(m, schedule);
    check_text(schedule->launches[0].kernel);
  }
  if (check_failures != before) {
    fprintf(stderr, "in %s", program);
    if (schedule && getenv("JM_TEST_VERBOSE")) {
      jm_text text;
      jm_text_init(&text);
      jm_kernel_print(schedule->launches[0].kernel, &text);
      fprintf(stderr, "%s", jm_text_bytes(&text));
      jm_text_deinit(&text);
    }
  }
  jm_schedule_destroy(schedule);
  jm_module_destroy(m);
}

#define COUNTED_AS(p, limit)                  \
  "    " p "8: s32[] = constant value=" limit \
  "\n"                                        \
  "    " p "9: pred[] = compare " p "7, " p   \
  "8 direction=LT order=SIGNED\n"             \
  "    return " p                             \
  "9\n"                                       \
  "  }, {\n"
#define COUNTED(limit) COUNTED_AS("%", limit)

static void test_scalars(void) {
  check_program(
      "module \"scalar\" {\n"
      "  (%0: s32[], %1: f32[]):\n"
      "  %2: s32[] = constant value=0\n"
      "  %3: s32[], %4: f32[] = while %2, %1 | %0 {\n"
      "    (%5: s32[], %6: f32[], %7: s32[]):\n"
      "    %8: pred[] = compare %5, %7 direction=LT order=SIGNED\n"
      "    return %8\n"
      "  }, {\n"
      "    (%9: s32[], %10: f32[], %11: s32[]):\n"
      "    %12: s32[] = constant value=1\n"
      "    %13: s32[] = add %9, %12\n"
      "    %16: f32[] = multiply %10, %10\n"
      "    %20: f32[] = add %16, %10\n"
      "    return %13, %20\n"
      "  }\n"
      "  return %3, %4\n"
      "}\n");
}

/* The carry is read by its own reduction, and the stacked results are written in place. */
static void test_scan(void) {
  check_program(
      "module \"scan\" {\n"
      "  (%0: f32[9], %1: f32[12,9]):\n"
      "  %2: s32[] = constant value=0\n"
      "  %3: f32[12] = constant value=0\n"
      "  %4: s32[], %5: f32[9], %6: f32[12] = while %2, %0, %3 | %1 {\n"
      "    (%7: s32[], %107: f32[9], %109: f32[12], %110: f32[12,9]):\n" COUNTED("12")
      "    (%13: s32[], %14: f32[9], %15: f32[12], %16: f32[12,9]):\n"
      "    %17: s32[] = constant value=0\n"
      "    %18: f32[1,9] = dynamic_slice %16, %13, %17 sizes=[1,9]\n"
      "    %19: f32[9] = reshape %18\n"
      "    %20: f32[] = constant value=0\n"
      "    %21: f32[9] = sine %14\n"
      "    %22: f32[9] = constant value=0.9\n"
      "    %23: f32[9] = multiply %21, %22\n"
      "    %24: f32[9] = add %23, %19\n"
      "    %25: f32[] = reduce %24, %20 dims=[0] {\n"
      "      (%26: f32[], %27: f32[]):\n"
      "      %28: f32[] = add %26, %27\n"
      "      return %28\n"
      "    }\n"
      "    %29: f32[1] = broadcast_in_dim %25\n"
      "    %30: f32[12] = dynamic_update_slice %15, %29, %13\n"
      "    %31: s32[] = constant value=1\n"
      "    %32: s32[] = add %13, %31\n"
      "    return %32, %24, %30\n"
      "  }\n"
      "  return %5, %6\n"
      "}\n");
}

static void test_nested(void) {
  check_program(
      "module \"nested\" {\n"
      "  (%0: f32[16,16], %1: f32[16], %2: f32[5,6,16]):\n"
      "  %3: s32[] = constant value=0\n"
      "  %4: f32[5,16] = constant value=0\n"
      "  %5: s32[], %6: f32[16], %107: f32[5,16] = while %3, %1, %4 | %2, %0 {\n"
      "    (%7: s32[], %109: f32[16], %110: f32[5,16], %111: f32[5,6,16], %112: f32[16,16]):\n"
      COUNTED("5")
      "    (%15: s32[], %16: f32[16], %17: f32[5,16], %18: f32[5,6,16], %19: f32[16,16]):\n"
      "    %20: s32[] = constant value=0\n"
      "    %21: f32[1,6,16] = dynamic_slice %18, %15, %20, %20 sizes=[1,6,16]\n"
      "    %22: f32[6,16] = reshape %21\n"
      "    %23: s32[], %24: f32[16] = while %20, %16 | %22, %19 {\n"
      "      (%25: s32[], %26: f32[16], %27: f32[6,16], %28: f32[16,16]):\n"
      "      %29: s32[] = constant value=6\n"
      "      %30: pred[] = compare %25, %29 direction=LT order=SIGNED\n"
      "      return %30\n"
      "    }, {\n"
      "      (%31: s32[], %32: f32[16], %33: f32[6,16], %34: f32[16,16]):\n"
      "      %35: s32[] = constant value=0\n"
      "      %36: f32[1,16] = dynamic_slice %33, %31, %35 sizes=[1,16]\n"
      "      %37: f32[16] = reshape %36\n"
      "      %38: f32[16] = dot_general %34, %32 lhs_contract=[1] rhs_contract=[0] "
      "lhs_precision=DEFAULT rhs_precision=DEFAULT\n"
      "      %39: f32[16] = add %38, %37\n"
      "      %40: f32[16] = tanh %39\n"
      "      %41: s32[] = constant value=1\n"
      "      %42: s32[] = add %31, %41\n"
      "      return %42, %40\n"
      "    }\n"
      "    %43: f32[1,16] = broadcast_in_dim %24 dims=[1]\n"
      "    %44: f32[5,16] = dynamic_update_slice %17, %43, %15, %20\n"
      "    %45: s32[] = constant value=1\n"
      "    %46: s32[] = add %15, %45\n"
      "    return %46, %24, %44\n"
      "  }\n"
      "  return %6, %107\n"
      "}\n");
}

/* a, b = b, a, of every size and kind of place; and a value that two carries take. */
static void check_swap(const char *type, const char *limit) {
  char program[4096];
  snprintf(program, sizeof program,
           "module \"swap\" {\n"
           "  (%%0: %s, %%1: %s, %%2: %s):\n"
           "  %%3: s32[] = constant value=0\n"
           "  %%4: s32[], %%5: %s, %%6: %s, %%50: %s, %%51: %s = while %%3, %%0, %%1, %%2, %%2 {\n"
           "    (%%7: s32[], %%107: %s, %%108: %s, %%109: %s, %%110: %s):\n"
           "    %%8: s32[] = constant value=%s\n"
           "    %%9: pred[] = compare %%7, %%8 direction=LT order=SIGNED\n"
           "    return %%9\n"
           "  }, {\n"
           "    (%%13: s32[], %%14: %s, %%15: %s, %%16: %s, %%17: %s):\n"
           "    %%18: %s = add %%14, %%16\n"
           "    %%19: %s = multiply %%18, %%15\n"
           "    %%20: %s = multiply %%18, %%17\n"
           "    %%21: %s = subtract %%19, %%20\n"
           "    %%31: s32[] = constant value=1\n"
           "    %%32: s32[] = add %%13, %%31\n"
           "    return %%32, %%15, %%14, %%21, %%21\n"
           "  }\n"
           "  return %%4, %%5, %%6, %%50, %%51\n"
           "}\n",
           type, type, type, type, type, type, type, type, type, type, type, limit, type, type,
           type, type, type, type, type, type);
  check_program(program);
}

static void test_swap(void) {
  static const char *const types[] = {"f32[]",     "f32[3]",  "f32[5]",   "f32[17]",
                                      "f32[4,33]", "s32[9]",  "f64[3,3]", "c64[2]",
                                      "c64[11]",   "bf16[7]", "f32[0,3]", "f32[1,1,9]"};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    check_swap(types[i], "5");
    check_swap(types[i], "6");
    check_swap(types[i], "0"); /* no iteration */
  }
}

/* Reads of a tensor that the same iteration writes in place: of itself, of another such carry,
 * behind a reversal, at the slice and elsewhere; and reads of the new contents, which make a copy.
 */
static void test_in_place(void) {
  check_program(
      "module \"place\" {\n"
      "  (%0: f32[20,3], %1: f32[20,3], %3: f32[]):\n"
      "  %2: s32[] = constant value=0\n"
      "  %4: s32[], %5: f32[20,3], %6: f32[20,3], %50: f32[] = while %2, %0, %1, %3 {\n"
      "    (%7: s32[], %107: f32[20,3], %108: f32[20,3], %109: f32[]):\n" COUNTED("25")
      "    (%13: s32[], %14: f32[20,3], %15: f32[20,3], %16: f32[]):\n"
      "    %17: s32[] = constant value=1\n"
      "    %18: s32[] = subtract %13, %17\n"
      "    %60: s32[] = constant value=0\n"
      "    %19: f32[2,3] = dynamic_slice %14, %18, %60 sizes=[2,3]\n"
      "    %20: f32[20,3] = reverse %15 dims=[0]\n"
      "    %21: f32[2,3] = dynamic_slice %20, %13, %60 sizes=[2,3]\n"
      "    %22: f32[2,3] = subtract %19, %21\n"
      "    %23: f32[20,3] = dynamic_update_slice %14, %22, %13, %60\n"
      "    %24: f32[2,3] = slice %14 start=[3,0] limit=[5,3] stride=[1,1]\n"
      "    %25: f32[2,3] = add %24, %19\n"
      "    %26: f32[20,3] = dynamic_update_slice %15, %25, %18, %60\n"
      "    %27: f32[1,1] = slice %14 start=[7,1] limit=[8,2] stride=[1,1]\n"
      "    %28: f32[] = reshape %27\n"
      "    %29: f32[] = add %16, %28\n"
      "    %32: s32[] = add %13, %17\n"
      "    return %32, %23, %26, %29\n"
      "  }\n"
      "  return %5, %6, %50\n"
      "}\n");
}

/* The shifted sums of a torus, odd sizes: loops are split at the seams, vectors overlap. */
static void check_torus(int rows, int columns) {
  char program[4096];
  int n = snprintf(program, sizeof program,
                   "module \"torus\" {\n"
                   "  (%%0: f32[%d,%d]):\n"
                   "  %%1: s32[] = constant value=0\n"
                   "  %%2: s32[], %%3: f32[%d,%d] = while %%1, %%0 {\n"
                   "    (%%7: s32[], %%5: f32[%d,%d]):\n" COUNTED_AS(
                       "%%", "3") "    (%%10: s32[], %%11: f32[%d,%d]):\n",
                   rows, columns, rows, columns, rows, columns, rows, columns);
  n += snprintf(program + n, sizeof program - (size_t)n,
                "    %%12: f32[1,%d] = slice %%11 start=[%d,0] limit=[%d,%d] stride=[1,1]\n"
                "    %%13: f32[%d,%d] = slice %%11 start=[0,0] limit=[%d,%d] stride=[1,1]\n"
                "    %%14: f32[%d,%d] = concatenate %%12, %%13\n",
                columns, rows - 1, rows, columns, rows - 1, columns, rows - 1, columns, rows,
                columns);
  n += snprintf(program + n, sizeof program - (size_t)n,
                "    %%15: f32[%d,%d] = slice %%11 start=[0,2] limit=[%d,%d] stride=[1,1]\n"
                "    %%16: f32[%d,2] = slice %%11 start=[0,0] limit=[%d,2] stride=[1,1]\n"
                "    %%17: f32[%d,%d] = concatenate %%15, %%16 dim=1\n",
                rows, columns - 2, rows, columns, rows, rows, rows, columns);
  snprintf(program + n, sizeof program - (size_t)n,
           "    %%18: f32[%d,%d] = subtract %%14, %%17\n"
           "    %%19: f32[] = constant value=0.5\n"
           "    %%20: f32[%d,%d] = pad %%13, %%19 low=[0,0] high=[1,0] interior=[0,0]\n"
           "    %%21: f32[%d,%d] = multiply %%18, %%20\n"
           "    %%22: s32[] = constant value=1\n"
           "    %%23: s32[] = add %%10, %%22\n"
           "    return %%23, %%21\n"
           "  }\n"
           "  return %%3\n"
           "}\n",
           rows, columns, rows, columns, rows, columns);
  check_program(program);
}

static void test_seams(void) {
  static const int sizes[][2] = {{2, 3}, {3, 5}, {7, 10}, {5, 18}, {2, 33}, {40, 41}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) check_torus(sizes[i][0], sizes[i][1]);
}

/* A expensive value that is asked for by two index maps, a reduction over rows, a constant with
 * contents, predicates and indices as carries. */
static void test_stored(void) {
  check_program(
      "module \"stored\" {\n"
      "  (%0: f32[6,8], %1: pred[], %2: pred[9]):\n"
      "  %3: s32[] = constant value=0\n"
      "  %60: f32[6] = constant value=0\n"
      "  %4: s32[], %5: f32[6,8], %6: f32[6], %50: pred[], %51: pred[9] = "
      "while %3, %0, %60, %1, %2 {\n"
      "    (%7: s32[], %107: f32[6,8], %108: f32[6], %109: pred[], %110: pred[9]):\n" COUNTED("4")
      "    (%13: s32[], %14: f32[6,8], %15: f32[6], %16: pred[], %17: pred[9]):\n"
      "    %18: f32[8] = constant value=[1,2,3,4,5,6,7,8]\n"
      "    %19: f32[6,8] = broadcast_in_dim %18 dims=[1]\n"
      "    %20: f32[6,8] = divide %14, %19\n"
      "    %21: f32[6,8] = exponential %20\n"
      "    %22: f32[6,8] = reverse %21 dims=[1]\n"
      "    %23: f32[6,8] = subtract %21, %22\n"
      "    %24: f32[] = constant value=0\n"
      "    %25: f32[6] = reduce %23, %24 dims=[1] {\n"
      "      (%26: f32[], %27: f32[]):\n"
      "      %28: f32[] = maximum %26, %27\n"
      "      return %28\n"
      "    }\n"
      "    %29: f32[6,8] = broadcast_in_dim %25 dims=[0]\n"
      "    %30: f32[6,8] = subtract %23, %29\n"
      "    %31: f32[6] = add %25, %15\n"
      "    %32: s32[] = constant value=1\n"
      "    %33: s32[] = add %13, %32\n"
      "    %34: pred[] = not %16\n"
      "    %35: pred[9] = broadcast_in_dim %34\n"
      "    %36: pred[9] = xor %17, %35\n"
      "    return %33, %30, %31, %34, %36\n"
      "  }\n"
      "  %70: f32[6,8] = sine %5\n"
      "  return %5, %6, %50, %51, %70, %6\n"
      "}\n");
}

static void test_case(void) {
  check_program(
      "module \"case\" {\n"
      "  (%0: f32[10], %1: f32[2], %2: s32[]):\n"
      "  %3: s32[] = constant value=0\n"
      "  %4: s32[], %5: f32[10], %6: f32[2] = while %3, %0, %1 | %2 {\n"
      "    (%7: s32[], %107: f32[10], %108: f32[2], %109: s32[]):\n" COUNTED("7")
      "    (%13: s32[], %14: f32[10], %15: f32[2], %16: s32[]):\n"
      "    %17: f32[10], %18: f32[2] = case<3> %13 | %14, %15, %16 {\n"
      "      (%20: f32[10], %21: f32[2], %22: s32[]):\n"
      "      %23: f32[10] = cosine %20\n"
      "      return %23, %21\n"
      "    }, {\n"
      "      (%30: f32[10], %31: f32[2], %32: s32[]):\n"
      "      %33: f32[10] = reverse %30 dims=[0]\n"
      "      %34: f32[2] = add %31, %31\n"
      "      return %33, %34\n"
      "    }, {\n"
      "      (%40: f32[10], %41: f32[2], %42: s32[]):\n"
      "      %43: f32[] = convert %42\n"
      "      %44: f32[10] = broadcast_in_dim %43\n"
      "      %45: f32[10] = subtract %40, %44\n"
      "      %46: f32[2] = slice %40 start=[3] limit=[5] stride=[1]\n"
      "      return %45, %46\n"
      "    }\n"
      "    %50: f32[1] = slice %18 start=[1] limit=[2] stride=[1]\n"
      "    %51: f32[] = reshape %50\n"
      "    %52: f32[] = constant value=0.25\n"
      "    %53: pred[] = compare %51, %52 direction=LT order=FLOAT\n"
      "    %54: f32[10] = case<2> %53 | %17 {\n"
      "      (%55: f32[10]):\n"
      "      return %55\n"
      "    }, {\n"
      "      (%56: f32[10]):\n"
      "      %57: f32[10] = negate %56\n"
      "      return %57\n"
      "    }\n"
      "    %60: s32[] = constant value=1\n"
      "    %61: s32[] = add %13, %60\n"
      "    return %61, %54, %18\n"
      "  }\n"
      "  return %5, %6\n"
      "}\n");
}

/* The new contents of a slice are read: no update in place; starts beyond the end are clamped. */
static void test_updates(void) {
  check_program(
      "module \"updates\" {\n"
      "  (%0: f32[7,5], %1: f32[1,9], %2: u32[]):\n"
      "  %3: s32[] = constant value=0\n"
      "  %4: s32[], %5: f32[7,5], %6: f32[1,9] = while %3, %0, %1 | %2 {\n"
      "    (%7: s32[], %107: f32[7,5], %108: f32[1,9], %109: u32[]):\n" COUNTED("9")
      "    (%13: s32[], %14: f32[7,5], %15: f32[1,9], %16: u32[]):\n"
      "    %17: s32[] = constant value=-1\n"
      "    %18: f32[1,5] = slice %15 start=[0,2] limit=[1,7] stride=[1,1]\n"
      "    %19: f32[7,5] = dynamic_update_slice %14, %18, %13, %17\n"
      "    %20: f32[1,5] = slice %19 start=[2,0] limit=[3,5] stride=[1,1]\n"
      "    %21: f32[1,5] = add %20, %18\n"
      "    %22: u32[] = convert %13\n"
      "    %23: f32[1,9] = dynamic_update_slice %15, %21, %16, %22\n"
      "    %24: s32[] = constant value=1\n"
      "    %25: s32[] = add %13, %24\n"
      "    return %25, %19, %23\n"
      "  }\n"
      "  return %5, %6\n"
      "}\n");
}

static void test_cancel(void) {
  jm_module *m = wrap(
      "module \"endless\" {\n"
      "  (%0: f32[5]):\n"
      "  %1: f32[5] = while %0 {\n"
      "    (%2: f32[5]):\n"
      "    %3: pred[] = constant value=true\n"
      "    return %3\n"
      "  }, {\n"
      "    (%4: f32[5]):\n"
      "    %5: f32[5] = negate %4\n"
      "    return %5\n"
      "  }\n"
      "  return %1\n"
      "}\n");
  if (!m) return;
  const jm_op *fusion = jm_module_op(m, jm_module_region(m, m->entry)->ops[0]);
  jm_schedule *s = NULL;
  CHECK_OK(jm_schedule_build(m, fusion, &target, &s));
  if (s) {
    float in[5] = {0}, out[5];
    void *scratch = jm_alloc_data(jm_kernel_scratch_bytes(s->launches[0].kernel) + 1);
    atomic_bool cancelled = true;
    CHECK_OK(
        jm_kernel_interpret(s->launches[0].kernel, (void *[]){in, out}, scratch, 0, 1, &cancelled));
    jm_free(scratch);
  }
  jm_schedule_destroy(s);
  jm_module_destroy(m);
}

/* A softmax over rows, and the place of the largest of each, in every iteration. */
static void test_rows(void) {
  check_program(
      "module \"rows\" {\n"
      "  (%0: f32[3,2,19]):\n"
      "  %3: s32[] = constant value=0\n"
      "  %60: s32[3,2] = constant value=0\n"
      "  %4: s32[], %5: f32[3,2,19], %6: s32[3,2] = while %3, %0, %60 {\n"
      "    (%7: s32[], %107: f32[3,2,19], %108: s32[3,2]):\n" COUNTED("3")
      "    (%13: s32[], %14: f32[3,2,19], %15: s32[3,2]):\n"
      "    %16: f32[] = constant value=-inf\n"
      "    %17: f32[] = constant value=0\n"
      "    %18: s32[3,2,19] = iota dim=2\n"
      "    %61: s32[] = constant value=0\n"
      "    %19: f32[3,2], %20: s32[3,2] = reduce %14, %18, %16, %61 dims=[2] {\n"
      "      (%21: f32[], %22: s32[], %23: f32[], %24: s32[]):\n"
      "      %25: pred[] = compare %21, %23 direction=GT order=FLOAT\n"
      "      %26: pred[] = compare %21, %21 direction=NE order=FLOAT\n"
      "      %27: pred[] = or %25, %26\n"
      "      %28: pred[] = compare %21, %23 direction=EQ order=FLOAT\n"
      "      %29: pred[] = compare %22, %24 direction=LT order=SIGNED\n"
      "      %30: pred[] = and %28, %29\n"
      "      %31: pred[] = or %27, %30\n"
      "      %32: f32[] = select %27, %21, %23\n"
      "      %33: s32[] = select %31, %22, %24\n"
      "      return %32, %33\n"
      "    }\n"
      "    %34: f32[3,2,19] = broadcast_in_dim %19 dims=[0,1]\n"
      "    %35: f32[3,2,19] = subtract %14, %34\n"
      "    %36: f32[3,2,19] = exponential %35\n"
      "    %37: f32[3,2] = reduce %36, %17 dims=[2] {\n"
      "      (%38: f32[], %39: f32[]):\n"
      "      %40: f32[] = add %38, %39\n"
      "      return %40\n"
      "    }\n"
      "    %41: f32[3,2,19] = broadcast_in_dim %37 dims=[0,1]\n"
      "    %42: f32[3,2,19] = divide %36, %41\n"
      "    %43: s32[3,2] = add %15, %20\n"
      "    %44: s32[] = constant value=1\n"
      "    %45: s32[] = add %13, %44\n"
      "    return %45, %42, %43\n"
      "  }\n"
      "  return %5, %6\n"
      "}\n");
}

/* Every allocation of building may fail. */
static void test_without_memory(void) {
  jm_module *m = wrap(
      "module \"memory\" {\n"
      "  (%0: f32[9,6], %1: f32[9], %2: f32[6,6]):\n"
      "  %3: s32[] = constant value=0\n"
      "  %4: s32[], %5: f32[9,6], %6: f32[9] = while %3, %0, %1 | %2 {\n"
      "    (%7: s32[], %107: f32[9,6], %108: f32[9], %109: f32[6,6]):\n" COUNTED("3")
      "    (%13: s32[], %14: f32[9,6], %15: f32[9], %16: f32[6,6]):\n"
      "    %17: f32[9,6] = dot_general %14, %16 lhs_contract=[1] rhs_contract=[1] "
      "lhs_precision=DEFAULT rhs_precision=DEFAULT\n"
      "    %18: f32[9,6] = tanh %17\n"
      "    %19: f32[1,6] = slice %18 start=[2,0] limit=[3,6] stride=[1,1]\n"
      "    %20: f32[1] = slice %15 start=[1] limit=[2] stride=[1]\n"
      "    %21: f32[9] = dynamic_update_slice %15, %20, %13\n"
      "    %22: s32[] = constant value=0\n"
      "    %23: f32[9,6] = dynamic_update_slice %18, %19, %13, %22\n"
      "    %24: s32[] = constant value=1\n"
      "    %25: s32[] = add %13, %24\n"
      "    return %25, %23, %21\n"
      "  }\n"
      "  return %5, %6\n"
      "}\n");
  if (!m) return;
  const jm_op *fusion = jm_module_op(m, jm_module_region(m, m->entry)->ops[0]);
  int64_t n = 0;
  for (bool done = false; !done && n < 2000; n++) {
    jm_schedule *s = NULL;
    jm_alloc_fail_after(n);
    jm_error *error = jm_schedule_build(m, fusion, &target, &s);
    jm_alloc_fail_after(-1);
    CHECK(!error || jm_error_code(error) == JM_RESOURCE_EXHAUSTED);
    done = !error;
    if (done) compare(m, s);
    jm_error_destroy(error);
    jm_schedule_destroy(s);
  }
  CHECK(n > 3 && n < 2000);
  jm_module_destroy(m);
}

/* What does not fit says so, and nothing else. */
static void test_too_large(void) {
  jm_module *m = wrap(
      "module \"large\" {\n"
      "  (%0: f32[1000,1000]):\n"
      "  %1: f32[1000,1000] = while %0 {\n"
      "    (%2: f32[1000,1000]):\n"
      "    %3: pred[] = constant value=true\n"
      "    return %3\n"
      "  }, {\n"
      "    (%4: f32[1000,1000]):\n"
      "    %5: f32[1000,1000] = negate %4\n"
      "    return %5\n"
      "  }\n"
      "  return %1\n"
      "}\n");
  if (!m) return;
  const jm_op *fusion = jm_module_op(m, jm_module_region(m, m->entry)->ops[0]);
  bool fits = true;
  CHECK_OK(jm_schedule_loop_fits(&target, m, jm_module_op(m, jm_op_region(m, fusion, 0)->ops[0]),
                                 &fits));
  CHECK(!fits);
  jm_module_destroy(m);
}

/* On a GPU each row is a group's; the interpreter finds races, too. */
static void test_on_a_gpu(void) {
  const jm_target host = target;
  target = jm_target_cuda;
  test_scalars();
  test_scan();
  test_nested();
  test_swap();
  test_in_place();
  test_seams();
  test_stored();
  test_case();
  test_updates();
  test_rows();
  check_program(
      "module \"recurrent\" {\n"
      "  (%0: f32[3,5,40], %1: f32[70,30]):\n"
      "  %2: s32[] = constant value=0\n"
      "  %3: f32[] = constant value=0\n"
      "  %4: f32[5,30] = broadcast_in_dim %3 dims=[]\n"
      "  %90: f32[3,5,30] = broadcast_in_dim %3 dims=[]\n"
      "  %5: s32[], %6: f32[5,30], %91: f32[3,5,30] = while %2, %4, %90 | %0, %1 {\n"
      "    (%7: s32[], %107: f32[5,30], %108: f32[3,5,30], %109: f32[3,5,40], %110: f32[70,30]):\n"
      COUNTED("3")
      "    (%13: s32[], %14: f32[5,30], %15: f32[3,5,30], %16: f32[3,5,40], %17: f32[70,30]):\n"
      "    %18: s32[] = constant value=0\n"
      "    %19: f32[1,5,40] = dynamic_slice %16, %13, %18, %18 sizes=[1,5,40]\n"
      "    %20: f32[5,40] = reshape %19\n"
      "    %21: f32[5,70] = concatenate %20, %14 dim=1\n"
      "    %22: f32[5,30] = dot_general %21, %17 lhs_contract=[1] rhs_contract=[0]\n"
      "    %23: f32[5,30] = tanh %22\n"
      "    %24: f32[5,30] = add %23, %14\n"
      "    %25: f32[1,5,30] = reshape %24\n"
      "    %26: f32[3,5,30] = dynamic_update_slice %15, %25, %13, %18, %18\n"
      "    %27: s32[] = constant value=1\n"
      "    %28: s32[] = add %13, %27\n"
      "    return %28, %24, %26\n"
      "  }\n"
      "  return %6, %91\n"
      "}\n");
  target = host;
}

static void begin(void) { target = test_target_with("x86-64-v3", 128 << 10); }

TEST_MAIN(begin, test_scalars, test_scan, test_nested, test_swap, test_in_place, test_seams,
          test_stored, test_case, test_updates, test_rows, test_cancel, test_without_memory,
          test_too_large, test_on_a_gpu)
