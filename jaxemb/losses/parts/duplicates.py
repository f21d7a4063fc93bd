"""Which rows of a batch are duplicates of each other, by the hash of their text or id."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, UInt32


def same_hash(rows: UInt32[Array, "B 2"], columns: UInt32[Array, "M 2"]) -> Bool[Array, "B M"]:
    """True at [i, j] where row i and column j have the same hash.

    Two words, because 32 bits alone give a hundred false duplicates in a batch of a million.
    """
    # Word by word: [B, M] at most, never [B, M, 2].
    return (rows[:, None, 0] == columns[None, :, 0]) & (rows[:, None, 1] == columns[None, :, 1])


def duplicate_mask(anchor_hash: UInt32[Array, "B 2"], positive_hash: UInt32[Array, "B 2"]) -> Bool[Array, "B B"]:
    """The `excluded` mask of pairs that share their anchor or their positive with another pair of the batch.

        excluded_ij = (i != j) and (anchor_i = anchor_j or positive_i = positive_j)

    Args:
      anchor_hash: 64 bits of a hash of each anchor's text or id, in two words.
      positive_hash: the same for each positive.

    Returns: a symmetric mask, False on the diagonal.

    >>> words = jnp.array([[1, 0], [2, 0], [1, 0]], jnp.uint32)
    >>> others = jnp.array([[5, 0], [6, 0], [7, 0]], jnp.uint32)
    >>> duplicate_mask(words, others).astype(int).tolist()
    [[0, 0, 1], [0, 0, 0], [1, 0, 0]]
    """
    same = same_hash(anchor_hash, anchor_hash) | same_hash(positive_hash, positive_hash)
    return same & ~jnp.eye(len(anchor_hash), dtype=bool)
