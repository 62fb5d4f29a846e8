/* SPDX-License-Identifier: Apache-2.0
 * A handler for jax.ffi in C: root mean square normalization of rows. Built by rms_norm.py against
 * the header that jaxlib ships (jax.ffi.include_dir()). */
#include <math.h>
#include <string.h>

#include "xla/ffi/api/c_api.h"

static XLA_FFI_Error *fail(const XLA_FFI_CallFrame *frame, const char *message) {
  XLA_FFI_Error_Create_Args args = {XLA_FFI_Error_Create_Args_STRUCT_SIZE, NULL, message,
                                    XLA_FFI_Error_Code_INVALID_ARGUMENT};
  return frame->api->XLA_FFI_Error_Create(&args);
}

/* Whoever registers the handler asks it first for the version it was compiled for. */
static XLA_FFI_Error *describe(const XLA_FFI_Metadata_Extension *extension) {
  XLA_FFI_Metadata *metadata = extension->metadata;
  metadata->api_version.major_version = XLA_FFI_API_MAJOR;
  metadata->api_version.minor_version = XLA_FFI_API_MINOR;
  return NULL;
}

XLA_FFI_Error *rms_norm(XLA_FFI_CallFrame *frame) {
  if (frame->extension_start && frame->extension_start->type == XLA_FFI_Extension_Metadata)
    return describe((const XLA_FFI_Metadata_Extension *)frame->extension_start);
  if (frame->args.size != 1 || frame->rets.size != 1 || frame->attrs.size != 1)
    return fail(frame, "rms_norm takes one array and the attribute eps");
  const XLA_FFI_Buffer *x = frame->args.args[0], *y = frame->rets.rets[0];
  const XLA_FFI_Scalar *eps = frame->attrs.attrs[0];
  if (x->dtype != XLA_FFI_DataType_F32 || x->rank < 1)
    return fail(frame, "rms_norm takes rows of float32");
  if (frame->attrs.types[0] != XLA_FFI_AttrType_SCALAR || eps->dtype != XLA_FFI_DataType_F32)
    return fail(frame, "eps is not a float32");
  int64_t n = x->dims[x->rank - 1], rows = 1;
  for (int64_t d = 0; d + 1 < x->rank; d++) rows *= x->dims[d];
  for (int64_t r = 0; r < rows; r++) {
    const float *from = (const float *)x->data + r * n;
    float *to = (float *)y->data + r * n, squares = 0;
    for (int64_t i = 0; i < n; i++) squares += from[i] * from[i];
    float scale = 1 / sqrtf(squares / (float)n + *(const float *)eps->value);
    for (int64_t i = 0; i < n; i++) to[i] = from[i] * scale;
  }
  return NULL;
}
