# SPDX-License-Identifier: Apache-2.0
"""The engine as on a Mac: MLX's CPU device that says it is an Apple GPU, whose kernels, ours and the
user's, are Metal source that the stub of Metal's library compiles (metal_engine.c)."""

import re
import textwrap

import engines
import numpy as np
import pytest

HEAD = """
import jax
import jax.numpy as jnp
import jax_mps_c
import numpy as np
from jax_mps_c import counters

def count():
    return counters.read()

scale = jax_mps_c.kernel(
    "scale",
    {"metal": "out0[thread_position_in_grid.x] = in0[thread_position_in_grid.x] * in1[0];"},
    grid=32, threadgroup=32, out_shape=jax.ShapeDtypeStruct((32,), jnp.float32),
)
x = np.arange(32, dtype=np.float32)
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return engines.metal(tmp_path_factory.mktemp("metal"))


@pytest.fixture
def program(python, settings):
    def run(text, **environment):
        done = python("-c", HEAD + textwrap.dedent(text), **settings | environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_the_device_is_metal(program):
    text = program("print(jax.devices()[0].device_kind, jax.devices()[0].client.platform_version)")
    assert "Apple stub" in text and "(metal)" in text


def test_our_kernels_are_metal(program):
    program("""
        before = count()
        y = jax.jit(lambda x: jnp.tanh(x) * 2 + jnp.sum(x))(x)
        np.testing.assert_allclose(y, np.tanh(x) * 2 + x.sum(), rtol=1e-6)
        assert count()["device_launches"] > before["device_launches"]
        assert count()["host_ops"] == before["host_ops"]
    """)


def test_types_of_buffers(program):
    """MLX's declarations have types, our kernels see words."""
    program("""
        y = (jnp.arange(300) % 7).astype(jnp.bfloat16)
        np.testing.assert_array_equal(jax.jit(lambda y: y * y + y)(y), y * y + y)
        half = y.astype(jnp.float16)
        np.testing.assert_array_equal(jax.jit(lambda h: h[::-1] * 3)(half), np.asarray(half)[::-1] * 3)
        mask = jax.jit(lambda x: (x > 3) & (x < 20))(x)
        np.testing.assert_array_equal(mask, (x > 3) & (x < 20))
        np.testing.assert_array_equal(jax.jit(lambda m: ~m)(mask), ~np.asarray(mask))
        z = jax.jit(lambda x: (x + 1j) * (2 - x * 1j))(x)
        np.testing.assert_allclose(z, (x + 1j) * (2 - x * 1j), rtol=1e-6)
        np.testing.assert_array_equal(jax.jit(lambda a: -a)(x[:3].astype(np.int8)), -x[:3].astype(np.int8))
        assert count()["device_launches"] >= 6, count()
    """)


@pytest.mark.parametrize("kernels", ["0", None])
def test_a_kernel_of_the_user(program, kernels):
    """A scalar is a pointer, too; it also runs where ours are off."""
    program(
        """
        f = jax.jit(lambda x, s: scale(x, s))
        before = count()
        np.testing.assert_array_equal(f(x, np.float32(3)), x * 3)
        assert count()["device_launches"] == before["device_launches"] + 1
        assert count()["host_ops"] == before["host_ops"]
        np.testing.assert_array_equal(scale(x, np.float32(2)), x * 2)
    """,
        JAX_MPS_KERNELS=kernels,
    )


def test_vmap_is_one_launch(program):
    program("""
        rows = np.stack([x, -x, x + 5])
        before = count()
        y = jax.jit(jax.vmap(scale, (0, None)))(rows, np.float32(3))
        np.testing.assert_array_equal(y, rows * 3)
        assert count()["device_launches"] == before["device_launches"] + 1
        y = jax.vmap(jax.vmap(scale, (0, None)), (None, 0))(rows, np.arange(2, dtype=np.float32))
        np.testing.assert_array_equal(y, np.arange(2)[:, None, None] * rows)
        y = jax.vmap(jax.vmap(scale, (None, 0)), (0, None))(rows, np.arange(2, dtype=np.float32))
        np.testing.assert_array_equal(y, rows[:, None] * np.arange(2)[:, None])
    """)


def test_groups_share_memory_under_vmap(program):
    """Groups of two dimensions, barriers and positions."""
    program("""
        source = '''
          threadgroup float tile[64];
          uint lane = thread_index_in_threadgroup;
          tile[lane] = m[thread_position_in_grid.y * 16 + thread_position_in_grid.x];
          threadgroup_barrier(mem_flags::mem_threadgroup);
          uint group = threadgroup_position_in_grid.y * threadgroups_per_grid.x
                     + threadgroup_position_in_grid.x + threadgroup_position_in_grid.z;
          y[group * 64 + lane] = tile[63 - lane] + threads_per_grid.z;
        '''
        flip = jax_mps_c.kernel(
            "flip", {"metal": source}, grid=(16, 16), threadgroup=(8, 8), in_names=["m"],
            out_names=["y"], out_shape=jax.ShapeDtypeStruct((4, 64), jnp.float32))
        m = np.random.default_rng(0).normal(size=(5, 16, 16)).astype(np.float32)
        tiles = m.reshape(5, 2, 8, 2, 8).transpose(0, 1, 3, 2, 4).reshape(5, 4, 64)
        want = tiles[..., ::-1] + 1
        np.testing.assert_array_equal(flip(m[0]), want[0])
        before = count()
        np.testing.assert_array_equal(jax.jit(jax.vmap(flip))(m), want)
        assert count()["device_launches"] == before["device_launches"] + 1
    """)


def test_a_reference_is_not_run_where_there_is_a_source(program):
    program("""
        double = jax_mps_c.kernel(
            "double", {"metal": "out0[thread_position_in_grid.x] = 2 * in0[thread_position_in_grid.x];"},
            32, 32, jax.ShapeDtypeStruct((32,), jnp.float32), reference=lambda x: 3 * x)
        np.testing.assert_array_equal(jax.jit(double)(x), 2 * x)
        value, tangent = jax.jvp(double, (x,), (np.ones_like(x),))
        np.testing.assert_array_equal(value, 2 * x)
        np.testing.assert_array_equal(tangent, np.full_like(x, 3))
    """)


def test_a_source_for_another_device(program):
    program("""
        other = jax_mps_c.kernel("other", {"cuda": "out0[0] = 1;"}, 1, 1,
                                 jax.ShapeDtypeStruct((1,), jnp.float32))
        try:
            jax.jit(other)()
        except Exception as error:
            text = str(error)
        for part in ("UNIMPLEMENTED", '"other"', "Apple stub", "only cuda", "reference"):
            assert part in text, text
        served = jax_mps_c.kernel("served", {"cuda": "out0[0] = 1;"}, 1, 1,
                                  jax.ShapeDtypeStruct((1,), jnp.float32),
                                  reference=lambda: jnp.full(1, 7.0))
        assert jax.jit(served)()[0] == 7
    """)


def test_a_source_that_metal_refuses(program):
    """The error is the results', it names the kernel, and the next program runs."""
    program("""
        wrong = jax_mps_c.kernel("wrong", {"metal": "out0[0] = nothing_of_this_name;"}, 1, 1,
                                 jax.ShapeDtypeStruct((1,), jnp.float32))
        try:
            jax.block_until_ready(jax.jit(wrong)())
        except Exception as error:
            assert "user_wrong_" in str(error), str(error)
        else:
            raise AssertionError("no error")
        np.testing.assert_array_equal(scale(x, np.float32(2)), x * 2)
    """)


def test_inside_of_a_loop(program):
    program("""
        y = jax.jit(lambda x: jax.lax.fori_loop(0, 3, lambda i, y: scale(y, jnp.float32(2)) + 1, x))(x)
        np.testing.assert_array_equal(y, ((x * 2 + 1) * 2 + 1) * 2 + 1)
    """)


def test_the_example(program):
    """Both languages' body is one text; on the CPU its reference gives the same energies."""
    text = program("""
        import runpy, sys
        sys.argv = ["examples/fdtd.py", "--steps=2", "--seed=1"]
        before = count()
        runpy.run_path(sys.argv[0], run_name="__main__")
        # Ten steps of both media are ten launches, each time.
        assert count()["device_launches"] - before["device_launches"] >= 20
        import contextlib, io
        with jax.default_device(jax.devices("cpu")[0]), contextlib.redirect_stdout(io.StringIO()) as out:
            runpy.run_path(sys.argv[0], run_name="__main__")
        print("CPU", out.getvalue())
    """)
    mps, _, cpu = text.partition("CPU")
    energies = [[float(v) for v in re.findall(r"energy (\S+)", part)] for part in (mps, cpu)]
    assert len(energies[0]) == 4
    np.testing.assert_allclose(*energies, rtol=1e-5)


# -- what is broken on purpose

GROUPS = """
def groups():
    rows = np.random.default_rng(0).normal(size=(300, 400)).astype(np.float32)
    return (
        jax.jit(lambda x: jnp.tanh(x) * 2 - x)(rows),
        jax.jit(jax.nn.softmax)(rows),
        jax.jit(lambda x: jnp.sum(x * x, 0))(rows),
        jax.jit(lambda x: (x * 2).T + 1)(rows),
    )
"""


def test_compare_finds_nothing_wrong(program):
    """Bit for bit: every schedule but loops, the reduction in two launches."""
    program(
        GROUPS
        + """
before = count()
jax.block_until_ready(groups())
assert count()["groups_compared"] - before["groups_compared"] >= 4, count()
""",
        JAX_MPS_DEBUG="compare",
    )


BROKEN = {
    "operand": ("fma(v=>fma(-v", "tanh", "map"),
    "barrier": ("threadgroup_barrier(mem_flags::mem_threadgroup);=>", "", "row|reduce|transpose"),
    "index": ("thread_position_in_threadgroup.x;=>thread_position_in_threadgroup.x / 2;", "", ""),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_compare_finds_what_is_broken(program, tmp_path, rule):
    """The first group that differs is named, with its ops and where they stand."""
    change, ops, schedules = BROKEN[rule]
    text = program(
        GROUPS
        + """
try:
    jax.block_until_ready(groups())
except Exception as error:
    print("FOUND", error)
""",
        JAX_MPS_DEBUG="compare",
        JM_METAL_BREAK=change,
        JM_METAL_FOLDER=tmp_path,
        JAX_MPS_KERNELS="metal",  # without the check of the device, which would find it first
    )
    found = text.partition("FOUND")[2]
    assert "differ from the interpreter's: result 0, element " in found, text
    assert re.search(rf'kernels of group "({schedules or ".*"})" of .*{ops}', found), found
    assert re.search(r"fusion\(.*\) -> .* at .*:\d+", found, re.S), found


def test_selftest_finds_what_is_broken(python, settings, tmp_path):
    done = python(
        *("-m", "jax_mps_c", "selftest", "--seconds", "10"),
        **settings
        | {
            "JM_METAL_BREAK": BROKEN["operand"][0],
            "JM_METAL_FOLDER": tmp_path,
            "JAX_MPS_KERNELS": "metal",
        },
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"[1-9]\d* failed", done.stdout), done.stdout


# -- the first start on a device that nobody verified

START = """
y = jax.jit(lambda x: jnp.tanh(x) * 2)(x)
np.testing.assert_allclose(y, np.tanh(x) * 2, rtol=1e-6)
print("COUNTED", count()["groups_compared"], count()["device_launches"])
"""


def start(program, **environment):
    text = program(START, **environment)
    compared, launches = map(int, re.search(r"COUNTED (\d+) (\d+)", text).groups())
    return text, compared, launches


def test_the_check_of_a_device(program, tmp_path):
    """Every schedule is compared once; the verdict is kept with the kernels."""
    text, compared, launches = start(program, JAX_MPS_KERNEL_CACHE=tmp_path)
    assert compared == 6 and launches == 9 and "don't run right" not in text
    text, compared, launches = start(program, JAX_MPS_KERNEL_CACHE=tmp_path)
    assert compared == 0 and launches == 1 and "don't run right" not in text


@pytest.mark.parametrize(
    "change, reason",
    [
        (BROKEN["operand"][0], "differ from the interpreter's"),
        ("float=>nothing_of_this_name", "Metal refuses kernel"),
    ],
)
def test_a_device_that_fails_the_check(program, tmp_path, change, reason):
    """Programs are right, through MLX alone, and one warning says why; it is not tried again."""
    environment = {
        "JAX_MPS_KERNEL_CACHE": tmp_path,
        "JM_METAL_FOLDER": tmp_path,
        "JM_METAL_BREAK": change,
    }
    _, first, launches = start(program, **environment)
    assert launches > 0  # those of the check
    text, compared, launches = start(program, **environment)
    assert compared == 0 and launches == 0 and first < 6
    assert text.count("kernels of ours don't run right on Apple stub") == 1 and reason in text
    text, compared, _ = start(program, **environment | {"JAX_MPS_KERNELS": "0"})
    assert compared == 0 and "don't run right" not in text
