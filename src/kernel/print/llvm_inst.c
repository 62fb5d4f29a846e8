/* SPDX-License-Identifier: Apache-2.0
 * Instructions without blocks as LLVM's: most are one row of a table. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernel/print/llvm.h"

typedef enum form {
  FORM_PLAIN,   /* "add T x, y" */
  FORM_CAST,    /* "zext T x to R" */
  FORM_CALLED,  /* an intrinsic "call R @llvm.name.R(T x, T y)" */
  FORM_FLAGGED, /* the same with ", i1 false" behind its operands */
  FORM_OWN,     /* has a function of its own */
} form;

static const struct {
  form form;
  const char *text;
} rows[JM_N_KOPS] = {
#define INST(name, operands, result, flags, form, llvm, c) {FORM_##form, llvm},
#include "kernel/ir/insts.def"
};

static const char *const types[JM_N_KTYPES] = {"i1", "i8", "i16", "i32", "i64", "float", "double"};

jm_llvm_name jm_llvm_type(jm_ktype type, uint32_t width) {
  jm_llvm_name name;
  if (width == 1)
    snprintf(name.text, sizeof name.text, "%s", types[type]);
  else
    snprintf(name.text, sizeof name.text, "<%u x %s>", (unsigned)width, types[type]);
  return name;
}

/* LLVM writes floats as the bits of the double of the same value. A NaN has none with its bits. */
static jm_llvm_name constant_text(jm_ktype type, uint64_t bits) {
  jm_llvm_name name;
  double value = 0;
  if (type == JM_KT_f32) {
    uint32_t half = (uint32_t)bits;
    float single;
    memcpy(&single, &half, sizeof single);
    value = single;
  } else if (type == JM_KT_f64) {
    memcpy(&value, &bits, sizeof value);
  }
  if (type == JM_KT_i1)
    snprintf(name.text, sizeof name.text, "%s", bits & 1 ? "true" : "false");
  else if (!jm_ktype_is_float(type))
    snprintf(name.text, sizeof name.text, "%llu", (unsigned long long)bits);
  else if (value != value)
    snprintf(name.text, sizeof name.text, "bitcast (%s %llu to %s)",
             type == JM_KT_f32 ? "i32" : "i64", (unsigned long long)bits, types[type]);
  else {
    memcpy(&bits, &value, sizeof bits);
    snprintf(name.text, sizeof name.text, "0x%016llX", (unsigned long long)bits);
  }
  return name;
}

static const jm_kinst_fact *constant_of(const jm_kernel *k, jm_kval v) {
  jm_kinst inst = k->values[v].inst;
  return inst != JM_KNONE && k->insts[inst].code == JM_K_const ? &k->insts[inst] : NULL;
}

int64_t jm_llvm_find_offset(const jm_kernel *k, jm_kval v, jm_kval *base) {
  const jm_kinst_fact *c;
  *base = v;
  if ((c = constant_of(k, v))) {
    *base = JM_KNONE;
    return (int64_t)c->imm;
  }
  jm_kinst inst = k->values[v].inst;
  if (inst == JM_KNONE || k->insts[inst].code != JM_K_iadd) return 0;
  for (uint32_t i = 0; i < 2; i++) {
    if (!(c = constant_of(k, k->insts[inst].operands[i]))) continue;
    *base = k->insts[inst].operands[1 - i];
    return (int64_t)c->imm;
  }
  return 0;
}

jm_llvm_name jm_llvm_scalar(const jm_llvm_printer *p, jm_kval v) {
  const jm_kinst_fact *c = constant_of(p->k, v);
  if (c) return constant_text(p->k->values[v].type, c->imm);
  jm_llvm_name name;
  snprintf(name.text, sizeof name.text, "%%v%u", (unsigned)p->scalars[v]);
  return name;
}

uint32_t jm_llvm_define(jm_llvm_printer *p, jm_kval v, bool vector) {
  return (vector ? p->vectors : p->scalars)[v] = p->next++;
}

void jm_llvm_forget(jm_llvm_printer *p, uint32_t n_made) {
  while (p->n_made > n_made) p->vectors[p->made[--p->n_made]] = 0;
}

static jm_ktype lane_type(const jm_llvm_printer *p, jm_kval v) {
  return p->narrow[v] ? JM_KT_i32 : p->k->values[v].type;
}

/* A scalar in every lane, plus what an even step adds. */
static void make_vector(jm_llvm_printer *p, jm_kval v) {
  jm_ktype type = lane_type(p, v);
  jm_llvm_name vector = jm_llvm_type(type, p->width), scalar = jm_llvm_scalar(p, v);
  const char *name = types[type];
  if (p->narrow[v]) {
    jm_text_printf(p->out, "  %%v%u = trunc i64 %s to i32\n", (unsigned)p->next, scalar.text);
    snprintf(scalar.text, sizeof scalar.text, "%%v%u", (unsigned)p->next++);
  }
  uint32_t one = p->next++, all = p->next++;
  jm_text_printf(p->out, "  %%v%u = insertelement %s poison, %s %s, i64 0\n", (unsigned)one,
                 vector.text, name, scalar.text);
  jm_text_printf(p->out,
                 "  %%v%u = shufflevector %s %%v%u, %s poison, <%u x i32> zeroinitializer\n",
                 (unsigned)all, vector.text, (unsigned)one, vector.text, (unsigned)p->width);
  if (p->lanes[v].kind == JM_LANE_AFFINE) {
    uint32_t sum = p->next++;
    jm_text_printf(p->out, "  %%v%u = add %s %%v%u, <", (unsigned)sum, vector.text, (unsigned)all);
    uint32_t bits = jm_ktype_bits[type];
    for (uint32_t i = 0; i < p->width; i++) {
      uint64_t step = i * p->lanes[v].stride;
      if (bits < 64) step &= ((uint64_t)1 << bits) - 1;
      jm_text_printf(p->out, "%s%s %s", i ? ", " : "", name, constant_text(type, step).text);
    }
    jm_text_printf(p->out, ">\n");
    all = sum;
  }
  p->vectors[v] = all;
  p->made[p->n_made++] = v;
}

jm_llvm_name jm_llvm_narrow_vector(jm_llvm_printer *p, jm_kval v) {
  jm_llvm_name name;
  const jm_kinst_fact *c = constant_of(p->k, v);
  if (c) {
    jm_ktype type = lane_type(p, v);
    uint64_t bits = p->narrow[v] ? (uint32_t)c->imm : c->imm;
    snprintf(name.text, sizeof name.text, "splat (%s %.60s)", types[type],
             constant_text(type, bits).text);
    return name;
  }
  if (!p->vectors[v]) make_vector(p, v);
  snprintf(name.text, sizeof name.text, "%%v%u", (unsigned)p->vectors[v]);
  return name;
}

jm_llvm_name jm_llvm_vector(jm_llvm_printer *p, jm_kval v) {
  jm_llvm_name name = jm_llvm_narrow_vector(p, v);
  if (!p->narrow[v]) return name;
  jm_llvm_name from = jm_llvm_type(JM_KT_i32, p->width), to = jm_llvm_type(JM_KT_i64, p->width);
  jm_text_printf(p->out, "  %%v%u = sext %s %s to %s\n", (unsigned)p->next, from.text, name.text,
                 to.text);
  snprintf(name.text, sizeof name.text, "%%v%u", (unsigned)p->next++);
  return name;
}

void jm_llvm_declare(jm_llvm_printer *p, const char *format, ...) {
  char line[256];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (!strstr(jm_text_bytes(&p->module->declarations), line))
    jm_text_printf(&p->module->declarations, "%s", line);
}

/* The text of an instruction. An i1 is 0 or 1 here, and 0 or -1 to LLVM's signed instructions. */
static const char *text_of(jm_kopcode code, jm_ktype type) {
  static const struct {
    jm_kopcode code;
    const char *text;
  } of_bits[] = {{JM_K_slt, "icmp ult"}, {JM_K_sle, "icmp ule"}, {JM_K_iadd, "xor"},
                 {JM_K_isub, "xor"},     {JM_K_imul, "and"},     {JM_K_smin, "and"},
                 {JM_K_umin, "and"},     {JM_K_smax, "or"},      {JM_K_umax, "or"},
                 {JM_K_ctpop, "and"},    {JM_K_ctlz, "xor"}};
  for (size_t i = 0; type == JM_KT_i1 && i < sizeof of_bits / sizeof *of_bits; i++)
    if (of_bits[i].code == code) return of_bits[i].text;
  return rows[code].text;
}

static jm_llvm_name operand(jm_llvm_printer *p, jm_kval v, uint32_t width) {
  return width > 1 ? jm_llvm_vector(p, v) : jm_llvm_scalar(p, v);
}

/* The names of an instruction's operands from the first one on, and the type that it is done in. */
static jm_ktype find_operands(jm_llvm_printer *p, const jm_kinst_fact *f, uint32_t first,
                              uint32_t width, jm_llvm_name names[3]) {
  jm_ktype type = p->k->values[f->operands[first]].type;
  bool narrow = width > 1 && jm_lane_is_narrowable(f->code);
  bool is_test = jm_kop_facts[f->code].result == JM_KRESULT_BOOL;
  narrow = narrow && (is_test || p->narrow[f->first_result]);
  for (uint32_t i = first; i < f->n_operands; i++) narrow = narrow && p->narrow[f->operands[i]];
  for (uint32_t i = first; i < f->n_operands; i++)
    names[i] =
        narrow ? jm_llvm_narrow_vector(p, f->operands[i]) : operand(p, f->operands[i], width);
  return narrow ? JM_KT_i32 : type;
}

/* The result was made with this number and type. */
static void finish(jm_llvm_printer *p, const jm_kinst_fact *f, uint32_t width, uint32_t id,
                   jm_ktype type) {
  jm_kval v = f->first_result;
  if (width > 1 && p->narrow[v] && type == JM_KT_i64) {
    jm_llvm_name from = jm_llvm_type(JM_KT_i64, width), to = jm_llvm_type(JM_KT_i32, width);
    jm_text_printf(p->out, "  %%v%u = trunc %s %%v%u to %s\n", (unsigned)p->next, from.text,
                   (unsigned)id, to.text);
    id = p->next++;
  }
  (width > 1 ? p->vectors : p->scalars)[v] = id;
}

static void print_plain(jm_llvm_printer *p, const jm_kinst_fact *f, uint32_t width) {
  jm_llvm_name names[3] = {{""}};
  jm_ktype type = find_operands(p, f, 0, width, names);
  bool two = f->n_operands > 1;
  if (type == JM_KT_i1 && f->code == JM_K_ctpop) names[1] = names[0], two = true;
  if (type == JM_KT_i1 && f->code == JM_K_ctlz) {
    snprintf(names[1].text, sizeof names[1].text, "%s", width > 1 ? "splat (i1 true)" : "true");
    two = true;
  }
  uint32_t id = p->next++;
  jm_text_printf(p->out, "  %%v%u = %s %s %s%s%s\n", (unsigned)id, text_of(f->code, type),
                 jm_llvm_type(type, width).text, names[0].text, two ? ", " : "", names[1].text);
  finish(p, f, width, id, jm_kop_facts[f->code].result == JM_KRESULT_BOOL ? JM_KT_i1 : type);
}

static void print_cast(jm_llvm_printer *p, const jm_kinst_fact *f, uint32_t width) {
  jm_kval x = f->operands[0], v = f->first_result;
  jm_ktype from = p->k->values[x].type, to = p->k->values[v].type;
  bool from_narrow =
      width > 1 && p->narrow[x] && (f->code == JM_K_itrunc || f->code == JM_K_sitofp);
  bool to_narrow = width > 1 && p->narrow[v] && (f->code == JM_K_zext || f->code == JM_K_sext);
  jm_llvm_name name = from_narrow ? jm_llvm_narrow_vector(p, x) : operand(p, x, width);
  if (from_narrow) from = JM_KT_i32;
  if (to_narrow) to = JM_KT_i32;
  uint32_t id = p->next++;
  jm_text_printf(p->out, "  %%v%u = %s %s %s to %s\n", (unsigned)id,
                 from == to ? "bitcast" : rows[f->code].text, jm_llvm_type(from, width).text,
                 name.text, jm_llvm_type(to, width).text);
  finish(p, f, width, id, to);
}

static void print_called(jm_llvm_printer *p, const jm_kinst_fact *f, uint32_t width) {
  jm_llvm_name names[3] = {{""}};
  jm_ktype type = find_operands(p, f, 0, width, names);
  jm_llvm_name t = jm_llvm_type(type, width), symbol;
  const char *text = rows[f->code].text;
  const bool flagged = rows[f->code].form == FORM_FLAGGED;
  static const char *const suffixes[JM_N_KTYPES] = {"i1", "i8", "i16", "i32", "i64", "f32", "f64"};
  if (width > 1)
    snprintf(symbol.text, sizeof symbol.text, "@llvm.%s.v%u%s", text, (unsigned)width,
             suffixes[type]);
  else
    snprintf(symbol.text, sizeof symbol.text, "@llvm.%s.%s", text, suffixes[type]);
  bool two = f->n_operands > 1, three = f->n_operands > 2;
  jm_llvm_declare(p, "declare %s %s(%s%s%s%s%s%s)\n", t.text, symbol.text, t.text, two ? ", " : "",
                  two ? t.text : "", three ? ", " : "", three ? t.text : "", flagged ? ", i1" : "");
  uint32_t id = p->next++;
  jm_text_printf(p->out, "  %%v%u = call %s %s(", (unsigned)id, t.text, symbol.text);
  for (uint32_t i = 0; i < f->n_operands; i++)
    jm_text_printf(p->out, "%s%s %s", i ? ", " : "", t.text, names[i].text);
  jm_text_printf(p->out, "%s)\n", flagged ? ", i1 false" : "");
  finish(p, f, width, id, type);
}

/* A C function, lane by lane. Its address is read from the table JM_KCALL_TABLE, which lies beside
 * the code: so the code itself has no address and can be moved. */
static void print_call(jm_llvm_printer *p, const jm_kinst_fact *f, jm_kcall call, uint32_t width) {
  jm_llvm_name names[3] = {{""}};
  for (uint32_t i = 0; i < f->n_operands; i++) names[i] = operand(p, f->operands[i], width);
  jm_ktype type = p->k->values[f->first_result].type;
  jm_llvm_name vector = jm_llvm_type(type, width);
  uint32_t all = 0, function = p->next++;
  jm_llvm_declare(p, "@" JM_KCALL_TABLE " = external hidden constant [%u x ptr]\n",
                  (unsigned)(2 * JM_N_KCALLS));
  jm_text_printf(p->out,
                 "  %%v%u = load ptr, ptr getelementptr (ptr, ptr @" JM_KCALL_TABLE ", i64 %u)\n",
                 (unsigned)function, 2 * (unsigned)call + (type == JM_KT_f64));
  for (uint32_t lane = 0; lane < width; lane++) {
    for (uint32_t i = 0; width > 1 && i < f->n_operands; i++)
      jm_text_printf(p->out, "  %%v%u = extractelement %s %s, i64 %u\n", (unsigned)(p->next + i),
                     vector.text, names[i].text, (unsigned)lane);
    uint32_t first = p->next;
    p->next += width > 1 ? f->n_operands : 0;
    uint32_t one = p->next++;
    jm_text_printf(p->out, "  %%v%u = call %s %%v%u(", (unsigned)one, types[type],
                   (unsigned)function);
    for (uint32_t i = 0; i < f->n_operands; i++) {
      jm_text_printf(p->out, "%s%s ", i ? ", " : "", types[type]);
      if (width > 1)
        jm_text_printf(p->out, "%%v%u", (unsigned)(first + i));
      else
        jm_text_printf(p->out, "%s", names[i].text);
    }
    jm_text_printf(p->out, ")\n");
    if (width == 1) {
      p->scalars[f->first_result] = one;
      return;
    }
    uint32_t next = p->next++;
    jm_text_printf(p->out, "  %%v%u = insertelement %s ", (unsigned)next, vector.text);
    if (lane)
      jm_text_printf(p->out, "%%v%u", (unsigned)all);
    else
      jm_text_printf(p->out, "poison");
    jm_text_printf(p->out, ", %s %%v%u, i64 %u\n", types[type], (unsigned)one, (unsigned)lane);
    all = next;
  }
  p->vectors[f->first_result] = all;
}

/* The first `lanes` lanes of a vector, from one lane on: what it lacks is not defined. */
static uint32_t take_lanes(jm_llvm_printer *p, jm_ktype type, uint32_t width, const char *vector,
                           uint32_t first, uint32_t lanes) {
  const uint32_t id = p->next++;
  const jm_llvm_name t = jm_llvm_type(type, width);
  jm_text_printf(p->out, "  %%v%u = shufflevector %s %s, %s poison, <%u x i32> <", (unsigned)id,
                 t.text, vector, t.text, (unsigned)lanes);
  for (uint32_t i = 0; i < lanes; i++) {
    jm_text_printf(p->out, i ? ", i32 " : "i32 ");
    if (first + i < width)
      jm_text_printf(p->out, "%u", (unsigned)(first + i));
    else
      jm_text_printf(p->out, "poison");
  }
  jm_text_printf(p->out, ">\n");
  return id;
}

/* AVX-512's vscalef on vectors that fill a register of some size. */
static uint32_t scale_register(jm_llvm_printer *p, jm_ktype type, uint32_t width,
                               const jm_llvm_name names[2]) {
  const uint32_t bits = width * jm_ktype_bits[type], id = p->next++;
  const char *rounding = bits == 512 ? ", i32" : "", *mask = width > 8 ? "i16" : "i8";
  const jm_llvm_name t = jm_llvm_type(type, width);
  char symbol[64];
  snprintf(symbol, sizeof symbol, "@llvm.x86.avx512.mask.scalef.p%c.%u",
           type == JM_KT_f64 ? 'd' : 's', (unsigned)bits);
  jm_llvm_declare(p, "declare %s %s(%s, %s, %s, %s%s)\n", t.text, symbol, t.text, t.text, t.text,
                  mask, rounding);
  jm_text_printf(p->out, "  %%v%u = call %s %s(%s %s, %s %s, %s zeroinitializer, %s -1%s)\n",
                 (unsigned)id, t.text, symbol, t.text, names[0].text, t.text, names[1].text, t.text,
                 mask, bits == 512 ? ", i32 4" : ""); /* 4: in the current direction */
  return id;
}

static jm_llvm_name numbered(uint32_t id) {
  jm_llvm_name name;
  snprintf(name.text, sizeof name.text, "%%v%u", (unsigned)id);
  return name;
}

/* Of vectors of any power of two: halves of wide ones, narrow ones in a wider register. */
static uint32_t scale_vector(jm_llvm_printer *p, jm_ktype type, uint32_t width,
                             const jm_llvm_name names[2]) {
  const uint32_t bits = width * jm_ktype_bits[type];
  jm_llvm_name parts[2];
  if (bits < 128) {
    const uint32_t lanes = 128 / jm_ktype_bits[type];
    for (int i = 0; i < 2; i++)
      parts[i] = numbered(take_lanes(p, type, width, names[i].text, 0, lanes));
    const jm_llvm_name all = numbered(scale_register(p, type, lanes, parts));
    return take_lanes(p, type, lanes, all.text, 0, width);
  }
  if (bits <= 512) return scale_register(p, type, width, names);
  uint32_t halves[2];
  for (uint32_t half = 0; half < 2; half++) {
    for (int i = 0; i < 2; i++)
      parts[i] = numbered(take_lanes(p, type, width, names[i].text, half * (width / 2), width / 2));
    halves[half] = scale_vector(p, type, width / 2, parts);
  }
  const uint32_t id = p->next++;
  const jm_llvm_name t = jm_llvm_type(type, width / 2);
  jm_text_printf(p->out, "  %%v%u = shufflevector %s %%v%u, %s %%v%u, <%u x i32> <", (unsigned)id,
                 t.text, (unsigned)halves[0], t.text, (unsigned)halves[1], (unsigned)width);
  for (uint32_t i = 0; i < width; i++)
    jm_text_printf(p->out, "%si32 %u", i ? ", " : "", (unsigned)i);
  jm_text_printf(p->out, ">\n");
  return id;
}

static void print_scale(jm_llvm_printer *p, const jm_kinst_fact *f, uint32_t width) {
  jm_llvm_name names[3] = {{""}};
  const jm_ktype type = find_operands(p, f, 0, width, names);
  if (width > 1) {
    finish(p, f, width, scale_vector(p, type, width, names), type);
    return;
  }
  const jm_llvm_name vector = jm_llvm_type(type, 2);
  for (int i = 0; i < 2; i++) {
    jm_text_printf(p->out, "  %%v%u = insertelement %s poison, %s %s, i64 0\n", (unsigned)p->next,
                   vector.text, types[type], names[i].text);
    names[i] = numbered(p->next++);
  }
  const uint32_t all = scale_vector(p, type, 2, names), id = p->next++;
  jm_text_printf(p->out, "  %%v%u = extractelement %s %%v%u, i64 0\n", (unsigned)id, vector.text,
                 (unsigned)all);
  finish(p, f, width, id, type);
}

static void print_select(jm_llvm_printer *p, const jm_kinst_fact *f, uint32_t width) {
  bool one = width == 1 || p->lanes[f->operands[0]].kind == JM_LANE_UNIFORM;
  jm_llvm_name names[3] = {operand(p, f->operands[0], one ? 1 : width)};
  jm_ktype type = find_operands(p, f, 1, width, names);
  jm_llvm_name t = jm_llvm_type(type, width);
  uint32_t id = p->next++;
  jm_text_printf(p->out, "  %%v%u = select %s %s, %s %s, %s %s\n", (unsigned)id,
                 jm_llvm_type(JM_KT_i1, one ? 1 : width).text, names[0].text, t.text, names[1].text,
                 t.text, names[2].text);
  finish(p, f, width, id, type);
}

void jm_llvm_print_inst(jm_llvm_printer *p, jm_kinst inst) {
  const jm_kinst_fact *f = &p->k->insts[inst];
  if (f->code == JM_K_const || f->code == JM_K_barrier) return; /* one thread runs all lanes */
  if (f->code == JM_K_load) {
    jm_llvm_print_load(p, f);
    return;
  }
  if (f->code == JM_K_transpose) {
    jm_llvm_print_transpose(p, f);
    return;
  }
  if (f->code == JM_K_store) {
    jm_llvm_print_store(p, inst);
    return;
  }
  uint32_t width = jm_llvm_is_vector(p, f->first_result) ? p->width : 1;
  if (f->code == JM_K_fma && !p->module->target.fma)
    print_call(p, f, JM_KCALL_fma, width);
  else if (f->code == JM_K_fscale && p->module->target.scales)
    print_scale(p, f, width);
  else if (f->code == JM_K_fscale)
    print_call(p, f, JM_KCALL_scale, width);
  else if (f->code == JM_K_call)
    print_call(p, f, (jm_kcall)f->imm, width);
  else if (f->code == JM_K_select)
    print_select(p, f, width);
  else if (rows[f->code].form == FORM_CAST)
    print_cast(p, f, width);
  else if ((rows[f->code].form == FORM_CALLED || rows[f->code].form == FORM_FLAGGED) &&
           p->k->values[f->first_result].type != JM_KT_i1) /* of bits: logic (text_of) */
    print_called(p, f, width);
  else
    print_plain(p, f, width);
}
