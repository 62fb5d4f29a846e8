# SPDX-License-Identifier: Apache-2.0
"""What scientific programs call besides the decompositions of `linalg`: batches of small matrices,
special functions, keys split in a loop."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.entry import Entry, key, uniform

M1 = 1 << 20
BATCH = (256, 8, 8)


def definite(random):
    (a,) = uniform(BATCH)(random)
    return (a @ a.swapaxes(1, 2) + 2 * np.eye(8, dtype=np.float32),)


def symmetric(random):
    (a,) = uniform(BATCH)(random)
    return (a + a.swapaxes(1, 2),)


def regular(shape):
    """A matrix that is far from singular, and right sides."""

    def make(random):
        a, b = uniform(shape, shape)(random)
        return a + shape[-1] * np.eye(shape[-1], dtype=np.float32), b

    return make


def of_qr(inputs, results):
    q, r = results
    return q @ r, np.abs(r), q.swapaxes(1, 2) @ q


def of_svd(inputs, results):
    u, s, v = results
    return (u * s[:, None]) @ v, s


def of_eigh(inputs, results):
    w, v = results
    return (v * w[:, None]) @ v.swapaxes(1, 2), w


def split_loop(key):
    """A key that is split again and again, and what each split gave."""

    def step(key, _):
        key, other = jax.random.split(key)
        return key, other

    return jax.lax.scan(step, key, None, length=1000)


ENTRIES = [
    Entry("solve_256", jnp.linalg.solve, regular((256, 256)), rate=10),
    Entry("cholesky_256x8x8", jnp.linalg.cholesky, definite, rate=10),
    Entry("qr_256x8x8", jnp.linalg.qr, uniform(BATCH), judge=of_qr, rate=50),
    Entry("svd_256x8x8", jnp.linalg.svd, uniform(BATCH), judge=of_svd, rate=10),
    Entry("eigh_256x8x8", jnp.linalg.eigh, symmetric, judge=of_eigh, rate=10),
    Entry("solve_256x8x8", jnp.linalg.solve, regular(BATCH), rate=10),
    Entry("erf_inv_1m", jax.scipy.special.erfinv, uniform((M1,)), rate=10),
    Entry("lgamma_1m", lambda x: jax.lax.lgamma(10 * x), uniform((M1,)), rate=100),
    Entry("split_loop_1k", split_loop, key),
]
