/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dtype.h"

#include <string.h>

const jm_dtype_fact jm_dtype_facts[JM_N_DTYPES] = {
#define DTYPE(name, class, bits, bytes, pjrt, vhlo) \
  {#name, JM_CLASS_##class, bits, bytes, pjrt, vhlo},
#include "base/dtype.def"
};

bool jm_dtype_from_name(const char *name, size_t size, jm_dtype *out) {
  for (int d = 0; d < JM_N_DTYPES; d++)
    if (strlen(jm_dtype_facts[d].name) == size && !memcmp(jm_dtype_facts[d].name, name, size)) {
      *out = (jm_dtype)d;
      return true;
    }
  return false;
}

bool jm_dtype_from_pjrt(int pjrt, jm_dtype *out) {
  for (int d = 0; d < JM_N_DTYPES; d++)
    if (jm_dtype_facts[d].pjrt == pjrt) {
      *out = (jm_dtype)d;
      return true;
    }
  return false;
}

bool jm_dtype_from_vhlo(uint64_t code, jm_dtype *out) {
  for (int d = 0; d < JM_N_DTYPES; d++)
    if (jm_dtype_facts[d].vhlo >= 0 && (uint64_t)jm_dtype_facts[d].vhlo == code) {
      *out = (jm_dtype)d;
      return true;
    }
  return false;
}

bool jm_dtype_of_product(jm_dtype lhs, jm_dtype rhs, jm_dtype result, jm_dtype *out) {
  bool wide = jm_dtype_real(lhs) == JM_DT_f64 || jm_dtype_real(rhs) == JM_DT_f64 ||
              jm_dtype_real(result) == JM_DT_f64;
  bool complex_in = jm_dtype_is_complex(lhs) || jm_dtype_is_complex(rhs);
  bool float_in = jm_dtype_is_float(lhs) || jm_dtype_is_float(rhs);
  if (jm_dtype_is_complex(result)) {
    *out = wide ? JM_DT_c128 : JM_DT_c64;
    return true;
  }
  if (jm_dtype_is_float(result)) {
    *out = wide ? JM_DT_f64 : JM_DT_f32;
    return !complex_in;
  }
  *out = result;
  return result != JM_DT_token && !complex_in && !float_in;
}
