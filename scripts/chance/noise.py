# SPDX-License-Identifier: Apache-2.0
"""A function with rounding errors in each of its operations in float64, those included that JAX's rules of
derivatives add. Nothing wider than float64 judges such a derivative: how far these errors move the
result says how well it is known. The derivative of bessel_i1e is i0e(x) - i1e(x) (1 + 1/x), whose
terms are 0.4 where it is 0: there no digit of it is right, on any platform."""

from __future__ import annotations

from typing import Any, Callable

import jax
import jax.numpy as jnp
import numpy as np

from chance.program import Context

# Operations that round. All others choose, move or compare, or change a sign.
ROUNDING = frozenset(
    (
        *("add", "add_any", "sub", "mul", "div", "pow", "integer_pow", "rem", "atan2", "square"),
        *(
            "exp",
            "exp2",
            "expm1",
            "log",
            "log1p",
            "sqrt",
            "rsqrt",
            "cbrt",
            "logistic",
            "sin",
            "cos",
        ),
        *("tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf"),
        *("erfc", "erf_inv", "lgamma", "digamma", "polygamma", "igamma", "igammac", "zeta"),
        *("igamma_grad_a", "random_gamma_grad", "regularized_incomplete_beta", "bessel_i0e"),
        *("bessel_i1e", "dot_general", "conv_general_dilated", "reduce_sum", "reduce_prod"),
        *("reduce_window_sum", "cumsum", "cumprod", "cumlogsumexp", "scatter-add", "scatter_add"),
        *("scatter-mul", "scatter_mul", "fft", "scan", "while", "cond"),
    )
)
# Operations that are a function of their own, and the parameter that holds it.
CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "checkpoint": "jaxpr",
    "remat2": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}


class Evaluator:
    """Runs a jaxpr operation by operation. Errors differ from one to the next."""

    def __init__(self, noise: int) -> None:
        self.context, self.serial = Context(noise=noise), 0

    def disturb(self, x: Any) -> Any:
        self.serial += 1
        wide = getattr(x, "dtype", None) in (jnp.float64, jnp.complex128)
        return self.context.disturb(x, str(x.dtype), self.serial) if wide else x

    def run(self, jaxpr: Any, consts: Any, arguments: Any) -> list[Any]:
        known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *arguments)))
        read = lambda v: v.val if hasattr(v, "val") else known[v]  # noqa: E731
        for eqn in jaxpr.eqns:
            values, name = [read(v) for v in eqn.invars], eqn.primitive.name
            if name in CALLS:
                inner = eqn.params[CALLS[name]]
                outs = self.run(
                    getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), values
                )
            else:
                outs = eqn.primitive.bind(*values, **eqn.params)
                outs = outs if eqn.primitive.multiple_results else [outs]
            if name in ROUNDING:
                outs = [self.disturb(x) for x in outs]
            known.update(zip(eqn.outvars, outs))
        return [read(v) for v in jaxpr.outvars]


def run_disturbed(
    f: Callable[..., tuple[Any, ...]], arguments: list[np.ndarray], noise: int
) -> list[np.ndarray]:
    """f's results, with the errors that this noise chooses."""

    def run(*arguments: Any) -> list[Any]:
        closed = jax.make_jaxpr(f)(*arguments)
        return Evaluator(noise).run(closed.jaxpr, closed.consts, arguments)

    return [np.asarray(x) for x in jax.jit(run)(*(jnp.asarray(a) for a in arguments))]
