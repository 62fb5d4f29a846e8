/* SPDX-License-Identifier: Apache-2.0
 * Shardings and shapes as serialized messages of XLA, OpSharding and ShapeProto: how jaxlib gives
 * and takes them. Several arrays are one tuple. Not here: the same as text
 * (stablehlo/mhlo_sharding.c).
 */
#ifndef JM_IR_XLA_PROTO_H
#define JM_IR_XLA_PROTO_H

#include "base/text.h"
#include "ir/module.h"

/* Devices hold the same part, or other parts of sums if `sums` has groups (it may be NULL). Memory
 * that runs out is found by jm_text_error. */
void jm_xla_sharding_write(const jm_sharding *sharding, const jm_sharding_sums *sums, uint32_t rank,
                           uint32_t n_devices, jm_text *text);
/* Each device has its own array. */
void jm_xla_sharding_write_manual(jm_text *text);
/* Of n arrays; several are a tuple. */
void jm_xla_shardings_write(const jm_sharding *const *shardings, const jm_type *const *types,
                            uint32_t n, uint32_t n_devices, jm_text *text);
void jm_xla_shapes_write(const jm_type *const *types, uint32_t n, jm_text *text);

/* The shardings of n arrays of these types, in the arena. INVALID_ARGUMENT for malformed bytes,
 * UNIMPLEMENTED for what jm_sharding can't express. */
jm_error *jm_xla_shardings_read(jm_arena *arena, const char *bytes, size_t size,
                                const jm_type *const *types, uint32_t n, uint32_t n_devices,
                                const jm_sharding **out) JM_MUST_USE;

/* The numbers of xla.PrimitiveType, which are also those of its FFI; 0: XLA has no such type. */
extern const uint8_t jm_xla_types[JM_N_DTYPES];

#endif
