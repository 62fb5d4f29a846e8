// SPDX-License-Identifier: Apache-2.0
// What the nodes of MLX's lazy graph are: views, or dense before they are computed; and a census of
// what a graph's evaluation launches, for tests and for who asks where launches come from
// (JAX_MPS_DEBUG=launches); and how much memory arrays have. A census waits for its result; nothing
// else here evaluates anything.
#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/mlx/bridge_internal.h"
#include "mlx/primitives.h"
#include "mlx/transforms.h"

namespace core = mlx::core;

namespace jm {
namespace {

constexpr std::string_view kernels[] = {"JmHostLaunch", "CustomKernel"};
// They launch nothing where their result can lie in their operand's memory.
constexpr std::string_view views[] = {"AsStrided",    "Broadcast", "BroadcastAxes", "Contiguous",
                                      "Copy",         "Depends",   "ExpandDims",    "Flatten",
                                      "Reshape",      "Slice",     "Split",         "Squeeze",
                                      "StopGradient", "Transpose", "Unflatten",     "View"};

template <size_t n>
bool contains(const std::string_view (&names)[n], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

struct census {
  std::unordered_set<std::uintptr_t> seen;
  std::vector<core::array> products;                            // operands of products
  std::vector<std::pair<core::array, core::array>> candidates;  // views and their operands
  jm_mlx_census *out;
};

void visit_one(census &c, const core::array &a) {
  const std::string_view name = a.primitive().name();
  for (const core::array &sibling : a.siblings()) c.seen.insert(sibling.id());
  if (contains(kernels, name)) {
    c.out->kernels++;
  } else if (contains(views, name)) {
    if (!a.inputs().empty() && name != "Depends") c.candidates.emplace_back(a, a.inputs()[0]);
  } else {
    c.out->primitives++;
    for (size_t i = 0; name == "Matmul" && i < a.inputs().size(); i++)
      c.products.push_back(a.inputs()[i]);
  }
}

// Not recursive: a graph may be as deep as a program is long.
void visit(census &c, std::vector<core::array> left) {
  while (!left.empty()) {
    core::array a = left.back();
    left.pop_back();
    if (!a.has_primitive() || a.status() != core::array::Status::unscheduled) continue;
    if (!c.seen.insert(a.id()).second) continue;
    visit_one(c, a);
    left.insert(left.end(), a.inputs().begin(), a.inputs().end());
  }
}

// Are the matrices dense, as they are or transposed? MLX copies others before it multiplies them.
bool is_matrix(const core::array &a) {
  if (a.ndim() < 2 || a.flags().row_contiguous) return true;
  const int64_t rows = a.shape(-2), columns = a.shape(-1), row = a.strides(-2),
                column = a.strides(-1);
  return ((column == 1 || columns == 1) && (row >= columns || rows == 1)) ||
         ((row == 1 || rows == 1) && (column >= rows || columns == 1));
}

}  // namespace

// Views have no memory of their own, however many elements they show.
bool is_view(const core::array &a) {
  if (!a.has_primitive()) return true;
  std::string_view name = a.primitive().name();
  for (std::string_view view :
       {"Broadcast", "AsStrided", "Transpose", "Slice", "ExpandDims", "Squeeze", "BroadcastAxes"})
    if (name == view) return true;
  return false;
}

// Is it known to be dense before it is computed?
bool is_dense(const core::array &a) {
  if (!a.has_primitive() || a.status() == core::array::Status::available)
    return a.flags().row_contiguous;
  std::string_view name = a.primitive().name();
  for (std::string_view dense : {"JmHostLaunch", "CustomKernel", "Matmul"})
    if (name == dense) return true;
  return false;
}

std::vector<core::array> graph_ends(jm_mlx_array *const *arrays, size_t n) {
  std::vector<core::array> ends;
  std::unordered_set<std::uintptr_t> seen;
  for (size_t i = 0; i < n; i++) {
    const core::array &a = arrays[i]->value;
    if (a.status() == core::array::Status::available) continue;
    if (!a.has_primitive() || seen.insert(a.primitive_id()).second) ends.push_back(a);
  }
  return ends;
}

jm_error *graph_census(jm_mlx_array *const *arrays, size_t n, jm_mlx_census *out) {
  return guard("counting a program's launches", [&]() -> jm_error * {
    census c;
    c.out = out;
    std::vector<core::array> all;
    for (size_t i = 0; i < n; i++) all.push_back(arrays[i]->value);
    visit(c, all);
    const uint64_t copies = kernel_copies();
    core::eval(all);
    for (const auto &[view, of] : c.candidates) {
      const bool shared = view.data_shared_ptr() == of.data_shared_ptr() ||
                          view.buffer().ptr() == of.buffer().ptr();
      shared ? out->views++ : out->copies++;
    }
    for (const core::array &operand : c.products) out->copies += !is_matrix(operand);
    out->copies += kernel_copies() - copies;
    return nullptr;
  });
}

jm_error *arrays_bytes(jm_mlx_array *const *arrays, size_t n, size_t *out) {
  return guard("counting arrays' bytes", [&]() -> jm_error * {
    std::unordered_map<const void *, size_t> largest;
    for (size_t i = 0; i < n; i++) {
      const core::array &a = arrays[i]->value;
      if (a.status() == core::array::Status::unscheduled) continue;  // it has no memory yet
      size_t &bytes = largest[a.data_shared_ptr().get()];
      bytes = std::max(bytes, std::min(a.nbytes(), a.data_size() * a.itemsize()));
    }
    *out = 0;
    for (const auto &[memory, bytes] : largest) *out += bytes;
    return nullptr;
  });
}

}  // namespace jm
