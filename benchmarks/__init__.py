# SPDX-License-Identifier: Apache-2.0
"""Speed of the platform `mps` against JAX's CPU backend: `make bench`, or `python -m benchmarks`."""
