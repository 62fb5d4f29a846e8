# SPDX-License-Identifier: Apache-2.0
"""When two results of a program are the same. Floats may differ by rounding: how much is too much is
not a number but a property of the program, so where two results differ, the program is run again in
float64, each step rounded to its own type: without and with errors of one rounding in each step, and
with subnormal numbers as they are and as zero. What these change is no difference; what they don't
must agree. A derivative's own operations have errors of a rounding, too: in float64, where nothing is
wider, they are given them (chance/noise.py)."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from chance.generate import precision
from chance.noise import run_disturbed
from chance.program import (
    Context,
    Program,
    arrays_of,
    epsilon,
    function_of,
    is_complex,
    is_inexact,
    tiny,
)

NOISES = (1, 2, 3, 4)
ROUNDINGS = 16  # that two results may differ by before they are looked at
LITTLE = 2.0**-10  # of a value: an error of both that is none of a program's meaning
SPREADS = 8  # how much more than the noisy runs a result may differ from the wide one


@dataclasses.dataclass
class Difference:
    kind: str  # value, both, error, crash, or the setting that makes a difference
    text: str


def parts(x: np.ndarray) -> list[np.ndarray]:
    """Real arrays in float64, so that one can compute with them; those of integers as they are."""
    if is_complex(str(x.dtype)):
        return [x.real.astype(np.float64), x.imag.astype(np.float64)]
    if is_inexact(str(x.dtype)):
        return [x.astype(np.float64)]
    return [x.astype(np.int64) if x.dtype.itemsize == 1 and x.dtype != np.bool_ else x]


def same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a == b) | (np.isnan(a) & np.isnan(b)) if a.dtype.kind == "f" else a == b


def unlike(a: np.ndarray, b: np.ndarray, dtype: str) -> np.ndarray:
    """Which elements of real arrays differ by more than some roundings."""
    if a.dtype.kind != "f":
        return ~same(a, b)
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(a - b) <= ROUNDINGS * (
            epsilon(dtype) * np.maximum(np.abs(a), np.abs(b)) + tiny(dtype)
        )
    return ~(same(a, b) | (near & np.isfinite(a) & np.isfinite(b)))


def find_unlike(a: list[np.ndarray], b: list[np.ndarray]) -> list[tuple[int, int]]:
    """(output, part) of those that differ in type, shape or values."""
    found = [(-1, 0)] if len(a) != len(b) else []
    for n, (x, y) in enumerate(zip(a, b)):
        if x.dtype != y.dtype or x.shape != y.shape:
            found.append((n, -1))
            continue
        for k, (p, q) in enumerate(zip(parts(x), parts(y))):
            if unlike(p, q, str(x.dtype) if is_inexact(str(x.dtype)) else "float32").any():
                found.append((n, k))
    return found


def run_wide(program: Program, **more: Any) -> list[np.ndarray]:
    context = Context(wide=True, **more)
    with precision(True):
        inputs = [context.widen(jnp.asarray(a)) for a in arrays_of(program)]
        return [np.asarray(x) for x in jax.jit(function_of(program, context))(*inputs)]


def run_noisy_derivatives(program: Program) -> list[list[np.ndarray]]:
    """The results of a derivative in float64 with errors in its own operations; else none."""
    if "grad" not in program.wrappers or not program.x64:
        return []
    with precision(True):
        f, arguments = function_of(program), arrays_of(program)
        return [run_disturbed(f, arguments, noise) for noise in NOISES]


def allowed(wide: np.ndarray, noisy: list[np.ndarray], dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Per element: how far from the wide result is right, and where anything is."""
    if wide.dtype.kind != "f":
        return np.zeros(wide.shape), np.any([n != wide for n in noisy], axis=0)
    info = ml_dtypes.finfo(dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        spread = np.max([np.abs(n - wide) for n in noisy], axis=0)
        spread = SPREADS * spread + 4 * epsilon(dtype) * np.abs(wide) + 4 * tiny(dtype)
        finite = [np.isfinite(x) & (np.abs(x) < 0.9 * float(info.max)) for x in (wide, *noisy)]
        unsure = ~np.all(finite, axis=0) & ~np.all([same(n, wide) for n in noisy], axis=0)
        unsure |= np.isfinite(wide) & ~finite[0]  # it may round to an infinity
    return spread, unsure


def is_right(x: np.ndarray, wide: np.ndarray, spread: np.ndarray, unsure: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(x - wide) <= spread if x.dtype.kind == "f" else np.zeros(x.shape, bool)
    if x.dtype.kind == "f":  # no error makes a number infinite; where noise does, it is not sure
        near &= np.isfinite(x) & np.isfinite(wide)
    return same(x, wide) | near | unsure


def describe(x: np.ndarray, bad: np.ndarray, columns: dict[str, np.ndarray]) -> str:
    places = np.argwhere(bad)
    lines = [f"{len(places)} of {x.size} elements of {x.dtype}{list(x.shape)}"]
    for place in places[:4]:
        at = tuple(int(i) for i in place)
        values = ", ".join(f"{name} {column[at]!r}" for name, column in columns.items())
        lines.append(f"    at {at}: {values}")
    return "\n".join(lines)


def compare(
    program: Program, ours: list[np.ndarray], theirs: list[np.ndarray], who: str, kind: str
) -> list[Difference]:
    """Ours against the results of `who`, and where they differ, both against the wide ones."""
    found = find_unlike(ours, theirs)
    if not found:
        return []
    if any(k < 0 or n < 0 for n, k in found):
        types = [[f"{x.dtype}{list(x.shape)}" for x in r] for r in (ours, theirs)]
        return [Difference(kind, f"types: {types[0]}, {who}: {types[1]}")]
    try:
        wide = run_wide(program)
        noisy = [run_wide(program, noise=n) for n in NOISES]
        noisy.append(run_wide(program, subnormals=True))
        derived = run_noisy_derivatives(program)
    except Exception as error:  # noqa: BLE001 - then nobody knows who is right, which is shown
        return [Difference("both", f"{who} differs, and float64 fails: {error!s:.300}")]
    differences = []
    for n, k in found:
        x, y, w = parts(ours[n])[k], parts(theirs[n])[k], parts(wide[n])[k]
        if w.dtype.kind != "f" and x.dtype != w.dtype:
            w = w.astype(x.dtype)
        dtype = str(ours[n].real.dtype)
        runs = noisy + derived if dtype == "float64" else noisy
        others = [parts(r[n])[k].astype(w.dtype) for r in runs]
        spread, unsure = allowed(w, others, dtype)
        if is_complex(str(ours[n].dtype)):  # the error of a part is of the whole
            with np.errstate(invalid="ignore", over="ignore"):
                whole = np.nan_to_num(np.abs(wide[n]), posinf=0)
            spread = spread + ROUNDINGS * epsilon(dtype) * whole
            # Any number with an infinite part is infinity; which part is, or is NaN, differs between
            # XLA, NumPy and C.
            unsure = unsure | (~np.isfinite(ours[n]) & ~np.isfinite(theirs[n]))
        if w.dtype.kind == "f":
            # Who errs a little, and no more than twice what the other does, is as right.
            with np.errstate(invalid="ignore", over="ignore"):
                error = np.abs(y - w)
                spread = np.fmax(spread, np.where(error < LITTLE * np.abs(w), 2 * error, 0))
        if "grad" in program.wrappers and w.dtype.kind == "f":
            # Its ops are JAX's and have no noise of their own: the other's error is the measure.
            spread = spread + SPREADS * np.nanmax(error, initial=0, where=np.isfinite(error))
            # Where the other overflows and float64 does not, or they are not finite in two ways,
            # that error has no bound.
            unsure = unsure | (~np.isfinite(error) & ~same(y, w))
        differ = unlike(x, y, dtype if is_inexact(dtype) else "float32")
        bad = differ & ~is_right(x, w, spread, unsure)
        if not bad.any():
            continue
        theirs_wrong = bad & ~is_right(y, w, spread, unsure)
        columns = {"ours": x, who: y, "float64": w, "allowed": spread}
        text = f"output {n}, {describe(ours[n], bad, columns)}"
        differences.append(Difference("both" if theirs_wrong.all() else kind, text))
    return differences
