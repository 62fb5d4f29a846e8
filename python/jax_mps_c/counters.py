# SPDX-License-Identifier: Apache-2.0
"""Counters of the running plugin: which engine ran what, for tests and for the curious."""

import ctypes

from jax_mps_c import extension

_KIND = 0x6A6D  # src/pjrt/extensions.h


class _Counters(ctypes.Structure):
    _fields_ = [
        ("base", extension.Base),
        (
            "read",
            ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t),
        ),
    ]


def read() -> dict[str, int]:
    """The counters of base/counters.def by name, since the start of the process."""
    counters = extension.find(_KIND, _Counters)
    capacity = 64
    names, values = (ctypes.c_char_p * capacity)(), (ctypes.c_uint64 * capacity)()
    n = counters.read(names, values, capacity)
    return {names[i].decode(): values[i] for i in range(min(n, capacity))}
