/* SPDX-License-Identifier: Apache-2.0
 * Kernels as C: functions and control. An SSA value is a variable that is written once; a value
 * carried or returned by a loop or an `if` is a variable declared before it. */
#include "kernel/print/c.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernel/print/c_printer.h"
#include "kernel/print/lanes.h"

typedef jm_c_printer printer;

/* -- lines */

static void put_line(printer *p, const char *end, const char *format, va_list args) {
  char line[512];
  vsnprintf(line, sizeof line, format, args);
  jm_text_printf(p->out, "%*s%s%s\n", (int)(2 * p->indent), "", line, end);
}

void jm_c_line(printer *p, const char *format, ...) {
  va_list args;
  va_start(args, format);
  put_line(p, "", format, args);
  va_end(args);
}

void jm_c_open(printer *p, const char *format, ...) {
  va_list args;
  va_start(args, format);
  put_line(p, *format ? " {" : "{", format, args);
  va_end(args);
  p->indent++;
}

void jm_c_close(printer *p) {
  p->indent--;
  jm_c_line(p, "}");
}

/* -- lists of values */

void jm_c_alias(printer *p, jm_kval first, jm_kval of, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) p->names[first + i] = p->names[of + i];
}

void jm_c_declare(printer *p, jm_kval first, const jm_kval *initial, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    const jm_c_name from = jm_c_value(p, initial[i]);
    jm_c_line(p, "%s %s = %s;", jm_c_type(p, first + i), jm_c_define(p, first + i).text, from.text);
  }
}

void jm_c_assign(printer *p, jm_kval first, const jm_kval *yields, uint32_t n) {
  bool crossing = false; /* a later variable takes what an earlier one had */
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t j = 0; j < i; j++)
      crossing |= p->names[yields[i]] && p->names[yields[i]] == p->names[first + j];
  const uint32_t moved = p->next;
  if (crossing) {
    p->next += n;
    for (uint32_t i = 0; i < n; i++)
      jm_c_line(p, "%s v%u = %s;", jm_c_type(p, first + i), (unsigned)(moved + i),
                jm_c_value(p, yields[i]).text);
  }
  for (uint32_t i = 0; i < n; i++) {
    const jm_c_name to = jm_c_value(p, first + i), from = jm_c_value(p, yields[i]);
    if (crossing)
      jm_c_line(p, "%s = v%u;", to.text, (unsigned)(moved + i));
    else if (strcmp(to.text, from.text))
      jm_c_line(p, "%s = %s;", to.text, from.text);
  }
}

/* -- control */

/* The counter is the index itself where both are known to fit 32 bits, behind the last step too. */
void jm_c_open_loop(printer *p, const jm_kinst_fact *f, const char *offset, uint32_t step) {
  const jm_kval index = p->k->blocks[f->first_block].first_arg;
  const jm_c_name lower = jm_c_signed(p, f->operands[0]), upper = jm_c_signed(p, f->operands[1]);
  const bool is_short = p->narrow[index] && p->narrow[f->operands[0]] &&
                        p->narrow[f->operands[1]] &&
                        p->ranges[f->operands[1]].hi <= INT32_MAX - JM_MOST_THREADS;
  jm_c_name counter = jm_c_define(p, index), next;
  if (!is_short) counter.text[0] = 'i';
  if (step == 1)
    snprintf(next.text, sizeof next.text, "%s++", counter.text);
  else
    snprintf(next.text, sizeof next.text, "%s += %u", counter.text, (unsigned)step);
  jm_c_open(p, "for (%s %s = %s%s%s; %s < %s; %s)",
            p->d->signed_types[is_short ? JM_KT_i32 : JM_KT_i64], counter.text, lower.text,
            *offset ? " + " : "", offset, counter.text, upper.text, next.text);
  if (!is_short)
    jm_c_line(p, "%s %s = (%s)%s;", jm_c_type(p, index), jm_c_value(p, index).text,
              jm_c_type(p, index), counter.text);
}

static jm_error *print_serial(printer *p, const jm_kinst_fact *f) {
  const jm_kblock_fact *body = &p->k->blocks[f->first_block];
  const uint32_t n = f->n_results;
  jm_c_declare(p, body->first_arg + 1, f->operands + 2, n);
  jm_c_open_loop(p, f, "", 1);
  JM_TRY(jm_c_print_block(p, f->first_block));
  jm_c_assign(p, body->first_arg + 1, body->yields, n);
  jm_c_close(p);
  if (n) jm_c_alias(p, f->first_result, body->first_arg + 1, n);
  return NULL;
}

/* Groups take chunk iterations in turns; a jm_kernel_fn has a range of them. */
static jm_error *print_chunk(printer *p, const jm_kinst_fact *f) {
  const jm_kval index = p->k->blocks[f->first_block].first_arg;
  const char *number = p->d->signed_types[JM_KT_i64];
  if (p->d->group)
    jm_c_open(p, "for (%s chunk = %s; chunk < %" PRId64 "; chunk += %s)", number, p->d->group,
              p->k->chunks, p->d->groups);
  else
    jm_c_open(p, "for (%s chunk = begin; chunk < end; chunk++)", number);
  jm_c_line(p, "%s %s = (%s)chunk;", jm_c_type(p, index), jm_c_define(p, index).text,
            jm_c_type(p, index));
  JM_TRY(jm_c_print_block(p, f->first_block));
  jm_c_close(p);
  return NULL;
}

static jm_error *print_while(printer *p, const jm_kinst_fact *f) {
  const jm_kblock_fact *condition = &p->k->blocks[f->first_block], *body = condition + 1;
  const uint32_t n = f->n_operands;
  if (n) {
    jm_c_declare(p, condition->first_arg, f->operands, n);
    jm_c_alias(p, body->first_arg, condition->first_arg, n);
  }
  jm_c_open(p, "for (;;)");
  JM_TRY(jm_c_print_block(p, f->first_block));
  jm_c_line(p, "if (!%s) break;", jm_c_value(p, condition->yields[0]).text);
  JM_TRY(jm_c_print_block(p, f->first_block + 1));
  if (n) jm_c_assign(p, condition->first_arg, body->yields, n);
  jm_c_close(p);
  if (n) jm_c_alias(p, f->first_result, condition->first_arg, n);
  return NULL;
}

static jm_error *print_if(printer *p, const jm_kinst_fact *f) {
  const jm_kblock_fact *sides = &p->k->blocks[f->first_block];
  for (uint32_t i = 0; i < f->n_results; i++)
    jm_c_line(p, "%s %s;", jm_c_type(p, f->first_result + i),
              jm_c_define(p, f->first_result + i).text);
  jm_c_open(p, "if (%s)", jm_c_value(p, f->operands[0]).text);
  for (uint32_t side = 0; side < 2; side++) {
    JM_TRY(jm_c_print_block(p, f->first_block + side));
    if (f->n_results) jm_c_assign(p, f->first_result, sides[side].yields, f->n_results);
    jm_c_close(p);
    if (!side) jm_c_open(p, "else");
  }
  return NULL;
}

static jm_error *print_structured(printer *p, const jm_kinst_fact *f) {
  if (f->code == JM_K_while) return print_while(p, f);
  if (f->code == JM_K_if) return print_if(p, f);
  switch (f->binding) {
    case JM_BIND_CHUNK:
      return print_chunk(p, f);
    case JM_BIND_THREADS:
      return jm_c_print_threads(p, f);
    case JM_BIND_VECTOR:
      return jm_c_print_vector(p, f);
    default:
      return print_serial(p, f);
  }
}

jm_error *jm_c_print_block(printer *p, jm_kblock block) {
  const jm_kblock_fact *b = &p->k->blocks[block];
  for (uint32_t i = 0; i < b->n_insts; i++) {
    const jm_kinst_fact *f = &p->k->insts[b->insts[i]];
    JM_TRY(f->n_blocks ? print_structured(p, f) : jm_c_print_inst(p, f));
  }
  return NULL;
}

/* -- limits */

uint32_t jm_c_threads(const jm_kernel *kernel) {
  const uint32_t threads = jm_kernel_threads(kernel);
  return threads ? threads : 1;
}

size_t jm_c_shared_bytes(const jm_kernel *kernel) {
  return jm_kernel_scratch_bytes(kernel) + jm_c_exchange_bytes(kernel);
}

static jm_error *check_limits(const printer *p) {
  const jm_kernel *k = p->k;
  const jm_c_dialect *d = p->d;
  uint32_t n_buffers = 0;
  for (uint32_t i = 0; i < k->n_params; i++) {
    n_buffers += k->params[i].space == JM_SPACE_GLOBAL;
    if (k->params[i].element == JM_KT_f64 && !d->has_f64)
      return jm_error_unimplemented("kernel %s: memory of f64 in %s", k->name, d->name);
  }
  if (!d->lane) return NULL;
  if (n_buffers > d->max_buffers)
    return jm_error_unimplemented("kernel %s: %u buffers in %s, which has %u", k->name,
                                  (unsigned)n_buffers, d->name, (unsigned)d->max_buffers);
  if (p->threads > d->max_threads)
    return jm_error_unimplemented("kernel %s: %u threads in %s, which has %u", k->name,
                                  (unsigned)p->threads, d->name, (unsigned)d->max_threads);
  if (jm_c_shared_bytes(k) > d->max_shared)
    return jm_error_unimplemented("kernel %s: %zu bytes of shared memory in %s, which has %zu",
                                  k->name, jm_c_shared_bytes(k), d->name, d->max_shared);
  return NULL;
}

/* -- functions */

/* May a pointer be `restrict`? Not memory that one thread writes and another one reads: for the
 * compiler a barrier does not change memory that is reachable through a restrict pointer alone, and
 * nvcc 13 then moves loads across barriers. */
static bool is_restricted(const printer *p, uint32_t param) {
  const jm_kernel *k = p->k;
  if (p->d->lane && p->threads > 1 && k->params[param].written) return false;
  for (uint32_t i = 0; i < k->n_params; i++)
    if (i != param && jm_kparam_overlaps(&k->params[i], &k->params[param])) return false;
  return true;
}

static const char *const_of(const jm_kparam *param) { return param->written ? "" : "const "; }

static void print_parameters(printer *p) {
  const jm_kernel *k = p->k;
  uint32_t n = 0;
  for (uint32_t i = 0; i < k->n_params; i++) {
    const jm_kparam *param = &k->params[i];
    if (param->space != JM_SPACE_GLOBAL) continue;
    jm_c_name name;
    snprintf(name.text, sizeof name.text, "p%u", (unsigned)i);
    jm_text_printf(p->out, n ? ",\n    " : "\n    ");
    jm_text_printf(p->out, p->d->parameter, const_of(param), p->d->types[param->element],
                   is_restricted(p, i) ? p->d->restricted : "", name.text, (unsigned)n);
    n++;
  }
  jm_text_printf(p->out, "%s) {\n", p->d->more_parameters);
}

/* A jm_kernel_fn takes its memory from arrays of pointers. */
static void print_addresses(printer *p) {
  const jm_kernel *k = p->k;
  uint32_t n = 0;
  size_t scratch = 0;
  for (uint32_t i = 0; i < k->n_params; i++) {
    const jm_kparam *param = &k->params[i];
    const char *type = p->d->types[param->element];
    if (param->space == JM_SPACE_GLOBAL) {
      jm_c_line(p, "%s%s *%sp%u = buffers[%u];", const_of(param), type,
                is_restricted(p, i) ? p->d->restricted : "", (unsigned)i, (unsigned)n++);
    } else {
      jm_c_line(p, "%s *p%u = (%s *)((char *)scratch + %zu);", type, (unsigned)i, type, scratch);
      scratch += jm_kparam_bytes(param);
    }
  }
}

static void print_shared(printer *p) {
  const jm_kernel *k = p->k;
  for (uint32_t i = 0; i < k->n_params; i++)
    if (k->params[i].space == JM_SPACE_SCRATCH)
      jm_c_line(p, "%s %s p%u[%" PRId64 "];", p->d->shared, p->d->types[k->params[i].element],
                (unsigned)i, k->params[i].elements > 0 ? k->params[i].elements : 1);
  if (p->threads > 1) {
    jm_c_print_exchange(p);
    jm_c_line(p, "const int jm_lane = (int)%s;", p->d->lane);
  }
}

static jm_error *print_whole(printer *p, const char *symbol) {
  const jm_kernel *k = p->k;
  const size_t values = k->n_values;
  p->names = jm_arena_alloc(&p->arena, values + 1, sizeof *p->names);
  p->narrow = jm_arena_alloc(&p->arena, values + 1, sizeof *p->narrow);
  p->ranges = jm_arena_alloc(&p->arena, values + 1, sizeof *p->ranges);
  if (!p->names || !p->narrow || !p->ranges) return jm_error_out_of_memory();
  JM_TRY(check_limits(p));
  jm_krange_find_all(k, p->ranges);
  jm_lane_narrow(k, p->ranges, p->narrow);
  if (symbol) {
    jm_text_printf(p->out, p->d->function, symbol);
    if (p->d->parameter) print_parameters(p);
    p->indent = 1;
  }
  if (p->d->lane)
    print_shared(p);
  else
    print_addresses(p);
  JM_TRY(jm_c_print_block(p, 0));
  if (symbol) jm_text_printf(p->out, "}\n");
  return jm_text_error(p->out);
}

static jm_error *print_kernel(const jm_kernel *kernel, const jm_c_dialect *dialect,
                              const char *symbol, jm_text *text) {
  printer p = {.k = kernel,
               .d = dialect,
               .out = text,
               .next = 1,
               .has_parameters = symbol != NULL,
               .threads = jm_c_threads(kernel)};
  jm_arena_init(&p.arena);
  jm_error *error = print_whole(&p, symbol);
  jm_arena_deinit(&p.arena);
  return error;
}

jm_error *jm_c_print_function(const jm_kernel *kernel, const jm_c_dialect *dialect,
                              const char *symbol, jm_text *text) {
  return print_kernel(kernel, dialect, symbol, text);
}

jm_error *jm_c_print_body(const jm_kernel *kernel, const jm_c_dialect *dialect, jm_text *text) {
  return print_kernel(kernel, dialect, NULL, text);
}
