# SPDX-License-Identifier: Apache-2.0
"""Our own extensions of the C API: how Python reaches the running plugin beside JAX."""

from __future__ import annotations

import ctypes
from typing import TypeVar

from jax_mps_c import locate


class Base(ctypes.Structure):
    """What every extension begins with."""


Base._fields_ = [
    ("struct_size", ctypes.c_size_t),
    ("type", ctypes.c_int),
    ("next", ctypes.POINTER(Base)),
]


class _Api(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("extension_start", ctypes.POINTER(Base))]


Extension = TypeVar("Extension", bound=ctypes.Structure)


def find(kind: int, structure: type[Extension]) -> Extension:
    """The extension of this type (src/pjrt/extensions.h) of the library that JAX uses."""
    library = ctypes.CDLL(str(locate.find_library()))
    library.GetPjrtApi.restype = ctypes.POINTER(_Api)
    base = library.GetPjrtApi().contents.extension_start
    while base and base.contents.type != kind:
        base = base.contents.next
    if not base or base.contents.struct_size < ctypes.sizeof(structure):
        raise RuntimeError(f"this plugin has no extension {kind:#x}")
    return ctypes.cast(base, ctypes.POINTER(structure)).contents
