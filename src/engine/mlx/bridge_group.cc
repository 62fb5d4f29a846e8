// SPDX-License-Identifier: Apache-2.0
// MLX's distributed groups: joining the one of all processes, gathering bytes, and collectives of
// arrays. Bytes need no open device: the work is on a CPU stream of its own, which belongs to the
// thread that joined.
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "engine/mlx/bridge_internal.h"
#include "mlx/distributed/distributed.h"
#include "mlx/distributed/ops.h"
#include "mlx/ops.h"
#include "mlx/stream.h"
#include "mlx/transforms.h"

namespace core = mlx::core;

using jm::error_create;
using jm::guard;
using jm::here;
using jm::too_large;

struct jm_mlx_group {
  core::distributed::Group group;
  core::Stream stream;
};

namespace {

// MLX reads its settings from the environment, at its first group: a variable is set for that time.
class variable {
 public:
  variable(const char *name, const std::string &value) : name_(name) {
    if (const char *old = std::getenv(name)) old_ = old;
    setenv(name, value.c_str(), 1);
  }
  ~variable() {
    if (old_)
      setenv(name_, old_->c_str(), 1);
    else
      unsetenv(name_);
  }
  variable(const variable &) = delete;
  variable &operator=(const variable &) = delete;

 private:
  const char *name_;
  std::optional<std::string> old_;
};

core::distributed::Group join_ring(uint32_t rank, const char *host_file) {
  variable ours("MLX_RANK", std::to_string(rank)), hosts("MLX_HOSTFILE", host_file);
  return core::distributed::init(true, "ring");
}

// MLX's NCCL computes on the GPU whose number is the rank modulo the GPUs that it sees. Where its
// collectives are recorded into a CUDA graph, NCCL would register the graph's memory with the other
// processes, in a handshake of its own, whose outcome depends on where the memory lies in each. It
// reads the variable at the first such collective, so that it stays set. The user's choice wins.
core::distributed::Group join_nccl(uint32_t rank, uint32_t size, const std::string &address) {
  const size_t colon = address.rfind(':');
  setenv("NCCL_GRAPH_REGISTER", "0", 0);
  variable ours("MLX_RANK", std::to_string(rank)), all("MLX_WORLD_SIZE", std::to_string(size));
  variable host("NCCL_HOST_IP", address.substr(0, colon));
  variable port("NCCL_PORT", address.substr(colon + 1));
  return core::distributed::init(true, "nccl");
}

// One a process and back end: this may be another one, made by the user's own MLX code.
jm_error *check_group(core::distributed::Group &group, const char *backend, uint32_t rank,
                      uint32_t size) {
  if (group.rank() == static_cast<int>(rank) && group.size() == static_cast<int>(size))
    return nullptr;
  return error_create(JM_FAILED_PRECONDITION,
                      "MLX's %s group of this process has rank %d of %d, JAX's process is %u "
                      "of %u; was mlx.core.distributed.init called with others?",
                      backend, group.rank(), group.size(), rank, size);
}

// One collective of an array of the open device.
template <typename F>
jm_error *collective(const char *what, jm_mlx_array **out, F f) {
  return guard(what, [&]() -> jm_error * {
    core::array result = f();
    if (result.nbytes() > here.largest) return too_large(what, result.nbytes());
    *out = new jm_mlx_array(std::move(result));
    return nullptr;
  });
}

}  // namespace

namespace jm {

jm_error *group_open(const char *backend, uint32_t rank, uint32_t size, const char *host_file,
                     jm_mlx_group **out) {
  return guard("joining the other processes", [&]() -> jm_error * {
    if (jm_error *error = version_check()) return error;
    core::distributed::Group group =
        host_file ? join_ring(rank, host_file) : core::distributed::init(true, backend);
    if (jm_error *error = check_group(group, backend, rank, size)) return error;
    *out = new jm_mlx_group{group, core::new_stream(core::Device(core::Device::cpu))};
    return nullptr;
  });
}

jm_error *group_join(const char *backend, uint32_t rank, uint32_t size, const char *address,
                     jm_mlx_group **out) {
  return guard("joining the other processes", [&]() -> jm_error * {
    core::distributed::Group group =
        address ? join_nccl(rank, size, address) : core::distributed::init(size > 1, backend);
    if (jm_error *error = check_group(group, backend, rank, size)) return error;
    *out = new jm_mlx_group{group, core::to_stream(here.stream)};
    return nullptr;
  });
}

// The arrays of an exchange that failed are not freed: a thread of MLX's may still write to them.
jm_error *group_gather(jm_mlx_group *group, const void *bytes, size_t n, void *out) {
  core::array *in = nullptr, *all = nullptr;
  jm_error *error = guard("an exchange between processes", [&]() -> jm_error * {
    in = new core::array(static_cast<const uint8_t *>(bytes), core::Shape{static_cast<int>(n)},
                         core::uint8);
    all = new core::array(core::distributed::all_gather(*in, group->group, group->stream));
    core::eval(*all);
    std::memcpy(out, all->data<uint8_t>(), n * group->group.size());
    return nullptr;
  });
  if (error) return error;
  delete all;
  delete in;
  return nullptr;
}

void group_close(jm_mlx_group *group) { delete group; }

jm_error *prim_all_sum(jm_mlx_array **out, jm_mlx_group *group, jm_mlx_array *a) {
  return collective("all_sum", out, [&] {
    return core::distributed::all_sum(a->value, group->group, group->stream);
  });
}

jm_error *prim_all_gather(jm_mlx_array **out, jm_mlx_group *group, jm_mlx_array *a) {
  return collective("all_gather", out, [&] {
    return core::distributed::all_gather(a->value, group->group, group->stream);
  });
}

jm_error *prim_sum_scatter(jm_mlx_array **out, jm_mlx_group *group, jm_mlx_array *a) {
  return collective("sum_scatter", out, [&] {
    return core::distributed::sum_scatter(a->value, group->group, group->stream);
  });
}

// The stream is the operand's or, where that is computed already, the default one, which other code
// of the process may change: a view has ours.
jm_error *prim_depends(jm_mlx_array **out, jm_mlx_array *a, jm_mlx_array *on) {
  return guard("depends", [&]() -> jm_error * {
    const core::array &value = a->value;
    const core::array view =
        value.has_primitive() ? value : core::stop_gradient(value, here.stream);
    *out = new jm_mlx_array(core::depends({view}, {on->value})[0]);
    return nullptr;
  });
}

}  // namespace jm
