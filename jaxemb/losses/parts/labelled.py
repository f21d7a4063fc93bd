"""Embeddings with class labels: which rows are positives or negatives of a row, and means over such pairs."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxemb.losses.parts.distances import PairwiseDistance, pairwise_distance
from jaxemb.losses.parts.in_batch import weighted_sum

Rows = tuple[Float[Array, "b D"], Int[Array, "b"]]
Columns = tuple[Float[Array, "M D"], Int[Array, "M"]]


class Terms(NamedTuple):
    """Each row's contribution to a mean over terms, if rows have different numbers of terms."""

    total: Float[Array, "*B"]
    terms: Float[Array, "*B"]


def mean_of_terms(values: Terms, weights: Float[Array, "B"]) -> Float[Array, ""]:
    """sum_i w_i total_i / sum_i w_i terms_i; 0 where there are no terms."""
    terms = weighted_sum(values.terms, weights)
    return jnp.where(terms > 0, weighted_sum(values.total, weights) / jnp.where(terms > 0, terms, 1.0), 0.0)


def compare_labels(
    rows: Rows, columns: Columns, own: Int[Array, "b"], allowed: Bool[Array, "b M"], distance: PairwiseDistance
) -> tuple[Float[Array, "b M"], Bool[Array, "b M"], Bool[Array, "b M"]]:
    """Distances, and which columns are positives (same label, another row) and negatives (another label)."""
    same = rows[1][:, None] == columns[1][None, :]
    others = allowed & (jnp.arange(allowed.shape[1])[None, :] != own[:, None])
    return pairwise_distance(rows[0], columns[0], distance), same & others, ~same & others


def check_labels(embeddings: Array, labels: Array) -> None:
    """Raises ValueError unless there is one label per row."""
    if labels.shape != embeddings.shape[:1]:
        raise ValueError(f"{len(embeddings)} embeddings need one label each, not labels of shape {labels.shape}")
