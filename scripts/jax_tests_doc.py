#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/JAX_TESTS.md from what scripts/run_jax_tests.py stored.

    scripts/jax_tests_doc.py build/jax-tests/results.tsv --baseline cpu.tsv
    scripts/jax_tests_doc.py mps.tsv --baseline cpu.tsv --x64 mps64.tsv --x64-baseline cpu64.tsv
    scripts/jax_tests_doc.py mps8.tsv --baseline cpu8.tsv --eight-devices

Every test that JAX's CPU backend passes and this plugin does not is listed, under the first line of
its message with the numbers taken out. With --x64 only the section of the files that ran in both
settings is written, with --eight-devices that of a run with eight devices.
"""

from __future__ import annotations

import argparse
import collections
import importlib.metadata
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from run_jax_tests import OUTCOMES, ROOT, gate_of, module_of, read_results

HEAD = """# JAX's own tests

Written by `scripts/jax_tests_doc.py` from a run of `scripts/run_jax_tests.py` with jax {version}
(`JAX_PLATFORMS=mps,cpu`, `JAX_TEST_DUT={dut}`). *Rate* is the share of the tests that JAX's own CPU
backend passes, skipped ones counted as not passed. A test in which the process died counts as
`crash`. Not run: tests of Pallas and Mosaic, and those that need several processes.
"""

BY_HAND = "## Reasons"

BOTH = "## Linear algebra, callbacks, random numbers, special functions"
BOTH_HEAD = """
Whole files with jax {version}, `JAX_PLATFORMS=mps,cpu`, `JAX_TEST_DUT=cpu`, on the host engine: with x64 off,
and with `JAX_ENABLE_X64=1`, each against JAX's CPU backend in the same setting. *Rate* is the share of what
that passes. `scripts/jax_tests_doc.py --x64` writes this section.
"""

EIGHT = "## Eight devices"
EIGHT_HEAD = """
Whole files with jax {version}, `JAX_PLATFORMS=mps,cpu`, `JAX_TEST_DUT=cpu`, `JAX_MPS_DEVICE=host`,
`JAX_MPS_NUM_DEVICES=8`, against JAX's CPU backend with eight devices. *Rate* is the share of what that passes.
`scripts/jax_tests_doc.py --eight-devices` writes this section.
"""

# Why tests fail that ask for what JAX does and this plugin does not.
LIMITS = {
    r"ShardingInTypesTest::test_minibatch_scan_unreduced": "wants a sum that a loop carries in parts "
    "added once, behind the loop; it is added in every iteration",
    r"ShardMapTest::test_partial_auto_propagate_through": "wants a sharding along an axis that is free "
    "in a body of `shard_map` to leave the body; arrays are whole there along such axes",
}


def reason_of(name: str, why: str) -> str:
    limit = next((text for pattern, text in LIMITS.items() if re.search(pattern, name)), None)
    return limit or gate_of(name) or re.sub(r"[`|]", "", why)[:160]


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


def counts_of(results: dict, baseline: dict, modules: set[str]) -> collections.Counter[str]:
    mine = [outcome for name, (outcome, _) in results.items() if module_of(name) in modules]
    counts = collections.Counter("fail" if o == "crash" else o for o in mine)
    wanted = [n for n, (o, _) in baseline.items() if o == "pass" and module_of(n) in modules]
    counts["wanted"] = len(wanted)
    counts["good"] = sum(results.get(name, ("",))[0] == "pass" for name in wanted)
    return counts


def in_settings(settings: list[tuple[str, dict, dict]]) -> list[str]:
    """A table with the columns of each setting, and what CPU passes and mps does not."""
    columns = ("pass", "fail", "skip", "CPU passes", "rate")
    heads = [f"{title}{column}" for title, _, _ in settings for column in columns]
    lines = [f"| file | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    modules = sorted({module_of(name) for _, results, _ in settings for name in results})
    for name, chosen in [*((m, {m}) for m in modules), ("**all**", set(modules))]:
        cells = [name]
        for _, results, baseline in settings:
            counts = counts_of(results, baseline, chosen)
            cells += [str(counts[column]) for column in ("pass", "fail", "skip", "wanted")]
            rate = f"{100 * counts['good'] / counts['wanted']:.2f} %" if counts["wanted"] else ""
            cells.append(rate)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "What JAX's CPU backend passes and mps does not:", ""]
    found = []
    for title, results, baseline in settings:
        for name, (outcome, _) in sorted(baseline.items()):
            mine, why = results.get(name, ("not run", ""))
            if outcome == "pass" and mine != "pass" and module_of(name) in modules:
                why = reason_of(name, why)
                found.append(f"- {title}`{name.removeprefix('tests.')}`: {mine}: {why}")
    return lines + (found or ["- nothing"])


def write_section(page: pathlib.Path, title: str, head: str, settings: list) -> None:
    if not all(part for _, *parts in settings for part in parts):
        sys.exit("no results, or no baseline")
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(f"\n{title}\n")
    if not found:
        sys.exit(f"{page.name} lacks the section {title}")
    after = rest[rest.index("\n## ") :] if "\n## " in rest else ""
    head = head.format(version=importlib.metadata.version("jax"))
    lines = "\n".join(in_settings(settings))
    page.write_text(f"{before}{found}{head}\n{lines}\n{after}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--baseline", type=pathlib.Path, required=True)
    parser.add_argument("--dut", default="cpu")
    parser.add_argument("--x64", type=pathlib.Path, help="results with JAX_ENABLE_X64=1")
    parser.add_argument("--x64-baseline", type=pathlib.Path)
    parser.add_argument("--eight-devices", action="store_true")
    args = parser.parse_args()
    page = ROOT / "docs" / "JAX_TESTS.md"
    if bool(args.x64) != bool(args.x64_baseline):
        parser.error("--x64 and --x64-baseline belong together")
    results, baseline = read_results(args.results), read_results(args.baseline)
    if args.eight_devices:
        write_section(page, EIGHT, EIGHT_HEAD, [("", results, baseline)])
        return 0
    if args.x64:
        x64 = ("x64: ", read_results(args.x64), read_results(args.x64_baseline))
        write_section(page, BOTH, BOTH_HEAD, [("", results, baseline), x64])
        return 0
    if not results or not baseline:
        sys.exit("no results, or no baseline")
    lines = [HEAD.format(version=importlib.metadata.version("jax"), dut=args.dut)]
    lines += table(results, baseline)
    lines += ["", "## What CPU passes and mps does not, and what fails on both"]
    lines += failures(results, baseline)
    text = "\n".join(lines) + "\n"
    if page.exists():  # from here on it is written by hand
        text += "".join(page.read_text(encoding="utf-8").partition(f"\n{BY_HAND}\n")[1:])
    page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
