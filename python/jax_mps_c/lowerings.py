# SPDX-License-Identifier: Apache-2.0
"""How primitives that JAX lowers for named platforms alone, or badly, are lowered for ours.

Linear algebra becomes custom calls `mps.<name>.v1` of the library. Every row names its target, and
the parameters that become the target's configuration; what the library gives is what JAX gives on
the CPU, NaN where a matrix has no answer. Exported programs contain these calls: what a version
means stays as it is and readable (src/stablehlo/custom_call.c), a change of it is a new version. Cumulative sums become sums of blocks, which are faster and
far more accurate than one long one. Special functions and the random bits' cipher become composites
`mps.<name>`: one op for an engine that knows it, JAX's own rule for every other reader of the program.
Derivatives and batching are JAX's own.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import math
import operator
from typing import Any, Callable

from jax_mps_c import compat, user_kernel

PLATFORM = "mps"


@dataclasses.dataclass(frozen=True)
class Lowering:
    """One primitive of jax.lax.linalg. `configure` gets the shape of the first operand and the
    primitive's parameters by name, and returns the custom call's configuration."""

    primitive: str
    target: str
    configure: Callable[..., dict[str, Any]]
    since: str = "0.4.38"  # the version of jax that brought the primitive


# The end of a range of eigenvalues or singular values where all are wanted: the size may be symbolic.
TO_THE_END = -1


def only_default(primitive: str, **params: Any) -> None:
    """Refuses parameters that a rule doesn't know, unless they ask for nothing."""
    for name, value in params.items():
        if value is not None and value is not False:
            raise NotImplementedError(f"{primitive} with {name}={value} on platform {PLATFORM}")


def algorithm_name(algorithm: Any) -> str:
    """JAX's enumerations of algorithms, and None, by name."""
    return "DEFAULT" if algorithm is None else getattr(algorithm, "name", str(algorithm))


def configure_eigh(
    shape, *, lower, subset_by_index=None, algorithm=None, sort_eigenvalues=True, **params
):
    del sort_eigenvalues  # they always come sorted
    # There is one way to compute them. JAX's own `QR` is divide and conquer on the CPU, too, and it
    # takes the other names on platforms other than that.
    del algorithm
    only_default("eigh", **params)
    low, high = subset_by_index or (0, TO_THE_END)
    return {"lower": bool(lower), "low": low, "high": high}


def configure_svd(
    shape, *, full_matrices=True, compute_uv=True, subset_by_index=None, algorithm=None, **params
):
    del compute_uv  # the number of results says it
    only_default("svd", **params)
    name = algorithm_name(algorithm)
    if name not in ("DEFAULT", "QR", "DIVIDE_AND_CONQUER"):
        raise NotImplementedError(f"svd by {name} on platform {PLATFORM}")
    low, high = subset_by_index or (0, TO_THE_END)
    if subset_by_index:
        high = min(high, *shape[-2:])
    return {
        "full": full_matrices is None or bool(full_matrices),
        "qr": name == "QR",
        "low": low,
        "high": high,
    }


def configure_eig(
    shape,
    *,
    compute_left_eigenvectors,
    compute_right_eigenvectors,
    enable_eigvec_derivs=False,
    implementation=None,
    **params,
):
    del enable_eigvec_derivs  # a matter of JAX's rule for derivatives
    only_default("eig", **params)
    if algorithm_name(implementation) not in ("DEFAULT", "LAPACK"):
        raise NotImplementedError(f"eig by {algorithm_name(implementation)} on platform {PLATFORM}")
    return {"left": bool(compute_left_eigenvectors), "right": bool(compute_right_eigenvectors)}


def configure_schur(shape, *, compute_schur_vectors, select_callable=None, **params):
    del compute_schur_vectors  # the number of results says it
    del select_callable  # means something to a sort alone
    only_default("schur", **params)
    return {}


def configure_geqp3(shape, *, use_magma=None, **params):
    del use_magma  # where to compute on a CUDA machine
    only_default("geqp3", **params)
    return {}


def configure_tridiagonal(shape, *, lower, **params):
    only_default("tridiagonal", **params)
    return {"lower": bool(lower)}


def configure_tridiagonal_solve(shape, *, perturb_singular=False, **params):
    only_default("tridiagonal_solve", **params)
    return {"perturb": bool(perturb_singular)}


def configure_ormqr(shape, *, left, transpose, **params):
    only_default("ormqr", **params)
    return {"left": bool(left), "transpose": bool(transpose)}


def configure_nothing(shape, **params):
    only_default("this primitive", **params)
    return {}


LOWERINGS = (
    Lowering("eigh_p", "mps.eigh.v1", configure_eigh),
    Lowering("svd_p", "mps.svd.v1", configure_svd),
    Lowering("eig_p", "mps.eig.v1", configure_eig),
    Lowering("schur_p", "mps.schur.v1", configure_schur),
    Lowering("hessenberg_p", "mps.hessenberg.v1", configure_nothing),
    Lowering("tridiagonal_p", "mps.tridiagonal.v1", configure_tridiagonal),
    Lowering("tridiagonal_solve_p", "mps.tridiagonal_solve.v1", configure_tridiagonal_solve),
    Lowering("lu_p", "mps.lu.v1", configure_nothing),
    Lowering("geqp3_p", "mps.geqp3.v1", configure_geqp3, since="0.5.0"),
    Lowering("ormqr_p", "mps.ormqr.v1", configure_ormqr, since="0.10.0"),
)


# What an exported program may contain: JAX refuses to serialize other custom calls.
STABLE_TARGETS = (*(row.target for row in LOWERINGS), user_kernel.TARGET)


@dataclasses.dataclass(frozen=True)
class Cumulation:
    """A cumulative primitive of jax.lax: what joins two values, and what changes none."""

    primitive: str
    join: Callable[[Any, Any], Any]
    identity: float


def logaddexp(x: Any, y: Any) -> Any:
    import jax.numpy as jnp

    return jnp.logaddexp(x, y)


CUMULATIONS = (
    Cumulation("cumsum_p", operator.add, 0),
    Cumulation("cumprod_p", operator.mul, 1),
    Cumulation("cumlogsumexp_p", logaddexp, -math.inf),
)

BLOCK = 128  # values that are added up one by one
SYMBOLIC_LEVELS = 2  # of blocks where an exported program does not know the size


def cumulate(cumulation: Cumulation, x: Any, *, axis: int, reverse: bool) -> Any:
    """A cumulative sum, product or log-sum-exp; narrow floats are accumulated in float32."""
    import jax.numpy as jnp

    narrow = jnp.issubdtype(x.dtype, jnp.floating) and x.dtype.itemsize < 4
    wide = x.astype(jnp.float32) if narrow else x
    levels = None if isinstance(x.shape[axis], int) else SYMBOLIC_LEVELS
    return cumulate_blocks(cumulation, wide, axis, reverse, levels).astype(x.dtype)


def cumulate_blocks(
    cumulation: Cumulation, x: Any, axis: int, reverse: bool, levels: int | None
) -> Any:
    """Accumulates inside of blocks, then over the blocks' totals, and joins to each block what came
    before it. `levels` is None where the size is a number, which decides how often this is done."""
    import jax.numpy as jnp
    from jax import lax

    n = x.shape[axis]
    identity = jnp.array(cumulation.identity, x.dtype)
    short = n <= 2 * BLOCK if levels is None else levels == 0
    if short or not jnp.issubdtype(x.dtype, jnp.inexact):
        ones, padding = [1] * x.ndim, [(0, 0)] * x.ndim
        window = [n if d == axis else 1 for d in range(x.ndim)]
        padding[axis] = (0, n - 1) if reverse else (n - 1, 0)
        # A symbolic size is never compared: a window of no elements is refused when it is called.
        empty = levels is None and n == 0
        return (
            x if empty else lax.reduce_window(x, identity, cumulation.join, window, ones, padding)
        )

    def pad(y, low, high):
        config = [(low, high, 0) if d == axis else (0, 0, 0) for d in range(y.ndim)]
        return lax.pad(y, identity, config)

    blocks = -(-n // BLOCK)
    shape = (*x.shape[:axis], blocks, BLOCK, *x.shape[axis + 1 :])
    inside = pad(x, 0, blocks * BLOCK - n).reshape(shape)
    inside = cumulate_blocks(cumulation, inside, axis + 1, reverse, None)
    totals = lax.index_in_dim(inside, 0 if reverse else BLOCK - 1, axis + 1, keepdims=False)
    totals = cumulate_blocks(cumulation, totals, axis, reverse, levels and levels - 1)
    before = pad(totals, -1, 1) if reverse else pad(totals, 1, -1)
    joined = cumulation.join(jnp.expand_dims(before, axis + 1), inside)
    joined = joined.reshape(*x.shape[:axis], blocks * BLOCK, *x.shape[axis + 1 :])
    return lax.slice_in_dim(joined, 0, n, axis=axis)


@dataclasses.dataclass(frozen=True)
class Composite:
    """A primitive that becomes one op, with JAX's rule as its decomposition."""

    module: str
    primitive: str

    @property
    def name(self) -> str:
        return f"mps.{self.primitive.removesuffix('_p')}"


SPECIAL = "jax._src.lax.special"
COMPOSITES = (
    Composite(SPECIAL, "bessel_i0e_p"),
    Composite(SPECIAL, "bessel_i1e_p"),
    Composite(SPECIAL, "digamma_p"),
    Composite(SPECIAL, "erf_inv_p"),
    Composite(SPECIAL, "igamma_grad_a_p"),
    Composite(SPECIAL, "igamma_p"),
    Composite(SPECIAL, "igammac_p"),
    Composite(SPECIAL, "lgamma_p"),
    Composite(SPECIAL, "polygamma_p"),
    Composite(SPECIAL, "regularized_incomplete_beta_p"),
    Composite(SPECIAL, "zeta_p"),
    Composite("jax.extend.random", "threefry2x32_p"),
)


def make_composite(name: str, primitive: Any, default: Callable[..., Any]) -> Callable[..., Any]:
    """A lowering rule. The decomposition binds a double of the primitive that only JAX's rule lowers;
    the primitive itself would be lowered by the rule that is made here."""
    import jax.numpy as jnp
    from jax import lax
    from jax._src import core
    from jax._src.interpreters import mlir

    double = core.Primitive(primitive.name)
    double.multiple_results = primitive.multiple_results
    double.abstract_eval = primitive.abstract_eval
    mlir.register_lowering(double, default)
    composite = lax.composite(double.bind, name, version=1)

    def broadcast(*operands: Any) -> Any:
        shape = lax.broadcast_shapes(*(x.shape for x in operands))
        # Only threefry2x32 takes scalars with arrays: its keys.
        plain = (shape, ()) if primitive.multiple_results else (shape,)
        return composite(*(x if x.shape in plain else jnp.broadcast_to(x, shape) for x in operands))

    rule = mlir.lower_fun(broadcast, multiple_results=primitive.multiple_results)

    def lower_composite(ctx: Any, *operands: Any, **params: Any) -> Any:
        # A composite's decomposition can't have what programs of symbolic shapes, or for several
        # platforms, hand to each function besides its arguments.
        if params or ctx.module_context.shape_poly_state.dim_vars:
            return default(ctx, *operands, **params)
        return rule(ctx, *operands)

    return lower_composite


def lower(lowering: Lowering, ctx: Any, *operands: Any, **params: Any) -> Any:
    configuration = lowering.configure(ctx.avals_in[0].shape, **params)
    return compat.lower_call(ctx, lowering.target, *operands, **configuration)[1]


# -- functions that name platforms


def include_ours(platforms: Any) -> Any:
    """The platforms of each branch of lax.platform_dependent. A function that was written for the CPU
    and has no default is right for us too: what it computes is the same."""
    if any(names is None or PLATFORM in names for names in platforms):
        return platforms
    return tuple((*names, PLATFORM) if "cpu" in names else names for names in platforms)


def register_platform_branches() -> None:
    from jax._src.interpreters import mlir
    from jax._src.lax.control_flow import conditionals

    for primitive, parameter in (
        (conditionals.platform_index_p, "platforms"),
        (conditionals.cond_p, "branches_platforms"),
    ):
        default = mlir._lowerings[primitive]
        default = getattr(default, "rule", default)

        def rule(ctx: Any, *args: Any, default=default, parameter=parameter, **params: Any) -> Any:
            if params.get(parameter) is not None:
                params[parameter] = include_ours(params[parameter])
            return default(ctx, *args, **params)

        compat.register_lowering(primitive, rule)


# -- rules for the CPU alone


class Rules(dict):
    """The rules of our platform. A primitive that has neither one here nor one for every platform, but
    one for the CPU, is lowered by that: its callbacks and FFI handlers are on the host, where ours
    run. The rule may be registered at any time, by JAX (spsolve) or by a library."""

    def __init__(self, ours: Any, everywhere: Any, cpu: Any) -> None:
        super().__init__(ours)
        self._everywhere, self._cpu = everywhere, cpu

    def __contains__(self, primitive: Any) -> bool:
        if super().__contains__(primitive):
            return True
        return primitive in self._cpu and primitive not in self._everywhere

    def __missing__(self, primitive: Any) -> Any:
        if primitive in self:
            return self._cpu[primitive]
        raise KeyError(primitive)


def register_cpu_rules() -> None:
    from jax._src.interpreters import mlir

    tables = mlir._platform_specific_lowerings
    if not isinstance(tables[PLATFORM], Rules):
        tables[PLATFORM] = Rules(tables[PLATFORM], mlir._lowerings, tables["cpu"])


# -- the tables


def find(module: Any, name: str, since: str) -> Any:
    """A primitive; None where this jax is older than it is."""
    import jax

    if jax.__version_info__[:3] < tuple(map(int, since.split("."))):
        return None
    return getattr(module, name)


def register_cumulation(row: Cumulation) -> None:
    from jax._src.interpreters import mlir
    from jax._src.lax.control_flow import loops

    rule = mlir.lower_fun(functools.partial(cumulate, row), multiple_results=False)
    compat.register_lowering(getattr(loops, row.primitive), rule, inline=False)


def register_composite(row: Composite) -> None:
    from jax import lax
    from jax._src.interpreters import mlir

    if not hasattr(lax, "composite"):  # before 0.5: JAX's own rule stays
        return
    primitive = getattr(importlib.import_module(row.module), row.primitive)
    default = mlir._lowerings[primitive]
    default = getattr(default, "rule", default)
    compat.register_lowering(primitive, make_composite(row.name, primitive, default), inline=False)


def register_call(row: Lowering) -> None:
    from jax._src.lax import linalg

    if primitive := find(linalg, row.primitive, row.since):
        compat.register_lowering(primitive, functools.partial(lower, row))


def register() -> None:
    """Registers the tables; the platform must be known to JAX. A row that finds JAX changed leaves
    its primitive as it was; all of them together are the error."""
    lost = []
    for rows, add in (
        (CUMULATIONS, register_cumulation),
        (COMPOSITES, register_composite),
        (LOWERINGS, register_call),
    ):
        for row in rows:
            try:
                add(row)
            except Exception as error:  # noqa: BLE001 - JAX's insides may be anything
                lost.append(f"{row.primitive}: {error}")
    if lost:
        raise RuntimeError("without a rule: " + "; ".join(lost))
