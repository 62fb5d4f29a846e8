# SPDX-License-Identifier: Apache-2.0
"""What a row of the tables in `entries` says. How it is measured is none of its business."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

# In the order of printing. A group is a module of `entries` with the rows ENTRIES.
GROUPS = (
    *("kernels", "models", "loops", "linalg", "science", "dispatch", "compile", "start", "wide"),
    "sharded",
)
HEADLINE = ("kernels", "models", "loops")
DEVICES, AXIS = 8, "i"  # of an entry over several devices


@dataclasses.dataclass(frozen=True)
class Entry:
    """A JAX function and how to make inputs for it.

    inputs   numpy arrays, or trees of them, from a generator of random numbers
    rate     a factor to the tolerance of the results' types, where errors add up
    state    the first input is donated, and the first result takes its place in the next call
    jit      whether the function is one program; if not, it dispatches by itself
    host     the inputs stay numpy arrays: bringing them to the device is what is measured
    counted  whether the plugin's counters must show that it ran the program
    judge    what has to agree of (inputs, results), where the results themselves need not
    x64      with jax_enable_x64
    figure   the figure that stands for the entry: steady, compile (first call without tracing), or
             cached (the same in a process that finds the program in JAX's compilation cache)
    split    of the inputs: how they and the results are divided among DEVICES devices, as trees of
             PartitionSpec over AXIS; None: one device. The function runs where their mesh is set
    """

    name: str
    function: Callable[..., Any]
    inputs: Callable[[np.random.Generator], tuple]
    rate: float = 1.0
    state: bool = False
    jit: bool = True
    host: bool = False
    counted: bool = True
    judge: Callable[[tuple, Any], Any] | None = None
    x64: bool = False
    figure: str = "steady"
    split: Callable[[tuple], tuple[tuple, Any]] | None = None


def group(name: str) -> dict[str, Entry]:
    rows = importlib.import_module(f"benchmarks.entries.{name}").ENTRIES
    return {entry.name: entry for entry in rows}


def uniform(*shapes: tuple[int, ...], dtype: Any = np.float32) -> Callable:
    """Inputs between -1 and 1 of these shapes."""

    def make(random: np.random.Generator) -> tuple:
        wide = np.float64 if dtype == np.float64 else np.float32
        return tuple((random.random(s, dtype=wide) * 2 - 1).astype(dtype) for s in shapes)

    return make


def key(random: np.random.Generator) -> tuple:
    """The data of a key of jax.random."""
    return (random.integers(0, 2**32, 2, dtype=np.uint32),)
