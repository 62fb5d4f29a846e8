/* SPDX-License-Identifier: Apache-2.0
 * Shared by the files of grouping: the region as a graph, the groups under construction, and the
 * cost of joining. Private to pass/group*.c. */
#ifndef JM_PASS_GROUP_H
#define JM_PASS_GROUP_H

#include "kernel/schedule/cluster.h"
#include "pass/rewrite.h"

enum { JM_GROUP_PLACES = 8 }; /* index maps under which a group may read one value */

/* A place: an index map from the group's loops to a value, by number, and how often an element is
 * evaluated under it. */
typedef struct jm_group_place {
  uint32_t id;
  double evaluations;
} jm_group_place;

/* An op in a group. Ops that are cheap to repeat are members of several. */
typedef struct jm_group_member {
  uint32_t at; /* position in the region */
  bool root;   /* its value is used outside */
  uint32_t n_places;
  jm_group_place places[JM_GROUP_PLACES];
} jm_group_member;

/* What a group costs, or what a member adds to it. */
typedef struct jm_group_cost {
  double weight;   /* of the code, in ops */
  double repeated; /* nanoseconds spent on evaluating elements more than once, */
  double computed; /* on all evaluations, */
  double written;  /* and on writing the results */
} jm_group_cost;

typedef struct jm_group {
  jm_group_member *members; /* the last op first */
  uint32_t n, capacity;
  jm_cluster_kind kind;
  jm_space space;
  jm_group_cost cost;
  bool dead;     /* was merged into another */
  uint32_t seen; /* stamp of a walk */
} jm_group;

typedef struct jm_group_link {
  uint32_t group, member, next;
} jm_group_link;

typedef struct jm_grouping {
  jm_module *m;
  const jm_target *target;
  const bool *control; /* per value: the engine keeps it on the host; NULL: of none */
  jm_arena arena;      /* of everything below */
  const jm_op_id *ops;
  uint32_t n_ops;
  uint32_t *position;         /* per op of the module, JM_NONE outside of the region */
  uint32_t *first_use, *uses; /* per value: uses[first_use[v]..first_use[v + 1]) are positions */
  uint8_t *returned;          /* per value */
  uint8_t *fusable;           /* per position */
  uint8_t *single;            /* per position: stays an op, even if groups repeat it */
  uint32_t *links;            /* per position: the first jm_group_link, JM_NONE */
  uint32_t *home;             /* per position: the group that stores its value for other users */
  uint32_t *next_effect, *last_effect; /* per position of an op with effects: other such */
  jm_group_link *all_links;
  uint32_t n_links, links_capacity;
  jm_group *groups;
  uint32_t n_groups, groups_capacity;
  jm_op_id *listed; /* scratch: a group as a cluster */
  jm_value *roots;
  uint8_t *relation, *level; /* per value, of clusters */
  uint32_t *seen;            /* per position and per value: stamps of walks */
  uint32_t stamp;
  uint32_t *stack;
} jm_grouping;

static inline jm_op *jm_grouping_op(const jm_grouping *g, uint32_t at) {
  return jm_module_op(g->m, g->ops[at]);
}
/* The member that is the op at a position, NULL if it is none of this group. */
jm_group_member *jm_grouping_find(const jm_grouping *g, uint32_t group, uint32_t at);

/* -- group_cost.c */

/* Is a product done by the library before a step of its own would have begun? */
bool jm_group_is_tiny_product(const jm_module *m, const jm_op *op, const jm_target *target);
/* Can the op be part of a kernel? */
bool jm_group_accepts(const jm_module *m, const jm_op *op, const jm_target *target);
/* The places at which members of the group read the op at a position, including the group's own
 * loops if it is a root. false: too many, or an element would be computed too often. */
bool jm_group_places(const jm_grouping *g, uint32_t group, uint32_t at, bool root,
                     jm_group_member *out);
/* *out: the group's cost with the member; false: joining does not pay. */
bool jm_group_pays(const jm_grouping *g, uint32_t group, const jm_group_member *member,
                   jm_group_cost *out);
jm_group_cost jm_group_cost_sum(jm_group_cost a, jm_group_cost b);
/* Cheap enough, and reading no more than it produces, to be recomputed at every use. */
bool jm_group_is_repeatable(const jm_grouping *g, const jm_op *op);
/* Costs nothing and reads (almost) nothing: never worth storing. */
bool jm_group_is_free(const jm_grouping *g, const jm_op *op);
/* A large reduction that is no anchor, and so is computed element by element: it joins no group of
 * its users. */
bool jm_group_is_loop(const jm_module *m, const jm_op *op, const jm_target *target);

#endif
