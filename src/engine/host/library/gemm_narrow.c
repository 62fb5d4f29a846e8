/* SPDX-License-Identifier: Apache-2.0
 * As in gemm_vector.c, blocks of b are packed into panels as wide as a register tile; but the unit
 * of depth is a group, by the same loop that multiplies, and no thread waits for another. With few
 * rows b is read where it lies, if the kernel can. Where there is one block of rows a task packs
 * the panels that it alone needs. */
#include "engine/host/library/gemm_narrow.h"

#include <stdatomic.h>
#include <string.h>

#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/host/library/pack.h"
#include "engine/host/library/transpose.h"

enum {
  PACK_GRAIN = 1 << 15, /* elements */
  FEW_TASKS = 16,       /* fewer are cut smaller */
};

typedef struct product {
  const jm_narrow_kernel *kernel;
  const jm_gemm *g;
  jm_dtype result;
  size_t group;                           /* elements */
  size_t padded;                          /* columns of packed b: whole vectors */
  char *packed;                           /* [block of k][panel][line][column]; NULL: by tasks */
  atomic_uchar *ready;                    /* [block of k][panel]: is it packed? */
  size_t panels, blocks;                  /* of packed b */
  size_t pack_units;                      /* the first parts of the loop; the others are tasks */
  size_t row_tasks, rows, columns;        /* of a task */
  bool a_in_place, b_in_place, in_result; /* sums are kept in the result itself */
  _Atomic bool failed;                    /* no memory */
} product;

/* A task's memory. */
typedef struct room {
  char *data, *sums, *a, *pairs, *panel;
} room;

static size_t least(size_t x, size_t y) { return x < y ? x : y; }
static size_t divide_up(size_t x, size_t y) { return (x + y - 1) / y; }
static size_t round_up(size_t x, size_t y) { return divide_up(x, y) * y; }

static const char *at(const product *p, const void *data, size_t row, ptrdiff_t row_stride,
                      size_t column, ptrdiff_t column_stride) {
  ptrdiff_t offset = (ptrdiff_t)row * row_stride + (ptrdiff_t)column * column_stride;
  return (const char *)data + offset * (ptrdiff_t)p->kernel->element;
}

static size_t depth_at(const product *p, size_t k0) {
  return least(p->g->k - k0, p->kernel->depth);
}

/* Columns of packed b from column j on, at most a panel: whole vectors. */
static size_t width_at(const product *p, size_t j) {
  return least(p->padded - j, p->kernel->panel);
}

/* Lines of a packed panel. */
static size_t count_lines(const product *p, size_t depth) {
  return !!p->kernel->find_start + round_up(depth, p->kernel->unit) / p->group;
}

static size_t line_bytes(size_t columns) { return columns * JM_NARROW_GROUP_BYTES; }

/* -- packing */

/* Columns of depth elements, any strides apart, to lines of groups. */
static void pack_groups(const product *p, const char *from, ptrdiff_t row, ptrdiff_t column,
                        size_t depth, size_t columns, size_t width, char *to) {
  size_t element = p->kernel->element, group = p->group, line = line_bytes(width), done = 0;
  if (column == 1) {
    p->kernel->interleave(from, row, depth, columns, width, to);
    return;
  }
  if (columns < width || depth % group) memset(to, 0, divide_up(depth, group) * line);
  if (row == 1) {
    done = depth / group;
    jm_transpose_4(to, (ptrdiff_t)line, from, column * (ptrdiff_t)element, done, columns);
  }
  for (size_t q = 0; q < group && done * group + q < depth; q++) {
    const jm_pack_plane plane = {.element = element,
                                 .rows = divide_up(depth - done * group - q, group),
                                 .columns = columns,
                                 .from_row = (ptrdiff_t)group * row,
                                 .from_column = column,
                                 .to_row = (ptrdiff_t)(line / element),
                                 .to_column = (ptrdiff_t)group};
    jm_pack_run_plane(&plane, at(p, from, done * group + q, row, 0, 0),
                      to + done * line + q * element);
  }
}

static void pack_panel(const product *p, size_t k0, size_t j, char *to) {
  const jm_gemm *g = p->g;
  size_t depth = depth_at(p, k0), width = width_at(p, j), line = line_bytes(width);
  size_t groups = divide_up(depth, p->group), lines = count_lines(p, depth);
  char *first = to + !!p->kernel->find_start * line;
  pack_groups(p, at(p, g->b, k0, g->b_row, j, g->b_col), g->b_row, g->b_col, depth,
              least(g->n - j, width), width, first);
  memset(first + groups * line, 0, to + lines * line - (first + groups * line));
  if (p->kernel->find_start) p->kernel->find_start(groups, width, to);
}

static char *panel_at(const product *p, size_t k0, size_t j) {
  size_t before = k0 / p->kernel->depth * count_lines(p, p->kernel->depth) * p->padded;
  return p->packed + line_bytes(before + count_lines(p, depth_at(p, k0)) * j);
}

static void pack_panels(product *p, size_t begin, size_t end) {
  for (size_t i = begin; i < end; i++) {
    size_t k0 = i / p->panels * p->kernel->depth, j = i % p->panels * p->kernel->panel;
    pack_panel(p, k0, j, panel_at(p, k0, j));
    atomic_store_explicit(&p->ready[i], true, memory_order_release);
  }
}

static bool is_ready(const product *p, size_t k0, size_t j) {
  const size_t item = k0 / p->kernel->depth * p->panels + j / p->kernel->panel;
  return p->ready && atomic_load_explicit(&p->ready[item], memory_order_acquire);
}

static size_t pack_grain(const product *p) {
  return PACK_GRAIN / (p->kernel->panel * p->kernel->depth) + 1;
}

/* Room for packed b, of which nothing is there yet. */
static jm_error *begin_packing(product *p) {
  const size_t panels = p->panels * p->blocks;
  const size_t bytes = line_bytes(p->blocks * count_lines(p, p->kernel->depth) * p->padded) + 1;
  p->packed = jm_scratch_take(bytes + panels);
  if (!p->packed) return jm_error_out_of_memory();
  p->ready = (atomic_uchar *)(p->packed + bytes);
  for (size_t i = 0; i < panels; i++) atomic_init(&p->ready[i], false);
  p->pack_units = divide_up(panels, pack_grain(p));
  return NULL;
}

/* Rows of a as a kernel takes them. Columns that lie one after the other are put into groups as
 * those of b are, and whole groups transposed. */
static void copy_rows(const product *p, size_t i, size_t rows, size_t k0, size_t depth,
                      const room *room) {
  const jm_gemm *g = p->g;
  size_t element = p->kernel->element, padded = round_up(depth, p->kernel->unit);
  const char *from = at(p, g->a, i, g->a_row, k0, g->a_col);
  if (room->pairs) {
    size_t width = round_up(rows, JM_NARROW_LANES);
    pack_groups(p, from, g->a_col, g->a_row, depth, rows, width, room->pairs);
    jm_transpose_4(room->a, (ptrdiff_t)(padded * element), room->pairs,
                   (ptrdiff_t)line_bytes(width), rows, divide_up(depth, p->group));
  } else {
    const jm_pack_plane plane = {element, rows, depth, g->a_row, g->a_col, (ptrdiff_t)padded, 1};
    jm_pack_run_plane(&plane, from, room->a);
  }
  for (size_t r = 0; depth < padded && r < rows; r++)
    memset(room->a + (r * padded + depth) * element, 0, (padded - depth) * element);
  if (p->kernel->convert) p->kernel->convert(room->a, rows * padded * element);
}

/* -- tasks */

typedef struct place {
  size_t i, j, rows, columns;
  size_t in_result; /* of the columns those whose sums are kept where they belong */
} place;

/* The product of one panel of b, from its row k on, with `depth` columns of a. */
static void multiply_rows(const product *p, size_t rows, const char *a, jm_narrow_block *x) {
  char *c = x->c;
  for (size_t i = 0; i < rows; i += p->kernel->rows) {
    x->rows = least(rows - i, p->kernel->rows);
    x->a = a + (ptrdiff_t)i * x->a_row;
    x->c = c + (ptrdiff_t)i * x->c_row;
    p->kernel->multiply(x);
  }
  x->c = c;
}

/* Rows of a that lie as the kernel takes them are read there, up to the last whole unit; what
 * remains of them is copied. */
static void multiply_panel(const product *p, const place *t, size_t k0, const room *room,
                           jm_narrow_block *x) {
  const jm_gemm *g = p->g;
  size_t depth = depth_at(p, k0), unit = p->kernel->unit, element = p->kernel->element;
  size_t whole = p->a_in_place ? depth / unit * unit : 0;
  x->add = k0 > 0;
  if (whole) {
    x->depth = whole;
    x->a_row = g->a_row * (ptrdiff_t)element;
    multiply_rows(p, t->rows, at(p, g->a, t->i, g->a_row, k0, 1), x);
    x->add = true;
  }
  if (whole == depth) return;
  x->depth = depth - whole;
  x->a_row = (ptrdiff_t)(round_up(x->depth, unit) * element);
  x->b = (const char *)x->b + (ptrdiff_t)(p->b_in_place ? whole : whole / p->group) * x->b_row;
  multiply_rows(p, t->rows, room->a, x);
}

static void *result_at(const product *p, size_t i, size_t j) {
  return (char *)p->g->c + (i * p->g->ldc + j) * jm_dtype_bytes(p->result);
}

static void store(const product *p, const place *t, const char *sums) {
  size_t j = t->in_result, n = t->columns - j;
  sums += line_bytes(j);
  for (size_t i = 0; n && i < t->rows; i++, sums += line_bytes(p->columns))
    if (jm_dtype_bytes(p->result) == JM_NARROW_GROUP_BYTES)
      memcpy(result_at(p, t->i + i, t->j + j), sums, line_bytes(n));
    else
      p->kernel->narrow(sums, n, result_at(p, t->i + i, t->j + j));
}

static void run_task(const product *p, const place *t, const room *room, jm_narrow_block *x) {
  const jm_gemm *g = p->g;
  if (!g->k) memset(room->sums, 0, t->rows * line_bytes(p->columns));
  for (size_t k0 = 0; k0 < g->k; k0 += p->kernel->depth) {
    size_t depth = depth_at(p, k0), whole = p->a_in_place ? depth - depth % p->kernel->unit : 0;
    if (whole < depth) copy_rows(p, t->i, t->rows, k0 + whole, depth - whole, room);
    for (size_t j = 0; j < t->columns; j += p->kernel->panel) {
      bool there = j < t->in_result;
      x->width = width_at(p, t->j + j);
      x->columns = least(t->columns - j, x->width);
      x->b_row = p->b_in_place ? g->b_row * (ptrdiff_t)p->kernel->element
                               : (ptrdiff_t)line_bytes(x->width);
      const bool is_there = is_ready(p, k0, t->j + j);
      x->b = p->b_in_place ? at(p, g->b, k0, g->b_row, t->j + j, 1)
             : is_there    ? panel_at(p, k0, t->j + j)
                           : room->panel;
      if (!p->b_in_place && !is_there) pack_panel(p, k0, t->j + j, room->panel);
      x->c = there ? result_at(p, t->i, t->j + j) : room->sums + line_bytes(j);
      x->c_row = (ptrdiff_t)line_bytes(there ? g->ldc : p->columns);
      multiply_panel(p, t, k0, room, x);
    }
  }
  store(p, t, room->sums);
}

static bool take_room(const product *p, room *out) {
  const jm_narrow_kernel *kernel = p->kernel;
  size_t depth = round_up(least(p->g->k, kernel->depth), kernel->unit);
  size_t sums = p->rows * line_bytes(p->columns);
  size_t a = p->rows * kernel->element * (p->a_in_place ? kernel->unit : depth);
  bool grouped = !p->a_in_place && p->g->a_row == 1 && p->g->a_col != 1;
  size_t pairs = grouped ? depth / p->group * line_bytes(round_up(p->rows, JM_NARROW_LANES)) : 0;
  size_t panel = p->b_in_place ? 0 : count_lines(p, depth) * line_bytes(kernel->panel);
  a = round_up(a, 64), sums = round_up(sums, 64);
  *out = (room){.data = jm_scratch_take(sums + a + pairs + panel)};
  if (!out->data) return false;
  out->sums = out->data, out->a = out->sums + sums;
  out->panel = out->a + a;
  if (grouped) out->pairs = out->panel + panel;
  return true;
}

/* The last panel may be wider than what remains of the columns. */
static place place_at(const product *p, size_t task) {
  const jm_gemm *g = p->g;
  place t = {.i = task % p->row_tasks * p->rows, .j = task / p->row_tasks * p->columns};
  t.rows = least(g->m - t.i, p->rows), t.columns = least(g->n - t.j, p->columns);
  if (p->in_result)
    t.in_result =
        t.columns % JM_NARROW_LANES ? t.columns / p->kernel->panel * p->kernel->panel : t.columns;
  return t;
}

static void run_tasks(product *p, size_t begin, size_t end) {
  room room;
  if (!take_room(p, &room)) {
    p->failed = true;
    return;
  }
  jm_narrow_block block = {.b_in_place = p->b_in_place};
  for (size_t n = begin; n < end; n++) {
    const place t = place_at(p, n);
    run_task(p, &t, &room, &block);
  }
  if (p->kernel->release) p->kernel->release();
  jm_scratch_give(room.data);
}

static size_t task_grain(const product *p) {
  return p->kernel->least_task / (p->rows * p->columns * p->g->k + 1) + 1;
}

static void run_units(void *context, size_t begin, size_t end) {
  product *p = context;
  const size_t panels = p->panels * p->blocks;
  const size_t tasks = p->row_tasks * divide_up(p->g->n, p->columns);
  const size_t packed = least(end, p->pack_units), grain = task_grain(p);
  if (begin < packed) pack_panels(p, begin * pack_grain(p), least(packed * pack_grain(p), panels));
  if (end <= p->pack_units) return;
  const size_t first = begin > p->pack_units ? begin - p->pack_units : 0;
  run_tasks(p, first * grain, least((end - p->pack_units) * grain, tasks));
}

/* Tasks as large as the caches take and of even heights, smaller where there would be too few for
 * many threads. */
static void cut(product *p) {
  const jm_gemm *g = p->g;
  const jm_narrow_kernel *kernel = p->kernel;
  p->rows = divide_up(g->m, divide_up(g->m, kernel->most_rows));
  if (p->rows < g->m) p->rows = round_up(p->rows, kernel->rows);
  p->row_tasks = divide_up(g->m, p->rows);
  p->columns = least(p->padded, kernel->most_columns);
  while (p->columns > kernel->panel && p->rows * p->columns * g->k > 2 * kernel->least_task &&
         p->row_tasks * divide_up(g->n, p->columns) < FEW_TASKS)
    p->columns = divide_up(p->columns / kernel->panel, 2) * kernel->panel;
}

bool jm_gemm_narrow_is_in_place(const jm_narrow_kernel *kernel, const jm_gemm *g) {
  return g->m <= kernel->few_rows && g->b_col == 1;
}

jm_error *jm_gemm_narrow_run(const jm_narrow_kernel *kernel, const jm_gemm *g, jm_dtype result) {
  if (!g->m || !g->n) return NULL;
  product p = {.kernel = kernel, .g = g, .result = result};
  p.group = JM_NARROW_GROUP_BYTES / kernel->element;
  p.padded = round_up(g->n, JM_NARROW_LANES);
  p.a_in_place = g->a_col == 1 && !kernel->copies_a;
  p.b_in_place = jm_gemm_narrow_is_in_place(kernel, g);
  p.in_result = g->k && jm_dtype_bytes(result) == JM_NARROW_GROUP_BYTES;
  cut(&p);
  p.panels = divide_up(g->n, kernel->panel);
  p.blocks = divide_up(g->k, kernel->depth);
  if (!p.b_in_place && p.row_tasks > 1) JM_TRY(begin_packing(&p));
  const size_t tasks = p.row_tasks * divide_up(g->n, p.columns);
  const size_t units = p.pack_units + divide_up(tasks, task_grain(&p));
  jm_parallel_for(units, g->one_thread ? units : 1, run_units, &p);
  jm_scratch_give(p.packed);
  return p.failed ? jm_error_out_of_memory() : NULL;
}
