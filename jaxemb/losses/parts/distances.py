"""Distances of all rows to all rows, float32; the gradient is 0 where the distance is 0."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxemb.losses.parts.checks import check_choice
from jaxemb.losses.parts.finite import finite_rows, nan_unless
from jaxemb.losses.parts.similarity import cosine_similarity, dot_similarity

PairwiseDistance = Literal["euclidean", "cosine"]


def safe_sqrt(squared: Float[Array, "..."]) -> Float[Array, "..."]:
    """sqrt(max(x, 0)), with gradient 0, not infinite, where x <= 0; NaN stays NaN."""
    nothing = squared <= 0
    return jnp.where(nothing, 0.0, jnp.sqrt(jnp.where(nothing, 1.0, squared)))


def pairwise_distance(a: Float[Array, "B D"], b: Float[Array, "M D"], how: PairwiseDistance) -> Float[Array, "B M"]:
    """The distance of each row of `a` to each row of `b`, from one matrix product, without a [B, M, D] array.

        euclidean: sqrt(|a_i|^2 - 2 a_i . b_j + |b_j|^2)    cosine: 1 - cos(a_i, b_j)

    Euclidean distances below about 0.001 |a_i| are rounding noise, because the three terms cancel; their gradient still
    stays below about 1. `paired.paired_distance` has no such limit.

    Args:
      a: one vector per row.
      b: one vector per row, of the same width.
      how: which distance.

    Returns: distances, float32; 0, with gradient 0, where rounding makes the square negative; NaN for a row that is not
      finite, which has gradient 0.
    Raises: ValueError for an unknown `how` or unequal widths.

    >>> pairwise_distance(jnp.array([[0.0, 1.0]]), jnp.array([[3.0, 5.0], [0.0, -1.0]]), "euclidean").tolist()
    [[5.0, 2.0]]
    """
    check_choice("distance", how, PairwiseDistance)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"vectors must have the same width for a distance, not {a.shape[1]} and {b.shape[1]}")
    if how == "cosine":
        return 1.0 - cosine_similarity(a, b)
    (finite_a, (a,)), (finite_b, (b,)) = finite_rows(a), finite_rows(b)
    squared = jnp.sum(a * a, axis=1)[:, None] - 2.0 * dot_similarity(a, b) + jnp.sum(b * b, axis=1)[None, :]
    return nan_unless(finite_a[:, None] & finite_b[None, :], safe_sqrt(squared))
