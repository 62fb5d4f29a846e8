# SPDX-License-Identifier: Apache-2.0
"""Narrow element types: every value of each, converted and computed with, exact."""

import itertools

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax import lax

from jax_mps_c.selftest.harness import run

INTEGERS = ("int2", "uint2", "int4", "uint4")
FLOATS = (
    "float4_e2m1fn",
    "float8_e3m4",
    "float8_e4m3",
    "float8_e4m3b11fnuz",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
)
SIGNED = tuple(name for name in FLOATS if name != "float8_e8m0fnu")


def every_value(name):
    dtype = np.dtype(getattr(ml_dtypes, name))
    if name in INTEGERS:
        info = ml_dtypes.iinfo(dtype)
        return np.arange(info.min, info.max + 1).astype(dtype)
    bits = 4 if name.startswith("float4") else 8
    return np.arange(2**bits, dtype=np.uint8).view(dtype)


def pairs(values):
    both = list(itertools.product(range(len(values)), repeat=2))
    left, right = np.array(both).T
    return values[left], values[right]


def same(got, expected):
    """Equal values, of floats in every bit but a NaN's."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype == expected.dtype and got.shape == expected.shape
    if got.dtype.name in INTEGERS or np.issubdtype(got.dtype, np.integer):
        np.testing.assert_array_equal(got.astype(np.int64), expected.astype(np.int64))
        return
    wide, reference = got.astype(np.float32), expected.astype(np.float32)
    np.testing.assert_array_equal(wide, reference)
    numbers = ~np.isnan(reference)
    np.testing.assert_array_equal(np.signbit(wide)[numbers], np.signbit(reference)[numbers])


@pytest.mark.parametrize("name", INTEGERS + FLOATS)
def test_transfer(name):
    values = every_value(name)
    for part in (values, values[::-1], values[:3], values.reshape(2, -1).T):
        same(jax.device_put(part, jax.devices("mps")[0]), part)


@pytest.mark.parametrize("name", FLOATS)
def test_float_conversions(name):
    values = every_value(name)
    same(run("mps", lambda x: x.astype(jnp.float32), (values,)), values.astype(np.float32))
    finite = values.astype(np.float32)
    finite = np.sort(finite[np.isfinite(finite)])
    middle = (finite[:-1] / 2 + finite[1:] / 2).astype(np.float32)  # ties
    wide = np.concatenate(
        [
            finite,
            middle,
            np.nextafter(middle, np.float32(np.inf)),
            np.nextafter(middle, np.float32(-np.inf)),
            np.random.default_rng(0).normal(size=2000).astype(np.float32) * (finite[-1] / 4),
        ]
    ).astype(np.float32)
    if name == "float8_e8m0fnu":
        # ml_dtypes takes 1.02 * 2^-127, which f32 has with fewer digits, for nearer to 2^-126.
        wide = wide[(wide >= 2.0**-126) & np.isfinite(wide)]
    same(run("mps", lambda x: x.astype(values.dtype), (wide,)), wide.astype(values.dtype))


@pytest.mark.parametrize("name", INTEGERS)
def test_integer_conversions(name):
    values = every_value(name)
    for other in ("int8", "int32", "float32"):
        same(run("mps", lambda x: x.astype(other), (values,)), values.astype(other))
    same(run("mps", lambda x: x.astype(values.dtype), (values.astype(np.int32),)), values)


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("op", ["add", "sub", "mul", "max", "min", "bitwise_and", "bitwise_xor"])
def test_integer_arithmetic(op, name):
    x, y = pairs(every_value(name))
    numpy = {"sub": "subtract", "mul": "multiply", "max": "maximum", "min": "minimum"}.get(op, op)
    exact = getattr(np, numpy)(x.astype(np.int32), y.astype(np.int32))
    bits = ml_dtypes.iinfo(x.dtype).bits
    low = exact & (2**bits - 1)
    if not name.startswith("u"):
        low = low - ((low >> (bits - 1)) << bits)
    same(run("mps", getattr(lax, op), (x, y)), low.astype(x.dtype))


@pytest.mark.parametrize("name", SIGNED)
@pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
def test_float_arithmetic(op, name):
    """The exact result, rounded once: f32 has more than twice the digits."""
    x, y = pairs(every_value(name))
    numpy = {"sub": "subtract", "mul": "multiply", "div": "divide"}.get(op, op)
    with np.errstate(all="ignore"):
        wide = getattr(np, numpy)(x.astype(np.float32), y.astype(np.float32))
        expected = wide.astype(x.dtype)
    defined = ~np.isnan(wide) | np.isnan(expected.astype(np.float32))  # f4 has no NaN
    same(np.asarray(run("mps", getattr(lax, op), (x, y)))[defined], expected[defined])


@pytest.mark.parametrize("name", SIGNED)
def test_float_comparisons(name):
    x, y = pairs(every_value(name))
    wide = x.astype(np.float32), y.astype(np.float32)
    for op, numpy in (("lt", np.less), ("eq", np.equal), ("ge", np.greater_equal)):
        np.testing.assert_array_equal(run("mps", getattr(lax, op), (x, y)), numpy(*wide))


@pytest.mark.parametrize("name", INTEGERS)
def test_moved(name):
    """Packed on the wire, a byte each in memory: slices at any place are right."""
    values = np.tile(every_value(name), 8)[: 4 * 7].reshape(4, 7)
    got = run("mps", lambda x: (x[1:3, 2:5], x.T, jnp.concatenate([x, x], 1)[:, 3:9]), (values,))
    for part, expected in zip(
        got, (values[1:3, 2:5], values.T, np.concatenate([values, values], 1)[:, 3:9])
    ):
        same(part, expected)
