# SPDX-License-Identifier: Apache-2.0
"""Where LLVM comes from: a system's libLLVM serves as well as llvmlite's."""

import ctypes

import pytest

SONAMES = ("libLLVM.so.19.1", "libLLVM.so.20.1", "libLLVM.so.22.1")
PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
from jax_mps_c import explain
x = np.linspace(-3, 3, 70000, dtype=np.float32).reshape(100, 700)
f = jax.jit(lambda x: jax.nn.softmax(jnp.tanh(x) * 2, axis=1))
np.testing.assert_allclose(f(x), jax.jit(f, backend="cpu")(x), rtol=1e-5, atol=1e-7)
plan = explain.explain_compiled(f.lower(x))
print(plan.data["compiler"], sum(step["kernels"] > 0 for step in plan.data["steps"]))
"""


def loads(name):
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("name", SONAMES)
def test_system_library(python, name):
    if not loads(name):
        pytest.skip(f"{name} is not installed")
    done = python("-c", PROGRAM, JAX_MPS_LLVM=name, JAX_PLATFORMS="mps,cpu", JAX_MPS_DEVICE="host")
    assert done.returncode == 0, done.stderr
    compiler, version, groups = done.stdout.split()
    assert compiler == "LLVM" and version.startswith(name.split(".")[2] + ".") and int(groups) > 0


def test_what_is_no_llvm(python):
    """Programs run all the same, op by op, and the plan says why."""
    program = "from jax_mps_c import doctor; print(doctor.compiler())"
    done = python(
        "-c", program, JAX_MPS_LLVM="libm.so.6", JAX_PLATFORMS="mps", JAX_MPS_DEVICE="host"
    )
    assert "libm.so.6 is neither llvmlite's library nor libLLVM: it lacks functions" in done.stdout
