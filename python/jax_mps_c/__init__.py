# SPDX-License-Identifier: Apache-2.0
"""JAX's platform `mps`: finds the plugin library and registers it.

JAX calls `initialize` by itself when it looks for devices. Calling it by hand, earlier, later or
twice, does no harm. `python -m jax_mps_c` tells what was found.
"""

from jax_mps_c.registration import initialize
from jax_mps_c.user_kernel import kernel
from jax_mps_c.version import __version__

__all__ = ["__version__", "initialize", "kernel"]
