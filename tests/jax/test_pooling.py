# SPDX-License-Identifier: Apache-2.0
"""Pooling with windows along the last axis, whose lengths are around blocks and vectors."""

import ml_dtypes
import numpy as np
import pytest
from jax import lax

from jax_mps_c.selftest.harness import run, x64

FOLDS = {
    "max": (lax.max, np.maximum, -np.inf),
    "min": (lax.min, np.minimum, np.inf),
    "sum": (lax.add, np.add, 0),
}
# shape, window, strides, padding, dilation
CASES = [
    ((5, 1031), (1, 3), (1, 1), ((0, 0), (1, 1)), (1, 1)),
    ((4, 1100), (1, 8), (1, 2), ((0, 0), (3, 4)), (1, 1)),
    ((3, 600), (2, 2), (1, 2), ((1, 0), (0, 0)), (1, 1)),
    ((2, 3, 9, 33), (1, 1, 3, 3), (1, 1, 2, 2), ((0, 0), (0, 0), (1, 1), (0, 1)), (1, 1, 1, 1)),
    ((7, 77), (3, 4), (2, 3), ((2, 1), (7, 5)), (2, 3)),
    ((2000,), (5,), (1,), ((9, 9),), (2,)),
    ((6, 90), (2, 3), (1, 7), ((0, 0), (-2, -3)), (1, 1)),
]


def pool(x, case, fold, initial):
    """Elements of padding take part as the identity, which changes nothing."""
    _, window, strides, padding, dilation = case
    widths = [(max(low, 0), max(high, 0)) for low, high in padding]
    x = np.pad(x, widths, constant_values=initial)
    x = x[tuple(slice(max(-p[0], 0), n - max(-p[1], 0)) for p, n in zip(padding, x.shape))]
    reach = [(w - 1) * d for w, d in zip(window, dilation)]
    out = [(n - r - 1) // s + 1 for n, r, s in zip(x.shape, reach, strides)]
    result = np.full(out, initial, x.dtype)
    for tap in np.ndindex(*window):
        first = [t * d for t, d in zip(tap, dilation)]
        part = tuple(slice(f, f + (n - 1) * s + 1, s) for f, n, s in zip(first, out, strides))
        result = fold(result, x[part])
    return result


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "int8", "int32"])
@pytest.mark.parametrize("name", FOLDS)
@pytest.mark.parametrize("case", CASES)
def test_rows(case, name, dtype):
    op, fold, initial = FOLDS[name]
    dtype = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    x = np.random.default_rng(3).integers(-3, 4, case[0]).astype(dtype)
    if dtype.kind != "i":
        x.reshape(-1)[5::97] = np.nan
        x.reshape(-1)[::37] = -0.0
    elif initial:
        initial = np.iinfo(dtype).min if name == "max" else np.iinfo(dtype).max
    initial = np.asarray(initial).astype(dtype)
    _, window, strides, padding, dilation = case

    def pooled(x):
        return lax.reduce_window(x, initial, op, window, strides, padding, (1,) * x.ndim, dilation)

    with x64(True), np.errstate(all="ignore"):
        got = np.asarray(run("mps", pooled, (x,)))
        expected = pool(x, case, fold, initial)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got.astype(np.float64), expected.astype(np.float64))
