#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compile.py SOURCE LIBRARY: a Metal source as a library for the CPU, see metal.py. Only clang judges
it."""

import pathlib
import shutil
import sys

import metal


def main() -> int:
    source, library = map(pathlib.Path, sys.argv[1:])
    try:
        compiled = metal.Library(source.read_text(), strict=False)
    except metal.Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    # Under another name first: what has the name is whole.
    made = library.with_suffix(".made")
    shutil.copy(pathlib.Path(compiled.folder.name) / "kernel.so", made)
    made.rename(library)
    return 0


if __name__ == "__main__":
    sys.exit(main())
