# SPDX-License-Identifier: Apache-2.0
"""Many small products, which are compiled as loops, and those next to them, which are not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_mps_c.selftest.harness import x64

RANDOM = np.random.default_rng(0)
FORMS = ["bij,bjk->bik", "bij,bkj->bik", "bji,bjk->bik", "bji,bkj->bki", "bij,bj->bi", "bji,bj->bi",
         "bi,bij->bj", "bi,bi->b", "bij,jk->bik", "ijb,jkb->bik"]  # fmt: skip
TOLERANCE = {
    "float32": 1e-5,
    "float64": 1e-13,
    "bfloat16": 1e-2,
    "float16": 2e-3,
    "complex64": 1e-5,
}


def operands(form, dtype, size, batch=300):
    for labels in form.split("->")[0].split(","):
        shape = [batch if label == "b" else size for label in labels]
        x = RANDOM.integers(-4, 5, shape) if dtype == "int32" else RANDOM.standard_normal(shape)
        yield jnp.asarray(x + 1j * x[::-1] if dtype == "complex64" else x, dtype)


def wide(x):
    return np.asarray(x, np.complex128 if x.dtype == np.complex64 else np.float64)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "bfloat16", "float16", "complex64", "int32"]
)
def test_values(form, dtype):
    with x64(True):
        for size in (2, 3, 4, 7, 8, 9, 16, 18):
            x, y = operands(form, dtype, size)
            got = jax.jit(lambda x, y: jnp.einsum(form, x, y))(x, y)
            assert got.dtype == dtype
            want, most = (
                np.einsum(form, wide(x), wide(y)),
                np.einsum(form, abs(wide(x)), abs(wide(y))),
            )
            assert np.all(abs(wide(got) - want) <= TOLERANCE.get(dtype, 0) * most), size


def test_uneven():
    """Rows and columns of other numbers than terms."""
    for m, k, n in [
        (1, 8, 16),
        (16, 8, 1),
        (32, 3, 3),
        (3, 3, 32),
        (5, 2, 7),
        (1, 1, 3),
        (64, 1, 8),
        (4, 32, 4),
        (2, 33, 2),
    ]:
        x = RANDOM.standard_normal((130, m, k)).astype(np.float32)
        y = RANDOM.standard_normal((130, k, n)).astype(np.float32)
        got = jax.jit(jnp.matmul)(x, y)
        np.testing.assert_allclose(got, np.float64(x) @ np.float64(y), rtol=1e-4, atol=1e-5)


def test_with_neighbours():
    """What is made of products, and what they are made of, is the same as if they were alone."""
    x, y = operands("bij,bjk->bik", "float32", 4)
    z = jnp.asarray(RANDOM.standard_normal((300, 4)), "float32")

    def chain(x, y, z):
        p = jnp.exp(-x) @ y @ jnp.tanh(x).mT
        return jnp.sum(p, 0), jnp.einsum("bij,bj->bi", p, z) + z, jnp.max(p @ p, (1, 2))

    with x64(True):
        want = chain(*(jnp.float64(v) for v in (x, y, z)))
    for a, b in zip(jax.jit(chain)(x, y, z), want, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-3)


def test_special_values():
    x = np.tile(np.float32([[[0, -0.0], [np.inf, 1]]]), (300, 1, 1))
    y = np.tile(np.float32([[[1, np.nan], [2, 3]]]), (300, 1, 1))
    np.testing.assert_array_equal(
        jax.jit(jnp.matmul)(x, y), [[[0, np.nan], [np.inf, np.nan]]] * 300
    )


def test_points():
    """Few columns of many rows: rotated points."""
    x = RANDOM.standard_normal((5000, 3)).astype(np.float32)
    for r in (
        np.eye(3, dtype=np.float32)[[1, 2, 0]],
        np.float32([[2, 0, 1], [0, 1, 0], [3, 0, 4]]),
    ):
        np.testing.assert_allclose(
            jax.jit(lambda x, r: x @ r.T)(x, r), x @ r.T, rtol=1e-5, atol=1e-5
        )
        np.testing.assert_allclose(
            jax.jit(lambda x, r: r @ x.T)(x, r), r @ x.T, rtol=1e-5, atol=1e-5
        )
