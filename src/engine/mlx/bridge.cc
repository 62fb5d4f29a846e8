// SPDX-License-Identifier: Apache-2.0
// The bridge to MLX, the only C++ of the project and the only folder's files that see MLX's
// headers: one thin function per row of prims.def, and a few for arrays and the device; kernels are
// launched by bridge_kernel.cc. No exception leaves it, and no meaning of StableHLO enters it.
#include "engine/mlx/bridge_internal.h"

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mlx/backend/cuda/cuda.h"
#include "mlx/backend/metal/metal.h"
#include "mlx/device.h"
#include "mlx/fast.h"
#include "mlx/fft.h"
#include "mlx/memory.h"
#include "mlx/ops.h"
#include "mlx/primitives.h"
#include "mlx/stream.h"
#include "mlx/transforms.h"
#include "mlx/version.h"

#if MLX_VERSION_NUMERIC < 32004
#error "MLX 0.32.4 or newer is needed"
#endif

namespace core = mlx::core;

using jm::dtype_of;
using jm::error_create;
using jm::guard;
using jm::here;
using jm::prim_all_gather, jm::prim_all_sum, jm::prim_depends, jm::prim_sum_scatter;
using jm::too_large;

namespace {

#define STRING(x) #x
#define VERSION(major, minor, patch) STRING(major) "." STRING(minor) "." STRING(patch)
constexpr const char *built_for = VERSION(MLX_VERSION_MAJOR, MLX_VERSION_MINOR, MLX_VERSION_PATCH);

std::atomic<int64_t> memory_limit{std::numeric_limits<int64_t>::max()};

// -- errors

// An allocation that MLX refuses is a runtime_error like any other; its text tells.
bool is_out_of_memory(std::string_view text) {
  for (std::string_view sign : {"alloc", "out of memory", "OutOfMemory", "Insufficient Memory",
                                "Resource limit", "MemoryAllocation"})
    if (text.find(sign) != std::string_view::npos) return true;
  return false;
}

jm_error *give(const char *what, core::array a, jm_mlx_array **out) {
  if (a.nbytes() > here.largest && !jm::is_view(a)) return too_large(what, a.nbytes());
  *out = new jm_mlx_array(std::move(a));
  return nullptr;
}

// One primitive: computes an array and hands it out.
template <typename F>
jm_error *make(const char *what, jm_mlx_array **out, F f) noexcept {
  return guard(what, [&] { return give(what, f(), out); });
}

// -- types and shapes

struct dtype_row {
  jm_dtype ours;
  core::Dtype theirs;
};
const dtype_row dtypes[] = {
    {JM_DT_pred, core::bool_},  {JM_DT_u8, core::uint8},      {JM_DT_u16, core::uint16},
    {JM_DT_u32, core::uint32},  {JM_DT_u64, core::uint64},    {JM_DT_s8, core::int8},
    {JM_DT_s16, core::int16},   {JM_DT_s32, core::int32},     {JM_DT_s64, core::int64},
    {JM_DT_f16, core::float16}, {JM_DT_bf16, core::bfloat16}, {JM_DT_f32, core::float32},
    {JM_DT_f64, core::float64}, {JM_DT_c64, core::complex64},
};

const dtype_row *dtype_find(jm_dtype ours) {
  for (const dtype_row &row : dtypes)
    if (row.ours == ours) return &row;
  return nullptr;
}

core::Shape shape_of(const int32_t *dims, int rank) { return core::Shape(dims, dims + rank); }
std::vector<int> ints_of(const int32_t *values, int n) { return {values, values + n}; }

std::vector<int> axes_up_to(int rank) {
  std::vector<int> axes(rank);
  for (int i = 0; i < rank; i++) axes[i] = i;
  return axes;
}

std::vector<core::array> arrays_of(jm_mlx_array *const *arrays, size_t n) {
  std::vector<core::array> all;
  all.reserve(n);
  for (size_t i = 0; i < n; i++) all.push_back(arrays[i]->value);
  return all;
}

// -- the device

std::string text_fact(const core::Device &device, const char *key) {
  const auto &facts = core::device_info(device);
  auto found = facts.find(key);
  if (found == facts.end()) return "";
  const auto *text = std::get_if<std::string>(&found->second);
  return text ? *text : "";
}

size_t size_fact(const core::Device &device, const char *key) {
  const auto &facts = core::device_info(device);
  auto found = facts.find(key);
  if (found == facts.end()) return 0;
  const auto *size = std::get_if<size_t>(&found->second);
  return size ? *size : 0;
}

size_t physical_memory() {
  long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
  return pages > 0 && bytes > 0 ? static_cast<size_t>(pages) * static_cast<size_t>(bytes) : 0;
}

// A tenth is left to CUDA itself: contexts, modules, the libraries' work spaces.
size_t cuda_memory(const core::Device &device) {
  size_t total = size_fact(device, "total_memory"), free = size_fact(device, "free_memory");
  return (free && free < total ? free : total) / 10 * 9;
}

void copy_text(char *to, size_t size, const std::string &from) {
  size_t n = from.size() < size - 1 ? from.size() : size - 1;
  std::memcpy(to, from.data(), n);
  to[n] = 0;
}

// As MLX decides it, whose own function is not exported.
bool mlx_rounds_to_tf32() {
  const char *value = std::getenv("MLX_ENABLE_TF32");
  return !value || std::atoi(value) != 0;
}

void device_describe(const core::Device &device, bool gpu, jm_mlx_device_fact *out) {
  bool metal = gpu && core::metal::is_available();
  bool cuda = gpu && !metal && core::cu::is_available();
  std::string name = gpu ? text_fact(device, "device_name") : "MLX CPU";
  size_t bytes = metal  ? size_fact(device, "max_recommended_working_set_size")
                 : cuda ? cuda_memory(device)
                        : physical_memory();
  if (!bytes) bytes = core::get_memory_limit();
  *out = jm_mlx_device_fact{};
  copy_text(out->kind, sizeof out->kind, name.empty() ? "MLX GPU" : name);
  copy_text(out->backend, sizeof out->backend,
            metal  ? "metal"
            : cuda ? "cuda"
            : gpu  ? "gpu"
                   : "cpu");
  copy_text(out->architecture, sizeof out->architecture, text_fact(device, "architecture"));
  copy_text(out->identity, sizeof out->identity, text_fact(device, "uuid"));
  out->n_gpus = gpu ? core::device_count(core::Device::gpu) : 0;
  out->rounds_to_tf32 = cuda && mlx_rounds_to_tf32();
  out->is_gpu = gpu;
  out->unified = metal || !gpu;
  out->memory_bytes = static_cast<int64_t>(bytes);
}

jm_error *device_open(bool gpu, jm_mlx_device_fact *out) {
  return guard("opening its device", [&]() -> jm_error * {
    if (jm_error *error = jm::version_check()) return error;
    core::Device device(gpu ? core::Device::gpu : core::Device::cpu);
    if (!core::is_available(device))
      return error_create(JM_FAILED_PRECONDITION, "MLX %s finds no %s on this machine", built_for,
                          gpu ? "GPU" : "CPU device");
    // Apple's GPUs compute f32 products in f32, as MLX did before it knew TF32. MLX reads it once,
    // at its first product. The user's own choice wins.
    if (core::metal::is_available()) setenv("MLX_ENABLE_TF32", "0", 0);
    // MLX's CUDA back end records each batch of work as a CUDA graph, which it instantiates or
    // updates before the launch: on an H200 a ResNet-18 step takes 11.5 ms with graphs, 5.4
    // without, a GPT step 5.2 and 3.3. MLX reads it once, with its first stream. The user's choice
    // wins.
    if (gpu && core::cu::is_available()) setenv("MLX_USE_CUDA_GRAPHS", "0", 0);
    device_describe(device, gpu, out);
    core::Stream stream = core::new_stream(device);
    core::set_default_device(device);
    core::set_default_stream(stream);
    here.stream = stream;
    here.unified = out->unified;
    here.largest = static_cast<size_t>(out->memory_bytes);
    size_t buffer = gpu ? size_fact(device, "max_buffer_length") : 0;
    if (buffer && buffer < here.largest) here.largest = buffer;
    memory_limit = out->memory_bytes;
    if (gpu) {
      // Above it MLX waits for what it has started, and gives back what it keeps. What it keeps is
      // of use to the next step, and of none to other programs on the machine.
      core::set_memory_limit(static_cast<size_t>(out->memory_bytes));
      core::set_cache_limit(static_cast<size_t>(out->memory_bytes) / 2);
    }
    here.is_gpu = gpu;
    here.is_cuda = !std::strcmp(out->backend, "cuda");
    return nullptr;
  });
}

// On another thread than the one that opened it there is nothing to close.
void device_close() {
  if (!std::holds_alternative<core::Stream>(here.stream)) return;
  try {
    core::synchronize(std::get<core::Stream>(here.stream));
    core::clear_streams();
  } catch (...) {  // an error of work that nobody waits for any more
  }
  here = jm::opened{};
}

// -- arrays

// Before memory is taken for data that the host writes. CUDA's managed memory, which MLX takes for
// it, is granted beyond what the card has, and a GPU that runs out of it may hang: so that a large
// piece must fit in what is free now, other programs counted.
jm_error *room_check(size_t bytes) {
  constexpr size_t large = size_t{16} << 20;
  if (bytes > here.largest) return too_large("copying in", bytes);
  size_t active = core::get_active_memory(), cached = core::get_cache_memory();
  if (static_cast<int64_t>(active + cached + bytes) > memory_limit) core::clear_cache();
  if (static_cast<int64_t>(active + bytes) > memory_limit)
    return error_create(JM_RESOURCE_EXHAUSTED,
                        "copying in %zu bytes: %zu are in use of the device's %lld", bytes, active,
                        static_cast<long long>(memory_limit));
  if (!here.is_cuda || bytes < large) return nullptr;
  size_t free = size_fact(core::Device(core::Device::gpu), "free_memory");
  size_t wanted = bytes + bytes / 16;
  if (wanted > free) core::clear_cache();
  if (free && wanted > free + cached)
    return error_create(JM_RESOURCE_EXHAUSTED, "copying in %zu bytes: the GPU has %zu free", bytes,
                        free + cached);
  return nullptr;
}

jm_error *array_import(jm_dtype dtype, const int32_t *shape, int rank, const void *data,
                       jm_mlx_array **out) {
  return guard("copying an array in", [&]() -> jm_error * {
    const dtype_row *row = dtype_find(dtype);
    if (!row)
      return error_create(JM_UNIMPLEMENTED, "MLX has no arrays of this element type (%d)", dtype);
    size_t bytes = row->theirs.size();
    for (int i = 0; i < rank; i++)
      if (shape[i] < 0 || __builtin_mul_overflow(bytes, static_cast<size_t>(shape[i]), &bytes))
        return error_create(JM_INVALID_ARGUMENT, "the size of an array overflows");
    if (jm::small_import(shape_of(shape, rank), row->theirs, data, bytes, out)) return nullptr;
    if (jm_error *error = room_check(bytes)) return error;
    core::allocator::Data memory = core::allocator::malloc(bytes);
    core::allocator::Buffer buffer = memory.buffer();
    if (bytes && !buffer.ptr()) throw std::bad_alloc();
    if (bytes) std::memcpy(buffer.raw_ptr(), data, bytes);
    *out = new jm_mlx_array(core::array(std::move(memory), shape_of(shape, rank), row->theirs));
    return nullptr;
  });
}

jm_mlx_array *array_retain(jm_mlx_array *a) {
  a->refs.fetch_add(1, std::memory_order_relaxed);
  return a;
}

void array_release(jm_mlx_array *a) {
  if (a && a->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete a;
}

jm_error *array_describe(jm_mlx_array *a, jm_dtype *dtype, int32_t *shape, int *rank) {
  return guard("describing an array", [&]() -> jm_error * {
    for (const dtype_row &row : dtypes)
      if (row.theirs == a->value.dtype()) *dtype = row.ours;
    *rank = static_cast<int>(a->value.ndim());
    for (int i = 0; i < *rank; i++) shape[i] = a->value.shape(i);
    return nullptr;
  });
}

bool array_has_shape(const jm_mlx_array *a, const int64_t *dims, uint32_t rank) {
  const core::Shape &shape = a->value.shape();
  bool same = shape.size() == rank;
  for (uint32_t i = 0; same && i < rank; i++) same = shape[i] == dims[i];
  return same;
}

jm_error *arrays_start(jm_mlx_array *const *arrays, size_t n) {
  return guard("starting a program", [&]() -> jm_error * {
    core::async_eval(arrays_of(arrays, n));
    return nullptr;
  });
}

// The fence is a scalar that depends on the arrays: its event is theirs, and it holds none of their
// memory once its graph was started. (Errors of events are not exported; array::wait throws them.)
jm_error *arrays_submit(jm_mlx_array *const *arrays, size_t n, jm_mlx_fence **out) {
  return guard("starting a program", [&]() -> jm_error * {
    *out = nullptr;
    if (!n) return nullptr;
    core::array end = core::depends({core::array(true)}, jm::graph_ends(arrays, n))[0];
    core::async_eval({end});
    *out = new jm_mlx_fence{end, nullptr};
    return nullptr;
  });
}

bool fence_is_done(jm_mlx_fence *fence) {
  bool done = fence->error;
  if (!done)
    fence->error = guard("running a program", [&]() -> jm_error * {
      done = true;
      done = fence->end.is_available();  // an error is thrown once, so that it is kept
      return nullptr;
    });
  return done;
}

jm_error *fence_wait(jm_mlx_fence *fence) {
  std::unique_ptr<jm_mlx_fence> owned(fence);
  if (owned->error) return owned->error;
  return guard("running a program", [&]() -> jm_error * {
    owned->end.wait();
    return nullptr;
  });
}

jm_error *arrays_wait(jm_mlx_array *const *arrays, size_t n) {
  return guard("running a program", [&]() -> jm_error * {
    core::eval(arrays_of(arrays, n));
    return nullptr;
  });
}

jm_error *array_export(jm_mlx_array *a, void *data, size_t n_bytes) {
  return guard("copying an array out", [&]() -> jm_error * {
    if (a->value.nbytes() != n_bytes)
      return error_create(JM_INTERNAL, "an array of %zu bytes copied out as %zu", a->value.nbytes(),
                          n_bytes);
    core::array dense = a->value;
    core::eval(std::vector<core::array>{dense});
    if (!dense.flags().row_contiguous) {
      dense = core::contiguous(dense, false, here.stream);
      core::eval(std::vector<core::array>{dense});
    }
    if (!n_bytes) return nullptr;
    if (jm::device_read(dense, data, n_bytes)) return nullptr;
    std::memcpy(data, dense.data<char>(), n_bytes);
    return nullptr;
  });
}

jm_error *array_data(jm_mlx_array *a, const void **out) {
  return guard("reading an array", [&]() -> jm_error * {
    *out = nullptr;
    if (!here.unified) return nullptr;
    core::eval(std::vector<core::array>{a->value});
    if (a->value.flags().row_contiguous && a->value.size()) *out = a->value.data<char>();
    return nullptr;
  });
}

// -- memory

jm_error *bytes_check(const char *what, size_t bytes) {
  if (bytes <= static_cast<size_t>(memory_limit.load())) return nullptr;
  return error_create(JM_RESOURCE_EXHAUSTED, "%s needs %zu bytes; MLX's device has %lld", what,
                      bytes, static_cast<long long>(memory_limit));
}

void memory_read(jm_mlx_memory *out) {
  *out = jm_mlx_memory{static_cast<int64_t>(core::get_active_memory()),
                       static_cast<int64_t>(core::get_peak_memory()),
                       static_cast<int64_t>(core::get_cache_memory())};
}

void memory_set_cache_limit(int64_t bytes) {
  core::set_cache_limit(bytes > 0 ? static_cast<size_t>(bytes) : 0);
}

void memory_clear_cache() {
  try {
    core::clear_cache();
  } catch (...) {  // what could not be given back stays in the cache
  }
}

// -- primitives: those of one shape by macro, the rest by hand

#define PRIM1(name, function)                                                       \
  jm_error *prim_##name(jm_mlx_array *a, jm_mlx_array **out) {                      \
    return make(#name, out, [&] { return core::function(a->value, here.stream); }); \
  }
#define PRIM2(name, function)                                                                 \
  jm_error *prim_##name(jm_mlx_array *a, jm_mlx_array *b, jm_mlx_array **out) {               \
    return make(#name, out, [&] { return core::function(a->value, b->value, here.stream); }); \
  }
#define PRIM_AXES(name, function)                                                                \
  jm_error *prim_##name(jm_mlx_array *a, const int32_t *axes, int n, jm_mlx_array **out) {       \
    return make(#name, out,                                                                      \
                [&] { return core::function(a->value, ints_of(axes, n), false, here.stream); }); \
  }
#define PRIM_AXIS(name, function)                                                  \
  jm_error *prim_##name(jm_mlx_array *a, int axis, jm_mlx_array **out) {           \
    return make(#name, out, [&] { return along_axis::function(a->value, axis); }); \
  }
#define PRIM(name, parameters, arguments)

// MLX's sorts know nothing of keepdims; without it an argmax's axis would be taken for a bool.
namespace along_axis {
core::array argmax(const core::array &a, int axis) {
  return core::argmax(a, axis, false, here.stream);
}
core::array argmin(const core::array &a, int axis) {
  return core::argmin(a, axis, false, here.stream);
}
core::array argsort(const core::array &a, int axis) { return core::argsort(a, axis, here.stream); }
core::array softmax(const core::array &a, int axis) {
  return core::softmax(a, axis, true, here.stream);
}
core::array sort(const core::array &a, int axis) { return core::sort(a, axis, here.stream); }
}  // namespace along_axis

#include "engine/mlx/prims.def"

jm_error *prim_astype(jm_mlx_array **out, jm_mlx_array *a, jm_dtype dtype) {
  return make("astype", out, [&] { return core::astype(a->value, dtype_of(dtype), here.stream); });
}

jm_error *prim_view(jm_mlx_array **out, jm_mlx_array *a, jm_dtype dtype) {
  return make("view", out, [&] { return core::view(a->value, dtype_of(dtype), here.stream); });
}

jm_error *prim_reshape(jm_mlx_array **out, jm_mlx_array *a, const int32_t *shape, int rank) {
  return make("reshape", out,
              [&] { return core::reshape(a->value, shape_of(shape, rank), here.stream); });
}

jm_error *prim_broadcast_to(jm_mlx_array **out, jm_mlx_array *a, const int32_t *shape, int rank) {
  return make("broadcast_to", out,
              [&] { return core::broadcast_to(a->value, shape_of(shape, rank), here.stream); });
}

jm_error *prim_transpose(jm_mlx_array **out, jm_mlx_array *a, const int32_t *axes, int rank) {
  bool moves = false; /* MLX makes a node of a permutation that moves nothing, too */
  for (int i = 0; i < rank; i++) moves = moves || axes[i] != i;
  return make("transpose", out, [&] {
    return moves ? core::transpose(a->value, ints_of(axes, rank), here.stream) : a->value;
  });
}

jm_error *prim_contiguous(jm_mlx_array **out, jm_mlx_array *a) {
  return make("contiguous", out, [&] {
    return jm::is_dense(a->value) ? a->value : core::contiguous(a->value, false, here.stream);
  });
}

jm_error *prim_as_strided(jm_mlx_array **out, jm_mlx_array *a, const int32_t *shape,
                          const int64_t *strides, int rank, int64_t offset) {
  return make("as_strided", out, [&] {
    return core::as_strided(a->value, shape_of(shape, rank), core::Strides(strides, strides + rank),
                            static_cast<size_t>(offset), here.stream);
  });
}

jm_error *prim_slice(jm_mlx_array **out, jm_mlx_array *a, const int32_t *start, const int32_t *stop,
                     const int32_t *strides, int rank) {
  return make("slice", out, [&] {
    return core::slice(a->value, shape_of(start, rank), shape_of(stop, rank),
                       shape_of(strides, rank), here.stream);
  });
}

jm_error *prim_slice_update(jm_mlx_array **out, jm_mlx_array *a, jm_mlx_array *update,
                            const int32_t *start, const int32_t *stop, const int32_t *strides,
                            int rank) {
  return make("slice_update", out, [&] {
    return core::slice_update(a->value, update->value, shape_of(start, rank), shape_of(stop, rank),
                              shape_of(strides, rank), here.stream);
  });
}

jm_error *prim_slice_dynamic(jm_mlx_array **out, jm_mlx_array *a, jm_mlx_array *starts,
                             const int32_t *sizes, int rank) {
  return make("slice_dynamic", out, [&] {
    return core::slice(a->value, starts->value, axes_up_to(rank), shape_of(sizes, rank),
                       here.stream);
  });
}

jm_error *prim_slice_update_dynamic(jm_mlx_array **out, jm_mlx_array *a, jm_mlx_array *update,
                                    jm_mlx_array *starts, int rank) {
  return make("slice_update_dynamic", out, [&] {
    return core::slice_update(a->value, update->value, starts->value, axes_up_to(rank),
                              here.stream);
  });
}

jm_error *prim_concatenate(jm_mlx_array **out, jm_mlx_array *const *arrays, int n, int axis) {
  return make("concatenate", out, [&] {
    return core::concatenate(arrays_of(arrays, static_cast<size_t>(n)), axis, here.stream);
  });
}

jm_error *prim_pad(jm_mlx_array **out, jm_mlx_array *a, const int32_t *low, const int32_t *high,
                   int rank, jm_mlx_array *value) {
  return make("pad", out, [&] {
    return core::pad(a->value, axes_up_to(rank), shape_of(low, rank), shape_of(high, rank),
                     value->value, "constant", here.stream);
  });
}

jm_error *prim_full(jm_mlx_array **out, const int32_t *shape, int rank, jm_mlx_array *value) {
  return make("full", out,
              [&] { return core::full(shape_of(shape, rank), value->value, here.stream); });
}

// Counted in integers: counted in bf16, MLX rounds the sum of the steps instead of each number.
jm_error *prim_arange(jm_mlx_array **out, int64_t n, jm_dtype dtype) {
  return make("arange", out, [&] {
    core::array counted = core::arange(0.0, static_cast<double>(n), 1.0, core::int32, here.stream);
    return core::astype(counted, dtype_of(dtype), here.stream);
  });
}

jm_error *prim_where(jm_mlx_array **out, jm_mlx_array *condition, jm_mlx_array *a,
                     jm_mlx_array *b) {
  return make("where", out,
              [&] { return core::where(condition->value, a->value, b->value, here.stream); });
}

jm_error *prim_take_rows(jm_mlx_array **out, jm_mlx_array *a, jm_mlx_array *indices) {
  return make("take_rows", out,
              [&] { return core::take(a->value, indices->value, 0, here.stream); });
}

jm_error *prim_take_along_axis(jm_mlx_array **out, jm_mlx_array *a, jm_mlx_array *indices,
                               int axis) {
  return make("take_along_axis", out,
              [&] { return core::take_along_axis(a->value, indices->value, axis, here.stream); });
}

jm_error *prim_scatter_rows(jm_mlx_array **out, jm_mlx_array *a, jm_mlx_array *indices,
                            jm_mlx_array *updates, jm_mlx_fold fold) {
  using scatter_fn =
      core::array(const core::array &, const std::vector<core::array> &, const core::array &,
                  const std::vector<int> &, core::StreamOrDevice);
  return make("scatter_rows", out, [&] {
    scatter_fn *scatter = nullptr;
    switch (fold) {
      case JM_MLX_REPLACE:
        scatter = core::scatter;
        break;
      case JM_MLX_SUM:
        scatter = core::scatter_add;
        break;
      case JM_MLX_PRODUCT:
        scatter = core::scatter_prod;
        break;
      case JM_MLX_MAXIMUM:
        scatter = core::scatter_max;
        break;
      case JM_MLX_MINIMUM:
        scatter = core::scatter_min;
        break;
      case JM_MLX_LOG_ADD_EXP:
        break;
    }
    if (!scatter) throw std::invalid_argument("MLX has no such scatter");
    // MLX's updates have the indices' axes, then all of a's: of its first, one row each.
    core::array rows =
        core::expand_dims(updates->value, static_cast<int>(indices->value.ndim()), here.stream);
    return scatter(a->value, {indices->value}, rows, {0}, here.stream);
  });
}

jm_error *prim_scan(jm_mlx_array **out, jm_mlx_array *a, int axis, bool reverse, jm_mlx_fold fold) {
  return make("scan", out, [&] {
    const core::array &x = a->value;
    // Sums and products keep their element type, where MLX would widen it; it has none of bool.
    std::optional<core::Dtype> type;
    if (x.dtype() != core::bool_) type = x.dtype();
    switch (fold) {
      case JM_MLX_SUM:
        return core::cumsum(x, axis, reverse, true, type, here.stream);
      case JM_MLX_PRODUCT:
        return core::cumprod(x, axis, reverse, true, type, here.stream);
      case JM_MLX_MAXIMUM:
        return core::cummax(x, axis, reverse, true, here.stream);
      case JM_MLX_MINIMUM:
        return core::cummin(x, axis, reverse, true, here.stream);
      case JM_MLX_LOG_ADD_EXP:
        return core::logcumsumexp(x, axis, reverse, true, here.stream);
      case JM_MLX_REPLACE:
        break;
    }
    throw std::invalid_argument("MLX has no such scan");
  });
}

jm_error *prim_convolution(jm_mlx_array **out, jm_mlx_array *input, jm_mlx_array *kernel,
                           const int32_t *stride, const int32_t *low, const int32_t *high,
                           const int32_t *kernel_dilation, const int32_t *input_dilation,
                           int n_spatial, int groups, bool flip) {
  return make("convolution", out, [&] {
    return core::conv_general(input->value, kernel->value, ints_of(stride, n_spatial),
                              ints_of(low, n_spatial), ints_of(high, n_spatial),
                              ints_of(kernel_dilation, n_spatial),
                              ints_of(input_dilation, n_spatial), groups, flip, here.stream);
  });
}

jm_error *prim_fft(jm_mlx_array **out, jm_mlx_array *a, jm_fft_kind kind, const int32_t *lengths,
                   const int32_t *axes, int n) {
  return make("fft", out, [&] {
    core::Shape sizes = shape_of(lengths, n);
    std::vector<int> over = ints_of(axes, n);
    auto norm = core::fft::FFTNorm::Backward;
    switch (kind) {
      case JM_FFT_FFT:
        return core::fft::fftn(a->value, sizes, over, norm, here.stream);
      case JM_FFT_IFFT:
        return core::fft::ifftn(a->value, sizes, over, norm, here.stream);
      case JM_FFT_RFFT:
        return core::fft::rfftn(a->value, sizes, over, norm, here.stream);
      case JM_FFT_IRFFT:
        return core::fft::irfftn(a->value, sizes, over, norm, here.stream);
    }
    throw std::invalid_argument("no such transform: " + std::to_string(kind));
  });
}

std::optional<core::array> optional_of(const jm_mlx_array *a) {
  return a ? std::optional<core::array>(a->value) : std::nullopt;
}

jm_error *prim_attention(jm_mlx_array **out, jm_mlx_array *q, jm_mlx_array *k, jm_mlx_array *v,
                         float scale, jm_mlx_array *mask) {
  return make("attention", out, [&] {
    return core::fast::scaled_dot_product_attention(q->value, k->value, v->value, scale,
                                                    mask ? "array" : "", optional_of(mask), {},
                                                    false, here.stream);
  });
}

jm_error *prim_layer_norm(jm_mlx_array **out, jm_mlx_array *x, jm_mlx_array *weight,
                          jm_mlx_array *bias, float epsilon) {
  return make("layer_norm", out, [&] {
    return core::fast::layer_norm(x->value, optional_of(weight), optional_of(bias), epsilon,
                                  here.stream);
  });
}

jm_error *prim_rms_norm(jm_mlx_array **out, jm_mlx_array *x, jm_mlx_array *weight, float epsilon) {
  return make("rms_norm", out, [&] {
    return core::fast::rms_norm(x->value, optional_of(weight), epsilon, here.stream);
  });
}

jm_error *prim_addmm(jm_mlx_array **out, jm_mlx_array *c, jm_mlx_array *a, jm_mlx_array *b) {
  return make("addmm", out,
              [&] { return core::addmm(c->value, a->value, b->value, 1, 1, here.stream); });
}

}  // namespace

namespace jm {

thread_local opened here;
jm_error *(*error_create)(jm_code code, const char *format, ...);

jm_error *current_exception_report(const char *what) noexcept {
  try {
    throw;
  } catch (const std::bad_alloc &) {
    return error_create(JM_RESOURCE_EXHAUSTED, "MLX ran out of memory in %s", what);
  } catch (const std::exception &e) {
    return error_create(is_out_of_memory(e.what()) ? JM_RESOURCE_EXHAUSTED : JM_INTERNAL,
                        "MLX in %s: %s", what, e.what());
  } catch (...) {
    return error_create(JM_INTERNAL, "MLX in %s: an exception of an unknown type", what);
  }
}

// Before MLX tries: its CPU device takes any pointer for good, and Linux hands out memory that is
// not there. Only what one array needs is known here; the sum depends on what MLX frees on the way.
jm_error *too_large(const char *what, size_t bytes) {
  return error_create(JM_RESOURCE_EXHAUSTED, "%s needs an array of %zu bytes; MLX's device has %zu",
                      what, bytes, here.largest);
}

jm_error *version_check() {
  if (!std::strcmp(core::version(), built_for)) return nullptr;
  return error_create(
      JM_FAILED_PRECONDITION,
      "MLX %s is installed, this engine was built for MLX %s; try: pip install mlx==%s",
      core::version(), built_for, built_for);
}

// For primitives, whose callers know that MLX has the type.
core::Dtype dtype_of(jm_dtype ours) {
  if (const dtype_row *row = dtype_find(ours)) return row->theirs;
  throw std::invalid_argument("MLX has no such element type: " + std::to_string(ours));
}

}  // namespace jm

namespace {

const jm_mlx_api api = {
    .abi = JM_MLX_ABI,
    .mlx_version = built_for,
    .device_open = device_open,
    .device_close = device_close,
    .array_import = array_import,
    .array_retain = array_retain,
    .array_release = array_release,
    .array_describe = array_describe,
    .array_has_shape = array_has_shape,
    .arrays_start = arrays_start,
    .arrays_submit = arrays_submit,
    .fence_is_done = fence_is_done,
    .fence_wait = fence_wait,
    .arrays_wait = arrays_wait,
    .graph_census = jm::graph_census,
    .array_export = array_export,
    .array_data = array_data,
    .bytes_check = bytes_check,
    .arrays_bytes = jm::arrays_bytes,
    .memory_read = memory_read,
    .memory_set_cache_limit = memory_set_cache_limit,
    .memory_clear_cache = memory_clear_cache,
    .kernel_create = jm::kernel_create,
    .kernel_release = jm::kernel_release,
    .kernel_shape = jm::kernel_shape,
    .kernel_launch = jm::kernel_launch,
    .recording_supported = jm::recording_supported,
    .arrays_rehearse = jm::arrays_rehearse,
    .arrays_record = jm::arrays_record,
    .recording_launch = jm::recording_launch,
    .recording_release = jm::recording_release,
    .array_address = jm::array_address,
    .array_write = jm::array_write,
    .kernel_run = jm::kernel_run,
    .group_open = jm::group_open,
    .group_gather = jm::group_gather,
    .group_join = jm::group_join,
    .group_close = jm::group_close,
#define PRIM1(name, function) .name = prim_##name,
#define PRIM2(name, function) .name = prim_##name,
#define PRIM_AXES(name, function) .name = prim_##name,
#define PRIM_AXIS(name, function) .name = prim_##name,
#define PRIM(name, parameters, arguments) .name = prim_##name,
#include "engine/mlx/prims.def"
};

}  // namespace

extern "C" __attribute__((visibility("default"))) jm_error *jm_mlx_api_find(
    const jm_mlx_host *host, const jm_mlx_api **out) {
  error_create = host->error_create;
  if (host->abi != JM_MLX_ABI)
    return error_create(JM_FAILED_PRECONDITION,
                        "the MLX engine's interface is version %d, the plugin's is %u; reinstall "
                        "jax-mps-c",
                        JM_MLX_ABI, host->abi);
  jm::core_set(host);
  *out = &api;
  return nullptr;
}
