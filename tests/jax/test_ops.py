# SPDX-License-Identifier: Apache-2.0
"""Every row of cases.py: value under jit and eagerly, gradient, vmap."""

import jax
import pytest

from jax_mps_c.selftest.cases import CASES
from jax_mps_c.selftest.harness import compare, gradient_of, stacked, x64


def select(**traits):
    return [
        pytest.param(case, id=case.name)
        for case in CASES
        if all(getattr(case, name) == value for name, value in traits.items())
    ]


def test_names_are_unique():
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("case", select())
def test_value(case):
    with x64(case.x64):
        compare(case.function, case.arrays(), tolerance=case.tolerance)


@pytest.mark.parametrize("case", select(eager=True))
def test_eager(case):
    with x64(case.x64):
        compare(case.function, case.arrays(), jit=False, tolerance=case.tolerance)


@pytest.mark.parametrize("case", select(grad=True))
def test_gradient(case):
    with x64(case.x64):
        tolerance = max(case.tolerance or 0, 1e-4)
        compare(gradient_of(case), case.arrays(), tolerance=tolerance)


@pytest.mark.parametrize("case", select(vmap=True))
def test_vmap(case):
    with x64(case.x64):
        compare(jax.vmap(case.function), stacked(case.arrays()), tolerance=case.tolerance)
