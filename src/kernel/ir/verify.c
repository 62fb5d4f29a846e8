/* SPDX-License-Identifier: Apache-2.0
 * Checks the rules of kernel.h and insts.def. Everything that reads a kernel may rely on them. */
#include "kernel/ir/builder.h"

#define MAX_DEPTH 128

typedef struct checker {
  const jm_kernel *kernel;
  bool *defined; /* per value: visible here */
  bool *varying; /* per value: depends on the lane of the vector loop around */
  bool in_vector, in_chunk, has_chunk, in_threads, has_vector;
  uint32_t threads; /* width of the threads loops seen, 0: none yet */
} checker;

static jm_error *wrong(const checker *c, jm_kinst inst, const char *what) {
  const jm_kinst_fact *fact = &c->kernel->insts[inst];
  return jm_error_internal("kernel %s: instruction %u (%s): %s", c->kernel->name, inst,
                           fact->code < JM_N_KOPS ? jm_kop_facts[fact->code].name : "?", what);
}

static jm_ktype type_of(const checker *c, jm_kval v) { return c->kernel->values[v].type; }

static bool types_match(const checker *c, const jm_kval *x, const jm_kval *y, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (type_of(c, x[i]) != type_of(c, y[i])) return false;
  return true;
}

static bool args_match(const checker *c, jm_kval first, const jm_kval *like, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (first + i >= c->kernel->n_values || type_of(c, first + i) != type_of(c, like[i]))
      return false;
  return true;
}

bool jm_kernel_cast_allowed(jm_kopcode code, jm_ktype from, jm_ktype to) {
  uint32_t a = jm_ktype_bits[from], z = jm_ktype_bits[to];
  bool a_float = jm_ktype_is_float(from), z_float = jm_ktype_is_float(to);
  switch (code) {
    case JM_K_zext:
    case JM_K_sext:
      return !a_float && !z_float && z > a;
    case JM_K_itrunc:
      return !a_float && !z_float && z < a;
    case JM_K_sitofp:
    case JM_K_uitofp:
      return !a_float && z_float;
    case JM_K_fptosi:
    case JM_K_fptoui:
      return a_float && !z_float;
    case JM_K_fpext:
      return from == JM_KT_f32 && to == JM_KT_f64;
    case JM_K_fptrunc:
      return from == JM_KT_f64 && to == JM_KT_f32;
    case JM_K_bitcast:
      return a_float != z_float && a == z;
    default:
      return false;
  }
}

/* The types of a pure instruction. */
static jm_error *check_pure(const checker *c, jm_kinst inst) {
  const jm_kinst_fact *fact = &c->kernel->insts[inst];
  const jm_kop_fact *op = &jm_kop_facts[fact->code];
  const jm_kval *x = fact->operands;
  if (fact->n_results != 1) return wrong(c, inst, "it needs one result");
  const jm_ktype type = type_of(c, fact->first_result);
  if (fact->code == JM_K_const)
    return jm_ktype_bits[type] < 64 && fact->imm >> jm_ktype_bits[type]
               ? wrong(c, inst, "bits beyond its type")
               : NULL;
  if (fact->code == JM_K_call) {
    if (fact->imm >= JM_N_KCALLS || fact->n_operands != jm_kcall_arguments[fact->imm])
      return wrong(c, inst, "not a function of so many arguments");
    for (uint32_t i = 0; i < fact->n_operands; i++)
      if (type_of(c, x[i]) != type || !jm_ktype_is_float(type))
        return wrong(c, inst, "types do not match");
    return NULL;
  }
  const uint32_t first = op->result == JM_KRESULT_SELECT ? 1 : 0;
  const jm_ktype from = type_of(c, x[first]);
  for (uint32_t i = first; i < fact->n_operands; i++)
    if (type_of(c, x[i]) != from) return wrong(c, inst, "operands of several types");
  const bool is_float = jm_ktype_is_float(from);
  if ((op->flags & JM_KFLAG_INT && is_float) || (op->flags & JM_KFLAG_FLT && !is_float))
    return wrong(c, inst, "operands of a wrong kind");
  bool right = true;
  if (op->result == JM_KRESULT_SAME) right = type == from;
  if (op->result == JM_KRESULT_BOOL) right = type == JM_KT_i1;
  if (op->result == JM_KRESULT_SELECT) right = type == from && type_of(c, x[0]) == JM_KT_i1;
  if (op->result == JM_KRESULT_CAST) right = jm_kernel_cast_allowed(fact->code, from, type);
  return right ? NULL : wrong(c, inst, "types do not match");
}

static jm_error *check_memory(const checker *c, jm_kinst inst) {
  const jm_kinst_fact *fact = &c->kernel->insts[inst];
  const bool store = fact->code == JM_K_store;
  if (fact->imm >= c->kernel->n_params) return wrong(c, inst, "no such parameter");
  const jm_kparam *param = &c->kernel->params[fact->imm];
  if (type_of(c, fact->operands[0]) != JM_KT_i64) return wrong(c, inst, "the index is not an i64");
  if (fact->n_results != (store ? 0 : 1)) return wrong(c, inst, "a wrong number of results");
  if (type_of(c, store ? fact->operands[1] : fact->first_result) != param->element)
    return wrong(c, inst, "not of the parameter's type");
  if (store && !param->written) return wrong(c, inst, "the parameter is not written");
  if (store && !c->in_chunk && (c->has_chunk || c->kernel->chunks != 1))
    return wrong(c, inst, "a store outside of the chunk loop");
  if (store && c->in_vector && !c->varying[fact->operands[0]])
    return wrong(c, inst, "all lanes store to one place");
  return NULL;
}

static jm_error *check_transpose(const checker *c, jm_kinst inst) {
  const jm_kinst_fact *fact = &c->kernel->insts[inst];
  if (fact->imm >= c->kernel->n_params) return wrong(c, inst, "no such parameter");
  const jm_kparam *param = &c->kernel->params[fact->imm];
  if (fact->n_operands != 3 || fact->n_results) return wrong(c, inst, "not what it takes or gives");
  for (uint32_t i = 0; i < 3; i++)
    if (type_of(c, fact->operands[i]) != JM_KT_i64) return wrong(c, inst, "a size is not an i64");
  if (param->space != JM_SPACE_SCRATCH || !param->written)
    return wrong(c, inst, "not scratch memory that is written");
  const jm_kinst pitch = c->kernel->values[fact->operands[0]].inst;
  if (pitch == JM_KNONE || c->kernel->insts[pitch].code != JM_K_const)
    return wrong(c, inst, "the pitch is not a constant");
  if (c->in_vector || jm_kernel_threads(c->kernel)) return wrong(c, inst, "not for a lane");
  return NULL;
}

static jm_error *check_block(checker *c, jm_kblock at, uint32_t depth);

/* Where each kind of loop may occur, and its width. */
static jm_error *check_binding(checker *c, jm_kinst inst, uint32_t depth) {
  const jm_kinst_fact *fact = &c->kernel->insts[inst];
  const jm_kval *x = fact->operands;
  const uint32_t least = fact->binding == JM_BIND_VECTOR ? 2 : 1;
  if (fact->binding >= JM_N_BINDINGS) return wrong(c, inst, "no such binding");
  if (fact->binding == JM_BIND_CHUNK && (depth || fact->n_operands > 2 || c->has_chunk))
    return wrong(c, inst, "not a chunk loop's place");
  if (jm_kbinding_has_lanes(fact->binding) &&
      (fact->width < least || fact->width & (fact->width - 1)))
    return wrong(c, inst, "the width is not a power of two");
  if (c->in_vector && (fact->binding != JM_BIND_SERIAL || c->varying[x[0]] || c->varying[x[1]]))
    return wrong(c, inst, "inside of a vector loop");
  if (c->in_threads && fact->binding != JM_BIND_SERIAL)
    return wrong(c, inst, "inside of a threads loop");
  if (fact->binding == JM_BIND_CHUNK) c->has_chunk = true;
  if (fact->binding == JM_BIND_VECTOR) c->has_vector = true;
  if (fact->binding == JM_BIND_THREADS) {
    if (fact->width > JM_MOST_THREADS) return wrong(c, inst, "too many threads");
    if (c->threads && c->threads != fact->width)
      return wrong(c, inst, "threads loops of several widths");
    c->threads = fact->width;
  }
  if (c->has_vector && c->threads) return wrong(c, inst, "vector and threads loops in one kernel");
  return NULL;
}

static jm_error *check_barrier(const checker *c, jm_kinst inst) {
  const jm_kinst_fact *fact = &c->kernel->insts[inst];
  if (c->in_threads || c->in_vector) return wrong(c, inst, "inside of a loop that lanes run");
  if (fact->n_results) return wrong(c, inst, "a wrong number of results");
  if (!fact->imm || fact->imm & ~(uint64_t)(JM_SCOPE_SCRATCH | JM_SCOPE_GLOBAL))
    return wrong(c, inst, "no scope that a barrier has");
  return NULL;
}

static jm_error *check_loop(checker *c, jm_kinst inst, uint32_t depth) {
  const jm_kinst_fact *fact = &c->kernel->insts[inst];
  const jm_kval *x = fact->operands;
  if (fact->n_operands < 2 || type_of(c, x[0]) != JM_KT_i64 || type_of(c, x[1]) != JM_KT_i64)
    return wrong(c, inst, "no bounds of i64");
  const uint32_t n = fact->n_operands - 2;
  const bool vector = fact->binding == JM_BIND_VECTOR, chunk = fact->binding == JM_BIND_CHUNK;
  const bool lanes = jm_kbinding_has_lanes(fact->binding);
  if (fact->n_blocks != (lanes && n ? 2 : 1)) return wrong(c, inst, "a wrong number of blocks");
  const jm_kblock_fact *body = &c->kernel->blocks[fact->first_block];
  if (body->n_args != n + 1 || body->n_yields != n || fact->n_results != n ||
      type_of(c, body->first_arg) != JM_KT_i64 || !args_match(c, body->first_arg + 1, x + 2, n) ||
      !types_match(c, body->yields, x + 2, n) ||
      (n && !args_match(c, fact->first_result, x + 2, n)))
    return wrong(c, inst, "carried values do not match");
  JM_TRY(check_binding(c, inst, depth));
  /* in a serial loop inside of a vector loop carried values may differ from lane to lane */
  for (uint32_t i = 0; i < body->n_args; i++)
    c->varying[body->first_arg + i] = vector || (c->in_vector && i);
  for (uint32_t i = 0; i < n; i++) c->varying[fact->first_result + i] = c->in_vector;
  const checker before = *c;
  c->in_vector = c->in_vector || vector;
  c->in_threads = c->in_threads || fact->binding == JM_BIND_THREADS;
  c->in_chunk = c->in_chunk || chunk;
  JM_TRY(check_block(c, fact->first_block, depth + 1));
  c->in_vector = before.in_vector;
  c->in_threads = before.in_threads;
  c->in_chunk = before.in_chunk;
  if (fact->n_blocks < 2) return NULL;
  const jm_kblock_fact *combine = body + 1;
  if (combine->n_args != 2 * n || combine->n_yields != n ||
      !args_match(c, combine->first_arg, x + 2, n) ||
      !args_match(c, combine->first_arg + n, x + 2, n) ||
      !types_match(c, combine->yields, x + 2, n))
    return wrong(c, inst, "the combination does not match");
  for (uint32_t i = 0; i < combine->n_insts; i++)
    if (!(jm_kop_facts[c->kernel->insts[combine->insts[i]].code].flags & JM_KFLAG_PURE))
      return wrong(c, inst, "the combination is not pure");
  return check_block(c, fact->first_block + 1, depth + 1);
}

static jm_error *check_while(checker *c, jm_kinst inst, uint32_t depth) {
  const jm_kinst_fact *fact = &c->kernel->insts[inst];
  const uint32_t n = fact->n_operands;
  if (c->in_vector) return wrong(c, inst, "inside of a vector loop");
  if (fact->n_blocks != 2 || fact->n_results != n) return wrong(c, inst, "not two blocks");
  const jm_kblock_fact *condition = &c->kernel->blocks[fact->first_block], *body = condition + 1;
  if (condition->n_args != n || body->n_args != n || condition->n_yields != 1 ||
      body->n_yields != n || type_of(c, condition->yields[0]) != JM_KT_i1 ||
      !types_match(c, body->yields, fact->operands, n) ||
      (n && (!args_match(c, condition->first_arg, fact->operands, n) ||
             !args_match(c, body->first_arg, fact->operands, n) ||
             !args_match(c, fact->first_result, fact->operands, n))))
    return wrong(c, inst, "carried values do not match");
  JM_TRY(check_block(c, fact->first_block, depth + 1));
  return check_block(c, fact->first_block + 1, depth + 1);
}

static jm_error *check_if(checker *c, jm_kinst inst, uint32_t depth) {
  const jm_kinst_fact *fact = &c->kernel->insts[inst];
  if (c->in_vector) return wrong(c, inst, "inside of a vector loop");
  if (fact->n_operands != 1 || type_of(c, fact->operands[0]) != JM_KT_i1 || fact->n_blocks != 2)
    return wrong(c, inst, "not an i1 and two blocks");
  for (uint32_t i = 0; i < 2; i++) {
    const jm_kblock_fact *block = &c->kernel->blocks[fact->first_block + i];
    if (block->n_args || block->n_yields != fact->n_results ||
        (fact->n_results && !args_match(c, fact->first_result, block->yields, fact->n_results)))
      return wrong(c, inst, "its blocks do not yield its results");
    JM_TRY(check_block(c, fact->first_block + i, depth + 1));
  }
  return NULL;
}

static jm_error *check_inst(checker *c, jm_kinst inst, jm_kblock at, uint32_t depth) {
  const jm_kinst_fact *fact = &c->kernel->insts[inst];
  if (fact->code >= JM_N_KOPS) return wrong(c, inst, "no such instruction");
  const jm_kop_fact *op = &jm_kop_facts[fact->code];
  if (op->operands >= 0 && fact->n_operands != (uint32_t)op->operands)
    return wrong(c, inst, "a wrong number of operands");
  bool varying = false;
  for (uint32_t i = 0; i < fact->n_operands; i++) {
    if (fact->operands[i] >= c->kernel->n_values || !c->defined[fact->operands[i]])
      return wrong(c, inst, "an operand is not visible");
    varying = varying || c->varying[fact->operands[i]];
  }
  for (uint32_t i = 0; i < fact->n_results; i++) {
    jm_kval v = fact->first_result + i;
    if (v >= c->kernel->n_values || c->kernel->values[v].inst != inst ||
        c->kernel->values[v].block != at || c->defined[v])
      return wrong(c, inst, "a result is not its own");
  }
  for (uint32_t i = 0; i < fact->n_blocks; i++)
    if (fact->first_block + i >= c->kernel->n_blocks ||
        c->kernel->blocks[fact->first_block + i].parent != inst)
      return wrong(c, inst, "a block is not its own");
  if (fact->code == JM_K_loop)
    JM_TRY(check_loop(c, inst, depth));
  else if (fact->code == JM_K_while)
    JM_TRY(check_while(c, inst, depth));
  else if (fact->code == JM_K_if)
    JM_TRY(check_if(c, inst, depth));
  else if (fact->n_blocks)
    return wrong(c, inst, "it has no blocks");
  else if (fact->code == JM_K_load || fact->code == JM_K_store)
    JM_TRY(check_memory(c, inst));
  else if (fact->code == JM_K_transpose)
    JM_TRY(check_transpose(c, inst));
  else if (fact->code == JM_K_barrier)
    JM_TRY(check_barrier(c, inst));
  else
    JM_TRY(check_pure(c, inst));
  for (uint32_t i = 0; i < fact->n_results; i++) {
    c->defined[fact->first_result + i] = true;
    if (!fact->n_blocks) c->varying[fact->first_result + i] = varying;
  }
  return NULL;
}

static jm_error *check_block(checker *c, jm_kblock at, uint32_t depth) {
  const jm_kblock_fact *block = &c->kernel->blocks[at];
  if (depth > MAX_DEPTH) return wrong(c, block->parent, "nested too deeply");
  if (block->depth != depth) return wrong(c, block->parent, "a block of a wrong depth");
  for (uint32_t i = 0; i < block->n_args; i++) c->defined[block->first_arg + i] = true;
  for (uint32_t i = 0; i < block->n_insts; i++) JM_TRY(check_inst(c, block->insts[i], at, depth));
  for (uint32_t i = 0; i < block->n_yields; i++)
    if (block->yields[i] >= c->kernel->n_values || !c->defined[block->yields[i]])
      return wrong(c, block->parent, "a yielded value is not visible");
  /* the blocks beside this one must not see it */
  for (uint32_t i = 0; i < block->n_args; i++) c->defined[block->first_arg + i] = false;
  for (uint32_t i = 0; depth && i < block->n_insts; i++) {
    const jm_kinst_fact *fact = &c->kernel->insts[block->insts[i]];
    for (uint32_t j = 0; j < fact->n_results; j++) c->defined[fact->first_result + j] = false;
  }
  return NULL;
}

jm_error *jm_kernel_verify(const jm_kernel *kernel) {
  if (kernel->chunks < 0 || kernel->grain < 1)
    return jm_error_internal("kernel %s: no chunks, or no grain", kernel->name);
  for (uint32_t i = 0; i < kernel->n_params; i++) {
    const jm_kparam *param = &kernel->params[i];
    if (param->element == JM_KT_i1 || param->element >= JM_N_KTYPES || param->elements < 0)
      return jm_error_internal("kernel %s: parameter %u is not memory", kernel->name, i);
  }
  checker c = {.kernel = kernel};
  c.defined = jm_alloc(kernel->n_values, sizeof *c.defined);
  c.varying = jm_alloc(kernel->n_values, sizeof *c.varying);
  jm_error *error = c.defined && c.varying ? NULL : jm_error_out_of_memory();
  if (!error) error = check_block(&c, 0, 0);
  jm_free(c.defined);
  jm_free(c.varying);
  return error;
}
