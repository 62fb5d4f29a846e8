# SPDX-License-Identifier: Apache-2.0
"""Long loops over little data."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.entry import Entry, key, uniform


def scan_tiny(x, series):
    def body(x, new):
        x = jnp.sin(x) * 0.9 + new
        return x, x.sum()

    return jax.lax.scan(body, x, series)


def while_scalar(count, x):
    def body(state):
        i, x = state
        return i + 1, x * 0.999 + 1.0 / (1.0 + x * x)

    return jax.lax.while_loop(lambda state: state[0] < count, body, (jnp.int32(0), x))


def nested_scan(matrix, x, series):
    def inner(x, new):
        return jnp.tanh(matrix @ x + new), None

    def outer(x, new):
        x = jax.lax.scan(inner, x, new)[0]
        return x, x

    return jax.lax.scan(outer, x, series)


def hmc(key, x, precision):
    """1000 draws of ten leapfrog steps each from a normal distribution."""

    def energy(x):
        return 0.5 * jnp.sum(precision * x * x)

    def leap(_, state):
        x, momentum = state
        momentum = momentum - 0.05 * jax.grad(energy)(x)
        x = x + 0.1 * momentum
        return x, momentum - 0.05 * jax.grad(energy)(x)

    def draw(x, key):
        for_momentum, for_choice = jax.random.split(key)
        momentum = jax.random.normal(for_momentum, x.shape)
        proposal, final = jax.lax.fori_loop(0, 10, leap, (x, momentum))
        change = energy(x) - energy(proposal) + 0.5 * (momentum @ momentum - final @ final)
        taken = jnp.log(jax.random.uniform(for_choice)) < change
        return jnp.where(taken, proposal, x), taken

    x, taken = jax.lax.scan(draw, x, jax.random.split(key, 1000))
    return x, taken.sum()


def ode_rk4(y, damping):
    """The van der Pol oscillator."""

    def slope(y):
        return jnp.stack([y[1], damping * (1 - y[0] ** 2) * y[1] - y[0]])

    def step(_, y):
        h = 1e-3
        k1 = slope(y)
        k2 = slope(y + h / 2 * k1)
        k3 = slope(y + h / 2 * k2)
        k4 = slope(y + h * k3)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)

    return jax.lax.fori_loop(0, 10_000, step, y)


def stencil(u):
    """1000 steps of the heat equation on a torus."""

    def step(_, u):
        around = jnp.roll(u, 1, 0) + jnp.roll(u, -1, 0) + jnp.roll(u, 1, 1) + jnp.roll(u, -1, 1)
        return u + 0.2 * (around - 4 * u)

    return jax.lax.fori_loop(0, 1000, step, u)


def while_inputs(random):
    return np.int32(10_000), random.random(dtype=np.float32)


def nested_inputs(random):
    matrix, x, series = uniform((16, 16), (16,), (100, 100, 16))(random)
    return matrix / 4, x, series


def hmc_inputs(random):
    return *key(random), *uniform((8,))(random), 0.5 + random.random(8, dtype=np.float32)


def ode_inputs(random):
    return *uniform((2,))(random), np.float32(0.5 + random.random())


ENTRIES = [
    Entry("scan_10k_tiny", scan_tiny, uniform((8,), (10_000, 8)), rate=10),
    Entry("while_10k_scalar", while_scalar, while_inputs, rate=10),
    Entry("nested_scan", nested_scan, nested_inputs, rate=10),
    Entry("hmc_1k", hmc, hmc_inputs, rate=500),
    Entry("ode_rk4_10k", ode_rk4, ode_inputs, rate=50),
    Entry("stencil_2d_1k_steps", stencil, uniform((256, 256)), rate=10),
]
