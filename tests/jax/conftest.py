# SPDX-License-Identifier: Apache-2.0
"""Both platforms in one process: mps is the default device, cpu is there to compare with."""

import os
import pathlib
import sys

os.environ.setdefault("JAX_PLATFORMS", "mps,cpu")
sys.path.insert(0, str(pathlib.Path(__file__).parent))
