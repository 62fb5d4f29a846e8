#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs JAX's own test files on this plugin and keeps one outcome per test.

    scripts/run_jax_tests.py                             every file, tests of the installed jax
    scripts/run_jax_tests.py lax_test api_test -j 2      two files, two processes
    scripts/run_jax_tests.py --every 10 lax_test         a sample: every 10th test of a file
    scripts/run_jax_tests.py --jax-source DIR --baseline cpu.tsv --output build/jax lax_test

Each file runs in a process of its own (a large one in several, a part each). A process that dies or
hangs costs only the test it was in, which counts as `crash`; a new process goes on behind it. If a
file dies too often, or before it could list its tests, all the tests left in it count as crashed.
Nothing is retried, and no failure becomes a skip.

Results: OUTPUT/results.tsv, lines `tests.module.Class::test <TAB> pass|fail|skip|crash <TAB> why`,
rewritten for the files that ran; OUTPUT/MODULE.log, what they printed. This file is also the pytest
plugin that records the outcomes (`-p run_jax_tests`), so that it stands alone.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUTCOMES = ("pass", "fail", "skip", "crash")
# Not for a one-device plugin, or needing hardware or services that no CPU run has either.
EXCLUDED = re.compile(r"^(pallas|mosaic|multiprocess|.*mosaic.*|.*multiprocess.*|distributed_.*)")

# Tests that ask for something else than what JAX does on a platform, and why they fail on this one.
# They are run and counted as failures like any other; failing alone they are no reason for the exit
# status 1.
GATES = {
    r"LaxControlFlowTest::test_platform_dependent": "wants the function for the platform `cpu`",
    r"JitTest::test_mismatched_nested_backends": "asks for a backend by the name in JAX_TEST_DUT",
    r"DLPackTest::testJaxArrayRoundTrip": "asks for a device of the platform `gpu`",
    r"DLPackTest::testNumpyToJax": "wants copy=False refused on a platform that is not `cpu`",
    r"DeviceTest::test_(repr|str)": "wants the names of a device of the platform `cpu`",
    r"MultiBackendTest::testMultiBackend(1|NestedJit1)$": "wants the platform `cpu`",
    r"JaxExportTest::test_default_export_platform": "wants the platform `cpu`",
    r"JaxExportTest::test_(multi_platform|ordered_effects_multi_platform)": "exports for platforms "
    "that it names, without this one",
    r"TransferGuardTest::test_disallow": "wants a transfer where NumPy reads the memory in place",
    r"CompilationCacheTest::test_dump_on_cache_hit": "wants the files of XLA's xla_dump_to",
    r"X64ContextTests::test_near_singular_inverse": "wants a subnormal number to be zero",
    r"CustomLinearSolveTest::test_custom_linear_solve_aux$": "wants second derivatives by "
    "differences in f32 to be better than their rounding",
    r"FfiTest::test_ffi_call": "wants lax's QR to round as jaxlib's LAPACK handler, which runs here",
    r"NumpyLinalgTest::testQrInvalidDtypeCPU": "wants f16 refused, which is computed through f32",
    r"ScipyLinalgTest::(testSchur[3579]|testSqrtmPSDMatrix5)$": "wants the rounding of SciPy's threads",
    r"AsyncCollectivesTest::": "wants the names of XLA's ops in the compiled program's text",
    r"test_inline_optimized_hlo": "wants the compiled program's text as XLA inlines it",
    r"::test_(sin_to_cos|clear_transform|simple_transform)": "registers a pass of XLA's for the platform",
    r"CompatTest::test_(cpu_|dynamic_approx_top_k|stablehlo_dynamic)": "asks for the platform `cpu`",
    r"CompatTest::test_custom_call_coverage": "wants each custom call in the list of JAX's own",
    r"CompilationCacheTest::test_jit_with_host_callback": "wants a program with a callback in the "
    "cache, where none is put here",
    r"ProfilerTest::test(CantStart|StartStopServer|SubprocessProfiling)": "wants portpicker, which was not installed",
    r"TestBFGS::test_fixes4594": "with a nearly singular matrix its line search ends by luck of rounding",
    r"::test(PsumConstant|Psum|ReduceScatter)ReplicaGroups": "asks for the platform `cpu`",
    r"test_jit_lower_cost_analysis": "wants a cost before compilation, which the C API can't give",
    r"LaxBackedNumpyTests::testViewScalar1": "wants the byte of a bool that is neither 0 nor 1",
    r"testSuccessOnComplexPlane_": "wants XLA's value for a complex infinity; NumPy's comes",
}


# ---- the pytest plugin: what happens inside a test process ----------------------------------------


def test_id(nodeid: str) -> str:
    """`tests/lax_test.py::LaxTest::test_x` becomes `tests.lax_test.LaxTest::test_x`.

    What stands before `tests` is pytest's root, which it may find above JAX's."""
    path, _, names = nodeid.partition("::")
    module = f"tests.{pathlib.PurePosixPath(path).stem}"
    scope, _, name = names.rpartition("::")
    name = re.sub(r"\s+", " ", name)
    return f"{module}.{scope.replace('::', '.')}::{name}" if scope else f"{module}::{name}"


class Recorder:
    """Appends one line per event, at once, so that a dying process loses nothing."""

    def __init__(self, path: str, part: str, every: int, done_path: str) -> None:
        self.file = open(path, "a", encoding="utf-8", buffering=1)
        self.every = every
        self.part, self.parts = (int(n) for n in part.split("/"))
        self.done = set(pathlib.Path(done_path).read_text(encoding="utf-8").splitlines())
        self.worst: dict[str, tuple[int, str]] = {}

    def write(self, *fields: str) -> None:
        self.file.write("\t".join(fields) + "\n")

    def pytest_collection_modifyitems(self, config, items) -> None:
        mine = [i for n, i in enumerate(items[:: self.every]) if n % self.parts == self.part]
        keep = [i for i in mine if test_id(i.nodeid) not in self.done]
        config.hook.pytest_deselected(items=[i for i in items if i not in set(keep)])
        items[:] = keep

    def pytest_collection_finish(self, session) -> None:
        from absl import flags
        from jax._src import config, test_util

        assert test_util._TEST_DUT is not None
        config.update("jax_test_dut", os.environ["JAX_TEST_DUT"])  # for files that parse no flags
        if not flags.FLAGS.is_parsed():  # absl's temporary folders are flags, too
            flags.FLAGS(sys.argv[:1], known_only=True)
        for item in session.items:
            self.write("collect", test_id(item.nodeid))
        self.write("collected")

    def pytest_runtest_logstart(self, nodeid, location) -> None:
        self.write("start", test_id(nodeid))

    def pytest_runtest_logreport(self, report) -> None:
        rank = 3 if report.failed else 2 if report.skipped else 1
        why = ""
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            why = crash.message if crash else str(report.longrepr)
        elif report.skipped and isinstance(report.longrepr, tuple):
            why = report.longrepr[2]
        if hasattr(report, "context") and rank == 2:
            return  # a skipped part of a test (unittest's subTest) does not make it a skip
        if rank > self.worst.get(report.nodeid, (0, ""))[0]:
            self.worst[report.nodeid] = (rank, re.sub(r"\s+", " ", why)[:300])

    def pytest_runtest_logfinish(self, nodeid, location) -> None:
        rank, why = self.worst.pop(nodeid, (3, "no report"))
        self.write("end", test_id(nodeid), ("", "pass", "skip", "fail")[rank], why)


def pytest_configure(config) -> None:
    path = os.environ.get("JM_RECORD")
    if path:
        # JAX reads this flag from its command line alone, which the test files parse; which tests
        # they have may depend on it.
        sys.argv.append(f"--jax_test_dut={os.environ['JAX_TEST_DUT']}")
        config.pluginmanager.register(
            Recorder(
                path,
                os.environ["JM_RECORD_PART"],
                int(os.environ["JM_RECORD_EVERY"]),
                os.environ["JM_RECORD_DONE"],
            )
        )


# ---- the driver ----------------------------------------------------------------------------------


@dataclasses.dataclass
class Part:
    """One process's share of one file: the tests whose number is `index` modulo `count`."""

    module: str
    index: int
    count: int
    results: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0


@dataclasses.dataclass
class Record:
    """What a process wrote before it ended."""

    listed: bool = False
    collected: list[str] = dataclasses.field(default_factory=list)
    ended: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    running: str | None = None


def read_record(path: pathlib.Path) -> Record:
    record = Record()
    for line in path.read_text(encoding="utf-8").splitlines():
        event, *fields = line.split("\t")
        if event == "collect":
            record.collected.append(fields[0])
        elif event == "collected":
            record.listed = True
        elif event == "start":
            record.running = fields[0]
        elif event == "end" and len(fields) == 3:
            record.ended[fields[0]] = (fields[1], fields[2])
            record.running = None
    return record


def wait_watched(process: subprocess.Popen, record: pathlib.Path, limit: float) -> str:
    """Waits for the end. Kills a process that recorded nothing new for `limit` seconds."""
    size, since = -1, time.monotonic()
    while True:
        try:
            code = process.wait(timeout=1.0)
            return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        except subprocess.TimeoutExpired:
            pass
        now = record.stat().st_size
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > limit:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"no progress for {limit:.0f} s"


def run_part(
    part: Part, args: argparse.Namespace, source: pathlib.Path, expected: list[str]
) -> Part:
    """Runs a part to its end, starting again behind each test that killed the process."""
    stem = f"{part.module}.{part.index}"
    record_path, done_path = args.output / f"{stem}.record", args.output / f"{stem}.done"
    environment = dict(os.environ)
    environment.setdefault("JAX_PLATFORMS", "mps,cpu")
    environment.setdefault("JAX_TEST_DUT", "cpu")
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(ROOT / "scripts"), str(source), environment.get("PYTHONPATH")])
    )
    environment |= {
        "JM_RECORD": str(record_path),
        "JM_RECORD_PART": f"{part.index}/{part.count}",
        "JM_RECORD_EVERY": str(args.every),
        "JM_RECORD_DONE": str(done_path),
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "run_jax_tests",
        "-p",
        "no:cacheprovider",
        "-q",
    ]
    command += ["-p", "no:faulthandler", "--tb=short", "-rN", f"tests/{part.module}.py"]
    command += ["-k", args.k] if args.k else []
    command += args.pytest_args
    began = time.monotonic()
    for attempt in range(args.max_crashes + 1):
        record_path.write_text("", encoding="utf-8")
        done_path.write_text("\n".join(part.results), encoding="utf-8")
        with open(args.output / f"{stem}.log", "a" if attempt else "w", encoding="utf-8") as log:
            process = subprocess.Popen(
                command,
                cwd=source,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
            ending = wait_watched(process, record_path, args.timeout)
        record = read_record(record_path)
        part.results |= record.ended
        if record.running is not None:
            part.results[record.running] = ("crash", ending)
        left = [t for t in record.collected if t not in part.results]
        if record.listed and record.running is None:
            # The process died between tests or at its end; only what it left open is a crash.
            part.results |= {t: ("crash", ending) for t in left}
            break
        if not record.listed or attempt == args.max_crashes:
            if not left and part.index == 0 and not part.results:
                left = expected or [f"tests.{part.module}::collection"]
            part.results |= {t: ("crash", f"not reached: {ending}") for t in left}
            break
    record_path.unlink()
    done_path.unlink()
    part.seconds = time.monotonic() - began
    return part


# ---- results -------------------------------------------------------------------------------------


def read_results(path: pathlib.Path) -> dict[str, tuple[str, str]]:
    results = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            name, outcome, *why = line.split("\t")
            if name.count("]") > name.count("["):  # pytest's own, of a test with a parameter
                name = name.removesuffix("]")
            results[name] = (outcome, why[0] if why else "")
    return results


def module_of(name: str) -> str:
    return re.sub(r"^tests\.", "", name).split("::")[0].split(".")[0]


def report(
    results: dict[str, tuple[str, str]],
    baseline: dict[str, tuple[str, str]],
    modules: list[str],
    partial: bool,
) -> None:
    """One line per file; with a baseline, the share of what JAX on CPU passes."""
    head = f"{'file':44}" + "".join(f"{o:>7}" for o in OUTCOMES)
    print(head + (f"{'of CPU':>9}{'rate':>9}" if baseline else ""))
    sums: collections.Counter[str] = collections.Counter()
    for module in modules:
        mine = {n: r for n, r in results.items() if module_of(n) == module}
        counts = collections.Counter(outcome for outcome, _ in mine.values())
        line = f"{module:44}" + "".join(f"{counts[o]:7}" for o in OUTCOMES)
        sums.update(counts)
        if baseline:
            wanted = [n for n, (o, _) in baseline.items() if o == "pass" and module_of(n) == module]
            if partial:
                wanted = [n for n in wanted if n in mine]
            good = sum(mine.get(n, ("",))[0] == "pass" for n in wanted)
            sums["wanted"] += len(wanted)
            sums["good"] += good
            sums["left"] += sum(mine.get(n, ("",))[0] == "skip" for n in wanted)
            line += f"{len(wanted):9}{100 * good / max(len(wanted), 1):8.2f}%"
        print(line)
    line = f"{'all':44}" + "".join(f"{sums[o]:7}" for o in OUTCOMES)
    if baseline:
        line += f"{sums['wanted']:9}{100 * sums['good'] / max(sums['wanted'], 1):8.2f}%"
    print(line)
    if sums["left"]:
        tried = max(sums["wanted"] - sums["left"], 1)
        print(
            f"{sums['left']} of these were skipped here (JAX asks for other tests on another device); "
            f"of the rest {100 * sums['good'] / tried:.2f}% passed"
        )
    if partial:
        print("(a part of the tests: the rate is of those that ran)")


def gate_of(name: str) -> str | None:
    return next((why for pattern, why in GATES.items() if re.search(pattern, name)), None)


def report_failures(ran: dict[str, tuple[str, str]]) -> bool:
    """Prints each test that failed or crashed; whether there was one that is no gate."""
    bad = {n: r for n, r in sorted(ran.items()) if r[0] in ("fail", "crash")}
    for name, (outcome, why) in bad.items():
        gate = gate_of(name)
        print(f"{outcome}: {name}: {f'({gate})' if gate else why}")
    return any(not gate_of(name) for name in bad)


def fetch_source() -> pathlib.Path:
    """JAX's repository at the tag of the installed jax, in the user's cache."""
    import importlib.metadata

    tag = "jax-v" + importlib.metadata.version("jax")
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
    source = cache / "jax-mps-c" / tag
    if not (source / "tests").is_dir():
        print(f"fetching {tag} into {source}", flush=True)
        source.parent.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(
                [
                    "git",
                    "clone",
                    "--quiet",
                    "--depth=1",
                    "--branch",
                    tag,
                    "https://github.com/jax-ml/jax",
                    str(source),
                ],
                check=True,
            )
        except (OSError, subprocess.CalledProcessError):
            sys.exit(f"cannot fetch {tag}; offline, give a checkout of it with --jax-source DIR")
    # Its jax/ must not shadow the installed package: only what that lacks is taken from it.
    view = source / "view"
    if not view.exists():
        (view / "jax" / "_src").mkdir(parents=True)
        (view / "tests").symlink_to(source / "tests")
        for name in ("hypothesis_test_util.py",):
            (view / "jax" / "_src" / name).symlink_to(source / "jax" / "_src" / name)
    return view


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", help="lax_test, tests/lax_test.py, …; default: all")
    parser.add_argument("--jax-source", type=pathlib.Path, help="folder that has JAX's tests/")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "build" / "jax-tests")
    parser.add_argument("--baseline", type=pathlib.Path, help="outcomes on JAX CPU to compare with")
    parser.add_argument("-j", "-n", "--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("-k", help="pytest's -k: run only the tests whose name matches")
    parser.add_argument("--shard", default="1/1", help="i/n: the i-th of n parts of the whole run")
    parser.add_argument(
        "--every",
        type=int,
        default=1,
        help="n: only the first of every n tests of a file, a sample",
    )
    parser.add_argument(
        "--part-size",
        type=int,
        default=700,
        help="tests of one process, for files that the baseline lists",
    )
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for one test")
    parser.add_argument("--max-crashes", type=int, default=200, help="restarts for one process")
    parser.add_argument("--report", action="store_true", help="run nothing, print what is stored")
    parser.epilog = "What follows -- goes to pytest."
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args = parser.parse_args(sys.argv[1:cut])
    args.pytest_args = sys.argv[cut + 1 :]
    args.output = args.output.resolve()
    return args


def main() -> int:
    args = parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    stored = args.output / "results.tsv"
    results = read_results(stored)
    baseline = {}
    if args.baseline:
        baseline = read_results(args.baseline)
        if not baseline:
            sys.exit(f"no outcomes in {args.baseline}")
    modules = [pathlib.Path(f).stem for f in args.files]
    if args.report:
        report(
            results, baseline, modules or sorted({module_of(n) for n in results}), args.every > 1
        )
        return 0

    source = (args.jax_source or fetch_source()).resolve()
    found = sorted(p.stem for p in (source / "tests").glob("*_test.py"))
    if unknown := set(modules) - set(found):
        sys.exit(f"no such file in {source}/tests: {', '.join(sorted(unknown))}")
    modules = modules or [m for m in found if not EXCLUDED.match(m)]

    expected = collections.defaultdict(list)
    for name in baseline:
        expected[module_of(name)].append(name)
    parts = []
    for module in modules:
        size = args.part_size * args.every
        count = 1 if args.k else max(1, -(-len(expected[module]) // size))
        parts += [Part(module, index, count) for index in range(count)]
    index, shards = (int(n) for n in args.shard.split("/"))
    if not 1 <= index <= shards:
        sys.exit(f"--shard {args.shard}: want i/n with 1 <= i <= n")
    if args.every < 1:
        sys.exit(f"--every {args.every}: want 1 or more")
    parts = parts[index - 1 :: shards]
    partial = bool(args.k) or shards > 1 or args.every > 1

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        futures = [pool.submit(run_part, p, args, source, expected[p.module]) for p in parts]
        for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
            part = future.result()
            counts = collections.Counter(outcome for outcome, _ in part.results.values())
            text = ", ".join(f"{counts[o]} {o}" for o in OUTCOMES if counts[o]) or "no test"
            where = f" part {part.index + 1}/{part.count}" if part.count > 1 else ""
            print(
                f"[{done}/{len(parts)}] {part.module}{where}: {text}, {part.seconds:.0f} s",
                flush=True,
            )
            if not partial and part.index == 0:  # a whole file: forget what an older run had
                results = {
                    n: r
                    for n, r in results.items()
                    if module_of(n) != part.module or any(n in p.results for p in parts)
                }
            results |= part.results
            lines = ["\t".join(filter(None, (n, *r))) for n, r in sorted(results.items())]
            stored.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print(f"\n{time.monotonic() - began:.0f} s; outcomes in {stored}\n")
    report(results, baseline, modules, partial)
    ran = {n: r for p in parts for n, r in p.results.items()}
    return int(report_failures(ran) or not ran)


if __name__ == "__main__":
    sys.exit(main())
