"""From one vector per token to one vector per text."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def pool(tokens: Float[Array, "B S H"], mask: Bool[Array, "B S"], how: Literal["cls", "mean"]) -> Float[Array, "B H"]:
    """Pools token vectors, in float32.

    Args:
      tokens: the encoder's output.
      mask: True at real tokens.
      how: `cls` takes the first real token; `mean` averages over the real ones (zero for a row that has none).

    >>> tokens = jnp.array([[[1.0], [3.0], [9.0]]])
    >>> pool(tokens, jnp.array([[True, True, False]]), "mean")
    Array([[2.]], dtype=float32)
    """
    tokens = tokens.astype(jnp.float32)
    if how == "cls":
        first = jnp.argmax(mask, axis=1)  # 0 unless the padding is on the left
        return jnp.take_along_axis(tokens, first[:, None, None], axis=1)[:, 0]
    weights = mask.astype(jnp.float32)[:, :, None]
    return (tokens * weights).sum(1) / jnp.maximum(weights.sum(1), 1.0)
