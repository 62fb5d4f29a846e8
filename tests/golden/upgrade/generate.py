# SPDX-License-Identifier: Apache-2.0
"""Serializes programs.mlir, split at its '// ----- name version' lines, to one <name>.mlirbc each.
Needs jaxlib; the expected IR (<name>.ir) is written by JM_REBASE=1 stablehlo_test."""

import pathlib
import re

from jaxlib import _jax

HERE = pathlib.Path(__file__).resolve().parent


def main():
    for old in HERE.glob("*.mlirbc"):
        old.unlink()
    parts = re.split(r"^// ----- (\S+) (\S+)\n", (HERE / "programs.mlir").read_text(), flags=re.M)
    for name, version, text in zip(parts[1::3], parts[2::3], parts[3::3]):
        try:
            data = _jax.mlir.serialize_portable_artifact(text, version, True)
        except Exception as error:
            print(name, error)
            continue
        (HERE / f"{name}.mlirbc").write_bytes(data)


if __name__ == "__main__":
    main()
