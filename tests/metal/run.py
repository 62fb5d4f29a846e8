#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles the printed Metal source of kernels with clang, against the stub of Metal's library, and
compares what they do with the interpreter, bit for bit (a NaN is a NaN): threads in ascending and
in descending order, as many groups as chunks and fewer.

usage: run.py EMIT_METAL [EVERY]: the program that writes the kernels; of those without threads
loops, every n-th. Ends with 77, a skip, where there is no clang, except in CI.
"""

from __future__ import annotations

import ctypes
import math
import os
import pathlib
import shlex
import struct
import subprocess
import sys
import tempfile

import metal

SKIPPED = 77
BYTES = {"i8": 1, "i16": 2, "i32": 4, "i64": 8, "f32": 4}


def read_runs(folder: pathlib.Path):
    data = (folder / "data").read_bytes()
    for line in (folder / "runs").read_text().splitlines():
        kernel, threads, chunks, name, *rest = shlex.split(line)
        buffers = []
        for kind, n, before, after in zip(*(rest[i::4] for i in range(4))):
            size = int(n) * BYTES[kind]
            before, after = (data[int(at) : int(at) + size] for at in (before, after))
            buffers.append((kind, before, after))
        yield kernel, int(threads), int(chunks), name, buffers


def find_difference(kind: str, want: bytes, have: bytes) -> str:
    """The first element that differs; empty: none does."""
    if want == have:
        return ""
    size = BYTES[kind]
    for i in range(0, len(want), size):
        a, b = want[i : i + size], have[i : i + size]
        if kind == "f32" and all(math.isnan(struct.unpack("f", x)[0]) for x in (a, b)):
            continue
        if a != b:
            return f"[{i // size}] is {b[::-1].hex()}, not {a[::-1].hex()}"
    return ""


def run_once(library, run, groups: int, reverse: bool) -> str:
    kernel, threads, _, name, buffers = run
    memory = [ctypes.create_string_buffer(before, max(len(before), 1)) for _, before, _ in buffers]
    addresses = [ctypes.addressof(m) for m in memory]
    try:
        library.run(kernel, addresses, (groups * threads,), (threads,), reverse)
    except RuntimeError as error:
        return str(error)
    for i, ((kind, _, want), have) in enumerate(zip(buffers, memory)):
        if difference := find_difference(kind, want, have.raw[: len(want)]):
            return f"{kernel} ({name}), {groups} groups, reverse {reverse}: buffer {i}{difference}"
    return ""


def main() -> int:
    emit, every = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "1"
    if not metal.is_usable():
        print("no clang 14 or later")
        return 1 if os.environ.get("CI") else SKIPPED
    with tempfile.TemporaryDirectory(prefix="metal-") as name:
        folder = pathlib.Path(name)
        subprocess.run([emit, folder, every], check=True)
        library = metal.Library((folder / "kernels.metal").read_text())
        runs = list(read_runs(folder))
    problems = []
    for run in runs:
        for groups, reverse in ((run[2], False), ((run[2] + 1) // 2, True)):
            if problem := run_once(library, run, max(groups, 1), reverse):
                problems.append(problem)
    print("\n".join(problems[:20]))
    print(f"{len(library.kernels)} kernels, {len(runs)} runs, {len(problems)} problems")
    return 1 if problems or len(library.kernels) < 50 else 0


if __name__ == "__main__":
    sys.exit(main())
