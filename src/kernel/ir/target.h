/* SPDX-License-Identifier: Apache-2.0
 * What the compiler may know of the machine that runs kernels: plain numbers, no behaviour. Fusion,
 * schedules and printers ask here and nowhere else, so that a program can be compiled for a machine
 * that is not at hand. */
#ifndef JM_KERNEL_IR_TARGET_H
#define JM_KERNEL_IR_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct jm_target {
  uint32_t vector_bytes;     /* of one register as schedules should use it: 16, 32 or 64 */
  bool fma;                  /* fused multiply-add in hardware */
  size_t l1_bytes, l2_bytes; /* data caches of one core: bound what is kept between passes */
  size_t scratch_bytes;      /* at most, of one worker's scratch memory */
  /* Of the library that runs products there: rounds operands of f32 to TF32; multiplies the zeros
   * between the elements of a convolution's dilated input. */
  bool rounds_to_tf32, multiplies_dilation;
} jm_target;

#endif
