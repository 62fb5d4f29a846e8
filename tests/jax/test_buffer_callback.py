# SPDX-License-Identifier: Apache-2.0
"""jax.experimental.buffer_callback: Python that writes into the library's memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

buffer_callback = pytest.importorskip("jax.experimental.buffer_callback").buffer_callback


@pytest.fixture(autouse=True)
def on_mps():
    with jax.default_device(jax.devices("mps")[0]):
        yield


def like(x):
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


@pytest.mark.parametrize("dtype", ["bool", "int8", "bfloat16", "float32", "complex64"])
def test_in_place(dtype):
    x = jnp.asarray(np.arange(6).reshape(2, 3), dtype)

    def callback(context, out, taken):
        assert taken.shape == out.shape == (2, 3) and taken.ndim == 2
        assert taken.dtype == out.dtype == x.dtype
        assert out.writeable and not taken.writeable
        with pytest.raises(ValueError, match="read-only"):
            np.asarray(taken)[...] = 0
        np.asarray(out)[...] = np.asarray(taken)[::-1]

    y = jax.jit(buffer_callback(callback, like(x)))(x)
    assert y.devices() == {jax.devices("mps")[0]}
    np.testing.assert_array_equal(np.asarray(y), np.asarray(x)[::-1])


def test_dlpack():
    def callback(context, out, taken):
        np.from_dlpack(out)[...] = np.from_dlpack(taken) * 2

    x = jnp.arange(5.0)
    np.testing.assert_array_equal(buffer_callback(callback, like(x))(x), np.arange(5) * 2)


def test_a_result_has_the_operands_memory():
    def callback(context, out, taken):
        assert taken.writeable
        assert out.unsafe_raw_buffer_pointer() == taken.unsafe_raw_buffer_pointer()
        np.asarray(out)[0] = 9

    x = jnp.arange(3.0)
    y = jax.jit(buffer_callback(callback, like(x), input_output_aliases={0: 0}))(x)
    np.testing.assert_array_equal(y, [9, 1, 2])
    np.testing.assert_array_equal(x, [0, 1, 2])


def test_trees_and_side_effects():
    seen = []

    def callback(context, out, pair, *, scale):
        seen.append(float(np.asarray(scale)))
        np.asarray(out["sum"])[...] = np.asarray(pair[0]) + np.asarray(pair[1])
        np.asarray(out["none"])[...] = np.zeros((0, 2))

    shapes = {
        "sum": jax.ShapeDtypeStruct((2,), np.float32),
        "none": jax.ShapeDtypeStruct((0, 2), np.float32),
    }
    call = buffer_callback(callback, shapes, has_side_effect=True)
    out = jax.jit(lambda x: call((x, x + 1), scale=jnp.float32(3)))(jnp.ones(2))
    np.testing.assert_array_equal(out["sum"], [3, 3])
    assert out["none"].shape == (0, 2) and seen == [3]


def test_errors():
    def fails(context, out, taken):
        raise ValueError("no such fish")

    def returns(context, out, taken):
        return 1

    for callback, text in ((fails, "no such fish"), (returns, "must not return any values")):
        with pytest.raises(jax.errors.JaxRuntimeError, match=text):
            jax.jit(buffer_callback(callback, like(jnp.ones(2))))(jnp.ones(2)).block_until_ready()


def test_vmap():
    def callback(context, out, taken):
        np.asarray(out)[...] = np.sin(np.asarray(taken))

    x = jnp.linspace(0, 1, 6).reshape(2, 3)
    row = buffer_callback(
        callback, jax.ShapeDtypeStruct((3,), np.float32), vmap_method="sequential"
    )
    np.testing.assert_allclose(jax.vmap(row)(x), np.sin(x), rtol=1e-6)
