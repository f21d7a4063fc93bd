"""Distillation of embeddings: a student learns a teacher's embeddings. The teacher gets no gradient."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxemb.losses.parts.checks import check_choice, check_pairs
from jaxemb.losses.parts.finite import finite_rows, nan_unless
from jaxemb.losses.parts.paired import paired_cosine, paired_euclidean

Over = Literal["mean", "sum"]
EmbeddingDistance = Literal["l2", "mse", "cosine"]


def _fixed(teacher: Float[Array, "..."]) -> Float[Array, "..."]:
    return jax.lax.stop_gradient(jnp.asarray(teacher, jnp.float32))


def embedding_mse(
    student: Float[Array, "B D"], teacher: Float[Array, "B D"], *, over: Over = "mean"
) -> Float[Array, "B"]:
    """Squared error of the student's embedding against the teacher's.

        loss_i = sum_d (s_id - t_id)^2 / D, or without the D for "sum"

    Source: Reimers and Gurevych 2020 (arXiv 2004.09813), one term of eq. 1. With "mean" its mean equals
    sentence-transformers' `MSELoss`.

    Args:
      student: one embedding per row, as it is: not normalised.
      teacher: the teacher's embedding of the same text, or of its translation.
      over: "mean" or "sum" over the dimensions.

    Returns: the loss of each row, float32.
    Raises: ValueError if the shapes differ; another width needs `embedding_distillation` and a kernel.

    >>> student, teacher = jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 4.0]])
    >>> float(embedding_mse(student, teacher)[0]), float(embedding_mse(student, teacher, over="sum")[0])
    (2.5, 5.0)
    """
    check_choice("over", over, Over)
    check_pairs(student, teacher)
    finite, (student, teacher) = finite_rows(student, _fixed(teacher))
    error = student - teacher
    return nan_unless(finite, jnp.mean(error * error, axis=-1) if over == "mean" else jnp.sum(error * error, axis=-1))


def multilingual_distillation(
    source: Float[Array, "B D"], target: Float[Array, "B D"], teacher: Float[Array, "B D"], *, over: Over = "mean"
) -> Float[Array, "B"]:
    """The student's embeddings of a sentence and of its translation, both against the teacher's embedding of the
    sentence.

        loss_i = |s(source_i) - t(source_i)|^2 + |s(target_i) - t(source_i)|^2, with "mean" each divided by D

    Source: Reimers and Gurevych 2020 (arXiv 2004.09813), eq. 1. sentence-transformers' `MSELoss` over the two columns
    is the *mean* of the two terms: half of this loss.

    Args:
      source: the student's embedding of each sentence, as it is: not normalised.
      target: the student's embedding of its translation.
      teacher: the teacher's embedding of the sentence, in the language that the teacher knows.
      over: "mean" or "sum" over the dimensions.

    Returns: the loss of each row, float32.
    Raises: ValueError if the shapes differ.

    >>> source, target, teacher = jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 6.0]]), jnp.array([[0.0, 4.0]])
    >>> multilingual_distillation(source, target, teacher).tolist()  # 2.5 + 2
    [4.5]
    """
    return embedding_mse(source, teacher, over=over) + embedding_mse(target, teacher, over=over)


def _check_map(width: int, kernel: Float[Array, "S T"] | None, bias: Float[Array, "T"] | None) -> int:
    """The width after the map; raises ValueError if the map does not fit."""
    if kernel is None:
        if bias is not None:
            raise ValueError("a bias needs a kernel")
        return width
    if kernel.shape[0] != width or (bias is not None and bias.shape != kernel.shape[1:]):
        shape = None if bias is None else bias.shape
        raise ValueError(f"a kernel {kernel.shape} and a bias {shape} do not fit embeddings of width {width}")
    return kernel.shape[1]


def _project(
    x: Float[Array, "B S"], kernel: Float[Array, "S T"], bias: Float[Array, "T"] | None
) -> Float[Array, "B T"]:
    mapped = jnp.matmul(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32), precision="highest")
    return mapped if bias is None else mapped + jnp.asarray(bias, jnp.float32)[None, :]


def embedding_distillation(
    student: Float[Array, "B S"],
    teacher: Float[Array, "B T"],
    kernel: Float[Array, "S T"] | None = None,
    bias: Float[Array, "T"] | None = None,
    *,
    distance: EmbeddingDistance = "l2",
) -> Float[Array, "B"]:
    """The distance of the student's embedding from the teacher's, after a linear map if there is one.

        x_i = s_i W + b, or s_i
        loss_i = |x_i - t_i| ("l2"), sum_d (x_id - t_id)^2 / T ("mse"), 1 - cos(x_i, t_i) ("cosine")

    Source: EmbedDistill (arXiv 2301.12005), with "l2" and the map. Its mean equals sentence-transformers'
    `EmbedDistillLoss(distance_metric=...)` for one column of texts, with `kernel` the transpose of its
    `projection.weight`; its default is "cosine".

    Args:
      student: one embedding per row, as it is: not normalised.
      teacher: the teacher's embedding of the same text.
      kernel: W, a trained map to the teacher's width; needed if the widths differ.
      bias: b, added after the map.
      distance: "l2" (gradient 0 within 1e-6 of the teacher), "mse" or "cosine".

    Returns: the loss of each row, float32.
    Raises: ValueError if the shapes do not fit or the distance is unknown.

    >>> student, teacher, kernel = jnp.array([[1.0]]), jnp.array([[3.0, 0.0]]), jnp.array([[0.0, 4.0]])
    >>> losses = (embedding_distillation(student, teacher, kernel, distance=d) for d in ("l2", "mse", "cosine"))
    >>> [round(float(loss[0]), 6) for loss in losses]
    [5.0, 12.5, 1.0]
    """
    check_choice("distance", distance, EmbeddingDistance)
    mapped_shape = (len(student), _check_map(student.shape[1], kernel, bias))
    if mapped_shape != teacher.shape:
        raise ValueError(f"the shapes of student {mapped_shape} and teacher {teacher.shape} differ: pass a kernel")
    finite, (student, target) = finite_rows(student, _fixed(teacher))
    mapped = student if kernel is None else _project(student, kernel, bias)
    if distance == "mse":
        return nan_unless(finite, embedding_mse(mapped, target))
    apart = paired_euclidean(mapped, target) if distance == "l2" else 1.0 - paired_cosine(mapped, target)
    return nan_unless(finite, apart)
