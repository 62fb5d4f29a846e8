# SPDX-License-Identifier: Apache-2.0
"""Decompositions, which go to LAPACK on both sides."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.entry import Entry, uniform


def definite(random):
    (a,) = uniform((256, 256))(random)
    return (a @ a.T + 8 * np.eye(256, dtype=np.float32),)


def symmetric(random):
    (a,) = uniform((256, 256))(random)
    return (a + a.T,)


def triangular(random):
    a, b = uniform((512, 512), (512, 512))(random)
    return np.tril(a) / 16 + 2 * np.eye(512, dtype=np.float32), b


def of_qr(inputs, results):
    """Signs of columns are free: what must agree is the product and the size of each entry of R."""
    q, r = results
    return q @ r, np.abs(r), q.T @ q


def of_svd(inputs, results):
    u, s, v = results
    return (u * s) @ v, s


def of_eigh(inputs, results):
    w, v = results
    return (v * w) @ v.T, w


ENTRIES = [
    Entry("cholesky_256", jnp.linalg.cholesky, definite, rate=10),
    Entry("qr_256", jnp.linalg.qr, uniform((256, 256)), judge=of_qr, rate=50),
    Entry("svd_256", jnp.linalg.svd, uniform((256, 256)), judge=of_svd, rate=10),
    Entry("eigh_256", jnp.linalg.eigh, symmetric, judge=of_eigh, rate=10),
    Entry(
        "triangular_solve_512",
        lambda a, b: jax.scipy.linalg.solve_triangular(a, b, lower=True),
        triangular,
        rate=10,
    ),
]
