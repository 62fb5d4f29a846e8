/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mlx/compare.h"

#include <math.h>
#include <string.h>

#include "base/convert.h"
#include "base/counters.h"
#include "ir/element.h"

/* What one group's comparison works on: memory of the host for each of the op's values. */
typedef struct comparison {
  const jm_mlx_api *api;
  const jm_module *m;
  const jm_op *op;
  const jm_schedule *schedule;
  bool flushes;
  void **operands, **results, **temporaries; /* of the interpreter's run */
  jm_arena arena;                            /* of the lists, not of what they hold */
} comparison;

/* -- memory */

static jm_error *blocks_create(comparison *c, uint32_t n, void ***out) {
  *out = jm_arena_alloc(&c->arena, n + 1u, sizeof **out);
  return *out ? NULL : jm_error_out_of_memory();
}

static jm_error *block_create(size_t bytes, void **out) {
  *out = jm_alloc_data(bytes ? bytes : 1);
  return *out ? NULL : jm_error_out_of_memory();
}

static jm_error *fetch(comparison *c, const jm_type *type, jm_mlx_array *array, void **out) {
  JM_TRY(block_create(jm_type_bytes(type), out));
  return c->api->array_export(array, *out, jm_type_bytes(type));
}

static jm_error *memory_create(comparison *c, jm_mlx_array *const *operands) {
  JM_TRY(blocks_create(c, c->op->n_operands, &c->operands));
  JM_TRY(blocks_create(c, c->op->n_results, &c->results));
  JM_TRY(blocks_create(c, c->schedule->n_temporaries, &c->temporaries));
  for (uint32_t i = 0; i < c->op->n_operands; i++)
    JM_TRY(fetch(c, jm_op_operand_type(c->m, c->op, i), operands[i], &c->operands[i]));
  for (uint32_t i = 0; i < c->op->n_results; i++)
    JM_TRY(block_create(jm_type_bytes(jm_op_result_type(c->m, c->op, i)), &c->results[i]));
  for (uint32_t i = 0; i < c->schedule->n_temporaries; i++)
    JM_TRY(block_create(c->schedule->temporary_bytes[i], &c->temporaries[i]));
  return NULL;
}

static void memory_destroy(comparison *c) {
  for (uint32_t i = 0; c->operands && i < c->op->n_operands; i++) jm_free(c->operands[i]);
  for (uint32_t i = 0; c->results && i < c->op->n_results; i++) jm_free(c->results[i]);
  for (uint32_t i = 0; c->temporaries && i < c->schedule->n_temporaries; i++)
    jm_free(c->temporaries[i]);
  jm_arena_deinit(&c->arena);
}

/* -- the interpreter's run */

static void *argument_address(const comparison *c, const jm_launch_argument *argument) {
  switch (argument->memory) {
    case JM_LAUNCH_OPERAND:
      return c->operands[argument->index];
    case JM_LAUNCH_RESULT:
      return c->results[argument->index];
    case JM_LAUNCH_TEMPORARY:
      return c->temporaries[argument->index];
    case JM_LAUNCH_ROWS: /* the host's alone */
      break;
  }
  return NULL;
}

static jm_error *interpret(comparison *c, const jm_launch *launch) {
  const jm_kernel *kernel = launch->kernel;
  void **buffers = jm_arena_alloc(&c->arena, kernel->n_params + 1u, sizeof *buffers), *scratch;
  if (!buffers) return jm_error_out_of_memory();
  for (uint32_t i = 0, n = 0; i < kernel->n_params; i++)
    if (kernel->params[i].space == JM_SPACE_GLOBAL) {
      buffers[n] = argument_address(c, &launch->arguments[n]);
      n++;
    }
  JM_TRY(block_create(jm_kernel_scratch_bytes(kernel), &scratch));
  jm_error *error = jm_kernel_interpret(kernel, buffers, scratch, 0, kernel->chunks, NULL);
  jm_free(scratch);
  return error;
}

/* -- elements */

static bool is_subnormal(jm_dtype dtype, double x) {
  return dtype == JM_DT_f32 && fabs(x) < 0x1p-126;
}

/* One number, of a type that is not complex. */
static bool is_same(const comparison *c, jm_dtype dtype, const void *want, const void *have) {
  double x, y;
  if (!memcmp(want, have, jm_dtype_bytes(dtype))) return true;
  if (!jm_dtype_is_float(dtype)) return false;
  jm_error *error = jm_convert_run(dtype, JM_DT_f64, want, &x, 1);
  if (!error) error = jm_convert_run(dtype, JM_DT_f64, have, &y, 1);
  const bool converted = !error;
  jm_error_destroy(error);
  if (!converted) return false;
  return (isnan(x) && isnan(y)) || (c->flushes && is_subnormal(dtype, x) && is_subnormal(dtype, y));
}

/* "add, tanh" */
static void describe_ops(const comparison *c, jm_text *text) {
  enum { MOST = 12 };
  const jm_region *region = jm_op_region(c->m, c->op, 0);
  for (uint32_t i = 0; i < region->n_ops && i < MOST; i++)
    jm_text_printf(text, "%s%s", i ? ", " : "",
                   jm_op_facts[jm_module_op(c->m, region->ops[i])->code].name);
  if (region->n_ops > MOST) jm_text_printf(text, ", ...");
}

static jm_error *difference(const comparison *c, uint32_t result, int64_t element, jm_dtype dtype,
                            const void *want, const void *have) {
  jm_text ops, values;
  jm_text_init(&ops);
  jm_text_init(&values);
  describe_ops(c, &ops);
  jm_element_print(dtype, have, &values);
  jm_text_printf(&values, ", not ");
  jm_element_print(dtype, want, &values);
  jm_error *error = jm_op_error(c->m, c->op, JM_INTERNAL,
                                "the device's kernels of group \"%s\" of %s differ from the "
                                "interpreter's: result %u, element "
                                "%lld is %s",
                                c->schedule->name, jm_text_bytes(&ops), result, (long long)element,
                                jm_text_bytes(&values));
  jm_text_deinit(&ops);
  jm_text_deinit(&values);
  return error;
}

static jm_error *result_compare(comparison *c, uint32_t i, jm_mlx_array *array) {
  const jm_type *type = jm_op_result_type(c->m, c->op, i);
  const jm_dtype part = jm_dtype_real(type->dtype);
  const size_t size = jm_dtype_bytes(type->dtype), step = jm_dtype_bytes(part);
  void *fetched = NULL;
  jm_error *error = fetch(c, type, array, &fetched);
  const char *have = fetched, *want = c->results[i];
  for (int64_t e = 0; !error && e < type->count; e++, have += size, want += size)
    for (size_t at = 0; !error && at < size; at += step)
      if (!is_same(c, part, want + at, have + at))
        error = difference(c, i, e, type->dtype, want, have);
  jm_free(fetched);
  return error;
}

static jm_error *compare(comparison *c, jm_mlx_array *const *operands,
                         jm_mlx_array *const *results) {
  JM_TRY(memory_create(c, operands));
  for (uint32_t i = 0; i < c->schedule->n_launches; i++)
    JM_TRY(interpret(c, &c->schedule->launches[i]));
  for (uint32_t i = 0; i < c->op->n_results; i++) JM_TRY(result_compare(c, i, results[i]));
  return NULL;
}

jm_error *jm_mlx_compare(const jm_mlx_api *api, bool flushes, const jm_module *m,
                         const jm_group_code *group, jm_mlx_array *const *operands,
                         jm_mlx_array *const *results) {
  comparison c = {.api = api,
                  .m = m,
                  .op = jm_module_op(m, group->op),
                  .schedule = group->schedule,
                  .flushes = flushes};
  jm_arena_init(&c.arena);
  jm_counter_add(JM_COUNTER_groups_compared, 1);
  jm_error *error = compare(&c, operands, results);
  memory_destroy(&c);
  return error;
}
