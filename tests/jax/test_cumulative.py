# SPDX-License-Identifier: Apache-2.0
"""Cumulative functions: short ones as one scan, long ones by blocks; the sizes are around those."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jax_mps_c.selftest.harness import Spec, compare, run, x64

NAMES = ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_sizes(name, reverse):
    for n in (0, 1, 255, 257, 385, 1000):
        x = Spec((n,), "float32", 0.9, 1.1).make(n)
        compare(lambda x: getattr(lax, name)(x, reverse=reverse), (x,), tolerance=1e-4)


@pytest.mark.parametrize("dtype", ["float64", "complex64", "bfloat16", "int32"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_axes(axis, dtype):
    shape = [2, 3, 2]
    shape[axis] = 300
    x = Spec(tuple(shape), dtype, -2, 2).make(axis)
    tolerance = {"float64": 1e-12, "bfloat16": 0.1}.get(dtype, 1e-3)
    with x64(True):
        compare(lambda x: lax.cumsum(x, axis), (x,), tolerance=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_derivatives(name):
    x = Spec((2, 600), "float32", 0.98, 1.02).make(5)
    weights = np.cos(np.arange(600, dtype=np.float32))

    def total(x):
        return jnp.sum(getattr(lax, name)(x, axis=1) * weights)

    compare(jax.grad(total), (x,), tolerance=1e-2)
    compare(jax.vmap(lambda x: getattr(lax, name)(x)), (x,), tolerance=1e-4)


def test_long_sums_stay_accurate():
    """A running sum in one float32 is off by 4e-5 and, of logarithms, by 2e-2 here."""
    x = np.random.default_rng(0).uniform(size=2_000_000).astype(np.float32)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(run("mps", lax.cumsum, (x,)), np.cumsum(wide), rtol=2e-6)
    np.testing.assert_allclose(
        run("mps", lax.cumlogsumexp, (x,)), np.logaddexp.accumulate(wide), rtol=2e-6
    )


@pytest.mark.parametrize("n", [128, 256, 100_000])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["cumsum", "cumlogsumexp"])
def test_narrow_floats_accumulate_in_float32(name, dtype, n):
    """The result is the float64 one, rounded once: half a unit of the last place, and a little."""
    x = np.random.default_rng(0).uniform(-1, 1, n).astype(dtype)
    sums = {"cumsum": np.cumsum, "cumlogsumexp": np.logaddexp.accumulate}[name]
    wanted = sums(x.astype(np.float64))
    got = run("mps", getattr(lax, name), (x,))
    assert got.dtype == x.dtype
    unit = float(jnp.finfo(dtype).eps)
    error = np.abs(got.astype(np.float64) - wanted)
    assert np.max(error / np.maximum(np.abs(wanted), 1)) < 0.51 * unit


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint32"])
@pytest.mark.parametrize(
    "shape", [(3, 5), (16, 16), (37, 53), (35, 128), (40000, 128), (70000, 80)]
)
@pytest.mark.parametrize("name", ["add", "mul"])
def test_rows_are_folded_in_order(name, shape, dtype):
    """Each row by itself and from its start, whatever several rows at once are computed by: the same
    bits as one after the other."""
    x = np.random.default_rng(1).integers(-8, 9, shape) / 8 + (name == "mul")
    x = (x * (1 if dtype.startswith("float") else 8)).astype(dtype)
    init = np.array(name == "mul", dtype)
    fold, ufunc = {"add": (lax.add, np.add), "mul": (lax.mul, np.multiply)}[name]
    window, padding = (1, shape[1]), ((0, 0), (shape[1] - 1, 0))

    def scan(x):
        return lax.reduce_window(x, init, fold, window, (1, 1), padding)

    with x64(True), np.errstate(all="ignore"):
        np.testing.assert_array_equal(
            run("mps", scan, (x,)), ufunc.accumulate(x, axis=1, dtype=dtype)
        )
