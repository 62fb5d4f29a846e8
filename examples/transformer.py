#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# /// script
# requires-python = ">=3.10"
# dependencies = ["jax-mps-c", "optax"]
#
# [tool.uv.sources]
# jax-mps-c = { path = ".." }
# ///
"""A transformer learns its own source text byte by byte, then writes on with a KV cache."""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

VOCABULARY, WIDTH, HEADS, LAYERS, LENGTH, BATCH = 128, 64, 4, 2, 64, 8
HEAD = WIDTH // HEADS

Parameters = dict[str, Any]
Cache = tuple[jax.Array, jax.Array]  # keys and values: layer, head, position, width of a head


def make_parameters(key: jax.Array) -> Parameters:
    def matrix(*shape: int) -> jax.Array:
        nonlocal key
        key, mine = jax.random.split(key)
        return jax.random.normal(mine, shape) / np.sqrt(shape[-2])

    return {
        "symbols": matrix(VOCABULARY, WIDTH),
        "positions": matrix(LENGTH, WIDTH) * 0.1,
        "mix": matrix(LAYERS, WIDTH, 3 * WIDTH),
        "join": matrix(LAYERS, WIDTH, WIDTH) * 0.5,
        "up": matrix(LAYERS, WIDTH, 4 * WIDTH),
        "down": matrix(LAYERS, 4 * WIDTH, WIDTH) * 0.5,
    }


def normalize(x: jax.Array) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6)


def heads(x: jax.Array) -> jax.Array:
    """(position, width) to (head, position, width of a head)"""
    return x.reshape(-1, HEADS, HEAD).transpose(1, 0, 2)


def layer(
    weights: tuple[jax.Array, ...], x: jax.Array, cache: Cache, start: jax.Array | int
) -> tuple[jax.Array, Cache]:
    """One layer for the positions from `start` on, which see everything before them."""
    mix, join, up, down = weights
    query, key, value = (heads(part) for part in jnp.split(normalize(x) @ mix, 3, axis=-1))
    keys = jax.lax.dynamic_update_slice(cache[0], key, (0, start, 0))
    values = jax.lax.dynamic_update_slice(cache[1], value, (0, start, 0))
    scores = jnp.einsum("hqd,hkd->hqk", query, keys) / np.sqrt(HEAD)
    asking = start + jnp.arange(x.shape[0])[:, None]
    scores = jnp.where(jnp.arange(LENGTH)[None, :] <= asking, scores, -1e9)
    seen = jnp.einsum("hqk,hkd->hqd", jax.nn.softmax(scores), values)
    x = x + seen.transpose(1, 0, 2).reshape(x.shape) @ join
    return x + jax.nn.gelu(normalize(x) @ up) @ down, (keys, values)


def apply(
    p: Parameters, text: jax.Array, cache: Cache, start: jax.Array | int
) -> tuple[jax.Array, Cache]:
    """The next symbol's logits at each position of `text`, which begins at `start`."""
    positions = jax.lax.dynamic_slice(p["positions"], (start, 0), (text.shape[0], WIDTH))
    x = p["symbols"][text] + positions

    def body(x: jax.Array, inputs: tuple) -> tuple[jax.Array, Cache]:
        *weights, keys, values = inputs
        return layer(tuple(weights), x, (keys, values), start)

    x, cache = jax.lax.scan(body, x, (p["mix"], p["join"], p["up"], p["down"], *cache))
    return normalize(x) @ p["symbols"].T, cache


def empty_cache() -> Cache:
    zeros = jnp.zeros((LAYERS, HEADS, LENGTH, HEAD))
    return zeros, zeros


def loss_of(p: Parameters, texts: jax.Array) -> jax.Array:
    def one(text: jax.Array) -> jax.Array:
        logits, _ = apply(p, text[:-1], empty_cache(), 0)
        return optax.softmax_cross_entropy_with_integer_labels(logits, text[1:]).mean()

    return jax.vmap(one)(texts).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--decode", type=int, default=24, help="symbols to write at the end")
    args = parser.parse_args()

    source = (
        np.frombuffer(pathlib.Path(__file__).read_bytes(), np.uint8).astype(np.int32) % VOCABULARY
    )
    random = np.random.default_rng(args.seed)
    p = make_parameters(jax.random.key(args.seed))
    optimizer = optax.adamw(optax.linear_schedule(0.0, 3e-3, 20))
    state = optimizer.init(p)

    @jax.jit
    def train_step(
        p: Parameters, state: Any, texts: jax.Array
    ) -> tuple[Parameters, Any, jax.Array]:
        loss, gradients = jax.value_and_grad(loss_of)(p, texts)
        updates, state = optimizer.update(gradients, state, p)
        return optax.apply_updates(p, updates), state, loss

    for step in range(args.steps):
        starts = random.integers(0, len(source) - LENGTH - 1, BATCH)
        texts = np.stack([source[s : s + LENGTH + 1] for s in starts])
        p, state, loss = train_step(p, state, texts)
        if step < 10 or step % 10 == 0 or step == args.steps - 1:
            print(f"step {step} loss {float(loss):.8f}")

    apply_jit = jax.jit(apply)
    text = source[:16]
    logits, cache = apply_jit(p, text, empty_cache(), 0)
    symbols = [int(logits[-1].argmax())]
    while len(symbols) < min(args.decode, LENGTH - 16):
        start = 16 + len(symbols) - 1
        logits, cache = apply_jit(p, jnp.array(symbols[-1:]), cache, start)
        symbols.append(int(logits[-1].argmax()))
    # The same symbols at once, without the cache's help, must have the same logits.
    whole, _ = apply_jit(p, jnp.array([*text, *symbols[:-1]]), empty_cache(), 0)
    error = float(jnp.abs(whole[-1] - logits[-1]).max())
    print(f"decoded {symbols}")
    print(f"largest difference of a logit with and without the cache: {error:.1e}")
    if error > 1e-3:
        raise SystemExit("the KV cache gives other logits")


if __name__ == "__main__":
    main()
