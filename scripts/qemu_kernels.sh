#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compiles the test kernels for arm64 and runs them under qemu: qemu_kernels.sh BUILD. BUILD has
# libjm_core.a; JAX_MPS_LLVM names the library with LLVM.
set -eu
cd "$(dirname "$0")/.."
build=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
: "${JAX_MPS_LLVM:?}"
${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -ffp-contract=off -Isrc -Itests tests/emulated/emit_kernels.c \
  "$build/libjm_core.a" -o "$folder/emit" -ldl -lpthread -lm
"$folder/emit" "$folder"
aarch64-linux-gnu-gcc -std=c11 -D_GNU_SOURCE -O1 -Itests tests/emulated/run_kernels.c \
  "$folder/table.c" "$folder/kernels.o" -static -o "$folder/run"
qemu-aarch64 "$folder/run" "$folder/plan.bin"
