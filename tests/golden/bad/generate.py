# SPDX-License-Identifier: Apache-2.0
"""Writes one malformed or refused program per error text, and expected.tsv: file, code, text."""

import pathlib
import sys

sys.setrecursionlimit(10000)  # deep programs are written by recursion

import container_cases  # noqa: E402, F401
import program_cases  # noqa: E402, F401
from cases import CASES  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


def main():
    for old in HERE.glob("*.mlirbc"):
        old.unlink()
    lines = []
    for name, code, text, data in CASES:
        (HERE / f"{name}.mlirbc").write_bytes(data)
        lines.append(f"{name}.mlirbc\t{code}\t{text}\n")
    (HERE / "expected.tsv").write_text("".join(lines))
    print(len(CASES), "cases")


if __name__ == "__main__":
    main()
