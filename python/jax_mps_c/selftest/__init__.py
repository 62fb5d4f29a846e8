# SPDX-License-Identifier: Apache-2.0
"""`python -m jax_plugins.mps selftest`: every op on this machine's device against JAX's CPU backend.

Options: `--all` runs every case instead of stopping after `--seconds` (default 50). Needs neither
pytest nor the repository. A failure is printed as the text of an issue. Exit status: 0 if all agree,
1 if not, 2 if a platform is missing.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import time
import traceback


def ordered(cases: list) -> list:
    """One case of each function first, so that a run that stops early has met every op."""
    first, rest, seen = [], [], set()
    for case in cases:
        function = re.sub(r"_(edges|[a-z]*\d+\w*|bool)$", "", case.name)
        (rest if function in seen else first).append(case)
        seen.add(function)
    return first + rest


def describe_machine(device) -> str:
    import jax
    import jaxlib

    from jax_mps_c import version

    return (
        f"jax-mps-c {version.__version__}, jax {jax.__version__}, jaxlib {jaxlib.__version__}, "
        f"Python {platform.python_version()}, {platform.platform()}, "
        f"device: {device.device_kind}, {device.client.platform_version}"
    )


def issue_text(case, error: Exception, machine: str) -> str:
    inputs = ", ".join(f"{a.dtype}{list(a.shape)}" for a in case.arrays())
    text = "".join(traceback.format_exception_only(type(error), error)).strip()
    return (
        f"--- selftest: {case.name} differs\n{machine}\ncase `{case.name}`, inputs {inputs}\n"
        f"```\n{text[:2000]}\n```\n"
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m jax_plugins.mps selftest", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--all", action="store_true", help="every case, however long it takes")
    parser.add_argument("--seconds", type=float, default=50, help="stop after this time (50)")
    options = parser.parse_args(arguments)

    os.environ.setdefault("JAX_PLATFORMS", "mps,cpu")
    import jax

    from jax_mps_c import counters
    from jax_mps_c.selftest.cases import CASES
    from jax_mps_c.selftest.harness import compare, x64

    try:
        device = jax.devices("mps")[0]
        jax.devices("cpu")
    except RuntimeError as error:
        print(f"selftest needs the platforms mps and cpu: {error}")
        return 2
    machine = describe_machine(device)
    print(machine, flush=True)
    began, failures, n_run = time.monotonic(), 0, 0
    before = counters.read()
    for case in ordered(CASES):
        if not options.all and time.monotonic() - began > options.seconds:
            break
        n_run += 1
        try:
            with x64(case.x64):
                compare(case.function, case.arrays(), tolerance=case.tolerance)
        except Exception as error:  # the next case tells whether the process still works
            failures += 1
            print(issue_text(case, error, machine), flush=True)
    after = counters.read()
    ran = {name: after[name] - before[name] for name in after}
    print(
        f"ops on the device: {ran['device_ops']}, on the host beside it: {ran['host_ops']}, "
        f"library: {ran['library_steps']}"
    )
    print(
        f"{n_run} of {len(CASES)} cases in {time.monotonic() - began:.0f} s: "
        f"{n_run - failures} passed, {failures} failed"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
