# SPDX-License-Identifier: Apache-2.0
"""An environment as Brax and Gymnax have them: a state that step() takes and gives, vmapped over many
copies, unrolled by scan with resets, and a policy that is trained through the physics."""

import json
from typing import NamedTuple

import jax
import jax.numpy as jnp


class State(NamedTuple):
    angle: jax.Array
    speed: jax.Array
    age: jax.Array
    key: jax.Array


def reset(key):
    key, angle, speed = jax.random.split(key, 3)
    return State(
        jax.random.uniform(angle, minval=-0.5, maxval=0.5),
        jax.random.uniform(speed, minval=-0.1, maxval=0.1),
        jnp.int32(0),
        key,
    )


def step(state, torque):
    speed = state.speed + 0.05 * (9.8 * jnp.sin(state.angle) + jnp.clip(torque, -12.0, 12.0))
    angle = state.angle + 0.05 * speed
    moved = State(angle, speed, state.age + 1, state.key)
    done = (jnp.abs(angle) > 1.2) | (moved.age >= 40)
    state = jax.tree.map(lambda a, b: jnp.where(done, a, b), reset(state.key), moved)
    return state, -(angle**2) - 0.01 * speed**2, done


def rollout(policy, states, steps):
    def one(states, _):
        torque = -policy[0] * states.angle - policy[1] * states.speed
        states, reward, done = jax.vmap(step)(states, torque)
        return states, (reward, done)

    states, (rewards, dones) = jax.lax.scan(one, states, length=steps)
    return rewards.mean(), (states, dones.sum())


@jax.jit
def improve(policy, states):
    (reward, (states, dones)), gradient = jax.value_and_grad(rollout, has_aux=True)(
        policy, states, 8
    )
    return policy + 2.0 * jnp.clip(gradient, -1.0, 1.0), states, reward, dones


states = jax.vmap(reset)(jax.random.split(jax.random.key(0), 256))
policy, rewards, dones = jnp.array([8.0, 1.0]), [], 0
for _ in range(15):
    policy, states, reward, done = improve(policy, states)
    rewards.append(float(reward))
    dones += int(done)
print(json.dumps({"numbers": {"rewards": rewards, "dones": dones}, "error": ""}))
