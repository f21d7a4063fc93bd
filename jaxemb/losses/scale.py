"""A learnt scale (inverse temperature) that stays within bounds."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def learned_scale(log_scale: Float[Array, ""], *, smallest: float = 1.0, largest: float = 100.0) -> Float[Array, ""]:
    """The scale s = exp(log_scale), clamped.

    At a bound, the gradient passes only if it leads back inside. So the parameter neither runs away nor gets stuck at
    the bound, as it would with a plain `clip`. Source: CLIP (arXiv 2103.00020), section 2.5, which clips s at 100 to
    keep training stable and starts from 1 / 0.07.

    Args:
      log_scale: the parameter, the natural logarithm of 1/T.
      smallest: lower bound of s.
      largest: upper bound of s.

    Returns: s, float32, for the `scale` of any loss.
    Raises: ValueError if the bounds are not ascending and positive.

    >>> [round(float(learned_scale(jnp.log(s))), 4) for s in (0.5, 14.2857, 400.0)]
    [1.0, 14.2857, 100.0]
    """
    if not 0 < smallest < largest:
        raise ValueError(f"bounds of a scale must be positive and ascending, not {smallest} and {largest}")
    bounds = jnp.log(jnp.float32(smallest)), jnp.log(jnp.float32(largest))
    return jnp.exp(_clamp(jnp.asarray(log_scale, jnp.float32), *bounds))


@jax.custom_vjp
def _clamp(x: Float[Array, ""], low: Float[Array, ""], high: Float[Array, ""]) -> Float[Array, ""]:
    return jnp.clip(x, low, high)


def _forward(x: Array, low: Array, high: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    return _clamp(x, low, high), (x, low, high)


def _backward(kept: tuple[Array, Array, Array], gradient: Array) -> tuple[Array, Array, Array]:
    x, low, high = kept
    outwards = ((x <= low) & (gradient > 0)) | ((x >= high) & (gradient < 0))  # a step moves against the gradient
    return jnp.where(outwards, 0.0, gradient), jnp.zeros_like(low), jnp.zeros_like(high)


_clamp.defvjp(_forward, _backward)
