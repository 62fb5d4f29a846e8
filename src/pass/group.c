/* SPDX-License-Identifier: Apache-2.0
 * Grouping: the ops of a region become `fusion` ops, each compiled as one. From the last op to the
 * first, every op joins the groups that use it if a schedule fits the result
 * (kernel/schedule/cluster.h) and if joining pays (group_cost.c); otherwise it starts a group.
 * Cheap ops that read little are repeated in all groups that use them. Then groups over the same
 * data are merged.
 *
 * A group must not depend on its own results: an op that is also used elsewhere joins a group only
 * if there is no path from that use back into the group. Ops with side effects are in no group and
 * keep their order.
 */
#include <string.h>

#include "pass/control.h"
#include "pass/group.h"

static void *take(jm_grouping *g, size_t count, size_t size) {
  return jm_arena_alloc(&g->arena, count, size);
}

jm_group_member *jm_grouping_find(const jm_grouping *g, uint32_t group, uint32_t at) {
  for (uint32_t l = g->links[at]; l != JM_NONE; l = g->all_links[l].next)
    if (g->all_links[l].group == group) return &g->groups[group].members[g->all_links[l].member];
  return NULL;
}

static bool is_effect(const jm_module *m, const jm_op *op) {
  return jm_rewrite_has_effect(m, op) || jm_rewrite_has_token(m, op);
}

/* -- the region as a graph */

static jm_error *list_uses(jm_grouping *g, const jm_region *region) {
  const uint32_t n_values = g->m->n_values;
  uint32_t *count = take(g, n_values + 2, sizeof *count), total = 0;
  if (!count) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < g->n_ops; i++) {
    const jm_op *op = jm_grouping_op(g, i);
    for (uint32_t k = 0; k < op->n_operands; k++) count[op->operands[k] + 1]++;
    total += op->n_operands;
  }
  for (jm_value v = 0; v < n_values; v++) count[v + 1] += count[v];
  g->first_use = count;
  g->uses = take(g, total + 1, sizeof *g->uses);
  uint32_t *at = take(g, n_values + 1, sizeof *at);
  if (!g->uses || !at) return jm_error_out_of_memory();
  memcpy(at, count, n_values * sizeof *at);
  for (uint32_t i = 0; i < g->n_ops; i++) {
    const jm_op *op = jm_grouping_op(g, i);
    for (uint32_t k = 0; k < op->n_operands; k++) g->uses[at[op->operands[k]]++] = i;
  }
  for (uint32_t i = 0; i < region->n_results; i++) g->returned[region->results[i]] = 1;
  return NULL;
}

/* Does the op define control values, which a device's engine keeps on the host? Not constants: they
 * are cheap in both places, and save a kernel an operand. */
static bool is_control(const bool *control, const jm_op *op) {
  return control && op->n_results && op->n_operands && control[op->first_result];
}

static jm_error *grouping_init(jm_grouping *g, jm_module *m, const jm_target *target,
                               const bool *control, jm_region_id id) {
  const jm_region *region = jm_module_region(m, id);
  const uint32_t n = region->n_ops, n_values = m->n_values;
  *g = (jm_grouping){.m = m, .target = target, .control = control, .n_ops = n};
  jm_arena_init(&g->arena);
  jm_op_id *ops = jm_arena_copy(&g->arena, region->ops, n, sizeof *ops);
  g->ops = ops;
  g->position = take(g, m->n_ops + 1, sizeof *g->position);
  g->returned = take(g, n_values + 1, 1);
  g->relation = take(g, n_values + 1, 1);
  g->level = take(g, n_values + 1, 1);
  g->fusable = take(g, n + 1, 1);
  g->single = take(g, n + 1, 1);
  g->links = take(g, n + 1, sizeof *g->links);
  g->home = take(g, n + 1, sizeof *g->home);
  g->next_effect = take(g, n + 1, sizeof *g->next_effect);
  g->last_effect = take(g, n + 1, sizeof *g->last_effect);
  g->listed = take(g, n + 1, sizeof *g->listed);
  g->roots = take(g, n_values + 1, sizeof *g->roots);
  g->seen = take(g, (size_t)n_values + n + 1, sizeof *g->seen);
  g->stack = take(g, n + 1, sizeof *g->stack);
  if (!ops || !g->position || !g->returned || !g->relation || !g->level || !g->fusable ||
      !g->single || !g->links || !g->home || !g->next_effect || !g->last_effect || !g->listed ||
      !g->roots || !g->seen || !g->stack)
    return jm_error_out_of_memory();
  memset(g->position, 0xff, m->n_ops * sizeof *g->position);
  uint32_t effect = JM_NONE;
  for (uint32_t i = n; i--;) {
    const jm_op *op = jm_grouping_op(g, i);
    g->position[g->ops[i]] = i;
    g->links[i] = g->home[i] = g->next_effect[i] = g->last_effect[i] = JM_NONE;
    bool has_effect = is_effect(m, op);
    g->fusable[i] = !has_effect && jm_group_accepts(m, op, target) && !is_control(control, op);
    if (!has_effect) continue;
    g->next_effect[i] = effect;
    if (effect != JM_NONE) g->last_effect[effect] = i;
    effect = i;
  }
  return list_uses(g, region);
}

/* -- is there a path from the op at `from`, or from its group, into this group? */

static void push(jm_grouping *g, uint32_t at, uint32_t *n) {
  if (g->seen[at] == g->stamp) return;
  g->seen[at] = g->stamp;
  g->stack[(*n)++] = at;
}

static void push_group(jm_grouping *g, uint32_t id, uint32_t *n) {
  jm_group *group = &g->groups[id];
  if (group->seen == g->stamp) return;
  group->seen = g->stamp;
  for (uint32_t i = 0; i < group->n; i++)
    if (group->members[i].root) push(g, group->members[i].at, n);
}

/* Visits the users of the op's stored value: ungrouped ops, and groups that do not recompute it.
 * true: the target group is among them; `skipped` is ignored. */
static bool push_users(jm_grouping *g, uint32_t at, uint32_t target, uint32_t skipped,
                       uint32_t *n) {
  const jm_op *op = jm_grouping_op(g, at);
  const jm_value end = op->first_result + op->n_results;
  for (uint32_t u = g->first_use[op->first_result]; u < g->first_use[end]; u++) {
    uint32_t user = g->uses[u];
    if (g->links[user] == JM_NONE || g->single[user]) push(g, user, n);
    for (uint32_t l = g->links[user]; l != JM_NONE; l = g->all_links[l].next) {
      uint32_t group = g->all_links[l].group;
      if (group == skipped || jm_grouping_find(g, group, at)) continue;
      if (group == target) return true;
      push_group(g, group, n);
    }
  }
  return false;
}

/* From the ops on the stack: n of them. */
static bool walk(jm_grouping *g, uint32_t n, uint32_t target) {
  while (n) {
    uint32_t at = g->stack[--n];
    if (g->next_effect[at] != JM_NONE) push(g, g->next_effect[at], &n);
    if (push_users(g, at, target, JM_NONE, &n)) return true;
  }
  return false;
}

/* Would the group depend on its own results if the op at a position became a root of it? */
static bool makes_cycle(jm_grouping *g, uint32_t group, uint32_t at) {
  uint32_t n = 0;
  g->stamp++;
  push_users(g, at, JM_NONE, group, &n);
  return walk(g, n, group);
}

/* -- joining */

/* The members of up to two groups, and one more op, in order, with their roots. */
static uint32_t list_cluster(jm_grouping *g, const jm_group *a, const jm_group *b,
                             const jm_group_member *more, uint32_t *n_roots) {
  uint32_t n = 0, i = a->n, k = b ? b->n : 0;
  *n_roots = 0;
  while (more || i || k) {
    const jm_group_member *member = more;
    if (more)
      more = NULL;
    else if (i && k && a->members[i - 1].at == b->members[k - 1].at)
      member = a->members[--i].root ? &a->members[i] : &b->members[k - 1], k--;
    else if (!k || (i && a->members[i - 1].at < b->members[k - 1].at))
      member = &a->members[--i];
    else
      member = &b->members[--k];
    g->listed[n++] = g->ops[member->at];
    const jm_op *op = jm_grouping_op(g, member->at);
    for (uint32_t r = 0; member->root && r < op->n_results; r++)
      g->roots[(*n_roots)++] = op->first_result + r;
  }
  return n;
}

static bool is_tiny(const jm_grouping *g, uint32_t n_roots) {
  int64_t points = 0;
  for (uint32_t i = 0; i < n_roots; i++) {
    int64_t count = jm_module_typeof(g->m, g->roots[i])->count;
    if (count > g->target->group.tiny) return false;
    points += count;
  }
  return points <= g->target->group.tiny;
}

/* The buffers of the listed ops: values from outside, and results. Splat constants are computed
 * inside.
 */
static bool has_few_buffers(jm_grouping *g, uint32_t n, uint32_t n_roots) {
  uint32_t buffers = n_roots, *seen = g->seen + g->n_ops;
  g->stamp++;
  for (uint32_t i = 0; i < n; i++) {
    const jm_op *op = jm_module_op(g->m, g->listed[i]);
    for (uint32_t r = 0; r < op->n_results; r++) seen[op->first_result + r] = g->stamp;
    for (uint32_t k = 0; k < op->n_operands; k++) {
      if (seen[op->operands[k]] == g->stamp) continue;
      seen[op->operands[k]] = g->stamp;
      const jm_constant_attrs *constant = jm_rewrite_constant(g->m, op->operands[k]);
      buffers += !(constant && constant->value.splat);
    }
  }
  return buffers <= g->target->group.max_buffers;
}

/* Finds the schedule that fits the listed ops; false: none does. */
static bool find_schedule(jm_grouping *g, uint32_t n, uint32_t n_roots, jm_group *out) {
  jm_cluster c = {.m = g->m,
                  .target = g->target,
                  .ops = g->listed,
                  .n_ops = n,
                  .roots = g->roots,
                  .n_roots = n_roots,
                  .relation = g->relation,
                  .level = g->level};
  jm_cluster_analyse(&c);
  jm_cluster_clear(&c);
  bool anchored = c.kind == JM_CLUSTER_ROW || c.kind == JM_CLUSTER_REDUCE;
  if (c.kind == JM_CLUSTER_NONE) {
    if (!is_tiny(g, n_roots)) return false;
    for (uint32_t i = 0; i < n; i++) /* reductions element by element: little work, too */
      if (jm_module_op(g->m, g->listed[i])->code == JM_OP_reduce &&
          jm_op_operand_type(g->m, jm_module_op(g->m, g->listed[i]), 0)->count >
              g->target->group.tiny)
        return false;
  }
  out->kind = anchored ? c.kind : JM_CLUSTER_MAP;
  out->space = c.space;
  return true;
}

static jm_error *add_member(jm_grouping *g, uint32_t group, const jm_group_member *member) {
  jm_group *to = &g->groups[group];
  to->members =
      jm_arena_grow(&g->arena, to->members, to->n + 1, &to->capacity, sizeof *to->members);
  g->all_links = jm_arena_grow(&g->arena, g->all_links, g->n_links + 1, &g->links_capacity,
                               sizeof *g->all_links);
  if (!to->members || !g->all_links) return jm_error_out_of_memory();
  g->all_links[g->n_links] = (jm_group_link){group, to->n, g->links[member->at]};
  g->links[member->at] = g->n_links++;
  to->members[to->n++] = *member;
  if (member->root) g->home[member->at] = group;
  return NULL;
}

static jm_error *start_group(jm_grouping *g, uint32_t at, uint32_t *out) {
  g->groups =
      jm_arena_grow(&g->arena, g->groups, g->n_groups + 1, &g->groups_capacity, sizeof *g->groups);
  if (!g->groups) return jm_error_out_of_memory();
  jm_group_member member;
  jm_group group = {.n = 0};
  uint32_t n_roots;
  g->groups[g->n_groups] = group;
  jm_group_places(g, g->n_groups, at, true, &member);
  jm_group_pays(g, g->n_groups, &member, &group.cost);
  uint32_t n = list_cluster(g, &group, NULL, &member, &n_roots);
  if (!find_schedule(g, n, n_roots, &group)) { /* several results of several shapes: not met */
    group.kind = JM_CLUSTER_MAP;
    group.space = (jm_space){jm_op_result_type(g->m, jm_grouping_op(g, at), 0)->count, 1, 1};
  }
  g->groups[g->n_groups] = group;
  *out = g->n_groups++;
  return add_member(g, *out, &member);
}

/* Adds the op to the group if that is possible and pays. */
static jm_error *join(jm_grouping *g, uint32_t group, uint32_t at, bool root, bool *joined) {
  const jm_op *op = jm_grouping_op(g, at);
  jm_group_member member;
  jm_group next = g->groups[group];
  jm_space space;
  *joined = false;
  if (jm_group_is_loop(g->m, op, g->target)) return NULL;
  if (!jm_group_places(g, group, at, root, &member)) return NULL;
  if (!jm_group_pays(g, group, &member, &next.cost)) return NULL;
  bool anchor = jm_cluster_find_anchor(g->target, g->m, op, &space);
  if (root || anchor || next.n >= g->target->group.max_buffers / 2) {
    uint32_t n_roots, n = list_cluster(g, &next, NULL, &member, &n_roots);
    if (!has_few_buffers(g, n, n_roots)) return NULL;
    if ((root || anchor) && !find_schedule(g, n, n_roots, &next)) return NULL;
    if (root && makes_cycle(g, group, at)) return NULL;
  }
  g->groups[group] = next;
  *joined = true;
  return add_member(g, group, &member);
}

/* The groups that use any result of the op; *outside: there are other users. */
static uint32_t find_users(jm_grouping *g, const jm_op *op, uint32_t *users, uint32_t capacity,
                           bool *outside) {
  uint32_t n = 0;
  *outside = false;
  for (uint32_t r = 0; r < op->n_results; r++) {
    jm_value v = op->first_result + r;
    *outside |= g->returned[v];
    for (uint32_t u = g->first_use[v]; u < g->first_use[v + 1]; u++) {
      uint32_t at = g->uses[u];
      *outside |= g->links[at] == JM_NONE || g->single[at];
      for (uint32_t l = g->links[at]; l != JM_NONE; l = g->all_links[l].next) {
        uint32_t group = g->all_links[l].group, i = 0;
        while (i < n && users[i] != group) i++;
        if (i < n) continue;
        if (n == capacity)
          *outside = true; /* too many: it gets memory */
        else
          users[n++] = group;
      }
    }
  }
  return n;
}

/* Is it a part of an argument whose elements are side by side, and begin where the host knows? Then
 * the library of a device gives the argument's own memory. */
static bool is_view(const jm_grouping *g, const jm_op *op) {
  if (op->code != JM_OP_dynamic_slice || !g->control || jm_module_definition(g->m, op->operands[0]))
    return false;
  for (uint32_t k = 1; k < op->n_operands; k++)
    if (!g->control[op->operands[k]]) return false;
  const jm_type *from = jm_op_operand_type(g->m, op, 0), *to = jm_op_result_type(g->m, op, 0);
  bool whole = false; /* from here on dimensions must be */
  for (uint32_t d = 0; d < to->rank; d++) {
    if (whole && to->dims[d] != from->dims[d]) return false;
    whole = whole || to->dims[d] != 1;
  }
  return true;
}

/* A group of one op that no kernel improves: it stays as it is. */
static bool is_plain(const jm_grouping *g, uint32_t at) {
  const jm_op *op = jm_grouping_op(g, at);
  return op->code == JM_OP_constant || op->code == JM_OP_reshape || is_view(g, op);
}

static jm_error *place_op(jm_grouping *g, uint32_t at) {
  enum { USERS = 32 };
  const jm_op *op = jm_grouping_op(g, at);
  uint32_t users[USERS], left = 0;
  bool outside, joined;
  if (!g->fusable[at]) return NULL;
  uint32_t n = find_users(g, op, users, USERS, &outside);
  if (!n && !outside) return NULL; /* unused: dce was not run */
  bool alone = n == 1 && !outside;
  bool repeats =
      is_plain(g, at) || jm_group_is_free(g, op) || (!outside && jm_group_is_repeatable(g, op));
  for (uint32_t i = 0; i < n; i++) {
    joined = false;
    if (alone || repeats) JM_TRY(join(g, users[i], at, false, &joined));
    if (!joined) users[left++] = users[i];
  }
  if (!left && n && !outside) return NULL;
  if (is_plain(g, at)) {
    g->single[at] = 1;
    return NULL;
  }
  /* It needs memory: best written where it is computed anyway. */
  for (uint32_t i = 0; i < left && !alone; i++) {
    JM_TRY(join(g, users[i], at, true, &joined));
    if (joined) return NULL;
  }
  uint32_t group;
  return start_group(g, at, &group);
}

/* -- merging groups over the same data */

static bool reaches(jm_grouping *g, uint32_t from, uint32_t to) {
  uint32_t n = 0;
  g->stamp++;
  push_group(g, from, &n);
  return walk(g, n, to);
}

/* The same by a path through other ops: a group that uses the other's results directly can join it.
 */
static bool reaches_around(jm_grouping *g, uint32_t from, uint32_t to) {
  const jm_group *group = &g->groups[from];
  uint32_t n = 0;
  g->stamp++;
  for (uint32_t i = 0; i < group->n; i++)
    if (group->members[i].root) push_users(g, group->members[i].at, JM_NONE, to, &n);
  return walk(g, n, to);
}

static jm_error *replace_links(jm_grouping *g, uint32_t at, uint32_t a, uint32_t b,
                               uint32_t member) {
  uint32_t *link = &g->links[at];
  bool placed = false;
  while (*link != JM_NONE) {
    jm_group_link *l = &g->all_links[*link];
    if (l->group != a && l->group != b) {
      link = &l->next;
    } else if (placed) {
      *link = l->next;
    } else {
      placed = true;
      l->group = a;
      l->member = member;
      link = &l->next;
    }
  }
  if (g->home[at] == b) g->home[at] = a;
  return NULL;
}

static void merge_places(jm_group_member *to, const jm_group_member *from) {
  to->root |= from->root;
  for (uint32_t i = 0; i < from->n_places; i++) {
    uint32_t k = 0;
    while (k < to->n_places && to->places[k].id != from->places[i].id) k++;
    if (k == JM_GROUP_PLACES) return; /* counts for the cost of what joins later, no more */
    if (k == to->n_places) to->places[to->n_places++] = from->places[i];
  }
}

/* Moves the members of b to a if one schedule fits both. */
static jm_error *merge(jm_grouping *g, uint32_t a, uint32_t b, bool *merged) {
  jm_group next = g->groups[a];
  const jm_group other = g->groups[b];
  uint32_t n_roots;
  *merged = false;
  if (next.cost.weight + other.cost.weight > g->target->group.weight) return NULL;
  uint32_t n = list_cluster(g, &next, &other, NULL, &n_roots);
  if (!has_few_buffers(g, n, n_roots) || !find_schedule(g, n, n_roots, &next)) return NULL;
  if (reaches_around(g, a, b) || reaches(g, b, a)) return NULL;
  next.members = take(g, n, sizeof *next.members);
  if (!next.members) return jm_error_out_of_memory();
  next.n = next.capacity = 0;
  for (uint32_t i = 0, k = 0; i < g->groups[a].n || k < other.n;) {
    const jm_group_member *x = i < g->groups[a].n ? &g->groups[a].members[i] : NULL;
    const jm_group_member *y = k < other.n ? &other.members[k] : NULL;
    jm_group_member *to = &next.members[next.n];
    bool both = x && y && x->at == y->at, first = x && (!y || x->at >= y->at);
    *to = first ? *x : *y;
    if (both) merge_places(to, y);
    i += first;
    k += both || !first;
    JM_TRY(replace_links(g, to->at, a, b, next.n++));
  }
  next.capacity = next.n;
  next.cost = jm_group_cost_sum(next.cost, other.cost);
  g->groups[a] = next;
  g->groups[b].dead = true;
  *merged = true;
  return NULL;
}

static bool is_sibling(const jm_group *a, const jm_group *b) {
  return !a->dead && !b->dead && a->kind == b->kind && jm_space_equal(a->space, b->space);
}

/* Is b computed, element by element, from the results of a's reductions, or from those and a's
 * rows? */
static bool is_epilogue(const jm_group *a, const jm_group *b) {
  if (a->dead || b->dead || a->kind == JM_CLUSTER_MAP || b->kind != JM_CLUSTER_MAP) return false;
  return b->space.outer == jm_space_kept(a->space) ||
         (a->kind == JM_CLUSTER_ROW && b->space.outer == jm_space_points(a->space));
}

/* Groups that read one large value: reading it once outweighs every other cost. */
static jm_error *merge_siblings(jm_grouping *g, jm_value v) {
  enum { USERS = 16 };
  uint32_t users[USERS], n = 0;
  for (uint32_t u = g->first_use[v]; u < g->first_use[v + 1]; u++)
    for (uint32_t l = g->links[g->uses[u]]; l != JM_NONE; l = g->all_links[l].next) {
      uint32_t group = g->all_links[l].group, i = 0;
      while (i < n && users[i] != group) i++;
      if (i == n && n < USERS) users[n++] = group;
    }
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t k = i + 1; k < n; k++) {
      bool merged = false;
      if (is_sibling(&g->groups[users[i]], &g->groups[users[k]]))
        JM_TRY(merge(g, users[i], users[k], &merged));
    }
  return NULL;
}

static jm_error *merge_epilogues(jm_grouping *g, jm_value v) {
  jm_op_id id = g->m->values[v].op;
  uint32_t at = id == JM_NONE ? JM_NONE : g->position[id];
  if (at == JM_NONE || g->home[at] == JM_NONE) return NULL;
  for (uint32_t u = g->first_use[v]; u < g->first_use[v + 1]; u++)
    for (uint32_t l = g->links[g->uses[u]]; l != JM_NONE; l = g->all_links[l].next) {
      bool merged = false;
      uint32_t home = g->home[at], group = g->all_links[l].group;
      if (!is_epilogue(&g->groups[home], &g->groups[group])) continue;
      JM_TRY(merge(g, home, group, &merged));
      if (merged) break; /* the links changed */
    }
  return NULL;
}

static bool is_tiny_group(jm_grouping *g, uint32_t group) {
  uint32_t n_roots;
  if (g->groups[group].dead || g->groups[group].kind != JM_CLUSTER_MAP) return false;
  list_cluster(g, &g->groups[group], NULL, NULL, &n_roots);
  return is_tiny(g, n_roots);
}

static jm_error *merge_groups(jm_grouping *g) {
  for (jm_value v = 0; v < g->m->n_values; v++)
    if (g->first_use[v + 1] - g->first_use[v] > 1 &&
        jm_module_typeof(g->m, v)->count >= g->target->group.siblings)
      JM_TRY(merge_siblings(g, v));
  for (jm_value v = 0; v < g->m->n_values; v++) JM_TRY(merge_epilogues(g, v));
  uint32_t current = JM_NONE;
  for (uint32_t i = 0; i < g->n_groups; i++) {
    bool merged = false;
    if (!is_tiny_group(g, i)) continue;
    if (current != JM_NONE) JM_TRY(merge(g, current, i, &merged));
    if (!merged) current = i;
  }
  return NULL;
}

/* -- the result */

typedef struct rebuild {
  jm_grouping *g;
  jm_region_id region, borrowed; /* borrowed: lists a group's ops for cloning */
  jm_value *map;                 /* of cloning */
  jm_value *stands;              /* per value: the result of a fusion that stands for it */
  uint8_t *group_done, *op_done;
  jm_op_id *list;
  uint32_t n;
} rebuild;

static jm_error *emit_group(rebuild *r, uint32_t group);

static jm_error *emit_op(rebuild *r, uint32_t at);

/* Emits the op or group that defines a value, unless it has been emitted. */
static jm_error *need(rebuild *r, jm_value v) {
  jm_op_id id = r->g->m->values[v].op;
  uint32_t at = id == JM_NONE ? JM_NONE : r->g->position[id];
  if (at == JM_NONE) return NULL;
  return r->g->home[at] == JM_NONE ? emit_op(r, at) : emit_group(r, r->g->home[at]);
}

static jm_error *emit_op(rebuild *r, uint32_t at) {
  const jm_op *op = jm_grouping_op(r->g, at);
  if (r->op_done[at]) return NULL;
  r->op_done[at] = 1;
  if (r->g->last_effect[at] != JM_NONE) JM_TRY(emit_op(r, r->g->last_effect[at]));
  for (uint32_t k = 0; k < op->n_operands; k++)
    JM_TRY(need(r, jm_grouping_op(r->g, at)->operands[k]));
  r->list[r->n++] = r->g->ops[at];
  return NULL;
}

static bool is_wanted(const jm_grouping *g, uint32_t group, jm_value v) {
  bool wanted = g->returned[v];
  uint32_t own = g->position[g->m->values[v].op];
  for (uint32_t u = g->first_use[v]; u < g->first_use[v + 1] && !wanted; u++) {
    uint32_t at = g->uses[u];
    wanted = g->links[at] == JM_NONE || g->single[at];
    for (uint32_t l = g->links[at]; l != JM_NONE && !wanted; l = g->all_links[l].next)
      wanted = g->all_links[l].group != group && !jm_grouping_find(g, g->all_links[l].group, own);
  }
  return wanted;
}

typedef struct interface {
  jm_value *inputs, *roots;
  const jm_type **types; /* of the roots */
  uint32_t n_inputs, n_roots;
} interface;

static jm_error *find_interface(rebuild *r, uint32_t group, interface *f) {
  jm_grouping *g = r->g;
  const jm_group *from = &g->groups[group];
  uint32_t most_inputs = 0, most_roots = 0;
  for (uint32_t i = 0; i < from->n; i++) {
    most_inputs += jm_grouping_op(g, from->members[i].at)->n_operands;
    most_roots += jm_grouping_op(g, from->members[i].at)->n_results;
  }
  *f = (interface){take(g, most_inputs + 1, sizeof *f->inputs),
                   take(g, most_roots + 1, sizeof *f->roots),
                   take(g, most_roots + 1, sizeof *f->types), 0, 0};
  if (!f->inputs || !f->roots || !f->types) return jm_error_out_of_memory();
  uint32_t *seen = g->seen + g->n_ops;
  g->stamp++;
  for (uint32_t i = from->n; i--;) {
    const jm_op *op = jm_grouping_op(g, from->members[i].at);
    for (uint32_t k = 0; k < op->n_operands; k++) {
      if (seen[op->operands[k]] == g->stamp) continue;
      seen[op->operands[k]] = g->stamp;
      f->inputs[f->n_inputs++] = op->operands[k];
    }
    for (uint32_t k = 0; k < op->n_results; k++) {
      jm_value v = op->first_result + k;
      seen[v] = g->stamp;
      if (!from->members[i].root || !is_wanted(g, group, v)) continue;
      f->roots[f->n_roots++] = v;
      f->types[f->n_roots - 1] = jm_module_typeof(g->m, v);
    }
  }
  return NULL;
}

/* Has the op's result the elements of its operand, in the order of memory? */
static bool keeps_order(const jm_module *m, const jm_op *op) {
  const bool broadcasts = op->code == JM_OP_broadcast_in_dim;
  if (op->code == JM_OP_reshape) return true;
  if (!broadcasts && op->code != JM_OP_transpose) return false;
  const jm_type *from = jm_op_operand_type(m, op, 0), *to = jm_op_result_type(m, op, 0);
  if (from->count != to->count) return false;
  const jm_i64s moved = broadcasts ? ((const jm_broadcast_in_dim_attrs *)op->attrs)->dims
                                   : ((const jm_transpose_attrs *)op->attrs)->permutation;
  const jm_type *of = broadcasts ? from : to; /* whose dimensions are listed */
  int64_t last = -1;
  for (uint32_t d = 0; d < moved.n; d++) {
    if (of->dims[d] == 1) continue;
    if (moved.data[d] < last) return false;
    last = moved.data[d];
  }
  return true;
}

/* A group that would only copy its input is a reshape, which needs no memory. */
static bool is_reshape(const jm_grouping *g, uint32_t group, const interface *f) {
  const jm_group *from = &g->groups[group];
  for (uint32_t i = 0; i < from->n; i++)
    if (!keeps_order(g->m, jm_grouping_op(g, from->members[i].at))) return false;
  return f->n_inputs == 1 && f->n_roots == 1;
}

static jm_error *build_reshape(rebuild *r, uint32_t group, const interface *f) {
  const jm_op_spec spec = {.code = JM_OP_reshape,
                           .operands = f->inputs,
                           .n_operands = 1,
                           .result_types = f->types,
                           .n_results = 1,
                           .loc = jm_grouping_op(r->g, r->g->groups[group].members[0].at)->loc};
  jm_op_id id;
  JM_TRY(jm_build_op(r->g->m, r->region, &spec, &id));
  r->stands[f->roots[0]] = jm_module_op(r->g->m, id)->first_result;
  r->list[r->n++] = id;
  return NULL;
}

static jm_error *build_fusion(rebuild *r, uint32_t group, const interface *f) {
  jm_grouping *g = r->g;
  jm_module *m = g->m;
  const jm_group *from = &g->groups[group];
  const jm_op_spec spec = {.code = JM_OP_fusion,
                           .operands = f->inputs,
                           .n_operands = f->n_inputs,
                           .result_types = f->types,
                           .n_results = f->n_roots,
                           .n_regions = 1,
                           .loc = jm_grouping_op(g, from->members[0].at)->loc};
  jm_op_id id;
  JM_TRY(jm_build_op(m, r->region, &spec, &id));
  jm_region_id body = jm_module_op(m, id)->first_region;
  for (uint32_t i = 0; i < f->n_inputs; i++)
    JM_TRY(jm_build_arg(m, body, jm_module_typeof(m, f->inputs[i]), &r->map[f->inputs[i]]));
  for (uint32_t i = 0; i < from->n; i++) g->listed[i] = g->ops[from->members[from->n - 1 - i].at];
  jm_module_region(m, r->borrowed)->ops = g->listed;
  jm_module_region(m, r->borrowed)->n_ops = from->n;
  JM_TRY(jm_build_clone(m, r->borrowed, body, r->map));
  jm_value *results = take(g, f->n_roots + 1, sizeof *results);
  if (!results) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < f->n_roots; i++) {
    results[i] = r->map[f->roots[i]];
    r->stands[f->roots[i]] = jm_module_op(m, id)->first_result + i;
  }
  JM_TRY(jm_build_results(m, body, results, f->n_roots));
  r->list[r->n++] = id;
  return NULL;
}

static jm_error *emit_group(rebuild *r, uint32_t group) {
  interface f;
  enum { NOT_YET, BEGUN, DONE };
  if (r->group_done[group] == BEGUN) return jm_error_internal("groups that need each other");
  if (r->group_done[group]) return NULL;
  r->group_done[group] = BEGUN;
  JM_TRY(find_interface(r, group, &f));
  for (uint32_t i = 0; i < f.n_inputs; i++) JM_TRY(need(r, f.inputs[i]));
  r->group_done[group] = DONE;
  if (!f.n_roots) return NULL;
  if (is_reshape(r->g, group, &f)) return build_reshape(r, group, &f);
  const jm_group *of = &r->g->groups[group];
  const uint32_t first = of->members[0].at;
  const jm_op *op = jm_grouping_op(r->g, first);
  if (of->n == 1 && op->code == JM_OP_dot_general &&
      jm_group_is_tiny_product(r->g->m, op, r->g->target))
    return emit_op(r, first); /* the library needs no code for it */
  return build_fusion(r, group, &f);
}

static jm_error *rebuild_region(jm_grouping *g, jm_region_id id) {
  const uint32_t n_values = g->m->n_values;
  jm_module *m = g->m;
  rebuild r = {.g = g, .region = id};
  r.map = take(g, n_values + 1, sizeof *r.map);
  r.stands = take(g, n_values + 1, sizeof *r.stands);
  r.group_done = take(g, g->n_groups + 1, 1);
  r.op_done = take(g, g->n_ops + 1, 1);
  r.list = jm_arena_alloc(&m->arena, g->n_ops + g->n_groups + 1, sizeof *r.list);
  if (!r.map || !r.stands || !r.group_done || !r.op_done || !r.list)
    return jm_error_out_of_memory();
  for (jm_value v = 0; v < n_values; v++) r.stands[v] = v;
  JM_TRY(jm_build_region(m, &r.borrowed));
  /* An op keeps its position; a group is emitted at its last op, or where it is first needed. */
  for (uint32_t at = 0; at < g->n_ops; at++) {
    if (g->links[at] == JM_NONE) JM_TRY(emit_op(&r, at));
    for (uint32_t l = g->links[at]; l != JM_NONE; l = g->all_links[l].next)
      if (!g->all_links[l].member) JM_TRY(emit_group(&r, g->all_links[l].group));
  }
  for (uint32_t i = 0; i < jm_module_region(m, id)->n_results; i++)
    JM_TRY(need(&r, jm_module_region(m, id)->results[i]));
  jm_region *region = jm_module_region(m, id);
  region->ops = r.list;
  region->n_ops = region->ops_capacity = r.n;
  jm_rewrite_uses(m, id, r.stands, n_values);
  return NULL;
}

static jm_error *group_region(jm_module *m, const jm_target *target, const bool *control,
                              jm_region_id id) {
  jm_grouping g;
  jm_error *error = grouping_init(&g, m, target, control, id);
  for (uint32_t at = g.n_ops; at-- && !error;) error = place_op(&g, at);
  if (!error) error = merge_groups(&g);
  if (!error && g.n_groups) error = rebuild_region(&g, id);
  jm_arena_deinit(&g.arena);
  return error;
}

/* Loops that are one kernel are groups already, including everything in them. */
static bool is_in_fusion(const jm_module *m, jm_region_id region) {
  for (;;) {
    jm_op_id parent = jm_module_region(m, region)->parent;
    if (parent == JM_NONE) return false;
    const jm_op *op = jm_module_op(m, parent);
    if (op->code == JM_OP_fusion) return true;
    if (!op->n_results) return false;
    region = m->values[op->first_result].region;
  }
}

/* For the values that the module has now: building groups adds others. */
static jm_error *find_control(const jm_module *m, const jm_target *target, bool **out) {
  *out = jm_alloc(m->n_values, sizeof **out);
  return *out ? jm_control_find(m, !target->records_runs, *out) : jm_error_out_of_memory();
}

jm_error *jm_pass_group(jm_module *m, const jm_pass_options *options, bool *changed) {
  jm_region_id *regions = NULL;
  uint32_t n = 0;
  const uint32_t n_ops = m->n_ops;
  bool *control = NULL;
  jm_error *error = jm_rewrite_regions(m, &regions, &n);
  if (!error && options->target->threads > 1) error = find_control(m, options->target, &control);
  for (uint32_t i = 0; i < n && !error; i++) {
    jm_op_id parent = jm_module_region(m, regions[i])->parent;
    const bool is_run = parent == JM_NONE || jm_op_runs_regions(jm_module_op(m, parent));
    if (is_run && !is_in_fusion(m, regions[i]))
      error = group_region(m, options->target, control, regions[i]);
  }
  jm_free(regions);
  jm_free(control);
  *changed |= m->n_ops != n_ops;
  return error;
}
