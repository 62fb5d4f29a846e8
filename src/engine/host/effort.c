/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/effort.h"

#include <math.h>
#include <stdatomic.h>

/* Measured on x86: good compilation takes some 50 us more per instruction of a kernel, and an
 * instruction of quick code (for all lanes of a vector) some 0.3 to 1 ns more. */
enum {
  /* Executions of an instruction that take as much longer as its good compilation takes. */
  WORTH_WAITING = 1 << 17,
  /* Good compilation in the background delays nobody, so that it starts earlier. */
  WORTH_STARTING = 1 << 14,
};

static _Atomic jm_effort forced = JM_EFFORT_ESTIMATED;

void jm_effort_force(jm_effort effort) { atomic_store(&forced, effort); }

static const jm_kinst_fact *definition(const jm_kernel *k, jm_kval value) {
  const jm_kinst inst = k->values[value].inst;
  return inst == JM_KNONE ? NULL : &k->insts[inst];
}

static bool find_constant(const jm_kernel *k, jm_kval value, int64_t *out) {
  const jm_kinst_fact *f = definition(k, value);
  if (!f || f->code != JM_K_const) return false;
  *out = (int64_t)f->imm;
  return true;
}

/* upper - lower where the text of the kernel tells: constants, x to x + constant, the least of two
 * bounds. Otherwise infinity. */
static double find_distance(const jm_kernel *k, jm_kval lower, jm_kval upper) {
  int64_t from, to;
  if (find_constant(k, lower, &from) && find_constant(k, upper, &to))
    return (double)to - (double)from;
  const jm_kinst_fact *f = definition(k, upper);
  if (!f) return INFINITY;
  if (f->code == JM_K_smin)
    return fmin(find_distance(k, lower, f->operands[0]), find_distance(k, lower, f->operands[1]));
  if (f->code != JM_K_iadd) return INFINITY;
  for (int i = 0; i < 2; i++)
    if (f->operands[i] == lower && find_constant(k, f->operands[1 - i], &to)) return (double)to;
  return INFINITY;
}

static double count_rounds(const jm_kernel *k, const jm_kinst_fact *f, double most) {
  if (f->code == JM_K_while) return INFINITY;
  if (f->code != JM_K_loop) return 1;
  if (f->binding == JM_BIND_CHUNK) return (double)k->chunks;
  const double distance = fmax(find_distance(k, f->operands[0], f->operands[1]), 0);
  return (isinf(distance) ? most : distance) / (f->binding == JM_BIND_VECTOR ? f->width : 1);
}

/* How many instructions one run of the block executes, those of all lanes of a vector as one. */
static double estimate_block(const jm_kernel *k, jm_kblock block, double most) {
  const jm_kblock_fact *b = &k->blocks[block];
  double work = 0;
  for (uint32_t i = 0; i < b->n_insts; i++) {
    const jm_kinst_fact *f = &k->insts[b->insts[i]];
    work += 1;
    for (uint32_t j = 0; j < f->n_blocks; j++)
      work += count_rounds(k, f, most) * estimate_block(k, f->first_block + j, most);
  }
  return work;
}

static double estimate(const jm_kernel *k) {
  double most = 1; /* a loop of unknown length goes over an array */
  for (uint32_t i = 0; i < k->n_params; i++)
    if ((double)k->params[i].elements > most) most = (double)k->params[i].elements;
  return estimate_block(k, 0, most);
}

bool jm_effort_is_quick(const jm_kernel *kernel, uint32_t *launches) {
  *launches = 0;
  const jm_effort effort = atomic_load(&forced);
  if (effort != JM_EFFORT_ESTIMATED) return effort == JM_EFFORT_QUICK;
  const double work = estimate(kernel), size = kernel->n_insts;
  if (work > size * WORTH_WAITING) return false;
  *launches = (uint32_t)fmax(size * WORTH_STARTING / fmax(work, 1), 2);
  return true;
}
