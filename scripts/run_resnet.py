#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`make run`: trains the ResNet on `mps`, then a few steps on `cpu` from the same seed, and compares."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "resnet" / "main.py"
TOLERANCE = 1e-3  # of a loss, relative, over the first ten steps
COMPARED = 10


def train(name: str, steps: int, report: pathlib.Path, extra: list[str]) -> dict:
    """Runs the example on one platform, in a process of its own, and reads what it reports."""
    command = [sys.executable, str(EXAMPLE), f"--steps={steps}", f"--report={report}", *extra]
    done = subprocess.run(command, env=os.environ | {"JAX_PLATFORMS": name})
    if done.returncode:
        sys.exit(f"the training on {name} failed; see above, and: python -m jax_plugins.mps")
    return json.loads(report.read_text(encoding="utf-8"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=30)
    args, extra = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        mps = train("mps", args.steps, pathlib.Path(folder, "mps.json"), extra)
        print("\nThe same on JAX's CPU backend, for comparison:", flush=True)
        cpu = train("cpu", min(args.steps, COMPARED), pathlib.Path(folder, "cpu.json"), extra)

    pairs = list(zip(mps["losses"], cpu["losses"]))
    difference = max(abs(ours - theirs) / abs(theirs) for ours, theirs in pairs)
    good = difference <= TOLERANCE
    plugin = " ".join(mps["plugin"].split())
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("jax", "jaxlib", "flax", "numpy")
    )
    print()
    print(f"mps: {mps['seconds_per_step'] * 1e3:8.1f} ms per step   {mps['kind']}; {plugin}")
    print(f"cpu: {cpu['seconds_per_step'] * 1e3:8.1f} ms per step   JAX's own CPU backend")
    print(
        f"largest relative difference of the loss over {len(pairs)} steps: {difference:.1e} "
        f"({'within' if good else 'MORE THAN'} {TOLERANCE:.0e})"
    )
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"python {platform.python_version()}, {versions}"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
