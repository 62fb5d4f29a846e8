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
