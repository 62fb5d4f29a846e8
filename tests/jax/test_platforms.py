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
