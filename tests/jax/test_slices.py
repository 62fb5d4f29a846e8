# SPDX-License-Identifier: Apache-2.0
"""Products of a batch, and what is between them, that are done slice by slice (pass/slices.c)."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import serialize_executable

from jax_mps_c.selftest.harness import x64

CPU = jax.devices("cpu")[0]
# [batch, heads, time, features]: scores of 8 MiB, slices of which stay in the second cache
SHAPE = 8, 8, 160, 24


def attention(q, k, v, causal=False):
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) * q.shape[-1] ** -0.5
    if causal:
        scores = jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -1e9)
    return jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(scores), v)


def middle(q, k, v):
    """Heads behind the time."""
    heads = [jnp.swapaxes(x.reshape(8, 160, 8, 24), 1, 2) for x in (q, k, v)]
    return jnp.swapaxes(attention(*heads, causal=True), 1, 2).reshape(SHAPE)


def shared(q, k, v):
    """Two heads of keys and values for each that serve four of queries."""
    q = q.reshape(8, 2, 4, *SHAPE[2:])
    scores = jax.nn.softmax(jnp.einsum("bghqd,bgkd->bghqk", q, k[:, :2]))
    return jnp.einsum("bghqk,bgkd->bghqd", scores, v[:, :2]).reshape(SHAPE), jnp.sum(scores, -2)


def gradients(q, k, v):
    def loss(*args):
        return jnp.sum(jnp.sin(middle(*args)))

    return jax.value_and_grad(loss, (0, 1, 2))(q, k, v)


def returned(q, k, v):
    """Results of a chain, and what needs them before another product of it."""
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k)
    sums = jnp.sum(jnp.abs(scores), -1, keepdims=True)
    p = jnp.abs(scores) / sums
    late = p * jnp.cumsum(sums, 0) * 1e-3
    return p, sums, jnp.einsum("bhqk,bhkd->bhqd", p, v), jnp.einsum("bhqk,bhkd->bhqd", late, v)


def rows(q, k, v):
    """Few heads, of which rows are cut; the gradients of keys and values sum over them."""
    long = [x.reshape(1, 6, 1280, 32) for x in (q, k, v)]

    def loss(*args):
        return jnp.sum(jnp.sin(attention(*args)))

    return attention(*long, causal=True), jax.grad(loss, (0, 1, 2))(*long)


def columns(q, k, v):
    """The right operand's rows are cut, those of operands whose heads are in the middle."""
    q, k, v = (x.reshape(1280, 6, 32) for x in (q, k, v))
    scores = jnp.tanh(jnp.einsum("qhd,khd->hqk", q, k)) * 0.01
    return jnp.einsum("hqk,qhd->khd", scores, v)


def repeated(q, k, v):
    """A loop around a chain, which another chain follows."""
    return attention(v, q, lax.fori_loop(0, 3, lambda _, x: attention(q, k, x), v))


def inputs(dtype=np.float32):
    random = np.random.default_rng(0)
    return [jnp.asarray(random.standard_normal(SHAPE), dtype) for _ in range(3)]


FUNCTIONS = [attention, middle, shared, gradients, returned, rows, columns, repeated]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_values(function):
    have = jax.jit(function)(*inputs())
    want = jax.jit(function)(*jax.device_put(inputs(), CPU))
    for a, b in zip(jax.tree.leaves(have), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("dtype, error", [(jnp.bfloat16, 3e-2), (np.float64, 1e-12)])
def test_other_types(dtype, error):
    with x64(True):
        have = jax.jit(middle)(*inputs(dtype))
        want = jax.jit(middle)(*jax.device_put(inputs(dtype), CPU))
        assert have.dtype == dtype
    np.testing.assert_allclose(
        np.asarray(have, np.float64), np.asarray(want, np.float64), rtol=error, atol=error
    )


def test_a_nan_stays_in_its_slice():
    q, k, v = (np.array(x) for x in inputs())
    clean = np.asarray(jax.jit(attention)(q, k, v))
    q[1, 2, 3, 4], k[4, 5, 6, 7], v[6, 7, 8, 9] = np.nan, np.inf, -np.inf
    dirty = np.asarray(jax.jit(attention)(q, k, v))
    want = np.asarray(jax.jit(attention)(*jax.device_put((q, k, v), CPU)))
    np.testing.assert_array_equal(np.isnan(dirty), np.isnan(want))
    np.testing.assert_array_equal(np.isinf(dirty), np.isinf(want))
    touched = np.zeros(SHAPE[:2], bool)
    touched[[1, 4, 6], [2, 5, 7]] = True
    np.testing.assert_array_equal(dirty[~touched], clean[~touched])


def test_donated():
    want = np.asarray(jax.jit(attention)(*inputs()))
    for i in range(3):
        have = jax.jit(attention, donate_argnums=i)(*inputs())
        np.testing.assert_array_equal(np.asarray(have), want)


def test_saved():
    compiled = jax.jit(gradients).lower(*inputs()).compile()
    loaded = serialize_executable.deserialize_and_load(*serialize_executable.serialize(compiled))
    for a, b in zip(
        jax.tree.leaves(compiled(*inputs())), jax.tree.leaves(loaded(*inputs())), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_memory():
    """No scores of the whole batch, neither forward nor back."""

    def loss(*args):
        return jnp.sum(attention(*args))

    scores = 4 * np.prod((*SHAPE[:3], SHAPE[2]))
    for function in (attention, jax.grad(loss, (0, 1, 2))):
        analysis = jax.jit(function).lower(*inputs()).compile().memory_analysis()
        assert analysis.temp_size_in_bytes < scores


BITS = """
import sys
sys.path.insert(0, sys.argv[1])
import hashlib, jax, numpy as np, test_slices as t
results = [jax.jit(f)(*t.inputs()) for f in t.FUNCTIONS]
print(*(hashlib.sha256(np.asarray(x)).hexdigest() for x in jax.tree.leaves(results)))
"""


def test_threads_do_not_change_bits():
    folder = os.path.dirname(os.path.abspath(__file__))
    outputs = set()
    for threads in ("1", "2", "5", "16"):
        done = subprocess.run(
            [sys.executable, "-c", BITS, folder],
            env=dict(os.environ, JAX_MPS_NUM_THREADS=threads),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        outputs.add(done.stdout)
    assert len(outputs) == 1
