# SPDX-License-Identifier: Apache-2.0
"""These tests start Python processes: what a registration does can be seen only in a fresh one."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run_python(*args, timeout=300, **environment):
    """`python ARGS` with the variables set (None removes one); the ended process with its texts."""
    env = {k: v for k, v in os.environ.items() if k not in ("JAX_PLATFORMS", "JAX_MPS_HOOKS")}
    for name, value in environment.items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = str(value)
    command = [sys.executable, *(str(a) for a in args)]
    return subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=timeout, cwd=ROOT
    )


@pytest.fixture(scope="session")
def python():
    return run_python


@pytest.fixture
def code():
    """Runs a program text that must end well; its standard output's lines and the process."""

    def run(text, **environment):
        done = run_python("-c", text, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines(), done

    return run
