/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/ref/kernel.h"

jm_ref_kernel *const jm_ref_kernels_token[JM_N_OPS] = {NULL};

jm_ref_kernel *jm_ref_kernel_find(jm_opcode code, jm_dtype dtype) {
  static jm_ref_kernel *const *const kernels[JM_N_DTYPES] = {
#define DTYPE(name, class, bits, bytes, pjrt, vhlo) jm_ref_kernels_##name,
#include "base/dtype.def"
  };
  return kernels[dtype][code];
}
