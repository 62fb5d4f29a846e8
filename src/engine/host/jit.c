/* SPDX-License-Identifier: Apache-2.0
 * Compiled kernels: a table keyed by content, and the division of kernels into LLVM modules, one
 * per thread. */
#include "engine/host/jit.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/parallel.h"
#include "engine/host/llvm_library.h"

enum {
  N_BUCKETS = 1024,
  LEAST_BATCH = 64, /* instructions that are worth a module of their own */
};

/* A module's code, retained by its kernels that are in use. */
typedef struct batch {
  jm_llvm_code *code;
  size_t held;
  bool quickly;
} batch;

struct jm_jit_code {
  jm_kernel_fn *function;
  batch *batch;
  size_t held;
  uint64_t hash;
  jm_text text;    /* its source: the kernel's text */
  const char *key; /* the part of it behind the kernel's name */
  size_t key_size;
  jm_jit_code *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static jm_jit_code *buckets[N_BUCKETS];

/* Scalar instructions that a run executes: below, quick compilation takes a fifth of the time, and
 * most of the time of a run is spent elsewhere. */
static _Atomic int64_t quick_work = 1 << 18;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool found;
static jm_target target;
static char reason[768];
static char version[96];

/* -- the machine */

/* Bytes of the second-level cache of a core. */
static size_t cache_bytes(void) {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (bytes > 0) return (size_t)bytes;
#endif
  return 2 * jm_target_host.scratch_bytes;
}

#if defined(__x86_64__)
/* Wide registers pay off where they do not lower the clock frequency. */
static bool has_fast_avx512(void) {
  static const char *const needed[] = {"avx512f", "avx512bw", "avx512dq", "avx512vl"};
  static const char *const slow[] = {"skylake-avx512", "cascadelake", "cooperlake", "cannonlake"};
  for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
    if (!jm_llvm_host_has(needed[i])) return false;
  for (size_t i = 0; i < sizeof slow / sizeof *slow; i++)
    if (!strcmp(jm_llvm_host_name(), slow[i])) return false;
  return true;
}
#endif

static bool find_machine(void) {
  target = jm_target_host;
#if defined(__x86_64__)
  if (!jm_llvm_host_has("sse4.1")) { /* rounding would need library calls */
    snprintf(reason, sizeof reason, "no LLVM: the processor lacks SSE 4.1");
    return false;
  }
  target.vector_bytes = has_fast_avx512() ? 64 : jm_llvm_host_has("avx2") ? 32 : 16;
  target.fma = jm_llvm_host_has("fma");
#elif defined(__aarch64__)
  target.vector_bytes = 16;
  target.fma = true;
#else
  snprintf(reason, sizeof reason, "no LLVM: only x86-64 and arm64 are known");
  return false;
#endif
  target.scratch_bytes = target.kept_bytes = cache_bytes() / 2;
  return true;
}

/* A child process inherits the locks that LLVM holds at the fork: therefore no thread may be inside
 * LLVM then. */
static pthread_rwlock_t inside = PTHREAD_RWLOCK_INITIALIZER;

static void before_fork(void) {
  pthread_rwlock_wrlock(&inside);
  pthread_mutex_lock(&lock);
}
static void after_fork_parent(void) {
  pthread_mutex_unlock(&lock);
  pthread_rwlock_unlock(&inside);
}
static void after_fork_child(void) { /* whose thread is not the one that has the lock */
  pthread_mutex_unlock(&lock);
  pthread_rwlock_init(&inside, NULL);
}

/* One function through all of LLVM, before anything depends on it. */
static const char probe_text[] =
    "define i64 @probe(i64 %x) nounwind {\n"
    "  %y = call i64 @llvm.umax.i64(i64 %x, i64 41)\n"
    "  %z = add i64 %y, 1\n"
    "  ret i64 %z\n"
    "}\n"
    "declare i64 @llvm.umax.i64(i64, i64)\n";

static bool probe(void) {
  jm_llvm_code *code = NULL;
  jm_error *error = jm_llvm_code_create(probe_text, true, &code);
  if (!error) {
    union {
      void *address;
      int64_t (*function)(int64_t);
    } it = {jm_llvm_code_find(code, "probe")};
    if (!it.address || it.function(7) != 42) error = jm_error_internal("its code is wrong");
  }
  if (error)
    snprintf(reason, sizeof reason, "%s does not work here: %.600s", jm_llvm_library_version(),
             jm_error_message(error));
  jm_llvm_code_destroy(code);
  bool ok = !error;
  jm_error_destroy(error);
  return ok;
}

static void prepare(void) {
  const char *why;
  if (!jm_llvm_library_load(&why))
    snprintf(reason, sizeof reason, "%s", why);
  else
    found = find_machine() && probe();
  if (!found) return;
  snprintf(version, sizeof version, "%s", jm_llvm_library_version());
  pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

const jm_target *jm_jit_find_target(const char **why) {
  pthread_once(&once, prepare);
  *why = reason;
  return found ? &target : NULL;
}

const char *jm_jit_version(void) {
  pthread_once(&once, prepare);
  return version;
}

/* -- the table; under the lock */

static bool is_equal(const jm_jit_code *a, const jm_jit_code *b) {
  return a->hash == b->hash && a->key_size == b->key_size && !memcmp(a->key, b->key, a->key_size);
}

static jm_jit_code *find_code(const jm_jit_code *like) {
  jm_jit_code *code = buckets[like->hash % N_BUCKETS];
  while (code && !is_equal(code, like)) code = code->next;
  return code;
}

static void remove_code(jm_jit_code *code) {
  jm_jit_code **link = &buckets[code->hash % N_BUCKETS];
  while (*link != code) link = &(*link)->next;
  *link = code->next;
}

static void free_code(jm_jit_code *code) {
  if (!code) return;
  jm_text_deinit(&code->text);
  jm_free(code);
}

jm_kernel_fn *jm_jit_code_function(const jm_jit_code *code) { return code->function; }

void jm_jit_code_release(jm_jit_code *code) {
  if (!code) return;
  pthread_mutex_lock(&lock);
  bool last = !--code->held;
  bool last_of_batch = last && !--code->batch->held;
  if (last) remove_code(code);
  pthread_mutex_unlock(&lock);
  if (last_of_batch) {
    jm_llvm_code_destroy(code->batch->code);
    jm_free(code->batch);
  }
  if (last) free_code(code);
}

/* -- compiling */

/* A kernel that is not in the table; `code` is not in it either until it is compiled. */
typedef struct task {
  const jm_kernel *kernel;
  jm_jit_code *code;
  bool quickly;
  uint32_t batch;
} task;

typedef struct compilation {
  task *tasks;
  uint32_t n_tasks, n_batches;
  uint64_t first_symbol; /* its number; unique in the process */
  batch **batches;
  jm_error **errors; /* one per batch */
} compilation;

static void symbol_of(const compilation *c, uint32_t task, char symbol[32]) {
  snprintf(symbol, 32, "k%" PRIu64, c->first_symbol + task);
}

static jm_error *compile_module(compilation *c, uint32_t b, jm_llvm_module *module) {
  char symbol[32];
  for (uint32_t i = 0; i < c->n_tasks; i++) {
    if (c->tasks[i].batch != b) continue;
    symbol_of(c, i, symbol);
    JM_TRY(jm_llvm_module_add(module, c->tasks[i].kernel, symbol));
  }
  const char *text;
  JM_TRY(jm_llvm_module_finish(module, &text));
  JM_TRY(jm_llvm_code_create(text, c->batches[b]->quickly, &c->batches[b]->code));
  for (uint32_t i = 0; i < c->n_tasks; i++) {
    if (c->tasks[i].batch != b) continue;
    symbol_of(c, i, symbol);
    void *address = jm_llvm_code_find(c->batches[b]->code, symbol);
    if (!address) return jm_error_internal("LLVM lost kernel %s", c->tasks[i].kernel->name);
    memcpy(&c->tasks[i].code->function, &address, sizeof address);
  }
  return NULL;
}

static void compile_batches(void *context, size_t begin, size_t end) {
  compilation *c = context;
  for (size_t b = begin; b < end; b++) {
    jm_llvm_module *module = NULL;
    pthread_rwlock_rdlock(&inside);
    c->errors[b] = jm_llvm_module_create(&target, &module);
    if (!c->errors[b]) c->errors[b] = compile_module(c, (uint32_t)b, module);
    jm_llvm_module_destroy(module);
    pthread_rwlock_unlock(&inside);
  }
}

/* How many scalar instructions one run of the kernel takes, about. */
static double estimate_block(const jm_kernel *k, jm_kblock block, double most) {
  const jm_kblock_fact *b = &k->blocks[block];
  double work = 0;
  for (uint32_t i = 0; i < b->n_insts; i++) {
    const jm_kinst_fact *f = &k->insts[b->insts[i]];
    double rounds = 1;
    if (f->code == JM_K_while) rounds = INFINITY;
    if (f->code == JM_K_loop) {
      jm_kinst lower = k->values[f->operands[0]].inst, upper = k->values[f->operands[1]].inst;
      bool known = lower != JM_KNONE && k->insts[lower].code == JM_K_const && upper != JM_KNONE &&
                   k->insts[upper].code == JM_K_const;
      rounds = known ? (double)(int64_t)k->insts[upper].imm - (double)(int64_t)k->insts[lower].imm
                     : most;
    }
    work += 1;
    for (uint32_t j = 0; j < f->n_blocks; j++)
      work += rounds * estimate_block(k, f->first_block + j, most);
  }
  return work;
}

int64_t jm_jit_limit_quick(int64_t work) { return atomic_exchange(&quick_work, work); }

static bool is_quick(const jm_kernel *k) {
  double most = 1; /* a loop of unknown length goes over an array */
  for (uint32_t i = 0; i < k->n_params; i++)
    if ((double)k->params[i].elements > most) most = (double)k->params[i].elements;
  return estimate_block(k, 0, most) < (double)quick_work;
}

static int compare_tasks(const void *a, const void *b) {
  const task *x = a, *y = b;
  if (x->quickly != y->quickly) return x->quickly - y->quickly;
  uint32_t n = x->kernel->n_insts, m = y->kernel->n_insts;
  return (n < m) - (n > m); /* larger ones first */
}

/* Distributes tasks [begin, end), of one kind, over new batches by greedy load balancing: each goes
 * to the batch with the least work so far. */
static jm_error *assign_batches(compilation *c, uint32_t begin, uint32_t end) {
  if (begin == end) return NULL;
  size_t insts = 0, threads = jm_parallel_threads();
  for (uint32_t i = begin; i < end; i++) insts += c->tasks[i].kernel->n_insts;
  size_t n = insts / LEAST_BATCH + 1;
  if (n > end - begin) n = end - begin;
  if (n > threads) n = threads;
  size_t *work = jm_alloc(n, sizeof *work);
  if (!work) return jm_error_out_of_memory();
  uint32_t first = c->n_batches;
  for (size_t b = 0; b < n; b++) {
    batch *new_batch = jm_alloc(1, sizeof *new_batch);
    if (!new_batch) {
      jm_free(work);
      return jm_error_out_of_memory();
    }
    new_batch->quickly = c->tasks[begin].quickly;
    c->batches[c->n_batches++] = new_batch;
  }
  for (uint32_t i = begin; i < end; i++) {
    uint32_t least = 0;
    for (uint32_t b = 1; b < n; b++)
      if (work[b] < work[least]) least = b;
    c->tasks[i].batch = first + least;
    work[least] += c->tasks[i].kernel->n_insts;
  }
  jm_free(work);
  return NULL;
}

static jm_error *run_compilation(compilation *c) {
  static _Atomic uint64_t n_symbols;
  c->first_symbol = atomic_fetch_add(&n_symbols, c->n_tasks);
  for (uint32_t i = 0; i < c->n_tasks; i++) c->tasks[i].quickly = is_quick(c->tasks[i].kernel);
  qsort(c->tasks, c->n_tasks, sizeof *c->tasks, compare_tasks);
  size_t most = 2 * jm_parallel_threads();
  c->batches = jm_alloc(most, sizeof(batch *));
  c->errors = jm_alloc(most, sizeof(jm_error *));
  if (!c->batches || !c->errors) return jm_error_out_of_memory();
  uint32_t n_careful = 0;
  while (n_careful < c->n_tasks && !c->tasks[n_careful].quickly) n_careful++;
  JM_TRY(assign_batches(c, 0, n_careful));
  JM_TRY(assign_batches(c, n_careful, c->n_tasks));
  jm_parallel_for(c->n_batches, 1, compile_batches, c);
  jm_error *error = NULL;
  for (uint32_t b = 0; b < c->n_batches; b++) {
    if (!error)
      error = c->errors[b];
    else
      jm_error_destroy(c->errors[b]);
  }
  return error;
}

/* Adds compiled code to the table. If another thread was faster, its code is used. */
static void publish(compilation *c) {
  for (uint32_t i = 0; i < c->n_tasks; i++) {
    jm_jit_code *code = c->tasks[i].code;
    if (find_code(code)) continue;
    jm_jit_code **bucket = &buckets[code->hash % N_BUCKETS];
    code->batch = c->batches[c->tasks[i].batch];
    code->batch->held++;
    code->next = *bucket;
    *bucket = code;
    c->tasks[i].code = NULL;
  }
  for (uint32_t b = 0; b < c->n_batches; b++)
    if (c->batches[b]->held) c->batches[b] = NULL;
}

static void destroy_compilation(compilation *c) {
  for (uint32_t b = 0; c->batches && b < c->n_batches; b++) {
    if (c->batches[b]) jm_llvm_code_destroy(c->batches[b]->code);
    jm_free(c->batches[b]);
  }
  for (uint32_t i = 0; i < c->n_tasks; i++) free_code(c->tasks[i].code);
  jm_free(c->tasks);
  jm_free(c->batches);
  jm_free(c->errors);
}

/* An entry without code. */
static jm_error *create_code(const jm_kernel *kernel, jm_jit_code **out) {
  jm_jit_code *code = jm_alloc(1, sizeof *code);
  if (!code) return jm_error_out_of_memory();
  jm_text_init(&code->text);
  jm_kernel_print(kernel, &code->text);
  jm_error *error = jm_text_error(&code->text);
  if (error) {
    free_code(code);
    return error;
  }
  const char *line = strchr(code->text.bytes, '\n'); /* the first one has the name */
  code->key = line ? line : code->text.bytes;
  code->key_size = code->text.size - (size_t)(code->key - code->text.bytes);
  code->hash = jm_hash_bytes(code->key, code->key_size);
  *out = code;
  return NULL;
}

/* Looks kernels up in the table; the others become tasks, one for equal kernels: wanted[i] is the
 * task of kernel i. */
static jm_error *look_up(const jm_kernel *const *kernels, uint32_t n, jm_jit_code **codes,
                         jm_jit_code **wanted, compilation *c) {
  for (uint32_t i = 0; i < n; i++) {
    jm_jit_code *like;
    JM_TRY(create_code(kernels[i], &like));
    pthread_mutex_lock(&lock);
    codes[i] = find_code(like);
    if (codes[i]) codes[i]->held++;
    pthread_mutex_unlock(&lock);
    for (uint32_t t = 0; t < c->n_tasks && !codes[i] && !wanted[i]; t++)
      if (is_equal(c->tasks[t].code, like)) wanted[i] = c->tasks[t].code;
    if (codes[i] || wanted[i]) {
      free_code(like);
      continue;
    }
    wanted[i] = like;
    c->tasks[c->n_tasks++] = (task){.kernel = kernels[i], .code = like};
  }
  return NULL;
}

jm_error *jm_jit_compile(const jm_kernel *const *kernels, uint32_t n, jm_jit_code **codes) {
  const char *why;
  if (!jm_jit_find_target(&why)) return jm_error_create(JM_UNIMPLEMENTED, "%s", why);
  memset(codes, 0, n * sizeof(jm_jit_code *));
  compilation c = {.tasks = jm_alloc(n, sizeof(task))};
  jm_jit_code **wanted = jm_alloc(n, sizeof(jm_jit_code *));
  jm_error *error = c.tasks && wanted ? NULL : jm_error_out_of_memory();
  if (!error) error = look_up(kernels, n, codes, wanted, &c);
  if (!error && c.n_tasks) error = run_compilation(&c);
  if (!error && c.n_tasks) {
    pthread_mutex_lock(&lock);
    publish(&c);
    for (uint32_t i = 0; i < n; i++) {
      if (codes[i]) continue;
      codes[i] = find_code(wanted[i]);
      codes[i]->held++;
    }
    pthread_mutex_unlock(&lock);
  }
  for (uint32_t i = 0; i < n && error; i++) {
    jm_jit_code_release(codes[i]);
    codes[i] = NULL;
  }
  destroy_compilation(&c);
  jm_free(wanted);
  return error;
}
