/* SPDX-License-Identifier: Apache-2.0
 * Two annotations that help a compiler with loops over arrays of elements. Neither may change a
 * result. */
#ifndef JM_BASE_LOOP_H
#define JM_BASE_LOOP_H

/* Before a loop whose iteration i touches nothing but element i of each array: then an output may
 * be one of the inputs, which a compiler cannot prove. */
#if defined(__clang__)
#define JM_LOOP _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed" /* loops around library calls stay scalar */
#else
#define JM_LOOP _Pragma("GCC ivdep")
#endif

/* Before a function of such loops: compiled for several instruction sets, of which the loader picks
 * one. Products are never contracted into sums (CMakeLists.txt), so all give the same bits. Not
 * with sanitizers, whose code would run before the loader can choose. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__gnu_linux__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define JM_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define JM_CLONES
#endif

#endif
