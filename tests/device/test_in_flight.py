# SPDX-License-Identifier: Apache-2.0
"""Runs that are submitted while the device still works on others: order, waits, donation.
(Errors: test_failures.py.)"""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import resident

N = 100


def test_dependent_steps_do_not_wait(counted):
    step = jax.jit(lambda x: x * 0.5 + 1)
    x = resident.put(np.arange(1 << 16, dtype=np.float32))
    jax.block_until_ready(step(x))
    count = counted()
    y = x
    for _ in range(N):
        y = step(y)
    result = np.asarray(y)
    assert count.device_runs == N and count.device_waits == 0
    # Landed while others were encoded; waited for one by one only when nothing was left to start.
    assert count.device_drains < N
    expected = np.arange(1 << 16, dtype=np.float32)
    for _ in range(N):
        expected = expected * np.float32(0.5) + np.float32(1)
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_donated_steps():
    step = jax.jit(lambda x, n: (x + n, n * 2), donate_argnums=(0, 1))
    x, n = resident.put(np.zeros((64, 64), np.float32)), resident.put(np.ones(64, np.float32))
    for _ in range(20):
        x, n = step(x, n)
    np.testing.assert_array_equal(np.asarray(x)[0], np.full(64, 2.0**20 - 1, np.float32))


def test_values_that_nobody_waits_for():
    """Buffers are dropped while the device writes to them, and their memory serves again."""
    step = jax.jit(lambda x: jnp.sin(x) @ x)
    x = resident.put(np.eye(256, dtype=np.float32))
    for i in range(50):
        step(x)
        if i % 10 == 0:
            gc.collect()
        fresh = resident.put(np.full((256, 256), i, np.float32))
        np.testing.assert_array_equal(np.asarray(fresh), i)


def test_a_callback_waits_for_an_earlier_program():
    slow = jax.jit(lambda x: jax.lax.fori_loop(0, 20, lambda i, y: jnp.tanh(y @ y), x))
    earlier = slow(resident.put(np.eye(128, dtype=np.float32)))

    def look(x):
        return np.asarray(x) + np.asarray(earlier)[0, 0]

    later = jax.jit(lambda x: jax.pure_callback(look, jax.ShapeDtypeStruct((3,), jnp.float32), x))
    result = np.asarray(later(jnp.arange(3, dtype=jnp.float32)))
    np.testing.assert_allclose(result, np.arange(3) + np.asarray(earlier)[0, 0], rtol=1e-6)
