# SPDX-License-Identifier: Apache-2.0
"""Rows that vectors sort, and rows so long that several threads sort pieces of one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

N = 200_003


@pytest.fixture(autouse=True)
def on_mps():
    with jax.default_device(jax.devices("mps")[0]), jax.enable_x64(True):
        yield


def values(dtype, shape):
    rng = np.random.default_rng(7)
    if np.dtype(dtype).kind == "i":
        return rng.integers(-1000, 1000, shape).astype(dtype)
    x = rng.normal(size=shape).round(2)
    x.flat[::1001], x.flat[5::997], x.flat[9::991] = np.nan, -0.0, np.inf
    return x.astype(dtype)


@pytest.mark.parametrize("shape, axis", [((N,), 0), ((3, N), 1), ((N, 2), 0)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32", "int64", "int8"])
def test_long_rows(dtype, shape, axis):
    """Ties keep their order, NaN is last, -0 equals 0."""
    x = values(dtype, shape)
    order = np.argsort(x, axis=axis, kind="stable")
    np.testing.assert_array_equal(jax.jit(lambda x: jnp.argsort(x, axis=axis))(x), order)
    up = np.take_along_axis(x, order, axis)
    np.testing.assert_array_equal(jax.jit(lambda x: jnp.sort(x, axis=axis))(x), up)
    down = np.asarray(jax.jit(lambda x: jnp.argsort(x, axis=axis, descending=True))(x))
    np.testing.assert_array_equal(np.take_along_axis(x, down, axis), np.flip(up, axis))


@pytest.mark.parametrize("n", [2, 7, 16, 33, 255, 257, 1000, 4100])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32", "uint32", "int64"])
def test_rows(dtype, n):
    """All bits are as a stable sort leaves them: of zeros with their signs, of NaNs their payloads."""
    x = values(dtype, (37, n)) if dtype != "uint32" else values("int64", (37, n)).astype(dtype)
    if np.dtype(dtype).kind == "f":
        bits = x.view(f"u{x.itemsize}")
        bits[::5, ::3] = bits[::5, ::3] & 15 | np.float64(np.nan).astype(dtype).view(bits.dtype)
        bits[1::5] &= bits.dtype.type(1 << (8 * x.itemsize - 1))
    order = np.argsort(x, axis=1, kind="stable")
    up = jax.jit(lambda x: jnp.sort(x, axis=1))(x)
    want = np.take_along_axis(x, order, 1)
    np.testing.assert_array_equal(
        np.asarray(up).view(f"u{x.itemsize}"), want.view(f"u{x.itemsize}")
    )
    np.testing.assert_array_equal(jax.jit(lambda x: jnp.argsort(x, axis=1))(x), order)
    values_of, number = jax.jit(
        lambda x: lax.sort_key_val(x, lax.broadcasted_iota(int, x.shape, 1))
    )(x)
    np.testing.assert_array_equal(number, order)
    np.testing.assert_array_equal(
        np.asarray(values_of).view(f"u{x.itemsize}"), want.view(f"u{x.itemsize}")
    )


@pytest.mark.parametrize("dtypes", [("int32", "float32"), ("int8", "float64"), ("int64", "int8")])
def test_long_rows_of_two_keys(dtypes):
    first, second = values(dtypes[0], N) % 7, values(dtypes[1], N)
    third = np.arange(N, dtype=np.int16)
    got = jax.jit(lambda *x: lax.sort(x, num_keys=2))(first, second, third)
    order = np.lexsort((second, first))
    for have, want in zip(got, (first, second, third)):
        np.testing.assert_array_equal(have, want[order])


@pytest.mark.parametrize("shape, axis", [((3, 300), 1), ((300, 3), 0), ((N,), 0)])
@pytest.mark.parametrize("keys", ["float32", "float64"])
@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32", "int16", "float32"])
def test_operands_that_are_nearly_numbers(dtype, keys, shape, axis):
    """Operands that are the numbers of their elements aren't gathered; others that begin so are."""
    n = shape[axis]
    numbers = np.arange(n) if len(shape) == 1 else np.expand_dims(np.arange(n), 1 - axis)
    operands = [np.broadcast_to(numbers, shape).astype(dtype) for _ in range(4)]
    operands[1].flat[-1] += 1
    operands[2].flat[2 * n // 3] = 7
    operands[3] = operands[3] + np.array(1, dtype)
    x = values(keys, shape)
    got = jax.jit(lambda *x: lax.sort(x, dimension=axis, num_keys=1))(x, *operands)
    order = np.argsort(x, axis=axis, kind="stable")
    for have, want in zip(got, (x, *operands)):
        np.testing.assert_array_equal(have, np.take_along_axis(want, order, axis))


def test_long_rows_that_are_sorted_already():
    """All items share most digits."""
    x = np.arange(N, dtype=np.uint32) % 3
    np.testing.assert_array_equal(jax.jit(jnp.sort)(x), np.sort(x))
    np.testing.assert_array_equal(jax.jit(jnp.argsort)(x), np.argsort(x, kind="stable"))
    np.testing.assert_array_equal(jax.jit(jnp.sort)(np.zeros(N)), np.zeros(N))


@pytest.mark.parametrize(
    "n, k", [(5, 5), (63, 1), (64, 8), (65, 3), (2048, 8), (2049, 40), (5000, 1), (20_011, 100)]
)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int32", "uint8", "float64"])
@pytest.mark.parametrize("slope", [-1, 0, 1])
def test_top_k(dtype, n, k, slope):
    """Of equal elements the first come first; elements that get better or worse along the row."""
    rng = np.random.default_rng(n)
    x = rng.integers(0, 100, (9, n)) + slope * np.arange(n) * 100 // n
    x = (x - x.min()).astype(dtype)
    x[1] = 3
    order = np.argsort(-x.astype(np.float64), axis=1, kind="stable")[:, :k]
    got, indices = jax.jit(lambda x: lax.top_k(x, k))(x)
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(got, np.take_along_axis(x, order, 1))
