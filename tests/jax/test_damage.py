# SPDX-License-Identifier: Apache-2.0
"""Compiled programs that were damaged on their way: every changed bit is seen, and the program is
compiled again or refused. And programs that need more memory than there is: the error says where."""

import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import serialize_executable

TOO_MANY = 1 << 23  # squared and of float32: more than the address space


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.fixture
def on_mps():
    with jax.default_device(jax.devices("mps")[0]):
        yield


def test_serialized_executable(on_mps):
    compiled = jax.jit(lambda x: jnp.tanh(x) + 1).lower(jnp.ones(3)).compile()
    payload, *trees = serialize_executable.serialize(compiled)
    again = serialize_executable.deserialize_and_load(payload, *trees)
    np.testing.assert_allclose(again(jnp.zeros(3)), np.ones(3))
    start = payload.index(b"jmseal01")
    for at, words in ((9, "cut or damaged"), (17, "checksum"), (24, "checksum"), (200, "checksum")):
        damaged = flip(payload, 8 * (start + at) + 3)
        with pytest.raises((jax.errors.JaxRuntimeError, pickle.UnpicklingError), match=words):
            serialize_executable.deserialize_and_load(damaged, *trees)


CACHED = """
import sys, warnings, jax, jax.numpy as jnp
jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    f = jax.jit(lambda x: jnp.sin(x) * 2 + 1)
    assert f(jnp.zeros(3)).tolist() == [1, 1, 1]
print(sum("checksum" in str(w.message) for w in caught))
"""


def run_cached(folder) -> int:
    done = subprocess.run(
        [sys.executable, "-c", CACHED, str(folder)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def test_cache_entry(tmp_path):
    """A damaged entry is a warning; the program is compiled again and its result is right."""
    from jax._src import compilation_cache

    assert run_cached(tmp_path) == 0
    entries = [path for path in tmp_path.iterdir() if path.name.endswith("cache")]
    assert entries
    for path in entries:
        data = compilation_cache.decompress_executable(path.read_bytes())
        path.write_bytes(compilation_cache.compress_executable(flip(data, 8 * (len(data) // 2))))
    assert run_cached(tmp_path) == len(entries)


def test_out_of_memory_in_a_temporary(on_mps):
    """The largest temporary: its size, its op, and the line that makes it."""

    def f(x):
        rows = x[:, None] + x[None, :]
        return jnp.sum(lax.sort(rows, dimension=0)[0])

    with pytest.raises(jax.errors.JaxRuntimeError) as caught:
        jax.jit(f)(jnp.zeros(TOO_MANY)).block_until_ready()
    text = str(caught.value)
    assert text.startswith("RESOURCE_EXHAUSTED"), text
    for part in (f"f32[{TOO_MANY},{TOO_MANY}]", "256.0 TiB", "test_damage.py"):
        assert part in text, text
