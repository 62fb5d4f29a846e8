/* SPDX-License-Identifier: Apache-2.0
 * Loads the plugin and calls every function of the C API, with good and bad arguments.
 *   abi_test PLUGIN FILE   FILE: a program x + 1 of f32[2,3]; "fake": PLUGIN is the one that is
 *                          built around program_fake.c */
#include <dlfcn.h>
#include <stdlib.h>

#include "abi/abi.h"
#include "abi/program_fake.h"

static void *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  char *bytes = malloc(1 << 16);
  *size = fread(bytes, 1, 1 << 16, file);
  fclose(file);
  return bytes;
}

static void check_version(void) {
  CHECK(api->struct_size == 1120);
  CHECK(api->pjrt_api_version.major_version == 0);
  CHECK(api->pjrt_api_version.minor_version == 104);
}

static void run_all(const void *code, size_t n_code) {
  PJRT_Client_Create_Args *create = ARGS(Client_Create, .num_options = 0);
  memset(&create->kv_get_callback, 0xA5, 4 * sizeof(void *)); /* garbage, as in JAX */
  if (!OK(abi_Client_Create(create))) return;
  client = create->client;
  PJRT_Client_LookupDevice_Args *lookup = ARGS(Client_LookupDevice, .client = client, .id = 0);
  if (!OK(abi_Client_LookupDevice(lookup))) return;
  device = lookup->device;
  test_events();
  test_client();
  test_processes();
  test_buffers();
  test_created_buffers();
  test_transfers();
  test_options(code, n_code);
  test_programs(code, n_code);
  test_extensions(code, n_code);
  if (is_fake) test_fake_programs();
  CHECK(bytes_in_use() == 0);
  OK(abi_Client_Destroy(ARGS(Client_Destroy, .client = client)));
  OK(abi_Client_Destroy(ARGS(Client_Destroy, .client = NULL)));
}

int main(int n, char **arguments) {
  if (n != 3) {
    fprintf(stderr, "usage: abi_test PLUGIN FILE|fake\n");
    return 2;
  }
  void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  const PJRT_Api *(*get_api)(void);
  *(void **)&get_api = dlsym(library, "GetPjrtApi");
  if (!get_api) return 2;
  api = get_api();
  check_version();
  fake_program fake = {.magic = "FAKE",
                       .n_parameters = 1,
                       .n_outputs = 1,
                       .cheap = 1,
                       .alias = -1,
                       .n_partitions = 1};
  is_fake = !strcmp(arguments[2], "fake");
  size_t n_code = sizeof fake;
  void *code = is_fake ? &fake : read_file(arguments[2], &n_code);
  if (!code) {
    fprintf(stderr, "cannot read %s\n", arguments[2]);
    return 2;
  }
  check_bad_blocks();
  run_all(code, n_code);
  full_blocks = true;
  run_all(code, n_code);
  check_all_called();
  if (is_fake) {
    *(void **)&fail_after = dlsym(library, "fake_fail_after");
    CHECK(fail_after);
    test_out_of_memory();
  }
  if (code != &fake) free(code);
  printf("%d checks, %d failed\n", check_count, check_failures);
  return check_failures || !check_count;
}
