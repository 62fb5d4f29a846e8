/* SPDX-License-Identifier: Apache-2.0
 * Reads the text form back (print.c), for tests and for people: exactly the instructions of the
 * text, nothing folded or moved. Errors carry the line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/ir/builder.h"

typedef struct reader {
  jm_kernel *kernel;
  const char *at, *end;
  uint32_t line;
  jm_kval *values; /* by number in the text */
  uint32_t n_values, values_capacity;
  jm_arena arena; /* of values */
  jm_error *error;
  uint32_t depth;
} reader;

enum { MAX_OPERANDS = 4096, MAX_DEPTH = 64 };

/* ---- words */

static void fail(reader *r, const char *what) {
  if (!r->error) r->error = jm_error_invalid("kernel text, line %u: %s", r->line, what);
}

static void out_of_memory(reader *r) {
  if (!r->error) r->error = jm_error_out_of_memory();
}

static void skip(reader *r) {
  while (r->at < r->end && strchr(" \n\t\r", *r->at)) r->line += *r->at++ == '\n';
}

static bool accept(reader *r, const char *word) {
  size_t n = strlen(word);
  skip(r);
  if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0) return false;
  r->at += n;
  return true;
}

static void expect(reader *r, const char *word) {
  char what[64];
  if (r->error || accept(r, word)) return;
  snprintf(what, sizeof what, "%s is missing", word);
  fail(r, what);
}

/* A name of letters and digits; "" if there is none. */
static void read_word(reader *r, char *out, size_t size) {
  size_t n = 0;
  skip(r);
  while (r->at < r->end && (('a' <= *r->at && *r->at <= 'z') || ('0' <= *r->at && *r->at <= '9')) &&
         n + 1 < size)
    out[n++] = *r->at++;
  out[n] = 0;
}

static uint64_t read_number(reader *r) {
  char digits[32];
  size_t n = 0;
  skip(r);
  while (r->at < r->end && n + 1 < sizeof digits && strchr("-0123456789xabcdef", *r->at))
    digits[n++] = *r->at++;
  digits[n] = 0;
  char *stop = digits;
  errno = 0;
  uint64_t value =
      digits[0] == '-' ? (uint64_t)strtoll(digits, &stop, 0) : strtoull(digits, &stop, 0);
  if (!n || *stop || errno) fail(r, "a number is missing");
  return value;
}

static jm_ktype read_type(reader *r) {
  char word[8];
  read_word(r, word, sizeof word);
  for (jm_ktype t = 0; t < JM_N_KTYPES; t++)
    if (!strcmp(word, jm_ktype_names[t])) return t;
  fail(r, "a type is missing");
  return JM_KT_i1;
}

/* ---- parts of the kernel */

#define GROW(r, array, count, capacity) \
  grow(r, (void **)&(array), count, &(capacity), sizeof *(array))
static bool grow(reader *r, void **array, uint32_t count, uint32_t *capacity, size_t size) {
  void *grown = jm_arena_grow(&r->kernel->arena, *array, count, capacity, size);
  if (grown)
    *array = grown;
  else
    out_of_memory(r);
  return grown != NULL;
}

/* "%7: f32" */
static jm_kval read_definition(reader *r, jm_kinst inst, jm_kblock block) {
  jm_kernel *k = r->kernel;
  expect(r, "%");
  if (read_number(r) != r->n_values) fail(r, "values are numbered in order");
  expect(r, ":");
  jm_ktype type = read_type(r);
  void *grown =
      jm_arena_grow(&r->arena, r->values, r->n_values + 1, &r->values_capacity, sizeof *r->values);
  if (!grown) out_of_memory(r);
  if (r->error || !GROW(r, k->values, k->n_values + 1, k->values_capacity)) return 0;
  r->values = grown;
  k->values[k->n_values] = (jm_kvalue){type, inst, block};
  r->values[r->n_values++] = k->n_values;
  return k->n_values++;
}

static jm_kval read_value(reader *r) {
  expect(r, "%");
  uint64_t number = read_number(r);
  if (!r->error && number >= r->n_values) fail(r, "no such value yet");
  return r->error ? 0 : r->values[number];
}

/* Values divided by commas, if there is one. */
static uint32_t read_values(reader *r, jm_kval **out) {
  jm_kval *list = NULL;
  uint32_t n = 0, capacity = 0;
  skip(r);
  if (r->at < r->end && *r->at == '%') do {
      if (n == MAX_OPERANDS) fail(r, "too many values");
      if (r->error || !GROW(r, list, n + 1, capacity)) break;
      list[n++] = read_value(r);
    } while (accept(r, ","));
  *out = list;
  return n;
}

static uint32_t read_definitions(reader *r, jm_kinst inst, jm_kblock block, jm_kval *first) {
  uint32_t n = 0;
  *first = r->kernel->n_values;
  do {
    read_definition(r, inst, block);
    n++;
  } while (!r->error && accept(r, ","));
  return n;
}

static void read_insts(reader *r, jm_kblock at);

/* "{ (arguments) instructions [yield values] }" */
static void read_block(reader *r, jm_kblock at) {
  jm_kval first = JM_KNONE, *yields;
  uint32_t n = 0;
  if (++r->depth > MAX_DEPTH) fail(r, "nested too deeply");
  expect(r, "{");
  if (r->error) return;
  r->kernel->blocks[at].depth = r->depth;
  if (accept(r, "(")) {
    n = read_definitions(r, JM_KNONE, at, &first);
    expect(r, ")");
  }
  r->kernel->blocks[at].first_arg = first;
  r->kernel->blocks[at].n_args = n;
  read_insts(r, at);
  n = accept(r, "yield") ? read_values(r, &yields) : 0;
  if (n) r->kernel->blocks[at].yields = yields;
  r->kernel->blocks[at].n_yields = n;
  expect(r, "}");
  r->depth--;
}

/* How many blocks follow cannot be seen from the name of a loop: a second one begins with a brace.
 */
static void read_structured(reader *r, jm_kinst inst, jm_kblock at) {
  jm_kernel *k = r->kernel;
  if (k->insts[inst].code == JM_K_loop) {
    uint32_t i = 0;
    while (i < JM_N_BINDINGS && !accept(r, jm_kbinding_names[i])) i++;
    if (i == JM_N_BINDINGS) fail(r, "a loop's binding is missing");
    k->insts[inst].binding = (jm_kbinding)i;
    if (accept(r, "(")) {
      k->insts[inst].width = (uint32_t)read_number(r);
      expect(r, ")");
    }
  }
  jm_kval *operands = NULL;
  uint32_t n = read_values(r, &operands);
  k->insts[inst].operands = operands;
  k->insts[inst].n_operands = n;
  /* room for two, consecutive; a loop may turn out to have one */
  if (!GROW(r, k->blocks, k->n_blocks + 2, k->blocks_capacity)) return;
  jm_kblock first = k->n_blocks;
  for (uint32_t i = 0; i < 2; i++)
    k->blocks[k->n_blocks++] = (jm_kblock_fact){.parent = inst, .first_arg = JM_KNONE};
  k->insts[inst].first_block = first;
  read_block(r, first);
  skip(r);
  uint32_t n_blocks = 1;
  if (!r->error && r->at < r->end && *r->at == '{') read_block(r, first + n_blocks++);
  k->insts[inst].n_blocks = n_blocks;
  if (!accept(r, "->")) return;
  jm_kval results;
  n = read_definitions(r, inst, at, &results);
  k->insts[inst].first_result = results;
  k->insts[inst].n_results = n;
}

static void read_place(reader *r, jm_kinst_fact *fact, uint32_t n) {
  jm_kval operands[3];
  expect(r, "$");
  fact->imm = read_number(r);
  expect(r, "[");
  operands[0] = read_value(r);
  expect(r, "]");
  for (uint32_t i = 1; i < n; i++) {
    expect(r, ",");
    operands[i] = read_value(r);
  }
  fact->n_operands = n;
  fact->operands = jm_arena_copy(&r->kernel->arena, operands, fact->n_operands, sizeof *operands);
  if (!fact->operands) out_of_memory(r);
}

static uint64_t read_callee(reader *r) {
  static const char *const names[] = {
#define CALL(name, ...) #name,
#include "kernel/ir/calls.def"
  };
  char word[16];
  read_word(r, word, sizeof word);
  for (uint32_t i = 0; i < JM_N_KCALLS; i++)
    if (!strcmp(word, names[i])) return i;
  fail(r, "no such function to call");
  return 0;
}

static bool read_inst(reader *r, jm_kblock at) {
  jm_kernel *k = r->kernel;
  char name[16];
  skip(r);
  if (r->error || r->at == r->end || *r->at == '}') return false;
  const jm_kinst inst = k->n_insts;
  if (!GROW(r, k->insts, inst + 1, k->insts_capacity)) return false;
  k->insts[inst] = (jm_kinst_fact){.first_result = JM_KNONE, .first_block = JM_KNONE};
  if (*r->at == '%') {
    k->insts[inst].first_result = read_definition(r, inst, at);
    k->insts[inst].n_results = 1;
    expect(r, "=");
  }
  const char *before = r->at;
  read_word(r, name, sizeof name);
  if (!strcmp(name, "yield")) {
    r->at = before;
    return false;
  }
  uint32_t code = 0;
  while (code < JM_N_KOPS && strcmp(name, jm_kop_facts[code].name) != 0) code++;
  if (code == JM_N_KOPS) fail(r, "no such instruction");
  if (r->error) return false;
  k->n_insts++;
  jm_kinst_fact *fact = &k->insts[inst];
  fact->code = (jm_kopcode)code;
  jm_kblock_fact *block = &k->blocks[at];
  if (!GROW(r, block->insts, block->n_insts + 1, block->capacity)) return false;
  block->insts[block->n_insts++] = inst;
  if (jm_kop_facts[code].result == JM_KRESULT_MANY) {
    read_structured(r, inst, at);
  } else if (code == JM_K_load || code == JM_K_store || code == JM_K_transpose) {
    read_place(r, fact, (uint32_t)jm_kop_facts[code].operands);
  } else if (code == JM_K_barrier) {
    if (accept(r, "scratch")) fact->imm |= JM_SCOPE_SCRATCH;
    if (accept(r, "global")) fact->imm |= JM_SCOPE_GLOBAL;
  } else if (code == JM_K_const) {
    fact->imm = read_number(r);
    if (fact->n_results) fact->imm = jm_kvalue_mask(k->values[fact->first_result].type, fact->imm);
  } else {
    if (code == JM_K_call) fact->imm = read_callee(r);
    fact->n_operands = read_values(r, &fact->operands);
  }
  return !r->error;
}

static void read_insts(reader *r, jm_kblock at) {
  while (read_inst(r, at)) {
  }
}

static void read_param(reader *r) {
  jm_kernel *k = r->kernel;
  jm_kparam param = {0};
  if (read_number(r) != k->n_params) fail(r, "parameters are numbered in order");
  expect(r, ":");
  param.space = accept(r, "scratch") ? JM_SPACE_SCRATCH : JM_SPACE_GLOBAL;
  if (param.space == JM_SPACE_GLOBAL) expect(r, "global");
  param.element = read_type(r);
  expect(r, "x");
  param.elements = (int64_t)read_number(r);
  param.written = accept(r, "written");
  if (accept(r, "alias")) param.alias = (uint32_t)read_number(r);
  if (!r->error && GROW(r, k->params, k->n_params + 1, k->params_capacity))
    k->params[k->n_params++] = param;
}

static void read_kernel(reader *r) {
  expect(r, "kernel");
  expect(r, "\"");
  const char *name = r->at;
  while (r->at < r->end && *r->at != '"') r->at++;
  r->kernel->name = jm_arena_string(&r->kernel->arena, name, (size_t)(r->at - name));
  if (!r->kernel->name) {
    out_of_memory(r);
    r->kernel->name = "";
  }
  expect(r, "\"");
  expect(r, "chunks");
  r->kernel->chunks = (int64_t)read_number(r);
  expect(r, "grain");
  r->kernel->grain = (int64_t)read_number(r);
  while (!r->error && accept(r, "param $")) read_param(r);
  expect(r, "{");
  if (!r->error) read_insts(r, 0);
  expect(r, "}");
  skip(r);
  if (r->at != r->end) fail(r, "something follows the kernel");
}

jm_error *jm_kernel_parse(const char *text, size_t size, jm_kernel **out) {
  reader r = {.at = text, .end = text + size, .line = 1};
  JM_TRY(jm_kernel_create("", &r.kernel));
  jm_arena_init(&r.arena);
  read_kernel(&r);
  if (!r.error) r.error = jm_kernel_verify(r.kernel);
  jm_arena_deinit(&r.arena);
  if (r.error) {
    jm_kernel_destroy(r.kernel);
    return r.error;
  }
  *out = r.kernel;
  return NULL;
}
