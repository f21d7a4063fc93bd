"""SigLIP: every pair of a query and a document is a separate binary classification."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from jaxemb.losses.parts.checks import check_pairs
from jaxemb.losses.parts.finite import keep, nan_unless
from jaxemb.losses.parts.in_batch import Across, InBatch, row_values, weighted_mean
from jaxemb.losses.parts.paired import paired_cosine
from jaxemb.losses.parts.similarity import cosine_similarity

Scalar = float | Float[Array, ""]


def _rows(
    rows: tuple[Float[Array, "b D"], Float[Array, "b D"]],
    columns: tuple[Float[Array, "M D"], Float[Array, "M D"]],
    own: Int[Array, "b"],
    allowed: Bool[Array, "b M"],
    *,
    scale: Scalar,
    bias: Scalar,
) -> dict[str, Float[Array, "b"]]:
    """The part of each query's loss that comes from the documents of other rows."""
    finite = jnp.isfinite(paired_cosine(*rows))
    others = allowed & finite[:, None] & (jnp.arange(allowed.shape[1])[None, :] != own[:, None])
    logits = scale * jnp.where(others, cosine_similarity(rows[0], columns[1]), 0.0) + bias
    loss = jnp.sum(jnp.where(others, jax.nn.softplus(logits), 0.0), axis=1)
    return {"loss": nan_unless(finite, loss)}


def _alone(rows: tuple[Any, ...], *, scale: Scalar, bias: Scalar) -> dict[str, Float[Array, "b"]]:
    """The part of each query's loss that comes from its own document."""
    cosines = paired_cosine(*rows)
    finite = jnp.isfinite(cosines)
    return {"loss": nan_unless(finite, jax.nn.softplus(-(scale * keep(cosines, finite) + bias)))}


SIGLIP = InBatch(
    rows=_rows,
    reduce=lambda values, weights: weighted_mean(values["loss"], weights),
    combine={"loss": "add"},
    alone=_alone,
)
"""`siglip`; a row is (query, document)."""


def siglip(
    queries: Float[Array, "B D"],
    documents: Float[Array, "B D"],
    *,
    scale: Scalar = 10.0,
    bias: Scalar = -10.0,
    excluded: Bool[Array, "B B"] | None = None,
    across: Across | None = None,
) -> Float[Array, "B"]:
    """Binary cross-entropy of every pair of a query and a document: is this its document?

        loss_i = softplus(-(s cos(q_i, d_i) + b)) + sum_{j != i} softplus(s cos(q_i, d_j) + b)

    There is no softmax: the term of one pair does not depend on the others. Source: SigLIP (arXiv 2303.15343), whose
    eq. 1 is the mean over rows. It learns the scale (as exp of a parameter) and the bias, starting from 10 and -10.
    sentence-transformers has no class for it.

    Args:
      queries: one embedding per row, any norm.
      documents: the positive of each query.
      scale: s, the inverse temperature (1/T); may be learnt, see `learned_scale`.
      bias: b, added to every logit; may be learnt. It is negative, since nearly all pairs are negatives.
      excluded: True where document j is not a negative of query i; a query's own document always counts.
      across: the devices that rows are spread over, see `parallel.Across`; None for one.

    Returns: the loss of each row in nats, float32.
    Raises: ValueError if the shapes differ.

    >>> loss = siglip(jnp.eye(2), jnp.eye(2), scale=2.0, bias=-1.0)  # log(1 + e^-1) + log(1 + e^-1)
    >>> loss.round(6).tolist()
    [0.6265230178833008, 0.6265230178833008]
    """
    check_pairs(queries, documents)
    allowed = None if excluded is None else ~excluded
    return row_values(SIGLIP, (queries, documents), allowed=allowed, across=across, scale=scale, bias=bias)["loss"]
