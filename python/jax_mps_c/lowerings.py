# SPDX-License-Identifier: Apache-2.0
"""How JAX's linear algebra becomes custom calls `mps.<name>` of the library.

JAX has no rule for these primitives that fits every platform (or one that is a loop where a library
routine exists). Every rule names its target, and the parameters that become the target's
configuration; what the library gives is what JAX gives on the CPU, NaN where a matrix has no
answer. Derivatives and batching are JAX's own.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Callable

PLATFORM = "mps"


@dataclasses.dataclass(frozen=True)
class Lowering:
    """One primitive of jax.lax.linalg. `configure` gets the shape of the first operand and the
    primitive's parameters by name, and returns the custom call's configuration."""

    primitive: str
    target: str
    configure: Callable[..., dict[str, Any]]


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
    low, high = subset_by_index or (0, shape[-1])
    return {"lower": bool(lower), "low": low, "high": high}


def configure_svd(
    shape, *, full_matrices=True, compute_uv=True, subset_by_index=None, algorithm=None, **params
):
    del compute_uv  # the number of results says it
    only_default("svd", **params)
    name = algorithm_name(algorithm)
    if name not in ("DEFAULT", "QR", "DIVIDE_AND_CONQUER"):
        raise NotImplementedError(f"svd by {name} on platform {PLATFORM}")
    rank = min(shape[-2:])
    low, high = subset_by_index or (0, rank)
    return {
        "full": full_matrices is None or bool(full_matrices),
        "qr": name == "QR",
        "low": low,
        "high": min(high, rank),
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
    Lowering("eigh_p", "mps.eigh", configure_eigh),
    Lowering("svd_p", "mps.svd", configure_svd),
    Lowering("eig_p", "mps.eig", configure_eig),
    Lowering("schur_p", "mps.schur", configure_schur),
    Lowering("hessenberg_p", "mps.hessenberg", configure_nothing),
    Lowering("tridiagonal_p", "mps.tridiagonal", configure_tridiagonal),
    Lowering("tridiagonal_solve_p", "mps.tridiagonal_solve", configure_tridiagonal_solve),
    Lowering("lu_p", "mps.lu", configure_nothing),
    Lowering("geqp3_p", "mps.geqp3", configure_geqp3),
    Lowering("ormqr_p", "mps.ormqr", configure_ormqr),
)


def lower(lowering: Lowering, ctx: Any, *operands: Any, **params: Any) -> Any:
    import jax

    configuration = lowering.configure(ctx.avals_in[0].shape, **params)
    return jax.ffi.ffi_lowering(lowering.target)(ctx, *operands, **configuration)


def register() -> None:
    """Registers the table; the platform must be known to JAX. A row that finds JAX changed leaves
    its primitive as it was; all of them together are the error."""
    from jax._src.interpreters import mlir
    from jax._src.lax import linalg

    lost = []
    for lowering in LOWERINGS:
        try:
            primitive = getattr(linalg, lowering.primitive)
            mlir.register_lowering(primitive, functools.partial(lower, lowering), platform=PLATFORM)
        except Exception as error:  # noqa: BLE001: JAX's insides may be anything
            lost.append(f"{lowering.primitive}: {error}")
    if lost:
        raise RuntimeError("without a rule: " + "; ".join(lost))
