# SPDX-License-Identifier: Apache-2.0
"""How the speed of `mps` grows with its threads: one entry in a process per number of threads.

The processes take turns on the same cores. There is no comparison with JAX's CPU backend here, and
results are not compared: the table without --threads does that.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from benchmarks import report
from benchmarks.entry import Entry
from benchmarks.measure import Effort, Failure, Worker, ready

SLOWER = 1.05  # by this factor, in the best block: less is noise


def counts(text: str) -> list[int]:
    """Numbers of threads, as --threads has them: ascending, each once."""
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise argparse.ArgumentTypeError("numbers with commas between them, as 1,2,4") from None
    if found[0] < 1:
        raise argparse.ArgumentTypeError("at least one thread")
    return found


def measure(group: str, entry: Entry, effort: Effort, threads: list[int]) -> dict[str, Any]:
    """The record of an entry: seconds per call for each number of threads; or `error`."""
    record: dict[str, Any] = {"name": entry.name, "group": group, "threads": {}}
    try:
        fresh = {n: Worker("mps", group, entry.name, threads=n) for n in threads}
        with ready(fresh, effort.limit_s) as (found, facts):
            record["facts"] = {"mps": facts[threads[0]]}
            blocks: dict[int, list[float]] = {n: [] for n in threads}
            for worker in found.values():
                worker.ask(effort.limit_s, "first_calls", effort.first_s)
            for _ in range(effort.rounds):
                for n, worker in found.items():
                    blocks[n].append(worker.ask(effort.limit_s, "block", effort.block_s))
        for n, times in blocks.items():
            record["threads"][str(n)] = {
                "steady_s": statistics.median(times),
                "best_s": min(times),
                "blocks_s": times,
            }
    except Failure as failure:
        record["error"] = str(failure)
    return record


def efficiency(record: dict) -> dict[int, float]:
    """What a thread does in a time, of what it does with the fewest threads."""
    times = {int(n): row["best_s"] for n, row in record["threads"].items()}
    if not times:
        return {}
    least = min(times)
    return {n: times[least] * least / (seconds * n) for n, seconds in times.items()}


def slower(record: dict, cores: int) -> list[tuple[int, int, float]]:
    """(more threads, fewer threads, factor): where more of them, each on a core, take longer than
    the fewer that were fastest."""
    times = sorted((int(n), row["best_s"]) for n, row in record["threads"].items())
    found = []
    for at, (n, seconds) in enumerate(times):
        if not at or n > cores:
            continue
        fewer, least = min(times[:at], key=lambda pair: pair[1])
        if seconds > SLOWER * least:
            found.append((n, fewer, seconds / least))
    return found


def heading(result: dict) -> str:
    facts, threads = result["facts"], result["threads"]
    titles = "".join(f"{n:>9}" for n in threads) + "".join(f"{f'eff {n}':>9}" for n in threads[1:])
    lines = [
        *report.machine(result),
        "seconds per call of mps in the best block, by threads; efficiency: 1 if twice the threads "
        "take half the time",
    ]
    if threads[-1] > facts["cores"]:
        lines.append(f"more threads than the {facts['cores']} cores say nothing of speed")
    return "\n".join([*lines, "", f"{'':9} {'':20}{titles}"])


def line(record: dict) -> str:
    start = f"{record['group']:9} {record['name']:20}"
    if "error" in record:
        return f"{start} FAILED {record['error']}"[:300]
    cells = [report.seconds(row["best_s"]) for row in record["threads"].values()]
    cells += [report.times(ratio) for ratio in list(efficiency(record).values())[1:]]
    return start + "".join(f"{cell:>9}" for cell in cells)


def summary(result: dict) -> str:
    rows, cores = ["geometric mean of the efficiency"], result["facts"]["cores"]
    good = [record for record in result["entries"] if "error" not in record]
    for n in result["threads"][1:]:
        ratio = report.mean(efficiency(record)[n] for record in good)
        rows.append(f"  {n} threads: {report.times(ratio)}")
    late = [(record["name"], *found) for record in good for found in slower(record, cores)]
    if late:
        rows.append("slower than with fewer threads:")
        rows += [
            f"  {name}: {report.times(factor)} times as long with {n} as with {fewer}"
            for name, n, fewer, factor in sorted(late, key=lambda found: -found[3])
        ]
    rows += [f"failed: {line(record)}" for record in result["entries"] if "error" in record]
    return "\n".join(rows)
