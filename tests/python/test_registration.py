# SPDX-License-Identifier: Apache-2.0
"""The platform's name, its registration, and machines where it does not work."""

import os
import pathlib
import sys

import pytest

from jax_mps_c import hooks

SHOW = "import jax; print(jax.devices()[0].platform, jax.default_backend())"
MISSING = "/nowhere/libpjrt_plugin_mps.so"


def test_found_without_a_word(code):
    lines, done = code(SHOW)
    assert lines == ["mps mps"]
    assert done.stderr == ""


def test_named(code):
    assert code(SHOW, JAX_PLATFORMS="mps")[0] == ["mps mps"]
    assert code(SHOW, JAX_PLATFORMS="cpu")[0] == ["cpu cpu"]
    assert code(SHOW, JAX_PLATFORMS="cpu,mps")[0] == ["cpu cpu"]


def test_the_sum_is_on_the_device(code):
    lines, _ = code(
        "import jax, jax.numpy as jnp; y = jax.jit(lambda x: x + 1)(jnp.ones(3)); "
        "print(y, y.devices() == {jax.devices('mps')[0]}); print(jnp.ones(3) + 1)"
    )
    assert lines == ["[2. 2. 2.] True", "[2. 2. 2.]"]


@pytest.mark.parametrize("module", ["jax_mps_c", "jax_plugins.mps"])
@pytest.mark.parametrize("when", ["before", "after", "both"])
def test_initialize_by_hand(code, module, when):
    call = "mps.initialize(); mps.initialize();"
    before = call if when != "after" else ""
    after = call if when != "before" else ""
    lines, done = code(
        f"import importlib; mps = importlib.import_module('{module}'); {before} "
        f"import jax; print(jax.devices()[0].platform); {after} "
        "print(float(jax.numpy.ones(3).sum()))"
    )
    assert lines == ["mps", "3.0"]
    assert done.stderr == ""


def test_missing_library_leaves_the_cpu(code):
    lines, done = code(SHOW, JAX_MPS_LIBRARY_PATH=MISSING)
    assert lines == ["cpu cpu"]
    assert f"JAX_MPS_LIBRARY_PATH names {MISSING}, which is not a file" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_library_asked_for(python):
    done = python("-c", SHOW, JAX_MPS_LIBRARY_PATH=MISSING, JAX_PLATFORMS="mps")
    assert done.returncode == 1
    assert MISSING in done.stderr.strip().splitlines()[-3] + done.stderr.strip().splitlines()[-1]


def test_missing_library_asked_for_by_device(python):
    done = python("-c", "import jax; jax.devices('mps')", JAX_MPS_LIBRARY_PATH=MISSING)
    assert done.returncode == 1
    assert "Backend 'mps' failed to initialize" in done.stderr and MISSING in done.stderr


def test_a_library_that_is_none(code, tmp_path):
    wrong = tmp_path / "libpjrt_plugin_mps.so"
    wrong.write_text("no library")
    lines, done = code(SHOW, JAX_MPS_LIBRARY_PATH=wrong)
    assert lines == ["cpu cpu"]
    assert "'mps' is not available" in done.stderr and str(wrong) in done.stderr


def test_a_library_without_the_entry_point(code):
    import _ctypes

    other = getattr(_ctypes, "__file__", None)
    if other is None:
        other = next(pathlib.Path(sys.prefix).rglob("*.so"))
    lines, done = code(SHOW, JAX_MPS_LIBRARY_PATH=other)
    assert lines == ["cpu cpu"]
    assert "GetPjrtApi" in done.stderr


def test_a_client_that_cannot_start(code):
    lines, done = code(SHOW, JAX_MPS_NUM_DEVICES="many")
    assert lines == ["cpu cpu"]
    assert "'mps' is not available" in done.stderr and "NUM_DEVICES" in done.stderr


def test_hooks(code):
    text = """
import jax
from jax_mps_c.registration import state
jax.devices()
for outcome in state.hooks:
    print(outcome.hook.name, outcome.result)
"""
    names = [hook.name for hook in hooks.HOOKS]
    off = "off (JAX_MPS_HOOKS)"
    assert code(text)[0] == [f"{name} on" for name in names]
    assert code(text, JAX_MPS_HOOKS="0")[0] == [f"{name} {off}" for name in names]
    wanted = [f"{name} {off if name == 'cache' else 'on'}" for name in names]
    assert code(text, JAX_MPS_HOOKS="cache")[0] == wanted


def test_donation_needs_its_hook(code):
    text = """
import jax, jax.numpy as jnp, warnings
warnings.simplefilter("ignore")
x = jnp.ones(8)
jax.block_until_ready(jax.jit(lambda x: x + 1, donate_argnums=0)(x))
print(x.is_deleted())
"""
    assert code(text)[0] == ["True"]
    assert code(text, JAX_MPS_HOOKS="donation")[0] == ["False"]


def test_persistent_cache(code, tmp_path):
    text = f"""
import jax, jax.numpy as jnp
jax.config.update("jax_compilation_cache_dir", {str(tmp_path)!r})
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
print(jax.jit(lambda x: jnp.sin(x) * 2 + 1)(jnp.zeros(3)))
"""
    first, done = code(text)
    assert first == ["[1. 1. 1.]"], done.stderr
    stored = [name for name in os.listdir(tmp_path) if "cache" in name]
    assert stored, "nothing was stored"
    again, done = code(text)
    assert again == first
    assert "rror" not in done.stderr, done.stderr


CACHED = """
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_compilation_cache_dir", {folder!r})
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
from jax_mps_c import counters
x = np.linspace(0.1, 4, 5000, dtype=np.float32).reshape(50, 100)
program = lambda x: jnp.tanh(jax.nn.softmax(x) @ x.T) + jnp.mod(x[:, :50], 0.3)
y = np.asarray(jax.jit(program)(x))
found = counters.read()
print(y.tobytes().hex())
print(found["host_kernels_compiled"] > 0, found["host_kernels_loaded"] > 0)
print(any("llvm" in line.lower() for line in open("/proc/self/maps")))
"""


def cached_program(folder):
    return next(folder.glob("jit__lambda*-cache"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_cache_holds_machine_code(code, tmp_path):
    text = CACHED.format(folder=str(tmp_path))
    (bits, kernels, llvm), done = code(text, JAX_MPS_DEVICE="host")
    if kernels == "False False":
        pytest.skip("no LLVM here, so there is no machine code")
    assert (kernels, llvm) == ("True False", "True"), done.stderr
    (again, kernels, llvm), done = code(text, JAX_MPS_DEVICE="host")
    assert again == bits
    assert (kernels, llvm) == ("False True", "False"), done.stderr
    # Without any LLVM the cached code still runs.
    (again, kernels, _), _ = code(text, JAX_MPS_DEVICE="host", JAX_MPS_LLVM="none")
    assert (again, kernels) == (bits, "False True")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_damaged_cache_is_compiled_again(code, tmp_path):
    text = CACHED.format(folder=str(tmp_path))
    (bits, kernels, _), _ = code(text, JAX_MPS_DEVICE="host")
    if kernels == "False False":
        pytest.skip("no LLVM here, so there is no machine code")
    path = cached_program(tmp_path)
    from jax._src import compilation_cache

    serialized, seconds = compilation_cache.extract_executable_and_time(
        compilation_cache.decompress_executable(path.read_bytes())
    )
    damaged = bytearray(serialized)
    damaged[-100] ^= 1  # an instruction
    combined = compilation_cache.combine_executable_and_time(bytes(damaged), seconds)
    path.write_bytes(compilation_cache.compress_executable(combined))
    (again, kernels, _), done = code(text, JAX_MPS_DEVICE="host")
    assert (again, kernels) == (bits, "True False")
    assert "damaged" in done.stderr


def test_exported_files_hold_no_machine_code(code):
    text = """
import jax, jax.numpy as jnp, numpy as np
from jax import export
x = np.ones((50, 100), np.float32)
program = jax.jit(lambda x: jnp.tanh(jax.nn.softmax(x) @ x.T))
y = program(x)
exported = export.export(program)(x).serialize()
print(b"jmcode" in bytes(exported))
"""
    lines, done = code(text, JAX_MPS_DEVICE="host")
    assert lines == ["False"], done.stderr
