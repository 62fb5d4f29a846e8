# SPDX-License-Identifier: Apache-2.0
"""Measures one entry: two processes, cpu and mps, which take turns on the same cores."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import pathlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.entry import Entry

PLATFORMS = {"cpu": "cpu", "mps": "mps,cpu"}  # what JAX_PLATFORMS would be
SMALL = 1 << 20  # bytes; less growth than this is noise
REST_S = 0.5  # for threads to come to rest

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    ["benchmarks.session", "benchmarks.entries.models", "optax", "flax.nnx"]
)


class Failure(Exception):
    """Why an entry has no figures; or `late`, that one platform took too long."""

    def __init__(self, platform: str, text: str, late: float | None = None) -> None:
        super().__init__(f"{platform}: {text}")
        self.platform, self.late = platform, late


@dataclasses.dataclass(frozen=True)
class Effort:
    rounds: int  # of a block on each platform
    block_s: float
    first_s: float  # to give to the first ten calls
    cold: int  # processes for the first call without tracing, or from a cache, as the figure is
    limit_s: float  # for anything that a process is told to do


FULL = Effort(rounds=7, block_s=0.15, first_s=4, cold=3, limit_s=120)
QUICK = Effort(rounds=3, block_s=0.06, first_s=0.5, cold=1, limit_s=60)


def is_running(pid: int) -> bool:
    """Does any thread of the process run, or wait for a core? No, where there is no /proc."""
    for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):  # the thread has ended
            _, _, fields = stat.read_text(encoding="ascii", errors="replace").rpartition(") ")
            if fields.startswith("R"):
                return True
    return False


class Worker:
    def __init__(self, platform: str, group: str, name: str, threads: int | None = None) -> None:
        from benchmarks import session

        self.platform = platform
        self.pipe, theirs = context.Pipe()
        args = (theirs, PLATFORMS[platform], group, name, threads)
        self.process = context.Process(target=session.serve, args=args, daemon=True)
        self.process.start()
        theirs.close()

    def tell(self, method: str, *args: Any) -> None:
        try:
            self.pipe.send((method, args))
        except OSError:
            raise Failure(self.platform, "the process has ended") from None

    def answer(self, limit_s: float) -> Any:
        try:
            if not self.pipe.poll(limit_s):
                raise Failure(self.platform, f"more than {limit_s:.0f} s", late=limit_s)
            good, result = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(5)
            raise Failure(
                self.platform, f"the process died with code {self.process.exitcode}"
            ) from None
        if not good:
            raise Failure(self.platform, result)
        return result

    def ask(self, limit_s: float, method: str, *args: Any) -> Any:
        self.tell(method, *args)
        answer = self.answer(limit_s)
        self.rest()
        return answer

    def rest(self) -> None:
        """Waits until no thread of the process runs: those that look for work for some time after
        the last (OpenBLAS's, a tenth of a second), or that compile, would take cores from the next
        process's turn."""
        until = time.monotonic() + REST_S
        while is_running(self.process.pid) and time.monotonic() < until:
            time.sleep(0.002)

    def close(self) -> None:
        self.pipe.close()
        self.process.join(0.2)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()


@contextlib.contextmanager
def ready(found: dict[Any, Worker], limit_s: float) -> Iterator[tuple[dict[Any, Worker], dict]]:
    """Fresh processes, once they can be told something, and the facts of each one's device."""
    try:
        for worker in found.values():  # nothing is measured yet: all at once
            worker.tell("facts")
        yield found, {key: worker.answer(limit_s) for key, worker in found.items()}
    finally:
        for worker in found.values():
            worker.close()


def workers(group: str, name: str, limit_s: float):
    """A process of each platform, by its name."""
    return ready({platform: Worker(platform, group, name) for platform in PLATFORMS}, limit_s)


def differences(expected: list[np.ndarray], actual: list[np.ndarray], rate: float) -> str:
    """What is beyond the tolerance of its type, relative to the largest magnitude; or nothing."""
    from jax_mps_c.selftest.harness import TOLERANCE

    if len(expected) != len(actual):
        return f"{len(actual)} results, want {len(expected)}"
    for number, (want, have) in enumerate(zip(expected, actual)):
        if (want.shape, want.dtype) != (have.shape, have.dtype):
            return f"result {number} is {have.dtype}{have.shape}, want {want.dtype}{want.shape}"
        tolerance = TOLERANCE.get(want.dtype)
        if tolerance is None:
            if wrong := int(np.sum(want != have)):
                return f"result {number}: {wrong} of {want.size} elements differ"
            continue
        wide = np.complex128 if np.iscomplexobj(want) else np.float64
        want, have = want.astype(wide), have.astype(wide)
        finite = np.isfinite(want)
        if not np.array_equal(want[~finite], have[~finite], equal_nan=True):
            return f"result {number}: other elements are NaN or infinite"
        error = np.abs(want[finite] - have[finite]).max(initial=0.0)
        scale = np.abs(want[finite]).max(initial=0.0)
        if not error <= tolerance * rate * scale:
            error /= max(scale, 1e-300)
            return f"result {number}: off by {error:.1e} of the largest, not {tolerance * rate:.1e}"
    return ""


def first_compared(record: dict, group: str, entry: Entry, effort: Effort, cold: int) -> None:
    """The first call without tracing, memory; then the comparison of results on other inputs."""
    runs: dict[str, list[dict]] = {platform: [] for platform in PLATFORMS}
    for number in range(cold):
        with workers(group, entry.name, effort.limit_s) as (pair, facts):
            record["facts"] = facts
            for platform, worker in pair.items():
                try:
                    runs[platform].append(worker.ask(effort.limit_s, "cold"))
                finally:
                    if runs[platform]:
                        record[platform].update(medians(runs[platform]))
            if number == 0:
                results = {p: worker.ask(effort.limit_s, "check") for p, worker in pair.items()}
                record["counters"] = results["mps"][1]
                if text := differences(results["cpu"][0], results["mps"][0], entry.rate):
                    raise Failure("mps", f"wrong: {text}")


def cached(record: dict, group: str, entry: Entry, effort: Effort) -> None:
    """The first call without tracing, in processes that find the program in JAX's cache."""
    runs: dict[str, list[dict]] = {platform: [] for platform in PLATFORMS}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(effort.cold + 1):
            with workers(group, entry.name, effort.limit_s) as (pair, _):
                for platform, worker in pair.items():
                    place = pathlib.Path(folder) / platform
                    run = worker.ask(effort.limit_s, "cached", str(place))
                    if not any(place.iterdir()):
                        raise Failure(platform, "JAX kept nothing in its compilation cache")
                    if number:  # the first process filled the cache
                        runs[platform].append(run)
    for platform, rows in runs.items():
        record[platform].update(medians(rows))


def medians(rows: list[dict]) -> dict[str, Any]:
    return {
        name: None if value is None else statistics.median(row[name] for row in rows)
        for name, value in rows[0].items()
    }


def timed(record: dict, group: str, entry: Entry, effort: Effort) -> None:
    with workers(group, entry.name, effort.limit_s) as (pair, _):
        for platform, worker in pair.items():
            record[platform].update(worker.ask(effort.limit_s, "first_calls", effort.first_s))
        if entry.figure != "steady":
            return
        blocks: dict[str, list[float]] = {platform: [] for platform in PLATFORMS}
        for _ in range(effort.rounds):
            for platform, worker in pair.items():
                blocks[platform].append(worker.ask(effort.limit_s, "block", effort.block_s))
        for platform, times in blocks.items():
            record[platform]["steady_s"] = statistics.median(times)
            record[platform]["best_s"] = min(times)
            record[platform]["blocks_s"] = times


FIGURES = {  # ratio: the seconds (or bytes) that it compares
    "steady": "steady_s",
    "best": "best_s",
    "traced": "traced_s",
    "compile": "first_s",
    "cached": "cached_s",
    "ten": "ten_s",
    "memory": "memory_bytes",
}


def ratios(record: dict) -> dict[str, float]:
    """cpu / mps of each figure that both have: above 1, mps is faster, or needs less."""
    found = {}
    for name, field in FIGURES.items():
        cpu, mps = record["cpu"].get(field), record["mps"].get(field)
        if cpu is None or mps is None:
            continue
        if name == "memory":
            if max(cpu, mps) < SMALL:
                continue
            cpu, mps = max(cpu, SMALL), max(mps, SMALL)
        found[name] = cpu / mps
    return found


def measure(group: str, entry: Entry, effort: Effort) -> dict[str, Any]:
    """The record of an entry: times, ratios, counters; and `error` if it went wrong."""
    record: dict[str, Any] = {"name": entry.name, "group": group, "figure": entry.figure}
    record |= {"cpu": {}, "mps": {}}
    try:
        cold = effort.cold if entry.figure == "compile" else 1
        first_compared(record, group, entry, effort, cold)
        timed(record, group, entry, effort)
        if entry.figure == "cached":
            cached(record, group, entry, effort)
    except Failure as failure:
        record["error"] = str(failure)
        if failure.late is not None and failure.platform == "mps":
            # Known all the same: mps is no faster than this.
            best = [record["cpu"].get(name) for name in ("steady_s", "execute_s")]
            if known := [seconds for seconds in best if seconds is not None]:
                record["bound"] = known[0] / failure.late
    if "error" not in record:
        record["ratios"] = ratios(record)
        record["ratio"] = record["ratios"][entry.figure]
    return record
