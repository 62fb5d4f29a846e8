# SPDX-License-Identifier: Apache-2.0
"""Programs over several processes on loopback, through jax.distributed, and their faults: on the
host engine, or on the device engine that JAX_MPS_DEVICE names, which runs one device a process."""

import glob
import os
import socket
import subprocess
import sys
import time

import in_turn
import pytest

from jax_mps_c import launch

pytest.importorskip("mlx", reason="processes exchange data through MLX")

ENGINE = os.environ.get("JAX_MPS_DEVICE", "host")

PRELUDE = """
import glob, os, sys, threading, time
index, n, port = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
import jax, numpy as np, jax.numpy as jnp
from jax import lax
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
jax.distributed.initialize("127.0.0.1:" + port, n, index, **OPTIONS)
devices = jax.devices()
mesh = Mesh(np.array(devices), ("i",))
N, L = len(devices), len(jax.local_devices())
x = np.arange(N * 2 * N * 3, dtype=np.float32).reshape(N * 2, N * 3)
blocks = x.reshape(N, 2, N * 3)
equal = np.testing.assert_array_equal
def share(a, spec=P("i")):
    return jax.make_array_from_callback(a.shape, NamedSharding(mesh, spec), lambda at: a[at])
def check(array, want):
    for shard in array.addressable_shards:
        equal(np.asarray(shard.data), want[shard.index])
def mapped(f, o=P("i"), i=P("i")):
    return jax.jit(jax.shard_map(f, mesh=mesh, in_specs=i, out_specs=o, check_vma=False))
psum = mapped(lambda v: lax.psum(v, "i"))
"""

PROGRAMS = {
    "devices": """
assert jax.process_index() == index and jax.process_count() == n
assert [d.id for d in devices] == list(range(N)) and N == n * L
assert [d.process_index for d in devices] == [k // L for k in range(N)]
assert [d.id for d in jax.local_devices()] == list(range(index * L, index * L + L))
assert [d.local_hardware_id for d in jax.local_devices()] == list(range(L))""",
    "collectives": """
a = share(x)
check(psum(a), np.tile(blocks.sum(0), (N, 1)))
check(mapped(lambda v: lax.pmax(v, 'i'))(a), np.tile(blocks.max(0), (N, 1)))
check(mapped(lambda v: lax.all_gather(v, 'i', axis=1, tiled=True))(a),
      np.tile(np.concatenate(list(blocks), 1), (N, 1)))
check(mapped(lambda v: lax.all_to_all(v, 'i', 1, 0, tiled=True))(a),
      np.concatenate(np.split(x, N, 1)))
check(mapped(lambda v: lax.psum_scatter(v, 'i', scatter_dimension=1, tiled=True))(a),
      np.concatenate(np.split(blocks.sum(0), N, 1)))
check(mapped(lambda v: lax.ppermute(v, 'i', [(k, (k + 1) % N) for k in range(N)]))(a),
      np.roll(x, 2, 0))
check(mapped(lambda v: lax.ppermute(v, 'i', [(0, 1)]))(a),
      np.concatenate([x[:2] * 0, x[:2]] + [x[:2] * 0] * (N - 2)))
check(mapped(lambda v: lax.all_to_all(v, 'i', 1, 1, tiled=True))(a),
      np.concatenate([np.concatenate(list(blocks[:, :, 3 * k:3 * k + 3]), 1) for k in range(N)]))
check(mapped(lambda v: lax.psum_scatter(v, 'i', tiled=True), P('i'), P(None, 'i'))(
    share(x[:N], P(None, 'i'))), x[:N].reshape(N, N, 3).sum(1))
check(mapped(lambda v: lax.pmin(jnp.where(v > 7, jnp.nan, v), 'i'))(a),
      np.tile(np.where(blocks > 7, np.nan, blocks).min(0), (N, 1)))
for dtype in (bool, np.int8, np.int16, np.uint32, np.float16, np.complex64, jnp.bfloat16):
    y = (x % 5).astype(dtype)  # sums are exact in all of them
    total = sum(y.reshape(N, 2, -1).astype(np.complex64))
    z = mapped(lambda v: lax.psum(v, 'i'))(share(y))
    check(z, np.tile(total.astype(z.dtype), (N, 1)))
    check(mapped(lambda v: lax.pmax(v, 'i'))(share(y)) if dtype != np.complex64 else z,
          np.tile(y.reshape(N, 2, -1).max(0) if dtype != np.complex64 else total, (N, 1)))
check(mapped(lambda v: v * 0 + lax.axis_index('i'))(a), x * 0 + np.arange(N * 2)[:, None] // 2)
for dtype in (bool, np.int8, np.float16, np.complex64, jnp.bfloat16):
    y = x.astype(dtype)
    check(mapped(lambda v: lax.all_gather(v, 'i', axis=1, tiled=True))(share(y)),
          np.tile(np.concatenate(list(y.reshape(N, 2, -1)), 1), (N, 1)))""",
    "engine": """
from jax_mps_c import counters
before = counters.read()
psum(share(x)).block_until_ready()
after = counters.read()
is_device = os.environ["JAX_MPS_DEVICE"] != "host"
assert after["device_runs"] - before["device_runs"] == is_device, (before, after)
own = is_device and os.environ.get("JAX_MPS_COLLECTIVES", "auto") == "auto"
if os.environ["JAX_MPS_DEVICE"] == "gpu":  # one each?
    own &= len(glob.glob("/dev/nvidia[0-9]*")) >= n
assert after["device_collectives"] - before["device_collectives"] == own
assert after["collectives"] - before["collectives"] == L
assert after["oracle_ops"] == before["oracle_ops"]""",
    "groups": """
inside = [list(range(p * L, p * L + L)) for p in range(n)]  # of one process: no wire
across = [[p * L + k for p in range(n)] for k in range(L)]
for groups in (inside, across):
    want = np.empty_like(blocks)
    for g in groups: want[g] = blocks[g].sum(0)
    check(mapped(lambda v: lax.psum(v, 'i', axis_index_groups=groups))(share(x)),
          want.reshape(x.shape))""",
    "loop": """
f = mapped(lambda v: lax.fori_loop(0, 20, lambda k, c: c + lax.psum(v, 'i') * k, v))
check(f(share(x)), x + 190 * np.tile(blocks.sum(0), (N, 1)))""",
    # Between collectives: what the device leaves to the host, and a branch that depends on one.
    "mixed": """
def f(v):
    total, rows = lax.psum(v, 'i'), lax.all_gather(v[:, :1], 'i')
    one = jnp.linalg.cholesky(jnp.eye(2) + 0 * total[:, :2])[0, 0]
    most = lax.pmax(v * one, 'i')
    least = lax.cond(most[0, 0] > -1, lambda: lax.pmin(v, 'i'), lambda: v)
    return total + 3 * most + 5 * least + 7 * rows.sum(0) + lax.psum(least, 'i')
most, least, rows = blocks.max(0), blocks.min(0), blocks[:, :, :1].sum(0)
check(mapped(f)(share(x)), np.tile(blocks.sum(0) + 3 * most + (5 + N) * least + 7 * rows, (N, 1)))""",
    "jit": """
a = share(x)
s = NamedSharding(mesh, P())
check(jax.jit(lambda v: (v @ v.T).sum(0), out_shardings=s)(a), (x @ x.T).sum(0))
check(jax.jit(lambda v: v, out_shardings=NamedSharding(mesh, P(None, 'i')))(a), x)""",
    "utilities": """
local = x[index * 2 * L:(index + 1) * 2 * L]
a = jax.make_array_from_process_local_data(NamedSharding(mesh, P('i')), local)
check(a, x)
multihost_utils.sync_global_devices('here')
equal(multihost_utils.process_allgather(np.array([index])).ravel(), np.arange(n))
equal(multihost_utils.process_allgather(a, tiled=True), x)
equal(multihost_utils.broadcast_one_to_all(np.array([index + 7])), [7])
check(jax.device_put(x, NamedSharding(mesh, P(None, 'i'))), x)""",
    "order": """
a = share(x)
doubled = mapped(lambda v: lax.psum(v, 'i') * 2)
for k in range(10):  # not awaited: the launches overlap
    r, s = psum(a), doubled(a)
check(r, np.tile(blocks.sum(0), (N, 1)))
check(s, np.tile(blocks.sum(0) * 2, (N, 1)))""",
}

# Of two processes of two devices each: they disagree, get an error, and go on.
DISAGREEMENTS = {
    # The first of all, because it counts launches.
    "different_programs": """
a = share(x)
other = mapped(lambda v: lax.psum(v, 'i') * 2)
psum(a).block_until_ready(), other(a).block_until_ready()
try:
    (other if index == 0 else psum)(a).block_until_ready()
except Exception as e:
    assert 'same programs in the same order' in str(e), e
    assert 'process 0 is at launch 3' in str(e), e
else:
    raise AssertionError('no error')
check(psum(a), np.tile(blocks.sum(0), (N, 1)))  # and both go on""",
    "failure_in_one": """
def f(v):  # the participants of process 0 leave the loop one round earlier
    rounds = jnp.where(lax.axis_index('i') < L, 3, 4)
    return lax.while_loop(lambda c: c[0] < rounds,
                          lambda c: (c[0] + 1, lax.psum(c[1], 'i')), (0, v))[1]
a = share(x)
t = time.time()
try:
    mapped(f)(a).block_until_ready()
    assert index == 0, 'no error'
except Exception as e:
    assert index != 0 and 'same programs' in str(e), e
check(psum(a), np.tile(blocks.sum(0), (N, 1)))""",
    # Where all parts of this process are gone, newer versions of JAX refuse it before we are asked.
    "refused_in_one": """
if L > 1 or jax.__version_info__ < (0, 11):
    s = NamedSharding(mesh, P('i'))
    gone = mapped(lambda v: lax.psum(v, 'i') + 1)
    a = share(x)
    check(gone(a), np.tile(blocks.sum(0), (N, 1)) + 1)
    b = share(x)
    if index == 0:
        for shard in b.addressable_shards: shard.data.delete()
    try:
        gone(b).block_until_ready()
    except Exception as e:
        assert ('deleted' if index == 0 else 'failed in another process') in str(e), e
    else:
        raise AssertionError('no error')
    check(psum(a), np.tile(blocks.sum(0), (N, 1)))""",
    "no_local_devices": """
there = NamedSharding(Mesh(np.array(devices[:L]), ("i",)), P('i'))
y = jax.make_array_from_callback((4, L), NamedSharding(there.mesh, P(None, 'i')),
                                 lambda at: np.ones((4, L), np.float32)[at], dtype=np.float32)
z = jax.jit(lambda v: v + 1)(y)
assert len(z.addressable_shards) == (L if index == 0 else 0)
check(z, np.full((4, L), 2, np.float32))
check(psum(share(x)), np.tile(blocks.sum(0), (N, 1)))""",
}

PAIR = {  # of two processes
    # A callback is called once, in process 0, or by each device of a body written per device; each
    # process has its own names for callbacks and partitioners.
    "callbacks": """
from jax.experimental import io_callback
from jax.experimental.custom_partitioning import custom_partitioning
a, seen = share(x), []
def call(v):
    def back(s):
        seen.append(np.array(s))
        return s * np.float32(3)
    return io_callback(back, jax.ShapeDtypeStruct(v.shape, v.dtype), v)
check(jax.jit(lambda v: call(v).sum(0), out_shardings=NamedSharding(mesh, P()))(a), 3 * x.sum(0))
jax.effects_barrier()
assert len(seen) == (index == 0), seen
if seen: equal(seen[0], x)
seen.clear()
check(mapped(lambda v: call(v) + lax.psum(v, 'i'))(a), 3 * x + np.tile(blocks.sum(0), (N, 1)))
jax.effects_barrier()
equal(sorted(s[0, 0] for s in seen), blocks[index * L:index * L + L, 0, 0])
@custom_partitioning
def sine(v):
    return jnp.sin(v)
sine.def_partition(lambda m, args, result: (m, jnp.sin, args[0].sharding, (args[0].sharding,)),
                   sharding_rule="i j -> i j")
got = jax.jit(lambda v: sine(v).sum(0), out_shardings=NamedSharding(mesh, P()))(a)
np.testing.assert_allclose(np.asarray(got), np.sin(x).sum(0), 1e-4, 1e-5)""",
    # Its third run is recorded with its collectives, on GPUs that have their own.
    "recorded": """
from jax_mps_c import counters
w = np.full((N * 3, N * 3), 0.1, np.float32)
def step(v, total, tanh):
    for k in range(6): v = tanh(v @ w) + total(v) / 8
    return v
want = step(blocks, lambda v: v.sum(0), np.tanh).reshape(x.shape)
f, a = mapped(lambda v: step(v, lambda v: lax.psum(v, 'i'), jnp.tanh)), share(x)
before = counters.read()
results = [f(a) for k in range(6)]  # not awaited
for r in results:
    for shard in r.addressable_shards:
        np.testing.assert_allclose(np.asarray(shard.data), want[shard.index], 1e-4)
counted = {k: v - before[k] for k, v in counters.read().items()}
device = os.environ["JAX_MPS_DEVICE"]
own = device != "host" and os.environ.get("JAX_MPS_COLLECTIVES", "auto") == "auto"
gpus = device == "gpu" and len(glob.glob("/dev/nvidia[0-9]*")) >= n
first = int(os.environ.get("JAX_MPS_GRAPHS", 3))
assert counted["collectives"] == 36 * L, counted
assert counted["device_replays"] == (7 - first if own and gpus and first else 0), counted
assert counted["device_collectives"] == (36 if own and (gpus or device != "gpu") else 0), counted""",
    # Three chunks of the wire's.
    "large": """
y = np.random.default_rng(0).random((N, 9_000_000), dtype=np.float32)
total = sum(y[k] for k in range(N))
check(psum(share(y)), np.tile(total, (N, 1)))""",
    # Nobody writes a collective here: all come from the shardings. At the end each process launches
    # another program.
    "partitioned": """
from jax_mps_c import counters
def on(*spec, mesh=mesh): return NamedSharding(mesh, P(*spec))
def put(a, s): return jax.make_array_from_callback(a.shape, s, lambda at: a[at])
rng = np.random.default_rng(0)
def draw(*shape): return rng.standard_normal(shape).astype(np.float32)
def compare(f, arrays, shardings, out=None, same=None):  # with one device: same, or f itself
    want = jax.tree.leaves(jax.jit(same or f)(*arrays))
    before = counters.read()["collectives"]
    got = jax.block_until_ready(jax.jit(f, out_shardings=out)(*map(put, arrays, shardings)))
    assert counters.read()["collectives"] > before, "nothing was exchanged"
    for g, w in zip(jax.tree.leaves(got), map(np.asarray, want), strict=True):
        for shard in g.addressable_shards:
            np.testing.assert_allclose(np.asarray(shard.data), w[shard.index], 1e-4, 1e-5)
def step(w, x, y):
    def loss(w):
        return jnp.mean((lax.scan(lambda h, m: (jnp.tanh(h @ m), None), x, w)[0] - y) ** 2)
    value, slope = jax.value_and_grad(loss)(w)
    return w - slope, value
arrays = draw(3, 8, 8), draw(16, 8), draw(16, 8)
everywhere, rows = on(), on("i")
compare(step, arrays, (everywhere, rows, rows))  # data parallel
parts = on(None, "i")
compare(step, arrays, (parts, rows, rows), (parts, everywhere))  # fully sharded
parts = on(None, None, "i")
compare(step, arrays, (parts, everywhere, everywhere), (parts, everywhere))  # tensor parallel
grid = Mesh(np.array(devices).reshape(n, L), ("a", "b"))  # groups of one process, and across
parts = on(None, None, "b", mesh=grid)
compare(step, arrays, (parts, *[on("a", mesh=grid)] * 2), (parts, on(mesh=grid)))
x = arrays[1]
compare(lambda x: lax.while_loop(lambda c: c.sum() < 1000, lambda c: c + jnp.abs(c.mean(0)) + 1, x),
        (x,), (rows,))
compare(lambda x: lax.with_sharding_constraint(jnp.sin(x), on(None, "i")) * 2, (x,), (rows,), rows,
        lambda x: jnp.sin(x) * 2)

total = jax.jit(lambda v: v.sum(0), out_shardings=everywhere)
products = jax.jit(lambda v: v @ v.T, out_shardings=rows)
v = put(x, rows)
for k in range(10):  # not awaited: the launches overlap, those of shard_map between them
    r, s, t = total(v), products(v), psum(v)
np.testing.assert_allclose(np.asarray(r), x.sum(0), 1e-4, 1e-5)
for shard in s.addressable_shards:
    np.testing.assert_allclose(np.asarray(shard.data), (x @ x.T)[shard.index], 1e-4, 1e-5)
try:
    (products if index == 0 else total)(v).block_until_ready()
except Exception as e:
    assert 'same programs in the same order' in str(e), e
else:
    raise AssertionError('no error')
np.testing.assert_allclose(np.asarray(total(v)), x.sum(0), 1e-4, 1e-5)  # and both go on""",
}

# Of a device engine, which runs programs over several devices on one of each process.
SEVERAL_DEVICES = {
    "refused": """
try:
    psum(share(x))
except Exception as e:
    assert 'over 4 devices, 2 of them of this process, whose mlx engine runs one' in str(e), e
else:
    raise AssertionError('no error')
y = jax.device_put(np.ones(3), jax.local_devices()[1])
equal(np.asarray(jax.jit(lambda v: v + 1)(y)), 2)"""
}

# Of jobs that end: what each process runs, and what the error must say.
FAULTS = {
    "killed": """
a = share(x)
psum(a).block_until_ready()
if index == n - 1:
    os._exit(9)
t = time.time()
try:
    psum(a).block_until_ready()
except Exception as e:
    print('ERROR', e, flush=True)
    assert time.time() - t < LIMIT + 3
    time.sleep(0 if index else 3)  # JAX ends all others when process 0 is gone
    os._exit(7)  # JAX's own exit would wait for the killed process
raise AssertionError('no error')""",
    "late_in_a_program": """
a = share(x)
psum(a).block_until_ready()
if index == 0:
    time.sleep(LIMIT + 6)
    os._exit(7)
t = time.time()
try:
    psum(a).block_until_ready()
except Exception as e:
    assert 'JAX_MPS_COLLECTIVE_TIMEOUT' in str(e), e
    assert LIMIT - 1 < time.time() - t < LIMIT + 3
    try:
        psum(a).block_until_ready()
    except Exception as again:
        assert 'JAX_MPS_COLLECTIVE_TIMEOUT' in str(again), again
        os._exit(7)
raise AssertionError('no error')""",
    "late_client": """
raise AssertionError('process 1 has a client')""",
    "port_in_use": """
raise AssertionError('there is a client')""",
    "no_mlx": """
try:
    psum(share(x))
except Exception as e:
    assert "pip install 'jax-mps-c[distributed]'" in str(e), e
else:
    raise AssertionError('no error')
check(jax.jit(lambda v: v + 1)(share(x)), x + 1)  # without collectives""",
}
LIMIT = 5


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(
    programs: dict[str, str], n: int, devices: int, prelude: str = PRELUDE, **settings: str
) -> list[subprocess.Popen]:
    environment = dict(
        os.environ,
        JAX_PLATFORMS="mps",
        JAX_MPS_NUM_DEVICES=str(devices),
        JAX_MPS_NUM_THREADS="1",
        JAX_MPS_TF32="0",
        JAX_MPS_DEVICE=ENGINE,
        **{"JAX_MPS_COLLECTIVE_TIMEOUT": "60"} | settings,
    )
    options = "OPTIONS = dict(initialization_timeout=60, shutdown_timeout_seconds=20)\n"
    text = f"LIMIT = {LIMIT}\n" + options + in_turn.script(prelude, programs)
    port = str(free_port())
    return [
        subprocess.Popen(
            [sys.executable, "-c", text, str(index), str(n), port],
            env=environment | launch.gpu_for(index),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(n)
    ]


def finish(processes: list[subprocess.Popen], seconds: float = 300) -> list[tuple[int, str, str]]:
    """Exit status and output of each; none may hang."""
    end = time.monotonic() + seconds
    try:
        outcomes = []
        for process in processes:
            out, err = process.communicate(timeout=max(1, end - time.monotonic()))
            outcomes.append((process.returncode, out, err))
        return outcomes
    finally:
        for process in processes:
            process.kill()


ON_HOST = pytest.mark.skipif(ENGINE != "host", reason="of the host engine")
ON_DEVICE = pytest.mark.skipif(ENGINE == "host", reason="of device engines")


# Starting a process takes longer than most programs: a job runs all that are for its shape.
@pytest.mark.parametrize(
    "n, devices, programs",
    [
        pytest.param(2, 2, DISAGREEMENTS | PROGRAMS | PAIR, marks=ON_HOST, id="2x2"),
        pytest.param(2, 1, PAIR, id="2x1"),
        # Else they share memory, as processes of one host do.
        pytest.param(2, 1, PAIR, marks=ON_HOST, id="2x1-ring"),
        pytest.param(2, 1, DISAGREEMENTS, marks=ON_DEVICE, id="2x1-disagreements"),
        # Of a device engine: operands through the host, and not its own collectives.
        pytest.param(3, 1, PROGRAMS, marks=ON_DEVICE, id="3x1-ring"),
        pytest.param(2, 2, SEVERAL_DEVICES, marks=ON_DEVICE, id="2x2-refused"),
        pytest.param(3, 1, PROGRAMS, id="3x1"),
    ],
)
def test_processes(n, devices, programs, request):
    settings = {"JAX_MPS_COLLECTIVES": "ring"} if request.node.callspec.id.endswith("ring") else {}
    outcomes = finish(start(programs, n, devices, **settings))
    errors = [
        f"process {k}: {err[-4000:]}" for k, (status, _, err) in enumerate(outcomes) if status
    ]
    assert not errors, "\n".join(errors)


def start_fault(name: str, n: int, **settings: str) -> list[subprocess.Popen]:
    return start({name: FAULTS[name]}, n, 1, **settings)


@pytest.mark.parametrize("collectives", ["auto", "ring"])
def test_killed_process(collectives):
    settings = {"JAX_MPS_COLLECTIVES": collectives, "JAX_MPS_COLLECTIVE_TIMEOUT": str(LIMIT)}
    processes = start_fault("killed", 3, **settings)
    outcomes = finish(processes, seconds=60)
    assert [status for status, _, _ in outcomes] == [7, 7, 9], outcomes


def test_late_process():
    processes = start_fault("late_in_a_program", 2, JAX_MPS_COLLECTIVE_TIMEOUT=str(LIMIT))
    outcomes = finish(processes, seconds=60)
    assert [status for status, _, _ in outcomes] == [7, 7], outcomes


def test_process_without_a_client():
    """It joined jax.distributed and never asks for a device."""
    sleep = "if not index: time.sleep(LIMIT + 6), os._exit(7)\n"
    prelude = PRELUDE.replace("devices = jax.devices()", sleep + "devices = jax.devices()")
    processes = start_fault(
        "late_client", 2, prelude=prelude, JAX_MPS_COLLECTIVE_TIMEOUT=str(LIMIT)
    )
    first, second = finish(processes, seconds=60)
    assert first[0] == 7
    assert second[0] != 0 and "process 0 of the job's 2 did not come within 5 s" in second[2]


def take_port() -> socket.socket:
    """Listens on a port that the second process of a job can be told to use."""
    for _ in range(100):
        taken = socket.create_server(("127.0.0.1", 0))
        if 1024 < taken.getsockname()[1] <= 65472:  # settings.def has the limits of the first one
            return taken
        taken.close()
    raise AssertionError("no port in the range")


def test_port_in_use():
    with take_port() as taken:
        port = taken.getsockname()[1] - 1
        processes = start_fault(
            "port_in_use",
            2,
            JAX_MPS_COLLECTIVE_PORT=str(port),
            JAX_MPS_COLLECTIVE_TIMEOUT=str(LIMIT),
        )
        first, second = finish(processes, seconds=60)
    assert first[0] != 0 and "process 1 of the job's 2 did not come" in first[2], first
    assert second[0] != 0 and "JAX_MPS_COLLECTIVE_PORT" in second[2], second


def test_without_nccl():
    """Asked for, where no process has a GPU of its own."""
    if len(glob.glob("/dev/nvidia[0-9]*")) > 1:
        pytest.skip("NCCL can serve here")
    for status, _, err in finish(start_fault("no_mlx", 2, JAX_MPS_COLLECTIVES="nccl")):
        assert status != 0 and "nccl, which serves programs with one device of each" in err, err


@ON_HOST
def test_without_mlx():
    """Processes of one host need none; those that ask for its ring do."""
    missing = {"JAX_MPS_MLX_ENGINE": "/nowhere/libjm_engine_mlx.so"}
    total = {"sum": "check(psum(share(x)), np.tile(blocks.sum(0), (N, 1)))"}
    for status, _, err in finish(start(total, 2, 1, **missing)):
        assert status == 0, err[-4000:]
    for status, _, err in finish(start_fault("no_mlx", 2, JAX_MPS_COLLECTIVES="ring", **missing)):
        assert status == 0, err[-4000:]


def test_unknown_collectives():
    for status, _, err in finish(start_fault("no_mlx", 2, JAX_MPS_COLLECTIVES="nothing")):
        assert status != 0 and "JAX_MPS_COLLECTIVES is 'nothing'" in err, err[-4000:]
