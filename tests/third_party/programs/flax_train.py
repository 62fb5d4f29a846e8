# SPDX-License-Identifier: Apache-2.0
"""A small convolutional network of flax.nnx with batch norm and dropout, trained by optax."""

import json

import jax
import jax.numpy as jnp
import optax
from flax import nnx


class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        # A bias before a norm has no gradient but rounding, which Adam makes steps of.
        self.conv = nnx.Conv(1, 8, (3, 3), use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.drop = nnx.Dropout(0.2, rngs=rngs)
        self.out = nnx.Linear(8 * 4 * 4, 3, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm(self.conv(x)))
        x = nnx.avg_pool(x, (2, 2), strides=(2, 2))
        return self.out(self.drop(x.reshape(len(x), -1)))


@nnx.jit
def train_step(net, optimizer, x, y):
    def loss_of(net):
        return optax.softmax_cross_entropy_with_integer_labels(net(x), y).mean()

    loss, gradients = nnx.value_and_grad(loss_of)(net)
    optimizer.update(net, gradients)
    return loss


x = jax.random.normal(jax.random.key(1), (32, 8, 8, 1))
y = jax.random.randint(jax.random.key(2), (32,), 0, 3)
net = Net(nnx.Rngs(0))
optimizer = nnx.Optimizer(net, optax.adamw(1e-2), wrt=nnx.Param)
losses = [float(train_step(net, optimizer, x, y)) for _ in range(12)]
net.eval()
numbers = {"losses": losses, "mean": float(jnp.mean(net(x) ** 2))}
print(json.dumps({"numbers": numbers, "error": ""}))
