/* SPDX-License-Identifier: Apache-2.0
 * The container: primitive encodings, tables, lazily decoded attributes, hostile bytes. */
#include <dirent.h>
#include <stdlib.h>

#include "bytecode/cursor.h"
#include "unit/check.h"

static const jm_wire_row rows[] = {
#define VHLO(spelling, since, until, rule, op, attributes, fields) {spelling, attributes},
#include "stablehlo/vhlo.def"
};
enum { N_ROWS = sizeof rows / sizeof *rows };

/* -- the cursor */

static jm_cursor over(const void *bytes, size_t size) {
  const uint8_t *at = bytes;
  return (jm_cursor){at, at + size, at, NULL};
}

static void test_varints(void) {
  static const struct {
    const char *bytes;
    size_t size;
    uint64_t value;
  } cases[] = {
      {"\x01", 1, 0},
      {"\x03", 1, 1},
      {"\xFF", 1, 127},
      {"\x02\x02", 2, 128},
      {"\xFE\xFF", 2, 16383},
      {"\x04\x00\x02", 3, 16384},
      {"\x80\x00\x00\x00\x00\x00\x00\x80", 8, UINT64_C(1) << 55},
      {"\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 9, UINT64_MAX},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    jm_cursor c = over(cases[i].bytes, cases[i].size);
    uint64_t value = jm_cursor_varint(&c);
    CHECK(value == cases[i].value);
    CHECK_OK(jm_cursor_finish(&c, "the test"));
    /* One byte fewer is an error that says where; then everything reads as 0. */
    c = over(cases[i].bytes, cases[i].size - 1);
    CHECK(jm_cursor_varint(&c) == 0 && jm_cursor_byte(&c) == 0 && c.at == c.end);
    CHECK_FAILS(jm_cursor_finish(&c, "the test"), JM_INVALID_ARGUMENT, "unexpected end at byte");
  }
}

static void test_svarints(void) {
  jm_cursor c = over("\x01\x03\x05\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 12);
  CHECK(jm_cursor_svarint(&c) == 0);
  CHECK(jm_cursor_svarint(&c) == -1);
  CHECK(jm_cursor_svarint(&c) == 1);
  CHECK(jm_cursor_svarint(&c) == INT64_MIN);
  CHECK_OK(jm_cursor_finish(&c, "the test"));
}

static void test_rest(void) {
  jm_cursor c = over("\x01\x02", 2);
  (void)jm_cursor_byte(&c);
  CHECK_FAILS(jm_cursor_finish(&c, "the test"), JM_INVALID_ARGUMENT,
              "1 bytes too many in the test at byte 1");
}

static void test_section(void) {
  /* id 4 with alignment 8: two bytes of padding to offset 8 */
  static const uint8_t bytes[] = {0, 0, 0, 0x84, 0x05, 0x11, 0xCB, 0xCB, 'a', 'b'};
  jm_cursor c = {bytes + 3, bytes + sizeof bytes, bytes, NULL}, content;
  CHECK(jm_cursor_section(&c, &content) == 4);
  CHECK(content.end - content.at == 2 && content.at[0] == 'a');
  CHECK_OK(jm_cursor_finish(&c, "the test"));
}

/* -- samples */

static unsigned char *read_file(const char *path, size_t *size) {
  FILE *stream = fopen(path, "rb");
  CHECK(stream != NULL);
  if (!stream) return NULL;
  fseek(stream, 0, SEEK_END);
  *size = (size_t)ftell(stream);
  rewind(stream);
  unsigned char *bytes = malloc(*size + 1);
  CHECK(fread(bytes, 1, *size, stream) == *size);
  fclose(stream);
  return bytes;
}

/* Decodes and prints everything; returns how many entries failed. */
static uint32_t decode_all(jm_bytecode *b) {
  uint32_t failures = 0;
  for (uint32_t i = 0; i < b->n_attrs; i++) {
    const jm_wire_attr *attr, *again;
    jm_error *error = jm_bytecode_read_attr(b, i, &attr);
    failures += error != NULL;
    if (!error) {
      CHECK_OK(jm_bytecode_read_attr(b, i, &again));
      CHECK(attr == again);
    }
    jm_error_destroy(error);
    jm_text text;
    jm_text_init(&text);
    jm_bytecode_print_attr(b, i, &text);
    jm_bytecode_print_location(b, i, &text);
    jm_text_deinit(&text);
  }
  for (uint32_t i = 0; i < b->n_types; i++) {
    const jm_wire_type *type;
    jm_error *error = jm_bytecode_read_type(b, i, &type);
    failures += error != NULL;
    jm_error_destroy(error);
    jm_text text;
    jm_text_init(&text);
    jm_bytecode_print_type(b, i, &text);
    CHECK(text.size > 0 && text.size < 1 << 20);
    jm_text_deinit(&text);
  }
  return failures;
}

static void check_block(const jm_bytecode *b, const jm_wire_block *block, uint32_t *n_ops) {
  for (uint32_t i = 0; i < block->n_ops; i++) {
    const jm_wire_op *op = &block->ops[i];
    CHECK(op->id == (*n_ops)++ && op->name < b->n_names);
    for (uint32_t k = 0; k < op->n_operands; k++) CHECK(op->operands[k] < op->first_result);
    for (uint32_t r = 0; r < op->n_regions; r++)
      for (uint32_t k = 0; k < op->regions[r].n_blocks; k++)
        check_block(b, &op->regions[r].blocks[k], n_ops);
  }
}

static void test_samples(void) {
  static const char folder[] = "tests/golden/artifacts";
  DIR *stream = opendir(folder);
  size_t n = 0;
  for (struct dirent *entry; stream && (entry = readdir(stream));) {
    if (!strstr(entry->d_name, ".mlirbc")) continue;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    size_t size = 0;
    unsigned char *bytes = read_file(path, &size);
    jm_bytecode *b = NULL;
    CHECK_OK(jm_bytecode_read(bytes, size, rows, N_ROWS, &b));
    if (b) {
      uint32_t n_ops = 0;
      CHECK(b->version == 6 && !strncmp(b->producer.bytes, "StableHLO_v1.", 13));
      CHECK(decode_all(b) == 0);
      check_block(b, b->top, &n_ops);
      CHECK(n_ops == b->n_ops && n_ops > 3);
      /* Proportional to the input, whatever the arena's chunk size. */
      CHECK(b->arena.bytes < (1 << 16) + 64 * size);
      n++;
    }
    jm_bytecode_destroy(b);
    free(bytes);
  }
  if (stream) closedir(stream);
  CHECK(n >= 66);
}

static void test_access(void) {
  size_t size = 0;
  unsigned char *bytes = read_file("tests/golden/artifacts/0.12.0.1-9.9.9-donate.mlirbc", &size);
  jm_bytecode *b = NULL;
  CHECK_OK(jm_bytecode_read(bytes, size, rows, N_ROWS, &b));
  if (!b) return;
  const jm_wire_op *module = &b->top->ops[0];
  const jm_wire_op *func = &module->regions[0].blocks[0].ops[0];
  CHECK(!strcmp(b->names[module->name].dialect.bytes, "builtin"));
  CHECK(!strcmp(b->names[func->name].op.bytes, "func_v1"));
  const jm_wire_attr *attr;
  uint32_t index;
  CHECK_OK(jm_bytecode_find_attr(b, func, "sym_name", &index)); /* a property */
  CHECK_OK(jm_bytecode_read_attr(b, index, &attr));
  CHECK(attr->kind == JM_WIRE_STRING && attr->n_bytes == 4 && !strcmp(attr->bytes, "main"));
  CHECK_OK(jm_bytecode_find_attr(b, module, "mhlo.num_replicas", &index)); /* in the dictionary */
  CHECK_OK(jm_bytecode_read_attr(b, index, &attr));
  CHECK(attr->kind == JM_WIRE_INTEGER && attr->ints[0] == 1);
  CHECK_OK(jm_bytecode_find_attr(b, module, "sym_visibility", &index)); /* absent property */
  CHECK(index == JM_WIRE_NONE);
  CHECK_OK(jm_bytecode_find_attr(b, func, "nothing", &index));
  CHECK(index == JM_WIRE_NONE);
  CHECK_FAILS(jm_bytecode_read_attr(b, b->n_attrs, &attr), JM_INTERNAL, "there is no attribute");
  const jm_wire_block *body = &func->regions[0].blocks[0];
  CHECK(body->n_arguments == 2 && body->n_ops == 5);
  jm_text text;
  jm_text_init(&text);
  jm_bytecode_print_type(b, body->arguments[0], &text);
  CHECK(!strcmp(jm_text_bytes(&text), "tensor<4xf32>"));
  jm_text_deinit(&text);
  jm_text_init(&text);
  jm_bytecode_print_location(b, body->ops[1].location, &text);
  CHECK(strstr(jm_text_bytes(&text), "add at ") && strstr(jm_text_bytes(&text), ".py:"));
  jm_text_deinit(&text);
  jm_bytecode_destroy(b);
  free(bytes);
}

/* Bytes changed at random inside the sections of attributes: decoding all of it stays in bounds and
 * ends, circles among the entries included. */
static void test_corruptions(void) {
  size_t size = 0;
  unsigned char *bytes =
      read_file("tests/golden/artifacts/0.12.0.1-9.9.9-shmap_psum_2dev.mlirbc", &size);
  uint64_t state = 1;
  uint32_t failures = 0, read = 0;
  for (int i = 0; i < 3000; i++) {
    unsigned char *copy = malloc(size);
    memcpy(copy, bytes, size);
    for (int k = 0; k < 4; k++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      copy[(state >> 33) % size] = (unsigned char)(state >> 24);
    }
    jm_bytecode *b = NULL;
    jm_error *error = jm_bytecode_read(copy, size, rows, N_ROWS, &b);
    if (b) {
      read++;
      failures += decode_all(b);
    }
    CHECK((error == NULL) == (b != NULL));
    jm_error_destroy(error);
    jm_bytecode_destroy(b);
    free(copy);
  }
  CHECK(failures > 0 && read > 0);
  free(bytes);
}

TEST_MAIN(test_varints, test_svarints, test_rest, test_section, test_samples, test_access,
          test_corruptions)
