# SPDX-License-Identifier: Apache-2.0
"""How long a program takes to come to life: its first call, traced before."""

from __future__ import annotations

import dataclasses

import jax

from benchmarks.entries import models
from benchmarks.entry import Entry, uniform

MODELS = {entry.name: entry for entry in models.ENTRIES}


def small(x, matrix, bias):
    return jax.nn.softmax(jax.nn.gelu(x @ matrix + bias))


ENTRIES = [
    Entry("small", small, uniform((16, 32), (32, 8), (8,)), figure="compile"),
    dataclasses.replace(MODELS["resnet18_step_b32"], name="resnet_step", figure="compile"),
    dataclasses.replace(MODELS["gpt_block_step"], name="gpt_step", figure="compile"),
]
