/* SPDX-License-Identifier: Apache-2.0
 * Element types and memory layouts in the API's form. */
#include "pjrt/pjrt.h"

jm_error *jm_dtype_read_pjrt(PJRT_Buffer_Type type, jm_dtype *out) {
  if (jm_dtype_from_pjrt((int)type, out)) return NULL;
  return jm_error_invalid("unknown element type %d (PJRT_Buffer_Type)", (int)type);
}

static jm_error *read_tiled(const PJRT_Buffer_MemoryLayout_Tiled *tiled, size_t element,
                            uint32_t rank, const int64_t *dims, int64_t *strides) {
  if (tiled->num_tiles) return jm_error_unimplemented("a layout with %zu tiles", tiled->num_tiles);
  if (tiled->minor_to_major_size != rank)
    return jm_error_invalid("a layout of %zu dimensions for an array of %u",
                            tiled->minor_to_major_size, rank);
  uint64_t seen = 0;
  for (uint32_t i = 0; i < rank; i++) {
    int64_t d = tiled->minor_to_major[i];
    if (d < 0 || d >= rank || seen >> d & 1)
      return jm_error_invalid("minor_to_major is no permutation of %u dimensions", rank);
    seen |= (uint64_t)1 << d;
  }
  jm_strides_ordered(element, rank, dims, tiled->minor_to_major, strides);
  return NULL;
}

jm_error *jm_layout_read(const PJRT_Buffer_MemoryLayout *layout, jm_dtype dtype, uint32_t rank,
                         const int64_t *dims, int64_t *strides) {
  if (rank > JM_RANK_MAX)
    return jm_error_invalid("rank %u is beyond the limit of %d", rank, JM_RANK_MAX);
  jm_strides_dense(jm_dtype_bytes(dtype), rank, dims, strides);
  if (!layout) return NULL;
  if (layout->type == PJRT_Buffer_MemoryLayout_Type_Tiled)
    return read_tiled(&layout->tiled, jm_dtype_bytes(dtype), rank, dims, strides);
  if (layout->type != PJRT_Buffer_MemoryLayout_Type_Strides)
    return jm_error_invalid("unknown type of layout: %d", (int)layout->type);
  if (layout->strides.num_byte_strides != rank)
    return jm_error_invalid("a layout of %zu strides for an array of %u dimensions",
                            layout->strides.num_byte_strides, rank);
  for (uint32_t d = 0; d < rank; d++) strides[d] = layout->strides.byte_strides[d];
  return NULL;
}

jm_error *jm_layout_check(const PJRT_Buffer_MemoryLayout *layout, jm_dtype dtype, size_t rank,
                          const int64_t *dims) {
  size_t n_bytes;
  JM_TRY(
      jm_shape_read_bytes(dtype, rank > UINT32_MAX ? UINT32_MAX : (uint32_t)rank, dims, &n_bytes));
  int64_t strides[JM_RANK_MAX];
  JM_TRY(jm_layout_read(layout, dtype, (uint32_t)rank, dims, strides));
  if (!n_bytes || jm_strides_are_dense(jm_dtype_bytes(dtype), (uint32_t)rank, dims, strides))
    return NULL;
  char text[256];
  return jm_error_unimplemented("%s in a layout other than dense row-major",
                                jm_shape_print(dtype, (uint32_t)rank, dims, text, sizeof text));
}
