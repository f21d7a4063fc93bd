"""Triplets: a positive nearer than a negative, given (SBERT) or the hardest of the batch (mega-batch margin)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxemb.losses.parts.in_batch import Across, InBatch, row_values, weighted_mean
from jaxemb.losses.parts.paired import Distance, paired_cosine, paired_distance
from jaxemb.losses.parts.similarity import cosine_similarity


def triplet(
    anchors: Float[Array, "B D"],
    positives: Float[Array, "B D"],
    negatives: Float[Array, "B D"],
    *,
    margin: float | Float[Array, ""] = 5.0,
    distance: Distance = "euclidean",
) -> Float[Array, "B"]:
    """The positive of each anchor must be nearer than its negative, by a margin.

        loss_i = max(0, d(a_i, p_i) - d(a_i, n_i) + m)

    Source: Sentence-BERT (arXiv 1908.10084), section 3, "Triplet Objective Function". Its mean equals
    sentence-transformers' `TripletLoss(distance_metric=..., triplet_margin=m)`.

    Args:
      anchors: one embedding per row.
      positives: a text near to each anchor, row by row.
      negatives: a text far from each anchor, row by row.
      margin: m, in units of the distance. The default suits Euclidean distances of unnormalised embeddings; a cosine
        distance is at most 2.
      distance: d.

    Returns: the loss of each row, float32.
    Raises: ValueError for an unknown distance or unequal shapes.

    >>> anchors, positives, negatives = jnp.array([[0.0, 0.0]]), jnp.array([[3.0, 4.0]]), jnp.array([[0.0, 2.0]])
    >>> triplet(anchors, positives, negatives, margin=1.0).tolist()  # 5 - 2 + 1
    [4.0]
    """
    near, far = paired_distance(anchors, positives, distance), paired_distance(anchors, negatives, distance)
    return jax.nn.relu(near - far + margin)


def _mega_batch_margin_rows(
    rows: tuple[Float[Array, "b D"], Float[Array, "b D"]],
    columns: tuple[Float[Array, "M D"], Float[Array, "M D"]],
    own: Int[Array, "b"],
    allowed: Bool[Array, "b M"],
    *,
    positive_margin: float | Float[Array, ""],
    negative_margin: float | Float[Array, ""],
) -> Float[Array, "b"]:
    anchors, positives = rows
    negative = allowed & (jnp.arange(allowed.shape[1])[None, :] != own[:, None])
    own_cosine = paired_cosine(anchors, positives)
    hardest = jnp.max(jnp.where(negative, cosine_similarity(anchors, columns[1]), -jnp.inf), axis=1)
    pushed = jnp.where(jnp.any(negative, axis=1), jax.nn.relu(hardest - negative_margin), 0.0)
    return jax.nn.relu(positive_margin - own_cosine) + pushed


MEGA_BATCH_MARGIN = InBatch(rows=_mega_batch_margin_rows, reduce=weighted_mean)
"""`mega_batch_margin`; the batch is `(anchors, positives)`."""


def mega_batch_margin(
    anchors: Float[Array, "B D"],
    positives: Float[Array, "B D"],
    *,
    positive_margin: float | Float[Array, ""] = 0.8,
    negative_margin: float | Float[Array, ""] = 0.3,
    across: Across | None = None,
) -> Float[Array, "B"]:
    """Pulls each pair above one cosine and pushes the hardest negative of the batch below another.

        loss_i = max(0, m+ - cos(a_i, p_i)) + max(0, max_{j != i} cos(a_i, p_j) - m-)

    Source: the mining is that of ParaNMT (Wieting and Gimpel 2018, arXiv 1711.05732). The mean over rows equals
    sentence-transformers' `MegaBatchMarginLoss(positive_margin=m+, negative_margin=m-)`, mini-batched or not: in both,
    the negatives are the positives of all other rows.

    Args:
      anchors: one embedding per row, any norm.
      positives: the positive of each anchor, row by row, any norm.
      positive_margin: m+, the cosine above which a pair adds nothing.
      negative_margin: m-, the cosine below which a negative adds nothing.
      across: the devices that rows are spread over, see `parallel.Across`; None for one.

    Returns: the loss of each row, float32; if the batch has only one row, only the first term. Equally hard negatives
      share the gradient.
    Raises: ValueError if the shapes differ.

    >>> anchors, positives = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[1.0, 0.0], [3.0, 4.0]])
    >>> [round(float(x), 6) for x in mega_batch_margin(anchors, positives)]  # (1 - 1)+ + 0.6 - 0.3; 0.8 - 0.8
    [0.3, 0.0]
    """
    if anchors.shape != positives.shape:
        raise ValueError(f"anchors of shape {anchors.shape} need positives of the same shape, not {positives.shape}")
    return row_values(
        MEGA_BATCH_MARGIN,
        (anchors, positives),
        across=across,
        positive_margin=positive_margin,
        negative_margin=negative_margin,
    )
