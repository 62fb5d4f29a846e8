#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# /// script
# requires-python = ">=3.10"
# dependencies = ["jax-mps-c"]
#
# [tool.uv.sources]
# jax-mps-c = { path = ".." }
# ///
"""Hamiltonian Monte Carlo on a banana-shaped density; one while_loop draws until enough are taken."""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp

LEAPS, STEP = 10, 0.15


def energy(x: jax.Array) -> jax.Array:
    return 0.5 * x[0] ** 2 + 2.0 * (x[1] - 0.5 * x[0] ** 2) ** 2


def leapfrog(x: jax.Array, momentum: jax.Array) -> tuple[jax.Array, jax.Array]:
    slope = jax.grad(energy)

    def leap(_: int, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        x, momentum = state
        momentum = momentum - 0.5 * STEP * slope(x)
        x = x + STEP * momentum
        return x, momentum - 0.5 * STEP * slope(x)

    return jax.lax.fori_loop(0, LEAPS, leap, (x, momentum))


def draw(key: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A proposal, and whether it is taken."""
    key_momentum, key_accept = jax.random.split(key)
    momentum = jax.random.normal(key_momentum, x.shape)
    proposal, final = leapfrog(x, momentum)
    change = energy(x) + 0.5 * momentum @ momentum - energy(proposal) - 0.5 * final @ final
    taken = jnp.log(jax.random.uniform(key_accept)) < change
    return jnp.where(taken, proposal, x), taken


@jax.jit
def sample(key: jax.Array, x: jax.Array, wanted: jax.Array) -> tuple:
    """Draws until `wanted` proposals were taken: last point, draws, mean and mean square."""

    def body(state: tuple) -> tuple:
        draws, taken, x, total, squares = state
        x, good = draw(jax.random.fold_in(key, draws), x)
        return draws + 1, taken + good, x, total + x, squares + x * x

    zeros = jnp.zeros(2)
    draws, _, x, total, squares = jax.lax.while_loop(
        lambda state: state[1] < wanted, body, (0, 0, x, zeros, zeros)
    )
    return x, draws, total / draws, squares / draws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10, help="runs of 100 accepted draws each")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    key = jax.random.key(args.seed)
    for step in range(args.steps):
        # Each run starts afresh: a chain amplifies a last bit without bound, a short one does not.
        run_key = jax.random.fold_in(key, step)
        _, draws, mean, squares = sample(run_key, jnp.zeros(2), jnp.int32(100))
        spread = float(jnp.sqrt(squares[0]))
        print(f"step {step} spread {spread:.8f}")
        print(f"  {int(draws)} draws, mean {float(mean[0]):+.3f} {float(mean[1]):+.3f}")


if __name__ == "__main__":
    main()
