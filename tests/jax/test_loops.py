# SPDX-License-Identifier: Apache-2.0
"""Loops, those that become one kernel above all: against JAX's cpu, and counted."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jax_mps_c import counters
from jax_mps_c.selftest.harness import compare, run

RANDOM = np.random.default_rng(7)


def f32(*shape):
    return RANDOM.uniform(-1, 1, shape).astype(np.float32)


def fibonacci(n):
    return lax.fori_loop(0, n, lambda i, s: (s[1], s[0] + s[1]), (jnp.int32(0), jnp.int32(1)))


def swapped(x, y):
    return lax.fori_loop(0, 7, lambda i, s: (s[1] * 0.5, s[0] + i), (x, y))


def rotated(x, y, z):
    return lax.fori_loop(0, 5, lambda i, s: (s[1], s[2], s[0]), (x, y, z))


def cumulated(x):
    return lax.scan(lambda c, v: (c + v, c * v), jnp.zeros_like(x[0]), x)


def reversed_scan(x):
    return lax.scan(lambda c, v: (jnp.tanh(c + v), jnp.exp(c).sum()), x[0], x, reverse=True)


def scan_gradient(x, w):
    def loss(w):
        return lax.scan(lambda c, v: (jnp.tanh(c * w + v), c.sum()), x[0], x)[1].sum()

    return jax.value_and_grad(loss)(w)


def matrix_scan(m, x):
    return lax.scan(lambda c, v: (jnp.tanh(m @ c + v), c), x[0], x)


def transposed_scan(m, x):
    return lax.scan(lambda c, v: (jnp.tanh(c @ m.T + v @ m), c), x[0], x)


def nested_while(x):
    def body(s):
        i, x = s
        inner = lax.while_loop(lambda v: v.sum() < i, lambda v: v * 1.5 + 0.1, jnp.abs(x) + 0.01)
        return i + 1, inner - x

    return lax.while_loop(lambda s: s[0] < 9, body, (0, x))


def branches(x):
    def body(i, x):
        return lax.switch(i % 4, [jnp.sin, lambda v: v[::-1], lambda v: v * v, lambda v: v - i], x)

    return lax.fori_loop(0, 11, body, x)


def conditional(x):
    def body(c, v):
        return lax.cond(v > 0, lambda c: c + v, lambda c: c * 0.5, c), v > c[0]

    return lax.scan(body, x[:3], x)


def sieve(n):
    def body(i, prime):
        multiple = (jnp.arange(200) % i == 0) & (jnp.arange(200) > i)
        return jnp.where(prime[i], prime & ~multiple, prime)

    return lax.fori_loop(2, n, body, jnp.ones(200, bool))


def updated(x, indices):
    def body(i, x):
        row = lax.dynamic_slice(x, (indices[i], 0), (1, x.shape[1]))
        return lax.dynamic_update_slice(x, row * 0.5 + x[3], (indices[-1 - i], 0))

    return lax.fori_loop(0, len(indices), body, x)


def gathered(x, indices):
    return lax.fori_loop(0, 9, lambda i, s: s[indices] * 0.9 + i, x)


def newton(x):
    def body(s):
        y, _ = s
        z = y - (y * y - x) / (2 * y)
        return z, jnp.max(jnp.abs(z - y))

    return lax.while_loop(lambda s: s[1] > 1e-6, body, (jnp.ones_like(x), jnp.float32(1)))


def torus(u):
    def body(_, u):
        around = jnp.roll(u, 1, 0) + jnp.roll(u, -1, 0) + jnp.roll(u, 1, 1) + jnp.roll(u, -1, 1)
        return u + 0.2 * (around - 4 * u)

    return lax.fori_loop(0, 10, body, u)


def padded(x):
    return lax.fori_loop(0, 6, lambda _, s: s + jnp.pad(s[1:-1], 1) - jnp.pad(s[:-2], (2, 0)), x)


def extremes(x):
    def body(c, v):
        return jnp.maximum(c, v), (jnp.argmax(c * v), jnp.min(v), jnp.any(v > 0.9))

    return lax.scan(body, x[0], x)


def complex_power(z):
    return lax.fori_loop(0, 4, lambda i, w: w * w + z, z)


def sampled(key, x):
    def body(x, key):
        step = jax.random.normal(key, x.shape)
        keep = jax.random.uniform(jax.random.fold_in(key, 1)) < 0.5
        return jnp.where(keep, x + 0.1 * step, x), keep

    return lax.scan(body, x, jax.random.split(key, 20))


def batched(x):
    return jax.vmap(lambda v: lax.while_loop(lambda s: s < 10, lambda s: s * s + 1.1, v))(x)


def bubbles(x):
    def swap(j, v):
        low, high = jnp.minimum(v[j], v[j + 1]), jnp.maximum(v[j], v[j + 1])
        return v.at[j].set(low).at[j + 1].set(high)

    def sweep(i, v):
        return lax.fori_loop(0, len(v) - 1 - i, swap, v)

    return lax.fori_loop(0, len(x) - 1, sweep, x)


CASES = [
    (fibonacci, (np.int32(30),)),
    (fibonacci, (np.int32(0),)),
    *[(swapped, (f32(*s), f32(*s))) for s in ((), (3,), (8,), (5, 33), (0, 2))],
    *[(rotated, (f32(*s), f32(*s), f32(*s))) for s in ((), (4,), (19,))],
    *[(cumulated, (f32(*s),)) for s in ((20,), (20, 1), (1, 7), (13, 3, 5), (30, 16))],
    (cumulated, (RANDOM.integers(-9, 9, (10, 6), np.int32),)),
    (cumulated, (f32(9, 17).astype(np.float16),)),
    (reversed_scan, (f32(10, 12),)),
    (scan_gradient, (f32(12, 9), f32(9))),
    *[(matrix_scan, (f32(n, n), f32(6, n))) for n in (2, 5, 16, 33)],
    (transposed_scan, (f32(12, 12), f32(6, 3, 12))),
    (nested_while, (f32(5),)),
    (nested_while, (f32(2),)),
    (branches, (f32(10),)),
    (branches, (f32(3),)),
    (conditional, (f32(25),)),
    (sieve, (np.int32(15),)),
    (updated, (f32(9, 5), np.array([0, 8, 3, 3, 7, 1], np.int32))),
    (gathered, (f32(12), RANDOM.integers(-3, 15, 12, np.int32))),
    (newton, (np.abs(f32(15)) + 0.5,)),
    *[(torus, (f32(*s),)) for s in ((2, 3), (16, 16), (7, 33))],
    (padded, (f32(21),)),
    (extremes, (f32(8, 18),)),
    (complex_power, ((f32(9) + 1j * f32(9)) * np.float32(0.5),)),
    (batched, (np.abs(f32(10)),)),
    (bubbles, (f32(12),)),
]


@pytest.mark.parametrize(
    "function, args",
    [pytest.param(*c, id=f"{c[0].__name__}-{i}") for i, c in enumerate(CASES)],
)
def test_against_cpu(function, args):
    compare(function, args, tolerance=2e-3 if args[0].dtype == np.float16 else 2e-5)


def test_random():
    compare(lambda x: sampled(jax.random.key(3), x), (f32(11),), tolerance=1e-5)


def test_one_kernel():
    """A loop of little work is not a step per iteration."""
    f = jax.jit(lambda x: lax.fori_loop(0, 5000, lambda i, x: jnp.sin(x) + 0.1 * x.sum(), x))
    x = jax.device_put(f32(8), jax.devices("mps")[0])
    jax.block_until_ready(f(x))
    before = counters.read()
    jax.block_until_ready(f(x))
    steps = {k: v - before[k] for k, v in counters.read().items()}
    if not steps["kernel_runs"]:
        pytest.skip("nothing is compiled here: no LLVM, or a device engine")
    assert steps["kernel_runs"] + steps["library_steps"] < 10


def test_deeply_nested_branches():
    """Each level is traced inside of the last one; Python's recursion is the narrower limit."""

    def nest(depth, x):
        if not depth:
            return jnp.sin(x)
        inner = lambda x: nest(depth - 1, x + 0.01)  # noqa: E731
        return lax.cond(x[0] > -1, inner, lambda x: x * 2, x)

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        x = np.linspace(0, 1, 8, dtype=np.float32)
        out = run("mps", lambda x: nest(150, x), (x,))
    finally:
        sys.setrecursionlimit(limit)
    np.testing.assert_allclose(out, np.sin(x.astype(np.float64) + 1.5), rtol=1e-5)
