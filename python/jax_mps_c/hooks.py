# SPDX-License-Identifier: Apache-2.0
"""Every private part of JAX that this package changes, a row each.

JAX decides a few things by a platform's name, from lists that know no plugin. A row adds ours. A row
that finds JAX changed does nothing and says so: the feature is lost, nothing else. JAX_MPS_HOOKS=0
leaves all of them out, a comma-separated list of names those rows.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import types
from typing import Any, Callable

logger = logging.getLogger("jax_mps_c")

PLATFORM = "mps"
VARIABLE = "JAX_MPS_HOOKS"


@dataclasses.dataclass(frozen=True)
class Hook:
    name: str
    touches: str
    versions: str  # of jax, where it was tried
    reason: str
    apply: Callable[[], None]  # raises where JAX is not as expected


@dataclasses.dataclass(frozen=True)
class Outcome:
    hook: Hook
    result: str  # "on", "off", or what JAX lacks


def allow_donation() -> None:
    from jax._src.interpreters import mlir

    if PLATFORM not in mlir._platforms_with_donation:
        mlir._platforms_with_donation.append(PLATFORM)


def allow_compilation_cache() -> None:
    from jax._src import compilation_cache

    original = compilation_cache.is_cache_used

    @functools.wraps(original)
    def is_cache_used(backend: Any) -> bool:
        # The list of platforms is inside the function, which asks the backend for nothing else.
        if backend.platform == PLATFORM:
            serializes = getattr(backend, "supports_executable_serialization", True)
            backend = types.SimpleNamespace(
                platform="cpu", supports_executable_serialization=serializes
            )
        return original(backend)

    if not hasattr(original, "__wrapped__"):
        compilation_cache.is_cache_used = is_cache_used


def soften_registration() -> None:
    from jax._src import xla_bridge

    registration = xla_bridge._backend_factories[PLATFORM]

    def factory() -> Any:
        try:
            return registration.factory()
        except Exception as error:
            logger.warning("the platform 'mps' is not available: %s", error)
            raise

    xla_bridge._backend_factories[PLATFORM] = dataclasses.replace(
        registration, factory=factory, fail_quietly=True, experimental=False
    )


def register_lowerings() -> None:
    from jax_mps_c import lowerings

    lowerings.register()


def register_platform_branches() -> None:
    from jax_mps_c import lowerings

    lowerings.register_platform_branches()


def register_cpu_rules() -> None:
    from jax_mps_c import lowerings

    lowerings.register_cpu_rules()


def promise_targets() -> None:
    from jax._src.export import _export

    from jax_mps_c import lowerings

    _export._CUSTOM_CALL_TARGETS_GUARANTEED_STABLE.update(lowerings.STABLE_TARGETS)


def register_callbacks() -> None:
    from jax_mps_c import buffer_callbacks, callbacks

    callbacks.register()
    buffer_callbacks.register()


def register_partitioners() -> None:
    from jax_mps_c import partitioning

    partitioning.register()


def register_ffi() -> None:
    from jax_mps_c import ffi

    ffi.register()


def register_dlpack() -> None:
    from jax_mps_c import dlpack

    dlpack.register()


def register_pallas() -> None:
    from jax_mps_c import pallas

    pallas.register()


def explain_compiled() -> None:
    from jax._src import stages

    from jax_mps_c import explain

    original = stages.Executable.as_text

    @functools.wraps(original)
    def as_text(self: Any) -> str:
        return explain.program_text(
            self.xla_extension_executable(), functools.partial(original, self)
        )

    if not hasattr(original, "__wrapped__"):
        stages.Executable.as_text = as_text


HOOKS = (
    Hook(
        "donation",
        "jax._src.interpreters.mlir._platforms_with_donation",
        "0.4.38 - 0.12.0.1",
        "donate_argnums is dropped with a warning on platforms that are not in this list",
        allow_donation,
    ),
    Hook(
        "cache",
        "jax._src.compilation_cache.is_cache_used",
        "0.4.38 - 0.12.0.1",
        "the persistent compilation cache refuses platforms that are not in its list",
        allow_compilation_cache,
    ),
    Hook(
        "registration",
        "jax._src.xla_bridge._backend_factories",
        "0.4.38 - 0.12.0.1",
        "a plugin whose client cannot start stops every program, even those for the CPU; and JAX "
        "prints that the platform is experimental",
        soften_registration,
    ),
    Hook(
        "lowerings",
        "jax._src.lax.linalg, jax._src.lax.control_flow.loops",
        "0.4.38 - 0.12.0.1",
        "linear algebra has rules for named platforms alone, and long cumulative sums lose digits; "
        "lowerings.py is the table of ours",
        register_lowerings,
    ),
    Hook(
        "branches",
        "jax._src.lax.control_flow.conditionals.{platform_index_p,cond_p}",
        "0.4.38 - 0.12.0.1",
        "lax.platform_dependent without a default is an error on a platform that it does not name, "
        "though it names the CPU",
        register_platform_branches,
    ),
    Hook(
        "cpu_rules",
        "jax._src.interpreters.mlir._platform_specific_lowerings",
        "0.4.38 - 0.12.0.1",
        "JAX and libraries have primitives with a rule for the CPU alone, which is right here, too",
        register_cpu_rules,
    ),
    Hook(
        "export",
        "jax._src.export._export._CUSTOM_CALL_TARGETS_GUARANTEED_STABLE",
        "0.4.38 - 0.12.0.1",
        "a program is not serialized with custom calls that are not in this list; ours are promised "
        "(docs/EXPORT.md)",
        promise_targets,
    ),
    Hook(
        "callbacks",
        "jax._src.callback.{emit_python_callback,xb}, jax._src.debugging.xla_bridge, "
        "jax._src.interpreters.pxla.ExecuteReplicated, jax._src.buffer_callback",
        "0.4.38 - 0.12.0.1",
        "callbacks, debug prints and checks are lowered for named platforms alone, and their "
        "arguments want a cpu device, which JAX_PLATFORMS=mps has not",
        register_callbacks,
    ),
    Hook(
        "partitioners",
        "jax._src.custom_partitioning._custom_partitioning_*, jax._src.debugging.inspect_sharding_p",
        "0.10.2 - 0.12.0.1",
        "JAX gives partitioners of its calls to every plugin, but their modules in a form that MLIR "
        "alone reads; and writes the address of a callback into the program",
        register_partitioners,
    ),
    Hook(
        "ffi",
        "jaxlib.xla_client.{register_custom_call_handler,_custom_callback}, jax._src.ffi.ffi_call_p",
        "0.4.38 - 0.12.0.1",
        "jaxlib keeps handlers for jax.ffi by the platform's name and has no table for ours; those of "
        "the CPU serve us too; calls that order futures have no form that we could read",
        register_ffi,
    ),
    Hook(
        "dlpack",
        "jax._src.dlpack.{xla_bridge,to_dlpack,from_dlpack}, Array.__dlpack_device__",
        "0.10.2",
        "arrays of platforms that jaxlib does not know can't be packed, and host memory lands on cpu",
        register_dlpack,
    ),
    Hook(
        "pallas",
        "jax._src.pallas.pallas_call._pallas_call_lowering, when it is imported",
        "0.4.38 - 0.12.0.1",
        "kernels are lowered for named platforms alone, and interpreted only where the caller says so",
        register_pallas,
    ),
    Hook(
        "text",
        "jax._src.stages.Executable.as_text",
        "0.4.38 - 0.12.0.1",
        "compiled.as_text() shows the program as it came, converted to HLO; the plan that is run "
        "stands behind it, as comments; of several devices, what one of them runs",
        explain_compiled,
    ),
)


def apply() -> list[Outcome]:
    """Applies the table, once. Never raises."""
    left_out = {word.strip() for word in os.environ.get(VARIABLE, "").split(",")}
    outcomes = []
    for hook in HOOKS:
        result = "on"
        if left_out & {"0", hook.name}:
            result = f"off ({VARIABLE})"
        else:
            try:
                hook.apply()
            except Exception as error:
                result = f"not applied, this jax differs ({type(error).__name__}: {error})"
                logger.debug("hook %s: %s", hook.name, result)
        outcomes.append(Outcome(hook, result))
    return outcomes
