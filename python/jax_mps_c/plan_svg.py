# SPDX-License-Identifier: Apache-2.0
"""Plans as a picture: a box for each step, top to bottom in the order of execution; loops and
branches hold the boxes of their steps. A line at the right is a value: it leaves the step that
writes it and ends with an arrow in each step that reads it; a dashed one goes to the loop's next
iteration. Parameters, outputs and constants are named in the boxes.

It reads the plan's JSON form (src/plan/explain.h) and knows nothing else of plans.
"""

from __future__ import annotations

import dataclasses
import html
from typing import Any

LINE, PAD, GAP, LANE = 15, 8, 10, 9  # heights of a text line, inside and between boxes; pixels
WIDTH, CHARACTER = 680, 6.7  # of an outermost box; of a letter
MAX_OPS = 24  # lines in a box
COLOURS = {"group": "#dceafd", "copy": "#eeeeee", "while": "#efe4fb", "case": "#efe4fb"}
OTHER = "#fdeedc"
LINES = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#7f7f7f")
STYLE = """text { font: 11px monospace; fill: #222 } .title { font-weight: bold; font-size: 12px }
.source, .slots { fill: #777 } .box { stroke: #999 } .value { fill: none; stroke-width: 1.3 }
.back { stroke-dasharray: 4 3 }"""


@dataclasses.dataclass
class Box:
    step: dict[str, Any]
    x: float
    y: float
    width: float
    height: float = 0
    in_use: int = 0  # lines that end here
    out_use: int = 0  # lines that begin here

    @property
    def right(self) -> float:
        return self.x + self.width

    def entry(self) -> float:
        """Where the next line ends: below the box's upper edge, apart from the earlier ones."""
        self.in_use += 1
        return self.y + 4 + (4 * (self.in_use - 1)) % max(self.height / 2 - 4, 4)

    def exit(self) -> float:
        self.out_use += 1
        return self.y + self.height - 4 - (4 * (self.out_use - 1)) % max(self.height / 2 - 4, 4)


@dataclasses.dataclass
class Line:
    """One value, from the box that writes it to those that read it."""

    slot: int
    writer: Box
    readers: list[Box]
    back: bool = False  # to the next iteration


def draw(plans: list[dict[str, Any]]) -> str:
    """All plans below one another, as the text of an SVG file."""
    parts, y, width = [], 0.0, 0.0
    for plan in plans:
        picture = Picture(plan, y + PAD)
        parts += picture.parts
        y, width = picture.bottom, max(width, picture.right)
    size = f'width="{width:.0f}" height="{y:.0f}" viewBox="0 0 {width:.0f} {y:.0f}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
            f"<style>{STYLE}</style>",
            '<rect width="100%" height="100%" fill="white"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


class Picture:
    def __init__(self, plan: dict[str, Any], top: float) -> None:
        self.plan = plan
        self.parts: list[str] = []
        self.lines: list[Line] = []
        self.current: dict[int, Line] = {}  # by slot: the value that is in it
        self.log: list[tuple[str, int, Box]] = []  # reads and writes in the order of the steps
        sizes = f"arena {plan['arena']:,} bytes; steps read {plan['read']:,} bytes"
        self.write("title", PAD, top + LINE, f"{plan['name'] or 'program'}")
        self.write("source", PAD, top + 2 * LINE, f"{sizes} and write {plan['written']:,}")
        self.bottom = self.steps(plan["steps"], PAD, top + 2 * LINE + PAD, WIDTH) + PAD
        self.right = WIDTH + 2 * PAD
        self.draw_lines()

    def write(self, kind: str, x: float, y: float, text: str, width: float = WIDTH) -> None:
        room = int((width - 2 * PAD) / CHARACTER)
        shown = text if len(text) <= room else text[: room - 1] + "…"
        title = f"<title>{escape(text)}</title>" if shown != text else ""
        self.parts.append(
            f'<text class="{kind}" x="{x:g}" y="{y:g}" xml:space="preserve">{title}'
            f"{escape(shown)}</text>"
        )

    def steps(self, steps: list[dict[str, Any]], x: float, y: float, width: float) -> float:
        """Draws a block's steps; where the next thing may begin."""
        for step in steps:
            y = self.step(step, x, y, width) + GAP
        return y

    def step(self, step: dict[str, Any], x: float, y: float, width: float) -> float:
        box = Box(step, x, y, width)
        place = len(self.parts)  # of the rectangle, which is drawn under what is in it
        y += PAD / 2
        for kind, text in self.describe(step):
            y += LINE
            self.write(kind, x + PAD, y, text, width)
        y += PAD
        box.height = y - box.y  # of its own text, above the steps that it holds
        loops = step["title"] == "while"
        if not loops:  # whose one operand is what its condition says
            self.access("read", box, step["reads"])
        start, before = len(self.log), dict(self.current)
        for block in step["blocks"]:
            if not loops:
                self.current = dict(before)
            self.write("source", x + PAD, y + LINE, block["name"])
            y = self.steps(block["steps"], x + 2 * PAD, y + LINE + PAD, width - 4 * PAD)
        if loops:
            self.iterate(start)
        # What is written in a box is the box's for the steps that follow it.
        inside = {slot: {"slot": slot} for kind, slot, _ in self.log[start:] if kind == "write"}
        self.access("write", box, [*step["writes"], *inside.values()])
        colour = COLOURS.get(step["title"].split()[0], OTHER)
        source = escape(step["source"] or step["title"])
        self.parts.insert(
            place,
            f'<rect class="box" x="{x:g}" y="{box.y:g}" width="{width:g}" '
            f'height="{y - box.y:g}" rx="4" fill="{colour}"><title>{source}</title></rect>',
        )
        return y

    def access(self, kind: str, box: Box, operands: list[dict[str, Any]]) -> None:
        for operand in operands:
            slot = operand["slot"]
            self.log.append((kind, slot, box))
            if kind == "write":
                self.current[slot] = line = Line(slot, box, [])
                self.lines.append(line)
            elif (line := self.current.get(slot)) and box not in line.readers:
                line.readers.append(box)

    def iterate(self, start: int) -> None:
        """What an iteration leaves in a slot goes to those that read it before it is written."""
        readers: dict[int, list[Box]] = {}
        writers: dict[int, Box] = {}
        for kind, slot, box in self.log[start:]:
            if kind == "write":
                writers[slot] = box
            elif slot not in writers and box not in readers.setdefault(slot, []):
                readers[slot].append(box)
        for slot in sorted(readers.keys() & writers.keys()):
            self.lines.append(Line(slot, writers[slot], readers[slot], back=True))

    def describe(self, step: dict[str, Any]) -> list[tuple[str, str]]:
        """The lines of a step's box."""
        kernels = {0: "", 1: ", 1 kernel"}.get(step["kernels"], f", {step['kernels']} kernels")
        found = [("title", f"{step['number']}: {step['title']}{kernels}")]
        if step["source"]:
            found.append(("source", step["source"]))
        # A region's text begins with its arguments and each op's ends with its source.
        lines = [line.split("  # ")[0].rstrip() for line in step["ops"].splitlines()]
        found += [("op", line) for line in lines[:MAX_OPS]]
        if len(lines) > MAX_OPS:
            found.append(("op", f"… {len(lines) - MAX_OPS} more lines"))
        for key in ("reads", "writes", "temporaries"):
            names = [self.plan["slots"][operand["slot"]]["name"] for operand in step[key]]
            if names:
                found.append(("slots", f"{key} {', '.join(names)}"))
        return found

    def draw_lines(self) -> None:
        """Gives each value a lane at the right, the first that is free for its whole way."""
        lanes: list[float] = []  # where the last line of the lane ends
        drawn = [line for line in self.lines if line.readers]
        for line in sorted(drawn, key=lambda line: min(b.y for b in [line.writer, *line.readers])):
            start = line.writer.exit()
            ends = [(reader, reader.entry()) for reader in line.readers]
            ys = [start, *(end for _, end in ends)]
            lane = next((i for i, busy in enumerate(lanes) if busy < min(ys)), len(lanes))
            lanes[lane:] = [max(ys), *lanes[lane + 1 :]]
            self.draw_line(line, start, ends, WIDTH + 2 * PAD + LANE * (lane + 1))
        self.right += LANE * (len(lanes) + 2)

    def draw_line(
        self, line: Line, start: float, ends: list[tuple[Box, float]], lane: float
    ) -> None:
        slot = self.plan["slots"][line.slot]
        colour = LINES[line.slot % len(LINES)]
        path = f"M{line.writer.right:g} {start:g}H{lane:g}"
        for reader, end in ends:
            tip = reader.right
            path += f"M{lane:g} {start:g}V{end:g}H{tip:g}m5 -3l-5 3l5 3"
        style = "value back" if line.back else "value"
        self.parts.append(
            f'<path class="{style}" d="{path}" stroke="{colour}">'
            f"<title>{escape(slot['name'])}, {slot['bytes']:,} bytes</title></path>"
        )


def escape(text: str) -> str:
    """For the text of an element, without the characters that XML does not have."""
    return html.escape("".join(c for c in text if c >= " " or c == "\n"), quote=False)
