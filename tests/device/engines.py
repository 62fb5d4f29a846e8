# SPDX-License-Identifier: Apache-2.0
"""Engine libraries for tests, which stand before the real one."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from jax_mps_c import locate

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
METAL = ROOT / "tests" / "metal"


def paths():
    """The engine and MLX's library as this process finds them."""
    mlx = locate.find_mlx()
    engine = os.environ.get("JAX_MPS_MLX_ENGINE") or locate.find_engine(locate.find_library(), mlx)
    library = os.environ.get("JAX_MPS_MLX_LIBRARY") or (mlx and mlx.library)
    return str(engine), str(library)


def build(source, folder):
    """A C file of this folder as a library."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        pytest.fail("these tests need a C compiler")
    path = folder / f"{pathlib.Path(source).stem}{locate.SUFFIX}"
    flags = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Werror", "-shared", "-fPIC"]
    flags += ["-fvisibility=hidden", f"-I{ROOT / 'src'}"]
    subprocess.run([compiler, *flags, "-o", path, HERE / source, "-ldl"], check=True)
    return path


def metal(folder):
    """The settings for metal_engine.c, built into this folder: an Apple GPU whose kernels the stub of
    Metal's library compiles for the CPU."""
    sys.path.insert(0, str(METAL))
    import metal as stub

    if not stub.is_usable():
        assert not os.environ.get("CI"), "no clang 14 or later"
        pytest.skip("needs clang 14 or later")
    engine, library = paths()
    return {
        "JAX_MPS_DEVICE": "gpu",
        "JAX_MPS_MLX_ENGINE": build("metal_engine.c", folder),
        "JAX_MPS_MLX_LIBRARY": library,
        "JM_REAL_ENGINE": engine,
        "JM_METAL_FOLDER": folder,
        "JM_METAL_COMPILER": f"'{sys.executable}' '{METAL / 'compile.py'}'",
        "JAX_MPS_KERNELS": None,
        "JAX_MPS_KERNEL_CACHE": folder,
    }
