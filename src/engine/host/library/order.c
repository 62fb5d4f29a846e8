/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/host/library/order.h"

#include <string.h>

#include "base/loop.h"
#include "base/number.h"
#include "base/parallel.h"
#include "base/scratch.h"
#include "engine/host/library/order_vector.h"

/* -- keys */

/* How the bits of a float type are laid out, as far as its order is concerned. */
typedef enum encoding {
  ENCODING_NONE,     /* not a float */
  ENCODING_SIGNED,   /* sign and magnitude; magnitudes above `last` are NaN */
  ENCODING_FNUZ,     /* no -0: its place is the only NaN, which converts to a negative one */
  ENCODING_UNSIGNED, /* no sign; bits above `last` are NaN */
} encoding;

typedef struct float_fact {
  encoding encoding;
  uint64_t last; /* the largest magnitude that is not NaN */
} float_fact;

static const float_fact float_facts[JM_N_DTYPES] = {
    [JM_DT_f4e2m1fn] = {ENCODING_SIGNED, 0x7},
    [JM_DT_f6e2m3fn] = {ENCODING_SIGNED, 0x1f},
    [JM_DT_f6e3m2fn] = {ENCODING_SIGNED, 0x1f},
    [JM_DT_f8e3m4] = {ENCODING_SIGNED, 0x70},
    [JM_DT_f8e4m3] = {ENCODING_SIGNED, 0x78},
    [JM_DT_f8e4m3fn] = {ENCODING_SIGNED, 0x7e},
    [JM_DT_f8e4m3fnuz] = {ENCODING_FNUZ, 0x7f},
    [JM_DT_f8e4m3b11fnuz] = {ENCODING_FNUZ, 0x7f},
    [JM_DT_f8e5m2] = {ENCODING_SIGNED, 0x7c},
    [JM_DT_f8e5m2fnuz] = {ENCODING_FNUZ, 0x7f},
    [JM_DT_f8e8m0fnu] = {ENCODING_UNSIGNED, 0xfe},
    [JM_DT_f16] = {ENCODING_SIGNED, 0x7c00},
    [JM_DT_bf16] = {ENCODING_SIGNED, 0x7f80},
    [JM_DT_f32] = {ENCODING_SIGNED, 0x7f800000},
    [JM_DT_f64] = {ENCODING_SIGNED, 0x7ff0000000000000},
};

#define ANY_NAN(bytes, word)                                                                   \
  case bytes: {                                                                                \
    const word last = (word)float_facts[dtype].last, magnitude = (word)((word) ~(word)0 >> 1); \
    bool any = false;                                                                          \
    for (size_t i = 0; i < n; i++) any |= (((const word *)in)[i * stride] & magnitude) > last; \
    return any;                                                                                \
  }

bool jm_order_any_nan(jm_dtype dtype, const void *in, size_t stride, size_t n) {
  if (float_facts[dtype].encoding == ENCODING_NONE) return false;
  switch (jm_dtype_bytes(dtype)) {
    ANY_NAN(2, uint16_t)
    ANY_NAN(4, uint32_t)
    ANY_NAN(8, uint64_t)
    default:
      break;
  }
  bool nan[256], any = false;
  for (unsigned i = 0; i < 256; i++) nan[i] = jm_number_is_nan(dtype, i);
  for (size_t i = 0; i < n; i++) any |= nan[((const uint8_t *)in)[i * stride]];
  return any;
}

/* The key of an element of at most a byte, before `descending`; *lossy: it was substituted. */
static uint8_t byte_key(const jm_key_order *order, uint8_t bits, bool *lossy) {
  const float_fact *fact = &float_facts[order->dtype];
  uint8_t sign = (uint8_t)(1u << (jm_dtype_facts[order->dtype].bits - 1));
  if (fact->encoding == ENCODING_NONE) { /* NumPy's numbers below 8 bits have no sign above them */
    const bool is_signed = jm_dtype_classof(order->dtype) == JM_CLASS_SINT;
    const uint8_t own = bits & (uint8_t)(sign | (sign - 1));
    const uint8_t ours = is_signed && own & sign ? (uint8_t)(own - 2 * sign) : own;
    if (bits != ours) *lossy = true;
    return is_signed ? own ^ sign : own;
  }
  uint8_t kept = bits;
  if (order->nan && jm_number_is_nan(order->dtype, bits)) bits = (uint8_t)order->nan_bits;
  if (order->zero && fact->encoding == ENCODING_SIGNED && bits == sign) bits = 0;
  if (bits != kept) *lossy = true;
  if (fact->encoding == ENCODING_UNSIGNED) return bits;
  /* A negative number's bits are complemented, but not those of the byte that are not the type's.
   */
  if (fact->encoding == ENCODING_SIGNED)
    return bits & sign ? (uint8_t)(~bits & (sign | (sign - 1))) : bits ^ sign;
  if (bits == sign) return 0;
  return bits & sign ? (uint8_t)(~bits + 1) : bits ^ sign;
}

static bool keys8(const jm_key_order *order, const uint8_t *in, size_t stride, size_t n,
                  uint32_t *out) {
  uint8_t keys[256];
  bool lossy[256] = {0}, any = false;
  uint8_t flip = order->descending ? 0xff : 0;
  for (unsigned i = 0; i < 256; i++) keys[i] = byte_key(order, (uint8_t)i, &lossy[i]) ^ flip;
  for (size_t i = 0; i < n; i++) {
    uint8_t bits = in[i * stride];
    out[i] = keys[bits];
    any |= lossy[bits];
  }
  return !any;
}

static void values8(const jm_key_order *order, const uint32_t *keys, size_t n, uint8_t *out,
                    size_t stride) {
  uint8_t values[256] = {0};
  uint8_t flip = order->descending ? 0xff : 0;
  for (unsigned i = 256; i-- > 0;) {
    bool lossy = false;
    uint8_t key = byte_key(order, (uint8_t)i, &lossy) ^ flip;
    if (!lossy) values[key] = (uint8_t)i;
  }
  for (size_t i = 0; i < n; i++) out[i * stride] = values[keys[i] & 0xff];
}

/* Types of 2, 4 and 8 bytes. A float's key: all bits of a negative value flipped, the sign of a
 * positive one. Thresholds that never hold stand for substitutions that are off. */
#define FLOAT_KEYS(word, step)                                                 \
  JM_LOOP                                                                      \
  for (size_t i = 0; i < n; i++) {                                             \
    word old = in[i * (step)], magnitude = (word)(old & (word)~sign);          \
    word not_zero = (word)(0 - (word)(magnitude != 0)),                        \
         is_nan = (word)(0 - (word)(magnitude > last));                        \
    word bits = (word)(old & (zero | not_zero));                               \
    bits = (word)((bits & (word)~is_nan) | (nan & is_nan));                    \
    lossy |= (word)(bits ^ old);                                               \
    bits ^= (word)((word)(0 - (word)(bits >> (sizeof(word) * 8 - 1))) | sign); \
    out[i] = (word)(bits ^ flip);                                              \
  }
/* The same without substitutions. */
#define EXACT_KEYS(word, step)                                                 \
  JM_LOOP                                                                      \
  for (size_t i = 0; i < n; i++) {                                             \
    word bits = in[i * (step)];                                                \
    bits ^= (word)((word)(0 - (word)(bits >> (sizeof(word) * 8 - 1))) | sign); \
    out[i] = (word)(bits ^ flip);                                              \
  }
#define FLOAT_VALUES(word, step)                                               \
  JM_LOOP                                                                      \
  for (size_t i = 0; i < n; i++) {                                             \
    word bits = (word)((word)keys[i] ^ flip);                                  \
    bits ^= (word)((word)((word)(bits >> (sizeof(word) * 8 - 1)) - 1) | sign); \
    out[i * (step)] = bits;                                                    \
  }
#define WIDE_KEYS(suffix, word, key_word)                                                         \
  JM_CLONES static bool keys##suffix(const jm_key_order *order, const word *in, size_t stride,    \
                                     size_t n, key_word *out) {                                   \
    const word sign = (word)((word)1 << (sizeof(word) * 8 - 1));                                  \
    const word flip = order->descending ? (word) ~(word)0 : 0;                                    \
    if (!jm_dtype_is_float(order->dtype)) {                                                       \
      const word offset =                                                                         \
          flip ^ (jm_dtype_classof(order->dtype) == JM_CLASS_SINT ? sign : (word)0);              \
      for (size_t i = 0; i < n; i++) out[i] = (word)(in[i * stride] ^ offset);                    \
      return true;                                                                                \
    }                                                                                             \
    if (!order->nan && !order->zero && stride == 1) {                                             \
      EXACT_KEYS(word, 1)                                                                         \
      return true;                                                                                \
    }                                                                                             \
    const word last = order->nan ? (word)float_facts[order->dtype].last : (word) ~(word)0;        \
    const word nan = (word)order->nan_bits, zero = order->zero ? 0 : (word) ~(word)0;             \
    word lossy = 0;                                                                               \
    if (stride == 1) {                                                                            \
      FLOAT_KEYS(word, 1)                                                                         \
    } else {                                                                                      \
      FLOAT_KEYS(word, stride)                                                                    \
    }                                                                                             \
    return !lossy;                                                                                \
  }                                                                                               \
  JM_CLONES static void values##suffix(const jm_key_order *order, const key_word *keys, size_t n, \
                                       word *out, size_t stride) {                                \
    const word sign = (word)((word)1 << (sizeof(word) * 8 - 1));                                  \
    const word flip = order->descending ? (word) ~(word)0 : 0;                                    \
    if (!jm_dtype_is_float(order->dtype)) {                                                       \
      const word offset =                                                                         \
          flip ^ (jm_dtype_classof(order->dtype) == JM_CLASS_SINT ? sign : (word)0);              \
      for (size_t i = 0; i < n; i++) out[i * stride] = (word)((word)keys[i] ^ offset);            \
      return;                                                                                     \
    }                                                                                             \
    if (stride == 1) {                                                                            \
      FLOAT_VALUES(word, 1)                                                                       \
    } else {                                                                                      \
      FLOAT_VALUES(word, stride)                                                                  \
    }                                                                                             \
  }
WIDE_KEYS(16, uint16_t, uint32_t)
WIDE_KEYS(32, uint32_t, uint32_t)
WIDE_KEYS(64, uint64_t, uint64_t)
#undef EXACT_KEYS
#undef FLOAT_KEYS
#undef FLOAT_VALUES

bool jm_order_keys32(const jm_key_order *order, const void *in, size_t stride, size_t n,
                     uint32_t *out) {
  size_t bytes = jm_dtype_bytes(order->dtype);
  if (bytes == 1) return keys8(order, in, stride, n, out);
  if (bytes == 2) return keys16(order, in, stride, n, out);
  return keys32(order, in, stride, n, out);
}

bool jm_order_keys64(const jm_key_order *order, const void *in, size_t stride, size_t n,
                     uint64_t *out) {
  return keys64(order, in, stride, n, out);
}

void jm_order_values32(const jm_key_order *order, const uint32_t *keys, size_t n, void *out,
                       size_t stride) {
  size_t bytes = jm_dtype_bytes(order->dtype);
  if (bytes == 1)
    values8(order, keys, n, out, stride);
  else if (bytes == 2)
    values16(order, keys, n, out, stride);
  else
    values32(order, keys, n, out, stride);
}

void jm_order_values64(const jm_key_order *order, const uint64_t *keys, size_t n, void *out,
                       size_t stride) {
  values64(order, keys, n, out, stride);
}

/* -- sorts */

enum { DIGIT = 256, RUN = 8, MERGE_MAX = 60 };

/* A pass over one digit by several threads: each counts the digits of its pieces, then moves their
 * items behind those of the pieces before. */
typedef struct radix_pass {
  const void *from;
  void *to;
  size_t n, piece;
  unsigned low_bit, digit;
  size_t (*next)[DIGIT]; /* per piece: a digit's items; then where the next one goes */
} radix_pass;

static size_t end_of(const radix_pass *p, size_t piece) {
  return p->n - piece * p->piece < p->piece ? p->n : (piece + 1) * p->piece;
}

/* Turns counts into places; false if all items share the digit. */
static bool place(const radix_pass *p, size_t pieces) {
  size_t sum = 0;
  for (unsigned v = 0; v < DIGIT; v++) {
    const size_t before = sum;
    for (size_t i = 0; i < pieces; i++) {
      const size_t count = p->next[i][v];
      p->next[i][v] = sum;
      sum += count;
    }
    if (sum - before == p->n) return false;
  }
  return true;
}

#define RADIX_PIECES(name, item, key_of, n_digits)                                              \
  static void name##_count(void *context, size_t begin, size_t end) {                           \
    const radix_pass *p = context;                                                              \
    const item *a = p->from;                                                                    \
    const unsigned low_bit = p->low_bit, shift = 8 * p->digit;                                  \
    (void)low_bit;                                                                              \
    for (size_t piece = begin; piece < end; piece++) {                                          \
      size_t *count = memset(p->next[piece], 0, sizeof *p->next);                               \
      const size_t last = end_of(p, piece);                                                     \
      for (size_t i = piece * p->piece; i < last; i++) count[(key_of(a[i]) >> shift) & 0xff]++; \
    }                                                                                           \
  }                                                                                             \
  static void name##_move(void *context, size_t begin, size_t end) {                            \
    const radix_pass *p = context;                                                              \
    const item *a = p->from;                                                                    \
    item *b = p->to;                                                                            \
    const unsigned low_bit = p->low_bit, shift = 8 * p->digit;                                  \
    (void)low_bit;                                                                              \
    for (size_t piece = begin; piece < end; piece++) {                                          \
      size_t *next = p->next[piece];                                                            \
      const size_t last = end_of(p, piece);                                                     \
      for (size_t i = piece * p->piece; i < last; i++)                                          \
        b[next[(key_of(a[i]) >> shift) & 0xff]++] = a[i];                                       \
    }                                                                                           \
  }                                                                                             \
  static item *name##_pieces(item *a, item *b, size_t n, unsigned low_bit, size_t piece) {      \
    const size_t pieces = (n + piece - 1) / piece;                                              \
    radix_pass p = {.n = n, .piece = piece, .low_bit = low_bit};                                \
    p.next = jm_scratch_take(pieces * sizeof *p.next);                                          \
    if (!p.next) return NULL;                                                                   \
    for (p.digit = 0; p.digit < n_digits; p.digit++) {                                          \
      p.from = a, p.to = b;                                                                     \
      jm_parallel_for(pieces, 1, name##_count, &p);                                             \
      if (!place(&p, pieces)) continue;                                                         \
      jm_parallel_for(pieces, 1, name##_move, &p);                                              \
      b = a;                                                                                    \
      a = p.to;                                                                                 \
    }                                                                                           \
    jm_scratch_give(p.next);                                                                    \
    return a;                                                                                   \
  }

/* Few items: runs by insertion, then merges without branches. Many: least significant digit first;
 * the digits' counts are taken in one pass, and a digit that all items share costs nothing more. */
#define RADIX(name, item, key_of, n_digits)                                                  \
  RADIX_PIECES(name, item, key_of, n_digits)                                                 \
  static item *name##_merge(item *a, item *b, size_t n, unsigned low_bit) {                  \
    (void)low_bit;                                                                           \
    for (size_t i = 1; i < n; i++) {                                                         \
      item x = a[i];                                                                         \
      size_t j = i;                                                                          \
      for (; j % RUN && key_of(a[j - 1]) > key_of(x); j--) a[j] = a[j - 1];                  \
      a[j] = x;                                                                              \
    }                                                                                        \
    for (size_t width = RUN; width < n; width *= 2) {                                        \
      for (size_t at = 0; at < n; at += 2 * width) {                                         \
        size_t middle = n - at < width ? n : at + width, i = at, j = middle, k = at;         \
        size_t end = n - middle < width ? n : middle + width;                                \
        while (i < middle && j < end) {                                                      \
          size_t right = key_of(a[j]) < key_of(a[i]);                                        \
          b[k++] = a[i + (j - i) * right];                                                   \
          j += right;                                                                        \
          i += 1 - right;                                                                    \
        }                                                                                    \
        memcpy(b + k, a + i, (middle - i) * sizeof(item));                                   \
        memcpy(b + k + (middle - i), a + j, (end - j) * sizeof(item));                       \
      }                                                                                      \
      item *swap = a;                                                                        \
      a = b;                                                                                 \
      b = swap;                                                                              \
    }                                                                                        \
    return a;                                                                                \
  }                                                                                          \
  static item *name(item *a, item *b, size_t n, unsigned low_bit, size_t piece) {            \
    if (piece < n) return name##_pieces(a, b, n, low_bit, piece);                            \
    if (n <= MERGE_MAX) return name##_merge(a, b, n, low_bit);                               \
    size_t counts[n_digits][DIGIT];                                                          \
    memset(counts, 0, sizeof counts);                                                        \
    for (size_t i = 0; i < n; i++)                                                           \
      for (unsigned d = 0; d < n_digits; d++) counts[d][(key_of(a[i]) >> (8 * d)) & 0xff]++; \
    for (unsigned d = 0; d < n_digits; d++) {                                                \
      size_t *next = counts[d], sum = 0;                                                     \
      if (next[(key_of(a[0]) >> (8 * d)) & 0xff] == n) continue;                             \
      for (unsigned v = 0; v < DIGIT; v++) {                                                 \
        size_t count = next[v];                                                              \
        next[v] = sum;                                                                       \
        sum += count;                                                                        \
      }                                                                                      \
      for (size_t i = 0; i < n; i++) b[next[(key_of(a[i]) >> (8 * d)) & 0xff]++] = a[i];     \
      item *swap = a;                                                                        \
      a = b;                                                                                 \
      b = swap;                                                                              \
    }                                                                                        \
    return a;                                                                                \
  }
#define WHOLE(x) (x)
#define ABOVE(x) ((x) >> low_bit)
#define KEY(x) ((x).key)
RADIX(radix32, uint32_t, WHOLE, 4)
RADIX(radix64, uint64_t, WHOLE, 8)
RADIX(radix64_high, uint64_t, ABOVE, 4)
RADIX(radix_records, jm_order_record, KEY, 8)

uint32_t *jm_order_sort32(uint32_t *items, uint32_t *spare, size_t n, size_t piece) {
  const jm_order_vector *vector = jm_order_vector_find(jm_cpu_find_level());
  if (!vector || piece < n) return radix32(items, spare, n, 0, piece);
  vector->sort32(items, spare, n);
  return items;
}

uint64_t *jm_order_sort64(uint64_t *items, uint64_t *spare, size_t n, size_t piece) {
  const jm_order_vector *vector = jm_order_vector_find(jm_cpu_find_level());
  if (!vector || piece < n || n > vector->most64) return radix64(items, spare, n, 0, piece);
  vector->sort64(items, spare, n);
  return items;
}

uint64_t *jm_order_sort_high(uint64_t *items, uint64_t *spare, size_t n, size_t piece) {
  return radix64_high(items, spare, n, 32, piece);
}

uint64_t *jm_order_sort_indexed(uint64_t *items, uint64_t *spare, size_t n, size_t piece) {
  const jm_order_vector *vector = jm_order_vector_find(jm_cpu_find_level());
  if (!vector || piece < n || n > vector->most_indexed)
    return jm_order_sort_high(items, spare, n, piece);
  vector->sort64(items, spare, n);
  return items;
}

jm_order_record *jm_order_sort_records(jm_order_record *items, jm_order_record *spare, size_t n,
                                       size_t piece) {
  return radix_records(items, spare, n, 0, piece);
}
