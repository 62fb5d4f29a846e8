# SPDX-License-Identifier: Apache-2.0
"""What scripts/fuzz_programs.py found, each with NumPy's value in float64."""

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def on_mps():
    with jax.default_device(jax.devices("mps")[0]):
        yield


SHAPES = [(11904,), (3, 31, 2, 64), (1_000_003,), (1000, 1000), (4, 250_000), (250_000, 4)]


@pytest.mark.parametrize("shape", SHAPES)
def test_long_sums(shape):
    """Terms of one size: each addition to a running sum rounds to the same side, so that a sum of n in
    a row is off by about n / 60 roundings."""
    x = np.float32(1.0002327) - np.random.default_rng(0).integers(0, 2, shape) * np.float32(0.0453)
    wide = x.astype(np.float64)
    for axis in (None, 0, -1):
        got = jax.jit(lambda x, axis=axis: jnp.sum(x, axis))(x)
        np.testing.assert_allclose(got, wide.sum(axis), rtol=2e-6)
        got = jax.jit(lambda x, axis=axis: jnp.sum(x * x, axis))(x)
        np.testing.assert_allclose(got, (wide * wide).sum(axis), rtol=2e-6)


@pytest.mark.parametrize("dtype, rtol", [("float32", 4e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("rows", [1, 3, 17])
def test_long_products(rows, dtype, rtol):
    """A product of vectors was a running sum, which lost 3e-4 of a million terms."""
    rng = np.random.default_rng(3)
    x, a = (np.abs(rng.normal(size=s)) + 0.25 for s in (300_007, (rows, 300_007)))
    x, a = x.astype(dtype), a.astype(dtype)
    columns = np.ascontiguousarray(a.T)
    wide_x, wide = x.astype(np.longdouble), a.astype(np.longdouble)
    programs = [
        (lambda a, x: a @ x, (a, x), wide @ wide_x),
        (lambda x, b: x @ b, (x, columns), wide @ wide_x),
        (lambda x, b: x @ b[:, 0], (x, columns), wide[0] @ wide_x),
        (lambda a, b: jnp.einsum("rk,rk->r", a, b), (a, a), (wide * wide).sum(1)),
    ]
    with jax.enable_x64(dtype == "float64"):
        for f, arguments, expected in programs:
            got = jax.jit(f)(*(jnp.asarray(v) for v in arguments))
            np.testing.assert_allclose(got, expected.astype(np.float64), rtol=rtol)


def test_sum_beside_a_transpose():
    """The transpose makes the sum's axes short: 2 at a time, 5952 times."""
    x = np.random.default_rng(1).uniform(-1, 1, (3, 31, 2, 64)).astype(np.float32)

    @jax.jit
    def f(x):
        s = jnp.sign(x) * 1.01
        return jnp.var(s), s.transpose(1, 3, 0, 2)

    expected = (np.sign(x).astype(np.float64) * np.float32(1.01)).var()
    np.testing.assert_allclose(f(x)[0], expected, rtol=2e-6)


@pytest.mark.parametrize("transform", [jnp.fft.irfft, jnp.fft.hfft])
def test_inverse_transform_to_no_points(transform):
    assert transform(jnp.ones((2, 3, 1), jnp.complex64)).shape == (2, 3, 0)


def test_ones_of_small_integers():
    """JAX's CPU backend counts those of the 8 bits that hold one."""
    x = np.arange(-8, 8).astype(jnp.int4)
    ones = [bin(int(v) & 15).count("1") for v in x]
    np.testing.assert_array_equal(jax.jit(jax.lax.population_count)(x).astype(np.int32), ones)


@pytest.mark.parametrize("shape", [*SHAPES, (5000, 3), (4097,)])
@pytest.mark.parametrize("name", ["max", "min"])
def test_nan_in_a_large_maximum(name, shape):
    """JAX's CPU backend loses it where the array has more than 4096 elements."""
    x = np.random.default_rng(2).uniform(-1, 1, shape).astype(np.float32)
    x.flat[x.size // 3] = np.nan
    for axis in (None, 0, -1):
        got = jax.jit(lambda x, axis=axis: getattr(jnp, name)(x, axis))(x)
        np.testing.assert_array_equal(got, getattr(np, name)(x, axis))


def test_sort_of_4_bits():
    """NumPy's bytes of an int4 have no sign above its four bits: they were sorted as 0 to 15."""
    x = np.array([[3, -8, 5, -1], [0, 7, -3, -8]], ml_dtypes.int4)
    wide = x.astype(np.int32)
    np.testing.assert_array_equal(jax.jit(jnp.argsort)(x), wide.argsort(axis=-1, kind="stable"))
    np.testing.assert_array_equal(jax.jit(jnp.sort)(x).astype(np.int32), np.sort(wide, axis=-1))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", ["tan", "tanh", "expm1"])
def test_complex_functions_of_infinities(name, dtype):
    """NaN and infinities in both parts. JAX's CPU backend makes tan(inf + 0i) NaN in both; NumPy's expm1
    multiplies infinity by the sine of 0."""
    parts = np.array([np.nan, np.inf, -np.inf, 1.0, -2.5, 0.0, -0.0][: 5 if name == "expm1" else 7])
    z = np.empty((len(parts), len(parts)), np.complex128)
    z.real, z.imag = parts[:, None], parts[None, :]
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(z)
    with jax.enable_x64(True):
        got = np.asarray(jax.jit(getattr(jax.lax, name))(jnp.asarray(z.astype(dtype))))
    for part in ("real", "imag"):
        np.testing.assert_allclose(
            getattr(got, part), getattr(expected, part), rtol=1e-6, atol=1e-15
        )


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_powers_of_zero_and_one(dtype):
    """1^w and z^0 are 1 for all w and z, as C's pow has it for real numbers, and as on JAX's CPU backend;
    NumPy's complex power is NaN where an argument isn't finite."""
    special = np.array(
        [0, -0.0, 1, 2.5, 1j, np.inf, -np.inf, np.nan, complex(np.nan, np.inf)], dtype
    )
    one, zero = np.ones_like(special), np.zeros_like(special)
    growing = np.array([0.25, 1 + 2j, 3, 1e3 - 1j], dtype)
    with jax.enable_x64(True):
        power = jax.jit(jnp.power)
        np.testing.assert_array_equal(power(one, special), one)
        np.testing.assert_array_equal(power(special, zero), one)
        np.testing.assert_array_equal(power(zero[:4], growing), zero[:4])
