"""Triplets formed within a batch from class labels: the hardest, the semi-hard, or all of them."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxemb.losses.parts.distances import PairwiseDistance
from jaxemb.losses.parts.in_batch import Across, InBatch, batch_loss, row_values, weighted_mean
from jaxemb.losses.parts.labelled import Columns, Rows, Terms, check_labels, compare_labels, mean_of_terms


def _hardest_gap(
    rows: Rows, columns: Columns, own: Int[Array, "b"], allowed: Bool[Array, "b M"], distance: PairwiseDistance
) -> Float[Array, "b"]:
    """The farthest positive's distance minus the nearest negative's."""
    distances, positive, negative = compare_labels(rows, columns, own, allowed, distance)
    farthest = jnp.max(jnp.where(positive, distances, 0.0), axis=1)
    nearest = jnp.min(jnp.where(negative, distances, jnp.inf), axis=1)
    return jnp.where(jnp.any(negative, axis=1), farthest - nearest, 0.0)


def _batch_hard_rows(
    rows: Rows,
    columns: Columns,
    own: Int[Array, "b"],
    allowed: Bool[Array, "b M"],
    *,
    margin: float | Float[Array, ""],
    distance: PairwiseDistance,
) -> Float[Array, "b"]:
    return jax.nn.relu(_hardest_gap(rows, columns, own, allowed, distance) + margin)


def _batch_hard_soft_margin_rows(
    rows: Rows, columns: Columns, own: Int[Array, "b"], allowed: Bool[Array, "b M"], *, distance: PairwiseDistance
) -> Float[Array, "b"]:
    return jax.nn.softplus(_hardest_gap(rows, columns, own, allowed, distance))


def _batch_semi_hard_rows(
    rows: Rows,
    columns: Columns,
    own: Int[Array, "b"],
    allowed: Bool[Array, "b M"],
    *,
    margin: float | Float[Array, ""],
    distance: PairwiseDistance,
) -> Terms:
    distances, positive, negative = compare_labels(rows, columns, own, allowed, distance)
    # Searching the sorted negatives needs [b, M] arrays; comparing all triplets would need [b, M, M].
    ascending = jnp.sort(jnp.where(negative, distances, jnp.inf), axis=1)
    search = jax.vmap(functools.partial(jnp.searchsorted, side="right", method="sort"))
    index = search(jax.lax.stop_gradient(ascending), jax.lax.stop_gradient(distances))
    beyond = jnp.take_along_axis(ascending, jnp.minimum(index, ascending.shape[1] - 1), axis=1)
    farthest = jnp.max(jnp.where(negative, distances, -jnp.inf), axis=1, keepdims=True)
    farthest = jnp.where(jnp.any(negative, axis=1, keepdims=True), farthest, 0.0)
    semi_hard = jnp.where(jnp.isfinite(beyond), beyond, farthest)
    terms = jnp.where(positive, jax.nn.relu(distances - semi_hard + margin), 0.0)
    return Terms(jnp.sum(terms, axis=1), jnp.sum(jnp.asarray(positive, jnp.float32), axis=1))


def _batch_all_rows(
    rows: Rows,
    columns: Columns,
    own: Int[Array, "b"],
    allowed: Bool[Array, "b M"],
    *,
    margin: float | Float[Array, ""],
    distance: PairwiseDistance,
) -> Terms:
    # One row's [M, M] triplets at a time, recomputed in the backward pass.
    @jax.checkpoint
    def of_row(row: tuple[Array, Array, Array]) -> Terms:
        distances, positive, negative = row
        terms = jax.nn.relu(distances[:, None] - distances[None, :] + margin)
        terms = jnp.where(positive[:, None] & negative[None, :], terms, 0.0)
        return Terms(jnp.sum(terms), jnp.sum(jnp.asarray(terms > 1e-16, jnp.float32)))

    return jax.lax.map(of_row, compare_labels(rows, columns, own, allowed, distance))


BATCH_HARD = InBatch(rows=_batch_hard_rows, reduce=weighted_mean)
"""`batch_hard_triplet`; the batch of this and the others is `(embeddings, labels)`."""
BATCH_HARD_SOFT_MARGIN = InBatch(rows=_batch_hard_soft_margin_rows, reduce=weighted_mean)
"""`batch_hard_soft_margin_triplet`."""
BATCH_SEMI_HARD = InBatch(rows=_batch_semi_hard_rows, reduce=mean_of_terms)
"""`batch_semi_hard_triplet`: the sum over a row's positives, and their number."""
BATCH_ALL = InBatch(rows=_batch_all_rows, reduce=mean_of_terms)
"""`batch_all_triplet`: the sum over a row's triplets, and the number of those above 0."""


def batch_hard_triplet(
    embeddings: Float[Array, "B D"],
    labels: Int[Array, "B"],
    *,
    margin: float | Float[Array, ""] = 5.0,
    distance: PairwiseDistance = "euclidean",
    across: Across | None = None,
) -> Float[Array, "B"]:
    """Each row's farthest row of the same label against its nearest row of another label.

        loss_i = max(0, max_{y_p = y_i, p != i} d_ip - min_{y_n != y_i} d_in + m)

    Source: Hermans et al. 2017 (arXiv 1703.07737), eq. 5. Its mean equals sentence-transformers'
    `BatchHardTripletLoss(distance_metric=..., margin=m)`, also in its edge cases: a row that is the only one of its
    label has a positive at distance 0 (so its nearest negative is pushed away), and a row without a negative has loss m
    and gradient 0.

    Args:
      embeddings: one vector per row.
      labels: the class of each row, any integers.
      margin: m, in units of the distance.
      distance: "euclidean" or "cosine" (1 - cosine).
      across: the devices that rows are spread over, see `parallel.Across`; None for one.

    Returns: the loss of each row, float32. Equally hard rows share the gradient.
    Raises: ValueError for an unknown distance or a wrong number of labels.

    >>> embeddings, labels = jnp.array([[0.0], [3.0], [4.0]]), jnp.array([7, 7, 9])
    >>> batch_hard_triplet(embeddings, labels, margin=1.5).tolist()  # 3 - 4 + 1.5; 3 - 1 + 1.5; 0 - 1 + 1.5
    [0.5, 3.5, 0.5]
    """
    check_labels(embeddings, labels)
    return row_values(BATCH_HARD, (embeddings, labels), across=across, margin=margin, distance=distance)


def batch_hard_soft_margin_triplet(
    embeddings: Float[Array, "B D"],
    labels: Int[Array, "B"],
    *,
    distance: PairwiseDistance = "euclidean",
    across: Across | None = None,
) -> Float[Array, "B"]:
    """`batch_hard_triplet` with a softplus instead of the margin: its gradient never becomes 0.

        loss_i = log(1 + exp(max_{y_p = y_i, p != i} d_ip - min_{y_n != y_i} d_in))

    Source: Hermans et al. 2017 (arXiv 1703.07737), its soft margin. Its mean equals sentence-transformers'
    `BatchHardSoftMarginTripletLoss(distance_metric=...)`; a row without a negative has loss log 2, gradient 0.
    Arguments and errors are those of `batch_hard_triplet`.

    Returns: the loss of each row, float32.

    >>> embeddings, labels = jnp.array([[0.0], [3.0], [4.0]]), jnp.array([7, 7, 9])
    >>> loss = batch_hard_soft_margin_triplet(embeddings, labels)  # log(1 + e^-1), log(1 + e^2), log(1 + e^-1)
    >>> [round(float(x), 5) for x in loss]
    [0.31326, 2.12693, 0.31326]
    """
    check_labels(embeddings, labels)
    return row_values(BATCH_HARD_SOFT_MARGIN, (embeddings, labels), across=across, distance=distance)


def batch_semi_hard_triplet(
    embeddings: Float[Array, "B D"],
    labels: Int[Array, "B"],
    *,
    margin: float | Float[Array, ""] = 5.0,
    distance: PairwiseDistance = "euclidean",
    across: Across | None = None,
) -> Float[Array, ""]:
    """Each pair with the same label against the nearest negative that is farther away than the pair: a batch scalar.

        n_ip = min {d_in : y_n != y_i, d_in > d_ip}, or max {d_in : y_n != y_i} where none is farther
        loss = mean over all i, p with the same label, p != i, of max(0, d_ip - n_ip + m)

    Source: FaceNet (arXiv 1503.03832), eq. 4, with the fallback of TensorFlow's `triplet_semihard_loss`. Equals
    sentence-transformers' `BatchSemiHardTripletLoss(distance_metric=..., margin=m)`, also where a row has no negative
    (n_ip is 0). Arguments and errors are those of `batch_hard_triplet`.

    Returns: one number, float32; 0 in a batch without two rows of the same label.

    >>> embeddings, labels = jnp.array([[0.0], [3.0], [4.0]]), jnp.array([7, 7, 9])
    >>> float(batch_semi_hard_triplet(embeddings, labels, margin=1.5))  # ((3 - 4 + 1.5) + (3 - 1 + 1.5)) / 2
    2.0
    """
    check_labels(embeddings, labels)
    return batch_loss(BATCH_SEMI_HARD, (embeddings, labels), across=across, margin=margin, distance=distance)


def batch_all_triplet(
    embeddings: Float[Array, "B D"],
    labels: Int[Array, "B"],
    *,
    margin: float | Float[Array, ""] = 5.0,
    distance: PairwiseDistance = "euclidean",
    across: Across | None = None,
) -> Float[Array, ""]:
    """All triplets of the batch, averaged over those that are not yet satisfied: a batch scalar.

        loss = sum_{i,p,n} t_ipn / |{t_ipn > 0}|,  t_ipn = max(0, d_ip - d_in + m),  y_p = y_i != y_n, p != i

    Source: Hermans et al. 2017 (arXiv 1703.07737), eq. 6, in the variant with the mean over the non-zero terms only.
    Equals sentence-transformers' `BatchAllTripletLoss(distance_metric=..., margin=m)`. Rows are computed one after the
    other: there is no [B, B, B] array. Arguments and errors are those of `batch_hard_triplet`.

    Returns: one number, float32; 0 where every triplet is satisfied or there is none.

    >>> embeddings, labels = jnp.array([[0.0], [3.0], [4.0]]), jnp.array([7, 7, 9])
    >>> float(batch_all_triplet(embeddings, labels, margin=0.5))  # 3 - 4 + 0.5 < 0; 3 - 1 + 0.5
    2.5
    """
    check_labels(embeddings, labels)
    return batch_loss(BATCH_ALL, (embeddings, labels), across=across, margin=margin, distance=distance)
