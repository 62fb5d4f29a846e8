/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/elementwise/kernel.h"

jm_elementwise_kernel *const jm_elementwise_kernels_token[JM_N_OPS] = {NULL};

jm_elementwise_kernel *jm_elementwise_find(jm_opcode code, jm_dtype dtype) {
  static jm_elementwise_kernel *const *const kernels[JM_N_DTYPES] = {
#define DTYPE(name, class, bits, bytes, pjrt, vhlo) jm_elementwise_kernels_##name,
#include "base/dtype.def"
  };
  return kernels[dtype][code];
}
