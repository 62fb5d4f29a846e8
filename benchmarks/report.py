#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tables and a chart of stored results.

python -m benchmarks.report benchmarks/results/NAME.json                  # Markdown, to read
python -m benchmarks.report benchmarks/results/NAME.json --into README.md # between NAME's markers
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pathlib
import sys
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape

from benchmarks.entry import GROUPS, HEADLINE

LOW = 0.7  # an entry below this is reported
COLUMNS = {
    "steady": "steady",
    "best": "best",
    "traced": "first",
    "compile": "untraced",
    "cached": "cached",
    "ten": "first 10",
}
COLUMNS |= {"memory": "memory"}
FIELDS = {"steady": "steady_s", "compile": "first_s", "cached": "cached_s"}


# ---- what the figures say --------------------------------------------------------------------------


def mean(ratios: Iterable[float]) -> float | None:
    """The geometric one."""
    logs = [math.log(ratio) for ratio in ratios]
    return math.exp(sum(logs) / len(logs)) if logs else None


def value(record: dict) -> float | None:
    """The ratio that stands for the entry; of one that took too long, what it is at most."""
    return record.get("ratio", record.get("bound"))


def means(result: dict) -> dict[str, tuple[float, str]]:
    """Of each group and of the headline: the mean, and what is missing from it."""
    sets = {"headline": HEADLINE} | {name: (name,) for name in GROUPS}
    found = {}
    for name, groups in sets.items():
        rows = [row for row in result["entries"] if row["group"] in groups]
        ratio = mean(v for row in rows if (v := value(row)) is not None)
        if ratio is None:
            continue
        notes = []
        if late := sum("ratio" not in row and "bound" in row for row in rows):
            notes.append(f"at most: {late} took too long")
        if failed := sum(value(row) is None for row in rows):
            notes.append(f"without {failed} that failed")
        found[name] = ratio, "; ".join(notes)
    return found


def low(result: dict) -> list[dict]:
    rows = [row for row in result["entries"] if (v := value(row)) is not None and v < LOW]
    return sorted(rows, key=value)


def name_of(result: dict) -> str:
    """A name for the file: the machine's shape, and the engine if it is not the usual one."""
    facts = result["facts"]
    parts = [*facts["system"].lower().split(), f"{facts['cores']}-cores"]
    settings = facts["settings"]
    if settings.get("JAX_MPS_LLVM") == "none":
        parts.append("no-llvm")
    if (device := settings.get("JAX_MPS_DEVICE", "host")) not in ("host", "auto"):
        parts.append(device)
    if "threads" in result:
        parts.append("threads")
    return "-".join(parts)


# ---- as text ---------------------------------------------------------------------------------------


def seconds(value: float | None) -> str:
    if value is None:
        return "-"
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}" if value * factor < 1000 else f"{value:.0f} s"
    return f"{value * 1e6:.3g} µs"


def times(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    if ratio >= 100:
        return f"{ratio:.0f}"
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def machine(result: dict) -> list[str]:
    facts = result["facts"]
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    settings = " ".join(f"{name}={value}" for name, value in facts["settings"].items())
    return [
        f"{facts['cpu']}, {facts['cores']} cores, load {facts['load']}; {facts['system']}",
        f"commit {facts['commit']}, python {facts['python']}, {packages}",
        f"settings: {settings or 'none'}",
    ]


def heading(result: dict) -> str:
    titles = "".join(f"{title:>10}" for title in COLUMNS.values())
    return "\n".join(
        [
            *machine(result),
            "cpu / mps of the time per call and of memory; above 1, mps is ahead",
            "",
            f"{'':9} {'':20}{titles}   {'cpu':>9}{'mps':>9}",
        ]
    )


def line(record: dict) -> str:
    start = f"{record['group']:9} {record['name']:20}"
    if "ratio" not in record:
        bound = f" (ratio below {times(record['bound'])})" if "bound" in record else ""
        return f"{start} FAILED{bound} {record['error']}"[:300]
    ratios = "".join(f"{times(record['ratios'].get(name)):>10}" for name in COLUMNS)
    field = FIELDS[record["figure"]]
    both = "".join(f"{seconds(record[name].get(field)):>9}" for name in ("cpu", "mps"))
    return f"{start}{ratios}   {both}"


def summary(result: dict) -> str:
    rows = [
        "geometric mean of cpu / mps (compile: of the first call without tracing; start: of the same "
        "from JAX's cache)"
    ]
    for name, (ratio, note) in means(result).items():
        rows.append(f"  {name:9} {times(ratio):>6}{'   ' + note if note else ''}")
    if rows_below := low(result):
        rows.append(f"below {LOW}:")
        rows += [
            f"  {times(value(row)):>8}{'' if 'ratio' in row else ' at most'}  {row['name']}"
            for row in rows_below
        ]
    failed = [row for row in result["entries"] if value(row) is None]
    if failed:
        rows.append("failed:")
        rows += [f"  {row['name']}: {row['error']}"[:300] for row in failed]
    return "\n".join(rows)


# ---- as Markdown -----------------------------------------------------------------------------------


def markdown(result: dict, picture: str) -> str:
    facts = result["facts"]
    settings = " ".join(f"`{name}={value}`" for name, value in facts["settings"].items())
    device = facts.get("devices", {}).get("mps", {})
    lines = [
        f"JAX's CPU backend / `mps`, time per call on the same {facts['cores']} cores: above 1, `mps` "
        "is faster. Measured by `make bench`, which compares the results first.",
        "",
        f"{facts['cpu']}; jax {facts['packages'].get('jax')}; engine: {device.get('kind', '?')}; "
        f"commit {facts['commit']}, {facts['date']}{'; ' + settings if settings else ''}.",
        "",
        "| group | geometric mean | lowest | highest |",
        "|---|---|---|---|",
    ]
    for name, (ratio, note) in means(result).items():
        groups = HEADLINE if name == "headline" else (name,)
        rows = [row for row in result["entries"] if row["group"] in groups and "ratio" in row]
        rows.sort(key=value)
        ends = (
            [f"{row['name']} {times(row['ratio'])}" for row in (rows[0], rows[-1])]
            if rows
            else ["-"] * 2
        )
        title = f"**{name}** ({', '.join(HEADLINE)})" if name == "headline" else name
        lines.append(
            f"| {title} | {times(ratio)}{' (' + note + ')' if note else ''} | {' | '.join(ends)} |"
        )
    lines += [
        "",
        f"![each entry's ratio]({picture})",
        "",
        "<details><summary>Each entry</summary>",
        "",
    ]
    lines += ["| | entry | " + " | ".join(COLUMNS.values()) + " | cpu | mps |"]
    lines += ["|---|---|" + "--:|" * (len(COLUMNS) + 2)]
    for row in result["entries"]:
        cells = [times(row.get("ratios", {}).get(name)) for name in COLUMNS]
        if "ratio" not in row:
            cells[0] = f"< {times(row['bound'])}" if "bound" in row else "failed"
        field = FIELDS[row["figure"]]
        cells += [seconds(row[platform].get(field)) for platform in ("cpu", "mps")]
        lines.append(f"| {row['group']} | {row['name']} | {' | '.join(cells)} |")
    lines += [
        "",
        "best: the fastest block of each; first: the first call, with tracing; untraced: without it;",
        "cached: the same in a process that finds the program in JAX's compilation cache;",
        "first 10: ten calls together; memory: growth of the peak while executing.",
        "",
        "</details>",
    ]
    return "\n".join(lines)


def into(text: str, name: str, readme: pathlib.Path) -> None:
    """Puts the text between the two markers that a file has for results of this name."""
    first, last = (f"<!-- {name}: {which} -->" for which in ("begin", "end"))
    content = readme.read_text(encoding="utf-8")
    before, begin, rest = content.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        sys.exit(f"{readme}: no {first} and {last} in it")
    readme.write_text(f"{before}{first}\n{text}\n{last}{after}", encoding="utf-8")


# ---- as a chart ------------------------------------------------------------------------------------

STYLE = """
text { font: 11px sans-serif; fill: #333 } .group { font-weight: bold } .grid { stroke: #ccc }
.one { stroke: #333 } .ahead { fill: #2a7de1 } .behind { fill: #e07b39 } .open { fill-opacity: 0.35 }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd } .grid { stroke: #444 } .one { stroke: #ddd }
}
"""
ROW, LABELS, PLOT, MARGIN = 15, 150, 430, 50


def bars(rows: list[dict], scale) -> Iterator[str]:
    y, group = 34, None
    for row in rows:
        if row["group"] != group:
            group = row["group"]
            y += 8
            yield f'<text class="group" x="4" y="{y + 11}">{group}</text>'
            y += ROW
        ratio = value(row)
        yield f'<text x="{LABELS - 6}" y="{y + 11}" text-anchor="end">{escape(row["name"])}</text>'
        if ratio is None:
            yield f'<text x="{scale(1) + 4:.0f}" y="{y + 11}">failed</text>'
        else:
            left, right = sorted((scale(1), scale(ratio)))
            kind = ("ahead" if ratio >= 1 else "behind") + ("" if "ratio" in row else " open")
            yield (
                f'<rect class="{kind}" x="{left:.1f}" y="{y + 2}" '
                f'width="{max(right - left, 1):.1f}" height="{ROW - 4}"/>'
            )
            text = times(ratio) if "ratio" in row else f"&lt; {times(ratio)}"
            yield f'<text x="{max(right, scale(1)) + 4:.0f}" y="{y + 11}">{text}</text>'
        y += ROW


def svg(result: dict) -> str:
    """A bar for each entry, from 1 to the right where mps is faster, on a logarithmic scale."""
    rows = result["entries"]
    known = [v for row in rows if (v := value(row)) is not None]
    lowest = min(-1, math.floor(math.log2(min(known, default=1))))
    highest = max(1, math.ceil(math.log2(max(known, default=1))))

    def scale(ratio: float) -> float:
        return LABELS + PLOT * (math.log2(ratio) - lowest) / (highest - lowest)

    height = 50 + ROW * len(rows) + (ROW + 8) * len({row["group"] for row in rows})
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABELS + PLOT + MARGIN}" '
        f'height="{height}" viewBox="0 0 {LABELS + PLOT + MARGIN} {height}">',
        f"<style>{STYLE}</style>",
        '<text x="4" y="14">time of JAX CPU / time of mps; to the right, mps is faster</text>',
    ]
    step = max(1, math.ceil((highest - lowest) / 8))
    for power in sorted({*range(0, highest + 1, step), *range(0, lowest - 1, -step)}):
        x = scale(2.0**power)
        label = str(2**power) if power >= 0 else f"1/{2**-power}"
        kind = "grid" if power else "one"
        parts.append(f'<line class="{kind}" x1="{x:.1f}" y1="34" x2="{x:.1f}" y2="{height - 8}"/>')
        parts.append(f'<text x="{x:.1f}" y="30" text-anchor="middle">{label}</text>')
    return "\n".join([*parts, *bars(rows, scale), "</svg>", ""])


def write(result: dict, path: pathlib.Path) -> None:
    """As JSON; with a chart beside it, if mps was compared with cpu."""
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if "threads" in result:
        return
    path.with_suffix(".svg").write_text(svg(result), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--into", type=pathlib.Path, help="a Markdown file with two markers for it")
    parser.add_argument("--sorted", action="store_true", help="plain text, the lowest ratio first")
    options = parser.parse_args()
    result = json.loads(options.results.read_text(encoding="utf-8"))
    if options.sorted:
        rows = sorted(result["entries"], key=lambda row: value(row) or 0.0)
        print(heading(result), *map(line, rows), "", summary(result), sep="\n")
        return 0
    picture = options.results.with_suffix(".svg")
    picture.write_text(svg(result), encoding="utf-8")
    start = options.into.resolve().parent if options.into else pathlib.Path.cwd()
    text = markdown(result, pathlib.Path(os.path.relpath(picture.resolve(), start)).as_posix())
    if options.into:
        into(text, options.results.stem, options.into)
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
