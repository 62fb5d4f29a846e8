# SPDX-License-Identifier: Apache-2.0
"""Compiles Metal source with clang for the CPU and runs it: a test of Metal source without a Mac.

clang takes the source as C++ for OpenCL, against the stub of Metal's library in include/. Three
things are rewritten before, since that dialect lacks them: `thread` behind a member function, which
is the default there; arrays of a group declared in any function; and `kernel`, whose parameters are
bound here. What Metal forbids and the dialect does not is found in the text, in clang's tree and in
the call graph: see Refused. What runs is runner.c's to say.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
MOST_BUFFERS = 31
CLANG = os.environ.get("METAL_STUB_CLANG") or shutil.which("clang")
LINKER = shutil.which("cc") or CLANG
FLAGS = [
    *("-x", "clcpp", "-cl-std=clc++2021", "-cl-no-stdinc", "-ffp-contract=off", "-fPIC"),
    *("-Xclang", "-cl-ext=-cl_khr_fp64,-__opencl_c_fp64"),
    "-Xclang",
    "-cl-ext=-__opencl_c_program_scope_global_variables,-__opencl_c_device_enqueue",
    *("-Wno-unknown-attributes", "-Wno-unused-value", "-Wno-unknown-pragmas"),
    "-fvisibility=hidden",
    f"-I{HERE / 'include'}",
    *(["-mf16c"] if platform.machine() in ("x86_64", "AMD64") else []),  # half without a library
]
# Attributes of parameters: the first of what the runner passes (its ids), and how many.
IDS = {
    "thread_position_in_grid": (0, 3),
    "thread_position_in_threadgroup": (3, 3),
    "threadgroup_position_in_grid": (6, 3),
    "threads_per_threadgroup": (9, 3),
    "threads_per_grid": (12, 3),
    "threadgroups_per_grid": (15, 3),
    "thread_index_in_threadgroup": (18, 1),
    "thread_index_in_simdgroup": (19, 1),
    "simdgroup_index_in_threadgroup": (20, 1),
    "simdgroups_per_threadgroup": (21, 1),
    "threads_per_simdgroup": (22, 1),
}
ADAPTOR = """
namespace metal_stub {
struct buffer { /* becomes whatever pointer or reference a parameter is */
  ulong at;
  template <typename T> operator device T *() const { return (device T *)at; }
  template <typename T> operator constant T *() const { return (constant T *)at; }
  template <typename T> operator threadgroup T *() const { return (threadgroup T *)at; }
  template <typename T> operator device T &() const { return *(device T *)at; }
  template <typename T> operator constant T &() const { return *(constant T *)at; }
};
inline void take(const uint *at, uint *to) { *to = at[0]; }
inline void take(const uint *at, ushort *to) { *to = (ushort)at[0]; }
template <typename T, int n> void take(const uint *at, vector<T, n> *to) {
  for (int i = 0; i < n; i++) (*to)[i] = (T)at[i];
}
struct id { /* becomes a number or a vector */
  const uint *at;
  template <typename T> operator T() const {
    T to;
    take(at, &to);
    return to;
  }
};
} // namespace metal_stub
"""
ENTRY = """extern "C" __attribute__((visibility("default"))) void
metal_stub_entry_%s(void *const *buffers, const uint *ids) { %s(%s); }
"""


class Refused(Exception):
    """The source is not Metal: the text says which rule it breaks, or is clang's."""


# ---- the text

VECTOR = "(?:u?(?:char|short|int|long)|half|float)[234]"
numbers = itertools.count(1)


def without_comments(text: str) -> str:
    """Comments become blanks; strings stay."""

    def blank(match):
        return match[0] if match[0][0] == '"' else re.sub(r"[^\n]", " ", match[0])

    return re.sub(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', blank, text, flags=re.S)


def split_commas(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "(<[{") - (c in ")>]}")
        if c == "," and not depth:
            parts.append(text[start:i])
            start = i + 1
    return [p.strip() for p in [*parts, text[start:]] if p.strip()]


def declare_group_array(statement: str) -> str | None:
    """`threadgroup T a[n], b[m];` as references to the runner's memory; None: none of these."""
    first, *more = split_commas(statement)
    head = re.match(r"(.*?[\w>])\s+(\w+)\s*((?:\[[^=]*\])*)\s*(=.*)?$", first, re.S)
    if not head or re.search(r"[*&]", head[1]):
        return None
    out = ""
    for name, size, value in [head.groups()[1:]] + [
        re.match(r"(\w+)\s*((?:\[[^=]*\])*)\s*(=.*)?$", d, re.S).groups() for d in more
    ]:
        if value:
            raise Refused(f"{name}: memory of a group cannot be initialized")
        number = next(numbers)
        alias = f"metal_stub_{number}"
        out += (
            f"typedef {head[1]} {alias}{size}; threadgroup {alias} &{name} = "
            f"*(threadgroup {alias} *)metal_stub_memory({number}, sizeof({alias})); "
        )
    return out


def rewrite(text: str) -> str:
    """What clang gets; lines stay where they are."""
    text = without_comments(text)
    text = re.sub(r"\)(\s*const)?(\s+)thread\b", r")\1\2", text)
    text = re.sub(r"(?<![\w\[])kernel(\s+void\b)", r"[[kernel]]\1", text)
    text = re.sub(rf"([{{}};]\s*)({VECTOR})\s+(\w+)(\([^;{{}}]*\);)", r"\1\2 \3 = \2\4", text)
    out, done, depth = [], 0, 0
    for token in re.finditer(r"[{}]|(?<=[{};])(\s*)threadgroup\s+([^;{}()]*);", text):
        if token[0] == "{" or token[0] == "}":
            depth += 1 if token[0] == "{" else -1
        elif depth and (declared := declare_group_array(token[2])):
            out += [text[done : token.start()], token[1], declared, "\n" * token[2].count("\n")]
            done = token.end()
    return "".join(out) + text[done:]


def find_kernels(text: str) -> dict[str, list[str]]:
    """The parameters of each kernel, by its name."""
    found = {}
    for match in re.finditer(
        r"\[\[\s*kernel\b[^\]]*\]\]\s*(\[\[.*?\]\]\s*)*(\w+)\s+(\w+)\s*\(", text
    ):
        depth, end = 1, match.end()
        while depth and end < len(text):
            depth += (text[end] == "(") - (text[end] == ")")
            end += 1
        if match[2] != "void":
            raise Refused(f"kernel {match[3]} returns something")
        found[match[3]] = split_commas(text[match.end() : end - 1])
    return found


def bind_parameters(name: str, parameters: list[str], group_bytes: dict[int, int]) -> list[str]:
    """What the adaptor passes, by the attributes."""
    out, used = [], {}
    for parameter in parameters:
        attribute = re.search(r"\[\[\s*(\w+)\s*(?:\(\s*(\w+)\s*\))?\s*\]\]", parameter)
        declared = re.sub(r"\[\[.*?\]\]", "", parameter)
        kind, number = (attribute[1], attribute[2]) if attribute else ("buffer", len(used))
        if kind in IDS:
            first, count = IDS[kind]
            if re.search(r"[*&]", declared) or (count == 1 and re.search(r"[23]\s", declared)):
                raise Refused(f"kernel {name}: {declared.strip()} cannot be {kind}")
            out.append(f"metal_stub::id{{ids + {first}}}")
        elif kind == "threadgroup":
            if "threadgroup" not in declared.split() or "*" not in declared:
                raise Refused(f"kernel {name}: {declared.strip()} is no memory of a group")
            size = group_bytes[int(number)]
            out.append(f"metal_stub::buffer{{(ulong)metal_stub_memory({next(numbers)}, {size})}}")
        elif kind == "buffer":
            if not re.search(r"\b(device|constant)\b", declared) or not re.search("[*&]", declared):
                raise Refused(
                    f"kernel {name}: {declared.strip()} is no pointer or reference to device or "
                    "constant memory"
                )
            if int(number) >= MOST_BUFFERS or int(number) in used:
                raise Refused(f"kernel {name}: buffer {number} is beyond 30, or used twice")
            used[int(number)] = parameter
            out.append(f"metal_stub::buffer{{(ulong)buffers[{int(number)}]}}")
        else:
            raise Refused(f"kernel {name}: a parameter with the attribute {kind}")
    return out


# ---- clang


def is_usable() -> bool:
    """Is there a clang that knows the dialect?"""
    if not CLANG:
        return False
    done = subprocess.run([CLANG, "--version"], capture_output=True, text=True)
    version = re.search(r"version (\d+)", done.stdout)
    return version is not None and int(version[1]) >= 14


def run_clang(*args) -> str:
    done = subprocess.run([CLANG, *FLAGS, *map(str, args)], capture_output=True, text=True)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def check_tree(source: pathlib.Path) -> None:
    """Pointers need an address space in Metal, and there is no goto."""
    tree = json.loads(run_clang("-fsyntax-only", "-Xclang", "-ast-dump=json", source))
    declarations = ("VarDecl", "ParmVarDecl", "FieldDecl", "FunctionDecl")
    pending = [n for n in tree["inner"] if "includedFrom" not in spelled(n.get("loc", {}))]
    while pending:
        node = pending.pop()
        kind, name = node.get("kind"), node.get("name", "")
        if kind in ("GotoStmt", "LabelStmt", "IndirectGotoStmt"):
            raise Refused("goto")
        declared = node.get("type", {}).get("qualType", "")
        if kind in declarations and "__generic" in declared and not node.get("isImplicit"):
            raise Refused(f"{name}: {declared} has no address space")
        pending += node.get("inner", [])


def spelled(location: dict) -> dict:
    return location.get("expansionLoc", location)


def check_calls(source: pathlib.Path) -> None:
    """There is no recursion: no function may be reached from itself."""
    calls, caller = {}, None
    for line in run_clang("-O0", "-S", "-emit-llvm", "-o", "-", source).splitlines():
        if line.startswith("define"):
            caller = re.search(r'@("[^"]*"|[\w.$]+)\(', line)[1]
            calls[caller] = set()
        elif " call " in line and (callee := re.search(r'@("[^"]*"|[\w.$]+)\(', line)):
            calls[caller].add(callee[1])
    for start in calls:
        reached, pending = set(), [start]
        while pending:
            new = calls.get(pending.pop(), set()) - reached
            reached |= new
            pending += new
        if start in reached:
            raise Refused(f"{start} calls itself")


# ---- kernels


class Library:
    """The compiled kernels of a source.

    group_bytes: of their [[threadgroup(n)]] parameters. For kernels in headers, signatures is the
    headers' text, and instances says what is called for each name, `name<float>`. Then, and if not
    strict, only clang judges the source.
    """

    def __init__(
        self, source, group_bytes=None, signatures=None, instances=None, include=(), strict=True
    ):
        text = rewrite(source)
        self.kernels = find_kernels(signatures or text)
        entries = ""
        for name in instances or self.kernels:
            arguments = ", ".join(bind_parameters(name, self.kernels[name], group_bytes or {}))
            entries += ENTRY % (name, (instances or {}).get(name, name), arguments)
        self.folder = tempfile.TemporaryDirectory(prefix="metal-")
        folder = pathlib.Path(self.folder.name)
        written, adaptor = folder / "kernel.metal", folder / "adaptor.metal"
        written.write_text(text)
        adaptor.write_text(f'#include "kernel.metal"\n{ADAPTOR}{entries}')
        include = [f"-I{path}" for path in include]
        run_clang(*include, "-O1", "-c", adaptor, "-o", folder / "kernel.o")
        if strict and not include:
            check_tree(written)
            check_calls(written)
        command = [LINKER, "-shared", "-O1", "-fPIC", "-fvisibility=hidden", "-std=gnu11"]
        command += [HERE / "runner.c", folder / "kernel.o", "-lm", "-o", folder / "kernel.so"]
        subprocess.run(command, check=True)
        self.library = ctypes.CDLL(str(folder / "kernel.so"))

    def run(self, name, addresses, grid, group, reverse=False, flush=False):
        """One kernel over a grid of threads, with its buffers at these addresses.

        reverse: threads take turns in descending order. flush: subnormal numbers count as zero, as
        they do on a GPU.
        """
        entry = ctypes.cast(getattr(self.library, f"metal_stub_entry_{name}"), ctypes.c_void_p)
        sizes = [(ctypes.c_uint32 * 3)(*(*size, 1, 1)[:3]) for size in (grid, group)]
        flags = ctypes.c_int(reverse + 2 * flush)
        message = ctypes.create_string_buffer(256)
        buffers = (ctypes.c_void_p * MOST_BUFFERS)(*addresses)
        if self.library.metal_stub_run(entry, buffers, *sizes, flags, message, len(message)):
            raise RuntimeError(f"{name}: {message.value.decode()}")


class Kernel(Library):
    """A source with one kernel, which gets NumPy arrays."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.name = next(iter(kwargs.get("instances") or self.kernels))

    def run(self, buffers, grid, group, reverse=False, flush=False):
        addresses = [b.ctypes.data for b in buffers]
        super().run(self.name, addresses, grid, group, reverse, flush)


def copy_headers(source: pathlib.Path, to: pathlib.Path) -> None:
    """A tree of Metal headers as clang gets them."""
    for path in source.rglob("*.h"):
        target = to / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(rewrite(path.read_text()))
