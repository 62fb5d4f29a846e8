/* SPDX-License-Identifier: Apache-2.0
 * The state of an element: its last store, and up to two lanes that loaded it in the barrier
 * interval of the last load. Two are enough: a store by any lane differs from one of them if any
 * other lane loaded. Of chunk iterations the last one that stored and the first one that loaded
 * are kept, since they run in order. */
#include "kernel/ir/races.h"

#include <inttypes.h>

typedef struct element {
  int64_t store_chunk, load_chunk; /* + 2; 0: none yet */
  uint32_t store_interval, load_interval;
  uint16_t store_lane, load_lanes[2]; /* equal: one lane */
} element;

typedef struct tracked {
  element *elements;
  size_t n;
  uint32_t bytes; /* of one, the smallest of the parameters in this memory */
} tracked;

struct jm_races {
  const jm_kernel *kernel;
  tracked **params; /* per parameter; NULL: nothing stores there */
  int64_t chunk;
  uint32_t intervals[2]; /* of SCRATCH, of GLOBAL: barriers passed, + 1 */
  uint32_t threads;
  jm_arena arena;
};

static size_t bytes_of(const jm_kparam *param) {
  return (size_t)param->elements * jm_ktype_bytes[param->element];
}

/* The memory of a parameter, which an earlier one may have at the same address. */
static jm_error *track(jm_races *r, uint8_t *const *memory, uint32_t param) {
  const jm_kernel *k = r->kernel;
  tracked t = {.bytes = 8};
  size_t bytes = 0;
  bool written = false;
  for (uint32_t i = 0; i < k->n_params; i++) {
    if (memory[i] != memory[param]) continue;
    if (i < param) {
      r->params[param] = r->params[i];
      return NULL;
    }
    written = written || k->params[i].written;
    if (bytes_of(&k->params[i]) > bytes) bytes = bytes_of(&k->params[i]);
    if (jm_ktype_bytes[k->params[i].element] < t.bytes)
      t.bytes = jm_ktype_bytes[k->params[i].element];
  }
  if (!written) return NULL;
  t.n = bytes / t.bytes;
  t.elements = jm_arena_alloc(&r->arena, t.n, sizeof *t.elements);
  r->params[param] = jm_arena_copy(&r->arena, &t, 1, sizeof t);
  return t.elements && r->params[param] ? NULL : jm_error_out_of_memory();
}

jm_error *jm_races_create(const jm_kernel *kernel, uint8_t *const *memory, jm_races **out) {
  jm_races *r = jm_alloc(1, sizeof *r);
  if (!r) return jm_error_out_of_memory();
  r->kernel = kernel;
  r->intervals[0] = r->intervals[1] = 1;
  r->chunk = JM_CHUNK_ALL;
  r->threads = jm_kernel_threads(kernel);
  jm_arena_init(&r->arena);
  r->params = jm_arena_alloc(&r->arena, kernel->n_params, sizeof *r->params);
  jm_error *error = r->params ? NULL : jm_error_out_of_memory();
  for (uint32_t i = 0; i < kernel->n_params && !error; i++) error = track(r, memory, i);
  if (error) {
    jm_races_destroy(r);
    return error;
  }
  *out = r;
  return NULL;
}

void jm_races_destroy(jm_races *races) {
  if (!races) return;
  jm_arena_deinit(&races->arena);
  jm_free(races);
}

void jm_races_set_chunk(jm_races *races, int64_t chunk) {
  races->chunk = races->kernel->chunks > 1 ? chunk : JM_CHUNK_ALL;
}

void jm_races_pass_barrier(jm_races *races, uint64_t scopes) {
  if (scopes & JM_SCOPE_SCRATCH) races->intervals[0]++;
  if (scopes & JM_SCOPE_GLOBAL) races->intervals[1]++;
}

static jm_error *race_of_lanes(const jm_races *r, const jm_kinst_fact *inst, int64_t index,
                               uint32_t lane, const char *did, uint32_t other) {
  return jm_error_internal("kernel %s: a race on parameter %" PRIu64 " at %" PRId64
                           ": lane %u %s what lane %u %s, and no barrier is between them",
                           r->kernel->name, inst->imm, index, lane,
                           inst->code == JM_K_store ? "stores" : "loads", other, did);
}

static jm_error *race_of_chunks(const jm_races *r, const jm_kinst_fact *inst, int64_t index,
                                const char *did, int64_t other) {
  return jm_error_internal("kernel %s: a race on parameter %" PRIu64 " at %" PRId64
                           ": chunk %" PRId64 " %s what chunk %" PRId64
                           " %s (-1: all of them), which nothing synchronizes",
                           r->kernel->name, inst->imm, index, r->chunk,
                           inst->code == JM_K_store ? "stores" : "loads", other - 2, did);
}

static jm_error *check_chunks(const jm_races *r, element *e, const jm_kinst_fact *inst,
                              int64_t index) {
  const int64_t now = r->chunk + 2;
  if (e->store_chunk && e->store_chunk != now)
    return race_of_chunks(r, inst, index, "stored", e->store_chunk);
  if (inst->code == JM_K_store) {
    if (e->load_chunk && e->load_chunk != now)
      return race_of_chunks(r, inst, index, "loaded", e->load_chunk);
    e->store_chunk = now;
  } else if (!e->load_chunk) {
    e->load_chunk = now;
  }
  return NULL;
}

static jm_error *record_store(const jm_races *r, element *e, uint32_t interval,
                              const jm_kinst_fact *inst, int64_t index, uint32_t lane) {
  if (e->store_interval == interval && e->store_lane != lane)
    return race_of_lanes(r, inst, index, lane, "stored", e->store_lane);
  for (uint32_t i = 0; i < 2 && e->load_interval == interval; i++)
    if (e->load_lanes[i] != lane)
      return race_of_lanes(r, inst, index, lane, "loaded", e->load_lanes[i]);
  e->store_interval = interval;
  e->store_lane = (uint16_t)lane;
  return NULL;
}

static jm_error *record_load(const jm_races *r, element *e, uint32_t interval,
                             const jm_kinst_fact *inst, int64_t index, uint32_t lane) {
  if (e->store_interval == interval && e->store_lane != lane)
    return race_of_lanes(r, inst, index, lane, "stored", e->store_lane);
  if (e->load_interval != interval) {
    e->load_interval = interval;
    e->load_lanes[0] = e->load_lanes[1] = (uint16_t)lane;
  } else if (e->load_lanes[0] == e->load_lanes[1]) {
    e->load_lanes[1] = (uint16_t)lane;
  }
  return NULL;
}

jm_error *jm_races_record(jm_races *races, const jm_kinst_fact *inst, int64_t index,
                          uint32_t lane) {
  const tracked *t = races->params[inst->imm];
  if (!t) return NULL;
  const jm_kparam *param = &races->kernel->params[inst->imm];
  const bool scratch = param->space == JM_SPACE_SCRATCH;
  const uint32_t interval = races->intervals[scratch ? 0 : 1];
  const uint32_t parts = jm_ktype_bytes[param->element] / t->bytes;
  for (uint32_t i = 0; i < parts; i++) {
    element *e = &t->elements[(size_t)index * parts + i];
    if (!scratch) JM_TRY(check_chunks(races, e, inst, index));
    if (inst->code == JM_K_store) {
      JM_TRY(record_store(races, e, interval, inst, index, lane == JM_LANE_ALL ? 0 : lane));
    } else if (lane != JM_LANE_ALL) {
      JM_TRY(record_load(races, e, interval, inst, index, lane));
    } else { /* loaded by all lanes: two of them suffice */
      JM_TRY(record_load(races, e, interval, inst, index, 0));
      if (races->threads > 1) JM_TRY(record_load(races, e, interval, inst, index, 1));
    }
  }
  return NULL;
}
