#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the test kernels as CUDA, compiles them, and runs them against the interpreter where there
# is a GPU: run_cuda.sh EMIT_CUDA [EVERY]. EMIT_CUDA is the program of tests/gpu/emit_cuda.c;
# EVERY n takes each n-th kernel alone, for the compiler needs minutes for all of them. NVCC_FLAGS
# names the architecture, sm_90 if unset.
set -eu
emit=$(realpath "$1")
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$emit" "$folder" "${2:-1}"
flags=${NVCC_FLAGS:--arch=sm_90}
if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
  nvcc -w -std=c++17 $flags -Itests "$folder/kernels.cu" tests/gpu/run_cuda.cu -o "$folder/run"
  "$folder/run" "$folder/plan.bin"
else
  nvcc -w -std=c++17 $flags -Itests -cubin "$folder/kernels.cu" -o "$folder/kernels.cubin"
  echo "compiled; there is no GPU to run them"
fi
