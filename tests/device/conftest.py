# SPDX-License-Identifier: Apache-2.0
"""Tests of a device engine: MLX's CPU device, or with JAX_MPS_DEVICE=gpu the GPU. A process has one
engine, so that these run apart from the others: `make devicetest`. Without an engine in this build
they are skipped; with JM_REQUIRE_DEVICE=1, which CI sets, that is a failure."""

import os
import pathlib
import subprocess
import sys

import pytest

os.environ.setdefault("JAX_PLATFORMS", "mps,cpu")
os.environ.setdefault("JAX_MPS_DEVICE", "mlx-cpu")
# On an NVIDIA GPU products would round to TF32: what is compared here is float32.
os.environ.setdefault("JAX_MPS_TF32", "0")

from jax_mps_c import counters, locate  # noqa: E402 - the settings come first

ROOT = pathlib.Path(__file__).resolve().parents[2]


def missing_engine() -> str:
    """Why there is no device engine here; empty: there is one."""
    if os.environ.get("JAX_MPS_MLX_ENGINE"):
        return ""
    mlx = locate.find_mlx()
    if mlx is None:
        return "MLX is not installed"
    if locate.find_engine(locate.find_library(), mlx) is None:
        return f"this build has no engine for {mlx.package} {mlx.version}"
    return ""


def pytest_collection_modifyitems(config, items):
    if reason := missing_engine():
        if os.environ.get("JM_REQUIRE_DEVICE"):
            raise pytest.UsageError(f"JM_REQUIRE_DEVICE is set, and {reason}")
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session", autouse=True)
def no_oracle():
    """An op that the device can't run is the host library's, never the oracle's (src/engine/ref)."""
    yield
    if not missing_engine():
        assert counters.read()["oracle_ops"] == 0


class Counted:
    """What the counters of base/counters.def gained since the start."""

    def __init__(self):
        self.start = counters.read()

    def __getattr__(self, name):
        return counters.read()[name] - self.start[name]


@pytest.fixture
def counted():
    """A function that begins to count."""
    return Counted


def run_python(*args, timeout=600, **environment):
    """`python ARGS` with the variables set (None removes one); the ended process with its texts."""
    env = dict(os.environ)
    for name, value in environment.items():
        env.pop(name, None) if value is None else env.__setitem__(name, str(value))
    command = [sys.executable, *(str(a) for a in args)]
    return subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=timeout, cwd=ROOT
    )


@pytest.fixture
def python():
    return run_python
