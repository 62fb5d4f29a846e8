/* SPDX-License-Identifier: Apache-2.0
 * Inserts barriers into kernels whose lanes share memory:
 *
 *   loop threads(32) %0, %1 { (%i) store $scratch[%i], %x }
 *   loop threads(32) %0, %1 { (%i) %r = isub %last, %i  %y = load $scratch[%r] ... }
 * becomes
 *   loop threads(32) %0, %1 { (%i) store $scratch[%i], %x }
 *   barrier scratch
 *   loop threads(32) %0, %1 { (%i) %r = isub %last, %i  %y = load $scratch[%r] ... }
 *
 * Two accesses conflict if they may touch one element from two lanes and one of them writes. A
 * threads loop, and a load or store outside of one, is a step; a barrier must separate any two
 * steps with conflicting accesses, also those in successive iterations of a loop around them. No
 * barrier can stand inside a threads loop, so that its iterations must be independent.
 *
 * A part of the kernel is summarized by the accesses that can be reached without a barrier from its
 * start (exposed) and from its end, backwards (pending). Parts are joined in order, and where a
 * pending access conflicts with an exposed one, a barrier is inserted between them, as late as
 * possible. Across a loop's back edge the body is its own successor. No barrier is superfluous
 * then: two accesses conflict in either order, so what a barrier at a back edge separates was not
 * separated before. At the end a barrier loses a scope if nothing conflicts without it. */
#include <string.h>

#include "kernel/ir/kernel.h"

enum { ALL_SCOPES = JM_SCOPE_SCRATCH | JM_SCOPE_GLOBAL, MOST_NESTING = 16 };

typedef struct access {
  jm_kinst inst;  /* the load or store */
  jm_kinst loop;  /* the threads loop that it is in, JM_KNONE: all lanes load, lane 0 stores */
  bool direct;    /* in the body of that loop itself: every iteration makes it once */
  uint32_t depth; /* values of deeper blocks have changed since, around a back edge */
} access;

typedef struct accesses {
  access *list;
  uint32_t n, capacity;
} accesses;

typedef struct summary {
  accesses exposed, pending;
  uint32_t passes; /* scopes: some path from the start to the end has no barrier of it */
} summary;

typedef struct pass {
  jm_kernel *kernel;
  uint8_t *before;       /* per instruction: scopes of the barrier to be inserted before it */
  const summary **known; /* per structured instruction: its summary, if it is known */
  bool *shared;          /* per parameter: the kernel writes this memory, or it is SCRATCH */
  bool inserting;        /* else conflicts are only searched for */
  bool conflict;         /* one was found, and no barrier inserted */
  jm_error *error;
  jm_arena arena; /* of one analysis */
} pass;

static void out_of_memory(pass *p) {
  if (!p->error) p->error = jm_error_out_of_memory();
}

static void add(pass *p, accesses *to, access a) {
  void *grown = jm_arena_grow(&p->arena, to->list, to->n + 1, &to->capacity, sizeof *to->list);
  if (!grown) {
    out_of_memory(p);
    return;
  }
  to->list = grown;
  to->list[to->n++] = a;
}

static const jm_kparam *param_of(const pass *p, access a) {
  return &p->kernel->params[p->kernel->insts[a.inst].imm];
}

static uint32_t scope_of(const pass *p, access a) {
  return param_of(p, a)->space == JM_SPACE_SCRATCH ? JM_SCOPE_SCRATCH : JM_SCOPE_GLOBAL;
}

/* Adds those whose scope is among these. */
static void add_all(pass *p, accesses *to, const accesses *from, uint32_t scopes) {
  for (uint32_t i = 0; i < from->n; i++)
    if (scope_of(p, from->list[i]) & scopes) add(p, to, from->list[i]);
}

/* ---- conflicts */

static bool is_in_body(const jm_kernel *k, jm_kval v, jm_kinst loop) {
  return k->values[v].block == k->insts[loop].first_block;
}

/* Are x, in the body of the loop of a, and y, in that of b, the same function of the iteration's
 * index? Loads are not, for memory changes. */
static bool same_function(const jm_kernel *k, jm_kval x, access a, jm_kval y, access b,
                          uint32_t nesting) {
  if (!is_in_body(k, x, a.loop)) return x == y && k->blocks[k->values[x].block].depth <= a.depth;
  if (!is_in_body(k, y, b.loop) || !nesting) return false;
  const jm_kinst i = k->values[x].inst, j = k->values[y].inst;
  if (i == JM_KNONE || j == JM_KNONE) /* of arguments only the index is one */
    return x == k->blocks[k->insts[a.loop].first_block].first_arg &&
           y == k->blocks[k->insts[b.loop].first_block].first_arg;
  const jm_kinst_fact *f = &k->insts[i], *g = &k->insts[j];
  if (!(jm_kop_facts[f->code].flags & JM_KFLAG_PURE) || f->code != g->code || f->imm != g->imm ||
      f->n_operands != g->n_operands || k->values[x].type != k->values[y].type)
    return false;
  for (uint32_t n = 0; n < f->n_operands; n++)
    if (!same_function(k, f->operands[n], a, g->operands[n], b, nesting - 1)) return false;
  return true;
}

/* Does every lane touch the same elements in both? This holds if the loops have the same iterations
 * and each iteration accesses one element, by the same function of its index. If two iterations of
 * different lanes shared an element, the loop that writes would already have a race. */
static bool stays_in_lane(const pass *p, access a, access b) {
  const jm_kernel *k = p->kernel;
  if (!a.direct || !b.direct || param_of(p, a)->element != param_of(p, b)->element) return false;
  const jm_kinst_fact *f = &k->insts[a.loop], *g = &k->insts[b.loop];
  for (uint32_t i = 0; i < 2; i++)
    if (f->operands[i] != g->operands[i] ||
        k->blocks[k->values[f->operands[i]].block].depth > a.depth)
      return false;
  return same_function(k, k->insts[a.inst].operands[0], a, k->insts[b.inst].operands[0], b,
                       MOST_NESTING);
}

static bool conflicts(const pass *p, access a, access b) {
  const bool a_writes = p->kernel->insts[a.inst].code == JM_K_store;
  const bool b_writes = p->kernel->insts[b.inst].code == JM_K_store;
  if (!a_writes && !b_writes) return false;
  if (!jm_kparam_overlaps(param_of(p, a), param_of(p, b))) return false;
  if (a.loop == JM_KNONE && b.loop == JM_KNONE) return a_writes != b_writes; /* else lane 0 twice */
  if (a.loop == JM_KNONE || b.loop == JM_KNONE) return true;
  return !stays_in_lane(p, a, b);
}

static bool any_conflict(const pass *p, const accesses *pending, const accesses *exposed) {
  for (uint32_t i = 0; i < pending->n; i++)
    for (uint32_t j = 0; j < exposed->n; j++)
      if (conflicts(p, pending->list[i], exposed->list[j])) return true;
  return false;
}

/* ---- summaries */

static void pass_barrier(pass *p, summary *s, uint32_t scopes) {
  accesses kept = {0};
  if (!scopes) return;
  add_all(p, &kept, &s->pending, ALL_SCOPES & ~scopes);
  s->pending = kept;
  s->passes &= ~scopes;
}

static void append(pass *p, summary *s, const summary *next) {
  add_all(p, &s->exposed, &next->exposed, s->passes);
  accesses pending = {0};
  add_all(p, &pending, &s->pending, next->passes);
  add_all(p, &pending, &next->pending, ALL_SCOPES);
  s->pending = pending;
  s->passes &= next->passes;
}

/* Appends an instruction's accesses to the summary, after a barrier if one is needed. */
static void append_step(pass *p, summary *s, jm_kinst inst, const summary *step) {
  if (any_conflict(p, &s->pending, &step->exposed)) {
    if (p->inserting) {
      p->before[inst] = ALL_SCOPES;
      pass_barrier(p, s, ALL_SCOPES);
    } else {
      p->conflict = true;
    }
  }
  append(p, s, step);
}

static void summarize_block(pass *p, jm_kblock at, summary *s);

/* All accesses of a threads loop. */
static void gather(pass *p, jm_kblock at, access like, accesses *out) {
  const jm_kblock_fact *block = &p->kernel->blocks[at];
  for (uint32_t i = 0; i < block->n_insts; i++) {
    const jm_kinst_fact *fact = &p->kernel->insts[block->insts[i]];
    like.inst = block->insts[i];
    if ((fact->code == JM_K_load || fact->code == JM_K_store) && p->shared[fact->imm])
      add(p, out, like);
    access inside = like;
    inside.direct = false;
    for (uint32_t j = 0; j < fact->n_blocks; j++) gather(p, fact->first_block + j, inside, out);
  }
}

/* Has the loop an iteration, whatever the data? */
static bool is_certain(const jm_kernel *k, const jm_kinst_fact *fact) {
  int64_t bounds[2] = {0, 0};
  for (uint32_t i = 0; i < 2; i++) {
    const jm_kinst inst = k->values[fact->operands[i]].inst;
    if (inst == JM_KNONE || k->insts[inst].code != JM_K_const) return false;
    bounds[i] = (int64_t)k->insts[inst].imm;
  }
  return bounds[0] < bounds[1];
}

/* The accesses that are pending across a loop's back edge. Chunk iterations share no GLOBAL
 * elements. */
static accesses carry_over(pass *p, const jm_kinst_fact *fact, const accesses *pending) {
  accesses out = {0};
  const bool chunk = fact->code == JM_K_loop && fact->binding == JM_BIND_CHUNK;
  add_all(p, &out, pending, chunk ? JM_SCOPE_SCRATCH : ALL_SCOPES);
  const uint32_t outside = p->kernel->blocks[fact->first_block].depth - 1;
  for (uint32_t i = 0; i < out.n; i++)
    if (out.list[i].depth > outside) out.list[i].depth = outside;
  return out;
}

/* A serial or chunk loop, or a while. The first round inserts barriers between the parts of the
 * body, the second one across the back edge; the third computes the resulting summary. */
static void summarize_loop(pass *p, const jm_kinst_fact *fact, summary *out) {
  const bool is_while = fact->code == JM_K_while;
  accesses around = {0};
  for (uint32_t round = 0; round < 3; round++) {
    summary condition = {.passes = ALL_SCOPES};
    if (round == 1) condition.pending = carry_over(p, fact, &around);
    if (is_while) summarize_block(p, fact->first_block, &condition);
    summary whole = condition;
    summarize_block(p, is_while ? fact->first_block + 1 : fact->first_block, &whole);
    around = whole.pending;
    *out = whole;
    if (is_while) { /* its condition comes last */
      out->pending = condition.pending;
      add_all(p, &out->pending, &whole.pending, condition.passes);
      out->passes = condition.passes;
    } else if (!is_certain(p->kernel, fact)) {
      out->passes = ALL_SCOPES;
    }
  }
}

static void summarize_if(pass *p, const jm_kinst_fact *fact, summary *out) {
  for (uint32_t i = 0; i < 2; i++) {
    summary side = {.passes = ALL_SCOPES};
    summarize_block(p, fact->first_block + i, &side);
    add_all(p, &out->exposed, &side.exposed, ALL_SCOPES);
    add_all(p, &out->pending, &side.pending, ALL_SCOPES);
    out->passes |= side.passes;
  }
}

static void summarize_inst(pass *p, jm_kinst inst, summary *out) {
  const jm_kinst_fact *fact = &p->kernel->insts[inst];
  const bool threads = fact->code == JM_K_loop && fact->binding == JM_BIND_THREADS;
  if (fact->n_blocks && !threads) {
    if (fact->code == JM_K_if)
      summarize_if(p, fact, out);
    else
      summarize_loop(p, fact, out);
    return;
  }
  if (threads)
    gather(p, fact->first_block, (access){inst, inst, true, UINT32_MAX}, &out->exposed);
  else
    add(p, &out->exposed, (access){inst, JM_KNONE, false, UINT32_MAX});
  out->pending = out->exposed;
  out->passes = ALL_SCOPES;
}

/* Does the instruction matter here: has it accesses, or a barrier? */
static bool is_step(const pass *p, const jm_kinst_fact *fact) {
  return fact->n_blocks ||
         ((fact->code == JM_K_load || fact->code == JM_K_store) && p->shared[fact->imm]);
}

/* Appends the block's accesses to the summary s. */
static void summarize_block(pass *p, jm_kblock at, summary *s) {
  const jm_kblock_fact *block = &p->kernel->blocks[at];
  for (uint32_t i = 0; i < block->n_insts && !p->error; i++) {
    const jm_kinst inst = block->insts[i];
    const jm_kinst_fact *fact = &p->kernel->insts[inst];
    if (fact->code == JM_K_barrier) pass_barrier(p, s, (uint32_t)fact->imm);
    if (!is_step(p, fact)) continue;
    if (!p->known[inst]) {
      summary *own = jm_arena_alloc(&p->arena, 1, sizeof *own);
      if (!own) {
        out_of_memory(p);
        return;
      }
      summarize_inst(p, inst, own);
      p->known[inst] = own;
    }
    pass_barrier(p, s, p->before[inst]);
    append_step(p, s, inst, p->known[inst]);
  }
}

/* Goes over the whole kernel; true: something conflicts. */
static bool has_conflict(pass *p) {
  summary top = {.passes = ALL_SCOPES};
  p->conflict = false;
  jm_arena_init(&p->arena);
  memset(p->known, 0, p->kernel->n_insts * sizeof *p->known);
  summarize_block(p, 0, &top);
  jm_arena_deinit(&p->arena);
  return p->conflict;
}

/* ---- the result */

/* Leaves a barrier one scope if that is enough. */
static void narrow(pass *p, jm_kinst inst) {
  static const uint8_t scopes[] = {JM_SCOPE_SCRATCH, JM_SCOPE_GLOBAL};
  for (uint32_t i = 0; i < sizeof scopes / sizeof *scopes; i++) {
    p->before[inst] = scopes[i];
    if (!has_conflict(p)) return;
  }
  p->before[inst] = ALL_SCOPES;
}

static jm_error *write_barriers(pass *p, jm_kblock at) {
  jm_kernel *k = p->kernel;
  const jm_kblock_fact old = k->blocks[at];
  uint32_t n = 0;
  for (uint32_t i = 0; i < old.n_insts; i++) n += p->before[old.insts[i]] != 0;
  if (!n) return NULL;
  jm_kinst *insts = jm_arena_alloc(&k->arena, old.n_insts + n, sizeof *insts);
  void *grown =
      jm_arena_grow(&k->arena, k->insts, k->n_insts + n, &k->insts_capacity, sizeof *k->insts);
  if (!insts || !grown) return jm_error_out_of_memory();
  k->insts = grown;
  uint32_t to = 0;
  for (uint32_t i = 0; i < old.n_insts; i++) {
    const uint8_t scopes = p->before[old.insts[i]];
    if (scopes) {
      k->insts[k->n_insts] = (jm_kinst_fact){
          .code = JM_K_barrier, .imm = scopes, .first_result = JM_KNONE, .first_block = JM_KNONE};
      insts[to++] = k->n_insts++;
    }
    insts[to++] = old.insts[i];
  }
  k->blocks[at].insts = insts;
  k->blocks[at].n_insts = k->blocks[at].capacity = to;
  return NULL;
}

static void find_shared(pass *p) {
  const jm_kernel *k = p->kernel;
  for (uint32_t i = 0; i < k->n_params; i++) {
    p->shared[i] = k->params[i].space == JM_SPACE_SCRATCH;
    for (uint32_t j = 0; j < k->n_params; j++)
      if (k->params[j].written && jm_kparam_overlaps(&k->params[i], &k->params[j]))
        p->shared[i] = true;
  }
}

static jm_error *insert(pass *p) {
  const jm_kernel *k = p->kernel;
  find_shared(p);
  p->inserting = true;
  (void)has_conflict(p);
  p->inserting = false;
  for (jm_kinst i = 0; i < k->n_insts && !p->error; i++)
    if (p->before[i]) narrow(p, i);
  if (p->error) return p->error;
  for (jm_kblock b = 0; b < k->n_blocks; b++) JM_TRY(write_barriers(p, b));
  return NULL;
}

jm_error *jm_kernel_insert_barriers(jm_kernel *kernel) {
  if (jm_kernel_threads(kernel) < 2) return NULL;
  pass p = {.kernel = kernel};
  p.before = jm_alloc(kernel->n_insts, sizeof *p.before);
  p.known = jm_alloc(kernel->n_insts, sizeof *p.known);
  p.shared = jm_alloc(kernel->n_params, sizeof *p.shared);
  jm_error *error = p.before && p.known && p.shared ? insert(&p) : jm_error_out_of_memory();
  jm_free(p.before);
  jm_free(p.known);
  jm_free(p.shared);
  return error;
}
