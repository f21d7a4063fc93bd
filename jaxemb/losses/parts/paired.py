"""Similarity and distance of each row to the same row of another array, float32, finite in value and gradient.

A row that holds NaN or infinity gives NaN, and has gradient 0.
"""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxemb.losses.parts.checks import check_choice, check_pairs
from jaxemb.losses.parts.finite import finite_rows, nan_unless
from jaxemb.losses.parts.similarity import SQUARED_NORM_FLOOR, normalize

Distance = Literal["cosine", "euclidean", "manhattan"]


def absolute(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """|x|, with gradient 0 at 0, as in PyTorch; the gradient of `jnp.abs` at 0 is 1.

    >>> from jax import grad
    >>> [float(grad(absolute)(x)) for x in (-2.0, 0.0, 3.0)]
    [-1.0, 0.0, 1.0]
    """
    return x * jnp.sign(x)


def paired_dot(a: Float[Array, "B D"], b: Float[Array, "B D"]) -> Float[Array, "B"]:
    """a_i . b_i, row by row."""
    finite, (a, b) = finite_rows(a, b)
    return nan_unless(finite, jnp.sum(a * b, axis=-1))


def paired_cosine(a: Float[Array, "B D"], b: Float[Array, "B D"]) -> Float[Array, "B"]:
    """Cosine of a_i and b_i, row by row: the diagonal of `cosine_similarity`. A zero row has cosine 0.

    >>> paired_cosine(jnp.array([[3.0, 4.0], [1.0, 0.0]]), jnp.array([[3.0, 0.0], [0.0, 0.0]])).round(6).tolist()
    [0.6000000238418579, 0.0]
    """
    return paired_dot(normalize(a), normalize(b))


def paired_euclidean(a: Float[Array, "B D"], b: Float[Array, "B D"]) -> Float[Array, "B"]:
    """|a_i - b_i|, row by row; 0, with gradient 0, for rows closer than 1e-6: the root of 0 has a NaN gradient."""
    finite, (a, b) = finite_rows(a, b)
    squared = jnp.sum((a - b) ** 2, axis=-1)
    apart = squared > SQUARED_NORM_FLOOR
    return nan_unless(finite, jnp.where(apart, jnp.sqrt(jnp.where(apart, squared, 1.0)), 0.0))


def paired_distance(a: Float[Array, "B D"], b: Float[Array, "B D"], distance: Distance) -> Float[Array, "B"]:
    """The distance of a_i and b_i, row by row.

        cosine     1 - cos(a_i, b_i), in [0, 2]
        euclidean  sqrt(sum_d (a_id - b_id)^2)
        manhattan  sum_d |a_id - b_id|

    Equals sentence-transformers' `SiameseDistanceMetric`, whose last two add 1e-6 to every difference.

    Args:
      a: one vector per row, any norm.
      b: the other vector of each row.
      distance: "cosine", "euclidean" or "manhattan".

    Returns: the distance of each row, float32.
    Raises: ValueError for an unknown distance or unequal shapes.

    >>> a, b = jnp.array([[3.0, 4.0]]), jnp.array([[0.0, 8.0]])
    >>> [round(float(paired_distance(a, b, kind)[0]), 6) for kind in ("cosine", "euclidean", "manhattan")]
    [0.2, 5.0, 7.0]
    """
    check_choice("distance", distance, Distance)
    check_pairs(a, b)
    if distance == "cosine":
        return 1.0 - paired_cosine(a, b)
    if distance == "euclidean":
        return paired_euclidean(a, b)
    finite, (a, b) = finite_rows(a, b)
    return nan_unless(finite, jnp.sum(absolute(a - b), axis=-1))
