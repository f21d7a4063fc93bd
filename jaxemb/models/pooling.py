"""Pooling: from one vector per token to one vector per text."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxemb.config.model import PoolingMode


def pool(
    tokens: Float[Array, "B S H"],
    masks: Bool[Array, "B K S"],
    modes: Sequence[PoolingMode],
    positions: Int[Array, "B S"],
    first: Float[Array, "B S H"] | None = None,
) -> Float[Array, "B K P"]:
    """Pools the token vectors of each text, in float32; a text without tokens gives zero.

    P is H times the number of `modes`.

    Args:
      tokens: the encoder's output.
      masks: for each of the K texts of a row (one, unless rows are packed), True at its tokens.
      modes: the poolings to concatenate, see `ModelConfig.pooling`.
      positions: position of each token in its text, from 0; for `weightedmean`.
      first: the output of the first layer; for `first_last_mean`.

    >>> tokens = jnp.array([[[1.0], [3.0], [9.0]]])
    >>> masks = jnp.array([[[True, True, False], [False, False, True]]])
    >>> pool(tokens, masks, ["max", "mean"], jnp.array([[0, 1, 0]])).tolist()
    [[[3.0, 2.0], [9.0, 9.0]]]
    """
    tokens = tokens.astype(jnp.float32)
    pooled = []
    for mode in modes:
        if mode == "max":
            pooled.append(_max(tokens, masks))
            continue
        weights = masks.astype(jnp.float32)
        if mode in ("cls", "lasttoken"):
            index = jnp.argmax(masks, axis=2) if mode == "cls" else _last(masks)
            weights = weights * jax.nn.one_hot(index, masks.shape[2])
        elif mode == "weightedmean":
            weights = weights * (1 + positions)[:, None].astype(jnp.float32)
        vectors = tokens
        if mode == "first_last_mean":
            assert first is not None
            vectors = (first.astype(jnp.float32) + tokens) / 2
        # As a product, because XLA would materialize [B, K, S, H] for a masked sum.
        sums = jnp.matmul(weights, vectors, precision="highest")
        total = jnp.maximum(weights.sum(2, keepdims=True), 1.0)
        pooled.append(sums / (jnp.sqrt(total) if mode == "mean_sqrt_len_tokens" else total))
    return jnp.concatenate(pooled, axis=-1)


def _last(masks: Bool[Array, "B K S"]) -> Int[Array, "B K"]:
    return masks.shape[2] - 1 - jnp.argmax(masks[:, :, ::-1], axis=2)


def _max(tokens: Float[Array, "B S H"], masks: Bool[Array, "B K S"]) -> Float[Array, "B K H"]:
    """One text of each row at a time, so that there is no [B, K, S, H] array."""

    @jax.checkpoint
    def highest(mask: Bool[Array, "B S"]) -> Float[Array, "B H"]:
        found = jnp.where(mask[:, :, None], tokens, -jnp.inf).max(axis=1)
        return jnp.where(mask.any(axis=1)[:, None], found, 0.0)

    return jax.lax.map(highest, masks.transpose(1, 0, 2)).transpose(1, 0, 2)
