# SPDX-License-Identifier: Apache-2.0
# Cross-compiles for Linux on aarch64 with Debian's gcc-aarch64-linux-gnu; ctest runs what was built
# under qemu's user mode.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
