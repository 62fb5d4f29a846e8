/* SPDX-License-Identifier: Apache-2.0
 * A lazy engine evaluates steps in an order of its own, but operands before results. So when a step
 * s runs, these are in memory, whatever the order is:
 *
 *   - what a step that s needs has made, if s reads it, or a step that needs the result of s, or if
 *     it is a result of the program;
 *   - the results of s, but for bytes of operands that nothing reads later: those may be reused;
 *   - arguments that are not donated, for the caller holds them, and donated ones that s, or a step
 *     that needs its result, reads.
 *
 * The peak is that of the step with the largest sum. Only values that are memory of their own count
 * (jm_step_code.allocates), and only steps that are certain to run: loops and branches may leave
 * alone what they are given, and what they compute inside is not looked at. */
#include "plan/peak.h"

#include "ir/print.h"

enum {
  LEAST_BYTES = 4096, /* smaller values may be on the host, and matter little */
  MOST_STEPS = 8192,  /* sets of steps take a bit for each pair: 16 MiB */
};

typedef struct reader {
  uint32_t step, next; /* next: of the same value, JM_NONE */
} reader;

typedef struct finder {
  const jm_plan *plan;
  const jm_module *m;
  const jm_region *entry;
  const jm_block *block; /* of the entry */
  size_t words;          /* of a set of steps */
  uint64_t *before;      /* per step: the steps that it needs, */
  uint64_t *after;       /* and those that need it */
  uint64_t *live;        /* the steps at which the value at hand is in memory */
  uint32_t *step_of;   /* per value: where it is made, JM_NONE: an argument, or not in the entry */
  jm_value *memory_of; /* per value: the one that it is a reshape of */
  bool *returned;      /* per value */
  bool *read;          /* per value: by a step that is certain to run */
  bool *certain;       /* per step */
  uint32_t *first_reader;   /* per value */
  reader *readers;          /* per operand of the plan */
  size_t *bytes, *reusable; /* per step */
  jm_arena arena;
} finder;

static bool has(const uint64_t *set, uint32_t step) { return set[step / 64] >> (step % 64) & 1; }
static void add(uint64_t *set, uint32_t step) { set[step / 64] |= UINT64_C(1) << (step % 64); }
static uint64_t *before(const finder *f, uint32_t step) { return f->before + step * f->words; }
static uint64_t *after(const finder *f, uint32_t step) { return f->after + step * f->words; }

static size_t counted_bytes(const jm_module *m, jm_value v) {
  const size_t bytes = jm_type_bytes(jm_module_typeof(m, v));
  return bytes >= LEAST_BYTES ? bytes : 0;
}

static bool is_donated(const jm_module *m, uint32_t argument) {
  const jm_argument_fact *fact = &m->arguments[argument];
  return fact->alias >= 0 || fact->donor;
}

static bool allocates(const jm_step *step) { return step->code && step->code->allocates; }

/* Does every run of the step read what it is given? */
static bool consumes(const finder *f, const jm_step *step) {
  const jm_opcode code = jm_module_op(f->m, step->op)->code;
  return step->kind == JM_STEP_OP && code != JM_OP_dynamic_update_slice && code != JM_OP_scatter;
}

static jm_error *finder_init(finder *f, const jm_plan *plan) {
  const uint32_t n = plan->blocks[0].n_steps, n_values = plan->module->n_values;
  *f = (finder){.plan = plan,
                .m = plan->module,
                .entry = jm_module_region(plan->module, plan->module->entry),
                .block = &plan->blocks[0],
                .words = n / 64 + 1};
  jm_arena *a = &f->arena;
  jm_arena_init(a);
  f->before = jm_arena_alloc(a, n * f->words + 1, sizeof *f->before);
  f->after = jm_arena_alloc(a, n * f->words + 1, sizeof *f->after);
  f->live = jm_arena_alloc(a, f->words, sizeof *f->live);
  f->step_of = jm_arena_alloc(a, n_values + 1, sizeof *f->step_of);
  f->memory_of = jm_arena_alloc(a, n_values + 1, sizeof *f->memory_of);
  f->returned = jm_arena_alloc(a, n_values + 1, sizeof *f->returned);
  f->read = jm_arena_alloc(a, n_values + 1, sizeof *f->read);
  f->certain = jm_arena_alloc(a, n + 1, sizeof *f->certain);
  f->first_reader = jm_arena_alloc(a, n_values + 1, sizeof *f->first_reader);
  f->readers = jm_arena_alloc(a, plan->n_operands + 1, sizeof *f->readers);
  f->bytes = jm_arena_alloc(a, n + 1, sizeof *f->bytes);
  f->reusable = jm_arena_alloc(a, n + 1, sizeof *f->reusable);
  if (!f->before || !f->after || !f->live || !f->step_of || !f->memory_of || !f->returned ||
      !f->read || !f->certain || !f->first_reader || !f->readers || !f->bytes || !f->reusable)
    return jm_error_out_of_memory();
  for (jm_value v = 0; v < n_values; v++) {
    f->step_of[v] = f->first_reader[v] = JM_NONE;
    f->memory_of[v] = v;
  }
  return NULL;
}

/* Which steps need which. */
static void steps_relate(finder *f) {
  for (uint32_t s = 0; s < f->block->n_steps; s++) {
    const jm_step *step = &f->block->steps[s];
    const jm_operand *reads = jm_step_reads(f->plan, step);
    for (uint32_t i = 0; i < step->n_reads; i++) {
      const uint32_t from = f->step_of[reads[i].value];
      if (from == JM_NONE || has(before(f, s), from)) continue;
      add(before(f, s), from);
      for (size_t w = 0; w < f->words; w++) before(f, s)[w] |= before(f, from)[w];
    }
    const jm_operand *writes = jm_step_writes(f->plan, step);
    for (uint32_t i = 0; i < step->n_writes; i++) f->step_of[writes[i].value] = s;
    if (jm_module_op(f->m, step->op)->code == JM_OP_reshape)
      f->memory_of[writes[0].value] = f->memory_of[reads[0].value];
  }
  for (uint32_t s = f->block->n_steps; s--;)
    for (uint32_t from = 0; from < s; from++)
      if (has(before(f, s), from)) add(after(f, from), s);
}

static void reader_add(finder *f, jm_value v, uint32_t operand, uint32_t step) {
  const jm_value memory = f->memory_of[v];
  f->readers[operand] = (reader){step, f->first_reader[memory]};
  f->first_reader[memory] = operand;
}

/* Which steps are certain to run, and what those read. */
static void steps_follow(finder *f) {
  for (uint32_t i = 0; i < f->entry->n_results; i++) {
    f->read[f->entry->results[i]] = true;
    f->returned[f->memory_of[f->entry->results[i]]] = true;
  }
  for (uint32_t s = f->block->n_steps; s--;) {
    const jm_step *step = &f->block->steps[s];
    const jm_operand *operands = jm_step_reads(f->plan, step);
    for (uint32_t i = 0; i < step->n_writes; i++)
      f->certain[s] |= f->read[operands[step->n_reads + i].value];
    if (!f->certain[s] || !consumes(f, step)) continue;
    for (uint32_t i = 0; i < step->n_reads; i++) {
      f->read[operands[i].value] = true;
      reader_add(f, operands[i].value, step->first_operand + i, s);
    }
  }
}

/* Counts a value that is made by a step (JM_NONE: before all) where it is certainly in memory. */
static void value_count(finder *f, jm_value v, uint32_t made_by) {
  const size_t bytes = counted_bytes(f->m, v);
  const uint32_t n = f->block->n_steps;
  if (!bytes) return;
  for (size_t w = 0; w < f->words; w++) f->live[w] = f->returned[v] ? UINT64_MAX : 0;
  for (uint32_t r = f->first_reader[v]; r != JM_NONE; r = f->readers[r].next) {
    const uint32_t s = f->readers[r].step;
    for (size_t w = 0; w < f->words; w++) f->live[w] |= before(f, s)[w];
    add(f->live, s);
  }
  for (uint32_t s = 0; s < n; s++)
    if (has(f->live, s) && (made_by == JM_NONE || has(after(f, made_by), s))) f->bytes[s] += bytes;
  uint32_t last = JM_NONE; /* a step's readers are next to each other */
  for (uint32_t r = f->first_reader[v]; r != JM_NONE; r = f->readers[r].next) {
    const uint32_t s = f->readers[r].step;
    uint64_t later = 0;
    for (size_t w = 0; w < f->words; w++) later |= f->live[w] & after(f, s)[w];
    if (!later && !f->returned[v] && s != last) f->reusable[s] += bytes;
    last = s;
  }
}

/* The bytes of the step's results that need new memory. */
static size_t made_bytes(const finder *f, uint32_t s) {
  const jm_step *step = &f->block->steps[s];
  const jm_operand *writes = jm_step_writes(f->plan, step);
  size_t made = 0;
  for (uint32_t i = 0; allocates(step) && i < step->n_writes; i++)
    made += counted_bytes(f->m, writes[i].value);
  return made > f->reusable[s] ? made - f->reusable[s] : 0;
}

static void peak_take(finder *f, jm_plan_peak *out) {
  int64_t donated = 0;
  for (uint32_t i = 0; i < f->entry->n_args; i++) {
    if (!is_donated(f->m, i)) continue;
    donated += (int64_t)counted_bytes(f->m, f->entry->first_arg + i);
    value_count(f, f->entry->first_arg + i, JM_NONE);
  }
  for (uint32_t s = 0; s < f->block->n_steps; s++) {
    const jm_step *step = &f->block->steps[s];
    const jm_operand *writes = jm_step_writes(f->plan, step);
    if (!f->certain[s] || !allocates(step)) continue;
    for (uint32_t i = 0; i < step->n_writes; i++) value_count(f, writes[i].value, s);
  }
  for (uint32_t s = 0; s < f->block->n_steps; s++) {
    const int64_t bytes = (int64_t)(f->bytes[s] + made_bytes(f, s)) - donated;
    if (f->certain[s] && (out->op == JM_NONE || bytes > out->bytes))
      *out = (jm_plan_peak){true, bytes, f->block->steps[s].op};
  }
}

/* All values together. */
static size_t bytes_of_all(const jm_plan *plan) {
  const jm_region *entry = jm_module_region(plan->module, plan->module->entry);
  size_t bytes = 0;
  for (uint32_t i = 0; i < entry->n_args; i++)
    bytes += jm_type_bytes(jm_module_typeof(plan->module, entry->first_arg + i));
  for (uint32_t s = 0; s < plan->blocks[0].n_steps; s++) {
    const jm_step *step = &plan->blocks[0].steps[s];
    const jm_operand *writes = jm_step_writes(plan, step);
    for (uint32_t i = 0; allocates(step) && i < step->n_writes; i++)
      bytes += counted_bytes(plan->module, writes[i].value);
  }
  return bytes;
}

jm_error *jm_plan_find_peak(jm_plan *plan) {
  finder f;
  plan->peak = (jm_plan_peak){.op = JM_NONE};
  const int64_t memory = plan->engine->fact.memory_bytes; /* 0: of a device that isn't there */
  if (memory <= 0 || bytes_of_all(plan) <= (size_t)memory) return NULL;
  plan->peak.can_exceed = true;
  if (plan->blocks[0].n_steps > MOST_STEPS) return NULL;
  jm_error *error = finder_init(&f, plan);
  if (!error) {
    steps_relate(&f);
    steps_follow(&f);
    peak_take(&f, &plan->peak);
  }
  jm_arena_deinit(&f.arena);
  return error;
}

/* -- a run */

jm_error *jm_plan_check_peak(const jm_plan *plan, int64_t arguments) {
  const int64_t memory = plan->engine->fact.memory_bytes;
  const int64_t needed = arguments + plan->peak.bytes;
  if (needed <= memory) return NULL;
  jm_error *error = jm_error_create(JM_RESOURCE_EXHAUSTED,
                                    "the program '%s' needs at least %lld bytes of memory at once, "
                                    "%lld of them for its arguments; %s has %lld",
                                    plan->module->name, (long long)needed, (long long)arguments,
                                    plan->engine->fact.device_kind, (long long)memory);
  if (plan->peak.op == JM_NONE) return error;
  jm_text text;
  jm_text_init(&text);
  jm_op_describe(plan->module, jm_module_op(plan->module, plan->peak.op), &text);
  error = jm_error_note(error, "for %s", jm_text_bytes(&text));
  jm_text_deinit(&text);
  return error;
}
