# SPDX-License-Identifier: Apache-2.0
"""An LSTM of Haiku over a sequence, its state threaded by hk.dynamic_unroll, trained by optax."""

import json

import haiku as hk
import jax
import jax.numpy as jnp
import optax


def forward(x):
    core = hk.LSTM(16)
    out, _ = hk.dynamic_unroll(core, x, core.initial_state(x.shape[1]))
    return hk.Linear(1)(out)[..., 0]


net = hk.without_apply_rng(hk.transform(forward))
x = jax.random.normal(jax.random.key(1), (20, 8, 3))
y = jnp.cumsum(x[..., 0], axis=0) * 0.1
params = net.init(jax.random.key(0), x)
optimizer = optax.chain(
    optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(0.02, 30))
)
state = optimizer.init(params)


@jax.jit
def step(params, state):
    loss, gradients = jax.value_and_grad(lambda p: jnp.mean((net.apply(p, x) - y) ** 2))(params)
    updates, state = optimizer.update(gradients, state)
    return optax.apply_updates(params, updates), state, loss


losses = []
for _ in range(20):
    params, state, loss = step(params, state)
    losses.append(float(loss))
print(json.dumps({"numbers": {"losses": losses}, "error": ""}))
