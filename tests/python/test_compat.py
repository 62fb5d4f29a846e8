# SPDX-License-Identifier: Apache-2.0
"""Versions of jax; scripts/grid.py runs the plugin with each of them."""

import pytest

from jax_mps_c import compat

OLD = """
import jax
jax.__version_info__ = (0, 4, 20)
jax.__version__ = "0.4.20"
"""


def test_too_old_is_refused_before_it_is_loaded(code, python):
    lines, done = code(OLD + "print(jax.devices()[0].platform)")
    assert lines == ["cpu"]
    assert 'needs jax 0.4.38 or newer, this is 0.4.20; try: pip install -U "jax' in done.stderr
    asked = python("-c", OLD + "jax.devices()", JAX_PLATFORMS="mps")
    assert asked.returncode == 1
    assert "needs jax 0.4.38 or newer, this is 0.4.20" in asked.stderr


def test_options_are_a_function_and_a_mapping():
    made = []
    options = compat.LazyOptions(lambda: made.append(1) or {"a": "1", "b": "2"})
    assert not made, "options are made before the client is"
    assert options() == {"a": "1", "b": "2"}
    copy = {}
    copy.update(options)
    assert copy == {"a": "1", "b": "2"} and len(options) == 2
    assert made == [1]


def test_a_client_under_another_key(monkeypatch):
    """Older versions have no function for it; the calls are jaxlib's own."""
    from jax._src import xla_bridge
    from jax._src.lib import xla_client

    calls = []
    monkeypatch.delattr(xla_bridge, "make_pjrt_c_api_client")
    monkeypatch.setattr(xla_client, "pjrt_plugin_initialized", lambda key: False)
    monkeypatch.setattr(xla_client, "initialize_pjrt_plugin", lambda key: calls.append(key))
    monkeypatch.setattr(xla_client, "make_c_api_client", lambda *args: args)
    made = compat.make_client("key", compat.LazyOptions(lambda: {"a": "1"}))
    assert calls == ["key"] and made == ("key", {"a": "1"}, None)


@pytest.mark.parametrize("version", ["0.4.38", "0.10.2"])
def test_supported_versions_are_not_refused(version, monkeypatch):
    import jax

    monkeypatch.setattr(jax, "__version_info__", tuple(map(int, version.split("."))))
    compat.check_version()
