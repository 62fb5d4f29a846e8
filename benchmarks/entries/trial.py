# SPDX-License-Identifier: Apache-2.0
"""For the tests of the machinery: entries that go well, and one for each way to fail."""

from __future__ import annotations

import os
import time

import jax
import jax.numpy as jnp

from benchmarks.entry import Entry, key, uniform


def on_mps():
    return jax.default_backend() == "mps"


def step(state, x):
    return state + x, jnp.sum(state)


def slow(x):
    time.sleep(100 * on_mps())
    return x


def dead(x):
    if on_mps():
        os._exit(3)
    return x


ENTRIES = [
    Entry("good", lambda x: x + 1, uniform((16,))),
    Entry("random", lambda key: jax.random.bits(key, (16,)), key),
    Entry("threaded", step, lambda random: uniform((16,), (16,))(random), state=True),
    Entry("compiled", lambda x: x * 2, uniform((16,)), figure="compile"),
    Entry("wrong", lambda x: x + on_mps() * 1e-3, uniform((16,))),
    Entry("raises", lambda x: jnp.reshape(x, (3,)), uniform((16,))),
    Entry("elsewhere", lambda x: x, uniform((16,)), jit=False),
    Entry("slow", slow, uniform((16,)), jit=False),
    Entry("dead", dead, uniform((16,)), jit=False),
]
