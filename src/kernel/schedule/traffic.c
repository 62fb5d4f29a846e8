/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/schedule/traffic.h"

#include "kernel/ir/kernel.h"

/* What a launch does with its parameters. */
typedef struct counter {
  const jm_kernel *kernel;
  bool has_threads;
  uint64_t *moved;    /* per parameter: elements, in all passes, */
  uint64_t *most;     /* and in the largest of them */
  uint64_t *accesses; /* per parameter: of the pass at hand */
} counter;

static const uint64_t MANY = UINT64_MAX; /* iterations of a loop whose bounds are computed */

static uint64_t times(uint64_t a, uint64_t b) { return b && a > MANY / b ? MANY : a * b; }

static const jm_kinst_fact *find_inst(const jm_kernel *k, jm_kval v) {
  return k->values[v].inst == JM_KNONE ? NULL : &k->insts[k->values[v].inst];
}

static bool is_constant(const jm_kernel *k, jm_kval v, int64_t *out) {
  const jm_kinst_fact *inst = find_inst(k, v);
  if (!inst || inst->code != JM_K_const) return false;
  *out = (int64_t)inst->imm;
  return true;
}

/* At most so many values lie in [lower, upper): two constants, or a block, [i, min(i + n, m)). */
static uint64_t distance(const jm_kernel *k, jm_kval lower, jm_kval upper) {
  const jm_kinst_fact *inst = find_inst(k, upper);
  int64_t from, to;
  if (is_constant(k, lower, &from) && is_constant(k, upper, &to))
    return to > from ? (uint64_t)(to - from) : 0;
  if (inst && inst->code == JM_K_smin) {
    const uint64_t x = distance(k, lower, inst->operands[0]),
                   y = distance(k, lower, inst->operands[1]);
    return x < y ? x : y;
  }
  for (uint32_t i = 0; inst && inst->code == JM_K_iadd && i < 2; i++)
    if (inst->operands[i] == lower && is_constant(k, inst->operands[1 - i], &to) && to >= 0)
      return (uint64_t)to;
  return MANY;
}

static uint64_t iterations(const jm_kernel *k, const jm_kinst_fact *inst) {
  if (inst->code == JM_K_if) return 1;
  if (inst->code != JM_K_loop) return MANY;
  if (inst->binding == JM_BIND_CHUNK) return (uint64_t)k->chunks;
  return distance(k, inst->operands[0], inst->operands[1]);
}

static bool is_pass(const counter *c, const jm_kinst_fact *inst) {
  return inst->code == JM_K_loop &&
         (c->has_threads ? inst->binding == JM_BIND_THREADS : inst->binding != JM_BIND_CHUNK);
}

static void pass_end(counter *c) {
  for (uint32_t i = 0; i < c->kernel->n_params; i++) {
    const uint64_t all = (uint64_t)c->kernel->params[i].elements;
    const uint64_t n = c->accesses[i] < all ? c->accesses[i] : all;
    c->moved[i] += n;
    if (n > c->most[i]) c->most[i] = n;
    c->accesses[i] = 0;
  }
}

/* runs: of the block, in the whole launch. Accesses outside of passes are a pass of their own, each
 * by itself: they are few. */
static void block_count(counter *c, jm_kblock at, uint64_t runs, bool in_pass) {
  const jm_kblock_fact *block = &c->kernel->blocks[at];
  for (uint32_t i = 0; i < block->n_insts; i++) {
    const jm_kinst_fact *inst = &c->kernel->insts[block->insts[i]];
    const bool accesses = inst->code == JM_K_load || inst->code == JM_K_store;
    const bool begins = !in_pass && is_pass(c, inst);
    if (accesses) {
      uint64_t *n = &c->accesses[inst->imm];
      *n = *n > MANY - runs ? MANY : *n + runs;
    }
    for (uint32_t j = 0; j < inst->n_blocks; j++)
      block_count(c, inst->first_block + j, times(runs, iterations(c->kernel, inst)),
                  in_pass || begins);
    if (!in_pass && (accesses || begins)) pass_end(c);
  }
}

static jm_error *counter_init(counter *c, const jm_kernel *kernel, jm_arena *arena) {
  *c = (counter){.kernel = kernel, .has_threads = jm_kernel_threads(kernel) != 0};
  c->moved = jm_arena_alloc(arena, kernel->n_params + 1, sizeof *c->moved);
  c->most = jm_arena_alloc(arena, kernel->n_params + 1, sizeof *c->most);
  c->accesses = jm_arena_alloc(arena, kernel->n_params + 1, sizeof *c->accesses);
  return c->moved && c->most && c->accesses ? NULL : jm_error_out_of_memory();
}

/* Adds a launch; least: per operand, and behind them per result, the bytes of the largest pass. */
static jm_error *launch_count(const jm_op *op, const jm_launch *launch, jm_arena *arena,
                              uint64_t *moved, uint64_t *least) {
  counter c;
  JM_TRY(counter_init(&c, launch->kernel, arena));
  block_count(&c, 0, 1, false);
  for (uint32_t i = 0, n = 0; i < launch->kernel->n_params; i++) {
    const jm_kparam *param = &launch->kernel->params[i];
    if (param->space != JM_SPACE_GLOBAL) continue;
    const jm_launch_argument *argument = &launch->arguments[n++];
    const uint64_t size = jm_ktype_bytes[param->element];
    *moved += c.moved[i] * size;
    if (argument->memory == JM_LAUNCH_TEMPORARY) continue;
    uint32_t at = argument->index;
    if (argument->memory == JM_LAUNCH_RESULT)
      at += op->n_operands;
    else
      for (at = 0; op->operands[at] != op->operands[argument->index];) at++;
    if (c.most[i] * size > least[at]) least[at] = c.most[i] * size;
  }
  return NULL;
}

jm_error *jm_traffic_count(const jm_op *fusion, const jm_schedule *schedule, jm_traffic *out) {
  const uint32_t n = fusion->n_operands + fusion->n_results;
  jm_arena arena;
  jm_arena_init(&arena);
  *out = (jm_traffic){0, 0};
  uint64_t *least = jm_arena_alloc(&arena, n + 1, sizeof *least);
  jm_error *error = least ? NULL : jm_error_out_of_memory();
  for (uint32_t i = 0; !error && i < schedule->n_launches; i++)
    error = launch_count(fusion, &schedule->launches[i], &arena, &out->moved, least);
  for (uint32_t i = 0; !error && i < n; i++) out->least += least[i];
  jm_arena_deinit(&arena);
  return error;
}
