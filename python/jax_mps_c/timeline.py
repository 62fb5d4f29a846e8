# SPDX-License-Identifier: Apache-2.0
"""Where the time went in what `JAX_MPS_DEBUG=trace=FILE` wrote: a line for each step, by the time of
all its runs, and a picture of the devices' lines.

`python -m jax_mps_c timeline FILE`. Perfetto shows the same file in more detail.
"""

from __future__ import annotations

import argparse
import dataclasses
import html
import json
import pathlib
import sys
from typing import Any

WIDTH, LEFT, ROW, TOP = 900, 150, 22, 26  # of the picture, its names, a line; pixels
COLOURS = {
    "Executions": "#c9d8ee",
    "Loops and branches": "#efe4fb",
    "Kernels": "#8fc0ea",
    "Library calls": "#f4b183",
    "Encoding": "#bfe3c0",
    "Copies": "#d0d0d0",
    "Waits": "#f3dcdc",
}
STYLE = "text { font: 11px sans-serif; fill: #222 } rect { stroke: #fff; stroke-width: 0.5 }"


@dataclasses.dataclass
class Step:
    """All runs of what has this name, on this line, from this place in the source."""

    line: str
    name: str
    source: str
    runs: int = 0
    time: float = 0  # microseconds
    bytes: float = 0
    flops: float = 0


def read(path: pathlib.Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))["traceEvents"]


def collect(events: list[dict[str, Any]]) -> list[Step]:
    """Longest first."""
    steps: dict[tuple[str, str, str], Step] = {}
    for event in events:
        if event["ph"] != "X":
            continue
        facts = event["args"]
        key = (facts["line"], event["name"], facts.get("source", ""))
        step = steps.setdefault(key, Step(*key))
        step.runs += 1
        step.time += event["dur"]
        step.bytes += facts.get("bytes", 0)
        step.flops += facts.get("flops", 0)
    return sorted(steps.values(), key=lambda step: -step.time)


def table(steps: list[Step]) -> str:
    rows = [f"{'ms':>10} {'runs':>7} {'GB/s':>7} {'GFLOP/s':>8}  line, step, source"]
    for step in steps:
        # Bytes or operations in a microsecond, in thousands, are those of a nanosecond: G/s.
        rates = [
            amount / step.time / 1e3 if step.time else 0 for amount in (step.bytes, step.flops)
        ]
        what = ", ".join(part for part in (step.line, step.name, step.source) if part)
        rows.append(
            f"{step.time / 1e3:10.3f} {step.runs:7} {rates[0]:7.2f} {rates[1]:8.2f}  {what}"
        )
    return "\n".join(rows) + "\n"


def draw(events: list[dict[str, Any]], begin: float = 0, end: float | None = None) -> str:
    """The devices' lines between two times, in microseconds, as the text of an SVG file."""
    spans = [e for e in events if e["ph"] == "X"]
    if end is None:
        end = max((e["ts"] + e["dur"] for e in spans), default=1)
    shown = [e for e in spans if e["ts"] < end and e["ts"] + e["dur"] > begin]
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    devices = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    rows = {key: n for n, key in enumerate(sorted({(e["pid"], e["tid"]) for e in shown}))}
    scale = (WIDTH - LEFT) / (end - begin)
    height = TOP + ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}">',
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="16">{(end - begin) / 1e3:.3f} ms</text>',
    ]
    for key, row in rows.items():
        name = html.escape(f"{devices[key[0]]} {names[key]}")
        parts.append(f'<text x="4" y="{TOP + ROW * row + 15}">{name}</text>')
    for event in sorted(shown, key=lambda e: -e["dur"]):  # what is inside of another one above it
        left = max(event["ts"] - begin, 0) * scale
        width = min(event["ts"] + event["dur"] - begin, end - begin) * scale - left
        y = TOP + ROW * rows[event["pid"], event["tid"]]
        parts.append(
            f'<rect x="{LEFT + left:.2f}" y="{y}" width="{max(width, 0.3):.2f}" height="{ROW - 3}" '
            f'fill="{COLOURS[event["args"]["line"]]}">'
            f"<title>{html.escape(event['name'])}, {event['dur']:.1f} us</title></rect>"
        )
        if width > 7 * len(event["name"]):
            parts.append(
                f'<text x="{LEFT + left + 3:.2f}" y="{y + 14}">{html.escape(event["name"])}</text>'
            )
    return "\n".join([*parts, "</svg>", ""])


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m jax_plugins.mps timeline",
        description="Where the time went in a file of JAX_MPS_DEBUG=trace=FILE.",
    )
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--top", type=int, default=30, help="steps to print; default: 30")
    parser.add_argument("--svg", metavar="OUT.svg", type=pathlib.Path, help="draw the lines, too")
    parser.add_argument(
        "--last", metavar="MS", type=float, help="draw no more than the last milliseconds"
    )
    options = parser.parse_args(arguments)
    try:
        events = read(options.file)
    except (OSError, ValueError, KeyError) as error:
        print(f"{options.file}: no timeline: {error}", file=sys.stderr)
        return 1
    print(table(collect(events)[: options.top]), end="")
    if options.svg:
        end = max((e["ts"] + e["dur"] for e in events if e["ph"] == "X"), default=1)
        begin = max(end - 1e3 * options.last, 0) if options.last else 0
        options.svg.write_text(draw(events, begin, end), encoding="utf-8")
    return 0
