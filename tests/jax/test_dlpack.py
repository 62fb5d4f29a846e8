# SPDX-License-Identifier: Apache-2.0
"""DLPack out and in: no copy where the memory is the host's, and what holds it."""

import gc
import subprocess
import sys
import weakref

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from jax_mps_c import dlpack


def mps():
    return jax.devices("mps")[0]


@pytest.fixture(autouse=True)
def on_mps():
    with jax.default_device(mps()):
        yield


def address(x):
    return np.asarray(x).ctypes.data


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3, 4)])
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint32", "float16", "float32", "complex64"])
def test_numpy_takes_an_array(dtype, shape):
    x = jnp.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype))
    view = np.from_dlpack(x)
    assert view.dtype == x.dtype and view.shape == x.shape
    np.testing.assert_array_equal(view, x)
    if view.size:
        assert view.ctypes.data == address(x) == x.unsafe_buffer_pointer()


def test_the_value_is_waited_for():
    x = jax.jit(lambda x: jax.lax.fori_loop(0, 300, lambda i, v: jnp.sin(v) + 1, x))(
        jnp.ones(10000)
    )
    view = np.from_dlpack(x)
    np.testing.assert_array_equal(view, np.asarray(x))


def test_numpy_can_not_write():
    view = np.from_dlpack(jnp.arange(4.0))
    if view.flags.writeable:
        assert np.lib.NumpyVersion(np.__version__) < "2.1.0"
    else:
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 1


def test_a_held_array_is_not_overwritten_by_donation():
    x = jnp.arange(100_000, dtype=jnp.float32)
    view = np.from_dlpack(x)
    y = jax.jit(lambda x: x + 1, donate_argnums=0)(x)
    jax.block_until_ready(y)
    np.testing.assert_array_equal(view, np.arange(100_000))
    np.testing.assert_array_equal(y, np.arange(100_000) + 1)


def test_memory_lives_as_long_as_its_reader():
    x = jnp.arange(1000, dtype=jnp.float32) + 1
    before = len(dlpack._alive)
    view = np.from_dlpack(x)
    assert len(dlpack._alive) == before + 1
    del x
    gc.collect()
    np.testing.assert_array_equal(view, np.arange(1000) + 1)
    del view
    gc.collect()
    assert len(dlpack._alive) == before
    jnp.arange(3.0).__dlpack__()  # nobody takes it
    gc.collect()
    assert len(dlpack._alive) == before


def test_readers_that_live_until_the_process_ends():
    """Modules' names are cleared at exit in an order that nobody knows."""
    code = """
import jax, numpy as np
x = jax.device_put(np.arange(3.0), jax.devices("mps")[0])
view, capsule = np.from_dlpack(x), x.__dlpack__()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_copies():
    x = jnp.arange(5.0)
    if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
        copy = np.from_dlpack(x, copy=True)
        assert copy.ctypes.data != address(x)
        copy[0] = 7
    np.testing.assert_array_equal(x, np.arange(5))
    again = jnp.from_dlpack(x, copy=True)
    assert address(again) != address(x)


def test_element_types_that_dlpack_lacks():
    with pytest.raises(BufferError, match="int4"):
        jnp.zeros(3, ml_dtypes.int4).__dlpack__()


def test_bfloat16_goes_round():
    x = jnp.arange(6, dtype=jnp.bfloat16).reshape(2, 3)
    y = jnp.from_dlpack(x)
    assert y.dtype == x.dtype and y.devices() == {mps()}
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_numpy_memory_without_a_copy(size):
    array = np.arange(size, dtype=np.float32)
    x = jax.dlpack.from_dlpack(array)
    assert x.devices() == {mps()}
    assert address(x) == array.ctypes.data
    np.testing.assert_array_equal(x * 2, np.arange(size) * 2)
    alive = weakref.ref(array)
    del array
    gc.collect()
    assert alive() is not None, "the array's memory is gone while it is looked at"
    np.testing.assert_array_equal(x, np.arange(size))


def test_odd_addresses():
    array = np.arange(1001, dtype=np.float32)[1:]
    x = jax.dlpack.from_dlpack(array)
    np.testing.assert_array_equal(jnp.sin(x) + x[::-1], np.sin(array) + array[::-1])


def test_memory_that_can_not_be_shared_is_copied():
    transposed = np.arange(6, dtype=np.float32).reshape(2, 3).T
    bytes_ = np.zeros(17, np.uint8)
    unaligned = np.frombuffer(bytes_.data, np.float32, 3, offset=1)
    for array in (transposed, unaligned):
        np.testing.assert_array_equal(jnp.from_dlpack(array), array)
        with pytest.raises(ValueError, match="requires a copy"):
            jnp.from_dlpack(array, copy=False)


def test_numpy_memory_is_never_written():
    array = np.arange(100_000, dtype=np.float32)
    x = jax.dlpack.from_dlpack(array)
    y = jax.jit(lambda x: x + 1, donate_argnums=0)(x)
    np.testing.assert_array_equal(y, np.arange(100_000) + 1)
    np.testing.assert_array_equal(array, np.arange(100_000))


def test_another_device_is_named():
    cpu = jax.devices("cpu")[0]
    x = jax.dlpack.from_dlpack(np.arange(3.0, dtype=np.float32), device=cpu)
    assert x.devices() == {cpu}
    with jax.default_device(cpu):
        assert jax.dlpack.from_dlpack(np.arange(3.0, dtype=np.float32)).devices() == {cpu}
    assert jax.dlpack.from_dlpack(x, device=mps()).devices() == {mps()}
    assert jax.dlpack.from_dlpack(x).devices() == {cpu}  # an array of JAX's stays where it is


def test_torch():
    torch = pytest.importorskip("torch")
    x = jnp.arange(6.0).reshape(2, 3)
    tensor = torch.from_dlpack(x)
    assert tensor.data_ptr() == address(x)
    np.testing.assert_array_equal(tensor.numpy(), x)
    back = jnp.from_dlpack(torch.arange(4))
    assert back.devices() == {mps()}
    np.testing.assert_array_equal(back, np.arange(4))
