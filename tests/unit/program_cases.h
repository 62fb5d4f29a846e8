/* SPDX-License-Identifier: Apache-2.0
 * The kernels of the programs of shape_cases.def, of a few small shapes, as test kernels, and
 * memory on which they can run. */
#ifndef JM_TESTS_PROGRAM_CASES_H
#define JM_TESTS_PROGRAM_CASES_H

#include "kernel/schedule/schedule.h"
#include "pass/pass.h"
#include "unit/kernel_memory.h"
#include "unit/shape_cases.h"

enum { MOST_POINTS = 4096 }; /* the interpreter takes its time */

static const jm_target *program_target; /* what the programs are lowered for */

static inline void add_program(const shape_row *row, jm_dtype dtype, const shape *s,
                               uint64_t number) {
  (void)number;
  bool taken = is_usual(dtype) && s - row->shapes < FEW && s->a * s->b <= MOST_POINTS;
  jm_module *m = taken ? read_program(row, dtype, s) : NULL;
  if (!m) return;
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.target = program_target}));
  for (jm_op_id id = 0; id < m->n_ops; id++) {
    jm_schedule *schedule = NULL;
    if (jm_module_op(m, id)->code != JM_OP_fusion) continue;
    CHECK_OK(jm_schedule_build(m, jm_module_op(m, id), program_target, &schedule));
    for (uint32_t l = 0; schedule && l < schedule->n_launches && n_cases < CASE_MOST; l++) {
      cases[n_cases] = schedule->launches[l].kernel;
      cases[n_cases++]->name = row->name;
      schedule->launches[l].kernel = NULL;
    }
    jm_schedule_destroy(schedule);
  }
  jm_module_destroy(m);
}

/* Programs' loops do not start to count at any number, and what may be bf16 is no NaN, of which
 * nobody promises the bits. */
static inline void tame_memory(const jm_kernel *k, const memory *m) {
  uint32_t at = 0;
  for (uint32_t i = 0; i < k->n_params; i++) {
    const jm_kparam *p = &k->params[i];
    if (p->space != JM_SPACE_GLOBAL) continue;
    char *data = m->buffers[at++];
    if (p->element == JM_KT_i32 && p->elements == 1) memset(data, 0, sizeof(int32_t));
    for (int64_t e = 0; p->element == JM_KT_i16 && e < p->elements; e++) {
      uint16_t bits;
      memcpy(&bits, data + e * 2, sizeof bits);
      bits &= 0xbfff;
      memcpy(data + e * 2, &bits, sizeof bits);
    }
  }
}

#endif
