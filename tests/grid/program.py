# SPDX-License-Identifier: Apache-2.0
"""What must work on every version of jax that is not refused; raises where it does not. Run with
JAX_PLATFORMS=mps by scripts/grid.py."""

import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import io_callback

from jax_mps_c import registration

assert jax.devices()[0].platform == "mps"
lost = [f"{outcome.hook.name}: {outcome.result}" for outcome in registration.state.hooks]
lost = [text for text in lost if not text.endswith(": on")]
assert not lost, lost

x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
square = x[:, :3] + 3 * np.eye(3, dtype=np.float32)


def close(got, wanted):
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


# Ops, derivatives, control flow
close(jax.jit(lambda x: jnp.sin(x) @ x.T)(x), np.sin(x) @ x.T)
close(jax.grad(lambda x: jnp.sum(x**3))(x), 3 * x**2)
close(jax.vmap(jnp.sort)(x[:, ::-1]), x)
close(lax.scan(lambda c, v: (c + v, c), jnp.zeros(4), x)[0], x.sum(0))
close(jnp.cumsum(jnp.ones(1000))[-1], 1000)
close(lax.top_k(x, 2)[0], x[:, ::-1][:, :2])
close(lax.erf(jnp.float32(0.5)), 0.5204999)
close(lax.lgamma(jnp.float32(5)), np.log(24))
assert jax.random.uniform(jax.random.key(0), (9,)).shape == (9,)

# Linear algebra
close(jnp.linalg.inv(square) @ square, np.eye(3))
close(jnp.linalg.svd(square)[1], np.linalg.svd(square)[1])
close(jnp.linalg.eigvalsh(square + square.T), np.linalg.eigvalsh(square + square.T))

# Callbacks
scalar = jax.ShapeDtypeStruct((), np.float32)
seen = []
close(jax.jit(lambda x: jax.pure_callback(np.cos, scalar, x))(np.float32(0)), 1)
close(jax.jit(lambda x: io_callback(lambda a: a + 1, scalar, x, ordered=True))(np.float32(1)), 2)
jax.jit(lambda x: jax.debug.callback(lambda a: seen.append(float(a)), x, ordered=True))(2.0)
jax.effects_barrier()
assert seen == [2], seen


def fail(value):
    raise ValueError("for the test")


try:
    jax.jit(lambda x: jax.pure_callback(fail, scalar, x))(np.float32(1)).block_until_ready()
except Exception as error:  # noqa: BLE001 - its type differs between versions
    assert "for the test" in str(error), error
else:
    raise AssertionError("the callback's exception is lost")

# Donation
donated = jnp.ones(8)
jax.jit(lambda x: x + 1, donate_argnums=0)(donated).block_until_ready()
assert donated.is_deleted()

# Pallas
from jax.experimental import pallas as pl  # noqa: E402 - behind the platform's first use


def double(x_ref, o_ref):
    o_ref[...] = 2 * x_ref[...] + pl.program_id(0)


rows = pl.BlockSpec((1, 4), lambda i: (i, 0))
shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
kernel = pl.pallas_call(double, grid=(3,), in_specs=[rows], out_specs=rows, out_shape=shape)
close(kernel(x), 2 * x + np.arange(3)[:, None])

# The profiler
with tempfile.TemporaryDirectory() as folder:
    with jax.profiler.trace(folder):
        jnp.sin(jnp.ones(8)).block_until_ready()
    [space] = pathlib.Path(folder).glob("plugins/profile/*/*.xplane.pb")
    profile = space.read_bytes()
assert b"/device:CUSTOM:mps:0" in profile and b"Executions" in profile
print("ok", jax.__version__)
