// SPDX-License-Identifier: Apache-2.0
// Shared by the bridge's C++ files: the array handle, the open device, errors. Not visible to C.
#ifndef JM_ENGINE_MLX_BRIDGE_INTERNAL_H
#define JM_ENGINE_MLX_BRIDGE_INTERNAL_H

#include <atomic>
#include <limits>
#include <memory>
#include <unordered_set>
#include <vector>

#include "engine/mlx/bridge.h"
#include "mlx/array.h"
#include "mlx/utils.h"

struct jm_mlx_fence {
  mlx::core::array end;
  jm_error *error;  // of the work, if it is known
};

struct jm_mlx_array {
  mlx::core::array value;
  std::atomic<uint32_t> refs{1};
  explicit jm_mlx_array(mlx::core::array v) : value(std::move(v)) {}
};

namespace jm {

// The device that a thread opened. MLX's streams belong to threads, so that this does too; every op
// is given its stream, because other code in the process may change MLX's defaults.
struct opened {
  mlx::core::StreamOrDevice stream;
  size_t largest = std::numeric_limits<size_t>::max();  // bytes of one array
  bool unified = true;
  bool is_cuda = false;
  bool is_gpu = false;
  std::vector<mlx::core::array> blocks;         // of CUDA's memory (bridge_small.cc)
  std::unordered_set<const void *> block_data;  // what they share
  size_t next_block = 0;
};
extern thread_local opened here;

// Of the core (jm_mlx_host).
extern jm_error *(*error_create)(jm_code code, const char *format, ...);

// The exception that is being handled, as an error: RESOURCE_EXHAUSTED or INTERNAL.
jm_error *current_exception_report(const char *what) noexcept;

// Calls f; an exception becomes an error.
template <typename F>
jm_error *guard(const char *what, F f) noexcept {
  try {
    return f();
  } catch (...) {
    return current_exception_report(what);
  }
}

jm_error *too_large(const char *what, size_t bytes);  // RESOURCE_EXHAUSTED
mlx::core::Dtype dtype_of(jm_dtype ours);             // throws for types that MLX lacks

void core_set(const jm_mlx_host *host);

// FAILED_PRECONDITION if the MLX that was loaded is not the one that we were built for.
jm_error *version_check();

// bridge_group.cc: members of jm_mlx_api, described there.
jm_error *group_open(const char *backend, uint32_t rank, uint32_t size, const char *host_file,
                     jm_mlx_group **out);
jm_error *group_gather(jm_mlx_group *group, const void *bytes, size_t n, void *out);
jm_error *group_join(const char *backend, uint32_t rank, uint32_t size, const char *address,
                     jm_mlx_group **out);
void group_close(jm_mlx_group *group);
jm_error *prim_all_sum(jm_mlx_array **out, jm_mlx_group *group, jm_mlx_array *a);
jm_error *prim_all_gather(jm_mlx_array **out, jm_mlx_group *group, jm_mlx_array *a);
jm_error *prim_sum_scatter(jm_mlx_array **out, jm_mlx_group *group, jm_mlx_array *a);
jm_error *prim_depends(jm_mlx_array **out, jm_mlx_array *a, jm_mlx_array *on);

// bridge_kernel.cc, bridge_graph.cc: members of jm_mlx_api, described there.
jm_error *kernel_create(const jm_mlx_kernel_spec *spec, jm_mlx_kernel **out);
void kernel_release(jm_mlx_kernel *kernel);
void kernel_shape(jm_mlx_kernel *kernel, uint32_t output, const int32_t *shape, int rank);
jm_error *kernel_launch(jm_mlx_kernel *kernel, jm_mlx_array *const *in, jm_mlx_array **out);
jm_error *kernel_run(jm_mlx_kernel *kernel, jm_mlx_array *const *in, jm_mlx_array **out);
// The arrays that are ready when all of these are: one of each primitive that has still to run, and
// those that run already.
std::vector<mlx::core::array> graph_ends(jm_mlx_array *const *arrays, size_t n);
jm_error *graph_census(jm_mlx_array *const *arrays, size_t n, jm_mlx_census *out);
jm_error *arrays_bytes(jm_mlx_array *const *arrays, size_t n, size_t *out);

// bridge_recording.cc: members of jm_mlx_api, described there.
bool recording_supported();
uint64_t array_address(jm_mlx_array *a);
jm_error *array_write(jm_mlx_array *a, const void *data, size_t n);
jm_error *arrays_rehearse(jm_mlx_array *const *arrays, size_t n, int64_t seconds, size_t *bytes);
jm_error *arrays_record(jm_mlx_array *const *arrays, size_t n, jm_mlx_array *const *borrowed,
                        size_t n_borrowed, jm_mlx_recording **out, uint32_t *n_nodes);
jm_error *recording_launch(jm_mlx_recording *recording, jm_mlx_array *const *inputs, size_t n);
// Runs one primitive of CUDA at once.
std::vector<mlx::core::array> primitive_run(mlx::core::Primitive &primitive,
                                            const std::vector<mlx::core::array> &inputs,
                                            std::vector<mlx::core::array> outputs);
void recording_release(jm_mlx_recording *recording);
// Writes to a computed array of CUDA and reads it, where that is supported. A write comes behind
// all that was started before; a read does not wait for what has started since.
bool device_write_supported();
void device_write(const mlx::core::array &to, const void *data, size_t n);
bool device_read(const mlx::core::array &from, void *data, size_t n);

// bridge_small.cc
// Imports a small value into CUDA's memory; false: it is none, or there is no such memory.
bool small_import(const mlx::core::Shape &shape, mlx::core::Dtype dtype, const void *data, size_t n,
                  jm_mlx_array **out);
bool is_small_import(const mlx::core::array &a);
// The primitive, or one that does the same and has no output in managed memory.
std::shared_ptr<mlx::core::Primitive> device_launch(std::shared_ptr<mlx::core::Primitive> kernel,
                                                    const std::vector<mlx::core::array> &outputs);

// bridge_graph.cc
bool is_view(const mlx::core::array &a);
bool is_dense(const mlx::core::array &a);

// Operands that kernels on MLX's CPU device copied since the process began, because they were not
// dense.
uint64_t kernel_copies();

}  // namespace jm

#endif
