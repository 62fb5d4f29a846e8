# SPDX-License-Identifier: Apache-2.0
"""vmap of users' kernels: one launch for all examples of a batch.

The grid of one example is repeated along z. Code before the body finds a thread's example by the
place of its group, moves the pointers of batched arrays there, and gives the names of positions
(thread_position_in_grid, blockIdx, ...) the values that they have in a launch of one example. A
body that asks for the whole grid in other words, or groups that reach over two examples, are run
example by example.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jax_mps_c.user_kernel import Spec

RESERVED = "jm_"  # what names in the code before a body begin with
MOST_Z = 65535  # groups along z: CUDA's limit


@dataclasses.dataclass(frozen=True)
class Language:
    example: str  # the number of a thread's example
    positions: dict[str, str]  # what depends on z, and its value for one example
    shapes: dict[str, str]  # what MLX adds to the name of an array, and its value for one example
    opaque: str  # words that tell of the whole grid and can't be replaced; empty: none
    opaque_header: str  # the same of a header, which the code before a body can't change


# {at}: the word itself, {array}: the array with its batch; threads and groups of one example, on z.
LANGUAGES = {
    "metal": Language(
        example="threadgroup_position_in_grid.z / {groups}u",
        positions={
            "thread_position_in_grid": "uint3({at}.xy, {at}.z % {threads}u)",
            "threadgroup_position_in_grid": "uint3({at}.xy, {at}.z % {groups}u)",
            "threads_per_grid": "uint3({at}.xy, {threads}u)",
            "threadgroups_per_grid": "uint3({at}.xy, {groups}u)",
        },
        shapes={
            "shape": "{array}_shape + 1",
            "strides": "{array}_strides + 1",
            "ndim": "{array}_ndim - 1",
        },
        opaque=r"grid_size|grid_origin",
        opaque_header="",
    ),
    "cuda": Language(
        example="blockIdx.z / {groups}u",
        positions={
            "blockIdx": "make_uint3({at}.x, {at}.y, {at}.z % {groups}u)",
            "gridDim": "dim3({at}.x, {at}.y, {groups}u)",
        },
        shapes={},
        opaque=r"cooperative_groups|this_grid|cg|asm|\w+_(shape|strides|ndim)",
        opaque_header=r"cooperative_groups|this_grid|blockIdx|gridDim|asm",
    ),
}


def has_word(text: str, pattern: str) -> bool:
    return bool(pattern) and re.search(rf"\b({pattern})\b", text) is not None


def extend_body(
    language: Language, body: str, arrays: Sequence[tuple[str, int]], threads: int, groups: int
) -> str:
    """`arrays`: those with a batch, and the elements of one example."""
    sizes = {"threads": threads, "groups": groups}
    lines = [f"const unsigned int jm_example = {language.example.format(**sizes)};"]
    used = [word for word in language.positions if has_word(body, word)]
    for word in used:
        value = language.positions[word].format(at=word, **sizes)
        lines.append(f"const auto jm_{word} = {value};")
    lines += [f"#define {word} jm_{word}" for word in used]
    for name, count in arrays:
        lines.append(f"auto {name} = jm_all_{name} + (size_t)jm_example * {count};")
        for suffix, value in language.shapes.items():
            if has_word(body, f"{name}_{suffix}"):
                lines.append(f"auto {name}_{suffix} = {value.format(array=f'jm_all_{name}')};")
    return "\n".join([*lines, body, *(f"#undef {word}" for word in used), ""])


@functools.lru_cache(maxsize=1024)
def extend(
    spec: Spec, examples: int, batched: tuple[bool, ...], counts: tuple[int, ...]
) -> Spec | None:
    """The kernel of so many examples; None: they have to run one by one. `counts`: the elements of
    one example of each operand."""
    import jax

    groups = spec.grid[2] // spec.group[2]
    if not examples or spec.grid[2] % spec.group[2] or groups * examples > MOST_Z:
        return None
    names = spec.input_names(len(batched))
    arrays = [(name, n) for name, n, has in zip(names, counts, batched) if has]
    arrays += [(name, math.prod(shape)) for name, (shape, _) in zip(spec.outputs, spec.results)]
    sources, headers = [], dict(spec.headers)
    for name, body in spec.sources:
        language = LANGUAGES[name]
        if has_word(body, language.opaque) or has_word(
            headers.get(name, ""), language.opaque_header
        ):
            return None
        sources.append((name, extend_body(language, body, arrays, spec.grid[2], groups)))
    axes = [0 if has else None for has in batched]
    return dataclasses.replace(
        spec,
        sources=tuple(sources),
        inputs=tuple(f"jm_all_{name}" if has else name for name, has in zip(names, batched)),
        outputs=tuple(f"jm_all_{name}" for name in spec.outputs),
        grid=(*spec.grid[:2], spec.grid[2] * examples),
        results=tuple(((examples, *shape), dtype) for shape, dtype in spec.results),
        reference=spec.reference and jax.vmap(spec.reference, in_axes=axes, axis_size=examples),
        base=spec,
        examples=examples,
        batched=batched,
    )


def run_all(spec: Spec, operands: Sequence[Any], batched: Sequence[bool], n: int) -> Any:
    """The results of n examples in one launch; None: it can't be one. `operands`: those with a
    batch have it in front."""
    from jax_mps_c import user_kernel

    counts = tuple(math.prod(x.shape[1:] if has else x.shape) for x, has in zip(operands, batched))
    extended = extend(spec, n, tuple(batched), counts)
    return extended and user_kernel.bind(extended, *operands)


def run_nested(spec: Spec, operands: Sequence[Any], batched: Sequence[bool], n: int) -> Any:
    """The same of a kernel that has examples already, which are those of one outer example: both
    are counted as one."""
    import jax.numpy as jnp

    flat = []
    for x, inner, outer in zip(operands, spec.batched, batched):
        if inner or outer:
            x = x if outer else x[None]
            x = x if inner else x[:, None]
            shape = x.shape[2:]
            x = jnp.broadcast_to(x, (n, spec.examples, *shape))
            x = x.reshape(n * spec.examples, *shape)
        flat.append(x)
    has = [a or b for a, b in zip(spec.batched, batched)]
    results = run_all(spec.base, flat, has, n * spec.examples)
    return results and [r.reshape(n, spec.examples, *r.shape[1:]) for r in results]


def run_each(spec: Spec, operands: Sequence[Any], batched: Sequence[bool]) -> Any:
    from jax import lax

    from jax_mps_c import user_kernel

    def one(given: Sequence[Any]) -> Any:
        given = iter(given)
        return user_kernel.bind(spec, *(next(given) if b else x for x, b in zip(operands, batched)))

    return lax.map(one, [x for x, has in zip(operands, batched) if has])


def batch(operands: Sequence[Any], dims: Sequence[Any], *, spec: Spec) -> Any:
    """The primitive's rule."""
    import jax.numpy as jnp

    batched = [d is not None for d in dims]
    operands = [jnp.moveaxis(x, d, 0) if has else x for x, d, has in zip(operands, dims, batched)]
    n = next(x.shape[0] for x, has in zip(operands, batched) if has)
    run = run_nested if spec.base else run_all
    results = run(spec, operands, batched, n) or run_each(spec, operands, batched)
    return results, [0] * len(results)
