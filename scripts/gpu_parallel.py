# SPDX-License-Identifier: Apache-2.0
"""Programs over several GPUs of one host, a process each, on `mps` and on JAX's CUDA plugin.

    scripts/gpu_parallel.py --processes 2 --output parallel.json

Both platforms run the same functions through jax.distributed, in jobs that alternate: sums over all
devices, and training steps whose batch is divided among them, beside the same step on one device,
whose loss they must have. Ratio: median time of cuda / median of mps; above 1, mps is faster.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROUNDS = 2
LIMIT = 120  # seconds of a job
SUMS = {"psum_4k": 1 << 10, "psum_16m": 4 << 20, "psum_256m": 64 << 20}  # elements of each device
STEPS = ("resnet18_step_b32", "gpt_block_step")
TRAINED = 10  # steps whose losses are compared


def timed(call, seconds: float = 0.5, least: int = 10) -> float:
    """Median seconds of a call, ended by block_until_ready; all processes make as many calls."""
    import jax
    import numpy as np
    from jax.experimental import multihost_utils

    jax.block_until_ready(call())
    start = time.perf_counter()
    jax.block_until_ready(call())
    n = np.array(max(least, int(seconds / (time.perf_counter() - start))))
    n = int(multihost_utils.broadcast_one_to_all(n))
    times = []
    for _ in range(min(n, 500)):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def sums(mesh):
    import jax
    import numpy as np
    from jax.sharding import NamedSharding
    from jax.sharding import PartitionSpec as P

    total = jax.jit(
        jax.shard_map(lambda x: jax.lax.psum(x, "i"), mesh=mesh, in_specs=P("i"), out_specs=P())
    )
    for name, size in SUMS.items():
        x = jax.make_array_from_callback(
            (mesh.size * size,),
            NamedSharding(mesh, P("i")),
            lambda at: np.full(size, 1 + at[0].start // size, np.float32),
        )
        result = np.asarray(total(x).addressable_data(0))
        assert result.shape == (size,) and (result == sum(range(1, mesh.size + 1))).all()
        yield {"name": name, "seconds": timed(lambda: total(x))}


def steps(mesh):
    """The state is the step's first argument and its first result; the loss is the second."""
    import jax
    import numpy as np
    from jax.sharding import NamedSharding
    from jax.sharding import PartitionSpec as P

    sys.path.insert(0, ROOT)
    from benchmarks.entry import group

    here, everywhere = jax.local_devices()[0], NamedSharding(mesh, P())

    def put(array, spec):
        array = np.asarray(array)
        return jax.make_array_from_callback(
            array.shape, NamedSharding(mesh, spec), lambda at: array[at]
        )

    for name in STEPS:
        entry = group("models")[name]
        state, *batch = entry.inputs(np.random.default_rng(0))
        alone = jax.jit(entry.function, donate_argnums=0)
        divided = jax.jit(entry.function, donate_argnums=0, out_shardings=(everywhere, everywhere))
        losses = []
        for run, first, data in (
            (alone, jax.device_put(state, here), jax.device_put(batch, here)),
            (divided, jax.tree.map(lambda a: put(a, P()), state), [put(a, P("i")) for a in batch]),
        ):
            held, kept = [first], []

            def call(run=run, data=data, held=held):
                held[0], value = run(held[0], *data)
                return held[0], value

            for _ in range(TRAINED):
                kept.append(float(call()[1]))
            losses.append(kept)
            seconds = timed(call)
            title = name if run is divided else name + "_one_device"
            yield {"name": title, "seconds": seconds, "losses": kept}
        np.testing.assert_allclose(losses[1], losses[0], rtol=2e-3)


def work(platform: str) -> None:
    """A process of a job: the first prints one JSON line per row."""
    import jax
    import numpy as np
    from jax.sharding import Mesh

    from jax_mps_c import launch

    launch.initialize()
    devices = jax.devices(platform)
    assert len(devices) == jax.process_count(), devices
    mesh = Mesh(np.array(devices), ("i",))
    for rows in (sums, steps):
        try:
            for row in rows(mesh):
                if jax.process_index() == 0:
                    print(json.dumps(row), flush=True)
        except Exception as failure:  # a row, not the end of the table
            print(json.dumps({"name": rows.__name__, "failure": str(failure)[:500]}), flush=True)
            raise
    if platform == "mps":
        from jax_mps_c import counters

        if jax.process_index() == 0:
            read = counters.read()
            own, all = read["device_collectives"], read["collectives"]
            print(json.dumps({"name": "collectives", "own": own, "all": all}), flush=True)


def measure(platform: str, n: int) -> dict[str, dict]:
    command = [sys.executable, "-m", "jax_mps_c.launch", "--processes", str(n)]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        with subprocess.Popen(
            [*command, os.path.abspath(__file__), "--work", platform],
            env=os.environ | {"JAX_PLATFORMS": f"{platform},cpu"},
            stdout=out,
            stderr=err,
        ) as child:
            try:
                status = child.wait(LIMIT)
            except subprocess.TimeoutExpired:
                child.terminate()
                status = f"nothing after {LIMIT} s"
        out.seek(0)
        err.seek(0)
        lines = [line.partition("] ")[2] for line in out]
        if status:
            print(f"{platform} ended with {status}\n{err.read()[-4000:]}", flush=True)
    rows = [json.loads(line) for line in lines if line.startswith("{")]
    return {row["name"]: row for row in rows}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", default="parallel.json")
    parser.add_argument("--platforms", default="mps,cuda")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work)
        return 0
    platforms = options.platforms.split(",")
    rounds = [{p: measure(p, options.processes) for p in platforms} for _ in range(ROUNDS)]
    names = dict.fromkeys(name for r in rounds for rows in r.values() for name in rows)
    table, failed = [], False
    for name in names:
        row = {"name": name}
        for p in platforms:
            found = [r[p][name] for r in rounds if name in r[p]]
            failures = [f["failure"] for f in found if "failure" in f]
            failed |= bool(failures)
            if failures:
                row[p] = failures[0]
            elif found and "seconds" in found[0]:
                row[f"{p}_ms"] = statistics.median(f["seconds"] for f in found) * 1e3
            elif found:
                row |= found[0]
        if "mps_ms" in row and "cuda_ms" in row:
            row["ratio"] = row["cuda_ms"] / row["mps_ms"]
        table.append(row)
        print(json.dumps(row), flush=True)
    with open(options.output, "w", encoding="utf-8") as file:
        json.dump(table, file, indent=1)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
