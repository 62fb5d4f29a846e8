# SPDX-License-Identifier: Apache-2.0
"""Complex powers at the edges, which MLX computes as exp(b log a)."""

import jax
import jax.numpy as jnp
import numpy as np

from jax_mps_c import counters


def test_complex_powers_of_zero_and_one():
    special = np.array([0, 1, 2.5, 1j, np.inf, np.nan, complex(np.nan, np.inf)], np.complex64)
    growing = np.array([0.25, 1 + 2j, 3, 1e3 - 1j], np.complex64)
    power = jax.jit(jnp.power)
    before = counters.read()["device_ops"]
    np.testing.assert_array_equal(power(np.ones_like(special), special), 1)
    np.testing.assert_array_equal(power(special, np.zeros_like(special)), 1)
    np.testing.assert_array_equal(power(np.zeros_like(growing), growing), 0)
    assert counters.read()["device_ops"] > before
