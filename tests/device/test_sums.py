# SPDX-License-Identifier: Apache-2.0
"""Sums of many values stay accurate on the device: a running sum in float32 loses a percent here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_mps_c import counters


@pytest.mark.parametrize(
    "shape, axis",
    [
        ((1_000_000,), 0),
        ((1_000_001, 3), 0),
        ((3, 1_000_001), 1),
        ((1000, 1003), None),
        ((40, 41, 42, 43), (0, 2, 3)),
        ((511, 9), None),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_long_sums(shape, axis, dtype):
    x = np.random.default_rng(0).uniform(0, 1, shape).astype(dtype)
    total = jax.jit(lambda x: jnp.sum(x, axis=axis))
    before = counters.read()["device_ops"]
    got = np.asarray(total(x))
    assert counters.read()["device_ops"] > before
    np.testing.assert_allclose(got, x.astype(np.complex128).sum(axis), rtol=2e-6)


def test_gradient_of_a_mean_over_many_rows():
    """openxla/xla#13054: the gradient is a sum over a million rows."""
    w = np.array([1.0, 2.0, 3.0], np.float32)
    rows = np.ones((1_000_000, 3), np.float32)
    mean = jax.jit(jax.grad(lambda x: jnp.mean(((rows - x) * w).sum(1))))
    np.testing.assert_allclose(mean(np.ones(3, np.float32)), -w, rtol=3e-5)
