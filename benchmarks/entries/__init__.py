# SPDX-License-Identifier: Apache-2.0
"""The tables, a module a group. Names and sizes stay as they are: figures are compared over time."""
