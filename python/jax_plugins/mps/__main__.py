# SPDX-License-Identifier: Apache-2.0
"""`python -m jax_plugins.mps`: the doctor, or its commands `selftest` and `explain`."""

import jax_mps_c.__main__  # noqa: F401
