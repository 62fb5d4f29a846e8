# SPDX-License-Identifier: Apache-2.0
"""Programs over eight devices of the host, in a process of their own: the number of devices is
fixed when the client is made."""

import os
import subprocess
import sys

import in_turn
import pytest

PRELUDE = """
import threading, time
import jax, numpy as np, jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
devices = jax.devices("mps")
assert len(devices) == 8
mesh = Mesh(np.array(devices), ("i",))
grid = Mesh(np.array(devices).reshape(2, 4), ("a", "b"))
shard_map = jax.shard_map
def run(f, x, m=mesh, i=P("i"), o=P("i"), **kw):
    g = jax.jit(shard_map(f, mesh=m, in_specs=i, out_specs=o, check_vma=False, **kw))
    return np.asarray(g(jax.device_put(x, NamedSharding(m, i))))
x = np.arange(128, dtype=np.float32).reshape(16, 8)
blocks = x.reshape(8, 2, 8)
equal = np.testing.assert_array_equal
"""

PROGRAMS = {
    "psum": "equal(run(lambda v: lax.psum(v, 'i'), x), np.tile(blocks.sum(0), (8, 1)))",
    # Eight results of 4.4 MB: more than the last cache of most machines; parts of no round size.
    "large": """
y = np.arange(8 * 1100001, dtype=np.int32).reshape(8, -1)
equal(run(lambda v: lax.psum(v, 'i'), y), np.tile(y.sum(0, dtype=np.int32), (8, 1)))
equal(run(lambda v: lax.psum(v[:, :1001], 'i'), y), np.tile(y[:, :1001].sum(0), (8, 1)))
equal(run(lambda v: lax.all_gather(v[:, :137501], 'i', tiled=True)[None], y), np.stack([y[:, :137501]] * 8))
equal(run(lambda v: lax.ppermute(v, 'i', [(k, (k + 3) % 8) for k in range(8)]), y), np.roll(y, 3, 0))""",
    "pmax": "equal(run(lambda v: lax.pmax(v, 'i'), x), np.tile(blocks.max(0), (8, 1)))",
    "all_gather": """
got = run(lambda v: lax.all_gather(v, 'i', axis=1, tiled=True), x)
equal(got, np.tile(np.concatenate(list(blocks), 1), (8, 1)))""",
    "ppermute": """
got = run(lambda v: lax.ppermute(v, 'i', [(k, k + 1) for k in range(7)]), x)
equal(got, np.concatenate([np.zeros((2, 8)), x[:14]]))""",
    "all_to_all": """
got = run(lambda v: lax.all_to_all(v, 'i', 1, 0, tiled=True), x)
equal(got, np.concatenate(np.split(x, 8, 1)))""",
    "psum_scatter": """
got = run(lambda v: lax.psum_scatter(v, 'i', scatter_dimension=1, tiled=True), x)
equal(got, np.concatenate(np.split(blocks.sum(0), 8, 1)))""",
    # Collectives in two halves, in the form that jax 0.10 has; others may run between them.
    "async": """
if jax.__version_info__[:2] == (0, 10):
    from jax._src.lax import parallel
    ring = [(k, (k + 1) % 8) for k in range(8)]
    equal(run(lambda v: parallel.psum_start(v, 'i').done(), x), np.tile(blocks.sum(0), (8, 1)))
    equal(run(lambda v: parallel.ppermute_start(v, 'i', ring).done(), x), np.roll(x, 2, 0))
    def f(v):
        first = parallel.all_gather_start(v, 'i', axis=1, tiled=True)
        second = parallel.psum_scatter_start(v, 'i', scatter_dimension=1, tiled=True)
        c = lax.fori_loop(0, 3, lambda k, c: lax.psum(c, 'i') % 5, v)
        order = jax.ffi.ffi_call('control_dep', (), has_side_effect=True)  # of no value
        order(v, c)
        order(first.x, c)
        return jnp.concatenate([second.done(), first.done(), c], 1)
    want = blocks
    for k in range(3): want = np.tile(want.sum(0) % 5, (8, 1, 1))
    got = run(f, x)
    equal(got[:, :1], np.concatenate(np.split(blocks.sum(0), 8, 1)))
    equal(got[:, 1:65], np.tile(np.concatenate(list(blocks), 1), (8, 1)))
    equal(got[:, 65:], want.reshape(16, 8))""",
    # The same in the form of later versions, custom calls, which also wants types that vary; on one
    # device, too, and what a device does not receive is zero.
    "async_calls": """
if jax.__version_info__[:2] >= (0, 10):
    from jax._src.lax import parallel
    def halves(v, ring):
        return (parallel.psum_start(v, 'i').done(), parallel.ppermute_start(v, 'i', ring).done(),
                parallel.all_gather_start(v, 'i', axis=1, tiled=True).done(),
                parallel.psum_scatter_start(v, 'i', scatter_dimension=1, tiled=True).done(),
                parallel.all_to_all_start(v, 'i', 1, 0, tiled=True).done())
    def whole(v, ring):
        return (lax.psum(v, 'i'), lax.ppermute(v, 'i', ring), lax.all_gather(v, 'i', axis=1, tiled=True),
                lax.psum_scatter(v, 'i', scatter_dimension=1, tiled=True),
                lax.all_to_all(v, 'i', 1, 0, tiled=True))
    for n, ring in ((8, [(k, (k + 1) % 8) for k in range(8)]), (8, [(0, 3)]), (1, [(0, 0)]), (1, [])):
        some = Mesh(np.array(devices[:n]), ('i',))
        got, want = (
            jax.jit(jax.shard_map(lambda v: f(v, ring), mesh=some, in_specs=P('i'),
                                  out_specs=(P(),) + (P('i'),) * 4))(x) for f in (halves, whole))
        for g, w in zip(got, want):
            equal(g, w)""",
    "axis_index": "equal(run(lambda v: v * 0 + lax.axis_index('i'), x)[:, 0], np.arange(16) // 2)",
    "groups": """
got = run(lambda v: lax.psum(v, 'i', axis_index_groups=[[0, 3, 5, 6], [1, 2, 4, 7]]), x)
a, b = blocks[[0, 3, 5, 6]].sum(0), blocks[[1, 2, 4, 7]].sum(0)
equal(got, np.concatenate([a, b, b, a, b, a, a, b]))""",
    # Members divide the sums of large arrays among themselves, whatever the number of elements.
    "large_sums": """
y = np.random.default_rng(0).integers(-9, 9, (8, 40013), dtype=np.int32)
def f(v):
    c = lax.fori_loop(0, 5, lambda k, c: lax.psum(c, 'i') % 7 + v, v)
    return c, lax.pmax((v, v[:, ::-1].astype(jnp.int16)), 'i')
got = jax.jit(shard_map(f, mesh=mesh, in_specs=P('i'), out_specs=P('i'), check_vma=False))(y)
want = y
for k in range(5): want = want.sum(0) % 7 + y
equal(np.asarray(got[0]), want)
equal(np.asarray(got[1][0]), np.tile(y.max(0), (8, 1)))
equal(np.asarray(got[1][1]), np.tile(y[:, ::-1].max(0), (8, 1)))
groups = [[0, 3, 5, 6], [1, 2, 4, 7]]
got = run(lambda v: lax.psum(v, 'i', axis_index_groups=groups), y)
for g in groups: equal(got[g], np.tile(y[g].sum(0), (4, 1)))""",
    "all_to_all_of_any_dimensions": """
z = np.random.default_rng(0).random((64, 16, 24), dtype=np.float32)
parts = z.reshape(8, 8, 16, 24)
for split in range(3):
    for concat in range(3):
        got = run(lambda v: lax.all_to_all(v, 'i', split, concat, tiled=True), z)
        cut = [np.split(part, 8, split) for part in parts]
        equal(got, np.concatenate([np.concatenate([c[k] for c in cut], concat) for k in range(8)]))""",
    "two_axes": """
got = run(lambda v: lax.psum(v, 'b'), x, grid, P('a', 'b'), P('a', None))
equal(got, x.reshape(16, 4, 2).sum(1))""",
    "loop": """
def f(v):
    return lax.fori_loop(0, 5, lambda k, c: c + lax.psum(v, 'i') * k, v)
equal(run(f, x), x + 10 * np.tile(blocks.sum(0), (8, 1)))""",
    "free_axis": """
got = run(lambda v: lax.psum(v, 'a'), x, grid, P('a'), P(), axis_names={'a'})
equal(got, x[:8] + x[8:])""",
    "pmap": """
y = np.arange(24, dtype=np.float32).reshape(8, 3)
got = jax.pmap(lambda v: lax.psum(v, 'i') * 2, 'i', devices=devices)(y)
equal(got, np.tile(y.sum(0) * 2, (8, 1)))""",
    "jit": """
for m, spec in ((mesh, P('i')), (mesh, P(None, 'i')), (grid, P('a', 'b')), (grid, P(('b', 'a')))):
    s = NamedSharding(m, spec)
    a = jax.device_put(x, s)
    f = jax.jit(lambda v: (v @ v.T).sum(0)[:, None] * 2 + v, out_shardings=s)
    got = f(a)
    assert got.sharding.is_equivalent_to(s, 2)
    equal(got, (x @ x.T).sum(0)[:, None] * 2 + x)
    equal(jax.jit(lambda v: jnp.sin(v))(a), np.asarray(jax.jit(jnp.sin)(x)))""",
    "grad": """
w = np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)
loss = lambda w, v: jnp.tanh(v @ w).sum()
a = jax.device_put(x / 100, NamedSharding(mesh, P('i')))
b = jax.device_put(w, NamedSharding(mesh, P(None, 'i')))
want = jax.jit(jax.grad(loss))(w, x / 100)
np.testing.assert_allclose(jax.jit(jax.grad(loss))(b, a), want, rtol=1e-5)""",
    "order_of_devices": """
m = Mesh(np.array(devices)[[3, 1, 7, 5, 0, 2, 6, 4]], ('i',))
equal(run(lambda v: v + lax.axis_index('i'), x, m), x + np.repeat(np.arange(8), 2)[:, None])
a = jax.device_put(x, NamedSharding(m, P('i')))
equal(jax.jit(lambda v: v[::-1])(a), x[::-1])""",
    "donation": """
s = NamedSharding(mesh, P('i'))
a = jax.device_put(x, s)
equal(jax.jit(lambda v: v + 1, donate_argnums=0, out_shardings=s)(a), x + 1)
assert a.is_deleted()""",
    # In a body per device each one calls, elsewhere device 0 does for all.
    "callback": """
seen = []
def f(v):
    jax.debug.callback(lambda a: seen.append(float(a)), v[0, 0])
    return jax.pure_callback(lambda a: a * 2, jax.ShapeDtypeStruct(v.shape, v.dtype), v)
equal(run(f, x), x * 2)
jax.effects_barrier()
assert sorted(seen) == sorted(x[::2, 0].tolist()), seen
seen.clear()
a = jax.device_put(x, NamedSharding(mesh, P('i')))
equal(jax.jit(f)(a), x * 2)
jax.effects_barrier()
assert seen == [0.0], seen""",
    # Ordered: on each device, and one launch after the other.
    "ordered_callback": """
if jax.__version_info__ >= (0, 10):
    from jax.experimental import io_callback
    seen = []
    def f(v):
        for name in 'ab':
            io_callback(lambda a, name=name: seen.append((name, float(a))), (), v[0, 0], ordered=True)
        return v * 2
    for k in range(2):
        equal(run(f, x + 1000 * k), (x + 1000 * k) * 2)
    jax.effects_barrier()
    assert all(a < 1000 for _, a in seen[:16]) and len(seen) == 32, seen
    for at in [a + 1000 * k for a in x[::2, 0] for k in range(2)]:
        assert [name for name, a in seen if a == at] == ['a', 'b'], seen""",
    "threads": """
f = jax.jit(shard_map(lambda v: lax.psum(v, 'i'), mesh=mesh, in_specs=P('i'), out_specs=P('i')))
g = jax.jit(shard_map(lambda v: lax.all_gather(lax.psum(v, 'i'), 'i', tiled=True) * 2, mesh=mesh,
                      in_specs=P('i'), out_specs=P('i'), check_vma=False))
a = jax.device_put(x, NamedSharding(mesh, P('i')))
failed = []
def work(h, seed, want):
    r = np.random.default_rng(seed)
    try:
        for _ in range(20):
            time.sleep(r.random() / 500)
            equal(np.asarray(h(a))[:2], want)
    except BaseException as e:
        failed.append(e)
total = blocks.sum(0)
f(a), g(a)
ts = [threading.Thread(target=work, args=z) for z in ((f, 0, total), (g, 1, total * 2))]
for t in ts: t.start()
for t in ts: t.join()
assert not failed, failed""",
    "delayed_inputs": """
s = NamedSharding(mesh, P('i'))
f = jax.jit(shard_map(lambda v: lax.psum(v, 'i'), mesh=mesh, in_specs=P('i'), out_specs=P('i')))
g = jax.jit(shard_map(lambda v: lax.all_gather(lax.psum(v, 'i'), 'i', tiled=True) * 2, mesh=mesh,
                      in_specs=P('i'), out_specs=P('i'), check_vma=False))
delay = jax.jit(lambda v, n: lax.fori_loop(0, n, lambda k, c: jnp.sin(c) * 0 + v, v))
failed = []
def work(h, seed, want):
    r = np.random.default_rng(seed)
    try:
        for _ in range(15):  # each device's part comes at a time of its own, in no order
            parts = [None] * 8
            for k in r.permutation(8):
                part = jax.device_put(blocks[k], devices[k])
                parts[k] = delay(part, int(r.integers(0, 3000)))
            a = jax.make_array_from_single_device_arrays(x.shape, s, parts)
            equal(np.asarray(h(a))[:2], want)
    except BaseException as e:
        failed.append(e)
total = blocks.sum(0)
ts = [threading.Thread(target=work, args=z) for z in ((f, 0, total), (g, 1, total * 2))]
for t in ts: t.start()
for t in ts: t.join()
assert not failed, failed""",
}

TIMEOUT = {
    "timeout": """
def f(v):
    return lax.cond(lax.axis_index('i') < 6, lambda a: lax.psum(a, 'i'), lambda a: a, v)
try:
    run(f, x)
except Exception as e:
    assert 'missing' in str(e) and '6, 7' in str(e), e
else:
    raise AssertionError('no error')""",
}


@pytest.mark.parametrize(
    "programs, seconds", [(PROGRAMS, 60), (TIMEOUT, 2)], ids=["all", "timeout"]
)
def test_eight_devices(programs, seconds):
    environment = dict(
        os.environ,
        JAX_PLATFORMS="mps",
        JAX_MPS_DEVICE="host",
        JAX_MPS_NUM_DEVICES="8",
        JAX_MPS_NUM_THREADS="1",
        JAX_MPS_COLLECTIVE_TIMEOUT=str(seconds),
    )
    done = subprocess.run(
        [sys.executable, "-c", in_turn.script(PRELUDE, programs)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
