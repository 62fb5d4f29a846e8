#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# /// script
# requires-python = ">=3.10"
# dependencies = ["jax-mps-c", "flax", "optax", "tqdm"]
#
# [tool.uv.sources]
# jax-mps-c = { path = "../.." }
# ///
"""Trains a ResNet-18 on CIFAR-10 images with Flax NNX and optax.

    JAX_PLATFORMS=mps uv run examples/resnet/main.py --steps=30
    JAX_PLATFORMS=cpu python examples/resnet/main.py --steps=30 --data ~/cifar-10-batches-bin

Without --data the images are made up: ten noisy patterns, which a network can learn to tell apart.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import sys
import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tqdm
from flax import nnx

CLASSES = 10
WARM_UP = 10  # steps, of the learning rate
IMAGE = (32, 32, 3)
RECORD = 1 + 32 * 32 * 3  # of CIFAR-10's binary files: a label, then the red, green, blue planes


class Block(nnx.Module):
    """Two 3x3 convolutions and a way around them."""

    def __init__(self, width_in: int, width: int, stride: int, rngs: nnx.Rngs) -> None:
        def conv(width_in: int, size: int, stride: int) -> nnx.Conv:
            kernel, strides = (size, size), (stride, stride)
            return nnx.Conv(width_in, width, kernel, strides, use_bias=False, rngs=rngs)

        self.conv1 = conv(width_in, 3, stride)
        self.norm1 = nnx.BatchNorm(width, rngs=rngs)
        self.conv2 = conv(width, 3, 1)
        # A block starts as the identity: training is steady from the first step (Goyal et al., 2017).
        self.norm2 = nnx.BatchNorm(width, scale_init=nnx.initializers.zeros, rngs=rngs)
        self.reshapes = stride != 1 or width_in != width
        if self.reshapes:
            self.shortcut = conv(width_in, 1, stride)
            self.norm3 = nnx.BatchNorm(width, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = nnx.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        if self.reshapes:
            x = self.norm3(self.shortcut(x))
        return nnx.relu(x + y)


class ResNet18(nnx.Module):
    """He et al., Deep Residual Learning, with the 3x3 stem for small images."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.stem = nnx.Conv(IMAGE[-1], 64, (3, 3), use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(64, rngs=rngs)
        shapes = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1)]
        shapes += [(128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]
        self.blocks = nnx.Sequential(*(Block(*shape, rngs) for shape in shapes))
        self.head = nnx.Linear(512, CLASSES, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.norm(self.stem(x)))
        return self.head(jnp.mean(self.blocks(x), axis=(1, 2)))


@nnx.jit
def train_step(
    model: ResNet18, optimizer: nnx.Optimizer, images: jax.Array, labels: jax.Array
) -> jax.Array:
    def loss_of(model: ResNet18) -> jax.Array:
        losses = optax.softmax_cross_entropy_with_integer_labels(model(images), labels)
        return losses.mean()

    loss, gradients = nnx.value_and_grad(loss_of)(model)
    optimizer.update(model, gradients)
    return loss


def read_cifar10(folder: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """The training images of CIFAR-10's binary version, as bytes, and their labels."""
    if not folder.is_dir():
        sys.exit(f"--data {folder}: no such folder")
    paths = sorted(folder.glob("data_batch_*.bin"))
    if not paths:
        sys.exit(
            f"--data {folder}: no data_batch_*.bin in it; "
            "the binary version of CIFAR-10 (cifar-10-binary.tar.gz) unpacks to such files"
        )
    records = []
    for path in paths:
        content = np.fromfile(path, np.uint8)
        if content.size == 0 or content.size % RECORD:
            sys.exit(f"{path}: {content.size} bytes, want a multiple of {RECORD}")
        batch = content.reshape(-1, RECORD)
        if (worst := batch[:, 0].max()) >= CLASSES:
            sys.exit(f"{path}: label {worst}, want 0 to {CLASSES - 1}; CIFAR-100 or another file?")
        records.append(batch)
    content = np.concatenate(records)
    planes = content[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), content[:, 0].astype(np.int32)


def make_images(seed: int, count: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    """Ten faint smooth patterns, one a class, under noise; each image has its own brightness."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(40, 200, (CLASSES, 4, 4, 3))
    patterns = coarse.repeat(8, axis=1).repeat(8, axis=2)
    labels = random.integers(CLASSES, size=count, dtype=np.int32)
    light = random.uniform(0.5, 1.0, (count, 1, 1, 1))
    images = patterns[labels] * light + random.normal(20, 60, (count, *IMAGE))
    return images.clip(0, 255).astype(np.uint8), labels


def batches(
    images: np.ndarray, labels: np.ndarray, size: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Shuffled batches for ever; scaled to about mean 0 and variance 1."""
    if len(images) < size:
        sys.exit(f"--batch {size}: the data has only {len(images)} images")
    random = np.random.default_rng(seed)
    while True:
        order = random.permutation(len(images))
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            yield (images[chosen].astype(np.float32) - 120) / 64, labels[chosen]


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=positive, default=30)
    parser.add_argument("--batch", type=positive, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0.1, help="learning rate")
    parser.add_argument("--data", type=pathlib.Path, help="folder with CIFAR-10's data_batch_*.bin")
    parser.add_argument("--report", type=pathlib.Path, help="write losses and times here, as JSON")
    args = parser.parse_args()

    images, labels = read_cifar10(args.data) if args.data else make_images(args.seed)
    device = jax.devices()[0]
    source = args.data or "made-up images"
    print(f"ResNet-18 on {device}, batch {args.batch}, {source}", flush=True)

    model = ResNet18(nnx.Rngs(args.seed))
    schedule = optax.linear_schedule(0.0, args.rate, WARM_UP)
    optimizer = nnx.Optimizer(model, optax.sgd(schedule, momentum=0.9), wrt=nnx.Param)
    losses: list[float] = []
    seconds: list[float] = []
    bar = tqdm.tqdm(
        zip(range(args.steps), batches(images, labels, args.batch, args.seed)),
        total=args.steps,
        unit="step",
    )
    for _, (batch_images, batch_labels) in bar:
        start = time.perf_counter()
        losses.append(float(train_step(model, optimizer, batch_images, batch_labels)))
        seconds.append(time.perf_counter() - start)
        bar.set_postfix_str(f"loss {losses[-1]:.4f}, {seconds[-1] * 1e3:.0f} ms")
    bar.close()

    step = statistics.median(seconds[len(seconds) // 2 :])
    if args.report:
        facts = {
            "device": str(device),
            "kind": device.device_kind,
            "plugin": device.client.platform_version,
            "losses": losses,
            "seconds": seconds,
            "seconds_per_step": step,
        }
        args.report.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print(f"First step, with its compilation: {seconds[0]:.2f} s")
    print(f"Final training loss: {losses[-1]:.4f}")
    print(f"Time per step (second half): {step * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
