#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Includes go one way. This table is the architecture; a new arrow is a change of the design."""

from __future__ import annotations

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

KERNEL = ("kernel/ir", "kernel/emit", "kernel/schedule", "kernel/print")
# folder under src/ -> the folders it may include, besides itself. Longest prefix wins.
ALLOWED = {
    "base": (),
    "profile": ("base",),
    "bytecode": ("base",),
    "ir": ("base",),
    "stablehlo": ("base", "bytecode", "ir"),
    "kernel/ir": ("base", "ir"),
    "kernel/emit": ("base", "ir", "kernel/ir"),
    "kernel/schedule": ("base", "ir", "kernel/ir", "kernel/emit"),
    "kernel/print": ("base", "ir", "kernel/ir"),
    "pass": ("base", "ir", *KERNEL),
    # Handlers of jax.ffi, called on host memory.
    "ffi": ("base", "ir"),
    "engine": ("base", "ir"),
    "engine/elementwise": ("base", "ir", "engine"),
    "engine/ref": ("base", "ir", "engine", "engine/elementwise"),
    "engine/host/library": ("base", "ir", "ffi", "engine", "engine/elementwise"),
    "engine/host": ("base", "ir", *KERNEL, "engine", "engine/host/library", "plan", "profile"),
    # The library: for ops that MLX can't run.
    "engine/mlx": (
        *("base", "ir", *KERNEL, "engine", "plan", "profile"),
        *("engine/host", "engine/host/library"),
    ),
    # Engines run plans: a plan knows the interface alone.
    "plan": ("base", "profile", "ir", "engine"),
    # The compiler's driver, from the bytes on. The library says what can be run at all, the oracle
    # folds constants.
    "compile": (
        *("base", "stablehlo", "ir", *KERNEL, "pass", "plan", "ffi"),
        *("engine", "engine/host/library", "engine/ref"),
    ),
    "runtime": ("base", "profile", "ir", "compile", "engine", "engine/host", "engine/mlx"),
    "pjrt": ("base", "profile", "ir", "ffi", "runtime"),
    "tool": (
        *("base", "bytecode", "stablehlo", "ir", *KERNEL, "pass", "plan", "compile"),
        *("engine", "engine/ref", "engine/host", "engine/host/library", "runtime"),
    ),
}
# what -> the only files that may speak of it
CONFINED = {
    r"\bPJRT_[A-Z]\w+": r"pjrt/.*",
    r"#include\s*[<\"](mlx|metal)/": r"engine/mlx/bridge\w*\.(cc|h)",
    r"\bLLVM[A-Z]\w+\(|\bLLVMPY_": r"engine/host/\w*llvm\w*\.c",
    r"\b(malloc|calloc|realloc)\(": r"base/alloc\.c|engine/mlx/bridge\w*\.(cc|h)",
    r"\bgetenv\(": r"base/settings\.c|engine/mlx/bridge\w*\.cc",
    # No program runs in the oracle: it folds constants, and tests judge by it.
    r"#include\s*\"engine/ref/": r"engine/ref/.*|compile/program\.c|tool/.*",
}
# folder -> what its files may not have: the oracle is obvious loops without threads, caches of
# memory, BLAS, or variables at file scope.
BARRED = {
    "engine/ref": r'"base/(parallel|scratch|data|block_cache|spin|blocking)\.h"|\bpthread_|(?i:blas)|'
    r"(?m:^static (?!.*\b(const|inline)\b)[^(\n]*[;=])",
}
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


def folder_of(path: str) -> str:
    """The row of ALLOWED that a path under src/ belongs to."""
    parts = path.split("/")[:-1]
    for length in range(len(parts), 0, -1):
        if (name := "/".join(parts[:length])) in ALLOWED:
            return name
    return ""


def check(path: pathlib.Path) -> list[str]:
    name = path.relative_to(ROOT / "src").as_posix()
    text = COMMENT.sub(" ", path.read_text(encoding="utf-8"))
    folder = folder_of(name)
    problems = [] if folder else [f"src/{name}: its folder is not in the table of {__file__}"]
    for target in INCLUDE.findall(text):
        to = folder_of(target)
        if to and folder and to != folder and to not in ALLOWED[folder]:
            problems.append(f"src/{name}: includes {target}; {folder} must not know {to}")
        if not (ROOT / "src" / target).exists() and not target.startswith("mlx/"):
            problems.append(f"src/{name}: includes {target}, which is not under src/")
    for pattern, place in CONFINED.items():
        if (found := re.search(pattern, text)) and not re.fullmatch(place, name):
            problems.append(f"src/{name}: {found.group().strip()} belongs in src/{place} alone")
    if folder in BARRED and (found := re.search(BARRED[folder], text)):
        problems.append(f"src/{name}: {found.group().strip()} has no place in src/{folder}")
    return problems


def main() -> int:
    paths = [p for suffix in ("c", "h", "def", "cc") for p in (ROOT / "src").rglob(f"*.{suffix}")]
    problems = [problem for path in sorted(paths) for problem in check(path)]
    print(*problems, sep="\n", end="\n" if problems else "")
    print(f"includes: {len(paths)} files, {len(problems)} problems")
    return int(bool(problems) or not paths)


if __name__ == "__main__":
    sys.exit(main())
