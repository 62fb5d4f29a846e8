# SPDX-License-Identifier: Apache-2.0
"""Steps of training and of decoding, as users write them."""

from __future__ import annotations

import functools
import importlib.util
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.entries.kernels import layernorm
from benchmarks.entry import Entry, uniform

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples" / "resnet" / "main.py"


# ---- the ResNet-18 of the examples ----------------------------------------------------------------


@functools.cache
def resnet():
    """The example's module, and the structure and the abstract state of its model and optimizer."""
    import optax
    from flax import nnx

    spec = importlib.util.spec_from_file_location("resnet_example", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)

    def make():
        model = example.ResNet18(nnx.Rngs(0))
        return model, nnx.Optimizer(model, optax.sgd(1e-3, momentum=0.9), wrt=nnx.Param)

    structure, state = nnx.split(nnx.eval_shape(make))
    leaves, tree = jax.tree.flatten_with_path(state)
    return example, structure, leaves, tree


def resnet_step(leaves, images, labels):
    from flax import nnx

    example, structure, _, tree = resnet()
    model, optimizer = nnx.merge(structure, jax.tree.unflatten(tree, leaves))
    loss = example.train_step(model, optimizer, images, labels)
    return jax.tree.leaves(nnx.state((model, optimizer))), loss


def resnet_inputs(random):
    """Weights by their names: the model's own initializers would run programs of their own."""

    def fill(path, leaf):
        name = jax.tree_util.keystr(path)
        if "'kernel'" in name and "opt_state" not in name:
            spread = (2 / np.prod(leaf.shape[:-1])) ** 0.5
            return random.standard_normal(leaf.shape, np.float32) * np.float32(spread)
        ones = "opt_state" not in name and ("'scale'" in name or "'var'" in name)
        return np.full(leaf.shape, ones, leaf.dtype)

    _, _, leaves, _ = resnet()
    images = random.standard_normal((32, 32, 32, 3), np.float32)
    return [fill(*leaf) for leaf in leaves], images, random.integers(0, 10, 32, dtype=np.int32)


def of_resnet(inputs, results):
    """Of each array its norm and its product with a fixed vector.

    Where a value rounds to the other side of a ReLU's zero, single gradients differ, by percents in
    either platform's float32 against float64; the arrays as a whole agree.
    """

    def measures(x):
        x = np.asarray(x, np.float64).ravel()
        return np.array([np.linalg.norm(x), x @ np.cos(np.arange(x.size))], np.float32)

    return [measures(leaf) for leaf in jax.tree.leaves(results)]


# ---- dense layers ---------------------------------------------------------------------------------


def negative_log_likelihood(logits, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], -1).mean()


def mlp_step(weights, images, labels):
    def loss_of(weights):
        x = images
        for matrix, bias in weights[:-1]:
            x = jax.nn.relu(x @ matrix + bias)
        matrix, bias = weights[-1]
        return negative_log_likelihood(x @ matrix + bias, labels)

    loss, gradients = jax.value_and_grad(loss_of)(weights)
    return jax.tree.map(lambda w, g: w - 0.01 * g, weights, gradients), loss


def matrix(random, *shape):
    return random.standard_normal(shape, np.float32) * np.float32(shape[-2] ** -0.5)


def mlp_inputs(random, widths=(784, 512, 512, 10), batch=128):
    weights = [(matrix(random, a, b), np.zeros(b, np.float32)) for a, b in zip(widths, widths[1:])]
    return (
        weights,
        random.standard_normal((batch, widths[0]), np.float32),
        random.integers(0, widths[-1], batch, dtype=np.int32),
    )


# ---- transformers ---------------------------------------------------------------------------------


def heads(x, count):
    return x.reshape(*x.shape[:-1], count, -1).swapaxes(-2, -3)


def block(p, x, count, mask=None):
    """A transformer's layer with the norms before its two halves."""
    normal = layernorm(x, p["scale1"], p["bias1"])
    q, k, v = (heads(part, count) for part in jnp.split(normal @ p["mix"], 3, -1))
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) * q.shape[-1] ** -0.5
    scores = scores if mask is None else jnp.where(mask, scores, -1e9)
    seen = jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(scores), v)
    x = x + seen.swapaxes(-2, -3).reshape(x.shape) @ p["join"]
    normal = layernorm(x, p["scale2"], p["bias2"])
    return x + jax.nn.gelu(normal @ p["up"]) @ p["down"]


def block_weights(random, width):
    ones, zeros = np.ones(width, np.float32), np.zeros(width, np.float32)
    return {
        "scale1": ones,
        "bias1": zeros,
        "mix": matrix(random, width, 3 * width),
        "join": matrix(random, width, width),
        "scale2": ones,
        "bias2": zeros,
        "up": matrix(random, width, 4 * width),
        "down": matrix(random, 4 * width, width),
    }


def gpt_loss(p, text):
    x = p["symbols"][text[:, :-1]] + p["positions"]
    mask = jnp.tril(jnp.ones((x.shape[1], x.shape[1]), bool))
    for layer in p["layers"]:
        x = block(layer, x, 4, mask)
    return negative_log_likelihood(x @ p["symbols"].T, text[:, 1:])


def gpt_step(state, text):
    """A step of Adam."""
    p, first, second, count = state
    loss, gradients = jax.value_and_grad(gpt_loss)(p, text)
    count = count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
    rate = 1e-4 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    # The large epsilon makes a rounding error of a tiny gradient stay one in the weights.
    p = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-3), p, first, second)
    return (p, first, second, count), loss


def gpt_inputs(random, width=256, layers=4, length=256, batch=8, symbols=512):
    p = {
        "symbols": matrix(random, symbols, width),
        "positions": matrix(random, length, width),
        "layers": [block_weights(random, width) for _ in range(layers)],
    }
    zeros = jax.tree.map(np.zeros_like, p)
    text = random.integers(0, symbols, (batch, length + 1), dtype=np.int32)
    return (p, zeros, jax.tree.map(np.zeros_like, p), np.float32(0)), text


def vit_block_grad(p, x, weights):
    return jax.grad(lambda p, x: jnp.sum(block(p, x, 6) * weights), (0, 1))(p, x)


def vit_inputs(random):
    shape = (8, 197, 384)
    return block_weights(random, shape[-1]), *uniform(shape, shape)(random)


def decode(state, p):
    """One symbol after those in the cache, of which `position` are filled."""
    caches, position, symbol = state
    length = caches[0][0].shape[1]
    x = p["symbols"][symbol][None] + jax.lax.dynamic_slice_in_dim(p["positions"], position, 1)
    new = []
    for layer, (keys, values) in zip(p["layers"], caches):
        normal = layernorm(x, layer["scale1"], layer["bias1"])
        q, k, v = (heads(part, 4) for part in jnp.split(normal @ layer["mix"], 3, -1))
        keys = jax.lax.dynamic_update_slice(keys, k, (0, position, 0))
        values = jax.lax.dynamic_update_slice(values, v, (0, position, 0))
        new.append((keys, values))
        scores = jnp.einsum("hqd,hkd->hqk", q, keys) * q.shape[-1] ** -0.5
        scores = jnp.where(jnp.arange(length) <= position, scores, -1e9)
        seen = jnp.einsum("hqk,hkd->hqd", jax.nn.softmax(scores), values)
        x = x + seen.swapaxes(0, 1).reshape(x.shape) @ layer["join"]
        normal = layernorm(x, layer["scale2"], layer["bias2"])
        x = x + jax.nn.gelu(normal @ layer["up"]) @ layer["down"]
    logits = (x @ p["symbols"].T)[0]
    symbol = jnp.argmax(logits).astype(jnp.int32)
    return (new, (position + 1) % length, symbol), logits


def decode_inputs(random, width=256, layers=4, length=1024, symbols=512):
    p = {
        "symbols": matrix(random, symbols, width),
        "positions": matrix(random, length, width),
        "layers": [block_weights(random, width) for _ in range(layers)],
    }
    cache = [tuple(uniform((4, length, width // 4), (4, length, width // 4))(random))] * layers
    return (cache, np.int32(100), np.int32(1)), p


# ---- a recurrent network --------------------------------------------------------------------------


def lstm_loss(p, series, weights):
    matrix, bias = p

    def cell(carry, x):
        h, c = carry
        i, f, g, o = jnp.split(jnp.concatenate([x, h], -1) @ matrix + bias, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((series.shape[1], bias.shape[0] // 4))
    return jnp.sum(jax.lax.scan(cell, (zeros, zeros), series)[1] * weights)


def lstm_grad(p, series, weights):
    return jax.grad(lstm_loss)(p, series, weights)


def lstm_inputs(random, length=128, batch=32, width=64, hidden=128):
    p = matrix(random, width + hidden, 4 * hidden), np.zeros(4 * hidden, np.float32)
    return p, *uniform((length, batch, width), (length, batch, hidden))(random)


ENTRIES = [
    Entry("resnet18_step_b32", resnet_step, resnet_inputs, state=True, judge=of_resnet, rate=1500),
    Entry("mlp_step", mlp_step, mlp_inputs, state=True),
    Entry("gpt_block_step", gpt_step, gpt_inputs, state=True, rate=10),
    Entry("lstm_scan_128_grad", lstm_grad, lstm_inputs, rate=10),
    Entry("vit_block_grad", vit_block_grad, vit_inputs, rate=10),
    Entry("decode_kv_cache", decode, decode_inputs, state=True, rate=10),
]
