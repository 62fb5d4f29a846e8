/* SPDX-License-Identifier: Apache-2.0
 * Runs the kernels that emit_cuda.c wrote, and compares their bits: run_cuda PLAN [FIRST
 * [LAST]], by the kernels' numbers. NaN is any NaN, in words of 16 bits of f16 or bf16 too. */
#include <cuda_runtime.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "gpu/table.h"

enum { I8 = 1, I16 = 2, F32 = 5, F64 = 6 }; /* of jm_ktype */

static void get(FILE *plan, void *bytes, size_t size) {
  if (fread(bytes, 1, size, plan) != size) {
    fprintf(stderr, "the plan ends early\n");
    exit(2);
  }
}

static int64_t get_number(FILE *plan) {
  int64_t number;
  get(plan, &number, sizeof number);
  return number;
}

static bool is_nan16(uint16_t x) {
  return ((x & 0x7c00) == 0x7c00 && (x & 0x3ff)) || ((x & 0x7f80) == 0x7f80 && (x & 0x7f));
}

/* The distance of two elements in units of the last place; 0: equal, as NaNs are; -1: not that near
 * or no floats. */
static double distance(int64_t type, const char *x, const char *y) {
  if (type == F32) {
    float a, b;
    memcpy(&a, x, 4);
    memcpy(&b, y, 4);
    if (!memcmp(x, y, 4) || (a != a && b != b)) return 0;
    return fabs((double)a - b) / (std::nextafter(fabsf(a), INFINITY) - fabsf(a));
  }
  if (type == F64) {
    double a, b;
    memcpy(&a, x, 8);
    memcpy(&b, y, 8);
    if (!memcmp(x, y, 8) || (a != a && b != b)) return 0;
    return fabs(a - b) / (std::nextafter(fabs(a), INFINITY) - fabs(a));
  }
  if (type == I16) {
    uint16_t a, b;
    memcpy(&a, x, 2);
    memcpy(&b, y, 2);
    return a == b || (is_nan16(a) && is_nan16(b)) ? 0 : -1;
  }
  return 0;
}

static size_t size_of(int64_t type) {
  static const size_t sizes[] = {1, 1, 2, 4, 8, 4, 8};
  return sizes[type];
}

/* The two NaNs of f8e4m3fn: bytes of kernels with this name are numbers of it. */
static bool is_nan8(int64_t type, char x, const char *name) {
  return type == I8 && (x & 0x7f) == 0x7f && !strcmp(name, "f8e4m3fn");
}

static bool is_same(int64_t type, const std::vector<char> &want, const std::vector<char> &have,
                    double ulps, const char *name, int64_t buffer) {
  size_t size = size_of(type);
  for (size_t i = 0; i < want.size(); i += size) {
    if (!memcmp(&want[i], &have[i], size)) continue;
    if (is_nan8(type, want[i], name) && is_nan8(type, have[i], name)) continue;
    double d = type == I16 || type == F32 || type == F64 ? distance(type, &want[i], &have[i]) : -1;
    if (d >= 0 && d <= ulps) continue;
    uint64_t a = 0, b = 0;
    memcpy(&a, &want[i], size);
    memcpy(&b, &have[i], size);
    printf("%s: buffer %d [%zu] is %llx, not %llx\n", name, (int)buffer, i / size,
           (unsigned long long)b, (unsigned long long)a);
    return false;
  }
  return true;
}

static bool check(cudaError_t error, const char *what) {
  if (error != cudaSuccess) printf("%s: %s\n", what, cudaGetErrorString(error));
  return error == cudaSuccess;
}

/* A kernel that hangs, at a barrier that some lanes do not reach, ends the run. */
static bool wait_for(const char *name) {
  for (int milliseconds = 0; milliseconds < 5000; milliseconds++) {
    cudaError_t error = cudaStreamQuery(0);
    if (error != cudaErrorNotReady) return check(error, name);
    usleep(1000);
  }
  printf("%s: hangs\n", name);
  fflush(stdout);
  _exit(1);
}

/* In as many groups as there are chunks, and in two, which take several chunks each. */
static bool run(FILE *plan, const entry *e, int64_t first, int64_t last) {
  int64_t number = get_number(plan);
  int64_t chunks = get_number(plan), threads = get_number(plan), calls = get_number(plan);
  int64_t n = get_number(plan);
  std::vector<int64_t> types(n);
  std::vector<std::vector<char>> before(n), want(n);
  for (int64_t i = 0; i < n; i++) {
    types[i] = get_number(plan);
    before[i].resize(get_number(plan));
    want[i].resize(before[i].size());
    get(plan, before[i].data(), before[i].size());
    get(plan, want[i].data(), want[i].size());
  }
  if (number < first || number > last) return true;
  bool right = true;
  for (int round = 0; round < 2 && right; round++) {
    std::vector<void *> buffers(n), arguments(n);
    for (int64_t i = 0; i < n; i++) {
      right &= check(cudaMalloc(&buffers[i], before[i].size() + 1), "memory");
      right &= check(cudaMemcpy(buffers[i], before[i].data(), before[i].size(),
                                cudaMemcpyHostToDevice), "copy");
      arguments[i] = &buffers[i];
    }
    unsigned groups = round || chunks < 1 ? (chunks > 1 ? 2 : 1) : (unsigned)chunks;
    right &= check(cudaLaunchKernel(e->kernel, dim3(groups), dim3((unsigned)threads),
                                    arguments.data(), 0, 0), e->name);
    right &= wait_for(e->name);
    for (int64_t i = 0; i < n; i++) {
      std::vector<char> have(want[i].size());
      right &= check(cudaMemcpy(have.data(), buffers[i], have.size(), cudaMemcpyDeviceToHost),
                     e->name);
      right = right && is_same(types[i], want[i], have, calls ? 2 : 0, e->name, i);
      cudaFree(buffers[i]);
    }
  }
  return right;
}

int main(int argc, char **argv) {
  FILE *plan = argc > 1 ? fopen(argv[1], "rb") : NULL;
  const int64_t first = argc > 2 ? atoll(argv[2]) : 0, last = argc > 3 ? atoll(argv[3]) : INT64_MAX;
  if (!plan) return 2;
  int n = 0, failures = 0;
  for (const entry *e = entries; e->kernel; e++, n++) failures += !run(plan, e, first, last);
  fclose(plan);
  printf("%d kernels, %d failed\n", n, failures);
  return failures || !n;
}
