# SPDX-License-Identifier: Apache-2.0
"""Single kernels: elementwise, reductions, products, convolutions, random numbers, sorts, moves."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from benchmarks.entry import Entry, key, uniform

M1, M4 = 1 << 20, 1 << 22
ROWS = (4096, 1024)
IMAGES, HEADS = (32, 32, 32, 64), (8, 8, 256, 64)


def chain20(x):
    for _ in range(5):
        x = jnp.maximum(x * 1.01 + 0.1, -x)
    return x


def mean_var(x):
    return x.mean(1), x.var(1)


def layernorm(x, scale, bias):
    mean = x.mean(-1, keepdims=True)
    centred = x - mean
    variance = (centred * centred).mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + 1e-5) * scale + bias


def layernorm_grad(x, scale, bias, weights):
    return jax.grad(lambda *args: jnp.sum(layernorm(*args) * weights), (0, 1, 2))(x, scale, bias)


def cross_entropy(logits, labels):
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)
    return -chosen.mean()


def conv(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def conv_grad(x, kernel, weights):
    return jax.grad(lambda x, kernel: jnp.sum(conv(x, kernel) * weights), (0, 1))(x, kernel)


def depthwise(x, kernel):
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


def attention(q, k, v):
    p = jax.nn.softmax(jnp.einsum("bhqd,bhkd->bhqk", q, k) * q.shape[-1] ** -0.5)
    return jnp.einsum("bhqk,bhkd->bhqd", p, v)


def attention_grad(q, k, v, weights):
    return jax.grad(lambda *args: jnp.sum(attention(*args) * weights), (0, 1, 2))(q, k, v)


def embedding_grad(table, tokens, weights):
    return jax.grad(lambda table: jnp.sum(table[tokens] * weights))(table)


def concat_pad(x, y):
    return jnp.pad(jnp.concatenate([x, y], 1), ((1, 1), (2, 2)))


def layernorm_inputs(random):
    return uniform(ROWS, (1024,), (1024,), ROWS)(random)


def labelled(random):
    return *uniform((256, 32768))(random), random.integers(0, 32768, 256, dtype=np.int32)


def rows_to_gather(random):
    return *uniform((65536, 16))(random), random.integers(0, 65536, M1, dtype=np.int32)


def rows_to_add(random):
    x, values = uniform((65536,), (M1,))(random)
    return x, random.integers(0, 65536, M1, dtype=np.int32), values


def embeddings(random):
    table, weights = uniform((32768, 256), (8, 256, 256))(random)
    return table, random.integers(0, 32768, (8, 256), dtype=np.int32), weights


def complexes(random):
    a, b, c, d = uniform(*[(M1,)] * 4)(random)
    return a + 1j * b, c + 1j * d


def grid_of_complexes(random):
    a, b = uniform((1024, 1024), (1024, 1024))(random)
    return (a + 1j * b,)


BF16 = ml_dtypes.bfloat16

ENTRIES = [
    Entry("add_4m", lambda x, y: x + y, uniform((M4,), (M4,))),
    Entry("gelu_4m", jax.nn.gelu, uniform((M4,))),
    Entry("chain20_4m", chain20, uniform((M4,))),
    Entry("bf16_gelu_4m", jax.nn.gelu, uniform((M4,), dtype=BF16)),
    Entry("f64_gelu_4m", jax.nn.gelu, uniform((M4,), dtype=np.float64), x64=True),
    Entry("complex_mul_1m", lambda x, y: x * y, complexes),
    Entry("sum_all_4m", jnp.sum, uniform((M4,)), rate=10),
    Entry("sum_rows", lambda x: x.sum(1), uniform(ROWS)),
    Entry("sum_cols", lambda x: x.sum(0), uniform(ROWS)),
    Entry("mean_var", mean_var, uniform(ROWS)),
    Entry("softmax_4096x1024", jax.nn.softmax, uniform(ROWS)),
    Entry("layernorm_fwd", layernorm, uniform(ROWS, (1024,), (1024,))),
    Entry("layernorm_grad", layernorm_grad, layernorm_inputs),
    Entry("cross_entropy_32k", cross_entropy, labelled),
    Entry("matmul_1024", jnp.matmul, uniform((1024, 1024), (1024, 1024))),
    Entry("matmul_bf16_1024", jnp.matmul, uniform((1024, 1024), (1024, 1024), dtype=BF16)),
    Entry("bmm_64x128", jnp.matmul, uniform((64, 128, 128), (64, 128, 128))),
    Entry("conv3x3_b32", conv, uniform(IMAGES, (3, 3, 64, 64))),
    Entry("conv3x3_grad", conv_grad, uniform(IMAGES, (3, 3, 64, 64), IMAGES)),
    Entry("depthwise_conv", depthwise, uniform(IMAGES, (3, 3, 1, 64))),
    Entry("attention_fwd", attention, uniform(HEADS, HEADS, HEADS)),
    Entry("attention_grad", attention_grad, uniform(HEADS, HEADS, HEADS, HEADS)),
    Entry("random_normal_1m", lambda key: jax.random.normal(key, (M1,)), key),
    Entry("random_bits_4m", lambda key: jax.random.bits(key, (M4,), np.uint32), key),
    Entry("permutation_1m", lambda key: jax.random.permutation(key, M1), key),
    Entry("sort_4096x1024", lambda x: jnp.sort(x, -1), uniform(ROWS)),
    Entry("argsort_1m", jnp.argsort, uniform((M1,))),
    Entry("top_k", lambda x: jax.lax.top_k(x, 32), uniform((256, 32768))),
    Entry("gather_rows_1m", lambda x, rows: x[rows], rows_to_gather),
    Entry("scatter_add_1m", lambda x, rows, values: x.at[rows].add(values), rows_to_add),
    Entry("embedding_grad", embedding_grad, embeddings),
    Entry("cumsum_4m", jnp.cumsum, uniform((M4,)), rate=10),
    Entry("transpose_4m", jnp.transpose, uniform((2048, 2048))),
    Entry("concat_pad", concat_pad, uniform((2048, 1024), (2048, 1024))),
    Entry("fft_1024x1024", jnp.fft.fft2, grid_of_complexes),
]
