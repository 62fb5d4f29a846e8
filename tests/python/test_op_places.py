# SPDX-License-Identifier: Apache-2.0
"""An elementwise op of src/ir/ops.def has all its places (docs/ADD_AN_OP.md): groups of the host and
of a device can have it, and the device engine can lower it. Its case is test_coverage.py's to
find."""

import pathlib
import re

import pytest

pytestmark = pytest.mark.repository
ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
# Series and continued fractions with an end that depends on the data: the host's library runs them.
BY_THE_LIBRARY = {
    "bessel_i0e",
    "bessel_i1e",
    "digamma",
    "igamma",
    "igamma_grad_a",
    "igammac",
    "lgamma",
    "polygamma",
    "regularized_incomplete_beta",
    "zeta",
}


def elementwise_ops() -> list[str]:
    """Those with one result and no region: `map` runs a body."""
    row = re.compile(r"^OP\((\w+),\s*\d, 1, 0, [\w|]+,\s*([\w|]+),", re.MULTILINE)
    table = (SOURCE / "ir" / "ops.def").read_text(encoding="utf-8")
    return [name for name, traits in row.findall(table) if "E" in traits.split("|")]


def rows(folder: str, pattern: str, row: str) -> set[str]:
    texts = [p.read_text(encoding="utf-8") for p in (SOURCE / folder).glob(pattern)]
    assert texts, f"no {folder}/{pattern}"
    return set(re.findall(row, "\n".join(texts)))


def test_elementwise_ops_are_found():
    ops = elementwise_ops()
    assert len(ops) > 50 and {"add", "cbrt", "select", "shift_left"} <= set(ops)


def test_every_elementwise_op_is_emitted():
    emitted = rows("kernel/emit", "*.c", r"\[JM_OP_(\w+)\] = \{")
    assert not emitted & BY_THE_LIBRARY
    missing = sorted(set(elementwise_ops()) - emitted - BY_THE_LIBRARY)
    assert not missing, f"no row in src/kernel/emit/element_*.c or emit_table.c for {missing}"


def test_every_elementwise_op_is_lowered_for_the_device():
    lowered = rows("engine/mlx", "lower_*.c", r"\{JM_OP_(\w+), lower_")
    assert not lowered & BY_THE_LIBRARY
    missing = sorted(set(elementwise_ops()) - lowered - BY_THE_LIBRARY)
    assert not missing, f"no row in src/engine/mlx/lower_elementwise.c for {missing}"
