# SPDX-License-Identifier: Apache-2.0
"""The grid of a Pallas kernel as a batch and a loop.

Along an independent axis of the grid each iteration writes blocks of its own, and what it reads is
either the same for all or a block of its own: `(i, k) -> (i, 0)` for a matrix cut into rows of
blocks. Then

    for i: for k: kernel(x[i, k], o[i])     becomes     vmap(x, o: for k: kernel(x[k], o))

where the array's blocks along the axis are the batch. The grid keeps the axis with size 1, and the
kernel is told its real index. The other axes are a loop, in the grid's order, over outputs and
scratch memory; inputs stay outside of it. Kernels for which that would not do (aliased or written
inputs, blocks that overlap, a grid whose size is computed) are left to Pallas' own interpretation.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Iterator, Sequence
from typing import Any

# A batch has as many copies of a kernel's temporaries as it has iterations: at most so many bytes
# of the largest one.
MOST_BYTES = 64 << 20
# What is passed to an interpretation, in the versions of jax that this one was written for.
PARAMETERS = (
    "jaxpr debug input_output_aliases grid_mapping mesh compiler_params cost_estimate out_avals "
    "metadata name"
).split()


def takes(params: dict[str, Any]) -> bool:
    """Is the kernel one that `run` interprets? Of a jax that is not as expected none is."""
    try:
        from jax._src.pallas import core, hlo_interpreter
    except ImportError:  # before 0.5
        return False
    known = inspect.signature(hlo_interpreter.pallas_call_hlo_interpret).parameters
    if set(params) != set(PARAMETERS) or set(known) != {"args", *PARAMETERS}:
        return False
    mapping = params["grid_mapping"]
    return (
        not params["input_output_aliases"]
        and not params["debug"]
        and mapping.local_grid_env is None
        and all(isinstance(size, int) and size > 0 for size in mapping.grid)
        and all(
            isinstance(dim, (core.Blocked, core.Squeezed))
            for block in mapping.block_mappings
            for dim in block.block_shape
        )
        and _writes_outputs_alone(params["jaxpr"], mapping)
    )


def find_axes(params: dict[str, Any]) -> tuple[int, ...]:
    """The axes of the grid that become a batch."""
    axes, left = [], MOST_BYTES // max(_largest_bytes(params["jaxpr"]), 1)
    for axis, size in enumerate(params["grid_mapping"].grid):
        if 1 < size <= left and _is_independent(axis, params):
            axes.append(axis)
            left //= size
    return tuple(axes)


def run(*operands: Any, **params: Any) -> list[Any]:
    """The outputs of a kernel that `takes` is true of."""
    return _batch(operands, find_axes(params), {}, params["grid_mapping"], params["jaxpr"])


# -- the batch


def _batch(
    operands: Sequence[Any],
    axes: tuple[int, ...],
    indices: dict[int, tuple[Any, int]],  # of the axes that are in the batch: index and size
    mapping: Any,
    kernel: Any,
) -> list[Any]:
    import jax
    import jax.numpy as jnp

    if not axes:
        return _loop(operands, indices, mapping, kernel)
    axis, size = axes[0], mapping.grid[axes[0]]
    places = [_place(block, axis) for block in mapping.block_mappings]
    dims = [None] * mapping.num_index_operands + places[: mapping.num_inputs]
    parts = [
        x if dim is None else x.reshape(*x.shape[:dim], size, -1, *x.shape[dim + 1 :])
        for x, dim in zip(operands, dims, strict=True)
    ]
    smaller = dataclasses.replace(
        mapping,
        grid=(*mapping.grid[:axis], 1, *mapping.grid[axis + 1 :]),
        block_mappings=tuple(
            block if dim is None else _cut(block, dim, size)
            for block, dim in zip(mapping.block_mappings, places, strict=True)
        ),
    )

    def iteration(index: Any, *blocks: Any) -> list[Any]:
        return _batch(blocks, axes[1:], indices | {axis: (index, size)}, smaller, kernel)

    out_dims = places[mapping.num_inputs :]
    outs = jax.vmap(iteration, in_axes=(0, *dims), out_axes=out_dims)(
        jnp.arange(size, dtype=jnp.int32), *parts
    )
    return [
        out.reshape(*out.shape[:dim], -1, *out.shape[dim + 2 :])
        for out, dim in zip(outs, out_dims, strict=True)
    ]


def _cut(block: Any, dim: int, size: int) -> Any:
    """The mapping of one iteration's part of an array."""
    shape = block.array_aval.shape
    part = (*shape[:dim], shape[dim] // size, *shape[dim + 1 :])
    return block.replace(array_aval=block.array_aval.update(shape=part))


# -- the loop


def _loop(
    operands: Sequence[Any], indices: dict[int, tuple[Any, int]], mapping: Any, kernel: Any
) -> list[Any]:
    import jax
    import jax.numpy as jnp
    from jax._src.pallas import hlo_interpreter, primitives

    body, constants, scratch_avals = hlo_interpreter.kernel_to_hlo_jaxpr(kernel, (), mapping)
    scalars = operands[: mapping.num_index_operands]
    of_inputs = mapping.block_mappings[: mapping.num_inputs]
    of_outputs = mapping.block_mappings[mapping.num_inputs :]
    inputs = [_pad(x, block) for x, block in zip(operands[len(scalars) :], of_inputs, strict=True)]

    def make(shape: Sequence[int], dtype: Any) -> Any:
        return primitives.uninitialized_value(tuple(shape), dtype)

    outs = [_pad(make(b.array_aval.shape, b.array_aval.dtype), b) for b in of_outputs]
    scratch = [make(aval.shape, aval.dtype) for aval in scratch_avals]

    def step(position: Sequence[Any], outs: Sequence[Any], scratch: Sequence[Any]) -> Any:
        starts = _find_starts(position, indices, mapping, scalars)
        with _environment(position, indices, mapping):
            blocks = [
                _read(x, start, block)
                for x, start, block in zip(
                    [*inputs, *outs], starts, mapping.block_mappings, strict=True
                )
            ]
            results = jax.core.eval_jaxpr(body, constants, *scalars, *blocks, *scratch)
        results = results[len(scalars) + len(inputs) :]
        outs = [
            _write(x, result, start, block)
            for x, result, start, block in zip(
                outs, results, starts[len(inputs) :], of_outputs, strict=False
            )
        ]
        return outs, results[len(outs) :]

    if math.prod(mapping.grid) == 1:
        outs, _ = step([jnp.int32(0)] * len(mapping.grid), outs, scratch)
    else:

        def iteration(number: Any, carry: Any) -> Any:
            return step(_unravel(number, mapping.grid), *carry)

        total = math.prod(mapping.grid)
        outs, _ = jax.lax.fori_loop(0, total, iteration, (outs, scratch))
    return [
        jax.lax.slice(out, (0,) * out.ndim, block.array_aval.shape)
        for out, block in zip(outs, of_outputs, strict=True)
    ]


def _unravel(number: Any, grid: Sequence[int]) -> list[Any]:
    """The indices of an iteration, the last axis fastest."""
    import jax.numpy as jnp

    position, left = [], jnp.int32(number)
    for size in reversed(grid):
        position.insert(0, left % size)
        left = left // size
    return position


def _environment(position: Sequence[Any], indices: dict[int, tuple[Any, int]], mapping: Any) -> Any:
    """What the kernel is told of the grid: the real index and size of an axis in the batch."""
    from jax._src.pallas import core

    return core.grid_env(
        tuple(
            core.GridAxis(*indices.get(axis, (position[axis], size)))
            for axis, size in enumerate(mapping.grid)
            if axis not in mapping.vmapped_dims
        )
    )


def _find_starts(
    position: Sequence[Any], indices: dict[int, tuple[Any, int]], mapping: Any, scalars: Any
) -> list[Any]:
    with _environment(position, indices, mapping):
        return [
            block.compute_start_indices_interpret(position, *scalars)
            for block in mapping.block_mappings
        ]


def _lengths(block: Any) -> tuple[int, ...]:
    return tuple(getattr(dim, "block_size", 1) for dim in block.block_shape)


def _squeezed(block: Any) -> tuple[int, ...]:
    from jax._src.pallas import core

    return tuple(d for d, dim in enumerate(block.block_shape) if isinstance(dim, core.Squeezed))


def _pad(x: Any, block: Any) -> Any:
    """Up to whole blocks, with what Pallas fills memory that nobody wrote."""
    import jax
    from jax._src.pallas import primitives

    missing = [-size % length for size, length in zip(x.shape, _lengths(block), strict=True)]
    if not any(missing):
        return x
    filler = primitives.uninitialized_value((), x.dtype)
    return jax.lax.pad(x, filler, [(0, n, 0) for n in missing])


def _read(x: Any, start: Sequence[Any], block: Any) -> Any:
    import jax

    lengths = _lengths(block)
    if x.shape != lengths:
        x = jax.lax.dynamic_slice(x, start, lengths)
    return jax.lax.squeeze(x, _squeezed(block))


def _write(x: Any, value: Any, start: Sequence[Any], block: Any) -> Any:
    import jax

    value = jax.lax.expand_dims(value, _squeezed(block))
    return value if x.shape == value.shape else jax.lax.dynamic_update_slice(x, value, start)


# -- what is independent


def _is_independent(axis: int, params: dict[str, Any]) -> bool:
    mapping = params["grid_mapping"]
    semantics = getattr(params["compiler_params"], "dimension_semantics", None)
    if mapping.scratch_avals and not _is_declared_parallel(semantics, axis, len(mapping.grid)):
        return False  # scratch memory may hand values from an iteration to the next
    for number, block in enumerate(mapping.block_mappings):
        if not _is_own_or_shared(block, axis, mapping.grid[axis]):
            return False
        if number >= mapping.num_inputs and _place(block, axis) is None:
            return False  # all iterations write to the same block
    return True


def _is_declared_parallel(semantics: Any, axis: int, rank: int) -> bool:
    if semantics is None or len(semantics) != rank:
        return False
    return str(getattr(semantics[axis], "value", semantics[axis])).lower() == "parallel"


def _place(block: Any, axis: int) -> int | None:
    """The dimension of the array whose block is the axis' index; None: the index is not used."""
    jaxpr = block.index_map_jaxpr.jaxpr
    found = [d for d, atom in enumerate(jaxpr.outvars) if atom is jaxpr.invars[axis]]
    return found[0] if found else None


def _is_own_or_shared(block: Any, axis: int, size: int) -> bool:
    """Is the index not used, or the index of a block and nothing else?"""
    from jax._src.pallas import core

    jaxpr = block.index_map_jaxpr.jaxpr
    index = jaxpr.invars[axis]
    if any(atom is index for eqn in jaxpr.eqns for atom in eqn.invars):
        return False
    uses = sum(atom is index for atom in jaxpr.outvars)
    if uses != 1:
        return uses == 0
    dim = _place(block, axis)
    match block.block_shape[dim]:
        case core.Blocked(length):
            pass
        case core.Squeezed():
            length = 1
        case _:  # elements from any place on: blocks may overlap
            return False
    return block.array_aval.shape[dim] == size * length


def _writes_outputs_alone(jaxpr: Any, mapping: Any) -> bool:
    """No effects but those on references, and none of those changes an input."""
    from jax._src.state import types

    first = mapping.num_index_operands + mapping.num_inputs
    writable = {id(var) for var in jaxpr.invars[first:]}
    return all(
        isinstance(effect, types.ReadEffect)
        or (isinstance(effect, types.RefEffect) and id(effect.input) in writable)
        for effect in jaxpr.effects
    )


def _largest_bytes(jaxpr: Any) -> int:
    """Of the largest value that the kernel computes."""
    from jax._src import core

    sizes = [0]
    for inner in (jaxpr, *_subjaxprs(core, jaxpr)):
        for eqn in inner.eqns:
            for var in eqn.outvars:
                shape, dtype = getattr(var.aval, "shape", ()), getattr(var.aval, "dtype", None)
                sizes.append(math.prod(shape) * getattr(dtype, "itemsize", 4))
    return max(sizes)


def _subjaxprs(core: Any, jaxpr: Any) -> Iterator[Any]:
    for inner in core.subjaxprs(jaxpr):
        yield inner
        yield from _subjaxprs(core, inner)
