# SPDX-License-Identifier: Apache-2.0
"""Programs of many fields, as users write them: what the host is not tuned on decides here."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.entries import wide_nets
from benchmarks.entry import Entry, uniform


def segment_sum_1m(x, segments):
    return jax.ops.segment_sum(x, segments, 1000)


def segment_inputs(random):
    return random.random(10**6, np.float32), random.integers(0, 1000, 10**6, dtype=np.int32)


def kalman(transition, observation, measured):
    """Filters 64 series of 4 states and 2 measurements."""
    noise, error = 0.01 * jnp.eye(4), 0.1 * jnp.eye(2)

    def step(state, y):
        x, p = state
        x, p = transition @ x, transition @ p @ transition.T + noise
        gain = p @ observation.T @ jnp.linalg.inv(observation @ p @ observation.T + error)
        x = x + gain @ (y - observation @ x)
        return (x, p - gain @ observation @ p), x

    def one(series):
        return jax.lax.scan(step, (jnp.zeros(4), jnp.eye(4)), series)[1]

    return jax.vmap(one)(measured)


def kalman_inputs(random):
    transition = np.eye(4, dtype=np.float32) * np.float32(0.95)
    transition[0, 2] = transition[1, 3] = 0.1
    measured = random.standard_normal((64, 200, 2), np.float32)
    return transition, np.eye(2, 4, dtype=np.float32), measured


def k_means(points, centers):
    def step(_, centers):
        distance = jnp.sum(centers**2, -1) - 2 * points @ centers.T
        member = jax.nn.one_hot(jnp.argmin(distance, -1), len(centers), dtype=points.dtype)
        return member.T @ points / jnp.maximum(member.sum(0), 1)[:, None]

    return jax.lax.fori_loop(0, 10, step, centers)


def k_means_inputs(random):
    """Separate clusters: a point between two centers could go to either."""
    centers = 10 * random.standard_normal((16, 8)).astype(np.float32)
    points = centers[random.integers(0, 16, 20000)] + random.standard_normal((20000, 8), np.float32)
    return points, centers + np.float32(0.1)


def sinkhorn(cost):
    n = len(cost)

    def step(_, fg):
        f, g = fg
        f = -jax.nn.logsumexp(g[None, :] - cost * 20, 1) - jnp.log(n)
        return f, -jax.nn.logsumexp(f[:, None] - cost * 20, 0) - jnp.log(n)

    f, g = jax.lax.fori_loop(0, 20, step, (jnp.zeros(n), jnp.zeros(n)))
    return jnp.sum(jnp.exp(f[:, None] + g[None, :] - cost * 20) * cost)


def n_body(x, v, mass):
    def step(_, state):
        x, v = state
        apart = x[None] - x[:, None]
        near = jax.lax.rsqrt(jnp.sum(apart**2, -1) + 0.1)
        v = v + 0.001 * jnp.einsum("ijk,ij->ik", apart, near**3 * mass)
        return x + 0.001 * v, v

    return jax.lax.fori_loop(0, 20, step, (x, v))


def ray_march(origin, directions):
    """Distances along rays to a sphere above a plane, and the light that falls there."""

    def distance(p):
        sphere = jnp.linalg.norm(p - jnp.array([0.0, 0.0, 4.0]), axis=-1) - 1.0
        return jnp.minimum(sphere, p[..., 1] + 1.0)

    def step(_, t):
        return t + 0.9 * distance(origin + t[..., None] * directions)

    t = jax.lax.fori_loop(0, 40, step, jnp.zeros(directions.shape[:-1]))
    return jnp.exp(-0.1 * jnp.minimum(t, 50.0))


def rays(random):
    y, x = np.mgrid[-0.9:-0.1:128j, -1:1:256j].astype(np.float32)
    directions = np.stack([x, y, np.ones_like(x)], -1)
    origin = random.uniform(-0.1, 0.1, 3).astype(np.float32)
    return origin, directions / np.linalg.norm(directions, axis=-1, keepdims=True)


def fft_convolution(x, taps):
    n = x.shape[-1] + taps.shape[-1]
    return jnp.fft.irfft(jnp.fft.rfft(x, n) * jnp.fft.rfft(taps, n), n)[..., : x.shape[-1]]


def bcoo_product(values, indices, dense):
    from jax.experimental import sparse

    return sparse.BCOO((values, indices), shape=(4096, 4096)) @ dense


def bcoo_inputs(random, n=65536):
    places = np.sort(random.choice(4096 * 4096, n, replace=False))
    indices = np.stack(np.divmod(places, 4096), -1).astype(np.int32)
    return random.random(n, np.float32), indices, random.random((4096, 32), np.float32)


def tree_reduction(x):
    while x.shape[0] > 1:
        x = jnp.logaddexp(x[0::2], x[1::2])
    return x[0]


def levenshtein(a, b):
    """Of 64 pairs of texts: a row of the table an iteration, its minimum by an associative scan."""
    ahead = jnp.arange(b.shape[-1] + 1)

    def one(a, b):
        def step(row, letter):
            cost = jnp.minimum(row[1:] + 1, row[:-1] + (b != letter))
            row = jnp.concatenate([row[:1] + 1, cost])
            return jax.lax.cummin(row - ahead) + ahead, None

        return jax.lax.scan(step, ahead, a)[0][-1]

    return jax.vmap(one)(a, b)


def letters(random):
    return tuple(random.integers(0, 4, (64, 128), dtype=np.int32) for _ in range(2))


def beam_search(table, start):
    """The best 8 paths of 50 steps over 256 states."""

    def step(beams, _):
        scores, last = beams
        every = (scores[:, None] + table[last]).reshape(-1)
        scores, at = jax.lax.top_k(every, 8)
        return (scores, at % table.shape[1]), (at // table.shape[1], at % table.shape[1])

    return jax.lax.scan(step, (start, jnp.arange(8)), None, 50)


def beam_inputs(random):
    table = random.standard_normal((256, 256), np.float32)
    return table, random.standard_normal(8, np.float32)


def image_resize(x):
    return jax.image.resize(x, (4, 320, 480, 3), "bicubic")


def gaussian_process(x, y, new):
    def kernel(a, b):
        apart = jnp.sum(a**2, -1)[:, None] + jnp.sum(b**2, -1) - 2 * a @ b.T
        return jnp.exp(-0.5 * apart)

    lower = jnp.linalg.cholesky(kernel(x, x) + 0.1 * jnp.eye(len(x)))
    weights = jax.scipy.linalg.cho_solve((lower, True), y)
    cross = kernel(new, x)
    half = jax.scipy.linalg.solve_triangular(lower, cross.T, lower=True)
    return cross @ weights, 1 - jnp.sum(half**2, 0)


def gaussian_inputs(random):
    x, new = 3 * random.standard_normal((512, 3), np.float32), uniform((256, 3))(random)[0]
    return x, np.sin(x.sum(-1)), new


def gauss_newton(x, t, y):
    """Fits 64 sums of two decaying exponentials, five steps each."""

    def residual(p, y):
        return p[0] * jnp.exp(-p[1] * t) + p[2] * jnp.exp(-p[3] * t) - y

    def one(p, y):
        def step(_, p):
            slope = jax.jacfwd(residual)(p, y)
            normal = slope.T @ slope + 0.1 * jnp.eye(4)
            return p - jnp.linalg.solve(normal, slope.T @ residual(p, y))

        return jax.lax.fori_loop(0, 5, step, p)

    return jax.vmap(one)(x, y)


def gauss_newton_inputs(random):
    t = np.linspace(0, 4, 100, dtype=np.float32)
    truth = random.random((64, 4), np.float32) + np.array([1, 0.2, 1, 2], np.float32)
    y = truth[:, :1] * np.exp(-truth[:, 1:2] * t) + truth[:, 2:3] * np.exp(-truth[:, 3:] * t)
    return truth + np.float32(0.05), t, y


ENTRIES = [
    *wide_nets.ENTRIES,
    Entry("segment_sum_1m", segment_sum_1m, segment_inputs, rate=10),
    Entry("kalman", kalman, kalman_inputs, rate=4),
    Entry("k_means", k_means, k_means_inputs, rate=4),
    Entry("sinkhorn", sinkhorn, uniform((256, 256)), rate=4),
    Entry("n_body", n_body, lambda r: (*uniform((512, 3), (512, 3))(r), r.random(512, np.float32))),
    Entry("ray_march", ray_march, rays, rate=4),
    Entry("fft_convolution", fft_convolution, uniform((64, 4000), (64, 500)), rate=4),
    Entry("bcoo_product", bcoo_product, bcoo_inputs),
    Entry("tree_reduction", tree_reduction, uniform((1 << 18,)), rate=4),
    Entry("levenshtein", levenshtein, letters),
    Entry("beam_search", beam_search, beam_inputs),
    Entry("image_resize", image_resize, uniform((4, 200, 300, 3))),
    Entry("gaussian_process", gaussian_process, gaussian_inputs, rate=50),
    Entry("gauss_newton", gauss_newton, gauss_newton_inputs, rate=20),
]
