/* SPDX-License-Identifier: Apache-2.0
 * The machinery of pulling: leaves, the table of elements that are built already, regions, and the
 * layout of elements in memory. The ops' rules are in emit_*.c. */
#include <string.h>

#include "base/hash.h"
#include "kernel/emit/emit_rules.h"

enum { MAX_DEPTH = 2000 }; /* ops from a result to a leaf: recursion well within a thread's stack */

typedef struct leaf {
  jm_value value;
  jm_emit_leaf_fn *fn;
  void *context;
  bool is_param, is_element;
  uint32_t param;
  jm_element element;
} leaf;

/* An element that was built. Entries of an older epoch, and those that the open block does not see,
 * count as absent. */
typedef struct memo {
  jm_value value;
  uint32_t scope, epoch, rank;
  const jm_kval *index;
  jm_element element;
} memo;

/* A region that is being evaluated. Its values have other elements each time. */
typedef struct scope {
  uint32_t id;
  const jm_op *op;
  jm_region_id region;
  const jm_element *args;
  struct scope *parent;
} scope;

struct jm_emit {
  const jm_module *module;
  jm_kbuilder *b;
  jm_arena arena;
  leaf *leaves; /* open addressing; value JM_NONE: free */
  uint32_t n_leaves, leaves_capacity;
  memo *memos; /* likewise */
  uint32_t n_memos, memos_capacity;
  uint32_t epoch, scopes, depth;
  scope *scope;
};

jm_error *jm_emit_create(const jm_module *module, jm_kbuilder *b, jm_emit **out) {
  jm_emit *e = jm_alloc(1, sizeof *e);
  if (!e) return jm_error_out_of_memory();
  e->module = module;
  e->b = b;
  jm_arena_init(&e->arena);
  *out = e;
  return NULL;
}

void jm_emit_destroy(jm_emit *e) {
  if (!e) return;
  jm_arena_deinit(&e->arena);
  jm_free(e->leaves);
  jm_free(e->memos);
  jm_free(e);
}

jm_kbuilder *jm_emit_builder(jm_emit *e) { return e->b; }
const jm_module *jm_emit_module(const jm_emit *e) { return e->module; }

static void *take(jm_emit *e, size_t count, size_t size) {
  void *block = jm_arena_alloc(&e->arena, count, size);
  if (!block) jm_kbuilder_fail(e->b, jm_error_out_of_memory());
  return block;
}

/* -- what was built */

static uint32_t memo_hash(jm_value value, uint32_t scope_id, uint32_t rank, const jm_kval *index) {
  uint64_t hash = jm_hash_mix(value, scope_id);
  for (uint32_t d = 0; d < rank; d++) hash = jm_hash_mix(hash, index[d]);
  return (uint32_t)(hash ^ hash >> 32);
}

/* The entry of this key, or the free one where it belongs. The table is never full. */
static memo *memo_slot(memo *table, uint32_t capacity, jm_value value, uint32_t scope_id,
                       uint32_t rank, const jm_kval *index) {
  uint32_t at = memo_hash(value, scope_id, rank, index);
  for (;; at++) {
    memo *m = &table[at & (capacity - 1)];
    if (m->value == JM_NONE || (m->value == value && m->scope == scope_id &&
                                (!rank || !memcmp(m->index, index, rank * sizeof *index))))
      return m;
  }
}

static bool memo_grow(jm_emit *e) {
  uint32_t capacity = e->memos_capacity ? 2 * e->memos_capacity : 256;
  memo *table = jm_alloc(capacity, sizeof *table);
  if (!table) {
    jm_kbuilder_fail(e->b, jm_error_out_of_memory());
    return false;
  }
  for (uint32_t i = 0; i < capacity; i++) table[i].value = JM_NONE;
  for (uint32_t i = 0; i < e->memos_capacity; i++) {
    const memo *m = &e->memos[i];
    if (m->value != JM_NONE)
      *memo_slot(table, capacity, m->value, m->scope, m->rank, m->index) = *m;
  }
  jm_free(e->memos);
  e->memos = table;
  e->memos_capacity = capacity;
  return true;
}

static bool element_visible(const jm_emit *e, jm_element x) {
  return jm_kbuild_is_visible(e->b, x.part[0]) &&
         (x.part[1] == JM_KNONE || jm_kbuild_is_visible(e->b, x.part[1]));
}

static const memo *memo_find(jm_emit *e, jm_value v, uint32_t scope_id, uint32_t rank,
                             const jm_kval *index) {
  if (!e->memos_capacity) return NULL;
  const memo *m = memo_slot(e->memos, e->memos_capacity, v, scope_id, rank, index);
  return m->value != JM_NONE && m->epoch == e->epoch && element_visible(e, m->element) ? m : NULL;
}

static void memo_add(jm_emit *e, jm_value v, uint32_t scope_id, uint32_t rank, const jm_kval *index,
                     jm_element element) {
  if (jm_kbuilder_failed(e->b)) return;
  if (2 * (e->n_memos + 1) > e->memos_capacity && !memo_grow(e)) return;
  memo *m = memo_slot(e->memos, e->memos_capacity, v, scope_id, rank, index);
  if (m->value == JM_NONE) {
    jm_kval *copy = take(e, rank, sizeof *copy);
    if (!copy) return;
    if (rank) memcpy(copy, index, rank * sizeof *copy);
    *m = (memo){.value = v, .scope = scope_id, .rank = rank, .index = copy};
    e->n_memos++;
  }
  m->epoch = e->epoch;
  m->element = element;
}

/* -- what can be emitted */

bool jm_emit_supports(const jm_module *module, const jm_op *op) {
  const jm_emit_row *row = jm_emit_row_find(op->code);
  return row && (!row->check || row->check(module, op));
}

static bool is_wide(const jm_type *type) { return jm_dtype_real(type->dtype) == JM_DT_f64; }

bool jm_emit_needs_f64(const jm_module *m, const jm_op *op) {
  for (uint32_t i = 0; i < op->n_operands; i++)
    if (is_wide(jm_op_operand_type(m, op, i))) return true;
  for (uint32_t i = 0; i < op->n_results; i++)
    if (is_wide(jm_op_result_type(m, op, i))) return true;
  for (uint32_t r = 0; r < op->n_regions; r++) {
    const jm_region *region = jm_op_region(m, op, r);
    for (uint32_t i = 0; i < region->n_ops; i++)
      if (jm_emit_needs_f64(m, jm_module_op(m, region->ops[i]))) return true;
  }
  return false;
}

jm_emit_cost jm_emit_estimate(const jm_module *module, const jm_op *op) {
  const jm_emit_row *row = jm_emit_row_find(op->code);
  if (!row) return (jm_emit_cost){0};
  return (jm_emit_cost){row->price ? row->price(module, op) : row->flops, row->loops};
}

/* -- leaves */

static leaf *leaf_slot(leaf *table, uint32_t capacity, jm_value v) {
  for (uint32_t at = (uint32_t)jm_hash_mix(0, v);; at++) {
    leaf *l = &table[at & (capacity - 1)];
    if (l->value == JM_NONE || l->value == v) return l;
  }
}

static const leaf *leaf_find(const jm_emit *e, jm_value v) {
  if (!e->leaves_capacity) return NULL;
  const leaf *l = leaf_slot(e->leaves, e->leaves_capacity, v);
  return l->value == v ? l : NULL;
}

static void leaf_set(jm_emit *e, leaf l) {
  if (jm_kbuilder_failed(e->b)) return;
  if (2 * (e->n_leaves + 1) > e->leaves_capacity) {
    uint32_t capacity = e->leaves_capacity ? 2 * e->leaves_capacity : 16;
    leaf *table = jm_alloc(capacity, sizeof *table);
    if (!table) {
      jm_kbuilder_fail(e->b, jm_error_out_of_memory());
      return;
    }
    for (uint32_t i = 0; i < capacity; i++) table[i].value = JM_NONE;
    for (uint32_t i = 0; i < e->leaves_capacity; i++)
      if (e->leaves[i].value != JM_NONE)
        *leaf_slot(table, capacity, e->leaves[i].value) = e->leaves[i];
    jm_free(e->leaves);
    e->leaves = table;
    e->leaves_capacity = capacity;
  }
  leaf *slot = leaf_slot(e->leaves, e->leaves_capacity, l.value);
  if (slot->value == JM_NONE) e->n_leaves++;
  *slot = l;
  /* Forgets elements built from v, directly or not; others are built again, and the builder finds
   * them. */
  bool was_built = false;
  for (uint32_t i = 0; i < e->memos_capacity && !was_built; i++)
    was_built = e->memos[i].value == l.value && e->memos[i].epoch == e->epoch;
  if (was_built) e->epoch++;
}

void jm_emit_leaf(jm_emit *e, jm_value v, jm_emit_leaf_fn *fn, void *context) {
  leaf_set(e, (leaf){.value = v, .fn = fn, .context = context});
}

void jm_emit_leaf_param(jm_emit *e, jm_value v, uint32_t param) {
  leaf_set(e, (leaf){.value = v, .is_param = true, .param = param});
}

void jm_emit_leaf_element(jm_emit *e, jm_value v, jm_element element) {
  leaf_set(e, (leaf){.value = v, .is_element = true, .element = element});
}

static jm_element leaf_pull(jm_emit *e, const leaf *l, const jm_type *type, const jm_kval *index) {
  if (l->is_element) return l->element;
  if (l->is_param) return jm_emit_load(e, type->dtype, l->param, jm_emit_linear(e, type, index));
  return l->fn(l->context, e, index);
}

/* -- values */

jm_element jm_emit_zero(jm_emit *e, jm_dtype dtype) {
  const char zeros[16] = {0};
  return jm_emit_constant(e, dtype, zeros);
}

jm_element jm_emit_select(jm_emit *e, jm_kval condition, jm_element x, jm_element y) {
  jm_kbuilder *b = e->b;
  jm_element z = {{jm_k_select(b, condition, x.part[0], y.part[0]), JM_KNONE}};
  if (x.part[1] != JM_KNONE) z.part[1] = jm_k_select(b, condition, x.part[1], y.part[1]);
  return z;
}

/* An argument of the region in evaluation: given, or captured from around its op. */
static jm_element pull_argument(jm_emit *e, jm_value v, const jm_kval *index) {
  scope *s = e->scope;
  const jm_region *region = jm_module_region(e->module, s->region);
  uint32_t i = v - region->first_arg, n_own = region->n_args - s->op->n_captures;
  if (i < n_own) return s->args[i];
  e->scope = s->parent;
  jm_element element =
      jm_emit_value(e, s->op->operands[s->op->n_operands - s->op->n_captures + (i - n_own)], index);
  e->scope = s;
  return element;
}

static jm_element pull_op(jm_emit *e, jm_value v, uint32_t rank, const jm_kval *index) {
  const jm_op *op = jm_module_definition(e->module, v);
  const jm_emit_row *row = op ? jm_emit_row_find(op->code) : NULL;
  if (!row || op->n_results > JM_EMIT_CARRIES || e->depth > MAX_DEPTH) {
    jm_kbuilder_fail(e->b, op ? jm_op_error(e->module, op, JM_INTERNAL, "can't be part of a kernel")
                              : jm_error_internal("a kernel needs a value that is no leaf"));
    return (jm_element){{0, JM_KNONE}};
  }
  jm_element out[JM_EMIT_CARRIES];
  e->depth++;
  row->rule(e, op, index, out);
  e->depth--;
  uint32_t scope_id = e->scope ? e->scope->id : 0;
  for (uint32_t i = 0; i < op->n_results; i++)
    memo_add(e, op->first_result + i, scope_id, rank, index, out[i]);
  return out[v - op->first_result];
}

/* The index of a dimension of size 1 is the constant 0, so that one element has one index. Not in
 * the caller's frame: frames are many. NULL, and failed, without memory. */
static const jm_kval *plain_index(jm_emit *e, const jm_type *type, const jm_kval *index) {
  const jm_kval zero = jm_kbuild_index(e->b, 0);
  bool plain = true;
  for (uint32_t d = 0; d < type->rank; d++) plain &= type->dims[d] != 1 || index[d] == zero;
  if (plain) return index;
  jm_kval *at = take(e, type->rank, sizeof *at);
  for (uint32_t d = 0; at && d < type->rank; d++) at[d] = type->dims[d] == 1 ? zero : index[d];
  return at;
}

jm_element jm_emit_value(jm_emit *e, jm_value v, const jm_kval *index) {
  const jm_value_fact *fact = &e->module->values[v];
  const jm_type *type = fact->type;
  if (!type->count) return jm_emit_zero(e, type->dtype); /* in code that never runs */
  const jm_kval *at = plain_index(e, type, index);
  if (!at && type->rank) return (jm_element){{0, JM_KNONE}};
  const leaf *l = leaf_find(e, v);
  if (!l && e->scope && fact->op == JM_NONE && fact->region == e->scope->region)
    return pull_argument(e, v, at);
  uint32_t scope_id = e->scope ? e->scope->id : 0;
  const memo *found = memo_find(e, v, scope_id, type->rank, at);
  if (found) return found->element;
  if (!l) return pull_op(e, v, type->rank, at);
  jm_element element = leaf_pull(e, l, type, at);
  memo_add(e, v, scope_id, type->rank, at, element);
  return element;
}

void jm_emit_region(jm_emit *e, const jm_op *op, jm_region_id region, const jm_element *args,
                    jm_element *results) {
  scope s = {.id = ++e->scopes, .op = op, .region = region, .args = args, .parent = e->scope};
  const jm_region *r = jm_module_region(e->module, region);
  e->scope = &s;
  for (uint32_t i = 0; i < r->n_results; i++) results[i] = jm_emit_value(e, r->results[i], NULL);
  e->scope = s.parent;
}

/* -- positions. The builder knows ranges and puts quotients and remainders together again, so that
 * plain formulas do. */

/* Outer dimensions are summed first: that part of the sum does not depend on inner loops. */
static jm_kval join(jm_kbuilder *b, uint32_t n, const int64_t *dims, const jm_kval *index) {
  int64_t stride = 1;
  for (uint32_t d = 0; d < n; d++) stride *= dims[d];
  jm_kval sum = jm_kbuild_index(b, 0);
  for (uint32_t d = 0; d < n; d++) {
    stride /= dims[d];
    sum = jm_k_iadd(b, sum, jm_k_imul(b, index[d], jm_kbuild_index(b, stride)));
  }
  return sum;
}

static void part(jm_kbuilder *b, jm_kval linear, uint32_t n, const int64_t *dims, jm_kval *index) {
  for (uint32_t d = n; d-- > 1;) {
    jm_kval size = jm_kbuild_index(b, dims[d]);
    index[d] = jm_k_urem(b, linear, size);
    linear = jm_k_udiv(b, linear, size);
  }
  if (n) index[0] = linear;
}

jm_kval jm_emit_linear(jm_emit *e, const jm_type *type, const jm_kval *index) {
  if (!type->count) return jm_kbuild_index(e->b, 0);
  return join(e->b, type->rank, type->dims, index);
}

void jm_emit_split(jm_emit *e, const jm_type *type, jm_kval linear, jm_kval *index) {
  if (type->count) {
    part(e->b, linear, type->rank, type->dims, index);
    return;
  }
  for (uint32_t d = 0; d < type->rank; d++) index[d] = jm_kbuild_index(e->b, 0);
}

static uint32_t without_ones(const jm_type *type, int64_t *dims) {
  uint32_t n = 0;
  for (uint32_t d = 0; d < type->rank; d++)
    if (type->dims[d] != 1) dims[n++] = type->dims[d];
  return n;
}

/* Dimensions of the two shapes are paired where their products meet: positions need computing only
 * between two such places. */
void jm_emit_reshape(jm_emit *e, const jm_op *op, const jm_kval *index, jm_element *out) {
  const jm_type *from = jm_op_operand_type(e->module, op, 0);
  const jm_type *to = jm_op_result_type(e->module, op, 0);
  int64_t dims[2][JM_EMIT_RANK];
  jm_kval at[JM_EMIT_RANK], source[JM_EMIT_RANK], operand[JM_EMIT_RANK];
  uint32_t n_from = without_ones(from, dims[0]), k = 0;
  without_ones(to, dims[1]);
  for (uint32_t d = 0; d < to->rank; d++)
    if (to->dims[d] != 1) at[k++] = index[d];
  for (uint32_t i = 0, j = 0; i < n_from;) {
    int64_t in = dims[0][i], have = dims[1][j];
    uint32_t i_end = i + 1, j_end = j + 1;
    while (in != have) { /* ends where the counts do, if not before */
      if (in < have)
        in *= dims[0][i_end++];
      else
        have *= dims[1][j_end++];
    }
    jm_kval position = join(e->b, j_end - j, dims[1] + j, at + j);
    part(e->b, position, i_end - i, dims[0] + i, source + i);
    i = i_end;
    j = j_end;
  }
  k = 0;
  for (uint32_t d = 0; d < from->rank; d++)
    operand[d] = from->dims[d] == 1 ? jm_kbuild_index(e->b, 0) : source[k++];
  out[0] = jm_emit_operand(e, op, 0, operand);
}

/* -- memory */

jm_ktype jm_emit_storage(jm_dtype dtype) {
  if (dtype == JM_DT_pred) return JM_KT_i8;
  if (!jm_dtype_is_float(dtype)) return jm_element_type(dtype);
  switch (jm_dtype_bytes(dtype)) {
    case 1:
      return JM_KT_i8;
    case 2:
      return JM_KT_i16;
    default:
      return jm_element_type(dtype);
  }
}

uint32_t jm_emit_words(jm_dtype dtype) { return jm_dtype_is_complex(dtype) ? 2 : 1; }

uint32_t jm_emit_param(jm_emit *e, const jm_type *type, jm_kspace space, bool written,
                       uint32_t alias) {
  return jm_kbuild_param(e->b, space, jm_emit_storage(type->dtype),
                         type->count * jm_emit_words(type->dtype), written, alias);
}

/* Are elements stored as they are in registers? */
static bool is_plain(jm_dtype dtype) {
  return jm_emit_storage(dtype) == jm_element_type(dtype) &&
         (!jm_dtype_is_integer(dtype) || jm_dtype_facts[dtype].bits >= 8);
}

jm_element jm_emit_load(jm_emit *e, jm_dtype dtype, uint32_t param, jm_kval linear) {
  jm_kbuilder *b = e->b;
  if (!jm_dtype_is_complex(dtype)) {
    jm_kval word = jm_kbuild_load(b, param, linear);
    return jm_element_of(is_plain(dtype) ? word : jm_element_unpack(b, dtype, word));
  }
  jm_kval at = jm_k_imul(b, linear, jm_kbuild_index(b, 2));
  jm_kval re = jm_kbuild_load(b, param, at);
  return jm_element_pair(re, jm_kbuild_load(b, param, jm_k_iadd(b, at, jm_kbuild_index(b, 1))));
}

void jm_emit_store(jm_emit *e, jm_dtype dtype, uint32_t param, jm_kval linear, jm_element element) {
  jm_kbuilder *b = e->b;
  if (!jm_dtype_is_complex(dtype)) {
    jm_kval x = element.part[0];
    jm_kbuild_store(b, param, linear, is_plain(dtype) ? x : jm_element_pack(b, dtype, x));
    return;
  }
  jm_kval at = jm_k_imul(b, linear, jm_kbuild_index(b, 2));
  jm_kbuild_store(b, param, at, element.part[0]);
  jm_kbuild_store(b, param, jm_k_iadd(b, at, jm_kbuild_index(b, 1)), element.part[1]);
}

jm_element jm_emit_constant(jm_emit *e, jm_dtype dtype, const void *bytes) {
  jm_kval parts[2];
  size_t size = jm_dtype_bytes(jm_dtype_real(dtype));
  for (uint32_t i = 0; i < jm_emit_words(dtype); i++) {
    uint64_t word = 0;
    memcpy(&word, (const char *)bytes + i * size, size); /* little-endian, as our buffers are */
    parts[i] = jm_kbuild_const(e->b, jm_emit_storage(dtype), word);
  }
  if (jm_dtype_is_complex(dtype)) return jm_element_pair(parts[0], parts[1]);
  return jm_element_of(is_plain(dtype) ? parts[0] : jm_element_unpack(e->b, dtype, parts[0]));
}
