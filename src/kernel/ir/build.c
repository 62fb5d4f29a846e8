/* SPDX-License-Identifier: Apache-2.0
 * The builder. The operands alone decide where an instruction is placed: a pure one goes to the end
 * of the deepest block that defines an operand. That block is open, and a loop under construction
 * inside it is appended only when it is closed, so that "the end" is before that loop. This also
 * makes sharing simple: an equal instruction is visible wherever its operands are. */
#include "kernel/ir/build.h"

#include <string.h>

#include "base/number.h"
#include "kernel/ir/builder.h"

/* ---- state */

jm_error *jm_kbuilder_create(const char *name, jm_kbuilder **out) {
  jm_kbuilder *b = jm_alloc(1, sizeof *b);
  if (!b) return jm_error_out_of_memory();
  jm_arena_init(&b->arena);
  jm_error *error = jm_kernel_create(name, &b->kernel);
  if (error) {
    jm_kbuilder_destroy(b);
    return error;
  }
  b->open = jm_arena_grow(&b->arena, NULL, 8, &b->open_capacity, sizeof *b->open);
  if (!b->open) {
    jm_kbuilder_destroy(b);
    return jm_error_out_of_memory();
  }
  b->n_open = 1;
  *out = b;
  return NULL;
}

void jm_kbuilder_destroy(jm_kbuilder *b) {
  if (!b) return;
  jm_kernel_destroy(b->kernel);
  jm_error_destroy(b->error);
  jm_free(b->table);
  jm_arena_deinit(&b->arena);
  jm_free(b);
}

void jm_kbuilder_fail(jm_kbuilder *b, jm_error *error) {
  if (b->error)
    jm_error_destroy(error);
  else
    b->error = error;
}

void jm_kbuilder_allow_f64(jm_kbuilder *b, bool allowed) { b->without_f64 = !allowed; }
bool jm_kbuilder_allows_f64(const jm_kbuilder *b) { return !b->without_f64; }
void jm_kbuilder_allow_scale(jm_kbuilder *b, bool allowed) { b->scales = allowed; }
bool jm_kbuilder_scales(const jm_kbuilder *b) { return b->scales; }

bool jm_kbuilder_failed(const jm_kbuilder *b) { return b->error != NULL; }

static void out_of_memory(jm_kbuilder *b) { jm_kbuilder_fail(b, jm_error_out_of_memory()); }

/* Grows an array of the kernel's arena; false, and failed, without memory. */
#define GROW(b, array, count, capacity) \
  grow(b, (void **)&(array), count, &(capacity), sizeof *(array))
static bool grow(jm_kbuilder *b, void **array, uint32_t count, uint32_t *capacity, size_t size) {
  void *grown = jm_arena_grow(&b->kernel->arena, *array, count, capacity, size);
  if (!grown) {
    out_of_memory(b);
    return false;
  }
  *array = grown;
  return true;
}

static jm_kblock current(const jm_kbuilder *b) { return b->open[b->n_open - 1]; }

static void open_block(jm_kbuilder *b, jm_kblock block) {
  void *grown =
      jm_arena_grow(&b->arena, b->open, b->n_open + 1, &b->open_capacity, sizeof *b->open);
  if (!grown) {
    out_of_memory(b);
    return;
  }
  b->open = grown;
  b->kernel->blocks[block].depth = b->n_open;
  b->open[b->n_open++] = block;
}

static void append(jm_kbuilder *b, jm_kblock at, jm_kinst inst) {
  jm_kblock_fact *block = &b->kernel->blocks[at];
  if (GROW(b, block->insts, block->n_insts + 1, block->capacity))
    block->insts[block->n_insts++] = inst;
}

/* A new value of the block; 0 after a failure. */
static jm_kval add_value(jm_kbuilder *b, jm_ktype type, jm_kinst inst, jm_kblock block,
                         jm_krange range) {
  jm_kernel *k = b->kernel;
  if (!GROW(b, k->values, k->n_values + 1, k->values_capacity)) return 0;
  void *ranges =
      jm_arena_grow(&b->arena, b->ranges, k->n_values + 1, &b->ranges_capacity, sizeof *b->ranges);
  if (!ranges) {
    out_of_memory(b);
    return 0;
  }
  b->ranges = ranges;
  b->ranges[k->n_values] = range;
  k->values[k->n_values] = (jm_kvalue){type, inst, block};
  return k->n_values++;
}

static jm_kinst add_inst(jm_kbuilder *b, jm_kopcode code, const jm_kval *operands, uint32_t n,
                         uint64_t imm) {
  jm_kernel *k = b->kernel;
  if (!GROW(b, k->insts, k->n_insts + 1, k->insts_capacity)) return JM_KNONE;
  jm_kval *copy = jm_arena_copy(&k->arena, operands, n, sizeof *operands);
  if (n && !copy) {
    out_of_memory(b);
    return JM_KNONE;
  }
  k->insts[k->n_insts] = (jm_kinst_fact){.code = code,
                                         .n_operands = n,
                                         .operands = copy,
                                         .imm = imm,
                                         .first_result = JM_KNONE,
                                         .first_block = JM_KNONE};
  return k->n_insts++;
}

static jm_kblock add_blocks(jm_kbuilder *b, jm_kinst parent, uint32_t n) {
  jm_kernel *k = b->kernel;
  if (!GROW(b, k->blocks, k->n_blocks + n, k->blocks_capacity)) return JM_KNONE;
  jm_kblock first = k->n_blocks;
  for (uint32_t i = 0; i < n; i++)
    k->blocks[k->n_blocks++] = (jm_kblock_fact){.parent = parent, .first_arg = JM_KNONE};
  k->insts[parent].first_block = first;
  k->insts[parent].n_blocks = n;
  return first;
}

/* ---- checks: they catch mistakes of callers, not malice */

static jm_kval broken(jm_kbuilder *b, const char *code, const char *what) {
  if (!b->error) b->error = jm_error_internal("kernel %s: %s: %s", b->kernel->name, code, what);
  return 0;
}

bool jm_kbuild_is_visible(const jm_kbuilder *b, jm_kval v) {
  if (v >= b->kernel->n_values) return false;
  jm_kblock block = b->kernel->values[v].block;
  uint32_t depth = b->kernel->blocks[block].depth;
  return depth < b->n_open && b->open[depth] == block;
}

static bool all_visible(jm_kbuilder *b, jm_kopcode code, const jm_kval *x, uint32_t n) {
  if (b->error) return false;
  for (uint32_t i = 0; i < n; i++)
    if (!jm_kbuild_is_visible(b, x[i])) {
      broken(b, jm_kop_facts[code].name, "an operand is not visible here");
      return false;
    }
  return true;
}

jm_ktype jm_kbuild_type(const jm_kbuilder *b, jm_kval v) {
  return v < b->kernel->n_values ? b->kernel->values[v].type : JM_KT_i1;
}

/* ---- sharing */

static uint64_t hash_inst(jm_kopcode code, jm_ktype type, uint64_t imm, const jm_kval *x,
                          uint32_t n) {
  uint64_t h = ((uint64_t)code * JM_N_KTYPES + type) * UINT64_C(0x9E3779B97F4A7C15) ^ imm;
  for (uint32_t i = 0; i < n; i++) h = (h ^ x[i]) * UINT64_C(0xD6E8FEB86659FD93);
  h ^= h >> 32;
  h *= UINT64_C(0xD6E8FEB86659FD93);
  return h ^ h >> 29;
}

static bool grow_table(jm_kbuilder *b) {
  if (b->table_count * 2 < b->table_size) return true;
  uint32_t size = b->table_size ? b->table_size * 2 : 256;
  jm_kinst *table = jm_alloc(size, sizeof *table);
  if (!table) {
    out_of_memory(b);
    return false;
  }
  memset(table, 0xFF, size * sizeof *table);
  for (uint32_t i = 0; i < b->table_size; i++) {
    if (b->table[i] == JM_KNONE) continue;
    const jm_kinst_fact *inst = &b->kernel->insts[b->table[i]];
    uint64_t at = hash_inst(inst->code, b->kernel->values[inst->first_result].type, inst->imm,
                            inst->operands, inst->n_operands);
    while (table[at & (size - 1)] != JM_KNONE) at++;
    table[at & (size - 1)] = b->table[i];
  }
  jm_free(b->table);
  b->table = table;
  b->table_size = size;
  return true;
}

/* The value of this pure instruction, built now if there is none yet. */
static jm_kval share(jm_kbuilder *b, jm_kopcode code, jm_ktype type, uint64_t imm, const jm_kval *x,
                     uint32_t n, jm_krange range) {
  jm_kernel *k = b->kernel;
  if (!grow_table(b)) return 0;
  uint64_t at = hash_inst(code, type, imm, x, n);
  for (; b->table[at & (b->table_size - 1)] != JM_KNONE; at++) {
    const jm_kinst_fact *inst = &k->insts[b->table[at & (b->table_size - 1)]];
    if (inst->code == code && inst->imm == imm && inst->n_operands == n &&
        k->values[inst->first_result].type == type &&
        (n == 0 || memcmp(inst->operands, x, n * sizeof *x) == 0))
      return inst->first_result;
  }
  uint32_t depth = 0;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t d = jm_kbuilder_depth(b, x[i]);
    if (d > depth) depth = d;
  }
  jm_kinst inst = add_inst(b, code, x, n, imm);
  if (inst == JM_KNONE) return 0;
  jm_kval v = add_value(b, type, inst, b->open[depth], range);
  k->insts[inst].n_results = 1;
  k->insts[inst].first_result = v;
  append(b, b->open[depth], inst);
  if (b->error) return 0;
  b->table[at & (b->table_size - 1)] = inst;
  b->table_count++;
  return v;
}

/* ---- pure instructions */

jm_kval jm_kbuild_const(jm_kbuilder *b, jm_ktype type, uint64_t bits) {
  if (b->error) return 0;
  bits = jm_kvalue_mask(type, bits);
  int64_t s = jm_kvalue_signed(type, bits);
  jm_krange range = jm_ktype_is_float(type) ? jm_krange_full(type) : (jm_krange){s, s};
  return share(b, JM_K_const, type, bits, NULL, 0, range);
}

jm_kval jm_kbuild_int(jm_kbuilder *b, jm_ktype type, int64_t value) {
  return jm_kbuild_const(b, type, (uint64_t)value);
}

jm_kval jm_kbuild_float(jm_kbuilder *b, jm_ktype type, double value) {
  uint64_t bits = type == JM_KT_f32 ? jm_f32_bits((float)value) : jm_f64_bits(value);
  return jm_kbuild_const(b, type, bits);
}

bool jm_kbuild_is_const(const jm_kbuilder *b, jm_kval v, uint64_t *bits) {
  if (v >= b->kernel->n_values) return false;
  const jm_kinst_fact *inst = jm_kbuilder_inst(b, v);
  if (!inst || inst->code != JM_K_const) return false;
  *bits = inst->imm;
  return true;
}

/* The instruction, folded, simplified or shared; its operands were checked. */
static jm_kval build_pure(jm_kbuilder *b, jm_kopcode code, jm_ktype type, uint64_t imm,
                          const jm_kval *operands, uint32_t n) {
  jm_kval x[3] = {0, 0, 0};
  uint64_t bits[3] = {0, 0, 0}, folded;
  bool constant = true;
  for (uint32_t i = 0; i < n; i++) {
    x[i] = operands[i];
    if (!jm_kbuild_is_const(b, x[i], &bits[i])) constant = false;
  }
  jm_ktype from = jm_kbuild_type(b, x[code == JM_K_select ? 1 : 0]);
  if (constant && jm_kernel_evaluate(code, from, type, imm, bits, &folded))
    return jm_kbuild_const(b, type, folded);
  if (code != JM_K_call && b->nesting < 64) {
    b->nesting++;
    jm_kval simple = jm_ksimplify(b, code, type, x);
    b->nesting--;
    if (b->error) return 0;
    if (simple != JM_KNONE) return simple;
  }
  jm_krange range = jm_krange_find(b->kernel, b->ranges, code, type, x);
  if (range.lo == range.hi) return jm_kbuild_int(b, type, range.lo);
  return share(b, code, type, imm, x, n, range);
}

static jm_kval build_plain(jm_kbuilder *b, jm_kopcode code, const jm_kval *x, uint32_t n) {
  const jm_kop_fact *fact = &jm_kop_facts[code];
  if (!all_visible(b, code, x, n)) return 0;
  bool select = fact->result == JM_KRESULT_SELECT;
  if (fact->operands != (int)n || !(fact->flags & JM_KFLAG_PURE) ||
      (fact->result != JM_KRESULT_SAME && fact->result != JM_KRESULT_BOOL && !select))
    return broken(b, fact->name, "not an instruction of so many operands");
  jm_ktype type = jm_kbuild_type(b, x[select ? 1 : 0]);
  if (select && jm_kbuild_type(b, x[0]) != JM_KT_i1)
    return broken(b, fact->name, "the condition is not an i1");
  for (uint32_t i = select ? 2 : 1; i < n; i++)
    if (jm_kbuild_type(b, x[i]) != type) return broken(b, fact->name, "operands of several types");
  bool is_float = jm_ktype_is_float(type);
  if ((fact->flags & JM_KFLAG_INT && is_float) || (fact->flags & JM_KFLAG_FLT && !is_float))
    return broken(b, fact->name, "operands of a wrong kind");
  return build_pure(b, code, fact->result == JM_KRESULT_BOOL ? JM_KT_i1 : type, 0, x, n);
}

jm_kval jm_kbuild1(jm_kbuilder *b, jm_kopcode code, jm_kval x) {
  return build_plain(b, code, &x, 1);
}

jm_kval jm_kbuild2(jm_kbuilder *b, jm_kopcode code, jm_kval x, jm_kval y) {
  return build_plain(b, code, (jm_kval[]){x, y}, 2);
}

jm_kval jm_kbuild3(jm_kbuilder *b, jm_kopcode code, jm_kval x, jm_kval y, jm_kval z) {
  return build_plain(b, code, (jm_kval[]){x, y, z}, 3);
}

jm_kval jm_kbuild_cast(jm_kbuilder *b, jm_kopcode code, jm_ktype type, jm_kval x) {
  if (!all_visible(b, code, &x, 1)) return 0;
  if (!jm_kernel_cast_allowed(code, jm_kbuild_type(b, x), type))
    return broken(b, jm_kop_facts[code].name, "not between these types");
  return build_pure(b, code, type, 0, &x, 1);
}

jm_kval jm_kbuild_call(jm_kbuilder *b, jm_kcall call, const jm_kval *args) {
  uint32_t n = jm_kcall_arguments[call];
  if (!all_visible(b, JM_K_call, args, n)) return 0;
  jm_ktype type = jm_kbuild_type(b, args[0]);
  for (uint32_t i = 0; i < n; i++)
    if (jm_kbuild_type(b, args[i]) != type || !jm_ktype_is_float(type))
      return broken(b, "call", "operands of a wrong type");
  return build_pure(b, JM_K_call, type, call, args, n);
}

/* ---- memory */

uint32_t jm_kbuild_param(jm_kbuilder *b, jm_kspace space, jm_ktype element, int64_t elements,
                         bool written, uint32_t alias) {
  jm_kernel *k = b->kernel;
  if (b->error) return 0;
  if (element == JM_KT_i1 || elements < 0) return broken(b, "param", "not memory");
  if (!GROW(b, k->params, k->n_params + 1, k->params_capacity)) return 0;
  k->params[k->n_params] = (jm_kparam){space, element, elements, written, alias};
  return k->n_params++;
}

/* Nothing in this kernel can change it. */
static bool is_constant_memory(const jm_kernel *k, uint32_t param) {
  if (k->params[param].written || k->params[param].space == JM_SPACE_SCRATCH) return false;
  for (uint32_t i = 0; i < k->n_params; i++)
    if (k->params[i].written && k->params[i].alias && k->params[i].alias == k->params[param].alias)
      return false;
  return k->params[param].elements > 0;
}

static bool access_allowed(jm_kbuilder *b, jm_kopcode code, uint32_t param, jm_kval index) {
  const char *name = jm_kop_facts[code].name;
  if (!all_visible(b, code, &index, 1)) return false;
  if (param >= b->kernel->n_params)
    broken(b, name, "no such parameter");
  else if (jm_kbuild_type(b, index) != JM_KT_i64)
    broken(b, name, "the index is not an i64");
  return !b->error;
}

jm_kval jm_kbuild_load(jm_kbuilder *b, uint32_t param, jm_kval index) {
  if (!access_allowed(b, JM_K_load, param, index)) return 0;
  jm_kernel *k = b->kernel;
  jm_ktype type = k->params[param].element;
  if (is_constant_memory(k, param))
    return share(b, JM_K_load, type, param, &index, 1, jm_krange_full(type));
  jm_kinst inst = add_inst(b, JM_K_load, &index, 1, param);
  if (inst == JM_KNONE) return 0;
  jm_kval v = add_value(b, type, inst, current(b), jm_krange_full(type));
  k->insts[inst].n_results = 1;
  k->insts[inst].first_result = v;
  append(b, current(b), inst);
  return v;
}

void jm_kbuild_store(jm_kbuilder *b, uint32_t param, jm_kval index, jm_kval value) {
  if (!access_allowed(b, JM_K_store, param, index) || !all_visible(b, JM_K_store, &value, 1))
    return;
  if (jm_kbuild_type(b, value) != b->kernel->params[param].element) {
    broken(b, "store", "the value is not of the parameter's type");
    return;
  }
  if (!b->kernel->params[param].written) {
    broken(b, "store", "the parameter is not written");
    return;
  }
  jm_kinst inst = add_inst(b, JM_K_store, (jm_kval[]){index, value}, 2, param);
  if (inst != JM_KNONE) append(b, current(b), inst);
}

void jm_kbuild_transpose(jm_kbuilder *b, uint32_t param, int64_t pitch, jm_kval rows,
                         jm_kval columns) {
  const jm_kval x[] = {jm_kbuild_index(b, pitch), rows, columns};
  if (!all_visible(b, JM_K_transpose, x, 3)) return;
  jm_kinst inst = add_inst(b, JM_K_transpose, x, 3, param);
  if (inst != JM_KNONE) append(b, current(b), inst);
}

/* ---- structured instructions */

/* n arguments of the block, of the types of some values; their first. */
static jm_kval add_args(jm_kbuilder *b, jm_kblock block, const jm_kval *like, uint32_t n) {
  jm_kval first = b->kernel->n_values;
  for (uint32_t i = 0; i < n; i++) {
    jm_ktype type = b->kernel->values[like[i]].type;
    add_value(b, type, JM_KNONE, block, jm_krange_full(type));
  }
  jm_kblock_fact *fact = &b->kernel->blocks[block];
  if (fact->first_arg == JM_KNONE) fact->first_arg = first;
  fact->n_args += n;
  return first;
}

/* Closes the open block, which must be this one, with what it yields. */
static bool close_block(jm_kbuilder *b, jm_kblock block, const jm_kval *yields, uint32_t n) {
  const char *name = "end of block";
  if (b->error) return false;
  if (block == 0 || current(b) != block) return broken(b, name, "not the innermost"), false;
  for (uint32_t i = 0; i < n; i++)
    if (!jm_kbuild_is_visible(b, yields[i]))
      return broken(b, name, "a yield is not visible"), false;
  jm_kval *copy = jm_arena_copy(&b->kernel->arena, yields, n, sizeof *yields);
  if (n && !copy) return out_of_memory(b), false;
  b->kernel->blocks[block].yields = copy;
  b->kernel->blocks[block].n_yields = n;
  b->n_open--;
  return true;
}

/* Appends the finished instruction; its results are of the types of some values. */
static void complete(jm_kbuilder *b, jm_kinst inst, const jm_kval *like, uint32_t n,
                     jm_kval *results) {
  jm_kval first = b->kernel->n_values;
  for (uint32_t i = 0; i < n; i++) {
    jm_ktype type = b->kernel->values[like[i]].type;
    results[i] = add_value(b, type, inst, current(b), jm_krange_full(type));
  }
  b->kernel->insts[inst].first_result = n ? first : JM_KNONE;
  b->kernel->insts[inst].n_results = n;
  append(b, current(b), inst);
}

static bool same_types(jm_kbuilder *b, const char *code, const jm_kval *x, const jm_kval *y,
                       uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (jm_kbuild_type(b, x[i]) != jm_kbuild_type(b, y[i]))
      return broken(b, code, "a carried value changes its type"), false;
  return true;
}

static jm_krange index_range(const jm_kbuilder *b, jm_kval lower, jm_kval upper) {
  jm_krange lo = b->ranges[lower], hi = b->ranges[upper];
  /* where the range is empty the body never runs, and anything is true of it */
  return hi.hi > lo.lo ? (jm_krange){lo.lo, hi.hi - 1} : (jm_krange){lo.lo, lo.lo};
}

/* A loop of one iteration is not built as a loop: its body is built in place. */
static bool is_one_iteration(jm_kbuilder *b, jm_kbinding binding, uint32_t *width, jm_kbinding *out,
                             jm_kval lower, jm_kval upper) {
  jm_krange lo = b->ranges[lower], hi = b->ranges[upper];
  *out = binding;
  if (lo.lo != lo.hi || hi.lo != hi.hi) return false;
  /* indices of tensors: no overflow; less than a vector runs one by one */
  if (binding == JM_BIND_VECTOR && (hi.lo <= lo.lo || hi.lo - lo.lo < (int64_t)*width)) {
    *out = JM_BIND_SERIAL;
    *width = 0;
  }
  return *out != JM_BIND_CHUNK && hi.lo > lo.lo && hi.lo - lo.lo == 1;
}

void jm_kbuild_loop_begin(jm_kbuilder *b, jm_kbinding binding, uint32_t width, jm_kval lower,
                          jm_kval upper, const jm_kval *initial, uint32_t n, jm_kloop *loop) {
  *loop = (jm_kloop){.n_carries = n, .inst = JM_KNONE};
  if (n > 16) broken(b, "loop", "more than 16 carried values");
  if (!all_visible(b, JM_K_loop, (jm_kval[]){lower, upper}, 2) ||
      !all_visible(b, JM_K_loop, initial, n))
    return;
  if (jm_kbinding_has_lanes(binding) &&
      (width < (binding == JM_BIND_VECTOR ? 2 : 1) || (width & (width - 1)))) {
    broken(b, "loop", "the width is not a power of two");
    return;
  }
  if (is_one_iteration(b, binding, &width, &binding, lower, upper)) {
    loop->index = lower;
    for (uint32_t i = 0; i < n; i++) loop->carries[i] = initial[i];
    return;
  }
  jm_kval operands[2 + 16] = {lower, upper};
  for (uint32_t i = 0; i < n; i++) operands[2 + i] = initial[i];
  jm_kinst inst = add_inst(b, JM_K_loop, operands, 2 + n, 0);
  if (inst == JM_KNONE) return;
  b->kernel->insts[inst].binding = binding;
  b->kernel->insts[inst].width = jm_kbinding_has_lanes(binding) ? width : 0;
  jm_kblock block = add_blocks(b, inst, jm_kbinding_has_lanes(binding) && n ? 2 : 1);
  if (block == JM_KNONE) return;
  b->kernel->blocks[block].first_arg = b->kernel->n_values;
  b->kernel->blocks[block].n_args = 1;
  loop->index = add_value(b, JM_KT_i64, JM_KNONE, block, index_range(b, lower, upper));
  jm_kval first = add_args(b, block, initial, n);
  for (uint32_t i = 0; i < n; i++) loop->carries[i] = first + i;
  loop->inst = inst;
  open_block(b, block);
}

/* Ends the body; true: there is a loop to complete. */
static bool end_body(jm_kbuilder *b, jm_kloop *loop, const jm_kval *next) {
  if (b->error) return false;
  if (loop->inst == JM_KNONE) {
    for (uint32_t i = 0; i < loop->n_carries; i++) loop->carries[i] = next[i];
    return false;
  }
  const jm_kinst_fact *inst = &b->kernel->insts[loop->inst];
  return close_block(b, inst->first_block, next, loop->n_carries) &&
         same_types(b, "loop", next, inst->operands + 2, loop->n_carries);
}

static void end_loop(jm_kbuilder *b, jm_kloop *loop) {
  const jm_kval *operands = b->kernel->insts[loop->inst].operands;
  jm_krange lo = b->ranges[operands[0]], hi = b->ranges[operands[1]];
  if (hi.hi > lo.lo) {
    complete(b, loop->inst, operands + 2, loop->n_carries, loop->carries);
    return;
  }
  /* no iterations: the body is dropped */
  for (uint32_t i = 0; i < loop->n_carries; i++) loop->carries[i] = operands[2 + i];
}

void jm_kbuild_loop_end(jm_kbuilder *b, jm_kloop *loop, const jm_kval *next) {
  if (!end_body(b, loop, next)) return;
  if (b->kernel->insts[loop->inst].n_blocks == 2)
    broken(b, "loop", "lanes that carry need a combination");
  else
    end_loop(b, loop);
}

void jm_kbuild_loop_end_combine(jm_kbuilder *b, jm_kloop *loop, const jm_kval *next,
                                jm_kcombine *combine, void *context) {
  if (!end_body(b, loop, next)) return;
  const jm_kinst_fact *inst = &b->kernel->insts[loop->inst];
  uint32_t n = loop->n_carries;
  jm_kval out[16];
  if (inst->n_blocks == 2) {
    jm_kblock block = inst->first_block + 1;
    const jm_kval *like = inst->operands + 2;
    jm_kval lower[16], upper[16];
    jm_kval first = add_args(b, block, like, n);
    add_args(b, block, like, n);
    for (uint32_t i = 0; i < n; i++) {
      lower[i] = first + i;
      upper[i] = first + n + i;
    }
    open_block(b, block);
    if (b->error) return;
    combine(context, b, lower, upper, out);
    if (!close_block(b, block, out, n) || !same_types(b, "combine", out, lower, n)) return;
  }
  end_loop(b, loop);
}

void jm_kbuild_chunk_begin(jm_kbuilder *b, int64_t chunks, int64_t grain, jm_kloop *loop) {
  *loop = (jm_kloop){.inst = JM_KNONE};
  if (b->error) return;
  b->kernel->chunks = chunks;
  b->kernel->grain = grain < 1 ? 1 : grain;
  if (b->n_open != 1) broken(b, "loop", "a chunk loop inside of another");
  jm_kval lower = jm_kbuild_index(b, 0), upper = jm_kbuild_index(b, chunks);
  if (chunks == 1)
    loop->index = lower;
  else
    jm_kbuild_loop_begin(b, JM_BIND_CHUNK, 0, lower, upper, NULL, 0, loop);
}

jm_kinst jm_kbuild_while_begin(jm_kbuilder *b, const jm_kval *initial, uint32_t n,
                               jm_kval *carries) {
  for (uint32_t i = 0; i < n; i++) carries[i] = 0;
  if (!all_visible(b, JM_K_while, initial, n)) return 0;
  jm_kinst inst = add_inst(b, JM_K_while, initial, n, 0);
  if (inst == JM_KNONE) return 0;
  jm_kblock block = add_blocks(b, inst, 2);
  if (block == JM_KNONE) return 0;
  jm_kval first = add_args(b, block, initial, n);
  for (uint32_t i = 0; i < n; i++) carries[i] = first + i;
  open_block(b, block);
  return inst;
}

void jm_kbuild_while_body(jm_kbuilder *b, jm_kinst inst, jm_kval condition, jm_kval *carries) {
  if (b->error) return;
  const jm_kinst_fact *fact = &b->kernel->insts[inst];
  jm_kblock block = fact->first_block;
  if (jm_kbuild_type(b, condition) != JM_KT_i1) {
    broken(b, "while", "the condition is not an i1");
    return;
  }
  if (!close_block(b, block, &condition, 1)) return;
  jm_kval first = add_args(b, block + 1, fact->operands, fact->n_operands);
  for (uint32_t i = 0; i < fact->n_operands; i++) carries[i] = first + i;
  open_block(b, block + 1);
}

void jm_kbuild_while_end(jm_kbuilder *b, jm_kinst inst, const jm_kval *next, jm_kval *results) {
  if (b->error) return;
  const jm_kinst_fact *fact = &b->kernel->insts[inst];
  uint32_t n = fact->n_operands;
  const jm_kval *initial = fact->operands;
  if (close_block(b, fact->first_block + 1, next, n) && same_types(b, "while", next, initial, n))
    complete(b, inst, initial, n, results);
}

jm_kinst jm_kbuild_if_begin(jm_kbuilder *b, jm_kval condition) {
  if (!all_visible(b, JM_K_if, &condition, 1)) return 0;
  if (jm_kbuild_type(b, condition) != JM_KT_i1)
    return broken(b, "if", "the condition is not an i1");
  jm_kinst inst = add_inst(b, JM_K_if, &condition, 1, 0);
  if (inst == JM_KNONE) return 0;
  jm_kblock block = add_blocks(b, inst, 2);
  if (block != JM_KNONE) open_block(b, block);
  return inst;
}

void jm_kbuild_if_else(jm_kbuilder *b, jm_kinst inst, const jm_kval *yields, uint32_t n) {
  if (b->error) return;
  jm_kblock block = b->kernel->insts[inst].first_block;
  if (close_block(b, block, yields, n)) open_block(b, block + 1);
}

void jm_kbuild_if_end(jm_kbuilder *b, jm_kinst inst, const jm_kval *yields, jm_kval *results) {
  if (b->error) return;
  jm_kblock block = b->kernel->insts[inst].first_block;
  const jm_kblock_fact *then = &b->kernel->blocks[block];
  uint32_t n = then->n_yields;
  const jm_kval *like = then->yields;
  if (close_block(b, block + 1, yields, n) && same_types(b, "if", like, yields, n))
    complete(b, inst, like, n, results);
}

/* ---- the end: dead instructions are removed from the lists */

/* Does the instruction store, itself or inside? Marks those that do; recursion is as deep as the
 * nesting, which the kernel's creator bounds. */
static bool mark_effects(const jm_kernel *k, jm_kinst inst, bool *effects) {
  const jm_kinst_fact *fact = &k->insts[inst];
  bool effect = fact->code == JM_K_store || fact->code == JM_K_transpose;
  for (uint32_t i = 0; i < fact->n_blocks; i++) {
    const jm_kblock_fact *block = &k->blocks[fact->first_block + i];
    for (uint32_t j = 0; j < block->n_insts; j++)
      if (mark_effects(k, block->insts[j], effects)) effect = true;
  }
  return effects[inst] = effect;
}

typedef struct sweep {
  const jm_kernel *kernel;
  bool *live; /* per instruction; starts as those with effects */
  jm_kinst *pending;
  uint32_t n;
} sweep;

static void need(sweep *s, const jm_kval *values, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    jm_kinst inst = s->kernel->values[values[i]].inst;
    if (inst == JM_KNONE || s->live[inst]) continue;
    s->live[inst] = true;
    s->pending[s->n++] = inst;
  }
}

static void drop_dead(jm_kbuilder *b) {
  jm_kernel *k = b->kernel;
  sweep s = {.kernel = k};
  s.live = jm_alloc(k->n_insts, sizeof *s.live);
  s.pending = jm_alloc(k->n_insts, sizeof *s.pending);
  if (!s.live || !s.pending) {
    out_of_memory(b);
    goto done;
  }
  for (uint32_t i = 0; i < k->blocks[0].n_insts; i++)
    mark_effects(k, k->blocks[0].insts[i], s.live);
  for (jm_kinst i = 0; i < k->n_insts; i++)
    if (s.live[i]) s.pending[s.n++] = i;
  while (s.n) {
    const jm_kinst_fact *inst = &k->insts[s.pending[--s.n]];
    need(&s, inst->operands, inst->n_operands);
    for (uint32_t i = 0; i < inst->n_blocks; i++) {
      const jm_kblock_fact *block = &k->blocks[inst->first_block + i];
      need(&s, block->yields, block->n_yields);
    }
  }
  for (jm_kblock i = 0; i < k->n_blocks; i++) {
    jm_kblock_fact *block = &k->blocks[i];
    uint32_t kept = 0;
    for (uint32_t j = 0; j < block->n_insts; j++)
      if (s.live[block->insts[j]]) block->insts[kept++] = block->insts[j];
    block->n_insts = kept;
  }
done:
  jm_free(s.live);
  jm_free(s.pending);
}

jm_error *jm_kbuilder_finish(jm_kbuilder *b, jm_kernel **out) {
  if (!b->error && b->n_open != 1) broken(b, "finish", "a block is still open");
  if (!b->error) drop_dead(b);
  if (!b->error) b->error = jm_kernel_verify(b->kernel);
  if (!b->error) b->error = jm_kernel_insert_barriers(b->kernel);
  if (b->error) {
    jm_error *error = b->error;
    b->error = NULL;
    return error;
  }
  *out = b->kernel;
  b->kernel = NULL;
  return NULL;
}
