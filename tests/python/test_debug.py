# SPDX-License-Identifier: Apache-2.0
"""JAX_MPS_DEBUG, in processes of their own."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree

PROGRAM = "import jax\nprint(jax.jit(lambda x: x + 1)(1.0))\n"


def run(debug: str) -> subprocess.CompletedProcess:
    environment = dict(os.environ, JAX_PLATFORMS="mps", JAX_MPS_DEBUG=debug)
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_print_and_verify():
    done = run("print,verify")
    assert done.returncode == 0, done.stderr
    assert 'module "jit__lambda"' in done.stderr and "= add %0, %1" in done.stderr


def test_dump(tmp_path):
    done = run(f"dump={tmp_path}")
    assert done.returncode == 0, done.stderr
    [program] = tmp_path.glob("jit__lambda-*.mlirbc")
    assert program.read_bytes().startswith(b"ML\xefR")
    assert "= add %0, %1" in program.with_suffix(".ir").read_text(encoding="utf-8")


def test_dump_to_nowhere_is_an_error():
    done = run("dump=/no/such/folder")
    assert done.returncode != 0
    assert "/no/such/folder" in done.stderr and "No such file" in done.stderr


def test_trace(tmp_path):
    path = tmp_path / "trace.json"
    done = run(f"trace={path}")
    assert done.returncode == 0, done.stderr
    events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    [execution] = [e for e in events if e["ph"] == "X" and e["args"].get("line") == "Executions"]
    assert execution["name"] == "jit__lambda" and execution["dur"] > 0
    threads = {e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert "Executions" in threads and threads & {"Kernels", "Library calls"}


def test_timeline_of_a_trace(tmp_path):
    path, picture = tmp_path / "trace.json", tmp_path / "trace.svg"
    assert run(f"trace={path}").returncode == 0
    command = [sys.executable, "-m", "jax_mps_c", "timeline", str(path), "--svg", str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "Executions, jit__lambda" in done.stdout
    root = xml.etree.ElementTree.fromstring(picture.read_text(encoding="utf-8"))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "mps:0 Executions" in texts
    path.write_text("{}", encoding="utf-8")
    assert subprocess.run(command, capture_output=True, timeout=120).returncode == 1


def test_trace_to_nowhere_is_an_error():
    done = run("trace=/no/such/folder/trace.json")
    assert done.returncode != 0
    assert "/no/such/folder" in done.stderr and "No such file" in done.stderr
