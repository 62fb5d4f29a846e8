/* SPDX-License-Identifier: Apache-2.0
 * Plans against the evaluator: random programs with loops, branches, aliases, in-place updates and
 * donated parameters must give the same bits when their memory is shared as when every value has
 * its own. */
#include <stdlib.h>

#include "engine/host/engine.h"
#include "engine/host/host.h"
#include "engine/ref/ref.h"
#include "ir/build.h"
#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "plan/offsets.h"
#include "plan/plan.h"
#include "unit/check.h"

enum { N = 8, MAX_POOL = 64 };

static uint64_t seed;
static uint32_t below(uint32_t n) { /* xorshift64* (Vigna 2016) */
  seed ^= seed >> 12, seed ^= seed << 25, seed ^= seed >> 27;
  return (uint32_t)((seed * 0x2545F4914F6CDD1Du) >> 33) % n;
}

/* The values of one region that random ops may use. */
typedef struct scope {
  jm_region_id region;
  jm_value vectors[MAX_POOL]; /* f32[8] */
  uint32_t n;
} scope;

static jm_module *m;
static const jm_type *vector, *matrix, *index_type, *pred, *slice;

#define MUST(expr)                                           \
  do {                                                       \
    jm_error *must_error = (expr);                           \
    if (must_error) {                                        \
      fprintf(stderr, "%s\n", jm_error_message(must_error)); \
      abort();                                               \
    }                                                        \
  } while (0)

static void scope_add(scope *s, jm_value v) {
  if (s->n < MAX_POOL)
    s->vectors[s->n++] = v;
  else
    s->vectors[below(MAX_POOL)] = v;
}

static jm_value pick(scope *s) { return s->vectors[below(s->n)]; }

static jm_value scalar(scope *s, int32_t value) {
  jm_value v;
  MUST(jm_build_splat(m, s->region, index_type, &value, JM_NONE, &v));
  return v;
}

static void ops_fill(scope *s, int depth, int n_ops);

static jm_op_id op_add(scope *s, jm_opcode code, const jm_value *operands, uint32_t n,
                       uint32_t n_captures, const jm_type *const *types, uint32_t n_results,
                       uint32_t n_regions, const void *attrs) {
  const jm_op_spec spec = {code,      operands, n,         n_captures, types,
                           n_results, attrs,    n_regions, JM_NONE};
  jm_op_id id;
  MUST(jm_build_op(m, s->region, &spec, &id));
  return id;
}

static void while_add(scope *s, int depth) {
  uint32_t n = 1 + below(4), n_captures = 1 + below(3), total = 1 + n + n_captures;
  jm_value operands[16];
  const jm_type *types[16];
  operands[0] = scalar(s, 0);
  types[0] = index_type;
  for (uint32_t i = 1; i < total; i++) operands[i] = pick(s), types[i] = vector;
  jm_op_id id = op_add(s, JM_OP_while, operands, total, n_captures, types, n + 1, 2, NULL);
  jm_value arg;
  scope cond = {.region = m->ops[id].first_region};
  for (uint32_t i = 0; i < total; i++) MUST(jm_build_arg(m, cond.region, types[i], &arg));
  const jm_compare_attrs less = {.direction = JM_COMPARE_LT, .order = JM_ORDER_SIGNED};
  jm_value sides[2] = {m->regions[cond.region].first_arg, scalar(&cond, (int32_t)below(4))};
  jm_op_id test = op_add(&cond, JM_OP_compare, sides, 2, 0, &pred, 1, 0, &less);
  MUST(jm_build_results(m, cond.region, &m->ops[test].first_result, 1));

  scope body = {.region = m->ops[id].first_region + 1};
  for (uint32_t i = 0; i < total; i++) {
    MUST(jm_build_arg(m, body.region, types[i], &arg));
    if (i) scope_add(&body, arg);
  }
  ops_fill(&body, depth - 1, 1 + (int)below(8));
  jm_value results[16], next;
  MUST(jm_build_binary(m, body.region, JM_OP_add, m->regions[body.region].first_arg,
                       scalar(&body, 1), index_type, JM_NONE, &next));
  results[0] = next;
  for (uint32_t i = 1; i <= n; i++) results[i] = pick(&body);
  MUST(jm_build_results(m, body.region, results, n + 1));
  for (uint32_t i = 1; i <= n; i++) scope_add(s, m->ops[id].first_result + i);
}

static void case_add(scope *s, int depth) {
  uint32_t n = 1 + below(3), n_captures = 1 + below(3), branches = 1 + below(3);
  jm_value operands[8];
  const jm_type *types[8];
  operands[0] = scalar(s, (int32_t)below(5) - 1);
  for (uint32_t i = 0; i < n; i++) types[i] = vector;
  for (uint32_t i = 0; i < n_captures; i++) operands[1 + i] = pick(s);
  jm_op_id id =
      op_add(s, JM_OP_case, operands, 1 + n_captures, n_captures, types, n, branches, NULL);
  for (uint32_t b = 0; b < branches; b++) {
    scope branch = {.region = m->ops[id].first_region + b};
    jm_value arg, results[4];
    for (uint32_t i = 0; i < n_captures; i++) {
      MUST(jm_build_arg(m, branch.region, vector, &arg));
      scope_add(&branch, arg);
    }
    ops_fill(&branch, depth - 1, (int)below(6));
    for (uint32_t i = 0; i < n; i++) results[i] = pick(&branch);
    MUST(jm_build_results(m, branch.region, results, n));
  }
  for (uint32_t i = 0; i < n; i++) scope_add(s, m->ops[id].first_result + i);
}

static void update_add(scope *s) {
  static const int64_t numbers[] = {0, 3, 1};
  const jm_slice_attrs attrs = {
      .start = {numbers, 1}, .limit = {numbers + 1, 1}, .stride = {numbers + 2, 1}};
  jm_value source = pick(s), start = scalar(s, (int32_t)below(9));
  jm_op_id part = op_add(s, JM_OP_slice, &source, 1, 0, &slice, 1, 0, &attrs);
  jm_value operands[] = {pick(s), m->ops[part].first_result, start};
  jm_op_id id = op_add(s, JM_OP_dynamic_update_slice, operands, 3, 0, &vector, 1, 0, NULL);
  scope_add(s, m->ops[id].first_result);
}

static void ops_fill(scope *s, int depth, int n_ops) {
  for (int i = 0; i < n_ops; i++) {
    jm_value v, w;
    switch (below(depth > 0 ? 8 : 6)) {
      case 0:
      case 1:
        MUST(jm_build_binary(m, s->region, below(2) ? JM_OP_add : JM_OP_subtract, pick(s), pick(s),
                             vector, JM_NONE, &v));
        scope_add(s, v);
        break;
      case 2:
        MUST(jm_build_unary(m, s->region, JM_OP_reshape, pick(s), matrix, JM_NONE, &w));
        if (below(2)) MUST(jm_build_unary(m, s->region, JM_OP_negate, w, matrix, JM_NONE, &w));
        MUST(jm_build_unary(m, s->region, JM_OP_reshape, w, vector, JM_NONE, &v));
        scope_add(s, v);
        break;
      case 3: {
        jm_value both[2] = {pick(s), pick(s)};
        const jm_type *types[2] = {vector, vector};
        jm_op_id id = op_add(s, JM_OP_optimization_barrier, both, 2, 0, types, 2, 0, NULL);
        scope_add(s, m->ops[id].first_result + below(2));
        break;
      }
      case 4: {
        float value = (float)below(7);
        MUST(jm_build_splat(m, s->region, vector, &value, JM_NONE, &v));
        scope_add(s, v);
        break;
      }
      case 5:
        update_add(s);
        break;
      case 6:
        while_add(s, depth);
        break;
      case 7:
        case_add(s, depth);
        break;
    }
  }
}

static void random_program(uint32_t n_args, uint32_t n_results) {
  MUST(jm_module_create(&m));
  MUST(jm_module_type(m, JM_DT_f32, 1, (const int64_t[]){N}, &vector));
  MUST(jm_module_type(m, JM_DT_f32, 2, (const int64_t[]){2, N / 2}, &matrix));
  MUST(jm_module_type(m, JM_DT_f32, 1, (const int64_t[]){3}, &slice));
  MUST(jm_module_type(m, JM_DT_s32, 0, NULL, &index_type));
  MUST(jm_module_type(m, JM_DT_pred, 0, NULL, &pred));
  scope s = {0};
  MUST(jm_build_region(m, &s.region));
  m->entry = s.region;
  m->arguments = jm_arena_alloc(&m->arena, n_args, sizeof *m->arguments);
  m->results = jm_arena_alloc(&m->arena, n_results, sizeof *m->results);
  for (uint32_t i = 0; i < n_args; i++) {
    jm_value arg;
    MUST(jm_build_arg(m, s.region, vector, &arg));
    scope_add(&s, arg);
    m->arguments[i].alias = -1;
  }
  for (uint32_t o = 0; o < n_results; o++) { /* each argument is donated to one output at most */
    uint32_t i = below(n_args);
    if (m->arguments[i].alias < 0 && below(3)) m->arguments[i].alias = (int32_t)o;
  }
  ops_fill(&s, 2, 2 + (int)below(12));
  jm_value results[8];
  for (uint32_t i = 0; i < n_results; i++) results[i] = pick(&s);
  MUST(jm_build_results(m, s.region, results, n_results));
  MUST(jm_module_verify(m));
}

/* The host's plan of the module, without compiled groups. */
typedef struct planned {
  jm_host_program *host;
  jm_plan *plan;
} planned;

static planned plan_make(void) {
  planned p;
  MUST(jm_host_compile(m, NULL, NULL, &p.host));
  MUST(jm_plan_build(m, jm_host_engine(), p.host, &p.plan));
  return p;
}

static void plan_free(planned p) {
  jm_plan_destroy(p.plan);
  jm_host_program_destroy(p.host);
}

static uint32_t n_windows; /* of all plans */

static bool outputs_equal(bool donate, uint32_t n_args, uint32_t n_results) {
  float in[4][N], given[4][N], expected[8][N], out[8][N];
  jm_tensor args[4], results[8];
  jm_engine_value inputs[4], outputs[8];
  for (uint32_t i = 0; i < n_args; i++) {
    for (int k = 0; k < N; k++) in[i][k] = given[i][k] = (float)(int)below(100) - 50;
    args[i] = (jm_tensor){vector, in[i]};
    inputs[i] = (jm_engine_value){.host = given[i]};
  }
  for (uint32_t o = 0; o < n_results; o++) {
    results[o] = (jm_tensor){vector, expected[o]};
    outputs[o] = (jm_engine_value){.host = out[o]};
  }
  for (uint32_t i = 0; donate && i < n_args; i++)
    if (m->arguments[i].alias >= 0) outputs[m->arguments[i].alias].host = given[i];
  MUST(jm_ref_evaluate(m, m->entry, args, results, NULL));
  planned p = plan_make();
  MUST(jm_host_run(p.plan, &(jm_engine_run){.inputs = inputs, .outputs = outputs}));
  n_windows += p.plan->n_windows;
  plan_free(p);
  bool equal = true;
  for (uint32_t o = 0; o < n_results; o++)
    equal &= !memcmp(outputs[o].host, expected[o], sizeof out[o]);
  for (uint32_t i = 0; i < n_args; i++) /* parameters that nobody donated are read only */
    equal &= (donate && m->arguments[i].alias >= 0) || !memcmp(given[i], in[i], sizeof in[i]);
  return equal;
}

static void test_random_programs(void) {
  const char *programs = getenv("JM_TEST_PROGRAMS");
  int n = programs ? atoi(programs) : 3000;
  for (int i = 0; i < n; i++) {
    seed = (uint64_t)i * 0x9E3779B97F4A7C15u + 1;
    uint32_t n_args = 1 + below(4), n_results = 1 + below(6);
    random_program(n_args, n_results);
    bool apart = outputs_equal(false, n_args, n_results);
    bool donated = outputs_equal(true, n_args, n_results);
    CHECK(apart && donated);
    if (!apart || !donated) {
      jm_text text;
      jm_text_init(&text);
      jm_module_print(m, &text);
      fprintf(stderr, "program %d (%s):\n%s\n", i, apart ? "donated" : "apart",
              jm_text_bytes(&text));
      jm_text_deinit(&text);
      jm_module_destroy(m);
      return;
    }
    jm_module_destroy(m);
  }
  CHECK(n_windows > 0); /* the programs reach them */
}

/* -- initial values that nobody reads */

enum { ROWS = 300, COLUMNS = 64 };

/* What brings the rows' initial values to where the loop finds them. */
static uint32_t count_fills(const jm_plan *plan) {
  uint32_t n = 0;
  for (uint32_t b = 0; b < plan->n_blocks; b++)
    for (uint32_t i = 0; i < plan->blocks[b].n_steps; i++) {
      const jm_step *step = &plan->blocks[b].steps[i];
      const jm_operand *last =
          &plan->operands[step->first_operand + step->n_reads + step->n_writes - 1];
      bool large = last->type && last->type->count == ROWS * COLUMNS;
      n += large && (step->kind == JM_STEP_COPY ||
                     (step->kind == JM_STEP_OP && m->ops[step->op].code == JM_OP_constant));
    }
  return n;
}

typedef struct stack {
  int first, rounds, step;
  const char *start; /* the op that gives %s, the row, from %i, the counter, and %c, ROWS - 1 */
  const char *row;   /* what gives %y from %x, or a slice of %a, all rows */
  bool overwritten;
} stack;

static const stack stacks[] = {
    {0, 300, 1, "add %i, %z", "add %x, %x", true},
    {0, 300, 1, "add %i, %o", "add %x, %x", false},
    {0, 300, 1, "subtract %n, %next", "add %x, %x", true},
    {0, 300, 1, "add %i, %i", "add %x, %x", false},
    {0, 300, 1, NULL, "add %x, %x", true},
    {0, 301, 1, NULL, "multiply %x, %x", true},
    {0, 300, 1, "subtract %c, %i", "add %x, %x", true},
    {0, 300, 1, "subtract %i, %c", "add %x, %x", false},
    {0, 299, 1, NULL, "add %x, %x", false},
    {1, 300, 1, NULL, "add %x, %x", false},
    {0, 300, 2, NULL, "add %x, %x", false},
    {0, 300, 1, NULL, "slice %a", false},
};

static void check_stack(const stack *t) {
  char text[2048], start[64] = "";
  if (t->start) snprintf(start, sizeof start, "  %%s: s32[] = %s\n", t->start);
  bool reads = strstr(t->row, "%a") != NULL;
  snprintf(text, sizeof text,
           "module \"stack\" {\n (%%0: f32[64]):\n"
           " %%1: s32[] = constant value=%d\n %%2: f32[300,64] = constant value=7\n"
           " %%3: s32[], %%4: f32[64], %%5: f32[300,64] = while %%1, %%0, %%2 {\n"
           "  (%%i: s32[], %%x: f32[64], %%a: f32[300,64]):\n"
           "  %%n: s32[] = constant value=%d\n"
           "  %%l: pred[] = compare %%i, %%n direction=LT order=SIGNED\n  return %%l\n }, {\n"
           "  (%%i: s32[], %%x: f32[64], %%a: f32[300,64]):\n"
           "  %%o: s32[] = constant value=%d\n  %%z: s32[] = constant value=0\n"
           "  %%c: s32[] = constant value=299\n  %%n: s32[] = constant value=300\n"
           "  %%next: s32[] = add %%i, %%o\n%s%s  %%y: f32[64] = %s\n"
           "  %%r: f32[1,64] = reshape %%y\n"
           "  %%u: f32[300,64] = dynamic_update_slice %%a, %%r, %s, %%z\n"
           "  return %%next, %%y, %%u\n }\n return %%4, %%5\n}",
           t->first, t->rounds, t->step, start, reads ? "  %f: f32[19200] = reshape %a\n" : "",
           reads ? "slice %f start=[64] limit=[128] stride=[1]" : t->row, t->start ? "%s" : "%i");
  m = NULL;
  MUST(jm_module_parse(text, strlen(text), &m));
  MUST(jm_module_verify(m));
  static float x[COLUMNS], last[2][COLUMNS], rows[2][ROWS * COLUMNS];
  for (int i = 0; i < COLUMNS; i++) x[i] = (float)(i % 3) / 2;
  const jm_type *line = jm_module_typeof(m, 0), *all = NULL;
  MUST(jm_module_type(m, JM_DT_f32, 2, (const int64_t[]){ROWS, COLUMNS}, &all));
  jm_tensor in = {line, x}, out[2] = {{line, last[0]}, {all, rows[0]}};
  MUST(jm_ref_evaluate(m, m->entry, &in, out, NULL));
  planned p = plan_make();
  memset(rows[1], 0xa5, sizeof rows[1]);
  jm_engine_value given = {.host = x}, made[] = {{.host = last[1]}, {.host = rows[1]}};
  MUST(jm_host_run(p.plan, &(jm_engine_run){.inputs = &given, .outputs = made}));
  CHECK(!memcmp(last[0], last[1], sizeof last[0]) && !memcmp(rows[0], rows[1], sizeof rows[0]));
  CHECK((count_fills(p.plan) == 0) == t->overwritten);
  plan_free(p);
  jm_module_destroy(m);
}

static void test_stacks(void) {
  for (size_t i = 0; i < sizeof stacks / sizeof *stacks; i++) check_stack(&stacks[i]);
}

/* -- rows that are computed where an update writes them */

typedef struct window {
  const char *body; /* of a loop: gives %u, %v of %a, %b, rows %r of %y; and %n of %x */
  uint32_t n;       /* windows in the plan */
} window;

#define ALL "f32[4,16]"
#define UPDATE(name, of, at) " %" name ": " ALL " = dynamic_update_slice %" of ", %r, %" at ", %z\n"
#define UNARY(name, type, op, of) " %" name ": " type " = " op " %" of "\n"
#define LINE "f32[16]"

static const window windows[] = {
    {UPDATE("u", "a", "i") UNARY("n", LINE, "sine", "x") UNARY("v", ALL, "abs", "b"), 1},
    /* the value has other readers, before the update and after it, */
    {UNARY("n", LINE, "abs", "y") UPDATE("u", "a", "i") UNARY("v", ALL, "abs", "b"), 1},
    {UPDATE("u", "a", "i") UNARY("n", LINE, "abs", "y") UNARY("v", ALL, "abs", "b"), 1},
    /* or leaves the loop itself; */
    {UPDATE("u", "a", "i") UNARY("v", ALL, "abs", "b") " %n: f32[16] = reshape %y\n", 0},
    /* the row is known later, or is out of bounds; */
    {" %w: s32[] = add %i, %i\n" UPDATE("u", "a", "w") UNARY("n", LINE, "sine", "x")
         UNARY("v", ALL, "abs", "b"),
     0},
    {UPDATE("u", "a", "far") UNARY("n", LINE, "sine", "x") UNARY("v", ALL, "abs", "b"), 1},
    /* the result is changed again; */
    {UPDATE("u0", "a", "i") UNARY("u", ALL, "abs", "u0") UNARY("n", LINE, "sine", "y")
         UNARY("v", ALL, "abs", "b"),
     0},
    /* something else reads the array; */
    {UPDATE("u", "a", "i") UNARY("v", ALL, "abs", "a") UNARY("n", LINE, "sine", "x"), 0},
    /* two arrays get the row, in one of which it is computed; */
    {UPDATE("u", "a", "i") UPDATE("v", "b", "z") UNARY("n", LINE, "sine", "x"), 1},
    /* arrays change places. */
    {UPDATE("v", "a", "i") UNARY("u", ALL, "abs", "b") UNARY("n", LINE, "sine", "x"), 1},
    {UPDATE("v", "a", "i") UNARY("u", ALL, "abs", "b") UNARY("n", LINE, "sine", "y"), 0},
};

static void check_window(const window *t) {
  char text[2048];
  snprintf(
      text, sizeof text,
      "module \"window\" {\n (%%x: f32[16], %%a: f32[4,16], %%b: f32[4,16]):\n"
      " %%0: s32[] = constant value=0\n"
      " %%1: s32[], %%2: f32[16], %%3: f32[4,16], %%4: f32[4,16] = while %%0, %%x, %%a, %%b {\n"
      "  (%%i: s32[], %%x: f32[16], %%a: f32[4,16], %%b: f32[4,16]):\n"
      "  %%l: s32[] = constant value=3\n"
      "  %%c: pred[] = compare %%i, %%l direction=LT order=SIGNED\n  return %%c\n }, {\n"
      "  (%%i: s32[], %%x: f32[16], %%a: f32[4,16], %%b: f32[4,16]):\n"
      "  %%z: s32[] = constant value=0\n  %%o: s32[] = constant value=1\n"
      "  %%far: s32[] = constant value=9\n  %%next: s32[] = add %%i, %%o\n"
      "  %%y: f32[16] = add %%x, %%x\n  %%r: f32[1,16] = reshape %%y\n%s"
      "  return %%next, %%n, %%u, %%v\n }\n return %%2, %%3, %%4\n}",
      t->body);
  m = NULL;
  MUST(jm_module_parse(text, strlen(text), &m));
  MUST(jm_module_verify(m));
  float in[3][64], out[2][3][64];
  jm_tensor args[3], results[3];
  jm_engine_value given[3], made[3];
  for (uint32_t i = 0; i < 3; i++) {
    for (int k = 0; k < 64; k++) in[i][k] = (float)(k % 7) - (float)i * 2;
    const jm_type *type = jm_module_typeof(m, jm_module_region(m, m->entry)->first_arg + i);
    args[i] = (jm_tensor){type, in[i]};
    results[i] = (jm_tensor){type, out[0][i]};
    given[i] = (jm_engine_value){.host = in[i]};
    made[i] = (jm_engine_value){.host = out[1][i]};
  }
  MUST(jm_ref_evaluate(m, m->entry, args, results, NULL));
  planned p = plan_make();
  MUST(jm_host_run(p.plan, &(jm_engine_run){.inputs = given, .outputs = made}));
  for (uint32_t i = 0; i < 3; i++)
    CHECK(!memcmp(out[0][i], out[1][i], jm_type_bytes(results[i].type)));
  CHECK(p.plan->n_windows == t->n);
  plan_free(p);
  jm_module_destroy(m);
}

static void test_windows(void) {
  for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) check_window(&windows[i]);
}

static void test_offsets(void) {
  jm_offsets o;
  size_t a, b, c, d;
  jm_offsets_init(&o);
  CHECK_OK(jm_offsets_take(&o, 100, &a));
  CHECK_OK(jm_offsets_take(&o, 1, &b));
  CHECK_OK(jm_offsets_take(&o, 64, &c));
  CHECK(a == 0 && b == 128 && c == 192 && o.end == 256);
  CHECK_OK(jm_offsets_give(&o, a, 100));
  CHECK_OK(jm_offsets_give(&o, c, 64));
  CHECK_OK(jm_offsets_take(&o, 64, &d));
  CHECK(d == 192); /* the best fit, not the first */
  CHECK_OK(jm_offsets_give(&o, d, 64));
  CHECK_OK(jm_offsets_give(&o, b, 1));
  CHECK(o.n_holes == 1 && o.holes[0].bytes == 256);
  CHECK_FAILS(jm_offsets_take(&o, SIZE_MAX - 3, &d), JM_RESOURCE_EXHAUSTED, "memory");
  jm_offsets_deinit(&o);
}

TEST_MAIN(test_offsets, test_stacks, test_windows, test_random_programs)
