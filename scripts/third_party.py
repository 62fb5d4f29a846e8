#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of other projects on mps, and on cpu those that do not pass there.

    scripts/third_party.py                     the files of the table below, of every project
    scripts/third_party.py optax               of one project
    scripts/third_party.py optax --all         all of its test files
    scripts/third_party.py optax -k sgd        pytest's -k

The tests come from the source archive that pip downloads; it is kept, unpacked, in the user's cache.
What passes on cpu and not on mps is an error, unless EXPECTED says why. So is a row of EXPECTED whose
test passes. This file is also the pytest plugin that records the outcomes (`-p third_party`).
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import time


@dataclasses.dataclass(frozen=True)
class Suite:
    """A project. `files` are a few minutes' worth of its tests, those that compute most."""

    name: str
    version: str
    tests: str  # the folder that holds its test files
    files: tuple[str, ...]
    # Need the network, other frameworks, or more than one device.
    excluded: tuple[str, ...] = ()


SUITES = (
    Suite(
        "optax",
        "0.2.8",
        "optax",
        (
            "optax/_src/base_test.py",
            "optax/_src/combine_test.py",
            "optax/_src/factorized_test.py",
            "optax/_src/linear_algebra_test.py",
            "optax/_src/lookahead_test.py",
            "optax/_src/numerics_test.py",
            "optax/_src/transform_test.py",
            "optax/_src/update_test.py",
            "optax/_src/utils_test.py",
            "optax/contrib/_sam_test.py",
            "optax/losses/_ranking_test.py",
            "optax/losses/_regression_test.py",
            "optax/losses/_self_supervised_test.py",
            "optax/losses/_smoothing_test.py",
            "optax/schedules/_inject_test.py",
            "optax/schedules/_join_test.py",
            "optax/schedules/_schedule_test.py",
            "optax/transforms/_adding_test.py",
            "optax/transforms/_combining_test.py",
            "optax/transforms/_constraining_test.py",
            "optax/tree_utils/_random_test.py",
            "optax/tree_utils/_state_utils_test.py",
            "optax/tree_utils/_tree_math_test.py",
        ),
    ),
    Suite(
        "dm-haiku",
        "0.0.17",
        "haiku",
        (
            "haiku/_src/attention_test.py",
            "haiku/_src/basic_test.py",
            "haiku/_src/batch_norm_test.py",
            "haiku/_src/bias_test.py",
            "haiku/_src/embed_test.py",
            "haiku/_src/group_norm_test.py",
            "haiku/_src/initializers_test.py",
            "haiku/_src/moving_averages_test.py",
            "haiku/_src/nets/mlp_test.py",
            "haiku/_src/random_test.py",
        ),
        excluded=("haiku/_src/flax", "haiku/_src/integration"),
    ),
)

# What passes on cpu and fails on mps, with the reason: {(project, test): reason}.
EXPECTED: dict[tuple[str, str], str] = {}


# ---- the pytest plugin ---------------------------------------------------------------------------


class Recorder:
    """A line per event, written at once: a process that dies loses nothing."""

    def __init__(self, path: str) -> None:
        self.file = open(path, "a", encoding="utf-8", buffering=1)
        self.worst: dict[str, tuple[int, str]] = {}

    def pytest_collection_finish(self, session) -> None:
        for item in session.items:
            self.file.write(f"{item.nodeid}\tcrash\n")

    def pytest_collectreport(self, report) -> None:
        if report.failed:
            self.file.write(f"{report.nodeid}\tfail\tcollection\n")

    def pytest_runtest_logreport(self, report) -> None:
        rank = 2 if report.failed else 1 if report.skipped else 0
        crash = getattr(report.longrepr, "reprcrash", None)
        why = crash.message if crash else str(report.longrepr) if report.failed else ""
        if report.nodeid not in self.worst or rank > self.worst[report.nodeid][0]:
            self.worst[report.nodeid] = (rank, re.sub(r"\s+", " ", why)[:300])

    def pytest_runtest_logfinish(self, nodeid, location) -> None:
        rank, why = self.worst.pop(nodeid, (2, "no report"))
        self.file.write(f"{nodeid}\t{('pass', 'skip', 'fail')[rank]}\t{why}\n")


def pytest_configure(config) -> None:
    if path := os.environ.get("JM_RECORD"):
        config.pluginmanager.register(Recorder(path))


# ---- the driver ----------------------------------------------------------------------------------


def fetch(suite: Suite, cache: pathlib.Path) -> pathlib.Path:
    """The unpacked source archive."""
    folder = cache / f"{suite.name}-{suite.version}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    print(f"fetching {folder.name} into {cache}", flush=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", suite.name, "--dest", str(cache), f"{suite.name}=={suite.version}"]
    subprocess.run(command, check=True)
    (archive,) = cache.glob(f"{suite.name.replace('-', '[-_]')}-{suite.version}.tar.gz")
    with tarfile.open(archive) as tar:
        inside = tar.getnames()[0].split("/")[0]
    shutil.unpack_archive(archive, cache / "unpacked")
    (cache / "unpacked" / inside).rename(folder)
    return folder


def read_record(path: pathlib.Path) -> dict[str, tuple[str, str]]:
    results = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, outcome, *why = line.split("\t")
        results[name] = (outcome, why[0] if why else "")
    return results


def run(
    suite: Suite, platform: str, folder: pathlib.Path, args, names: list[str] | None = None
) -> dict[str, tuple[str, str]]:
    """Outcomes by test; names: of these alone."""
    chosen = names or ([suite.tests] if args.all else list(suite.files))
    excluded = [f"--ignore={name}" for name in suite.excluded]
    record = args.output / f"{suite.name}-{platform}.record"
    record.write_text("", encoding="utf-8")
    environment = dict(os.environ)
    environment["JAX_PLATFORMS"] = platform
    environment["JM_RECORD"] = str(record)
    here = str(pathlib.Path(__file__).resolve().parent)
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [here, str(folder), environment.get("PYTHONPATH")])
    )
    command = [sys.executable, "-m", "pytest", "-p", "third_party", "-p", "no:cacheprovider"]
    command += ["-q", "--tb=short", "--durations=15", "-o", "python_files=*_test.py"]
    command += ["--continue-on-collection-errors", *excluded]
    command += ["-k", args.k] if args.k else []
    began = time.monotonic()
    with open(args.output / f"{suite.name}-{platform}.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [*command, *chosen],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = ending = os.waitstatus_to_exitcode(status)
    results = read_record(record)
    counts = collections.Counter(outcome for outcome, _ in results.values())
    text = ", ".join(f"{n} {outcome}" for outcome, n in sorted(counts.items())) or "no test"
    end = "" if ending in (0, 1) else f" (pytest ended with {ending})"
    seconds = f"{time.monotonic() - began:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of CPU time"
    print(f"{suite.name} on {platform}: {text}; {seconds}{end}", flush=True)
    return results


def try_suite(suite: Suite, folder: pathlib.Path, args) -> tuple[dict, dict]:
    """Outcomes on mps, and on cpu of the tests that don't pass there: the others need no judge."""
    mps = run(suite, "mps", folder, args)
    others = [name for name, (outcome, _) in mps.items() if outcome != "pass"]
    return mps, run(suite, "cpu", folder, args, others) if others else {}


def compare(suite: Suite, mps: dict, cpu: dict, partial: bool) -> bool:
    """Whether mps did all that cpu did."""
    good = True
    passed = {name for name, (outcome, _) in mps.items() if outcome == "pass"}
    lost = {name for name, (outcome, _) in cpu.items() if outcome == "pass"}
    listed = {name for project, name in EXPECTED if project == suite.name}
    for name in sorted(lost):
        reason = EXPECTED.get((suite.name, name))
        why = mps.get(name, ("not run", ""))
        print(f"  {'listed' if reason else 'FAILED'}: {name}: {reason or ' '.join(why)}")
        good &= reason is not None
    for name in sorted(listed - lost):
        if name in passed or not partial:
            print(f"  PASSES, though EXPECTED lists it: {name}")
            good = False
    print(f"{suite.name}: {len(passed)} of the {len(passed) + len(lost)} that pass on cpu or mps")
    return good and bool(passed)


def main() -> int:
    home = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("projects", nargs="*", help=", ".join(s.name for s in SUITES))
    parser.add_argument("--all", action="store_true", help="every test file")
    parser.add_argument("-k", help="pytest's -k")
    parser.add_argument("-j", "--jobs", type=int, default=2)
    parser.add_argument("--cache", type=pathlib.Path, default=home / "jax-mps-c" / "third_party")
    parser.add_argument("--output", type=pathlib.Path, default=root / "build" / "third_party")
    args = parser.parse_args()
    if unknown := set(args.projects) - {s.name for s in SUITES}:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}")
    args.output = args.output.resolve()
    args.output.mkdir(parents=True, exist_ok=True)
    suites = [s for s in SUITES if not args.projects or s.name in args.projects]
    folders = [fetch(s, args.cache.resolve()) for s in suites]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        futures = [
            pool.submit(try_suite, suite, folder, args) for suite, folder in zip(suites, folders)
        ]
    partial = bool(args.k) or not args.all
    good = True
    for suite, outcomes in zip(suites, futures):
        good &= compare(suite, *outcomes.result(), partial)
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
