# SPDX-License-Identifier: Apache-2.0
"""`python -m jax_plugins.mps`: what was found on this machine, what is missing, does it compute."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator

from jax_mps_c import clashes, explain, locate, registration, version

Line = tuple[str, str]


def package_version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def versions() -> Iterator[Line]:
    yield "machine", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    yield "python", f"{platform.python_version()} ({sys.executable})"
    yield "jax-mps-c", version.__version__
    for name in ("jax", "jaxlib", "numpy", "scipy"):
        yield name, package_version(name)


def parts() -> Iterator[Line]:
    """What the plugin would load, each with what its absence costs."""
    try:
        library = locate.find_library()
    except locate.LibraryNotFound as error:
        yield "library", f"missing: {error}"
        return
    yield "library", str(library)
    engines = ", ".join(path.name for path in locate.find_engines(library))
    yield "engine for GPUs", engines or "not in this build: programs run on the CPU"
    blas = os.environ.get("JAX_MPS_BLAS") or locate.find_blas()
    if blas is None and sys.platform == "darwin":
        yield "BLAS, LAPACK", "Accelerate"
    else:
        yield "BLAS, LAPACK", str(blas or "missing: products are slow, no decompositions")
    yield "llvmlite", package_version("llvmlite")
    mlx = package_version("mlx")
    yield "mlx", mlx if locate.find_mlx() else "not installed (drives the GPU)"


def names() -> Iterator[Line]:
    found = clashes.find_clashes()
    for clash in found:
        yield "name clash", str(clash)
    if not found:
        yield "name clash", "none"
    if settings := sorted(name for name in os.environ if name.startswith("JAX_MPS_")):
        yield "settings", " ".join(f"{name}={os.environ[name]}" for name in settings)


def compiler() -> str:
    """What compiles the host engine's kernels; without it programs run op by op."""
    import jax

    lowered = jax.jit(lambda: 1.0).trace().lower(lowering_platforms=(registration.PLATFORM,))
    found = explain.explain_compiled(lowered).data["compiler"]
    return found if found.startswith("LLVM") else f"op by op, {found}; try: pip install -U llvmlite"


def trial() -> Iterator[Line]:
    """Computes one sum on the platform. The last line says `ok` or why not."""
    import jax

    try:
        device = jax.devices(registration.PLATFORM)[0]
    except Exception as error:
        yield "device", "none"
        yield "1 + 1 on mps", f"failed: {error}"
        return
    for outcome in registration.state.hooks:
        yield f"hook {outcome.hook.name}", outcome.result
    client = device.client
    yield "device", str(device)
    yield "plugin", str(client.platform_version).replace("\n", " ")
    if stablehlo := getattr(client, "stablehlo_current_version", None):
        yield "StableHLO", ".".join(str(part) for part in stablehlo)
    try:
        yield "kernels", compiler()
        one = jax.device_put(1.0, device)
        yield "1 + 1 on mps", "ok" if float(one + one) == 2 else "failed: the sum is wrong"
    except Exception as error:
        yield "1 + 1 on mps", f"failed: {error}"


def main() -> int:
    ok = False
    for part in (versions, parts, names, trial):
        for name, text in part():
            print(f"{name:16} {text}", flush=True)
            ok = (name, text) == ("1 + 1 on mps", "ok")
    return 0 if ok else 1
