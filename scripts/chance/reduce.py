# SPDX-License-Identifier: Apache-2.0
"""A failing program made small: steps become inputs with their values or vanish, wrappers, outputs
and bodies' steps go, as long as it still fails."""

from __future__ import annotations

import copy
import dataclasses
import time
from typing import Callable, Iterator

import jax
import numpy as np

from chance.generate import precision
from chance.program import Context, Input, Program, Step, prune, run_steps


def all_values(program: Program) -> list[np.ndarray]:
    with precision(program.x64):
        inputs = [spec.values() for spec in program.inputs]
        f = jax.jit(lambda *xs: run_steps(program.steps, list(xs), Context()))
        return [np.asarray(x) for x in f(*inputs)]


def with_value(program: Program, i: int, value: np.ndarray) -> Program:
    """The result of step i is an input."""
    n = len(program.inputs)
    move = lambda v: n if v == n + i else v + 1 if v >= n else v  # noqa: E731
    steps = [dataclasses.replace(s, args=tuple(move(a) for a in s.args)) for s in program.steps]
    spec = Input(value.shape, str(value.dtype), "data", 0, value)
    outputs = tuple(move(o) for o in program.outputs)
    return prune(
        dataclasses.replace(program, inputs=[*program.inputs, spec], steps=steps, outputs=outputs)
    )


def instead(steps: list[Step], n: int, i: int, other: int) -> list[Step]:
    """Everybody who used value n + i uses the other one."""
    return [
        dataclasses.replace(s, args=tuple(other if a == n + i else a for a in s.args))
        for s in steps
    ]


def smaller_bodies(step: Step) -> Iterator[Step]:
    """Bodies in which a step but the last is skipped. It stays, unused: JAX drops it."""
    for b, body in enumerate(step.bodies):
        n = step.params["takes"]
        for i in range(len(body) - 1):
            for other in body[i].args:
                before = body[other - n] if other >= n else None
                if before and (before.dtype, before.shape) != (body[i].dtype, body[i].shape):
                    continue
                bodies = list(step.bodies)
                bodies[b] = instead(body, n, i, other)
                if bodies[b] != body:
                    yield dataclasses.replace(step, bodies=tuple(bodies))


def candidates(program: Program) -> Iterator[Program]:
    n = len(program.inputs)
    for o in program.outputs:
        if len(program.outputs) > 1:
            yield prune(dataclasses.replace(program, outputs=(o,)))
        if o >= n:  # what it is made of may be wrong already
            for a in program.steps[o - n].args:
                if a >= n:
                    yield prune(dataclasses.replace(program, outputs=(a,)))
    for wrapper in program.wrappers:
        yield dataclasses.replace(
            program, wrappers=tuple(w for w in program.wrappers if w != wrapper)
        )
    if not program.wrappers:
        values = all_values(program)
        for i in range(len(program.steps)):
            if n + i not in program.outputs:
                yield with_value(program, i, values[n + i])
        for i, step in enumerate(program.steps):
            for a in step.args:
                if values[a].shape == step.shape and str(values[a].dtype) == step.dtype:
                    outputs = tuple(a if o == n + i else o for o in program.outputs)
                    steps = instead(program.steps, n, i, a)
                    yield prune(dataclasses.replace(program, steps=steps, outputs=outputs))
    for i, step in enumerate(program.steps):
        for smaller in smaller_bodies(step):
            yield dataclasses.replace(
                program, steps=[*program.steps[:i], smaller, *program.steps[i + 1 :]]
            )
    for i, spec in enumerate(program.inputs):
        if spec.data is not None and spec.data.size and spec.data.any():
            for value in (np.zeros_like(spec.data), np.ones_like(spec.data)):
                if not np.array_equal(value, spec.data):
                    inputs = list(program.inputs)
                    inputs[i] = dataclasses.replace(spec, data=value)
                    yield dataclasses.replace(program, inputs=inputs)


def reduce(program: Program, fails: Callable[[Program], bool], seconds: float) -> Program:
    end = time.monotonic() + seconds
    best = prune(copy.deepcopy(program))
    if not fails(best):
        return program
    progress = True
    while progress:
        progress = False
        for smaller in candidates(best):
            if time.monotonic() > end:
                return best
            if fails(smaller):
                best, progress = smaller, True
                break
    return best
