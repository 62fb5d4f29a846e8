# SPDX-License-Identifier: Apache-2.0
"""What training steps over eight devices send and need, by the plan and by XLA's program for the CPU;
nothing runs. A line for each step, all in bytes: its name; what a device sends by the plan and by
XLA's program, counted by one rule (src/ir/collective.h); what it needs at once, by both; and what of
that is arguments."""

import math
import pathlib
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from benchmarks import entry as entries  # noqa: E402
from benchmarks.entries import sharded  # noqa: E402
from jax_mps_c import explain  # noqa: E402

SHARES = {  # of the bytes of the result, in a group of n
    "all-reduce": lambda n: 2 * (n - 1) / n,
    "all-gather": lambda n: (n - 1) / n,
    "all-to-all": lambda n: (n - 1) / n,
    "reduce-scatter": lambda n: n - 1,
    "collective-permute": lambda n: 1,
    "collective-broadcast": lambda n: 1,
}
COLLECTIVE = re.compile(rf" = (.*?) ({'|'.join(SHARES)})(-start)?\((.*)")


def bytes_of(shapes: str) -> int:
    total = 0
    for dtype, dims in re.findall(r"\b([a-z]+\d*\w*)\[([\d,]*)\]", shapes):
        name = {"pred": "bool", "s": "int", "f": "float", "u": "uint", "c": "complex"}
        kind, bits = re.fullmatch(r"([a-z]+?)(\d*)", dtype).groups()
        size = jnp.dtype("bfloat16" if dtype == "bf16" else name[kind] + bits).itemsize
        total += math.prod(map(int, filter(None, dims.split(",")))) * size
    return total


def members(attributes: str) -> int:
    """Of a group, in each of the forms that XLA writes."""
    if found := re.search(r"replica_groups=\{\{([\d,]+)\}", attributes):
        return found[1].count(",") + 1
    if found := re.search(r"replica_groups=\[\d+,(\d+)\]<=", attributes):
        return int(found[1])
    if found := re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", attributes):
        sizes = dict(re.findall(r"('\w+')=(\d+)", found[1]))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'\w+'", found[2]))
    assert "source_target_pairs" in attributes, attributes
    return 1


def sent_by_xla(text: str) -> float:
    total = 0.0
    for line in text.splitlines():
        if found := COLLECTIVE.search(line):
            shapes, code, start, rest = found.groups()
            assert not start, "an asynchronous collective has its operands among its results"
            total += bytes_of(shapes) * SHARES[code](members(rest))
    return total


def lower(entry: entries.Entry, platform: str):
    mesh = Mesh(np.array(jax.devices(platform)), (entries.AXIS,), axis_types=(AxisType.Auto,))
    assert mesh.size == entries.DEVICES
    inputs = entry.inputs(np.random.default_rng(0))
    arguments, results = jax.tree.map(
        lambda spec: NamedSharding(mesh, spec),
        entry.split(inputs),
        is_leaf=lambda node: isinstance(node, PartitionSpec),
    )
    function = jax.jit(
        entry.function, in_shardings=arguments, out_shardings=results, donate_argnums=0
    )
    with jax.set_mesh(mesh):
        return function.lower(*inputs)


def needed(compiled) -> int:
    """XLA's own peak for the CPU leaves temporary memory out."""
    stats = compiled.memory_analysis()
    total = stats.argument_size_in_bytes + stats.output_size_in_bytes + stats.temp_size_in_bytes
    return total - stats.alias_size_in_bytes


def main() -> None:
    jax.config.update("jax_num_cpu_devices", entries.DEVICES)
    for name in ("data_mlp_step", "data_gpt_step", "sharded_gpt_step", "tensor_mlp_step"):
        entry = {row.name: row for row in sharded.ENTRIES}[name]
        ours, xla = (lower(entry, platform).compile() for platform in ("mps", "cpu"))
        sent = explain.explain_compiled(ours).data["sent"], round(sent_by_xla(xla.as_text()))
        arguments = ours.memory_analysis().argument_size_in_bytes
        print(name, *sent, needed(ours), needed(xla), arguments, flush=True)


if __name__ == "__main__":
    main()
