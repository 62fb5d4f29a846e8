#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does this plugin cover the jaxlib of this Python? Versions are checked here instead of pinned.

Prints the jaxlib's StableHLO versions, the spellings in it that src/stablehlo/vhlo.def does not know,
and its PJRT version. Exit status 0: covered. A spelling newer than the plugin's StableHLO version is no
harm: jaxlib converts programs down to the version that the plugin names.
"""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SPELLING = re.compile(rb"vhlo\.[a-z][a-z_0-9]*_v\d+")
# Attributes and types are read by number, not by name; these are the names they have in jaxlib.
NOT_OPS = re.compile(
    r"vhlo\.((api_version|array|axis_ref|bool|buffer|comparison_(direction|type)|dict|fft_type|float"
    r"|future|index|integer|mesh(_axis)?|none|output_operand_alias|precision|quant(_per_axis)?"
    r"|replica_group_mesh_axes|result_accuracy(_mode)?|rng_(algorithm|distribution)|string"
    r"|sub_axis_info|(unranked_)?tensor|token|transpose|type(_extensions)?|witness|flat_symbol_ref"
    r"|custom_call_api_version|u?i\d+|b?f\d+\w*|tf31|complex|tuple|function)_v\d+)"
)
PROBE = """
import jax
client = jax.devices("mps")[0].client
print("version", *client.stablehlo_current_version)
print("oldest", *client.stablehlo_minimum_version)
"""

Version = tuple[int, ...]


def parse(text: str) -> Version:
    return tuple(int(part) for part in text.split("."))


def show(version: Version) -> str:
    return ".".join(str(part) for part in version)


def stablehlo_versions() -> tuple[Version, Version]:
    from jaxlib.mlir.dialects import stablehlo

    return parse(stablehlo.get_minimum_version()), parse(stablehlo.get_current_version())


def spellings() -> set[str]:
    """Every versioned op name in the jaxlib's libraries."""
    import jaxlib

    names: set[bytes] = set()
    for path in pathlib.Path(jaxlib.__file__).parent.rglob("*.so*"):
        names |= set(SPELLING.findall(path.read_bytes()))
    return {name for name in map(bytes.decode, names) if not NOT_OPS.fullmatch(name)}


def known_spellings() -> set[str]:
    table = (ROOT / "src" / "stablehlo" / "vhlo.def").read_text(encoding="utf-8")
    return set(re.findall(r'VHLO\("(vhlo\.\w+)"', table))


def ask_plugin() -> tuple[Version, Version, str, str]:
    """The plugin's oldest and own StableHLO version, both PJRT versions, from a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        capture_output=True,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "mps,cpu", "TF_CPP_MIN_LOG_LEVEL": "0"},
    )
    version = re.search(r"^version (.*)\noldest (.*)$", done.stdout, re.MULTILINE)
    pjrt = re.search(
        r"plugin has PJRT API version ([\d.]+)\. The framework PJRT API version is ([\d.]+?)\.?$",
        done.stderr,
        re.MULTILINE,
    )
    if not version:
        sys.exit("the plugin does not start here:\n" + done.stderr[-2000:])
    plugin, framework = pjrt.groups() if pjrt else ("unknown", "unknown")
    own, least = (tuple(int(part) for part in text.split()) for text in version.groups())
    return least, own, plugin, framework


def main() -> int:
    oldest, newest = stablehlo_versions()
    least, ours, pjrt_plugin, pjrt_jaxlib = ask_plugin()
    unknown = sorted(spellings() - known_spellings())
    sent = min(ours, newest)  # jaxlib converts down to what the plugin asks for, never up
    covered = max(oldest, least) <= sent
    print(f"jaxlib {importlib.metadata.version('jaxlib')}")
    print(
        f"  writes StableHLO {show(oldest)} to {show(newest)}; the plugin asks for {show(ours)}, "
        f"so {show(sent)} is sent: " + ("covered" if covered else "NOT COVERED")
    )
    print(f"  spellings that the plugin does not know: {', '.join(unknown) or 'none'}")
    same_major = pjrt_plugin.split(".")[0] == pjrt_jaxlib.split(".")[0]
    print(
        f"  PJRT {pjrt_jaxlib}; the plugin has {pjrt_plugin}: "
        + ("compatible" if same_major else "NOT COMPATIBLE")
    )
    return int(not (covered and same_major))


if __name__ == "__main__":
    sys.exit(main())
