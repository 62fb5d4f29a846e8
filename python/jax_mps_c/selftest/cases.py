# SPDX-License-Identifier: Apache-2.0
"""The functions that both platforms must agree on. A row here is a test of value (jit and eager),
gradient and vmap; test_coverage.py asserts that the rows reach every op of src/ir/ops.def."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax_mps_c.selftest.harness import Case, Spec
from jax import lax

F = Spec((3, 5))
POSITIVE = Spec((3, 5), low=0.2, high=3)
UNIT = Spec((3, 5), low=-0.9, high=0.9)
ABOVE_ONE = Spec((3, 5), low=1.1, high=4)
BOOL = Spec((3, 5), "bool")
I32 = Spec((3, 5), "int32", -1000, 1000)
U32 = Spec((3, 5), "uint32", 0, 2**32 - 1)
C64 = Spec((3, 5), "complex64")

INTS = ("int8", "int16", "int32", "uint8", "uint16", "uint32")
FLOATS = ("float32", "bfloat16", "float16")
WIDE = ("int64", "uint64", "float64", "complex128")

EDGES = np.array(
    [0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 1e-3, 3e38, -3e38, 1e20, np.inf, -np.inf, np.nan],
    np.float32,
)
EDGE_PAIRS = tuple(a.ravel() for a in np.meshgrid(EDGES, EDGES))


def int_edges(dtype: str) -> np.ndarray:
    info = np.iinfo(dtype)
    values = {info.min, info.min + 1, -1, 0, 1, 2, 3, 7, 8, 31, 32, 100, info.max - 1, info.max}
    return np.array(sorted(v for v in values if info.min <= v <= info.max), dtype)


def int_pairs(dtype: str) -> tuple[np.ndarray, ...]:
    edges = int_edges(dtype)
    return tuple(a.ravel() for a in np.meshgrid(edges, edges))


def elementwise() -> list[Case]:
    cases = []
    unary = {
        "abs": F, "acos": UNIT, "acosh": ABOVE_ONE, "asin": UNIT, "asinh": F, "atan": F,
        "atanh": UNIT, "cbrt": POSITIVE, "cos": F, "cosh": F, "erf": F, "erfc": F, "exp": F,
        "erf_inv": UNIT, "expm1": F, "lgamma": POSITIVE, "digamma": POSITIVE, "log": POSITIVE,
        "log1p": POSITIVE, "logistic": F, "neg": F, "rsqrt": POSITIVE, "sin": F, "sinh": F,
        "sqrt": POSITIVE, "square": F, "tan": UNIT, "tanh": F, "bessel_i0e": F, "bessel_i1e": F,
    }
    loose = {"lgamma": 1e-4, "digamma": 2e-4, "erf_inv": 1e-4}
    for name, spec in unary.items():
        cases.append(Case(name, getattr(lax, name), (spec,), grad=True, tolerance=loose.get(name)))
    for name in ("ceil", "floor", "round", "is_finite", "sign"):
        cases.append(Case(name, getattr(lax, name), (F,)))
    cases.append(Case("round_even", functools.partial(
        lax.round, rounding_method=lax.RoundingMethod.TO_NEAREST_EVEN), (EDGES,)))
    cases.append(Case("real_imag_conj", lambda x: (lax.real(x), lax.imag(x), lax.conj(x)), (C64,)))
    cases.append(Case("complex", lax.complex, (F, F)))
    for name in ("not", "clz", "population_count"):
        function = {"not": lax.bitwise_not}.get(name) or getattr(lax, name)
        cases += [Case(f"{name}_{t}", function, (int_edges(t),)) for t in INTS]
    cases.append(Case("not_bool", lax.bitwise_not, (BOOL,)))
    cases.append(Case("reduce_precision", lambda x: lax.reduce_precision(x, 5, 7), (F,)))

    binary = {"add": F, "sub": F, "mul": F, "div": POSITIVE, "max": F, "min": F, "atan2": F,
              "pow": POSITIVE, "rem": POSITIVE, "nextafter": F}
    for name, spec in binary.items():
        grad = name not in ("rem", "nextafter")
        cases.append(Case(name, getattr(lax, name), (spec, spec), grad=grad))
    for name in ("add", "sub", "mul", "div", "max", "min", "rem", "pow", "atan2"):
        cases.append(Case(f"{name}_edges", getattr(lax, name), EDGE_PAIRS, vmap=False))
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        cases.append(Case(f"{name}_edges", getattr(lax, name), EDGE_PAIRS, vmap=False))
        cases.append(Case(f"{name}_uint32", getattr(lax, name), (U32, U32), vmap=False))
    for name in ("exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "cbrt", "tanh", "logistic", "sign",
                 "floor", "ceil", "abs", "neg", "is_finite", "erf", "sin", "cos", "atan", "round"):
        cases.append(Case(f"{name}_edges", getattr(lax, name), (EDGES,), vmap=False))
    for dtype in INTS:
        pairs = int_pairs(dtype)
        for name in ("add", "sub", "mul", "div", "rem", "max", "min", "shift_left",
                     "shift_right_arithmetic", "shift_right_logical"):
            function = getattr(lax, name)
            cases.append(Case(f"{name}_{dtype}", function, pairs, vmap=False, eager=False))
        for name in ("and", "or", "xor"):
            function = getattr(lax, f"bitwise_{name}")
            cases.append(Case(f"{name}_{dtype}", function, pairs, vmap=False, eager=False))
        cases.append(Case(f"sign_abs_{dtype}", lambda x: (lax.sign(x), jnp.abs(x)),
                          (int_edges(dtype),)))
        cases.append(Case(f"power_{dtype}", lambda x: lax.integer_pow(x, 3), (int_edges(dtype),)))
    cases += [Case(f"{name}_bool", getattr(lax, f"bitwise_{name}"), (BOOL, BOOL))
              for name in ("and", "or", "xor")]
    for name in ("abs", "cos", "exp", "expm1", "log", "log1p", "logistic", "neg", "rsqrt", "sign",
                 "sin", "sqrt", "tan", "tanh"):
        function = getattr(lax, name)
        cases.append(Case(f"{name}_complex64", function, (C64,), eager=False, tolerance=2e-4))
    for name in ("add", "sub", "mul", "div", "pow"):
        cases.append(Case(f"{name}_complex64", getattr(lax, name), (C64, C64), tolerance=2e-4))
    for dtype in ("bfloat16", "float16"):
        for name in ("add", "mul", "div", "max", "exp", "tanh", "log", "sqrt", "rsqrt", "logistic"):
            spec = Spec((4, 6), dtype, 0.2, 3)
            count = 2 if name in ("add", "mul", "div", "max") else 1
            cases.append(Case(f"{name}_{dtype}", getattr(lax, name), (spec,) * count))
    cases.append(Case("chain_bfloat16", lambda x, y: jnp.tanh(x * y + x) / (1 + y * y),
                      (Spec((8, 8), "bfloat16"), Spec((8, 8), "bfloat16"))))
    cases.append(Case("select", lambda p, a, b: lax.select(p, a, b), (BOOL, F, F)))
    cases.append(Case("select_scalar", lambda a: lax.select(jnp.array(True), a, -a), (F,), grad=True))
    cases.append(Case("select_n_int", lambda i, a, b: lax.select_n(i, a, b, a + b),
                      (Spec((3, 5), "int32", 0, 2), F, F)))
    cases.append(Case("clamp", lambda x: lax.clamp(-0.5, x, 0.5), (F,), grad=True))
    cases.append(Case("clamp_edges", lambda x: lax.clamp(jnp.float32(-1), x, jnp.float32(1)), (EDGES,)))
    cases.append(Case("where_nan", lambda x: jnp.where(jnp.isnan(x), 0, x), (EDGES,)))
    cases.append(Case("igamma", lax.igamma, (POSITIVE, POSITIVE), tolerance=1e-4))
    cases.append(Case("igammac", lax.igammac, (POSITIVE, POSITIVE), tolerance=1e-4))
    cases.append(Case("igamma_grad_a", lax.igamma_grad_a, (POSITIVE, POSITIVE), tolerance=1e-4))
    cases.append(Case("betainc", lax.betainc, (POSITIVE, POSITIVE, Spec((3, 5), low=.1, high=.9)),
                      tolerance=1e-4, eager=False))
    cases.append(Case("zeta_polygamma", lambda x: (lax.zeta(x + 1.5, x), lax.polygamma(
        jnp.full(x.shape, 1.0), x)), (POSITIVE,), tolerance=1e-4))
    return cases


def conversions() -> list[Case]:
    cases = []
    kinds = (*INTS, *FLOATS, "bool")
    for source in kinds:
        for target in kinds:
            if source == target:
                continue
            if source in INTS:
                values = int_edges(source)
            elif source == "bool":
                values = np.array([True, False])
            else:
                low = 0 if target.startswith("uint") else -100
                values = np.linspace(low, 100, 41).astype(jnp.dtype(source))
            function = functools.partial(lax.convert_element_type, new_dtype=target)
            cases.append(Case(f"convert_{source}_{target}", function, (values,), vmap=False,
                              eager=False))
    for target in ("int8", "int32", "uint8", "uint32"):
        cases.append(Case(f"convert_edges_{target}", functools.partial(
            lax.convert_element_type, new_dtype=target), (EDGES,), vmap=False))
    for target in ("bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"):
        values = np.concatenate([EDGES, np.linspace(-3, 3, 101, dtype=np.float32)])
        cases.append(Case(f"round_trip_{target}", lambda x, t=target: x.astype(t).astype("float32"),
                          (values,), vmap=False))
    cases.append(Case("bitcast", lambda x: lax.bitcast_convert_type(x, "int32"), (F,)))
    cases.append(Case("bitcast_narrow", lambda x: lax.bitcast_convert_type(x, "uint8"), (F,)))
    cases.append(Case("bitcast_wide", lambda x: lax.bitcast_convert_type(x, "uint32"),
                      (Spec((3, 4), "uint8", 0, 255),)))
    cases.append(Case("int4", lambda x: (x.astype("int4") + 1).astype("int32"),
                      (Spec((9,), "int32", -8, 7),)))
    return cases


def movement() -> list[Case]:
    cube = Spec((2, 3, 4))
    zero = jnp.float32(0.5)
    cases = [
        Case("reshape", lambda x: x.reshape(4, 6), (cube,), grad=True),
        Case("transpose", lambda x: x.transpose(2, 0, 1), (cube,), grad=True),
        Case("broadcast", lambda x: lax.broadcast_in_dim(x, (2, 5, 3), (0, 2)), (Spec((2, 3)),),
             grad=True),
        Case("broadcast_one", lambda x: jnp.broadcast_to(x, (4, 3, 5)), (Spec((3, 1)),), grad=True),
        Case("reverse", lambda x: lax.rev(x, (0, 2)), (cube,), grad=True),
        Case("slice", lambda x: lax.slice(x, (0, 1, 0), (2, 3, 4), (1, 1, 2)), (cube,), grad=True),
        Case("concatenate", lambda x, y: jnp.concatenate([x, y, x], 1), (cube, Spec((2, 2, 4))),
             grad=True),
        Case("concatenate_empty", lambda x: jnp.concatenate([x, x[:, :0]], 1), (cube,)),
        Case("pad", lambda x: lax.pad(x, zero, ((1, 2, 0), (0, 0, 1), (3, 0, 2))), (cube,), grad=True),
        Case("pad_negative", lambda x: lax.pad(x, zero, ((0, 0, 0), (-1, 2, 0), (1, -2, 1))), (cube,),
             grad=True),
        Case("iota", lambda: (lax.iota("int32", 7), lax.broadcasted_iota("float32", (2, 3), 1)), (),
             vmap=False),
        Case("empty", lambda x: (x + 1, x.sum(), x.T), (Spec((0, 3)),)),
        Case("scalar", lambda x: x * 2 + 1, (Spec(()),), grad=True),
        Case("tile_repeat", lambda x: (jnp.tile(x, (2, 1, 2)), jnp.repeat(x, 2, 1)), (cube,),
             grad=True),
        Case("roll", lambda x: jnp.roll(x, 2, 1), (cube,), grad=True),
        Case("tri", lambda x: (jnp.tril(x), jnp.triu(x, 1)), (cube,), grad=True),
        Case("transpose_int8", lambda x: x.T, (Spec((5, 7), "int8", -128, 127),)),
        Case("constants", lambda x: x + np.arange(15, dtype=np.float32).reshape(3, 5), (F,)),
        Case("barrier", lambda x: lax.optimization_barrier((x + 1, x * 2)), (F,)),
    ]
    return cases


def indexing() -> list[Case]:
    table = Spec((6, 4))
    rows = Spec((5,), "int32", 0, 5)
    wild = np.array([0, 5, 6, -1, -7, 100, 2**31 - 1, -(2**31)], np.int32)
    updates = Spec((8, 4))
    cases = [
        Case("gather", lambda x, i: x[i], (table, rows), grad=True),
        Case("gather_pairs", lambda x, i: x[i, i % 4], (table, rows), grad=True),
        Case("take_along", lambda x, i: jnp.take_along_axis(x, i, 0),
             (table, Spec((3, 4), "int32", 0, 5)), grad=True),
        Case("dynamic_slice", lambda x, i: lax.dynamic_slice(x, (i, i - 1), (3, 2)),
             (table, np.int32(2)), grad=True),
        Case("dynamic_slice_clamped", lambda x: [lax.dynamic_slice(x, (i, -i), (3, 2))
                                                 for i in (-9, 5, 2**31 - 1)], (table,)),
        Case("dynamic_update", lambda x, u, i: lax.dynamic_update_slice(x, u, (i, 1)),
             (table, Spec((2, 3)), np.int32(3)), grad=True),
        Case("dynamic_update_clamped", lambda x, u: [lax.dynamic_update_slice(x, u, (i, i))
                                                     for i in (-9, 100)], (table, Spec((2, 3)))),
        Case("dynamic_index_uint8", lambda x, i: lax.dynamic_slice(x, (i, i), (2, 2)),
             (table, np.uint8(200))),
        Case("mixed_index", lambda x, i: x[i, 1:3][:, None], (table, rows), grad=True),
        Case("boolean_select", lambda x: jnp.where(x > 0, x, 0).sum(), (table,), grad=True),
    ]
    for mode in ("clip", "fill", "promise_in_bounds"):
        index = wild if mode != "promise_in_bounds" else np.abs(wild) % 6
        cases.append(Case(f"gather_{mode}", lambda x, i, m=mode: x.at[i].get(mode=m), (table, index),
                          grad=True, vmap=False))
    for name in ("set", "add", "multiply", "min", "max"):
        for mode in ("drop", "clip"):
            cases.append(Case(
                f"scatter_{name}_{mode}",
                lambda x, i, u, n=name, m=mode: getattr(x.at[i], n)(u, mode=m),
                (table, wild, updates), vmap=False))
        cases.append(Case(
            f"scatter_{name}", lambda x, i, u, n=name: getattr(x.at[i], n)(u),
            (table, np.array([0, 3, 3, 5, 0], np.int32), Spec((5, 4))), grad=name in ("set", "add")))
    cases += [
        Case("scatter_duplicates_in_order", lambda x, i: x.at[i].set(jnp.arange(8.0)),
             (Spec((6,)), np.array([1, 1, 2, 1, 2, 5, 5, 5], np.int32)), vmap=False),
        Case("scatter_int", lambda x, i: x.at[i].add(1), (Spec((6,), "int32"), rows)),
        Case("scatter_bfloat16", lambda x, i: x.at[i].add(1), (Spec((6, 2), "bfloat16"), rows)),
        Case("scatter_slice", lambda x: x.at[1:3, ::2].set(7.0), (table,), grad=True),
        Case("segment_sum", lambda x, i: jax.ops.segment_sum(x, i, 6), (Spec((5, 4)), rows), grad=True),
        Case("scatter_apply", lambda x, i: x.at[i].apply(jnp.sin), (Spec((6,)),
             np.array([0, 4, 2], np.int32))),
        Case("bincount", lambda i: jnp.bincount(i, length=6), (rows,)),
    ]
    return cases


def reductions() -> list[Case]:
    cube = Spec((3, 4, 5))
    cases = []
    for name in ("sum", "prod", "max", "min", "mean", "var"):
        function = getattr(jnp, name)
        for axis in (None, 0, -1, (0, 2)):
            cases.append(Case(f"{name}_{axis}", functools.partial(function, axis=axis), (cube,),
                              grad=True, eager=axis is None))
    for name in ("all", "any"):
        cases.append(Case(name, functools.partial(getattr(jnp, name), axis=1),
                          (Spec((3, 4, 5), "bool"),)))
    for dtype in (*INTS, "bfloat16", "float16"):
        low = 0 if dtype.startswith("uint") else -20
        spec = Spec((5, 7), dtype, low, 20)
        cases.append(Case(f"sum_max_{dtype}", lambda x: (x.sum(0), x.max(1), x.min()), (spec,),
                          eager=False))
    cases += [
        Case("max_nan", lambda x: (jnp.max(x), jnp.min(x), jnp.sum(x)), (EDGES,), vmap=False),
        Case("argmax", lambda x: (jnp.argmax(x, 0), jnp.argmin(x, 2), jnp.argmax(x)), (cube,)),
        Case("argmax_edges", lambda x: (jnp.argmax(x), jnp.argmin(x)), (EDGES,), vmap=False),
        Case("reduce_any_body", lambda x: lax.reduce(x, 1.0, lambda a, b: a * 0.5 + b, (1,)), (F,),
             vmap=False),
        Case("reduce_two", lambda x, y: lax.reduce(
            (x, y), (0.0, 1.0), lambda a, b: (a[0] + b[0], a[1] * b[1]), (0,)), (F, F)),
        Case("reduce_xor", lambda x: lax.reduce(x, np.uint32(0), lax.bitwise_xor, (0,)), (U32,)),
        Case("logsumexp", lambda x: jax.nn.logsumexp(x, axis=-1), (cube,), grad=True),
        Case("softmax", lambda x: jax.nn.softmax(x, axis=-1), (cube,), grad=True),
        Case("layer_norm", lambda x: (x - x.mean(-1, keepdims=True)) * lax.rsqrt(
            x.var(-1, keepdims=True) + 1e-5), (cube,), grad=True),
        Case("norm", lambda x: jnp.linalg.norm(x, axis=-1), (cube,), grad=True),
        Case("large_sum", lambda x: x.sum(), (Spec((1000, 301)),), vmap=False),
        Case("sum_complex", lambda x: (x.sum(0), x.prod(1)), (C64,)),
    ]
    for name in ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"):
        function = getattr(lax, name)
        cases.append(Case(name, functools.partial(function, axis=1), (cube,), grad=name == "cumsum"))
        cases.append(Case(f"{name}_reverse", functools.partial(function, axis=2, reverse=True),
                          (cube,), eager=False))
    image = Spec((2, 8, 9, 3))
    cases += [
        Case("max_pool", lambda x: lax.reduce_window(
            x, -jnp.inf, lax.max, (1, 3, 2, 1), (1, 2, 2, 1), "SAME"), (image,), grad=True),
        Case("min_pool", lambda x: lax.reduce_window(
            x, jnp.inf, lax.min, (1, 2, 2, 1), (1, 2, 1, 1), "VALID"), (image,), grad=True),
        Case("avg_pool", lambda x: lax.reduce_window(
            x, 0.0, lax.add, (1, 3, 3, 1), (1, 1, 1, 1), "SAME"), (image,), grad=True),
        Case("window_dilated", lambda x: lax.reduce_window(
            x, 0.0, lax.add, (2, 3), (1, 2), ((1, 0), (2, 1)), (2, 1), (1, 2)), (F,), grad=True),
        Case("window_any_body", lambda x: lax.reduce_window(
            x, 0.0, lambda a, b: a * 0.5 + b, (2, 2), (1, 1), "VALID"), (F,), vmap=False),
        Case("window_int", lambda x: lax.reduce_window(
            x, np.int32(0), lax.add, (2, 2), (1, 1), "VALID"), (I32,)),
        Case("associative_scan", lambda x: lax.associative_scan(jnp.add, x, axis=1), (cube,),
             grad=True),
        Case("map_body", lambda x: jax.lax.map(lambda r: jnp.sin(r) * 2, x), (cube,), grad=True),
    ]
    return cases


def products() -> list[Case]:
    a, b = Spec((4, 6)), Spec((6, 5))
    cases = [
        Case("matmul", jnp.matmul, (a, b), grad=True),
        Case("matmul_batched", jnp.matmul, (Spec((3, 4, 6)), Spec((3, 6, 5))), grad=True),
        Case("matvec", jnp.matmul, (a, Spec((6,))), grad=True),
        Case("inner", jnp.dot, (Spec((7,)), Spec((7,))), grad=True),
        Case("outer", jnp.outer, (Spec((3,)), Spec((4,))), grad=True),
        Case("einsum", lambda x, y: jnp.einsum("bij,bkj->bik", x, y),
             (Spec((2, 3, 4)), Spec((2, 5, 4))), grad=True),
        Case("tensordot", lambda x, y: jnp.tensordot(x, y, ((0, 2), (1, 0))),
             (Spec((3, 4, 5)), Spec((5, 3, 2))), grad=True),
        Case("dot_transposed", lambda x, y: x.T @ y.T, (Spec((6, 4)), Spec((5, 6))), grad=True),
        Case("dot_empty", jnp.matmul, (Spec((3, 0)), Spec((0, 4)))),
        Case("dot_large", jnp.matmul, (Spec((130, 257)), Spec((257, 65))), vmap=False),
        Case("dot_highest", functools.partial(jnp.matmul, precision="highest"), (a, b)),
        Case("dot_complex64", jnp.matmul, (Spec((3, 4), "complex64"), Spec((4, 5), "complex64"))),
        Case("dot_bfloat16_float32", lambda x, y: lax.dot(
            x, y, preferred_element_type=jnp.float32),
            (Spec((4, 6), "bfloat16"), Spec((6, 5), "bfloat16"))),
        Case("dot_int8_int32", lambda x, y: lax.dot(x, y, preferred_element_type=jnp.int32),
             (Spec((4, 6), "int8", -100, 100), Spec((6, 5), "int8", -100, 100))),
        Case("dot_rows_scaled", lambda x, y: jnp.einsum("i,ij->ij", x, y),
             (Spec((5,)), Spec((5, 4))), grad=True),
        Case("dot_one_term", jnp.matmul, (Spec((3, 1), "bfloat16"), Spec((1, 4), "bfloat16"))),
        Case("dot_one_term_sign", lambda x, y: 1 / ((0 * x) @ y),
             (Spec((3, 1), low=-2, high=-1), Spec((1, 4)))),
        Case("attention", lambda q, k, v: jnp.einsum("hqk,hkd->hqd", jax.nn.softmax(
            jnp.einsum("hqd,hkd->hqk", q, k)), v), (Spec((2, 4, 8)),) * 3, grad=True),
    ]
    for dtype in (*INTS, "bfloat16", "float16"):
        low = 0 if dtype.startswith("uint") else -3
        cases.append(Case(f"matmul_{dtype}", jnp.matmul,
                          (Spec((4, 6), dtype, low, 3), Spec((6, 5), dtype, low, 3)), eager=False,
                          tolerance=2e-2 if dtype == "bfloat16" else None))
    return cases


def convolutions() -> list[Case]:
    image, kernel = Spec((2, 8, 7, 3)), Spec((3, 3, 3, 4))
    layout = ("NHWC", "HWIO", "NHWC")

    def conv(**options):
        options = {"window_strides": (1, 1), "padding": "SAME", "dimension_numbers": layout} | options
        return lambda x, w: lax.conv_general_dilated(x, w, **options)

    rows = {
        "same": {}, "valid": {"padding": "VALID"}, "strided": {"window_strides": (2, 3)},
        "padded": {"padding": ((3, 1), (0, 2))}, "negative_pad": {"padding": ((-1, 0), (1, -2))},
        "dilated": {"rhs_dilation": (2, 1)}, "transposed": {"lhs_dilation": (2, 2), "padding": ((2, 1), (1, 2))},
        "both": {"lhs_dilation": (1, 2), "rhs_dilation": (2, 2), "window_strides": (2, 1),
                 "padding": ((3, 2), (0, 4))},
    }
    cases = [Case(f"conv_{name}", conv(**options), (image, kernel), grad=True, eager=name == "same")
             for name, options in rows.items()]
    cases += [
        Case("conv_nchw", lambda x, w: lax.conv_general_dilated(x, w, (1, 2), "SAME"),
             (Spec((2, 3, 8, 7)), Spec((4, 3, 3, 3))), grad=True),
        Case("conv_grouped", conv(feature_group_count=3), (image, Spec((3, 3, 1, 6))), grad=True),
        Case("conv_batch_group", conv(batch_group_count=2), (Spec((4, 6, 6, 3)), Spec((3, 3, 3, 4))),
             grad=True),
        Case("conv_1x1", conv(), (image, Spec((1, 1, 3, 8))), grad=True),
        Case("conv_1d", lambda x, w: lax.conv_general_dilated(x, w, (2,), "SAME"),
             (Spec((2, 3, 9)), Spec((4, 3, 3))), grad=True),
        Case("conv_3d", lambda x, w: lax.conv_general_dilated(x, w, (1, 1, 2), "SAME"),
             (Spec((1, 2, 4, 5, 6)), Spec((3, 2, 2, 3, 3))), grad=True, vmap=False),
        Case("conv_transpose", lambda x, w: lax.conv_transpose(x, w, (2, 2), "SAME"), (image, kernel),
             grad=True),
        Case("conv_bfloat16", conv(), (Spec((2, 6, 6, 3), "bfloat16"), Spec((3, 3, 3, 4), "bfloat16")),
             tolerance=3e-2),
        Case("conv_int32", conv(), (Spec((1, 5, 5, 2), "int32", -9, 9),
                                    Spec((3, 3, 2, 3), "int32", -9, 9))),
        Case("conv_resnet", conv(window_strides=(2, 2)), (Spec((4, 16, 16, 32)), Spec((3, 3, 32, 48))),
             grad=True, vmap=False, tolerance=1e-4),  # sums of 288 products
        Case("batch_norm", lambda x: (x - x.mean((0, 1, 2))) * lax.rsqrt(x.var((0, 1, 2)) + 1e-5),
             (image,), grad=True),
    ]
    return cases


def ordering() -> list[Case]:
    cube = Spec((3, 4, 5))
    return [
        Case("sort", lambda x: jnp.sort(x, 1), (cube,), grad=True),
        Case("sort_edges", jnp.sort, (np.concatenate([EDGES, EDGES]),), vmap=False),
        Case("sort_descending", lambda x: jnp.sort(x, descending=True), (cube,)),
        Case("sort_int8", jnp.sort, (Spec((4, 33), "int8", -128, 127),)),
        Case("sort_uint32", jnp.sort, (U32,)),
        Case("sort_bfloat16", jnp.sort, (Spec((4, 33), "bfloat16"),)),
        Case("argsort", lambda x: jnp.argsort(x, 0), (cube,)),
        Case("argsort_stable", jnp.argsort, (Spec((64,), "int32", 0, 5),)),
        Case("lexsort", lambda x, y: jnp.lexsort((x, y)),
             (Spec((50,), "int32", 0, 9), Spec((50,), "int32", 0, 4))),
        Case("sort_pairs", lambda x, y: lax.sort((x, y), num_keys=1), (F, I32)),
        Case("sort_two_keys", lambda x, y: lax.sort((x, y), num_keys=2),
             (Spec((40,), "int32", 0, 3), Spec((40,)))),
        Case("top_k", lambda x: lax.top_k(x, 3), (cube,), grad=True),
        Case("top_k_int", lambda x: lax.top_k(x, 2), (I32,)),
        Case("top_k_edges", lambda x: lax.top_k(x, 7), (EDGES,), vmap=False),
        Case("searchsorted", jnp.searchsorted, (np.arange(10, dtype=np.float32), Spec((7,), low=-1,
                                                                                     high=11))),
        Case("median", jnp.median, (cube,), grad=True),
        Case("unique", lambda x: jnp.unique(x, size=6, fill_value=-1),
             (Spec((20,), "int32", 0, 4),), vmap=False),
        Case("sort_large", jnp.sort, (Spec((20000,)),), vmap=False),
    ]


def control() -> list[Case]:
    def collatz(n):
        def body(state):
            n, count = state
            return jnp.where(n % 2 == 0, n // 2, 3 * n + 1), count + 1
        return lax.while_loop(lambda s: s[0] != 1, body, (n, 0))[1]

    def newton(x):
        return lax.fori_loop(0, 20, lambda _, y: 0.5 * (y + x / y), x)

    def rnn(x, w):
        def step(h, row):
            h = jnp.tanh(h @ w + row)
            return h, h
        return lax.scan(step, jnp.zeros(x.shape[-1]), x)

    def nested(x):
        return lax.fori_loop(0, 3, lambda i, y: lax.fori_loop(
            0, i + 1, lambda j, z: z * 1.1 + j, y), x)

    scalar = Spec((), low=0.5, high=2)
    branch = np.int32(1)
    return [
        Case("while", collatz, (np.int32(27),)),
        Case("fori", newton, (POSITIVE,), grad=True),
        Case("scan", rnn, (Spec((6, 4)), Spec((4, 4))), grad=True),
        Case("scan_reverse", lambda x: lax.scan(
            lambda c, r: (c + r, c * r), jnp.zeros(5), x, reverse=True), (F,), grad=True),
        Case("scan_checkpoint", lambda x, w: rnn(x, w)[0] + jax.checkpoint(rnn)(x, w)[0],
             (Spec((6, 4)), Spec((4, 4))), grad=True),
        Case("nested_loops", nested, (F,)),
        Case("loop_swaps", lambda x, y: lax.fori_loop(0, 5, lambda _, s: (s[1], s[0] + 1), (x, y)),
             (F, F)),
        Case("loop_captures", lambda x, y: lax.fori_loop(0, 3, lambda _, s: s + y, x), (F, F)),
        Case("loop_never", lambda x: lax.while_loop(lambda s: False, lambda s: s * 0, x), (F,),
             eager=False),
        Case("cond", lambda p, x: lax.cond(p > 1, lambda v: v * 2, lambda v: -v, x), (scalar, F),
             grad=True),
        Case("switch", lambda i, x: lax.switch(i, [jnp.sin, jnp.cos, lambda v: v * 3], x),
             (branch, F), grad=True),
        Case("switch_clamped", lambda x: [lax.switch(jnp.int32(i), [jnp.sin, jnp.cos], x)
                                          for i in (-5, 9)], (F,), eager=False),
        Case("cond_in_loop", lambda x: lax.fori_loop(0, 6, lambda i, y: lax.cond(
            i % 2 == 0, lambda v: v + 1, lambda v: v * 1.5, y), x), (F,)),
        Case("linear_solve", lambda x: lax.custom_root(
            lambda y: y * y - x, jnp.ones_like(x), lambda f, y: newton(x),
            lambda g, y: y / g(jnp.ones_like(y))), (POSITIVE,), grad=True, eager=False),
        Case("jvp", lambda x: jax.jvp(jnp.sin, (x,), (jnp.ones_like(x),)), (F,)),
        Case("hessian", jax.hessian(lambda x: jnp.sum(jnp.sin(x) * x**3)), (Spec((4,)),), eager=False),
        Case("jacfwd", jax.jacfwd(lambda x: jnp.tanh(x) * x.sum()), (Spec((4,)),), eager=False),
    ]


def decompositions() -> list[Case]:
    def positive(x):
        return x @ x.T + 4 * jnp.eye(x.shape[0])

    square = Spec((4, 4))
    return [
        Case("cholesky", lambda x: jnp.linalg.cholesky(positive(x)), (square,), grad=True),
        Case("cholesky_not_positive", jnp.linalg.cholesky, (-np.eye(3, dtype=np.float32),),
             vmap=False),
        Case("triangular_solve", lambda x, b: lax.linalg.triangular_solve(
            jnp.tril(x) + 3 * jnp.eye(4), b, left_side=True, lower=True), (square, Spec((4, 3))),
            grad=True),
        Case("triangular_upper_transposed", lambda x, b: lax.linalg.triangular_solve(
            jnp.triu(x) + 3 * jnp.eye(4), b, left_side=False, lower=False, transpose_a=True),
            (square, Spec((3, 4))), grad=True),
        Case("triangular_unit", lambda x, b: lax.linalg.triangular_solve(
            x, b, left_side=True, lower=True, unit_diagonal=True), (square, Spec((4, 2)))),
    ]


def transforms() -> list[Case]:
    return [
        Case("fft", jnp.fft.fft, (Spec((3, 8), "complex64"),)),
        Case("fft_odd", jnp.fft.fft, (Spec((3, 15), "complex64"),)),
        Case("fft_prime", jnp.fft.fft, (Spec((2, 37), "complex64"),)),
        Case("ifft", jnp.fft.ifft, (Spec((3, 12), "complex64"),)),
        Case("rfft", jnp.fft.rfft, (Spec((3, 10)),), grad=True),
        Case("rfft_odd", jnp.fft.rfft, (Spec((3, 9)),), grad=True),
        Case("irfft", lambda x: jnp.fft.irfft(x, 10), (Spec((3, 6), "complex64"),)),
        Case("irfft_odd", lambda x: jnp.fft.irfft(x, 11), (Spec((3, 6), "complex64"),)),
        Case("fft2", jnp.fft.fft2, (Spec((2, 6, 5), "complex64"),)),
        Case("rfftn", jnp.fft.rfftn, (Spec((4, 6, 5)),)),
        Case("fft_large", jnp.fft.fft, (Spec((2, 4096), "complex64"),), vmap=False),
    ]


def randomness() -> list[Case]:
    def draw(method, implementation="threefry2x32"):
        def function(seed):
            return method(jax.random.key(seed, impl=implementation))
        return function

    seed = np.uint32(42)
    rows = {
        "uniform": lambda k: jax.random.uniform(k, (100,)),
        "normal": lambda k: jax.random.normal(k, (100,)),
        "bits": lambda k: jax.random.bits(k, (33,), "uint32"),
        "bits8": lambda k: jax.random.bits(k, (33,), "uint8"),
        "randint": lambda k: jax.random.randint(k, (50,), -7, 90),
        "bernoulli": lambda k: jax.random.bernoulli(k, 0.3, (50,)),
        "permutation": lambda k: jax.random.permutation(k, 40),
        "categorical": lambda k: jax.random.categorical(k, jnp.arange(5.0), shape=(30,)),
        "split_fold": lambda k: jax.random.key_data(jax.random.fold_in(jax.random.split(k)[1], 7)),
        "gumbel": lambda k: jax.random.gumbel(k, (50,)),
        "truncated": lambda k: jax.random.truncated_normal(k, -1, 1, (50,)),
        "bfloat16": lambda k: jax.random.uniform(k, (20,), "bfloat16"),
    }
    cases = [Case(f"random_{name}", draw(method), (seed,), eager=False, tolerance=1e-4)
             for name, method in rows.items()]
    for name in ("gamma", "exponential", "poisson"):
        arguments = {"gamma": (2.0, (10,)), "exponential": ((10,),), "poisson": (3.0, (10,))}[name]
        cases.append(Case(f"random_{name}", draw(
            lambda k, n=name, a=arguments: getattr(jax.random, n)(k, *a)), (seed,), eager=False,
            vmap=False, tolerance=1e-3))
    for implementation in ("rbg", "unsafe_rbg"):
        cases.append(Case(f"random_{implementation}", draw(
            lambda k: (jax.random.bits(k, (37,), "uint32"), jax.random.uniform(k, (9,))),
            implementation), (seed,), eager=False, vmap=False))
    for algorithm in ("RNG_DEFAULT", "RNG_THREE_FRY", "RNG_PHILOX"):
        for dtype in ("uint8", "uint16", "uint32"):
            cases.append(Case(
                f"rng_bits_{algorithm}_{dtype}",
                lambda key, a=algorithm, t=dtype: lax.rng_bit_generator(
                    key, (5, 7), t, getattr(lax.RandomAlgorithm, a)),
                (np.arange(1, 5, dtype=np.uint32),), vmap=False, eager=False))
    return cases


def wide() -> list[Case]:
    """64-bit types, with jax_enable_x64."""
    cases = []
    for dtype in ("int64", "uint64"):
        pairs = int_pairs(dtype)
        for name in ("add", "sub", "mul", "div", "rem", "max", "lt", "shift_left",
                     "shift_right_logical", "shift_right_arithmetic"):
            cases.append(Case(f"{name}_{dtype}", getattr(lax, name), pairs, vmap=False, eager=False))
    f64, c128 = Spec((3, 5), "float64", 0.2, 3), Spec((3, 5), "complex128")
    for name in ("exp", "log", "sin", "tanh", "sqrt", "rsqrt", "logistic", "erf", "log1p", "expm1"):
        cases.append(Case(f"{name}_float64", getattr(lax, name), (f64,), grad=True, eager=False))
    for name in ("exp", "sin", "sqrt", "abs", "log"):
        cases.append(Case(f"{name}_complex128", getattr(lax, name), (c128,), eager=False,
                          tolerance=1e-10))
    cases += [
        Case("matmul_float64", jnp.matmul, (Spec((4, 6), "float64"), Spec((6, 5), "float64")),
             grad=True),
        Case("matmul_complex128", jnp.matmul, (Spec((4, 6), "complex128"), Spec((6, 5), "complex128"))),
        Case("matmul_int64", jnp.matmul, (Spec((4, 6), "int64", -99, 99), Spec((6, 5), "int64", -9, 9))),
        Case("conv_float64", lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "SAME"),
             (Spec((1, 2, 5, 5), "float64"), Spec((3, 2, 3, 3), "float64")), grad=True),
        Case("sum_float64", lambda x: (x.sum(), x.prod(0), x.max(1)), (f64,), grad=True),
        Case("sort_float64", jnp.sort, (f64,)),
        Case("cholesky_float64", lambda x: jnp.linalg.cholesky(x @ x.T + 4 * jnp.eye(4)),
             (Spec((4, 4), "float64"),)),
        Case("fft_complex128", jnp.fft.fft, (Spec((2, 15), "complex128"),)),
        Case("gather_int64_index", lambda x, i: x[i], (Spec((6, 4)), Spec((5,), "int64", -8, 8))),
        Case("random_uniform_float64", lambda s: jax.random.uniform(
            jax.random.key(s), (20,), "float64"), (np.uint32(3),), eager=False, vmap=False),
        Case("random_rbg_float64", lambda s: jax.random.uniform(
            jax.random.key(s, impl="rbg"), (20,), "float64"), (np.uint32(3),), eager=False, vmap=False),
        Case("iota_int64", lambda: jnp.arange(9), (), vmap=False),
        Case("bitcast_64", lambda x: lax.bitcast_convert_type(x, "uint32"), (f64,)),
        Case("fori_int64", lambda x: lax.fori_loop(0, 9, lambda i, y: y * 3 + i, x), (np.int64(5),)),
    ]
    for source in ("int64", "uint64", "float64", "int32", "float32", "bfloat16", "bool"):
        for target in ("int64", "uint64", "float64", "int32", "float32", "uint8", "bool"):
            if source != target:
                low = 0 if target.startswith("uint") or source.startswith("uint") else -100
                spec = Spec((12,), source, low, 100)
                cases.append(Case(f"convert_{source}_{target}_x64", functools.partial(
                    lax.convert_element_type, new_dtype=target), (spec,), vmap=False, eager=False))
    return [Case(**{**case.__dict__, "x64": True}) for case in cases]


GROUPS = (elementwise, conversions, movement, indexing, reductions, products, convolutions, ordering,
          control, decompositions, transforms, randomness)
CASES = [case for group in GROUPS for case in group()] + wide()
