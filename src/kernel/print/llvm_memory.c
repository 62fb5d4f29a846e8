/* SPDX-License-Identifier: Apache-2.0
 * Loads and stores. In a vector loop the stride of the index between lanes decides: 1 is one wide
 * access, -1 a wide one and a reversal, 2 two wide ones and a shuffle (complex numbers), slightly
 * larger ones several wide ones and shuffles, or masks; other constant strides go lane by lane from
 * one address, and others are a gather or scatter. Memory that no lane accesses is never touched.
 */
#include <stdio.h>

#include "kernel/print/llvm.h"

static const char *element_type(const jm_llvm_printer *p, const jm_kinst_fact *f) {
  static const char *const types[JM_N_KTYPES] = {"i8",  "i8",    "i16",   "i32",
                                                 "i64", "float", "double"};
  return types[p->k->params[f->imm].element];
}

static unsigned element_bytes(const jm_llvm_printer *p, const jm_kinst_fact *f) {
  return jm_ktype_bytes[p->k->params[f->imm].element];
}

/* Metadata of an access: what it may alias, and whether its memory is invariant. */
static void end_access(jm_llvm_printer *p, const jm_kinst_fact *f) {
  uint32_t group = p->groups[f->imm];
  jm_text_printf(p->out, ", !alias.scope !%u, !noalias !%u",
                 (unsigned)(p->first_metadata + 1 + p->n_groups + group),
                 (unsigned)(p->first_metadata + 1 + 2 * p->n_groups + group));
  jm_text_printf(p->out, "%s\n", group ? "" : ", !invariant.load !0"); /* 0: only read */
}

static uint32_t moved_address(jm_llvm_printer *p, const jm_kinst_fact *f, uint32_t at,
                              int64_t offset) {
  uint32_t moved = p->next++;
  jm_text_printf(p->out, "  %%v%u = getelementptr inbounds %s, ptr %%v%u, i64 %lld\n",
                 (unsigned)moved, element_type(p, f), (unsigned)at, (long long)offset);
  return moved;
}

/* The address of element index + offset. */
static uint32_t address(jm_llvm_printer *p, const jm_kinst_fact *f, int64_t offset) {
  uint32_t at = p->next++;
  jm_text_printf(p->out, "  %%v%u = getelementptr inbounds %s, ptr %%p%u, i64 %s\n", (unsigned)at,
                 element_type(p, f), (unsigned)f->imm, jm_llvm_scalar(p, f->operands[0]).text);
  return offset ? moved_address(p, f, at, offset) : at;
}

static uint32_t load_at(jm_llvm_printer *p, const jm_kinst_fact *f, uint32_t at, uint32_t width) {
  uint32_t id = p->next++;
  jm_text_printf(p->out, "  %%v%u = load %s, ptr %%v%u, align %u", (unsigned)id,
                 jm_llvm_type(p->k->params[f->imm].element, width).text, (unsigned)at,
                 element_bytes(p, f));
  end_access(p, f);
  return id;
}

static void store_aligned(jm_llvm_printer *p, const jm_kinst_fact *f, uint32_t at, uint32_t width,
                          const char *value, uint32_t alignment) {
  jm_text_printf(p->out, "  store %s %s, ptr %%v%u, align %u%s",
                 jm_llvm_type(p->k->params[f->imm].element, width).text, value, (unsigned)at,
                 alignment ? (unsigned)alignment : element_bytes(p, f),
                 alignment ? ", !nontemporal !1" : "");
  end_access(p, f);
}

static void store_at(jm_llvm_printer *p, const jm_kinst_fact *f, uint32_t at, uint32_t width,
                     const char *value) {
  store_aligned(p, f, at, width, value, 0);
}

static jm_llvm_name name_of(uint32_t id) {
  jm_llvm_name name;
  snprintf(name.text, sizeof name.text, "%%v%u", (unsigned)id);
  return name;
}

/* lanes of the result: element first + i * step of x followed by y (both n elements) */
static uint32_t shuffle(jm_llvm_printer *p, jm_ktype type, uint32_t n, const char *x, const char *y,
                        uint32_t lanes, uint32_t (*pick)(uint32_t lane, uint32_t n)) {
  uint32_t id = p->next++;
  jm_llvm_name t = jm_llvm_type(type, n);
  jm_text_printf(p->out, "  %%v%u = shufflevector %s %s, %s %s, <%u x i32> <", (unsigned)id, t.text,
                 x, t.text, y, (unsigned)lanes);
  for (uint32_t i = 0; i < lanes; i++)
    jm_text_printf(p->out, "%si32 %u", i ? ", " : "", (unsigned)pick(i, n));
  jm_text_printf(p->out, ">\n");
  return id;
}

static uint32_t pick_reversed(uint32_t lane, uint32_t n) { return n - 1 - lane; }
/* Of elements [0, n) and [n - 1, 2n - 1): every second one. */
static uint32_t pick_second(uint32_t lane, uint32_t n) {
  return 2 * lane < n ? 2 * lane : 2 * lane + 1;
}
static uint32_t pick_in_turns(uint32_t lane, uint32_t n) { return lane / 2 + lane % 2 * n; }

static uint32_t load_lanes(jm_llvm_printer *p, const jm_kinst_fact *f, int64_t stride) {
  jm_ktype type = p->k->params[f->imm].element;
  jm_llvm_name vector = jm_llvm_type(type, p->width);
  uint32_t base = address(p, f, 0), all = 0;
  for (uint32_t i = 0; i < p->width; i++) {
    uint32_t one = load_at(p, f, i ? moved_address(p, f, base, (int64_t)i * stride) : base, 1);
    uint32_t next = p->next++;
    jm_text_printf(p->out, "  %%v%u = insertelement %s %s, %s %%v%u, i64 %u\n", (unsigned)next,
                   vector.text, i ? name_of(all).text : "poison", element_type(p, f), (unsigned)one,
                   (unsigned)i);
    all = next;
  }
  return all;
}

/* The addresses of uneven lanes. */
static uint32_t addresses(jm_llvm_printer *p, const jm_kinst_fact *f) {
  jm_llvm_name index = jm_llvm_narrow_vector(p, f->operands[0]);
  jm_ktype type = p->narrow[f->operands[0]] ? JM_KT_i32 : JM_KT_i64;
  uint32_t at = p->next++;
  jm_text_printf(p->out, "  %%v%u = getelementptr inbounds %s, ptr %%p%u, %s %s\n", (unsigned)at,
                 element_type(p, f), (unsigned)f->imm, jm_llvm_type(type, p->width).text,
                 index.text);
  return at;
}

static const char *suffix(const jm_llvm_printer *p, const jm_kinst_fact *f) {
  static const char *const suffixes[JM_N_KTYPES] = {"i1", "i8", "i16", "i32", "i64", "f32", "f64"};
  return suffixes[p->k->params[f->imm].element];
}

static uint32_t gather(jm_llvm_printer *p, const jm_kinst_fact *f, uint32_t at) {
  unsigned w = p->width;
  jm_llvm_name vector = jm_llvm_type(p->k->params[f->imm].element, w);
  jm_llvm_declare(p, "declare %s @llvm.masked.gather.v%u%s.v%up0(<%u x ptr>, i32, <%u x i1>, %s)\n",
                  vector.text, w, suffix(p, f), w, w, w, vector.text);
  uint32_t id = p->next++;
  jm_text_printf(p->out,
                 "  %%v%u = call %s @llvm.masked.gather.v%u%s.v%up0(<%u x ptr> %%v%u, i32 %u, "
                 "<%u x i1> splat (i1 true), %s poison)",
                 (unsigned)id, vector.text, w, suffix(p, f), w, w, (unsigned)at,
                 element_bytes(p, f), w, vector.text);
  end_access(p, f);
  return id;
}

/* Even steps: their offsets fit 32 bits, which makes gathers of more lanes. */
static uint32_t even_addresses(jm_llvm_printer *p, const jm_kinst_fact *f, int64_t stride) {
  uint32_t base = address(p, f, 0), at = p->next++;
  jm_text_printf(p->out, "  %%v%u = getelementptr inbounds %s, ptr %%v%u, <%u x i32> <",
                 (unsigned)at, element_type(p, f), (unsigned)base, (unsigned)p->width);
  for (uint32_t i = 0; i < p->width; i++)
    jm_text_printf(p->out, "%si32 %lld", i ? ", " : "", (long long)i * (long long)stride);
  jm_text_printf(p->out, ">\n");
  return at;
}

/* x, of n lanes, followed by y, of fewer or as many. */
static uint32_t append(jm_llvm_printer *p, jm_ktype type, uint32_t x, uint32_t n, uint32_t y,
                       uint32_t w) {
  jm_llvm_name wide = jm_llvm_type(type, n), narrow = jm_llvm_type(type, w);
  if (w < n) {
    uint32_t id = p->next++;
    jm_text_printf(p->out, "  %%v%u = shufflevector %s %%v%u, %s poison, <%u x i32> <",
                   (unsigned)id, narrow.text, (unsigned)y, narrow.text, (unsigned)n);
    for (uint32_t i = 0; i < n; i++)
      jm_text_printf(p->out, i < w ? "%si32 %u" : "%si32 poison", i ? ", " : "", (unsigned)i);
    jm_text_printf(p->out, ">\n");
    y = id;
  }
  uint32_t id = p->next++;
  jm_text_printf(p->out, "  %%v%u = shufflevector %s %%v%u, %s %%v%u, <%u x i32> <", (unsigned)id,
                 wide.text, (unsigned)x, wide.text, (unsigned)y, (unsigned)(n + w));
  for (uint32_t i = 0; i < n + w; i++)
    jm_text_printf(p->out, "%si32 %u", i ? ", " : "", (unsigned)i);
  jm_text_printf(p->out, ">\n");
  return id;
}

/* Small strides: full-width loads cover the lanes' elements, and shuffles pick them. The last load
 * ends with the last element. */
static uint32_t pick_lanes(jm_llvm_printer *p, jm_ktype type, uint32_t w, uint32_t at,
                           const jm_kinst_fact *f, uint32_t stride) {
  uint32_t span = (w - 1) * stride + 1, chosen = 0;
  for (uint32_t c = 0, begin = 0; begin < span; c++, begin += w) {
    uint32_t first = span - begin < w ? span - w : begin;
    uint32_t part = load_at(p, f, first ? moved_address(p, f, at, first) : at, w);
    if (!c) {
      chosen = part;
      continue;
    }
    uint32_t next = p->next++;
    jm_llvm_name t = jm_llvm_type(type, w);
    jm_text_printf(p->out, "  %%v%u = shufflevector %s %%v%u, %s %%v%u, <%u x i32> <",
                   (unsigned)next, t.text, (unsigned)chosen, t.text, (unsigned)part, (unsigned)w);
    for (uint32_t lane = 0; lane < w; lane++) {
      uint32_t element = lane * stride, from = element;
      if (element >= begin) /* poison until its register comes */
        from = element < begin + w ? w + element - first : UINT32_MAX;
      else if (c > 1)
        from = lane;
      if (from == UINT32_MAX)
        jm_text_printf(p->out, "%si32 poison", lane ? ", " : "");
      else
        jm_text_printf(p->out, "%si32 %u", lane ? ", " : "", (unsigned)from);
    }
    jm_text_printf(p->out, ">\n");
    chosen = next;
  }
  return chosen;
}

/* Where each register has but one of the elements, these loads are as many as those of single
 * elements, and LLVM 20 to 22 compares each load of a vector with each (combineLoad): kernels of
 * hundreds of them took seconds to compile. A few steps of wide elements pay nevertheless. */
enum { FEW_STEPS = 8 };

static bool can_pick(const jm_llvm_printer *p, const jm_kinst_fact *f, int64_t stride) {
  uint32_t w = p->module->target.vector_bytes / element_bytes(p, f);
  return stride > 2 && stride < (int64_t)(w > FEW_STEPS ? w : FEW_STEPS) &&
         p->module->target.vector_bytes >= 32 && element_bytes(p, f) >= 4 && p->width >= w;
}

static uint32_t load_by_steps(jm_llvm_printer *p, const jm_kinst_fact *f, uint32_t stride) {
  jm_ktype type = p->k->params[f->imm].element;
  uint32_t w = p->module->target.vector_bytes / element_bytes(p, f);
  uint32_t base = address(p, f, 0), all = 0;
  for (uint32_t first = 0; first < p->width; first += w) {
    uint32_t at = first ? moved_address(p, f, base, (int64_t)first * stride) : base;
    uint32_t part = pick_lanes(p, type, w, at, f, stride);
    all = first ? append(p, type, all, first, part, w) : part;
  }
  return all;
}

static bool can_gather_evenly(const jm_llvm_printer *p, const jm_kinst_fact *f, int64_t stride) {
  int64_t most = INT32_MAX / (int64_t)p->width;
  return p->module->target.vector_bytes == 64 && element_bytes(p, f) >= 4 && stride <= most &&
         stride >= -most;
}

static void scatter(jm_llvm_printer *p, const jm_kinst_fact *f) {
  unsigned w = p->width;
  jm_llvm_name vector = jm_llvm_type(p->k->params[f->imm].element, w);
  jm_llvm_declare(p,
                  "declare void @llvm.masked.scatter.v%u%s.v%up0(%s, <%u x ptr>, i32, <%u x i1>)\n",
                  w, suffix(p, f), w, vector.text, w, w);
  uint32_t at = addresses(p, f);
  jm_llvm_name value = jm_llvm_vector(p, f->operands[1]);
  jm_text_printf(p->out,
                 "  call void @llvm.masked.scatter.v%u%s.v%up0(%s %s, <%u x ptr> %%v%u, i32 %u, "
                 "<%u x i1> splat (i1 true))",
                 w, suffix(p, f), w, vector.text, value.text, w, (unsigned)at, element_bytes(p, f),
                 w);
  end_access(p, f);
}

void jm_llvm_print_load(jm_llvm_printer *p, const jm_kinst_fact *f) {
  jm_kval result = f->first_result;
  if (!jm_llvm_is_vector(p, result)) {
    p->scalars[result] = load_at(p, f, address(p, f, 0), 1);
    return;
  }
  jm_lane lane = p->lanes[f->operands[0]];
  jm_ktype type = p->k->params[f->imm].element;
  int64_t stride = (int64_t)lane.stride, last = (int64_t)p->width - 1;
  uint32_t id;
  if (lane.kind == JM_LANE_VARYING) {
    id = gather(p, f, addresses(p, f));
  } else if (stride == 1) {
    id = load_at(p, f, address(p, f, 0), p->width);
  } else if (stride == -1) {
    jm_llvm_name x = name_of(load_at(p, f, address(p, f, -last), p->width));
    id = shuffle(p, type, p->width, x.text, "poison", p->width, pick_reversed);
  } else if (stride == 2) {
    uint32_t base = address(p, f, 0);
    jm_llvm_name x = name_of(load_at(p, f, base, p->width));
    jm_llvm_name y = name_of(load_at(p, f, moved_address(p, f, base, last), p->width));
    id = shuffle(p, type, p->width, x.text, y.text, p->width, pick_second);
  } else if (can_pick(p, f, stride)) {
    id = load_by_steps(p, f, (uint32_t)stride);
  } else if (can_gather_evenly(p, f, stride)) {
    id = gather(p, f, even_addresses(p, f, stride));
  } else {
    id = load_lanes(p, f, stride);
  }
  p->vectors[result] = id;
}

static void store_lanes(jm_llvm_printer *p, const jm_kinst_fact *f, int64_t stride) {
  jm_llvm_name vector = jm_llvm_type(p->k->params[f->imm].element, p->width);
  jm_llvm_name value = jm_llvm_vector(p, f->operands[1]);
  uint32_t base = address(p, f, 0);
  /* All lanes at one place: the last one's value stays. */
  for (uint32_t i = stride ? 0 : p->width - 1; i < p->width; i++) {
    uint32_t one = p->next++;
    jm_text_printf(p->out, "  %%v%u = extractelement %s %s, i64 %u\n", (unsigned)one, vector.text,
                   value.text, (unsigned)i);
    uint32_t at = i && stride ? moved_address(p, f, base, (int64_t)i * stride) : base;
    store_at(p, f, at, 1, name_of(one).text);
  }
}

/* Small strides on a machine whose stores have masks: full-width stores of the lanes' elements
 * alone. A store for each lane would be as many as there are elements. */
enum { MOST_SPREAD = 4 };

static bool can_spread(const jm_llvm_printer *p, const jm_kinst_fact *f, int64_t stride) {
  return stride > 1 && stride <= MOST_SPREAD && p->module->target.vector_bytes == 64 &&
         element_bytes(p, f) >= 4 && p->width * element_bytes(p, f) >= 64;
}

static void store_by_steps(jm_llvm_printer *p, const jm_kinst_fact *f, uint32_t stride) {
  const uint32_t w = p->module->target.vector_bytes / element_bytes(p, f);
  const uint32_t span = (p->width - 1) * stride + 1;
  const jm_ktype type = p->k->params[f->imm].element;
  const jm_llvm_name all = jm_llvm_type(type, p->width), vector = jm_llvm_type(type, w);
  const jm_llvm_name value = jm_llvm_vector(p, f->operands[1]);
  const uint32_t base = address(p, f, 0);
  jm_llvm_declare(p, "declare void @llvm.masked.store.v%u%s.p0(%s, ptr, i32, <%u x i1>)\n", w,
                  suffix(p, f), vector.text, w);
  for (uint32_t begin = 0; begin < span; begin += w) {
    const uint32_t at = begin ? moved_address(p, f, base, begin) : base, part = p->next++;
    jm_text_printf(p->out, "  %%v%u = shufflevector %s %s, %s poison, <%u x i32> <", (unsigned)part,
                   all.text, value.text, all.text, (unsigned)w);
    for (uint32_t i = 0; i < w; i++) {
      const bool is_stored = (begin + i) % stride == 0 && begin + i < span;
      jm_text_printf(p->out, is_stored ? "%si32 %u" : "%si32 poison", i ? ", " : "",
                     (unsigned)((begin + i) / stride));
    }
    jm_text_printf(
        p->out,
        ">\n  call void @llvm.masked.store.v%u%s.p0(%s %%v%u, ptr %%v%u, i32 %u, <%u x i1> <",
        (unsigned)w, suffix(p, f), vector.text, (unsigned)part, (unsigned)at, element_bytes(p, f),
        (unsigned)w);
    for (uint32_t i = 0; i < w; i++)
      jm_text_printf(p->out, "%si1 %d", i ? ", " : "",
                     (begin + i) % stride == 0 && begin + i < span);
    jm_text_printf(p->out, ">)");
    end_access(p, f);
  }
}

/* Two stores of step 2 side by side: one wide store of both in turns. */
static void store_pair(jm_llvm_printer *p, const jm_kinst_fact *first,
                       const jm_kinst_fact *second) {
  jm_ktype type = p->k->params[first->imm].element;
  jm_llvm_name x = jm_llvm_vector(p, first->operands[1]);
  jm_llvm_name y = jm_llvm_vector(p, second->operands[1]);
  uint32_t both = shuffle(p, type, p->width, x.text, y.text, 2 * p->width, pick_in_turns);
  store_at(p, first, address(p, first, 0), 2 * p->width, name_of(both).text);
}

/* +1, -1: the second store is right behind, before the first one in memory; else 0 */
static int64_t distance(const jm_kernel *k, const jm_kinst_fact *first,
                        const jm_kinst_fact *second) {
  jm_kval x, y;
  uint64_t from = (uint64_t)jm_llvm_find_offset(k, first->operands[0], &x);
  uint64_t to = (uint64_t)jm_llvm_find_offset(k, second->operands[0], &y);
  if (x != y || (to - from != 1 && from - to != 1)) return 0;
  return (int64_t)(to - from);
}

static bool is_store_by_twos(const jm_llvm_printer *p, const jm_kinst_fact *f) {
  return f->code == JM_K_store && p->lanes[f->operands[0]].kind == JM_LANE_AFFINE &&
         p->lanes[f->operands[0]].stride == 2;
}

void jm_llvm_pair_stores(jm_llvm_printer *p, jm_kblock block) {
  const jm_kernel *k = p->k;
  const jm_kblock_fact *b = &k->blocks[block];
  for (uint32_t i = 0; i < b->n_insts; i++) {
    const jm_kinst_fact *first = &k->insts[b->insts[i]];
    if (!is_store_by_twos(p, first) || p->partners[b->insts[i]] != JM_KNONE) continue;
    for (uint32_t j = i + 1; j < b->n_insts; j++) {
      const jm_kinst_fact *f = &k->insts[b->insts[j]];
      if (f->n_blocks) break;
      bool memory = f->code == JM_K_load || f->code == JM_K_store;
      if (!memory || p->groups[f->imm] != p->groups[first->imm]) continue;
      if (f->imm == first->imm && is_store_by_twos(p, f) && distance(k, first, f)) {
        p->partners[b->insts[j]] = b->insts[i];
        p->put_off[b->insts[i]] = true;
      }
      break;
    }
  }
}

void jm_llvm_print_store(jm_llvm_printer *p, jm_kinst inst) {
  const jm_kinst_fact *f = &p->k->insts[inst];
  if (p->width == 1) {
    jm_llvm_name value = jm_llvm_scalar(p, f->operands[1]);
    store_at(p, f, address(p, f, 0), 1, value.text);
    return;
  }
  jm_lane lane = p->lanes[f->operands[0]];
  int64_t stride = (int64_t)lane.stride, last = (int64_t)p->width - 1;
  if (p->put_off[inst]) return;
  if (p->partners[inst] != JM_KNONE) {
    const jm_kinst_fact *other = &p->k->insts[p->partners[inst]];
    if (distance(p->k, other, f) > 0)
      store_pair(p, other, f);
    else
      store_pair(p, f, other);
  } else if (lane.kind == JM_LANE_VARYING) {
    scatter(p, f);
  } else if (lane.kind == JM_LANE_UNIFORM && p->lanes[f->operands[1]].kind == JM_LANE_UNIFORM) {
    store_at(p, f, address(p, f, 0), 1, jm_llvm_scalar(p, f->operands[1]).text);
  } else if (stride == 1) {
    jm_llvm_name value = jm_llvm_vector(p, f->operands[1]);
    store_aligned(p, f, address(p, f, 0), p->width, value.text,
                  jm_llvm_find_stream_alignment(p, f));
  } else if (stride == -1) {
    jm_llvm_name value = jm_llvm_vector(p, f->operands[1]);
    jm_llvm_name back = name_of(shuffle(p, p->k->params[f->imm].element, p->width, value.text,
                                        "poison", p->width, pick_reversed));
    store_at(p, f, address(p, f, -last), p->width, back.text);
  } else if (can_spread(p, f, stride)) {
    store_by_steps(p, f, (uint32_t)stride);
  } else {
    store_lanes(p, f, stride);
  }
}
