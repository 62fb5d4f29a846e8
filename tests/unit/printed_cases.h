/* SPDX-License-Identifier: Apache-2.0
 * All kernels that printers of text are tried with: those of kernel_cases.h and threads_cases.h,
 * every elementwise op, and the schedules of the programs of shape_cases.def, small ones. */
#ifndef JM_TESTS_PRINTED_CASES_H
#define JM_TESTS_PRINTED_CASES_H

#include "unit/elementwise_cases.h"
#include "unit/program_cases.h"
#include "unit/threads_cases.h"

static uint32_t first_program; /* kernels from here on have no count in parameter 0 */

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
  program_target = target;
  each_program(add_program);
}

#endif
