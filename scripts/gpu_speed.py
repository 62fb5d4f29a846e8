# SPDX-License-Identifier: Apache-2.0
"""Speed of `mps` on a GPU against JAX's CUDA plugin, in one run.

    scripts/gpu_speed.py --output speed.json
    scripts/gpu_speed.py --sweep --output sweep.json   mps alone, under settings of MLX

Each entry runs the same JAX function on both platforms, in two processes that alternate; a process
checks its result against JAX's CPU backend first, then times blocks of calls on other inputs than
those it checked, each block ended by block_until_ready. Ratio: median time of cuda / median of mps;
above 1, mps is faster. The steps of whole models, which compile long, are measured in one round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

ROUNDS = 3
# Of benchmarks/entries/models.py.
MODELS = ("resnet18_step_b32", "gpt_block_step", "decode_kv_cache")
SWEPT = ("softmax_4096x1024", "conv3x3_grad", "random_normal_1m", "mlp_8_layers", "lstm_128")
SETTINGS = (
    {},
    {"MLX_USE_CUDA_GRAPHS": "0"},
    {"MLX_MAX_OPS_PER_BUFFER": "20"},
    {"MLX_MAX_OPS_PER_BUFFER": "40"},
    {"MLX_MAX_OPS_PER_BUFFER": "300"},
)


def lstm(x, w):
    """The last state, and h of every step. x: [steps, batch, inputs]; w: of inputs and h."""
    import jax
    import jax.numpy as jnp

    def cell(carry, x):
        h, c = carry
        i, f, g, o = jnp.split(jnp.concatenate([x, h], -1) @ w, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zero = jnp.zeros((x.shape[1], w.shape[1] // 4))
    return jax.lax.scan(cell, (zero, zero), x)


def entries():
    import jax
    import jax.numpy as jnp
    import numpy as np

    def array(*shape, dtype="float32", seed=0):
        return np.random.default_rng(seed).uniform(-1, 1, shape).astype(dtype)

    def conv(x, w):
        return jax.lax.conv_general_dilated(
            x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def loss(x, w):
        return jnp.sum(jnp.tanh(conv(x, w)))

    def layers(x, ws):
        def layer(x, w):
            return jax.nn.gelu(x @ w), None

        return jax.lax.scan(layer, x, ws)[0]

    def attention(q, k, v):
        p = jax.nn.softmax(jnp.einsum("bhqd,bhkd->bhqk", q, k) / 8.0)
        return jnp.einsum("bhqk,bhkd->bhqd", p, v)

    image, kernel = (32, 32, 32, 64), (3, 3, 64, 64)
    return {
        "add_4m": (lambda x, y: x + y, (array(4 << 20), array(4 << 20, seed=1))),
        "gelu_4m": (jax.nn.gelu, (array(4 << 20),)),
        "sum_rows": (lambda x: x.sum(1), (array(4096, 1024),)),
        "softmax_4096x1024": (jax.nn.softmax, (array(4096, 1024),)),
        "matmul_1024": (jnp.matmul, (array(1024, 1024), array(1024, 1024, seed=1))),
        "matmul_bf16_4096": (
            jnp.matmul,
            (array(4096, 4096, dtype=jnp.bfloat16), array(4096, 4096, dtype=jnp.bfloat16, seed=1)),
        ),
        "conv3x3_b32": (conv, (array(*image), array(*kernel, seed=1))),
        "conv3x3_grad": (jax.grad(loss, (0, 1)), (array(*image), array(*kernel, seed=1))),
        "attention_fwd": (attention, tuple(array(8, 8, 256, 64, seed=s) for s in range(3))),
        "sort_4096x1024": (lambda x: jnp.sort(x, -1), (array(4096, 1024),)),
        "gather_rows_1m": (
            lambda x, i: x[i],
            (array(65536, 64), np.arange(1 << 20, dtype=np.int32) * 7 % 65536),
        ),
        "cumsum_4m": (lambda x: jnp.cumsum(x, -1), (array(4096, 1024),)),
        "random_normal_1m": (
            lambda s: jax.random.normal(jax.random.key(s), (1 << 20,)),
            (np.uint32(3),),
        ),
        "mlp_8_layers": (layers, (array(256, 512), array(8, 512, 512) / 16)),
        "lstm_128": (lambda x, w: lstm(x, w)[1], (array(128, 16, 64), array(128, 256, seed=1) / 8)),
        "scalar": (lambda x: x + 1, (np.float32(1),)),
    }


def models():
    """Their steps return the next state, and get the same one again here."""
    import numpy as np

    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from benchmarks.entry import group

    rows = group("models")
    return {
        name: (rows[name].function, rows[name].inputs(np.random.default_rng(0)))
        for name in MODELS
        if name in rows
    }


def chosen(which: str):
    """all: with the models, small: without them, swept: what is measured under many settings"""
    if which == "swept":
        return {name: row for name, row in entries().items() if name in SWEPT}
    return entries() | (models() if which == "all" else {})


def work(platform: str, which: str) -> None:
    """The child: prints one JSON line per entry: name, seconds per call, largest relative error."""
    import jax
    import numpy as np

    device, cpu = jax.devices(platform)[0], jax.devices("cpu")[0]
    for name, (function, inputs) in chosen(which).items():
        try:
            on_device = jax.device_put(inputs, device)
            call = jax.jit(function)
            actual = jax.tree.map(np.asarray, call(*on_device))
            expected = jax.tree.map(np.asarray, jax.jit(function)(*jax.device_put(inputs, cpu)))
            error = max(
                float(
                    np.max(np.abs(a.astype(np.float64) - e.astype(np.float64)))
                    / max(np.max(np.abs(e.astype(np.float64))), 1e-30)
                )
                for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected))
            )
            other = jax.device_put(jax.tree.map(lambda a: np.roll(a, 1), inputs), device)
            jax.block_until_ready(call(*other))
            began, calls, times = time.perf_counter(), 0, []
            while calls < 5 or time.perf_counter() - began < 0.3:
                start = time.perf_counter()
                jax.block_until_ready(call(*other))
                times.append(time.perf_counter() - start)
                calls += 1
            print(
                json.dumps({"name": name, "seconds": statistics.median(times), "error": error}),
                flush=True,
            )
        except Exception as failure:  # one entry's failure is a row, not the end of the table
            print(json.dumps({"name": name, "failure": str(failure)[:300]}), flush=True)


def measure(platform: str, which: str, settings: dict[str, str] | None = None) -> dict[str, dict]:
    name = "cuda" if platform == "cuda" else "mps"
    environment = os.environ | {"JAX_PLATFORMS": f"{name},cpu"} | (settings or {})
    child = subprocess.run(
        [sys.executable, __file__, "--work", name, "--which", which],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [json.loads(line) for line in child.stdout.splitlines() if line.startswith("{")]
    if not rows:
        raise SystemExit(f"{platform}: no results\n{child.stderr[-3000:]}")
    return {row["name"]: row for row in rows}


def sweep(output: str) -> int:
    """Times of mps under settings that MLX reads from its environment."""
    table = []
    for settings in SETTINGS:
        text = " ".join(f"{k}={v}" for k, v in settings.items()) or "as it is"
        print(text)
        for name, row in measure("mps", "swept", settings).items():
            table.append({"settings": text} | row)
            print(
                f"  {name:20}", row.get("failure") or f"{row['seconds'] * 1e3:9.3f} ms", flush=True
            )
    with open(output, "w", encoding="utf-8") as file:
        json.dump(table, file, indent=1)
    return int(any("failure" in row for row in table))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", default="speed.json")
    parser.add_argument("--against", default="cuda", help="the other platform (cuda)")
    parser.add_argument("--sweep", action="store_true", help="mps under settings of MLX")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--which", default="all", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.which)
        return 0
    if options.sweep:
        return sweep(options.output)
    rounds = [
        (measure("mps", which), measure(options.against, which))
        for which in ["all"] + ["small"] * (ROUNDS - 1)
    ]
    table, failed = [], False
    for name in rounds[0][0]:
        mine = [r[0][name] for r in rounds if name in r[0]]
        theirs = [r[1][name] for r in rounds if name in r[1]]
        failures = [row["failure"] for row in mine + theirs if "failure" in row]
        if failures:
            failed = True
            table.append({"name": name, "failure": failures[0]})
            print(f"{name:20} FAILED: {failures[0]}")
            continue
        a = statistics.median(row["seconds"] for row in mine)
        b = statistics.median(row["seconds"] for row in theirs)
        error = max(row["error"] for row in mine)
        table.append(
            {"name": name, "mps_ms": a * 1e3, "other_ms": b * 1e3, "ratio": b / a, "error": error}
        )
        print(
            f"{name:20} mps {a * 1e3:9.3f} ms  {options.against} {b * 1e3:9.3f} ms  "
            f"ratio {b / a:6.2f}  error {error:.1e}"
        )
    with open(options.output, "w", encoding="utf-8") as file:
        json.dump(table, file, indent=1)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
