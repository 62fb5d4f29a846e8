#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# /// script
# requires-python = ">=3.10"
# dependencies = ["jax-mps-c"]
#
# [tool.uv.sources]
# jax-mps-c = { path = ".." }
# ///
"""A small network learns the product of two numbers. Plain JAX: jit, value_and_grad, vmap."""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp

WIDTHS = (2, 64, 64, 1)
BATCH = 256

Layers = list[tuple[jax.Array, jax.Array]]


def make_layers(key: jax.Array) -> Layers:
    keys = jax.random.split(key, len(WIDTHS) - 1)
    return [
        (jax.random.normal(k, (n, m)) * jnp.sqrt(2 / n), jnp.zeros(m))
        for k, n, m in zip(keys, WIDTHS, WIDTHS[1:])
    ]


def predict(layers: Layers, x: jax.Array) -> jax.Array:
    """The network's answer for one point."""
    for weight, bias in layers[:-1]:
        x = jnp.tanh(x @ weight + bias)
    weight, bias = layers[-1]
    return (x @ weight + bias)[0]


def loss_of(layers: Layers, points: jax.Array) -> jax.Array:
    answers = jax.vmap(predict, (None, 0))(layers, points)
    return jnp.mean((answers - points[:, 0] * points[:, 1]) ** 2)


@jax.jit
def train_step(layers: Layers, key: jax.Array) -> tuple[Layers, jax.Array]:
    points = jax.random.uniform(key, (BATCH, 2), minval=-1, maxval=1)
    loss, gradients = jax.value_and_grad(loss_of)(layers, points)
    return jax.tree.map(lambda p, g: p - 0.05 * g, layers, gradients), loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    start, stream = jax.random.split(jax.random.key(args.seed))
    layers = make_layers(start)
    for step in range(args.steps):
        layers, loss = train_step(layers, jax.random.fold_in(stream, step))
        if step < 10 or step % 20 == 0 or step == args.steps - 1:
            print(f"step {step} loss {float(loss):.8f}")
    print(f"0.5 * -0.8 is about {float(predict(layers, jnp.array([0.5, -0.8]))):.6f}")


if __name__ == "__main__":
    main()
