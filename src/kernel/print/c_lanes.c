/* SPDX-License-Identifier: Apache-2.0
 * Loops that are run by lanes. Where one thread runs all lanes, a carry is an array with an element
 * per lane, and its halves are combined in loops. On a GPU every thread is a lane:
 *
 *   loop threads(256) lower, upper, %x { (%i, %c) ... yield %y } combine { (%a, %b) ... yield %z }
 * becomes
 *   float c = x;
 *   for (long i = lower + lane; i < upper; i += 256) { ...; c = y; }
 *   exchange[lane] = c;
 *   barrier;
 *   if (lane < 32) {
 *     for (int step = 128; step >= 32; step /= 2)
 *       for (int j = lane; j < step; j += 32)
 *         exchange[j] = combine(exchange[j], exchange[j + step]);
 *     c = exchange[lane];
 *     for (int step = 16; step > 0; step /= 2) c = combine(c, shuffle(c, step));
 *     if (lane == 0) result = c;
 *   }
 *   barrier;
 *   c = result;
 * which combines the same pairs as halving in all lanes would, with two barriers: of the memory,
 * each lane of the first SIMD group touches only the elements lane, lane + 32, lane + 64, ... */
#include <stdio.h>

#include "kernel/print/c_printer.h"

typedef jm_c_printer printer;

enum { SIMD = 32, RESULT_BYTES = 16 * 8 /* of all carries */ };

/* -- one thread for all lanes */

/* The expression for element `lane` of the array of carry i. */
static jm_c_name element(uint32_t array, uint32_t i, const char *lane) {
  jm_c_name name;
  snprintf(name.text, sizeof name.text, "lanes%u[%s]", (unsigned)(array + i), lane);
  return name;
}

static void declare_arrays(printer *p, const jm_kinst_fact *f, uint32_t array) {
  const jm_kval first = p->k->blocks[f->first_block].first_arg + 1;
  for (uint32_t i = 0; i < f->n_results; i++)
    jm_c_line(p, "%s lanes%u[%u];", jm_c_type(p, first + i), (unsigned)(array + i),
              (unsigned)f->width);
}

/* Gives arguments the variables whose values the arrays have. */
static void read_arrays(printer *p, jm_kval first, uint32_t n, uint32_t array, const char *lane) {
  for (uint32_t i = 0; i < n; i++)
    jm_c_line(p, "%s %s = %s;", jm_c_type(p, first + i), jm_c_define(p, first + i).text,
              element(array, i, lane).text);
}

static void write_arrays(printer *p, const jm_kval *values, uint32_t n, uint32_t array,
                         const char *lane) {
  for (uint32_t i = 0; i < n; i++)
    jm_c_line(p, "%s = %s;", element(array, i, lane).text, jm_c_value(p, values[i]).text);
}

/* `lane` takes in lane + step. */
static jm_error *combine_lanes(printer *p, const jm_kinst_fact *f, uint32_t array) {
  const jm_kblock_fact *combine = &p->k->blocks[f->first_block + 1];
  const uint32_t n = f->n_results;
  read_arrays(p, combine->first_arg, n, array, "lane");
  read_arrays(p, combine->first_arg + n, n, array, "lane + step");
  JM_TRY(jm_c_print_block(p, f->first_block + 1));
  write_arrays(p, combine->yields, n, array, "lane");
  return NULL;
}

/* Halves of the arrays are combined until one element is left. */
static jm_error *combine_arrays(printer *p, const jm_kinst_fact *f, uint32_t array) {
  jm_c_open(p, "for (int step = %u; step > 0; step /= 2)", (unsigned)(f->width / 2));
  jm_c_open(p, "for (int lane = 0; lane < step; lane++)");
  JM_TRY(combine_lanes(p, f, array));
  jm_c_close(p);
  jm_c_close(p);
  return NULL;
}

/* Blocks of w lanes, then the remainder, which starts from their combined carries. */
jm_error *jm_c_print_vector(printer *p, const jm_kinst_fact *f) {
  const jm_kblock_fact *body = &p->k->blocks[f->first_block];
  const uint32_t n = f->n_results, w = f->width, array = p->next;
  const char *number = p->d->signed_types[JM_KT_i64];
  const jm_c_name lower = jm_c_signed(p, f->operands[0]), upper = jm_c_signed(p, f->operands[1]);
  const jm_kval index = body->first_arg, carries = body->first_arg + 1;
  if (!n) { /* iterations are independent */
    jm_c_open_loop(p, f, "", 1);
    JM_TRY(jm_c_print_block(p, f->first_block));
    jm_c_close(p);
    return NULL;
  }
  p->next += n;
  jm_c_declare(p, f->first_result, f->operands + 2, n);
  const uint32_t next = p->next++;
  jm_c_line(p, "%s i%u = %s;", number, (unsigned)next, lower.text);
  jm_c_open(p, "if (%s - i%u >= %u)", upper.text, (unsigned)next, (unsigned)w);
  declare_arrays(p, f, array);
  jm_c_open(p, "for (int lane = 0; lane < %u; lane++)", (unsigned)w);
  write_arrays(p, f->operands + 2, n, array, "lane");
  jm_c_close(p);
  jm_c_open(p, "for (; %s - i%u >= %u; i%u += %u)", upper.text, (unsigned)next, (unsigned)w,
            (unsigned)next, (unsigned)w);
  jm_c_open(p, "for (int lane = 0; lane < %u; lane++)", (unsigned)w);
  jm_c_line(p, "%s %s = (%s)(i%u + lane);", jm_c_type(p, index), jm_c_define(p, index).text,
            jm_c_type(p, index), (unsigned)next);
  read_arrays(p, carries, n, array, "lane");
  JM_TRY(jm_c_print_block(p, f->first_block));
  write_arrays(p, body->yields, n, array, "lane");
  jm_c_close(p);
  jm_c_close(p);
  JM_TRY(combine_arrays(p, f, array));
  for (uint32_t i = 0; i < n; i++)
    jm_c_line(p, "%s = %s;", jm_c_value(p, f->first_result + i).text, element(array, i, "0").text);
  jm_c_close(p);
  jm_c_open(p, "for (; i%u < %s; i%u++)", (unsigned)next, upper.text, (unsigned)next);
  jm_c_line(p, "%s %s = (%s)i%u;", jm_c_type(p, index), jm_c_define(p, index).text,
            jm_c_type(p, index), (unsigned)next);
  jm_c_alias(p, carries, f->first_result, n);
  JM_TRY(jm_c_print_block(p, f->first_block));
  jm_c_assign(p, carries, body->yields, n);
  jm_c_close(p);
  return NULL;
}

static jm_error *print_lane_by_lane(printer *p, const jm_kinst_fact *f) {
  const jm_kblock_fact *body = &p->k->blocks[f->first_block];
  const uint32_t n = f->n_results, array = p->next;
  p->next += n;
  declare_arrays(p, f, array);
  jm_c_open(p, "for (int lane = 0; lane < %u; lane++)", (unsigned)f->width);
  jm_c_declare(p, body->first_arg + 1, f->operands + 2, n);
  jm_c_open_loop(p, f, "lane", f->width);
  JM_TRY(jm_c_print_block(p, f->first_block));
  jm_c_assign(p, body->first_arg + 1, body->yields, n);
  jm_c_close(p);
  for (uint32_t i = 0; i < n; i++)
    jm_c_line(p, "%s = %s;", element(array, i, "lane").text,
              jm_c_value(p, body->first_arg + 1 + i).text);
  jm_c_close(p);
  if (!n) return NULL;
  JM_TRY(combine_arrays(p, f, array));
  read_arrays(p, f->first_result, n, array, "0");
  return NULL;
}

/* -- a thread for each lane */

/* A carry in memory takes the bytes of its type. */
static uint32_t carry_bytes(const jm_kernel *k, jm_kval v) {
  return jm_ktype_bytes[k->values[v].type];
}

static size_t align(size_t bytes) { return (bytes + 7) / 8 * 8; }

/* Where the elements of carry i begin in the exchange memory, behind the results. */
static size_t carry_offset(const jm_kernel *k, const jm_kinst_fact *f, uint32_t i) {
  size_t offset = RESULT_BYTES;
  for (uint32_t j = 0; j < i; j++)
    offset += align((size_t)f->width * carry_bytes(k, f->first_result + j));
  return offset;
}

size_t jm_c_exchange_bytes(const jm_kernel *k) {
  size_t most = 0;
  for (uint32_t i = 0; i < k->n_insts; i++) {
    const jm_kinst_fact *f = &k->insts[i];
    if (f->code != JM_K_loop || f->binding != JM_BIND_THREADS || !f->n_results) continue;
    const size_t bytes = f->width > SIMD ? carry_offset(k, f, f->n_results) : 0;
    if (bytes > most) most = bytes;
  }
  return most;
}

void jm_c_print_exchange(printer *p) {
  const size_t bytes = jm_c_exchange_bytes(p->k);
  if (bytes)
    jm_c_line(p, "%s %s jm_exchange[%zu];", p->d->shared, p->d->types[JM_KT_i64], bytes / 8);
}

static const char *memory_type(const printer *p, jm_kval v) {
  const jm_ktype type = p->k->values[v].type;
  return p->d->types[type == JM_KT_i1 ? JM_KT_i8 : type];
}

/* Pointers to the elements of each carry, and to its result. */
static void declare_exchange(printer *p, const jm_kinst_fact *f, uint32_t array) {
  for (uint32_t i = 0; i < f->n_results; i++) {
    const char *type = memory_type(p, f->first_result + i), *space = p->d->shared_pointer;
    jm_c_line(p, "%s%s *lanes%u = (%s%s *)(jm_exchange + %zu);", space, type, (unsigned)(array + i),
              space, type, carry_offset(p->k, f, i) / 8);
    jm_c_line(p, "%s%s *result%u = (%s%s *)(jm_exchange + %u);", space, type, (unsigned)(array + i),
              space, type, (unsigned)i);
  }
}

/* Variables become combine(variable, shuffled variable). */
static jm_error *combine_in_registers(printer *p, const jm_kinst_fact *f, uint32_t most) {
  const jm_kblock_fact *combine = &p->k->blocks[f->first_block + 1];
  const uint32_t n = f->n_results;
  jm_c_open(p, "for (int step = %u; step > 0; step /= 2)", (unsigned)most);
  for (uint32_t i = 0; i < n; i++) {
    const jm_kval upper = combine->first_arg + n + i;
    jm_c_line(p, "%s %s = jm_shuffle_down(%s, step, %uu);", jm_c_type(p, upper),
              jm_c_define(p, upper).text, jm_c_value(p, f->first_result + i).text,
              f->width >= SIMD ? UINT32_MAX : (1u << f->width) - 1);
  }
  jm_c_alias(p, combine->first_arg, f->first_result, n);
  JM_TRY(jm_c_print_block(p, f->first_block + 1));
  jm_c_assign(p, f->first_result, combine->yields, n);
  jm_c_close(p);
  return NULL;
}

static jm_error *combine_in_memory(printer *p, const jm_kinst_fact *f) {
  const uint32_t n = f->n_results, array = p->next;
  const char *barrier = p->d->barriers[JM_SCOPE_SCRATCH];
  p->next += n;
  jm_c_open(p, "%s", "");
  declare_exchange(p, f, array);
  for (uint32_t i = 0; i < n; i++)
    jm_c_line(p, "lanes%u[jm_lane] = %s;", (unsigned)(array + i),
              jm_c_value(p, f->first_result + i).text);
  jm_c_line(p, "%s", barrier);
  jm_c_open(p, "if (jm_lane < %d)", SIMD);
  if (f->width / 2 >= SIMD) {
    jm_c_open(p, "for (int step = %u; step >= %d; step /= 2)", (unsigned)(f->width / 2), SIMD);
    jm_c_open(p, "for (int lane = jm_lane; lane < step; lane += %d)", SIMD);
    JM_TRY(combine_lanes(p, f, array));
    jm_c_close(p);
    jm_c_close(p);
  }
  for (uint32_t i = 0; i < n; i++)
    jm_c_line(p, "%s = lanes%u[jm_lane];", jm_c_value(p, f->first_result + i).text,
              (unsigned)(array + i));
  JM_TRY(combine_in_registers(p, f, SIMD / 2));
  jm_c_open(p, "if (jm_lane == 0)");
  for (uint32_t i = 0; i < n; i++)
    jm_c_line(p, "*result%u = %s;", (unsigned)(array + i), jm_c_value(p, f->first_result + i).text);
  jm_c_close(p);
  jm_c_close(p);
  jm_c_line(p, "%s", barrier);
  for (uint32_t i = 0; i < n; i++)
    jm_c_line(p, "%s = *result%u;", jm_c_value(p, f->first_result + i).text, (unsigned)(array + i));
  jm_c_close(p);
  return NULL;
}

jm_error *jm_c_print_threads(printer *p, const jm_kinst_fact *f) {
  const jm_kblock_fact *body = &p->k->blocks[f->first_block];
  const uint32_t n = f->n_results;
  const bool one_by_one = !p->d->lane && n && f->width > 1;
  if (one_by_one) return print_lane_by_lane(p, f);
  const bool is_lane = p->d->lane && f->width > 1;
  jm_c_declare(p, body->first_arg + 1, f->operands + 2, n);
  jm_c_open_loop(p, f, is_lane ? "jm_lane" : "", is_lane ? f->width : 1);
  p->in_threads = true;
  JM_TRY(jm_c_print_block(p, f->first_block));
  p->in_threads = false;
  jm_c_assign(p, body->first_arg + 1, body->yields, n);
  jm_c_close(p);
  if (!n) return NULL;
  jm_c_alias(p, f->first_result, body->first_arg + 1, n);
  if (!is_lane) return NULL;
  if (f->width > SIMD) return combine_in_memory(p, f);
  JM_TRY(combine_in_registers(p, f, f->width / 2));
  for (uint32_t i = 0; i < n; i++)
    jm_c_line(p, "%s = jm_first_lane(%s, %uu);", jm_c_value(p, f->first_result + i).text,
              jm_c_value(p, f->first_result + i).text,
              f->width >= SIMD ? UINT32_MAX : (1u << f->width) - 1);
  return NULL;
}
