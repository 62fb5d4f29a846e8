# SPDX-License-Identifier: Apache-2.0
"""Layers and steps of networks that no kernel was tuned on."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.entries.models import heads, matrix, negative_log_likelihood
from benchmarks.entry import Entry, key, uniform


def normalized(x):
    x = x - x.mean(-1, keepdims=True)
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5)


def root_normalized(x, scale):
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6) * scale


# ---- convolutions ---------------------------------------------------------------------------------

SEQUENCE = ("NTC", "TIO", "NTC")
IMAGE = ("NHWC", "HWIO", "NHWC")


def dilated(x, filters, dilation):
    """A causal convolution along time."""
    taps = filters.shape[0]
    return jax.lax.conv_general_dilated(
        x,
        filters,
        (1,),
        [((taps - 1) * dilation, 0)],
        rhs_dilation=(dilation,),
        dimension_numbers=SEQUENCE,
    )


def dilated_conv_1d(x, filters):
    return dilated(x, filters, 8)


def wavenet_grad(layers, x):
    """Gated residual layers with dilations 1, 2, 4, ... and skip connections."""

    def loss(layers):
        h, skips = x, 0.0
        for number, (gate, value, mix) in enumerate(layers):
            z = jnp.tanh(dilated(h, value, 2**number)) * jax.nn.sigmoid(dilated(h, gate, 2**number))
            z = z @ mix
            h, skips = h + z, skips + z
        return jnp.mean(jax.nn.relu(skips) ** 2)

    return jax.grad(loss)(layers)


def wavenet_inputs(random, depth=6, channels=32):
    def layer():
        return matrix(random, 2, channels, channels), matrix(random, 2, channels, channels)

    layers = [(*layer(), matrix(random, channels, channels)) for _ in range(depth)]
    return layers, random.standard_normal((4, 2000, channels), np.float32)


def conv3(x, filters, stride=1):
    return jax.lax.conv_general_dilated(
        x, filters, (stride, stride), "SAME", dimension_numbers=IMAGE
    )


def unet_block(x, down, bottom, up):
    skip = jax.nn.silu(conv3(x, down))
    low = jax.nn.silu(conv3(skip, bottom, 2))
    n, h, w, c = low.shape
    high = jax.image.resize(low, (n, 2 * h, 2 * w, c), "nearest")
    return conv3(jnp.concatenate([skip, high], -1), up)


def unet_inputs(random):
    shapes = (3, 3, 16, 32), (3, 3, 32, 64), (3, 3, 96, 16)
    filters = [matrix(random, *shape) * np.float32(0.3) for shape in shapes]
    return random.standard_normal((4, 64, 64, 16), np.float32), *filters


# ---- recurrent ------------------------------------------------------------------------------------


def gru(p, x):
    """All states of a gated recurrent unit over [time, batch, features]."""
    w, u, b = p

    def step(h, x):
        r, z, n = jnp.split(x @ w + b, 3, -1)
        hr, hz, hn = jnp.split(h @ u, 3, -1)
        r, z = jax.nn.sigmoid(r + hr), jax.nn.sigmoid(z + hz)
        h = (1 - z) * jnp.tanh(n + r * hn) + z * h
        return h, h

    h = jnp.zeros((x.shape[1], u.shape[0]), x.dtype)
    return jax.lax.scan(step, h, x)[1]


def gru_scan_grad(p, x):
    return jax.grad(lambda p: jnp.mean(gru(p, x) ** 2))(p)


def gru_inputs(random, width=96):
    p = matrix(random, 64, 3 * width), matrix(random, width, 3 * width), np.zeros(3 * width, "f")
    return p, random.standard_normal((100, 16, 64), np.float32)


# ---- dense ----------------------------------------------------------------------------------------


def mlp_gelu_norm_grad(weights, x):
    def loss(weights):
        h = x
        for w in weights:
            h = normalized(jax.nn.gelu(h @ w))
        return jnp.mean(h**3)

    return jax.grad(loss)(weights)


def mlp_gelu_norm_inputs(random):
    weights = [matrix(random, 256, 256) for _ in range(4)]
    return weights, random.standard_normal((256, 256), np.float32)


def unit_rows_product(x, w):
    return (x / jnp.linalg.norm(x, axis=-1, keepdims=True)) @ w


def moe_layer(x, router, up, down):
    """The best two of eight experts for each of 512 tokens, weighted."""
    weights, chosen = jax.lax.top_k(jax.nn.softmax(x @ router), 2)
    mask = jnp.sum(jax.nn.one_hot(chosen, router.shape[-1]) * weights[..., None], 1)
    h = jax.nn.silu(jnp.einsum("td,edf->etf", x, up))
    return jnp.einsum("etf,efd,te->td", h, down, mask)


def moe_inputs(random, tokens=512, width=128, experts=8):
    return (
        random.standard_normal((tokens, width), np.float32),
        matrix(random, width, experts),
        matrix(random, experts, width, 2 * width),
        matrix(random, experts, 2 * width, width),
    )


def rotated(x, positions):
    """Rotary positions of [..., time, features]."""
    half = x.shape[-1] // 2
    angles = positions[:, None] * 10000.0 ** (-jnp.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def gqa_decode(p, x, keys, values, position):
    """A layer of a decoder for one new symbol: 8 heads share 2 of keys and values."""
    h = root_normalized(x, p["scale1"])
    at = position[None].astype(x.dtype)
    q = rotated((h @ p["q"]).reshape(2, 4, 1, 64), at)
    k = rotated((h @ p["k"]).reshape(2, 1, 64), at)
    keys = jax.lax.dynamic_update_slice(keys, k, (0, position, 0))
    values = jax.lax.dynamic_update_slice(values, (h @ p["v"]).reshape(2, 1, 64), (0, position, 0))
    scores = jnp.einsum("ghqd,gtd->ghqt", q, keys) / 8
    scores = jnp.where(jnp.arange(keys.shape[1]) <= position, scores, -1e30)
    x = x + jnp.einsum("ghqt,gtd->ghqd", jax.nn.softmax(scores), values).reshape(512) @ p["o"]
    h = root_normalized(x, p["scale2"])
    return x + (jax.nn.silu(h @ p["gate"]) * (h @ p["up"])) @ p["down"], keys, values


def gqa_inputs(random):
    shapes = {"q": (512, 512), "k": (512, 128), "v": (512, 128), "o": (512, 512)}
    shapes |= {"gate": (512, 1024), "up": (512, 1024), "down": (1024, 512)}
    p = {name: matrix(random, *shape) for name, shape in shapes.items()}
    p |= {"scale1": np.ones(512, np.float32), "scale2": np.ones(512, np.float32)}
    cache = (2, 1024, 64)
    return p, random.standard_normal(512, np.float32), *uniform(cache, cache)(random), np.int32(700)


def int8_mlp(x, layers):
    """Products of int8 with a scale for each column, requantized between layers."""
    for w, scale in layers:
        size = jnp.max(jnp.abs(x), -1, keepdims=True) / 127
        small = jnp.round(x / size).astype(jnp.int8)
        whole = jax.lax.dot(small, w, preferred_element_type=jnp.int32)
        x = jax.nn.relu(whole.astype(jnp.float32) * size * scale)
    return x


def int8_inputs(random):
    def layer(a, b):
        w = random.integers(-127, 128, (a, b), dtype=np.int8)
        return w, (random.random(b, np.float32) + 0.5) / np.float32(127 * a**0.5)

    return random.standard_normal((64, 512), np.float32), [layer(512, 512) for _ in range(3)]


def vae_grad(p, x, noise):
    def loss(p):
        mean, log_var = jnp.split(jax.nn.relu(x @ p["in"]) @ p["code"], 2, -1)
        z = mean + jnp.exp(0.5 * log_var) * noise
        logits = jax.nn.relu(z @ p["back"]) @ p["out"]
        likelihood = jnp.sum(x * logits - jax.nn.softplus(logits), -1)
        divergence = 0.5 * jnp.sum(jnp.exp(log_var) + mean**2 - 1 - log_var, -1)
        return jnp.mean(divergence - likelihood)

    return jax.value_and_grad(loss)(p)


def vae_inputs(random):
    shapes = {"in": (784, 256), "code": (256, 64), "back": (32, 256), "out": (256, 784)}
    p = {name: matrix(random, *shape) for name, shape in shapes.items()}
    x = (random.random((128, 784)) < 0.3).astype(np.float32)
    return p, x, random.standard_normal((128, 32), np.float32)


def gnn_grad(p, nodes, sources, targets, labels):
    """Two rounds of messages along edges, summed where they arrive."""

    def loss(p):
        h = nodes
        for message, update in p["rounds"]:
            arrived = jax.ops.segment_sum(jax.nn.relu(h @ message)[sources], targets, len(nodes))
            h = jax.nn.relu(jnp.concatenate([h, arrived], -1) @ update)
        return negative_log_likelihood(h @ p["out"], labels)

    return jax.grad(loss)(p)


def gnn_inputs(random, n=5000, edges=40000, width=32):
    rounds = [(matrix(random, width, width), matrix(random, 2 * width, width)) for _ in range(2)]
    ends = random.integers(0, n, (2, edges), dtype=np.int32)
    p = {"rounds": rounds, "out": matrix(random, width, 10)}
    nodes = random.standard_normal((n, width), np.float32)
    return p, nodes, *ends, random.integers(0, 10, n, dtype=np.int32)


def attention_dropout(bits, x):
    """Causal attention whose weights are dropped at random."""
    q, k, v = (heads(part, 4) for part in jnp.split(x, 3, -1))
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, k) * q.shape[-1] ** -0.5
    scores = jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -1e9)
    kept = jax.random.bernoulli(bits, 0.9, scores.shape)
    return jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(scores) * kept / 0.9, v)


ENTRIES = [
    Entry("dilated_conv_1d", dilated_conv_1d, uniform((8, 4000, 32), (2, 32, 32))),
    Entry("wavenet_grad", wavenet_grad, wavenet_inputs, rate=4),
    Entry("unet_block", unet_block, unet_inputs),
    Entry("gru_scan", gru, gru_inputs),
    Entry("gru_scan_grad", gru_scan_grad, gru_inputs, rate=4),
    Entry("mlp_gelu_norm_grad", mlp_gelu_norm_grad, mlp_gelu_norm_inputs, rate=4),
    Entry("unit_rows_product", unit_rows_product, uniform((4096, 256), (256, 64))),
    Entry("moe_layer", moe_layer, moe_inputs),
    Entry("gqa_decode", gqa_decode, gqa_inputs),
    Entry("int8_mlp", int8_mlp, int8_inputs, rate=100),
    Entry("vae_grad", vae_grad, vae_inputs, rate=4),
    # Where the argument of a relu is within rounding of 0, a row of its derivative is there or not:
    # against float64, one in eight inputs is 5e-5 to 9e-5 off, on either platform, the others 2e-7.
    Entry("gnn_grad", gnn_grad, gnn_inputs, rate=10),
    Entry("attention_dropout", attention_dropout, lambda r: (*key(r), *uniform((4, 128, 384))(r))),
]
