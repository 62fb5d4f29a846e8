#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# /// script
# requires-python = ">=3.10"
# dependencies = ["jax-mps-c"]
#
# [tool.uv.sources]
# jax-mps-c = { path = ".." }
# ///
"""An LSTM learns to predict a sum of sine waves; the recurrence is one lax.scan."""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp

HIDDEN, LENGTH, BATCH = 32, 50, 16

Parameters = dict[str, jax.Array]


def make_parameters(key: jax.Array) -> Parameters:
    k1, k2, k3 = jax.random.split(key, 3)
    return {
        "input": jax.random.normal(k1, (1, 4 * HIDDEN)) * 0.5,
        "hidden": jax.random.normal(k2, (HIDDEN, 4 * HIDDEN)) / jnp.sqrt(HIDDEN),
        "bias": jnp.zeros(4 * HIDDEN).at[HIDDEN : 2 * HIDDEN].set(1.0),  # remember at first
        "output": jax.random.normal(k3, (HIDDEN, 1)) / jnp.sqrt(HIDDEN),
    }


def predict(p: Parameters, series: jax.Array) -> jax.Array:
    """For each time the guess of the next value; series is (time, 1)."""

    def cell(carry: tuple, x: jax.Array) -> tuple[tuple, jax.Array]:
        hidden, memory = carry
        gates = x @ p["input"] + hidden @ p["hidden"] + p["bias"]
        take, forget, show, new = jnp.split(gates, 4)
        memory = jax.nn.sigmoid(forget) * memory + jax.nn.sigmoid(take) * jnp.tanh(new)
        hidden = jax.nn.sigmoid(show) * jnp.tanh(memory)
        return (hidden, memory), hidden @ p["output"]

    zeros = jnp.zeros(HIDDEN)
    return jax.lax.scan(cell, (zeros, zeros), series)[1]


def waves(key: jax.Array) -> jax.Array:
    phases = jax.random.uniform(key, (BATCH, 2), maxval=2 * jnp.pi)
    time = jnp.arange(LENGTH + 1.0)
    return jnp.sin(0.3 * time + phases[:, :1]) + 0.5 * jnp.sin(0.7 * time + phases[:, 1:])


@jax.jit
def train_step(p: Parameters, key: jax.Array) -> tuple[Parameters, jax.Array]:
    def loss_of(p: Parameters) -> jax.Array:
        series = waves(key)[..., None]
        guesses = jax.vmap(predict, (None, 0))(p, series[:, :-1])
        return jnp.mean((guesses - series[:, 1:]) ** 2)

    loss, gradients = jax.value_and_grad(loss_of)(p)
    return jax.tree.map(lambda x, g: x - 0.1 * jnp.clip(g, -1, 1), p, gradients), loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    start, stream = jax.random.split(jax.random.key(args.seed))
    p = make_parameters(start)
    for step in range(args.steps):
        p, loss = train_step(p, jax.random.fold_in(stream, step))
        if step < 10 or step % 10 == 0 or step == args.steps - 1:
            print(f"step {step} loss {float(loss):.8f}")


if __name__ == "__main__":
    main()
