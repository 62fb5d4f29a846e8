/* SPDX-License-Identifier: Apache-2.0
 * Compiled kernels: a table keyed by content, and the division of kernels into LLVM modules, one
 * per thread. */
#include "engine/host/jit.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/background.h"
#include "base/counters.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "engine/host/effort.h"
#include "engine/host/image.h"
#include "engine/host/llvm_library.h"
#include "engine/host/machine.h"
#include "engine/host/saved_code.h"

enum {
  N_BUCKETS = 1024,
  LEAST_BATCH = 64, /* instructions that are worth a module of their own */
};

/* A module's code, retained by its kernels that are in use. */
typedef struct batch {
  jm_image image;
  size_t held;
  bool quickly;
} batch;

/* Code that was compiled quickly gives way to good code when it has been launched often; threads
 * may be in it then, so that it stays. */
struct jm_jit_code {
  jm_background_job
      job; /* first: a job is its code. In the queue once, when `launches` gets to 0 */
  jm_kernel_fn *_Atomic function;
  _Atomic uint32_t launches; /* until it is compiled well; 0: that is done, begun, or not wanted */
  batch *batch, *replaced;   /* the latter: NULL, or what threads may still be in */
  uint64_t offset;           /* in the batch's image */
  bool quick;                /* not yet what it is to be */
  size_t held;
  uint64_t hash;
  jm_text text;    /* its source: the kernel's text */
  const char *key; /* the part of it behind the kernel's name */
  size_t key_size;
  jm_jit_code *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static jm_jit_code *buckets[N_BUCKETS];

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const jm_target *found;
static char reason[768];
static char version[96];

/* -- LLVM */

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
static void guard_forks(void) { pthread_atfork(before_fork, after_fork_parent, after_fork_child); }

void jm_jit_guard_forks(void) {
  static pthread_once_t guarded = PTHREAD_ONCE_INIT;
  pthread_once(&guarded, guard_forks);
}

/* One function through all of LLVM, before anything depends on it. */
static const char probe_text[] =
    "define i64 @probe(i64 %x) nounwind {\n"
    "  %y = call i64 @llvm.umax.i64(i64 %x, i64 41)\n"
    "  %z = add i64 %y, 1\n"
    "  ret i64 %z\n"
    "}\n"
    "declare i64 @llvm.umax.i64(i64, i64)\n";

static jm_error *run_probe(void) {
  static const char *const symbol = "probe";
  jm_llvm_object object;
  jm_image image = {0};
  uint64_t offset;
  JM_TRY(jm_llvm_compile(probe_text, true, &object));
  jm_error *error = jm_image_link(object.bytes, object.n_bytes, &symbol, 1, &offset, &image);
  jm_llvm_object_release(&object);
  if (error) return error;
  const void *address = image.bytes + offset;
  int64_t (*function)(int64_t);
  memcpy(&function, &address, sizeof function);
  const bool right = function(7) == 42;
  jm_image_unmap(&image);
  return right ? NULL : jm_error_internal("its code is wrong");
}

static bool probe(void) {
  jm_error *error = run_probe();
  if (error)
    snprintf(reason, sizeof reason, "%s does not work here: %.600s", jm_llvm_library_version(),
             jm_error_message(error));
  bool ok = !error;
  jm_error_destroy(error);
  return ok;
}

static void prepare(void) {
  const char *why;
  const jm_target *target = jm_machine_find_target(&why);
  if (!target || !jm_llvm_library_load(&why))
    snprintf(reason, sizeof reason, "%s", why);
  else if (probe())
    found = target;
  if (found) snprintf(version, sizeof version, "%s", jm_llvm_library_version());
}

const jm_target *jm_jit_find_target(const char **why) {
  pthread_once(&once, prepare);
  *why = reason;
  return found;
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

static void free_batch(batch *b) {
  if (!b) return;
  jm_image_unmap(&b->image);
  jm_free(b);
}

/* The code starts here in its batch. */
static void set_function(jm_jit_code *code, batch *b, uint64_t offset) {
  const void *address = b->image.bytes + offset;
  jm_kernel_fn *function;
  memcpy(&function, &address, sizeof address);
  b->held++;
  code->batch = b;
  code->offset = offset;
  atomic_store_explicit(&code->function, function, memory_order_release);
}

static batch *leave_batch(batch *b) { return b && !--b->held ? b : NULL; }

void jm_jit_code_release(jm_jit_code *code) {
  if (!code) return;
  batch *unused[2] = {0};
  pthread_mutex_lock(&lock);
  bool last = !--code->held;
  if (last) {
    remove_code(code);
    unused[0] = leave_batch(code->batch);
    unused[1] = leave_batch(code->replaced);
  }
  pthread_mutex_unlock(&lock);
  for (int i = 0; i < 2; i++) free_batch(unused[i]);
  if (last) free_code(code);
}

/* -- compiling */

/* A kernel that is not in the table; `code` is not in it either until it is compiled or loaded. */
typedef struct task {
  const jm_kernel *kernel;
  jm_jit_code *code;
  bool loaded; /* from the saved code */
  bool quickly;
  uint32_t launches; /* of the code, as jm_effort_is_quick says */
  uint32_t batch;
  uint64_t offset; /* in the batch's image */
} task;

typedef struct compilation {
  task *tasks;
  uint32_t n_tasks, n_loaded, n_images, n_batches;
  batch **batches;   /* those of the saved code's images first; NULL: nobody wanted one */
  jm_error **errors; /* of the batches behind them, which are compiled */
} compilation;

enum { SYMBOL_BYTES = 16 };

/* The functions of a module, and where they start once it is code. */
typedef struct symbols {
  char (*texts)[SYMBOL_BYTES];
  const char **names;
  uint64_t *offsets;
  uint32_t n;
} symbols;

static jm_error *create_symbols(uint32_t n, symbols *out) {
  *out = (symbols){.texts = jm_alloc(n, SYMBOL_BYTES),
                   .names = jm_alloc(n, sizeof(char *)),
                   .offsets = jm_alloc(n, sizeof(uint64_t))};
  return out->texts && out->names && out->offsets ? NULL : jm_error_out_of_memory();
}

static void destroy_symbols(symbols *s) {
  jm_free(s->texts);
  jm_free(s->names);
  jm_free(s->offsets);
}

/* The text of batch b. */
static jm_error *print_module(const compilation *c, uint32_t b, jm_llvm_module *module,
                              symbols *names, const char **text) {
  for (uint32_t i = 0; i < c->n_tasks; i++) {
    if (c->tasks[i].batch != b) continue;
    snprintf(names->texts[names->n], SYMBOL_BYTES, "k%u", (unsigned)names->n);
    names->names[names->n] = names->texts[names->n];
    JM_TRY(jm_llvm_module_add(module, c->tasks[i].kernel, names->names[names->n++]));
  }
  return jm_llvm_module_finish(module, text);
}

static jm_error *compile_module(compilation *c, uint32_t b, jm_llvm_module *module,
                                symbols *names) {
  const char *text;
  jm_llvm_object object;
  batch *made = c->batches[b];
  JM_TRY(print_module(c, b, module, names, &text));
  JM_TRY(jm_llvm_compile(text, made->quickly, &object));
  jm_error *error = jm_image_link(object.bytes, object.n_bytes, names->names, names->n,
                                  names->offsets, &made->image);
  jm_llvm_object_release(&object);
  if (error) return error;
  for (uint32_t i = 0, k = 0; i < c->n_tasks; i++)
    if (c->tasks[i].batch == b) c->tasks[i].offset = names->offsets[k++];
  return NULL;
}

static jm_error *compile_batch(compilation *c, uint32_t b) {
  jm_llvm_module *module = NULL;
  symbols names;
  jm_error *error = create_symbols(c->n_tasks, &names);
  if (!error) error = jm_llvm_module_create(found, &module);
  if (!error && c->batches[b]->quickly) jm_llvm_module_shorten(module);
  if (!error) error = compile_module(c, b, module, &names);
  jm_llvm_module_destroy(module);
  destroy_symbols(&names);
  return error;
}

static void compile_batches(void *context, size_t begin, size_t end) {
  compilation *c = context;
  for (size_t i = begin; i < end; i++) {
    pthread_rwlock_rdlock(&inside);
    c->errors[i] = compile_batch(c, c->n_images + (uint32_t)i);
    pthread_rwlock_unlock(&inside);
  }
}

static int compare_tasks(const void *a, const void *b) {
  const task *x = a, *y = b;
  if (x->loaded != y->loaded) return y->loaded - x->loaded;
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

/* Compiles what was not loaded. */
static jm_error *run_compilation(compilation *c) {
  const char *why;
  if (c->n_loaded == c->n_tasks) return NULL;
  if (!jm_jit_find_target(&why)) return jm_error_create(JM_UNIMPLEMENTED, "%s", why);
  for (uint32_t i = 0; i < c->n_tasks; i++)
    if (!c->tasks[i].loaded)
      c->tasks[i].quickly = jm_effort_is_quick(c->tasks[i].kernel, &c->tasks[i].launches);
  qsort(c->tasks, c->n_tasks, sizeof *c->tasks, compare_tasks);
  uint32_t n_careful = c->n_loaded;
  while (n_careful < c->n_tasks && !c->tasks[n_careful].quickly) n_careful++;
  JM_TRY(assign_batches(c, c->n_loaded, n_careful));
  JM_TRY(assign_batches(c, n_careful, c->n_tasks));
  const uint32_t n = c->n_batches - c->n_images;
  jm_parallel_for(n, 1, compile_batches, c);
  jm_error *error = NULL;
  for (uint32_t b = 0; b < n; b++) {
    if (!error)
      error = c->errors[b];
    else
      jm_error_destroy(c->errors[b]);
  }
  if (!error) jm_counter_add(JM_COUNTER_host_kernels_compiled, c->n_tasks - c->n_loaded);
  return error;
}

/* Adds compiled code to the table. If another thread was faster, its code is used. */
static void publish(compilation *c) {
  for (uint32_t i = 0; i < c->n_tasks; i++) {
    jm_jit_code *code = c->tasks[i].code;
    if (find_code(code)) continue;
    jm_jit_code **bucket = &buckets[code->hash % N_BUCKETS];
    set_function(code, c->batches[c->tasks[i].batch], c->tasks[i].offset);
    code->quick = c->tasks[i].launches;
    atomic_init(&code->launches, c->tasks[i].launches);
    code->next = *bucket;
    *bucket = code;
    c->tasks[i].code = NULL;
  }
  for (uint32_t b = 0; b < c->n_batches; b++)
    if (c->batches[b] && c->batches[b]->held) c->batches[b] = NULL;
}

static void destroy_compilation(compilation *c) {
  for (uint32_t b = 0; c->batches && b < c->n_batches; b++) free_batch(c->batches[b]);
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

/* A task's code from the saved code, whose image is mapped when the first kernel of it is wanted.
 */
static jm_error *load_code(compilation *c, const jm_saved_code *saved, task *t) {
  jm_saved_kernel found_kernel;
  if (!saved || !jm_saved_code_find(saved, t->code->key, t->code->key_size, &found_kernel))
    return NULL;
  batch **b = &c->batches[found_kernel.image];
  if (!*b) {
    *b = jm_alloc(1, sizeof **b);
    if (!*b) return jm_error_out_of_memory();
    JM_TRY(jm_saved_code_map(saved, found_kernel.image, &(*b)->image));
  }
  t->offset = found_kernel.offset;
  t->loaded = true;
  t->batch = found_kernel.image;
  c->n_loaded++;
  jm_counter_add(JM_COUNTER_host_kernels_loaded, 1);
  return NULL;
}

/* What the table has; the others become tasks, equal kernels one: wanted[i] is equal to
 * what kernel i needs. */
static jm_error *look_up(const jm_kernel *const *kernels, uint32_t n, const jm_saved_code *saved,
                         jm_jit_code **codes, jm_jit_code **wanted, compilation *c) {
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
    task *t = &c->tasks[c->n_tasks++];
    *t = (task){.kernel = kernels[i], .code = like};
    JM_TRY(load_code(c, saved, t));
  }
  return NULL;
}

static jm_error *create_compilation(uint32_t n, const jm_saved_code *saved, compilation *out) {
  const uint32_t n_images = saved ? jm_saved_code_images(saved) : 0;
  const size_t most = 2 * jm_parallel_threads(); /* careful ones, quick ones */
  *out = (compilation){.tasks = jm_alloc(n, sizeof(task)),
                       .n_images = n_images,
                       .n_batches = n_images,
                       .batches = jm_alloc(n_images + most, sizeof(batch *)),
                       .errors = jm_alloc(most, sizeof(jm_error *))};
  return out->tasks && out->batches && out->errors ? NULL : jm_error_out_of_memory();
}

jm_error *jm_jit_compile(const jm_kernel *const *kernels, uint32_t n, const jm_saved_code *saved,
                         jm_jit_code **codes) {
  jm_jit_guard_forks();
  memset(codes, 0, n * sizeof(jm_jit_code *));
  compilation c;
  jm_jit_code **wanted = jm_alloc(n, sizeof(jm_jit_code *));
  jm_error *error = create_compilation(n, saved, &c);
  if (!error && !wanted) error = jm_error_out_of_memory();
  if (!error) error = look_up(kernels, n, saved, codes, wanted, &c);
  if (!error) error = run_compilation(&c);
  if (!error) {
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

/* -- compiling once more */

/* Under the lock, unless another thread was faster. */
static batch *replace(jm_jit_code *code, batch *good, uint64_t offset) {
  if (!code->quick) return good;
  code->replaced = code->batch;
  set_function(code, good, offset);
  code->quick = false;
  atomic_store_explicit(&code->launches, 0, memory_order_relaxed);
  return NULL;
}

/* The kernel is read from the code's text: whoever had it compiled may be gone. */
static jm_error *compile_well(jm_jit_code *code) {
  jm_kernel *kernel = NULL;
  jm_error *error = NULL;
  batch *good = jm_alloc(1, sizeof *good);
  if (!good) return jm_error_out_of_memory();
  task t = {.code = code};
  compilation c = {.tasks = &t, .n_tasks = 1, .n_batches = 1, .batches = &good, .errors = &error};
  error = jm_kernel_parse(code->text.bytes, code->text.size, &kernel);
  t.kernel = kernel;
  if (!error) compile_batches(&c, 0, 1);
  if (!error) {
    jm_counter_add(JM_COUNTER_host_kernels_improved, 1);
    pthread_mutex_lock(&lock);
    good = replace(code, good, t.offset);
    pthread_mutex_unlock(&lock);
  }
  free_batch(good);
  jm_kernel_destroy(kernel);
  return error;
}

static void run_job(jm_background_job *job) {
  jm_jit_code *code = (jm_jit_code *)job;
  jm_error_destroy(compile_well(code)); /* else the quick code goes on to serve */
  jm_jit_code_release(code);
}

/* Counts a launch; the last one that counts has the code compiled well. */
static void count_launch(jm_jit_code *code, uint32_t launches) {
  if (!atomic_compare_exchange_strong_explicit(&code->launches, &launches, launches - 1,
                                               memory_order_relaxed, memory_order_relaxed) ||
      launches != 1)
    return;
  pthread_mutex_lock(&lock);
  const bool wanted = code->quick;
  code->held += wanted;
  pthread_mutex_unlock(&lock);
  code->job.run = run_job;
  if (wanted && !jm_background_add(&code->job)) jm_jit_code_release(code);
}

jm_kernel_fn *jm_jit_code_function(jm_jit_code *code) {
  const uint32_t launches = atomic_load_explicit(&code->launches, memory_order_relaxed);
  if (launches) count_launch(code, launches);
  return atomic_load_explicit(&code->function, memory_order_acquire);
}

/* -- saving */

/* The number of an element of a list, appended if it is not in it. */
static uint32_t number_of(const void **list, uint32_t *n, const void *element) {
  uint32_t i = 0;
  while (i < *n && list[i] != element) i++;
  if (i == *n) list[(*n)++] = element;
  return i;
}

typedef struct improvement {
  const void *const *codes;
  jm_error **errors;
} improvement;

static void improve(void *context, size_t begin, size_t end) {
  const improvement *i = context;
  for (size_t c = begin; c < end; c++) i->errors[c] = compile_well((jm_jit_code *)i->codes[c]);
}

/* What is saved is good: a process that loads it may have no LLVM. */
static jm_error *improve_all(jm_jit_code *const *codes, uint32_t n) {
  const void **quick = jm_alloc(n, sizeof *quick);
  jm_error **errors = jm_alloc(n, sizeof *errors), *error = NULL;
  uint32_t n_quick = 0;
  if (!quick || !errors) error = jm_error_out_of_memory();
  pthread_mutex_lock(&lock);
  for (uint32_t i = 0; i < n && !error; i++)
    if (codes[i]->quick) (void)number_of(quick, &n_quick, codes[i]);
  pthread_mutex_unlock(&lock);
  jm_parallel_for(n_quick, 1, improve, &(improvement){quick, errors});
  for (uint32_t i = 0; i < n_quick; i++) {
    if (!error)
      error = errors[i];
    else
      jm_error_destroy(errors[i]);
  }
  jm_free(quick);
  jm_free(errors);
  return error;
}

jm_error *jm_jit_save(jm_jit_code *const *codes, uint32_t n, jm_text *out) {
  const void **distinct = jm_alloc(n, sizeof *distinct), **images = jm_alloc(n, sizeof *images);
  jm_saved_kernel *kernels = jm_alloc(n, sizeof *kernels);
  uint32_t n_kernels = 0, n_images = 0;
  jm_error *error = distinct && images && kernels ? NULL : jm_error_out_of_memory();
  if (!error) error = improve_all(codes, n);
  for (uint32_t i = 0; i < n && !error; i++) {
    const jm_jit_code *code = codes[i];
    const uint32_t before = n_kernels, k = number_of(distinct, &n_kernels, code);
    if (k < before) continue;
    kernels[k].image = number_of(images, &n_images, &code->batch->image);
    kernels[k].offset = code->offset;
    jm_sha256_digest(code->key, code->key_size, kernels[k].digest);
  }
  if (!error) {
    jm_saved_code_write((const jm_image *const *)images, n_images, kernels, n_kernels, out);
    error = jm_text_error(out);
  }
  jm_free(kernels);
  jm_free(images);
  jm_free(distinct);
  return error;
}
