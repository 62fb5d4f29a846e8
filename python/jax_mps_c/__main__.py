# SPDX-License-Identifier: Apache-2.0
"""`python -m jax_mps_c`: what works on this machine and what is missing; `selftest` tries it."""

import sys

if sys.argv[1:2] == ["selftest"]:
    from jax_mps_c.selftest import main

    raise SystemExit(main(sys.argv[2:]))

from jax_mps_c.doctor import main

raise SystemExit(main())
