# SPDX-License-Identifier: Apache-2.0
"""The same function on JAX's CPU backend and on `mps`, and what counts as the same result."""

from __future__ import annotations

import contextlib
import dataclasses
import zlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

# Relative to the largest magnitude of the expected array or element; some last bits, as functions
# like exp are approximated by different polynomials. Integers and booleans are exact.
TOLERANCE = {
    np.dtype(np.float64): 1e-12,
    np.dtype(np.complex128): 1e-12,
    np.dtype(np.float32): 2e-5,
    np.dtype(np.complex64): 5e-5,
    np.dtype(np.float16): 2e-3,
    np.dtype(ml_dtypes.bfloat16): 1.6e-2,
}


@dataclasses.dataclass(frozen=True)
class Spec:
    """An input: random values of a shape and type, between low and high."""

    shape: tuple[int, ...]
    dtype: Any = "float32"
    low: float = -2.0
    high: float = 2.0

    def make(self, seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        dtype = jnp.dtype(self.dtype)
        if dtype == np.bool_:
            return random.random(self.shape) < 0.5
        if np.issubdtype(dtype, np.integer):
            return random.integers(int(self.low), int(self.high) + 1, self.shape).astype(dtype)
        values = random.uniform(self.low, self.high, self.shape)
        if np.issubdtype(dtype, np.complexfloating):
            values = values + 1j * random.uniform(self.low, self.high, self.shape)
        return values.astype(dtype)


@dataclasses.dataclass(frozen=True)
class Case:
    """A function and its inputs. `grad` and `vmap` say whether those make sense for it."""

    name: str
    function: Callable[..., Any]
    inputs: tuple[Any, ...]  # of Spec, or arrays
    grad: bool = False
    vmap: bool = True
    eager: bool = True
    tolerance: float | None = None
    x64: bool = False

    def arrays(self) -> tuple[np.ndarray, ...]:
        seed = zlib.crc32(self.name.encode())
        return tuple(
            spec.make(seed + number) if isinstance(spec, Spec) else np.asarray(spec)
            for number, spec in enumerate(self.inputs)
        )


def x64(enabled: bool) -> contextlib.AbstractContextManager:
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(enabled)
    return jax.experimental.enable_x64(enabled)


def run(platform: str, function: Callable[..., Any], arrays: tuple, jit: bool = True) -> Any:
    """The function's results as numpy arrays, computed on the platform's first device."""
    device = jax.devices(platform)[0]
    with jax.default_device(device):
        inputs = jax.device_put(arrays, device)
        results = (jax.jit(function) if jit else function)(*inputs)
    for leaf in jax.tree.leaves(results):
        if isinstance(leaf, jax.Array):
            assert leaf.devices() == {device}, f"computed on {leaf.devices()}, not on {device}"
    return jax.tree.map(np.asarray, results)


def same(actual: np.ndarray, expected: np.ndarray, tolerance: float | None = None) -> None:
    """Raises with what differs: shape, type, NaNs, infinities, or values beyond the tolerance."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    if tolerance is None:
        tolerance = TOLERANCE.get(expected.dtype, 0.0)
    inexact = jnp.issubdtype(expected.dtype, jnp.inexact)
    if not inexact:
        np.testing.assert_array_equal(actual, expected)
        return
    wide = np.complex128 if jnp.issubdtype(expected.dtype, jnp.complexfloating) else np.float64
    actual, expected = actual.astype(wide), expected.astype(wide)
    finite = np.abs(expected[np.isfinite(expected)])
    scale = finite.max() if finite.size else 0.0
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * min(scale, 1.0))


def compare(
    function: Callable[..., Any], arrays: tuple, jit: bool = True, tolerance: float | None = None
) -> None:
    """Asserts that both platforms give the same."""
    expected = run("cpu", function, arrays, jit)
    actual = run("mps", function, arrays, jit)
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for mine, theirs in zip(jax.tree.leaves(actual), jax.tree.leaves(expected)):
        same(mine, theirs, tolerance)


def gradient_of(case: Case) -> Callable[..., Any]:
    """The gradient of a weighted sum of all results, for every inexact input."""
    wanted = [n for n, a in enumerate(case.arrays()) if jnp.issubdtype(a.dtype, jnp.inexact)]

    def total(*arrays: Any) -> Any:
        leaves = [
            x
            for x in jax.tree.leaves(case.function(*arrays))
            if jnp.issubdtype(x.dtype, jnp.inexact)
        ]
        # The cosines keep symmetric results (of softmax, of norms) from cancelling out.
        weighted = [
            jnp.real(x) * jnp.cos(jnp.arange(x.size).reshape(x.shape)).astype(jnp.real(x).dtype)
            for x in leaves
        ]
        return sum(jnp.sum(x).astype(jnp.float32) for x in weighted)

    return jax.grad(total, argnums=tuple(wanted))


def stacked(arrays: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """Each input three times, the copies rolled, so that the batch's members differ."""
    return tuple(np.stack([np.roll(a, n) if a.size > 1 else a for n in range(3)]) for a in arrays)
