# SPDX-License-Identifier: Apache-2.0
"""What a step of some programs launches, counted on MLX's CPU device with kernels for a GPU:

    JAX_MPS_KERNELS=cuda JAX_MPS_DEBUG=launches python tests/device/launches.py [NAME...]

prints a JSON line per program: kernels of ours, the bytes that they move and the fewest that their
groups need (kernel/schedule/traffic.h), MLX's primitives, copies, views (which launch nothing), and
ops that the host computed. Standard error tells each op with the functions that it called. The
programs are those of scripts/gpu_speed.py, smaller where that changes no count.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "mps,cpu")
os.environ.setdefault("JAX_MPS_DEVICE", "mlx-cpu")

import jax  # noqa: E402 - the settings come first
import numpy as np  # noqa: E402

from jax_mps_c import counters  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

SMALL = ("gelu_4m", "random_normal_1m", "gather_rows_1m", "mlp_8_layers", "lstm_128")
SMALL += ("sum_rows", "softmax_4096x1024", "cumsum_4m", "conv3x3_grad")  # for their bytes
COUNTED = {
    "kernels": "device_launches",
    "bytes": "device_bytes",
    "least": "device_least_bytes",
    "primitives": "device_primitives",
    "copies": "device_copies",
    "views": "device_views",
    "host": "host_ops",
    "waits": "device_waits",
}


def programs() -> dict[str, tuple[Any, Any]]:
    """Name to function and inputs."""
    import gpu_speed

    from benchmarks.entries import models

    random = np.random.default_rng(0)
    entries = gpu_speed.entries()
    leaves, images, labels = models.resnet_inputs(random)
    return {name: entries[name] for name in SMALL} | {
        "resnet18_step_b32": (models.resnet_step, (leaves, images[:4], labels[:4])),
        "gpt_block_step": (models.gpt_step, models.gpt_inputs(random, length=64, batch=2)),
        "decode_kv_cache": (models.decode, models.decode_inputs(random, length=256)),
    }


def count(function: Any, inputs: Any) -> dict[str, int]:
    """Of the second call: constants were uploaded by the first."""
    device = jax.devices("mps")[0]
    call = jax.jit(function)
    on_device = jax.device_put(inputs, device)
    jax.block_until_ready(call(*on_device))
    before = counters.read()
    print("launches: the second call", file=sys.stderr, flush=True)
    jax.block_until_ready(call(*on_device))
    after = counters.read()
    return {name: after[counter] - before[counter] for name, counter in COUNTED.items()}


def main() -> None:
    wanted = sys.argv[1:]
    for name, (function, inputs) in programs().items():
        if not wanted or name in wanted:
            print(json.dumps({"name": name} | count(function, inputs)), flush=True)


if __name__ == "__main__":
    main()
