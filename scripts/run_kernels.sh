#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compiles the test kernels for x86-64-v2, -v3, -v4 and arm64, and runs them where this machine can,
# arm64's under qemu: run_kernels.sh BUILD. BUILD has libjm_core.a; JAX_MPS_LLVM names the library
# with LLVM.
set -eu
cd "$(dirname "$0")/.."
: "${JAX_MPS_LLVM:?names no library with LLVM}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
${CC:-cc} -std=c11 -D_GNU_SOURCE -O1 -ffp-contract=off -Isrc -Itests tests/emulated/emit_kernels.c \
  "$1/libjm_core.a" -o "$folder/emit" -ldl -lpthread -lm

# try CPU COMPILER EMULATOR FLAG...: where the processor has the flags, or there is the emulator
try() {
  cpu=$1 compiler=$2 emulator=$3
  shift 3
  for flag in "$@"; do
    grep -qw "$flag" /proc/cpuinfo || {
      echo "$cpu: not run, this processor has no $flag"
      return 0
    }
  done
  for tool in "$compiler" $emulator; do
    command -v "$tool" >/dev/null || {
      echo "$cpu: not run, $tool is missing"
      return 0
    }
  done
  printf '%s: ' "$cpu"
  "$folder/emit" "$folder" "$cpu"
  "$compiler" -std=c11 -D_GNU_SOURCE -O1 -Isrc -Itests tests/emulated/run_kernels.c "$folder/table.c" \
    "$folder/kernels.o" -static -o "$folder/run"
  $emulator "$folder/run" "$folder/plan.bin"
}

case $(uname -m) in
x86_64)
  try x86-64-v2 cc "" sse4_2 popcnt
  try x86-64-v3 cc "" avx2 fma bmi2
  try x86-64-v4 cc "" avx512f avx512bw avx512cd avx512dq avx512vl
  try generic aarch64-linux-gnu-gcc qemu-aarch64
  ;;
aarch64) try generic cc "" ;;
*) echo "kernels are made for x86-64 and arm64, this is $(uname -m)" ;;
esac
