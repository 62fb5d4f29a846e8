# SPDX-License-Identifier: Apache-2.0
"""The plugin in a process with other libraries that bring LLVM, BLAS or threads, loaded before it and
after it. Libraries that are not installed are skipped by name."""

import importlib.util

import pytest

OURS = """
import jax, jax.numpy as jnp, numpy as np
x = jax.device_put(np.arange(16.0, dtype=np.float32).reshape(4, 4), jax.devices("mps")[0])
y = jax.jit(lambda x: jnp.tanh(x @ x) + jnp.linalg.inv(x + 20 * jnp.eye(4)))(x)
a = np.asarray(x, np.float64)
np.testing.assert_allclose(y, np.tanh(a @ a) + np.linalg.inv(a + 20 * np.eye(4)), rtol=1e-4)
"""
THEIRS = {
    "numba": """
import numba
@numba.njit(parallel=True, fastmath=True)
def total(n):
    s = 0.0
    for i in numba.prange(n):
        s += i * 0.5
    return s
assert total(1001) == 250250.0
""",
    "mlx": """
import mlx.core as mx
assert (mx.ones((8, 8)) @ mx.ones((8, 8))).sum().item() == 512
""",
    "torch": """
import torch
assert float((torch.ones(8, 8) @ torch.ones(8, 8)).sum()) == 512
""",
    "tensorflow": """
import tensorflow as tf
@tf.function(jit_compile=True)  # through the LLVM that TensorFlow has in it
def total(x):
    return tf.reduce_sum(tf.tanh(x) @ tf.ones((8, 8)))
assert abs(float(total(tf.ones((8, 8)))) - 512 * 0.7615942) < 1e-2
""",
}


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("library", THEIRS)
def test_loads_beside(python, library, order):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    parts = [THEIRS[library], OURS] if order == "before" else [OURS, THEIRS[library]]
    # Once more each: what the second one loaded must not have changed the first.
    text = "".join(parts + parts) + 'print("both work")\n'
    done = python("-c", text)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "both work" in done.stdout
