/* SPDX-License-Identifier: Apache-2.0
 * Threads loops as LLVM IR for one thread, which runs the lanes of a group itself, so that kernels
 * scheduled for a GPU run on the CPU, too. Iterations run in order, as many at a time as a vector
 * has lanes if the body allows vectors, the remainder one by one: the iterations of one lane stay
 * in order, and those of different lanes are independent. The carries of all lanes are an array per
 * carry in the function's frame (%lanes), initialized before the loop and combined by halves after
 * it, exactly as in the interpreter. Barriers are no-ops here (llvm_inst.c). */
#include <inttypes.h>
#include <stdio.h>

#include "kernel/print/llvm.h"

typedef jm_llvm_name name;
typedef jm_llvm_printer printer;

/* -- the memory of the lanes' carries */

static jm_ktype carry_type(const printer *p, const jm_kinst_fact *f, uint32_t carry) {
  return p->k->values[f->first_result + carry].type;
}

static size_t carry_bytes(const jm_kernel *k, const jm_kinst_fact *f, uint32_t carry) {
  return jm_alloc_lines((size_t)f->width * jm_ktype_bytes[k->values[f->first_result + carry].type]);
}

size_t jm_llvm_lane_bytes(const jm_kernel *k, jm_kblock block) {
  const jm_kblock_fact *b = &k->blocks[block];
  size_t most = 0;
  for (uint32_t i = 0; i < b->n_insts; i++) {
    const jm_kinst_fact *f = &k->insts[b->insts[i]];
    size_t bytes = 0;
    const bool threads = f->code == JM_K_loop && f->binding == JM_BIND_THREADS;
    for (uint32_t j = 0; threads && j < f->n_results; j++) bytes += carry_bytes(k, f, j);
    if (bytes > most) most = bytes;
    for (uint32_t j = 0; j < f->n_blocks && !threads; j++) {
      bytes = jm_llvm_lane_bytes(k, f->first_block + j);
      if (bytes > most) most = bytes;
    }
  }
  return most;
}

/* The address of a lane in the array of a carry; a pred takes a byte. */
static uint32_t lane_address(printer *p, const jm_kinst_fact *f, uint32_t carry, name lane) {
  size_t offset = 0;
  for (uint32_t i = 0; i < carry; i++) offset += carry_bytes(p->k, f, i);
  uint32_t array = p->next++, at = p->next++;
  jm_ktype type = carry_type(p, f, carry);
  jm_text_printf(p->out,
                 "  %%v%u = getelementptr inbounds i8, ptr %%lanes, i64 %zu\n"
                 "  %%v%u = getelementptr inbounds %s, ptr %%v%u, i64 %s\n",
                 (unsigned)array, offset, (unsigned)at,
                 jm_llvm_type(type == JM_KT_i1 ? JM_KT_i8 : type, 1).text, (unsigned)array,
                 lane.text);
  return at;
}

/* As many lanes as are printed now, from this one on, become the value v. */
static void load_lanes(printer *p, const jm_kinst_fact *f, uint32_t carry, name lane, jm_kval v) {
  const jm_ktype type = carry_type(p, f, carry), stored = type == JM_KT_i1 ? JM_KT_i8 : type;
  uint32_t at = lane_address(p, f, carry, lane), id = jm_llvm_define(p, v, p->width > 1);
  uint32_t loaded = type == stored ? id : p->next++;
  jm_text_printf(p->out, "  %%v%u = load %s, ptr %%v%u, align %u\n", (unsigned)loaded,
                 jm_llvm_type(stored, p->width).text, (unsigned)at,
                 (unsigned)jm_ktype_bytes[stored]);
  if (type != stored)
    jm_text_printf(p->out, "  %%v%u = trunc %s %%v%u to %s\n", (unsigned)id,
                   jm_llvm_type(stored, p->width).text, (unsigned)loaded,
                   jm_llvm_type(type, p->width).text);
}

static void store_lanes(printer *p, const jm_kinst_fact *f, uint32_t carry, name lane, jm_kval v) {
  const jm_ktype type = carry_type(p, f, carry), stored = type == JM_KT_i1 ? JM_KT_i8 : type;
  name value = p->width > 1 ? jm_llvm_vector(p, v) : jm_llvm_scalar(p, v);
  if (type != stored) {
    uint32_t id = p->next++;
    jm_text_printf(p->out, "  %%v%u = zext %s %s to %s\n", (unsigned)id,
                   jm_llvm_type(type, p->width).text, value.text,
                   jm_llvm_type(stored, p->width).text);
    value = jm_llvm_number(id);
  }
  uint32_t at = lane_address(p, f, carry, lane);
  jm_text_printf(p->out, "  store %s %s, ptr %%v%u, align %u\n",
                 jm_llvm_type(stored, p->width).text, value.text, (unsigned)at,
                 (unsigned)jm_ktype_bytes[stored]);
}

void jm_llvm_load_lanes(printer *p, const jm_llvm_loop *r, name index) {
  const jm_kblock_fact *body = &p->k->blocks[r->loop->first_block];
  uint32_t distance = p->next++, lane = p->next++;
  jm_text_printf(p->out, "  %%v%u = sub i64 %s, %s\n  %%v%u = and i64 %%v%u, %u\n",
                 (unsigned)distance, index.text, p->lower.text, (unsigned)lane, (unsigned)distance,
                 (unsigned)r->loop->width - 1);
  p->lane = jm_llvm_number(lane);
  for (uint32_t i = 0; i < r->loop->n_results; i++)
    load_lanes(p, r->loop, i, p->lane, body->first_arg + 1 + i);
}

void jm_llvm_store_lanes(printer *p, const jm_llvm_loop *r) {
  const jm_kblock_fact *body = &p->k->blocks[r->loop->first_block];
  for (uint32_t i = 0; i < r->loop->n_results; i++)
    store_lanes(p, r->loop, i, p->lane, body->yields[i]);
}

/* -- loops over lanes, without control inside */

typedef struct over_lanes {
  uint32_t head, next;
  name lane;
} over_lanes;

/* For lane = 0, width, 2 width, ... */
static over_lanes begin_lanes(printer *p) {
  over_lanes l = {.head = p->next, .next = p->next + 2, .lane = jm_llvm_number(p->next + 1)};
  jm_text_printf(p->out, "  br label %%b%u\nb%u:\n  %s = phi i64 [ 0, %%b%u ], [ %%v%u, %%b%u ]\n",
                 (unsigned)l.head, (unsigned)l.head, l.lane.text, (unsigned)p->label,
                 (unsigned)l.next, (unsigned)l.head);
  p->next += 3;
  p->label = l.head;
  return l;
}

static void end_lanes(printer *p, const over_lanes *l, uint32_t count) {
  uint32_t again = p->next++, exit = p->next++;
  jm_text_printf(p->out,
                 "  %%v%u = add nsw i64 %s, %u\n  %%v%u = icmp slt i64 %%v%u, %u\n"
                 "  br i1 %%v%u, label %%b%u, label %%b%u\nb%u:\n",
                 (unsigned)l->next, l->lane.text, (unsigned)p->width, (unsigned)again,
                 (unsigned)l->next, (unsigned)count, (unsigned)again, (unsigned)l->head,
                 (unsigned)exit, (unsigned)exit);
  p->label = exit;
}

static void initialize(printer *p, const jm_kinst_fact *f, uint32_t vector) {
  uint32_t made = p->n_made;
  p->width = vector;
  over_lanes l = begin_lanes(p);
  for (uint32_t i = 0; i < f->n_results; i++) store_lanes(p, f, i, l.lane, f->operands[2 + i]);
  end_lanes(p, &l, f->width);
  jm_llvm_forget(p, made);
  p->width = 1;
}

/* Lane i takes in lane i + half, for as many lanes at a time as a vector has. */
static jm_error *combine_half(printer *p, const jm_kinst_fact *f, uint32_t half) {
  const jm_kblock_fact *b = &p->k->blocks[f->first_block + 1];
  const uint32_t n = f->n_results;
  uint32_t made = p->n_made;
  over_lanes l = begin_lanes(p);
  uint32_t upper = p->next++;
  jm_text_printf(p->out, "  %%v%u = add nsw i64 %s, %u\n", (unsigned)upper, l.lane.text,
                 (unsigned)half);
  for (uint32_t i = 0; i < n; i++) {
    load_lanes(p, f, i, l.lane, b->first_arg + i);
    load_lanes(p, f, i, jm_llvm_number(upper), b->first_arg + n + i);
  }
  JM_TRY(jm_llvm_print_block(p, f->first_block + 1));
  for (uint32_t i = 0; i < n; i++) store_lanes(p, f, i, l.lane, b->yields[i]);
  end_lanes(p, &l, half);
  jm_llvm_forget(p, made);
  return NULL;
}

/* By halves in memory while those are whole vectors, then inside of one. */
static jm_error *combine(printer *p, const jm_kinst_fact *f, uint32_t vector) {
  const jm_kblock_fact *b = &p->k->blocks[f->first_block + 1];
  const uint32_t n = f->n_results;
  name *values = jm_arena_alloc(&p->arena, n, sizeof *values);
  if (!values) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < 2 * n; i++) p->lanes[b->first_arg + i] = (jm_lane){JM_LANE_VARYING, 0};
  if (!jm_lane_find(p->k, f->first_block + 1, p->lanes))
    return jm_error_internal("kernel %s: a combination that no vector has", p->k->name);
  p->width = vector;
  for (uint32_t half = f->width / 2; half >= vector && half; half /= 2)
    JM_TRY(combine_half(p, f, half));
  for (uint32_t i = 0; i < n; i++) {
    load_lanes(p, f, i, (name){"0"}, b->first_arg + i);
    values[i] = jm_llvm_number((vector > 1 ? p->vectors : p->scalars)[b->first_arg + i]);
  }
  JM_TRY(jm_llvm_print_combination(p, f, vector, values));
  p->width = 1;
  jm_llvm_name_results(p, f, values);
  return NULL;
}

/* -- the loop */

/* The end of the whole vectors: start + max(stop - start, 0) rounded down. */
static name find_vector_end(printer *p, name start, name stop, uint32_t vector) {
  uint32_t count = p->next, some = p->next + 1, whole = p->next + 2, end = p->next + 3;
  p->next += 4;
  jm_text_printf(p->out,
                 "  %%v%u = sub i64 %s, %s\n"
                 "  %%v%u = call i64 @llvm.smax.i64(i64 %%v%u, i64 0)\n"
                 "  %%v%u = and i64 %%v%u, -%u\n"
                 "  %%v%u = add i64 %s, %%v%u\n",
                 (unsigned)count, stop.text, start.text, (unsigned)some, (unsigned)count,
                 (unsigned)whole, (unsigned)some, (unsigned)vector, (unsigned)end, start.text,
                 (unsigned)whole);
  jm_llvm_declare(p, "declare i64 @llvm.smax.i64(i64, i64)\n");
  return jm_llvm_number(end);
}

/* Does the body allow vectors? Then how values differ from lane to lane is known. */
static bool find_vectors(printer *p, const jm_kinst_fact *f) {
  const jm_kblock_fact *body = &p->k->blocks[f->first_block];
  p->lanes[body->first_arg] = (jm_lane){JM_LANE_AFFINE, 1};
  for (uint32_t i = 0; i < f->n_results; i++)
    p->lanes[body->first_arg + 1 + i] = (jm_lane){JM_LANE_VARYING, 0};
  return jm_lane_find(p->k, f->first_block, p->lanes);
}

static jm_error *print_vectors(printer *p, const jm_llvm_loop *r) {
  uint32_t made = p->n_made;
  p->width = r->step;
  jm_llvm_pair_stores(p, r->loop->first_block);
  jm_error *error = jm_llvm_print_loop(p, r);
  jm_llvm_forget(p, made);
  p->width = 1;
  return error;
}

static jm_error *print_iterations(printer *p, const jm_kinst_fact *f, uint32_t vector) {
  jm_llvm_loop r = {.loop = f,
                    .start = jm_llvm_scalar(p, f->operands[0]),
                    .stop = jm_llvm_scalar(p, f->operands[1]),
                    .step = 1,
                    .in_memory = true};
  if (vector > 1 && find_vectors(p, f)) {
    jm_llvm_loop wide = r;
    wide.step = vector;
    wide.stop = r.start = find_vector_end(p, r.start, r.stop, vector);
    p->in_vector = true;
    jm_error *error = print_vectors(p, &wide);
    if (!error) error = jm_llvm_print_loop(p, &r);
    p->in_vector = false;
    return error;
  }
  r.polling = jm_llvm_find_polling(p->k, f);
  return jm_llvm_print_loop(p, &r);
}

jm_error *jm_llvm_print_threads(printer *p, const jm_kinst_fact *f) {
  uint32_t vector = p->module->target.vector_bytes / 4; /* lanes of 4 bytes */
  if (vector > f->width) vector = f->width;
  if (f->n_results) initialize(p, f, vector);
  p->lower = jm_llvm_scalar(p, f->operands[0]);
  JM_TRY(print_iterations(p, f, vector));
  return f->n_results ? combine(p, f, vector) : NULL;
}
