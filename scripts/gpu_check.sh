#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Everything that is checked on a Linux machine with an NVIDIA GPU, in one command of some minutes:
# build, selftest, tests/device, a fixed sample of JAX's own tests, and a first speed table against
# JAX's CUDA plugin. Needs what such a machine has: Python with jax and its CUDA plugin, pytest,
# cmake, ninja, a C and a C++20 compiler, and MLX with its CUDA back end (mlx, mlx-cuda-13 0.32.4).
#   scripts/gpu_check.sh OUT_DIR [JAX_SOURCE]
# JAX_SOURCE: a folder with JAX's tests/ of the installed version; without it they are left out.
# PARTS="build selftest" runs just these, "sweep" is the speed of some programs under other
# settings of MLX. Every part runs even if an earlier one fails; the exit
# status is 0 if none did. A part's log is OUT_DIR/PART.log, the table OUT_DIR/speed.json, the outcomes
# of JAX's tests OUT_DIR/jax.tsv: eight files at most.
set -u
out=$(mkdir -p "$1" && cd "$1" && pwd)
jax_source=${2:-}
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
parts=${PARTS:-build doctor selftest device speed jax}
failed=""

part() { # NAME SECONDS COMMAND...
  local name=$1 seconds=$2 began=$SECONDS status
  shift 2
  case " $parts " in *" $name "*) ;; *) return ;; esac
  timeout "$seconds" "$@" >"$out/$name.log" 2>&1
  status=$?
  [ $status -eq 0 ] || failed="$failed $name($status)"
  printf '==== %s: exit %d, %d s\n' "$name" $status $((SECONDS - began))
  tail -n 12 "$out/$name.log"
}

export PYTHONPATH="$PWD/python${PYTHONPATH:+:$PYTHONPATH}"
export JAX_MPS_TF32=${JAX_MPS_TF32:-0} # cases compare float32; the speed table sets it itself
export JAX_MPS_LIBRARY_PATH=$PWD/build/gpu/libpjrt_plugin_mps.so JAX_MPS_DEVICE=gpu
export XLA_PYTHON_CLIENT_PREALLOCATE=false
part build 240 sh -c "cmake -G Ninja -S . -B build/gpu -DPython3_EXECUTABLE=\$(command -v $python) && cmake --build build/gpu --target pjrt_plugin_mps jm_engine_mlx_0_32_4"
part doctor 60 env JAX_PLATFORMS=mps "$python" -m jax_mps_c
part selftest 120 env JAX_PLATFORMS=mps,cpu "$python" -m jax_mps_c selftest --all
part device 240 env JAX_PLATFORMS=mps,cpu "$python" -m pytest -q -p no:cacheprovider tests/device
part speed 420 env -u JAX_MPS_TF32 "$python" scripts/gpu_speed.py --output "$out/speed.json"
part sweep 240 "$python" scripts/gpu_speed.py --sweep --output "$out/sweep.json"
if [ -n "$jax_source" ]; then
  outcomes=$(mktemp -d)
  part jax 240 env JAX_TEST_DUT=gpu JAX_PLATFORMS=mps,cpu "$python" scripts/run_jax_tests.py \
    --jax-source "$jax_source" --output "$outcomes" --every "${EVERY:-20}" -j "${JOBS:-4}" \
    lax_test lax_numpy_test lax_control_flow_test lax_numpy_indexing_test lax_vmap_op_test \
    random_lax_test api_test
  [ ! -f "$outcomes/results.tsv" ] || cp "$outcomes/results.tsv" "$out/jax.tsv"
  for log in $(grep -l -E "(failed|error)s?[ ,]" "$outcomes"/*.log 2>/dev/null); do
    cat "$log" >>"$out/jax.log" # the stories of what failed
  done
  rm -r "$outcomes"
fi
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
echo "all parts passed"
