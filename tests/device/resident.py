# SPDX-License-Identifier: Apache-2.0
"""Arrays that lie on the device whatever their size: small ones that the host hands over stay with
it, and integer ops on them too, which would leave MLX's untested."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def put(array: np.ndarray) -> jax.Array:
    device = jax.devices("mps")[0]
    array = np.asarray(array)
    if not array.size or jnp.dtype(array.dtype).itemsize * array.size > 64:
        return jax.device_put(array, device)
    # The result of a program that ran on the device lies there.
    copies = np.broadcast_to(array.ravel(), (128, array.size))
    with jax.default_device(device):
        return jax.jit(lambda x: x[1].reshape(array.shape))(jax.device_put(copies, device))


def run(function: Any, arrays: tuple, jit: bool = True) -> Any:
    """As harness.run, on the device's own copies of the arrays."""
    device = jax.devices("mps")[0]
    with jax.default_device(device):
        results = (jax.jit(function) if jit else function)(*map(put, arrays))
    return jax.tree.map(np.asarray, results)
