#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The plugin with every version of jax: each in a virtual environment of its own.

    scripts/grid.py                       the versions that this Python can install
    scripts/grid.py 0.4.38 0.10.2         these
    scripts/grid.py --library build/dev/libpjrt_plugin_mps.so

Works with one build of the library (JAX_MPS_LIBRARY_PATH or --library) and this checkout's Python.
A version runs tests/grid/program.py; one that is too old must be refused with the version that is
needed. Environments are kept in build/grid. Exit status 1: a version did neither.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "python"))

from jax_mps_c import compat  # noqa: E402 - of this checkout

# jax, the oldest Python that has it
VERSIONS = {
    "0.4.20": (3, 9),
    "0.4.26": (3, 9),
    "0.4.38": (3, 10),
    "0.5.3": (3, 10),
    "0.6.2": (3, 10),
    "0.7.2": (3, 11),
    "0.8.3": (3, 11),
    "0.9.2": (3, 11),
    "0.10.2": (3, 11),
    "0.11.2": (3, 12),
    "0.12.0.1": (3, 12),
}
NEWEST_PYTHON = {"0.4.20": (3, 12), "0.4.26": (3, 12), "0.4.38": (3, 13), "0.5.3": (3, 13)}


def parse(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def environment_python(folder: pathlib.Path, version: str) -> pathlib.Path:
    """The environment's Python, with this jax installed."""
    python = folder / version / "bin" / "python"
    mark = folder / version / "installed"
    if mark.exists():
        return python
    venv.create(folder / version, with_pip=True)
    # jax before 0.4.26 was built for NumPy 1; before 0.6, jax.export needs absl.
    packages = [f"jax=={version}", f"jaxlib=={version}", "llvmlite", "scipy"]
    packages += ["numpy<2"] if parse(version) < (0, 4, 38) else []
    packages += ["absl-py"] if parse(version) < (0, 6) else []
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    mark.touch()
    return python


def check(python: pathlib.Path, version: str, library: pathlib.Path) -> str:
    """What is wrong with this version; empty: nothing."""
    environment = os.environ | {
        "JAX_PLATFORMS": "mps",
        "JAX_MPS_LIBRARY_PATH": str(library),
        "PYTHONPATH": str(ROOT / "python"),
    }
    program = ROOT / "tests" / "grid" / "program.py"
    done = subprocess.run(
        [python, program], env=environment, capture_output=True, text=True, timeout=300
    )
    text = done.stdout + done.stderr
    if parse(version) < compat.OLDEST:
        needed = "jax-mps-c needs jax " + ".".join(map(str, compat.OLDEST))
        return "" if done.returncode == 1 and needed in text else f"not refused: {text}"
    return "" if done.returncode == 0 and f"ok {version}" in text else text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", nargs="*")
    parser.add_argument("--library", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path, default=ROOT / "build" / "grid")
    options = parser.parse_args()
    library = options.library or pathlib.Path(os.environ["JAX_MPS_LIBRARY_PATH"])
    here = sys.version_info[:2]
    fitting = [v for v, py in VERSIONS.items() if py <= here <= NEWEST_PYTHON.get(v, here)]
    failed = 0
    for version in options.versions or fitting:
        python = environment_python(options.folder.resolve(), version)
        wrong = check(python, version, library.resolve())
        refused = parse(version) < compat.OLDEST
        print(
            f"jax {version}: {'differs' if wrong else 'refused' if refused else 'ok'}", flush=True
        )
        if wrong:
            print(wrong)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
