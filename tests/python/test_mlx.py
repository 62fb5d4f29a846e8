# SPDX-License-Identifier: Apache-2.0
"""Which MLX is found, which engine is taken for it, and what is said where there is none."""

import logging
import pathlib

import pytest

from jax_mps_c import locate, registration


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A plugin whose build has an engine for MLX 1.2.3, and that MLX installed."""
    library = tmp_path / locate.PLUGIN
    (tmp_path / f"{locate.ENGINE_PREFIX}1_2_3{locate.SUFFIX}").touch()
    monkeypatch.setattr(registration.state, "library", library)
    monkeypatch.delenv("JAX_MPS_MLX_ENGINE", raising=False)
    monkeypatch.delenv("JAX_MPS_DEVICE", raising=False)
    installed(monkeypatch, "mlx-cpu", "1.2.3")
    return library


def installed(monkeypatch, package, version):
    mlx = locate.Mlx(package, version, pathlib.Path("/mlx/lib/libmlx.so"))
    monkeypatch.setattr(locate, "find_mlx", lambda: mlx)
    return mlx


def test_the_engine_for_the_installed_version(plugin):
    assert registration.mlx_options() == {
        "mlx_library": str(pathlib.Path("/mlx/lib/libmlx.so")),
        "mlx_engine": str(plugin.parent / f"{locate.ENGINE_PREFIX}1_2_3{locate.SUFFIX}"),
    }


def test_another_version_is_named_with_what_to_do(plugin, monkeypatch, caplog):
    installed(monkeypatch, "mlx-cuda-13", "1.2.4")
    with caplog.at_level(logging.WARNING):
        assert registration.mlx_options() == {}
    (record,) = caplog.records
    assert "mlx-cuda-13 1.2.4 is installed" in record.message
    assert "pip install mlx==1.2.3 mlx-cuda-13==1.2.3" in record.message


@pytest.mark.parametrize("device", ["gpu", "mlx-cpu"])
def test_another_version_is_an_error_for_who_asks(plugin, monkeypatch, device):
    installed(monkeypatch, "mlx-cpu", "1.2.4")
    monkeypatch.setenv("JAX_MPS_DEVICE", device)
    with pytest.raises(RuntimeError, match="pip install mlx==1.2.3 mlx-cpu==1.2.3"):
        registration.mlx_options()


def test_a_build_without_engines_says_nothing(plugin, caplog):
    for engine in locate.find_engines(plugin):
        engine.unlink()
    with caplog.at_level(logging.WARNING):
        assert registration.mlx_options() == {}
    assert not caplog.records


def test_no_mlx(plugin, monkeypatch, caplog):
    monkeypatch.setattr(locate, "find_mlx", lambda: None)
    with caplog.at_level(logging.WARNING):
        assert registration.mlx_options() == {}
    assert not caplog.records


def test_finding_does_not_import_it(python):
    done = python(
        "-c",
        "import sys; from jax_mps_c import locate; print(locate.find_mlx()); "
        "print('mlx' in sys.modules)",
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "False"
