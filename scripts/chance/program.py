# SPDX-License-Identifier: Apache-2.0
"""A program as data: inputs, and steps that each make one array of earlier ones. A program can be
run, run wide (in float64, each step rounded to its own type, with or without noise), printed as
Python, and cut to pieces. Nothing here is random: generate.py makes programs."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np


def is_float(dtype: str) -> bool:
    return jnp.issubdtype(jnp.dtype(dtype), jnp.floating)


def is_complex(dtype: str) -> bool:
    return jnp.issubdtype(jnp.dtype(dtype), jnp.complexfloating)


def is_inexact(dtype: str) -> bool:
    return is_float(dtype) or is_complex(dtype)


def part_dtype(dtype: str) -> np.dtype:
    """The type of a complex number's parts; that of the number itself if it is real."""
    return jnp.zeros((), dtype).real.dtype if is_complex(dtype) else jnp.dtype(dtype)


# Nothing wider judges float64, and functions of JAX's CPU backend are off by more than a hundred
# roundings there (log1p at -0.414).
DOUBLES = 64


def epsilon(dtype: str) -> float:
    """An error that a correct op may make."""
    part = part_dtype(dtype)
    return float(ml_dtypes.finfo(part).eps) * (DOUBLES if part == np.float64 else 1)


def tiny(dtype: str) -> float:
    return float(ml_dtypes.finfo(part_dtype(dtype)).tiny)


@dataclasses.dataclass
class Input:
    shape: tuple[int, ...]
    dtype: str
    style: str  # of its values: see values_of
    seed: int
    data: np.ndarray | None = None  # instead of style and seed

    def values(self) -> np.ndarray:
        return self.data if self.data is not None else values_of(self)


@dataclasses.dataclass
class Step:
    op: str
    args: tuple[int, ...]  # values: inputs first, then results of steps
    params: dict[str, Any]
    dtype: str = ""  # of the result
    shape: tuple[int, ...] = ()
    # Of loops and branches: each body has arguments of its own, and gives its last value.
    bodies: tuple[list[Step], ...] = ()


@dataclasses.dataclass
class Program:
    seed: int
    inputs: list[Input]
    steps: list[Step]
    outputs: tuple[int, ...]
    wrappers: tuple[str, ...] = ()  # of vmap, grad, remat, donate
    x64: bool = False


def values_of(spec: Input) -> np.ndarray:
    """styles: plain, special (NaN, infinities, signed zeros, extremes), ties (few values, many
    duplicates), positive, unit (between -1 and 1)"""
    rng = np.random.default_rng(spec.seed)
    dtype, shape = jnp.dtype(spec.dtype), spec.shape
    if dtype == np.bool_:
        return rng.integers(0, 2, shape).astype(bool)
    if jnp.issubdtype(dtype, jnp.integer):
        info = jnp.iinfo(dtype)
        low, high = max(int(info.min), -9), min(int(info.max), 9)
        out = rng.integers(low, high + 1, shape)
        if spec.style == "special":
            extremes = np.array([info.min, info.min + 1, -1, 0, 1, info.max - 1, info.max], object)
            extremes = np.array([e for e in extremes if info.min <= e <= info.max], object)
            return np.asarray(extremes[rng.integers(0, len(extremes), shape)]).astype(dtype)
        return out.astype(dtype)
    if is_complex(spec.dtype):
        part = dataclasses.replace(spec, dtype=str(part_dtype(spec.dtype)))
        other = dataclasses.replace(part, seed=spec.seed + 1)
        return (values_of(part) + 1j * values_of(other)).astype(dtype)
    if spec.style == "ties":
        return rng.integers(-3, 4, shape).astype(dtype)
    if spec.style == "unit":
        return rng.uniform(-1, 1, shape).astype(dtype)
    out = rng.normal(size=shape) * 2
    if spec.style == "positive":
        out = np.abs(out) + 0.25
    out = out.astype(dtype)
    if spec.style == "special":
        info = ml_dtypes.finfo(dtype)
        special = np.array(
            [np.nan, np.inf, -np.inf, 0.0, -0.0, info.max, -info.max, info.tiny, 1.0]
        )
        chosen = special[rng.integers(0, len(special), shape)].astype(dtype)
        out = np.where(rng.random(shape) < 0.3, chosen, out)
    return np.asarray(out, dtype)


# ---- ops -----------------------------------------------------------------------------------------


def widen(x: Any) -> Any:
    """In float64 or complex128, subnormals too, which the CPU's conversion takes for zero."""
    if is_complex(str(x.dtype)):
        return jax.lax.complex(widen(x.real), widen(x.imag))
    info = ml_dtypes.finfo(x.dtype)
    if info.bits == 64:
        return x
    bits = jax.lax.bitcast_convert_type(x, f"uint{info.bits}").astype(jnp.uint64)
    mantissa = bits & (2**info.nmant - 1)
    exponent = (bits >> info.nmant) & (2 ** (info.bits - 1 - info.nmant) - 1)
    size = mantissa.astype(jnp.float64) * float(info.smallest_subnormal)
    subnormal = jnp.where(bits >> (info.bits - 1) != 0, -size, size)
    return jnp.where((exponent == 0) & (mantissa != 0), subnormal, x.astype(jnp.float64))


def narrow(x: Any, dtype: str) -> Any:
    """The inverse, rounded to nearest even."""
    if is_complex(dtype):
        part = str(part_dtype(dtype))
        return jax.lax.complex(narrow(x.real, part), narrow(x.imag, part))
    info = ml_dtypes.finfo(dtype)
    if info.bits == 64:
        return x
    steps = jnp.round(jnp.abs(x) / float(info.smallest_subnormal))
    small = (steps > 0) & (steps <= 2**info.nmant)  # the last one is the smallest normal number
    sign = jnp.where(jnp.signbit(x), 2 ** (info.bits - 1), 0)
    bits = jnp.where(small, steps, 0).astype(jnp.uint64) | sign.astype(jnp.uint64)
    subnormal = jax.lax.bitcast_convert_type(bits.astype(f"uint{info.bits}"), jnp.dtype(dtype))
    return jnp.where(small, subnormal, x.astype(dtype))


@dataclasses.dataclass(frozen=True)
class Context:
    """How steps are run: as they are, or wide."""

    wide: bool = False
    noise: int = 0  # 0: none; else the seed of relative errors, one rounding a step
    # Wide: whether a subnormal number of a value's own type is one, or zero as on JAX's CPU
    # backend. Those of float64 are always zero.
    subnormals: bool = False

    def dtype(self, name: str) -> Any:
        if self.wide and is_inexact(name):
            return jnp.complex128 if is_complex(name) else jnp.float64
        return jnp.dtype(name)

    def narrow(self, x: Any, dtype: str) -> Any:
        """Of a value's own type, whose bits may be looked at."""
        if not self.wide:
            return x
        return narrow(x, dtype) if self.subnormals and is_inexact(dtype) else x.astype(dtype)

    def widen(self, x: Any) -> Any:
        """A value of its own type as the steps have it."""
        if self.subnormals and is_inexact(str(x.dtype)):
            return widen(x)
        return x.astype(self.dtype(str(x.dtype)))

    def settle(self, x: Any, dtype: str, exact: bool, serial: int) -> Any:
        """A step's result. Wide, it is rounded to the step's type, as if computed correctly."""
        if not self.wide:
            return x
        if not is_inexact(dtype):  # with x64, indices are wider than the program's
            return x.astype(dtype)
        wide = self.dtype(dtype)
        x = x.astype(wide)
        if not exact:
            x = self.disturb(x, dtype, serial)
        return self.widen(self.narrow(x, dtype))

    def disturb(self, x: Any, dtype: str, serial: int) -> Any:
        """With noise, an error of two roundings in each element. That of a complex number is of its
        whole: a part that is zero need not stay so, and decides the side of a branch cut."""
        if not self.noise or not jnp.issubdtype(x.dtype, jnp.inexact):
            return x
        rng = np.random.default_rng([self.noise, serial])
        signs = rng.integers(0, 2, max(1, min(x.size, 4096))) * 2.0 - 1.0
        errors = 2 * epsilon(dtype) * np.resize(signs, x.shape)
        if not is_complex(str(x.dtype)):
            return x * (1 + errors)
        # Noises 1 and 2, 3 and 4, … are of opposite signs, so that both sides are seen.
        rng = np.random.default_rng([(self.noise + 1) // 2, serial])
        signs = (rng.integers(0, 2, signs.size) * 2.0 - 1.0) * (-1) ** self.noise
        errors = errors + 2j * epsilon(dtype) * np.resize(signs, x.shape)
        return jnp.where(jnp.isfinite(x), x + jnp.abs(x) * errors, x)


# (context, params, bodies, *arguments) -> array. params["own"] is the step's own type.
Apply = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Op:
    apply: Apply
    exact: bool  # the result has no rounding of its own
    jumps: bool  # a rounding of an argument can change the result by much
    sums: bool  # it rounds between its terms, too: as if these were rounded


OPS: dict[str, Op] = {}


def op(
    name: str, exact: bool = False, jumps: bool = False, sums: bool = False
) -> Callable[[Apply], Apply]:
    def add(apply: Apply) -> Apply:
        OPS[name] = Op(apply, exact, jumps, sums)
        return apply

    return add


def run_steps(steps: list[Step], values: list[Any], context: Context, serial: int = 0) -> list[Any]:
    """The values, with those of the steps behind them."""
    values = list(values)
    for n, step in enumerate(steps):
        bodies = [
            lambda *args, body=body, k=k: run_steps(
                body, list(args), context, serial + 100 * (n + 1) + 7 * k
            )[-1]
            for k, body in enumerate(step.bodies)
        ]
        known = OPS[step.op]
        arguments = [values[i] for i in step.args]
        if context.noise and known.sums and is_inexact(step.dtype):
            arguments = [
                context.disturb(x, step.dtype, serial + n + 1000 * (k + 1))
                for k, x in enumerate(arguments)
            ]
        params = step.params | {"own": step.dtype}
        result = known.apply(context, params, bodies, *arguments)
        values.append(context.settle(result, step.dtype, known.exact, serial + n))
    return values


def function_of(program: Program, context: Context = Context()) -> Callable[..., tuple[Any, ...]]:
    """The program as a function of its inputs."""

    def plain(*inputs: Any) -> tuple[Any, ...]:
        values = run_steps(program.steps, list(inputs), context)
        return tuple(values[i] for i in program.outputs)

    f = plain
    if "remat" in program.wrappers:
        f = jax.checkpoint(f)
    if "grad" in program.wrappers:
        inner = f
        wanted = [i for i, spec in enumerate(program.inputs) if is_float(spec.dtype)]

        def total(chosen: list[Any], inputs: list[Any]) -> Any:
            inputs = list(inputs)
            for i, x in zip(wanted, chosen):
                inputs[i] = x
            outs = [o for o in inner(*inputs) if jnp.issubdtype(o.dtype, jnp.floating)]
            return sum(jnp.sum(o.astype(context.dtype("float32"))) for o in outs)

        def f(*inputs: Any) -> tuple[Any, ...]:
            return tuple(jax.grad(total)([inputs[i] for i in wanted], list(inputs)))

    if "vmap" in program.wrappers:
        f = jax.vmap(f)
    return f


def donated(program: Program) -> tuple[int, ...]:
    return tuple(range(len(program.inputs))) if "donate" in program.wrappers else ()


def arrays_of(program: Program) -> list[np.ndarray]:
    """What the program is called with. vmap takes two of each input."""
    arrays = [spec.values() for spec in program.inputs]
    if "vmap" not in program.wrappers:
        return arrays
    return [np.stack([a, np.flip(a) if a.ndim else a]) for a in arrays]


# ---- pieces --------------------------------------------------------------------------------------


def prune(program: Program) -> Program:
    """Without steps and inputs that no output needs."""
    n = len(program.inputs)
    needed = set(program.outputs)
    for i in reversed(range(len(program.steps))):
        if n + i in needed:
            needed |= set(program.steps[i].args)
    order = sorted(needed)
    at = {old: new for new, old in enumerate(order)}
    steps = [
        dataclasses.replace(
            program.steps[i - n], args=tuple(at[a] for a in program.steps[i - n].args)
        )
        for i in order
        if i >= n
    ]
    inputs = [program.inputs[i] for i in order if i < n]
    outputs = tuple(at[o] for o in program.outputs)
    return dataclasses.replace(program, inputs=inputs, steps=steps, outputs=outputs)


# ---- printing ------------------------------------------------------------------------------------


def print_steps(steps: list[Step], n: int, indent: str) -> list[str]:
    lines = []
    for i, step in enumerate(steps):
        lines.append(
            f"{indent}%{n + i} = {step.op}({', '.join(f'%{a}' for a in step.args)}) "
            f"{step.params if step.params else ''} : {step.dtype}{list(step.shape)}"
        )
        for body in step.bodies:
            first = step.params["takes"]
            lines.append(f"{indent}  body of %0 to %{first - 1}:")
            lines += print_steps(body, first, indent + "    ")
    return lines


def print_program(program: Program) -> str:
    lines = [f"seed {program.seed}{', x64' if program.x64 else ''}"]
    for i, spec in enumerate(program.inputs):
        what = f"{spec.style} values" if spec.data is None else f"{spec.data.tolist()!s:.400}"
        lines.append(f"%{i} = input {spec.dtype}{list(spec.shape)}, {what}")
    lines += print_steps(program.steps, len(program.inputs), "")
    lines.append(f"return {', '.join(f'%{o}' for o in program.outputs)}")
    if program.wrappers:
        lines.append(f"under {', '.join(program.wrappers)}")
    return "\n".join(lines)
