# SPDX-License-Identifier: Apache-2.0
"""What runs where: loops that never wait for the device, small values that stay on the host, and
memory that is given back."""

import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import resident
from jax import lax

from jax_mps_c.selftest.harness import run, same

X = np.linspace(-1, 1, 64 * 32, dtype=np.float32).reshape(64, 32)
W = np.linspace(-0.1, 0.1, 32 * 32, dtype=np.float32).reshape(32, 32)


def mps():
    return jax.devices("mps")[0]


def scan(x, w, n):
    def step(h, row):
        h = jnp.tanh(h @ w + row)
        return h, h * 2

    return lax.scan(step, jnp.zeros(x.shape[1]), x[:n])


def slices(x, w, n):
    def step(i, state):
        total, rows = state
        row = lax.dynamic_slice(x, (i, 0), (1, x.shape[1])) @ w
        return total + row, lax.dynamic_update_slice(rows, row, (i, 0))

    return lax.fori_loop(0, n, step, (jnp.zeros((1, x.shape[1])), jnp.zeros_like(x)))


def nested(x, w, n):
    def outer(i, y):
        return lax.fori_loop(0, 1 + i % 3, lambda j, z: jnp.sin(z @ w) + j, y)

    return lax.fori_loop(0, n, outer, x)


def indexed(x, w, n):
    """The counter chooses rows and branches."""

    def step(i, y):
        y = y + x[(i * 7) % x.shape[0]]
        return lax.cond(i % 2 == 0, lambda v: v @ w, lambda v: v * 2, y)

    return lax.fori_loop(0, n, step, jnp.zeros(x.shape[1]))


def bounded(x, w, n):
    """A while loop with a counter."""
    return lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, jnp.tanh(s[1] @ w)), (0, x))[1]


@pytest.mark.parametrize("loop", [scan, slices, nested, indexed, bounded], ids=lambda f: f.__name__)
def test_counted_loops_never_wait(loop, counted):
    for n in (5, 40):

        def function(x, w, n=n):
            return loop(x, w, n)

        inputs = [resident.put(a) for a in (X, W)]
        count = counted()
        results = jax.block_until_ready(jax.jit(function)(*inputs))
        assert count.device_waits == 0
        # With kernels a loop of independent rows is one launch (test_launches.py).
        is_launch = loop in (scan, slices, bounded) and os.environ.get("JAX_MPS_KERNELS") != "0"
        assert count.device_ops >= (1 if is_launch else n), "the loop did not run on the device"
        for mine, theirs in zip(
            jax.tree.leaves(results), jax.tree.leaves(run("cpu", function, (X, W)))
        ):
            same(np.asarray(mine), theirs, 1e-4)


def test_bound_from_the_host(counted):
    """A loop whose bound is an argument, as jax.jit gets it from Python."""
    function = jax.jit(lambda x, n: lax.fori_loop(0, n, lambda i, y: y * 1.5 + i, x))
    inputs = resident.put(X)
    with jax.default_device(mps()):
        for n in (3, 30):
            count = counted()
            result = jax.block_until_ready(function(inputs, n))
            assert count.device_waits == 0
            same(
                np.asarray(result),
                run(
                    "cpu",
                    lambda x, m: lax.fori_loop(0, m, lambda i, y: y * 1.5 + i, x),
                    (X, np.int32(n)),
                ),
                1e-4,
            )


def test_gradient_of_a_scan_never_waits(counted):
    gradient = jax.jit(jax.grad(lambda x, w: scan(x, w, 40)[1].sum(), argnums=1))
    inputs = [resident.put(a) for a in (X, W)]
    count = counted()
    jax.block_until_ready(gradient(*inputs))
    assert count.device_waits == 0
    # With kernels both loops are a launch each.
    assert count.device_ops > (80 if os.environ.get("JAX_MPS_KERNELS") == "0" else 1)


@pytest.mark.parametrize("n", [3, 25])
def test_data_dependent_loops_wait_once_a_round(counted, n):
    def function(x):
        return lax.while_loop(
            lambda s: s[1].max() < n, lambda s: (s[0] * 0.5, s[1] + 1), (x, jnp.zeros_like(x))
        )

    inputs = resident.put(X)
    count = counted()
    result = jax.block_until_ready(jax.jit(function)(inputs))
    assert 0 < count.device_waits <= n + 1
    same(np.asarray(result[0]), X * np.float32(0.5) ** n)


def test_small_integers_stay_on_the_host(counted):
    """Scalars from Python and what is computed from them cost no launch."""
    with jax.default_device(mps()):
        function = jax.jit(lambda i, j: (i * 2 + j) % 7 < 3)
        count = counted()
        assert bool(function(5, 4)) == ((5 * 2 + 4) % 7 < 3)
        assert count.device_ops == 0
        assert count.host_ops > 0
        assert count.device_waits == 0
    x = resident.put(X)
    step = jax.jit(lambda x, i: lax.dynamic_slice(x, (i + 1, 0), (2, x.shape[1])))
    count = counted()
    same(np.asarray(step(x, 3)), X[4:6])
    assert count.device_waits == 0


def test_execute_returns_before_the_end(counted):
    size = 400 if mps().device_kind == "MLX CPU" else 8000
    x = jax.device_put(np.ones((size, size), np.float32), mps())

    @jax.jit
    def long(x):
        for _ in range(8):
            x = jnp.tanh(x @ x * 1e-3)
        return x

    jax.block_until_ready(long(x))
    late = [long(x) for _ in range(4)]
    assert not all(value.is_ready() for value in late), "the calls waited for their results"
    jax.block_until_ready(late)


def test_donation_reaches_the_device():
    """A chain of steps on a donated array holds one of it, and nothing of its size beside it."""
    n_bytes = 64 << 20
    x = jax.block_until_ready(jnp.zeros(n_bytes // 4, jnp.float32, device=mps()) + 1)
    base = mps().memory_stats()["bytes_in_use"]
    step = jax.jit(lambda v: v * 2, donate_argnums=0)
    for _ in range(6):
        x = step(x)
    jax.block_until_ready(x)
    assert mps().memory_stats()["bytes_in_use"] <= base + n_bytes // 8
    assert float(x[0]) == 64


PEAK = """
import jax, jax.numpy as jnp
n = (64 << 20) // 4
device = jax.devices("mps")[0]
x = jax.block_until_ready(jax.device_put(jnp.ones(n), device))
step = jax.jit(lambda v: jnp.sin(v) + 1, {donation})
before = device.memory_stats()["peak_bytes_in_use"]
for _ in range(3):
    x = step(x)
    jax.block_until_ready(x)
print((device.memory_stats()["peak_bytes_in_use"] - before) >> 20)
"""


def test_donation_lowers_the_peak(python):
    peaks = {}
    for donation in ("donate_argnums=0", ""):
        done = python("-c", PEAK.format(donation=donation))
        assert done.returncode == 0, done.stderr
        peaks[donation] = int(done.stdout.split()[-1])
    assert peaks["donate_argnums=0"] <= peaks[""] - 32, peaks


# what may be computed in the donated array's memory, and what may not
IN_PLACE = {
    "elementwise": lambda v: v * 2 + 1,
    "of_its_row": lambda v: jax.nn.softmax(v, -1),
    "two_results": lambda v: (v + 1, v * v),
    "reversed": lambda v: v - jnp.flip(v, 0),
    "reversed_rows": lambda v: v / (1 + jnp.abs(v).sum(-1, keepdims=True)) + jnp.flip(v, -1),
    "transposed": lambda v: v + v.T,
    "shifted": lambda v: v + jnp.roll(v, 1, 0),
    "one_row": lambda v: v + v[3],
    "another_size": lambda v: (v * 2).astype(jnp.bfloat16),
}


@pytest.mark.filterwarnings("ignore:Some donated buffers")
@pytest.mark.parametrize("name", IN_PLACE)
def test_results_in_donated_memory(name):
    x = np.random.default_rng(0).normal(size=(300, 300)).astype(np.float32)
    expected = run("cpu", IN_PLACE[name], [x])
    step = jax.jit(IN_PLACE[name], donate_argnums=0)
    for _ in range(2):
        actual = step(jax.device_put(x, mps()) + 0)
        for mine, theirs in zip(jax.tree.leaves(actual), jax.tree.leaves(expected)):
            same(np.asarray(mine), np.asarray(theirs), 1e-5)


def test_deleted_arrays_free_the_device():
    base = mps().memory_stats()["bytes_in_use"]
    x = jax.block_until_ready(jnp.zeros(32 << 18, jnp.float32, device=mps()) + 1)
    assert mps().memory_stats()["bytes_in_use"] >= base + (32 << 20)
    x.delete()
    # A GPU's memory is MLX's own thread's to give back, soon after the work that used it.
    give_up = time.monotonic() + 5
    while (kept := mps().memory_stats()["bytes_in_use"] - base) > 1 << 20:
        assert time.monotonic() < give_up, f"{kept} bytes are still in use"
        time.sleep(0.001)


def test_the_chip_is_named():
    assert mps().platform == "mps"
    assert mps().device_kind != "host (CPU)"
    assert "MLX" in mps().client.platform_version
    assert mps().memory_stats()["bytes_limit"] > 1 << 30
