// SPDX-License-Identifier: Apache-2.0
// Recordings: the work of a lazy graph as one CUDA graph, which is launched again and again with a
// single call, at about a microsecond a kernel instead of the ten or more that MLX takes to encode
// one. A recording writes to the memory that it was made with, and reads its operands from the
// addresses that they had then; replay.c sees to both.
//
// MLX launches on its stream at once where its own graphs are off (device_open turns them off), so
// that a capture of that stream sees all that a graph's primitives launch. What a capture must not
// see is an allocation: MLX takes memory from its cache first, and a rehearsal, which allocates the
// same sizes in the same order and then gives all of it back, leaves the cache with what is needed.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine/mlx/bridge_internal.h"
#include "mlx/allocator.h"
#include "mlx/primitives.h"
#include "mlx/transforms.h"

namespace core = mlx::core;

using memory = std::shared_ptr<core::allocator::Data>;

// MLX's own declaration needs CUDA's headers. These are the first members of MLX 0.32.4's, the only
// release that this library loads with (version_check), as far as the last one that is used here.
namespace mlx::core::cu {
class CommandEncoder {
 public:
  void add_completed_handler(std::function<void()> task);

  void *device, *stream, *graph;
  std::shared_ptr<void> worker;
  int node_count;
  bool in_concurrent;
  std::vector<void *> from_nodes, to_nodes;
  std::string nodes_key, deps_key;
  std::vector<void *> concurrent_nodes;
  std::vector<memory> temporaries;
};
CommandEncoder &get_command_encoder(Stream s);
}  // namespace mlx::core::cu

namespace jm {
namespace {

using core::cu::CommandEncoder;

// What MLX's buffers point to on CUDA (mlx/backend/cuda/allocator.h, which needs CUDA's headers).
struct cuda_buffer {
  void *data;
  size_t size;
  int device;  // -1: managed, the host may read it
};

// Functions that MLX for CUDA alone exports, and the driver's: looked up while running, because
// this library is built where there is neither.
struct functions {
  CommandEncoder &(*get_encoder)(core::Stream s) = nullptr;
  void (*add_completed_handler)(CommandEncoder *, std::function<void()>) = nullptr;
  int (*stream_begin_capture)(void *stream, int mode) = nullptr;
  int (*stream_end_capture)(void *stream, void **graph) = nullptr;
  int (*graph_get_nodes)(void *graph, void **nodes, size_t *n) = nullptr;
  int (*node_get_type)(void *node, int *type) = nullptr;
  int (*graph_instantiate)(void **out, void *graph, unsigned long long flags) = nullptr;
  int (*copy_to_device)(uint64_t to, const void *from, size_t n, void *stream) = nullptr;
  int (*copy_to_host)(void *to, uint64_t from, size_t n) = nullptr;
  int (*graph_launch)(void *executable, void *stream) = nullptr;
  int (*stream_query)(void *stream) = nullptr;
  int (*executable_destroy)(void *executable) = nullptr;
  int (*graph_destroy)(void *graph) = nullptr;
  bool all = false;
};

template <typename F>
bool bind(void *library, const char *name, F &out) {
  out = reinterpret_cast<F>(dlsym(library, name));
  return out != nullptr;
}

functions load() {
  functions f;
  void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);  // never closed
  f.all =
      driver &&
      bind(RTLD_DEFAULT, "_ZN3mlx4core2cu19get_command_encoderENS0_6StreamE", f.get_encoder) &&
      bind(RTLD_DEFAULT, "_ZN3mlx4core2cu14CommandEncoder21add_completed_handlerESt8functionIFvvEE",
           f.add_completed_handler) &&
      bind(driver, "cuStreamBeginCapture_v2", f.stream_begin_capture) &&
      bind(driver, "cuStreamEndCapture", f.stream_end_capture) &&
      bind(driver, "cuGraphGetNodes", f.graph_get_nodes) &&
      bind(driver, "cuGraphNodeGetType", f.node_get_type) &&
      bind(driver, "cuGraphInstantiateWithFlags", f.graph_instantiate) &&
      bind(driver, "cuMemcpyHtoDAsync_v2", f.copy_to_device) &&
      bind(driver, "cuMemcpyDtoH_v2", f.copy_to_host) &&
      bind(driver, "cuGraphLaunch", f.graph_launch) &&
      bind(driver, "cuStreamQuery", f.stream_query) &&
      bind(driver, "cuGraphExecDestroy", f.executable_destroy) &&
      bind(driver, "cuGraphDestroy", f.graph_destroy);
  return f;
}

const functions &cuda() {
  static const functions f = load();
  return f;
}

void check(int status, const char *what) {
  if (status)
    throw std::runtime_error(std::string(what) + ": CUDA error " + std::to_string(status));
}

core::Stream stream_here() { return core::to_stream(here.stream); }

// -- evaluating a graph so that it can be recorded

// The memory that the work of a graph uses. It must stay as long as the work may run.
struct kept {
  std::unordered_set<const void *> borrowed;  // of arrays that somebody else keeps
  std::unordered_set<const void *> seen;
  std::vector<memory> all;
  size_t bytes = 0;

  void add(const memory &data) {
    if (!data || borrowed.count(data.get()) || !seen.insert(data.get()).second) return;
    all.push_back(data);
    if (const auto *buffer = static_cast<const cuda_buffer *>(data->buffer().ptr()))
      bytes += buffer->size;
  }
};

// A graph's arrays: those to evaluate, the last one first, and those that it reads.
struct contents {
  std::vector<core::array> order, leaves;
};

// Not recursive: a graph may be as deep as a program is long.
contents contents_of(const std::vector<core::array> &ends) {
  std::unordered_set<std::uintptr_t> seen;
  contents found;
  std::vector<std::pair<core::array, size_t>> open;
  auto enter = [&](const core::array &a) {
    if (!seen.insert(a.id()).second) return;
    if (a.status() != core::array::Status::unscheduled) {
      found.leaves.push_back(a);
      return;
    }
    for (const core::array &sibling : a.siblings()) seen.insert(sibling.id());
    if (!a.has_primitive()) throw std::logic_error("an array without memory or a primitive");
    if (a.primitive().stream() != stream_here())
      throw std::runtime_error(std::string(a.primitive().name()) + " is not on the GPU's stream");
    open.emplace_back(a, 0);
  };
  for (const core::array &end : ends) {
    enter(end);
    while (!open.empty()) {
      auto &[a, next] = open.back();
      if (next < a.inputs().size()) {
        const core::array input = a.inputs()[next++];  // `a` may move
        enter(input);
      } else {
        found.order.push_back(a);
        open.pop_back();
      }
    }
  }
  std::reverse(found.order.begin(), found.order.end());
  return found;
}

// As MLX's own evaluation of one array, but that nothing is committed, and all memory is kept.
void evaluate_one(core::array a, kept &memory_kept) {
  std::vector<core::array> outputs = a.outputs();
  a.primitive().eval_gpu(a.inputs(), outputs);
  for (const core::array &input : a.inputs()) memory_kept.add(input.data_shared_ptr());
  memory_kept.add(a.data_shared_ptr());
  for (const core::array &sibling : a.siblings()) memory_kept.add(sibling.data_shared_ptr());
  for (const core::array &output : outputs) output.set_status(core::array::Status::available);
  a.set_status(core::array::Status::available);
  a.detach();
}

// Takes the memory that primitives ask the encoder to keep until their work is done.
struct temporaries {
  CommandEncoder &encoder;
  kept &memory_kept;
  std::vector<memory> before;
  temporaries(CommandEncoder &e, kept &k) : encoder(e), memory_kept(k) {
    std::swap(before, encoder.temporaries);
  }
  ~temporaries() {
    for (const memory &data : encoder.temporaries) memory_kept.add(data);
    std::swap(before, encoder.temporaries);
  }
};

// MLX gives an output the memory of an input that nobody else holds. The leaves are held: a later
// launch of a recording must find in them (constants, for example) what the first one found.
void evaluate(CommandEncoder &encoder, const std::vector<core::array> &ends, kept &memory_kept) {
  const temporaries taken(encoder, memory_kept);
  contents found = contents_of(ends);
  while (!found.order.empty()) {
    core::array a = std::move(found.order.back());  // so that its memory can become an output's
    found.order.pop_back();
    evaluate_one(std::move(a), memory_kept);
  }
}

std::vector<core::array> values_of(jm_mlx_array *const *arrays, size_t n) {
  std::vector<core::array> values;
  for (size_t i = 0; i < n; i++) values.push_back(arrays[i]->value);
  return values;
}

// -- a recording

struct recorded {
  kept memory_kept;
  void *executable = nullptr;
  uint32_t n_nodes = 0;
  recorded() = default;
  recorded(const recorded &) = delete;
  recorded &operator=(const recorded &) = delete;
  ~recorded() {
    if (executable) cuda().executable_destroy(executable);
  }
};

struct graph {
  void *handle = nullptr;
  ~graph() {
    if (handle) cuda().graph_destroy(handle);
  }
};

enum { CAPTURE_RELAXED = 2 };
// CUgraphNodeType: kernels, copies, memory set, graphs, nothing; waiting for and recording an
// event, by which NCCL keeps the collectives of a graph in order with those around it. All of that
// serves every launch of the graph, and one that is launched again starts when it has ended. Not
// host functions, which may be for one run alone (NCCL has them where it sends over a network), nor
// allocations.
enum { NODE_WAIT = 6, NODE_RECORD = 7 };
constexpr int node_types[] = {0, 1, 2, 4, 5, NODE_WAIT, NODE_RECORD};

// Only work of the device, none of the host and no allocation. Counts it, without the events.
void check_nodes(void *handle, uint32_t *n_nodes) {
  size_t n = 0;
  check(cuda().graph_get_nodes(handle, nullptr, &n), "cuGraphGetNodes");
  std::vector<void *> nodes(n);
  if (n) check(cuda().graph_get_nodes(handle, nodes.data(), &n), "cuGraphGetNodes");
  *n_nodes = 0;
  for (void *node : nodes) {
    int type = -1;
    check(cuda().node_get_type(node, &type), "cuGraphNodeGetType");
    if (std::find(std::begin(node_types), std::end(node_types), type) == std::end(node_types))
      throw std::runtime_error("a CUDA graph with a node of type " + std::to_string(type));
    *n_nodes += type != NODE_WAIT && type != NODE_RECORD;
  }
}

// What a capture allocated belongs to its graph, and what a GPU that hangs may still write to is
// in use: neither must ever reach MLX's cache.
void forget(kept &memory_kept) { new std::vector<memory>(std::move(memory_kept.all)); }

std::shared_ptr<recorded> record(const std::vector<core::array> &ends,
                                 std::unordered_set<const void *> borrowed) {
  auto made = std::make_shared<recorded>();
  made->memory_kept.borrowed = std::move(borrowed);
  CommandEncoder &encoder = cuda().get_encoder(stream_here());
  graph captured;
  check(cuda().stream_begin_capture(encoder.stream, CAPTURE_RELAXED), "cuStreamBeginCapture");
  try {
    evaluate(encoder, ends, made->memory_kept);
  } catch (...) {
    cuda().stream_end_capture(encoder.stream, &captured.handle);
    forget(made->memory_kept);
    throw;
  }
  try {
    check(cuda().stream_end_capture(encoder.stream, &captured.handle), "cuStreamEndCapture");
    check_nodes(captured.handle, &made->n_nodes);
  } catch (...) {
    forget(made->memory_kept);
    throw;
  }
  check(cuda().graph_instantiate(&made->executable, captured.handle, 0), "cuGraphInstantiate");
  return made;
}

// Waits for the work of the stream; false: it took longer. The driver says "not ready" so long; a
// failure is synchronize's to tell.
bool ends_in_time(CommandEncoder &encoder, int64_t seconds) {
  constexpr int not_ready = 600;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (cuda().stream_query(encoder.stream) == not_ready) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  return true;
}

// What is launched at once must find its inputs computed, or about to be.
void start_lazy(const std::vector<core::array> &inputs) {
  std::vector<core::array> lazy;
  for (const core::array &input : inputs)
    if (input.status() == core::array::Status::unscheduled) lazy.push_back(input);
  if (!lazy.empty()) core::async_eval(lazy);
}

void keep(CommandEncoder &encoder, const std::vector<core::array> &arrays) {
  for (const core::array &array : arrays) encoder.temporaries.push_back(array.data_shared_ptr());
}

}  // namespace
}  // namespace jm

struct jm_mlx_recording {
  std::shared_ptr<jm::recorded> recorded;
};

namespace jm {

// Where the user turned MLX's own graphs on, a capture of its stream would see nothing.
bool recording_supported() {
  static const char *const graphs = std::getenv("MLX_USE_CUDA_GRAPHS");
  return here.is_cuda && graphs && !std::strcmp(graphs, "0") && cuda().all;
}

namespace {

uint64_t address_of(const core::array &a) {
  const auto *buffer = static_cast<const cuda_buffer *>(a.buffer().ptr());
  return buffer ? reinterpret_cast<uint64_t>(buffer->data) + static_cast<uint64_t>(a.offset()) : 0;
}

}  // namespace

uint64_t array_address(jm_mlx_array *a) {
  const core::array &value = a->value;
  if (!here.is_cuda || value.status() == core::array::Status::unscheduled) return 0;
  return value.flags().row_contiguous ? address_of(value) : 0;
}

bool device_write_supported() { return here.is_cuda && cuda().all; }

void device_write(const core::array &to, const void *data, size_t n) {
  CommandEncoder &encoder = cuda().get_encoder(stream_here());
  check(cuda().copy_to_device(address_of(to), data, n, encoder.stream), "cuMemcpyHtoDAsync");
  keep(encoder, {to});
}

// Reading through raw_ptr() would move the array to managed memory for good, and every later kernel
// would pay. The driver copies out of it instead; it does not wait for the stream, which only the
// writes of small_import need: what kernels compute was waited for.
bool device_read(const core::array &from, void *data, size_t n) {
  if (!device_write_supported()) return false;
  const auto *buffer = static_cast<const cuda_buffer *>(from.buffer().ptr());
  if (!buffer || buffer->device < 0) return false;
  if (is_small_import(from)) core::synchronize(stream_here());
  return cuda().copy_to_host(data, address_of(from), n) == 0;
}

jm_error *array_write(jm_mlx_array *a, const void *data, size_t n) {
  return guard("writing an array", [&]() -> jm_error * {
    device_write(a->value, data, n);
    return nullptr;
  });
}

jm_error *arrays_rehearse(jm_mlx_array *const *arrays, size_t n, int64_t seconds, size_t *bytes) {
  return guard("rehearsing a program", [&]() -> jm_error * {
    kept memory_kept;
    CommandEncoder &encoder = cuda().get_encoder(stream_here());
    evaluate(encoder, values_of(arrays, n), memory_kept);
    *bytes = memory_kept.bytes;
    if (seconds && !ends_in_time(encoder, seconds)) {
      forget(memory_kept);
      return error_create(JM_DEADLINE_EXCEEDED,
                          "the device waited for other processes for more than %lld s "
                          "(JAX_MPS_COLLECTIVE_TIMEOUT); this process can't use it any more",
                          static_cast<long long>(seconds));
    }
    core::synchronize(stream_here());
    return nullptr;
  });
}

jm_error *arrays_record(jm_mlx_array *const *arrays, size_t n, jm_mlx_array *const *borrowed,
                        size_t n_borrowed, jm_mlx_recording **out, uint32_t *n_nodes) {
  return guard("recording a program", [&]() -> jm_error * {
    std::unordered_set<const void *> lent;
    for (size_t i = 0; i < n_borrowed; i++) lent.insert(borrowed[i]->value.data_shared_ptr().get());
    std::shared_ptr<recorded> made = record(values_of(arrays, n), lent);
    for (size_t i = 0; i < n; i++)
      if (lent.count(arrays[i]->value.data_shared_ptr().get()))
        throw std::runtime_error("a result shares the memory of an argument");
    *n_nodes = made->n_nodes;
    *out = new jm_mlx_recording{std::move(made)};
    return nullptr;
  });
}

// The stream orders this launch before all later ones, so that the outputs count as available to
// MLX. Who reads them on the host waits for a fence behind it.
std::vector<core::array> primitive_run(core::Primitive &primitive,
                                       const std::vector<core::array> &inputs,
                                       std::vector<core::array> outputs) {
  start_lazy(inputs);
  primitive.eval_gpu(inputs, outputs);
  for (const core::array &output : outputs) output.set_status(core::array::Status::available);
  keep(cuda().get_encoder(stream_here()), inputs);
  return outputs;
}

jm_error *recording_launch(jm_mlx_recording *recording, jm_mlx_array *const *inputs, size_t n) {
  return guard("replaying a program", [&]() -> jm_error * {
    const std::vector<core::array> values = values_of(inputs, n);
    start_lazy(values);
    CommandEncoder &encoder = cuda().get_encoder(stream_here());
    check(cuda().graph_launch(recording->recorded->executable, encoder.stream), "cuGraphLaunch");
    keep(encoder, values);
    cuda().add_completed_handler(&encoder, [keep = recording->recorded] {});
    return nullptr;
  });
}

void recording_release(jm_mlx_recording *recording) { delete recording; }

}  // namespace jm
