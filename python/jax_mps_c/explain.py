# SPDX-License-Identifier: Apache-2.0
"""What becomes of a program on the host engine, or on a GPU that need not be there: its steps in
order, the ops that were fused into groups, their kernels, and where in the source each comes from.

`python -m jax_mps_c explain PROGRAM.py` runs a program and prints every plan that it needed; with a
StableHLO file, a portable artifact or text, nothing is run. `text` does it for a compiled function.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import dataclasses
import json
import os
import pathlib
import re
import runpy
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from jax_mps_c import extension, plan_svg

_KIND = 0x6A6F  # src/pjrt/extensions.h
_DEBUG = "JAX_MPS_DEBUG"
_BYTECODE = b"ML\xefR"  # what MLIR's bytecode begins with
_SEAL = b"jmseal01"  # before our executables, serialized: src/base/seal.c, src/pjrt/executable.c


class _Explanation(ctypes.Structure):
    _fields_ = [("text", ctypes.c_char_p), ("json", ctypes.c_char_p)]


_Out = ctypes.POINTER(_Explanation)


class _Explain(ctypes.Structure):
    _fields_ = [
        ("base", extension.Base),
        (
            "explain",
            ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, _Out),
        ),
        ("record", ctypes.CFUNCTYPE(None, ctypes.c_int)),
        ("take", ctypes.CFUNCTYPE(ctypes.c_int, _Out)),
        ("release", ctypes.CFUNCTYPE(None, _Out)),
    ]


@dataclasses.dataclass(frozen=True)
class Plan:
    text: str  # for people
    data: dict[str, Any]  # the same for programs: src/plan/explain.h


def _text(found: bytes | None) -> str:
    return (found or b"").decode(errors="replace")


def _plan(found: _Explanation) -> Plan:
    return Plan(_text(found.text), json.loads(_text(found.json)))


def explain_artifact(artifact: bytes, target: str | None = None) -> Plan:
    """The plan of a StableHLO portable artifact, which is compiled and not run. `target`: "metal" or
    "cuda", for such a GPU, which need not be there, with the source of each kernel; None: for the
    host engine."""
    import jax

    jax.devices("mps")  # the client tells the library where LLVM is
    functions, found = extension.find(_KIND, _Explain), _Explanation()
    failed = functions.explain(artifact, len(artifact), target and target.encode(), found)
    try:
        if failed:
            raise ValueError(_text(found.text) or "out of memory")
        return _plan(found)
    finally:
        functions.release(found)


def explain_compiled(compiled: Any, target: str | None = None) -> Plan:
    """The plan of what `jax.jit(f).lower(...)` or its `.compile()` returned, on platform mps."""
    if not hasattr(compiled, "runtime_executable"):
        compiled = compiled.compile()
    return explain_executable(compiled.runtime_executable(), target)


def explain_executable(executable: Any, target: str | None = None) -> Plan:
    """The plan of jaxlib's executable."""
    # jaxlib puts a record of its own around what the plugin serialized: options and the artifact.
    _, magic, rest = executable.client.serialize_executable(executable).partition(_SEAL)
    if not magic:
        raise ValueError(f"compiled for {executable.client.platform}, not for mps")
    content = rest[16:]  # behind size and checksum
    size = int.from_bytes(content[:8], "little")
    return explain_artifact(content[16 : 16 + size], target)


def text(compiled: Any, target: str | None = None) -> str:
    """What becomes of a lowered or compiled function, as text: on the host engine, or on a GPU that
    need not be there, target "metal" or "cuda"."""
    return explain_compiled(compiled, target).text


def _hlo_line(line: str) -> str:
    """An op of ours as HLO spells it: `%2: f32[8] = all_reduce %1 dim=0` becomes
    `%2 = f32[8] all-reduce(%1), dim=0`."""
    results, equals, rest = line.partition(" = ")
    if not equals:
        return line
    names, types = zip(*re.findall(r"(%\w+): (\w+\[[\d,]*\])", results), strict=True)
    op, operands, rest = re.fullmatch(r"(\w+)(?:<\d+>)?((?: [^ =]+(?= |$))*)(.*)", rest).groups()
    indent = " " * (len(line) - len(line.lstrip()))
    attributes = re.sub(r" (\w+=)", r", \1", rest)
    type_ = types[0] if len(types) == 1 else f"({', '.join(types)})"
    return f"{indent}{', '.join(names)} = {type_} {op.replace('_', '-')}({operands.strip()}){attributes}"


def _hlo_steps(steps: list[dict[str, Any]], indent: str) -> Iterator[str]:
    for step in steps:
        for line in step["ops"].splitlines():
            yield indent + _hlo_line(line)
        for block in step["blocks"]:
            yield f"{indent}{block['name']}:"
            yield from _hlo_steps(block["steps"], indent + "  ")


def _partitioned(plan: Plan) -> str:
    """What one device of several runs: collectives and all, in the manner of HLO."""
    lines = _hlo_steps(plan.data["steps"], "  ")
    head = f"HloModule {plan.data['name']}, num_partitions={plan.data['partitions']}"
    return "\n".join([head, "", "ENTRY %main {", *lines, "}", ""])


def program_text(executable: Any, original: Callable[[], str]) -> str:
    """`as_text` of an executable: the program as the plugin got it, which is what JAX converts to
    HLO, and its plan as comments. Of a program over several devices, what each of them runs.
    The original text alone for executables of other engines."""
    client = executable.client
    if client.platform != "mps" or not client.platform_version.endswith("host engine"):
        return original()
    try:
        plan = explain_executable(executable)
    except (RuntimeError, ValueError) as error:
        return f"{original()}\n// no plan: {error}\n"
    text = _partitioned(plan) if plan.data["partitions"] > 1 else original()
    comments = (f"// {line}".rstrip() + "\n" for line in plan.text.splitlines())
    return text + "\n" + "".join(comments)


def explain_file(path: pathlib.Path, target: str | None = None) -> Plan:
    """The plan of a file: a StableHLO portable artifact, or StableHLO as text."""
    content = path.read_bytes()
    if not content.startswith(_BYTECODE):
        content = serialize(content.decode())
    return explain_artifact(content, target)


def serialize(module: str) -> bytes:
    """StableHLO text as JAX would send it to the plugin."""
    import jax
    from jax._src.lib import xla_client
    from jaxlib.mlir.dialects import stablehlo

    ours = ".".join(map(str, jax.devices("mps")[0].client.stablehlo_current_version))
    version = stablehlo.get_smaller_version(ours, stablehlo.get_current_version())
    return xla_client._xla.mlir.serialize_portable_artifact(module, version)


@contextlib.contextmanager
def record(plans: list[Plan]) -> Iterator[None]:
    """At the end the list has the plan of each program that was compiled meanwhile."""
    functions, found = extension.find(_KIND, _Explain), _Explanation()
    functions.record(True)
    try:
        yield
    finally:
        functions.record(False)
        while functions.take(found):
            plans.append(_plan(found))
            functions.release(found)


@contextlib.contextmanager
def dump(plans: list[Plan], target: str) -> Iterator[None]:
    """The same for a GPU that need not be there: programs are written to a folder while they are
    compiled for the host, and planned at the end. A program that is compiled twice counts once."""
    with tempfile.TemporaryDirectory(prefix="explain-") as folder:
        words = [word for word in (os.environ.get(_DEBUG), f"dump={folder}") if word]
        os.environ[_DEBUG] = ",".join(words)
        try:
            yield
        finally:
            paths = sorted(
                pathlib.Path(folder).glob("*.mlirbc"), key=lambda p: p.stat().st_mtime_ns
            )
            for path in paths:
                try:
                    plans.append(explain_file(path, target))
                except ValueError as error:
                    print(f"{path.stem}: {error}", file=sys.stderr)


def run(path: pathlib.Path, arguments: list[str]) -> None:
    """Runs a Python program as `python PATH ARGUMENTS` does."""
    sys.argv = [str(path), *arguments]
    sys.path.insert(0, str(path.resolve().parent))
    runpy.run_path(str(path), run_name="__main__")


def show(plans: list[Plan], svg: pathlib.Path | None) -> None:
    if svg and plans:
        svg.write_text(plan_svg.draw([plan.data for plan in plans]), encoding="utf-8")
    try:
        for plan in plans:
            print(plan.text)
        sys.stdout.flush()
    except BrokenPipeError:  # a reader that has seen enough: head, less
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m jax_plugins.mps explain",
        description="Prints what becomes of a program: steps, groups, kernels.",
        epilog="Other arguments, and all after --, are the Python program's.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "file",
        type=pathlib.Path,
        help="a Python program, or StableHLO: a portable artifact or text",
    )
    parser.add_argument("--svg", metavar="OUT.svg", type=pathlib.Path, help="draw the plans too")
    parser.add_argument(
        "--target",
        choices=("metal", "cuda"),
        help="for such a GPU, which need not be there, with the source of each kernel; "
        "else for the host engine",
    )
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options, passed = parser.parse_known_args(arguments[:end])
    passed += arguments[end + 1 :]
    # Programs run on the host engine; a GPU's plans are made beside it.
    os.environ.setdefault("JAX_PLATFORMS", "mps,cpu")
    os.environ.setdefault("JAX_MPS_DEVICE", "host")
    if options.file.suffix != ".py":
        if passed:
            parser.error(f"unknown arguments: {' '.join(passed)}")
        try:
            plan = explain_file(options.file, options.target)
        except (OSError, ValueError, RuntimeError) as error:
            print(f"{options.file}: {error}", file=sys.stderr)
            return 1
        show([plan], options.svg)
        return 0
    plans: list[Plan] = []
    try:
        with dump(plans, options.target) if options.target else record(plans):
            run(options.file, passed)
    finally:  # a program that fails is explained as far as it came
        show(plans, options.svg)
    if not plans:
        print("nothing was compiled for the host engine of platform mps", file=sys.stderr)
    return 0 if plans else 1
