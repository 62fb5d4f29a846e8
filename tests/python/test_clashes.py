# SPDX-License-Identifier: Apache-2.0
"""Two made-up distributions that take the name `mps`, found before and after ours."""

import os

import pytest

RIVAL = """
import os
from jax._src import xla_bridge
LOADED = False
def initialize():
    global LOADED
    LOADED = True
    if os.environ.get("RIVAL_LIBRARY"):
        xla_bridge.register_plugin("mps", priority=900, library_path=os.environ["RIVAL_LIBRARY"])
"""


@pytest.fixture
def rivals(tmp_path):
    """One owns jax_plugins/mps, the other has only an entry point of the same name."""
    site = tmp_path / "site"
    owner = site / "jax_plugins" / "mps"
    owner.mkdir(parents=True)
    (owner / "__init__.py").write_text(RIVAL)
    (site / "rival_points.py").write_text(RIVAL)
    for name, record, points in (
        ("rival-owner", "jax_plugins/mps/__init__.py,,\n", ""),
        ("rival_points", "rival_points.py,,\n", "[jax_plugins]\nmps = rival_points\n"),
    ):
        info = site / f"{name.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "RECORD").write_text(record)
        (info / "entry_points.txt").write_text(points)
    return site


def paths(*first):
    return os.pathsep.join([*map(str, first), os.environ.get("PYTHONPATH", "")])


def test_each_is_named_with_the_way_out(code, rivals):
    lines, done = code(
        "import jax; print(jax.devices('mps')[0].platform)", PYTHONPATH=paths(rivals)
    )
    assert lines == ["mps"]
    for name in ("rival-owner", "rival_points"):
        assert done.stderr.count(f"pip uninstall {name}") == 1, done.stderr
    assert "Traceback" not in done.stderr


def library():
    from jax_mps_c import locate

    return locate.find_library()


@pytest.mark.parametrize("first", ["rival_points", "jax_mps_c"])
def test_ours_wins_in_both_orders(code, rivals, first, tmp_path):
    """The rival brings a library of its own (a copy of ours, told by its path)."""
    copy = tmp_path / "librival.so"
    copy.write_bytes(library().read_bytes())
    text = f"""
import {first}
{first}.initialize()
import jax
devices = jax.devices("mps")
from jax._src import xla_bridge
from jax_mps_c.registration import state
import rival_points
print(state.error == "", rival_points.LOADED)
print(xla_bridge._backend_factories["mps"].priority)
print(float(jax.numpy.ones(3).sum()))
"""
    lines, done = code(text, PYTHONPATH=paths(rivals), RIVAL_LIBRARY=copy)
    assert lines == ["True True", "1", "3.0"], done.stderr
    assert "pip uninstall rival_points" in done.stderr


def test_none_here(code):
    lines, _ = code("from jax_mps_c import clashes; print(clashes.find_clashes())")
    assert lines == ["[]"]
