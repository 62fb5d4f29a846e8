/* SPDX-License-Identifier: Apache-2.0
 * Stores past the caches. A kernel that touches about as much memory as the last cache holds finds
 * nothing of it there when it comes back, and neither does the next one; but an ordinary store
 * first reads the line that it overwrites. Such kernels write their large results by
 * non-temporal stores, which need whole registers at multiples of their size:
 *
 *   %m = or of the results' addresses, and 63
 *   if %m == 0, and no result lies where an operand does: the body with
 *     store <16 x float> ..., align 64, !nontemporal !1, and a fence
 *   else: the body with ordinary stores */
#include "kernel/print/llvm.h"

enum {
  LEAST_SHARE = 4, /* of the cache, for a result to be large: smaller ones are found there again */
  ALIGNMENT = JM_DATA_ALIGNMENT,
  LEAST_BYTES = 16, /* of a register */
  DEPTH = 8,        /* of expressions that are looked through */
};

static bool is_multiple(const jm_kernel *k, jm_kval v, int64_t w, jm_kval index, uint32_t depth) {
  if (v == index) return true;
  jm_kinst inst = k->values[v].inst;
  if (inst == JM_KNONE || !depth) return false;
  const jm_kinst_fact *f = &k->insts[inst];
  const jm_kval *x = f->operands;
  switch (f->code) {
    case JM_K_const:
      return (int64_t)f->imm % w == 0;
    case JM_K_imul:
      return is_multiple(k, x[0], w, index, depth - 1) || is_multiple(k, x[1], w, index, depth - 1);
    case JM_K_select:
      return is_multiple(k, x[1], w, index, depth - 1) && is_multiple(k, x[2], w, index, depth - 1);
    case JM_K_iadd:
    case JM_K_isub:
    case JM_K_smin:
    case JM_K_smax:
    case JM_K_umin:
    case JM_K_umax:
      return is_multiple(k, x[0], w, index, depth - 1) && is_multiple(k, x[1], w, index, depth - 1);
    default:
      return false;
  }
}

bool jm_llvm_is_multiple(const jm_kernel *k, jm_kval v, int64_t w, jm_kval index) {
  return is_multiple(k, v, w, index, DEPTH);
}

/* What a kernel reads again is not streamed. */
static bool is_loaded(const jm_llvm_printer *p, uint32_t param) {
  for (uint32_t i = 0; i < p->k->n_insts; i++) {
    const jm_kinst_fact *f = &p->k->insts[i];
    if (f->code == JM_K_load && f->imm == param) return true;
  }
  return false;
}

bool jm_llvm_find_streams(jm_llvm_printer *p) {
  const jm_kernel *k = p->k;
  size_t cache = p->module->target.stream_bytes, total = 0;
  bool any = false;
  for (uint32_t i = 0; i < k->n_params; i++)
    if (k->params[i].space == JM_SPACE_GLOBAL) total += jm_kparam_bytes(&k->params[i]);
  for (uint32_t i = 0; cache && total >= cache && i < k->n_params; i++) {
    const jm_kparam *param = &k->params[i];
    bool large = param->space == JM_SPACE_GLOBAL && jm_kparam_bytes(param) >= cache / LEAST_SHARE;
    any |= p->streamed[i] = large && param->written && !is_loaded(p, i);
  }
  return any;
}

uint32_t jm_llvm_find_stream_alignment(const jm_llvm_printer *p, const jm_kinst_fact *store) {
  uint32_t bytes = p->width * jm_ktype_bytes[p->k->params[store->imm].element];
  jm_kval index = p->index_is_multiple ? p->index : JM_KNONE;
  if (!p->streams || !p->streamed[store->imm] || bytes < LEAST_BYTES) return 0;
  if (!jm_llvm_is_multiple(p->k, store->operands[0], p->width, index)) return 0;
  return bytes < ALIGNMENT ? bytes : ALIGNMENT;
}

static jm_llvm_name print_and(jm_llvm_printer *p, jm_llvm_name x, jm_llvm_name y) {
  jm_llvm_name both = jm_llvm_number(p->next++);
  jm_text_printf(p->out, "  %s = and i1 %s, %s\n", both.text, x.text, y.text);
  return both;
}

jm_llvm_name jm_llvm_print_stream_check(jm_llvm_printer *p) {
  const jm_kernel *k = p->k;
  jm_llvm_name all = {"0"}, good = {"true"};
  for (uint32_t i = 0; i < k->n_params; i++) {
    if (!p->streamed[i]) continue;
    jm_llvm_name address = jm_llvm_number(p->next++), either = jm_llvm_number(p->next++);
    jm_text_printf(p->out, "  %s = ptrtoint ptr %%p%u to i64\n  %s = or i64 %s, %s\n", address.text,
                   (unsigned)i, either.text, all.text, address.text);
    all = either;
    for (uint32_t j = 0; j < k->n_params; j++) {
      if (j == i || !jm_kparam_overlaps(&k->params[i], &k->params[j])) continue;
      jm_llvm_name apart = jm_llvm_number(p->next++);
      jm_text_printf(p->out, "  %s = icmp ne ptr %%p%u, %%p%u\n", apart.text, (unsigned)i,
                     (unsigned)j);
      good = print_and(p, good, apart);
    }
  }
  jm_llvm_name low = jm_llvm_number(p->next++), aligned = jm_llvm_number(p->next++);
  jm_text_printf(p->out, "  %s = and i64 %s, %d\n  %s = icmp eq i64 %s, 0\n", low.text, all.text,
                 ALIGNMENT - 1, aligned.text, low.text);
  return print_and(p, good, aligned);
}
