# SPDX-License-Identifier: Apache-2.0
"""Functions that name platforms: lax.platform_dependent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

X = np.arange(3, dtype=np.float32)


def for_cpu(x):
    """Written before there was `mps`."""
    return lax.platform_dependent(x, cpu=lambda x: x + 1, tpu=lambda x: x * 7)


def with_default(x):
    return lax.platform_dependent(x, cpu=lambda x: x + 1, default=lambda x: x - 1)


def with_ours(x):
    return lax.platform_dependent(x, mps=lambda x: x + 2, cpu=lambda x: x + 1)


@pytest.fixture(autouse=True)
def on_mps():
    with jax.default_device(jax.devices("mps")[0]):
        yield


@pytest.mark.parametrize("f, added", [(for_cpu, 1), (with_default, -1), (with_ours, 2)])
def test_which_branch(f, added):
    np.testing.assert_array_equal(f(X), X + added)
    np.testing.assert_array_equal(jax.jit(f)(X), X + added)
    np.testing.assert_array_equal(jax.vmap(f)(X), X + added)
    np.testing.assert_array_equal(jax.grad(lambda x: jnp.sum(f(x)))(X), np.ones(3))


def test_other_platforms_keep_theirs():
    with jax.default_device(jax.devices("cpu")[0]):
        np.testing.assert_array_equal(jax.jit(with_ours)(X), X + 1)
        np.testing.assert_array_equal(jax.jit(for_cpu)(X), X + 1)


def test_neither_named_nor_default():
    f = lambda x: lax.platform_dependent(x, tpu=lambda x: x, cuda=lambda x: -x)  # noqa: E731
    with pytest.raises(NotImplementedError, match="mps"):
        jax.jit(f)(X)


@pytest.mark.parametrize("f, on_mps, on_cpu", [(for_cpu, 1, 1), (with_ours, 2, 1)])
def test_exported_for_several_platforms(f, on_mps, on_cpu):
    program = export.export(jax.jit(f), platforms=("cpu", "mps"))(X)
    program = export.deserialize(program.serialize())
    np.testing.assert_array_equal(program.call(X), X + on_mps)
    with jax.default_device(jax.devices("cpu")[0]):
        np.testing.assert_array_equal(jax.jit(program.call)(X), X + on_cpu)


# -- rules for the CPU alone

CSR = (
    np.array([4, 1, 3, -2, 5], np.float32),
    np.array([0, 2, 1, 0, 2], np.int32),
    np.array([0, 2, 3, 5], np.int32),
)
DENSE = np.array([[4, 0, 1], [0, 3, 0], [-2, 0, 5]], np.float64)
RIGHT = np.array([1, -2, 3], np.float32)


def test_sparse_solve(on_mps):
    """JAX's rule for the CPU calls SciPy; it is registered when the module is first imported."""
    from jax.experimental.sparse.linalg import spsolve

    def solve(data, b):
        return spsolve(data, *CSR[1:], b)

    x = jax.jit(solve)(CSR[0], RIGHT)
    assert x.devices() == {jax.devices("mps")[0]}
    np.testing.assert_allclose(x, np.linalg.solve(DENSE, RIGHT), rtol=1e-5)
    slope = jax.grad(lambda b: solve(CSR[0], b).sum())(RIGHT)
    np.testing.assert_allclose(slope, np.linalg.inv(DENSE).sum(axis=0), rtol=1e-5)


def test_rule_of_a_library(on_mps):
    """A primitive of somebody's with a rule for the CPU, which calls back into Python by JAX's public
    function. A rule for every platform goes before it."""
    from jax.extend import core
    from jax.interpreters import mlir

    def rule(ctx, x):
        results, _, _ = mlir.emit_python_callback(
            ctx, lambda v: (np.asarray(v) * 3,), None, [x], ctx.avals_in, ctx.avals_out,
            has_side_effect=False, returns_token=False,
        )  # fmt: skip
        return results

    triple = core.Primitive("triple")
    triple.def_abstract_eval(lambda x: x)
    mlir.register_lowering(triple, rule, platform="cpu")
    np.testing.assert_array_equal(jax.jit(triple.bind)(RIGHT), 3 * RIGHT)
    same = mlir.lower_fun(lambda x: x + 0, multiple_results=False)
    mlir.register_lowering(triple, same)
    np.testing.assert_array_equal(jax.jit(lambda x: triple.bind(x))(RIGHT), RIGHT)
