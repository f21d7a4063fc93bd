"""Similarity and distance of each row with the same row of another array, float32, finite in value and gradient."""

from typing import Literal, get_args

import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from jaxemb.losses.similarity import SQUARED_NORM_FLOOR, normalize

Distance = Literal["cosine", "euclidean", "manhattan"]


def check_pairs(a: Shaped[Array, "B ..."], b: Shaped[Array, "C ..."], **columns: Shaped[Array, "..."]) -> None:
    """Raises ValueError unless `a` and `b` have the same shape and the columns, by their names, one value a row."""
    if a.shape != b.shape:
        raise ValueError(f"pairs need both sides of the same shape, not {a.shape} and {b.shape}")
    for name, column in columns.items():
        if column.shape != a.shape[:1]:
            raise ValueError(f"{a.shape[0]} pairs need `{name}` of shape {a.shape[:1]}, not {column.shape}")


def absolute(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """|x|, with gradient 0 at 0 as in PyTorch; that of `jnp.abs` is 1 there.

    >>> from jax import grad
    >>> [float(grad(absolute)(x)) for x in (-2.0, 0.0, 3.0)]
    [-1.0, 0.0, 1.0]
    """
    return x * jnp.sign(x)


def paired_dot(a: Float[Array, "B D"], b: Float[Array, "B D"]) -> Float[Array, "B"]:
    """a_i . b_i, row by row."""
    return jnp.sum(jnp.asarray(a, jnp.float32) * jnp.asarray(b, jnp.float32), axis=-1)


def paired_cosine(a: Float[Array, "B D"], b: Float[Array, "B D"]) -> Float[Array, "B"]:
    """Cosine of a_i and b_i, row by row: the diagonal of `cosine_similarity`. A zero row has cosine 0.

    >>> paired_cosine(jnp.array([[3.0, 4.0], [1.0, 0.0]]), jnp.array([[3.0, 0.0], [0.0, 0.0]])).round(6).tolist()
    [0.6000000238418579, 0.0]
    """
    return paired_dot(normalize(a), normalize(b))


def paired_euclidean(a: Float[Array, "B D"], b: Float[Array, "B D"]) -> Float[Array, "B"]:
    """|a_i - b_i|, row by row; 0, with gradient 0, for rows closer than 1e-6: the root of 0 has a NaN gradient."""
    difference = jnp.asarray(a, jnp.float32) - jnp.asarray(b, jnp.float32)
    squared = jnp.sum(difference * difference, axis=-1)
    apart = squared > SQUARED_NORM_FLOOR
    return jnp.where(apart, jnp.sqrt(jnp.where(apart, squared, 1.0)), 0.0)


def paired_distance(a: Float[Array, "B D"], b: Float[Array, "B D"], distance: Distance) -> Float[Array, "B"]:
    """The distance of a_i and b_i, row by row.

        cosine     1 - cos(a_i, b_i), in [0, 2]
        euclidean  sqrt(sum_d (a_id - b_id)^2)
        manhattan  sum_d |a_id - b_id|

    Equals sentence-transformers' `SiameseDistanceMetric`, whose last two add 1e-6 to every difference.

    Args:
      a: one vector a row, any norm.
      b: the other vector of each row.
      distance: "cosine", "euclidean" or "manhattan".

    Returns: the distance of each row, float32.
    Raises: ValueError for another distance.

    >>> a, b = jnp.array([[3.0, 4.0]]), jnp.array([[0.0, 8.0]])
    >>> [round(float(paired_distance(a, b, kind)[0]), 6) for kind in ("cosine", "euclidean", "manhattan")]
    [0.2, 5.0, 7.0]
    """
    if distance not in get_args(Distance):
        raise ValueError(f"distance: {distance!r} is none of {', '.join(map(repr, get_args(Distance)))}")
    if distance == "cosine":
        return 1.0 - paired_cosine(a, b)
    if distance == "euclidean":
        return paired_euclidean(a, b)
    return jnp.sum(absolute(jnp.asarray(a, jnp.float32) - jnp.asarray(b, jnp.float32)), axis=-1)
