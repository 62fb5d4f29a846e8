# SPDX-License-Identifier: Apache-2.0
"""Random programs. A seed makes the same program everywhere: only the standard library's random
numbers are used, and shapes are those that JAX infers."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
from collections.abc import Iterable
from typing import Any, Callable

import jax
import jax.numpy as jnp

from chance import ops  # fills OPS
from chance.program import (
    OPS,
    Context,
    Input,
    Program,
    Step,
    function_of,
    is_complex,
    is_float,
    is_inexact,
    prune,
)

DTYPES = {
    "float32": 8,
    "bfloat16": 3,
    "float16": 3,
    "int32": 4,
    "bool": 1,
    "int8": 1,
    "uint8": 1,
    "int16": 0.5,
    "uint16": 0.5,
    "uint32": 1,
    "complex64": 1,
    "int4": 0.4,
    "uint4": 0.4,
    "float8_e4m3fn": 0.4,
    "float8_e5m2": 0.4,
}
WIDE_DTYPES = {"float64": 6, "int64": 3, "uint64": 1, "complex128": 1}
NARROW = ("int4", "uint4", "float8_e4m3fn", "float8_e5m2")
# Of floats of 8 bits and integers of 4 JAX computes little else on every platform.
OF_NARROW = ("add", "sub", "mul")
# JAX's CPU backend counts the bits of an int4 extended to 8: 6 ones in -6.
NOT_OF_NARROW = ("population_count", "clz")
SIZES = (0, 1, 1, 2, 2, 3, 3, 4, 5, 7, 8, 9, 13, 15, 16, 17, 31, 32, 33, 63, 64, 65)
LONG = (127, 128, 129, 251, 255, 256, 257, 511, 513, 1021, 1024, 1025, 4093, 4097)
LARGE = ((1_000_003,), (1 << 20,), (1023, 1025), (4097, 255), (3, 333_333), (65_537, 16))
ELEMENTS, ELEMENTS_LARGE = 20_000, 1_300_000
TRIES = 40  # steps that are made up in vain before a program is called whole


@dataclasses.dataclass
class Known:
    shape: tuple[int, ...]
    dtype: str
    exact: bool

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class Generator:
    """The values so far and the steps that make them; for a body, those of the body."""

    def __init__(self, rng: random.Random, x64: bool, limit: int, finite: bool = False) -> None:
        """finite: real numbers alone, and no input of infinities, NaN and the largest numbers."""
        self.rng, self.x64, self.limit, self.finite = rng, x64, limit, finite
        self.inputs: list[Input] = []
        self.values: list[Known] = []
        self.steps: list[Step] = []

    # -- choices

    def dtype(self) -> str:
        table = DTYPES | (WIDE_DTYPES if self.x64 else {})
        if self.finite:
            table = {name: weight for name, weight in table.items() if not is_complex(name)}
        return self.rng.choices(list(table), list(table.values()))[0]

    def shape(self) -> tuple[int, ...]:
        rng = self.rng
        if self.limit > ELEMENTS:
            return rng.choice(LARGE)
        rank = rng.choices(range(7), (2, 5, 7, 5, 3, 1, 1))[0]
        while True:
            dims = [rng.choice(LONG if rng.random() < 0.12 else SIZES) for _ in range(rank)]
            if math.prod(max(d, 1) for d in dims) <= self.limit:
                return tuple(dims)

    def pick(self, wanted: Callable[[Known], bool] = lambda v: True) -> int:
        """A value, late ones rather than early ones. LookupError: none is like that."""
        found = [i for i, v in enumerate(self.values) if wanted(v)]
        if not found:
            raise LookupError
        return max(self.rng.choices(found, k=2))

    def axis(self, v: Known) -> int:
        if not v.shape:
            raise LookupError
        return self.rng.randrange(len(v.shape))

    def add_one_of(self, names: Iterable[str], args: tuple[int, ...]) -> int:
        """One of the ops that can be applied to these values."""
        names = list(names)
        for name in self.rng.sample(names, min(len(names), 8)):
            with contextlib.suppress(LookupError):
                return self.add(name, args)
        raise LookupError

    # -- growing

    def add_input(self, shape: tuple[int, ...], dtype: str) -> int:
        styles = {"plain": 5, "special": 2, "ties": 2, "positive": 2, "unit": 2}
        if self.finite:
            del styles["special"]
        style = self.rng.choices(list(styles), list(styles.values()))[0]
        self.inputs.append(Input(shape, dtype, style, self.rng.randrange(1 << 30)))
        self.values.append(Known(shape, dtype, True))
        return len(self.values) - 1

    def add(self, name: str, args: tuple[int, ...] = (), bodies: tuple = (), **params: Any) -> int:
        """LookupError: the step is not possible, or its result would say nothing."""
        known, given = OPS[name], [self.values[i] for i in args]
        if known.jumps and any(is_inexact(v.dtype) and not v.exact for v in given):
            raise LookupError
        if any(v.dtype in NARROW for v in given) and not known.exact and name not in OF_NARROW:
            raise LookupError
        if name in NOT_OF_NARROW and given[0].dtype in NARROW:
            raise LookupError
        step = Step(name, args, params, bodies=bodies)
        probe = Program(0, [], [], (), x64=self.x64)
        probe.inputs = [Input(v.shape, v.dtype, "plain", 0) for v in given]
        probe.steps = [dataclasses.replace(step, args=tuple(range(len(args))))]
        probe.outputs = (len(args),)
        try:
            (out,) = infer(probe)
        except (TypeError, ValueError, NotImplementedError, OverflowError, AttributeError):
            raise LookupError from None
        if math.prod(out.shape) > self.limit or str(out.dtype) == "float0":
            raise LookupError
        step.dtype, step.shape = str(out.dtype), tuple(out.shape)
        if self.finite and is_complex(step.dtype):
            raise LookupError
        exact = not is_inexact(step.dtype) or (known.exact and all(v.exact for v in given))
        self.steps.append(step)
        self.values.append(Known(step.shape, step.dtype, exact))
        return len(self.values) - 1


def infer(program: Program) -> tuple[Any, ...]:
    arguments = [jax.ShapeDtypeStruct(i.shape, i.dtype) for i in program.inputs]
    return jax.eval_shape(function_of(program, Context()), *arguments)


@contextlib.contextmanager
def precision(x64: bool):
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", x64)
    try:
        yield
    finally:
        jax.config.update("jax_enable_x64", before)


# ---- steps: each a function of the generator that adds one, or raises LookupError ------------------

Maker = Callable[[Generator], Any]
MAKERS: dict[Maker, float] = {}


def maker(weight: float) -> Callable[[Maker], Maker]:
    def add(make: Maker) -> Maker:
        MAKERS[make] = weight
        return make

    return add


def fits(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(m == n or 1 in (m, n) for m, n in zip(reversed(a), reversed(b)))


def another(g: Generator, i: int) -> int:
    """A value that combines with value i: same type, shapes that broadcast."""
    v = g.values[i]
    if g.rng.random() < 0.2:
        value = g.rng.choice((0, 1, 2, 3, 0.5, -1, 7))
        if not is_inexact(v.dtype):
            value = abs(int(value)) % 2 if v.dtype == "bool" else abs(int(value))
        return g.add("literal", dtype=v.dtype, value=value)
    return g.pick(lambda w: w.dtype == v.dtype and fits(v.shape, w.shape))


def index(g: Generator, wanted: Callable[[Known], bool] = lambda v: True) -> int:
    """Integers, of which many are out of range."""
    return g.pick(lambda v: v.dtype in ("int32", "int8", "int16", "uint8", "int64") and wanted(v))


@maker(7)
def make_unary(g):
    x = g.pick(lambda v: is_inexact(v.dtype))
    return g.add_one_of(ops.UNARY, (x,))


@maker(3)
def make_unary_exact(g):
    return g.add_one_of(ops.UNARY_EXACT, (g.pick(),))


@maker(8)
def make_binary(g):
    x = g.pick()
    return g.add_one_of(ops.BINARY, (x, another(g, x)))


@maker(5)
def make_binary_exact(g):
    x = g.pick()
    return g.add_one_of(ops.BINARY_EXACT, (x, another(g, x)))


@maker(0.5)
def make_round(g):
    return g.add("round", (g.pick(lambda v: is_float(v.dtype)),), even=g.rng.random() < 0.5)


@maker(0.7)
def make_integer_pow(g):
    return g.add("integer_pow", (g.pick(),), power=g.rng.choice((-2, -1, 0, 2, 3, 4, 7)))


@maker(4)
def make_convert(g):
    x, to = g.pick(), g.dtype()
    v = g.values[x]
    if is_complex(v.dtype) and not is_complex(to):
        raise LookupError
    if is_inexact(to) and not v.exact:  # jumps only where it leaves the floats
        raise LookupError
    return g.add("convert", (x,), **{"from": v.dtype, "to": to})


@maker(0.7)
def make_bitcast(g):
    """Of integers alone: the bits of a NaN are nobody's promise."""
    x = g.pick(lambda v: v.dtype.startswith(("int", "uint")) and v.dtype not in NARROW)
    bits = jnp.iinfo(g.values[x].dtype).bits
    same = {8: ("int8", "uint8"), 16: ("int16", "uint16", "bfloat16", "float16")}
    same |= {32: ("int32", "uint32", "float32"), 64: ("int64", "uint64", "float64")}
    to = g.rng.choice(same[bits] if g.rng.random() < 0.6 else same[g.rng.choice((8, 16, 32))])
    return g.add("bitcast", (x,), **{"from": g.values[x].dtype, "to": to})


@maker(2)
def make_select(g):
    x = g.pick()
    y = another(g, x)
    shape = g.values[x].shape
    which = g.pick(lambda v: v.dtype == "bool" and fits(v.shape, shape))
    return g.add("select", (which, x, y))


@maker(1)
def make_clamp(g):
    """Not of bools: XLA folds clamp(true, true, false) to true. Nor of complex numbers, which have no
    order, and so no limits that are in order."""
    x = g.pick(lambda v: v.dtype != "bool" and not is_complex(v.dtype))
    return g.add("clamp", (another(g, x), x, another(g, x)))


@maker(0.7)
def make_iota(g):
    shape = g.values[g.pick(lambda v: v.shape)].shape
    return g.add("iota", dtype=g.dtype(), shape=shape, axis=g.rng.randrange(len(shape)))


@maker(0.4)
def make_complex(g):
    x = g.pick(lambda v: v.dtype in ("float32", "float64"))
    return g.add("complex", (x, another(g, x)))


@maker(3)
def make_reshape(g):
    x = g.pick()
    v = g.values[x]
    rest, shape = v.size, []
    while rest > 1 and len(shape) < 5:
        divisors = [d for d in (1, 2, 3, 4, 5, 7, 8, 16, rest) if rest % d == 0]
        shape.append(g.rng.choice(divisors))
        rest //= shape[-1]
    shape = [*shape, rest] if rest != 1 or g.rng.random() < 0.3 else shape
    g.rng.shuffle(shape)
    return g.add("reshape", (x,), shape=tuple(shape) if v.size else (*v.shape, 1))


@maker(3)
def make_transpose(g):
    x = g.pick(lambda v: len(v.shape) > 1)
    axes = list(range(len(g.values[x].shape)))
    g.rng.shuffle(axes)
    return g.add("transpose", (x,), axes=tuple(axes))


@maker(1)
def make_rev(g):
    x = g.pick(lambda v: v.shape)
    rank = len(g.values[x].shape)
    axes = g.rng.sample(range(rank), g.rng.randint(1, rank))
    return g.add("rev", (x,), axes=tuple(axes))


@maker(2)
def make_broadcast(g):
    x = g.pick()
    shape = [g.rng.choice(SIZES) if d == 1 else d for d in g.values[x].shape]
    if g.rng.random() < 0.6:
        shape.insert(0, g.rng.choice(SIZES))
    return g.add("broadcast", (x,), shape=tuple(shape))


@maker(3)
def make_slice(g):
    x = g.pick(lambda v: v.shape)
    start, limit, stride = [], [], []
    for d in g.values[x].shape:
        start.append(g.rng.randint(0, d))
        limit.append(g.rng.randint(start[-1], d))
        stride.append(g.rng.choice((1, 1, 1, 2, 3)))
    return g.add("slice", (x,), start=start, limit=limit, stride=stride)


@maker(2.5)
def make_pad(g):
    x = g.pick(lambda v: v.shape)
    v = g.values[x]
    value = g.add("literal", dtype=v.dtype, value=g.rng.choice((0, 1)))
    config = [
        (g.rng.randint(-2, 3), g.rng.randint(-2, 3), g.rng.choice((0, 0, 0, 1, 2))) for _ in v.shape
    ]
    return g.add("pad", (x, value), config=config)


@maker(2)
def make_concatenate(g):
    x = g.pick(lambda v: v.shape)
    v, axis = g.values[x], g.axis(g.values[x])

    def joins(w: Known) -> bool:
        if w.dtype != v.dtype or len(w.shape) != len(v.shape):
            return False
        return all(m == n or k == axis for k, (m, n) in enumerate(zip(v.shape, w.shape)))

    return g.add(
        "concatenate", (x, *(g.pick(joins) for _ in range(g.rng.randint(1, 3)))), axis=axis
    )


@maker(0.7)
def make_roll(g):
    x = g.pick(lambda v: v.shape)
    return g.add("roll", (x,), shift=g.rng.randint(-5, 9), axis=g.axis(g.values[x]))


@maker(0.5)
def make_tile(g):
    x = g.pick(lambda v: v.shape)
    return g.add("tile", (x,), times=tuple(g.rng.choice((1, 1, 2, 3)) for _ in g.values[x].shape))


def starts(g: Generator, v: Known) -> list[tuple[int, int]]:
    """A start for each axis: a number, and how often the index is added to it."""
    return [(g.rng.randint(-3, d + 3), g.rng.choice((0, 0, 1, 2))) for d in v.shape]


@maker(1.5)
def make_dynamic_slice(g):
    x = g.pick(lambda v: v.shape)
    v = g.values[x]
    at = index(g, lambda w: not w.shape)
    return g.add(
        "dynamic_slice", (x, at), starts=starts(g, v), sizes=[g.rng.randint(0, d) for d in v.shape]
    )


@maker(1.5)
def make_dynamic_update_slice(g):
    x = g.pick(lambda v: v.shape)
    v = g.values[x]
    y = g.pick(lambda w: w.dtype == v.dtype and len(w.shape) == len(v.shape))
    sizes = [g.rng.randint(0, min(c, d)) for c, d in zip(v.shape, g.values[y].shape)]
    at = index(g, lambda w: not w.shape)
    return g.add("dynamic_update_slice", (x, y, at), starts=starts(g, v), sizes=sizes)


@maker(2.5)
def make_take(g):
    x = g.pick(lambda v: v.shape)
    mode = g.rng.choice(("clip", "fill", "wrap"))
    return g.add("take", (x, index(g)), axis=g.axis(g.values[x]), mode=mode)


@maker(1)
def make_take_along(g):
    x = g.pick(lambda v: v.shape)
    i = index(g, lambda v: len(v.shape) == 1)
    mode = g.rng.choice(("clip", "fill"))
    return g.add("take_along", (x, i), axis=g.axis(g.values[x]), mode=mode)


def indices(g: Generator, v: Known) -> tuple[int, list[int]]:
    """The first of the indexed axes, and an array of indices for each of them."""
    axis = g.axis(v)
    count = 2 if axis + 1 < len(v.shape) and g.rng.random() < 0.3 else 1
    return axis, [index(g, lambda w: w.size < 3000) for _ in range(count)]


@maker(1)
def make_gather(g):
    x = g.pick(lambda v: len(v.shape) > 1)
    axis, at = indices(g, g.values[x])
    return g.add("gather", (x, *at), axis=axis, mode=g.rng.choice(("clip", "fill")))


@maker(3)
def make_scatter(g):
    x = g.pick(lambda v: v.shape)
    v = g.values[x]
    axis, at = indices(g, v)
    number = min(g.values[i].size for i in at)
    rows = (*v.shape[:axis], number, *v.shape[axis + len(at) :])
    y = g.pick(lambda w: w.dtype == v.dtype and w.size < 5000 and covers(w.shape, rows))
    how = g.rng.choice(("set", "add", "mul", "min", "max"))
    return g.add("scatter", (x, y, *at), how=how, mode=g.rng.choice(("drop", "clip")), axis=axis)


def covers(shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether the one broadcasts to the other."""
    return len(shape) <= len(other) and all(
        m in (1, n) for m, n in zip(reversed(shape), reversed(other))
    )


@maker(0.7)
def make_select_n(g):
    x = g.pick()
    shape = g.values[x].shape
    which = index(g, lambda v: fits(v.shape, shape))
    return g.add("select_n", (which, x, *(another(g, x) for _ in range(g.rng.randint(0, 2)))))


@maker(0.7)
def make_reduce_bits(g):
    x = g.pick(lambda v: v.shape and not is_inexact(v.dtype) and v.dtype not in NARROW)
    rank = len(g.values[x].shape)
    axes = tuple(g.rng.sample(range(rank), g.rng.randint(1, rank)))
    return g.add("reduce_bits", (x,), how=g.rng.choice(("and", "or", "xor")), axes=axes)


@maker(6)
def make_reduce(g):
    x = g.pick()
    v = g.values[x]
    names = list(ops.REDUCERS) + list(ops.REDUCERS_EXACT)
    name = g.rng.choice(names)
    if v.dtype == "bool":
        name = g.rng.choice(("any", "all"))
    elif is_inexact(v.dtype):
        name = g.rng.choice([n for n in names if n not in ("any", "all")])
    axis: Any = None
    if v.shape and (name.startswith("arg") or g.rng.random() < 0.8):
        axis = g.axis(v)
        if not name.startswith("arg") and g.rng.random() < 0.4:
            axis = tuple(g.rng.sample(range(len(v.shape)), g.rng.randint(1, len(v.shape))))
    params = {"dtype": v.dtype} if name in ("sum", "prod") else {}
    return g.add(f"reduce_{name}", (x,), axis=axis, keepdims=g.rng.random() < 0.4, **params)


@maker(1.5)
def make_cumulative(g):
    x = g.pick(lambda v: v.shape and v.dtype != "bool")
    name = g.rng.choice(ops.CUMULATIVE + ops.CUMULATIVE_EXACT)
    if name == "cumlogsumexp" and not is_inexact(g.values[x].dtype):  # JAX starts from -infinity
        raise LookupError
    return g.add(name, (x,), axis=g.axis(g.values[x]), reverse=g.rng.random() < 0.4)


@maker(1.5)
def make_sort(g):
    x = g.pick(lambda v: v.shape)
    axis = g.axis(g.values[x])
    how = g.rng.choice(("sort", "argsort", "sort_by", "sort_by_two", "top_k"))
    if how == "argsort":
        return g.add(how, (x,), axis=axis, descending=g.rng.random() < 0.4)
    if how == "sort_by":
        shape = g.values[x].shape
        y = g.pick(lambda w: len(w.shape) <= len(shape) and fits(w.shape, shape))
        return g.add(how, (x, y), axis=axis)
    if how == "sort_by_two":
        shape = g.values[x].shape
        others = [g.pick(lambda w: covers(w.shape, shape)) for _ in range(2)]
        return g.add(how, (x, *others), axis=axis)
    if how == "top_k":
        return g.add(how, (x,), k=g.rng.randint(0, min(9, g.values[x].shape[-1])))
    return g.add(how, (x,), axis=axis)


@maker(1.5)
def make_window(g):
    x = g.pick(lambda v: 1 <= len(v.shape) <= 4 and v.dtype != "bool" and not is_complex(v.dtype))
    rank = len(g.values[x].shape)
    draw = lambda *choices: tuple(g.rng.choice(choices) for _ in range(rank))  # noqa: E731
    return g.add(
        "window",
        (x,),
        how=g.rng.choice(("add", "max", "min")),
        sizes=draw(1, 1, 2, 3, 5),
        strides=draw(1, 1, 2, 3),
        padding=tuple((g.rng.randint(0, 3), g.rng.randint(0, 3)) for _ in range(rank)),
        base=draw(1, 1, 1, 2),
        window=draw(1, 1, 1, 2),
    )


@maker(1.5)
def make_convolution(g):
    x = g.pick(
        lambda v: (
            3 <= len(v.shape) <= 5 and v.dtype in ("float32", "float64", "bfloat16", "float16")
        )
    )
    v = g.values[x]
    groups = g.rng.choice([n for n in (1, 1, 2, 3, v.shape[1]) if n and v.shape[1] % n == 0])
    spatial = len(v.shape) - 2
    shape = (groups * g.rng.randint(1, 3), v.shape[1] // groups)
    shape += tuple(g.rng.choice((1, 2, 3)) for _ in range(spatial))
    if math.prod(shape) > 4000:
        raise LookupError
    kernel = g.add("kernel", dtype=v.dtype, shape=shape, seed=g.rng.randrange(1 << 20))
    draw = lambda *choices: tuple(g.rng.choice(choices) for _ in range(spatial))  # noqa: E731
    return g.add(
        "convolution",
        (x, kernel),
        strides=draw(1, 1, 2),
        padding=tuple((g.rng.randint(-1, 2), g.rng.randint(-1, 2)) for _ in range(spatial)),
        base=draw(1, 1, 2),
        window=draw(1, 1, 2),
        groups=groups,
    )


@maker(3)
def make_dot(g):
    x = g.pick(lambda v: v.shape and v.dtype != "bool")
    v, a = g.values[x], g.axis(g.values[x])
    y = g.pick(lambda w: w.dtype == v.dtype and v.shape[a] in w.shape)
    w = g.values[y]
    b = g.rng.choice([i for i, n in enumerate(w.shape) if n == v.shape[a]])
    pairs = [(i, k) for i, n in enumerate(v.shape) for k, m in enumerate(w.shape) if n == m]
    pairs = [(i, k) for i, k in pairs if i != a and k != b]
    batch = g.rng.sample(pairs, 1) if pairs and g.rng.random() < 0.5 else []
    contract = ([a], [b])
    return g.add(
        "dot", (x, y), contract=contract, batch=([i for i, _ in batch], [k for _, k in batch])
    )


@maker(0.6)
def make_fft(g):
    x = g.pick(lambda v: v.shape and v.dtype in ("float32", "complex64", "float64", "complex128"))
    v = g.values[x]
    double = v.dtype in ("float64", "complex128")
    how = g.rng.choice(("fft", "ifft", "hfft", "irfft") if is_complex(v.dtype) else ("fft", "rfft"))
    real = how in ("hfft", "irfft")
    dtype = (
        ("float64" if double else "float32") if real else "complex128" if double else "complex64"
    )
    return g.add("fft", (x,), how=how, axis=g.axis(v), dtype=dtype)


@maker(0.4)
def make_random(g):
    dtype = g.rng.choice(("uint32", "uint8", "uint16"))
    return g.add("random", key=g.rng.randrange(1 << 20), shape=g.shape(), dtype=dtype)


# ---- control: bodies are steps of their own -------------------------------------------------------


def make_body(g: Generator, arguments: list[Known]) -> list[Step]:
    """Steps from these arguments to a value like the first of them."""
    inner = Generator(g.rng, g.x64, g.limit, g.finite)
    inner.values = [dataclasses.replace(v) for v in arguments]
    inner.values[0].exact = not is_inexact(arguments[0].dtype)  # what a loop carries is computed
    wanted = arguments[0]
    simple = (
        make_unary,
        make_binary,
        make_binary,
        make_binary_exact,
        make_select,
        make_clamp,
        make_rev,
    )
    for _ in range(TRIES):
        done = len(inner.steps) >= 2 and g.rng.random() < 0.3
        if (
            done
            and inner.values[-1].shape == wanted.shape
            and inner.values[-1].dtype == wanted.dtype
        ):
            break
        try:
            g.rng.choice(simple)(inner)
        except LookupError:
            continue
    last = inner.values[-1]
    if not inner.steps or last.shape != wanted.shape or last.dtype != wanted.dtype:
        raise LookupError
    return inner.steps


def captured(g: Generator, v: Known) -> list[int]:
    n = g.rng.randint(0, 2)
    return [g.pick(lambda w: w.dtype == v.dtype and fits(w.shape, v.shape)) for _ in range(n)]


def loop_carry(g: Generator) -> int:
    return g.pick(lambda v: v.size < 5000 and v.dtype not in NARROW)


COUNTER = Known((), "int32", True)


@maker(1.2)
def make_fori(g):
    x = loop_carry(g)
    also = captured(g, g.values[x])
    arguments = [g.values[x], COUNTER, *(g.values[i] for i in also)]
    body = make_body(g, arguments)
    first = g.rng.randint(-2, 3)
    last = first + g.rng.choice((0, 1, 2, 5))
    params = {"from": first, "to": last, "takes": len(arguments)}
    return g.add("fori", (x, *also), (body,), **params)


@maker(0.8)
def make_while(g):
    x = loop_carry(g)
    n = index(g, lambda v: not v.shape)
    also = captured(g, g.values[x])
    arguments = [g.values[x], COUNTER, *(g.values[i] for i in also)]
    body = make_body(g, arguments)
    return g.add("while", (x, n, *also), (body,), most=6, takes=len(arguments))


@maker(1.2)
def make_scan(g):
    x = loop_carry(g)
    v = g.values[x]
    xs = g.pick(
        lambda w: w.dtype == v.dtype and w.shape and w.shape[0] < 40 and fits(w.shape[1:], v.shape)
    )
    row = Known(g.values[xs].shape[1:], v.dtype, g.values[xs].exact)
    also = captured(g, v)
    arguments = [v, row, *(g.values[i] for i in also)]
    body = make_body(g, arguments)
    return g.add(
        "scan",
        (x, xs, *also),
        (body,),
        reverse=g.rng.random() < 0.3,
        unroll=g.rng.choice((1, 1, 2)),
        stacked=g.rng.random() < 0.6,
        takes=len(arguments),
    )


@maker(1)
def make_switch(g):
    x = g.pick(lambda v: v.dtype not in NARROW)
    which = index(g, lambda v: not v.shape)
    also = captured(g, g.values[x])
    arguments = [g.values[i] for i in (x, *also)]
    bodies = tuple(make_body(g, arguments) for _ in range(g.rng.randint(1, 3)))
    return g.add("switch", (which, x, *also), bodies, takes=len(arguments))


# ---- the whole program ---------------------------------------------------------------------------


def add_wrappers(program: Program, rng: random.Random) -> None:
    """Those that JAX can apply to the program."""
    for name, chance in (("vmap", 0.15), ("grad", 0.2), ("remat", 0.1), ("donate", 0.15)):
        if rng.random() >= chance:
            continue
        before, program.wrappers = program.wrappers, (*program.wrappers, name)
        try:
            if name != "donate":
                arguments = [
                    jax.ShapeDtypeStruct(
                        (2, *i.shape) if "vmap" in program.wrappers else i.shape, i.dtype
                    )
                    for i in program.inputs
                ]
                if not jax.eval_shape(function_of(program), *arguments):
                    raise ValueError
        except (TypeError, ValueError, NotImplementedError, AttributeError):
            program.wrappers = before


def generate(seed: int, finite: bool = False) -> Program:
    rng = random.Random(seed)
    x64 = rng.random() < 0.3
    large = rng.random() < 0.03
    with precision(x64):
        g = Generator(rng, x64, ELEMENTS_LARGE if large else ELEMENTS, finite)
        for _ in range(rng.randint(1, 2) if large else rng.randint(1, 4)):
            alike = g.inputs and rng.random() < 0.6
            shape = rng.choice(g.inputs).shape if alike else g.shape()
            dtype = rng.choice(g.inputs).dtype if alike and rng.random() < 0.7 else g.dtype()
            g.add_input(shape, dtype)
        g.add_input((), "int32")
        if rng.random() < 0.6 and not large:
            g.add_input((rng.choice(SIZES),), "int32")
        wanted = rng.randint(1, 5) if large else rng.randint(2, 14)
        makers, weights = list(MAKERS), list(MAKERS.values())
        for _ in range(TRIES + 4 * wanted):
            if len(g.steps) >= wanted:
                break
            steps, values, inputs = len(g.steps), len(g.values), len(g.inputs)
            try:
                rng.choices(makers, weights)[0](g)
            except LookupError:
                del g.steps[steps:], g.values[values:]
                assert len(g.inputs) == inputs
        first = len(g.inputs)
        used = {a for step in g.steps for a in step.args}
        ends = [first + i for i in range(len(g.steps)) if first + i not in used and g.steps[i].args]
        others = [first + i for i in range(len(g.steps)) if first + i in used]
        outputs = tuple(ends + rng.sample(others, min(len(others), 2))) or (0,)
        program = prune(Program(seed, g.inputs, g.steps, outputs, x64=x64))
        add_wrappers(program, rng)
    return program
