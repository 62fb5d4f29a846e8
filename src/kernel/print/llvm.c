/* SPDX-License-Identifier: Apache-2.0
 * LLVM IR text for kernels: modules, functions and control. Loops are printed in rotated form, with
 * the test at the end, as LLVM prefers them. A loop's body is printed to a buffer first, because
 * the phis at its head name the values that it yields. */
#include "kernel/print/llvm.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef jm_llvm_name name;
typedef jm_llvm_printer printer;

enum {
  POLL_EVERY = 1024, /* iterations of an innermost serial loop */
  LEAST_LANES = 4,   /* of a block: fewer iterations run one by one */
  MOST_BLOCKS = 3,   /* narrower than the loop's: each is code of its own */
  LONG_BODY = 16,    /* instructions that take longer than the loop around them */
};

jm_llvm_name jm_llvm_number(uint32_t id) {
  name n;
  snprintf(n.text, sizeof n.text, "%%v%u", (unsigned)id);
  return n;
}

static name integer(int64_t value) {
  name n;
  snprintf(n.text, sizeof n.text, "%" PRId64, value);
  return n;
}

static void begin_label(printer *p, uint32_t label) {
  jm_text_printf(p->out, "b%u:\n", (unsigned)label);
  p->label = label;
}

static void jump(printer *p, uint32_t to) {
  jm_text_printf(p->out, "  br label %%b%u\n", (unsigned)to);
}

static void branch(printer *p, const char *condition, uint32_t yes, uint32_t no) {
  jm_text_printf(p->out, "  br i1 %s, label %%b%u, label %%b%u\n", condition, (unsigned)yes,
                 (unsigned)no);
}

static name compare(printer *p, const char *how, const char *x, const char *y) {
  uint32_t id = p->next++;
  jm_text_printf(p->out, "  %%v%u = icmp %s i64 %s, %s\n", (unsigned)id, how, x, y);
  return jm_llvm_number(id);
}

static name combine_flags(printer *p, name x, name y) {
  uint32_t id = p->next++;
  jm_text_printf(p->out, "  %%v%u = and i1 %s, %s\n", (unsigned)id, x.text, y.text);
  return jm_llvm_number(id);
}

/* One source of a phi. */
typedef struct edge {
  uint32_t label;
  name value;
} edge;

static void print_phi(printer *p, uint32_t id, name type, uint32_t n, const edge *edges) {
  jm_text_printf(p->out, "  %%v%u = phi %s ", (unsigned)id, type.text);
  for (uint32_t i = 0; i < n; i++)
    jm_text_printf(p->out, "%s[ %s, %%b%u ]", i ? ", " : "", edges[i].value.text,
                   (unsigned)edges[i].label);
  jm_text_printf(p->out, "\n");
}

/* A value as the loops that are printed now carry it. */
static name value_name(printer *p, jm_kval v, jm_kval like) {
  return jm_llvm_is_vector(p, like) ? jm_llvm_vector(p, v) : jm_llvm_scalar(p, v);
}

static name value_type(const printer *p, jm_kval v) {
  return jm_llvm_type(p->k->values[v].type, jm_llvm_is_vector(p, v) ? p->width : 1);
}

static bool find_constant(const jm_kernel *k, jm_kval v, int64_t *out) {
  jm_kinst inst = k->values[v].inst;
  if (inst == JM_KNONE || k->insts[inst].code != JM_K_const) return false;
  *out = (int64_t)k->insts[inst].imm;
  return true;
}

/* How many iterations a loop has, if that is known: its bounds are one value apart from constants.
 */
bool jm_llvm_find_count(const jm_kernel *k, const jm_kinst_fact *f, int64_t *count) {
  jm_kval lower, upper;
  uint64_t from = (uint64_t)jm_llvm_find_offset(k, f->operands[0], &lower);
  uint64_t to = (uint64_t)jm_llvm_find_offset(k, f->operands[1], &upper);
  if (lower != upper) return false;
  *count = (int64_t)(to - from) > 0 ? (int64_t)(to - from) : 0;
  return true;
}

/* -- cancellation */

static name print_poll(printer *p) {
  uint32_t flag = p->next++, go = p->next++;
  jm_text_printf(p->out,
                 "  %%v%u = load atomic i8, ptr %%flag monotonic, align 1\n"
                 "  %%v%u = icmp eq i8 %%v%u, 0\n",
                 (unsigned)flag, (unsigned)go, (unsigned)flag);
  return jm_llvm_number(go);
}

/* `again`, unless the flag is set; it is polled in some iterations only. */
static name poll_sometimes(printer *p, name next, name again) {
  uint32_t low = p->next++, due = p->next++, look = p->next++, rest = p->next++;
  jm_text_printf(p->out, "  %%v%u = and i64 %s, %d\n  %%v%u = icmp eq i64 %%v%u, 0\n",
                 (unsigned)low, next.text, POLL_EVERY - 1, (unsigned)due, (unsigned)low);
  uint32_t before = p->label;
  branch(p, jm_llvm_number(due).text, look, rest);
  begin_label(p, look);
  edge edges[2] = {{before, {"true"}}, {look, print_poll(p)}};
  jump(p, rest);
  begin_label(p, rest);
  uint32_t go = p->next++;
  print_phi(p, go, jm_llvm_type(JM_KT_i1, 1), 2, edges);
  return combine_flags(p, again, jm_llvm_number(go));
}

static bool has_blocks(const jm_kernel *k, jm_kblock block) {
  const jm_kblock_fact *b = &k->blocks[block];
  for (uint32_t i = 0; i < b->n_insts; i++)
    if (k->insts[b->insts[i]].n_blocks) return true;
  return false;
}

jm_llvm_polling jm_llvm_find_polling(const jm_kernel *k, const jm_kinst_fact *f) {
  int64_t count;
  if (has_blocks(k, f->first_block)) return JM_POLL_ALWAYS;
  return jm_llvm_find_count(k, f, &count) && count < POLL_EVERY ? JM_POLL_NEVER : JM_POLL_SOMETIMES;
}

/* -- loops */

/* The body and the test behind it: everything but the phis. Fills the edges from the loop's end. */
static jm_error *print_rounds(printer *p, const jm_llvm_loop *r, uint32_t head, uint32_t exit,
                              name index, uint32_t *latch, name *next, name *yields) {
  const jm_kblock_fact *body = &p->k->blocks[r->loop->first_block];
  uint32_t made = p->n_made, n = r->in_memory ? 0 : r->loop->n_results;
  p->label = head;
  if (r->in_memory) jm_llvm_load_lanes(p, r, index);
  JM_TRY(jm_llvm_print_block(p, r->loop->first_block));
  if (r->in_memory) jm_llvm_store_lanes(p, r);
  for (uint32_t i = 0; i < n; i++)
    yields[i] = value_name(p, body->yields[i], body->first_arg + 1 + i);
  *next = jm_llvm_number(p->next++);
  jm_text_printf(p->out, "  %s = add nsw i64 %s, %u\n", next->text, index.text, (unsigned)r->step);
  name again = compare(p, "slt", next->text, r->stop.text);
  if (r->polling == JM_POLL_ALWAYS) again = combine_flags(p, again, print_poll(p));
  if (r->polling == JM_POLL_SOMETIMES) again = poll_sometimes(p, *next, again);
  *latch = p->label;
  branch(p, again.text, head, exit);
  jm_llvm_forget(p, made);
  return NULL;
}

static name *allocate_names(printer *p, uint32_t n) {
  return jm_arena_alloc(&p->arena, n ? n : 1, sizeof(name));
}

jm_error *jm_llvm_print_loop(printer *p, const jm_llvm_loop *r) {
  const jm_kblock_fact *body = &p->k->blocks[r->loop->first_block];
  uint32_t n = r->in_memory ? 0 : r->loop->n_results, before = p->label, head = p->next++,
           exit = p->next++, latch = 0;
  name *yields = allocate_names(p, n), next;
  if (!yields) return jm_error_out_of_memory();
  if (r->certain)
    jump(p, head);
  else
    branch(p, compare(p, "slt", r->start.text, r->stop.text).text, head, exit);
  jm_text *outer = p->out, inside;
  jm_text_init(&inside);
  p->out = &inside;
  uint32_t index = jm_llvm_define(p, body->first_arg, false);
  for (uint32_t i = 0; i < n; i++) {
    jm_kval carry = body->first_arg + 1 + i;
    jm_llvm_define(p, carry, jm_llvm_is_vector(p, carry));
  }
  jm_error *error = print_rounds(p, r, head, exit, jm_llvm_number(index), &latch, &next, yields);
  p->out = outer;
  begin_label(p, head);
  print_phi(p, index, jm_llvm_type(JM_KT_i64, 1), 2, (edge[]){{before, r->start}, {latch, next}});
  for (uint32_t i = 0; i < n && !error; i++) {
    jm_kval carry = body->first_arg + 1 + i;
    bool vector = jm_llvm_is_vector(p, carry);
    print_phi(p, vector ? p->vectors[carry] : p->scalars[carry], value_type(p, carry), 2,
              (edge[]){{before, r->initial[i]}, {latch, yields[i]}});
  }
  if (!error) error = jm_text_error(&inside);
  if (!error) jm_text_append(p->out, inside.bytes, inside.size);
  jm_text_deinit(&inside);
  begin_label(p, exit);
  for (uint32_t i = 0; i < n && !error; i++) {
    edge edges[2] = {{latch, yields[i]}, {before, r->initial[i]}};
    uint32_t id = p->next++;
    print_phi(p, id, value_type(p, body->first_arg + 1 + i), r->certain ? 1 : 2, edges);
    r->results[i] = id;
  }
  return error;
}

static uint32_t *allocate_numbers(printer *p, uint32_t n) {
  return jm_arena_alloc(&p->arena, n ? n : 1, sizeof(uint32_t));
}

static void take_results(printer *p, const jm_kinst_fact *f, const uint32_t *results) {
  const jm_kblock_fact *body = &p->k->blocks[f->first_block];
  for (uint32_t i = 0; i < f->n_results; i++) {
    bool vector = jm_llvm_is_vector(p, body->first_arg + 1 + i);
    (vector ? p->vectors : p->scalars)[f->first_result + i] = results[i];
  }
}

static jm_error *print_serial(printer *p, const jm_kinst_fact *f) {
  const jm_kblock_fact *body = &p->k->blocks[f->first_block];
  uint32_t n = f->n_results;
  name *initial = allocate_names(p, n);
  uint32_t *results = allocate_numbers(p, n);
  if (!initial || !results) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++)
    initial[i] = value_name(p, f->operands[2 + i], body->first_arg + 1 + i);
  int64_t count = 0;
  (void)jm_llvm_find_count(p->k, f, &count);
  jm_llvm_loop r = {.loop = f,
                    .start = jm_llvm_scalar(p, f->operands[0]),
                    .stop = jm_llvm_scalar(p, f->operands[1]),
                    .step = 1,
                    .certain = count > 0,
                    .polling = p->in_vector ? JM_POLL_NEVER : jm_llvm_find_polling(p->k, f),
                    .initial = initial,
                    .results = results};
  JM_TRY(jm_llvm_print_loop(p, &r));
  take_results(p, f, results);
  return NULL;
}

static jm_error *print_chunk(printer *p, const jm_kinst_fact *f) {
  jm_llvm_loop r = {.loop = f, .start = {"%begin"}, .stop = {"%end"}, .step = 1};
  return jm_llvm_print_loop(p, &r);
}

/* -- vector loops */

static jm_error *not_a_vector(const printer *p) {
  return jm_error_internal("kernel %s: a loop of lanes with something that no vector has",
                           p->k->name);
}

/* n vectors of w lanes become scalars: halves are combined until one lane is left. */
jm_error *jm_llvm_print_combination(printer *p, const jm_kinst_fact *f, uint32_t width,
                                    name *values) {
  const jm_kblock_fact *b = &p->k->blocks[f->first_block + 1];
  uint32_t n = f->n_results, made = p->n_made;
  for (uint32_t i = 0; i < 2 * n; i++) p->lanes[b->first_arg + i] = (jm_lane){JM_LANE_VARYING, 0};
  if (!jm_lane_find(p->k, f->first_block + 1, p->lanes)) return not_a_vector(p);
  for (uint32_t half = width / 2; half; half /= 2) {
    jm_llvm_forget(p, made);
    p->width = half;
    for (uint32_t i = 0; i < 2 * n; i++) {
      name type = jm_llvm_type(p->k->values[b->first_arg + i].type, 2 * half);
      uint32_t id = jm_llvm_define(p, b->first_arg + i, half > 1), first = i < n ? 0 : half;
      if (half == 1) {
        jm_text_printf(p->out, "  %%v%u = extractelement %s %s, i64 %u\n", (unsigned)id, type.text,
                       values[i % n].text, (unsigned)first);
        continue;
      }
      jm_text_printf(p->out, "  %%v%u = shufflevector %s %s, %s poison, <%u x i32> <", (unsigned)id,
                     type.text, values[i % n].text, type.text, (unsigned)half);
      for (uint32_t lane = 0; lane < half; lane++)
        jm_text_printf(p->out, "%si32 %u", lane ? ", " : "", (unsigned)(first + lane));
      jm_text_printf(p->out, ">\n");
    }
    JM_TRY(jm_llvm_print_block(p, f->first_block + 1));
    for (uint32_t i = 0; i < n; i++)
      values[i] = half > 1 ? jm_llvm_vector(p, b->yields[i]) : jm_llvm_scalar(p, b->yields[i]);
  }
  jm_llvm_forget(p, made);
  return NULL;
}

/* The blocks of so many lanes: from start to stop, at least one. Leaves the combined carries. */
static jm_error *print_wide(printer *p, const jm_kinst_fact *f, uint32_t width, name start,
                            name stop, name *combined) {
  const jm_kblock_fact *body = &p->k->blocks[f->first_block];
  uint32_t n = f->n_results, made = p->n_made;
  name *initial = allocate_names(p, n);
  uint32_t *results = allocate_numbers(p, n);
  if (!initial || !results) return jm_error_out_of_memory();
  p->lanes[body->first_arg] = (jm_lane){JM_LANE_AFFINE, 1};
  for (uint32_t i = 0; i < n; i++)
    p->lanes[body->first_arg + 1 + i] = (jm_lane){JM_LANE_VARYING, 0};
  if (!jm_lane_find(p->k, f->first_block, p->lanes)) return not_a_vector(p);
  p->width = width;
  p->index = body->first_arg;
  p->index_is_multiple = jm_llvm_is_multiple(p->k, f->operands[0], width, JM_KNONE);
  jm_llvm_pair_stores(p, f->first_block);
  for (uint32_t i = 0; i < n; i++) initial[i] = jm_llvm_vector(p, f->operands[2 + i]);
  jm_llvm_loop r = {.loop = f,
                    .start = start,
                    .stop = stop,
                    .step = width,
                    .certain = true,
                    .initial = initial,
                    .results = results};
  jm_error *error = jm_llvm_print_loop(p, &r);
  jm_llvm_forget(p, made);
  for (uint32_t i = 0; i < n && !error; i++) combined[i] = jm_llvm_number(results[i]);
  if (!error && n) error = jm_llvm_print_combination(p, f, width, combined);
  p->width = 1;
  p->index = JM_KNONE;
  return error;
}

static name print_binary(printer *p, const char *op, const char *x, const char *y) {
  name n = jm_llvm_number(p->next++);
  jm_text_printf(p->out, "  %s = %s i64 %s, %s\n", n.text, op, x, y);
  return n;
}

/* The lanes of a loop's wide blocks. Those of carries decide in which order they are combined; and
 * a short body's time is that of the loop around it. */
static uint32_t find_width(const printer *p, const jm_kinst_fact *f) {
  if (!p->module->brief || f->n_results || p->k->blocks[f->first_block].n_insts < LONG_BODY)
    return f->width;
  uint32_t bytes = 1; /* of the largest elements */
  for (uint32_t i = 0; i < p->k->n_params; i++)
    if (jm_ktype_bytes[p->k->params[i].element] > bytes)
      bytes = jm_ktype_bytes[p->k->params[i].element];
  const uint32_t width = p->module->target.vector_bytes / bytes;
  return width < f->width ? width : f->width;
}

/* Does no iteration remain behind the wide blocks, of w lanes? */
static bool is_even(const jm_kernel *k, const jm_kinst_fact *f, int64_t w) {
  int64_t count;
  if (jm_llvm_find_count(k, f, &count)) return count % w == 0;
  return jm_llvm_is_multiple(k, f->operands[0], w, JM_KNONE) &&
         jm_llvm_is_multiple(k, f->operands[1], w, JM_KNONE);
}

/* Where the wide blocks end; in how many iterations: known -1, else the number. */
static name find_wide_end(printer *p, const jm_kinst_fact *f, name start, name stop, int64_t *count,
                          name *enough) {
  int64_t lower, w = find_width(p, f);
  if (jm_llvm_find_count(p->k, f, count)) {
    int64_t wide = *count / w * w;
    if (*count == wide) return stop;
    if (find_constant(p->k, f->operands[0], &lower)) return integer(lower + wide);
    return print_binary(p, "add", start.text, integer(wide).text);
  }
  *count = -1;
  name n = print_binary(p, "sub", stop.text, start.text);
  *enough = compare(p, "sge", n.text, integer(w).text);
  return print_binary(p, "add", start.text, print_binary(p, "and", n.text, integer(-w).text).text);
}

/* The wide blocks of a loop whose iteration count is not known to reach the width. Advances start
 * past them, and the carries. */
static jm_error *print_wide_guarded(printer *p, const jm_kinst_fact *f, name *start, name end,
                                    name enough, name *carries) {
  uint32_t n = f->n_results, wide = p->next++, rest = p->next++, before = p->label;
  name *combined = allocate_names(p, n);
  if (!combined) return jm_error_out_of_memory();
  branch(p, enough.text, wide, rest);
  begin_label(p, wide);
  JM_TRY(print_wide(p, f, find_width(p, f), *start, end, combined));
  uint32_t after = p->label, id = p->next++;
  jump(p, rest);
  begin_label(p, rest);
  print_phi(p, id, jm_llvm_type(JM_KT_i64, 1), 2, (edge[]){{before, *start}, {after, end}});
  *start = jm_llvm_number(id);
  for (uint32_t i = 0; i < n; i++) {
    id = p->next++;
    print_phi(p, id, jm_llvm_type(p->k->values[f->first_result + i].type, 1), 2,
              (edge[]){{before, carries[i]}, {after, combined[i]}});
    carries[i] = jm_llvm_number(id);
  }
  return NULL;
}

void jm_llvm_name_results(printer *p, const jm_kinst_fact *f, const name *values) {
  for (uint32_t i = 0; i < f->n_results; i++) {
    name type = jm_llvm_type(p->k->values[f->first_result + i].type, 1);
    jm_text_printf(p->out, "  %%v%u = select i1 true, %s %s, %s %s\n",
                   (unsigned)jm_llvm_define(p, f->first_result + i, false), type.text,
                   values[i].text, type.text, values[i].text);
  }
}

/* What remains behind the wide blocks of a loop without carries, in blocks of fewer lanes, one of
 * each: advances start past them, and tells whether nothing is left for single iterations. */
static jm_error *print_narrower(printer *p, const jm_kinst_fact *f, int64_t remaining, name *start,
                                bool *even) {
  uint32_t blocks = 0;
  for (uint32_t w = f->width / 2; w >= LEAST_LANES && blocks < MOST_BLOCKS; w /= 2) {
    if (remaining < w) continue;
    name end = print_binary(p, "add", start->text, integer(w).text);
    JM_TRY(print_wide(p, f, w, *start, end, NULL));
    *start = end;
    remaining -= w;
    blocks++;
  }
  *even = !remaining;
  return NULL;
}

static jm_error *print_blocks_and_tail(printer *p, const jm_kinst_fact *f) {
  uint32_t n = f->n_results;
  name *carries = allocate_names(p, n), enough;
  uint32_t *results = allocate_numbers(p, n);
  if (!carries || !results) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) carries[i] = jm_llvm_scalar(p, f->operands[2 + i]);
  name start = jm_llvm_scalar(p, f->operands[0]), stop = jm_llvm_scalar(p, f->operands[1]);
  const uint32_t width = find_width(p, f);
  int64_t count;
  name end = find_wide_end(p, f, start, stop, &count, &enough);
  if (count < 0) {
    JM_TRY(print_wide_guarded(p, f, &start, end, enough, carries));
  } else if (count >= width) {
    JM_TRY(print_wide(p, f, width, start, end, carries));
    start = end;
  }
  bool even = is_even(p->k, f, width);
  if (!n && count > 0 && !even && !p->module->brief)
    JM_TRY(print_narrower(p, f, count % width, &start, &even));
  if (!even) {
    jm_llvm_loop tail = {.loop = f,
                         .start = start,
                         .stop = stop,
                         .step = 1,
                         .certain = count > 0,
                         .initial = carries,
                         .results = results};
    JM_TRY(jm_llvm_print_loop(p, &tail));
  }
  if (even)
    jm_llvm_name_results(p, f, carries);
  else
    take_results(p, f, results);
  return NULL;
}

static jm_error *print_vector(printer *p, const jm_kinst_fact *f) {
  if (p->in_vector)
    return jm_error_internal("kernel %s: a vector loop inside a vector loop", p->k->name);
  if (f->width == 1) return print_serial(p, f);
  p->in_vector = true;
  jm_error *error = print_blocks_and_tail(p, f);
  p->in_vector = false;
  return error;
}

/* -- while and if */

static jm_error *print_while(printer *p, const jm_kinst_fact *f) {
  const jm_kernel *k = p->k;
  const jm_kblock_fact *condition = &k->blocks[f->first_block], *body = condition + 1;
  uint32_t n = f->n_results, before = p->label, head = p->next++, round = p->next++,
           exit = p->next++;
  name *initial = allocate_names(p, n);
  if (!initial) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) {
    initial[i] = jm_llvm_scalar(p, f->operands[i]);
    uint32_t id = jm_llvm_define(p, condition->first_arg + i, false);
    p->scalars[body->first_arg + i] = p->scalars[f->first_result + i] = id;
  }
  jump(p, head);
  jm_text *outer = p->out, inside;
  jm_text_init(&inside);
  p->out = &inside;
  p->label = head;
  jm_error *error = jm_llvm_print_block(p, f->first_block);
  if (!error) {
    name go = combine_flags(p, jm_llvm_scalar(p, condition->yields[0]), print_poll(p));
    branch(p, go.text, round, exit);
    begin_label(p, round);
    error = jm_llvm_print_block(p, f->first_block + 1);
    jump(p, head);
  }
  uint32_t latch = p->label;
  p->out = outer;
  if (!error) error = jm_text_error(&inside);
  if (!error) {
    begin_label(p, head);
    for (uint32_t i = 0; i < n; i++)
      print_phi(p, p->scalars[condition->first_arg + i], value_type(p, condition->first_arg + i), 2,
                (edge[]){{before, initial[i]}, {latch, jm_llvm_scalar(p, body->yields[i])}});
    jm_text_append(p->out, inside.bytes, inside.size);
    begin_label(p, exit);
  }
  jm_text_deinit(&inside);
  return error;
}

static jm_error *print_if(printer *p, const jm_kinst_fact *f) {
  const jm_kblock_fact *sides = &p->k->blocks[f->first_block];
  uint32_t labels[2] = {p->next, p->next + 1}, merge = p->next + 2, n = f->n_results;
  p->next += 3;
  uint32_t ends[2];
  branch(p, jm_llvm_scalar(p, f->operands[0]).text, labels[0], labels[1]);
  for (uint32_t side = 0; side < 2; side++) {
    begin_label(p, labels[side]);
    JM_TRY(jm_llvm_print_block(p, f->first_block + side));
    ends[side] = p->label;
    jump(p, merge);
  }
  begin_label(p, merge);
  for (uint32_t i = 0; i < n; i++) {
    edge edges[2] = {{ends[0], jm_llvm_scalar(p, sides[0].yields[i])},
                     {ends[1], jm_llvm_scalar(p, sides[1].yields[i])}};
    print_phi(p, jm_llvm_define(p, f->first_result + i, false), value_type(p, f->first_result + i),
              2, edges);
  }
  return NULL;
}

static jm_error *print_structured(printer *p, const jm_kinst_fact *f) {
  if (f->code == JM_K_while) return print_while(p, f);
  if (f->code == JM_K_if) return print_if(p, f);
  if (f->binding == JM_BIND_VECTOR) return print_vector(p, f);
  if (f->binding == JM_BIND_THREADS) return jm_llvm_print_threads(p, f);
  return f->binding == JM_BIND_CHUNK ? print_chunk(p, f) : print_serial(p, f);
}

jm_error *jm_llvm_print_block(printer *p, jm_kblock block) {
  const jm_kblock_fact *b = &p->k->blocks[block];
  for (uint32_t i = 0; i < b->n_insts; i++) {
    const jm_kinst_fact *f = &p->k->insts[b->insts[i]];
    if (f->n_blocks)
      JM_TRY(print_structured(p, f));
    else
      jm_llvm_print_inst(p, b->insts[i]);
  }
  return NULL;
}

/* -- functions */

/* Scopes of memory: accesses of one group touch nothing of the others. */
static void print_scopes(printer *p) {
  jm_text *out = &p->module->metadata;
  unsigned domain = p->first_metadata, n = p->n_groups;
  p->module->next_metadata += 1 + 3 * n;
  jm_text_printf(out, "!%u = distinct !{!%u}\n", domain, domain);
  for (unsigned i = 0; i < n; i++)
    jm_text_printf(out, "!%u = distinct !{!%u, !%u}\n!%u = !{!%u}\n", domain + 1 + i,
                   domain + 1 + i, domain, domain + 1 + n + i, domain + 1 + i);
  for (unsigned i = 0; i < n; i++) {
    jm_text_printf(out, "!%u = !{", domain + 1 + 2 * n + i);
    for (unsigned j = 0, written = 0; j < n; j++)
      if (j != i) jm_text_printf(out, "%s!%u", written++ ? ", " : "", domain + 1 + j);
    jm_text_printf(out, "}\n");
  }
}

/* All that is only read is one group. */
static void find_groups(printer *p) {
  const jm_kernel *k = p->k;
  p->n_groups = 1;
  for (uint32_t i = 0; i < k->n_params; i++) {
    bool written = false;
    uint32_t first = i;
    for (uint32_t j = k->n_params; j--;) {
      if (!jm_kparam_overlaps(&k->params[i], &k->params[j])) continue;
      written |= k->params[j].written;
      first = j;
    }
    if (written) p->groups[i] = first < i ? p->groups[first] : p->n_groups++;
  }
}

static void print_params(printer *p) {
  uint32_t n_buffers = 0;
  size_t scratch = 0;
  for (uint32_t i = 0; i < p->k->n_params; i++) {
    const jm_kparam *param = &p->k->params[i];
    if (param->space == JM_SPACE_GLOBAL) {
      jm_text_printf(p->out,
                     "  %%a%u = getelementptr inbounds ptr, ptr %%buffers, i64 %u\n"
                     "  %%p%u = load ptr, ptr %%a%u, align 8, !invariant.load !0\n",
                     (unsigned)i, (unsigned)n_buffers++, (unsigned)i, (unsigned)i);
    } else {
      jm_text_printf(p->out, "  %%p%u = getelementptr inbounds i8, ptr %%scratch, i64 %zu\n",
                     (unsigned)i, scratch);
      scratch += jm_kparam_bytes(param);
    }
  }
}

static jm_error *print_body(printer *p, bool streams) {
  p->streams = streams;
  JM_TRY(jm_llvm_print_block(p, 0));
  /* Processors order such stores less than others. */
  jm_text_printf(p->out, "%s  ret void\n", streams ? "  fence seq_cst\n" : "");
  return NULL;
}

static jm_error *print_bodies(printer *p) {
  if (p->module->brief || !jm_llvm_find_streams(p)) return print_body(p, false);
  uint32_t aligned = p->next++, other = p->next++;
  branch(p, jm_llvm_print_stream_check(p).text, aligned, other);
  begin_label(p, aligned);
  JM_TRY(print_body(p, true));
  begin_label(p, other);
  return print_body(p, false);
}

static jm_error *print_function(printer *p, const char *symbol) {
  const jm_kernel *k = p->k;
  size_t values = k->n_values, insts = k->n_insts;
  p->scalars = jm_arena_alloc(&p->arena, values + 1, sizeof *p->scalars);
  p->vectors = jm_arena_alloc(&p->arena, values + 1, sizeof *p->vectors);
  p->made = jm_arena_alloc(&p->arena, values + 1, sizeof *p->made);
  p->lanes = jm_arena_alloc(&p->arena, values + 1, sizeof *p->lanes);
  p->narrow = jm_arena_alloc(&p->arena, values + 1, sizeof *p->narrow);
  p->partners = jm_arena_alloc(&p->arena, insts + 1, sizeof *p->partners);
  p->put_off = jm_arena_alloc(&p->arena, insts + 1, sizeof *p->put_off);
  p->groups = jm_arena_alloc(&p->arena, (size_t)k->n_params + 1, sizeof *p->groups);
  p->streamed = jm_arena_alloc(&p->arena, (size_t)k->n_params + 1, sizeof *p->streamed);
  jm_krange *ranges = jm_arena_alloc(&p->arena, values + 1, sizeof *ranges);
  if (!ranges || !p->scalars || !p->vectors || !p->made || !p->lanes || !p->narrow ||
      !p->partners || !p->put_off || !p->groups || !p->streamed)
    return jm_error_out_of_memory();
  memset(p->partners, 0xff, insts * sizeof *p->partners); /* JM_KNONE */
  jm_krange_find_all(k, ranges);
  jm_lane_narrow(k, ranges, p->narrow);
  find_groups(p);
  print_scopes(p);
  jm_text_printf(p->out,
                 "define void @%s(ptr noalias %%buffers, ptr noalias %%scratch, i64 %%begin, "
                 "i64 %%end, ptr %%cancelled) #0 {\nb0:\n",
                 symbol);
  /* A flag that is never set, for callers that pass none. */
  jm_text_printf(p->out,
                 "  %%never = alloca i8, align 1\n  store i8 0, ptr %%never, align 1\n"
                 "  %%none = icmp eq ptr %%cancelled, null\n"
                 "  %%flag = select i1 %%none, ptr %%never, ptr %%cancelled\n");
  size_t lanes = jm_llvm_lane_bytes(k, 0);
  if (lanes) jm_text_printf(p->out, "  %%lanes = alloca [%zu x i8], align 64\n", lanes);
  print_params(p);
  JM_TRY(print_bodies(p));
  jm_text_printf(p->out, "}\n");
  return jm_text_error(p->out);
}

jm_error *jm_llvm_module_create(const jm_target *target, jm_llvm_module **out) {
  jm_llvm_module *module = jm_alloc(1, sizeof *module);
  if (!module) return jm_error_out_of_memory();
  module->target = *target;
  jm_text_init(&module->declarations);
  jm_text_init(&module->functions);
  jm_text_init(&module->metadata);
  jm_text_init(&module->all);
  jm_text_printf(&module->metadata, "!0 = !{}\n!1 = !{i32 1}\n");
  module->next_metadata = 2;
  *out = module;
  return NULL;
}

void jm_llvm_module_shorten(jm_llvm_module *module) { module->brief = true; }

void jm_llvm_module_destroy(jm_llvm_module *module) {
  if (!module) return;
  jm_text_deinit(&module->declarations);
  jm_text_deinit(&module->functions);
  jm_text_deinit(&module->metadata);
  jm_text_deinit(&module->all);
  jm_free(module);
}

jm_error *jm_llvm_module_add(jm_llvm_module *module, const jm_kernel *kernel, const char *symbol) {
  printer p = {.module = module,
               .k = kernel,
               .out = &module->functions,
               .width = 1,
               .next = 1,
               .index = JM_KNONE,
               .first_metadata = module->next_metadata};
  jm_arena_init(&p.arena);
  jm_error *error = print_function(&p, symbol);
  jm_arena_deinit(&p.arena);
  return error;
}

jm_error *jm_llvm_module_finish(jm_llvm_module *module, const char **text) {
  JM_TRY(jm_text_error(&module->declarations));
  JM_TRY(jm_text_error(&module->functions));
  JM_TRY(jm_text_error(&module->metadata));
  jm_text *all = &module->all;
  const jm_text *parts[] = {&module->declarations, &module->functions, &module->metadata};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (parts[i]->size) jm_text_append(all, parts[i]->bytes, parts[i]->size);
  /* Types wider than this would be split where the target says so; see vector_bytes. */
  unsigned bits = 8 * module->target.vector_bytes;
  jm_text_printf(all,
                 "attributes #0 = { nounwind \"min-legal-vector-width\"=\"%u\" "
                 "\"prefer-vector-width\"=\"%u\" }\n",
                 bits > 256 ? bits : 0, bits);
  JM_TRY(jm_text_error(all));
  *text = jm_text_bytes(all);
  return NULL;
}
