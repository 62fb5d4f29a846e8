# SPDX-License-Identifier: Apache-2.0
"""Special functions against scipy, beyond the ranges of the cases; random bits against JAX's CPU
backend; and that each is one op of the program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from jax import lax

from jax_mps_c import counters
from jax_mps_c.selftest.harness import compare, run, x64

RANDOM = np.random.default_rng(6)
N = 3000


def spread(low, high, signs=False):
    """As many values of each magnitude."""
    x = np.exp(RANDOM.uniform(np.log(low), np.log(high), N))
    return x * RANDOM.choice([-1, 1], N) if signs else x


def gamma_pair():
    """x where neither incomplete gamma function is 0 or 1."""
    a = spread(1e-2, 1e4)
    return a, a * np.exp(RANDOM.normal(size=N) * np.minimum(1, 2 / np.sqrt(a)))


# Name in jax.lax: scipy's function, arguments, tolerance of f64 relative to the value.
FUNCTIONS = {
    "bessel_i0e": (scipy.special.i0e, (spread(1e-4, 1e6, True),), 1e-14),
    "bessel_i1e": (scipy.special.i1e, (spread(1e-4, 1e6, True),), 1e-14),
    "digamma": (scipy.special.digamma, (spread(1e-9, 1e9),), 1e-12),
    "erf_inv": (scipy.special.erfinv, (1 - spread(1e-12, 2),), 1e-13),
    "igamma": (scipy.special.gammainc, gamma_pair(), 1e-11),
    "igammac": (scipy.special.gammaincc, gamma_pair(), 1e-11),
    "lgamma": (scipy.special.gammaln, (spread(1e-9, 1e9),), 1e-12),
    "polygamma": (
        scipy.special.polygamma,
        (RANDOM.integers(1, 9, N).astype(float), spread(0.1, 1e3)),
        1e-13,
    ),
    "betainc": (
        scipy.special.betainc,
        (spread(0.1, 100), spread(0.1, 100), RANDOM.uniform(0.01, 0.99, N)),
        1e-10,
    ),
    "zeta": (scipy.special.zeta, (1 + spread(1e-2, 50), spread(1e-2, 1e3)), 1e-13),
}
TOLERANCE = {"float32": 3e-7, "float16": 1e-3, "bfloat16": 8e-3}


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(name, dtype):
    reference, wide, tolerance = FUNCTIONS[name]
    dtype = jnp.dtype(dtype)
    with np.errstate(all="ignore"):
        arguments = [x.astype(dtype) for x in wide]
        expected = reference(*(x.astype(np.float64) for x in arguments))
    with x64(True):
        got = np.asarray(run("mps", getattr(lax, name), arguments)).astype(np.float64)
    info = jnp.finfo(dtype)
    usual = np.isfinite(expected) & (np.abs(expected) < float(info.max))
    usual &= np.abs(expected) > float(info.tiny) * 16
    assert usual.sum() > N / 8
    np.testing.assert_allclose(
        got[usual], expected[usual], rtol=TOLERANCE.get(dtype.name, tolerance)
    )


def steps_of(function, *arguments):
    """The steps that the host's engine takes for one execution, kernels among them."""

    def steps():
        counted = counters.read()
        return counted["library_steps"] + counted["kernel_runs"]

    jax.block_until_ready(function(*arguments))
    before = steps()
    jax.block_until_ready(function(*arguments))
    return steps() - before


@pytest.mark.parametrize("name", FUNCTIONS)
def test_one_op(name):
    _, arguments, _ = FUNCTIONS[name]
    arguments = [jax.device_put(x.astype(np.float32), jax.devices("mps")[0]) for x in arguments]
    assert steps_of(jax.jit(getattr(lax, name)), *arguments) == 1


# The arguments with a derivative, and JAX's rules for them.
@pytest.mark.parametrize(
    "name, which",
    [("lgamma", 0), ("digamma", 0), ("erf_inv", 0), ("bessel_i0e", 0), ("bessel_i1e", 0)]
    + [("igamma", 0), ("igamma", 1), ("igammac", 0), ("igammac", 1), ("betainc", 2)],
)
def test_derivatives(name, which):
    arguments = [np.linspace(0.15, 0.85, 12, dtype=np.float32) + i / 16 for i in range(3)]
    arguments = arguments[: 3 if name == "betainc" else 2 if name.startswith("igamma") else 1]

    def total(*x):
        return jnp.sum(getattr(lax, name)(*x) ** 2)

    compare(jax.grad(total, argnums=which), arguments, tolerance=1e-4)
    compare(jax.vmap(getattr(lax, name)), arguments, tolerance=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, jnp.bfloat16])
def test_digamma_at_its_poles(dtype):
    x = np.array([0.0, -0.0, -1.0, -2.0, np.inf, -np.inf, np.nan]).astype(dtype)
    want = np.array([-np.inf, -np.inf, np.nan, np.nan, np.inf, np.nan, np.nan])
    on_mps = jax.device_put(x, jax.devices("mps")[0])
    got = np.asarray(jax.jit(lax.digamma)(on_mps)).astype(np.float32)
    np.testing.assert_array_equal(got, want)


def test_near_the_greatest_number():
    # Both are finite there, as is log x; lgamma's last finite value is at 2.55998e305 (mpmath).
    x = np.array([1e300, 2**1014 * 1.01, 2.5e305, 1e306, 1.7976931348623157e308])
    with x64(True):
        lgamma, digamma = (np.asarray(run("mps", f, [x])) for f in (lax.lgamma, lax.digamma))
    np.testing.assert_allclose(
        lgamma,
        [6.89775527898213741e302, 1.24448081630270168e308, 1.75551186023764525e308, np.inf, np.inf],
        rtol=1e-15,
    )
    np.testing.assert_allclose(digamma, np.log(x), rtol=1e-15)


# x, bessel_i0e, bessel_i1e and their derivatives, of 20 digits (mpmath). All types have these x; the
# derivative of bessel_i1e is 0 near 1.5451.
BESSEL = np.array(
    [
        (0.0, 1.0, 0.0, 0.0, 0.5),
        (2**-20, 0.99999904632636571441, 4.7683670345604516396e-7)
        + (-0.99999856948966225837, 0.49999904632653624453),
        (0.25, 0.79101716213971936389, 0.098112628697368246674)
        + (-0.69290453344235111721, 0.30045401865287813052),
        (-0.75, 0.54116521920349532314, -0.18988779330485501727)
        + (0.35127742589864030587, 0.098093701492166949521),
        (1.5, 0.36743360905415833924, 0.21903938742092567212)
        + (-0.14839422163323266712, 0.0023679633526155523797),
        (-1.546875, 0.36063979369940830007, -0.21909189863947032837)
        + (0.14154789505993797169, -0.000087271737295371901321),
        (2.0, 0.30850832255367103953, 0.21526928924893765916)
        + (-0.093239033304733380375, -0.014395611319735449204),
        (6.5, 0.15980484901763224634, 0.14693864572376429165)
        + (-0.01286620329386795469, -0.0097397422020957824871),
        (-7.875, 0.14460728463168580721, -0.13508694525737152912)
        + (0.0095203393743142780865, -0.0076335584361455986277),
        (8.0, 0.14343178185685031071, 0.13414249329269817831)
        + (-0.0092892885641521324041, -0.0074785230974351398843),
        (8.0625, 0.14285471410685900366, 0.13367745553376245504)
        + (-0.0091772585730965486189, -0.0074028909504708876648),
        (21.0, 0.087589159654227855049, 0.085477596445229773766)
        + (-0.0021115632089980812831, -0.001958798526489050801),
        (-640.0, 0.015772660969824482355, -0.015760333757468260575)
        + (0.000012327212356221780087, -0.000012298309139822377062),
        (3856.0, 0.0064247411313510423762, 0.0064239079936719389486)
        + (-8.3313767910342757963e-7, -8.3281356406875575766e-7),
    ]
)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_bessel_and_derivatives(dtype):
    """Values have all digits of their type but three bits. The terms of JAX's derivatives are below 1 and
    cancel: they have an error of two roundings in absolute terms, and more where it is large."""
    x = BESSEL[:, 0].astype(jnp.dtype(dtype))
    assert np.array_equal(x.astype(np.float64), BESSEL[:, 0])
    eps = float(jnp.finfo(dtype).eps)

    def derivative(f):
        return jax.vmap(jax.grad(f))

    functions = (
        lax.bessel_i0e,
        lax.bessel_i1e,
        derivative(lax.bessel_i0e),
        derivative(lax.bessel_i1e),
    )
    with x64(True):
        for column, f in enumerate(functions, start=1):
            expected = BESSEL[:, column]
            got = np.asarray(run("mps", f, (x,))).astype(np.float64)
            bound = (
                2 * eps if column > 2 else 5 * eps * np.abs(expected) + float(jnp.finfo(dtype).tiny)
            )
            assert np.all(np.abs(got - expected) <= bound), (column, got - expected)


def test_broadcasting():
    x = np.linspace(0.5, 4, 6, dtype=np.float32)
    compare(lambda x: lax.igamma(jnp.float32(2), x), (x,), tolerance=1e-5)
    compare(jax.vmap(lambda a: lax.igammac(a, x)), (x,), tolerance=1e-5)


def test_exported_program_runs_on_cpu():
    """What is lowered for mps holds JAX's own rules too, for readers that don't know our ops."""
    x = np.linspace(0.1, 5, 20, dtype=np.float32)

    def f(x):
        return lax.lgamma(x) + lax.igamma(x, x), jax.random.bits(jax.random.key(3), (5,))

    exported = jax.export.export(jax.jit(f), platforms=["mps"])(x)
    assert "mps.igamma" in exported.mlir_module()
    both = jax.export.export(jax.jit(f), platforms=["cpu", "mps"])(x)
    for got, expected in zip(both.call(x), run("cpu", f, (x,))):
        np.testing.assert_allclose(got, expected, rtol=2e-5)


@pytest.mark.parametrize("partitionable", [False, True])
@pytest.mark.parametrize("bits", ["uint8", "uint16", "uint32", "uint64"])
def test_random_bits(bits, partitionable):
    with jax.threefry_partitionable(partitionable), x64(True):
        for shape in ((), (1,), (7,), (4, 33), (40_000,)):
            compare(lambda k: jax.random.bits(k, shape, bits), (jax.random.PRNGKey(7),))


@pytest.mark.parametrize("partitionable", [False, True])
def test_random_keys(partitionable):
    with jax.threefry_partitionable(partitionable):
        key = jax.random.PRNGKey(2**33 + 5)
        compare(lambda k: jax.random.split(k, 5), (key,))
        compare(lambda k: jax.random.fold_in(k, 77), (key,))
        keys = np.asarray(jax.random.split(key, 6)).reshape(2, 3, 2)
        compare(jax.vmap(jax.vmap(lambda k: jax.random.split(k, 3))), (keys,))
        compare(jax.vmap(jax.vmap(lambda k: jax.random.bits(k, (4,)))), (keys,))


def test_random_bits_are_one_cipher():
    key = jax.device_put(jax.random.PRNGKey(0), jax.devices("mps")[0])
    assert steps_of(jax.jit(lambda k: jax.random.bits(k, (1000,))), key) < 20
