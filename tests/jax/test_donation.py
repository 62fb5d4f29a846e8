# SPDX-License-Identifier: Apache-2.0
"""Donation: what it saves, measured; pytrees, names, loops of steps and jax.buffer_donor."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

STEP = """
import resource, sys
import jax, jax.numpy as jnp

def peak():
    # Linux gives ru_maxrss of the process that made this one, if that was larger.
    if sys.platform == "linux":
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

donated = {"yes": (0, 1), "no": ()}[sys.argv[1]]
N = 8 << 20  # 32 MiB of f32 each

def step(parameters, momentum, x):
    gradient = jax.tree.map(lambda p: p * x, parameters)
    momentum = jax.tree.map(lambda m, g: 0.9 * m + g, momentum, gradient)
    return jax.tree.map(lambda p, m: p - 0.1 * m, parameters, momentum), momentum

step = jax.jit(step, donate_argnums=donated)
parameters = {name: jnp.ones(N) for name in "abc"}
momentum = jax.tree.map(jnp.zeros_like, parameters)
for i in range(4):
    parameters, momentum = step(parameters, momentum, jnp.float32(0.5))
    jax.block_until_ready((parameters, momentum))
print(peak(), float(parameters["b"][5]))
"""


def peak(donated):
    done = subprocess.run(
        [sys.executable, "-c", STEP, donated],
        env=os.environ | {"JAX_PLATFORMS": "mps"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    size, value = done.stdout.split()
    return int(size) * (1 if sys.platform == "darwin" else 1024), float(value)


def test_memory_of_a_training_step():
    """Six arrays of 32 MiB are state: with donation they exist once."""
    (kept, value), (given, same) = peak("no"), peak("yes")
    assert value == same
    assert kept - given > 4 * (32 << 20), f"{kept >> 20} MiB, donated {given >> 20} MiB"


@pytest.fixture
def on_mps():
    with jax.default_device(jax.devices("mps")[0]):
        yield


def test_pytrees_and_names(on_mps):
    step = jax.jit(
        lambda state, rate: jax.tree.map(lambda x: x * rate, state), donate_argnames="state"
    )
    state = {"w": jnp.arange(5.0), "b": [jnp.ones((2, 3)), jnp.zeros(())]}
    first = jax.tree.leaves(state)
    for _ in range(50):
        state = step(state=state, rate=jnp.float32(1.01))
    assert all(leaf.is_deleted() for leaf in first)
    np.testing.assert_allclose(state["w"], np.arange(5) * 1.01**50, rtol=1e-5)


def test_in_a_loop(on_mps):
    @jax.jit
    def run(x):
        return jax.lax.fori_loop(0, 10, lambda i, x: x + i, x)

    donating = jax.jit(run, donate_argnums=0)
    x = jnp.zeros(1000)
    y = donating(x)
    assert x.is_deleted()
    np.testing.assert_array_equal(y, np.full(1000, 45.0, np.float32))


def test_same_memory(on_mps):
    """The result is where the donated argument was."""
    x = jnp.arange(100_000.0)
    jax.block_until_ready(x)
    address = x.unsafe_buffer_pointer()
    y = jax.jit(lambda x: x + 1, donate_argnums=0)(x)
    assert jax.block_until_ready(y).unsafe_buffer_pointer() == address
    assert y[7] == 8


def test_buffer_donor(on_mps):
    """An argument that may be donated to any result: JAX says so where results are not known yet."""
    x = jnp.arange(64.0)
    lowered = jax.jit(lambda x: (x.sum(), x * 3)).lower(x)
    module = lowered.compiler_ir("stablehlo")
    with module.context:
        main = next(iter(module.body.operations))
        main.attributes["arg_attrs"] = type(main.attributes["arg_attrs"]).parse(
            "[{jax.buffer_donor = true}]"
        )
    assert "jax.buffer_donor" in lowered.as_text()
    total, y = lowered.compile()(x)
    np.testing.assert_array_equal(y, 3 * np.arange(64, dtype=np.float32))
    assert total == 2016
    assert x.is_deleted()


def test_nothing_to_alias(on_mps):
    """A donated argument that no result can use is kept or dropped, never misused."""
    with pytest.warns(UserWarning, match="donated buffers were not usable"):
        total = jax.jit(lambda x: x.sum(), donate_argnums=0)(jnp.ones((64, 3)))
    assert total == 192
