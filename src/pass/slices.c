/* SPDX-License-Identifier: Apache-2.0
 * Batched products, and what is computed between them, become one op that does all of it for one
 * slice of the batch after the other, so that what is between them stays in a core's cache:
 *
 *   %s: f32[8,8,256,256] = dot_general %q, %k lhs_batch=[0,1] rhs_batch=[0,1] ...
 *   %p: f32[8,8,256,256] = ... %s                              // softmax
 *   %o: f32[8,8,256,64] = dot_general %p, %v lhs_batch=[0,1] rhs_batch=[0,1] ...
 * becomes
 *   %o: f32[8,8,256,64] = sliced %q, %k, %v parts=[8,8] dims=[0,1,0,1,0,1,0,1]
 *     { (%q: f32[1,1,256,64], ...): the same for [1,1,256,256] }
 *
 * Where slices of the batch are too large, or few, rows of the first product's result are cut, too:
 *
 *   %o: f32[1,8,2048,64] = sliced %q, %k, %v parts=[8,16] dims=[1,2,1,-1,1,-1,1,2]
 *
 * A chain grows from a product: dimensions of the batch are followed by the factors of ops
 * (ir/factors.h) to their users and to those that compute their operands. An op belongs to it if it
 * keeps all of these dimensions and a product of the chain comes before it. What comes behind the
 * last products is left to others, except transposes of their results. Numbers and their like are
 * computed in the chain and outside. */
#include "ir/slices.h"

#include <string.h>

#include "ir/factors.h"
#include "pass/rewrite.h"

enum { MOST_DIMS = 4, DEPTH = 48 };

/* An op of the region. */
typedef struct member {
  bool in;      /* the chain */
  bool is_free; /* no product comes before it, and it reads little */
  bool stays;   /* it is also computed outside, if it is used there */
  bool is_late; /* outside, and needs what the chain computes */
  bool refused; /* when an operand's computation was looked for: many paths may lead to it */
  int8_t *dims; /* of each operand and result: where the chain's dimensions are, -1: nowhere */
} member;

typedef struct chain {
  jm_module *m;
  const jm_target *target;
  jm_region_id region;
  jm_arena scratch;
  jm_op_id *ops; /* of the region, in order */
  uint32_t n_ops;
  uint32_t *at;    /* by value: the position of the op that computes it; JM_NONE: none here */
  uint32_t *first; /* by value: of its users' positions in `users`, up to those of the next */
  uint32_t *users;
  bool *returned; /* by value */
  member *members;
  uint32_t *grown, n_grown; /* members whose users are to be looked at */
  uint32_t n_dims;
  uint32_t n_batch; /* of these; the one behind them is of rows, if there is one */
  int64_t sizes[MOST_DIMS], parts[MOST_DIMS];
} chain;

static const jm_op *op_at(const chain *c, uint32_t at) { return jm_module_op(c->m, c->ops[at]); }

static const int8_t *dims_of(const chain *c, const member *m, uint32_t tensor) {
  return m->dims + (size_t)tensor * c->n_dims;
}

/* Where the chain's dimensions are in a value that a member computes. */
static const int8_t *result_dims(const chain *c, jm_value v) {
  const uint32_t at = c->at[v];
  const jm_op *op = op_at(c, at);
  return dims_of(c, &c->members[at], op->n_operands + (v - op->first_result));
}

static bool same_dims(const chain *c, const int8_t *a, const int8_t *b) {
  return !memcmp(a, b, c->n_dims);
}

static bool has_all(const chain *c, const int8_t *dims) {
  for (uint32_t j = 0; j < c->n_dims; j++)
    if (dims[j] < 0) return false;
  return true;
}

static size_t value_bytes(const chain *c, jm_value v) {
  return jm_type_bytes(jm_module_typeof(c->m, v));
}

/* -- the region */

static jm_error *list_users(chain *c, const jm_region *region) {
  const uint32_t n_values = c->m->n_values;
  uint32_t n = 0;
  for (uint32_t i = 0; i < c->n_ops; i++) n += op_at(c, i)->n_operands;
  c->first = jm_arena_alloc(&c->scratch, n_values + 2, sizeof *c->first);
  c->users = jm_arena_alloc(&c->scratch, n + 1, sizeof *c->users);
  c->returned = jm_arena_alloc(&c->scratch, n_values + 1, sizeof *c->returned);
  if (!c->first || !c->users || !c->returned) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < c->n_ops; i++)
    for (uint32_t k = 0; k < op_at(c, i)->n_operands; k++) c->first[op_at(c, i)->operands[k] + 2]++;
  for (uint32_t v = 2; v < n_values + 2; v++) c->first[v] += c->first[v - 1];
  for (uint32_t i = 0; i < c->n_ops; i++)
    for (uint32_t k = 0; k < op_at(c, i)->n_operands; k++)
      c->users[c->first[op_at(c, i)->operands[k] + 1]++] = i;
  for (uint32_t i = 0; i < region->n_results; i++) c->returned[region->results[i]] = true;
  return NULL;
}

static jm_error *read_region(chain *c) {
  const jm_region *region = jm_module_region(c->m, c->region);
  const uint32_t n_values = c->m->n_values;
  c->n_ops = region->n_ops;
  c->ops = jm_arena_copy(&c->scratch, region->ops, region->n_ops, sizeof *c->ops);
  c->at = jm_arena_alloc(&c->scratch, n_values + 1, sizeof *c->at);
  c->members = jm_arena_alloc(&c->scratch, c->n_ops + 1, sizeof *c->members);
  c->grown = jm_arena_alloc(&c->scratch, c->n_ops + 1, sizeof *c->grown);
  if (!c->ops || !c->at || !c->members || !c->grown) return jm_error_out_of_memory();
  for (jm_value v = 0; v < n_values; v++) c->at[v] = JM_NONE;
  for (uint32_t i = 0; i < c->n_ops; i++)
    for (uint32_t r = 0; r < op_at(c, i)->n_results; r++) c->at[op_at(c, i)->first_result + r] = i;
  return list_users(c, region);
}

/* -- growing */

/* Ops whose attributes are those of a slice, too. */
static bool is_allowed(const jm_op *op) {
  if (op->n_captures || op->n_results != 1) return op->code == JM_OP_reduce && !op->n_captures;
  switch (op->code) {
    case JM_OP_dot_general:
    case JM_OP_broadcast_in_dim:
    case JM_OP_reshape:
    case JM_OP_transpose:
    case JM_OP_reduce:
    case JM_OP_constant:
    case JM_OP_iota:
      return true;
    default:
      return (jm_op_facts[op->code].traits & JM_TRAIT_ELEMENTWISE) && !op->n_regions;
  }
}

/* The tensor's dimension that is this factor; -1: none. */
static int8_t find_factor(const jm_factors *f, const jm_type *type, uint32_t tensor,
                          int32_t factor) {
  for (uint32_t d = 0; d < type->rank; d++)
    if (f->of[tensor][d] == factor) return (int8_t)d;
  return -1;
}

/* From where the dimensions are in one of the op's tensors to where they are in all of them. *out
 * is NULL if the op can't be done for a slice. */
static jm_error *spread(chain *c, const jm_op *op, uint32_t tensor, const int8_t *dims,
                        int8_t **out) {
  *out = NULL;
  jm_factors *f;
  if (!is_allowed(op)) return NULL;
  JM_TRY(jm_factors_find(c->m, op, &c->scratch, &f));
  if (!f) return NULL;
  int8_t *all = jm_arena_alloc(&c->scratch, (size_t)f->n_tensors * c->n_dims, sizeof *all);
  if (!all) return jm_error_out_of_memory();
  for (uint32_t j = 0; j < c->n_dims; j++) {
    const int32_t factor = f->of[tensor][dims[j]];
    if (factor < 0 || f->list[factor].reduced || f->list[factor].size != c->sizes[j]) return NULL;
    for (uint32_t t = 0; t < f->n_tensors; t++) {
      const int8_t d = find_factor(f, jm_factors_type(c->m, op, f, t), t, factor);
      const bool is_shared = op->code == JM_OP_dot_general && j < c->n_batch;
      if (d < 0 && (t >= op->n_operands || is_shared)) return NULL;
      all[t * c->n_dims + j] = d;
    }
  }
  if (op->code == JM_OP_iota &&
      memchr(all, (int)((const jm_iota_attrs *)op->attrs)->dim, c->n_dims))
    return NULL;
  *out = all;
  return NULL;
}

static void add(chain *c, uint32_t at, int8_t *dims, bool is_free) {
  c->members[at] = (member){.in = true, .is_free = is_free, .stays = is_free, .dims = dims};
  if (!is_free) c->grown[c->n_grown++] = at;
}

/* A number is computed in the chain, too: ops are compiled with it. */
static bool add_number(chain *c, jm_value v, int8_t *dims) {
  const uint32_t at = c->at[v];
  if (at == JM_NONE || op_at(c, at)->code != JM_OP_constant) return false;
  if (jm_module_typeof(c->m, v)->count != 1) return false;
  if (!c->members[at].in) add(c, at, dims, true);
  return same_dims(c, result_dims(c, v), dims);
}

static jm_error *pull(chain *c, jm_value v, const int8_t *dims, uint32_t depth, bool *in);

/* Adds those that compute the op's operands. *reads: bytes of others. */
static jm_error *pull_operands(chain *c, const jm_op *op, int8_t *all, uint32_t depth,
                               bool *has_product, size_t *reads) {
  for (uint32_t t = 0; t < op->n_operands; t++) {
    const jm_value v = op->operands[t];
    int8_t *dims = all + (size_t)t * c->n_dims;
    bool in = add_number(c, v, dims);
    if (!in && has_all(c, dims)) JM_TRY(pull(c, v, dims, depth, &in));
    if (!in) *reads += value_bytes(c, v);
    *has_product |= in && !c->members[c->at[v]].is_free;
  }
  return NULL;
}

/* Adds the op that computes the value, if it belongs to the chain. */
static jm_error *pull(chain *c, jm_value v, const int8_t *dims, uint32_t depth, bool *in) {
  const uint32_t at = c->at[v];
  *in = false;
  if (at == JM_NONE || !depth || c->members[at].refused) return NULL;
  if (c->members[at].in) {
    *in = same_dims(c, result_dims(c, v), dims);
    return NULL;
  }
  const jm_op *op = op_at(c, at);
  bool has_product = op->code == JM_OP_dot_general;
  int8_t *all;
  size_t reads = 0;
  JM_TRY(spread(c, op, op->n_operands + (v - op->first_result), dims, &all));
  c->members[at].refused = !all;
  if (!all) return NULL;
  JM_TRY(pull_operands(c, op, all, depth - 1, &has_product, &reads));
  c->members[at].refused = !has_product && 2 * reads > value_bytes(c, v);
  if (c->members[at].refused) return NULL;
  *in = true;
  add(c, at, all, !has_product);
  return NULL;
}

/* Adds a user of a member's result. */
static jm_error *push(chain *c, uint32_t at, jm_value v) {
  const jm_op *op = op_at(c, at);
  if (c->members[at].in && !c->members[at].is_free) return NULL;
  uint32_t tensor = 0;
  while (op->operands[tensor] != v) tensor++;
  int8_t *all;
  bool has_product = false;
  size_t reads = 0;
  JM_TRY(spread(c, op, tensor, result_dims(c, v), &all));
  if (!all) return NULL;
  JM_TRY(pull_operands(c, op, all, DEPTH, &has_product, &reads));
  if (!c->members[at].in || c->members[at].is_free) add(c, at, all, false);
  return NULL;
}

static jm_error *grow(chain *c) {
  while (c->n_grown) {
    const jm_op *op = op_at(c, c->grown[--c->n_grown]);
    for (uint32_t r = 0; r < op->n_results; r++) {
      const jm_value v = op->first_result + r;
      for (uint32_t u = c->first[v]; u < c->first[v + 1]; u++) JM_TRY(push(c, c->users[u], v));
    }
  }
  return NULL;
}

/* -- what stays */

static const member *member_of(const chain *c, jm_value v) {
  const uint32_t at = c->at[v];
  return at != JM_NONE && c->members[at].in ? &c->members[at] : NULL;
}

/* Does the member have the operand as the chain computes it, or not from the chain? */
static bool fits(const chain *c, const member *m, const jm_op *op, uint32_t t) {
  const member *from = member_of(c, op->operands[t]);
  return !from || from->is_free || same_dims(c, result_dims(c, op->operands[t]), dims_of(c, m, t));
}

/* All that the chain reads is computed before it: members that need what is computed outside from
 * its results leave it. Effects keep their order. */
static void prune(chain *c) {
  bool is_effect_late = false;
  for (uint32_t at = 0; at < c->n_ops; at++) {
    const jm_op *op = op_at(c, at);
    member *m = &c->members[at];
    bool fitting = true, late = false, reads_chain = false;
    for (uint32_t t = 0; t < op->n_operands; t++) {
      const uint32_t from = c->at[op->operands[t]];
      if (from == JM_NONE) continue;
      late |= c->members[from].is_late && !(m->in && c->members[from].in);
      reads_chain |= c->members[from].in && !c->members[from].is_free;
      if (m->in) fitting &= fits(c, m, op, t);
    }
    if (m->in && (late || !fitting || (m->is_free && reads_chain))) m->in = false;
    if (!m->in || m->stays) late |= reads_chain;
    if (jm_rewrite_has_effect(c->m, op) || jm_rewrite_has_token(c->m, op)) {
      late |= is_effect_late;
      is_effect_late = late;
    }
    m->is_late = late;
  }
}

static bool is_member_product(const chain *c, jm_value v) {
  const member *m = member_of(c, v);
  return m && op_at(c, c->at[v])->code == JM_OP_dot_general;
}

/* Members that no product needs leave, but for transposes of products' results, and free ones that
 * no member needs. */
static void trim(chain *c) {
  for (uint32_t at = c->n_ops; at-- > 0;) {
    const jm_op *op = op_at(c, at);
    if (!c->members[at].in || op->code == JM_OP_dot_general) continue;
    bool used = op->code == JM_OP_transpose && is_member_product(c, op->operands[0]);
    for (uint32_t r = 0; r < op->n_results; r++) {
      const jm_value v = op->first_result + r;
      for (uint32_t u = c->first[v]; u < c->first[v + 1]; u++) used |= c->members[c->users[u]].in;
    }
    c->members[at].in = used;
  }
}

/* Is the value a result of the chain? */
static bool leaves(const chain *c, jm_value v) {
  bool outside = c->returned[v];
  for (uint32_t u = c->first[v]; u < c->first[v + 1]; u++)
    outside |= !c->members[c->users[u]].in || c->members[c->users[u]].stays;
  return outside;
}

/* What is spread out is not a result: outside it is spread out again. */
static void spread_again(chain *c) {
  for (uint32_t at = c->n_ops; at-- > 0;) {
    const jm_op *op = op_at(c, at);
    if (!c->members[at].in || op->code != JM_OP_broadcast_in_dim) continue;
    c->members[at].stays |= leaves(c, op->first_result);
  }
}

/* Is the value in memory, for a product writes or reads it? */
static bool is_stored(const chain *c, jm_value v) {
  if (op_at(c, c->at[v])->code == JM_OP_dot_general) return true;
  for (uint32_t u = c->first[v]; u < c->first[v + 1]; u++)
    if (c->members[c->users[u]].in && op_at(c, c->users[u])->code == JM_OP_dot_general) return true;
  return false;
}

/* Bytes of operands of products that slices of one batch read alike. */
static double shared_bytes(const chain *c) {
  double bytes = 0;
  for (uint32_t at = 0; at < c->n_ops; at++) {
    const jm_op *op = op_at(c, at);
    const member *m = &c->members[at];
    if (!m->in || op->code != JM_OP_dot_general) continue;
    for (uint32_t t = 0; t < op->n_operands; t++) {
      if (dims_of(c, m, t)[c->n_batch] >= 0) continue;
      double part = (double)value_bytes(c, op->operands[t]);
      for (uint32_t j = 0; j < c->n_batch; j++) part /= (double)c->sizes[j];
      bytes += part;
    }
  }
  return bytes;
}

/* Cuts rows until slices are small and many; false: they would read too much again. */
static bool cut_rows(chain *c, int64_t *n, double *slice) {
  const uint32_t j = c->n_batch;
  const int64_t size = c->sizes[j];
  const double shared = shared_bytes(c), good = (double)c->target->slices.good;
  const double enough = shared > good ? shared : good;
  c->parts[j] = 1;
  for (int64_t k = 2; k * c->target->slices.least_rows <= size; k++) {
    if (size % k) continue;
    if (*slice / (double)c->parts[j] <= enough && *n * c->parts[j] >= c->target->slices.enough)
      break;
    c->parts[j] = k;
  }
  *n *= c->parts[j];
  *slice /= (double)c->parts[j];
  return shared <= *slice * c->target->slices.shared;
}

/* Makes slices of several products, as long as they are small and many. */
static void join_batch(chain *c, int64_t n, double slice) {
  for (uint32_t j = c->n_batch; j-- > 0;)
    for (int64_t k = 2; k <= c->parts[j]; k++)
      while (c->parts[j] % k == 0 && n / k >= c->target->slices.enough &&
             slice * (double)k <= (double)c->target->slices.small) {
        c->parts[j] /= k;
        n /= k;
        slice *= (double)k;
      }
}

/* How large slices are; whether they fit, and it pays. */
static bool choose_parts(chain *c) {
  double kept = 0, slice = 0;
  for (uint32_t at = 0; at < c->n_ops; at++) {
    const jm_op *op = op_at(c, at);
    const jm_value v = op->first_result;
    if (!c->members[at].in || c->members[at].is_free || !is_stored(c, v)) continue;
    slice += (double)value_bytes(c, v);
    kept += leaves(c, v) ? 0 : (double)value_bytes(c, v);
  }
  int64_t n = 1;
  for (uint32_t j = 0; j < c->n_batch; j++) n *= c->parts[j] = c->sizes[j];
  slice /= (double)n;
  const bool fits =
      c->n_dims > c->n_batch ? cut_rows(c, &n, &slice) : slice <= (double)c->target->slices.most;
  if (!fits || kept < (double)c->target->slices.least || n < c->target->slices.enough) return false;
  join_batch(c, n, slice);
  return true;
}

/* -- building */

/* The op that is built. */
typedef struct build {
  chain *c;
  jm_value *operands, *results; /* outside */
  const int8_t **dims;          /* of each operand, then of each result */
  uint32_t n_operands, n_results, last;
  jm_value *map; /* by value: inside */
} build;

/* Does a member get the operand from another? */
static bool is_inside(const chain *c, const member *m, const jm_op *op, uint32_t t) {
  return member_of(c, op->operands[t]) &&
         same_dims(c, result_dims(c, op->operands[t]), dims_of(c, m, t));
}

static uint32_t operand_find(const build *b, jm_value v, const int8_t *dims) {
  uint32_t i = 0;
  while (i < b->n_operands && (b->operands[i] != v || !same_dims(b->c, b->dims[i], dims))) i++;
  return i;
}

static jm_error *list_interface(build *b) {
  chain *c = b->c;
  uint32_t n = 0, n_values = 0;
  for (uint32_t at = 0; at < c->n_ops; at++)
    if (c->members[at].in) n += op_at(c, at)->n_operands, n_values += op_at(c, at)->n_results;
  b->operands = jm_arena_alloc(&c->scratch, n + 1, sizeof *b->operands);
  b->results = jm_arena_alloc(&c->scratch, n_values + 1, sizeof *b->results);
  b->dims = jm_arena_alloc(&c->scratch, n + n_values + 1, sizeof *b->dims);
  b->map = jm_arena_alloc(&c->scratch, c->m->n_values, sizeof *b->map);
  if (!b->operands || !b->results || !b->dims || !b->map) return jm_error_out_of_memory();
  for (uint32_t at = 0; at < c->n_ops; at++) {
    const jm_op *op = op_at(c, at);
    const member *m = &c->members[at];
    for (uint32_t t = 0; m->in && t < op->n_operands; t++) {
      if (is_inside(c, m, op, t)) continue;
      const uint32_t i = operand_find(b, op->operands[t], dims_of(c, m, t));
      b->operands[i] = op->operands[t];
      b->dims[i] = dims_of(c, m, t);
      b->n_operands += i == b->n_operands;
    }
  }
  for (uint32_t at = 0; at < c->n_ops; at++) {
    const jm_op *op = op_at(c, at);
    if (!c->members[at].in || c->members[at].is_free) continue;
    b->last = at;
    if (c->members[at].stays) continue;
    for (uint32_t r = 0; r < op->n_results; r++) {
      if (!leaves(c, op->first_result + r)) continue;
      b->dims[b->n_operands + b->n_results] = result_dims(c, op->first_result + r);
      b->results[b->n_results++] = op->first_result + r;
    }
  }
  return NULL;
}

static jm_error *slice_type(const chain *c, jm_value v, const int8_t *at, const jm_type **out) {
  const jm_type *whole = jm_module_typeof(c->m, v);
  int64_t dims[JM_RANK_MAX];
  memcpy(dims, whole->dims, whole->rank * sizeof *dims);
  for (uint32_t j = 0; j < c->n_dims; j++)
    if (at[j] >= 0) dims[at[j]] /= c->parts[j];
  return jm_module_type(c->m, whole->dtype, whole->rank, dims, out);
}

static jm_error *attrs_build(const build *b, jm_sliced_attrs *attrs) {
  const chain *c = b->c;
  const uint32_t n = b->n_operands + b->n_results;
  int64_t *dims = jm_arena_alloc(&c->m->arena, n * c->n_dims, sizeof *dims);
  int64_t *parts = jm_arena_copy(&c->m->arena, c->parts, c->n_dims, sizeof *parts);
  if (!dims || !parts) return jm_error_out_of_memory();
  for (uint32_t t = 0; t < n; t++)
    for (uint32_t j = 0; j < c->n_dims; j++) dims[t * c->n_dims + j] = b->dims[t][j];
  *attrs = (jm_sliced_attrs){.parts = {parts, c->n_dims}, .dims = {dims, n * c->n_dims}};
  return NULL;
}

/* The member at this position, for a slice. */
static jm_error *build_member(build *b, uint32_t at, jm_region_id body, jm_value first_arg) {
  chain *c = b->c;
  jm_module *m = c->m;
  const member *from = &c->members[at];
  const jm_op op = *op_at(c, at); /* building moves the ops */
  jm_value *operands = jm_arena_alloc(&c->scratch, op.n_operands, sizeof *operands);
  const jm_type **types = jm_arena_alloc(&c->scratch, op.n_results, sizeof *types);
  if (!operands || !types) return jm_error_out_of_memory();
  for (uint32_t t = 0; t < op.n_operands; t++)
    operands[t] = is_inside(c, from, &op, t)
                      ? b->map[op.operands[t]]
                      : first_arg + operand_find(b, op.operands[t], dims_of(c, from, t));
  for (uint32_t r = 0; r < op.n_results; r++)
    JM_TRY(slice_type(c, op.first_result + r, dims_of(c, from, op.n_operands + r), &types[r]));
  const jm_op_spec spec = jm_op_spec_like(&op, operands, types);
  jm_op_id made;
  JM_TRY(jm_build_op(m, body, &spec, &made));
  for (uint32_t r = 0; r < op.n_results; r++)
    b->map[op.first_result + r] = jm_module_op(m, made)->first_result + r;
  for (uint32_t r = 0; r < op.n_regions; r++)
    JM_TRY(jm_build_clone_region(m, op.first_region + r, jm_module_op(m, made)->first_region + r));
  return NULL;
}

static jm_error *build_body(build *b, jm_region_id body) {
  chain *c = b->c;
  jm_value arg = 0;
  for (uint32_t i = 0; i < b->n_operands; i++) {
    const jm_type *type;
    JM_TRY(slice_type(c, b->operands[i], b->dims[i], &type));
    JM_TRY(jm_build_arg(c->m, body, type, &arg));
  }
  const jm_value first = arg + 1 - b->n_operands;
  for (uint32_t at = 0; at < c->n_ops; at++)
    if (c->members[at].in) JM_TRY(build_member(b, at, body, first));
  jm_value *results = jm_arena_alloc(&c->scratch, b->n_results, sizeof *results);
  if (!results) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < b->n_results; i++) results[i] = b->map[b->results[i]];
  return jm_build_results(c->m, body, results, b->n_results);
}

/* The region's list with the op in the place of the chain's last, and behind it what is late. */
static jm_error *rebuild_list(const build *b, jm_op_id made) {
  const chain *c = b->c;
  jm_op_id *list = jm_arena_alloc(&c->m->arena, c->n_ops + 1, sizeof *list);
  if (!list) return jm_error_out_of_memory();
  uint32_t n = 0;
  for (uint32_t late = 0; late < 2; late++) {
    for (uint32_t at = 0; at <= b->last; at++) {
      const member *m = &c->members[at];
      if ((!m->in || m->stays) && m->is_late == (late == 1)) list[n++] = c->ops[at];
    }
    if (!late) list[n++] = made;
  }
  for (uint32_t at = b->last + 1; at < c->n_ops; at++) list[n++] = c->ops[at];
  jm_region *region = jm_module_region(c->m, c->region);
  region->ops = list;
  region->n_ops = n;
  region->ops_capacity = c->n_ops + 1;
  return NULL;
}

static jm_error *build_sliced(chain *c, uint32_t seed) {
  build b = {.c = c};
  jm_module *m = c->m;
  const uint32_t n_values = m->n_values;
  jm_sliced_attrs attrs;
  JM_TRY(list_interface(&b));
  JM_TRY(attrs_build(&b, &attrs));
  const jm_type **types = jm_arena_alloc(&c->scratch, b.n_results, sizeof *types);
  jm_value *stands = jm_arena_alloc(&c->scratch, n_values, sizeof *stands);
  if (!types || !stands) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < b.n_results; i++) types[i] = jm_module_typeof(m, b.results[i]);
  const jm_op_spec spec = {.code = JM_OP_sliced,
                           .operands = b.operands,
                           .n_operands = b.n_operands,
                           .result_types = types,
                           .n_results = b.n_results,
                           .attrs = &attrs,
                           .n_regions = 1,
                           .loc = op_at(c, seed)->loc};
  jm_op_id made;
  JM_TRY(jm_build_op(m, c->region, &spec, &made));
  JM_TRY(build_body(&b, jm_module_op(m, made)->first_region));
  JM_TRY(rebuild_list(&b, made));
  for (jm_value v = 0; v < n_values; v++) stands[v] = v;
  for (uint32_t i = 0; i < b.n_results; i++)
    stands[b.results[i]] = jm_module_op(m, made)->first_result + i;
  jm_rewrite_uses(m, c->region, stands, n_values);
  return NULL;
}

/* -- finding */

/* A product of a batch with a large result: the dimensions of its batch are the chain's, and this
 * one of rows, unless it is JM_NONE. */
static bool start(chain *c, const jm_op *op, uint32_t rows, int8_t *dims) {
  const jm_type *type = jm_op_result_type(c->m, op, 0);
  const uint32_t n_batch = ((const jm_dot_general_attrs *)op->attrs)->lhs_batch.n;
  for (uint32_t d = 0; d < n_batch && c->n_dims < MOST_DIMS - 1; d++) {
    if (type->dims[d] == 1) continue;
    c->sizes[c->n_dims] = type->dims[d];
    dims[c->n_dims++] = (int8_t)d;
  }
  c->n_batch = c->n_dims;
  if (rows == JM_NONE) return c->n_batch > 0;
  c->sizes[c->n_dims] = type->dims[rows];
  dims[c->n_dims++] = (int8_t)rows;
  return c->n_batch > 0 && type->dims[rows] > 1;
}

static jm_error *grow_from(chain *c, uint32_t seed, uint32_t rows, bool *found) {
  const jm_region *region = jm_module_region(c->m, c->region);
  int8_t dims[MOST_DIMS];
  bool in;
  *found = false;
  if (!start(c, jm_module_op(c->m, region->ops[seed]), rows, dims)) return NULL;
  JM_TRY(read_region(c));
  JM_TRY(pull(c, op_at(c, seed)->first_result, dims, DEPTH, &in));
  JM_TRY(grow(c));
  prune(c);
  trim(c);
  spread_again(c);
  prune(c); /* what left is late */
  *found = choose_parts(c);
  return NULL;
}

static jm_error *try(const chain *empty, uint32_t seed, uint32_t rows, bool *found) {
  chain c = *empty;
  jm_arena_init(&c.scratch);
  jm_error *error = grow_from(&c, seed, rows, found);
  if (!error && *found) error = build_sliced(&c, seed);
  jm_arena_deinit(&c.scratch);
  return error;
}

/* Without rows if that will do, else with the left or the right operand's. */
static jm_error *visit(const chain *empty, uint32_t seed, bool *found) {
  const jm_op *op = jm_module_op(empty->m, jm_module_region(empty->m, empty->region)->ops[seed]);
  *found = false;
  if (op->code != JM_OP_dot_general) return NULL;
  const jm_type *type = jm_op_result_type(empty->m, op, 0);
  const uint32_t n_batch = ((const jm_dot_general_attrs *)op->attrs)->lhs_batch.n,
                 rank = type->rank;
  if (!n_batch || jm_type_bytes(type) < empty->target->slices.least_product) return NULL;
  JM_TRY(try(empty, seed, JM_NONE, found));
  for (uint32_t d = n_batch; d < rank && !*found; d++) JM_TRY(try(empty, seed, d, found));
  return NULL;
}

jm_error *jm_pass_slices(jm_module *m, const jm_pass_options *options, bool *changed) {
  jm_region_id *regions;
  uint32_t n;
  JM_TRY(jm_rewrite_regions(m, &regions, &n));
  jm_error *error = NULL;
  for (uint32_t r = 0; r < n; r++) {
    const jm_op_id parent = jm_module_region(m, regions[r])->parent;
    const chain empty = {.m = m, .target = options->target, .region = regions[r]};
    if (parent != JM_NONE && !jm_op_runs_regions(jm_module_op(m, parent))) continue;
    for (uint32_t i = 0; !error && i < jm_module_region(m, regions[r])->n_ops;) {
      bool found = false;
      error = visit(&empty, i, &found);
      *changed |= found;
      i += !found; /* else another op is in its place */
    }
  }
  jm_free(regions);
  return error;
}
