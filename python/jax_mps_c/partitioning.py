# SPDX-License-Identifier: Apache-2.0
"""Calls into Python while a program is partitioned: custom_partitioning and inspect_array_sharding.

JAX registers the partitioner of custom_partitioning with every plugin, through the C API's extension
for that. The module that it returns is jaxlib's own serialization, which XLA reads with MLIR; the
library reads portable artifacts. So the partitioner is registered again, with a function that
converts the module. An inspection names its callback by an id, as all callbacks do (callbacks.py),
where JAX would write an address into the program.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jax_mps_c import callbacks, compat

PLATFORM = "mps"
TARGET = "CustomSPMDPartitioning"
INSPECT = "mps.inspect_sharding"


def partition(original: Callable[..., Any], *args: Any) -> Any:
    module, *shardings = original(*args)
    return (compat.make_portable(module), *shardings)


def infer(original: Callable[..., Any], *args: Any) -> Any:
    """None: no opinion. Where there is a sharding rule instead, JAX has no function to call."""
    from jax._src import custom_partitioning

    info = custom_partitioning._sharding_callbacks[args[-1]]
    return None if info.infer_sharding_from_operands is None else original(*args)


def register_partitioner(**unused: Any) -> None:
    """To be called after JAX has registered its own, for the last partitioner of a name counts."""
    from jax._src import custom_partitioning, xla_bridge
    from jax._src.lib import xla_client

    xla_client.register_custom_call_partitioner(
        name=TARGET,
        prop_user_sharding=custom_partitioning._custom_partitioning_propagate_user_sharding,
        partition=functools.partial(partition, custom_partitioning._custom_partitioning_partition),
        infer_sharding_from_operands=functools.partial(
            infer, custom_partitioning._custom_partitioning_infer_sharding_from_operands
        ),
        can_side_effecting_have_replicated_sharding=True,
        c_api=xla_bridge._backend_factories[PLATFORM].c_api,
    )


# -- inspect_array_sharding


def find_devices(axis_context: Any) -> tuple[Any, Any]:
    """The mesh that the program's shardings are told in, which may be empty, and its devices."""
    from jax._src import mesh as meshes
    from jax._src import sharding_impls

    if isinstance(axis_context, sharding_impls.SPMDAxisContext):
        return axis_context.mesh, axis_context.mesh._flat_devices_tuple
    if not isinstance(axis_context, sharding_impls.ShardingContext):
        raise NotImplementedError(f"inspect_array_sharding in {type(axis_context).__name__}")
    devices = axis_context.device_assignment
    if (abstract := getattr(axis_context, "abstract_mesh", None)) is not None:
        shape = abstract.axis_sizes
        return meshes.Mesh(np.array(devices).reshape(shape), abstract.axis_names), devices
    return meshes.thread_resources.env.physical_mesh, devices


def tell(callback: Callable[[Any], None], mesh: Any, devices: Any, message: bytes) -> None:
    """Calls back with the sharding that a serialized OpSharding says."""
    from jax._src import sharding_impls
    from jax._src.lib import xla_client

    proto = xla_client.OpSharding()
    proto.ParseFromString(message)
    sharding = xla_client.HloSharding.from_proto(proto)
    if mesh.empty:
        callback(sharding_impls.GSPMDSharding(devices, sharding))
        return
    spec = sharding_impls.PartitionSpec()
    if not sharding.is_manual():
        spec = sharding_impls.parse_flatten_op_sharding(sharding, mesh)[0]
    callback(sharding_impls.NamedSharding(mesh, spec))


def lower_inspection(ctx: Any, value: Any, *, callback: Callable[[Any], None]) -> Sequence[Any]:
    """The library calls the callback while it compiles; a program of one device needs no compiler."""
    from jax._src import sharding_impls

    mesh, devices = find_devices(ctx.module_context.axis_context)
    told = functools.partial(tell, callback, mesh, devices)
    if len(devices) == 1:
        told(sharding_impls.replicated_hlo_sharding.to_proto().SerializeToString())
        return []

    def run(inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        told(ctypes.string_at(inputs[0].data, inputs[0].n_bytes))

    number, claim = callbacks.enter(callbacks.Entry(lambda: [], (), (), run))
    ctx.module_context.add_keepalive(claim)
    compat.lower_call(ctx, INSPECT, value, has_side_effect=True, id=np.int64(number))
    return []


def register() -> None:
    from jax._src import custom_partitioning, debugging, xla_bridge

    del custom_partitioning  # being imported, it has registered JAX's own

    xla_bridge.register_plugin_callbacks(register_partitioner)
    compat.register_lowering(debugging.inspect_sharding_p, lower_inspection)
