"""LaBSE's translation ranking: softmax in both directions, with a margin on the true pair."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxemb.losses.parts.in_batch import Across, row_values
from jaxemb.losses.parts.ranking_softmax import both_ways, ranking, row_losses
from jaxemb.losses.parts.similarity import cosine_similarity
from jaxemb.losses.parts.softmax import margin_softmax

Directions = Literal["mean", "sum"]


def combine_directions(
    forward: Float[Array, "B"], backward: Float[Array, "B"], directions: Directions
) -> Float[Array, "B"]:
    """Mean or sum of the losses of anchor->positive and positive->anchor, row by row."""
    if directions not in ("mean", "sum"):
        raise ValueError(f"directions: {directions!r} is neither 'mean' nor 'sum'")
    total = forward + backward
    return total / 2 if directions == "mean" else total


def additive_margin_softmax(
    anchors: Float[Array, "B D"],
    positives: Float[Array, "B D"],
    *,
    scale: float | Float[Array, ""] = 20.0,
    margin: float | Float[Array, ""] = 0.3,
    excluded: Bool[Array, "B B"] | None = None,
    directions: Directions = "mean",
    across: Across | None = None,
) -> Float[Array, "B"]:
    """Cross-entropy of each pair against the other rows of the batch, in both directions.

        forward_i  = logsumexp_j(s * (cos(a_i, p_j) - m * [i = j])) - s * (cos(a_i, p_i) - m)
        backward_i = logsumexp_j(s * (cos(p_i, a_j) - m * [i = j])) - s * (cos(p_i, a_i) - m)
        loss_i     = (forward_i + backward_i) / 2, or without the 2 for "sum"

    Source: LaBSE (arXiv 2007.01852), eq. 1-3, after Yang et al. 2019 (arXiv 1902.08564): `directions="sum"`,
    `margin=0.3`. With `directions="mean"` and `margin=0` the mean over rows equals sentence-transformers'
    `MultipleNegativesSymmetricRankingLoss(scale=s)`, in newer releases `MultipleNegativesRankingLoss(scale=s,
    directions=("query_to_doc", "doc_to_query"), partition_mode="per_direction")`; it has no class with a margin.

    Args:
      anchors: one embedding per row (the source sentence), any norm.
      positives: the translation of each anchor, row by row, any norm.
      scale: s, the inverse temperature (1/T).
      margin: m, in cosine units, subtracted from the true pair *before* scaling, in both directions; training only.
      excluded: True at [i, j] if positive j is not a negative of anchor i. The backward direction reads it transposed,
        so that anchor i is not a negative of positive j either. See `duplicate_mask`. The true pair always counts.
      directions: "mean" or "sum" of the two directions.
      across: the devices that rows are spread over, see `parallel.Across`; None for one.

    Returns: the loss of each row in nats, float32.
    Raises: ValueError if the shapes differ.

    >>> anchors = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> loss = additive_margin_softmax(anchors, anchors, scale=10.0, margin=0.3)  # log(1 + exp(10 * (0 - 1 + 0.3)))
    >>> [round(float(x), 6) for x in loss]
    [0.000911, 0.000911]
    """
    if anchors.shape != positives.shape:
        raise ValueError(f"anchors of shape {anchors.shape} need positives of the same shape, not {positives.shape}")
    if across is not None:
        form = both_ways(directions)
        batch = (anchors, positives)
        values = row_values(ranking(form), batch, across=across, allowed=excluded, scale=scale, margin=margin)
        return row_losses(values, form)
    cosines = cosine_similarity(anchors, positives)
    diagonal = jnp.arange(len(anchors))
    forward = margin_softmax(cosines, diagonal, scale=scale, margin=margin, excluded=excluded)
    excluded = None if excluded is None else excluded.T
    backward = margin_softmax(cosines.T, diagonal, scale=scale, margin=margin, excluded=excluded)
    return combine_directions(forward, backward, directions)
