#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether clang-format or ruff would change a file; `--fix` lets them.

Their versions matter, so the Makefile takes them from PyPI. Tables (.def files, selftest/cases.py)
are aligned by hand.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
C, PYTHON = ("*.c", "*.h", "*.cc"), ("*.py",)
# patterns -> commands that check, commands that repair
TOOLS = (
    (C, (("clang-format", "--dry-run", "--Werror"),), (("clang-format", "-i"),)),
    (
        PYTHON,
        (
            ("ruff", "format", "--quiet", "--diff", "--force-exclude"),
            ("ruff", "check", "--quiet", "--force-exclude"),
        ),
        (
            ("ruff", "format", "--quiet", "--force-exclude"),
            ("ruff", "check", "--quiet", "--force-exclude", "--fix"),
        ),
    ),
)


def main() -> int:
    failed = 0
    for patterns, checks, repairs in TOOLS:
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", *patterns],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        files = [name for name in listed if (ROOT / name).exists()]
        for command in repairs if "--fix" in sys.argv[1:] else checks:
            done = subprocess.run([*command, *files], cwd=ROOT)
            failed += bool(done.returncode)
    print("format: " + ("some files would change: make format" if failed else "as it should be"))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
