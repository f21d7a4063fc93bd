"""Losses of pairs with a gold score or a label: regression on the cosine, contrastive, online contrastive."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

from jaxemb.losses.parts.checks import check_pairs
from jaxemb.losses.parts.finite import finite_rows, nan_unless
from jaxemb.losses.parts.in_batch import Across, InBatch, batch_loss, weighted_sum
from jaxemb.losses.parts.paired import Distance, paired_cosine, paired_distance

Labels = Num[Array, "B"] | Bool[Array, "B"]


def cosine_similarity_mse(a: Float[Array, "B D"], b: Float[Array, "B D"], scores: Num[Array, "B"]) -> Float[Array, "B"]:
    """Squared error of each pair's cosine against its gold score (regression).

        loss_i = (cos(a_i, b_i) - y_i)^2

    Source: Sentence-BERT (arXiv 1908.10084), section 3, "Regression Objective Function". Its mean equals
    sentence-transformers' `CosineSimilarityLoss` with the default `loss_fct` and `cos_score_transformation`.

    Args:
      a: one embedding per row, any norm.
      b: the other text of each pair.
      scores: y, the gold cosines. The caller must map other scales, such as 0 to 5 in STS, to [0, 1] or [-1, 1].

    Returns: the loss of each row, float32.
    Raises: ValueError if the shapes differ.

    >>> a, b = jnp.array([[3.0, 4.0], [1.0, 0.0]]), jnp.array([[1.0, 0.0], [0.0, 2.0]])
    >>> cosine_similarity_mse(a, b, jnp.array([0.8, 0.5])).round(6).tolist()  # (0.6 - 0.8)^2, (0 - 0.5)^2
    [0.03999999910593033, 0.25]
    """
    check_pairs(a, b, scores=scores)
    finite, (a, b, scores) = finite_rows(a, b, scores)
    error = paired_cosine(a, b) - scores
    return nan_unless(finite, error * error)


def contrastive(
    a: Float[Array, "B D"],
    b: Float[Array, "B D"],
    labels: Labels,
    *,
    margin: float | Float[Array, ""] = 0.5,
    distance: Distance = "cosine",
) -> Float[Array, "B"]:
    """Pulls the pairs labelled 1 together and pushes the pairs labelled 0 apart, up to a margin.

        loss_i = (y_i * d_i^2 + (1 - y_i) * max(0, m - d_i)^2) / 2

    Source: Hadsell, Chopra, LeCun 2006, "Dimensionality Reduction by Learning an Invariant Mapping", eq. 4, where the
    labels have the opposite sense and d is Euclidean. Its mean equals sentence-transformers'
    `ContrastiveLoss(margin=m)`, its sum the same with `size_average=False`.

    Args:
      a: one embedding per row, any norm.
      b: the other text of each pair.
      labels: y, 1 (alike) or 0 (unlike); a fraction mixes the two terms.
      margin: m, the distance beyond which an unlike pair costs nothing, in units of the distance.
      distance: "cosine" (1 - cos), "euclidean" or "manhattan"; see `paired_distance`.

    Returns: the loss of each row, float32; NaN for a label outside 0 to 1.
    Raises: ValueError if the shapes differ or the distance is unknown.

    >>> a, b = jnp.array([[3.0, 4.0], [3.0, 4.0]]), jnp.array([[1.0, 0.0], [1.0, 0.0]])  # 1 - cos = 0.4
    >>> contrastive(a, b, jnp.array([1, 0])).round(6).tolist()  # 0.4^2 / 2, 0.1^2 / 2
    [0.07999999821186066, 0.004999999888241291]
    """
    check_pairs(a, b, labels=labels)
    finite, (a, b, label) = finite_rows(a, b, labels)
    apart = paired_distance(a, b, distance)
    short = jnp.maximum(margin - apart, 0.0)
    loss = 0.5 * (label * apart * apart + (1.0 - label) * short * short)
    return nan_unless(finite & (label >= 0.0) & (label <= 1.0), loss)


def _online_contrastive_rows(
    rows: tuple[Float[Array, "b"], Float[Array, "b"]],
    columns: tuple[Float[Array, "M"], Float[Array, "M"]],
    own: Int[Array, "b"],
    allowed: Bool[Array, "b M"],
    *,
    margin: float | Float[Array, ""] = 0.5,
) -> Float[Array, "b"]:
    """Each pair's contribution, from its distance and label: 0 unless the pair is hard among the columns."""
    (distance, label), (distances, labels) = rows, columns
    counts = allowed | (jnp.arange(len(distances))[None, :] == own[:, None])
    alike, unlike = counts & (labels == 1.0)[None, :], counts & (labels == 0.0)[None, :]
    nearest_unlike = jnp.min(jnp.where(unlike, distances[None, :], jnp.inf), axis=1)
    furthest_alike = jnp.max(jnp.where(alike, distances[None, :], -jnp.inf), axis=1)
    beyond = jnp.where(jnp.any(unlike, axis=1), nearest_unlike, _mean_where(distances, alike))
    within = jnp.where(jnp.any(alike, axis=1), furthest_alike, _mean_where(distances, unlike))
    short = jnp.maximum(margin - distance, 0.0)
    # Negated, so that a comparison with NaN counts as hard and the NaN shows in the loss.
    hard_alike = jnp.where((label == 1.0) & ~(distance <= beyond), distance * distance, 0.0)
    return hard_alike + jnp.where((label == 0.0) & ~(distance >= within), short * short, 0.0)


def _mean_where(values: Float[Array, "M"], mask: Bool[Array, "b M"]) -> Float[Array, "b"]:
    total = jnp.sum(jnp.where(mask, values[None, :], 0.0), axis=1)
    return total / jnp.maximum(jnp.sum(mask, axis=1, dtype=jnp.float32), 1.0)


ONLINE_CONTRASTIVE = InBatch(rows=_online_contrastive_rows, reduce=weighted_sum)
"""`online_contrastive`; a row is (distance, label), both float32: see `paired_distance`."""


def online_contrastive(
    a: Float[Array, "B D"],
    b: Float[Array, "B D"],
    labels: Labels,
    *,
    margin: float | Float[Array, ""] = 0.5,
    distance: Distance = "cosine",
    across: Across | None = None,
) -> Float[Array, ""]:
    """The contrastive loss of the hard pairs of the batch only. A batch scalar: the sum over pairs.

        loss = sum_{y_i = 1, d_i > min_{y_j = 0} d_j} d_i^2 + sum_{y_i = 0, d_i < max_{y_j = 1} d_j} max(0, m - d_i)^2

    An alike pair is hard if it is further apart than the nearest unlike pair; an unlike pair is hard if it is nearer
    than the furthest alike pair. If a batch has only one label, the mean distance replaces the missing threshold.

    Source: sentence-transformers' `OnlineContrastiveLoss(margin=m)`, which it equals; there is no paper. Unlike in
    `contrastive` there is no factor 1/2, and the sum is not divided by anything: it grows with the batch.

    Args:
      a: one embedding per row, any norm.
      b: the other text of each pair.
      labels: y, 1 (alike) or 0 (unlike); a pair with another label is left out.
      margin: m, the distance beyond which an unlike pair costs nothing, in units of the distance.
      distance: "cosine" (1 - cos), "euclidean" or "manhattan"; see `paired_distance`.
      across: the devices that rows are spread over, see `parallel.Across`; None for one.

    Returns: one number for the batch, float32; 0 if no pair is hard.
    Raises: ValueError if the shapes differ or the distance is unknown.

    Alike pairs at distances 1 and 3, unlike pairs at 2 and 4: only the 3 and the 2 are hard.

    >>> a, b = jnp.array([[1.0], [3.0], [2.0], [4.0]]), jnp.zeros((4, 1))
    >>> float(online_contrastive(a, b, jnp.array([1, 1, 0, 0]), margin=2.5, distance="euclidean"))  # 3^2 + 0.5^2
    9.25
    """
    check_pairs(a, b, labels=labels)
    batch = (paired_distance(a, b, distance), jnp.asarray(labels, jnp.float32))
    return batch_loss(ONLINE_CONTRASTIVE, batch, across=across, margin=margin)
