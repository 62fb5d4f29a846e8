/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/emit/reduction.h"

#include "kernel/emit/element.h"

void jm_reduction_init(const jm_module *m, const jm_op *op, jm_reduction *r) {
  *r = (jm_reduction){.op = op, .n = op->n_results};
  for (uint32_t i = 0; i < r->n; i++) {
    r->dtypes[i] = jm_op_operand_type(m, op, i)->dtype;
    r->parts += jm_dtype_is_complex(r->dtypes[i]) ? 2 : 1;
  }
  if (jm_body_monoid(m, op->first_region, &r->monoid)) {
    const jm_opcode code = r->monoid.code;
    const bool ordered = code == JM_OP_maximum || code == JM_OP_minimum;
    r->idempotent = r->monoid.idempotent;
    r->grouped = r->monoid.grouped;
    r->largest = code == JM_OP_maximum;
    r->keyed = ordered && jm_dtype_is_float(r->dtypes[0]);
    r->dtypes[0] = !r->keyed                   ? r->monoid.accumulator
                   : r->dtypes[0] == JM_DT_f64 ? JM_DT_s64
                                               : JM_DT_s32;
  } else {
    r->monoid.code = JM_N_OPS;
    r->argument = jm_body_argmax(m, op->first_region, &r->largest);
    r->idempotent = r->grouped = r->argument;
  }
}

void jm_reduction_pair(jm_reduction *r) {
  const bool has_key = r->dtypes[0] == JM_DT_f32 || r->dtypes[0] == JM_DT_s32;
  if (!r->argument || !has_key || r->dtypes[1] != JM_DT_s32) return;
  r->paired = true;
  r->parts = 1;
}

/* -- building */

static void pull_init(const jm_reduction *r, jm_emit *e, jm_element *out) {
  for (uint32_t i = 0; i < r->n; i++) out[i] = jm_emit_value(e, r->op->operands[r->n + i], NULL);
}

/* The bits of floats order as integers once those of negative ones are inverted: -0 is below +0,
 * and NaN maps to the winning extreme. A step is then one integer instruction of low latency, with
 * no further rule. */
static jm_kval turn_negative(jm_kbuilder *b, jm_kval bits) {
  const jm_ktype it = jm_kbuild_type(b, bits);
  const int width = jm_ktype_bits[it];
  return jm_k_xor(b, bits,
                  jm_k_and(b, jm_k_ashr(b, bits, jm_k_int(b, it, width - 1)),
                           jm_k_int(b, it, INT64_MAX >> (64 - width))));
}

static jm_kval key_of(const jm_reduction *r, jm_kbuilder *b, jm_kval x) {
  const jm_ktype it = jm_kbuild_type(b, x) == JM_KT_f64 ? JM_KT_i64 : JM_KT_i32;
  const int unused = 64 - (int)jm_ktype_bits[it];
  int64_t winner = (r->largest ? INT64_MAX : INT64_MIN) >> unused;
  return jm_k_select(b, jm_k_funo(b, x, x), jm_k_int(b, it, winner),
                     turn_negative(b, jm_k_bits(b, x)));
}

/* The least pair has the value that wins, NaN before all others, and of equal ones (-0 is 0) the
 * lowest index. */
static jm_kval pair_of(const jm_reduction *r, jm_kbuilder *b, jm_kval x, jm_kval index) {
  const jm_kval ones = jm_kbuild_int(b, JM_KT_i32, -1);
  const jm_kval sign = jm_kbuild_int(b, JM_KT_i32, INT32_MIN);
  jm_kval key = x;
  if (r->dtypes[0] == JM_DT_f32)
    key = turn_negative(b, jm_k_bits(b, jm_k_fadd(b, x, jm_k_float(b, JM_KT_f32, 0))));
  if (r->largest) key = jm_k_xor(b, key, ones);
  if (r->dtypes[0] == JM_DT_f32) key = jm_k_select(b, jm_k_funo(b, x, x), sign, key);
  jm_kval high = jm_k_shl(b, jm_k_sext(b, JM_KT_i64, key), jm_k_int(b, JM_KT_i64, 32));
  return jm_k_or(b, high, jm_k_zext(b, JM_KT_i64, jm_k_xor(b, index, sign)));
}

static jm_kval index_of_pair(jm_kbuilder *b, jm_kval pair) {
  return jm_k_xor(b, jm_k_itrunc(b, JM_KT_i32, pair), jm_kbuild_int(b, JM_KT_i32, INT32_MIN));
}

void jm_reduction_lift(const jm_reduction *r, jm_emit *e, jm_element *elements) {
  if (r->paired)
    elements[0] =
        jm_element_of(pair_of(r, jm_emit_builder(e), elements[0].part[0], elements[1].part[0]));
  if (r->keyed) elements[0].part[0] = key_of(r, jm_emit_builder(e), elements[0].part[0]);
}

void jm_reduction_start(const jm_reduction *r, jm_emit *e, jm_element *out) {
  if (r->idempotent || !r->grouped) {
    pull_init(r, e, out);
    jm_reduction_lift(r, e, out);
    return;
  }
  uint8_t identity[16];
  jm_monoid_identity(&r->monoid, r->dtypes[0], identity);
  out[0] = jm_emit_constant(e, r->dtypes[0], identity);
}

/* The lower index wins among equal values, and among NaNs, in whatever order lanes are combined. */
static void step_argument(const jm_reduction *r, jm_emit *e, const jm_element *a,
                          const jm_element *c, jm_element *out) {
  jm_kbuilder *b = jm_emit_builder(e);
  jm_kval x = a[0].part[0], y = c[0].part[0], i = a[1].part[0], j = c[1].part[0];
  jm_kval low = r->largest ? y : x, high = r->largest ? x : y, better, equal;
  if (jm_dtype_is_float(r->dtypes[0])) {
    jm_kval nan_x = jm_k_funo(b, x, x), nan_y = jm_k_funo(b, y, y);
    jm_kval no_y = jm_k_xor(b, nan_y, jm_kbuild_int(b, JM_KT_i1, 1));
    better = jm_k_or(b, jm_k_folt(b, low, high), jm_k_and(b, nan_x, no_y));
    equal = jm_k_or(b, jm_k_foeq(b, x, y), jm_k_and(b, nan_x, nan_y));
  } else {
    bool is_signed = jm_dtype_classof(r->dtypes[0]) == JM_CLASS_SINT;
    better = jm_kbuild2(b, is_signed ? JM_K_slt : JM_K_ult, low, high);
    equal = jm_k_ieq(b, x, y);
  }
  bool is_signed = jm_dtype_classof(r->dtypes[1]) == JM_CLASS_SINT;
  jm_kval before = jm_kbuild2(b, is_signed ? JM_K_slt : JM_K_ult, i, j);
  jm_kval first = jm_k_or(b, better, jm_k_and(b, equal, before));
  out[0] = (jm_element){{jm_k_select(b, better, x, y), JM_KNONE}};
  out[1] = (jm_element){{jm_k_select(b, first, i, j), JM_KNONE}};
}

void jm_reduction_step(const jm_reduction *r, jm_emit *e, const jm_element *a, const jm_element *b,
                       jm_element *out) {
  bool wide = r->dtypes[0] == JM_DT_f32 &&
              (r->monoid.code == JM_OP_add || r->monoid.code == JM_OP_multiply);
  if (r->paired) {
    out[0] = jm_element_of(jm_k_smin(jm_emit_builder(e), a[0].part[0], b[0].part[0]));
  } else if (r->argument) {
    step_argument(r, e, a, b, out);
  } else if (r->keyed) {
    jm_kopcode code = r->largest ? JM_K_smax : JM_K_smin;
    out[0] = jm_element_of(jm_kbuild2(jm_emit_builder(e), code, a[0].part[0], b[0].part[0]));
  } else if (wide) { /* also of narrow floats, without rounding in between */
    jm_kopcode code = r->monoid.code == JM_OP_add ? JM_K_fadd : JM_K_fmul;
    out[0] =
        (jm_element){{jm_kbuild2(jm_emit_builder(e), code, a[0].part[0], b[0].part[0]), JM_KNONE}};
  } else {
    jm_element args[2 * JM_REDUCTION_RESULTS], results[JM_REDUCTION_RESULTS];
    for (uint32_t i = 0; i < r->n; i++) args[i] = a[i], args[r->n + i] = b[i];
    jm_emit_region(e, r->op, r->op->first_region, args, results);
    for (uint32_t i = 0; i < r->n; i++) out[i] = results[i];
  }
}

void jm_reduction_finish(const jm_reduction *r, jm_emit *e, const jm_element *acc,
                         jm_element *out) {
  if (r->paired) {
    out[0] = (jm_element){{JM_KNONE, JM_KNONE}};
    out[1] = jm_element_of(index_of_pair(jm_emit_builder(e), acc[0].part[0]));
    return;
  }
  if (r->keyed) {
    jm_kbuilder *b = jm_emit_builder(e);
    out[0] = jm_element_of(jm_k_from_bits(b, turn_negative(b, acc[0].part[0])));
    return;
  }
  if (r->idempotent || !r->grouped) {
    for (uint32_t i = 0; i < r->n; i++) out[i] = acc[i];
    return;
  }
  /* The body itself, so that narrow floats are rounded here, once. */
  jm_element args[2] = {{{JM_KNONE, JM_KNONE}}, acc[0]};
  pull_init(r, e, args);
  jm_emit_region(e, r->op, r->op->first_region, args, out);
}

uint32_t jm_reduction_pack(const jm_reduction *r, const jm_element *acc, jm_kval *parts) {
  uint32_t n = 0, accumulators = r->paired ? 1 : r->n;
  for (uint32_t i = 0; i < accumulators; i++)
    for (int k = 0; k < (jm_dtype_is_complex(r->dtypes[i]) ? 2 : 1); k++)
      parts[n++] = acc[i].part[k];
  return n;
}

uint32_t jm_reduction_unpack(const jm_reduction *r, const jm_kval *parts, jm_element *acc) {
  uint32_t n = 0, accumulators = r->paired ? 1 : r->n;
  for (uint32_t i = 0; i < accumulators; i++) {
    acc[i] = (jm_element){{parts[n++], JM_KNONE}};
    if (jm_dtype_is_complex(r->dtypes[i])) acc[i].part[1] = parts[n++];
  }
  return n;
}
