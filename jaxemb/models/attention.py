"""Attention as one function: all at once for short rows, in blocks of queries for long ones."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt32

from jaxemb.models.dropout import counters, dropout, fold, within_32_bits

BLOCK = 512
"""Queries that are scored at a time if a row is longer than `WHOLE`."""
WHOLE = 1024
"""Longest row in tokens that is scored all at once."""


def attend(
    query: Float[Array, "B N S D"],
    keys: Float[Array, "B M S D"],
    value: Float[Array, "B M S D"],
    *,
    mask: Bool[Array, "B #S S"],
    positions: Int[Array, "#B S"],
    bias: Float[Array, "1 N S S"] | None = None,
    hashes: UInt32[Array, "B #S"] | None = None,
    rate: float = 0.0,
    site: Int[Array, ""] | int = 0,
    most: int = 2**16,
) -> Float[Array, "B S N*D"]:
    """softmax(query @ keys^T / sqrt(D) + bias) @ value (Vaswani et al. 2017, eq. 1), the softmax in float32.

    Rows of more than `WHOLE` tokens are computed `BLOCK` queries at a time and recomputed in the backward pass, so that
    memory grows with the length of the row, not with its square.

    Args:
      query: of N heads.
      keys: of M heads, each shared by N / M consecutive query heads.
      value: the same.
      mask: True where a token (second axis) may attend to another (third). A token that may attend to none (padding)
        gets a mean of values, which is never used.
      positions: position of each token in its text, for the counters of dropout.
      bias: added to the scores.
      hashes: turn dropout on, see `dropout.dropout_hashes`.
      rate: dropout rate of the probabilities.
      site: number of the dropout site in the network.
      most: largest number of positions, for the counters of dropout.
    """
    rows, heads, length, size = query.shape
    if keys.shape[1] != heads:
        keys, value = (jnp.repeat(x, heads // keys.shape[1], axis=1) for x in (keys, value))
    block = partial(_attend, keys=keys, value=value, positions=positions, rate=rate, site=site, most=most)
    mask = mask[:, None]
    hashes = None if hashes is None else hashes[:, None, :, None]
    if length <= WHOLE:
        context = block(query, mask, bias, positions[:, None, :, None], hashes)
    else:
        split = partial(_split, length=length)
        parts = (split(query), split(mask), split(bias), split(positions[:, None, :, None]), split(hashes))
        blocks = jax.lax.map(lambda one: jax.checkpoint(block)(*one), parts)
        context = blocks.transpose(1, 2, 0, 3, 4).reshape(rows, heads, -1, size)[:, :, :length]
    return context.transpose(0, 2, 1, 3).reshape(rows, length, heads * size)


def _split(x: Array | None, length: int) -> Array | None:
    """[B, N, S, ...] -> [blocks, B, N, BLOCK, ...]; an array with S = 1, for all queries, is repeated."""
    if x is None:
        return None
    count = -(-length // BLOCK)
    if x.shape[2] == 1:
        return jnp.broadcast_to(x, (count, *x.shape))
    padded = jnp.pad(x, ((0, 0), (0, 0), (0, count * BLOCK - length), (0, 0)))
    return jnp.moveaxis(padded.reshape(*x.shape[:2], count, BLOCK, x.shape[3]), 2, 0)


def _attend(
    query: Float[Array, "B N Q D"],
    mask: Bool[Array, "B 1 #Q S"],
    bias: Float[Array, "1 N Q S"] | None,
    query_positions: Int[Array, "#B 1 Q 1"],
    hashes: UInt32[Array, "B 1 #Q 1"] | None,
    *,
    keys: Float[Array, "B N S D"],
    value: Float[Array, "B N S D"],
    positions: Int[Array, "#B S"],
    rate: float,
    site: Int[Array, ""] | int,
    most: int,
) -> Float[Array, "B N Q D"]:
    """Attention of some queries to all keys."""
    scores = query @ keys.swapaxes(2, 3) / jnp.sqrt(query.shape[-1]).astype(query.dtype)
    scores = scores.astype(jnp.float32)
    if bias is not None:
        scores = scores + bias.astype(jnp.float32)
    probabilities = jax.nn.softmax(jnp.where(mask, scores, jnp.finfo(jnp.float32).min), axis=-1).astype(query.dtype)
    if hashes is None:
        return probabilities @ value
    hashes = fold(hashes, jnp.arange(query.shape[1])[None, :, None, None])
    hashes, rows = within_32_bits(hashes, query_positions, most, width=most)
    counter = counters((rows, most), (positions[:, None, None, :], 1))
    return dropout(probabilities, hashes, rate, site=site, counter=counter) @ value
