# SPDX-License-Identifier: Apache-2.0
"""How `jit` partitions programs over eight devices of the host: which collectives there are and the
bytes that each device sends, and that programs with shardings by chance give what one device does
(sharded_programs.py)."""

import os
import pathlib
import subprocess
import sys

import in_turn
import pytest

HERE = pathlib.Path(__file__).parent
PRELUDE = """
import collections, re
import jax, numpy as np, jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from jax_mps_c import counters
devices = jax.devices("mps")
assert len(devices) == 8
mesh = Mesh(np.array(devices), ("i",))
grid = Mesh(np.array(devices).reshape(2, 4), ("a", "b"))
rng = np.random.default_rng(0)
def put(shape, *spec, m=mesh):
    return jax.device_put(rng.standard_normal(shape).astype(np.float32), NamedSharding(m, P(*spec)))
def plan(compiled):  # what a device runs follows the program as HLO
    return compiled.as_text().partition("// plan of")[2]
def collectives(compiled):
    names = "all_gather|all_reduce|all_to_all|reduce_scatter|collective_permute"
    return dict(collections.Counter(re.findall(rf" = ({names}) ", plan(compiled))))
def sent(compiled, *arrays):  # by a device
    before = counters.read()["collective_bytes"]
    jax.block_until_ready(compiled(*arrays))
    after = counters.read()["collective_bytes"]
    assert (after - before) % 8 == 0
    return (after - before) // 8
def check(function, *arrays, out=None, **options):
    compiled = jax.jit(function, out_shardings=out, **options).lower(*arrays).compile()
    want = jax.tree.leaves(jax.jit(function)(*[np.asarray(a) for a in arrays]))
    bytes_sent = sent(compiled, *arrays)
    got = compiled(*arrays)
    for g, w in zip(jax.tree.leaves(got), want):
        np.testing.assert_allclose(np.asarray(g), w, rtol=1e-5, atol=1e-5)
    return compiled, got, collectives(compiled), bytes_sent
def step(w1, w2, x, y):
    loss = lambda w1, w2: ((jnp.tanh(x @ w1) @ w2 - y) ** 2).sum()
    value, (g1, g2) = jax.value_and_grad(loss, (0, 1))(w1, w2)
    return w1 - 1e-3 * g1, w2 - 1e-3 * g2, value
F32 = 4
"""

PROGRAMS = {
    # Gradients are summed, nothing else is sent but the loss.
    # One for all gradients and the loss.
    "data_parallel": """
arrays = put((16, 32)), put((32, 8)), put((1024, 16), "i"), put((1024, 8), "i")
compiled, got, found, bytes_sent = check(step, *arrays)
assert found == {"all_reduce": 1}, found
assert bytes_sent == 2 * 7 * (16 * 32 + 32 * 8 + 1) * F32 // 8, bytes_sent
assert all(g.sharding.is_fully_replicated for g in got)""",
    # Weights are gathered for the forward pass, gradients come back in parts.
    "fully_sharded": """
arrays = put((16, 32), "i"), put((32, 8), "i"), put((1024, 16), "i"), put((1024, 8), "i")
compiled, got, found, bytes_sent = check(step, *arrays)
assert found == {"all_gather": 2, "reduce_scatter": 2, "all_reduce": 1}, found
assert bytes_sent == 2 * 7 * (16 * 32 + 32 * 8) * F32 // 8 + 2 * 7 * F32 // 8, bytes_sent
for g, w in zip(got, arrays[:2]):
    assert g.sharding.is_equivalent_to(w.sharding, 2), g.sharding""",
    # A part of one array has the size of another whole one: JAX names the result.
    "donated_to_another_shape": """
x = put((8, 16), "i")
want = np.asarray(x).sum(0, keepdims=True)
f = jax.jit(lambda v: v.sum(0, keepdims=True), donate_argnums=0, out_shardings=NamedSharding(mesh, P()))
assert "tf.aliasing_output" in f.lower(x).as_text()
np.testing.assert_allclose(np.asarray(f(x)), want, rtol=1e-5)
assert x.is_deleted()""",
    # What fits no result is not taken; of as many bytes in another shape it is.
    "donated_in_vain": """
x, y = put((8, 16), "i"), put((16, 8), "i")
f = jax.jit(lambda x, y: (x @ x.T, y.reshape(8, 16)), donate_argnums=(0, 1))
want = np.asarray(x) @ np.asarray(x).T, np.asarray(y).reshape(8, 16)
for g, w in zip(f(x, y), want):
    np.testing.assert_allclose(np.asarray(g), w, rtol=1e-5)
assert x.is_deleted() and not y.is_deleted()""",
    # The hidden dimension is divided: one sum at the end.
    "tensor_parallel": """
x, w1, w2 = put((64, 16)), put((16, 32), None, "i"), put((32, 8), "i")
compiled, got, found, bytes_sent = check(lambda x, w1, w2: jnp.tanh(x @ w1) @ w2, x, w1, w2)
assert found == {"all_reduce": 1}, found
assert bytes_sent == 2 * 7 * 64 * 8 * F32 // 8, bytes_sent""",
    "both": """
x, w1, w2 = put((64, 16), "a", m=grid), put((16, 32), None, "b", m=grid), put((32, 8), "b", m=grid)
compiled, got, found, bytes_sent = check(lambda x, w1, w2: jnp.tanh(x @ w1) @ w2, x, w1, w2)
assert found == {"all_reduce": 1}, found
assert bytes_sent == 2 * 3 * 32 * 8 * F32 // 4, bytes_sent
assert got.sharding.is_equivalent_to(NamedSharding(grid, P("a")), 2), got.sharding""",
    "elementwise": """
compiled, got, found, bytes_sent = check(lambda x: jnp.sin(x) * 2 + jnp.arange(8.0), put((16, 8), "i"))
assert not found and not bytes_sent, found
assert got.sharding.is_equivalent_to(NamedSharding(mesh, P("i")), 2)
assert "f32[2,8]" in plan(compiled) and "f32[16,8]" not in plan(compiled)""",
    "reshard": """
x = put((16, 8), "i")
s = NamedSharding(mesh, P(None, "i"))
compiled, got, found, bytes_sent = check(lambda x: x + 1, x, out=s)
assert found == {"all_to_all": 1}, found
assert bytes_sent == 7 * 16 * F32 // 8
assert got.sharding.is_equivalent_to(s, 2)""",
    # Of a dimension that is divided, devices trade their parts.
    "reverse": """
x = put((16, 8, 6), "a", "b", m=grid)
for axes, expected in (((0, 1), 1), ((1,), 1), ((2,), 0)):
    compiled, got, found, bytes_sent = check(lambda x: jnp.flip(x, axes) * 2, x)
    assert found == ({"collective_permute": 1} if expected else {}), found
    assert bytes_sent == expected * 16 * 8 * 6 * F32 // 8, bytes_sent
    assert got.sharding.is_equivalent_to(x.sharding, 3), got.sharding""",
    "loop": """
w = put((16, 16))
def f(w, x):
    return lax.fori_loop(0, 4, lambda k, c: jnp.tanh(c @ w), x)
compiled, got, found, bytes_sent = check(f, w, put((64, 16), "i"))
assert not found, found
assert got.sharding.is_equivalent_to(NamedSharding(mesh, P("i")), 2)""",
    "random_bits": """
s = NamedSharding(mesh, P("i"))
f = lambda seed: jax.random.uniform(jax.random.key(seed), (64, 8))
compiled = jax.jit(f, out_shardings=s).lower(3).compile()
assert not collectives(compiled) and "f32[64,8]" not in plan(compiled)
np.testing.assert_array_equal(np.asarray(compiled(3)), np.asarray(jax.jit(f)(3)))""",
    # Values of a group are divided alike: what is made inside, and an argument that comes whole.
    # (jax has them up to 0.10.)
    "shard_alike": """
if jax.__version_info__ < (0, 11):
    from jax.experimental.shard_alike import shard_alike
    x, w = put((16, 8), "a", "b", m=grid), np.arange(128, dtype=np.float32).reshape(16, 8)
    def f(x, w):
        y = jnp.arange(128.0).reshape(16, 8)
        x, y = shard_alike(x, y)
        z = lax.fori_loop(0, 3, lambda k, c: shard_alike(c, y)[0] * 2 + k, jnp.zeros_like(y))
        return y, shard_alike(x, w)[1], z
    compiled, got, found, bytes_sent = check(f, x, w)
    assert not found, found
    assert all(g.sharding.is_equivalent_to(x.sharding, 2) for g in got), [g.sharding for g in got]""",
    # Parts of a sum (where jax names them) are what each device had before it, and are never added.
    "unreduced": """
if jax.__version_info__ >= (0, 10):
    em = jax.make_mesh((2, 4), ("a", "b"), axis_types=(jax.sharding.AxisType.Explicit,) * 2, devices=devices)
    def parts(f, *arrays, axes, spec=(), none=True):
        out = NamedSharding(em, P(*spec, unreduced=axes))
        compiled = jax.jit(f, out_shardings=out).lower(*arrays).compile()
        assert not none or not collectives(compiled), plan(compiled)
        return compiled(*arrays)
    def each(x):
        return np.stack([np.asarray(s.data) for s in x.addressable_shards])
    def total(x):
        return np.asarray(jax.jit(lambda v: v, out_shardings=NamedSharding(em, P()))(x))
    def on(x, *spec):
        return jax.device_put(np.asarray(x), NamedSharding(em, P(*spec)))
    with jax.set_mesh(em):
        x, w = rng.standard_normal((8, 16)).astype(np.float32), rng.standard_normal((16, 4)).astype(np.float32)
        product = lambda s: lambda x, w: jnp.einsum("ij,jk->ik", x, w, out_sharding=s)
        got = parts(product(P(unreduced={"b"})), on(x, None, "b"), on(w, "b"), axes={"b"})
        np.testing.assert_allclose(each(got)[:4], [x[:, k:k + 4] @ w[k:k + 4] for k in range(0, 16, 4)], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(total(got), x @ w, rtol=1e-4, atol=1e-5)
        got = parts(product(P("a", unreduced={"b"})), on(x, "a", "b"), on(w, "b"), axes={"b"}, spec=("a",))
        np.testing.assert_allclose(total(got), x @ w, rtol=1e-4, atol=1e-5)
        # Nothing was added: the first has all.
        got = parts(lambda x: x * 2, on(x), axes={"a", "b"})
        np.testing.assert_array_equal(each(got), np.concatenate([2 * x[None], np.zeros((7, 8, 16))]))
        np.testing.assert_array_equal(total(got), 2 * x)
        # What would be gathered stays in its place.
        got = parts(lambda x: jax.reshard(x * 2, P(unreduced={"b"})), on(x, None, "b"), axes={"b"})
        np.testing.assert_array_equal(total(got), 2 * x)
        np.testing.assert_array_equal(each(got)[1], np.pad(2 * x[:, 4:8], ((0, 0), (4, 8))))
        # Over other axes than the sum was: it is added, then divided.
        got = parts(lambda x, w: jax.reshard(product(P())(x, w), P(unreduced={"a"})), on(x, None, "b"), on(w, "b"), axes={"a"}, none=False)
        np.testing.assert_allclose(total(got), x @ w, rtol=1e-4, atol=1e-5)
        # A body per device says what its parts are.
        arr = on(np.arange(16.0, dtype=np.float32), ("a", "b"))
        f = jax.shard_map(lambda v: v, in_specs=P(("a", "b")), out_specs=P(unreduced={"a", "b"}), check_vma=False)
        got = jax.jit(f)(arr)
        np.testing.assert_array_equal(each(got), np.arange(16.0).reshape(8, 2))
        np.testing.assert_array_equal(total(got), np.arange(16.0).reshape(8, 2).sum(0))
        g = jax.shard_map(lambda v: v, in_specs=P(unreduced={"a", "b"}), out_specs=P(("a", "b")), check_vma=False)
        np.testing.assert_array_equal(np.asarray(jax.jit(g)(got)), np.arange(16.0))
        ids = on(rng.integers(0, 9, 4096).astype(np.int32), ("a", "b"))
        count = lambda v: jnp.bincount(v, length=9, out_sharding=P(unreduced={"a", "b"}))
        got = parts(count, ids, axes={"a", "b"})
        np.testing.assert_array_equal(each(got).sum(1), [512] * 8)
        np.testing.assert_array_equal(total(got), np.bincount(np.asarray(ids), minlength=9))""",
    # A program without results, and one without arguments.
    "nothing": """
x = put((16, 8), "i")
seen = []
f = lambda x: (jax.debug.callback(lambda v: seen.append(float(v)), x.sum()), ())[1]
assert jax.jit(f)(x) == ()
jax.effects_barrier()
assert np.allclose(seen, [np.asarray(x).sum()], rtol=1e-4, atol=1e-4), seen
np.testing.assert_array_equal(np.asarray(jax.jit(lambda: jnp.arange(8), out_shardings=NamedSharding(mesh, P("i")))()), np.arange(8))""",
    "shardings_are_reported": """
x = put((16, 8), "a", "b", m=grid)
compiled = jax.jit(lambda x: (x.T, x.sum())).lower(x).compile()
assert compiled.input_shardings[0][0].is_equivalent_to(x.sharding, 2)
first, second = compiled.output_shardings
assert first.is_equivalent_to(NamedSharding(grid, P("b", "a")), 2), first
assert second.is_fully_replicated""",
    "donation_of_parts": """
def pointers(x):
    return sorted(a.unsafe_buffer_pointer() for a in jax.block_until_ready(x)._arrays)
x = jax.jit(lambda x: x * 2)(put((1600, 80), "i"))
where = pointers(x)
y = jax.jit(lambda x: (x.sum(), x + 1), donate_argnums=0)(x)[1]
assert x.is_deleted() and pointers(y) == where""",
    "axes_that_do_not_divide": """
x = put((12, 8))
f = lambda x: lax.with_sharding_constraint(x * 2, NamedSharding(mesh, P("i")))
try:
    jax.jit(f)(x)
except ValueError as e:  # JAX checks it for whole dimensions
    assert "divisible" in str(e)
compiled, got, found, bytes_sent = check(lambda x: x.reshape(4, 24) + 1, put((16, 6), "i"))
assert got.shape == (4, 24)""",
    # Factorizations of matrices in parts, on each device its own.
    "batched_calls": """
f = lambda x: (jnp.linalg.eigvalsh(x + x.mT), jnp.linalg.qr(x).R, jnp.linalg.inv(x + 9 * jnp.eye(4)))
compiled, got, found, bytes_sent = check(f, put((16, 4, 4), "i"))
assert not found, found
assert all(g.sharding.is_equivalent_to(NamedSharding(mesh, P("i")), g.ndim) for g in got)""",
    "explain": """
from jax_mps_c import explain
plans = []
x = put((16, 1024), None, "i")
with explain.record(plans):
    jax.block_until_ready(jax.jit(lambda x: x @ x.T)(x))
plan = plans[-1]
assert plan.data["collectives"] == 1 and plan.data["sent"] == 2 * 7 * 16 * 16 * F32 // 8
assert "collectives 1, each participant sends 1.8 KiB" in plan.text, plan.text[:600]""",
}


def run(arguments, timeout=600, platforms="mps"):
    environment = dict(
        os.environ,
        JAX_PLATFORMS=platforms,
        JAX_MPS_DEVICE="host",
        JAX_MPS_NUM_DEVICES="8",
        JAX_MPS_NUM_THREADS="1",
    )
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_older_shardings():
    run([str(HERE / "older_shardings.py")])


def test_partition():
    run(["-c", in_turn.script(PRELUDE, PROGRAMS)])


def test_shardings_by_chance():
    run([str(HERE / "sharded_programs.py"), "0", "50"])


@pytest.mark.slow
@pytest.mark.parametrize("first", range(50, 1000, 95))
def test_more_shardings_by_chance(first):
    run([str(HERE / "sharded_programs.py"), str(first), str(first + 95)], timeout=1800)


# At most these times the bytes that XLA sends, and those that a device needs at once in its program:
# it divides the activations of a fully sharded step as its weights are, not as its batch is.
BOUNDS = {
    "data_mlp_step": (1.0, 1.2),
    "data_gpt_step": (1.0, 1.2),
    "sharded_gpt_step": (0.25, 0.6),
    "tensor_mlp_step": (1.0, 1.5),
}


@pytest.mark.slow
def test_costs_of_steps():
    lines = run([str(HERE / "step_costs.py")], platforms="mps,cpu").splitlines()
    found = {name: [int(n) for n in numbers] for name, *numbers in map(str.split, lines)}
    assert found.keys() == BOUNDS.keys()
    for name, (sent, sent_by_xla, needed, needed_by_xla, _) in found.items():
        most_sent, most_needed = BOUNDS[name]
        assert 0 < sent <= most_sent * sent_by_xla, (name, found)
        assert 0 < needed <= most_needed * needed_by_xla, (name, found)
    # Nearly all arguments of a step are the model's state.
    assert found["sharded_gpt_step"][4] <= (1 / 8 + 0.02) * found["data_gpt_step"][4], found
