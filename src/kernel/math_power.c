/* SPDX-License-Identifier: Apache-2.0
 * Powers. */
#include "kernel/element.h"

jm_kval jm_math_pow(jm_kbuilder *b, jm_kval x, jm_kval y) {
  const jm_kval args[2] = {x, y};
  return jm_kbuild_call(b, JM_KCALL_pow, args);
}
