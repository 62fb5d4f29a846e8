/* SPDX-License-Identifier: Apache-2.0
 * Compiled kernels against the interpreter, bit for bit (a NaN is a NaN). Needs an LLVM:
 * JAX_MPS_LLVM; without one only its absence is tested. */
#include "engine/host/jit.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/kernel_cases.h"

enum { MAX_PARAMS = 20, CANARY = 64 };

static bool has_llvm;

/* -- running a kernel twice */

typedef struct memory {
  char *blocks[MAX_PARAMS];
  void *buffers[MAX_PARAMS]; /* GLOBAL ones, aligned to no more than their elements */
} memory;

static size_t param_bytes(const jm_kparam *p) {
  return (size_t)p->elements * jm_ktype_bytes[p->element];
}

static void fill_param(const jm_kparam *p, char *data) {
  for (int64_t i = 0; i < p->elements; i++) {
    uint64_t bits = (uint64_t)random_number(UINT32_MAX) << 32 | random_number(UINT32_MAX);
    bool plain = random_number(8); /* mostly numbers of a size, sometimes any bits */
    double number = ((double)random_number(200001) - 100000) / 1000;
    if (p->element == JM_KT_f32 && plain) {
      float single = (float)number;
      memcpy(data + i * 4, &single, 4);
    } else if (p->element == JM_KT_f64 && plain) {
      memcpy(data + i * 8, &number, 8);
    } else {
      memcpy(data + i * jm_ktype_bytes[p->element], &bits, jm_ktype_bytes[p->element]);
    }
  }
}

static void create_memory(const jm_kernel *k, memory *m, const memory *like) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < k->n_params; i++) {
    const jm_kparam *p = &k->params[i];
    if (p->space != JM_SPACE_GLOBAL) continue;
    size_t size = param_bytes(p) + CANARY + 8;
    m->blocks[n] = jm_alloc_data(size);
    m->buffers[n] = m->blocks[n] + jm_ktype_bytes[p->element];
    if (like) {
      memcpy(m->blocks[n], like->blocks[n], size);
    } else {
      memset(m->blocks[n], 0x5a, size);
      fill_param(p, m->buffers[n]);
    }
    n++;
  }
}

static void destroy_memory(const jm_kernel *k, memory *m) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < k->n_params; i++)
    if (k->params[i].space == JM_SPACE_GLOBAL) jm_free(m->blocks[n++]);
}

static bool is_same(jm_ktype t, const char *x, const char *y) {
  if (t == JM_KT_f32) {
    float a, b;
    memcpy(&a, x, 4);
    memcpy(&b, y, 4);
    if (a != a && b != b) return true;
  } else if (t == JM_KT_f64) {
    double a, b;
    memcpy(&a, x, 8);
    memcpy(&b, y, 8);
    if (a != a && b != b) return true;
  }
  return !memcmp(x, y, jm_ktype_bytes[t]);
}

static bool compare_memory(const jm_kernel *k, const memory *want, const memory *have, int64_t n) {
  uint32_t at = 0;
  for (uint32_t i = 0; i < k->n_params; i++) {
    const jm_kparam *p = &k->params[i];
    if (p->space != JM_SPACE_GLOBAL) continue;
    const char *x = want->buffers[at], *y = have->buffers[at];
    size_t size = jm_ktype_bytes[p->element];
    for (int64_t e = 0; e < p->elements; e++) {
      if (is_same(p->element, x + (size_t)e * size, y + (size_t)e * size)) continue;
      uint64_t a = 0, b = 0;
      memcpy(&a, x + (size_t)e * size, size);
      memcpy(&b, y + (size_t)e * size, size);
      fprintf(stderr, "%s, n %d: param %u [%d] is %llx, not %llx\n", k->name, (int)n, i, (int)e,
              (unsigned long long)b, (unsigned long long)a);
      return false;
    }
    if (memcmp(want->blocks[at], have->blocks[at], size) ||
        memcmp(x + param_bytes(p), y + param_bytes(p), CANARY)) {
      fprintf(stderr, "%s, n %d: wrote outside of param %u\n", k->name, (int)n, i);
      return false;
    }
    at++;
  }
  return true;
}

/* Runs both; the first element of parameter 0 is n. */
static bool agrees(const jm_kernel *k, jm_kernel_fn *fn, int64_t n) {
  memory want, have;
  create_memory(k, &want, NULL);
  memcpy(want.buffers[0], &n, sizeof n);
  create_memory(k, &have, &want);
  void *scratch = jm_alloc_data(jm_kernel_scratch_bytes(k) + 64);
  CHECK_OK(jm_kernel_interpret(k, want.buffers, scratch, 0, k->chunks, NULL));
  int64_t half = k->chunks / 2;
  if (half) fn(have.buffers, scratch, 0, half, NULL);
  fn(have.buffers, scratch, half, k->chunks, NULL);
  bool same = compare_memory(k, &want, &have, n);
  jm_free(scratch);
  destroy_memory(k, &want);
  destroy_memory(k, &have);
  return same;
}

static uint32_t widest(const jm_kernel *k) {
  uint32_t width = 1;
  for (uint32_t i = 0; i < k->n_insts; i++)
    if (k->insts[i].code == JM_K_loop && k->insts[i].width > width) width = k->insts[i].width;
  return width;
}

static void run_cases(void) {
  jm_jit_code **codes = jm_alloc(n_cases, sizeof *codes);
  CHECK(n_cases);
  for (int quick = 0; quick < 2 && has_llvm; quick++) {
    jm_jit_limit_quick(quick ? INT64_MAX : 0);
    CHECK_OK(jm_jit_compile((const jm_kernel *const *)cases, n_cases, codes));
    for (uint32_t i = 0; i < n_cases && codes[i]; i++) {
      uint32_t w = widest(cases[i]);
      const int64_t sizes[] = {0, 1, w - 1, w, w + 1, 3 * w + 2};
      bool same = true;
      for (size_t j = 0; j < sizeof sizes / sizeof *sizes && same; j++)
        same = agrees(cases[i], jm_jit_code_function(codes[i]), sizes[j]);
      CHECK(same);
    }
    for (uint32_t i = 0; i < n_cases; i++) jm_jit_code_release(codes[i]);
  }
  jm_free(codes);
  destroy_cases();
}

static void find_llvm(void) {
  const char *why;
  has_llvm = jm_jit_find_target(&why);
  printf("%s\n", has_llvm ? jm_jit_version() : why);
  CHECK(has_llvm == !*why);
  CHECK(has_llvm == (*jm_jit_version() != 0));
  const char *wish = getenv("JAX_MPS_LLVM");
  if (wish && strcmp(wish, "none")) CHECK(has_llvm);
}

static void test_instructions(void) {
  add_inst_cases(JM_BIND_SERIAL, 0);
  run_cases();
  add_inst_cases(JM_BIND_VECTOR, 4);
  run_cases();
  add_inst_cases(JM_BIND_VECTOR, 16);
  run_cases();
}

static void test_memory(void) {
  add_memory_cases();
  run_cases();
}

static void test_loops(void) {
  add_loop_cases();
  run_cases();
}

static void test_random(void) {
  const char *wish = getenv("JM_RANDOM_KERNELS"); /* more, for a long run */
  long n = wish ? atol(wish) : 150;
  while (n > 0) {
    for (int i = 0; i < 50 && n > 0; i++, n--) add_random_case();
    run_cases();
  }
}

TEST_MAIN(find_llvm, test_instructions, test_memory, test_loops, test_random)
