# SPDX-License-Identifier: Apache-2.0
"""NUTS on a regression with unknown noise, with NumPyro's progress bar (which is its default). In
float64: a trajectory that turns back elsewhere because of a last digit would make other draws."""

import json

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import numpyro  # noqa: E402
import numpyro.distributions as dist  # noqa: E402
from numpyro.infer import MCMC, NUTS  # noqa: E402


def model(x, y=None):
    slope = numpyro.sample("slope", dist.Normal(0.0, 2.0))
    noise = numpyro.sample("noise", dist.Gamma(2.0, 3.0))
    shape = numpyro.sample("shape", dist.Beta(2.0, 2.0))
    numpyro.sample("y", dist.StudentT(3.0 + shape, slope * x, noise), obs=y)


x = jnp.linspace(-1.0, 1.0, 40)
y = 1.5 * x + 0.3 * jax.random.normal(jax.random.PRNGKey(1), x.shape)
mcmc = MCMC(NUTS(model), num_warmup=60, num_samples=60)
mcmc.run(jax.random.PRNGKey(0), x, y)
samples = mcmc.get_samples()
numbers = {name: values[:20].tolist() for name, values in samples.items()}
numbers |= {f"mean of {name}": float(values.mean()) for name, values in samples.items()}
print(json.dumps({"numbers": numbers, "error": ""}))
