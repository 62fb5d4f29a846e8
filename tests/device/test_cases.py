# SPDX-License-Identifier: Apache-2.0
"""Every case of the selftest on the device engine, with the same result as JAX's CPU backend, and
the proof that the device computed it: the counters say that it ran ops, and that no op fetched its
operands from there, which is what an op that the device lacks does. The two tables have the
exceptions; a row that no case needs any more fails too, so that they stay true."""

import os
import re

import jax
import numpy as np
import pytest
import resident

from jax_mps_c.selftest.cases import CASES
from jax_mps_c.selftest.harness import gradient_of, run, same, x64

# MLX runs nothing of these by design.
HOST = {
    r".*_(float64|complex128)": "MLX's GPUs have no float64",
    r"convert_(\w+_float64|float64_\w+)_x64": "float64",
    r"bitcast_64": "float64",
    r"round_trip_float8_\w+": "MLX has no float8",
    r"int4": "MLX has no int4",
    r"empty|concatenate_empty|dot_empty": "nothing to compute",
    r"select_scalar": "folded while compiling",
    r"loop_never": "hands its argument on",
    r"reduce_any_body|reduce_two|reduce_xor|window_any_body": "a general region",
    r"conv_int32": "sums that are not exact in float32",
    r"triangular_unit": "LAPACK",
}
# What MLX can't do and a kernel can: with JAX_MPS_KERNELS=0 the host runs it.
if os.environ.get("JAX_MPS_KERNELS") == "0":
    HOST[r"reduce_precision"] = "MLX has no such rounding"
    HOST[r"(expm1|rsqrt)_complex64"] = "MLX has no such function of complex numbers"
# MLX runs a part; the rest, on the host, waits for it.
PARTLY = {
    r".*_float64": "float64 beside float32 or integers",
    r"cholesky.*|triangular_.*": "LAPACK",
    r"rng_bits_.*|random_(rbg|unsafe_rbg)": "the generator is the host's",
    r"scatter_apply|associative_scan": "a general region",
    r"cond|switch|while": "its condition is computed on the device",
    r"igamma(c|_grad_a)?|betainc|random_(gamma|poisson)": "a loop whose condition is computed on the device",
}


def is_listed(table, name):
    return any(re.fullmatch(pattern, name) for pattern in table)


def gradients():
    return [case for case in CASES if case.grad]


def identified(cases):
    return [pytest.param(case, id=case.name) for case in cases]


def compare_on_device(counted, name, function, arrays, tolerance):
    expected = run("cpu", function, arrays)
    inputs = [resident.put(array) for array in arrays]
    jax.block_until_ready(inputs)
    count = counted()
    with jax.default_device(jax.devices("mps")[0]):
        actual = jax.tree.map(np.asarray, jax.jit(function)(*inputs))
    ops, waits = count.device_ops, count.device_waits
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for mine, theirs in zip(jax.tree.leaves(actual), jax.tree.leaves(expected)):
        same(mine, theirs, tolerance)
    if not is_listed(HOST, name):
        assert ops, f"{name}: the device ran none of it"
        assert not waits or is_listed(PARTLY, name), (
            f"{name}: the host fetched values {waits} times"
        )
    return ops, waits


met: dict[str, list[tuple[int, int]]] = {}


@pytest.mark.parametrize("case", identified(CASES))
def test_value(case, counted):
    with x64(case.x64):
        met.setdefault(case.name, []).append(
            compare_on_device(counted, case.name, case.function, case.arrays(), case.tolerance)
        )


@pytest.mark.parametrize("case", identified(gradients()))
def test_gradient(case, counted):
    tolerance = max(case.tolerance or 0, 1e-4)
    with x64(case.x64):
        met.setdefault(case.name, []).append(
            compare_on_device(counted, case.name, gradient_of(case), case.arrays(), tolerance)
        )


def test_tables_are_true():
    if len(met) < len(CASES):
        pytest.skip("not all cases ran")
    for pattern in HOST:
        assert any(
            re.fullmatch(pattern, name) and any(not ops for ops, _ in counts)
            for name, counts in met.items()
        ), f"the device runs all of {pattern}"
    for pattern in PARTLY:
        assert any(
            re.fullmatch(pattern, name) and any(waits for _, waits in counts)
            for name, counts in met.items()
        ), f"nothing of {pattern} waits"
