# SPDX-License-Identifier: Apache-2.0
"""Callbacks from programs: values, order, errors, nesting, lifetimes; on each engine, with and
without a cpu device beside ours."""

import concurrent.futures
import contextlib
import gc
import io
import os
import pathlib
import subprocess
import sys
import textwrap
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify, io_callback

from jax_mps_c import callbacks, locate

SCALAR = jax.ShapeDtypeStruct((), jnp.float32)


def like(x):
    return jax.ShapeDtypeStruct(x.shape, x.dtype)


def host_sin(x):
    return jax.pure_callback(lambda a: np.sin(a), like(x), x, vmap_method="expand_dims")


def run_python(program, **environment):
    program = textwrap.dedent(program)
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=120
    )


# -- values


def test_where_it_runs():
    """The rest would pass on a cpu device, too."""
    assert jax.devices()[0].platform == "mps"
    assert jax.jit(host_sin)(jnp.arange(3.0)).devices() == {jax.devices()[0]}


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_pure_callback(wrap):
    x = jnp.linspace(-2, 2, 12).reshape(3, 4)
    np.testing.assert_allclose(wrap(host_sin)(x), np.sin(x), rtol=1e-6)


@pytest.mark.parametrize(
    "dtype", ["bool", "int4", "int8", "uint32", "bfloat16", "float16", "float32", "complex64"]
)
def test_dtypes(dtype):
    x = jnp.array([[0, 1, 1], [1, 0, 1]], dtype)
    seen = []

    def call(a):
        seen.append((a.dtype, a.shape))
        return np.asarray(a)[::-1].T  # not row-major

    out = jax.jit(lambda x: jax.pure_callback(call, jax.ShapeDtypeStruct((3, 2), dtype), x))(x)
    np.testing.assert_array_equal(np.asarray(out), np.asarray(x)[::-1].T)
    assert seen == [(x.dtype, x.shape)]


def test_many_results_empty_and_none():
    shapes = {"a": SCALAR, "b": jax.ShapeDtypeStruct((0, 3), jnp.int32), "c": None}
    call = lambda x: {"a": np.float32(x.sum()), "b": np.zeros((0, 3), np.int32), "c": None}  # noqa: E731
    out = jax.jit(lambda x: jax.pure_callback(call, shapes, x))(jnp.arange(4.0))
    assert out["a"] == 6 and out["b"].shape == (0, 3) and out["c"] is None


def test_arguments_are_copies():
    """A callback may keep what it was given; the program's memory goes on to other values."""
    kept = []
    program = jax.jit(
        lambda x: jax.lax.fori_loop(
            0, 4, lambda i, c: c + jax.pure_callback(lambda a: kept.append(a) or a, like(c), c), x
        )
    )
    np.testing.assert_array_equal(program(jnp.ones(1000)), np.full(1000, 16.0))
    for i, array in enumerate(kept):
        np.testing.assert_array_equal(np.asarray(array), np.full(1000, 2.0**i))


# -- transformations


@pytest.mark.parametrize(
    "method", ["sequential", "sequential_unrolled", "expand_dims", "broadcast_all"]
)
def test_vmap(method):
    def f(x, y):
        out = jax.ShapeDtypeStruct(np.broadcast_shapes(x.shape, y.shape), x.dtype)
        return jax.pure_callback(lambda a, b: np.asarray(a + b), out, x, y, vmap_method=method)

    x = jnp.arange(4.0)
    out = jax.jit(jax.vmap(f, in_axes=(0, None)))(x, jnp.float32(2))
    np.testing.assert_array_equal(out, np.arange(4.0) + 2)


def test_grad_through_custom_jvp():
    sin = jax.custom_jvp(host_sin)
    sin.defjvp(
        lambda x, t: (
            sin(x[0]),
            t[0] * jax.pure_callback(np.cos, like(x[0]), x[0], vmap_method="expand_dims"),
        )
    )
    x = jnp.linspace(0, 1, 5)
    np.testing.assert_allclose(jax.jit(jax.vmap(jax.grad(sin)))(x), np.cos(x), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda x: sin(x).sum())(x), np.cos(x), rtol=1e-6)


def test_scan_while_cond():
    @jax.jit
    def program(x):
        total, each = jax.lax.scan(lambda c, v: (c + host_sin(v), host_sin(c)), jnp.float32(0), x)
        total = jax.lax.while_loop(
            lambda c: jax.pure_callback(
                lambda a: np.bool_(a < 9), jax.ShapeDtypeStruct((), bool), c
            ),
            lambda c: c + 1,
            total,
        )
        return jax.lax.cond(x[0] == 0, host_sin, lambda v: v, total), each

    x = np.arange(4, dtype=np.float32)
    total, each = program(x)
    sums = np.cumsum(np.concatenate([[0], np.sin(x)]))
    np.testing.assert_allclose(each, np.sin(sums[:-1]), rtol=1e-5, atol=1e-6)
    wanted = sums[-1]
    while wanted < 9:
        wanted += 1
    np.testing.assert_allclose(total, np.sin(wanted), rtol=1e-4)


def test_not_called_without_need():
    calls = []
    note = lambda a: calls.append(0) or a  # noqa: E731

    @jax.jit
    def program(n, go, x):
        call = lambda v: jax.pure_callback(note, like(v), v)  # noqa: E731
        x = jax.lax.fori_loop(0, n, lambda i, c: c + call(x), x)
        return jax.lax.cond(go, call, lambda v: v, x)

    assert program(0, False, 1.0) == 1 and not calls
    assert program(2, True, 1.0) == 3 and len(calls) == 3


# -- effects


def test_ordered():
    seen = []

    @jax.jit
    def program(x):
        def body(c, i):
            io_callback(lambda v: seen.append(int(v)), None, i, ordered=True)
            io_callback(lambda v: seen.append(-int(v)), None, i, ordered=True)
            return c, ()

        return jax.lax.scan(body, x, jnp.arange(1, 20))[0]

    for _ in range(3):
        program(1.0)
    jax.effects_barrier()
    assert seen == [s * i for i in range(1, 20) for s in (1, -1)] * 3


def test_io_callback_result():
    state = [0]

    def count():
        state[0] += 1
        return np.int32(state[0])

    program = jax.jit(lambda: io_callback(count, jax.ShapeDtypeStruct((), jnp.int32)))
    assert [int(program()) for _ in range(5)] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("ordered", [False, True])
def test_debug_print(capsys, ordered):
    @jax.jit
    def program(x):
        jax.debug.print("x is {x} and {y}", x=x, y=x.sum(), ordered=ordered)
        return x

    program(jnp.arange(3))
    jax.vmap(lambda v: jax.debug.print("one {}", v))(jnp.arange(2))
    jax.effects_barrier()
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == ["one 0", "one 1", "x is [0 1 2] and 3"]


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_debug_print_is_there_when_the_call_returns(wrap, ordered):
    """Tests of other libraries redirect the output around a call, and wait for nothing."""

    def f(x):
        y = jax.lax.fori_loop(0, 1000, lambda i, v: jnp.sin(v), x)
        jax.lax.cond(
            y.sum() > -9, lambda: jax.debug.print("sum {}", y.sum(), ordered=ordered), lambda: None
        )
        return y * 2

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        wrap(f)(jnp.ones(100))
    assert out.getvalue().startswith("sum ")


def test_debug_callback_in_grad():
    seen = []

    def f(x):
        jax.debug.callback(lambda v: seen.append(float(v)), x)
        return x * x

    assert jax.jit(jax.grad(f))(3.0) == 6
    jax.effects_barrier()
    assert seen and set(seen) == {3.0}


# -- errors


def fail(_):
    raise ValueError("no such fish: Kabeljau")


@pytest.mark.parametrize("loop", [False, True])
def test_exception(loop):
    call = lambda x: jax.pure_callback(fail, SCALAR, x)  # noqa: E731
    if loop:
        inner = call
        call = lambda x: jax.lax.fori_loop(0, 3, lambda i, c: inner(c), x)  # noqa: E731
    program = jax.jit(call)
    for _ in range(2):  # it is no worse the second time
        with pytest.raises(jax.errors.JaxRuntimeError, match="ValueError: no such fish: Kabeljau"):
            program(1.0).block_until_ready()
    assert jax.jit(host_sin)(jnp.float32(0)) == 0


@pytest.mark.parametrize(
    "f",
    [
        lambda x: jax.debug.callback(fail, x),
        lambda x: jax.debug.callback(fail, x, ordered=True),
        lambda x: jax.pure_callback(fail, SCALAR, x),
        lambda x: (io_callback(fail, None, x), x + 1)[1],
    ],
)
def test_exception_is_the_calls_and_no_later_barriers(f):
    """As on JAX's CPU backend: nothing of a failed call is left behind."""
    with pytest.raises(jax.errors.JaxRuntimeError, match="Kabeljau"):
        jax.jit(f)(1.0)
    jax.effects_barrier()


def test_nothing_is_printed_at_exit_after_a_caught_exception():
    program = """
        import jax, numpy as np
        def fail(x):
            raise ValueError("no")
        f = jax.jit(lambda x: jax.pure_callback(fail, jax.ShapeDtypeStruct((), np.float32), x))
        try:
            f(np.float32(1)).block_until_ready()
        except jax.errors.JaxRuntimeError:
            print("caught")
    """
    done = run_python(program, JAX_PLATFORMS="mps")
    assert done.returncode == 0 and done.stdout == "caught\n"
    assert "atexit" not in done.stderr, done.stderr


def test_long_exception():
    def long(_):
        raise ValueError("x" * 100_000 + "the end")

    with pytest.raises(jax.errors.JaxRuntimeError, match="xthe end"):
        jax.jit(lambda x: jax.pure_callback(long, SCALAR, x))(1.0).block_until_ready()


@pytest.mark.parametrize(
    "value, text",
    [
        (np.zeros(3, np.float32), r"Incorrect output shape.*Expected: \(\), Actual: \(3,\)"),
        (np.int32(1), "Incorrect output dtype.*Expected: float32, Actual: int32"),
        ((np.float32(0), np.float32(0)), "Mismatched number of outputs"),
    ],
)
def test_wrong_results(value, text):
    program = jax.jit(lambda x: jax.pure_callback(lambda _: value, SCALAR, x))
    with pytest.raises(jax.errors.JaxRuntimeError, match=text):
        program(1.0).block_until_ready()


def test_checkify():
    def f(x):
        checkify.check(x > 0, "wants to be positive, is {}", x)
        return jnp.log(x)

    checked = jax.jit(checkify.checkify(f))
    assert checked(1.0)[0].get() is None
    assert "wants to be positive, is -1" in checked(-1.0)[0].get()


def test_error_if():
    """As Equinox does it: a callback that raises where a predicate holds, and gives its operand."""

    def error_if(x, predicate):
        def raises(p, x):
            if p:
                raise RuntimeError("negative!")
            return x

        return jax.lax.cond(
            predicate, lambda: jax.pure_callback(raises, like(x), predicate, x), lambda: x
        )

    program = jax.jit(lambda x: jnp.sqrt(error_if(x, x < 0)))
    assert program(jnp.float32(4)) == 2
    with pytest.raises(jax.errors.JaxRuntimeError, match="negative!"):
        program(jnp.float32(-4)).block_until_ready()


# -- programs inside of callbacks


def nested(depth):
    """A callback that runs a program that calls back, and so on."""

    def call(x):
        return np.asarray(jax.jit(lambda y: nested(depth - 1)(jnp.dot(y, y) * jnp.ones(2)))(x))

    if not depth:
        return lambda x: x + 1
    return lambda x: jax.pure_callback(call, like(x), x)


def test_nested():
    with jax.default_device(jax.devices("mps")[0]):
        out = jax.jit(nested(12))(jnp.array([0.5, 0.5]))
    wanted = np.float32(0.5)
    for _ in range(12):
        wanted = np.float32(2 * wanted * wanted)
    np.testing.assert_allclose(out, np.full(2, wanted + 1))


def on_mps(a):
    return jax.device_put(np.asarray(a), jax.devices("mps")[0])


def test_threads():
    def call(a):
        return np.asarray(jax.jit(lambda v: jnp.sin(v) @ jnp.cos(v))(on_mps(a)))

    program = jax.jit(lambda x: jax.pure_callback(call, SCALAR, x) + 1)

    def work(i):
        x = np.full(50, i, np.float32)
        for _ in range(10):
            np.testing.assert_allclose(program(x), 50 * np.sin(x[0]) * np.cos(x[0]) + 1, rtol=1e-4)

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))


def test_waits_for_its_own_programs():
    """More callbacks at once than there are workers, each waiting for a program."""
    inner = jax.jit(lambda v: jax.lax.fori_loop(0, 50, lambda i, c: jnp.tanh(c @ c), v).sum())
    program = jax.jit(
        lambda x: jax.pure_callback(lambda a: np.asarray(inner(on_mps(a))), SCALAR, x)
    )
    results = [program(np.eye(20, dtype=np.float32) * i) for i in range(16)]
    assert np.isfinite(np.asarray(results)).all()


# -- lifetimes


def test_many_calls():
    program = jax.jit(host_sin)
    x = jnp.arange(10.0)
    for _ in range(500):
        out = program(x)
    np.testing.assert_allclose(out, np.sin(x), rtol=1e-6)


def test_forgotten_with_its_program():
    class Callable:
        def __call__(self, a):
            return a

    def once():
        call = Callable()
        jax.jit(lambda x: jax.pure_callback(call, SCALAR, x))(np.float32(1)).block_until_ready()
        return weakref.ref(call)

    alive = [once() for _ in range(20)]
    jax.clear_caches()
    gc.collect()
    callbacks.forget_dead(callbacks.library())
    assert not any(call() for call in alive[:-1])


def test_outlives_what_it_was_made_from():
    """An execution under way keeps its callback."""
    seen = []

    def once(i):
        def note(v):
            seen.append(i)

        jax.jit(lambda x: jax.debug.callback(note, x))(jnp.float32(i))

    for i in range(20):
        once(i)
        jax.clear_caches()
        gc.collect()
    jax.effects_barrier()
    assert sorted(seen) == list(range(20))


def test_nothing_runs_after_the_end():
    end = run_python(
        """
        import threading, time, jax, jax.numpy as jnp, numpy as np
        from jax_mps_c import callbacks
        @jax.jit
        def endless(x):
            call = lambda v: (time.sleep(0.01), v)[1]
            same = lambda v: jax.pure_callback(call, jax.ShapeDtypeStruct((), jnp.float32), v)
            return jax.lax.while_loop(lambda c: same(c) >= 0, same, x)
        def run():
            try:
                endless(1.0).block_until_ready()
            except jax.errors.JaxRuntimeError as error:
                print(str(error).split(":")[0])
        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(0.5)
        callbacks.library().close()  # what atexit does once JAX has waited
        thread.join()
        try:
            jax.jit(lambda x: jax.pure_callback(np.sin, x, x))(1.0).block_until_ready()
        except jax.errors.JaxRuntimeError as error:
            print(str(error).split(":")[0])
        """
    )
    assert end.returncode == 0, end.stderr
    assert end.stdout.split() == ["CANCELLED", "CANCELLED"]
    assert "Fatal" not in end.stderr


# -- the same elsewhere

INNER = "JAX_MPS_TEST_INNER"


def has_engine():
    mlx = locate.find_mlx()
    named = os.environ.get("JAX_MPS_MLX_ENGINE")
    return bool(named or (mlx and locate.find_engine(locate.find_library(), mlx)))


@pytest.mark.skipif(INNER in os.environ, reason="this is the inner run")
@pytest.mark.parametrize(
    "environment",
    [
        {"JAX_PLATFORMS": "mps"},
        pytest.param(
            {"JAX_PLATFORMS": "mps", "JAX_MPS_DEVICE": "mlx-cpu"},
            marks=pytest.mark.skipif(not has_engine(), reason="no MLX engine"),
        ),
        {"JAX_ENABLE_X64": "1"},
    ],
    ids=["alone", "mlx", "x64"],
)
def test_elsewhere(environment):
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(pathlib.Path(__file__))],
        env=os.environ | environment | {INNER: "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
