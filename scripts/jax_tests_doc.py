#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/JAX_TESTS.md from what scripts/run_jax_tests.py stored.

    scripts/jax_tests_doc.py build/jax-tests/results.tsv --baseline cpu.tsv

Every test that JAX's CPU backend passes and this plugin does not is listed, under the first line of
its message with the numbers taken out.
"""

from __future__ import annotations

import argparse
import collections
import importlib.metadata
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from run_jax_tests import OUTCOMES, ROOT, module_of, read_results

HEAD = """# JAX's own tests

Written by `scripts/jax_tests_doc.py` from a run of `scripts/run_jax_tests.py` with jax {version}
(`JAX_PLATFORMS=mps,cpu`, `JAX_TEST_DUT={dut}`). *Rate* is the share of the tests that JAX's own CPU
backend passes, skipped ones counted as not passed. A test in which the process died counts as
`crash`. Not run: tests of Pallas and Mosaic, and those that need several processes.
"""

BY_HAND = "## Reasons"


def table(results: dict, baseline: dict) -> list[str]:
    lines = ["| file | " + " | ".join(OUTCOMES) + " | CPU passes | rate |"]
    lines.append("|---" * (len(OUTCOMES) + 3) + "|")
    sums: collections.Counter[str] = collections.Counter()
    for module in sorted({module_of(name) for name in results}):
        counts = collections.Counter(
            outcome for name, (outcome, _) in results.items() if module_of(name) == module
        )
        wanted = [n for n, (o, _) in baseline.items() if o == "pass" and module_of(n) == module]
        counts["wanted"] = len(wanted)
        counts["good"] = sum(results.get(name, ("",))[0] == "pass" for name in wanted)
        sums.update(counts)
        lines.append(row(module, counts))
    return [*lines, row("**all**", sums)]


def row(name: str, counts: collections.Counter[str]) -> str:
    rate = 100 * counts["good"] / max(counts["wanted"], 1)
    cells = [str(counts[outcome]) for outcome in OUTCOMES]
    return f"| {name} | {' | '.join(cells)} | {counts['wanted']} | {rate:.2f} % |"


def failures(results: dict, baseline: dict) -> list[str]:
    groups = collections.defaultdict(list)
    for name, (outcome, why) in sorted(results.items()):
        if outcome == "pass" or (outcome == "skip" and baseline.get(name, ("",))[0] != "pass"):
            continue
        text = re.sub(r"\d+", "N", why.removeprefix("Skipped: ")) or "no message"
        groups[(outcome, text[:160])].append(name)
    lines = []
    for (outcome, text), names in sorted(groups.items(), key=lambda g: (g[0][0], -len(g[1]))):
        lines += ["", f"### {outcome}: {len(names)}", "", f"`{text.replace('`', '')}`", ""]
        lines += [f"- {name.removeprefix('tests.')}" for name in names]
    return lines or ["", "None."]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--baseline", type=pathlib.Path, required=True)
    parser.add_argument("--dut", default="cpu")
    args = parser.parse_args()
    results, baseline = read_results(args.results), read_results(args.baseline)
    if not results or not baseline:
        sys.exit("no results, or no baseline")
    lines = [HEAD.format(version=importlib.metadata.version("jax"), dut=args.dut)]
    lines += table(results, baseline)
    lines += ["", "## What CPU passes and mps does not, and what fails on both"]
    lines += failures(results, baseline)
    page = ROOT / "docs" / "JAX_TESTS.md"
    text = "\n".join(lines) + "\n"
    if page.exists():  # from here on it is written by hand
        text += "".join(page.read_text(encoding="utf-8").partition(f"\n{BY_HAND}\n")[1:])
    page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
