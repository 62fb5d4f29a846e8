# SPDX-License-Identifier: Apache-2.0
"""The process that runs one entry on one platform. It does what it is told over a pipe.

A process has one entry and one platform, so that first calls are first ones and memory is its own.
Processes are forks of a server that has imported jax and has not yet made a client.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import pathlib
import re
import statistics
import time
from multiprocessing.connection import Connection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from benchmarks import entry as entries

CHECKED, TIMED = 1, 2  # seeds: what is timed is not what was checked
FIRST = 10  # calls


copied = jax.jit(lambda inputs: jax.tree.map(jnp.copy, inputs))


class Session:
    def __init__(self, platform: str, group: str, name: str) -> None:
        jax.config.update("jax_platforms", platform)
        jax.config.update("jax_enable_compilation_cache", False)
        self.entry = entries.group(group)[name]
        jax.config.update("jax_enable_x64", self.entry.x64)
        if self.entry.split:
            os.environ["JAX_MPS_NUM_DEVICES"] = str(entries.DEVICES)
            if platform == "cpu":
                jax.config.update("jax_num_cpu_devices", entries.DEVICES)
        self.device = jax.devices()[0]
        assert self.device.platform == platform.split(",")[0], self.device
        # What a process pays once, whatever it computes, is not the entry's.
        jax.block_until_ready(jax.jit(lambda x: x - 1)(np.int16(1)))
        self.places: Any = self.device
        options: dict[str, Any] = {"donate_argnums": (0,) if self.entry.state else ()}
        if self.entry.split:
            self.places, options["out_shardings"] = self.divide()
        self.call = self.entry.function
        if self.entry.jit:
            self.call = jax.jit(self.call, **options)
        self.inputs = self.make(TIMED)
        self.seconds_per_call = 0.0
        gc.collect()
        gc.freeze()
        gc.disable()

    def divide(self) -> tuple[Any, Any]:
        """The shardings of inputs and results, over a mesh that is set for the whole process."""
        devices = jax.devices()
        assert len(devices) == entries.DEVICES, devices
        mesh = Mesh(np.array(devices), (entries.AXIS,), axis_types=(AxisType.Auto,))
        jax.set_mesh(mesh)
        specs = self.entry.split(self.entry.inputs(np.random.default_rng(TIMED)))
        return jax.tree.map(
            lambda spec: NamedSharding(mesh, spec),
            specs,
            is_leaf=lambda node: isinstance(node, PartitionSpec),
        )

    def facts(self) -> dict[str, Any]:
        client = self.device.client
        return {
            "platform": self.device.platform,
            "kind": self.device.device_kind,
            "version": re.sub(r"\S*/\S*", "(path)", " ".join(client.platform_version.split())),
        }

    def make(self, seed: int) -> tuple:
        inputs = self.entry.inputs(np.random.default_rng(seed))
        if not self.entry.host:
            # Copied on the device: JAX lets a platform look at numpy's memory, whatever may_alias
            # says, and a donated view of that would have to be copied in the call.
            inputs = jax.block_until_ready(copied(jax.device_put(inputs, self.places)))
        return inputs

    # ---- in a process that compiles ahead of time --------------------------------------------------

    def cold(self) -> dict[str, float | None]:
        """The first call after tracing and lowering, and how much memory it takes."""
        compile_s = None
        if self.entry.jit:
            lowered = self.call.lower(*self.inputs)
            start = time.perf_counter()
            self.call = lowered.compile()
            compile_s = time.perf_counter() - start
        before = reset_peak()
        start = time.perf_counter()
        results = jax.block_until_ready(self.call(*self.inputs))
        execute_s = time.perf_counter() - start
        memory = None if before is None else peak() - before
        del results
        self.inputs = ()
        return {
            "compile_s": compile_s,
            "execute_s": execute_s,
            "first_s": None if compile_s is None else compile_s + execute_s,
            "memory_bytes": memory,
        }

    def cached(self, folder: str) -> dict[str, float]:
        """The first call after tracing, with a compilation cache: the first process fills it."""
        jax.config.update("jax_enable_compilation_cache", True)
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        compilation_cache.reset_cache()  # it had decided to do without
        lowered = self.call.lower(*self.inputs)
        start = time.perf_counter()
        jax.block_until_ready(lowered.compile()(*self.inputs))
        return {"cached_s": time.perf_counter() - start}

    def check(self) -> tuple[list[np.ndarray], dict[str, int]]:
        """The results for other inputs; and what the plugin counted meanwhile."""
        before = counters(self.device)
        inputs = self.make(CHECKED)
        # The judge may want the inputs, and a donated one is gone after the call.
        kept = jax.tree.map(np.asarray, inputs) if self.entry.judge else None
        results = jax.block_until_ready(self.call(*inputs))
        after = counters(self.device)
        for leaf in jax.tree.leaves(results):
            if isinstance(leaf, jax.Array):
                wanted = set(jax.devices()) if self.entry.split else {self.device}
                assert leaf.devices() == wanted, f"computed on {leaf.devices()}"
        counted = {name: after[name] - before.get(name, 0) for name in after}
        counted = {name: count for name, count in counted.items() if count}
        if self.device.platform == "mps" and self.entry.counted:
            assert counted, "the plugin's counters know nothing of this program"
        results = jax.tree.map(np.asarray, results)
        if self.entry.judge:
            results = self.entry.judge(kept, results)
        return jax.tree.leaves(results), counted

    # ---- in a process that calls it as users do ----------------------------------------------------

    def once(self) -> float:
        start = time.perf_counter()
        results = jax.block_until_ready(self.call(*self.inputs))
        seconds = time.perf_counter() - start
        if self.entry.state:
            self.inputs = (results[0], *self.inputs[1:])
        return seconds

    def first_calls(self, limit: float) -> dict[str, Any]:
        """The first call, with tracing, and the ten first together; slow ones from fewer calls."""
        times = [self.once()]
        while len(times) < FIRST and (sum(times) < limit or len(times) < 2):
            times.append(self.once())
        self.seconds_per_call = statistics.median(times[1:])
        rest = FIRST - len(times)
        return {
            "traced_s": times[0],
            "ten_s": sum(times) + rest * self.seconds_per_call,
            "ten_counted": len(times),
        }

    def block(self, seconds: float) -> float:
        """Seconds per call, of as many calls as fill the time, at least three if they are not slow."""
        least = 3 if self.seconds_per_call < 1 else 1
        calls = max(least, round(seconds / max(self.seconds_per_call, 1e-6)))
        state, call = self.entry.state, self.call
        inputs = self.inputs
        gc.collect()
        start = time.perf_counter()
        if state:
            first, *rest = inputs
            for _ in range(calls):
                first, result = jax.block_until_ready(call(first, *rest))
            self.inputs = (first, *rest)
        else:
            for _ in range(calls):
                jax.block_until_ready(call(*inputs))
        self.seconds_per_call = (time.perf_counter() - start) / calls
        return self.seconds_per_call


def counters(device: jax.Device) -> dict[str, int]:
    if device.platform != "mps":
        return {}
    from jax_mps_c import counters

    return counters.read()


def reset_peak() -> int | None:
    """Starts measuring the peak of this process's memory, in bytes; what it is now, or None."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what the compiler freed is not there to be used again
        pathlib.Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return peak()
    return None


def peak() -> int:
    status = pathlib.Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))


def serve(pipe: Connection, platform: str, group: str, name: str, threads: int | None) -> None:
    """Answers (method, arguments) with (True, result) or (False, text), until the pipe closes."""
    if threads is not None:
        os.environ["JAX_MPS_NUM_THREADS"] = str(threads)
    session: Session | None = None
    with contextlib.suppress(EOFError, OSError):
        while True:
            method, args = pipe.recv()
            try:
                if session is None:
                    session = Session(platform, group, name)
                reply = True, getattr(session, method)(*args)
            except Exception as error:
                text = " ".join(f"{type(error).__name__}: {error}".split())
                reply = False, text[:500]
            pipe.send(reply)
