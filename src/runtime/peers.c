/* SPDX-License-Identifier: Apache-2.0
 * A collective that spans processes, in this one: its participants meet in the rendezvous; one of
 * them packs what all brought and exchanges it for what everybody brought; each takes its share.
 * All participants of the launch do so, whatever group they are in, because the wire knows no
 * groups. */
#include "runtime/peers.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "runtime/rendezvous.h"

struct jm_peers {
  jm_group group;
  atomic_uint refs;
  jm_placement placement;
  jm_rendezvous *local;
  jm_wire *wire;
  jm_launch *launch;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  uint32_t n_rounds;                    /* exchanges that were made */
  uint32_t rounds[JM_MAX_PARTICIPANTS]; /* in which each participant took part */
  char *data;                           /* of the last round; NULL: it failed */
  jm_error *error;                      /* of the last round */
  jm_error *failed;                     /* of a participant, the first one */
};

static bool spans_processes(const jm_placement *p, const int64_t *members, uint32_t n) {
  int64_t first = -1;
  for (uint32_t i = 0; i < n; i++) {
    if (members[i] < 0 || members[i] >= p->n_participants) continue;
    if (first < 0) first = p->process[members[i]];
    if (first != p->process[members[i]]) return true;
  }
  return false;
}

/* Does any group of the op need the wire? The answer must be the same in all processes. */
static bool needs_wire(const jm_placement *p, const jm_exchange *e) {
  if (!e->groups.n) return true;
  for (uint32_t at = 0; at < e->groups.n; at += e->group_size)
    if (spans_processes(p, e->groups.data + at, e->group_size)) return true;
  return false;
}

/* Bytes of what a participant brings, each operand on a line of its own. */
static size_t count_bytes(const jm_exchange *e) {
  size_t n = 0;
  for (uint32_t i = 0; i < e->n_inputs; i++) n += jm_alloc_lines(jm_type_bytes(e->inputs[i].type));
  return n;
}

typedef struct visit {
  jm_peers *peers;
  const jm_exchange *e;
} visit;

/* inputs: of this process's participants. */
static jm_error *make_round(const visit *v, const jm_tensor *const *inputs, void **out) {
  const jm_peers *p = v->peers;
  const jm_exchange *e = v->e;
  const size_t each = count_bytes(e);
  size_t total;
  char *bytes = jm_size_mul(each, p->placement.n_slots, &total) ? jm_alloc_data(total) : NULL;
  if (!bytes) return jm_error_out_of_memory();
  for (uint32_t k = 0; k < p->placement.n_slots; k++) {
    char *to = bytes + k * each;
    if (k >= p->placement.n_local) {
      memset(to, 0, each);
      continue;
    }
    for (uint32_t i = 0; i < e->n_inputs; i++) {
      const size_t n = jm_type_bytes(inputs[k][i].type), line = jm_alloc_lines(n);
      if (n) memcpy(to, inputs[k][i].data, n);
      memset(to + n, 0, line - n);
      to += line;
    }
  }
  const jm_wire_step step = {
      .op = e->op, .name = e->name, .participant = each, .n = total, .bytes = bytes};
  return jm_wire_exchange(p->wire, p->launch, &step, e->cancelled, out);
}

/* One participant makes the round, the others wait for it. */
static jm_error *await_round(const visit *v, const jm_tensor *const *inputs) {
  jm_peers *p = v->peers;
  void *data = NULL;
  jm_error *error = NULL;
  const uint32_t round = p->rounds[v->e->self]++;
  const bool leads = v->e->self == p->placement.local[0];
  if (leads) error = make_round(v, inputs, &data);
  pthread_mutex_lock(&p->lock);
  if (leads) {
    jm_error_destroy(p->error);
    p->error = error;
    p->data = data;
    p->n_rounds = round + 1;
    pthread_cond_broadcast(&p->changed);
  }
  while (p->n_rounds <= round) pthread_cond_wait(&p->changed, &p->lock);
  error = jm_error_clone(p->error);
  pthread_mutex_unlock(&p->lock);
  return error;
}

/* Runs in the rendezvous: all participants of this process are here, and stay until all are done,
 * so that the round's data lives as long. The wait is bounded by the wire's time limit. */
static jm_error *take_round(void *argument, const jm_tensor *const *inputs,
                            const jm_tensor *const *outputs) {
  (void)outputs;
  const visit *v = argument;
  const jm_exchange *e = v->e;
  const jm_placement *p = &v->peers->placement;
  const jm_tensor *members[JM_MAX_PARTICIPANTS];
  JM_TRY(await_round(v, inputs));
  const size_t each = count_bytes(e);
  jm_tensor *tensors = jm_alloc((size_t)e->n_members * e->n_inputs, sizeof *tensors);
  if (!tensors) return jm_error_out_of_memory();
  for (uint32_t k = 0; k < e->n_members; k++) {
    const uint32_t m = e->members[k];
    char *from = v->peers->data + ((size_t)p->process[m] * p->n_slots + p->slot[m]) * each;
    members[k] = tensors + (size_t)k * e->n_inputs;
    for (uint32_t i = 0; i < e->n_inputs; i++) {
      tensors[k * e->n_inputs + i] = (jm_tensor){e->inputs[i].type, from};
      from += jm_alloc_lines(jm_type_bytes(e->inputs[i].type));
    }
  }
  jm_error *error = e->take(e->argument, members, NULL);
  jm_free(tensors);
  return error;
}

static jm_error *exchange(jm_group *group, const jm_exchange *e) {
  jm_peers *p = (jm_peers *)group;
  jm_group *local = jm_rendezvous_group(p->local);
  if (!needs_wire(&p->placement, e)) return local->exchange(local, e);
  visit v = {p, e};
  jm_exchange here = *e;
  here.members = p->placement.local;
  here.n_members = p->placement.n_local;
  here.take = take_round;
  here.outputs = NULL;
  here.argument = &v;
  jm_error *error = local->exchange(local, &here);
  if (e->self == p->placement.local[0]) { /* the others have taken, or never will */
    jm_free(p->data);
    p->data = NULL;
  }
  return error;
}

static jm_error *meet(jm_group *group, const jm_meeting *meeting, uint32_t *least) {
  const jm_peers *p = (const jm_peers *)group;
  void *nothing;
  const jm_wire_step step = {
      .op = meeting->op, .name = meeting->name, .number = meeting->number, .least = least};
  return jm_wire_exchange(p->wire, p->launch, &step, meeting->cancelled, &nothing);
}

jm_error *jm_peers_create(const jm_placement *placement, jm_wire *wire, uint64_t hash,
                          const char *name, jm_peers **out) {
  jm_peers *p = jm_alloc(1, sizeof *p);
  if (!p) return jm_error_out_of_memory();
  jm_error *error = jm_rendezvous_create(placement->n_local, &p->local);
  if (!error && wire) error = jm_wire_enter(wire, hash, name, &p->launch);
  if (error) {
    for (uint32_t i = 0; p->local && i < placement->n_local; i++) jm_rendezvous_release(p->local);
    jm_free(p);
    return error;
  }
  p->group = (jm_group){placement->n_participants, exchange,
                        wire && placement->n_slots == 1 ? meet : NULL};
  atomic_init(&p->refs, placement->n_local);
  p->placement = *placement;
  p->wire = wire;
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->changed, NULL);
  *out = p;
  return NULL;
}

void jm_peers_release(jm_peers *p) {
  if (!p) return;
  jm_rendezvous_release(p->local);
  if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1) return;
  if (p->wire) jm_wire_leave(p->wire, p->launch, p->failed);
  jm_error_destroy(p->error);
  jm_error_destroy(p->failed);
  jm_free(p->data);
  pthread_cond_destroy(&p->changed);
  pthread_mutex_destroy(&p->lock);
  jm_free(p);
}

jm_group *jm_peers_group(jm_peers *p) {
  return p->wire ? &p->group : jm_rendezvous_group(p->local);
}

void jm_peers_fail(jm_peers *p, uint32_t participant, const jm_error *error) {
  jm_rendezvous_fail(p->local, participant, error);
  pthread_mutex_lock(&p->lock);
  if (!p->failed) p->failed = jm_error_clone(error);
  pthread_mutex_unlock(&p->lock);
}
