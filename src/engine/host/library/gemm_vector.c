/* SPDX-License-Identifier: Apache-2.0
 * Blocks of b are packed into panels as wide as a register tile, once for all threads, and then
 * multiplied, in one loop: a task that finds a panel unfinished packs it for itself, so that no
 * thread waits for another. With few rows each task packs what it needs just before its use, so
 * that the panel never leaves the cache. Blocks of a are read in place if their rows are
 * consecutive or nearly so, or their columns are and lie near to each other, else copied into the
 * cache first. The blocks, and so the order of additions, depend on the sizes alone. */
#include "engine/host/library/gemm_vector.h"

#include <stdatomic.h>
#include <string.h>

#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/host/library/cpu.h"
#include "engine/host/library/pack.h"

enum {
  ROWS = 6,              /* of a tile */
  PANEL_BYTES = 1 << 16, /* of a block of b: tiles read it from the second cache in time */
  MOST_DEPTH = 1024,     /* of a block, */
  COPIED_DEPTH = 256,    /* and of one of a that is copied, which stays in the second cache */
  ADDED_DEPTH = 128,     /* of one of a product whose operands both stay where they are */
  MOST_ROWS = 96,        /* of a task: its block of a stays in the second cache */
  LEAST_ROWS = 4 * ROWS, /* of a task: a panel of b comes from the second cache so often */
  FEW_TASKS = 16,
  TASKS_EACH = 8,     /* tasks of a thread, so that none waits long for the last */
  LONE_ROWS = 192,    /* of a task that handles all rows of its columns: they still fit the cache */
  MOST_COLUMNS = 256, /* of a task */
  MOST_GAP = 4,       /* between the elements of a row of a that is read in place */
  PAGE = 4096,        /* bytes */
  MOST_PACKED = 1 << 20, /* bytes of b at a time, if that leaves enough tasks */
  LEAST_TASK = 1 << 19,  /* multiplications that are worth a thread, */
  LEAST_SHARE = 1 << 17, /* and one that need not be woken */
  FEW_ROWS = 3 * ROWS,   /* with fewer, packing b costs more than it saves */
  LARGEST_PANEL = 64,    /* columns */
  PACK_GRAIN = 1 << 14,  /* elements */
  LEAST_SUM = 1 << 18,   /* and for a part of a sum: few rows or columns take longer */
  LEAST_PART = 1 << 8,   /* of a long sum that is cut, */
  PART_UNIT = 128,
  MOST_PARTS = 16,     /* so that there are so many tasks at most */
  ADD_GRAIN = 1 << 14, /* elements of parts: they come from other cores */
  SMALL = 1 << 13,     /* multiplications */
  SMALL_BYTES = 1 << 13,
};

typedef void tile_fn(const void *a, ptrdiff_t a_row, ptrdiff_t a_col, const void *b,
                     ptrdiff_t b_row, size_t k, void *c, size_t ldc, bool add);

typedef struct kernels {
  size_t element, lanes, vectors; /* of the widest tile */
  tile_fn *tiles[4][ROWS];        /* [vectors - 1][rows - 1] */
  /* Columns [j, j + columns) of a small product, at most a vector of them, which begin at b. */
  void (*small)(const jm_gemm *g, const void *b, ptrdiff_t b_row, size_t j, size_t columns);
} kernels;

#define TEMPLATE "engine/host/library/gemm_tile.h"
#include "engine/host/library/float_vectors.h"
FIND_TABLE(kernels, tables)

static const kernels *find_kernels(jm_dtype dtype) { return find_tables(dtype, JM_CPU_AVX512); }

/* Shorter vectors, if they have a lane for each column: the longer ones take more time. */
static const kernels *find_kernels_for(const jm_gemm *g) {
  const kernels *shorter = find_tables(g->dtype, JM_CPU_AVX2);
  return g->n <= shorter->lanes ? shorter : find_kernels(g->dtype);
}

bool jm_gemm_vector_supports(jm_dtype dtype) { return find_kernels(dtype) != NULL; }

typedef struct product {
  const jm_gemm *g;
  const jm_gemm_groups *groups; /* NULL: one of each */
  size_t group_depth;           /* k, if there is one group */
  const kernels *kernels;
  size_t panel;                    /* columns of the widest tile */
  size_t depth;                    /* of a block */
  size_t padded;                   /* columns of packed b: whole vectors */
  char *packed;                    /* [block of k][panel][depth][columns of the panel] */
  atomic_uchar *ready;             /* [block of k][panel]: is it packed? NULL: all are */
  size_t pack_units;               /* the first parts of the loop; the others are tasks */
  size_t row_tasks, rows, columns; /* of a task */
  size_t column_tasks;
  size_t depth_blocks, panels; /* blocks of a group */
  bool a_in_place, b_in_place;
  bool is_lone;        /* of few rows: tasks pack what they need */
  _Atomic bool failed; /* no memory */
} product;

static size_t least(size_t x, size_t y) { return x < y ? x : y; }
static size_t divide_up(size_t x, size_t y) { return (x + y - 1) / y; }

/* Of few columns a block is deeper: rows of a that are read in place are then long pieces. */
static size_t find_depth(const product *p) {
  const size_t line = least(p->padded, p->panel) * p->kernels->element;
  return least(PANEL_BYTES / line, p->a_in_place ? MOST_DEPTH : COPIED_DEPTH);
}

/* -- b */

/* Columns of packed b from column j on, at most a panel: whole vectors. */
static size_t panel_width(const product *p, size_t j) { return least(p->padded - j, p->panel); }

static char *panel_at(const product *p, size_t k0, size_t depth, size_t j) {
  return p->packed + (k0 * p->padded + depth * j) * p->kernels->element;
}

/* Depth k0 .. k0 + depth of the panel from column j on; missing columns are 0. */
static void pack_panel(const product *p, size_t k0, size_t depth, size_t j, char *to) {
  const jm_gemm *g = p->g;
  size_t element = p->kernels->element, width = panel_width(p, j), columns = least(g->n - j, width);
  const char *from = (const char *)g->b +
                     ((ptrdiff_t)k0 * g->b_row + (ptrdiff_t)j * g->b_col) * (ptrdiff_t)element;
  if (columns < width) memset(to, 0, depth * width * element);
  const jm_pack_plane plane = {element, depth, columns, g->b_row, g->b_col, (ptrdiff_t)width, 1};
  jm_pack_run_plane(&plane, from, to);
}

static void pack_panels(void *context, size_t begin, size_t end) {
  const product *p = context;
  for (size_t i = begin; i < end; i++) {
    size_t block = i / p->panels, j = i % p->panels * p->panel;
    size_t at = block % p->depth_blocks * p->depth;
    size_t k0 = block / p->depth_blocks * p->group_depth + at;
    size_t depth = least(p->group_depth - at, p->depth);
    pack_panel(p, k0, depth, j, panel_at(p, k0, depth, j));
    if (p->ready) atomic_store_explicit(&p->ready[i], true, memory_order_release);
  }
}

static size_t pack_grain(const product *p) { return PACK_GRAIN / (p->panel * p->depth) + 1; }

/* -- tasks */

/* A block of the result's columns that is narrower than its panel goes through a buffer. */
static void run_tile(const product *p, const char *a, ptrdiff_t a_row, ptrdiff_t a_col,
                     const char *b, ptrdiff_t b_row, size_t depth, size_t rows, size_t width,
                     size_t columns, char *c, size_t ldc, bool add) {
  const kernels *kernels = p->kernels;
  tile_fn *tile = kernels->tiles[width / kernels->lanes - 1][rows - 1];
  if (columns == width) {
    tile(a, a_row, a_col, b, b_row, depth, c, ldc, add);
    return;
  }
  double edge[ROWS * LARGEST_PANEL];
  tile(a, a_row, a_col, b, b_row, depth, edge, width, false);
  for (size_t r = 0; r < rows; r++) {
    char *to = c + r * ldc * kernels->element;
    const char *from = (const char *)edge + r * width * kernels->element;
    if (!add)
      memcpy(to, from, columns * kernels->element);
    else if (kernels->element == sizeof(float))
      for (size_t j = 0; j < columns; j++) ((float *)to)[j] += ((const float *)from)[j];
    else
      for (size_t j = 0; j < columns; j++) ((double *)to)[j] += ((const double *)from)[j];
  }
}

/* A block of a: in place, or a copy with consecutive rows or columns. */
typedef struct block {
  const char *data;
  ptrdiff_t row, col;
} block;

static block take_block(const product *p, size_t i, size_t rows, size_t k0, size_t depth,
                        char *room) {
  const jm_gemm *g = p->g;
  ptrdiff_t element = (ptrdiff_t)p->kernels->element;
  block b = {(const char *)g->a + ((ptrdiff_t)i * g->a_row + (ptrdiff_t)k0 * g->a_col) * element,
             g->a_row, g->a_col};
  if (p->a_in_place) return b;
  const jm_pack_plane plane = {(size_t)element,    depth, rows, g->a_col, g->a_row,
                               (ptrdiff_t)p->rows, 1};
  jm_pack_run_plane(&plane, b.data, room);
  return (block){room, 1, (ptrdiff_t)p->rows};
}

/* The panel of a task: in place, packed already, or packed now. */
static block take_panel(const product *p, size_t k0, size_t depth, size_t j, char *room) {
  const jm_gemm *g = p->g;
  if (p->b_in_place)
    return (block){(const char *)g->b +
                       ((ptrdiff_t)k0 * g->b_row + (ptrdiff_t)j) * (ptrdiff_t)p->kernels->element,
                   g->b_row, 1};
  const size_t item = k0 / p->depth * p->panels + j / p->panel;
  const bool is_ready = p->ready && atomic_load_explicit(&p->ready[item], memory_order_acquire);
  if (!is_ready) pack_panel(p, k0, depth, j, room);
  return (block){is_ready ? panel_at(p, k0, depth, j) : room, (ptrdiff_t)panel_width(p, j), 1};
}

static size_t block_bytes(const product *p) {
  return p->a_in_place ? 0 : p->rows * p->depth * p->kernels->element;
}

static size_t panel_bytes(const product *p) {
  return p->b_in_place ? 0 : p->panel * p->depth * p->kernels->element;
}

static void run_task(const product *p, size_t i0, size_t j0, char *room) {
  const jm_gemm *g = p->g;
  size_t element = p->kernels->element;
  size_t rows = least(g->m - i0, p->rows), j1 = least(j0 + p->columns, g->n);
  for (size_t k0 = 0; k0 < g->k; k0 += p->depth) {
    size_t depth = least(g->k - k0, p->depth);
    block a = take_block(p, i0, rows, k0, depth, room);
    for (size_t j = j0; j < j1; j += p->panel) {
      size_t width = panel_width(p, j), columns = least(g->n - j, width);
      block b = take_panel(p, k0, depth, j, room ? room + block_bytes(p) : NULL);
      for (size_t i = 0; i < rows; i += ROWS)
        run_tile(p, a.data + (ptrdiff_t)i * a.row * (ptrdiff_t)element, a.row, a.col, b.data, b.row,
                 depth, least(rows - i, ROWS), width, columns,
                 (char *)g->c + ((i0 + i) * g->ldc + j) * element, g->ldc, k0 || g->accumulate);
    }
  }
}

static void run_tasks(product *p, size_t begin, size_t end) {
  size_t bytes = block_bytes(p) + panel_bytes(p);
  char *room = bytes ? jm_scratch_take(bytes) : NULL;
  if (bytes && !room) p->failed = true;
  for (size_t t = begin; t < end && (room || !bytes); t++)
    run_task(p, t % p->row_tasks * p->rows, t / p->row_tasks * p->columns, room);
  jm_scratch_give(room);
}

/* Is the product too small for two tasks that are worth waking a thread? */
static bool is_short(const jm_gemm *g) { return g->m * g->n * g->k < 2 * LEAST_TASK; }

static size_t task_grain(const product *p) {
  return (is_short(p->g) ? LEAST_SHARE : LEAST_TASK) / (p->rows * p->columns * p->g->k) + 1;
}

static void run_units(void *context, size_t begin, size_t end) {
  product *p = context;
  const size_t panels = p->panels * p->depth_blocks, tasks = p->row_tasks * p->column_tasks;
  const size_t packed = least(end, p->pack_units), grain = task_grain(p);
  if (begin < packed) pack_panels(p, begin * pack_grain(p), least(packed * pack_grain(p), panels));
  if (end <= p->pack_units) return;
  const size_t first = begin > p->pack_units ? begin - p->pack_units : 0;
  run_tasks(p, first * grain, least((end - p->pack_units) * grain, tasks));
}

/* Room for packed b, of which nothing is there yet. */
static jm_error *begin_packing(product *p) {
  const size_t panels = p->panels * p->depth_blocks;
  const size_t bytes = p->padded * p->g->k * p->kernels->element;
  p->packed = jm_scratch_take(bytes + panels);
  if (!p->packed) return jm_error_out_of_memory();
  p->ready = (atomic_uchar *)(p->packed + bytes);
  for (size_t i = 0; i < panels; i++) atomic_init(&p->ready[i], false);
  p->pack_units = divide_up(panels, pack_grain(p));
  return NULL;
}

/* Are there fewer tasks than so many, that are worth being cut? */
static bool is_few(const product *p, size_t tasks) {
  const size_t worth = is_short(p->g) ? LEAST_SHARE : LEAST_TASK;
  return p->rows * p->columns * p->g->k > 2 * worth &&
         divide_up(p->g->m, p->rows) * divide_up(p->g->n, p->columns) < tasks;
}

static void halve_rows(product *p) { p->rows = divide_up(p->rows / ROWS, 2) * ROWS; }
static void halve_columns(product *p) {
  p->columns = divide_up(p->columns / p->panel, 2) * p->panel;
}

/* Tasks that share packed panels. */
static void cut_shared(product *p) {
  const size_t each = TASKS_EACH * jm_parallel_threads();
  const size_t tasks = each > FEW_TASKS ? each : FEW_TASKS;
  while (p->rows > LEAST_ROWS && is_few(p, tasks)) halve_rows(p);
  while (p->columns > p->panel && is_few(p, tasks)) halve_columns(p);
}

/* Tasks that pack what they need: where there isn't a panel for each thread, more than one packs
 * the same. */
static void cut_lone(product *p) {
  const size_t threads = jm_parallel_threads();
  while (p->columns > p->panel && is_few(p, FEW_TASKS)) halve_columns(p);
  while (p->rows > LEAST_ROWS && is_few(p, threads)) halve_rows(p);
}

/* Tasks as large as the caches take, smaller where there would be too few for many threads. */
static void cut(product *p) {
  const jm_gemm *g = p->g;
  p->is_lone = g->m <= LONE_ROWS;
  p->rows = least(divide_up(g->m, ROWS) * ROWS, p->is_lone ? LONE_ROWS : MOST_ROWS);
  p->columns = least(divide_up(g->n, p->panel) * p->panel, MOST_COLUMNS);
  if (!g->one_thread) (p->is_lone ? cut_lone : cut_shared)(p);
  p->row_tasks = divide_up(g->m, p->rows);
  p->rows = divide_up(divide_up(g->m, p->row_tasks), ROWS) * ROWS; /* about as many each */
  p->row_tasks = divide_up(g->m, p->rows);
  p->column_tasks = divide_up(g->n, p->columns);
}

/* Whether tiles find their elements of a in the caches without a copy: along rows a line serves
 * several tiles' depths, along columns several tiles. Lines a power of two apart, and each in a
 * page of its own, would not stay until then. */
static bool reads_in_place(const jm_gemm *g, size_t element) {
  const ptrdiff_t step = g->a_col * (ptrdiff_t)element;
  const bool is_column = g->a_row == 1 && step >= 0 && step < PAGE && step % (PAGE / 2);
  return (g->a_col >= 1 && g->a_col <= MOST_GAP) || is_column || g->m <= ROWS;
}

static jm_error *run_slab(const jm_gemm *g) {
  const kernels *kernels = find_kernels_for(g);
  product p = {.g = g, .kernels = kernels, .panel = kernels->lanes * kernels->vectors};
  p.padded = divide_up(g->n, kernels->lanes) * kernels->lanes;
  p.group_depth = g->k;
  p.a_in_place = reads_in_place(g, kernels->element);
  p.depth = find_depth(&p);
  p.depth_blocks = divide_up(g->k, p.depth);
  p.panels = divide_up(g->n, p.panel);
  cut(&p);
  p.b_in_place = g->b_col == 1 && p.padded == g->n &&
                 (g->m <= FEW_ROWS || (p.panels == 1 && g->b_row == (ptrdiff_t)g->n));
  if (!p.b_in_place && !p.is_lone) JM_TRY(begin_packing(&p));
  const size_t units = p.pack_units + divide_up(p.row_tasks * p.column_tasks, task_grain(&p));
  (is_short(g) ? jm_parallel_share : jm_parallel_for)(units, g->one_thread ? units : 1, run_units,
                                                      &p);
  jm_scratch_give(p.packed);
  return p.failed ? jm_error_out_of_memory() : NULL;
}

/* Columns that are packed at a time: a large b is not copied as a whole, as long as every thread
 * has enough work on a part of it. */
static size_t slab_columns(const jm_gemm *g, size_t element) {
  if (g->m <= LONE_ROWS) return g->n; /* tasks pack what they need themselves */
  size_t columns = MOST_PACKED / (g->k * element) / MOST_COLUMNS * MOST_COLUMNS;
  size_t tasks = 4 * jm_parallel_threads(), rows = divide_up(g->m, MOST_ROWS);
  size_t least_columns = divide_up(tasks, rows) * MOST_COLUMNS;
  return columns > least_columns ? columns : least_columns;
}

static jm_error *run_slabs(const jm_gemm *g) {
  size_t element = find_kernels(g->dtype)->element, columns = slab_columns(g, element);
  for (size_t j = 0; j < g->n; j += columns) {
    jm_gemm slab = *g;
    slab.n = least(g->n - j, columns);
    slab.b = (const char *)g->b + (ptrdiff_t)j * g->b_col * (ptrdiff_t)element;
    slab.c = (char *)g->c + j * element;
    JM_TRY(run_slab(&slab));
  }
  return NULL;
}

/* -- long sums */

typedef struct long_sum {
  const jm_gemm *g;
  size_t element, parts, depth; /* of a part */
  char *partial;                /* the results of all parts but the first */
  jm_error *_Atomic error;
} long_sum;

/* Into how many parts the sum is cut, by the sizes alone: where that makes more of them than there
 * are tasks. */
static size_t count_parts(const jm_gemm *g) {
  const size_t tasks = divide_up(g->m, LEAST_ROWS) * divide_up(g->n, LARGEST_PANEL);
  const size_t most = least(MOST_PARTS, g->m * g->n * g->k / LEAST_SUM);
  const size_t parts = least(g->k / LEAST_PART, most);
  return g->one_thread || parts <= tasks ? 1 : parts;
}

static void run_parts(void *context, size_t begin, size_t end) {
  long_sum *s = context;
  for (size_t i = begin; i < end; i++) {
    jm_gemm part = *s->g;
    const ptrdiff_t at = (ptrdiff_t)(i * s->depth), element = (ptrdiff_t)s->element;
    part.a = (const char *)part.a + at * part.a_col * element;
    part.b = (const char *)part.b + at * part.b_row * element;
    part.k = least(part.k - i * s->depth, s->depth);
    part.one_thread = true;
    if (i) {
      part.c = s->partial + (i - 1) * part.m * part.n * s->element;
      part.ldc = part.n;
      part.accumulate = false;
    }
    jm_error *error = run_slabs(&part);
    if (error) jm_error_destroy(atomic_exchange(&s->error, error));
  }
}

/* Adds up rows of the parts, each element in the order of the parts. */
static void add_parts(void *context, size_t begin, size_t end) {
  const long_sum *s = context;
  const jm_gemm *g = s->g;
  for (size_t part = 1; part < s->parts; part++)
    for (size_t i = begin; i < end; i++) {
      const char *from = s->partial + ((part - 1) * g->m + i) * g->n * s->element;
      char *to = (char *)g->c + i * g->ldc * s->element;
      if (s->element == sizeof(float))
        for (size_t j = 0; j < g->n; j++) ((float *)to)[j] += ((const float *)from)[j];
      else
        for (size_t j = 0; j < g->n; j++) ((double *)to)[j] += ((const double *)from)[j];
    }
}

/* -- small products */

/* Whether it takes less time to multiply than to cut and pack; elements of b that aren't
 * consecutive are copied to the stack. */
static bool is_small(const jm_gemm *g, const kernels *kernels) {
  return g->m * g->n * g->k <= SMALL &&
         (g->b_col == 1 || g->k * kernels->lanes * kernels->element <= SMALL_BYTES);
}

static void run_small(const jm_gemm *g, const kernels *kernels) {
  double room[SMALL_BYTES / sizeof(double)];
  const size_t lanes = kernels->lanes, element = kernels->element;
  for (size_t j = 0; j < g->n; j += lanes) {
    const size_t columns = least(g->n - j, lanes);
    const char *b = (const char *)g->b + (ptrdiff_t)j * g->b_col * (ptrdiff_t)element;
    ptrdiff_t row = g->b_row;
    if (g->b_col != 1) {
      row = (ptrdiff_t)lanes;
      const jm_pack_plane plane = {element, g->k, columns, g->b_row, g->b_col, row, 1};
      jm_pack_run_plane(&plane, b, room);
      b = (const char *)room;
    }
    kernels->small(g, b, row, j, columns);
  }
}

jm_error *jm_gemm_vector_run(const jm_gemm *g) {
  const kernels *kernels = find_kernels(g->dtype);
  if (is_small(g, kernels)) {
    run_small(g, kernels);
    return NULL;
  }
  size_t parts = count_parts(g);
  if (parts < 2) return run_slabs(g);
  long_sum s = {.g = g, .element = kernels->element};
  s.depth = divide_up(divide_up(g->k, parts), PART_UNIT) * PART_UNIT;
  s.parts = divide_up(g->k, s.depth);
  s.partial = jm_scratch_take((s.parts - 1) * g->m * g->n * s.element);
  if (!s.partial) return jm_error_out_of_memory();
  jm_parallel_for(s.parts, 1, run_parts, &s);
  jm_error *error = atomic_load(&s.error);
  if (!error) jm_parallel_share(g->m, ADD_GRAIN / (s.parts * g->n) + 1, add_parts, &s);
  jm_scratch_give(s.partial);
  return error;
}

/* -- groups */

static jm_error *pack_groups(product *p) {
  p->packed = jm_scratch_take(p->padded * p->g->k * p->kernels->element);
  if (!p->packed) return jm_error_out_of_memory();
  jm_parallel_for(p->panels * p->depth_blocks * p->groups->n_depth_groups, pack_grain(p),
                  pack_panels, p);
  return NULL;
}

/* A row group, depth [at, at + depth) of depth group h, as far as it has it. b: of that depth. */
static void run_group(const product *p, const jm_gemm_rows *rows, size_t h, size_t at, size_t depth,
                      size_t j, const char *b) {
  const jm_gemm *g = p->g;
  const ptrdiff_t element = (ptrdiff_t)p->kernels->element;
  const size_t begin = at > rows->begin ? at : rows->begin, end = least(at + depth, rows->end);
  if (h < rows->first || h >= rows->last || begin >= end) return;
  const size_t width = panel_width(p, j), columns = least(g->n - j, width);
  const bool add = h > rows->first || begin > rows->begin || g->accumulate;
  const ptrdiff_t along = p->groups->depth_groups[h] + (ptrdiff_t)begin;
  const char *a = (const char *)g->a + (rows->a + along) * element;
  char *c = (char *)g->c + (rows->c + (ptrdiff_t)j) * element;
  b += (begin - at) * width * p->kernels->element;
  for (size_t i = 0; i < rows->rows; i += ROWS)
    run_tile(p, a + (ptrdiff_t)i * rows->a_row * element, rows->a_row, 1, b, (ptrdiff_t)width,
             end - begin, least(rows->rows - i, ROWS), width, columns,
             c + (ptrdiff_t)(i * rows->ldc) * element, rows->ldc, add);
}

/* Tasks: some row groups and some columns, one panel after the other. */
static void run_group_tasks(void *context, size_t begin, size_t end) {
  const product *p = context;
  const jm_gemm *g = p->g;
  for (size_t t = begin; t < end; t++) {
    const size_t first = t % p->row_tasks * p->rows, j0 = t / p->row_tasks * p->columns;
    const size_t last = least(first + p->rows, p->groups->n_row_groups);
    for (size_t k0 = 0; k0 < g->k; k0 += least(p->group_depth - k0 % p->group_depth, p->depth)) {
      const size_t at = k0 % p->group_depth, depth = least(p->group_depth - at, p->depth);
      for (size_t j = j0; j < least(j0 + p->columns, g->n); j += p->panel)
        for (size_t group = first; group < last; group++)
          run_group(p, &p->groups->rows[group], k0 / p->group_depth, at, depth, j,
                    panel_at(p, k0, depth, j));
    }
  }
}

/* A panel serves two times the usual rows while it is in the first cache; where that makes few
 * tasks, each has fewer columns. */
static void cut_groups(product *p) {
  const size_t n = p->groups->n_row_groups;
  p->rows = divide_up(2 * MOST_ROWS * n, p->g->m);
  p->row_tasks = divide_up(n, p->rows);
  p->columns = p->panels * p->panel;
  while (p->columns > p->panel && p->row_tasks * divide_up(p->g->n, p->columns) < FEW_TASKS)
    p->columns = divide_up(p->columns / p->panel, 2) * p->panel;
  p->column_tasks = divide_up(p->g->n, p->columns);
}

jm_error *jm_gemm_vector_run_groups(const jm_gemm *g, const jm_gemm_groups *groups) {
  const kernels *kernels = find_kernels(g->dtype);
  product p = {.g = g, .groups = groups, .kernels = kernels, .a_in_place = true};
  p.panel = kernels->lanes * kernels->vectors;
  p.padded = divide_up(g->n, kernels->lanes) * kernels->lanes;
  p.group_depth = g->k / groups->n_depth_groups;
  p.depth = find_depth(&p);
  p.depth_blocks = divide_up(p.group_depth, p.depth);
  p.panels = divide_up(g->n, p.panel);
  JM_TRY(pack_groups(&p));
  cut_groups(&p);
  jm_parallel_for(p.row_tasks * p.column_tasks, 1, run_group_tasks, &p);
  jm_scratch_give(p.packed);
  return NULL;
}

/* -- parts */

void jm_gemm_vector_add(const jm_gemm *g) {
  const kernels *kernels = find_kernels(g->dtype);
  const size_t lanes = kernels->lanes;
  const ptrdiff_t element = (ptrdiff_t)kernels->element;
  const product p = {.g = g,
                     .kernels = kernels,
                     .panel = lanes * kernels->vectors,
                     .padded = divide_up(g->n, lanes) * lanes};
  for (size_t k0 = 0; k0 < g->k; k0 += ADDED_DEPTH)
    for (size_t j = 0; j < g->n; j += p.panel)
      for (size_t i = 0; i < g->m; i += ROWS) {
        const size_t width = panel_width(&p, j);
        const ptrdiff_t a = (ptrdiff_t)i * g->a_row + (ptrdiff_t)k0 * g->a_col;
        const ptrdiff_t b = (ptrdiff_t)k0 * g->b_row + (ptrdiff_t)j;
        run_tile(&p, (const char *)g->a + a * element, g->a_row, g->a_col,
                 (const char *)g->b + b * element, g->b_row, least(g->k - k0, ADDED_DEPTH),
                 least(g->m - i, ROWS), width, least(g->n - j, width),
                 (char *)g->c + (ptrdiff_t)(i * g->ldc + j) * element, g->ldc, true);
      }
}

size_t jm_gemm_vector_lanes(jm_dtype dtype) { return find_kernels(dtype)->lanes; }
