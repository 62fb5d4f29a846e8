# SPDX-License-Identifier: Apache-2.0
"""The version of the Python half. The library tells its own."""

__version__ = "0.1.0"
