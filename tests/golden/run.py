#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden tests: input and expected text of jm-opt in one file.

    // run: --pass=dce
    module "input" { ... }
    // expect:
    module "output" { ... }

Files in kernel/ expect kernels, or their text in some language, in place of a module (--emit).
Files in bad/ expect a refusal: what follows `// expect:` is the text on standard error. Each
artifact is read, verified, optimised with verification after every pass, and its text must survive
being read back.

With --compare the tool is jm-run: every input of pass/ and every artifact runs as it is and
through the passes of its `run:` line (without --pass: the pipeline), and the results must have the
same bits (a line `// --tolerance=1e-5` allows more).

    run.py TOOL [--rebase | --artifacts | --compare] [FILE...]
"""

from __future__ import annotations

import argparse
import concurrent.futures
import difflib
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = "skipped"
FOLDERS = ["text", "pass", "kernel", "bad"]
EXPECT = "// expect:\n"


def run(tool: str, options: list[str], source: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [tool, *options],
        input=source.encode("utf-8", "surrogateescape"),
        capture_output=True,
        timeout=60,
        check=False,
    )
    return (
        done.returncode,
        done.stdout.decode("utf-8", "surrogateescape"),
        done.stderr.decode("utf-8", "surrogateescape"),
    )


def golden(tool: str, path: pathlib.Path, rebase: bool) -> str:
    """Returns what is wrong with this file, empty if nothing."""
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    first = text.split("\n", 1)[0]
    if not first.startswith("// run:"):
        return "the first line must be // run: OPTIONS"
    source, marker, expected = text.partition(EXPECT)
    if not marker and not rebase:
        return "no // expect:"
    bad = path.parent.name == "bad"
    status, out, err = run(tool, first[len("// run:") :].split(), source)
    if status not in (0, 1):
        return f"jm-opt ended with status {status}\n{err}"
    if bad != (status == 1):
        return "was not refused" if bad else f"was refused: {err}"
    actual = err if bad else out
    if rebase:
        fresh = source + EXPECT + actual
        path.write_bytes(fresh.encode("utf-8", "surrogateescape"))
        return ""
    return "".join(
        difflib.unified_diff(
            expected.splitlines(True), actual.splitlines(True), "expected", "actual"
        )
    )


def artifact(tool: str, path: pathlib.Path) -> str:
    status, _, err = run(tool, ["--verify-each", str(path)], "")
    if status:
        return f"status {status}: {err}"
    for options in (["--no-passes", "--locations"], ["--locations"]):
        status, printed, err = run(tool, [*options, str(path)], "")
        if status:
            return f"status {status}: {err}"
        status, again, err = run(tool, ["--no-passes", "--locations"], printed)
        if status:
            return f"the text is not read back: {err}"
        if again != printed:
            return "the text read back prints otherwise"
    return ""


def compare(tool: str, path: pathlib.Path) -> str:
    """Unknown custom calls and several participants can't run: those programs count as skipped."""
    if path.suffix == ".ir":
        text = path.read_bytes().decode("utf-8", "surrogateescape").partition(EXPECT)[0]
        tolerance = re.search(r"^// (--tolerance=\S+)$", text, re.MULTILINE)
        passes = re.search(r"^// run:.* (--pass=\S+)$", text, re.MULTILINE)
        found = [option.group(1) for option in (tolerance, passes) if option]
        options = ["--compare", *found]
        status, _, err = run(tool, [*options, "-"], text)
    else:
        status, _, err = run(tool, ["--compare", str(path)], "")
    if status == 1 and "jm-run: UNIMPLEMENTED" in err:
        return SKIPPED
    return f"status {status}: {err}" if status else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tool")
    parser.add_argument("--rebase", action="store_true", help="write what jm-opt prints now")
    parser.add_argument("--artifacts", action="store_true", help="the artifacts instead")
    parser.add_argument("--compare", action="store_true", help="run them, optimised or not")
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    args = parser.parse_args()
    if args.artifacts:
        files = args.files or sorted((HERE / "artifacts").glob("*.mlirbc"))
        check = lambda path: artifact(args.tool, path)  # noqa: E731
    elif args.compare:
        files = args.files or sorted([*HERE.glob("pass/*.ir"), *HERE.glob("artifacts/*.mlirbc")])
        check = lambda path: compare(args.tool, path)  # noqa: E731
    else:
        files = args.files or sorted(
            path for folder in FOLDERS for path in (HERE / folder).glob("*.ir")
        )
        check = lambda path: golden(args.tool, path, args.rebase)  # noqa: E731
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(check, files))
    skipped = results.count(SKIPPED)
    failed = sum(map(bool, results)) - skipped
    for path, wrong in zip(files, results):
        if wrong and wrong != SKIPPED:
            print(f"{path}: {wrong}")
    print(f"{len(files)} files, {skipped} skipped, {failed} failed")
    return 1 if failed or skipped * 2 >= len(files) else 0


if __name__ == "__main__":
    sys.exit(main())
