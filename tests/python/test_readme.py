# SPDX-License-Identifier: Apache-2.0
"""What the README says is so: its programs run, its commands exist, its tables are the code's."""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
LINES = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
# Commands that change the environment: only that what they name exists is tested.
INSTALLING = ("pip install ", "uv ", "git ")


@pytest.mark.parametrize("text", [text for language, text in BLOCKS if language == "python"])
def test_programs(python, text):
    done = python("-c", text)
    assert done.returncode == 0, done.stdout + done.stderr
    for wanted in re.findall(r"print\(.*\)  # (\[.*\])$", text, re.MULTILINE):
        assert wanted in done.stdout


@pytest.mark.parametrize("line", LINES)
def test_commands(python, line):
    if line.startswith("make "):
        done = subprocess.run([*line.split(), "-n"], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    elif line.startswith(INSTALLING):
        assert (ROOT / "pyproject.toml").exists()
    else:
        words = line.split()
        environment = dict(word.split("=", 1) for word in words if re.match(r"[A-Z_]+=", word))
        program, *arguments = [word for word in words if not re.match(r"[A-Z_]+=", word)]
        assert program == "python", f"who runs {line}?"
        done = python(*arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr


def test_settings_are_those_of_the_code():
    table = (ROOT / "src" / "base" / "settings.def").read_text(encoding="utf-8")
    rows = re.findall(r'^SETTING\((\w+), "\w*", \w+,\s*((?:"[^"]*"\s*)+)\)', table, re.MULTILINE)
    wanted = {f"JAX_MPS_{name}": "".join(re.findall(r'"([^"]*)"', text)) for name, text in rows}
    found = dict(re.findall(r"^\| `(JAX_MPS_\w+)` \| (.*) \|$", README, re.MULTILINE))
    assert found == wanted


def test_count_of_ops():
    ops = (ROOT / "src" / "ir" / "ops.def").read_text(encoding="utf-8")
    count = len(re.findall(r"^OP\(", ops, re.MULTILINE))
    assert f"[{count} ops](docs/OPS.md)" in README


def test_links_lead_somewhere():
    for page in (README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page):
            assert (ROOT / target).exists(), target


def test_never_names_the_other_package():
    assert not re.search(r"pip install jax-mps(?!-c)", README)
