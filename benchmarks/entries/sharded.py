# SPDX-License-Identifier: Apache-2.0
"""Programs over eight devices of the host, which share its cores."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec as P

from benchmarks.entries.models import gpt_inputs, gpt_step, mlp_inputs, mlp_step
from benchmarks.entry import AXIS, DEVICES, Entry, uniform

ROWS = P(AXIS)
NEXT = [(k, (k + 1) % DEVICES) for k in range(DEVICES)]
BACK = [(to, k) for k, to in NEXT]

# ---- training: what is divided is told from outside, `jit` finds the collectives ------------------


def by_batch(inputs):
    """All devices have the state, each a part of the batch."""
    return (P(), *(ROWS for _ in inputs[1:])), P()


def fully(inputs):
    """Each device has a part of every array of the state, too: its last dimension is divided."""
    state = jax.tree.map(lambda w: P(*[None] * (w.ndim - 1), AXIS) if w.ndim else P(), inputs[0])
    return (state, *(ROWS for _ in inputs[1:])), (state, P())


def by_width(inputs):
    """Layers take turns: one is divided along what it makes, the next along what it takes."""
    turns = [(P(None, AXIS), P(AXIS)), (P(AXIS, None), P())]
    state = [turns[k % 2] for k in range(len(inputs[0]))]
    return (state, *(P() for _ in inputs[1:])), (state, P())


def wide_mlp_inputs(random):
    return mlp_inputs(random, (512, 2048, 512, 2048, 512))


# ---- collectives by name --------------------------------------------------------------------------


def mapped(result):
    """A function of a device's part; the mesh is the one that is set where it is called."""

    def wrap(function):
        @functools.wraps(function)
        def call(x):
            return jax.shard_map(function, in_specs=ROWS, out_specs=result)(x)

        return call

    return wrap


def rows_to(result):
    return lambda inputs: ((ROWS,), result)


@mapped(P())
def all_reduce(x):
    return lax.psum(x, AXIS)


@mapped(ROWS)
def all_to_all(x):
    return lax.all_to_all(x, AXIS, 1, 0, tiled=True)


@mapped(ROWS)
def halo_stencil(x):
    """Twenty steps of diffusion on a torus, of which each device has some rows."""

    def step(_, x):
        above, below = lax.ppermute(x[-1:], AXIS, NEXT), lax.ppermute(x[:1], AXIS, BACK)
        column = jnp.concatenate([above, x, below])
        return (column[:-2] + column[2:] + jnp.roll(x, 1, 1) + jnp.roll(x, -1, 1)) / 4

    return lax.fori_loop(0, 20, step, x)


ENTRIES = [
    Entry(
        "data_mlp_step",
        mlp_step,
        functools.partial(mlp_inputs, batch=1024),
        state=True,
        split=by_batch,
    ),
    Entry("data_gpt_step", gpt_step, gpt_inputs, state=True, rate=10, split=by_batch),
    Entry("sharded_gpt_step", gpt_step, gpt_inputs, state=True, rate=10, split=fully),
    Entry("tensor_mlp_step", mlp_step, wide_mlp_inputs, state=True, split=by_width),
    Entry("all_reduce_4m", all_reduce, uniform((DEVICES, 1 << 22)), split=rows_to(P())),
    Entry("all_to_all_4m", all_to_all, uniform((2048, 2048)), split=rows_to(ROWS)),
    Entry("halo_stencil", halo_stencil, uniform((2048, 1024)), split=rows_to(ROWS)),
]
