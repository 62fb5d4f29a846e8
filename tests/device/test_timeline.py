# SPDX-License-Identifier: Apache-2.0
"""The timeline of the device engine: runs last until the device is done, steps are encoded before."""

import jax
import jax.numpy as jnp
import numpy as np

PLANE = "/device:CUSTOM:mps:0"


def read(folder) -> dict[str, list]:
    [file] = folder.glob("plugins/profile/*/*.xplane.pb")
    data = jax.profiler.ProfileData.from_file(str(file))
    [plane] = [plane for plane in data.planes if plane.name == PLANE]
    return {line.name: list(line.events) for line in plane.lines}


def test_encoding_and_waits(tmp_path):
    f = jax.jit(lambda x: jnp.tanh(x @ x))
    x = jax.device_put(np.ones((300, 300), np.float32), jax.devices("mps")[0])
    f(x).block_until_ready()
    with jax.profiler.trace(tmp_path):
        f(x).block_until_ready()
    lines = read(tmp_path)
    [run] = lines["Executions"]
    steps = lines["Encoding"]
    assert {"dot_general"} < {step.name for step in steps}
    assert all(run.start_ns <= step.start_ns and step.end_ns <= run.end_ns for step in steps)
    assert all("test_timeline.py" in dict(step.stats)["source"] for step in steps)


def test_host_ops_and_their_wait(tmp_path):
    """LAPACK runs on the host: the operand is waited for, and the call is a library call."""
    f = jax.jit(lambda x: jnp.linalg.qr(x @ x)[1])
    x = jax.device_put(np.eye(40, dtype=np.float32), jax.devices("mps")[0])
    f(x).block_until_ready()
    with jax.profiler.trace(tmp_path):
        f(x).block_until_ready()
    lines = read(tmp_path)
    assert "wait for values of the device" in {event.name for event in lines["Waits"]}
    assert any("custom_call" in event.name for event in lines["Library calls"])
