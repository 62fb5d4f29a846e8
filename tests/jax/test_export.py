# SPDX-License-Identifier: Apache-2.0
"""Exported programs: what a file promises, files read by a process that never traced them, sizes
that are not known yet."""

import itertools
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax
from jax.scipy import linalg

from jax_mps_c import lowerings

STORED = pathlib.Path(__file__).parent / "exported"
MATRIX = np.random.default_rng(29610).normal(size=(5, 5)).astype(np.float32)
SYMMETRIC = MATRIX @ MATRIX.T + 5 * np.eye(5, dtype=np.float32)
TALL = MATRIX[:, :3]


@pytest.fixture(autouse=True)
def on_mps():
    with jax.default_device(jax.devices("mps")[0]):
        yield


def every_target(a, s, t):
    """A sum for each custom call that a file may contain, none of which depends on signs."""
    u, w, vh = jnp.linalg.svd(t, full_matrices=False)
    lu, pivots, permutation = lax.linalg.lu(a)
    basis, r, columns = linalg.qr(t, mode="economic", pivoting=True)
    values, left, right = lax.linalg.eig(a)
    h, q = linalg.hessenberg(a, calc_q=True)
    schur, z = linalg.schur(a)
    packed, d, e, taus = lax.linalg.tridiagonal(s)
    reflectors, scales = jnp.linalg.qr(a, mode="raw")
    bands = [jnp.full(5, x) for x in (1.0, 4.0, 1.0)]
    return {
        "eigh": jnp.linalg.eigh(s)[0],
        "svd": (u * w) @ vh,
        "lu": (jnp.tril(lu, -1) + jnp.eye(5)) @ jnp.triu(lu),
        "lu_rows": a[permutation] + 0 * pivots[0],
        "geqp3": basis @ r - t[:, columns],
        "eig": jnp.abs(a @ right - right * values) + jnp.abs(left).max() * 0,
        "hessenberg": q @ h @ q.T,
        "schur": z @ schur @ z.T,
        "tridiagonal": jnp.stack([jnp.sum(d), jnp.sum(d**2) + 2 * jnp.sum(e**2)]) + 0 * taus[0],
        "tridiagonal_solve": lax.linalg.tridiagonal_solve(*bands, a),
        "ormqr": lax.linalg.ormqr(reflectors.T, scales, a, left=True, transpose=True)[0] ** 2,
    }


def expected():
    tridiagonal = 4 * np.eye(5) + np.eye(5, k=1) + np.eye(5, k=-1)
    wide, s = MATRIX.astype(np.float64), SYMMETRIC.astype(np.float64)
    rows = np.asarray(linalg_lu_rows(wide))
    return {
        "eigh": np.linalg.eigvalsh(s),
        "svd": TALL,
        "lu": wide[rows],
        "lu_rows": wide[rows],
        "geqp3": np.zeros((5, 3)),
        "eig": np.zeros((5, 5)),
        "hessenberg": MATRIX,
        "schur": MATRIX,
        "tridiagonal": [np.trace(s), np.sum(s**2)],
        "tridiagonal_solve": np.linalg.solve(tridiagonal, wide),
        "ormqr": np.linalg.qr(wide)[1][0] ** 2,
    }


def linalg_lu_rows(a):
    """The rows that partial pivoting takes, in order."""
    a, rows = a.copy(), list(range(len(a)))
    for k in range(len(a)):
        best = k + int(np.argmax(np.abs(a[k:, k])))
        a[[k, best]], rows[k], rows[best] = a[[best, k]], rows[best], rows[k]
        a[k + 1 :] -= np.outer(a[k + 1 :, k] / a[k, k], a[k])
    return rows


def check_every_target(results):
    wanted = expected()
    assert results.keys() == wanted.keys()
    for name, value in results.items():
        np.testing.assert_allclose(value, wanted[name], rtol=1e-4, atol=1e-4, err_msg=name)


def test_linear_algebra():
    program = export.export(jax.jit(every_target))(MATRIX, SYMMETRIC, TALL)
    for row in lowerings.LOWERINGS:
        assert f"@{row.target}(" in program.mlir_module(), row.target
    check_every_target(export.deserialize(program.serialize()).call(MATRIX, SYMMETRIC, TALL))


def test_stored_files_stay_readable():
    """exported/linalg_v1.bin was written when version 1 was promised; it is never written again."""
    program = export.deserialize(bytearray((STORED / "linalg_v1.bin").read_bytes()))
    check_every_target(program.call(MATRIX, SYMMETRIC, TALL))


def test_stored_kernels_stay_readable():
    """A kernel with a reference, and one without that has no source for a CPU: (a, x) -> a x + x of
    f32[] and f32[4,8]. Written once, too."""
    a, x = np.float32(3), np.arange(32, dtype=np.float32).reshape(4, 8)
    program = export.deserialize(bytearray((STORED / "kernel_v1.bin").read_bytes()))
    np.testing.assert_array_equal(program.call(a, x), a * x + x)
    program = export.deserialize(
        bytearray((STORED / "kernel_without_reference_v1.bin").read_bytes())
    )
    with pytest.raises(jax.errors.JaxRuntimeError, match='kernel "axpx" .* only metal, cuda, '):
        program.call(a, x)


def test_a_later_version_is_refused():
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"newer release; .*mps\.lu\.v2"):
        call = jax.ffi.ffi_call("mps.lu.v2", jax.ShapeDtypeStruct((5, 5), np.float32))
        jax.jit(call)(MATRIX)


def test_in_a_fresh_process(tmp_path):
    path = tmp_path / "solve"
    program = export.export(jax.jit(jnp.linalg.solve))(SYMMETRIC, MATRIX)
    path.write_bytes(program.serialize())
    text = f"""
import sys, numpy as np
from jax import export
program = export.deserialize(bytearray(open({str(path)!r}, "rb").read()))
out = program.call(*np.load({str(tmp_path / "in.npy")!r}))
assert next(iter(out.devices())).platform == "mps"
np.save({str(tmp_path / "out.npy")!r}, out)
"""
    np.save(tmp_path / "in.npy", np.stack([SYMMETRIC, MATRIX]))
    subprocess.run([sys.executable, "-c", text], env=os.environ, check=True, timeout=120)
    wanted = np.linalg.solve(SYMMETRIC.astype(np.float64), MATRIX)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), wanted, rtol=1e-4, atol=1e-5)


def read_back(f, *specs):
    return export.deserialize(export.export(jax.jit(f))(*specs).serialize()).call


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    "name, dtype",
    [
        *itertools.product(("cumsum", "cumprod", "cumlogsumexp"), ("float32", "bfloat16")),
        *itertools.product(("cumsum", "cummax"), ("int32",)),
    ],
)
def test_symbolic_cumulative(name, dtype, reverse):
    f = lambda x: getattr(lax, name)(x, axis=0, reverse=reverse)  # noqa: E731
    call = read_back(f, jax.ShapeDtypeStruct(export.symbolic_shape("n, 2"), dtype))
    sums = {
        "cumsum": np.cumsum,
        "cumprod": np.cumprod,
        "cumlogsumexp": np.logaddexp.accumulate,
        "cummax": np.maximum.accumulate,
    }[name]
    for n in (1, 2, 129, 20_000):
        x = np.random.default_rng(n).uniform(0.9999, 1.0001, (n, 2)).astype(dtype)
        wide = x.astype(np.float64)
        wanted = sums(wide[::-1], axis=0)[::-1] if reverse else sums(wide, axis=0)
        tolerance = {"bfloat16": 4e-3, "float32": 3e-4}.get(dtype, 0)
        np.testing.assert_allclose(np.asarray(call(x), np.float64), wanted, rtol=tolerance)


def test_symbolic_matrices():
    shape = export.symbolic_shape("m, n")
    singular = read_back(
        lambda a: jnp.linalg.svd(a, compute_uv=False), jax.ShapeDtypeStruct(shape, np.float32)
    )
    product = read_back(
        lambda a: jnp.einsum("ij,j,jk->ik", *jnp.linalg.svd(a, full_matrices=False)),
        jax.ShapeDtypeStruct(shape, np.float32),
    )
    for size in ((3, 5), (5, 3), (1, 1)):
        a = np.random.default_rng(0).normal(size=size).astype(np.float32)
        np.testing.assert_allclose(singular(a), np.linalg.svd(a)[1], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(product(a), a, rtol=1e-4, atol=1e-5)
    square = export.symbolic_shape("n, n")
    values = read_back(jnp.linalg.eigvalsh, jax.ShapeDtypeStruct(square, np.float32))
    inverse = read_back(jnp.linalg.inv, jax.ShapeDtypeStruct(square, np.float32))
    for n in (1, 4, 5):
        a = SYMMETRIC[:n, :n]
        np.testing.assert_allclose(values(a), np.linalg.eigvalsh(a), rtol=1e-4)
        np.testing.assert_allclose(inverse(a), np.linalg.inv(a), rtol=1e-3, atol=1e-5)
