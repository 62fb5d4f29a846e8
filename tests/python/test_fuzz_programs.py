# SPDX-License-Identifier: Apache-2.0
"""scripts/fuzz_programs.py judges and reduces: a wrong result is seen, rounding is not, and a failing
program becomes a small one. That programs are right is what `make fuzz-programs` says."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.repository

ROOT = pathlib.Path(__file__).parents[2]

TEXT = """
import contextlib, dataclasses, json, random, sys
sys.path.insert(0, "scripts")
import numpy as np
import fuzz_programs
from chance import generate, judge, program, reduce

found = {}
programs = [generate.generate(seed) for seed in range(40)]
again = [generate.generate(seed) for seed in range(40)]
same = [program.print_program(a) == program.print_program(b) for a, b in zip(programs, again)]
found["repeats"] = all(same)
found["wrappers"] = sorted({w for p in programs for w in p.wrappers})
# Every op can be generated, from values of all types.
never, rng = set(program.OPS), random.Random(1)
g = generate.Generator(rng, True, generate.ELEMENTS)
with generate.precision(True):
    for dtype in generate.DTYPES | generate.WIDE_DTYPES:
        for shape in ((), (5,), (4, 4), (2, 4, 3, 3)):
            g.add_input(shape, dtype)
    known = len(g.values)
    misses = dict.fromkeys(generate.MAKERS, 0)  # since a maker's last op that was new
    for _ in range(20000):
        weights = [1 / (1 + n) ** 2 for n in misses.values()]
        (maker,) = rng.choices(list(misses), weights)
        with contextlib.suppress(LookupError):
            maker(g)
        misses[maker] = 0 if any(s.op in never for s in g.steps) else misses[maker] + 1
        never -= {s.op for s in g.steps}
        if any(s.bodies for s in g.steps):  # which take long, and are of one op each
            del misses[maker]
        del g.steps[:], g.values[known:]
        if not never:
            break
found["never"] = sorted(never)

X = program.Input((50,), "float32", "plain", 3)
Step = program.Step
steps = [
    Step("sin", (0,), {}, "float32", (50,)),
    Step("sort", (1,), {"axis": 0}, "float32", (50,)),
    Step("reduce_sum", (2,), {"axis": 0, "keepdims": False, "dtype": "float32"}, "float32", ()),
    Step("exp", (0,), {}, "float32", (50,)),
]
p = program.Program(0, [X], steps, (3, 4), ("remat",))
right = fuzz_programs.run_program(p, "jit")
found["right"] = len(judge.compare(p, right, right, "cpu", "value"))
near = [right[0] * np.float32(1 + 3e-7), right[1]]
found["rounding"] = len(judge.compare(p, near, right, "cpu", "value"))
wrong = [right[0], right[1].copy()]
wrong[1][7] *= np.float32(1.001)
found["wrong"] = [d.kind for d in judge.compare(p, wrong, right, "cpu", "value")]
small = reduce.reduce(p, lambda q: any(s.op == "sort" for s in q.steps), 60)
found["reduced"] = [s.op for s in small.steps]
found["inputs"], found["outputs"] = len(small.inputs), len(small.outputs)


def judged(shape, dtype, op, params, ours, theirs, wrappers=(), data=None):
    # The kinds of differences of a program of one op.
    x = program.Input(shape, dtype, "plain", 3, data)
    out = () if op.startswith("reduce") else shape
    p = program.Program(0, [x], [Step(op, (0,), params, dtype, out)], (1,), wrappers)
    return [d.kind for d in judge.compare(p, [ours], [theirs], "cpu", "value")]


# More than 4096 elements with a NaN: their maximum is NaN, whatever JAX's CPU backend gives.
data = np.linspace(-1, 1, 5000).astype(np.float32)
data[1000] = np.nan
nan, one = np.array(np.nan, np.float32), np.array(1, np.float32)
places = {"axis": (0,), "keepdims": False}
found["nan"] = judged((5000,), "float32", "reduce_max", places, nan, one, data=data)
found["lost"] = judged((5000,), "float32", "reduce_max", places, one, nan, data=data)
data = np.nan_to_num(data)
found["made"] = judged((5000,), "float32", "reduce_max", places, nan, one, data=data)

# The derivative of that maximum: 1 where it is, divided among equals.
ties = np.array([3, 1, 3, 2], np.float32)
half = np.array([0.5, 0, 0.5, 0], np.float32)
grad = lambda ours: judged((4,), "float32", "reduce_max", places, ours, half, ("grad",), ties)
found["bad grad"] = grad(half[::-1].copy())
places = {"axis": None, "keepdims": False}
found["of all axes"] = grad(half[::-1].copy())
# Where the other's derivative is finite and right, NaN is a difference.
found["nan grad"] = grad(np.where(half == 0, np.float32(np.nan), half))

# Rounding decides the side of a branch cut, but not more than that.
z = np.array([-2, 3], np.complex64)
steps = [Step("square", (0,), {}, "complex64", (2,)), Step("acos", (1,), {}, "complex64", (2,))]
p = program.Program(0, [program.Input((2,), "complex64", "", 0, z)], steps, (2,))
(right,) = fuzz_programs.run_program(p, "jit")
cut = lambda ours: [d.kind for d in judge.compare(p, [ours], [right], "cpu", "value")]
found["cut"], found["off the cut"] = cut(right.conj()), cut(right + np.complex64(5))
# A NaN among complex numbers: its maximum depends on the order, and so is not asked for.
z = np.array([1, complex(np.nan, 0), 2], np.complex64)
p = program.Program(0, [program.Input((3,), "complex64", "", 0, z)], [
    Step("cummax", (0,), {"axis": 0, "reverse": False}, "complex64", (3,))], (1,))
found["cummax"] = fuzz_programs.run_program(p, "jit")[0].real.tolist()

# In float64 a derivative is as sure as its own operations are: bessel_i1e's is 0 at 1.545.
x = np.array([1.54512, 1.5, 20])
p = program.Program(0, [program.Input((3,), "float64", "", 0, x)], [
    Step("bessel_i1e", (0,), {}, "float64", (3,))], (1,), ("grad",), x64=True)
(right,) = fuzz_programs.run_program(p, "jit")
judged = lambda error: [d.kind for d in judge.compare(p, [right + error], [right], "cpu", "value")]
found["derivative"], found["bad derivative"] = judged(2e-16), judged(1e-10)

# A product whose parts leave the range in one order is what any order makes of it; else it is not.
x = np.array([1e-30, 1e-12, 1e30, 2e10], np.float32)
step = Step("reduce_prod", (0,), {"axis": 0, "keepdims": False, "dtype": "float32"}, "float32", ())
p = program.Program(0, [program.Input((4,), "float32", "", 0, x)], [step], (1,))
judged = lambda q, ours: [
    d.kind for d in judge.compare(q, [np.float32(ours)], [np.float32(0)], "cpu", "value")]
found["underflow"] = judged(p, 0.0199)
safe = dataclasses.replace(p.inputs[0], data=np.array([1e-10, 1e-12, 1e12, 2e10], np.float32))
found["no underflow"] = judged(dataclasses.replace(p, inputs=[safe]), 1.99)

# So is a sum; and the terms of one that stays within the range are added right.
x = np.array([3e38, 3e38, -3e38, -2e38], np.float32)
step = Step("reduce_sum", (0,), {"axis": (0,), "keepdims": False, "dtype": "float32"}, "float32", ())
p = program.Program(0, [program.Input((4,), "float32", "", 0, x)], [step], (1,))
judged = lambda q, ours: [
    d.kind for d in judge.compare(q, [np.float32(ours)], [np.float32(1e38)], "cpu", "value")]
found["overflow"] = judged(p, np.inf)
safe = dataclasses.replace(p.inputs[0], data=np.array([3e37, 3e37, -3e37, 7e37], np.float32))
found["no overflow"] = judged(dataclasses.replace(p, inputs=[safe]), np.inf)
# digamma(0) is -inf, whatever JAX's CPU backend gives, and so is the derivative of lgamma there.
x = np.array([0, 2], np.float32)
p = program.Program(0, [program.Input((2,), "float32", "", 0, x)], [
    Step("lgamma", (0,), {}, "float32", (2,))], (1,), ("grad",))
found["lgamma"] = judge.run_wide(p)[0].tolist()[0]
# The variance of integers is computed in float64, too, where it is judged.
x = np.tile(np.array([0, 1, 4], np.int32), 595)
step = Step("reduce_var", (0,), {"axis": None, "keepdims": False}, "float32", ())
p = program.Program(0, [program.Input(x.shape, "int32", "", 0, x)], [step], (1,))
found["variance"] = abs(float(judge.run_wide(p)[0]) - 26 / 9) < 1e-6

# Constants are not folded where it is judged: z / 0 is infinite. So is cos z where sinh overflows.
z = np.array([1 + 2j, 2 - 1j], np.complex64)
p = program.Program(0, [program.Input((2,), "complex64", "", 0, z)], [
    Step("literal", (), {"dtype": "complex64", "value": 0}, "complex64", ()),
    Step("div", (0, 1), {}, "complex64", (2,)),
    Step("literal", (), {"dtype": "complex64", "value": complex(1, 89)}, "complex64", ()),
    Step("cos", (3,), {}, "complex64", ())], (2, 4))
found["infinite"] = [[str(z.real), str(z.imag)] for r in judge.run_wide(p) for z in r.ravel()]
print(json.dumps(found))
"""


def test_judge_and_reduce():
    done = subprocess.run(
        [sys.executable, "-c", TEXT],
        cwd=ROOT,
        # Many makers raise; what filters JAX's tracebacks would take a fifth of the time.
        env=os.environ | {"JAX_PLATFORMS": "cpu", "JAX_TRACEBACK_FILTERING": "off"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {
        "repeats": True,
        "wrappers": ["donate", "grad", "remat", "vmap"],
        "never": [],
        "right": 0,
        "rounding": 0,
        "wrong": ["value"],
        "reduced": ["sort"],
        "inputs": 1,
        "outputs": 1,
        "nan": [],
        "lost": ["value"],
        "made": ["value"],
        "bad grad": ["value"],
        "of all axes": ["value"],
        "nan grad": ["value"],
        "cut": [],
        "off the cut": ["value"],
        "cummax": [1.0, 1.0, 2.0],
        "derivative": [],
        "bad derivative": ["value"],
        "underflow": [],
        "no underflow": ["both"],
        "overflow": [],
        "no overflow": ["value"],
        "lgamma": float("-inf"),
        "variance": True,
        "infinite": [["inf", "inf"], ["inf", "-inf"], ["inf", "-inf"]],
    }


SAID = (
    "the platform 'mps' is not available",
    "which is not a file",
    "and so takes the JAX platform name",
    "not applied, this jax differs",
    "it may be auto, gpu, mlx-cpu or host",
    "the program comes from a newer release",
    "at a time; a process each (jax.distributed) can run it",
    "bytes for temporaries, the largest",
    "out of memory: a buffer of",
    "Buffer has been deleted or donated",
    "a callback failed",
    "the program's callback is not of this process, or is gone",
    "(JAX_MPS_COLLECTIVE_TIMEOUT) these of",
    "is damaged: its checksum differs",
    "is cut or damaged",
    "is not one of this version of the plugin",
    "DLPack has no element type for",
    "Specified copy=False, which requires a copy",
)


def test_troubleshooting_quotes_what_is_said():
    """Messages of docs/TROUBLESHOOTING.md stand in the sources."""
    text = (ROOT / "docs" / "TROUBLESHOOTING.md").read_text(encoding="utf-8")
    files = [path for f in ("src", "python") for path in (ROOT / f).rglob("*.[cp]*")]
    sources = "\n".join(p.read_text(encoding="utf-8") for p in files if p.suffix in (".c", ".py"))
    sources = re.sub(r'"\s*\n\s*f?"', "", sources)  # strings over several lines
    text = " ".join(text.split())
    assert [said for said in SAID if said not in text] == []
    assert [said for said in SAID if said not in sources] == []
