# SPDX-License-Identifier: Apache-2.0
"""Linear algebra on both platforms. Both call LAPACK, so that even signs and orders are the same;
where they needn't be, what the results must satisfy is checked instead."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax._src.lax import linalg as primitives  # for geqrf, which jax.lax.linalg doesn't have

from jax_mps_c.selftest.harness import Case, Spec, compare, gradient_of, run, same, stacked, x64

L = lax.linalg
DTYPES = ("float32", "float64", "complex64", "complex128")
TOLERANCE = {"float32": 2e-3, "complex64": 2e-3, "float64": 1e-9, "complex128": 1e-9}

SQUARE = ((4, 4), (3, 5, 5), (1, 1))
RECTANGULAR = SQUARE + ((5, 3), (2, 3, 6))


def hermitian(a):
    return a + jnp.swapaxes(a, -1, -2).conj()


def positive(a):
    return a @ jnp.swapaxes(a, -1, -2).conj() + 3 * jnp.eye(a.shape[-1], dtype=a.dtype)


def solve_tridiagonal(a, perturb=False):
    return L.tridiagonal_solve(
        a[..., 0, :],
        a[..., 1, :] + 6,
        a[..., 2, :],
        jnp.swapaxes(a, -1, -2),
        perturb_singular=perturb,
    )


FUNCTIONS = {
    "cholesky": (lambda a: jnp.linalg.cholesky(positive(a)), SQUARE),
    "eigh": (lambda a: L.eigh(hermitian(a)), SQUARE),
    "eigh_lower": (lambda a: L.eigh(a, symmetrize_input=False), SQUARE),
    "eigh_upper": (lambda a: L.eigh(a, lower=False, symmetrize_input=False), SQUARE),
    "eig": (L.eig, SQUARE),
    "eig_left": (functools.partial(L.eig, compute_right_eigenvectors=False), SQUARE),
    "eig_right": (functools.partial(L.eig, compute_left_eigenvectors=False), SQUARE),
    "eigvals": (jnp.linalg.eigvals, SQUARE),
    "schur": (L.schur, SQUARE),
    "schur_form": (functools.partial(L.schur, compute_schur_vectors=False), SQUARE),
    "hessenberg": (L.hessenberg, SQUARE),
    "tridiagonal": (L.tridiagonal, SQUARE),
    "tridiagonal_upper": (functools.partial(L.tridiagonal, lower=False), SQUARE),
    "tridiagonal_solve": (solve_tridiagonal, ((3, 3), (4, 3, 7), (3, 1))),
    "tridiagonal_solve_perturbed": (
        functools.partial(solve_tridiagonal, perturb=True),
        ((3, 3), (4, 3, 7), (3, 1)),
    ),
    "lu": (L.lu, RECTANGULAR),
    "qr": (jnp.linalg.qr, RECTANGULAR),
    "qr_complete": (functools.partial(jnp.linalg.qr, mode="complete"), RECTANGULAR),
    "qr_pivoted": (functools.partial(L.qr, pivoting=True), RECTANGULAR),
    "qr_pivoted_thin": (functools.partial(L.qr, pivoting=True, full_matrices=False), RECTANGULAR),
    "ormqr": (lambda a: L.ormqr(*primitives.geqrf(a), a, left=True, transpose=True), RECTANGULAR),
    "ormqr_right": (
        lambda a: L.ormqr(*primitives.geqrf(a), jnp.swapaxes(a, -1, -2), left=False),
        RECTANGULAR,
    ),
    "svd": (L.svd, RECTANGULAR),
    "svd_thin": (functools.partial(L.svd, full_matrices=False), RECTANGULAR),
    "svd_qr": (functools.partial(L.svd, algorithm=L.SvdAlgorithm.QR), RECTANGULAR),
    "svd_values": (functools.partial(L.svd, compute_uv=False), RECTANGULAR),
    "pinv": (jnp.linalg.pinv, RECTANGULAR),
    "det_inv": (
        lambda a: (jnp.linalg.det(a), jnp.linalg.inv(a + 5 * jnp.eye(a.shape[-1]))),
        SQUARE,
    ),
    "solve": (lambda a: jnp.linalg.solve(a, a[..., :1]), SQUARE),
    "triangular_solve": (
        lambda a: L.triangular_solve(
            a + 5 * jnp.eye(a.shape[-1], dtype=a.dtype), a, lower=True, transpose_a=True
        ),
        SQUARE,
    ),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(name, dtype):
    function, shapes = FUNCTIONS[name]
    with x64(True):
        for number, shape in enumerate(shapes):
            if dtype != "float32" and len(shape) == 2:
                continue  # one type in all shapes, one shape in all types
            arrays = Case(f"{name}{number}", function, (Spec(shape, dtype),)).arrays()
            compare(function, arrays, tolerance=TOLERANCE[dtype])


SMOOTH = {
    "cholesky": lambda a: jnp.linalg.cholesky(positive(a)),
    "eigh": lambda a: L.eigh(hermitian(a))[1],
    "eigh_vectors": lambda a: abs(L.eigh(hermitian(a))[0]),
    "svd": lambda a: L.svd(a, full_matrices=False),
    "eig": lambda a: abs(jnp.linalg.eigvals(a)),
    "lu": lambda a: L.lu(a)[0],
    "qr": jnp.linalg.qr,
    "pinv": jnp.linalg.pinv,
    "slogdet": lambda a: jnp.linalg.slogdet(positive(a))[1],
    "solve": lambda a: jnp.linalg.solve(positive(a), a),
    "tridiagonal_solve": solve_tridiagonal,
    "expm": jax.scipy.linalg.expm,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name, dtype):
    case = Case(name, SMOOTH[name], (Spec((3, 3), dtype),))
    with x64(True):
        compare(gradient_of(case), case.arrays(), tolerance=20 * TOLERANCE[dtype])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_vmap(name):
    """Also of what already has a batch: two dimensions before the matrices'."""
    function, shapes = FUNCTIONS[name]
    shape = next(s for s in shapes if len(s) == 3)
    arrays = stacked(Case(name, function, (Spec(shape, "float64"),)).arrays())
    with x64(True):
        compare(jax.vmap(function), arrays, tolerance=1e-9)


FACTORING = (
    "eigh",
    "eig",
    "schur",
    "svd",
    "svd_thin",
    "svd_values",
    "lu",
    "qr",
    "qr_pivoted",
    "hessenberg",
)


def eigh_determined(a):
    """What of the result is determined: any basis belongs to an eigenvalue that is there twice."""
    v, w = L.eigh(hermitian(a))
    return w, (v * w) @ v.T, v.T @ v


def qr_determined(a):
    """Behind the rank, a column of q is made of the rounding of what is left of a's."""
    q, r = jnp.linalg.qr(a)
    return q @ r, q.T @ q, r - jnp.triu(r)


DETERMINED = {"eigh": eigh_determined, "qr": qr_determined}


@pytest.mark.parametrize("name", FACTORING)
def test_singular(name):
    function = DETERMINED.get(name, FUNCTIONS[name][0])
    for a in (np.zeros((3, 3)), np.ones((3, 3)), np.diag([1.0, 0, 2]), np.eye(3)[::-1]):
        compare(function, (a.astype(np.float32),), tolerance=1e-4)


@pytest.mark.parametrize("name", ("eigh", "eig", "schur", "svd", "svd_qr", "svd_values"))
def test_nan(name):
    """All of that matrix's results are NaN, and no other's."""
    a = Spec((3, 4, 4)).make(7)
    a[1, 2, 1] = np.nan
    compare(FUNCTIONS[name][0], (a,), tolerance=1e-3)
    for leaf in jax.tree.leaves(run("mps", FUNCTIONS[name][0], (a,))):
        assert np.isnan(leaf[1]).all() and np.isfinite(leaf[[0, 2]]).all()


@pytest.mark.parametrize("name", ("eigh", "eig", "schur", "svd"))
def test_infinity_ends(name):
    a = np.eye(5, dtype=np.float32)
    a[0, 0] = np.inf
    for leaf in jax.tree.leaves(run("mps", FUNCTIONS[name][0], (a,))):
        assert np.isnan(leaf).all()


def test_nan_that_is_not_read():
    a = np.array([[2, np.nan], [1, 3]], np.float32)
    compare(functools.partial(L.eigh, symmetrize_input=False), (a,), tolerance=1e-5)
    assert np.isfinite(run("mps", FUNCTIONS["eigh_lower"][0], (a,))[0]).all()


def test_not_positive_definite():
    a = np.array([[[1, 2], [2, 1]], [[4, 0], [0, 9]]], np.float32)
    compare(jnp.linalg.cholesky, (a,))
    assert np.isnan(run("mps", jnp.linalg.cholesky, (a,))[0][np.tril_indices(2)]).all()


def test_singular_tridiagonal():
    """NaN as on cpu; finite and large if pivots may be moved."""
    zeros, ones = np.zeros(3, np.float32), np.ones((3, 1), np.float32)
    compare(L.tridiagonal_solve, (zeros, zeros, zeros, ones))
    moved = run(
        "mps",
        functools.partial(L.tridiagonal_solve, perturb_singular=True),
        (zeros, zeros, zeros, ones),
    )
    assert np.isfinite(moved).all() and (abs(moved) > 1e6).all()


def test_tridiagonal_exchanges_rows():
    below, on, above = (
        np.array(x, np.float32) for x in ([0, 2, -2, 3], [1, 4, 1, -1], [2, -1, 1, 0])
    )
    right = np.array([[1], [2], [3], [4]], np.float32)
    for perturb in (False, True):
        x = run(
            "mps",
            functools.partial(L.tridiagonal_solve, perturb_singular=perturb),
            (below, on, above, right),
        )
        same(x, np.array([[8], [-3.5], [0], [-4]], np.float32), 1e-5)


@pytest.mark.parametrize("shape", [(37, 4, 4), (20, 3, 7), (5, 7, 3), (19, 16, 16), (3, 5, 2, 2)])
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_lu_of_many(shape, dtype):
    """Small matrices are computed some at a time: each is the product of its factors, as NumPy sees it,
    and the pivots are the largest that are left. Every fourth one is singular."""
    with x64(True):
        a = np.random.default_rng(8).standard_normal(shape).astype(dtype)
        a[..., ::4, :, 0] = 0
        factors, _, order = (np.asarray(x) for x in run("mps", jax.lax.linalg.lu, (a,)))
    m, n = shape[-2:]
    k = min(m, n)
    below = np.tril(factors[..., :k], -1)
    lower, upper = below + np.eye(m, k, dtype=dtype), np.triu(factors[..., :k, :])
    same(lower @ upper, np.take_along_axis(a, order[..., None], -2), TOLERANCE[dtype])
    assert abs(below).max() <= 1


@pytest.mark.parametrize("left", (False, True))
@pytest.mark.parametrize("shape", [(40, 4, 1), (21, 3, 5), (17, 16, 16), (9, 1, 2)])
def test_triangular_solves_of_many(shape, left):
    """What a solve gives, multiplied by the triangle, is what was asked, as NumPy sees it."""
    random = np.random.default_rng(9)
    b = random.standard_normal(shape, np.float32)
    order = shape[-2 if left else -1]
    a = random.standard_normal((shape[0], order, order), np.float32) + 4 * np.eye(order, dtype="f")
    for lower in (False, True):
        for transposed in (False, True):
            solve = functools.partial(
                L.triangular_solve, left_side=left, lower=lower, transpose_a=transposed
            )
            x = np.asarray(run("mps", solve, (a, b)))
            triangle = np.tril(a) if lower else np.triu(a)
            triangle = np.swapaxes(triangle, -1, -2) if transposed else triangle
            same(triangle @ x if left else x @ triangle, b, 2e-4)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (2, 0, 0), (0, 3, 3)])
def test_empty(shape):
    a = np.zeros(shape, np.float32)
    names = ["qr", "qr_complete", "qr_pivoted", "svd", "svd_thin", "svd_values", "lu"]
    if shape[-1] == shape[-2]:
        names += ["cholesky", "eigh", "eig", "schur"]
    for name in names:
        compare(FUNCTIONS[name][0], (a,))


def test_subsets():
    """JAX CPU has none: the same part of all of them."""
    a = np.asarray(run("mps", hermitian, (Spec((2, 6, 6)).make(3),)))
    vectors, values = run("mps", L.eigh, (a,))
    some = run("mps", functools.partial(L.eigh, subset_by_index=(1, 4)), (a,))
    same(some[0], vectors[..., 1:4], 1e-5)
    same(some[1], values[..., 1:4], 1e-5)
    s, u, vt = _svd_subset(a, None)
    few = _svd_subset(a, (2, 5))
    same(few[0], s[..., 2:5], 1e-5)
    same(few[1], u[..., 2:5], 1e-5)
    same(few[2], vt[..., 2:5, :], 1e-5)


def _svd_subset(a, subset):
    u, s, vt = run(
        "mps", functools.partial(L.svd, full_matrices=False, subset_by_index=subset), (a,)
    )
    return s, u, vt


def test_repeated_eigenvalues():
    """Vectors aren't unique: what they must satisfy."""
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(40, 40)))[0]
    a = (q * np.repeat([1.0, 2, 3, 4], 10)) @ q.T
    with x64(True):
        w, v = run("mps", jnp.linalg.eigh, (a,))
        u, s, vt = run("mps", jnp.linalg.svd, (a,))
    same(w, np.repeat([1.0, 2, 3, 4], 10), 1e-12)
    same(v @ np.diag(w) @ v.T, a, 1e-12)
    same(v.T @ v, np.eye(40), 1e-12)
    same(u @ np.diag(s) @ vt, a, 1e-12)


@pytest.mark.parametrize("n", [1, 2, 63, 200])
def test_orders(n):
    a = np.random.default_rng(n).normal(size=(n, n))
    with x64(True):
        for name in ("eigh", "svd_values", "lu", "qr", "solve"):
            compare(FUNCTIONS[name][0], (a,), tolerance=1e-7)


def test_eigh_tridiagonal():
    d, e = Spec((20,), "float64").make(1), Spec((19,), "float64").make(2)
    with x64(True):
        compare(
            lambda d, e: jax.scipy.linalg.eigh_tridiagonal(d, e, eigvals_only=True),
            (d, e),
            tolerance=1e-9,
        )
        w, v = run(
            "mps", lambda d, e: jax.scipy.linalg.eigh_tridiagonal(d, e, eigvals_only=False), (d, e)
        )
    same((np.diag(d) + np.diag(e, 1) + np.diag(e, -1)) @ v, v * w, 1e-8)


@pytest.mark.parametrize(
    "name,function",
    {
        "polyfit": lambda a: jnp.polyfit(a[0], a[1], 2),
        "roots": lambda a: jnp.sort(abs(jnp.roots(a[0], strip_zeros=False))),
        "lstsq": lambda a: jnp.linalg.lstsq(a, a[:, 0])[0],
        "matrix_rank": jnp.linalg.matrix_rank,
        "cond": jnp.linalg.cond,
        "norm": lambda a: (jnp.linalg.norm(a, 2), jnp.linalg.norm(a, "nuc")),
        "matrix_power": lambda a: jnp.linalg.matrix_power(a, -2),
        "sqrtm": lambda a: jax.scipy.linalg.sqrtm(positive(a)),
        "lu_solve": lambda a: jax.scipy.linalg.lu_solve(jax.scipy.linalg.lu_factor(a), a),
        "cho_solve": lambda a: jax.scipy.linalg.cho_solve(
            jax.scipy.linalg.cho_factor(positive(a)), a
        ),
        "polar": jax.scipy.linalg.polar,
        "hessenberg": lambda a: jax.scipy.linalg.hessenberg(a, calc_q=True),
        "expm": jax.scipy.linalg.expm,
    }.items(),
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_built_on_them(name, function):
    with x64(True):
        compare(function, Case(name, function, (Spec((5, 5), "float64"),)).arrays(), tolerance=1e-8)
