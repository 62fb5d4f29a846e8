# SPDX-License-Identifier: Apache-2.0
"""Settings of every test, and of the processes that tests start: JAX's CPU backend compiles quickly.
Most programs run once, so that compiling the expected values took most of the tests' time. This does
not reach the plugin, which reads none of these flags."""

import importlib.metadata
import os

# XLA ends a process that names a flag it doesn't know: jaxlib 0.11 has no choice of emitters.
FLAGS = ["--xla_backend_optimization_level=0"]
if importlib.metadata.version("jaxlib").startswith("0.10."):
    FLAGS += ["--xla_cpu_use_fusion_emitters=false"]
given = os.environ.get("XLA_FLAGS", "").split()
os.environ["XLA_FLAGS"] = " ".join(FLAGS + given)  # the last one of a name holds
