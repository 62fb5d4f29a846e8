/* SPDX-License-Identifier: Apache-2.0
 * A plan as JSON, for programs that draw it; the form is in explain.h. */
#include <inttypes.h>

#include "ir/print.h"
#include "plan/explain.h"

typedef struct printer {
  const jm_plan *plan;
  jm_text *json;
  uint32_t next; /* number of the next step */
} printer;

/* The text becomes a JSON string. */
static void print_string(printer *p, jm_text *text) {
  jm_text_quote_json(p->json, jm_text_bytes(text), text->size);
  if (text->failed) p->json->failed = true;
  jm_text_deinit(text);
}

static void print_key(printer *p, const char *key) { jm_text_printf(p->json, ", \"%s\": ", key); }

static void print_slot(printer *p, const char *kind, size_t bytes, jm_text *name) {
  jm_text_printf(p->json, "{\"kind\": \"%s\", \"bytes\": %zu", kind, bytes);
  print_key(p, "name");
  print_string(p, name);
  jm_text_append(p->json, "}", 1);
}

/* Without assigned memory every value is a slot of its own. */
static void print_values(printer *p) {
  const jm_module *m = p->plan->module;
  for (uint32_t i = 0; i < m->n_values; i++) {
    jm_text name;
    jm_text_init(&name);
    jm_text_printf(&name, "%%%u", i);
    if (i) jm_text_append(p->json, ",\n", 2);
    print_slot(p, "value", jm_type_bytes(jm_module_typeof(m, i)), &name);
  }
}

static void print_slots(printer *p) {
  static const char *const kinds[] = {
      [JM_SLOT_PARAMETER] = "parameter", [JM_SLOT_OUTPUT] = "output",
      [JM_SLOT_CONSTANT] = "constant",   [JM_SLOT_ARENA] = "arena",
      [JM_SLOT_WINDOW] = "window",       [JM_SLOT_SLICE] = "slice",
      [JM_SLOT_THREAD] = "thread"};
  jm_text_append(p->json, "[", 1);
  if (!p->plan->engine->backend->assigns_memory) print_values(p);
  for (uint32_t i = 0; i < p->plan->n_slots; i++) {
    const jm_slot *slot = &p->plan->slots[i];
    jm_text name;
    jm_text_init(&name);
    jm_slot_print(slot, &name);
    if (i) jm_text_append(p->json, ",\n", 2);
    print_slot(p, kinds[slot->kind], slot->bytes, &name);
  }
  jm_text_append(p->json, "]", 1);
}

static void print_operands(printer *p, const char *key, const jm_operand *operands, uint32_t n) {
  print_key(p, key);
  jm_text_append(p->json, "[", 1);
  for (uint32_t i = 0; i < n; i++) {
    jm_text text;
    jm_text_init(&text);
    if (operands[i].type) jm_type_print(operands[i].type, &text);
    jm_text_printf(p->json, "%s{\"slot\": %u, \"type\": ", i ? ", " : "",
                   operands[i].slot == JM_NONE ? operands[i].value : operands[i].slot);
    print_string(p, &text);
    jm_text_append(p->json, "}", 1);
  }
  jm_text_append(p->json, "]", 1);
}

/* The lines of a group's ops, or the line of a step's one op. */
static void print_ops(printer *p, const jm_step *step) {
  const jm_module *m = p->plan->module;
  jm_text text;
  jm_text_init(&text);
  if (step->code && step->code->name)
    jm_region_print(m, jm_module_op(m, step->op)->first_region, 0, &text);
  else if (step->op != JM_NONE)
    jm_op_print(m, jm_module_op(m, step->op), &text);
  print_key(p, "ops");
  print_string(p, &text);
}

static void print_block(printer *p, uint32_t index);

static void print_step(printer *p, const jm_step *step) {
  const jm_plan *plan = p->plan;
  jm_text title, source;
  jm_text_init(&title);
  jm_text_init(&source);
  jm_step_print_title(plan, step, &title);
  if (step->op != JM_NONE)
    jm_location_print(plan->module, jm_module_op(plan->module, step->op), &source);
  jm_text_printf(p->json, "{\"number\": %u, \"kernels\": %u, \"sends\": %" PRIu64, p->next++,
                 step->code ? step->code->n_kernels : 0, jm_step_sends(plan, step));
  print_key(p, "title");
  print_string(p, &title);
  print_key(p, "source");
  print_string(p, &source);
  print_ops(p, step);
  print_operands(p, "reads", jm_step_reads(plan, step), step->n_reads);
  print_operands(p, "writes", jm_step_writes(plan, step), step->n_writes);
  print_operands(p, "temporaries", jm_step_temporaries(plan, step), step->n_temporaries);
  print_key(p, "blocks");
  jm_text_append(p->json, "[", 1);
  for (uint32_t i = 0; i < step->n_blocks; i++) {
    jm_text name;
    jm_text_init(&name);
    jm_block_print_name(step, i, &name);
    jm_text_printf(p->json, "%s{\"name\": ", i ? ", " : "");
    print_string(p, &name);
    print_key(p, "steps");
    print_block(p, step->first_block + i);
    jm_text_append(p->json, "}", 1);
  }
  jm_text_append(p->json, "]}", 2);
}

static void print_block(printer *p, uint32_t index) {
  const jm_block *block = &p->plan->blocks[index];
  jm_text_append(p->json, "[", 1);
  for (uint32_t i = 0; i < block->n_steps; i++) {
    if (i) jm_text_append(p->json, ",\n", 2);
    print_step(p, &block->steps[i]);
  }
  jm_text_append(p->json, "]", 1);
}

void jm_plan_export(const jm_plan *plan, jm_text *json) {
  printer p = {.plan = plan, .json = json};
  const jm_plan_totals totals = jm_plan_count(plan);
  jm_text name, compiler;
  jm_text_init(&name);
  jm_text_init(&compiler);
  jm_text_printf(&name, "%s", plan->module->name);
  jm_text_printf(&compiler, "%s", plan->engine->backend->describe_compiler(plan->engine));
  jm_text_printf(json,
                 "{\"arena\": %zu, \"read\": %zu, \"written\": %zu, \"partitions\": %u,"
                 " \"collectives\": %u, \"sent\": %" PRIu64,
                 plan->arena_bytes, totals.read, totals.written, plan->module->n_partitions,
                 totals.n_collectives, totals.sent);
  print_key(&p, "name");
  print_string(&p, &name);
  print_key(&p, "compiler");
  print_string(&p, &compiler);
  print_key(&p, "slots");
  print_slots(&p);
  print_key(&p, "steps");
  print_block(&p, 0);
  jm_text_append(json, "}\n", 2);
}
