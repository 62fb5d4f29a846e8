# SPDX-License-Identifier: Apache-2.0
"""`python -m jax_mps_c`: what works on this machine and what is missing."""

from jax_mps_c.doctor import main

raise SystemExit(main())
