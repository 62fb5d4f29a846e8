# SPDX-License-Identifier: Apache-2.0
"""Kernels of the user's where there is no GPU: the reference serves, and errors are clear. That the
source runs is tests/device/test_metal_engine.py's."""

import pathlib
import re
import shutil
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import jax_mps_c
from jax_mps_c import user_kernel, user_kernel_batch

F32 = jax.ShapeDtypeStruct((4, 8), jnp.float32)
METAL = """
  uint i = thread_position_in_grid.x;
  y[i] = a[0] * x[i] + x[i];
"""
CUDA = """
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < 32) y[i] = a[0] * x[i] + x[i];
"""


def make(**changes):
    options = dict(
        source={"metal": METAL, "cuda": CUDA},
        grid=32,
        threadgroup=32,
        out_shape=F32,
        in_names=["a", "x"],
        out_names=["y"],
        reference=lambda a, x: a * x + x,
    )
    options |= changes
    return jax_mps_c.kernel(options.pop("name", "axpx"), **options)


X = np.random.default_rng(1).normal(size=(4, 8)).astype(np.float32)
A = np.float32(3)


@pytest.fixture(params=["mps", "cpu"])
def device(request):
    with jax.default_device(jax.devices(request.param)[0]):
        yield


def test_the_reference_serves(device):
    f = make()
    np.testing.assert_allclose(f(A, X), A * X + X, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(f)(A, X), A * X + X, rtol=1e-6)


def test_vmap(device):
    f = make()
    rows = np.stack([X, 2 * X, -X])
    scalars = np.arange(2, dtype=np.float32)
    want = A * rows + rows
    np.testing.assert_allclose(jax.vmap(f, (None, 0))(A, rows), want, rtol=1e-6)
    turned = jax.jit(jax.vmap(f, (None, 2), 2))(A, np.moveaxis(rows, 0, 2))
    np.testing.assert_allclose(turned, np.moveaxis(want, 0, 2), rtol=1e-6)
    both = jax.jit(jax.vmap(jax.vmap(f, (None, 0)), (0, None)))(scalars, rows)
    np.testing.assert_allclose(both, scalars[:, None, None, None] * rows + rows, rtol=1e-6)
    assert jax.vmap(f, (None, 0))(A, rows[:0]).shape == (0, 4, 8)


def test_gradient(device):
    gradient = jax.jit(jax.grad(lambda a, x: make()(a, x).sum(), (0, 1)))(A, X)
    np.testing.assert_allclose(gradient[0], X.sum(), rtol=1e-5)
    np.testing.assert_allclose(gradient[1], np.full_like(X, A + 1), rtol=1e-6)


def test_an_integer_operand_has_no_derivative(device):
    def shift(x, n):
        return x * n

    f = make(reference=shift, in_names=["x", "n"])
    gradient = jax.grad(lambda x: f(x, np.int32(3)).sum())(X)
    np.testing.assert_allclose(gradient, np.full_like(X, 3))


def test_trees_of_results(device):
    f = jax_mps_c.kernel(
        "two",
        {"metal": "out0[0] = in0[0]; out1[0] = 2;"},
        1,
        1,
        {"a": jax.ShapeDtypeStruct((1,), jnp.float32), "b": jax.ShapeDtypeStruct((), jnp.int32)},
        reference=lambda x: {"a": x, "b": jnp.int32(2)},
    )
    found = jax.jit(f)(jnp.ones(1))
    assert found["a"].shape == (1,) and found["b"].dtype == jnp.int32 and found["b"] == 2


def test_no_source_and_no_reference():
    f = make(reference=None)
    with jax.default_device(jax.devices("mps")[0]):
        with pytest.raises(Exception) as caught:
            jax.jit(f)(A, X)
    text = str(caught.value)
    for part in ("UNIMPLEMENTED", '"axpx"', "host (CPU)", "metal, cuda", "reference="):
        assert part in text, text
    assert re.search(r"f32\[4,8\].* at .*test_user_kernel.py:\d+", text, re.S), text
    with jax.default_device(jax.devices("cpu")[0]):
        with pytest.raises(NotImplementedError, match="'axpx' runs on platform mps, not on cpu"):
            jax.jit(f)(A, X)
        with pytest.raises(NotImplementedError, match="no derivative"):
            jax.grad(lambda a: f(a, X).sum())(A)


WRONG = {
    "name": (dict(name="a b"), ValueError, "no name of a kernel"),
    "no source": (dict(source={}), ValueError, "has no source"),
    "language": (dict(source={"opencl": "x"}), ValueError, "'opencl'; there are metal, cuda"),
    "empty source": (dict(source={"metal": " "}), TypeError, "is not text"),
    "header": (dict(header={"hip": "x"}), ValueError, "header for 'hip'"),
    "grid": (dict(grid=(1, 2, 3, 4)), ValueError, "grid="),
    "no threads": (dict(threadgroup=0), ValueError, "threadgroup=0"),
    "large group": (dict(grid=4096, threadgroup=2048), ValueError, "2048 threads"),
    "names": (dict(out_names=["y", "z"]), ValueError, "2 out_names for 1 results"),
    "same names": (dict(in_names=["a", "y"]), ValueError, "two arrays have one name: a, y, y"),
    "reserved": (dict(in_names=["jm_x", "y"]), ValueError, "'jm_x' cannot be"),
    "no results": (dict(out_shape=[]), ValueError, "no results"),
}


@pytest.mark.parametrize("what", WRONG)
def test_refused_when_made(what):
    changes, kind, text = WRONG[what]
    with pytest.raises(kind, match=re.escape(text)):
        make(**changes)


def test_refused_when_called(device):
    with pytest.raises(TypeError, match=r"takes 2 arrays \(a, x\), 1 were given"):
        make()(A)
    with pytest.raises(TypeError, match=r"gives float32\[8\], out_shape is float32\[4,8\]"):
        make(reference=lambda a, x: x[0])(A, X)
    with pytest.raises(TypeError, match="gives PyTreeDef"):
        make(reference=lambda a, x: (x, x))(A, X)
    captured = jnp.ones((4, 8)) + 0
    with pytest.raises(ValueError, match="uses arrays that are not its arguments"):
        make(reference=lambda a, x: a * x + captured)(A, X)
    with pytest.raises(ValueError, match="40 operands and 1 results"):
        jax_mps_c.kernel("many", {"metal": "out0[0] = 0;"}, 1, 1, F32)(*[A] * 40)


def test_export():
    """With a reference a file runs everywhere; without one it is a promised call."""
    with jax.default_device(jax.devices("mps")[0]):
        stored = export.export(jax.jit(make()), platforms=["mps"])(A, X).serialize()
        loaded = export.deserialize(stored)
        np.testing.assert_allclose(loaded.call(A, X), A * X + X, rtol=1e-6)
        bare = export.export(jax.jit(make(reference=None)), platforms=["mps"])(A, X)
        assert user_kernel.TARGET in bare.mlir_module()
        assert export.deserialize(bare.serialize()).in_avals == bare.in_avals


# -- the code of a batch


def extend(**changes):
    spec = []
    original = user_kernel.bind
    try:
        user_kernel.bind = lambda s, *_: spec.append(s) or [None]
        make(**changes)(A, X)
    finally:
        user_kernel.bind = original
    return user_kernel_batch.extend(spec[0], 3, (False, True), (1, 32))


def test_a_batch_is_one_launch():
    spec = extend()
    assert spec.grid == (32, 1, 3) and spec.inputs == ("a", "jm_all_x")
    assert spec.results[0][0] == (3, 4, 8)


def test_what_mlx_adds_to_a_batch():
    """Shapes and strides are those of one example."""
    source = "y[0] = x_shape[0] + x_strides[1] + x_ndim + a_ndim;"
    lines = dict(extend(source={"metal": source}).sources)["metal"].splitlines()
    for name, value in (
        ("shape", "_shape + 1"),
        ("strides", "_strides + 1"),
        ("ndim", "_ndim - 1"),
    ):
        assert f"auto x_{name} = jm_all_x{value};" in lines
    assert source in lines and not [line for line in lines if line.startswith("auto a")]


@pytest.mark.parametrize(
    "changes",
    [
        {"source": {"metal": METAL + "y[0] = grid_size.x;"}},
        {"source": {"cuda": "auto grid = cooperative_groups::this_grid();" + CUDA}},
        {"source": {"cuda": CUDA}, "header": {"cuda": "#define I blockIdx.x"}},
        {"grid": (4, 2, 3), "threadgroup": (4, 2, 2)},
    ],
)
def test_a_batch_that_runs_one_by_one(changes):
    assert extend(**changes) is None


def test_a_batch_that_runs_one_by_one_is_right(device):
    f = make(grid=(4, 2, 3), threadgroup=(4, 2, 2))
    rows = np.stack([X, 2 * X])
    np.testing.assert_allclose(jax.vmap(f, (None, 0))(A, rows), A * rows + rows, rtol=1e-6)


@pytest.mark.skipif(not shutil.which("nvcc"), reason="needs nvcc")
def test_cuda_compiles(tmp_path):
    """The body as MLX's custom kernels wrap it, of one example and of a batch."""
    for name, body, x, y in (
        ("one", CUDA, "x", "y"),
        ("all", dict(extend().sources)["cuda"], "jm_all_x", "jm_all_y"),
    ):
        path = pathlib.Path(tmp_path, f"{name}.cu")
        parameters = f"const float *a, const float *{x}, float *{y}"
        path.write_text(f'extern "C" __global__ void k({parameters}) {{\n{body}\n}}\n')
        command = ["nvcc", "-std=c++17", "-arch=sm_90", "-cubin", "-Werror", "all-warnings"]
        subprocess.run([*command, "-o", tmp_path / "k.cubin", path], check=True)
