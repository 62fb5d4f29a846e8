# SPDX-License-Identifier: Apache-2.0
"""The ops of programs by chance, and how each is computed. Parameters are plain Python values."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import scipy.special
from jax import lax

from chance.program import Context, is_complex, is_inexact, op, part_dtype

# name: whether a rounding of the argument can change the result by much
UNARY = {
    **dict.fromkeys(
        (
            *("exp", "expm1", "log", "log1p", "sin", "cos", "tan", "tanh", "sinh", "cosh", "asinh"),
            *("acosh", "atanh", "asin", "acos", "atan", "logistic", "sqrt", "rsqrt", "cbrt", "erf"),
            *("erfc", "erf_inv", "lgamma", "digamma", "exp2", "square", "bessel_i0e", "bessel_i1e"),
        ),
        False,
    ),
}
UNARY_EXACT = {
    **dict.fromkeys(("neg", "abs", "real", "imag", "conj"), False),
    **dict.fromkeys(("floor", "ceil", "sign", "is_finite", "bitwise_not"), True),
    **dict.fromkeys(("population_count", "clz"), True),
}
BINARY = {
    **dict.fromkeys(("add", "sub", "mul", "div", "pow", "atan2", "igamma"), False),
    **dict.fromkeys(("rem",), True),
}
BINARY_EXACT = {
    **dict.fromkeys(("max", "min"), False),
    **dict.fromkeys(
        (
            *("eq", "ne", "lt", "le", "gt", "ge", "nextafter", "bitwise_and", "bitwise_or"),
            *("bitwise_xor", "shift_left", "shift_right_logical", "shift_right_arithmetic"),
        ),
        True,
    ),
}
SERIES = ("digamma", "lgamma", "igamma", "atan2")  # which cancel near zeros, or have complex poles
REDUCERS = {
    **dict.fromkeys(("sum", "prod", "logsumexp", "mean", "var"), False),
}
REDUCERS_EXACT = {
    **dict.fromkeys(("max", "min", "all", "any"), False),
    **dict.fromkeys(("argmax", "argmin"), True),
}
CUMULATIVE = ("cumsum", "cumprod", "cumlogsumexp")
CUMULATIVE_EXACT = ("cummax", "cummin")


# Functions for which NumPy and SciPy say what is right where a result has a NaN: of complex numbers (as
# C's Annex G), and of real ones. For tan(inf + 0i) JAX's CPU backend makes both parts NaN, and the
# imaginary one is 0; its igamma(0, x) is NaN, not 1, in double precision, too (jax 0.10.2), and so is
# its digamma(0), which jax 0.11 made -inf for zeros of both signs.
OF_COMPLEX = {name: getattr(np, name) for name in ("tan", "tanh", "sinh", "cosh", "abs", "sign")}
OF_COMPLEX |= {name: getattr(np, f"arc{name[1:]}") for name in ("asin", "acos", "asinh", "acosh")}
OF_COMPLEX["rsqrt"] = lambda z: 1 / np.sqrt(z)
OF_REAL = {
    "igamma": scipy.special.gammainc,
    "digamma": lambda x: scipy.special.psi(np.where(x == 0, 0.0, x)),
}


def without_needless_nan(name: str, args: Any, out: Any) -> Any:
    """The function's result, NumPy's where it has a NaN."""
    known = OF_COMPLEX if jnp.issubdtype(args[0].dtype, jnp.complexfloating) else OF_REAL
    if name not in known:
        return out

    def call(*values: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(known[name](*(np.asarray(v) for v in values)), out.dtype)

    kind = jax.ShapeDtypeStruct(out.shape, out.dtype)
    args = [lax.stop_gradient(x) for x in args]
    theirs = jax.pure_callback(call, kind, *args, vmap_method="broadcast_all")
    return jnp.where(jnp.isnan(out), theirs, out)


@jax.custom_jvp
def wide_lgamma(x: Any) -> Any:
    """Whose derivative at 0 is digamma's value there, too."""
    return lax.lgamma(x)


@wide_lgamma.defjvp
def derive_lgamma(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return lax.lgamma(x), dx * without_needless_nan("digamma", (x,), lax.digamma(x))


# The series of JAX's CPU backend does not end where both arguments of igamma are huge, and gives 1
# where they are infinite (jax 0.10.2; NaN since 0.11).
LARGEST_IGAMMA_SHAPE = 1e4


def lax_function(name: str) -> Any:
    def apply(context: Context, params: dict, bodies: list, *args: Any) -> Any:
        args = jnp.broadcast_arrays(*args) if len(args) > 1 else args
        if name == "igamma":
            args = [lax.min(args[0], lax.full_like(args[0], LARGEST_IGAMMA_SHAPE)), args[1]]
        f = getattr(jax.scipy.special if name == "logsumexp" else lax, name)
        out = (wide_lgamma if context.wide and name == "lgamma" else f)(*args)
        return without_needless_nan(name, args, out) if context.wide else out

    return apply


def without_complex_nan(name: str, x: Any) -> Any:
    """JAX compares complex numbers by their parts, and a comparison with NaN is false. So their maximum
    with a NaN is the second argument, which depends on the order of the reduction: nobody promises
    one."""
    if name.endswith(("max", "min")) and jnp.issubdtype(x.dtype, jnp.complexfloating):
        return jnp.where(x != x, jnp.zeros((), x.dtype), x)
    return x


def reduce_with_nan(f: Any, x: Any, **places: Any) -> Any:
    """The maximum or minimum, NaN where an element is NaN. JAX's CPU backend loses NaN in reductions
    of more than 4096 elements (jax 0.10.2: max of 4096 ones and a NaN is 1), in float64, too, and so
    it can't say what is right. The derivative is JAX's own."""

    @jax.custom_jvp
    def reduce(x: Any) -> Any:
        return jnp.where(jnp.any(x != x, **places), jnp.asarray(np.nan, x.dtype), f(x, **places))

    @reduce.defjvp
    def derive(primals: Any, tangents: Any) -> Any:
        (x,), (dx,) = primals, tangents
        out = reduce(x)
        axes = tuple(range(x.ndim)) if places["axis"] is None else places["axis"]
        wide = out if places["keepdims"] else jnp.expand_dims(out, axes)
        chosen = (x == wide).astype(x.dtype)
        return out, jnp.sum(dx * chosen, **places) / jnp.sum(chosen, **places)

    return reduce(x)


def unsure_product(context: Context, params: dict, x: Any, out: Any, add: Any) -> Any:
    """With noise, NaN where a partial product may leave the type's range in some order, which nobody
    promises. add: the sum of logarithms that is as the product."""
    if not context.noise or not jnp.issubdtype(x.dtype, jnp.inexact):
        return out
    info = ml_dtypes.finfo(part_dtype(params["own"]))
    logs = jnp.log2(jnp.where(x == 0, 1.0, jnp.abs(lax.stop_gradient(x))))
    above = add(jnp.maximum(logs, 0)) > np.log2(float(info.max)) - 1
    below = add(jnp.minimum(logs, 0)) < np.log2(float(info.tiny)) + 1
    return jnp.where(above | below, jnp.asarray(np.nan, out.dtype), out)


def size_of(x: Any) -> Any:
    """At least the size of each part of a product with x, by the sizes of both; of a finite x."""
    x = lax.stop_gradient(x)
    complex_ = jnp.issubdtype(x.dtype, jnp.complexfloating)
    size = jnp.abs(x.real) + jnp.abs(x.imag) if complex_ else jnp.abs(x)
    return jnp.where(jnp.isfinite(x), size, 0).astype(jnp.float64)


def unsure_sum(context: Context, params: dict, out: Any, add: Any, *factors: Any) -> Any:
    """With noise, NaN or infinite where a partial sum may leave the type's range in some order, which
    nobody promises. add: the sum of the products of such factors, not below zero."""
    if not context.noise or not jnp.issubdtype(out.dtype, jnp.inexact):
        return out
    small = 2.0**-500  # so that float64 holds what leaves its range
    most = float(ml_dtypes.finfo(part_dtype(params["own"])).max) * small ** len(factors)
    lost = np.nan if context.noise % 2 else np.inf
    lost = complex(lost, lost) if is_complex(str(out.dtype)) else lost
    above = add(*(size_of(x) * small for x in factors)) > most
    return jnp.where(above, jnp.asarray(lost, out.dtype), out)


def reducer(name: str) -> Any:
    def apply(context: Context, params: dict, bodies: list, x: Any) -> Any:
        f = jax.scipy.special.logsumexp if name == "logsumexp" else getattr(jnp, name)
        places = {"axis": params["axis"], "keepdims": params["keepdims"]}
        x = without_complex_nan(name, x)
        if context.wide and is_inexact(params["own"]):  # of integers, too
            x = x.astype(jnp.promote_types(x.dtype, context.dtype(params["own"])))
        if context.wide and name in ("max", "min") and jnp.issubdtype(x.dtype, jnp.floating):
            out = reduce_with_nan(f, x, **places)
        else:
            out = f(x, **places)
        if name == "prod":
            out = unsure_product(context, params, x, out, lambda v: jnp.sum(v, **places))
        if name in ("sum", "mean"):
            out = unsure_sum(context, params, out, lambda v: jnp.sum(v, **places), x)
        if name == "var":
            out = unsure_sum(context, params, out, lambda v, w: jnp.sum(v * w, **places), x, x)
        return out.astype(context.dtype(params["dtype"])) if "dtype" in params else out

    return apply


def cumulative(name: str) -> Any:
    def apply(context: Context, params: dict, bodies: list, x: Any) -> Any:
        x = without_complex_nan(name, x)
        along = {"axis": params["axis"], "reverse": params["reverse"]}
        out = getattr(lax, name)(x, **along)
        if name == "cumprod":
            out = unsure_product(context, params, x, out, lambda v: lax.cumsum(v, **along))
        if name == "cumsum":
            out = unsure_sum(context, params, out, lambda v: lax.cumsum(v, **along), x)
        return out

    return apply


for table, exact in ((UNARY, False), (UNARY_EXACT, True), (BINARY, False), (BINARY_EXACT, True)):
    for name, jumps in table.items():
        op(name, exact, jumps, sums=name in SERIES)(lax_function(name))
for table, exact in ((REDUCERS, False), (REDUCERS_EXACT, True)):
    for name, jumps in table.items():
        op(f"reduce_{name}", exact, jumps, sums=not exact)(reducer(name))
for names, exact in ((CUMULATIVE, False), (CUMULATIVE_EXACT, True)):
    for name in names:
        op(name, exact, sums=not exact)(cumulative(name))

# ---- elements ------------------------------------------------------------------------------------


@op("round", exact=True, jumps=True)
def apply_round(context, params, bodies, x):
    method = lax.RoundingMethod.TO_NEAREST_EVEN if params["even"] else None
    return lax.round(x, method or lax.RoundingMethod.AWAY_FROM_ZERO)


def apply_wave(name: str) -> Any:
    """sin and cos, of complex numbers with the range that JAX's formula has on every platform: it
    multiplies by sinh and cosh of the imaginary part, which overflow where the product need not."""

    def apply(context: Context, params: dict, bodies: list, x: Any) -> Any:
        out = getattr(lax, name)(x)
        if not context.wide or not jnp.issubdtype(out.dtype, jnp.complexfloating):
            return out
        most = np.log(float(ml_dtypes.finfo(part_dtype(params["own"])).max))
        infinite = lambda v: jnp.where(v == 0, v, v * np.inf)  # noqa: E731
        overflown = lax.stop_gradient(lax.complex(infinite(out.real), infinite(out.imag)))
        return jnp.where(jnp.abs(x.imag) > most, overflown, out)

    return apply


for name in ("sin", "cos"):  # instead of the functions of lax
    op(name)(apply_wave(name))


@op("pow")  # instead of the function of lax
def apply_pow(context, params, bodies, x, y):
    """Infinite real powers are as C's cpow and NumPy have them: their angle is finite, and 0 for a
    positive number; a power of 0 is 0 where the exponent's real part is positive. JAX's CPU backend
    multiplies zeros by infinities (jax 0.10.2), in complex128, too, so that it can't say what is right."""
    x, y = jnp.broadcast_arrays(x, y)
    out = lax.pow(x, y)
    if not context.wide or not jnp.issubdtype(out.dtype, jnp.complexfloating):
        return out
    size = lax.pow(jnp.hypot(x.real, x.imag), y.real)
    angle = y.real * jnp.arctan2(x.imag, x.real)
    other = jnp.where(angle == 0, 0, size * jnp.sin(angle))
    infinite = (y.imag == 0) & jnp.isinf(size) & (x != 0)
    value = lax.stop_gradient(lax.complex(size * jnp.cos(angle), other))
    out = jnp.where(infinite, value, out)
    return jnp.where((x == 0) & (y.real > 0), jnp.zeros((), out.dtype), out)


@op("integer_pow")
def apply_integer_pow(context, params, bodies, x):
    return lax.integer_pow(x, params["power"])


@op("convert", exact=True, jumps=True)
def apply_convert(context, params, bodies, x):
    if context.wide and jnp.issubdtype(x.dtype, jnp.inexact):
        x = context.narrow(x, params["from"])
        if context.subnormals and jnp.issubdtype(params["to"], jnp.inexact):
            return context.widen(x).astype(context.dtype(params["to"]))
    return x.astype(params["to"]).astype(context.dtype(params["to"]))


@op("bitcast", exact=True, jumps=True)
def apply_bitcast(context, params, bodies, x):
    x = lax.bitcast_convert_type(context.narrow(x, params["from"]), params["to"])
    return context.widen(x)


@op("select", exact=True)
def apply_select(context, params, bodies, which, x, y):
    which, x, y = jnp.broadcast_arrays(which, x, y)
    return lax.select(which, x, y)


@op("select_n", exact=True)
def apply_select_n(context, params, bodies, which, *cases):
    """An index out of range is of the nearest case."""
    which, *cases = jnp.broadcast_arrays(
        jnp.clip(which.astype(jnp.int32), 0, len(cases) - 1), *cases
    )
    return lax.select_n(which, *cases)


@op("reduce_bits", exact=True)
def apply_reduce_bits(context, params, bodies, x):
    f, first = {
        "and": (lax.bitwise_and, -1),
        "or": (lax.bitwise_or, 0),
        "xor": (lax.bitwise_xor, 0),
    }[params["how"]]
    return lax.reduce(x, np.array(first).astype(x.dtype), f, params["axes"])


@op("clamp", exact=True)
def apply_clamp(context, params, bodies, low, x, high):
    return lax.clamp(*jnp.broadcast_arrays(low, x, high))


@op("literal", exact=True)
def apply_literal(context, params, bodies):
    value = jnp.asarray(np.array(params["value"]).astype(params["dtype"]))
    value = value.astype(context.dtype(params["dtype"]))
    # What is right is computed without rewrites for the constant: JAX's CPU backend makes z / 0 of
    # complex numbers z * (1 / 0), which is NaN (jax 0.10.2).
    return lax.optimization_barrier(value) if context.wide else value


@op("kernel", exact=True)
def apply_kernel(context, params, bodies):
    """An array that a program has in it."""
    values = np.random.default_rng(params["seed"]).normal(size=params["shape"])
    return jnp.asarray(values.astype(params["dtype"])).astype(context.dtype(params["dtype"]))


@op("iota", exact=True)
def apply_iota(context, params, bodies):
    dtype = params["dtype"]
    return lax.broadcasted_iota(dtype, params["shape"], params["axis"]).astype(context.dtype(dtype))


@op("complex", exact=True)
def apply_complex(context, params, bodies, x, y):
    return lax.complex(*jnp.broadcast_arrays(x, y))


# ---- movement ------------------------------------------------------------------------------------


@op("reshape", exact=True)
def apply_reshape(context, params, bodies, x):
    return x.reshape(params["shape"])


@op("transpose", exact=True)
def apply_transpose(context, params, bodies, x):
    return x.transpose(params["axes"])


@op("rev", exact=True)
def apply_rev(context, params, bodies, x):
    return lax.rev(x, params["axes"])


@op("broadcast", exact=True)
def apply_broadcast(context, params, bodies, x):
    return jnp.broadcast_to(x, params["shape"])


@op("slice", exact=True)
def apply_slice(context, params, bodies, x):
    return lax.slice(x, params["start"], params["limit"], params["stride"])


@op("pad", exact=True)
def apply_pad(context, params, bodies, x, value):
    return lax.pad(x, value, params["config"])


@op("concatenate", exact=True)
def apply_concatenate(context, params, bodies, *xs):
    return jnp.concatenate(xs, params["axis"])


@op("roll", exact=True)
def apply_roll(context, params, bodies, x):
    return jnp.roll(x, params["shift"], params["axis"])


@op("tile", exact=True)
def apply_tile(context, params, bodies, x):
    return jnp.tile(x, params["times"])


@op("dynamic_slice", exact=True)
def apply_dynamic_slice(context, params, bodies, x, at):
    starts = [jnp.int32(s) + at.astype(jnp.int32) * m for s, m in params["starts"]]
    return lax.dynamic_slice(x, starts, params["sizes"])


@op("dynamic_update_slice", exact=True)
def apply_dynamic_update_slice(context, params, bodies, x, y, at):
    starts = [jnp.int32(s) + at.astype(jnp.int32) * m for s, m in params["starts"]]
    return lax.dynamic_update_slice(x, lax.slice(y, [0] * y.ndim, params["sizes"]), starts)


# ---- indices, also out of range and twice ---------------------------------------------------------


@op("take", exact=True)
def apply_take(context, params, bodies, x, index):
    return jnp.take(x, index.astype(jnp.int32), axis=params["axis"], mode=params["mode"])


@op("take_along", exact=True)
def apply_take_along(context, params, bodies, x, index):
    axis = params["axis"]
    index = jnp.broadcast_to(
        index.astype(jnp.int32).reshape([-1 if a == axis else 1 for a in range(x.ndim)]),
        [index.size if a == axis else n for a, n in enumerate(x.shape)],
    )
    return jnp.take_along_axis(x, index, axis=axis, mode=params["mode"])


def places(x: Any, params: dict, indices: Any) -> Any:
    """x.at[:, i, j]: as many axes are indexed as there are arrays of indices, from params["axis"] on."""
    flat = [i.astype(jnp.int32).ravel() for i in indices]
    flat = [i[: min(j.size for j in flat)] for i in flat]
    return x.at[(*(slice(None),) * params["axis"], *flat)]


@op("gather", exact=True)
def apply_gather(context, params, bodies, x, *indices):
    return places(x, params, indices).get(mode=params["mode"])


@op("scatter", sums=True)
def apply_scatter(context, params, bodies, x, y, *indices):
    at = places(x, params, indices)
    return getattr(at, params["how"])(y, mode=params["mode"])


# ---- order ---------------------------------------------------------------------------------------


@op("sort", exact=True)
def apply_sort(context, params, bodies, x):
    return lax.sort(x, dimension=params["axis"])


@op("argsort", exact=True, jumps=True)
def apply_argsort(context, params, bodies, x):
    return jnp.argsort(x, axis=params["axis"], descending=params["descending"])


@op("sort_by", exact=True, jumps=True)
def apply_sort_by(context, params, bodies, keys, x):
    return lax.sort((keys, jnp.broadcast_to(x, keys.shape)), dimension=params["axis"])[1]


@op("sort_by_two", exact=True, jumps=True)
def apply_sort_by_two(context, params, bodies, first, second, x):
    second, x = jnp.broadcast_to(second, first.shape), jnp.broadcast_to(x, first.shape)
    return lax.sort((first, second, x), dimension=params["axis"], num_keys=2)[2]


@op("top_k", exact=True)
def apply_top_k(context, params, bodies, x):
    if jnp.issubdtype(x.dtype, jnp.floating):  # its order knows a NaN's sign, which nobody promises
        x = jnp.where(x != x, jnp.asarray(np.nan, x.dtype), x)
    return lax.top_k(x, params["k"])[0]


# ---- windows and products ------------------------------------------------------------------------


@op("window", sums=True)
def apply_window(context, params, bodies, x):
    init, f = {
        "add": (0, lax.add),
        "max": (-np.inf if jnp.issubdtype(x.dtype, jnp.floating) else None, lax.max),
        "min": (np.inf if jnp.issubdtype(x.dtype, jnp.floating) else None, lax.min),
    }[params["how"]]
    if init is None:
        info = jnp.iinfo(x.dtype)
        init = info.min if params["how"] == "max" else info.max
    names = ("sizes", "strides", "padding", "base", "window")

    def reduce(x):
        return lax.reduce_window(x, np.array(init).astype(x.dtype), f, *(params[n] for n in names))

    out = reduce(x)
    return unsure_sum(context, params, out, reduce, x) if params["how"] == "add" else out


def plain_convolution(x: Any, kernel: Any, params: dict) -> Any:
    """A product for each place of the window. JAX's CPU backend spreads a NaN to places that a dilated
    window does not touch: in float64 it fills the kernel with zeros (jax 0.10.2)."""
    groups, places = params["groups"], kernel.shape[2:]
    edges = [(*p, b - 1) for p, b in zip(params["padding"], params["base"])]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (0, 0, 0), *edges])
    steps = list(zip(params["window"], params["strides"]))
    sizes = [
        max(0, (n - w * (k - 1) - 1) // s + 1) for n, k, (w, s) in zip(x.shape[2:], places, steps)
    ]
    features = kernel.shape[0]
    out = jnp.zeros((x.shape[0], groups, features // groups, *sizes), x.dtype)
    if out.size:
        kernel = kernel.reshape(groups, features // groups, *kernel.shape[1:])
        for place in np.ndindex(*places):
            starts = [i * w for i, (w, _) in zip(place, steps)]
            limits = [b + (n - 1) * s + 1 for b, n, (_, s) in zip(starts, sizes, steps)]
            strides = [s for _, s in steps]
            part = lax.slice(x, [0, 0, *starts], [*x.shape[:2], *limits], [1, 1, *strides])
            part = part.reshape(x.shape[0], groups, kernel.shape[2], *sizes)
            out += jnp.einsum("ngi...,goi->ngo...", part, kernel[(..., *place)])
    return out.reshape(x.shape[0], features, *sizes)


@op("convolution", sums=True)
def apply_convolution(context, params, bodies, x, kernel):
    if context.wide:

        def convolve(x, kernel):
            return plain_convolution(x, kernel, params)

        return unsure_sum(context, params, convolve(x, kernel), convolve, x, kernel)
    return lax.conv_general_dilated(
        x,
        kernel,
        params["strides"],
        params["padding"],
        lhs_dilation=params["base"],
        rhs_dilation=params["window"],
        feature_group_count=params["groups"],
        precision="highest",
    )


@op("dot", sums=True)
def apply_dot(context, params, bodies, x, y):
    def dot(x, y):
        axes = (params["contract"], params["batch"])
        return lax.dot_general(x, y, axes, precision=lax.Precision.HIGHEST)

    return unsure_sum(context, params, dot(x, y), dot, x, y)


@op("fft", sums=True)
def apply_fft(context, params, bodies, x):
    axis = params["axis"]
    out = getattr(jnp.fft, params["how"])(x, axis=axis).astype(context.dtype(params["dtype"]))

    def add(sizes):  # those of a real result stand for their conjugates, too
        return jnp.broadcast_to(2 * jnp.sum(sizes, axis, keepdims=True), out.shape)

    # An infinite element makes all of them NaN or infinite, by the zeros among the factors.
    huge = jnp.asarray(np.finfo(np.float64).max, x.dtype)
    return unsure_sum(context, params, out, add, jnp.where(jnp.isfinite(x), x, huge))


@op("random", exact=True)
def apply_random(context, params, bodies):
    key = jax.random.key(params["key"], impl="threefry2x32")
    return jax.random.bits(key, params["shape"], params["dtype"])


# ---- control -------------------------------------------------------------------------------------


@op("fori")
def apply_fori(context, params, bodies, x, *captured):
    def body(i, carry):
        return bodies[0](carry, jnp.int32(i), *captured).astype(x.dtype)

    return lax.fori_loop(jnp.int32(params["from"]), jnp.int32(params["to"]), body, x)


@op("while")
def apply_while(context, params, bodies, x, n, *captured):
    n = n.astype(jnp.int32) % params["most"]

    def proceed(state):
        return state[0] < n

    def body(state):
        return state[0] + 1, bodies[0](state[1], state[0], *captured).astype(x.dtype)

    return lax.while_loop(proceed, body, (jnp.int32(0), x))[1]


@op("scan")
def apply_scan(context, params, bodies, x, xs, *captured):
    def body(carry, row):
        carry = bodies[0](carry, row, *captured).astype(carry.dtype)
        return carry, carry

    carry, stacked = lax.scan(body, x, xs, reverse=params["reverse"], unroll=params["unroll"])
    return stacked if params["stacked"] else carry


@op("switch")
def apply_switch(context, params, bodies, which, *args):
    branches = [lambda *a, f=f: f(*a).astype(args[0].dtype) for f in bodies]
    return lax.switch(which.astype(jnp.int32), branches, *args)
