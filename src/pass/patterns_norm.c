/* SPDX-License-Identifier: Apache-2.0
 * The patterns layer_norm and rms_norm, along the last dimension:
 *
 *   layer_norm  x, weight, bias   (x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias
 *   rms_norm    x, weight         x / sqrt(mean(x * x) + epsilon) * weight
 *
 * as rsqrt and a product or as sqrt and a quotient, with the weight multiplied before or after, and
 * the variance as the mean of squared deviations or as mean(x * x) - mean(x)^2, clamped at 0.
 * Config: epsilon. The weight and the bias are vectors along the last dimension. */
#include "pass/patterns.h"

/* The values found between the result and x. */
typedef struct norm {
  jm_value x, weight, bias;  /* the last two JM_NONE if there are none */
  jm_value mean, deviations; /* JM_NONE: of rms_norm */
  double epsilon;
} norm;

/* The other operand of a commutative op of which one operand is a repeated vector without other
 * uses. */
static jm_value without_vector(jm_pattern *p, const jm_op *op, jm_value *vector) {
  for (uint32_t i = 0; i < 2; i++) {
    jm_value found = jm_pattern_repeated_vector(p, op->operands[i]);
    if (found == JM_NONE || *vector != JM_NONE ||
        !jm_pattern_inner(p, op->operands[i], JM_OP_broadcast_in_dim, 1))
      continue;
    *vector = found;
    return op->operands[1 - i];
  }
  return JM_NONE;
}

/* The operand of shape [..., 1] that is repeated along the last dimension, if it has this many
 * uses. */
static jm_value widened(jm_pattern *p, jm_value v, uint32_t uses) {
  const jm_op *op = jm_pattern_inner(p, v, JM_OP_broadcast_in_dim, uses);
  if (!op) return JM_NONE;
  const jm_broadcast_in_dim_attrs *attrs = op->attrs;
  const jm_type *from = jm_op_operand_type(p->m, op, 0), *to = jm_module_typeof(p->m, v);
  if (!to->rank || from->rank != to->rank || from->dims[to->rank - 1] != 1) return JM_NONE;
  for (uint32_t d = 0; d < to->rank; d++)
    if (attrs->dims.data[d] != d || (d + 1 < to->rank && from->dims[d] != to->dims[d]))
      return JM_NONE;
  return op->operands[0];
}

/* x, if the value is sum(x) / n along the last dimension, as [..., 1], with this many uses. */
static jm_value mean_of(jm_pattern *p, jm_value v, uint32_t uses) {
  const jm_op *op = jm_module_definition(p->m, v);
  double n = 0;
  if (!op || (op->code != JM_OP_divide && op->code != JM_OP_multiply) ||
      !jm_pattern_is_number(p, op->operands[1], &n) || !jm_pattern_inner(p, v, op->code, uses))
    return JM_NONE;
  const jm_op *wide = jm_pattern_inner(p, op->operands[0], JM_OP_broadcast_in_dim, 1);
  if (!wide) wide = jm_pattern_inner(p, op->operands[0], JM_OP_reshape, 1);
  const jm_type *type = jm_module_typeof(p->m, v);
  const jm_op *sum = wide && type->rank && type->dims[type->rank - 1] == 1
                         ? jm_pattern_reduces_last(p, wide->operands[0], JM_OP_add, 0)
                         : NULL;
  if (!sum) return JM_NONE;
  const jm_type *from = jm_op_operand_type(p->m, sum, 0);
  double size = (double)from->dims[from->rank - 1];
  return from->rank == type->rank && n == (op->code == JM_OP_divide ? size : 1 / size)
             ? sum->operands[0]
             : JM_NONE;
}

/* v, if the value is v * v. */
static jm_value squared(jm_pattern *p, jm_value v) {
  const jm_op *op = jm_pattern_inner(p, v, JM_OP_multiply, 1);
  return op && op->operands[0] == op->operands[1] ? op->operands[0] : JM_NONE;
}

/* x - mean(x), with this many uses. */
static bool is_deviation(jm_pattern *p, norm *f, jm_value v, uint32_t uses, uint32_t mean_uses) {
  const jm_op *less = jm_pattern_inner(p, v, JM_OP_subtract, uses);
  f->mean = less ? widened(p, less->operands[1], 1) : JM_NONE;
  if (f->mean == JM_NONE) return false;
  f->x = mean_of(p, f->mean, mean_uses);
  f->deviations = v;
  return f->x != JM_NONE && f->x == less->operands[0];
}

/* mean(x * x) - mean(x)^2, at least 0 */
static bool is_difference_of_means(jm_pattern *p, const norm *f, jm_value v) {
  const jm_op *clamped = jm_pattern_inner(p, v, JM_OP_maximum, 1);
  if (!clamped) return false;
  bool first = jm_pattern_is(p, clamped->operands[0], 0);
  if (!first && !jm_pattern_is(p, clamped->operands[1], 0)) return false;
  const jm_op *less = jm_pattern_inner(p, clamped->operands[first], JM_OP_subtract, 1);
  jm_value squares = less ? mean_of(p, less->operands[0], 1) : JM_NONE;
  return squares != JM_NONE && squared(p, squares) == f->x &&
         squared(p, less->operands[1]) == f->mean;
}

/* The variance of x, or the mean of its squares, plus epsilon; root: [..., 1] of sqrt or rsqrt. */
static bool is_scale(jm_pattern *p, norm *f, jm_value root, jm_opcode code, jm_value centered) {
  const jm_op *op = jm_pattern_inner(p, root, code, 1);
  const jm_op *plus = op ? jm_pattern_inner(p, op->operands[0], JM_OP_add, 1) : NULL;
  if (!plus || !jm_pattern_is_number(p, plus->operands[1], &f->epsilon)) return false;
  const uint32_t n_ops = p->n_ops;
  jm_value squares = mean_of(p, plus->operands[0], 1);
  jm_value base = squares == JM_NONE ? JM_NONE : squared(p, squares);
  if (base == centered) {
    /* rms_norm, unless what is squared is itself a deviation */
    const jm_op *made = jm_module_definition(p->m, centered);
    if (made && made->code == JM_OP_subtract && is_deviation(p, f, centered, 3, 1)) return true;
    f->x = centered;
    f->mean = f->deviations = JM_NONE;
    p->n_ops = n_ops;
    return mean_of(p, plus->operands[0], 1) == squares && squared(p, squares) == centered;
  }
  p->n_ops = n_ops;
  /* the mean is used by the deviations and, twice, by its square */
  return is_deviation(p, f, centered, 1, 3) && is_difference_of_means(p, f, plus->operands[0]);
}

/* The other operand of an op that is a product with, or a quotient by, the widened root. */
static jm_value without_root(jm_pattern *p, const jm_op *op, jm_value *root, jm_opcode *code) {
  for (uint32_t i = 0; i < 2; i++) {
    if (op->code == JM_OP_divide && i == 0) continue;
    const jm_op *wide = jm_module_definition(p->m, op->operands[i]);
    const jm_op *made = wide && wide->code == JM_OP_broadcast_in_dim
                            ? jm_module_definition(p->m, wide->operands[0])
                            : NULL;
    *code = op->code == JM_OP_divide ? JM_OP_sqrt : JM_OP_rsqrt;
    if (!made || made->code != *code) continue;
    *root = widened(p, op->operands[i], 1);
    return *root == JM_NONE ? JM_NONE : op->operands[1 - i];
  }
  return JM_NONE;
}

/* Matches the product or quotient of the result in the orders (c * r) * w, (c * w) * r and c * (r *
 * w). */
static bool is_normalized(jm_pattern *p, norm *f, const jm_op *top) {
  jm_value root = JM_NONE, centered = JM_NONE;
  jm_opcode code = JM_OP_rsqrt;
  if (top->code == JM_OP_multiply) centered = without_vector(p, top, &f->weight);
  if (centered != JM_NONE) { /* (c * r) * w */
    const jm_op *inner = jm_module_definition(p->m, centered);
    if (!inner || (inner->code != JM_OP_multiply && inner->code != JM_OP_divide) ||
        !jm_pattern_inner(p, centered, inner->code, 1))
      return false;
    centered = without_root(p, inner, &root, &code);
    return centered != JM_NONE && is_scale(p, f, root, code, centered);
  }
  centered = without_root(p, top, &root, &code);
  if (centered != JM_NONE) { /* (c * w) * r, or without a weight */
    const jm_op *inner = jm_module_definition(p->m, centered);
    if (inner && inner->code == JM_OP_multiply && p->uses[centered] == 1) {
      jm_value other = without_vector(p, inner, &f->weight);
      if (other != JM_NONE) {
        if (!jm_pattern_inner(p, centered, JM_OP_multiply, 1)) return false;
        centered = other;
      }
    }
    return is_scale(p, f, root, code, centered);
  }
  for (uint32_t i = 0; i < 2 && top->code == JM_OP_multiply; i++) { /* c * (r * w) */
    const jm_op *inner = jm_module_definition(p->m, top->operands[i]);
    if (!inner || inner->code != JM_OP_multiply || p->uses[top->operands[i]] != 1) continue;
    jm_value wide = without_vector(p, inner, &f->weight);
    if (wide == JM_NONE) continue;
    if (!jm_pattern_inner(p, top->operands[i], JM_OP_multiply, 1)) return false;
    root = widened(p, wide, 1);
    return root != JM_NONE && is_scale(p, f, root, JM_OP_rsqrt, top->operands[1 - i]);
  }
  return false;
}

static void result_set(jm_pattern *p, const norm *f) {
  p->operands[p->n_operands++] = f->x;
  if (f->weight != JM_NONE) p->operands[p->n_operands++] = f->weight;
  if (f->bias != JM_NONE) p->operands[p->n_operands++] = f->bias;
  jm_pattern_set_f64(p, "epsilon", f->epsilon);
  jm_pattern_set_bool(p, "weight", f->weight != JM_NONE);
  jm_pattern_set_bool(p, "bias", f->bias != JM_NONE);
}

static jm_error *find(jm_pattern *p, const jm_op *last, bool centers, bool *found) {
  norm f = {.x = JM_NONE, .weight = JM_NONE, .bias = JM_NONE};
  const jm_op *top = last;
  if (last->code == JM_OP_add) {
    jm_value scaled = centers ? without_vector(p, last, &f.bias) : JM_NONE;
    top = scaled == JM_NONE ? NULL : jm_module_definition(p->m, scaled);
    if (!top || (top->code != JM_OP_multiply && top->code != JM_OP_divide) ||
        !jm_pattern_inner(p, scaled, top->code, 1))
      return NULL;
  }
  if (!is_normalized(p, &f, top) || (f.deviations != JM_NONE) != centers) return NULL;
  result_set(p, &f);
  *found = true;
  return NULL;
}

jm_error *jm_pattern_find_layer_norm(jm_pattern *p, const jm_op *last, bool *found) {
  return find(p, last, true, found);
}

jm_error *jm_pattern_find_rms_norm(jm_pattern *p, const jm_op *last, bool *found) {
  return find(p, last, false, found);
}
