#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs all fuzz targets of a build at once, for a while; fails if one finds anything.

The seeds of fuzz/NAME_fuzz.c are the files in fuzz/NAME/. What libFuzzer finds on the way is kept in
the build folder; a crashing input is named, and belongs into the seeds with its repair.
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def log_of(target: str, build: pathlib.Path) -> pathlib.Path:
    return build / f"{target}.log"


def start(target: str, build: pathlib.Path, seconds: int) -> subprocess.Popen[bytes]:
    seeds = ROOT / "fuzz" / target.removesuffix("_fuzz")
    found = build / "corpus" / target
    found.mkdir(parents=True, exist_ok=True)
    command = [
        str(build / target),
        f"-max_total_time={seconds}",
        "-timeout=20",
        "-rss_limit_mb=4096",
        "-max_len=65536",
        "-print_final_stats=1",
        f"-artifact_prefix={build}/",
        str(found),
    ]
    command += [str(seeds)] if seeds.is_dir() else []
    with open(log_of(target, build), "w", encoding="utf-8") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("targets", nargs="*", help="default: all of fuzz/*_fuzz.c")
    args = parser.parse_args()
    targets = args.targets or sorted(path.stem for path in (ROOT / "fuzz").glob("*_fuzz.c"))
    if not targets:
        sys.exit("no fuzz target")
    status = 0
    running = [(target, start(target, args.build, args.seconds)) for target in targets]
    for target, process in running:
        failed = process.wait()
        output = log_of(target, args.build).read_text(encoding="utf-8", errors="replace")
        if failed:
            print(output[-6000:])
            print(f"{target}: exit status {failed}")
            status = 1
            continue
        stats = [line for line in output.splitlines() if "number_of_executed_units" in line]
        print(f"{target}, {args.seconds} s:", *stats, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
