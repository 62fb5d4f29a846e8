# SPDX-License-Identifier: Apache-2.0
"""The cases reach every op of src/ir/ops.def: an op without a case fails here."""

import pathlib
import re

import jax
from test_sharding import PROGRAMS, sharded

from jax_mps_c.selftest.cases import CASES
from jax_mps_c.selftest.harness import gradient_of, x64

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Ops that JAX does not make for one device, or only inside what the cases cannot compare (tokens,
# custom calls, rng, whose values are free); C tests and test_programs.py run them. From 0.12 on JAX
# itself expands asin. The compiler makes fusion and sliced.
NOT_FROM_CASES = {
    "after_all",
    "all_to_all",
    *(["asin"] if jax.__version_info__ >= (0, 12) else []),
    "collective_broadcast",
    "create_token",
    "custom_call",
    "full_to_shard",
    "fusion",
    "logistic",
    "map",
    "replica_id",
    "rng",
    "shard_to_full",
    "sharding_constraint",
    "sharding_group",
    "sliced",
    "unreduce",
}
# The wire's names of some ops of ours.
SPELLING = {"case": "case|if"}


def programs():
    """Their texts; the derivatives, which are long and hold few ops that the others do not, last."""
    device = jax.devices("mps")[0]
    with jax.default_device(device):
        for case in CASES:
            with x64(case.x64):
                yield jax.jit(case.function).lower(*case.arrays()).as_text()
    for program in PROGRAMS.values():
        function, x = sharded(program, "mps")
        yield jax.jit(function).lower(x).as_text()
    with jax.default_device(device):
        for case in CASES:
            if case.grad:
                with x64(case.x64):
                    yield jax.jit(gradient_of(case)).lower(*case.arrays()).as_text()


def test_every_op_is_in_a_case():
    table = (ROOT / "src" / "ir" / "ops.def").read_text(encoding="utf-8")
    missing = set(re.findall(r"^OP\((\w+)", table, re.MULTILINE)) - NOT_FROM_CASES
    for text in programs():
        met = set(re.findall(r"\b(?:stablehlo|chlo|sdy|mhlo|mps)\.(\w+)", text))
        missing = {op for op in missing if met.isdisjoint(SPELLING.get(op, op).split("|"))}
        if not missing:
            break
    assert not missing, f"no case has {sorted(missing)}"
