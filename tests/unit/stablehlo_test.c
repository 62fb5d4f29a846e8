/* SPDX-License-Identifier: Apache-2.0
 * Reading programs: the samples that JAX sent, malformed ones, random corruptions, and hostile ones
 * that are small and would be huge. */
#include <dirent.h>
#include <stdlib.h>
#include <time.h>

#include "ir/parse.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "stablehlo/read.h"
#include "unit/check.h"

static const char artifacts[] = "tests/golden/artifacts";
static const char malformed[] = "tests/golden/bad";
static const char upgrades[] = "tests/golden/upgrade";

typedef struct file {
  char name[160];
  unsigned char *bytes;
  size_t size;
} file;

static file read_file(const char *folder, const char *name) {
  file f = {.size = 0};
  char path[512];
  snprintf(f.name, sizeof f.name, "%s", name);
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *stream = fopen(path, "rb");
  CHECK(stream != NULL);
  if (!stream) return f;
  fseek(stream, 0, SEEK_END);
  long size = ftell(stream);
  rewind(stream);
  f.bytes = malloc((size_t)size + 1);
  f.size = fread(f.bytes, 1, (size_t)size, stream);
  f.bytes[f.size] = 0;
  CHECK(f.size == (size_t)size);
  fclose(stream);
  return f;
}

static bool ends_with(const char *name, const char *end) {
  size_t n = strlen(name), k = strlen(end);
  return n > k && !strcmp(name + n - k, end);
}

enum { MAX_FILES = 256 };
static file files[MAX_FILES];
static size_t n_files;

static void load_folder(const char *name) {
  DIR *folder = opendir(name);
  CHECK(folder != NULL);
  for (struct dirent *entry; folder && (entry = readdir(folder)) && n_files < MAX_FILES;)
    if (ends_with(entry->d_name, ".mlirbc")) files[n_files++] = read_file(name, entry->d_name);
  if (folder) closedir(folder);
}

static size_t n_artifacts;

static void load(void) {
  load_folder(artifacts);
  n_artifacts = n_files;
  load_folder(upgrades);
  CHECK(n_artifacts >= 66 && n_files >= n_artifacts + 20);
}

/* Reads, verifies, prints and reads the text back. */
static jm_error *round_trip(const file *f) {
  jm_module *module, *again;
  /* A copy of its own, so that a read past the end is seen and the bytes are gone afterwards. */
  unsigned char *bytes = malloc(f->size ? f->size : 1);
  memcpy(bytes, f->bytes, f->size);
  jm_error *error = jm_stablehlo_read(bytes, f->size, &module);
  memset(bytes, 0xA5, f->size);
  free(bytes);
  if (error) return error;
  error = jm_module_verify(module);
  jm_text text, second;
  jm_text_init(&text);
  jm_text_init(&second);
  if (!error) {
    jm_module_print(module, &text);
    error = jm_text_error(&text);
  }
  if (!error) error = jm_module_parse(text.bytes, text.size, &again);
  if (!error) {
    jm_module_print(again, &second);
    CHECK(text.size == second.size && !memcmp(text.bytes, second.bytes, text.size));
    jm_module_destroy(again);
  }
  jm_text_deinit(&text);
  jm_text_deinit(&second);
  jm_module_destroy(module);
  return error;
}

static void test_samples(void) {
  for (size_t i = 0; i < n_files; i++)
    CHECK_OK(jm_error_note(round_trip(&files[i]), "reading %s", files[i].name));
}

/* tests/golden/upgrade: <name>.mlirbc reads as <name>.ir. JM_REBASE=1 writes the latter. */
static void test_upgrades(void) {
  for (size_t i = n_artifacts; i < n_files; i++) {
    jm_module *module = NULL;
    CHECK_OK(jm_error_note(jm_stablehlo_read(files[i].bytes, files[i].size, &module), "reading %s",
                           files[i].name));
    if (!module) continue;
    jm_text text;
    jm_text_init(&text);
    jm_module_print(module, &text);
    char name[160];
    snprintf(name, sizeof name, "%.*s.ir", (int)(strlen(files[i].name) - 7), files[i].name);
    if (getenv("JM_REBASE")) {
      char path[512];
      snprintf(path, sizeof path, "%s/%s", upgrades, name);
      FILE *stream = fopen(path, "wb");
      CHECK(stream && fwrite(text.bytes, 1, text.size, stream) == text.size && !fclose(stream));
    }
    file expected = read_file(upgrades, name);
    bool same = expected.bytes && expected.size == text.size &&
                !memcmp(expected.bytes, text.bytes, text.size);
    CHECK(same);
    if (!same) fprintf(stderr, "%s reads as\n%s\n", files[i].name, jm_text_bytes(&text));
    free(expected.bytes);
    jm_text_deinit(&text);
    jm_module_destroy(module);
  }
}

static const file *find_file(const char *name) {
  for (size_t i = 0; i < n_files; i++)
    if (!strcmp(files[i].name, name)) return &files[i];
  CHECK(!"the sample is missing");
  return &files[0];
}

static char *print_sample(const char *name) {
  const file *f = find_file(name);
  jm_module *module = NULL;
  CHECK_OK(jm_stablehlo_read(f->bytes, f->size, &module));
  jm_text text;
  jm_text_init(&text);
  if (module) jm_module_print(module, &text);
  jm_module_destroy(module);
  return text.bytes ? text.bytes : calloc(1, 1);
}

static void check_contains(const char *name, const char *const *parts) {
  char *text = print_sample(name);
  for (; *parts; parts++) {
    CHECK(strstr(text, *parts) != NULL);
    if (!strstr(text, *parts)) fprintf(stderr, "%s lacks '%s':\n%s\n", name, *parts, text);
  }
  free(text);
}

static void test_meaning(void) {
  check_contains("0.12.0.1-9.9.9-donate.mlirbc",
                 (const char *[]){"module \"jit__lambda\"", "f32[4] alias=0", NULL});
  check_contains("0.12.0.1-9.9.9-erf_topk_chlo.mlirbc",
                 (const char *[]){"erf %0", "top_k %0 k=2", NULL});
  check_contains("0.10.2-9.9.9-fori_loop.mlirbc",
                 (const char *[]){"while %", "compare", "direction=LT order=SIGNED", NULL});
  check_contains(
      "0.12.0.1-9.9.9-shmap_psum_2dev.mlirbc", /* groups as axes of a mesh */
      (const char *[]){"partitions=2", "all_reduce", "replica_groups=[0,1]", "group_size=2", NULL});
  check_contains("0.12.0.1-none-conv_bf16.mlirbc",
                 (const char *[]){"bf16[1,8,8,4] = convolution", "padding=[1,1,1,1]", NULL});
}

static void test_location(void) {
  const file *f = find_file("0.12.0.1-9.9.9-mlp_grad.mlirbc");
  jm_module *module = NULL;
  CHECK_OK(jm_stablehlo_read(f->bytes, f->size, &module));
  if (!module) return;
  bool found = false;
  for (uint32_t i = 0; i < module->n_ops; i++) {
    jm_text text;
    jm_text_init(&text);
    jm_op_describe(module, &module->ops[i], &text);
    found |= strstr(jm_text_bytes(&text), "dot_general") && strstr(jm_text_bytes(&text), ".py:");
    jm_text_deinit(&text);
  }
  CHECK(found);
  jm_module_destroy(module);
}

/* tests/golden/bad/expected.tsv: file, code, a part of the message. */
static void test_malformed(void) {
  file list = read_file(malformed, "expected.tsv");
  size_t n = 0;
  for (char *line = list.bytes ? strtok((char *)list.bytes, "\n") : NULL; line;
       line = strtok(NULL, "\n")) {
    char *name = line, *code = strchr(name, '\t');
    char *message = code ? strchr(code + 1, '\t') : NULL;
    CHECK(message != NULL);
    if (!message) break;
    *code++ = *message++ = 0;
    file f = read_file(malformed, name);
    jm_error *error = round_trip(&f);
    bool good = !strcmp(jm_code_name(jm_error_code(error)), code) &&
                strstr(jm_error_message(error), message);
    CHECK(good);
    if (!good)
      fprintf(stderr, "%s: expected %s: %s\n  got %s: %s\n", name, code, message,
              jm_code_name(jm_error_code(error)), jm_error_message(error));
    jm_error_destroy(error);
    free(f.bytes);
    n++;
  }
  free(list.bytes);
  CHECK(n > 50);
}

/* -- the table of spellings */

enum { JM_OP_none = JM_N_OPS };
static const struct {
  const char *spelling, *since, *until, *rule;
  int op;
  const char *attributes, *fields;
} table[] = {
#define VHLO(spelling, since, until, rule, op, attributes, fields) \
  {spelling, since, until, #rule, JM_OP_##op, attributes, fields},
#include "stablehlo/vhlo.def"
};
enum { N_ROWS = sizeof table / sizeof *table };

static int version_number(const char *text) {
  int major = 0, minor = 0, patch = 0, end = 0;
  int n = sscanf(text, "%d.%d.%d%n", &major, &minor, &patch, &end);
  return n == 3 && !text[end] ? (major * 1000 + minor) * 1000 + patch : -1;
}

/* Each field is one of the op's, or a conversion. */
static bool is_field(int op, const char *name, size_t size) {
  static const char *const conversions[] = {"-", "@precision", "@groups", "@accuracy", "@false"};
  for (size_t i = 0; i < sizeof conversions / sizeof *conversions; i++)
    if (strlen(conversions[i]) == size && !memcmp(conversions[i], name, size)) return true;
  if (op == JM_OP_none) return false;
  for (const jm_attr_field *f = jm_op_facts[op].attrs(); f->name; f++)
    if (strlen(f->name) == size && !memcmp(f->name, name, size)) return true;
  return false;
}

static void check_row(size_t row) {
  const char *attribute = table[row].attributes, *field = table[row].fields, *last = "";
  size_t last_size = 0;
  while (*attribute) {
    size_t n = strcspn(attribute, ",");
    size_t shared = n < last_size ? n : last_size;
    int order = memcmp(last, attribute, shared);
    CHECK(order < 0 || (order == 0 && last_size < n)); /* the container stores them sorted */
    last = attribute;
    last_size = n;
    attribute += n + (attribute[n] == ',');
    if (!*table[row].fields) continue;
    n = strcspn(field, ",");
    bool known = is_field(table[row].op, field, n);
    CHECK(known);
    if (!known) fprintf(stderr, "%s has no field %.*s\n", table[row].spelling, (int)n, field);
    field += n + (field[n] == ',');
  }
  CHECK(!*table[row].fields || !*field);
}

static void test_table(void) {
  size_t n_vhlo = 0;
  for (size_t i = 0; i < N_ROWS; i++) {
    n_vhlo += !strncmp(table[i].spelling, "vhlo.", 5);
    int since = version_number(table[i].since);
    CHECK(since >= 9000 && (!*table[i].until || version_number(table[i].until) >= since));
    CHECK(strcmp(table[i].rule, "plain") || table[i].op != JM_OP_none);
    check_row(i);
    for (size_t k = 0; k < i; k++) CHECK(strcmp(table[i].spelling, table[k].spelling));
  }
  CHECK(n_vhlo == 145);
}

static uint64_t state = 88172645463325252u;
static size_t pick(size_t n) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return n ? (size_t)(state >> 11) % n : 0;
}

/* One to eight edits: bytes set, bits flipped, pieces cut, repeated or moved. */
static size_t corrupt(unsigned char *bytes, size_t size, size_t capacity) {
  for (size_t edits = 1 + pick(8); edits && size; edits--) {
    size_t at = pick(size), n = 1 + pick(16);
    switch (pick(6)) {
      case 0:
        bytes[at] = (unsigned char)pick(256);
        break;
      case 1:
        bytes[at] ^= (unsigned char)(1u << pick(8));
        break;
      case 2:
        bytes[at] = (unsigned char)(bytes[at] + (pick(2) ? 2 : -2));
        break;
      case 3:
        if (n > size - at) n = size - at;
        memmove(bytes + at, bytes + at + n, size - at - n);
        size -= n;
        break;
      case 4:
        if (size + n > capacity) break;
        memmove(bytes + at + n, bytes + at, size - at);
        size += n;
        break;
      case 5:
        if (n > size - at) n = size - at;
        memmove(bytes + pick(size - n + 1), bytes + at, n);
        break;
    }
  }
  return size;
}

static void test_corruptions(void) {
  const char *setting = getenv("JM_TEST_CORRUPTIONS");
  size_t wanted = setting ? (size_t)strtoull(setting, NULL, 10) : 20000, good = 0;
  for (size_t i = 0; i < wanted; i++) {
    const file *from = &files[pick(n_files)];
    size_t capacity = from->size + 256;
    file f = {.bytes = malloc(capacity)};
    memcpy(f.bytes, from->bytes, from->size);
    f.size = corrupt(f.bytes, from->size, capacity);
    jm_error *error = round_trip(&f);
    jm_code code = jm_error_code(error);
    bool known = code == JM_OK || code == JM_INVALID_ARGUMENT || code == JM_UNIMPLEMENTED ||
                 code == JM_RESOURCE_EXHAUSTED;
    CHECK(known);
    if (!known) fprintf(stderr, "corruption %zu: %s\n", i, jm_error_message(error));
    good += !error;
    jm_error_destroy(error);
    free(f.bytes);
  }
  CHECK(good < wanted);
}

/* Every allocation of a read may fail. */
static void test_memory(void) {
  const file *f = find_file("0.12.0.1-9.9.9-erf_topk_chlo.mlirbc");
  uint64_t before = jm_alloc_count();
  jm_module *module;
  CHECK_OK(jm_stablehlo_read(f->bytes, f->size, &module));
  jm_module_destroy(module);
  uint64_t n = jm_alloc_count() - before;
  CHECK(n > 3);
  for (uint64_t i = 0; i < n; i++) {
    jm_alloc_fail_after((int64_t)i);
    jm_error *error = jm_stablehlo_read(f->bytes, f->size, &module);
    jm_alloc_fail_after(-1);
    CHECK(jm_error_code(error) == JM_RESOURCE_EXHAUSTED);
    if (!error) jm_module_destroy(module);
    jm_error_destroy(error);
  }
}

static void unload(void) {
  for (size_t i = 0; i < n_files; i++) free(files[i].bytes);
}

TEST_MAIN(test_table, load, test_samples, test_upgrades, test_meaning, test_location,
          test_malformed, test_corruptions, test_memory, unload)
