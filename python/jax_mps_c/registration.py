# SPDX-License-Identifier: Apache-2.0
"""Makes the plugin known to JAX as the platform `mps`."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import pathlib
import socket
from typing import Any

from jax_mps_c import clashes, compat, hooks, locate

logger = logging.getLogger("jax_mps_c")

PLATFORM = "mps"
# The key of our library inside jaxlib where another plugin has already loaded one as `mps`.
SECOND_KEY = "jax_mps_c"
# JAX gives its own CPU 0, a TPU 300, GPU plugins 400 and more. An Apple GPU is what its owner wants
# by default; where we compute on the CPU we go before JAX's own and behind every accelerator.
PRIORITY_GPU = 500
PRIORITY_CPU = 1


@dataclasses.dataclass
class State:
    """What `initialize` did in this process; the doctor prints it."""

    done: bool = False
    library: pathlib.Path | None = None
    error: str = ""
    clashes: list[clashes.Clash] = dataclasses.field(default_factory=list)
    hooks: list[hooks.Outcome] = dataclasses.field(default_factory=list)


state = State()


def client_options() -> dict[str, str]:
    """Options of PJRT_Client_Create. JAX_MPS_* in the environment win over them in the library."""
    found = {
        "blas_library": locate.find_blas(),
        "llvm_library": locate.find_llvm(),
        "kernel_cache": locate.kernel_cache(),
    }
    options = {name: str(path) for name, path in found.items() if path}
    return options | mlx_options() | job_options()


def job_options() -> dict[str, str]:
    """For a process of several: the address of the interface that leads to the coordinator.

    No packet is sent: connecting a datagram socket only chooses the route."""
    from jax._src import distributed

    coordinator = getattr(distributed.global_state, "coordinator_address", None)
    if distributed.global_state.client is None or not coordinator:
        return {}
    host, _, port = coordinator.rpartition(":")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, int(port)))
            return {"collective_address": probe.getsockname()[0]}
    except (OSError, ValueError) as error:
        logger.warning(
            "no way to the coordinator %s (%s): set JAX_MPS_COLLECTIVE_ADDRESS", coordinator, error
        )
        return {}


def mlx_options() -> dict[str, str]:
    """Paths of the installed MLX and of our engine for it; says so where there is none for it.

    That is an error for those who ask for MLX, and a warning for those who take what there is.
    """
    mlx = locate.find_mlx()
    if mlx is None or state.library is None or "JAX_MPS_MLX_ENGINE" in os.environ:
        return {}
    if engine := locate.find_engine(state.library, mlx):
        return {"mlx_library": str(mlx.library), "mlx_engine": str(engine)}
    if known := [locate.engine_version(path) for path in locate.find_engines(state.library)]:
        text = (
            f"{mlx.package} {mlx.version} is installed, and this jax-mps-c works with "
            f"{' or '.join(known)}"
        )
        advice = f"try: pip install {mlx_requirement(mlx.package, known[-1])}"
        if os.environ.get("JAX_MPS_DEVICE") in ("gpu", "mlx-cpu"):
            raise RuntimeError(f"{text}; {advice}")
        logger.warning("%s: programs run on the CPU; %s", text, advice)
    return {}


def mlx_requirement(package: str, version: str) -> str:
    """What to tell pip: `mlx` and its backend have one version, and only one backend fits."""
    names = [package] if package == "mlx" else ["mlx", package]
    return " ".join(f"{name}=={version}" for name in names)


def initialize() -> None:
    """Registers the platform `mps`. JAX calls this; calling it again, at any time, is harmless.

    Raises nothing: on a machine where the library does not load, JAX's other platforms work, a
    warning says why this one does not, and asking for `mps` fails with the same words.
    """
    if state.done:
        return
    state.done = True
    state.clashes = clashes.find_clashes()
    for clash in state.clashes:
        logger.warning("%s", clash)
    try:
        compat.check_version()
        state.library = locate.find_library()
        register(state.library)
    except Exception as error:
        state.error = str(error)
        logger.warning("the platform 'mps' is not available: %s", error)
        register_failure(state.error)
        return
    state.hooks = hooks.apply()


def register(library: pathlib.Path) -> None:
    from jax._src import xla_bridge
    from jax._src.lib import xla_client

    priority = PRIORITY_GPU if locate.is_apple_gpu(library) else PRIORITY_CPU
    options = compat.LazyOptions(client_options)
    if not xla_client.pjrt_plugin_loaded(PLATFORM):
        xla_bridge.register_plugin(
            PLATFORM, priority=priority, library_path=str(library), options=options
        )
        return
    # Another plugin came first and jaxlib keeps its library for good: ours gets a key of its own,
    # and the platform's name goes to it.
    c_api = xla_client.load_pjrt_plugin_dynamically(SECOND_KEY, str(library))
    factory = functools.partial(compat.make_client, SECOND_KEY, options)
    xla_bridge.register_backend_factory(PLATFORM, factory, priority=priority, c_api=c_api)


def register_failure(reason: str) -> None:
    """Leaves a platform that says why it is not there, instead of JAX's `unknown backend`."""
    try:
        from jax._src import xla_bridge

        def fail() -> Any:
            raise RuntimeError(reason)

        if PLATFORM not in xla_bridge._backend_factories:
            xla_bridge.register_backend_factory(PLATFORM, fail, priority=-1, fail_quietly=True)
    except Exception as error:
        logger.debug("cannot register the reason either: %s", error)
