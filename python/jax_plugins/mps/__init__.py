# SPDX-License-Identifier: Apache-2.0
"""The platform `mps` under the name JAX looks for. Everything lives in jax_mps_c.

JAX finds that package by its entry point too, so nothing is lost when another distribution
overwrites this file.
"""

from jax_mps_c import __version__, initialize

__all__ = ["__version__", "initialize"]
