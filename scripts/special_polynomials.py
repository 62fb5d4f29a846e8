#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/engine/elementwise/special_polynomials.h: the polynomials of the special functions.

    pip install mpmath; scripts/special_polynomials.py

A function is interpolated at the zeros of a Chebyshev polynomial, with 60 digits; the degree is the
first whose error, relative to the function, is small enough for the element type. A polynomial's
argument runs over [-1, 1].
"""

from __future__ import annotations

import pathlib

import mpmath
from mpmath import mpf

mpmath.mp.dps = 60

HEAD = """/* SPDX-License-Identifier: Apache-2.0
 * Private to special_vector.c: polynomials in t, -1 <= t <= 1. Written by
 * scripts/special_polynomials.py, which says how they were found. */
#ifndef JM_ELEMENTWISE_SPECIAL_POLYNOMIALS_H
#define JM_ELEMENTWISE_SPECIAL_POLYNOMIALS_H

#include "base/number.h"
"""


def interpolate(f, degree):
    """Coefficients of the powers of t, highest first."""
    n = degree + 1
    nodes = [mpmath.cos(mpmath.pi * (2 * k + 1) / (2 * n)) for k in range(n)]
    values = [f(t) for t in nodes]
    chebyshev = [
        2
        * sum(v * mpmath.cos(mpmath.pi * j * (2 * k + 1) / (2 * n)) for k, v in enumerate(values))
        / n
        for j in range(n)
    ]
    chebyshev[0] /= 2
    powers = [mpf(0)] * n
    older, old = [mpf(1)], [mpf(0), mpf(1)]
    for j, c in enumerate(chebyshev):
        current = older if j == 0 else old
        for k, p in enumerate(current):
            powers[k] += c * p
        if j:
            shifted = [mpf(0), *[2 * p for p in old]]
            older, old = (
                old,
                [p - (older[k] if k < len(older) else 0) for k, p in enumerate(shifted)],
            )
    return powers[::-1]


def fit(f, error):
    for degree in range(4, 60):
        coefficients = interpolate(f, degree)
        worst = max(
            abs(mpmath.polyval(coefficients, t) / f(t) - 1)
            for t in (mpf(k) / 40 for k in range(-40, 41))
        )
        if worst < error:
            return coefficients, worst
    raise ValueError("not smooth enough")


def erf_inv_ratio(w):
    """erf_inv(x) / x where (1 - x)(1 + x) = e^-w."""
    if w == 0:
        return mpmath.sqrt(mpmath.pi) / 2
    x = mpmath.sqrt(-mpmath.expm1(-w))
    rest = mpmath.exp(-w) / (1 + x)  # 1 - x
    y = mpmath.sqrt(w) * mpf("0.9")
    for _ in range(60):  # Newton, on the logarithm of erfc
        step = mpmath.log(mpmath.erfc(y) / rest) * mpmath.erfc(y) * mpmath.exp(y * y)
        step *= mpmath.sqrt(mpmath.pi) / 2
        y += step
        if abs(step) < mpf(10) ** -50:
            break
    return y / x


def memoised(f):
    known = {}
    return lambda t: known[t] if t in known else known.setdefault(t, f(t))


def between(low, high, f):
    low, high = mpf(low), mpf(high)
    return memoised(lambda t: f(low + (t + 1) * (high - low) / 2))


def bessel_near(order):
    """e^-x I(x), divided by x for the odd one, where x = 4 (t + 1)."""
    if order == 0:
        return lambda x: mpmath.exp(-x) * mpmath.besseli(0, x)
    return lambda x: mpmath.exp(-x) * mpmath.besseli(1, x) / x if x else mpf(1) / 2


def bessel_far(order):
    """sqrt(x) e^-x I(x) where 8 / x = (t + 1) / 2."""
    limit = 1 / mpmath.sqrt(2 * mpmath.pi)

    def f(u):
        x = 8 / u if u else mpf(10) ** 30
        if x > 10**6:
            return limit * (1 - (4 * order**2 - 1) / (8 * x))
        return mpmath.sqrt(x) * mpmath.exp(-x) * mpmath.besseli(order, x)

    return f


def lgamma_ratio(x):
    """lgamma(x) / ((x - 1) (x - 2)), which has no zero."""
    if x == 1:
        return mpmath.euler
    if x == 2:
        return 1 - mpmath.euler
    return mpmath.loggamma(x) / ((x - 1) * (x - 2))


SINGLE, DOUBLE = mpf(2) ** -29, mpf(2) ** -56
ROWS = (
    ("erf_inv_center", between(0, 6.25, erf_inv_ratio), "w in [0, 6.25]"),
    ("erf_inv_middle", between(2.5, 4, lambda s: erf_inv_ratio(s * s)), "sqrt(w) in [2.5, 4]"),
    ("erf_inv_end", between(4, 6.25, lambda s: erf_inv_ratio(s * s)), "sqrt(w) in [4, 6.25]"),
    ("lgamma_near", between(1, 3, lgamma_ratio), "x in [1, 3]"),
    ("bessel_i0e_near", between(0, 8, bessel_near(0)), "x in [0, 8]"),
    ("bessel_i0e_far", between(0, 1, bessel_far(0)), "8 / x in [0, 1]"),
    ("bessel_i1e_near", between(0, 8, bessel_near(1)), "x in [0, 8]"),
    ("bessel_i1e_far", between(0, 1, bessel_far(1)), "8 / x in [0, 1]"),
)

# No float of 32 bits is so near to 1; lgamma of f32 needs no digits near its zeros.
DOUBLE_ONLY = ("erf_inv_end", "lgamma_near")
# Computed in f32 itself: where speed counts and nothing cancels.
SINGLE_ITSELF = ("erf_inv_center", "erf_inv_middle")


def main() -> None:
    text = HEAD
    for name, f, where in ROWS:
        for suffix, error in (("f32", SINGLE), ("f64", DOUBLE)):
            if suffix == "f32" and name in DOUBLE_ONLY:
                continue
            float_type, end = "double", ""
            if suffix == "f32" and name in SINGLE_ITSELF:
                float_type, end, error = "float", "f", mpf(2) ** -26
            coefficients, worst = fit(f, error)
            text += f"\n/* {where}: relative error {mpmath.nstr(worst, 2)} */\n"
            text += f"JM_INLINE {float_type} jm_{name}_{suffix}({float_type} t) {{\n"
            text += f"  {float_type} p = {float(coefficients[0]).hex()}{end};\n"
            for c in coefficients[1:]:
                sign = "+" if c >= 0 else "-"
                text += f"  p = p * t {sign} {abs(float(c)).hex()}{end};\n"
            text += "  return p;\n}\n"
            print(name, suffix, "degree", len(coefficients) - 1)
    text += "\n#endif\n"
    folder = pathlib.Path(__file__).resolve().parent.parent / "src" / "engine" / "elementwise"
    (folder / "special_polynomials.h").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
