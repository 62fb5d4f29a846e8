# SPDX-License-Identifier: Apache-2.0
"""The tests of this folder prove where programs ran: with everything placed on the host they fail."""

import pytest

PLACES = [
    "test_cases.py::test_value[exp]",
    "test_cases.py::test_value[conv_same]",
    "test_cases.py::test_gradient[sort]",
    "test_cases.py::test_value[matmul]",
    "test_placement.py::test_counted_loops_never_wait[scan]",
    "test_placement.py::test_data_dependent_loops_wait_once_a_round[3]",
    "test_placement.py::test_the_chip_is_named",
]


@pytest.mark.parametrize("device, code", [("host", 1), (None, 0)])
def test_a_forced_host_placement_fails(python, device, code):
    arguments = [f"tests/device/{place}" for place in PLACES]
    environment = {"JAX_MPS_DEVICE": device} if device else {}
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, **environment)
    assert done.returncode == code, done.stdout + done.stderr
    outcome = f"{len(PLACES)} failed" if device else f"{len(PLACES)} passed"
    assert outcome in done.stdout, done.stdout


def test_a_missing_engine_fails_where_it_is_required(python):
    code = (
        "import sys; sys.modules['mlx'] = None; import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    )
    arguments = ["-q", "-p", "no:cacheprovider", f"tests/device/{PLACES[-1]}"]
    environment = {"JAX_MPS_MLX_ENGINE": None}
    done = python("-c", code, *arguments, JM_REQUIRE_DEVICE="1", **environment)
    assert done.returncode != 0
    assert "MLX is not installed" in done.stdout + done.stderr
    done = python("-c", code, *arguments, JM_REQUIRE_DEVICE=None, **environment)
    assert done.returncode == 0 and "1 skipped" in done.stdout, done.stdout + done.stderr
