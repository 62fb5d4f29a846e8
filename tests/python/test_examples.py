# SPDX-License-Identifier: Apache-2.0
"""Ten steps of every example on mps and on cpu, from one seed: the same to 1e-3 at each."""

import json
import pathlib
import re
import runpy

import numpy as np
import pytest

TOLERANCE = 1e-3
ROOT = pathlib.Path(__file__).resolve().parents[2]
RESNET = "examples/resnet/main.py"


@pytest.mark.parametrize("name", ["mlp", "transformer", "lstm", "hmc", "ode", "fdtd"])
def test_ten_steps(python, name):
    values = {}
    for platform in ("mps", "cpu"):
        done = python(f"examples/{name}.py", "--steps=10", "--seed=1", JAX_PLATFORMS=platform)
        assert done.returncode == 0, done.stdout + done.stderr
        found = re.findall(r"^step (\d+) \w+ (\S+)$", done.stdout, re.MULTILINE)
        assert [int(step) for step, _ in found] == list(range(10)), done.stdout
        values[platform] = [float(value) for _, value in found]
    np.testing.assert_allclose(values["mps"], values["cpu"], rtol=TOLERANCE)


def test_resnet_ten_steps(python, tmp_path):
    reports = {}
    for platform in ("mps", "cpu"):
        report = tmp_path / f"{platform}.json"
        done = python(
            RESNET,
            "--steps=10",
            "--batch=4",
            f"--report={report}",
            JAX_PLATFORMS=platform,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"^Final training loss: \d+\.\d+$", done.stdout, re.MULTILINE)
        assert re.search(r"^Time per step \(second half\): [\d.]+ ms$", done.stdout, re.MULTILINE)
        reports[platform] = json.loads(report.read_text())
        assert reports[platform]["device"].lower().startswith(("mps", "tfrt_cpu", "cpu"))
    mine, theirs = reports["mps"]["losses"], reports["cpu"]["losses"]
    assert len(mine) == 10
    np.testing.assert_allclose(mine, theirs, rtol=TOLERANCE)


def write_cifar(folder, records, size=3073, label=9):
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    content = random.integers(0, 256, (records, size), dtype=np.uint8)
    content[:, 0] = np.arange(records) % 10
    content[-1, 0] = label
    content.tofile(folder / "data_batch_1.bin")


@pytest.mark.repository
def test_resnet_reads_cifar10(python, tmp_path):
    write_cifar(tmp_path / "data", 16)
    done = python(
        RESNET, "--steps=1", "--batch=4", f"--data={tmp_path / 'data'}", JAX_PLATFORMS="mps"
    )
    assert done.returncode == 0, done.stderr
    assert f"batch 4, {tmp_path / 'data'}" in done.stdout


@pytest.mark.repository
@pytest.mark.parametrize(
    "wrong",
    [
        "no such folder",
        "no data_batch_*.bin in it",
        "want a multiple",
        "label 77",
        "only 3 images",
        "not a positive whole number",
    ],
)
def test_resnet_wrong_data(tmp_path, monkeypatch, capsys, wrong):
    """In this process, for importing JAX and Flax takes far longer than what is tested."""
    folder, steps = tmp_path / "data", "1"
    if wrong == "no data_batch_*.bin in it":
        folder.mkdir()
    elif wrong == "want a multiple":
        write_cifar(folder, 5, size=3000)
    elif wrong == "label 77":
        write_cifar(folder, 5, label=77)
    elif wrong == "only 3 images":
        write_cifar(folder, 3)
    elif wrong == "not a positive whole number":
        write_cifar(folder, 40)
        steps = "-1"
    monkeypatch.setattr("sys.argv", [RESNET, f"--steps={steps}", f"--data={folder}"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / RESNET), run_name="__main__")
    # Python prints a text as the reason and ends with 1.
    said = ended.value.code if isinstance(ended.value.code, str) else capsys.readouterr().err
    assert ended.value.code != 0
    assert wrong in said
