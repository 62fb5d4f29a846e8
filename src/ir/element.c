/* SPDX-License-Identifier: Apache-2.0 */
#include "ir/element.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

enum { LONGEST = 63 }; /* characters of a number */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

/* The element's bits as a number, whatever the order of bytes in memory. */
static uint64_t load_bits(size_t bytes, const void *element) {
  uint8_t b1;
  uint16_t b2;
  uint32_t b4;
  uint64_t b8 = 0;
  switch (bytes) {
    case 1:
      memcpy(&b1, element, 1);
      return b1;
    case 2:
      memcpy(&b2, element, 2);
      return b2;
    case 4:
      memcpy(&b4, element, 4);
      return b4;
    default:
      memcpy(&b8, element, 8);
      return b8;
  }
}

static void store_bits(size_t bytes, uint64_t bits, void *out) {
  const uint8_t b1 = (uint8_t)bits;
  const uint16_t b2 = (uint16_t)bits;
  const uint32_t b4 = (uint32_t)bits;
  switch (bytes) {
    case 1:
      memcpy(out, &b1, 1);
      break;
    case 2:
      memcpy(out, &b2, 2);
      break;
    case 4:
      memcpy(out, &b4, 4);
      break;
    default:
      memcpy(out, &bits, 8);
      break;
  }
}

static bool read_hex(jm_dtype dtype, const char *bytes, size_t size, void *out) {
  size_t width = jm_dtype_bytes(dtype);
  if (!size || size > 2 * width) return false;
  uint64_t bits = 0;
  for (size_t i = 0; i < size; i++) {
    int digit = hex_digit(bytes[i]);
    if (digit < 0) return false;
    bits = bits << 4 | (uint64_t)digit;
  }
  store_bits(width, bits, out);
  return true;
}

static bool read_integer(jm_dtype dtype, const char *bytes, size_t size, void *out) {
  bool is_signed = jm_dtype_classof(dtype) == JM_CLASS_SINT;
  bool negative = size && bytes[0] == '-';
  unsigned width = jm_dtype_facts[dtype].bits;
  uint64_t magnitude = 0, limit = UINT64_MAX >> (64 - width);
  if (is_signed) limit = (limit >> 1) + negative;
  if (size == negative || (negative && !is_signed)) return false;
  for (size_t i = negative; i < size; i++) {
    if (bytes[i] < '0' || bytes[i] > '9') return false;
    uint64_t digit = (uint64_t)(bytes[i] - '0');
    if (magnitude > (limit - digit) / 10) return false;
    magnitude = magnitude * 10 + digit;
  }
  store_bits(jm_dtype_bytes(dtype), negative ? 0 - magnitude : magnitude, out);
  return true;
}

static bool read_float(jm_dtype dtype, const char *bytes, size_t size, void *out) {
  char copy[LONGEST + 1];
  if (!size || size > LONGEST) return false;
  memcpy(copy, bytes, size);
  copy[size] = 0;
  const char *word = copy + (copy[0] == '-');
  /* strtod takes more spellings than the text form has. */
  if (strcmp(word, "inf") != 0 && strcmp(word, "nan") != 0 &&
      strspn(word, "0123456789+-.e") != strlen(word))
    return false;
  char *end;
  if (dtype == JM_DT_f32) {
    float value = strtof(copy, &end);
    memcpy(out, &value, sizeof value);
  } else {
    double value = strtod(copy, &end);
    if (dtype == JM_DT_f64)
      memcpy(out, &value, sizeof value);
    else if (!jm_number_narrow_f64(dtype, &value, out, 1))
      return false;
  }
  return *end == 0;
}

bool jm_element_read(jm_dtype dtype, const char *bytes, size_t size, void *out) {
  if (size > 2 && !memcmp(bytes, "0x", 2)) return read_hex(dtype, bytes + 2, size - 2, out);
  switch (jm_dtype_classof(dtype)) {
    case JM_CLASS_PRED: {
      bool yes = size == 4 && !memcmp(bytes, "true", 4);
      if (!yes && !(size == 5 && !memcmp(bytes, "false", 5))) return false;
      *(uint8_t *)out = yes;
      return true;
    }
    case JM_CLASS_SINT:
    case JM_CLASS_UINT:
      return read_integer(dtype, bytes, size, out);
    case JM_CLASS_FLOAT:
      return read_float(dtype, bytes, size, out);
    default:
      return false;
  }
}

/* Prints the text if it reads back to the same bytes. */
static bool print_exact(jm_dtype dtype, const void *element, const char *candidate, jm_text *text) {
  char back[8];
  if (!jm_element_read(dtype, candidate, strlen(candidate), back) ||
      memcmp(back, element, jm_dtype_bytes(dtype)) != 0)
    return false;
  jm_text_printf(text, "%s", candidate);
  return true;
}

static bool print_float(jm_dtype dtype, const void *element, jm_text *text) {
  double value;
  int precision = 3; /* a first guess; raised until the text is exact */
  if (dtype == JM_DT_f64) {
    memcpy(&value, element, sizeof value);
    precision = 15;
  } else {
    float narrow;
    if (dtype == JM_DT_f32)
      memcpy(&narrow, element, sizeof narrow);
    else if (!jm_number_widen(dtype, element, &narrow, 1))
      return false;
    value = (double)narrow;
    if (dtype == JM_DT_f32) precision = 6;
  }
  if (value != value) return false; /* a NaN has a payload: bits */
  for (; precision <= 17; precision++) {
    char candidate[LONGEST + 1];
    snprintf(candidate, sizeof candidate, "%.*g", precision, value);
    if (print_exact(dtype, element, candidate, text)) return true;
  }
  return false;
}

void jm_element_print(jm_dtype dtype, const void *element, jm_text *text) {
  size_t bytes = jm_dtype_bytes(dtype);
  if (jm_dtype_is_complex(dtype)) {
    jm_dtype part = jm_dtype_real(dtype);
    jm_text_append(text, "(", 1);
    jm_element_print(part, element, text);
    jm_text_append(text, ",", 1);
    jm_element_print(part, (const char *)element + bytes / 2, text);
    jm_text_append(text, ")", 1);
    return;
  }
  uint64_t bits = load_bits(bytes, element);
  char candidate[LONGEST + 1];
  switch (jm_dtype_classof(dtype)) {
    case JM_CLASS_PRED:
      if (print_exact(dtype, element, bits ? "true" : "false", text)) return;
      break;
    case JM_CLASS_SINT:
      snprintf(candidate, sizeof candidate, "%" PRId64,
               (int64_t)(bits << (64 - 8 * bytes)) >> (64 - 8 * bytes));
      if (print_exact(dtype, element, candidate, text)) return;
      break;
    case JM_CLASS_UINT:
      snprintf(candidate, sizeof candidate, "%" PRIu64, bits);
      if (print_exact(dtype, element, candidate, text)) return;
      break;
    default:
      if (print_float(dtype, element, text)) return;
      break;
  }
  jm_text_printf(text, "0x%0*" PRIx64, (int)(2 * bytes), bits);
}
