# SPDX-License-Identifier: Apache-2.0
"""Calls into Python while a program over eight devices is partitioned: custom_partitioning, by its
sharding rule and by its functions, inspect_array_sharding, and callbacks on parts."""

import in_turn
from test_partition import run

PRELUDE = """
import os
import jax, numpy as np, jax.numpy as jnp
from jax import lax
from jax.experimental.custom_partitioning import custom_partitioning
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
mesh = Mesh(np.array(jax.devices("mps")).reshape(4, 2), ("a", "b"))
def put(shape, *spec):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return jax.device_put(x, NamedSharding(mesh, P(*spec)))
def spec(s, rank=2):
    if not isinstance(s, NamedSharding):  # of a body that has no mesh of devices around it
        return "whole" if s.is_fully_replicated else "parts"
    return tuple(s.spec) + (None,) * (rank - len(s.spec))
def same(got, want):
    np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=1e-6)
class Call:  # what the partitioner was asked, for an elementwise function of one argument
    def __init__(self, function, rule, by_result=False, **options):
        self.seen = []
        @custom_partitioning
        def call(x):
            return function(x)
        def partition(mesh, args, result):
            self.seen.append((spec(args[0].sharding), spec(result.sharding)))
            s = result.sharding
            return mesh, function, s, (s if by_result else args[0].sharding,)
        call.def_partition(partition, sharding_rule=rule, **options)
        self.call = call
"""

PROGRAMS = {
    # The rule says that shardings flow through the call, to both sides.
    "rule": """
c = Call(jnp.sin, "i j -> i j")
x = put((8, 4), "a", "b")
y = jax.jit(lambda x: c.call(x) + 1)(x)
same(y, np.sin(np.asarray(x)) + 1)
assert c.seen == [(("a", "b"), ("a", "b"))], c.seen
assert y.sharding.is_equivalent_to(x.sharding, 2), y.sharding""",
    # A dimension that the rule wants whole is gathered where the partitioner says so.
    "whole_dimension": """
seen = []
@custom_partitioning
def cumulate(x):
    return jnp.cumsum(x, 1)
def partition(mesh, args, result):
    seen.append(spec(args[0].sharding))
    rows = NamedSharding(mesh, P(args[0].sharding.spec[0], None))
    return mesh, lambda x: jnp.cumsum(x, 1), rows, (rows,)
cumulate.def_partition(partition, sharding_rule="i j -> i j", need_replication_factors=("j",))
x = put((8, 4), "a", "b")
compiled = jax.jit(cumulate).lower(x).compile()
same(compiled(x), np.cumsum(np.asarray(x), 1))
assert seen == [("a", "b")], seen
assert compiled(x).sharding.is_equivalent_to(NamedSharding(mesh, P("a")), 2)
assert "all_gather" in compiled.as_text()""",
    # Each device sums its part of a product; its own program has the collective.
    "reduced_factor": """
seen = []
@custom_partitioning
def product(x, y):
    return x @ y
def partition(mesh, args, result):
    seen.append([spec(a.sharding) for a in args] + [spec(result.sharding)])
    def local(x, y):
        return lax.psum(x @ y, "b")
    return mesh, local, result.sharding, tuple(a.sharding for a in args)
product.def_partition(partition, sharding_rule="i j, j k -> i k", reduction_factors=("j",))
x, y = put((8, 4), "a", "b"), put((4, 6), "b")
compiled = jax.jit(product).lower(x, y).compile()
same(compiled(x, y), np.asarray(x) @ np.asarray(y))
assert seen == [[("a", "b"), ("b", None), ("a", None)]], seen
assert "all_reduce" in compiled.as_text()""",
    # Several results, constants of its own, calls inside, a type of 16 bits.
    "results": """
@custom_partitioning
def both(x, y):
    return x + y, (x * 3).astype(jnp.bfloat16)
def partition(mesh, args, result):
    def local(x, y):
        return jax.jit(jnp.add)(x, y), (x * jnp.full(x.shape, 3, x.dtype)).astype(jnp.bfloat16)
    s = args[0].sharding
    return mesh, local, (s, s), (s, s)
both.def_partition(partition, sharding_rule="i j, i j -> i j, i j")
x, y = put((8, 4), "a"), put((8, 4), None, "b")
s, t = jax.jit(both)(x, y)
same(s, 2 * np.asarray(x))
same(t.astype(jnp.float32), 3 * np.asarray(x))
assert t.dtype == jnp.bfloat16""",
    "loop": """
c = Call(lambda x: x * 2 + 1, "i j -> i j")
x = put((8, 4), "a")
step = lambda v, _: (c.call(v), v.sum())
got, sums = jax.jit(lambda x: lax.scan(step, x, length=3))(x)
same(got, 8 * np.asarray(x) + 7)
assert c.seen == [(("a", None), ("a", None))], c.seen""",
    # On one device, and where each device computes for itself, it is the function alone.
    "not_partitioned": """
c = Call(jnp.cos, "i j -> i j")
one = jax.device_put(np.ones((2, 2), np.float32), jax.devices("mps")[0])
same(jax.jit(c.call)(one), np.cos(np.ones((2, 2))))
shard_map = getattr(jax, "shard_map", None)
if shard_map is None:
    from jax.experimental.shard_map import shard_map
x = put((8, 4), "a", "b")
f = shard_map(c.call, mesh=mesh, in_specs=P("a", "b"), out_specs=P("a", "b"))
same(jax.jit(f)(x), np.cos(np.asarray(x)))
assert not c.seen""",
    # Where some axes are a body's own, the call has what the body has whole, and may leave it so.
    "partly_manual": """
if hasattr(jax, "shard_map"):
    x = put((8, 4), "a", "b")
    def run(f):
        with jax.set_mesh(mesh):
            g = jax.shard_map(f, in_specs=P("a"), out_specs=P("a"), axis_names={"a"})
            return jax.jit(g)(x)
    c = Call(jnp.cos, "i j -> i j")
    same(run(c.call), np.cos(np.asarray(x)))
    assert c.seen == [("whole", "whole")], c.seen
    c = Call(lambda x: x * 2, "i j -> i j")
    f = lambda x: lax.fori_loop(0, 3, lambda i, v: c.call(v), x)
    same(run(f), 8 * np.asarray(x))
    @custom_partitioning
    def divides(x):
        return x
    def partition(_, args, result):
        s = NamedSharding(mesh, P(None, "b"))
        return mesh, lambda x: x, s, (s,)
    divides.def_partition(partition, sharding_rule="i j -> i j")
    try:
        run(divides)
    except Exception as error:
        assert "body written per device" in str(error), error
    else:
        raise AssertionError("no error")""",
    "errors": """
def fails(partition, text):
    @custom_partitioning
    def call(x):
        return x
    call.def_partition(partition, sharding_rule="i j -> i j")
    try:
        jax.jit(call)(put((8, 4), "a"))
    except Exception as error:
        assert text in str(error), error
    else:
        raise AssertionError("no error")
def raises(mesh, args, result):
    raise ValueError("not today")
def halves(mesh, args, result):
    return mesh, lambda x: x[:1], result.sharding, (args[0].sharding,)
def uneven(mesh, args, result):
    s = NamedSharding(mesh, P(None, ("a", "b")))
    return mesh, lambda x: x, s, (s,)
fails(raises, "not today")
fails(halves, "Mismatch in result shapes")
fails(uneven, "CustomSPMDPartitioning")""",
    # Without Shardy, functions give shardings instead of the rule.
    "functions": """
if hasattr(jax.config, "jax_use_shardy_partitioner"):
    jax.config.update("jax_use_shardy_partitioner", False)
    infer = lambda mesh, args, result: args[0].sharding
    c = Call(jnp.sin, None, infer_sharding_from_operands=infer)
    x = put((8, 4), "a", "b")
    y = jax.jit(lambda x: c.call(x) + 1)(x)
    same(y, np.sin(np.asarray(x)) + 1)
    assert c.seen == [(("a", "b"), ("a", "b"))], c.seen
    assert y.sharding.is_equivalent_to(x.sharding, 2), y.sharding
    jax.config.update("jax_use_shardy_partitioner", True)""",
    # What users want a result to be goes through a function, too, whose answer is final.
    "users": """
if hasattr(jax.config, "jax_use_shardy_partitioner"):
    jax.config.update("jax_use_shardy_partitioner", False)
    wanted = []
    def rows(mesh, result):
        wanted.append(spec(result.sharding))
        return NamedSharding(mesh, P(result.sharding.spec[0], None))
    infer = lambda mesh, args, result: args[0].sharding
    options = dict(infer_sharding_from_operands=infer, propagate_user_sharding=rows)
    c = Call(jnp.sin, None, True, **options)
    x = put((8, 4))
    out = NamedSharding(mesh, P("a", "b"))
    y = jax.jit(lambda x: c.call(x) + 1, out_shardings=out)(x)
    same(y, np.sin(np.asarray(x)) + 1)
    assert wanted == [("a", "b")], wanted
    assert c.seen == [((None, None), ("a", None))], c.seen
    wanted.clear()
    c = Call(jnp.sin, None, **options)
    z = jax.jit(lambda x: c.call(x + 1))(put((8, 4), "a", "b"))  # nothing but its operand
    assert not wanted and c.seen == [(("a", "b"), ("a", "b"))], (wanted, c.seen)
    jax.config.update("jax_use_shardy_partitioner", True)""",
    # What propagation found for values in the middle of a program, told once for each.
    "inspect": """
seen = []
def inspect(x):
    jax.debug.inspect_array_sharding(x, callback=lambda s: seen.append(spec(s)))
def f(x):
    y = jnp.sin(x).T
    inspect(y)
    inspect(y @ x)
    inspect(jnp.zeros((3, 5)))
    return y
jax.jit(f)(put((8, 4), "a", "b"))
assert seen == [("b", "a"), ("b", None), (None, None)], seen
seen.clear()
def body(v, _):
    inspect(v)
    return v + 1, None
jax.jit(lambda x: lax.scan(body, x, length=3)[0])(put((8, 4), None, "b"))
assert seen == [(None, "b")], seen
seen.clear()
inspect(put((8, 4), "b"))
assert seen == [("b", None)], seen
alone = []
one = jax.device_put(np.ones((2, 2), np.float32), jax.devices("mps")[0])
jax.jit(lambda x: jax.debug.inspect_array_sharding(x, callback=alone.append))(one)
assert len(alone) == 1 and alone[0].is_fully_replicated, alone""",
    # Each device calls with what it has, in the sharding that the value has anyway.
    "partitioned_callback": """
def calls(spec, function=lambda x: x, **options):
    seen = []
    def f(x):
        jax.debug.callback(lambda v, n: seen.append((np.array(v), int(n))), function(x), 7, **options)
        return x + 1
    x = put((8, 4), *spec)
    compiled = jax.jit(f).lower(x).compile()
    same(compiled(x), np.asarray(x) + 1)
    jax.effects_barrier()
    assert all(n == 7 for _, n in seen)
    assert ("all_gather" in compiled.as_text()) == (not options)
    return function(np.asarray(x)), [v for v, _ in seen]
whole, seen = calls(("a", "b"), jnp.transpose, partitioned=True)
assert len(seen) == 8 and all(v.shape == (2, 2) for v in seen), [v.shape for v in seen]
assert sorted(v.ravel().tolist() for v in seen) == sorted(
    whole[i : i + 2, k : k + 2].ravel().tolist() for i in (0, 2) for k in (0, 2, 4, 6))
whole, seen = calls((None, "b"), partitioned=True)
assert sorted(v[0, 0] for v in seen) == [0] * 4 + [2] * 4 and all(v.shape == (8, 2) for v in seen)
whole, seen = calls(("a", "b"))
assert len(seen) == 1 and (seen[0] == whole).all()""",
    "inspect_fails": """
def callback(sharding):
    raise ValueError("not this one")
def f(x):
    jax.debug.inspect_array_sharding(x + 1, callback=callback)
    return x
try:
    jax.jit(f)(put((8, 4), "a"))
except Exception as error:
    assert "not this one" in str(error)
else:
    raise AssertionError("no error")""",
}


def test_partitioners():
    run(["-c", in_turn.script(PRELUDE, PROGRAMS)])
