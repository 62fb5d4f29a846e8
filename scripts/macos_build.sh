#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Cross-compiles the plugin, the MLX engine and the tools for arm64 macOS 14 on any machine, and
# checks every symbol that they need: macos_build.sh [FOLDER]. The compiler is PyPI's ziglang, the
# headers and the library of MLX are those of its macOS wheel. It proves that everything compiles and
# links, and nothing more: no Mac runs here. A release is built on a Mac, with Apple's libc++.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-build/macos}
PYTHON=${PYTHON:-python3}
ZIG=0.17.1
MLX=0.32.4

mkdir -p "$folder"
"$PYTHON" -c 'import ziglang' 2>/dev/null || "$PYTHON" -m pip install --quiet "ziglang==$ZIG"
mlx=$folder/mlx-metal-$MLX
if [ ! -f "$mlx/mlx/lib/libmlx.dylib" ]; then
  "$PYTHON" -m pip download --quiet --no-deps --only-binary=:all: --platform macosx_14_0_arm64 \
    --python-version 3.13 --dest "$folder/wheels" "mlx-metal==$MLX"
  "$PYTHON" -m zipfile -e "$folder"/wheels/mlx_metal-"$MLX"-*.whl "$mlx"
fi
scripts/zig_tools.sh "$PYTHON" aarch64-macos.14.0 "$folder/bin"

absolute() { (cd "$1" && pwd); }
# Nobody runs what this makes, and optimizing it would take most of the time.
cmake -G Ninja -S . -B "$folder/build" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O1 -DCMAKE_CXX_FLAGS=-O1 \
  -DCMAKE_TOOLCHAIN_FILE="$PWD/scripts/zig_toolchain.cmake" \
  -DJM_ZIG_BIN="$(absolute "$folder/bin")" -DJM_ZIG_SYSTEM=Darwin -DJM_ZIG_PROCESSOR=arm64 \
  -DMLX_DIR="$(absolute "$mlx")/mlx/share/cmake/MLX" >/dev/null
cmake --build "$folder/build"

system=$("$PYTHON" -c 'import os, ziglang
print(os.path.join(os.path.dirname(ziglang.__file__), "lib/libc/darwin/libSystem.tbd"))')
engine=libjm_engine_mlx_$(echo $MLX | tr . _).dylib
status=0
"$PYTHON" scripts/macho_symbols.py --system "$system" --exports GetPjrtApi \
  "$folder/build/libpjrt_plugin_mps.dylib" || status=1
"$PYTHON" scripts/macho_symbols.py --system "$system" --mlx "$mlx/mlx/lib/libmlx.dylib" \
  --exports jm_mlx_api_find "$folder/build/$engine" || status=1
exit $status
