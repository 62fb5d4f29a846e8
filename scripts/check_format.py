#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether clang-format would change a C file (`--fix` lets it). Tables in .def files are aligned by
hand. The version matters, so the Makefile takes it from PyPI."""

from __future__ import annotations

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main() -> int:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.c", "*.h", "*.cc"],
                            cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    files = [name for name in listed if (ROOT / name).exists()]
    if "--fix" in sys.argv[1:]:
        return subprocess.run(["clang-format", "-i", *files], cwd=ROOT).returncode
    done = subprocess.run(["clang-format", "--dry-run", "--Werror", *files], cwd=ROOT,
                          capture_output=True, text=True)
    wrong = sorted({line.split(":")[0] for line in done.stderr.splitlines() if "error:" in line})
    print(*(f"{name}: clang-format would change it (make format)" for name in wrong), sep="\n",
          end="\n" if wrong else "")
    print(f"format: {len(files)} files, {len(wrong)} problems")
    return int(bool(wrong) or done.returncode != 0 or not files)


if __name__ == "__main__":
    sys.exit(main())
