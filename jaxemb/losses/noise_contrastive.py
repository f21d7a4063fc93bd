"""InfoNCE: each query against all candidates."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxemb.losses.parts.similarity import cosine_similarity
from jaxemb.losses.parts.softmax import margin_softmax


def info_nce(
    queries: Float[Array, "B D"],
    candidates: Float[Array, "M D"],
    *,
    scale: float | Float[Array, ""] = 20.0,
    margin: float | Float[Array, ""] = 0.0,
    positives: Int[Array, "B"] | None = None,
    excluded: Bool[Array, "B M"] | None = None,
) -> Float[Array, "B"]:
    """Cross-entropy of each query against all candidates (in-batch softmax).

        loss_i = logsumexp_j(s * (cos_ij - m * [j = pos_i])) - s * (cos_{i,pos_i} - m)

    Source: InfoNCE, van den Oord et al. 2018 (arXiv 1807.03748), eq. 4; in this form, with cosines and a temperature,
    SimCSE (arXiv 2104.08821), eq. 1. Its mean equals sentence-transformers' `MultipleNegativesRankingLoss(scale=s)`
    when `candidates` are the positives followed by the hard negatives, and `margin` is 0.

    Args:
      queries: one embedding per row, any norm.
      candidates: positives and negatives, any norm.
      scale: s, the inverse temperature (1/T).
      margin: m, in cosine units, subtracted from the positive *before* scaling (as in LaBSE).
      positives: the column of each query's positive, 0 to M-1 (any other number gives the loss NaN); the diagonal when
        None.
      excluded: True where a candidate must not count as a negative, such as a duplicate. The positive always counts; a
        query without any negative has loss and gradient 0.

    Returns: the loss of each row in nats, float32.
    Raises: ValueError if the widths differ, or B > M with no `positives`.

    The textbook case, with cosines of -0.91262 and 0.49908 at a temperature of 0.5:

    >>> anchor = jnp.array([0.8109, -0.9391, 0.2519])
    >>> positive = jnp.array([-1.2887, 1.5057, 0.4449])
    >>> negative = jnp.array([2.1968, 0.4785, 1.5207])
    >>> loss = info_nce(anchor[None], jnp.stack([positive, negative]), scale=2.0)
    >>> round(float(loss[0]), 5)
    2.88112
    """
    if positives is None:
        if len(queries) > len(candidates):
            raise ValueError(f"{len(queries)} queries, {len(candidates)} candidates: pass `positives`")
        positives = jnp.arange(len(queries))
    return margin_softmax(
        cosine_similarity(queries, candidates), positives, scale=scale, margin=margin, excluded=excluded
    )
