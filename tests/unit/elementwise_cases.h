/* SPDX-License-Identifier: Apache-2.0
 * Modules of all elementwise ops that emission supports, by element type and number of operands. */
#ifndef JM_TESTS_ELEMENTWISE_CASES_H
#define JM_TESTS_ELEMENTWISE_CASES_H

#include "unit/emit_case.h"

enum { PAIRS = EMIT_SPECIAL * EMIT_SPECIAL };

static inline bool is_elementwise(jm_opcode code, int operands, jm_dtype dtype) {
  const jm_op_fact *fact = &jm_op_facts[code];
  return fact->operands == operands && fact->results == 1 && !fact->regions &&
         fact->traits & JM_TRAIT_ELEMENTWISE && fact->types >> jm_dtype_classof(dtype) & 1 &&
         code != JM_OP_compare && code != JM_OP_convert && code != JM_OP_reduce_precision &&
         code != JM_OP_select && code != JM_OP_clamp &&
         !(code == JM_OP_complex && dtype != JM_DT_f32 && dtype != JM_DT_f64);
}

static inline jm_dtype result_of(jm_opcode code, jm_dtype dtype) {
  if (code == JM_OP_is_finite) return JM_DT_pred;
  if (code == JM_OP_complex) return dtype == JM_DT_f32 ? JM_DT_c64 : JM_DT_c128;
  if (code == JM_OP_real || code == JM_OP_imag || code == JM_OP_abs) return jm_dtype_real(dtype);
  return dtype;
}

/* All ops of one number of operands of one type that are supported, as one module. */
static inline uint32_t write_elementwise(jm_dtype dtype, int operands, jm_text *text,
                                         jm_opcode *codes) {
  const char *d = jm_dtype_name(dtype);
  uint32_t n = 0;
  jm_text_printf(text, "module \"t\" replicas=1 partitions=1 { (%%x: %s[%d]", d, (int)PAIRS);
  if (operands == 2) jm_text_printf(text, ", %%y: %s[%d]", d, (int)PAIRS);
  jm_text_printf(text, "):\n");
  for (jm_opcode code = 0; code < JM_N_OPS; code++)
    if (is_elementwise(code, operands, dtype)) {
      jm_text_printf(text, "%%r%u: %s[%d] = %s %%x%s\n", n, jm_dtype_name(result_of(code, dtype)),
                     (int)PAIRS, jm_op_facts[code].name, operands == 2 ? ", %y" : "");
      codes[n++] = code;
    }
  for (uint32_t i = 0; i < n; i++) jm_text_printf(text, "%s%%r%u", i ? ", " : "return ", i);
  jm_text_printf(text, "}");
  return n;
}

/* Only what is supported stays a result; returns how much that is. */
static inline uint32_t keep_supported(emit_case *c, jm_opcode *codes) {
  jm_region *entry = jm_module_region(c->m, c->m->entry);
  uint32_t n = 0;
  for (uint32_t i = 0; i < entry->n_results; i++) {
    if (!jm_emit_supports(c->m, jm_module_definition(c->m, entry->results[i]))) continue;
    codes[n] = codes[i];
    entry->results[n++] = entry->results[i];
  }
  entry->n_results = n;
  return n;
}

#endif
