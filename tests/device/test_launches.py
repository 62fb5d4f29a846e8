# SPDX-License-Identifier: Apache-2.0
"""How many launches a step takes: kernels of ours, MLX's primitives and the copies that both need.
XLA takes 1, 1, 1, 34, 643, 210, 75 and 354 on an NVIDIA GPU."""

import json
import os
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import resident
from jax import lax

from jax_mps_c.selftest.harness import run, same

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
from gpu_speed import lstm  # noqa: E402

pytestmark = pytest.mark.skipif(
    os.environ.get("JAX_MPS_KERNELS") == "0", reason="JAX_MPS_KERNELS=0: there are no kernels"
)

# launches, then views: MLX's primitives that launch nothing, but take the host's time
BOUNDS = {
    "gelu_4m": (1, 0),
    "random_normal_1m": (1, 0),
    "gather_rows_1m": (1, 0),
    "mlp_8_layers": (16, 16),
    "lstm_128": (1, 0),
    "gpt_block_step": (160, 89),
    "decode_kv_cache": (68, 49),
    "resnet18_step_b32": (243, 93),
}


# bytes that kernels move, of the fewest that their groups need
MOST_BYTES = 1.2
BYTES = ("softmax_4096x1024", "sum_rows", "cumsum_4m")  # counted for this alone


@pytest.mark.parametrize("target", ["cuda", "metal"])
def test_launches_of_steps(target, python):
    done = python("tests/device/launches.py", JAX_MPS_KERNELS=target, JAX_MPS_DEBUG="launches")
    assert done.returncode == 0, done.stderr[-3000:]
    rows = {row.pop("name"): row for row in map(json.loads, done.stdout.splitlines())}
    assert rows.keys() >= BOUNDS.keys() | set(BYTES)
    for name, row in rows.items():
        print(name, row)
        assert not row["waits"], (name, row)
        assert 0 < row["least"] <= row["bytes"] <= MOST_BYTES * row["least"], (name, row)
    for name, (launches, views) in BOUNDS.items():
        row = rows[name]
        assert 0 < row["kernels"] + row["primitives"] + row["copies"] <= launches, (name, row)
        assert row["views"] <= views, (name, row)
    assert (
        "launches: 1 kernels, 33554432 bytes, at least 33554432, calls:; "
        "of fusion(f32[4194304]) -> f32[4194304] at jit(gelu)" in done.stderr
    )


RANDOM = np.random.default_rng(0)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def gru(x, h, u, w):
    def cell(h, x):
        r, z = jnp.split(
            jax.nn.sigmoid(x @ u[:, : 2 * h.shape[1]] + h @ w[:, : 2 * h.shape[1]]), 2, -1
        )
        n = jnp.tanh(x @ u[:, 2 * h.shape[1] :] + r * (h @ w[:, 2 * h.shape[1] :]))
        h = (1 - z) * n + z * h
        return h, h.astype(jnp.bfloat16)

    return lax.scan(cell, h, x)


def oscillators(x):
    def slope(x):
        return jnp.stack([x[:, 1], -jnp.sin(x[:, 0]) - 0.1 * x[:, 1]], 1)

    def step(i, x):
        a = slope(x)
        b = slope(x + 0.05 * a)
        return x + 0.1 * b + 1e-3 * i

    return lax.fori_loop(0, 50, step, x)


def columns(x, w):
    """Rows are the last dimension; another carry counts them in the middle."""

    def body(carry, _):
        x, y = carry
        x = jnp.tanh(w @ x)
        return (x, y + x.reshape(3, 1, -1).transpose(0, 2, 1)), x.max(0)

    return lax.scan(body, (x, jnp.zeros((3, x.shape[1], 1))), length=7)


def reversed_scan(x):
    return lax.scan(lambda c, x: (c * 0.9 + x, c - x.mean(1, keepdims=True)), x[0], x, reverse=True)


def normed(x):
    def body(i, x):
        return x / (1 + jnp.abs(x).sum(1, keepdims=True)) + jnp.flip(x, 1) * lax.rsqrt(1.0 + i)

    return lax.fori_loop(0, 9, body, x)


def single(x, w):
    return lax.fori_loop(0, 20, lambda i, x: jnp.tanh(w @ x) + x.sum() * 0.01, x)


def empty(x):
    return lax.fori_loop(5, 3, lambda i, x: x + 1, x)


# loops that are one launch
ROWS = {
    "lstm": (lstm, [normal(11, 5, 8), normal(8 + 12, 48) / 4]),
    "gru": (gru, [normal(9, 6, 4), normal(6, 10), normal(4, 30) / 2, normal(10, 30) / 4]),
    "oscillators": (oscillators, [normal(300, 2)]),
    "columns": (columns, [normal(3, 40), normal(3, 3)]),
    "reversed_scan": (reversed_scan, [normal(12, 6, 50)]),
    "normed": (normed, [normal(7, 700)]),
    "single": (single, [normal(20), normal(20, 20) / 5]),
    "empty": (empty, [normal(4, 33)]),
}


@pytest.mark.parametrize("name", ROWS)
def test_loops_of_rows_are_one_launch(name, counted):
    function, inputs = ROWS[name]
    expected = run("cpu", function, inputs)
    arrays = [resident.put(array) for array in inputs]
    call = jax.jit(function)
    with jax.default_device(jax.devices("mps")[0]):
        jax.block_until_ready(call(*arrays))
        count = counted()
        actual = jax.tree.map(np.asarray, call(*arrays))
    assert count.device_launches <= 3 and not count.device_waits
    for mine, theirs in zip(jax.tree.leaves(actual), jax.tree.leaves(expected)):
        same(mine, theirs, 1e-2 if theirs.dtype == jnp.bfloat16 else 1e-5)


def mixed(x):
    """Rows meet in their mean."""
    return lax.fori_loop(0, 10, lambda i, x: jnp.sin(x) - x.mean(0) + x.T * 0.1, x)


def summed(x, w):
    """As a weight's gradient: a product over the rows is carried."""

    def body(carry, x):
        h, w = carry
        h = jnp.tanh(h @ w + x)
        return (h, w + 0.01 * h.T @ x), None

    return lax.scan(body, (x[0], w), x)[0]


# loops whose rows depend on each other
OTHERS = {
    "mixed": (mixed, [normal(80, 80)]),
    "summed": (summed, [normal(6, 80, 80), normal(80, 80) / 9]),
}


@pytest.mark.parametrize("name", OTHERS)
def test_loops_of_dependent_rows(name, counted):
    function, inputs = OTHERS[name]
    expected = run("cpu", function, inputs)
    arrays = [resident.put(array) for array in inputs]
    count = counted()
    with jax.default_device(jax.devices("mps")[0]):
        actual = jax.tree.map(np.asarray, jax.jit(function)(*arrays))
    assert count.device_launches > 1 and not count.device_waits
    for mine, theirs in zip(jax.tree.leaves(actual), jax.tree.leaves(expected)):
        same(mine, theirs, 1e-4)


ROWS_OF = RANDOM.integers(0, 30, (4, 6)).astype(np.int32)

# scatters that are elementwise: at most one update reaches an element
SCATTERS = {
    "of_a_batch": (
        lambda x, i: jnp.zeros((4, 6, 30)).at[jnp.arange(4)[:, None], jnp.arange(6), i].add(x),
        [normal(4, 6), ROWS_OF],
    ),
    "gradient": (
        jax.grad(lambda x, i: jnp.take_along_axis(x, i[..., None], -1).sum()),
        [normal(4, 6, 30), ROWS_OF],
    ),
    "one_row": (lambda x, y, i: x.at[i].set(y), [normal(3, 40), normal(40), np.int32(1)]),
    "last_row": (lambda x, y, i: x.at[i].multiply(y), [normal(3, 40), normal(40), np.int32(-1)]),
    "no_row": (lambda x, y, i: x.at[i].add(y), [normal(3, 40), normal(40), np.int32(3)]),
    "window": (
        lambda x, y, i: x.at[i, 1:].min(y[1:], mode="drop") * 2,
        [normal(3, 40), normal(40), np.int32(2)],
    ),
}


@pytest.mark.parametrize("name", SCATTERS)
def test_scatters_of_one_update(name, counted):
    function, inputs = SCATTERS[name]
    expected = run("cpu", function, inputs)
    arrays = [resident.put(array) for array in inputs]
    count = counted()
    with jax.default_device(jax.devices("mps")[0]):
        actual = np.asarray(jax.jit(function)(*arrays))
    assert count.device_launches and not count.device_waits
    same(actual, expected, 1e-6)
