# SPDX-License-Identifier: Apache-2.0
"""jax.ffi: handlers in C++, built against the headers of the jaxlib at hand."""

import ctypes
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from jax_mps_c.selftest.harness import x64

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
F32 = np.float32


@pytest.fixture(autouse=True)
def on_mps():
    with jax.default_device(jax.devices("mps")[0]):
        yield


@pytest.fixture(scope="session")
def handlers(tmp_path_factory):
    """A name keeps its handlers as long as the process lives, so they are built once in it."""
    library = tmp_path_factory.mktemp("ffi") / "libhandlers.so"
    compiler = shutil.which("c++") or shutil.which("g++")
    flags = ["-std=c++17", "-O1", "-shared", "-fPIC", "-pthread", f"-I{jax.ffi.include_dir()}"]
    command = [compiler, *flags, str(HERE / "ffi_handlers.cc"), "-o", str(library)]
    subprocess.run(command, check=True)
    loaded = ctypes.CDLL(str(library))
    for name in ("attributes", "look", "add_one", "fail", "later", "tasks"):
        handler = jax.ffi.pycapsule(getattr(loaded, name))
        jax.ffi.register_ffi_target(f"test_{name}", handler, platform="mps")
    return loaded


def call(name, shape, *args, dtype=F32, attributes=None, **options):
    result = jax.ShapeDtypeStruct(shape, dtype)
    ffi_call = jax.ffi.ffi_call(f"test_{name}", result, **options)
    return jax.jit(lambda *args: ffi_call(*args, **(attributes or {})))(*args)


def test_attributes(handlers):
    attributes = {
        "weights": np.array([0.25, 0.5], F32),
        "flag": True,
        "f64": 1.5,
        "f32": F32(2.5),
        "i32": np.int32(-3),
        "i64": -(2**40),
        "list": np.array([1, 2, 3], np.int32),
        "text": "text",
        "u8": np.uint8(200),
    }
    with x64(True):
        out = call("attributes", (9,), dtype=np.float64, attributes=attributes)
        assert out.devices() == {jax.devices("mps")[0]}
        np.testing.assert_array_equal(out, [1, 1.5, 2.5, -3, -(2.0**40), 321, 4, 200, 0.75])


def test_an_attribute_of_another_type_is_named(handlers):
    with pytest.raises(jax.errors.JaxRuntimeError, match="test_attributes"):
        call("attributes", (9,), attributes={"flag": 1}).block_until_ready()


def test_dimensions_and_layouts(handlers):
    """A column-major operand keeps its dimensions, and its memory is in the other order."""
    x = np.arange(6, dtype=F32).reshape(2, 3)
    np.testing.assert_array_equal(call("look", (8,), x), [2, 3, *x.ravel()])
    columns = call("look", (8,), x, input_layouts=[(1, 0)])
    np.testing.assert_array_equal(columns, [2, 3, *x.T.ravel()])
    cube = np.arange(24, dtype=F32).reshape(2, 3, 4)
    out = call("look", (27,), cube, input_layouts=[(2, 0, 1)])
    np.testing.assert_array_equal(out, [2, 3, 4, *cube.transpose(2, 0, 1).ravel()])


def test_a_result_has_the_operands_memory(handlers):
    x = jnp.arange(5, dtype=F32)
    out = call("add_one", (5,), x, input_output_aliases={0: 0})
    np.testing.assert_array_equal(out, np.arange(5) + 1)
    np.testing.assert_array_equal(x, np.arange(5))


def test_errors(handlers):
    text = r"FAILED_PRECONDITION: no such fish.*test_fail"
    with pytest.raises(jax.errors.JaxRuntimeError, match=text):
        call("fail", (3,), jnp.ones(3)).block_until_ready()
    with pytest.raises(jax.errors.JaxRuntimeError, match="unknown target.*test_nobody"):
        call("nobody", (3,), jnp.ones(3)).block_until_ready()
    with pytest.raises(jax.errors.JaxRuntimeError, match="test_look"):  # too many arguments
        call("look", (3,), jnp.ones(3), jnp.ones(3)).block_until_ready()


def test_registering(handlers):
    again = jax.ffi.pycapsule(handlers.look)
    jax.ffi.register_ffi_target("test_look", again, platform="mps")  # the same is no error
    with pytest.raises(ValueError, match="ALREADY_EXISTS.*another handler"):
        jax.ffi.register_ffi_target("test_look", jax.ffi.pycapsule(handlers.fail), platform="mps")
    with pytest.raises(NotImplementedError, match="untyped interface"):
        jax.ffi.register_ffi_target("test_old", again, platform="mps", api_version=0)


def test_state(handlers):
    """A call in a program has a state of its own, which lives as long as the program."""
    if not hasattr(jax.ffi, "register_ffi_type"):
        pytest.skip("this jax has no types of states")
    pointers = {}
    for part in ("type_id", "type_info"):
        get = getattr(handlers, f"counter_{part}")
        get.restype = ctypes.c_void_p
        pointers[part] = jax.ffi.pycapsule(ctypes.c_void_p(get()))
    jax.ffi.register_ffi_type("test_counter", pointers, platform="mps")
    stages = {
        stage: jax.ffi.pycapsule(getattr(handlers, f"counter_{stage}"))
        for stage in ("instantiate", "execute")
    }
    jax.ffi.register_ffi_target("test_counter", stages, platform="mps")
    counter = jax.ffi.ffi_call(
        "test_counter", jax.ShapeDtypeStruct((), np.int32), has_side_effect=True
    )
    program = jax.jit(lambda: (counter(first=10), counter(first=100)))
    assert [tuple(map(int, program())) for _ in range(3)] == [(10, 100), (11, 101), (12, 102)]


@pytest.mark.parametrize("fails", [False, True])
def test_a_later_result(handlers, fails):
    out = lambda: call("later", (3,), jnp.arange(3.0), attributes={"fails": fails})  # noqa: E731
    if fails:
        with pytest.raises(jax.errors.JaxRuntimeError, match="too late"):
            out().block_until_ready()
    else:
        np.testing.assert_array_equal(out(), [0, 2, 4])


def test_newer_versions_of_the_interface(handlers):
    if not hasattr(handlers, "ask"):
        pytest.skip("jaxlib's FFI is older than 0.4")
    handler = jax.ffi.pycapsule(handlers.ask)
    jax.ffi.register_ffi_target("test_ask", handler, platform="mps")
    assert call("ask", (), dtype=np.int32) == 1


def test_tasks(handlers):
    assert call("tasks", (), dtype=np.int32) == 15


def test_vmap_and_loops(handlers):
    look = jax.ffi.ffi_call("test_look", jax.ShapeDtypeStruct((4,), F32), vmap_method="sequential")
    x = np.arange(6, dtype=F32).reshape(2, 3)
    np.testing.assert_array_equal(jax.vmap(look)(x), [[3, *x[0]], [3, *x[1]]])
    carried = jax.lax.fori_loop(0, 3, lambda i, c: look(c)[1:] + 1, jnp.zeros(3))
    np.testing.assert_array_equal(carried, [3, 3, 3])


def test_a_handler_of_the_cpu_serves(handlers):
    handler = jax.ffi.pycapsule(handlers.look)
    jax.ffi.register_ffi_target("test_of_cpu", handler, platform="cpu")
    out = call("of_cpu", (4,), np.arange(3, dtype=F32))
    assert out.devices() == {jax.devices("mps")[0]}
    np.testing.assert_array_equal(out, [3, 0, 1, 2])


def test_linear_algebra_exported_for_the_cpu():
    """Its custom calls are JAX's own LAPACK handlers."""
    a = np.random.default_rng(3).normal(size=(5, 5)).astype(F32)
    s = a @ a.T + 5 * np.eye(5, dtype=F32)
    wide = s.astype(np.float64)
    wanted = {
        "inv": (jnp.linalg.inv, np.linalg.inv(wide)),
        "eigvalsh": (jnp.linalg.eigvalsh, np.linalg.eigvalsh(wide)),
        "svd": (lambda x: jnp.linalg.svd(x)[1], np.linalg.svd(wide)[1]),
        "cholesky": (jnp.linalg.cholesky, np.linalg.cholesky(wide)),
        "qr": (lambda x: jnp.abs(jnp.linalg.qr(x)[1]), np.abs(np.linalg.qr(wide)[1])),
        "eigvals": (lambda x: jnp.sort(jnp.linalg.eigvals(x).real), np.linalg.eigvalsh(wide)),
    }
    for name, (f, value) in wanted.items():
        program = export.deserialize(export.export(jax.jit(f), platforms=["cpu"])(s).serialize())
        assert "lapack_" in program.mlir_module(), name
        checks = (export.DisabledSafetyCheck.platform(),)
        program = dataclasses.replace(program, disabled_safety_checks=checks)
        out = jax.jit(program.call)(s)
        assert out.devices() == {jax.devices("mps")[0]}
        np.testing.assert_allclose(out, value, rtol=1e-4, atol=1e-5, err_msg=name)


def test_fourier_transform_exported_for_the_cpu():
    """An op of StableHLO, no custom call."""
    x = np.random.default_rng(4).normal(size=(3, 12)).astype(F32)
    f = jax.jit(lambda x: jnp.fft.irfft(jnp.fft.rfft(x, axis=0) * 2, n=3, axis=0))
    program = export.deserialize(export.export(f, platforms=["cpu"])(x).serialize())
    assert "custom_call" not in program.mlir_module()
    checks = (export.DisabledSafetyCheck.platform(),)
    program = dataclasses.replace(program, disabled_safety_checks=checks)
    out = jax.jit(program.call)(x)
    assert out.devices() == {jax.devices("mps")[0]}
    np.testing.assert_allclose(out, 2 * x, rtol=1e-5, atol=1e-6)


def test_the_example():
    example = ROOT / "examples" / "ffi" / "rms_norm.py"
    done = subprocess.run(
        [sys.executable, str(example)],
        env=os.environ | {"JAX_PLATFORMS": "mps"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and "largest difference" in done.stdout, done.stderr
