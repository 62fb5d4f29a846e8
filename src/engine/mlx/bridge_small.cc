// SPDX-License-Identifier: Apache-2.0
// Small values in CUDA's device memory. MLX keeps what the host writes, and every array of up to 8
// bytes, in managed memory, which stays on the host: each warp of a kernel reads it over the bus,
// so that on an H200 a kernel of 2 us takes 7, one of 9 us 19. Here values of the host lie in
// blocks of device memory that are reused, and small outputs of our kernels are allocated larger
// than they are.
#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "engine/mlx/bridge_internal.h"
#include "mlx/ops.h"
#include "mlx/primitives.h"
#include "mlx/transforms.h"

namespace core = mlx::core;

namespace jm {
namespace {

constexpr size_t block_bytes = 64;
constexpr size_t most_probes = 32;   // of blocks, for a free one
constexpr size_t managed_bytes = 8;  // the largest array that MLX puts into managed memory
constexpr size_t larger_bytes = 16;  // what such an output is allocated as

// MLX's encoder holds what its work uses until that is done, and recordings what they read.
bool is_free(const core::array &block) { return block.data_shared_ptr().use_count() == 1; }

const core::array &block_take() {
  std::vector<core::array> &blocks = here.blocks;
  for (size_t i = 0; i < std::min(blocks.size(), most_probes); i++) {
    here.next_block = (here.next_block + 1) % blocks.size();
    if (is_free(blocks[here.next_block])) return blocks[here.next_block];
  }
  core::array fresh = core::zeros({static_cast<int>(block_bytes)}, core::uint8, here.stream);
  core::async_eval({fresh});
  here.block_data.insert(fresh.data_shared_ptr().get());
  blocks.push_back(std::move(fresh));
  return blocks.back();
}

// Gives an array without memory the first bytes of another array's.
void share(core::array &a, const core::array &memory) {
  auto flags = memory.flags();
  flags.contiguous = flags.row_contiguous = true;
  flags.col_contiguous =
      std::count_if(a.shape().begin(), a.shape().end(), [](auto size) { return size > 1; }) <= 1;
  a.copy_shared_buffer(memory, a.strides(), flags, a.size());
}

// Launches a kernel with larger outputs in place of those that MLX would put into managed memory.
class DeviceLaunch : public core::Primitive {
 public:
  explicit DeviceLaunch(std::shared_ptr<core::Primitive> kernel)
      : Primitive(kernel->stream()), kernel_(std::move(kernel)) {}

  void eval_cpu(const std::vector<core::array> &inputs,
                std::vector<core::array> &outputs) override {
    kernel_->eval_cpu(inputs, outputs);
  }

  void eval_gpu(const std::vector<core::array> &inputs,
                std::vector<core::array> &outputs) override {
    std::vector<core::array> larger;
    for (const core::array &out : outputs) {
      const bool is_small = out.nbytes() <= managed_bytes;
      const int size = static_cast<int>(larger_bytes / out.itemsize());
      larger.push_back(is_small ? core::array({size}, out.dtype(), nullptr, {}) : out);
    }
    kernel_->eval_gpu(inputs, larger);
    for (size_t i = 0; i < outputs.size(); i++)
      if (outputs[i].nbytes() <= managed_bytes) share(outputs[i], larger[i]);
  }

  const char *name() const override { return kernel_->name(); }

 private:
  std::shared_ptr<core::Primitive> kernel_;
};

}  // namespace

std::shared_ptr<core::Primitive> device_launch(std::shared_ptr<core::Primitive> kernel,
                                               const std::vector<core::array> &outputs) {
  const bool any = std::any_of(outputs.begin(), outputs.end(), [](const core::array &out) {
    return out.nbytes() <= managed_bytes;
  });
  return any ? std::make_shared<DeviceLaunch>(std::move(kernel)) : kernel;
}

bool small_import(const core::Shape &shape, core::Dtype dtype, const void *data, size_t n,
                  jm_mlx_array **out) {
  if (!n || n > block_bytes || !device_write_supported()) return false;
  core::array a(shape, dtype, nullptr, {});
  share(a, block_take());
  a.set_status(core::array::Status::available);
  device_write(a, data, n);
  *out = new jm_mlx_array(std::move(a));
  return true;
}

bool is_small_import(const core::array &a) {
  return here.block_data.count(a.data_shared_ptr().get()) != 0;
}

}  // namespace jm
