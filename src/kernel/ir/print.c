/* SPDX-License-Identifier: Apache-2.0
 * Kernels as text. Values are numbered in the order of the text, so that dropped instructions leave
 * no trace. The name is alone on the first line; the code follows. */
#include <inttypes.h>
#include <string.h>

#include "kernel/ir/builder.h"

typedef struct printer {
  const jm_kernel *kernel;
  jm_text *text;
  uint32_t *number; /* per value */
  uint32_t next;
} printer;

static void print_value(printer *p, jm_kval v) { jm_text_printf(p->text, "%%%u", p->number[v]); }

static void print_values(printer *p, const jm_kval *values, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    if (i) jm_text_printf(p->text, ", ");
    print_value(p, values[i]);
  }
}

/* Numbers n values and prints them with their types. */
static void define_values(printer *p, jm_kval first, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    p->number[first + i] = p->next++;
    jm_text_printf(p->text, "%s%%%u: %s", i ? ", " : "", p->number[first + i],
                   jm_ktype_names[p->kernel->values[first + i].type]);
  }
}

static void print_indent(printer *p, uint32_t depth) {
  for (uint32_t i = 0; i < depth; i++) jm_text_append(p->text, "  ", 2);
}

static void print_insts(printer *p, jm_kblock at);

static void print_block(printer *p, jm_kblock at) {
  const jm_kblock_fact *block = &p->kernel->blocks[at];
  jm_text_printf(p->text, " {");
  if (block->n_args) {
    jm_text_printf(p->text, " (");
    define_values(p, block->first_arg, block->n_args);
    jm_text_printf(p->text, ")");
  }
  jm_text_printf(p->text, "\n");
  print_insts(p, at);
  if (block->n_yields) {
    print_indent(p, block->depth + 1);
    jm_text_printf(p->text, "yield ");
    print_values(p, block->yields, block->n_yields);
    jm_text_printf(p->text, "\n");
  }
  print_indent(p, block->depth);
  jm_text_printf(p->text, "}");
}

static void print_imm(printer *p, const jm_kinst_fact *inst) {
  if (inst->code == JM_K_call) {
    static const char *const names[] = {
#define CALL(name, ...) #name,
#include "kernel/ir/calls.def"
    };
    jm_text_printf(p->text, " %s", names[inst->imm]);
  }
  if (inst->code != JM_K_const) return;
  jm_ktype type = p->kernel->values[inst->first_result].type;
  if (jm_ktype_is_float(type))
    jm_text_printf(p->text, " 0x%" PRIx64, inst->imm);
  else
    jm_text_printf(p->text, " %" PRId64, jm_kvalue_signed(type, inst->imm));
}

/* Results come last in a structured instruction's line: their numbers follow those inside. */
static void print_structured(printer *p, const jm_kinst_fact *inst) {
  jm_text_printf(p->text, "%s", jm_kop_facts[inst->code].name);
  if (inst->code == JM_K_loop) {
    jm_text_printf(p->text, " %s", jm_kbinding_names[inst->binding]);
    if (inst->width) jm_text_printf(p->text, "(%u)", inst->width);
  }
  if (inst->n_operands) jm_text_printf(p->text, " ");
  print_values(p, inst->operands, inst->n_operands);
  for (uint32_t i = 0; i < inst->n_blocks; i++) print_block(p, inst->first_block + i);
  if (inst->n_results) {
    jm_text_printf(p->text, " -> ");
    define_values(p, inst->first_result, inst->n_results);
  }
}

static void print_inst(printer *p, const jm_kinst_fact *inst) {
  if (inst->n_blocks) {
    print_structured(p, inst);
    return;
  }
  if (inst->code == JM_K_store || inst->code == JM_K_transpose) {
    jm_text_printf(p->text, "%s $%" PRIu64 "[", jm_kop_facts[inst->code].name, inst->imm);
    print_value(p, inst->operands[0]);
    jm_text_printf(p->text, "], ");
    print_values(p, inst->operands + 1, inst->n_operands - 1);
    return;
  }
  if (inst->code == JM_K_barrier) {
    jm_text_printf(p->text, "barrier%s%s", inst->imm & JM_SCOPE_SCRATCH ? " scratch" : "",
                   inst->imm & JM_SCOPE_GLOBAL ? " global" : "");
    return;
  }
  define_values(p, inst->first_result, 1);
  jm_text_printf(p->text, " = %s", jm_kop_facts[inst->code].name);
  if (inst->code == JM_K_load) {
    jm_text_printf(p->text, " $%" PRIu64 "[", inst->imm);
    print_value(p, inst->operands[0]);
    jm_text_printf(p->text, "]");
    return;
  }
  print_imm(p, inst);
  if (inst->n_operands) jm_text_printf(p->text, " ");
  print_values(p, inst->operands, inst->n_operands);
}

static void print_insts(printer *p, jm_kblock at) {
  const jm_kblock_fact *block = &p->kernel->blocks[at];
  for (uint32_t i = 0; i < block->n_insts; i++) {
    print_indent(p, block->depth + 1);
    print_inst(p, &p->kernel->insts[block->insts[i]]);
    jm_text_printf(p->text, "\n");
  }
}

void jm_kernel_print(const jm_kernel *kernel, jm_text *text) {
  printer p = {.kernel = kernel, .text = text};
  p.number = jm_alloc(kernel->n_values, sizeof *p.number);
  if (!p.number) {
    text->failed = true;
    return;
  }
  jm_text_printf(text, "kernel ");
  jm_text_quote(text, kernel->name, strlen(kernel->name));
  jm_text_printf(text, "\nchunks %" PRId64 " grain %" PRId64 "\n", kernel->chunks, kernel->grain);
  for (uint32_t i = 0; i < kernel->n_params; i++) {
    const jm_kparam *param = &kernel->params[i];
    jm_text_printf(text, "param $%u: %s %s x %" PRId64, i,
                   param->space == JM_SPACE_SCRATCH ? "scratch" : "global",
                   jm_ktype_names[param->element], param->elements);
    if (param->written) jm_text_printf(text, " written");
    if (param->alias) jm_text_printf(text, " alias %u", param->alias);
    jm_text_printf(text, "\n");
  }
  jm_text_printf(text, "{\n");
  print_insts(&p, 0);
  jm_text_printf(text, "}\n");
  jm_free(p.number);
}
