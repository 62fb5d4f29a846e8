// SPDX-License-Identifier: Apache-2.0
// Kernels of ours as nodes of MLX's graph. On a GPU MLX's own custom kernels carry them: a cubin
// through precompiled_cuda_kernel, Metal source through metal_kernel. MLX's CPU device has no
// custom kernels: there a primitive of ours calls back into the core on the stream's thread, so
// that a launch is as lazy as on a GPU.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/mlx/bridge_internal.h"
#include "mlx/allocator.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/fast.h"
#include "mlx/ops.h"
#include "mlx/primitives.h"

namespace core = mlx::core;

namespace jm {
namespace {

jm_mlx_host core_functions;

// The spec with memory of its own; shared by the handle and by launches that are under way.
struct kernel_code {
  std::string name, code, header;
  bool is_text = false;
  std::vector<std::string> in, out;  // names of a text's parameters
  std::vector<core::Shape> shapes;
  std::vector<core::Dtype> dtypes;
  std::vector<int> reuse;                 // as in the spec; empty: none
  std::tuple<int, int, int> grid, group;  // in threads
  int shared_bytes = 0;
  size_t largest_output = 0;
  std::shared_ptr<core::Primitive> primitive;  // of the first launch: all have the same
  jm_error *(*run)(void *context, void *const *buffers) = nullptr;
  void (*context_release)(void *context) = nullptr;
  void *context = nullptr;
  ~kernel_code() {
    if (context_release) context_release(context);
  }
};

// -- MLX's CPU device

std::atomic<uint64_t> copies{0};

struct operand {
  const char *data;
  core::Shape shape;
  core::Strides strides;  // in elements
  size_t itemsize;
};

// Copies an operand that is not dense, element by element: rare, and MLX's own copy is not
// exported.
void copy_dense(const operand &from, char *to) {
  size_t count = 1;
  for (int size : from.shape) count *= static_cast<size_t>(size);
  std::vector<int> at(from.shape.size(), 0);
  for (size_t i = 0; i < count; i++) {
    int64_t offset = 0;
    for (size_t d = 0; d < at.size(); d++) offset += at[d] * from.strides[d];
    std::memcpy(to + i * from.itemsize, from.data + offset * static_cast<int64_t>(from.itemsize),
                from.itemsize);
    for (size_t d = at.size(); d-- && ++at[d] == from.shape[d];) at[d] = 0;
  }
}

void run_or_throw(const kernel_code &kernel, void *const *buffers) {
  jm_error *error = kernel.run(kernel.context, buffers);
  if (!error) return;
  std::string message = core_functions.error_message(error);
  core_functions.error_destroy(error);
  throw std::runtime_error(kernel.name + ": " + message);
}

class HostLaunch : public core::Primitive {
 public:
  HostLaunch(core::Stream stream, std::shared_ptr<kernel_code> kernel)
      : Primitive(stream), kernel_(std::move(kernel)) {}

  void eval_cpu(const std::vector<core::array> &inputs,
                std::vector<core::array> &outputs) override {
    auto &encoder = core::cpu::get_command_encoder(stream());
    std::vector<void *> buffers;
    for (const core::array &in : inputs) {
      const void *data = in.flags().row_contiguous ? in.data<char>() : copied(encoder, in);
      buffers.push_back(const_cast<void *>(data));
      encoder.set_input_array(in);
    }
    for (size_t i = 0; i < outputs.size(); i++) {
      core::array &out = outputs[i];
      if (!take_donated(inputs, i, out)) out.set_data(core::allocator::malloc(out.nbytes()));
      buffers.push_back(out.data<char>());
      encoder.set_output_array(out);
    }
    encoder.dispatch([kernel = kernel_, buffers = std::move(buffers)] {
      run_or_throw(*kernel, buffers.data());
    });
  }

  void eval_gpu(const std::vector<core::array> &, std::vector<core::array> &) override {
    throw std::logic_error("a kernel of the CPU device was launched on a GPU");
  }

  const char *name() const override { return "JmHostLaunch"; }

 private:
  // Gives output i the memory of an input that only this launch holds.
  bool take_donated(const std::vector<core::array> &inputs, size_t i, core::array &out) const {
    if (kernel_->reuse.empty() || kernel_->reuse[i] < 0) return false;
    const core::array &in = inputs[static_cast<size_t>(kernel_->reuse[i])];
    if (!in.is_donatable() || !in.flags().row_contiguous || in.nbytes() != out.nbytes() ||
        in.buffer_size() != out.nbytes())
      return false;
    auto flags = out.flags();
    flags.contiguous = flags.row_contiguous = true;
    flags.col_contiguous = std::count_if(out.shape().begin(), out.shape().end(),
                                         [](auto size) { return size > 1; }) <= 1;
    out.copy_shared_buffer(in, out.strides(), flags, out.size());
    return true;
  }

  // Its values are there when the copy runs, not when it is scheduled.
  static const void *copied(core::cpu::CommandEncoder &encoder, const core::array &in) {
    copies++;
    core::array dense(in.shape(), in.dtype(), nullptr, {});
    dense.set_data(core::allocator::malloc(in.nbytes()));
    operand from{in.data<char>(), in.shape(), in.strides(), in.itemsize()};
    encoder.dispatch([from = std::move(from), to = dense.data<char>()] { copy_dense(from, to); });
    encoder.add_temporary(dense);
    return dense.data<char>();
  }

  std::shared_ptr<kernel_code> kernel_;
};

// -- launching

std::vector<std::string> parameter_names(const char *prefix, const char *const *given, size_t n) {
  std::vector<std::string> names;
  for (size_t i = 0; i < n; i++) names.push_back(given ? given[i] : prefix + std::to_string(i));
  return names;
}

std::tuple<int, int, int> extent(const uint32_t *n) {
  return {static_cast<int>(n[0]), static_cast<int>(n[1]), static_cast<int>(n[2])};
}

std::shared_ptr<kernel_code> kernel_build(const jm_mlx_kernel_spec *spec) {
  auto kernel = std::make_shared<kernel_code>();
  kernel->context_release = spec->context_release; /* first: it is ours from here on */
  kernel->context = spec->context;
  kernel->run = spec->run;
  kernel->name = spec->name;
  kernel->is_text = spec->is_text;
  if (spec->header) kernel->header = spec->header;
  kernel->in = parameter_names("in", spec->in, spec->n_in);
  kernel->out = parameter_names("out", spec->out, spec->n_out);
  if (spec->code) kernel->code.assign(static_cast<const char *>(spec->code), spec->code_bytes);
  for (uint32_t i = 0; i < spec->n_out; i++) {
    const jm_mlx_buffer &out = spec->outputs[i];
    kernel->shapes.emplace_back(out.shape, out.shape + out.rank);
    kernel->dtypes.push_back(dtype_of(out.dtype));
    size_t bytes = kernel->dtypes.back().size();
    for (int size : kernel->shapes.back()) bytes *= static_cast<size_t>(size);
    kernel->largest_output = std::max(kernel->largest_output, bytes);
  }
  if (spec->reuse) kernel->reuse.assign(spec->reuse, spec->reuse + spec->n_out);
  kernel->grid = extent(spec->grid);
  kernel->group = extent(spec->group);
  kernel->shared_bytes = static_cast<int>(spec->shared_bytes);
  return kernel;
}

// MLX declares a parameter of a Metal text by the array: a scalar is a reference. Ours are
// pointers.
core::array as_pointer(const core::array &in) {
  return in.ndim() ? in : core::reshape(in, {1}, here.stream);
}

std::vector<core::array> launch_first(kernel_code &kernel, std::vector<core::array> inputs) {
  if (here.is_cuda && !kernel.is_text)
    return core::fast::precompiled_cuda_kernel(
        kernel.name, kernel.code, inputs, kernel.shapes, kernel.dtypes, {}, kernel.grid,
        kernel.group, kernel.shared_bytes, std::nullopt, true, here.stream);
  for (core::array &in : inputs) in = as_pointer(in);
  auto build = [&](auto make) {
    return make(kernel.name, kernel.in, kernel.out, kernel.code, kernel.header);
  };
  auto function = here.is_cuda ? build([](auto &...of) { return core::fast::cuda_kernel(of...); })
                               : build([](auto &...of) { return core::fast::metal_kernel(of...); });
  return function(inputs, kernel.shapes, kernel.dtypes, kernel.grid, kernel.group, {}, std::nullopt,
                  false, here.stream);
}

// MLX builds a primitive a call, with a copy of the code or a source put together anew. It depends
// on the inputs' types and sizes alone, which are the kernel's, so that the first one serves for
// all launches. (A scalar and an array of one element are the same to it then.)
std::shared_ptr<core::Primitive> primitive_of(kernel_code &kernel,
                                              const std::vector<core::array> &inputs) {
  if (!kernel.primitive) {
    const std::vector<core::array> made = launch_first(kernel, inputs);
    kernel.primitive = made[0].primitive_ptr();
    if (here.is_cuda) kernel.primitive = device_launch(kernel.primitive, made);
  }
  return kernel.primitive;
}

std::vector<core::array> launch(const std::shared_ptr<kernel_code> &kernel,
                                std::vector<core::array> inputs) {
  if (!here.is_gpu)
    return core::array::make_arrays(
        kernel->shapes, kernel->dtypes,
        std::make_shared<HostLaunch>(core::to_stream(here.stream), kernel), std::move(inputs));
  const std::shared_ptr<core::Primitive> primitive = primitive_of(*kernel, inputs);
  return core::array::make_arrays(kernel->shapes, kernel->dtypes, primitive, std::move(inputs));
}

}  // namespace
}  // namespace jm

struct jm_mlx_kernel {
  std::shared_ptr<jm::kernel_code> code;
};

namespace jm {

void core_set(const jm_mlx_host *host) { core_functions = *host; }

jm_error *kernel_create(const jm_mlx_kernel_spec *spec, jm_mlx_kernel **out) {
  return guard("making a kernel", [&]() -> jm_error * {
    *out = new jm_mlx_kernel{kernel_build(spec)};
    return nullptr;
  });
}

uint64_t kernel_copies() { return copies; }

void kernel_release(jm_mlx_kernel *kernel) { delete kernel; }

void kernel_shape(jm_mlx_kernel *kernel, uint32_t output, const int32_t *shape, int rank) {
  kernel->code->shapes[output] = core::Shape(shape, shape + rank);
}

namespace {

std::vector<core::array> inputs_of(const kernel_code &code, jm_mlx_array *const *in) {
  std::vector<core::array> inputs;
  inputs.reserve(code.in.size());
  for (size_t i = 0; i < code.in.size(); i++) inputs.push_back(in[i]->value);
  return inputs;
}

void hand_out(std::vector<core::array> made, jm_mlx_array **out) {
  std::vector<std::unique_ptr<jm_mlx_array>> handles;
  for (core::array &array : made)
    handles.push_back(std::make_unique<jm_mlx_array>(std::move(array)));
  for (size_t i = 0; i < handles.size(); i++) out[i] = handles[i].release();
}

}  // namespace

jm_error *kernel_launch(jm_mlx_kernel *kernel, jm_mlx_array *const *in, jm_mlx_array **out) {
  return guard("launching a kernel", [&]() -> jm_error * {
    if (kernel->code->largest_output > here.largest)
      return too_large("a kernel", kernel->code->largest_output);
    hand_out(launch(kernel->code, inputs_of(*kernel->code, in)), out);
    return nullptr;
  });
}

jm_error *kernel_run(jm_mlx_kernel *kernel, jm_mlx_array *const *in, jm_mlx_array **out) {
  return guard("running a kernel", [&]() -> jm_error * {
    kernel_code &code = *kernel->code;
    std::vector<core::array> inputs = inputs_of(code, in), outputs;
    for (size_t i = 0; i < code.shapes.size(); i++)
      outputs.emplace_back(code.shapes[i], code.dtypes[i], nullptr, std::vector<core::array>{});
    hand_out(primitive_run(*primitive_of(code, inputs), inputs, std::move(outputs)), out);
    return nullptr;
  });
}

}  // namespace jm
