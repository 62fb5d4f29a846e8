# SPDX-License-Identifier: Apache-2.0
"""`python -m jax_plugins.mps explain`, in processes of their own."""

import pathlib
import re
import xml.etree.ElementTree

import pytest

from jax_mps_c import plan_svg

ARTIFACTS = pathlib.Path(__file__).resolve().parents[1] / "golden" / "artifacts"
SVG = "{http://www.w3.org/2000/svg}"
PROGRAM = """
import sys
import jax, jax.numpy as jnp
print("arguments", sys.argv[1:])

@jax.jit
def fused(x, w):
    return jnp.tanh(x @ w + 1).sum(0)

@jax.jit
def looped(x):
    return jax.lax.while_loop(lambda c: c[0].sum() < 9, lambda c: (jnp.sort(c[0]) + c[1], c[1]), x)

print(fused(jnp.ones((4, 16)), jnp.ones((16, 3))).sum())
looped((jnp.ones(5), jnp.ones(5)))
"""


def plans(output):
    """The plans' texts by the programs' names."""
    _, *texts = ("\n" + output).split("\nplan of ")
    return {text.partition(":")[0]: text for text in texts}


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


@pytest.mark.parametrize("llvm", [None, "none"])
def test_program(python, program, tmp_path, llvm):
    svg = tmp_path / "plan.svg"
    done = python(
        *("-m", "jax_plugins.mps", "explain", program, "--steps", "3", "--svg", svg),
        *("--", "--svg=mine"),
        JAX_MPS_LLVM=llvm,
    )
    assert done.returncode == 0, done.stderr
    assert "arguments ['--steps', '3', '--svg=mine']" in done.stdout
    found = plans(done.stdout)
    fused, looped = found["jit_fused"], found["jit_looped"]
    # The product is a step; what follows is one, of ops with their types, constants and sources.
    assert "dot_general  # jit(fused)/dot_general at " in fused and "program.py:8:2" in fused
    assert "reads parameter 0: f32[4,16], parameter 1: f32[16,3]" in fused
    assert ": f32[3] = reduce %" in fused
    assert "writes output 0: f32[3]" in fused
    assert "condition (%" in looped and "body (%" in looped and "sort %" in looped
    if "kernels 0" not in fused and llvm is None:  # there is LLVM
        assert "\n  step 1: group " in fused and "\n  step 2: " not in fused
        assert "\n    kernel 1 of 1, " in fused and " = load $0[" in fused
        assert ", 1  # jit(fused)/add" in fused
    else:
        assert "step 1: add  # jit(fused)/add" in fused and "kernels 0" in fused

    drawn = xml.etree.ElementTree.parse(svg).getroot()
    texts = ["".join(element.itertext()) for element in drawn.iter(f"{SVG}text")]
    assert {"jit_fused", "jit_looped", "condition", "body"} <= set(texts)
    n_steps = len(re.findall(r"^ *step \d+: ", done.stdout, re.MULTILINE))
    assert len(drawn.findall(f"{SVG}rect[@class='box']")) == n_steps
    assert drawn.findall(f"{SVG}path[@class='value']")
    assert drawn.findall(f"{SVG}path[@class='value back']")


TARGETS = {
    "metal": ("thread_position_in_threadgroup", "for an Apple GPU"),
    "cuda": ('extern "C" __global__ void', "for an NVIDIA GPU"),
}


@pytest.mark.parametrize("target", TARGETS)
def test_program_for_a_gpu(python, program, target):
    """The program runs on the host; what a GPU would run is planned, with sources."""
    done = python("-m", "jax_mps_c", "explain", "--target", target, program)
    assert done.returncode == 0, done.stderr
    found = plans(done.stdout)
    fused, looped = found["jit_fused"], found["jit_looped"]
    word, compiler = TARGETS[target]
    assert compiler in fused and "1 by MLX, 1 by kernels of ours" in fused
    assert "step 0: dot_general by MLX  # jit(fused)/dot_general at " in fused
    assert re.search(
        r"launch 1 of 1, \w+: groups \d+, threads of each \d+, shared bytes \d+; "
        r"buffers of 48 bytes read, of 12 written\n +in0 is %\d+, out0 is %\d+\n",
        fused,
    ), fused
    assert word in fused and "in0[" in fused and "out0[" in fused
    assert "condition (%" in looped and "sort by MLX" in looped


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["add1", "mlp_grad", "fori_loop", "random_sort_gather"])
def test_artifact_for_a_gpu(python, tmp_path, name, target):
    svg = tmp_path / "plan.svg"
    path = ARTIFACTS / f"0.10.2-9.9.9-{name}.mlirbc"
    done = python("-m", "jax_mps_c", "explain", path, f"--target={target}", "--svg", svg)
    assert done.returncode == 0, done.stderr
    assert " by kernels of ours" in done.stdout and "out0[" in done.stdout
    assert xml.etree.ElementTree.parse(svg).getroot().tag == f"{SVG}svg"


def test_a_gpu_that_is_none(python, tmp_path):
    done = python("-m", "jax_mps_c", "explain", "--target=rocm", tmp_path / "x.py")
    assert done.returncode == 2 and "metal" in done.stderr and "cuda" in done.stderr


KERNEL = """
import jax, jax.numpy as jnp, jax_mps_c
from jax_mps_c import explain
f = jax_mps_c.kernel("mine", {"metal": "out0[0] = in0[0] + 1;"}, 1, 1,
                     jax.ShapeDtypeStruct((1,), jnp.float32), reference=lambda x: x + 1)
lowered = jax.jit(f).lower(jnp.ones(1))
for target in ("metal", "cuda", None):
    print(target, explain.text(lowered, target).replace("\\n", "|"))
try:
    explain.text(lowered, "rocm")
except ValueError as error:
    print(error)
"""


def test_a_kernel_of_the_user(code):
    """Its source where the device runs it, else what its reference becomes."""
    lines, _ = code(KERNEL, JAX_PLATFORMS="mps,cpu")
    metal, cuda, host, wrong = lines
    assert "launch 1 of 1, kernel mine: threads 1 x 1 x 1, of a group 1 x 1 x 1|" in metal
    assert " out0[0] = in0[0] + 1;|" in metal and "1 by kernels of the user's" in metal
    assert "mine" not in cuda.partition("add %")[2] and "1 by kernels of ours" in cuda
    assert "f32[1] = add %" in host
    assert wrong == '"rocm" is no device to explain for: there are metal and cuda'


def test_program_that_fails(python, tmp_path):
    path = tmp_path / "fails.py"
    path.write_text("import jax\njax.jit(lambda x: -x)(1.0)\nraise SystemExit(7)\n")
    done = python("-m", "jax_plugins.mps", "explain", path)
    assert done.returncode == 7, done.stderr
    assert "negate" in plans(done.stdout)["jit__lambda"]


def test_program_without_programs(python, tmp_path):
    path = tmp_path / "empty.py"
    path.write_text("")
    done = python("-m", "jax_plugins.mps", "explain", path)
    assert done.returncode == 1 and "nothing was compiled" in done.stderr


@pytest.mark.parametrize("name", ["add1", "mlp_grad", "fori_loop", "random_sort_gather"])
def test_artifact(python, tmp_path, name):
    svg = tmp_path / "plan.svg"
    path = ARTIFACTS / f"0.10.2-9.9.9-{name}.mlirbc"
    done = python("-m", "jax_mps_c", "explain", path, "--svg", svg)
    assert done.returncode == 0, done.stderr
    [plan] = plans(done.stdout).values()
    assert "parameter 0: " in plan and "output 0: " in plan
    assert xml.etree.ElementTree.parse(svg).getroot().tag == f"{SVG}svg"


def test_text_of_stablehlo(python, tmp_path):
    path = tmp_path / "program.mlir"
    path.write_text(
        "module @twice { func.func public @main(%x: tensor<3xf32>) -> tensor<3xf32> {\n"
        "%y = stablehlo.add %x, %x : tensor<3xf32>\nreturn %y : tensor<3xf32> } }\n"
    )
    done = python("-m", "jax_mps_c", "explain", path)
    assert done.returncode == 0, done.stderr
    assert "f32[3] = add %" in plans(done.stdout)["twice"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), (b"ML\xefRno", "byte"), (b"module @m { nonsense }", "")],
)
def test_file_that_is_none(python, tmp_path, content, message):
    path = tmp_path / "file.mlirbc"
    if content:
        path.write_bytes(content)
    done = python("-m", "jax_mps_c", "explain", path)
    assert done.returncode == 1 and str(path) in done.stderr and message in done.stderr
    assert "Traceback" not in done.stderr and not done.stdout


def test_text_of_a_function(code):
    lines, _ = code(
        "import jax, numpy as np\n"
        "from jax_mps_c import explain\n"
        "lowered = jax.jit(lambda x: np.float32(2) * x).lower(np.zeros(3, np.float32))\n"
        "assert explain.text(lowered) == explain.text(lowered.compile())\n"
        "print(explain.text(lowered))\n",
        JAX_PLATFORMS="mps,cpu",
    )
    assert lines[0].startswith("plan of jit__lambda: ")
    assert any("f32[3] = multiply 2, %" in line for line in lines)


TEXT = """
import jax, numpy as np
from jax._src.lib import xla_client
from jax_mps_c import explain
compiled = jax.jit(lambda x: np.float32(2) * x).lower(np.zeros(3, np.float32)).compile()
program, _, plan = compiled.as_text().partition("\\n\\n// ")
plan = plan.replace("\\n// ", "\\n").rstrip()
print("multiply(" in program, plan == explain.text(compiled).rstrip())
parsed = xla_client.hlo.hlo_module_from_text(compiled.as_text())
print(parsed.to_string().count("multiply("))
"""


def test_as_text_ends_with_the_plan(code):
    assert code(TEXT)[0] == ["True True", "1"]
    assert code(TEXT, JAX_MPS_HOOKS="text")[0] == ["True False", "1"]


def test_text_of_a_function_elsewhere(code):
    lines, _ = code(
        "import jax\n"
        "from jax_mps_c import explain\n"
        "try:\n"
        "    explain.text(jax.jit(lambda x: x).lower(1.0))\n"
        "except ValueError as error:\n"
        "    print(error)\n",
        JAX_PLATFORMS="cpu",
    )
    assert lines == ["compiled for cpu, not for mps"]


def step(number, title, reads=(), writes=(), blocks=()):
    return {
        "number": number,
        "title": title,
        "source": "a <b> & c",
        "ops": "%1: f32[] = op <0>  # somewhere\n",
        "kernels": 0,
        "reads": [{"slot": slot, "type": "f32[]"} for slot in reads],
        "writes": [{"slot": slot, "type": "f32[]"} for slot in writes],
        "temporaries": [],
        "blocks": [{"name": name, "steps": steps} for name, steps in blocks],
    }


def test_lines_of_a_picture():
    """What is written in a loop reaches the next iteration and leaves the loop from its box."""
    body = [step(2, "negate", reads=[0], writes=[1]), step(3, "copy", reads=[1], writes=[0])]
    plan = {
        "name": "p",
        "arena": 0,
        "read": 0,
        "written": 0,
        "slots": [{"kind": "arena", "name": f"arena+{i}", "bytes": 4} for i in range(2)],
        "steps": [
            step(0, "copy", writes=[0]),
            step(1, "while", blocks=[("body", body)]),
            step(4, "copy", reads=[0]),
        ],
    }
    picture = plan_svg.Picture(plan, 0)
    lines = {
        (line.slot, line.writer.step["number"], reader.step["number"], line.back)
        for line in picture.lines
        for reader in line.readers
    }
    assert lines == {(0, 0, 2, False), (1, 2, 3, False), (0, 3, 2, True), (0, 1, 4, False)}
    xml.etree.ElementTree.fromstring(plan_svg.draw([plan, plan]))
