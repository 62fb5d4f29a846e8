# SPDX-License-Identifier: Apache-2.0
"""What a call costs beside its computation, and what moving data costs."""

from __future__ import annotations

import jax
import numpy as np

from benchmarks.entry import Entry, uniform


def update(*arrays):
    return tuple(x * 0.5 for x in arrays)


@jax.jit
def small(x):
    return x * 0.5 + 1.0


def chain(x):
    """1000 calls, each waiting for nothing but the one before."""
    for _ in range(1000):
        x = small(x)
    return x


def put_get(x):
    """There and back, into memory of our own: else a platform may move nothing at all."""
    return np.array(jax.device_put(x))


def scalar(random):
    return (random.random(dtype=np.float32),)


ENTRIES = [
    Entry("scalar", lambda x: x + 1, scalar),
    Entry("100_args", update, uniform(*[(8,)] * 100)),
    Entry("chain_1000", chain, uniform((8,)), jit=False),
    Entry("put_get_1kb", put_get, uniform((256,)), jit=False, host=True, counted=False),
    Entry("put_get_64mb", put_get, uniform((1 << 24,)), jit=False, host=True, counted=False),
]
