"""The parts of heads: a dense layer and a layer norm as plain functions of their parameters."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt32

Params = dict[str, Any]


def init_dense(
    key: PRNGKeyArray | UInt32[Array, "W"], inputs: int, outputs: int, scale: float, *, bias: bool = True
) -> Params:
    """Draws `kernel` [I, O], normal with this standard deviation, and `bias` [O], zeros."""
    kernel = scale * jax.random.normal(key, (inputs, outputs))
    return {"kernel": kernel} | ({"bias": jnp.zeros(outputs)} if bias else {})


def apply_dense(params: Params, x: Float[Array, "B I"]) -> Float[Array, "B O"]:
    """X W + b, or X W if there is no bias."""
    x = x @ params["kernel"]
    return x + params["bias"][None] if "bias" in params else x


def init_norm(width: int) -> Params:
    """`scale` of ones and `bias` of zeros, [H] both."""
    return {"scale": jnp.ones(width), "bias": jnp.zeros(width)}


def apply_norm(params: Params, x: Float[Array, "B H"], eps: float) -> Float[Array, "B H"]:
    """Layer norm, with the exact variance."""
    x = x - x.mean(axis=1, keepdims=True)
    x = x * jax.lax.rsqrt((x * x).mean(axis=1, keepdims=True) + eps)
    return x * params["scale"][None] + params["bias"][None]
