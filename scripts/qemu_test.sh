#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the C core and its tests for aarch64 and runs them under qemu: qemu_test.sh [FOLDER]. Finds
# code that leans on x86: its alignment, its char, its float to int, its order of memory accesses.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-build/qemu}
for tool in aarch64-linux-gnu-gcc qemu-aarch64; do
  command -v $tool >/dev/null || {
    echo "$tool is missing; on Debian and Ubuntu: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
    exit 1
  }
done
cmake -G Ninja -S . -B "$folder" -DJM_TESTS=ON \
  -DCMAKE_TOOLCHAIN_FILE="$PWD/scripts/aarch64_toolchain.cmake" >/dev/null
cmake --build "$folder"
# The golden tests call the tool from Python, which knows nothing of the emulator. Schedules for GPUs
# are the same on every host, and the interpreter that runs them has tests of its own.
JM_EMULATED=1 ctest --test-dir "$folder" -E '^golden/|^unit/shape_device_test$' --output-on-failure \
  -j "${JOBS:-2}"
