# SPDX-License-Identifier: Apache-2.0
"""What goes wrong is a clear JAX error, the process lives, and the next program is right."""

import importlib
import os
import pathlib
import shutil
import sys
import textwrap

import engines
import pytest
from engines import paths

from jax_mps_c import locate

ROOT = pathlib.Path(__file__).resolve().parents[2]

HEAD = """
import sys
{before}
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

def fails(text, function):
    try:
        jax.block_until_ready(function())
    except Exception as error:
        assert text in str(error), str(error)
    else:
        raise AssertionError("no error")
    x = np.arange(1000, dtype=np.float32)
    np.testing.assert_allclose(jax.jit(lambda v: (v * 2 + 1).sum())(x), (x * 2 + 1).sum())
    print("failed well:", text)
"""


@pytest.fixture
def program(python):
    """Runs a program text with `fails`; its standard output and error, joined."""

    def run(text, before="", **environment):
        done = python("-c", HEAD.format(before=before) + textwrap.dedent(text), **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


# -- what is missing

NO_MLX = "sys.modules['mlx'] = None"  # find_spec then finds none
NOT_SET = {"JAX_MPS_MLX_ENGINE": None, "JAX_MPS_MLX_LIBRARY": None}

ASKS = """
try:
    jax.devices("mps")
except RuntimeError as error:
    print("ERROR", error)
else:
    raise AssertionError("no error")
jax.config.update("jax_platforms", "cpu")  # as long as it is asked for, JAX starts nothing else
assert float(jnp.ones(3).sum()) == 3
"""


def test_mlx_missing(program):
    text = program(ASKS, before=NO_MLX, **NOT_SET)
    assert "no MLX" in text and f"JAX_MPS_DEVICE is {os.environ['JAX_MPS_DEVICE']}" in text
    assert "pip install mlx[cpu]==" in text


def test_mlx_missing_is_the_host_by_default(program):
    text = program(
        """
        device = jax.devices("mps")[0]
        assert device.device_kind == "host (CPU)", device.device_kind
        assert jnp.ones(3).devices() == {device} and float(jnp.ones(3).sum()) == 3
        print("computed")
    """,
        before=NO_MLX,
        JAX_MPS_DEVICE=None,
        **NOT_SET,
    )
    assert "computed" in text


def fake_mlx(folder, version, packages=("mlx", "mlx-cpu")):
    """An installed MLX of another version."""
    library = folder / "mlx" / "lib" / f"libmlx{locate.SUFFIX}"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"")
    for name in packages:
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder


@pytest.mark.parametrize("here, there", [("mlx-cpu", "mlx-cuda-13"), ("mlx-cuda-13", "mlx-cpu")])
def test_the_version_is_that_of_the_library(tmp_path, monkeypatch, here, there):
    """Two MLX on the path: the first one's library, and its own version."""
    folders = [fake_mlx(tmp_path / "a", "9.9.9", ["mlx", here])]
    folders.append(fake_mlx(tmp_path / "b", "8.8.8", ["mlx", there]))
    monkeypatch.setattr(sys, "path", [*map(str, folders), *sys.path])
    importlib.invalidate_caches()
    found = locate.find_mlx()
    assert found == locate.Mlx(here, "9.9.9", folders[0] / "mlx" / "lib" / found.library.name)


def test_another_version_of_mlx(program, tmp_path):
    plugin = tmp_path / "plugin"
    plugin.mkdir()
    shutil.copy(locate.find_library(), plugin)
    engine = pathlib.Path(paths()[0])
    shutil.copy(engine, plugin)
    version = locate.engine_version(engine)
    found = os.pathsep.join(
        filter(None, [str(fake_mlx(tmp_path / "site", "9.9.9")), os.environ.get("PYTHONPATH")])
    )
    environment = NOT_SET | {"PYTHONPATH": found, "JAX_MPS_LIBRARY_PATH": plugin / locate.PLUGIN}
    text = program(ASKS, **environment)
    error = text.partition("ERROR")[2]
    assert "9.9.9 is installed" in error
    assert f"pip install mlx=={version} mlx-cpu=={version}" in error
    text = program("print(jax.devices('mps')[0].device_kind)", JAX_MPS_DEVICE="auto", **environment)
    assert "host (CPU)" in text and "pip install" in text


@pytest.mark.parametrize(
    "variable", ["JAX_MPS_MLX_LIBRARY", "JAX_MPS_MLX_ENGINE", "JAX_MPS_LIBRARY_PATH"]
)
@pytest.mark.parametrize("content", [None, b"not a library"], ids=["nothing", "garbage"])
def test_library_that_is_none(program, tmp_path, variable, content):
    path = tmp_path / "nowhere.so"
    if content:
        path.write_bytes(content)
    engine, library = paths()
    environment = {"JAX_MPS_MLX_ENGINE": engine, "JAX_MPS_MLX_LIBRARY": library, variable: path}
    text = program(ASKS, **environment)
    assert "nowhere.so" in text.partition("ERROR")[2]


def test_engine_of_another_interface(program, tmp_path):
    """A library that is there and is no engine."""
    _, library = paths()
    text = program(ASKS, JAX_MPS_MLX_ENGINE=library)
    assert "jm_mlx_api_find" in text.partition("ERROR")[2]


def test_unknown_device(program):
    text = program(ASKS, JAX_MPS_DEVICE="tpu")
    assert "auto, gpu, mlx-cpu or host" in text.partition("ERROR")[2]


# -- what is too large


def test_too_large(program):
    program("""
        # A dimension that MLX has no number for is the host's, which is held to the same limit.
        fails("a value on the host needs", lambda: jnp.ones(1 << 40))
        fails("a value on the host needs", lambda: jax.jit(lambda x: x[:, None] * jnp.ones(1 << 40))(
            jnp.ones(2)))
        fails("RESOURCE_EXHAUSTED", lambda: jnp.ones((1 << 20, 1 << 20)))
        row = jnp.ones(1 << 20)
        fails("RESOURCE_EXHAUSTED", lambda: jax.jit(lambda x: jnp.outer(x, x) + x)(row))
        # Sorted, it must be there; summed, a kernel would never have it.
        fails("RESOURCE_EXHAUSTED", lambda: jax.jit(lambda x: jnp.sort(x[:, None] * x, 1)[0])(row))
        fails("RESOURCE_EXHAUSTED", lambda: jax.jit(lambda x: lax.fori_loop(
            0, 5, lambda i, y: jnp.sort(jnp.outer(x, x) + y[0], 1)[0, :9], x[:9]))(row))
    """)


# -- errors inside MLX


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """faulty_engine.c as a library: MLX, with a sin that fails late and a cos that fails at once."""
    path = engines.build("faulty_engine.c", tmp_path_factory.mktemp("faulty"))
    engine, library = paths()
    return {
        "JAX_MPS_MLX_ENGINE": path,
        "JAX_MPS_MLX_LIBRARY": library,
        "JM_REAL_ENGINE": engine,
        "JAX_MPS_KERNELS": "0",  # sin and cos are MLX's then
    }


@pytest.fixture(params=["worker thread", "wait"])
def late(faulty, request):
    """Where sin's error shows; a GPU has the second alone."""
    return faulty | {"JM_FAULT_AT_WAIT": "1" if request.param == "wait" else None}


def test_an_error_after_the_call(program, late):
    program(
        """
        x = jax.device_put(np.ones(100, np.float32))
        for _ in range(3):
            fails("INTERNAL", lambda: jnp.sin(x))
        fails("INTERNAL", lambda: jax.jit(lambda x: (x * 2, jnp.sin(x) + 1, x.sum()))(x))
        fails("INTERNAL", lambda: jax.jit(lambda x: lax.fori_loop(
            0, 400, lambda i, y: jnp.sin(y) * 0.5, x))(x))
        fails("INTERNAL", lambda: jax.jit(lambda x: lax.while_loop(
            lambda y: y.sum() < 1000, lambda y: jnp.sin(y) + 2, x))(x))
        fails("INTERNAL", lambda: jax.jit(lambda x: jnp.linalg.cholesky(
            jnp.sin(x)[:4].reshape(2, 2)))(x))
    """,
        **late,
    )


def test_the_error_stays_at_the_value(program, late):
    """All results of a failed program fail, whenever they are read, and what depends on them."""
    program(
        """
        x = jax.device_put(np.ones(100, np.float32))
        both = jax.jit(lambda x: (jnp.sin(x), x * 2))(x)
        later = both[1] + 1
        for _ in range(2):
            for value in (*both, later):
                fails("INTERNAL", lambda: np.asarray(value))
        np.testing.assert_array_equal(np.asarray(x), 1)
    """,
        **late,
    )


def test_an_error_of_a_queued_op(program, faulty):
    program(
        """
        x = jax.device_put(np.ones(100, np.float32))
        fails("cos fails at once", lambda: jnp.cos(x))
        fails("cos fails at once", lambda: jax.jit(lambda x: lax.fori_loop(
            0, 100, lambda i, y: lax.cond(i == 60, jnp.cos, lambda v: v + 1, y), x))(x))
        donated = jax.jit(lambda v: jnp.cos(v) + 1, donate_argnums=0)
        fails("cos fails at once", lambda: donated(x + 1))
    """,
        **faulty,
    )


# -- what a GPU does in any order


def test_overwriting_keeps_the_last(program, faulty):
    """Duplicate indices: the last update stays, even where MLX writes them in another order."""
    program(
        """
        def last(x, i, u):
            x = x.copy()
            for k, index in enumerate(i):
                if 0 <= index < len(x):
                    x[index] = u[k]
            return x

        random = np.random.default_rng(0)
        for dtype in (np.float32, np.int8, bool, jnp.bfloat16):
            for shape in ((7,), (7, 3)):
                x, u = (random.integers(0, 100, n + shape[1:]).astype(dtype) for n in ((7,), (40,)))
                i = random.integers(-3, 11, 40).astype(np.int32)
                set_ = jax.jit(lambda x, i, u: x.at[i].set(u, mode="drop", wrap_negative_indices=False))
                np.testing.assert_array_equal(np.asarray(set_(x, i, u)), last(x, i, u))
        # Windows that overlap in part: a later one covers the end of an earlier one.
        overlapping = jax.jit(lambda x, i, u: lax.scatter(
            x, i[:, None], u, lax.ScatterDimensionNumbers((1,), (), (0,))))
        x, i = np.zeros(12, np.float32), np.array([0, 6, 4, 2], np.int32)
        u = np.arange(16, dtype=np.float32).reshape(4, 4) + 1
        expected = x.copy()
        for k, start in enumerate(i):
            expected[start : start + 4] = u[k]
        np.testing.assert_array_equal(np.asarray(overlapping(x, i, u)), expected)
        # Two indices, and batches of them.
        x, i = np.zeros((2, 5, 6), np.float32), random.integers(0, 5, (2, 30, 2)).astype(np.int32)
        u = random.normal(size=(2, 30)).astype(np.float32)
        pairs = jax.jit(jax.vmap(lambda x, i, u: x.at[i[:, 0], i[:, 1]].set(u)))
        expected = x.copy()
        for b in range(2):
            for k in range(30):
                expected[b, i[b, k, 0], i[b, k, 1]] = u[b, k]
        np.testing.assert_array_equal(np.asarray(pairs(x, i, u)), expected)
    """,
        **faulty,
    )
