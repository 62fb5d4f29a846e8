// SPDX-License-Identifier: Apache-2.0
// Handlers for test_ffi.py, written with the C++ interface of XLA's FFI that jaxlib ships.
#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

// -- attributes of every kind, as one number
static ffi::Error Attributes(ffi::Result<ffi::BufferR1<ffi::F64>> out, bool flag, double f64,
                             float f32, int32_t i32, int64_t i64, ffi::Span<const int32_t> list,
                             std::string_view text, uint8_t u8, ffi::Span<const float> weights) {
  double *at = out->typed_data();
  at[0] = flag;
  at[1] = f64;
  at[2] = f32;
  at[3] = i32;
  at[4] = static_cast<double>(i64);
  at[5] = list.size() == 3 ? list[0] + 10 * list[1] + 100 * list[2] : -1;
  at[6] = text == "text" ? static_cast<double>(text.size()) : -1;
  at[7] = u8;
  at[8] = weights.size() == 2 ? weights[0] + weights[1] : -1;
  return ffi::Error::Success();
}
XLA_FFI_DEFINE_HANDLER_SYMBOL(attributes, Attributes,
                              ffi::Ffi::Bind()
                                  .Ret<ffi::BufferR1<ffi::F64>>()
                                  .Attr<bool>("flag")
                                  .Attr<double>("f64")
                                  .Attr<float>("f32")
                                  .Attr<int32_t>("i32")
                                  .Attr<int64_t>("i64")
                                  .Attr<ffi::Span<const int32_t>>("list")
                                  .Attr<std::string_view>("text")
                                  .Attr<uint8_t>("u8")
                                  .Attr<ffi::Span<const float>>("weights"));

// -- what is seen of a buffer: its dimensions, and its memory in order
static ffi::Error Look(ffi::AnyBuffer x, ffi::Result<ffi::BufferR1<ffi::F32>> out) {
  float *at = out->typed_data();
  for (int64_t d : x.dimensions()) *at++ = static_cast<float>(d);
  for (size_t i = 0; i < x.element_count(); i++) *at++ = x.typed_data<float>()[i];
  return ffi::Error::Success();
}
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    look, Look, ffi::Ffi::Bind().Arg<ffi::AnyBuffer>().Ret<ffi::BufferR1<ffi::F32>>());

// -- in place: the operand's memory is the result's
static ffi::Error AddOne(ffi::BufferR1<ffi::F32> x, ffi::Result<ffi::BufferR1<ffi::F32>> y) {
  if (x.typed_data() != y->typed_data()) return ffi::Error::Internal("not the same memory");
  for (size_t i = 0; i < x.element_count(); i++) y->typed_data()[i] += 1;
  return ffi::Error::Success();
}
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    add_one, AddOne,
    ffi::Ffi::Bind().Arg<ffi::BufferR1<ffi::F32>>().Ret<ffi::BufferR1<ffi::F32>>());

// -- errors
static ffi::Error Fail(ffi::AnyBuffer, ffi::Result<ffi::AnyBuffer>) {
  return ffi::Error(ffi::ErrorCode::kFailedPrecondition, "no such fish");
}
XLA_FFI_DEFINE_HANDLER_SYMBOL(fail, Fail,
                              ffi::Ffi::Bind().Arg<ffi::AnyBuffer>().Ret<ffi::AnyBuffer>());

// -- a state that is made once for a call in a program, and counts
struct Counter {
  static ffi::TypeId id;
  static ffi::TypeInfo info;
  int64_t first;
  std::atomic<int64_t> calls{0};
};
ffi::TypeId Counter::id = {};
ffi::TypeInfo Counter::info = ffi::MakeTypeInfo<Counter>();

static ffi::ErrorOr<std::unique_ptr<Counter>> CounterInstantiate(int64_t first) {
  auto state = std::make_unique<Counter>();
  state->first = first;
  return state;
}
static ffi::Error CounterExecute(Counter *state, int64_t,
                                 ffi::Result<ffi::BufferR0<ffi::S32>> out) {
  *out->typed_data() = static_cast<int32_t>(state->first + state->calls++);
  return ffi::Error::Success();
}
XLA_FFI_DEFINE_HANDLER_SYMBOL(counter_instantiate, CounterInstantiate,
                              ffi::Ffi::BindInstantiate().Attr<int64_t>("first"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(counter_execute, CounterExecute,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::State<Counter>>()
                                  .Attr<int64_t>("first")
                                  .Ret<ffi::BufferR0<ffi::S32>>());
extern "C" void *counter_type_id() { return &Counter::id; }
extern "C" void *counter_type_info() { return &Counter::info; }

// -- a result that comes later, from another thread
static ffi::Future Later(ffi::BufferR1<ffi::F32> x, ffi::Result<ffi::BufferR1<ffi::F32>> y,
                         bool fails) {
  ffi::Promise promise;
  ffi::Future future(promise);
  std::thread([=, promise = std::move(promise)]() mutable {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    for (size_t i = 0; i < x.element_count(); i++) y->typed_data()[i] = 2 * x.typed_data()[i];
    if (fails)
      promise.SetError(ffi::Error::Internal("too late"));
    else
      promise.SetAvailable();
  }).detach();
  return future;
}
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    later, Later,
    ffi::Ffi::Bind().Arg<ffi::BufferR1<ffi::F32>>().Ret<ffi::BufferR1<ffi::F32>>().Attr<bool>(
        "fails"));

// -- what newer versions of the interface ask for: an error's code, extensions, options
#if XLA_FFI_API_MINOR >= 4
static XLA_FFI_Error *Ask(XLA_FFI_CallFrame *frame) {
  const XLA_FFI_Api *api = frame->api;
  XLA_FFI_Error_Create_Args create = {XLA_FFI_Error_Create_Args_STRUCT_SIZE, nullptr, "gone",
                                      XLA_FFI_Error_Code_DATA_LOSS};
  XLA_FFI_Error *error = api->XLA_FFI_Error_Create(&create);
  auto details = ffi::internal::GetErrorDetails(api, error);
  bool right =
      details.errc == XLA_FFI_Error_Code_DATA_LOSS && std::string(details.message) == "gone";
  ffi::internal::DestroyError(api, error);
  int known = 0;
  XLA_FFI_InvokeContext_FindExtension_Args find = {
      XLA_FFI_InvokeContext_FindExtension_Args_STRUCT_SIZE, nullptr, frame->ctx, 77,
      reinterpret_cast<const XLA_FFI_Extension *>(&known)};
  right &= !api->XLA_FFI_InvokeContext_FindExtension(&find) && !find.extension;
#if XLA_FFI_API_MINOR >= 5
  XLA_FFI_CustomOptions_Get_Args options = {XLA_FFI_CustomOptions_Get_Args_STRUCT_SIZE, nullptr,
                                            frame->ctx, nullptr};
  right &= !api->XLA_FFI_CustomOptions_Get(&options) && options.attrs->size == 0;
#endif
  *static_cast<int32_t *>(static_cast<XLA_FFI_Buffer *>(frame->rets.rets[0])->data) = right;
  return nullptr;
}
extern "C" XLA_FFI_Error *ask(XLA_FFI_CallFrame *frame) {
  if (frame->extension_start && frame->extension_start->type == XLA_FFI_Extension_Metadata) {
    auto *version = &reinterpret_cast<XLA_FFI_Metadata_Extension *>(frame->extension_start)
                         ->metadata->api_version;
    version->major_version = XLA_FFI_API_MAJOR;
    version->minor_version = XLA_FFI_API_MINOR;
    return nullptr;
  }
  return Ask(frame);
}
#endif

// -- tasks of a handler
static ffi::Error Tasks(ffi::ThreadPool pool, ffi::Result<ffi::BufferR0<ffi::S32>> out) {
  std::atomic<int32_t> left{5};
  for (int i = 0; i < 5; i++) pool.Schedule([&] { left--; });
  while (left) std::this_thread::yield();
  *out->typed_data() = static_cast<int32_t>(5 - left + 10 * pool.num_threads());
  return ffi::Error::Success();
}
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    tasks, Tasks, ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Ret<ffi::BufferR0<ffi::S32>>());
