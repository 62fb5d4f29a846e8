/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/user_kernel.h"

#include <stdio.h>
#include <string.h>

const char *const jm_user_languages[JM_N_USER_LANGUAGES] = {"metal", "cuda"};
static const char *const header_keys[JM_N_USER_LANGUAGES] = {"metal_header", "cuda_header"};
static const char *const extent_keys[2][3] = {{"grid_x", "grid_y", "grid_z"},
                                              {"group_x", "group_y", "group_z"}};
enum { MOST_NAME = 128 };

bool jm_op_is_user_kernel(const jm_op *op) {
  if (op->code != JM_OP_custom_call) return false;
  const jm_str *target = &((const jm_custom_call_attrs *)op->attrs)->target;
  return target->size && !strcmp(target->bytes, "mps.kernel");
}

static const jm_dict_entry *find(const jm_op *op, const char *key, jm_dict_kind kind) {
  const jm_dict *config = &((const jm_custom_call_attrs *)op->attrs)->config;
  for (uint32_t i = 0; i < config->n; i++)
    if (config->entries[i].kind == kind && !strcmp(config->entries[i].key.bytes, key))
      return &config->entries[i];
  return NULL;
}

/* No bytes: there is none. */
static jm_str find_text(const jm_op *op, const char *key) {
  const jm_dict_entry *entry = find(op, key, JM_DICT_STR);
  return entry ? entry->str : (jm_str){0};
}

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_identifier(const char *text, size_t size) {
  if (!size || size > MOST_NAME || !is_letter(text[0])) return false;
  for (size_t i = 1; i < size; i++)
    if (!is_letter(text[i]) && !(text[i] >= '0' && text[i] <= '9')) return false;
  return true;
}

/* Splits "x,y" into n names. */
static jm_error *read_names(const jm_module *m, const jm_op *op, const char *key, uint32_t n,
                            jm_arena *arena, const char *const **out) {
  const jm_str list = find_text(op, key);
  const char **names = jm_arena_alloc(arena, n + 1u, sizeof *names);
  char *copy = jm_arena_alloc(arena, list.size + 1u, 1);
  if (!names || !copy) return jm_error_out_of_memory();
  if (list.size) memcpy(copy, list.bytes, list.size);
  uint32_t found = 0;
  for (char *at = copy; *at;) {
    const size_t size = strcspn(at, ",");
    if (found == n || !is_identifier(at, size)) break;
    names[found++] = at;
    at += size;
    if (*at) *at++ = 0;
  }
  if (found != n || strlen(list.size ? list.bytes : "") != list.size)
    return jm_op_error(m, op, JM_INVALID_ARGUMENT, "%s of a kernel does not name %u values", key,
                       n);
  *out = names;
  return NULL;
}

static jm_error *read_extents(const jm_module *m, const jm_op *op, jm_user_kernel *out) {
  uint64_t threads = 1;
  for (uint32_t which = 0; which < 2; which++)
    for (uint32_t d = 0; d < 3; d++) {
      const jm_dict_entry *entry = find(op, extent_keys[which][d], JM_DICT_I64);
      if (!entry || entry->i64 < 1 || entry->i64 > INT32_MAX)
        return jm_op_error(m, op, JM_INVALID_ARGUMENT, "%s of a kernel is not in 1 to 2^31 - 1",
                           extent_keys[which][d]);
      (which ? out->group : out->grid)[d] = (uint32_t)entry->i64;
      if (which && threads <= JM_USER_KERNEL_THREADS) threads *= (uint64_t)entry->i64;
    }
  return threads <= JM_USER_KERNEL_THREADS
             ? NULL
             : jm_op_error(m, op, JM_INVALID_ARGUMENT,
                           "a group of a kernel has more than %d threads", JM_USER_KERNEL_THREADS);
}

jm_error *jm_user_kernel_read(const jm_module *m, const jm_op *op, jm_arena *arena,
                              jm_user_kernel *out) {
  memset(out, 0, sizeof *out);
  const jm_str name = find_text(op, "name");
  if (!is_identifier(name.bytes, name.size))
    return jm_op_error(m, op, JM_INVALID_ARGUMENT, "a kernel's name is no identifier");
  out->name = name.bytes;
  bool any = false;
  for (uint32_t i = 0; i < JM_N_USER_LANGUAGES; i++) {
    out->sources[i] = find_text(op, jm_user_languages[i]);
    out->headers[i] = find_text(op, header_keys[i]);
    any |= out->sources[i].size != 0;
  }
  if (!any) return jm_op_error(m, op, JM_INVALID_ARGUMENT, "a kernel without a source");
  if (!op->n_results || op->n_operands + op->n_results > JM_USER_KERNEL_BUFFERS)
    return jm_op_error(m, op, JM_INVALID_ARGUMENT,
                       "a kernel without results, or of more than %d operands and results",
                       JM_USER_KERNEL_BUFFERS);
  JM_TRY(read_names(m, op, "in", op->n_operands, arena, &out->in));
  JM_TRY(read_names(m, op, "out", op->n_results, arena, &out->out));
  return read_extents(m, op, out);
}

jm_error *jm_user_kernel_verify(const jm_module *m, const jm_op *op) {
  jm_user_kernel kernel;
  jm_arena arena;
  jm_arena_init(&arena);
  jm_error *error = jm_user_kernel_read(m, op, &arena, &kernel);
  jm_arena_deinit(&arena);
  return error;
}

jm_error *jm_user_kernel_refuse(const jm_module *m, const jm_op *op, const char *device) {
  const jm_str name = find_text(op, "name");
  char sources[64] = "";
  size_t at = 0;
  for (uint32_t i = 0; i < JM_N_USER_LANGUAGES; i++)
    if (find_text(op, jm_user_languages[i]).size)
      at += (size_t)snprintf(sources + at, sizeof sources - at, "%s%s", at ? ", " : "",
                             jm_user_languages[i]);
  return jm_op_error(
      m, op, JM_UNIMPLEMENTED,
      "kernel \"%s\" has no source for the device \"%s\", only %s, and no reference= "
      "that serves without one",
      name.size ? name.bytes : "", device, sources);
}
