# SPDX-License-Identifier: Apache-2.0
"""A pendulum: solved with a progress meter and Diffrax's own checks, differentiated, and stopped by
the check of the number of steps."""

import json

import diffrax
import jax
import jax.numpy as jnp


def solve(length, meter=None, max_steps=4096):
    def field(t, y, args):
        return jnp.stack([y[1], -jnp.sin(y[0]) / args])

    return diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5(),
        t0=0.0,
        t1=5.0,
        dt0=0.05,
        y0=jnp.array([1.0, 0.0]),
        args=length,
        saveat=diffrax.SaveAt(ts=jnp.linspace(0.0, 5.0, 6)),
        stepsize_controller=diffrax.PIDController(rtol=1e-5, atol=1e-6),
        max_steps=max_steps,
        **({"progress_meter": meter} if meter else {}),
    )


length = jnp.float32(1.3)
numbers = {
    "text": solve(length, diffrax.TextProgressMeter()).ys.ravel().tolist(),
    "tqdm": jax.jit(lambda x: solve(x, diffrax.TqdmProgressMeter()).ys[-1])(length).tolist(),
    "slope": float(jax.grad(lambda x: solve(x).ys[-1, 0])(length)),
}
try:
    jax.block_until_ready(solve(length, max_steps=3).ys)
    error = ""
except Exception as caught:  # the type is Equinox's own
    error = str(caught)
print(json.dumps({"numbers": numbers, "error": error}))
