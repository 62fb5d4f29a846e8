#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files of at most 800 lines, functions and bodies of macros of at most 80; and every source opens
with its SPDX line.

Tables (.def files) may be longer, and a C function's size does not count the rows of tables in it.
An argument names another tree.
"""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILE_LINES, FUNCTION_LINES = 800, 80
SOURCES = (".c", ".h", ".def", ".cc", ".py")
DEFINE = re.compile(r"\s*#\s*define\b")
TYPE = re.compile(r"\s*(typedef|struct|enum|union)\b[^(]*$")
# A row of a table: {...}, or MACRO(...), on a line of its own.
ROW = re.compile(r"^\s*(\[.*\]\s*=\s*)?(\{.*\}|[A-Z][A-Z0-9_]*\(.*\)),?\s*$")


def c_functions(lines: list[str]) -> list[tuple[int, int]]:
    """(first line, lines that are not rows of tables) of each function.

    clang-format puts its opening brace at the end of a line that starts in column one or continues
    such a line, and its closing brace alone in column one.
    """
    functions, start = [], None
    for number, line in enumerate(lines, 1):
        if start is None and line.endswith("{") and "=" not in line:
            if "(" in line + lines[number - 2] and not TYPE.match(line):
                start = number
        elif start is not None and line.startswith("}"):
            body = lines[start : number - 1]
            functions.append((start, sum(not ROW.match(text) for text in body)))
            start = None
    return functions


def c_macros(lines: list[str]) -> list[tuple[int, int]]:
    """(first line, lines of the body that are not rows of tables) of each macro of several lines."""
    macros, start = [], None
    for number, line in enumerate(lines, 1):
        if start is None and DEFINE.match(line) and line.endswith("\\"):
            start = number
        elif start is not None and not line.endswith("\\"):
            body = [text.rstrip("\\ ") for text in lines[start:number]]
            macros.append((start, sum(not ROW.match(text) for text in body)))
            start = None
    return macros


def c_sizes(lines: list[str]) -> list[tuple[int, int]]:
    return c_functions(lines) + c_macros(lines)


def python_functions(lines: list[str]) -> list[tuple[int, int]]:
    import ast

    tree = ast.parse("\n".join(lines))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    return [(node.lineno, (node.end_lineno or node.lineno) - node.lineno) for node in nodes]


SIZES = {".py": python_functions, **dict.fromkeys((".c", ".h", ".cc", ".def"), c_sizes)}


def check(path: pathlib.Path, root: pathlib.Path) -> list[str]:
    name = path.relative_to(root)
    lines = path.read_text(encoding="utf-8").splitlines()
    problems = []
    if path.suffix != ".def" and len(lines) > FILE_LINES:
        problems.append(f"{name}: {len(lines)} lines, more than {FILE_LINES}")
    for line, size in SIZES[path.suffix](lines):
        if size > FUNCTION_LINES:
            problems.append(
                f"{name}:{line}: function or macro of {size} lines, more than {FUNCTION_LINES}"
            )
    if not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:2]):
        problems.append(f"{name}: no SPDX line at its top")
    return problems


def main() -> int:
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    paths = [root / name for name in listed if name.endswith(SOURCES) and (root / name).exists()]
    problems = [problem for path in sorted(paths) for problem in check(path, root)]
    print(*problems, sep="\n", end="\n" if problems else "")
    print(f"sizes: {len(paths)} files, {len(problems)} problems")
    return int(bool(problems) or not paths)


if __name__ == "__main__":
    sys.exit(main())
