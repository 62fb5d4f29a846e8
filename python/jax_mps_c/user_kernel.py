# SPDX-License-Identifier: Apache-2.0
"""Kernels that users write in Metal or CUDA, as functions of JAX.

A kernel is one primitive. On platform `mps` it becomes the custom call `mps.kernel.v1`, or with a
reference the composite `mps.kernel`, whose decomposition is the reference (docs/EXPORT.md): the
library launches the source where the device has one, and runs the reference where it has none.
Under vmap the examples of a batch become one launch (user_kernel_batch.py).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jax_mps_c import compat, user_kernel_batch

TARGET = "mps.kernel.v1"
COMPOSITE = "mps.kernel"
LANGUAGES = ("metal", "cuda")
MOST_BUFFERS = 31  # of a kernel: Metal's limit; src/engine/user_kernel.h has the same
MOST_THREADS = 1024  # of a group
MOST_GRID = 2**31 - 1
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclasses.dataclass(frozen=True)
class Spec:
    """A kernel, as the parameter of its primitive: equal ones are compiled once."""

    name: str
    sources: tuple[tuple[str, str], ...]  # by language
    headers: tuple[tuple[str, str], ...]
    inputs: tuple[str, ...] | None  # names; None: in0, in1, ...
    outputs: tuple[str, ...]
    grid: tuple[int, int, int]  # threads
    group: tuple[int, int, int]
    results: tuple[tuple[tuple[int, ...], Any], ...]  # shape and dtype of each
    reference: Callable[..., Sequence[Any]] | None  # of flat lists
    # Of a kernel that user_kernel_batch.extend made: from which one, for how many examples, and
    # which operands have a dimension for them.
    base: Spec | None = None
    examples: int = 1
    batched: tuple[bool, ...] = ()

    def input_names(self, n: int) -> tuple[str, ...]:
        return self.inputs if self.inputs is not None else tuple(f"in{i}" for i in range(n))

    def attributes(self, n_inputs: int) -> dict[str, Any]:
        """The configuration of the custom call."""
        extents = [("grid", self.grid), ("group", self.group)]
        return {
            "name": self.name,
            **dict(self.sources),
            **{f"{language}_header": text for language, text in self.headers},
            "in": ",".join(self.input_names(n_inputs)),
            "out": ",".join(self.outputs),
            **{f"{what}_{axis}": n for what, size in extents for axis, n in zip("xyz", size)},
        }


# -- the primitive


@functools.cache
def primitive() -> Any:
    from jax.extend import core
    from jax.interpreters import ad, batching, mlir, xla

    from jax_mps_c import registration

    compat.hide_frames(__file__)
    registration.initialize()  # a rule can't be registered for a platform that JAX does not know
    kernel_p = core.Primitive("mps_kernel")
    kernel_p.multiple_results = True
    kernel_p.def_impl(functools.partial(xla.apply_primitive, kernel_p))
    kernel_p.def_abstract_eval(abstract_eval)
    batching.primitive_batchers[kernel_p] = user_kernel_batch.batch
    ad.primitive_jvps[kernel_p] = differentiate
    mlir.register_lowering(kernel_p, lower_reference)
    compat.register_lowering(kernel_p, lower_kernel)
    return kernel_p


def bind(spec: Spec, *operands: Any) -> list[Any]:
    return primitive().bind(*operands, spec=spec)


def abstract_eval(*operands: Any, spec: Spec) -> list[Any]:
    from jax.core import ShapedArray

    if spec.inputs is not None and len(operands) != len(spec.inputs):
        raise TypeError(
            f"kernel {spec.name!r} takes {len(spec.inputs)} arrays ({', '.join(spec.inputs)}), "
            f"{len(operands)} were given"
        )
    if len(operands) + len(spec.outputs) > MOST_BUFFERS:
        raise ValueError(
            f"kernel {spec.name!r} has {len(operands)} operands and {len(spec.outputs)} results: "
            f"a GPU takes {MOST_BUFFERS} of both at most"
        )
    if spec.reference is not None:
        check_reference(spec, tuple((x.shape, x.dtype) for x in operands))
    return [ShapedArray(shape, dtype) for shape, dtype in spec.results]


@functools.lru_cache(maxsize=1024)
def check_reference(spec: Spec, operands: tuple[tuple[Any, Any], ...]) -> None:
    """The reference computes what the kernel says that it does, of its operands alone."""
    import jax

    traced = jax.make_jaxpr(spec.reference)(*(jax.ShapeDtypeStruct(*x) for x in operands))
    if traced.consts:
        raise ValueError(
            f"the reference of kernel {spec.name!r} uses arrays that are not its arguments: "
            "give them to the kernel as operands"
        )
    found = tuple((tuple(x.shape), x.dtype) for x in traced.out_avals)
    if found != spec.results:
        texts = [
            ", ".join(f"{dtype}[{','.join(map(str, shape))}]" for shape, dtype in types)
            for types in (found, spec.results)
        ]
        raise TypeError(
            f"the reference of kernel {spec.name!r} gives {texts[0] or 'nothing'}, "
            f"out_shape is {texts[1]}"
        )


def lower_reference(ctx: Any, *operands: Any, spec: Spec) -> Any:
    """On platforms other than ours."""
    from jax.interpreters import mlir

    if spec.reference is None:
        platforms = ", ".join(ctx.module_context.platforms)
        raise NotImplementedError(
            f"kernel {spec.name!r} runs on platform mps, not on {platforms}: give it a reference="
        )
    return mlir.lower_fun(spec.reference, multiple_results=True)(ctx, *operands)


def lower_kernel(ctx: Any, *operands: Any, spec: Spec) -> Any:
    from jax import lax
    from jax.interpreters import mlir

    attributes = spec.attributes(len(operands))
    if spec.reference is None:
        return compat.lower_call(ctx, TARGET, *operands, **attributes)[1]
    if not hasattr(lax, "composite"):
        raise NotImplementedError(f"kernel {spec.name!r}: a reference= needs jax 0.5 or newer")

    def decomposition(*arrays: Any, **_: Any) -> Sequence[Any]:
        return spec.reference(*arrays)

    def composite(*arrays: Any) -> Sequence[Any]:
        return lax.composite(decomposition, COMPOSITE, version=1)(*arrays, **attributes)

    return mlir.lower_fun(composite, multiple_results=True)(ctx, *operands)


def differentiate(primals: Any, tangents: Any, *, spec: Spec) -> Any:
    """The kernel's results, and the derivative of its reference."""
    import jax
    from jax.interpreters import ad

    if spec.reference is None:
        raise NotImplementedError(
            f"kernel {spec.name!r} has no derivative: give it a reference=, whose derivative is "
            "taken, or use jax.custom_vjp or jax.custom_jvp"
        )
    tangents = [ad.instantiate_zeros(t) for t in tangents]
    _, out = jax.jvp(spec.reference, tuple(primals), tuple(tangents))
    return bind(spec, *primals), list(out)


# -- what users call


def extent(name: str, what: str, size: int | Sequence[int]) -> tuple[int, int, int]:
    sizes = (size,) if isinstance(size, int) else tuple(operator.index(n) for n in size)
    if not 1 <= len(sizes) <= 3 or not all(1 <= n <= MOST_GRID for n in sizes):
        raise ValueError(f"kernel {name!r}: {what}={size!r} is not one to three positive integers")
    return (*sizes, 1, 1)[:3]


def texts(name: str, what: str, given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    for language, text in given.items():
        if language not in LANGUAGES:
            raise ValueError(
                f"kernel {name!r}: {what} for {language!r}; there are {', '.join(LANGUAGES)}"
            )
        if not isinstance(text, str) or not text.strip():
            raise TypeError(f"kernel {name!r}: the {what} for {language!r} is not text")
    return tuple(sorted(given.items()))


def check_names(name: str, given: Sequence[str]) -> tuple[str, ...]:
    for n in given:
        if not NAME.fullmatch(n) or n.startswith(user_kernel_batch.RESERVED):
            raise ValueError(f"kernel {name!r}: {n!r} cannot be the name of an array in its source")
    if len(set(given)) < len(given):
        raise ValueError(f"kernel {name!r}: two arrays have one name: {', '.join(given)}")
    return tuple(given)


def flat_reference(name: str, reference: Callable[..., Any], structure: Any) -> Callable[..., Any]:
    import jax

    @functools.wraps(reference)
    def flat(*arrays: Any) -> list[Any]:
        results, found = jax.tree.flatten(reference(*arrays))
        if found != structure:
            raise TypeError(
                f"the reference of kernel {name!r} gives {found}, out_shape is {structure}"
            )
        return results

    return flat


def kernel(
    name: str,
    source: Mapping[str, str],
    grid: int | Sequence[int],
    threadgroup: int | Sequence[int],
    out_shape: Any,
    *,
    in_names: Sequence[str] | None = None,
    out_names: Sequence[str] | None = None,
    header: Mapping[str, str] | None = None,
    reference: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """A function of arrays that runs a GPU kernel of your own, also under jit and vmap.

    name        an identifier, for messages
    source      {"metal": ..., "cuda": ...}, either or both: the body of a function, which reads
                from its arrays by pointers in0, in1, ... and writes all of out0, out1, ...; arrays
                are dense and row-major, each is a pointer, that of a scalar too. Otherwise it is what
                MLX's custom kernels take: in Metal thread_position_in_grid and the other
                attributes are there, in CUDA blockIdx and threadIdx.
    grid        threads of a launch: up to three numbers. CUDA launches whole groups: compare with
                the number of elements.
    threadgroup threads of a group; where it is larger than the grid, the grid counts
    out_shape   shapes and dtypes of the results: jax.ShapeDtypeStruct, or a tree of them
    in_names, out_names  what the source calls its arrays
    header      {"metal": ..., "cuda": ...}: what stands before the function
    reference   a function of JAX that computes the same. It runs where the device has no source
                (the CPU, other platforms), and its derivative is the kernel's. Without it such a
                device is an error, and so is a derivative.

    The source must not write to its operands. A result that it leaves unwritten has any value.
    """
    import jax

    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a kernel: an identifier")
    if not source:
        raise ValueError(f"kernel {name!r} has no source: {', '.join(LANGUAGES)}")
    leaves, structure = jax.tree.flatten(out_shape)
    if not leaves:
        raise ValueError(f"kernel {name!r} has no results")
    outputs = check_names(name, out_names or [f"out{i}" for i in range(len(leaves))])
    if len(outputs) != len(leaves):
        raise ValueError(f"kernel {name!r}: {len(outputs)} out_names for {len(leaves)} results")
    inputs = None if in_names is None else check_names(name, in_names)
    check_names(name, [*(inputs or ()), *outputs])
    size = extent(name, "grid", grid)
    group = tuple(map(min, extent(name, "threadgroup", threadgroup), size))
    if math.prod(group) > MOST_THREADS:
        raise ValueError(
            f"kernel {name!r}: a threadgroup of {math.prod(group)} threads, GPUs have {MOST_THREADS}"
        )
    spec = Spec(
        name=name,
        sources=texts(name, "source", source),
        headers=texts(name, "header", header or {}),
        inputs=inputs,
        outputs=outputs,
        grid=size,
        group=group,
        results=tuple((tuple(x.shape), jax.dtypes.canonicalize_dtype(x.dtype)) for x in leaves),
        reference=reference and flat_reference(name, reference, structure),
    )

    def call(*arrays: Any) -> Any:
        return jax.tree.unflatten(structure, bind(spec, *map(jax.numpy.asarray, arrays)))

    call.__name__ = call.__qualname__ = name
    return call
