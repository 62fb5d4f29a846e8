# SPDX-License-Identifier: Apache-2.0
"""How long a program that JAX's persistent compilation cache holds takes to its first result."""

from __future__ import annotations

import dataclasses

from benchmarks.entries import compile as cold

ENTRIES = [dataclasses.replace(entry, figure="cached") for entry in cold.ENTRIES]
ENTRIES = [dataclasses.replace(entry, name=f"{entry.name}_cached") for entry in ENTRIES]
