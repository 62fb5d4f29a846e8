# SPDX-License-Identifier: Apache-2.0
"""`python -m jax_mps_c`: what works on this machine and what is missing; `selftest` tries it;
`explain` prints what is made of a program, `timeline` where the time of a run went."""

import importlib
import sys

COMMANDS = {
    "selftest": "jax_mps_c.selftest",
    "explain": "jax_mps_c.explain",
    "timeline": "jax_mps_c.timeline",
}

if sys.argv[1:2] and sys.argv[1] in COMMANDS:
    status = importlib.import_module(COMMANDS[sys.argv[1]]).main(sys.argv[2:])
else:
    status = importlib.import_module("jax_mps_c.doctor").main()
raise SystemExit(status)
