/* SPDX-License-Identifier: Apache-2.0
 * Memory assignment for the values of a plan: one walk over the steps in order allocates memory as
 * an execution would and frees it after the last use. The steps are rebuilt, with a slot per
 * operand. */
#include <string.h>

#include "ir/overwritten.h"
#include "plan/build.h"
#include "plan/offsets.h"

typedef struct planner {
  jm_plan *plan;          /* its blocks' steps and its operands are rebuilt */
  const jm_block *listed; /* the steps as they were listed */
  const jm_module *m;
  jm_arena scratch;
  jm_offsets offsets;     /* of the execution's arena, or of a thread's memory for a slice */
  jm_slot_kind temporary; /* what a range of it is */
  /* per value */
  uint32_t *slot_of;
  const uint32_t *uses; /* as operand and as result of a region, each occurrence */
  uint32_t *wanted;     /* the preferred slot of its result, JM_NONE: any */
  jm_op_id *update_of;  /* the dynamic_update_slice that writes it to an array, JM_NONE: none */
  /* per output: the slot of the parameter donated to it, JM_NONE: none */
  uint32_t *donor_of;
} planner;

/* -- slots */

static jm_slot *slot_at(planner *p, uint32_t slot) { return &p->plan->slots[slot]; }

static jm_error *slot_add(planner *p, jm_slot slot, uint32_t *out) {
  jm_plan *plan = p->plan;
  plan->slots = jm_arena_grow(&plan->arena, plan->slots, plan->n_slots + 1, &plan->slots_capacity,
                              sizeof *plan->slots);
  if (!plan->slots) return jm_error_out_of_memory();
  plan->slots[plan->n_slots] = slot;
  *out = plan->n_slots++;
  return NULL;
}

static jm_error *arena_slot_add(planner *p, size_t bytes, uint32_t *out) {
  jm_slot slot = {.kind = p->temporary, .bytes = bytes};
  JM_TRY(jm_offsets_take(&p->offsets, slot.bytes, &slot.offset));
  return slot_add(p, slot, out);
}

static jm_error *slot_give_back(planner *p, uint32_t index) {
  jm_slot *slot = slot_at(p, index);
  if (slot->refs || slot->pins || slot->kind != p->temporary) return NULL;
  return jm_offsets_give(&p->offsets, slot->offset, slot->bytes);
}

/* Counts down one use of the slot. */
static jm_error *slot_release(planner *p, uint32_t index) {
  slot_at(p, index)->refs--;
  return slot_give_back(p, index);
}

/* The value lives in the slot. */
static void value_place(planner *p, jm_value v, uint32_t slot) {
  p->slot_of[v] = slot;
  slot_at(p, slot)->refs += p->uses[v];
}

/* The result of an op that is being planned. It counts as used until results_settle: a result that
 * reuses a dying operand keeps its memory, and an unused one is freed once. */
static void result_place(planner *p, jm_value v, uint32_t slot) {
  value_place(p, v, slot);
  slot_at(p, slot)->refs++;
}

static jm_error *results_settle(planner *p, const jm_op *op) {
  for (uint32_t i = 0; i < op->n_results; i++)
    JM_TRY(slot_release(p, p->slot_of[op->first_result + i]));
  return NULL;
}

static jm_error *operands_release(planner *p, const jm_op *op, uint32_t from) {
  for (uint32_t i = from; i < op->n_operands; i++)
    JM_TRY(slot_release(p, p->slot_of[op->operands[i]]));
  return NULL;
}

/* The slot whose contents writing this one destroys: an output shares the memory of the parameter
 * donated to it. */
static uint32_t slot_memory(const planner *p, uint32_t slot) {
  const jm_slot *s = &p->plan->slots[slot];
  if (s->kind != JM_SLOT_OUTPUT || p->donor_of[s->index] == JM_NONE) return slot;
  return p->donor_of[s->index];
}

/* -- working in place */

/* May result r overwrite operand i while the step runs? */
static bool may_overwrite(const planner *p, const jm_step *step, uint32_t i, uint32_t r) {
  const jm_op *op = jm_module_op(p->m, step->op);
  if (step->code && step->code->overwrites) return step->code->overwrites[i] == r;
  if (op->code == JM_OP_while) return i == r;
  if (op->code == JM_OP_dynamic_update_slice) return i == 0;
  if (op->code == JM_OP_scatter) return i == r;
  return (jm_op_facts[op->code].traits & JM_TRAIT_ELEMENTWISE) && !op->n_regions &&
         jm_type_bytes(jm_op_operand_type(p->m, op, i)) ==
             jm_type_bytes(jm_op_result_type(p->m, op, r));
}

/* Are the slot's contents dead once the step has run, and may its result r destroy them while it
 * runs? The same is asked of the parameter that shares the slot's memory. */
static bool is_free_for(const planner *p, uint32_t slot, const jm_step *step, uint32_t r) {
  const jm_op *op = jm_module_op(p->m, step->op);
  uint32_t read_here = 0;
  for (uint32_t i = 0; i < op->n_operands; i++) {
    if (p->slot_of[op->operands[i]] != slot) continue;
    if (!may_overwrite(p, step, i, r)) return false;
    read_here++;
  }
  if (p->plan->slots[slot].refs != read_here) return false;
  uint32_t memory = slot_memory(p, slot);
  return memory == slot || is_free_for(p, memory, step, r);
}

/* The slot of result r: the preferred one, else that of a dying operand, else fresh memory. */
static jm_error *result_slot_find(planner *p, const jm_step *step, uint32_t r, uint32_t *out) {
  const jm_op *op = jm_module_op(p->m, step->op);
  uint32_t wanted = p->wanted[op->first_result + r];
  if (wanted != JM_NONE && is_free_for(p, wanted, step, r)) {
    *out = wanted;
    return NULL;
  }
  for (uint32_t i = 0; i < op->n_operands; i++) {
    uint32_t slot = p->slot_of[op->operands[i]];
    const jm_slot *s = slot_at(p, slot);
    if (s->kind == p->temporary && !s->pins && may_overwrite(p, step, i, r) &&
        is_free_for(p, slot, step, r)) {
      *out = slot;
      return NULL;
    }
  }
  return arena_slot_add(p, jm_type_bytes(jm_op_result_type(p->m, op, r)), out);
}

/* -- windows */

/* The dimension of the rows that the update replaces, all of each and one behind the other;
 * JM_NONE: its elements are apart. */
static uint32_t row_dimension(const jm_type *all, const jm_type *part, size_t *row_bytes) {
  uint32_t along = 0;
  while (along < all->rank && all->dims[along] == 1) along++;
  *row_bytes = jm_dtype_bytes(all->dtype);
  for (uint32_t d = along + 1; d < all->rank; d++) {
    if (part->dims[d] != all->dims[d]) return JM_NONE;
    *row_bytes *= (size_t)all->dims[d];
  }
  return along < all->rank ? along : JM_NONE;
}

/* Is the update's result used once, as a result of its region, and is the array's slot where it is
 * wanted? Then the update is made in place, and its rows stay until the region ends. */
static bool stays(const planner *p, const jm_op *update) {
  const jm_value result = update->first_result;
  const jm_region *region = jm_module_region(p->m, p->m->values[result].region);
  bool returned = false;
  for (uint32_t i = 0; i < region->n_results; i++) returned |= region->results[i] == result;
  return returned && p->uses[result] == 1 && p->wanted[result] == p->slot_of[update->operands[0]];
}

/* Do only aliases of the value and the update read it? */
static bool is_read_by_update(const planner *p, jm_value v, const jm_op *update) {
  jm_value read = update->operands[1];
  while (p->uses[read] == 1 && read != v) read = jm_module_definition(p->m, read)->operands[0];
  return p->uses[read] == 1;
}

/* Can the value be computed where the update writes it? Nothing else reads the array, whose slot
 * may be written, and the row is known by now. An update that is not made in place after all copies
 * the whole array, with these rows. */
static bool window_fits(const planner *p, jm_value v, const jm_op *update) {
  const jm_value array = update->operands[0];
  const uint32_t slot = p->slot_of[array];
  if (slot == JM_NONE || p->uses[array] != 1 || p->wanted[v] != JM_NONE) return false;
  const jm_slot *s = &p->plan->slots[slot];
  if ((s->kind != p->temporary && s->kind != JM_SLOT_OUTPUT) || s->refs != 1 ||
      slot_memory(p, slot) != slot)
    return false;
  return is_read_by_update(p, v, update) || stays(p, update);
}

/* -- steps */

static jm_error *operand_add(planner *p, const jm_type *type, jm_value value, uint32_t slot) {
  return jm_plan_add_operand(p->plan, (jm_operand){type, value, slot, false});
}

typedef struct move {
  const jm_type *type;
  uint32_t from, to;
} move;

static jm_error *copy_add(planner *p, uint32_t block, move move) {
  const jm_step step = {.kind = JM_STEP_COPY,
                        .op = JM_NONE,
                        .first_operand = p->plan->n_operands,
                        .n_reads = 1,
                        .n_writes = 1};
  JM_TRY(operand_add(p, move.type, JM_NONE, move.from));
  JM_TRY(operand_add(p, move.type, JM_NONE, move.to));
  return jm_plan_add_step(p->plan, block, step);
}

/* All moves at once: a source that another move overwrites is saved first (swapped carries; two
 * donated parameters returned in each other's place). */
static jm_error *moves_add(planner *p, uint32_t block, move *moves, uint32_t n) {
  uint32_t *staged = jm_arena_alloc(&p->scratch, n, sizeof *staged);
  bool *overwritten = jm_arena_alloc(&p->scratch, p->plan->n_slots, sizeof *overwritten);
  if (!staged || !overwritten) return jm_error_out_of_memory();
  uint32_t n_staged = 0;
  for (uint32_t i = 0; i < n; i++)
    if (moves[i].from != moves[i].to) overwritten[slot_memory(p, moves[i].to)] = true;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t from = slot_memory(p, moves[i].from), to = slot_memory(p, moves[i].to);
    if (from == to || !overwritten[from]) continue;
    uint32_t saved;
    JM_TRY(arena_slot_add(p, jm_type_bytes(moves[i].type), &saved));
    JM_TRY(copy_add(p, block, (move){moves[i].type, moves[i].from, saved}));
    moves[i].from = staged[n_staged++] = saved;
  }
  for (uint32_t i = 0; i < n; i++)
    if (moves[i].from != moves[i].to) JM_TRY(copy_add(p, block, moves[i]));
  for (uint32_t i = 0; i < n_staged; i++) JM_TRY(slot_give_back(p, staged[i]));
  return NULL;
}

/* *out: a slot for the value in the array that it will be written to, and the step that finds it;
 * JM_NONE: it can't be computed there. */
static jm_error *window_add(planner *p, uint32_t block, jm_value v, uint32_t *out) {
  *out = JM_NONE;
  if (p->update_of[v] == JM_NONE) return NULL;
  /* Code that is not ours may rely on the alignment of arrays. */
  if (jm_module_definition(p->m, v)->code == JM_OP_custom_call) return NULL;
  const jm_op *update = jm_module_op(p->m, p->update_of[v]);
  if (!window_fits(p, v, update)) return NULL;
  jm_plan *plan = p->plan;
  const jm_type *all = jm_op_operand_type(p->m, update, 0);
  const jm_type *part = jm_op_operand_type(p->m, update, 1);
  jm_window window = {0};
  const uint32_t along = row_dimension(all, part, &window.row_bytes);
  if (along == JM_NONE) return NULL;
  const jm_value start = update->operands[2 + along];
  if (p->slot_of[start] == JM_NONE) return NULL;
  window.last = all->dims[along] - part->dims[along];
  const jm_step step = {.kind = JM_STEP_WINDOW,
                        .op = p->update_of[v],
                        .first_operand = plan->n_operands,
                        .n_reads = 2,
                        .window = plan->n_windows};
  JM_TRY(operand_add(p, all, update->operands[0], p->slot_of[update->operands[0]]));
  JM_TRY(operand_add(p, jm_module_typeof(p->m, start), start, p->slot_of[start]));
  JM_TRY(jm_plan_add_step(plan, block, step));
  plan->windows = jm_arena_grow(&plan->arena, plan->windows, plan->n_windows + 1,
                                &plan->windows_capacity, sizeof *plan->windows);
  if (!plan->windows) return jm_error_out_of_memory();
  plan->windows[plan->n_windows] = window;
  return slot_add(p, (jm_slot){.kind = JM_SLOT_WINDOW, .index = plan->n_windows++}, out);
}

/* Lists the operands of each window. */
static jm_error *windows_finish(jm_plan *plan) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < plan->n_operands; i++) {
    const jm_slot *slot = &plan->slots[plan->operands[i].slot];
    if (slot->kind == JM_SLOT_WINDOW) plan->windows[slot->index].n_operands++;
  }
  for (uint32_t i = 0; i < plan->n_windows; i++) {
    plan->windows[i].first_operand = n;
    n += plan->windows[i].n_operands;
    plan->windows[i].n_operands = 0;
  }
  plan->window_operands = jm_arena_alloc(&plan->arena, n, sizeof *plan->window_operands);
  if (!plan->window_operands) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < plan->n_operands; i++) {
    const jm_slot *slot = &plan->slots[plan->operands[i].slot];
    if (slot->kind != JM_SLOT_WINDOW) continue;
    jm_window *window = &plan->windows[slot->index];
    plan->window_operands[window->first_operand + window->n_operands++] = i;
  }
  return NULL;
}

/* -- ops */

typedef jm_error *assign_fn(planner *p, const jm_step *listed, uint32_t block);
static jm_error *assign_block(planner *p, uint32_t block);

/* Temporary memory of a step's code, freed after the step. */
static jm_error *temporaries_add(planner *p, jm_step *step) {
  for (uint32_t i = 0; i < step->code->n_temporaries; i++) {
    uint32_t slot;
    JM_TRY(arena_slot_add(p, step->code->temporary_bytes[i], &slot));
    JM_TRY(operand_add(p, NULL, JM_NONE, slot));
  }
  step->n_temporaries = step->code->n_temporaries;
  return NULL;
}

static jm_error *temporaries_release(planner *p, const jm_step *step) {
  for (uint32_t i = 0; i < step->n_temporaries; i++)
    JM_TRY(slot_give_back(p, jm_step_temporaries(p->plan, step)[i].slot));
  return NULL;
}

static jm_error *assign_plain(planner *p, const jm_step *listed, uint32_t block) {
  const jm_op *op = jm_module_op(p->m, listed->op);
  uint32_t *windows = jm_arena_alloc(&p->scratch, op->n_results, sizeof *windows);
  if (!windows) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < op->n_results; i++)
    JM_TRY(window_add(p, block, op->first_result + i, &windows[i]));
  jm_step step = *listed;
  step.kind = JM_STEP_OP;
  step.first_operand = p->plan->n_operands;
  for (uint32_t i = 0; i < op->n_operands; i++) {
    jm_value v = op->operands[i];
    JM_TRY(operand_add(p, p->m->values[v].type, v, p->slot_of[v]));
  }
  for (uint32_t i = 0; i < op->n_results; i++) {
    jm_value v = op->first_result + i;
    uint32_t slot = windows[i];
    if (slot == JM_NONE) JM_TRY(result_slot_find(p, listed, i, &slot));
    result_place(p, v, slot);
    JM_TRY(operand_add(p, p->m->values[v].type, v, slot));
  }
  JM_TRY(temporaries_add(p, &step));
  JM_TRY(jm_plan_add_step(p->plan, block, step));
  JM_TRY(temporaries_release(p, &step));
  JM_TRY(operands_release(p, op, 0));
  return results_settle(p, op);
}

/* Result i is operand i under another name. */
static jm_error *assign_alias(planner *p, const jm_step *listed, uint32_t block) {
  (void)block;
  const jm_op *op = jm_module_op(p->m, listed->op);
  for (uint32_t i = 0; i < op->n_results; i++)
    value_place(p, op->first_result + i, p->slot_of[op->operands[i]]);
  return operands_release(p, op, 0); /* also releases operands that no result uses */
}

static jm_error *assign_constant(planner *p, const jm_step *listed, uint32_t block) {
  enum { LARGEST_EXPANDED = 1 << 16 }; /* larger splats are filled in when they are needed */
  const jm_op *op = jm_module_op(p->m, listed->op);
  const jm_constant_attrs *attrs = op->attrs;
  const jm_type *type = jm_op_result_type(p->m, op, 0);
  size_t bytes = jm_type_bytes(type), size = jm_dtype_bytes(type->dtype);
  const void *data = attrs->value.bytes;
  if (attrs->value.splat && type->count != 1) {
    if (bytes > LARGEST_EXPANDED) {
      if (!jm_value_is_overwritten(p->m, op->first_result)) return assign_plain(p, listed, block);
      bytes = 0; /* it is never read: it gets no memory */
    }
    char *copy = jm_arena_alloc(&p->plan->arena, bytes, 1);
    if (!copy) return jm_error_out_of_memory();
    for (size_t i = 0; i < bytes; i += size) memcpy(copy + i, attrs->value.bytes, size);
    data = copy;
  }
  uint32_t slot;
  JM_TRY(slot_add(p, (jm_slot){.kind = JM_SLOT_CONSTANT, .bytes = bytes, .constant = data}, &slot));
  value_place(p, op->first_result, slot);
  return NULL;
}

/* The region's arguments from `from` on are the operands from `operand` on. */
static void captures_place(planner *p, const jm_region *region, uint32_t from, const jm_op *op,
                           uint32_t operand) {
  for (uint32_t i = from; i < region->n_args; i++)
    p->slot_of[region->first_arg + i] = p->slot_of[op->operands[operand + i - from]];
}

/* Makes these slots the preferred ones of the region's results. */
static void results_want(planner *p, const jm_region *region, const uint32_t *slots) {
  for (uint32_t i = 0; i < region->n_results; i++) {
    jm_value v = region->results[i];
    if (p->m->values[v].op != JM_NONE && p->wanted[v] == JM_NONE) p->wanted[v] = slots[i];
  }
}

/* Moves the region's results to these slots at the end of its block. */
static jm_error *results_move(planner *p, const jm_region *region, const uint32_t *slots,
                              uint32_t block) {
  move *moves = jm_arena_alloc(&p->scratch, region->n_results, sizeof *moves);
  if (!moves) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < region->n_results; i++) {
    jm_value v = region->results[i];
    moves[i] = (move){p->m->values[v].type, p->slot_of[v], slots[i]};
  }
  JM_TRY(moves_add(p, block, moves, region->n_results));
  for (uint32_t i = 0; i < region->n_results; i++)
    JM_TRY(slot_release(p, p->slot_of[region->results[i]]));
  return NULL;
}

/* Pinned slots for the results of a control op. */
static jm_error *control_slots(planner *p, const jm_step *listed, uint32_t **out) {
  const jm_op *op = jm_module_op(p->m, listed->op);
  uint32_t *slots = jm_arena_alloc(&p->scratch, op->n_results, sizeof *slots);
  if (!slots) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < op->n_results; i++) {
    JM_TRY(result_slot_find(p, listed, i, &slots[i]));
    slot_at(p, slots[i])->pins++;
  }
  *out = slots;
  return NULL;
}

static jm_error *control_finish(planner *p, const jm_op *op, const uint32_t *slots,
                                uint32_t first_operand) {
  for (uint32_t i = 0; i < op->n_results; i++) {
    slot_at(p, slots[i])->pins--;
    result_place(p, op->first_result + i, slots[i]);
  }
  JM_TRY(operands_release(p, op, first_operand));
  return results_settle(p, op);
}

static jm_error *assign_while(planner *p, const jm_step *listed, uint32_t block) {
  const jm_op *op = jm_module_op(p->m, listed->op);
  const jm_region *cond = jm_op_region(p->m, op, 0), *body = jm_op_region(p->m, op, 1);
  uint32_t n = op->n_results, *carries, blocks = listed->first_block;
  JM_TRY(control_slots(p, listed, &carries));
  move *moves = jm_arena_alloc(&p->scratch, n, sizeof *moves);
  if (!moves) return jm_error_out_of_memory();
  uint32_t n_moves = 0;
  for (uint32_t i = 0; i < n; i++)
    if (!jm_carry_is_overwritten(p->m, op, i))
      moves[n_moves++] =
          (move){jm_op_operand_type(p->m, op, i), p->slot_of[op->operands[i]], carries[i]};
  JM_TRY(moves_add(p, block, moves, n_moves));
  /* The carries take over the slots of the initial values. */
  for (uint32_t i = 0; i < n; i++) JM_TRY(slot_release(p, p->slot_of[op->operands[i]]));
  for (uint32_t i = 0; i < n; i++)
    p->slot_of[cond->first_arg + i] = p->slot_of[body->first_arg + i] = carries[i];
  captures_place(p, cond, n, op, n);
  captures_place(p, body, n, op, n);
  JM_TRY(assign_block(p, blocks));
  uint32_t go_on = p->slot_of[cond->results[0]];
  jm_step step = *listed;
  step.first_operand = p->plan->n_operands;
  step.n_reads = 1;
  step.n_writes = 0;
  JM_TRY(operand_add(p, jm_module_typeof(p->m, cond->results[0]), cond->results[0], go_on));
  JM_TRY(slot_release(p, go_on));
  results_want(p, body, carries);
  JM_TRY(assign_block(p, blocks + 1));
  JM_TRY(results_move(p, body, carries, blocks + 1));
  JM_TRY(jm_plan_add_step(p->plan, block, step));
  return control_finish(p, op, carries, n);
}

static jm_error *assign_case(planner *p, const jm_step *listed, uint32_t block) {
  const jm_op *op = jm_module_op(p->m, listed->op);
  uint32_t *results;
  JM_TRY(control_slots(p, listed, &results));
  jm_step step = *listed;
  step.first_operand = p->plan->n_operands;
  step.n_reads = 1;
  step.n_writes = 0;
  JM_TRY(operand_add(p, jm_op_operand_type(p->m, op, 0), op->operands[0],
                     p->slot_of[op->operands[0]]));
  for (uint32_t i = 0; i < step.n_blocks; i++) {
    const jm_region *branch = jm_op_region(p->m, op, i);
    captures_place(p, branch, 0, op, 1);
    results_want(p, branch, results);
    JM_TRY(assign_block(p, step.first_block + i));
    JM_TRY(results_move(p, branch, results, step.first_block + i));
  }
  JM_TRY(jm_plan_add_step(p->plan, block, step));
  return control_finish(p, op, results, 0);
}

/* The block of a slice: its arguments and results are slices of the op's, all else is in memory of
 * the thread's own. */
static jm_error *slice_assign(planner *p, const jm_op *op, uint32_t block) {
  const jm_region *region = jm_op_region(p->m, op, 0);
  uint32_t *results = jm_arena_alloc(&p->scratch, region->n_results, sizeof *results);
  if (!results) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < region->n_args; i++)
    JM_TRY(slot_add(p, (jm_slot){.kind = JM_SLOT_SLICE, .index = i},
                    &p->slot_of[region->first_arg + i]));
  for (uint32_t i = 0; i < region->n_results; i++)
    JM_TRY(slot_add(p, (jm_slot){.kind = JM_SLOT_SLICE, .index = region->n_args + i}, &results[i]));
  results_want(p, region, results);
  JM_TRY(assign_block(p, block));
  return results_move(p, region, results, block);
}

static jm_error *assign_sliced(planner *p, const jm_step *listed, uint32_t block) {
  const jm_op *op = jm_module_op(p->m, listed->op);
  uint32_t *results;
  JM_TRY(control_slots(p, listed, &results));
  jm_step step = *listed;
  step.first_operand = p->plan->n_operands;
  for (uint32_t i = 0; i < op->n_operands; i++)
    JM_TRY(operand_add(p, jm_op_operand_type(p->m, op, i), op->operands[i],
                       p->slot_of[op->operands[i]]));
  for (uint32_t i = 0; i < op->n_results; i++)
    JM_TRY(operand_add(p, jm_op_result_type(p->m, op, i), op->first_result + i, results[i]));
  const jm_offsets arena = p->offsets;
  const jm_slot_kind temporary = p->temporary;
  jm_offsets_init(&p->offsets);
  p->temporary = JM_SLOT_THREAD;
  jm_error *error = slice_assign(p, op, step.first_block);
  step.thread_bytes = p->offsets.end;
  step.end_operand = p->plan->n_operands;
  jm_offsets_deinit(&p->offsets);
  p->offsets = arena;
  p->temporary = temporary;
  JM_TRY(error);
  JM_TRY(jm_plan_add_step(p->plan, block, step));
  return control_finish(p, op, results, 0);
}

/* An op that leaves all bits in place. Types below 8 bits are stored extended by their sign, so
 * even an equal width may change the byte. */
static bool is_alias(const planner *p, const jm_op *op) {
  if (op->code == JM_OP_reshape || op->code == JM_OP_optimization_barrier) return true;
  if (op->code != JM_OP_bitcast_convert) return false;
  jm_dtype from = jm_op_operand_type(p->m, op, 0)->dtype;
  jm_dtype to = jm_op_result_type(p->m, op, 0)->dtype;
  return from == to || (jm_dtype_facts[from].bits >= 8 && jm_dtype_facts[to].bits >= 8);
}

/* Result r is operand r with some elements changed. */
static bool updates_in_place(const jm_op *op) {
  return op->code == JM_OP_scatter || op->code == JM_OP_dynamic_update_slice;
}

static assign_fn *assign_fn_find(const planner *p, const jm_step *listed) {
  switch (listed->kind) {
    case JM_STEP_CONSTANT:
      return assign_constant;
    case JM_STEP_WHILE:
      return assign_while;
    case JM_STEP_CASE:
      return assign_case;
    case JM_STEP_SLICED:
      return assign_sliced;
    default:
      return is_alias(p, jm_module_op(p->m, listed->op)) ? assign_alias : assign_plain;
  }
}

/* Notes what the update writes, by the value that the aliases between them are names of. */
static void update_note(planner *p, jm_op_id id) {
  jm_value v = jm_module_op(p->m, id)->operands[1];
  const jm_op *op = jm_module_definition(p->m, v);
  while (op && is_alias(p, op)) {
    v = op->operands[v - op->first_result];
    op = jm_module_definition(p->m, v);
  }
  if (op) p->update_of[v] = id;
}

/* The caller has placed the arguments; it also moves the results to their slots and releases the
 * arguments. */
static jm_error *assign_block(planner *p, uint32_t index) {
  const jm_block *listed = &p->listed[index];
  const jm_region *region = jm_module_region(p->m, listed->region);
  for (uint32_t i = 0; i < region->n_args; i++)
    value_place(p, region->first_arg + i, p->slot_of[region->first_arg + i]);
  for (uint32_t i = region->n_ops; i-- > 0;) { /* an alias hands its preference to its source */
    const jm_op *op = jm_module_op(p->m, region->ops[i]);
    for (uint32_t r = 0; is_alias(p, op) && r < op->n_results; r++)
      if (p->wanted[op->operands[r]] == JM_NONE && p->m->values[op->operands[r]].op != JM_NONE)
        p->wanted[op->operands[r]] = p->wanted[op->first_result + r];
    /* Lets an update's operand be computed in the slot of its result, if it has no other use. */
    for (uint32_t r = 0; updates_in_place(op) && r < op->n_results; r++)
      if (p->uses[op->operands[r]] == 1 && p->wanted[op->operands[r]] == JM_NONE &&
          p->m->values[op->operands[r]].op != JM_NONE)
        p->wanted[op->operands[r]] = p->wanted[op->first_result + r];
    if (op->code == JM_OP_dynamic_update_slice) update_note(p, region->ops[i]);
  }
  for (uint32_t i = 0; i < listed->n_steps; i++)
    JM_TRY(assign_fn_find(p, &listed->steps[i])(p, &listed->steps[i], index));
  return NULL;
}

/* -- the whole program */

static jm_error *assign_entry(planner *p) {
  const jm_region *entry = jm_module_region(p->m, p->m->entry);
  uint32_t *outputs = jm_arena_alloc(&p->scratch, entry->n_results, sizeof *outputs);
  p->donor_of = jm_arena_alloc(&p->scratch, entry->n_results, sizeof *p->donor_of);
  if (!outputs || !p->donor_of) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < entry->n_results; i++) {
    size_t bytes = jm_type_bytes(jm_module_typeof(p->m, entry->results[i]));
    JM_TRY(slot_add(p, (jm_slot){.kind = JM_SLOT_OUTPUT, .index = i, .bytes = bytes}, &outputs[i]));
    p->donor_of[i] = JM_NONE;
  }
  for (uint32_t i = 0; i < entry->n_args; i++) {
    size_t bytes = jm_type_bytes(jm_module_typeof(p->m, entry->first_arg + i));
    uint32_t *slot = &p->slot_of[entry->first_arg + i];
    JM_TRY(slot_add(p, (jm_slot){.kind = JM_SLOT_PARAMETER, .index = i, .bytes = bytes}, slot));
    int32_t alias = p->m->arguments[i].alias;
    if (alias >= 0 && (uint32_t)alias < entry->n_results) p->donor_of[alias] = *slot;
  }
  results_want(p, entry, outputs);
  JM_TRY(assign_block(p, 0));
  JM_TRY(results_move(p, entry, outputs, 0));
  p->plan->arena_bytes = p->offsets.end;
  return windows_finish(p->plan);
}

static jm_error *planner_run(planner *p) {
  jm_plan *plan = p->plan;
  uint32_t n = p->m->n_values;
  p->slot_of = jm_arena_alloc(&p->scratch, n, sizeof *p->slot_of);
  p->wanted = jm_arena_alloc(&p->scratch, n, sizeof *p->wanted);
  p->update_of = jm_arena_alloc(&p->scratch, n, sizeof *p->update_of);
  p->listed = jm_arena_copy(&p->scratch, plan->blocks, plan->n_blocks, sizeof *plan->blocks);
  if (!p->slot_of || !p->wanted || !p->update_of || !p->listed) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < n; i++) p->slot_of[i] = p->wanted[i] = p->update_of[i] = JM_NONE;
  for (uint32_t i = 0; i < plan->n_blocks; i++)
    plan->blocks[i] = (jm_block){.region = plan->blocks[i].region};
  plan->operands = NULL; /* the listed steps' were those of their ops */
  plan->n_operands = plan->operands_capacity = 0;
  return assign_entry(p);
}

jm_error *jm_plan_assign_memory(jm_plan *plan, const uint32_t *uses) {
  planner p = {.plan = plan, .m = plan->module, .temporary = JM_SLOT_ARENA, .uses = uses};
  jm_arena_init(&p.scratch);
  jm_offsets_init(&p.offsets);
  jm_error *error = planner_run(&p);
  jm_offsets_deinit(&p.offsets);
  jm_arena_deinit(&p.scratch);
  return error;
}
