/* SPDX-License-Identifier: Apache-2.0
 * All kernels that printers of text are tried with: those of kernel_cases.h and threads_cases.h,
 * every elementwise op, and the schedules of the programs of shape_cases.def, small ones. */
#ifndef JM_TESTS_PRINTED_CASES_H
#define JM_TESTS_PRINTED_CASES_H

#include "kernel/schedule/schedule.h"
#include "pass/pass.h"
#include "unit/elementwise_cases.h"
#include "unit/kernel_memory.h"
#include "unit/shape_cases.h"
#include "unit/threads_cases.h"

enum { MOST_POINTS = 4096 }; /* the interpreter takes its time */

static const jm_target *printed_target;
static uint32_t first_program; /* kernels from here on have no count in parameter 0 */

static inline void add_program(const shape_row *row, jm_dtype dtype, const shape *s,
                               uint64_t number) {
  (void)number;
  bool taken = is_usual(dtype) && s - row->shapes < FEW && s->a * s->b <= MOST_POINTS;
  jm_module *m = taken ? read_program(row, dtype, s) : NULL;
  if (!m) return;
  CHECK_OK(jm_pass_lower(m, &(jm_pass_options){.target = printed_target}));
  for (jm_op_id id = 0; id < m->n_ops; id++) {
    jm_schedule *schedule = NULL;
    if (jm_module_op(m, id)->code != JM_OP_fusion) continue;
    CHECK_OK(jm_schedule_build(m, jm_module_op(m, id), printed_target, &schedule));
    for (uint32_t l = 0; schedule && l < schedule->n_launches && n_cases < CASE_MOST; l++) {
      cases[n_cases] = schedule->launches[l].kernel;
      cases[n_cases++]->name = row->name;
      schedule->launches[l].kernel = NULL;
    }
    jm_schedule_destroy(schedule);
  }
  jm_module_destroy(m);
}

/* All ops of one type and number of operands; odd formats are left to emit_test.c. */
static inline void add_elementwise_case(jm_dtype dtype, int operands) {
  emit_case c = {0};
  jm_opcode codes[JM_N_OPS];
  jm_text text;
  jm_text_init(&text);
  if (write_elementwise(dtype, operands, &text, codes) && emit_begin(&c, jm_text_bytes(&text)) &&
      keep_supported(&c, codes) && n_cases < CASE_MOST) {
    cases[n_cases] = emit_kernel(&c, 1);
    if (cases[n_cases]) cases[n_cases++]->name = jm_dtype_name(dtype);
  }
  emit_end(&c);
  jm_text_deinit(&text);
}

static inline void add_elementwise_cases(void) {
  static const jm_dtype types[] = {JM_DT_pred, JM_DT_s4,  JM_DT_s8,       JM_DT_u8,
                                   JM_DT_s16,  JM_DT_u16, JM_DT_s32,      JM_DT_u32,
                                   JM_DT_s64,  JM_DT_u64, JM_DT_f8e4m3fn, JM_DT_f16,
                                   JM_DT_bf16, JM_DT_f32, JM_DT_f64,      JM_DT_c64};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    for (int operands = 1; operands <= 2; operands++) {
      const bool single = types[i] == JM_DT_f16 || types[i] == JM_DT_f32 || types[i] == JM_DT_c64;
      add_elementwise_case(types[i], operands);
      emit_without_f64 = true; /* as for a GPU */
      if (single) add_elementwise_case(types[i], operands);
      emit_without_f64 = false;
    }
}

static inline void add_printed_cases(const jm_target *target) {
  static const uint32_t widths[] = {1, 2, 32, 64, 256};
  add_inst_cases(JM_BIND_SERIAL, 0);
  add_inst_cases(JM_BIND_VECTOR, 16);
  add_memory_cases();
  add_loop_cases();
  for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) add_threads_cases(widths[i]);
  for (int i = 0; i < 100; i++) add_random_case();
  for (int i = 0; i < 100; i++) add_random_threads(1u << random_number(9));
  first_program = n_cases;
  add_elementwise_cases();
  printed_target = target;
  each_program(add_program);
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
