# SPDX-License-Identifier: Apache-2.0
"""Counters of the running plugin: which engine ran what, for tests and for the curious."""

import ctypes

from jax_mps_c import locate

_EXTENSION = 0x6A6D  # src/pjrt/extensions.h


class _Extension(ctypes.Structure):
    pass


_Extension._fields_ = [
    ("struct_size", ctypes.c_size_t),
    ("type", ctypes.c_int),
    ("next", ctypes.POINTER(_Extension)),
    ("read", ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)),
]


class _Api(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_size_t), ("extension_start", ctypes.POINTER(_Extension))]


def read() -> dict[str, int]:
    """The counters of base/counters.def by name, since the start of the process."""
    library = ctypes.CDLL(str(locate.find_library()))
    library.GetPjrtApi.restype = ctypes.POINTER(_Api)
    extension = library.GetPjrtApi().contents.extension_start
    while extension and extension.contents.type != _EXTENSION:
        extension = extension.contents.next
    if not extension:
        raise RuntimeError("this plugin has no counters")
    capacity = 64
    names, values = (ctypes.c_char_p * capacity)(), (ctypes.c_uint64 * capacity)()
    n = extension.contents.read(names, values, capacity)
    return {names[i].decode(): values[i] for i in range(min(n, capacity))}
