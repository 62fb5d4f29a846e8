# SPDX-License-Identifier: Apache-2.0
"""Arrays: transfers, views, donation, deletion, and what is said when they are used wrongly."""

import ctypes
import functools
import gc
import threading

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax.experimental.layout import Format, Layout
from jax.sharding import SingleDeviceSharding


@pytest.fixture(autouse=True)
def on_mps():
    with jax.default_device(jax.devices("mps")[0]):
        yield


DTYPES = (
    "bool",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "float16",
    "float32",
    "complex64",
    ml_dtypes.bfloat16,
    ml_dtypes.float8_e4m3fn,
    ml_dtypes.float8_e5m2,
    ml_dtypes.int4,
    ml_dtypes.uint4,
)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_there_and_back(dtype):
    x = np.arange(24).reshape(2, 3, 4).astype(np.int8) % 7
    x = x.astype(dtype)
    y = jax.device_put(x)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(np.asarray(y), x)
    np.testing.assert_array_equal(np.asarray(y[1:]), x[1:])


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.T,
        lambda x: x[::2],
        lambda x: x[:, ::-1],
        lambda x: x[1:, 2:3],
        lambda x: np.broadcast_to(x[:1], (5, 7)),
        lambda x: x[:0],
        lambda x: np.asfortranarray(x),
        lambda x: x[2, 3],
    ],
)
def test_strided_numpy_arrays(view):
    x = np.arange(35, dtype=np.float32).reshape(5, 7)
    np.testing.assert_array_equal(np.asarray(jax.device_put(view(x)) + 0), view(x))


def test_numpy_memory_is_never_written():
    x = np.ones(1 << 16, np.float32)
    y = jax.device_put(x)
    z = jax.jit(lambda v: v * 2 + 1, donate_argnums=0)(y)
    jax.block_until_ready(z)
    assert y.is_deleted()
    np.testing.assert_array_equal(x, 1)
    x[:] = 5  # and what was computed does not see it
    np.testing.assert_array_equal(np.asarray(z), 3)


@pytest.mark.parametrize("n", [3, 4096, 1_000_000])
def test_numpy_memory_may_be_changed_after_the_call(n):
    """JAX tells every plugin that NumPy's arrays are immutable; their owners do not know that."""
    slow = jax.jit(lambda x: jax.lax.fori_loop(0, 200, lambda i, v: v + jnp.sin(v) * 0, x) + 1)
    puts = (jax.device_put, jnp.array, lambda x: jax.device_put(x, may_alias=False), slow)
    for put, added in zip(puts, (0, 0, 0, 1), strict=True):
        x = np.arange(n, dtype=np.float32) % 7
        wanted = x + added
        y = put(x)
        x[:] = -1
        np.testing.assert_array_equal(y, wanted)


def test_result_views_stay():
    x = jnp.arange(1000.0)
    view = np.asarray(x)
    del x
    gc.collect()
    [jnp.ones(1000) * n for n in range(20)]
    np.testing.assert_array_equal(view, np.arange(1000.0))


def test_donated_view_stays():
    x = jnp.arange(1000.0) + 0
    view = np.asarray(x)
    y = jax.jit(lambda v: v * -1, donate_argnums=0)(x)
    jax.block_until_ready(y)
    np.testing.assert_array_equal(view, np.arange(1000.0))


def test_donated_buffer_used():
    x = jnp.ones(4)
    jax.jit(lambda v: v + 1, donate_argnums=0)(x)
    assert x.is_deleted()
    with pytest.raises(RuntimeError, match="deleted"):
        x + 1


def test_deleted_buffer_used():
    x = jnp.ones(4)
    x.delete()
    with pytest.raises(RuntimeError, match="deleted"):
        np.asarray(x)
    with pytest.raises(RuntimeError, match="deleted"):
        jax.jit(jnp.sin)(x)


def test_one_buffer_donated_and_kept():
    """f(a, a) with the first donated: a clear error or the right result, never garbage."""
    x = jnp.arange(4.0)
    f = jax.jit(lambda a, b: (a + b, a * b), donate_argnums=0)
    try:
        total, product = f(x, x)
    except (ValueError, RuntimeError) as error:
        assert "donate" in str(error)
    else:
        np.testing.assert_array_equal(total, [0, 2, 4, 6])
        np.testing.assert_array_equal(product, [0, 1, 4, 9])


def test_one_buffer_donated_twice():
    x = jnp.arange(4.0)
    f = jax.jit(lambda a, b: (a + b, a * b), donate_argnums=(0, 1))
    try:
        total, product = f(x, x)
    except (ValueError, RuntimeError) as error:
        assert "donate" in str(error)
    else:
        np.testing.assert_array_equal(total, [0, 2, 4, 6])
        np.testing.assert_array_equal(product, [0, 1, 4, 9])


def test_input_is_an_output():
    x = jnp.arange(3.0)
    y, z, w = jax.jit(lambda v: (v, v, v + 0))(x)
    y.delete()
    np.testing.assert_array_equal(z, [0, 1, 2])
    np.testing.assert_array_equal(x, [0, 1, 2])
    np.testing.assert_array_equal(w, [0, 1, 2])


def test_between_platforms():
    cpu, mps = jax.devices("cpu")[0], jax.devices("mps")[0]
    x = jax.device_put(np.arange(6.0, dtype=np.float32), cpu)
    y = jax.device_put(x, mps)
    z = jax.device_put(y * 2, cpu)
    assert (y.devices(), z.devices()) == ({mps}, {cpu})
    np.testing.assert_array_equal(z, np.arange(6.0) * 2)


def test_wrong_argument_of_a_compiled_program():
    compiled = jax.jit(lambda x: x + 1).lower(jnp.ones(3)).compile()
    np.testing.assert_array_equal(compiled(jnp.ones(3)), [2, 2, 2])
    with pytest.raises(TypeError):
        compiled(jnp.ones(4))
    with pytest.raises(TypeError):
        compiled(jnp.ones(3), jnp.ones(3))


def test_unknown_custom_call_is_named():
    def call(x):
        return jax.ffi.ffi_call("nobody_knows_this", jax.ShapeDtypeStruct((3,), jnp.float32))(x)

    with pytest.raises(Exception, match="nobody_knows_this"):
        jax.block_until_ready(jax.jit(call)(jnp.ones(3)))
    assert float(jnp.ones(3).sum()) == 3  # and the process lives


def test_ahead_of_time():
    lowered = jax.jit(lambda x: jnp.sin(x) @ x.T).lower(jnp.ones((3, 4)))
    compiled = lowered.compile()
    assert compiled.memory_analysis() is not None
    np.testing.assert_allclose(
        compiled(jnp.ones((3, 4))), np.full((3, 3), 4 * np.sin(1)), rtol=1e-5
    )


def test_export():
    flatbuffers = pytest.importorskip("flatbuffers")
    assert flatbuffers
    from jax import export

    exported = export.export(jax.jit(jnp.sin), platforms=["mps"])(
        jax.ShapeDtypeStruct((3,), jnp.float32)
    )
    again = export.deserialize(exported.serialize())
    np.testing.assert_allclose(again.call(jnp.ones(3)), np.sin(np.ones(3)), rtol=1e-6)


def test_device_facts():
    device = jax.devices("mps")[0]
    assert device.platform == "mps"
    assert device.process_index == 0
    assert device in jax.local_devices(backend="mps")
    stats = device.memory_stats()
    assert stats is None or stats["bytes_in_use"] >= 0


def test_threads():
    errors = []

    def work(seed):
        try:
            with jax.default_device(jax.devices("mps")[0]):
                f = jax.jit(lambda x: jnp.sort(jnp.sin(x * seed)))
                for _ in range(5):
                    x = np.linspace(0, 9, 500, dtype=np.float32)
                    np.testing.assert_allclose(f(x), np.sort(np.sin(x * seed)), atol=1e-5)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 9)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not errors


def test_many_arguments_and_results():
    arrays = [np.full(3, n, np.float32) for n in range(300)]
    results = jax.jit(lambda *a: [x + 1 for x in a])(*arrays)
    for n, result in enumerate(results):
        np.testing.assert_array_equal(result, n + 1)


def test_no_arguments_no_results():
    assert jax.jit(lambda: ())() == ()
    np.testing.assert_array_equal(jax.jit(lambda: jnp.arange(3))(), [0, 1, 2])


# -- layouts

CUBE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def in_order(*major_to_minor):
    return Format(Layout(major_to_minor), SingleDeviceSharding(jax.devices("mps")[0]))


def order_of(format):
    return format.layout.major_to_minor


def elements_in_memory(x):
    address = ctypes.cast(x.unsafe_buffer_pointer(), ctypes.POINTER(ctypes.c_float))
    return np.ctypeslib.as_array(address, (x.size,))


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 2, 0), (2, 1, 0)], ids=str)
def test_layout(order):
    """An array lies in memory as it was asked to, and nothing else can tell it from others."""
    x = jax.device_put(CUBE, in_order(*order))
    assert order_of(x.format) == order
    np.testing.assert_array_equal(elements_in_memory(x), CUBE.transpose(order).ravel())
    np.testing.assert_array_equal(np.asarray(x), CUBE)
    np.testing.assert_array_equal(np.from_dlpack(x), CUBE)
    np.testing.assert_array_equal(x[1, ::-1], CUBE[1, ::-1])
    np.testing.assert_array_equal(x + x, CUBE + CUBE)
    np.testing.assert_array_equal(x.sum(1), CUBE.sum(1))
    np.testing.assert_array_equal(
        jax.vmap(lambda row: row @ row.T)(x), CUBE @ CUBE.transpose(0, 2, 1)
    )


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0)], ids=str)
def test_layouts_of_a_program(order):
    there, back = in_order(*order), in_order(2, 0, 1)
    f = jax.jit(lambda x, y: (x * y, y.T), in_shardings=(there, None), out_shardings=(back, there))
    compiled = f.lower(CUBE, CUBE).compile()
    assert order_of(compiled.input_formats[0][0]) == order
    assert [order_of(each) for each in compiled.output_formats] == [(2, 0, 1), order]
    for argument in (CUBE, jnp.asarray(CUBE), jax.device_put(CUBE, there)):
        product, turned = f(argument, CUBE)
        assert (order_of(product.format), order_of(turned.format)) == ((2, 0, 1), order)
        np.testing.assert_array_equal(product, CUBE * CUBE)
        np.testing.assert_array_equal(turned, CUBE.T)
        np.testing.assert_array_equal(elements_in_memory(turned), CUBE.T.transpose(order).ravel())


def test_donation_to_another_layout():
    x = jax.device_put(CUBE, in_order(1, 2, 0))
    donated = jax.jit(lambda x: x + 1, out_shardings=in_order(0, 2, 1), donate_argnums=0)(x)
    assert x.is_deleted()
    assert order_of(donated.format) == (0, 2, 1)
    np.testing.assert_array_equal(donated, CUBE + 1)


def test_layout_of_the_programs_choice():
    """A transpose whose caller takes any layout moves nothing."""
    any_layout = Format(Layout.AUTO)
    same = functools.partial(jax.lax.transpose_p.bind, permutation=(0, 1, 2))
    f = jax.jit(lambda x: (x.transpose(2, 0, 1), x + 1, same(x)), out_shardings=any_layout)
    moved, plain, unmoved = f.lower(CUBE).compile()(CUBE)
    np.testing.assert_array_equal(jax.jit(jnp.negative)(unmoved), -CUBE)
    assert (order_of(moved.format), order_of(plain.format)) == ((1, 2, 0), (0, 1, 2))
    np.testing.assert_array_equal(moved, CUBE.transpose(2, 0, 1))
    np.testing.assert_array_equal(elements_in_memory(moved), CUBE.ravel())
    np.testing.assert_array_equal(plain, CUBE + 1)


def test_layout_of_an_argument_differs():
    x = jax.device_put(CUBE, in_order(1, 2, 0))
    compiled = jax.jit(lambda x: x + 1).lower(CUBE).compile()
    with pytest.raises(ValueError, match="layouts of arguments"):
        compiled(x)
    with pytest.raises(ValueError, match="rank of the value should match"):
        jax.device_put(CUBE, in_order(1, 0))
