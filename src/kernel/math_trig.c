/* SPDX-License-Identifier: Apache-2.0
 * Trigonometric functions. */
#include "kernel/element.h"

#define CALLED(name)                                             \
  jm_kval jm_math_##name(jm_kbuilder *b, jm_kval x, jm_kval y) { \
    (void)y;                                                     \
    return jm_kbuild_call(b, JM_KCALL_##name, &x);               \
  }
CALLED(sin)
CALLED(cos)
CALLED(tan)
