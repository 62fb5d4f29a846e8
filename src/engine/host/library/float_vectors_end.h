/* SPDX-License-Identifier: Apache-2.0
 * Takes back what float_vectors.h defines for one template. */
#undef NAME
#undef T
#undef V
#undef LANES
#undef LOAD
#undef LOAD_FIRST
#undef STORE
#undef STORE_FIRST
#undef SPLAT
#undef SUM
#undef MULTIPLY_ADD
