# SPDX-License-Identifier: Apache-2.0
"""Groups of ops that MLX has one function for: that they are found, and mean what the ops mean. What
is no such group is one kernel of ours, so that those tests run where there are none
(JAX_MPS_KERNELS=0, which `make devicetest` does)."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import resident
from jax import lax

from jax_mps_c.selftest.harness import run, same

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(6, 5, 40)).astype(np.float32) * 3
ODD = ROWS.copy()
ODD[0, 0], ODD[0, 1, 3], ODD[0, 2, 5], ODD[0, 3, ::2] = -np.inf, np.nan, np.inf, -np.inf
VECTORS = [RANDOM.normal(size=40).astype(np.float32) for _ in range(2)]
BHTD = [RANDOM.normal(size=(2, 3, t, 16)).astype(np.float32) for t in (7, 9, 9)]
BTHD = [a.transpose(0, 2, 1, 3).copy() for a in BHTD]
MASK = RANDOM.random((2, 3, 7, 9)) < 0.6
BIAS = RANDOM.normal(size=MASK.shape).astype(np.float32)
NOBODY = MASK & (np.arange(7) != 4)[:, None]  # one query sees no key


def scores(q, k, scale=0.25):
    return jnp.einsum("bhqd,bhkd->bhqk", q, k) * scale


def weighted(s, v):
    return jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(s), v)


def logistic(x):
    return 1 / (1 + jnp.exp(-x))


def of_heads(**options):
    return lambda q, k, v: jax.nn.dot_product_attention(q, k, v, **options)


def layer_norm_of_flax(x, weight, bias):
    mean = jnp.mean(x, -1, keepdims=True)
    variance = jnp.maximum(0, jnp.mean(lax.square(x), -1, keepdims=True) - lax.square(mean))
    return (x - mean) * (lax.rsqrt(variance + 1e-6) * weight) + bias


def layer_norm(x, weight, bias):
    variance = x.var(-1, keepdims=True)
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(variance + 1e-5) * weight + bias


def rms_norm(x, weight):
    return x * lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6) * weight


# name: function, inputs, ops that run on the device
FOUND = {
    "softmax": (jax.nn.softmax, [ROWS], 1),
    "softmax_odd": (jax.nn.softmax, [ODD], 1),
    "softmax_1d": (jax.nn.softmax, [ROWS[0, 0]], 1),
    # With kernels the loop is one of ours, a row each.
    "softmax_in_a_loop": (
        lambda x: lax.fori_loop(0, 3, lambda i, y: jax.nn.softmax(y), x),
        [ROWS],
        3 if os.environ.get("JAX_MPS_KERNELS") == "0" else 1,
    ),
    "logistic": (logistic, [ROWS * 40], 1),
    "logistic_odd": (logistic, [ODD], 1),
    "layer_norm_of_flax": (layer_norm_of_flax, [ROWS, *VECTORS], 1),
    "layer_norm": (layer_norm, [ROWS, *VECTORS], 1),
    "rms_norm": (rms_norm, [ROWS, VECTORS[0]], 1),
    # With kernels the bias is one of ours, with what follows it.
    "product_bias": (
        lambda x, w, b: x @ w + b,
        [ROWS, ROWS[0].T, VECTORS[1][:5]],
        1 if os.environ.get("JAX_MPS_KERNELS") == "0" else 2,
    ),
    "attention": (lambda q, k, v: weighted(scores(q, k), v), BHTD, 1),
    "attention_divided": (lambda q, k, v: weighted(scores(q, k, 1) / 4, v), BHTD, 1),
    "attention_unscaled": (lambda q, k, v: weighted(scores(q, k, 1), v), BHTD, 1),
    "attention_one_batch": (
        lambda q, k, v: jnp.einsum(
            "hqk,hkd->hqd", jax.nn.softmax(jnp.einsum("hqd,hkd->hqk", q, k)), v
        ),
        [a[0] for a in BHTD],
        1,
    ),
    "attention_masked": (
        lambda q, k, v, m: weighted(jnp.where(m, scores(q, k), -1e30), v),
        [*BHTD, MASK],
        None,
    ),
    "attention_nobody": (
        lambda q, k, v, m: weighted(jnp.where(m, scores(q, k), -jnp.inf), v),
        [*BHTD, NOBODY],
        None,
    ),
    "attention_nobody_finite": (
        lambda q, k, v, m: weighted(jnp.where(m, scores(q, k), jnp.finfo(jnp.float32).min), v),
        [*BHTD, NOBODY],
        None,
    ),
    "attention_bias": (
        lambda q, k, v, b: weighted(scores(q, k) + b, v),
        [*BHTD, BIAS],
        1,
    ),
    "attention_causal": (
        lambda q, k, v: weighted(jnp.where(jnp.tri(7, 9, dtype=bool), scores(q, k), -1e30), v),
        BHTD,
        None,
    ),
    "attention_of_jax": (of_heads(), BTHD, None),
    "attention_of_jax_causal": (of_heads(is_causal=True), BTHD, None),
    "attention_of_jax_masked": (lambda q, k, v, m: of_heads(mask=m)(q, k, v), [*BTHD, MASK], None),
    "attention_of_jax_biased": (lambda q, k, v, b: of_heads(bias=b)(q, k, v), [*BTHD, BIAS], None),
    "attention_of_jax_grouped": (
        of_heads(scale=0.5),
        [BTHD[0], BTHD[1][:, :, :1], BTHD[2][:, :, :1]],
        None,
    ),
    # Of narrow floats only a GPU has a kernel that rounds as JAX does.
    "attention_of_jax_bfloat16": (
        of_heads(is_causal=True),
        [a.astype(jnp.bfloat16) for a in BTHD],
        None,
    ),
    "attention_of_jax_long_bfloat16": (
        of_heads(is_causal=True),
        [RANDOM.normal(size=(2, t, 3, 64)).astype(jnp.bfloat16) for t in (24, 40, 40)],
        None,
    ),
    "attention_keys_first": (
        lambda q, k, v: jnp.einsum(
            "bhqk,bhkd->bqhd", jax.nn.softmax(jnp.einsum("bhkd,bhqd->bhqk", k, q) / 4), v
        ),
        BHTD,
        None,
    ),
}


def measured(counted, function, inputs):
    inputs = [resident.put(a) for a in inputs]
    jax.block_until_ready(inputs)
    call = jax.jit(function)
    jax.block_until_ready(call(*inputs))
    count = counted()
    result = jax.block_until_ready(call(*inputs))
    return np.asarray(result), count.device_ops


@pytest.mark.parametrize("name", FOUND)
def test_groups_are_found(counted, name):
    function, inputs, n_ops = FOUND[name]
    actual, ops = measured(counted, function, inputs)
    on_cuda = "cuda" in jax.devices()[0].client.platform_version
    if on_cuda and name.startswith("attention"):
        # MLX has a kernel for narrow floats alone there; without ours each op is launched.
        assert ops <= 9 or os.environ.get("JAX_MPS_KERNELS") == "0"
    elif n_ops is not None:
        assert ops == n_ops
    elif not name.endswith("bfloat16"):  # apart from its mask, transposes and conversions
        assert ops <= 9
    is_narrow = actual.dtype == jnp.bfloat16
    same(actual, run("cpu", function, inputs), 2e-2 if is_narrow else 1e-5)


# What looks like a group and is none.
OTHERS = {
    "no_maximum": (lambda x: jnp.exp(x) / jnp.exp(x).sum(-1, keepdims=True), [ROWS]),
    "other_axis": (lambda x: jax.nn.softmax(x, axis=1), [ROWS]),
    "other_maximum": (
        lambda x: (lambda e: e / e.sum(-1, keepdims=True))(jnp.exp(x - x.min(-1, keepdims=True))),
        [ROWS],
    ),
    "seen_inside": (
        lambda x: (
            (lambda e: (e / e.sum(-1, keepdims=True), e))(jnp.exp(x - x.max(-1, keepdims=True)))[0]
            + jnp.exp(x - x.max(-1, keepdims=True))
        ),
        [ROWS],
    ),
    "not_one": (lambda x: 1 / (2 + jnp.exp(-x)), [ROWS]),
    "scaled_after_its_mask": (
        lambda q, k, v, m: weighted(jnp.where(m, scores(q, k), -1.0) * 3, v),
        [*BHTD, MASK],
    ),
    "weights_are_seen": (
        lambda q, k, v: weighted(scores(q, k), v).sum() + jax.nn.softmax(scores(q, k)).sum(),
        BHTD,
    ),
    "bias_of_a_product": (
        lambda q, k, v: weighted(scores(q, k) * scores(q, k), v),
        BHTD,
    ),
    "half": (jax.nn.softmax, [ROWS.astype(np.float16)]),
}


@pytest.mark.skipif(
    os.environ.get("JAX_MPS_KERNELS") != "0", reason="one kernel of ours: see JAX_MPS_KERNELS=0"
)
@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_group(counted, name):
    function, inputs = OTHERS[name]
    actual, ops = measured(counted, function, inputs)
    assert ops > 1
    same(actual, run("cpu", function, inputs), 2e-3 if name == "half" else 1e-5)


def test_gradients_through_groups():
    def loss(q, k, v):
        return (weighted(scores(q, k), v) ** 2).sum()

    for mine, theirs in zip(
        jax.jit(jax.grad(loss, (0, 1, 2)))(*[resident.put(a) for a in BHTD]),
        run("cpu", jax.grad(loss, (0, 1, 2)), BHTD),
    ):
        same(np.asarray(mine), np.asarray(theirs), 1e-4)
