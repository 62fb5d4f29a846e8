# SPDX-License-Identifier: Apache-2.0
"""The examples on the device engine and on JAX's CPU backend, from one seed: the same to 1e-3."""

import json
import re

import numpy as np
import pytest

TOLERANCE = 1e-3
# The example's losses as it prints them, then what the plugin counted.
RUN = """
import json, runpy, sys
sys.argv = {arguments!r}
runpy.run_path(sys.argv[0], run_name="__main__")
import jax
if jax.default_backend() == "mps":
    from jax_mps_c import counters
    print("COUNTERS", json.dumps(counters.read()))
"""


def losses(python, platform, *arguments):
    done = python("-c", RUN.format(arguments=list(arguments)), JAX_PLATFORMS=platform)
    assert done.returncode == 0, done.stdout + done.stderr
    counted = re.search(r"^COUNTERS (.*)$", done.stdout, re.MULTILINE)
    return done.stdout, json.loads(counted[1]) if counted else {}


@pytest.mark.parametrize(
    "name, waits",
    [("mlp", False), ("transformer", False), ("lstm", False), ("hmc", True), ("ode", True)],
)
def test_steps(python, name, waits):
    """hmc and ode have loops whose end the data decides; nothing else waits."""
    values, steps = {}, 1 if name == "hmc" else 3
    for platform in ("mps", "cpu"):
        text, counted = losses(
            python, platform, f"examples/{name}.py", f"--steps={steps}", "--seed=1"
        )
        values[platform] = [
            float(v) for v in re.findall(r"^step \d+ \w+ (\S+)$", text, re.MULTILINE)
        ]
        if platform == "mps":
            assert counted["device_ops"] > 50, counted
            assert counted["library_steps"] == 0, counted
            assert waits or not counted["device_waits"], counted
    assert len(values["mps"]) == steps
    np.testing.assert_allclose(values["mps"], values["cpu"], rtol=TOLERANCE)


@pytest.mark.slow
def test_resnet(python, tmp_path):
    found = {}
    for platform in ("mps", "cpu"):
        report = tmp_path / f"{platform}.json"
        _, counted = losses(
            python,
            platform,
            "examples/resnet/main.py",
            "--steps=2",
            "--batch=4",
            f"--report={report}",
        )
        found[platform] = json.loads(report.read_text())["losses"]
        if platform == "mps":
            assert counted["device_ops"] > 500, counted
            assert counted["device_waits"] == 0, counted
    np.testing.assert_allclose(found["mps"], found["cpu"], rtol=TOLERANCE)
