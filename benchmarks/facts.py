# SPDX-License-Identifier: Apache-2.0
"""What a figure depends on beside the code: the machine, the versions, the settings."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import platform
import re
import subprocess
import time
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGES = ("jax", "jaxlib", "numpy", "scipy", "flax", "optax", "llvmlite", "mlx")


def processor() -> str:
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    found = dict(re.findall(r"^(model name|flags)\s*: (.*)$", text, re.M))
    widths = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    flags = [name for name in widths if name in found.get("flags", "").split()]
    return " ".join([found.get("model name", platform.machine()), *flags])


def commit() -> str:
    """The commit, with a mark if sources differ from it."""

    def git(*args: str) -> str:
        done = subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "src", "python")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def settings() -> dict[str, str]:
    """The plugin's settings that are not paths: those say nothing elsewhere."""
    named = {name: value for name, value in os.environ.items() if name.startswith("JAX_MPS_")}
    return {name: value for name, value in sorted(named.items()) if os.sep not in value}


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def read() -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": commit(),
        "cpu": processor(),
        "cores": cores,
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES if version(name)},
        "settings": settings(),
    }
