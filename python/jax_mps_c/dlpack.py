# SPDX-License-Identifier: Apache-2.0
"""DLPack out of and into the platform `mps`, without a copy where the memory is the host's.

jaxlib makes capsules for platforms that it knows by name, and JAX puts what it is given on the device
of the producer's kind: host memory on `cpu`. Ours is host memory, too (kDLCPU): a capsule is made here
over NumPy's view of an array, which waits for its value and keeps its memory from being donated, and
host memory lands on `mps` where that is the device that is asked for, or the default one.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import threading
import types
from typing import Any

import numpy as np

PLATFORM = "mps"
CPU = 1  # kDLCPU
_READ_ONLY, _COPIED = 1, 2
_VERSION = (1, 0)


class _DType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("dtype", _DType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(ctypes.Structure):
    name = b"dltensor"
    _fields_ = [("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _Deleter)]


class _ManagedVersioned(ctypes.Structure):
    name = b"dltensor_versioned"
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", _Deleter),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    ]


# kDLInt, kDLUInt, kDLFloat, kDLComplex by NumPy's kinds
_CODES = {"i": 0, "u": 1, "f": 2, "c": 5}


def describe(dtype: np.dtype) -> _DType:
    if dtype.name == "bfloat16":
        return _DType(4, 16, 1)
    if dtype == np.bool_:
        return _DType(6, 8, 1)
    if dtype.kind not in _CODES:
        raise BufferError(f"DLPack has no element type for {dtype.name}")
    return _DType(_CODES[dtype.kind], dtype.itemsize * 8, 1)


# -- capsules

_alive: dict[int, tuple[Any, ...]] = {}  # what a consumer may still read, by the address it frees


def _delete(address: int | None, forget: Any = _alive.pop) -> None:
    forget(address or 0, None)


_delete_function = _Deleter(_delete)
_Destructor = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
_api = ctypes.pythonapi
_new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", _api)
)
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_IsValid", _api)
)
_get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", _api)
)


def _destroy(
    capsule: int,
    kinds: tuple[bytes, ...] = (_Managed.name, _ManagedVersioned.name),
    is_valid: Any = _is_valid,
    get: Any = _get,
    delete: Any = _delete,
) -> None:
    """A capsule that was consumed has another name, and its consumer frees the tensor."""
    for name in kinds:
        if is_valid(capsule, name):
            delete(get(capsule, name))


_destroy_function = _Destructor(_destroy)
# Both are called until the process ends, when this module and its names may be gone.
for _function in (_delete_function, _destroy_function):
    _api.Py_IncRef(ctypes.py_object(_function))


def make_capsule(view: np.ndarray, versioned: bool, flags: int) -> Any:
    managed = _ManagedVersioned() if versioned else _Managed()
    shape = (ctypes.c_int64 * max(view.ndim, 1))(*view.shape)
    strides = (ctypes.c_int64 * max(view.ndim, 1))(*(s // view.itemsize for s in view.strides))
    managed.tensor = _Tensor(
        view.ctypes.data, CPU, 0, view.ndim, describe(view.dtype), shape, strides, 0
    )
    managed.deleter = _delete_function
    if versioned:
        managed.major, managed.minor = _VERSION
        managed.flags = flags
    address = ctypes.addressof(managed)
    _alive[address] = (managed, view, shape, strides)
    destructor = ctypes.cast(_destroy_function, ctypes.c_void_p)
    return _new(address, managed.name, destructor)


# -- out


def platform_of(x: Any) -> str:
    return next(iter(x.sharding.device_set)).platform


def export(x: Any, max_version: tuple[int, int] | None, copy: bool | None) -> Any:
    if len(x.sharding.device_set) > 1:
        raise BufferError("an array on several devices can't be packed into a DLPack tensor")
    describe(x.dtype)  # before it is waited for
    view = np.array(x) if copy else np.asarray(x)
    if copy is False and not shares_memory(x, view):
        raise BufferError("the device does not share its memory: a copy is needed")
    versioned = max_version is not None and tuple(max_version) >= _VERSION
    return make_capsule(view, versioned, _COPIED if copy else _READ_ONLY)


def shares_memory(x: Any, view: np.ndarray) -> bool:
    try:
        return not view.nbytes or x.unsafe_buffer_pointer() == view.ctypes.data
    except Exception:  # noqa: BLE001 - a device that has no such pointer
        return False


# -- in

_here = threading.local()  # wanted: whether host memory is to land on ours


class Backends(types.ModuleType):
    """jax._src.xla_bridge as DLPack sees it: host memory belongs to our platform while it is wanted."""

    def __init__(self, original: types.ModuleType):
        super().__init__(original.__name__)
        self._original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def get_backend(self, platform: Any = None) -> Any:
        wanted = platform == "cpu" and getattr(_here, "wanted", False)
        return self._original.get_backend(PLATFORM if wanted else platform)


def is_wanted(external_array: Any, device: Any) -> bool:
    """Whether an array that is made for this device is ours. An array of JAX's own stays where it is
    if none is named."""
    import jax
    from jax._src import xla_bridge

    if device is None and isinstance(external_array, jax.Array):
        return platform_of(external_array) == PLATFORM
    device = device if device is not None else jax.config.jax_default_device
    if device is None:
        return xla_bridge.get_backend().platform == PLATFORM
    if isinstance(device, str):
        return device == PLATFORM
    devices = getattr(device, "device_set", None) or {device}
    return all(d.platform == PLATFORM for d in devices)


def take(unpack: Any, external_array: Any, device: Any, copy: bool | None) -> Any:
    """Host memory as an array of ours: shared, or copied where it is asked for or where the memory
    is not dense, row-major and aligned."""
    import jax

    try:
        # jaxlib's own copy asks for a kind of transfer that a plugin is never given.
        array = unpack(external_array, device, None)
        return jax.numpy.array(array, copy=True) if copy else array
    except jax.errors.JaxRuntimeError as error:
        if copy is False:
            raise ValueError(
                "Specified copy=False, which requires a copy since the memory is not dense, "
                f"row-major and aligned: {error}"
            ) from error
        host = np.from_dlpack(external_array)
        return jax.numpy.array(host, copy=True, device=device)


def register() -> None:
    import jax.dlpack
    from jax._src import dlpack
    from jax._src.array import ArrayImpl

    if isinstance(dlpack.xla_bridge, Backends):
        return
    device_of, pack, unpack = ArrayImpl.__dlpack_device__, dlpack.to_dlpack, dlpack.from_dlpack

    @functools.wraps(device_of)
    def __dlpack_device__(self: Any) -> tuple[Any, int]:
        if platform_of(self) == PLATFORM and len(self.sharding.device_set) == 1:
            return dlpack.DLDeviceType.kDLCPU, 0
        return device_of(self)

    @functools.wraps(pack)
    def to_dlpack(x: Any, *args: Any, **kwargs: Any) -> Any:
        wanted = kwargs.get("dl_device")
        here = wanted is None or tuple(map(int, wanted)) == (CPU, 0)
        if here and isinstance(x, ArrayImpl) and platform_of(x) == PLATFORM:
            return export(x, kwargs.get("max_version"), kwargs.get("copy"))
        return pack(x, *args, **kwargs)

    @functools.wraps(unpack)
    def from_dlpack(external_array: Any, device: Any = None, copy: bool | None = None) -> Any:
        _here.wanted = is_wanted(external_array, device)
        try:
            if _here.wanted:
                return take(unpack, external_array, device, copy)
            return unpack(external_array, device, copy)
        finally:
            _here.wanted = False

    dlpack.xla_bridge = Backends(dlpack.xla_bridge)
    ArrayImpl.__dlpack_device__ = __dlpack_device__
    for module, (name, function) in itertools.product(
        (dlpack, jax.dlpack), (("to_dlpack", to_dlpack), ("from_dlpack", from_dlpack))
    ):
        if hasattr(module, name):
            setattr(module, name, function)
