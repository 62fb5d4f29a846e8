#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every fuzz target of a build for a while, from its seeds; fails at the first finding.

The seeds of fuzz/NAME_fuzz.c are the files in fuzz/NAME/. What libFuzzer finds on the way is kept in
the build folder; a crashing input is named, and belongs into the seeds with its repair.
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("targets", nargs="*", help="default: all of fuzz/*_fuzz.c")
    args = parser.parse_args()
    targets = args.targets or sorted(path.stem for path in (ROOT / "fuzz").glob("*_fuzz.c"))
    if not targets:
        sys.exit("no fuzz target")
    for target in targets:
        seeds = ROOT / "fuzz" / target.removesuffix("_fuzz")
        found = args.build / "corpus" / target
        found.mkdir(parents=True, exist_ok=True)
        command = [
            str(args.build / target),
            f"-max_total_time={args.seconds}",
            "-timeout=20",
            "-rss_limit_mb=4096",
            "-max_len=65536",
            "-print_final_stats=1",
            f"-artifact_prefix={args.build}/",
            str(found),
        ]
        command += [str(seeds)] if seeds.is_dir() else []
        print(f"{target}: {args.seconds} s", flush=True)
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=ROOT,
        )
        if done.returncode:
            print(done.stdout[-6000:])
            print(f"{target}: exit status {done.returncode}")
            return 1
        stats = [line for line in done.stdout.splitlines() if "number_of_executed_units" in line]
        print("  ", *stats, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
