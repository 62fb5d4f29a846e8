/* SPDX-License-Identifier: Apache-2.0
 * Runs kernels, one scalar after the other: the reference for printers and schedules. A kernel is
 * decoded once per call into steps with a handler each; every access is checked against its
 * parameter, and, if the kernel has threads loops, against those of other lanes. Constants are
 * written into their slots before the start. */
#include <inttypes.h>
#include <string.h>

#include "base/number.h"
#include "kernel/ir/builder.h"
#include "kernel/ir/races.h"

typedef struct machine machine;
typedef struct step step;
typedef void handler(machine *m, const step *s);

struct step {
  handler *run;
  const jm_kinst_fact *inst;
  uint32_t a, b, c, result; /* slots */
  jm_ktype from, to;
};

typedef struct block_code {
  step *steps;
  uint32_t n_steps;
  uint64_t *moved; /* yields on their way to the arguments of the next iteration */
} block_code;

struct machine {
  const jm_kernel *kernel;
  uint64_t *slots;  /* per value */
  uint8_t **memory; /* per parameter */
  block_code *blocks;
  uint64_t **lanes; /* per instruction: carries of all lanes */
  int64_t begin, end;
  jm_races *races; /* NULL: no threads loops */
  uint32_t lane;   /* that runs now, JM_LANE_ALL: outside of threads loops */
  const atomic_bool *cancelled;
  uint32_t polled;
  jm_error *error;
  bool stopped; /* failed or cancelled: everything returns */
  jm_arena arena;
};

static void fail(machine *m, jm_error *error) {
  if (m->error)
    jm_error_destroy(error);
  else
    m->error = error;
  m->stopped = true;
}

static void run_block(machine *m, jm_kblock block) {
  const block_code *code = &m->blocks[block];
  for (uint32_t i = 0; i < code->n_steps && !m->stopped; i++)
    code->steps[i].run(m, &code->steps[i]);
}

/* ---- single instructions */

static void run_pure(machine *m, const step *s) {
  uint64_t x[3] = {0, 0, 0};
  for (uint32_t i = 0; i < s->inst->n_operands; i++) x[i] = m->slots[s->inst->operands[i]];
  if (!jm_kernel_evaluate(s->inst->code, s->from, s->to, s->inst->imm, x, &m->slots[s->result]))
    fail(m, jm_error_internal("kernel %s: %s of operands that it is undefined for (%" PRIx64
                              ", %" PRIx64 ")",
                              m->kernel->name, jm_kop_facts[s->inst->code].name, x[0], x[1]));
}

/* The most frequent instructions, without the general evaluation. */
#define FAST(name, expression)                  \
  static void name(machine *m, const step *s) { \
    const uint64_t a = m->slots[s->a];          \
    const uint64_t b = m->slots[s->b];          \
    m->slots[s->result] = expression;           \
  }
FAST(run_iadd, a + b)
FAST(run_isub, a - b)
FAST(run_imul, a *b)
FAST(run_fadd32, jm_f32_bits(jm_f32_from_bits((uint32_t)a) + jm_f32_from_bits((uint32_t)b)))
FAST(run_fsub32, jm_f32_bits(jm_f32_from_bits((uint32_t)a) - jm_f32_from_bits((uint32_t)b)))
FAST(run_fmul32, jm_f32_bits(jm_f32_from_bits((uint32_t)a) * jm_f32_from_bits((uint32_t)b)))
FAST(run_fadd64, jm_f64_bits(jm_f64_from_bits(a) + jm_f64_from_bits(b)))
FAST(run_fsub64, jm_f64_bits(jm_f64_from_bits(a) - jm_f64_from_bits(b)))
FAST(run_fmul64, jm_f64_bits(jm_f64_from_bits(a) * jm_f64_from_bits(b)))
FAST(run_slt, (int64_t)a < (int64_t)b)

static void run_select(machine *m, const step *s) {
  m->slots[s->result] = m->slots[m->slots[s->a] ? s->b : s->c];
}

static const struct {
  jm_kopcode code;
  jm_ktype type;
  handler *run;
} fast_handlers[] = {
    {JM_K_iadd, JM_KT_i64, run_iadd},   {JM_K_isub, JM_KT_i64, run_isub},
    {JM_K_imul, JM_KT_i64, run_imul},   {JM_K_fadd, JM_KT_f32, run_fadd32},
    {JM_K_fsub, JM_KT_f32, run_fsub32}, {JM_K_fmul, JM_KT_f32, run_fmul32},
    {JM_K_fadd, JM_KT_f64, run_fadd64}, {JM_K_fsub, JM_KT_f64, run_fsub64},
    {JM_K_fmul, JM_KT_f64, run_fmul64}, {JM_K_slt, JM_KT_i64, run_slt},
};

/* The element's address, NULL after a failure. */
static uint8_t *find_element(machine *m, const step *s) {
  const jm_kparam *param = &m->kernel->params[s->inst->imm];
  const int64_t index = (int64_t)m->slots[s->a];
  if (index >= 0 && index < param->elements) {
    jm_error *race = m->races ? jm_races_record(m->races, s->inst, index, m->lane) : NULL;
    if (!race) return m->memory[s->inst->imm] + (size_t)index * jm_ktype_bytes[param->element];
    fail(m, race);
    return NULL;
  }
  fail(m, jm_error_internal("kernel %s: %s of parameter %" PRIu64 " at %" PRId64
                            ", which has %" PRId64 " elements",
                            m->kernel->name, jm_kop_facts[s->inst->code].name, s->inst->imm, index,
                            param->elements));
  return NULL;
}

#define ACCESS(name, T)                                 \
  static void load_##name(machine *m, const step *s) {  \
    const uint8_t *at = find_element(m, s);             \
    T v;                                                \
    if (!at) return;                                    \
    memcpy(&v, at, sizeof v);                           \
    m->slots[s->result] = v;                            \
  }                                                     \
  static void store_##name(machine *m, const step *s) { \
    uint8_t *at = find_element(m, s);                   \
    T v = (T)m->slots[s->b];                            \
    if (at) memcpy(at, &v, sizeof v);                   \
  }
ACCESS(1, uint8_t)
ACCESS(2, uint16_t)
ACCESS(4, uint32_t)
ACCESS(8, uint64_t)

static void swap_elements(uint8_t *x, uint8_t *y, uint32_t size) {
  uint8_t kept[8];
  memcpy(kept, x, size);
  memcpy(x, y, size);
  memcpy(y, kept, size);
}

static void run_transpose(machine *m, const step *s) {
  const jm_kparam *param = &m->kernel->params[s->inst->imm];
  const int64_t pitch = (int64_t)m->slots[s->a], rows = (int64_t)m->slots[s->b];
  const int64_t columns = (int64_t)m->slots[s->inst->operands[2]];
  const int64_t few = rows < columns ? rows : columns, many = rows < columns ? columns : rows;
  const uint32_t size = jm_ktype_bytes[param->element];
  uint8_t *memory = m->memory[s->inst->imm];
  if (few <= 0) return;
  if (many > pitch || (many - 1) * pitch + many > param->elements) {
    fail(m, jm_error_internal("kernel %s: a transpose of %" PRId64 " lines in parameter %" PRIu64,
                              m->kernel->name, many, s->inst->imm));
    return;
  }
  for (int64_t i = 0; i < few; i++)
    for (int64_t j = i + 1; j < many; j++)
      swap_elements(memory + (i * pitch + j) * size, memory + (j * pitch + i) * size, size);
}

static void run_barrier(machine *m, const step *s) {
  if (m->races) jm_races_pass_barrier(m->races, s->inst->imm);
}

/* by the logarithm of the size */
static handler *const loads[] = {load_1, load_2, load_4, load_8};
static handler *const stores[] = {store_1, store_2, store_4, store_8};

/* ---- control */

static bool is_cancelled(machine *m) {
  if (m->cancelled && ++m->polled % 1024 == 0 &&
      atomic_load_explicit(m->cancelled, memory_order_relaxed))
    m->stopped = true;
  return m->stopped;
}

/* All yields are read before the first argument is written: they may be the arguments, exchanged.
 */
static void move_yields(machine *m, jm_kblock block, uint64_t *to) {
  const jm_kblock_fact *fact = &m->kernel->blocks[block];
  uint64_t *moved = m->blocks[block].moved;
  for (uint32_t i = 0; i < fact->n_yields; i++) moved[i] = m->slots[fact->yields[i]];
  if (fact->n_yields) memcpy(to, moved, fact->n_yields * sizeof *to);
}

/* One iteration: the carries are read from and written to `carries`. */
static void run_iteration(machine *m, const jm_kinst_fact *inst, int64_t index, uint64_t *carries) {
  const jm_kblock_fact *body = &m->kernel->blocks[inst->first_block];
  m->slots[body->first_arg] = (uint64_t)index;
  if (body->n_yields)
    memcpy(&m->slots[body->first_arg + 1], carries, body->n_yields * sizeof *carries);
  run_block(m, inst->first_block);
  if (!m->stopped) move_yields(m, inst->first_block, carries);
}

/* Lane i takes in lane i + half. */
static void combine_lanes(machine *m, const jm_kinst_fact *inst, uint64_t *lanes, uint32_t n) {
  const jm_kblock at = inst->first_block + 1;
  uint64_t *args = &m->slots[m->kernel->blocks[at].first_arg];
  for (uint32_t half = inst->width / 2; half; half /= 2)
    for (uint32_t lane = 0; lane < half && !m->stopped; lane++) {
      memcpy(args, lanes + (size_t)lane * n, n * sizeof *args);
      memcpy(args + n, lanes + (size_t)(lane + half) * n, n * sizeof *args);
      run_block(m, at);
      if (!m->stopped) move_yields(m, at, lanes + (size_t)lane * n);
    }
}

/* One lane after the other: only racing accesses could observe the order. */
static void run_threads(machine *m, const step *s) {
  const jm_kinst_fact *inst = s->inst;
  const uint32_t n = inst->n_operands - 2;
  const int64_t lower = (int64_t)m->slots[inst->operands[0]], width = inst->width;
  const int64_t upper = (int64_t)m->slots[inst->operands[1]];
  uint64_t *lanes = m->lanes[inst - m->kernel->insts];
  for (int64_t lane = 0; lane < width; lane++) {
    uint64_t *carries = lanes + lane * n;
    m->lane = (uint32_t)lane;
    for (uint32_t i = 0; i < n; i++) carries[i] = m->slots[inst->operands[2 + i]];
    for (int64_t i = lane; i < upper - lower && !is_cancelled(m); i += width)
      run_iteration(m, inst, lower + i, carries);
  }
  m->lane = JM_LANE_ALL;
  if (n) combine_lanes(m, inst, lanes, n);
  for (uint32_t i = 0; i < n; i++) m->slots[inst->first_result + i] = lanes[i];
}

static void run_chunks(machine *m, const step *s) {
  int64_t index = (int64_t)m->slots[s->inst->operands[0]];
  int64_t upper = (int64_t)m->slots[s->inst->operands[1]];
  if (index < m->begin) index = m->begin;
  if (upper > m->end) upper = m->end;
  for (; index < upper && !is_cancelled(m); index++) {
    if (m->races) jm_races_set_chunk(m->races, index);
    run_iteration(m, s->inst, index, m->lanes[s->inst - m->kernel->insts]);
  }
  if (m->races) jm_races_set_chunk(m->races, JM_CHUNK_ALL);
}

static void run_loop(machine *m, const step *s) {
  const jm_kinst_fact *inst = s->inst;
  const uint32_t n = inst->n_operands - 2;
  int64_t index = (int64_t)m->slots[inst->operands[0]];
  int64_t upper = (int64_t)m->slots[inst->operands[1]];
  uint64_t *lanes = m->lanes[inst - m->kernel->insts];
  for (uint32_t i = 0; i < n; i++) lanes[i] = m->slots[inst->operands[2 + i]];
  const int64_t width = inst->width;
  if (inst->binding == JM_BIND_VECTOR && n && upper > index && upper - index >= width) {
    for (int64_t lane = 1; lane < width; lane++) memcpy(lanes + lane * n, lanes, n * sizeof *lanes);
    for (; upper - index >= width && !is_cancelled(m); index += width)
      for (int64_t lane = 0; lane < width && !m->stopped; lane++)
        run_iteration(m, inst, index + lane, lanes + lane * n);
    combine_lanes(m, inst, lanes, n);
  }
  for (; index < upper && !is_cancelled(m); index++) run_iteration(m, inst, index, lanes);
  for (uint32_t i = 0; i < n; i++) m->slots[inst->first_result + i] = lanes[i];
}

static void run_while(machine *m, const step *s) {
  const jm_kinst_fact *inst = s->inst;
  const jm_kblock condition = inst->first_block, body = condition + 1;
  const jm_kblock_fact *facts = &m->kernel->blocks[condition];
  const uint32_t n = inst->n_operands;
  uint64_t *carries = m->lanes[inst - m->kernel->insts];
  for (uint32_t i = 0; i < n; i++) carries[i] = m->slots[inst->operands[i]];
  for (;;) {
    if (n) memcpy(&m->slots[facts[0].first_arg], carries, n * sizeof *carries);
    run_block(m, condition);
    if (m->stopped || !m->slots[facts[0].yields[0]] || is_cancelled(m)) break;
    if (n) memcpy(&m->slots[facts[1].first_arg], carries, n * sizeof *carries);
    run_block(m, body);
    if (m->stopped) return;
    move_yields(m, body, carries);
  }
  for (uint32_t i = 0; i < n; i++) m->slots[inst->first_result + i] = carries[i];
}

static void run_if(machine *m, const step *s) {
  const jm_kinst_fact *inst = s->inst;
  const jm_kblock block = inst->first_block + (m->slots[inst->operands[0]] ? 0 : 1);
  run_block(m, block);
  if (!m->stopped && inst->n_results) move_yields(m, block, &m->slots[inst->first_result]);
}

/* ---- decoding */

static handler *find_handler(const jm_kernel *k, const jm_kinst_fact *inst, jm_ktype from) {
  switch (inst->code) {
    case JM_K_load:
    case JM_K_store: {
      uint32_t size = jm_ktype_bytes[k->params[inst->imm].element];
      return (inst->code == JM_K_load ? loads : stores)[__builtin_ctz(size)];
    }
    case JM_K_transpose:
      return run_transpose;
    case JM_K_barrier:
      return run_barrier;
    case JM_K_loop:
      if (inst->binding == JM_BIND_CHUNK) return run_chunks;
      return inst->binding == JM_BIND_THREADS ? run_threads : run_loop;
    case JM_K_while:
      return run_while;
    case JM_K_if:
      return run_if;
    case JM_K_select:
      return run_select;
    default:
      break;
  }
  for (size_t i = 0; i < sizeof fast_handlers / sizeof *fast_handlers; i++)
    if (fast_handlers[i].code == inst->code && fast_handlers[i].type == from)
      return fast_handlers[i].run;
  return run_pure;
}

static jm_error *decode_block(machine *m, jm_kblock at) {
  const jm_kernel *k = m->kernel;
  const jm_kblock_fact *block = &k->blocks[at];
  block_code *code = &m->blocks[at];
  code->steps = jm_arena_alloc(&m->arena, block->n_insts, sizeof *code->steps);
  code->moved = jm_arena_alloc(&m->arena, block->n_yields, sizeof *code->moved);
  if (!code->steps || !code->moved) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < block->n_insts; i++) {
    const jm_kinst_fact *inst = &k->insts[block->insts[i]];
    if (inst->code == JM_K_const) {
      m->slots[inst->first_result] = inst->imm;
      continue;
    }
    step *s = &code->steps[code->n_steps++];
    uint32_t n = inst->n_operands;
    s->inst = inst;
    s->a = n > 0 ? inst->operands[0] : 0;
    s->b = n > 1 ? inst->operands[1] : 0;
    s->c = n > 2 ? inst->operands[2] : 0;
    s->result = inst->n_results ? inst->first_result : 0;
    s->to = k->values[s->result].type;
    s->from = k->values[inst->code == JM_K_select ? s->b : s->a].type;
    s->run = find_handler(k, inst, s->from);
    if (inst->code == JM_K_loop || inst->code == JM_K_while) {
      uint64_t **lanes = &m->lanes[block->insts[i]];
      *lanes = jm_arena_alloc(&m->arena, n, sizeof **lanes * (inst->width ? inst->width : 1));
      if (!*lanes) return jm_error_out_of_memory();
    }
    for (uint32_t j = 0; j < inst->n_blocks; j++) JM_TRY(decode_block(m, inst->first_block + j));
  }
  return NULL;
}

static jm_error *decode(machine *m, void *const *buffers, void *scratch) {
  const jm_kernel *k = m->kernel;
  m->slots = jm_arena_alloc(&m->arena, k->n_values, sizeof *m->slots);
  m->memory = jm_arena_alloc(&m->arena, k->n_params, sizeof *m->memory);
  m->blocks = jm_arena_alloc(&m->arena, k->n_blocks, sizeof *m->blocks);
  m->lanes = jm_arena_alloc(&m->arena, k->n_insts, sizeof *m->lanes);
  if (!m->slots || !m->memory || !m->blocks || !m->lanes) return jm_error_out_of_memory();
  uint8_t *next = scratch;
  for (uint32_t i = 0; i < k->n_params; i++) {
    const jm_kparam *param = &k->params[i];
    if (param->space == JM_SPACE_GLOBAL) {
      m->memory[i] = *buffers++;
      continue;
    }
    m->memory[i] = next;
    next += jm_kparam_bytes(param);
  }
  if (jm_kernel_threads(k)) JM_TRY(jm_races_create(k, m->memory, &m->races));
  return decode_block(m, 0);
}

jm_error *jm_kernel_interpret(const jm_kernel *kernel, void *const *buffers, void *scratch,
                              int64_t begin, int64_t end, const atomic_bool *cancelled) {
  machine m = {
      .kernel = kernel, .begin = begin, .end = end, .lane = JM_LANE_ALL, .cancelled = cancelled};
  jm_arena_init(&m.arena);
  m.error = decode(&m, buffers, scratch);
  if (!m.error) run_block(&m, 0);
  jm_races_destroy(m.races);
  jm_arena_deinit(&m.arena);
  return m.error;
}
