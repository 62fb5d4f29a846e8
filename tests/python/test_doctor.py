# SPDX-License-Identifier: Apache-2.0
"""`python -m jax_plugins.mps` tells what is there, and its exit status whether mps computes."""

import pytest


@pytest.mark.parametrize("module", ["jax_plugins.mps", "jax_mps_c"])
def test_well(python, module):
    done = python("-m", module)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    for name in ("python", "jax", "jaxlib", "numpy", "scipy", "library", "device", "plugin"):
        assert name in lines, done.stdout
    assert done.stdout.rstrip().endswith("1 + 1 on mps     ok")


def test_missing_library(python):
    done = python("-m", "jax_plugins.mps", JAX_MPS_LIBRARY_PATH="/nowhere.so")
    assert done.returncode == 1
    assert "missing: JAX_MPS_LIBRARY_PATH names /nowhere.so" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_kernels(python):
    """The compiler that is in use is named, and a missing one with its reason."""
    done = python("-m", "jax_mps_c", JAX_MPS_LLVM="none")
    assert "kernels          op by op, no LLVM: JAX_MPS_LLVM=none; try: " in done.stdout
    assert done.stdout.rstrip().endswith("1 + 1 on mps     ok")
    done = python("-m", "jax_mps_c", JAX_MPS_LLVM="/nowhere.so")
    assert "kernels          op by op, no LLVM: /nowhere.so: " in done.stdout


def test_settings_are_shown(python):
    assert "JAX_MPS_HOOKS=cache" in python("-m", "jax_mps_c", JAX_MPS_HOOKS="cache").stdout
