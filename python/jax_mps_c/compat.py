# SPDX-License-Identifier: Apache-2.0
"""Where versions of JAX name the same thing differently, from the oldest that works to the newest.

Each function asks JAX for what it has, not for its version. What JAX has no name for at all is left
out by its caller. The features themselves are in lowerings.py and callbacks.py.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# Older ones crash while they start a plugin of today's C API, or ask for exactly their own version of it.
OLDEST = (0, 4, 38)
# The newest version of portable artifacts that the library reads: it has ops that jaxlib expands for a
# plugin of version 1.15 (src/pjrt/plugin.c) before it converts a program.
STABLEHLO = "1.22.0"


def check_version() -> None:
    """Refuses a jax that is too old before it loads the library, where it would crash."""
    import jax

    if jax.__version_info__[:3] < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise RuntimeError(
            f"jax-mps-c needs jax {needed} or newer, this is {jax.__version__}; "
            f'try: pip install -U "jax>={needed}"'
        )


class LazyOptions(Mapping[str, str]):
    """Options of the client, made when it starts: newer versions call them, older ones read them as
    a mapping."""

    def __init__(self, make: Callable[[], dict[str, str]]):
        self._make = functools.cache(make)

    def __call__(self) -> dict[str, str]:
        return self._make()

    def __iter__(self) -> Iterator[str]:
        return iter(self._make())

    def __getitem__(self, name: str) -> str:
        return self._make()[name]

    def __len__(self) -> int:
        return len(self._make())


def make_client(key: str, options: LazyOptions) -> Any:
    """The client of a library that jaxlib loaded under this key."""
    from jax._src import xla_bridge
    from jax._src.lib import xla_client

    if hasattr(xla_bridge, "make_pjrt_c_api_client"):
        return xla_bridge.make_pjrt_c_api_client(key, options=options)
    if not xla_client.pjrt_plugin_initialized(key):
        xla_client.initialize_pjrt_plugin(key)
    return xla_client.make_c_api_client(key, options(), None)


def register_lowering(primitive: Any, rule: Any, *, inline: bool = True) -> None:
    """mlir.register_lowering for our platform; `inline=False` makes one function of equal calls."""
    from jax._src.interpreters import mlir

    from jax_mps_c.hooks import PLATFORM

    known = "inline" in inspect.signature(mlir.register_lowering).parameters
    options = {"inline": inline} if known and not inline else {}
    mlir.register_lowering(primitive, rule, platform=PLATFORM, **options)


def lower_call(
    ctx: Any, target: str, *operands: Any, has_side_effect: bool = False, **attributes: Any
) -> tuple[Any, list[Any]]:
    """A custom call of the typed FFI: the op (None where JAX does not show one that has no results)
    and its results."""
    try:
        from jax._src import ffi
    except ImportError:  # before 0.5
        from jax._src.extend import ffi  # type: ignore[no-redef]
    options = {"has_side_effect": True} if has_side_effect else {}
    if hasattr(ffi, "build_ffi_lowering_function"):
        rule = ffi.build_ffi_lowering_function(target, **options)
        call = rule(ctx, *operands, **attributes)
        return call, list(call.results)
    results = list(ffi.ffi_lowering(target, **options)(ctx, *operands, **attributes))
    return (results[0].owner if results else None), results


def make_portable(module: bytes) -> bytes:
    """A module that jaxlib serialized for itself as a portable artifact of StableHLO."""
    from jax._src.interpreters import mlir
    from jax._src.lib.mlir import ir
    from jax._src.lib.mlir.dialects import hlo

    version = hlo.get_smaller_version(STABLEHLO, hlo.get_current_version())
    with mlir.make_ir_context():
        parsed = ir.Module.parse(module)
        try:  # with ops of sdy, which have no portable form of their own
            return hlo.serialize_portable_artifact(parsed, version, allow_other_dialects=True)
        except TypeError:
            return hlo.serialize_portable_artifact(parsed, version)


def hide_frames(path: str) -> None:
    """Locations of a program's ops are those of whoever called the functions of this file."""
    from jax._src import source_info_util

    if hasattr(source_info_util, "register_exclusion"):
        source_info_util.register_exclusion(path)


def set_sharding(ctx: Any, op: Any, sharding: Any) -> None:
    from jax._src.interpreters import mlir

    context = "ctx" in inspect.signature(mlir.set_sharding).parameters
    mlir.set_sharding(*([ctx.module_context] if context else []), op, sharding)


def sharding_classes() -> tuple[type | None, type | None]:
    """Shardy's sharding of one array, and of a list of arrays."""
    from jax._src import sharding_impls

    array = getattr(sharding_impls, "SdyArray", None)
    return array, getattr(sharding_impls, "SdyArrayList", None)


def canonicalize(value: Any) -> Any:
    """An array with the element type that JAX gives it: 32 bits where 64 are off."""
    import numpy as np
    from jax._src import dtypes

    array = np.asarray(value)
    if hasattr(dtypes, "canonicalize_value"):
        return dtypes.canonicalize_value(array)
    return array.astype(dtypes.canonicalize_dtype(array.dtype), copy=False)


def emitter() -> Any:
    """The module whose `emit_python_callback` JAX's lowerings of callbacks call."""
    from jax._src import callback
    from jax._src.interpreters import mlir

    return callback if hasattr(callback, "emit_python_callback") else mlir


def has_futures() -> bool:
    """Whether collectives have two halves, with a future between them."""
    from jax._src import core

    return hasattr(core, "AbstractFuture")


def takes_any_host_callback() -> bool:
    """Whether a program may name a callback that jaxlib does not call; before 0.6 the list of them was
    for capsules of jaxlib's own."""
    from jax._src.lib import xla_client

    return not hasattr(xla_client.Client, "get_emit_python_callback_descriptor")
