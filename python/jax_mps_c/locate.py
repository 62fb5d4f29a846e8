# SPDX-License-Identifier: Apache-2.0
"""Where things are on this machine: the plugin library, its engines, BLAS, LLVM. Loads none."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import os
import pathlib
import platform
import sys

SUFFIX = ".dylib" if sys.platform == "darwin" else ".so"
PLUGIN = f"libpjrt_plugin_mps{SUFFIX}"
ENGINE_PREFIX = "libjm_engine_mlx_"
# The wheels that bring libmlx: one of them is installed beside `mlx`.
MLX_BACKENDS = ("mlx-metal", "mlx-cuda-13", "mlx-cuda-12", "mlx-cpu", "mlx")
LIBRARY_VARIABLE = "JAX_MPS_LIBRARY_PATH"


class LibraryNotFound(Exception):
    """There is no plugin library to load; the text says where it was looked for."""


def package_folders() -> list[pathlib.Path]:
    """An editable install has two: the sources, and where the build installs the library."""
    import jax_mps_c

    return [pathlib.Path(folder) for folder in jax_mps_c.__path__]


def find_library() -> pathlib.Path:
    """The plugin library: the one that the user names, else the package's own."""
    if named := os.environ.get(LIBRARY_VARIABLE):
        path = pathlib.Path(named).expanduser().absolute()
        if path.is_file():
            return path
        raise LibraryNotFound(f"{LIBRARY_VARIABLE} names {path}, which is not a file")
    folders = package_folders()
    for folder in folders:
        if (folder / PLUGIN).is_file():
            return folder / PLUGIN
    places = ", ".join(str(folder) for folder in folders)
    raise LibraryNotFound(
        f"{PLUGIN} is not in {places}; reinstall jax-mps-c, or set {LIBRARY_VARIABLE} to a built one"
    )


def find_engines(library: pathlib.Path) -> list[pathlib.Path]:
    """The device engines beside the plugin, one for each MLX release that they were built for."""
    return sorted(library.parent.glob(f"{ENGINE_PREFIX}*{SUFFIX}"))


@dataclasses.dataclass(frozen=True)
class Mlx:
    """An installed MLX."""

    package: str
    version: str
    library: pathlib.Path


def find_mlx() -> Mlx | None:
    """The installed MLX. It is not imported: the plugin loads its library, when it is needed."""
    spec = importlib.util.find_spec("mlx")
    for folder in map(pathlib.Path, (spec.submodule_search_locations or ()) if spec else ()):
        library = folder / "lib" / f"libmlx{SUFFIX}"
        if not library.is_file():
            continue
        # Of the same folder: another MLX further down the path is not what is loaded.
        if found := _release([str(folder.parent)]) or _release(sys.path):
            return Mlx(*found, library)
    return None


def _release(path: list[str]) -> tuple[str, str] | None:
    """Name and version of the MLX back end that is installed in the first of these folders."""
    for package in MLX_BACKENDS:
        for found in importlib.metadata.distributions(name=package, path=path):
            return package, found.version
    return None


def engine_version(engine: pathlib.Path) -> str:
    """The MLX that an engine was built for, from its name."""
    return engine.stem.removeprefix(ENGINE_PREFIX).replace("_", ".")


def find_engine(library: pathlib.Path, mlx: Mlx) -> pathlib.Path | None:
    """The plugin's engine for exactly this MLX: its C++ interface moves with every release."""
    for engine in find_engines(library):
        if engine_version(engine) == mlx.version:
            return engine
    return None


def find_blas() -> pathlib.Path | None:
    """The OpenBLAS inside scipy's Linux wheel. scipy is not imported: that takes 0.25 s.

    numpy's wheel has one too, but with 64-bit integers and other symbol names.
    """
    spec = importlib.util.find_spec("scipy")
    if spec is None or spec.origin is None:
        return None
    package = pathlib.Path(spec.origin).parent
    found = sorted((package.parent / "scipy.libs").glob("libscipy_openblas*.so*"))
    return found[0] if found else None


def find_llvm() -> pathlib.Path | None:
    """LLVM inside llvmlite's wheel, which is not imported: the plugin loads its library.

    Before 0.46 it had an LLVM that is too old. Whether the plugin works with the one that it has
    now is checked where it is loaded.
    """
    spec = importlib.util.find_spec("llvmlite")
    if spec is None or spec.origin is None:
        return None
    library = pathlib.Path(spec.origin).parent / "binding" / f"libllvmlite{SUFFIX}"
    return library if library.is_file() else None


def is_apple_gpu(library: pathlib.Path) -> bool:
    """Whether the plugin's device is an Apple GPU: an Apple machine, and an engine for its MLX."""
    if sys.platform != "darwin" or platform.machine() != "arm64":
        return False
    mlx = find_mlx()
    return mlx is not None and find_engine(library, mlx) is not None


def kernel_cache() -> pathlib.Path | None:
    """The folder for kernels compiled for a GPU: beside JAX's compilation cache if there is one, else
    the user's cache folder; None if the user has no home."""
    import jax

    if folder := jax.config.jax_compilation_cache_dir:
        # A cache in a bucket has no folder here.
        return None if "://" in folder else pathlib.Path(folder) / "jax_mps_c"
    try:
        home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    except RuntimeError:
        return None
    return pathlib.Path(home) / "jax_mps_c"
