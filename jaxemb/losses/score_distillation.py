"""Distillation of scores: a student learns a teacher's margins or ranking. The teacher gets no gradient."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxemb.losses.parts.checks import check_choice, check_pairs
from jaxemb.losses.parts.finite import finite_rows, keep, nan_unless
from jaxemb.losses.parts.paired import paired_dot
from jaxemb.losses.parts.similarity import normalize

Similarity = Literal["dot", "cosine"]


def margin_mse(
    query: Float[Array, "B D"],
    positive: Float[Array, "B D"],
    negatives: Float[Array, "B K D"],
    teacher_margin: Float[Array, "B K"],
    *,
    similarity: Similarity = "dot",
) -> Float[Array, "B"]:
    """Squared error between the student's and the teacher's margins of the positive over the negatives.

        loss_i = sum_k (q_i . p_i - q_i . n_ik - m_ik)^2 / K

    Source: Hofstätter et al. 2020 (arXiv 2010.02666), there with one negative. Its mean equals
    sentence-transformers' `MarginMSELoss`, with `similarity_fct=util.pairwise_cos_sim` for "cosine".

    Args:
      query: one embedding per row.
      positive: the first document of each query; it need not be better than the others.
      negatives: K other documents per query.
      teacher_margin: m, the teacher's score of the positive minus its score of each negative, in units of the
        similarity: `scores[:, :1] - scores[:, 1:]` for scores [B, 1 + K].
      similarity: "dot" or "cosine".

    Returns: the loss of each row, the mean over its negatives, float32.
    Raises: ValueError if the shapes do not fit or the similarity is unknown.

    >>> query, positive, negatives = jnp.array([[1.0, 2.0]]), jnp.array([[3.0, 1.0]]), jnp.array([[[1.0, 0.0]]])
    >>> margin_mse(query, positive, negatives, jnp.array([[2.5]])).tolist()  # (5 - 1 - 2.5)^2
    [2.25]
    """
    check_choice("similarity", similarity, Similarity)
    check_pairs(query, positive)
    rows, width = query.shape
    if negatives.shape != (rows, teacher_margin.shape[-1], width) or teacher_margin.shape != negatives.shape[:2]:
        raise ValueError(
            f"{rows} queries of width {width} need negatives of shape ({rows}, K, {width}) and margins of ({rows}, K), "
            f"not {negatives.shape} and {teacher_margin.shape}"
        )
    finite, (query, positive, negatives, margin) = finite_rows(query, positive, negatives, teacher_margin)
    if similarity == "cosine":
        query, positive = normalize(query), normalize(positive)
        negatives = normalize(negatives.reshape(-1, width)).reshape(negatives.shape)
    others = jnp.matmul(negatives, query[:, :, None], precision="highest")[:, :, 0]
    error = paired_dot(query, positive)[:, None] - others - jax.lax.stop_gradient(margin)
    return nan_unless(finite, jnp.mean(error * error, axis=-1))


def distill_kl(
    student_scores: Float[Array, "B K"],
    teacher_scores: Float[Array, "B K"],
    *,
    temperature: float | Float[Array, ""] = 1.0,
    teacher_temperature: float | Float[Array, ""] | None = None,
) -> Float[Array, "B"]:
    """Kullback-Leibler divergence of the student's softmax over candidates from the teacher's.

        p_i = softmax_k(teacher_ik / T'), q_i = softmax_k(student_ik / T)
        loss_i = T^2 * sum_k p_ik (log p_ik - log q_ik)

    Source: Hinton et al. 2015 (arXiv 1503.02531), section 2, for the factor T^2, which keeps the size of the gradient;
    Lin et al. 2020 (arXiv 2010.11386) over candidates. Its mean equals sentence-transformers'
    `DistillKLDivLoss(temperature=T, teacher_temperature=T')` on the same student scores, which are dot products there.

    Args:
      student_scores: a score per candidate: similarities of a query with K documents, K at least 2, or logits.
      teacher_scores: the teacher's scores of the same candidates; -inf gives a candidate the probability 0.
      temperature: T, which divides the scores, in their units.
      teacher_temperature: T', for a teacher on another scale; T when None.

    Returns: the loss of each row in nats, times T^2, float32.
    Raises: ValueError if the shapes differ or there are fewer than two candidates.

    >>> loss = distill_kl(jnp.array([[0.0, 0.0]]), jnp.array([[0.0, jnp.log(3.0)]]))  # log 2 - the entropy of 1/4, 3/4
    >>> round(float(loss[0]), 6)
    0.130812
    """
    check_pairs(student_scores, teacher_scores)
    if student_scores.shape[-1] < 2:
        raise ValueError("one candidate has probability 1 for student and teacher: pass the scores of two or more")
    sharpness = temperature if teacher_temperature is None else teacher_temperature
    scores = jnp.asarray(student_scores, jnp.float32), jax.lax.stop_gradient(jnp.asarray(teacher_scores, jnp.float32))
    there = [~jnp.isneginf(one) for one in scores]
    finite, (student, teacher) = finite_rows(*map(keep, scores, there))
    finite &= jnp.all(jnp.stack([jnp.any(one, axis=-1) for one in there]), axis=0)
    student, teacher = (
        # Do not divide -inf by a temperature that may have a gradient.
        jax.nn.log_softmax(jnp.where(one | ~finite[:, None], x / divisor, -jnp.inf), axis=-1)
        for x, one, divisor in zip((student, teacher), there, (temperature, sharpness), strict=True)
    )
    share = jnp.exp(teacher)
    divergence = jnp.sum(share * jnp.where(share > 0, teacher - student, 0.0), axis=-1)
    return nan_unless(finite, temperature**2 * divergence)
