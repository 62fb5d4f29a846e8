#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs printed Metal kernels on the CPU: run_printed.py EMIT_PRINTED [EVERY].

EMIT_PRINTED is the program made of tests/gpu/emit_printed.c. Each kernel is compiled against the
stub of Metal's library, runs in as many groups as it has chunks and in two, with its threads in
ascending and in descending order, and must give the interpreter's bits.
"""

from __future__ import annotations

import pathlib
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import metal

# as jm_ktype counts them: i1, i8, i16, i32, i64, f32
TYPES = ["u1", "u1", "u2", "u4", "u8", "f4"]


def read_plan(path: pathlib.Path):
    data, at = path.read_bytes(), 0

    def number():
        nonlocal at
        at += 8
        return struct.unpack_from("<q", data, at - 8)[0]

    def array(kind, size):
        nonlocal at
        at += size
        return np.frombuffer(data[at - size : at], kind)

    while at < len(data):
        case = {"number": number(), "chunks": number(), "threads": number()}
        number()  # no function of the library is called
        case["before"], case["want"] = [], []
        for _ in range(number()):
            kind, size = TYPES[number()], number()
            case["before"].append(array(kind, size))
            case["want"].append(array(kind, size))
        yield case


def is_nan(x: np.ndarray) -> np.ndarray:
    """Words of 16 bits may be f16 or bf16."""
    if x.dtype.kind == "f":
        return np.isnan(x)
    if x.dtype != np.uint16:
        return np.zeros(x.shape, bool)
    half = ((x & 0x7C00) == 0x7C00) & ((x & 0x3FF) != 0)
    return half | (((x & 0x7F80) == 0x7F80) & ((x & 0x7F) != 0))


def check(folder: pathlib.Path, case: dict) -> str:
    """What is wrong with a kernel, "": nothing."""
    name = f"k{case['number']}"
    try:
        kernel = metal.Kernel((folder / f"{name}.metal").read_text())
    except metal.Refused as refused:
        return f"{name} is refused: {refused}"
    for groups in {max(case["chunks"], 1), min(max(case["chunks"], 1), 2)}:
        for reverse in (False, True):
            buffers = [np.concatenate([b, b[:1]]) for b in case["before"]]  # none is empty
            buffers = [b if b.size else np.zeros(1, b.dtype) for b in buffers]
            try:
                kernel.run(buffers, (groups * case["threads"],), (case["threads"],), reverse)
            except RuntimeError as error:
                return f"{name}, {groups} groups: {error}"
            for i, (have, want) in enumerate(zip(buffers, case["want"])):
                have = have[: want.size]
                bits = f"u{want.dtype.itemsize}"
                same = (have.view(bits) == want.view(bits)) | (is_nan(have) & is_nan(want))
                if not same.all():
                    at = int(np.argmin(same))
                    return f"{name}, buffer {i} [{at}]: {have[at]!r}, not {want[at]!r}"
    return ""


def main() -> int:
    every = sys.argv[2] if len(sys.argv) > 2 else "1"
    if metal.CLANG is None:
        print("clang is missing")
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        subprocess.run([sys.argv[1], folder, "metal", every], check=True)
        with ThreadPoolExecutor(2) as pool:
            cases = list(read_plan(folder / "plan.bin"))
            wrong = [w for w in pool.map(lambda case: check(folder, case), cases) if w]
    for what in wrong:
        print(what)
    print(f"{len(cases)} kernels in Metal, {len(wrong)} wrong")
    return bool(wrong) or not cases


if __name__ == "__main__":
    sys.exit(main())
