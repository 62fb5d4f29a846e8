/* SPDX-License-Identifier: Apache-2.0
 * threefry2x32: the block cipher that JAX's random numbers come from, ThreeFry 2x32 with 20 rounds
 * of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011). */
#include "base/loop.h"
#include "base/parallel.h"
#include "engine/host/library/functions.h"

enum { GRAIN = 1 << 14 };

typedef struct words {
  const uint32_t *data;
  size_t step; /* 0: a scalar, the same for all */
} words;

typedef struct task {
  words key[2], counter[2];
  uint32_t *out[2];
} task;

#define ROTATE(x, by) ((x) << (by) | (x) >> (32 - (by)))
#define ROUND(by) (x += y, y = ROTATE(y, by) ^ x)
#define GROUP(a, b, c, d, k, l, n) \
  (ROUND(a), ROUND(b), ROUND(c), ROUND(d), x += (k), y += (l) + (n))
/* Keys k0, k1; x and y are the counter, then the result. */
#define THREEFRY()                      \
  do {                                  \
    uint32_t k2 = k0 ^ k1 ^ 0x1bd11bda; \
    x += k0;                            \
    y += k1;                            \
    GROUP(13, 15, 26, 6, k1, k2, 1);    \
    GROUP(17, 29, 16, 24, k2, k0, 2);   \
    GROUP(13, 15, 26, 6, k0, k1, 3);    \
    GROUP(17, 29, 16, 24, k1, k2, 4);   \
    GROUP(13, 15, 26, 6, k2, k0, 5);    \
  } while (0)

/* One key, the usual case, so that the loop vectorises. */
JM_CLONES static void run_one_key(const task *t, size_t begin, size_t end) {
  const uint32_t *a = t->counter[0].data, *b = t->counter[1].data;
  const uint32_t k0 = *t->key[0].data, k1 = *t->key[1].data;
  uint32_t *to_a = t->out[0], *to_b = t->out[1];
  JM_LOOP for (size_t i = begin; i < end; i++) {
    uint32_t x = a[i], y = b[i];
    THREEFRY();
    to_a[i] = x;
    to_b[i] = y;
  }
}

static uint32_t read_word(words w, size_t i) { return w.data[i * w.step]; }

static void run_any(const task *t, size_t begin, size_t end) {
  for (size_t i = begin; i < end; i++) {
    const uint32_t k0 = read_word(t->key[0], i), k1 = read_word(t->key[1], i);
    uint32_t x = read_word(t->counter[0], i), y = read_word(t->counter[1], i);
    THREEFRY();
    t->out[0][i] = x;
    t->out[1][i] = y;
  }
}

static void run(void *context, size_t begin, size_t end) {
  const task *t = context;
  if (t->key[0].step || t->key[1].step || !t->counter[0].step || !t->counter[1].step)
    run_any(t, begin, end);
  else
    run_one_key(t, begin, end);
}

static words words_of(const jm_tensor *t, size_t n) {
  return (words){t->data, n > 1 && t->type->count == 1 ? 0 : 1};
}

jm_error *jm_library_threefry2x32(const jm_call *call) {
  size_t n = (size_t)call->out[0].type->count;
  task t = {.key = {words_of(&call->in[0], n), words_of(&call->in[1], n)},
            .counter = {words_of(&call->in[2], n), words_of(&call->in[3], n)},
            .out = {call->out[0].data, call->out[1].data}};
  if (n == 1)
    run_any(&t, 0, 1);
  else
    jm_parallel_for(n, GRAIN, run, &t);
  return NULL;
}
