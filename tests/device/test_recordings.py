# SPDX-License-Identifier: Apache-2.0
"""Recordings: programs of many launches as CUDA graphs (src/engine/mlx/replay.h). They need an NVIDIA
GPU; elsewhere a test sees to it that nothing is recorded.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jax_mps_c import counters

on_cuda = pytest.mark.skipif(
    os.environ.get("JAX_MPS_DEVICE") != "gpu"
    or "cuda" not in jax.devices()[0].client.platform_version,
    reason="needs an NVIDIA GPU",
)
RUNS = 6


def step(state, x):
    """Products and reductions that are no single kernel."""
    for w in state:
        x = jnp.tanh(x @ w)
        x = x - x.mean(-1, keepdims=True)
    return [w + 0.01 * x.T @ x for w in state], x.sum()


def arguments(seed=0, n=16, layers=6):
    random = np.random.default_rng(seed)
    state = [random.standard_normal((n, n)).astype(np.float32) / 4 for _ in range(layers)]
    return state, random.standard_normal((n, n)).astype(np.float32)


def expected(state, x):
    cpu = jax.devices("cpu")[0]
    return jax.jit(step)(*jax.device_put((state, x), cpu))


def check(actual, wanted):
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=2e-3, atol=2e-3)


def counted(name, function):
    before = counters.read()[name]
    jax.block_until_ready(function())
    return counters.read()[name] - before


@pytest.mark.skipif(os.environ.get("JAX_MPS_DEVICE") == "gpu", reason="MLX's CPU device")
def test_only_cuda_records():
    call = jax.jit(step)
    state, x = arguments()

    def run():
        return [call(state, x) for _ in range(RUNS)]

    assert counted("device_runs", run) == RUNS
    assert counted("device_recordings", run) == counted("device_replays", run) == 0


@on_cuda
def test_same_arguments():
    call = jax.jit(step)
    state, x = jax.device_put(arguments())
    results = [call(state, x)]

    def run():
        results.extend(call(state, x) for _ in range(RUNS))
        return results

    assert counted("device_replays", run) == RUNS - 1  # the third run is recorded
    for result in results:  # each in memory of its own
        check(result, expected(*arguments()))


@on_cuda
@pytest.mark.parametrize("donate", [(), (0,)])
def test_state_moves(donate):
    """A training loop: each step's state is another array."""
    call = jax.jit(step, donate_argnums=donate)
    state, x = jax.device_put(arguments())
    wanted, batch = arguments()

    def run():
        nonlocal state, wanted
        for i in range(3 * RUNS):
            state, loss = call(state, x + i)
            wanted, wanted_loss = expected(wanted, batch + np.float32(i))
            check((state, loss), (wanted, wanted_loss))

    assert counted("device_replays", run) >= RUNS


@on_cuda
def test_arguments_of_the_host():
    call = jax.jit(lambda state, x, rate, i: step([w * rate for w in state], x * i))
    state, x = jax.device_put(arguments())

    def run():
        for i in range(RUNS):
            rate = np.float32(1 / (i + 1))
            host_state, host_x = arguments()
            check(
                call(state, x, rate, np.int32(i)),
                expected([w * rate for w in host_state], host_x * np.int32(i)),
            )

    assert counted("device_replays", run) >= 2


@on_cuda
def test_another_argument_after_the_recording():
    call = jax.jit(step)
    first = jax.device_put(arguments())
    for _ in range(RUNS):
        call(*first)
    second = jax.device_put(arguments(1))
    check(call(*second), expected(*arguments(1)))
    check(call(*first), expected(*arguments()))
    for _ in range(RUNS):
        check(call(*second), expected(*arguments(1)))


@on_cuda
def test_many_in_flight():
    call = jax.jit(step)
    state, x = jax.device_put(arguments())
    for _ in range(RUNS):
        call(state, x)
    xs = [x * i for i in range(50)]
    for i, result in enumerate([call(state, y) for y in xs]):
        host_state, host_x = arguments()
        check(result, expected(host_state, host_x * np.float32(i)))


@on_cuda
def test_results_that_are_arguments_or_constants():
    call = jax.jit(lambda state, x: (step(state, x), x, jnp.int32(3), jnp.ones(4)))
    state, x = jax.device_put(arguments())
    for i in range(RUNS):
        result, same, three, ones = call(state, x + i)
        host_state, host_x = arguments()
        check(result, expected(host_state, host_x + np.float32(i)))
        np.testing.assert_array_equal(np.asarray(same), host_x + np.float32(i))
        assert int(three) == 3 and np.asarray(ones).tolist() == [1] * 4


@on_cuda
def test_constants_stay():
    """Counters of random bits are a constant; op by op (JAX_MPS_KERNELS=0) MLX adds to it in place."""

    def bits(key):
        return jax.random.bits(jax.random.wrap_key_data(key), (7,))

    call, cpu = jax.jit(bits), jax.devices("cpu")[0]
    for i in range(RUNS):
        key = np.array([i, 1], np.uint32)
        wanted = jax.jit(bits)(jax.device_put(key, cpu))
        np.testing.assert_array_equal(np.asarray(call(key)), np.asarray(wanted))


@on_cuda
def test_loops_and_branches_by_data_are_walked():
    def function(state, x, n):
        x = jax.lax.fori_loop(0, n, lambda i, y: step(state, y)[0][0], x)
        return step(state, x)

    call = jax.jit(function)
    state, x = jax.device_put(arguments())
    results = [np.asarray(call(state, x, n)[1]) for n in (1, 2, 1, 2, 1, 2)]
    assert results[0] == results[2] == results[4] and results[1] == results[3] == results[5]
    assert results[0] != results[1]
    assert counted("device_replays", lambda: call(state, x, 1)) == 0


@on_cuda
def test_a_dropped_program_and_its_memory():
    state, x = jax.device_put(arguments())
    for i in range(20):
        call = jax.jit(lambda state, x, i=i: step(state, x * i))
        for _ in range(4):
            result = call(state, x)
        host_state, host_x = arguments()
        check(result, expected(host_state, host_x * np.float32(i)))
        del call
    jax.clear_caches()
    check(jax.jit(step)(state, x), expected(*arguments()))
