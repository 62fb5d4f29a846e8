/* SPDX-License-Identifier: Apache-2.0
 * Scalar regions run on many lanes: a region whose ops are all elementwise becomes a list of calls
 * over arrays of n elements. Values that are equal in all lanes (constants, captures) are broadcast
 * once; operand pointers are fixed, except for those of the region's arguments, which each run
 * sets. */
#include <string.h>

#include "engine/host/library/copy.h"
#include "engine/host/library/functions.h"
#include "engine/host/library/region.h"

enum { MAX_OPERANDS = 3, MIN_LANES = 16, LANES_BYTES = 128 * 1024 };

typedef struct step {
  jm_elementwise_kernel *kernel; /* NULL: run the call */
  jm_call call;
  jm_tensor in[MAX_OPERANDS], out[1];
  void *pointers[MAX_OPERANDS]; /* the kernel's form of in */
} step;

typedef struct patch { /* *at = args[arg] */
  void **at;
  uint32_t arg;
} patch;

/* The place of a value of the region: an argument of the run, or memory of our own. */
typedef struct slot {
  const jm_type *type;
  void *data;
  uint32_t arg; /* JM_NONE: data */
} slot;

struct jm_library_region {
  const jm_module *module;
  jm_region_id id;
  jm_arena arena;
  uint32_t n_args, n_results; /* without captures */
  size_t lanes;
  bool lifted;
  /* lifted */
  step *steps;
  uint32_t n_steps;
  patch *patches;
  uint32_t n_patches;
  slot *results;
  int64_t n; /* elements of the present run: the only dimension of each of types */
  jm_type types[JM_N_DTYPES];
  char *memory;
  /* not lifted: one run of the whole region per lane */
  jm_tensor *tensors, *outputs;
};

static bool is_scalar(const jm_module *m, jm_value v) { return jm_module_typeof(m, v)->rank == 0; }

/* Ops on scalars that only pass their operand on. */
static bool is_identity(jm_opcode code) {
  return code == JM_OP_broadcast_in_dim || code == JM_OP_reshape || code == JM_OP_transpose ||
         code == JM_OP_reverse || code == JM_OP_slice;
}

static bool same_width(const jm_module *m, const jm_op *op) {
  return jm_dtype_facts[jm_op_operand_type(m, op, 0)->dtype].bits ==
         jm_dtype_facts[jm_op_result_type(m, op, 0)->dtype].bits;
}

static bool op_is_lifted(const jm_module *m, const jm_op *op) {
  if (op->n_regions || op->n_results != 1 || op->n_operands > MAX_OPERANDS) return false;
  for (uint32_t i = 0; i < op->n_operands; i++)
    if (!is_scalar(m, op->operands[i])) return false;
  if (!is_scalar(m, op->first_result)) return false;
  if (op->code == JM_OP_constant || is_identity(op->code)) return true;
  if (op->code == JM_OP_optimization_barrier) return op->n_operands == 1;
  if (op->code == JM_OP_bitcast_convert) return same_width(m, op);
  return jm_op_facts[op->code].traits & JM_TRAIT_ELEMENTWISE;
}

static bool region_is_lifted(const jm_module *m, const jm_region *region) {
  for (uint32_t i = 0; i < region->n_args; i++)
    if (!is_scalar(m, region->first_arg + i)) return false;
  for (uint32_t i = 0; i < region->n_ops; i++)
    if (!op_is_lifted(m, jm_module_op(m, region->ops[i]))) return false;
  return true;
}

/* A region's own values lie in [first_arg, end); values of nested regions may lie between. */
static jm_value values_end(const jm_module *m, const jm_region *region) {
  jm_value end = region->first_arg + region->n_args;
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(m, region->ops[i]);
    if (op->first_result + op->n_results > end) end = op->first_result + op->n_results;
  }
  return end;
}

static jm_value values_begin(const jm_module *m, const jm_region *region) {
  jm_value begin = region->n_args ? region->first_arg : JM_NONE;
  for (uint32_t i = 0; i < region->n_ops; i++) {
    jm_value first = jm_module_op(m, region->ops[i])->first_result;
    if (first < begin) begin = first;
  }
  return begin == JM_NONE ? region->first_arg : begin;
}

static jm_type *lane_type(jm_library_region *r, jm_dtype dtype) {
  r->types[dtype] = (jm_type){.dtype = dtype, .rank = 1, .dims = &r->n};
  return &r->types[dtype];
}

/* Bytes of one lane in all the values that take memory, each rounded up to whole cache lines. */
static size_t slot_bytes(jm_dtype dtype, size_t lanes) {
  return jm_alloc_lines(jm_dtype_bytes(dtype) * lanes);
}

static size_t memory_bytes(const jm_module *m, const jm_region *region, uint32_t n_captures,
                           size_t lanes) {
  size_t bytes = 0;
  for (uint32_t i = region->n_args - n_captures; i < region->n_args; i++)
    bytes += slot_bytes(jm_module_typeof(m, region->first_arg + i)->dtype, lanes);
  for (uint32_t i = 0; i < region->n_ops; i++)
    bytes += slot_bytes(jm_op_result_type(m, jm_module_op(m, region->ops[i]), 0)->dtype, lanes);
  return bytes;
}

static jm_error *step_build(jm_library_region *r, const jm_op *op, const slot *slots, jm_value base,
                            void *data) {
  const jm_module *m = r->module;
  step *s = &r->steps[r->n_steps++];
  s->call = (jm_call){.module = m, .op = op, .in = s->in, .out = s->out};
  s->out[0] = (jm_tensor){lane_type(r, jm_op_result_type(m, op, 0)->dtype), data};
  for (uint32_t i = 0; i < op->n_operands; i++) {
    const slot *from = &slots[op->operands[i] - base];
    s->in[i] = (jm_tensor){lane_type(r, from->type->dtype), from->data};
    s->pointers[i] = from->data;
    if (from->arg == JM_NONE) continue;
    r->patches[r->n_patches++] = (patch){&s->in[i].data, from->arg};
    r->patches[r->n_patches++] = (patch){&s->pointers[i], from->arg};
  }
  if (jm_library_fns[op->code] == jm_elementwise_run)
    s->kernel = jm_elementwise_find(op->code, jm_op_operand_type(m, op, 0)->dtype);
  if (!s->kernel && !jm_library_fns[op->code])
    return jm_op_error(m, op, JM_INTERNAL, "no function for an elementwise op");
  return NULL;
}

static jm_error *lift(jm_library_region *r, const jm_region *region, const jm_tensor *captures,
                      uint32_t n_captures, size_t max_lanes) {
  const jm_module *m = r->module;
  size_t per_lane = memory_bytes(m, region, n_captures, JM_DATA_ALIGNMENT) / JM_DATA_ALIGNMENT;
  r->lanes = per_lane ? LANES_BYTES / per_lane : max_lanes;
  if (r->lanes < MIN_LANES) r->lanes = MIN_LANES;
  if (r->lanes > max_lanes) r->lanes = max_lanes;
  jm_value base = values_begin(m, region), n_values = values_end(m, region) - base;
  uint32_t n_operands = region->n_ops * MAX_OPERANDS;
  slot *slots = jm_arena_alloc(&r->arena, n_values, sizeof *slots);
  r->memory = jm_alloc_data(memory_bytes(m, region, n_captures, r->lanes));
  r->steps = jm_arena_alloc(&r->arena, region->n_ops, sizeof *r->steps);
  r->patches = jm_arena_alloc(&r->arena, n_operands, 2 * sizeof *r->patches);
  r->results = jm_arena_alloc(&r->arena, region->n_results, sizeof *r->results);
  if (!slots || !r->memory || !r->steps || !r->patches || !r->results)
    return jm_error_out_of_memory();
  char *memory = r->memory;
  for (uint32_t i = 0; i < region->n_args; i++) {
    slot *s = &slots[region->first_arg + i - base];
    *s = (slot){jm_module_typeof(m, region->first_arg + i), NULL, i};
    if (i < r->n_args) continue;
    s->arg = JM_NONE;
    s->data = memory;
    memory += slot_bytes(s->type->dtype, r->lanes);
    jm_copy_fill(s->data, captures[i - r->n_args].data, jm_dtype_bytes(s->type->dtype),
                 (int64_t)r->lanes);
  }
  for (uint32_t i = 0; i < region->n_ops; i++) {
    const jm_op *op = jm_module_op(m, region->ops[i]);
    slot *s = &slots[op->first_result - base];
    if (is_identity(op->code) || op->code == JM_OP_optimization_barrier) {
      *s = slots[op->operands[0] - base];
      continue;
    }
    *s = (slot){jm_op_result_type(m, op, 0), memory, JM_NONE};
    memory += slot_bytes(s->type->dtype, r->lanes);
    if (op->code == JM_OP_constant)
      jm_copy_fill(s->data, ((const jm_constant_attrs *)op->attrs)->value.bytes,
                   jm_dtype_bytes(s->type->dtype), (int64_t)r->lanes);
    else
      JM_TRY(step_build(r, op, slots, base, s->data));
  }
  for (uint32_t i = 0; i < region->n_results; i++) r->results[i] = slots[region->results[i] - base];
  return NULL;
}

/* Copies of the arguments, as results may be their memory, and fixed captures. */
static jm_error *prepare_evaluation(jm_library_region *r, const jm_region *region,
                                    const jm_tensor *captures, uint32_t n_captures) {
  const jm_module *m = r->module;
  r->lanes = 1;
  r->tensors = jm_arena_alloc(&r->arena, region->n_args, sizeof *r->tensors);
  r->outputs = jm_arena_alloc(&r->arena, region->n_results, sizeof *r->outputs);
  if (!r->tensors || !r->outputs) return jm_error_out_of_memory();
  for (uint32_t i = 0; i < r->n_args; i++) {
    const jm_type *type = jm_module_typeof(m, region->first_arg + i);
    r->tensors[i] = (jm_tensor){type, jm_arena_alloc(&r->arena, 1, jm_type_bytes(type))};
    if (!r->tensors[i].data) return jm_error_out_of_memory();
  }
  if (n_captures) memcpy(r->tensors + r->n_args, captures, n_captures * sizeof *captures);
  for (uint32_t i = 0; i < region->n_results; i++)
    r->outputs[i].type = jm_module_typeof(m, region->results[i]);
  return NULL;
}

jm_error *jm_library_region_create(const jm_module *module, jm_region_id id,
                                   const jm_tensor *captures, uint32_t n_captures, size_t max_lanes,
                                   jm_library_region **out) {
  const jm_region *region = jm_module_region(module, id);
  jm_library_region *r = jm_alloc(1, sizeof *r);
  if (!r) return jm_error_out_of_memory();
  r->module = module;
  r->id = id;
  r->n_args = region->n_args - n_captures;
  r->n_results = region->n_results;
  jm_arena_init(&r->arena);
  r->lifted = region_is_lifted(module, region);
  jm_error *error = r->lifted ? lift(r, region, captures, n_captures, max_lanes ? max_lanes : 1)
                              : prepare_evaluation(r, region, captures, n_captures);
  if (error) {
    jm_library_region_destroy(r);
    return error;
  }
  *out = r;
  return NULL;
}

void jm_library_region_destroy(jm_library_region *r) {
  if (!r) return;
  jm_arena_deinit(&r->arena);
  jm_free(r->memory);
  jm_free(r);
}

size_t jm_library_region_lanes(const jm_library_region *r) { return r->lanes; }

static jm_error *run_evaluation(jm_library_region *r, const void *const *args, void *const *results,
                                size_t lane) {
  for (uint32_t i = 0; i < r->n_args; i++) {
    size_t bytes = jm_type_bytes(r->tensors[i].type);
    memcpy(r->tensors[i].data, (const char *)args[i] + lane * bytes, bytes);
  }
  for (uint32_t i = 0; i < r->n_results; i++)
    r->outputs[i].data = (char *)results[i] + lane * jm_type_bytes(r->outputs[i].type);
  return jm_library_evaluate(r->module, r->id, r->tensors, r->outputs, NULL);
}

/* A result that is an argument may be overwritten through another result's memory before it is
 * copied, unless it is the only result. */
static jm_error *copy_results(const jm_library_region *r, const void *const *args,
                              void *const *results, size_t n) {
  bool through_arg = false;
  for (uint32_t i = 0; i < r->n_results; i++) through_arg |= r->results[i].arg != JM_NONE;
  void **copies = NULL;
  if (through_arg && r->n_results > 1) {
    copies = jm_alloc(r->n_results, sizeof *copies);
    if (!copies) return jm_error_out_of_memory();
  }
  jm_error *error = NULL;
  for (uint32_t i = 0; copies && i < r->n_results; i++) {
    const slot *s = &r->results[i];
    if (s->arg == JM_NONE) continue;
    size_t bytes = n * jm_dtype_bytes(s->type->dtype);
    copies[i] = jm_alloc_data(bytes);
    if (!copies[i]) error = jm_error_out_of_memory();
    if (error) break;
    memcpy(copies[i], args[s->arg], bytes);
  }
  for (uint32_t i = 0; !error && i < r->n_results; i++) {
    const slot *s = &r->results[i];
    const void *from = copies && copies[i] ? copies[i] : s->arg == JM_NONE ? s->data : args[s->arg];
    memmove(results[i], from, n * jm_dtype_bytes(s->type->dtype));
  }
  for (uint32_t i = 0; copies && i < r->n_results; i++) jm_free(copies[i]);
  jm_free(copies);
  return error;
}

jm_error *jm_library_region_run(jm_library_region *r, const void *const *args, void *const *results,
                                size_t n) {
  if (!r->lifted) {
    for (size_t lane = 0; lane < n; lane++) JM_TRY(run_evaluation(r, args, results, lane));
    return NULL;
  }
  if (n > r->lanes) return jm_error_internal("a region was run on more lanes than it has");
  if (r->n != (int64_t)n) {
    r->n = (int64_t)n;
    for (int d = 0; d < JM_N_DTYPES; d++) r->types[d].count = r->n;
  }
  for (uint32_t i = 0; i < r->n_patches; i++) {
    memcpy(r->patches[i].at, &args[r->patches[i].arg], sizeof args[0]);
  }
  for (uint32_t i = 0; i < r->n_steps; i++) {
    step *s = &r->steps[i];
    if (s->kernel)
      s->kernel((const void *const *)s->pointers, s->out[0].data, n);
    else
      JM_TRY(jm_library_fns[s->call.op->code](&s->call));
  }
  return copy_results(r, args, results, n);
}
