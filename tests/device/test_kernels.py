# SPDX-License-Identifier: Apache-2.0
"""Kernels of ours on the device engine: how many launches programs take, and that kernels scheduled
for a GPU ran (on MLX's CPU device through the host's jit, on a GPU as its code)."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import resident
from jax import lax

from jax_mps_c.selftest.harness import run, same

RANDOM = np.random.default_rng(0)
SQUARE = RANDOM.normal(size=(300, 300)).astype(np.float32)
LONG = RANDOM.normal(size=(40000,)).astype(np.float32)
TALL = RANDOM.normal(size=(20000, 12)).astype(np.float32)
SHORT = RANDOM.normal(size=(3000, 12)).astype(np.float32)
IMAGE = RANDOM.normal(size=(6, 40, 30)).astype(np.float32)
ROWS = RANDOM.integers(0, 300, 500).astype(np.int32)

pytestmark = pytest.mark.skipif(
    os.environ.get("JAX_MPS_KERNELS") == "0", reason="JAX_MPS_KERNELS=0: there are no kernels"
)


def layer_norm(x):
    centered = x - x.mean(-1, keepdims=True)
    return centered * lax.rsqrt((centered * centered).mean(-1, keepdims=True) + 1e-5)


def with_others(x):
    """A row's result needs another row of a value that the row's passes read, too."""
    x = jnp.exp(x)
    return x - x.max(1, keepdims=True) + jnp.flip(x, 0)


# name: function, inputs, launches, the tolerance
PROGRAMS = {
    "gelu": (jax.nn.gelu, [SQUARE], 1, 1e-5),
    "softmax": (jax.nn.softmax, [SQUARE], 1, 1e-5),
    "softmax_of_short_rows": (jax.nn.softmax, [SHORT], 1, 1e-5),
    "layer_norm": (layer_norm, [SQUARE], 1, 1e-4),
    "rows_and_those_of_others": (with_others, [SQUARE], None, 1e-5),
    "sum": (jnp.sum, [SQUARE], 2, 1e-4),
    "sum_of_rows": (lambda x: x.sum(1), [SQUARE], 1, 1e-4),
    "sum_of_columns": (lambda x: x.sum(0), [SQUARE], 2, 1e-4),
    "sum_of_tall_columns": (lambda x: x.sum(0), [TALL], 2, 1e-3),
    "sum_of_channels": (lambda x: x.sum((0, 2)), [IMAGE], None, 1e-4),
    "argmax": (lambda x: jnp.argmax(x, 1), [SQUARE], 1, 0),
    "largest": (jnp.max, [LONG], None, 0),
    "transpose": (lambda x: (x * 2).T + 1, [SQUARE], 1, 0),
    "transpose_of_three": (lambda x: x.transpose(2, 0, 1) + 1, [IMAGE], 1, 0),
    "gather_rows": (lambda x, i: x[i], [SQUARE, ROWS], 1, 0),
    "pad": (lambda x: jnp.pad(x, 3) * 2, [SQUARE], 1, 0),
    "random_normal": (
        lambda x: jax.random.normal(jax.random.key(3), (1000,)) + x,
        [LONG[:1000]],
        1,
        1e-5,
    ),
    "bf16": (lambda x: jax.nn.silu(x.astype(jnp.bfloat16)), [SQUARE], 1, 0),
    "complex": (lambda x: (x + 1j) * (2 - x * 1j), [SQUARE], 1, 1e-5),
    "several_shapes": (lambda x: (x[:3, :4] + 1, x[:2, :5] * 2, x[0, :3]), [SQUARE], None, 0),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_launches(name, counted):
    function, inputs, launches, tolerance = PROGRAMS[name]
    expected = run("cpu", function, inputs)
    arrays = [resident.put(array) for array in inputs]
    count = counted()
    with jax.default_device(jax.devices("mps")[0]):
        actual = jax.tree.map(np.asarray, jax.jit(function)(*arrays))
    assert count.device_launches == (launches or count.device_launches) and count.device_launches
    assert not count.device_waits
    for mine, theirs in zip(jax.tree.leaves(actual), jax.tree.leaves(expected)):
        same(mine, theirs, tolerance)


def test_a_counted_loop_never_waits(counted):
    """Of rows that depend on each other: others are one launch (test_launches.py)."""

    def body(i, x):
        return jnp.sin(x.T) * 1.5 + lax.dynamic_index_in_dim(x, i % 3)

    function = jax.jit(lambda x: lax.fori_loop(0, 20, body, x))
    x = resident.put(SQUARE)
    count = counted()
    with jax.default_device(jax.devices("mps")[0]):
        actual = np.asarray(function(x))
    assert not count.device_waits and count.device_launches >= 20
    same(actual, run("cpu", lambda x: lax.fori_loop(0, 20, body, x), [SQUARE]), 1e-3)


def test_equal_results_from_run_to_run():
    function = jax.jit(lambda x: (x.sum(), x.sum(0), jax.nn.softmax(x)))
    x = resident.put(TALL)
    with jax.default_device(jax.devices("mps")[0]):
        first, second = (jax.tree.map(np.asarray, function(x)) for _ in range(2))
    for a, b in zip(first, second):
        assert a.tobytes() == b.tobytes()
