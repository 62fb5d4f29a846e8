#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# /// script
# requires-python = ">=3.10"
# dependencies = ["jax-mps-c"]
#
# [tool.uv.sources]
# jax-mps-c = { path = ".." }
# ///
"""The Van der Pol oscillator by an adaptive Runge-Kutta method: a while_loop of unknown length."""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp

TOLERANCE = 1e-4


def field(state: jax.Array, stiffness: jax.Array) -> jax.Array:
    x, speed = state
    return jnp.stack([speed, stiffness * (1 - x * x) * speed - x])


def leap(y: jax.Array, h: jax.Array, stiffness: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Bogacki and Shampine's pair: the third-order step and an estimate of its error."""
    k1 = field(y, stiffness)
    k2 = field(y + h * k1 / 2, stiffness)
    k3 = field(y + h * k2 * 3 / 4, stiffness)
    end = y + h * (2 * k1 + 3 * k2 + 4 * k3) / 9
    k4 = field(end, stiffness)
    error = h * (-5 * k1 / 72 + k2 / 12 + k3 / 9 - k4 / 8)
    return end, jnp.max(jnp.abs(error))


@jax.jit
def solve(y: jax.Array, duration: jax.Array, stiffness: jax.Array) -> tuple:
    """The state after `duration`, and how many steps were tried."""

    def body(carry: tuple) -> tuple:
        time, y, h, tries = carry
        h = jnp.minimum(h, duration - time)
        end, error = leap(y, h, stiffness)
        good = error <= TOLERANCE
        factor = jnp.clip(0.9 * jnp.cbrt(TOLERANCE / jnp.maximum(error, 1e-10)), 0.2, 5.0)
        return jnp.where(good, time + h, time), jnp.where(good, end, y), h * factor, tries + 1

    start = (jnp.float32(0), y, jnp.float32(0.01), 0)
    _, y, _, tries = jax.lax.while_loop(lambda carry: carry[0] < duration, body, start)
    return y, tries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10, help="stretches of the path")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    y = jax.random.uniform(jax.random.key(args.seed), (2,), minval=1.0, maxval=2.0)
    for step in range(args.steps):
        y, tries = solve(y, jnp.float32(0.5), jnp.float32(2.0))
        print(f"step {step} energy {float(jnp.sum(y * y)):.8f}")
        print(f"  x {float(y[0]):+.4f}, speed {float(y[1]):+.4f}, {int(tries)} steps tried")


if __name__ == "__main__":
    main()
