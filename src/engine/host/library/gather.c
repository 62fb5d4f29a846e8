/* SPDX-License-Identifier: Apache-2.0
 * Gather of contiguous windows: rows, elements. Offsets are computed for many windows at once, then
 * moved; several threads take ranges of positions. */
#include <string.h>

#include "base/parallel.h"
#include "engine/host/library/functions.h"
#include "engine/host/library/places.h"

enum { GRAIN_BYTES = 1 << 18, LEAST_BYTES = 64 /* that a position is worth */ };

typedef struct gather {
  const jm_call *call;
  jm_places places;
  size_t bytes; /* of an element */
} gather;

bool jm_library_gather_windows_supports(const jm_module *module, const jm_op *op) {
  (void)module, (void)op;
  return true; /* other windows are handled by gather_strided.c */
}

#define DEFINE(bytes)                                                                       \
  static void move_##bytes(const jm_place_run *run, const char *from, char *to, size_t n) { \
    (void)n;                                                                                \
    for (int64_t i = 0; i < run->n; i++)                                                    \
      memcpy(to + (run->batched + i * run->batched_step) * (bytes),                         \
             from + run->operand[i] * (bytes), bytes);                                      \
  }
DEFINE(1)
DEFINE(2)
DEFINE(4)
DEFINE(8)
DEFINE(16)

static void move_rows(const jm_place_run *run, const char *from, char *to, size_t bytes,
                      size_t window) {
  int64_t element = (int64_t)bytes;
  for (int64_t i = 0; i < run->n; i++)
    memcpy(to + (run->batched + i * run->batched_step) * element, from + run->operand[i] * element,
           window);
}

static void run_positions(void *context, size_t begin, size_t end) {
  const gather *g = context;
  const char *from = g->call->in[0].data;
  char *to = g->call->out[0].data;
  size_t window = (size_t)g->places.window * g->bytes;
  jm_place_run run;
  if (jm_context_is_cancelled(g->call->context)) return;
  for (size_t at = begin; at < end; at += (size_t)run.n) {
    jm_places_read(&g->places, (int64_t)at, (int64_t)end, &run);
    if (g->places.window != 1)
      move_rows(&run, from, to, g->bytes, window);
    else if (g->bytes == 1)
      move_1(&run, from, to, 1);
    else if (g->bytes == 2)
      move_2(&run, from, to, 1);
    else if (g->bytes == 4)
      move_4(&run, from, to, 1);
    else if (g->bytes == 8)
      move_8(&run, from, to, 1);
    else
      move_16(&run, from, to, 1);
  }
}

static jm_error *run(gather *g, jm_arena *arena) {
  const jm_call *call = g->call;
  const jm_indexing_spec spec = jm_indexing_of_gather(call);
  JM_TRY(jm_places_init(&g->places, arena, &spec, call->in[1].data));
  if (!g->places.is_contiguous) return jm_library_gather(call);
  size_t window = (size_t)g->places.window * g->bytes;
  size_t grain = GRAIN_BYTES / (window < LEAST_BYTES ? LEAST_BYTES : window) + 1;
  jm_parallel_for((size_t)g->places.n, grain, run_positions, g);
  if (jm_context_is_cancelled(call->context))
    return jm_error_create(JM_CANCELLED, "the execution was cancelled");
  return NULL;
}

jm_error *jm_library_gather_windows(const jm_call *call) {
  if (!call->out[0].type->count || !call->in[0].type->count) return jm_library_gather(call);
  gather g = {.call = call, .bytes = jm_dtype_bytes(call->out[0].type->dtype)};
  jm_arena arena;
  jm_arena_init(&arena);
  jm_error *error = run(&g, &arena);
  jm_arena_deinit(&arena);
  return error;
}
