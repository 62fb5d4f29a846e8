/* SPDX-License-Identifier: Apache-2.0
 * What the tests of the C API share: the loaded plugin, one guarded caller per function of the
 * table, and short forms of the calls that every test needs. The tests see nothing of the plugin
 * but GetPjrtApi. */
#ifndef JM_TESTS_ABI_H
#define JM_TESTS_ABI_H

#include <stdio.h>
#include <string.h>

#include "pjrt/pjrt_abi.h"

extern const PJRT_Api *api;
extern PJRT_Client *client;
extern PJRT_Device *device;
extern int check_count, check_failures;
extern bool full_blocks; /* blocks of full size; otherwise the smallest that a function takes */
extern bool is_fake;     /* the plugin is built around program_fake.c */

#define CHECK(condition)                                                            \
  do {                                                                              \
    check_count++;                                                                  \
    if (!(condition)) {                                                             \
      check_failures++;                                                             \
      fprintf(stderr, "%s:%d: CHECK(%s) failed\n", __FILE__, __LINE__, #condition); \
    }                                                                               \
  } while (0)
/* Blocks are written with the fields that a call gives; the rest is the plugin's to write. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#define OK(expr) check_ok(expr, __FILE__, __LINE__, #expr)
#define FAILS(expr, code, text) check_fails(expr, code, text, __FILE__, __LINE__, #expr)
#define ARGS(name, ...) (&(PJRT_##name##_Args){0, NULL, __VA_ARGS__})

bool check_ok(PJRT_Error *error, const char *file, int line, const char *what);
void check_fails(PJRT_Error *error, int code, const char *text, const char *file, int line,
                 const char *what);

/* abi_<name>: calls the function with a copy of the block that is exactly as large as struct_size
 * says, checks that nothing around it was written, and copies the results back. */
#define ABI_ERROR(name) PJRT_Error *abi_##name(PJRT_##name##_Args *args);
#define ABI_NONE(name) void abi_##name(PJRT_##name##_Args *args);
#define SLOT(name, result, binding, first, required) ABI_##result(name)
#include "pjrt/slots.def"

extern void (*fail_after)(int64_t n); /* of the fake plugin: see program_fake.c */

/* Functions that were never called without an error. */
void check_all_called(void);
/* Every function with a block that is too small, and with no object. */
void check_bad_blocks(void);

void await(PJRT_Event *event); /* success expected; destroys it */
void await_failure(PJRT_Event *event, int code, const char *text);
bool is_ready(PJRT_Event *event);
void destroy_event(PJRT_Event *event);

PJRT_Buffer *put(const void *data, PJRT_Buffer_Type type, const int64_t *dims, size_t n_dims,
                 const int64_t *strides, PJRT_HostBufferSemantics semantics, PJRT_Event **done);
PJRT_Buffer *put_floats(float first); /* f32[2,3]: first, first + 1, … */
void get(PJRT_Buffer *buffer, void *data, size_t size);
bool holds_floats(PJRT_Buffer *buffer, float first);
PJRT_Event *ready_event(PJRT_Buffer *buffer);
bool is_deleted(PJRT_Buffer *buffer);
void *data_of(PJRT_Buffer *buffer);
void destroy_buffer(PJRT_Buffer *buffer);
int64_t bytes_in_use(void);

/* The files of tests. */
void test_events(void);
void test_client(void);
void test_processes(void);
void test_buffers(void);
void test_created_buffers(void);
void test_transfers(void);
void test_programs(const void *code, size_t n_code); /* x + 1 of f32[2,3] */
void test_fake_programs(void);
void test_out_of_memory(void);
void test_extensions(const void *code, size_t n_code);
void test_options(const void *code, size_t n_code);

#endif
