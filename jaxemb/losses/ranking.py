"""Losses on the order of pairs: a pair with a higher gold score should be more similar (CoSENT, AnglE)."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Num

from jaxemb.losses.parts.checks import check_pairs
from jaxemb.losses.parts.in_batch import Across, InBatch, batch_loss, log_weighted_sum, masked_logsumexp
from jaxemb.losses.parts.paired import absolute, paired_cosine
from jaxemb.losses.parts.similarity import normalize


def _ranking_rows(
    rows: tuple[Float[Array, "b"], Float[Array, "b"]],
    columns: tuple[Float[Array, "M"], Float[Array, "M"]],
    own: Int[Array, "b"],
    allowed: Bool[Array, "b M"],
    *,
    scale: float | Float[Array, ""] = 20.0,
) -> Float[Array, "b"]:
    """logsumexp_j(s * (sim_i - sim_j)) over the columns with a higher score than the row; NOTHING if there are none."""
    (similarity, score), (similarities, scores) = rows, columns
    higher = allowed & (scores[None, :] > score[:, None])
    logits = scale * jnp.where(higher, similarity[:, None] - similarities[None, :], 0.0)
    return masked_logsumexp(logits, higher)


def _log_one_plus_sum(values: Float[Array, "B"], weights: Float[Array, "B"]) -> Float[Array, ""]:
    """log(1 + sum_i w_i exp(v_i))."""
    return jnp.logaddexp(0.0, log_weighted_sum(values, weights))


RANKING = InBatch(rows=_ranking_rows, reduce=_log_one_plus_sum)
"""`cosent` and `angle`; a row is (similarity of the pair, gold score), both float32."""


def cosent(
    a: Float[Array, "B D"],
    b: Float[Array, "B D"],
    scores: Num[Array, "B"],
    *,
    scale: float | Float[Array, ""] = 20.0,
    across: Across | None = None,
) -> Float[Array, ""]:
    """Trains the cosines of the batch's pairs to be in the order of their gold scores. A batch scalar.

        loss = log(1 + sum_{y_i < y_j} exp(s * (cos(a_i, b_i) - cos(a_j, b_j))))

    Source: CoSENT, Huang et al. 2024 (doi 10.1109/TASLP.2024.3402087), after Su 2022 (kexue.fm/archives/8847). Equals
    sentence-transformers' `CoSENTLoss(scale=s)`. It compares every pair with every other: a [B, B] array, no [B, B, D].

    Args:
      a: one embedding per row, any norm.
      b: the other text of each pair.
      scores: y, the gold similarities, in any unit: only their order counts. Equal scores are not compared.
      scale: s, the inverse temperature (1/T).
      across: the devices that rows are spread over, see `parallel.Across`; None for one.

    Returns: one number for the batch, in nats, float32; 0 if all scores are equal.
    Raises: ValueError if the shapes differ.

    Cosines of 0.6 and 0, of which the second should be higher:

    >>> a, b = jnp.array([[3.0, 4.0], [0.0, 1.0]]), jnp.array([[1.0, 0.0], [1.0, 0.0]])
    >>> round(float(cosent(a, b, jnp.array([1.0, 5.0]), scale=10.0)), 6)  # log(1 + exp(10 * 0.6))
    6.002476
    """
    check_pairs(a, b, scores=scores)
    batch = (paired_cosine(a, b), jnp.asarray(scores, jnp.float32))
    return batch_loss(RANKING, batch, across=across, scale=scale)


def paired_angle_similarity(a: Float[Array, "B D"], b: Float[Array, "B D"]) -> Float[Array, "B"]:
    """AnglE's similarity of a_i and b_i, read as complex vectors of half the width, row by row.

        x = a_i / |a_i|, y = b_i / |b_i|, x = [x', x''], y = [y', y''] the two halves
        sim_i = |x . y + (x'' . y' - x' . y'')|

    It is the sum of the real and the imaginary part of sum_k x_k conj(y_k), with x_k = x'_k + i x''_k. It lies between
    0 and sqrt(2); it is not an angle, and not symmetric in a and b. A zero is appended to an odd width. Equals
    sentence-transformers' `util.pairwise_angle_sim`. A zero row has similarity and gradient 0.

    >>> a, b = jnp.array([[0.0, 2.0]]), jnp.array([[3.0, 4.0]])
    >>> round(float(paired_angle_similarity(a, b)[0]), 6), round(float(paired_angle_similarity(b, a)[0]), 6)
    (1.4, 0.2)
    """
    x, y = normalize(a), normalize(b)
    half = (x.shape[1] + 1) // 2
    odd = ((0, 0), (0, x.shape[1] % 2))
    # [x'', -x'] . [y', y''] is the imaginary part.
    turned = jnp.concatenate([jnp.pad(x, odd)[:, half:], -x[:, :half]], axis=1)
    return absolute(jnp.sum(x * y, axis=1) + jnp.sum(turned * jnp.pad(y, odd), axis=1))


def angle(
    a: Float[Array, "B D"],
    b: Float[Array, "B D"],
    scores: Num[Array, "B"],
    *,
    scale: float | Float[Array, ""] = 20.0,
    across: Across | None = None,
) -> Float[Array, ""]:
    """Trains AnglE's similarity of the batch's pairs to be in the order of their scores. A batch scalar.

        loss = log(1 + sum_{y_i < y_j} exp(s * (sim_i - sim_j))), sim as in `paired_angle_similarity`

    Source: the angle objective of AnglE (Li and Li, arXiv 2309.12871) as in its authors' code, which differs from the
    paper: it reverses the difference and ignores lengths. Equals sentence-transformers'
    `AnglELoss(scale=s)` for pairs. The paper trains on a weighted sum of this, `cosent` and an in-batch softmax.

    Args:
      a: one embedding per row, any norm.
      b: the other text of each pair.
      scores: y, the gold similarities, in any unit: only their order counts. Equal scores are not compared.
      scale: s, the inverse temperature (1/T).
      across: the devices that rows are spread over, see `parallel.Across`; None for one.

    Returns: one number for the batch, in nats, float32; 0 if all scores are equal.
    Raises: ValueError if the shapes differ.

    Similarities of 1.4 and 0.2, of which the second should be higher:

    >>> a, b = jnp.array([[0.0, 2.0], [3.0, 4.0]]), jnp.array([[3.0, 4.0], [0.0, 2.0]])
    >>> round(float(angle(a, b, jnp.array([0, 1]), scale=2.0)), 6)  # log(1 + exp(2 * 1.2))
    2.486836
    """
    check_pairs(a, b, scores=scores)
    batch = (paired_angle_similarity(a, b), jnp.asarray(scores, jnp.float32))
    return batch_loss(RANKING, batch, across=across, scale=scale)
