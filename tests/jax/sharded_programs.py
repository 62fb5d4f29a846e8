# SPDX-License-Identifier: Apache-2.0
"""Programs over eight devices with shardings by chance, each equal to the same program on one:

    sharded_programs.py FIRST LAST

runs the seeds FIRST to LAST - 1. A seed names a program, a mesh, a sharding of each argument and,
for every other seed, one of each result; some arguments are donated.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

MESHES = {(8,): ("a",), (2, 4): ("a", "b"), (2, 2, 2): ("a", "b", "c")}


def mlp(w1, b1, w2, x):
    return jnp.tanh(x @ w1 + b1) @ w2


def train_step(w1, b1, w2, x, y):
    def loss(w1, b1, w2):
        return jnp.mean((mlp(w1, b1, w2, x) - y) ** 2)

    grads = jax.grad(loss, (0, 1, 2))(w1, b1, w2)
    return [w - 0.1 * g for w, g in zip((w1, b1, w2), grads, strict=True)]


def attention(q, k, v):
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / 2
    scores = jnp.where(jnp.tril(jnp.ones((8, 8), bool)), scores, -1e9)
    return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), v)


def layer_norm(x, scale):
    mean = x.mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-5) * scale


def scan(w, x):
    def step(h, v):
        h = jnp.tanh(h @ w + v)
        return h, h.sum(-1)

    return lax.scan(step, jnp.zeros((8, 16)), x)


def loop(x):
    return lax.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, c[1] * 0.5 + c[1].T), (0, x))


def branch(x, y):
    return lax.cond(x.sum() > 0, lambda a, b: a @ b, lambda a, b: a - b, x, y)


def embed(table, ids):
    return jax.grad(lambda t: jnp.sin(t[ids]).sum())(table), table[ids]


def convolve(x, k):
    return lax.conv_general_dilated(
        x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def update(x, y):
    return lax.dynamic_update_slice(x, y, (2, 0)), lax.dynamic_slice(x, (1, 3), (8, 8))


def random(seed):
    key = jax.random.key(seed[0, 0].astype(jnp.uint32))
    return jax.random.uniform(key, (16, 8)), jax.random.normal(key, (8, 24))


def shapes(x):
    y = x.reshape(4, 4, 2, 4).transpose(2, 0, 3, 1).reshape(8, 16)
    return y, jnp.concatenate([x, x[::-1]], 1), jnp.pad(x, ((0, 0), (2, 6))), x[:, 2:6], x[::2]


def constrained(x):
    mesh = jax.sharding.get_abstract_mesh()
    axis = mesh.axis_names[0]
    y = lax.with_sharding_constraint(jnp.sin(x), P(axis))
    return lax.with_sharding_constraint(y @ y.T, P(None, axis))


def mapped(x):
    axis = jax.sharding.get_abstract_mesh().axis_names[-1]

    def body(v):
        return v - lax.psum(v, axis) + lax.axis_index(axis)

    return jax.shard_map(body, in_specs=P(axis), out_specs=P(axis))(x * 2) + 1


# name: (function, shapes of its arguments, kinds: f float, i small integers)
PROGRAMS = {
    "elementwise": (lambda x, y: (jnp.exp(-(x**2)) + y, x > y), [(16, 8), (16, 8)], "ff"),
    "broadcast": (lambda x, y: x[:, None] * y + 1, [(16,), (8,)], "ff"),
    "matmul": (lambda x, y: x @ y, [(16, 8), (8, 24)], "ff"),
    "einsum": (lambda x, y: jnp.einsum("bij,bjk->bik", x, y), [(8, 4, 16), (8, 16, 2)], "ff"),
    "transpose": (lambda x: x.T @ x, [(16, 8)], "f"),
    "reduce": (lambda x: (x.sum(0), x.max(1), x.prod(), x.mean((0, 1))), [(16, 8)], "f"),
    "integers": (lambda x: (x.sum(), (x * 3) // 2, x.min(0), x & 5), [(16, 8)], "i"),
    "softmax": (lambda x: jax.nn.softmax(x) + jax.nn.logsumexp(x, 0), [(16, 8)], "f"),
    "argmax": (lambda x: (x.argmax(0), x.argmin(1)), [(16, 8)], "f"),
    "layer_norm": (layer_norm, [(8, 4, 16), (16,)], "ff"),
    "mlp": (mlp, [(8, 32), (32,), (32, 16), (16, 8)], "ffff"),
    "train_step": (train_step, [(8, 32), (32,), (32, 16), (16, 8), (16, 16)], "fffff"),
    "attention": (attention, [(4, 8, 2, 8)] * 3, "fff"),
    "scan": (scan, [(16, 16), (4, 8, 16)], "ff"),
    "loop": (loop, [(8, 8)], "f"),
    "branch": (branch, [(8, 8), (8, 8)], "ff"),
    "embed": (embed, [(16, 8), (8, 4)], "fi"),
    "convolve": (convolve, [(8, 8, 8, 4), (3, 3, 4, 8)], "ff"),
    "convolve_grad": (
        lambda x, k: jax.grad(lambda k: (convolve(x, k) ** 2).sum())(k),
        [(8, 8, 8, 4), (3, 3, 4, 8)],
        "ff",
    ),
    "pool": (pool, [(8, 8, 8, 4)], "f"),
    "update": (update, [(16, 16), (8, 16)], "ff"),
    "random": (random, [(8, 8)], "i"),
    "shapes": (shapes, [(16, 8)], "f"),
    "sort": (lambda x: (jnp.sort(x, 0), jnp.argsort(x, 1), lax.top_k(x, 3)), [(16, 8)], "f"),
    "cumulative": (lambda x: (x.cumsum(0), x.cumprod(1)), [(16, 8)], "f"),
    "fft": (lambda x: jnp.abs(jnp.fft.fft(x)), [(8, 16)], "f"),
    "cholesky": (
        lambda x: jnp.linalg.cholesky(jnp.einsum("bij,bkj->bik", x, x) + 4 * jnp.eye(4)),
        [(8, 4, 4)],
        "f",
    ),
    "one_hot": (lambda i: jax.nn.one_hot(i, 16).sum(0), [(8, 4)], "i"),
    "outer": (lambda x: jnp.triu(jnp.outer(x, x)) + jnp.arange(16.0)[:, None], [(16,)], "f"),
    "segments": (lambda x, i: jax.ops.segment_sum(x, i[:, 0], 8), [(16, 8), (16, 1)], "fi"),
    "constrained": (constrained, [(16, 8)], "f"),
    "mapped": (mapped, [(16, 8)], "f"),
}


def any_spec(rng, shape, mesh):
    """Axes of the mesh, in any order, for dimensions that they divide."""
    spec, left = [()] * len(shape), list(shape)
    for axis in rng.permutation(mesh.axis_names):
        if not shape or rng.random() < 0.3:
            continue
        d = int(rng.integers(len(shape)))
        if left[d] % mesh.shape[axis] == 0:
            left[d] //= mesh.shape[axis]
            spec[d] += (str(axis),)
    return P(*[s or None for s in spec])


def make_arrays(rng, program):
    _, all_shapes, kinds = PROGRAMS[program]
    for shape, kind in zip(all_shapes, kinds, strict=True):
        if kind == "i":
            yield rng.integers(0, 8, shape).astype(np.int32)
        else:
            yield rng.standard_normal(shape).astype(np.float32)


def run(seed):
    rng = np.random.default_rng(seed)
    program = list(PROGRAMS)[seed % len(PROGRAMS)]
    function = PROGRAMS[program][0]
    devices = jax.devices()
    dims = list(MESHES)[rng.integers(len(MESHES))]
    mesh = Mesh(np.array(devices).reshape(dims), MESHES[dims])
    arrays = list(make_arrays(rng, program))
    specs = [any_spec(rng, a.shape, mesh) for a in arrays]
    name = f"seed {seed}: {program} on {dims}, {specs}"
    with jax.set_mesh(Mesh(np.array(devices[:1]).reshape([1] * len(dims)), MESHES[dims])):
        if program == "mapped":  # what a body per device computes depends on the mesh
            n = dims[-1]
            parts = (arrays[0] * 2).reshape(n, 16 // n, 8)
            index = np.arange(n, dtype=np.float32)[:, None, None]
            want = (parts - parts.sum(0) + index).reshape(16, 8) + 1
        else:
            want = jax.jit(function)(*arrays)
    given = [jax.device_put(a, NamedSharding(mesh, s)) for a, s in zip(arrays, specs, strict=True)]
    with jax.set_mesh(mesh):
        out = None
        if seed // len(PROGRAMS) % 2:
            out = jax.tree.map(lambda w: NamedSharding(mesh, any_spec(rng, w.shape, mesh)), want)
        donated = tuple(k for k in range(len(given)) if rng.random() < 0.4)
        got = jax.jit(function, out_shardings=out, donate_argnums=donated)(*given)
    if out is not None:
        for g, s in zip(jax.tree.leaves(got), jax.tree.leaves(out), strict=True):
            assert g.sharding.is_equivalent_to(s, g.ndim), (name, g.sharding, s)
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        w = np.asarray(w)
        tolerance = dict(rtol=2e-5, atol=2e-5) if w.dtype.kind in "fc" else dict(rtol=0, atol=0)
        np.testing.assert_allclose(np.asarray(g), w, err_msg=name, **tolerance)


def main():
    first, last = map(int, sys.argv[1:])
    failed = 0
    for seed in range(first, last):
        try:
            run(seed)
        except Exception as error:  # all are reported
            failed += 1
            print(f"--- seed {seed}\n{str(error)[:1500]}", file=sys.stderr)
    print(f"{last - first} programs, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
