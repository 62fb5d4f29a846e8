/* SPDX-License-Identifier: Apache-2.0
 * Runs a Metal kernel that clang compiled for the CPU (metal.py) over a grid: the threads of one
 * group are fibres that take turns at barriers, groups run one after the other. It fails where a
 * GPU would give anything: a barrier that some threads do not come to, more memory of a group than
 * there is, a write behind a group's array. A group's memory starts as poison, and threads run in
 * ascending or descending order, so that a missing barrier shows as different results. Subnormal
 * numbers can be made to count as zero, as they do on a GPU.
 * C functions that the stub of Metal's library (include/metal_stub) calls are here, too. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

enum {
  MOST_THREADS = 1024,
  SIMD = 32,
  STACK = 64 << 10,
  GROUP_MEMORY = 32 << 10,
  MOST_ARRAYS = 64,
  GUARD = 64, /* bytes behind each array of a group */
  POISON = 0xA5,
  WIDEST = 64, /* bytes that lanes exchange */
};

/* What a thread is told, in this order; metal.py has the same list. */
enum {
  THREAD_POSITION_IN_GRID = 0,
  THREAD_POSITION_IN_THREADGROUP = 3,
  THREADGROUP_POSITION_IN_GRID = 6,
  THREADS_PER_THREADGROUP = 9,
  THREADS_PER_GRID = 12,
  THREADGROUPS_PER_GRID = 15,
  THREAD_INDEX_IN_THREADGROUP = 18,
  THREAD_INDEX_IN_SIMDGROUP,
  SIMDGROUP_INDEX_IN_THREADGROUP,
  SIMDGROUPS_PER_THREADGROUP,
  THREADS_PER_SIMDGROUP,
  N_IDS
};

typedef void kernel_entry(void *const *buffers, const uint32_t *ids);
typedef enum waiting { RUNNABLE, AT_GROUP, AT_SIMDGROUP, ENDED } waiting;

typedef struct fibre {
  ucontext_t context;
  waiting waiting;
  uint32_t ids[N_IDS];
} fibre;

typedef struct group_array {
  uint32_t id;
  size_t bytes, offset;
} group_array;

static struct {
  kernel_entry *entry;
  void *const *buffers;
  ucontext_t scheduler;
  fibre *fibres;
  uint8_t *stacks;
  uint32_t n, now; /* threads of the group, the one that runs */
  uint8_t memory[GROUP_MEMORY + MOST_ARRAYS * (GUARD + 64)] __attribute__((aligned(64)));
  group_array arrays[MOST_ARRAYS];
  uint32_t n_arrays;
  size_t used, reserved; /* bytes that the kernel has, and with guards */
  uint8_t exchanged[MOST_THREADS][WIDEST];
  char *message;
  size_t message_size;
  int flush;
  int failed;
} run;

static void fail(const char *what, uint64_t number) {
  if (run.failed) return;
  run.failed = 1;
  snprintf(run.message, run.message_size, "%s (%llu)", what, (unsigned long long)number);
}

/* ---- what kernels call */

static void yield_as(waiting why) {
  fibre *f = &run.fibres[run.now];
  f->waiting = why;
  swapcontext(&f->context, &run.scheduler);
}

void metal_stub_barrier(int simdgroup) { yield_as(simdgroup ? AT_SIMDGROUP : AT_GROUP); }

/* Each lane of a simdgroup leaves a value and takes all of them; gives a bit per lane that there
 * is. Of 0 bytes: gives the lane's own number. */
uint32_t metal_stub_exchange(const void *mine, void *all, uint32_t bytes) {
  const uint32_t first = run.now / SIMD * SIMD, lane = run.now % SIMD;
  if (!bytes) return lane;
  if (bytes > WIDEST) fail("an exchange of too many bytes", bytes);
  if (bytes > WIDEST) return 0;
  memcpy(run.exchanged[run.now], mine, bytes);
  yield_as(AT_SIMDGROUP);
  uint32_t lanes = 0;
  for (uint32_t i = 0; i < SIMD && first + i < run.n; i++) {
    if (run.fibres[first + i].waiting == ENDED) continue;
    lanes |= UINT32_C(1) << i;
    memcpy((uint8_t *)all + (size_t)i * bytes, run.exchanged[first + i], bytes);
  }
  yield_as(AT_SIMDGROUP);
  return lanes;
}

/* The array of a group that a declaration stands for, the same for all its threads. */
void *metal_stub_memory(uint32_t id, uint64_t bytes) {
  for (uint32_t i = 0; i < run.n_arrays; i++)
    if (run.arrays[i].id == id) return run.memory + run.arrays[i].offset;
  if (bytes > GROUP_MEMORY - run.used || run.n_arrays == MOST_ARRAYS) {
    fail("more memory of a group than 32 KiB", run.used + bytes);
    return run.memory;
  }
  run.arrays[run.n_arrays++] = (group_array){id, (size_t)bytes, run.reserved};
  void *at = run.memory + run.reserved;
  run.used += (size_t)bytes;
  run.reserved += ((size_t)bytes + GUARD + 63) / 64 * 64;
  return at;
}

float metal_stub_frexp(float x, int *exponent) { return frexpf(x, exponent); }

/* ---- the scheduler */

/* A fibre has its own mode of arithmetic. */
static void flush_subnormals(void) {
#if defined __x86_64__
  __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#elif defined __aarch64__
  uint64_t mode;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  __asm__ volatile("msr fpcr, %0" : : "r"(mode | 1 << 24));
#else
  fail("no way to flush subnormal numbers", 0);
#endif
}

static void run_fibre(void) {
  fibre *f = &run.fibres[run.now];
  if (run.flush) flush_subnormals();
  run.entry(run.buffers, f->ids);
  f->waiting = ENDED;
  swapcontext(&f->context, &run.scheduler);
}

static void start_fibre(uint32_t i) {
  fibre *f = &run.fibres[i];
  getcontext(&f->context);
  f->context.uc_stack.ss_sp = run.stacks + (size_t)i * STACK;
  f->context.uc_stack.ss_size = STACK;
  f->context.uc_link = &run.scheduler;
  makecontext(&f->context, run_fibre, 0);
  f->waiting = RUNNABLE;
}

/* Lets those go on whose barrier all threads have come to; false: there are none. */
static int release(uint32_t first, uint32_t n, waiting at) {
  uint32_t come = 0, ended = 0;
  for (uint32_t i = first; i < first + n; i++) {
    come += run.fibres[i].waiting == at;
    ended += run.fibres[i].waiting == ENDED;
  }
  if (at == AT_GROUP && come && ended) fail("threads that end before a barrier of others", ended);
  if (!come || come + ended < n) return 0;
  for (uint32_t i = first; i < first + n; i++)
    if (run.fibres[i].waiting == at) run.fibres[i].waiting = RUNNABLE;
  return 1;
}

static int release_any(void) {
  int any = release(0, run.n, AT_GROUP);
  for (uint32_t first = 0; first < run.n && !any; first += SIMD) {
    uint32_t n = run.n - first < SIMD ? run.n - first : SIMD;
    if (release(first, n, AT_SIMDGROUP)) any = 1;
  }
  return any;
}

static void run_group(int reversed) {
  memset(run.memory, POISON, sizeof run.memory);
  run.n_arrays = 0;
  run.used = run.reserved = 0;
  for (uint32_t i = 0; i < run.n; i++) start_fibre(i);
  for (uint32_t ended = 0; ended < run.n && !run.failed;) {
    for (uint32_t i = 0; i < run.n && !run.failed; i++) {
      run.now = reversed ? run.n - 1 - i : i;
      if (run.fibres[run.now].waiting == RUNNABLE)
        swapcontext(&run.scheduler, &run.fibres[run.now].context);
    }
    ended = 0;
    for (uint32_t i = 0; i < run.n; i++) ended += run.fibres[i].waiting == ENDED;
    if (ended < run.n && !run.failed && !release_any() && !run.failed)
      fail("threads wait at different barriers; ended", ended);
  }
  for (uint32_t i = 0; i < run.n_arrays; i++) {
    const uint8_t *guard = run.memory + run.arrays[i].offset + run.arrays[i].bytes;
    for (uint32_t j = 0; j < GUARD; j++)
      if (guard[j] != POISON) fail("a write behind a group's array, number", i);
  }
}

static void set_ids(const uint32_t grid[3], const uint32_t group[3], const uint32_t at[3]) {
  for (uint32_t i = 0; i < run.n; i++) {
    uint32_t *ids = run.fibres[i].ids;
    const uint32_t in[3] = {i % group[0], i / group[0] % group[1], i / group[0] / group[1]};
    for (uint32_t d = 0; d < 3; d++) {
      ids[THREAD_POSITION_IN_GRID + d] = at[d] * group[d] + in[d];
      ids[THREAD_POSITION_IN_THREADGROUP + d] = in[d];
      ids[THREADGROUP_POSITION_IN_GRID + d] = at[d];
      ids[THREADS_PER_THREADGROUP + d] = group[d];
      ids[THREADS_PER_GRID + d] = grid[d];
      ids[THREADGROUPS_PER_GRID + d] = grid[d] / group[d];
    }
    ids[THREAD_INDEX_IN_THREADGROUP] = i;
    ids[THREAD_INDEX_IN_SIMDGROUP] = i % SIMD;
    ids[SIMDGROUP_INDEX_IN_THREADGROUP] = i / SIMD;
    ids[SIMDGROUPS_PER_THREADGROUP] = (run.n + SIMD - 1) / SIMD;
    ids[THREADS_PER_SIMDGROUP] = SIMD;
  }
}

/* Runs the kernel over a grid of threads, of which each dimension is a multiple of the group's. 0,
 * or 1 with a message. flags: 1, threads in descending order; 2, subnormal numbers are zero. */
__attribute__((visibility("default"))) int metal_stub_run(kernel_entry *entry, void *const *buffers,
                                                          const uint32_t grid[3],
                                                          const uint32_t group[3], int flags,
                                                          char *message, size_t message_size) {
  run.entry = entry;
  run.buffers = buffers;
  run.message = message;
  run.message_size = message_size;
  run.failed = 0;
  run.flush = flags & 2;
  const uint64_t n = (uint64_t)group[0] * group[1] * group[2];
  if (!n || n > MOST_THREADS) {
    fail("threads of a group", n);
    return 1;
  }
  for (uint32_t d = 0; d < 3; d++)
    if (grid[d] % group[d]) fail("a grid that is no multiple of the group", grid[d]);
  run.n = (uint32_t)n;
  run.fibres = calloc(run.n, sizeof *run.fibres);
  run.stacks = malloc((size_t)run.n * STACK);
  if (!run.fibres || !run.stacks) fail("no memory for threads", n);
  uint32_t at[3];
  for (at[2] = 0; at[2] < grid[2] / group[2] && !run.failed; at[2]++)
    for (at[1] = 0; at[1] < grid[1] / group[1] && !run.failed; at[1]++)
      for (at[0] = 0; at[0] < grid[0] / group[0] && !run.failed; at[0]++) {
        set_ids(grid, group, at);
        run_group(flags & 1);
      }
  free(run.fibres);
  free(run.stacks);
  return run.failed;
}
