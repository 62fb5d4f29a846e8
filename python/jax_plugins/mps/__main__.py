# SPDX-License-Identifier: Apache-2.0
"""`python -m jax_plugins.mps`: the doctor; `python -m jax_plugins.mps selftest`: every op."""

import jax_mps_c.__main__  # noqa: F401
