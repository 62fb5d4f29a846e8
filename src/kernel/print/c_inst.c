/* SPDX-License-Identifier: Apache-2.0
 * Values and single instructions as C: each is one statement, whose expression is the C column of
 * insts.def with its operands put in. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "kernel/print/c_printer.h"
#include "kernel/print/lanes.h"

static const char *const expressions[JM_N_KOPS] = {
#define INST(name, operands, result, flags, form, llvm, c) c,
#include "kernel/ir/insts.def"
};

static const char *const call_expressions[JM_N_KCALLS] = {
#define CALL(name, arguments, f32, f64, c) c,
#include "kernel/ir/calls.def"
};

static const jm_kinst_fact *constant_of(const jm_c_printer *p, jm_kval v) {
  jm_kinst inst = p->k->values[v].inst;
  return inst != JM_KNONE && p->k->insts[inst].code == JM_K_const ? &p->k->insts[inst] : NULL;
}

/* -- values */

const char *jm_c_type(const jm_c_printer *p, jm_kval v) {
  return p->narrow[v] ? p->d->signed_types[JM_KT_i32] : p->d->types[p->k->values[v].type];
}

/* Decimal digits that read back as the same number, in parentheses because of a possible sign.
 * Infinities and NaNs are built from their bits. */
static jm_c_name float_text(jm_ktype type, uint64_t bits) {
  jm_c_name name;
  const bool wide = type == JM_KT_f64;
  const double value = wide ? jm_f64_from_bits(bits) : (double)jm_f32_from_bits((uint32_t)bits);
  if (value - value != 0) {
    if (wide)
      snprintf(name.text, sizeof name.text, "jm_as_f64(0x%" PRIx64 "u)", bits);
    else
      snprintf(name.text, sizeof name.text, "jm_as_f32(0x%" PRIx64 "u)", bits);
    return name;
  }
  char digits[40];
  snprintf(digits, sizeof digits, wide ? "%.17g" : "%.9g", value);
  const char *point = strpbrk(digits, ".e") ? "" : ".0", *suffix = wide ? "" : "f";
  const char *format = digits[0] == '-' ? "(%s%s%s)" : "%s%s%s";
  snprintf(name.text, sizeof name.text, format, digits, point, suffix);
  return name;
}

static jm_c_name signed_text(int64_t value) {
  jm_c_name name;
  if (value == INT32_MIN) /* has no literal */
    snprintf(name.text, sizeof name.text, "(-2147483647 - 1)");
  else
    snprintf(name.text, sizeof name.text, value < 0 ? "(%" PRId64 ")" : "%" PRId64, value);
  return name;
}

static jm_c_name integer_text(const jm_c_printer *p, jm_ktype type, uint64_t bits) {
  jm_c_name name;
  const char *suffix = type == JM_KT_i64 ? p->d->long_suffix : type == JM_KT_i1 ? "" : "u";
  snprintf(name.text, sizeof name.text, "%" PRIu64 "%s", bits, suffix);
  return name;
}

jm_c_name jm_c_value(const jm_c_printer *p, jm_kval v) {
  const jm_kinst_fact *c = constant_of(p, v);
  const jm_ktype type = p->k->values[v].type;
  if (c && p->narrow[v]) return signed_text((int64_t)c->imm);
  if (c) return jm_ktype_is_float(type) ? float_text(type, c->imm) : integer_text(p, type, c->imm);
  jm_c_name name;
  snprintf(name.text, sizeof name.text, "v%u", (unsigned)p->names[v]);
  return name;
}

/* The same, an i64 in its full width. */
static jm_c_name wide_value(const jm_c_printer *p, jm_kval v) {
  const jm_kinst_fact *c = constant_of(p, v);
  jm_c_name name = jm_c_value(p, v);
  if (!p->narrow[v]) return name;
  if (c) return integer_text(p, JM_KT_i64, c->imm);
  jm_c_name wide;
  snprintf(wide.text, sizeof wide.text, "(%s)%.32s", p->d->types[JM_KT_i64], name.text);
  return wide;
}

jm_c_name jm_c_signed(const jm_c_printer *p, jm_kval v) {
  jm_c_name name = jm_c_value(p, v), converted;
  if (p->narrow[v]) return name;
  snprintf(converted.text, sizeof converted.text, "(%s)%.32s", p->d->signed_types[JM_KT_i64],
           name.text);
  return converted;
}

jm_c_name jm_c_define(jm_c_printer *p, jm_kval v) {
  p->names[v] = p->next++;
  return jm_c_value(p, v);
}

/* -- expressions */

/* The meaning of the letters of a C column for one instruction. */
typedef struct terms {
  jm_c_name operands[3];
  jm_ktype from, to; /* types of the operands and of the result */
  bool narrow;       /* operands are signed and of 32 bits, although their type is i64 */
} terms;

static const char *unsigned_of(const jm_c_printer *p, jm_ktype type) { return p->d->types[type]; }

static const char *signed_of(const jm_c_printer *p, jm_ktype type) {
  return type == JM_KT_i1 ? p->d->types[type] : p->d->signed_types[type];
}

static void put_term(jm_c_printer *p, const terms *t, char letter) {
  const jm_c_dialect *d = p->d;
  const jm_ktype from = t->narrow ? JM_KT_i32 : t->from;
  const bool is_long = from == JM_KT_i64;
  const uint32_t bits = jm_ktype_bits[from];
  switch (letter) {
    case 'a':
    case 'b':
    case 'c':
      jm_text_printf(p->out, "%s", t->operands[letter - 'a'].text);
      break;
    case 'n': /* an i1 counts as one bit with a sign */
      if (from == JM_KT_i1)
        jm_text_printf(p->out, "-(%s)%s", d->signed_types[JM_KT_i32], t->operands[0].text);
      else
        jm_text_printf(p->out, "(%s)%s", d->signed_types[from], t->operands[0].text);
      break;
    case 'T':
      jm_text_printf(p->out, "%s", d->types[t->to]);
      break;
    case 'R':
      jm_text_printf(p->out, "%s", d->signed_types[t->to == JM_KT_i1 ? JM_KT_i32 : t->to]);
      break;
    case 'V': /* a bool would be 1 for every number but 0 */
      jm_text_printf(p->out, "%s", d->types[t->to == JM_KT_i1 ? JM_KT_i32 : t->to]);
      break;
    case 'U':
      jm_text_printf(p->out, "%s", unsigned_of(p, from));
      break;
    case 'S':
      jm_text_printf(p->out, "%s", signed_of(p, from));
      break;
    case 'W':
      if (t->narrow)
        jm_text_printf(p->out, "%s", d->signed_types[JM_KT_i32]); /* it fits */
      else
        jm_text_printf(p->out, "%s", d->types[is_long ? JM_KT_i64 : JM_KT_i32]);
      break;
    case 'g':
      jm_text_printf(p->out, is_long ? "64" : "32");
      break;
    case 'p':
      jm_text_printf(p->out, "%u", (unsigned)(is_long ? 0 : 32 - bits));
      break;
    case 'f':
      jm_text_printf(p->out, from == JM_KT_f32 ? "f" : "");
      break;
    case 'r':
      jm_text_printf(p->out, "%s", jm_ktype_names[t->to]);
      break;
    default: /* the percent sign of srem and urem */
      jm_text_printf(p->out, "%%%c", letter);
  }
}

static void put_expression(jm_c_printer *p, const terms *t, const char *expression) {
  for (const char *at = expression; *at; at++)
    if (*at == '%' && at[1])
      put_term(p, t, *++at);
    else
      jm_text_append(p->out, at, 1);
}

static const char *find_expression(const jm_c_printer *p, const jm_kinst_fact *f, jm_ktype type) {
  const bool wide = type == JM_KT_f64;
  if (f->code == JM_K_call) {
    const char *own = p->d->calls[f->imm][wide];
    return own ? own : call_expressions[f->imm];
  }
  for (uint32_t i = 0; i < p->d->n_overrides; i++)
    if (p->d->overrides[i].code == f->code)
      return wide ? p->d->overrides[i].f64 : p->d->overrides[i].f32;
  return expressions[f->code];
}

/* May it be done in 32 bits? */
static bool is_done_narrow(const jm_c_printer *p, const jm_kinst_fact *f, uint32_t first) {
  if (!jm_lane_is_narrowable(f->code) || p->k->values[f->operands[first]].type != JM_KT_i64)
    return false;
  if (jm_kop_facts[f->code].result != JM_KRESULT_BOOL && !p->narrow[f->first_result]) return false;
  for (uint32_t i = first; i < f->n_operands; i++)
    if (!p->narrow[f->operands[i]]) return false;
  return true;
}

static jm_error *print_pure(jm_c_printer *p, const jm_kinst_fact *f) {
  const uint32_t first = f->code == JM_K_select ? 1 : 0;
  const jm_kval v = f->first_result;
  terms t = {.from = p->k->values[f->operands[first]].type, .to = p->k->values[v].type};
  t.narrow = is_done_narrow(p, f, first);
  const char *expression = find_expression(p, f, t.from);
  if (!*expression || (!p->d->has_f64 && (t.from == JM_KT_f64 || t.to == JM_KT_f64)))
    return jm_error_unimplemented("kernel %s: %s of %s to %s in %s", p->k->name,
                                  jm_kop_facts[f->code].name, jm_ktype_names[t.from],
                                  jm_ktype_names[t.to], p->d->name);
  for (uint32_t i = 0; i < f->n_operands && i < 3; i++)
    t.operands[i] = t.narrow ? jm_c_value(p, f->operands[i]) : wide_value(p, f->operands[i]);
  const int result = jm_kop_facts[f->code].result;
  const bool masked = t.to == JM_KT_i1 && result != JM_KRESULT_BOOL && result != JM_KRESULT_SELECT;
  const bool shortened = p->narrow[v] && !t.narrow;
  jm_text_printf(p->out, "%*s%s ", (int)(2 * p->indent), "", jm_c_type(p, v));
  jm_text_printf(p->out, "%s = ", jm_c_define(p, v).text);
  if (shortened) jm_text_printf(p->out, "(%s)", jm_c_type(p, v));
  if (shortened || masked) jm_text_printf(p->out, "(");
  put_expression(p, &t, expression);
  jm_text_printf(p->out, "%s%s;\n", shortened || masked ? ")" : "", masked ? " & 1" : "");
  return NULL;
}

/* -- memory */

static jm_c_name memory_name(const jm_c_printer *p, uint64_t param) {
  jm_c_name name;
  const jm_kparam *params = p->k->params;
  if (params[param].space == JM_SPACE_SCRATCH || p->has_parameters) {
    snprintf(name.text, sizeof name.text, "p%u", (unsigned)param);
    return name;
  }
  uint32_t number = 0;
  for (uint32_t i = 0; i < param; i++)
    number +=
        params[i].space == JM_SPACE_GLOBAL && params[i].written == params[param].written ? 1 : 0;
  snprintf(name.text, sizeof name.text, "%s%u", params[param].written ? "out" : "in",
           (unsigned)number);
  return name;
}

/* Outside of threads loops every lane loads, and one stores. */
static void print_store(jm_c_printer *p, const jm_kinst_fact *f) {
  const bool once = p->d->lane && p->threads > 1 && !p->in_threads;
  jm_c_line(p, "%s%s[%s] = %s;", once ? "if (jm_lane == 0) " : "", memory_name(p, f->imm).text,
            jm_c_value(p, f->operands[0]).text, jm_c_value(p, f->operands[1]).text);
}

static void print_transpose(jm_c_printer *p, const jm_kinst_fact *f) {
  const jm_c_name memory = memory_name(p, f->imm), pitch = jm_c_value(p, f->operands[0]);
  const jm_c_name rows = jm_c_value(p, f->operands[1]), columns = jm_c_value(p, f->operands[2]);
  const char *const element = p->d->types[p->k->params[f->imm].element];
  jm_c_line(p, "for (int i = 0; i < %s && i < %s; i++)", rows.text, columns.text);
  jm_c_line(p, "  for (int j = i + 1; j < %s || j < %s; j++) {", rows.text, columns.text);
  jm_c_line(p, "    %s x = %s[i * %s + j];", element, memory.text, pitch.text);
  jm_c_line(p, "    %s[i * %s + j] = %s[j * %s + i];", memory.text, pitch.text, memory.text,
            pitch.text);
  jm_c_line(p, "    %s[j * %s + i] = x;", memory.text, pitch.text);
  jm_c_line(p, "  }");
}

jm_error *jm_c_print_inst(jm_c_printer *p, const jm_kinst_fact *f) {
  switch (f->code) {
    case JM_K_const:
      return NULL;
    case JM_K_load: {
      const jm_c_name at = jm_c_value(p, f->operands[0]);
      jm_c_line(p, "%s %s = %s[%s];", jm_c_type(p, f->first_result),
                jm_c_define(p, f->first_result).text, memory_name(p, f->imm).text, at.text);
      return NULL;
    }
    case JM_K_store:
      print_store(p, f);
      return NULL;
    case JM_K_transpose:
      print_transpose(p, f);
      return NULL;
    case JM_K_barrier:
      if (p->d->lane && p->threads > 1) jm_c_line(p, "%s", p->d->barriers[f->imm]);
      return NULL;
    default:
      return print_pure(p, f);
  }
}
