/* SPDX-License-Identifier: Apache-2.0
 * Private to this folder: one table of kernels per element type and the macros that the
 * kernels are written with. Each file kernel_<class>.c defines the tables of its element types. */
#ifndef JM_ELEMENTWISE_KERNEL_H
#define JM_ELEMENTWISE_KERNEL_H

#include "base/loop.h"
#include "engine/elementwise/elementwise.h"

/* jm_elementwise_kernels_f32[JM_OP_add], ...; NULL where an op has no kernel for the type. */
#define DTYPE(name, class, bits, bytes, pjrt, vhlo) \
  extern jm_elementwise_kernel *const jm_elementwise_kernels_##name[JM_N_OPS];
#include "base/dtype.def"

/* Conversions to another format go through buffers of so many elements, which stay in the
 * first-level cache. */
enum { JM_ELEMENTWISE_BLOCK = 256, JM_ELEMENTWISE_BYTES = 16 };

/* Kernels whose element i is an expression of x (and y), the elements of the inputs after Read. */
#define JM_UNARY(name, In, Out, Read, expression)                \
  static void name(const void *const *in, void *out, size_t n) { \
    const In *a = in[0];                                         \
    Out *r = out;                                                \
    JM_LOOP for (size_t i = 0; i < n; i++) {                     \
      const In x = Read(a[i]);                                   \
      r[i] = (Out)(expression);                                  \
    }                                                            \
  }
#define JM_BINARY(name, In, Out, Read, expression)               \
  static void name(const void *const *in, void *out, size_t n) { \
    const In *a = in[0], *b = in[1];                             \
    Out *r = out;                                                \
    JM_LOOP for (size_t i = 0; i < n; i++) {                     \
      const In x = Read(a[i]), y = Read(b[i]);                   \
      r[i] = (Out)(expression);                                  \
    }                                                            \
  }

#endif
