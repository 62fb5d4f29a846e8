/* SPDX-License-Identifier: Apache-2.0
 * Regions: on many lanes, lane by lane where they can't be lifted, and whole ones with control. */
#include <math.h>

#include "engine/host/library/region.h"
#include "unit/ref_case.h"

static const jm_type *scalar(ref_case *c, jm_dtype dtype) { return case_type(c, dtype, 0, NULL); }

static jm_value binary(ref_case *c, jm_region_id r, jm_opcode code, jm_value a, jm_value b) {
  jm_value out = JM_NONE;
  CHECK_OK(jm_build_binary(c->m, r, code, a, b, jm_module_typeof(c->m, a), JM_NONE, &out));
  return out;
}

static jm_value splat(ref_case *c, jm_region_id r, jm_dtype dtype, const void *value) {
  jm_value out = JM_NONE;
  CHECK_OK(jm_build_splat(c->m, r, scalar(c, dtype), value, JM_NONE, &out));
  return out;
}

static jm_value arg(ref_case *c, jm_region_id r, const jm_type *type) {
  jm_value out = JM_NONE;
  CHECK_OK(jm_build_arg(c->m, r, type, &out));
  return out;
}

/* (x, y, capture) -> (select(x < y, convert(x * 2 + capture), y), x): constant, convert, compare,
 * select, capture and an argument as result. */
static void test_lanes(void) {
  ref_case c;
  case_begin(&c);
  const int32_t two = 2;
  int32_t captured = 10;
  jm_region_id r = c.entry;
  jm_value x = arg(&c, r, scalar(&c, JM_DT_s32)), y = arg(&c, r, scalar(&c, JM_DT_f32));
  jm_value capture = arg(&c, r, scalar(&c, JM_DT_s32)), fx, results[2];
  CHECK_OK(jm_build_unary(c.m, r, JM_OP_convert, x, scalar(&c, JM_DT_f32), JM_NONE, &fx));
  jm_value less = case_compare(&c, r, JM_COMPARE_LT, fx, y);
  jm_value sum = binary(&c, r, JM_OP_add,
                        binary(&c, r, JM_OP_multiply, x, splat(&c, r, JM_DT_s32, &two)), capture);
  jm_value reshaped, fsum;
  CHECK_OK(jm_build_unary(c.m, r, JM_OP_reshape, sum, scalar(&c, JM_DT_s32), JM_NONE, &reshaped));
  CHECK_OK(jm_build_unary(c.m, r, JM_OP_convert, reshaped, scalar(&c, JM_DT_f32), JM_NONE, &fsum));
  results[0] = case_select(&c, r, less, fsum, y);
  results[1] = x;
  CHECK_OK(jm_build_results(c.m, r, results, 2));

  jm_library_region *region = NULL;
  jm_tensor capture_tensor = {scalar(&c, JM_DT_s32), &captured};
  CHECK_OK(jm_library_region_create(c.m, r, &capture_tensor, 1, 500, &region));
  CHECK(jm_library_region_lanes(region) == 500);
  static int32_t xs[500];
  static float ys[500];
  const size_t sizes[] = {500, 1, 0, 77};
  for (size_t s = 0; s < 4; s++) {
    for (int i = 0; i < 500; i++) xs[i] = i - 250, ys[i] = (float)(i % 7);
    /* results in the memory of the other argument */
    CHECK_OK(jm_library_region_run(region, (const void *[]){xs, ys}, (void *[]){xs, ys}, sizes[s]));
    bool ok = true;
    for (int i = 0; i < (int)sizes[s]; i++) {
      int32_t was = i - 250, now;
      float fy = (float)(i % 7), result, wanted = (float)was < fy ? (float)(2 * was + 10) : fy;
      memcpy(&result, &xs[i], 4);
      memcpy(&now, &ys[i], 4);
      ok &= result == wanted && now == was;
    }
    CHECK(ok);
  }
  jm_library_region_destroy(region);
  case_end(&c);
}

/* A while op in a region: i = 0; while (i < n) { i = i + 1; sum = sum + i * step }, with n and step
 * captured. args: n, step. Returns the sum. */
static jm_value build_while(ref_case *c, jm_region_id r, jm_value n, jm_value step) {
  const jm_type *s32 = scalar(c, JM_DT_s32);
  const int32_t zero = 0, one = 1;
  jm_value i0 = splat(c, r, JM_DT_s32, &zero), operands[] = {i0, i0, n, step};
  jm_op_spec spec = {.code = JM_OP_while,
                     .operands = operands,
                     .n_operands = 4,
                     .n_captures = 2,
                     .result_types = (const jm_type *[]){s32, s32},
                     .n_results = 2,
                     .n_regions = 2,
                     .loc = JM_NONE};
  jm_op_id id;
  CHECK_OK(jm_build_op(c->m, r, &spec, &id));
  jm_region_id cond = jm_module_op(c->m, id)->first_region, body = cond + 1;
  jm_value a[4], b[4];
  for (int k = 0; k < 4; k++) a[k] = arg(c, cond, s32);
  jm_value less = case_compare(c, cond, JM_COMPARE_LT, a[0], a[2]);
  CHECK_OK(jm_build_results(c->m, cond, &less, 1));
  for (int k = 0; k < 4; k++) b[k] = arg(c, body, s32);
  jm_value next[2];
  next[0] = binary(c, body, JM_OP_add, b[0], splat(c, body, JM_DT_s32, &one));
  next[1] = binary(c, body, JM_OP_add, b[1], binary(c, body, JM_OP_multiply, next[0], b[3]));
  CHECK_OK(jm_build_results(c->m, body, next, 2));
  return jm_module_op(c->m, id)->first_result + 1;
}

/* case(index) of three branches over the captures (x, y): x + y, x - y, y */
static jm_value build_case(ref_case *c, jm_region_id r, jm_value index, jm_value x, jm_value y,
                           uint32_t n_branches) {
  const jm_type *s32 = scalar(c, JM_DT_s32);
  jm_op_spec spec = {.code = JM_OP_case,
                     .operands = (jm_value[]){index, x, y},
                     .n_operands = 3,
                     .n_captures = 2,
                     .result_types = &s32,
                     .n_results = 1,
                     .n_regions = n_branches,
                     .loc = JM_NONE};
  jm_op_id id;
  CHECK_OK(jm_build_op(c->m, r, &spec, &id));
  for (uint32_t i = 0; i < n_branches; i++) {
    jm_region_id branch = jm_module_op(c->m, id)->first_region + i;
    jm_value a = arg(c, branch, s32), b = arg(c, branch, s32), out = b;
    if (i < 2) out = binary(c, branch, i ? JM_OP_subtract : JM_OP_add, a, b);
    CHECK_OK(jm_build_results(c->m, branch, &out, 1));
  }
  return jm_module_op(c->m, id)->first_result;
}

static void test_evaluate(void) {
  ref_case c;
  case_begin(&c);
  const jm_type *s32 = scalar(&c, JM_DT_s32);
  jm_value n = arg(&c, c.entry, s32), step = arg(&c, c.entry, s32);
  jm_value index = arg(&c, c.entry, s32), pred = arg(&c, c.entry, scalar(&c, JM_DT_pred));
  jm_value results[4];
  results[0] = build_while(&c, c.entry, n, step);
  results[1] = build_case(&c, c.entry, index, results[0], n, 3);
  results[2] = build_case(&c, c.entry, pred, results[0], n, 2);
  results[3] = n;
  CHECK_OK(jm_build_results(c.m, c.entry, results, 4));
  static const int32_t indices[] = {0, 1, 2, 3, -1, INT32_MIN, INT32_MAX};
  for (size_t i = 0; i < sizeof indices / sizeof *indices; i++)
    for (uint8_t flag = 0; flag < 2; flag++) {
      int32_t in[] = {5, 3, indices[i]}, out[4];
      jm_tensor args[] = {
          {s32, &in[0]}, {s32, &in[1]}, {s32, &in[2]}, {scalar(&c, JM_DT_pred), &flag}};
      jm_tensor outs[] = {{s32, &out[0]}, {s32, &out[1]}, {s32, &out[2]}, {s32, &out[3]}};
      CHECK_OK(jm_ref_evaluate(c.m, c.entry, args, outs, NULL));
      CHECK(out[0] == 45 && out[3] == 5);
      CHECK(out[1] == (indices[i] == 0 ? 50 : indices[i] == 1 ? 40 : 5));
      CHECK(out[2] == (flag ? 40 : 50));
    }
  int32_t in[] = {0, 3, 0}, out[4];
  uint8_t flag = 0;
  jm_tensor args[] = {{s32, &in[0]}, {s32, &in[1]}, {s32, &in[2]}, {scalar(&c, JM_DT_pred), &flag}};
  jm_tensor outs[] = {{s32, &out[0]}, {s32, &out[1]}, {s32, &out[2]}, {s32, &out[3]}};
  CHECK_OK(jm_ref_evaluate(c.m, c.entry, args, outs, NULL)); /* no iteration */
  CHECK(out[0] == 0);
  atomic_bool cancelled = true;
  CHECK_FAILS(jm_ref_evaluate(c.m, c.entry, args, outs, &(jm_context){.cancelled = &cancelled}),
              JM_CANCELLED, "cancelled");
  for (int64_t k = 0;; k++) { /* every allocation fails once; nothing leaks */
    jm_alloc_fail_after(k);
    jm_error *error = jm_ref_evaluate(c.m, c.entry, args, outs, NULL);
    jm_alloc_fail_after(-1);
    if (!error) break;
    CHECK(jm_error_code(error) == JM_RESOURCE_EXHAUSTED);
    jm_error_destroy(error);
  }
  case_end(&c);
}

/* A body with control is run lane by lane, also where results overwrite arguments. */
static void test_not_lifted(void) {
  ref_case c;
  case_begin(&c);
  const jm_type *s32 = scalar(&c, JM_DT_s32);
  jm_value n = arg(&c, c.entry, s32), step = arg(&c, c.entry, s32);
  jm_value results[] = {build_while(&c, c.entry, n, step), n};
  CHECK_OK(jm_build_results(c.m, c.entry, results, 2));
  jm_library_region *region = NULL;
  CHECK_OK(jm_library_region_create(c.m, c.entry, NULL, 0, 100, &region));
  CHECK(jm_library_region_lanes(region) == 1);
  int32_t ns[] = {5, 0, 3}, steps[] = {3, 9, 1};
  CHECK_OK(jm_library_region_run(region, (const void *[]){ns, steps}, (void *[]){ns, steps}, 3));
  CHECK(ns[0] == 45 && ns[1] == 0 && ns[2] == 6);
  CHECK(steps[0] == 5 && steps[1] == 0 && steps[2] == 3);
  jm_library_region_destroy(region);
  case_end(&c);
}

static void test_map(void) {
  ref_case c;
  case_begin(&c);
  float *x = case_in(&c, JM_DT_f32, 2, (int64_t[]){30, 100}, NULL);
  float *y = case_in(&c, JM_DT_f32, 2, (int64_t[]){30, 100}, NULL), captured = 0.5f;
  case_in(&c, JM_DT_f32, 0, NULL, &captured);
  c.n_captures = 1;
  for (int i = 0; i < 3000; i++) x[i] = (float)i, y[i] = (float)(i % 13);
  uint8_t *out = case_out(&c, JM_DT_pred, 2, (int64_t[]){30, 100});
  case_op(&c, JM_OP_map, NULL, 1);
  jm_region_id r = case_region(&c, 0);
  jm_value a = arg(&c, r, scalar(&c, JM_DT_f32)), b = arg(&c, r, scalar(&c, JM_DT_f32));
  jm_value k = arg(&c, r, scalar(&c, JM_DT_f32));
  jm_value result = case_compare(&c, r, JM_COMPARE_GT, binary(&c, r, JM_OP_multiply, a, k), b);
  CHECK_OK(jm_build_results(c.m, r, &result, 1));
  CHECK_OK(case_run(&c));
  bool ok = true;
  for (int i = 0; i < 3000; i++) ok &= out[i] == (x[i] * 0.5f > y[i]);
  CHECK(ok);
  case_end(&c);
}

TEST_MAIN(test_lanes, test_evaluate, test_not_lifted, test_map)
