# SPDX-License-Identifier: Apache-2.0
"""Both platforms in one process: mps is the default device, cpu is there to compare with."""

import os
import pathlib
import sys

os.environ.setdefault("JAX_PLATFORMS", "mps,cpu")
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import pytest  # noqa: E402 - the settings come first


@pytest.fixture(scope="session", autouse=True)
def no_oracle():
    """No program's op runs in the oracle (src/engine/ref): the library serves what no kernel does."""
    yield
    from jax_mps_c import counters

    assert counters.read()["oracle_ops"] == 0
