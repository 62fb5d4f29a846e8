#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs by chance on this plugin and on JAX's CPU backend.

    scripts/fuzz_programs.py                        300 programs, seeded by the commit
    scripts/fuzz_programs.py --seed 7 --count 5000  programs 7000000 to 7004999
    scripts/fuzz_programs.py --finite               without complex numbers and special values
    scripts/fuzz_programs.py --only 7000123         one program, printed
    scripts/fuzz_programs.py --file FILE            one that was stored by a failed run

Each program runs on the CPU and on mps: jitted, op by op, without LLVM, and with one thread. Results
that differ from the CPU's by more than rounding are judged by a run in float64 (chance/judge.py);
those of one thread must be equal bit for bit. A failing program is reduced, printed, and stored in
--output. Exit status 1: a difference, an error that only mps has, or a crash.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import itertools
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import time
import warnings
from typing import Any, BinaryIO

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

# What a worker's programs run with. The first one is judged, the others are compared with it.
SETTINGS = {
    "mps": {"JAX_MPS_NUM_THREADS": "2"},
    "no LLVM": {"JAX_MPS_LLVM": "none"},
    "one thread": {"JAX_MPS_NUM_THREADS": "1"},
}
LIMIT = 120.0  # seconds for one program
SPACING = 1_000_000  # between the programs of two seeds
FORGET_EVERY = 100  # programs, after which a process drops what JAX keeps of them


# ---- a worker: a process that runs programs ------------------------------------------------------


def send(file: BinaryIO, thing: Any) -> None:
    data = pickle.dumps(thing)
    file.write(struct.pack("<q", len(data)) + data)
    file.flush()


def receive(file: BinaryIO) -> Any:
    head = file.read(8)
    return pickle.loads(file.read(struct.unpack("<q", head)[0])) if len(head) == 8 else None


def run_program(program: Any, way: str) -> Any:
    """The results as numpy arrays, or the error's text. way: jit, eager, or stepwise, which is eager with
    the bodies of loops and branches, too."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from chance import generate
    from chance import program as chance

    with generate.precision(program.x64):
        f = chance.function_of(program)
        arguments = [jnp.asarray(a) for a in chance.arrays_of(program)]
        try:
            if way == "jit":
                f = jax.jit(f, donate_argnums=chance.donated(program))
            with jax.disable_jit(way == "stepwise"):
                return [np.asarray(x) for x in f(*arguments)]
        except Exception as error:  # noqa: BLE001 - an error is a result, which is compared
            return f"{type(error).__name__}: {error}"


def work() -> None:
    """Reads programs from standard input and writes their results."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whoever prints must not write between them
    for n in itertools.count(1):
        if (task := receive(sys.stdin.buffer)) is None:
            return
        program, ways = task
        send(answers, {way: run_program(program, way) for way in ways})
        forget(n)


def forget(n: int) -> None:
    """After every so many programs: thousands of compiled ones are gigabytes."""
    if n % FORGET_EVERY == 0:
        import jax

        jax.clear_caches()


class Worker:
    """A worker's other end. It is started again when it died."""

    def __init__(self, platform: str, setting: dict[str, str]) -> None:
        self.environment = os.environ | {"JAX_PLATFORMS": platform} | setting
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, program: Any, ways: tuple[str, ...]) -> None:
        if self.process is None:
            command = [sys.executable, __file__, "--worker"]
            self.process = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        assert self.process.stdin
        try:
            send(self.process.stdin, (program, ways))
        except BrokenPipeError:
            pass  # answer() says so

    def answer(self) -> dict[str, Any] | str:
        """What run_program gave, or how the process ended."""
        process, self_ended = self.process, None
        assert process and process.stdout
        import select

        ready, _, _ = select.select([process.stdout], [], [], LIMIT)
        if ready and (got := receive(process.stdout)) is not None:
            return got
        if not ready:
            process.kill()
            self_ended = f"no answer for {LIMIT:.0f} s"
        code = process.wait()
        self.process = None
        return self_ended or f"the process ended with {code}"

    def close(self) -> None:
        if self.process:
            assert self.process.stdin
            self.process.stdin.close()
            self.process.wait()


# ---- judging -------------------------------------------------------------------------------------


@dataclasses.dataclass
class Fuzzer:
    eager_every: int
    workers: dict[str, Worker] = dataclasses.field(default_factory=dict)
    run: int = 0
    theirs: int = 0  # programs that XLA compiled to something else, or died of

    def __post_init__(self) -> None:
        self.workers["cpu"] = Worker("cpu", {})  # it may die, too
        for name, setting in SETTINGS.items():
            self.workers[name] = Worker("mps", setting)

    def run_on_cpu(self, program: Any, way: str) -> Any:
        self.workers["cpu"].ask(program, (way,))
        return self.answer_of_cpu(way)

    def answer_of_cpu(self, way: str) -> Any:
        answer = self.workers["cpu"].answer()
        if isinstance(answer, str):
            self.theirs += 1
            return answer
        return answer[way]

    def check(self, program: Any, kinds: set[str] | None = None) -> list[Any]:
        """The program's differences; of these kinds alone, if they are given."""
        from chance.judge import Difference, compare

        self.run += 1
        eager = "eager" in kinds if kinds else self.run % self.eager_every == 0
        asked = [
            n for n in SETTINGS if n == "mps" or kinds is None or kinds & {n, "crash", "error"}
        ]
        for name in asked:
            ways = ("jit", "eager") if name == "mps" and eager else ("jit",)
            self.workers[name].ask(program, ways)
        self.workers["cpu"].ask(program, ("jit",))
        theirs = self.answer_of_cpu("jit")
        results: dict[str, Any] = {}
        found = []
        for name in asked:
            answer = self.workers[name].answer()
            if isinstance(answer, str):
                found.append(Difference("crash", f"{name}: {answer}"))
                continue
            for way, result in answer.items():
                results["eager" if way == "eager" else name] = result
        for name, result in list(results.items()):
            fails = isinstance(result, str) and not isinstance(theirs, str)
            if fails and name == "eager":  # does the CPU, too?
                fails = not isinstance(self.run_on_cpu(program, "eager"), str)
            if fails:
                found.append(Difference("error", f"{name}: {result:.600}"))
            if isinstance(result, str):
                del results[name]
        ours = results.pop("mps", None)
        if ours is None:
            return found
        if not isinstance(theirs, str):
            differences = compare(program, ours, theirs, "cpu", "value")
            if differences and self.is_theirs(program, ours):
                self.theirs += 1
                differences = []
            found += differences
        for name, result in results.items():
            if name == "one thread":
                found += equal_bits(name, ours, result)
            else:
                found += compare(program, result, ours, "jit", name)
        return [d for d in found if kinds is None or d.kind in kinds]

    def is_theirs(self, program: Any, ours: list[Any]) -> bool:
        """Op by op the CPU's results are ours: XLA changed the program's meaning."""
        from chance.judge import compare

        answers = (self.run_on_cpu(program, way) for way in ("eager", "stepwise"))
        return any(
            not isinstance(theirs, str) and not compare(program, ours, theirs, "cpu", "value")
            for theirs in answers
        )

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()


def bits(x: Any) -> bytes:
    """Of the array, with one NaN for all: IEEE 754 leaves the sign of an operation's NaN open, and
    compilers exchange operands."""
    import jax.numpy as jnp
    import numpy as np

    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return x.tobytes()
    if np.iscomplexobj(x):
        return bits(x.real) + bits(x.imag)
    return np.where(np.isnan(x), x.dtype.type(np.nan), x).tobytes()


def equal_bits(name: str, ours: list[Any], result: list[Any]) -> list[Any]:
    from chance.judge import Difference

    different = [n for n, (a, b) in enumerate(zip(ours, result)) if bits(a) != bits(b)]
    return [Difference(name, f"outputs {different} have other bits")] if different else []


def report(fuzzer: Fuzzer, program: Any, found: list[Any], args: argparse.Namespace) -> None:
    from chance import program as chance
    from chance import reduce

    kinds = {d.kind for d in found}
    text = [f"---- program {program.seed}: {', '.join(sorted(kinds))}"]
    if args.reduce:
        small = reduce.reduce(program, lambda p: bool(fuzzer.check(p, kinds)), args.reduce)
        found = fuzzer.check(small, kinds) or found
    else:
        small = program
    text += [chance.print_program(small)]
    text += [f"  {d.kind}: {d.text}" for d in found]
    args.output.mkdir(parents=True, exist_ok=True)
    stored = args.output / f"{program.seed}.pickle"
    stored.write_bytes(pickle.dumps(small))
    print("\n".join([*text, f"  stored as {stored}"]), flush=True)


def commit_seed() -> int:
    """A number of this commit, so that a run can be repeated."""
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True)
    return int(found.stdout[:6], 16) if found.returncode == 0 else 0


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, help="default: the commit's")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--finite", action="store_true", help="real numbers, none special")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so many")
    parser.add_argument("--only", type=int, nargs="+", help="programs by their number")
    parser.add_argument("--file", type=pathlib.Path, nargs="+", help="stored programs")
    parser.add_argument("--eager-every", type=int, default=3, help="run every n-th op by op, too")
    parser.add_argument("--reduce", type=float, default=60, help="seconds for one failing program")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "build" / "fuzz-programs")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    warnings.simplefilter("ignore")  # JAX's, of donated arguments that don't fit any result
    if args.worker:
        work()
        return 0
    os.environ["JAX_PLATFORMS"] = "cpu"
    from chance import program as chance
    from chance.generate import generate

    one = bool(args.only or args.file)
    if args.file:
        programs = (pickle.loads(f.read_bytes()) for f in args.file)
    elif args.only:
        programs = (generate(n, args.finite) for n in args.only)
    else:
        seed = commit_seed() if args.seed is None else args.seed
        kind = " --finite" if args.finite else ""
        print(f"programs by chance: --seed {seed} --count {args.count}{kind}", flush=True)
        programs = (generate(seed * SPACING + n, args.finite) for n in range(args.count))
    fuzzer = Fuzzer(1 if one else args.eager_every)
    began, counts = time.monotonic(), collections.Counter()
    for program in programs:
        if time.monotonic() - began > args.seconds:
            print(f"stopped: {args.seconds:.0f} s are over")
            break
        if one:
            print(chance.print_program(program))
        found = fuzzer.check(program)
        counts["programs"] += 1
        forget(counts["programs"])
        counts["steps"] += len(program.steps)
        if found:
            counts["failing"] += 1
            report(fuzzer, program, found, args)
        if counts["programs"] % 100 == 0:
            print(f"{counts['programs']} in {time.monotonic() - began:.0f} s", flush=True)
    fuzzer.close()
    seconds = time.monotonic() - began
    print(
        f"{counts['programs']} programs of {counts['steps']} steps in {seconds:.0f} s, "
        f"{counts['failing']} with a difference, {fuzzer.theirs} in which JAX's CPU backend is wrong"
    )
    return 1 if counts["failing"] else 0


if __name__ == "__main__":
    sys.exit(main())
