# SPDX-License-Identifier: Apache-2.0
"""Products of a loop that become one product of all its rows (src/pass/stack.c), against NumPy.

The shapes are too large for a loop that is compiled as one kernel.
"""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax import lax

from jax_mps_c.selftest.harness import TOLERANCE, run, x64

BATCH, FEATURES, WIDTH = 16, 24, 48


def values(dtype, *shape, seed=0):
    random = np.random.default_rng([seed, *shape])
    if np.issubdtype(dtype, np.integer):
        return random.integers(-3, 4, shape).astype(dtype)
    return (random.uniform(-1, 1, shape) * shape[-1] ** -0.5).astype(dtype)


def inputs(dtype, steps):
    shapes = (steps, BATCH, FEATURES), (FEATURES, WIDTH), (WIDTH, WIDTH), (BATCH, WIDTH)
    return tuple(values(dtype, *shape, seed=number) for number, shape in enumerate(shapes))


def check(out, want, dtype, rate=1):
    wide = np.int64 if np.issubdtype(dtype, np.integer) else np.float64
    for have, expected in zip(jax.tree.leaves(out), want, strict=True):
        assert have.dtype == dtype
        scale = np.abs(expected).max(initial=1e-30)
        error = np.abs(np.asarray(have, wide) - np.asarray(expected, wide)).max(initial=0) / scale
        assert error <= rate * TOLERANCE.get(np.dtype(dtype), 0)


def recurrent(reverse):
    """States of a net, and beside them a sum of products of rows and states."""

    def f(xs, w, u, h):
        def step(carry, x):
            h, total = carry
            total = total + jnp.einsum("bf,bw->fw", x, h)
            h = x @ w - (h @ u) if jnp.issubdtype(h.dtype, jnp.integer) else jnp.tanh(x @ w + h @ u)
            return (h, total), h

        return lax.scan(step, (h, jnp.zeros_like(w)), xs, reverse=reverse)

    return f


def recurrent_numpy(xs, w, u, h, reverse):
    whole = np.issubdtype(xs.dtype, np.integer)
    wide = np.int64 if whole else np.float64
    xs, w, u, h = (np.asarray(v, wide) for v in (xs, w, u, h))
    total, states = np.zeros_like(w), [None] * len(xs)
    for t in reversed(range(len(xs))) if reverse else range(len(xs)):
        total = total + xs[t].T @ h
        h = xs[t] @ w - h @ u if whole else np.tanh(xs[t] @ w + h @ u)
        states[t] = h
    return h, total, np.stack(states) if states else np.zeros((0, *h.shape))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("steps", [0, 1, 2, 7])
def test_recurrent(steps, reverse):
    args = inputs(np.float32, steps)
    check(run("mps", recurrent(reverse), args), recurrent_numpy(*args, reverse), np.float32)


@pytest.mark.parametrize("dtype", [np.float64, ml_dtypes.bfloat16, np.float16, np.int32])
def test_types(dtype):
    args = inputs(dtype, 5)
    with x64(dtype is np.float64):
        out = run("mps", recurrent(False), args)
    if np.issubdtype(dtype, np.integer):
        want = [np.asarray(v).astype(dtype) for v in recurrent_numpy(*args, False)]
    else:
        want = recurrent_numpy(*args, False)
    check(out, want, dtype, rate=4)


@pytest.mark.parametrize("steps", [1, 6])
def test_gradient(steps):
    """Of both weights, against differences of the loss in float64."""
    xs, w, u, h = inputs(np.float32, steps)
    directions = values(np.float32, *w.shape, seed=8), values(np.float32, *u.shape, seed=9)

    def loss(weights):
        return jnp.sum(recurrent(False)(xs, *weights, h)[1] ** 2)

    def exact(step):
        w2, u2 = (v.astype(np.float64) + step * d for v, d in zip((w, u), directions))
        return np.sum(recurrent_numpy(xs.astype(np.float64), w2, u2, h, False)[2] ** 2)

    slopes = run("mps", jax.grad(loss), ((w, u),))
    slope = sum(np.sum(np.float64(s) * d) for s, d in zip(slopes, directions))
    np.testing.assert_allclose(slope, (exact(1e-5) - exact(-1e-5)) / 2e-5, rtol=1e-4)


def test_many_consumers():
    """A row that products, sums and the body itself read; products with each side a row."""
    xs, w, _, _ = inputs(np.float32, 5)
    other = values(np.float32, 5, WIDTH, BATCH, seed=5)

    def f(xs, w, other):
        def step(carry, rows):
            a, b, c = carry
            x, o = rows
            y = w.T @ x.T
            a = a + x.T @ x
            b = b + o @ x + y @ x
            return (a, b, c + x.sum() * y), (y.sum(0), x @ w)

        zeros = (
            jnp.zeros((FEATURES, FEATURES)),
            jnp.zeros((WIDTH, FEATURES)),
            jnp.ones((WIDTH, BATCH)),
        )
        return lax.scan(step, zeros, (xs, other))

    (a, b, c), (sums, products) = run("mps", f, (xs, w, other))
    ys = np.einsum("fw,tbf->twb", np.float64(w), xs)
    check(
        [a, b],
        [
            np.einsum("tbf,tbg->fg", xs, xs, dtype=np.float64),
            np.einsum("twb,tbf->wf", other + ys, np.float64(xs)),
        ],
        np.float32,
    )
    check([c], [1 + np.einsum("t,twb->wb", np.float64(xs).sum((1, 2)), ys)], np.float32)
    check([sums, products], [ys.sum(1), ys.transpose(0, 2, 1)], np.float32)


def test_other_rows():
    """Slices at other rows than the iteration's, and more iterations than rows."""
    xs, w, _, _ = inputs(np.float32, 6)

    def f(xs, w):
        def body(i, carry):
            near, all_ = carry
            x = lax.dynamic_index_in_dim(
                xs, i - 2, keepdims=False
            )  # JAX counts from the end below 0
            y = lax.dynamic_index_in_dim(xs, (5 * i) % 6, keepdims=False)
            return near + x.T @ (y @ w), all_ + (x @ w)

        return lax.fori_loop(0, 6, body, (jnp.zeros_like(w), jnp.zeros((BATCH, WIDTH))))

    wide = np.float64(xs)
    want = np.zeros(w.shape), np.zeros((BATCH, WIDTH))
    for i in range(6):
        x, y = wide[i - 2], wide[5 * i % 6]
        want = want[0] + x.T @ (y @ w), want[1] + x @ w
    check(run("mps", f, (xs, w)), want, np.float32)


def test_nested():
    xs, w, u, h = inputs(np.float32, 6)
    xs = xs.reshape(2, 3, BATCH, FEATURES)

    def f(xs, w, u, h):
        def outer(h, rows):
            (h, total), states = recurrent(True)(rows, w, u, h)
            return h, (total, states)

        return lax.scan(outer, h, xs)

    out_h, (totals, states) = run("mps", f, (xs, w, u, h))
    for i in range(2):
        h, total, one = recurrent_numpy(xs[i], w, u, h, True)
        check([totals[i], states[i]], [total, one], np.float32)
    check([out_h], [h], np.float32)


def test_batches():
    """Each of three nets has its own weights: the rows' products have a batch dimension."""
    args = inputs(np.float32, 4)
    many = tuple(np.stack([v, v * np.float32(0.5), -v]) for v in args)
    out = run("mps", jax.vmap(recurrent(False)), many)
    leaves = jax.tree.leaves(out)
    for i in range(3):
        check([v[i] for v in leaves], recurrent_numpy(*(v[i] for v in many), False), np.float32)


@pytest.mark.parametrize("width", [4, 16, 32])
def test_gradient_of_a_small_net(width):
    """Loops that are compiled as one kernel are left alone."""

    def loss(parameters, xs):
        weight, bias = parameters

        def step(carry, x):
            h, c = carry
            gates = jnp.concatenate([x, h], -1) @ weight + bias
            i, g, f, o = jnp.split(gates, 4, -1)
            c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros((8, width), xs.dtype)
        return jnp.mean(lax.scan(step, (zero, zero), xs)[1] ** 2)

    xs = values(np.float32, 20, 8, 3)
    parameters = values(np.float32, 3 + width, 4 * width), values(np.float32, 4 * width)
    got = run("mps", jax.grad(loss), (parameters, xs))
    with x64(True):  # by differences in float64
        wide = [np.asarray(p, np.float64) for p in parameters]
        direction = [values(np.float64, *p.shape, seed=9) for p in parameters]
        with jax.default_device(jax.devices("cpu")[0]):
            at = [
                float(jax.jit(loss)([p + e * d for p, d in zip(wide, direction)], np.float64(xs)))
                for e in (1e-5, -1e-5)
            ]
    slope = sum(np.sum(np.asarray(g, np.float64) * d) for g, d in zip(got, direction))
    np.testing.assert_allclose(slope, (at[0] - at[1]) / 2e-5, rtol=2e-4)
