/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mlx/device_check.h"

#include <stdio.h>
#include <string.h>

#include "base/file_cache.h"
#include "base/settings.h"
#include "engine/mlx/compare.h"
#include "engine/mlx/device_code.h"
#include "ir/parse.h"
#include "ir/verify.h"

/* Devices on which all printed kernels of the tests gave the interpreter's bits (docs/METAL.md). */
static const char *const verified[] = {"NVIDIA H200"};

/* Groups as the passes make them: rows in groups of lanes and a row a lane, a map with division,
 * roots and comparisons, columns, a sum in two launches, a transpose of narrow floats. */
static const char program[] =
    "module \"device\" {\n"
    "  (%0: f32[60,300], %1: s32[60,300], %2: f32[500,12], %3: f32[40000], %4: bf16[60,300]):\n"
    "  %6: f32[60,300] = fusion %0 {\n"
    "    (%7: f32[60,300]):\n"
    "    %8: f32[] = constant value=0\n"
    "    %9: f32[60] = reduce %7, %8 dims=[1] {\n"
    "      (%10: f32[], %11: f32[]):\n"
    "      %12: f32[] = maximum %10, %11\n"
    "      return %12\n"
    "    }\n"
    "    %13: f32[60,300] = broadcast_in_dim %9 dims=[0]\n"
    "    %14: f32[60,300] = subtract %7, %13\n"
    "    %15: f32[60,300] = exponential %14\n"
    "    %16: f32[60] = reduce %15, %8 dims=[1] {\n"
    "      (%17: f32[], %18: f32[]):\n"
    "      %19: f32[] = add %17, %18\n"
    "      return %19\n"
    "    }\n"
    "    %20: f32[60,300] = broadcast_in_dim %16 dims=[0]\n"
    "    %21: f32[60,300] = divide %15, %20\n"
    "    return %21\n"
    "  }\n"
    "  %22: f32[60,300] = fusion %0 {\n"
    "    (%23: f32[60,300]):\n"
    "    %24: f32[60,300] = sqrt %23\n"
    "    %25: f32[60,300] = divide %24, %23\n"
    "    %26: f32[60,300] = log %25\n"
    "    %27: f32[60,300] = tanh %23\n"
    "    %28: pred[60,300] = compare %26, %27 direction=LT order=FLOAT\n"
    "    %29: f32[60,300] = select %28, %27, %26\n"
    "    return %29\n"
    "  }\n"
    "  %30: s32[300] = fusion %1 {\n"
    "    (%31: s32[60,300]):\n"
    "    %32: s32[] = constant value=0\n"
    "    %33: s32[300] = reduce %31, %32 dims=[0] {\n"
    "      (%34: s32[], %35: s32[]):\n"
    "      %36: s32[] = add %34, %35\n"
    "      return %36\n"
    "    }\n"
    "    return %33\n"
    "  }\n"
    "  %37: f32[500] = fusion %2 {\n"
    "    (%38: f32[500,12]):\n"
    "    %39: f32[] = constant value=0\n"
    "    %40: f32[500] = reduce %38, %39 dims=[1] {\n"
    "      (%41: f32[], %42: f32[]):\n"
    "      %43: f32[] = add %41, %42\n"
    "      return %43\n"
    "    }\n"
    "    return %40\n"
    "  }\n"
    "  %44: f32[] = fusion %3 {\n"
    "    (%45: f32[40000]):\n"
    "    %46: f32[] = constant value=0\n"
    "    %47: f32[] = reduce %45, %46 dims=[0] {\n"
    "      (%48: f32[], %49: f32[]):\n"
    "      %50: f32[] = add %48, %49\n"
    "      return %50\n"
    "    }\n"
    "    return %47\n"
    "  }\n"
    "  %51: bf16[300,60] = fusion %4 {\n"
    "    (%52: bf16[60,300]):\n"
    "    %53: bf16[60,300] = multiply %52, %52\n"
    "    %54: bf16[60,300] = add %53, %52\n"
    "    %55: bf16[300,60] = transpose %54 permutation=[1,0]\n"
    "    return %55\n"
    "  }\n"
    "  return %6, %22, %30, %37, %44, %51\n"
    "}\n";

enum { MOST_ARGUMENTS = 8 };

/* -- arguments */

/* Numbers in [-2, 2), after those that a compiler may treat wrongly. */
static void floats_fill(float *to, int64_t n) {
  static const uint32_t special[] = {0x7fc00000, 0x7f800000, 0xff800000, 0x80000000, 0,
                                     0x3f800000, 0xbf800000, 0x00800000, 0x7f7fffff};
  enum { N_SPECIAL = sizeof special / sizeof *special };
  uint32_t state = 1;
  for (int64_t i = 0; i < n; i++) {
    state = state * 1664525u + 1013904223u;
    to[i] = (float)(int32_t)state * 0x1p-30f;
    if (n > 1000 && i < N_SPECIAL) memcpy(&to[i], &special[i], sizeof *to);
  }
}

static jm_error *argument_create(const jm_mlx_api *api, const jm_type *type, jm_mlx_array **out) {
  uint32_t *words = jm_alloc_data((size_t)type->count * sizeof *words);
  if (!words) return jm_error_out_of_memory();
  floats_fill((float *)words, type->count);
  if (type->dtype == JM_DT_bf16) /* the upper halves */
    for (int64_t i = 0; i < type->count; i++) ((uint16_t *)words)[i] = (uint16_t)(words[i] >> 16);
  jm_error *error = jm_lower_import(api, type, words, out);
  jm_free(words);
  return error;
}

/* -- the run */

static jm_error *group_check(const jm_mlx_api *api, jm_mlx_kernels *kernels, bool flushes,
                             const jm_module *m, const jm_group_code *group,
                             jm_mlx_array *const *arguments) {
  const jm_op *op = jm_module_op(m, group->op);
  jm_mlx_array *operands[MOST_ARGUMENTS], *results[MOST_ARGUMENTS] = {NULL};
  for (uint32_t i = 0; i < op->n_operands; i++)
    operands[i] = arguments[op->operands[i] - jm_module_region(m, m->entry)->first_arg];
  jm_error *error = jm_mlx_group_run(kernels, group->op, operands, results);
  if (!error) error = jm_mlx_compare(api, flushes, m, group, operands, results);
  for (uint32_t i = 0; i < op->n_results; i++) api->array_release(results[i]);
  return error;
}

static jm_error *groups_check(const jm_mlx_api *api, jm_mlx_kernels *kernels, bool flushes,
                              const jm_module *m) {
  const jm_region *entry = jm_module_region(m, m->entry);
  const jm_groups *groups = jm_mlx_kernels_groups(kernels);
  jm_mlx_array *arguments[MOST_ARGUMENTS] = {NULL};
  jm_error *error = NULL;
  for (uint32_t i = 0; !error && i < entry->n_args; i++)
    error = argument_create(api, jm_module_typeof(m, entry->first_arg + i), &arguments[i]);
  for (uint32_t g = 0; !error && g < groups->n_groups; g++)
    error = group_check(api, kernels, flushes, m, &groups->groups[g], arguments);
  for (uint32_t i = 0; i < entry->n_args; i++) api->array_release(arguments[i]);
  return error;
}

static jm_error *module_check(const jm_mlx_api *api, const jm_mlx_device_fact *device,
                              const jm_target *target, const jm_module *m) {
  jm_mlx_kernels *kernels;
  JM_TRY(jm_mlx_kernels_create(api, device, target, m, &kernels));
  jm_error *error = groups_check(api, kernels, !strcmp(device->backend, "metal"), m);
  jm_mlx_kernels_destroy(kernels);
  return error;
}

/* -- the verdict */

static void release_none(void *code) { (void)code; }

/* What a verdict holds for: the device and its software, and the sources that were compared. */
static jm_error *key_print(const jm_mlx_api *api, const jm_mlx_device_fact *device,
                           const jm_target *target, const jm_module *m, jm_text *key) {
  const jm_c_dialect *dialect = strcmp(device->backend, "cuda") ? &jm_c_metal : &jm_c_cuda;
  jm_groups *groups = NULL;
  jm_text_printf(key, "kernels checked on %s, %s, MLX %s\n%s", device->kind, device->architecture,
                 api->mlx_version, dialect->prelude);
  JM_TRY(jm_groups_schedule(m, target, &groups));
  jm_error *error = NULL;
  for (uint32_t g = 0; g < groups->n_groups; g++)
    for (uint32_t i = 0; !error && i < groups->groups[g].schedule->n_launches; i++)
      error = jm_device_code_print(dialect, groups->groups[g].schedule->launches[i].kernel, key);
  jm_groups_destroy(groups, release_none);
  return error ? error : jm_text_error(key);
}

/* The kept verdict, or a new one: NULL, or why not. */
static jm_error *verdict_find(const jm_mlx_api *api, const jm_mlx_device_fact *device,
                              const jm_target *target, const jm_module *m, const char *key) {
  static const char good[] = "good";
  const char *folder = jm_setting_find(JM_SETTING_KERNEL_CACHE);
  char *kept = NULL;
  size_t size;
  if (folder && !strcmp(folder, "0")) folder = NULL;
  if (folder && jm_file_cache_find(folder, key, &kept, &size)) {
    const bool is_good = size == sizeof good - 1 && !memcmp(kept, good, size);
    jm_error *error = is_good ? NULL : jm_error_internal("%.*s", (int)size, kept);
    jm_free(kept);
    return error;
  }
  jm_error *error = module_check(api, device, target, m);
  const char *text = error ? jm_error_message(error) : good;
  if (folder && (!error || jm_error_code(error) == JM_INTERNAL))
    jm_file_cache_keep(folder, key, text, strlen(text));
  return error;
}

static jm_error *device_check(const jm_mlx_api *api, const jm_mlx_device_fact *device,
                              const jm_target *target) {
  jm_module *m = NULL;
  jm_text key;
  JM_TRY(jm_module_parse(program, sizeof program - 1, &m));
  jm_text_init(&key);
  jm_error *error = jm_module_verify(m);
  if (!error) error = key_print(api, device, target, m, &key);
  if (!error) error = verdict_find(api, device, target, m, jm_text_bytes(&key));
  jm_text_deinit(&key);
  jm_module_destroy(m);
  return error;
}

bool jm_mlx_device_check(const jm_mlx_api *api, const jm_mlx_device_fact *device,
                         const jm_target *target) {
  for (size_t i = 0; i < sizeof verified / sizeof *verified; i++)
    if (!strcmp(verified[i], device->kind)) return true;
  jm_error *error = device_check(api, device, target);
  if (!error) return true;
  fprintf(stderr,
          "jax-mps-c: kernels of ours don't run right on %s, so every op goes through MLX, as with "
          "JAX_MPS_KERNELS=0; please report this: %s\n",
          device->kind, jm_error_message(error));
  jm_error_destroy(error);
  return false;
}
