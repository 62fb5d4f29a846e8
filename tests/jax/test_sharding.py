# SPDX-License-Identifier: Apache-2.0
"""Sharded programs on a mesh of one device: collectives have one participant."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jax_mps_c.selftest.harness import same

PROGRAMS = {
    "psum": lambda x: lax.psum(x, "i"),
    "pmax": lambda x: lax.pmax(x, "i"),
    "all_gather": lambda x: lax.all_gather(x, "i", tiled=True),
    "all_to_all": lambda x: lax.all_to_all(x, "i", 0, 1, tiled=True),
    "ppermute": lambda x: lax.ppermute(x, "i", [(0, 0)]),
    "ppermute_nobody": lambda x: lax.ppermute(x, "i", []),
    "psum_scatter": lambda x: lax.psum_scatter(x, "i", tiled=True),
    "axis_index": lambda x: x + lax.axis_index("i"),
}


def sharded(program, platform):
    mesh = Mesh(np.array(jax.devices(platform)[:1]), ("i",))
    shard_map = getattr(jax, "shard_map", None)
    options = {"check_vma": False}
    if shard_map is None:
        from jax.experimental.shard_map import shard_map

        options = {"check_rep": False}
    function = shard_map(program, mesh=mesh, in_specs=P("i"), out_specs=P("i"), **options)
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    return function, jax.device_put(x, NamedSharding(mesh, P("i")))


@pytest.mark.parametrize("name", PROGRAMS)
def test_shard_map(name):
    results = {}
    for platform in ("cpu", "mps"):
        function, x = sharded(PROGRAMS[name], platform)
        result = jax.jit(function)(x)
        assert result.devices() == {jax.devices(platform)[0]}
        results[platform] = np.asarray(result)
    same(results["mps"], results["cpu"])


def test_sharding_constraint():
    mesh = Mesh(np.array(jax.devices("mps")[:1]), ("i",))
    sharding = NamedSharding(mesh, P("i"))

    @jax.jit
    def function(x):
        return lax.with_sharding_constraint(x * 2, sharding) + 1

    x = jax.device_put(jnp.arange(4.0), sharding)
    np.testing.assert_array_equal(function(x), [1, 3, 5, 7])


def test_pmap():
    x = np.arange(3, dtype=np.float32)[None]
    result = jax.pmap(lambda v: lax.psum(v, "i") * 2, "i", devices=jax.devices("mps")[:1])(x)
    np.testing.assert_array_equal(result, x * 2)
