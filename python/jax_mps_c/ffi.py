# SPDX-License-Identifier: Apache-2.0
"""jax.ffi: machine code of the user's, registered by name and called on host memory.

jaxlib keeps the handlers of platforms that it knows; ours are handed to the library (src/ffi). A
handler that was registered for the CPU serves us too, where none was registered for `mps`: the host
engine's memory is the host's, and so is what the device engine's operands are copied to. So do JAX's
own LAPACK handlers, which programs contain that were exported for the CPU.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import threading
from typing import Any

from jax_mps_c import compat, extension

logger = logging.getLogger("jax_mps_c")

PLATFORM = "mps"
HOST = "Host"  # jaxlib's name of the CPU
TYPED = 1  # the version of the interface that has call frames
STAGES = ("instantiate", "prepare", "initialize", "execute")
RECORD = "record"  # a stage of recorded command buffers, which mps does not make
_KIND = 0x6A70  # src/pjrt/extensions.h
_TEXT_BYTES = 2048

_Resolver = ctypes.CFUNCTYPE(None, ctypes.c_char_p)


class _Ffi(ctypes.Structure):
    _fields_ = [
        ("base", extension.Base),
        (
            "register_target",
            ctypes.CFUNCTYPE(
                ctypes.c_int,
                ctypes.c_char_p,
                ctypes.POINTER(ctypes.c_void_p),
                ctypes.c_char_p,
                ctypes.c_size_t,
            ),
        ),
        (
            "register_type",
            ctypes.CFUNCTYPE(
                ctypes.c_int,
                ctypes.c_char_p,
                ctypes.c_void_p,
                ctypes.c_void_p,
                ctypes.c_char_p,
                ctypes.c_size_t,
            ),
        ),
        ("resolve_with", ctypes.CFUNCTYPE(None, _Resolver)),
    ]


_opening = threading.Lock()


@functools.cache
def library() -> _Ffi:
    with _opening:
        found = extension.find(_KIND, _Ffi)
        found.resolve_with(_resolver)
        return found


def pointer(capsule: Any) -> int | None:
    """What a PyCapsule holds; None stays None."""
    if capsule is None:
        return None
    name = ctypes.pythonapi.PyCapsule_GetName
    name.restype, name.argtypes = ctypes.c_char_p, (ctypes.py_object,)
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    return get(capsule, name(capsule))


def encode(name: str | bytes) -> bytes:
    return name if isinstance(name, bytes) else name.encode()


def register_target(
    name: str | bytes,
    handler: Any,
    platform: str = PLATFORM,
    api_version: int = TYPED,
    *traits: Any,
) -> None:
    """What jaxlib calls for jax.ffi.register_ffi_target(..., platform="mps")."""
    del platform, traits  # the traits are about CUDA's graphs
    if api_version != TYPED:
        raise NotImplementedError(
            f"the FFI target {name!r} is of the untyped interface (api_version={api_version}), "
            f"which the platform {PLATFORM} does not have"
        )
    stages = handler if isinstance(handler, dict) else {"execute": handler}
    if unknown := stages.keys() - {*STAGES, RECORD}:
        raise ValueError(f"the FFI target {name!r} has unknown stages: {', '.join(unknown)}")
    handlers = (ctypes.c_void_p * len(STAGES))(*(pointer(stages.get(s)) for s in STAGES))
    text = ctypes.create_string_buffer(_TEXT_BYTES)
    if library().register_target(encode(name), handlers, text, _TEXT_BYTES):
        raise ValueError(text.value.decode(errors="replace"))


def register_type(name: str | bytes, registration: Any) -> None:
    """What jaxlib calls for jax.ffi.register_ffi_type(..., platform="mps")."""
    parts = registration if isinstance(registration, dict) else {"type_id": registration}
    text = ctypes.create_string_buffer(_TEXT_BYTES)
    type_id, info = pointer(parts["type_id"]), pointer(parts.get("type_info"))
    if library().register_type(encode(name), type_id, info, text, _TEXT_BYTES):
        raise ValueError(text.value.decode(errors="replace"))


def find_cpu_target(name: str) -> Any:
    """The handler of this name that was registered for the CPU; None: there is none."""
    from jax._src.lib import lapack, xla_client

    # Until there is a CPU client, jaxlib only lists what it was given.
    listed = getattr(xla_client, "_custom_callback", {}).get(HOST, ())
    found = xla_client.custom_call_targets(HOST).get(name)
    for known, handler, api_version, *_ in listed:
        if encode(known) == encode(name) and api_version == TYPED:
            found = handler
    if found is not None and name.startswith("lapack_"):
        lapack._lapack.initialize()  # looks up the routines in SciPy, which JAX does when it lowers
    return found


def resolve(name: bytes) -> None:
    """Called by the library for a target that nobody registered for `mps`. Nothing may be raised."""
    try:
        handler = find_cpu_target(name.decode())
        if handler is not None:
            register_target(name, handler)
    except Exception as error:  # noqa: BLE001 - the program then names the target as unknown
        logger.warning("the FFI target %r of the CPU can't be used on mps: %s", name, error)


_resolver = _Resolver(resolve)


def order_futures() -> None:
    """An order in which a collective is to start (jax.experimental.control_deps) is a call with a
    future, which jaxlib can't convert to the library's version of StableHLO. The order has no
    effect on values, and the library does the work of a collective where it starts."""
    from jax._src import core, ffi

    original = ffi.ffi_call_lowering

    @functools.wraps(original)
    def lower(ctx: Any, *operands: Any, target_name: str, **params: Any) -> Any:
        is_order = target_name == "control_dep" and not ctx.avals_out
        if is_order and any(isinstance(aval, core.AbstractFuture) for aval in ctx.avals_in):
            return []
        return original(ctx, *operands, target_name=target_name, **params)

    compat.register_lowering(ffi.ffi_call_p, lower)


def register() -> None:
    from jax._src.lib import xla_client

    library()  # and with it the resolver
    xla_client.register_custom_call_handler(PLATFORM, register_target)
    for name in ("register_custom_type_handler", "register_custom_type_id_handler"):
        if hasattr(xla_client, name):
            getattr(xla_client, name)(PLATFORM, register_type)
            break
    if compat.has_futures():
        order_futures()
