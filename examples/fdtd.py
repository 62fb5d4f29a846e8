#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# /// script
# requires-python = ">=3.10"
# dependencies = ["jax-mps-c"]
#
# [tool.uv.sources]
# jax-mps-c = { path = ".." }
# ///
"""A pulse of light in a box, by finite differences in time: a fused step as a kernel of our own.

The step of both fields is one kernel, in Metal and in CUDA: a thread computes the magnetic field of
its cell, and once more that of two neighbours, so that the electric field needs no second launch.
`reference` is the same in JAX: it runs where there is no GPU, on every platform.
"""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp

import jax_mps_c

N = 64  # cells along each side
COURANT = 0.5  # of light in vacuum: cells that it crosses in a step

# `row`, `column` and the arrays are what the two languages say differently.
BODY = f"""
  const int n = {N};
  const float c = {COURANT}f;
  if (row >= n || column >= n) return;
  const int at = row * n + column;
  const float here = e[at];
  const float right = column + 1 < n ? e[at + 1] : 0.0f;
  const float below = row + 1 < n ? e[at + n] : 0.0f;
  const float x = hx[at] - c * (below - here);
  const float y = hy[at] + c * (right - here);
  const float x_above = row ? hx[at - n] - c * (here - e[at - n]) : 0.0f;
  const float y_left = column ? hy[at - 1] + c * (here - e[at - 1]) : 0.0f;
  new_e[at] = here + c / permittivity[at] * ((y - y_left) - (x - x_above));
  new_hx[at] = x;
  new_hy[at] = y;
"""
METAL = "const int row = thread_position_in_grid.y, column = thread_position_in_grid.x;" + BODY
CUDA = (
    "const int row = blockIdx.y * blockDim.y + threadIdx.y;"
    "const int column = blockIdx.x * blockDim.x + threadIdx.x;" + BODY
)


def reference(e: jax.Array, hx: jax.Array, hy: jax.Array, permittivity: jax.Array) -> tuple:
    hx = hx - COURANT * (jnp.pad(e[1:], ((0, 1), (0, 0))) - e)
    hy = hy + COURANT * (jnp.pad(e[:, 1:], ((0, 0), (0, 1))) - e)
    curl = (hy - jnp.pad(hy[:, :-1], ((0, 0), (1, 0)))) - (hx - jnp.pad(hx[:-1], ((1, 0), (0, 0))))
    return e + COURANT / permittivity * curl, hx, hy


FIELD = jax.ShapeDtypeStruct((N, N), jnp.float32)
step = jax_mps_c.kernel(
    "fdtd_step",
    source={"metal": METAL, "cuda": CUDA},
    grid=(N, N),
    threadgroup=(16, 16),
    out_shape=(FIELD, FIELD, FIELD),
    in_names=["e", "hx", "hy", "permittivity"],
    out_names=["new_e", "new_hx", "new_hy"],
    reference=reference,
)


@jax.jit
def advance(fields: tuple, permittivity: jax.Array) -> tuple:
    return jax.lax.fori_loop(0, 10, lambda _, f: tuple(step(*f, permittivity)), fields)


def energy(fields: tuple, permittivity: jax.Array) -> jax.Array:
    e, hx, hy = fields
    return jnp.sum(permittivity * e * e + hx * hx + hy * hy, (-2, -1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10, help="stretches of ten time steps")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    # Two media, in which one pulse starts at the same place: vmap makes one launch of both.
    place = jax.random.uniform(jax.random.key(args.seed), (2,), minval=0.3 * N, maxval=0.7 * N)
    rows, columns = jnp.meshgrid(jnp.arange(N), jnp.arange(N), indexing="ij")
    pulse = jnp.exp(-((rows - place[0]) ** 2 + (columns - place[1]) ** 2) / 18)
    media = jnp.stack([jnp.ones((N, N)), jnp.where(columns < N // 2, 1.0, 4.0)])
    fields = tuple(jnp.stack([f, f]) for f in (pulse, jnp.zeros((N, N)), jnp.zeros((N, N))))
    for stretch in range(args.steps):
        fields = jax.vmap(advance)(fields, media)
        vacuum, glass = energy(fields, media)
        print(f"step {stretch} energy {float(vacuum):.8f}")
        print(f"  half of it glass: energy {float(glass):.8f}")


if __name__ == "__main__":
    main()
