#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# /// script
# requires-python = ">=3.10"
# dependencies = ["jax-mps-c[distributed]", "tqdm"]
#
# [tool.uv.sources]
# jax-mps-c = { path = ".." }
# ///
"""A small transformer is trained on several devices, three ways, and on one; the losses are the same.

    python examples/parallel.py --devices 8                                      one process
    python -m jax_mps_c.launch --processes 4 examples/parallel.py --devices 2    four, of two each

data: each device has all parameters and a part of the batch. sharded: it has a part of the parameters
and of the optimizer's state, too. tensor: it has all of the batch and a part of each layer's width.
"""

from __future__ import annotations

import argparse
import os
import pathlib
from typing import Any, Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from tqdm import tqdm

from jax_mps_c import launch

VOCABULARY, WIDTH, HEADS, LAYERS, LENGTH, BATCH = 128, 32, 8, 2, 32, 16
RATE, MOMENTUM = 0.2, 0.9


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--devices", type=int, default=0, help="of each process; default: as set")
    parser.add_argument("--ways", default="data,sharded,tensor")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


Tree = dict[str, Any]
HEAD = WIDTH // HEADS
SHAPES = {
    "symbols": (VOCABULARY, WIDTH),
    "positions": (LENGTH, WIDTH),
    "mix": (LAYERS, WIDTH, 3, HEADS, HEAD),
    "join": (LAYERS, HEADS, HEAD, WIDTH),
    "up": (LAYERS, WIDTH, 4 * WIDTH),
    "down": (LAYERS, 4 * WIDTH, WIDTH),
}
# Which dimension of each parameter is cut, for each way.
SHARDED = {name: P(*([None] * (len(s) - 1)), "i") for name, s in SHAPES.items()}
SHARDED |= {"mix": P(None, "i"), "join": P(None, None, None, "i")}
TENSOR = {
    "symbols": P(),
    "positions": P(),
    "mix": P(None, None, None, "i"),
    "join": P(None, "i"),
    "up": P(None, None, "i"),
    "down": P(None, "i"),
}
WAYS: dict[str, tuple[dict[str, P], P]] = {  # of the parameters, of the batch
    "data": (dict.fromkeys(SHAPES, P()), P("i")),
    "sharded": (SHARDED, P("i")),
    "tensor": (TENSOR, P()),
}


def normalize(x: jax.Array) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6)


def layer(x: jax.Array, w: Tree) -> tuple[jax.Array, None]:
    query, key, value = jnp.einsum("btw,wkhd->kbhtd", normalize(x), w["mix"])
    score = query @ key.swapaxes(-1, -2) / np.sqrt(HEAD)
    score = jnp.where(np.tri(LENGTH, dtype=bool), score, -jnp.inf)
    x = x + jnp.einsum("bhtd,hdw->btw", jax.nn.softmax(score) @ value, w["join"])
    return x + jax.nn.gelu(normalize(x) @ w["up"]) @ w["down"], None


def loss(w: Tree, text: jax.Array) -> jax.Array:
    x = w["symbols"][text[:, :-1]] + w["positions"]
    layers = {name: w[name] for name in ("mix", "join", "up", "down")}
    x = jax.lax.scan(layer, x, layers)[0]
    odds = jax.nn.log_softmax(normalize(x) @ w["symbols"].T)
    return -jnp.mean(jnp.take_along_axis(odds, text[:, 1:, None], axis=-1))


def step(w: Tree, speed: Tree, text: jax.Array) -> tuple[Tree, Tree, jax.Array]:
    value, slope = jax.value_and_grad(loss)(w, text)
    speed = jax.tree.map(lambda v, g: MOMENTUM * v - RATE * g, speed, slope)
    return jax.tree.map(jnp.add, w, speed), speed, value


def train(
    run: Callable,
    place: Callable,
    place_text: Callable,
    title: str,
    first: Tree,
    batches: np.ndarray,
) -> np.ndarray:
    w, speed = place(first), place({k: np.zeros_like(v) for k, v in first.items()})
    losses = []
    bar = tqdm(batches, title, disable=jax.process_index() > 0)
    for text in bar:
        w, speed, value = run(w, speed, place_text(text))
        losses.append(float(value))
        bar.set_postfix(loss=f"{losses[-1]:.4f}")
    return np.array(losses)


def main(options: argparse.Namespace) -> None:
    if options.devices:
        os.environ["JAX_MPS_NUM_DEVICES"] = str(options.devices)  # read when the client starts
    launch.initialize()
    rng = np.random.default_rng(options.seed)
    first = {
        name: (rng.standard_normal(s) / np.sqrt(WIDTH)).astype(np.float32)
        for name, s in SHAPES.items()
    }
    source = np.frombuffer(pathlib.Path(__file__).read_bytes(), np.uint8).astype(np.int32) % 128
    at = rng.integers(0, len(source) - LENGTH - 1, (options.steps, BATCH))
    batches = source[at[:, :, None] + np.arange(LENGTH + 1)]

    here = jax.local_devices()[0]
    alone = train(
        jax.jit(step),
        lambda t: jax.device_put(t, here),
        lambda t: jax.device_put(t, here),
        "one",
        first,
        batches,
    )
    mesh = Mesh(np.array(jax.devices()), ("i",))

    def put(array: np.ndarray, spec: P) -> jax.Array:
        sharding = NamedSharding(mesh, spec)
        return jax.make_array_from_callback(array.shape, sharding, lambda part: array[part])

    for name in options.ways.split(","):
        specs, of_batch = WAYS[name]
        shardings = {k: NamedSharding(mesh, spec) for k, spec in specs.items()}
        results = (shardings, shardings, NamedSharding(mesh, P()))
        losses = train(
            jax.jit(step, out_shardings=results, donate_argnums=(0, 1)),
            lambda tree: {k: put(v, specs[k]) for k, v in tree.items()},
            lambda text: put(text, of_batch),
            name,
            first,
            batches,
        )
        np.testing.assert_allclose(losses, alone, rtol=2e-4)
        if jax.process_index() == 0:
            for i, value in enumerate(losses):
                print(f"{name} step {i} loss {value:.6f}")
    if jax.process_index() == 0:
        print(f"{mesh.size} devices, {jax.process_count()} processes: the losses of one device")


if __name__ == "__main__":
    main(parse())
