# SPDX-License-Identifier: Apache-2.0
"""BlackJAX: window adaptation and NUTS. In float64: a trajectory that turns back elsewhere because of
a last digit would make other draws."""

import json

import jax

jax.config.update("jax_enable_x64", True)

import blackjax  # noqa: E402
import jax.numpy as jnp  # noqa: E402


def logdensity(position):
    x, y = position["x"], position["y"]
    return -0.5 * jnp.sum(x**2 / jnp.array([1.0, 4.0])) - 0.5 * (y - x[0]) ** 2


start = {"x": jnp.ones(2), "y": jnp.array(0.5)}
warmup = blackjax.window_adaptation(blackjax.nuts, logdensity)
(state, parameters), _ = warmup.run(jax.random.key(0), start, num_steps=60)
kernel = blackjax.nuts(logdensity, **parameters).step


@jax.jit
def draw(state, key):
    state, info = kernel(key, state)
    return state, (state.position["x"], info.acceptance_rate)


_, (draws, rates) = jax.lax.scan(draw, state, jax.random.split(jax.random.key(1), 30))
numbers = {"draws": draws[:10].tolist(), "rate": float(rates.mean())}
numbers["step"] = float(parameters["step_size"])
print(json.dumps({"numbers": numbers, "error": ""}))
