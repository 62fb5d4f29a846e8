# SPDX-License-Identifier: Apache-2.0
"""Starts a script in several processes of one job.

    python -m jax_mps_c.launch --processes 4 script.py [arguments]   on this host
    python -m jax_mps_c.launch --hosts a,b script.py [arguments]     one on each host, through ssh

The script gets JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID, and calls
`jax_mps_c.launch.initialize()`. On a host with several NVIDIA GPUs each of its processes sees one of
them (CUDA_VISIBLE_DEVICES). Lines of output start with the process's number. When a process
fails the others are ended, after a while in which they may say why themselves; the exit status is
that of the first that failed.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import shlex
import socket
import subprocess
import sys
import threading
import time
from typing import TextIO

GRACE = 10.0  # seconds that the others have after the first failure
COORDINATOR, COUNT, INDEX = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"


def initialize() -> None:
    """`jax.distributed.initialize` as the launcher said; nothing in a script started without it."""
    if COUNT not in os.environ:
        return
    import jax

    jax.distributed.initialize(
        os.environ[COORDINATOR], int(os.environ[COUNT]), int(os.environ[INDEX])
    )


@dataclasses.dataclass
class Process:
    index: int
    popen: subprocess.Popen[str]
    readers: list[threading.Thread]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def copy_lines(index: int, source: TextIO, target: TextIO) -> None:
    for line in source:
        target.write(f"[{index}] {line}")
        target.flush()


def command_for(host: str | None, command: list[str], job: dict[str, str]) -> list[str]:
    """What runs the command on a host: ssh starts in the same folder, with our settings alone."""
    if host is None:
        return command
    settings = job | {k: v for k, v in os.environ.items() if k.startswith(("JAX_", "XLA_"))} | job
    words = [f"{name}={value}" for name, value in sorted(settings.items())]
    line = f"cd {shlex.quote(os.getcwd())} && exec env {shlex.join(words + command)}"
    return ["ssh", "-tt", "-o", "BatchMode=yes", host, line]


def gpu_for(index: int) -> dict[str, str]:
    """Which of this host's NVIDIA GPUs a process sees: one, where there are several."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = pathlib.Path("/dev").glob("nvidia[0-9]*")
    gpus = named.split(",") if named else [str(i) for i, _ in enumerate(devices)]
    return {"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)]} if len(gpus) > 1 else {}


def start(hosts: list[str | None], coordinator: str, command: list[str]) -> list[Process]:
    processes = []
    for index, host in enumerate(hosts):
        job = {COORDINATOR: coordinator, COUNT: str(len(hosts)), INDEX: str(index)}
        own = gpu_for(index) if host is None else {}
        popen = subprocess.Popen(
            command_for(host, command, job),
            env=os.environ | own | job,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert popen.stdout and popen.stderr
        pairs = ((popen.stdout, sys.stdout), (popen.stderr, sys.stderr))
        readers = [threading.Thread(target=copy_lines, args=(index, *pair)) for pair in pairs]
        for reader in readers:
            reader.start()
        processes.append(Process(index, popen, readers))
    return processes


def end(processes: list[Process]) -> None:
    for process in processes:
        if process.popen.poll() is None:
            process.popen.terminate()
    for process in processes:
        try:
            process.popen.wait(5)
        except subprocess.TimeoutExpired:
            process.popen.kill()


def wait(processes: list[Process]) -> int:
    """The exit status of the first that failed, 0 if all are well."""
    failed: Process | None = None
    deadline = float("inf")
    try:
        while any(p.popen.poll() is None for p in processes) and time.monotonic() < deadline:
            for process in processes:
                if failed is None and process.popen.poll() not in (None, 0):
                    failed = process
                    deadline = time.monotonic() + GRACE
            time.sleep(0.05)
    finally:
        end(processes)
        for process in processes:
            for reader in process.readers:
                reader.join()
    failed = failed or next((p for p in processes if p.popen.returncode), None)
    if failed is None:
        return 0
    status = failed.popen.returncode
    print(f"process {failed.index} ended with status {status}", file=sys.stderr)
    return status if status > 0 else 128 - status


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m jax_mps_c.launch", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--processes", type=int, metavar="N", help="on this host")
    where.add_argument("--hosts", metavar="A,B", help="one on each; the first coordinates")
    parser.add_argument("--port", type=int, default=0, help="of the coordinator; default: any")
    parser.add_argument("script")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    if options.processes is not None and not 1 <= options.processes <= 64:
        parser.error("--processes must be from 1 to 64")
    command = [sys.executable, options.script, *options.arguments]
    hosts: list[str | None] = [None] * (options.processes or 0)
    address = "127.0.0.1"
    if options.hosts:
        names = [name for name in options.hosts.split(",") if name]
        hosts = [*names]
        address = names[0].rpartition("@")[2]
    port = options.port or (free_port() if not options.hosts else 9876)
    return wait(start(hosts, f"{address}:{port}", command))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
