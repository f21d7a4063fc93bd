"""Distances between rows in float32, with a gradient of 0 where the distance is 0."""

from typing import Literal, get_args

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxemb.losses.similarity import cosine_similarity, dot_similarity, normalize

RowDistance = Literal["euclidean", "manhattan", "cosine"]
PairwiseDistance = Literal["euclidean", "cosine"]


def safe_sqrt(squared: Float[Array, "..."]) -> Float[Array, "..."]:
    """sqrt(max(x, 0)), with gradient 0, not infinite, where x <= 0."""
    positive = squared > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared, 1.0)), 0.0)


def row_distance(a: Float[Array, "B D"], b: Float[Array, "B D"], how: RowDistance) -> Float[Array, "B"]:
    """The distance of each row of `a` to the same row of `b`.

        euclidean: sqrt(sum_d (a_id - b_id)^2)    manhattan: sum_d |a_id - b_id|    cosine: 1 - cos(a_i, b_i)

    Args:
      a: one vector a row.
      b: likewise, of the same shape.
      how: which distance.

    Returns: the distance of each row, float32; equal rows have distance and gradient 0 (cosine: up to rounding).
    Raises: ValueError for an unknown `how` or unequal shapes.

    >>> a, b = jnp.array([[0.0, 1.0]]), jnp.array([[3.0, 5.0]])
    >>> [round(float(row_distance(a, b, how)[0]), 4) for how in ("euclidean", "manhattan", "cosine")]
    [5.0, 7.0, 0.1425]
    """
    check_choice("distance", how, RowDistance)
    if a.shape != b.shape:
        raise ValueError(f"rows of shapes {a.shape} and {b.shape}: give one row of the second for each of the first")
    if how == "cosine":
        return 1.0 - jnp.sum(normalize(a) * normalize(b), axis=1)
    difference = jnp.asarray(a, jnp.float32) - jnp.asarray(b, jnp.float32)
    if how == "manhattan":
        # jnp.abs has slope 1 at 0.
        return jnp.sum(jnp.where(difference == 0, 0.0, jnp.abs(difference)), axis=1)
    return safe_sqrt(jnp.sum(difference * difference, axis=1))


def pairwise_distance(a: Float[Array, "B D"], b: Float[Array, "M D"], how: PairwiseDistance) -> Float[Array, "B M"]:
    """The distance of each row of `a` to each row of `b`, out of one matrix product, without a [B, M, D] array.

        euclidean: sqrt(|a_i|^2 - 2 a_i . b_j + |b_j|^2)    cosine: 1 - cos(a_i, b_j)

    Euclidean distances below some 0.001 |a_i| are rounding noise: the three terms cancel. Their gradient stays below
    about 1 all the same. `row_distance` has no such limit.

    Args:
      a: one vector a row.
      b: likewise, of the same width.
      how: which distance.

    Returns: distances, float32; 0 with gradient 0 where rounding takes the square below 0.
    Raises: ValueError for an unknown `how` or unequal widths.

    >>> pairwise_distance(jnp.array([[0.0, 1.0]]), jnp.array([[3.0, 5.0], [0.0, -1.0]]), "euclidean").tolist()
    [[5.0, 2.0]]
    """
    check_choice("distance", how, PairwiseDistance)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"vectors of width {a.shape[1]} and {b.shape[1]} have no distance")
    if how == "cosine":
        return 1.0 - cosine_similarity(a, b)
    a, b = jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32)
    squared = jnp.sum(a * a, axis=1)[:, None] - 2.0 * dot_similarity(a, b) + jnp.sum(b * b, axis=1)[None, :]
    return safe_sqrt(squared)


def check_choice(name: str, value: str, choices: object) -> None:
    """Raises ValueError, listing the choices, when `value` is none of those of a Literal."""
    if value not in get_args(choices):
        raise ValueError(f"{name}: {value!r} is none of {', '.join(map(repr, get_args(choices)))}")
