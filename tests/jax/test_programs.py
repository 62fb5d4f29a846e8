# SPDX-License-Identifier: Apache-2.0
"""Whole programs, and ops whose results are free within a rule."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jax_mps_c.selftest.harness import compare, run

MPS = jax.devices("mps")[0]


def test_rng_uniform_stays_in_range():
    x = run(
        "mps",
        lambda low, high: lax.rng_uniform(low, high, (10000,)),
        (np.float32(-3), np.float32(5)),
    )
    assert x.min() >= -3 and x.max() < 5
    assert abs(x.mean() - 1) < 0.2


def test_gradient_descent():
    """Fifty steps of a small network; each step's result feeds the next one."""
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 3)).astype(np.float32)
    w1, w2 = (random.normal(size=s).astype(np.float32) * 0.5 for s in ((3, 16), (16, 1)))

    def train(w1, w2, x):
        def loss(w):
            return jnp.mean((jnp.tanh(x @ w[0]) @ w[1] - x[:, :1] * x[:, 1:2]) ** 2)

        def step(w, _):
            value, slope = jax.value_and_grad(loss)(w)
            return jax.tree.map(lambda p, g: p - 0.1 * g, w, slope), value

        return lax.scan(step, (w1, w2), None, length=50)[1]

    compare(train, (w1, w2, x), tolerance=1e-4)


def test_deep_program():
    """A thousand dependent ops in one program."""

    def chain(x):
        for n in range(500):
            x = x * 1.001 + (n % 7) * 0.001
        return x

    compare(chain, (np.ones(10, np.float32),), tolerance=1e-4)


def test_nested_control():
    def function(x):
        def body(i, y):
            return lax.cond(
                i % 3 == 0,
                lambda v: lax.while_loop(lambda s: s.sum() < 50, lambda s: s * 1.5 + 0.1, v),
                lambda v: v * 0.5,
                y,
            )

        return lax.fori_loop(0, 12, body, x)

    compare(function, (np.linspace(0.1, 2, 7, dtype=np.float32),))


def test_game_of_life():
    def step(board, _):
        neighbours = sum(
            jnp.roll(board, (i, j), (0, 1))
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
            if (i, j) != (0, 0)
        )
        board = ((neighbours == 3) | ((board == 1) & (neighbours == 2))).astype(jnp.int32)
        return board, board.sum()

    board = np.random.default_rng(3).integers(0, 2, (40, 50), dtype=np.int32)
    compare(lambda b: lax.scan(step, b, None, length=20), (board,))


@pytest.mark.parametrize("size", [1, 7, 1000, 70000])
def test_sizes(size):
    # Whole numbers: every order of summation gives the same.
    x = np.random.default_rng(size).integers(-50, 50, size).astype(np.float32)
    compare(
        lambda v: (v.sum(), jnp.cumsum(v), jnp.sort(v), v[::-1], jnp.argmax(v)),
        (x,),
        tolerance=1e-4,
    )


def test_results_do_not_depend_on_the_run():
    x = np.random.default_rng(1).normal(size=(257, 513)).astype(np.float32)
    function = jax.jit(lambda v: (v.sum(), (v @ v.T).sum(), jnp.var(v, 0)))
    first = [np.asarray(r) for r in function(jax.device_put(x, MPS))]
    for _ in range(5):
        for old, new in zip(first, function(jax.device_put(x, MPS))):
            np.testing.assert_array_equal(np.asarray(new), old)


def test_hybrid_arguments():
    """Python scalars, numpy scalars and arrays, tuples and dictionaries in one call."""

    def function(tree, scalar):
        return {"sum": tree["a"][0] + tree["a"][1] * scalar, "same": tree["b"]}

    with jax.default_device(MPS):
        result = jax.jit(function)({"a": (np.float32(1), np.ones(2)), "b": 7}, 3)
    np.testing.assert_array_equal(result["sum"], [4, 4])
    assert int(result["same"]) == 7


def test_nan_checks_find_the_op():
    with jax.default_device(MPS), jax.debug_nans(True):
        with pytest.raises(FloatingPointError):
            jnp.log(jnp.zeros(2) - 1)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize(
    "part", [np.s_[3:9, :], np.s_[:, 16:], np.s_[5:6, 60:64], np.s_[::2, 8:40]]
)
def test_part_of_product(part, dtype):
    """Only the elements of a product that are used are computed."""
    random = np.random.default_rng(3)
    a, b = (random.integers(-9, 9, shape).astype(dtype) for shape in ((32, 48), (48, 64)))
    np.testing.assert_array_equal(run("mps", lambda a, b: (a @ b)[part], (a, b)), (a @ b)[part])
    whole, some = run("mps", lambda a, b: ((c := a @ b).sum(0), c[part]), (a, b))
    np.testing.assert_array_equal(whole, (a @ b).sum(0))
    np.testing.assert_array_equal(some, (a @ b)[part])


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.complex64, jnp.bfloat16])
@pytest.mark.parametrize("terms", [0, 1, 2, 4, 8])
def test_small_products(terms, dtype):
    """Products of a few terms between elementwise ops, one of another's result, and in a batch."""
    random = np.random.default_rng(terms)
    a, b, c, d = (
        random.integers(-3, 4, shape).astype(dtype)
        for shape in ((5, terms), (terms, 3), (3, 3), (2, 3, terms))
    )

    def f(a, b, c, d):
        x = (a + a) @ b
        y = (x - 1) @ c + x
        return y, jnp.einsum("bit,ti->bi", d, b) * 2, (-y[:, :2]) @ c[:2]

    wide = np.complex128 if dtype == np.complex64 else np.float64
    a2, b2, c2, d2 = (v.astype(wide) for v in (a, b, c, d))
    x = 2 * a2 @ b2
    y = (x - 1) @ c2 + x
    want = y, 2 * np.einsum("bit,ti->bi", d2, b2), -y[:, :2] @ c2[:2]
    for have, expected in zip(run("mps", f, (a, b, c, d)), want, strict=True):
        scale = np.abs(expected).max(initial=1)
        np.testing.assert_allclose(
            np.asarray(have, wide), expected, atol=scale * (0.03 if dtype == jnp.bfloat16 else 1e-5)
        )


def scatter_by_numpy(name, x, rows, updates):
    want = x.copy()
    join = {"add": np.add, "multiply": np.multiply, "max": np.maximum, "set": lambda _, new: new}
    with np.errstate(invalid="ignore"):
        for row, update in zip(rows, updates, strict=True):
            if 0 <= row < len(x):
                want[row] = join[name](want[row], update)
    return want


@pytest.mark.parametrize("width", (1, 3, 16, 40))
@pytest.mark.parametrize("name", ("add", "max", "set"))
def test_rows_scattered(width, name):
    """Rows join theirs in order, those beyond either end none; NumPy does so one by one."""
    random = np.random.default_rng(width)
    x = random.integers(-9, 9, (700, width)).astype(np.float32)
    updates = random.integers(-9, 9, (4001, width)).astype(np.float32)
    rows = random.integers(-40, 740, 4001, dtype=np.int32)
    rows[:3] = np.iinfo(np.int32).min, np.iinfo(np.int32).max, 700
    want = scatter_by_numpy(name, x, rows, updates)

    def scattered(x, rows, updates):
        scatter = {"add": lax.scatter_add, "max": lax.scatter_max, "set": lax.scatter}[name]
        numbers = lax.ScatterDimensionNumbers((1,), (0,), (0,))
        return scatter(x, rows[:, None], updates, numbers, mode="drop")

    np.testing.assert_array_equal(run("mps", scattered, (x, rows, updates)), want)


@pytest.mark.parametrize("name", ("add", "multiply", "max", "set"))
@pytest.mark.parametrize("dtype", (np.float32, np.float64, jnp.bfloat16, np.int32, np.uint8))
@pytest.mark.parametrize("row", ((8,), (13,), (3, 7), (5, 2, 8)))
def test_rows_scattered_that_are_computed(row, dtype, name):
    """Updates that a group computes: scaled rows of a table, joined in order, to zeros, to an
    argument, and to the table itself. NaN spreads as NumPy has it."""
    random = np.random.default_rng(len(row))
    table, x = (random.integers(0, 5, (90, *row)).astype(dtype) for _ in range(2))
    if jnp.issubdtype(dtype, jnp.floating):
        table[3, ..., 1] = np.nan
    rows, sources = (random.integers(-9, 99, 2003, dtype=np.int32) for _ in range(2))
    rows[:4] = np.iinfo(np.int32).min, np.iinfo(np.int32).max, 90, 5
    sources = np.abs(sources) % 90
    scale = random.integers(1, 3, 2003).astype(dtype)
    numbers = lax.ScatterDimensionNumbers(tuple(range(1, len(row) + 1)), (0,), (0,))
    scatter = {
        "add": lax.scatter_add,
        "multiply": lax.scatter_mul,
        "max": lax.scatter_max,
        "set": lax.scatter,
    }[name]

    def scaled(table, sources, scale):
        return table[sources] * scale.reshape(-1, *(1 for _ in row))

    targets = (lambda x, table: jnp.zeros_like(x), lambda x, table: x, lambda x, table: table)
    for target in targets:

        def program(x, table, rows, sources, scale, target=target):
            updates = scaled(table, sources, scale)
            return scatter(target(x, table), rows[:, None], updates, numbers, mode="drop")

        have = run("mps", program, (x, table, rows, sources, scale))
        want = np.asarray(target(x, table))
        want = scatter_by_numpy(name, want, rows, scaled(table, sources, scale))
        np.testing.assert_array_equal(np.asarray(have, float), np.asarray(want, float))


@pytest.mark.parametrize("shape", ((256, 256), (40, 1536), (3, 300, 128), (200, 192)))
def test_expensive_columns(shape):
    """Columns that are shared by threads; a NaN stays in its own."""
    x = np.random.default_rng(3).normal(size=shape).astype(np.float32) * 20
    x[..., 7, 5] = np.nan
    wide = x.astype(np.float64)
    largest = wide.max(-2)
    total = np.log(np.exp(wide - largest[..., None, :]).sum(-2)) + largest
    got = run("mps", lambda x: (jax.nn.logsumexp(x, -2), x.max(-2), x.argmin(-2)), (x,))
    np.testing.assert_allclose(got[0], total, rtol=1e-5)
    np.testing.assert_array_equal(got[1], x.max(-2))
    np.testing.assert_array_equal(got[2], x.argmin(-2))
