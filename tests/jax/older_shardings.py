# SPDX-License-Identifier: Apache-2.0
"""Sharded programs over eight devices for every version of jax that the plugin serves: older ones
send shardings as mhlo.sharding and as custom calls (@Sharding, @SPMDFullToShardShape,
@SPMDShardToFullShape), which JAX_USE_SHARDY_PARTITIONER=0 asks newer ones for."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

if hasattr(jax, "shard_map"):
    shard_map = jax.shard_map
else:
    from jax.experimental.shard_map import shard_map

devices = np.array(jax.devices("mps"))
assert len(devices) == 8
mesh = Mesh(devices, ("i",))
grid = Mesh(devices.reshape(2, 4), ("a", "b"))
turned = Mesh(devices[[3, 1, 7, 5, 0, 2, 6, 4]], ("i",))
x = np.arange(128, dtype=np.float32).reshape(16, 8)
equal = np.testing.assert_array_equal


def put(value, m, *spec):
    return jax.device_put(value, NamedSharding(m, P(*spec)))


def jit(f, m=mesh, *spec):
    """jaxlib before 0.7 does not ask a plugin for the shardings of results: they are given."""
    return jax.jit(f, out_shardings=NamedSharding(m, P(*spec)))


for m, spec in ((mesh, ["i"]), (mesh, [None, "i"]), (grid, ["a", "b"]), (grid, [("b", "a")]),
                (turned, ["i"])):  # fmt: skip
    s = NamedSharding(m, P(*spec))
    got = jax.jit(lambda v: (v @ v.T).sum(0)[:, None] * 2 + v, out_shardings=s)(put(x, m, *spec))
    assert got.sharding.is_equivalent_to(s, 2)
    equal(got, (x @ x.T).sum(0)[:, None] * 2 + x)


def constrained(v):
    w = lax.with_sharding_constraint(v * 2, NamedSharding(grid, P("b", None)))
    return lax.with_sharding_constraint(w.T, NamedSharding(grid, P(None, ("a", "b"))))


equal(jit(constrained, grid, None, ("a", "b"))(put(x, grid, "a")), x.T * 2)

total = shard_map(lambda v: lax.psum(v, "i"), mesh=mesh, in_specs=P("i"), out_specs=P())
equal(jit(total)(put(x, mesh, "i")), x.reshape(8, 2, 8).sum(0))
part = shard_map(
    lambda v, w: lax.psum(v @ w, "b"), mesh=grid, in_specs=(P("a", "b"), P("b")), out_specs=P("a")
)
w = np.ones((8, 4), np.float32)
equal(
    jit(lambda v, w: part(v + 1, w) * 2, grid, "a")(put(x, grid, "a", "b"), put(w, grid)),
    (x + 1) @ w * 2,
)
index = shard_map(lambda v: v + lax.axis_index("i"), mesh=turned, in_specs=P("i"), out_specs=P("i"))
equal(jit(index, turned, "i")(put(x, turned, "i")), x + np.repeat(np.arange(8), 2)[:, None])


def loss(w, v):
    return jnp.tanh(v @ w).sum()


got = jit(jax.grad(loss), mesh, "i")(
    put(np.ones((8, 8), np.float32), mesh, "i"), put(x / 100, mesh, "i")
)
want = jax.jit(jax.grad(loss))(np.ones((8, 8), np.float32), x / 100)
np.testing.assert_allclose(got, want, rtol=1e-5)
print("ok")
