# SPDX-License-Identifier: Apache-2.0
"""Programs by chance: random JAX programs as data, their values, and what makes two values equal.
The command is scripts/fuzz_programs.py."""
