# SPDX-License-Identifier: Apache-2.0
"""The speed of `mps` against JAX's CPU backend: cpu / mps, above 1 where mps is faster.

make bench                                  # all, about a quarter of an hour
make bench BENCH="--quick --only softmax"   # what matches
make bench BENCH="--threads 1,2,4,8,16"     # mps alone, with so many threads
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import re
import sys
import time

from benchmarks import facts, measure, report, scaling
from benchmarks.entry import GROUPS, group

RESULTS = pathlib.Path(__file__).resolve().parent / "results"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", type=re.compile, default=re.compile(""), help="part of the name")
    parser.add_argument("--group", action="append", help=f"of {', '.join(GROUPS)}; may be repeated")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, shorter blocks")
    parser.add_argument("--rounds", type=int, help="blocks on each platform")
    parser.add_argument("--limit", type=float, help="seconds for one thing that a process does")
    parser.add_argument("--threads", type=scaling.counts, help="mps alone: numbers of threads")
    parser.add_argument("--output", type=pathlib.Path, help="a .json file; an .svg goes beside it")
    parser.add_argument("--list", action="store_true", help="names, nothing else")
    return parser.parse_args(arguments)


def lines(iterable: list, total: int):
    """A bar on a terminal, nothing elsewhere: each entry's line is progress enough."""
    if not sys.stderr.isatty():
        return iterable
    try:
        import tqdm
    except ImportError:
        return iterable
    return tqdm.tqdm(iterable, total=total, unit="entry", leave=False)


def show(text: str) -> None:
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.write(text)
    else:
        print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    chosen = [
        (name, entry)
        for name in options.group or GROUPS
        for entry in group(name).values()
        if options.only.search(entry.name)
        if not options.threads or entry.figure == "steady"
    ]
    if options.list:
        print(*(f"{name:9} {entry.name}" for name, entry in chosen), sep="\n")
        return 0
    if not chosen:
        sys.exit("no entry matches; --list shows them")
    effort = measure.QUICK if options.quick else measure.FULL
    changes = {"rounds": options.rounds, "limit_s": options.limit}
    effort = dataclasses.replace(effort, **{k: v for k, v in changes.items() if v is not None})
    os.environ["PYTHONWARNINGS"] = "ignore"

    result: dict = {"facts": facts.read() | {"effort": dataclasses.asdict(effort)}, "entries": []}
    table, extra = (scaling, [options.threads]) if options.threads else (report, [])
    record_of = scaling.measure if options.threads else measure.measure
    if options.threads:
        result["threads"] = options.threads
    print(table.heading(result), flush=True)
    began = time.monotonic()
    for name, entry in lines(chosen, len(chosen)):
        record = record_of(name, entry, effort, *extra)
        devices = record.pop("facts", {})
        result["facts"].setdefault("devices", devices)
        result["entries"].append(record)
        show(table.line(record))
    result["facts"]["seconds"] = round(time.monotonic() - began)
    print("", table.summary(result), sep="\n")

    output = options.output
    if output is None and not options.group and not options.only.pattern:
        output = RESULTS / (report.name_of(result) + ".json")
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        report.write(result, output)
        print(f"written: {output.name}")
    return int(any("error" in record and "bound" not in record for record in result["entries"]))


if __name__ == "__main__":
    sys.exit(main())
