# SPDX-License-Identifier: Apache-2.0
"""A function in C, called by a compiled program: build it, register it for `mps`, call it.

JAX_PLATFORMS=mps python examples/ffi/rms_norm.py
"""

import ctypes
import pathlib
import subprocess
import tempfile

import jax
import jax.numpy as jnp
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent


def build(folder: str) -> ctypes.CDLL:
    library = pathlib.Path(folder) / "librms_norm.so"
    include = f"-I{jax.ffi.include_dir()}"
    flags = ["-O3", "-shared", "-fPIC", include]
    subprocess.run(["cc", *flags, str(HERE / "rms_norm.c"), "-o", str(library), "-lm"], check=True)
    return ctypes.CDLL(str(library))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        library = build(folder)
        handler = jax.ffi.pycapsule(library.rms_norm)
        jax.ffi.register_ffi_target("rms_norm", handler, platform="mps")

        @jax.jit
        def rms_norm(x):
            call = jax.ffi.ffi_call("rms_norm", jax.ShapeDtypeStruct(x.shape, x.dtype))
            return call(x, eps=np.float32(1e-5))

        x = jax.random.normal(jax.random.key(0), (4, 1000))
        ours = rms_norm(jnp.tanh(x))
        y = np.tanh(np.asarray(x))
        wanted = y / np.sqrt(np.mean(y * y, axis=-1, keepdims=True) + 1e-5)
        print("largest difference", float(np.max(np.abs(ours - wanted))))
        np.testing.assert_allclose(ours, wanted, rtol=1e-5)


if __name__ == "__main__":
    main()
