"""From one vector per token to one vector per text."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def pool(
    tokens: Float[Array, "B S H"], masks: Bool[Array, "B K S"], how: Literal["cls", "mean"]
) -> Float[Array, "B K H"]:
    """Pools the token vectors of each text, in float32.

    Args:
      tokens: the encoder's output.
      masks: for each of the K texts of a row (one, unless rows are packed) where its tokens are.
      how: `cls` takes a text's first token; `mean` averages over its tokens (zero for a text that has none).

    >>> tokens = jnp.array([[[1.0], [3.0], [9.0]]])
    >>> pool(tokens, jnp.array([[[True, True, False], [False, False, True]]]), "mean").tolist()
    [[[2.0], [9.0]]]
    """
    if how == "cls":
        first = jnp.argmax(masks, axis=2)  # 0 unless the padding is on the left, or another text before
        weights = jax.nn.one_hot(first, masks.shape[2])
    else:
        weights = masks.astype(jnp.float32)
    # As a product: XLA would spell out [B, K, S, H] for a masked sum.
    sums = jnp.matmul(weights, tokens.astype(jnp.float32), precision="highest")
    return sums / jnp.maximum(weights.sum(2, keepdims=True), 1.0)
