"""The distribution of embeddings on the sphere: pairs close together, everything else spread out."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxemb.losses.parts.checks import check_pairs
from jaxemb.losses.parts.finite import finite_rows, nan_unless
from jaxemb.losses.parts.in_batch import Across, InBatch, batch_loss, log_weighted_sum, masked_logsumexp, weighted_sum
from jaxemb.losses.parts.similarity import cosine_similarity, normalize


def alignment(
    a: Float[Array, "B D"], b: Float[Array, "B D"], *, alpha: float | Float[Array, ""] = 2.0
) -> Float[Array, "B"]:
    """How far the two sides of each pair are apart on the unit sphere.

        loss_i = |a_i / |a_i| - b_i / |b_i||^alpha

    Source: Wang and Isola 2020 (arXiv 2005.10242), section 4.1, L_align; with `alpha=2`, SimCSE (arXiv 2104.08821),
    eq. 2. Its mean equals `align_loss` of the paper's code on normalised embeddings; sentence-transformers has no class
    for it.

    Args:
      a: one embedding per row, any norm.
      b: the pair of each, row by row, any norm.
      alpha: the power of the distance, above 0.

    Returns: the loss of each row, float32; the gradient of a pair at distance 0 is 0.
    Raises: ValueError if the shapes differ.

    >>> alignment(jnp.array([[2.0, 0.0]]), jnp.array([[0.0, 1.0]])).tolist()
    [2.0]
    """
    check_pairs(a, b)
    finite, (a, b) = finite_rows(a, b)
    squared = jnp.sum((normalize(a) - normalize(b)) ** 2, axis=1)
    apart = squared > 0
    return nan_unless(finite, jnp.where(apart, jnp.where(apart, squared, 1.0) ** (alpha / 2), 0.0))


def _other_columns(own: Int[Array, "b"], allowed: Bool[Array, "b M"]) -> Bool[Array, "b M"]:
    return allowed & (jnp.arange(allowed.shape[1])[None, :] != own[:, None])


def _count(mask: Bool[Array, "b M"]) -> Float[Array, "b"]:
    return jnp.sum(jnp.asarray(mask, jnp.float32), axis=1)


def _uniformity_rows(
    rows: tuple[Float[Array, "b D"]],
    columns: tuple[Float[Array, "M D"]],
    own: Int[Array, "b"],
    allowed: Bool[Array, "b M"],
    *,
    t: float | Float[Array, ""],
) -> dict[str, Float[Array, "b"]]:
    """The logarithm of each row's sum over its pairs, and the number of these pairs."""
    others = _other_columns(own, allowed)
    potentials = 2.0 * t * (jnp.where(others, cosine_similarity(rows[0], columns[0]), 1.0) - 1.0)
    return {"log_total": masked_logsumexp(potentials, others), "pairs": _count(others)}


def _reduce_uniformity(values: dict[str, Float[Array, "B"]], weights: Float[Array, "B"]) -> Float[Array, ""]:
    pairs = weighted_sum(values["pairs"], weights)
    log_mean = log_weighted_sum(values["log_total"], weights) - jnp.log(jnp.where(pairs > 0, pairs, 1.0))
    return jnp.where(pairs > 0, log_mean, 0.0)


UNIFORMITY = InBatch(
    rows=_uniformity_rows, reduce=_reduce_uniformity, combine={"log_total": "logsumexp", "pairs": "add"}
)
"""`uniformity`; the batch is `(x,)`."""


def uniformity(
    x: Float[Array, "B D"], *, t: float | Float[Array, ""] = 2.0, across: Across | None = None
) -> Float[Array, ""]:
    """How evenly embeddings fill the unit sphere: a batch scalar, lower is more even.

        loss = log mean_{i < j} exp(-t |x_i / |x_i| - x_j / |x_j||^2)

    Source: Wang and Isola 2020 (arXiv 2005.10242), section 4.1, L_uniform; SimCSE (arXiv 2104.08821), eq. 3. As in the
    paper's code (`uniform_loss`), the mean is over pairs of distinct rows: no row is compared with itself. The paper
    averages both sides of the pairs: `(uniformity(a) + uniformity(b)) / 2`. sentence-transformers has no class for it.

    Args:
      x: one embedding per row, any norm.
      t: the sharpness of the Gaussian potential.
      across: the devices that rows are spread over, see `parallel.Across`; None for one.

    Returns: one number between -4 t and 0, float32; 0 for a single row. Equal rows have a finite gradient.

    >>> round(float(uniformity(jnp.array([[1.0, 0.0], [-3.0, 0.0]]))), 5)  # opposite: -2 * 2^2
    -8.0
    """
    return batch_loss(UNIFORMITY, (x,), across=across, t=t)


class Moments(NamedTuple):
    """Each row's weighted sums over its pairs, so that `_reduce_global_orthogonal` need not know the weights."""

    first: Float[Array, "b"]
    second: Float[Array, "b"]
    pairs: Float[Array, "b"]


def _global_orthogonal_rows(
    rows: tuple[Float[Array, "b D"]],
    columns: tuple[Float[Array, "M D"]],
    own: Int[Array, "b"],
    allowed: Bool[Array, "b M"],
    *,
    mean_weight: float | Float[Array, ""],
    second_moment_weight: float | Float[Array, ""],
) -> Moments:
    others = _other_columns(own, allowed)
    cosines = jnp.where(others, cosine_similarity(rows[0], columns[0]), 0.0)
    pairs = _count(others)
    excess = jnp.sum(cosines * cosines, axis=1) - pairs / rows[0].shape[1]
    return Moments(mean_weight**0.5 * jnp.sum(cosines, axis=1), second_moment_weight * excess, pairs)


def _reduce_global_orthogonal(values: Moments, weights: Float[Array, "B"]) -> Float[Array, ""]:
    pairs = weighted_sum(values.pairs, weights)
    pairs = jnp.where(pairs > 0, pairs, 1.0)
    mean = weighted_sum(values.first, weights) / pairs
    return mean * mean + jax.nn.relu(weighted_sum(values.second, weights) / pairs)


GLOBAL_ORTHOGONAL = InBatch(rows=_global_orthogonal_rows, reduce=_reduce_global_orthogonal)
"""`global_orthogonal`; the batch is `(x,)`."""


def global_orthogonal(
    x: Float[Array, "B D"],
    *,
    mean_weight: float = 1.0,
    second_moment_weight: float = 1.0,
    across: Across | None = None,
) -> Float[Array, ""]:
    """Trains the cosines of unrelated texts to be like those of random directions: mean 0, mean square 1/D. A batch
    scalar.

        loss = w1 * (mean_{i != j} cos_ij)^2 + w2 * max(0, mean_{i != j} cos_ij^2 - 1/D)

    Source: GOR, Zhang et al. 2017 (arXiv 1708.06320). Equals the sum of the two terms of
    sentence-transformers' `GlobalOrthogonalRegularizationLoss(mean_weight=w1, second_moment_weight=w2)` on one input
    column; sum (or average) columns yourself, as its `aggregation` does. EmbeddingGemma (arXiv 2509.20354) uses
    `mean_weight=0` and the sum over columns.

    Args:
      x: one embedding per row, any norm, of unrelated texts.
      mean_weight: w1, 0 or more.
      second_moment_weight: w2, 0 or more.
      across: the devices that rows are spread over, see `parallel.Across`; None for one.

    Returns: one number, float32; 0 for a single row.
    Raises: ValueError if a weight is negative or both are 0.

    >>> x = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # cosines 1, 0, 0: (1/3)^2 + max(0, 1/3 - 1/2)
    >>> round(float(global_orthogonal(x)), 6)
    0.111111
    """
    if min(mean_weight, second_moment_weight) < 0 or max(mean_weight, second_moment_weight) == 0:
        raise ValueError(
            f"weights {mean_weight} and {second_moment_weight}: neither may be negative, and one must be above 0"
        )
    weights = {"mean_weight": mean_weight, "second_moment_weight": second_moment_weight}
    return batch_loss(GLOBAL_ORTHOGONAL, (x,), across=across, **weights)
