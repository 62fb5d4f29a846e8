# SPDX-License-Identifier: Apache-2.0
"""The runner of JAX's tests counts a dead or hanging process for what it is."""

import pathlib
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.repository
ROOT = pathlib.Path(__file__).resolve().parents[2]

DEADLY = """
import os, time, unittest
class T(unittest.TestCase):
    def test_a(self): pass
    def test_b(self): os.abort()
    def test_c(self): self.fail("wrong")
    def test_d(self): time.sleep(1000)
    def test_e(self): self.skipTest("no such device")
    def test_f(self):
        with self.subTest("one"): self.skipTest("x")
        with self.subTest("two"): self.fail("part")
    def test_g(self): pass
"""


def run(tmp_path, *args):
    command = [sys.executable, ROOT / "scripts" / "run_jax_tests.py", "--jax-source", tmp_path]
    command += ["--output", tmp_path / "out", "--timeout", "8", *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    stored = (tmp_path / "out" / "results.tsv").read_text(encoding="utf-8")
    return done, {
        line.split("\t")[0].split("::")[1]: line.split("\t")[1:] for line in stored.splitlines()
    }


def test_every_ending_is_counted(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "deadly_test.py").write_text(DEADLY, encoding="utf-8")
    done, outcome = run(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert {name: fields[0] for name, fields in outcome.items()} == {
        "test_a": "pass",
        "test_b": "crash",
        "test_c": "fail",
        "test_d": "crash",
        "test_e": "skip",
        "test_f": "fail",
        "test_g": "pass",
    }
    assert "SIGABRT" in outcome["test_b"][1]
    assert "no progress" in outcome["test_d"][1]


def test_a_sample(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "deadly_test.py").write_text(DEADLY, encoding="utf-8")
    done, outcome = run(tmp_path, "--every", "2")
    assert list(outcome) == ["test_a", "test_c", "test_e", "test_g"], done.stdout + done.stderr
    assert "a part of the tests" in done.stdout
    assert re.search(r"^deadly_test +2 +1 +1 +0$", done.stdout, re.MULTILINE), done.stdout
    assert "fail: tests.deadly_test.T::test_c: AssertionError: wrong" in done.stdout


def test_a_project_around_it(tmp_path):
    """pytest takes the folder of a pyproject.toml above for its root, and names tests from there."""
    source = tmp_path / "project" / "jax"
    (source / "tests").mkdir(parents=True)
    (source.parent / "pyproject.toml").write_text("[tool.pytest.ini_options]\n", encoding="utf-8")
    (source / "tests" / "deadly_test.py").write_text(DEADLY, encoding="utf-8")
    done, outcome = run(tmp_path, "--jax-source", source, "--every", "6")
    assert list(outcome) == ["test_a", "test_g"]
    assert re.search(r"^deadly_test +2 +0 +0 +0$", done.stdout, re.MULTILINE), done.stdout
    assert done.returncode == 0


def test_gates_fail_with_their_reason(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "api_test.py").write_text(
        "import unittest\nclass JitTest(unittest.TestCase):\n"
        "    def test_mismatched_nested_backends(self): self.fail('no gpu')\n",
        encoding="utf-8",
    )
    done, outcome = run(tmp_path)
    assert outcome["test_mismatched_nested_backends"][0] == "fail"
    assert "(asks for a backend by the name in JAX_TEST_DUT)" in done.stdout
    assert done.returncode == 0


def test_file_that_dies_at_import_fails_what_the_baseline_lists(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "dead_test.py").write_text("import os; os.abort()", encoding="utf-8")
    baseline = tmp_path / "cpu.tsv"
    baseline.write_text("tests.dead_test.T::test_a\tpass\ntests.dead_test.T::test_b\tskip\n")
    done, outcome = run(tmp_path, "--baseline", baseline)
    assert {name: fields[0] for name, fields in outcome.items()} == {
        "test_a": "crash",
        "test_b": "crash",
    }
    assert " 0.00%" in done.stdout
