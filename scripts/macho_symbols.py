#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks our Mach-O libraries for arm64 macOS on any machine: what each needs is defined by libmlx
or by the system, it exports what it should, and it runs on the oldest macOS that we promise.

    macho_symbols.py --mlx LIBMLX --system LIBSYSTEM.TBD --exports SYMBOL LIBRARY

Two-level namespaces: each undefined symbol names the library that must define it, and is looked for
there alone. Prints the gaps; the exit status is their number.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import re
import struct
import sys

MAGIC, ARM64 = 0xFEEDFACF, 0x0100000C
LC_SYMTAB, LC_BUILD_VERSION = 0x2, 0x32
LC_LOAD = (0xC, 0x18, 0x1F)  # a dylib: plainly, weakly, re-exported
N_STAB, N_TYPE, N_EXT, N_PEXT = 0xE0, 0x0E, 0x01, 0x10
OLDEST = (14, 0)
# What linkers need and make themselves.
LINKER_NEEDS, LINKER_MAKES = {"dyld_stub_binder"}, {"___dso_handle", "__mh_dylib_header"}


@dataclasses.dataclass
class Library:
    name: str
    needs: list[str] = dataclasses.field(default_factory=list)  # other libraries
    minimum: tuple[int, int] = (0, 0)
    undefined: dict[str, int] = dataclasses.field(default_factory=dict)  # symbol -> place in needs
    defined: set[str] = dataclasses.field(default_factory=set)


def read_symbols(data: bytes, command: bytes, library: Library) -> None:
    symbols, count, strings, _ = struct.unpack_from("<4I", command, 8)
    for i in range(count):
        name, kind, _, description, _ = struct.unpack_from("<IBBHQ", data, symbols + 16 * i)
        if kind & N_STAB or not kind & N_EXT or kind & N_PEXT:
            continue
        text = data[strings + name : data.index(b"\0", strings + name)].decode()
        if kind & N_TYPE:
            library.defined.add(text)
        else:
            library.undefined[text] = description >> 8


def read_library(path: pathlib.Path) -> Library:
    data, library = path.read_bytes(), Library(path.name)
    magic, processor, _, _, n_commands = struct.unpack_from("<5I", data)
    if magic != MAGIC or processor != ARM64:
        raise SystemExit(f"{path} is not a Mach-O file for arm64")
    offset = 32
    for _ in range(n_commands):
        kind, size = struct.unpack_from("<2I", data, offset)
        command = data[offset : offset + size]
        if kind == LC_SYMTAB:
            read_symbols(data, command, library)
        elif kind & 0x7FFFFFFF in LC_LOAD:
            start = struct.unpack_from("<I", command, 8)[0]
            library.needs.append(command[start:].split(b"\0")[0].decode())
        elif kind == LC_BUILD_VERSION:
            version = struct.unpack_from("<I", command, 12)[0]
            library.minimum = (version >> 16, version >> 8 & 0xFF)
        offset += size
    return library


def read_stub(path: pathlib.Path) -> set[str]:
    """The symbols that a .tbd file lists for macOS on arm64: YAML, but only lists are of interest."""
    found: set[str] = set()
    pattern = r"- targets:\s*\[([^]]*)\]((?:\s+[a-z-]+:\s*\[[^]]*\])+)"
    for targets, lists in re.findall(pattern, path.read_text()):
        if re.search(r"\barm64e?-macos\b", targets):
            for kind, symbols in re.findall(r"([a-z-]*symbols):\s*\[([^]]*)\]", lists):
                found.update(name.strip().strip("'\"") for name in symbols.split(","))
    return found


def gaps_of(library: Library, known: dict[str, set[str]], exports: set[str]) -> list[str]:
    gaps, counts = [], dict.fromkeys(known, 0)
    for symbol, place in sorted(library.undefined.items()):
        if symbol in LINKER_NEEDS:
            continue
        needed = library.needs[place - 1] if 0 < place <= len(library.needs) else ""
        owners = [name for name in known if name in needed] if needed else list(known)
        owner = next((name for name in owners if symbol in known[name]), None)
        if owner is None:
            gaps.append(f"{symbol}, which {needed or 'some library'} should define")
        else:
            counts[owner] += 1
    for needed in library.needs:
        if not any(name in needed for name in known):
            gaps.append(f"the library {needed}, of which nothing is known")
    gaps += [f"it does not export {name}" for name in sorted(exports - library.defined)]
    if library.minimum > OLDEST:
        gaps.append(f"it needs macOS {library.minimum[0]}.{library.minimum[1]}")
    more = library.defined - exports - LINKER_MAKES
    templates = {name for name in more if name.startswith("__Z")}
    gaps += [f"it exports {name}" for name in sorted(more - templates)]
    sums = ", ".join(f"{count} of {name}" for name, count in counts.items())
    print(
        f"{library.name}: {len(library.undefined)} undefined symbols: {sums}; "
        f"exports {' '.join(sorted(exports))} and {len(templates)} of C++; {len(gaps)} gaps"
    )
    for gap in gaps:
        print(f"  gap: {gap}")
    return gaps


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("library", type=pathlib.Path)
    parser.add_argument("--mlx", type=pathlib.Path, help="libmlx.dylib, where it may be needed")
    parser.add_argument("--system", type=pathlib.Path, required=True, help="libSystem.tbd")
    parser.add_argument("--exports", action="append", default=[])
    arguments = parser.parse_args()
    known = {"libSystem": read_stub(arguments.system)}
    if arguments.mlx:
        known["libmlx"] = read_library(arguments.mlx).defined
    library = read_library(arguments.library)
    return min(len(gaps_of(library, known, {f"_{name}" for name in arguments.exports})), 100)


if __name__ == "__main__":
    sys.exit(main())
