/* SPDX-License-Identifier: Apache-2.0
 * Programs by chance: groups as a whole against the ungrouped program, and each by itself. And all
 * of it where memory ends. */
#include "unit/schedule_check.h"

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

/* Values of the program's results, as the oracle has them. */
static void evaluate(const jm_module *m, const jm_tensor *in, jm_tensor *out) {
  const jm_region *entry = jm_module_region(m, m->entry);
  for (uint32_t i = 0; i < entry->n_results; i++) {
    const jm_type *type = jm_module_typeof(m, entry->results[i]);
    out[i] = (jm_tensor){type, jm_alloc_data(jm_type_bytes(type))};
  }
  CHECK_OK(jm_ref_evaluate(m, m->entry, in, out, NULL));
}

static void check_whole(const jm_target *target, const char *text) {
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
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.target = target}));
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
    for (int t = 0; t < N_TARGETS; t++) check_whole(&targets[t], jm_text_bytes(&p.text));
    if (check_failures > failures) fprintf(stderr, "in %s\n", jm_text_bytes(&p.text));
    check_program(jm_text_bytes(&p.text), NULL, 0);
    jm_text_deinit(&p.text);
  }
}

#define BODY(type, op)                                                  \
  " {\n (%%90: " type "[], %%91: " type "[]):\n %%92: " type "[] = " op \
  " %%90, %%91\n"                                                       \
  " return %%92\n }\n"

/* Grouping and scheduling fail with RESOURCE_EXHAUSTED wherever memory ends, and leak nothing. */
static void check_memory(const jm_target *target) {
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
    jm_error *error = jm_pass_lower(m, &(jm_pass_options){.target = target});
    const jm_region *entry = jm_module_region(m, m->entry);
    for (uint32_t i = 0; !error && i < entry->n_ops; i++) {
      const jm_op *op = jm_module_op(m, entry->ops[i]);
      jm_schedule *schedule = NULL;
      if (op->code == JM_OP_fusion) error = jm_schedule_build(m, op, target, &schedule);
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

static void test_memory(void) {
  for (int i = 0; i < N_TARGETS; i++) check_memory(&targets[i]);
}

TEST_MAIN(find_targets, test_random, test_memory)
