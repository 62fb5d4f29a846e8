# SPDX-License-Identifier: Apache-2.0
"""Other distributions that claim the name `mps` in JAX."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import re

OURS = "jax-mps-c"
NAME = "mps"
GROUP = "jax_plugins"


@dataclasses.dataclass(frozen=True)
class Clash:
    """A distribution other than ours that registers `mps` or owns files in jax_plugins/mps."""

    distribution: str
    version: str
    claim: str

    def __str__(self) -> str:
        return (
            f"{self.distribution} {self.version} {self.claim} and so takes the JAX platform name "
            f"'{NAME}' too; {OURS} is loaded. Keep one: pip uninstall {self.distribution}"
        )


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def claim_of(distribution: importlib.metadata.Distribution) -> str:
    """What of the name a distribution claims; an empty string for nothing."""
    for point in distribution.entry_points:
        if point.group == GROUP and point.name == NAME:
            return f"has the entry point {GROUP}:{NAME} = {point.value}"
    # The file list is long in large packages: look at the text before parsing it.
    record = distribution.read_text("RECORD") or ""
    if f"{GROUP}/{NAME}/" in record or f"{GROUP}/{NAME}.py," in record:
        return f"owns files in {GROUP}/{NAME}"
    return ""


def find_clashes() -> list[Clash]:
    clashes = {}
    for distribution in importlib.metadata.distributions():
        # Most claim nothing: parsing all their metadata would take as long as starting the plugin.
        if not (claim := claim_of(distribution)):
            continue
        name = distribution.metadata["Name"]
        if name and normal(name) != OURS:
            clashes[name] = Clash(name, distribution.version, claim)
    return [clashes[name] for name in sorted(clashes)]
