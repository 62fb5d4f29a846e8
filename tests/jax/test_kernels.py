# SPDX-License-Identifier: Apache-2.0
"""What compiled kernels make of special values: signed zeros, infinities, NaN, subnormals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

SPECIAL = np.array(
    [0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 0.5, -2.5, 3, 1e10, -1e-10, 100, -88.5], np.float32
)
TINY = np.finfo(np.float32).tiny  # JAX on CPU flushes what is less
# Enough elements that they are compiled and fill whole vectors.
X = np.tile(np.repeat(SPECIAL, SPECIAL.size), 20)
Y = np.tile(np.tile(SPECIAL, SPECIAL.size), 20)


def bits(x):
    """NaNs are one."""
    x = np.asarray(x)
    return np.where(np.isnan(x), 0x7FC00000, x.view(np.int32))


@pytest.mark.parametrize("op", [lax.max, lax.min, lax.add, lax.mul, lax.div])
def test_exact(op):
    want = jax.jit(op)(*jax.device_put((X, Y), jax.devices("cpu")[0]))
    np.testing.assert_array_equal(bits(jax.jit(op)(X, Y)), bits(want))


def test_subnormal_constant():
    """Threads of other libraries may compute without subnormals; what is compiled on them keeps them."""
    tiny = np.float32(-1e-45)
    out = jax.jit(lambda x: jnp.where(x > 0, tiny, x))(X)
    np.testing.assert_array_equal(bits(out), bits(np.where(X > 0, tiny, X)))


@pytest.mark.parametrize(
    "op",
    [
        *(lax.exp, lax.expm1, lax.log, lax.log1p, lax.logistic, lax.tanh, lax.erf, lax.erfc),
        *(lax.sin, lax.cos, lax.tan, lax.sinh, lax.cosh, lax.asinh, lax.acosh, lax.atanh),
        *(lax.asin, lax.acos, lax.cbrt, lax.rsqrt, lax.sqrt, lax.sign, lax.round, lax.floor),
    ],
)
def test_functions(op):
    want = np.asarray(jax.jit(op)(jax.device_put(X, jax.devices("cpu")[0])))
    have = np.asarray(jax.jit(op)(X))
    np.testing.assert_allclose(have, want, rtol=2e-6, atol=TINY)
    zero = want == 0
    np.testing.assert_array_equal(np.signbit(have[zero]), np.signbit(want[zero]))


@pytest.mark.parametrize("op", [lax.pow, lax.atan2, lax.rem, lax.nextafter])
def test_pairs(op):
    want = np.asarray(jax.jit(op)(*jax.device_put((X, Y), jax.devices("cpu")[0])))
    np.testing.assert_allclose(np.asarray(jax.jit(op)(X, Y)), want, rtol=2e-6, atol=TINY)


@pytest.mark.parametrize("n", [9, 16, 37, 100])
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_arguments_of_rows(n, dtype):
    """Ties, signed zeros, NaN and extremes, where the index alone is wanted and with the value."""
    random = np.random.default_rng(n)
    x = random.integers(-2, 3, (300, n)).astype(dtype)
    if dtype == "float32":
        x[(x == 0) & (random.random(x.shape) < 0.5)] = -0.0
        x[1::5][random.random(x[1::5].shape) < 0.1] = np.nan
        x[2], x[4], x[7] = np.inf, -np.inf, np.nan
        x[9], x[9, 3] = 0, -1e-42
    else:
        x[2], x[4] = np.iinfo(dtype).max, np.iinfo(dtype).min
    for ours, numpys in ((jnp.argmin, np.argmin), (jnp.argmax, np.argmax)):
        wanted = numpys(x, -1)
        np.testing.assert_array_equal(jax.jit(lambda x, f=ours: f(x, -1))(x), wanted)
        index, total = jax.jit(lambda x, f=ours: (f(x, -1), (x > x[:, :1]).sum(-1)))(x)
        np.testing.assert_array_equal(index, wanted)
        np.testing.assert_array_equal(total, (x > x[:, :1]).sum(-1))
        hot = jax.jit(lambda x, f=ours: jax.nn.one_hot(f(x, -1), x.shape[-1]))(x)
        np.testing.assert_array_equal(np.asarray(hot).argmax(-1), wanted)


def test_argument_and_value_of_rows():
    """The value keeps its sign where the index is that of another zero."""

    def least(p, q):
        better = (p[0] < q[0]) | (p[0] != p[0])
        first = better | ((p[0] == q[0]) & (p[1] < q[1]))
        return jnp.where(better, p[0], q[0]), jnp.where(first, p[1], q[1])

    x = np.random.default_rng(0).standard_normal((300, 20)).astype(np.float32)
    x[5], x[6, 3] = -0.0, np.nan
    start = jnp.float32(np.inf), jnp.int32(0)
    places = jnp.broadcast_to(jnp.arange(20, dtype=jnp.int32), x.shape)
    value, index = jax.jit(lambda x: lax.reduce((x, places), start, least, (1,)))(x)
    np.testing.assert_array_equal(value, x.min(-1))
    np.testing.assert_array_equal(index, x.argmin(-1))
    assert np.signbit(value[5])
