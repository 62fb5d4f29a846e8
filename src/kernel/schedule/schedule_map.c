/* SPDX-License-Identifier: Apache-2.0
 * Maps: every element of the results is computed independently. Results whose elements correspond
 * share a loop; others get a launch of their own or, if there is little work, a loop of the same
 * launch. */
#include "kernel/schedule/cuts.h"
#include "kernel/schedule/launch.h"

typedef struct part {
  jm_scheduler *s;
  const uint32_t *part_of; /* per root */
  uint32_t number;
  jm_axes axes;
  const uint32_t *params; /* per root */
} part;

static const jm_type *root_type(const jm_scheduler *s, uint32_t i) {
  return jm_module_typeof(s->m, s->region->results[i]);
}

static void store_roots(void *context, jm_launch_builder *l, const jm_kval *x, jm_kval point) {
  const part *p = context;
  const jm_scheduler *s = p->s;
  jm_element elements[JM_CLUSTER_ROOTS];
  uint32_t pending = 0;
  jm_kval index[JM_CLUSTER_RANK];
  /* All loads stand before all stores: results may share memory with operands. */
  for (uint32_t i = 0; i < s->region->n_results; i++) {
    if (p->part_of[i] != p->number) continue;
    jm_axes_index(l->b, p->axes.sizes, x, p->axes.n, root_type(s, i), index);
    elements[pending++] = jm_emit_value(l->e, s->region->results[i], index);
  }
  for (uint32_t i = 0, k = 0; i < s->region->n_results; i++)
    if (p->part_of[i] == p->number)
      jm_emit_store(l->e, root_type(s, i)->dtype, p->params[i], point, elements[k++]);
}

/* Roots with equal numbers go through one loop. */
static uint32_t divide(jm_scheduler *s, uint32_t *part_of, part *parts) {
  uint32_t n = 0, n_roots = s->region->n_results;
  for (uint32_t i = 0; i < n_roots; i++) part_of[i] = JM_NONE;
  for (uint32_t i = 0; i < n_roots; i++) {
    if (part_of[i] != JM_NONE || !root_type(s, i)->count) continue;
    part *p = &parts[n];
    *p = (part){.s = s, .part_of = part_of, .number = n};
    jm_axes_init(&p->axes, root_type(s, i)->count);
    uint32_t size = 0;
    for (uint32_t k = i; k < n_roots && size < JM_CLUSTER_ROOTS; k++) {
      jm_axes joined = p->axes;
      if (part_of[k] != JM_NONE || root_type(s, k)->count != p->axes.count) continue;
      if (!jm_axes_add_value(&joined, root_type(s, k), s->breaks[s->region->results[k]])) continue;
      p->axes = joined;
      part_of[k] = n;
      size++;
    }
    jm_axes_finish(&p->axes);
    n++;
  }
  return n;
}

/* Where the loops of a part should be cut: along the last axis and the first. *out is NULL:
 * nowhere, or that would make too much code. */
static jm_error *find_cuts(jm_scheduler *s, const part *p, double flops, const jm_cuts **out) {
  const uint32_t most = s->target->map.max_pieces;
  const double most_flops = s->target->map.max_flops;
  *out = NULL;
  if (p->axes.count < s->target->chunk.few || most < 2) return NULL;
  jm_cuts *cuts = jm_arena_alloc(&s->scratch, p->axes.n, sizeof *cuts);
  if (!cuts) return jm_error_out_of_memory();
  for (uint32_t a = 0; a < p->axes.n; a++) {
    jm_cuts_init(&cuts[a], p->axes.sizes[a]);
    if (a && a + 1 < p->axes.n) continue;
    for (uint32_t i = 0; i < s->region->n_results; i++)
      if (p->part_of[i] == p->number)
        jm_cuts_find(s, &p->axes, a, s->region->results[i], NULL, NULL, &cuts[a]);
  }
  uint32_t first = cuts[0].n - 1, last = cuts[p->axes.n - 1].n - 1;
  if (p->axes.n == 1) first = 1;
  if (first * last == 1 || last > most || last * flops > most_flops) return NULL;
  if ((first * last > most || first * last * flops > most_flops) && p->axes.n > 1)
    jm_cuts_init(&cuts[0], p->axes.sizes[0]);
  *out = cuts;
  return NULL;
}

/* One launch of parts [first, last). */
static jm_error *launch(jm_scheduler *s, part *parts, uint32_t first, uint32_t last,
                        uint32_t *params, jm_value *pulled) {
  jm_launch_builder l;
  const jm_cuts *cuts = NULL;
  uint32_t n = 0;
  double flops = 0;
  for (uint32_t i = 0; i < s->region->n_ops; i++)
    flops += jm_emit_estimate(s->m, jm_module_op(s->m, s->region->ops[i])).flops;
  if (last == first + 1) JM_TRY(find_cuts(s, &parts[first], flops, &cuts));
  JM_TRY(jm_launch_begin(s, &l));
  for (uint32_t i = 0; i < s->region->n_results; i++)
    if (parts->part_of[i] >= first && parts->part_of[i] < last) pulled[n++] = s->region->results[i];
  jm_launch_pull(&l, pulled, n);
  for (uint32_t i = 0; i < s->region->n_results; i++)
    if (parts->part_of[i] >= first && parts->part_of[i] < last) params[i] = jm_launch_result(&l, i);
  l.whole = last > first + 1;
  for (uint32_t i = first; i < last; i++) {
    parts[i].params = params;
    jm_launch_map(&l, &parts[i].axes, cuts, store_roots, &parts[i]);
  }
  return jm_launch_end(&l);
}

jm_error *jm_schedule_map(jm_scheduler *s, bool *fits) {
  uint32_t n_roots = s->region->n_results;
  uint32_t *part_of = jm_arena_alloc(&s->scratch, n_roots + 1, sizeof *part_of);
  uint32_t *params = jm_arena_alloc(&s->scratch, n_roots + 1, sizeof *params);
  jm_value *pulled = jm_arena_alloc(&s->scratch, n_roots + 1, sizeof *pulled);
  part *parts = jm_arena_alloc(&s->scratch, n_roots + 1, sizeof *parts);
  if (!part_of || !params || !pulled || !parts) return jm_error_out_of_memory();
  uint32_t n = divide(s, part_of, parts);
  *fits = true;
  const int64_t tiny = s->target->group.tiny;
  int64_t points = 0;
  for (uint32_t i = 0; i < n; i++)
    points = parts[i].axes.count > tiny ? tiny + 1 : points + parts[i].axes.count;
  if (n == 1) jm_scheduler_reuse(s);
  if (n > 1 && points <= tiny) return launch(s, parts, 0, n, params, pulled);
  for (uint32_t i = 0; i < n; i++) JM_TRY(launch(s, parts, i, i + 1, params, pulled));
  return NULL;
}
