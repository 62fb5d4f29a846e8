# SPDX-License-Identifier: Apache-2.0
"""The timeline of the devices in what `jax.profiler` writes, read back by jaxlib's reader."""

import contextlib
import gzip
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

MPS = jax.devices("mps")[0]
PLANE = "/device:CUSTOM:mps:0"


@contextlib.contextmanager
def profiled(folder: pathlib.Path):
    """Yields a dict that is filled with the lines of the device's plane by name, lists of events,
    and with those of the host under "host"."""
    lines: dict[str, list] = {}
    with jax.profiler.trace(folder):
        yield lines
    [file] = folder.glob("plugins/profile/*/*.xplane.pb")
    data = jax.profiler.ProfileData.from_file(str(file))
    [plane] = [plane for plane in data.planes if plane.name == PLANE]
    for line in plane.lines:
        lines[line.name] = list(line.events)
    [plane] = [plane for plane in data.planes if plane.name == "/host:CPU"]
    lines["host"] = [list(line.events) for line in plane.lines]


def stats(event) -> dict:
    return dict(event.stats)


def layer(x, w):
    with jax.named_scope("layer"):
        return jax.nn.softmax(x @ w)


def test_steps_of_a_program(tmp_path):
    x, w = jax.device_put((np.ones((64, 32), np.float32), np.ones((32, 16), np.float32)), MPS)
    f = jax.jit(layer)
    f(x, w).block_until_ready()
    with profiled(tmp_path) as lines:
        for _ in range(3):
            f(x, w).block_until_ready()
    runs = [event for event in lines["Executions"] if event.name == "jit_layer"]
    assert len(runs) == 3
    steps = lines.get("Kernels", []) + lines["Library calls"]
    products = [event for event in steps if "dot_general" in stats(event).get("tf_op", "")]
    assert len(products) == 3
    for run, product in zip(runs, products, strict=True):
        assert run.start_ns <= product.start_ns
        assert product.end_ns <= run.end_ns
        found = stats(product)
        assert found["hlo_module"] == "jit_layer"
        assert "layer/" in found["tf_op"]
        assert "test_profiler.py" in found["source"]
        assert found["flops"] >= 2 * 64 * 32 * 16
        assert found["bytes_accessed"] >= 4 * (64 * 32 + 32 * 16 + 64 * 16)


def test_executions_name_the_call_that_asked_for_them(tmp_path):
    """The flow by which XLA's tools group what a device did under the user's steps."""
    f = jax.jit(lambda x: jnp.sin(x) @ x)
    x = jax.device_put(np.ones((64, 64), np.float32), MPS)
    f(x).block_until_ready()
    with profiled(tmp_path) as lines:
        for step in range(3):
            with jax.profiler.StepTraceAnnotation("train", step_num=step):
                f(x).block_until_ready()
    host = [event for events in lines["host"] for event in events]
    calls = {stats(e)["_p"]: e for e in host if e.name == "PJRT_LoadedExecutable_Execute linkage"}
    steps = sorted((e for e in host if e.name == "train"), key=lambda e: e.start_ns)
    assert len(steps) == len(lines["Executions"]) == 3
    for step, execution in zip(steps, lines["Executions"], strict=True):
        found = stats(execution)
        assert found["_ct"] == 14
        assert step.start_ns <= calls[found["_c"]].start_ns <= step.end_ns
        assert step.start_ns <= execution.start_ns and execution.end_ns <= step.end_ns


def test_copies(tmp_path):
    a = np.arange(5000, dtype=np.float32)
    with profiled(tmp_path) as lines:
        x = jax.device_put(a, MPS)
        np.asarray(x[::2])
    sizes = {(event.name, stats(event).get("bytes_transferred")) for event in lines["Copies"]}
    assert ("host to device", a.nbytes) in sizes


def test_loops_hold_their_steps(tmp_path):
    f = jax.jit(lambda x: jax.lax.fori_loop(0, 5, lambda i, y: jnp.linalg.qr(y)[0], x))
    x = jax.device_put(np.eye(8, dtype=np.float32), MPS)
    f(x).block_until_ready()
    with profiled(tmp_path) as lines:
        f(x).block_until_ready()
    [loop] = [event for event in lines["Loops and branches"] if event.name == "while"]
    inside = [
        event
        for event in lines["Library calls"]
        if loop.start_ns <= event.start_ns and event.end_ns <= loop.end_ns
    ]
    assert len(inside) >= 5


def test_perfetto_trace(tmp_path):
    f = jax.jit(jnp.linalg.inv)
    x = jax.device_put(np.eye(8, dtype=np.float32), MPS)
    with jax.profiler.trace(tmp_path, create_perfetto_trace=True):
        f(x).block_until_ready()
    [file] = tmp_path.glob("plugins/profile/*/perfetto_trace.json.gz")
    with gzip.open(file) as opened:
        events = json.load(opened)["traceEvents"]
    names = {
        event["args"]["name"]
        for event in events
        if event.get("ph") == "M" and "args" in event and "name" in event["args"]
    }
    assert PLANE in names and "Executions" in names
    assert any(event.get("name") == "jit_inv" for event in events)


def test_failure_leaves_the_session_whole(tmp_path):
    def fail(x):
        raise ValueError("on purpose")

    f = jax.jit(lambda x: jax.pure_callback(fail, x, x))
    x = jax.device_put(np.float32(1), MPS)
    with profiled(tmp_path) as lines:
        with pytest.raises(Exception, match="on purpose"):
            f(x).block_until_ready()
        jax.jit(jnp.sin)(x).block_until_ready()
    assert [event for event in lines["Executions"] if event.name == "jit_sin"]
