# SPDX-License-Identifier: Apache-2.0
"""Programs of the libraries in docs/LIBRARIES.md: the numbers of JAX's CPU backend, progress bars and
failing checks included, with and without a cpu client beside mps."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

PROGRAMS = pathlib.Path(__file__).parent / "programs"

# Program: package, relative tolerance, text of its error, what its progress prints.
ROWS = {
    "blackjax_nuts": ("blackjax", 1e-5, "", ""),
    "diffrax_ode": ("diffrax", 1e-4, "maximum number of solver steps", "100"),
    "equinox_train": ("equinox", 1e-3, "the input is not finite", ""),
    "environment": ("jax", 1e-3, "", ""),
    "flax_train": ("flax", 2e-3, "", ""),
    "haiku_train": ("haiku", 1e-3, "", ""),
    "keras_fit": ("keras", 2e-3, "", "accuracy"),
    "numpyro_nuts": ("numpyro", 1e-5, "", "120/120"),
}


def outcome(name: str, platforms: str) -> tuple[dict, str]:
    # NumPyro has no progress bar where one of these is set.
    environment = {k: v for k, v in os.environ.items() if k not in ("CI", "PYTEST_XDIST_WORKER")}
    done = subprocess.run(
        [sys.executable, PROGRAMS / f"{name}.py"],
        env=environment | {"JAX_PLATFORMS": platforms},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    return json.loads(lines[-1]), "\n".join([*lines[:-1], done.stderr])


def flat(numbers: dict) -> np.ndarray:
    return np.concatenate([np.ravel(value) for _, value in sorted(numbers.items())])


@pytest.mark.parametrize("name", ROWS)
def test_program(name):
    package, tolerance, error, progress = ROWS[name]
    if importlib.util.find_spec(package) is None:
        if os.environ.get("JM_REQUIRE_LIBRARIES"):
            pytest.fail(f"{package} is not installed")
        pytest.skip(f"{package} is not installed")
    expected, _ = outcome(name, "cpu")
    assert error in expected["error"]
    for platforms in ("mps,cpu", "mps"):
        got, printed = outcome(name, platforms)
        np.testing.assert_allclose(
            flat(got["numbers"]),
            flat(expected["numbers"]),
            rtol=tolerance,
            atol=tolerance,
            err_msg=platforms,
        )
        assert error in got["error"], platforms
        assert bool(got["error"]) == bool(error), platforms
        assert progress in printed, (platforms, printed)
