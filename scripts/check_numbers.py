#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Numbers of a machine stand in kernel/ir/target.[ch] alone: sizes of chunks, tiles and rows, costs,
limits of groups. In the files that decide by them this refuses decimal integers from 8 on and
fractions, unless they are listed here with the reason why they say nothing of a machine.
"""

from __future__ import annotations

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILES = ("kernel/schedule/*.[ch]", "pass/group*.[ch]", "pass/loops.c")
LEAST = 8
# file -> what may stand there: names that are defined as a number, or numbers themselves
ALLOWED = {
    "kernel/schedule/cluster.h": {
        "JM_CLUSTER_RANK": "bounds arrays",
        "JM_CLUSTER_LEVELS": "bounds arrays",
        "JM_CLUSTER_ROOTS": "bounds arrays; targets bound the buffers of a group below",
    },
    "kernel/schedule/fold.h": {"JM_FOLD_PARTS": "bounds arrays; a loop carries 16 values"},
    "kernel/schedule/launch.c": {
        "0.25": "of an operation: what moving an element is",
        "1.5": "between the sizes of elements",
        "8": "bytes of an element",
    },
    "kernel/schedule/loop.h": {"JM_LOOP_RANK": "bounds arrays"},
    "kernel/schedule/loop_plan.c": {"MOST_NESTING": "bounds recursion"},
    "kernel/schedule/schedule_reduce.c": {"64": "bounds arrays"},
    "pass/group.h": {"JM_GROUP_PLACES": "bounds arrays"},
    "pass/group.c": {"USERS": "bounds arrays"},
    "pass/group_cost.c": {
        "32": "a hash",
        "0.2": "of an op's code: what an operation on integers is",
        "1.001": "sums of counts are not exact",
        "1.05": "of the bytes: nearly as many",
    },
    "pass/group_split.c": {"16": "bytes of an element, at most"},
}
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
STRING = re.compile(r'"(?:\\.|[^"\\])*"')
NUMBER = re.compile(r"(?<![\w.])(\d+\.\d*|\d*\.\d+|\d+)(?:[eE][-+]?\d+)?[uUlLfF]*(?![\w.])")


def check(path: pathlib.Path) -> list[str]:
    name = path.relative_to(ROOT / "src").as_posix()
    allowed = ALLOWED.get(name, {})
    blank = lambda match: re.sub(r"[^\n]", " ", match.group())  # noqa: E731
    text = STRING.sub(blank, COMMENT.sub(blank, path.read_text(encoding="utf-8")))
    problems, used = [], set()
    for line, words in enumerate(text.split("\n"), 1):
        if words.lstrip().startswith("#"):
            continue
        for match in NUMBER.finditer(words):
            number = match.group(1)
            if "." not in number and int(number) < LEAST:
                continue
            before = re.search(r"(\w+)\s*=\s*$", words[: match.start()])
            key = before.group(1) if before and before.group(1) in allowed else number
            used.add(key)
            if key not in allowed:
                problems.append(f"src/{name}:{line}: {match.group()} belongs in kernel/ir/target.c")
    problems += [f"{__file__}: {name} has no {key}" for key in allowed if key not in used]
    return problems


def main() -> int:
    paths = [path for pattern in FILES for path in sorted((ROOT / "src").glob(pattern))]
    problems = [problem for path in paths for problem in check(path)]
    print(*problems, sep="\n", end="\n" if problems else "")
    print(f"numbers: {len(paths)} files, {len(problems)} problems")
    return int(bool(problems) or not paths)


if __name__ == "__main__":
    sys.exit(main())
