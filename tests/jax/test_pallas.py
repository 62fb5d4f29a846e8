# SPDX-License-Identifier: Apache-2.0
"""Pallas kernels on mps, without interpret=True, against NumPy."""

import functools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas as pl

MPS = jax.devices("mps")[0]


def put(*arrays):
    return jax.device_put(arrays, MPS)


def random(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def add(x_ref, y_ref, o_ref):
    o_ref[...] = x_ref[...] + y_ref[...]


def test_whole_arrays():
    a, b = random(8, 16), random(8, 16)
    x, y = put(a, b)
    out = pl.pallas_call(add, out_shape=jax.ShapeDtypeStruct((8, 16), jnp.float32))(x, y)
    assert out.devices() == {MPS}
    np.testing.assert_array_equal(out, a + b)


def matmul(x, y, block):
    m, k = x.shape
    n = y.shape[1]

    def kernel(x_ref, y_ref, o_ref):
        @pl.when(pl.program_id(2) == 0)
        def _():
            o_ref[...] = jnp.zeros_like(o_ref)

        o_ref[...] += x_ref[...] @ y_ref[...]

    return pl.pallas_call(
        kernel,
        grid=(m // block, n // block, k // block),
        in_specs=[
            pl.BlockSpec((block, block), lambda i, j, k: (i, k)),
            pl.BlockSpec((block, block), lambda i, j, k: (k, j)),
        ],
        out_specs=pl.BlockSpec((block, block), lambda i, j, k: (i, j)),
        out_shape=jax.ShapeDtypeStruct((m, n), x.dtype),
    )(x, y)


def test_product_in_blocks():
    a, b = random(32, 48), random(48, 16)
    f = jax.jit(functools.partial(matmul, block=16))
    np.testing.assert_allclose(f(*put(a, b)), a @ b, rtol=1e-5, atol=1e-5)


def test_vmap_of_a_product():
    a, b = random(3, 32, 16), random(3, 16, 32)
    f = jax.vmap(functools.partial(matmul, block=16))
    np.testing.assert_allclose(f(*put(a, b)), a @ b, rtol=1e-5, atol=1e-5)


def test_derivative_of_a_kernel():
    def square(x_ref, o_ref):
        o_ref[...] = x_ref[...] * x_ref[...]

    f = pl.pallas_call(square, out_shape=jax.ShapeDtypeStruct((5,), jnp.float32))
    a = random(5)
    x, t = put(a, np.ones_like(a))
    np.testing.assert_allclose(jax.jvp(f, (x,), (t,))[1], 2 * a, rtol=1e-6)


def test_blocks_that_do_not_divide():
    a = random(10, 7)
    f = pl.pallas_call(
        lambda x_ref, o_ref: o_ref.__setitem__(..., -x_ref[...]),
        grid=(3, 2),
        in_specs=[pl.BlockSpec((4, 4), lambda i, j: (i, j))],
        out_specs=pl.BlockSpec((4, 4), lambda i, j: (i, j)),
        out_shape=jax.ShapeDtypeStruct((10, 7), jnp.float32),
    )
    np.testing.assert_array_equal(f(*put(a)), -a)


def test_a_running_sum_in_grid_order():
    """Each iteration reads what the one before it wrote."""

    def kernel(x_ref, o_ref):
        @pl.when(pl.program_id(0) == 0)
        def _():
            o_ref[0] = 0.0

        o_ref[0] = o_ref[0] * 0.5 + x_ref[0]

    a = random(9)
    f = pl.pallas_call(
        kernel,
        grid=(9,),
        in_specs=[pl.BlockSpec((1,), lambda i: (i,))],
        out_specs=pl.BlockSpec((1,), lambda i: (0,)),
        out_shape=jax.ShapeDtypeStruct((1,), jnp.float32),
    )
    wanted = np.float32(0)
    for x in a:
        wanted = wanted * np.float32(0.5) + x
    np.testing.assert_allclose(f(*put(a)), [wanted], rtol=1e-6)


def test_input_that_becomes_the_output():
    def kernel(x_ref, o_ref):
        o_ref[0] = x_ref[0] + 1

    a = np.arange(4, dtype=np.int32)
    f = pl.pallas_call(
        kernel,
        grid=(2,),
        in_specs=[pl.BlockSpec((1,), lambda i: (i,))],
        out_specs=pl.BlockSpec((1,), lambda i: (i,)),
        out_shape=jax.ShapeDtypeStruct((4,), jnp.int32),
        input_output_aliases={0: 0},
    )
    np.testing.assert_array_equal(f(*put(a)), [1, 2, 2, 3])


def test_no_two_rows_alike():
    """The output block of an iteration is another one than its index: a permutation."""

    def kernel(x_ref, o_ref):
        o_ref[...] = x_ref[...] * pl.program_id(0)

    a = random(6, 4)
    f = pl.pallas_call(
        kernel,
        grid=(6,),
        in_specs=[pl.BlockSpec((1, 4), lambda i: (i, 0))],
        out_specs=pl.BlockSpec((1, 4), lambda i: (5 - i, 0)),
        out_shape=jax.ShapeDtypeStruct((6, 4), jnp.float32),
    )
    np.testing.assert_array_equal(f(*put(a)), (a * np.arange(6, dtype=np.float32)[:, None])[::-1])


def count_loops(f, *arguments) -> int:
    return jax.jit(f).lower(*arguments).as_text().count("stablehlo.while")


def test_independent_iterations_are_a_batch():
    """Axes i and j of a product write blocks of their own; k is a sum in order."""
    a, b = put(random(32, 48), random(48, 16))
    assert count_loops(functools.partial(matmul, block=16), a, b) == 1
    out = jax.eval_shape(lambda x: x, a)
    f = pl.pallas_call(
        add,
        grid=(4, 3),
        in_specs=[pl.BlockSpec((8, 16), lambda i, j: (i, j))] * 2,
        out_specs=pl.BlockSpec((8, 16), lambda i, j: (i, j)),
        out_shape=out,
    )
    assert count_loops(f, a, a) == 0
    np.testing.assert_array_equal(f(a, a), 2 * np.asarray(a))


def test_indices_and_sizes_of_a_batch():
    def kernel(x_ref, o_ref):
        i, j = pl.program_id(0), pl.program_id(1)
        o_ref[...] = x_ref[...] + (i * pl.num_programs(1) + j)

    f = pl.pallas_call(
        kernel,
        grid=(3, 5),
        in_specs=[pl.BlockSpec((None, 1, 2), lambda i, j: (i, 0, j))],
        out_specs=pl.BlockSpec((None, 1, 2), lambda i, j: (i, 0, j)),
        out_shape=jax.ShapeDtypeStruct((3, 1, 10), jnp.int32),
    )
    a = np.zeros((3, 1, 10), np.int32)
    np.testing.assert_array_equal(f(*put(a)).reshape(-1), np.arange(15).repeat(2))


def test_scratch_goes_from_iteration_to_iteration():
    """Scratch memory keeps its values along an axis unless the axis is said to be parallel."""

    def kernel(x_ref, o_ref, sum_ref):
        @pl.when(pl.program_id(0) == 0)
        def _():
            sum_ref[...] = jnp.zeros_like(sum_ref)

        sum_ref[...] += x_ref[...]
        o_ref[...] = sum_ref[...]

    from jax.experimental.pallas import tpu as pltpu

    a = random(6, 4)
    f = pl.pallas_call(
        kernel,
        grid=(6,),
        in_specs=[pl.BlockSpec((1, 4), lambda i: (i, 0))],
        out_specs=pl.BlockSpec((1, 4), lambda i: (i, 0)),
        scratch_shapes=[pltpu.VMEM((1, 4), jnp.float32)],
        out_shape=jax.ShapeDtypeStruct((6, 4), jnp.float32),
    )
    np.testing.assert_allclose(f(*put(a)), np.cumsum(a, axis=0), rtol=1e-5)


def test_scratch_of_parallel_axes():
    from jax.experimental.pallas import tpu as pltpu

    def kernel(x_ref, y_ref, o_ref, sum_ref):
        @pl.when(pl.program_id(1) == 0)
        def _():
            sum_ref[...] = jnp.zeros_like(sum_ref)

        sum_ref[...] += x_ref[...] @ y_ref[...]

        @pl.when(pl.program_id(1) == pl.num_programs(1) - 1)
        def _():
            o_ref[...] = sum_ref[...].astype(o_ref.dtype)

    a, b = random(32, 24), random(24, 16)
    f = pl.pallas_call(
        kernel,
        grid=(4, 3),
        in_specs=[
            pl.BlockSpec((8, 8), lambda i, k: (i, k)),
            pl.BlockSpec((8, 16), lambda i, k: (k, 0)),
        ],
        out_specs=pl.BlockSpec((8, 16), lambda i, k: (i, 0)),
        scratch_shapes=[pltpu.VMEM((8, 16), jnp.float32)],
        out_shape=jax.ShapeDtypeStruct((32, 16), jnp.float32),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "arbitrary")),
    )
    np.testing.assert_allclose(f(*put(a, b)), a @ b, rtol=1e-5, atol=1e-5)


def test_kernel_that_writes_to_its_input():
    """What an iteration left in a shared input is what the next one finds."""

    def kernel(x_ref, o_ref):
        x_ref[0] = x_ref[0] + 1.0
        o_ref[0] = x_ref[0]

    f = pl.pallas_call(
        kernel,
        grid=(4,),
        in_specs=[pl.BlockSpec((1,), lambda i: (0,))],
        out_specs=pl.BlockSpec((1,), lambda i: (i,)),
        out_shape=jax.ShapeDtypeStruct((4,), jnp.float32),
    )
    np.testing.assert_array_equal(f(*put(np.zeros(1, np.float32))), [1, 2, 3, 4])


@pytest.mark.parametrize("first", ["import jax.experimental.pallas", "jax.devices('mps')"])
def test_either_is_imported_first(first):
    text = f"""
import jax, jax.numpy as jnp
{first}
from jax.experimental import pallas as pl
x = jax.device_put(jnp.arange(4.0), jax.devices("mps")[0])
def kernel(x_ref, o_ref):
    o_ref[...] = x_ref[...] + 1
print(pl.pallas_call(kernel, out_shape=x)(x))
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "[1. 2. 3. 4.]" in done.stdout
