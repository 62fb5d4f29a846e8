# SPDX-License-Identifier: Apache-2.0
"""The launcher, and the example that it starts."""

import re

import pytest

STEPS = 3


def losses(done, way):
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.findall(rf"^(?:\[0\] )?{way} step (\d+) loss (\S+)$", done.stdout, re.MULTILINE)
    assert [int(step) for step, _ in found] == list(range(STEPS)), done.stdout
    return [float(value) for _, value in found]


def test_example_in_one_process(python):
    """The script itself compares the losses of all ways with those of one device."""
    done = python("examples/parallel.py", "--devices=4", f"--steps={STEPS}", JAX_PLATFORMS="mps")
    assert losses(done, "data")[0] > losses(done, "data")[-1]
    for way in ("sharded", "tensor"):
        losses(done, way)
    assert "4 devices, 1 processes: the losses of one device" in done.stdout


def test_example_in_two_processes(python):
    pytest.importorskip("mlx", reason="processes exchange data through MLX")
    done = python(
        "-m",
        "jax_mps_c.launch",
        "--processes=2",
        "examples/parallel.py",
        "--devices=2",
        f"--steps={STEPS}",
        JAX_PLATFORMS="mps",
        timeout=300,
    )
    for way in ("data", "sharded", "tensor"):
        losses(done, way)
    assert "4 devices, 2 processes: the losses of one device" in done.stdout


def test_failure(python, tmp_path):
    script = tmp_path / "fails.py"
    script.write_text(
        "import os, time\n"
        "index = int(os.environ['JAX_PROCESS_ID'])\n"
        "print('index', index, os.environ['JAX_NUM_PROCESSES'], flush=True)\n"
        "if index == 1: raise SystemExit(5)\n"
        "time.sleep(600)\n"
    )
    done = python("-m", "jax_mps_c.launch", "--processes=3", str(script), timeout=60)
    assert done.returncode == 5, done.stdout + done.stderr
    assert "process 1 ended with status 5" in done.stderr
    for index in range(3):
        assert f"[{index}] index {index} 3" in done.stdout


def test_hosts():
    from jax_mps_c import launch

    line = launch.command_for("a", ["python", "a script.py"], {"JAX_PROCESS_ID": "1"})
    assert line[0] == "ssh" and line[-2] == "a"
    assert "JAX_PROCESS_ID=1" in line[-1] and line[-1].endswith("python 'a script.py'")
