/* SPDX-License-Identifier: Apache-2.0
 * The sort of order_vector.c for one type of item and one instruction set: included once per pair,
 * with NAME and TARGET defined, T, V (a vector of T), LANES, and on vectors
 *   LOAD(p), STORE(p, x), SPLAT(x), LEAST(x, y), MOST(x, y);
 *   LOAD_FIRST(p, n): the first n lanes, of any int n, and ones in the others;
 *   LANE_XOR(x, m): its lane i is lane i ^ m of x;
 *   LANES_WITH(x, y, bit): the lanes of y whose number has the bit, the others of x;
 *   AFTER(x, y): a bit per lane that holds more in x than in y;
 *   PACK(p, x, mask): stores the lanes of the mask one after another, and anything behind them. */

#define INLINE static inline __attribute__((always_inline)) TARGET
#define UNROLL _Pragma("GCC unroll 16")

/* -- a block: up to ROWS vectors in registers */

INLINE void NAME(swap)(V *v, int i, int j) {
  const V x = v[i], y = v[j];
  v[i] = LEAST(x, y);
  v[j] = MOST(x, y);
}

/* Each lane by itself, along the rows: Batcher's odd-even merge sort. */
INLINE void NAME(columns_4)(V *v) {
  NAME(swap)(v, 0, 1);
  NAME(swap)(v, 2, 3);
  UNROLL for (int i = 0; i < 2; i++) NAME(swap)(v, i, i + 2);
  NAME(swap)(v, 1, 2);
}

INLINE void NAME(columns_8)(V *v) {
  NAME(columns_4)(v);
  NAME(columns_4)(v + 4);
  UNROLL for (int i = 0; i < 4; i++) NAME(swap)(v, i, i + 4);
  UNROLL for (int i = 2; i < 4; i++) NAME(swap)(v, i, i + 2);
  UNROLL for (int i = 1; i < 7; i += 2) NAME(swap)(v, i, i + 1);
}

INLINE void NAME(columns_16)(V *v) {
  NAME(columns_8)(v);
  NAME(columns_8)(v + 8);
  UNROLL for (int i = 0; i < 8; i++) NAME(swap)(v, i, i + 8);
  UNROLL for (int i = 4; i < 8; i++) NAME(swap)(v, i, i + 4);
  UNROLL for (int i = 2; i < 12; i += 4) {
    NAME(swap)(v, i, i + 2);
    NAME(swap)(v, i + 1, i + 3);
  }
  UNROLL for (int i = 1; i < 15; i += 2) NAME(swap)(v, i, i + 1);
}

INLINE void NAME(columns)(V *v, const int rows) {
  if (rows == 2) NAME(swap)(v, 0, 1);
  if (rows == 4) NAME(columns_4)(v);
  if (rows == 8) NAME(columns_8)(v);
  if (rows == 16) NAME(columns_16)(v);
}

INLINE V NAME(swap_lanes)(V x, const int m, const int bit) {
  const V y = LANE_XOR(x, m);
  return LANES_WITH(LEAST(x, y), MOST(x, y), bit);
}

/* Sorted sequences lie row by row in `half` lanes each; any two that are neighbours become one. The
 * second is read backwards, so the two form a bitonic sequence, and so do all its halves if their
 * second half is read backwards as well. */
INLINE void NAME(merge)(V *v, const int rows, const int half) {
  UNROLL for (int block = rows; block > 1; block /= 2)
      UNROLL for (int first = 0; first < rows; first += block)
          UNROLL for (int i = 0; 2 * i < block; i++) {
    const V x = v[first + i], y = LANE_XOR(v[first + block - 1 - i], 2 * half - 1);
    v[first + i] = LEAST(x, y);
    v[first + block - 1 - i] = MOST(x, y);
  }
  UNROLL for (int i = 0; i < rows; i++) {
    v[i] = NAME(swap_lanes)(v[i], 2 * half - 1, half);
    if (half > 4) v[i] = NAME(swap_lanes)(v[i], 4, 4);
    if (half > 2) v[i] = NAME(swap_lanes)(v[i], 2, 2);
    if (half > 1) v[i] = NAME(swap_lanes)(v[i], 1, 1);
  }
}

/* n items, more than half of what `rows` vectors hold. */
INLINE void NAME(sort_rows)(const T *in, T *out, size_t n, const int rows) {
  V v[ROWS];
  UNROLL for (int i = 0; i < rows; i++) {
    const T *at = in + i * LANES;
    v[i] = i < rows / 2 ? LOAD(at) : LOAD_FIRST(at, (int)n - i * LANES);
  }
  NAME(columns)(v, rows);
  NAME(merge)(v, rows, 1);
  if (LANES > 2) NAME(merge)(v, rows, 2);
  if (LANES > 4) NAME(merge)(v, rows, 4);
  if (LANES > 8) NAME(merge)(v, rows, 8);
  UNROLL for (int i = 0; i < rows; i++) if (i < rows / 2 || (int)n > i * LANES)
      STORE(out + i * LANES, v[i]);
}

TARGET static void NAME(sort_block)(const T *in, T *out, size_t n) {
  if (n <= LANES)
    NAME(sort_rows)(in, out, n, 1);
  else if (n <= 2 * LANES)
    NAME(sort_rows)(in, out, n, 2);
  else if (n <= 4 * LANES)
    NAME(sort_rows)(in, out, n, 4);
  else if (n <= 8 * LANES)
    NAME(sort_rows)(in, out, n, 8);
  else
    NAME(sort_rows)(in, out, n, 16);
}

/* -- parts */

/* Whole vectors are stored, so up to LANES items behind those that belong there are lost. */
INLINE void NAME(part)(T *from, T *to, V x, V pivot, bool moves_more, unsigned valid, size_t *kept,
                       size_t *moved) {
  const unsigned more = AFTER(x, pivot), move = (moves_more ? more : ~more) & valid;
  const unsigned keep = ~move & valid;
  PACK(from + *kept, x, keep);
  PACK(to + *moved, x, move);
  *kept += (size_t)__builtin_popcount(keep);
  *moved += (size_t)__builtin_popcount(move);
}

/* Items of more than the pivot (or those of at most the pivot) move to the other array, the others
 * close up. Returns how many are at most the pivot. */
INLINE size_t NAME(divide)(T *from, T *to, size_t n, T at, const bool moves_more) {
  const V pivot = SPLAT(at);
  size_t i = 0, kept = 0, moved = 0;
  for (; i + LANES <= n; i += LANES)
    NAME(part)(from, to, LOAD(from + i), pivot, moves_more, (1u << LANES) - 1, &kept, &moved);
  NAME(part)(from, to, LOAD(from + i), pivot, moves_more, (1u << (n - i)) - 1, &kept, &moved);
  return moves_more ? kept : moved;
}

TARGET static size_t NAME(divide_any)(T *from, T *to, size_t n, T at, bool moves_more) {
  return moves_more ? NAME(divide)(from, to, n, at, true) : NAME(divide)(from, to, n, at, false);
}

TARGET static T NAME(find_median)(const T *items, size_t n) {
  enum { SAMPLES = 2 * LANES };
  T sample[SAMPLES + JM_ORDER_SLACK];
  const size_t step = n / SAMPLES;
  for (size_t i = 0; i < SAMPLES; i++) sample[i] = items[i * step + step / 2];
  NAME(sort_rows)(sample, sample, SAMPLES, 2);
  return sample[SAMPLES / 2 - 1];
}

TARGET static T NAME(find_middle)(const T *items, size_t n) {
  T least = items[0], most = items[0];
  for (size_t i = 1; i < n; i++) {
    least = items[i] < least ? items[i] : least;
    most = items[i] > most ? items[i] : most;
  }
  return least + (most - least) / 2;
}

/* The items lie in `out` or else in `spare` and are sorted into `out`. Low parts stay in `out`, and
 * the place behind them there is free until they are done; high parts wait in `spare`. After
 * `levels` unlucky medians a part's values are halved instead, which ends for sure. */
TARGET static void NAME(sort_part)(T *out, T *spare, size_t n, bool is_in_out, unsigned levels) {
  while (n > ROWS * LANES) {
    T *from = is_in_out ? out : spare, *to = is_in_out ? spare : out;
    const T pivot = levels ? NAME(find_median)(from, n) : NAME(find_middle)(from, n);
    size_t low = NAME(divide_any)(from, to, n, pivot, is_in_out);
    levels -= levels > 0;
    if (low == n) { /* the pivot is the largest: first those below it, then those that equal it */
      low = pivot ? NAME(divide_any)(out, spare, n, pivot - 1, true) : 0;
      NAME(sort_part)(out, spare, low, true, levels);
      for (size_t i = low; i < n; i++) out[i] = pivot;
      return;
    }
    NAME(sort_part)(out, spare + (n - low), low, true, levels);
    out += low;
    n -= low;
    is_in_out = false;
  }
  if (n) NAME(sort_block)(is_in_out ? out : spare, out, n);
}

TARGET static void NAME(sort)(T *items, T *spare, size_t n) {
  unsigned levels = 4;
  for (size_t rest = n; rest; rest /= 2) levels += 2;
  NAME(sort_part)(items, spare, n, true, levels);
}

#undef INLINE
#undef UNROLL
#undef NAME
#undef T
#undef V
#undef LANES
#undef TARGET
#undef LOAD
#undef LOAD_FIRST
#undef STORE
#undef SPLAT
#undef LEAST
#undef MOST
#undef LANE_XOR
#undef LANES_WITH
#undef AFTER
#undef PACK
