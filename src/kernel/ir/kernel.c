/* SPDX-License-Identifier: Apache-2.0
 * The tables of kernel.h, and creation and destruction of kernels. */
#include "kernel/ir/kernel.h"

#include <math.h>
#include <string.h>

#define PURE JM_KFLAG_PURE
#define INT JM_KFLAG_INT
#define FLT JM_KFLAG_FLT
const jm_kop_fact jm_kop_facts[JM_N_KOPS] = {
#define INST(name, operands, result, flags, ...) {#name, operands, JM_KRESULT_##result, flags},
#include "kernel/ir/insts.def"
};

const char *const jm_ktype_names[JM_N_KTYPES] = {"i1", "i8", "i16", "i32", "i64", "f32", "f64"};
const char *const jm_kbinding_names[JM_N_BINDINGS] = {"serial", "vector", "chunk", "threads"};
const uint32_t jm_ktype_bytes[JM_N_KTYPES] = {1, 1, 2, 4, 8, 4, 8};
const uint32_t jm_ktype_bits[JM_N_KTYPES] = {1, 8, 16, 32, 64, 32, 64};

static double scale_f64(double x, double power) {
  return ldexp(x, (int)fmin(fmax(power, -4096), 4096));
}
static float scale_f32(float x, float power) {
  return ldexpf(x, (int)fminf(fmaxf(power, -4096), 4096));
}

void (*const jm_kcall_functions[JM_N_KCALLS][2])(void) = {
#define CALL(name, arguments, f32, f64, c) {(void (*)(void))(f32), (void (*)(void))(f64)},
#include "kernel/ir/calls.def"
};

const uint32_t jm_kcall_arguments[JM_N_KCALLS] = {
#define CALL(name, arguments, ...) arguments,
#include "kernel/ir/calls.def"
};

jm_error *jm_kernel_create(const char *name, jm_kernel **out) {
  jm_kernel *kernel = jm_alloc(1, sizeof *kernel);
  if (!kernel) return jm_error_out_of_memory();
  jm_arena_init(&kernel->arena);
  kernel->name = jm_arena_string(&kernel->arena, name, strlen(name));
  kernel->blocks =
      jm_arena_grow(&kernel->arena, NULL, 1, &kernel->blocks_capacity, sizeof *kernel->blocks);
  if (!kernel->name || !kernel->blocks) {
    jm_kernel_destroy(kernel);
    return jm_error_out_of_memory();
  }
  kernel->blocks[0].parent = JM_KNONE;
  kernel->n_blocks = 1;
  kernel->chunks = kernel->grain = 1;
  *out = kernel;
  return NULL;
}

void jm_kernel_destroy(jm_kernel *kernel) {
  if (!kernel) return;
  jm_arena_deinit(&kernel->arena);
  jm_free(kernel);
}

/* Of the first threads loop in the block or inside, 0: there is none. The search walks the blocks
 * from the top because the arrays also hold dropped instructions. */
static uint32_t find_threads(const jm_kernel *k, jm_kblock at) {
  const jm_kblock_fact *block = &k->blocks[at];
  uint32_t width = 0;
  for (uint32_t i = 0; i < block->n_insts && !width; i++) {
    const jm_kinst_fact *inst = &k->insts[block->insts[i]];
    if (inst->code == JM_K_loop && inst->binding == JM_BIND_THREADS) return inst->width;
    for (uint32_t j = 0; j < inst->n_blocks && !width; j++)
      width = find_threads(k, inst->first_block + j);
  }
  return width;
}

uint32_t jm_kernel_threads(const jm_kernel *kernel) { return find_threads(kernel, 0); }

size_t jm_kernel_scratch_bytes(const jm_kernel *kernel) {
  size_t bytes = 0;
  for (uint32_t i = 0; i < kernel->n_params; i++) {
    const jm_kparam *param = &kernel->params[i];
    if (param->space == JM_SPACE_SCRATCH) bytes += jm_kparam_bytes(param);
  }
  return bytes;
}
