#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a table of docs/JAX_TESTS.md from what scripts/run_jax_tests.py stored.

    scripts/jax_tests_doc.py 'jax 0.10.2' --run mps.tsv cpu.tsv --x64 mps64.tsv cpu64.tsv
    scripts/jax_tests_doc.py 'Eight devices' --run mps8.tsv cpu8.tsv

The page has a section of this title; its prose is written by hand, and what stands from the table on is
replaced: a line a file, and each test that JAX's CPU backend passes and this plugin does not.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from run_jax_tests import ROOT, gate_of, module_of, read_results

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
    found = collections.defaultdict(list)
    for title, results, baseline in settings:
        for name, (outcome, _) in sorted(baseline.items()):
            mine, why = results.get(name, ("not run", ""))
            if outcome == "pass" and mine != "pass" and module_of(name) in modules:
                reason = f"{title}{mine}: {reason_of(name, why)}"
                found[module_of(name), reason].append(name.rpartition("::")[2])
    for (module, reason), names in found.items():
        lines.append(f"- {module}, {reason}: {', '.join(f'`{n}`' for n in names)}")
    return lines if found else [*lines, "- nothing"]


def write_section(page: pathlib.Path, title: str, settings: list) -> None:
    if not all(part for _, *parts in settings for part in parts):
        sys.exit("no results, or no baseline")
    before, found, rest = page.read_text(encoding="utf-8").partition(f"\n## {title}\n")
    if not found:
        sys.exit(f"{page.name} lacks the section {title}")
    section, following, after = rest.partition("\n## ")
    prose, table, _ = section.partition("\n| file ")
    if not table:
        sys.exit(f"the section {title} of {page.name} lacks a table")
    lines = "\n".join(in_settings(settings))
    page.write_text(f"{before}{found}{prose}\n{lines}\n{following}{after}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("section", help="its title, without ##")
    pair = {"nargs": 2, "type": pathlib.Path, "metavar": ("MPS", "CPU")}
    parser.add_argument("--run", required=True, help="outcomes here and on JAX's CPU", **pair)
    parser.add_argument("--x64", help="the same with JAX_ENABLE_X64=1", **pair)
    args = parser.parse_args()
    settings = [("", *map(read_results, args.run))]
    if args.x64:
        settings.append(("x64: ", *map(read_results, args.x64)))
    write_section(ROOT / "docs" / "JAX_TESTS.md", args.section, settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
