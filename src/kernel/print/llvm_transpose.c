/* SPDX-License-Identifier: Apache-2.0
 * A tile of scratch memory changes places with its transpose, in squares of as many lines as a
 * register has elements:
 *
 *   for i in 0, side, .. < min(rows, columns)
 *     for j in i, i + side, .. < max(rows, columns)
 *       the squares at [i, j] and [j, i] are loaded, transposed in registers, and exchanged
 *
 * Log2 of side rounds make the transpose of a square: in each, lines that are `size` apart exchange
 * the squares of `size` elements that lie off the diagonal. */
#include "kernel/print/llvm.h"

enum {
  MOST_LINES = 16, /* in registers at once */
  BRIEF_LINES = 4, /* of brief code: an eighth of the shuffles, which LLVM tries to combine */
};

typedef struct square {
  jm_llvm_printer *p;
  const char *element; /* types: of an element, */
  jm_llvm_name line;   /* and of a line */
  const char *pitch;
  uint32_t side, bytes;
  uint32_t lines[MOST_LINES]; /* numbers of names */
} square;

static uint32_t print_address(const square *s, uint64_t param, uint32_t line, uint32_t column) {
  jm_llvm_printer *p = s->p;
  uint32_t first = p->next;
  p->next += 3;
  jm_text_printf(p->out, "  %%v%u = mul i64 %%v%u, %s\n  %%v%u = add i64 %%v%u, %%v%u\n",
                 (unsigned)first, (unsigned)line, s->pitch, (unsigned)first + 1, (unsigned)first,
                 (unsigned)column);
  jm_text_printf(p->out, "  %%v%u = getelementptr inbounds %s, ptr %%p%u, i64 %%v%u\n",
                 (unsigned)first + 2, s->element, (unsigned)param, (unsigned)first + 1);
  return first + 2;
}

/* The address of the square's line i. */
static uint32_t print_line(const square *s, uint32_t at, uint32_t i) {
  uint32_t from = s->p->next++;
  jm_text_printf(s->p->out, "  %%v%u = getelementptr inbounds [%s x %s], ptr %%v%u, i64 %u\n",
                 (unsigned)from, s->pitch, s->element, (unsigned)at, (unsigned)i);
  return from;
}

static void load_square(square *s, uint32_t at) {
  for (uint32_t i = 0; i < s->side; i++) {
    uint32_t from = print_line(s, at, i);
    s->lines[i] = s->p->next++;
    jm_text_printf(s->p->out, "  %%v%u = load %s, ptr %%v%u, align %u\n", (unsigned)s->lines[i],
                   s->line.text, (unsigned)from, (unsigned)s->bytes);
  }
}

static void store_square(const square *s, uint32_t at) {
  for (uint32_t i = 0; i < s->side; i++)
    jm_text_printf(s->p->out, "  store %s %%v%u, ptr %%v%u, align %u\n", s->line.text,
                   (unsigned)s->lines[i], (unsigned)print_line(s, at, i), (unsigned)s->bytes);
}

/* Lane j of the lower line of a pair, or of the upper one, of x followed by y. */
static uint32_t pick(const square *s, uint32_t size, bool upper, uint32_t j) {
  if (upper) return j & size ? s->side + j : j + size;
  return j & size ? s->side + j - size : j;
}

static uint32_t print_half(const square *s, uint32_t x, uint32_t y, uint32_t size, bool upper) {
  uint32_t id = s->p->next++;
  jm_text_printf(s->p->out, "  %%v%u = shufflevector %s %%v%u, %s %%v%u, <%u x i32> <",
                 (unsigned)id, s->line.text, (unsigned)x, s->line.text, (unsigned)y,
                 (unsigned)s->side);
  for (uint32_t j = 0; j < s->side; j++)
    jm_text_printf(s->p->out, "%si32 %u", j ? ", " : "", (unsigned)pick(s, size, upper, j));
  jm_text_printf(s->p->out, ">\n");
  return id;
}

static void turn_square(square *s) {
  for (uint32_t size = s->side / 2; size; size /= 2)
    for (uint32_t i = 0; i < s->side; i++) {
      if (i & size) continue;
      uint32_t x = s->lines[i], y = s->lines[i + size];
      s->lines[i] = print_half(s, x, y, size, false);
      s->lines[i + size] = print_half(s, x, y, size, true);
    }
}

/* The smaller of two, or the larger. */
static uint32_t print_bound(jm_llvm_printer *p, const char *comparison, const char *x,
                            const char *y) {
  uint32_t is = p->next++, id = p->next++;
  jm_text_printf(p->out, "  %%v%u = icmp %s i64 %s, %s\n", (unsigned)is, comparison, x, y);
  jm_text_printf(p->out, "  %%v%u = select i1 %%v%u, i64 %s, i64 %s\n", (unsigned)id, (unsigned)is,
                 x, y);
  return id;
}

/* A loop's index, which starts as `start` where control comes from `before`. */
static void begin_loop(jm_llvm_printer *p, uint32_t head, uint32_t index, const char *start,
                       uint32_t before, uint32_t next, uint32_t latch) {
  jm_text_printf(p->out, "  br label %%b%u\nb%u:\n", (unsigned)head, (unsigned)head);
  jm_text_printf(p->out, "  %%v%u = phi i64 [ %s, %%b%u ], [ %%v%u, %%b%u ]\n", (unsigned)index,
                 start, (unsigned)before, (unsigned)next, (unsigned)latch);
}

static void end_loop(jm_llvm_printer *p, uint32_t head, uint32_t index, uint32_t step, uint32_t end,
                     uint32_t next, uint32_t exit) {
  uint32_t more = p->next++;
  jm_text_printf(p->out, "  %%v%u = add nsw i64 %%v%u, %u\n", (unsigned)next, (unsigned)index,
                 (unsigned)step);
  jm_text_printf(p->out, "  %%v%u = icmp slt i64 %%v%u, %%v%u\n", (unsigned)more, (unsigned)next,
                 (unsigned)end);
  jm_text_printf(p->out, "  br i1 %%v%u, label %%b%u, label %%b%u\nb%u:\n", (unsigned)more,
                 (unsigned)head, (unsigned)exit, (unsigned)exit);
  p->label = exit;
}

static void exchange_squares(const square *s, uint64_t param, uint32_t i, uint32_t j) {
  square x = *s, y = *s;
  uint32_t upper = print_address(s, param, i, j), lower = print_address(s, param, j, i);
  load_square(&x, upper);
  turn_square(&x);
  load_square(&y, lower);
  turn_square(&y);
  store_square(&x, lower);
  store_square(&y, upper);
}

void jm_llvm_print_transpose(jm_llvm_printer *p, const jm_kinst_fact *f) {
  const jm_ktype type = p->k->params[f->imm].element;
  const jm_llvm_name pitch = jm_llvm_scalar(p, f->operands[0]), element = jm_llvm_type(type, 1);
  const jm_llvm_name rows = jm_llvm_scalar(p, f->operands[1]);
  const jm_llvm_name columns = jm_llvm_scalar(p, f->operands[2]);
  square s = {.p = p, .element = element.text, .pitch = pitch.text, .bytes = jm_ktype_bytes[type]};
  s.side = p->module->target.vector_bytes / s.bytes;
  const uint32_t most = p->module->brief ? BRIEF_LINES : MOST_LINES;
  if (s.side > most) s.side = most;
  s.line = jm_llvm_type(type, s.side);
  uint32_t few = print_bound(p, "slt", rows.text, columns.text);
  uint32_t many = print_bound(p, "sgt", rows.text, columns.text);
  uint32_t n = p->next, before = p->label;
  const uint32_t outer = n, inner = n + 1, next = n + 2, exit = n + 3, i = n + 4, j = n + 5,
                 next_i = n + 6, next_j = n + 7;
  p->next += 8;
  begin_loop(p, outer, i, "0", before, next_i, next);
  begin_loop(p, inner, j, jm_llvm_number(i).text, outer, next_j, inner);
  exchange_squares(&s, f->imm, i, j);
  end_loop(p, inner, j, s.side, many, next_j, next);
  end_loop(p, outer, i, s.side, few, next_i, exit);
}
