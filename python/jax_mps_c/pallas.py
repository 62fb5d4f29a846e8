# SPDX-License-Identifier: Apache-2.0
"""Pallas kernels: `pl.pallas_call` without `interpret=True`.

Pallas lowers a kernel for the TPU or for GPUs by name. For every platform it can interpret one: as
a loop over the grid that cuts the blocks out of the arrays, runs the kernel's body on them as
ordinary JAX, and writes them back. That is a program like any other, and the plugin compiles it.
Most kernels go a shorter way, with independent iterations as a batch: pallas_grid.py.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import logging
import sys
import types
from collections.abc import Sequence
from typing import Any

logger = logging.getLogger("jax_mps_c")

MODULE = "jax._src.pallas.pallas_call"


def register() -> None:
    """Now, if Pallas has been imported, else when it is: most programs never need it."""
    if MODULE in sys.modules:
        register_lowering(sys.modules[MODULE])
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def register_lowering(pallas_call: Any) -> None:
    from jax._src.interpreters import mlir

    from jax_mps_c import compat, pallas_grid

    # Nothing is raised here: it would break the import of Pallas for every platform.
    original = getattr(pallas_call, "_pallas_call_lowering", None)
    if original is None:
        logger.warning("pl.pallas_call needs interpret=True on mps: this jax differs")
        return

    def rule(ctx: Any, *operands: Any, interpret: Any, **params: Any) -> Any:
        # Who asks for an interpreter (True, or that of the TPU with its parameters) is given it.
        if not interpret and not params["jaxpr"].constvars and pallas_grid.takes(params):
            run = functools.partial(pallas_grid.run, **params)
            return mlir.lower_fun(run, multiple_results=True)(ctx, *operands)
        return original(ctx, *operands, interpret=interpret or True, **params)

    compat.register_lowering(pallas_call.pallas_call_p, rule)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds Pallas as Python would, and registers the rule behind its import."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        self.loader.exec_module(module)
        register_lowering(module)
