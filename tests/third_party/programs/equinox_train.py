# SPDX-License-Identifier: Apache-2.0
"""A network trained by Equinox with checks in its loss; the last input trips the check."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

key_model, key_x = jax.random.split(jax.random.PRNGKey(3))
model = eqx.nn.MLP(2, 1, width_size=16, depth=2, key=key_model)
x = jax.random.normal(key_x, (64, 2))
y = jnp.sin(x[:, 0]) * x[:, 1]
optimiser = optax.adam(1e-2)


def loss(model, x, y):
    x = eqx.error_if(x, ~jnp.isfinite(x), "the input is not finite")
    error = jax.vmap(model)(x)[:, 0] - y
    error = eqx.error_if(error, jnp.any(jnp.abs(error) > 1e6), "the loss explodes")
    return jnp.mean(error**2)


@eqx.filter_jit
def step(model, state, x, y):
    value, gradient = eqx.filter_value_and_grad(loss)(model, x, y)
    updates, state = optimiser.update(gradient, state, eqx.filter(model, eqx.is_array))
    return eqx.apply_updates(model, updates), state, value


state = optimiser.init(eqx.filter(model, eqx.is_array))
losses = []
for _ in range(30):
    model, state, value = step(model, state, x, y)
    losses.append(float(value))
try:
    jax.block_until_ready(step(model, state, x.at[3, 1].set(jnp.nan), y)[2])
    error = ""
except Exception as caught:  # the type is Equinox's own
    error = str(caught)
after = float(step(model, state, x, y)[2])
print(json.dumps({"numbers": {"losses": losses, "after": after}, "error": error}))
